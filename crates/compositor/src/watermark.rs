use std::sync::Arc;

#[cfg(feature = "text")]
use recorder_types::Size;
use recorder_types::UnixMillis;

use crate::canvas::Canvas;
use crate::overlay::Overlay;
#[cfg(feature = "text")]
use crate::{
    colour::Colour,
    geometry::Rect,
    text::{Font, TextError, TextStyle},
    timestamp::{Position, TimeZone},
};

/// The most watermarks of a canvas.
pub const MAX_WATERMARKS: usize = 25;

/// The watermarks of a canvas from back to front: still ones, and clocks that change each second.
#[derive(Debug, Default)]
pub struct Watermarks {
    marks: Vec<Mark>,
    /// What was shown last.
    shown: Vec<Arc<Overlay>>,
}

#[derive(Debug)]
enum Mark {
    Still(Arc<Overlay>),
    #[cfg(feature = "text")]
    Clock(Clock),
}

impl Watermarks {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one in front of the others. Gives it back where there are [`MAX_WATERMARKS`].
    ///
    /// # Errors
    /// The watermark, if there is no place for it.
    pub fn push(&mut self, overlay: Arc<Overlay>) -> Result<(), Arc<Overlay>> {
        if self.marks.len() == MAX_WATERMARKS {
            return Err(overlay);
        }
        self.marks.push(Mark::Still(overlay));
        Ok(())
    }

    /// As [`Self::push`], for a clock.
    ///
    /// # Errors
    /// The clock, if there is no place for it.
    #[cfg(feature = "text")]
    pub fn push_clock(&mut self, clock: Clock) -> Result<(), Box<Clock>> {
        if self.marks.len() == MAX_WATERMARKS {
            return Err(Box::new(clock));
        }
        self.marks.push(Mark::Clock(clock));
        Ok(())
    }

    /// Makes them the overlays of `canvas` as they are at `now`, if they are not already.
    ///
    /// A canvas that is given other overlays meanwhile needs a new `Watermarks`.
    #[cfg_attr(not(feature = "text"), expect(unused_variables, reason = "clocks alone look at it"))]
    pub fn show(&mut self, canvas: &mut Canvas, now: UnixMillis) {
        let overlays: Vec<_> = self
            .marks
            .iter_mut()
            .map(|mark| match mark {
                Mark::Still(overlay) => Arc::clone(overlay),
                #[cfg(feature = "text")]
                Mark::Clock(clock) => clock.overlay(now),
            })
            .collect();
        let same = overlays.len() == self.shown.len()
            && overlays.iter().zip(&self.shown).all(|(new, old)| Arc::ptr_eq(new, old));
        if !same {
            self.shown.clone_from(&overlays);
            canvas.set_overlays(overlays);
        }
    }
}

/// A timestamp watermark: `YYYY-MM-DD HH:MM:SS` in a box that stays where it is.
#[cfg(feature = "text")]
#[derive(Debug)]
pub struct Clock {
    font: Arc<Font>,
    style: TextStyle,
    zone: TimeZone,
    colour: Colour,
    rect: Rect,
    /// What was drawn last, and its second.
    drawn: Option<(u64, Arc<Overlay>)>,
}

#[cfg(feature = "text")]
impl Clock {
    /// A clock at `position` of a canvas of size `canvas` and samples of `colour`, half a font size away from its
    /// borders; the box is as large as the widest time needs, the sides rounded up to even, at most the canvas.
    ///
    /// # Errors
    /// [`TextError::FontSize`] for a size out of range, [`TextError::Compose`] for a canvas over the limit.
    pub fn new(
        font: Arc<Font>,
        style: TextStyle,
        (position, zone): (Position, TimeZone),
        (canvas, colour): (Size, Colour),
    ) -> Result<Self, TextError> {
        let mut size = font.measure("0", style.font_size)?;
        for digit in '0'..='9' {
            let widest: String = "0000-00-00 00:00:00".replace('0', digit.encode_utf8(&mut [0; 4]));
            let other = font.measure(&widest, style.font_size)?;
            if other.width() > size.width() {
                size = other;
            }
        }
        let side = |side: u32, whole: u32| side.next_multiple_of(2).min(whole);
        let size = Size::new(side(size.width(), canvas.width()), side(size.height(), canvas.height()))
            .expect("a canvas is not empty");
        let rect = position.place(size, canvas, u32::from(style.font_size).div_ceil(2));
        let clock = Self { font, style, zone, colour, rect, drawn: None };
        clock.draw(UnixMillis::EPOCH)?;
        Ok(clock)
    }

    /// Where it is.
    #[must_use]
    pub const fn rect(&self) -> Rect {
        self.rect
    }

    /// The clock at `now`: the same overlay as before while the second is.
    pub fn overlay(&mut self, now: UnixMillis) -> Arc<Overlay> {
        if let Some((_, overlay)) = self.drawn.as_ref().filter(|(second, _)| *second == now.seconds()) {
            return Arc::clone(overlay);
        }
        let overlay = Arc::new(self.draw(now).expect("drawn when the clock was made"));
        self.drawn = Some((now.seconds(), Arc::clone(&overlay)));
        overlay
    }

    fn draw(&self, now: UnixMillis) -> Result<Overlay, TextError> {
        let text = self.zone.local_time(now);
        let drawn = self.font.draw(&text, self.rect.size(), self.style)?;
        Ok(drawn.bitmap.to_overlay(self.rect.left(), self.rect.top(), self.colour)?)
    }
}
