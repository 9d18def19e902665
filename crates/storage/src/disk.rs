//! The few operations on directories that the spool and the local bucket share.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Presses a directory's entries to the disk.
#[cfg(unix)]
pub(crate) fn sync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere directories cannot be opened; the file system's own journal has to do.
#[cfg(not(unix))]
pub(crate) fn sync_dir(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Syncs the entry of each directory of `made`, deepest last, in its parent.
pub(crate) fn create_dirs(directory: &Path, sync: bool) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dirs(parent, sync)?;
    }
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !directory.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    if sync { sync_dir(parent.unwrap_or(Path::new("."))) } else { Ok(()) }
}
