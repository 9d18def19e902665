//! A large file on its way to a server, and the memory that takes. Alone in its process, whose peak is looked at.
#![cfg(all(feature = "aws", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use recorder_storage::{Bucket, BucketOptions, PutMode};
use recorder_testkit::servers::S3;
use recorder_testkit::storage_suite::{content, key};

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// `RECORDER_LARGE_UPLOAD` sets the size in MiB.
#[tokio::test]
async fn a_large_file_goes_up_in_parts_within_64_mb() {
    let Some(server) = S3::start("rec") else { return };
    let size = std::env::var("RECORDER_LARGE_UPLOAD").ok().map_or(160, |size| size.parse().unwrap()) << 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.mp4");
    let made = File::create(&path).unwrap();
    let piece = content(1 << 16, 7);
    for at in (0..size).step_by(1 << 20) {
        made.write_all_at(&piece, at).unwrap();
    }
    made.set_len(size).unwrap();
    let bucket = Bucket::open(&server.url(""), BucketOptions::default()).unwrap();
    let before = peak();
    bucket.put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap();
    let after = peak();
    println!("{} MiB: at most {} KiB, {} before", size >> 20, after >> 10, before >> 10);
    assert!(after < 64_000_000, "{after} bytes, {before} before");
    assert_eq!(bucket.size(&key("t/x.mp4")).await.unwrap(), size);
    for at in [0, (size / 2) & !((1 << 20) - 1), size - (1 << 20)] {
        let there = bucket.get_range(&key("t/x.mp4"), at..at + (1 << 16)).await.unwrap();
        assert!(there == piece, "at {at}");
    }
    assert_eq!(server.unfinished(), 0);
}
