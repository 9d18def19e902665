use std::collections::VecDeque;

use recorder_types::{RoomTime, Timestamp};

use crate::log::{Log, LogPlace};
use crate::plan::{Checkpoint, MovieIndex, PlanError, SampleInfo, TrackSetup};
use crate::track::SampleEntry;
use crate::writer::MoviePlan;

/// Samples that may wait for the ones of other tracks that are presented before them.
const MAX_WAITING: usize = 1024;

/// A lead track that is silent for so long has ended, or has not begun: files may then end at the others' samples. Far
/// above the time between two pictures of a shared screen, and below the shortest file that can be asked for.
const LEAD_IDLE: RoomTime = RoomTime::from_secs(30);

/// When a file ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SplitLimits {
    /// Bytes that no file exceeds, everything counted.
    pub max_bytes: u64,
    /// Presentation that no file exceeds, on the clock of the track that is cut at key frames.
    pub max_duration: RoomTime,
}

/// 2^31 bytes and 24 hours.
impl Default for SplitLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 31, max_duration: RoomTime::from_secs(24 * 3600) }
    }
}

impl SplitLimits {
    /// With another size.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// With another duration in minutes, 1 to 1440; `None` outside.
    #[must_use]
    pub fn with_max_minutes(mut self, minutes: u16) -> Option<Self> {
        self.max_duration = RoomTime::from_secs(i64::from(minutes) * 60);
        (1..=1440).contains(&minutes).then_some(self)
    }
}

/// Why a recording cannot be split into files. Those polled before are good; the splitter is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The samples cannot be planned into a file.
    #[error("planning a file")]
    Plan(#[from] PlanError),
    /// From one key frame to the next there are more bytes than a file may have.
    #[error(
        "the pictures from the key frame at {at:?} on take more than {limit} bytes without another key frame"
    )]
    Bytes {
        /// When the key frame is presented.
        at: Timestamp,
        /// The limit.
        limit: u64,
    },
    /// From one key frame to the next it takes longer than a file may.
    #[error(
        "the pictures from the key frame at {at:?} on take longer than {limit:?} without another key frame"
    )]
    Duration {
        /// When the key frame is presented.
        at: Timestamp,
        /// The limit.
        limit: RoomTime,
    },
}

/// Cuts a recording of any length into files within [`SplitLimits`], as long as they can be.
///
/// A file ends where the first video track has a key frame (without video: at any sample of the first track; while the
/// video has been silent for 30 seconds: at any sample of the others). What
/// the other tracks present before that instant is in the file, what they present from then on is in the next. Each
/// file's time begins at zero. Each sample is in exactly one file, and each track keeps its order, so that the media
/// can be written by counting: the first [`MoviePlan::samples`] of a track belong to the first file, and so on.
///
/// Push the samples of all tracks by decode time. A sample that comes too late for its file goes into the next and is
/// cut from its presentation.
///
/// ```
/// use recorder_mp4::{SampleEntry, SampleInfo, SplitLimits, Splitter, TrackSetup};
/// use recorder_types::{Timescale, Timestamp, aac::AudioSpecificConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Timescale::HZ_48000;
/// let audio = TrackSetup::new(SampleEntry::aac(AudioSpecificConfig::new(48_000, 2)?), clock);
/// let mut splitter = Splitter::new(vec![audio], SplitLimits::default().with_max_bytes(4_000))?;
/// let mut files = Vec::new();
/// for frame in 0..40 {
///     let at = Timestamp::new(frame * 1024, clock);
///     splitter.push(0, SampleInfo { pts: at, dts: at, duration: 1024, sync: true, len: 200 })?;
///     files.extend(splitter.poll());
/// }
/// files.extend(splitter.finish()?);
/// assert!(files.iter().all(|file| file.file_len() <= 4_000));
/// assert_eq!(files.iter().map(|file| file.samples(0)).sum::<u32>(), 40);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Splitter {
    limits: SplitLimits,
    setups: Vec<TrackSetup>,
    /// Sample entries of each track so far, and the one that its next sample has.
    entries: Vec<Vec<SampleEntry>>,
    entry: Vec<usize>,
    /// The track whose key frames are cut at.
    lead: usize,
    /// Samples of the lead that wait until nothing presented before them can come.
    waiting: VecDeque<(RoomTime, Placed)>,
    /// From decode to presentation of the last key frame.
    lead_delay: RoomTime,
    index: MovieIndex,
    /// Entry of each track that the index knows of.
    indexed: Vec<usize>,
    part: Part,
    ready: VecDeque<MoviePlan>,
}

/// Where the open file may be cut.
#[derive(Debug, Default)]
struct Part {
    /// When its first key frame is presented.
    begin: Option<Timestamp>,
    checkpoint: Checkpoint,
    /// When the key frame at the checkpoint is presented; `None` if there is none but the first of the file.
    cut: Option<Timestamp>,
    since: SampleLog,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    track: usize,
    entry: usize,
    info: SampleInfo,
}

impl Splitter {
    /// For these tracks, named by their index. The first file's time begins with the earliest presentation.
    ///
    /// # Errors
    /// [`PlanError`] if a track cannot be written.
    pub fn new(setups: Vec<TrackSetup>, limits: SplitLimits) -> Result<Self, PlanError> {
        Self::begin(setups, limits, MovieIndex::new())
    }

    /// As [`Splitter::new`], with the first file's time beginning at `origin`: see [`MovieIndex::with_origin`].
    ///
    /// # Errors
    /// [`PlanError`] if a track cannot be written.
    pub fn with_origin(
        setups: Vec<TrackSetup>,
        limits: SplitLimits,
        origin: Timestamp,
    ) -> Result<Self, PlanError> {
        Self::begin(setups, limits, MovieIndex::new().with_origin(origin))
    }

    fn begin(setups: Vec<TrackSetup>, limits: SplitLimits, mut index: MovieIndex) -> Result<Self, PlanError> {
        for setup in &setups {
            index.add_track(setup.clone())?;
        }
        Ok(Self {
            limits,
            entries: setups.iter().map(|setup| vec![setup.entry.clone()]).collect(),
            entry: vec![0; setups.len()],
            lead: setups.iter().position(|setup| setup.entry.is_video()).unwrap_or(0),
            waiting: VecDeque::new(),
            lead_delay: RoomTime::ZERO,
            index,
            indexed: vec![0; setups.len()],
            part: Part::default(),
            ready: VecDeque::new(),
            setups,
        })
    }

    /// From the next sample of `track` on, its samples are described by `entry`.
    ///
    /// # Errors
    /// [`PlanError`] if it cannot be, with nothing changed.
    pub fn change_entry(&mut self, track: usize, entry: &SampleEntry) -> Result<(), PlanError> {
        let (Some(entries), Some(current)) = (self.entries.get_mut(track), self.entry.get_mut(track)) else {
            return Err(PlanError::Track { track });
        };
        let known = entries.iter().position(|known| known == entry);
        *current = match known {
            Some(index) => index,
            None => {
                entry.encode()?;
                entries.push(entry.clone());
                entries.len() - 1
            }
        };
        Ok(())
    }

    /// Takes the next sample of `track`.
    ///
    /// # Errors
    /// [`SplitError`]; the splitter is of no more use then.
    pub fn push(&mut self, track: usize, info: SampleInfo) -> Result<(), SplitError> {
        let entry = *self.entry.get(track).ok_or(PlanError::Track { track })?;
        let time = |time: Timestamp| time.to_room_time().unwrap_or(RoomTime::MAX);
        let placed = Placed { track, entry, info };
        if track != self.lead {
            self.release(time(info.pts))?;
            return self.add(placed);
        }
        self.release(time(info.dts))?;
        if info.sync {
            self.lead_delay = time(info.pts).saturating_sub(time(info.dts));
        }
        // In the order of decoding, and a key frame when it is presented.
        let at = time(info.dts).saturating_add(self.lead_delay);
        self.waiting.push_back((at, placed));
        if self.waiting.len() > MAX_WAITING
            && let Some((_, placed)) = self.waiting.pop_front()
        {
            self.add(placed)?;
        }
        Ok(())
    }

    /// The next file that is complete. More samples may still be pushed.
    pub fn poll(&mut self) -> Option<MoviePlan> {
        self.ready.pop_front()
    }

    /// Ends the recording: the files that were not polled, in order. Empty without any sample.
    ///
    /// # Errors
    /// [`SplitError`] as for [`Splitter::push`]; poll before, to have the files that are complete in any case.
    pub fn finish(mut self) -> Result<Vec<MoviePlan>, SplitError> {
        self.release(RoomTime::MAX)?;
        while let Some(excess) = self.excess(self.index.end_of(self.lead)) {
            self.cut(excess)?;
        }
        let mut files: Vec<_> = self.ready.into();
        match self.index.finish() {
            Ok(last) => files.push(last),
            Err(PlanError::Empty) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(files)
    }

    /// Adds the samples of the lead that nothing presented before `now` can come in front of.
    fn release(&mut self, now: RoomTime) -> Result<(), SplitError> {
        while self.waiting.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, placed)) = self.waiting.pop_front()
        {
            self.add(placed)?;
        }
        Ok(())
    }

    fn add(&mut self, placed: Placed) -> Result<(), SplitError> {
        let key = placed.track == self.lead && placed.info.sync;
        if key || placed.track != self.lead && self.waiting.is_empty() && self.lead_is_idle(placed.info.pts) {
            self.enter_boundary(key, &placed.info)?;
        }
        self.index_sample(&placed)?;
        if self.part.cut.is_some() {
            self.part.since.push(&placed);
        }
        while let Some(excess) = self.least_excess(&placed) {
            self.cut(excess)?;
        }
        Ok(())
    }

    /// Before a key frame of the lead, or another sample while the lead is idle: the file may end here, if it fits.
    fn enter_boundary(&mut self, key: bool, sample: &SampleInfo) -> Result<(), SplitError> {
        if self.index.samples(self.lead) == 0 && !self.lead_is_idle(sample.pts) {
            self.part.begin = Some(sample.pts);
            return Ok(());
        }
        loop {
            if key {
                self.index.end_track_before(self.lead, sample);
            }
            match self.excess(Some(sample.pts)) {
                Some(excess) => self.cut(excess)?,
                None => break,
            }
        }
        self.index.note(&mut self.part.checkpoint);
        self.part.cut = Some(sample.pts);
        self.part.since.clear();
        Ok(())
    }

    /// Whether the lead has had nothing for so long that a file may end without a key frame of it.
    fn lead_is_idle(&self, now: Timestamp) -> bool {
        let time = |time: Timestamp| time.to_room_time().unwrap_or(RoomTime::MAX);
        let silence = match self.index.end_of(self.lead) {
            Some(end) => time(now).saturating_sub(time(end)),
            None => self.length(now),
        };
        silence >= LEAD_IDLE
    }

    /// Which limit the file would exceed if it ended now, with the lead's last presentation ending `at`.
    fn excess(&self, at: Option<Timestamp>) -> Option<Excess> {
        if self.index.file_len() > self.limits.max_bytes {
            return Some(Excess::Bytes);
        }
        (self.length(at?) > self.limits.max_duration).then_some(Excess::Duration)
    }

    /// Which limit the file will exceed whatever comes after `last`.
    fn least_excess(&self, last: &Placed) -> Option<Excess> {
        if self.index.least_len() > self.limits.max_bytes {
            return Some(Excess::Bytes);
        }
        // The next key frame is presented after it. What is presented at the limit is already too late, but for a
        // key frame: that one has just been judged.
        let key = last.track == self.lead && last.info.sync;
        let late = self.length(last.info.pts) >= self.limits.max_duration;
        (late && !key).then_some(Excess::Duration)
    }

    /// Time from the begin of the file to `at`.
    fn length(&self, at: Timestamp) -> RoomTime {
        let time = |time: Timestamp| time.to_room_time().unwrap_or(RoomTime::MAX);
        time(at).saturating_sub(time(self.index.origin()))
    }

    /// Ends the file at the last key frame and begins the next with what came since.
    fn cut(&mut self, excess: Excess) -> Result<(), SplitError> {
        let Some(at) = self.part.cut.take() else {
            return Err(self.too_much(excess));
        };
        self.index.restore(&self.part.checkpoint);
        let mut next = MovieIndex::new().with_origin(at);
        for setup in &self.setups {
            next.add_track(setup.clone())?;
        }
        self.indexed.fill(0);
        let whole = std::mem::replace(&mut self.index, next);
        self.ready.push_back(whole.finish()?);
        self.part.begin = Some(at);
        let since = std::mem::take(&mut self.part.since);
        let mut reader = since.reader();
        while let Some(placed) = reader.next(&self.setups) {
            self.index_sample(&placed)?;
        }
        self.part.since = since;
        self.part.since.clear();
        Ok(())
    }

    fn too_much(&self, excess: Excess) -> SplitError {
        let at = self.part.begin.unwrap_or_else(|| self.index.origin());
        match excess {
            Excess::Bytes => SplitError::Bytes { at, limit: self.limits.max_bytes },
            Excess::Duration => SplitError::Duration { at, limit: self.limits.max_duration },
        }
    }

    fn index_sample(&mut self, placed: &Placed) -> Result<(), SplitError> {
        let Placed { track, entry, info } = *placed;
        if self.indexed.get(track) != Some(&entry)
            && let (Some(indexed), Some(described)) =
                (self.indexed.get_mut(track), self.entries.get(track).and_then(|entries| entries.get(entry)))
        {
            self.index.change_entry(track, described)?;
            *indexed = entry;
        }
        Ok(self.index.push(track, info)?)
    }
}

/// A limit that is exceeded.
#[derive(Clone, Copy, Debug)]
enum Excess {
    Bytes,
    Duration,
}

/// Samples, compactly: about eight bytes each.
#[derive(Debug, Default)]
struct SampleLog {
    log: Log,
    /// Decode time of the last sample of each track, to write differences.
    last: Vec<i64>,
}

impl SampleLog {
    fn push(&mut self, placed: &Placed) {
        let Placed { track, entry, info } = placed;
        if self.last.len() <= *track {
            self.last.resize(track + 1, 0);
        }
        let dts = info.dts.ticks();
        self.log.push(*track as u64);
        self.log.push(*entry as u64);
        if let Some(last) = self.last.get_mut(*track) {
            // Wrapping on both sides, so any difference comes back.
            self.log.push_signed(dts.wrapping_sub(*last));
            *last = dts;
        }
        self.log.push_signed(info.pts.ticks().wrapping_sub(dts));
        self.log.push(info.duration.into());
        self.log.push((u64::from(info.len) << 1) | u64::from(info.sync));
    }

    fn clear(&mut self) {
        self.log.truncate(LogPlace::default());
        self.last.fill(0);
    }

    const fn reader(&self) -> SampleLogReader<'_> {
        SampleLogReader { log: &self.log, place: LogPlace { block: 0, at: 0 }, last: Vec::new() }
    }
}

#[derive(Debug)]
struct SampleLogReader<'a> {
    log: &'a Log,
    place: LogPlace,
    last: Vec<i64>,
}

impl SampleLogReader<'_> {
    fn next(&mut self, setups: &[TrackSetup]) -> Option<Placed> {
        let (log, place) = (self.log, &mut self.place);
        let track = usize::try_from(log.read(place)?).ok()?;
        let entry = usize::try_from(log.read(place)?).ok()?;
        if self.last.len() <= track {
            self.last.resize(track + 1, 0);
        }
        let last = self.last.get_mut(track)?;
        *last = last.wrapping_add(log.read_signed(place)?);
        let dts = *last;
        let pts = dts.wrapping_add(log.read_signed(place)?);
        let duration = log.read_u32(place)?;
        let len = log.read(place)?;
        let timescale = setups.get(track)?.timescale;
        let info = SampleInfo {
            pts: Timestamp::new(pts, timescale),
            dts: Timestamp::new(dts, timescale),
            duration,
            sync: len & 1 == 1,
            len: u32::try_from(len >> 1).ok()?,
        };
        Some(Placed { track, entry, info })
    }
}
