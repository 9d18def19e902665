//! Recordings of other systems: indexes are made from their segments, and all their samples come through.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::demux::{Demuxer, Event, UnitKind};
use recorder_hls::read_playlist::MediaPlaylist;
use recorder_remux::{Alignment, Input, PlanOptions, playlist_segments};
use recorder_testkit::{ffmpeg, media};
use recorder_types::{MediaKind, NalFraming};
use support::{Kept, Recording, assert_same, plan_all, read_mp4, sample_of, samples, write};

/// The recording that a playlist of the corpus names, and the segments that do not exist.
fn read(folder: &str, playlist: &str) -> Option<(Recording, Vec<(usize, u32)>)> {
    let text = String::from_utf8(media::read_media(&format!("{folder}/{playlist}"))?).unwrap();
    let playlist: MediaPlaylist = text.parse().unwrap();
    let (mut recording, mut lost) = (Recording::default(), Vec::new());
    let mut reference = None;
    for (number, segment) in (0..).zip(playlist_segments(&playlist)) {
        let name = segment.uri.rsplit('/').next().unwrap();
        let data = if segment.gap { None } else { media::read_media(&format!("{folder}/{name}")) };
        let Some(data) = data.map(Bytes::from) else {
            println!("{folder}: no {name}");
            lost.push((0, number));
            let nothing = SegmentIndex::from_ts(&[], segment.start, false, None).unwrap();
            recording.segments.push((nothing, Bytes::new()));
            continue;
        };
        let index = SegmentIndex::from_ts(&data, segment.start, segment.discontinuity, reference).unwrap();
        let last = index.video().and_then(|video| video.pictures().last()).map(|picture| picture.dts);
        reference = last.or(index.audio().and_then(|audio| audio.frames().last()).map(|frame| frame.pts));
        recording.segments.push((index, data));
    }
    Some((recording, lost))
}

/// What the demuxer finds in all segments, on one clock.
fn demux(recording: &Recording, kind: MediaKind) -> Vec<Kept> {
    let mut demuxer = Demuxer::default();
    let mut kept = Vec::new();
    for (_, data) in recording.segments.iter().filter(|(_, data)| !data.is_empty()) {
        demuxer.push(data);
        demuxer.next_segment();
        while let Some(event) = demuxer.poll() {
            let Event::Unit(unit) = event else { continue };
            let time = unit.time.unwrap();
            let (unit_kind, (sync, data)) = match unit.kind {
                UnitKind::H264 { .. } => (MediaKind::Video, sample_of(&unit.data, NalFraming::AnnexB)),
                UnitKind::Aac { header_len, .. } => (MediaKind::Audio, (true, unit.data.slice(header_len..))),
                other => panic!("{other:?}"),
            };
            if unit_kind == kind {
                kept.push(Kept { pts: time.pts.ticks(), dts: time.dts.ticks(), sync, data });
            }
        }
    }
    kept
}

#[test]
fn every_sample_of_other_recordings_comes_through() {
    let folder = tempfile::tempdir().unwrap();
    for (name, playlist) in [
        ("hls/ts-rollover", "playlist.m3u8"),
        ("hls/gap", "playlist.m3u8"),
        ("hls/speaker-aac", "media.m3u8"),
    ] {
        let Some((recording, lost)) = read(name, playlist) else { return };
        let options = PlanOptions::default().with_alignment(Alignment::WallClock);
        let inputs = [(&recording, Input::both())];
        let mut plans = plan_all(&inputs, options, &lost).unwrap();
        assert_eq!(plans.len(), 1, "{name}");
        let bytes = write(plans.remove(0), &inputs, &lost);
        let file = read_mp4(&bytes);
        let (video, audio) = (demux(&recording, MediaKind::Video), demux(&recording, MediaKind::Audio));
        let firsts = video.iter().map(|v| v.pts).min().into_iter().chain(audio.first().map(|a| a.pts));
        let zero = firsts.min().unwrap();
        assert!(video.len() + audio.len() > 0, "{name}");
        assert_same(&samples(&file, MediaKind::Video), &video, zero, 4, name);
        assert_same(&samples(&file, MediaKind::Audio), &audio, zero, 4, name);
        let path = folder.path().join("file.mp4");
        std::fs::write(&path, &bytes).unwrap();
        let Some(packets) = ffmpeg::count_packets(&path) else { continue };
        let all: u64 = packets.iter().map(|(_, count)| count).sum();
        assert_eq!(all, (video.len() + audio.len()) as u64, "{name}");
    }
}
