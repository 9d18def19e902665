use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{collections::HashMap, fmt};

use bytes::Bytes;
use recorder_types::{ObjectName, TaskId};

use crate::bucket::Durability;
use crate::disk::{self, Disk, DiskFile, Found, OpenMode, SystemDisk, create_dirs};
use crate::journal;

const END_LIST: &str = "#EXT-X-ENDLIST\n";

/// Why the spool did not take or give something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The file is already there: a name is written once.
    #[error("{name}: the spool has a file of this name")]
    Exists {
        /// The file.
        name: ObjectName,
    },
    /// A write to this file failed before, so nobody knows what is in it: discard it and write it anew.
    #[error("{name}: an earlier write or sync failed")]
    Broken {
        /// The file.
        name: ObjectName,
    },
    /// Something that is no directory, for example a symbolic link, is where the task's directory belongs.
    #[error("{}: not a directory of the spool", path.display())]
    NotADirectory {
        /// Its path.
        path: PathBuf,
    },
    /// The limit of [`SpoolOptions`] is reached: deliver, raise it, or end the recording.
    #[error("the spool holds {used} bytes, {need} more are over its limit of {limit}")]
    Full {
        /// Bytes in the task's spool.
        used: u64,
        /// Bytes that were to be written.
        need: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A recording of this task has died and left its journal: recover it, or use another task id.
    #[error("{}: an unfinished recording of this task is in the spool, recover it first", path.display())]
    Unfinished {
        /// Its journal.
        path: PathBuf,
    },
    /// Another process, or another recording of this one, writes here.
    #[error("{}: somebody records this task", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file is no journal, or nothing of it is left.
    #[error("{}: not a journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// An earlier sync of the journal failed, so nobody knows what of it is on the disk.
    #[error("{}: an earlier sync of the journal failed", path.display())]
    JournalBroken {
        /// The journal.
        path: PathBuf,
    },
    /// The caller's record is longer than [`Journal::MAX_RECORD`](crate::Journal::MAX_RECORD).
    #[error("{}: a record of {bytes} bytes is too large", path.display())]
    RecordTooLarge {
        /// The journal.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The disk failed or is full.
    #[error("{}: the spool's disk", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl SpoolError {
    /// Whether there is no room, in the spool or on its disk: space freed by deliveries lets writing go on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Exists { .. }
            | Self::Broken { .. }
            | Self::NotADirectory { .. }
            | Self::Unfinished { .. }
            | Self::Locked { .. }
            | Self::NotAJournal { .. }
            | Self::JournalBroken { .. }
            | Self::RecordTooLarge { .. } => false,
        }
    }
}

/// How a spool works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpoolOptions {
    /// Default: [`Durability::Sync`].
    pub durability: Durability,
    /// The most that the task's files may take, in bytes, delivered ones not counted. Default: no limit but the
    /// disk's.
    pub limit: Option<u64>,
    /// Where it is. Default: [`SystemDisk`].
    pub disk: Arc<dyn Disk>,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self { durability: Durability::default(), limit: None, disk: SystemDisk::shared() }
    }
}

impl SpoolOptions {
    /// Sets [`SpoolOptions::durability`].
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets [`SpoolOptions::limit`], in bytes.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Sets [`SpoolOptions::disk`].
    #[must_use]
    pub fn with_disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }
}

impl From<Durability> for SpoolOptions {
    fn from(durability: Durability) -> Self {
        Self::default().with_durability(durability)
    }
}

/// The directory of one task's open and undelivered files. Blocking: for the task's own thread.
///
/// A file is written once, in large pieces, and closed; from then on it is the [`Uploader`](crate::Uploader)'s,
/// which removes it when it is delivered. The text of playlists grows in files of the spool too, so that no playlist
/// is held in memory between two updates.
#[derive(Debug)]
pub struct Spool {
    place: Arc<Place>,
    bodies: HashMap<ObjectName, Body>,
}

/// What the spool, its files and the uploader share.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    options: SpoolOptions,
    used: AtomicU64,
}

#[derive(Debug)]
struct Body {
    len: u64,
    broken: bool,
}

impl Spool {
    /// Makes `<root>/<task>/` and takes what is in it already into the count of used bytes, but for the journal.
    ///
    /// # Errors
    /// [`SpoolError::NotADirectory`] when a symbolic link or file stands in the way of the task's directory;
    /// [`SpoolError::Disk`].
    pub fn open(root: &Path, task: &TaskId, options: impl Into<SpoolOptions>) -> Result<Self, SpoolError> {
        let options = options.into();
        let files = &*options.disk;
        let sync = options.durability == Durability::Sync;
        create_dirs(files, root, sync).map_err(|source| disk(root, source))?;
        let directory = root.join(task.as_str());
        match files.create_dir(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(disk(&directory, source)),
        }
        if sync {
            // Also what was there: who made it may have died before this.
            files.sync_dir(root).map_err(|source| disk(root, source))?;
        }
        if files.look(&directory).map_err(|source| disk(&directory, source))? != Found::Directory {
            return Err(SpoolError::NotADirectory { path: directory });
        }
        let mut used = 0u64;
        for name in files.names(&directory).map_err(|source| disk(&directory, source))? {
            let len = file_len(files, &directory.join(&name)).map_err(|source| disk(&directory, source))?;
            used = used.saturating_add(len.filter(|_| name != journal::FILE_NAME).unwrap_or(0));
        }
        let place = Arc::new(Place { directory, options, used: AtomicU64::new(used) });
        Ok(Self { place, bodies: HashMap::new() })
    }

    /// The task's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Bytes in the task's directory: written and not delivered.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.place.used.load(Ordering::Relaxed)
    }

    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.place.options.disk
    }

    /// The bytes of the file `name`, closed or not.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] and others of the disk.
    pub fn read(&self, name: &ObjectName) -> io::Result<Bytes> {
        Ok(disk::read(&**self.disk(), &self.path_of(name))?.into())
    }

    /// The file `name`, closed or not, to read from its start.
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn reader(&self, name: &ObjectName) -> io::Result<impl Read + use<>> {
        self.disk().open(&self.path_of(name), OpenMode::Read)
    }

    /// Whether the task's directory is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.disk().is_dir(&self.place.directory)
    }

    /// Where the file `name` is while it is in the spool.
    #[must_use]
    pub fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.place.path(name.as_str())
    }

    /// Takes up the file `name`, which was closed before.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if it is not there, or is no file.
    pub fn adopt(&self, name: &ObjectName) -> Result<ClosedFile, SpoolError> {
        let path = self.path_of(name);
        let found = self.disk().look(&path).map_err(|source| disk(&path, source))?;
        let Some(len) = found.file() else {
            return Err(disk(&path, io::ErrorKind::InvalidInput.into()));
        };
        Ok(ClosedFile { place: Arc::clone(&self.place), name: name.clone(), len })
    }

    /// The files in the task's directory, closed or not, without journal and playlists; in order of their names.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn files(&self) -> Result<Vec<ObjectName>, SpoolError> {
        let failed = |source| disk(&self.place.directory, source);
        let mut names = Vec::new();
        for name in self.disk().names(&self.place.directory).map_err(failed)? {
            if file_len(&**self.disk(), &self.place.directory.join(&name)).map_err(failed)?.is_some() {
                names.extend(name.to_str().and_then(|name| name.parse().ok()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Takes up the first `len` bytes of the file `name`, whose writer has died. Under [`Durability::Sync`] they are on
    /// the disk when this returns.
    ///
    /// # Errors
    /// [`SpoolError::Disk`], also if it is not there or shorter.
    pub fn close_at(&self, name: &ObjectName, len: u64) -> Result<ClosedFile, SpoolError> {
        let found = self.adopt(name)?;
        let path = self.path_of(name);
        if found.len < len {
            return Err(disk(&path, io::ErrorKind::UnexpectedEof.into()));
        }
        let file = self.disk().open(&path, OpenMode::Change).map_err(|source| disk(&path, source))?;
        file.set_len(len).map_err(|source| disk(&path, source))?;
        self.place.free(found.len - len);
        let place = Arc::clone(&self.place);
        let file = SpoolFile { place, name: name.clone(), path, file, len, broken: false };
        file.close()
    }

    /// Removes the file `name`, which is not to be delivered. One that is not there is as good.
    pub fn discard(&self, name: &ObjectName) {
        self.place.remove(&self.path_of(name));
    }

    /// Removes the body of the playlist `name`, which is not to be delivered.
    pub fn discard_playlist(&mut self, name: &ObjectName) {
        self.bodies.remove(name);
        self.place.remove_body(name);
    }

    /// Removes the task's directory if nothing is left in it.
    pub fn remove_if_empty(&self) {
        self.place.remove_if_empty();
    }

    /// Another handle on the same directory and count of bytes, for another thread. Playlists stay with this one.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { place: self.place(), bodies: HashMap::new() }
    }

    pub(crate) fn durability(&self) -> Durability {
        self.place.options.durability
    }

    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// A new file. Nothing of this name may be there, not even a symbolic link.
    ///
    /// # Errors
    /// [`SpoolError::Exists`], [`SpoolError::Disk`].
    pub fn create(&self, name: &ObjectName) -> Result<SpoolFile, SpoolError> {
        let path = self.place.path(name.as_str());
        let file = self.place.create(name, &path)?;
        Ok(SpoolFile {
            place: Arc::clone(&self.place),
            name: name.clone(),
            path,
            file,
            len: 0,
            broken: false,
        })
    }

    /// [`SpoolFile::close`] for several files with one sync of the directory, for tracks that are cut together. The
    /// results are in the order of `files`.
    pub fn close_all(&self, files: Vec<SpoolFile>) -> Vec<Result<ClosedFile, SpoolError>> {
        let synced: Vec<_> = files.into_iter().map(SpoolFile::sync).collect();
        if self.place.options.durability == Durability::Sync
            && let Err(source) = self.disk().sync_dir(&self.place.directory)
        {
            let kind = source.kind();
            let failed = |_| Err(disk(&self.place.directory, kind.into()));
            return synced.into_iter().map(|file| file.and_then(failed)).collect();
        }
        synced
    }

    /// Adds `text` to the body of the playlist `name`: what comes after its header, in whole lines.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: nothing was written. [`SpoolError::Exists`]: a file of an earlier run is in the way.
    /// After [`SpoolError::Disk`] the playlist takes nothing more ([`SpoolError::Broken`]); versions made before stay
    /// good.
    pub fn append_playlist(&mut self, name: &ObjectName, text: &str) -> Result<(), SpoolError> {
        let path = self.place.body_path(name);
        if !self.bodies.contains_key(name) {
            self.place.create(name, &path)?;
            self.bodies.insert(name.clone(), Body { len: 0, broken: false });
        }
        let body = self.bodies.get_mut(name).expect("inserted above");
        if body.broken {
            return Err(SpoolError::Broken { name: name.clone() });
        }
        // Opened each time: a day of recording has more playlists than a process may have files open.
        let opened = self.place.disk().open(&path, OpenMode::Append);
        let written = opened
            .map_err(|source| disk(&path, source))
            .and_then(|mut file| self.place.write(&mut *file, &path, text.as_bytes()));
        body.broken = matches!(written, Err(SpoolError::Disk { .. }));
        body.len += written?;
        Ok(())
    }

    /// The playlist as it stands: `header`, then the body, then the end tag if it has `ended`. Holds no more of it
    /// than the header; text added later does not change it.
    #[must_use]
    pub fn playlist_version(&self, name: &ObjectName, header: &str, ended: PlaylistEnd) -> PlaylistVersion {
        PlaylistVersion {
            place: Arc::clone(&self.place),
            name: name.clone(),
            header: header.into(),
            body: self.bodies.get(name).map_or(0, |body| body.len),
            ended,
        }
    }

    /// The text of [`Spool::playlist_version`].
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the body cannot be read.
    pub fn playlist_text(
        &self,
        name: &ObjectName,
        header: &str,
        ended: PlaylistEnd,
    ) -> Result<Bytes, SpoolError> {
        self.playlist_version(name, header, ended).text()
    }
}

/// Whether a playlist goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistEnd {
    /// More segments may follow.
    Open,
    /// `#EXT-X-ENDLIST` closes the text.
    Ended,
}

/// One state of a playlist, its text in the spool.
#[derive(Clone)]
pub struct PlaylistVersion {
    place: Arc<Place>,
    name: ObjectName,
    header: Box<str>,
    body: u64,
    ended: PlaylistEnd,
}

impl PlaylistVersion {
    /// The playlist's name.
    #[must_use]
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Whether this is the last version.
    #[must_use]
    pub fn ended(&self) -> PlaylistEnd {
        self.ended
    }

    /// The text.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the body cannot be read, or is shorter than it was.
    pub fn text(&self) -> Result<Bytes, SpoolError> {
        self.read().map_err(|source| disk(&self.place.body_path(&self.name), source))
    }

    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    pub(crate) fn read(&self) -> io::Result<Bytes> {
        let mut text = Vec::from(self.header.as_bytes());
        if self.body > 0 {
            let file = self.place.disk().open(&self.place.body_path(&self.name), OpenMode::Read)?;
            let read = file.take(self.body).read_to_end(&mut text)?;
            if read as u64 != self.body {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if self.ended == PlaylistEnd::Ended {
            text.extend_from_slice(END_LIST.as_bytes());
        }
        Ok(text.into())
    }
}

impl fmt::Debug for PlaylistVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaylistVersion")
            .field("name", &self.name)
            .field("body", &self.body)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A file of the spool that is being written. Dropped, it stays as it is, to be found after a crash.
#[derive(Debug)]
pub struct SpoolFile {
    place: Arc<Place>,
    name: ObjectName,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    len: u64,
    broken: bool,
}

impl SpoolFile {
    /// Adds `data` at the end, by plain writes: pieces of some 100 KiB cost least.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: nothing was written and the file is as before. [`SpoolError::Disk`]: the file is broken
    /// and takes nothing more.
    pub fn append(&mut self, data: &[u8]) -> Result<(), SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken { name: self.name.clone() });
        }
        let written = self.place.write(&mut *self.file, &self.path, data);
        self.broken = matches!(written, Err(SpoolError::Disk { .. }));
        self.len += written?;
        Ok(())
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Bytes written so far.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a size in bytes, not a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Ends the file. Under [`Durability::Sync`] its bytes and its entry in the directory are on the disk when this
    /// returns.
    ///
    /// # Errors
    /// The file does not count as closed and cannot be closed any more: a sync that failed once may claim success the
    /// next time without having done anything. What was written stays in the directory.
    pub fn close(self) -> Result<ClosedFile, SpoolError> {
        let file = self.sync()?;
        if file.place.options.durability == Durability::Sync {
            let directory = &file.place.directory;
            file.place.disk().sync_dir(directory).map_err(|source| disk(directory, source))?;
        }
        Ok(file)
    }

    /// The bytes to the disk, but not the directory's entry.
    fn sync(self) -> Result<ClosedFile, SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken { name: self.name });
        }
        if self.place.options.durability == Durability::Sync {
            self.file.sync_all().map_err(|source| disk(&self.path, source))?;
        }
        Ok(ClosedFile { place: self.place, name: self.name, len: self.len })
    }

    /// Removes the file with what was written.
    pub fn discard(self) {
        self.place.remove(&self.path);
    }
}

/// As [`SpoolFile::append`], for writers that have many pieces at once. A [`SpoolError`] is inside the
/// [`io::Error`].
impl Write for SpoolFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.append(data).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if self.broken {
            return Err(io::Error::other(SpoolError::Broken { name: self.name.clone() }));
        }
        let need = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.place.reserve(need).map_err(io::Error::other)?;
        match self.file.write_vectored(pieces) {
            Ok(written) => {
                self.place.free(need - written as u64);
                self.len += written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.place.free(need);
                Err(error)
            }
            Err(source) => {
                self.broken = true;
                Err(io::Error::other(disk(&self.path, source)))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is held back
    }
}

/// A whole file of the spool, on its way to the bucket.
#[derive(Clone)]
pub struct ClosedFile {
    place: Arc<Place>,
    name: ObjectName,
    len: u64,
}

impl ClosedFile {
    /// A file that is not in the spool any more.
    pub(crate) fn gone(place: &Arc<Place>, name: ObjectName) -> Self {
        Self { place: Arc::clone(place), name, len: 0 }
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Where it is until it is delivered.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.place.path(self.name.as_str())
    }

    /// Its size in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a size in bytes, not a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// Removes the file: it is not to be delivered.
    pub fn discard(self) {
        self.delivered();
    }

    /// Takes the file out of the spool, wherever a delivery has left it.
    pub(crate) fn delivered(&self) {
        let _ = self.place.disk().remove_file(&self.path());
        self.place.free(self.len);
    }
}

impl fmt::Debug for ClosedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosedFile").field("name", &self.name).field("len", &self.len).finish_non_exhaustive()
    }
}

impl Place {
    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.options.disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Names do not start with a dot, so a body's never meets a file's.
    fn body_path(&self, name: &ObjectName) -> PathBuf {
        self.path(&format!(".{name}"))
    }

    fn create(&self, name: &ObjectName, path: &Path) -> Result<Box<dyn DiskFile>, SpoolError> {
        self.options.disk.open(path, OpenMode::New).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => SpoolError::Exists { name: name.clone() },
            _ => disk(path, source),
        })
    }

    /// Writes all of `data` or counts what it may have written.
    fn write(&self, file: &mut dyn DiskFile, path: &Path, data: &[u8]) -> Result<u64, SpoolError> {
        let need = data.len() as u64;
        self.reserve(need)?;
        file.write_all(data).map_err(|source| disk(path, source))?;
        Ok(need)
    }

    /// Counts `need` bytes as used, if the limit allows.
    fn reserve(&self, need: u64) -> Result<(), SpoolError> {
        let used = self.used.fetch_add(need, Ordering::Relaxed);
        if let Some(limit) = self.options.limit.filter(|limit| used.saturating_add(need) > *limit) {
            self.free(need);
            return Err(SpoolError::Full { used, need, limit });
        }
        Ok(())
    }

    fn free(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn remove(&self, path: &Path) {
        let disk = &self.options.disk;
        let size = disk.look(path).ok().and_then(Found::file).unwrap_or(0);
        if disk.remove_file(path).is_ok() {
            self.free(size);
        }
    }

    /// Removes the body of a playlist that will have no further version.
    pub(crate) fn remove_body(&self, playlist: &ObjectName) {
        self.remove(&self.body_path(playlist));
    }

    /// Removes the task's directory if nothing is left in it.
    pub(crate) fn remove_if_empty(&self) {
        let _ = self.options.disk.remove_dir(&self.directory);
    }
}

/// The bytes of a file that a listing has named; `None` for what is no file, and for one that has gone since.
fn file_len(disk: &dyn Disk, path: &Path) -> io::Result<Option<u64>> {
    match disk.look(path) {
        Ok(found) => Ok(found.file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn disk(path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Disk { path: path.to_owned(), source }
}
