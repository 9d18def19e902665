//! Any JSON as a layout: refused, or windows inside of the canvas.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_layout::{LayoutParams, MixLayoutParams, cells};
use recorder_types::Size;

fuzz_target!(|data: &[u8]| {
    let Ok(wire) = serde_json::from_slice::<MixLayoutParams>(data) else { return };
    let Ok(params) = LayoutParams::try_from(wire) else { return };
    let canvas = Size::new(640, 360).expect("a size");
    for count in 0..=25 {
        for cell in cells(&params.template, canvas, count).into_iter().flatten() {
            assert!(cell.fits(canvas), "{cell:?}");
        }
    }
});
