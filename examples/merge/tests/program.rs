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

/// A folder of which only the plan is made: playlists of alice's pictures and of bob's sound, and segments of no use.
fn plan_only(directory: &Path) {
    write_set(directory, STEM, &[("221320000", 10), ("221335000", 10), ("221402500", 10)]);
    write_set(directory, "1400000001_1001__UserId_s_Ym9i__UserId_e_main_audio", &[("221320123", 10)]);
}

/// A playlist, and segments of no use that begin at these times of the day.
fn write_set(directory: &Path, stem: &str, segments: &[(&str, u32)]) {
    let mut playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n".to_owned();
    for (start, seconds) in segments {
        let name = format!("{stem}_20231114{start}.ts");
        playlist += &format!("#EXTINF:{seconds},\n{name}\n");
        fs::write(directory.join(name), b"x").unwrap();
    }
    fs::write(directory.join(format!("{stem}.m3u8")), playlist + "#EXT-X-ENDLIST\n").unwrap();
}

#[test]
fn wrong_values_and_foreign_folders_are_errors_with_a_reason() {
    let (empty, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plan_only(full.path());
    let here = empty.path().to_str().unwrap();
    let full = full.path().to_str().unwrap();
    for (arguments, why) in [
        (&[][..], "--folder"),
        (&["-m", "0"], "--folder"),
        (&["-f"], "a value is required"),
        (&["-f", full, "-m", "2"], "--mode"),
        (&["-f", full, "-m", "-1"], "-1"),
        (&["-f", full, "-a", "3"], "--aux_use"),
        (&["-f", full, "-s", "1"], "unexpected argument '1'"),
        (&["-f", full, "-b", "1"], "unexpected argument '1'"),
        (&["-f", full, "-p", "0"], "not above 0"),
        (&["-f", full, "-p", "-5"], "not above 0"),
        (&["-f", full, "-p", "15.5"], "not a whole number"),
        (&["-f", full, "-r", "-2", "10"], "size -2 10"),
        (&["-f", full, "-r", "10", "-2"], "size 10 -2"),
        (&["-f", full, "-r", "640"], "2 values"),
        (&["-f", full, "-r", "641", "360"], "even"),
        (&["-f", full, "-r", "0", "360"], "size 0 360"),
        (&["-f", full, "-r", "640", "4098"], "4096"),
        (&["-f", full, "--copy", "sometimes"], "always"),
        (&["-f", full, "--no-such-option"], "--no-such-option"),
        (&["-f", "/no/such/folder"], "/no/such/folder"),
        (&["-f", "file:///no/such/folder"], "no playlist"),
        (&["-f", "memory:"], "no playlist"),
        (&["-f", here], "no playlist"),
        (&["-f", "nope://x/y"], "scheme"),
        (&["-f", full, "-o", "nope://x/y"], "scheme"),
    ] {
        let output = merge(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_dry_run_shows_users_sections_and_gaps() {
    let directory = tempfile::tempdir().unwrap();
    plan_only(directory.path());
    let here = directory.path().to_str().unwrap();
    let before = fs::read_dir(directory.path()).unwrap().count();
    let rows = |arguments: &[&str]| -> Vec<Vec<String>> {
        let output = merge(&[&["-f", here, "--dry-run"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told = text(&output.stdout);
        told.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let head = "user file duration size sections segments video audio";
    let bob = "bob Ym9i_20231114221320123.m4a 0:00:10.000 - 1 1 - copied";
    for (arguments, want) in [
        (
            &[][..],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:25.000 640x360 1 2 copied -",
                "gap 0:00:10.000 - 0:00:15.000",
                "alice YWxpY2U._20231114221402500_av.mp4 0:00:10.000 640x360 1 1 copied -",
                bob,
            ][..],
        ),
        (
            &["-m", "1"],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:52.500 640x360 2 3 copied -",
                "gap 0:00:10.000 - 0:00:15.000",
                "gap 0:00:25.000 - 0:00:42.500",
                bob,
            ],
        ),
        (
            &["-m", "1", "-s", "-r", "320", "180"],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:35.000 320x180 2 3 \
                 encoded (another size was asked for) -",
                "gap 0:00:10.000 - 0:00:15.000",
                bob,
            ],
        ),
        (
            &["-p", "25", "--copy", "auto"],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:25.000 640x360 1 2 \
                 encoded (a frame rate was asked for) -",
                "gap 0:00:10.000 - 0:00:15.000",
                "alice YWxpY2U._20231114221402500_av.mp4 0:00:10.000 640x360 1 1 \
                 encoded (a frame rate was asked for) -",
                bob,
            ],
        ),
        // Bob has sound alone, which every -a takes; alice has no substream.
        (&["-a", "2"], &[head, bob]),
        (
            &["--copy", "never", "-m", "1"],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:52.500 640x360 2 3 \
                 encoded (it was asked for) -",
                "gap 0:00:10.000 - 0:00:15.000",
                "gap 0:00:25.000 - 0:00:42.500",
                "bob Ym9i_20231114221320123.m4a 0:00:10.000 - 1 1 - encoded (it was asked for)",
            ],
        ),
        // Without mode 1 there is nothing to remove.
        (
            &["-s", "-b"],
            &[
                head,
                "alice YWxpY2U._20231114221320000_av.mp4 0:00:25.000 640x360 1 2 \
                 encoded (blanks are to be black) -",
                "gap 0:00:10.000 - 0:00:15.000",
                "alice YWxpY2U._20231114221402500_av.mp4 0:00:10.000 640x360 1 1 copied -",
                bob,
            ],
        ),
    ] {
        let want: Vec<Vec<&str>> = want.iter().map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows(arguments), want, "{arguments:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before, "nothing is written");
}

#[test]
fn a_dry_run_refuses_what_the_merge_refuses() {
    let directory = tempfile::tempdir().unwrap();
    plan_only(directory.path());
    let here = directory.path().to_str().unwrap();
    let first = "YWxpY2U._20231114221320000_av.mp4: cannot be copied: ";
    for (arguments, why) in [
        (&["-p", "25"][..], "a frame rate was asked for"),
        (&["-r", "320", "180"], "another size was asked for"),
        (&["-b"], "blanks are to be black"),
    ] {
        let dry = [&["-f", here, "--dry-run", "--copy", "always"], arguments].concat();
        let output = merge(&dry);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = format!("error: {first}{why}");
        assert!(text(&output.stderr).contains(&error), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(&format!("cannot be copied ({why})")), "{arguments:?}");
        let output = merge(&[&dry[..], &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["methods"][0]["error"], format!("cannot be copied: {why}"), "{arguments:?}");
    }
    let output = merge(&["-f", here, "--dry-run", "--copy", "always", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["methods"][0]["error"].is_null() && json["methods"][0]["video"] == "Copy");
}

#[test]
fn who_is_not_merged_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write_set(
        directory.path(),
        "1400000001_1001__UserId_s_Y2Fyb2w.__UserId_e_aux_video",
        &[("221320000", 10)],
    );
    let here = directory.path().to_str().unwrap();
    // Nothing at all is written.
    let output = merge(&["-f", here]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr)
            .contains("warning: 1400000001_1001__UserId_s_Y2Fyb2w.__UserId_e_aux_video.m3u8: ")
    );
    assert!(text(&output.stderr).contains("see -a"), "{}", text(&output.stderr));
    // Beside others it is no fault.
    plan_only(directory.path());
    let output = merge(&["-f", here, "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["plan"]["skipped"][0]["reason"], "NotAsked");
    let output = merge(&["-f", here, "--dry-run", "-a", "1"]);
    assert!(
        text(&output.stdout).contains("carol  Y2Fyb2w._20231114221320000_av.mp4"),
        "{}",
        text(&output.stdout)
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn folders_may_be_urls() {
    let segment = read_media("hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts");
    let Some(segment) = segment else { return };
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path(), &segment);
    let (here, out) = (directory.path().to_str().unwrap(), directory.path().join("out"));
    fs::remove_file(directory.path().join(format!("{STEM}_20231114221330000.ts"))).unwrap();
    let url = format!("file://{here}");
    for to in [out.to_str().unwrap(), &format!("{url}/more")] {
        let merged = merge(&["-f", &url, "-o", to]);
        // A segment that is missing is passed over, with a warning.
        assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
        assert!(text(&merged.stderr).contains("warning: "), "{}", text(&merged.stderr));
    }
    let (first, second) = (out.join(NAME), directory.path().join("more").join(NAME));
    let first = fs::read(first).unwrap();
    assert!(!first.is_empty() && first == fs::read(second).unwrap(), "both are the same");
    // What memory takes is gone with the process, but the way there is the same.
    let merged = merge(&["-f", here, "-o", "memory:", "--json"]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    let json: serde_json::Value = serde_json::from_slice(&merged.stdout).unwrap();
    assert_eq!(json["files"][0]["merged"]["bytes"], first.len());
    assert!(!directory.path().join(NAME).exists());
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
    let file = &json["files"][0];
    assert_eq!((&file["merged"]["video"], &file["user"]), (&"Copy".into(), &"YWxpY2U.".into()));
    assert!(file["error"].is_null() && file["merged"]["audio"].is_null());
    assert!(file["merged"]["duration_nanos"].is_i64() && file["merged"]["bytes"].is_u64());
    assert!(file["skipped"][0]["reason"]["DamagedSegment"].is_string());
    // The keys that docs/merge.md tells.
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json), ["files", "plan"]);
    assert_eq!(keys(file), ["error", "merged", "name", "skipped", "user"]);
    let output = &json["plan"]["users"][0]["outputs"][0];
    assert_eq!(
        keys(output),
        ["duration_nanos", "gaps", "name", "pieces", "sections", "size", "start_millis"]
    );
    assert_eq!(
        keys(&output["pieces"][0]),
        ["at_nanos", "bytes", "duration_nanos", "run", "segment", "size", "track"]
    );
    assert_eq!(output["pieces"][0]["track"], "MainVideo");
    assert!(out.join(NAME).exists());
}
