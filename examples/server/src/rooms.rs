//! People that are put into rooms by hand: files and simulated people, in real time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recorder::callback::LeaveCode;
use recorder::types::{MediaId, MediaKind, UserId, with_causes};
use recorder::{RoomEvent, RoomKey, Service, TrackOrigin};
use recorder_room_input::{
    InputError, InputSource, MediaSource, OpenOptions, PlacedSource, SimulatedOptions, SimulatedSource,
};

use crate::board::ParticipantView;

/// Sources that play at a time; each has a thread.
const MAX_SOURCES: usize = 256;

/// Somebody simulated stays for 30 days, if nobody takes them out.
const SIMULATED_SECONDS: u32 = 30 * 86_400;

/// Who plays what in which room.
#[derive(Clone, Debug)]
pub(crate) struct Rooms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    rooms: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rooms: HashMap<RoomKey, Vec<Guest>>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    id: u64,
    user: UserId,
    media: MediaId,
    kinds: Vec<MediaKind>,
    source: String,
    /// Dropped, it ends the thread.
    _playing: mpsc::Sender<()>,
}

/// What somebody sends.
#[derive(Debug)]
pub(crate) enum Play {
    Simulated,
    File(PathBuf),
}

/// Why somebody cannot be put into a room, or taken out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomsError {
    #[error("{user} sends their {media} stream already: take them out first")]
    Taken { user: UserId, media: MediaId },
    #[error("{MAX_SOURCES} sources are playing, as many as may: take one out first")]
    TooMany,
    #[error("there is nobody of this name in this room")]
    Nobody,
    #[error("nothing can be read from the source")]
    Source(#[from] InputError),
    #[error("no thread for the source")]
    Thread(#[source] std::io::Error),
}

impl Rooms {
    pub(crate) fn new(service: Service) -> Self {
        Self(Arc::new(Inner { service, rooms: Mutex::default() }))
    }

    /// Lets `user` enter and send. Blocking: opens the file.
    pub(crate) fn join(
        &self,
        room: &RoomKey,
        user: UserId,
        media: MediaId,
        play: Play,
    ) -> Result<(), RoomsError> {
        let (input, label) = open(&user, play)?;
        let begin = self.0.service.now();
        let mut source = PlacedSource::new(input, begin)?;
        source.delay(source.lead());
        let kinds = source.tracks().map(|(kind, _)| kind).collect();
        let (playing, ended) = mpsc::channel();

        let mut table = self.0.lock();
        let present = table.rooms.get(room).map_or(&[][..], Vec::as_slice);
        if present.iter().any(|guest| guest.user == user && guest.media == media) {
            return Err(RoomsError::Taken { user, media });
        }
        if table.rooms.values().map(Vec::len).sum::<usize>() >= MAX_SOURCES {
            return Err(RoomsError::TooMany);
        }
        let is_new = !present.iter().any(|guest| guest.user == user);
        let id = table.next;
        let player =
            Player { inner: Arc::clone(&self.0), room: room.clone(), id, user: user.clone(), media, ended };
        let tracks: Vec<_> = source.tracks().collect();
        let origin = TrackOrigin::At(source.origin());
        // It begins when the table is let go: nothing is sent before it is published.
        std::thread::Builder::new()
            .name("participant".into())
            .spawn(move || player.play(source))
            .map_err(RoomsError::Thread)?;
        table.next += 1;
        if is_new {
            self.0.service.event(room, &RoomEvent::Enter { user: user.clone() });
        }
        for (_, config) in tracks {
            self.0.service.event(room, &RoomEvent::Publish { user: user.clone(), media, config, origin });
        }
        let guest = Guest { id, user, media, kinds, source: label, _playing: playing };
        table.rooms.entry(room.clone()).or_default().push(guest);
        Ok(())
    }

    /// Takes somebody out with all that they send.
    pub(crate) fn leave(&self, room: &RoomKey, user: &UserId) -> Result<(), RoomsError> {
        let mut table = self.0.lock();
        let guests = table.rooms.get_mut(room).ok_or(RoomsError::Nobody)?;
        let before = guests.len();
        guests.retain(|guest| guest.user != *user);
        if guests.len() == before {
            return Err(RoomsError::Nobody);
        }
        self.0.service.event(room, &RoomEvent::Leave { user: user.clone() });
        table.forget_empty(room);
        Ok(())
    }

    /// Dismisses a room: everybody is out, and every task in it ends with code 2.
    pub(crate) fn dismiss(&self, room: &RoomKey) {
        let mut table = self.0.lock();
        table.rooms.remove(room);
        self.0.service.dismiss(room, LeaveCode::DISMISSED_BY_CUSTOMER);
    }

    /// Who is in a room, in the order in which they came.
    pub(crate) fn participants(&self, room: &RoomKey) -> Vec<ParticipantView> {
        let table = self.0.lock();
        let guests = table.rooms.get(room).map_or(&[][..], Vec::as_slice);
        let view = |guest: &Guest| ParticipantView {
            user: guest.user.as_str().to_owned(),
            media: guest.media.as_str(),
            tracks: guest.kinds.iter().map(kind_text).collect(),
            source: guest.source.clone(),
        };
        guests.iter().map(view).collect()
    }

    /// Sources that play.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().rooms.values().map(Vec::len).sum()
    }
}

const fn kind_text(kind: &MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

fn open(user: &UserId, play: Play) -> Result<(InputSource, String), InputError> {
    match play {
        Play::Simulated => {
            let mut options = SimulatedOptions::default();
            options.name = user.as_str().to_owned();
            options.seconds = SIMULATED_SECONDS;
            // Steps of a semitone or so, so that people can be told apart by ear.
            let spread = user.as_str().bytes().fold(0, |sum: u32, b| (sum * 31 + u32::from(b)) % 24);
            options.tone_hz = 220 + spread * 25;
            Ok((SimulatedSource::new(&options)?.into(), "simulated".into()))
        }
        Play::File(path) => {
            let label = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Ok((MediaSource::open(&path, &OpenOptions::default())?.into(), label))
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_empty(&mut self, room: &RoomKey) {
        if self.rooms.get(room).is_some_and(Vec::is_empty) {
            self.rooms.remove(room);
        }
    }
}

/// Sends one source's samples when they are due.
struct Player {
    inner: Arc<Inner>,
    room: RoomKey,
    id: u64,
    user: UserId,
    media: MediaId,
    ended: mpsc::Receiver<()>,
}

impl Player {
    fn play(self, mut source: PlacedSource) {
        drop(self.inner.lock());
        let service = &self.inner.service;
        loop {
            let next = source.next_time().and_then(|at| Ok(at.zip(source.next_sample()?)));
            let (at, (kind, sample)) = match next {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "a participant's source ends early");
                    break;
                }
            };
            let early = at.saturating_sub(service.now()).nanos();
            let wait = Duration::from_nanos(u64::try_from(early).unwrap_or(0));
            if self.ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return; // taken out
            }
            let (user, media) = (self.user.clone(), self.media);
            service.event(&self.room, &RoomEvent::Sample { user, media, kind, sample });
        }
        self.leave();
    }

    /// The source is at its end: so is the user, unless they send something else as well.
    fn leave(&self) {
        let mut table = self.inner.lock();
        let Some(guests) = table.rooms.get_mut(&self.room) else { return };
        let Some(at) = guests.iter().position(|guest| guest.id == self.id) else { return };
        let guest = guests.remove(at);
        let user = guest.user;
        if guests.iter().any(|other| other.user == user) {
            for kind in guest.kinds {
                let (user, media) = (user.clone(), guest.media);
                self.inner.service.event(&self.room, &RoomEvent::Unpublish { user, media, kind });
            }
        } else {
            self.inner.service.event(&self.room, &RoomEvent::Leave { user });
        }
        table.forget_empty(&self.room);
    }
}
