use recorder_types::{H264Config, TrackConfig};

use crate::{AudioDecoder, AudioEncoder, CodecError, H264EncoderOptions, VideoDecoder, VideoEncoder};

/// Where decoders and encoders come from: the one place at which an embedder brings others than those of this crate,
/// such as hardware.
///
/// Each method makes one for one track. What cannot be made is refused with [`CodecError::NotBuilt`] or
/// [`CodecError::TrackMismatch`], so that an implementation may hand on to [`SoftwareCodecs`] what it does not do.
pub trait Codecs: Send + Sync {
    /// A decoder of an H.264 track.
    ///
    /// # Errors
    /// [`CodecError::NotBuilt`], [`CodecError::Library`].
    fn video_decoder(&self, config: &H264Config) -> Result<Box<dyn VideoDecoder>, CodecError>;

    /// A decoder of an AAC or Opus track. Its rate and channels are those of the track, or of its codec.
    ///
    /// # Errors
    /// [`CodecError::TrackMismatch`] for a track that is no audio, or AAC in ADTS, whose configuration is only in its
    /// frames; [`CodecError::NotBuilt`]; and those of the decoder.
    fn audio_decoder(&self, config: &TrackConfig) -> Result<Box<dyn AudioDecoder>, CodecError>;

    /// An H.264 encoder.
    ///
    /// # Errors
    /// [`CodecError::NotBuilt`], and those of the encoder.
    fn video_encoder(&self, options: &H264EncoderOptions) -> Result<Box<dyn VideoEncoder>, CodecError>;

    /// An AAC-LC encoder of PCM at `sample_rate` in `channels` channels.
    ///
    /// # Errors
    /// [`CodecError::NotBuilt`], and those of the encoder.
    fn audio_encoder(
        &self,
        sample_rate: u32,
        channels: u8,
        bits_per_second: u32,
    ) -> Result<Box<dyn AudioEncoder>, CodecError>;
}

/// The codecs of this crate, as far as its features are on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftwareCodecs;

impl Codecs for SoftwareCodecs {
    fn video_decoder(&self, config: &H264Config) -> Result<Box<dyn VideoDecoder>, CodecError> {
        #[cfg(feature = "openh264")]
        return Ok(Box::new(crate::H264Decoder::new(config, &crate::H264DecoderOptions::default())?));
        #[cfg(not(feature = "openh264"))]
        {
            let _ = config;
            Err(CodecError::NotBuilt { codec: crate::Codec::H264 })
        }
    }

    fn audio_decoder(&self, config: &TrackConfig) -> Result<Box<dyn AudioDecoder>, CodecError> {
        match config {
            #[cfg(feature = "aac")]
            TrackConfig::Aac(recorder_types::AacConfig::Raw(config)) => {
                Ok(Box::new(crate::AacDecoder::new(*config)?))
            }
            #[cfg(not(feature = "aac"))]
            TrackConfig::Aac(recorder_types::AacConfig::Raw(_)) => {
                Err(CodecError::NotBuilt { codec: crate::Codec::Aac })
            }
            #[cfg(feature = "opus")]
            TrackConfig::Opus(config) => Ok(Box::new(crate::OpusDecoder::new(config.channels)?)),
            #[cfg(not(feature = "opus"))]
            TrackConfig::Opus(_) => Err(CodecError::NotBuilt { codec: crate::Codec::Opus }),
            _ => Err(CodecError::TrackMismatch),
        }
    }

    fn video_encoder(&self, options: &H264EncoderOptions) -> Result<Box<dyn VideoEncoder>, CodecError> {
        #[cfg(feature = "openh264")]
        return Ok(Box::new(crate::H264Encoder::new(options)?));
        #[cfg(not(feature = "openh264"))]
        {
            let _ = options;
            Err(CodecError::NotBuilt { codec: crate::Codec::H264 })
        }
    }

    fn audio_encoder(
        &self,
        sample_rate: u32,
        channels: u8,
        bits_per_second: u32,
    ) -> Result<Box<dyn AudioEncoder>, CodecError> {
        #[cfg(feature = "aac")]
        return Ok(Box::new(crate::AacEncoder::new(sample_rate, channels, bits_per_second)?));
        #[cfg(not(feature = "aac"))]
        {
            let _ = (sample_rate, channels, bits_per_second);
            Err(CodecError::NotBuilt { codec: crate::Codec::Aac })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;
    use recorder_types::aac::AudioSpecificConfig;
    use recorder_types::{AacConfig, NalFraming, OpusConfig};

    /// The codecs that are built are made with the track's rate and channels; the others are refused by name.
    #[test]
    fn each_track_gets_its_codec() {
        let codecs: &dyn Codecs = &SoftwareCodecs;
        let h264 = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
        let aac = AudioSpecificConfig::new(44_100, 2).expect("a rate of the table");
        let tracks = [
            (TrackConfig::Aac(AacConfig::Raw(aac)), cfg!(feature = "aac"), Codec::Aac, 44_100, 2),
            (
                TrackConfig::Opus(OpusConfig { channels: 1, pre_skip: 0 }),
                cfg!(feature = "opus"),
                Codec::Opus,
                48_000,
                1,
            ),
        ];
        for (track, is_built, name, rate, channels) in tracks {
            match codecs.audio_decoder(&track) {
                Ok(decoder) => {
                    assert!(is_built && (decoder.sample_rate(), decoder.channels()) == (rate, channels))
                }
                Err(CodecError::NotBuilt { codec }) => assert!(!is_built && codec == name),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        for track in [TrackConfig::Aac(AacConfig::Adts), TrackConfig::H264(h264.clone())] {
            assert!(matches!(codecs.audio_decoder(&track), Err(CodecError::TrackMismatch)));
        }
        assert_eq!(codecs.video_decoder(&h264).is_ok(), cfg!(feature = "openh264"));
        assert_eq!(codecs.video_encoder(&H264EncoderOptions::default()).is_ok(), cfg!(feature = "openh264"));
        let encoder = codecs.audio_encoder(48_000, 2, 64_000);
        assert_eq!(encoder.is_ok_and(|encoder| encoder.channels() == 2), cfg!(feature = "aac"));
    }
}
