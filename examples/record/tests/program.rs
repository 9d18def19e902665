//! The program as a user runs it: what it writes, what it says, how it ends.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::media::media_file;

fn record(out: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
    command.args(["--start-time", "1700000000000", "--task-id", "task01", "--out"]).arg(out).args(args);
    command.output().unwrap()
}

/// Every file below `directory`, by its path in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
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

fn names(files: &BTreeMap<String, Vec<u8>>, ending: &str) -> Vec<String> {
    files.keys().filter(|name| name.ends_with(ending)).cloned().collect()
}

/// Every playlist keeps the rules of HLS and is decoded by FFmpeg without a word, where FFmpeg is there.
fn assert_playable(directory: &Path) {
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

#[test]
fn a_room_of_three_is_recorded_and_the_same_start_gives_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for out in [&one, &two] {
        let output = record(out.path(), &["--seconds", "5", "--prefix", "a/b"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("carol"));
    }
    let written = files(one.path());
    assert!(written == files(two.path()), "two runs differ");
    assert_eq!(names(&written, ".m3u8").len(), 6);
    let alice = "a/b/task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
    assert!(written.contains_key(&format!("{alice}_20231114221320000.ts")));
    // Bob joins after a tenth of the time.
    let bob = "a/b/task01/1400000001_1001__UserId_s_Ym9i__UserId_e_main_video";
    assert!(written.contains_key(&format!("{bob}_20231114221320500.ts")));
    assert_playable(one.path());
}

#[test]
fn files_are_made_as_asked_and_leave_no_hls_where_none_was() {
    let stem = "task01/1400000001_cm9vbQ..__UserId_s_YWxpY2U.__UserId_e_main";
    for (format, file, playlists) in
        [("hls+mp4", "mp4", 6), ("mp4", "mp4", 0), ("hls+aac", "aac", 6), ("aac", "aac", 0)]
    {
        let out = tempfile::tempdir().unwrap();
        let args = ["--seconds", "3", "--format", format, "--room", "room", "-q"];
        let output = record(out.path(), &args);
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        let written = files(out.path());
        assert!(written.contains_key(&format!("{stem}.{file}")), "{format}: {:?}", written.keys());
        assert_eq!(names(&written, ".m3u8").len(), playlists, "{format}");
        assert_eq!(names(&written, ".ts").is_empty(), playlists == 0, "{format}");
        assert!(output.stdout.is_empty());
        assert_playable(out.path());
    }
}

#[test]
fn wrong_arguments_and_files_are_told() {
    let out = tempfile::tempdir().unwrap();
    for (args, why) in [
        (&["--participant", "alice"][..], "USER=FILE"),
        (&["--participant", "alice=/nowhere.mp4"], "nowhere.mp4"),
        (&["--room", "x", "--room-id-type", "int"], "integer room"),
        (&["--prefix", "a b"], "prefix"),
        (&["--max-file-minutes", "0"], "1 to 1440"),
        (&["--callback", "ftp://x/"], "http"),
    ] {
        let output = record(out.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(why), "{args:?}: {told}");
    }
}

/// A file, how many access units of video and of audio it has, and whether FFmpeg decodes it without a word.
const REAL: [(&str, u64, u64); 6] = [
    ("mp4/chrome.mp4", 899, 1291),
    ("mp4/count-video.mp4", 245, 0),
    ("camera-set/asl_book.h264", 109, 0),
    ("h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", 9, 0),
    ("h264/VID_1280x720_cabac_temporal_direct.264", 300, 0),
    ("audio/sample.adts", 0, 0),
];

#[test]
fn real_media_is_recorded_whole_and_decodes() {
    for (name, pictures, frames) in REAL {
        let Some(path) = media_file(name) else { return };
        let out = tempfile::tempdir().unwrap();
        let participant = format!("alice={}", path.display());
        let output = record(out.path(), &["--participant", &participant, "--av-merge", "-q"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let (mut video, mut audio) = (0, 0);
        for segment in names(&files(out.path()), ".ts") {
            let bytes = std::fs::read(out.path().join(segment)).unwrap();
            let start = recorder::types::UnixMillis::EPOCH;
            let index = recorder::hls::SegmentIndex::from_ts(&bytes, start, false, None).unwrap();
            video += index.video().map_or(0, |video| u64::from(video.count()));
            audio += index.audio().map_or(0, |audio| u64::from(audio.count()));
        }
        assert_eq!(video, pictures, "{name}");
        assert!(frames == 0 || audio == frames, "{name}: {audio} frames");
        assert_playable(out.path());
    }
}

#[test]
fn a_damaged_participant_changes_nothing_for_the_others() {
    let Some(good) = media_file("mp4/sample.mp4") else { return };
    let good = format!("good={}", good.display());
    let alone = tempfile::tempdir().unwrap();
    assert!(record(alone.path(), &["--participant", &good, "-q"]).status.success());
    let want = files(alone.path());
    let folder: PathBuf = media_file("malformed/Error_I_P.264").unwrap().parent().unwrap().to_owned();
    let damaged = [
        "BA_MW_D_IDR_LOST.264",
        "Error_I_P.264",
        "sps_subsetsps_bothVUI.264",
        "sample_with_invalid_nalu.mp4",
        "sample_mdat_too_long.mp4",
        "sample_missing_stsd.mp4",
        "chunk_out_of_range.mp4",
        "sample_cbs_truncated.adts",
    ];
    for name in damaged {
        let bad = format!("bad={}", folder.join(name).display());
        let out = tempfile::tempdir().unwrap();
        let output = record(out.path(), &["--participant", &bad, "--participant", &good, "-q"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {:?}", output.status);
        let written = files(out.path());
        for (file, bytes) in &want {
            assert!(written.get(file) == Some(bytes), "{name} changed {file}");
        }
    }
}
