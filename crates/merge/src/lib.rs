//! Merges the single-stream recordings of one task into playable files, a user at a time: what the vendor's merge
//! script does, without Python and FFmpeg.
//!
//! [`plan`] is pure: playlists and the sizes of the segments go in, a [`Plan`] comes out that can be shown, changed
//! and stored. It says which segments of which user go where on the time line of which file. [`execute`] writes the
//! files, in one pass over the media and with little memory, from a [`Source`] (a directory, or a folder in a bucket
//! with the feature `bucket`) into a [`Sink`]. Pictures and sound are copied as they are wherever nothing asks for new
//! ones; [`Merged`] says what was done, and why.
//!
//! Not here: mixed-stream recordings, and recordings in other containers than MPEG-TS.
//!
//! ```
//! use recorder_merge::{DirectorySink, DirectorySource, Folder, MergeOptions, execute, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut folder = Folder::default();
//! let stem = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
//! folder.add_playlist(
//!     &format!("{stem}.m3u8"),
//!     &format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{stem}_20231114221320000.ts\n#EXT-X-ENDLIST\n"),
//! );
//! folder.add_segment(&format!("{stem}_20231114221320000.ts"), 188_000);
//!
//! let plan = plan(&folder, &MergeOptions::default());
//! assert_eq!(plan.users[0].outputs[0].name, "YWxpY2U._20231114221320000_av.mp4");
//!
//! // There are no such segments on the disk, which the report tells.
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let (mut source, mut sink) = (DirectorySource::new(directory), DirectorySink::new(directory));
//! let reports = execute(&plan, &MergeOptions::default(), &mut source, &mut sink, &mut |_| {});
//! assert!(reports[0].result.is_err() && reports[0].skipped.len() == 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! `merge-and-vod.md` section 1.

#[cfg(feature = "bucket")]
mod bucket;
mod clock;
mod copy_audio;
mod copy_video;
mod encode_audio;
mod encode_video;
mod encoder_thread;
mod error;
mod execute;
mod feed;
mod folder;
mod job;
mod movie;
mod options;
mod pictures;
mod plan;
mod script;
mod silence;
mod sink;
mod source;
mod spool;

#[cfg(feature = "bucket")]
pub use bucket::BucketFolder;
pub use error::MergeError;
pub use execute::{Merged, Method, Progress, Reason, Report, execute, methods, refusal};
pub use folder::{Folder, TrackName};
pub use options::{AuxUse, Blanks, CopyMode, FrameRate, InvalidOption, MergeMode, MergeOptions, SectionGaps};
pub use plan::{Gap, Output, Piece, Plan, Skipped, SkippedReason, UserPlan, plan};
pub use sink::{DirectorySink, Sink, SinkFile};
pub use source::{DirectorySource, Source};
