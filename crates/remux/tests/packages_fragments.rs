//! TS segments made fragmented MP4 segments: the same cuts, samples, times and pictures.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_remux::{FragmentSegment, PackageError, Packager};
use recorder_testkit::{ffmpeg, media};
use recorder_types::{MediaKind, NalFraming, RoomTime};
use support::{Kept, Recording, assert_same, options, read_mp4, record, samples};

const SOURCES: [&str; 8] = [
    "mp4/chrome.mp4",
    "mp4/count-english-audio.mp4",
    "mp4/count-video.mp4",
    "mp4/cursed-vfr.mp4",
    "mp4/davidappend_v2.mp4",
    "mp4/sample.mp4",
    "mp4/sample_fragmented.mp4",
    "mp4/seq_h264_1.mp4",
];

/// A name, a recording in segments of 2 s, and what becomes of each segment.
fn packaged() -> impl Iterator<Item = (&'static str, Recording, Vec<FragmentSegment>)> {
    SOURCES.into_iter().filter_map(|name| {
        let source = read_mp4(&media::read_media(name)?);
        // With the wrap of 33 bits on the way: times go on over it.
        let recording =
            record(&source, options().with_target_duration(RoomTime::from_secs(2)), (1 << 33) - 90_000, None);
        let made = package(&recording.segments);
        Some((name, recording, made))
    })
}

fn package(segments: &[(SegmentIndex, Bytes)]) -> Vec<FragmentSegment> {
    let mut packager = Packager::new();
    segments.iter().map(|(index, ts)| packager.segment(index, ts.clone()).unwrap()).collect()
}

/// Each initialization section with the segments that need it, as a file.
fn files(made: &[FragmentSegment]) -> Vec<Vec<u8>> {
    let mut files = Vec::<Vec<u8>>::new();
    for segment in made {
        if let Some(init) = &segment.init {
            files.push(init.to_vec());
        }
        files.last_mut().unwrap().extend(segment.data.concat());
    }
    files
}

#[test]
fn every_sample_keeps_its_bytes_and_its_time() {
    for (name, recording, made) in packaged() {
        assert_eq!(made.len(), recording.segments.len(), "{name}");
        assert!(made[0].init.is_some() && made[1..].iter().all(|segment| segment.init.is_none()), "{name}");
        let file = read_mp4(&files(&made).remove(0));
        for kind in [MediaKind::Video, MediaKind::Audio] {
            assert_same(&samples(&file, kind), recording.of(kind), 0, 2, &format!("{name} {kind}"));
        }
    }
}

#[test]
fn each_segment_alone_has_the_samples_of_its_ts_segment() {
    for (name, recording, made) in packaged() {
        let init = made[0].init.clone().unwrap();
        for (number, (segment, (index, _))) in made.iter().zip(&recording.segments).enumerate() {
            assert_eq!(segment.len(), segment.data.concat().len() as u64);
            let file = read_mp4(&[&init[..], &segment.data.concat()].concat());
            let pictures = index.video().map_or(0, |video| video.count() as usize);
            let frames = index.audio().map_or(0, |audio| audio.count() as usize);
            assert_eq!(samples(&file, MediaKind::Video).len(), pictures, "{name} {number}");
            assert_eq!(samples(&file, MediaKind::Audio).len(), frames, "{name} {number}");
        }
    }
}

#[test]
fn a_section_begins_to_be_decoded_when_it_is_presented() {
    let mut reordered = 0;
    for (name, recording, made) in packaged() {
        let Some(first) = recording.video.first() else { continue };
        let bytes = made[0].data.concat();
        let at = bytes.windows(4).position(|kind| kind == b"tfdt").unwrap();
        assert_eq!(bytes[at + 4], 1, "{name}: 64 bits");
        let time = i64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap());
        assert_eq!(time, first.pts, "{name}");
        reordered += u32::from(first.pts != first.dts);
    }
    assert!(media::media_dir().is_none() || reordered > 1);
}

#[test]
fn ffmpeg_decodes_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (name, recording, made) in packaged() {
        let (ts, mp4) = (folder.path().join("all.ts"), folder.path().join("all.mp4"));
        let all: Vec<u8> = recording.segments.iter().flat_map(|(_, data)| data.to_vec()).collect();
        std::fs::write(&ts, all).unwrap();
        std::fs::write(&mp4, &files(&made)[0]).unwrap();
        let Some(verdict) = ffmpeg::strict_decode(&mp4) else { return };
        // The null muxer is not content with variable frame rates, whatever the file.
        let varies = name.contains("vfr");
        assert!(varies || matches!(verdict, ffmpeg::Verdict::Clean), "{name}: {verdict:?}");
        if !recording.video.is_empty() {
            let (before, after) = (ffmpeg::decode_i420(&ts), ffmpeg::decode_i420(&mp4));
            assert!(before.is_some() && before == after, "{name}: decoded pictures differ");
        }
    }
}

/// A call of a browser whose pictures change their size on the way, as bytes of the corpus have it.
fn changing() -> Option<Recording> {
    use recorder_types::h264::Units;
    let stream = media::read_media("rtp/str0m_h264.h264")?;
    let mut recorder = support::Recorder::new(options(), 90_000);
    let config = recorder_types::H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    recorder.streams(Some(config), None);
    let (mut unit, mut number) = (Vec::new(), 0);
    for nal in Units::new(&stream, NalFraming::AnnexB).map(Result::unwrap) {
        unit.extend([&[0, 0, 0, 1], nal].concat());
        if matches!(nal[0] & 0x1F, 1 | 5) {
            let at = RoomTime::from_millis(100 * number);
            recorder.push(MediaKind::Video, at, at, &std::mem::take(&mut unit).into());
            number += 1;
        }
    }
    Some(recorder.finish())
}

#[test]
fn another_size_comes_with_another_section_behind_a_discontinuity() {
    let Some(recording) = changing() else { return };
    let made = package(&recording.segments);
    let sections = made.iter().filter(|segment| segment.init.is_some()).count();
    let discontinuities = recording.segments.iter().filter(|(index, _)| index.discontinuity()).count();
    assert!(discontinuities > 0 && sections > discontinuities, "{sections} {discontinuities}");
    for (segment, (index, _)) in made.iter().zip(&recording.segments) {
        assert!(segment.init.is_some() || !index.discontinuity());
    }
    let mut read = Vec::<Kept>::new();
    let mut sizes = Vec::new();
    for file in files(&made) {
        let file = read_mp4(&file);
        sizes.push(file.tracks[0].size.unwrap());
        read.extend(samples(&file, MediaKind::Video));
    }
    sizes.dedup();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert_same(&read, &recording.video, 0, 0, "str0m");
}

#[test]
fn the_index_of_another_segment_is_told() {
    let Some((_, recording, made)) = packaged().find(|(_, recording, _)| recording.segments.len() > 2) else {
        return;
    };
    let mut packager = Packager::new();
    let (index, _) = &recording.segments[0];
    let (_, other) = &recording.segments[2];
    let error = packager.segment(index, other.clone()).unwrap_err();
    assert!(matches!(error, PackageError::Changed | PackageError::Write(_)), "{error:?}");
    let (index, ts) = &recording.segments[1];
    let again = packager.segment(index, ts.clone()).unwrap();
    assert_eq!(again.init, made[0].init, "it goes on with the section");
    assert!(packager.segment(index, ts.slice(..ts.len() / 2)).is_err());
}
