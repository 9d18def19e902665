use std::fmt;
use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use crate::transport::{Failure, SystemLookup, classify, guarded};
use crate::{AddressPolicy, RefusedAddress};

/// What a [`Fetcher`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetcherOptions {
    /// To which addresses a URL may lead. Default: the public Internet only.
    pub policy: AddressPolicy,
    /// The longest file, in bytes. Default 5 MB.
    pub max_bytes: usize,
    /// For all of it, from the look-up of the name to the last byte. Default 5 s.
    pub timeout: Duration,
}

impl Default for FetcherOptions {
    fn default() -> Self {
        Self { policy: AddressPolicy::PublicOnly, max_bytes: 5_000_000, timeout: Duration::from_secs(5) }
    }
}

impl FetcherOptions {
    /// With [`Self::policy`].
    #[must_use]
    pub const fn with_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// With [`Self::max_bytes`].
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// With [`Self::timeout`].
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Fetches small files that a request names, under the same policy as callbacks: `http` and `https`, no redirects, no
/// proxy, no user name, one try.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    options: FetcherOptions,
}

impl Fetcher {
    /// A fetcher by `options`.
    ///
    /// # Errors
    /// [`FetchError::Client`].
    pub fn new(options: FetcherOptions) -> Result<Self, FetchError> {
        let client = guarded(options.policy, SystemLookup, options.timeout).build();
        Ok(Self { client: client.map_err(FetchError::Client)?, options })
    }

    /// The bytes behind `url`.
    ///
    /// # Errors
    /// [`FetchError`]. Nothing of the URL or the answer is in it, so that it can be logged.
    pub async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let url = ::url::Url::parse(url).map_err(|_| FetchError::Url)?;
        let named = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || named {
            return Err(FetchError::Url);
        }
        self.options.policy.check_host(&url)?;
        timeout(self.options.timeout, self.exchange(url)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn exchange(&self, url: ::url::Url) -> Result<Vec<u8>, FetchError> {
        let answer = self.client.get(url).send().await.map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => self.body(answer).await,
            status => Err(FetchError::Status { status }),
        }
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, FetchError> {
        let limit = self.options.max_bytes;
        let told = answer.content_length().and_then(|len| usize::try_from(len).ok());
        if told.is_some_and(|len| len > limit) {
            return Err(FetchError::TooLong { limit });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if chunk.len() > limit - body.len() {
                return Err(FetchError::TooLong { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn failed(error: &reqwest::Error) -> FetchError {
    match classify(error) {
        Failure::Timeout => FetchError::Timeout,
        Failure::Refused(refused) => FetchError::Refused(refused),
        Failure::Connect => FetchError::Connect,
        Failure::Status(status) => FetchError::Status { status },
        Failure::Broken => FetchError::Broken,
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not an address of `http` or `https` without a user name: who wrote it has to change it.
    #[error("not an http or https address without a user name")]
    Url,
    /// The policy refuses the address.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    /// The file is over the limit.
    #[error("the file has more than {limit} bytes")]
    TooLong {
        /// The most, in bytes.
        limit: usize,
    },
    /// The server gives something else than the file.
    #[error("status {status}")]
    Status {
        /// Of the answer.
        status: u16,
    },
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// There is nobody at the address.
    #[error("cannot connect")]
    Connect,
    /// The connection broke off.
    #[error("the connection broke")]
    Broken,
    /// The system lacks something that HTTP needs.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn fetcher(policy: AddressPolicy) -> Fetcher {
        let options = FetcherOptions::default().with_policy(policy).with_max_bytes(1000);
        Fetcher::new(options.with_timeout(Duration::from_millis(400))).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_fetched_within_its_limits() {
        let server = MockServer::start().await;
        let body = |len| ResponseTemplate::new(200).set_body_bytes(vec![7; len]);
        let moved = ResponseTemplate::new(302).insert_header("Location", "/fits");
        for (name, answer) in [
            ("/fits", body(1000)),
            ("/long", body(1001)),
            ("/slow", body(10).set_delay(Duration::from_secs(5))),
            ("/moved", moved),
        ] {
            Mock::given(path(name)).respond_with(answer).mount(&server).await;
        }
        let fetcher = fetcher(AddressPolicy::AllowPrivate);
        let fetch = async |name: &str| fetcher.fetch(&format!("{}{name}", server.uri())).await;
        assert_eq!(fetch("/fits").await.unwrap(), vec![7; 1000]);
        assert!(matches!(fetch("/long").await, Err(FetchError::TooLong { limit: 1000 })));
        assert!(matches!(fetch("/slow").await, Err(FetchError::Timeout)));
        assert!(matches!(fetch("/moved").await, Err(FetchError::Status { status: 302 })));
        assert!(matches!(fetch("/none").await, Err(FetchError::Status { status: 404 })));
    }

    #[tokio::test]
    async fn a_body_that_hides_its_length_is_cut_off() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[0; 4096]).await.is_ok() {}
        });
        let fetched = fetcher(AddressPolicy::AllowPrivate).fetch(&format!("http://{address}/x")).await;
        assert!(matches!(fetched, Err(FetchError::TooLong { .. })), "{fetched:?}");
    }

    #[tokio::test]
    async fn private_addresses_and_other_schemes_are_refused() {
        let fetcher = fetcher(AddressPolicy::PublicOnly);
        for url in [
            "http://127.0.0.1:1/a.png",
            "http://0x7f.1/a.png",
            "http://[::1]/a.png",
            "http://localhost/a.png",
        ] {
            assert!(matches!(fetcher.fetch(url).await, Err(FetchError::Refused(_))), "{url}");
        }
        for url in ["file:///etc/passwd", "ftp://h/a.png", "a.png", "http://u:p@h/a.png", ""] {
            assert!(matches!(fetcher.fetch(url).await, Err(FetchError::Url)), "{url}");
        }
    }
}
