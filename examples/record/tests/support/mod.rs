//! The program run as a user runs it, and what it left.
#![allow(dead_code, clippy::unwrap_used, reason = "tests, each of which uses a part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use recorder_testkit::ffmpeg::{self, Verdict};

pub(crate) fn record(out: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
    command.args(["--start-time", "1700000000000", "--task-id", "task01", "--out"]).arg(out).args(args);
    command.output().unwrap()
}

/// Every file below `directory`, by its path in it.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub(crate) fn names(files: &BTreeMap<String, Vec<u8>>, ending: &str) -> Vec<String> {
    files.keys().filter(|name| name.ends_with(ending)).cloned().collect()
}

/// Every playlist keeps the rules of HLS and is decoded by FFmpeg without a word, where FFmpeg is there.
pub(crate) fn assert_playable(directory: &Path) {
    for (name, bytes) in files(directory) {
        let path = directory.join(&name);
        if name.ends_with(".m3u8") {
            let text = String::from_utf8(bytes).unwrap();
            let segment = |uri: &str| std::fs::read(path.with_file_name(uri)).ok();
            let broken = recorder_testkit::hls_rules::check(&text, segment);
            assert!(broken.is_empty(), "{name}: {broken:?}");
        } else if !name.ends_with(".mp4") {
            continue;
        }
        match ffmpeg::strict_decode(&path) {
            None => return,
            Some(verdict) => assert!(matches!(verdict, Verdict::Clean), "{name}: {verdict:?}"),
        }
    }
}
