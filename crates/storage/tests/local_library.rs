//! A folder as the media library.
#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use recorder_storage::{Durability, LibraryError, LocalLibrary, MediaLibrary, MediaSettings, Medium};
use serde_json::Value;

fn index(root: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(root.join("index.jsonl")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn file(root: &Path, name: &str, text: &str) -> Medium {
    let path = root.join(name);
    std::fs::write(&path, text).unwrap();
    Medium::file(name.parse().unwrap(), path)
}

#[tokio::test]
async fn a_medium_has_a_folder_an_address_and_a_line() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for durability in [Durability::Sync, Durability::Relaxed] {
        let root = to.path().join(format!("a b+{durability:?}"));
        let library = LocalLibrary::open(&root, durability).unwrap();
        assert!(library.reopens() && Path::new(library.address()) == root.canonicalize().unwrap());
        let (first, second) = (file(from.path(), "a+b.mp4", "four"), file(from.path(), "a+b.mp4", "five."));
        let mut settings = MediaSettings::default();
        let stored = library.put(&first, &settings).await.unwrap();
        settings.expire_after = Some(Duration::from_secs(60));
        settings.class_id = 3;
        settings.sub_app_id = Some(9);
        settings.procedure = Some("flow".into());
        settings.storage_region = Some("here".into());
        settings.session_context = Some("s".into());
        settings.source_context = Some("\"quoted\"\n".into());
        let segments = vec![("x_1.ts".parse().unwrap(), second.files().next().unwrap().1.to_owned())];
        let list = Medium::hls("x.m3u8".parse().unwrap(), "#EXTM3U\n".into(), segments);
        let other = library.put(&list, &settings).await.unwrap();
        assert_ne!(stored.file_id, other.file_id);
        assert!(stored.file_id.bytes().all(|b| b.is_ascii_digit()) && stored.file_id.len() == 18);
        let path = url::Url::parse(&stored.url).unwrap().to_file_path().unwrap();
        assert!(stored.url.ends_with("/a%2Bb.mp4"), "{}", stored.url);
        assert!(path.is_file());
        assert_eq!(std::fs::read(root.join(&other.file_id).join("x_1.ts")).unwrap(), b"five.");
        assert_eq!(std::fs::read(root.join(&other.file_id).join("x.m3u8")).unwrap(), b"#EXTM3U\n");
        assert!(from.path().join("a+b.mp4").exists(), "the file stays the caller's");

        let lines = index(&root);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["FileId"], &lines[0]["MediaUrl"]),
            (&stored.file_id.into(), &stored.url.into())
        );
        assert_eq!((&lines[0]["MediaType"], &lines[0]["MediaName"]), (&"mp4".into(), &"a+b".into()));
        assert!(lines[0].get("ExpireTime").is_none() && lines[0].get("Procedure").is_none());
        let line = &lines[1];
        assert_eq!(line["ExpireTime"].as_u64().unwrap() - line["CreateTime"].as_u64().unwrap(), 60);
        assert_eq!(
            (line["Bytes"].as_u64(), line["ClassId"].as_u64(), line["SubAppId"].as_u64()),
            (Some(13), Some(3), Some(9))
        );
        assert_eq!((&line["Procedure"], &line["StorageRegion"]), (&"flow".into(), &"here".into()));
        assert_eq!((&line["SessionContext"], &line["SourceContext"]), (&"s".into(), &"\"quoted\"\n".into()));
    }
}

#[tokio::test]
async fn what_cannot_be_put_leaves_nothing_behind() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let library = LocalLibrary::open(to.path(), Durability::Sync).unwrap();
    let good = file(from.path(), "a.ts", "a");
    let segments = vec![
        ("a.ts".parse().unwrap(), good.files().next().unwrap().1.to_owned()),
        ("b.ts".parse().unwrap(), from.path().join("b.ts")),
    ];
    let list = Medium::hls("x.m3u8".parse().unwrap(), "#EXTM3U\n".into(), segments);
    let error = library.put(&list, &MediaSettings::default()).await.unwrap_err();
    assert!(matches!(error, LibraryError::Source { .. }) && !error.is_retryable(), "{error:?}");
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);

    // Not a link either, which could lead anywhere.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(from.path().join("a.ts"), from.path().join("link.ts")).unwrap();
        let link = Medium::file("link.ts".parse().unwrap(), from.path().join("link.ts"));
        assert!(library.put(&link, &MediaSettings::default()).await.is_err());
    }
    // The index cannot be written: what it does not tell is not there.
    std::fs::create_dir(to.path().join("index.jsonl")).unwrap();
    let error = library.put(&good, &MediaSettings::default()).await.unwrap_err();
    assert!(matches!(error, LibraryError::Disk { .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_torn_line_costs_itself_and_no_other() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(to.path().join("index.jsonl"), "{\"FileId\":\"1\"}\n{\"FileId\":\"2").unwrap();
    let library = LocalLibrary::open(to.path(), Durability::Relaxed).unwrap();
    let stored = library.put(&file(from.path(), "a.aac", "a"), &MediaSettings::default()).await.unwrap();
    let ids: Vec<_> = index(to.path()).iter().map(|line| line["FileId"].clone()).collect();
    assert_eq!(ids, ["1".to_owned(), stored.file_id]);
}

#[tokio::test]
async fn a_web_server_may_play_the_folder() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = || LocalLibrary::open(to.path(), Durability::Relaxed).unwrap();
    let library = open().with_base_url("https://media.example/vod").unwrap();
    assert!(!library.reopens(), "another process would not know the address");
    let stored = library.put(&file(from.path(), "a+b.mp4", "a"), &MediaSettings::default()).await.unwrap();
    assert_eq!(stored.url, format!("https://media.example/vod/{}/a%2Bb.mp4", stored.file_id));
    for bad in ["media", "ftp://a/", "https://u:p@a/", "https://a/?b", "https://a/#b", ""] {
        assert!(open().with_base_url(bad).is_err(), "{bad}");
    }
}
