use bytes::Bytes;
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{AacConfig, TrackConfig};
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder as _, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::AacDecoder as SymphoniaDecoder;

use crate::audio::check_pcm;
use crate::{AudioDecoder, AudioEncoder, Codec, CodecError, LibraryError};

/// Samples that the encoder's first frame puts before the input: the first half of an MDCT window.
const PRIMING: u32 = FRAME_SAMPLES;

/// Below this there is no room for the side information of a frame.
const MIN_BITS_PER_SECOND: u32 = 8_000;

/// PCM to AAC-LC, mono or stereo, one raw frame a packet.
///
/// The bit rate is an average; silence takes less. Priming is one frame: the first decodes to silence and to the
/// half of the overlap that the second needs.
pub struct AacEncoder {
    inner: syom::Encoder,
    config: AudioSpecificConfig,
    /// One buffer a channel.
    planes: [Vec<f32>; 2],
    has_input: bool,
}

impl AacEncoder {
    /// An encoder at `sample_rate` (a rate of ISO/IEC 14496-3 table 1.18) for 1 or 2 channels at
    /// `bits_per_second` for the whole stream, 8000 to 6 bits a sample.
    ///
    /// # Errors
    /// [`CodecError::AacConfig`], [`CodecError::Channels`], [`CodecError::BitRate`]; [`CodecError::Library`].
    pub fn new(sample_rate: u32, channels: u8, bits_per_second: u32) -> Result<Self, CodecError> {
        let config = AudioSpecificConfig::new(sample_rate, channels).map_err(CodecError::AacConfig)?;
        if channels > 2 {
            return Err(CodecError::Channels { codec: Codec::Aac, channels });
        }
        // 6144 bits a channel and frame of 1024 samples, ISO/IEC 14496-3 §4.5.3.1.
        let max = sample_rate.saturating_mul(6).saturating_mul(u32::from(channels));
        if !(MIN_BITS_PER_SECOND..=max).contains(&bits_per_second) {
            return Err(CodecError::BitRate { codec: Codec::Aac, bits_per_second });
        }
        let options = syom::EncodeOptions::raw().with_bitrate_bps(bits_per_second);
        let inner = syom::Encoder::new(sample_rate, usize::from(channels), &options).map_err(library)?;
        Ok(Self { inner, config, planes: [Vec::new(), Vec::new()], has_input: false })
    }

    /// Rate and channels of the frames.
    #[must_use]
    pub const fn config(&self) -> AudioSpecificConfig {
        self.config
    }

    fn renew(&mut self) -> Result<(), CodecError> {
        self.has_input = false;
        self.inner.reset().map_err(library)
    }
}

impl AudioEncoder for AacEncoder {
    fn track_config(&self) -> TrackConfig {
        TrackConfig::Aac(AacConfig::Raw(self.config))
    }

    fn sample_rate(&self) -> u32 {
        self.config.sample_rate()
    }

    fn channels(&self) -> u8 {
        self.config.channels()
    }

    fn frame_samples(&self) -> u32 {
        FRAME_SAMPLES
    }

    fn priming(&self) -> u32 {
        PRIMING
    }

    fn encode(&mut self, pcm: &[f32], packets: &mut Vec<Bytes>) -> Result<(), CodecError> {
        let channels = self.config.channels();
        check_pcm(pcm, channels)?;
        if pcm.is_empty() {
            return Ok(());
        }
        for (channel, plane) in self.planes.iter_mut().enumerate().take(usize::from(channels)) {
            plane.clear();
            let samples = pcm.iter().skip(channel).step_by(usize::from(channels));
            plane.extend(samples.map(|sample| sample.clamp(-1.0, 1.0)));
        }
        let [first, second] = &self.planes;
        let planes = [first.as_slice(), second.as_slice()];
        self.has_input = true;
        let fed = self.inner.feed(&planes[..usize::from(channels)], |frame| {
            packets.push(Bytes::copy_from_slice(frame.payload));
            Ok(())
        });
        if let Err(error) = fed {
            self.renew()?;
            return Err(library(error));
        }
        Ok(())
    }

    fn finish(&mut self, packets: &mut Vec<Bytes>) -> Result<(), CodecError> {
        if !self.has_input {
            return Ok(());
        }
        let finished = self.inner.finish(|frame| {
            packets.push(Bytes::copy_from_slice(frame.payload));
            Ok(())
        });
        self.renew()?;
        finished.map(|_| ()).map_err(library)
    }
}

impl std::fmt::Debug for AacEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AacEncoder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Raw AAC-LC frames to PCM, mono or stereo.
///
/// HE-AAC is refused where its config says so ([`AudioSpecificConfig::has_sbr`]). A stream that hides its SBR from
/// the config, as ADTS does, comes out as its AAC-LC core: right in pitch and place, without the upper half of the
/// spectrum, at [`AudioDecoder::sample_rate`].
pub struct AacDecoder {
    inner: SymphoniaDecoder,
    config: AudioSpecificConfig,
    scratch: Vec<f32>,
}

impl AacDecoder {
    /// A decoder of frames with `config`.
    ///
    /// # Errors
    /// [`CodecError::HeAac`]; [`CodecError::Channels`] for more than 2; [`CodecError::Library`].
    pub fn new(config: AudioSpecificConfig) -> Result<Self, CodecError> {
        if config.has_sbr() {
            return Err(CodecError::HeAac);
        }
        if config.channels() > 2 {
            return Err(CodecError::Channels { codec: Codec::Aac, channels: config.channels() });
        }
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(CODEC_ID_AAC).with_extra_data(Box::new(config.to_bytes()));
        let inner =
            SymphoniaDecoder::try_new(&parameters, &AudioDecoderOptions::default()).map_err(library)?;
        Ok(Self { inner, config, scratch: Vec::new() })
    }
}

impl AudioDecoder for AacDecoder {
    fn sample_rate(&self) -> u32 {
        self.config.sample_rate()
    }

    fn channels(&self) -> u8 {
        self.config.channels()
    }

    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<u32, CodecError> {
        let corrupt = |source| CodecError::Corrupt { codec: Codec::Aac, len: packet.len(), source };
        if packet.is_empty() {
            return Err(corrupt(LibraryError::new("an empty frame")));
        }
        let duration = Duration::new(u64::from(FRAME_SAMPLES));
        let packet_ref = PacketRef::new(0, Timestamp::new(0), duration, packet);
        let decoded =
            self.inner.decode_ref(&packet_ref).map_err(|error| corrupt(LibraryError::new(error)))?;
        decoded.copy_to_vec_interleaved(&mut self.scratch);
        pcm.extend_from_slice(&self.scratch);
        let samples = self.scratch.len() / usize::from(self.config.channels());
        Ok(u32::try_from(samples).unwrap_or(FRAME_SAMPLES))
    }

    fn conceal(&mut self, samples: u32, pcm: &mut Vec<f32>) -> Result<(), CodecError> {
        for _ in 0..samples {
            pcm.extend(std::iter::repeat_n(0.0, usize::from(self.config.channels())));
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.inner.reset();
        Ok(())
    }
}

impl std::fmt::Debug for AacDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AacDecoder").field("config", &self.config).finish_non_exhaustive()
    }
}

fn library(error: impl std::fmt::Display) -> CodecError {
    CodecError::Library { codec: Codec::Aac, source: LibraryError::new(error) }
}
