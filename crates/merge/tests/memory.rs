//! Long recordings in bounded memory. Every byte that the process has on its heap is counted, so this file has one test.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use peak_alloc::PeakAlloc;
use recorder_merge::{
    CopyMode, DirectorySink, DirectorySource, MergeOptions, Method, Reason, Source, execute, plan,
};
use recorder_types::RoomTime;
use support::{ALICE, Recording, aac, annex_b, pictures, silence};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes of the tables for each sample, and of plan, playlist and script for each of 1/50 of a segment.
const PER_SAMPLE: usize = 8;

/// Merges so many minutes of small pictures and silence. Gives the peak of the heap while it did (without what OpenH264
/// takes by itself), and the samples.
fn peak(minutes: u32, copy: CopyMode) -> (usize, usize) {
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
    let mut options = MergeOptions::default();
    options.copy = copy;
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let mut source = DirectorySource::new(folder.path());
    let plan = plan(&source.folder().unwrap(), &options);
    let mut sink = DirectorySink::new(folder.path().join("merged"));
    let reports = execute(&plan, &options, &mut source, &mut sink, &mut |_| {});
    let peak = HEAP.peak_usage() - before;
    let merged = reports[0].result.as_ref().unwrap();
    let method = match copy {
        CopyMode::Never => Method::Encode(Reason::Asked),
        _ => Method::Copy,
    };
    assert_eq!((&merged.video, &merged.audio), (&Some(method.clone()), &Some(method)));
    assert!(merged.duration_nanos > i64::from(minutes) * 60_000_000_000 - 100_000_000);
    (peak, usize::try_from(minutes).unwrap() * (60 * 15 + 60 * 48_000 / 1024))
}

#[test]
fn long_recordings_take_little_more_than_short_ones() {
    for (copy, less, more) in [(CopyMode::Auto, 10, 120), (CopyMode::Never, 4, 24)] {
        let (short, few) = peak(less, copy);
        let (long, many) = peak(more, copy);
        println!("{copy:?}: {short} bytes for {less} minutes, {long} for {more}; {few} and {many} samples");
        assert!(long < short + PER_SAMPLE * (many - few), "{copy:?}: {short} bytes, {long} for the long one");
    }
}
