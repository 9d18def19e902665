use recorder_compositor::MAX_WATERMARKS;
use recorder_layout::{InvalidColour, InvalidImageUrl};
use recorder_types::Size;

/// Why parameters of a mixed recording are refused: who wrote the request has to change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MixParamsError {
    /// A number outside its documented range.
    #[error("{field} is {got}, outside {min} to {max}")]
    OutOfRange {
        /// Name of the field in the recording API.
        field: &'static str,
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// As given.
        got: i64,
    },
    /// Both sides are in range, their product is not.
    #[error("a canvas of {canvas} has more pixels than 1920x1080")]
    TooManyPixels {
        /// The output size.
        canvas: Size,
    },
    /// A canvas side is odd, which planar 4:2:0 cannot draw.
    #[error("canvas {canvas}: both sides have to be even")]
    OddCanvas {
        /// The output size.
        canvas: Size,
    },
    /// More than [`MAX_WATERMARKS`].
    #[error("{got} watermarks, of {MAX_WATERMARKS} at most")]
    TooManyWatermarks {
        /// As given.
        got: usize,
    },
    /// A watermark lacks what its type needs.
    #[error("watermark {index} has no {field}")]
    Missing {
        /// Place in the list, from 0.
        index: usize,
        /// Name of the field in the recording API.
        field: &'static str,
    },
    /// A watermark reaches over the canvas.
    #[error("watermark {index} reaches to {right},{bottom}, outside the canvas {canvas}")]
    Outside {
        /// Place in the list, from 0.
        index: usize,
        /// `Left` plus `Width`.
        right: u32,
        /// `Top` plus `Height`.
        bottom: u32,
        /// The output size.
        canvas: Size,
    },
    /// A font that the service does not have.
    #[error("watermark {index} wants the font {font:?}, of Tencent and SourceHanSans")]
    Font {
        /// Place in the list, from 0.
        index: usize,
        /// As given.
        font: String,
    },
    /// A colour is written neither `#RRGGBB` nor `0xRRGGBB`.
    #[error("{field} of watermark {index} is not a colour")]
    Colour {
        /// Place in the list, from 0.
        index: usize,
        /// Name of the field in the recording API.
        field: &'static str,
        /// The rule.
        #[source]
        source: InvalidColour,
    },
    /// An image address breaks a rule of the API.
    #[error("WaterMarkUrl of watermark {index} is not an image address")]
    Image {
        /// Place in the list, from 0.
        index: usize,
        /// The rule.
        #[source]
        source: InvalidImageUrl,
    },
}

pub(super) fn in_range(field: &'static str, got: i64, min: i64, max: i64) -> Result<i64, MixParamsError> {
    if (min..=max).contains(&got) {
        Ok(got)
    } else {
        Err(MixParamsError::OutOfRange { field, min, max, got })
    }
}
