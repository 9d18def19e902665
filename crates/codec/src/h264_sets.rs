//! The parameter sets of a stream, and which of them a slice needs.

use std::collections::BTreeMap;

use bytes::Bytes;
use recorder_types::h264::{self, SpsInfo, nal_type, unit_type};

use crate::PictureColour;

/// A parameter set longer than this is damaged: with every scaling list a sequence parameter set takes 1.5 kB, and a
/// picture parameter set with a slice group for each macroblock is of no profile that is decoded.
const SET_MAX: usize = 4096;

/// What became of a parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It can go to the library.
    Good,
    /// It is cut, of no use, or names what does not exist.
    Damaged,
    /// Its pictures are larger than allowed.
    TooLarge,
}

/// Every parameter set that is in force, by id: at most 32 and 256.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    sequence: BTreeMap<u8, Option<Sequence>>,
    /// With the id of the sequence parameter set that each names.
    picture: BTreeMap<u8, (u8, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    unit: Bytes,
    pub(crate) colour: PictureColour,
}

impl ParameterSets {
    /// Takes an SPS or PPS NAL unit. `max_pixels` bounds the memory that a stream can ask the library for.
    pub(crate) fn take(&mut self, unit: &[u8], max_pixels: u64) -> Kept {
        if unit.len() > SET_MAX {
            return Kept::Damaged;
        }
        if unit_type(unit) == Some(nal_type::PPS) {
            let Some((id, sequence)) = h264::pps_ids(unit) else { return Kept::Damaged };
            if self.picture.get(&id).is_none_or(|(_, old)| old != unit) {
                self.picture.insert(id, (sequence, Bytes::copy_from_slice(unit)));
            }
            return Kept::Good;
        }
        let Ok(info) = SpsInfo::parse(unit) else { return Kept::Damaged };
        if u64::from(info.size.width()) * u64::from(info.size.height()) > max_pixels {
            self.sequence.insert(info.id, None);
            return Kept::TooLarge;
        }
        if self.sequence.get(&info.id).and_then(Option::as_ref).is_none_or(|old| old.unit != unit) {
            let sequence = Sequence { unit: Bytes::copy_from_slice(unit), colour: told_colour(unit) };
            self.sequence.insert(info.id, Some(sequence));
        }
        Kept::Good
    }

    /// The sequence parameter set that a slice needs; `None` if it, or the picture parameter set, is not here.
    pub(crate) fn of_slice(&self, slice: &SliceHead) -> Option<&Sequence> {
        let (sequence, _) = self.picture.get(&slice.pps)?;
        self.sequence.get(sequence)?.as_ref()
    }

    /// All of them, sequence parameter sets first.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Bytes> {
        let sequence = self.sequence.values().flatten().map(|sequence| &sequence.unit);
        sequence.chain(self.picture.values().map(|(_, unit)| unit))
    }
}

/// The first fields of a slice header, ITU-T H.264 §7.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceHead {
    pub(crate) is_idr: bool,
    /// Whether it is an I slice, decoded without another picture.
    pub(crate) is_intra: bool,
    pub(crate) pps: u8,
}

impl SliceHead {
    /// `None` if `unit` is no slice or is cut.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let is_idr = match unit_type(unit)? {
            nal_type::IDR => true,
            nal_type::SLICE => false,
            _ => return None,
        };
        // Three short codes: no run of zeros in them is long enough for emulation prevention.
        let mut bits = Bits { data: unit.get(1..)?, at: 0 };
        let _first_mb = bits.exp_golomb()?;
        let kind = bits.exp_golomb()?;
        let pps = u8::try_from(bits.exp_golomb()?).ok()?;
        (kind < 10).then_some(Self { is_idr, is_intra: kind % 5 == 2, pps })
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    /// `ue(v)` up to 65534, §9.1.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 15 {
                return None;
            }
        }
        let mut value = 1;
        for _ in 0..zeros {
            value = value << 1 | self.bit()?;
        }
        Some(value - 1)
    }
}

/// What the VUI of an SPS tells of its colours (§E.2.1).
fn told_colour(sps: &[u8]) -> PictureColour {
    /// "Unspecified" of each of the three tables.
    const UNSPECIFIED: u8 = 2;
    let told = h264::parse_sps(sps).ok().and_then(|sps| sps.vui_parameters?.video_signal_type);
    let Some(told) = told else { return PictureColour::default() };
    let code = |code: u8| (code != UNSPECIFIED).then_some(code);
    let description = told.colour_description.as_ref();
    PictureColour {
        matrix: description.and_then(|told| code(told.matrix_coefficients)),
        full_range: told.video_full_range_flag,
        primaries: description.and_then(|told| code(told.colour_primaries)),
        transfer: description.and_then(|told| code(told.transfer_characteristics)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slice_heads_are_read() {
        let head = |is_idr, is_intra, pps| Some(SliceHead { is_idr, is_intra, pps });
        for (unit, want) in [
            (&[0x65, 0b1000_1000, 0b1000_0000][..], head(true, true, 0)), // 0, 7, 0
            (&[0x41, 0b1110_0000], head(false, false, 0)),                // 0, 0, 0
            (&[0x41, 0b0101_1011, 0b0000_0000], head(false, false, 0)),   // 1, 0, 0
            (&[0x01, 0b1010_0010, 0b0000_0000], head(false, false, 3)),   // 0, 1, 3
            (&[0x67, 0b1110_0000], None),
            (&[0x41], None),
            (&[0x41, 0, 0, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(SliceHead::parse(unit), want, "{unit:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(mut unit in proptest::collection::vec(any::<u8>(), 1..80), max in any::<u64>()) {
            let mut sets = ParameterSets::default();
            for header in [0x67, 0x68, 0x65, 0x41] {
                unit[0] = header;
                let _ = sets.take(&unit, max);
                let _ = SliceHead::parse(&unit).and_then(|slice| sets.of_slice(&slice).cloned());
            }
        }
    }
}
