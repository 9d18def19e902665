//! Recordings on their threads, into buckets: the same bytes as the task core alone, whatever the shell is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use recorder::callback::{LeaveCode, Payload};
use recorder::storage::{Bucket, BucketOptions, UploaderOptions};
use recorder::types::{MediaId, MediaKind, Sample, Timescale, Timestamp};
use recorder::{AskError, EventError, RecordingOptions, RoomEvent, SendError, TaskState, TrackOrigin};
use support::media::{camera, microphone, silence};
use support::shell::{Events, PATIENCE, assert_whole, call, live, objects, recorder, send, told};
use support::sim::Sim;
use support::{id, options};

/// A call into `bucket` from beginning to end; what is in the bucket afterwards.
async fn record(
    bucket: &Bucket,
    adjust: impl FnOnce(RecordingOptions) -> RecordingOptions,
) -> BTreeMap<String, Bytes> {
    let root = tempfile::tempdir().unwrap();
    let events = Events::new();
    let options = told(options(), bucket.clone()).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(adjust(options)).unwrap();
    send(&recording, call(25)).await;
    let outcome = recording.ended().await.unwrap();
    assert_eq!((outcome.kept, outcome.status.state), (0, TaskState::Exited));
    assert!(outcome.failure.is_none());
    assert_eq!(outcome.status.files.iter().map(|file| file.segments).collect::<Vec<_>>(), [3, 3]);
    let numbers = events.numbers();
    assert_eq!((numbers[..2].to_vec(), numbers.last()), (vec![301, 303], Some(&305)));
    assert_eq!(numbers.iter().filter(|n| **n == 304).count(), 1, "{numbers:?}");
    assert!(!root.path().join("spool/task01").exists(), "the spool is empty at the end");
    let objects = objects(bucket).await;
    assert_whole(&objects);
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_in_batches_give_the_bytes_of_events_one_by_one() {
    let one_by_one = record(&Bucket::memory(), |options| options).await;
    for (batch, queue_bytes) in [(7, 64 << 20), (1 << 20, 64 << 20), (64, 1000)] {
        let (root, bucket) = (tempfile::tempdir().unwrap(), Bucket::memory());
        let options = told(options(), bucket.clone()).with_queue_bytes(queue_bytes);
        let recording = recorder(root.path()).start(options).unwrap();
        recording.events_at(Vec::new()).await.unwrap();
        for events in call(25).chunks(batch) {
            recording.events_at(events.to_vec()).await.unwrap();
        }
        assert_eq!(recording.ended().await.unwrap().kept, 0);
        assert_eq!(objects(&bucket).await, one_by_one, "{batch} events, {queue_bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bucket_holds_what_the_core_makes() {
    let directory = tempfile::tempdir().unwrap();
    let local = Bucket::local(directory.path(), BucketOptions::default()).unwrap();
    let local = record(&local, |options| options).await;
    let memory = record(&Bucket::memory(), |options| options).await;
    assert_eq!(local, memory);
    let mut sim = Sim::new(options());
    sim.enter("alice");
    sim.publish("alice", MediaId::Main, microphone());
    sim.publish("alice", MediaId::Main, camera());
    sim.run_to(25_000);
    sim.stop(LeaveCode::API_STOP);
    let mut core: BTreeMap<String, Bytes> = BTreeMap::new();
    for (name, data) in sim.output.segments {
        core.insert(format!("task01/{name}"), data.into());
    }
    for (name, text) in sim.output.playlists {
        core.insert(format!("task01/{name}"), text.to_string().into());
    }
    assert_eq!(memory, core);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_do_not_depend_on_queues_and_timing() {
    let want = record(&Bucket::memory(), |options| options).await;
    for (queue_bytes, gather, parallel) in [(1, 0, 1), (300, 5, 4), (64 << 20, 0, 16), (5000, 1, 2)] {
        let uploader = UploaderOptions::default().with_parallel(parallel);
        let found = record(&Bucket::memory(), |options| {
            options
                .with_queue_bytes(queue_bytes)
                .with_gather(Duration::from_millis(gather))
                .with_uploader(uploader)
        })
        .await;
        assert_eq!(found, want, "{queue_bytes} bytes, {gather} ms, {parallel} at a time");
    }
}

fn publish() -> RoomEvent {
    RoomEvent::Publish {
        user: id("alice"),
        media: MediaId::Main,
        config: microphone().config(),
        origin: TrackOrigin::FirstArrival,
    }
}

/// Close enough together that thousands at once are not 30 s ahead of their time.
fn sample(n: i64) -> RoomEvent {
    RoomEvent::Sample {
        user: id("alice"),
        media: MediaId::Main,
        kind: MediaKind::Audio,
        sample: Sample::new(Timestamp::new(n * 100, Timescale::HZ_48000), silence()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_the_recording_goes_on() {
    for queue_bytes in [silence().len() * 10, 64 << 20] {
        let root = tempfile::tempdir().unwrap();
        let (bucket, events) = (Bucket::memory(), Events::new());
        let (sink, (go, wait)) = (events.sink(), mpsc::channel::<()>());
        let wait = std::sync::Mutex::new(wait);
        let options =
            live(options(), bucket.clone()).with_queue_bytes(queue_bytes).with_on_callback(move |body| {
                if matches!(body.event().payload(), Payload::UploadStart(_)) {
                    // The task's thread is held up, as by a slow disk, until the test lets it go.
                    let _ = wait.lock().unwrap().recv();
                }
                sink(body);
            });
        let recording = recorder(root.path()).start(options).unwrap();
        recording.event(RoomEvent::Enter { user: id("alice") }).unwrap();
        recording.event(publish()).unwrap();
        let mut taken = 0;
        let refused = loop {
            match recording.event(sample(taken)) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SendError::Full);
        // The bound in bytes, or that of events.
        assert_eq!(taken, if queue_bytes < 1000 { 10 } else { 8190 });
        go.send(()).unwrap();
        let stopped = recording.clone();
        stopped.stop().await.unwrap();
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        assert_eq!(i64::try_from(outcome.status.files[0].stats.audio_frames).unwrap(), taken);
        assert_eq!((outcome.kept, outcome.status.refused.unknown), (0, 0));
        assert_whole(&objects(&bucket).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_gives_the_answer_of_the_task() {
    let root = tempfile::tempdir().unwrap();
    let recording = recorder(root.path()).start(live(options(), Bucket::memory())).unwrap();
    let leave = || RoomEvent::Leave { user: id("alice") };
    let refused = recording.ask(leave()).await.unwrap_err();
    assert!(matches!(refused, AskError::Event(EventError::NotInRoom)), "{refused:?}");
    recording.ask(RoomEvent::Enter { user: id("alice") }).await.unwrap();
    let refused = recording.ask(sample(0)).await.unwrap_err();
    assert!(matches!(refused, AskError::Event(EventError::NotPublished)), "{refused:?}");
    recording.ask(publish()).await.unwrap();
    assert_eq!(recording.describe().await.unwrap().state, TaskState::Idle);
    recording.ask(sample(0)).await.unwrap();
    let status = recording.describe().await.unwrap();
    assert_eq!((status.state, status.files.len(), status.refused.unknown), (TaskState::InProgress, 1, 2));
    // Two handles of one recording.
    let other = recording.clone();
    other.ask(leave()).await.unwrap();
    let refused = recording.ask(leave()).await.unwrap_err();
    assert!(matches!(refused, AskError::Event(EventError::NotInRoom)), "{refused:?}");
    drop(recording);
    other.ask(RoomEvent::Enter { user: id("bob") }).await.unwrap();
    other.stop().await.unwrap();
    other.stop().await.unwrap();
    let outcome = other.ended().await.unwrap();
    assert_eq!(outcome.status.files.len(), 1);
    let late = other.ask(leave()).await.unwrap_err();
    assert!(
        matches!(late, AskError::Send(SendError::Ended) | AskError::Event(EventError::Ended)),
        "{late:?}"
    );
    assert_eq!(other.describe().await.unwrap().state, TaskState::Exited);
    assert_eq!(other.ended().await.unwrap().kept, 0, "all who wait are told");
    other.redeliver().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_ends_when_nobody_holds_it() {
    let root = tempfile::tempdir().unwrap();
    let (bucket, events) = (Bucket::memory(), Events::new());
    let options = told(options(), bucket.clone()).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options).unwrap();
    let second = recording.clone();
    let mut call = call(12);
    call.pop();
    send(&recording, call).await;
    drop(recording);
    assert_eq!(second.describe().await.unwrap().state, TaskState::InProgress, "there is another handle");
    drop(second);
    events.wait(|payload| matches!(payload, Payload::UploadStop(_))).await;
    assert!(events.all().iter().any(|event| matches!(event, Payload::RecorderStop(LeaveCode::API_STOP))));
    let objects = objects(&bucket).await;
    assert_eq!(objects.len(), 2 + 4);
    assert_whole(&objects);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_told_clock_takes_no_events_of_now() {
    let root = tempfile::tempdir().unwrap();
    let recording = recorder(root.path()).start(told(options(), Bucket::memory())).unwrap();
    let enter = || RoomEvent::Enter { user: id("alice") };
    assert_eq!(recording.event(enter()), Err(SendError::TimeIsTold));
    assert_eq!(recording.stop().await, Err(SendError::TimeIsTold));
    assert!(matches!(recording.ask(enter()).await, Err(AskError::Send(SendError::TimeIsTold))));
    // Time that goes back is taken as the latest so far: nobody is here for 29 s, then Alice, who leaves.
    recording.event_at(support::now(29_000), enter()).await.unwrap();
    recording.event_at(support::now(1000), RoomEvent::Leave { user: id("alice") }).await.unwrap();
    recording.event_at(support::now(58_999), enter()).await.unwrap();
    recording.event_at(support::now(59_000), RoomEvent::Stop { code: LeaveCode::API_STOP }).await.unwrap();
    assert_eq!(recording.ended().await.unwrap().status.refused.unknown, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_idle_time_of_a_live_recording_runs_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let mut task = options();
    task.max_idle = recorder::MaxIdleTime::from_secs(5).unwrap();
    let events = Events::new();
    let options = live(task, Bucket::memory()).with_on_callback(events.sink());
    let started = std::time::Instant::now();
    let recording = recorder(root.path()).start(options).unwrap();
    tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5));
    assert!(events.all().iter().any(|event| matches!(event, Payload::RecorderStop(LeaveCode::IDLE))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_frames_are_asked_for_through_the_sink() {
    let root = tempfile::tempdir().unwrap();
    let (asked, asks) = mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    let options = live(options(), Bucket::memory()).with_on_key_frame_needed(move |user, media| {
        asked.lock().unwrap().send((user.clone(), media)).unwrap();
    });
    let recording = recorder(root.path()).start(options).unwrap();
    let mut source = support::media::camera_in_mid_stream(3);
    recording.ask(RoomEvent::Enter { user: id("alice") }).await.unwrap();
    let (media, config, origin) = (MediaId::Main, source.config(), TrackOrigin::FirstArrival);
    recording.ask(RoomEvent::Publish { user: id("alice"), media, config, origin }).await.unwrap();
    for _ in 0..5 {
        let (user, kind, sample) = (id("alice"), MediaKind::Video, source.next());
        recording.ask(RoomEvent::Sample { user, media, kind, sample }).await.unwrap();
    }
    recording.stop().await.unwrap();
    recording.ended().await.unwrap();
    assert_eq!(asks.try_iter().collect::<Vec<_>>(), [(id("alice"), MediaId::Main)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_recordings_at_once_do_not_mix() {
    let root = tempfile::tempdir().unwrap();
    let bucket = Bucket::memory();
    let recorder = recorder(root.path());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..100 {
        let mut task = options();
        task.task = format!("task{n:03}").parse().unwrap();
        let recording = recorder.start(told(task, bucket.clone())).unwrap();
        running.spawn(async move {
            send(&recording, call(11)).await;
            recording.ended().await.unwrap()
        });
    }
    while let Some(outcome) = running.join_next().await {
        assert_eq!(outcome.unwrap().kept, 0);
    }
    let objects = objects(&bucket).await;
    assert_whole(&objects);
    let of_task = |n: usize| -> Vec<(String, Bytes)> {
        let directory = format!("task{n:03}/");
        let objects = objects.iter();
        objects
            .filter_map(|(key, data)| Some((key.strip_prefix(&directory)?.to_owned(), data.clone())))
            .collect()
    };
    let first = of_task(0);
    assert_eq!(first.len(), 2 + 4);
    for n in 1..100 {
        assert_eq!(of_task(n), first, "task {n}");
    }
    assert!(std::fs::read_dir(root.path().join("spool")).unwrap().next().is_none(), "no spool is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_recording_of_the_same_task_id_is_refused_and_the_same_one_is_not() {
    let run = async |bucket: &Bucket, later: i64, seconds: i64| {
        let root = tempfile::tempdir().unwrap();
        let events = Events::new();
        let start = support::wall(support::WALL).saturating_add_millis(later);
        let options = told(options(), bucket.clone())
            .with_clock(recorder::ClockMode::Told { start })
            .with_on_callback(events.sink());
        let recording = recorder(root.path()).start(options).unwrap();
        for (mut now, event) in call(seconds) {
            now.wall = now.wall.saturating_add_millis(later);
            recording.event_at(now, event).await.unwrap();
        }
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        let mut errors: Vec<_> = events
            .all()
            .into_iter()
            .filter_map(|event| match event {
                Payload::UploadError(error) => Some(error.code),
                _ => None,
            })
            .collect();
        // Told again after each success.
        errors.dedup();
        (outcome.kept, errors)
    };
    let directory = tempfile::tempdir().unwrap();
    for bucket in [Bucket::memory(), Bucket::local(directory.path(), BucketOptions::default()).unwrap()] {
        assert_eq!(run(&bucket, 0, 25).await, (0, vec![]));
        let first = objects(&bucket).await;
        // The same once more: nothing to do.
        assert_eq!(run(&bucket, 0, 25).await, (0, vec![]));
        assert_eq!(objects(&bucket).await, first);
        // A day later: its own segments have other names, the playlists stay those of the first.
        assert_eq!(run(&bucket, 86_400_000, 12).await, (2, vec!["ObjectConflict".to_owned()]));
        let both = objects(&bucket).await;
        assert_eq!(both.len(), first.len() + 4);
        for (name, data) in &first {
            assert_eq!(both[name], data, "{name}");
        }
        // The same start and other media: neither segments nor playlists are replaced.
        let (kept, errors) = run(&bucket, 0, 12).await;
        assert!(kept > 0 && errors == ["ObjectConflict"], "{kept} {errors:?}");
        assert_eq!(objects(&bucket).await, both);
    }
}
