//! HLS recordings to MP4 and AAC files: one pass over the media, nothing decoded, no I/O.
//!
//! First the files are planned: [`Planner`] takes the [`SegmentIndex`](recorder_hls::SegmentIndex) of one segment
//! after the other (stored while it was recorded, or read from the segment), merges the playlists that belong together
//! by decode time, and tells [`FilePlan`]s within the limits of size and duration. Then each file is written:
//! [`Copier`] takes the segments and gives the bytes of the file, front to back, `moov` first. [`AacPlanner`] and
//! [`AacCopier`] do the same for ADTS files.
//!
//! [`Packager`] makes fragmented MP4 (CMAF) segments of TS segments, for playlists with `EXT-X-MAP`.
//!
//! Memory does not grow with the media, but by some bytes a sample while a file is planned.
//!
//! ```
//! use bytes::Bytes;
//! use recorder_hls::{Action, AccessUnit, PlaylistHeader, SegmentIndex, Segmenter, SegmenterOptions, Streams};
//! use recorder_remux::{Copier, CopyStep, Input, PlanOptions, Planner, Step};
//! use recorder_types::aac::AudioSpecificConfig;
//! use recorder_types::{AacConfig, MediaId, RoomTime, UnixMillis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = PlaylistHeader::single(MediaId::Main, "alice".parse()?);
//! # let mut segmenter = Segmenter::new(SegmenterOptions::new("audio".parse()?, header)?);
//! # let audio = AacConfig::Raw(AudioSpecificConfig::new(48_000, 1)?);
//! # segmenter.set_streams(Streams { video: None, audio: Some(audio) });
//! # segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_123).ok_or("year 9999")?);
//! # for n in 0..600 {
//! #     let at = RoomTime::from_nanos(n * 64_000_000 / 3);
//! #     let frame: &[u8] = &[0x00, 0xC8, 0x00, 0x80, 0x23, 0x80];
//! #     let _ = segmenter.push_audio(&AccessUnit { pts: at, dts: at, data: frame.into() })?;
//! # }
//! # segmenter.finish();
//! # let (mut indexes, mut segments, mut open) = (Vec::new(), Vec::new(), Vec::new());
//! # while let Some(action) = segmenter.poll() {
//! #     match action {
//! #         Action::SegmentData { data } => open.extend_from_slice(&data),
//! #         Action::CloseSegment(info) => {
//! #             indexes.extend(info.index);
//! #             segments.push(Bytes::from(std::mem::take(&mut open)));
//! #         }
//! #         _ => {}
//! #     }
//! # }
//! // `indexes` and `segments` of one playlist.
//! let mut planner = Planner::new(PlanOptions::default(), vec![Input::audio()]);
//! let mut files = Vec::new();
//! loop {
//!     match planner.poll()? {
//!         Step::Need { input, segment } => planner.supply(input, indexes.get(segment as usize).cloned())?,
//!         Step::File(file) => files.push(file),
//!         Step::Done => break,
//!     }
//! }
//! for file in files {
//!     let (len, mut written) = (file.len(), Vec::new());
//!     let mut copier = Copier::new(*file);
//!     loop {
//!         match copier.poll()? {
//!             CopyStep::Need { segment, input } => copier.supply(input, segments[segment as usize].clone())?,
//!             CopyStep::Output => copier.write_to(&mut written)?,
//!             CopyStep::Done => break,
//!         }
//!     }
//!     assert_eq!(written.len() as u64, len);
//! }
//! # Ok(())
//! # }
//! ```

mod aac;
mod copy;
mod error;
mod file;
mod fragments;
mod input;
mod plan;
mod segments;
mod timeline;
mod track;

pub use aac::{AacCopier, AacFilePlan, AacPlanner, AacStep};
pub use copy::{Copier, CopyStep};
pub use error::{CopyError, PackageError, RemuxError};
pub use file::{FilePlan, FileTrack};
pub use fragments::{FragmentSegment, Packager};
pub use plan::{Alignment, Input, PlanOptions, Planner, Step};
pub use segments::{PlaylistSegment, playlist_segments};
