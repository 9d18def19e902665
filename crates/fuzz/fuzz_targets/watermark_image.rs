//! Any bytes as a picture: within the limits of size, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_compositor::{Bitmap, MAX_IMAGE_SIDE};

fuzz_target!(|data: &[u8]| {
    if let Ok(bitmap) = Bitmap::decode(data) {
        let (width, height) = (bitmap.size().width(), bitmap.size().height());
        assert!(width <= MAX_IMAGE_SIDE && height <= MAX_IMAGE_SIDE);
        assert_eq!(bitmap.rgba().len(), width as usize * height as usize * 4);
    }
});
