//! Object names of the TRTC on-cloud recorder: build them, and parse them back.
//!
//! A recording is a directory `[<prefix>/]<task>/` with playlists, TS segments, MP4 and AAC files. This crate knows
//! every template of those names and nothing of what is inside the files, and does no I/O. It is not a general
//! path library: ids reach a name through [`encode_field`] only, so that no id, whatever it holds, becomes a
//! directory, a hidden file or a second line.
//!
//! Two different users, streams, runs or rooms of one kind never share a name. An integer room and a string room
//! may (the string room `㍴` is written `4420`), which is why [`ParsedName::parse`] asks which kind to read. Names
//! differ by case, as Base64 does: on a file system that ignores case, two ids can meet.
//!
//! ```
//! use recorder_naming::{KeyPrefix, ObjectDir, ParsedName, RoomIdKind, StreamType, TaskNames, playlist, segment};
//! use recorder_types::{MediaId, RoomId, SdkAppId, UnixMillis, UserId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let names = TaskNames::new(SdkAppId::new(1_400_000_001), RoomId::integer(1001));
//! let alice: UserId = "alice".parse()?;
//! names.check_user(&alice)?; // before the recording starts
//!
//! let stem = names.single(&alice, MediaId::Main, StreamType::Video)?;
//! let dir = ObjectDir::new(KeyPrefix::parse(["p1", "p2"])?, "task01".parse()?);
//! assert_eq!(
//!     dir.key(&playlist(&stem)?),
//!     "p1/p2/task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video.m3u8",
//! );
//!
//! let start = UnixMillis::new(1_700_000_000_123).ok_or("after 9999")?;
//! let name = segment(&stem, start)?;
//! let parsed = ParsedName::parse(name.as_str(), RoomIdKind::Integer)?;
//! assert!(matches!(&parsed, ParsedName::SingleSegment { user, start: at, .. } if *user == alice && *at == start));
//! assert_eq!(parsed.encode()?, name);
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! `naming-and-playlists.md` sections 1 to 4.

mod alphabet;
mod field;
mod key;
mod names;
mod parse;

pub use alphabet::{InvalidField, decode_field, encode_field};
pub use field::{
    FileIndex, FileKind, HaRun, InvalidUserDefineRecordId, RoomIdKind, StreamType, UserDefineRecordId,
};
pub use key::{InvalidKeyPrefix, InvalidPrefixComponent, KeyPrefix, ObjectDir, PrefixComponent};
pub use names::{NameError, TaskNames, playlist, playlist_part, segment, timeline};
pub use parse::{NameField, ParseNameError, ParsedName};
