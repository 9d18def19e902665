//! MP4 without I/O: reads plain and fragmented files sample by sample, writes them in one pass, splits them.
//!
//! Reading: [`Reader`] never touches a file. It asks for byte ranges ([`Event::Need`]), tells the tracks, and then gives
//! one [`SampleRef`] after the other: times, sync flag and where in the file the bytes are. [`FileReader`] is the thin
//! shell for whoever has a [`std::io::Read`] and [`std::io::Seek`] and wants [`recorder_types::Sample`]s. A bad track is
//! named and left out; the others go on. Duration fields are not read at all.
//!
//! Writing: [`MovieIndex`] takes the sizes and times of all samples, and gives a [`MoviePlan`] whose `moov` box comes in
//! front of the media; [`MovieWriter`] passes the media through behind it. No byte is moved or written twice, so the
//! file can go straight into an upload. [`Splitter`] does the same for as many files as limits of size and duration ask
//! for. [`FragmentWriter`] writes fragments (CMAF), for files that survive being cut off and for HLS. [`AvcPacker`]
//! brings H.264 into the form that MP4 wants.
//!
//! H.264 (`avc1`, `avc3`), AAC-LC and Opus are read and written. Nothing here decodes media.
//!
//! ```
//! use bytes::Bytes;
//! use recorder_mp4::{Event, MovieIndex, MovieWriter, Reader, ReaderOptions, SampleEntry, SampleInfo, TrackSetup};
//! use recorder_types::{Timescale, Timestamp, aac::AudioSpecificConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Ten frames of audio: first what they are, then the frames themselves.
//! let clock = Timescale::HZ_48000;
//! let frames: Vec<Bytes> = (1..=10u8).map(|n| Bytes::from(vec![n; usize::from(n)])).collect();
//! let mut index = MovieIndex::new();
//! let track = index.add_track(TrackSetup::new(SampleEntry::aac(AudioSpecificConfig::new(48_000, 2)?), clock))?;
//! for (number, frame) in (0..).zip(&frames) {
//!     let at = Timestamp::new(number * 1024, clock);
//!     let len = u32::try_from(frame.len())?;
//!     index.push(track, SampleInfo { pts: at, dts: at, duration: 1024, sync: true, len })?;
//! }
//! let mut writer = MovieWriter::new(index.finish()?);
//! for frame in &frames {
//!     writer.push(track, frame.clone())?;
//! }
//! let mut file = Vec::new();
//! writer.write_to(&mut file)?;
//! writer.finish()?;
//!
//! // And back.
//! let file = Bytes::from(file);
//! let mut reader = Reader::new(file.len() as u64, ReaderOptions::default());
//! let mut read = Vec::new();
//! loop {
//!     match reader.poll()? {
//!         Event::Need(need) => {
//!             let at = usize::try_from(need.at)?;
//!             reader.supply(file.slice(at..at + need.len))?;
//!         }
//!         Event::Sample(sample) => {
//!             let at = usize::try_from(sample.offset)?;
//!             read.push(file.slice(at..at + usize::try_from(sample.len)?));
//!         }
//!         Event::End => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(read, frames);
//! # Ok(())
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
