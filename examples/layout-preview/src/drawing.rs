//! A picture of boxes and texts, before it becomes SVG or PNG.

use recorder_layout::{Rect, Rgb};
use recorder_types::Size;

/// A picture: boxes from back to front, texts in front of all of them.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    pub(crate) size: Size,
    pub(crate) background: Rgb,
    pub(crate) boxes: Vec<Shape>,
    pub(crate) labels: Vec<Label>,
}

/// A box with even borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rect: Rect,
    /// Colour and opacity, 255 hiding what is behind; `None` for a box that is only a border.
    pub(crate) fill: Option<(Rgb, u8)>,
    /// The colour of a border of [`EDGE`] pixels inside the box.
    pub(crate) edge: Option<Rgb>,
}

/// Width of borders, in pixels; even, so that chroma at half resolution has them whole.
pub(crate) const EDGE: u32 = 2;

/// A line of text in a box of its own size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) rect: Rect,
    /// Of an em, in pixels.
    pub(crate) font_size: u16,
    pub(crate) colour: Rgb,
}
