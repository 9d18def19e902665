//! The vocabulary of the recorder crates: ids, clocks, sizes, codec parameters and the encoded sample.
//!
//! Everything here is a plain value. A value that exists is valid: fields are private and the only roads in are
//! constructors that refuse. Nothing reads a clock, a file or the network.
//!
//! Three clocks, three types that do not mix: [`Timestamp`] counts ticks of one track, [`RoomTime`] is nanoseconds
//! since a task began and is where tracks meet, [`UnixMillis`] is the wall clock of names, playlists and callbacks.
//!
//! ```
//! use recorder_types::{RoomTime, Timescale, Timestamp, UserId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let user: UserId = "alice".parse()?;
//! let video = Timescale::new(90_000).ok_or("zero")?;
//! let pts = Timestamp::new(270_000, video);
//! assert_eq!(pts.to_room_time(), Some(RoomTime::from_millis(3_000)));
//! assert_eq!(user.as_str(), "alice");
//! # Ok(())
//! # }
//! ```

pub mod aac;
mod causes;
pub mod h264;
mod id;
mod sample;
mod time;

pub use causes::with_causes;
pub use id::{
    InvalidObjectName, InvalidRoomId, InvalidTaskId, InvalidText, InvalidUserId, MediaId, MediaKind,
    ObjectName, RoomId, SdkAppId, TaskId, UserId,
};
pub use sample::{AacConfig, H264Config, NalFraming, OpusConfig, Sample, Size, TrackConfig};
pub use time::{RoomTime, Timescale, Timestamp, UnixMillis};
