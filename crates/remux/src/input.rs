//! The segments of one input that are being merged.

use std::collections::VecDeque;
use std::iter::{Flatten, Peekable};
use std::option::IntoIter;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::index::{Frames, IndexedPicture, Pictures};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::DisplayOrientation;
use recorder_types::{MediaKind, UnixMillis};

use crate::timeline::{DEFAULT_PICTURE, Span, Timeline};

/// An input while files are planned.
#[derive(Debug)]
pub(crate) struct InputState {
    pub(crate) timeline: Timeline,
    /// Segments with samples left, oldest first.
    pub(crate) loaded: VecDeque<Loaded>,
    /// Number of the segment that is supplied next.
    pub(crate) next: u32,
    pub(crate) asked: bool,
    pub(crate) ended: bool,
    /// End of what is loaded: later segments begin about here.
    pub(crate) horizon: i64,
    /// Segments that do not exist, as far as files not yet told need them.
    pub(crate) missing: VecDeque<u32>,
    /// A segment was missing, so pictures wait for a key frame.
    pub(crate) gap: bool,
}

/// A segment that is being merged.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) number: u32,
    pub(crate) start: UnixMillis,
    /// What is added to the times in it.
    pub(crate) offset: i64,
    /// When its first sample is presented, placed.
    pub(crate) presented: i64,
    /// Whether pictures cannot be predicted from those of the segment before.
    pub(crate) gap: bool,
    pictures: Peekable<Flatten<IntoIter<Pictures>>>,
    /// Pictures taken.
    pub(crate) picture: u32,
    /// Ticks of the last picture that was followed by another.
    lasts: i64,
    sets: VecDeque<(u32, Vec<Bytes>)>,
    frames: Peekable<Flatten<IntoIter<Frames>>>,
    pub(crate) frame: u32,
    pub(crate) config: Option<AudioSpecificConfig>,
    /// How pictures are turned from the first one on, where that is told. A discontinuity without it sets them upright.
    pub(crate) orientation: Option<DisplayOrientation>,
}

impl InputState {
    pub(crate) fn new() -> Self {
        Self {
            timeline: Timeline::default(),
            loaded: VecDeque::new(),
            next: 0,
            asked: false,
            ended: false,
            horizon: i64::MIN,
            missing: VecDeque::new(),
            gap: false,
        }
    }

    /// When the next sample of this kind is decoded, among those that are loaded.
    pub(crate) fn next_time(&mut self, kind: MediaKind) -> Option<i64> {
        self.loaded.iter_mut().find_map(|loaded| loaded.next_time(kind))
    }

    /// The segment of the next sample of this kind.
    pub(crate) fn front(&mut self, kind: MediaKind) -> Option<&mut Loaded> {
        self.loaded.iter_mut().find_map(|loaded| loaded.next_time(kind).is_some().then_some(loaded))
    }

    pub(crate) fn drop_empty(&mut self) {
        while self.loaded.front_mut().is_some_and(Loaded::is_empty) {
            self.loaded.pop_front();
        }
    }
}

impl Loaded {
    pub(crate) fn new(number: u32, index: &SegmentIndex, span: Span, offset: i64, gap: bool) -> Self {
        let video = index.video();
        let first = video.map(|video| (0, video.parameter_sets().to_vec()));
        let changes = video.into_iter().flat_map(|video| video.set_changes());
        let changes = changes.map(|(from, sets)| (from, sets.to_vec()));
        Self {
            number,
            start: index.start(),
            offset,
            presented: span.presented.saturating_add(offset),
            gap,
            pictures: video.map(|video| video.pictures()).into_iter().flatten().peekable(),
            picture: 0,
            lasts: DEFAULT_PICTURE,
            sets: first.into_iter().chain(changes).filter(|(_, sets)| !sets.is_empty()).collect(),
            frames: index.audio().map(|audio| audio.frames()).into_iter().flatten().peekable(),
            frame: 0,
            config: index.audio().map(|audio| audio.config()),
            orientation: video
                .and_then(|video| video.orientation())
                .or(index.discontinuity().then(DisplayOrientation::default)),
        }
    }

    fn is_empty(&mut self) -> bool {
        self.pictures.peek().is_none() && self.frames.peek().is_none()
    }

    pub(crate) fn next_time(&mut self, kind: MediaKind) -> Option<i64> {
        let time = match kind {
            MediaKind::Video => self.pictures.peek()?.dts,
            MediaKind::Audio => self.frames.peek()?.pts,
        };
        Some(time.saturating_add(self.offset))
    }

    /// The next picture with its times placed, the ticks until the one after it, and the parameter sets from it on if
    /// they are told anew.
    pub(crate) fn take_picture(&mut self) -> Option<(IndexedPicture, u32, Option<Vec<Bytes>>)> {
        let mut picture = self.pictures.next()?;
        if let Some(next) = self.pictures.peek() {
            self.lasts = next.dts.saturating_sub(picture.dts);
        }
        let number = self.picture;
        self.picture += 1;
        let mut sets = None;
        while self.sets.front().is_some_and(|(from, _)| *from <= number) {
            sets = self.sets.pop_front().map(|(_, sets)| sets);
        }
        picture.pts = picture.pts.saturating_add(self.offset);
        picture.dts = picture.dts.saturating_add(self.offset);
        Some((picture, u32::try_from(self.lasts).unwrap_or(u32::MAX), sets))
    }

    /// The next frame: when it is heard, placed, and its bytes.
    pub(crate) fn take_frame(&mut self) -> Option<(i64, u32)> {
        let frame = self.frames.next()?;
        self.frame += 1;
        Some((frame.pts.saturating_add(self.offset), frame.len))
    }
}
