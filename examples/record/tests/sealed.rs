//! A process that records into a bucket dies: the keys of the bucket lie in the spool sealed, and nowhere else.
#![cfg(all(unix, feature = "aws"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use recorder::storage::{Bucket, BucketOptions};
use recorder_testkit::servers::S3;
use support::files;

const KEYS: &str = "&access_key_id=CANARY1&secret_access_key=CANARY2";

fn record() -> Command {
    Command::new(env!("CARGO_BIN_EXE_record"))
}

fn recover(spool: &Path, key: Option<&Path>) -> Output {
    let mut command = record();
    command.args(["--start-time", "1700010000000", "-q", "--recover"]).arg(spool);
    if let Some(key) = key {
        command.arg("--seal-key-file").arg(key);
    }
    command.output().unwrap()
}

#[test]
fn it_is_taken_up_with_the_key_that_sealed_them_and_with_no_other() {
    let Some(server) = S3::start("recordings") else { return };
    let root = tempfile::tempdir().unwrap();
    let (right, wrong, spool) =
        (root.path().join("right"), root.path().join("wrong"), root.path().join("spool"));
    std::fs::write(&right, "5a".repeat(32) + "\n").unwrap();
    std::fs::write(&wrong, "a5".repeat(32)).unwrap();
    let out = server.address_of("recordings/rooms") + KEYS;
    let mut child = record()
        .args([
            "--start-time",
            "1700000000000",
            "--task-id",
            "task01",
            "--seconds",
            "1200",
            "-q",
            "--out",
            &out,
        ])
        .arg("--spool")
        .arg(&spool)
        .arg("--seal-key-file")
        .arg(&right)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = spool.join("task01/journal~");
    let closed = || {
        let journal = std::fs::read(&journal).unwrap_or_default();
        journal.windows(12).filter(|window| window == b"{\"segment\":{").count()
    };
    while closed() < 9 {
        assert!(child.try_wait().unwrap().is_none(), "it ends too soon");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, bytes) in files(&spool) {
        assert!(!bytes.windows(6).any(|window| window == b"CANARY"), "{name}");
    }

    for key in [None, Some(wrong.as_path())] {
        let before = files(&spool);
        let output = recover(&spool, key);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("cannot be opened") && !told.contains("CANARY"), "{told}");
        assert!(files(&spool) == before, "it waits as it is");
    }
    let output = recover(&spool, Some(&right));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files(&spool).is_empty());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bucket = Bucket::open(&out, BucketOptions::default()).unwrap();
        let (mut lists, mut segments) = (0, 0);
        for object in bucket.list(None).await.unwrap() {
            if object.key.as_str().ends_with(".m3u8") {
                let text = bucket.get(&object.key).await.unwrap();
                assert!(text.ends_with(b"#EXT-X-ENDLIST\n"), "{}", object.key);
                lists += 1;
            } else {
                segments += 1;
            }
        }
        assert!(lists >= 2 && segments >= 9, "{lists} playlists, {segments} segments");
    });
}
