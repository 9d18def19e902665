//! Any bytes as a callback, and any header as its signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_callback::{CallbackBody, CallbackKey, sign, verify};

fuzz_target!(|input: (&[u8], &str)| {
    let (bytes, header) = input;
    if let Ok(body) = CallbackBody::from_json(bytes) {
        let written = body.to_json_bytes();
        assert_eq!(CallbackBody::from_json(&written).ok(), Some(body), "written and read it is another");
    }
    let key: CallbackKey = "123654".parse().expect("a key");
    let signature = sign(&key, bytes);
    assert_eq!(verify(&[key], bytes, header).is_ok(), signature == header, "{header}");
});
