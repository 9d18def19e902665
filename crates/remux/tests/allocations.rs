//! Damaged MP4 and TS: no more memory is taken than the input's size justifies. The only test of its process, whose
//! allocations are counted.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::alloc::System;
use std::path::PathBuf;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::index::Samples;
use recorder_mp4::{Event, Reader, ReaderOptions};
use recorder_testkit::hostile::Random;
use recorder_testkit::media::media_dir;
use recorder_types::UnixMillis;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is there whatever the input is: tables of a demuxer, pieces of memory for samples.
const FIXED: usize = 4 << 20;
/// Bytes taken in all, those given back included, for each byte of input.
const TIMES: usize = 4;

/// Walks through all samples; what they are does not matter.
fn read_mp4(file: &Bytes) -> usize {
    let mut reader = Reader::new(file.len() as u64, ReaderOptions::default());
    let mut samples = 0;
    loop {
        match reader.poll() {
            Ok(Event::Need(need)) => {
                let at = usize::try_from(need.at).unwrap();
                if reader.supply(file.slice(at..at + need.len)).is_err() {
                    return samples;
                }
            }
            Ok(Event::Sample(_)) => samples += 1,
            Ok(Event::End) | Err(_) => return samples,
            Ok(_) => {}
        }
    }
}

fn read_ts(segment: &Bytes) -> usize {
    let index = SegmentIndex::from_ts(segment, UnixMillis::EPOCH, false, None);
    let samples = Samples::new(segment.clone()).take_while(Result::is_ok).count();
    if let Ok(index) = index {
        // Stored and damaged on the way.
        let mut stored = index.encode().to_vec();
        let middle = stored.len() / 2;
        stored[middle] ^= 0xFF;
        assert!(SegmentIndex::decode(&stored).is_err());
    }
    samples
}

fn corpus(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let Some(media) = media_dir() else { return Vec::new() };
    let mut paths = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(media.join(folder)).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    paths
}

#[test]
fn damaged_input_takes_memory_by_its_own_size_only() {
    let mut random = Random::new(41);
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    let mut worst = (0, String::new());
    for (paths, read) in [
        (corpus(&["mp4", "malformed"], "mp4"), read_mp4 as fn(&Bytes) -> usize),
        (corpus(&["hls/gap", "hls/ts-rollover", "hls/speaker-aac", "malformed"], "ts"), read_ts),
    ] {
        let mut found = 0;
        for path in &paths {
            let good = std::fs::read(path).unwrap();
            for round in 0..40 {
                let mut bad = good.clone();
                // The first as it is; then counts, sizes and headers that say something else, and cuts.
                for _ in 0..round.min(5) {
                    let at = if below(2) == 0 { below(bad.len().min(4096)) } else { below(bad.len()) };
                    let value = [0, 1, 0x7F, 0x80, 0xFF][below(5)];
                    let end = (at + 1 + below(8)).min(bad.len());
                    bad[at..end].fill(value);
                }
                if round % 8 == 7 {
                    bad.truncate(below(bad.len()));
                }
                let bad = Bytes::from(bad);
                let region = Region::new(ALLOCATOR);
                found += read(&bad);
                let taken = region.change().bytes_allocated;
                assert!(
                    taken <= FIXED + TIMES * bad.len(),
                    "{} round {round}: {taken} bytes for {}",
                    path.display(),
                    bad.len()
                );
                if taken.saturating_sub(FIXED) / bad.len().max(1) >= worst.0 {
                    worst = (taken.saturating_sub(FIXED) / bad.len().max(1), path.display().to_string());
                }
            }
        }
        assert!(paths.is_empty() || found > 1000, "{found} samples");
    }
    println!("at most {} times its size: {}", worst.0, worst.1);
}
