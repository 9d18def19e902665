//! Merges the single-stream recordings of one task into playable files, a user at a time: what the vendor's merge
//! script does, without Python and FFmpeg.
//!
//! [`plan`] is pure: playlists and the sizes of the segments go in, a [`Plan`] comes out that can be shown, changed
//! and stored. It says which segments of which user go where on the time line of which file.
//!
//! ```
//! use recorder_merge::{Folder, MergeOptions, plan};
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
mod error;
mod execute;
mod feed;
mod folder;
mod job;
mod movie;
mod options;
mod pictures;
mod plan;
mod resample;
mod script;
mod silence;
mod sink;
mod source;
mod spool;

#[cfg(feature = "bucket")]
pub use bucket::BucketFolder;
pub use error::MergeError;
pub use execute::{Merged, Method, Progress, Reason, Report, execute, methods};
pub use folder::{Folder, TrackName};
pub use options::{AuxUse, Blanks, CopyMode, FrameRate, InvalidOption, MergeMode, MergeOptions, SectionGaps};
pub use plan::{Gap, Output, Piece, Plan, Skipped, SkippedReason, UserPlan, plan};
pub use sink::{DirectorySink, Sink, SinkFile};
pub use source::{DirectorySource, Source};
