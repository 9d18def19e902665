use bytes::Bytes;
use recorder_types::Timestamp;

use crate::boxes::{Header, HeaderError, MAX_HEADER};
use crate::error::{ReadError, TrackError};
use crate::fragment::{Defaults, Run, RunQueue, parse_moof};
use crate::movie::{Movie, MovieTrack};
use crate::table::{RawSample, TableCursor};
use crate::track::{RejectedTrack, SampleRef, TrackId, TrackInfo};

/// Bytes of the file that a [`Reader`] wants next. They are all inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// First byte.
    pub at: u64,
    /// How many, never 0.
    pub len: usize,
}

/// Limits of a [`Reader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// Largest `moov` box in bytes. It is held while the file is read, and is most of what a [`Reader`] holds.
    pub max_moov: u64,
    /// Largest `moof` box in bytes. Up to 8 of this size are held at once.
    pub max_moof: u64,
    /// Largest sample in bytes.
    pub max_sample: u32,
}

/// 256 MiB (five days of audio and video), 16 MiB and 64 MiB.
impl Default for ReaderOptions {
    fn default() -> Self {
        Self { max_moov: 256 << 20, max_moof: 16 << 20, max_sample: 64 << 20 }
    }
}

/// What comes next out of a [`Reader`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Read these bytes and give them to [`Reader::supply`]; until then every poll answers the same.
    Need(Need),
    /// [`Reader::tracks`] and [`Reader::rejected`] are known now. Comes once, before the first sample.
    Tracks,
    /// The next sample. Each track's come in the order of the file, all of them interleaved by decode time.
    Sample(SampleRef),
    /// The track ends here: what comes next in it cannot be read. Its samples up to here are good.
    TrackFailed {
        /// Index in [`Reader::tracks`].
        track: usize,
        /// What is wrong.
        error: TrackError,
    },
    /// No more samples.
    End,
}

/// Fragments are read ahead so that tracks with fragments of their own come out interleaved; this is how far.
const MAX_AHEAD: usize = 8;

/// Reads an MP4 file by asking for byte ranges: call [`Reader::poll`], answer each [`Event::Need`] with
/// [`Reader::supply`], until [`Event::End`].
///
/// Payloads are never asked for. Held in memory are the `moov` box and up to 8 `moof` boxes, nothing per sample.
/// The same file gives the same events.
///
/// # Specification
/// ISO/IEC 14496-12:2022; -14 and -15 for the sample entries; Opus in ISOBMFF 0.6.8.
#[derive(Debug)]
pub struct Reader {
    options: ReaderOptions,
    file_len: u64,
    walk: Walk,
    have_movie: bool,
    fragmented: bool,
    told_tracks: bool,
    tracks: Vec<TrackInfo>,
    states: Vec<TrackState>,
    rejected: Vec<RejectedTrack>,
    /// Fragments since the last time that all of them were used up.
    ahead: usize,
    cut_at: Option<u64>,
    fatal: Option<ReadError>,
}

/// Where the walk over the boxes of the file is.
#[derive(Clone, Copy, Debug)]
enum Walk {
    /// At a box that begins here.
    Header { at: u64 },
    /// Before the body of a `moov` or `moof` box that begins `at`.
    Body { movie: bool, at: u64, body: Need },
    /// Past the last box.
    End,
}

#[derive(Debug)]
struct TrackState {
    tables: Option<TableCursor>,
    runs: RunQueue,
    defaults: Defaults,
    next: Option<SampleRef>,
    failed: Option<TrackError>,
    done: bool,
    count: u64,
    /// What is added to decode times, 0 or less, so that they are not after the presentation.
    decode_offset: i64,
    /// Bytes that samples may still have: no more in all than the file. A sample counts as one at least, so that
    /// the work is bounded too.
    budget: u64,
}

impl Reader {
    /// For a file of `file_len` bytes.
    #[must_use]
    pub fn new(file_len: u64, options: ReaderOptions) -> Self {
        Self {
            options,
            file_len,
            walk: Walk::Header { at: 0 },
            have_movie: false,
            fragmented: false,
            told_tracks: false,
            tracks: Vec::new(),
            states: Vec::new(),
            rejected: Vec::new(),
            ahead: 0,
            cut_at: None,
            fatal: None,
        }
    }

    /// The tracks that can be read, in the order of the file. Empty before [`Event::Tracks`].
    #[must_use]
    pub fn tracks(&self) -> &[TrackInfo] {
        &self.tracks
    }

    /// The tracks that cannot be read, in the order of the file. Empty before [`Event::Tracks`].
    #[must_use]
    pub fn rejected(&self) -> &[RejectedTrack] {
        &self.rejected
    }

    /// Where a fragmented file ends in the middle of a box other than `mdat`, or in bytes that are no box: it was
    /// cut off. `None` if not, or not yet seen.
    #[must_use]
    pub const fn cut_at(&self) -> Option<u64> {
        self.cut_at
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read at all; polling again gives the same.
    pub fn poll(&mut self) -> Result<Event, ReadError> {
        if let Some(error) = &self.fatal {
            return Err(error.clone());
        }
        loop {
            if self.have_movie && !self.told_tracks {
                self.told_tracks = true;
                return Ok(Event::Tracks);
            }
            if self.wants_box() {
                match self.walk {
                    Walk::Header { at } if self.file_len.saturating_sub(at) >= 8 => {
                        let len = (self.file_len - at).min(MAX_HEADER as u64);
                        return Ok(Event::Need(Need { at, len: usize::try_from(len).unwrap_or(MAX_HEADER) }));
                    }
                    Walk::Header { at } => {
                        self.end_walk((at < self.file_len).then_some(at));
                        continue;
                    }
                    Walk::Body { body, .. } => return Ok(Event::Need(body)),
                    Walk::End if !self.have_movie => {
                        return Err(ReadError::NoMoov { searched: self.cut_at.unwrap_or(self.file_len) });
                    }
                    Walk::End => {}
                }
            }
            return Ok(self.next_sample());
        }
    }

    /// Takes the bytes of the last [`Event::Need`].
    ///
    /// # Errors
    /// [`ReadError::WrongSupply`] if they are not as many as asked for, with nothing changed. Others if the file
    /// cannot be read at all.
    pub fn supply(&mut self, data: Bytes) -> Result<(), ReadError> {
        let taken = self.take(&data);
        if let Err(error) = &taken
            && !matches!(error, ReadError::WrongSupply { .. })
        {
            self.fatal = Some(error.clone());
        }
        taken
    }

    fn take(&mut self, data: &Bytes) -> Result<(), ReadError> {
        let got = data.len();
        match self.walk {
            Walk::Header { at } if self.wants_box() => {
                let len = self.file_len.saturating_sub(at).min(MAX_HEADER as u64);
                match usize::try_from(len) {
                    Ok(len) if len == got => self.take_header(at, data),
                    len => Err(ReadError::WrongSupply {
                        wanted: Some(Need { at, len: len.unwrap_or(MAX_HEADER) }),
                        got,
                    }),
                }
            }
            Walk::Body { body, .. } if body.len != got => {
                Err(ReadError::WrongSupply { wanted: Some(body), got })
            }
            Walk::Body { movie, at, body } => {
                self.walk = Walk::Header { at: body.at + body.len as u64 };
                if movie { self.take_movie(at, data) } else { self.take_fragment(at, data) }
            }
            _ => Err(ReadError::WrongSupply { wanted: None, got }),
        }
    }

    /// Whether more boxes of the file have to be looked at before samples can be given.
    fn wants_box(&self) -> bool {
        if !self.have_movie {
            return true;
        }
        let ended = |state: &TrackState| state.done || state.failed.is_some();
        let dry = |state: &TrackState| state.next.is_none() && state.is_dry();
        self.fragmented
            && !matches!(self.walk, Walk::End)
            && self.states.iter().any(|state| !ended(state) && dry(state))
            && (self.ahead < MAX_AHEAD || self.states.iter().all(dry))
    }

    fn end_walk(&mut self, cut_at: Option<u64>) {
        self.walk = Walk::End;
        self.cut_at = cut_at;
    }

    fn take_header(&mut self, at: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let header = match Header::parse(bytes) {
            Ok(header) => header,
            Err(HeaderError::Short | HeaderError::Size { .. }) => {
                self.end_walk(Some(at));
                return Ok(());
            }
        };
        let left = self.file_len - at;
        let size = header.size.unwrap_or(left);
        let (movie, limit) = match &header.kind.bytes() {
            b"moov" if !self.have_movie => (true, self.options.max_moov),
            b"moof" if self.have_movie => (false, self.options.max_moof),
            kind => {
                // An `mdat` that runs past the end is common and harmless; anything else is not the end we want.
                let cut = size > left && kind != b"mdat";
                match at.checked_add(size).filter(|&end| end < self.file_len) {
                    Some(end) => self.walk = Walk::Header { at: end },
                    None => self.end_walk(cut.then_some(at)),
                }
                return Ok(());
            }
        };
        if size > left {
            if movie {
                return Err(ReadError::Truncated { at, size, file_len: self.file_len });
            }
            self.end_walk(Some(at));
            return Ok(());
        }
        let over = ReadError::OverLimit { kind: header.kind, at, size, limit };
        let len = usize::try_from(size - header.len).ok().filter(|_| size <= limit).ok_or(over)?;
        let body = Need { at: at + header.len, len };
        if len > 0 {
            self.walk = Walk::Body { movie, at, body };
            return Ok(());
        }
        self.walk = Walk::Header { at: body.at };
        if movie { self.take_movie(at, &Bytes::new()) } else { Ok(()) }
    }

    fn take_movie(&mut self, at: u64, moov: &Bytes) -> Result<(), ReadError> {
        let movie = Movie::parse(moov).ok_or(ReadError::NoMovieHeader { at })?;
        self.have_movie = true;
        self.fragmented = movie.fragmented;
        self.rejected = movie.rejected;
        for MovieTrack { info, tables, defaults } in movie.tracks {
            self.states.push(TrackState {
                decode_offset: tables.least_composition(),
                tables: Some(TableCursor::new(tables)),
                runs: RunQueue::default(),
                defaults,
                next: None,
                failed: None,
                done: false,
                count: 0,
                budget: self.file_len,
            });
            self.tracks.push(info);
        }
        self.peek_all();
        Ok(())
    }

    fn take_fragment(&mut self, at: u64, moof: &Bytes) -> Result<(), ReadError> {
        let all_dry = self.states.iter().all(|state| state.next.is_none() && state.is_dry());
        self.ahead = if all_dry { 1 } else { self.ahead + 1 };
        let index_of = |id: TrackId| self.tracks.iter().position(|track| track.id == id);
        let fragments = parse_moof(moof, at, |id| Some(self.states.get(index_of(id)?)?.defaults));
        for fragment in fragments {
            let Some(state) = index_of(fragment.id).and_then(|index| self.states.get_mut(index)) else {
                continue;
            };
            match fragment.runs {
                Ok(runs) if state.failed.is_none() => {
                    if state.count == 0 && state.is_dry() {
                        state.decode_offset = runs.iter().map(Run::least_composition).min().unwrap_or(0);
                    }
                    state.runs.extend(runs);
                }
                // What is queued before it is still good; the error waits its turn.
                Err(error) if state.failed.is_none() => state.failed = Some(error),
                _ => {}
            }
        }
        self.peek_all();
        Ok(())
    }

    fn peek_all(&mut self) {
        for index in 0..self.states.len() {
            self.peek(index);
        }
    }

    /// Fills `next` of a track if it can be filled.
    fn peek(&mut self, index: usize) {
        let (Some(state), Some(info)) = (self.states.get_mut(index), self.tracks.get(index)) else {
            return;
        };
        if state.done || state.next.is_some() {
            return;
        }
        let read = state.next_raw();
        let checked =
            read.map(|read| read.and_then(|raw| state.check(index, raw, info, self.file_len, &self.options)));
        match checked {
            Some(Ok(sample)) => state.next = Some(sample),
            Some(Err(error)) => {
                state.failed = Some(error);
                state.runs = RunQueue::default();
                state.tables = None;
            }
            None => {}
        }
    }

    /// The sample with the earliest decode time, or the error of a track that has nothing else left.
    fn next_sample(&mut self) -> Event {
        for (track, state) in self.states.iter_mut().enumerate() {
            if !state.done
                && state.next.is_none()
                && state.is_dry()
                && let Some(error) = state.failed.take()
            {
                state.done = true;
                return Event::TrackFailed { track, error };
            }
        }
        let mut first: Option<SampleRef> = None;
        for sample in self.states.iter().filter_map(|state| state.next) {
            if first.is_none_or(|first| is_before(sample.dts, first.dts)) {
                first = Some(sample);
            }
        }
        let Some(sample) = first else {
            return Event::End;
        };
        if let Some(state) = self.states.get_mut(sample.track) {
            state.next = None;
        }
        self.peek(sample.track);
        Event::Sample(sample)
    }
}

/// Whether `a` is strictly earlier than `b`.
fn is_before(a: Timestamp, b: Timestamp) -> bool {
    if a.timescale() == b.timescale() {
        return a.ticks() < b.ticks();
    }
    let scaled = |time: Timestamp, by: Timestamp| i128::from(time.ticks()) * i128::from(by.timescale().hz());
    scaled(a, b) < scaled(b, a)
}

impl TrackState {
    /// Whether nothing more can come without another fragment.
    fn is_dry(&self) -> bool {
        self.tables.is_none() && self.runs.is_empty()
    }

    fn next_raw(&mut self) -> Option<Result<RawSample, TrackError>> {
        if let Some(tables) = &mut self.tables {
            if let Some(read) = tables.next() {
                return Some(read);
            }
            self.runs.begin_at(tables.end_time());
            self.tables = None;
        }
        self.runs.next(self.count)
    }

    fn check(
        &mut self,
        track: usize,
        raw: RawSample,
        info: &TrackInfo,
        file_len: u64,
        options: &ReaderOptions,
    ) -> Result<SampleRef, TrackError> {
        let sample = self.count;
        self.count += 1;
        let (offset, len) = (raw.offset, raw.len);
        if offset.checked_add(len.into()).is_none_or(|end| end > file_len) {
            return Err(TrackError::OutsideFile { sample, offset, len, file_len });
        }
        if len > options.max_sample {
            return Err(TrackError::SampleOverLimit { sample, len, limit: options.max_sample });
        }
        let cost = u64::from(len).max(1);
        self.budget = self.budget.checked_sub(cost).ok_or(TrackError::Overfull { sample })?;
        let entry = usize::try_from(raw.description)
            .ok()
            .and_then(|number| number.checked_sub(1))
            .filter(|&index| index < info.entries.len())
            .ok_or(TrackError::Description {
                sample,
                description: raw.description,
                entries: info.entries.len(),
            })?;
        let dts = raw.dts.checked_add(info.edit_offset).ok_or(TrackError::Time { sample })?;
        let pts = dts.checked_add(raw.composition).ok_or(TrackError::Time { sample })?;
        let dts = dts.checked_add(self.decode_offset).ok_or(TrackError::Time { sample })?;
        Ok(SampleRef {
            track,
            entry,
            pts: Timestamp::new(pts, info.timescale),
            dts: Timestamp::new(dts, info.timescale),
            duration: raw.duration,
            sync: raw.sync,
            offset,
            len,
        })
    }
}
