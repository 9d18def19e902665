use std::fmt;

use recorder_types::Size;
use recorder_types::aac::AacError;

/// A codec, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// AAC-LC.
    Aac,
    /// Opus.
    Opus,
    /// H.264.
    H264,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aac => "AAC",
            Self::Opus => "Opus",
            Self::H264 => "H.264",
        })
    }
}

/// Why a decoder or an encoder gave nothing. Sorted by who has to act; [`CodecError::is_input`] sorts at run time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The caller asked for a channel count that this codec does not do here.
    #[error("{codec} with {channels} channels is not supported")]
    Channels {
        /// The codec.
        codec: Codec,
        /// What was asked for.
        channels: u8,
    },
    /// The caller asked for a bit rate outside the range of the codec at this sample rate and channel count.
    #[error("{codec} cannot be encoded at {bits_per_second} bit/s here")]
    BitRate {
        /// The codec.
        codec: Codec,
        /// What was asked for.
        bits_per_second: u32,
    },
    /// The caller asked for an AAC configuration that does not exist.
    #[error("no such AAC configuration")]
    AacConfig(#[source] AacError),
    /// The caller asked for a picture rate of zero or a key frame distance of zero.
    #[error("pictures per second and pictures per key frame must not be zero")]
    PictureRate,
    /// The caller asked for a change of the sampling rate from or to outside of 8000 to 96000, or in other than 1 or 2
    /// channels.
    #[error("{channels} channels cannot be resampled from {from} to {to} Hz")]
    Resample {
        /// Samples per second that come in.
        from: u32,
        /// Samples per second that go out.
        to: u32,
        /// Channels.
        channels: u8,
    },
    /// The caller joined parts that do not fit: another sample rate, channel count or codec than expected.
    #[error("{codec} encoder does not have the sample rate, channels or format that is needed")]
    EncoderMismatch {
        /// The codec of the encoder that was brought.
        codec: Codec,
    },
    /// The caller gave interleaved PCM that does not divide by the channels.
    #[error("{len} samples do not divide into {channels} channels")]
    PcmLength {
        /// Samples, all channels together.
        len: usize,
        /// Channels.
        channels: u8,
    },
    /// The caller gave PCM with an infinity or a NaN in it.
    #[error("PCM sample {at} is not a finite number")]
    PcmNotFinite {
        /// Index in the interleaved PCM.
        at: usize,
    },
    /// The caller gave a plane that is narrower or shorter than its picture, or chroma planes of unequal stride.
    #[error("planes do not hold a picture of {size}")]
    Planes {
        /// The picture.
        size: Size,
    },
    /// The caller gave a picture of odd width or height, or of a size outside the encoder's range.
    #[error("{codec} cannot encode pictures of {size}")]
    PictureSize {
        /// The codec.
        codec: Codec,
        /// The picture.
        size: Size,
    },
    /// The caller gave a picture whose time does not follow the one before it.
    #[error("picture time does not follow the one before it")]
    PictureTime,
    /// The caller asked for a codec whose feature is off, and that nobody brought.
    #[error("{codec} is not built in")]
    NotBuilt {
        /// The codec.
        codec: Codec,
    },
    /// The caller asked for an audio decoder of a track that has none: video, or AAC in ADTS.
    #[error("the track has no audio decoder")]
    TrackMismatch,
    /// The input is damaged: this packet gives nothing, the next may.
    #[error("{codec} packet of {len} bytes cannot be decoded")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// Bytes of the packet.
        len: usize,
        /// What the decoder said.
        #[source]
        source: LibraryError,
    },
    /// The input is HE-AAC, which the AAC-LC decoder would give at half its rate.
    #[error("HE-AAC is not decoded")]
    HeAac,
    /// The environment: the codec library failed to start or to encode what is within its contract.
    #[error("{codec} library failed")]
    Library {
        /// The codec.
        codec: Codec,
        /// What the library said.
        #[source]
        source: LibraryError,
    },
    /// The environment: the resampling library failed at what is within its contract.
    #[error("resampling failed")]
    ResampleLibrary(#[source] LibraryError),
}

impl CodecError {
    /// Whether the input is at fault, so that to go on with the next packet is right.
    #[must_use]
    pub const fn is_input(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::HeAac)
    }
}

/// What a codec library said, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LibraryError {
    text: String,
}

impl LibraryError {
    /// Keeps the words of an error; for implementations of the traits outside of this crate too.
    #[must_use]
    pub fn new(error: impl fmt::Display) -> Self {
        Self { text: error.to_string() }
    }
}
