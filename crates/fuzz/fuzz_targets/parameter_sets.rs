//! Any bytes as parameter sets give an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_types::h264::{SpsInfo, pps_ids};

fuzz_target!(|data: &[u8]| {
    let _ = SpsInfo::parse(data);
    let _ = pps_ids(data);
});
