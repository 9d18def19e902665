//! A local directory as the bucket: a spool file is moved and not copied.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::bucket::{BucketOptions, Durability, ObjectInfo, PutMode};
use crate::disk::{self, Disk, DiskFile, Found, OpenMode, create_dirs};
use crate::error::StorageError;
use crate::key::ObjectKey;

/// Sets the temporary files of one process apart.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// What is taken from another bucket at a time, in bytes.
const PIECE: u64 = 4 << 20;

#[derive(Clone)]
pub(crate) struct LocalDirectory {
    disk: Arc<dyn Disk>,
    root: Arc<Path>,
    durability: Durability,
    /// Directories whose own names are on the disk.
    pressed: Arc<Mutex<HashSet<PathBuf>>>,
}

/// What [`LocalDirectory::pressed`] holds at most; with more it begins anew.
const MAX_PRESSED: usize = 1024;

impl LocalDirectory {
    pub(crate) fn open(directory: &Path, options: &BucketOptions) -> Result<Self, StorageError> {
        let failed = |error: &dyn std::fmt::Display| StorageError::InvalidUrl {
            url: directory.display().to_string().escape_debug().collect::<String>().into(),
            reason: error.to_string().into(),
        };
        let (disk, durability) = (Arc::clone(&options.disk), options.durability);
        create_dirs(&*disk, directory, durability == Durability::Sync).map_err(|error| failed(&error))?;
        let root = disk.canonicalize(directory).map_err(|error| failed(&error))?;
        if !disk.is_dir(&root) {
            return Err(failed(&"not a directory"));
        }
        Ok(Self { disk, root: root.into(), durability, pressed: Arc::default() })
    }

    pub(crate) async fn put(&self, key: ObjectKey, data: Bytes, mode: PutMode) -> Result<(), StorageError> {
        self.blocking(key, move |place, key| place.put_now(key, &data, mode)).await
    }

    pub(crate) async fn put_file(
        &self,
        key: ObjectKey,
        file: PathBuf,
        mode: PutMode,
    ) -> Result<(), StorageError> {
        self.blocking(key, move |place, key| place.put_file_now(key, &file, mode)).await
    }

    pub(crate) async fn get(&self, key: ObjectKey) -> Result<Bytes, StorageError> {
        let read = |place: &Self, path: &Path| disk::read(&*place.disk, path);
        Ok(self.look_up(key, read).await?.into())
    }

    pub(crate) async fn get_range(&self, key: ObjectKey, bytes: Range<u64>) -> Result<Bytes, StorageError> {
        let read = move |place: &Self, path: &Path| {
            let mut file = place.disk.open(path, OpenMode::Read)?;
            file.seek(io::SeekFrom::Start(bytes.start))?;
            let mut read = Vec::new();
            file.take(bytes.end - bytes.start).read_to_end(&mut read)?;
            Ok(read)
        };
        Ok(self.look_up(key, read).await?.into())
    }

    pub(crate) async fn size(&self, key: ObjectKey) -> Result<u64, StorageError> {
        self.look_up(key, |place, path| place.disk.open(path, OpenMode::Read)?.size()).await
    }

    pub(crate) async fn delete(&self, key: ObjectKey) -> Result<(), StorageError> {
        self.look_up(key, |place, path| place.disk.remove_file(path)).await
    }

    /// The objects below the directory `under`, or the root, sorted by key.
    pub(crate) async fn list(&self, under: Option<ObjectKey>) -> Result<Vec<ObjectInfo>, StorageError> {
        let shown = under.clone().map_or_else(|| "list".parse(), Ok)?;
        self.blocking(shown, move |place, shown| {
            let mut objects = Vec::new();
            let mut directories = vec![under.map_or_else(String::new, |key| key.as_str().to_owned())];
            while let Some(directory) = directories.pop() {
                place
                    .list_directory(&directory, &mut objects, &mut directories)
                    .map_err(|source| disk(shown, source))?;
            }
            objects.sort();
            Ok(objects)
        })
        .await
    }

    /// The objects in a directory, and the directories. Links to files are objects, those to directories are passed over.
    fn list_directory(
        &self,
        directory: &str,
        objects: &mut Vec<ObjectInfo>,
        directories: &mut Vec<String>,
    ) -> io::Result<()> {
        let names = match self.disk.names(&self.root.join(directory)) {
            Err(error) if is_absent(&error) => return Ok(()),
            names => names?,
        };
        for name in names {
            let Some(name) = name.to_str().filter(|name| !is_hidden(name)) else { continue };
            let below = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
            let path = self.root.join(&below);
            let size = match self.disk.look(&path) {
                Ok(Found::Directory) => {
                    directories.push(below);
                    continue;
                }
                Ok(Found::File(size)) => Some(size),
                Ok(Found::Other) => {
                    let target = self.disk.canonicalize(&path).and_then(|target| self.disk.look(&target));
                    target.ok().and_then(Found::file)
                }
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            objects.extend(size.and_then(|size| Some(ObjectInfo { key: below.parse().ok()?, size })));
        }
        Ok(())
    }

    /// Does `work` on the file of `key`.
    async fn look_up<T: Send + 'static>(
        &self,
        key: ObjectKey,
        work: impl FnOnce(&Self, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.blocking(key, move |place, key| {
            let path = place.root.join(key.as_str());
            let absent = || StorageError::NotFound { key: key.clone() };
            if place.disk.is_dir(&path) {
                return Err(absent());
            }
            work(place, &path).map_err(|error| if is_absent(&error) { absent() } else { disk(key, error) })
        })
        .await
    }

    /// Does `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        key: ObjectKey,
        work: impl FnOnce(&Self, &ObjectKey) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (place, shown) = (self.clone(), key.clone());
        match disk::run(&*self.disk, move || work(&place, &key)).await {
            Ok(done) => done,
            // The runtime is going down, or the closure panicked: nothing was acknowledged.
            Err(error) => Err(disk(&shown, error)),
        }
    }

    /// Stores the `size` bytes of the object that `from` has under the same key, unless there is one already.
    pub(crate) async fn put_from(
        &self,
        key: &ObjectKey,
        from: &crate::bucket::Bucket,
        size: u64,
    ) -> Result<(), StorageError> {
        let unreadable = |source| StorageError::Source { key: key.clone(), source };
        let made = self.blocking(key.clone(), |place, key| {
            let (path, directory) = place.prepare(key)?;
            let temporary = Temporary::create(&place.disk, &directory).map_err(|source| disk(key, source))?;
            Ok((temporary, path, directory))
        });
        let (mut temporary, path, directory) = made.await?;
        let mut at = 0;
        while at < size {
            let piece = from.get_range(key, at..size.min(at + PIECE)).await;
            let piece = piece.map_err(|error| unreadable(io::Error::other(error)))?;
            if piece.is_empty() {
                return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
            }
            at += piece.len() as u64;
            let written = self.blocking(key.clone(), move |_, key| {
                temporary.file.write_all(&piece).map_err(|source| disk(key, source))?;
                Ok(temporary)
            });
            temporary = written.await?;
        }
        self.blocking(key.clone(), move |place, key| {
            let failed = |source| disk(key, source);
            if place.disk.look(&path).is_ok() {
                let mut written = place.disk.open(&temporary.path, OpenMode::Read).map_err(failed)?;
                return place.compare(key, &mut *written, &path);
            }
            place.finish(temporary, &path, &directory, PutMode::Create).map_err(failed)
        })
        .await
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what processes that died have left half written in `directory`.
    pub(crate) fn remove_leftovers(&self, directory: &ObjectKey) -> Result<(), StorageError> {
        let failed = |source| disk(directory, source);
        let path = self.root.join(directory.as_str());
        let names = match self.disk.names(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map_err(failed)?,
        };
        for name in names.iter().filter(|name| name.to_str().is_some_and(is_temporary)) {
            self.disk.remove_file(&path.join(name)).map_err(failed)?;
        }
        Ok(())
    }

    fn sync(&self) -> bool {
        self.durability == Durability::Sync
    }

    /// The path of `key`, its directory made.
    fn prepare(&self, key: &ObjectKey) -> Result<(PathBuf, PathBuf), StorageError> {
        let refused = |rule| StorageError::InvalidKey { key: key.as_str().into(), rule };
        if is_hidden(key.name()) {
            return Err(refused("a local name does not end in `#` and digits"));
        }
        if key.as_str().split('/').any(|component| component.len() > 255) {
            return Err(refused("a local name has at most 255 bytes"));
        }
        let path = self.root.join(key.as_str());
        let directory = path.parent().unwrap_or(&self.root).to_owned();
        create_dirs(&*self.disk, &directory, self.sync())
            .and_then(|()| self.press(&directory))
            .map_err(|source| disk(key, source))?;
        Ok((path, directory))
    }

    /// Presses the names of `directory` and those above it to the disk: one that was there may have been made by a
    /// thread, or a process, that has not come so far.
    fn press(&self, directory: &Path) -> io::Result<()> {
        let known = || self.pressed.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.sync() || known().contains(directory) {
            return Ok(());
        }
        for made in directory.ancestors().take_while(|above| *above != &*self.root) {
            self.disk.sync_dir(made.parent().unwrap_or(&self.root))?;
        }
        let mut known = known();
        if known.len() >= MAX_PRESSED {
            known.clear();
        }
        known.insert(directory.to_owned());
        Ok(())
    }

    fn put_now(&self, key: &ObjectKey, data: &[u8], mode: PutMode) -> Result<(), StorageError> {
        let (path, directory) = self.prepare(key)?;
        let failed = |source| disk(key, source);
        let mut temporary = Temporary::create(&self.disk, &directory).map_err(failed)?;
        temporary.file.write_all(data).map_err(failed)?;
        match self.finish(temporary, &path, &directory, mode) {
            Err(error) if mode == PutMode::Create && error.kind() == io::ErrorKind::AlreadyExists => {
                if disk::read(&*self.disk, &path).map_err(failed)? != data {
                    return Err(StorageError::Conflict { key: key.clone() });
                }
                // It may have been put there by a process that died before it could sync.
                self.sync_dir(&directory).map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    fn put_file_now(&self, key: &ObjectKey, file: &Path, mode: PutMode) -> Result<(), StorageError> {
        let unreadable = |source| StorageError::Source { key: key.clone(), source };
        let failed = |source| disk(key, source);
        let mut source = self.disk.open(file, OpenMode::Read).map_err(unreadable)?;
        if self.disk.look(file).map_err(unreadable)?.file().is_none() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let (path, directory) = self.prepare(key)?;
        if self.sync() {
            source.sync_all().map_err(unreadable)?;
        }
        let moved = match mode {
            // A link never overwrites, and the file has both names until the new one is on the disk.
            PutMode::Create => {
                self.disk.hard_link(file, &path).and_then(|()| self.sync_entry(&path, &directory))
            }
            PutMode::Replace => self.disk.rename(file, &path).and_then(|()| self.sync_dir(&directory)),
        };
        match moved {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.compare(key, &mut *source, &path);
            }
            Err(error) if is_disk_trouble(&error) => return Err(failed(error)),
            // Another file system, or one without links.
            Err(_) => match self.copy(&mut *source, &path, &directory, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let mut source = self.disk.open(file, OpenMode::Read).map_err(unreadable)?;
                    return self.compare(key, &mut *source, &path);
                }
                copied => copied.map_err(failed)?,
            },
        }
        // The object is stored; a name left in the spool does no harm and is the caller's to remove.
        let _ = self.disk.remove_file(file);
        Ok(())
    }

    fn compare(&self, key: &ObjectKey, source: &mut dyn DiskFile, path: &Path) -> Result<(), StorageError> {
        let failed = |source| disk(key, source);
        let mut there = self.disk.open(path, OpenMode::Read).map_err(failed)?;
        if !is_same(source, &mut *there).map_err(failed)? {
            return Err(StorageError::Conflict { key: key.clone() });
        }
        // It may have been put there by a process that died before it could sync.
        if self.sync() {
            there.sync_all().map_err(failed)?;
        }
        self.sync_dir(path.parent().unwrap_or(&self.root)).map_err(failed)
    }

    fn copy(
        &self,
        source: &mut dyn DiskFile,
        path: &Path,
        directory: &Path,
        mode: PutMode,
    ) -> io::Result<()> {
        let mut temporary = Temporary::create(&self.disk, directory)?;
        io::copy(source, &mut temporary.file)?;
        self.finish(temporary, path, directory, mode)
    }

    /// Gives a written temporary file its name.
    fn finish(&self, temporary: Temporary, path: &Path, directory: &Path, mode: PutMode) -> io::Result<()> {
        if self.sync() {
            temporary.file.sync_all()?;
        }
        match mode {
            PutMode::Replace => {
                self.disk.rename(&temporary.path, path)?;
                temporary.keep();
                self.sync_dir(directory)
            }
            PutMode::Create => match self.disk.hard_link(&temporary.path, path) {
                Ok(()) => self.sync_entry(path, directory),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists || is_disk_trouble(&error) => {
                    Err(error)
                }
                // A file system without links: claim the name, then replace the claim.
                Err(_) => {
                    self.disk.open(path, OpenMode::New)?;
                    let named = self.disk.rename(&temporary.path, path);
                    named.inspect_err(|_| drop(self.disk.remove_file(path)))?;
                    temporary.keep();
                    self.sync_dir(directory)
                }
            },
        }
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        if self.sync() { self.disk.sync_dir(directory) } else { Ok(()) }
    }

    /// Syncs a new link. One that may not have reached the disk is taken back: a sync that failed once may claim
    /// success the next time without having done anything.
    fn sync_entry(&self, path: &Path, directory: &Path) -> io::Result<()> {
        self.sync_dir(directory).inspect_err(|_| drop(self.disk.remove_file(path)))
    }
}

/// A file beside its destination that goes away unless it was given its name.
struct Temporary {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    kept: bool,
}

/// Whether it is a name that [`Temporary`] gives.
fn is_temporary(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(".put-").and_then(|rest| rest.split_once('#'));
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

impl Temporary {
    fn create(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Self> {
        loop {
            let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
            // Short, whatever the length of the object's name; `#` and digits keep it out of listings.
            let path = directory.join(format!(".put-{}#{number}", std::process::id()));
            match disk.open(&path, OpenMode::New) {
                Ok(file) => return Ok(Self { disk: Arc::clone(disk), file, path, kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

/// Whether both are one file, as a hard link makes them, or have the same bytes. Both are at their start.
fn is_same(a: &mut dyn DiskFile, b: &mut dyn DiskFile) -> io::Result<bool> {
    if let (Some(one), Some(other)) = (a.identity()?, b.identity()?)
        && one == other
    {
        return Ok(true);
    }
    if a.size()? != b.size()? {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::with_capacity(64 << 10, a), BufReader::with_capacity(64 << 10, b));
    let (mut left, mut right) = (vec![0; 32 << 10], vec![0; 32 << 10]);
    loop {
        let read = read_full(&mut a, &mut left)?;
        if read != read_full(&mut b, &mut right)? || left[..read] != right[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Failures that a copy would meet as well.
fn is_disk_trouble(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::IsADirectory
    )
}

fn disk(key: &ObjectKey, source: io::Error) -> StorageError {
    StorageError::Disk { key: key.clone(), source }
}

/// Whether a name is that of a temporary file, ours or of other programs that write into such directories.
fn is_hidden(name: &str) -> bool {
    name.split_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether there is nothing of that name.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_half_written_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let options = BucketOptions::default().with_durability(Durability::Relaxed);
        let place = LocalDirectory::open(root.path(), &options).unwrap();
        let task: ObjectKey = "a/task01".parse().unwrap();
        place.remove_leftovers(&task).unwrap();
        let directory = root.path().join("a/task01");
        fs::create_dir_all(&directory).unwrap();
        let kept = ["x.ts", ".put-7#", ".put-#7", ".put-a#7", "put-7#7", ".put-7#7b", "x#7"];
        for name in kept.iter().chain(&[".put-7#7", ".put-123#0"]) {
            fs::write(directory.join(name), name).unwrap();
        }
        place.remove_leftovers(&task).unwrap();
        let mut left: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut kept = kept.map(str::to_owned);
        kept.sort();
        assert_eq!(left, kept);
    }
}
