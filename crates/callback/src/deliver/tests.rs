use recorder_types::{RoomId, UserId};
use tokio::net::TcpListener;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::{
    Attempt, DedupKey, FileName, FileSlice, LeaveCode, Payload, StartStatus, TrackType, UploadStatus, verify,
};

const APP: SdkAppId = SdkAppId::new(1_400_000_001);

fn task(id: &str) -> TaskId {
    id.parse().unwrap()
}

fn event(task_id: &str, payload: Payload) -> Event {
    let robot: UserId = "recorder".parse().unwrap();
    let time = UnixMillis::new(1_700_000_000_123).unwrap();
    Event::new(time, &RoomId::integer(1001), robot, task(task_id), payload)
}

fn numbered(task_id: &str, number: u32) -> Event {
    event(task_id, Payload::RecorderStop(LeaveCode::new(number)))
}

fn progress(task_id: &str, number: u32) -> Event {
    let file_name: FileName = format!("{number}.m3u8").parse().unwrap();
    let begin = UnixMillis::EPOCH;
    event(
        task_id,
        Payload::FileSlice(FileSlice { file_name, user: None, track_type: TrackType::Audio, begin }),
    )
}

fn local() -> DelivererOptions {
    DelivererOptions::default().with_policy(AddressPolicy::AllowPrivate)
}

fn deliverer(url: &str, key: Option<&str>, options: DelivererOptions) -> Deliverer {
    Deliverer::new(url.parse().unwrap(), key.map(|key| key.parse().unwrap()), APP, options).unwrap()
}

/// Answers by a rule and writes down who came when.
struct Script<F> {
    zero: Instant,
    seen: Mutex<Vec<(DedupKey, u64)>>,
    rule: F,
}

impl<F> Transport for Script<F>
where
    F: Fn(&Event) -> (Duration, bool) + Send + Sync + 'static,
{
    async fn post(&self, attempt: Attempt) -> Result<(), Failure> {
        let event = CallbackBody::from_json(&attempt.body).unwrap().into_event();
        let at = u64::try_from(self.zero.elapsed().as_millis()).unwrap();
        self.seen.lock().unwrap().push((event.dedup_key(), at));
        let (pause, good) = (self.rule)(&event);
        tokio::time::sleep(pause).await;
        if good { Ok(()) } else { Err(Failure::Timeout) }
    }
}

fn scripted<F>(options: DelivererOptions, rule: F) -> Arc<Shared<Script<F>>>
where
    F: Fn(&Event) -> (Duration, bool) + Send + Sync + 'static,
{
    let script = Script { zero: Instant::now(), seen: Mutex::default(), rule };
    Arc::new(Shared::new(script, Handle::current(), options))
}

fn push<T: Transport>(shared: &Arc<Shared<T>>, event: &Event) -> Sent {
    let body = CallbackBody::new(event.clone(), UnixMillis::EPOCH).to_json_bytes();
    Shared::push(shared, event.task(), Message::new(event.event_type(), body, None, shared.now()))
}

#[tokio::test(start_paused = true)]
async fn the_schedule_holds_to_the_second_and_tasks_do_not_wait_for_each_other() {
    let shared = scripted(local(), |event| (Duration::from_secs(5), event.task().as_str() != "dead"));
    let dead = [numbered("dead", 1), numbered("dead", 2)];
    let live = [numbered("live", 1), numbered("live", 2), numbered("live", 3)];
    for event in dead.iter().chain(&live) {
        assert_eq!(push(&shared, event), Sent::Queued);
    }
    shared.flush(Some(&task("live"))).await;
    assert_eq!(shared.now().as_secs(), 15);
    shared.flush(None).await;

    let seen = shared.transport.seen.lock().unwrap().clone();
    let times = |event: &Event| -> Vec<u64> {
        seen.iter().filter(|(key, _)| *key == event.dedup_key()).map(|(_, at)| at / 1000).collect()
    };
    assert_eq!(times(&dead[0]), [0, 5, 15, 25, 35, 45, 55]);
    assert_eq!(times(&dead[1]), [60]);
    assert_eq!((times(&live[0]), times(&live[1]), times(&live[2])), (vec![0], vec![5], vec![10]));
    let state = shared.lock();
    assert_eq!((state.bytes, state.tasks.len()), (0, 0));
    let counts = state.counts;
    assert_eq!((counts.delivered, counts.given_up, counts.failed_attempts, counts.refused), (3, 2, 8, 0));
}

#[tokio::test(start_paused = true)]
async fn an_instant_refusal_is_tried_at_0_0_10_to_60() {
    let shared = scripted(local(), |_| (Duration::ZERO, false));
    let _ = push(&shared, &numbered("t", 1));
    shared.flush(None).await;
    let seen: Vec<u64> = shared.transport.seen.lock().unwrap().iter().map(|(_, at)| at / 1000).collect();
    assert_eq!(seen, [0, 0, 10, 20, 30, 40, 50, 60]);
}

#[tokio::test(start_paused = true)]
async fn queues_are_bounded_for_each_task_and_in_all() {
    let queue = QueueOptions::default().with_max_bytes(10_000);
    let shared =
        scripted(local().with_queue(queue).with_max_bytes(25_000), |_| (Duration::from_secs(5), false));
    for number in 0..1000 {
        for id in ["a", "b", "c", "d"] {
            let _ = push(&shared, &progress(id, number));
        }
        let _ = push(&shared, &progress(&format!("task{number}"), 0));
    }
    {
        let state = shared.lock();
        assert!(state.bytes <= 25_000 && state.counts.refused > 4_000);
        assert!(state.tasks.values().all(|queue| queue.bytes() <= 10_000 && !queue.is_empty()));
        assert_eq!(state.tasks.values().map(TaskQueue::bytes).sum::<usize>(), state.bytes);
    }
    // A result gets in all the same, where its task has progress to drop.
    tokio::task::yield_now().await;
    assert_eq!(push(&shared, &numbered("a", 0)), Sent::Queued);
    assert!(shared.lock().bytes <= 25_000);
    shared.flush(None).await;
    assert_eq!(shared.lock().bytes, 0);
}

#[tokio::test]
async fn what_is_on_the_wire() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/cb"))
        .and(header("Content-Type", "application/json"))
        .and(header("SdkAppId", "1400000001"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"code":0}"#))
        .mount(&server)
        .await;
    let signed = deliverer(&format!("{}/cb?x=1", server.uri()), Some("testkey0123456789"), local());
    let sent =
        CallbackBody::new(event("task01", Payload::UploadStop(UploadStatus::ALL_STORED)), UnixMillis::EPOCH);
    assert_eq!(signed.send_body(&sent), Sent::Queued);
    for number in 0..20 {
        assert_eq!(signed.send(numbered("task01", number)), Sent::Queued);
    }
    let counts = signed.finish().await;
    assert_eq!((counts.delivered, counts.pending, counts.failed_attempts), (21, 0, 0));
    assert_eq!(signed.send(numbered("task01", 99)), Sent::Refused);

    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].body, sent.to_json_bytes());
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(request.headers.get_all("content-type").iter().count(), 1);
        let sign = request.headers["sign"].to_str().unwrap();
        verify(&["testkey0123456789".parse().unwrap()], &request.body, sign).unwrap();
        let body = CallbackBody::from_json(&request.body).unwrap();
        if let (1.., Payload::RecorderStop(code)) = (index, body.event().payload()) {
            assert_eq!(usize::try_from(code.number()).unwrap(), index - 1, "in order");
        }
    }

    let unsigned = deliverer(&format!("{}/cb", server.uri()), None, local());
    assert_eq!(unsigned.send(numbered("t", 0)), Sent::Queued);
    unsigned.flush().await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 22);
    assert!(!requests[21].headers.contains_key("sign"));
}

#[tokio::test]
async fn redirects_are_failures_and_are_not_followed() {
    let target = MockServer::start().await;
    for status in [201, 204, 301, 302, 303, 307, 308, 400, 500, 503] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).insert_header("Location", target.uri().as_str());
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let once =
            QueueOptions::default().with_retry(crate::RetryPolicy::SERVICE.with_max_age(Duration::ZERO));
        let deliverer = deliverer(&server.uri(), None, local().with_queue(once));
        assert_eq!(deliverer.send(numbered("t", 0)), Sent::Queued);
        let counts = deliverer.finish().await;
        assert_eq!((counts.delivered, counts.given_up), (0, 1), "{status}");
    }
    assert!(target.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_endpoint_does_not_hold_up_the_sender() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap(); // takes connections and says nothing
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let deliverer = deliverer(&url, Some("k"), local());
    let started = std::time::Instant::now();
    for number in 0..2_000 {
        let _ = deliverer.send(numbered("t", number));
        let _ = deliverer.send(event("u", Payload::UploadStart(StartStatus::STARTED)));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(deliverer.counts().pending > 0);
}

#[tokio::test]
async fn bad_urls_are_refused_at_configuration() {
    let new = |url: &str, options| Deliverer::new(url.parse().unwrap(), None, APP, options);
    for url in ["http://127.0.0.1/", "https://0x7f.1:8443/", "http://%31%32%37.1/", "http://169.254.169.254/"]
    {
        assert!(matches!(new(url, DelivererOptions::default()), Err(DeliverError::Refused(_))), "{url}");
        assert!(new(url, local()).is_ok(), "{url}");
    }
    for url in ["http://h:99999/", "http://a.b.1.2.999999999999/", "http://%00/"] {
        assert!(matches!(new(url, local()), Err(DeliverError::Url(_))), "{url}");
    }
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let result = Deliverer::new("http://h/".parse().unwrap(), None, APP, local());
    assert!(matches!(result, Err(DeliverError::NoRuntime)));
}
