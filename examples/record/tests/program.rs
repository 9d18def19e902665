//! The program as a user runs it: what it writes, what it says, how it ends.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;

use support::{assert_playable, files, names, record};

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
fn what_the_bucket_refuses_is_in_the_backup_and_is_moved_by_a_recovery() {
    let whole = tempfile::tempdir().unwrap();
    assert!(record(whole.path(), &["--seconds", "5", "--format", "hls+mp4", "-q"]).status.success());

    let root = tempfile::tempdir().unwrap();
    let place = |name: &str| root.path().join(name);
    let [out, backup, spool] = ["out", "backup", "spool"].map(place);
    std::fs::create_dir(&out).unwrap();
    // Nothing can be stored below a file.
    std::fs::write(out.join("task01"), "").unwrap();
    let spool_text = spool.to_str().unwrap();
    let args = ["--seconds", "5", "--format", "hls+mp4", "-q", "--spool", spool_text, "--backup"];
    let output = record(&out, &[&args[..], &[backup.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files(&backup) == files(whole.path()), "the backup has the whole recording");
    assert_playable(&backup);
    assert!(names(&files(&spool), ".ts").is_empty() && names(&files(&spool), ".mp4").is_empty());

    std::fs::remove_file(out.join("task01")).unwrap();
    let recovered = std::process::Command::new(env!("CARGO_BIN_EXE_record"))
        .args(["--recover", spool_text, "-q"])
        .output()
        .unwrap();
    assert!(recovered.status.success(), "{}", String::from_utf8_lossy(&recovered.stderr));
    assert!(files(&out) == files(whole.path()), "{:?}", files(&out).keys());
    assert!(files(&backup).is_empty(), "{:?}", files(&backup).keys());
    assert!(!spool.join("task01").exists());
}

#[test]
fn a_frame_rate_for_a_file_with_times_is_refused_and_no_prefix_is_no_directory() {
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &["--seconds", "2", "--format", "mp4", "--prefix", ""]);
    let told = String::from_utf8_lossy(&output.stdout);
    let directory = format!("{}/task01/", out.path().display());
    assert!(told.starts_with(&directory), "{told}");
    let name = names(&files(out.path()), ".mp4").remove(0);
    let again = format!("alice={directory}{},fps=25", name.trim_start_matches("task01/"));
    let output = record(&out.path().join("again"), &["--participant", &again]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("has times of its own"), "{told}");
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
        (&["--callback", "http://127.0.0.1:9/", "--seconds", "1"], "--allow-private-urls"),
        (&["--callback", "http://localhost:9/", "--seconds", "1"], "--allow-private-urls"),
        (&["--callback-key", "abc"], "--callback"),
        (&["--prefix", "a/b.c"], "component 2 of the prefix"),
        (&["--seconds", "-1"], "seconds"),
        (&["--format", "avi"], "hls+mp4"),
    ] {
        let output = record(out.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(why), "{args:?}: {told}");
        assert!(told.matches("nowhere.mp4").count() <= 1, "the path is told once: {told}");
    }
}

#[test]
fn a_room_goes_into_a_media_library_and_plays() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("media");
    let output = Command::new(env!("CARGO_BIN_EXE_record"))
        .args([
            "--start-time",
            "1700000000000",
            "--task-id",
            "task01",
            "--seconds",
            "5",
            "--format",
            "hls+mp4",
        ])
        .arg("--vod")
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let index = std::fs::read_to_string(folder.join("index.jsonl")).unwrap();
    assert_eq!(index.lines().count(), 9, "a file and two playlists of three people: {index}");
    assert_eq!(told.matches("file://").count(), 9, "{told}");
    let written = files(&folder);
    assert_eq!((names(&written, ".m3u8").len(), names(&written, ".mp4").len()), (6, 3));
    for name in names(&written, ".mp4") {
        assert!(index.contains(&format!(r#""File":"{name}""#)), "{name}: {index}");
    }
    assert!(!folder.join(".recorder-spool").exists());
    assert_playable(&folder);

    let output =
        Command::new(env!("CARGO_BIN_EXE_record")).args(["--vod", "a", "--out", "b"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
