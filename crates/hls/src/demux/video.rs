//! What the demuxer needs to know of H.264: where access units begin, and whether one is an IDR.

use recorder_types::h264::{nal_type, start_code};

/// Offset in `payload` of the first NAL unit that begins an access unit, with its start code; `None` if all of it goes
/// on with the access unit before. With a `timed` payload a NAL unit right at its start is taken to begin one.
pub(super) fn unit_start(payload: &[u8], timed: bool) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = start_code(&payload[from..]) {
        let at = from + found;
        let is_first = payload[..at].iter().all(|&b| b == 0);
        if (timed && is_first) || begins_unit(&payload[at + 3..]) {
            // Zeros before the start code belong to it (`zero_byte`), or to nothing.
            return Some(if is_first { 0 } else { at - usize::from(payload[at - 1] == 0) });
        }
        from = at + 3;
    }
    None
}

/// Whether the start of `payload` is enough to see that an access unit begins right there.
pub(super) fn starts_with_unit(payload: &[u8], timed: bool) -> bool {
    let zeros = payload.iter().take_while(|&&b| b == 0).count();
    zeros >= 2 && payload.get(zeros) == Some(&1) && (timed || begins_unit(&payload[zeros + 1..]))
}

/// Whether a NAL unit begins an access unit: parameter sets, SEI and delimiter stand before the first slice, and
/// `first_mb_in_slice` is 0, a single 1 bit, in that (ITU-T H.264 §7.4.1.2.3, §7.4.3).
fn begins_unit(nal: &[u8]) -> bool {
    match nal.first().map(|header| header & 0x1F) {
        Some(nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR) => {
            nal.get(1).is_some_and(|first| first & 0x80 != 0)
        }
        Some(nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::AUD | 14..=18) => true,
        _ => false,
    }
}

/// Whether the first slice of `unit` is of an IDR picture. Looks no further than that slice.
pub(super) fn is_idr(unit: &[u8]) -> bool {
    let mut rest = unit;
    while let Some(at) = start_code(rest) {
        rest = &rest[at + 3..];
        match rest.first().map(|header| header & 0x1F) {
            Some(nal_type::IDR) => return true,
            Some(nal_type::SLICE..nal_type::IDR) | None => return false,
            Some(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_told_from_continuations() {
        for (payload, untimed, timed) in [
            (&[0, 0, 0, 1, 9, 0xF0][..], Some(0), Some(0)),
            (&[0, 0, 1, 0x41, 0x9A], Some(0), Some(0)),
            (&[0, 0, 1, 0x41, 0x1A], None, Some(0)),
            (&[0x12, 0x34, 0, 0, 1, 9, 0xF0], Some(2), Some(2)),
            (&[0x12, 0x34, 0, 0, 0, 1, 9, 0xF0], Some(2), Some(2)),
            (&[7, 0, 0, 1, 0x41, 0x1A, 0, 0, 1, 0x65, 0x88], Some(6), Some(6)),
            (&[7, 0, 0, 1, 0x41, 0x1A], None, None),
            (&[], None, None),
        ] {
            assert_eq!(unit_start(payload, false), untimed, "{payload:x?}");
            assert_eq!(unit_start(payload, true), timed, "{payload:x?}");
            assert_eq!(starts_with_unit(payload, false), untimed == Some(0), "{payload:x?}");
            assert_eq!(starts_with_unit(payload, true), timed == Some(0), "{payload:x?}");
        }
    }

    #[test]
    fn idr_is_seen_behind_parameter_sets_only() {
        assert!(is_idr(&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 9]));
        assert!(!is_idr(&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 9, 0, 0, 1, 0x65, 9]));
        assert!(!is_idr(&[0, 0, 1]));
    }
}
