use std::sync::Arc;

use recorder_compositor::{Bitmap, Position, Rect, TextStyle, TimeZone};
use recorder_layout::ImageUrl;
use recorder_types::Size;

use super::WatermarkError;

/// A watermark of the mixed picture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Watermark {
    /// A picture, stretched to its place.
    Image {
        /// The picture.
        image: ImageSource,
        /// Its place on the canvas.
        rect: Rect,
    },
    /// Text in a box.
    Text {
        /// `\n` begins a new line.
        text: String,
        /// The box; what does not fit is cut.
        rect: Rect,
        /// How it looks.
        style: TextStyle,
    },
    /// The time of day.
    Timestamp {
        /// Where on the canvas.
        position: Position,
        /// Whose time.
        zone: TimeZone,
        /// How it looks.
        style: TextStyle,
    },
}

/// Where a watermark's picture comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// From an address; nothing is shown until it is there.
    Url(ImageUrl),
    /// It is here.
    Given(Arc<Bitmap>),
}

impl Watermark {
    /// Whether it fits the canvas; `index` is its place in the list.
    pub(crate) fn check(&self, index: usize, canvas: Size) -> Result<(), WatermarkError> {
        match self {
            Self::Image { rect, .. } | Self::Text { rect, .. } => {
                let (right, bottom) = (rect.right(), rect.bottom());
                if right > canvas.width() || bottom > canvas.height() {
                    return Err(WatermarkError::Outside { index, right, bottom, canvas });
                }
                Ok(())
            }
            Self::Timestamp { .. } => Ok(()),
        }
    }
}
