//! What the customer's server hears of a run, and what a dead one costs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::process::Command;

use recorder::callback::{CallbackBody, CallbackKey, verify};
use support::{files, record};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

const ROOM: [&str; 3] = ["--seconds", "2", "-q"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_a_run_arrives_signed_and_in_order() {
    let server = MockServer::start().await;
    let ok = ResponseTemplate::new(200).set_body_string("{\"code\":0}");
    Mock::given(method("POST")).and(header("SdkAppId", "1400000001")).respond_with(ok).mount(&server).await;
    let out = tempfile::tempdir().unwrap();
    let uri = server.uri();
    let key = ["--callback", &uri, "--callback-key", "testkey0123456789", "--allow-private-urls"];
    let output = record(out.path(), &[&ROOM[..], &key[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let key: CallbackKey = "testkey0123456789".parse().unwrap();
    let wrong: CallbackKey = "anotherkey".parse().unwrap();
    let mut numbers = Vec::new();
    for request in server.received_requests().await.unwrap() {
        let sign = request.headers.get("Sign").unwrap().to_str().unwrap();
        verify(std::slice::from_ref(&key), &request.body, sign).unwrap();
        assert!(verify(std::slice::from_ref(&wrong), &request.body, sign).is_err());
        let body = CallbackBody::from_json(&request.body).unwrap();
        assert_eq!(body.event().task().as_str(), "task01");
        numbers.push(body.event().event_type().number());
    }
    let count = |number| numbers.iter().filter(|&&n| n == number).count();
    let place = |number| numbers.iter().position(|&n| n == number).unwrap();
    assert_eq!([301, 302, 303, 305].map(count), [1; 4], "{numbers:?}");
    assert_eq!(count(307), 6, "one for each playlist: {numbers:?}");
    assert_eq!(place(301), 0, "{numbers:?}");
    assert!(place(301) < place(303) && place(303) < place(304) && place(302) < place(305), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&305), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_told_of_and_costs_the_recording_nothing() {
    let want = tempfile::tempdir().unwrap();
    assert!(record(want.path(), &ROOM).status.success());
    let failing = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(500)).mount(&failing).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [failing.uri(), format!("http://{closed}/")] {
        let out = tempfile::tempdir().unwrap();
        let callback = ["--callback", &url, "--allow-private-urls", "--callback-patience", "1"];
        let output = record(out.path(), &[&ROOM[..], &callback[..]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("callback server") && told.contains("recording is complete"), "{told}");
        let spool = out.path().join(".recorder-spool");
        assert!(spool.join("task01").is_dir(), "{url}: what was not told waits");

        let living = MockServer::start().await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&living).await;
        let spool = spool.display().to_string();
        let again = ["--recover", &spool, "--callback", &living.uri(), "--allow-private-urls", "-q"];
        let output = Command::new(env!("CARGO_BIN_EXE_record")).args(again).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = living.received_requests().await.unwrap();
        let number = |body: &[u8]| CallbackBody::from_json(body).unwrap().event().event_type().number();
        let numbers: Vec<_> = told.iter().map(|request| number(&request.body)).collect();
        assert_eq!((numbers.first(), numbers.last()), (Some(&301), Some(&305)), "{numbers:?}");
        assert!(files(out.path()) == files(want.path()), "{url}: the recording differs");
    }
    assert!(!failing.received_requests().await.unwrap().is_empty());
}
