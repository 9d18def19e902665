pub use recorder_layout::Rgb;
use recorder_types::Size;

use crate::geometry::Rect;
use crate::kernel::Level;
use crate::picture::PictureBuffer;

/// Bits after the point in a [`Conversion`].
const SHIFT: u32 = 14;

/// The matrix between RGB and Y, Cb, Cr (`matrix_coefficients`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: Kr 0.299, Kb 0.114.
    Bt601,
    /// ITU-R BT.709: Kr 0.2126, Kb 0.0722.
    #[default]
    Bt709,
}

impl Matrix {
    /// The weights of red and blue in luma, in 1/10000.
    const fn red_blue(self) -> (i64, i64) {
        match self {
            Self::Bt601 => (2990, 1140),
            Self::Bt709 => (2126, 722),
        }
    }
}

/// Which sample values mean black and white (`video_full_range_flag`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240.
    #[default]
    Limited,
    /// 0 to 255.
    Full,
}

impl Range {
    /// Black, the steps from black to white, and the steps across all chroma.
    const fn scale(self) -> (i64, i64, i64) {
        match self {
            Self::Limited => (16, 219, 224),
            Self::Full => (0, 255, 255),
        }
    }
}

/// What the sample values of a picture mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour {
    /// Default [`Matrix::Bt709`].
    pub matrix: Matrix,
    /// Default [`Range::Limited`].
    pub range: Range,
}

impl Colour {
    /// What a stream that says nothing means: BT.709 from 1280 or 720 lines upward (long and short side), BT.601
    /// below, limited range.
    #[must_use]
    pub fn implied_by(size: Size) -> Self {
        let (long, short) = (size.width().max(size.height()), size.width().min(size.height()));
        let matrix = if long >= 1280 || short >= 720 { Matrix::Bt709 } else { Matrix::Bt601 };
        Self { matrix, range: Range::Limited }
    }

    /// The sample values of an RGB colour, each rounded to the nearest, a half upward.
    #[must_use]
    pub fn samples(self, rgb: Rgb) -> Yuv {
        let (red, blue) = self.matrix.red_blue();
        let (black, luma_steps, chroma_steps) = self.range.scale();
        let [r, g, b] = [rgb.red, rgb.green, rgb.blue].map(i64::from);
        let luma = red * r + (10_000 - red - blue) * g + blue * b; // times 10000, of 255
        let chroma = |primary: i64, weight: i64| {
            let (numerator, denominator) =
                ((primary * 10_000 - luma) * chroma_steps, 2 * (10_000 - weight) * 255);
            sample(128 + round(numerator, denominator))
        };
        Yuv {
            y: sample(black + round(luma * luma_steps, 10_000 * 255)),
            u: chroma(b, blue),
            v: chroma(r, red),
        }
    }
}

fn round(numerator: i64, denominator: i64) -> i64 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

fn sample(value: i64) -> u8 {
    u8::try_from(value.clamp(0, 255)).expect("clamped to a byte")
}

/// The samples of one colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Yuv {
    /// Luma.
    pub y: u8,
    /// Cb.
    pub u: u8,
    /// Cr.
    pub v: u8,
}

/// From the samples of one [`Colour`] to those of another, in integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conversion {
    /// Luma of the new from luma, Cb and Cr of the old, in 1/2^14, and what is added.
    pub(crate) luma: [i32; 4],
    /// Cb of the new from Cb and Cr of the old, and what is added.
    pub(crate) u: [i32; 3],
    /// Cr of the new likewise.
    pub(crate) v: [i32; 3],
}

impl Conversion {
    /// `None` if there is nothing to do.
    pub(crate) fn between(from: Colour, to: Colour) -> Option<Self> {
        if from == to {
            return None;
        }
        let weights = |matrix: Matrix| {
            let (red, blue) = matrix.red_blue();
            (small(red) / 10_000.0, small(blue) / 10_000.0)
        };
        let ((from_red, from_blue), (to_red, to_blue)) = (weights(from.matrix), weights(to.matrix));
        let (from_black, from_luma, from_chroma) = from.range.scale();
        let (to_black, to_luma, to_chroma) = to.range.scale();
        // What one unit of Cb or Cr alone, luma zero, is in the new colours: luma, Cb, Cr, all of 1.
        let of = |cb: f64, cr: f64| {
            let (r, b) = (2.0 * (1.0 - from_red) * cr, 2.0 * (1.0 - from_blue) * cb);
            let g = -(from_red * r + from_blue * b) / (1.0 - from_red - from_blue);
            let y = to_red * r + (1.0 - to_red - to_blue) * g + to_blue * b;
            [y, (b - y) / (2.0 * (1.0 - to_blue)), (r - y) / (2.0 * (1.0 - to_red))]
        };
        let (from_cb, from_cr) = (of(1.0, 0.0), of(0.0, 1.0));
        let luma_scale = small(to_luma) / small(from_chroma);
        let chroma_scale = small(to_chroma) / small(from_chroma);
        let luma = [
            fixed(small(to_luma) / small(from_luma)),
            fixed(from_cb[0] * luma_scale),
            fixed(from_cr[0] * luma_scale),
        ];
        let one = 1 << SHIFT;
        let black = |value: i64| i32::try_from(value).expect("0 or 16");
        let chroma = |k: usize| {
            let (cb, cr) = (fixed(from_cb[k] * chroma_scale), fixed(from_cr[k] * chroma_scale));
            [cb, cr, 128 * one + one / 2 - 128 * (cb + cr)]
        };
        let added = black(to_black) * one + one / 2 - black(from_black) * luma[0] - 128 * (luma[1] + luma[2]);
        Some(Self { luma: [luma[0], luma[1], luma[2], added], u: chroma(1), v: chroma(2) })
    }

    /// Converts what is inside `rect`, luma first, as it looks at the old chroma.
    ///
    /// A luma sample between two chroma samples of its row takes their mean, the last one the last chroma sample.
    pub(crate) fn apply(&self, picture: &mut PictureBuffer, rect: Rect, level: Level, row: &mut Vec<i32>) {
        let [mut luma, mut u, mut v] = picture.views_mut(rect);
        row.resize(luma.width, 0);
        for y in 0..u.height {
            let (u, v) = (u.row(y), v.row(y));
            level.chroma_part_of_luma(self, u, v, row);
            for y in 2 * y..(2 * y + 2).min(luma.height) {
                level.convert_luma(self, luma.row(y), row);
            }
            level.convert_chroma(self, u, v);
        }
    }
}

/// A number of a few digits as a float, exactly.
fn small(value: i64) -> f64 {
    f64::from(i32::try_from(value).expect("at most 10000"))
}

/// To the nearest 1/2^14.
fn fixed(value: f64) -> i32 {
    debug_assert!(value.abs() < 4.0);
    #[expect(clippy::cast_possible_truncation, reason = "below 4 * 2^14")]
    let fixed = (value * f64::from(1 << SHIFT)).round() as i32;
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Colour; 4] = [
        Colour { matrix: Matrix::Bt601, range: Range::Limited },
        Colour { matrix: Matrix::Bt601, range: Range::Full },
        Colour { matrix: Matrix::Bt709, range: Range::Limited },
        Colour { matrix: Matrix::Bt709, range: Range::Full },
    ];

    #[test]
    fn primaries_have_their_published_samples() {
        let [bt601, full, bt709, _] = ALL;
        for (colour, rgb, yuv) in [
            (bt709, (255, 0, 0), (63, 102, 240)),
            (bt709, (0, 255, 0), (173, 42, 26)),
            (bt709, (0, 0, 255), (32, 240, 118)),
            (bt601, (255, 0, 0), (81, 90, 240)),
            (bt601, (0, 255, 0), (145, 54, 34)),
            (bt601, (0, 0, 255), (41, 240, 110)),
            (bt709, (255, 255, 255), (235, 128, 128)),
            (bt601, (0, 0, 0), (16, 128, 128)),
            (full, (255, 0, 0), (76, 85, 255)), // as JFIF
            (full, (128, 128, 128), (128, 128, 128)),
        ] {
            let samples = colour.samples(Rgb::new(rgb.0, rgb.1, rgb.2));
            assert_eq!((samples.y, samples.u, samples.v), yuv, "{colour:?} {rgb:?}");
        }
    }

    #[test]
    fn silence_means_a_matrix_by_size() {
        for (width, height, matrix) in [
            (640, 360, Matrix::Bt601),
            (704, 576, Matrix::Bt601),
            (1280, 720, Matrix::Bt709),
            (720, 1280, Matrix::Bt709),
            (960, 720, Matrix::Bt709),
        ] {
            assert_eq!(
                Colour::implied_by(Size::new(width, height).unwrap()).matrix,
                matrix,
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn converted_colours_are_within_two_of_the_same_rgb() {
        let size = Size::new(70, 2).unwrap();
        for (from, to) in ALL.iter().flat_map(|from| ALL.iter().map(move |to| (*from, *to))) {
            for rgb in 0..1000u32 {
                let part = |k: u32| u8::try_from((rgb / k % 10) * 255 / 9).unwrap();
                let rgb = Rgb::new(part(1), part(10), part(100));
                let (old, new) = (from.samples(rgb), to.samples(rgb));
                let mut picture = PictureBuffer::new(size).unwrap();
                picture.fill(Rect::whole(size), old).unwrap();
                picture.convert(from, to, Level::detect());
                let picture = picture.as_picture();
                for (plane, sample) in picture.planes().iter().zip([new.y, new.u, new.v]) {
                    assert!(
                        plane.data.iter().all(|got| got.abs_diff(sample) <= 2),
                        "{from:?} {to:?} {rgb:?}"
                    );
                }
            }
        }
    }
}
