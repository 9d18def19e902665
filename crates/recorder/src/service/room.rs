use recorder_types::{MediaId, MediaKind, RoomId, RoomTime, SdkAppId, TaskId, TrackConfig, UserId};

use crate::shell::Recording;
use crate::task::{RoomEvent, TrackOrigin};

/// A room of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey {
    /// The application.
    pub app: SdkAppId,
    /// The room.
    pub room: RoomId,
}

/// Who is in a room, what they publish, and who records it: a task that comes later is told what was before.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// In order of entry.
    members: Vec<Member>,
    listeners: Vec<Listener>,
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

#[derive(Debug)]
struct Listener {
    task: TaskId,
    recording: Recording,
    /// When the task began, on the clock of the service.
    zero: RoomTime,
}

impl Room {
    /// Whether it can be forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.listeners.is_empty()
    }

    /// Adds a task, which is told who is here and what they publish.
    pub(super) fn join(&mut self, task: TaskId, recording: Recording, zero: RoomTime) {
        let listener = Listener { task, recording, zero };
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

    /// Takes a task out.
    pub(super) fn leave(&mut self, task: &TaskId) {
        self.listeners.retain(|listener| listener.task != *task);
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
        for listener in &self.listeners {
            listener.send(event);
        }
    }
}

impl Listener {
    /// Never waits: what a task has no room for is lost for that task, and logged.
    fn send(&self, event: &RoomEvent) {
        let mut event = event.clone();
        if let RoomEvent::Publish { origin: TrackOrigin::At(at), .. } = &mut event {
            *at = at.saturating_sub(self.zero);
        }
        let is_sample = matches!(event, RoomEvent::Sample { .. });
        match self.recording.event(event) {
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
