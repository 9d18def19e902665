use std::path::Path;

use recorder_types::aac::AdtsFrame;

use crate::adts::id3_len;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// MP4, MOV or fragmented MP4.
    Mp4,
    /// H.264 byte stream.
    ByteStream,
    Adts,
    Ogg,
    /// Known, and not read here.
    Unsupported(&'static str),
}

/// Bytes from the beginning of a file that [`detect`] looks at.
pub(crate) const HEAD_BYTES: usize = 16 << 10;

/// Bytes of a packet of a transport stream.
const TS_PACKET: usize = 188;

/// Tells a format by its first bytes; where they tell nothing, by the ending of the name.
pub(crate) fn detect(head: &[u8], path: &Path) -> Option<Format> {
    by_content(head).or_else(|| by_ending(path))
}

fn by_content(head: &[u8]) -> Option<Format> {
    let box_kind = head.get(4..8);
    let zeros = head.iter().take_while(|&&byte| byte == 0).count();
    if head.starts_with(b"OggS") {
        Some(Format::Ogg)
    } else if box_kind.is_some_and(is_top_level_box) {
        Some(Format::Mp4)
    } else if head.first() == Some(&0x47) && (1..4).all(|n| head.get(n * TS_PACKET) == Some(&0x47)) {
        Some(Format::Unsupported("MPEG transport stream"))
    } else if head.starts_with(b"\x0A\x0D\x0D\x0A") || head.starts_with(b"\xD4\xC3\xB2\xA1") {
        Some(Format::Unsupported("packet capture"))
    } else if head.starts_with(b"\x1A\x45\xDF\xA3") {
        Some(Format::Unsupported("Matroska or WebM"))
    } else if head.starts_with(b"RIFF") {
        Some(Format::Unsupported("RIFF"))
    } else if head.starts_with(b"fLaC") {
        Some(Format::Unsupported("FLAC"))
    } else if head.starts_with(b"#EXTM3U") {
        Some(Format::Unsupported("HLS playlist"))
    } else if zeros >= 2 && head.get(zeros) == Some(&1) && head.get(zeros + 1).is_some_and(is_nal_header) {
        Some(Format::ByteStream)
    } else {
        let audio = id3_len(head).map_or(head, |len| head.get(len..).unwrap_or_default());
        let is_adts = match AdtsFrame::parse(audio) {
            Ok(frame) => audio.get(frame.frame_len..).is_none_or(|rest| {
                rest.len() < recorder_types::aac::ADTS_HEADER_BYTES || AdtsFrame::parse(rest).is_ok()
            }),
            // A tag so long that the audio is not in sight: the reader will tell.
            Err(_) => audio.is_empty() && !head.is_empty(),
        };
        is_adts.then_some(Format::Adts)
    }
}

fn is_top_level_box(kind: &[u8]) -> bool {
    [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide", b"pnot", b"uuid"]
        .iter()
        .any(|known| known.as_slice() == kind)
}

/// A unit type that H.264 gives a meaning to, without the forbidden bit. MPEG-1, -2 and -4 streams begin with start
/// codes too; theirs are from `B0` on.
fn is_nal_header(byte: &u8) -> bool {
    byte & 0x80 == 0 && (1..=21).contains(&(byte & 0x1F))
}

fn by_ending(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "h264" | "264" | "jsv" | "avc" | "26l" | "jvt" => Some(Format::ByteStream),
        "aac" | "adts" => Some(Format::Adts),
        "opus" | "ogg" | "oga" => Some(Format::Ogg),
        "mp4" | "m4a" | "m4v" | "mov" | "m4s" | "cmfv" | "cmfa" => Some(Format::Mp4),
        "ts" | "m2ts" => Some(Format::Unsupported("MPEG transport stream")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_first_and_the_ending_second() {
        let mut ts = vec![0; 4 * TS_PACKET];
        ts.iter_mut().step_by(TS_PACKET).for_each(|byte| *byte = 0x47);
        let ts_format = Some(Format::Unsupported("MPEG transport stream"));
        for (head, name, want) in [
            (&b"OggS\0"[..], "a.mp4", Some(Format::Ogg)),
            (b"\0\0\0\x18ftypisom", "a.264", Some(Format::Mp4)),
            (b"\0\0\0\x01\x67\x42", "a.mp4", Some(Format::ByteStream)),
            (b"\0\0\x01\x09\xF0", "a", Some(Format::ByteStream)),
            (b"\0\0\x01\xB3", "a", None),
            (&[0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x1F, 0xFC, 0], "a.txt", Some(Format::Adts)),
            (&ts, "a.h264", ts_format),
            (b"??????????", "A.H264", Some(Format::ByteStream)),
            (b"??????????", "a.aac", Some(Format::Adts)),
            (b"??????????", "a.opus", Some(Format::Ogg)),
            (b"??????????", "a.txt", None),
            (b"", "a", None),
        ] {
            assert_eq!(detect(head, Path::new(name)), want, "{head:02x?} {name}");
        }
    }
}
