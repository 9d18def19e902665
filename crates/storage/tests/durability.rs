//! What is promised to survive a power cut is synced, in the order in which it must be, as strace sees it: a file
//! before its name, the directory after it.
#![cfg(all(target_os = "linux", feature = "fs"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use recorder_storage::{Bucket, BucketOptions, Durability, ObjectKey, PutMode, Spool};

/// Set for the process that is watched: where it writes.
const WATCHED: &str = "RECORDER_DURABILITY_DIRECTORY";

/// Not a test of its own: what the watched process does.
#[tokio::test]
async fn writes() {
    let Some(directory) = std::env::var_os(WATCHED).map(PathBuf::from) else { return };
    let spool = Spool::open(&directory.join("spool"), &"task01".parse().unwrap(), Durability::Sync).unwrap();
    let mut file = spool.create(&"a.ts".parse().unwrap()).unwrap();
    file.append(b"segment").unwrap();
    let closed = file.close().unwrap();
    let bucket = directory.join("bucket");
    let bucket = Bucket::open(bucket.to_str().unwrap(), BucketOptions::default()).unwrap();
    let key = |name: &str| name.parse::<ObjectKey>().unwrap();
    bucket.put_file(&key("task01/a.ts"), &closed.path(), PutMode::Create).await.unwrap();
    bucket.put_new(&key("task01/a.m3u8"), "#EXTM3U\n".into()).await.unwrap();
    bucket.put(&key("task01/a.m3u8"), "#EXTM3U\n#EXT-X-ENDLIST\n".into()).await.unwrap();
}

#[derive(Debug, PartialEq)]
enum Call {
    /// `fsync` of a file or directory.
    Sync(PathBuf),
    /// `rename` or `link`.
    Name { from: PathBuf, to: PathBuf },
}

/// The system calls of [`writes`] in order; `None`, said aloud, where they cannot be watched.
fn watch(directory: &Path) -> Option<Vec<Call>> {
    let log = directory.join("log");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "4096", "-e"])
        .arg("trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat")
        .arg("-o")
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "writes"])
        .env(WATCHED, directory)
        .output();
    if !traced.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is not here, or may not watch a process");
        return None;
    }
    let quoted = |line: &str| line.split('"').skip(1).step_by(2).map(PathBuf::from).collect::<Vec<_>>();
    let log = std::fs::read_to_string(log).unwrap();
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let calls = log.lines().filter_map(|line| {
        let (process, call) = line.split_once(' ')?;
        // A call during which another thread made one stands on two lines. It counts from its end.
        if let Some(beginning) = call.strip_suffix("<unfinished ...>") {
            begun.insert(process, beginning);
            return None;
        }
        let call = if call.contains(" resumed>") {
            format!("{}{call}", begun.remove(process)?)
        } else {
            call.into()
        };
        if !call.ends_with("= 0") {
            return None;
        }
        if call.contains("sync(") {
            let path = call.split_once('<')?.1.split_once('>')?.0;
            return Some(Call::Sync(path.into()));
        }
        let [from, to] = quoted(&call).try_into().ok()?;
        Some(Call::Name { from, to })
    });
    Some(calls.collect())
}

#[test]
fn files_are_synced_before_their_names_and_directories_after() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    let Some(calls) = watch(&directory) else { return };
    let synced = |path: &Path, calls: &[Call]| calls.contains(&Call::Sync(path.into()));
    let spooled = directory.join("spool/task01/a.ts");
    let at =
        calls.iter().position(|call| *call == Call::Sync(spooled.clone())).expect("the segment is synced");
    assert!(synced(spooled.parent().unwrap(), &calls[at..]), "{calls:#?}");
    let mut names = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let Call::Name { from, to } = call else { continue };
        assert!(synced(from, &calls[..at]), "{} before its data: {calls:#?}", to.display());
        assert!(synced(to.parent().unwrap(), &calls[at..]), "{} may be lost: {calls:#?}", to.display());
        names.push(to.file_name().unwrap().to_str().unwrap());
    }
    assert_eq!(names, ["a.ts", "a.m3u8", "a.m3u8"], "{calls:#?}");
}
