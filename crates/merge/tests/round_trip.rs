//! Real cameras and a real voice, recorded and merged: what comes out is what went in.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use recorder_merge::{MergeOptions, Method};
use recorder_room_input::{MediaSource, OpenOptions};
use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::media::{media_dir, media_file};
use recorder_types::RoomTime;
use support::{Movie, Recording, merge};

/// A file of media as one track of a user's.
fn record(folder: &Path, user: &str, track: &str, file: &Path) -> Vec<Bytes> {
    let mut source = MediaSource::open(file, &OpenOptions::default()).unwrap();
    let config = source.tracks()[0].config.clone();
    let samples: Vec<_> = source.by_ref().map(|sample| sample.unwrap().1).collect();
    let mut recording = Recording::new(folder, "", user, track, config);
    let written = recording.push(&samples, RoomTime::ZERO);
    recording.finish();
    written.into_iter().map(|sample| sample.data).collect()
}

#[test]
fn cameras_and_a_voice_come_out_as_they_went_in() {
    let Some(folder) = media_dir() else { return };
    let mut clips: Vec<PathBuf> =
        std::fs::read_dir(folder.join("camera-set")).unwrap().map(|clip| clip.unwrap().path()).collect();
    clips.retain(|clip| clip.extension().is_some_and(|ending| ending == "h264"));
    clips.sort();
    assert_eq!(clips.len(), 12);
    let (Some(video), Some(audio)) =
        (media_file("mp4/count-video.mp4"), media_file("mp4/count-english-audio.mp4"))
    else {
        return;
    };
    clips.push(video);
    let recorded = tempfile::tempdir().unwrap();
    let mut voice = Vec::new();
    for (number, clip) in clips.iter().enumerate() {
        let user = format!("dXNlc{}..", char::from(b'A' + u8::try_from(number).unwrap()));
        record(recorded.path(), &user, "main_video", clip);
        if number == 12 {
            voice = record(recorded.path(), &user, "main_audio", &audio);
        }
    }
    let (plan, reports) = merge(recorded.path(), &MergeOptions::default());
    assert!(plan.skipped.is_empty() && reports.len() == clips.len());
    let mut compared = 0;
    for (report, clip) in reports.iter().zip(&clips) {
        let merged = report.result.as_ref().unwrap();
        assert!(report.skipped.is_empty(), "{clip:?}: {:?}", report.skipped);
        assert_eq!(merged.video, Some(Method::Copy), "{clip:?}");
        assert_eq!(merged.audio, (!voice.is_empty() && clip == &clips[12]).then_some(Method::Copy));
        let movie = Movie::open(recorded.path(), &report.output);
        assert!(movie.is_faststart(), "{clip:?}");
        let Some(verdict) = ffmpeg::strict_decode(&movie.path) else { return };
        assert_eq!(verdict, Verdict::Clean, "{clip:?}");
        let (before, after) = (ffmpeg::decode_i420(clip), ffmpeg::decode_i420(&movie.path));
        let before = before.unwrap();
        assert!(!before.is_empty() && Some(before) == after, "{clip:?}: decoded pictures differ");
        compared += 1;
        if merged.audio.is_some() {
            let heard: Vec<Bytes> = movie.of(false).into_iter().map(|(_, data)| data).collect();
            assert!(!heard.is_empty() && heard == voice, "sound differs");
        }
    }
    assert_eq!(compared, 13);
}
