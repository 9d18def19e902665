//! The records of tasks in NATS JetStream key-value: reads, writes by revision, and what changes.

use std::pin::Pin;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::kv::{Entry, Operation, Store, UpdateError, UpdateErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{Context, ContextBuilder};
use futures_util::{Stream, StreamExt as _};
use recorder_types::TaskId;
use serde::{Deserialize, Serialize};

use super::core::{TaskLease, Written};
use super::{ClusterError, ClusterOptions};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

const TASKS: &str = "task.";
const WORKERS: &str = "worker.";

/// What a worker tells of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) capacity: usize,
}

/// What changes in the store.
#[derive(Debug)]
pub(super) enum Seen {
    Task { task: TaskId, revision: u64, lease: Option<TaskLease> },
    Worker { name: String, revision: u64, capacity: Option<usize> },
}

#[derive(Clone, Debug)]
pub(super) struct Leases {
    client: Client,
    store: Store,
}

pub(super) type Watch = Pin<Box<dyn Stream<Item = Seen> + Send>>;

impl Leases {
    pub(super) async fn open(client: Client, options: &ClusterOptions) -> Result<Self, ClusterError> {
        let context: Context = ContextBuilder::new().timeout(PATIENCE).build(client.clone());
        let bucket = &options.bucket;
        let unavailable =
            |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Unavailable { source };
        // A key-value bucket by hand: older servers do not take all that `create_key_value` asks for. Reads go to the
        // leader, which has every write.
        let config = Config {
            name: format!("KV_{bucket}"),
            subjects: vec![format!("$KV.{bucket}.>")],
            max_messages_per_subject: 1,
            allow_rollup: true,
            deny_delete: false,
            allow_direct: false,
            discard: DiscardPolicy::New,
            num_replicas: options.replicas,
            ..Config::default()
        };
        context.get_or_create_stream(config).await.map_err(|error| unavailable(error.into()))?;
        let store = context.get_key_value(bucket).await.map_err(|error| unavailable(error.into()))?;
        Ok(Self { client, store })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Stores the record if its revision is `expected` (0: there is none).
    pub(super) async fn write(&self, task: &TaskId, expected: u64, lease: &TaskLease) -> Written {
        if !self.is_connected() {
            return Written::Unknown; // the client would send it whenever the server is back
        }
        let value = serde_json::to_vec(lease).expect("a record has only string keys");
        match self.store.update(key_of(task), value.into(), expected).await {
            Ok(revision) => Written::Stored(revision),
            Err(error) => refused(&error),
        }
    }

    /// Removes the record if its revision is `expected`.
    pub(super) async fn remove(&self, task: &TaskId, expected: u64) -> Written {
        if !self.is_connected() {
            return Written::Unknown;
        }
        let key = key_of(task);
        if let Err(error) = self.store.delete_expect_revision(&key, Some(expected)).await {
            return refused(&error);
        }
        Written::Stored(0)
    }

    /// Removes the mark that a removed record has left.
    pub(super) async fn sweep(&self, task: &TaskId) {
        let key = key_of(task);
        let Ok(Some(Entry { operation: Operation::Delete | Operation::Purge, revision, .. })) =
            self.store.entry(&key).await
        else {
            return;
        };
        let subject = format!("{}{key}", self.store.prefix);
        // A newer record of the name stays. One that is not swept is one small message more.
        let _ = self.store.stream.purge().filter(subject).sequence(revision.saturating_add(1)).await;
    }

    /// The record and its revision, as far as the server answers.
    pub(super) async fn read(&self, task: &TaskId) -> Option<Option<(u64, Option<TaskLease>)>> {
        let entry = self.store.entry(key_of(task)).await.ok()?;
        Some(entry.and_then(|entry| match seen(&entry) {
            Some(Seen::Task { revision, lease, .. }) => Some((revision, lease)),
            _ => None,
        }))
    }

    pub(super) async fn announce(&self, worker: &str, announcement: &Announcement) {
        if self.is_connected() {
            let value = serde_json::to_vec(announcement).expect("a record has only string keys");
            // The next one comes soon.
            let _ = self.store.put(format!("{WORKERS}{worker}"), value.into()).await;
        }
    }

    pub(super) async fn retire(&self, worker: &str) {
        // Whoever is silent is forgotten by the others as well.
        let _ = self.store.delete(format!("{WORKERS}{worker}")).await;
    }

    /// Every record as it is, then each change; ends when it breaks.
    pub(super) async fn watch(&self) -> Option<Watch> {
        let watch = self.store.watch_with_history(">").await.ok()?;
        let whole = watch.take_while(|entry| std::future::ready(entry.is_ok()));
        Some(Box::pin(whole.filter_map(|entry| std::future::ready(entry.ok().as_ref().and_then(seen)))))
    }

    /// The records of all tasks.
    pub(super) async fn all(&self) -> Result<Vec<(TaskId, TaskLease)>, ClusterError> {
        let unavailable =
            |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Unavailable { source };
        let mut keys = self.store.keys().await.map_err(|error| unavailable(error.into()))?;
        let mut found = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(|error| unavailable(error.into()))?;
            let Some(Ok(task)) = key.strip_prefix(TASKS).map(str::parse) else { continue };
            if let Some(Some((_, Some(lease)))) = self.read(&task).await {
                found.push((task, lease));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}

fn key_of(task: &TaskId) -> String {
    format!("{TASKS}{task}")
}

fn refused(error: &UpdateError) -> Written {
    match error.kind() {
        UpdateErrorKind::WrongLastRevision => Written::Conflict,
        _ => Written::Unknown,
    }
}

/// `None` for what this version does not know.
fn seen(entry: &Entry) -> Option<Seen> {
    let (revision, is_there) = (entry.revision, entry.operation == Operation::Put);
    if let Some(task) = entry.key.strip_prefix(TASKS) {
        let task = task.parse().ok()?;
        let lease = if is_there {
            match serde_json::from_slice(&entry.value) {
                Ok(lease) => Some(lease),
                Err(error) => {
                    tracing::warn!(task_id = %task, %error, "a record of another version is left alone");
                    return None;
                }
            }
        } else {
            None
        };
        return Some(Seen::Task { task, revision, lease });
    }
    let name = entry.key.strip_prefix(WORKERS)?.to_owned();
    let capacity = if is_there {
        Some(serde_json::from_slice::<Announcement>(&entry.value).ok()?.capacity)
    } else {
        None
    };
    Some(Seen::Worker { name, revision, capacity })
}
