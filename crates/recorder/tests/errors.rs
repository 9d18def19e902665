//! Every error of the API that can be provoked is, by calls; and whatever is sent gives a task or a documented error.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use recorder::api::{
    Action, Authorization, ErrorCode, Request, ScopedRequest, Secret, ServiceError, SignedHeader, UserSig,
};
use recorder::storage::Bucket;
use recorder::types::UnixMillis;
use recorder::{Service, ServiceOptions};
use recorder_testkit::api_json::{create, least, paths, set, to_vod, values};
use serde_json::{Value, json};
use support::service::Told;
use support::shell::{FaultyStore, recorder};

use Action::{
    CreateCloudRecording as Create, DeleteCloudRecording as Delete, DescribeCloudRecording as Describe,
    ModifyCloudRecording as Modify,
};

/// What a server does with a body. Gives the task's id.
async fn call(service: &Service, action: Action, body: &[u8]) -> Result<String, ServiceError> {
    match Request::from_json(action, body).map_err(|error| ServiceError::from(&error))? {
        Request::Create(request) => service.create(&request).await.map(|answer| answer.task_id),
        Request::Describe(request) => service.describe(&request).await.map(|answer| answer.task_id),
        Request::Modify(request) => service.modify(&request).map(|answer| answer.task_id),
        Request::Delete(request) => service.delete(&request).map(|answer| answer.task_id),
    }
}

/// `least` for a single-stream task, with one member changed or taken away.
fn with(path: &str, new: Option<Value>) -> Value {
    let mut body = least();
    set(&mut body, path, new);
    body
}

fn task(id: &str) -> Value {
    json!({ "SdkAppId": 1, "TaskId": id })
}

/// Rows of the table of errors by action that are not given by the library, and why.
const NOT_GIVEN: &[(&str, &[Action], &str)] = &[
    ("AuthFailure", &Action::ALL, "one of those below it is, by whoever checks the signature"),
    ("AuthFailure.UnRealNameAuthenticated", &Action::ALL, "accounts are the vendor's"),
    ("AuthFailure.UnauthorizedOperation", &Action::ALL, "a server knows whose key it is"),
    ("AuthFailure.UnsupportedOperation", &Action::ALL, "accounts are the vendor's"),
    ("FailedOperation", &[Describe], "there is nothing in it that fails"),
    ("FailedOperation.CRUnsupportMethod", &Action::ALL, "UnsupportedProtocol and InvalidAction say it"),
    ("InternalError.CRInternalError", &[Describe, Modify, Delete], "nothing is started"),
    (
        "InvalidParameter.OutOfRange",
        &[Describe, Delete],
        "they have no number but SdkAppId, which has its own",
    ),
    ("MissingParameter.RoomId", &[Describe, Modify, Delete], "they have no RoomId"),
    ("MissingParameter.UserId", &[Describe, Modify, Delete], "they have no UserId"),
    ("MissingParameter.TaskId", &[Create], "it has no TaskId"),
    ("MissingParameter.StreamType", &[Create], "it has a default"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_table_is_provoked() {
    let told = Told::with(|options| options.with_max_running(1));
    let mut given = BTreeSet::new();
    let mut note = |action: Action, result: Result<String, ServiceError>| {
        let code: ErrorCode = result.unwrap_err().code().parse().unwrap();
        given.insert((code, action));
    };
    let bytes = |body: &Value| body.to_string().into_bytes();
    for path in [
        "SdkAppId",
        "RoomId",
        "UserId",
        "UserSig",
        "RecordParams",
        "RecordParams.RecordMode",
        "StorageParams",
        "StorageParams.CloudStorage",
        "StorageParams.CloudStorage.Vendor",
        "StorageParams.CloudStorage.Region",
        "StorageParams.CloudStorage.Bucket",
        "StorageParams.CloudStorage.AccessKey",
        "StorageParams.CloudStorage.SecretKey",
    ] {
        note(Create, call(&told.service, Create, &bytes(&with(path, None))).await);
    }
    for (path, value) in [("RecordParams.MaxIdleTime", 4), ("SdkAppId", 0)] {
        note(Create, call(&told.service, Create, &bytes(&with(path, Some(json!(value))))).await);
    }
    note(Create, call(&told.service, Create, &bytes(&to_vod())).await);
    for action in [Describe, Modify, Delete] {
        for body in [
            json!({ "TaskId": "t" }),
            json!({ "SdkAppId": 1 }),
            json!({ "SdkAppId": 0, "TaskId": "t" }),
            task("nobody's"),
        ] {
            note(action, call(&told.service, action, &bytes(&body)).await);
        }
    }
    let layout = json!({ "SdkAppId": 1, "TaskId": "t", "MixLayoutParams": { "MixLayoutMode": 5 } });
    note(Modify, call(&told.service, Modify, &bytes(&layout)).await);

    let running = call(&told.service, Create, &bytes(&least())).await.unwrap();
    note(Create, call(&told.service, Create, &bytes(&with("RoomId", Some(json!("2"))))).await);
    call(&told.service, Delete, &bytes(&task(&running))).await.unwrap();

    // A bucket that cannot be opened, a spool that is a file, a task that is still delivering.
    let root = tempfile::tempdir().unwrap();
    let closed = ServiceOptions::new(|_| Bucket::open("nowhere://x", Default::default()));
    let closed = Service::new(recorder(root.path()), closed);
    note(Create, call(&closed, Create, &bytes(&least())).await);
    let file = tempfile::NamedTempFile::new().unwrap();
    let broken = ServiceOptions::new(|_| Ok(Bucket::memory()));
    let broken = Service::new(recorder(file.path()), broken);
    note(Create, call(&broken, Create, &bytes(&least())).await);
    let store = FaultyStore::new();
    store.down.store(true, Ordering::SeqCst);
    let late = Told::into_bucket(store.bucket(), |options| options);
    let leaving = call(&late.service, Create, &bytes(&support::service::body(1, "robot", ""))).await.unwrap();
    late.enter(1, "alice");
    late.speak(1, "alice", 0..100);
    let own = json!({ "SdkAppId": support::service::APP, "TaskId": leaving });
    call(&late.service, Delete, &bytes(&own)).await.unwrap();
    note(Modify, call(&late.service, Modify, &bytes(&own)).await);

    for code in ErrorCode::ALL {
        for action in Action::ALL {
            let reason = NOT_GIVEN
                .iter()
                .find(|(name, actions, _)| *name == code.as_str() && actions.contains(&action));
            let is_given = given.contains(&(*code, action));
            assert!(!(is_given && reason.is_some()), "{code} of {action} is given: {reason:?}");
            let expected = code.is_listed_for(action) && reason.is_none();
            assert!(is_given || !expected, "{code} of {action} was not provoked");
            assert!(!is_given || code.is_documented_for(action), "{code} is not documented for {action}");
        }
    }
}

/// Those that all actions have and that a request or a signature can provoke. The others are a server's to give.
#[test]
fn common_errors_are_provoked() {
    let mut given = BTreeSet::new();
    let code = |body: &str| Request::from_json(Create, body.as_bytes()).unwrap_err().code();
    given.insert(code("{"));
    given.insert(code(r#"{"SdkAppId": 1, "New": 1}"#));
    given.insert(code(&with("UserId", Some(json!("a\nb"))).to_string()));
    let mut mixed = create();
    set(&mut mixed, "MixLayoutParams.MixLayoutMode", None);
    given.insert(code(&mixed.to_string()));
    given.insert(UserSig::decode(&Secret::new("x")).unwrap_err().code());

    let headers = [
        SignedHeader { name: "Content-Type", value: "application/json" },
        SignedHeader { name: "Host", value: "h" },
    ];
    let call = ScopedRequest::post("trtc", &headers, b"{}");
    let (key, sent) = (Secret::new("k"), 1_700_000_000_u64);
    let header = Authorization::sign(&call, "AKIDexample", &key, sent).unwrap();
    let authorization = Authorization::parse(&header).unwrap();
    let verify = |key: &Secret, at: u64| {
        authorization.verify(&call, &sent.to_string(), key, UnixMillis::new(at * 1000).unwrap())
    };
    assert!(verify(&key, sent).is_ok() && verify(&key, sent + 300).is_ok());
    given.insert(verify(&key, sent + 301).unwrap_err().code());
    given.insert(verify(&Secret::new("other"), sent).unwrap_err().code());
    given.insert(Authorization::parse(&header.replace("AKIDexample", "AKID?")).unwrap_err().code());

    let names = given.iter().map(|code| code.as_str()).collect::<BTreeSet<_>>();
    let expected = [
        "AuthFailure.InvalidSecretId",
        "AuthFailure.SignatureExpire",
        "AuthFailure.SignatureFailure",
        "InvalidParameter",
        "InvalidParameter.UserSig",
        "InvalidParameterValue",
        "MissingParameter",
        "UnknownParameter",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}

/// A request of `action` in which one member may be something else.
fn bodies() -> impl Strategy<Value = (Action, Value)> {
    let sound = prop_oneof![
        Just((Create, least())),
        Just((Create, to_vod())),
        Just((Create, small_mix())),
        Just((Modify, task("t1"))),
        Just((Describe, task("t1"))),
        Just((Delete, task("t1"))),
    ];
    let replaced = (sound, prop::option::weighted(0.8, (any::<prop::sample::Index>(), values())));
    let replaced = replaced.prop_map(|((action, mut body), change)| {
        if let Some((at, new)) = change {
            let all = paths(&body);
            set(&mut body, at.get::<String>(&all), Some(new));
        }
        (action, body)
    });
    prop_oneof![3 => replaced, 1 => (prop::sample::select(Action::ALL.to_vec()), values())]
}

/// A mixed task with every member of `create`, in a small picture and without images to fetch.
fn small_mix() -> Value {
    let mut body = create();
    body["MixTranscodeParams"]["VideoParams"] =
        json!({ "Width": 64, "Height": 64, "Fps": 1, "BitRate": 64000, "Gop": 1 });
    body["MixLayoutParams"] = json!({ "MixLayoutMode": 3, "BackGroundColor": "#FFA500", "RenderMode": 0 });
    body
}

/// What is sent to a service that runs gives a task or a documented error, and never the error of a service that broke.
#[test]
fn any_json_gives_a_task_or_a_documented_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let told = runtime.block_on(async { Told::with(|options| options.with_max_running(1000)) });
    let tasks = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(1500), |((action, body) in bodies())| {
        let result = runtime.block_on(call(&told.service, action, body.to_string().as_bytes()));
        match result {
            Ok(id) => {
                // It is one that lives and can be ended.
                let app = body["SdkAppId"].as_i64().unwrap();
                let own = json!({ "SdkAppId": app, "TaskId": id }).to_string();
                prop_assert!(runtime.block_on(call(&told.service, Describe, own.as_bytes())).is_ok());
                prop_assert!(runtime.block_on(call(&told.service, Delete, own.as_bytes())).is_ok());
                tasks.set(tasks.get() + 1);
            }
            Err(error) => {
                let code: ErrorCode = error.code().parse().unwrap();
                prop_assert!(code.is_documented_for(action), "{code} of {action}: {}", error.message());
                prop_assert!(!code.as_str().starts_with("InternalError"), "{}", error.message());
            }
        }
    });
    assert!(tasks.get() > 50, "{} tasks", tasks.get());
    runtime.block_on(told.service.shut_down());
    assert_eq!(told.service.running(), 0);
}
