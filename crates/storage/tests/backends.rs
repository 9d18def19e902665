//! One suite for every backend, and what files do on their way into a store.
#![allow(clippy::unwrap_used, reason = "tests")]

mod testing;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::memory::InMemory;
use recorder_storage::{Bucket, BucketOptions, PutMode, StorageError};
use recorder_testkit::storage_suite::{content, file, key, storage_suite};
use testing::FaultyStore;

#[tokio::test]
async fn memory_passes_the_suite() {
    storage_suite(&Bucket::memory(), 100_000).await;
    storage_suite(&Bucket::open("memory:", BucketOptions::default()).unwrap(), 100_000).await;
}

#[tokio::test]
async fn any_store_passes_the_suite_in_parts_and_under_a_prefix() {
    let store = Arc::new(InMemory::new());
    let options = BucketOptions::default().with_part_size(10_000).with_part_concurrency(2);
    let by_number =
        Bucket::from_multipart_store(store.clone(), store.clone(), Some(&key("p")), options.clone());
    storage_suite(&by_number, 100_000).await;
    let inside = Bucket::from_store(store.clone(), Some(&key("p1/p2")), options.clone());
    storage_suite(&inside, 100_000).await;

    inside.put(&key("t/a"), "x".into()).await.unwrap();
    let whole = Bucket::from_store(store, None, options);
    assert_eq!(whole.get(&key("p1/p2/t/a")).await.unwrap(), "x");
    assert_eq!(whole.list(None).await.unwrap().len(), 1);
    assert_eq!(inside.list(None).await.unwrap()[0].key, key("t/a"));
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_local_directory_passes_the_suite() {
    use recorder_storage::Durability;
    let root = tempfile::tempdir().unwrap();
    for (name, durability) in [("a/b c", Durability::Sync), ("r", Durability::Relaxed)] {
        let options = BucketOptions::default().with_durability(durability);
        storage_suite(&Bucket::local(&root.path().join(name), options).unwrap(), 100_000).await;
    }
    let url = format!("file://{}", root.path().join("url").display());
    storage_suite(&Bucket::open(&url, BucketOptions::default()).unwrap(), 100_000).await;
}

/// `RECORDER_TEST_BUCKET` is the address of an empty bucket of a real store, for example
/// `s3://test?endpoint=http://127.0.0.1:9000&region=us-east-1&access_key_id=a&secret_access_key=b`.
#[tokio::test]
async fn a_cloud_store_passes_the_suite() {
    let Ok(address) = std::env::var("RECORDER_TEST_BUCKET") else {
        println!("skipped: RECORDER_TEST_BUCKET names no bucket");
        return;
    };
    let options = BucketOptions::default().with_part_size(5 << 20);
    storage_suite(&Bucket::open(&address, options).unwrap(), 11 << 20).await;
}

#[tokio::test]
async fn a_lost_reply_is_a_success_when_it_is_asked_again() {
    let spool = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    let options = BucketOptions::default().with_part_size(1_000);
    let bucket = Bucket::from_store(store.clone(), None, options);
    for size in [500, 5_000] {
        let name = key(&format!("t/{size}.ts"));
        let path = file(spool.path(), "x", &content(size, 0));
        store.lost_replies.store(1000, Ordering::Relaxed);
        let error = bucket.put_file(&name, &path, PutMode::Create).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        store.lost_replies.store(0, Ordering::Relaxed);
        bucket.put_file(&name, &path, PutMode::Create).await.unwrap();
        assert_eq!(bucket.get(&name).await.unwrap(), content(size, 0));
    }
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_is_aborted_and_leaves_nothing() {
    let spool = tempfile::tempdir().unwrap();
    let store = FaultyStore::new(1);
    let bucket = Bucket::from_store(store.clone(), None, BucketOptions::default().with_part_size(1_000));
    let path = file(spool.path(), "x", &content(10_000, 0));
    // Only the upload's own fault is wanted: look for the one request that opens it.
    let mut aborted = 0;
    for _ in 0..200 {
        store.errors.store(300, Ordering::Relaxed);
        let put = bucket.put_file(&key("t/x.mp4"), &path, PutMode::Replace).await;
        store.errors.store(0, Ordering::Relaxed);
        match put {
            Ok(()) => bucket.delete(&key("t/x.mp4")).await.unwrap(),
            Err(error) => {
                assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
                assert!(matches!(bucket.get(&key("t/x.mp4")).await, Err(StorageError::NotFound { .. })));
                aborted += usize::from(error.message().contains("part lost"));
            }
        }
    }
    assert!(aborted > 10);
    assert_eq!(store.aborted.load(Ordering::Relaxed), aborted);
}

#[tokio::test]
async fn the_stores_code_reaches_the_caller() {
    let store = FaultyStore::new(1);
    store.denied.store(true, Ordering::Relaxed);
    let bucket = Bucket::from_store(store, None, BucketOptions::default());
    let error = bucket.put(&key("a"), "x".into()).await.unwrap_err();
    assert_eq!((error.code(), &*error.message()), ("InvalidAccessKeyId", "AccessKey invalid"));
}
