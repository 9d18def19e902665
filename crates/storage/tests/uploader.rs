//! The uploader against a store in memory that fails as told, under a paused clock.
#![allow(clippy::unwrap_used, reason = "tests")]

mod testing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::ObjectStore;
use recorder_storage::{
    Backlog, Bucket, BucketOptions, Durability, Finished, Lease, ObjectKey, PlaylistEnd, Report, Reports,
    RetryOptions, Spool, Uploader, UploaderOptions,
};
use recorder_testkit::storage_suite::key;
use recorder_types::ObjectName;
use testing::FaultyStore;

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn options(seed: u64) -> UploaderOptions {
    UploaderOptions::default().with_retry(RetryOptions::default().with_seed(seed))
}

struct Task {
    spool: Spool,
    uploader: Uploader,
    reports: Reports,
    segments: Vec<u64>,
}

impl Task {
    fn new(root: &Path, store: Arc<dyn ObjectStore>, options: UploaderOptions) -> Self {
        let spool = Spool::open(root, &"task01".parse().unwrap(), Durability::Relaxed).unwrap();
        let bucket = Bucket::from_store(store, None, BucketOptions::default());
        let (uploader, reports) = Uploader::spawn(bucket, directory(), &spool, options);
        Self { spool, uploader, reports, segments: vec![0; 3] }
    }

    /// A segment of `track` and the playlist that lists it.
    fn segment(&mut self, track: usize) {
        let number = self.segments[track];
        self.segments[track] += 1;
        let (segment, playlist) = (name(&format!("{track}_{number}.ts")), playlist(track));
        let mut file = self.spool.create(&segment).unwrap();
        file.append(format!("bytes of {segment}").as_bytes()).unwrap();
        self.uploader.segment(&playlist, file.close().unwrap()).unwrap();
        self.spool.append_playlist(&playlist, &format!("{segment}\n")).unwrap();
        self.playlist(track, PlaylistEnd::Open);
    }

    fn playlist(&self, track: usize, end: PlaylistEnd) {
        let version = self.spool.playlist_version(&playlist(track), "#EXTM3U\n", end);
        self.uploader.playlist(version).unwrap();
    }

    fn end(&self) {
        for track in 0..self.segments.len() {
            self.playlist(track, PlaylistEnd::Ended);
        }
    }

    fn read(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.reports.try_recv()).map(|report| show(&report)).collect()
    }
}

fn directory() -> ObjectKey {
    key("rec/task01")
}

fn playlist(track: usize) -> ObjectName {
    name(&format!("{track}.m3u8"))
}

fn show(report: &Report) -> String {
    match report {
        Report::SegmentStored { name } => format!("stored {name}"),
        Report::PlaylistStored { name, segments } => format!("stored {name} {segments}"),
        Report::Kept { name, .. } => format!("kept {name}"),
        Report::Error { code, .. } => format!("error {code}"),
        Report::AllDelivered => "all delivered".into(),
        other => panic!("{other:?}"),
    }
}

/// Everything that the task handed over is in the store, and the spool is gone.
async fn assert_delivered(task: &Task, store: &FaultyStore) {
    assert_eq!(*store.violations.lock().unwrap(), [""; 0]);
    let bucket = Bucket::from_store(Arc::new(store.inner.fork()), None, BucketOptions::default());
    for (track, count) in task.segments.iter().enumerate() {
        let mut text = String::from("#EXTM3U\n");
        for number in 0..*count {
            let segment = name(&format!("{track}_{number}.ts"));
            text.push_str(&format!("{segment}\n"));
            let data = bucket.get(&directory().join(&segment).unwrap()).await.unwrap();
            assert_eq!(data, format!("bytes of {segment}"));
        }
        text.push_str("#EXT-X-ENDLIST\n");
        assert_eq!(bucket.get(&directory().join(&playlist(track)).unwrap()).await.unwrap(), text);
    }
    assert!(!task.spool.directory().exists(), "nothing is left in the spool");
    assert_eq!(task.spool.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn reports_come_in_order_and_the_spool_goes_away() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    let mut task = Task::new(root.path(), store.clone(), options(1).with_parallel(1));
    task.segment(0);
    task.segment(0);
    task.end();
    assert_eq!(task.uploader.finish().await, Finished::Delivered);
    // Playlists 1 and 2 have no segments. Playlist 0 is put only once with both: the uploader saw both come in.
    let reports = task.read();
    let place = |line: &str| {
        reports.iter().position(|found| found == line).unwrap_or_else(|| panic!("{line}: {reports:?}"))
    };
    assert!(place("stored 0_0.ts") < place("stored 0_1.ts"));
    assert!(place("stored 0_1.ts") < place("stored 0.m3u8 2"));
    assert_delivered(&task, &store).await;
    assert!(task.reports.recv().await.is_none(), "nothing follows");
    assert_eq!(task.uploader.finish().await, Finished::Delivered, "finishing twice changes nothing");
    assert!(task.uploader.redeliver().is_err());
}

#[tokio::test(start_paused = true)]
async fn segments_go_in_parallel_and_versions_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    store.slow.store(200, Ordering::Relaxed);
    let mut task = Task::new(root.path(), store.clone(), options(1));
    for _ in 0..100 {
        task.segment(0);
    }
    task.end();
    assert_eq!(task.uploader.finish().await, Finished::Delivered);
    assert_eq!(store.most_running.load(Ordering::Relaxed), 4);
    let texts = store.playlists.lock().unwrap().iter().filter(|(name, _)| name.ends_with("/0.m3u8")).count();
    assert!((1..=100).contains(&texts), "{texts} versions");
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_keeps_everything_and_gets_it_later() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    store.down.store(true, Ordering::Relaxed);
    let mut task = Task::new(root.path(), store.clone(), options(1));
    for _ in 0..50 {
        task.segment(0);
        task.segment(1);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    task.end();
    let before = tokio::time::Instant::now();
    let finished = task.uploader.finish().await;
    assert!(before.elapsed() < Duration::from_secs(1), "one try, not one per file: {:?}", before.elapsed());
    // 100 segments, the playlists of two tracks that wait for them, and the third's, which nothing holds back.
    assert_eq!(finished, Finished::Kept(103));
    let backlog = task.uploader.backlog();
    assert_eq!((backlog.files, backlog.lag.as_secs()), (103, 500), "the first segment has waited longest");
    let reports = task.read();
    assert_eq!(reports.iter().filter(|line| *line == "error Unavailable").count(), 1, "told once");
    assert_eq!(reports.iter().filter(|line| line.starts_with("kept 0_")).count(), 50, "each told once");
    assert_eq!(reports.iter().filter(|line| line.starts_with("kept 1_")).count(), 50, "each told once");
    assert!(task.spool.directory().join("0_0.ts").exists());
    let puts = store.puts.load(Ordering::Relaxed);
    assert!(puts < 70, "a store that is away is not flooded: {puts} puts in 500 s");

    store.down.store(false, Ordering::Relaxed);
    let mut last = String::new();
    while let Some(report) = task.reports.recv().await {
        last = show(&report);
    }
    assert_eq!(last, "all delivered");
    assert!(before.elapsed() < Duration::from_secs(32), "within the interval");
    assert_eq!(task.uploader.backlog(), Backlog::default());
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn redelivery_can_be_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    store.down.store(true, Ordering::Relaxed);
    let never = Duration::from_secs(1_000_000);
    let mut task = Task::new(root.path(), store.clone(), options(1).with_redeliver_every(never));
    task.segment(0);
    task.end();
    assert!(matches!(task.uploader.finish().await, Finished::Kept(_)));
    store.down.store(false, Ordering::Relaxed);
    let before = tokio::time::Instant::now();
    task.uploader.redeliver().unwrap();
    while task.reports.recv().await.is_some() {}
    assert!(before.elapsed() < Duration::from_secs(10));
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn more_may_come_after_it_has_settled() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(0);
    let mut task = Task::new(root.path(), store.clone(), options(0));
    task.segment(0);
    assert_eq!(task.uploader.settle().await, Finished::Delivered);
    task.segment(0);
    task.end();
    assert_eq!(task.uploader.finish().await, Finished::Delivered);
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_told_with_the_stores_words_and_recording_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    store.denied.store(true, Ordering::Relaxed);
    let mut task = Task::new(root.path(), store.clone(), options(1));
    for _ in 0..3 {
        task.segment(0);
    }
    task.end();
    assert!(matches!(task.uploader.finish().await, Finished::Kept(_)));
    let mut errors = Vec::new();
    while let Some(report) = task.reports.try_recv() {
        if let Report::Error { code, message } = report {
            errors.push((code, message));
        }
    }
    assert_eq!(errors, [("InvalidAccessKeyId".to_owned(), "AccessKey invalid".to_owned())]);
    store.denied.store(false, Ordering::Relaxed);
    while task.reports.recv().await.is_some() {}
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_holds_back_its_own_playlist_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    let bucket = Bucket::from_store(store.clone(), None, BucketOptions::default());
    bucket.put(&key("rec/task01/0_1.ts"), "somebody else's".into()).await.unwrap();
    let mut task = Task::new(root.path(), store.clone(), options(1));
    for track in [0, 0, 0, 1, 1] {
        task.segment(track);
    }
    task.end();
    assert_eq!(task.uploader.finish().await, Finished::Kept(2), "the segment and its playlist");
    let reports = task.read();
    assert!(reports.contains(&"error ObjectConflict".into()), "{reports:?}");
    assert!(reports.contains(&"stored 1.m3u8 2".into()), "{reports:?}");
    assert_eq!(bucket.get(&key("rec/task01/0_1.ts")).await.unwrap(), "somebody else's");
    let text = bucket.get(&key("rec/task01/0.m3u8")).await;
    assert!(text.is_err() || text.unwrap() == "#EXTM3U\n0_0.ts\n", "at most what is stored is listed");
    bucket.delete(&key("rec/task01/0_1.ts")).await.unwrap();
    while task.reports.recv().await.is_some() {}
    assert_delivered(&task, &store).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_without_an_end_it_still_delivers() {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    let Task { spool, uploader, mut reports, .. } = {
        let mut task = Task::new(root.path(), store.clone(), options(1));
        task.segment(0);
        task
    };
    drop(uploader);
    let mut lines = Vec::new();
    while let Some(report) = reports.recv().await {
        lines.push(show(&report));
    }
    assert_eq!(lines, ["stored 0_0.ts", "stored 0.m3u8 1"]);
    assert!(!spool.directory().exists());
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_segment_is_written_once_on_its_way_to_a_local_directory() {
    use std::os::unix::fs::MetadataExt;
    let root = tempfile::tempdir().unwrap();
    let spool =
        Spool::open(&root.path().join("spool"), &"task01".parse().unwrap(), Durability::Sync).unwrap();
    let bucket = Bucket::local(&root.path().join("out"), BucketOptions::default()).unwrap();
    let (uploader, _) = Uploader::spawn(bucket, directory(), &spool, options(1));
    let mut file = spool.create(&name("a.ts")).unwrap();
    file.append(b"x").unwrap();
    let closed = file.close().unwrap();
    let inode = std::fs::metadata(closed.path()).unwrap().ino();
    uploader.file(closed).unwrap();
    assert_eq!(uploader.finish().await, Finished::Delivered);
    let stored = std::fs::metadata(root.path().join("out/rec/task01/a.ts")).unwrap();
    assert_eq!((stored.ino(), stored.nlink()), (inode, 1));
    assert!(!spool.directory().exists());
}

/// One seeded run with errors, slowness, lost replies and outages. Gives every report.
async fn storm(seed: u64, parallel: usize) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(seed);
    let rate = seed % 5 * 150;
    store.errors.store(rate, Ordering::Relaxed);
    store.lost_replies.store(rate / 2, Ordering::Relaxed);
    store.slow.store(seed % 7 * 300, Ordering::Relaxed);
    let mut task = Task::new(root.path(), store.clone(), options(seed).with_parallel(parallel));
    for step in 0..40u64 {
        store.down.store((step / 7 + seed).is_multiple_of(3), Ordering::Relaxed);
        task.segment(usize::try_from((step * 7 + seed) % 3).unwrap());
        tokio::time::sleep(Duration::from_millis(1 + step * seed % 5_000)).await;
    }
    task.end();
    let finished = task.uploader.finish().await;
    store.down.store(false, Ordering::Relaxed);
    store.errors.store(0, Ordering::Relaxed);
    store.lost_replies.store(0, Ordering::Relaxed);
    let mut lines = vec![format!("{finished:?}")];
    while let Some(report) = task.reports.recv().await {
        lines.push(show(&report));
    }
    assert_eq!(lines.last().unwrap() == "all delivered", finished != Finished::Delivered, "seed {seed}");
    assert_delivered(&task, &store).await;
    lines
}

fn run(seed: u64, parallel: usize) -> Vec<String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(storm(seed, parallel))
}

#[test]
fn whatever_the_store_does_all_is_delivered_in_order() {
    let seeds = std::env::var("RECORDER_TEST_SEEDS").map_or(100, |count| count.parse().unwrap());
    for seed in 0..seeds {
        run(seed, 4);
    }
}

/// With one job at a time nothing depends on which of two threads is faster.
#[test]
fn a_seed_repeats_its_reports() {
    for seed in 0..20 {
        assert_eq!(run(seed, 1), run(seed, 1), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_without_the_lease_and_nothing_after_it_is_lost() {
    let (root, store) = (tempfile::tempdir().unwrap(), FaultyStore::new(1));
    let (keeper, lease) = Lease::new(Duration::ZERO);
    let mut task = Task::new(root.path(), store.clone(), options(1).with_lease(lease));
    task.segment(0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((task.read().len(), task.uploader.backlog().files), (0, 2));
    keeper.extend(Lease::now() + Duration::from_secs(3600));
    assert_eq!(task.uploader.settle().await, Finished::Delivered);
    assert_eq!(task.read().len(), 2);
    // The store is away, and in the middle of the tries the lease is lost.
    store.down.store(true, Ordering::SeqCst);
    task.segment(1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    keeper.revoke();
    store.down.store(false, Ordering::SeqCst);
    assert_eq!(task.uploader.abandon().await, Finished::Kept(2));
    assert!(!task.read().iter().any(|report| report.contains("1_0.ts") && report.starts_with("stored")));
    assert!(root.path().join("task01/1_0.ts").exists());
}
