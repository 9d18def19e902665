use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use recorder::callback::{CallbackBody, LeaveCode, Payload};
use recorder::storage::{Bucket, Durability, RetryOptions, UploaderOptions};
use recorder::types::{MediaId, RoomTime};
use recorder::{
    ClockMode, Now, Recorder, RecorderOptions, Recording, RecordingOptions, RoomEvent, TaskOptions,
    TrackOrigin,
};
use recorder_testkit::hostile::Random;

use super::media::{Source, camera, microphone};
use super::{WALL, id, wall};

/// Longest that a test waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Alice's microphone and camera for so many seconds, by a clock that is told; then the task is stopped.
pub fn call(seconds: i64) -> Vec<(Now, RoomEvent)> {
    let user = id("alice");
    let at = |room: RoomTime| Now { room, wall: wall(WALL).saturating_add_millis(room.round_to_millis()) };
    let mut events = vec![(at(RoomTime::ZERO), RoomEvent::Enter { user: user.clone() })];
    let mut sources = [microphone(), camera()];
    for source in &sources {
        let publish = RoomEvent::Publish {
            user: user.clone(),
            media: MediaId::Main,
            config: source.config(),
            origin: TrackOrigin::FirstArrival,
        };
        events.push((at(RoomTime::ZERO), publish));
    }
    loop {
        let next = |source: &Source| source.next_at().unwrap();
        let source = sources.iter_mut().min_by_key(|source| next(source)).unwrap();
        let room = next(source);
        if room >= RoomTime::from_secs(seconds) {
            break;
        }
        let (media, kind, sample) = (MediaId::Main, source.kind(), source.next());
        events.push((at(room), RoomEvent::Sample { user: user.clone(), media, kind, sample }));
    }
    let end = at(RoomTime::from_secs(seconds));
    events.push((end, RoomEvent::Stop { code: LeaveCode::API_STOP }));
    events
}

pub async fn send(recording: &Recording, events: Vec<(Now, RoomEvent)>) {
    for (now, event) in events {
        recording.event_at(now, event).await.unwrap();
    }
}

/// Copies a directory that may be written to meanwhile: what a process that dies now would leave.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            // A file may be on its way from the one to the other.
            let _ = std::fs::copy(entry.path(), to);
        }
    }
}

/// What a process that dies after so many seconds of a call leaves of a recording with these options.
pub async fn dies(options: RecordingOptions, seconds: i64) -> tempfile::TempDir {
    let live = tempfile::tempdir().unwrap();
    let recording = recorder(live.path()).start(options).unwrap();
    for (now, event) in call(60) {
        if now.room > RoomTime::from_secs(seconds) {
            break;
        }
        recording.event_at(now, event).await.unwrap();
    }
    recording.describe().await.unwrap();
    let root = tempfile::tempdir().unwrap();
    copy(live.path(), root.path());
    root
}

/// Starts with a spool of its own in `root`, relaxed: these tests do not cut the power.
pub fn recorder(root: &std::path::Path) -> Recorder {
    Recorder::new(recorder_options(root))
}

pub fn recorder_options(root: &std::path::Path) -> RecorderOptions {
    RecorderOptions::new(root.join("spool")).with_durability(Durability::Relaxed)
}

/// By a clock that is told, with little patience for a store that is away.
pub fn told(task: TaskOptions, bucket: Bucket) -> RecordingOptions {
    live(task, bucket).with_clock(ClockMode::Told { start: wall(WALL) })
}

pub fn live(task: TaskOptions, bucket: Bucket) -> RecordingOptions {
    let retry = RetryOptions::default().with_tries(2).with_base(Duration::from_millis(1)).with_seed(1);
    let uploader =
        UploaderOptions::default().with_retry(retry).with_redeliver_every(Duration::from_secs(86_400));
    RecordingOptions::new(task, bucket).with_uploader(uploader)
}

/// Every object of a bucket.
pub async fn objects(bucket: &Bucket) -> BTreeMap<String, Bytes> {
    let mut objects = BTreeMap::new();
    for object in bucket.list(None).await.unwrap() {
        objects.insert(object.key.to_string(), bucket.get(&object.key).await.unwrap());
    }
    objects
}

/// Every playlist has its end and names only segments that are there, and each as long as it says.
#[track_caller]
pub fn assert_whole(objects: &BTreeMap<String, Bytes>) {
    for (name, text) in objects.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
        let directory = name.rsplit_once('/').unwrap().0;
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{name}:\n{text}");
        let lookup = |segment: &str| Some(objects.get(&format!("{directory}/{segment}"))?.to_vec());
        let broken = recorder_testkit::hls_rules::check(text, lookup);
        assert!(broken.is_empty(), "{name}: {broken:#?}\n{text}");
    }
}

/// Collects events, and lets a test wait for one.
#[derive(Clone, Debug)]
pub struct Events {
    all: Arc<Mutex<Vec<Payload>>>,
    count: tokio::sync::watch::Sender<usize>,
}

impl Events {
    pub fn new() -> Self {
        Self { all: Arc::default(), count: tokio::sync::watch::Sender::new(0) }
    }

    pub fn sink(&self) -> impl Fn(&CallbackBody) + Send + Sync + 'static {
        let events = self.clone();
        move |body| {
            events.all.lock().unwrap().push(body.event().payload().clone());
            events.count.send_modify(|count| *count += 1);
        }
    }

    pub fn all(&self) -> Vec<Payload> {
        self.all.lock().unwrap().clone()
    }

    pub fn numbers(&self) -> Vec<u32> {
        self.all().iter().map(|payload| payload.event_type().number()).collect()
    }

    /// Waits until there is an event that `wanted` takes.
    pub async fn wait(&self, wanted: impl Fn(&Payload) -> bool) {
        let mut count = self.count.subscribe();
        let found = count.wait_for(|_| self.all().iter().any(&wanted));
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes").unwrap();
    }
}

/// A store in memory that can be away, and watches that no playlist names a segment which is not there.
#[derive(Debug, Default)]
pub struct FaultyStore {
    inner: InMemory,
    pub down: AtomicBool,
    /// Answers with 403 instead.
    pub denied: AtomicBool,
    /// Takes playlists and segments only.
    pub no_files: AtomicBool,
    pub violations: Mutex<Vec<String>>,
    /// Half of the puts fail, are slow, or are done and say that they failed, by this seed.
    pub troubles: Mutex<Option<Random>>,
    running: AtomicUsize,
    /// The most puts that were on their way at a time.
    pub most_running: AtomicUsize,
}

impl FaultyStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), ..Self::default() })
    }

    pub fn bucket(self: &Arc<Self>) -> Bucket {
        Bucket::from_store(self.clone(), None, recorder::storage::BucketOptions::default())
    }

    fn request(&self, location: &Path) -> Result<()> {
        if self.down.load(Ordering::SeqCst) {
            return Err(reset());
        }
        let is_file = location.as_ref().ends_with(".mp4") || location.as_ref().ends_with(".aac");
        if self.denied.load(Ordering::SeqCst) || (is_file && self.no_files.load(Ordering::SeqCst)) {
            let source = "status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code>\
                          <Message>AccessKey invalid</Message></Error>";
            return Err(object_store::Error::PermissionDenied {
                path: location.to_string(),
                source: source.into(),
            });
        }
        Ok(())
    }

    async fn watch(&self, location: &Path, payload: &PutPayload) {
        if !location.as_ref().ends_with(".m3u8") {
            return;
        }
        let text = Bytes::from(payload.clone());
        let directory = location.as_ref().rsplit_once('/').unwrap().0;
        for line in std::str::from_utf8(&text).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let segment = Path::parse(format!("{directory}/{line}")).unwrap();
            if self.inner.head(&segment).await.is_err() {
                self.violations.lock().unwrap().push(format!("{location} names {line}"));
            }
        }
    }
}

fn reset() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "connection reset".into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.request(location)?;
        let troubles =
            self.troubles.lock().unwrap().as_mut().map(|random| (random.below(6), random.below(20)));
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        if let Some((1, seconds)) = troubles {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        let put = async {
            self.watch(location, &payload).await;
            self.inner.put_opts(location, payload, opts).await
        };
        let done = match troubles {
            Some((2, _)) => Err(reset()),
            Some((3, _)) => put.await.and(Err(reset())),
            _ => put.await,
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        done
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.request(location)?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.request(location)?;
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
