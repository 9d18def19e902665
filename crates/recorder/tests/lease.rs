//! A recording that holds a lease: without it nothing leaves the machine, and when it is lost the spool is left whole.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use recorder::callback::{Payload, UploadStatus};
use recorder::naming::HaRun;
use recorder::storage::{Bucket, BucketOptions, Durability, Lease};
use recorder::types::RoomTime;
use recorder::{ClockMode, Fate, Recording, RecoverOptions, SendError, Unfinished};
use support::shell::{Events, assert_whole, call, objects, recorder, send, told};
use support::{WALL, options, wall};

const HOUR: Duration = Duration::from_secs(3600);

fn bucket_in(root: &Path) -> Bucket {
    let options = BucketOptions::default().with_durability(Durability::Relaxed);
    Bucket::local(&root.join("out"), options).unwrap()
}

/// A recording under `lease` that has heard 25 seconds of a call, and whom it tells.
async fn records(root: &Path, lease: Lease) -> (Recording, Events) {
    let events = Events::new();
    let mut options = told(options(), bucket_in(root)).with_on_callback(events.sink());
    options.uploader = options.uploader.with_lease(lease);
    let recording = recorder(root).start(options).unwrap();
    let heard = call(60).into_iter().take_while(|(now, _)| now.room <= RoomTime::from_secs(25)).collect();
    send(&recording, heard).await;
    recording.describe().await.unwrap();
    (recording, events)
}

async fn recover(root: &Path, how: RecoverOptions) -> (Recording, Events, Option<HaRun>) {
    let events = Events::new();
    let (sink, bucket) = (events.clone(), bucket_in(root));
    let how = how.with_bucket(move |_, _| Some(bucket.clone())).with_adjust(move |mut options| {
        options.clock = ClockMode::Told { start: wall(WALL + 100_000) };
        options.with_on_callback(sink.sink())
    });
    let found = recorder(root).recover_task(&options().task, &how).unwrap().unwrap();
    match found.fate {
        Fate::GoesOn { recording, run } => (recording, events, Some(run)),
        Fate::Ends { recording } => (recording, events, None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_lease_nothing_is_put_or_told_and_all_comes_with_it() {
    let root = tempfile::tempdir().unwrap();
    let (keeper, lease) = Lease::new(Duration::ZERO);
    let (recording, events) = records(root.path(), lease).await;
    assert!(events.all().is_empty() && objects(&bucket_in(root.path())).await.is_empty());
    // It ends without the lease, and is over with it.
    send(&recording, call(26).split_off(call(25).len() - 1)).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), recording.ended()).await.is_err());
    assert!(events.all().is_empty() && objects(&bucket_in(root.path())).await.is_empty());
    keeper.extend(Lease::now() + HOUR);
    assert_eq!(recording.ended().await.unwrap().kept, 0);
    recording.closed().await;
    let numbers = events.numbers();
    assert_eq!((&numbers[..2], numbers.last()), (&[301, 303][..], Some(&305)), "{numbers:?}");
    assert!(numbers.contains(&302) && numbers.contains(&304), "{numbers:?}");
    assert_whole(&objects(&bucket_in(root.path())).await);
    assert!(!root.path().join("spool/task01").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_lease_leaves_is_delivered_and_the_end_is_not_told() {
    let root = tempfile::tempdir().unwrap();
    let (keeper, lease) = Lease::new(Lease::now() + HOUR);
    let (recording, events) = records(root.path(), lease).await;
    assert!(recorder(root.path()).unfinished().unwrap().is_empty(), "it is being recorded");
    keeper.revoke();
    recording.closed().await;
    assert!(matches!(recording.ended().await, Err(SendError::Ended)));
    assert!(!events.numbers().contains(&302), "{:?}", events.numbers());
    let left: Vec<Unfinished> = recorder(root.path()).unfinished().unwrap();
    assert_eq!((left.len(), left[0].run, left[0].stopped), (1, None, false));

    let (recording, events, run) = recover(root.path(), RecoverOptions::default().elsewhere()).await;
    assert_eq!((recording.ended().await.unwrap().kept, run), (0, None));
    recording.closed().await;
    let all = events.all();
    assert!(!events.numbers().contains(&302), "{all:?}");
    let is_late = |event: &Payload| matches!(event, Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED));
    assert_eq!(all.iter().filter(|event| is_late(event)).count(), 1, "{all:?}");
    let found = objects(&bucket_in(root.path())).await;
    assert_whole(&found);
    assert!(found.keys().all(|name| name.starts_with("task01/1400000001_")), "{:?}", found.keys());
    // Two whole segments a track, and what was open of the pictures.
    assert_eq!(found.keys().filter(|name| name.ends_with(".ts")).count(), 5);
    assert!(!root.path().join("spool/task01").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_elsewhere_comes_back_under_the_prefix_that_it_is_given() {
    let root = tempfile::tempdir().unwrap();
    let (keeper, lease) = Lease::new(Lease::now() + HOUR);
    let (recording, _) = records(root.path(), lease).await;
    drop(keeper);
    recording.closed().await;
    let (recording, events, run) = recover(root.path(), RecoverOptions::default().under(HaRun::Third)).await;
    assert_eq!(run, Some(HaRun::Third));
    send(&recording, call(12)).await;
    assert_eq!(recording.ended().await.unwrap().kept, 0);
    recording.closed().await;
    assert!(events.numbers().contains(&306), "{:?}", events.numbers());
    let found = objects(&bucket_in(root.path())).await;
    assert_whole(&found);
    assert!(found.keys().any(|name| name.starts_with("task01/ha3_")));
    assert!(!found.keys().any(|name| name.starts_with("task01/ha1_")));
}
