//! Program specific information: sections out of packets, PAT and PMT.
//!
//! # Specification
//! ISO/IEC 13818-1:2019 §2.4.4.

use super::{ElementaryStream, Pid, StreamKind};

/// A PAT or PMT section is at most this long: 3 bytes of header and a `section_length` up to 1021.
const MAX_SECTION: usize = 1024;

const PAT_TABLE: u8 = 0x00;
const PMT_TABLE: u8 = 0x02;

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(super) struct SectionReader {
    buffer: Vec<u8>,
    /// Whether `buffer` begins at the start of a section.
    open: bool,
}

impl SectionReader {
    /// Forgets a section that has not ended.
    pub(super) fn reset(&mut self) {
        self.buffer.clear();
        self.open = false;
    }

    /// Takes the payload of one packet; `each` gets the whole sections in it. `false` if it is malformed.
    pub(super) fn push(&mut self, payload: &[u8], starts_unit: bool, mut each: impl FnMut(&[u8])) -> bool {
        if !starts_unit {
            if !self.open {
                return true;
            }
            self.buffer.extend_from_slice(payload);
            return self.drain(&mut each);
        }
        let Some((&pointer, rest)) = payload.split_first() else {
            return false;
        };
        let Some((tail, fresh)) = rest.split_at_checked(usize::from(pointer)) else {
            self.reset();
            return false;
        };
        let mut sound = true;
        if self.open && !tail.is_empty() {
            self.buffer.extend_from_slice(tail);
            sound = self.drain(&mut each);
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(fresh);
        self.open = true;
        self.drain(&mut each) && sound
    }

    fn drain(&mut self, each: &mut impl FnMut(&[u8])) -> bool {
        let mut at = 0;
        let mut sound = true;
        loop {
            let rest = &self.buffer[at..];
            let &[table, high, low, ..] = rest else { break };
            if table == 0xFF {
                self.reset(); // stuffing up to the end of the packet
                return sound;
            }
            let len = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
            if len > MAX_SECTION {
                self.reset();
                return false;
            }
            let Some(section) = rest.get(..len) else { break };
            if crc32(section) == 0 {
                each(section);
            } else {
                sound = false;
            }
            at += len;
        }
        self.buffer.drain(..at);
        sound
    }
}

/// An entry of the PAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// `program_number`, not 0.
    pub(super) number: u16,
    /// The PID of its program map.
    pub(super) map: u16,
}

/// The first program in a PAT section; `None` if the section is no current PAT or names no program.
pub(super) fn first_program(section: &[u8]) -> Option<Program> {
    let body = table_body(section, PAT_TABLE)?;
    body.as_chunks::<4>().0.iter().find_map(|&[number_high, number_low, pid_high, pid_low]| {
        let number = u16::from_be_bytes([number_high, number_low]);
        // Number 0 is the network PID.
        (number != 0).then(|| Program { number, map: u16::from_be_bytes([pid_high & 0x1F, pid_low]) })
    })
}

/// A PMT section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramMap {
    pub(super) pcr_pid: u16,
    pub(super) streams: Vec<ElementaryStream>,
}

/// Whether this is the current PMT of `program`.
pub(super) fn is_map_of(section: &[u8], program: u16) -> bool {
    table_body(section, PMT_TABLE).is_some() && section.get(3..5) == Some(&program.to_be_bytes())
}

/// The streams of a PMT section in its order; `None` if it is no current PMT or contradicts itself.
pub(super) fn program_map(section: &[u8]) -> Option<ProgramMap> {
    let body = table_body(section, PMT_TABLE)?;
    let &[pcr_high, pcr_low, info_high, info_low, ref rest @ ..] = body else {
        return None;
    };
    let pcr_pid = u16::from_be_bytes([pcr_high & 0x1F, pcr_low]);
    let mut rest = rest.get(usize::from(u16::from_be_bytes([info_high & 0x0F, info_low]))..)?;
    let mut streams = Vec::new();
    while let &[stream_type, pid_high, pid_low, info_high, info_low, ref tail @ ..] = rest {
        let info = usize::from(u16::from_be_bytes([info_high & 0x0F, info_low]));
        let (descriptors, tail) = tail.split_at_checked(info)?;
        let kind = match stream_type {
            0x1B => StreamKind::H264,
            0x0F => StreamKind::AacAdts,
            _ => StreamKind::Other { stream_type, registration: registration(descriptors) },
        };
        streams.push(ElementaryStream { pid: Pid(u16::from_be_bytes([pid_high & 0x1F, pid_low])), kind });
        rest = tail;
    }
    rest.is_empty().then_some(ProgramMap { pcr_pid, streams })
}

/// What follows `last_section_number`, without the CRC, of a current section of `table`.
fn table_body(section: &[u8], table: u8) -> Option<&[u8]> {
    let is_current = section.get(5)? & 1 == 1;
    if section.first() != Some(&table) || !is_current {
        return None;
    }
    section.get(8..section.len().checked_sub(4)?)
}

/// `format_identifier` of the registration descriptor (tag 5), where there is one.
fn registration(mut descriptors: &[u8]) -> Option<[u8; 4]> {
    while let &[tag, len, ref rest @ ..] = descriptors {
        let (body, rest) = rest.split_at_checked(usize::from(len))?;
        if tag == 5 {
            return body.first_chunk().copied();
        }
        descriptors = rest;
    }
    None
}

/// CRC-32/MPEG-2; zero over a section with its CRC (ISO/IEC 13818-1 annex A).
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| (crc << 8) ^ CRC_TABLE[usize::from(crc.to_be_bytes()[0] ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut top = 0u32;
    while index < 256 {
        let mut crc = top;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        top = top.wrapping_add(1 << 24);
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn with_crc(mut section: Vec<u8>) -> Vec<u8> {
        let crc = crc32(&section);
        section.extend_from_slice(&crc.to_be_bytes());
        section
    }

    /// A network PID first, then program 1 with its map on PID 0x1000.
    fn pat() -> Vec<u8> {
        with_crc(vec![0, 0xB0, 0x11, 0, 1, 0xC1, 0, 0, 0, 0, 0xE0, 0x10, 0, 1, 0xF0, 0x00])
    }

    #[test]
    fn crc_matches_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
    }

    #[test]
    fn the_network_pid_is_not_a_program() {
        assert_eq!(first_program(&pat()), Some(Program { number: 1, map: 0x1000 }));
    }

    #[test]
    fn sections_may_span_packets_and_share_them() {
        let (mut reader, mut seen) = (SectionReader::default(), Vec::new());
        let section = pat();
        let mut first = vec![0];
        first.extend_from_slice(&section);
        first.extend_from_slice(&section[..5]);
        assert!(reader.push(&first, true, |s| seen.push(s.to_vec())));
        let mut second = vec![u8::try_from(section.len() - 5).unwrap()];
        second.extend_from_slice(&section[5..]);
        second.extend_from_slice(&section);
        second.extend_from_slice(&[0xFF; 20]);
        assert!(reader.push(&second, true, |s| seen.push(s.to_vec())));
        assert_eq!(seen, [section.clone(), section.clone(), section]);
    }

    #[test]
    fn a_flipped_bit_fails_the_crc() {
        let mut payload = vec![0];
        payload.extend_from_slice(&pat());
        payload[12] ^= 4;
        assert!(!SectionReader::default().push(&payload, true, |_| panic!("damaged section handed out")));
    }

    #[test]
    fn stream_kinds_and_registrations_are_told() {
        let section = with_crc(vec![
            2, 0xB0, 0x26, 0, 1, 0xC1, 0, 0, 0xE1, 0x00, 0xF0, 0x00, // PCR PID, no program descriptors
            0x1B, 0xE1, 0x00, 0xF0, 0x00, //
            0x0F, 0xE1, 0x01, 0xF0, 0x00, //
            0x06, 0xE1, 0x02, 0xF0, 0x0A, 0x05, 4, b'O', b'p', b'u', b's', 0x7F, 2, 0x80, 1,
        ]);
        assert!(is_map_of(&section, 1) && !is_map_of(&section, 2));
        let read = program_map(&section).unwrap();
        assert_eq!(read.pcr_pid, 0x100);
        let kinds: Vec<_> = read.streams.iter().map(|stream| (stream.pid.get(), stream.kind)).collect();
        let opus = StreamKind::Other { stream_type: 6, registration: Some(*b"Opus") };
        assert_eq!(kinds, [(0x100, StreamKind::H264), (0x101, StreamKind::AacAdts), (0x102, opus)]);
        assert_eq!(opus.name(), "Opus");
    }
}
