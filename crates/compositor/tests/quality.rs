//! Scaled pictures against an independent scaler and against exact arithmetic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use recorder_compositor::{Level, Picture, PictureBuffer, Rect, Scaler};
use recorder_types::Size;

/// A picture like a sharp camera's: waves down to four samples, an edge and noise, so that a wrong place shows.
fn camera(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1u32;
    let mut plane = |width: u32, height: u32| {
        let mut out = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (fx, fy) = (f64::from(x), f64::from(y));
                let edge = if fx + 0.3 * fy > f64::from(width) * 0.6 { 40.0 } else { 0.0 };
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(state >> 28);
                let fine = 20.0 * (fx * 1.5).sin() + 10.0 * (fy * 1.2).cos();
                let value = 80.0
                    + 20.0 * (fx * 0.05).sin()
                    + 20.0 * (fy * 0.07 + fx * 0.02).cos()
                    + edge
                    + fine
                    + noise;
                out.push(f64_byte(value));
            }
        }
        out
    };
    [
        plane(width, height),
        plane(width.div_ceil(2), height.div_ceil(2)),
        plane(width.div_ceil(2), height.div_ceil(2)),
    ]
    .concat()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float as a sample")]
fn f64_byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

fn scaled(data: &[u8], from: Size, to: Size) -> PictureBuffer {
    let mut out = PictureBuffer::new(to).unwrap();
    let mut scaler = Scaler::new(from, to, Level::detect()).unwrap();
    let picture = Picture::packed(from, data).unwrap();
    scaler.scale(picture, Rect::whole(from), &mut out, Rect::whole(to)).unwrap();
    out
}

fn psnr(got: &[u8], expected: &[u8]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let error: f64 = got.iter().zip(expected).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let count = f64::from(u32::try_from(got.len()).unwrap());
    10.0 * (255.0f64.powi(2) / (error / count).max(1e-9)).log10()
}

/// PSNR of planes above which ours is the same picture as theirs, in dB.
const SAME: f64 = 45.0;

/// A plane at another size by an independent crate.
fn theirs(plane: &[u8], from: (u32, u32), to: (u32, u32), options: &ResizeOptions) -> Vec<u8> {
    let source = TypedImageRef::<U8>::from_buffer(from.0, from.1, plane).unwrap();
    let mut pixels = vec![0; (to.0 * to.1) as usize];
    let mut target = TypedImage::<U8>::from_buffer(to.0, to.1, &mut pixels).unwrap();
    Resizer::new().resize_typed(&source, &mut target, options).unwrap();
    pixels
}

fn by(algorithm: ResizeAlg) -> ResizeOptions {
    ResizeOptions::new().use_alpha(false).resize_alg(algorithm)
}

/// Grown, and shrunk to more than half where an area would be of more than two samples.
#[test]
fn bilinear_luma_is_that_of_an_independent_scaler() {
    for (from, to) in [
        ((640, 360), (1920, 1080)),
        ((640, 360), (960, 540)),
        ((1280, 720), (1920, 1080)),
        ((352, 288), (1024, 768)),
        ((320, 180), (322, 182)),
        ((640, 360), (400, 210)),
        ((1000, 600), (998, 598)),
    ] {
        let data = camera(from.0, from.1);
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let luma = &data[..(from.0 * from.1) as usize];
        let reference = theirs(luma, from, to, &by(ResizeAlg::Interpolation(FilterType::Bilinear)));
        let quality = psnr(out.as_picture().planes()[0].data, &reference);
        assert!(quality > SAME, "{from:?} to {to:?}: {quality:.1} dB");
        // The check sees a shift by an eighth of a sample on average.
        let (wide, high) = (f64::from(from.0), f64::from(from.1));
        let shifted = by(ResizeAlg::Interpolation(FilterType::Bilinear)).crop(0.25, 0.0, wide - 0.25, high);
        let shifted = theirs(luma, from, to, &shifted);
        let quality = psnr(out.as_picture().planes()[0].data, &shifted);
        assert!(quality < SAME, "{from:?} to {to:?}, shifted: {quality:.1} dB");
    }
}

/// Theirs takes a pixel into a box whole or not at all, so a box that has parts of pixels is one of an enlarged picture.
#[test]
fn shrunk_luma_is_that_of_an_independent_scaler() {
    for (from, to) in [
        ((1280, 720), (640, 360)),
        ((1280, 720), (960, 540)),
        ((1280, 720), (480, 270)),
        ((1280, 720), (384, 216)),
        ((1920, 1080), (192, 108)),
    ] {
        let data = camera(from.0, from.1);
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let luma = &data[..(from.0 * from.1) as usize];
        let times = |from: u32, to: u32| to / gcd(from, to);
        let large = (from.0 * times(from.0, to.0), from.1 * times(from.1, to.1));
        let enlarged = theirs(luma, from, large, &by(ResizeAlg::Nearest));
        let reference = theirs(&enlarged, large, to, &by(ResizeAlg::Convolution(FilterType::Box)));
        let quality = psnr(out.as_picture().planes()[0].data, &reference);
        assert!(quality > SAME, "{from:?} to {to:?}: {quality:.1} dB");
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn shrunk_luma_is_the_mean_of_what_it_covers() {
    for (from, to) in [((1280, 720), (960, 540)), ((1919, 1079), (236, 134)), ((1280, 720), (500, 320))] {
        let data = camera(from.0, from.1);
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let quality = psnr(out.as_picture().planes()[0].data, &exact_area(&data, from, to));
        assert!(quality > 50.0, "{from:?} to {to:?}: {quality:.1} dB");
    }
}

/// Chroma lies on the left of its two columns (and between its rows). Theirs lies in the middle, so it is given the
/// plane moved, with its border repeated on both sides.
#[test]
fn grown_chroma_is_that_of_an_independent_scaler() {
    const BORDER: u32 = 4;
    for (from, to) in [((640, 360), (1920, 1080)), ((640, 360), (960, 540)), ((352, 288), (1024, 768))] {
        let data = camera(from.0, from.1);
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let (from, to) = ((from.0 / 2, from.1 / 2), (to.0 / 2, to.1 / 2));
        let plane = &data[(from.0 * from.1 * 4) as usize..][..(from.0 * from.1) as usize];
        let repeat = |sample: &u8| [*sample; BORDER as usize];
        let rows = plane.chunks(from.0 as usize);
        let wider: Vec<u8> =
            rows.flat_map(|row| [&repeat(&row[0])[..], row, &repeat(row.last().unwrap())].concat()).collect();
        let quality = |moved: f64| {
            let options = by(ResizeAlg::Convolution(FilterType::Bilinear));
            let options = options.crop(f64::from(BORDER) + moved, 0.0, from.0.into(), from.1.into());
            let reference = theirs(&wider, (from.0 + 2 * BORDER, from.1), to, &options);
            psnr(out.as_picture().planes()[1].data, &reference)
        };
        // A sample at column 2k of luma is at 2k + 1/2 pixels, in units of chroma a quarter left of the middle.
        let moved = (1.0 - f64::from(from.0) / f64::from(to.0)) / 4.0;
        assert!(quality(moved) > SAME, "{from:?} to {to:?}: {:.1} dB", quality(moved));
        assert!(quality(0.0) < SAME, "{from:?} to {to:?}: centred {:.1} dB", quality(0.0));
    }
}

/// The mean of what each output covers, in floats.
fn exact_area(data: &[u8], from: (u32, u32), to: (u32, u32)) -> Vec<u8> {
    let parts = |i: u32, from: u32, to: u32| {
        let ratio = f64::from(from) / f64::from(to);
        let (low, high) = (f64::from(i) * ratio, f64::from(i + 1) * ratio);
        let covered = move |k: u32| (high.min(f64::from(k + 1)) - low.max(f64::from(k))).max(0.0) / ratio;
        (i * from / to..from.min((i + 1) * from / to + 1)).map(|k| (k, covered(k))).collect::<Vec<_>>()
    };
    let columns: Vec<_> = (0..to.0).map(|x| parts(x, from.0, to.0)).collect();
    let mut out = Vec::new();
    for y in 0..to.1 {
        let rows = parts(y, from.1, to.1);
        for column in &columns {
            let mut sum = 0.0;
            for (y, down) in &rows {
                for (x, across) in column {
                    sum += f64::from(data[(y * from.0 + x) as usize]) * down * across;
                }
            }
            out.push(f64_byte(sum));
        }
    }
    out
}

#[test]
fn chroma_moves_with_its_luma() {
    // A ramp along x is exact under every filter, so a shift by a part of a sample shows as a step of the ramp.
    let from = (400u32, 40u32);
    let ramp = |x: f64| 30.0 + x * 0.45; // x: luma columns from the left border
    for to in [(800u32, 80u32), (300, 30), (200, 20), (132, 20), (600, 40)] {
        let mut data: Vec<u8> =
            (0..from.0 * from.1).map(|k| f64_byte(ramp(f64::from(k % from.0) + 0.5))).collect();
        for _ in 0..2 {
            data.extend(
                (0..from.0 * from.1 / 4).map(|k| f64_byte(ramp(2.0 * f64::from(k % (from.0 / 2)) + 0.5))),
            );
        }
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let picture = out.as_picture();
        let scale = f64::from(from.0) / f64::from(to.0);
        for (index, plane) in picture.planes().iter().enumerate() {
            let step = if index == 0 { 1 } else { 2 };
            let width = to.0 / step;
            // Away from the borders, where the ramp ends.
            for x in 4..width - 4 {
                let place = (f64::from(x * step) + 0.5) * scale;
                let got = f64::from(plane.data[x as usize]);
                assert!(
                    (got - ramp(place)).abs() < 1.3,
                    "{to:?} plane {index} column {x}: {got} for {}",
                    ramp(place)
                );
            }
        }
    }
}

#[test]
fn one_colour_stays_one_colour() {
    for value in [0u8, 16, 81, 128, 240, 255] {
        for (from, to) in [
            ((640, 360), (1920, 1080)),
            ((641, 359), (384, 216)),
            ((1280, 720), (480, 270)),
            ((7, 5), (2, 2)),
        ] {
            let len = camera(from.0, from.1).len();
            let out = scaled(&vec![value; len], size(from.0, from.1), size(to.0, to.1));
            assert!(out.as_picture().planes().iter().all(|plane| plane.data.iter().all(|got| *got == value)));
        }
    }
}
