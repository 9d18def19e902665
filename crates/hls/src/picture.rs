//! What a segmenter has to know of an H.264 access unit, and the parameter sets that pictures refer to.
//!
//! # Specification
//! ITU-T H.264 (08/2021) §7.3.1, §7.3.3 (slice header), §7.4.1.2.3 (order of NAL units).

use std::collections::BTreeMap;

use bytes::Bytes;
use recorder_types::NalFraming;
use recorder_types::h264::{SplitError, SpsInfo, Units, nal_type, pps_ids, unit_type};

use crate::action::Loss;

/// Most NAL units of one access unit, which bounds the list of them.
const MAX_UNITS: usize = 1 << 17;
/// Most parameter sets of one access unit: more than there are ids.
const MAX_SETS: usize = 512;
/// Longest parameter set that is kept. A PPS with a slice group map for the largest picture has about 14 kB.
const MAX_SET_BYTES: usize = 16 << 10;

/// NAL unit types of scalable and multi-view layers: prefix, subset SPS, coded slice extensions.
const LAYERED: [u8; 4] = [14, 15, 20, 21];

/// One access unit, taken apart.
pub(crate) struct Picture<'a> {
    /// What to write after the delimiter and the parameter sets, in order.
    pub(crate) units: Vec<&'a [u8]>,
    /// SPS and PPS that came with it, in order.
    pub(crate) sets: Vec<&'a [u8]>,
    /// The first slice of the base picture; `None` without one.
    pub(crate) slice: Option<Slice>,
    /// Whether units of another layer were left out.
    pub(crate) layered: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) idr: bool,
    pub(crate) pps: u8,
}

/// An access unit that is of no use.
#[derive(Clone, Copy)]
pub(crate) struct Unfit {
    pub(crate) loss: Loss,
    /// Whether what follows cannot be decoded without it.
    pub(crate) breaks_chain: bool,
}

impl<'a> Picture<'a> {
    pub(crate) fn read(data: &'a [u8], framing: NalFraming) -> Result<Self, Unfit> {
        let mut picture =
            Self { units: Vec::with_capacity(8), sets: Vec::new(), slice: None, layered: false };
        for (n, unit) in Units::new(data, framing).enumerate() {
            if n == MAX_UNITS {
                return Err(picture.unfit(Loss::TooLarge, None));
            }
            let unit = unit.map_err(|error| picture.unfit(Loss::Damaged, type_at(error, data, framing)))?;
            let Some(kind) = unit_type(unit) else { continue };
            match kind {
                nal_type::SPS | nal_type::PPS if picture.sets.len() == MAX_SETS => {
                    return Err(picture.unfit(Loss::TooLarge, None));
                }
                nal_type::SPS | nal_type::PPS => picture.sets.push(unit),
                nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR => {
                    if picture.slice.is_none() {
                        let pps = slice_pps(unit).ok_or_else(|| picture.unfit(Loss::Damaged, Some(kind)))?;
                        picture.slice = Some(Slice { idr: kind == nal_type::IDR, pps });
                    }
                    picture.units.push(unit);
                }
                // Partitions B and C, SEI, ends of sequence and stream.
                3 | 4 | nal_type::SEI | nal_type::END_OF_SEQUENCE | nal_type::END_OF_STREAM => {
                    picture.units.push(unit);
                }
                // Delimiters are written anew. Filler, auxiliary pictures, reserved types: not needed to decode.
                _ => picture.layered |= LAYERED.contains(&kind),
            }
        }
        Ok(picture)
    }

    fn unfit(&self, loss: Loss, at: Option<u8>) -> Unfit {
        let key = self.slice.is_some_and(|slice| slice.idr);
        let breaks_chain = key || !self.sets.is_empty() || matches!(at, Some(nal_type::IDR | nal_type::SPS));
        Unfit { loss, breaks_chain }
    }
}

/// The type of the NAL unit that could not be read, where its header is in the data.
fn type_at(error: SplitError, data: &[u8], framing: NalFraming) -> Option<u8> {
    let at = match (error, framing) {
        (SplitError::PastEnd { at, .. }, NalFraming::LengthPrefixed { length_bytes }) => {
            at + usize::from(length_bytes)
        }
        (SplitError::ForbiddenBit { at }, _) => at,
        _ => return None,
    };
    unit_type(data.get(at..)?)
}

/// `pic_parameter_set_id` of a slice; `None` if its header is cut short or out of range.
pub(crate) fn slice_pps(unit: &[u8]) -> Option<u8> {
    // Three Exp-Golomb codes: first_mb_in_slice, slice_type, pic_parameter_set_id. Together at most 45 bits for the
    // largest picture.
    let mut bits = GolombBits::new(unit.get(1..)?);
    bits.ue()?;
    bits.ue()?;
    u8::try_from(bits.ue()?).ok()
}

/// The first bits of a NAL unit's payload, without emulation prevention bytes.
struct GolombBits {
    bits: u128,
    left: u32,
}

impl GolombBits {
    fn new(payload: &[u8]) -> Self {
        let (mut bits, mut left, mut zeros) = (0u128, 0, 0);
        for &byte in payload.iter().take(24) {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            if left == 128 {
                break;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bits = (bits << 8) | u128::from(byte);
            left += 8;
        }
        Self { bits: if left == 0 { 0 } else { bits << (128 - left) }, left }
    }

    /// Unsigned Exp-Golomb, §9.1.
    fn ue(&mut self) -> Option<u32> {
        let zeros = self.bits.leading_zeros();
        let len = 2 * zeros + 1;
        if zeros > 31 || len > self.left {
            return None;
        }
        let value = u32::try_from((self.bits >> (128 - len)) - 1).ok()?;
        self.bits = self.bits.checked_shl(len).unwrap_or(0);
        self.left -= len;
        Some(value)
    }
}

/// The parameter sets of one stream by their ids, the last of each.
#[derive(Default)]
pub(crate) struct ParameterSets {
    sps: BTreeMap<u8, Sps>,
    pps: BTreeMap<u8, Pps>,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    unit: Bytes,
    pub(crate) info: SpsInfo,
}

struct Pps {
    unit: Bytes,
    sps: u8,
}

impl ParameterSets {
    /// Keeps `unit`, an SPS or PPS.
    ///
    /// # Errors
    /// [`Loss::BadParameterSet`] if it cannot be read: nothing has changed.
    pub(crate) fn learn(&mut self, unit: &[u8]) -> Result<(), Loss> {
        if unit.len() > MAX_SET_BYTES {
            return Err(Loss::BadParameterSet);
        }
        match unit_type(unit) {
            Some(nal_type::SPS) => {
                if self.sps.values().all(|sps| sps.unit != unit) {
                    let sps = Sps::parse(unit).ok_or(Loss::BadParameterSet)?;
                    self.sps.insert(sps.info.id, sps);
                }
                Ok(())
            }
            Some(nal_type::PPS) => {
                if self.pps.values().all(|pps| pps.unit != unit) {
                    let (id, sps) = pps_ids(unit).ok_or(Loss::BadParameterSet)?;
                    self.pps.insert(id, Pps { unit: Bytes::copy_from_slice(unit), sps });
                }
                Ok(())
            }
            _ => Err(Loss::BadParameterSet),
        }
    }

    /// The SPS that a picture with this PPS id refers to.
    pub(crate) fn active(&self, pps: u8) -> Option<&Sps> {
        self.sps.get(&self.pps.get(&pps)?.sps)
    }

    /// Every SPS, then every PPS.
    pub(crate) fn units(&self) -> impl Iterator<Item = &[u8]> {
        self.sps.values().map(|sps| &*sps.unit).chain(self.pps.values().map(|pps| &*pps.unit))
    }
}

impl Sps {
    /// Reads an SPS NAL unit; `None` if it cannot be.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let info = SpsInfo::parse(unit).ok()?;
        // A copy, so that it does not hold on to its whole access unit.
        Some(Self { unit: Bytes::copy_from_slice(unit), info })
    }

    /// The NAL unit.
    pub(crate) const fn unit(&self) -> &Bytes {
        &self.unit
    }

    /// Whether a decoder has to begin anew: other content under the same id, or another size, profile, level, rate or
    /// depth of reordering under a new one. (An encoder may alternate between ids without a change of format.)
    pub(crate) fn differs_from(&self, before: &Self) -> bool {
        if self.info.id == before.info.id {
            return self.unit != before.unit;
        }
        let without_id = SpsInfo { id: before.info.id, ..self.info.clone() };
        self.unit.get(1..4) != before.unit.get(1..4) || without_id != before.info
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golomb(values: &[u32]) -> Vec<u8> {
        let mut text = String::new();
        for value in values {
            let code = format!("{:b}", value + 1);
            text.push_str(&"0".repeat(code.len() - 1));
            text.push_str(&code);
        }
        text.push('1');
        while !text.len().is_multiple_of(8) {
            text.push('0');
        }
        let mut bytes = vec![0x65];
        for byte in text.as_bytes().chunks(8) {
            let byte = byte.iter().fold(0, |b, bit| (b << 1) | (bit - b'0'));
            if bytes.ends_with(&[0, 0]) && byte <= 3 {
                bytes.push(3);
            }
            bytes.push(byte);
        }
        bytes
    }

    #[test]
    fn what_a_damaged_unit_was_decides_whether_the_chain_breaks() {
        let four = NalFraming::LengthPrefixed { length_bytes: 4 };
        for (data, breaks_chain) in [
            (&[0, 0, 0, 9, 0x65, 0x88][..], true),
            (&[0, 0, 0, 9, 0x41, 0x9A], false),
            (&[0, 0, 0, 9, 0x67], true),
            (&[0, 0, 0, 9], false),
            (&[0, 0, 0, 2, 0x65, 0x88, 0, 0, 0, 2, 1], true),
            (&[0, 0, 0, 2, 0x41, 0x88, 0, 0, 0, 2, 1], false),
        ] {
            let Err(unfit) = Picture::read(data, four) else { panic!("{data:?} is damaged") };
            assert_eq!(unfit.breaks_chain, breaks_chain, "{data:?}");
        }
    }

    proptest! {
        #[test]
        fn slice_headers_give_their_pps(first in 0u32..140_000, kind in 0u32..10, pps in 0u32..300) {
            let unit = golomb(&[first, kind, pps]);
            prop_assert_eq!(slice_pps(&unit), u8::try_from(pps).ok());
        }

        #[test]
        fn any_bytes_are_answered(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = slice_pps(&data);
            let _ = Picture::read(&data, NalFraming::LengthPrefixed { length_bytes: 1 });
        }
    }
}
