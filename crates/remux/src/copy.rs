use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use recorder_hls::index::Samples;
use recorder_mp4::MovieWriter;
use recorder_types::MediaKind;

use crate::error::CopyError;
use crate::file::{FileInput, FilePlan};

/// Bytes of media between two [`CopyStep::Output`]s.
const OUTPUT: usize = 256 << 10;

/// What [`Copier::poll`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// Supply this segment of this input, whole.
    Need {
        /// Index of the input.
        input: usize,
        /// Number of the segment.
        segment: u32,
    },
    /// Take what is ready, with [`Copier::write_to`] or [`Copier::next_bytes`]. About a megabyte.
    Output,
    /// The file is complete.
    Done,
}

/// Writes a planned file: segments in, bytes of the file out, front to back, each once.
///
/// Contract: poll, do what it says, until [`CopyStep::Done`]. In memory are one segment of each input and about half a
/// second of media, whatever the length.
#[derive(Debug)]
pub struct Copier {
    writer: MovieWriter,
    order: ChunkOrder,
    inputs: Vec<InputCopy>,
    tracks: Vec<TrackCopy>,
    /// Bytes pushed since the last output.
    pushed: usize,
    /// Something is to be taken.
    output: bool,
}

/// Tracks in the order of the file, and how many samples of each lie together: what the writer waits for.
#[derive(Debug, Default)]
struct ChunkOrder {
    chunks: VecDeque<(u16, u16)>,
    /// Samples that came and are not counted off yet, by track.
    early: Vec<u64>,
}

#[derive(Debug)]
struct InputCopy {
    plan: FileInput,
    /// Number of the segment that is read, or is to be read next.
    segment: u32,
    asked: bool,
    /// Of the segments so far.
    samples: Option<Samples>,
    /// There are no more samples in the segment.
    empty: bool,
}

#[derive(Debug)]
struct TrackCopy {
    input: usize,
    kind: MediaKind,
    track: usize,
    /// Segment that the first sample is in.
    first: u32,
    /// Samples to be passed over in the segment that is read.
    skip: u32,
    first_skip: u32,
}

impl Copier {
    /// Begins to write a file.
    #[must_use]
    pub fn new(file: FilePlan) -> Self {
        let FilePlan { movie, tracks, inputs, .. } = file;
        let mut order = ChunkOrder::default();
        for chunk in movie.chunks() {
            order.add(chunk.track, chunk.samples);
        }
        let tracks = tracks.iter().map(|track| TrackCopy {
            input: track.input,
            kind: track.kind,
            track: track.track,
            first: track.segment,
            skip: 0,
            first_skip: track.sample,
        });
        let tracks: Vec<TrackCopy> = tracks.collect();
        let inputs = inputs.into_iter().enumerate().map(|(index, plan)| {
            let firsts = tracks.iter().filter(|track| track.input == index).map(|track| track.first);
            InputCopy { plan, segment: firsts.min().unwrap_or(0), asked: false, samples: None, empty: true }
        });
        Self {
            writer: MovieWriter::new(movie),
            order,
            inputs: inputs.collect(),
            tracks,
            pushed: 0,
            output: true,
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`CopyError`]; the file is of no use then.
    pub fn poll(&mut self) -> Result<CopyStep, CopyError> {
        loop {
            if std::mem::take(&mut self.output) || self.pushed >= OUTPUT {
                self.pushed = 0;
                return Ok(CopyStep::Output);
            }
            let Some(wanted) = self.order.wanted() else {
                self.output = self.pushed > 0;
                if self.output {
                    continue;
                }
                return Ok(CopyStep::Done);
            };
            let Some(input) = self.tracks.iter().find(|track| track.track == wanted).map(|track| track.input)
            else {
                return Ok(CopyStep::Done); // not so: a chunk's track has samples
            };
            if let Some(step) = self.advance(input)? {
                return Ok(step);
            }
        }
    }

    /// Gives the segment that was asked for.
    ///
    /// # Errors
    /// [`CopyError::NotAsked`], with nothing changed.
    pub fn supply(&mut self, input: usize, segment: Bytes) -> Result<(), CopyError> {
        let state = self.inputs.get_mut(input).filter(|state| state.asked);
        let state = state.ok_or(CopyError::NotAsked { input })?;
        state.asked = false;
        match &mut state.samples {
            Some(samples) => samples.next_segment(segment),
            None => state.samples = Some(Samples::new(segment)),
        }
        state.empty = false;
        let number = state.segment;
        let dropped =
            state.plan.drops.iter().find(|(segment, _)| *segment == number).map(|(_, count)| *count);
        for track in self.tracks.iter_mut().filter(|track| track.input == input) {
            track.skip = match (number.cmp(&track.first), track.kind) {
                (Ordering::Less, _) => u32::MAX,
                (Ordering::Equal, _) => track.first_skip,
                (Ordering::Greater, MediaKind::Video) => dropped.unwrap_or(0),
                (Ordering::Greater, MediaKind::Audio) => 0,
            };
        }
        Ok(())
    }

    /// Writes all that is ready to `out`, many samples in one call.
    ///
    /// # Errors
    /// What `out` says. Some of it may have been written: begin anew.
    pub fn write_to(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        self.writer.write_to(out)
    }

    /// The next bytes of the file that are ready.
    pub fn next_bytes(&mut self) -> Option<Bytes> {
        self.writer.poll()
    }

    /// Bytes of the whole file.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.writer.plan().file_len()
    }

    /// Never: a file has a sample at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Takes one sample of this input, or says that the next segment is needed.
    fn advance(&mut self, input: usize) -> Result<Option<CopyStep>, CopyError> {
        let state = &mut self.inputs[input];
        let segment = state.segment;
        let Some(samples) = state.samples.as_mut().filter(|_| !state.empty) else {
            while state.plan.missing.contains(&state.segment) {
                state.segment += 1;
            }
            if state.segment >= state.plan.segments {
                return Err(CopyError::Ended { input, segments: state.plan.segments });
            }
            state.asked = true;
            return Ok(Some(CopyStep::Need { input, segment: state.segment }));
        };
        let sample = match samples.next() {
            Some(Ok(sample)) => sample,
            Some(Err(source)) => return Err(CopyError::Segment { input, segment, source }),
            None => {
                state.empty = true;
                state.segment += 1;
                return Ok(None);
            }
        };
        let track = self.tracks.iter_mut().find(|track| (track.input, track.kind) == (input, sample.kind));
        let Some(track) = track else { return Ok(None) };
        if track.skip > 0 {
            if track.skip != u32::MAX {
                track.skip -= 1;
            }
            return Ok(None);
        }
        if self.writer.is_full(track.track) {
            return Ok(None); // of the next file
        }
        let len = sample.data.len();
        let pushed = self.writer.push(track.track, sample.data);
        pushed.map_err(|source| CopyError::Changed { input, segment, source: Some(source) })?;
        self.order.push(track.track);
        self.pushed += len;
        Ok(None)
    }
}

impl ChunkOrder {
    fn add(&mut self, track: usize, samples: u32) {
        if self.early.len() <= track {
            self.early.resize(track + 1, 0);
        }
        let track = u16::try_from(track).unwrap_or(u16::MAX);
        let mut samples = samples;
        while samples > 0 {
            let part = u16::try_from(samples).unwrap_or(u16::MAX);
            self.chunks.push_back((track, part));
            samples -= u32::from(part);
        }
    }

    /// Track of the sample that the writer waits for; `None` at the end.
    fn wanted(&mut self) -> Option<usize> {
        loop {
            let (track, left) = self.chunks.front_mut()?;
            let track = usize::from(*track);
            let early = self.early.get_mut(track)?;
            let taken = u16::try_from((*early).min(u64::from(*left))).unwrap_or(*left);
            *early -= u64::from(taken);
            *left -= taken;
            if *left > 0 {
                return Some(track);
            }
            self.chunks.pop_front();
        }
    }

    /// A sample of this track was pushed.
    fn push(&mut self, track: usize) {
        if let Some(early) = self.early.get_mut(track) {
            *early += 1;
        }
    }
}
