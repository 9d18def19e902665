//! Any id: encoded within its alphabet and decoded to itself, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_naming::{KeyPrefix, decode_field, encode_field};
use recorder_types::{RoomId, TaskId, UserId};

fuzz_target!(|text: &str| {
    let encoded = encode_field(text.as_bytes());
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)), "{encoded}");
    assert_eq!(decode_field(&encoded).as_deref(), Ok(text.as_bytes()));
    let _ = decode_field(text);
    if let Ok(user) = text.parse::<UserId>() {
        assert!(!user.as_str().contains(['\n', '\r', '\0']));
    }
    if let Ok(task) = text.parse::<TaskId>() {
        assert!(!task.as_str().contains(['/', '\\', '\0']) && task.as_str() != ".." && task.as_str() != ".");
    }
    if let Ok(prefix) = text.parse::<KeyPrefix>() {
        assert!(!prefix.to_string().contains(".."));
    }
    let _ = RoomId::text(text);
    let _ = RoomId::parse_integer(text);
});
