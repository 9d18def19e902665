//! Image files made to take memory are refused before they get it.
#![cfg(feature = "images")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use peak_alloc::PeakAlloc;
use recorder_compositor::{Bitmap, BitmapError};
use recorder_types::Size;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What `decode` gives, and the most memory that it held beside the file.
fn decode(file: &[u8]) -> (Result<Bitmap, BitmapError>, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = Bitmap::decode(file);
    (result, ALLOCATOR.peak_usage() - before)
}

/// All zero, row by row.
fn png_file(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, icc: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (colour, depth);
    if icc > 0 {
        info.icc_profile = Some(vec![0; icc].into());
    }
    let row = info.raw_row_length() - 1;
    let mut encoder = png::Encoder::with_info(&mut file, info).unwrap();
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().unwrap();
    let mut stream = writer.stream_writer().unwrap();
    for _ in 0..height {
        std::io::Write::write_all(&mut stream, &vec![0; row]).unwrap();
    }
    stream.finish().unwrap();
    drop(writer);
    file
}

const MIB: usize = 1 << 20;

// One test, as the counters are for the whole process.
#[test]
fn memory_has_its_bound_whatever_the_file_says() {
    let (rgb, grey, rgba) = (png::ColorType::Rgb, png::ColorType::Grayscale, png::ColorType::Rgba);
    let bomb = png_file(20_000, 20_000, grey, png::BitDepth::One, 0);
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    let (result, peak) = decode(&bomb);
    assert!(matches!(result, Err(BitmapError::TooLarge { width: 20_000, height: 20_000 })), "{result:?}");
    assert!(peak < MIB / 4, "{peak}");

    // Says 65535 x 65535, as PNG and as JPEG.
    let mut says = bomb[..64].to_vec();
    says[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
    let jpeg = [
        &[0xff, 0xd8][..],
        &[0xff, 0xc0, 0, 17, 8, 255, 255, 255, 255, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0],
        &[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0, 0xff, 0xd9],
    ]
    .concat();
    for file in [says, jpeg] {
        let (result, peak) = decode(&file);
        assert!(matches!(result, Err(BitmapError::TooLarge { .. })), "{result:?}");
        assert!(peak < MIB / 4, "{peak}");
    }

    // Sides within the limit, but 8 bytes a pixel.
    let (result, peak) = decode(&png_file(4096, 4096, rgba, png::BitDepth::Sixteen, 0));
    assert!(matches!(result, Err(BitmapError::TooLarge { .. })), "{result:?}");
    assert!(peak < MIB / 4, "{peak}");

    // The largest of each kind that is taken.
    for (colour, depth) in
        [(rgb, png::BitDepth::Eight), (grey, png::BitDepth::One), (rgba, png::BitDepth::Eight)]
    {
        let (result, peak) = decode(&png_file(4096, 4096, colour, depth, 0));
        assert_eq!(result.unwrap().size(), Size::new(4096, 4096).unwrap());
        assert!(peak < 66 * MIB, "{colour:?}: {peak}");
    }

    // A colour profile of 100 MB in 100 kB.
    let (result, peak) = decode(&png_file(16, 16, rgb, png::BitDepth::Eight, 100_000_000));
    assert!(peak < 130 * MIB, "{peak}");
    drop(result);

    let (result, peak) = decode(&vec![0; 5_000_001]);
    assert!(matches!(result, Err(BitmapError::TooLong { len: 5_000_001 })) && peak < 1000);
}
