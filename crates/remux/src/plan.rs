use std::collections::VecDeque;

use recorder_hls::SegmentIndex;
use recorder_mp4::{MoviePlan, SampleEntry, SampleInfo, SplitLimits, Splitter};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{MediaKind, Timescale, Timestamp};

use crate::error::RemuxError;
use crate::file::{FileInput, FilePlan, FileTrack};
use crate::input::{InputState, Loaded};
use crate::timeline::{Anchor, HZ, Span};
use crate::track::{Origin, Source, Track, describe, position};

/// How much later than the end of a segment a sample of the next one is decoded at least, negative: streams are
/// interleaved loosely.
const MARGIN: i64 = HZ;
/// Audio that waits for a key frame, so that a file can begin with both.
const MAX_HELD: usize = 4096;
/// Descriptions of pictures in one file before the next begins; a track can have 256.
const MAX_ENTRIES: u32 = 200;

/// How the times of inputs, and of segments after a discontinuity, are brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alignment {
    /// PTS of all inputs are on one clock, also across discontinuities: recordings of
    /// [`Segmenter`](recorder_hls::Segmenter) with one wall clock. Where they go back all the same, as with
    /// [`Alignment::WallClock`].
    #[default]
    SharedClock,
    /// Each input, and each run of segments between discontinuities, has a clock of its own: they lie where the starts
    /// of their segments say, and where these overlap, one behind the other.
    WallClock,
}

/// What [`Planner`] and [`AacPlanner`](crate::AacPlanner) go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanOptions {
    /// How large and long a file may be.
    pub limits: SplitLimits,
    /// How times are brought together.
    pub alignment: Alignment,
}

impl PlanOptions {
    /// With other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: SplitLimits) -> Self {
        self.limits = limits;
        self
    }

    /// With another alignment.
    #[must_use]
    pub const fn with_alignment(mut self, alignment: Alignment) -> Self {
        self.alignment = alignment;
        self
    }
}

/// What an input is said to hold. A kind that is not announced is taken all the same where it comes, but a new file
/// begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    video: bool,
    audio: bool,
    config: Option<AudioSpecificConfig>,
}

impl Input {
    /// Audio alone.
    #[must_use]
    pub const fn audio() -> Self {
        Self { video: false, audio: true, config: None }
    }

    /// Pictures alone.
    #[must_use]
    pub const fn video() -> Self {
        Self { video: true, audio: false, config: None }
    }

    /// Both, from the first segment on or later.
    #[must_use]
    pub const fn both() -> Self {
        Self { video: true, audio: true, config: None }
    }

    /// With the audio that comes later, where the first segment has none; without this, 48 kHz are expected.
    #[must_use]
    pub const fn with_audio(mut self, config: AudioSpecificConfig) -> Self {
        self.config = Some(config);
        self
    }
}

/// What [`Planner::poll`] wants or gives.
#[derive(Debug)]
pub enum Step {
    /// Supply the index of this segment of this input. Segments of an input are asked for in order, from 0.
    Need {
        /// Index of the input.
        input: usize,
        /// Number of the segment.
        segment: u32,
    },
    /// A file is complete.
    File(Box<FilePlan>),
    /// All files were told.
    Done,
}

/// Plans the files of a recording from the indexes of its segments: playlists that belong together become the tracks
/// of one file (the audio and the video of one user; or one playlist with both).
///
/// Contract: poll; supply what is asked for; the files come in order. The same indexes give the same files.
///
/// Within a continuous run PTS decide, exactly: pictures on a clock of 90 kHz, audio counted in samples, contiguous
/// where its times are but for their rounding. Segments that are missing leave a gap. Pictures before the first key
/// frame of an input, and after a missing segment up to the next one, are left out: [`Planner::left_out`]. New
/// parameter sets or audio channels become another sample entry; another sample rate begins a new file, with the next
/// key frame where there are pictures; so do pictures that are turned in another way.
///
/// Held in memory: the indexes of two or three segments of each input, and the tables of the open file.
#[derive(Debug)]
pub struct Planner {
    options: PlanOptions,
    inputs: Vec<InputState>,
    announced: Vec<Input>,
    tracks: Vec<Track>,
    anchor: Option<Anchor>,
    splitter: Option<Splitter>,
    /// Seconds that are taken off all times for the splitter, whose zero is near its first sample: whole ones, which
    /// every clock has.
    zero: i64,
    /// The next file is the first of its splitter.
    fresh: bool,
    /// A track whose samples wait for a new file, and those.
    changing: Option<usize>,
    held: VecDeque<SampleInfo>,
    ready: VecDeque<FilePlan>,
    left_out: u64,
    done: bool,
}

impl Planner {
    /// For these inputs, named by their index from now on.
    #[must_use]
    pub fn new(options: PlanOptions, inputs: Vec<Input>) -> Self {
        Self {
            options,
            inputs: inputs.iter().map(|_| InputState::new()).collect(),
            announced: inputs,
            tracks: Vec::new(),
            anchor: None,
            splitter: None,
            zero: 0,
            fresh: true,
            changing: None,
            held: VecDeque::new(),
            ready: VecDeque::new(),
            left_out: 0,
            done: false,
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`RemuxError`]; the planner is of no more use then.
    pub fn poll(&mut self) -> Result<Step, RemuxError> {
        loop {
            if let Some(file) = self.ready.pop_front() {
                return Ok(Step::File(Box::new(file)));
            }
            if self.done {
                return Ok(Step::Done);
            }
            let open = self.inputs.iter().enumerate().filter(|(_, input)| !input.ended);
            let first =
                open.min_by_key(|(_, input)| input.horizon).map(|(index, input)| (index, input.horizon));
            let bound = first.map_or(i64::MAX, |(_, horizon)| horizon.saturating_sub(MARGIN));
            match (self.earliest(), first) {
                (Some((time, input, kind)), _) if time < bound || first.is_none() => {
                    self.take(input, kind)?
                }
                (_, Some((input, _))) => {
                    let state = &mut self.inputs[input];
                    state.asked = true;
                    return Ok(Step::Need { input, segment: state.next });
                }
                (_, None) => self.finish()?,
            }
        }
    }

    /// Gives the index of the segment that was asked for; `None`: the input has ended.
    ///
    /// # Errors
    /// [`RemuxError::NotAsked`], with nothing changed.
    pub fn supply(&mut self, input: usize, index: Option<SegmentIndex>) -> Result<(), RemuxError> {
        let state = self.asked(input)?;
        state.asked = false;
        let Some(index) = index else {
            state.ended = true;
            return Ok(());
        };
        let number = state.next;
        state.next = number.saturating_add(1);
        let Some(span) = Span::of(&index) else {
            return Ok(()); // without samples
        };
        let alignment = self.options.alignment;
        let state = &mut self.inputs[input];
        let offset = state.timeline.place(&index, span, alignment, &mut self.anchor);
        let gap = std::mem::take(&mut state.gap);
        state.horizon = state.horizon.max(span.end.saturating_add(offset));
        state.loaded.push_back(Loaded::new(number, &index, span, offset, gap));
        Ok(())
    }

    /// Says that the segment that was asked for does not exist, or cannot be read: its time stays empty.
    ///
    /// # Errors
    /// [`RemuxError::NotAsked`], with nothing changed.
    pub fn skip(&mut self, input: usize) -> Result<(), RemuxError> {
        let state = self.asked(input)?;
        state.asked = false;
        state.missing.push_back(state.next);
        state.next = state.next.saturating_add(1);
        state.gap = true;
        Ok(())
    }

    /// Pictures left out so far, for want of a key frame to decode them from.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn asked(&mut self, input: usize) -> Result<&mut InputState, RemuxError> {
        self.inputs.get_mut(input).filter(|state| state.asked).ok_or(RemuxError::NotAsked { input })
    }

    /// The earliest sample that is loaded: when it is decoded, its input and kind.
    fn earliest(&mut self) -> Option<(i64, usize, MediaKind)> {
        let mut earliest: Option<(i64, usize, MediaKind)> = None;
        for (index, input) in self.inputs.iter_mut().enumerate() {
            for kind in [MediaKind::Video, MediaKind::Audio] {
                if let Some(time) = input.next_time(kind)
                    && earliest.is_none_or(|(first, ..)| time < first)
                {
                    earliest = Some((time, index, kind));
                }
            }
        }
        earliest
    }

    fn take(&mut self, input: usize, kind: MediaKind) -> Result<(), RemuxError> {
        if self.tracks.is_empty() {
            self.announce_tracks();
        }
        let known = self.tracks.iter().position(|track| (track.input, track.kind) == (input, kind));
        let track = match known {
            Some(track) => track,
            None => {
                self.restart()?;
                let track = self.new_track(input, kind);
                self.tracks.push(track);
                self.tracks.len() - 1
            }
        };
        let taken = match kind {
            MediaKind::Video => self.take_picture(input, track),
            MediaKind::Audio => self.take_frame(input, track),
        };
        self.inputs[input].drop_empty();
        taken
    }

    fn announce_tracks(&mut self) {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            for input in 0..self.inputs.len() {
                let said = match kind {
                    MediaKind::Video => self.announced[input].video,
                    MediaKind::Audio => self.announced[input].audio,
                };
                if said || self.inputs[input].next_time(kind).is_some() {
                    let track = self.new_track(input, kind);
                    self.tracks.push(track);
                }
            }
        }
    }

    /// With what is known of its audio.
    fn new_track(&mut self, input: usize, kind: MediaKind) -> Track {
        if kind == MediaKind::Video {
            let loaded = self.inputs[input].front(MediaKind::Video);
            return Track::video(input, loaded.and_then(|loaded| loaded.orientation).unwrap_or_default());
        }
        let loaded = self.inputs[input].front(MediaKind::Audio).and_then(|loaded| loaded.config);
        let config = loaded.or(self.announced[input].config).unwrap_or_else(|| {
            AudioSpecificConfig::new(48_000, 1).expect("a rate and a channel count of the tables")
        });
        Track::audio(input, config)
    }

    fn take_picture(&mut self, input: usize, track: usize) -> Result<(), RemuxError> {
        let Some(loaded) = self.inputs[input].front(MediaKind::Video) else { return Ok(()) };
        let (number, segment) = (loaded.picture, loaded.number);
        let origin = Origin { segment, presented: loaded.presented, start: loaded.start };
        let gap = loaded.gap && number == 0;
        let told = loaded.orientation.filter(|_| number == 0);
        let Some((picture, duration, sets)) = loaded.take_picture() else { return Ok(()) };
        let state = &mut self.tracks[track];
        let Source::Video { entry, orientation, changed, waits_for_key, entries } = &mut state.source else {
            return Ok(());
        };
        *waits_for_key |= gap;
        if let Some(sets) = sets {
            let described = describe(entry.as_ref(), &sets);
            let described = described.map_err(|source| RemuxError::Description { input, segment, source })?;
            if let Some(new) = described {
                (*entry, *changed) = (Some(new), true);
                *entries += 1;
            }
        }
        if *waits_for_key && !picture.sync {
            state.leave_out(segment);
            self.left_out += 1;
            return Ok(());
        }
        *waits_for_key = false;
        let full = *entries > MAX_ENTRIES;
        // It is said once for each track of a file.
        let turned = told.filter(|told| told != orientation && picture.sync);
        *orientation = turned.unwrap_or(*orientation);
        if picture.sync && (self.changing.is_some() || full || turned.is_some()) {
            self.restart()?;
        }
        let state = &mut self.tracks[track];
        state.note(origin, number, picture.pts, picture.sync);
        let info = SampleInfo {
            pts: Timestamp::new(picture.pts, Timescale::HZ_90000),
            dts: Timestamp::new(picture.dts, Timescale::HZ_90000),
            duration,
            sync: picture.sync,
            len: picture.len,
        };
        self.push(track, info)
    }

    fn take_frame(&mut self, input: usize, track: usize) -> Result<(), RemuxError> {
        let Some(loaded) = self.inputs[input].front(MediaKind::Audio) else { return Ok(()) };
        let (number, new) = (loaded.frame, loaded.config);
        let origin = Origin { segment: loaded.number, presented: loaded.presented, start: loaded.start };
        let Some((time, len)) = loaded.take_frame() else { return Ok(()) };
        let Source::Audio { config, .. } = &self.tracks[track].source else { return Ok(()) };
        let (old, new) = (*config, new.unwrap_or(*config));
        if new.sample_rate() != old.sample_rate() {
            let pictures = |track: &Track| matches!(&track.source, Source::Video { entry: Some(_), .. });
            if self.changing.is_some() {
                self.restart()?;
            }
            if !self.tracks.iter().any(pictures) || self.splitter.is_none() {
                self.restart()?;
            } else {
                self.changing = Some(track);
            }
        }
        let state = &mut self.tracks[track];
        let Source::Audio { config, changed, next } = &mut state.source else { return Ok(()) };
        if new != old {
            (*config, *changed) = (new, true);
            if new.sample_rate() != old.sample_rate() {
                *next = None;
            }
        }
        let at = position(time, new.sample_rate(), *next);
        *next = Some(at.saturating_add(i64::from(FRAME_SAMPLES)));
        state.note(origin, number, time, true);
        let at = Timestamp::new(at, new.timescale());
        let info = SampleInfo { pts: at, dts: at, duration: FRAME_SAMPLES, sync: true, len };
        if self.changing == Some(track) {
            self.held.push_back(info);
            return if self.held.len() > MAX_HELD { self.restart() } else { Ok(()) };
        }
        self.push(track, info)
    }

    fn push(&mut self, track: usize, mut info: SampleInfo) -> Result<(), RemuxError> {
        let scale = info.dts.timescale();
        let hz = i64::from(scale.hz());
        let mut splitter = match self.splitter.take() {
            Some(splitter) => splitter,
            None => {
                self.zero = info.dts.ticks().div_euclid(hz);
                let setups = self.tracks.iter().map(Track::setup).collect();
                Splitter::new(setups, self.options.limits)?
            }
        };
        let entry = match &mut self.tracks[track].source {
            Source::Video { entry, changed, .. } => entry.clone().filter(|_| std::mem::take(changed)),
            Source::Audio { config, changed, .. } => {
                std::mem::take(changed).then(|| SampleEntry::aac(*config))
            }
        };
        if let Some(entry) = entry {
            splitter.change_entry(track, &entry)?;
        }
        let moved =
            |at: Timestamp| Timestamp::new(at.ticks().saturating_sub(self.zero.saturating_mul(hz)), scale);
        (info.pts, info.dts) = (moved(info.pts), moved(info.dts));
        splitter.push(track, info)?;
        while let Some(movie) = splitter.poll() {
            self.tell(movie);
        }
        self.splitter = Some(splitter);
        Ok(())
    }

    /// Ends the open file, and begins another with the samples that were held.
    fn restart(&mut self) -> Result<(), RemuxError> {
        if let Some(splitter) = self.splitter.take() {
            for movie in splitter.finish()? {
                self.tell(movie);
            }
            self.fresh = true;
        }
        for track in &mut self.tracks {
            if let Source::Video { entries, .. } = &mut track.source {
                *entries = 0;
            }
        }
        if let Some(track) = self.changing.take() {
            for info in std::mem::take(&mut self.held) {
                self.push(track, info)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RemuxError> {
        if self.changing.is_some() {
            self.restart()?;
        }
        self.restart()?;
        self.done = true;
        Ok(())
    }

    fn tell(&mut self, movie: MoviePlan) {
        let mut tracks = Vec::new();
        let mut begins = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let samples = movie.samples(index);
            if samples == 0 {
                continue;
            }
            begins.push((track.kind, track.begin()));
            if let Some((segment, sample)) = track.first() {
                let (input, kind) = (track.input, track.kind);
                tracks.push(FileTrack { input, kind, samples, segment, sample, track: index });
            }
        }
        // But for the first one, a file begins with its key frame, whatever else is in it.
        let lead = begins.first().filter(|(kind, _)| !self.fresh && *kind == MediaKind::Video);
        let first = begins.iter().min_by_key(|(_, (time, _))| *time);
        let start = lead.or(first).map(|(_, (_, start))| *start).unwrap_or_default();
        self.fresh = false;

        let inputs = self.inputs.iter().enumerate().map(|(index, input)| {
            let drops =
                self.tracks.iter().filter(|track| track.input == index).flat_map(|track| &track.drops);
            FileInput {
                missing: input.missing.iter().copied().collect(),
                drops: drops.copied().collect(),
                segments: input.next,
            }
        });
        let inputs = inputs.collect();
        for (index, track) in self.tracks.iter_mut().enumerate() {
            track.take(movie.samples(index));
        }
        for (index, input) in self.inputs.iter_mut().enumerate() {
            let firsts = self.tracks.iter().filter(|track| track.input == index);
            if let Some((from, _)) = firsts.filter_map(Track::first).min() {
                while input.missing.front().is_some_and(|missing| *missing < from) {
                    input.missing.pop_front();
                }
            }
        }
        self.ready.push_back(FilePlan { movie, start, tracks, inputs });
    }
}
