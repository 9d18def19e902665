//! The thin tokio shell around [`crate::task::TaskCore`]: a thread a recording for media and disk, uploads and
//! callbacks on the runtime.

mod clock;
mod driver;
mod files;
#[cfg(feature = "mix")]
mod images;
mod notify;
mod options;
mod recorder;
mod recording;

pub use self::clock::ClockMode;
pub use self::options::{RecorderOptions, RecordingOptions};
pub use self::recorder::{Recorder, StartError};
pub use self::recording::{AskError, Outcome, Recording, SendError, Status};
