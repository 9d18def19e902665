//! Rooms that are recorded by a template, without a call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::time::Duration;

use recorder::api::AutoRecording;
use recorder::callback::{LeaveCode, Payload};
use recorder::types::{RoomId, SdkAppId};
use recorder::{InvalidTemplate, MAX_ANCHORS, MaxFileDuration, OutputFormat, RoomEvent, StreamSelection};
use recorder::{TaskOptions, task_options};
use support::id;
use support::media::{camera, microphone};
use support::service::{APP, Told, create, room};
use support::shell::objects;
use support::sim::{Sim, encoded, golden};

fn template(more: &str) -> AutoRecording {
    let text = format!(
        r#"{{"StorageParams": {{"CloudStorage": {{"Vendor": 0, "Region": "r", "Bucket": "b", "AccessKey": "a",
        "SecretKey": "s", "FileNamePrefix": ["auto"]}}}}{more}}}"#
    );
    AutoRecording::from_json(text.as_bytes()).unwrap()
}

fn told(more: &str) -> Told {
    let told = Told::with(|options| options);
    told.service.set_auto_recording(SdkAppId::new(APP), Some(template(more))).unwrap();
    told
}

const SHORT: &str = r#", "ResumptionTimeout": 1"#;

/// Seconds of media of each playlist, by its name.
async fn seconds(told: &Told) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for (name, bytes) in objects(&told.bucket).await {
        if name.ends_with(".m3u8") {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let lengths = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','));
            all.push((name, lengths.map(|length| length.parse::<f64>().unwrap()).sum()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_publication_until_nobody_came_back_in_time() {
    let told = told(SHORT);
    told.service.event(&room(1), &RoomEvent::Enter { user: id("bob") });
    assert_eq!(told.service.running(), 0, "nobody publishes");
    told.enter(1, "alice");
    assert_eq!(told.service.running(), 1);
    told.speak(1, "alice", 0..600);
    let task = told.task(1).await;
    told.until_told(&task, "304").await;
    // They go, and one comes back within the second: the same task and file.
    told.leave(1, "alice");
    told.leave(1, "bob");
    tokio::time::sleep(Duration::from_millis(300)).await;
    told.enter(1, "alice");
    told.speak(1, "alice", 0..100);
    told.leave(1, "alice");
    told.until_told(&task, "305:0").await;
    assert!(told.story(&task).starts_with("301:0 303 "), "{}", told.story(&task));
    assert!(told.story(&task).contains(" 302:99"), "{}", told.story(&task));
    let files = seconds(&told).await;
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].0.starts_with(&format!("auto/{task}/")), "{files:?}");
    // Not one frame is missing, though a task begins on a thread of its own.
    let expected = 700.0 * 1024.0 / 48_000.0;
    assert!((files[0].1 - expected).abs() < 0.1, "{files:?}");

    // Too late: another task with files of its own.
    told.enter(1, "alice");
    told.speak(1, "alice", 0..100);
    let next = told.task(2).await;
    assert_ne!(next, task);
    told.leave(1, "alice");
    told.until_told(&next, "305:0").await;
    assert_eq!(seconds(&told).await.len(), 2);
    assert_eq!((told.service.running(), told.tasks().len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_for_a_room_beside_those_by_call() {
    let told = told(SHORT);
    let called = told.start(&create(1, "robot", "")).await;
    for user in ["alice", "bob", "carol"] {
        told.enter(1, user);
    }
    told.enter(2, "dave");
    told.enter(2, "erin");
    assert_eq!(told.service.running(), 3, "one by call, two by the template");
    let auto = told.task(2).await;
    told.delete(APP, &called).unwrap();
    told.until_over(&called).await;
    assert_eq!(told.service.running(), 2);
    told.describe(&auto).await.unwrap();
    told.service.dismiss(&room(2), LeaveCode::DISMISSED_BY_CUSTOMER);
    told.service.shut_down().await;
    told.speak(1, "alice", 0..2);
    assert_eq!(told.service.running(), 0);
    let mut ends = Vec::new();
    for task in told.tasks() {
        ends.extend(told.story(&task).split(' ').find(|event| event.starts_with("302")).map(str::to_owned));
    }
    ends.sort();
    assert_eq!(ends, ["302:0", "302:2", "302:3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_template_is_for_later_rooms() {
    let told = told(SHORT);
    let app = SdkAppId::new(APP);
    told.service.event(&room(1), &RoomEvent::Enter { user: id("early") });
    let mp4 = r#", "OutputFormat": 3, "ResumptionTimeout": 1"#;
    told.service.set_auto_recording(app, Some(template(mp4))).unwrap();
    told.enter(1, "alice"); // by the first template
    told.enter(2, "bob"); // by the second
    told.service.event(&room(3), &RoomEvent::Enter { user: id("carol") });
    told.service.set_auto_recording(app, None).unwrap();
    told.enter(3, "carol"); // by the second
    told.enter(4, "dave"); // by none
    told.service.set_auto_recording(app, Some(template(SHORT))).unwrap();
    told.enter(4, "erin"); // by none still
    for (at, user) in [(1, "alice"), (2, "bob"), (3, "carol"), (4, "dave")] {
        told.speak(at, user, 0..100);
    }
    assert_eq!(told.service.running(), 3);
    for (at, user) in [(1, "early"), (1, "alice"), (2, "bob"), (3, "carol"), (4, "dave"), (4, "erin")] {
        told.leave(at, user);
    }
    told.until("the end", async || told.service.running() == 0 && told.tasks().len() == 3).await;
    for task in told.tasks() {
        told.until_told(&task, "305:0").await;
    }
    let objects = objects(&told.bucket).await;
    let of = |at: u32, end: &str| {
        let begin = format!("{APP}_{at}_");
        objects.keys().filter(|key| key.contains(&begin) && key.ends_with(end)).count()
    };
    assert_eq!((of(1, ".m3u8"), of(1, ".mp4")), (1, 0), "{:?}", objects.keys());
    assert_eq!((of(2, ".m3u8"), of(2, ".mp4")), (0, 1), "{:?}", objects.keys());
    assert_eq!((of(3, ".m3u8"), of(3, ".mp4")), (0, 1), "{:?}", objects.keys());
    assert_eq!((of(4, ".m3u8"), of(4, ".mp4")), (0, 0), "{:?}", objects.keys());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_ends_does_not_begin_again_in_that_room() {
    let told = told(SHORT);
    told.enter(1, "alice");
    let task = told.task(1).await;
    told.delete(APP, &task).unwrap();
    told.until_over(&task).await;
    told.enter(1, "bob");
    told.speak(1, "alice", 0..10);
    assert_eq!((told.service.running(), told.tasks().len()), (0, 1));
    // The room comes into being anew.
    told.leave(1, "alice");
    told.leave(1, "bob");
    told.enter(1, "bob");
    assert_eq!(told.service.running(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_for_which_there_is_no_place_is_told_once_as_failed() {
    let told = Told::new(1);
    told.service.set_auto_recording(SdkAppId::new(APP), Some(template(SHORT))).unwrap();
    told.enter(1, "alice");
    told.task(1).await;
    for user in ["bob", "carol", "dave"] {
        told.enter(2, user);
    }
    let refused = told.task(2).await;
    assert_eq!(told.story(&refused), "301:1");
    assert_eq!((told.service.running(), told.tasks().len()), (1, 2));
    assert_eq!(told.describe(&refused).await.unwrap_err(), "ResourceNotFound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_25_who_entered_are_recorded() {
    let told = told(SHORT);
    let user = |number: usize| format!("u{number:02}");
    let all = MAX_ANCHORS + 2;
    for number in 0..all {
        told.service.event(&room(1), &RoomEvent::Enter { user: id(&user(number)) });
    }
    // Who entered last publishes first.
    for number in (0..all).rev() {
        let (media, origin) = (support::MAIN, recorder::TrackOrigin::FirstArrival);
        let config = microphone().config();
        told.service.event(&room(1), &RoomEvent::Publish { user: id(&user(number)), media, config, origin });
    }
    for number in 0..all {
        told.speak(1, &user(number), 0..50);
    }
    let task = told.task(1).await;
    (0..all).rev().for_each(|number| told.leave(1, &user(number)));
    told.until_told(&task, "305:0").await;
    let files = seconds(&told).await;
    let recorded =
        (0..all).filter(|number| files.iter().any(|(name, _)| name.contains(&encoded(&user(*number)))));
    assert_eq!(recorded.collect::<Vec<_>>(), (0..MAX_ANCHORS).collect::<Vec<_>>());
}

fn options(more: &str) -> TaskOptions {
    let request = template(more).to_request(SdkAppId::new(APP), RoomId::integer(1001), id("auto_task01"));
    task_options(&request, "task01".parse().unwrap()).unwrap()
}

/// To the millisecond: an interruption just below the timeout, and the end.
#[test]
fn an_interruption_goes_on_in_the_same_files() {
    let mut sim = Sim::new(options(r#", "ResumptionTimeout": 2"#));
    sim.enter("alice");
    sim.publish("alice", support::MAIN, microphone());
    sim.publish("alice", support::MAIN, camera());
    sim.run_to(5000);
    sim.leave("alice");
    sim.run_to(6999);
    sim.enter("alice");
    sim.publish("alice", support::MAIN, microphone());
    sim.run_to(9000);
    sim.leave("alice");
    sim.run_to(11_001);
    let end = sim.output.payloads.iter().find(|(_, payload)| matches!(payload, Payload::RecorderStop(_)));
    assert_eq!(end, Some(&(support::WALL + 11_000, Payload::RecorderStop(LeaveCode::IDLE))));
    golden("auto", &sim);
}

#[test]
fn every_setting_of_a_template_reaches_the_task() {
    let plain = options("");
    assert_eq!((plain.stream_type, plain.output), (StreamSelection::AudioAndVideo, OutputFormat::Hls));
    assert_eq!(plain.max_idle.as_duration(), Duration::from_secs(30));
    assert_eq!(plain.max_file_duration, MaxFileDuration::default());
    assert_eq!((plain.prefix.to_string(), plain.robot.as_str()), ("auto".into(), "auto_task01"));
    for seconds in [1, 4, 5, 86_400] {
        let task = options(&format!(r#", "ResumptionTimeout": {seconds}"#));
        assert_eq!(task.max_idle.as_duration(), Duration::from_secs(seconds));
    }
    for (numbers, stream_type, output) in [
        ((0, 3), StreamSelection::AudioAndVideo, OutputFormat::Mp4),
        ((0, 1), StreamSelection::AudioAndVideo, OutputFormat::HlsAndMp4),
        ((1, 4), StreamSelection::AudioOnly, OutputFormat::Aac),
        ((1, 2), StreamSelection::AudioOnly, OutputFormat::HlsAndAac),
        ((2, 0), StreamSelection::VideoOnly, OutputFormat::Hls),
    ] {
        let task = options(&format!(r#", "StreamType": {}, "OutputFormat": {}"#, numbers.0, numbers.1));
        assert_eq!((task.stream_type, task.output), (stream_type, output));
    }
    assert_eq!(options(r#", "MaxMediaFileDuration": 7"#).max_file_duration.minutes(), 7);
}

#[tokio::test]
async fn templates_that_cannot_be_carried_out_are_refused_and_the_old_one_stays() {
    let told = told(SHORT);
    let app = SdkAppId::new(APP);
    let vod = AutoRecording::from_json(br#"{"StorageParams": {"CloudVod": {}}}"#).unwrap();
    let refused = told.service.set_auto_recording(app, Some(vod)).unwrap_err();
    assert!(matches!(refused, InvalidTemplate::Task(recorder::InvalidTask::Vod)), "{refused:?}");
    let private = template(r#", "CallbackUrl": "http://127.0.0.1:9""#);
    let refused = told.service.set_auto_recording(app, Some(private)).unwrap_err();
    let code = recorder::api::ServiceError::from(refused);
    let expected = if cfg!(feature = "http") { "InvalidParameterValue" } else { "UnsupportedOperation" };
    assert_eq!(code.code(), expected);
    told.enter(1, "alice");
    assert_eq!(told.service.running(), 1);
}

/// The customer's server hears what the embedder hears, signed.
#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_to_the_address_of_the_template() {
    use recorder::callback::{AddressPolicy, CallbackBody, CallbackKey, DelivererOptions, verify};
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

    let server = MockServer::start().await;
    Mock::given(matchers::method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let policy = DelivererOptions::default().with_policy(AddressPolicy::AllowPrivate);
    let told = Told::with(|options: recorder::ServiceOptions| options.with_template_callbacks(policy));
    let more = format!(r#"{SHORT}, "CallbackUrl": "{}/events", "CallbackKey": "key1""#, server.uri());
    told.service.set_auto_recording(SdkAppId::new(APP), Some(template(&more))).unwrap();
    told.enter(1, "alice");
    told.speak(1, "alice", 0..100);
    told.leave(1, "alice");
    let task = told.task(1).await;
    told.until_told(&task, "305:0").await;
    let key: CallbackKey = "key1".parse().unwrap();
    let expected: Vec<Payload> =
        told.events.lock().unwrap().iter().map(|(_, payload)| payload.clone()).collect();
    told.until("every event", async || server.received_requests().await.unwrap().len() == expected.len())
        .await;
    for (request, expected) in server.received_requests().await.unwrap().iter().zip(&expected) {
        let sign = request.headers.get("Sign").unwrap().to_str().unwrap();
        verify(std::slice::from_ref(&key), &request.body, sign).unwrap();
        assert_eq!(CallbackBody::from_json(&request.body).unwrap().event().payload(), expected);
    }
}
