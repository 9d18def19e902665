use std::fmt;
use std::str::FromStr;

use recorder_types::{MediaId, MediaKind, ObjectName, UnixMillis, UserId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::EventType;
use crate::code::{
    FailoverStatus, LeaveCode, Mp4Status, StartStatus, UploadStatus, VodCommitStatus, VodStopStatus,
};
use crate::wire::{millis, optional_millis, user_or_empty};

/// What an event tells beyond its type and time: one variant for each type.
///
/// # Specification
/// `callbacks.md` section 5.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// 301: the recorder started, or failed to.
    RecorderStart(StartStatus),
    /// 302: the recorder left the room.
    RecorderStop(LeaveCode),
    /// 303: the uploader started, or failed to.
    UploadStart(StartStatus),
    /// 304: the first playlist, this one, was generated and uploaded.
    FileInfo(FileName),
    /// 305: the uploader finished.
    UploadStop(UploadStatus),
    /// 306: the task was moved to another machine.
    Failover(FailoverStatus),
    /// 307: a playlist came into being.
    FileSlice(FileSlice),
    /// 308: the uploader met an error.
    UploadError(UploadError),
    /// 309: a picture could not be fetched.
    DownloadImageError {
        /// The address that failed.
        url: String,
    },
    /// 310: an MP4 task finished.
    Mp4Stop(Mp4Stop),
    /// 311: a file was handed to VOD, or could not be.
    VodCommit(VodCommit),
    /// 312: the VOD task finished.
    VodStop(VodStopStatus),
}

impl Payload {
    /// The type of the event that carries this.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::RecorderStart(_) => EventType::RecorderStart,
            Self::RecorderStop(_) => EventType::RecorderStop,
            Self::UploadStart(_) => EventType::UploadStart,
            Self::FileInfo(_) => EventType::FileInfo,
            Self::UploadStop(_) => EventType::UploadStop,
            Self::Failover(_) => EventType::Failover,
            Self::FileSlice(_) => EventType::FileSlice,
            Self::UploadError(_) => EventType::UploadError,
            Self::DownloadImageError { .. } => EventType::DownloadImageError,
            Self::Mp4Stop(_) => EventType::Mp4Stop,
            Self::VodCommit(_) => EventType::VodCommit,
            Self::VodStop(_) => EventType::VodStop,
        }
    }

    pub(crate) fn from_value(
        event_type: EventType,
        value: serde_json::Value,
    ) -> Result<Self, serde_json::Error> {
        use serde_json::from_value;
        Ok(match event_type {
            EventType::RecorderStart => Self::RecorderStart(from_value::<Status<_>>(value)?.status),
            EventType::RecorderStop => Self::RecorderStop(from_value::<Leave>(value)?.leave_code),
            EventType::UploadStart => Self::UploadStart(from_value::<Status<_>>(value)?.status),
            EventType::FileInfo => Self::FileInfo(from_value::<FileList>(value)?.file_list),
            EventType::UploadStop => Self::UploadStop(from_value::<Status<_>>(value)?.status),
            EventType::Failover => Self::Failover(from_value::<Status<_>>(value)?.status),
            EventType::FileSlice => Self::FileSlice(from_value(value)?),
            EventType::UploadError => Self::UploadError(from_value(value)?),
            EventType::DownloadImageError => {
                Self::DownloadImageError { url: from_value::<Image>(value)?.url }
            }
            EventType::Mp4Stop => Self::Mp4Stop(from_value(value)?),
            EventType::VodCommit => Self::VodCommit(from_value(value)?),
            EventType::VodStop => Self::VodStop(from_value::<Status<_>>(value)?.status),
        })
    }
}

/// The `Payload` object alone.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::RecorderStart(status) | Self::UploadStart(status) => {
                Status { status }.serialize(serializer)
            }
            Self::RecorderStop(code) => Leave { leave_code: *code }.serialize(serializer),
            Self::FileInfo(name) => FileList { file_list: name.clone() }.serialize(serializer),
            Self::UploadStop(status) => Status { status }.serialize(serializer),
            Self::Failover(status) => Status { status }.serialize(serializer),
            Self::FileSlice(slice) => slice.serialize(serializer),
            Self::UploadError(error) => error.serialize(serializer),
            Self::DownloadImageError { url } => Image { url: url.clone() }.serialize(serializer),
            Self::Mp4Stop(stop) => stop.serialize(serializer),
            Self::VodCommit(commit) => commit.serialize(serializer),
            Self::VodStop(status) => Status { status }.serialize(serializer),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Status<S> {
    // One edition's table of event 305 calls it `LeaveCode`; its sample does not.
    #[serde(rename = "Status", alias = "LeaveCode")]
    status: S,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Leave {
    leave_code: LeaveCode,
}

/// In 304 this is one string, despite its name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileList {
    file_list: FileName,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    url: String,
}

/// 307: the playlist of one track, whose first TS segment has been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileSlice {
    /// The playlist.
    pub file_name: FileName,
    /// The recorded user; `None`, written as the empty string, in mixed mode.
    #[serde(rename = "UserId", with = "user_or_empty")]
    pub user: Option<UserId>,
    /// What the playlist holds.
    pub track_type: TrackType,
    /// Start of the recording. Written as a number, read from a number or a string.
    #[serde(rename = "BeginTimeStamp", with = "millis")]
    pub begin: UnixMillis,
}

/// 308: what the storage answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadError {
    /// Error code of the storage, for example `InvalidParameter`.
    pub code: String,
    /// Message of the storage, for example `AccessKey invalid`.
    pub message: String,
}

/// 310: MP4 files that are finished. A task can send several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mp4Stop {
    /// Where the files are.
    pub status: Mp4Status,
    /// Their names.
    #[serde(rename = "FileList", default)]
    pub names: Vec<FileName>,
    /// One entry for each file.
    #[serde(rename = "FileMessage", default)]
    pub files: Vec<Mp4File>,
}

impl Mp4Stop {
    /// The event for these files, listed by name too.
    #[must_use]
    pub fn new(status: Mp4Status, files: Vec<Mp4File>) -> Self {
        Self { status, names: files.iter().map(|file| file.file_name.clone()).collect(), files }
    }
}

/// One file of 310.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mp4File {
    /// The file.
    pub file_name: FileName,
    /// The recorded user; `None`, written as the empty string, in mixed mode.
    #[serde(rename = "UserId", with = "user_or_empty")]
    pub user: Option<UserId>,
    /// What the file holds.
    pub track_type: TrackType,
    /// Which of the user's streams.
    #[serde(rename = "MediaId")]
    pub media: RecordedMedia,
    /// Start of the file.
    #[serde(rename = "StartTimeStamp", with = "millis")]
    pub start: UnixMillis,
    /// End of the file.
    #[serde(rename = "EndTimeStamp", with = "millis")]
    pub end: UnixMillis,
}

/// 311: one file and VOD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VodCommit {
    /// Whether it was handed over.
    pub status: VodCommitStatus,
    /// What went wrong; only if the status is not [`VodCommitStatus::DELIVERED`].
    #[serde(rename = "Errmsg", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The file.
    #[serde(rename = "TencentVod")]
    pub file: VodFile,
}

/// The file of 311. What is `None` is left out, as in the documented failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VodFile {
    /// The recorded user; `None`, written as the empty string, in mixed mode.
    #[serde(rename = "UserId", with = "user_or_empty")]
    pub user: Option<UserId>,
    /// What the file holds.
    pub track_type: TrackType,
    /// Which of the user's streams.
    #[serde(rename = "MediaId", default, skip_serializing_if = "Option::is_none")]
    pub media: Option<RecordedMedia>,
    /// The VOD file id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// Where it can be played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_url: Option<String>,
    /// Name of the MP4 file before it was handed over.
    pub cache_file: FileName,
    /// Start of the file.
    #[serde(
        rename = "StartTimeStamp",
        default,
        with = "optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub start: Option<UnixMillis>,
    /// End of the file.
    #[serde(
        rename = "EndTimeStamp",
        default,
        with = "optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub end: Option<UnixMillis>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackType {
    /// Sound only: `audio`.
    Audio,
    /// Pictures only: `video`.
    Video,
    /// Both: `audio_video`.
    AudioVideo,
}

impl From<MediaKind> for TrackType {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// Which stream a file was recorded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedMedia {
    /// A user's primary stream: `main`.
    Main,
    /// A user's substream: `aux`.
    Aux,
    /// The mixed stream: `mix`.
    Mix,
}

impl From<MediaId> for RecordedMedia {
    fn from(media: MediaId) -> Self {
        match media {
            MediaId::Main => Self::Main,
            MediaId::Aux => Self::Aux,
        }
    }
}

/// The bare name of a file in a callback: 1 to 1024 of `A-Z a-z 0-9 + - . _`, not starting with a dot.
///
/// Wider than [`ObjectName`] in length only, because the cloud service writes longer names than local file systems
/// take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(s: &str) -> Result<Self, InvalidFileName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        match s.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(InvalidFileName::Byte { at }),
            None if !(1..=Self::MAX_BYTES).contains(&s.len()) => {
                Err(InvalidFileName::Length { len: s.len() })
            }
            None if s.starts_with('.') => Err(InvalidFileName::LeadingDot),
            None => Ok(Self(s.into())),
        }
    }
}

impl From<ObjectName> for FileName {
    fn from(name: ObjectName) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&ObjectName> for FileName {
    fn from(name: &ObjectName) -> Self {
        Self(name.as_str().into())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Why a text is no [`FileName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFileName {
    /// A byte outside the alphabet, for example a slash.
    #[error("a file name is made of A-Z a-z 0-9 + - . _; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty or too long.
    #[error("a file name has 1 to 1024 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
    /// Hidden files and `..`.
    #[error("a file name does not start with a dot")]
    LeadingDot,
}
