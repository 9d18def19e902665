//! What a task has done, in a file that only grows: so that whoever comes after its death can go on.

use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bucket::Durability;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::spool::{Spool, SpoolError};

/// `~` is no letter of object names: the journal never meets a file of the task.
pub(crate) const FILE_NAME: &str = "journal~";

/// First bytes of the file: a name and a version.
const HEADER: [u8; 8] = *b"RECJRN\0\x01";
/// First bytes of each record.
const MARK: [u8; 4] = *b"REC\n";
/// Mark, length and checksum.
const FRAME_BYTES: usize = 12;

/// The journal of one task, in its directory of the spool: records that are appended and never changed.
///
/// Each record has a length and a CRC-32. What a dying process has left of its last record is cut off when the journal
/// is opened again; a record that was damaged otherwise is passed over, those after it are found. While it is open no
/// other process can open it (Unix).
///
/// # Format
/// `RECJRN`, 0, 1; then records: `REC` and a line feed, the payload's length and CRC-32 of length and payload (IEEE
/// 802.3), both 32 bits little-endian, the payload.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    durability: Durability,
    /// Bytes of the file that are good.
    len: u64,
    /// Records that are appended and not committed.
    buffer: Vec<u8>,
    broken: bool,
}

/// What was found when a journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalState {
    /// Whole records.
    pub records: u64,
    /// Bytes of an unfinished record that were cut off at the end.
    pub torn: u64,
    /// Bytes between whole records that are none: the disk, or somebody, has damaged them.
    pub damaged: u64,
}

impl Journal {
    /// Longest record, in bytes.
    pub const MAX_RECORD: usize = 1 << 20;

    /// A new journal, its first record on the disk as the spool's [`Durability`] says.
    ///
    /// # Errors
    /// [`SpoolError::Unfinished`] if there is one already; [`SpoolError::Disk`].
    pub fn create(spool: &Spool, first: &[u8]) -> Result<Self, SpoolError> {
        let path = spool.directory().join(FILE_NAME);
        let disk_of = spool.disk();
        let file = disk_of.open(&path, OpenMode::New).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => SpoolError::Unfinished { path: path.clone() },
            _ => disk(&path, source),
        })?;
        lock(&*file, &path)?;
        let mut journal = Self {
            disk: Arc::clone(disk_of),
            file,
            path,
            durability: spool.durability(),
            len: 0,
            buffer: HEADER.into(),
            broken: false,
        };
        // By itself, so that no power cut leaves a record without it: nobody would know what the file is.
        let begun = journal
            .commit()
            .and_then(|()| journal.append(first))
            .and_then(|()| journal.commit())
            .and_then(|()| {
                if journal.durability == Durability::Sync {
                    disk_of.sync_dir(spool.directory()).map_err(|source| disk(spool.directory(), source))?;
                }
                Ok(())
            });
        match begun {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.remove();
                Err(error)
            }
        }
    }

    /// Opens the journal of a task whose process has died, and gives each whole record to `take`, in order. What is
    /// torn at its end is cut off.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] while a process writes to it; [`SpoolError::NotAJournal`]; [`SpoolError::Disk`], also
    /// when there is none.
    pub fn open(spool: &Spool, take: impl FnMut(&[u8])) -> Result<(Self, JournalState), SpoolError> {
        let path = spool.directory().join(FILE_NAME);
        let failed = |source| disk(&path, source);
        let disk_of = spool.disk();
        if disk_of.look(&path).map_err(failed)?.file().is_none() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let mut file = disk_of.open(&path, OpenMode::Change).map_err(failed)?;
        lock(&*file, &path)?;
        let (state, len) = Scan::new(&mut *file).run(take).map_err(failed)?;
        let Some(len) = len else { return Err(SpoolError::NotAJournal { path }) };
        let durability = spool.durability();
        let disk_of = Arc::clone(disk_of);
        let mut journal =
            Self { disk: disk_of, file, path, durability, len, buffer: Vec::new(), broken: false };
        if state.torn > 0 {
            journal.cut()?;
        }
        journal.file.seek(SeekFrom::Start(len)).map_err(|source| disk(&journal.path, source))?;
        if len == 0 {
            journal.buffer = HEADER.into();
        }
        Ok((journal, state))
    }

    /// Adds a record, for the next [`Journal::commit`].
    ///
    /// # Errors
    /// [`SpoolError::RecordTooLarge`]: nothing is added.
    pub fn append(&mut self, record: &[u8]) -> Result<(), SpoolError> {
        let len = u32::try_from(record.len()).ok().filter(|_| record.len() <= Self::MAX_RECORD);
        let Some(len) = len else {
            return Err(SpoolError::RecordTooLarge { path: self.path.clone(), bytes: record.len() });
        };
        self.buffer.extend_from_slice(&MARK);
        self.buffer.extend_from_slice(&len.to_le_bytes());
        self.buffer.extend_from_slice(&checksum(len, record).to_le_bytes());
        self.buffer.extend_from_slice(record);
        Ok(())
    }

    /// Writes what was appended, and under [`Durability::Sync`] presses it to the disk.
    ///
    /// # Errors
    /// [`SpoolError::Disk`]: none of it counts. Where the disk was full the journal is as before and takes records
    /// again; after a failed sync it takes no more ([`SpoolError::JournalBroken`]), because nobody knows what is on the
    /// disk.
    pub fn commit(&mut self) -> Result<(), SpoolError> {
        self.write()?;
        if self.durability == Durability::Sync
            && let Err(source) = self.file.sync_data()
        {
            self.broken = true;
            return Err(disk(&self.path, source));
        }
        Ok(())
    }

    /// As [`Journal::commit`], but nothing is pressed to the disk: what is written survives the death of the process.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn write(&mut self) -> Result<(), SpoolError> {
        if self.broken {
            self.buffer.clear();
            return Err(SpoolError::JournalBroken { path: self.path.clone() });
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        if let Err(source) = written {
            // A part of it may be there.
            self.broken = self.cut().is_err() || self.file.seek(SeekFrom::Start(self.len)).is_err();
            return Err(disk(&self.path, source));
        }
        self.len += bytes;
        Ok(())
    }

    /// Whether a sync has failed: it takes no more records.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Removes the journal's file: nothing of the task is left to do. Other processes are kept out until this is
    /// dropped.
    pub fn remove(&self) {
        // What was removed before has to be gone first: without the journal nobody would know what it is.
        let directory = self.path.parent().filter(|_| self.durability == Durability::Sync);
        if directory.is_none_or(|directory| self.disk.sync_dir(directory).is_ok()) {
            // What stays is found by the next recovery, which ends it once more.
            let _ = self.disk.remove_file(&self.path);
        }
    }

    fn cut(&mut self) -> Result<(), SpoolError> {
        let cut = self.file.set_len(self.len).and_then(|()| match self.durability {
            Durability::Sync => self.file.sync_all(),
            Durability::Relaxed => Ok(()),
        });
        cut.map_err(|source| disk(&self.path, source))
    }
}

fn checksum(len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Keeps other processes out for as long as `file` is open.
fn lock(file: &dyn DiskFile, path: &Path) -> Result<(), SpoolError> {
    file.lock().map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => SpoolError::Locked { path: path.to_owned() },
        _ => disk(path, source),
    })
}

fn disk(path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Disk { path: path.to_owned(), source }
}

/// Finds whole records, a record's bytes at a time.
struct Scan<'a> {
    file: &'a mut dyn DiskFile,
    /// The file from `at` on.
    bytes: Vec<u8>,
    at: u64,
}

impl<'a> Scan<'a> {
    fn new(file: &'a mut dyn DiskFile) -> Self {
        Self { file, bytes: Vec::new(), at: 0 }
    }

    /// Also gives the end of the last whole record; `None` if this is no journal.
    fn run(mut self, mut take: impl FnMut(&[u8])) -> io::Result<(JournalState, Option<u64>)> {
        let mut state = JournalState::default();
        let header = self.peek(HEADER.len())?;
        if header.len() < HEADER.len() {
            let torn = header.len() as u64;
            // A power cut may leave the size of what was written, and zeros.
            let begun = HEADER.starts_with(header) || header.iter().all(|byte| *byte == 0);
            return Ok((JournalState { torn, ..state }, begun.then_some(0)));
        }
        if header == [0; HEADER.len()] && self.peek(HEADER.len() + 1)?.len() == HEADER.len() {
            return Ok((JournalState { torn: HEADER.len() as u64, ..state }, Some(0)));
        }
        let is_journal = self.peek(HEADER.len())? == HEADER;
        self.skip(HEADER.len());
        let mut good = HEADER.len() as u64;
        loop {
            if let Some(end) = self.record(&mut take)? {
                state.records += 1;
                state.damaged += self.at - good;
                self.skip(end);
                good = self.at;
            } else if !self.skip_to_mark()? {
                break;
            }
        }
        if state.records == 0 && !is_journal {
            return Ok((state, None));
        }
        state.torn = self.at - good;
        Ok((state, Some(good)))
    }

    /// Takes the record that begins here, if one does, and gives its length.
    fn record(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<Option<usize>> {
        let frame = self.peek(FRAME_BYTES)?;
        let Some((mark, rest)) = frame.split_first_chunk::<4>() else { return Ok(None) };
        let Some((len, crc)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Ok(crc) = <[u8; 4]>::try_from(crc) else { return Ok(None) };
        let (len, crc) = (u32::from_le_bytes(*len), u32::from_le_bytes(crc));
        let Some(bytes) = usize::try_from(len).ok().filter(|bytes| *bytes <= Journal::MAX_RECORD) else {
            return Ok(None);
        };
        if *mark != MARK {
            return Ok(None);
        }
        let whole = self.peek(FRAME_BYTES + bytes)?;
        match whole.get(FRAME_BYTES..FRAME_BYTES + bytes) {
            Some(payload) if checksum(len, payload) == crc => {
                take(payload);
                Ok(Some(FRAME_BYTES + bytes))
            }
            _ => Ok(None),
        }
    }

    /// Goes to the next mark after this byte; `false` at the end of the file.
    fn skip_to_mark(&mut self) -> io::Result<bool> {
        if self.peek(1)?.is_empty() {
            return Ok(false);
        }
        self.skip(1);
        loop {
            let bytes = self.peek(4096)?;
            if let Some(found) = bytes.windows(MARK.len()).position(|window| window == MARK) {
                self.skip(found);
                return Ok(true);
            }
            let seen = bytes.len();
            if seen < 4096 {
                self.skip(seen);
                return Ok(false);
            }
            self.skip(seen + 1 - MARK.len());
        }
    }

    /// The next `len` bytes, fewer at the end of the file, and some more that were read with them.
    fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.bytes.len() < len {
            let read = (len - self.bytes.len()).max(64 << 10) as u64;
            if Read::by_ref(&mut self.file).take(read).read_to_end(&mut self.bytes)? == 0 {
                break;
            }
        }
        Ok(&self.bytes[..len.min(self.bytes.len())])
    }

    fn skip(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.at += len as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn spool(root: &Path) -> Spool {
        Spool::open(root, &"task01".parse().unwrap(), Durability::Relaxed).unwrap()
    }

    fn read(spool: &Spool) -> Result<(Vec<Vec<u8>>, JournalState), SpoolError> {
        let mut records = Vec::new();
        let (_, state) = Journal::open(spool, |record| records.push(record.to_vec()))?;
        Ok((records, state))
    }

    /// Records of several sizes, one that looks like a record inside, and their ends in the file.
    fn sample(spool: &Spool) -> (Vec<Vec<u8>>, Vec<u64>) {
        let records = vec![b"first".to_vec(), Vec::new(), MARK.to_vec(), vec![7; 300], b"last".to_vec()];
        let mut journal = Journal::create(spool, &records[0]).unwrap();
        let mut ends = vec![journal.len];
        for record in &records[1..] {
            journal.append(record).unwrap();
            journal.commit().unwrap();
            ends.push(journal.len);
        }
        (records, ends)
    }

    #[test]
    fn a_cut_at_any_byte_costs_the_records_behind_it_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        let (records, ends) = sample(&spool);
        let path = spool.directory().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let left = ends.iter().filter(|end| **end <= cut as u64).count();
            let (found, state) = read(&spool).unwrap();
            assert_eq!(found, records[..left], "cut at {cut}");
            assert_eq!(state.damaged, 0);
            // Twice is once, and what is added next comes behind it.
            let (mut journal, state) = Journal::open(&spool, |_| ()).unwrap();
            assert_eq!((state.records, state.torn), (left as u64, 0), "cut at {cut}");
            journal.append(b"next").unwrap();
            journal.commit().unwrap();
            drop(journal);
            let (found, _) = read(&spool).unwrap();
            assert_eq!(found[..left], records[..left]);
            assert_eq!(found[left..], [b"next".to_vec()], "cut at {cut}");
        }
    }

    #[test]
    fn a_power_cut_at_its_beginning_leaves_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        drop(Journal::create(&spool, b"first").unwrap());
        let path = spool.directory().join(FILE_NAME);
        for zeros in 0..=HEADER.len() {
            fs::write(&path, &[0; HEADER.len()][..zeros]).unwrap();
            let (mut journal, state) = Journal::open(&spool, |_| panic!("no record")).unwrap();
            assert_eq!((state.records, state.torn), (0, zeros as u64));
            journal.append(b"next").unwrap();
            journal.commit().unwrap();
            drop(journal);
            assert_eq!(read(&spool).unwrap().0, [b"next".to_vec()], "{zeros} zeros");
        }
        fs::write(&path, [0; HEADER.len() + 1]).unwrap();
        assert!(matches!(read(&spool), Err(SpoolError::NotAJournal { .. })));
    }

    #[test]
    fn a_flip_of_any_bit_costs_its_own_record_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        let (records, ends) = sample(&spool);
        let path = spool.directory().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let (found, state) = read(&spool).unwrap();
            let mut left = records.clone();
            if bit / 8 >= HEADER.len() {
                left.remove(ends.iter().filter(|end| **end <= (bit / 8) as u64).count());
                assert!(state.damaged + state.torn > 0);
            }
            assert_eq!(found, left, "bit {bit}");
        }
    }

    #[test]
    fn one_writer_at_a_time_and_no_second_beginning() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool(root.path());
        let journal = Journal::create(&spool, b"first").unwrap();
        assert!(matches!(Journal::create(&spool, b"again"), Err(SpoolError::Unfinished { .. })));
        assert!(matches!(Journal::open(&spool, |_| ()), Err(SpoolError::Locked { .. })));
        drop(journal);
        assert_eq!(read(&spool).unwrap().0, [b"first".to_vec()]);
        let (mut journal, _) = Journal::open(&spool, |_| ()).unwrap();
        let large = vec![0; Journal::MAX_RECORD + 1];
        assert!(matches!(journal.append(&large), Err(SpoolError::RecordTooLarge { .. })));
        journal.append(&large[1..]).unwrap();
        journal.commit().unwrap();
        drop(journal);
        assert_eq!(read(&spool).unwrap().0[1].len(), Journal::MAX_RECORD);
        fs::write(spool.directory().join(FILE_NAME), b"some other file").unwrap();
        assert!(matches!(Journal::open(&spool, |_| ()), Err(SpoolError::NotAJournal { .. })));
    }
}
