//! Watermarks on a canvas against exact arithmetic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use recorder_compositor::{Colour, Level, Matrix, Overlay, PictureBuffer, Range, Rect, Rgb, Yuv};
use recorder_types::Size;

const CANVAS: (u32, u32) = (48, 32);

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

/// Y, Cb, Cr of a colour by the definition of the matrix, limited range, not rounded.
fn exact(rgb: [f64; 3], matrix: Matrix) -> [f64; 3] {
    let (kr, kb) = if matrix == Matrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
    let [r, g, b] = rgb.map(|part| part / 255.0);
    let luma = kr * r + (1.0 - kr - kb) * g + kb * b;
    let chroma = |part: f64, k: f64| 128.0 + 112.0 * (part - luma) / (1.0 - k);
    [16.0 + 219.0 * luma, chroma(b, kb), chroma(r, kr)]
}

/// An overlay of RGBA at a place, blended over one colour: each plane as it should be, not rounded.
struct Mark {
    size: (u32, u32),
    place: (u32, u32),
    rgba: Vec<u8>,
    matrix: Matrix,
}

impl Mark {
    /// Colour and alpha of a pixel of the canvas; `None` outside.
    fn pixel(&self, x: i64, y: i64) -> Option<[f64; 4]> {
        let column =
            u32::try_from(x - i64::from(self.place.0)).ok().filter(|column| *column < self.size.0)?;
        let row = u32::try_from(y - i64::from(self.place.1)).ok().filter(|row| *row < self.size.1)?;
        let at = ((row * self.size.0 + column) * 4) as usize;
        let bytes = <[u8; 4]>::try_from(&self.rgba[at..at + 4]).unwrap();
        Some(bytes.map(f64::from))
    }

    fn luma(&self, x: u32, y: u32, behind: Yuv) -> f64 {
        let [r, g, b, alpha] = self.pixel(x.into(), y.into()).unwrap_or_default();
        let alpha = alpha / 255.0;
        exact([r, g, b], self.matrix)[0] * alpha + f64::from(behind.y) * (1.0 - alpha)
    }

    /// Cb and Cr: a quarter, a half and a quarter of three columns, a half of two rows, each pixel over the canvas. What
    /// lies beside the mark is its border as long as the sample's own column is inside.
    fn chroma(&self, column: u32, row: u32, behind: Yuv) -> [f64; 2] {
        let middle = i64::from(2 * column);
        let (first, last) = (i64::from(self.place.0), i64::from(self.place.0 + self.size.0) - 1);
        let inside = (first..=last).contains(&middle);
        let mut sum = [f64::from(behind.u), f64::from(behind.v)];
        if middle > last || middle + 1 < first {
            return sum; // no pixel of the mark is among the sample's own
        }
        for (x, across) in [(middle - 1, 0.25), (middle, 0.5), (middle + 1, 0.25)] {
            let x = if inside { x.clamp(first, last) } else { x };
            for y in [2 * row, 2 * row + 1] {
                let Some([r, g, b, alpha]) = self.pixel(x, y.into()) else { continue };
                let [_, cb, cr] = exact([r, g, b], self.matrix);
                let weight = across * 0.5 * alpha / 255.0;
                sum[0] += weight * (cb - f64::from(behind.u));
                sum[1] += weight * (cr - f64::from(behind.v));
            }
        }
        sum
    }

    /// The largest distance of the blended canvas from the exact one, in luma and in chroma.
    fn off(&self, behind: Rgb, level: Level) -> (f64, f64) {
        let colour = Colour { matrix: self.matrix, range: Range::Limited };
        let samples = colour.samples(behind);
        let mut canvas = PictureBuffer::new(size(CANVAS.0, CANVAS.1)).unwrap();
        let whole = Rect::whole(canvas.size());
        canvas.fill(whole, samples).unwrap();
        let (w, h) = self.size;
        let overlay = Overlay::from_rgba(&self.rgba, size(w, h), self.place.0, self.place.1, colour).unwrap();
        overlay.blend(&mut canvas, whole, level).unwrap();
        let picture = canvas.as_picture();
        let at = |plane: usize, x: u32, y: u32| {
            let plane = picture.planes()[plane];
            f64::from(plane.data[y as usize * plane.stride + x as usize])
        };
        let (mut luma, mut chroma) = (0.0f64, 0.0f64);
        for y in 0..CANVAS.1 {
            for x in 0..CANVAS.0 {
                luma = luma.max((at(0, x, y) - self.luma(x, y, samples)).abs());
            }
        }
        for y in 0..CANVAS.1 / 2 {
            for x in 0..CANVAS.0 / 2 {
                for (plane, exact) in [1, 2].into_iter().zip(self.chroma(x, y, samples)) {
                    chroma = chroma.max((at(plane, x, y) - exact).abs());
                }
            }
        }
        (luma, chroma)
    }
}

#[test]
fn every_alpha_over_every_grey_is_within_one() {
    for level in Level::available() {
        for alpha in 0..=255u8 {
            for (front, behind) in [(0, 255), (255, 0), (255, 255), (77, 200), (alpha, 128)] {
                let rgba = [front, front, front, alpha].repeat(10 * 6);
                let mark = Mark { size: (10, 6), place: (4, 2), rgba, matrix: Matrix::Bt709 };
                let (luma, chroma) = mark.off(Rgb::new(behind, behind, behind), level);
                assert!(luma <= 1.0 && chroma <= 1.0, "{level}, alpha {alpha}: {luma:.2} {chroma:.2}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    /// One colour at every alpha and place: what a mark with even transparency is.
    #[test]
    fn a_mark_of_one_colour_is_within_one(
        (w, h) in (1u32..20, 1u32..12), place in (0u32..20, 0u32..16), pixel in any::<[u8; 4]>(),
        behind in any::<[u8; 3]>(), bt601 in any::<bool>(),
    ) {
        let matrix = if bt601 { Matrix::Bt601 } else { Matrix::Bt709 };
        // Both sides even, or chroma at the border is of the mark and of nothing, as in the next test.
        let (size, place) = ((2 * w, 2 * h), (place.0 / 2 * 2, place.1 / 2 * 2));
        let size = (size.0.min(CANVAS.0 - place.0), size.1.min(CANVAS.1 - place.1));
        let mark = Mark { size, place, rgba: pixel.repeat((size.0 * size.1) as usize), matrix };
        let (luma, chroma) = mark.off(Rgb::new(behind[0], behind[1], behind[2]), Level::detect());
        prop_assert!(luma <= 1.0 && chroma <= 1.0, "{luma:.2} {chroma:.2}");
    }

    /// Noise in every pixel and alpha, on odd places too: still at most one step from the exact value rounded. The mean
    /// alpha of a chroma sample has 8 bits, which is up to 0.44 of a step between the ends of the range.
    #[test]
    fn a_mark_of_noise_is_near_the_exact_one(
        size in (1u32..20, 1u32..12), place in (0u32..20, 0u32..16), bytes in prop::collection::vec(any::<u8>(), 20 * 12 * 4),
        behind in any::<[u8; 3]>(),
    ) {
        let rgba = bytes[..(size.0 * size.1 * 4) as usize].to_vec();
        let mark = Mark { size, place, rgba, matrix: Matrix::Bt709 };
        let (luma, chroma) = mark.off(Rgb::new(behind[0], behind[1], behind[2]), Level::detect());
        prop_assert!(luma <= 1.0, "luma {luma:.2}");
        prop_assert!(chroma < 1.5, "chroma {chroma:.2}");
    }
}
