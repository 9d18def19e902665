use std::collections::{BTreeMap, HashMap};

use recorder_types::{MediaKind, UserId};

use super::options::{MAX_ANCHORS, StreamSelection};
use crate::subscribe::Subscription;

/// Who is in the room, in order of entry, and who of them holds one of the 25 places.
#[derive(Debug)]
pub(super) struct Room {
    subscription: Subscription,
    stream_type: StreamSelection,
    members: BTreeMap<Entry, Member>,
    by_id: HashMap<UserId, Entry>,
    next: Entry,
    places_taken: usize,
}

/// Position in the order of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u64);

#[derive(Debug)]
struct Member {
    user: UserId,
    wanted: Wanted,
    holds_place: bool,
}

/// Which kinds of a member the subscription and the stream type ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    audio: bool,
    video: bool,
}

impl Wanted {
    const fn any(self) -> bool {
        self.audio || self.video
    }
}

impl Room {
    pub(super) fn new(subscription: Subscription, stream_type: StreamSelection) -> Self {
        Self {
            subscription,
            stream_type,
            members: BTreeMap::new(),
            by_id: HashMap::new(),
            next: Entry(0),
            places_taken: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn contains(&self, user: &UserId) -> bool {
        self.by_id.contains_key(user)
    }

    /// Where `user` is in the order of entry.
    #[cfg(feature = "mix")]
    pub(super) fn entered(&self, user: &UserId) -> Option<u64> {
        self.by_id.get(user).map(|entry| entry.0)
    }

    /// Whether `user` is here, holds a place and is to be recorded in `kind`.
    pub(super) fn records(&self, user: &UserId, kind: MediaKind) -> bool {
        let member = self.by_id.get(user).and_then(|entry| self.members.get(entry));
        member.is_some_and(|member| {
            member.holds_place
                && match kind {
                    MediaKind::Audio => member.wanted.audio,
                    MediaKind::Video => member.wanted.video,
                }
        })
    }

    /// Whether `user` is here and wanted, but all places are taken.
    pub(super) fn waits(&self, user: &UserId) -> bool {
        let member = self.by_id.get(user).and_then(|entry| self.members.get(entry));
        member.is_some_and(|member| !member.holds_place && member.wanted.any())
    }

    /// Adds `user` at the end of the order; one who is here already keeps the old position.
    pub(super) fn enter(&mut self, user: &UserId) {
        if self.contains(user) {
            return;
        }
        let entry = self.next;
        self.next = Entry(entry.0 + 1);
        self.by_id.insert(user.clone(), entry);
        let wanted = self.wanted(user);
        self.members.insert(entry, Member { user: user.clone(), wanted, holds_place: false });
        if self.subscription.is_pattern(user) {
            self.judge_everyone();
        }
        self.hand_out_places();
    }

    /// Takes `user` out; the first who waits gets the place. Says whether the user was here.
    pub(super) fn leave(&mut self, user: &UserId) -> bool {
        let Some(member) = self.by_id.remove(user).and_then(|entry| self.members.remove(&entry)) else {
            return false;
        };
        self.places_taken -= usize::from(member.holds_place);
        if self.subscription.is_pattern(user) {
            self.judge_everyone();
        }
        self.hand_out_places();
        true
    }

    /// Replaces the lists for everyone who is here.
    pub(super) fn set_subscription(&mut self, subscription: Subscription) {
        self.subscription = subscription;
        self.judge_everyone();
        self.hand_out_places();
    }

    fn wanted(&self, user: &UserId) -> Wanted {
        let present = |text: &str| text.parse::<UserId>().is_ok_and(|id| self.by_id.contains_key(&id));
        let kind = |kind| self.stream_type.takes(kind) && self.subscription.allows(user, kind, present);
        Wanted { audio: kind(MediaKind::Audio), video: kind(MediaKind::Video) }
    }

    fn judge_everyone(&mut self) {
        let entries: Vec<Entry> = self.members.keys().copied().collect();
        for entry in entries {
            let Some(user) = self.members.get(&entry).map(|member| member.user.clone()) else { continue };
            let wanted = self.wanted(&user);
            if let Some(member) = self.members.get_mut(&entry) {
                member.wanted = wanted;
                if !wanted.any() && member.holds_place {
                    member.holds_place = false;
                    self.places_taken -= 1;
                }
            }
        }
    }

    fn hand_out_places(&mut self) {
        for member in self.members.values_mut() {
            if self.places_taken == MAX_ANCHORS {
                break;
            }
            if member.wanted.any() && !member.holds_place {
                member.holds_place = true;
                self.places_taken += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: usize) -> UserId {
        format!("u{n}").parse().unwrap()
    }

    fn room(subscription: Subscription) -> Room {
        Room::new(subscription, StreamSelection::AudioAndVideo)
    }

    #[test]
    fn the_26th_waits_and_takes_the_place_of_the_first_who_leaves() {
        let mut room = room(Subscription::everyone());
        for n in 0..27 {
            room.enter(&id(n));
        }
        assert!(room.records(&id(24), MediaKind::Video));
        assert!(room.waits(&id(25)) && room.waits(&id(26)));
        room.leave(&id(7));
        assert!(room.records(&id(25), MediaKind::Audio));
        assert!(room.waits(&id(26)));
    }

    #[test]
    fn people_who_are_not_wanted_take_no_place() {
        let mut room = room(Subscription::everyone().with_allowed(MediaKind::Audio, ["u3"]).unwrap());
        room.enter(&id(1));
        room.enter(&id(3));
        assert!(room.records(&id(3), MediaKind::Audio));
        assert!(!room.records(&id(1), MediaKind::Audio) && room.records(&id(1), MediaKind::Video));
        room.set_subscription(
            Subscription::everyone()
                .with_blocked(MediaKind::Audio, ["u.*$"])
                .unwrap()
                .with_blocked(MediaKind::Video, ["u1"])
                .unwrap(),
        );
        assert!(!room.records(&id(1), MediaKind::Video) && !room.waits(&id(1)));
        assert!(room.records(&id(3), MediaKind::Video));
    }

    #[test]
    fn a_user_named_like_the_pattern_switches_the_prefix_off_while_present() {
        let mut room = room(Subscription::everyone().with_allowed(MediaKind::Audio, ["u.*$"]).unwrap());
        room.enter(&id(1));
        assert!(room.records(&id(1), MediaKind::Audio));
        let literal: UserId = "u.*$".parse().unwrap();
        room.enter(&literal);
        assert!(!room.records(&id(1), MediaKind::Audio) && room.records(&literal, MediaKind::Audio));
        room.leave(&literal);
        assert!(room.records(&id(1), MediaKind::Audio));
    }

    proptest! {
        /// Against the plain rule: the first 25 present, in order of entry. Nobody loses a place to a newcomer.
        #[test]
        fn places_go_to_the_earliest(steps in proptest::collection::vec((0usize..40, any::<bool>()), 0..300)) {
            let mut room = room(Subscription::everyone());
            let mut model: Vec<usize> = Vec::new();
            for (n, enters) in steps {
                if enters {
                    room.enter(&id(n));
                    if !model.contains(&n) {
                        model.push(n);
                    }
                } else {
                    prop_assert_eq!(room.leave(&id(n)), model.contains(&n));
                    model.retain(|m| *m != n);
                }
                for (at, n) in model.iter().enumerate() {
                    prop_assert_eq!(room.records(&id(*n), MediaKind::Audio), at < MAX_ANCHORS);
                    prop_assert_eq!(room.waits(&id(*n)), at >= MAX_ANCHORS);
                }
                prop_assert_eq!(room.is_empty(), model.is_empty());
            }
        }
    }
}
