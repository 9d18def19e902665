use bytes::Bytes;

use crate::Timestamp;
use crate::aac::AudioSpecificConfig;

/// Width and height of a picture in pixels, after cropping. Neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// `None` if a side is zero.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Option<Self> {
        if width == 0 || height == 0 { None } else { Some(Self { width, height }) }
    }

    /// Pixels across.
    #[must_use]
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub const fn height(self) -> u32 {
        self.height
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// One encoded access unit: a coded picture, an AAC frame (or several in ADTS), or an Opus packet.
///
/// The payload is shared, never copied on the way. Samples of a track come in decode order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it is shown or heard.
    pub pts: Timestamp,
    /// When it is decoded; equal to `pts` where nothing is reordered.
    pub dts: Timestamp,
    /// The bytes, in the framing that the track's [`TrackConfig`] names.
    pub data: Bytes,
}

impl Sample {
    /// A sample of a track without reordering: decode time and presentation time are the same.
    #[must_use]
    pub const fn new(pts: Timestamp, data: Bytes) -> Self {
        Self { pts, dts: pts, data }
    }

    /// A sample whose decode time differs (B-frames).
    #[must_use]
    pub const fn reordered(pts: Timestamp, dts: Timestamp, data: Bytes) -> Self {
        Self { pts, dts, data }
    }
}

/// What the samples of a track are: told once, when it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackConfig {
    /// H.264, Constrained Baseline to High.
    H264(H264Config),
    /// AAC-LC.
    Aac(AacConfig),
    /// Opus, RFC 6716.
    Opus(OpusConfig),
}

/// H.264: how NAL units are delimited, and the parameter sets that came outside of the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H264Config {
    /// How the NAL units of one access unit are delimited.
    pub framing: NalFraming,
    /// SPS and PPS NAL units from `sprop-parameter-sets` or `avcC`; empty where they are in the samples.
    pub parameter_sets: Vec<Bytes>,
}

/// How the NAL units inside one access unit are delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalFraming {
    /// Start codes `00 00 01` or `00 00 00 01` (ITU-T H.264 Annex B).
    AnnexB,
    /// A big-endian length of this many bytes (1, 2 or 4) before each NAL unit (ISO/IEC 14496-15).
    LengthPrefixed {
        /// Bytes of the length field: 1, 2 or 4.
        length_bytes: u8,
    },
}

/// AAC-LC: one raw frame in each sample with the config aside, or ADTS frames that carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AacConfig {
    /// `raw_data_block`s; one a sample.
    Raw(AudioSpecificConfig),
    /// One or more whole ADTS frames a sample.
    Adts,
}

/// Opus, one packet a sample. The clock of Opus is 48 kHz whatever the encoder was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    /// 1 or 2.
    pub channels: u8,
    /// Samples at 48 kHz to drop from the start (RFC 7845 §4.2); 0 for a live stream. Timestamps are those of
    /// presentation: the first packet of a file is at `-pre_skip`.
    pub pre_skip: u16,
}
