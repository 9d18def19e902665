use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use recorder::callback::{CallbackBody, Event, LeaveCode, Payload};
use recorder::hls::PlaylistText;
use recorder::types::{MediaId, MediaKind, RoomTime, Sample, UserId};
use recorder::{
    Action, EventError, Now, RoomEvent, StorageReport, Subscription, TaskCore, TaskOptions, TrackOrigin,
};
use recorder_testkit::hls_rules;

use super::media::Source;
use super::{WALL, id, wall};

/// A task in a room with simulated users, clock and storage. Holds every action against its contract as it comes.
pub struct Sim {
    pub core: TaskCore,
    options: TaskOptions,
    now: RoomTime,
    /// Added to the wall clock, in milliseconds.
    pub wall_shift: i64,
    senders: Vec<Sender>,
    pub storage: Storage,
    pub output: Output,
}

struct Sender {
    user: UserId,
    media: MediaId,
    source: Source,
    began: RoomTime,
}

/// Checks what holds of every recording, then compares with `golden/<name>.txt`.
#[track_caller]
pub fn golden(name: &str, sim: &Sim) {
    sim.output.check();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("txt");
    recorder_testkit::golden::assert_golden(&path, sim.transcript().as_bytes());
}

/// As [`golden`], without the lengths of files, which are the encoder's affair.
#[track_caller]
pub fn golden_without_bytes(name: &str, sim: &Sim) {
    sim.output.check();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("txt");
    let mut text = String::new();
    for line in sim.transcript().lines() {
        let end = match line.rfind(", ").or(line.rfind(',')) {
            Some(comma) if line.starts_with("close ") || line.contains("FILE-ATTR:") => comma,
            _ => line.len(),
        };
        writeln!(text, "{}", &line[..end]).unwrap();
    }
    recorder_testkit::golden::assert_golden(&path, text.as_bytes());
}

/// What the bucket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Takes everything at once.
    Up,
    /// Takes nothing; told once.
    Down,
}

/// What came out.
#[derive(Default)]
pub struct Output {
    /// Callback bodies, what is done with files, and key frame requests, a line each, in order.
    pub log: String,
    pub payloads: Vec<(u64, Payload)>,
    pub key_frames: Vec<(UserId, MediaId)>,
    /// What a mix left out from then on.
    #[cfg(feature = "mix")]
    pub shedding: Vec<recorder::mixer::Shedding>,
    /// Closed segments.
    pub segments: BTreeMap<String, Vec<u8>>,
    /// Names of the segments of each set in order.
    pub of_set: BTreeMap<usize, Vec<String>>,
    /// Names of the segments that belong in each playlist, in order.
    of_list: BTreeMap<String, Vec<String>>,
    pub playlists: BTreeMap<String, PlaylistText>,
    /// Every state of each playlist.
    pub states: BTreeMap<String, Vec<String>>,
    pub finished: bool,
    open: BTreeMap<usize, (String, Vec<u8>)>,
    names: BTreeSet<String>,
    ended: BTreeSet<String>,
    told_down: bool,
    uploads_end: bool,
}

impl Sim {
    pub fn new(options: TaskOptions) -> Self {
        let at = Now { room: RoomTime::ZERO, wall: wall(WALL) };
        let core = TaskCore::new(options.clone(), at).unwrap();
        let mut sim = Self {
            core,
            options,
            now: RoomTime::ZERO,
            wall_shift: 0,
            senders: Vec::new(),
            storage: Storage::Up,
            output: Output::default(),
        };
        sim.drain();
        sim
    }

    pub fn now(&self) -> Now {
        let millis = self.now.nanos().div_euclid(1_000_000) + self.wall_shift;
        Now { room: self.now, wall: wall(WALL).saturating_add_millis(millis) }
    }

    pub fn event(&mut self, event: RoomEvent) -> Result<(), EventError> {
        let result = self.core.event(self.now(), event);
        self.drain();
        result
    }

    pub fn enter(&mut self, user: &str) {
        self.event(RoomEvent::Enter { user: id(user) }).unwrap();
    }

    /// The user leaves; whatever they sent stops.
    pub fn leave(&mut self, user: &str) {
        self.senders.retain(|sender| sender.user != id(user));
        self.event(RoomEvent::Leave { user: id(user) }).unwrap();
    }

    /// Publishes `source` and sends it from now on. A stream of the same kind stops.
    pub fn publish(&mut self, user: &str, media: MediaId, source: Source) {
        self.publish_at(user, media, source, TrackOrigin::FirstArrival);
    }

    pub fn publish_at(&mut self, user: &str, media: MediaId, source: Source, origin: TrackOrigin) {
        let user = id(user);
        let kind = source.kind();
        let same = |s: &Sender| s.user == user && s.media == media && s.source.kind() == kind;
        self.senders.retain(|sender| !same(sender));
        let config = source.config();
        self.event(RoomEvent::Publish { user: user.clone(), media, config, origin }).unwrap();
        self.senders.push(Sender { user, media, source, began: self.now });
    }

    pub fn unpublish(&mut self, user: &str, media: MediaId, kind: MediaKind) {
        let user = id(user);
        let same = |s: &Sender| s.user == user && s.media == media && s.source.kind() == kind;
        self.senders.retain(|sender| !same(sender));
        self.event(RoomEvent::Unpublish { user, media, kind }).unwrap();
    }

    pub fn subscribe(&mut self, subscription: Subscription) {
        self.event(RoomEvent::Subscribe { subscription }).unwrap();
    }

    pub fn sample(
        &mut self,
        user: &str,
        media: MediaId,
        kind: MediaKind,
        sample: Sample,
    ) -> Result<(), EventError> {
        self.event(RoomEvent::Sample { user: id(user), media, kind, sample })
    }

    pub fn stop(&mut self, code: LeaveCode) {
        self.event(RoomEvent::Stop { code }).unwrap();
    }

    /// Lets everyone send, and the task's clock run, up to `millis` after the start, that moment left out.
    pub fn run_to(&mut self, millis: i64) {
        let end = RoomTime::from_millis(millis);
        assert!(end >= self.now, "time does not go back");
        loop {
            let due = |sender: &Sender| Some(sender.began.saturating_add(sender.source.next_at()?));
            let next = (0..self.senders.len())
                .filter_map(|index| Some((due(&self.senders[index])?, index)))
                .min()
                .filter(|(at, _)| *at < end);
            let deadline = self.core.deadline().filter(|at| *at <= end);
            match (next, deadline) {
                (Some((at, _)), Some(deadline)) if deadline <= at => self.tick(deadline),
                (None, Some(deadline)) => self.tick(deadline),
                (Some((at, index)), _) => {
                    self.now = self.now.max(at);
                    let sender = &mut self.senders[index];
                    let (user, media) = (sender.user.clone(), sender.media);
                    let (kind, sample) = (sender.source.kind(), sender.source.next());
                    // Who sends after the end is told so.
                    let sent = self.event(RoomEvent::Sample { user, media, kind, sample });
                    assert!(matches!(sent, Ok(()) | Err(EventError::Ended)), "{sent:?}");
                }
                (None, None) => break,
            }
        }
        self.now = end;
    }

    /// As [`Sim::run_to`], but a source of `user` is silent for good: the test sends in its place.
    pub fn run_to_without(&mut self, millis: i64, user: &str, kind: MediaKind) {
        self.senders.retain(|sender| sender.user != id(user) || sender.source.kind() != kind);
        self.run_to(millis);
    }

    fn tick(&mut self, at: RoomTime) {
        self.now = self.now.max(at);
        self.core.tick(self.now());
        self.drain();
    }

    /// What was kept is taken now.
    pub fn storage_is_back(&mut self) {
        self.storage = Storage::Up;
        self.core.report(self.now(), StorageReport::KeptDelivered);
        self.drain();
    }

    /// Performs what the core wants, and reports as the bucket would.
    pub fn drain(&mut self) {
        while let Some(action) = self.core.poll() {
            let stored = match &action {
                Action::Playlist { update, .. } => Some(update.name.clone()),
                _ => None,
            };
            let now = self.now();
            self.output.take(&self.options, now, action);
            let reports = match (stored, self.storage) {
                (Some(name), Storage::Up) => Some(StorageReport::PlaylistStored { name }),
                (Some(_), Storage::Down) if !std::mem::replace(&mut self.output.told_down, true) => {
                    Some(StorageReport::UploadFailed {
                        code: "ServiceUnavailable".into(),
                        message: "Please reduce your request rate.".into(),
                    })
                }
                _ => None,
            };
            if let Some(report) = reports {
                self.core.report(now, report);
            }
            if std::mem::take(&mut self.output.uploads_end) {
                let kept = match self.storage {
                    Storage::Up => 0,
                    Storage::Down => self.output.segments.len() + self.output.playlists.len(),
                };
                self.core.report(now, StorageReport::UploadsEnded { kept });
            }
        }
    }

    /// The log and all playlists, as the golden files hold them.
    pub fn transcript(&self) -> String {
        let mut text = self.output.log.clone();
        for (name, playlist) in &self.output.playlists {
            write!(text, "\n== {name}\n{playlist}").unwrap();
        }
        text
    }
}

impl Output {
    fn take(&mut self, options: &TaskOptions, now: Now, action: Action) {
        assert!(!self.finished, "{action:?} after the end");
        match action {
            Action::OpenSegment { set, name } => {
                assert!(self.names.insert(name.to_string()), "{name} twice");
                let before = self.open.insert(set.index(), (name.to_string(), Vec::new()));
                assert!(before.is_none(), "{name} opened beside {before:?}");
                writeln!(self.log, "open {name}").unwrap();
            }
            Action::SegmentData { set, data } => {
                assert!(!data.is_empty() && data.len().is_multiple_of(188), "{} bytes", data.len());
                self.open.get_mut(&set.index()).unwrap().1.extend_from_slice(&data);
            }
            Action::CloseSegment { set, playlist, .. } => {
                let (name, data) = self.open.remove(&set.index()).unwrap();
                let stem = playlist.as_str().strip_suffix(".m3u8").unwrap();
                let own = name.rsplit_once('_').unwrap().0;
                let part = stem.strip_prefix(own).unwrap();
                let is_part = part.strip_prefix('_').is_some_and(|number| number.parse::<u32>().is_ok());
                assert!(part.is_empty() || is_part, "{name} in {playlist}");
                self.of_set.entry(set.index()).or_default().push(name.clone());
                self.of_list.entry(playlist.to_string()).or_default().push(name.clone());
                writeln!(self.log, "close {name}, {} bytes", data.len()).unwrap();
                self.segments.insert(name, data);
            }
            Action::Playlist { update, .. } => {
                let name = update.name.to_string();
                assert!(!self.ended.contains(&name), "{name} goes on after its end");
                let text = self.playlists.entry(name.clone()).or_default();
                text.apply(&update);
                let text = text.to_string();
                let listed: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
                assert_eq!(listed, self.of_list[&name], "{name} lists what was closed, in order");
                assert_eq!(text.ends_with("#EXT-X-ENDLIST\n"), update.ended);
                let end = if update.ended { " and its end" } else { "" };
                writeln!(self.log, "list {name}, {} segments{end}", listed.len()).unwrap();
                if update.ended {
                    self.ended.insert(name.clone());
                }
                self.states.entry(name).or_default().push(text);
            }
            Action::Notify { at, payload } => {
                let event = Event::new(
                    at,
                    &options.room,
                    options.robot.clone(),
                    options.task.clone(),
                    payload.clone(),
                );
                let body = CallbackBody::new(event, now.wall.max(at)).to_json_bytes();
                writeln!(self.log, "{}", std::str::from_utf8(&body).unwrap()).unwrap();
                self.payloads.push((at.get(), payload));
            }
            #[cfg(feature = "mix")]
            Action::FetchImage { url } => {
                writeln!(self.log, "image wanted: {url}").unwrap();
            }
            #[cfg(feature = "mix")]
            Action::Timeline { entry, .. } => write!(self.log, "{}", entry.to_line().unwrap()).unwrap(),
            #[cfg(feature = "mix")]
            Action::Shedding { now } => self.shedding.push(now),
            Action::RequestKeyFrame { user, media } => {
                writeln!(self.log, "key frame wanted: {user} {media}").unwrap();
                self.key_frames.push((user, media));
            }
            Action::EndUploads => {
                writeln!(self.log, "end the uploads").unwrap();
                self.uploads_end = true;
            }
            Action::MakeFiles { .. } => unreachable!("playlists and segments are all that was asked for"),
            Action::Finished => {
                writeln!(self.log, "finished").unwrap();
                self.finished = true;
            }
        }
    }

    /// What must hold of every recording that has ended: all segments are closed and listed, every playlist has its
    /// end, follows the rules of HLS and grew by them, and the events came in their order.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.open.is_empty(), "{:?} stay open", self.open.values().map(|o| &o.0).collect::<Vec<_>>());
        let listed: usize = self.of_set.values().map(Vec::len).sum();
        assert_eq!(listed, self.segments.len());
        for (name, text) in &self.playlists {
            let text = text.to_string();
            assert!(self.ended.contains(name), "{name} has no end");
            let broken = hls_rules::check(&text, |segment| self.segments.get(segment).cloned());
            assert!(broken.is_empty(), "{name}: {broken:#?}\n{text}");
            let growth: Vec<_> = hls_rules::check_growth(&self.states[name])
                .into_iter()
                // The longest segment of video decides, and that is known when it is over.
                .filter(|violation| violation.rule != hls_rules::Rule::ConstantHeader)
                .collect();
            assert!(growth.is_empty(), "{name}: {growth:#?}");
        }
        self.check_order_of_events();
    }

    /// 301 and 303 first; 307 once a playlist; 304 once, after a 307; one 302, and 305 after it, last.
    #[track_caller]
    pub fn check_order_of_events(&self) {
        let numbers: Vec<u32> =
            self.payloads.iter().map(|(_, payload)| payload.event_type().number()).collect();
        assert_eq!(numbers[..2], [301, 303], "{numbers:?}");
        let count = |number| numbers.iter().filter(|n| **n == number).count();
        let place = |number| numbers.iter().position(|n| *n == number);
        assert_eq!((count(301), count(303), count(302)), (1, 1, 1), "{numbers:?}");
        assert_eq!(count(307), self.playlists.len(), "{numbers:?}");
        let files: BTreeSet<String> = self
            .payloads
            .iter()
            .filter_map(|(_, payload)| match payload {
                Payload::FileSlice(slice) => Some(slice.file_name.to_string()),
                _ => None,
            })
            .collect();
        assert!(files.iter().eq(self.playlists.keys()), "{files:?}");
        assert!(count(304) <= 1 && (count(304) == 0 || place(307) < place(304)), "{numbers:?}");
        let after_stop: Vec<u32> = numbers
            .iter()
            .copied()
            .skip(place(302).unwrap() + 1)
            .filter(|n| *n != 304 && *n != 308)
            .collect();
        assert!(matches!(after_stop[..], [305] | [305, 305]), "{numbers:?}");
        assert_eq!(numbers.last(), Some(&305), "{numbers:?}");
    }

    /// The bytes of one set's segments, one after the other, by a piece of the playlist's name.
    pub fn segments_of(&self, part: &str) -> Vec<(&str, &[u8])> {
        self.segments
            .iter()
            .filter(|(name, _)| name.contains(part))
            .map(|(name, data)| (name.as_str(), &**data))
            .collect()
    }

    /// The text of the only playlist whose name holds `part`.
    #[track_caller]
    pub fn playlist(&self, part: &str) -> String {
        let found: Vec<_> = self.playlists.iter().filter(|(name, _)| name.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part}: {:?}", found.iter().map(|(name, _)| name).collect::<Vec<_>>());
        found[0].1.to_string()
    }
}

/// What names of files hold for a user: the id in the alphabet of names.
pub fn encoded(user: &str) -> String {
    recorder::naming::encode_field(user.as_bytes())
}
