//! The header of a PES packet, and the unrolling of its 33-bit times.
//!
//! # Specification
//! ISO/IEC 13818-1:2019 §2.4.3.6.

/// Bytes of the fixed part of the header.
const FIXED: usize = 9;

/// What the header of a PES packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PesHeader {
    /// Bytes of the header, after which the payload begins.
    pub(super) len: usize,
    /// Bytes of header and payload together; `None` where the length is left open (allowed for video).
    pub(super) packet_len: Option<usize>,
    /// PTS and DTS, 33 bits each; equal where only the PTS is there.
    pub(super) times: Option<(u64, u64)>,
}

/// What can be said about the start of a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Header(PesHeader),
    /// More bytes are needed.
    Short,
    /// No PES packet with a header of this form.
    Malformed,
}

/// Reads the header at the start of `bytes`. Extension fields are passed over by the header's length.
pub(super) fn read(bytes: &[u8]) -> Read {
    if !bytes.iter().zip([0, 0, 1]).all(|(&got, want)| got == want) {
        return Read::Malformed;
    }
    let &[_, _, _, stream_id, high, low, marker, flags, header_data, ref fields @ ..] = bytes else {
        return Read::Short;
    };
    // These stream ids have no such header (table 2-21): maps, padding, private stream 2, ECM, EMM, directory, DSM-CC.
    let is_plain = matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0 | 0xF1 | 0xF2 | 0xF8 | 0xFF);
    if is_plain || marker & 0xC0 != 0x80 {
        return Read::Malformed;
    }
    let Some(fields) = fields.get(..usize::from(header_data)) else {
        return Read::Short;
    };
    let pts = if flags & 0x80 != 0 { fields.first_chunk().and_then(timestamp) } else { None };
    let dts = if flags & 0xC0 == 0xC0 {
        fields.get(5..).and_then(<[u8]>::first_chunk).and_then(timestamp)
    } else {
        None
    };
    let len = FIXED + fields.len();
    let packet_len = match usize::from(u16::from_be_bytes([high, low])) {
        0 => None,
        rest if rest + 6 < len => return Read::Malformed,
        rest => Some(rest + 6),
    };
    Read::Header(PesHeader { len, packet_len, times: pts.map(|pts| (pts, dts.unwrap_or(pts))) })
}

/// 33 bits between marker bits; `None` if a marker is not set.
fn timestamp(&[a, b, c, d, e]: &[u8; 5]) -> Option<u64> {
    if a & c & e & 1 == 0 {
        return None;
    }
    let middle = u64::from(u16::from_be_bytes([b, c]) >> 1);
    let low = u64::from(u16::from_be_bytes([d, e]) >> 1);
    Some((u64::from(a >> 1 & 7) << 30) | (middle << 15) | low)
}

/// Unrolls 33-bit times: each is taken to be the one nearest to the time before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unroll {
    last: Option<i64>,
}

impl Unroll {
    /// Starts near `reference` instead of at the first value.
    pub(super) const fn near(reference: i64) -> Self {
        Self { last: Some(reference) }
    }

    /// `raw` (33 bits) on the unrolled axis; moves the reference.
    pub(super) fn advance(&mut self, raw: u64) -> i64 {
        let ticks = self.place(raw);
        self.last = Some(ticks);
        ticks
    }

    /// `raw` (33 bits) on the unrolled axis; the reference stays. Exactly half way counts as later.
    pub(super) fn place(&self, raw: u64) -> i64 {
        const WRAP: i64 = 1 << 33;
        let raw = i64::try_from(raw & 0x1_FFFF_FFFF).expect("33 bits fit in 64");
        let Some(last) = self.last else { return raw };
        let ahead = raw.wrapping_sub(last).rem_euclid(WRAP);
        // Saturation is out of reach: a step is at most 2^32 and every step takes a PES packet.
        last.saturating_add(if ahead > WRAP / 2 { ahead - WRAP } else { ahead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_times_are_read_and_extensions_skipped() {
        let bytes = [
            0, 0, 1, 0xE0, 0, 0, 0x80, 0xC1, 13, // length open; PTS, DTS and an extension
            0x31, 0x00, 0x07, 0xD8, 0x61, 0x11, 0x00, 0x07, 0xA9, 0x75, 0x0F, 0xFF, 0xFF, 0x65,
        ];
        let want = PesHeader { len: 22, packet_len: None, times: Some((126_000, 120_000 + 2_746)) };
        let Read::Header(got) = read(&bytes) else { panic!("not read") };
        assert_eq!((got.len, got.packet_len), (want.len, want.packet_len));
        assert_eq!(got.times.unwrap().0, 126_000);
    }

    #[test]
    fn short_and_foreign_starts_are_told_apart() {
        for (bytes, want) in [
            (&[][..], Read::Short),
            (&[0, 0, 1, 0xE0], Read::Short),
            (&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21], Read::Short),
            (&[0, 0, 2], Read::Malformed),
            (&[0, 0, 1, 0xBE, 0, 9, 0xFF, 0xFF, 0xFF], Read::Malformed),
            (&[0, 0, 1, 0xE0, 0, 1, 0x80, 0, 0], Read::Malformed),
        ] {
            assert_eq!(read(bytes), want, "{bytes:x?}");
        }
    }

    #[test]
    fn a_wrap_is_crossed_in_both_directions() {
        let top = (1u64 << 33) - 1;
        let mut unroll = Unroll::default();
        assert_eq!(unroll.advance(top), (1 << 33) - 1);
        assert_eq!(unroll.advance(0), 1 << 33);
        assert_eq!(unroll.place(top), (1 << 33) - 1);
        assert_eq!(Unroll::near(0).advance(top), -1);
    }

    proptest! {
        #[test]
        fn steps_below_half_the_range_are_followed(
            start in 0i64..1 << 33,
            steps in proptest::collection::vec(-(1i64 << 32) + 1..1i64 << 32, 1..50),
        ) {
            let mut unroll = Unroll::default();
            let mut now = start;
            prop_assert_eq!(unroll.advance(u64::try_from(now).unwrap()), now);
            for step in steps {
                now += step;
                prop_assert_eq!(unroll.advance(u64::try_from(now.rem_euclid(1 << 33)).unwrap()), now);
            }
        }
    }
}
