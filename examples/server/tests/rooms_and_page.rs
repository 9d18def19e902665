//! The program as a user runs it: rooms by hand, the page, the end.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Stdio;

use recorder_testkit::until;
use serde_json::{Value, json};
use support::client::Client;
use support::{APP, ID, Running, SECRET, command, control, create, files};

/// The only task on the page.
fn shown(client: &mut Client) -> Value {
    let state: Value = serde_json::from_slice(&client.get("/ui/state").body).unwrap();
    state["tasks"][0].clone()
}

#[test]
fn people_put_in_by_hand_are_recorded_and_the_end_closes_and_delivers() {
    let server = Running::start(&["--control"]);
    let mut client = server.client();
    let mut request = create("1001", "robot");
    request["RecordParams"]["RecordMode"] = json!(2);
    request["MixTranscodeParams"] =
        json!({ "VideoParams": { "Width": 160, "Height": 90, "Fps": 5, "BitRate": 64000, "Gop": 2 } });
    let created = client.call("CreateCloudRecording", &request);
    assert_eq!(created.code(), "OK", "{}", created.text());

    for user in ["alice", "<b>bob</b>"] {
        let joined =
            control(&mut client, "POST", "/participants", &json!({ "UserId": user, "Simulate": true }));
        assert_eq!(joined.status, 204, "{}", joined.text());
    }
    let twice =
        control(&mut client, "POST", "/participants", &json!({ "UserId": "alice", "Simulate": true }));
    assert_eq!(twice.status, 409, "{}", twice.text());
    let task = until("two windows", || {
        let task = shown(&mut client);
        (task["picture"]["windows"].as_array().is_some_and(|windows| windows.len() == 2)).then_some(task)
    });
    assert_eq!((&task["status"], &task["picture"]["width"]), (&json!("InProgress"), &json!(160)));
    assert_eq!(task["participants"][1]["user"], json!("<b>bob</b>"));
    assert_eq!(task["participants"][0]["tracks"], json!(["video", "audio"]));

    let gone = control(&mut client, "DELETE", "/participants/%3Cb%3Ebob%3C%2Fb%3E", &Value::Null);
    assert_eq!(gone.status, 204, "{}", gone.text());
    until("one window", || {
        let windows = shown(&mut client)["picture"]["windows"].as_array().map(Vec::len);
        (windows == Some(1)).then_some(())
    });
    let metrics = client.get("/metrics").text();
    assert!(metrics.contains("\nrecorder_tasks_running 1\n"), "{metrics}");
    assert!(metrics.contains("\nrecorder_participants 1\n"), "{metrics}");
    assert_eq!(client.get("/healthz").text(), "ok\n");

    // The end finds an open segment.
    let (status, log, root) = server.stop();
    assert!(status.success(), "{log}");
    let written = files(&root.path().join("out"));
    let list = format!("{APP}_1001.m3u8");
    assert!(written.contains(&list) && written.len() >= 2, "{written:?}");
    assert_eq!(files(&root.path().join("spool")), [""; 0], "nothing waits");
    let directory = std::fs::read_dir(root.path().join("out")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(directory.join(list)).unwrap();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
}

#[test]
fn a_recording_to_vod_goes_into_the_library() {
    let library = tempfile::tempdir().unwrap();
    let base = "https://media.example/vod";
    let server = Running::start(&["--control", "--vod", library.path().to_str().unwrap(), "--vod-url", base]);
    let mut client = server.client();
    let mut request = create("1001", "robot");
    request["StorageParams"] = json!({ "CloudVod": { "TencentVod": { "UserDefineRecordId": "lesson-7" } } });
    let created = client.call("CreateCloudRecording", &request);
    assert_eq!(created.code(), "OK", "{}", created.text());
    let task = created.response()["TaskId"].clone();
    let joined =
        control(&mut client, "POST", "/participants", &json!({ "UserId": "alice", "Simulate": true }));
    assert_eq!(joined.status, 204, "{}", joined.text());
    let asked = json!({ "SdkAppId": APP, "TaskId": task });
    until("media", || {
        let described = client.call("DescribeCloudRecording", &asked).response();
        assert_eq!(described["StorageFileList"], json!([]));
        (described["Status"] == "InProgress").then_some(())
    });
    let (status, log, root) = server.stop();
    assert!(status.success(), "{log}");
    let index = std::fs::read_to_string(library.path().join("index.jsonl")).unwrap();
    let line: Value = serde_json::from_str(&index).unwrap();
    let name = format!("lesson-7__UserDefine_u_{APP}_1001__UserId_s_YWxpY2U.__UserId_e_main.mp4");
    let file = line["File"].as_str().unwrap();
    assert_eq!(line["MediaUrl"], json!(format!("{base}/{file}")));
    assert!(file.ends_with(&name) && library.path().join(file).is_file(), "{file}");
    assert_eq!(files(&root.path().join("spool")), [""; 0], "nothing waits");
}

#[test]
fn a_room_that_is_dismissed_ends_its_task_and_its_files_can_be_taken() {
    let server = Running::start(&["--control"]);
    let mut client = server.client();
    let mut request = create("1001", "robot");
    request["StorageParams"]["CloudStorage"]["FileNamePrefix"] = json!(["p1", "p2"]);
    request["RecordParams"]["OutputFormat"] = json!(1);
    let id = client.call("CreateCloudRecording", &request).response()["TaskId"].as_str().unwrap().to_owned();
    control(
        &mut client,
        "POST",
        "/participants",
        &json!({ "UserId": "alice", "Simulate": true, "MediaId": "aux" }),
    );
    until("the recording", || (shown(&mut client)["status"] == "InProgress").then_some(()));
    assert_eq!(control(&mut client, "DELETE", "", &Value::Null).status, 204);
    let task = until("the end", || {
        let task = shown(&mut client);
        (task["status"] == "Over").then_some(task)
    });
    assert_eq!(
        (&task["leave_code"], &task["task"], &task["undelivered"]),
        (&json!(2), &json!(id), &json!(0))
    );
    assert!(task["bytes"].as_u64().unwrap() > 0 && task["errors"] == json!([]), "{task}");

    let path = |name: &str| format!("/ui/files/{}/{name}", id.replace('+', "%2B"));
    let movie = task["files"][0]["name"].as_str().unwrap();
    let whole = client.get(&path(movie));
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/mp4")));
    assert_eq!(json!(whole.body.len()), task["files"][0]["bytes"]);
    let range = [("Range".to_owned(), "bytes=4-7".to_owned())];
    let part = client.send("GET", &path(movie), &range, b"");
    assert_eq!((part.status, part.body.as_slice()), (206, &b"ftyp"[..]));
    let length = whole.body.len();
    assert_eq!(part.header("content-range"), Some(format!("bytes 4-7/{length}").as_str()));
    let list = client.get(&path(task["playlists"][0]["name"].as_str().unwrap()));
    assert!(list.text().starts_with("#EXTM3U"), "{}", list.text());
    for wrong in ["none.m3u8", "..%2f..%2fkeys.json", "%2e%2e", "keys.json%00"] {
        assert_eq!(client.get(&path(wrong)).status, 404, "{wrong}");
    }
    assert_eq!(client.get("/ui/files/another/x.m3u8").status, 404);
}

#[test]
fn a_room_is_recorded_by_a_template_without_a_call() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("templates.json");
    let template = json!({ "ResumptionTimeout": 1, "StorageParams": create("1", "r")["StorageParams"] });
    std::fs::write(&file, json!({ APP.to_string(): template }).to_string()).unwrap();
    let server = Running::start(&["--control", "--auto-record", file.to_str().unwrap()]);
    let mut client = server.client();
    control(&mut client, "POST", "/participants", &json!({ "UserId": "alice", "Simulate": true }));
    let task = until("the recording", || {
        let task = shown(&mut client);
        (task["status"] == "InProgress").then_some(task)
    });
    assert_eq!(task["robot"], json!(format!("auto_{}", task["task"].as_str().unwrap())));
    assert_eq!((&task["participants"][0]["user"], &task["room_id_type"]), (&json!("alice"), &json!(1)));
    control(&mut client, "DELETE", "/participants/alice", &Value::Null);
    let task = until("the end", || {
        let task = shown(&mut client);
        (task["status"] == "Over").then_some(task)
    });
    assert_eq!((&task["leave_code"], &task["errors"]), (&json!(99), &json!([])));
    let list = task["playlists"][0]["name"].as_str().unwrap();
    let path = format!("/ui/files/{}/{list}", task["task"].as_str().unwrap().replace('+', "%2B"));
    assert!(client.get(&path).text().ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn the_page_is_for_this_machine_and_for_names_of_it() {
    let server = Running::start(&[]);
    let mut client = server.client();
    for (target, kind) in [
        ("/ui/", "text/html; charset=utf-8"),
        ("/ui/page.js", "text/javascript; charset=utf-8"),
        ("/ui/sign.js", "text/javascript; charset=utf-8"),
        ("/ui/hls.min.js", "text/javascript; charset=utf-8"),
        ("/ui/page.css", "text/css; charset=utf-8"),
    ] {
        let part = client.get(target);
        assert_eq!((part.status, part.header("content-type")), (200, Some(kind)), "{target}");
        assert!(part.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    }
    for target in ["/ui/", "/ui/state", "/control/rooms/1/1"] {
        let rebound = [("Host".to_owned(), "evil.example".to_owned())];
        assert_eq!(client.send("GET", target, &rebound, b"").status, 403, "{target}");
    }
    let off = control(&mut client, "POST", "/participants", &json!({ "UserId": "alice", "Simulate": true }));
    assert_eq!(off.status, 404, "control is off by default");
    assert!(off.text().contains("--control"), "{}", off.text());
}

#[test]
fn wrong_calls_of_control_are_told() {
    let server = Running::start(&["--control"]);
    let mut client = server.client();
    let missing = server.root.path().join("none.mp4");
    for (body, status, why) in [
        (json!({ "UserId": "a" }), 400, "Simulate"),
        (json!({ "UserId": "a", "Simulate": true, "File": "x" }), 400, "either"),
        (json!({ "UserId": "a", "File": missing }), 400, "none.mp4"),
        (json!({ "UserId": "", "Simulate": true }), 400, "UserId"),
        (json!({ "UserId": "a", "Simulate": true, "MediaId": "third" }), 400, "third"),
        (json!({ "UserId": "a", "Simulate": true, "Loop": true }), 400, "Loop"),
    ] {
        let reply = control(&mut client, "POST", "/participants", &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.text().contains(why), "{body}: {}", reply.text());
    }
    let plain = [("Content-Type".to_owned(), "text/plain".to_owned())];
    let body = br#"{"UserId": "a", "Simulate": true}"#;
    let target = format!("/control/rooms/{APP}/1001/participants");
    assert_eq!(client.send("POST", &target, &plain, body).status, 415, "as a foreign form would send it");
    assert_eq!(control(&mut client, "DELETE", "/participants/nobody", &Value::Null).status, 404);
    let target = format!("/control/rooms/{APP}/a%20room");
    assert_eq!(client.send("DELETE", &target, &[], b"").status, 400);
    assert_eq!(client.send("DELETE", &format!("{target}?RoomIdType=0"), &[], b"").status, 204);
}

#[test]
fn what_it_cannot_start_with_is_told() {
    let root = tempfile::tempdir().unwrap();
    let good = json!({ ID: { "SecretKey": SECRET, "SdkAppIds": [APP] } });
    let hook =
        json!({ ID: { "SecretKey": SECRET, "SdkAppIds": [APP], "CallbackUrl": "http://127.0.0.1:1/" } });
    for (keys, arguments, why) in [
        (&good, &["--listen", "0.0.0.0:0", "--control"][..], "loopback"),
        (&good, &["--listen", "192.0.2.1:1"], "--listen"),
        (&good, &["--listen", "nowhere"], "--listen"),
        (&json!({}), &["--listen", "127.0.0.1:0"], "no key"),
        (&hook, &["--listen", "127.0.0.1:0"], "--allow-private-urls"),
        (&good, &["--listen", "127.0.0.1:0", "--auto-record", "/nowhere.json"], "nowhere.json"),
        (&good, &["--listen", "127.0.0.1:0", "--vod", "tencent:"], "VodSecretId"),
        (&good, &["--listen", "127.0.0.1:0", "--vod", "m", "--vod-url", "ftp://a/"], "--vod-url"),
    ] {
        let output = command(root.path(), keys).args(arguments).stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(why) && !told.contains(SECRET), "{arguments:?}: {told}");
    }
}
