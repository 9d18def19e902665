use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};

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
/// whole batch, so copy what is kept for long.
#[derive(Debug)]
pub struct FileReader<R> {
    file: R,
    /// Where the file stands, so that contiguous reads do not seek.
    position: u64,
    reader: Reader,
    ready: VecDeque<TrackSample>,
    failed: Vec<(usize, TrackError)>,
    ended: bool,
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
        let mut data = Vec::with_capacity(size);
        Read::by_ref(&mut self.file).take(len).read_to_end(&mut data).map_err(fail)?;
        if data.len() != size {
            return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
        }
        self.position = at + len;
        Ok(data.into())
    }
}
