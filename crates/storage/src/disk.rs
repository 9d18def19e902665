//! The operations on files that the spool, its journal and local buckets are made of, in one place: the system's, or
//! those of a disk that a test cuts the power of.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::AsyncRead;

/// How [`Disk::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// A file that is there, to read.
    Read,
    /// A file that is there, to read and to write from its start.
    Change,
    /// A file that is there, to write behind its end.
    Append,
    /// A new one, to write. What is there already is [`io::ErrorKind::AlreadyExists`], also a symbolic link.
    New,
}

/// What a name leads to, symbolic links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file of so many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link, or what else there is.
    Other,
}

impl Found {
    /// The bytes of a file.
    #[must_use]
    pub const fn file(self) -> Option<u64> {
        match self {
            Self::File(len) => Some(len),
            Self::Directory | Self::Other => None,
        }
    }
}

/// A file system. [`SystemDisk`] is the machine's; another one is for tests, or for an embedder who has its own.
///
/// As with the system's, what is written is on the disk for certain only after [`DiskFile::sync_all`], and a new, changed
/// or removed name only after [`Disk::sync_dir`] of its directory.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As the system's.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// What is at `path`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] and others.
    fn look(&self, path: &Path) -> io::Result<Found>;

    /// Whether `path` is a directory, or a symbolic link to one.
    fn is_dir(&self, path: &Path) -> bool;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// As the system's.
    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// `path` as it is without symbolic links, from the root on.
    ///
    /// # Errors
    /// As the system's.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Makes a directory in one that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] and others.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives the file at `from` the name `to`, in one step, in the place of what is there.
    ///
    /// # Errors
    /// As the system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file at `from` another name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] and others.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name of a file.
    ///
    /// # Errors
    /// As the system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the system's.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Presses the names in a directory to the disk.
    ///
    /// # Errors
    /// As the system's. What was to be pressed may never be on the disk, also if a later call succeeds.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Whether a call may take long, so that it has to be made on a thread that may wait.
    fn blocks(&self) -> bool {
        true
    }
}

/// An open file of a [`Disk`].
pub trait DiskFile: Read + Write + Seek + fmt::Debug + Send {
    /// Its size in bytes.
    ///
    /// # Errors
    /// As the system's.
    fn size(&self) -> io::Result<u64>;

    /// Cuts it, or fills it with zeros.
    ///
    /// # Errors
    /// As the system's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Presses its bytes and its size to the disk.
    ///
    /// # Errors
    /// As the system's. What was to be pressed may never be on the disk, also if a later call succeeds.
    fn sync_all(&self) -> io::Result<()>;

    /// As [`DiskFile::sync_all`], but for what is not needed to read the bytes back.
    ///
    /// # Errors
    /// As [`DiskFile::sync_all`].
    fn sync_data(&self) -> io::Result<()>;

    /// Locks it against other openings of it, until it is closed. Where the system has no such locks this does nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another has it.
    fn lock(&self) -> io::Result<()>;

    /// What is equal for two openings of one file; `None` where the system does not tell.
    ///
    /// # Errors
    /// As the system's.
    fn identity(&self) -> io::Result<Option<(u64, u64)>>;

    /// The file, to read where nothing may block.
    fn into_async(self: Box<Self>) -> Box<dyn AsyncRead + Send + Unpin>;
}

/// The machine's file systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl SystemDisk {
    /// For options that hold a disk.
    #[must_use]
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Change => options.read(true).write(true),
            OpenMode::Append => options.append(true),
            OpenMode::New => options.write(true).create_new(true), // follows no link
        };
        Ok(Box::new(options.open(path)?))
    }

    fn look(&self, path: &Path) -> io::Result<Found> {
        let found = fs::symlink_metadata(path)?;
        Ok(if found.is_file() {
            Found::File(found.len())
        } else if found.is_dir() {
            Found::Directory
        } else {
            Found::Other
        })
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    #[cfg(unix)]
    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    /// Elsewhere directories cannot be opened; the file system's own journal has to do.
    #[cfg(not(unix))]
    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    #[cfg(unix)]
    fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(self, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
    }

    #[cfg(not(unix))]
    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        use std::os::unix::fs::MetadataExt;
        let found = self.metadata()?;
        Ok(Some((found.dev(), found.ino())))
    }

    #[cfg(not(unix))]
    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        Ok(None)
    }

    fn into_async(self: Box<Self>) -> Box<dyn AsyncRead + Send + Unpin> {
        Box::new(tokio::fs::File::from_std(*self))
    }
}

/// Makes the directories of `directory` that are missing, and syncs the entry of each, deepest last, in its parent.
pub(crate) fn create_dirs(disk: &dyn Disk, directory: &Path, sync: bool) -> io::Result<()> {
    if disk.is_dir(directory) {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dirs(disk, parent, sync)?;
    }
    match disk.create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !disk.is_dir(directory) => {
            return Err(error);
        }
        _ => {}
    }
    if sync { disk.sync_dir(parent.unwrap_or(Path::new("."))) } else { Ok(()) }
}

/// The whole file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = disk.open(path, OpenMode::Read)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.size()?).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Does `work` on the disk where it may block. The error is that of a runtime that goes down.
pub(crate) async fn run<T: Send + 'static>(
    disk: &dyn Disk,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    if disk.blocks() { tokio::task::spawn_blocking(work).await.map_err(io::Error::other) } else { Ok(work()) }
}
