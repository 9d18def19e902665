//! Encoded samples on their way: a file is begun with what is known of all of them, so they wait on the disk.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use crate::error::MergeError;

/// A temporary file without a name, gone when it is closed.
pub(crate) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(256 << 10, tempfile::tempfile()?) })
    }

    pub(crate) fn push(&mut self, sample: &[u8]) -> io::Result<()> {
        self.file.write_all(sample)
    }

    /// The file, at its begin.
    pub(crate) fn into_file(self) -> io::Result<File> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

pub(crate) fn spooling(source: io::Error) -> MergeError {
    MergeError::Write { name: "temporary file".into(), source }
}
