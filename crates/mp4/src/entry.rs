//! Sample entries: what the samples of a track are.

use bytes::Bytes;
use mp4_atom::Decode;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, H264Config, NalFraming, OpusConfig, Size, TrackConfig};

use crate::boxes::{BoxKind, Boxes, decode};
use crate::error::TrackError;
use crate::track::{PixelAspect, SampleEntry, SampleEntryKind};

/// Longest `esds` that is parsed. Real ones have below 100 bytes; the descriptors nest, and this bounds how deep.
const MAX_ESDS: usize = 512;

/// Reads the body of an `stsd` box. All entries have to be of a kind that is read, else the track is of no use.
pub(crate) fn parse_stsd(body: &[u8]) -> Result<Vec<SampleEntry>, TrackError> {
    let missing = TrackError::Box { kind: BoxKind::new(*b"stsd") };
    // Version and flags, then a count that the boxes themselves make superfluous.
    let children = body.get(8..).ok_or(missing.clone())?;
    let entries: Vec<_> =
        Boxes::new(children).map(|(kind, body)| parse_entry(kind, body)).collect::<Result<_, _>>()?;
    if entries.is_empty() { Err(missing) } else { Ok(entries) }
}

fn parse_entry(kind: BoxKind, body: &[u8]) -> Result<SampleEntry, TrackError> {
    match &kind.bytes() {
        b"avc1" => parse_avc(kind, SampleEntryKind::Avc1, body),
        b"avc3" => parse_avc(kind, SampleEntryKind::Avc3, body),
        b"mp4a" => parse_mp4a(kind, body),
        b"Opus" => parse_opus(kind, body),
        _ => Err(TrackError::Codec { kind }),
    }
}

fn parse_avc(kind: BoxKind, entry: SampleEntryKind, mut body: &[u8]) -> Result<SampleEntry, TrackError> {
    let visual = mp4_atom::Visual::decode(&mut body).map_err(|_| TrackError::Box { kind })?;
    let avcc = Boxes::new(body)
        .find(b"avcC")
        .and_then(decode::<mp4_atom::Avcc>)
        .filter(|avcc| matches!(avcc.length_size, 1 | 2 | 4))
        .ok_or(TrackError::Box { kind: BoxKind::new(*b"avcC") })?;
    let pixel_aspect = Boxes::new(body)
        .find(b"pasp")
        .and_then(decode::<mp4_atom::Pasp>)
        .and_then(|pasp| PixelAspect::new(pasp.h_spacing, pasp.v_spacing));
    let sets = avcc.sequence_parameter_sets.into_iter().chain(avcc.picture_parameter_sets);
    Ok(SampleEntry {
        kind: entry,
        config: TrackConfig::H264(H264Config {
            framing: NalFraming::LengthPrefixed { length_bytes: avcc.length_size },
            parameter_sets: sets.filter(|set| !set.is_empty()).map(Bytes::from).collect(),
        }),
        size: Size::new(visual.width.into(), visual.height.into()),
        pixel_aspect,
    })
}

fn parse_mp4a(kind: BoxKind, mut body: &[u8]) -> Result<SampleEntry, TrackError> {
    mp4_atom::Audio::decode(&mut body).map_err(|_| TrackError::Box { kind })?;
    // QuickTime puts `esds` into a `wave` box.
    let esds = Boxes::new(body)
        .find(b"esds")
        .or_else(|| Boxes::new(Boxes::new(body).find(b"wave")?).find(b"esds"))
        .filter(|esds| esds.len() <= MAX_ESDS)
        .and_then(decode::<mp4_atom::Esds>)
        .ok_or(TrackError::Box { kind: BoxKind::new(*b"esds") })?;
    let config = esds.es_desc.dec_config;
    // ISO/IEC 14496-3 audio, and the MPEG-2 AAC profiles that have the same frames.
    if !matches!(config.object_type_indication, 0x40 | 0x66..=0x68) {
        return Err(TrackError::ObjectType { object_type: config.object_type_indication });
    }
    let specific = config.dec_specific.map(|specific| specific.raw).unwrap_or_default();
    let config = AudioSpecificConfig::parse(&specific).map_err(TrackError::Aac)?;
    Ok(SampleEntry {
        kind: SampleEntryKind::Mp4a,
        config: TrackConfig::Aac(AacConfig::Raw(config)),
        size: None,
        pixel_aspect: None,
    })
}

fn parse_opus(kind: BoxKind, mut body: &[u8]) -> Result<SampleEntry, TrackError> {
    mp4_atom::Audio::decode(&mut body).map_err(|_| TrackError::Box { kind })?;
    let dops = Boxes::new(body)
        .find(b"dOps")
        .and_then(decode::<mp4_atom::Dops>)
        .filter(|dops| dops.channel_mapping.is_none() && matches!(dops.output_channel_count, 1 | 2))
        .ok_or(TrackError::Box { kind: BoxKind::new(*b"dOps") })?;
    Ok(SampleEntry {
        kind: SampleEntryKind::Opus,
        config: TrackConfig::Opus(OpusConfig {
            channels: dops.output_channel_count,
            pre_skip: dops.pre_skip,
        }),
        size: None,
        pixel_aspect: None,
    })
}
