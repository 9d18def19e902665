//! Recordings that are encoded anew.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder_merge::{Blanks, CopyMode, FrameRate, MergeOptions, Method, Reason};
use recorder_room_input::{MediaSource, OpenOptions};
use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::media::media_file;
use recorder_types::{RoomTime, Sample};
use support::{ALICE, Movie, Recording, aac, annex_b, merge, pcm, pictures, real, silence};

const NAME: &str = "YWxpY2U._20231114221320000_av.mp4";

fn clean(movie: &Movie) {
    assert!(movie.is_faststart());
    if let Some(verdict) = ffmpeg::strict_decode(&movie.path) {
        assert_eq!(verdict, Verdict::Clean, "{}", movie.path.display());
    }
}

#[test]
fn a_size_that_changes_is_scaled_and_centred() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    video.push(&pictures(320, 180, 4), RoomTime::ZERO);
    video.push(&pictures(180, 320, 4), RoomTime::from_secs(4));
    video.finish();
    let (config, aac_config) = aac(44_100, 2);
    let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
    audio.push(&silence(aac_config, 8), RoomTime::ZERO);
    audio.finish();
    let (_, reports) = merge(folder.path(), &MergeOptions::default());
    let merged = reports[0].result.as_ref().unwrap();
    assert_eq!(merged.video, Some(Method::Encode(Reason::SizesDiffer)));
    assert_eq!(merged.audio, Some(Method::Copy), "sound needs no new samples");
    let movie = Movie::open(folder.path(), NAME);
    clean(&movie);
    let size = movie.tracks.iter().find_map(|track| track.size).unwrap();
    assert_eq!((size.width(), size.height()), (320, 320), "the largest of both sides");
    assert_eq!(movie.of(true).len(), 120);
    let Some(planes) = ffmpeg::decode_i420(&movie.path) else { return };
    let frame = 320 * 320 * 3 / 2;
    let luma = |number: usize, x: usize, y: usize| planes[number * frame + y * 320 + x];
    // Bars above and below, then left and right.
    assert!(luma(30, 160, 20) < 24 && luma(30, 160, 160) > 40 && luma(30, 5, 160) > 40);
    assert!(luma(90, 20, 160) < 24 && luma(90, 160, 160) > 40 && luma(90, 160, 5) > 40);
}

#[test]
fn rate_size_and_black_blanks_are_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    for at in [0, 6_000] {
        video.push(&pictures(320, 180, 3), RoomTime::from_millis(at));
        video.segmenter.discontinuity();
    }
    video.finish();
    for (blanks, is_black) in [(Blanks::Freeze, false), (Blanks::Black, true)] {
        let mut options = MergeOptions::default().with_size(160, 120).unwrap();
        options.frame_rate = FrameRate::clamped(10).ok();
        options.blanks = blanks;
        let (_, reports) = merge(folder.path(), &options);
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!(merged.video, Some(Method::Encode(Reason::FrameRate)));
        assert!((merged.duration_nanos - 9_000_000_000).abs() < 100_000_000, "{}", merged.duration_nanos);
        let movie = Movie::open(folder.path(), NAME);
        clean(&movie);
        let seen = movie.of(true);
        assert_eq!(seen.len(), 90);
        assert!(seen.iter().enumerate().all(|(n, (at, _))| (at - n as f64 / 10.0).abs() < 0.001));
        let Some(planes) = ffmpeg::decode_i420(&movie.path) else { return };
        let middle = |number: usize| planes[number * 160 * 120 * 3 / 2 + 60 * 160 + 80];
        assert!(middle(10) > 40 && middle(75) > 40);
        assert_eq!(middle(45) < 24, is_black, "{}", middle(45));
    }
}

#[test]
fn the_last_picture_ends_with_the_output() {
    for (rate, count) in [(7, 26), (15, 54), (25, 90), (60, 216)] {
        let folder = tempfile::tempdir().unwrap();
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        // 3.6 s: of 7 pictures a second the last is shown for a fifth of its time.
        video.push(&pictures(320, 180, 4)[..54], RoomTime::ZERO);
        video.finish();
        let mut options = MergeOptions::default();
        options.frame_rate = FrameRate::clamped(rate).ok();
        let (plan, reports) = merge(folder.path(), &options);
        let merged = reports[0].result.as_ref().unwrap();
        let planned = plan.users[0].outputs[0].duration_nanos;
        assert!(
            (merged.duration_nanos - planned).abs() < 50_000,
            "{rate}: {} for {planned}",
            merged.duration_nanos
        );
        let movie = Movie::open(folder.path(), NAME);
        clean(&movie);
        assert_eq!(movie.of(true).len(), count, "{rate}");
    }
}

#[test]
fn sound_is_heard_where_it_was() {
    let (Some(video), Some(audio)) =
        (media_file("mp4/count-video.mp4"), media_file("mp4/count-english-audio.mp4"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (path, track) in [(&video, "main_video"), (&audio, "main_audio")] {
        let (config, _, samples) = real(path, track == "main_video");
        let mut recording = Recording::new(folder.path(), "", ALICE, track, config);
        recording.push(&samples, RoomTime::ZERO);
        recording.finish();
    }
    let mut options = MergeOptions::default();
    let (plan, _) = merge(folder.path(), &options);
    let name = &plan.users[0].outputs[0].name;
    let copied = Movie::open(folder.path(), name);
    let envelope = |movie: &Movie| pcm(&movie.path).map(|pcm| envelope(&pcm));
    let Some(before) = envelope(&copied) else { return };
    options.copy = CopyMode::Never;
    let (_, reports) = merge(folder.path(), &options);
    let merged = reports[0].result.as_ref().unwrap();
    assert_eq!(merged.audio, Some(Method::Encode(Reason::Asked)));
    let encoded = Movie::open(folder.path(), name);
    clean(&encoded);
    let Some(after) = envelope(&encoded) else { return };
    // The loudness of each 10 ms, moved by what fits best.
    let best = (-20i32..=20).min_by_key(|&shift| difference(&before, &after, shift)).unwrap();
    assert!(best.abs() <= 1, "moved by {best}0 ms");
}

#[test]
fn a_damaged_picture_keeps_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    // Groups of 2 s, each of another grey; the key frame of the third is cut off in the middle.
    let mut seen = pictures(320, 180, 8);
    let key = &mut seen[60].data;
    *key = key.slice(..key.len() - 40);
    video.push(&seen, RoomTime::ZERO);
    video.finish();
    let mut options = MergeOptions::default();
    options.copy = CopyMode::Never;
    let (_, reports) = merge(folder.path(), &options);
    assert!(reports[0].result.is_ok(), "{reports:?}");
    let movie = Movie::open(folder.path(), NAME);
    clean(&movie);
    assert_eq!(movie.of(true).len(), 120);
    let Some(planes) = ffmpeg::decode_i420(&movie.path) else { return };
    let frame = 320 * 180 * 3 / 2;
    let luma = |number: usize, y: usize| planes[number * frame + y * 320 + 160];
    let all_like = |frames: std::ops::Range<usize>, like: u8| {
        for number in frames {
            for y in [4, 90, 130, 176] {
                assert!(luma(number, y).abs_diff(like) < 4, "{} at {y} in {number}", luma(number, y));
            }
        }
    };
    let (first, second, fourth) = (luma(15, 90), luma(45, 90), luma(105, 90));
    assert!(first.abs_diff(second) > 8 && second.abs_diff(fourth) > 16, "{first} {second} {fourth}");
    all_like(31..60, second);
    all_like(61..90, second);
    all_like(91..120, fourth);
}

#[test]
fn a_guessed_picture_is_not_shown() {
    let Some(clip) = media_file("camera-set/asl_again.h264") else { return };
    let mut source = MediaSource::open(&clip, &OpenOptions::default()).unwrap();
    let config = source.tracks()[0].config.clone();
    let samples: Vec<Sample> = source.by_ref().map(|sample| sample.unwrap().1).collect();
    // How far the last picture is from those of the second half on average, in luma.
    let moves = |samples: &[Sample]| {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::new(folder.path(), "", ALICE, "main_video", config.clone());
        recording.push(samples, RoomTime::ZERO);
        recording.finish();
        let mut options = MergeOptions::default();
        options.copy = CopyMode::Never;
        let (_, reports) = merge(folder.path(), &options);
        assert!(reports[0].result.is_ok(), "{reports:?}");
        let movie = Movie::open(folder.path(), &reports[0].output);
        clean(&movie);
        let size = movie.tracks[0].size.unwrap();
        let luma = usize::try_from(size.width() * size.height()).unwrap();
        let planes = ffmpeg::decode_i420(&movie.path)?;
        let pictures: Vec<&[u8]> =
            planes.chunks_exact(luma * 3 / 2).map(|picture| &picture[..luma]).collect();
        let (last, half) = (pictures.last().unwrap(), &pictures[pictures.len() / 2..]);
        let apart = |a: &[u8]| a.iter().zip(*last).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        let most = half.iter().map(|picture| apart(picture)).max().unwrap();
        Some(most as f64 / luma as f64)
    };
    let mut damaged = samples.clone();
    let hit = &mut damaged[samples.len() / 3].data;
    *hit = hit.slice(..hit.len() / 2);
    let (Some(whole), Some(damaged)) = (moves(&samples), moves(&damaged)) else { return };
    println!("{whole} and {damaged}");
    assert!(whole > 3.0 && damaged < 1.5, "{whole} in a clip that moves, {damaged} after the damage");
}

#[test]
fn sound_that_changes_its_rate_is_joined() {
    let folder = tempfile::tempdir().unwrap();
    let (config, first) = aac(44_100, 1);
    let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
    audio.push(&silence(first, 4), RoomTime::ZERO);
    let (config, second) = aac(48_000, 2);
    audio.change(config);
    audio.push(&silence(second, 4), RoomTime::from_secs(6));
    audio.finish();
    let (_, reports) = merge(folder.path(), &MergeOptions::default());
    let merged = reports[0].result.as_ref().unwrap();
    assert_eq!(merged.audio, Some(Method::Encode(Reason::SoundDiffers)));
    assert!((merged.duration_nanos - 10_000_000_000).abs() < 60_000_000, "{}", merged.duration_nanos);
    let movie = Movie::open(folder.path(), &reports[0].output);
    clean(&movie);
    let heard = movie.of(false);
    assert!(heard.windows(2).all(|pair| (pair[1].0 - pair[0].0 - 1024.0 / 48_000.0).abs() < 1e-6));
}

fn envelope(pcm: &[i16]) -> Vec<i64> {
    let loudness = |part: &[i16]| part.iter().map(|sample| i64::from(sample.unsigned_abs())).sum();
    pcm.chunks(80).map(loudness).collect()
}

fn difference(a: &[i64], b: &[i64], shift: i32) -> i64 {
    let at = |n: usize| usize::try_from(i64::try_from(n).ok()? + i64::from(shift)).ok();
    let pairs = (0..a.len()).filter_map(|n| Some((a[n], *b.get(at(n)?)?)));
    let (sum, count) = pairs.fold((0, 0), |(sum, count), (a, b)| (sum + (a - b).abs(), count + 1));
    sum / i64::max(count, 1)
}
