use std::collections::BTreeSet;

use ab_glyph::{Font as _, FontVec, Glyph, GlyphId, OutlinedGlyph, PxScale, ScaleFont as _, point};
use recorder_types::Size;

use crate::ComposeError;
use crate::bitmap::Bitmap;
use crate::colour::Rgb;
use crate::geometry::{PlaneRect, Rect};
use crate::picture::MAX_SIDE;

/// Noto Sans 1.04 (Apache License 2.0): Latin, Greek, Cyrillic, punctuation and a few symbols.
pub const BUNDLED_FONT: &[u8] = include_bytes!("../fonts/NotoSans-Regular.ttf");

/// The largest font size, in pixels.
pub const MAX_FONT_SIZE: u16 = 1024;

/// How many font sizes a glyph may be wide or high before it is taken for a fault of the font.
const MAX_GLYPH: f32 = 8.0;

/// Why a font or a text was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The caller's font size is zero or over [`MAX_FONT_SIZE`].
    #[error("a font size of {size} pixels")]
    FontSize {
        /// What was given.
        size: u16,
    },
    /// The caller's box is over [`MAX_SIDE`], or its place is.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The bytes are not a font: TrueType or OpenType with outlines, or a collection of them.
    #[error("not a font")]
    Font(#[source] ab_glyph::InvalidFont),
    /// The font says no size of its own.
    #[error("the font has no units")]
    Units,
}

/// A font with outlines.
///
/// Letters are placed one after the other with kerning; nothing is shaped, so scripts that join letters (Arabic,
/// Devanagari) or go from right to left are not set right.
#[derive(Debug)]
pub struct Font {
    font: FontVec,
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextStyle {
    /// Of an em, in pixels, 1 to [`MAX_FONT_SIZE`]. Default 14.
    pub font_size: u16,
    /// Of the letters. Default white.
    pub colour: Rgb,
    /// Of the whole box; `None` leaves it transparent. Default `None`.
    pub background: Option<Rgb>,
}

impl Default for TextStyle {
    fn default() -> Self {
        Self { font_size: 14, colour: Rgb::new(255, 255, 255), background: None }
    }
}

impl TextStyle {
    /// Sets the size of an em.
    #[must_use]
    pub const fn with_font_size(mut self, pixels: u16) -> Self {
        self.font_size = pixels;
        self
    }

    /// Colours the letters.
    #[must_use]
    pub const fn with_colour(mut self, colour: Rgb) -> Self {
        self.colour = colour;
        self
    }

    /// Fills the box behind the letters.
    #[must_use]
    pub const fn with_background(mut self, background: Option<Rgb>) -> Self {
        self.background = background;
        self
    }
}

/// Text that was drawn.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DrawnText {
    /// The box.
    pub bitmap: Bitmap,
    /// Characters that the font does not have, sorted and each once, also those outside the box. In their place is
    /// the font's own sign for that, mostly a box.
    pub missing: Vec<char>,
}

impl Font {
    /// The bundled font, see [`BUNDLED_FONT`].
    #[must_use]
    pub fn bundled() -> Self {
        Self::from_bytes(BUNDLED_FONT.to_vec()).expect("the bundled font is one")
    }

    /// A font file's bytes; of a collection, its first font. Glyphs are looked at only when they are drawn.
    ///
    /// # Errors
    /// [`TextError::Font`], [`TextError::Units`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, TextError> {
        let font = FontVec::try_from_vec(bytes).map_err(TextError::Font)?;
        // `height_unscaled` is what a scale of ab_glyph is of.
        let fine = |value: f32| value.is_finite() && value > 0.0;
        if !font.units_per_em().is_some_and(fine) || !fine(font.height_unscaled()) {
            return Err(TextError::Units);
        }
        Ok(Self { font })
    }

    /// Width and height of `text` in whole pixels, rounded up: the longest line's advance, and the lines.
    ///
    /// At least 1 x 1, at most [`MAX_SIDE`] each.
    ///
    /// # Errors
    /// [`TextError::FontSize`].
    pub fn measure(&self, text: &str, font_size: u16) -> Result<Size, TextError> {
        let mut width = 0.0f32;
        let mut lines = 0.0f32;
        let scaled = self.font.as_scaled(self.scale(font_size)?);
        for line in text.split('\n') {
            lines += 1.0;
            self.set_line(line, scaled.scale(), |glyph, _| {
                width = width.max(glyph.position.x + scaled.h_advance(glyph.id));
            });
        }
        let height = scaled.height() + (lines - 1.0) * (scaled.height() + scaled.line_gap());
        let side = |value: f32| pixels(value.ceil()).clamp(1, MAX_SIDE);
        Ok(Size::new(side(width), side(height)).expect("one at least"))
    }

    /// Draws `text` from the top left of a box, cut at its borders. `\n` begins a new line; other control characters
    /// are left out.
    ///
    /// # Errors
    /// [`TextError::FontSize`], [`TextError::Compose`] if a side is over [`MAX_SIDE`].
    pub fn draw(&self, text: &str, size: Size, style: TextStyle) -> Result<DrawnText, TextError> {
        let scale = self.scale(style.font_size)?;
        if size.width() > MAX_SIDE || size.height() > MAX_SIDE {
            return Err(ComposeError::TooLarge { size }.into());
        }
        let scaled = self.font.as_scaled(scale);
        let mut letters = Letters::new(size);
        let mut missing = BTreeSet::new();
        let mut baseline = scaled.ascent().round();
        let limit = MAX_GLYPH * f32::from(style.font_size);
        for line in text.split('\n') {
            self.set_line(line, scale, |mut glyph, letter| {
                if glyph.id == GlyphId(0) {
                    missing.insert(letter);
                }
                glyph.position.y = baseline;
                if glyph.position.x - limit > letters.right || baseline - limit > letters.bottom {
                    return;
                }
                let Some(outline) = self.font.outline_glyph(glyph) else { return };
                let bounds = outline.px_bounds();
                if bounds.width() <= limit && bounds.height() <= limit {
                    letters.add(&outline);
                } else {
                    missing.insert(letter);
                }
            });
            baseline += (scaled.height() + scaled.line_gap()).round();
        }
        Ok(DrawnText { bitmap: letters.coloured(size, style)?, missing: missing.into_iter().collect() })
    }

    fn scale(&self, font_size: u16) -> Result<PxScale, TextError> {
        if font_size == 0 || font_size > MAX_FONT_SIZE {
            return Err(TextError::FontSize { size: font_size });
        }
        let units = self.font.units_per_em().ok_or(TextError::Units)?;
        // A scale is of the font's height, a font size of its em.
        Ok(PxScale::from(f32::from(font_size) * self.font.height_unscaled() / units))
    }

    /// Gives each glyph of a line and its character, at its place from 0, 0.
    fn set_line(&self, line: &str, scale: PxScale, mut each: impl FnMut(Glyph, char)) {
        let scaled = self.font.as_scaled(scale);
        let mut x = 0.0;
        let mut before: Option<GlyphId> = None;
        for letter in line.chars().filter(|letter| !letter.is_control()) {
            let id = self.font.glyph_id(letter);
            if let Some(before) = before {
                x += scaled.kern(before, id);
            }
            each(id.with_scale_and_position(scale, point(x, 0.0)), letter);
            x += scaled.h_advance(id);
            before = Some(id);
        }
    }
}

/// How much of each pixel of a box letters cover.
struct Letters {
    width: usize,
    right: f32,
    bottom: f32,
    coverage: Vec<u8>,
}

impl Letters {
    fn new(size: Size) -> Self {
        let PlaneRect { width, height, .. } = Rect::whole(size).in_plane(0);
        let side = |side: u32| f32::from(u16::try_from(side).expect("within MAX_SIDE"));
        Self {
            width,
            right: side(size.width()),
            bottom: side(size.height()),
            coverage: vec![0; width * height],
        }
    }

    fn add(&mut self, outline: &OutlinedGlyph) {
        let bounds = outline.px_bounds();
        let outside = bounds.min.x >= self.right || bounds.min.y >= self.bottom;
        if outside || bounds.max.x <= 0.0 || bounds.max.y <= 0.0 {
            return;
        }
        let (left, top) = (whole(bounds.min.x), whole(bounds.min.y));
        outline.draw(|x, y, coverage| {
            let place = |from: i32, by: u32| usize::try_from(i64::from(from) + i64::from(by)).ok();
            let (Some(x), Some(y)) = (place(left, x).filter(|x| *x < self.width), place(top, y)) else {
                return;
            };
            if let Some(under) = self.coverage.get_mut(y * self.width + x) {
                // Where two letters touch, what the second leaves free of the first stays free.
                let free = (255.0 - f32::from(*under)) * (1.0 - coverage.clamp(0.0, 1.0));
                *under = 255 - byte(free);
            }
        });
    }

    fn coloured(self, size: Size, style: TextStyle) -> Result<Bitmap, ComposeError> {
        let Rgb { red, green, blue } = style.colour;
        let pixel = |coverage: u8| match style.background {
            None => [red, green, blue, coverage],
            Some(behind) => {
                let mix = |front: u8, back: u8| {
                    let sum =
                        u32::from(front) * u32::from(coverage) + u32::from(back) * u32::from(255 - coverage);
                    u8::try_from((sum + 127) / 255).expect("a mean of bytes is a byte")
                };
                [mix(red, behind.red), mix(green, behind.green), mix(blue, behind.blue), 255]
            }
        };
        Bitmap::new(size, self.coverage.into_iter().flat_map(pixel).collect())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which callers clamp")]
fn pixels(value: f32) -> u32 {
    value as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number near the box; saturates")]
fn whole(value: f32) -> i32 {
    value as i32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 255")]
fn byte(value: f32) -> u8 {
    value.round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_letters_are_told_once_and_in_order() {
        let font = Font::bundled();
        let drawn =
            font.draw("a\u{4e2d}b\u{1f600}\n\u{4e2d}", Size::new(10, 10).unwrap(), TextStyle::default());
        assert_eq!(drawn.unwrap().missing, ['\u{4e2d}', '\u{1f600}']);
        let drawn = font.draw("Grüße, Ωμέγα, Привет", Size::new(300, 30).unwrap(), TextStyle::default());
        assert_eq!(drawn.unwrap().missing, []);
    }

    #[test]
    fn letters_stay_in_their_measure_and_the_box_cuts() {
        let font = Font::bundled();
        for font_size in [1, 7, 14, 40] {
            let style = TextStyle::default().with_font_size(font_size);
            let size = font.measure("Hxgj\n8", font_size).unwrap();
            let whole = font.draw("Hxgj\n8", size, style).unwrap().bitmap;
            let wider = Size::new(size.width() + 20, size.height() + 20).unwrap();
            let more = font.draw("Hxgj\n8", wider, style).unwrap().bitmap;
            let ink = |bitmap: &Bitmap| bitmap.rgba().chunks(4).map(|pixel| u64::from(pixel[3])).sum::<u64>();
            assert!(ink(&whole) > 0 && ink(&whole) == ink(&more), "{font_size}");
            let cut = font.draw("Hxgj\n8", Size::new(3, 5).unwrap(), style).unwrap().bitmap;
            for y in 0..5.min(size.height() as usize) {
                let row = 3.min(size.width() as usize) * 4;
                assert_eq!(cut.rgba()[y * 12..][..row], whole.rgba()[y * size.width() as usize * 4..][..row]);
            }
        }
    }

    #[test]
    fn sizes_and_fonts_out_of_range_are_refused() {
        let font = Font::bundled();
        let size = Size::new(10, 10).unwrap();
        for font_size in [0, MAX_FONT_SIZE + 1] {
            let style = TextStyle::default().with_font_size(font_size);
            assert!(
                matches!(font.draw("a", size, style), Err(TextError::FontSize { size }) if size == font_size)
            );
        }
        let huge = Size::new(MAX_SIDE + 1, 1).unwrap();
        assert!(matches!(font.draw("a", huge, TextStyle::default()), Err(TextError::Compose(_))));
        assert!(matches!(Font::from_bytes(vec![0; 100]), Err(TextError::Font(_))));
        // A damaged font is refused or draws something; it does not panic.
        for cut in (0..BUNDLED_FONT.len()).step_by(9973) {
            if let Ok(font) = Font::from_bytes(BUNDLED_FONT[..cut].to_vec()) {
                font.draw("Damaged 123", Size::new(100, 20).unwrap(), TextStyle::default()).unwrap();
            }
            let mut bytes = BUNDLED_FONT.to_vec();
            bytes[cut..].iter_mut().take(500).for_each(|byte| *byte ^= 0xa5);
            if let Ok(font) = Font::from_bytes(bytes) {
                font.draw("Damaged 123", Size::new(100, 20).unwrap(), TextStyle::default()).unwrap();
            }
        }
    }
}
