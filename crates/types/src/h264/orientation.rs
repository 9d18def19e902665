//! How pictures are turned for display, as the elementary stream tells it.

use h264_reader::rbsp::{BitRead, BitReader, decode_nal};

use super::{nal_type, unit_type};

/// `payloadType` of the SEI message.
const PAYLOAD_TYPE: u32 = 47;

/// What a display orientation SEI message says: mirror first, then turn. The default shows pictures as they are coded.
///
/// # Specification
/// ITU-T H.264 (08/2021) §D.1.27, §D.2.27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DisplayOrientation {
    /// Left becomes right.
    pub mirrored: bool,
    /// Top becomes bottom.
    pub flipped: bool,
    /// How far the picture is turned against the clock, in 65536ths of a whole turn.
    pub anticlockwise: u16,
}

impl DisplayOrientation {
    /// A NAL unit with this message alone, header included, which holds until another one comes. It stands before the
    /// slices of a picture.
    #[must_use]
    pub fn to_sei(self) -> [u8; 7] {
        // Cancel flag 0, both flips, 16 bits, repetition period 1 (010), no extension; then a one to the byte's end.
        let flags = u32::from(self.mirrored) << 22 | u32::from(self.flipped) << 21;
        let [_, a, b, c] = (flags | u32::from(self.anticlockwise) << 5 | 0b0_1001).to_be_bytes();
        // No emulation prevention: `c` is above 3, whatever stands before it.
        [nal_type::SEI, 47, 3, a, b, c, 0x80]
    }

    /// Whether it turns by 0, 90, 180 or 270 degrees: what the header of an MP4 track is asked to say.
    #[must_use]
    pub const fn is_quarter_turn(self) -> bool {
        self.anticlockwise.trailing_zeros() >= 14
    }

    /// Finds the message in an SEI NAL unit, header byte included; `None` without one, and for what cannot be read.
    #[must_use]
    pub fn in_sei(unit: &[u8]) -> Option<FoundOrientation> {
        // `decode_nal` panics below two bytes.
        if unit.len() < 4 || unit_type(unit) != Some(nal_type::SEI) {
            return None;
        }
        let rbsp = decode_nal(unit).ok()?;
        let mut rest = &rbsp[..];
        let (mut found, mut messages) = (None, 0u32);
        // What follows the last message is one bit and zeros.
        while rest.len() > 1 {
            let kind = extended(&mut rest)?;
            let len = usize::try_from(extended(&mut rest)?).ok()?;
            let payload = rest.get(..len)?;
            rest = &rest[len..];
            messages += 1;
            if kind == PAYLOAD_TYPE {
                found = Some(read(payload)?);
            }
        }
        Some(FoundOrientation { orientation: found?, alone: messages == 1 })
    }
}

/// An orientation that a NAL unit tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOrientation {
    /// The orientation from this picture on.
    pub orientation: DisplayOrientation,
    /// Whether the NAL unit tells nothing else.
    pub alone: bool,
}

/// `payloadType` and `payloadSize`: bytes of 255 and one more, added up.
fn extended(rest: &mut &[u8]) -> Option<u32> {
    let mut sum = 0u32;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        sum = sum.checked_add(byte.into())?;
        if byte != 0xFF {
            return Some(sum);
        }
    }
}

fn read(payload: &[u8]) -> Option<DisplayOrientation> {
    let mut bits = BitReader::new(payload);
    if bits.read_bit("display_orientation_cancel_flag").ok()? {
        return Some(DisplayOrientation::default());
    }
    Some(DisplayOrientation {
        mirrored: bits.read_bit("hor_flip").ok()?,
        flipped: bits.read_bit("ver_flip").ok()?,
        anticlockwise: bits.read::<16, u16>("anticlockwise_rotation").ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quarter_turn_has_these_bytes() {
        let turned = DisplayOrientation { anticlockwise: 0xC000, ..DisplayOrientation::default() };
        assert!(turned.is_quarter_turn() && DisplayOrientation::default().is_quarter_turn());
        assert!(!DisplayOrientation { anticlockwise: 0x2000, ..turned }.is_quarter_turn());
        assert_eq!(turned.to_sei(), [6, 47, 3, 0x18, 0, 0x09, 0x80]);
        let found = DisplayOrientation::in_sei(&turned.to_sei());
        assert_eq!(found, Some(FoundOrientation { orientation: turned, alone: true }));
    }

    #[test]
    fn it_is_found_among_other_messages() {
        let turned = DisplayOrientation { mirrored: true, anticlockwise: 0x8000, ..Default::default() };
        // Of 300 bytes, of a type above 255, and one that cancels.
        let long = [&[6, 5, 255, 45][..], &[7; 300], &turned.to_sei()[1..]].concat();
        let found = DisplayOrientation::in_sei(&long);
        assert_eq!(found, Some(FoundOrientation { orientation: turned, alone: false }));
        assert_eq!(DisplayOrientation::in_sei(&[6, 255, 2, 1, 9, 0x80]), None);
        let cancelled = DisplayOrientation::in_sei(&[6, 47, 1, 0xC0, 0x80]).unwrap();
        assert_eq!(cancelled.orientation, DisplayOrientation::default());
        for bad in [&[6, 47, 3, 0x18, 0][..], &[6, 47, 1, 0x00, 0x80], &[6, 5], &[7, 47, 1, 0xC0, 0x80], &[6]]
        {
            assert_eq!(DisplayOrientation::in_sei(bad), None, "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn every_orientation_is_read_back(mirrored: bool, flipped: bool, anticlockwise: u16) {
            let orientation = DisplayOrientation { mirrored, flipped, anticlockwise };
            let found = DisplayOrientation::in_sei(&orientation.to_sei());
            prop_assert_eq!(found, Some(FoundOrientation { orientation, alone: true }));
        }

        #[test]
        fn any_bytes_give_an_answer(mut unit in proptest::collection::vec(any::<u8>(), 1..40)) {
            unit[0] = 6;
            let _ = DisplayOrientation::in_sei(&unit);
        }
    }
}
