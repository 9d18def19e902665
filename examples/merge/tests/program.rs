//! The program as it is called.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use recorder_testkit::media::read_media;

const STEM: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
const NAME: &str = "YWxpY2U._20231114221320000_av.mp4";

fn merge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_merge")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with one segment of alice's and a playlist that names a second, damaged one.
fn folder(directory: &Path, segment: &[u8]) {
    let (first, second) = (format!("{STEM}_20231114221320000.ts"), format!("{STEM}_20231114221330000.ts"));
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{first}\n#EXTINF:10,\n{second}\n#EXT-X-ENDLIST\n"
    );
    fs::write(directory.join(format!("{STEM}.m3u8")), playlist).unwrap();
    fs::write(directory.join(first), segment).unwrap();
    fs::write(directory.join(second), b"damaged").unwrap();
}

#[test]
fn wrong_values_and_foreign_folders_are_errors_with_a_reason() {
    let empty = tempfile::tempdir().unwrap();
    let here = empty.path().to_str().unwrap();
    for (arguments, why) in [
        (&["-m", "0"][..], "--folder"),
        (&["-f", here, "-m", "2"], "--mode"),
        (&["-f", here, "-p", "0"], "not above 0"),
        (&["-f", here, "-r", "-2", "10"], "size -2 10"),
        (&["-f", "/no/such/folder"], "/no/such/folder"),
        (&["-f", here], "no playlist"),
        (&["-f", "nope://x/y"], "scheme"),
    ] {
        let output = merge(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_damaged_segment_is_named_and_the_rest_is_merged() {
    // A real segment: pictures in a transport stream.
    let segment = read_media("hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts");
    let Some(segment) = segment else { return };
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path(), &segment);
    let here = directory.path().to_str().unwrap();
    let planned = merge(&["-f", here, "--dry-run"]);
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    assert!(text(&planned.stdout).contains(NAME) && text(&planned.stdout).contains("alice"));
    assert!(!directory.path().join(NAME).exists());
    let json = merge(&["-f", here, "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["plan"]["users"][0]["user"], "alice");

    let out = directory.path().join("out");
    let merged = merge(&["-f", here, "-o", out.to_str().unwrap(), "--json"]);
    assert_eq!(merged.status.code(), Some(1), "something was wrong");
    assert!(text(&merged.stderr).contains("20231114221330000.ts"), "{}", text(&merged.stderr));
    let json: serde_json::Value = serde_json::from_slice(&merged.stdout).unwrap();
    assert_eq!(json["files"][0]["name"], NAME);
    assert_eq!(json["files"][0]["merged"]["video"], "Copy");
    assert!(out.join(NAME).exists());
}
