//! One track of the files while they are planned: what its samples are, and where they come from.

use std::collections::VecDeque;

use bytes::Bytes;
use recorder_mp4::{DescriptionError, PixelAspect, SampleEntry, SampleEntryKind, TrackSetup};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::h264::{DisplayOrientation, parse_sps};
use recorder_types::{H264Config, MediaKind, NalFraming, Size, Timescale, TrackConfig, UnixMillis};

use crate::timeline::HZ;

/// Samples whose times are known still when a file ends with one of them: far more than a splitter holds back.
const MARKS: usize = 4096;
/// What rounding to ticks of 90 kHz does to the time of a frame, in samples.
const ROUNDING: i64 = 2;

#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) input: usize,
    pub(crate) kind: MediaKind,
    pub(crate) source: Source,
    /// Samples put into files so far, those of files not yet told included.
    pub(crate) count: u64,
    /// Samples in files that were told.
    pub(crate) taken: u64,
    /// When the first sample after those is presented.
    begin: i64,
    /// Where samples from `taken` on come from, a place for each segment.
    places: VecDeque<Place>,
    /// Presentation times of the last samples that a file can begin with.
    marks: VecDeque<(u64, i64)>,
    /// Segments of which the first samples are left out, and how many.
    pub(crate) drops: VecDeque<(u32, u32)>,
}

/// What the samples are.
#[derive(Debug)]
pub(crate) enum Source {
    Video {
        entry: Option<SampleEntry>,
        /// How pictures of the open file are turned.
        orientation: DisplayOrientation,
        /// That entry was not told yet.
        changed: bool,
        waits_for_key: bool,
        /// Entries in the open files.
        entries: u32,
    },
    Audio {
        config: AudioSpecificConfig,
        changed: bool,
        /// Where the next frame begins, in samples.
        next: Option<i64>,
    },
}

/// From this sample on, samples come from this segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    first: u64,
    pub(crate) segment: u32,
    /// Number of that sample in the segment.
    skip: u32,
    /// When the segment is presented, placed and on the wall clock.
    presented: i64,
    start: UnixMillis,
}

impl Track {
    pub(crate) fn video(input: usize, orientation: DisplayOrientation) -> Self {
        let source =
            Source::Video { entry: None, orientation, changed: false, waits_for_key: true, entries: 0 };
        Self::new(input, MediaKind::Video, source)
    }

    pub(crate) fn audio(input: usize, config: AudioSpecificConfig) -> Self {
        Self::new(input, MediaKind::Audio, Source::Audio { config, changed: false, next: None })
    }

    const fn new(input: usize, kind: MediaKind, source: Source) -> Self {
        Self {
            input,
            kind,
            source,
            count: 0,
            taken: 0,
            begin: 0,
            places: VecDeque::new(),
            marks: VecDeque::new(),
            drops: VecDeque::new(),
        }
    }

    /// What a file is told of the track. A stream that has not begun is described by something that is never written.
    pub(crate) fn setup(&self) -> TrackSetup {
        match &self.source {
            Source::Video { entry, orientation, .. } => {
                let entry = entry.clone().unwrap_or_else(nothing);
                TrackSetup::new(entry, Timescale::HZ_90000).with_orientation(*orientation)
            }
            Source::Audio { config, .. } => TrackSetup::new(SampleEntry::aac(*config), config.timescale()),
        }
    }

    /// Notes the next sample: presented at `time`, number `number` of its segment. `mark`: a file can begin with it.
    pub(crate) fn note(&mut self, origin: Origin, number: u32, time: i64, mark: bool) {
        let Origin { segment, presented, start } = origin;
        if self.places.back().is_none_or(|place| place.segment != segment) {
            self.places.push_back(Place { first: self.count, segment, skip: number, presented, start });
        }
        if self.count == self.taken {
            self.begin = time;
        }
        if mark {
            if self.marks.len() == MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((self.count, time));
        }
        self.count += 1;
    }

    /// Leaves out a sample at the front of a segment.
    pub(crate) fn leave_out(&mut self, segment: u32) {
        match self.drops.back_mut() {
            Some((last, count)) if *last == segment => *count += 1,
            _ => self.drops.push_back((segment, 1)),
        }
    }

    /// When the next file's first sample of the track is presented: placed, and on the wall clock.
    pub(crate) fn begin(&self) -> (i64, UnixMillis) {
        let start = self.places.front().map_or(UnixMillis::EPOCH, |place| {
            let ticks = self.begin.saturating_sub(place.presented);
            place.start.saturating_add_millis((ticks + HZ / 2000).div_euclid(HZ / 1000))
        });
        (self.begin, start)
    }

    /// Segment of the next file's first sample, and its number there.
    pub(crate) fn first(&self) -> Option<(u32, u32)> {
        let place = self.places.front()?;
        let into = u32::try_from(self.taken - place.first).unwrap_or(u32::MAX);
        Some((place.segment, place.skip.saturating_add(into)))
    }

    /// A file with the next `samples` was told.
    pub(crate) fn take(&mut self, samples: u32) {
        self.taken += u64::from(samples);
        while self.marks.front().is_some_and(|(number, _)| *number < self.taken) {
            self.marks.pop_front();
        }
        while self.places.get(1).is_some_and(|next| next.first <= self.taken) {
            self.places.pop_front();
        }
        if self.taken == self.count {
            self.places.clear();
        }
        if let Some((_, time)) = self.marks.front() {
            self.begin = *time;
        }
        let from = self.places.front().map(|place| place.segment);
        while self.drops.front().is_some_and(|(segment, _)| from.is_some_and(|from| *segment < from)) {
            self.drops.pop_front();
        }
    }
}

/// Where a sample comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) segment: u32,
    pub(crate) presented: i64,
    pub(crate) start: UnixMillis,
}

/// Describes pictures that are not there.
fn nothing() -> SampleEntry {
    SampleEntry {
        kind: SampleEntryKind::Avc3,
        config: TrackConfig::H264(H264Config {
            framing: NalFraming::LengthPrefixed { length_bytes: 4 },
            parameter_sets: Vec::new(),
        }),
        size: Size::new(2, 2),
        pixel_aspect: None,
    }
}

/// The description of pictures with these parameter sets; `None` if `before` describes them too.
pub(crate) fn describe(
    before: Option<&SampleEntry>,
    sets: &[Bytes],
) -> Result<Option<SampleEntry>, DescriptionError> {
    if let Some(TrackConfig::H264(known)) = before.map(|entry| &entry.config)
        && sets.iter().all(|set| known.parameter_sets.contains(set))
    {
        return Ok(None);
    }
    let mut entry = SampleEntry::avc1(sets.to_vec())?;
    let aspect = sets.first().and_then(|sps| parse_sps(sps).ok()).and_then(|sps| {
        let (width, height) = sps.vui_parameters?.aspect_ratio_info?.get()?;
        PixelAspect::new(width.into(), height.into()).filter(|_| width != height)
    });
    entry.pixel_aspect = aspect;
    Ok(Some(entry))
}

/// Position in samples of a frame that is heard at `time`. `next` is where the frame before ends: a frame that begins
/// there, but for the rounding of its time, does so exactly; one that begins earlier follows all the same.
pub(crate) fn position(time: i64, rate: u32, next: Option<i64>) -> i64 {
    let hz = i128::from(HZ);
    let rounded = (i128::from(time) * i128::from(rate) * 2 + hz).div_euclid(hz * 2);
    let at = i64::try_from(rounded).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX });
    match next {
        Some(next) if at.saturating_sub(next).abs() <= ROUNDING => next,
        Some(next) => at.max(next.saturating_sub(i64::from(FRAME_SAMPLES)).saturating_add(1)),
        None => at,
    }
}
