//! Media playlists read back: the recorder's own, the cloud recorder's, and those of other systems.
//!
//! [`MediaPlaylist`] is made by `text.parse()`. Attribute lists and byte ranges are read by `m3u8-rs`; lines, numbers
//! and the recorder's tags by this module, because `m3u8-rs` turns a bad number into 0.
//!
//! ```
//! use recorder_hls::read_playlist::MediaPlaylist;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-TRTC-USER-ID:alice\n#EXTINF:9.98\na.ts\n#EXT-X-ENDLIST\n";
//! let playlist: MediaPlaylist = text.parse()?;
//! assert_eq!(playlist.recording.user_id.as_deref(), Some("alice"));
//! assert_eq!(playlist.segments[0].duration.to_string(), "9.98");
//! assert!(playlist.ended && playlist.segments[0].uri.is_local_name());
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! RFC 8216 §4.1 and §4.3; the `EXT-X-TRTC-*` tags are the cloud recorder's.

mod decimal;
mod metadata;
mod scan;
mod uri;

use std::str::FromStr;
use std::sync::Arc;

use recorder_types::UnixMillis;

pub use decimal::DecimalSeconds;
pub use metadata::{AudioMetadata, FileAttr, VideoMetadata};
pub use uri::SegmentUri;

/// A media playlist (RFC 8216 §4.3.3) with the tags that the TRTC recorder adds.
///
/// It takes memory in proportion to the text; how long a text may be is the caller's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaPlaylist {
    /// `EXT-X-VERSION`; 1 where it is absent (§7).
    pub version: u32,
    /// `EXT-X-TARGETDURATION`, in seconds. That no segment is longer is not checked: the cloud recorder's are.
    pub target_duration: u64,
    /// `EXT-X-MEDIA-SEQUENCE` of the first segment; 0 where it is absent.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`; 0 where it is absent.
    pub discontinuity_sequence: u64,
    /// `EXT-X-PLAYLIST-TYPE`, where there is one.
    pub playlist_type: Option<PlaylistType>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`: each segment can be decoded without those before it.
    pub independent_segments: bool,
    /// Whether `EXT-X-ENDLIST` is there: nothing will be added.
    pub ended: bool,
    /// The tags of the recorder that stand for the whole playlist.
    pub recording: RecordingTags,
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// `#EXT` tags that this reader does not know, before the first tag of a segment or after the last segment.
    pub unknown_tags: Vec<UnknownTag>,
}

/// `EXT-X-PLAYLIST-TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistType {
    /// Segments may only be added.
    Event,
    /// Nothing changes.
    Vod,
}

/// The `EXT-X-TRTC-*` tags that describe a recording; `None` where one is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingTags {
    /// `VERSION`: build of the recorder.
    pub version: Option<String>,
    /// `DATE`: build date of the recorder, as it is written.
    pub date: Option<String>,
    /// `START-REC-TIME`. Need not agree with the first segment's name.
    pub start: Option<UnixMillis>,
    /// `MEDIA-ID`: `main`, `aux`, or `mix`.
    pub media_id: Option<String>,
    /// `USER-ID`, not encoded; empty in a mixed recording.
    pub user_id: Option<String>,
    /// `MIX-STREAM`: whether it is a mixed recording (1) or one user's (0).
    pub mixed: Option<bool>,
    /// `STREAM-TYPE`: 0 audio, 1 video, 2 both.
    pub stream_type: Option<u32>,
}

/// A segment and the tags that apply to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Where it is.
    pub uri: SegmentUri,
    /// Line of the URI, from 1.
    pub line: usize,
    /// `EXTINF`.
    pub duration: DecimalSeconds,
    /// The text after the comma of `EXTINF`; empty where there is none.
    pub title: String,
    /// `EXT-X-DISCONTINUITY` between the segment before and this one.
    pub discontinuity: bool,
    /// `EXT-X-GAP`: the segment does not exist, only its time.
    pub gap: bool,
    /// `EXT-X-BYTERANGE`: only these bytes of the resource.
    pub byte_range: Option<ByteRange>,
    /// `EXT-X-MAP` in force.
    pub map: Option<Arc<InitSection>>,
    /// Whether an `EXT-X-KEY` other than `METHOD=NONE` is in force.
    pub encrypted: bool,
    /// `EXT-X-PROGRAM-DATE-TIME` of this segment as Unix milliseconds, rounded down; may be before 1970.
    pub program_date_time_millis: Option<i64>,
    /// `EXT-X-TRTC-FILE-ATTR` of this segment.
    pub file_attr: Option<FileAttr>,
    /// `EXT-X-TRTC-AUDIO-METADATA` in force.
    pub audio: Option<Arc<AudioMetadata>>,
    /// `EXT-X-TRTC-VIDEO-METADATA` in force.
    pub video: Option<Arc<VideoMetadata>>,
    /// `#EXT` tags that this reader does not know, before this segment.
    pub unknown_tags: Vec<UnknownTag>,
}

/// A part of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Bytes.
    pub length: u64,
    /// Offset of the first byte: as written, or the end of the range before in the same resource. `None` if neither
    /// tells it.
    pub offset: Option<u64>,
}

/// `EXT-X-MAP`: where the initialization section is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitSection {
    /// The resource.
    pub uri: SegmentUri,
    /// The part of it; all of it where there is none.
    pub byte_range: Option<ByteRange>,
}

/// An `#EXT` line that is not understood here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTag {
    /// Its line, from 1.
    pub line: usize,
    /// Without `#`, up to the colon.
    pub name: String,
    /// What follows the colon, where there is one.
    pub value: Option<String>,
}

/// Why a text is no media playlist. The input is at fault; lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadPlaylistError {
    /// The first line is not `#EXTM3U`.
    #[error("line 1: a playlist begins with #EXTM3U")]
    NoHeader,
    /// It lists other playlists, not segments.
    #[error("line {line}: {tag} belongs to a master playlist")]
    Master {
        /// The line.
        line: usize,
        /// The tag.
        tag: &'static str,
    },
    /// A control character, which no line may hold (§4.1). Tabs are let through.
    #[error("line {line}: control character")]
    Control {
        /// The line.
        line: usize,
    },
    /// The value of a tag does not follow its syntax, or is out of range.
    #[error("line {line}: bad value of {tag}")]
    Value {
        /// The line.
        line: usize,
        /// The tag.
        tag: &'static str,
    },
    /// A tag that may stand once stands twice (§4.3.3).
    #[error("line {line}: {tag} for the second time")]
    Repeated {
        /// The line.
        line: usize,
        /// The tag.
        tag: &'static str,
    },
    /// A URI without `EXTINF` before it (§4.3.2.1).
    #[error("line {line}: segment without EXTINF")]
    NoDuration {
        /// Line of the URI.
        line: usize,
    },
    /// `EXTINF` without a URI after it: the text was cut.
    #[error("line {line}: EXTINF without a segment")]
    NoSegment {
        /// Line of the `EXTINF`.
        line: usize,
    },
    /// `EXT-X-TARGETDURATION` is absent (§4.3.3.1).
    #[error("no EXT-X-TARGETDURATION")]
    NoTargetDuration,
}

impl FromStr for MediaPlaylist {
    type Err = ReadPlaylistError;

    /// Reads a whole text. Lines end with LF or CRLF; white space around a line is passed over; `EXTINF` may lack
    /// its comma; tags may come in any order.
    fn from_str(text: &str) -> Result<Self, ReadPlaylistError> {
        scan::read(text)
    }
}
