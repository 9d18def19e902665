//! The program with buckets of an S3 server, in and out.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use recorder_testkit::media::read_media;
use recorder_testkit::servers::S3;

const STEM: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
const NAME: &str = "YWxpY2U._20231114221320000_av.mp4";

fn merge(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merge"));
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "hidden-word");
    command.args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with two runs of alice's pictures.
fn folder(directory: &Path, segment: &[u8]) {
    let starts = ["20231114221320000", "20231114221330000"];
    let mut playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n".to_owned();
    for start in starts {
        let name = format!("{STEM}_{start}.ts");
        playlist += &format!("#EXT-X-DISCONTINUITY\n#EXTINF:2,\n{name}\n");
        fs::write(directory.join(name), segment).unwrap();
    }
    fs::write(directory.join(format!("{STEM}.m3u8")), playlist + "#EXT-X-ENDLIST\n").unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn recordings_in_a_bucket_are_merged_into_a_bucket() {
    let Some(segment) = read_media("hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts") else {
        return;
    };
    let Some(server) = S3::start("recordings") else { return };
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path(), &segment);
    let merged = merge(&["-f", directory.path().to_str().unwrap(), "--json"]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    let want = fs::read(directory.path().join(NAME)).unwrap();
    assert!(!want.is_empty());

    // The same recording in the bucket, beside what is none of it.
    let (from, to) = (server.address_of("recordings/rooms/task"), server.address_of("recordings/merged"));
    let open = |address: &str| {
        let keys = format!("{address}&access_key_id=key&secret_access_key=hidden-word");
        recorder_storage::Bucket::open(&keys, recorder_storage::BucketOptions::default()).unwrap()
    };
    let runtime = runtime();
    let put = |name: &str, file: PathBuf| {
        let data = fs::read(file).unwrap().into();
        runtime.block_on(open(&from).put(&name.parse().unwrap(), data)).unwrap();
    };
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != NAME {
            put(&name, entry.path());
            put(&format!("deeper/{name}"), entry.path());
        }
    }
    // To another folder of it, to the folder itself, and to the disk.
    let out = directory.path().join("out");
    for arguments in
        [&["-f", &from, "-o", &to][..], &["-f", &from], &["-f", &from, "-o", out.to_str().unwrap()]]
    {
        let merged = merge(arguments);
        assert_eq!(merged.status.code(), Some(0), "{arguments:?}: {}", text(&merged.stderr));
        assert!(merged.stderr.is_empty(), "{}", text(&merged.stderr));
    }
    let get = |address: &str| runtime.block_on(open(address).get(&NAME.parse().unwrap())).unwrap();
    assert!(get(&to) == want && get(&from) == want && fs::read(out.join(NAME)).unwrap() == want);

    // What is missing is passed over with a warning, as on the disk.
    let second = format!("{STEM}_20231114221330000.ts");
    runtime.block_on(open(&from).delete(&second.parse().unwrap())).unwrap();
    let merged = merge(&["-f", &from, "-o", &to]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    assert!(text(&merged.stderr).contains(&format!("warning: {second}: ")), "{}", text(&merged.stderr));
    assert!(get(&to).len() < want.len());
}

#[test]
fn a_bucket_that_is_not_there_is_an_error_without_secrets() {
    let Some(server) = S3::start("empty") else { return };
    for (place, why) in [("no-such-bucket/task", "NoSuchBucket"), ("empty/task", "no playlist")] {
        let merged = merge(&["-f", &server.address_of(place), "--dry-run"]);
        assert_eq!(merged.status.code(), Some(2), "{place}: {}", text(&merged.stderr));
        assert!(text(&merged.stderr).contains(why), "{place}: {}", text(&merged.stderr));
        assert!(!text(&merged.stderr).contains("hidden-word"), "{}", text(&merged.stderr));
    }
}
