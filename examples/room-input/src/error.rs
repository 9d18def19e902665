use std::fmt;
use std::io;
use std::path::PathBuf;

use recorder_types::aac::AacError;

/// Why a file gives no samples, or no more of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// An option of the caller is out of its range.
    #[error("{0}")]
    InvalidOption(&'static str),
    /// Neither the first bytes nor the ending of the name tell a format that is read here.
    #[error("{path}: not MP4, H.264 byte stream, ADTS or Ogg Opus", path = .path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A format that is known but not read here.
    #[error("{path}: {format} is not read here", path = .path.display())]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: &'static str,
    },
    /// A frame rate was given for a file whose samples have times.
    #[error("{path}: has times of its own; a frame rate is for H.264 byte streams only", path = .path.display())]
    NeedlessFrameRate {
        /// The file.
        path: PathBuf,
    },
    /// A byte stream without one coded picture of the base layer.
    #[error("no H.264 picture in {path}", path = .path.display())]
    NoPicture {
        /// The file.
        path: PathBuf,
    },
    /// No AAC-LC frame; `source` says what was there instead, where something was.
    #[error("no AAC-LC frame in {path}", path = .path.display())]
    NoAacFrame {
        /// The file.
        path: PathBuf,
        /// Why the first header that looked like ADTS was refused.
        #[source]
        source: Option<AacError>,
    },
    /// No track of the file can be used; the warnings say why, one for each.
    #[error("no usable audio or video track in {path}{}", Reasons(.warnings))]
    NoTrack {
        /// The file.
        path: PathBuf,
        /// What was wrong with each.
        warnings: Vec<Warning>,
    },
    /// An Ogg file that is not one Opus stream from beginning to end.
    #[error("{path}: {fault}", path = .path.display())]
    Ogg {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: OggFault,
    },
    /// The structure of an MP4 file is damaged beyond use.
    #[error("{path}: the MP4 structure cannot be read", path = .path.display())]
    Mp4 {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: recorder_mp4::ReadError,
    },
    /// One access unit or packet is larger than what is kept in memory.
    #[error("{path}: no end of the access unit at byte {at} within {limit} bytes", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Offset of its first byte.
        at: u64,
        /// The bound.
        limit: usize,
    },
    /// The simulated participant could not be encoded.
    #[error("simulated participant cannot be encoded")]
    Encode(#[source] recorder_codec::CodecError),
    /// The file cannot be opened or read.
    #[error("cannot read {path}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

struct Reasons<'a>(&'a [Warning]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|warning| write!(f, "; {warning}"))
    }
}

/// What keeps an Ogg file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OggFault {
    /// The first packet is no `OpusHead` (RFC 7845 §5.1).
    #[error("the Ogg stream is not Opus")]
    NotOpus,
    /// `OpusHead` of a major version, channel mapping or channel count that is not read here.
    #[error("Opus version, channel mapping or channel count is not supported (mono and stereo are)")]
    Head,
    /// The second packet is no `OpusTags` (RFC 7845 §5.2).
    #[error("the Opus comment header is missing")]
    NoTags,
    /// Several streams side by side.
    #[error("several Ogg streams side by side (multiplexed) are not supported")]
    Multiplexed,
    /// Another stream after the end of the first.
    #[error("several Ogg streams one after another (chained) are not supported")]
    Chained,
    /// No page at all can be read.
    #[error("no whole Ogg page")]
    NoPage,
}

/// Something in a file that was passed over. The samples after it are good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The stream does not tell its frame rate and none was given: 25 frames per second are taken.
    DefaultFrameRate,
    /// Bytes that belong to nothing.
    Junk {
        /// Offset of the first.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// The file ends within a frame or packet, which was dropped.
    TruncatedEnd {
        /// Offset of the frame or packet.
        at: u64,
    },
    /// From here on pictures are reordered further than before: presentation times are later by `frames`.
    ReorderGrew {
        /// Which access unit, from 0, in decoding order.
        picture: u64,
        /// By how many frame durations.
        frames: u64,
    },
    /// A slice whose parameter sets did not come: its place in display order is taken to be the one in the file.
    NoParameterSets {
        /// Which access unit, from 0, in decoding order.
        picture: u64,
    },
    /// The AAC rate or channel count changes here.
    ConfigChange {
        /// Offset of the first frame of the new kind.
        at: u64,
    },
    /// Opus packets or pages are missing or damaged: a gap of `samples` at 48 kHz was left.
    Gap {
        /// Samples at 48 kHz.
        samples: u64,
    },
    /// An Ogg page is damaged and was dropped.
    DamagedPage,
    /// An Opus packet with an impossible table of contents was dropped (RFC 6716 §3.2).
    BadOpusPacket,
    /// A track or sample of an MP4 file that cannot be used.
    Mp4 {
        /// What the reader said.
        reason: String,
    },
    /// More warnings than are kept.
    More {
        /// How many were left out.
        count: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultFrameRate => f.write_str("the stream tells no frame rate: 25 fps taken"),
            Self::Junk { at, bytes } => write!(f, "{bytes} foreign bytes skipped at byte {at}"),
            Self::TruncatedEnd { at } => write!(f, "the file ends within the frame at byte {at}: dropped"),
            Self::ReorderGrew { picture, frames } => {
                write!(
                    f,
                    "picture {picture} and those after are reordered further than those before: shown {frames} frames later from here"
                )
            }
            Self::NoParameterSets { picture } => {
                write!(f, "picture {picture} has no parameter sets: display order taken from file order")
            }
            Self::ConfigChange { at } => write!(f, "rate or channels change at byte {at}"),
            Self::Gap { samples } => write!(f, "a gap of {samples} samples at 48 kHz"),
            Self::DamagedPage => f.write_str("a damaged Ogg page was dropped"),
            Self::BadOpusPacket => f.write_str("a damaged Opus packet was dropped"),
            Self::Mp4 { reason } => f.write_str(reason),
            Self::More { count } => write!(f, "{count} more warnings"),
        }
    }
}

/// Warnings of one file, the first 32 kept and the rest counted.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    kept: Vec<Warning>,
    more: u64,
}

impl Warnings {
    const KEPT: usize = 32;

    pub(crate) fn push(&mut self, warning: Warning) {
        if self.kept.len() < Self::KEPT {
            self.kept.push(warning);
        } else {
            self.more += 1;
        }
    }

    /// What has come so far; the next call gives only what comes after.
    pub(crate) fn take(&mut self) -> Vec<Warning> {
        let mut all = std::mem::take(&mut self.kept);
        if self.more > 0 {
            all.push(Warning::More { count: std::mem::take(&mut self.more) });
        }
        all
    }
}
