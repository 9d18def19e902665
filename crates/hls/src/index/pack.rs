//! Pictures from Annex B to the form of MP4, in place where that can be.
//!
//! # Specification
//! ISO/IEC 14496-15:2022 §5.3.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;
use recorder_types::h264::{DisplayOrientation, SplitError, nal_type, unit_type};

use crate::picture::slice_pps;

/// Bytes of the length before each NAL unit.
const LENGTH: usize = 4;

/// What was found in an access unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Whether its first slice is of an IDR picture; `None` without a slice.
    pub(super) idr: Option<bool>,
    /// Picture parameter set of the first slice.
    pub(super) pps: Option<u8>,
    /// How pictures are turned from this one on, where it tells that.
    pub(super) orientation: Option<DisplayOrientation>,
}

/// Turns access units into samples. Keeps the buffers that it needs.
#[derive(Debug)]
pub(super) struct Packer {
    finder: Finder<'static>,
    /// Where NAL units that are kept begin and end.
    units: Vec<(usize, usize)>,
}

impl Default for Packer {
    fn default() -> Self {
        Self { finder: Finder::new(&[0, 0, 1]), units: Vec::new() }
    }
}

/// Whether a NAL unit, which is not empty, is part of a sample: parameter sets are in the sample entry, an orientation
/// by quarter turns in the track's header, delimiters, filler and end markers are nowhere.
pub(crate) fn is_kept(unit: &[u8]) -> bool {
    match unit_type(unit) {
        Some(
            nal_type::SPS
            | nal_type::PPS
            | nal_type::AUD
            | nal_type::FILLER
            | nal_type::END_OF_SEQUENCE
            | nal_type::END_OF_STREAM,
        )
        | None => false,
        Some(nal_type::SEI) => {
            let told = DisplayOrientation::in_sei(unit);
            !told.is_some_and(|told| told.alone && told.orientation.is_quarter_turn())
        }
        Some(_) => true,
    }
}

impl Packer {
    /// Makes `data`, an access unit in Annex B, a sample, and tells its parameter sets. `room` bytes at the front are
    /// no part of the access unit, and of no more use.
    pub(super) fn pack(
        &mut self,
        mut data: BytesMut,
        room: usize,
        mut set: impl FnMut(&[u8]),
    ) -> Result<(Found, Bytes), SplitError> {
        let found = self.find(&data, room, &mut set)?;
        let total: usize = self.units.iter().map(|(start, end)| LENGTH + end - start).sum();
        let Some(&(_, last_end)) = self.units.last() else { return Ok((found, Bytes::new())) };
        if let Some(begin) = last_end.checked_sub(total)
            && self.moves_left(begin)
        {
            let mut to = begin;
            for &(start, end) in &self.units {
                let len = end - start;
                if to + LENGTH != start {
                    data.copy_within(start..end, to + LENGTH);
                }
                // Longer ones are refused when they are found.
                let prefix = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
                data[to..to + LENGTH].copy_from_slice(&prefix);
                to += LENGTH + len;
            }
            return Ok((found, data.freeze().slice(begin..last_end)));
        }
        let mut copy = BytesMut::with_capacity(total);
        for &(start, end) in &self.units {
            copy.put_u32(u32::try_from(end - start).unwrap_or(u32::MAX));
            copy.put_slice(&data[start..end]);
        }
        Ok((found, copy.freeze()))
    }

    /// Whether samples that lie from `begin` on, up to the end of the last NAL unit, only need NAL units to stay or
    /// to move to the left.
    fn moves_left(&self, begin: usize) -> bool {
        let mut to = begin;
        self.units.iter().all(|&(start, end)| {
            to += LENGTH;
            let fits = to <= start;
            to += end - start;
            fits
        })
    }

    /// Fills `units`.
    fn find(&mut self, data: &[u8], room: usize, set: &mut impl FnMut(&[u8])) -> Result<Found, SplitError> {
        self.units.clear();
        let mut found = Found::default();
        let unit = &data[room..];
        let Some(first) = self.finder.find(unit) else {
            return if unit.iter().all(|&b| b == 0) {
                Ok(found)
            } else {
                Err(SplitError::NoStartCode { len: unit.len() })
            };
        };
        if unit[..first].iter().any(|&b| b != 0) {
            return Err(SplitError::NoStartCode { len: unit.len() });
        }
        let mut start = room + first + 3;
        while start <= data.len() {
            let next = self.finder.find(&data[start..]).map(|at| start + at);
            let mut end = next.unwrap_or(data.len());
            while end > start && data[end - 1] == 0 {
                end -= 1; // trailing_zero_8bits, or the zero_byte of the next one
            }
            if let Some(kind) = unit_type(&data[start..end]) {
                if data[start] & 0x80 != 0 {
                    return Err(SplitError::ForbiddenBit { at: start - room });
                }
                let nal = &data[start..end];
                if matches!(kind, nal_type::SPS | nal_type::PPS) {
                    set(nal);
                }
                if kind == nal_type::SEI
                    && let Some(told) = DisplayOrientation::in_sei(nal)
                {
                    found.orientation = Some(told.orientation);
                }
                if is_kept(nal) {
                    if found.idr.is_none()
                        && matches!(kind, nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR)
                    {
                        found.idr = Some(kind == nal_type::IDR);
                        found.pps = slice_pps(nal);
                    }
                    self.units.push((start, end));
                }
            }
            match next {
                Some(next) => start = next + 3,
                None => break,
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use recorder_types::NalFraming;
    use recorder_types::h264::Units;

    use super::*;

    /// By the iterator that everything else goes by.
    fn reference(data: &[u8]) -> Option<Vec<u8>> {
        let mut packed = Vec::new();
        for unit in Units::new(data, NalFraming::AnnexB) {
            let unit = unit.ok()?;
            if is_kept(unit) {
                packed.extend(u32::try_from(unit.len()).unwrap().to_be_bytes());
                packed.extend_from_slice(unit);
            }
        }
        Some(packed)
    }

    fn pack(data: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut buffer = BytesMut::zeroed(room);
        buffer.extend_from_slice(data);
        Packer::default().pack(buffer, room, |_| {}).ok().map(|(_, bytes)| bytes.to_vec())
    }

    fn units() -> impl Strategy<Value = Vec<u8>> {
        let unit = (
            0u8..32,
            proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(3), any::<u8>()], 0..12),
        );
        let gap = (2usize..6).prop_map(|zeros| [vec![0; zeros], vec![1]].concat());
        proptest::collection::vec((gap, unit), 0..9).prop_map(|units| {
            units
                .into_iter()
                .flat_map(|(gap, (kind, body))| [gap, vec![0x60 | kind], body].concat())
                .collect()
        })
    }

    proptest! {
        #[test]
        fn it_is_what_the_iterator_over_nal_units_gives(data in units(), room in 0usize..20) {
            prop_assert_eq!(pack(&data, room), reference(&data));
        }

        #[test]
        fn any_bytes_are_answered(data in proptest::collection::vec(0u8..4, 0..60), room in 0usize..4) {
            prop_assert_eq!(pack(&data, room), reference(&data));
        }
    }
}
