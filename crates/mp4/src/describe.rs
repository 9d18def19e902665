//! Sample entries to be written.

use bytes::Bytes;
use mp4_atom::Encode;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::{self, SpsInfo, nal_type};
use recorder_types::{AacConfig, H264Config, NalFraming, OpusConfig, Size, TrackConfig};

use crate::plan::PlanError;
use crate::track::{SampleEntry, SampleEntryKind};

/// Why the description of a track cannot be written. The caller has to give another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// Samples in an MP4 are length-prefixed with 4, 2 or 1 bytes, and AAC is raw.
    #[error("samples have to be length-prefixed (H.264) or raw (AAC)")]
    Framing,
    /// H.264 with parameter sets in the sample entry needs an SPS and a PPS.
    #[error("no usable SPS and PPS")]
    ParameterSets,
    /// More or longer parameter sets than `avcC` can hold: 31 SPS, 255 PPS, 65535 bytes each.
    #[error("too many or too long parameter sets")]
    TooLarge,
    /// The picture is larger than 65535 a side.
    #[error("picture of {0} does not fit into a sample entry")]
    Size(Size),
    /// Opus with other than 1 or 2 channels.
    #[error("Opus with {0} channels")]
    Channels(u8),
    /// The kind of sample entry and the configuration are of different media.
    #[error("kind of sample entry and configuration differ")]
    Mismatch,
}

impl SampleEntry {
    /// H.264 with `parameter_sets` (SPS and PPS NAL units, without start codes or lengths) in the sample entry, the
    /// samples with four-byte lengths.
    ///
    /// # Errors
    /// [`DescriptionError::ParameterSets`] without an SPS that can be read, and a PPS.
    pub fn avc1(parameter_sets: Vec<Bytes>) -> Result<Self, DescriptionError> {
        let of = |kind| parameter_sets.iter().filter(move |set| h264::unit_type(set) == Some(kind));
        let sps = of(nal_type::SPS).find_map(|sps| SpsInfo::parse(sps).ok());
        let size =
            sps.filter(|_| of(nal_type::PPS).next().is_some()).ok_or(DescriptionError::ParameterSets)?.size;
        Ok(Self {
            kind: SampleEntryKind::Avc1,
            config: TrackConfig::H264(H264Config {
                framing: NalFraming::LengthPrefixed { length_bytes: 4 },
                parameter_sets,
            }),
            size: Some(size),
            pixel_aspect: None,
        })
    }

    /// As [`SampleEntry::avc1`], with leave for the samples to bring parameter sets of their own.
    ///
    /// # Errors
    /// [`DescriptionError::ParameterSets`] without an SPS that can be read, and a PPS.
    pub fn avc3(parameter_sets: Vec<Bytes>) -> Result<Self, DescriptionError> {
        Ok(Self { kind: SampleEntryKind::Avc3, ..Self::avc1(parameter_sets)? })
    }

    /// AAC-LC, one raw frame a sample.
    #[must_use]
    pub const fn aac(config: AudioSpecificConfig) -> Self {
        Self {
            kind: SampleEntryKind::Mp4a,
            config: TrackConfig::Aac(AacConfig::Raw(config)),
            size: None,
            pixel_aspect: None,
        }
    }

    /// Opus, one packet a sample. The track's clock has to run at 48 kHz.
    #[must_use]
    pub const fn opus(config: OpusConfig) -> Self {
        Self {
            kind: SampleEntryKind::Opus,
            config: TrackConfig::Opus(config),
            size: None,
            pixel_aspect: None,
        }
    }

    /// Whether it describes pictures.
    #[must_use]
    pub const fn is_video(&self) -> bool {
        matches!(self.kind, SampleEntryKind::Avc1 | SampleEntryKind::Avc3)
    }

    /// The whole box.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, PlanError> {
        let codec = match (&self.config, self.kind) {
            (TrackConfig::H264(config), SampleEntryKind::Avc1 | SampleEntryKind::Avc3) => {
                self.encode_avc(config)?
            }
            (TrackConfig::Aac(AacConfig::Raw(config)), SampleEntryKind::Mp4a) => encode_mp4a(*config),
            (TrackConfig::Aac(AacConfig::Adts), SampleEntryKind::Mp4a) => {
                return Err(DescriptionError::Framing.into());
            }
            (TrackConfig::Opus(config), SampleEntryKind::Opus) => encode_opus(*config)?,
            _ => return Err(DescriptionError::Mismatch.into()),
        };
        let mut bytes = Vec::new();
        codec.encode(&mut bytes).map_err(|_| DescriptionError::TooLarge)?;
        Ok(bytes)
    }

    fn encode_avc(&self, config: &H264Config) -> Result<mp4_atom::Codec, DescriptionError> {
        let NalFraming::LengthPrefixed { length_bytes } = config.framing else {
            return Err(DescriptionError::Framing);
        };
        let of = |kind| {
            let of_kind = config.parameter_sets.iter().filter(move |set| h264::unit_type(set) == Some(kind));
            of_kind.map(|set| set.to_vec()).collect::<Vec<_>>()
        };
        let (sps, pps) = (of(nal_type::SPS), of(nal_type::PPS));
        let in_band = self.kind == SampleEntryKind::Avc3;
        if !in_band && pps.is_empty() {
            return Err(DescriptionError::ParameterSets);
        }
        let long = |set: &Vec<u8>| u16::try_from(set.len()).is_err();
        if sps.len() > 31 || pps.len() > 255 || sps.iter().chain(&pps).any(long) {
            return Err(DescriptionError::TooLarge);
        }
        let (profile, compatibility, level) = match sps.first().map(Vec::as_slice) {
            Some(&[_, profile, compatibility, level, ..]) => (profile, compatibility, level),
            _ if in_band => (100, 0, 52),
            _ => return Err(DescriptionError::ParameterSets),
        };
        let size = self.size.or_else(|| Some(SpsInfo::parse(sps.first()?).ok()?.size));
        let size = size.ok_or(DescriptionError::ParameterSets)?;
        let side = |side: u32| u16::try_from(side).map_err(|_| DescriptionError::Size(size));
        let visual = mp4_atom::Visual {
            data_reference_index: 1,
            width: side(size.width())?,
            height: side(size.height())?,
            ..mp4_atom::Visual::default()
        };
        let parsed = sps.first().and_then(|sps| h264::parse_sps(sps).ok());
        let mut ext = None;
        if matches!(profile, 100 | 110 | 122 | 144) {
            // Profiles whose `avcC` says more. The default is 4:2:0, which is all that those to High have.
            let mut depths = mp4_atom::AvccExt::default();
            if let Some(chroma) = parsed.as_ref().map(|sps| &sps.chroma_info) {
                depths.bit_depth_luma = chroma.bit_depth_luma_minus8.saturating_add(8);
                depths.bit_depth_chroma = chroma.bit_depth_chroma_minus8.saturating_add(8);
            }
            ext = Some(depths);
        }
        // Players differ in what they make of a picture that does not say its colours in the container too.
        let signal = parsed.and_then(|sps| sps.vui_parameters?.video_signal_type);
        let colr = signal.and_then(|signal| {
            let colour = signal.colour_description?;
            Some(mp4_atom::Colr::Nclx {
                colour_primaries: colour.colour_primaries.into(),
                transfer_characteristics: colour.transfer_characteristics.into(),
                matrix_coefficients: colour.matrix_coefficients.into(),
                full_range_flag: signal.video_full_range_flag,
            })
        });
        let avcc = mp4_atom::Avcc {
            configuration_version: 1,
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size: length_bytes,
            sequence_parameter_sets: sps,
            picture_parameter_sets: pps,
            ext,
        };
        let pasp = self
            .pixel_aspect
            .map(|aspect| mp4_atom::Pasp { h_spacing: aspect.width(), v_spacing: aspect.height() });
        Ok(if in_band {
            mp4_atom::Avc3 { visual, avcc, pasp, colr, ..mp4_atom::Avc3::default() }.into()
        } else {
            mp4_atom::Avc1 { visual, avcc, pasp, colr, ..mp4_atom::Avc1::default() }.into()
        })
    }

    /// Width and height to show, in 16.16 fixed point: pixels made square by stretching the width.
    pub(crate) fn display_size(&self) -> (u32, u32) {
        let Some(size) = self.size else {
            return (0, 0);
        };
        let (across, down) = self.pixel_aspect.map_or((1, 1), |aspect| (aspect.width(), aspect.height()));
        let width = (u128::from(size.width()) << 16) * u128::from(across) / u128::from(down);
        let fixed = |value: u128| u32::try_from(value).unwrap_or(u32::MAX);
        (fixed(width), fixed(u128::from(size.height()) << 16))
    }
}

fn audio(channels: u8, sample_rate: u32) -> mp4_atom::Audio {
    mp4_atom::Audio {
        data_reference_index: 1,
        channel_count: channels.into(),
        sample_size: 16,
        // Rates above 16 bits do not fit and are told by the codec's own box.
        sample_rate: u16::try_from(sample_rate).unwrap_or(0).into(),
    }
}

fn encode_mp4a(config: AudioSpecificConfig) -> mp4_atom::Codec {
    let dec_config = mp4_atom::esds::DecoderConfig {
        object_type_indication: 0x40,
        stream_type: 5,
        dec_specific: Some(mp4_atom::esds::DecoderSpecific {
            profile: 2,
            freq_index: 0,
            chan_conf: 0,
            raw: config.to_bytes().to_vec(),
        }),
        ..mp4_atom::esds::DecoderConfig::default()
    };
    let es_desc =
        mp4_atom::esds::EsDescriptor { es_id: 1, dec_config, ..mp4_atom::esds::EsDescriptor::default() };
    mp4_atom::Mp4a {
        audio: audio(config.channels(), config.sample_rate()),
        esds: mp4_atom::Esds { es_desc },
        btrt: None,
        taic: None,
    }
    .into()
}

fn encode_opus(config: OpusConfig) -> Result<mp4_atom::Codec, DescriptionError> {
    if !matches!(config.channels, 1 | 2) {
        return Err(DescriptionError::Channels(config.channels));
    }
    let dops = mp4_atom::Dops {
        output_channel_count: config.channels,
        pre_skip: config.pre_skip,
        input_sample_rate: 48_000,
        output_gain: 0,
        channel_mapping: None,
    };
    Ok(mp4_atom::Opus { audio: audio(config.channels, 48_000), dops, btrt: None }.into())
}
