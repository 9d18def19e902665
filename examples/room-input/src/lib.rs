//! Where the example programs get their participants from: media files, and people who do not exist.
//!
//! [`MediaSource`] reads MP4, H.264 byte streams, ADTS and Ogg Opus; [`SimulatedSource`] paints and encodes;
//! [`InputSource`] is either, [`PlacedSource`] puts it on the clock of a room. All are blocking iterators over encoded samples in rising decode time, with bounded
//! memory. What is wrong with a file is told in values: an [`InputError`] ends it, a [`Warning`] does not. Nothing is
//! decoded, and nothing is printed here (OpenH264, which encodes the simulated pictures, warns on stderr at its start).
//!
//! ```
//! use recorder_room_input::{InputError, InputSource, SimulatedOptions, SimulatedSource};
//!
//! # fn main() -> Result<(), InputError> {
//! let mut options = SimulatedOptions::default();
//! options.name = "alice".to_owned();
//! options.seconds = 1;
//! let mut source = InputSource::from(SimulatedSource::new(&options)?);
//! let mut samples = vec![0; source.tracks().len()];
//! while let Some(next) = source.next() {
//!     let (track, _sample) = next?;
//!     samples[track] += 1;
//! }
//! assert_eq!(samples, [15, 47]); // 15 pictures, and 48000 samples in frames of 1024
//! assert!(source.take_warnings().is_empty());
//! # Ok(())
//! # }
//! ```

mod adts;
mod error;
mod format;
mod h264;
mod mp4;
mod opus;
mod placed;
mod rate;
mod simulate;
mod source;
mod window;

pub use error::{InputError, OggFault, Warning};
pub use placed::PlacedSource;
pub use rate::{FrameRate, InvalidFrameRate};
pub use simulate::{SimulatedMedia, SimulatedOptions, SimulatedSource};
pub use source::{InputSource, MediaSource, OpenOptions, SourceTrack};
