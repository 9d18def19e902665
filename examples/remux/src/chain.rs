//! Files, or parts of them, one after the other as if they were one: an init segment and the segments that need it.

use std::io::{self, Read, Seek, SeekFrom};

use crate::place::{Open, Place};

/// A piece of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) place: Place,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// All pieces. One file at a time is open.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Where each begins in the whole, rising.
    pieces: Vec<(u64, Piece)>,
    len: u64,
    at: u64,
    open: Option<(usize, Open)>,
}

impl Chain {
    pub(crate) fn new(pieces: Vec<Piece>) -> Self {
        let mut len = 0;
        let pieces = pieces.into_iter().filter(|piece| piece.len > 0).map(|piece| {
            let begin = len;
            len += piece.len;
            (begin, piece)
        });
        let pieces = pieces.collect();
        Self { pieces, len, at: 0, open: None }
    }
}

impl Read for Chain {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let number = self.pieces.partition_point(|(begin, _)| *begin <= self.at);
        let Some((index, (begin, piece))) =
            number.checked_sub(1).and_then(|index| Some((index, self.pieces.get(index)?)))
        else {
            return Ok(0);
        };
        let inside = self.at - begin;
        if inside >= piece.len || buf.is_empty() {
            return Ok(0);
        }
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.open = Some((index, piece.place.open()?));
        }
        let Some((_, open)) = &mut self.open else { return Ok(0) };
        let read = open.read_at(piece.offset + inside, piece.offset + piece.len, buf)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into()); // it was longer before
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Chain {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), b"0123").unwrap();
        std::fs::write(path("b"), b"xx456yy").unwrap();
        let piece = |name, offset, len| Piece { place: Place::of(&path(name)).unwrap(), offset, len };
        let mut chain = Chain::new(vec![piece("a", 0, 4), piece("a", 0, 0), piece("b", 2, 3)]);
        let mut text = String::new();
        chain.read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456");
        for at in 0..=7u64 {
            chain.seek(SeekFrom::Start(at)).unwrap();
            text.clear();
            chain.read_to_string(&mut text).unwrap();
            assert_eq!(text, "0123456"[usize::try_from(at).unwrap()..]);
        }
        assert_eq!(chain.seek(SeekFrom::End(-1)).unwrap(), 6);
        assert!(chain.seek(SeekFrom::End(-8)).is_err());
        let mut short = Chain::new(vec![piece("a", 0, 5)]);
        assert!(short.read_to_end(&mut Vec::new()).is_err(), "shorter than it was");
    }
}
