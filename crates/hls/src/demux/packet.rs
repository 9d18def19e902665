//! One transport stream packet: header and adaptation field.

/// Bytes of a transport stream packet.
pub(super) const PACKET_BYTES: usize = 188;

/// The byte every packet begins with.
pub(super) const SYNC_BYTE: u8 = 0x47;

/// Packets of this PID carry nothing (ISO/IEC 13818-1 table 2-3).
pub(super) const NULL_PID: u16 = 0x1FFF;

/// The fields of a packet that a demuxer acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// `payload_unit_start_indicator`.
    pub(super) starts_unit: bool,
    pub(super) continuity: u8,
    /// `None` where the packet has an adaptation field only, which does not move the continuity counter.
    pub(super) payload: Option<&'a [u8]>,
    pub(super) scrambled: bool,
    pub(super) adaptation: Adaptation,
}

/// The flags of the adaptation field; all unset where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adaptation {
    pub(super) discontinuity: bool,
    pub(super) random_access: bool,
    /// 33 bits of 90 kHz and the extension of 27 MHz, 0 to 299.
    pub(super) pcr: Option<(u64, u16)>,
}

/// Reads a packet whose first byte is known to be the sync byte. `None` if it says of itself that it is damaged
/// (`transport_error_indicator`), or if its fields contradict its length.
pub(super) fn parse(bytes: &[u8; PACKET_BYTES]) -> Option<Packet<'_>> {
    if bytes[1] & 0x80 != 0 {
        return None;
    }
    let control = bytes[3] >> 4 & 3;
    let (adaptation, payload_at) = match control {
        0 => return None, // reserved
        1 => (Adaptation::default(), 4),
        _ => {
            let len = usize::from(bytes[4]);
            // With a payload the length is at most 182; encoders in the field also pad with 183 and an empty payload.
            if len > 183 {
                return None;
            }
            (parse_adaptation(&bytes[5..5 + len]), 5 + len)
        }
    };
    Some(Packet {
        pid: u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]),
        starts_unit: bytes[1] & 0x40 != 0,
        continuity: bytes[3] & 0x0F,
        payload: (control & 1 == 1).then(|| &bytes[payload_at..]),
        scrambled: bytes[3] & 0xC0 != 0,
        adaptation,
    })
}

fn parse_adaptation(field: &[u8]) -> Adaptation {
    let Some((&flags, rest)) = field.split_first() else {
        return Adaptation::default(); // length 0 is the stuffing of a single byte
    };
    let pcr = match rest {
        &[a, b, c, d, e, f, ..] if flags & 0x10 != 0 => {
            let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            u16::try_from(bits & 0x1FF).ok().map(|extension| (bits >> 15, extension))
        }
        _ => None,
    };
    Adaptation { discontinuity: flags & 0x80 != 0, random_access: flags & 0x40 != 0, pcr }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> [u8; PACKET_BYTES] {
        let mut bytes = [0xFF; PACKET_BYTES];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    #[test]
    fn header_fields_are_read() {
        let bytes = packet(&[0x47, 0x41, 0x01, 0x1A]);
        let read = parse(&bytes).unwrap();
        assert_eq!((read.pid, read.starts_unit, read.continuity), (0x101, true, 10));
        assert_eq!(read.payload.unwrap().len(), 184);
    }

    #[test]
    fn pcr_has_base_and_extension() {
        let bytes = packet(&[0x47, 0x01, 0x00, 0x30, 7, 0x50, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x2B]);
        let read = parse(&bytes).unwrap();
        assert_eq!(read.adaptation.pcr, Some(((1 << 33) - 1, 0x12B)));
        assert!(read.adaptation.random_access && !read.adaptation.discontinuity);
        assert_eq!(read.payload.unwrap().len(), 176);
    }

    #[test]
    fn contradictions_are_refused() {
        for head in
            [&[0x47, 0x80, 0, 0x10][..], &[0x47, 0, 0, 0], &[0x47, 0, 0, 0x30, 184], &[0x47, 0, 0, 0x20, 184]]
        {
            assert_eq!(parse(&packet(head)), None, "{head:x?}");
        }
        assert_eq!(parse(&packet(&[0x47, 0, 0, 0x20, 183])).unwrap().payload, None);
        assert_eq!(parse(&packet(&[0x47, 0, 0, 0x30, 183])).unwrap().payload, Some(&[][..]));
    }
}
