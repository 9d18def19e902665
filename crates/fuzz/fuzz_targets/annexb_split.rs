//! Access units of any framing are split within their bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_types::NalFraming;
use recorder_types::h264::{Units, start_code};

fuzz_target!(|data: &[u8]| {
    let framings = [1, 2, 4].map(|length_bytes| NalFraming::LengthPrefixed { length_bytes });
    for framing in framings.into_iter().chain([NalFraming::AnnexB]) {
        let mut total = 0;
        for unit in Units::new(data, framing).flatten() {
            assert!(!unit.is_empty(), "an empty unit");
            total += unit.len();
        }
        assert!(total <= data.len());
    }
    assert_eq!(start_code(data), data.windows(3).position(|window| window == [0, 0, 1]));
});
