use recorder_codec::CodecError;
use recorder_compositor::{ComposeError, MAX_WATERMARKS};
use recorder_types::RoomTime;

use crate::StreamId;

/// Why a mix could not be told what it was told, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MixError {
    /// The caller sent a unit of a stream that is not published.
    #[error("{stream} is not published")]
    NotPublished {
        /// The stream.
        stream: StreamId,
    },
    /// The caller published a stream whose codec is not of its kind.
    #[error("{stream} is published with a codec of another kind")]
    WrongKind {
        /// The stream.
        stream: StreamId,
    },
    /// The caller changed the scene for a time before that of an earlier change.
    #[error("a scene at {at:?} follows one at {last:?}: times do not go back")]
    SceneOrder {
        /// Of the scene.
        at: RoomTime,
        /// Of the one before it.
        last: RoomTime,
    },
    /// The caller asked for more watermarks than a canvas has.
    #[error("{got} watermarks, of {MAX_WATERMARKS} at most")]
    TooManyMarks {
        /// As asked for.
        got: usize,
    },
    /// The caller asked for something a canvas does not do.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The caller's options do not fit a codec, or the library behind one failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The caller asked for neither video nor audio.
    #[error("a mix needs video or audio")]
    Nothing,
    /// The caller asked for a frame rate outside of 1 to 60.
    #[error("{fps} pictures a second, of 1 to 60")]
    FrameRate {
        /// Pictures per second.
        fps: u16,
    },
}
