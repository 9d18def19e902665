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
    RetryOptions, Spool, SpoolError, SpoolOptions, Uploader, UploaderOptions,
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
        Self::with_limit(root, store, options, u64::MAX)
    }

    fn with_limit(root: &Path, store: Arc<dyn ObjectStore>, options: UploaderOptions, limit: u64) -> Self {
        let spool_options = SpoolOptions::from(Durability::Relaxed).with_limit(limit);
        let spool = Spool::open(root, &"task01".parse().unwrap(), spool_options).unwrap();
        let bucket = Bucket::from_store(store, None, BucketOptions::default());
        let (uploader, reports) = Uploader::spawn(bucket, directory(), &spool, options);
        Self { spool, uploader, reports, segments: vec![0; 3] }
    }

    /// A segment of `track` and the playlist that lists it.
    fn segment(&mut self, track: usize) {
        self.try_segment(track).unwrap();
    }

    fn try_segment(&mut self, track: usize) -> Result<(), SpoolError> {
        let number = self.segments[track];
        let (segment, playlist) = (name(&format!("{track}_{number}.ts")), playlist(track));
        let mut file = self.spool.create(&segment)?;
        if let Err(error) = file.append(format!("bytes of {segment}").as_bytes()) {
            file.discard();
            return Err(error);
        }
        let file = file.close()?;
        if let Err(error) = self.spool.append_playlist(&playlist, &format!("{segment}\n")) {
            file.discard();
            return Err(error);
        }
        self.segments[track] += 1;
        self.uploader.segment(&playlist, file).unwrap();
        self.playlist(track, PlaylistEnd::Open);
        Ok(())
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
        Report::BackedUp { name } => format!("backed up {name}"),
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

#[tokio::test(start_paused = true)]
async fn a_day_without_the_store_keeps_to_the_spools_limit_and_all_comes_after() {
    const DAY: u64 = 24 * 60 * 60;
    for limit in [50_000, 1 << 30] {
        let root = tempfile::tempdir().unwrap();
        let store = FaultyStore::new(limit);
        let mut task = Task::with_limit(root.path(), store.clone(), options(1), limit);
        task.segment(0);
        task.uploader.settle().await;
        store.down.store(true, Ordering::Relaxed);
        let mut refused = 0;
        for _ in 0..DAY / 10 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            match task.try_segment(0) {
                Ok(()) => {}
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    refused += 1;
                }
            }
            assert!(task.spool.used() <= limit);
        }
        assert_eq!(refused > 0, limit == 50_000, "{refused} at {limit}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (kept, waiting) = (task.segments[0] - 1, task.uploader.backlog());
        assert_eq!((waiting.files as u64, refused + kept), (kept + 1, DAY / 10));
        assert!(waiting.lag >= Duration::from_secs(DAY - 20), "{waiting:?}");
        // Tried once every 30 s, not once for every file.
        assert!((store.puts.load(Ordering::Relaxed) as u64) < DAY / 30 + 50);

        store.down.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(task.uploader.settle().await, Finished::Delivered);
        assert!(task.spool.used() < limit);
        task.segment(0);
        task.end();
        assert_eq!(task.uploader.finish().await, Finished::Delivered);
        assert_delivered(&task, &store).await;
    }
}

fn names_in(store: &FaultyStore) -> impl Future<Output = Vec<String>> {
    let bucket = Bucket::from_store(Arc::new(store.inner.fork()), None, BucketOptions::default());
    async move {
        let listed = bucket.list(Some(&directory())).await.unwrap();
        listed.iter().map(|object| object.key.name().to_owned()).collect()
    }
}

fn with_backup(seed: u64, backup: &Arc<FaultyStore>) -> UploaderOptions {
    options(seed).with_backup(Bucket::from_store(backup.clone(), None, BucketOptions::default()))
}

#[tokio::test(start_paused = true)]
async fn what_the_bucket_does_not_take_is_in_the_backup_and_moved_later() {
    for down in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let (store, backup) = (FaultyStore::new(1), FaultyStore::new(2));
        let mut task = Task::new(root.path(), store.clone(), with_backup(1, &backup));
        task.segment(0);
        task.uploader.settle().await;
        assert_eq!(names_in(&store).await, ["0.m3u8", "0_0.ts"]);
        assert!(names_in(&backup).await.is_empty());
        let fault = if down { &store.down } else { &store.denied };
        fault.store(true, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        task.segment(0);
        task.segment(1);
        task.segment(0);
        task.end();
        assert_eq!(task.uploader.finish().await, Finished::Kept(6), "{:?}", task.read());
        // At once where it is refused.
        assert_eq!(begun.elapsed() > Duration::from_secs(1), down);
        assert_eq!(names_in(&store).await, ["0.m3u8", "0_0.ts"]);
        // Whoever lays it over the bucket has the whole recording.
        let there = names_in(&backup).await;
        assert!(there.starts_with(&["0.m3u8", "0_1.ts", "0_2.ts"].map(String::from)), "{there:?}");
        assert!(there.contains(&"1.m3u8".to_owned()) && there.contains(&"1_0.ts".to_owned()));
        let text = Bucket::from_store(Arc::new(backup.inner.fork()), None, BucketOptions::default())
            .get(&directory().join(&playlist(0)).unwrap())
            .await
            .unwrap();
        assert_eq!(text, "#EXTM3U\n0_0.ts\n0_1.ts\n0_2.ts\n#EXT-X-ENDLIST\n");
        assert_eq!(task.spool.used(), 28, "only the lines of playlists are in the spool");
        let reports = task.read();
        for name in ["0_1.ts", "0_2.ts", "1_0.ts"] {
            assert_eq!(reports.iter().filter(|line| **line == format!("backed up {name}")).count(), 1);
        }

        fault.store(false, Ordering::Relaxed);
        while let Some(report) = task.reports.recv().await {
            if matches!(report, Report::AllDelivered) {
                break;
            }
        }
        assert_delivered(&task, &store).await;
        assert!(names_in(&backup).await.is_empty(), "moved, and not copied");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_away_too_leaves_files_in_the_spool_until_it_is_not() {
    let root = tempfile::tempdir().unwrap();
    let (store, backup) = (FaultyStore::new(1), FaultyStore::new(2));
    let mut task = Task::new(root.path(), store.clone(), with_backup(1, &backup));
    store.down.store(true, Ordering::Relaxed);
    backup.down.store(true, Ordering::Relaxed);
    for _ in 0..10 {
        task.segment(0);
    }
    assert!(matches!(task.uploader.settle().await, Finished::Kept(_)));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(task.spool.files().unwrap().len(), 10);
    assert!(backup.puts.load(Ordering::Relaxed) < 100, "not every file at every tick");
    backup.down.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(names_in(&backup).await.len(), 11);
    assert!(task.spool.files().unwrap().is_empty());
    store.down.store(false, Ordering::Relaxed);
    task.end();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(task.uploader.finish().await, Finished::Delivered);
    assert_delivered(&task, &store).await;
    assert!(names_in(&backup).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_taken_over_has_its_files_moved_from_the_backup() {
    let root = tempfile::tempdir().unwrap();
    let (store, backup) = (FaultyStore::new(1), FaultyStore::new(2));
    let mut task = Task::new(root.path(), store.clone(), with_backup(1, &backup));
    task.segment(0);
    task.uploader.settle().await;
    store.denied.store(true, Ordering::Relaxed);
    task.segment(0);
    task.segment(0);
    task.uploader.settle().await;
    assert_eq!(names_in(&backup).await, ["0.m3u8", "0_1.ts", "0_2.ts"]);
    // Its process dies, with one segment more in the spool.
    let mut later = task.spool.create(&name("0_3.ts")).unwrap();
    later.append(b"bytes of 0_3.ts").unwrap();
    later.close().unwrap();
    let Task { mut spool, uploader, reports, .. } = task;
    store.down.store(true, Ordering::Relaxed);
    drop((uploader, reports));

    let bucket = Bucket::from_store(store.clone(), None, BucketOptions::default());
    let options = with_backup(2, &backup).taking_over();
    let (uploader, reports) = Uploader::spawn(bucket, directory(), &spool, options);
    for number in 0..4 {
        let segment = name(&format!("0_{number}.ts"));
        match spool.adopt(&segment) {
            Ok(file) => uploader.segment(&playlist(0), file).unwrap(),
            Err(_) => uploader.segment_elsewhere(&playlist(0), segment).unwrap(),
        }
    }
    store.down.store(false, Ordering::Relaxed);
    store.denied.store(false, Ordering::Relaxed);
    spool.discard_playlist(&playlist(0));
    spool.append_playlist(&playlist(0), "0_0.ts\n0_1.ts\n0_2.ts\n0_3.ts\n").unwrap();
    let task = Task { spool, uploader, reports, segments: vec![4, 0, 0] };
    task.end();
    tokio::time::sleep(Duration::from_secs(60)).await;
    task.uploader.finish().await;
    assert_eq!(*store.violations.lock().unwrap(), [""; 0]);
    assert_eq!(
        names_in(&store).await,
        ["0.m3u8", "0_0.ts", "0_1.ts", "0_2.ts", "0_3.ts", "1.m3u8", "2.m3u8"]
    );
    assert!(names_in(&backup).await.is_empty(), "{:?}", names_in(&backup).await);
}

#[test]
fn whatever_both_stores_do_all_is_moved_to_the_first() {
    for seed in 0..60 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let root = tempfile::tempdir().unwrap();
            let (store, backup) = (FaultyStore::new(seed), FaultyStore::new(seed + 1000));
            for (faulty, more) in [(&store, 400), (&backup, 200)] {
                faulty.errors.store(more, Ordering::Relaxed);
                faulty.lost_replies.store(100, Ordering::Relaxed);
                faulty.slow.store(3_000, Ordering::Relaxed);
            }
            let options = with_backup(seed, &backup)
                .with_retry(RetryOptions::default().with_tries(2).with_seed(seed))
                .with_redeliver_every(Duration::from_secs(5));
            let mut task = Task::new(root.path(), store.clone(), options);
            for step in 0..60u64 {
                task.segment(usize::try_from((step * 7 + seed) % 3).unwrap());
                match (step + seed) % 20 {
                    3 => store.down.store(true, Ordering::Relaxed),
                    9 => store.down.store(false, Ordering::Relaxed),
                    12 => store.denied.store(true, Ordering::Relaxed),
                    16 => store.denied.store(false, Ordering::Relaxed),
                    _ => {}
                }
                tokio::time::sleep(Duration::from_millis(step * 37 % 4_000)).await;
            }
            task.end();
            task.uploader.settle().await;
            for faulty in [&store, &backup] {
                faulty.down.store(false, Ordering::Relaxed);
                faulty.denied.store(false, Ordering::Relaxed);
                faulty.errors.store(0, Ordering::Relaxed);
                faulty.lost_replies.store(0, Ordering::Relaxed);
            }
            let finished = task.uploader.finish().await;
            if finished != Finished::Delivered {
                while let Some(report) = task.reports.recv().await {
                    if matches!(report, Report::AllDelivered) {
                        break;
                    }
                }
            }
            assert_delivered(&task, &store).await;
            assert!(names_in(&backup).await.is_empty(), "seed {seed}: {:?}", names_in(&backup).await);
        });
    }
}
