use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use recorder_types::{SdkAppId, TaskId, UnixMillis};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::queue::{Ended, Message, Outcome, Pushed, QueueOptions, Step, TaskQueue};
use crate::transport::{Failure, Http, Transport};
use crate::{AddressPolicy, CallbackBody, CallbackKey, CallbackUrl, Event, EventType, RefusedAddress, sign};

/// Settings of a [`Deliverer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DelivererOptions {
    /// To which addresses the URL may lead: public ones.
    pub policy: AddressPolicy,
    /// Longest attempt, from the look-up of the name to the end of the answer: 5 s.
    pub timeout: Duration,
    /// Bounds and schedule of each task's queue.
    pub queue: QueueOptions,
    /// Most bytes of messages of all tasks together: 32 MiB.
    pub max_bytes: usize,
}

impl DelivererOptions {
    /// The same with another address policy.
    #[must_use]
    pub const fn with_policy(self, policy: AddressPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The same with another time limit for an attempt.
    #[must_use]
    pub const fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same with other bounds for each task.
    #[must_use]
    pub const fn with_queue(self, queue: QueueOptions) -> Self {
        Self { queue, ..self }
    }

    /// The same with another bound for all tasks.
    #[must_use]
    pub const fn with_max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }
}

impl Default for DelivererOptions {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::PublicOnly,
            timeout: Duration::from_secs(5),
            queue: QueueOptions::default(),
            max_bytes: 32 << 20,
        }
    }
}

/// Posts events to one address, in order for each task, and tries again on the service's schedule.
///
/// [`Deliverer::send`] puts an event into the queue of its task and returns: a dead or slow endpoint costs the caller
/// nothing and other tasks no delay. What the queues may hold is bounded; see [`TaskQueue`] for what goes when they
/// are full. Each task with messages has one tokio task, which ends when its queue is empty.
///
/// Only status 200 counts as an answer. Redirects are not followed, proxies of the environment are not used, and at
/// most 2000 bytes of an answer's body are read. The key, the path and the query of the URL are not logged.
///
/// Clones are handles to the same queues. Dropping the last one stops nothing: what is queued is still sent, as long
/// as the runtime lives. A process that ends calls [`Deliverer::flush`] first.
#[derive(Clone)]
pub struct Deliverer {
    shared: Arc<Shared<Http>>,
    key: Option<CallbackKey>,
    url: CallbackUrl,
}

impl Deliverer {
    /// A deliverer for the tokio runtime that this is called on. Without a key there is no `Sign` header.
    ///
    /// # Errors
    /// [`DeliverError`] outside a runtime, or for a URL that cannot be used. A name in the URL is resolved later, for
    /// each attempt.
    pub fn new(
        url: CallbackUrl,
        key: Option<CallbackKey>,
        app: SdkAppId,
        options: DelivererOptions,
    ) -> Result<Self, DeliverError> {
        let runtime = Handle::try_current().map_err(|_| DeliverError::NoRuntime)?;
        let parsed = ::url::Url::parse(url.as_str()).map_err(DeliverError::Url)?;
        options.policy.check_host(&parsed)?;
        let http = Http::new(parsed, app, options.policy, options.timeout)
            .map_err(|error| DeliverError::Client(error.without_url().into()))?;
        Ok(Self { shared: Arc::new(Shared::new(http, runtime, options)), key, url })
    }

    /// Queues `event`; the message is made now, by the system's clock.
    pub fn send(&self, event: Event) -> Sent {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        self.send_body(&CallbackBody::new(event, UnixMillis::new(millis).unwrap_or(UnixMillis::MAX)))
    }

    /// Queues a message whose `CallbackTs` the caller has set.
    pub fn send_body(&self, body: &CallbackBody) -> Sent {
        let bytes = body.to_json_bytes();
        let signature = self.key.as_ref().map(|key| sign(key, &bytes));
        let message = Message::new(body.event().event_type(), bytes, signature, self.shared.now());
        Shared::push(&self.shared, body.event().task(), message)
    }

    /// Waits until every message, also those that are sent meanwhile, was delivered or given up.
    ///
    /// With a dead endpoint that takes a minute for the first message of each task, and one attempt for each of the
    /// rest. Set a time limit around it if that is too long; what is left goes on in the background.
    pub async fn flush(&self) {
        self.shared.flush(None).await;
    }

    /// Waits until the queue of one task is empty.
    pub async fn flush_task(&self, task: &TaskId) {
        self.shared.flush(Some(task)).await;
    }

    /// Refuses new events from now on, in every clone, then waits as [`Deliverer::flush`] does. Gives the final counts.
    pub async fn finish(&self) -> Counts {
        self.shared.lock().finished = true;
        self.flush().await;
        self.counts()
    }

    /// What has become of the messages so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        Counts { pending: state.tasks.values().map(TaskQueue::len).sum(), ..state.counts }
    }
}

impl fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliverer")
            .field("url", &self.url)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an event that was refused will not be delivered"]
pub enum Sent {
    /// It waits for its turn.
    Queued,
    /// It was dropped: the queues are full, or the deliverer is finished. It is counted and logged.
    Refused,
}

/// How many messages went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Answered with status 200.
    pub delivered: u64,
    /// Dropped because they were too old to be tried again.
    pub given_up: u64,
    /// Dropped because the queues were full or the deliverer finished, messages displaced by results included.
    pub refused: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Waiting or being tried.
    pub pending: usize,
}

/// Why there is no [`Deliverer`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The caller is not on a tokio runtime.
    #[error("a deliverer needs a tokio runtime")]
    NoRuntime,
    /// The URL has the right characters but is no URL, for example for its port.
    #[error("the callback URL cannot be parsed")]
    Url(#[source] ::url::ParseError),
    /// The URL names an address that [`DelivererOptions::policy`] refuses.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    /// The environment: no TLS, for example for lack of root certificates.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

struct Shared<T> {
    transport: T,
    runtime: Handle,
    zero: Instant,
    options: DelivererOptions,
    state: Mutex<State>,
    /// Told whenever a queue becomes empty.
    emptied: Notify,
}

#[derive(Default)]
struct State {
    /// The tasks with messages; each has a worker exactly as long as it is here.
    tasks: HashMap<TaskId, TaskQueue>,
    bytes: usize,
    counts: Counts,
    finished: bool,
}

impl<T: Transport> Shared<T> {
    fn new(transport: T, runtime: Handle, options: DelivererOptions) -> Self {
        Self {
            transport,
            runtime,
            zero: Instant::now(),
            options,
            state: Mutex::default(),
            emptied: Notify::new(),
        }
    }

    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// The state is changed by whole steps only: after a panic elsewhere it is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(this: &Arc<Self>, task: &TaskId, message: Message) -> Sent {
        let event_type = message.event_type();
        let mut state = this.lock();
        let (pushed, is_new) = state.push(task, message, &this.options);
        drop(state);

        if is_new {
            this.runtime.spawn(Self::work(Arc::clone(this), task.clone()));
        }
        match pushed {
            Pushed::Queued => Sent::Queued,
            Pushed::Displaced(count) => {
                tracing::warn!(%task, %event_type, count, "callback queue is full: events of progress dropped for a result");
                Sent::Queued
            }
            Pushed::Refused => {
                tracing::warn!(%task, %event_type, "callback queue is full or finished: event dropped");
                Sent::Refused
            }
        }
    }

    /// Tries the messages of one task until there are none.
    async fn work(this: Arc<Self>, task: TaskId) {
        loop {
            let step = this.lock().step(&task, this.now());
            match step {
                Step::Attempt(attempt) => {
                    let (event_type, number) = (attempt.event_type, attempt.number);
                    let result = this.transport.post(attempt).await;
                    let outcome = if result.is_ok() { Outcome::Delivered } else { Outcome::Failed };
                    let ended = this.lock().ended(&task, outcome, this.now());
                    report(&task, event_type, number, result, ended);
                }
                Step::WaitUntil(at) => tokio::time::sleep_until(this.zero + at).await,
                // A worker waits for its own attempts, and is the only one of its task: `Running` does not occur.
                Step::Idle | Step::Running => break,
            }
        }
        this.emptied.notify_waiters();
    }

    /// Waits until the queue of `task`, or every queue, is empty.
    async fn flush(&self, task: Option<&TaskId>) {
        loop {
            let emptied = self.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            emptied.as_mut().enable(); // from here on no notice is missed
            let empty = {
                let state = self.lock();
                task.map_or(state.tasks.is_empty(), |task| !state.tasks.contains_key(task))
            };
            if empty {
                return;
            }
            emptied.await;
        }
    }
}

impl State {
    /// Also says whether the task is new here and needs a worker.
    fn push(&mut self, task: &TaskId, message: Message, options: &DelivererOptions) -> (Pushed, bool) {
        if self.finished {
            self.counts.refused += 1;
            return (Pushed::Refused, false);
        }
        let budget = options.max_bytes.saturating_sub(self.bytes);
        let known = self.tasks.contains_key(task);
        let queue = self.tasks.entry(task.clone()).or_insert_with(|| TaskQueue::new(options.queue));
        let before = queue.bytes();
        let pushed = queue.push_within(message, budget);
        self.bytes = self.bytes - before + queue.bytes();
        if queue.is_empty() {
            self.tasks.remove(task); // refused as the first
        }
        self.counts.refused += match pushed {
            Pushed::Queued => 0,
            Pushed::Displaced(count) => u64::try_from(count).unwrap_or(u64::MAX),
            Pushed::Refused => 1,
        };
        (pushed, !known && pushed != Pushed::Refused)
    }

    /// What the worker of `task` does next. A task that is idle is forgotten in the same breath, so that the next
    /// message finds either a worker or no task.
    fn step(&mut self, task: &TaskId, now: Duration) -> Step {
        let step = self.tasks.get_mut(task).map_or(Step::Idle, |queue| queue.step(now));
        if step == Step::Idle {
            self.tasks.remove(task);
        }
        step
    }

    fn ended(&mut self, task: &TaskId, outcome: Outcome, at: Duration) -> Option<Ended> {
        let queue = self.tasks.get_mut(task)?;
        let before = queue.bytes();
        let ended = queue.ended(outcome, at);
        self.bytes = self.bytes - before + queue.bytes();
        self.counts.failed_attempts += u64::from(outcome == Outcome::Failed);
        self.counts.delivered += u64::from(ended == Some(Ended::Delivered));
        self.counts.given_up += u64::from(ended == Some(Ended::GivenUp));
        ended
    }
}

fn report(
    task: &TaskId,
    event_type: EventType,
    attempt: u32,
    result: Result<(), Failure>,
    ended: Option<Ended>,
) {
    match (result, ended) {
        (Err(failure), Some(Ended::GivenUp)) => {
            tracing::warn!(%task, %event_type, attempt, %failure, "callback given up");
        }
        (Err(failure), _) => {
            tracing::debug!(%task, %event_type, attempt, %failure, "callback attempt failed")
        }
        (Ok(()), _) => tracing::debug!(%task, %event_type, attempt, "callback delivered"),
    }
}

#[cfg(test)]
mod tests;
