//! Any bytes as the index of a segment, and any bytes as the segment that an index is made from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_hls::SegmentIndex;
use recorder_types::UnixMillis;

fuzz_target!(|data: &[u8]| {
    if let Ok((index, len)) = SegmentIndex::decode(data) {
        assert!(len <= data.len());
        let written = index.encode();
        assert_eq!(
            SegmentIndex::decode(&written),
            Ok((index, written.len())),
            "written and read it is another"
        );
    }
    if let Ok(index) = SegmentIndex::from_ts(data, UnixMillis::EPOCH, false, None) {
        let samples = index.video().map_or(0, |video| video.pictures().count())
            + index.audio().map_or(0, |audio| audio.frames().count());
        assert!(samples <= data.len(), "{samples} samples in {} bytes", data.len());
    }
});
