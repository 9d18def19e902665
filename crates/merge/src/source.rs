use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::folder::{Folder, parse_playlist_name};

/// Playlists longer than this are not read: a day of recording takes about 1.5 MB.
const MAX_PLAYLIST: u64 = 64 << 20;
/// Segments longer than this are not read: they are held in memory whole.
const MAX_SEGMENT: u64 = 1 << 30;

/// Where recordings are read from: a flat folder of files.
pub trait Source {
    /// What is in the folder. Playlists that are not of single-stream recordings are left out; those that cannot be
    /// read are noted ([`Folder::add_unreadable`]), for they must not take the others down.
    ///
    /// # Errors
    /// What the environment says of the folder itself.
    fn folder(&mut self) -> io::Result<Folder>;

    /// The whole of a segment, by its bare name.
    ///
    /// # Errors
    /// What the environment says; [`io::ErrorKind::InvalidInput`] for a name that leads out of the folder.
    fn segment(&mut self, name: &str) -> io::Result<Bytes>;
}

/// A folder on a disk.
#[derive(Clone, Debug)]
pub struct DirectorySource {
    directory: PathBuf,
}

impl DirectorySource {
    /// Of this directory; it is not touched yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }
}

impl Source for DirectorySource {
    fn folder(&mut self) -> io::Result<Folder> {
        let mut folder = Folder::default();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if parse_playlist_name(name).is_some() {
                match read_playlist(&entry.path()) {
                    Ok(text) => folder.add_playlist(name, &text),
                    Err(error) => folder.add_unreadable(name, error),
                }
            } else if name.ends_with(".ts")
                // One that cannot be looked at is missing, as one that a link leads nowhere to.
                && let Ok(metadata) = fs::metadata(entry.path())
                && metadata.is_file()
            {
                folder.add_segment(name, metadata.len());
            }
        }
        Ok(folder)
    }

    fn segment(&mut self, name: &str) -> io::Result<Bytes> {
        check_name(name)?;
        let file = self.directory.join(name);
        check_size(fs::metadata(&file)?.len())?;
        Ok(fs::read(file)?.into())
    }
}

fn read_playlist(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    check_playlist_size(metadata.len())?;
    let mut text = Vec::new();
    File::open(path)?.take(MAX_PLAYLIST).read_to_end(&mut text)?;
    // What is no text is no playlist, and is told so.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Refuses what leads out of a folder.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    let mut components = Path::new(name).components();
    let plain = matches!(components.next(), Some(std::path::Component::Normal(_)))
        && components.next().is_none()
        && !name.contains(['/', '\\', '\0']);
    if plain { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")) }
}

/// Refuses segments that are too long to be held in memory.
pub(crate) fn check_size(bytes: u64) -> io::Result<()> {
    within(bytes, MAX_SEGMENT)
}

/// Refuses playlists that nothing but a mistake can have made so long.
pub(crate) fn check_playlist_size(bytes: u64) -> io::Result<()> {
    within(bytes, MAX_PLAYLIST)
}

fn within(bytes: u64, limit: u64) -> io::Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{bytes} bytes, over the limit of {limit}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for bad in ["", ".", "..", "../x.ts", "/x.ts", "a/b.ts", "a\\b.ts", "a\0"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("1_2_20231114221320000.ts").is_ok());
    }
}
