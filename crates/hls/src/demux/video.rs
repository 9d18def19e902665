//! What the demuxer needs to know of H.264: where access units begin, and whether one is an IDR.

use recorder_types::h264::{nal_type, start_code};

/// Whether `payload` goes on with the access unit before it: it starts inside a NAL unit, or with a slice that is
/// not the first of its picture (ITU-T H.264 §7.4.1.2.4; `first_mb_in_slice` 0 is a single 1 bit).
pub(super) fn continues_unit(payload: &[u8]) -> bool {
    let Some(rest) = after_start_code(payload) else {
        return true;
    };
    let &[header, first, ..] = rest else {
        return false;
    };
    matches!(header & 0x1F, nal_type::SLICE..=nal_type::IDR) && first & 0x80 == 0
}

/// Bytes before the first start code, leading zeros of the byte stream not counted; all of them if there is none.
pub(super) fn before_start_code(payload: &[u8]) -> usize {
    if after_start_code(payload).is_some() {
        return 0;
    }
    start_code(payload)
        .map_or(payload.len(), |at| at - payload[..at].iter().rev().take(1).filter(|&&b| b == 0).count())
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

/// What follows a start code at the beginning, with any number of leading zeros.
fn after_start_code(payload: &[u8]) -> Option<&[u8]> {
    let zeros = payload.iter().take_while(|&&b| b == 0).count();
    (zeros >= 2 && payload.get(zeros) == Some(&1)).then(|| &payload[zeros + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations_are_told_from_beginnings() {
        for (payload, continues) in [
            (&[0, 0, 0, 1, 9, 0xF0][..], false),
            (&[0, 0, 1, 0x41, 0x9A], false),
            (&[0, 0, 1, 0x41, 0x1A], true),
            (&[0, 0, 1, 0x65, 0x88], false),
            (&[0x12, 0x34, 0, 0, 1, 9], true),
            (&[0, 0, 1, 6], false),
        ] {
            assert_eq!(continues_unit(payload), continues, "{payload:x?}");
        }
    }

    #[test]
    fn idr_is_seen_behind_parameter_sets_only() {
        assert!(is_idr(&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 9]));
        assert!(!is_idr(&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 9, 0, 0, 1, 0x65, 9]));
        assert!(!is_idr(&[0, 0, 1]));
    }

    #[test]
    fn bytes_before_the_start_code_are_counted() {
        for (payload, len) in [
            (&[0, 0, 0, 0, 1, 9][..], 0),
            (&[7, 8, 0, 0, 1, 9], 2),
            (&[7, 8, 0, 0, 0, 1, 9], 2),
            (&[7, 8], 2),
            (&[], 0),
        ] {
            assert_eq!(before_start_code(payload), len, "{payload:x?}");
        }
    }
}
