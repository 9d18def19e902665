use recorder_types::{InvalidUserId, MediaId, Size, UserId};

use crate::{InvalidColour, InvalidImageUrl};

/// Why a layout cannot be read or drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The caller listed a stream twice: the calling code has to change.
    #[error("stream {media} of user {user:?} is listed twice among the participants")]
    DuplicateStream {
        /// Whose.
        user: UserId,
        /// Which.
        media: MediaId,
    },
    /// A canvas side is odd, which planar 4:2:0 cannot draw: who set the output size has to change it.
    #[error("canvas {canvas}: both sides have to be even; change the output width or height")]
    OddCanvas {
        /// The output size.
        canvas: Size,
    },
    /// A window would have no pixel: who set the output size has to raise it.
    #[error("canvas {canvas} is too small for {windows} windows; raise the output width or height")]
    CanvasTooSmall {
        /// The output size.
        canvas: Size,
        /// Windows asked for.
        windows: usize,
    },
    /// More windows than a layout has: who wrote the layout, or counts windows, has to ask for fewer.
    #[error("{got} windows asked for, a layout has at most 25")]
    TooManyWindows {
        /// Windows asked for.
        got: usize,
    },
    /// A window of a custom layout reaches over the canvas: who wrote the layout has to move or shrink it.
    #[error(
        "window {index} of MixLayoutList reaches to {right},{bottom}, outside the canvas {canvas}; change the layout"
    )]
    WindowOutside {
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

/// Why `MixLayoutParams` are no layout: who wrote them has to change them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{field} {rule}; change the layout", match .window {
    Some(index) => format!("window {index} of MixLayoutList: "),
    None => String::new(),
})]
pub struct InvalidLayout {
    /// Place in `MixLayoutList`, from 0, if it is a member of a window.
    pub window: Option<usize>,
    /// Name of the member in the recording API.
    pub field: &'static str,
    /// What it breaks.
    pub rule: LayoutRule,
}

impl InvalidLayout {
    pub(crate) const fn new(field: &'static str, rule: LayoutRule) -> Self {
        Self { window: None, field, rule }
    }
}

/// Which rule a member of `MixLayoutParams` breaks. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutRule {
    /// Required and absent.
    #[error("is missing")]
    Missing,
    /// A number outside its documented range.
    #[error("is {got}, outside {min} to {max}")]
    OutOfRange {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// As given.
        got: i64,
    },
    /// Too long a list.
    #[error("has {got} entries, at most {max}")]
    TooMany {
        /// As given.
        got: usize,
        /// Limit.
        max: usize,
    },
    /// A colour.
    #[error("is not a colour: {0}")]
    Colour(InvalidColour),
    /// An image address.
    #[error("is not an image address: {0}")]
    Image(InvalidImageUrl),
    /// A user id.
    #[error("is not a user id: {0}")]
    User(InvalidUserId),
}
