//! AAC configurations and ADTS frames: what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_types::aac::{AdtsFrame, AudioSpecificConfig};

fuzz_target!(|data: &[u8]| {
    let _ = AudioSpecificConfig::parse(data);
    let Ok(frame) = AdtsFrame::parse(data) else { return };
    assert!(frame.header_len <= frame.frame_len && frame.frame_len > 0, "{frame:?}");
});
