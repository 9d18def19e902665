//! What a demuxer tells.

use std::fmt;

use bytes::Bytes;
use recorder_types::Timestamp;
use recorder_types::aac::AudioSpecificConfig;

/// A packet identifier: 13 bits that tell the streams of a transport stream apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub(super) u16);

impl Pid {
    /// 0 to 0x1FFF.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// One stream of the program map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementaryStream {
    /// Where its packets are.
    pub pid: Pid,
    /// What it carries.
    pub kind: StreamKind,
}

/// What a stream carries, by its `stream_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamKind {
    /// H.264 in Annex B (0x1B).
    H264,
    /// AAC in ADTS (0x0F).
    AacAdts,
    /// Anything else. It is named once, in [`Event::Streams`], and its packets are skipped.
    Other {
        /// `stream_type` of the program map.
        stream_type: u8,
        /// `format_identifier` of its registration descriptor.
        registration: Option<[u8; 4]>,
    },
}

impl StreamKind {
    /// A name for a log line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::AacAdts => "AAC (ADTS)",
            Self::Other { registration: Some(format), .. } => match &format {
                b"Opus" => "Opus",
                b"AC-3" => "AC-3",
                b"EAC3" => "E-AC-3",
                b"HEVC" => "H.265",
                b"ID3 " => "ID3",
                _ => "private data with a registration",
            },
            Self::Other { stream_type, .. } => match stream_type {
                0x01 => "MPEG-1 video",
                0x02 => "MPEG-2 video",
                0x03 | 0x04 => "MPEG audio",
                0x06 => "private data",
                0x11 => "AAC (LATM)",
                0x15 => "metadata",
                0x24 => "H.265",
                0x81 => "AC-3",
                0x86 => "SCTE-35",
                0xCF => "AAC (ADTS, encrypted)",
                0xDB => "H.264 (encrypted)",
                _ => "unknown",
            },
        }
    }
}

/// When a unit is shown and decoded, on the 90 kHz clock with the 33-bit wrap undone.
///
/// The clock of one demuxer is continuous across wraps; its zero is that of the first time read, or lies near the
/// reference of [`DemuxOptions::with_reference`](super::DemuxOptions::with_reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitTime {
    /// Presentation time.
    pub pts: Timestamp,
    /// Decode time; equal to `pts` where the stream tells none.
    pub dts: Timestamp,
}

/// What kind of unit this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnitKind {
    /// An H.264 access unit in Annex B framing.
    H264 {
        /// Whether its first slice is of an IDR picture.
        idr: bool,
    },
    /// One ADTS frame, header included.
    Aac {
        /// Rate and channels of its header.
        config: AudioSpecificConfig,
        /// Bytes of its header, after which the raw frame begins.
        header_len: usize,
    },
}

/// Where the packets of a unit lie: reading `len` bytes from `at` gives all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSpan {
    /// Offset, in all the bytes pushed so far, of the packet that begins the PES packet in which the unit begins.
    pub at: u64,
    /// Bytes up to the end of the last packet of the unit.
    pub len: u64,
}

/// A video access unit or an audio frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its stream.
    pub pid: Pid,
    /// Its kind, with what its header tells.
    pub kind: UnitKind,
    /// `None` if the stream has told no time that it could be derived from.
    pub time: Option<UnitTime>,
    /// The bytes: a copy of the payload that is shared from here on.
    pub data: Bytes,
    /// Where it was found.
    pub span: ByteSpan,
    /// Whether its first packet had `random_access_indicator` set.
    pub random_access: bool,
    /// Whether packets of it are known to be lost. Only video: audio with a hole is dropped.
    pub damaged: bool,
}

/// What was found, in the order of the input. Units come out when they are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A program map that differs from the one before: all streams of the program, also those that are skipped.
    Streams(Vec<ElementaryStream>),
    /// A unit of media.
    Unit(AccessUnit),
    /// A program clock reference.
    Pcr {
        /// The stream whose packet carried it.
        pid: Pid,
        /// The base, unrolled like the times of units.
        base: Timestamp,
        /// 27 MHz ticks after `base`, 0 to 299.
        extension: u16,
        /// Offset of its packet.
        at: u64,
    },
    /// `discontinuity_indicator`: clock or continuity counter of this stream begin anew here.
    Discontinuity {
        /// The stream.
        pid: Pid,
        /// Offset of the packet.
        at: u64,
    },
    /// Something that should not be. The demuxer went on.
    Fault(Fault),
}

/// Damage, with the offset where it was seen. All of it is a fault of the input, but for
/// [`Fault::UnitOverLimit`] and [`Fault::HeldOverLimit`], which are bounds of
/// [`DemuxOptions`](super::DemuxOptions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes that belong to no packet; the tail of a file that ends inside a packet too.
    #[error("{len} bytes at {at} are no transport stream packets")]
    Junk {
        /// Offset of the first.
        at: u64,
        /// How many.
        len: u64,
    },
    /// A packet marked as damaged or scrambled, or whose fields contradict its length.
    #[error("packet at {at} is damaged or scrambled")]
    Packet {
        /// Its offset.
        at: u64,
    },
    /// The continuity counter jumped: packets are missing before this one.
    #[error("stream {pid}: packets are missing before the one at {at} (counter {got}, expected {expected})")]
    Continuity {
        /// The stream.
        pid: Pid,
        /// Offset of the packet after the hole.
        at: u64,
        /// The counter that was due, 0 to 15.
        expected: u8,
        /// The counter that came, 0 to 15.
        got: u8,
    },
    /// A PAT or PMT with a bad CRC or contradictory lengths.
    #[error("program table in the packet at {at} is damaged")]
    Table {
        /// Offset of the packet.
        at: u64,
    },
    /// A packet should begin a PES packet and does not, or its header is cut.
    #[error("stream {pid}: no PES header in the packet at {at}")]
    PesHeader {
        /// The stream.
        pid: Pid,
        /// Offset of the packet.
        at: u64,
    },
    /// Fewer bytes than the PES packet announced.
    #[error("stream {pid}: PES packet at {at} is cut short")]
    PesCut {
        /// The stream.
        pid: Pid,
        /// Offset of the first packet of the PES packet.
        at: u64,
    },
    /// Bytes where an ADTS frame of AAC-LC should be; skipped up to the next one.
    #[error("stream {pid}: {len} bytes at or after {at} are no ADTS frame")]
    NotAdts {
        /// The stream.
        pid: Pid,
        /// Offset of the first packet of the PES packet.
        at: u64,
        /// Bytes skipped.
        len: usize,
    },
    /// A unit above [`DemuxOptions::with_max_unit_bytes`](super::DemuxOptions::with_max_unit_bytes); dropped.
    #[error("stream {pid}: unit at {at} is over the limit of {limit} bytes")]
    UnitOverLimit {
        /// The stream.
        pid: Pid,
        /// Offset of its first packet.
        at: u64,
        /// The limit.
        limit: usize,
    },
    /// The input ended without a program map that could be read.
    #[error("no program map in {bytes} bytes of packets")]
    NoProgram {
        /// Bytes of the packets that could not be told.
        bytes: u64,
    },
    /// Bytes of a video stream that no access unit before them could be the beginning of; dropped.
    #[error("stream {pid}: {len} bytes at {at} belong to no access unit")]
    NoStartCode {
        /// The stream.
        pid: Pid,
        /// Offset of the unit's first packet.
        at: u64,
        /// Bytes dropped.
        len: usize,
    },
    /// More data before the first program map than
    /// [`DemuxOptions::with_max_held_bytes`](super::DemuxOptions::with_max_held_bytes); the oldest was dropped.
    #[error("{bytes} bytes before the first program map were dropped, over the limit of {limit}")]
    HeldOverLimit {
        /// Bytes dropped.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
}
