use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// A stretch of a file that moves forward: read in large pieces, cut into shared slices without copying.
pub(crate) struct Window {
    file: Box<dyn Read + Send>,
    held: BytesMut,
    /// Offset in the file of the first byte held.
    start: u64,
    ended: bool,
}

impl Window {
    pub(crate) fn new(file: Box<dyn Read + Send>) -> Self {
        Self { file, held: BytesMut::new(), start: 0, ended: false }
    }

    /// What is held: from [`Window::start`] on.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.held
    }

    /// Offset in the file of the first byte held.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Takes the first `len` bytes away; `len` is at most what is held.
    pub(crate) fn cut(&mut self, len: usize) -> Bytes {
        self.start += u64::try_from(len).expect("a buffer's length fits in 64 bits");
        self.held.split_to(len).freeze()
    }

    /// Reads on. `false` at the end of the file, and then always.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let old = self.held.len();
        self.held.resize(old + CHUNK, 0);
        let read = loop {
            match self.file.read(&mut self.held[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.held.truncate(old + read.as_ref().map_or(0, |&read| read.min(CHUNK)));
        self.ended = read? == 0;
        Ok(!self.ended)
    }

    /// Reads on until `len` bytes are held or the file ends; `true` if they are.
    pub(crate) fn ensure(&mut self, len: usize) -> io::Result<bool> {
        while self.held.len() < len {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
