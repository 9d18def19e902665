use std::ops::RangeInclusive;

use recorder_callback::{FileName, Mp4File, RecordedMedia, TrackType, VodCommit, VodCommitStatus, VodFile};
use recorder_naming::{FileIndex, FileKind, NameError, StreamType, TaskNames};
use recorder_types::{MediaId, ObjectName, UnixMillis, UserId};

use super::file_set::SetId;

/// What a task writes (`OutputFormat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// 0: playlists and TS segments.
    #[default]
    Hls,
    /// 1: the same, and MP4 files at the end.
    HlsAndMp4,
    /// 2: the same, and AAC files at the end.
    HlsAndAac,
    /// 3: MP4 files only.
    Mp4,
    /// 4: AAC files only: sound, no pictures.
    Aac,
}

impl OutputFormat {
    /// Whether playlists and segments are delivered.
    #[must_use]
    pub const fn keeps_hls(self) -> bool {
        matches!(self, Self::Hls | Self::HlsAndMp4 | Self::HlsAndAac)
    }

    /// Which files are made at the end.
    #[must_use]
    pub const fn file_kind(self) -> Option<FileKind> {
        match self {
            Self::Hls => None,
            Self::HlsAndMp4 | Self::Mp4 => Some(FileKind::Mp4),
            Self::HlsAndAac | Self::Aac => Some(FileKind::Aac),
        }
    }
}

/// When an MP4 or AAC file ends and the next begins (`MaxMediaFileDuration`): 1 to 1440 minutes, 1440 by default.
/// 2^31 bytes end it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxFileDuration(u16);

impl MaxFileDuration {
    /// The minutes that are accepted.
    pub const RANGE: RangeInclusive<u16> = 1..=1440;

    /// `None` outside of [`MaxFileDuration::RANGE`].
    #[must_use]
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        Self::RANGE.contains(&minutes).then_some(Self(minutes))
    }

    /// The minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl Default for MaxFileDuration {
    fn default() -> Self {
        Self(1440)
    }
}

/// The media of one user that becomes one file, or several numbered ones where a limit is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileJob {
    /// Whose; `None` for the mixed room.
    pub user: Option<UserId>,
    /// Primary stream or substream; primary for the mixed room.
    pub media: MediaId,
    /// MP4 or AAC.
    pub kind: FileKind,
    /// The file sets that go in: sound and pictures, or both in one.
    pub inputs: Vec<JobInput>,
    /// When to begin the next file.
    pub max_duration: MaxFileDuration,
    names: TaskNames,
}

/// A file set that goes into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobInput {
    /// Which.
    pub set: SetId,
    /// What it holds.
    pub stream_type: StreamType,
}

impl FileJob {
    pub(super) const fn new(
        user: Option<UserId>,
        media: MediaId,
        kind: FileKind,
        max_duration: MaxFileDuration,
        names: TaskNames,
    ) -> Self {
        Self { user, media, kind, inputs: Vec::new(), max_duration, names }
    }

    pub(super) const fn names(&self) -> &TaskNames {
        &self.names
    }

    /// The name of one of its files.
    ///
    /// # Errors
    /// [`NameError`]; not for users whose streams were recorded.
    pub fn name(&self, index: FileIndex) -> Result<ObjectName, NameError> {
        match &self.user {
            Some(user) => self.names.single_file(user, self.media, self.kind, index),
            None => self.names.mixed_file(self.kind, index),
        }
    }
}

/// One file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MadeFile {
    /// Its bare name.
    pub name: ObjectName,
    /// Whose; `None` for the mixed room.
    pub user: Option<UserId>,
    /// Primary stream or substream; primary for the mixed room.
    pub media: MediaId,
    /// What it holds.
    pub track_type: TrackType,
    /// Start of its media.
    pub start: UnixMillis,
    /// End of its media.
    pub end: UnixMillis,
    /// Its size.
    pub bytes: u64,
}

impl MadeFile {
    /// As event 311 tells it when it is in a media library.
    pub(super) fn to_commit(&self, file_id: String, url: String) -> VodCommit {
        let Mp4File { file_name, user, track_type, media, start, end } = self.to_message();
        let file = VodFile {
            user,
            track_type,
            media: Some(media),
            file_id: Some(file_id),
            video_url: Some(url),
            cache_file: file_name,
            start: Some(start),
            end: Some(end),
        };
        VodCommit { status: VodCommitStatus::DELIVERED, error: None, file }
    }

    /// As event 310 tells it.
    #[must_use]
    pub fn to_message(&self) -> Mp4File {
        Mp4File {
            file_name: (&self.name).into(),
            user: self.user.clone(),
            track_type: self.track_type,
            media: match self.user {
                Some(_) => RecordedMedia::from(self.media),
                None => RecordedMedia::Mix,
            },
            start: self.start,
            end: self.end,
        }
    }
}

/// A playlist or file that is not in the media library.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingMedium {
    /// Its bare name.
    pub name: ObjectName,
    /// Whose; `None` for the mixed room.
    pub user: Option<UserId>,
    /// What it holds.
    pub track_type: TrackType,
    /// Whether it may get there without anybody's doing.
    pub retried: bool,
    /// Why it is not there.
    pub message: String,
}

impl MissingMedium {
    /// As event 311 tells it: with as many members as the documented failure has.
    pub(super) fn to_commit(&self) -> VodCommit {
        let file = VodFile {
            user: self.user.clone(),
            track_type: self.track_type,
            media: None,
            file_id: None,
            video_url: None,
            cache_file: FileName::from(&self.name),
            start: None,
            end: None,
        };
        let status = if self.retried { VodCommitStatus::KEPT_BACK } else { VodCommitStatus::ERROR };
        VodCommit { status, error: Some(self.message.clone()), file }
    }
}
