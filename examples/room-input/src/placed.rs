use std::collections::VecDeque;

use recorder_types::{MediaKind, RoomTime, Sample, TrackConfig};

use crate::{InputError, InputSource, Warning};

/// Samples looked at to find where a source begins.
const LOOK_AHEAD: usize = 256;

/// A source whose first timestamp is within this of zero is taken as it is; one that begins elsewhere (a piece of a
/// longer stream) is moved to zero.
const NEAR_ZERO: RoomTime = RoomTime::from_secs(1);

/// A source whose samples have a place on the clock of a room.
#[derive(Debug)]
pub struct PlacedSource {
    source: InputSource,
    ahead: VecDeque<(usize, Sample)>,
    origin: RoomTime,
    lead: RoomTime,
}

impl PlacedSource {
    /// Lets `source` begin at `begin`. Times near the source's zero (within 1 s) keep their distance to it; those of a
    /// source that begins elsewhere are moved, so that the first picture or sound is at `begin`. Up to 256 samples are
    /// read ahead to know.
    ///
    /// # Errors
    /// [`InputError`] where nothing can be read; a later fault is met in its place.
    pub fn new(source: InputSource, begin: RoomTime) -> Result<Self, InputError> {
        let mut placed = Self { source, ahead: VecDeque::new(), origin: begin, lead: RoomTime::ZERO };
        placed.find_origin(begin)?;
        Ok(placed)
    }

    /// The tracks to publish.
    pub fn tracks(&self) -> impl Iterator<Item = (MediaKind, TrackConfig)> + '_ {
        self.source.tracks().iter().map(|track| (track.kind, track.config.clone()))
    }

    /// Room time of the source's zero.
    #[must_use]
    pub const fn origin(&self) -> RoomTime {
        self.origin
    }

    /// How long before its beginning its first sample is decoded: B-frames and encoder delay. Never negative.
    #[must_use]
    pub const fn lead(&self) -> RoomTime {
        self.lead
    }

    /// Lets everything come later by `delay`. By its [lead](Self::lead), and nothing is sent before the beginning.
    pub fn delay(&mut self, delay: RoomTime) {
        self.origin = self.origin.saturating_add(delay);
    }

    /// As [`InputSource::take_warnings`].
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        self.source.take_warnings()
    }

    /// Room time of the next sample's decoding; `None` at the end.
    ///
    /// # Errors
    /// [`InputError`], which ends the source.
    pub fn next_time(&mut self) -> Result<Option<RoomTime>, InputError> {
        if self.ahead.is_empty()
            && let Some(next) = self.source.next()
        {
            self.ahead.push_back(next?);
        }
        Ok(self.ahead.front().map(|(_, sample)| self.place(sample)))
    }

    /// The next sample; `None` at the end.
    ///
    /// # Errors
    /// [`InputError`], which ends the source.
    pub fn next_sample(&mut self) -> Result<Option<(MediaKind, Sample)>, InputError> {
        self.next_time()?;
        let Some((track, sample)) = self.ahead.pop_front() else { return Ok(None) };
        let kind = self.source.tracks().get(track).map_or(MediaKind::Video, |track| track.kind);
        Ok(Some((kind, sample)))
    }

    fn place(&self, sample: &Sample) -> RoomTime {
        sample.dts.to_room_time().unwrap_or(RoomTime::ZERO).saturating_add(self.origin)
    }

    fn find_origin(&mut self, begin: RoomTime) -> Result<(), InputError> {
        let mut first = vec![None; self.source.tracks().len()];
        let mut decoded: Option<RoomTime> = None;
        while first.iter().any(Option::is_none) && self.ahead.len() < LOOK_AHEAD {
            let Some(next) = self.source.next() else { break };
            let (track, sample) = match next {
                Ok(next) => next,
                // What was read before the fault is recorded; the fault is met again at the end.
                Err(error) if self.ahead.is_empty() => return Err(error),
                Err(_) => break,
            };
            if let Some(first) = first.get_mut(track).filter(|first| first.is_none()) {
                *first = sample.pts.to_room_time();
                decoded = decoded.into_iter().chain(sample.dts.to_room_time()).min();
            }
            self.ahead.push_back((track, sample));
        }
        let first = first.into_iter().flatten().min().unwrap_or(RoomTime::ZERO);
        if first > NEAR_ZERO || first < RoomTime::ZERO.saturating_sub(NEAR_ZERO) {
            self.origin = begin.saturating_sub(first);
        }
        let earliest = self.origin.saturating_add(decoded.unwrap_or(RoomTime::ZERO));
        self.lead = begin.saturating_sub(earliest).max(RoomTime::ZERO);
        Ok(())
    }
}
