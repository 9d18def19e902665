//! Calls as the official SDK signs and sends them are verified and read.
#![allow(clippy::unwrap_used, reason = "test")]

use recorder_api::{
    Action, AuthError, Authorization, FormSignature, Request, ScopedRequest, Secret, SignedHeader,
};
use recorder_types::UnixMillis;
use serde_json::Value;

const KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
const ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
const NOW: u64 = 1_764_000_000_000;

fn calls() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/sdk-calls.json")).unwrap()
}

fn text<'a>(call: &'a Value, name: &str) -> &'a str {
    call[name].as_str().unwrap()
}

/// Verifies a call against `key` and `body`, by whichever signature it has.
fn verify(call: &Value, key: &Secret, data: &str) -> Result<(), AuthError> {
    let (method, now) = (text(call, "method"), UnixMillis::new(NOW).unwrap());
    if text(call, "sign") != "TC3-HMAC-SHA256" {
        let signature = FormSignature::parse(data)?;
        assert_eq!(signature.secret_id(), ID);
        assert_eq!(signature.param("Action"), Some(text(call, "action")));
        return signature.verify(method, text(call, "host"), key, now);
    }
    let headers: Vec<SignedHeader<'_>> = call["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| SignedHeader { name, value: value.as_str().unwrap() })
        .collect();
    let request = match method {
        "GET" => ScopedRequest::get("trtc", &headers, data),
        _ => ScopedRequest::post("trtc", &headers, data.as_bytes()),
    };
    let authorization = Authorization::parse(call["headers"]["Authorization"].as_str().unwrap())?;
    assert_eq!(authorization.secret_id(), ID);
    authorization.verify(&request, call["headers"]["X-TC-Timestamp"].as_str().unwrap(), key, now)
}

#[test]
fn every_call_of_the_sdk_is_verified_and_none_that_was_changed() {
    let calls = calls();
    assert_eq!(calls.len(), 26);
    let key = Secret::new(KEY);
    for call in &calls {
        let (data, action) = (text(call, "data"), text(call, "action"));
        let what = format!("{} {} {action}", text(call, "sign"), text(call, "method"));
        assert_eq!(verify(call, &key, data), Ok(()), "{what}");
        assert_eq!(verify(call, &Secret::new("other"), data), Err(AuthError::Mismatch), "{what}");
        let changed = data.replace("1400188366", "1400188367");
        let unsigned = call["headers"].get("X-TC-Content-SHA256").is_some();
        assert_eq!(
            verify(call, &key, &changed),
            if unsigned { Ok(()) } else { Err(AuthError::Mismatch) },
            "{what}"
        );
    }
}

#[test]
fn forms_and_json_say_the_same() {
    let mut json = std::collections::HashMap::new();
    for call in &calls() {
        let action: Action = text(call, "action").parse().unwrap();
        let data = text(call, "data");
        let old = text(call, "sign") != "TC3-HMAC-SHA256";
        let request = match text(call, "method") {
            "GET" => Request::from_query(action, data),
            _ if old => Request::from_form(action, data),
            _ => Request::from_json(action, data.as_bytes()),
        };
        let request = request.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_eq!(request.action(), action);
        assert_eq!(request.app().get(), 1_400_188_366);
        let first = json.entry(action).or_insert_with(|| request.clone());
        assert_eq!(*first, request, "{action}");
    }
}
