use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use recorder_types::{MediaKind, RoomId};

/// What a playlist holds: the `<Type>` field of names and the `TrackType` of callbacks, which spell it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamType {
    /// Sound only.
    Audio,
    /// Pictures only.
    Video,
    /// Both in one playlist (`AvMerge` 1).
    AudioVideo,
}

impl StreamType {
    /// As file names have it: `audio`, `video` or `audiovideo`.
    #[must_use]
    pub const fn name_field(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::AudioVideo => "audiovideo",
        }
    }

    /// As callbacks and the API have it: `audio`, `video` or `audio_video`.
    #[must_use]
    pub const fn track_type(self) -> &'static str {
        match self {
            Self::AudioVideo => "audio_video",
            other => other.name_field(),
        }
    }

    pub(crate) fn from_name_field(text: &str) -> Option<Self> {
        [Self::Audio, Self::Video, Self::AudioVideo].into_iter().find(|t| t.name_field() == text)
    }
}

impl From<MediaKind> for StreamType {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// How often the high-availability scheme has restarted a task: the `<n>` of `ha<n>_`. A first run has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HaRun {
    /// `ha1_`
    First,
    /// `ha2_`
    Second,
    /// `ha3_`, the last.
    Third,
}

impl HaRun {
    /// The restart with this number; `None` unless 1 to 3.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::First),
            2 => Some(Self::Second),
            3 => Some(Self::Third),
            _ => None,
        }
    }

    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Second => 2,
            Self::Third => 3,
        }
    }

    /// The restart after this one; `None` after the third, which is the last that a task gets.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.number() + 1)
    }

    /// The restart that follows a run: the first after one without prefix (`None`), else as [`HaRun::next`].
    #[must_use]
    pub const fn after(run: Option<Self>) -> Option<Self> {
        match run {
            None => Some(Self::First),
            Some(run) => run.next(),
        }
    }
}

/// The number, as in `ha<n>_`.
impl fmt::Display for HaRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// Container of a file that is made after the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// `.mp4`
    Mp4,
    /// `.aac`, sound only.
    Aac,
}

impl FileKind {
    /// `mp4` or `aac`.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Aac => "aac",
        }
    }
}

/// The `<Index>` field. A recording that fits one file has none; of several the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileIndex {
    /// The only file: no index and no underscore.
    Only,
    /// One of several, counted from 1.
    Part(NonZeroU32),
}

impl From<NonZeroU32> for FileIndex {
    fn from(index: NonZeroU32) -> Self {
        Self::Part(index)
    }
}

/// The field with its underscore, or nothing.
impl fmt::Display for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Part(index) => write!(f, "_{index}"),
        }
    }
}

/// Which kind of room a name was made for. The name does not tell: take it from the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoomIdKind {
    /// `RoomIdType` 1: the field is the decimal number.
    Integer,
    /// `RoomIdType` 0: the field is encoded text.
    Text,
}

impl RoomIdKind {
    /// The kind of `room`.
    #[must_use]
    pub const fn of(room: &RoomId) -> Self {
        match room.as_integer() {
            Some(_) => Self::Integer,
            None => Self::Text,
        }
    }
}

/// The customer's own mark in front of names for VOD: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserDefineRecordId(Box<str>);

impl UserDefineRecordId {
    /// Longest id, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserDefineRecordId {
    type Err = InvalidUserDefineRecordId;

    fn from_str(s: &str) -> Result<Self, InvalidUserDefineRecordId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        match s.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(InvalidUserDefineRecordId::Byte { at }),
            None if !(1..=Self::MAX_BYTES).contains(&s.len()) => {
                Err(InvalidUserDefineRecordId::Length { len: s.len() })
            }
            None => Ok(Self(s.into())),
        }
    }
}

impl fmt::Display for UserDefineRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`UserDefineRecordId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUserDefineRecordId {
    /// A byte outside the alphabet.
    #[error("a UserDefineRecordId is made of A-Z a-z 0-9 _ -; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty or too long.
    #[error("a UserDefineRecordId has 1 to 64 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_restarts_and_no_more() {
        let mut runs = Vec::new();
        let mut run = HaRun::after(None);
        while let Some(this) = run {
            runs.push(this.number());
            run = HaRun::after(Some(this));
        }
        assert_eq!(runs, [1, 2, 3]);
        assert_eq!((HaRun::new(0), HaRun::new(4), HaRun::new(255)), (None, None, None));
    }

    #[test]
    fn record_ids_keep_to_their_alphabet_and_length() {
        for bad in ["a.b", "a/b", "a b", "ü", "a\n"] {
            let error = bad.parse::<UserDefineRecordId>().unwrap_err();
            assert!(matches!(error, InvalidUserDefineRecordId::Byte { .. }), "{bad:?}");
        }
        for len in [0, 65] {
            let error = "x".repeat(len).parse::<UserDefineRecordId>().unwrap_err();
            assert_eq!(error, InvalidUserDefineRecordId::Length { len });
        }
        assert!("x".repeat(64).parse::<UserDefineRecordId>().is_ok());
    }
}
