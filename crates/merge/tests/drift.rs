//! Tracks whose clocks run at other speeds than the wall clock that their segments are named by.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use recorder_codec::{AacEncoder, AudioEncoder};
use recorder_merge::{CopyMode, FrameRate, MergeOptions, Method};
use recorder_testkit::ffmpeg;
use recorder_types::{RoomTime, Sample, Timescale, Timestamp, UnixMillis};
use support::{ALICE, Movie, Recording, START, aac, annex_b, merge, pcm, pictures};

const NAME: &str = "YWxpY2U._20231114221320000_av.mp4";

/// Seconds that sound and pictures may be apart.
const IN_STEP: f64 = 0.020;

/// Names the segments of `track` by a wall clock against which its time stamps run fast by `per_million`.
fn rename(folder: &Path, track: &str, per_million: i64) {
    let playlist = folder.join(format!("1400000001_1001__UserId_s_{ALICE}__UserId_e_{track}.m3u8"));
    let text = fs::read_to_string(&playlist).unwrap();
    let lines = text.lines().map(|line| {
        let Some((stem, start)) = line.strip_suffix(".ts").and_then(|name| name.rsplit_once('_')) else {
            return line.to_owned();
        };
        let media = i64::try_from(UnixMillis::from_utc_digits(start).unwrap().get() - START).unwrap();
        let wall = UnixMillis::new(START)
            .unwrap()
            .saturating_add_millis((media * 2_000_000 / (1_000_000 + per_million) + 1).div_euclid(2));
        let name = format!("{stem}_{}.ts", wall.utc_digits());
        if name != line {
            assert!(!folder.join(&name).exists());
            fs::rename(folder.join(line), folder.join(&name)).unwrap();
        }
        name
    });
    let lines: Vec<String> = lines.collect();
    fs::write(playlist, lines.join("\n") + "\n").unwrap();
}

/// When it was on the wall clock if a clock that runs fast by `per_million` says `media`, in seconds.
fn wall(media: f64, per_million: i64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let speed = 1.0 + per_million as f64 / 1e6;
    media / speed
}

/// Frames of 1024 samples that tell their numbers, and are no sound.
fn numbered(rate: u32, seconds: u32) -> Vec<Sample> {
    let frames = seconds * rate / 1024;
    let at = |n: u32| Timestamp::new(i64::from(n) * 1024, Timescale::new(rate).unwrap());
    (0..frames).map(|n| Sample::new(at(n), Bytes::copy_from_slice(&n.to_be_bytes().repeat(3)))).collect()
}

#[test]
fn an_hour_of_drifting_clocks_stays_in_step() {
    for (rate, sound, picture) in [
        (48_000, 100, 0),
        (48_000, -100, 0),
        (44_100, -100, 0),
        (44_100, 50, -50),
        (48_000, -50, 50),
        (16_000, 0, 100),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = aac(rate, 1);
        let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
        audio.push(&numbered(rate, 3600), RoomTime::ZERO);
        audio.finish();
        rename(folder.path(), "main_audio", sound);
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        video.push(&pictures(64, 64, 3600), RoomTime::ZERO);
        video.finish();
        rename(folder.path(), "main_video", picture);
        let (_, reports) = merge(folder.path(), &MergeOptions::default());
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!((&merged.video, &merged.audio), (&Some(Method::Copy), &Some(Method::Copy)));
        let movie = Movie::open(folder.path(), NAME);
        // How late each is, by its place in the file.
        let heard = movie.of(false);
        let late: Vec<(f64, f64)> = heard
            .iter()
            .filter(|(_, data)| data.len() == 12)
            .map(|(at, data)| {
                let number = u32::from_be_bytes(*data.first_chunk().unwrap());
                let said = wall(f64::from(number) * 1024.0 / f64::from(rate), sound);
                (said, at - said)
            })
            .collect();
        let seen = movie.of(true);
        assert_eq!(seen.len(), 54_000);
        let shown = |n: usize| seen[n].0 - wall(n as f64 / 15.0, picture);
        // Against the picture of the same time.
        let mut picture_of = 0;
        let apart: Vec<(f64, f64)> = late
            .iter()
            .map(|&(said, late)| {
                while picture_of + 1 < seen.len() && wall((picture_of + 1) as f64 / 15.0, picture) <= said {
                    picture_of += 1;
                }
                (said, late - shown(picture_of))
            })
            .collect();
        let worst = |from: f64| {
            let part = apart.iter().filter(|(said, _)| *said >= from);
            part.map(|(_, apart)| apart.abs()).fold(0.0, f64::max)
        };
        let (end, all) = (worst(3540.0), worst(0.0));
        println!("{rate} Hz, {sound} and {picture} ppm: {end:.4} s in the last minute, {all:.4} s at most");
        assert!(end > 0.0 && end <= IN_STEP, "{sound} and {picture} ppm: {end} s apart at the end");
        // Players that lay frames end to end are no further off than 5/8 of a frame.
        let laid = heard.len() as f64 * 1024.0 / f64::from(rate);
        let told = heard.last().unwrap().0 - heard[0].0 + 1024.0 / f64::from(rate);
        assert!((laid - told).abs() <= 0.65 * 1024.0 / f64::from(rate), "{laid} s laid, {told} s told");
    }
}

/// A voice that says a short tone each `step` seconds of the wall clock, on a clock that runs fast by `per_million`.
fn tones(rate: u32, seconds: u32, step: u32, per_million: i64) -> Vec<Sample> {
    let mut encoder = AacEncoder::new(rate, 1, 64_000).unwrap();
    let mut packets = Vec::new();
    let mut second = vec![0.0f32; usize::try_from(rate).unwrap()];
    for at in 0..i64::from(seconds) {
        let first = at * i64::from(rate);
        for (n, sample) in second.iter_mut().enumerate() {
            let millionths = (first + i64::try_from(n).unwrap()) * 1_000_000;
            // Microseconds of the wall clock since a tone began.
            let wall =
                i128::from(millionths) * 1_000_000 / i128::from(1_000_000 + per_million) / i128::from(rate);
            let since = wall % (i128::from(step) * 1_000_000);
            let is_tone = wall >= i128::from(step) * 1_000_000 && since < 100_000;
            *sample = if is_tone { 0.5 * (n as f32 * 0.13).sin() } else { 0.0 };
        }
        encoder.encode(&second, &mut packets).unwrap();
    }
    encoder.finish(&mut packets).unwrap();
    // The first packet is from before the begin.
    let at = |n: usize| Timestamp::new(i64::try_from(n).unwrap() * 1024, Timescale::new(rate).unwrap());
    packets.into_iter().skip(1).enumerate().map(|(n, data)| Sample::new(at(n), data)).collect()
}

#[test]
fn encoded_sound_follows_a_drifting_clock() {
    // Over an hour, by 360 ms. Pictures change each 2 s, and so at each tone.
    const STEP: u32 = 60;
    for (rate, per_million, seconds, fps) in
        [(48_000, 100, 360, 60), (48_000, -100, 360, 60), (44_100, 100, 3600, 5)]
    {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = aac(rate, 1);
        let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
        audio.push(&tones(rate, seconds, STEP, per_million), RoomTime::ZERO);
        audio.finish();
        rename(folder.path(), "main_audio", per_million);
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        video.push(&pictures(64, 64, seconds), RoomTime::ZERO);
        video.finish();
        let mut options = MergeOptions::default();
        options.copy = CopyMode::Never;
        options.frame_rate = FrameRate::clamped(fps).ok();
        let (_, reports) = merge(folder.path(), &options);
        assert!(matches!(reports[0].result.as_ref().unwrap().audio, Some(Method::Encode(_))));
        let movie = Movie::open(folder.path(), NAME);
        let (Some(sound), Some(planes)) = (pcm(&movie.path), ffmpeg::decode_i420(&movie.path)) else {
            return;
        };
        let fps = usize::try_from(fps).unwrap();
        let luma = |frame: usize| planes[frame * 64 * 64 * 3 / 2 + 32 * 64 + 32];
        let mut worst = 0.0f64;
        for tone in (STEP..seconds).step_by(STEP as usize) {
            let tone = tone as usize;
            // From half a second before it on.
            let from = tone * 8000 - 4000;
            let heard = sound[from..from + 8000].iter().position(|sample| sample.unsigned_abs() > 5000);
            let heard = (from + heard.unwrap()) as f64 / 8000.0;
            let from = tone * fps - fps / 2;
            let shown = (from..from + fps).find(|&n| luma(n).abs_diff(luma(from)) > 8).unwrap();
            let shown = shown as f64 / fps as f64;
            assert!((shown - tone as f64).abs() < 0.001, "the picture of {tone} s at {shown} s");
            worst = worst.max((heard - shown).abs());
        }
        println!("{rate} Hz, {per_million} ppm, {seconds} s, encoded: {worst:.4} s at most");
        assert!(worst <= IN_STEP, "{rate} Hz, {per_million} ppm, {seconds} s: {worst} s apart");
    }
}
