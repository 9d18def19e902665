//! A day in one file: memory stays below 64 MB. The only test of its process, whose memory is measured.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::Write;

use recorder_hls::SegmentIndex;
use recorder_mp4::SplitLimits;
use recorder_remux::{Copier, CopyStep, Input, PlanOptions, Planner, Step};
use recorder_testkit::{h264, hostile};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, H264Config, MediaKind, NalFraming, RoomTime, Size, UnixMillis};
use support::{Recorder, WALL, options};

const SEGMENTS: u32 = 24 * 360;

/// The most memory that the process ever had resident, in kB; `None` where the system does not tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Counts.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_day_is_planned_and_written_in_64_megabytes() {
    // Ten seconds, 30 pictures a second and 48 kHz, over and over.
    let mut random = hostile::Random::new(7);
    let mut recorder = Recorder::new(options(), 90_000);
    let config = AudioSpecificConfig::new(48_000, 2).unwrap();
    let video = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    recorder.streams(Some(video), Some(AacConfig::Raw(config)));
    let camera = h264::Pictures::new(Size::new(64, 64).unwrap()).unwrap();
    let mut frame = 0;
    for number in 0..300 {
        let key = number % 60 == 0;
        let kind = if key { h264::OpaqueKind::Idr } else { h264::OpaqueKind::Other };
        let len = 200 + usize::try_from(random.below(1800)).unwrap();
        let at = RoomTime::from_nanos(number * 1_000_000_000 / 30);
        recorder.push(MediaKind::Video, at, at, &camera.opaque(kind, len));
        while frame * 1024 * 30 < (number + 1) * 48_000 {
            let at = RoomTime::from_nanos(frame * 1024 * 1_000_000_000 / 48_000);
            let len = 100 + usize::try_from(random.below(300)).unwrap();
            recorder.push(MediaKind::Audio, at, at, &vec![0x21; len].into());
            frame += 1;
        }
    }
    let recording = recorder.finish();
    let (_, data) = &recording.segments[0];
    let index = |segment: u32| {
        let start = UnixMillis::new(WALL + u64::from(segment) * 10_000).unwrap();
        SegmentIndex::from_ts(data, start, segment > 0, None).unwrap()
    };
    let Some(before) = peak() else {
        println!("skipped: the system does not tell its memory");
        return;
    };

    let mut limits = SplitLimits::default().with_max_bytes(1 << 40);
    limits.max_duration = RoomTime::from_secs(25 * 3600);
    let mut planner = Planner::new(PlanOptions::default().with_limits(limits), vec![Input::both()]);
    let mut files = Vec::new();
    loop {
        match planner.poll().unwrap() {
            Step::Need { input, segment } => {
                planner.supply(input, (segment < SEGMENTS).then(|| index(segment))).unwrap();
            }
            Step::File(file) => files.push(*file),
            Step::Done => break,
        }
    }
    assert_eq!(files.len(), 1);
    let file = files.remove(0);
    assert_eq!(file.tracks().iter().map(|track| track.samples).min(), Some(300 * SEGMENTS));
    let off = file.end().get().abs_diff(WALL + u64::from(SEGMENTS) * 10_000);
    println!("{} bytes, {off} ms off after {:?}", file.len(), file.duration());
    let planned = peak().unwrap() - before;

    let len = file.len();
    let mut copier = Copier::new(file);
    let mut out = Counter(0);
    loop {
        match copier.poll().unwrap() {
            CopyStep::Need { input, .. } => copier.supply(input, data.clone()).unwrap(),
            CopyStep::Output => copier.write_to(&mut out).unwrap(),
            CopyStep::Done => break,
        }
    }
    assert_eq!(out.0, len);
    let copied = peak().unwrap() - before;
    println!("{planned} kB to plan, {copied} kB to plan and write");
    assert!(copied < 64 << 10, "{planned} kB to plan, {copied} kB to plan and write");
}
