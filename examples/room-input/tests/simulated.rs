//! Simulated participants: same options, same bytes; key frames, flashes and beeps at their times; and that others
//! can read it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test: it fails by panic and skips aloud")]

use std::collections::BTreeSet;
use std::process::Command;

use recorder_room_input::{
    FrameRate, InputError, InputSource, MediaSource, OpenOptions, SimulatedMedia, SimulatedOptions,
    SimulatedSource,
};
use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{AacConfig, MediaKind, NalFraming, RoomTime, Sample, Size, TrackConfig};

fn options(name: &str, seconds: u32) -> SimulatedOptions {
    let mut options = SimulatedOptions::default();
    options.name = name.to_owned();
    options.seconds = seconds;
    options.size = Size::new(160, 96).unwrap();
    options
}

fn read(options: &SimulatedOptions) -> Vec<(usize, Sample)> {
    SimulatedSource::new(options).unwrap().collect::<Result<_, _>>().unwrap()
}

fn kinds(sample: &Sample) -> Vec<u8> {
    let units = Units::new(&sample.data, NalFraming::AnnexB);
    units.map(|unit| unit_type(unit.unwrap()).unwrap()).collect()
}

#[test]
fn the_same_options_give_the_same_samples_and_other_names_others() {
    let first = read(&options("alice", 3));
    assert!(first == read(&options("alice", 3)));
    let video = |samples: &[(usize, Sample)]| samples[0].1.clone();
    assert_ne!(video(&first), video(&read(&options("bob", 3))));
}

#[test]
fn tracks_are_whole_and_key_frames_come_every_other_second() {
    for (frames, seconds) in [(15, 1), (30_000, 1001), (10, 1), (1, 1)] {
        let mut options = options("carol", 5);
        options.fps = FrameRate::new(frames, seconds).unwrap();
        let samples = read(&options);
        let times: Vec<RoomTime> = samples.iter().map(|(_, s)| s.dts.to_room_time().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        let video: Vec<&Sample> = samples.iter().filter(|(track, _)| *track == 0).map(|(_, s)| s).collect();
        let audio: Vec<&Sample> = samples.iter().filter(|(track, _)| *track == 1).map(|(_, s)| s).collect();
        assert_eq!(video.len(), usize::try_from((5 * frames).div_ceil(seconds)).unwrap());
        assert_eq!(audio.len(), (5 * 48_000usize).div_ceil(1024));
        assert!((0..).zip(&audio).all(|(index, sample)| sample.pts.ticks() == index * 1024));
        let mut key_seconds = Vec::new();
        for sample in &video {
            let kinds = kinds(sample);
            if kinds.contains(&nal_type::IDR) {
                assert!(kinds.starts_with(&[nal_type::SPS, nal_type::PPS]), "{kinds:?}");
                key_seconds.push(sample.pts.to_room_time().unwrap().nanos() / 1_000_000_000);
            }
        }
        assert_eq!(key_seconds, [0, 2, 4], "{frames}/{seconds}");
    }
}

#[test]
fn one_kind_of_media_can_be_asked_for() {
    for (media, kinds) in [
        (SimulatedMedia::AudioVideo, &[MediaKind::Video, MediaKind::Audio][..]),
        (SimulatedMedia::Audio, &[MediaKind::Audio]),
        (SimulatedMedia::Video, &[MediaKind::Video]),
    ] {
        let mut options = options("dave", 1);
        options.media = media;
        let mut source = InputSource::from(SimulatedSource::new(&options).unwrap());
        assert_eq!(source.tracks().iter().map(|track| track.kind).collect::<Vec<_>>(), kinds);
        let seen: BTreeSet<usize> = source.by_ref().map(|next| next.unwrap().0).collect();
        assert_eq!(seen, (0..kinds.len()).collect());
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let change = |change: fn(&mut SimulatedOptions)| {
        let mut options = options("erin", 1);
        change(&mut options);
        matches!(SimulatedSource::new(&options), Err(InputError::InvalidOption(_)))
    };
    assert!(change(|o| o.size = Size::new(161, 96).unwrap()));
    assert!(change(|o| o.size = Size::new(14, 96).unwrap()));
    assert!(change(|o| o.size = Size::new(3842, 96).unwrap()));
    assert!(change(|o| o.seconds = 0));
    assert!(change(|o| o.fps = FrameRate::new(1, 2).unwrap()));
    assert!(change(|o| o.tone_hz = 0));
    assert!(change(|o| o.video_bits_per_second = 0));
    assert!(change(|o| o.audio_bits_per_second = 1));
    assert!(!change(|_| ()));
}

/// Writes both tracks as raw streams and reads them back with our own reader.
#[test]
fn what_is_made_reads_back_the_same() {
    let samples = read(&options("frank", 3));
    let dir = tempfile::tempdir().unwrap();
    let video: Vec<u8> =
        samples.iter().filter(|(track, _)| *track == 0).flat_map(|(_, s)| s.data.to_vec()).collect();
    let path = dir.path().join("video");
    std::fs::write(&path, video).unwrap();
    let fps = Some(FrameRate::new(15, 1).unwrap());
    let back: Vec<(usize, Sample)> =
        MediaSource::open(&path, &OpenOptions { fps }).unwrap().collect::<Result<_, _>>().unwrap();
    let made: Vec<(usize, Sample)> = samples.iter().filter(|(track, _)| *track == 0).cloned().collect();
    assert!(made == back);
}

/// Flash and beep, found in what a decoder shows: the first bright picture and the first loud sample of a second.
#[test]
fn flash_and_beep_are_aligned_for_a_decoder() {
    let options = options("grace", 3);
    let samples = read(&options);
    let dir = tempfile::tempdir().unwrap();
    let [video, audio, luma, pcm] = ["v.h264", "a.aac", "v.yuv", "a.s16"].map(|name| dir.path().join(name));
    let source = SimulatedSource::new(&options).unwrap();
    let TrackConfig::Aac(AacConfig::Raw(config)) = &source.tracks()[1].config else { panic!("no AAC") };
    let (mut video_bytes, mut audio_bytes) = (Vec::new(), Vec::new());
    for (track, sample) in &samples {
        if *track == 0 {
            video_bytes.extend_from_slice(&sample.data);
        } else {
            audio_bytes.extend_from_slice(&config.adts_header(sample.data.len()).unwrap());
            audio_bytes.extend_from_slice(&sample.data);
        }
    }
    std::fs::write(&video, video_bytes).unwrap();
    std::fs::write(&audio, audio_bytes).unwrap();
    for (from, to, arguments) in [
        (&video, &luma, &["-f", "rawvideo", "-pix_fmt", "gray"]),
        (&audio, &pcm, &["-f", "s16le", "-ac", "1"]),
    ] {
        let ffmpeg =
            Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(from).args(arguments).arg(to).output();
        let Ok(output) = ffmpeg else {
            println!("skipped: no ffmpeg");
            return;
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    let luma = std::fs::read(luma).unwrap();
    let pictures: Vec<&[u8]> = luma.chunks_exact(160 * 96).collect();
    assert_eq!(pictures.len(), 45);
    let flashes: Vec<usize> = (0..45).filter(|&n| pictures[n][160 * 95 + 80] > 200).collect();
    assert_eq!(flashes, [15, 16, 30, 31]);
    let pcm: Vec<i16> = std::fs::read(pcm)
        .unwrap()
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    // A frame of AAC is smeared by up to its length before a sudden start.
    let loud: Vec<usize> = (0..pcm.len()).filter(|&n| pcm[n].unsigned_abs() > 8_000).collect();
    let starts: Vec<usize> =
        loud.iter().copied().filter(|n| !loud.iter().any(|m| m < n && n - m < 9_600)).collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    for (start, second) in starts.iter().zip([48_000usize, 96_000]) {
        assert!(start.abs_diff(second) < 256, "beep at {start}");
    }
}
