use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use recorder_types::Sample;

use crate::error::{FileError, TrackError};
use crate::reader::{Event, Need, Reader, ReaderOptions};
use crate::track::{RejectedTrack, SampleRef, TrackInfo};

/// Payload that is read in one go, more or less.
const BATCH_BYTES: u64 = 1 << 20;
/// Samples of one batch at most.
const BATCH_SAMPLES: usize = 4096;
/// Bytes between two samples that are rather read than skipped.
const MAX_GAP: u64 = 4 << 10;

/// Buffers that are kept for the next reads, and the longest of them: a batch whose last sample is large.
const KEPT_BUFFERS: usize = 8;
const KEPT_BYTES: usize = 4 << 20;
/// Shorter ones (headers, the last batch) are not worth keeping.
const BATCH_FLOOR: usize = 1 << 20;

/// One sample with its payload, out of a [`FileReader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSample {
    /// Where it was and what it is.
    pub at: SampleRef,
    /// Times and payload, in the framing of [`TrackInfo::entries`]`[at.entry]`.
    pub sample: Sample,
}

/// Reads the samples of an MP4 file, tracks interleaved by decode time.
///
/// The payload is read about 1 MiB at a time, each byte once, and handed out as slices of that: memory in use is
/// one such batch (or the largest sample), the `moov` box, and what the caller keeps: a payload that is kept holds its
/// whole batch, so copy what is kept for long. Up to eight batches that were let go are kept for the next reads, since
/// memory fresh from the system costs about as much as reading into it.
#[derive(Debug)]
pub struct FileReader<R> {
    file: R,
    /// Where the file stands, so that contiguous reads do not seek.
    position: u64,
    reader: Reader,
    ready: VecDeque<TrackSample>,
    failed: Vec<(usize, TrackError)>,
    ended: bool,
    buffers: Arc<Buffers>,
}

impl<R: Read + Seek> FileReader<R> {
    /// Reads up to the tracks.
    ///
    /// # Errors
    /// [`FileError::Read`] if it is no MP4, [`FileError::Io`] if it cannot be read.
    pub fn open(file: R) -> Result<Self, FileError> {
        Self::open_with(file, ReaderOptions::default())
    }

    /// As [`FileReader::open`], with other limits.
    ///
    /// # Errors
    /// [`FileError::Read`] if it is no MP4, [`FileError::Io`] if it cannot be read.
    pub fn open_with(mut file: R, options: ReaderOptions) -> Result<Self, FileError> {
        let len = file.seek(SeekFrom::End(0)).map_err(|source| FileError::Io { at: 0, len: 0, source })?;
        let mut this = Self {
            file,
            position: len,
            reader: Reader::new(len, options),
            ready: VecDeque::new(),
            failed: Vec::new(),
            ended: false,
            buffers: Arc::default(),
        };
        loop {
            match this.reader.poll()? {
                Event::Need(need) => this.answer(need)?,
                _ => return Ok(this),
            }
        }
    }

    /// The tracks that can be read, in the order of the file.
    #[must_use]
    pub fn tracks(&self) -> &[TrackInfo] {
        self.reader.tracks()
    }

    /// The tracks that cannot be read, in the order of the file.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedTrack] {
        self.reader.rejected()
    }

    /// Tracks that ended early, by index, and why. Complete once [`FileReader::next_sample`] gave `None`.
    #[must_use]
    pub fn failed(&self) -> &[(usize, TrackError)] {
        &self.failed
    }

    /// Where the file was cut off: see [`Reader::cut_at`].
    #[must_use]
    pub const fn cut_at(&self) -> Option<u64> {
        self.reader.cut_at()
    }

    /// The next sample in decode order; `None` after the last.
    ///
    /// A track that turns out to be bad ends; see [`FileReader::failed`].
    ///
    /// # Errors
    /// [`FileError::Io`] if the file cannot be read, [`FileError::Read`] if a fragment is over the limits.
    pub fn next_sample(&mut self) -> Result<Option<TrackSample>, FileError> {
        if self.ready.is_empty() && !self.ended {
            self.fill()?;
        }
        Ok(self.ready.pop_front())
    }

    fn fill(&mut self) -> Result<(), FileError> {
        let mut batch: Vec<SampleRef> = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && batch.len() < BATCH_SAMPLES {
            match self.reader.poll()? {
                Event::Need(need) => self.answer(need)?,
                Event::Sample(sample) => {
                    bytes += u64::from(sample.len);
                    batch.push(sample);
                }
                Event::TrackFailed { track, error } => self.failed.push((track, error)),
                Event::Tracks => {}
                Event::End => {
                    self.ended = true;
                    break;
                }
            }
        }
        let payloads = self.read_batch(&batch)?;
        self.ready.extend(
            batch
                .into_iter()
                .zip(payloads)
                .map(|(at, data)| TrackSample { sample: Sample::reordered(at.pts, at.dts, data), at }),
        );
        Ok(())
    }

    /// The payloads of `batch`, in its order.
    fn read_batch(&mut self, batch: &[SampleRef]) -> Result<Vec<Bytes>, FileError> {
        let mut by_offset: Vec<usize> = (0..batch.len()).collect();
        by_offset.sort_by_key(|&index| batch[index].offset);
        let mut payloads = vec![Bytes::new(); batch.len()];
        let mut rest = &by_offset[..];
        while let Some(&first) = rest.first() {
            // The samples that lie close together are one read.
            let start = batch[first].offset;
            let mut end = start;
            let mut count = 0;
            for &index in rest {
                let SampleRef { offset, len, .. } = batch[index];
                if offset > end.saturating_add(MAX_GAP) {
                    break;
                }
                end = end.max(offset + u64::from(len));
                count += 1;
            }
            let (these, after) = rest.split_at(count);
            rest = after;
            let data = self.read(start, end - start)?;
            for &index in these {
                let SampleRef { offset, len, .. } = batch[index];
                let from = usize::try_from(offset - start).expect("the buffer was allocated");
                payloads[index] = data.slice(from..from + len as usize);
            }
        }
        Ok(payloads)
    }

    fn answer(&mut self, need: Need) -> Result<(), FileError> {
        let data = self.read(need.at, need.len as u64)?;
        Ok(self.reader.supply(data)?)
    }

    fn read(&mut self, at: u64, len: u64) -> Result<Bytes, FileError> {
        let fail = |source| FileError::Io { at, len: usize::try_from(len).unwrap_or(usize::MAX), source };
        let size = usize::try_from(len).map_err(|_| fail(std::io::ErrorKind::OutOfMemory.into()))?;
        if self.position != at {
            self.file.seek(SeekFrom::Start(at)).map_err(fail)?;
        }
        // Where it stands is not known if this fails.
        self.position = u64::MAX;
        let mut bytes = self.buffers.take();
        if let Some(data) = bytes.get_mut(..size) {
            self.file.read_exact(data).map_err(fail)?;
        } else {
            bytes = Vec::with_capacity(size);
            Read::by_ref(&mut self.file).take(len).read_to_end(&mut bytes).map_err(fail)?;
            if bytes.len() != size {
                return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.position = at + len;
        Ok(Bytes::from_owner(Buffer { bytes, len: size, home: Arc::clone(&self.buffers) }))
    }
}

/// Buffers that nobody reads any more, whole as they were: what is written over needs no zeroing.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// One of them, or an empty one.
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put_back(&self, bytes: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_BUFFERS && (BATCH_FLOOR..=KEPT_BYTES).contains(&bytes.len()) {
            kept.push(bytes);
        }
    }
}

/// What was read: the first `len` bytes of a buffer that goes home when the last payload in it is dropped.
struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.put_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_home_when_its_last_slice_is_dropped() {
        let home = Arc::new(Buffers::default());
        let kept = |home: &Buffers| home.0.lock().unwrap().len();
        let bytes = vec![7; BATCH_FLOOR];
        let address = bytes.as_ptr();
        let whole = Bytes::from_owner(Buffer { bytes, len: 100, home: Arc::clone(&home) });
        let slice = whole.slice(10..20);
        assert_eq!(whole.len(), 100);
        drop(whole);
        assert_eq!((kept(&home), &slice[..]), (0, &[7; 10][..]));
        drop(slice);
        assert_eq!(kept(&home), 1);
        let again = home.take();
        assert_eq!((again.as_ptr(), again.len()), (address, BATCH_FLOOR));
        for len in [BATCH_FLOOR - 1, KEPT_BYTES + 1] {
            home.put_back(vec![0; len]);
            assert_eq!(kept(&home), 0, "{len}");
        }
        for _ in 0..KEPT_BUFFERS + 3 {
            home.put_back(vec![0; BATCH_FLOOR]);
        }
        assert_eq!(kept(&home), KEPT_BUFFERS);
    }
}
