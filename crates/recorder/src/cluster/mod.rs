//! Several machines share tasks: when one dies, another goes on within ten seconds, under the next `ha<n>_` prefix.
//!
//! A task is a record in NATS JetStream key-value, held by one worker at a time as a lease that it renews. [`Cluster`]
//! creates, ends and lists tasks; [`Cluster::work`] records: new tasks and those of dead workers go to the worker with the
//! most room. Each worker has a spool of its own, which no other needs.
//!
//! Objects have one writer each: the prefix is in their names, and a change of the record, which its revision lets happen
//! once, gives it away. A holder that cannot renew its lease puts nothing and tells nothing more before another may take
//! the task; what it goes on to record is in its spool, and is put when the lease turns out to be still its own, or under
//! its old prefix when it is not.
//!
//! `docs/failover.md` has the whole of it.

mod core;
mod nats;
mod worker;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use async_nats;
use recorder_naming::HaRun;
use recorder_storage::{Bucket, SealKey};
use recorder_types::TaskId;
use serde_json::Value;

use self::core::{LeaseState, TaskLease, Written};
use self::nats::Leases;
pub use self::worker::{Assignment, Assignments, Worker};
use crate::shell::{Clock, ClockMode, Recorder, RecordingOptions, RecoverOptions, TaskRecord};
use crate::task::{EventError, TaskCore, TaskOptions};

/// Longest note of a task, in bytes of JSON.
const MAX_NOTE: usize = 64 << 10;

/// How often a change is tried while others change the same record.
const CHANGES: usize = 20;

/// Where the records of tasks are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// The key-value bucket, which all workers share: letters, digits, `-` and `_`. Default: `recorder`.
    pub bucket: String,
    /// Servers that keep each record, where the bucket is not there yet. Default 1; a NATS cluster of three wants 3.
    pub replicas: usize,
    /// Seals the keys of buckets in the records of tasks; workers open them with the same key
    /// ([`RecorderOptions::seal_key`](crate::RecorderOptions::seal_key)). Default: none, and no keys are in the records.
    pub seal_key: Option<SealKey>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { bucket: "recorder".into(), replicas: 1, seal_key: None }
    }
}

impl ClusterOptions {
    /// Sets [`ClusterOptions::bucket`].
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = bucket.into();
        self
    }

    /// Sets [`ClusterOptions::replicas`].
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets [`ClusterOptions::seal_key`].
    #[must_use]
    pub fn with_seal_key(mut self, key: SealKey) -> Self {
        self.seal_key = Some(key);
        self
    }
}

/// How a worker takes part.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// The worker's name, its own in the cluster and the same after a restart.
    pub name: WorkerName,
    /// Tasks that it records at a time.
    pub capacity: usize,
    /// How long a lease lasts without renewal: 1 s to 60 s, the same for all workers of a bucket. Default 4 s; a dead
    /// worker's task goes on after that and a fifth, and somewhat more.
    pub lease: LeaseTime,
    /// How buckets are opened, and what each recording is given: callbacks, uploader, the mix of a mixed one.
    pub recover: RecoverOptions,
}

impl WorkerOptions {
    /// Room for so many tasks, leases of 4 s.
    #[must_use]
    pub fn new(name: WorkerName, capacity: usize) -> Self {
        Self { name, capacity, lease: LeaseTime::default(), recover: RecoverOptions::default() }
    }

    /// Sets [`WorkerOptions::lease`].
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseTime) -> Self {
        self.lease = lease;
        self
    }

    /// Sets [`WorkerOptions::recover`].
    #[must_use]
    pub fn with_recover(mut self, recover: RecoverOptions) -> Self {
        self.recover = recover;
        self
    }
}

/// How long a lease lasts: 1 s to 60 s, 4 s by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTime(Duration);

impl LeaseTime {
    /// `None` outside of 1 s to 60 s.
    #[must_use]
    pub fn new(time: Duration) -> Option<Self> {
        (Duration::from_secs(1)..=Duration::from_secs(60)).contains(&time).then_some(Self(time))
    }

    /// The time.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Default for LeaseTime {
    fn default() -> Self {
        Self(Duration::from_secs(4))
    }
}

/// The name of a worker: 1 to 64 of `A-Z a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerName(Box<str>);

impl WorkerName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkerName {
    type Err = InvalidWorkerName;

    fn from_str(text: &str) -> Result<Self, InvalidWorkerName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(is_plain);
        if fits { Ok(Self(text.into())) } else { Err(InvalidWorkerName) }
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no [`WorkerName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a worker is 1 to 64 of A-Z a-z 0-9 - _")]
pub struct InvalidWorkerName;

/// A task of the cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterTask {
    /// Its id.
    pub task: TaskId,
    /// The prefix under which it is recorded.
    pub run: Option<HaRun>,
    /// Who has it, or had it last; `None` while it waits for somebody with room.
    pub worker: Option<Box<str>>,
    /// Whether it records, or is to as soon as somebody has taken it.
    pub records: bool,
}

/// The tasks that several machines share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cluster {
    leases: Leases,
    seal_key: Option<SealKey>,
}

impl Cluster {
    /// The tasks in a key-value bucket of NATS, which is made if it is not there. The client may reconnect for ever; TLS and
    /// credentials are its own.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`]: the server has no JetStream, does not answer or does not let this client in.
    pub async fn open(client: async_nats::Client, options: &ClusterOptions) -> Result<Self, ClusterError> {
        let leases = Leases::open(client, options).await?;
        Ok(Self { leases, seal_key: options.seal_key.clone() })
    }

    /// A new task, for the worker with the most room. `bucket` is told by its address without secrets: a worker opens it by
    /// itself where that is a directory, its keys come from the environment or are sealed
    /// ([`ClusterOptions::seal_key`]), and else as its [`RecoverOptions::with_bucket`] says. Of a mixed task each worker's
    /// [`RecoverOptions::with_adjust`] sets the mix. The note comes to whoever records it, with [`Assignment::note`]: how to reach
    /// the room, for example. It is readable to all who read the bucket, so that secrets do not belong in it.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn create(&self, task: &TaskOptions, bucket: &Bucket, note: Value) -> Result<(), ClusterError> {
        TaskCore::new(task.clone(), Clock::start(ClockMode::System).zero()).map_err(ClusterError::Task)?;
        let bytes = note.to_string().len();
        if bytes > MAX_NOTE {
            return Err(ClusterError::NoteTooLong { bytes });
        }
        let record =
            TaskRecord::new(&RecordingOptions::new(task.clone(), bucket.clone()), self.seal_key.as_ref());
        let record = serde_json::to_value(record).expect("it has only string keys");
        let lease =
            TaskLease { task: record, note, run: 0, state: LeaseState::Waiting, holder: None, stop: false };
        match self.leases.write(&task.task, 0, &lease).await {
            Written::Stored(_) => Ok(()),
            Written::Conflict => Err(ClusterError::TaskExists { task: task.task.clone() }),
            Written::Unknown => Err(ClusterError::unanswered()),
        }
    }

    /// Asks for the end of a task: whoever has it stops recording ([`recorder_callback::LeaveCode::API_STOP`]). Twice is
    /// once.
    ///
    /// # Errors
    /// [`ClusterError::NoTask`], also of a task that is over; [`ClusterError::Unavailable`].
    pub async fn stop(&self, task: &TaskId) -> Result<(), ClusterError> {
        for _ in 0..CHANGES {
            let found = self.leases.read(task).await.ok_or_else(ClusterError::unanswered)?;
            let Some((revision, Some(lease))) = found else {
                return Err(ClusterError::NoTask { task: task.clone() });
            };
            if lease.stop {
                return Ok(());
            }
            if let Written::Stored(_) =
                self.leases.write(task, revision, &TaskLease { stop: true, ..lease }).await
            {
                return Ok(());
            }
        }
        Err(ClusterError::unanswered())
    }

    /// The tasks that are not over, in order of their ids.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`].
    pub async fn tasks(&self) -> Result<Vec<ClusterTask>, ClusterError> {
        let all = self.leases.all().await?;
        Ok(all
            .into_iter()
            .map(|(task, lease)| ClusterTask {
                task,
                run: HaRun::new(lease.run),
                worker: lease.holder.map(|holder| holder.worker.into()),
                records: matches!(lease.state, LeaseState::Waiting | LeaseState::Recording),
            })
            .collect())
    }

    /// Records tasks by `recorder`, whose spool is no other worker's. What an earlier process has left there is taken up:
    /// it goes on if the task is still this worker's, else it is delivered.
    ///
    /// # Errors
    /// [`recorder_storage::SpoolError`] if the spool cannot be read.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    pub fn work(
        &self,
        recorder: Recorder,
        options: WorkerOptions,
    ) -> Result<(Worker, Assignments), recorder_storage::SpoolError> {
        worker::begin(self.leases.clone(), recorder, options)
    }
}

/// Why the cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The caller's options make no task.
    #[error("this task cannot be recorded")]
    Task(#[source] EventError),
    /// The caller's id is another task's: take a new one.
    #[error("there is a task {task} already")]
    TaskExists {
        /// The id.
        task: TaskId,
    },
    /// There is no such task, or it is over.
    #[error("there is no task {task}")]
    NoTask {
        /// The id.
        task: TaskId,
    },
    /// A limit: 64 KiB of JSON.
    #[error("the note has {bytes} bytes of JSON, over the limit of {MAX_NOTE}")]
    NoteTooLong {
        /// What it has.
        bytes: usize,
    },
    /// NATS does not answer, has no JetStream, or refuses. Whether something was changed is not known.
    #[error("the NATS server does not do it")]
    Unavailable {
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClusterError {
    fn unanswered() -> Self {
        Self::Unavailable { source: "no answer".into() }
    }
}
