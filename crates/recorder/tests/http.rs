//! Events on their way to the customer's server: signed, in order, and never in the recording's way.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::time::Duration;

use recorder::callback::{AddressPolicy, CallbackBody, CallbackKey, Deliverer, DelivererOptions, verify};
use recorder::storage::Bucket;
use recorder::types::SdkAppId;
use support::options;
use support::shell::{Events, PATIENCE, assert_whole, call, objects, recorder, send, told};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn deliverer(url: &str, key: Option<CallbackKey>, timeout: Duration) -> Deliverer {
    let options = DelivererOptions::default().with_policy(AddressPolicy::AllowPrivate).with_timeout(timeout);
    Deliverer::new(url.parse().unwrap(), key, SdkAppId::new(1_400_000_001), options).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_signed_and_in_order() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/events"))
        .and(header("Content-Type", "application/json"))
        .and(header("SdkAppId", "1400000001"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{\"code\":0}"))
        .mount(&server)
        .await;
    let key: CallbackKey = "testkey0123456789".parse().unwrap();
    let deliverer = deliverer(&format!("{}/events", server.uri()), Some(key.clone()), Duration::from_secs(5));
    let (root, bucket, events) = (tempfile::tempdir().unwrap(), Bucket::memory(), Events::new());
    let options =
        told(options(), bucket.clone()).with_on_callback(events.sink()).with_deliverer(deliverer.clone());
    let recording = recorder(root.path()).start(options).unwrap();
    send(&recording, call(25)).await;
    recording.ended().await.unwrap();
    tokio::time::timeout(PATIENCE, deliverer.flush()).await.unwrap();
    let mut numbers = Vec::new();
    for request in server.received_requests().await.unwrap() {
        let sign = request.headers.get("Sign").unwrap().to_str().unwrap();
        verify(std::slice::from_ref(&key), &request.body, sign).unwrap();
        let body = CallbackBody::from_json(&request.body).unwrap();
        assert_eq!(body.event().task().as_str(), "task01");
        numbers.push(body.event().event_type().number());
    }
    assert_eq!(numbers, events.numbers());
    assert_eq!(numbers.len(), 7, "301 303 307 307 304 302 305 in some such order: {numbers:?}");
    let counts = deliverer.counts();
    assert_eq!((counts.delivered, counts.failed_attempts, counts.pending), (7, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_dead_or_slow_costs_the_recording_nothing() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    // Nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let failing = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(500)).mount(&failing).await;
    let slow = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    Mock::given(method("POST")).respond_with(late).mount(&slow).await;

    let (root, bucket) = (tempfile::tempdir().unwrap(), Bucket::memory());
    let recording = recorder(root.path()).start(told(options(), bucket.clone())).unwrap();
    send(&recording, call(25)).await;
    recording.ended().await.unwrap();
    let want = objects(&bucket).await;

    for url in [silent_url, closed_url, failing.uri(), slow.uri()] {
        // An attempt takes longer than the test may.
        let deliverer = deliverer(&url, None, Duration::from_secs(3600));
        let (root, bucket, events) = (tempfile::tempdir().unwrap(), Bucket::memory(), Events::new());
        let options =
            told(options(), bucket.clone()).with_on_callback(events.sink()).with_deliverer(deliverer.clone());
        let recording = recorder(root.path()).start(options).unwrap();
        send(&recording, call(25)).await;
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        assert_eq!((outcome.kept, outcome.status.refused.unknown), (0, 0), "{url}");
        assert_eq!(events.numbers().last(), Some(&305));
        let counts = deliverer.counts();
        assert_eq!((counts.delivered, counts.pending), (0, 7), "{url}: none got through while it recorded");
        let found = objects(&bucket).await;
        assert_whole(&found);
        assert_eq!(found, want, "{url}");
    }
}
