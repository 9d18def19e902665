use std::fmt;

use bytes::Bytes;
use recorder_types::{InvalidRoomId, RoomId, TaskId, UnixMillis, UserId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::Payload;
use crate::wire::{self, TextOrNumber};

/// `EventGroupId` of on-cloud recording.
const EVENT_GROUP: u32 = 3;

/// The twelve events of a recording.
///
/// # Specification
/// `callbacks.md` section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// 301: recorder started, or failed to.
    RecorderStart,
    /// 302: recorder left the room.
    RecorderStop,
    /// 303: uploader started.
    UploadStart,
    /// 304: first playlist uploaded.
    FileInfo,
    /// 305: uploader finished.
    UploadStop,
    /// 306: task moved to another machine.
    Failover,
    /// 307: a playlist came into being.
    FileSlice,
    /// 308: uploader met an error.
    UploadError,
    /// 309: a picture could not be fetched.
    DownloadImageError,
    /// 310: MP4 task finished.
    Mp4Stop,
    /// 311: a file was handed to VOD.
    VodCommit,
    /// 312: VOD task finished.
    VodStop,
}

impl EventType {
    /// All types, by number.
    pub const ALL: [Self; 12] = [
        Self::RecorderStart,
        Self::RecorderStop,
        Self::UploadStart,
        Self::FileInfo,
        Self::UploadStop,
        Self::Failover,
        Self::FileSlice,
        Self::UploadError,
        Self::DownloadImageError,
        Self::Mp4Stop,
        Self::VodCommit,
        Self::VodStop,
    ];

    /// 301 to 312.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::RecorderStart => 301,
            Self::RecorderStop => 302,
            Self::UploadStart => 303,
            Self::FileInfo => 304,
            Self::UploadStop => 305,
            Self::Failover => 306,
            Self::FileSlice => 307,
            Self::UploadError => 308,
            Self::DownloadImageError => 309,
            Self::Mp4Stop => 310,
            Self::VodCommit => 311,
            Self::VodStop => 312,
        }
    }

    /// The type with this number; `None` unless 301 to 312.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.number() == number)
    }

    /// Whether the event tells how a recording began, ended or where its files are. Under pressure these are kept and
    /// the others, which tell of progress, go first.
    #[must_use]
    pub const fn is_result(self) -> bool {
        match self {
            Self::RecorderStart
            | Self::RecorderStop
            | Self::UploadStop
            | Self::Mp4Stop
            | Self::VodCommit
            | Self::VodStop => true,
            Self::UploadStart
            | Self::FileInfo
            | Self::Failover
            | Self::FileSlice
            | Self::UploadError
            | Self::DownloadImageError => false,
        }
    }

    /// Whether the service writes `EventTs` of this type as a string (`callbacks.md` section 3).
    const fn writes_seconds_as_text(self) -> bool {
        matches!(self, Self::RecorderStart | Self::RecorderStop | Self::FileSlice)
    }
}

/// The number.
impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// A room as callbacks have it: plain text, which does not tell an integer room from a string room of the same
/// digits. Not empty, at most 1024 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomLabel(Box<str>);

impl RoomLabel {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, InvalidRoomId> {
        RoomId::text(text).map(|room| Self::from(&room))
    }
}

impl From<&RoomId> for RoomLabel {
    fn from(room: &RoomId) -> Self {
        Self(room.to_string().into())
    }
}

impl fmt::Display for RoomLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoomLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match TextOrNumber::deserialize(deserializer)? {
            TextOrNumber::Number(number) => number.to_string(),
            TextOrNumber::Text(text) => text,
        };
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// Something that happened to a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    time: UnixMillis,
    room: RoomLabel,
    robot: UserId,
    task: TaskId,
    payload: Payload,
}

impl Event {
    /// An event of `task`, which records `room` as the user `robot`. The payload decides the type.
    #[must_use]
    pub fn new(time: UnixMillis, room: &RoomId, robot: UserId, task: TaskId, payload: Payload) -> Self {
        Self { time, room: room.into(), robot, task, payload }
    }

    /// When it happened. Whole seconds if it was read from an edition without `EventMsTs`.
    #[must_use]
    pub const fn time(&self) -> UnixMillis {
        self.time
    }

    /// The recorded room.
    #[must_use]
    pub const fn room(&self) -> &RoomLabel {
        &self.room
    }

    /// The user as whom the recorder entered the room.
    #[must_use]
    pub const fn robot(&self) -> &UserId {
        &self.robot
    }

    /// The recording task.
    #[must_use]
    pub const fn task(&self) -> &TaskId {
        &self.task
    }

    /// What is told.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The type, 301 to 312.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        self.payload.event_type()
    }

    /// By what a receiver knows a repeat: equal for every delivery of this event, whenever it was sent.
    ///
    /// Task, type and time as the service's documentation advises, and a digest of the payload: the audio and the
    /// video playlist of a user, say, can come into being in the same millisecond.
    #[must_use]
    pub fn dedup_key(&self) -> DedupKey {
        let payload = serde_json::to_vec(&self.payload).expect("a payload has only string keys");
        let mut digest = [0; 8];
        for (to, from) in digest.iter_mut().zip(Sha256::digest(&payload)) {
            *to = from;
        }
        DedupKey {
            task: self.task.clone(),
            event_type: self.event_type(),
            time: self.time,
            payload: u64::from_be_bytes(digest),
        }
    }
}

/// Tells deliveries of one event from those of another. Its `Display` form is short ASCII text without spaces, fit
/// for a database column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupKey {
    task: TaskId,
    event_type: EventType,
    time: UnixMillis,
    payload: u64,
}

impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{:016x}", self.task, self.event_type, self.time.get(), self.payload)
    }
}

/// A message to the customer's server: an event and when it was sent.
///
/// Its `Serialize` and `Deserialize` forms are the documented JSON. [`CallbackBody::to_json_bytes`] makes the bytes
/// that are signed; what was read and written again need not be the same bytes.
///
/// # Specification
/// `callbacks.md` sections 3 and 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackBody {
    event: Event,
    sent: UnixMillis,
}

impl CallbackBody {
    /// The message that tells `event`. Retries send the same message: `sent` (`CallbackTs`) stays.
    #[must_use]
    pub const fn new(event: Event, sent: UnixMillis) -> Self {
        Self { event, sent }
    }

    /// The event.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The event alone.
    #[must_use]
    pub fn into_event(self) -> Event {
        self.event
    }

    /// `CallbackTs`: when the message was made.
    #[must_use]
    pub const fn sent(&self) -> UnixMillis {
        self.sent
    }

    /// The JSON to sign and send: compact, keys in the documented order.
    #[must_use]
    pub fn to_json_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a callback has only string keys").into()
    }

    /// Reads a received body. Verify the signature of the raw bytes first.
    ///
    /// Fields that are not known are skipped; `RoomId`, `EventTs` and times may be strings or numbers.
    ///
    /// # Errors
    /// [`BodyError`] says whether it is no JSON of this shape or another kind of callback.
    pub fn from_json(body: &[u8]) -> Result<Self, BodyError> {
        serde_json::from_slice::<Head>(body).map_err(BodyError::Json)?.try_into()
    }
}

impl Serialize for CallbackBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let (event_type, seconds) = (event.event_type(), event.time.seconds());
        let seconds = if event_type.writes_seconds_as_text() {
            TextOrNumber::Text(seconds.to_string())
        } else {
            TextOrNumber::Number(seconds)
        };
        let info = InfoOut {
            room_id: event.room.as_str(),
            event_ts: seconds,
            event_ms_ts: event.time.get(),
            user_id: event.robot.as_str(),
            task_id: event.task.as_str(),
            payload: &event.payload,
        };
        Frame {
            event_group_id: EVENT_GROUP,
            event_type: event_type.number(),
            callback_ts: self.sent.get(),
            event_info: info,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallbackBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Head::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

/// The outer object. Read with the inner one unread, which has another shape in other event groups.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Frame<T> {
    event_group_id: u32,
    event_type: u32,
    callback_ts: u64,
    event_info: T,
}

type Head = Frame<serde_json::Value>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InfoOut<'a> {
    room_id: &'a str,
    event_ts: TextOrNumber,
    event_ms_ts: u64,
    user_id: &'a str,
    task_id: &'a str,
    payload: &'a Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InfoIn {
    room_id: RoomLabel,
    event_ts: TextOrNumber,
    event_ms_ts: Option<u64>,
    #[serde(deserialize_with = "wire::user")]
    user_id: UserId,
    #[serde(deserialize_with = "wire::task")]
    task_id: TaskId,
    payload: serde_json::Value,
}

impl TryFrom<Head> for CallbackBody {
    type Error = BodyError;

    fn try_from(head: Head) -> Result<Self, BodyError> {
        if head.event_group_id != EVENT_GROUP {
            return Err(BodyError::OtherGroup { group: head.event_group_id });
        }
        let event_type =
            EventType::new(head.event_type).ok_or(BodyError::UnknownType { event_type: head.event_type })?;
        let info: InfoIn = serde_json::from_value(head.event_info).map_err(BodyError::Json)?;
        let millis = info.event_ms_ts.or_else(|| info.event_ts.number()?.checked_mul(1000));
        let time = millis.and_then(UnixMillis::new).ok_or(BodyError::Time { field: "EventTs" })?;
        let sent = UnixMillis::new(head.callback_ts).ok_or(BodyError::Time { field: "CallbackTs" })?;
        let payload = Payload::from_value(event_type, info.payload).map_err(BodyError::Json)?;
        let event = Event { time, room: info.room_id, robot: info.user_id, task: info.task_id, payload };
        Ok(Self { event, sent })
    }
}

/// Why a body is no callback of a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A callback of another event group (room, media, relay): not for this crate.
    #[error("event group {group} is not on-cloud recording, which is 3")]
    OtherGroup {
        /// `EventGroupId`.
        group: u32,
    },
    /// A newer service, perhaps.
    #[error("event type {event_type} is none of 301 to 312")]
    UnknownType {
        /// `EventType`.
        event_type: u32,
    },
    /// A time that is no number of seconds or milliseconds from 1970 to 9999.
    #[error("{field} is no time from 1970 to 9999")]
    Time {
        /// The field.
        field: &'static str,
    },
    /// Not JSON, a field missing, or one whose value breaks its rule.
    #[error("not the JSON of a callback")]
    Json(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests;
