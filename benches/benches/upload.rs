//! Whether uploading keeps up: a hundred tasks of 25 streams of 1 Mbit/s each, in segments of 10 s, into a store that
//! answers every request after 200 ms and keeps nothing.
//!
//! `cargo bench -p recorder-benches --bench upload -- [SECONDS [TASKS]]` (default 30 and 100). Tells the CPU time of the whole
//! process but for the threads that write the segments, the longest backlog, and the most memory. The spool is under the
//! system's temporary directory and not synced: it is the upload that is looked at.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use recorder::storage::{
    Bucket, BucketOptions, Durability, Finished, ObjectKey, PlaylistEnd, Spool, Uploader, UploaderOptions,
};
use rustix::time::{ClockId, clock_gettime};

const STREAMS: usize = 25;
const SEGMENT_SECONDS: u64 = 10;
/// 1 Mbit/s.
const SEGMENT_BYTES: usize = 1_250_000;
const WRITERS: usize = 2;
const ANSWER: Duration = Duration::from_millis(200);

/// Takes everything and keeps nothing.
#[derive(Debug, Default)]
struct Slow {
    puts: AtomicU64,
    bytes: AtomicU64,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

fn refused<T>() -> Result<T> {
    Err(object_store::Error::NotSupported { source: "nothing but puts".into() })
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(&self, _: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.most.fetch_max(self.running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::time::sleep(ANSWER).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(payload.content_length() as u64, Ordering::Relaxed);
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        refused()
    }

    async fn get_opts(&self, _: &Path, _: GetOptions) -> Result<GetResult> {
        refused()
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        paths
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Box::pin(futures_util::stream::empty())
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        refused()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        refused()
    }
}

fn cpu(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()).as_secs_f64()
}

struct Task {
    spool: Spool,
    uploader: Arc<Uploader>,
}

/// Writes the segments of `tasks` when they are due, evenly over their 10 s; gives the CPU time of that.
fn write(mut tasks: Vec<Task>, seconds: u64) -> (f64, Vec<Task>) {
    let data = vec![7; SEGMENT_BYTES];
    let begun = Instant::now();
    let all = tasks.len() * STREAMS;
    for number in 0..seconds / SEGMENT_SECONDS {
        for at in 0..all {
            let due = Duration::from_secs(SEGMENT_SECONDS).mul_f64(at as f64 / all as f64);
            let due = Duration::from_secs(number * SEGMENT_SECONDS) + due;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            let Task { spool, uploader } = &mut tasks[at / STREAMS];
            let stream = at % STREAMS;
            let (segment, playlist) =
                (format!("{stream}_{number}.ts"), format!("{stream}.m3u8").parse().unwrap());
            let mut file = spool.create(&segment.parse().unwrap()).unwrap();
            for piece in data.chunks(128 << 10) {
                file.append(piece).unwrap();
            }
            uploader.segment(&playlist, file.close().unwrap()).unwrap();
            spool.append_playlist(&playlist, &format!("#EXTINF:10.000,\n{segment}\n")).unwrap();
            uploader.playlist(spool.playlist_version(&playlist, "#EXTM3U\n", PlaylistEnd::Open)).unwrap();
        }
    }
    println!("  written in {:.1} s", begun.elapsed().as_secs_f64());
    (cpu(ClockId::ThreadCPUTime), tasks)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (seconds, count) = (
        numbers.first().copied().unwrap_or(30),
        usize::try_from(numbers.get(1).copied().unwrap_or(100)).unwrap(),
    );
    let (root, store) = (tempfile::tempdir().unwrap(), Arc::new(Slow::default()));
    let mut shares: Vec<Vec<Task>> = (0..WRITERS).map(|_| Vec::new()).collect();
    let mut uploaders = Vec::new();
    for number in 0..count {
        let task = format!("task{number}").parse().unwrap();
        let spool = Spool::open(root.path(), &task, Durability::Relaxed).unwrap();
        let bucket = Bucket::from_store(store.clone(), None, BucketOptions::default());
        let directory = ObjectKey::of_task(["rec"], &task).unwrap();
        let (uploader, _reports) = Uploader::spawn(bucket, directory, &spool, UploaderOptions::default());
        let uploader = Arc::new(uploader);
        uploaders.push(Arc::clone(&uploader));
        shares[number % WRITERS].push(Task { spool, uploader });
    }
    let before = cpu(ClockId::ProcessCPUTime);
    let begun = Instant::now();
    let writers: Vec<_> =
        shares.into_iter().map(|tasks| std::thread::spawn(move || write(tasks, seconds))).collect();
    let (mut most, mut lag) = (0, Duration::ZERO);
    while writers.iter().any(|writer| !writer.is_finished()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let backlogs = uploaders.iter().map(|uploader| uploader.backlog());
        let (files, longest) =
            backlogs.fold((0, Duration::ZERO), |(files, longest), b| (files + b.files, longest.max(b.lag)));
        (most, lag) = (most.max(files), lag.max(longest));
    }
    let wrote: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let written = Instant::now();
    let finished = join_all(uploaders.iter().map(|uploader| uploader.finish())).await;
    assert!(finished.iter().all(|finished| *finished == Finished::Delivered));
    let (tail, took) = (written.elapsed(), begun.elapsed().as_secs_f64());
    let used = cpu(ClockId::ProcessCPUTime) - before - wrote.iter().map(|(time, _)| time).sum::<f64>();
    let (puts, bytes) = (store.puts.load(Ordering::Relaxed), store.bytes.load(Ordering::Relaxed));
    println!("  {count} tasks of {STREAMS} streams: {puts} puts, {:.0} MB/s", bytes as f64 / took / 1e6);
    println!(
        "  to upload: {:.1} % of a core; {:.2} s after the last segment",
        100.0 * used / took,
        tail.as_secs_f64()
    );
    println!(
        "  at most {most} files waiting, for {:.2} s; {} puts at a time",
        lag.as_secs_f64(),
        store.most.load(Ordering::Relaxed)
    );
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        println!("  {peak}");
    }
}
