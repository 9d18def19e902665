//! AAC: the part of `AudioSpecificConfig` and of the ADTS header that a recorder needs.
//!
//! # Specification
//! ISO/IEC 14496-3:2019 §1.6.2.1 (AudioSpecificConfig), §1.A.2.2 (ADTS).

use crate::Timescale;

/// Samples per channel in one AAC-LC frame.
pub const FRAME_SAMPLES: u32 = 1024;

/// Bytes of an ADTS header without CRC.
pub const ADTS_HEADER_BYTES: usize = 7;

/// Sampling rates by index, ISO/IEC 14496-3 table 1.18.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Configuration of an AAC-LC stream: rate and channels.
///
/// Only what an ADTS header can say is accepted: a rate of the table and channel configurations 1 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AudioSpecificConfig {
    rate_index: u8,
    channel_config: u8,
    /// Bits of backward-compatible HE-AAC: the stream carries SBR, the core rate is half of what is heard.
    sbr: bool,
}

impl AudioSpecificConfig {
    /// AAC-LC at `sample_rate` with `channels` (1 to 6, or 8).
    ///
    /// # Errors
    /// [`AacError::SampleRate`] or [`AacError::Channels`] outside the tables.
    pub fn new(sample_rate: u32, channels: u8) -> Result<Self, AacError> {
        let rate_index = SAMPLE_RATES
            .iter()
            .position(|&rate| rate == sample_rate)
            .and_then(|index| u8::try_from(index).ok())
            .ok_or(AacError::SampleRate { hz: sample_rate })?;
        let channel_config = match channels {
            1..=6 => channels,
            8 => 7,
            _ => return Err(AacError::Channels { config: channels }),
        };
        Ok(Self { rate_index, channel_config, sbr: false })
    }

    /// Reads the bytes of an `AudioSpecificConfig` (the `DecoderSpecificInfo` of `esds`, or `config` of RFC 3640).
    ///
    /// HE-AAC is accepted as the AAC-LC core that it is; [`AudioSpecificConfig::has_sbr`] tells.
    ///
    /// # Errors
    /// Anything that is not AAC-LC (or SBR/PS over it) with a tabled rate and channel configuration 1 to 7.
    pub fn parse(bytes: &[u8]) -> Result<Self, AacError> {
        let mut bits = Bits { bytes, at: 0 };
        let mut object_type = bits.object_type()?;
        let rate_index = bits.rate_index()?;
        let channel_config = bits.take(4)?;
        let mut sbr = false;
        if matches!(object_type, 5 | 29) {
            // Explicit hierarchical signalling: the rate before was the core's, the extension's follows.
            sbr = true;
            bits.rate_index()?;
            object_type = bits.object_type()?;
        }
        if object_type != 2 {
            return Err(AacError::ObjectType { object_type });
        }
        if !(1..=7).contains(&channel_config) {
            return Err(AacError::Channels { config: channel_config });
        }
        if !sbr {
            sbr = bits.trailing_sbr();
        }
        Ok(Self { rate_index, channel_config, sbr })
    }

    /// The two bytes of the AAC-LC core's config.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        [(2 << 3) | (self.rate_index >> 1), (self.rate_index << 7) | (self.channel_config << 3)]
    }

    /// Samples per second of the core, which is what timestamps and frame lengths count in.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        SAMPLE_RATES[self.rate_index as usize]
    }

    /// The sample rate as a clock.
    #[must_use]
    pub fn timescale(self) -> Timescale {
        Timescale::new(self.sample_rate()).expect("the table has no zero rate")
    }

    /// Channels: 1 to 6, or 8.
    #[must_use]
    pub const fn channels(self) -> u8 {
        if self.channel_config == 7 { 8 } else { self.channel_config }
    }

    /// Whether the stream is HE-AAC: decoders that know SBR give twice [`AudioSpecificConfig::sample_rate`].
    #[must_use]
    pub const fn has_sbr(self) -> bool {
        self.sbr
    }

    /// The ADTS header (no CRC) for a raw frame of `payload_len` bytes; `None` above 8184 bytes, which is what the
    /// 13-bit length holds.
    #[must_use]
    pub fn adts_header(self, payload_len: usize) -> Option<[u8; ADTS_HEADER_BYTES]> {
        let len = u16::try_from(payload_len + ADTS_HEADER_BYTES).ok().filter(|&len| len < 1 << 13)?;
        let [high, low] = len.to_be_bytes();
        Some([
            0xFF,
            0xF1, // MPEG-4, layer 0, no CRC
            (1 << 6) | (self.rate_index << 2) | (self.channel_config >> 2),
            (self.channel_config << 6) | (high >> 3),
            (high << 5) | (low >> 3),
            (low << 5) | 0x1F, // buffer fullness 0x7FF: variable rate
            0xFC,              // and one raw data block
        ])
    }
}

/// One ADTS frame found by [`AdtsFrame::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsFrame {
    /// Rate and channels from the header.
    pub config: AudioSpecificConfig,
    /// Bytes of header and optional CRC.
    pub header_len: usize,
    /// Bytes of the whole frame, header included.
    pub frame_len: usize,
}

impl AdtsFrame {
    /// Reads the header at the start of `bytes`. The frame itself may be longer than `bytes`: compare
    /// [`AdtsFrame::frame_len`].
    ///
    /// # Errors
    /// [`AacError::Truncated`] with fewer than 7 bytes; [`AacError::Sync`] without the sync word or with a length
    /// shorter than the header; others for what is not AAC-LC with one raw data block.
    pub fn parse(bytes: &[u8]) -> Result<Self, AacError> {
        let &[b0, b1, b2, b3, b4, b5, b6, ..] = bytes else {
            return Err(AacError::Truncated);
        };
        if b0 != 0xFF || b1 & 0xF6 != 0xF0 {
            return Err(AacError::Sync);
        }
        let object_type = (b2 >> 6) + 1;
        if object_type != 2 {
            return Err(AacError::ObjectType { object_type });
        }
        let rate_index = (b2 >> 2) & 0xF;
        if usize::from(rate_index) >= SAMPLE_RATES.len() {
            return Err(AacError::RateIndex { index: rate_index });
        }
        let channel_config = ((b2 & 1) << 2) | (b3 >> 6);
        if channel_config == 0 {
            return Err(AacError::Channels { config: 0 });
        }
        if b6 & 3 != 0 {
            return Err(AacError::SeveralBlocks);
        }
        let header_len = if b1 & 1 == 1 { 7 } else { 9 };
        let frame_len = (usize::from(b3 & 3) << 11) | (usize::from(b4) << 3) | usize::from(b5 >> 5);
        if frame_len <= header_len {
            return Err(AacError::Sync);
        }
        let config = AudioSpecificConfig { rate_index, channel_config, sbr: false };
        Ok(Self { config, header_len, frame_len })
    }
}

/// Why bytes are no AAC-LC that can be recorded. All but `SampleRate` are faults of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AacError {
    /// The caller asked for a rate that AAC has no index for.
    #[error("{hz} Hz is not an AAC sampling rate")]
    SampleRate {
        /// The rate.
        hz: u32,
    },
    /// Fewer bits than the structure needs.
    #[error("AAC header is cut short")]
    Truncated,
    /// No sync word, or a length shorter than the header.
    #[error("no ADTS frame here")]
    Sync,
    /// Not AAC-LC.
    #[error("audio object type {object_type} is not AAC-LC (2)")]
    ObjectType {
        /// ISO/IEC 14496-3 table 1.17.
        object_type: u8,
    },
    /// A reserved sampling-rate index, or an explicit rate outside the table.
    #[error("AAC sampling-rate index {index} is not in the table")]
    RateIndex {
        /// The index.
        index: u8,
    },
    /// Channel configuration 0 or above 7.
    #[error("AAC channel configuration {config} is not 1 to 7")]
    Channels {
        /// The configuration, or the channel count that has none.
        config: u8,
    },
    /// An ADTS frame with more than one raw data block; nothing in the field writes it.
    #[error("ADTS frame with several raw data blocks")]
    SeveralBlocks,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `n` bits, at most 8.
    fn take(&mut self, n: usize) -> Result<u8, AacError> {
        let mut value = 0;
        for _ in 0..n {
            let byte = *self.bytes.get(self.at / 8).ok_or(AacError::Truncated)?;
            value = (value << 1) | ((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    fn object_type(&mut self) -> Result<u8, AacError> {
        Ok(match self.take(5)? {
            31 => 32 + self.take(6)?,
            short => short,
        })
    }

    fn rate_index(&mut self) -> Result<u8, AacError> {
        let index = self.take(4)?;
        if index == 15 {
            let mut hz = 0u32;
            for _ in 0..3 {
                hz = (hz << 8) | u32::from(self.take(8)?);
            }
            return SAMPLE_RATES
                .iter()
                .position(|&rate| rate == hz)
                .and_then(|index| u8::try_from(index).ok())
                .ok_or(AacError::RateIndex { index });
        }
        if usize::from(index) < SAMPLE_RATES.len() { Ok(index) } else { Err(AacError::RateIndex { index }) }
    }

    /// Backward-compatible signalling: sync extension 0x2b7 with SBR present, after `GASpecificConfig`.
    fn trailing_sbr(&mut self) -> bool {
        let mut read = || -> Result<bool, AacError> {
            self.take(3)?; // frame length, core coder, extension flags of GASpecificConfig
            let sync = (u16::from(self.take(3)?) << 8) | u16::from(self.take(8)?);
            Ok(sync == 0x2b7 && self.object_type()? == 5 && self.take(1)? == 1)
        };
        read().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_configs_are_read() {
        for (bytes, rate, channels, sbr) in [
            (&[0x12, 0x10][..], 44_100, 2, false),
            (&[0x11, 0x90], 48_000, 2, false),
            (&[0x13, 0x88], 22_050, 1, false),
            (&[0x14, 0x08], 16_000, 1, false),
            (&[0x13, 0x90, 0x56, 0xE5, 0xA0], 22_050, 2, true),
            (&[0x2B, 0x92, 0x08, 0x00], 22_050, 2, true),
        ] {
            let config = AudioSpecificConfig::parse(bytes).unwrap();
            assert_eq!((config.sample_rate(), config.channels(), config.has_sbr()), (rate, channels, sbr));
        }
    }

    #[test]
    fn what_is_not_aac_lc_is_refused() {
        assert_eq!(AudioSpecificConfig::parse(&[]), Err(AacError::Truncated));
        assert_eq!(AudioSpecificConfig::parse(&[0x0A, 0x10]), Err(AacError::ObjectType { object_type: 1 }));
        assert_eq!(AudioSpecificConfig::parse(&[0x12, 0x00]), Err(AacError::Channels { config: 0 }));
        assert_eq!(AudioSpecificConfig::new(44_000, 2), Err(AacError::SampleRate { hz: 44_000 }));
    }

    #[test]
    fn every_rate_and_channel_count_survives_config_and_adts() {
        for rate in SAMPLE_RATES {
            for channels in [1, 2, 3, 4, 5, 6, 8] {
                let config = AudioSpecificConfig::new(rate, channels).unwrap();
                assert_eq!(AudioSpecificConfig::parse(&config.to_bytes()), Ok(config));
                let header = config.adts_header(500).unwrap();
                let frame = AdtsFrame::parse(&header).unwrap();
                assert_eq!((frame.config, frame.header_len, frame.frame_len), (config, 7, 507));
            }
        }
        assert!(AudioSpecificConfig::new(48_000, 1).unwrap().adts_header(8185).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = AudioSpecificConfig::parse(&bytes);
            let _ = AdtsFrame::parse(&bytes);
        }
    }
}
