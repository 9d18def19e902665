//! Tencent VOD: what is sent to the API and to the store behind it, and what comes of each of their answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod fake_vod;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake_vod::{BUCKET, FakeVod, SECRET_ID, SECRET_KEY, Scripted};
use recorder_storage::{
    Bucket, BucketOptions, LibraryError, LibraryReport, LibraryUploader, MediaLibrary, MediaSettings, Medium,
    RetryOptions, TencentVod, TencentVodOptions, UploaderOptions,
};
use serde_json::json;

const NAME: &str = "lesson-7__UserDefine_u_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main";

fn impatient(tries: u32) -> RetryOptions {
    RetryOptions::default().with_tries(tries).with_base(Duration::ZERO)
}

fn options(fake: &FakeVod) -> TencentVodOptions {
    let bucket = BucketOptions::default().with_part_size(5 << 20).with_request_retries(0);
    TencentVodOptions::default()
        .with_endpoint(fake.address())
        .with_storage_endpoint(fake.address())
        .with_bucket(bucket)
        .with_retry(impatient(3))
}

fn library(fake: &FakeVod) -> TencentVod {
    TencentVod::new(SECRET_ID, SECRET_KEY, options(fake)).unwrap()
}

fn file(root: &Path, name: &str, bytes: usize) -> Medium {
    let path = root.join(name);
    std::fs::write(&path, vec![7; bytes]).unwrap();
    Medium::file(name.parse().unwrap(), path)
}

fn playlist(root: &Path, segments: usize) -> Medium {
    let mut text = "#EXTM3U\n".to_owned();
    let files = (0..segments).map(|number| {
        let name = format!("{NAME}_video_2023111422132012{number}.ts");
        text.push_str(&format!("#EXTINF:1.000,\n{name}\n"));
        std::fs::write(root.join(&name), [u8::try_from(number).unwrap(); 188]).unwrap();
        (name.parse().unwrap(), root.join(&name))
    });
    let files = files.collect();
    Medium::hls(format!("{NAME}_video.m3u8").parse().unwrap(), text.into(), files)
}

#[tokio::test]
async fn a_file_is_applied_for_uploaded_with_its_keys_and_committed() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let mut settings = MediaSettings::default();
    settings.procedure = Some("flow".into());
    settings.expire_after = Some(Duration::from_secs(86_400));
    settings.storage_region = Some("ap-chongqing".into());
    settings.class_id = 3;
    settings.sub_app_id = Some(1_500_000_001);
    settings.session_context = Some("session".into());
    settings.source_context = Some("source".into());
    let medium = file(root.path(), &format!("{NAME}.mp4"), 1000);
    let stored = library(&fake).put(&medium, &settings).await.unwrap();
    assert_eq!(stored.file_id, "24820810452266001");
    assert_eq!(stored.url, "http://251000333.vod2.example/24820810452266001/f0.mp4");

    let calls = fake.calls();
    assert_eq!(
        calls.iter().map(|(action, _)| action.as_str()).collect::<Vec<_>>(),
        ["ApplyUpload", "CommitUpload"]
    );
    let mut apply = calls[0].1.clone();
    let expires = apply.as_object_mut().unwrap().remove("ExpireTime").unwrap();
    let day = recorder_types::UnixMillis::new(fake_vod::now() * 1000 + 86_400_000).unwrap().utc_digits();
    assert!(expires.as_str().unwrap().starts_with(&format!("{}-{}-{}T", &day[..4], &day[4..6], &day[6..8])));
    assert_eq!(
        apply,
        json!({"MediaType": "mp4", "MediaName": NAME, "Procedure": "flow", "StorageRegion": "ap-chongqing",
            "ClassId": 3, "SubAppId": 1_500_000_001, "SessionContext": "session", "SourceContext": "source"})
    );
    assert_eq!(calls[1].1, json!({"VodSessionKey": "session-1", "SubAppId": 1_500_000_001}));
    assert_eq!(fake.objects(), [("dir1/media.mp4".to_owned(), 1000)]);
    assert!(root.path().join(medium.name().as_str()).exists(), "the file stays the caller's");

    // What is not asked for is not sent.
    let plain = file(root.path(), "x.aac", 10);
    library(&fake).put(&plain, &MediaSettings::default()).await.unwrap();
    assert_eq!(fake.calls()[2].1, json!({"MediaType": "aac", "MediaName": "x", "ClassId": 0}));
}

#[tokio::test]
async fn segments_go_beside_their_playlist_and_before_it() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let medium = playlist(root.path(), 9);
    library(&fake).put(&medium, &MediaSettings::default()).await.unwrap();
    assert_eq!(fake.calls()[0].1["MediaType"], "m3u8");
    let order = fake.put_order();
    assert_eq!(order.len(), 10);
    assert_eq!(order[9], "dir1/media.m3u8");
    let expected: Vec<String> = medium.files().map(|(name, _)| format!("dir1/{name}")).collect();
    let mut segments = order[..9].to_vec();
    segments.sort();
    assert_eq!(segments, expected);
}

#[tokio::test]
async fn keys_that_run_out_during_an_upload_are_replaced() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    // The first keys are over at once: the store refuses them from then on.
    fake.give_keys_for([0, 3600]);
    let medium = file(root.path(), "long.mp4", (5 << 20) * 2 + 1);
    library(&fake).put(&medium, &MediaSettings::default()).await.unwrap();
    let calls: Vec<_> = fake.calls().into_iter().map(|(action, _)| action).collect();
    assert_eq!(calls, ["ApplyUpload", "ApplyUpload", "CommitUpload"]);
    assert_eq!(fake.calls()[0].1, fake.calls()[1].1);
    assert_eq!(fake.calls()[2].1["VodSessionKey"], "session-1", "place and session stay");
    assert_eq!(fake.objects(), [("dir1/media.mp4".to_owned(), (5 << 20) * 2 + 1)]);
    assert!(fake.tokens_used().iter().all(|token| token == "token-2"), "{:?}", fake.tokens_used());
}

#[tokio::test]
async fn keys_that_the_store_refuses_cost_the_upload_and_not_the_medium() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    fake.revoke("token-1");
    let medium = file(root.path(), "a.mp4", (5 << 20) + 1);
    let error = library(&fake).put(&medium, &MediaSettings::default()).await.unwrap_err();
    assert!(matches!(&error, LibraryError::Upload(error) if error.code() == "ExpiredToken"), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(fake.open_uploads(), 0);
    library(&fake).put(&medium, &MediaSettings::default()).await.unwrap();
    assert_eq!(fake.objects(), [("dir2/media.mp4".to_owned(), (5 << 20) + 1)]);
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_is_left_without_parts() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    fake.fail_part(2);
    let medium = file(root.path(), "a.mp4", (5 << 20) * 3);
    let error = library(&fake).put(&medium, &MediaSettings::default()).await.unwrap_err();
    assert!(matches!(error, LibraryError::Upload(_)) && error.is_retryable(), "{error:?}");
    assert_eq!((fake.open_uploads(), fake.objects().len()), (0, 0));
    assert_eq!(fake.calls().len(), 1, "nothing is committed");
}

#[tokio::test]
async fn each_error_of_the_api_says_who_has_to_act() {
    let both = ["ApplyUpload", "CommitUpload"];
    let (apply, commit) = (&both[..1], &both[1..]);
    for (code, actions, again) in [
        ("FailedOperation", apply, true),
        ("InternalError", &both[..], true),
        ("InvalidParameter.ExpireTime", apply, false),
        ("InvalidParameterValue.CoverType", apply, false),
        ("InvalidParameterValue.ExpireTime", apply, false),
        ("InvalidParameterValue.MediaStoragePath", apply, false),
        ("InvalidParameterValue.MediaType", apply, false),
        ("InvalidParameterValue.SubAppId", &both[..], false),
        ("InvalidParameterValue.VodSessionKey", commit, true),
        ("ResourceNotFound", commit, false),
        ("UnauthorizedOperation", &both[..], false),
        ("AuthFailure.SecretIdNotFound", apply, false),
        ("AuthFailure.SignatureExpire", apply, false),
        ("RequestLimitExceeded", &both[..], true),
    ] {
        for action in actions {
            let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
            fake.script(action, [Scripted::Error(code)]);
            let medium = file(root.path(), "a.mp4", 10);
            let error = library(&fake).put(&medium, &MediaSettings::default()).await.unwrap_err();
            assert_eq!(error.is_retryable(), again, "{action} {code}");
            assert!(error.message().contains(code), "{}", error.message());
            let same = fake.calls().iter().filter(|(called, _)| called == action).count();
            assert_eq!(same, 1, "{action} {code}: it has a RequestId, so it is not repeated");
        }
    }
}

#[tokio::test]
async fn calls_are_repeated_only_where_there_is_no_request_id_and_three_times_at_most() {
    for action in ["ApplyUpload", "CommitUpload"] {
        for (script, expected) in [
            (vec![Scripted::Lost], Ok(2)),
            (vec![Scripted::Lost, Scripted::Page], Ok(3)),
            (vec![Scripted::Page, Scripted::WithoutRequestId, Scripted::Lost], Err(3)),
            (vec![Scripted::Lost, Scripted::Error("InternalError")], Err(2)),
        ] {
            let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
            fake.script(action, script.clone());
            let medium = file(root.path(), "a.mp4", 10);
            let put = library(&fake).put(&medium, &MediaSettings::default()).await;
            let tries = fake.calls().iter().filter(|(called, _)| called == action).count();
            let tries = if put.is_ok() { Ok(tries) } else { Err(tries) };
            assert_eq!(tries, expected, "{action} {script:?}: {put:?}");
            assert!(put.is_ok() || put.unwrap_err().is_retryable());
        }
    }
}

#[tokio::test]
async fn nobody_there_and_a_wrong_key_are_told_apart() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let medium = file(root.path(), "a.mp4", 10);
    let wrong = TencentVod::new(SECRET_ID, "another", options(&fake)).unwrap();
    let error = wrong.put(&medium, &MediaSettings::default()).await.unwrap_err();
    assert!(error.message().contains("AuthFailure.SignatureFailure") && !error.is_retryable(), "{error:?}");

    let nobody = options(&fake).with_endpoint("http://127.0.0.1:9");
    let nobody = TencentVod::new(SECRET_ID, SECRET_KEY, nobody).unwrap();
    let error = nobody.put(&medium, &MediaSettings::default()).await.unwrap_err();
    assert!(matches!(error, LibraryError::Unavailable { .. }), "{error:?}");
    assert!(!error.message().contains(SECRET_KEY));
}

#[tokio::test]
async fn answers_that_would_bend_the_name_of_a_host_are_refused() {
    for (member, value) in
        [("StorageBucket", "evil.example/x"), ("StorageRegion", "a.b"), ("MediaStoragePath", "/../x")]
    {
        let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
        fake.answer_with(member, value);
        let medium = file(root.path(), "a.mp4", 10);
        let error = library(&fake).put(&medium, &MediaSettings::default()).await.unwrap_err();
        assert!(error.message().contains("cannot be used"), "{member}: {error:?}");
        assert!(fake.objects().is_empty());
    }
}

#[tokio::test]
async fn contexts_that_vod_does_not_take_are_refused_before_anything_is_sent() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let medium = file(root.path(), "a.mp4", 10);
    let mut settings = MediaSettings::default();
    settings.source_context = Some("ä".repeat(250));
    settings.session_context = Some("x".repeat(1000));
    library(&fake).put(&medium, &settings).await.unwrap();
    for (source, session) in [(251, 0), (0, 1001)] {
        settings.source_context = Some("x".repeat(source));
        settings.session_context = Some("x".repeat(session));
        let error = library(&fake).put(&medium, &settings).await.unwrap_err();
        assert!(matches!(error, LibraryError::InvalidSetting { .. }), "{error:?}");
    }
    assert_eq!(fake.calls().len(), 2);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_until_it_is() {
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let errors = ["UnauthorizedOperation", "InternalError", "InternalError", "InternalError"];
    fake.script("ApplyUpload", errors.map(Scripted::Error));
    let media = vec![file(root.path(), "a.mp4", 10), file(root.path(), "b.mp4", 20)];
    let options = UploaderOptions::default()
        .with_parallel(1)
        .with_retry(impatient(2))
        .with_redeliver_every(Duration::from_millis(20));
    let (uploader, mut reports) =
        LibraryUploader::spawn(Arc::new(library(&fake)), MediaSettings::default(), media, options);
    let mut told = Vec::new();
    while let Some(report) = reports.recv().await {
        told.push(match report {
            LibraryReport::Stored { name, .. } => format!("stored {name}"),
            LibraryReport::Kept { name, error } => format!("kept {name} {}", error.is_retryable()),
            LibraryReport::Tried { kept } => format!("tried {kept}"),
            LibraryReport::AllStored => "all".to_owned(),
            _ => panic!(),
        });
    }
    // A refusal is not repeated at once; a trouble is.
    assert_eq!(
        told,
        [
            "kept a.mp4 false",
            "kept b.mp4 true",
            "tried 2",
            "kept a.mp4 true",
            "stored b.mp4",
            "stored a.mp4",
            "all"
        ]
    );
    assert_eq!(uploader.waiting(), 0);
}

/// With temporary keys against somebody else's server of the store's protocol.
#[tokio::test]
async fn an_s3_server_takes_a_file_in_parts_and_a_playlist() {
    let Some(s3) = recorder_testkit::servers::S3::start(BUCKET) else { return };
    let (root, fake) = (tempfile::tempdir().unwrap(), FakeVod::start().await);
    let vod = options(&fake).with_storage_endpoint(s3.endpoint());
    let vod = TencentVod::new(SECRET_ID, SECRET_KEY, vod).unwrap();
    let size = (5 << 20) * 2 + 1;
    vod.put(&file(root.path(), "a.mp4", size), &MediaSettings::default()).await.unwrap();
    vod.put(&playlist(root.path(), 3), &MediaSettings::default()).await.unwrap();
    let bucket = Bucket::open(&s3.url(""), BucketOptions::default()).unwrap();
    let objects = bucket.list(None).await.unwrap();
    assert_eq!(objects.len(), 5);
    assert_eq!((objects[0].key.as_str(), objects[0].size), ("dir1/media.mp4", size as u64));
}
