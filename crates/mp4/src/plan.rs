use recorder_types::h264::DisplayOrientation;
use recorder_types::{RoomTime, Timescale, Timestamp};

use crate::describe::DescriptionError;
use crate::log::{Log, LogPlace};
use crate::moov::Layout;
use crate::tables::{TableState, Tables};
use crate::track::{DisplayMatrix, SampleEntry};

/// Media that lies together in one piece per track, by decode time and by bytes.
const WINDOW_NANOS: i64 = 500_000_000;
const WINDOW_BYTES: u64 = 1 << 20;
/// Sample entries of one track at most: each change of parameter sets to new ones takes one.
const MAX_ENTRIES: usize = 256;
/// Movie clock where no clock below this fits all tracks.
const MAX_MOVIE_HZ: u64 = 1 << 30;

/// A track to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSetup {
    /// What its samples are.
    pub entry: SampleEntry,
    /// The clock of its samples' times.
    pub timescale: Timescale,
    /// How it is turned for display.
    pub matrix: DisplayMatrix,
}

impl TrackSetup {
    /// A track that is shown as it is coded.
    #[must_use]
    pub const fn new(entry: SampleEntry, timescale: Timescale) -> Self {
        Self { entry, timescale, matrix: DisplayMatrix::IDENTITY }
    }

    /// Turned for display.
    #[must_use]
    pub const fn with_matrix(mut self, matrix: DisplayMatrix) -> Self {
        self.matrix = matrix;
        self
    }

    /// Turned as the elementary stream says. What is no quarter turn stays as it is coded: a player that reads the stream
    /// finds it there.
    #[must_use]
    pub fn with_orientation(self, orientation: DisplayOrientation) -> Self {
        let matrix = self.entry.size.and_then(|size| DisplayMatrix::oriented(orientation, size));
        self.with_matrix(matrix.unwrap_or(DisplayMatrix::IDENTITY))
    }
}

/// What has to be known of a sample before the first byte of media is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// When it is shown or heard.
    pub pts: Timestamp,
    /// When it is decoded: later than the sample of the track before it.
    pub dts: Timestamp,
    /// Ticks that it takes. Counts for the last sample only; for the others the next decode time does.
    pub duration: u32,
    /// Whether decoding can begin here.
    pub sync: bool,
    /// Bytes it will have in the file.
    pub len: u32,
}

/// Why samples cannot be planned into a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The caller named a track that was not added, or adds one after the first sample.
    #[error("no such track, or added too late: {track}")]
    Track {
        /// Its index.
        track: usize,
    },
    /// The caller gave times on another clock than the track's.
    #[error("times are in {got}, the track is in {expected}")]
    Clock {
        /// The track's.
        expected: Timescale,
        /// The sample's.
        got: Timescale,
    },
    /// The caller gave a decode time that is not after the one before.
    #[error("decode time {got:?} is not after {last}")]
    OutOfOrder {
        /// Ticks of the sample before.
        last: i64,
        /// This one.
        got: Timestamp,
    },
    /// The track cannot be described.
    #[error("track cannot be described")]
    Description(#[from] DescriptionError),
    /// The caller ended a file without a sample in it.
    #[error("no samples")]
    Empty,
    /// A gap, reordering or duration is longer than 31 or 32 bits of the track's clock.
    #[error("times around {dts:?} are too far apart")]
    TimeRange {
        /// Where.
        dts: Timestamp,
    },
    /// A video track has no sync sample: it could not be played.
    #[error("video track {track} has no key frame")]
    NoSync {
        /// Its index.
        track: usize,
    },
    /// More than 2^32 - 1 samples in a track.
    #[error("too many samples in one track")]
    TooManySamples,
    /// Too many different descriptions in one track, or tracks.
    #[error("more than {limit} sample entries in a track, or tracks")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// The `moov` box would have 2^32 bytes or more.
    #[error("moov box would be too large")]
    TooLarge,
}

/// Collects sizes and times of all samples of a file that is to be written, compactly: two to six bytes a sample.
///
/// Add the tracks, push the samples interleaved by decode time, and [`MovieIndex::finish`]: then everything in front
/// of the media is known, and [`MovieWriter`](crate::MovieWriter) passes the media through.
#[derive(Debug)]
pub struct MovieIndex {
    pub(crate) tracks: Vec<PlannedTrack>,
    /// Track, entry, samples and bytes of each chunk, in the order of the file.
    pub(crate) chunks: Log,
    pub(crate) state: IndexState,
    pub(crate) origin: Option<Timestamp>,
    pub(crate) movie_scale: Timescale,
}

#[derive(Debug)]
pub(crate) struct PlannedTrack {
    pub(crate) setup: TrackSetup,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tables: Tables,
}

impl PlannedTrack {
    fn entry_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes.len() as u64).sum()
    }

    /// The time from which on the track is presented: that of the first picture in order of display, or of the first
    /// audio frame. Never before the first decode time, where no edit can point to.
    fn begin(&self) -> i64 {
        let state = &self.tables.state;
        if self.setup.entry.is_video() { state.min_pts.max(state.first_dts) } else { state.first_dts }
    }
}

/// A sample entry and the box it becomes.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) entry: SampleEntry,
    pub(crate) bytes: Vec<u8>,
}

/// Everything of a [`MovieIndex`] that is not in the tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexState {
    pub(crate) bytes: u64,
    /// The open window: when it began, and the bytes in it.
    window_start: Option<RoomTime>,
    window_bytes: u64,
    /// What is in it by track, in the order of first appearance.
    window: Vec<OpenChunk>,
    chunks_end: LogPlace,
    /// Bytes of media before the last closed chunk.
    last_chunk_at: u64,
    /// Current entry of each track, and entries of each track, and bytes of them all.
    entry: Vec<u32>,
    entries: Vec<usize>,
    entry_bytes: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct OpenChunk {
    track: usize,
    entry: u32,
    samples: u32,
    bytes: u64,
}

/// A place where a file may end, with all that is needed to go back to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    state: IndexState,
    tables: Vec<TableState>,
}

impl Default for MovieIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl MovieIndex {
    /// Without tracks. The file's time begins at the earliest presentation of any track.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracks: Vec::new(),
            chunks: Log::default(),
            state: IndexState::default(),
            origin: None,
            movie_scale: Timescale::HZ_90000,
        }
    }

    /// The file's time begins at `origin`: what is presented earlier (the priming of an audio encoder) is in the
    /// file but cut from its presentation, what begins later begins later.
    #[must_use]
    pub const fn with_origin(mut self, origin: Timestamp) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Adds a track, before the first sample. The result names it from now on: 0 for the first.
    ///
    /// # Errors
    /// [`PlanError::Description`] if it cannot be written, [`PlanError::Track`] after the first sample.
    pub fn add_track(&mut self, setup: TrackSetup) -> Result<usize, PlanError> {
        let track = self.tracks.len();
        if self.tracks.iter().any(|track| track.tables.state.samples > 0) {
            return Err(PlanError::Track { track });
        }
        if track >= MAX_ENTRIES {
            return Err(PlanError::TooManyEntries { limit: MAX_ENTRIES });
        }
        let bytes = setup.entry.encode()?;
        self.state.entry.push(0);
        self.state.entries.push(1);
        self.state.entry_bytes.push(bytes.len() as u64);
        let entries = vec![Entry { entry: setup.entry.clone(), bytes }];
        self.movie_scale = common_clock(self.movie_scale, setup.timescale, track == 0);
        self.tracks.push(PlannedTrack { setup, entries, tables: Tables::default() });
        Ok(track)
    }

    /// From the next sample of `track` on, its samples are described by `entry`.
    ///
    /// An entry that the track had before is used again.
    ///
    /// # Errors
    /// [`PlanError::Description`], [`PlanError::TooManyEntries`] or [`PlanError::Track`], with nothing changed.
    pub fn change_entry(&mut self, track: usize, entry: &SampleEntry) -> Result<(), PlanError> {
        let planned = self.tracks.get_mut(track).ok_or(PlanError::Track { track })?;
        if planned.tables.state.samples == 0 {
            // Nothing is described by the first one: put this in its place.
            let bytes = entry.encode()?;
            if let Some(entry_bytes) = self.state.entry_bytes.get_mut(track) {
                *entry_bytes = bytes.len() as u64;
            }
            planned.setup.entry = entry.clone();
            planned.entries = vec![Entry { entry: entry.clone(), bytes }];
            return Ok(());
        }
        let known = planned.entries.iter().position(|known| known.entry == *entry);
        let index = match known {
            Some(index) => index,
            None if planned.entries.len() >= MAX_ENTRIES => {
                return Err(PlanError::TooManyEntries { limit: MAX_ENTRIES });
            }
            None if entry.is_video() != planned.setup.entry.is_video() => {
                return Err(DescriptionError::Mismatch.into());
            }
            None => {
                let bytes = entry.encode()?;
                if let Some(entry_bytes) = self.state.entry_bytes.get_mut(track) {
                    *entry_bytes += bytes.len() as u64;
                }
                planned.entries.push(Entry { entry: entry.clone(), bytes });
                if let Some(entries) = self.state.entries.get_mut(track) {
                    *entries += 1;
                }
                planned.entries.len() - 1
            }
        };
        if let (Some(current), Ok(index)) = (self.state.entry.get_mut(track), u32::try_from(index)) {
            *current = index;
        }
        Ok(())
    }

    /// Takes the next sample of `track`.
    ///
    /// The order of calls is about the order in the file: samples should come by decode time, over all tracks.
    ///
    /// # Errors
    /// [`PlanError`], with nothing changed.
    pub fn push(&mut self, track: usize, sample: SampleInfo) -> Result<(), PlanError> {
        let planned = self.tracks.get_mut(track).ok_or(PlanError::Track { track })?;
        planned.tables.push(&sample, planned.setup.timescale)?;
        let entry = self.state.entry.get(track).copied().unwrap_or(0);
        let now = sample.dts.to_room_time().unwrap_or(RoomTime::MAX);
        let start = self.state.window_start.unwrap_or(now);
        let over =
            now.saturating_sub(start).nanos() >= WINDOW_NANOS || self.state.window_bytes >= WINDOW_BYTES;
        let changed = self.state.window.iter().any(|open| open.track == track && open.entry != entry);
        if over || changed {
            self.close_window();
        }
        let state = &mut self.state;
        state.window_start.get_or_insert(now);
        state.window_bytes += u64::from(sample.len);
        state.bytes += u64::from(sample.len);
        match state.window.iter_mut().find(|open| open.track == track) {
            Some(open) => {
                open.samples += 1;
                open.bytes += u64::from(sample.len);
            }
            None => state.window.push(OpenChunk { track, entry, samples: 1, bytes: sample.len.into() }),
        }
        Ok(())
    }

    fn close_window(&mut self) {
        let mut at = self.state.bytes - self.state.window_bytes;
        for open in &self.state.window {
            let OpenChunk { track, entry, samples, bytes } = *open;
            for number in [track as u64, entry.into(), samples.into(), bytes] {
                self.chunks.push(number);
            }
            if let Some(planned) = self.tracks.get_mut(track) {
                planned.tables.state.add_chunk(samples, entry);
            }
            self.state.last_chunk_at = at;
            at += bytes;
        }
        self.state.chunks_end = self.chunks.end();
        self.state.window.clear();
        self.state.window_start = None;
        self.state.window_bytes = 0;
    }

    /// Samples that `track` has so far.
    #[must_use]
    pub fn samples(&self, track: usize) -> u32 {
        self.tracks.get(track).map_or(0, |track| track.tables.state.samples)
    }

    /// Bytes of the whole file if it ended here.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.layout(false).file_len()
    }

    /// Bytes that the whole file has at least if it ends here or later.
    pub(crate) fn least_len(&self) -> u64 {
        self.layout(true).file_len()
    }

    /// Sizes of the parts of the file if it ended here; with `least`, a lower bound that never falls.
    fn layout(&self, least: bool) -> Layout {
        let mut boxes = Layout::MOVIE_BYTES;
        let (mut tracks, mut chunks) = (0, 0);
        let mut last_chunk_at = self.state.last_chunk_at;
        let mut at = self.state.bytes - self.state.window_bytes;
        for open in &self.state.window {
            last_chunk_at = at;
            at += open.bytes;
        }
        for (index, track) in self.tracks.iter().enumerate() {
            let mut state = track.tables.state;
            if state.samples == 0 {
                continue; // left out
            }
            tracks += 1;
            boxes += Layout::track_bytes(track.setup.entry.is_video());
            boxes += self.state.entry_bytes.get(index).copied().unwrap_or(0);
            for open in self.state.window.iter().filter(|open| open.track == index) {
                state.add_chunk(open.samples, open.entry);
            }
            boxes += state.table_bytes(least);
            chunks += u64::from(state.chunks);
            if !least && self.edit(index).delay > 0 {
                boxes += Layout::EDIT_BYTES;
            }
        }
        Layout::new(boxes, tracks, chunks, last_chunk_at, self.state.bytes)
    }

    /// Notes this place in `checkpoint`, whose buffers are used again.
    pub(crate) fn note(&self, checkpoint: &mut Checkpoint) {
        checkpoint.state.clone_from(&self.state);
        checkpoint.tables.clear();
        checkpoint.tables.extend(self.tracks.iter().map(|track| track.tables.state));
    }

    /// Goes back to where `checkpoint` was noted.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) {
        self.state.clone_from(&checkpoint.state);
        self.chunks.truncate(self.state.chunks_end);
        for (track, (state, entries)) in
            self.tracks.iter_mut().zip(checkpoint.tables.iter().zip(&checkpoint.state.entries))
        {
            track.tables.restore(*state);
            track.entries.truncate(*entries);
        }
        let entry_bytes = self.tracks.iter().map(PlannedTrack::entry_bytes);
        self.state.entry_bytes.clear();
        self.state.entry_bytes.extend(entry_bytes);
    }

    /// The latest end of a presentation of `track`; `None` without samples.
    pub(crate) fn end_of(&self, track: usize) -> Option<Timestamp> {
        let track = self.tracks.get(track).filter(|track| track.tables.state.samples > 0)?;
        Some(Timestamp::new(track.tables.state.max_end, track.setup.timescale))
    }

    /// Says that what follows in `track` is `next`, which does not belong to the file: that tells better when the last
    /// sample ends than its own duration.
    pub(crate) fn end_track_before(&mut self, track: usize, next: &SampleInfo) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.tables.state.end_at(next.dts.ticks(), next.pts.ticks());
        }
    }

    /// The longest presentation of any track, from the origin on.
    #[must_use]
    pub fn duration(&self) -> RoomTime {
        let ends = (0..self.tracks.len()).map(|track| {
            let edit = self.edit(track);
            edit.delay.saturating_add(edit.duration)
        });
        let ticks = ends.max().unwrap_or(0);
        Timestamp::new(ticks, self.movie_scale).to_room_time().unwrap_or(RoomTime::MAX)
    }

    /// Where the file's time begins, if it ended here.
    pub(crate) fn origin(&self) -> Timestamp {
        let starts = self.tracks.iter().filter(|track| track.tables.state.samples > 0);
        let starts = starts.map(|track| Timestamp::new(track.begin(), track.setup.timescale));
        self.origin.or_else(|| starts.min_by(compare)).unwrap_or(Timestamp::new(0, Timescale::HZ_90000))
    }

    /// The edit list of a track, as it would be if the file ended here.
    pub(crate) fn edit(&self, track: usize) -> Edit {
        let Some(track) = self.tracks.get(track).filter(|track| track.tables.state.samples > 0) else {
            return Edit::default();
        };
        let (origin, state) = (self.origin(), &track.tables.state);
        let (scale, movie) = (i128::from(track.setup.timescale.hz()), i128::from(self.movie_scale.hz()));
        let origin_scale = i128::from(origin.timescale().hz());
        // Ticks of the track, times the scale of the origin, from the origin to the first presentation.
        let begin = track.begin();
        let late = i128::from(begin) * origin_scale - i128::from(origin.ticks()) * scale;
        let ticks = |value: i128, divisor: i128| i64::try_from(round(value, divisor)).unwrap_or(i64::MAX);
        let delay = if late > 0 { ticks(late * movie, scale * origin_scale) } else { 0 };
        let cut = if late < 0 { ticks(-late, origin_scale) } else { 0 };
        let start = begin.saturating_add(cut);
        let shown = state.max_end.saturating_sub(start).max(0);
        Edit {
            delay,
            media_time: start.saturating_sub(state.first_dts),
            duration: ticks(i128::from(shown) * movie, scale),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`PlanError::Empty`] without samples, [`PlanError::NoSync`] if a video track has no key frame,
    /// [`PlanError::TooLarge`] if the tables do not fit into a `moov` box.
    pub fn finish(mut self) -> Result<crate::MoviePlan, PlanError> {
        for (index, track) in self.tracks.iter().enumerate() {
            let state = &track.tables.state;
            if track.setup.entry.is_video() && state.samples > 0 && state.syncs == 0 {
                return Err(PlanError::NoSync { track: index });
            }
        }
        if self.tracks.iter().all(|track| track.tables.state.samples == 0) {
            return Err(PlanError::Empty);
        }
        let layout = self.layout(false);
        if layout.moov > u64::from(u32::MAX) {
            return Err(PlanError::TooLarge);
        }
        self.close_window();
        for track in &mut self.tracks {
            track.tables.close();
        }
        Ok(crate::MoviePlan::new(self, layout))
    }
}

/// The edit list of one track: an empty edit if `delay` is not 0, then the media from `media_time` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Ticks of the movie's clock.
    pub(crate) delay: i64,
    /// Ticks of the track's clock, from its first decode time on.
    pub(crate) media_time: i64,
    /// Ticks of the movie's clock.
    pub(crate) duration: i64,
}

/// To nearest, a half upward.
fn round(value: i128, divisor: i128) -> i128 {
    (value * 2 + divisor).div_euclid(divisor * 2)
}

/// Order in time, over different clocks.
pub(crate) fn compare(a: &Timestamp, b: &Timestamp) -> std::cmp::Ordering {
    let scaled =
        |time: &Timestamp, by: &Timestamp| i128::from(time.ticks()) * i128::from(by.timescale().hz());
    scaled(a, b).cmp(&scaled(b, a))
}

/// A clock that has a tick wherever `a` or `b` has one, so that durations and offsets are exact; the finer of the
/// two where that clock would be too fast.
fn common_clock(a: Timescale, b: Timescale, first: bool) -> Timescale {
    let (x, y) = (u64::from(a.hz()), u64::from(b.hz()));
    let (mut greatest, mut rest) = (x, y);
    while rest != 0 {
        (greatest, rest) = (rest, greatest % rest);
    }
    let common = if first && y >= 1000 { y } else { x / greatest * y };
    let fits = u32::try_from(common).ok().filter(|_| common <= MAX_MOVIE_HZ).and_then(Timescale::new);
    fits.unwrap_or(if x > y { a } else { b })
}
