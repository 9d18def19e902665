//! What may be put next: the order of deliveries without the deliveries.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use recorder_types::ObjectName;

/// Versions of one playlist held at a time; with more, all but the newest make room. Costs freshness, never
/// order.
const MAX_VERSIONS: usize = 16;

/// Decides what is put next and remembers what was not.
///
/// Files and playlist versions come in by `push_*`, jobs go out by [`Order::start`], their ends come back by
/// [`Order::file_done`] and [`Order::playlist_done`]. A playlist version goes out only when every file that was
/// pushed for its playlist before it is stored, and of those that may, only the newest.
///
/// When the store cannot be reached any more, everything is *kept*: nothing goes out but one probe per
/// [`Order::tick`], until something gets an answer. Memory grows with what is not delivered and with nothing else.
#[derive(Debug)]
pub(crate) struct Order<F, V> {
    parallel: usize,
    running: usize,
    down: bool,
    probe: bool,
    next_file: u64,
    next_version: u64,
    files: BTreeMap<u64, FileEntry<F>>,
    /// Files to put, oldest first: those in state `Waiting`.
    waiting: BTreeSet<u64>,
    lists: Vec<List<V>>,
    list_of: HashMap<ObjectName, usize>,
    /// Lists with a version that may go out now.
    ready: BTreeSet<usize>,
    newly_kept: VecDeque<Kept>,
    /// Lists of which something is in the backup and not in the store.
    away: BTreeSet<usize>,
    /// The file in the backup that was tried last.
    probed: u64,
}

/// Something that was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: ObjectName,
    /// The file; `None` for a playlist.
    pub(crate) file: Option<u64>,
}

#[derive(Debug)]
struct FileEntry<F> {
    name: ObjectName,
    payload: F,
    /// The playlist that lists it, and its place there.
    place: Option<(usize, u64)>,
    state: State,
    reported: bool,
    /// It is in the backup.
    backed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    /// Goes out again when the store answers.
    Unreachable,
    /// Goes out again at the next tick.
    Refused,
}

#[derive(Debug)]
struct List<V> {
    name: ObjectName,
    /// Files pushed for it.
    pushed: u64,
    /// Files that are stored.
    stored: Progress,
    /// Files that are stored, or in the backup.
    safe: Progress,
    versions: VecDeque<Version<V>>,
    running: bool,
    /// The version that was refused: it goes out again at the next tick.
    refused: Option<u64>,
    reported: bool,
    /// Versions before this one are in the backup, or older than what is there.
    backed: u64,
    /// A version is on its way to the backup, or did not get there since the last tick.
    backing: bool,
    backup_failed: bool,
}

/// Files that came to an end, in whatever order.
#[derive(Debug, Default)]
struct Progress {
    /// All files before this one.
    prefix: u64,
    /// Some of those behind.
    ahead: BTreeSet<u64>,
}

impl Progress {
    fn add(&mut self, at: u64) {
        if at >= self.prefix {
            self.ahead.insert(at);
        }
        while self.ahead.remove(&self.prefix) {
            self.prefix += 1;
        }
    }
}

#[derive(Debug)]
struct Version<V> {
    serial: u64,
    /// Files it lists.
    files: u64,
    payload: V,
}

/// How often a job is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As often as the options say.
    Full,
    /// Once: it only finds out whether the store is back.
    Once,
}

/// Something to put.
#[derive(Debug)]
pub(crate) enum Job<F, V> {
    File { id: u64, payload: F, effort: Effort },
    Playlist { list: usize, serial: u64, files: u64, payload: V, effort: Effort },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    /// The store gave no answer that counts: nothing else will get through either.
    Unreachable,
    /// The store answered and did not take this one.
    Refused,
}

impl<F: Clone, V: Clone> Order<F, V> {
    /// At most `parallel` jobs (at least one) run at a time.
    pub(crate) fn new(parallel: usize) -> Self {
        Self {
            parallel: parallel.max(1),
            running: 0,
            down: false,
            probe: false,
            next_file: 0,
            next_version: 0,
            files: BTreeMap::new(),
            waiting: BTreeSet::new(),
            lists: Vec::new(),
            list_of: HashMap::new(),
            ready: BTreeSet::new(),
            newly_kept: VecDeque::new(),
            away: BTreeSet::new(),
            probed: 0,
        }
    }

    /// A file, listed by `playlist` if there is one.
    pub(crate) fn push_file(&mut self, name: ObjectName, playlist: Option<&ObjectName>, payload: F) {
        let place = playlist.map(|playlist| {
            let index = self.list(playlist);
            let list = &mut self.lists[index];
            list.pushed += 1;
            (index, list.pushed - 1)
        });
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(
            id,
            FileEntry { name, payload, place, state: State::Waiting, reported: false, backed: false },
        );
        if self.down {
            self.keep(id, State::Unreachable);
        } else {
            self.waiting.insert(id);
        }
    }

    /// A state of `playlist` that lists every file pushed for it so far.
    pub(crate) fn push_version(&mut self, playlist: &ObjectName, payload: V) {
        let index = self.list(playlist);
        let serial = self.next_version;
        self.next_version += 1;
        let list = &mut self.lists[index];
        let files = list.pushed;
        if list.versions.back().is_some_and(|last| last.files == files) || list.versions.len() >= MAX_VERSIONS
        {
            list.versions.pop_back();
        }
        list.versions.push_back(Version { serial, files, payload });
        self.refresh(index);
    }

    /// The next thing to put now, if any: playlists first, files in the order they came.
    pub(crate) fn start(&mut self) -> Option<Job<F, V>> {
        let effort = if self.down { Effort::Once } else { Effort::Full };
        if self.running >= self.parallel || (self.down && (!self.probe || self.running > 0)) {
            return None;
        }
        self.probe = false;
        if let Some(index) = self.ready.pop_first() {
            let list = &mut self.lists[index];
            list.running = true;
            self.running += 1;
            let newest = list.versions.front().expect("a ready list has a version in front that may go out");
            return Some(Job::Playlist {
                list: index,
                serial: newest.serial,
                files: newest.files,
                payload: newest.payload.clone(),
                effort,
            });
        }
        let id = if self.down {
            let first = |state| self.files.iter().find(|(_, file)| file.state == state).map(|(id, _)| *id);
            let Some(id) = first(State::Unreachable).or_else(|| first(State::Refused)) else {
                self.down = false; // nothing to probe with: the next job will find out
                return None;
            };
            id
        } else {
            self.waiting.pop_first()?
        };
        let file = self.files.get_mut(&id).expect("a waiting file is in the table");
        file.state = State::Running;
        self.running += 1;
        Some(Job::File { id, payload: file.payload.clone(), effort })
    }

    /// The end of a file's job. Gives the file's name.
    pub(crate) fn file_done(&mut self, id: u64, outcome: Outcome) -> ObjectName {
        self.running -= 1;
        let file = self.files.get(&id).expect("a job ends once");
        let (name, place) = (file.name.clone(), file.place);
        match outcome {
            Outcome::Stored => {
                if self.files.remove(&id).is_some_and(|file| file.backed) {
                    // The others in the backup may come after it.
                    self.wait_again(|_, file| file.state == State::Refused && file.backed);
                }
                if let Some((index, at)) = place {
                    let list = &mut self.lists[index];
                    list.stored.add(at);
                    list.safe.add(at);
                    self.refresh(index);
                }
                self.up();
            }
            Outcome::Unreachable => {
                self.keep(id, State::Unreachable);
                self.down();
            }
            Outcome::Refused => {
                self.keep(id, State::Refused);
                self.up();
            }
        }
        name
    }

    /// The end of a playlist's job. Gives the playlist's name.
    pub(crate) fn playlist_done(&mut self, index: usize, serial: u64, outcome: Outcome) -> ObjectName {
        self.running -= 1;
        let list = &mut self.lists[index];
        list.running = false;
        if outcome == Outcome::Stored {
            list.reported = false;
            while list.versions.front().is_some_and(|version| version.serial <= serial) {
                list.versions.pop_front();
            }
            if list.versions.is_empty() {
                self.away.remove(&index);
            }
        } else {
            self.away.insert(index);
            if outcome == Outcome::Refused {
                list.refused = Some(serial);
            }
            if !list.reported {
                list.reported = true;
                self.newly_kept.push_back(Kept { name: list.name.clone(), file: None });
            }
        }
        let name = list.name.clone();
        self.refresh(index);
        match outcome {
            Outcome::Unreachable => self.down(),
            Outcome::Stored | Outcome::Refused => self.up(),
        }
        name
    }

    /// Time to try what was kept.
    pub(crate) fn tick(&mut self) {
        for index in &self.away {
            let list = &mut self.lists[*index];
            list.backing &= !std::mem::take(&mut list.backup_failed);
        }
        if self.down {
            self.probe = true;
            return;
        }
        // To try one that is in the backup it has to be fetched: one at a time, in turn.
        let mut backed = self
            .files
            .iter()
            .filter(|(_, file)| file.state == State::Refused && file.backed)
            .map(|(id, _)| *id);
        let first = backed.next();
        let probe =
            first.filter(|id| *id > self.probed).or_else(|| backed.find(|id| *id > self.probed)).or(first);
        self.probed = probe.unwrap_or_default();
        self.wait_again(|id, file| file.state == State::Refused && (!file.backed || Some(id) == probe));
        for index in 0..self.lists.len() {
            self.lists[index].refused = None;
            self.refresh(index);
        }
    }

    /// What was kept since the last call, each once until it is stored.
    pub(crate) fn take_kept(&mut self) -> Option<Kept> {
        self.newly_kept.pop_front()
    }

    /// A file that is not stored yet.
    pub(crate) fn file(&self, id: u64) -> Option<&F> {
        self.files.get(&id).map(|file| &file.payload)
    }

    /// A file is in the backup.
    pub(crate) fn file_backed(&mut self, id: u64) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.backed = true;
        if let Some((index, at)) = file.place {
            self.lists[index].safe.add(at);
            self.away.insert(index);
        }
    }

    /// The next playlist version for the backup: the newest whose files are all stored or in the backup. Its end comes back
    /// by [`Order::version_backed`].
    pub(crate) fn start_backup(&mut self) -> Option<(usize, u64, V)> {
        for index in &self.away {
            let list = &mut self.lists[*index];
            let newest = list.versions.iter().rfind(|version| version.files <= list.safe.prefix);
            if let Some(version) = newest.filter(|version| version.serial >= list.backed && !list.backing) {
                list.backing = true;
                return Some((*index, version.serial, version.payload.clone()));
            }
        }
        None
    }

    /// Whether the version is in the backup. If not, the next one waits for [`Order::tick`].
    pub(crate) fn version_backed(&mut self, index: usize, serial: u64, there: bool) {
        let list = &mut self.lists[index];
        if there {
            list.backed = serial + 1;
            list.backing = false;
        } else {
            list.backup_failed = true;
        }
    }

    /// Nothing runs and nothing would start before the next tick.
    pub(crate) fn is_at_rest(&self) -> bool {
        let nothing_to_start =
            if self.down { !self.probe } else { self.waiting.is_empty() && self.ready.is_empty() };
        self.running == 0 && nothing_to_start
    }

    /// Files and playlists whose newest state is not in the store.
    pub(crate) fn undelivered(&self) -> usize {
        self.files.len() + self.lists.iter().filter(|list| !list.versions.is_empty()).count()
    }

    /// The file that has waited longest.
    pub(crate) fn oldest(&self) -> Option<&F> {
        self.files.first_key_value().map(|(_, file)| &file.payload)
    }

    /// Every playlist that was ever named.
    pub(crate) fn playlists(&self) -> impl Iterator<Item = &ObjectName> {
        self.lists.iter().map(|list| &list.name)
    }

    fn list(&mut self, name: &ObjectName) -> usize {
        if let Some(index) = self.list_of.get(name) {
            return *index;
        }
        self.list_of.insert(name.clone(), self.lists.len());
        self.lists.push(List {
            name: name.clone(),
            pushed: 0,
            stored: Progress::default(),
            safe: Progress::default(),
            versions: VecDeque::new(),
            running: false,
            refused: None,
            reported: false,
            backed: 0,
            backing: false,
            backup_failed: false,
        });
        self.lists.len() - 1
    }

    /// Puts the newest version that may go out in front, and the list among the ready ones if there is one.
    fn refresh(&mut self, index: usize) {
        let list = &mut self.lists[index];
        let may = list.versions.iter().rposition(|version| version.files <= list.stored.prefix);
        if let Some(newest) = may {
            list.versions.drain(..newest);
        }
        let refused = list.versions.front().is_some_and(|version| list.refused == Some(version.serial));
        if may.is_some() && !list.running && !refused {
            self.ready.insert(index);
        } else {
            self.ready.remove(&index);
        }
    }

    fn keep(&mut self, id: u64, state: State) {
        self.waiting.remove(&id);
        let file = self.files.get_mut(&id).expect("only known files are kept");
        file.state = state;
        if !file.reported {
            file.reported = true;
            self.newly_kept.push_back(Kept { name: file.name.clone(), file: Some(id) });
        }
    }

    fn down(&mut self) {
        self.down = true;
        for id in std::mem::take(&mut self.waiting) {
            self.keep(id, State::Unreachable);
        }
    }

    fn up(&mut self) {
        if self.down {
            self.down = false;
            self.probe = false;
            self.wait_again(|_, file| file.state == State::Unreachable);
        }
    }

    fn wait_again(&mut self, which: impl Fn(u64, &FileEntry<F>) -> bool) {
        for (id, file) in &mut self.files {
            if which(*id, file) {
                file.state = State::Waiting;
                self.waiting.insert(*id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
