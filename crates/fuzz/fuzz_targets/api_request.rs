//! Any body of any action: a request, or an error that the action documents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_api::{Action, AutoRecording, Request};

fuzz_target!(|input: (u8, &[u8])| {
    let (number, body) = input;
    let action = Action::ALL[usize::from(number) % Action::ALL.len()];
    if let Err(error) = Request::from_json(action, body) {
        assert!(error.code().is_documented_for(action), "{error}");
    }
    if let Ok(text) = std::str::from_utf8(body) {
        for read in [Request::from_query(action, text), Request::from_form(action, text)] {
            if let Err(error) = read {
                assert!(error.code().is_documented_for(action), "{error}");
            }
        }
    }
    let _ = AutoRecording::from_json(body);
});
