//! H.264: finding NAL units, and the facts of a sequence parameter set that a recorder needs.
//!
//! Payloads are not copied and emulation prevention is not undone; only parameter sets are parsed, by
//! `h264-reader`.
//!
//! # Specification
//! ITU-T H.264 (08/2021) §7.3.1 (NAL unit), §7.3.2.1 (SPS), Annex B (byte stream); ISO/IEC 14496-15 §5.3 (length
//! prefixes).

mod orientation;

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};
use memchr::memmem::Finder;

pub use orientation::{DisplayOrientation, FoundOrientation};

use crate::{NalFraming, Size};

/// `nal_unit_type` values, ITU-T H.264 table 7-1.
pub mod nal_type {
    /// Coded slice of a non-IDR picture.
    pub const SLICE: u8 = 1;
    /// Coded slice data partition A.
    pub const PARTITION_A: u8 = 2;
    /// Coded slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// End of sequence.
    pub const END_OF_SEQUENCE: u8 = 10;
    /// End of stream.
    pub const END_OF_STREAM: u8 = 11;
    /// Filler data.
    pub const FILLER: u8 = 12;
}

/// The `nal_unit_type` (0 to 31) of a NAL unit, `None` if it is empty.
#[must_use]
pub fn unit_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|header| header & 0x1F)
}

/// Why an access unit cannot be split. The input is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A length field that runs past the end of the access unit, or is itself cut.
    #[error("NAL unit at byte {at} runs past the end of its access unit of {len} bytes")]
    PastEnd {
        /// Offset of the length field.
        at: usize,
        /// Bytes of the access unit.
        len: usize,
    },
    /// Data before the first start code, or none at all.
    #[error("access unit of {len} bytes has no start code at its beginning")]
    NoStartCode {
        /// Bytes of the access unit.
        len: usize,
    },
    /// `forbidden_zero_bit` is set: the unit is known to be damaged (§7.4.1).
    #[error("NAL unit at byte {at} has its forbidden bit set")]
    ForbiddenBit {
        /// Offset of the NAL unit.
        at: usize,
    },
}

/// The NAL units of one access unit, without start codes, lengths or trailing zero bytes. Empty units are left out.
///
/// After an error the iterator is finished.
#[derive(Clone, Debug)]
pub struct Units<'a> {
    data: &'a [u8],
    at: usize,
    framing: NalFraming,
}

impl<'a> Units<'a> {
    /// Over `data` in `framing`.
    #[must_use]
    pub const fn new(data: &'a [u8], framing: NalFraming) -> Self {
        Self { data, at: 0, framing }
    }

    fn next_annex_b(&mut self) -> Option<Result<&'a [u8], SplitError>> {
        loop {
            let rest = self.data.get(self.at..).filter(|rest| !rest.is_empty())?;
            let start = match start_code(rest) {
                Some(0) => self.at + 3,
                Some(offset) if rest.iter().take(offset).all(|&b| b == 0) => self.at + offset + 3,
                None if rest.iter().all(|&b| b == 0) => {
                    self.at = self.data.len();
                    return None; // trailing_zero_8bits
                }
                _ => {
                    self.at = self.data.len();
                    return Some(Err(SplitError::NoStartCode { len: self.data.len() }));
                }
            };
            let body = &self.data[start..];
            let end = start_code(body).map_or(self.data.len(), |offset| start + offset);
            self.at = end;
            let unit = trim_zeros(&self.data[start..end]);
            if !unit.is_empty() {
                return Some(self.checked(start, unit));
            }
        }
    }

    fn next_length_prefixed(&mut self, length_bytes: usize) -> Option<Result<&'a [u8], SplitError>> {
        loop {
            let at = self.at;
            let rest = self.data.get(at..).filter(|rest| !rest.is_empty())?;
            let past_end = SplitError::PastEnd { at, len: self.data.len() };
            let unit = rest.split_at_checked(length_bytes).and_then(|(prefix, body)| {
                let len = prefix.iter().fold(0usize, |len, &b| (len << 8) | usize::from(b));
                body.get(..len)
            });
            let Some(unit) = unit else {
                self.at = self.data.len();
                return Some(Err(past_end));
            };
            self.at = at + length_bytes + unit.len();
            if !unit.is_empty() {
                return Some(self.checked(at + length_bytes, unit));
            }
        }
    }

    fn checked(&mut self, at: usize, unit: &'a [u8]) -> Result<&'a [u8], SplitError> {
        if unit[0] & 0x80 != 0 {
            self.at = self.data.len();
            return Err(SplitError::ForbiddenBit { at });
        }
        Ok(unit)
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = Result<&'a [u8], SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.framing {
            NalFraming::AnnexB => self.next_annex_b(),
            NalFraming::LengthPrefixed { length_bytes } => {
                self.next_length_prefixed(usize::from(length_bytes))
            }
        }
    }
}

/// A picture with NAL units before it, in its own framing; `None` where a unit is longer than the framing's lengths can
/// say.
#[must_use]
pub fn prepend_units(units: &[&[u8]], framing: NalFraming, picture: &[u8]) -> Option<Bytes> {
    let bytes = units.iter().map(|unit| unit.len() + 4).sum::<usize>();
    let mut data = BytesMut::with_capacity(bytes + picture.len());
    for unit in units {
        match framing {
            NalFraming::AnnexB => data.put_slice(&[0, 0, 0, 1]),
            NalFraming::LengthPrefixed { length_bytes } => {
                let len = u64::try_from(unit.len()).ok()?;
                let bytes = usize::from(length_bytes).min(8);
                if bytes < 8 && len >> (8 * bytes) != 0 {
                    return None;
                }
                data.put_uint(len, bytes);
            }
        }
        data.put_slice(unit);
    }
    data.put_slice(picture);
    Some(data.freeze())
}

/// Offset of the first `00 00 01` in `data`.
#[must_use]
pub fn start_code(data: &[u8]) -> Option<usize> {
    START_CODE.find(data)
}

/// Looks at two bytes at a time: one alone stands in every 256th place of coded pictures, and each costs a restart.
static START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// `unit` without the zero bytes at its end, which belong to the byte stream (a NAL unit never ends in zero).
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// What a recorder needs of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpsInfo {
    /// `seq_parameter_set_id`, 0 to 31.
    pub id: u8,
    /// Picture size after cropping.
    pub size: Size,
    /// `max_num_reorder_frames` of the VUI where it is told; 0 for profiles without B-frames.
    pub reorder_frames: Option<u8>,
    /// Frames per second as a fraction (`time_scale`, `2 * num_units_in_tick`) where the VUI tells a fixed one.
    pub frame_rate: Option<(u32, u32)>,
}

impl SpsInfo {
    /// Reads an SPS NAL unit, header byte included.
    ///
    /// # Errors
    /// [`SpsError`] if it is no SPS, is cut short, or describes no picture up to 16384 pixels a side.
    pub fn parse(unit: &[u8]) -> Result<Self, SpsError> {
        let sps = parse_sps(unit)?;
        let (width, height) = sps.pixel_dimensions().map_err(|_| SpsError::Size)?;
        let size = Size::new(width, height).filter(|s| s.width() <= 16384 && s.height() <= 16384);
        let vui = sps.vui_parameters.as_ref();
        let told = vui.and_then(|vui| vui.bitstream_restrictions.as_ref());
        let baseline = sps.profile_idc == 66.into();
        Ok(Self {
            id: sps.id().id(),
            size: size.ok_or(SpsError::Size)?,
            reorder_frames: told
                .and_then(|told| u8::try_from(told.max_num_reorder_frames).ok())
                .or(baseline.then_some(0)),
            frame_rate: vui
                .and_then(|vui| vui.timing_info.as_ref())
                .and_then(|timing| Some((timing.time_scale, timing.num_units_in_tick.checked_mul(2)?)))
                .filter(|&(scale, tick)| scale > 0 && tick > 0),
        })
    }
}

/// The whole of an SPS NAL unit, for what [`SpsInfo`] leaves out.
///
/// # Errors
/// [`SpsError`] if it is no SPS or is cut short.
pub fn parse_sps(unit: &[u8]) -> Result<SeqParameterSet, SpsError> {
    // `decode_nal` panics below two bytes.
    if unit.len() < 4 || unit_type(unit) != Some(nal_type::SPS) {
        return Err(SpsError::NotSps);
    }
    let rbsp = decode_nal(unit).map_err(|_| SpsError::Syntax)?;
    SeqParameterSet::from_bits(BitReader::new(&*rbsp)).map_err(|_| SpsError::Syntax)
}

/// `pic_parameter_set_id` and `seq_parameter_set_id` of a PPS NAL unit; `None` if it is none or is cut short.
#[must_use]
pub fn pps_ids(unit: &[u8]) -> Option<(u8, u8)> {
    if unit.len() < 2 || unit_type(unit) != Some(nal_type::PPS) {
        return None;
    }
    let rbsp = decode_nal(unit).ok()?;
    let mut bits = BitReader::new(&*rbsp);
    use h264_reader::rbsp::BitRead;
    let pps = u8::try_from(bits.read_ue("pic_parameter_set_id").ok()?).ok()?;
    let sps = u8::try_from(bits.read_ue("seq_parameter_set_id").ok()?).ok()?;
    (sps < 32).then_some((pps, sps))
}

/// Why a sequence parameter set is of no use. The input is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpsError {
    /// Too short, or another NAL unit.
    #[error("not a sequence parameter set")]
    NotSps,
    /// Cut short, or a value outside its range.
    #[error("sequence parameter set does not follow the syntax")]
    Syntax,
    /// Nothing left after cropping, or a side above 16384.
    #[error("sequence parameter set describes no usable picture size")]
    Size,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(data: &[u8], framing: NalFraming) -> Result<Vec<&[u8]>, SplitError> {
        Units::new(data, framing).collect()
    }

    #[test]
    fn both_start_codes_and_stray_zeros_are_taken() {
        let data = [0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 7, 0, 0];
        let want: [&[u8]; 3] = [&[9, 0xF0], &[0x67, 1, 2], &[0x65, 7]];
        assert_eq!(units(&data, NalFraming::AnnexB).unwrap(), want);
    }

    #[test]
    fn length_prefixes_of_each_size_are_read() {
        for (bytes, data) in [(1, &[2, 9, 0xF0][..]), (2, &[0, 2, 9, 0xF0]), (4, &[0, 0, 0, 2, 9, 0xF0])] {
            let framing = NalFraming::LengthPrefixed { length_bytes: bytes };
            assert_eq!(units(data, framing).unwrap(), [&[9, 0xF0]]);
        }
    }

    #[test]
    fn units_put_before_a_picture_are_found_before_it() {
        let four = NalFraming::LengthPrefixed { length_bytes: 4 };
        let one = NalFraming::LengthPrefixed { length_bytes: 1 };
        for (framing, picture) in [
            (NalFraming::AnnexB, &[0, 0, 1, 0x65, 7][..]),
            (four, &[0, 0, 0, 2, 0x65, 7]),
            (one, &[2, 0x65, 7]),
        ] {
            let data = prepend_units(&[&[0x67, 1], &[6, 2]], framing, picture).unwrap();
            assert_eq!(units(&data, framing).unwrap(), [&[0x67, 1], &[6, 2], &[0x65, 7]]);
        }
        assert_eq!(prepend_units(&[&[0x67; 256]], one, &[]), None);
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let four = NalFraming::LengthPrefixed { length_bytes: 4 };
        assert_eq!(units(&[0, 0, 0, 9, 1], four), Err(SplitError::PastEnd { at: 0, len: 5 }));
        assert_eq!(units(&[0, 0, 0, 1, 9, 0, 0], four), Err(SplitError::PastEnd { at: 5, len: 7 }));
        assert_eq!(units(&[0, 0, 0, 1, 0x89], four), Err(SplitError::ForbiddenBit { at: 4 }));
        assert_eq!(units(&[5, 0, 0, 1, 9], NalFraming::AnnexB), Err(SplitError::NoStartCode { len: 5 }));
    }

    #[test]
    fn a_real_sps_gives_its_size() {
        // 640x480 High, two reorder frames, 30 fps: what x264 writes.
        let sps = [
            0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
            0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
        ];
        let info = SpsInfo::parse(&sps).unwrap();
        assert_eq!(info.size, Size::new(640, 480).unwrap());
        assert_eq!(info.reorder_frames, Some(2));
        assert_eq!(info.frame_rate, Some((60, 2)));
    }

    proptest! {
        #[test]
        fn any_bytes_split_without_panic_and_within_bounds(
            data in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..200),
            length_bytes in prop_oneof![Just(1u8), Just(2), Just(4)],
        ) {
            for framing in [NalFraming::AnnexB, NalFraming::LengthPrefixed { length_bytes }] {
                let total: usize = Units::new(&data, framing).filter_map(Result::ok).map(<[u8]>::len).sum();
                prop_assert!(total <= data.len());
            }
        }

        #[test]
        fn start_code_agrees_with_the_plain_search(
            data in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => Just(1), 1 => any::<u8>()], 0..64),
        ) {
            prop_assert_eq!(start_code(&data), data.windows(3).position(|w| w == [0, 0, 1]));
        }

        #[test]
        fn any_bytes_as_parameter_sets_give_an_answer(mut unit in proptest::collection::vec(any::<u8>(), 1..80)) {
            unit[0] = 0x67;
            let _ = SpsInfo::parse(&unit);
            unit[0] = 0x68;
            let _ = pps_ids(&unit);
        }
    }
}
