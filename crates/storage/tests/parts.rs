//! Uploads in parts against a store in memory whose parts fail, stall and whose aborts fail, under a paused clock.
#![allow(clippy::unwrap_used, reason = "tests")]

mod testing;

use std::time::Duration;

use recorder_storage::{Bucket, BucketOptions, PutMode, StorageError};
use recorder_testkit::storage_suite::{content, file, key};
use testing::PartStore;

fn bucket(store: &std::sync::Arc<PartStore>) -> Bucket {
    let options = BucketOptions::default().with_part_size(1_000).with_part_concurrency(3);
    Bucket::from_multipart_store(store.inner.clone(), store.clone(), None, options)
}

#[tokio::test(start_paused = true)]
async fn parts_that_fail_are_sent_again_and_not_the_file() {
    let spool = tempfile::tempdir().unwrap();
    let data = content(9_500, 1);
    let store = PartStore::new(|_part, attempt| if attempt < 2 { PartStore::FAIL } else { PartStore::TAKE });
    let path = file(spool.path(), "x", &data);
    bucket(&store).put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap();
    assert_eq!(bucket(&store).get(&key("t/x.mp4")).await.unwrap(), data);
    assert_eq!((store.begun(), store.open()), (1, 0));
    assert_eq!(store.sent(), vec![3; 10], "each part twice in vain");
    assert!(store.most_running() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_stalls_is_given_up_when_its_bytes_had_their_time() {
    let spool = tempfile::tempdir().unwrap();
    let data = content(9_500, 1);
    let store = PartStore::new(
        |part, attempt| if part == 4 && attempt == 0 { PartStore::STALL } else { PartStore::TAKE },
    );
    let path = file(spool.path(), "x", &data);
    let options = BucketOptions::default()
        .with_part_size(1_000)
        .with_request_timeout(Duration::from_secs(7))
        .with_minimum_rate(100);
    let begun = tokio::time::Instant::now();
    let bucket = Bucket::from_multipart_store(store.inner.clone(), store.clone(), None, options);
    bucket.put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap();
    // 7 s, 1000 bytes at 100 a second, and a pause of at most 200 ms.
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_secs(17) && taken <= Duration::from_millis(17_300), "{taken:?}");
    assert_eq!(bucket.get(&key("t/x.mp4")).await.unwrap(), data);
    assert_eq!((store.begun(), store.open(), store.sent()[4]), (1, 0, 2));

    let store = PartStore::new(|part, _| if part == 4 { PartStore::STALL } else { PartStore::TAKE });
    let error = self::bucket(&store).put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!((error.code(), store.open()), ("RequestTimeout", 0));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_leaves_no_parts() {
    let spool = tempfile::tempdir().unwrap();
    let path = file(spool.path(), "x", &content(9_500, 1));
    for part in 0..10 {
        let store = PartStore::new(move |at, _| if at == part { PartStore::FAIL } else { PartStore::TAKE });
        let error = bucket(&store).put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
        assert_eq!((store.begun(), store.open()), (1, 0), "part {part}");
        assert!(matches!(bucket(&store).get(&key("t/x.mp4")).await, Err(StorageError::NotFound { .. })));
    }
    // A refusal is not tried again.
    let store = PartStore::new(|at, _| if at == 3 { PartStore::REFUSE } else { PartStore::TAKE });
    let error = bucket(&store).put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap_err();
    assert_eq!((error.code(), store.open(), store.sent()[3]), ("AccessDenied", 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_fails_is_made_up_for_before_the_next_upload() {
    let spool = tempfile::tempdir().unwrap();
    let path = file(spool.path(), "x", &content(9_500, 1));
    let store = PartStore::new(
        |part, attempt| if part == 2 && attempt < 3 { PartStore::FAIL } else { PartStore::TAKE },
    );
    let bucket = bucket(&store);
    store.fail_aborts(100);
    bucket.put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap_err();
    assert_eq!((store.begun(), store.open()), (1, 1), "three tries were not enough");
    let error = bucket.put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!((store.begun(), store.open()), (1, 1), "no other is begun before");
    store.fail_aborts(0);
    bucket.put_file(&key("t/x.mp4"), &path, PutMode::Create).await.unwrap();
    assert_eq!((store.begun(), store.open()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_dropped_is_aborted_by_the_next_one() {
    let spool = tempfile::tempdir().unwrap();
    let path = file(spool.path(), "x", &content(9_500, 1));
    let store = PartStore::new(
        |part, attempt| if part == 5 && attempt == 0 { PartStore::STALL } else { PartStore::TAKE },
    );
    let bucket = bucket(&store);
    let name = key("t/x.mp4");
    let put = bucket.put_file(&name, &path, PutMode::Create);
    tokio::time::timeout(Duration::from_secs(1), put).await.unwrap_err();
    assert_eq!((store.begun(), store.open()), (1, 1));
    bucket.put_file(&name, &path, PutMode::Create).await.unwrap();
    assert_eq!((store.begun(), store.open()), (2, 0));
}
