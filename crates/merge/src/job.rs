//! One output while it is made: its segments, read when their turn comes.

use std::io;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_types::aac::FRAME_SAMPLES;
use recorder_types::{MediaKind, UnixMillis, with_causes};

use crate::clock::{Clocks, HZ};
use crate::error::MergeError;
use crate::execute::Progress;
use crate::plan::{Output, Piece, Skipped, SkippedReason};
use crate::source::Source;

pub(crate) struct Job<'a> {
    pub(crate) output: &'a Output,
    source: &'a mut dyn Source,
    progress: &'a mut dyn FnMut(&Progress<'_>),
    clocks: Clocks,
    /// What is added to the time stamps of each piece, once it was read.
    offsets: Vec<Option<i64>>,
    /// Pieces that cannot be used.
    skipped: Vec<(usize, SkippedReason)>,
    /// The segment that was read last: both kinds may be in one.
    last: Option<(usize, Loaded)>,
    /// The piece that was asked for last, for messages.
    at: usize,
    done: u64,
    of: u64,
}

/// A segment that was read.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) index: SegmentIndex,
    pub(crate) data: Bytes,
    /// What is added to its time stamps.
    pub(crate) offset: i64,
}

impl<'a> Job<'a> {
    /// `of` is how many bytes will be read.
    pub(crate) fn new(
        output: &'a Output,
        source: &'a mut dyn Source,
        progress: &'a mut dyn FnMut(&Progress<'_>),
        of: u64,
    ) -> Self {
        Self {
            output,
            source,
            progress,
            clocks: Clocks::new(output),
            offsets: vec![None; output.pieces.len()],
            skipped: Vec::new(),
            last: None,
            at: 0,
            done: 0,
            of,
        }
    }

    /// The numbers of the pieces that `kind` is taken from, in order.
    pub(crate) fn lane(output: &Output, kind: MediaKind) -> impl Iterator<Item = usize> {
        let is_of = move |piece: &Piece| match kind {
            MediaKind::Video => piece.has_video(),
            MediaKind::Audio => piece.has_audio(),
        };
        output.pieces.iter().enumerate().filter(move |(_, piece)| is_of(piece)).map(|(number, _)| number)
    }

    /// A segment with its index; `None` if it cannot be used, which is noted.
    pub(crate) fn load(&mut self, number: usize) -> Result<Option<Loaded>, MergeError> {
        if let Some((_, loaded)) = self.last.as_ref().filter(|(last, _)| *last == number) {
            let loaded = loaded.clone();
            self.count(number);
            return Ok(Some(loaded));
        }
        let Some(data) = self.read(number)? else { return Ok(None) };
        let Some(piece) = self.output.pieces.get(number) else { return Ok(None) };
        let index = match SegmentIndex::from_ts(&data, UnixMillis::EPOCH, false, None) {
            Ok(index) => index,
            Err(error) => {
                self.skip(number, SkippedReason::DamagedSegment(with_causes(&error)));
                return Ok(None);
            }
        };
        let picture = index.video().and_then(|video| video.pictures().next()).map(|picture| picture.pts);
        let frame = index.audio().and_then(|audio| audio.frames().next()).map(|frame| frame.pts);
        // Segments of sound alone are named by a grid, not by their first frame.
        let grain = match index.audio() {
            Some(audio) if picture.is_none() => {
                HZ * i64::from(FRAME_SAMPLES) / i64::from(audio.config().sample_rate())
            }
            _ => 0,
        };
        let Some(presented) = picture.into_iter().chain(frame).min() else {
            self.skip(number, SkippedReason::DamagedSegment("it has no samples".into()));
            return Ok(None);
        };
        let offset = match self.offsets.get_mut(number) {
            Some(Some(offset)) => *offset,
            unknown => {
                let offset = self.clocks.place(piece, presented, grain);
                if let Some(unknown) = unknown {
                    *unknown = Some(offset);
                }
                offset
            }
        };
        let loaded = Loaded { index, data, offset };
        self.last = Some((number, loaded.clone()));
        Ok(Some(loaded))
    }

    /// The bytes of a segment; `None` if it is not there any more, which is noted.
    pub(crate) fn read(&mut self, number: usize) -> Result<Option<Bytes>, MergeError> {
        self.at = number;
        let Some(piece) = self.output.pieces.get(number) else { return Ok(None) };
        if self.skipped.iter().any(|(skipped, _)| *skipped == number) {
            return Ok(None);
        }
        let data = match self.source.segment(&piece.segment) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.skip(number, SkippedReason::Missing);
                return Ok(None);
            }
            Err(source) => return Err(MergeError::Read { name: piece.segment.clone(), source }),
        };
        self.count(number);
        Ok(Some(data))
    }

    /// Name of the segment that was asked for last.
    pub(crate) fn segment(&self) -> String {
        self.output.pieces.get(self.at).map(|piece| piece.segment.clone()).unwrap_or_default()
    }

    /// Ticks from the output's zero to its end.
    pub(crate) fn end(&self) -> i64 {
        crate::clock::ticks(self.output.duration_nanos)
    }

    pub(crate) fn into_skipped(mut self) -> Vec<Skipped> {
        self.skipped.sort_by_key(|(number, _)| *number);
        let name = |number: usize| self.output.pieces.get(number).map(|piece| piece.segment.clone());
        let skipped = self.skipped.into_iter();
        skipped.filter_map(|(number, reason)| Some(Skipped { name: name(number)?, reason })).collect()
    }

    fn skip(&mut self, number: usize, reason: SkippedReason) {
        if !self.skipped.iter().any(|(skipped, _)| *skipped == number) {
            self.skipped.push((number, reason));
        }
    }

    fn count(&mut self, number: usize) {
        let bytes = self.output.pieces.get(number).map_or(0, |piece| piece.bytes);
        self.done = self.done.saturating_add(bytes).min(self.of);
        (self.progress)(&Progress { output: &self.output.name, done: self.done, of: self.of });
    }
}
