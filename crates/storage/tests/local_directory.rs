//! What only a local directory promises: files are moved, readers see whole texts, nothing is left over.
#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(all(feature = "fs", unix))]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recorder_storage::{Bucket, BucketOptions, Durability, PutMode, StorageError};
use recorder_testkit::storage_suite::{content, file, key};

fn relaxed() -> BucketOptions {
    BucketOptions::default().with_durability(Durability::Relaxed)
}

/// Every name in `directory`, hidden ones too.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_on_the_same_file_system_is_moved_and_not_copied() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    for (mode, durability) in [
        (PutMode::Create, Durability::Sync),
        (PutMode::Create, Durability::Relaxed),
        (PutMode::Replace, Durability::Sync),
    ] {
        let bucket = Bucket::local(&out, BucketOptions::default().with_durability(durability)).unwrap();
        let path = file(root.path(), "a.ts", &content(10_000, 0));
        let inode = std::fs::metadata(&path).unwrap().ino();
        bucket.put_file(&key("t/a.ts"), &path, mode).await.unwrap();
        let stored = std::fs::metadata(out.join("t/a.ts")).unwrap();
        assert_eq!((stored.ino(), stored.nlink()), (inode, 1), "{mode:?}");
        assert!(!path.exists());
        assert_eq!(names(&out.join("t")), ["a.ts"]);
        bucket.delete(&key("t/a.ts")).await.unwrap();
    }
}

#[tokio::test]
async fn a_move_that_was_cut_off_is_finished_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::local(&root.path().join("out"), relaxed()).unwrap();
    let path = file(root.path(), "a.ts", b"x");
    std::fs::create_dir(root.path().join("out/t")).unwrap();
    std::fs::hard_link(&path, root.path().join("out/t/a.ts")).unwrap();
    bucket.put_file(&key("t/a.ts"), &path, PutMode::Create).await.unwrap();
    assert_eq!(bucket.get(&key("t/a.ts")).await.unwrap(), "x");
}

#[tokio::test]
async fn a_file_from_another_file_system_is_copied_whole() {
    let root = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: no /dev/shm");
        return;
    };
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    if device(root.path()) == device(other.path()) {
        println!("skipped: /dev/shm is on the same file system");
        return;
    }
    let bucket = Bucket::local(root.path(), BucketOptions::default()).unwrap();
    let path = file(other.path(), "a.ts", &content(300_000, 0));
    bucket.put_file(&key("t/a.ts"), &path, PutMode::Create).await.unwrap();
    assert_eq!(bucket.get(&key("t/a.ts")).await.unwrap(), content(300_000, 0));
    for (data, same) in [(content(300_000, 0), true), (content(300_000, 1), false)] {
        let again = file(other.path(), "b.ts", &data);
        let put = bucket.put_file(&key("t/a.ts"), &again, PutMode::Create).await;
        assert!(matches!(put, Ok(())) == same && (same || matches!(put, Err(StorageError::Conflict { .. }))));
    }
    bucket.put_file(&key("t/a.ts"), &file(other.path(), "c.ts", b"new"), PutMode::Replace).await.unwrap();
    assert_eq!(bucket.get(&key("t/a.ts")).await.unwrap(), "new");
    assert_eq!(names(&root.path().join("t")), ["a.ts"], "no temporary file is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_only_whole_playlists() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::local(root.path(), relaxed()).unwrap();
    let text = |version: usize| format!("{version:04}").repeat(1 + version * 97);
    bucket.put(&key("t/p.m3u8"), text(0).into()).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (done, path) = (Arc::clone(&done), root.path().join("t/p.m3u8"));
        move || {
            let (mut last, mut seen) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let found = std::fs::read_to_string(&path).unwrap();
                let version: usize = found[..4].parse().unwrap();
                assert_eq!(found, text(version));
                assert!(version >= last);
                seen += usize::from(version > last);
                last = version;
            }
            seen
        }
    });
    for version in 1..400 {
        bucket.put(&key("t/p.m3u8"), text(version).into()).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0, "the reader saw some versions");
    assert_eq!(names(&root.path().join("t")), ["p.m3u8"]);
}

#[tokio::test]
async fn names_that_the_directory_cannot_hold_are_refused_first() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::local(root.path(), relaxed()).unwrap();
    for name in ["a#1".to_owned(), format!("t/{}", "x".repeat(256)), format!("{}/a", "x".repeat(256))] {
        let error = bucket.put(&key(&name), "x".into()).await.unwrap_err();
        assert!(matches!(error, StorageError::InvalidKey { .. }), "{error:?}");
    }
    bucket.put(&key(&"x".repeat(255)), "x".into()).await.unwrap();
}

#[tokio::test]
async fn a_file_in_the_way_of_a_directory_is_the_disks_error() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::local(root.path(), relaxed()).unwrap();
    bucket.put(&key("t"), "x".into()).await.unwrap();
    let path = file(root.path(), "src", b"x");
    for error in [
        bucket.put(&key("t/a"), "x".into()).await.unwrap_err(),
        bucket.put_file(&key("t/a"), &path, PutMode::Create).await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Disk { .. }) && !error.is_retryable(), "{error:?}");
    }
    assert!(path.exists());
    assert!(matches!(Bucket::local(&root.path().join("t"), relaxed()), Err(StorageError::InvalidUrl { .. })));
}

#[tokio::test]
async fn a_symbolic_link_is_not_taken_for_a_file() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::local(&root.path().join("out"), relaxed()).unwrap();
    let target = file(root.path(), "secret", b"x");
    let link = root.path().join("a.ts");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let error = bucket.put_file(&key("t/a.ts"), &link, PutMode::Create).await.unwrap_err();
    assert!(matches!(error, StorageError::Source { .. }), "{error:?}");
    assert!(target.exists());
}
