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
    /// A number outside its documented range: who wrote the layout has to change it.
    #[error("{field} is {got}, outside {min} to {max}; change the layout")]
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
    /// A colour is not written `#RRGGBB`: who wrote the layout has to change it.
    #[error("{field} is not a colour; change the layout")]
    Colour {
        /// Name of the field in the recording API.
        field: &'static str,
        /// The rule.
        #[source]
        source: InvalidColour,
    },
    /// An image address breaks a rule of the API: who wrote the layout has to change it.
    #[error("{field} is not an image address; change the layout")]
    Image {
        /// Name of the field in the recording API.
        field: &'static str,
        /// The rule.
        #[source]
        source: InvalidImageUrl,
    },
    /// A user id breaks the rule of ids: who wrote the layout has to change it.
    #[error("{field} is not a user id; change the layout")]
    User {
        /// Name of the field in the recording API.
        field: &'static str,
        /// The rule.
        #[source]
        source: InvalidUserId,
    },
}
