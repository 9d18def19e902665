//! A local directory as the bucket: our own writes, so that a spool file is moved and not copied; reads by
//! `object_store`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::local::LocalFileSystem;

use crate::bucket::{Durability, PutMode};
use crate::disk::{create_dirs, sync_dir};
use crate::error::StorageError;
use crate::key::ObjectKey;

/// Sets the temporary files of one process apart.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// What is taken from another bucket at a time, in bytes.
const PIECE: u64 = 4 << 20;

#[derive(Clone)]
pub(crate) struct LocalDirectory {
    root: Arc<Path>,
    durability: Durability,
}

impl LocalDirectory {
    pub(crate) fn open(
        directory: &Path,
        durability: Durability,
    ) -> Result<(Self, Arc<LocalFileSystem>), StorageError> {
        let failed = |error: &dyn std::fmt::Display| StorageError::InvalidUrl {
            url: directory.display().to_string().escape_debug().collect::<String>().into(),
            reason: error.to_string().into(),
        };
        create_dirs(directory, durability == Durability::Sync).map_err(|error| failed(&error))?;
        let root = fs::canonicalize(directory).map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| failed(&error))?;
        Ok((Self { root: root.into(), durability }, Arc::new(store)))
    }

    pub(crate) async fn put(&self, key: ObjectKey, data: Bytes, mode: PutMode) -> Result<(), StorageError> {
        let place = self.clone();
        blocking(key, move |key| place.put_now(key, &data, mode)).await
    }

    pub(crate) async fn put_file(
        &self,
        key: ObjectKey,
        file: PathBuf,
        mode: PutMode,
    ) -> Result<(), StorageError> {
        let place = self.clone();
        blocking(key, move |key| place.put_file_now(key, &file, mode)).await
    }

    /// Stores the `size` bytes of the object that `from` has under the same key, unless there is one already.
    pub(crate) async fn put_from(
        &self,
        key: &ObjectKey,
        from: &crate::bucket::Bucket,
        size: u64,
    ) -> Result<(), StorageError> {
        let unreadable = |source| StorageError::Source { key: key.clone(), source };
        let place = self.clone();
        let (mut temporary, path, directory) = blocking(key.clone(), move |key| {
            let (path, directory) = place.prepare(key)?;
            let temporary = Temporary::create(&directory).map_err(|source| disk(key, source))?;
            Ok((temporary, path, directory))
        })
        .await?;
        let mut at = 0;
        while at < size {
            let piece = from.get_range(key, at..size.min(at + PIECE)).await;
            let piece = piece.map_err(|error| unreadable(io::Error::other(error)))?;
            if piece.is_empty() {
                return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
            }
            at += piece.len() as u64;
            temporary = blocking(key.clone(), move |key| {
                temporary.file.write_all(&piece).map_err(|source| disk(key, source))?;
                Ok(temporary)
            })
            .await?;
        }
        let place = self.clone();
        blocking(key.clone(), move |key| {
            let failed = |source| disk(key, source);
            if path.exists() {
                return place.compare(key, &File::open(&temporary.path).map_err(failed)?, &path);
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
        let entries = match fs::read_dir(self.root.join(directory.as_str())) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(is_temporary) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> bool {
        self.durability == Durability::Sync
    }

    /// The path of `key`, its directory made.
    fn prepare(&self, key: &ObjectKey) -> Result<(PathBuf, PathBuf), StorageError> {
        // `object_store` hides such names: they are its own temporary files, and ours.
        let hidden = key.name().split_once('#').is_some_and(|(_, digits)| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        let refused = |rule| StorageError::InvalidKey { key: key.as_str().into(), rule };
        if hidden {
            return Err(refused("a local name does not end in `#` and digits"));
        }
        if key.as_str().split('/').any(|component| component.len() > 255) {
            return Err(refused("a local name has at most 255 bytes"));
        }
        let path = self.root.join(key.as_str());
        let directory = path.parent().unwrap_or(&self.root).to_owned();
        create_dirs(&directory, self.sync()).map_err(|source| disk(key, source))?;
        Ok((path, directory))
    }

    fn put_now(&self, key: &ObjectKey, data: &[u8], mode: PutMode) -> Result<(), StorageError> {
        let (path, directory) = self.prepare(key)?;
        let failed = |source| disk(key, source);
        let mut temporary = Temporary::create(&directory).map_err(failed)?;
        temporary.file.write_all(data).map_err(failed)?;
        match self.finish(temporary, &path, &directory, mode) {
            Err(error) if mode == PutMode::Create && error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&path).map_err(failed)? != data {
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
        let source = File::open(file).map_err(unreadable)?;
        if !fs::symlink_metadata(file).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let (path, directory) = self.prepare(key)?;
        if self.sync() {
            source.sync_all().map_err(unreadable)?;
        }
        let moved = match mode {
            // A link never overwrites, and the file has both names until the new one is on the disk.
            PutMode::Create => fs::hard_link(file, &path).and_then(|()| self.sync_entry(&path, &directory)),
            PutMode::Replace => fs::rename(file, &path).and_then(|()| self.sync_dir(&directory)),
        };
        match moved {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.compare(key, &source, &path);
            }
            Err(error) if is_disk_trouble(&error) => return Err(failed(error)),
            // Another file system, or one without links.
            Err(_) => match self.copy(source, &path, &directory, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let source = File::open(file).map_err(unreadable)?;
                    return self.compare(key, &source, &path);
                }
                copied => copied.map_err(failed)?,
            },
        }
        // The object is stored; a name left in the spool does no harm and is the caller's to remove.
        let _ = fs::remove_file(file);
        Ok(())
    }

    fn compare(&self, key: &ObjectKey, source: &File, path: &Path) -> Result<(), StorageError> {
        let failed = |source| disk(key, source);
        let there = File::open(path).map_err(failed)?;
        let (ours, theirs) = (source.metadata().map_err(failed)?, there.metadata().map_err(failed)?);
        let same = same_file(&ours, &theirs)
            || (ours.len() == theirs.len() && same_bytes(source, &there).map_err(failed)?);
        if !same {
            return Err(StorageError::Conflict { key: key.clone() });
        }
        // It may have been put there by a process that died before it could sync.
        if self.sync() {
            there.sync_all().map_err(failed)?;
        }
        self.sync_dir(path.parent().unwrap_or(&self.root)).map_err(failed)
    }

    fn copy(&self, mut source: File, path: &Path, directory: &Path, mode: PutMode) -> io::Result<()> {
        let mut temporary = Temporary::create(directory)?;
        io::copy(&mut source, &mut temporary.file)?;
        self.finish(temporary, path, directory, mode)
    }

    /// Gives a written temporary file its name.
    fn finish(&self, temporary: Temporary, path: &Path, directory: &Path, mode: PutMode) -> io::Result<()> {
        if self.sync() {
            temporary.file.sync_all()?;
        }
        match mode {
            PutMode::Replace => {
                fs::rename(&temporary.path, path)?;
                temporary.keep();
                self.sync_dir(directory)
            }
            PutMode::Create => match fs::hard_link(&temporary.path, path) {
                Ok(()) => self.sync_entry(path, directory),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists || is_disk_trouble(&error) => {
                    Err(error)
                }
                // A file system without links: claim the name, then replace the claim.
                Err(_) => {
                    OpenOptions::new().write(true).create_new(true).open(path)?;
                    fs::rename(&temporary.path, path).inspect_err(|_| drop(fs::remove_file(path)))?;
                    temporary.keep();
                    self.sync_dir(directory)
                }
            },
        }
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        if self.sync() { sync_dir(directory) } else { Ok(()) }
    }

    /// Syncs a new link. One that may not have reached the disk is taken back: a sync that failed once may claim
    /// success the next time without having done anything.
    fn sync_entry(&self, path: &Path, directory: &Path) -> io::Result<()> {
        self.sync_dir(directory).inspect_err(|_| drop(fs::remove_file(path)))
    }
}

/// A file beside its destination that goes away unless it was given its name.
struct Temporary {
    file: File,
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
    fn create(directory: &Path) -> io::Result<Self> {
        loop {
            let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
            // Short, whatever the length of the object's name; `#` and digits keep it out of listings.
            let path = directory.join(format!(".put-{}#{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path, kept: false }),
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
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether both paths lead to one file, as a hard link does.
#[cfg(unix)]
fn same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(_a: &fs::Metadata, _b: &fs::Metadata) -> bool {
    false
}

fn same_bytes(a: &File, b: &File) -> io::Result<bool> {
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

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    key: ObjectKey,
    work: impl FnOnce(&ObjectKey) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let shown = key.clone();
    match tokio::task::spawn_blocking(move || work(&key)).await {
        Ok(done) => done,
        // The runtime is going down, or the closure panicked: nothing was acknowledged.
        Err(join) => Err(StorageError::Disk { key: shown, source: io::Error::other(join) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_half_written_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let (place, _) = LocalDirectory::open(root.path(), Durability::Relaxed).unwrap();
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
