use recorder_types::Size;

use crate::ComposeError;
use crate::axis::{Axis, Lengths, ONE, Siting};
use crate::colour::{Colour, Rgb};
use crate::geometry::{PlaneRect, Rect};
use crate::kernel::Level;
use crate::overlay::Overlay;
use crate::picture::{MAX_SIDE, PictureBuffer};

/// Pixels of red, green, blue and alpha (not multiplied in), 8 bit each: what comes from an image file or from text,
/// to become an [`Overlay`] or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    size: Size,
    /// Row by row, `width * height * 4`.
    rgba: Vec<u8>,
}

impl Bitmap {
    /// From `width * height * 4` bytes, row by row without padding.
    ///
    /// # Errors
    /// [`ComposeError::Pixels`] for another number of bytes, [`ComposeError::TooLarge`] if a side is over
    /// [`MAX_SIDE`].
    pub fn new(size: Size, rgba: Vec<u8>) -> Result<Self, ComposeError> {
        if size.width() > MAX_SIDE || size.height() > MAX_SIDE {
            return Err(ComposeError::TooLarge { size });
        }
        let PlaneRect { width, height, .. } = Rect::whole(size).in_plane(0);
        if rgba.len() != width * height * 4 {
            return Err(ComposeError::Pixels { size, got: rgba.len() });
        }
        Ok(Self { size, rgba })
    }

    /// Pixels across and down.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Red, green, blue and alpha, row by row.
    #[must_use]
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// The whole bitmap at another size, whatever becomes of its shape.
    ///
    /// Filtered as by [`crate::Scaler`], colours weighted by their alpha, so that a transparent pixel gives none of
    /// its colour; each value is rounded to the nearest.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if a side of `to` is over [`MAX_SIDE`].
    pub fn scaled(&self, to: Size) -> Result<Self, ComposeError> {
        if to.width() > MAX_SIDE || to.height() > MAX_SIDE {
            return Err(ComposeError::TooLarge { size: to });
        }
        if to == self.size {
            return Ok(self.clone());
        }
        let (from, target) = (Rect::whole(self.size).in_plane(0), Rect::whole(to).in_plane(0));
        let axis = |source, target| {
            Axis::new(Lengths { luma: (source, target), plane: (source, target) }, Siting::Centre)
        };
        let (across, down) = (axis(from.width, target.width), axis(from.height, target.height));
        let (pixels, _) = self.rgba.as_chunks::<4>();
        let mut rgba = Vec::with_capacity(target.width * target.height * 4);
        // A sum is at most 255 * 255 * 128 * 128, which fits 30 bits.
        let mut row = vec![[0u32; 4]; from.width];
        for y in 0..target.height {
            row.fill([0; 4]);
            let (first, weights) = down.filter(y);
            for (line, weight) in pixels.chunks_exact(from.width).skip(first).zip(weights) {
                for (sum, pixel) in row.iter_mut().zip(line) {
                    add(sum, weighted(*pixel), u32::from(*weight));
                }
            }
            for x in 0..target.width {
                let (first, weights) = across.filter(x);
                let mut sum = [0u32; 4];
                for (pixel, weight) in row[first..].iter().zip(weights) {
                    add(&mut sum, *pixel, u32::from(*weight));
                }
                rgba.extend(unweighted(sum));
            }
        }
        Ok(Self { size: to, rgba })
    }

    /// This bitmap with its top left pixel at `left`, `top` of a canvas whose samples are of `colour`.
    ///
    /// # Errors
    /// As [`Overlay::from_rgba`].
    pub fn to_overlay(&self, left: u32, top: u32, colour: Colour) -> Result<Overlay, ComposeError> {
        Overlay::from_rgba(&self.rgba, self.size, left, top, colour)
    }

    /// This bitmap over `behind` as a picture whose samples are of `colour`: what a background or placeholder is.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if a side is [`MAX_SIDE`] or the one before.
    pub fn to_picture(&self, behind: Rgb, colour: Colour) -> Result<PictureBuffer, ComposeError> {
        let mut picture = PictureBuffer::new(self.size)?;
        let whole = Rect::whole(self.size);
        picture.fill_checked(whole, colour.samples(behind));
        let overlay = match self.repeated_to_even() {
            Some(even) => even.to_overlay(0, 0, colour)?,
            None => self.to_overlay(0, 0, colour)?,
        };
        overlay.blend_checked(&mut picture, whole, Level::detect());
        Ok(picture)
    }

    /// With its last column and row once more where their number is odd, so that chroma there is of all it covers.
    fn repeated_to_even(&self) -> Option<Self> {
        let even = |side: u32| side.next_multiple_of(2);
        let size = Size::new(even(self.size.width()), even(self.size.height()))?;
        if size == self.size {
            return None;
        }
        let (from, to) = (Rect::whole(self.size).in_plane(0), Rect::whole(size).in_plane(0));
        let (pixels, _) = self.rgba.as_chunks::<4>();
        let mut rgba = Vec::with_capacity(to.width * to.height * 4);
        for y in 0..to.height {
            let line = &pixels[y.min(from.height - 1) * from.width..][..from.width];
            let repeated = line.last().filter(|_| to.width > from.width);
            rgba.extend(line.iter().chain(repeated).flatten());
        }
        Some(Self { size, rgba })
    }
}

fn add(sum: &mut [u32; 4], pixel: [u32; 4], weight: u32) {
    for (sum, part) in sum.iter_mut().zip(pixel) {
        *sum += part * weight;
    }
}

/// Colours times alpha, and alpha.
fn weighted([red, green, blue, alpha]: [u8; 4]) -> [u32; 4] {
    let alpha = u32::from(alpha);
    [u32::from(red) * alpha, u32::from(green) * alpha, u32::from(blue) * alpha, alpha]
}

/// The inverse of [`weighted`], of sums whose weights are `128 * 128`.
fn unweighted([red, green, blue, alpha]: [u32; 4]) -> [u8; 4] {
    let byte = |value: u32| u8::try_from(value).expect("a mean of bytes is a byte");
    let colour = |sum: u32| byte((sum + alpha / 2).checked_div(alpha).unwrap_or(0));
    let all = u32::from(ONE) * u32::from(ONE);
    [colour(red), colour(green), colour(blue), byte((alpha + all / 2) / all)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Bitmap {
        let size = Size::new(width, height).unwrap();
        let rgba = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y));
        Bitmap::new(size, rgba.collect()).unwrap()
    }

    #[test]
    fn what_is_transparent_lends_no_colour() {
        let bitmap = bitmap(64, 8, |x, _| if x % 2 == 0 { [255, 0, 0, 255] } else { [0, 255, 0, 0] });
        let half = bitmap.scaled(Size::new(32, 4).unwrap()).unwrap();
        assert_eq!(half.rgba(), [255, 0, 0, 128].repeat(32 * 4));
    }

    #[test]
    fn one_colour_stays_at_every_size() {
        let pixel = [201, 7, 99, 180];
        let bitmap = bitmap(37, 23, |_, _| pixel);
        for (width, height) in [(1, 1), (37, 23), (36, 22), (111, 50), (5, 200)] {
            let size = Size::new(width, height).unwrap();
            let scaled = bitmap.scaled(size).unwrap();
            assert_eq!(scaled.rgba(), pixel.repeat(width as usize * height as usize), "{size}");
        }
    }

    #[test]
    fn a_picture_of_odd_sides_is_its_colour_to_the_border() {
        let colour = Colour::default();
        let red = Rgb::new(255, 0, 0);
        for (width, height) in [(1, 1), (3, 5), (4, 3), (5, 2), (6, 4)] {
            let bitmap = bitmap(width, height, |_, _| [255, 0, 0, 255]);
            let picture = bitmap.to_picture(Rgb::BLACK, colour).unwrap();
            let samples = colour.samples(red);
            for (plane, sample) in picture.as_picture().planes().iter().zip([samples.y, samples.u, samples.v])
            {
                assert!(plane.data.iter().all(|got| *got == sample), "{width}x{height}");
            }
        }
    }

    #[test]
    fn alpha_shows_what_is_behind() {
        let colour = Colour::default();
        let bitmap = bitmap(4, 4, |_, _| [255, 255, 255, 51]);
        let picture = bitmap.to_picture(Rgb::BLACK, colour).unwrap();
        // (235 * 51 + 16 * 204) / 255 = 59.8
        assert!(picture.as_picture().planes()[0].data.iter().all(|luma| *luma == 60));
    }
}
