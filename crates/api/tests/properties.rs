//! Any bytes are a request or a documented error, and nothing that was sent comes back in it.
#![allow(clippy::unwrap_used, reason = "test")]

use proptest::prelude::*;
use recorder_api::{Action, Answer, AutoRecording, FormSignature, Request, RequestId, ServiceError, wire};
use recorder_testkit::api_json::{create, paths, set, to_vod, values};
use serde_json::{Value, json};

fn check(action: Action, result: Result<Request, recorder_api::RequestError>) {
    if let Err(error) = result {
        assert!(error.code().is_documented_for(action), "{error}");
        let answer: Answer<wire::DescribeCloudRecordingResponse> =
            Answer { result: Err(ServiceError::from(&error)), request_id: RequestId::from_random(1) };
        assert!(answer.to_json().len() < 4096, "{error}");
    }
}

/// A form with the same members.
fn form(value: &Value, at: &str, into: &mut Vec<String>) {
    let name = |step: &str| if at.is_empty() { step.to_owned() } else { format!("{at}.{step}") };
    let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    match value {
        Value::Object(members) => members.iter().for_each(|(step, value)| form(value, &name(step), into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| form(value, &name(&index.to_string()), into));
        }
        Value::String(text) => into.push(format!("{at}={}", encode(text))),
        other => into.push(format!("{at}={other}")),
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(Action::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes(action in action(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(action, Request::from_json(action, &body));
        let _ = AutoRecording::from_json(&body);
        let _ = Answer::<wire::DescribeCloudRecordingResponse>::from_json(&body);
    }

    #[test]
    fn any_json(action in action(), value in values()) {
        let body = value.to_string();
        check(action, Request::from_json(action, body.as_bytes()));
        let _ = AutoRecording::from_json(body.as_bytes());
        let answer = json!({ "Response": value }).to_string();
        let _ = Answer::<wire::DescribeCloudRecordingResponse>::from_json(answer.as_bytes());
    }

    #[test]
    fn any_text_as_a_form(action in action(), text in "(SdkAppId=1&)?([A-Za-z.0-9=&%+]{0,80}|.{0,40})") {
        check(action, Request::from_query(action, &text));
        check(action, Request::from_form(action, &text));
        if let Ok(signature) = FormSignature::parse(&format!("{text}&SecretId=a&Timestamp=1&Signature=AA==")) {
            let now = recorder_types::UnixMillis::new(1000).unwrap();
            prop_assert!(signature.verify("GET", &text, &recorder_api::Secret::new("k"), now).is_err());
        }
    }

    /// A full request with one member replaced by anything: the error is at that member, below it, or about it, and
    /// says nothing of any value.
    #[test]
    fn a_request_with_one_member_replaced(vod: bool, pick: prop::sample::Index, new in values()) {
        let mut value = if vod { to_vod() } else { create() };
        let all = paths(&value);
        set(&mut value, pick.get::<String>(&all), Some(new));
        let result = Request::from_json(Action::CreateCloudRecording, value.to_string().as_bytes());
        if let Err(error) = &result {
            prop_assert!(!error.to_string().contains("s3cret"), "{}", error);
            prop_assert!(!error.path.as_str().is_empty() , "{}", error);
        }
        check(Action::CreateCloudRecording, result);
    }

    /// Debug forms of what was read hold no key, whatever the keys are.
    #[test]
    fn keys_do_not_print(key in "k3y[a-zA-Z0-9+/=\"\\\\]{8,40}") {
        let mut value = create();
        for path in ["UserSig", "PrivateMapKey", "StorageParams.CloudStorage.SecretKey", "StorageParams.CloudStorage.AccessKey"] {
            set(&mut value, path, Some(json!(key)));
        }
        let wire: wire::CreateCloudRecordingRequest = serde_json::from_value(value.clone()).unwrap();
        let request = Request::from_json(Action::CreateCloudRecording, value.to_string().as_bytes()).unwrap();
        let printed = format!("{wire:?} {request:#?}");
        prop_assert!(!printed.contains("k3y"));
    }

    /// A full request means the same as JSON and as a form, whatever part of it is taken away.
    #[test]
    fn forms_mean_what_json_means(vod: bool, gone: Option<prop::sample::Index>) {
        let mut value = if vod { to_vod() } else { create() };
        if let Some(gone) = gone {
            let mut all = paths(&value);
            // Places in lists cannot be left out of a form.
            all.retain(|path| path.rsplit('.').next().unwrap().parse::<usize>().is_err());
            set(&mut value, gone.get::<String>(&all), None);
        }
        prop_assume!(!value.to_string().contains("{}")); // a form cannot say it
        let mut pairs = Vec::new();
        form(&value, "", &mut pairs);
        let by_form = Request::from_query(Action::CreateCloudRecording, &pairs.join("&"));
        let by_json = Request::from_json(Action::CreateCloudRecording, value.to_string().as_bytes());
        match (by_form, by_json) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
            (a, b) => prop_assert_eq!(a.unwrap_err().to_string(), b.unwrap_err().to_string()),
        }
    }
}
