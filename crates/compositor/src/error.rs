use recorder_types::Size;

use crate::geometry::Rect;

/// Why a picture or a layout was refused. Nothing was drawn or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The caller's planes do not hold the picture.
    #[error("planes do not hold a picture of {size}")]
    Planes {
        /// Of the picture.
        size: Size,
    },
    /// The caller's rectangle lies partly outside its picture.
    #[error("{rect:?} lies outside a picture of {size}")]
    Outside {
        /// What was given.
        rect: Rect,
        /// Of the picture.
        size: Size,
    },
    /// The caller's rectangle has an odd border where chroma at half resolution needs an even one.
    #[error("{rect:?} has an odd border")]
    Odd {
        /// What was given.
        rect: Rect,
    },
    /// The caller's rectangle is not of the size that the scaler was made for.
    #[error("a rectangle of {got} where the scaler expects {expected}")]
    OtherSize {
        /// The scaler's.
        expected: Size,
        /// What was given.
        got: Size,
    },
    /// The caller gave more or fewer sources than there are tiles.
    #[error("{got} sources for {expected} tiles")]
    SourceCount {
        /// Tiles of the canvas.
        expected: usize,
        /// Sources given.
        got: usize,
    },
    /// The caller's pixels are not `width * height * 4` bytes.
    #[error("{got} bytes of RGBA do not hold a picture of {size}")]
    Pixels {
        /// Of the picture.
        size: Size,
        /// Bytes given.
        got: usize,
    },
    /// A side is over [`crate::MAX_SIDE`].
    #[error("a picture of {size} is over the limit")]
    TooLarge {
        /// Of the picture.
        size: Size,
    },
}
