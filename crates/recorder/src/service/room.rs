use std::sync::Arc;

use recorder_types::{MediaId, MediaKind, RoomId, RoomTime, SdkAppId, TaskId, TrackConfig, UserId};

use super::auto::Template;
use crate::shell::{Clock, QUEUED_EVENTS, Recording, SendError};
use crate::task::{Now, RoomEvent, TrackOrigin};

/// Bytes of samples that are held for a task that is being started.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// How long a recording by template that failed is let alone.
const RETRY_AFTER: RoomTime = RoomTime::from_secs(10);

/// A room of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey {
    /// The application.
    pub app: SdkAppId,
    /// The room.
    pub room: RoomId,
}

/// Who is in a room, what they publish, and who records it: a task that comes later is told what was before.
#[derive(Debug)]
pub(super) struct Room {
    /// In order of entry.
    members: Vec<Member>,
    listeners: Vec<Listener>,
    auto: Option<Auto>,
    /// Dismissed: whoever comes now comes into a new room.
    gone: bool,
}

#[derive(Debug)]
struct Member {
    user: UserId,
    streams: Vec<Stream>,
}

#[derive(Clone, Debug)]
struct Stream {
    media: MediaId,
    kind: MediaKind,
    config: TrackConfig,
    origin: TrackOrigin,
}

/// The template that was set when the room came into being.
#[derive(Debug)]
struct Auto {
    template: Arc<Template>,
    state: AutoState,
}

/// What the recording by template of a room is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AutoState {
    /// It begins as soon as somebody publishes.
    Waiting,
    Running(TaskId),
    /// It could not begin or go on, and may begin at this time.
    Failed {
        until: RoomTime,
    },
    /// It was ended: not again in this room.
    Ended,
}

/// How a task left its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// Somebody called for it.
    Called,
    /// Nobody was there any more.
    Idle,
    /// It could not start, or go on.
    Failed,
}

#[derive(Debug)]
struct Listener {
    task: TaskId,
    clock: Clock,
    /// When the task began, on the clock of the service.
    zero: RoomTime,
    door: Door,
}

#[derive(Debug)]
enum Door {
    /// The task is being started; what happens meanwhile waits.
    Opening {
        waiting: Vec<(Now, RoomEvent)>,
        bytes: usize,
    },
    Open(Recording),
}

impl Room {
    /// A room that has just come into being.
    pub(super) fn new(template: Option<Arc<Template>>) -> Self {
        let auto = template.map(|template| Auto { template, state: AutoState::Waiting });
        Self { members: Vec::new(), listeners: Vec::new(), auto, gone: false }
    }

    /// Whether it was dismissed.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Everyone is out of it, and nobody comes in any more.
    pub(super) fn dismiss(&mut self) {
        *self = Self::new(None);
        self.gone = true;
    }

    /// Dismisses it if nobody is in it and nobody records it.
    pub(super) fn dismiss_if_empty(&mut self) -> bool {
        let empty = self.members.is_empty() && self.listeners.is_empty();
        if empty {
            self.dismiss();
        }
        empty
    }

    /// Adds a task that is being started: who is here and what they publish is its beginning. `zero` is when `clock`
    /// was started, on the clock of the service.
    pub(super) fn join(&mut self, task: TaskId, clock: Clock, zero: RoomTime) {
        let door = Door::Opening { waiting: Vec::new(), bytes: 0 };
        let mut listener = Listener { task, clock, zero, door };
        for member in &self.members {
            listener.send(&RoomEvent::Enter { user: member.user.clone() });
            for Stream { media, config, origin, .. } in &member.streams {
                let (media, origin) = (*media, *origin);
                let publish =
                    RoomEvent::Publish { user: member.user.clone(), media, config: config.clone(), origin };
                listener.send(&publish);
            }
        }
        self.listeners.push(listener);
    }

    /// A task has started: it gets what has waited for it, and hears what comes.
    pub(super) fn open(&mut self, task: &TaskId, recording: &Recording) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.task == *task) {
            listener.open(recording);
        }
    }

    /// Takes a task out, at the time `now` of the service.
    pub(super) fn leave(&mut self, task: &TaskId, why: Departure, now: RoomTime) {
        self.listeners.retain(|listener| listener.task != *task);
        if let Some(auto) = &mut self.auto
            && auto.state == AutoState::Running(task.clone())
        {
            auto.state = match why {
                Departure::Called => AutoState::Ended,
                Departure::Idle => AutoState::Waiting,
                Departure::Failed => AutoState::Failed { until: now.saturating_add(RETRY_AFTER) },
            };
        }
    }

    /// Remembers what `event` says and tells every task.
    pub(super) fn event(&mut self, event: &RoomEvent) {
        let of = |user: &UserId| self.members.iter().position(|member| member.user == *user);
        match event {
            RoomEvent::Enter { user } => match of(user) {
                Some(at) => self.members[at].streams.clear(),
                None => self.members.push(Member { user: user.clone(), streams: Vec::new() }),
            },
            RoomEvent::Leave { user } => self.members.retain(|member| member.user != *user),
            RoomEvent::Publish { user, media, config, origin } => {
                if let (Some(at), Some(kind)) = (of(user), kind_of(config)) {
                    let stream = Stream { media: *media, kind, config: config.clone(), origin: *origin };
                    let streams = &mut self.members[at].streams;
                    streams.retain(|other| (other.media, other.kind) != (stream.media, stream.kind));
                    streams.push(stream);
                }
            }
            RoomEvent::Unpublish { user, media, kind } => {
                if let Some(at) = of(user) {
                    self.members[at].streams.retain(|other| (other.media, other.kind) != (*media, *kind));
                }
            }
            _ => {}
        }
        for listener in &mut self.listeners {
            listener.send(event);
        }
    }

    /// The template by which a recording is to begin now: somebody publishes, and none runs.
    pub(super) fn auto_due(&self, now: RoomTime) -> Option<Arc<Template>> {
        let auto = self.auto.as_ref()?;
        let may = match auto.state {
            AutoState::Waiting => true,
            AutoState::Failed { until } => now >= until,
            AutoState::Running(_) | AutoState::Ended => false,
        };
        let due = may && self.members.iter().any(|member| !member.streams.is_empty());
        due.then(|| Arc::clone(&auto.template))
    }

    /// The recording by template begins.
    pub(super) fn auto_begins(&mut self, task: TaskId) {
        if let Some(auto) = &mut self.auto {
            auto.state = AutoState::Running(task);
        }
    }

    /// The recording by template could not begin at the time `now` of the service.
    pub(super) fn auto_failed(&mut self, now: RoomTime) {
        if let Some(auto) = &mut self.auto {
            auto.state = AutoState::Failed { until: now.saturating_add(RETRY_AFTER) };
        }
    }

    /// Whether a failure is news: the attempt before this one has not failed as well.
    pub(super) fn auto_may_tell(&self) -> bool {
        self.auto.as_ref().is_some_and(|auto| !matches!(auto.state, AutoState::Failed { .. }))
    }

    /// No recording by template begins here any more.
    pub(super) fn without_auto(&mut self) {
        self.auto = None;
    }
}

impl Listener {
    /// Never waits: what a task has no room for is lost for that task, and logged.
    fn send(&mut self, event: &RoomEvent) {
        let mut event = event.clone();
        if let RoomEvent::Publish { origin: TrackOrigin::At(at), .. } = &mut event {
            *at = at.saturating_sub(self.zero);
        }
        let is_sample = matches!(event, RoomEvent::Sample { .. });
        let sent = match &mut self.door {
            Door::Open(recording) => recording.event(event),
            Door::Opening { waiting, bytes } => {
                let more = match &event {
                    RoomEvent::Sample { sample, .. } => sample.data.len(),
                    _ => 0,
                };
                match self.clock.now() {
                    None => Err(SendError::TimeIsTold),
                    Some(_) if waiting.len() >= QUEUED_EVENTS || *bytes + more > MAX_WAITING_BYTES => {
                        Err(SendError::Full)
                    }
                    Some(now) => {
                        *bytes += more;
                        waiting.push((now, event));
                        Ok(())
                    }
                }
            }
        };
        self.note(is_sample, sent);
    }

    fn open(&mut self, recording: &Recording) {
        let door = std::mem::replace(&mut self.door, Door::Open(recording.clone()));
        if let Door::Opening { waiting, .. } = door {
            for (now, event) in waiting {
                let is_sample = matches!(event, RoomEvent::Sample { .. });
                self.note(is_sample, recording.try_event_at(now, event));
            }
        }
    }

    fn note(&self, is_sample: bool, sent: Result<(), SendError>) {
        match sent {
            Ok(()) => {}
            Err(error) if is_sample => tracing::trace!(task_id = %self.task, %error, "sample lost"),
            Err(error) => tracing::warn!(task_id = %self.task, %error, "event of the room lost"),
        }
    }
}

/// `None` for a codec that tasks do not know.
const fn kind_of(config: &TrackConfig) -> Option<MediaKind> {
    match config {
        TrackConfig::H264(_) => Some(MediaKind::Video),
        TrackConfig::Aac(_) | TrackConfig::Opus(_) => Some(MediaKind::Audio),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use recorder_types::{AacConfig, aac::AudioSpecificConfig};

    use super::*;

    fn id(text: &str) -> UserId {
        text.parse().unwrap()
    }

    fn publish(room: &mut Room, user: &str) {
        room.event(&RoomEvent::Enter { user: id(user) });
        let config = TrackConfig::Aac(AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap()));
        let (media, origin) = (MediaId::Main, TrackOrigin::FirstArrival);
        room.event(&RoomEvent::Publish { user: id(user), media, config, origin });
    }

    #[test]
    fn a_recording_by_template_is_due_when_somebody_publishes_and_none_runs() {
        let task = |name: &str| name.parse::<TaskId>().unwrap();
        let at = RoomTime::from_secs;
        let mut room = Room::new(Some(Arc::new(Template::for_tests())));
        room.event(&RoomEvent::Enter { user: id("bob") });
        assert!(room.auto_due(at(0)).is_none());
        publish(&mut room, "alice");
        assert!(room.auto_due(at(0)).is_some());
        // None can begin: again after ten seconds, and told once.
        assert!(room.auto_may_tell());
        room.auto_failed(at(1));
        assert!(room.auto_due(at(10)).is_none() && !room.auto_may_tell());
        assert!(room.auto_due(at(11)).is_some());
        room.auto_begins(task("t1"));
        assert!(room.auto_due(at(99)).is_none());
        room.leave(&task("another"), Departure::Called, at(99));
        assert!(room.auto_due(at(99)).is_none());
        // Its spool fails.
        room.leave(&task("t1"), Departure::Failed, at(100));
        assert!(room.auto_due(at(109)).is_none() && room.auto_due(at(110)).is_some());
        // It ends as somebody comes.
        room.auto_begins(task("t2"));
        room.leave(&task("t2"), Departure::Idle, at(120));
        assert!(room.auto_due(at(120)).is_some());
        room.event(&RoomEvent::Leave { user: id("alice") });
        assert!(room.auto_due(at(120)).is_none());
        publish(&mut room, "alice");
        room.auto_begins(task("t3"));
        room.leave(&task("t3"), Departure::Called, at(130));
        assert!(room.auto_due(at(1000)).is_none());
        assert!(!room.dismiss_if_empty());
        room.dismiss();
        publish(&mut room, "alice");
        assert!(room.is_gone() && room.auto_due(at(2000)).is_none());
    }
}
