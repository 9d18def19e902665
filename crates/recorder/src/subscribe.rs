use recorder_types::{MediaKind, UserId};

/// Most entries of one list (`SubscribeStreamUserIds`).
pub const MAX_LIST_ENTRIES: usize = 32;

const PREFIX_MARK: &str = ".*$";

/// Whom a task records, for audio and video apart: an allow list, a block list, or everyone.
///
/// An entry that ends in `.*$` stands for every user id that begins with the text before it, unless a user is in
/// the room whose id is literally the entry: then it means that user alone.
///
/// # Specification
/// TRTC `SubscribeStreamUserIds`: on-cloud recording data types, prefix rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    audio: UserList,
    video: UserList,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserList {
    #[default]
    Everyone,
    Allow(Vec<Box<str>>),
    Block(Vec<Box<str>>),
}

impl Subscription {
    /// Everyone, audio and video.
    #[must_use]
    pub const fn everyone() -> Self {
        Self { audio: UserList::Everyone, video: UserList::Everyone }
    }

    /// Sets the allow list of `kind`; an empty one means everyone.
    ///
    /// # Errors
    /// [`SubscriptionError`] if a block list of the same kind is set, or the list is longer than
    /// [`MAX_LIST_ENTRIES`].
    pub fn with_allowed<I>(self, kind: MediaKind, entries: I) -> Result<Self, SubscriptionError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.with(kind, entries, UserList::Allow)
    }

    /// Sets the block list of `kind`; an empty one means everyone.
    ///
    /// # Errors
    /// [`SubscriptionError`] if an allow list of the same kind is set, or the list is longer than
    /// [`MAX_LIST_ENTRIES`].
    pub fn with_blocked<I>(self, kind: MediaKind, entries: I) -> Result<Self, SubscriptionError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.with(kind, entries, UserList::Block)
    }

    fn with<I>(
        mut self,
        kind: MediaKind,
        entries: I,
        list: fn(Vec<Box<str>>) -> UserList,
    ) -> Result<Self, SubscriptionError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut kept = Vec::new();
        for entry in entries {
            if kept.len() == MAX_LIST_ENTRIES {
                return Err(SubscriptionError::TooLong { kind });
            }
            kept.push(Box::from(entry.as_ref()));
        }
        if kept.is_empty() {
            return Ok(self);
        }
        let slot = match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        };
        if *slot != UserList::Everyone {
            return Err(SubscriptionError::BothLists { kind });
        }
        *slot = list(kept);
        Ok(self)
    }

    /// Whether `user`'s stream of `kind` is recorded. `present` tells whether a user whose id is exactly the given
    /// text is in the room.
    pub fn allows(&self, user: &UserId, kind: MediaKind, present: impl Fn(&str) -> bool) -> bool {
        let matches = |entry: &str| {
            entry == user.as_str()
                || entry
                    .strip_suffix(PREFIX_MARK)
                    .is_some_and(|prefix| user.as_str().starts_with(prefix) && !present(entry))
        };
        match self.list(kind) {
            UserList::Everyone => true,
            UserList::Allow(entries) => entries.iter().any(|entry| matches(entry)),
            UserList::Block(entries) => !entries.iter().any(|entry| matches(entry)),
        }
    }

    /// Whether the coming or going of a user with this very id changes what other users' entries mean.
    pub(crate) fn is_pattern(&self, user: &UserId) -> bool {
        user.as_str().ends_with(PREFIX_MARK)
            && [&self.audio, &self.video].into_iter().any(|list| match list {
                UserList::Everyone => false,
                UserList::Allow(entries) | UserList::Block(entries) => {
                    entries.iter().any(|entry| **entry == *user.as_str())
                }
            })
    }

    /// The allow list and the block list of `kind`; one of them at least is empty.
    #[cfg(feature = "mix")]
    pub(crate) fn entries(&self, kind: MediaKind) -> (&[Box<str>], &[Box<str>]) {
        match self.list(kind) {
            UserList::Everyone => (&[], &[]),
            UserList::Allow(entries) => (entries, &[]),
            UserList::Block(entries) => (&[], entries),
        }
    }

    pub(crate) const fn list(&self, kind: MediaKind) -> &UserList {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }
}

/// Lists that cannot be. The caller has to change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// An allow and a block list of the same kind.
    #[error("allow list and block list of {kind} are both set")]
    BothLists {
        /// Which.
        kind: MediaKind,
    },
    /// More than [`MAX_LIST_ENTRIES`].
    #[error("list of {kind} user ids has more than {MAX_LIST_ENTRIES} entries")]
    TooLong {
        /// Which.
        kind: MediaKind,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(entry: &str, room: &[&str]) -> Vec<String> {
        let lists = Subscription::everyone().with_allowed(MediaKind::Audio, [entry]).unwrap();
        let hit = |id: &&&str| {
            let user = id.parse::<UserId>().unwrap();
            lists.allows(&user, MediaKind::Audio, |text| room.contains(&text))
        };
        room.iter().filter(hit).map(|id| (*id).to_owned()).collect()
    }

    /// The table of `SubscribeStreamUserIds`.
    #[test]
    fn entries_match_as_documented() {
        for (entry, room, want) in [
            ("1", &["1", "10", "21"][..], &["1"][..]),
            ("1.*$", &["1", "10", "21"], &["1", "10"]),
            ("1.*$", &["1", "10", "1.*$"], &["1.*$"]),
            (".*$", &["1", "abc"], &["1", "abc"]),
            ("a.*$b", &["a.*$b", "ab"], &["a.*$b"]),
            ("a[0-9].*$", &["a1", "a[0-9]x"], &["a[0-9]x"]),
        ] {
            assert_eq!(matched(entry, room), want, "{entry} in {room:?}");
        }
    }

    #[test]
    fn a_block_list_is_the_opposite_and_kinds_are_apart() {
        let lists = Subscription::everyone().with_blocked(MediaKind::Video, ["a.*$"]).unwrap();
        let user: UserId = "anna".parse().unwrap();
        assert!(!lists.allows(&user, MediaKind::Video, |_| false));
        assert!(lists.allows(&user, MediaKind::Audio, |_| false));
        assert!(lists.is_pattern(&"a.*$".parse().unwrap()));
        assert!(!lists.is_pattern(&user));
    }

    #[test]
    fn both_lists_of_a_kind_and_long_lists_are_refused() {
        let audio = MediaKind::Audio;
        let allow = Subscription::everyone().with_allowed(audio, ["a"]).unwrap();
        assert_eq!(
            allow.clone().with_blocked(audio, ["b"]),
            Err(SubscriptionError::BothLists { kind: audio })
        );
        assert!(allow.with_blocked(MediaKind::Video, ["b"]).is_ok());
        let many = vec!["x"; MAX_LIST_ENTRIES + 1];
        assert_eq!(
            Subscription::everyone().with_allowed(audio, many),
            Err(SubscriptionError::TooLong { kind: audio })
        );
        assert_eq!(Subscription::everyone().with_allowed(audio, [""; 0]).unwrap(), Subscription::everyone());
    }
}
