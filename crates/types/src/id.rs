use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Application that a room belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SdkAppId(u32);

impl SdkAppId {
    /// Any 32-bit number is an application id.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SdkAppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Longest [`UserId`] and string [`RoomId`], in bytes of UTF-8. The file name built from them has its own, tighter
/// limit, which `recorder-naming` checks.
const MAX_ID_BYTES: usize = 1024;

/// A room, by number or by name: the two live in different spaces and are written differently into file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Room);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Room {
    Integer(u32),
    Text(Box<str>),
}

impl RoomId {
    /// A 32-bit integer room (`RoomIdType` 1).
    #[must_use]
    pub const fn integer(id: u32) -> Self {
        Self(Room::Integer(id))
    }

    /// A string room (`RoomIdType` 0): 1 to 1024 bytes of UTF-8 without control characters.
    ///
    /// # Errors
    /// Says which of the rules `id` breaks.
    pub fn text(id: &str) -> Result<Self, InvalidRoomId> {
        check_text(id).map_err(InvalidRoomId::Text)?;
        Ok(Self(Room::Text(id.into())))
    }

    /// An integer room from its decimal form, `0` to `4294967295` without sign or leading zeros.
    ///
    /// # Errors
    /// [`InvalidRoomId::NotInteger`] for anything else.
    pub fn parse_integer(text: &str) -> Result<Self, InvalidRoomId> {
        match text.parse::<u32>() {
            Ok(id) if id.to_string() == text => Ok(Self::integer(id)),
            _ => Err(InvalidRoomId::NotInteger),
        }
    }

    /// The number of an integer room.
    #[must_use]
    pub const fn as_integer(&self) -> Option<u32> {
        match self.0 {
            Room::Integer(id) => Some(id),
            Room::Text(_) => None,
        }
    }

    /// The name of a string room.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Room::Integer(_) => None,
            Room::Text(id) => Some(id),
        }
    }
}

/// Plain form, as in callbacks: the decimal number or the name itself.
impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Room::Integer(id) => id.fmt(f),
            Room::Text(id) => f.write_str(id),
        }
    }
}

/// Why a text is no [`RoomId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoomId {
    /// An integer room was asked for.
    #[error("an integer room id is 0 to 4294967295 in decimal, without sign or leading zeros")]
    NotInteger,
    /// A string room breaks the rule of texts.
    #[error("string room id: {0}")]
    Text(InvalidText),
}

/// A participant of a room: 1 to 1024 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(s: &str) -> Result<Self, InvalidUserId> {
        check_text(s).map_err(InvalidUserId)?;
        Ok(Self(s.into()))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`UserId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user id: {0}")]
pub struct InvalidUserId(pub InvalidText);

/// Which rule of ids a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidText {
    /// Ids have at least one byte.
    #[error("an id is not empty")]
    Empty,
    /// Ids have at most 1024 bytes.
    #[error("an id has at most 1024 bytes, this one {len}")]
    TooLong {
        /// Bytes of UTF-8.
        len: usize,
    },
    /// A control character (Unicode category Cc, or U+2028/U+2029) could break a playlist, header or log line.
    #[error("an id has no control characters, this one has U+{code:04X} at byte {at}")]
    Control {
        /// Byte offset.
        at: usize,
        /// Code point.
        code: u32,
    },
}

fn check_text(s: &str) -> Result<(), InvalidText> {
    if s.is_empty() {
        return Err(InvalidText::Empty);
    }
    if s.len() > MAX_ID_BYTES {
        return Err(InvalidText::TooLong { len: s.len() });
    }
    match s.char_indices().find(|(_, c)| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        Some((at, c)) => Err(InvalidText::Control { at, code: u32::from(c) }),
        None => Ok(()),
    }
}

/// A recording task: 1 to 128 of `A-Z a-z 0-9 + - . _`, and neither `.` nor `..`: it is a directory level of every
/// object key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Box<str>);

impl TaskId {
    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(s: &str) -> Result<Self, InvalidTaskId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        match s.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(InvalidTaskId::Byte { at }),
            None if !(1..=128).contains(&s.len()) => Err(InvalidTaskId::Length { len: s.len() }),
            None if matches!(s, "." | "..") => Err(InvalidTaskId::DotDirectory),
            None => Ok(Self(s.into())),
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`TaskId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTaskId {
    /// A byte outside the alphabet.
    #[error("a task id is made of A-Z a-z 0-9 + - . _; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty or too long.
    #[error("a task id has 1 to 128 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
    /// `.` and `..` name directories.
    #[error("a task id is neither `.` nor `..`")]
    DotDirectory,
}

/// The last component of an object key or a file name that came out of an encoder: 1 to 255 bytes of ASCII
/// letters, digits and `+ - . _`, not starting with a dot.
///
/// 255 bytes is what local file systems take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = InvalidObjectName;

    fn from_str(s: &str) -> Result<Self, InvalidObjectName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        match s.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(InvalidObjectName::Byte { at }),
            None if !(1..=Self::MAX_BYTES).contains(&s.len()) => {
                Err(InvalidObjectName::Length { len: s.len() })
            }
            None if s.starts_with('.') => Err(InvalidObjectName::LeadingDot),
            None => Ok(Self(s.into())),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`ObjectName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidObjectName {
    /// A byte outside the alphabet, for example a slash.
    #[error("an object name is made of A-Z a-z 0-9 + - . _; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty, or more than a local file system takes.
    #[error("an object name has 1 to 255 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
    /// Hidden files and `..`.
    #[error("an object name does not start with a dot")]
    LeadingDot,
}

/// Which of a user's streams: `main` (camera, microphone) or `aux` (screen sharing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaId {
    /// Primary stream.
    Main,
    /// Substream.
    Aux,
}

impl MediaId {
    /// `main` or `aux`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Aux => "aux",
        }
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_line_breaks_are_refused() {
        for bad in ["a\nb", "a\rb", "\0", "a\u{85}", "a\u{2028}b", "\u{7f}"] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
            assert!(RoomId::text(bad).is_err(), "{bad:?}");
        }
        assert_eq!("".parse::<UserId>(), Err(InvalidUserId(InvalidText::Empty)));
    }

    #[test]
    fn a_task_id_never_leaves_its_directory() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "ü", &"x".repeat(129)] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        }
        for good in ["task01", "-m4..", "a+b-c._", &"x".repeat(128)] {
            assert!(good.parse::<TaskId>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn integer_rooms_have_one_spelling() {
        for bad in ["", "+1", "01", "-1", "4294967296", "1.0", "x"] {
            assert_eq!(RoomId::parse_integer(bad), Err(InvalidRoomId::NotInteger), "{bad:?}");
        }
        assert_eq!(RoomId::parse_integer("4294967295"), Ok(RoomId::integer(u32::MAX)));
        assert_ne!(RoomId::integer(1), RoomId::text("1").unwrap());
    }
}
