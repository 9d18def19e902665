//! Disks that are full and stores that are away: told, and what was closed stays whole.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::sync::atomic::Ordering;

use recorder::callback::{LeaveCode, Payload, UploadStatus};
use recorder::storage::Bucket;
use recorder::{RoomEvent, SendError, StartError, TaskState};
use support::shell::{
    Events, FaultyStore, PATIENCE, assert_whole, call, objects, recorder, recorder_options, send, told,
};
use support::{now, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_never_stops_the_recording_and_gets_everything_later() {
    let root = tempfile::tempdir().unwrap();
    let (store, events) = (FaultyStore::new(), Events::new());
    store.down.store(true, Ordering::SeqCst);
    let options_now = told(options(), store.bucket()).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options_now).unwrap();
    send(&recording, call(45)).await;
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    // Five segments of each track, and two playlists.
    assert_eq!((outcome.kept, outcome.status.state), (12, TaskState::Exited));
    assert!(outcome.failure.is_none());
    assert_eq!(outcome.status.files.iter().map(|file| file.segments).collect::<Vec<_>>(), [5, 5]);
    let uploads = || -> Vec<UploadStatus> {
        let status = |event: &Payload| match event {
            Payload::UploadStop(status) => Some(*status),
            _ => None,
        };
        events.all().iter().filter_map(status).collect()
    };
    assert_eq!(uploads(), [UploadStatus::SOME_KEPT_BACK]);
    assert_eq!(
        events.numbers().iter().filter(|n| **n == 308).count(),
        1,
        "told once: {:?}",
        events.numbers()
    );
    assert!(objects(&FaultyStore::new().bucket()).await.is_empty());
    assert!(
        std::fs::read_dir(root.path().join("spool/task01")).unwrap().count() >= 12,
        "all is in the spool"
    );

    recording.redeliver().await;
    store.down.store(false, Ordering::SeqCst);
    recording.redeliver().await;
    events.wait(|event| matches!(event, Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED))).await;
    assert_eq!(uploads(), [UploadStatus::SOME_KEPT_BACK, UploadStatus::KEPT_BACK_DELIVERED]);
    assert_eq!(events.numbers().last(), Some(&305));
    assert_eq!(events.numbers().iter().filter(|n| **n == 304).count(), 1);
    let found = objects(&store.bucket()).await;
    assert_eq!(found.len(), 12);
    assert_whole(&found);
    assert!(store.violations.lock().unwrap().is_empty());

    // The same bytes as with a store that is there.
    let (root, bucket) = (tempfile::tempdir().unwrap(), Bucket::memory());
    let recording = recorder(root.path()).start(told(options(), bucket.clone())).unwrap();
    send(&recording, call(45)).await;
    recording.ended().await.unwrap();
    assert_eq!(objects(&bucket).await, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_is_told_by_its_own_words() {
    let root = tempfile::tempdir().unwrap();
    let (store, events) = (FaultyStore::new(), Events::new());
    store.denied.store(true, Ordering::SeqCst);
    let options = told(options(), store.bucket()).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options).unwrap();
    send(&recording, call(12)).await;
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert_eq!(outcome.kept, 6);
    let told = events.all().into_iter().find_map(|event| match event {
        Payload::UploadError(error) => Some((error.code, error.message)),
        _ => None,
    });
    assert_eq!(told, Some(("InvalidAccessKeyId".into(), "AccessKey invalid".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_backup_is_told_with_status_1_and_when_it_is_moved_with_2() {
    let root = tempfile::tempdir().unwrap();
    let (store, backup, events) = (FaultyStore::new(), FaultyStore::new(), Events::new());
    store.denied.store(true, Ordering::SeqCst);
    let options =
        told(options(), store.bucket()).with_on_callback(events.sink()).with_backup(backup.bucket());
    let recording = recorder(root.path()).start(options).unwrap();
    send(&recording, call(45)).await;
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert_eq!(outcome.kept, 12);
    let stops = || {
        events.all().into_iter().filter_map(|event| match event {
            Payload::UploadStop(status) => Some(status),
            _ => None,
        })
    };
    assert_eq!(stops().collect::<Vec<_>>(), [UploadStatus::SOME_KEPT_BACK]);
    let told = events.all().into_iter().find_map(|event| match event {
        Payload::UploadError(error) => Some(error.code),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some("InvalidAccessKeyId"));
    let found = objects(&backup.bucket()).await;
    assert_eq!(found.len(), 12);
    assert_whole(&found);
    store.denied.store(false, Ordering::SeqCst);
    recording.redeliver().await;
    events.wait(|event| matches!(event, Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED))).await;
    assert_eq!(stops().count(), 2);
    assert_eq!(objects(&store.bucket()).await, found);
    assert!(objects(&backup.bucket()).await.is_empty());
    assert!(store.violations.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_ends_the_recording_with_what_was_closed() {
    // Limits from where not even the first segment fits to where all do.
    let mut ends = Vec::new();
    for limit in [0, 5_000, 40_000, 60_000, 75_000, 100_000, 130_000, 160_000, 1 << 30] {
        let root = tempfile::tempdir().unwrap();
        let (store, events) = (FaultyStore::new(), Events::new());
        // Nothing leaves the spool while the call goes on.
        store.down.store(true, Ordering::SeqCst);
        let recorder = recorder::Recorder::new(recorder_options(root.path()).with_spool_limit(limit));
        let options = told(options(), store.bucket()).with_on_callback(events.sink());
        let recording = recorder.start(options).unwrap();
        for (now, event) in call(65) {
            // The rest of the call comes after the end.
            match recording.event_at(now, event).await {
                Ok(()) | Err(SendError::Ended) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        let failed = outcome.failure.is_some();
        assert_eq!(failed, limit < 1 << 30, "{limit}");
        assert!(outcome.failure.as_ref().is_none_or(|error| error.is_full()), "{:?}", outcome.failure);
        store.down.store(false, Ordering::SeqCst);
        if outcome.kept > 0 {
            recording.redeliver().await;
            events
                .wait(|event| matches!(event, Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED)))
                .await;
        }
        let all = events.all();
        let stop = all.iter().find_map(|event| match event {
            Payload::RecorderStop(code) => Some(*code),
            _ => None,
        });
        let code = if failed { LeaveCode::REMOVED_BY_SERVER } else { LeaveCode::API_STOP };
        assert_eq!(stop, Some(code), "{limit}");
        let told =
            |event: &Payload| matches!(event, Payload::UploadError(error) if error.code == "SpoolFailed");
        assert_eq!(all.iter().filter(|event| told(event)).count(), usize::from(failed), "{limit}: {all:?}");
        let found = objects(&store.bucket()).await;
        assert_whole(&found);
        assert!(store.violations.lock().unwrap().is_empty());
        // A segment that no playlist names is lost to whoever reads playlists.
        let lists = found.iter().filter(|(name, _)| name.ends_with(".m3u8"));
        let listed: usize =
            lists.map(|(_, text)| text.split(|b| *b == b'\n').filter(|l| l.ends_with(b".ts")).count()).sum();
        let segments = found.keys().filter(|name| name.ends_with(".ts")).count();
        assert!(segments - listed <= 2, "{limit}: {listed} of {segments} are listed");
        ends.push(segments);
    }
    assert!(ends.is_sorted() && ends[0] == 0, "a larger spool holds more: {ends:?}");
    assert!(ends[..8].iter().any(|n| (2..14).contains(n)), "some limits are reached in the middle: {ends:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_breaks_ends_the_recording_and_keeps_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let (bucket, events) = (Bucket::memory(), Events::new());
    let options = told(options(), bucket.clone()).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options).unwrap();
    let call = call(35);
    let (before, after): (Vec<_>, Vec<_>) =
        call.into_iter().partition(|(at, _)| at.room <= recorder::types::RoomTime::from_secs(24));
    send(&recording, before).await;
    // Everything up to here has been performed when this is answered.
    recording.describe().await.unwrap();
    // What the next segment is to be called is a directory already.
    let spool = root.path().join("spool/task01");
    for start in 30_000..30_100 {
        let name = support::wall(support::WALL + start).utc_digits();
        let stem = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_audio";
        std::fs::create_dir(spool.join(format!("{stem}_{name}.ts"))).unwrap();
    }
    for (now, event) in after {
        if recording.event_at(now, event).await.is_err() {
            break;
        }
    }
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert!(outcome.failure.is_some());
    assert!(
        events.all().iter().any(|event| matches!(event, Payload::RecorderStop(LeaveCode::REMOVED_BY_SERVER)))
    );
    let found = objects(&bucket).await;
    assert_whole(&found);
    // Three segments of sound. The fourth of pictures had begun at 30 s when that of sound failed, one frame later.
    assert_eq!((outcome.kept, found.len()), (0, 2 + 3 + 4), "{:?}", found.keys());
    let of = |kind: &str| found.keys().filter(|name| name.ends_with(".ts") && name.contains(kind)).count();
    assert_eq!((of("main_audio"), of("main_video")), (3, 4));
    assert_eq!(outcome.status.files[1].stats.pictures, 301);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_start_is_told() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("spool"), b"a file").unwrap();
    let bodies = std::sync::Arc::<std::sync::Mutex<Vec<u8>>>::default();
    let heard = std::sync::Arc::clone(&bodies);
    let options_now = told(options(), Bucket::memory()).with_on_callback(move |body| {
        let mut bodies = heard.lock().unwrap();
        bodies.extend(body.to_json_bytes());
        bodies.push(b'\n');
    });
    let error = recorder(root.path()).start(options_now).unwrap_err();
    assert!(matches!(error, StartError::Spool(_)), "{error:?}");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/failed-start.txt");
    recorder_testkit::golden::assert_golden(&path, &bodies.lock().unwrap());

    let mut task = options();
    task.room = recorder::types::RoomId::text(&"x".repeat(64)).unwrap();
    let root = tempfile::tempdir().unwrap();
    let recording = recorder(root.path()).start(told(task, Bucket::memory())).unwrap();
    recording.event_at(now(10), RoomEvent::Stop { code: LeaveCode::API_STOP }).await.unwrap();
    let outcome = recording.ended().await.unwrap();
    assert!(outcome.status.files.is_empty());
}
