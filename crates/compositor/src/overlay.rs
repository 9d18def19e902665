use recorder_types::Size;

use crate::ComposeError;
use crate::colour::{Colour, Rgb};
use crate::geometry::Rect;
use crate::kernel::Level;
use crate::picture::{MAX_SIDE, PictureBuffer};

/// A picture with transparency at a place on the canvas, such as a watermark, converted once to planes.
///
/// It is blended only where it is not transparent.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// With even borders, around the pixels.
    rect: Rect,
    /// Y, U, V: samples and alpha, without padding.
    planes: [Layer; 3],
}

/// One plane of an overlay.
#[derive(Clone, Debug)]
struct Layer {
    width: usize,
    samples: Vec<u8>,
    alpha: Vec<u8>,
    /// For each row, the first column that is not transparent and the one after the last.
    spans: Vec<(usize, usize)>,
}

impl Overlay {
    /// An overlay from RGBA pixels (alpha not multiplied in), row by row without padding, whose top left pixel is
    /// at `left`, `top` of the canvas; what sticks out of the canvas is not drawn.
    ///
    /// Samples are those of `colour`. A chroma sample is the mean of the pixels around its place weighted by their
    /// alpha: a quarter, a half and a quarter across, centred on the left of its two columns, and a half of each of
    /// its two rows. Beside the picture, pixels are those of its border, or transparent around a chroma sample that
    /// itself lies outside (an odd `left`).
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if right or bottom is over [`MAX_SIDE`], [`ComposeError::Pixels`] if `rgba` is
    /// not `width * height * 4` bytes.
    pub fn from_rgba(
        rgba: &[u8],
        size: Size,
        left: u32,
        top: u32,
        colour: Colour,
    ) -> Result<Self, ComposeError> {
        let all = Rect::new(left, top, size).filter(|all| all.right() < MAX_SIDE && all.bottom() < MAX_SIDE);
        let all = all.ok_or(ComposeError::TooLarge { size })?;
        let whole = Rect::whole(size).in_plane(0);
        if rgba.len() != whole.width * whole.height * 4 {
            return Err(ComposeError::Pixels { size, got: rgba.len() });
        }
        let even = |side: u32| side.next_multiple_of(2);
        let rect = Rect::between(left / 2 * 2, top / 2 * 2, even(all.right()), even(all.bottom()))
            .expect("around a rectangle that is not empty");
        let pad = ((left % 2) as usize, (top % 2) as usize);
        let (pixels, _) = rgba.as_chunks::<4>();
        let pixels = Pixels { pixels, width: whole.width, height: whole.height };

        let luma = rect.in_plane(0);
        let mut y = Layer::new(luma.width, luma.height);
        for (row, line) in pixels.pixels.chunks_exact(whole.width).enumerate() {
            for (column, [red, green, blue, alpha]) in line.iter().copied().enumerate() {
                let at = (row + pad.1) * luma.width + column + pad.0;
                y.samples[at] = colour.samples(Rgb { red, green, blue }).y;
                y.alpha[at] = alpha;
            }
        }
        let chroma = rect.in_plane(1);
        let mut u = Layer::new(chroma.width, chroma.height);
        let mut v = u.clone();
        for row in 0..chroma.height {
            for column in 0..chroma.width {
                let ([red, green, blue], alpha) = pixels.around(2 * column, 2 * row, pad);
                let samples = colour.samples(Rgb { red, green, blue });
                let at = row * chroma.width + column;
                (u.samples[at], v.samples[at]) = (samples.u, samples.v);
                (u.alpha[at], v.alpha[at]) = (alpha, alpha);
            }
        }
        let mut planes = [y, u, v];
        planes.iter_mut().for_each(Layer::find_spans);
        Ok(Self { rect, planes })
    }

    /// What it may touch: the pixels, their borders moved outward to even ones.
    #[must_use]
    pub const fn rect(&self) -> Rect {
        self.rect
    }

    /// Blends what lies inside `clip`: `(overlay * alpha + canvas * (255 - alpha)) / 255`, to nearest.
    ///
    /// # Errors
    /// [`ComposeError::Outside`] or [`ComposeError::Odd`] if `clip` lies partly outside the canvas or has an odd
    /// border; nothing was drawn.
    pub fn blend(&self, canvas: &mut PictureBuffer, clip: Rect, level: Level) -> Result<(), ComposeError> {
        let size = canvas.size();
        if !clip.fits(size) {
            return Err(ComposeError::Outside { rect: clip, size });
        }
        if !clip.is_even() {
            return Err(ComposeError::Odd { rect: clip });
        }
        self.blend_checked(canvas, clip, level);
        Ok(())
    }

    pub(crate) fn blend_checked(&self, canvas: &mut PictureBuffer, clip: Rect, level: Level) {
        let Some(target) = self.rect.intersection(clip) else { return };
        for (index, layer) in self.planes.iter().enumerate() {
            let part = target.relative_to(self.rect).in_plane(index);
            let mut rows = canvas.view_mut(index, target);
            for y in 0..rows.height {
                let (begin, end) = layer.spans[part.top + y];
                let (begin, end) = (begin.max(part.left), end.min(part.left + part.width));
                if begin < end {
                    let line = (part.top + y) * layer.width;
                    let (samples, alpha) =
                        (&layer.samples[line + begin..line + end], &layer.alpha[line + begin..line + end]);
                    level.blend_row(&mut rows.row(y)[begin - part.left..end - part.left], samples, alpha);
                }
            }
        }
    }
}

impl Layer {
    /// All transparent.
    fn new(width: usize, height: usize) -> Self {
        let area = width * height;
        Self { width, samples: vec![0; area], alpha: vec![0; area], spans: Vec::new() }
    }

    fn find_spans(&mut self) {
        let lines = self.alpha.chunks_exact(self.width);
        self.spans = lines
            .map(|line| {
                let begin = line.iter().position(|alpha| *alpha > 0).unwrap_or(0);
                let end = line.iter().rposition(|alpha| *alpha > 0).map_or(0, |last| last + 1);
                (begin, end)
            })
            .collect();
    }
}

/// RGBA pixels in rows.
struct Pixels<'a> {
    pixels: &'a [[u8; 4]],
    width: usize,
    height: usize,
}

impl Pixels<'_> {
    /// Colour and alpha of the chroma sample at a column and row that count from `pad` before the first pixel.
    fn around(&self, column: usize, row: usize, pad: (usize, usize)) -> ([u8; 3], u8) {
        let outside = column < pad.0 || column >= self.width + pad.0;
        let mut sum = [0u32; 3];
        let mut alphas = 0;
        for (dx, across) in [(-1, 1), (0, 2), (1, 1)] {
            for dy in 0..2 {
                let x = column.checked_add_signed(dx).and_then(|x| x.checked_sub(pad.0));
                let x = x.filter(|x| *x < self.width);
                // Beside the picture is its border, seen from inside.
                let x = if outside { x } else { x.or(Some(if dx < 0 { 0 } else { self.width - 1 })) };
                let y = (row + dy).checked_sub(pad.1).filter(|y| *y < self.height);
                let (Some(x), Some(y)) = (x, y) else { continue };
                let [red, green, blue, alpha] = self.pixels[y * self.width + x];
                let weight = across * u32::from(alpha);
                alphas += weight;
                for (sum, part) in sum.iter_mut().zip([red, green, blue]) {
                    *sum += weight * u32::from(part);
                }
            }
        }
        let byte = |value: u32| u8::try_from(value).expect("a mean of bytes is a byte");
        let mean = |sum: u32| byte((sum + alphas / 2).checked_div(alphas).unwrap_or(0));
        (sum.map(mean), byte((alphas + 4) / 8))
    }
}
