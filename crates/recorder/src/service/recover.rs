use std::sync::{Arc, PoisonError};
use std::time::Duration;

use recorder_storage::SpoolError;
use recorder_types::{RoomTime, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::life::Stop;
use super::room::{Departure, RoomKey};
use super::tasks::{Inner, Service, Slot, SlotPhase, lock};
use crate::shell::{Fate, Recording, RecordingOptions, RecoverOptions, Recovered};
use crate::task::{TaskOptions, TaskState};

/// What a service has to know of a task after a crash, and the task does not.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Note {
    /// Until when it can be asked for: Unix milliseconds.
    expires: u64,
    begun: Begun,
}

/// How long a task that no service has begun can be asked for: as one by a request that does not say.
const UNKNOWN_EXPIRY: Duration = Duration::from_secs(72 * 3600);

/// Why a task came into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Begun {
    ByCall,
    ByTemplate,
}

impl Service {
    /// Takes up every task that a process which died has left in the spool, as
    /// [`Recorder::recover`](crate::Recorder::recover) does. What goes on is a task of this service from then on, under its
    /// old id and however many run: it can be described, changed and deleted, hears who is in its room and who comes, and
    /// can be asked for as long as it could before. What has ended can be described until its files are delivered. A
    /// recording by template goes on as one ([`Self::set_auto_recording`] comes first).
    ///
    /// `options` has the place of [`ServiceOptions::with_adjust`](super::ServiceOptions::with_adjust), which is not called,
    /// and of the function that opens buckets. A function for callbacks set there is not called either:
    /// [`ServiceOptions::with_on_callback`](super::ServiceOptions::with_on_callback) has its place.
    ///
    /// Call it before calls are taken. Recordings in the result that are dropped go on.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if the spool cannot be read.
    pub async fn recover(&self, options: RecoverOptions) -> Result<Vec<Recovered>, SpoolError> {
        let (inner, recorder) = (Arc::clone(&self.0), self.0.recorder.clone());
        let options = options.and_adjust(move |recording| inner.adjust_recovered(recording));
        let found = self.0.runtime.spawn_blocking(move || recorder.recover(&options)).await;
        let found = found.map_err(|error| SpoolError::Disk {
            path: self.0.recorder.spool().to_owned(),
            source: std::io::Error::other(error),
        })??;
        for recovered in &found {
            self.0.adopt(recovered).await;
        }
        Ok(found)
    }
}

impl Inner {
    /// For the journal of a task that can be asked for so long from now on.
    pub(super) fn note(&self, expires_after: Duration, begun: Begun) -> String {
        let millis = i64::try_from(expires_after.as_millis()).unwrap_or(i64::MAX);
        let expires = self.wall().saturating_add_millis(millis).get();
        serde_json::to_string(&Note { expires, begun }).expect("numbers and names are JSON")
    }

    fn wall(&self) -> UnixMillis {
        self.clock.now().map_or(UnixMillis::EPOCH, |now| now.wall)
    }

    fn adjust_recovered(self: &Arc<Self>, recording: RecordingOptions) -> RecordingOptions {
        let task = &recording.task;
        let (id, room) = (task.task.clone(), room_of(task));
        let templates = self.templates.read().unwrap_or_else(PoisonError::into_inner);
        let template =
            templates.get(&room.app).filter(|_| is_by_template(recording.note.as_deref())).cloned();
        drop(templates);
        let recording = match template {
            Some(template) => template.deliver(recording),
            None => recording,
        };
        recording.with_on_callback(self.callback_sink(id, room))
    }

    /// Makes a task of what was recovered.
    async fn adopt(self: &Arc<Self>, recovered: &Recovered) {
        let (recording, goes_on) = match &recovered.fate {
            Fate::GoesOn { recording, .. } => (recording, true),
            Fate::Ends { recording } => (recording, false),
            _ => return,
        };
        let Some(options) = &recovered.options else { return };
        let (id, room) = (&recovered.task, room_of(options));
        match self.give_place(id, &room, options, (recording, goes_on), recovered.note.as_deref()) {
            Ok(displaced) => {
                if goes_on {
                    self.hear_room(id, &room, recording, is_by_template(recovered.note.as_deref()));
                }
                if let Some(displaced) = displaced {
                    self.stop(&displaced);
                }
                self.watch(id, &room, recording.clone());
                // It may have ended before anybody heard of that here.
                let is_over = |status: &crate::shell::Status| status.state == TaskState::Exited;
                if goes_on && recording.describe().await.as_ref().is_none_or(is_over) {
                    lock(&self.life).left(id);
                    self.leave(id, &room, Departure::Failed);
                }
            }
            Err(error) => tracing::error!(task_id = %id, %error, "a recovered task cannot be asked for"),
        }
    }

    fn give_place(
        &self,
        id: &TaskId,
        room: &RoomKey,
        options: &TaskOptions,
        (recording, goes_on): (&Recording, bool),
        note: Option<&str>,
    ) -> Result<Option<Stop>, super::LifeError> {
        #[cfg(feature = "mix")]
        let canvas = options.mix.as_ref().map(|mix| mix.video.size);
        #[cfg(not(feature = "mix"))]
        let canvas = None;
        let phase = SlotPhase::Started { recording: recording.clone(), last: None };
        let to_library = options.delivery.is_library();
        let slot = Slot { room: room.clone(), canvas, to_library, phase };
        let place = (room.clone(), options.robot.clone());
        let left = |note: Note| Duration::from_millis(note.expires.saturating_sub(self.wall().get()));
        let (now, expires) = (self.elapsed(), read(note).map_or(UNKNOWN_EXPIRY, left));
        let mut life = lock(&self.life);
        let displaced = match goes_on {
            true => life.take_up(now, id.clone(), place, expires)?,
            false => {
                life.take_up_leaving(now, id.clone(), place, expires)?;
                None
            }
        };
        lock(&self.slots).insert(id.clone(), slot);
        Ok(displaced)
    }

    fn hear_room(self: &Arc<Self>, id: &TaskId, room: &RoomKey, recording: &Recording, by_template: bool) {
        let clock = recording.clock();
        let since = clock.now().map_or(RoomTime::ZERO, |now| now.room);
        self.in_room(room, |at| {
            at.join(id.clone(), clock, self.now().saturating_sub(since));
            at.open(id, recording);
            if by_template {
                at.auto_begins(id.clone());
            }
        });
    }
}

fn room_of(task: &TaskOptions) -> RoomKey {
    RoomKey { app: task.app, room: task.room.clone() }
}

/// `None` for a recording that no service has begun.
fn read(note: Option<&str>) -> Option<Note> {
    serde_json::from_str(note?).ok()
}

fn is_by_template(note: Option<&str>) -> bool {
    read(note).is_some_and(|note| note.begun == Begun::ByTemplate)
}
