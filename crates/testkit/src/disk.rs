//! A disk in memory that keeps only what was pressed to it, fails where a test says, and whose power can be cut.
//!
//! Bytes of files and names in directories are durable apart from each other, as POSIX has it: [`DiskFile::sync_all`] presses
//! bytes, [`Disk::sync_dir`] names. When the power comes back, what was not pressed is there or not as a seed decides:
//! each block of 512 bytes new, old or torn, each change of a name made or not, but a rename made whole. A sync that
//! fails drops what it was to press, as Linux does: the next one succeeds and presses nothing of it.
//!
//! `turmoil-fs` has the same model, but enters its disk by a thread-local variable, and has no locks.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use recorder_storage::{Disk, DiskFile, Found, OpenMode};
use tokio::io::AsyncRead;

use crate::hostile::Random;

/// What a power cut leaves whole or not.
const BLOCK: usize = 512;

/// The calls that change a disk, or press to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Makes a file or directory.
    Create,
    /// Writes into a file.
    Write,
    /// Cuts a file.
    SetLen,
    /// `sync_all` of a file.
    SyncAll,
    /// `sync_data` of a file.
    SyncData,
    /// `sync_dir`.
    SyncDir,
    /// Gives a file another name, or one more.
    Name,
    /// Removes a file or directory.
    Remove,
}

impl Call {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Write,
        Self::SetLen,
        Self::SyncAll,
        Self::SyncData,
        Self::SyncDir,
        Self::Name,
        Self::Remove,
    ];
}

/// What a disk says when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No room.
    Full,
    /// The device fails.
    Broken,
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Full => io::ErrorKind::StorageFull.into(),
            Trouble::Broken => Self::other("the simulated disk fails"),
        }
    }
}

/// The disk. Clones are handles to the same.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    nodes: BTreeMap<u64, Node>,
    next_node: u64,
    /// Changes of names that are not pressed to the disk, in order.
    pending: Vec<Change>,
    calls: u64,
    cut_at: Option<u64>,
    off: bool,
    /// Files opened before the power was cut are of an earlier one.
    boots: u64,
    capacity: Option<u64>,
    /// A call of this kind fails when it has come so often; for how many calls.
    faults: Vec<Fault>,
    /// These succeed and press nothing.
    ignored: BTreeSet<Call>,
}

struct Fault {
    call: Call,
    before: u64,
    times: u64,
    trouble: Trouble,
}

enum Node {
    File(FileNode),
    Directory { names: Names, durable: Names },
}

type Names = BTreeMap<OsString, u64>;

#[derive(Default)]
struct FileNode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks of `bytes` that are not pressed to the disk.
    dirty: BTreeSet<usize>,
    resized: bool,
    /// `bytes` when a sync last said that they are on the disk.
    acknowledged: Vec<u8>,
    opened: usize,
    locked_by: Option<u64>,
}

type Slot = (u64, OsString);

#[derive(Clone)]
enum Change {
    Add { slot: Slot, node: u64 },
    Remove { slot: Slot },
    Rename { from: Slot, to: Slot, node: u64 },
}

impl Change {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let (one, other) = match self {
            Self::Add { slot, .. } | Self::Remove { slot } => (slot, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }
}

const ROOT: u64 = 0;

impl Default for SimulatedDisk {
    fn default() -> Self {
        let root = Node::Directory { names: Names::new(), durable: Names::new() };
        Self(Arc::new(Mutex::new(State {
            nodes: BTreeMap::from([(ROOT, root)]),
            next_node: ROOT + 1,
            pending: Vec::new(),
            calls: 0,
            cut_at: None,
            off: false,
            boots: 0,
            capacity: None,
            faults: Vec::new(),
            ignored: BTreeSet::new(),
        })))
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For options that take a [`Disk`].
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Calls so far that changed it or pressed to it, and those that were to.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Cuts the power in call number `call`, counted from the first: it fails, and so does everything from there on.
    pub fn cut_power_at(&self, call: u64) {
        self.state().cut_at = Some(call);
    }

    /// Whether the power is cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power if it is on, and brings it back. `random` says what there is of what was not pressed to the disk.
    pub fn restart(&self, random: &mut Random) {
        self.state().restart(random);
    }

    /// Lets calls of this kind fail: `times` of them, after `before` that do not.
    pub fn fail(&self, call: Call, before: u64, times: u64, trouble: Trouble) {
        self.state().faults.push(Fault { call, before, times, trouble });
    }

    /// Takes back what [`SimulatedDisk::fail`] has set.
    pub fn fail_no_more(&self) {
        self.state().faults.clear();
    }

    /// Bytes of files that there is room for; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Lets syncs of this kind succeed without pressing anything, as if the program had left them out.
    pub fn ignore(&self, call: Call) {
        self.state().ignored.insert(call);
    }

    /// Every file, by its path without the root.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Bytes> {
        let state = self.state();
        let mut files = BTreeMap::new();
        let mut directories = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = directories.pop() {
            let Some(Node::Directory { names, .. }) = state.nodes.get(&node) else { continue };
            for (name, node) in names {
                match state.nodes.get(node) {
                    Some(Node::File(file)) => {
                        files.insert(path.join(name), Bytes::copy_from_slice(&file.bytes));
                    }
                    _ => directories.push((path.join(name), *node)),
                }
            }
        }
        files
    }

    /// What the file held when a sync of it last succeeded; `None` where there is no such file.
    #[must_use]
    pub fn acknowledged(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        match state.nodes.get(&state.find(path).ok()?) {
            Some(Node::File(file)) => Some(file.acknowledged.clone()),
            _ => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the simulated power is cut")) } else { Ok(()) }
    }

    /// Counts a call that is about to be made, and fails where it is to.
    fn call(&mut self, call: Call) -> io::Result<()> {
        self.powered()?;
        self.calls += 1;
        if self.cut_at.is_some_and(|at| self.calls >= at) {
            self.off = true;
            return self.powered();
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.call == call) {
            if fault.before > 0 {
                fault.before -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                return Err(fault.trouble.into());
            }
        }
        Ok(())
    }

    fn directory(&self, node: u64) -> io::Result<&Names> {
        match self.nodes.get(&node) {
            Some(Node::Directory { names, .. }) => Ok(names),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        path.components().try_fold(ROOT, |node, component| match component {
            Component::Normal(name) => self.directory(node)?.get(name).copied().ok_or_else(absent),
            Component::RootDir | Component::CurDir => Ok(node),
            Component::ParentDir | Component::Prefix(_) => Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Where the name `path` stands.
    fn slot(&self, path: &Path) -> io::Result<Slot> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let directory = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.directory(directory)?;
        Ok((directory, name.to_owned()))
    }

    fn file(&mut self, node: u64) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory { .. }) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(absent()),
        }
    }

    /// Adds a node under a name that is free.
    fn add(&mut self, slot: Slot, node: Node) -> io::Result<u64> {
        let number = self.next_node;
        self.next_node += 1;
        self.nodes.insert(number, node);
        self.change(Change::Add { slot, node: number })?;
        Ok(number)
    }

    /// Makes a change that is not pressed to the disk.
    fn change(&mut self, change: Change) -> io::Result<()> {
        for slot in change.slots() {
            self.directory(slot.0)?;
        }
        self.apply(&change, false);
        self.pending.push(change);
        Ok(())
    }

    fn apply(&mut self, change: &Change, to_disk: bool) {
        let mut set = |slot: &Slot, node: Option<u64>| {
            let Some(Node::Directory { names, durable }) = self.nodes.get_mut(&slot.0) else { return };
            let names = if to_disk { durable } else { names };
            match node {
                Some(node) => drop(names.insert(slot.1.clone(), node)),
                None => drop(names.remove(&slot.1)),
            }
        };
        match change {
            Change::Add { slot, node } => set(slot, Some(*node)),
            Change::Remove { slot } => set(slot, None),
            Change::Rename { from, to, node } => {
                set(from, None);
                set(to, Some(*node));
            }
        }
    }

    /// Presses the names of a directory to the disk, and what they depend on elsewhere.
    fn press(&mut self, directory: u64) {
        let mut slots: BTreeSet<Slot> = BTreeSet::new();
        let mut pressed: Vec<bool> = Vec::new();
        for change in self.pending.iter().rev() {
            let now = change.slots().any(|slot| slot.0 == directory || slots.contains(slot));
            if now {
                slots.extend(change.slots().cloned());
            }
            pressed.push(now);
        }
        pressed.reverse();
        for (change, pressed) in std::mem::take(&mut self.pending).into_iter().zip(pressed) {
            if pressed {
                self.apply(&change, true);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// Bytes of the files that have a name or are open.
    fn used(&self) -> u64 {
        let mut named: BTreeSet<u64> = BTreeSet::new();
        for node in self.nodes.values() {
            if let Node::Directory { names, .. } = node {
                named.extend(names.values());
            }
        }
        let sizes = self.nodes.iter().filter_map(|(number, node)| match node {
            Node::File(file) if file.opened > 0 || named.contains(number) => Some(file.bytes.len() as u64),
            _ => None,
        });
        sizes.sum()
    }

    fn restart(&mut self, random: &mut Random) {
        // Nothing at all, or everything, is as likely as each by itself.
        let luck = random.below(4);
        let mut survives = |random: &mut Random| match luck {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        };
        for change in std::mem::take(&mut self.pending) {
            if survives(random) {
                self.apply(&change, true);
            }
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::Directory { names, durable } => *names = durable.clone(),
                Node::File(file) => {
                    file.restart(random, &mut survives);
                    (file.opened, file.locked_by) = (0, None);
                }
            }
        }
        let mut named = BTreeSet::from([ROOT]);
        let mut look = vec![ROOT];
        while let Some(node) = look.pop() {
            let below = self.directory(node).map(|names| names.values().copied().collect::<Vec<_>>());
            look.extend(below.unwrap_or_default().into_iter().filter(|node| named.insert(*node)));
        }
        self.nodes.retain(|number, _| named.contains(number));
        (self.off, self.cut_at) = (false, None);
        self.boots += 1;
    }
}

impl FileNode {
    fn touch(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / BLOCK..to.div_ceil(BLOCK));
    }

    fn press(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for block in std::mem::take(&mut self.dirty) {
            let (from, to) = (block * BLOCK, (block * BLOCK + BLOCK).min(self.bytes.len()));
            if from < to {
                self.durable[from..to].copy_from_slice(&self.bytes[from..to]);
            }
        }
        self.resized = false;
    }

    fn restart(&mut self, random: &mut Random, survives: &mut impl FnMut(&mut Random) -> bool) {
        let mut left = self.durable.clone();
        if self.resized {
            let (short, long) = (left.len().min(self.bytes.len()), left.len().max(self.bytes.len()));
            let part = usize::try_from(random.below((long - short) as u64 + 1)).unwrap_or(0);
            let len = match (survives(random), survives(random)) {
                (true, true) => self.bytes.len(),
                (false, false) => left.len(),
                _ => short + part,
            };
            left.resize(len, 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            let (from, to) = (block * BLOCK, (block * BLOCK + BLOCK).min(self.bytes.len()).min(left.len()));
            if from >= to || !survives(random) {
                continue;
            }
            // A torn one is new up to some byte.
            let torn = random.below(4) == 0 && !survives(random);
            let to = if torn { from + usize::try_from(random.below(BLOCK as u64)).unwrap_or(0) } else { to }
                .min(to);
            left[from..to].copy_from_slice(&self.bytes[from..to]);
        }
        self.resized = false;
        self.bytes.clone_from(&left);
        self.acknowledged.clone_from(&left);
        self.durable = left;
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.powered()?;
        let node = if mode == OpenMode::New {
            let slot = state.slot(path)?;
            if state.directory(slot.0)?.contains_key(&slot.1) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.call(Call::Create)?;
            state.add(slot, Node::File(FileNode::default()))?
        } else {
            state.find(path)?
        };
        state.file(node)?.opened += 1;
        let boot = state.boots;
        let handle = {
            state.next_node += 1;
            state.next_node
        };
        drop(state);
        Ok(Box::new(SimulatedFile { disk: self.clone(), boot, handle, node, mode, at: 0 }))
    }

    fn look(&self, path: &Path) -> io::Result<Found> {
        let mut state = self.state();
        state.powered()?;
        let node = state.find(path)?;
        Ok(match state.file(node) {
            Ok(file) => Found::File(file.bytes.len() as u64),
            Err(_) => Found::Directory,
        })
    }

    fn is_dir(&self, path: &Path) -> bool {
        matches!(self.look(path), Ok(Found::Directory))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state();
        state.powered()?;
        Ok(state.directory(state.find(directory)?)?.keys().cloned().collect())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.state();
        state.powered()?;
        state.find(path)?;
        Ok(path.to_owned())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let slot = state.slot(path)?;
        if state.directory(slot.0)?.contains_key(&slot.1) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.call(Call::Create)?;
        state.add(slot, Node::Directory { names: Names::new(), durable: Names::new() }).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Name)?;
        let node = state.find(from)?;
        state.file(node)?;
        let (from, to) = (state.slot(from)?, state.slot(to)?);
        state.change(Change::Rename { from, to, node })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Name)?;
        let node = state.find(from)?;
        state.file(node)?;
        let slot = state.slot(to)?;
        if state.directory(slot.0)?.contains_key(&slot.1) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.change(Change::Add { slot, node })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Remove)?;
        let node = state.find(path)?;
        state.file(node)?;
        let slot = state.slot(path)?;
        state.change(Change::Remove { slot })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Remove)?;
        let node = state.find(path)?;
        if !state.directory(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let slot = state.slot(path)?;
        state.change(Change::Remove { slot })
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(directory)?;
        state.directory(node)?;
        match state.call(Call::SyncDir) {
            Ok(()) if state.ignored.contains(&Call::SyncDir) => Ok(()),
            done => done.map(|()| state.press(node)),
        }
    }

    fn blocks(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    boot: u64,
    handle: u64,
    node: u64,
    mode: OpenMode,
    at: usize,
}

impl SimulatedFile {
    /// The disk, unless it was off since the file was opened.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.powered()?;
        if state.boots == self.boot { Ok(state) } else { Err(io::Error::other("opened before the restart")) }
    }

    fn sync(&self, call: Call) -> io::Result<()> {
        let mut state = self.state()?;
        let called = state.call(call);
        let (off, ignored) = (state.off, state.ignored.contains(&call));
        let file = state.file(self.node)?;
        match called {
            Ok(()) => {
                if !ignored {
                    file.press();
                }
                file.acknowledged.clone_from(&file.bytes);
                Ok(())
            }
            Err(error) => {
                if !off {
                    file.dirty.clear(); // the system takes them for written
                }
                Err(error)
            }
        }
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        let current = state.boots == self.boot;
        if let Ok(file) = state.file(self.node)
            && current
        {
            file.opened -= 1;
            file.locked_by = file.locked_by.filter(|by| *by != self.handle);
        }
    }
}

impl Read for SimulatedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        let bytes = &state.file(self.node)?.bytes;
        let left = bytes.get(self.at..).unwrap_or_default();
        let read = left.len().min(buffer.len());
        buffer[..read].copy_from_slice(&left[..read]);
        drop(state);
        self.at += read;
        Ok(read)
    }
}

impl Write for SimulatedFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.mode == OpenMode::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut state = self.state()?;
        let called = state.call(Call::Write);
        let room = state.capacity.map(|capacity| capacity.saturating_sub(state.used()));
        // What a power cut meets in the middle may be there.
        if called.is_err() && !state.off {
            return called.map(|()| 0);
        }
        let file = state.file(self.node)?;
        let from = if self.mode == OpenMode::Append { file.bytes.len() } else { self.at };
        let grows = (from + data.len()).saturating_sub(file.bytes.len()) as u64;
        if room.is_some_and(|room| grows > room) {
            return Err(Trouble::Full.into());
        }
        if file.bytes.len() < from + data.len() {
            file.bytes.resize(from + data.len(), 0);
            file.resized = true;
        }
        file.bytes[from..from + data.len()].copy_from_slice(data);
        file.touch(from, from + data.len());
        drop(state);
        called?;
        self.at = from + data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SimulatedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size()?.checked_add_signed(by),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.at = usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(at)
    }
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.state()?.file(self.node)?.bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut state = self.state()?;
        state.call(Call::SetLen)?;
        let file = state.file(self.node)?;
        let before = file.bytes.len();
        file.bytes.resize(len, 0);
        file.touch(before.min(len), before.max(len));
        file.resized = true;
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(Call::SyncAll)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Call::SyncData)
    }

    fn lock(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let file = state.file(self.node)?;
        if file.locked_by.is_some_and(|by| by != self.handle) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.locked_by = Some(self.handle);
        Ok(())
    }

    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        Ok(Some((0, self.node)))
    }

    fn into_async(self: Box<Self>) -> Box<dyn AsyncRead + Send + Unpin> {
        let bytes = self.state().and_then(|mut state| Ok(state.file(self.node)?.bytes.clone()));
        Box::new(Cursor::new(bytes.unwrap_or_default()))
    }
}
