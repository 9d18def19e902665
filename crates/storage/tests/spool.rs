//! The spool: names written once, limits, playlists that grow on disk.
#![allow(clippy::unwrap_used, reason = "tests")]

use recorder_storage::{Durability, PlaylistEnd, Spool, SpoolError, SpoolOptions};
use recorder_types::{ObjectName, TaskId};

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn task() -> TaskId {
    "task01".parse().unwrap()
}

#[test]
fn a_closed_file_holds_what_was_appended() {
    let root = tempfile::tempdir().unwrap();
    for durability in [Durability::Sync, Durability::Relaxed] {
        let spool = Spool::open(&root.path().join("deep/er"), &task(), durability).unwrap();
        let mut file = spool.create(&name("a.ts")).unwrap();
        file.append(b"one").unwrap();
        file.append(b"").unwrap();
        file.append(b" two").unwrap();
        assert_eq!((file.len(), spool.used()), (7, 7));
        let closed = file.close().unwrap();
        assert_eq!((closed.len(), closed.name()), (7, &name("a.ts")));
        assert_eq!(std::fs::read(closed.path()).unwrap(), b"one two");
        assert!(matches!(spool.create(&name("a.ts")), Err(SpoolError::Exists { .. })));
        std::fs::remove_file(closed.path()).unwrap();
    }
}

#[test]
fn files_that_are_cut_together_are_closed_together() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), Durability::Sync).unwrap();
    let files = ["a", "b", "c"].map(|text| {
        let mut file = spool.create(&name(text)).unwrap();
        file.append(text.as_bytes()).unwrap();
        file
    });
    let closed: Vec<_> = spool.close_all(files.into()).into_iter().map(Result::unwrap).collect();
    assert_eq!(closed.iter().map(|file| file.name().as_str()).collect::<String>(), "abc");
}

#[test]
fn discarding_gives_the_room_back() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), SpoolOptions::default().with_limit(10)).unwrap();
    let mut file = spool.create(&name("a.ts")).unwrap();
    file.append(&[0; 8]).unwrap();
    let error = file.append(&[0; 3]).unwrap_err();
    assert!(matches!(error, SpoolError::Full { used: 8, need: 3, limit: 10 }) && error.is_full());
    file.append(&[0; 2]).unwrap();
    assert_eq!((file.len(), spool.used()), (10, 10));
    file.discard();
    assert_eq!(spool.used(), 0);
    assert!(spool.create(&name("a.ts")).is_ok(), "the name is free again");
}

#[test]
fn what_an_earlier_run_left_counts() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), Durability::Relaxed).unwrap();
    spool.create(&name("a.ts")).unwrap().append(&[0; 8]).unwrap();
    drop(spool);
    let spool = Spool::open(root.path(), &task(), SpoolOptions::default().with_limit(10)).unwrap();
    assert_eq!(spool.used(), 8);
    assert!(spool.create(&name("b.ts")).unwrap().append(&[0; 3]).unwrap_err().is_full());
}

#[test]
fn a_playlist_version_does_not_change_any_more() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(root.path(), &task(), Durability::Sync).unwrap();
    let list = name("a.m3u8");
    let empty = spool.playlist_version(&list, "#HEAD:0\n", PlaylistEnd::Open);
    spool.append_playlist(&list, "one\n").unwrap();
    let first = spool.playlist_version(&list, "#HEAD:1\n", PlaylistEnd::Open);
    spool.append_playlist(&list, "two\n").unwrap();
    let last = spool.playlist_version(&list, "#HEAD:2\n", PlaylistEnd::Ended);
    for (version, text) in
        [(empty, "#HEAD:0\n"), (first, "#HEAD:1\none\n"), (last, "#HEAD:2\none\ntwo\n#EXT-X-ENDLIST\n")]
    {
        assert_eq!(version.text().unwrap(), text);
    }
    assert_eq!(spool.playlist_text(&list, "", PlaylistEnd::Open).unwrap(), "one\ntwo\n");
    let other = name("b.m3u8");
    spool.append_playlist(&other, "other\n").unwrap();
    assert_eq!(spool.playlist_text(&list, "", PlaylistEnd::Open).unwrap(), "one\ntwo\n");
}

#[cfg(unix)]
#[test]
fn planted_links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), root.path().join("task01")).unwrap();
    let error = Spool::open(root.path(), &task(), Durability::Relaxed).unwrap_err();
    assert!(matches!(error, SpoolError::NotADirectory { .. }), "{error:?}");

    let other: TaskId = "task02".parse().unwrap();
    let mut spool = Spool::open(root.path(), &other, Durability::Relaxed).unwrap();
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, spool.directory().join("a.ts")).unwrap();
    symlink(elsewhere.path().join("new"), spool.directory().join("b.ts")).unwrap();
    symlink(&victim, spool.directory().join(".p.m3u8")).unwrap();
    assert!(matches!(spool.create(&name("a.ts")), Err(SpoolError::Exists { .. })));
    assert!(matches!(spool.create(&name("b.ts")), Err(SpoolError::Exists { .. })));
    assert!(spool.append_playlist(&name("p.m3u8"), "x").is_err());
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert!(!elsewhere.path().join("new").exists());
}

#[test]
fn a_vanished_directory_is_the_disks_error() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), Durability::Sync).unwrap();
    let mut file = spool.create(&name("a.ts")).unwrap();
    file.append(b"x").unwrap();
    std::fs::remove_dir_all(spool.directory()).unwrap();
    assert!(matches!(spool.create(&name("b.ts")), Err(SpoolError::Disk { .. })));
    assert!(matches!(file.close(), Err(SpoolError::Disk { .. })), "its entry cannot be synced: not closed");
}

#[test]
fn pieces_are_written_like_one_and_within_the_limit() {
    use std::io::{IoSlice, Write};
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), SpoolOptions::default().with_limit(10)).unwrap();
    let mut file = spool.create(&name("a.mp4")).unwrap();
    assert_eq!(file.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b" two")]).unwrap(), 7);
    let error = file.write_vectored(&[IoSlice::new(b"three"), IoSlice::new(b"")]).unwrap_err();
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<SpoolError>()).unwrap();
    assert!(matches!(error, SpoolError::Full { used: 7, need: 5, limit: 10 }));
    file.write_all(b"end").unwrap();
    assert_eq!((file.len(), spool.used()), (10, 10));
    let closed = file.close().unwrap();
    assert_eq!(std::fs::read(closed.path()).unwrap(), b"one twoend");
    closed.discard();
    assert_eq!(spool.used(), 0);
    assert!(spool.adopt(&name("a.mp4")).is_err());
}

#[test]
fn a_closed_file_is_taken_up_again_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &task(), Durability::Relaxed).unwrap();
    let mut file = spool.create(&name("a.ts")).unwrap();
    file.append(b"bytes").unwrap();
    drop(file.close().unwrap());
    assert_eq!(spool.adopt(&name("a.ts")).unwrap().len(), 5);
    spool.discard(&name("a.ts"));
    spool.discard(&name("a.ts"));
    assert_eq!(spool.used(), 0);
}
