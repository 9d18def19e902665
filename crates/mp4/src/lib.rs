//! MP4 without I/O: reads plain and fragmented files sample by sample.
//!
//! [`Reader`] never touches a file. It asks for byte ranges ([`Event::Need`]), tells the tracks, and then gives one
//! [`SampleRef`] after the other: times, sync flag and where in the file the bytes are. [`FileReader`] is the thin
//! shell for whoever has a [`std::io::Read`] and [`std::io::Seek`] and wants [`recorder_types::Sample`]s.
//!
//! H.264 (`avc1`, `avc3`), AAC-LC and Opus are read. A track of any other kind, or one whose tables contradict each
//! other, is named in [`Reader::rejected`] or ends with [`Event::TrackFailed`]; the other tracks go on. Duration
//! fields are not read at all. Nothing here decodes media.
//!
//! ```
//! use recorder_mp4::{Event, Reader, ReadError, ReaderOptions};
//!
//! /// Times of all samples of a file in memory, in seconds and decode order.
//! fn times(file: &bytes::Bytes) -> Result<Vec<f64>, ReadError> {
//!     let mut reader = Reader::new(file.len() as u64, ReaderOptions::default());
//!     let mut times = Vec::new();
//!     loop {
//!         match reader.poll()? {
//!             Event::Need(need) => {
//!                 let at = need.at as usize;
//!                 reader.supply(file.slice(at..at + need.len))?;
//!             }
//!             Event::Sample(sample) => {
//!                 times.push(sample.pts.ticks() as f64 / f64::from(sample.pts.timescale().hz()));
//!             }
//!             Event::End => return Ok(times),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! # fn main() {
//! let not_mp4 = bytes::Bytes::from_static(&[0, 0, 0, 8, b'f', b'r', b'e', b'e']);
//! assert!(matches!(times(&not_mp4), Err(ReadError::NoMoov { .. })));
//! # }
//! ```

mod avc;
mod boxes;
mod describe;
mod entry;
mod error;
mod file;
mod fragment;
mod fragments;
mod log;
mod moov;
mod movie;
mod plan;
mod reader;
mod split;
mod table;
mod tables;
mod track;
mod trak;
mod writer;

pub use avc::{AvcPacker, PackError, PackedPicture, ParameterSets};
pub use boxes::BoxKind;
pub use describe::DescriptionError;
pub use error::{FileError, ReadError, TrackError};
pub use file::{FileReader, TrackSample};
pub use fragments::{FragmentError, FragmentOptions, FragmentOutput, FragmentWriter};
pub use plan::{MovieIndex, PlanError, SampleInfo, TrackSetup};
pub use reader::{Event, Need, Reader, ReaderOptions};
pub use split::{SplitError, SplitLimits, Splitter};
pub use track::{
    DisplayMatrix, PixelAspect, RejectedTrack, SampleEntry, SampleEntryKind, SampleRef, TrackId, TrackInfo,
};
pub use writer::{Chunk, MoviePlan, MovieWriter, WriteError};
