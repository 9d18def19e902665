use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use recorder_types::h264::{self, SplitError, Units, nal_type};
use recorder_types::{H264Config, NalFraming, TrackConfig};

use crate::describe::DescriptionError;
use crate::track::{PixelAspect, SampleEntry};

/// Where the parameter sets of a track are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterSets {
    /// In the sample entry only (`avc1`), which every player reads. Each change takes a new entry, of which a track has
    /// 256 at most.
    InEntry,
    /// In front of each key frame, and in the sample entry (`avc3`). A new entry is only needed for another picture
    /// size. For encoders that number their sets anew at each key frame, as browsers do.
    InSamples,
}

/// Makes H.264 access units what they are in an MP4: four-byte lengths, no delimiters, parameter sets in their place.
///
/// The same access units give the same bytes, so that lengths can be learned in one pass and media written in
/// another. Payloads that have the right form already are passed on without a copy.
///
/// # Specification
/// ISO/IEC 14496-15:2022 §5.3 and §5.4.
#[derive(Clone, Debug)]
pub struct AvcPacker {
    framing: NalFraming,
    place: ParameterSets,
    pixel_aspect: Option<PixelAspect>,
    /// By their ids: a set replaces the one with its id. A picture set comes with the id of its sequence set.
    sps: BTreeMap<u8, Bytes>,
    pps: BTreeMap<u8, (u8, Bytes)>,
    entry: Option<SampleEntry>,
}

/// One access unit for the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedPicture {
    /// NAL units with four-byte lengths; empty if there was no slice among them.
    pub data: Bytes,
    /// Whether it is an IDR picture.
    pub sync: bool,
    /// The description from this picture on, where it is another than before. There is none before the first picture
    /// whose parameter sets are known: leave out what comes until then.
    pub entry: Option<SampleEntry>,
}

/// Why an access unit cannot be packed. The input is at fault; the next one may be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// It does not consist of NAL units.
    #[error("access unit cannot be split")]
    Split(#[from] SplitError),
    /// A NAL unit of 4 GiB or more.
    #[error("NAL unit of {len} bytes is too large")]
    TooLarge {
        /// Its bytes.
        len: usize,
    },
    /// The parameter sets cannot be written into a sample entry.
    #[error("parameter sets cannot be used")]
    ParameterSets(#[from] DescriptionError),
}

impl AvcPacker {
    /// For access units in the framing of `config`, with its parameter sets to begin with.
    #[must_use]
    pub fn new(config: &H264Config, place: ParameterSets, pixel_aspect: Option<PixelAspect>) -> Self {
        let mut this = Self {
            framing: config.framing,
            place,
            pixel_aspect,
            sps: BTreeMap::new(),
            pps: BTreeMap::new(),
            entry: None,
        };
        for set in &config.parameter_sets {
            this.take_set(set);
        }
        this
    }

    /// Packs one access unit.
    ///
    /// A description comes with the first picture for which there are parameter sets, and then with each picture that
    /// asks for another. Access unit delimiters, filler and end markers are left out.
    ///
    /// # Errors
    /// [`PackError`]; parameter sets before the error are kept.
    pub fn pack(&mut self, data: &Bytes) -> Result<PackedPicture, PackError> {
        let (mut sync, mut slice, mut kept, mut left_out) = (false, None, 0, false);
        for unit in Units::new(data, self.framing) {
            let unit = unit?;
            u32::try_from(unit.len()).map_err(|_| PackError::TooLarge { len: unit.len() })?;
            let kind = h264::unit_type(unit);
            if matches!(kind, Some(nal_type::SPS | nal_type::PPS)) {
                self.take_set(unit);
            }
            sync |= kind == Some(nal_type::IDR);
            if slice.is_none() && matches!(kind, Some(nal_type::SLICE..=nal_type::IDR)) {
                slice = Some(unit);
            }
        }
        let Some(slice) = slice else {
            return Ok(PackedPicture { data: Bytes::new(), sync: false, entry: None });
        };
        let sets = self.active_sets(slice);
        let entry = self.describe(&sets, sync)?;
        // An IDR picture gets all sets that its sequence may use, whichever of them it brought itself.
        let sets = if sync && self.place == ParameterSets::InSamples { sets } else { Vec::new() };
        let keeps = |kind| match kind {
            None
            | Some(nal_type::AUD | nal_type::FILLER | nal_type::END_OF_SEQUENCE | nal_type::END_OF_STREAM) => {
                false
            }
            Some(nal_type::SPS | nal_type::PPS) => self.place == ParameterSets::InSamples && !sync,
            _ => true,
        };
        for unit in Units::new(data, self.framing) {
            let unit = unit?;
            if keeps(h264::unit_type(unit)) {
                kept += 4 + unit.len();
            } else {
                left_out = true;
            }
        }
        let four_bytes = NalFraming::LengthPrefixed { length_bytes: 4 };
        if self.framing == four_bytes && !left_out && sets.is_empty() && kept == data.len() {
            return Ok(PackedPicture { data: data.clone(), sync, entry });
        }
        let mut packed = BytesMut::with_capacity(kept + sets.iter().map(|set| 4 + set.len()).sum::<usize>());
        let units = Units::new(data, self.framing).filter_map(Result::ok);
        let units = units.filter(|unit| keeps(h264::unit_type(unit)));
        for unit in sets.iter().map(|set| &set[..]).chain(units) {
            packed.put_u32(u32::try_from(unit.len()).map_err(|_| PackError::TooLarge { len: unit.len() })?);
            packed.put_slice(unit);
        }
        Ok(PackedPicture { data: packed.freeze(), sync, entry })
    }

    /// The sequence set that a picture refers to and all picture sets of that; empty if they are not known.
    fn active_sets(&self, slice: &[u8]) -> Vec<Bytes> {
        let Some((sps, _)) = slice_pps(slice).and_then(|pps| self.pps.get(&pps)) else {
            return Vec::new();
        };
        let Some(set) = self.sps.get(sps) else {
            return Vec::new();
        };
        let pictures = self.pps.values().filter(|(of, _)| of == sps).map(|(_, set)| set);
        std::iter::once(set).chain(pictures).cloned().collect()
    }

    fn take_set(&mut self, unit: &[u8]) {
        if h264::unit_type(unit) == Some(nal_type::SPS) {
            // A set that cannot be parsed cannot be the one that a picture refers to.
            if let Ok(info) = h264::SpsInfo::parse(unit) {
                let known = self.sps.entry(info.id).or_default();
                if **known != *unit {
                    *known = Bytes::copy_from_slice(unit);
                }
            }
        } else if let Some((pps, sps)) = h264::pps_ids(unit) {
            let known = self.pps.entry(pps).or_default();
            if known.0 != sps || *known.1 != *unit {
                *known = (sps, Bytes::copy_from_slice(unit));
            }
        }
    }

    /// The sample entry for these sets, if it is another than before.
    fn describe(&mut self, sets: &[Bytes], sync: bool) -> Result<Option<SampleEntry>, PackError> {
        // A picture set may change with any picture; those in samples are where they belong already.
        let in_samples = self.place == ParameterSets::InSamples;
        let current = self.entry.as_ref().map(|entry| &entry.config);
        let known = matches!(current, Some(TrackConfig::H264(config)) if config.parameter_sets == sets);
        if sets.is_empty() || known || in_samples && self.entry.is_some() && !sync {
            return Ok(None);
        }
        let mut entry = match self.place {
            ParameterSets::InEntry => SampleEntry::avc1(sets.to_vec())?,
            ParameterSets::InSamples => SampleEntry::avc3(sets.to_vec())?,
        };
        entry.pixel_aspect = self.pixel_aspect;
        if in_samples && self.entry.as_ref().is_some_and(|known| known.size == entry.size) {
            return Ok(None);
        }
        self.entry = Some(entry.clone());
        Ok(Some(entry))
    }
}

/// `pic_parameter_set_id` of a slice: the third Exp-Golomb number of its header (ITU-T H.264 §7.3.3).
fn slice_pps(unit: &[u8]) -> Option<u8> {
    // The three numbers of a first slice are far too short for an emulation prevention byte to come between.
    let bit = |at: usize| Some(unit.get(1 + at / 8)? >> (7 - at % 8) & 1);
    let mut at = 0;
    let mut number = || {
        let zeros = (0..16).find_map(|zeros| (bit(at + zeros)? == 1).then_some(zeros))?;
        let mut value = 0u32;
        for offset in zeros..=2 * zeros {
            value = (value << 1) | u32::from(bit(at + offset)?);
        }
        at += 2 * zeros + 1;
        Some(value - 1)
    };
    let (_first_macroblock, _slice_type) = (number()?, number()?);
    u8::try_from(number()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 24] = [
        0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
        0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
    ];
    const PPS: [u8; 5] = [0x68, 0xeb, 0xe3, 0xcb, 0x22];

    fn annex_b(units: &[&[u8]]) -> Bytes {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
    }

    /// A slice of picture set 0.
    const IDR: [u8; 3] = [0x65, 0b1000_1000, 0x80];
    const SLICE: [u8; 3] = [0x41, 0b1000_1000, 0x80];

    fn packer(framing: NalFraming, place: ParameterSets) -> AvcPacker {
        AvcPacker::new(&H264Config { framing, parameter_sets: Vec::new() }, place, None)
    }

    fn lengths(units: &[&[u8]]) -> Vec<u8> {
        units
            .iter()
            .flat_map(|unit| [&[0, 0, 0, u8::try_from(unit.len()).unwrap()][..], unit].concat())
            .collect()
    }

    #[test]
    fn parameter_sets_go_into_the_entry_and_slices_into_the_sample() {
        let mut packer = packer(NalFraming::AnnexB, ParameterSets::InEntry);
        let key = packer.pack(&annex_b(&[&[9, 0xF0], &SPS, &PPS, &[6, 5, 1], &IDR])).unwrap();
        assert_eq!(&key.data[..], lengths(&[&[6, 5, 1], &IDR]));
        assert!(key.sync);
        assert_eq!(
            key.entry,
            Some(SampleEntry::avc1(vec![SPS.to_vec().into(), PPS.to_vec().into()]).unwrap())
        );
        let next = packer.pack(&annex_b(&[&[9, 0xF0], &SLICE])).unwrap();
        assert_eq!((&next.data[..], next.sync, next.entry), (&lengths(&[&SLICE])[..], false, None));
        let again = packer.pack(&annex_b(&[&SPS, &PPS, &IDR])).unwrap();
        assert_eq!(again.entry, None, "the same sets are no change");
        let other = [0x68, 0xeb, 0xe3, 0xcb, 0x23];
        assert!(packer.pack(&annex_b(&[&other, &SLICE])).unwrap().entry.is_some(), "with any picture");
        assert!(packer.pack(&annex_b(&[&IDR])).unwrap().entry.is_none());
    }

    #[test]
    fn parameter_sets_in_samples_are_in_front_of_each_key_frame() {
        let mut packer = packer(NalFraming::AnnexB, ParameterSets::InSamples);
        assert!(packer.pack(&annex_b(&[&SPS, &PPS])).unwrap().data.is_empty());
        let key = packer.pack(&annex_b(&[&[9, 0xF0], &IDR])).unwrap();
        assert_eq!(&key.data[..], lengths(&[&SPS, &PPS, &IDR]), "those that came before");
        assert_eq!(key.entry.map(|entry| entry.kind), Some(crate::SampleEntryKind::Avc3));
        let other = [0x68, 0xeb, 0xe3, 0xcb, 0x23];
        let next = packer.pack(&annex_b(&[&other, &SLICE])).unwrap();
        assert_eq!(&next.data[..], lengths(&[&other, &SLICE]));
        let key = packer.pack(&annex_b(&[&SPS, &IDR])).unwrap();
        assert_eq!((&key.data[..], key.entry), (&lengths(&[&SPS, &other, &IDR])[..], None));
    }

    #[test]
    fn what_is_right_already_is_not_copied() {
        let mut packer = packer(NalFraming::LengthPrefixed { length_bytes: 4 }, ParameterSets::InEntry);
        let data = Bytes::from(lengths(&[&IDR, &SLICE]));
        let packed = packer.pack(&data).unwrap();
        assert_eq!(packed.data.as_ptr(), data.as_ptr());
        let with_delimiter = Bytes::from(lengths(&[&[9, 0xF0], &IDR]));
        assert_eq!(&packer.pack(&with_delimiter).unwrap().data[..], lengths(&[&IDR]));
    }

    #[test]
    fn damage_and_emptiness_are_told() {
        let mut packer = packer(NalFraming::AnnexB, ParameterSets::InEntry);
        assert!(matches!(packer.pack(&Bytes::from_static(&[1, 2, 3])), Err(PackError::Split(_))));
        assert_eq!(packer.pack(&annex_b(&[&IDR])).unwrap().entry, None, "no sets yet");
        let only_sets = packer.pack(&annex_b(&[&SPS, &PPS])).unwrap();
        assert!(only_sets.data.is_empty() && only_sets.entry.is_none());
        assert!(packer.pack(&Bytes::new()).unwrap().data.is_empty());
        assert!(packer.pack(&annex_b(&[&SLICE])).unwrap().entry.is_some());
    }

    #[test]
    fn the_picture_set_of_a_slice_is_found() {
        // first_mb 0 (1), slice_type 7 (0001000), pps 0 (1), 2 (011), 200 (000000011001001).
        for (bytes, pps) in [
            (&[0x65, 0b1000_1000, 0b1000_0000][..], Some(0)),
            (&[0x65, 0b1000_1000, 0b0110_0000], Some(2)),
            (&[0x65, 0b1000_1000, 0b0000_0001, 0b1001_0010], Some(200)),
            (&[0x65, 0b1000_1000], None),
            (&[0x65, 0, 0, 0, 0, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(slice_pps(bytes), pps, "{bytes:02x?}");
        }
    }
}
