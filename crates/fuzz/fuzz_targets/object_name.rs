//! Any text as an object name: what is read stays in its folder, and written and read again it is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_naming::{ParsedName, RoomIdKind};

fuzz_target!(|text: &str| {
    for kind in [RoomIdKind::Integer, RoomIdKind::Text] {
        let Ok(parsed) = ParsedName::parse(text, kind) else { continue };
        let Ok(written) = parsed.encode() else { continue };
        assert!(!written.as_str().contains(['/', '\\', '\0', '\n']), "{written}");
        assert_eq!(ParsedName::parse(written.as_str(), kind).as_ref(), Ok(&parsed));
    }
});
