//! What is in a TS segment, sample by sample, without its media: [`SegmentIndex`].
//!
//! A writer of MP4 has to know sizes and times of all samples before the first byte of media. The segmenter knows them
//! when it closes a segment ([`SegmentInfo::index`](crate::SegmentInfo)); stored beside the segment they save a pass
//! over the media. Where they are lost, [`SegmentIndex::from_ts`] reads them from the segment. [`Samples`] gives the
//! samples themselves, in the same order and with the same sizes.
//!
//! ```
//! use recorder_hls::index::{Samples, SegmentIndex};
//! use recorder_types::{MediaKind, UnixMillis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let ts = bytes::Bytes::new();
//! let index = SegmentIndex::from_ts(&ts, UnixMillis::EPOCH, false, None)?;
//! let stored = index.encode();
//! let (again, used) = SegmentIndex::decode(&stored)?;
//! assert_eq!((&again, used), (&index, stored.len()));
//! for sample in Samples::new(ts) {
//!     let sample = sample?;
//!     println!("{}: {} bytes at {}", sample.kind, sample.data.len(), sample.pts);
//! }
//! # Ok(())
//! # }
//! ```

mod build;
mod code;
mod pack;
mod samples;

use bytes::Bytes;
use recorder_types::UnixMillis;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::DisplayOrientation;

pub(crate) use build::IndexBuilder;
use code::Reader;
pub use samples::{Samples, SegmentSample};

use crate::demux::{Demuxer, Event, Fault, StreamKind};

/// All samples of one TS segment: times, sizes, sync flags and the parameter sets of its pictures.
///
/// About six bytes a picture and four a frame, in memory and encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    start: UnixMillis,
    discontinuity: bool,
    bytes: u64,
    video: Option<VideoIndex>,
    audio: Option<AudioIndex>,
}

/// The pictures of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoIndex {
    /// From which picture on which parameter sets hold; at least one, the first from picture 0 on.
    changes: Vec<SetChange>,
    count: u32,
    orientation: Option<DisplayOrientation>,
    log: Bytes,
}

/// From this picture on, other parameter sets hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SetChange {
    from: u32,
    sets: Vec<Bytes>,
}

/// The AAC frames of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioIndex {
    config: AudioSpecificConfig,
    count: u32,
    log: Bytes,
}

/// One picture, in decode order. Times are in ticks of 90 kHz, the 33-bit wrap undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedPicture {
    /// When it is shown.
    pub pts: i64,
    /// When it is decoded: later than the picture before it.
    pub dts: i64,
    /// Whether it is an IDR picture.
    pub sync: bool,
    /// Bytes as MP4 stores it: NAL units behind lengths of four bytes, without delimiters, parameter sets, orientation,
    /// filler and end markers.
    pub len: u32,
}

/// One AAC frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedFrame {
    /// When it is heard, in ticks of 90 kHz, the 33-bit wrap undone.
    pub pts: i64,
    /// Bytes without the ADTS header.
    pub len: u32,
}

/// Why there is no index. The input is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The encoded index is damaged, cut short, or something else: make it anew from the segment.
    #[error("encoded index is damaged")]
    Damaged,
    /// The encoded index has a version that this program does not know: make it anew from the segment.
    #[error("encoded index has unknown version {version}")]
    Version {
        /// The version.
        version: u8,
    },
    /// The segment is damaged.
    #[error("segment is damaged")]
    Segment(#[from] Fault),
    /// A segment of packed audio holds something that is no ADTS frame of AAC-LC, or ends within one.
    #[error("packed audio at {at}")]
    PackedAudio {
        /// Offset in the segment.
        at: u64,
        /// What is wrong.
        #[source]
        source: recorder_types::aac::AacError,
    },
    /// A picture or frame has no time.
    #[error("a sample at or before byte {at} has no time")]
    NoTime {
        /// Offset in the segment.
        at: u64,
    },
    /// A decode time does not follow the one before it.
    #[error("decode time {got} of the picture at {at} does not follow {last}")]
    Order {
        /// Offset in the segment.
        at: u64,
        /// Ticks of the picture before.
        last: i64,
        /// Its own.
        got: i64,
    },
    /// The audio changes its rate or channels within the segment.
    #[error("audio changes its configuration at {at}, within a segment")]
    AudioChange {
        /// Offset in the segment.
        at: u64,
    },
    /// A picture cannot be split into NAL units.
    #[error("picture at {at} cannot be split into NAL units")]
    Picture {
        /// Offset in the segment.
        at: u64,
        /// Why.
        #[source]
        source: recorder_types::h264::SplitError,
    },
    /// More samples, or more bytes of one, than 32 bits can count.
    #[error("more samples or bytes than can be counted at {at}")]
    TooLarge {
        /// Offset in the segment.
        at: u64,
    },
}

impl SegmentIndex {
    /// Reads the index of a segment from its bytes. For segments of [`Segmenter`](crate::Segmenter) it is equal to
    /// [`SegmentInfo::index`](crate::SegmentInfo).
    ///
    /// `reference` is an instant in ticks of 90 kHz, within 13 hours of which the first time is taken to lie (the end
    /// of the segment before, for one); without it times begin between 0 and 2^33. Of several video or audio streams
    /// the first is read. A segment of packed audio (ADTS frames behind an ID3 tag that tells the time of the first,
    /// RFC 8216 §3.4) is read too.
    ///
    /// # Errors
    /// [`IndexError`]: the segment is damaged, or cannot be put into an MP4 as it is.
    pub fn from_ts(
        segment: &[u8],
        start: UnixMillis,
        discontinuity: bool,
        reference: Option<i64>,
    ) -> Result<Self, IndexError> {
        samples::index(segment, start, discontinuity, reference)
    }

    /// When the segment starts on the wall clock.
    #[must_use]
    pub const fn start(&self) -> UnixMillis {
        self.start
    }

    /// Whether it does not follow the segment before: `EXT-X-DISCONTINUITY` stands before it.
    #[must_use]
    pub const fn discontinuity(&self) -> bool {
        self.discontinuity
    }

    /// Bytes of the TS segment.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its pictures; `None` without any.
    #[must_use]
    pub const fn video(&self) -> Option<&VideoIndex> {
        self.video.as_ref()
    }

    /// Its audio frames; `None` without any.
    #[must_use]
    pub const fn audio(&self) -> Option<&AudioIndex> {
        self.audio.as_ref()
    }

    /// Whether it tells samples of just those kinds that the segment's program map lists, which is to be in `head`: the
    /// first bytes of the segment, of segments of [`Segmenter`](crate::Segmenter) two packets. `false` without a map.
    ///
    /// An index may be whole and of this segment, and still lack a track: one that was made of pictures alone. A map may
    /// also list what did not come; such an index has to be made anew from the segment to be sure.
    #[must_use]
    pub fn agrees_with(&self, head: &[u8]) -> bool {
        let mut demuxer = Demuxer::default();
        demuxer.push(head);
        let streams = std::iter::from_fn(|| demuxer.poll()).find_map(|event| match event {
            Event::Streams(streams) => Some(streams),
            _ => None,
        });
        streams.is_some_and(|streams| {
            let lists = |kind| streams.iter().any(|stream| stream.kind == kind);
            (lists(StreamKind::H264), lists(StreamKind::AacAdts))
                == (self.video.is_some(), self.audio.is_some())
        })
    }

    /// The index as bytes that tell their own length: indexes can be stored one behind the other.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        code::encode(self)
    }

    /// The inverse of [`SegmentIndex::encode`], with the number of bytes that it took from the front of `bytes`.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] unless the checksum and everything else is right, [`IndexError::Version`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), IndexError> {
        code::decode(bytes)
    }
}

impl VideoIndex {
    /// The sequence and picture parameter sets of the first picture, each a NAL unit without start code: first the
    /// sequence sets that pictures refer to, then all picture sets of those. Empty if the segment does not bring them.
    ///
    /// They hold for the whole segment unless [`VideoIndex::set_changes`] says otherwise. A change of the sequence set
    /// always begins a new segment in recordings of the segmenter.
    #[must_use]
    pub fn parameter_sets(&self) -> &[Bytes] {
        self.changes.first().map_or(&[], |first| &first.sets)
    }

    /// Pictures from which on other parameter sets hold, with those: number in the segment, rising, and the sets.
    pub fn set_changes(&self) -> impl Iterator<Item = (u32, &[Bytes])> {
        self.changes.iter().skip(1).map(|change| (change.from, &*change.sets))
    }

    /// How many pictures, at least one.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How the first picture is to be turned for display, where it tells that (an SEI message of its own is not part of
    /// the sample then). `None`: as the pictures of the segment before.
    #[must_use]
    pub const fn orientation(&self) -> Option<DisplayOrientation> {
        self.orientation
    }

    /// The pictures, in decode order.
    pub fn pictures(&self) -> Pictures {
        Pictures { reader: Reader::new(self.log.clone()), dts: 0 }
    }
}

impl AudioIndex {
    /// Rate and channels of all frames.
    #[must_use]
    pub const fn config(&self) -> AudioSpecificConfig {
        self.config
    }

    /// How many frames, at least one.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The frames, in order.
    pub fn frames(&self) -> Frames {
        Frames { reader: Reader::new(self.log.clone()), pts: 0 }
    }
}

/// The pictures of a [`VideoIndex`]. Holds on to the memory of the index, not to the index.
#[derive(Clone, Debug)]
pub struct Pictures {
    reader: Reader,
    dts: i64,
}

impl Iterator for Pictures {
    type Item = IndexedPicture;

    fn next(&mut self) -> Option<IndexedPicture> {
        let dts = self.dts.checked_add(self.reader.signed()?)?;
        let pts = dts.checked_add(self.reader.signed()?)?;
        let len = self.reader.number()?;
        self.dts = dts;
        Some(IndexedPicture { pts, dts, sync: len & 1 == 1, len: u32::try_from(len >> 1).ok()? })
    }
}

/// The frames of an [`AudioIndex`]. Holds on to the memory of the index, not to the index.
#[derive(Clone, Debug)]
pub struct Frames {
    reader: Reader,
    pts: i64,
}

impl Iterator for Frames {
    type Item = IndexedFrame;

    fn next(&mut self) -> Option<IndexedFrame> {
        let pts = self.pts.checked_add(self.reader.signed()?)?;
        let len = u32::try_from(self.reader.number()?).ok()?;
        self.pts = pts;
        Some(IndexedFrame { pts, len })
    }
}
