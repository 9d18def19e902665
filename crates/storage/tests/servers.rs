//! Buckets on servers that speak the vendors' protocols, and what these answer when they refuse.
#![cfg(all(feature = "aws", feature = "azure", feature = "gcp"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recorder_storage::{
    Bucket, BucketOptions, Durability, Finished, PutMode, Spool, StorageError, Uploader, UploaderOptions,
};
use recorder_testkit::servers::{Azurite, S3};
use recorder_testkit::storage_suite::{content, key, storage_suite};
use wiremock::matchers::{any, header, header_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn open(address: &str) -> Bucket {
    Bucket::open(address, BucketOptions::default().with_part_size(5 << 20)).unwrap()
}

#[tokio::test]
async fn an_s3_server_passes_the_suite() {
    let Some(server) = S3::start("rec") else { return };
    storage_suite(&open(&server.url("")), 11 << 20).await;
    storage_suite(&open(&server.url("below/a prefix")), 11 << 20).await;
    // As COS, OSS and others, which know no conditional put.
    storage_suite(&open(&format!("{}&conditional_put=disabled", server.url("plain"))), 6 << 20).await;
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test]
async fn an_azure_server_passes_the_suite() {
    let Some(server) = Azurite::start("rec") else { return };
    storage_suite(&open(&server.url("rec", Azurite::KEY)), 11 << 20).await;
    storage_suite(&open(&server.url("rec/below", Azurite::KEY)), 11 << 20).await;
}

/// What a put is answered with: code, and whether to ask again.
async fn refusal(address: &str) -> (String, String) {
    let error = open(address).put_new(&key("task/a.ts"), "x".into()).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    (error.code().to_owned(), error.message())
}

#[tokio::test]
async fn an_s3_server_says_which_of_keys_permission_and_bucket_is_wrong() {
    let Some(server) = S3::start_guarded("rec", 7) else { return };
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let read = all.replace("s3:*", "s3:GetObject");
    let (writer, reader) = (server.user("writer", all), server.user("reader", &read));
    let with = |bucket: &str, id: &str, secret: &str| {
        let secret = secret.replace('+', "%2B").replace('/', "%2F");
        format!("{}&access_key_id={id}&secret_access_key={secret}", server.address_of(bucket))
    };
    open(&with("rec", &writer.id, &writer.secret)).put(&key("a"), "x".into()).await.unwrap();
    for (address, code) in [
        (with("rec", "AKIAUNKNOWN", &writer.secret), "InvalidAccessKeyId"),
        (with("rec", &writer.id, "another"), "SignatureDoesNotMatch"),
        (with("rec", &reader.id, &reader.secret), "AccessDenied"),
        (with("none", &writer.id, &writer.secret), "NoSuchBucket"),
    ] {
        let (got, message) = refusal(&address).await;
        assert_eq!(got, code, "{message}");
        assert!(!message.is_empty() && !message.contains("another") && !message.contains(&writer.secret));
    }
}

#[tokio::test]
async fn an_azure_server_says_which_of_keys_and_container_is_wrong() {
    let Some(server) = Azurite::start("rec") else { return };
    let other = Azurite::KEY.replace("Eby8", "Fby8");
    assert_eq!(refusal(&server.url("rec", &other)).await.0, "AuthorizationFailure");
    assert_eq!(refusal(&server.url("none", Azurite::KEY)).await.0, "ContainerNotFound");
}

/// Answers as the vendors document them, where no server here gives them.
#[tokio::test]
async fn the_vendors_code_and_message_tell_what_is_wrong() {
    let s3 = "s3://b/p?region=r&allow_http=true&access_key_id=AK&secret_access_key=SK&endpoint=";
    let azure = "az://c/p?account_name=a&account_key=c2VjcmV0&endpoint=";
    let google = "gs://b/p?bearer_token=t&base_url=";
    for (address, status, code, message) in [
        (
            s3,
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        (s3, 403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records."),
        (s3, 403, "AccessDenied", "Access Denied"),
        (s3, 400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
        (s3, 400, "ExpiredToken", "The provided token has expired."),
        (s3, 404, "NoSuchBucket", "The specified bucket does not exist"),
        (azure, 403, "AuthenticationFailed", "Server failed to authenticate the request."),
        (azure, 403, "AuthorizationPermissionMismatch", "This request is not authorized."),
        (azure, 404, "ContainerNotFound", "The specified container does not exist."),
        (google, 403, "AccessDenied", "Access denied."),
        (google, 401, "AuthenticationRequired", "Authentication required."),
        (google, 404, "NoSuchBucket", "The specified bucket does not exist."),
    ] {
        let server = MockServer::start().await;
        let body =
            format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let answer = ResponseTemplate::new(status).set_body_raw(body, "application/xml");
        Mock::given(any()).respond_with(answer).mount(&server).await;
        assert_eq!(refusal(&format!("{address}{}", server.uri())).await, (code.into(), message.into()));
    }
}

/// The other process of [`what_a_killed_process_has_left_is_aborted_when_its_task_is_taken_over`].
#[tokio::test]
#[ignore = "run by another test"]
async fn uploads_until_it_is_killed() {
    let Ok(address) = std::env::var("RECORDER_TEST_UPLOAD_TO") else { return };
    let path = std::env::var_os("RECORDER_TEST_UPLOAD").unwrap();
    let options = BucketOptions::default().with_part_size(5 << 20).with_part_concurrency(1);
    let bucket = Bucket::open(&address, options).unwrap();
    bucket.put_file(&key("task01/x.mp4"), path.as_ref(), PutMode::Create).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_aborted_when_its_task_is_taken_over() {
    let Some(server) = S3::start("rec") else { return };
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(root.path(), &"task01".parse().unwrap(), Durability::Relaxed).unwrap();
    let name = "x.mp4".parse().unwrap();
    let mut writer = spool.create(&name).unwrap();
    for _ in 0..60 {
        writer.append(&content(1 << 20, 3)).unwrap();
    }
    let closed = writer.close().unwrap();
    let address = server.url("below");
    let kills = std::env::var("RECORDER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    for _ in 0..kills {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "uploads_until_it_is_killed", "--ignored"])
            .env("RECORDER_TEST_UPLOAD_TO", &address)
            .env("RECORDER_TEST_UPLOAD", closed.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = server.unfinished();
        while server.unfinished() == before && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let left = server.unfinished();
    assert!(left > 0, "no process was killed in the middle");
    let bucket = open(&address);

    let options = UploaderOptions::default().taking_over();
    let (uploader, _reports) = Uploader::spawn(bucket.clone(), key("task01"), &spool, options);
    uploader.file(closed).unwrap();
    assert_eq!(uploader.finish().await, Finished::Delivered);
    assert_eq!(server.unfinished(), 0, "of {left}");
    assert_eq!(bucket.size(&key("task01/x.mp4")).await.unwrap(), 60 << 20);
}

#[tokio::test]
async fn keys_that_are_refused_are_asked_for_once_more() {
    let server = MockServer::start().await;
    let refused =
        "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    Mock::given(header("x-amz-security-token", "good"))
        .respond_with(ResponseTemplate::new(200).insert_header("ETag", "\"e\""))
        .mount(&server)
        .await;
    Mock::given(header_regex("x-amz-security-token", "^bad"))
        .respond_with(ResponseTemplate::new(400).set_body_raw(refused, "application/xml"))
        .mount(&server)
        .await;
    let asked = Arc::new(AtomicUsize::new(0));
    let given = |tokens: &'static [Option<&'static str>]| {
        let (asked, uri) = (Arc::clone(&asked), server.uri());
        asked.store(0, Ordering::SeqCst);
        let address = move || {
            let token = tokens[asked.fetch_add(1, Ordering::SeqCst).min(tokens.len() - 1)]?;
            Some(format!("s3://b?region=r&endpoint={uri}&access_key_id=a&secret_access_key=s&token={token}"))
        };
        Bucket::open_with(address, BucketOptions::default())
    };
    let put = async |bucket: &Bucket| bucket.put_new(&key("a"), "x".into()).await;

    let bucket = given(&[Some("bad"), Some("good")]).unwrap();
    put(&bucket).await.unwrap();
    put(&bucket).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once at the start, and once for the refusal");

    let bucket = given(&[Some("bad1"), Some("bad2"), Some("good")]).unwrap();
    assert_eq!(put(&bucket).await.unwrap_err().code(), "ExpiredToken");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once only for one request");
    put(&bucket).await.unwrap();

    assert!(matches!(given(&[None]), Err(StorageError::NoKeys)));
    let bucket = given(&[Some("bad"), None]).unwrap();
    let error = put(&bucket).await.unwrap_err();
    assert_eq!((error.code(), &*error.message()), ("ExpiredToken", "The provided token has expired."));
    assert!(!error.is_retryable());

    // Many at once ask once.
    let bucket = given(&[Some("bad"), Some("good")]).unwrap();
    let names: Vec<_> = (0..20).map(|number| key(&format!("t/{number}"))).collect();
    let puts = names.iter().map(|name| bucket.put(name, "x".into()));
    for done in futures_util::future::join_all(puts).await {
        done.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
