//! Records the calls of a real-time room inside your own process, as the TRTC on-cloud recorder does: same file
//! names, playlists, callbacks.
//!
//! Your media server hands over what it has anyway, each participant's encoded access units; out come HLS file sets
//! in a [`storage::Bucket`], one for each participant and track (or one for a participant's audio and video), or media in a
//! [`storage::MediaLibrary`], and the events 301 to 312 for your own code or the customer's server. H.264 and AAC-LC are
//! passed through; Opus is turned into AAC-LC (feature `opus`). With the feature `mix` a task can record the whole room as one video and one
//! sound instead ([`TaskOptions`]`::mix`).
//!
//! With the feature `nats` several machines share tasks, and when one dies another goes on (`cluster`).
//!
//! - [`Recorder`] and [`Recording`] are for production: a thread a recording for media and disk, uploads and
//!   callbacks on your tokio runtime.
//! - [`TaskCore`] is the same recording without I/O and clock, for simulations and other runtimes.
//!
//! ```
//! use recorder::storage::Bucket;
//! use recorder::types::{
//!     AacConfig, MediaId, MediaKind, RoomId, Sample, SdkAppId, TrackConfig, Timestamp, aac::AudioSpecificConfig,
//! };
//! use recorder::{Recorder, RecorderOptions, RecordingOptions, RoomEvent, TaskOptions, TrackOrigin};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let recorder = Recorder::new(RecorderOptions::new(directory.path().join("spool")));
//! let task = TaskOptions::new(SdkAppId::new(1_400_000_001), RoomId::integer(1001), "task01".parse()?, "robot".parse()?);
//! let bucket = Bucket::open(directory.path().join("out").to_str().ok_or("path")?, Default::default())?;
//! let recording = recorder.start(RecordingOptions::new(task, bucket))?;
//!
//! let alice: recorder::types::UserId = "alice".parse()?;
//! let aac = AudioSpecificConfig::new(48_000, 1)?;
//! recording.event(RoomEvent::Enter { user: alice.clone() })?;
//! recording.event(RoomEvent::Publish {
//!     user: alice.clone(),
//!     media: MediaId::Main,
//!     config: TrackConfig::Aac(AacConfig::Raw(aac)),
//!     origin: TrackOrigin::FirstArrival,
//! })?;
//! for frame in 0..100 {
//!     let sample = Sample::new(Timestamp::new(frame * 1024, aac.timescale()), vec![0x21; 60].into());
//!     recording.event(RoomEvent::Sample {
//!         user: alice.clone(),
//!         media: MediaId::Main,
//!         kind: MediaKind::Audio,
//!         sample,
//!     })?;
//! }
//! recording.stop().await?;
//! let outcome = recording.ended().await?;
//! assert_eq!(outcome.kept, 0);
//! assert_eq!(outcome.status.files[0].segments, 1);
//! # Ok(())
//! # }
//! ```

/// What the tests share names the crate as its users do.
#[cfg(test)]
extern crate self as recorder;

#[cfg(feature = "nats")]
pub mod cluster;
#[cfg(feature = "mix")]
pub mod mix;
#[cfg(feature = "api")]
mod service;
mod shell;
mod subscribe;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
mod task;
#[cfg(feature = "mix")]
pub mod timeline;

#[cfg(feature = "api")]
pub use recorder_api as api;
pub use recorder_callback as callback;
pub use recorder_hls as hls;
pub use recorder_naming as naming;
pub use recorder_naming::KeyPrefix;
pub use recorder_storage as storage;
pub use recorder_types as types;

#[cfg(feature = "mix")]
pub use recorder_codec as codec;
#[cfg(feature = "mix")]
pub use recorder_compositor as compositor;
#[cfg(feature = "mix")]
pub use recorder_layout as layout;
#[cfg(feature = "mix")]
pub use recorder_mixer as mixer;
#[cfg(feature = "mix")]
pub use task::{MixOptions, MixOptionsError, MixReport};

#[cfg(feature = "api")]
pub use service::{
    InvalidTask, InvalidTemplate, LifeError, RoomKey, Service, ServiceOptions, Stop, TaskLife,
    bucket_address, task_options,
};
pub use shell::{
    AskError, ClockMode, Fate, LibraryTarget, Outcome, Recorder, RecorderOptions, Recording,
    RecordingOptions, RecoverError, RecoverOptions, Recovered, SendError, StartError, Status, Unfinished,
};
pub use subscribe::{MAX_LIST_ENTRIES, Subscription, SubscriptionError};
pub use task::{
    Action, AvMerge, Delivery, EventError, FileJob, FilePlace, FileSetReport, JobInput, MAX_ANCHORS,
    MadeFile, MaxFileDuration, MaxIdleTime, MediaSelection, MissingMedium, Now, OutputFormat, Refused,
    RoomEvent, SetId, StorageReport, StreamSelection, TaskCore, TaskOptions, TaskState, TrackOrigin,
};
