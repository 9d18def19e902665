//! Tasks by the calls of the recording API, from creation to the end, in rooms that live.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recorder::api::wire::TaskStatus;
use recorder::api::{Action, RecordMode, Request, Secret, Vendor};
use recorder::callback::{LeaveCode, Payload};
use recorder::storage::Bucket;
use recorder::{RoomEvent, Service, ServiceOptions, bucket_address, task_options};
use support::media::camera_in_mid_stream;
use support::service::{APP, Told, create, request, room};
use support::shell::{objects, recorder};
use support::{MAIN, VIDEO, id};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_from_creation_to_the_end() {
    // Tasks that are over, with their segments.
    let ended = Arc::<Mutex<Vec<(String, u64)>>>::default();
    let over = Arc::clone(&ended);
    let told = Told::with(|options| {
        options.with_on_ended(move |task, outcome| {
            let segments = outcome.status.files.iter().map(|file| file.segments).sum();
            over.lock().unwrap().push((task.as_str().to_owned(), segments));
        })
    });
    told.enter(1, "early");
    let task = told.start(&create(1, "robot", "")).await;
    assert!((50..=90).contains(&task.len()), "{task}");
    let idle = told.describe(&task).await.unwrap();
    assert_eq!((idle.status, idle.storage_file_list), (TaskStatus::Idle, Some(vec![])));

    // Who was there before the task is recorded as well as who comes later.
    told.enter(1, "late");
    told.speak(1, "early", 0..600); // over 12 s: a segment is closed and its playlist is there
    told.speak(1, "late", 0..600);
    told.until("two files", async || {
        told.describe(&task).await.unwrap().storage_file_list.unwrap().len() == 2
    })
    .await;
    let described = told.describe(&task).await.unwrap();
    assert_eq!(described.status, TaskStatus::InProgress);
    let files = described.storage_file_list.unwrap();
    assert_eq!(files[0].user_id.as_deref(), Some("early"));
    assert!(files.iter().all(|file| file.file_name.ends_with("_main_audio.m3u8")), "{files:?}");
    let status = told.service.status(&task.parse().unwrap()).await.unwrap();
    assert_eq!(status.files.iter().map(|file| file.segments).collect::<Vec<_>>(), [1, 1]);

    let only_late = r#", "SubscribeStreamUserIds": {"SubscribeAudioUserIds": ["late"]}"#;
    assert_eq!(told.modify(&task, only_late), Ok(()));
    assert_eq!(told.delete(APP + 1, &task), Err("ResourceNotFound".into()));
    assert_eq!(told.delete(APP, "../../etc"), Err("ResourceNotFound".into()));
    assert_eq!(told.delete(APP, &task), Ok(task.clone()));
    assert_eq!(told.delete(APP, &task), Ok(task.clone()));
    assert_eq!(told.service.running(), 0);
    told.until_over(&task).await;
    assert_eq!(told.delete(APP, &task), Ok(task.clone()), "twice is once, also after the end");
    assert_eq!(told.modify(&task, ""), Err("ResourceNotFound".into()));
    assert!(told.service.status(&task.parse().unwrap()).await.is_none());
    told.until("the end is told", async || !ended.lock().unwrap().is_empty()).await;
    assert_eq!(*ended.lock().unwrap(), [(task.clone(), 4)], "two segments of each");

    let story = told.story(&task);
    assert!(
        story.starts_with("301:0 303 ") && story.contains(" 302:0") && story.ends_with("305:0"),
        "{story}"
    );
    let objects = objects(&told.bucket).await;
    assert_eq!(objects.len(), 6, "{:?}", objects.keys());
    assert!(objects.keys().all(|key| key.starts_with(&format!("p1/{task}/"))), "{:?}", objects.keys());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_leave_has_its_code() {
    let told = Told::new(100);
    let displaced = told.start(&create(1, "robot", "")).await;
    let displacing = told.start(&create(1, "robot", "")).await;
    let other = told.start(&create(1, "robot2", "")).await;
    assert_eq!(told.service.running(), 2);
    told.service.remove_robot(&room(1), &id("robot2"), LeaveCode::REMOVED_BY_CUSTOMER);
    told.service.dismiss(&room(1), LeaveCode::DISMISSED_BY_CUSTOMER);
    let mut expected = vec![(displaced, 101), (displacing, 2), (other, 1)];
    for (at, code) in [
        (2, LeaveCode::REMOVED_BY_SERVER),
        (3, LeaveCode::DISMISSED_BY_SERVER),
        (4, LeaveCode::ROOM_TIMEOUT),
        (5, LeaveCode::API_STOP),
        (6, LeaveCode::IDLE), // nobody enters
    ] {
        let task = told.start(&create(at, "robot", "")).await;
        match code {
            LeaveCode::REMOVED_BY_SERVER => told.service.remove_robot(&room(at), &id("robot"), code),
            LeaveCode::API_STOP => drop(told.delete(APP, &task).unwrap()),
            LeaveCode::IDLE => {}
            _ => told.service.event(&room(at), &RoomEvent::Stop { code }),
        }
        expected.push((task, code.number()));
    }
    for (task, code) in expected {
        told.until_over(&task).await;
        assert_eq!(told.story(&task), format!("301:0 303 302:{code} 305:0"));
    }
    assert_eq!(told.service.running(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_has_its_code_and_leaves_nothing_behind() {
    let told = Told::new(2);
    let first = told.start(&create(1, "a", "")).await;
    told.start(&create(1, "b", "")).await;
    let code = |result: Result<_, recorder::api::ServiceError>| result.unwrap_err().code().to_owned();
    assert_eq!(code(told.service.create(&create(1, "c", "")).await), "FailedOperation.RestrictedConcurrency");
    told.delete(APP, &first).unwrap();
    told.start(&create(1, "c", "")).await;

    let mut mixed = create(2, "a", "");
    let body = r#"{"SdkAppId": 1, "RoomId": "1", "UserId": "a", "UserSig": "x", "RecordParams": {"RecordMode": 2},
        "StorageParams": {"CloudVod": {}}}"#;
    let Request::Create(other) = request(Action::CreateCloudRecording, body) else { panic!() };
    mixed.mode = other.mode.clone();
    #[cfg(not(feature = "mix"))]
    assert_eq!(code(told.service.create(&mixed).await), "UnsupportedOperation");
    mixed.mode = RecordMode::SingleStream;
    let mut vod = mixed;
    vod.storage = other.storage.clone();
    assert_eq!(code(told.service.create(&vod).await), "UnsupportedOperation");

    // The spool cannot be made: its directory is a file.
    let root = tempfile::NamedTempFile::new().unwrap();
    let started = Arc::<Mutex<Vec<u32>>>::default();
    let heard = Arc::clone(&started);
    let options = ServiceOptions::new(|_| Ok(Bucket::memory())).with_on_callback(move |_, body| {
        if let Payload::RecorderStart(status) = body.event().payload() {
            heard.lock().unwrap().push(status.number());
        }
    });
    let broken = Service::new(recorder(root.path()), options);
    for _ in 0..2 {
        let failed = broken.create(&create(1, "robot", "")).await;
        assert_eq!(code(failed), "InternalError.CRInternalError");
        assert_eq!(broken.running(), 0);
    }
    assert_eq!(*started.lock().unwrap(), [1, 1]);
    let closed = ServiceOptions::new(|_| Bucket::open("nowhere://x", Default::default()));
    let closed = Service::new(recorder(root.path()), closed);
    assert_eq!(code(closed.create(&create(1, "robot", "")).await), "FailedOperation");
}

/// The task's thread panics in a function of the embedder, in the middle of the recording or while it tells of its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_panics_is_told_and_frees_its_place_and_the_others_go_on() {
    let told = Told::with(|options| {
        options.with_max_running(2).with_adjust(|_, options| {
            options.with_on_key_frame_needed(|user, _| assert!(user.as_str() != "bomb", "injected"))
        })
    });
    let broken = told.start(&create(1, "robot", "")).await;
    let sound = told.start(&create(2, "robot", "")).await;
    told.enter(1, "alice");
    told.enter(2, "alice");
    told.speak(1, "alice", 0..600);
    told.speak(2, "alice", 0..600);
    told.until_told(&broken, "304").await;
    // In the middle of a stream: a key frame is asked for.
    told.service.event(&room(1), &RoomEvent::Enter { user: id("bomb") });
    let mut camera = camera_in_mid_stream(5);
    let (media, config) = (MAIN, camera.config());
    let origin = recorder::TrackOrigin::FirstArrival;
    told.service.event(&room(1), &RoomEvent::Publish { user: id("bomb"), media, config, origin });
    let picture = RoomEvent::Sample { user: id("bomb"), media, kind: VIDEO, sample: camera.next() };
    told.service.event(&room(1), &picture);

    told.until_over(&broken).await;
    told.until_told(&broken, "305:1").await;
    assert!(told.story(&broken).ends_with(" 308 302:3 305:1"), "{}", told.story(&broken));
    assert_eq!(told.service.running(), 1);
    assert_eq!(told.delete(APP, &broken), Err("ResourceNotFound".into()));
    told.start(&create(3, "robot", "")).await;
    told.speak(1, "alice", 600..610);
    told.speak(2, "alice", 600..700);
    assert_eq!(told.describe(&sound).await.unwrap().status, TaskStatus::InProgress);
    told.delete(APP, &sound).unwrap();
    told.until_told(&sound, "305:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_for_callbacks_that_panics_costs_its_own_task_only() {
    let heard = Arc::<Mutex<Vec<u32>>>::default();
    let sink = Arc::clone(&heard);
    let told = Told::with(|options| {
        options.with_on_callback(move |app, body| {
            // Another application's number would be missing below.
            sink.lock().unwrap().extend((app.get() == APP).then(|| body.event().event_type().number()));
            assert!(body.event().event_type().number() != 302, "injected");
        })
    });
    let task = told.start(&create(1, "robot", "")).await;
    told.delete(APP, &task).unwrap();
    told.until("the end", async || heard.lock().is_ok_and(|heard| heard.ends_with(&[308, 305]))).await;
    told.until_over(&task).await;
    assert_eq!(*heard.lock().unwrap(), [301, 303, 302, 308, 305], "302 is told once");
    assert_eq!(told.service.running(), 0);
}

/// A hundred tasks run, and calls are answered at once: 50 ms at the 99th percentile on an idle machine. Here other
/// tests run beside it, so that only what waits for something is found: the service allows 6 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_answered_while_a_hundred_tasks_run_and_all_end_with_the_service() {
    let told = Told::new(100);
    let mut times = Vec::new();
    let mut tasks = Vec::new();
    for number in 0..100 {
        let begun = Instant::now();
        tasks.push(told.start(&create(number, "robot", "")).await);
        times.push(begun.elapsed());
        told.enter(number, "alice");
        told.speak(number, "alice", 0..50);
    }
    for task in &tasks {
        let begun = Instant::now();
        told.describe(task).await.unwrap();
        told.modify(task, "").unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    println!("p50 {:?}, p99 {:?}, longest {:?}", times[100], times[197], times[199]);
    assert!(times[197] < Duration::from_secs(6));
    told.service.shut_down().await;
    assert_eq!(told.service.running(), 0);
    for task in &tasks {
        let story = told.story(task);
        assert!(story.contains(" 302:3") && story.contains("305:0"), "{story}");
    }
    assert_eq!(objects(&told.bucket).await.len(), 200);
}

#[cfg(feature = "mix")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_task_is_recorded_and_its_layout_changed() {
    let told = Told::new(100);
    told.enter(1, "alice");
    let body = format!(
        r##"{{"SdkAppId": {APP}, "RoomId": "1", "UserId": "robot", "UserSig": "x", "RecordParams": {{"RecordMode": 2}},
        "MixTranscodeParams": {{"VideoParams": {{"Width": 64, "Height": 64, "Fps": 5, "BitRate": 64000, "Gop": 2}}}},
        "MixLayoutParams": {{"MixLayoutMode": 3, "BackGroundColor": "#102030", "WaterMarkList": [
            {{"WaterMarkType": 2, "WaterMarkTimestamp": {{"Pos": 6}}}},
            {{"WaterMarkType": 1, "WaterMarkChar": {{"Top": 0, "Left": 0, "Width": 32, "Height": 16, "Chars": "x"}}}}]}},
        "StorageParams": {{"CloudStorage":
            {{"Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}}}}"##
    );
    let Request::Create(create) = request(Action::CreateCloudRecording, &body) else { panic!() };
    let task = told.start(&create).await;
    told.speak(1, "alice", 0..600);
    let outside = r#", "MixLayoutParams": {"MixLayoutMode": 4, "MixLayoutList":
        [{"Top": 0, "Left": 32, "Width": 34, "Height": 64}]}"#;
    assert_eq!(told.modify(&task, outside), Err("InvalidParameter.OutOfRange".into()));
    let inside = outside.replace("34", "32");
    assert_eq!(told.modify(&task, &inside), Ok(()));
    told.delete(APP, &task).unwrap();
    told.until_over(&task).await;
    let story = told.story(&task);
    assert!(
        story.starts_with("301:0 303 ") && story.contains(" 302:0") && story.ends_with("305:0"),
        "{story}"
    );
    let objects = objects(&told.bucket).await;
    assert!(objects.keys().any(|key| key.ends_with(".m3u8")), "{:?}", objects.keys());
    assert!(objects.keys().all(|key| !key.contains("UserId_s")), "{:?}", objects.keys());
}

#[cfg(feature = "mix")]
#[test]
fn every_setting_of_a_mix_reaches_the_task() {
    use recorder::compositor::{Position, Rect, Rgb, TimeZone};
    use recorder::mix::{ImageSource, Watermark};
    use recorder::mixer::Fill;
    use recorder::types::Size;

    let body = format!(
        r##"{{"SdkAppId": {APP}, "RoomId": "1", "UserId": "robot", "UserSig": "x",
        "RecordParams": {{"RecordMode": 2, "FillType": 1}},
        "MixTranscodeParams": {{"VideoParams": {{"Width": 640, "Height": 480, "Fps": 24, "BitRate": 700000, "Gop": 3}},
            "AudioParams": {{"SampleRate": 2, "Channel": 1, "BitRate": 48000}}}},
        "MixLayoutParams": {{"MixLayoutMode": 3, "BackGroundColor": "#102030", "WaterMarkList": [
            {{"WaterMarkType": 0, "WaterMarkImage": {{"WaterMarkUrl": "http://h/a.png",
                "Top": 2, "Left": 4, "Width": 6, "Height": 8}}}},
            {{"WaterMarkType": 1, "WaterMarkChar": {{"Top": 10, "Left": 12, "Width": 14, "Height": 16, "Chars": "x",
                "FontSize": 18, "FontColor": "#010203", "BackGroundColor": "#040506"}}}},
            {{"WaterMarkType": 1, "WaterMarkChar": {{"Top": 0, "Left": 0, "Width": 0, "Height": 16, "Chars": "x"}}}},
            {{"WaterMarkType": 2, "WaterMarkTimestamp": {{"Pos": 3, "TimeZone": -7}}}}]}},
        "StorageParams": {{"CloudStorage":
            {{"Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}}}}"##
    );
    let Request::Create(create) = request(Action::CreateCloudRecording, &body) else { panic!() };
    let mix = task_options(&create, "t".parse().unwrap()).unwrap().mix.unwrap();
    let size = |width, height| Size::new(width, height).unwrap();
    assert_eq!((mix.video.size, mix.video.fps), (size(640, 480), 24));
    assert_eq!((mix.video.bits_per_second, mix.video.gop_seconds), (700_000, 3));
    assert_eq!((mix.audio.sample_rate, mix.audio.channels, mix.audio.bits_per_second), (44_100, 1, 48_000));
    assert_eq!((mix.fill, mix.layout.background), (Fill::Black, Rgb::new(0x10, 0x20, 0x30)));
    let [
        Watermark::Image { image: ImageSource::Url(url), rect: image },
        Watermark::Text { text, rect, style },
        Watermark::Timestamp { position, zone, .. },
    ] = &mix.watermarks[..]
    else {
        panic!("without the one that has no pixel: {:?}", mix.watermarks)
    };
    assert_eq!((url.as_str(), *image), ("http://h/a.png", Rect::new(4, 2, size(6, 8)).unwrap()));
    assert_eq!((text.as_str(), *rect), ("x", Rect::new(12, 10, size(14, 16)).unwrap()));
    assert_eq!((style.font_size, style.colour), (18, Rgb::new(1, 2, 3)));
    assert_eq!(style.background, Some(Rgb::new(4, 5, 6)));
    assert_eq!((*position, *zone), (Position::BottomRight, TimeZone::new(-7).unwrap()));
}

#[test]
fn every_setting_of_a_recording_reaches_the_task() {
    use recorder::{AvMerge, MediaSelection, OutputFormat, StreamSelection};

    let options = |more: &str| task_options(&create(1, "robot", more), "t".parse().unwrap()).unwrap();
    let formats = [
        OutputFormat::Hls,
        OutputFormat::HlsAndMp4,
        OutputFormat::HlsAndAac,
        OutputFormat::Mp4,
        OutputFormat::Aac,
    ];
    for (number, want) in formats.into_iter().enumerate() {
        assert_eq!(options(&format!(r#", "OutputFormat": {number}"#)).output, want);
    }
    let streams = [StreamSelection::AudioAndVideo, StreamSelection::AudioOnly, StreamSelection::VideoOnly];
    for (number, want) in streams.into_iter().enumerate() {
        assert_eq!(options(&format!(r#", "StreamType": {number}"#)).stream_type, want);
    }
    let media = [MediaSelection::Both, MediaSelection::MainOnly, MediaSelection::AuxOnly];
    for (number, want) in media.into_iter().enumerate() {
        assert_eq!(options(&format!(r#", "MediaId": {number}"#)).media, want);
    }
    for (number, want) in [AvMerge::Separate, AvMerge::Merged].into_iter().enumerate() {
        assert_eq!(options(&format!(r#", "AvMerge": {number}"#)).merge, want);
    }
    let options = options(r#", "MaxMediaFileDuration": 7"#);
    assert_eq!(options.max_file_duration.minutes(), 7);
    assert_eq!(Some(options.max_idle), recorder::MaxIdleTime::from_secs(5));
    assert_eq!((options.prefix.to_string(), options.robot.as_str()), ("p1".into(), "robot"));
}

#[test]
fn addresses_of_buckets_hold_what_the_request_says() {
    use recorder::storage::{Bucket, BucketOptions};

    let recorder::api::Storage::Bucket(mut bucket) = create(1, "r", "").storage else { panic!() };
    bucket.secret_key = Secret::new("s+/=&");
    let keys = "&access_key_id=a&secret_access_key=s%2B%2F%3D%26";
    for (vendor, region, endpoint, want) in [
        (Vendor::Cos, "ap-shanghai", None, "b.cos.ap-shanghai.myqcloud.com&virtual"),
        (Vendor::Cos, "ap-x", Some("cos.accelerate.myqcloud.com"), "b.cos.accelerate.myqcloud.com&virtual"),
        (Vendor::Cos, "ap-x", Some("b.cos.ap-x.tencentcos.cn"), "b.cos.ap-x.tencentcos.cn&virtual"),
        (Vendor::Cos, "ap-x", Some("h:9000"), "h%3A9000&disabled"),
        (Vendor::S3, "r", None, ""),
        (Vendor::S3, "r", Some("h:9000"), "h%3A9000"),
        (Vendor::S3, "auto", Some("storage.googleapis.com"), "storage.googleapis.com&disabled"),
        (Vendor::Oss, "cn-hangzhou", None, "b.s3.oss-cn-hangzhou.aliyuncs.com&virtual"),
        (Vendor::Oss, "oss-cn-hangzhou", None, "b.s3.oss-cn-hangzhou.aliyuncs.com&virtual"),
        (
            Vendor::Oss,
            "x",
            Some("s3.oss-accelerate.aliyuncs.com"),
            "b.s3.oss-accelerate.aliyuncs.com&virtual",
        ),
    ] {
        (bucket.vendor, bucket.region, bucket.endpoint) = (vendor, region.into(), endpoint.map(Into::into));
        let want = match want.split_once('&') {
            None if want.is_empty() => String::new(),
            None => format!("&endpoint=https%3A%2F%2F{want}"),
            Some((host, "virtual")) => format!(
                "&endpoint=https%3A%2F%2F{host}&virtual_hosted_style_request=true&conditional_put=disabled"
            ),
            Some((host, _)) => format!("&endpoint=https%3A%2F%2F{host}&conditional_put=disabled"),
        };
        let address = bucket_address(&bucket);
        assert_eq!(
            address.expose(),
            format!("s3://b?region={region}{want}{keys}"),
            "{vendor:?} {endpoint:?}"
        );
        #[cfg(feature = "aws")]
        Bucket::open(address.expose(), BucketOptions::default()).unwrap();
    }
    bucket.secret_key = Secret::new("c2VjcmV0");
    for host in ["a.blob.core.windows.net", "a.blob.core.chinacloudapi.cn:443"] {
        bucket.endpoint = Some(host.into());
        let address = bucket_address(&bucket);
        let host = host.replace(':', "%3A");
        let want = format!("az://b?endpoint=https%3A%2F%2F{host}&account_name=a&account_key=c2VjcmV0");
        assert_eq!(address.expose(), want);
        #[cfg(feature = "azure")]
        Bucket::open(address.expose(), BucketOptions::default()).unwrap();
    }
    for place in [
        "memory:",
        "s3://b/p?region=r",
        "gs://b/p?skip_signature=true",
        "az://c/p?account_name=a&account_key=c2VjcmV0",
    ] {
        let _opened = Bucket::open(place, BucketOptions::default());
        #[cfg(all(feature = "aws", feature = "azure", feature = "gcp"))]
        _opened.unwrap();
    }
}
