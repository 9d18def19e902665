use std::collections::VecDeque;
use std::io::{IoSlice, Write};

use bytes::Bytes;
use recorder_types::RoomTime;

use crate::moov::{ChunkPlace, HeaderPieces, Layout, RawChunk};
use crate::plan::MovieIndex;
use crate::tables::{TableKind, TablePlace};

/// Slices that go into one system call at most.
const MAX_SLICES: usize = 256;

/// A file of which everything but the media is known.
#[derive(Debug)]
pub struct MoviePlan {
    index: MovieIndex,
    layout: Layout,
    duration: RoomTime,
}

/// Samples of one track that lie together in the file, in decode order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the track.
    pub track: usize,
    /// How many samples.
    pub samples: u32,
    /// Their bytes together.
    pub bytes: u64,
    /// First byte in the file.
    pub offset: u64,
}

impl MoviePlan {
    pub(crate) fn new(index: MovieIndex, layout: Layout) -> Self {
        Self { duration: index.duration(), index, layout }
    }

    /// Bytes of the whole file.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.layout.file_len()
    }

    /// Bytes in front of the media: `ftyp`, `moov` and the header of `mdat`.
    #[must_use]
    pub const fn header_len(&self) -> u64 {
        self.layout.header_len()
    }

    /// The longest presentation of any track, from the begin of the file's time.
    #[must_use]
    pub const fn duration(&self) -> RoomTime {
        self.duration
    }

    /// Samples of a track; 0 for one that is left out.
    #[must_use]
    pub fn samples(&self, track: usize) -> u32 {
        self.index.samples(track)
    }

    /// The bytes in front of the media, in pieces of about 64 KiB.
    pub fn header(&self) -> impl Iterator<Item = Bytes> {
        let mut pieces = HeaderPieces::new(&self.index, &self.layout);
        std::iter::from_fn(move || pieces.next(&self.index, &self.layout))
    }

    /// What comes after the header, in order and without gaps: for whoever copies ranges instead of pushing samples.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let mut place = ChunkPlace::default();
        let header = self.layout.header_len();
        std::iter::from_fn(move || {
            let RawChunk { track, samples, bytes, at, .. } = place.next(&self.index)?;
            Some(Chunk { track, samples, bytes, offset: header + at })
        })
    }
}

/// Why media cannot be written as planned. The caller gave other samples than to the index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The sample has another length than was planned.
    #[error("track {track}: sample of {got} bytes where {planned} were planned")]
    Length {
        /// Its track.
        track: usize,
        /// What the plan says.
        planned: u32,
        /// What came.
        got: usize,
    },
    /// The track has all its samples, or is not there.
    #[error("track {track} has no more samples in this file")]
    TooMany {
        /// Its track.
        track: usize,
    },
    /// Samples are missing.
    #[error("track {track}: {missing} samples were planned and did not come")]
    Missing {
        /// The first such track.
        track: usize,
        /// How many.
        missing: u32,
    },
}

/// Passes the media of a planned file through: push the samples in any order that keeps each track's, take the bytes
/// of the file from [`MovieWriter::poll`], front to back, each once.
///
/// A sample that comes before its turn is held (not copied); with samples pushed in about the order of the index that
/// is half a second of media.
#[derive(Debug)]
pub struct MovieWriter {
    plan: MoviePlan,
    header: HeaderPieces,
    place: ChunkPlace,
    /// The chunk that is being written, and how many of its samples are left.
    chunk: Option<(usize, u32)>,
    tracks: Vec<WriterTrack>,
    out: VecDeque<Bytes>,
}

#[derive(Debug)]
struct WriterTrack {
    sizes: TablePlace,
    left: u32,
    held: VecDeque<Bytes>,
}

impl MovieWriter {
    /// Begins the file. The header can be polled at once.
    #[must_use]
    pub fn new(plan: MoviePlan) -> Self {
        let tracks = (0..plan.index.tracks.len()).map(|track| WriterTrack {
            sizes: TablePlace::default(),
            left: plan.samples(track),
            held: VecDeque::new(),
        });
        let mut this = Self {
            header: HeaderPieces::new(&plan.index, &plan.layout),
            place: ChunkPlace::default(),
            chunk: None,
            tracks: tracks.collect(),
            out: VecDeque::new(),
            plan,
        };
        this.enter_chunk();
        this
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &MoviePlan {
        &self.plan
    }

    /// Whether `track` has all its samples.
    #[must_use]
    pub fn is_full(&self, track: usize) -> bool {
        self.tracks.get(track).is_none_or(|track| track.left == 0)
    }

    /// Takes the next sample of `track`.
    ///
    /// # Errors
    /// [`WriteError`], with nothing changed, if it is not what the plan says.
    pub fn push(&mut self, track: usize, data: Bytes) -> Result<(), WriteError> {
        let (Some(state), Some(planned)) = (self.tracks.get_mut(track), self.plan.index.tracks.get(track))
        else {
            return Err(WriteError::TooMany { track });
        };
        let mut place = state.sizes;
        let size = planned.tables.words(TableKind::Sizes, &mut place).filter(|_| state.left > 0);
        let Some(([size, _], _)) = size else {
            return Err(WriteError::TooMany { track });
        };
        if usize::try_from(size).ok() != Some(data.len()) {
            return Err(WriteError::Length { track, planned: size, got: data.len() });
        }
        state.sizes = place;
        state.left -= 1;
        state.held.push_back(data);
        self.advance();
        Ok(())
    }

    /// The next bytes of the file; `None` until more is pushed, or at the end.
    pub fn poll(&mut self) -> Option<Bytes> {
        self.header.next(&self.plan.index, &self.plan.layout).or_else(|| self.out.pop_front())
    }

    /// Writes all that [`MovieWriter::poll`] has to `out`, many samples in one call.
    ///
    /// # Errors
    /// What `out` says. Some of it may have been written: begin anew.
    pub fn write_to(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        while let Some(piece) = self.header.next(&self.plan.index, &self.plan.layout) {
            out.write_all(&piece)?;
        }
        while !self.out.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.out.iter().take(MAX_SLICES).map(|data| IoSlice::new(data)).collect();
            let mut written = out.write_vectored(&slices)?;
            if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            while let Some(front) = self.out.front_mut() {
                if front.len() > written {
                    drop(front.split_to(written));
                    break;
                }
                written -= front.len();
                self.out.pop_front();
                if written == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Says that all was pushed and polled.
    ///
    /// # Errors
    /// [`WriteError::Missing`] if not all samples came.
    pub fn finish(self) -> Result<(), WriteError> {
        match self.tracks.iter().enumerate().find(|(_, state)| state.left > 0) {
            Some((track, state)) => Err(WriteError::Missing { track, missing: state.left }),
            None => Ok(()),
        }
    }

    /// Moves what has its turn to `out`.
    fn advance(&mut self) {
        while let Some((track, left)) = self.chunk {
            let Some(data) = self.tracks.get_mut(track).and_then(|state| state.held.pop_front()) else {
                return;
            };
            self.out.push_back(data);
            self.chunk = Some((track, left - 1));
            if left == 1 {
                self.enter_chunk();
            }
        }
    }

    fn enter_chunk(&mut self) {
        self.chunk = self.place.next(&self.plan.index).map(|chunk| (chunk.track, chunk.samples));
    }
}
