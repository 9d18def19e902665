//! What every bucket promises, whatever is behind it.
#![allow(clippy::unwrap_used, reason = "it is the body of tests")]

use std::io::Write;

use bytes::Bytes;
use recorder_storage::{Bucket, ObjectInfo, ObjectKey, PutMode, StorageError};

/// The key.
///
/// # Panics
/// If the text is no key.
#[must_use]
pub fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// `len` bytes that differ from place to place.
#[must_use]
pub fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ seed).collect()
}

/// A file with these bytes.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn file(directory: &std::path::Path, name: &str, data: &[u8]) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::File::create(&path).unwrap().write_all(data).unwrap();
    path
}

/// What every backend promises. `bucket` is empty, or at least has nothing under `suite/`; `large` is a size in bytes
/// above the bucket's part size.
///
/// # Panics
/// Where a promise is broken.
pub async fn storage_suite(bucket: &Bucket, large: usize) {
    let spool = tempfile::tempdir().unwrap();
    let names = |objects: Vec<ObjectInfo>| {
        objects.into_iter().map(|object| (object.key.to_string(), object.size)).collect::<Vec<_>>()
    };
    let root = key("suite");
    assert_eq!(bucket.list(Some(&root)).await.unwrap(), [], "a directory that is not there is empty");

    // Replacing puts.
    let playlist = key("suite/task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_audio.m3u8");
    assert!(matches!(bucket.get(&playlist).await, Err(StorageError::NotFound { .. })));
    assert!(matches!(bucket.size(&playlist).await, Err(StorageError::NotFound { .. })));
    assert!(matches!(bucket.get_range(&playlist, 0..1).await, Err(StorageError::NotFound { .. })));
    for text in ["one", "", "another, longer"] {
        bucket.put(&playlist, text.into()).await.unwrap();
        assert_eq!(bucket.get(&playlist).await.unwrap(), text);
    }

    // Files: small, empty, larger than a part; creating is for once, the same bytes are a success.
    let sizes = [0, 1, 188 * 100, large, large + 1];
    for (index, size) in sizes.into_iter().enumerate() {
        let segment = key(&format!("suite/task01/s+{index}..ts"));
        let data = content(size, 1);
        bucket.put_file(&segment, &file(spool.path(), "a", &data), PutMode::Create).await.unwrap();
        assert_eq!(bucket.get(&segment).await.unwrap(), data, "{size} bytes");
        let bytes = u64::try_from(size).unwrap();
        assert_eq!(bucket.size(&segment).await.unwrap(), bytes);
        if size > 0 {
            let middle = bucket.get_range(&segment, bytes / 2..bytes + 1).await.unwrap();
            assert_eq!(middle, data.get(size / 2..).unwrap(), "{size} bytes, from the middle on");
        }
        bucket.put_file(&segment, &file(spool.path(), "b", &data), PutMode::Create).await.unwrap();

        let mut others = vec![content(size + 1, 1)];
        if size > 0 {
            others.push(content(size, 2));
            others.push(content(size - 1, 1));
        }
        for other in others {
            let path = file(spool.path(), "c", &other);
            let error = bucket.put_file(&segment, &path, PutMode::Create).await.unwrap_err();
            assert!(matches!(error, StorageError::Conflict { .. }), "{size} bytes: {error:?}");
            assert!(!error.is_retryable());
            assert!(path.exists(), "what was not taken stays");
        }
        assert_eq!(bucket.get(&segment).await.unwrap(), data, "the first stays");
    }
    let replaced = key("suite/task01/s+1..ts");
    bucket.put_file(&replaced, &file(spool.path(), "d", b"new"), PutMode::Replace).await.unwrap();
    assert_eq!(bucket.get(&replaced).await.unwrap(), "new");
    let gone = spool.path().join("none");
    let error = bucket.put_file(&key("suite/x"), &gone, PutMode::Create).await.unwrap_err();
    assert!(matches!(error, StorageError::Source { .. }), "{error:?}");

    // Names are kept byte for byte, and a listing shows them all and nothing else.
    for name in ["suite/u/\u{5f20}\u{4e09}", "suite/u/%2F", "suite/u/a b", "suite/u/a#b", "suite/u/sub/x"] {
        bucket.put(&key(name), Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(bucket.get(&key(name)).await.unwrap(), "x", "{name}");
    }
    assert_eq!(
        names(bucket.list(Some(&key("suite/u"))).await.unwrap()),
        ["suite/u/%2F", "suite/u/a b", "suite/u/a#b", "suite/u/sub/x", "suite/u/\u{5f20}\u{4e09}"]
            .map(|name| (name.to_owned(), 1))
    );
    assert_eq!(bucket.list(Some(&key("suite/task01"))).await.unwrap().len(), 1 + sizes.len());

    // Deleting, also of what is not there.
    for object in bucket.list(Some(&root)).await.unwrap() {
        bucket.delete(&object.key).await.unwrap();
        bucket.delete(&object.key).await.unwrap();
    }
    bucket.delete(&key("suite/never/there")).await.unwrap();
    assert_eq!(bucket.list(Some(&root)).await.unwrap(), []);
}
