//! MPEG-TS and HLS for recordings: a segmenter that needs no I/O, a demuxer, and the playlist's text both ways.
//!
//! [`Segmenter`] takes encoded access units (H.264, AAC-LC) and gives [`Action`]s: TS segments to store, and a playlist
//! that grows, with the tags of the TRTC on-cloud recorder. [`demux`] and [`read_playlist`] read such files back, and
//! those of others; [`salvage`] finds what a process that died has left of a segment. Nothing here encodes, decodes, or
//! touches a file, a clock or the network.
//!
//! ```
//! use recorder_hls::{AccessUnit, Action, PlaylistHeader, PlaylistText, Segmenter, SegmenterOptions, Streams};
//! use recorder_types::aac::AudioSpecificConfig;
//! use recorder_types::{AacConfig, MediaId, RoomTime, UnixMillis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let header = PlaylistHeader::single(MediaId::Main, "alice".parse()?);
//! let mut segmenter = Segmenter::new(SegmenterOptions::new("1400000001_1001_main_audio".parse()?, header)?);
//! let audio = AacConfig::Raw(AudioSpecificConfig::new(48_000, 1)?);
//! segmenter.set_streams(Streams { video: None, audio: Some(audio) });
//! segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_123).ok_or("year 9999")?);
//!
//! let frame: &[u8] = &[0x21, 0x10, 0x04, 0x60, 0x8C, 0x1C];
//! for n in 0..3 {
//!     let at = RoomTime::from_nanos(n * 21_333_333);
//!     let _written = segmenter.push_audio(&AccessUnit { pts: at, dts: at, data: frame.into() })?;
//! }
//! segmenter.finish();
//!
//! let mut playlist = PlaylistText::new();
//! let mut segment = Vec::new();
//! while let Some(action) = segmenter.poll() {
//!     match action {
//!         Action::SegmentData { data } => segment.extend_from_slice(&data),
//!         Action::Playlist(update) => playlist.apply(&update),
//!         _ => {} // a file is opened or closed
//!     }
//! }
//! assert_eq!(segment.len() % 188, 0);
//! assert!(playlist.to_string().ends_with(
//!     "#EXTINF:0.064,\n1400000001_1001_main_audio_20231114221320123.ts\n#EXT-X-ENDLIST\n"
//! ));
//! # Ok(())
//! # }
//! ```

mod action;
mod audio;
mod budget;
mod cut;
pub mod demux;
pub mod index;
mod options;
mod order;
mod picture;
mod playlist;
pub mod read_playlist;
pub mod salvage;
mod segmenter;
mod ts;

pub use action::{
    AccessUnit, Action, Loss, PlaylistUpdate, PushError, Pushed, SegmentFile, SegmentInfo, SegmenterStats,
    Streams,
};
pub use index::{IndexError, SegmentIndex};
pub use options::{OptionsError, PlaylistHeader, PlaylistMedia, SegmenterOptions};
pub use playlist::PlaylistText;
pub use segmenter::Segmenter;
