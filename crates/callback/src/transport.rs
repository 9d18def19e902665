use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use recorder_types::SdkAppId;
use reqwest::Response;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::{AddressPolicy, Attempt, RefusedAddress};

/// Most of an answer's body that is read: what it says does not matter.
const MAX_ANSWER_BYTES: usize = 2000;
/// Longest wait for that body.
const DRAIN: Duration = Duration::from_millis(250);
/// Look-ups at a time. They block a thread each for as long as the system's resolver likes, and the threads are shared
/// with the whole process: a dead name server must not take them all.
const MAX_LOOKUPS: usize = 4;

/// Makes one attempt. Ends by itself within the time limit.
pub(crate) trait Transport: Send + Sync + 'static {
    fn post(&self, attempt: Attempt) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why an attempt failed. Holds nothing of the URL or the answer, so that it can be logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    #[error("cannot connect")]
    Connect,
    #[error("status {0}")]
    Status(u16),
    #[error("the connection broke")]
    Broken,
}

pub(crate) struct Http {
    client: reqwest::Client,
    url: ::url::Url,
    policy: AddressPolicy,
    timeout: Duration,
}

impl Http {
    pub(crate) fn new(
        url: ::url::Url,
        app: SdkAppId,
        policy: AddressPolicy,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        Self::with_lookup(url, app, policy, timeout, SystemLookup)
    }

    fn with_lookup(
        url: ::url::Url,
        app: SdkAppId,
        policy: AddressPolicy,
        timeout: Duration,
        lookup: impl Lookup,
    ) -> Result<Self, reqwest::Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("SdkAppId", HeaderValue::from(app.get()));
        let client = guarded(policy, lookup, timeout).default_headers(headers).build()?;
        Ok(Self { client, url, policy, timeout })
    }

    async fn exchange(&self, attempt: Attempt) -> Result<Response, Failure> {
        // The resolver is not asked about literals.
        self.policy.check_host(&self.url)?;
        let mut request = self.client.post(self.url.clone()).body(attempt.body);
        if let Some(sign) = attempt.sign {
            request = request.header("Sign", sign);
        }
        let answer = request.send().await.map_err(|error| classify(&error))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            status => Err(Failure::Status(status)),
        }
    }
}

/// A client that connects only to where `policy` allows, follows nothing and tries once.
pub(crate) fn guarded(
    policy: AddressPolicy,
    lookup: impl Lookup,
    timeout: Duration,
) -> reqwest::ClientBuilder {
    let resolver =
        PolicyResolver { policy, lookup: Arc::new(lookup), permits: Arc::new(Semaphore::new(MAX_LOOKUPS)) };
    reqwest::Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(timeout)
        // Requests are few. A fresh connection is checked against the policy, and is never one that the server has
        // just closed.
        .pool_max_idle_per_host(0)
}

impl Transport for Http {
    async fn post(&self, attempt: Attempt) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout;
        let answer = timeout_at(deadline, self.exchange(attempt)).await.unwrap_or(Err(Failure::Timeout))?;
        // The message has been taken, whatever the body is like.
        let drained = deadline.min(Instant::now() + DRAIN);
        let _ = timeout_at(drained, drain(answer)).await;
        Ok(())
    }
}

/// Lets a well-behaved server finish its sentence: reads up to [`MAX_ANSWER_BYTES`] or to the first error.
async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read >= MAX_ANSWER_BYTES {
            break;
        }
    }
}

pub(crate) fn classify(error: &reqwest::Error) -> Failure {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
            return Failure::Refused(*refused);
        }
        source = cause.source();
    }
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Broken
    }
}

/// Turns a name into addresses. Blocks.
pub(crate) trait Lookup: Send + Sync + 'static {
    fn lookup(&self, name: &str) -> std::io::Result<Vec<SocketAddr>>;
}

pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        // Port 0: the connector puts in that of the URL.
        std::net::ToSocketAddrs::to_socket_addrs(&(name, 0)).map(Iterator::collect)
    }
}

/// Resolves names and lets only those addresses through that the policy allows. The connector connects to what comes
/// from here and to nothing else, so that there is no second look-up with another answer.
struct PolicyResolver<L> {
    policy: AddressPolicy,
    lookup: Arc<L>,
    permits: Arc<Semaphore>,
}

impl<L: Lookup> Resolve for PolicyResolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, lookup, permits) = (self.policy, Arc::clone(&self.lookup), Arc::clone(&self.permits));
        Box::pin(async move {
            let permit = permits.acquire_owned().await?;
            // The permit goes with the thread: giving up on a look-up does not end it.
            let found = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                lookup.lookup(name.as_str())
            });
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found.await?? {
                match policy.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match (allowed.is_empty(), refused) {
                (true, Some(error)) => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests;
