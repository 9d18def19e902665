//! The program dies, and is started again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use recorder_testkit::until;
use serde_json::{Value, json};
use support::client::Client;
use support::{APP, Running, control, create, files, keys};

fn join(client: &mut Client, user: &str) {
    let joined = control(client, "POST", "/participants", &json!({ "UserId": user, "Simulate": true }));
    assert_eq!(joined.status, 204, "{}", joined.text());
}

fn task(id: &str) -> Value {
    json!({ "SdkAppId": APP, "TaskId": id })
}

fn status(client: &mut Client, id: &str) -> String {
    let described = client.call("DescribeCloudRecording", &task(id)).response();
    described["Status"].as_str().or(described["Error"]["Code"].as_str()).unwrap().to_owned()
}

/// What the page shows of a task.
fn shown(client: &mut Client, id: &str) -> Value {
    let state: Value = serde_json::from_slice(&client.get("/ui/state").body).unwrap();
    state["tasks"].as_array().unwrap().iter().find(|task| task["task"] == id).cloned().unwrap_or_default()
}

/// Every playlist has its end, and what it names is there. Gives their names.
fn assert_closed(out: &Path) -> Vec<String> {
    let mut lists = Vec::new();
    for entry in std::fs::read_dir(out).unwrap() {
        let directory = entry.unwrap().path();
        for name in files(&directory) {
            assert!(!name.starts_with(".put-"), "{name}");
            if name.ends_with(".m3u8") {
                let text = std::fs::read_to_string(directory.join(&name)).unwrap();
                assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{name}: {text}");
                let segments = text.lines().filter(|line| !line.starts_with('#'));
                assert!(segments.clone().count() > 0, "{name} is empty");
                segments.for_each(|segment| assert!(directory.join(segment).is_file(), "{segment}"));
                lists.push(name);
            }
        }
    }
    lists.sort();
    lists
}

/// Nothing of what is secret lies in the spool.
fn assert_no_secret(spool: &Path) {
    let mut seen = 0;
    for entry in std::fs::read_dir(spool).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let found = bytes.windows(b"canary".len()).any(|window| window == b"canary");
            assert!(!found, "{}", String::from_utf8_lossy(&bytes));
            seen += 1;
        }
    }
    assert!(seen > 0, "there is a spool");
}

#[test]
fn tasks_of_a_server_that_was_killed_go_on_under_their_ids() {
    let server = Running::start(&["--control"]);
    let mut client = server.client();
    let mut mixed = create("1001", "mixer");
    mixed["RecordParams"]["RecordMode"] = json!(2);
    mixed["MixTranscodeParams"] =
        json!({ "VideoParams": { "Width": 160, "Height": 90, "Fps": 5, "BitRate": 64000, "Gop": 1 } });
    let ids = [create("1001", "single"), mixed].map(|request| {
        let created = client.call("CreateCloudRecording", &request);
        assert_eq!(created.code(), "OK", "{}", created.text());
        created.response()["TaskId"].as_str().unwrap().to_owned()
    });
    join(&mut client, "alice");
    for id in &ids {
        until("the recording", || (status(&mut client, id) == "InProgress").then_some(()));
    }
    let mut floating = task(&ids[1]);
    floating["MixLayoutParams"] = json!({ "MixLayoutMode": 1 });
    assert_eq!(client.call("ModifyCloudRecording", &floating).code(), "OK");
    let spool = server.root.path().join("spool");
    // Alice's sound and pictures, and the mix.
    until("a segment of each", || {
        let delivered = files(&server.root.path().join("out"));
        (delivered.iter().filter(|name| name.ends_with(".ts")).count() >= 3).then_some(())
    });
    assert_no_secret(&spool);
    drop(client);

    let server = Running::in_place(server.kill(), &keys(), &["--control"]);
    let mut client = server.client();
    for id in &ids {
        assert_eq!(status(&mut client, id), "Idle", "nobody is back");
    }
    for user in ["alice", "bob"] {
        join(&mut client, user);
    }
    for id in &ids {
        until("the recording", || (status(&mut client, id) == "InProgress").then_some(()));
    }
    let windows = until("two windows", || {
        let task = shown(&mut client, &ids[1]);
        let windows = task["picture"]["windows"].as_array()?.clone();
        (windows.len() == 2).then_some(windows)
    });
    assert!(windows.iter().any(|window| window["width"] == 160), "floating, as it was last: {windows:?}");
    let mut grid = task(&ids[1]);
    grid["MixLayoutParams"] = json!({ "MixLayoutMode": 3 });
    assert_eq!(client.call("ModifyCloudRecording", &grid).code(), "OK");
    until("the grid", || {
        let task = shown(&mut client, &ids[1]);
        let windows = task["picture"]["windows"].as_array()?.clone();
        windows.iter().all(|window| window["width"] != 160).then_some(())
    });
    // Samples of both that are written.
    std::thread::sleep(Duration::from_secs(1));
    for id in &ids {
        assert_eq!(client.call("DeleteCloudRecording", &task(id)).code(), "OK");
        assert_eq!(client.call("DeleteCloudRecording", &task(id)).code(), "OK", "twice is once");
        until("the end", || (status(&mut client, id) == "ResourceNotFound").then_some(()));
        let task = shown(&mut client, id);
        assert_eq!((&task["leave_code"], &task["undelivered"]), (&json!(0), &json!(0)), "{task}");
    }
    let lists = assert_closed(&server.root.path().join("out"));
    let of = |prefix: &str| lists.iter().filter(|list| list.starts_with(prefix)).count();
    // After it those of bob as well.
    assert_eq!((of("14"), of("ha1_14"), lists.len()), (3, 5, 8), "{lists:?}");
    assert_eq!(files(&server.root.path().join("spool")), [""; 0]);
}

#[test]
fn a_recording_by_template_goes_on_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("templates.json");
    let template = json!({ "ResumptionTimeout": 60, "StorageParams": create("1", "r")["StorageParams"] });
    std::fs::write(&file, json!({ APP.to_string(): template }).to_string()).unwrap();
    let arguments = ["--control", "--auto-record", file.to_str().unwrap()];
    let server = Running::start(&arguments);
    let mut client = server.client();
    join(&mut client, "alice");
    let tasks = |client: &mut Client| {
        let state: Value = serde_json::from_slice(&client.get("/ui/state").body).unwrap();
        state["tasks"].as_array().unwrap().clone()
    };
    let id = until("the recording", || {
        let task = tasks(&mut client).pop()?;
        (task["status"] == "InProgress").then(|| task["task"].as_str().unwrap().to_owned())
    });
    drop(client);

    let server = Running::in_place(server.kill(), &keys(), &arguments);
    let mut client = server.client();
    join(&mut client, "alice");
    until("the recording", || (status(&mut client, &id) == "InProgress").then_some(()));
    assert_eq!(tasks(&mut client).len(), 1, "no second one begins");
    let (status, log, root) = server.stop();
    assert!(status.success(), "{log}");
    let lists = assert_closed(&root.path().join("out"));
    assert_eq!(lists.iter().filter(|list| list.starts_with("ha1_")).count(), 2, "{lists:?}");
}
