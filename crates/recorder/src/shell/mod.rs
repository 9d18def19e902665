//! The thin tokio shell around [`crate::task::TaskCore`]: a thread a recording for media and disk, uploads and
//! callbacks on the runtime.

mod clock;
mod driver;
mod files;
#[cfg(feature = "mix")]
mod images;
mod journal;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(feature = "mix")]
mod mix_journal;
mod notify;
mod options;
mod recorder;
mod recording;
mod recover;
#[cfg(test)]
mod simulation;
#[cfg(feature = "mix")]
mod timeline;

#[cfg(any(feature = "api", feature = "nats"))]
pub(crate) use self::clock::Clock;
pub use self::clock::ClockMode;
#[cfg(feature = "nats")]
pub(crate) use self::journal::TaskRecord;
pub use self::options::{LibraryTarget, RecorderOptions, RecordingOptions};
#[cfg(feature = "api")]
pub(crate) use self::recorder::tell_failed_start;
pub use self::recorder::{Recorder, StartError};
#[cfg(feature = "api")]
pub(crate) use self::recording::QUEUED_EVENTS;
pub use self::recording::{AskError, Outcome, Recording, SendError, Status};
#[cfg(feature = "nats")]
pub(crate) use self::recover::TakeOver;
pub use self::recover::{Fate, RecoverError, RecoverOptions, Recovered, Unfinished};
