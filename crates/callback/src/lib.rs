//! Callbacks of the TRTC on-cloud recorder: event bodies, their signature, and when to try again.
//!
//! - [`Event`], [`Payload`] and [`CallbackBody`] write exactly the documented JSON of the events 301 to 312 and read
//!   every form of it that is known.
//! - [`sign`] and [`verify`] are the `Sign` header, for senders and for receivers.
//! - [`RetrySchedule`] and [`TaskQueue`] decide when which message is tried: they do no I/O and hold no clock.
//! - With the feature `http`, `Deliverer` sends for real, in order for each task, on a tokio runtime.
//!
//! Delivery is at least once: a receiver drops repeats by [`Event::dedup_key`]. The callbacks of other event groups
//! (room, media, relay) can be verified here, but not read.
//!
//! ```
//! use recorder_callback::{CallbackBody, CallbackKey, Event, LeaveCode, Payload, sign, verify};
//! use recorder_types::{RoomId, UnixMillis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key: CallbackKey = "testkey0123456789".parse()?;
//! let now = UnixMillis::new(1_700_000_000_456).ok_or("after 9999")?;
//!
//! // The sender. The bytes are made once: they are what is signed and what is sent.
//! let event = Event::new(
//!     UnixMillis::new(1_700_000_000_123).ok_or("after 9999")?,
//!     &RoomId::integer(1001),
//!     "recorder".parse()?,
//!     "task01".parse()?,
//!     Payload::RecorderStop(LeaveCode::API_STOP),
//! );
//! let body = CallbackBody::new(event, now).to_json_bytes();
//! let header = sign(&key, &body);
//!
//! // The receiver.
//! verify(&[key], &body, &header)?;
//! let read = CallbackBody::from_json(&body)?;
//! assert_eq!(read.event().payload(), &Payload::RecorderStop(LeaveCode::API_STOP));
//! assert_eq!(read.event().room().as_str(), "1001");
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! `callbacks.md`.

mod address;
mod code;
#[cfg(feature = "http")]
mod deliver;
mod event;
#[cfg(feature = "http")]
mod fetch;
mod payload;
mod queue;
mod retry;
mod sign;
#[cfg(feature = "http")]
mod transport;
mod url;
mod wire;

pub use self::url::{CallbackUrl, InvalidCallbackUrl};
pub use address::{AddressPolicy, AddressRange, RefusedAddress};
pub use code::{
    FailoverStatus, LeaveCode, Mp4Status, StartStatus, UploadStatus, VodCommitStatus, VodStopStatus,
};
#[cfg(feature = "http")]
pub use deliver::{Counts, DeliverError, Deliverer, DelivererOptions, Sent};
pub use event::{BodyError, CallbackBody, DedupKey, Event, EventType, RoomLabel};
#[cfg(feature = "http")]
pub use fetch::{FetchError, Fetcher, FetcherOptions};
pub use payload::{
    FileName, FileSlice, InvalidFileName, Mp4File, Mp4Stop, Payload, RecordedMedia, TrackType, UploadError,
    VodCommit, VodFile,
};
pub use queue::{Attempt, Ended, Message, Outcome, Pushed, QueueOptions, Step, TaskQueue};
pub use retry::{NextAttempt, RetryPolicy, RetrySchedule};
pub use sign::{CallbackKey, InvalidCallbackKey, VerifyError, sign, verify, verify_fresh};
