//! Calls of the API, as a client makes them over HTTP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};

use recorder_api::{FormSignature, Secret, UserSig};
use recorder_testkit::until;
use serde_json::{Value, json};
use support::client::{Client, Reply, now};
use support::{APP, ID, Running, SECRET, create};

fn describe(task: &str) -> Value {
    json!({ "SdkAppId": APP, "TaskId": task })
}

/// Header names and values.
fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// What holds of every answer of the API.
fn assert_envelope(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        Some("application/json"),
        "with a charset SDKs do not see errors"
    );
    assert!(is_uuid(reply.response()["RequestId"].as_str().unwrap()), "{}", reply.text());
}

#[test]
fn a_task_is_made_described_changed_and_ended() {
    let server = Running::start(&[]);
    let mut client = server.client();
    let created = client.call("CreateCloudRecording", &create("1001", "robot"));
    assert_envelope(&created);
    let task = created.response()["TaskId"].as_str().unwrap().to_owned();
    let described = client.call("DescribeCloudRecording", &describe(&task)).response();
    assert_eq!((&described["TaskId"], &described["Status"]), (&json!(task), &json!("Idle")));
    assert_eq!(described["StorageFileList"], json!([]));
    let changed = json!({ "SdkAppId": APP, "TaskId": task,
        "SubscribeStreamUserIds": { "SubscribeAudioUserIds": ["alice"] } });
    assert_eq!(client.call("ModifyCloudRecording", &changed).response()["TaskId"], json!(task));
    for _ in 0..2 {
        let deleted = client.call("DeleteCloudRecording", &describe(&task));
        assert_envelope(&deleted);
        assert_eq!(deleted.response()["TaskId"], json!(task), "twice is once");
    }
    let (status, log, _root) = server.stop();
    assert!(status.success(), "{log}");
    for canary in ["canary-secret-key", "canary-user-sig", "canary-access", "canary-storage-key"] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
    assert!(log.contains("CreateCloudRecording"), "calls are logged");
}

#[test]
fn queries_and_the_old_signature_do_as_well() {
    let server = Running::start(&[]);
    let mut client = server.client();
    let task = client.call("CreateCloudRecording", &create("1001", "robot")).response()["TaskId"].clone();
    let task = task.as_str().unwrap().replace('+', "%2B");

    // A GET with the header.
    let query = format!("SdkAppId={APP}&TaskId={task}");
    let kind = "application/x-www-form-urlencoded";
    let signed = [
        recorder_api::SignedHeader { name: "content-type", value: kind },
        recorder_api::SignedHeader { name: "host", value: &server.address },
    ];
    let call = recorder_api::ScopedRequest::get("trtc", &signed, &query);
    let at = now();
    let authorization = recorder_api::Authorization::sign(&call, ID, &Secret::new(SECRET), at).unwrap();
    let sent = headers([
        ("Content-Type", kind),
        ("X-TC-Action", "DescribeCloudRecording"),
        ("X-TC-Version", "2019-07-22"),
        ("X-TC-Timestamp", &at.to_string()),
        ("Authorization", &authorization),
    ]);
    let got = client.send("GET", &format!("/?{query}"), &sent, b"");
    assert_envelope(&got);
    assert_eq!(got.response()["Status"], json!("Idle"));

    // The old signature, both hashes, in a query and in a body.
    for method in ["HmacSHA1", "HmacSHA256"] {
        let text = format!(
            "Action=DescribeCloudRecording&Nonce=1&Region=ap-singapore&SdkAppId={APP}&SecretId={ID}\
            &SignatureMethod={method}&TaskId={task}&Timestamp={}&Version=2019-07-22",
            now()
        );
        let sign = |http| {
            let key = Secret::new(SECRET);
            let signature = FormSignature::sign(http, &server.address, &text, &key).unwrap();
            let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            format!("{text}&Signature={signature}")
        };
        let by_query = client.send("GET", &format!("/?{}", sign("GET")), &[], b"");
        assert_eq!(by_query.response()["Status"], json!("Idle"), "{}", by_query.text());
        let form = headers([("Content-Type", kind)]);
        let by_body = client.send("POST", "/", &form, sign("POST").as_bytes());
        assert_eq!(by_body.response()["Status"], json!("Idle"), "{}", by_body.text());
        let changed = sign("POST").replace("Nonce=1", "Nonce=2");
        let refused = client.send("POST", "/", &form, changed.as_bytes());
        assert_eq!(refused.code(), "AuthFailure.SignatureFailure");
    }
}

/// Each way to be refused before a task is looked for.
#[test]
fn who_may_not_call_is_told_why() {
    let server = Running::start(&[]);
    let mut client = server.client();
    let body = describe("t").to_string();
    let good = client.signed("DescribeCloudRecording", body.as_bytes(), now());
    let with = |name: &str, value: Option<&str>| -> Vec<(String, String)> {
        let others = good.iter().filter(|(other, _)| other != name).cloned();
        others.chain(value.map(|value| (name.to_owned(), value.to_owned()))).collect()
    };
    let at = |at: u64| client.signed("DescribeCloudRecording", body.as_bytes(), at);
    let other = Client::new(&server.address, "AKIDother", SECRET);
    let wrong = Client::new(&server.address, ID, "other");
    let sign_by = |client: &Client| client.signed("DescribeCloudRecording", body.as_bytes(), now());
    let cases = [
        ("as it is", good.clone(), "ResourceNotFound"),
        ("unsigned", with("Authorization", None), "AuthFailure.SignatureFailure"),
        ("odd", with("Authorization", Some("Basic x")), "AuthFailure.SignatureFailure"),
        ("another key", sign_by(&wrong), "AuthFailure.SignatureFailure"),
        ("unknown key", sign_by(&other), "AuthFailure.SecretIdNotFound"),
        ("late", at(now() - 400), "AuthFailure.SignatureExpire"),
        ("early", at(now() + 400), "AuthFailure.SignatureExpire"),
        ("a token", with("X-TC-Token", Some("t")), "AuthFailure.TokenFailure"),
        ("no action", with("X-TC-Action", None), "InvalidAction"),
        ("unknown action", with("X-TC-Action", Some("Delete")), "InvalidAction"),
        ("no version", with("X-TC-Version", None), "NoSuchVersion"),
        ("old version", with("X-TC-Version", Some("2017-01-01")), "NoSuchVersion"),
        ("any region", with("X-TC-Region", Some("moon-1")), "ResourceNotFound"),
    ];
    for (what, headers, code) in cases {
        let reply = client.send("POST", "/", &headers, body.as_bytes());
        assert_envelope(&reply);
        assert_eq!(reply.code(), code, "{what}: {}", reply.text());
    }
    let edited = client.send("POST", "/", &good, body.replace('t', "u").as_bytes());
    assert_eq!(edited.code(), "AuthFailure.SignatureFailure");
    for method in ["PUT", "DELETE", "OPTIONS", "BREW"] {
        let reply = client.send(method, "/", &good, body.as_bytes());
        assert_envelope(&reply);
        assert_eq!(reply.code(), "UnsupportedProtocol", "{method}");
    }
    // Another application's, and an id that is nobody's.
    let foreign = json!({ "SdkAppId": APP + 1, "TaskId": "t" });
    assert_eq!(client.call("DescribeCloudRecording", &foreign).code(), "AuthFailure.UnauthorizedOperation");
    assert_eq!(client.get("/nowhere").status, 404);
}

#[test]
fn what_cannot_be_done_is_told_by_the_documented_code() {
    let server = Running::start(&["--max-tasks", "1"]);
    let mut client = server.client();
    let mut refused = |action: &str, change: &[(&str, Value)], code: &str| {
        let mut request =
            if action == "CreateCloudRecording" { create("1001", "robot") } else { describe("t") };
        for (path, value) in change {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = request.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match value {
                Value::Null => drop(parent.remove(name)),
                value => drop(parent.insert(name.to_owned(), value.clone())),
            }
        }
        // Twenty calls of an action pass in a second.
        std::thread::sleep(std::time::Duration::from_millis(55));
        let reply = client.call(action, &request);
        assert_envelope(&reply);
        assert_eq!(reply.code(), code, "{action} {change:?}: {}", reply.text());
    };
    const C: &str = "CreateCloudRecording";
    let missing = Value::Null;
    for name in ["SdkAppId", "RoomId", "UserId", "UserSig", "RecordParams", "StorageParams"] {
        refused(C, &[(&format!("/{name}"), missing.clone())], &format!("MissingParameter.{name}"));
    }
    refused(C, &[("/RecordParams/RecordMode", missing.clone())], "MissingParameter.RecordMode");
    for name in ["Vendor", "Region", "Bucket", "AccessKey", "SecretKey"] {
        let path = format!("/StorageParams/CloudStorage/{name}");
        refused(C, &[(&path, missing.clone())], &format!("MissingParameter.{name}"));
    }
    refused(C, &[("/StorageParams/CloudStorage", missing.clone())], "MissingParameter.CloudStorage");
    let vod = ("/StorageParams/CloudVod", json!({}));
    refused(C, std::slice::from_ref(&vod), "InvalidParameter.OutOfRange");
    refused(C, &[("/StorageParams/CloudStorage", missing.clone()), vod], "UnsupportedOperation");
    for (path, value, code) in [
        ("/RecordParams/RecordMode", json!(3), "InvalidParameter.OutOfRange"),
        ("/RecordParams/MaxIdleTime", json!(4), "InvalidParameter.OutOfRange"),
        ("/SdkAppId", json!(0), "InvalidParameter.SdkAppId"),
        ("/SdkAppId", json!("1"), "InvalidParameter"),
        ("/RoomId", json!("a room"), "InvalidParameterValue"),
        ("/SdkAppID", json!(1), "UnknownParameter"),
        ("/StorageParams/CloudStorage/Region", json!("evil.example/"), "InvalidParameterValue"),
        ("/StorageParams/CloudStorage/EndpointUrl", json!("127.1:9000"), "InvalidParameterValue"),
        ("/StorageParams/CloudStorage/EndpointUrl", json!("LocalHost.:9000"), "InvalidParameterValue"),
        ("/StorageParams/CloudStorage/EndpointUrl", json!("169.254.169.254"), "InvalidParameterValue"),
        ("/StorageParams/CloudStorage/EndpointUrl", json!("a:b:c"), "InvalidParameterValue"),
    ] {
        refused(C, &[(path, value)], code);
    }
    for action in ["DescribeCloudRecording", "ModifyCloudRecording", "DeleteCloudRecording"] {
        refused(action, &[], "ResourceNotFound");
        refused(action, &[("/TaskId", missing.clone())], "MissingParameter.TaskId");
        refused(action, &[("/SdkAppId", missing.clone())], "MissingParameter.SdkAppId");
    }
    let layout = json!({ "MixLayoutMode": 9 });
    refused("ModifyCloudRecording", &[("/MixLayoutParams", layout)], "InvalidParameter.OutOfRange");

    refused(C, &[], "OK");
    refused(C, &[("/UserId", json!("other"))], "FailedOperation.RestrictedConcurrency");
    refused(C, &[], "OK"); // the same robot displaces itself

    // Too much, and not JSON.
    let body = format!("{{\"SdkAppId\": \"{}\"}}", "x".repeat(1 << 20));
    let headers = client.signed(C, body.as_bytes(), now());
    let reply = client.send("POST", "/", &headers, body.as_bytes());
    assert_envelope(&reply);
    assert_eq!(reply.code(), "InvalidParameter");
    let headers = client.signed(C, b"<xml>", now());
    assert_eq!(client.send("POST", "/", &headers, b"<xml>").code(), "InvalidParameter");
}

#[test]
fn more_than_twenty_calls_in_a_second_are_refused_for_this_action_alone() {
    let server = Running::start(&[]);
    let mut client = server.client();
    let request = describe("t");
    let codes = |client: &mut Client, action| client.call(action, &request).code();
    until("a refusal", || {
        let refused = (0..60).any(|_| codes(&mut client, "DescribeCloudRecording") == "RequestLimitExceeded");
        refused.then_some(())
    });
    assert_eq!(codes(&mut client, "DeleteCloudRecording"), "ResourceNotFound");
    std::thread::sleep(std::time::Duration::from_millis(1000));
    assert_eq!(codes(&mut client, "DescribeCloudRecording"), "ResourceNotFound");
    let metrics = client.get("/metrics").text();
    let counted = r#"recorder_calls_total{action="DescribeCloudRecording",code="RequestLimitExceeded"}"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_user_sig_is_checked_where_its_key_is_known() {
    let keys = json!({ ID: { "SecretKey": SECRET, "SdkAppIds": [APP], "AppSecret": "app-secret" } });
    let server = Running::with_keys(&keys, &[]);
    let mut client = server.client();
    let sig = |robot: &str, issued, key: &str| {
        let sig = UserSig::new(recorder_types::SdkAppId::new(APP), robot.parse().unwrap(), issued, 86_400);
        sig.encode(&Secret::new(key)).expose().to_owned()
    };
    for (sig, code) in [
        (sig("robot", now(), "app-secret"), "OK"),
        (sig("robot", now() - 90_000, "app-secret"), "InvalidParameter.UserSig"),
        (sig("other", now(), "app-secret"), "InvalidParameter.UserSig"),
        (sig("robot", now(), "other"), "InvalidParameter.UserSig"),
        ("x".to_owned(), "InvalidParameter.UserSig"),
    ] {
        let mut request = create("1001", "robot");
        request["UserSig"] = json!(sig);
        assert_eq!(client.call("CreateCloudRecording", &request).code(), code);
    }
}

#[test]
fn a_call_that_never_arrives_whole_is_answered_all_the_same() {
    let server = Running::start(&[]);
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let mut told = Vec::new();
    let mut piece = [0; 1024];
    while !told.windows(13).any(|window| window == b"InternalError") {
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "closed after {}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&piece[..read]);
    }
    assert!(told.starts_with(b"HTTP/1.1 200 OK\r\n"));
}
