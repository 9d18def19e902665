//! Long recordings in bounded memory. Every byte that the process has on its heap is counted, so this file has one test.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use peak_alloc::PeakAlloc;
use recorder_merge::{DirectorySink, DirectorySource, MergeOptions, Method, Source, execute, plan};
use recorder_types::RoomTime;
use support::{ALICE, Recording, aac, annex_b, pictures, silence};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes of the tables for each sample, and of plan, playlist and script for each of 1/50 of a segment.
const PER_SAMPLE: usize = 8;

/// Merges so many minutes of small pictures and silence. Gives the peak of the heap while it did, and the samples.
fn peak(minutes: u32) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (config, aac_config) = aac(48_000, 1);
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
    for minute in 0..minutes {
        let at = RoomTime::from_secs(i64::from(minute) * 60);
        video.push(&pictures(64, 64, 60), at);
        // Whole frames: a minute of them ends up to a frame early.
        audio.push(&silence(aac_config, 60), at);
    }
    video.finish();
    audio.finish();
    let options = MergeOptions::default();
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let mut source = DirectorySource::new(folder.path());
    let plan = plan(&source.folder().unwrap(), &options);
    let mut sink = DirectorySink::new(folder.path().join("merged"));
    let reports = execute(&plan, &options, &mut source, &mut sink, &mut |_| {});
    let peak = HEAP.peak_usage() - before;
    let merged = reports[0].result.as_ref().unwrap();
    assert_eq!((&merged.video, &merged.audio), (&Some(Method::Copy), &Some(Method::Copy)));
    assert!(merged.duration_nanos > i64::from(minutes) * 60_000_000_000 - 100_000_000);
    (peak, usize::try_from(minutes).unwrap() * (60 * 15 + 60 * 48_000 / 1024))
}

#[test]
fn two_hours_take_little_more_than_ten_minutes() {
    let (short, few) = peak(10);
    let (long, many) = peak(120);
    println!("10 minutes: {short} bytes, 2 hours: {long} bytes, for {few} and {many} samples");
    assert!(long < short + PER_SAMPLE * (many - few), "{short} bytes for 10 minutes, {long} for 2 hours");
}
