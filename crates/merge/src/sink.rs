use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::source::check_name;

/// Bytes that are gathered for one write.
const BUFFER: usize = 1 << 20;

/// Where merged files go. A file appears whole or not at all.
pub trait Sink {
    /// Begins a file of this bare name.
    ///
    /// # Errors
    /// What the environment says; [`io::ErrorKind::InvalidInput`] for a name that leads out of the folder.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn SinkFile>>;
}

/// A file that is being written, front to back. Dropped before [`SinkFile::finish`] it leaves nothing behind.
pub trait SinkFile: Write {
    /// Makes it appear, in the place of one that was there.
    ///
    /// # Errors
    /// What the environment says. The file is not there then, or is the one from before.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A folder on a disk, made when it is missing.
#[derive(Clone, Debug)]
pub struct DirectorySink {
    directory: PathBuf,
}

impl DirectorySink {
    /// Of this directory; it is not touched yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }
}

impl Sink for DirectorySink {
    fn create(&mut self, name: &str) -> io::Result<Box<dyn SinkFile>> {
        check_name(name)?;
        fs::create_dir_all(&self.directory)?;
        Ok(Box::new(PartFile::create(
            &self.directory.join(format!(".{name}.part")),
            self.directory.join(name),
        )?))
    }
}

/// A file under another name until it is whole.
struct PartFile {
    /// `None` once it is in its place.
    part: Option<PathBuf>,
    place: PathBuf,
    file: BufWriter<File>,
}

impl PartFile {
    fn create(part: &Path, place: PathBuf) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER, File::create(part)?);
        Ok(Self { part: Some(part.to_owned()), place, file })
    }
}

impl Write for PartFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SinkFile for PartFile {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()?;
        if let Some(part) = &self.part {
            fs::rename(part, &self.place)?;
        }
        self.part = None;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = fs::remove_file(part); // it is of no use, and nobody waits for the answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = DirectorySink::new(folder.path().join("new"));
        let mut file = sink.create("a.mp4").unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        for text in ["first", "second"] {
            let mut file = sink.create("a.mp4").unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("new/a.mp4")).unwrap(), text);
        }
        assert!(sink.create("../a.mp4").is_err());
    }
}
