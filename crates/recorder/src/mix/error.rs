use recorder_compositor::MAX_WATERMARKS;
use recorder_types::Size;

/// Why watermarks cannot be drawn: who asked for them has to change them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatermarkError {
    /// More than [`MAX_WATERMARKS`].
    #[error("{got} watermarks, of {MAX_WATERMARKS} at most")]
    TooMany {
        /// As given.
        got: usize,
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
}
