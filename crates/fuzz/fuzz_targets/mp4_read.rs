//! Any bytes as an MP4 file: no more work than they justify, and no sample outside of the file.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use recorder_mp4::{Event, Need, Reader, ReaderOptions};

fuzz_target!(|data: &[u8]| {
    let file = Bytes::copy_from_slice(data);
    let len = file.len() as u64;
    let mut reader = Reader::new(len, ReaderOptions::default());
    let (mut asked, mut last, mut samples) = (0, None, 0);
    loop {
        match reader.poll() {
            Ok(Event::Need(Need { at, len: want })) => {
                assert!(want > 0 && at + want as u64 <= len, "{at}+{want} of {len}");
                assert!(last.is_none_or(|last| last < at), "goes back in the file");
                last = Some(at);
                asked += 1;
                assert!(asked <= len / 4 + 2, "{asked} requests for {len} bytes");
                let from = at as usize;
                if reader.supply(file.slice(from..from + want)).is_err() {
                    break;
                }
            }
            Ok(Event::Sample(sample)) => {
                assert!(sample.offset + u64::from(sample.len) <= len);
                assert!(sample.entry < reader.tracks()[sample.track].entries.len());
                samples += 1;
            }
            Ok(Event::End) | Err(_) => break,
            Ok(_) => {}
        }
    }
    assert!(samples <= len * reader.tracks().len() as u64, "{samples} samples in {len} bytes");
});
