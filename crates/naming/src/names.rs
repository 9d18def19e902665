use std::fmt;

use recorder_types::{MediaId, ObjectName, RoomId, SdkAppId, UnixMillis, UserId};

use crate::{FileIndex, FileKind, HaRun, StreamType, UserDefineRecordId, encode_field};

/// `_`, 17 digits and `.ts`: the longest of what follows a stem. (`_4294967295.m3u8` has 16 bytes.)
const LONGEST_SUFFIX: usize = 1 + 17 + ".ts".len();
/// What a store may append to a name while it writes (`#` and a number).
const STAGING_SUFFIX: usize = 8;
const HA_PREFIX: usize = "ha3_".len();
const USER_START: &str = "__UserId_s_";
const USER_END: &str = "__UserId_e_";
pub(crate) const RECORD_ID_END: &str = "__UserDefine_u_";

/// Makes the names of one task: it holds the fields that all of them begin with.
///
/// Two values that differ make different names, as long as their rooms are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskNames {
    app: SdkAppId,
    room: RoomId,
    ha: Option<HaRun>,
    record_id: Option<UserDefineRecordId>,
}

impl TaskNames {
    /// Names of the first run of a task, without a mark of the customer.
    #[must_use]
    pub const fn new(app: SdkAppId, room: RoomId) -> Self {
        Self { app, room, ha: None, record_id: None }
    }

    /// The same for a task that was restarted: `ha<n>_` stands before the application.
    #[must_use]
    pub fn with_ha(self, run: HaRun) -> Self {
        Self { ha: Some(run), ..self }
    }

    /// The same for VOD: `<UserDefineRecordId>__UserDefine_u_` stands first.
    #[must_use]
    pub fn with_record_id(self, id: UserDefineRecordId) -> Self {
        Self { record_id: Some(id), ..self }
    }

    /// The application.
    #[must_use]
    pub const fn app(&self) -> SdkAppId {
        self.app
    }

    /// The room.
    #[must_use]
    pub const fn room(&self) -> &RoomId {
        &self.room
    }

    /// Which restart; `None` in the first run.
    #[must_use]
    pub const fn ha(&self) -> Option<HaRun> {
        self.ha
    }

    /// The customer's mark, if any.
    #[must_use]
    pub const fn record_id(&self) -> Option<&UserDefineRecordId> {
        self.record_id.as_ref()
    }

    /// What the playlist and the segments of one stream begin with: `..._<MediaId>_<Type>`, without extension.
    ///
    /// # Errors
    /// [`NameError::TooLong`] exactly when [`TaskNames::check_user`] refuses `user`.
    pub fn single(&self, user: &UserId, media: MediaId, stream: StreamType) -> Result<ObjectName, NameError> {
        self.check_user(user)?;
        let user = encode_field(user.as_str().as_bytes());
        finish(format!("{self}{USER_START}{user}{USER_END}{media}_{}", stream.name_field()))
    }

    /// The MP4 or AAC file of one user: `..._<MediaId>[_<Index>].<mp4|aac>`.
    ///
    /// # Errors
    /// [`NameError::TooLong`] exactly when [`TaskNames::check_user`] refuses `user`.
    pub fn single_file(
        &self,
        user: &UserId,
        media: MediaId,
        kind: FileKind,
        index: FileIndex,
    ) -> Result<ObjectName, NameError> {
        self.check_user(user)?;
        let user = encode_field(user.as_str().as_bytes());
        finish(format!("{self}{USER_START}{user}{USER_END}{media}{index}.{}", kind.extension()))
    }

    /// What the playlist and the segments of the mixed stream begin with, without extension.
    ///
    /// # Errors
    /// [`NameError::TooLong`] exactly when [`TaskNames::check_mixed`] refuses the room.
    pub fn mixed(&self) -> Result<ObjectName, NameError> {
        self.check_mixed()?;
        finish(self.to_string())
    }

    /// The MP4 or AAC file of the mixed stream: `<SdkAppId>_<RoomId>[_<Index>].<mp4|aac>`.
    ///
    /// # Errors
    /// [`NameError::TooLong`] exactly when [`TaskNames::check_mixed`] refuses the room.
    pub fn mixed_file(&self, kind: FileKind, index: FileIndex) -> Result<ObjectName, NameError> {
        self.check_mixed()?;
        finish(format!("{self}{index}.{}", kind.extension()))
    }

    /// Whether every name that this user can ever need in this task will fit.
    ///
    /// The longest is counted: a TS segment of `audiovideo` in the last restart, with 8 bytes left for the suffix
    /// under which a store writes. So a user that is refused is refused before the start, and not at the first
    /// segment or after the third crash. In an integer room without a record id a user id fits up to 123 bytes.
    ///
    /// # Errors
    /// [`NameError::TooLong`] if that name is over 255 bytes.
    pub fn check_user(&self, user: &UserId) -> Result<(), NameError> {
        let media = MediaId::Main.as_str().len();
        let stream = 1 + StreamType::AudioVideo.name_field().len();
        let user = USER_START.len() + encoded_len(user.as_str().len()) + USER_END.len();
        self.check_len(user + media + stream)
    }

    /// Whether every name of the mixed stream will fit, counted as in [`TaskNames::check_user`].
    ///
    /// # Errors
    /// [`NameError::TooLong`] if the longest is over 255 bytes, which takes a string room of about 150 bytes.
    pub fn check_mixed(&self) -> Result<(), NameError> {
        self.check_len(0)
    }

    fn check_len(&self, middle: usize) -> Result<(), NameError> {
        let record_id = self.record_id.as_ref().map_or(0, |id| id.as_str().len() + RECORD_ID_END.len());
        let room =
            self.room.as_text().map_or_else(|| self.room.to_string().len(), |text| encoded_len(text.len()));
        let head = record_id + HA_PREFIX + self.app.to_string().len() + 1 + room;
        let len = head + middle + LONGEST_SUFFIX + STAGING_SUFFIX;
        if len <= ObjectName::MAX_BYTES { Ok(()) } else { Err(NameError::TooLong { len }) }
    }
}

/// What all names of the task begin with: `[<UserDefineRecordId>__UserDefine_u_][ha<n>_]<SdkAppId>_<RoomId>`.
impl fmt::Display for TaskNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.record_id {
            write!(f, "{id}{RECORD_ID_END}")?;
        }
        if let Some(run) = self.ha {
            write!(f, "ha{run}_")?;
        }
        match self.room.as_text() {
            Some(text) => write!(f, "{}_{}", self.app, encode_field(text.as_bytes())),
            None => write!(f, "{}_{}", self.app, self.room),
        }
    }
}

/// The only playlist of a stem: `<stem>.m3u8`.
///
/// # Errors
/// [`NameError::TooLong`], never for a stem of [`TaskNames::single`] or [`TaskNames::mixed`].
pub fn playlist(stem: &ObjectName) -> Result<ObjectName, NameError> {
    playlist_part(stem, FileIndex::Only)
}

/// One of the playlists of a stem: `<stem>[_<Index>].m3u8`. A playlist is split after 14 days; then the first is 1.
///
/// # Errors
/// [`NameError::TooLong`], never for a stem of [`TaskNames::single`] or [`TaskNames::mixed`].
pub fn playlist_part(stem: &ObjectName, index: FileIndex) -> Result<ObjectName, NameError> {
    finish(format!("{stem}{index}.m3u8"))
}

/// The TS segment of a stem that starts at `start`: `<stem>_<UTC>.ts`.
///
/// # Errors
/// [`NameError::TooLong`], never for a stem of [`TaskNames::single`] or [`TaskNames::mixed`].
pub fn segment(stem: &ObjectName, start: UnixMillis) -> Result<ObjectName, NameError> {
    finish(format!("{stem}_{}.ts", start.utc_digits()))
}

/// What happened in the room of a stem, line by line: `<stem>.timeline.jsonl`. Not a name of the service.
///
/// # Errors
/// [`NameError::TooLong`], never for a stem of [`TaskNames::mixed`].
pub fn timeline(stem: &ObjectName) -> Result<ObjectName, NameError> {
    finish(format!("{stem}.timeline.jsonl"))
}

/// Every name made here is of the right alphabet and begins with a letter, a digit or one of `_ -`; only its length
/// can be wrong.
fn finish(name: String) -> Result<ObjectName, NameError> {
    name.parse().map_err(|_| NameError::TooLong { len: name.len() })
}

/// Bytes of Base64 with padding.
const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Why there is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A limit: the id of the user, of the room or of the record has to be shorter.
    #[error("the longest name made from these ids would have {len} bytes, over the limit of 255")]
    TooLong {
        /// Bytes, with everything that is kept in reserve.
        len: usize,
    },
}

#[cfg(test)]
mod tests;
