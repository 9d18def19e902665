//! What the tests of this crate share: one suite for every backend, and a store that fails on command.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "every test binary uses its part"
)]

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use recorder_storage::{Bucket, ObjectKey, PutMode, StorageError};

pub fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// `len` bytes that differ from place to place.
pub fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
}

pub fn file(directory: &std::path::Path, name: &str, data: &[u8]) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::File::create(&path).unwrap().write_all(data).unwrap();
    path
}

/// What every backend promises. `bucket` is empty, or at least has nothing under `suite/`; `large` is a size in bytes
/// above the bucket's part size.
pub async fn suite(bucket: &Bucket, large: usize) {
    let spool = tempfile::tempdir().unwrap();
    let names = |objects: Vec<recorder_storage::ObjectInfo>| {
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

/// A store in memory that fails as told, and watches the promise that no playlist names a missing segment.
#[derive(Debug)]
pub struct FaultyStore {
    pub inner: InMemory,
    /// Every request fails while set.
    pub down: AtomicBool,
    /// Every put is answered with 403 while set.
    pub denied: AtomicBool,
    /// Chance in 1000 that a request fails before it does anything.
    pub errors: AtomicU64,
    /// Chance in 1000 that a put does its work and its answer gets lost.
    pub lost_replies: AtomicU64,
    /// The longest that a request takes, in milliseconds.
    pub slow: AtomicU64,
    pub puts: AtomicUsize,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
    pub aborted: Arc<AtomicUsize>,
    pub violations: Mutex<Vec<String>>,
    /// Text of every playlist put, in order.
    pub playlists: Mutex<Vec<(String, Bytes)>>,
    state: AtomicU64,
}

impl FaultyStore {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            down: AtomicBool::new(false),
            denied: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            lost_replies: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            puts: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            aborted: Arc::default(),
            violations: Mutex::default(),
            playlists: Mutex::default(),
            state: AtomicU64::new(seed),
        })
    }

    fn random(&self, below: u64) -> u64 {
        let state = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn hit(&self, chance: &AtomicU64) -> bool {
        self.random(1000) < chance.load(Ordering::Relaxed)
    }

    async fn request(&self) -> Result<()> {
        let slow = self.slow.load(Ordering::Relaxed);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(self.random(slow))).await;
        }
        if self.down.load(Ordering::Relaxed) || self.hit(&self.errors) {
            return Err(generic("connection reset by peer"));
        }
        Ok(())
    }

    async fn watch(&self, location: &Path, payload: &PutPayload) {
        if !location.as_ref().ends_with(".m3u8") {
            return;
        }
        let text: Bytes = payload.clone().into();
        for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.starts_with('#')) {
            let directory = location.as_ref().rsplit_once('/').unwrap().0;
            let segment = Path::parse(format!("{directory}/{line}")).unwrap();
            if self.inner.head(&segment).await.is_err() {
                self.violations.lock().unwrap().push(format!("{location} names {line}"));
            }
        }
        self.playlists.lock().unwrap().push((location.to_string(), text));
    }
}

fn generic(text: &str) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: text.into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        let requested = self.request().await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        requested?;
        if self.denied.load(Ordering::Relaxed) {
            let body = "status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code>\
                        <Message>AccessKey invalid</Message></Error>";
            return Err(object_store::Error::PermissionDenied {
                path: location.to_string(),
                source: body.into(),
            });
        }
        self.watch(location, &payload).await;
        let stored = self.inner.put_opts(location, payload, opts).await?;
        if self.hit(&self.lost_replies) { Err(generic("reply lost")) } else { Ok(stored) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.request().await?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let (fail, lose) = (self.hit(&self.errors), self.hit(&self.lost_replies));
        Ok(Box::new(FaultyUpload { inner, fail, lose, parts: 0, aborted: Arc::clone(&self.aborted) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.request().await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Fails its second part, or loses the reply of its completion.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fail: bool,
    lose: bool,
    parts: usize,
    aborted: Arc<AtomicUsize>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts += 1;
        if self.fail && self.parts == 2 {
            return Box::pin(async { Err(generic("part lost")) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await?;
        if self.lose { Err(generic("reply lost")) } else { Ok(done) }
    }

    async fn abort(&mut self) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}
