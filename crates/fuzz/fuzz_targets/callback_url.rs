//! Any text as an address to call back: one line of printable characters, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_callback::{CallbackKey, CallbackUrl};

fuzz_target!(|text: &str| {
    if let Ok(url) = text.parse::<CallbackUrl>() {
        let shown = url.as_str();
        assert!(shown.starts_with("http://") || shown.starts_with("https://"), "{shown}");
        assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    }
    let _ = text.parse::<CallbackKey>();
});
