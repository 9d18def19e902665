//! What `record` wrote, merged: pictures and sound are those that were sent.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};

use recorder::types::{RoomTime, Sample, TrackConfig};
use recorder_merge::{DirectorySink, DirectorySource, MergeOptions, Method, Source, execute, plan};
use recorder_mp4::FileReader;
use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::media::{media_dir, media_file};
use support::record;

/// The samples of the sound, or of the pictures, of an MP4 file.
fn samples(file: &Path, is_video: bool) -> Vec<Sample> {
    let mut reader = FileReader::open(File::open(file).unwrap()).unwrap();
    let is_wanted: Vec<bool> = reader
        .tracks()
        .iter()
        .map(|track| matches!(track.config, TrackConfig::H264(_)) == is_video)
        .collect();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        if is_wanted[sample.at.track] {
            samples.push(sample.sample);
        }
    }
    samples
}

fn at(sample: &Sample) -> RoomTime {
    sample.pts.to_room_time().unwrap()
}

#[test]
fn cameras_and_a_voice_are_merged_as_they_were_sent() {
    let Some(folder) = media_dir().map(|media| media.join("camera-set")) else { return };
    let (Some(count), Some(voice)) =
        (media_file("mp4/count-video.mp4"), media_file("mp4/count-english-audio.mp4"))
    else {
        return;
    };
    let mut clips: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    clips.sort();
    assert_eq!(clips.len(), 12);
    let mut args = vec!["-q".to_owned()];
    for (number, clip) in clips.iter().enumerate() {
        // They come one after the other.
        args.extend([
            "--participant".to_owned(),
            format!("user{number:02}={},join={number}", clip.display()),
        ]);
    }
    for file in [&count, &voice] {
        args.extend(["--participant".to_owned(), format!("voice={},join=3", file.display())]);
    }
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let recorded = out.path().join("task01");
    let mut source = DirectorySource::new(&recorded);
    let options = MergeOptions::default();
    let plan = plan(&source.folder().unwrap(), &options);
    let merged = recorded.join("merged");
    let reports = execute(&plan, &options, &mut source, &mut DirectorySink::new(&merged), &mut |_| {});
    assert_eq!((plan.skipped.len(), reports.len()), (0, 13));
    clips.push(count.clone());
    for (user, report) in plan.users.iter().zip(&reports) {
        let number =
            user.user.as_ref().unwrap().strip_prefix("user").map_or(12, |number| number.parse().unwrap());
        let clip = &clips[number];
        let result = report.result.as_ref().unwrap();
        let has_sound = *clip == count;
        assert!(report.skipped.is_empty(), "{clip:?}: {:?}", report.skipped);
        assert_eq!(result.video, Some(Method::Copy), "{clip:?}");
        assert_eq!(result.audio, has_sound.then_some(Method::Copy), "{clip:?}");
        let movie = merged.join(&report.output);
        let file = std::fs::read(&movie).unwrap();
        let place = |kind: &[u8]| file.windows(4).position(|four| four == kind).unwrap();
        assert!(place(b"moov") < place(b"mdat"), "{clip:?}: not faststart");
        if let Some(verdict) = ffmpeg::strict_decode(&movie) {
            assert_eq!(verdict, Verdict::Clean, "{clip:?}");
            let (before, after) = (ffmpeg::decode_i420(clip).unwrap(), ffmpeg::decode_i420(&movie));
            assert!(!before.is_empty() && Some(before) == after, "{clip:?}: decoded pictures differ");
        }
        if has_sound {
            let sent = samples(&voice, false);
            let (heard, seen) = (samples(&movie, false), samples(&movie, true));
            assert!(
                heard.iter().map(|frame| &frame.data).eq(sent.iter().map(|frame| &frame.data)),
                "{} frames of sound of {}",
                heard.len(),
                sent.len()
            );
            let pictures = samples(&count, true);
            // The first frame of this file has a stray composition offset, which the recorder passes over.
            let apart =
                |sound: &[Sample], pictures: &[Sample]| at(&sound[1]).saturating_sub(at(&pictures[0]));
            let moved = apart(&heard, &seen).saturating_sub(apart(&sent, &pictures)).nanos();
            assert!(moved.abs() < 1_000_000, "sound moved against pictures by {moved} ns");
        }
    }
}
