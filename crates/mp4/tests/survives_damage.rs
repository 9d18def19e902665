//! Damaged files: an error or fewer samples, never a panic, a loop or more work than the file justifies.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::type_complexity
)]

mod support;

use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;
use recorder_mp4::{Event, FileReader, Need, ReadError, Reader, ReaderOptions};
use support::{Random, mp4_files};

/// Walks `file` to its end or error and checks what is promised of any bytes. Gives the samples.
fn walk(file: &Bytes) -> u64 {
    let len = file.len() as u64;
    let mut reader = Reader::new(len, ReaderOptions::default());
    let mut asked = Vec::new();
    let (mut samples, mut bytes) = (0, 0);
    loop {
        match reader.poll() {
            Ok(Event::Need(Need { at, len: want })) => {
                assert!(want > 0 && at + want as u64 <= len, "{at}+{want} of {len}");
                assert_eq!(reader.poll(), Ok(Event::Need(Need { at, len: want })), "asked otherwise again");
                asked.push(at);
                assert!(asked.len() as u64 <= len / 4 + 2, "{} requests for {len} bytes", asked.len());
                let from = usize::try_from(at).unwrap();
                if reader.supply(file.slice(from..from + want)).is_err() {
                    assert!(reader.poll().is_err());
                    break;
                }
            }
            Ok(Event::Sample(sample)) => {
                assert!(sample.offset + u64::from(sample.len) <= len);
                assert!(sample.entry < reader.tracks()[sample.track].entries.len());
                samples += 1;
                bytes += u64::from(sample.len);
            }
            Ok(Event::End) | Err(_) => break,
            Ok(_) => {}
        }
    }
    assert!(asked.is_sorted_by(|a, b| a < b), "goes back in the file");
    let tracks = reader.tracks().len() as u64;
    assert!(samples <= len * tracks && bytes <= len * tracks, "{samples} samples, {bytes} bytes of {len}");
    samples
}

/// Boxes from the front of a file whose contents matter, and where each begins.
fn box_offsets(file: &[u8]) -> Vec<usize> {
    let kinds: [&[u8]; 24] = [
        b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdhd", b"stbl", b"stsd", b"avc1",
        b"avcC", b"mp4a", b"esds", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"moof", b"traf",
        b"tfhd", b"trun",
    ];
    (4..file.len() - 4).filter(|&at| kinds.contains(&&file[at..at + 4])).map(|at| at - 4).collect()
}

#[test]
fn bytes_changed_at_random_are_survived() {
    for path in mp4_files(&["mp4", "malformed"]) {
        let good = std::fs::read(&path).unwrap();
        let boxes = box_offsets(&good);
        let seed = 0x9E37_79B9_7F4A_7C15 ^ good.len() as u64;
        println!("{} seed {seed:#x}", path.display());
        let mut random = Random(seed);
        for _ in 0..60 {
            let mut bad = good.clone();
            for _ in 0..1 + random.below(6) {
                // Near a box, where it hurts; 0, 1, 2..7, all ones, or anything.
                let start = boxes[random.below(boxes.len())];
                let at = (start + random.below(64)).min(bad.len() - 4);
                let value = match random.below(6) {
                    0 => 0,
                    1 => 1,
                    2 => 2 + u32::try_from(random.below(6)).unwrap(),
                    3 => u32::MAX,
                    4 => 0x7FFF_FFFF,
                    _ => u32::try_from(random.next() >> 32).unwrap(),
                };
                let at = if random.below(2) == 0 { start } else { at };
                bad[at..at + 4].copy_from_slice(&value.to_be_bytes());
            }
            walk(&bad.into());
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_is_before_the_cut() {
    for path in mp4_files(&["mp4"]) {
        let good = Bytes::from(std::fs::read(&path).unwrap());
        let whole = walk(&good);
        let mut random = Random(0xC0FF_EE00 ^ good.len() as u64);
        for _ in 0..40 {
            let at = random.below(good.len());
            assert!(walk(&good.slice(..at)) <= whole, "{} cut at {at}", path.display());
        }
    }
}

#[test]
fn a_fragmented_file_that_was_cut_off_says_where() {
    for path in mp4_files(&["mp4"]) {
        if !path.ends_with("sample_fragmented.mp4") {
            continue;
        }
        let good = std::fs::read(&path).unwrap();
        let moof = good.windows(4).rposition(|w| w == b"moof").unwrap() - 4;
        let mut reader = FileReader::open(Cursor::new(&good[..moof + 20])).unwrap();
        while reader.next_sample().unwrap().is_some() {}
        assert_eq!(reader.cut_at(), Some(moof as u64));
    }
}

#[test]
fn a_sample_outside_of_the_file_ends_its_track_and_no_other() {
    for path in mp4_files(&["mp4"]) {
        if !path.ends_with("chrome.mp4") {
            continue;
        }
        let good = std::fs::read(&path).unwrap();
        let mut whole = FileReader::open(Cursor::new(&good)).unwrap();
        let mut all = Vec::new();
        while let Some(sample) = whole.next_sample().unwrap() {
            all.push(sample);
        }
        // moov is in front: cut the media in the middle.
        let cut = good.len() / 2;
        let mut reader = FileReader::open(Cursor::new(&good[..cut])).unwrap();
        let mut got = Vec::new();
        while let Some(sample) = reader.next_sample().unwrap() {
            got.push(sample);
        }
        for track in 0..2 {
            let inside = |sample: &&recorder_mp4::TrackSample| {
                sample.at.track == track && sample.at.offset + u64::from(sample.at.len) <= cut as u64
            };
            let want = all.iter().filter(inside).count();
            assert_eq!(got.iter().filter(inside).count(), want, "track {track}");
        }
        assert_eq!(reader.failed().len(), 2);
    }
}

#[test]
fn limits_are_kept_and_told() {
    let moov = |size: u32| {
        let mut file = size.to_be_bytes().to_vec();
        file.extend_from_slice(b"moov");
        file.resize(4096, 0);
        file
    };
    let mut options = ReaderOptions::default();
    options.max_moov = 1024;
    let mut reader = Reader::new(4096, options);
    reader.poll().unwrap();
    let error = reader.supply(Bytes::from(moov(2048)).slice(..16)).unwrap_err();
    assert!(matches!(error, ReadError::OverLimit { size: 2048, limit: 1024, .. }), "{error}");
    let mut reader = Reader::new(4096, ReaderOptions::default());
    reader.poll().unwrap();
    let error = reader.supply(Bytes::from(moov(u32::MAX)).slice(..16)).unwrap_err();
    assert!(matches!(error, ReadError::Truncated { at: 0, file_len: 4096, .. }), "{error}");
    let mut reader = Reader::new(4096, ReaderOptions::default());
    assert_eq!(reader.poll(), Ok(Event::Need(Need { at: 0, len: 16 })));
    let error = reader.supply(Bytes::from_static(b"abc")).unwrap_err();
    assert_eq!(error, ReadError::WrongSupply { wanted: Some(Need { at: 0, len: 16 }), got: 3 });
    assert_eq!(reader.poll(), Ok(Event::Need(Need { at: 0, len: 16 })), "nothing changed");
}

proptest! {
    #[test]
    fn any_bytes_are_walked(file in proptest::collection::vec(any::<u8>(), 0..400)) {
        walk(&file.into());
    }

    #[test]
    fn boxes_of_any_nesting_are_walked(
        parts in proptest::collection::vec(
            (
                prop_oneof![
                    Just(*b"moov"), Just(*b"trak"), Just(*b"mdia"), Just(*b"minf"), Just(*b"stbl"), Just(*b"stsd"),
                    Just(*b"avc1"), Just(*b"esds"), Just(*b"moof"), Just(*b"traf"), Just(*b"trun"), Just(*b"mdat"),
                ],
                prop_oneof![0u32..9, 8u32..300, any::<u32>()],
                proptest::collection::vec(any::<u8>(), 0..20),
            ),
            0..20,
        ),
    ) {
        let mut file = Vec::new();
        for (kind, size, body) in parts {
            file.extend_from_slice(&size.to_be_bytes());
            file.extend_from_slice(&kind);
            file.extend_from_slice(&body);
        }
        walk(&file.into());
    }
}
