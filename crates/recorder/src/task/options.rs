use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use recorder_naming::{HaRun, KeyPrefix, StreamType, TaskNames, UserDefineRecordId};
use recorder_types::{MediaId, MediaKind, RoomId, SdkAppId, TaskId, UserId};

use super::output::{MaxFileDuration, OutputFormat};
use crate::subscribe::Subscription;

/// Most anchors that one task records at a time; an anchor without video counts too.
pub const MAX_ANCHORS: usize = 25;

/// What one recording task does. Names in brackets are the fields of `CreateCloudRecording`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskOptions {
    /// Application of the room (`SdkAppId`).
    pub app: SdkAppId,
    /// Room to record (`RoomId`, `RoomIdType`).
    pub room: RoomId,
    /// The task: one directory level of every key (`TaskId`).
    pub task: TaskId,
    /// The recording robot (`UserId`), told in callbacks.
    pub robot: UserId,
    /// Directories before the task's (`FileNamePrefix`).
    pub prefix: KeyPrefix,
    /// Set when the high-availability scheme restarted the task.
    pub ha_run: Option<HaRun>,
    /// Audio, video or both (`StreamType`).
    pub stream_type: StreamSelection,
    /// Primary stream, substream or both (`MediaId`).
    pub media: MediaSelection,
    /// One file set per track, or one for a user's audio and video (`AvMerge`).
    pub merge: AvMerge,
    /// Whom to record (`SubscribeStreamUserIds`).
    pub subscription: Subscription,
    /// How long the room may be without any anchor before the task ends by itself (`MaxIdleTime`).
    pub max_idle: MaxIdleTime,
    /// Playlists and segments, or MP4 or AAC files, or both (`OutputFormat`).
    pub output: OutputFormat,
    /// Longest MP4 or AAC file (`MaxMediaFileDuration`).
    pub max_file_duration: MaxFileDuration,
    /// Into a bucket or into a media library (`StorageParams`).
    pub delivery: Delivery,
    /// One video and sound of the room and not one of each participant (`RecordMode` 2).
    #[cfg(feature = "mix")]
    pub mix: Option<super::mix::MixOptions>,
    /// Whether it is written down what happens in the room and when ([`crate::timeline`]), so that a mixed recording can
    /// be made later of the single-stream ones. The file is `<SdkAppId>_<RoomId>.timeline.jsonl`. Default: no.
    #[cfg(feature = "mix")]
    pub timeline: bool,
}

impl TaskOptions {
    /// Everything of everyone, one file set per track, 30 s of idle time.
    #[must_use]
    pub fn new(app: SdkAppId, room: RoomId, task: TaskId, robot: UserId) -> Self {
        Self {
            app,
            room,
            task,
            robot,
            prefix: KeyPrefix::default(),
            ha_run: None,
            stream_type: StreamSelection::default(),
            media: MediaSelection::default(),
            merge: AvMerge::default(),
            subscription: Subscription::everyone(),
            max_idle: MaxIdleTime::default(),
            output: OutputFormat::default(),
            max_file_duration: MaxFileDuration::default(),
            delivery: Delivery::default(),
            #[cfg(feature = "mix")]
            mix: None,
            #[cfg(feature = "mix")]
            timeline: false,
        }
    }

    /// The names of the run `run`.
    pub(crate) fn names(&self, run: Option<HaRun>) -> TaskNames {
        let mut names = TaskNames::new(self.app, self.room.clone());
        if let Some(run) = run {
            names = names.with_ha(run);
        }
        match &self.delivery {
            Delivery::Library { record_id: Some(id) } => names.with_record_id(id.clone()),
            Delivery::Library { record_id: None } | Delivery::Bucket => names,
        }
    }
}

/// How files are delivered and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Each as soon as it is whole, into a bucket (`CloudStorage`): events 303 to 305, 307 and 310.
    #[default]
    Bucket,
    /// At the end, into a media library (`CloudVod`): an event 311 for each playlist and each MP4 or AAC file, then 312.
    Library {
        /// The customer's mark in front of names (`UserDefineRecordId`).
        record_id: Option<UserDefineRecordId>,
    },
}

impl Delivery {
    pub(crate) const fn is_library(&self) -> bool {
        matches!(self, Self::Library { .. })
    }
}

/// Which kinds are recorded (`StreamType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamSelection {
    /// 0: audio and video.
    #[default]
    AudioAndVideo,
    /// 1: audio only.
    AudioOnly,
    /// 2: video only.
    VideoOnly,
}

impl StreamSelection {
    /// What a file set of everything that is selected holds.
    pub(crate) const fn of_all(self) -> StreamType {
        match self {
            Self::AudioAndVideo => StreamType::AudioVideo,
            Self::AudioOnly => StreamType::Audio,
            Self::VideoOnly => StreamType::Video,
        }
    }

    pub(crate) const fn takes(self, kind: MediaKind) -> bool {
        matches!(
            (self, kind),
            (Self::AudioAndVideo, _)
                | (Self::AudioOnly, MediaKind::Audio)
                | (Self::VideoOnly, MediaKind::Video)
        )
    }
}

/// Which streams of a user are recorded (`MediaId`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaSelection {
    /// 0: primary stream and substream.
    #[default]
    Both,
    /// 1: primary stream.
    MainOnly,
    /// 2: substream.
    AuxOnly,
}

impl MediaSelection {
    pub(crate) const fn takes(self, media: MediaId) -> bool {
        matches!(
            (self, media),
            (Self::Both, _) | (Self::MainOnly, MediaId::Main) | (Self::AuxOnly, MediaId::Aux)
        )
    }
}

/// Whether a user's audio and video share one file set (`AvMerge`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AvMerge {
    /// 0: one set for each track.
    #[default]
    Separate,
    /// 1: audio and video of the primary stream in one set.
    Merged,
}

/// How long a room may stay without anchors: 5 s to 86 400 s (1 s to 86 400 s for recordings by template), 30 s by
/// default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxIdleTime(NonZeroU32);

impl MaxIdleTime {
    /// The seconds that are accepted.
    pub const RANGE: RangeInclusive<u32> = 5..=86_400;

    /// `None` outside of [`MaxIdleTime::RANGE`].
    #[must_use]
    pub fn from_secs(secs: u32) -> Option<Self> {
        NonZeroU32::new(secs).filter(|_| Self::RANGE.contains(&secs)).map(Self)
    }

    /// A time of an auto-recording template, which may be shorter: 1 s to 86 400 s.
    #[cfg(any(feature = "api", feature = "mix"))]
    pub(crate) fn from_template_secs(secs: u32) -> Option<Self> {
        NonZeroU32::new(secs).filter(|_| secs <= *Self::RANGE.end()).map(Self)
    }

    #[cfg(feature = "mix")]
    pub(crate) const fn secs(self) -> u32 {
        self.0.get()
    }

    /// The time as a duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0.get()))
    }

    pub(crate) fn as_room_time(self) -> recorder_types::RoomTime {
        recorder_types::RoomTime::from_secs(i64::from(self.0.get()))
    }
}

impl Default for MaxIdleTime {
    fn default() -> Self {
        Self(NonZeroU32::new(30).expect("30 is not zero"))
    }
}
