//! The shared corpus of real media.

use std::path::{Path, PathBuf};

/// The folder of the corpus: `RECORDER_MEDIA`, or else `../shared/media` beside the workspace. Says `skipped: …` where
/// neither is there.
#[must_use]
pub fn media_dir() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let folder = std::env::var_os("RECORDER_MEDIA").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no media in {} (RECORDER_MEDIA tells another folder)", folder.display());
    None
}

/// A file of the corpus; says `skipped: …` where it is not there.
#[must_use]
pub fn media_file(path: &str) -> Option<PathBuf> {
    let file = media_dir()?.join(path);
    if file.is_file() {
        return Some(file);
    }
    println!("skipped: no {}", file.display());
    None
}

/// The bytes of a file of the corpus; says `skipped: …` where it is not there.
///
/// # Panics
/// If it is there and cannot be read.
#[must_use]
pub fn read_media(path: &str) -> Option<Vec<u8>> {
    let file = media_file(path)?;
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_none() {
        assert_eq!(media_file("no/such/file"), None);
        assert_eq!(read_media("no/such/file"), None);
    }
}
