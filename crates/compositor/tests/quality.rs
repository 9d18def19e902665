//! Scaled pictures against an independent scaler and against exact arithmetic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use recorder_compositor::{Level, Picture, PictureBuffer, Rect, Scaler};
use recorder_types::Size;

/// A picture like a camera's: waves of several lengths, an edge and fine noise.
fn camera(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1u32;
    let mut plane = |width: u32, height: u32| {
        let mut out = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (fx, fy) = (f64::from(x), f64::from(y));
                let edge = if fx + 0.3 * fy > f64::from(width) * 0.6 { 40.0 } else { 0.0 };
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(state >> 28) * 0.3;
                let value =
                    100.0 + 30.0 * (fx * 0.05).sin() + 30.0 * (fy * 0.07 + fx * 0.02).cos() + edge + noise;
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

#[test]
fn luma_is_within_45_db_of_an_independent_scaler() {
    for (from, to, filter) in [
        ((640, 360), (1920, 1080), FilterType::Bilinear),
        ((640, 360), (960, 540), FilterType::Bilinear),
        ((1280, 720), (1920, 1080), FilterType::Bilinear),
        ((352, 288), (1024, 768), FilterType::Bilinear),
        ((1280, 720), (640, 360), FilterType::Box),
        ((1280, 720), (960, 540), FilterType::Box),
        ((1280, 720), (480, 270), FilterType::Box),
        ((1280, 720), (384, 216), FilterType::Box),
        ((1920, 1080), (192, 108), FilterType::Box),
        ((1919, 1079), (236, 134), FilterType::Box),
    ] {
        let data = camera(from.0, from.1);
        let out = scaled(&data, size(from.0, from.1), size(to.0, to.1));
        let source =
            TypedImageRef::<U8>::from_buffer(from.0, from.1, &data[..(from.0 * from.1) as usize]).unwrap();
        let mut pixels = vec![0; (to.0 * to.1) as usize];
        let mut target = TypedImage::<U8>::from_buffer(to.0, to.1, &mut pixels).unwrap();
        // Theirs takes a pixel whole or not at all in a box, so what lies between is made of an enlarged picture.
        let options = ResizeOptions::new().use_alpha(false);
        if filter == FilterType::Box && from.0 % to.0 != 0 {
            let area = exact_area(&data, from, to);
            assert!(
                psnr(out.as_picture().planes()[0].data, &area) > 50.0,
                "{from:?} to {to:?} against the exact area"
            );
            continue;
        }
        let options = options.resize_alg(ResizeAlg::Convolution(filter));
        Resizer::new().resize_typed(&source, &mut target, &options).unwrap();
        let quality = psnr(out.as_picture().planes()[0].data, &pixels);
        assert!(quality > 45.0, "{from:?} to {to:?}: {quality:.1} dB");
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
