use std::sync::Arc;

use recorder_callback::LeaveCode;
use recorder_storage::Backlog;
use recorder_types::RoomTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::clock::Clock;
use crate::task::{EventError, FileSetReport, MadeFile, Now, Refused, RoomEvent, TaskState};

/// Events that may wait for the task's thread; their bytes have a limit of their own.
pub(crate) const QUEUED_EVENTS: usize = 8192;

/// A running recording: the door for the room's events. Cheap to clone; the recording ends as if stopped when the
/// last clone is dropped.
#[derive(Clone, Debug)]
pub struct Recording {
    events: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    queue_bytes: usize,
    clock: Clock,
    ended: watch::Receiver<Option<Outcome>>,
}

#[derive(Debug)]
pub(super) enum Message {
    Event {
        now: Now,
        event: RoomEvent,
        _room: Option<OwnedSemaphorePermit>,
    },
    /// Several of them, in order.
    Events {
        events: Vec<(Now, RoomEvent)>,
        _room: Option<OwnedSemaphorePermit>,
    },
    /// As [`Message::Event`], and the sender waits for what came of it.
    Ask {
        now: Now,
        event: RoomEvent,
        answer: oneshot::Sender<Result<(), EventError>>,
    },
    Describe {
        answer: oneshot::Sender<Status>,
    },
    Redeliver,
}

impl Message {
    /// When what it tells happened.
    pub(super) fn time(&self) -> Option<RoomTime> {
        match self {
            Self::Event { now, .. } | Self::Ask { now, .. } => Some(now.room),
            Self::Events { events, .. } => events.first().map(|(now, _)| now.room),
            Self::Describe { .. } | Self::Redeliver => None,
        }
    }
}

/// State and files of a recording, as `DescribeCloudRecording` tells them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Idle, recording or over.
    pub state: TaskState,
    /// What was recorded so far, a file set each.
    pub files: Vec<FileSetReport>,
    /// Inputs that were not recorded.
    pub refused: Refused,
    /// What is on its way to the bucket.
    pub backlog: Backlog,
    /// Where everybody is in the mixed picture now; `None` before there is one, and for a single-stream task.
    #[cfg(feature = "mix")]
    pub arrangement: Option<recorder_layout::Arrangement>,
    /// What the mix has done and leaves out; `None` for a task that does not mix.
    #[cfg(feature = "mix")]
    pub mix: Option<crate::task::MixReport>,
}

/// How a recording ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// State and files at the end.
    pub status: Status,
    /// MP4 or AAC files that were made, in order.
    pub files: Vec<MadeFile>,
    /// Files that wait in the spool because the bucket did not take them; they are tried again while the process
    /// lives. 0: everything is delivered.
    pub kept: usize,
    /// Why the recording could not go on to its regular end, if so: the disk failed, or was full.
    pub failure: Option<Arc<recorder_storage::SpoolError>>,
}

impl Recording {
    pub(super) const fn new(
        events: mpsc::Sender<Message>,
        room: Arc<Semaphore>,
        queue_bytes: usize,
        clock: Clock,
        ended: watch::Receiver<Option<Outcome>>,
    ) -> Self {
        Self { events, room, queue_bytes, clock, ended }
    }

    /// Takes an event that happens now. Never waits.
    ///
    /// Whether the task could follow it shows in [`Status::refused`] and in the log.
    ///
    /// # Errors
    /// [`SendError`]; the event is lost and the recording goes on.
    pub fn event(&self, event: RoomEvent) -> Result<(), SendError> {
        self.try_event_at(self.clock.now().ok_or(SendError::TimeIsTold)?, event)
    }

    /// What its times are by.
    #[cfg(feature = "api")]
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// As [`Recording::event`], for one that happened at `now`.
    pub(crate) fn try_event_at(&self, now: Now, event: RoomEvent) -> Result<(), SendError> {
        let sent = self.try_send(now, event);
        #[cfg(feature = "metrics")]
        if sent == Err(SendError::Full) {
            super::meters::queue_is_full();
        }
        sent
    }

    fn try_send(&self, now: Now, event: RoomEvent) -> Result<(), SendError> {
        let room = match self.weight(&event) {
            0 => None,
            bytes => Some(self.room.clone().try_acquire_many_owned(bytes).map_err(|_| SendError::Full)?),
        };
        self.events.try_send(Message::Event { now, event, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Ended,
        })
    }

    /// Takes an event that happened at `now`, and waits while the queue is full: for files, replays and tests. Times
    /// do not go back; one that does is taken as the latest so far.
    ///
    /// # Errors
    /// [`SendError::Ended`].
    pub async fn event_at(&self, now: Now, event: RoomEvent) -> Result<(), SendError> {
        let room = self.wait_for_room(self.weight(&event)).await?;
        self.events.send(Message::Event { now, event, _room: room }).await.map_err(|_| SendError::Ended)
    }

    /// As [`Recording::event_at`] for several events in order, handed over at once: where files are played, waking the
    /// task's thread for each sample costs more than recording it. They take one place of the queue and their bytes
    /// of samples together, so some 1 MiB at a time is a good measure.
    ///
    /// # Errors
    /// [`SendError::Ended`].
    pub async fn events_at(&self, events: Vec<(Now, RoomEvent)>) -> Result<(), SendError> {
        if events.is_empty() {
            return Ok(());
        }
        let weights = events.iter().map(|(_, event)| self.weight(event));
        let most = u32::try_from(self.queue_bytes).unwrap_or(u32::MAX);
        let room = self.wait_for_room(weights.fold(0, u32::saturating_add).min(most)).await?;
        self.events.send(Message::Events { events, _room: room }).await.map_err(|_| SendError::Ended)
    }

    /// Takes an event that happens now and waits for what came of it.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, event: RoomEvent) -> Result<(), AskError> {
        let now = self.clock.now().ok_or(SendError::TimeIsTold)?;
        let (answer, answered) = oneshot::channel();
        self.events.send(Message::Ask { now, event, answer }).await.map_err(|_| SendError::Ended)?;
        Ok(self.answer(answered).await.ok_or(SendError::Ended)??)
    }

    /// State and files now; after the end, those at the end.
    pub async fn describe(&self) -> Option<Status> {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Message::Describe { answer }).await.is_ok()
            && let Some(status) = self.answer(answered).await
        {
            return Some(status);
        }
        self.ended.borrow().as_ref().map(|outcome| outcome.status.clone())
    }

    /// Ends the recording through the API ([`LeaveCode::API_STOP`]). Twice is once.
    ///
    /// # Errors
    /// [`SendError::TimeIsTold`] where the embedder tells the time: send [`RoomEvent::Stop`] with it.
    pub async fn stop(&self) -> Result<(), SendError> {
        let now = self.clock.now().ok_or(SendError::TimeIsTold)?;
        let event = RoomEvent::Stop { code: LeaveCode::API_STOP };
        match self.event_at(now, event).await {
            Ok(()) | Err(SendError::Ended) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tries now to deliver what the bucket did not take, and not only at the next interval.
    pub async fn redeliver(&self) {
        // After the end there is nothing left to deliver.
        let _ = self.events.send(Message::Redeliver).await;
    }

    /// Waits until the recording has ended and every file was delivered or kept; gives the same to all who wait.
    ///
    /// Files that were kept are tried further in the background while the process lives.
    ///
    /// # Errors
    /// [`SendError::Ended`] if the task's thread died; what was closed is in the spool.
    pub async fn ended(&self) -> Result<Outcome, SendError> {
        let mut ended = self.ended.clone();
        let outcome = ended.wait_for(Option::is_some).await.map_err(|_| SendError::Ended)?;
        outcome.clone().ok_or(SendError::Ended)
    }

    /// Waits until nothing of the recording is left to do in this process: files that were kept are delivered too,
    /// callbacks are delivered or given up, and its directory is gone from the spool. A program that ends earlier
    /// leaves the rest to [`Recorder::recover`](super::Recorder::recover).
    pub async fn closed(&self) {
        self.events.closed().await;
    }

    /// What the task's thread answers; `None` if it is over. A message that comes as the thread ends can stay in the
    /// queue for as long as somebody holds the recording, so that no answer alone would be waited for in vain.
    async fn answer<T>(&self, answered: oneshot::Receiver<T>) -> Option<T> {
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            answer = answered => answer.ok(),
            _ = ended.wait_for(Option::is_some) => None,
        }
    }

    async fn wait_for_room(&self, bytes: u32) -> Result<Option<OwnedSemaphorePermit>, SendError> {
        if bytes == 0 {
            return Ok(None);
        }
        self.room.clone().acquire_many_owned(bytes).await.map(Some).map_err(|_| SendError::Ended)
    }

    /// What `event` takes of the queue, in bytes: held to the whole queue, so that one large sample can pass.
    fn weight(&self, event: &RoomEvent) -> u32 {
        match event {
            RoomEvent::Sample { sample, .. } => {
                u32::try_from(sample.data.len().min(self.queue_bytes)).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The caller said it would tell the time ([`super::ClockMode::Told`]): use [`Recording::event_at`].
    #[error("this recording is told the time: use event_at")]
    TimeIsTold,
    /// A limit: the task's thread does not keep up, because of its disk or the machine.
    #[error("the recording's queue is full")]
    Full,
    /// The recording is over.
    #[error("the recording has ended")]
    Ended,
}

/// Why [`Recording::ask`] was not followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It did not reach the task.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The task refused it.
    #[error(transparent)]
    Event(#[from] EventError),
}
