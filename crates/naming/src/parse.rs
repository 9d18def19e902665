use std::fmt;
use std::num::NonZeroU32;

use recorder_types::{
    InvalidRoomId, InvalidUserId, MediaId, ObjectName, RoomId, SdkAppId, UnixMillis, UserId,
};

use crate::names::RECORD_ID_END;
use crate::{
    FileIndex, FileKind, HaRun, InvalidField, InvalidUserDefineRecordId, NameError, RoomIdKind, StreamType,
    TaskNames, decode_field, playlist_part, segment,
};

/// A name taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are the same in each variant and are named after their types")]
pub enum ParsedName {
    /// Playlist of one user's stream.
    SinglePlaylist { task: TaskNames, user: UserId, media: MediaId, stream: StreamType, index: FileIndex },
    /// TS segment of one user's stream, and when it starts.
    SingleSegment { task: TaskNames, user: UserId, media: MediaId, stream: StreamType, start: UnixMillis },
    /// MP4 or AAC file of one user.
    SingleFile { task: TaskNames, user: UserId, media: MediaId, kind: FileKind, index: FileIndex },
    /// Playlist of the mixed stream.
    MixedPlaylist { task: TaskNames, index: FileIndex },
    /// TS segment of the mixed stream, and when it starts.
    MixedSegment { task: TaskNames, start: UnixMillis },
    /// MP4 or AAC file of the mixed stream.
    MixedFile { task: TaskNames, kind: FileKind, index: FileIndex },
}

impl ParsedName {
    /// Takes a bare name (no directory) apart. The markers around the user may have one underscore or two.
    ///
    /// `room_kind` comes from the task: a field of digits can be a number or an encoded text.
    ///
    /// # Errors
    /// Says which field is missing or breaks its rule, and where it starts.
    ///
    /// # Specification
    /// `naming-and-playlists.md` sections 1.4 and 1.5.
    pub fn parse(name: &str, room_kind: RoomIdKind) -> Result<Self, ParseNameError> {
        // A record id may hold anything that a name holds, but the name behind it never holds the marker: the last
        // marker is the one.
        let (record_id, at) = match name.rfind(RECORD_ID_END) {
            Some(at) => (name.get(..at), at + RECORD_ID_END.len()),
            None => (None, 0),
        };
        let mut rest = Rest { text: name.get(at..).unwrap_or_default(), at };
        let (extension, extension_at) = rest.take_extension()?;

        let ha = rest.take_ha()?;
        let (app, app_at) = rest.take_field();
        let app =
            parse_u32(app).map(SdkAppId::new).ok_or(error(NameField::SdkAppId, app_at, Rule::Number))?;
        rest.take_separator(NameField::RoomId)?;
        let (room, room_at) = rest.take_field();
        let room = parse_room(room, room_kind).map_err(|rule| error(NameField::RoomId, room_at, rule))?;

        let mut task = TaskNames::new(app, room);
        if let Some(run) = ha {
            task = task.with_ha(run);
        }
        if let Some(id) = record_id {
            task = task.with_record_id(
                id.parse().map_err(|rule| error(NameField::RecordId, 0, Rule::RecordId(rule)))?,
            );
        }
        match rest.take_user()? {
            Some(user) => single(rest, task, user, extension, extension_at),
            None => mixed(rest, task, extension, extension_at),
        }
    }

    /// The name again, with double underscores.
    ///
    /// # Errors
    /// [`NameError::TooLong`] for a name that is longer than this crate makes them.
    pub fn encode(&self) -> Result<ObjectName, NameError> {
        match self {
            Self::SinglePlaylist { task, user, media, stream, index } => {
                playlist_part(&task.single(user, *media, *stream)?, *index)
            }
            Self::SingleSegment { task, user, media, stream, start } => {
                segment(&task.single(user, *media, *stream)?, *start)
            }
            Self::SingleFile { task, user, media, kind, index } => {
                task.single_file(user, *media, *kind, *index)
            }
            Self::MixedPlaylist { task, index } => playlist_part(&task.mixed()?, *index),
            Self::MixedSegment { task, start } => segment(&task.mixed()?, *start),
            Self::MixedFile { task, kind, index } => task.mixed_file(*kind, *index),
        }
    }

    /// The fields that all names of the task begin with.
    #[must_use]
    pub const fn task(&self) -> &TaskNames {
        match self {
            Self::SinglePlaylist { task, .. }
            | Self::SingleSegment { task, .. }
            | Self::SingleFile { task, .. }
            | Self::MixedPlaylist { task, .. }
            | Self::MixedSegment { task, .. }
            | Self::MixedFile { task, .. } => task,
        }
    }

    /// The recorded user; `None` for the mixed stream.
    #[must_use]
    pub const fn user(&self) -> Option<&UserId> {
        match self {
            Self::SinglePlaylist { user, .. }
            | Self::SingleSegment { user, .. }
            | Self::SingleFile { user, .. } => Some(user),
            Self::MixedPlaylist { .. } | Self::MixedSegment { .. } | Self::MixedFile { .. } => None,
        }
    }
}

/// Reads what follows the user: `<MediaId>[_<Type>][_<UTC>|_<Index>]`.
fn single(
    mut rest: Rest<'_>,
    task: TaskNames,
    user: UserId,
    extension: Extension,
    extension_at: usize,
) -> Result<ParsedName, ParseNameError> {
    let (media, at) = rest.take_field();
    let media = [MediaId::Main, MediaId::Aux].into_iter().find(|m| m.as_str() == media).ok_or(error(
        NameField::MediaId,
        at,
        Rule::Keyword,
    ))?;
    if let Extension::File(kind) = extension {
        let index = rest.take_index()?;
        return rest.end(ParsedName::SingleFile { task, user, media, kind, index }, extension_at);
    }
    rest.take_separator(NameField::Type)?;
    let (stream, at) = rest.take_field();
    let stream = StreamType::from_name_field(stream).ok_or(error(NameField::Type, at, Rule::Keyword))?;
    let parsed = if extension == Extension::Playlist {
        let index = rest.take_index()?;
        ParsedName::SinglePlaylist { task, user, media, stream, index }
    } else {
        let start = rest.take_utc()?;
        ParsedName::SingleSegment { task, user, media, stream, start }
    };
    rest.end(parsed, extension_at)
}

/// Reads what follows the room: `[_<UTC>|_<Index>]`.
fn mixed(
    mut rest: Rest<'_>,
    task: TaskNames,
    extension: Extension,
    extension_at: usize,
) -> Result<ParsedName, ParseNameError> {
    let parsed = match extension {
        Extension::File(kind) => ParsedName::MixedFile { task, kind, index: rest.take_index()? },
        Extension::Playlist => ParsedName::MixedPlaylist { task, index: rest.take_index()? },
        Extension::Segment => ParsedName::MixedSegment { task, start: rest.take_utc()? },
    };
    rest.end(parsed, extension_at)
}

fn parse_room(field: &str, kind: RoomIdKind) -> Result<RoomId, Rule> {
    match kind {
        RoomIdKind::Integer => RoomId::parse_integer(field).map_err(Rule::Room),
        RoomIdKind::Text => RoomId::text(&decode_text(field)?).map_err(Rule::Room),
    }
}

fn decode_text(field: &str) -> Result<String, Rule> {
    String::from_utf8(decode_field(field).map_err(Rule::Encoding)?).map_err(|_| Rule::Utf8)
}

/// Decimal in its only spelling: no sign, no leading zero.
fn parse_u32(text: &str) -> Option<u32> {
    RoomId::parse_integer(text).ok()?.as_integer()
}

const fn error(field: NameField, at: usize, rule: Rule) -> ParseNameError {
    ParseNameError { field, at, rule }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    Playlist,
    Segment,
    File(FileKind),
}

/// What is left of a name and how far into it that is.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    /// Cuts the extension off the end. A dot is also the padding of encoded fields, so that only the known
    /// extensions count.
    fn take_extension(&mut self) -> Result<(Extension, usize), ParseNameError> {
        let known = [
            (".m3u8", Extension::Playlist),
            (".ts", Extension::Segment),
            (".mp4", Extension::File(FileKind::Mp4)),
            (".aac", Extension::File(FileKind::Aac)),
        ];
        let end = self.at + self.text.len();
        for (suffix, extension) in known {
            if let Some(text) = self.text.strip_suffix(suffix) {
                self.text = text;
                return Ok((extension, end - suffix.len()));
            }
        }
        Err(error(NameField::Extension, end, Rule::Keyword))
    }

    fn take_literal(&mut self, literal: &str) -> bool {
        match self.text.strip_prefix(literal) {
            Some(text) => {
                *self = Rest { text, at: self.at + literal.len() };
                true
            }
            None => false,
        }
    }

    /// Everything up to the next underscore or the end.
    fn take_field(&mut self) -> (&'a str, usize) {
        let at = self.at;
        let (field, text) = self.text.split_at(self.text.find('_').unwrap_or(self.text.len()));
        *self = Rest { text, at: at + field.len() };
        (field, at)
    }

    fn take_separator(&mut self, next: NameField) -> Result<(), ParseNameError> {
        if self.take_literal("_") { Ok(()) } else { Err(error(next, self.at, Rule::Missing)) }
    }

    fn take_ha(&mut self) -> Result<Option<HaRun>, ParseNameError> {
        if !self.take_literal("ha") {
            return Ok(None);
        }
        let (number, at) = self.take_field();
        let run =
            [HaRun::First, HaRun::Second, HaRun::Third].into_iter().find(|run| run.to_string() == number);
        let run = run.ok_or(error(NameField::HaRun, at, Rule::Number))?;
        self.take_separator(NameField::SdkAppId)?;
        Ok(Some(run))
    }

    /// `__UserId_s_<UserId>__UserId_e_`, with one or two underscores in front of each marker; `None` if the first
    /// marker is not there.
    fn take_user(&mut self) -> Result<Option<UserId>, ParseNameError> {
        if !self.take_literal("__UserId_s_") && !self.take_literal("_UserId_s_") {
            return Ok(None);
        }
        let (field, at) = self.take_field();
        let user = decode_text(field)
            .and_then(|text| text.parse().map_err(Rule::User))
            .map_err(|rule| error(NameField::UserId, at, rule))?;
        if !self.take_literal("__UserId_e_") && !self.take_literal("_UserId_e_") {
            return Err(error(NameField::UserEnd, self.at, Rule::Missing));
        }
        Ok(Some(user))
    }

    fn take_index(&mut self) -> Result<FileIndex, ParseNameError> {
        if !self.take_literal("_") {
            return Ok(FileIndex::Only);
        }
        let (digits, at) = self.take_field();
        let index =
            parse_u32(digits).and_then(NonZeroU32::new).ok_or(error(NameField::Index, at, Rule::Number))?;
        Ok(FileIndex::Part(index))
    }

    fn take_utc(&mut self) -> Result<UnixMillis, ParseNameError> {
        self.take_separator(NameField::Utc)?;
        let (digits, at) = self.take_field();
        UnixMillis::from_utc_digits(digits).ok_or(error(NameField::Utc, at, Rule::Utc))
    }

    fn end(&self, parsed: ParsedName, extension_at: usize) -> Result<ParsedName, ParseNameError> {
        if self.at == extension_at {
            Ok(parsed)
        } else {
            Err(error(NameField::Extension, self.at, Rule::Trailing))
        }
    }
}

/// The part of a name that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameField {
    /// `UserDefineRecordId`, before its marker.
    RecordId,
    /// The number of `ha<n>_`.
    HaRun,
    /// `SdkAppId`.
    SdkAppId,
    /// `RoomId`.
    RoomId,
    /// `UserId`, between its markers.
    UserId,
    /// The marker after `UserId`.
    UserEnd,
    /// `main` or `aux`.
    MediaId,
    /// `audio`, `video` or `audiovideo`.
    Type,
    /// The start of a segment.
    Utc,
    /// The number of a file.
    Index,
    /// What the name ends with.
    Extension,
}

impl fmt::Display for NameField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RecordId => "UserDefineRecordId",
            Self::HaRun => "ha number",
            Self::SdkAppId => "SdkAppId",
            Self::RoomId => "RoomId",
            Self::UserId => "UserId",
            Self::UserEnd => "UserId_e_ marker",
            Self::MediaId => "MediaId",
            Self::Type => "Type",
            Self::Utc => "UTC",
            Self::Index => "Index",
            Self::Extension => "extension",
        })
    }
}

/// Why a text is no name of a recording: a field, where it starts, and the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {at}: {rule}")]
pub struct ParseNameError {
    field: NameField,
    at: usize,
    rule: Rule,
}

impl ParseNameError {
    /// Which part of the name.
    #[must_use]
    pub const fn field(&self) -> NameField {
        self.field
    }

    /// Byte offset where that part starts or should have started.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Rule {
    #[error("missing")]
    Missing,
    #[error("not one of the words that can stand here")]
    Keyword,
    #[error("not a decimal number in range, without sign or leading zeros")]
    Number,
    #[error("not 17 digits YYYYMMDDhhmmssSSS of an instant from 1970 on")]
    Utc,
    #[error("text before the extension that belongs to no field")]
    Trailing,
    #[error("{0}")]
    Encoding(InvalidField),
    #[error("the decoded bytes are not UTF-8")]
    Utf8,
    #[error("{0}")]
    Room(InvalidRoomId),
    #[error("{0}")]
    User(InvalidUserId),
    #[error("{0}")]
    RecordId(InvalidUserDefineRecordId),
}

#[cfg(test)]
mod tests;
