//! The shell around [`ClusterCore`]: it waits, tells the core, does what the core wants.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use recorder_callback::LeaveCode;
use recorder_naming::HaRun;
use recorder_storage::{Lease, LeaseKeeper, SpoolError};
use recorder_types::TaskId;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::WorkerOptions;
use super::core::{Action, Beginning, ClusterCore, Holder, TaskLease, Timing, Written};
use super::nats::{Announcement, Leases, Seen, Watch};
use crate::shell::{
    Fate, Recorder, Recording, RecordingOptions, RecoverError, RecoverOptions, TakeOver, TaskRecord,
};
use crate::task::{TaskOptions, TaskState};

/// Time between two looks at the leases.
const TICK: Duration = Duration::from_millis(100);
/// Time between two looks at whether a recording has ended.
const LOOK: Duration = Duration::from_millis(250);
/// Time before what could not be delivered is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Time after which nobody needs the mark of a removed record any more.
const SWEEP_AFTER: Duration = Duration::from_secs(120);

/// A task that this worker records from now on, with nobody in its room yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assignment {
    /// What is recorded, under which prefix.
    pub task: TaskOptions,
    /// What [`super::Cluster::create`] was told.
    pub note: Value,
    /// The prefix; `None` for a task that nobody has recorded before.
    pub run: Option<HaRun>,
    /// The door for the room's events. It is closed ([`crate::SendError::Ended`]) when the task ends or is lost to another
    /// worker: leave the room then.
    pub recording: Recording,
}

/// What a worker is given to record, in order. The worker goes on when this is dropped.
#[derive(Debug)]
pub struct Assignments(mpsc::UnboundedReceiver<Assignment>);

impl Assignments {
    /// The next one; `None` when the worker is over.
    pub async fn next(&mut self) -> Option<Assignment> {
        self.0.recv().await
    }
}

/// A worker of a cluster. Dropped, it goes on as long as its runtime.
#[derive(Debug)]
pub struct Worker {
    leave: mpsc::UnboundedSender<oneshot::Sender<()>>,
    over: JoinHandle<()>,
}

impl Worker {
    /// Takes no more tasks, gives away those it records (they go on elsewhere at once, under the next prefix), delivers
    /// what is left, and ends. Where the store or NATS is away this takes as long: give it a limit, and the spool is taken
    /// up by the next process with it.
    pub async fn leave(self) {
        let (answer, done) = oneshot::channel();
        if self.leave.send(answer).is_ok() {
            // An error is that it is over already.
            let _ = done.await;
        }
        let _ = self.over.await;
    }
}

/// What comes back from what was begun.
#[derive(Debug)]
enum Came {
    Written {
        task: TaskId,
        how: Written,
    },
    Read {
        task: TaskId,
        found: Option<(u64, Option<TaskLease>)>,
    },
    Began {
        task: TaskId,
        note: Value,
        begun: Box<Result<Begun, RecoverError>>,
    },
    /// The recording has told its end.
    Stopped {
        task: TaskId,
    },
    /// Its thread is over.
    Over {
        task: TaskId,
    },
    Delivered {
        task: TaskId,
    },
    NotDelivered {
        task: TaskId,
    },
}

/// A recording that was taken up.
#[derive(Debug)]
struct Begun {
    task: TaskOptions,
    recording: Recording,
    /// Nothing more is recorded.
    ends: bool,
}

struct Held {
    keeper: LeaseKeeper,
    lost: bool,
    /// Its end was asked for before it had begun.
    stop: bool,
    recording: Option<Recording>,
}

struct Shell {
    leases: Leases,
    recorder: Recorder,
    options: WorkerOptions,
    core: ClusterCore,
    held: HashMap<TaskId, Held>,
    came: mpsc::UnboundedSender<Came>,
    assignments: mpsc::UnboundedSender<Assignment>,
    connected: bool,
}

pub(super) fn begin(
    leases: Leases,
    recorder: Recorder,
    options: WorkerOptions,
) -> Result<(Worker, Assignments), SpoolError> {
    let session = RandomState::new().build_hasher().finish();
    let me = Holder { worker: options.name.as_str().into(), session };
    let mut core = ClusterCore::new(me, options.capacity, Timing::new(options.lease.get()));
    for left in recorder.unfinished()? {
        core.left(Lease::now(), &left.task, left.run, left.stopped);
    }
    let (assignments, outbox) = mpsc::unbounded_channel();
    let (came, inbox) = mpsc::unbounded_channel();
    let (leave, leaving) = mpsc::unbounded_channel();
    let held = HashMap::new();
    let shell = Shell { leases, recorder, options, core, held, came, assignments, connected: false };
    let over = tokio::spawn(shell.run(inbox, leaving));
    Ok((Worker { leave, over }, Assignments(outbox)))
}

impl Shell {
    async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Came>,
        mut leaving: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ) {
        let mut watch: Option<Watch> = None;
        let mut opening: Option<Pin<Box<dyn Future<Output = Option<Watch>> + Send>>> = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut answer: Option<oneshot::Sender<()>> = None;
        let mut open = true;
        loop {
            let connected = self.leases.is_connected();
            if connected && watch.is_none() && opening.is_none() {
                let leases = self.leases.clone();
                opening = Some(Box::pin(async move { leases.watch().await }));
            } else if !connected && std::mem::take(&mut self.connected) {
                watch = None;
                self.core.disconnected();
                tracing::warn!("NATS is away: nothing is taken until it is back");
            }
            tokio::select! {
                Some(came) = inbox.recv() => self.take(came),
                opened = async { opening.as_mut().expect("checked by the guard").await }, if opening.is_some() => {
                    opening = None;
                    watch = opened;
                    if watch.is_some() && !std::mem::replace(&mut self.connected, true) {
                        self.core.connected(Lease::now());
                    }
                }
                seen = async { watch.as_mut().expect("checked by the guard").next().await }, if watch.is_some() => {
                    match seen {
                        Some(seen) => self.see(seen),
                        None => watch = None,
                    }
                }
                asked = leaving.recv(), if open => match asked {
                    Some(asked) => {
                        answer = Some(asked);
                        self.core.release(Lease::now());
                    }
                    None => open = false,
                },
                _ = tick.tick() => self.core.tick(Lease::now()),
            }
            self.act();
            if self.held.is_empty()
                && self.core.is_idle()
                && let Some(answer) = answer.take()
            {
                self.leases.retire(self.options.name.as_str()).await;
                // Whoever asked may have gone.
                let _ = answer.send(());
                return;
            }
        }
    }

    fn see(&mut self, seen: Seen) {
        let now = Lease::now();
        match seen {
            Seen::Task { task, revision, lease } => self.core.observed(now, &task, revision, lease),
            Seen::Worker { name, revision, capacity: Some(capacity) } => {
                self.core.announced(now, &name, revision, capacity);
            }
            Seen::Worker { name, .. } => self.core.went(&name),
        }
    }

    fn take(&mut self, came: Came) {
        let now = Lease::now();
        match came {
            Came::Written { task, how } => self.core.written(now, &task, how),
            Came::Read { task, found } => self.core.read(now, &task, found),
            Came::Began { task, note, begun } => match *begun {
                Ok(begun) => self.began(task, note, begun),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(task_id = %task, error, "the task cannot be recorded here");
                    self.held.remove(&task);
                    self.core.unable(now, &task);
                    self.look_for_left(&task);
                }
            },
            Came::Stopped { task } => {
                if self.held.get(&task).is_some_and(|held| !held.lost) {
                    self.core.stopped(now, &task);
                }
            }
            Came::Over { task } => {
                if self.held.remove(&task).is_some_and(|held| !held.lost) {
                    self.core.closed(now, &task);
                }
                self.look_for_left(&task);
            }
            Came::Delivered { task } => self.core.delivered(&task),
            Came::NotDelivered { task } => self.look_for_left(&task),
        }
    }

    /// Tells the core of what is in the spool of a task that nobody records here any more.
    fn look_for_left(&mut self, task: &TaskId) {
        match self.recorder.unfinished_task(task) {
            Some(left) => self.core.left(Lease::now(), task, left.run, left.stopped),
            None => self.core.delivered(task),
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.core.poll() {
            match action {
                Action::Write { task, expected, lease } => {
                    let (leases, came) = (self.leases.clone(), self.came.clone());
                    tokio::spawn(async move {
                        let how = leases.write(&task, expected, &lease).await;
                        let _ = came.send(Came::Written { task, how });
                    });
                }
                Action::Remove { task, expected } => {
                    let (leases, came) = (self.leases.clone(), self.came.clone());
                    tokio::spawn(async move {
                        let how = leases.remove(&task, expected).await;
                        let _ = came.send(Came::Written { task: task.clone(), how });
                        if let Written::Stored(_) = how {
                            tokio::time::sleep(SWEEP_AFTER).await;
                            leases.sweep(&task).await;
                        }
                    });
                }
                Action::Read { task } => {
                    let (leases, came) = (self.leases.clone(), self.came.clone());
                    tokio::spawn(async move {
                        if let Some(found) = leases.read(&task).await {
                            let _ = came.send(Came::Read { task, found });
                        }
                    });
                }
                Action::Announce { capacity } => {
                    let (leases, name) = (self.leases.clone(), self.options.name.clone());
                    tokio::spawn(async move {
                        leases.announce(name.as_str(), &Announcement { capacity }).await;
                    });
                }
                Action::Start { task, lease, how, until } => self.start(task, *lease, how, until),
                Action::Extend { task, until } => {
                    if let Some(held) = self.held.get(&task) {
                        held.keeper.extend(until);
                    }
                }
                Action::Stop { task } => self.stop(&task),
                Action::Revoke { task } => {
                    if let Some(held) = self.held.get_mut(&task) {
                        tracing::warn!(task_id = %task, "the task is another worker's now");
                        held.keeper.revoke();
                        held.lost = true;
                    }
                }
                Action::Deliver { task, elsewhere } => self.deliver(task, elsewhere),
            }
        }
    }

    fn stop(&mut self, task: &TaskId) {
        let Some(held) = self.held.get_mut(task) else { return };
        let Some(recording) = held.recording.clone() else {
            held.stop = true;
            return;
        };
        tokio::spawn(async move {
            // Where time is told, whoever tells it ends it.
            let _ = recording.stop().await;
        });
    }

    fn start(&mut self, task: TaskId, record: TaskLease, how: Beginning, until: Duration) {
        let (keeper, lease) = Lease::new(until);
        self.held.insert(task.clone(), Held { keeper, lost: false, stop: false, recording: None });
        let (recorder, came) = (self.recorder.clone(), self.came.clone());
        let recover = leased(self.options.recover.clone(), lease);
        tokio::task::spawn_blocking(move || {
            let begun = Box::new(take_up(&recorder, &task, &record, how, &recover));
            let _ = came.send(Came::Began { task, note: record.note, begun });
        });
    }

    fn began(&mut self, task: TaskId, note: Value, begun: Begun) {
        let recording = begun.recording.clone();
        let came = self.came.clone();
        tokio::spawn({
            let task = task.clone();
            async move {
                let has_ended = async {
                    while recording.describe().await.is_some_and(|status| status.state != TaskState::Exited) {
                        tokio::time::sleep(LOOK).await;
                    }
                };
                tokio::select! {
                    () = has_ended => {
                        let _ = came.send(Came::Stopped { task: task.clone() });
                        recording.closed().await;
                    }
                    () = recording.closed() => {}
                }
                let _ = came.send(Came::Over { task });
            }
        });
        if let Some(held) = self.held.get_mut(&task) {
            held.recording = Some(begun.recording.clone());
            if std::mem::take(&mut held.stop) {
                self.stop(&task);
            }
        }
        if !begun.ends {
            let run = begun.task.ha_run;
            let given = Assignment { task: begun.task, note, run, recording: begun.recording };
            // Nobody has to take them.
            let _ = self.assignments.send(given);
        }
    }

    fn deliver(&self, task: TaskId, elsewhere: bool) {
        let how = self.options.recover.clone();
        let how = if elsewhere { how.elsewhere() } else { how.ending() };
        let (recorder, came) = (self.recorder.clone(), self.came.clone());
        tokio::spawn(async move {
            let of = task.clone();
            let recovered = tokio::task::spawn_blocking(move || recorder.recover_task(&of, &how)).await;
            let fate = match recovered {
                Ok(Ok(None)) => return drop(came.send(Came::Delivered { task })),
                Ok(Ok(Some(recovered))) => recovered.fate,
                Ok(Err(error)) => Fate::Failed(error),
                Err(_) => return, // the runtime ends
            };
            if let Fate::Ends { recording } = fate {
                recording.closed().await;
            } else {
                tracing::warn!(task_id = %task, ?fate, "what is left of the task is not delivered yet");
                tokio::time::sleep(TRY_AGAIN).await;
            }
            let _ = came.send(Came::NotDelivered { task });
        });
    }
}

/// The options of recordings that end with `lease`.
fn leased(options: RecoverOptions, lease: Lease) -> RecoverOptions {
    options.and_adjust(move |mut recording: RecordingOptions| {
        recording.uploader.lease = Some(lease.clone());
        recording
    })
}

fn take_up(
    recorder: &Recorder,
    task: &TaskId,
    record: &TaskLease,
    how: Beginning,
    options: &RecoverOptions,
) -> Result<Begun, RecoverError> {
    if recorder.unfinished_task(task).is_some() {
        let how = match how {
            Beginning::GoesOn(run) => options.clone().under(run),
            Beginning::New | Beginning::Ends => options.clone().ending(),
        };
        if let Some(recovered) = recorder.recover_task(task, &how)? {
            let ends = matches!(recovered.fate, Fate::Ends { .. });
            return match (recovered.fate, recovered.options) {
                (Fate::GoesOn { recording, .. } | Fate::Ends { recording }, Some(task)) => {
                    Ok(Begun { task: *task, recording, ends })
                }
                (Fate::Waits { address, error }, _) => Err(RecoverError::Bucket { address, source: error }),
                (Fate::Failed(error), _) => Err(error),
                _ => Err(RecoverError::Busy),
            };
        }
    }
    let record_of_task: TaskRecord =
        serde_json::from_value(record.task.clone()).map_err(|_| RecoverError::UnknownTask)?;
    let how = match how {
        Beginning::New => TakeOver::New,
        Beginning::GoesOn(run) => TakeOver::Under(run),
        Beginning::Ends if record.stop => TakeOver::End(LeaveCode::API_STOP),
        Beginning::Ends => TakeOver::End(LeaveCode::ROOM_TIMEOUT),
    };
    let (task, recording) = recorder.take_over(&record_of_task, how, options)?;
    Ok(Begun { task, recording, ends: matches!(how, TakeOver::End(_)) })
}
