//! What the tests of this crate share: a store that fails on command.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "every test binary uses its part"
)]

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

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

/// The door for parts of a store in memory, which does with each part what it is told, by the part's number and the number of its tries before.
pub struct PartStore {
    pub inner: Arc<InMemory>,
    plan: Box<dyn Fn(usize, usize) -> PartFate + Send + Sync>,
    state: Mutex<PartState>,
    failing_aborts: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
pub enum PartFate {
    Take,
    Fail,
    Refuse,
    Stall,
}

#[derive(Debug, Default)]
struct PartState {
    begun: usize,
    open: std::collections::HashSet<MultipartId>,
    tries: Vec<usize>,
}

impl PartStore {
    pub const TAKE: PartFate = PartFate::Take;
    pub const FAIL: PartFate = PartFate::Fail;
    pub const REFUSE: PartFate = PartFate::Refuse;
    pub const STALL: PartFate = PartFate::Stall;

    pub fn new(plan: impl Fn(usize, usize) -> PartFate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::default(),
            plan: Box::new(plan),
            state: Mutex::default(),
            failing_aborts: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
        })
    }

    pub fn fail_aborts(&self, count: usize) {
        self.failing_aborts.store(count, Ordering::SeqCst);
    }

    /// Uploads that were begun.
    pub fn begun(&self) -> usize {
        self.state.lock().unwrap().begun
    }

    /// Uploads that were neither completed nor aborted.
    pub fn open(&self) -> usize {
        self.state.lock().unwrap().open.len()
    }

    /// How often each part was sent.
    pub fn sent(&self) -> Vec<usize> {
        self.state.lock().unwrap().tries.clone()
    }

    pub fn most_running(&self) -> usize {
        self.most_running.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl MultipartStore for PartStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let id = self.inner.create_multipart(path).await?;
        let mut state = self.state.lock().unwrap();
        state.begun += 1;
        state.open.insert(id.clone());
        Ok(id)
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, at: usize, data: PutPayload) -> Result<PartId> {
        let fate = {
            let mut state = self.state.lock().unwrap();
            if state.tries.len() <= at {
                state.tries.resize(at + 1, 0);
            }
            state.tries[at] += 1;
            (self.plan)(at, state.tries[at] - 1)
        };
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        match fate {
            PartFate::Take => self.inner.put_part(path, id, at, data).await,
            PartFate::Fail => Err(generic("part lost")),
            PartFate::Refuse => {
                let body = "status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>";
                Err(object_store::Error::PermissionDenied { path: path.to_string(), source: body.into() })
            }
            PartFate::Stall => std::future::pending().await,
        }
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let done = self.inner.complete_multipart(path, id, parts).await?;
        self.state.lock().unwrap().open.remove(id);
        Ok(done)
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let failing = self.failing_aborts.load(Ordering::SeqCst);
        if failing > 0 {
            self.failing_aborts.store(failing - 1, Ordering::SeqCst);
            return Err(generic("abort lost"));
        }
        self.inner.abort_multipart(path, id).await?;
        self.state.lock().unwrap().open.remove(id);
        Ok(())
    }
}
