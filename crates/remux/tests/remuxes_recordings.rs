//! Real media recorded as HLS and remuxed: every sample is there once, with its bytes and its time.

// Helpers of tests fail by panicking.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use recorder_remux::{Input, PlanOptions};
use recorder_testkit::{ffmpeg, media};
use recorder_types::{MediaKind, RoomTime};
use support::{ReadFile, Recording, assert_same, options, read_mp4, record, remux, samples};

const SOURCES: [&str; 11] = [
    "mp4/chrome.mp4",
    "mp4/count-english-audio.mp4",
    "mp4/count-video.mp4",
    "mp4/cursed-vfr.mp4",
    "mp4/davidappend_v1.mp4",
    "mp4/one-by-one-person-detection.mp4",
    "mp4/sample.mp4",
    "mp4/sample_fragmented.mp4",
    "mp4/seq_h264_1.mp4",
    "mp4/video_90.mov",
    "mp4/long_1080p_lowbitrate.mp4",
];

fn sources() -> impl Iterator<Item = (&'static str, ReadFile)> {
    SOURCES.into_iter().filter_map(|name| Some((name, read_mp4(&media::read_media(name)?))))
}

fn short() -> recorder_hls::SegmenterOptions {
    options().with_target_duration(RoomTime::from_secs(2))
}

/// The earliest presentation of a recording, which is the zero of its file.
fn zero(recordings: &[&Recording]) -> i64 {
    let video = recordings.iter().filter_map(|r| r.video.iter().map(|sample| sample.pts).min());
    let audio = recordings.iter().filter_map(|r| Some(r.audio.first()?.pts));
    video.chain(audio).min().unwrap()
}

#[test]
fn every_sample_comes_back_from_one_playlist() {
    for (name, source) in sources() {
        // Once from the start, and once with the wrap of 33 bits on the way.
        for first_pts in [90_000, (1 << 33) - 3 * 90_000] {
            let recording = record(&source, short(), first_pts, None);
            assert!(!recording.segments.is_empty(), "{name}");
            let files = remux(&[(&recording, Input::both())], PlanOptions::default());
            assert_eq!(files.len(), 1, "{name}");
            let file = read_mp4(&files[0]);
            let zero = zero(&[&recording]);
            for kind in [MediaKind::Video, MediaKind::Audio] {
                assert_same(&samples(&file, kind), recording.of(kind), zero, 2, &format!("{name} {kind}"));
            }
        }
    }
}

#[test]
fn audio_and_video_of_two_playlists_keep_their_distance() {
    for (name, source) in sources() {
        let video = record(&source, short(), 90_000, Some(MediaKind::Video));
        let audio = record(&source, options(), 90_000, Some(MediaKind::Audio));
        if video.segments.is_empty() || audio.segments.is_empty() {
            continue;
        }
        let files = remux(&[(&audio, Input::audio()), (&video, Input::video())], PlanOptions::default());
        assert_eq!(files.len(), 1, "{name}");
        let file = read_mp4(&files[0]);
        let zero = zero(&[&video, &audio]);
        assert_same(&samples(&file, MediaKind::Video), &video.video, zero, 2, name);
        assert_same(&samples(&file, MediaKind::Audio), &audio.audio, zero, 2, name);
    }
}

#[test]
fn ffmpeg_decodes_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in sources() {
        if name.contains("long") {
            continue; // six minutes that take two to decode
        }
        let recording = record(&source, short(), 90_000, None);
        let files = remux(&[(&recording, Input::both())], PlanOptions::default());
        let (ts, mp4) = (folder.path().join("all.ts"), folder.path().join("file.mp4"));
        let all: Vec<u8> = recording.segments.iter().flat_map(|(_, data)| data.to_vec()).collect();
        std::fs::write(&ts, all).unwrap();
        std::fs::write(&mp4, &files[0]).unwrap();
        let Some(verdict) = ffmpeg::strict_decode(&mp4) else { return };
        // The null muxer is not content with variable frame rates, whatever the file.
        let varies = name.contains("vfr");
        assert!(varies || matches!(verdict, ffmpeg::Verdict::Clean), "{name}: {verdict:?}");
        if recording.video.is_empty() {
            continue;
        }
        let decode = |file: &Path| ffmpeg::decode_i420(file);
        let (Some(before), Some(after)) = (decode(&ts), decode(&mp4)) else { return };
        assert!(before == after, "{name}: decoded pictures differ");
        let packets = ffmpeg::count_packets(&mp4).unwrap();
        let video = recording.video.len() as u64;
        assert!(
            packets.iter().any(|(codec, count)| codec == "h264" && *count == video),
            "{name} {packets:?}"
        );
    }
}

#[test]
fn the_mp4_crate_agrees_on_sizes_and_sync_flags() {
    for (name, source) in sources() {
        let recording = record(&source, short(), 90_000, None);
        let file = remux(&[(&recording, Input::both())], PlanOptions::default()).remove(0);
        let len = file.len() as u64;
        let ours = read_mp4(&file);
        if ours.tracks.iter().any(|track| track.pixel_aspect.is_some()) {
            continue; // it looks for avcC only where nothing is before it
        }
        let mut theirs = mp4::Mp4Reader::read_header(std::io::Cursor::new(file), len).unwrap();
        for (index, track) in ours.tracks.iter().enumerate() {
            let id = track.id.get();
            let of_track = ours.samples.iter().filter(|sample| sample.at.track == index);
            for (number, sample) in (1..).zip(of_track) {
                let read = theirs.read_sample(id, number).unwrap().unwrap();
                assert!(read.bytes == sample.sample.data, "{name} {id} {number}");
                assert_eq!(read.is_sync, sample.at.sync, "{name} {id} {number}");
            }
        }
    }
}
