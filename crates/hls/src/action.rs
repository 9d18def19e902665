use std::fmt;

use bytes::Bytes;
use recorder_types::{AacConfig, H264Config, MediaKind, ObjectName, RoomTime, UnixMillis};

use crate::index::SegmentIndex;

/// One encoded access unit on the room's clock: a coded picture, a raw AAC frame, or whole ADTS frames.
///
/// In decode order; the payload is shared, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// When it is shown or heard.
    pub pts: RoomTime,
    /// When it is decoded: at most `pts`, and above that of the access unit before. Audio is ordered by `pts`.
    pub dts: RoomTime,
    /// The bytes, framed as [`Streams`] says.
    pub data: Bytes,
}

/// Which elementary streams follow. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// H.264 pictures, given to [`Segmenter::push_video`](crate::Segmenter::push_video).
    pub video: Option<H264Config>,
    /// AAC-LC, given to [`Segmenter::push_audio`](crate::Segmenter::push_audio).
    pub audio: Option<AacConfig>,
}

/// What the caller does next, oldest first. None of it has been done yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Begin a segment. No name is used twice. A segment is closed before the next one is opened.
    OpenSegment {
        /// `{stem}_{UTC17}.ts`.
        name: ObjectName,
    },
    /// Append to the open segment. A multiple of 188 bytes, never empty.
    SegmentData {
        /// Whole TS packets.
        data: Bytes,
    },
    /// The open segment is complete: store it under its name.
    CloseSegment(SegmentInfo),
    /// The playlist grew. Comes after the segments that it names.
    Playlist(PlaylistUpdate),
}

/// A complete segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// `{stem}_{UTC17}.ts`.
    pub name: ObjectName,
    /// The instant that its name and `FILE-ATTR` tell.
    pub start: UnixMillis,
    /// Up to the first sample of the next segment where that follows without a gap, else to the end of its own last
    /// sample. Not rounded; `EXTINF` is.
    pub duration: RoomTime,
    /// Size of the TS file, a multiple of 188.
    pub bytes: u64,
    /// The earliest presentation time in it.
    pub first_pts: RoomTime,
    /// The latest presentation time in it.
    pub last_pts: RoomTime,
    /// Pictures in it.
    pub pictures: u64,
    /// AAC frames in it.
    pub audio_frames: u64,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// Whether its first picture is an IDR; true without pictures. False only after a cut for want of a key frame.
    pub starts_with_key_frame: bool,
    /// All its samples, for a writer of MP4: equal to what [`SegmentIndex::from_ts`] reads from the segment. `None`
    /// after [`SegmenterOptions::without_index`](crate::SegmenterOptions::without_index).
    pub index: Option<SegmentIndex>,
}

/// The playlist's growth: its text is `header` followed by every `append` so far, this one included.
///
/// The text as a whole is not kept by the segmenter, so that its memory does not grow with the recording;
/// [`PlaylistText`](crate::PlaylistText) does it for who wants that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaylistUpdate {
    /// `{stem}.m3u8`.
    pub name: ObjectName,
    /// All lines before the first segment; replaces the header of the update before.
    pub header: String,
    /// The lines that this update adds at the end.
    pub append: String,
    /// Whether `EXT-X-ENDLIST` is in: no update follows.
    pub ended: bool,
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target_duration: u64,
    /// Segments named so far.
    pub segments: u64,
}

/// A segment that stands in a playlist instead of the TS segment that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its name.
    pub name: ObjectName,
    /// Its size.
    pub bytes: u64,
    /// The initialization section that it and those after it need, where that is another than before.
    pub map: Option<ObjectName>,
}

/// What became of a pushed access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It is in the open segment, or waits with other audio for a PES packet to fill.
    Written,
    /// A picture that cannot be decoded before the next key frame: not written. Ask the sender for a key frame.
    WaitingForKeyFrame,
    /// Not written, and counted.
    Dropped(Loss),
}

/// Why an access unit was dropped. The input is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// No bytes.
    Empty,
    /// More bytes than the option allows, an AAC frame longer than ADTS can say, or more than 131 072 NAL units.
    TooLarge,
    /// Cannot be split into NAL units or ADTS frames.
    Damaged,
    /// No slice of a picture in it. Parameter sets that it carries are kept all the same.
    NoPicture,
    /// Only units of a scalable or multi-view layer, whose base picture is missing.
    NoBasePicture,
    /// A parameter set in it, or told with the stream, cannot be read.
    BadParameterSet,
    /// Its picture parameter set, or the sequence parameter set of that, never came.
    UnknownParameterSet,
    /// Its time does not rise above that of the one before, or leaps by more than an hour, and nothing confirms it.
    OutOfOrder,
    /// Presentation before decoding, or more than 10 s after it.
    BadPresentationTime,
    /// It would begin a segment, and more than ten, and one for each second since, have begun already.
    TooManySegments,
}

impl Loss {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Empty,
        Self::TooLarge,
        Self::Damaged,
        Self::NoPicture,
        Self::NoBasePicture,
        Self::BadParameterSet,
        Self::UnknownParameterSet,
        Self::OutOfOrder,
        Self::BadPresentationTime,
        Self::TooManySegments,
    ];

    /// A word for logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::Damaged => "damaged",
            Self::NoPicture => "no_picture",
            Self::NoBasePicture => "no_base_picture",
            Self::BadParameterSet => "bad_parameter_set",
            Self::UnknownParameterSet => "unknown_parameter_set",
            Self::OutOfOrder => "out_of_order",
            Self::BadPresentationTime => "bad_presentation_time",
            Self::TooManySegments => "too_many_segments",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a push was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The caller did not announce such a stream: call [`Segmenter::set_streams`](crate::Segmenter::set_streams).
    #[error("no {kind} stream was announced")]
    NoStream {
        /// What was pushed.
        kind: MediaKind,
    },
    /// The caller has not said when it is: call [`Segmenter::set_wall_clock`](crate::Segmenter::set_wall_clock).
    #[error("no wall clock was set")]
    NoWallClock,
    /// The caller had called [`Segmenter::finish`](crate::Segmenter::finish).
    #[error("the recording is finished")]
    Finished,
    /// A limit: no later name can follow one of the last millisecond of the year 9999.
    #[error("segment names end with the year 9999")]
    OutOfNames,
}

/// What a segmenter has written and lost since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmenterStats {
    /// Segments closed.
    pub segments: u64,
    /// Bytes of TS, those of the open segment included.
    pub bytes: u64,
    /// Pictures written.
    pub pictures: u64,
    /// AAC frames taken.
    pub audio_frames: u64,
    /// Pictures passed over for want of a key frame before them.
    pub waited: u64,
    /// Segments cut without a key frame, at the longest duration.
    pub forced_cuts: u64,
    pub(crate) lost: [u64; Loss::ALL.len()],
}

impl SegmenterStats {
    /// Access units dropped for this reason. Unreadable parameter sets that came with the stream count too.
    #[must_use]
    pub fn lost(&self, kind: Loss) -> u64 {
        Loss::ALL.iter().zip(self.lost).filter(|(k, _)| **k == kind).map(|(_, count)| count).sum()
    }

    /// Access units dropped, whatever the reason.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().sum()
    }

    pub(crate) fn count(&mut self, kind: Loss) {
        for (_, count) in Loss::ALL.iter().zip(&mut self.lost).filter(|(k, _)| **k == kind) {
            *count += 1;
        }
    }
}
