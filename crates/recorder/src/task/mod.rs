//! The life of one recording task as a state machine without I/O: room events and the time in, actions out.

mod clock;
mod core;
mod file_set;
#[cfg(feature = "mix")]
mod mix;
mod options;
mod output;
mod room;
#[cfg(feature = "mix")]
mod shed;
mod track;

pub use self::clock::TrackOrigin;
pub use self::core::{
    Action, EventError, FilePlace, Now, Refused, RoomEvent, StorageReport, TaskCore, TaskState,
};
pub(crate) use self::core::{Earlier, Resume};
pub(crate) use self::file_set::track_type;
pub use self::file_set::{FileSetReport, SetId};
#[cfg(feature = "mix")]
pub use self::mix::{MixOptions, MixOptionsError, MixReport};
pub use self::options::{
    AvMerge, Delivery, MAX_ANCHORS, MaxIdleTime, MediaSelection, StreamSelection, TaskOptions,
};
pub use self::output::{FileJob, JobInput, MadeFile, MaxFileDuration, MissingMedium, OutputFormat};
