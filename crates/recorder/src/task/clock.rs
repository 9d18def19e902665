use recorder_types::{RoomTime, Sample, Timestamp};

/// A step of decode time forward by more than this is looked at twice: a pause, or a jump of the sender's clock?
const FORWARD_STEP: RoomTime = RoomTime::from_secs(5);
/// A step back by more than this is a reset of the sender's clock; a smaller one is a late or repeated sample.
const BACKWARD_STEP: RoomTime = RoomTime::from_secs(1);
/// How far arrival and media time may disagree over such a step and still both be believed.
const TOLERANCE: RoomTime = RoomTime::from_secs(3);
/// How far media may be ahead of its arrival: a server that sends what it had stored gets through, a sender whose
/// clock runs too fast does not run away.
const MAX_AHEAD: RoomTime = RoomTime::from_secs(30);

/// Where tick zero of a track lies on the room's time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackOrigin {
    /// The first sample is placed at the moment it arrives. Audio and video of a user are then only as well in
    /// step as they arrive.
    #[default]
    FirstArrival,
    /// Tick zero is at this room time, as known from RTCP sender reports or from a file: tracks that share an
    /// origin stay exactly in step. One by which the first sample is more than 30 s ahead of its arrival is not
    /// believed, and counts as [`TrackOrigin::FirstArrival`].
    At(RoomTime),
}

/// Places the samples of one published track on the room's time line.
///
/// The relation is fixed at the first sample and changes only when the sender's clock jumps: decode time steps
/// while arrival does not. A wall clock that jumps is never looked at. What would lie more than 30 s ahead of its arrival
/// has no place.
#[derive(Debug)]
pub(crate) struct TrackClock {
    origin: TrackOrigin,
    state: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Added to a timestamp's own time since tick zero.
    offset: RoomTime,
    /// Media time minus arrival time when the relation was fixed.
    lead: RoomTime,
    last_dts: RoomTime,
}

/// Where a sample belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) pts: RoomTime,
    pub(crate) dts: RoomTime,
    /// The relation was fixed anew, so what follows does not continue what came before.
    pub(crate) anchored: Anchored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchored {
    /// The relation stands.
    Continued,
    /// The relation stands, and the sender was silent for longer than a segment bridges.
    Resumed,
    /// First sample of the track.
    First,
    /// The sender's clock jumped.
    Jumped,
}

impl TrackClock {
    pub(crate) const fn new(origin: TrackOrigin) -> Self {
        Self { origin, state: None }
    }

    /// Places `sample`, which arrived at `now`; `None` if its times do not fit in 292 years, or run ahead.
    pub(crate) fn place(&mut self, now: RoomTime, sample: &Sample) -> Option<Placed> {
        let dts = sample.dts.to_room_time()?;
        sample.pts.to_room_time()?;
        let anchored = match self.state {
            None => {
                let offset = match self.origin {
                    TrackOrigin::At(origin) if !is_ahead(dts.saturating_add(origin), now) => origin,
                    _ => now.saturating_sub(dts),
                };
                self.anchor(now, dts, offset);
                Anchored::First
            }
            Some(state) => {
                let at = dts.saturating_add(state.offset);
                let step = at.saturating_sub(state.last_dts);
                let strain = at.saturating_sub(now).saturating_sub(state.lead);
                let steps = step > FORWARD_STEP || step < RoomTime::ZERO.saturating_sub(BACKWARD_STEP);
                let jumped =
                    steps && (strain > TOLERANCE || strain < RoomTime::ZERO.saturating_sub(TOLERANCE));
                let target = if jumped {
                    now.max(state.last_dts.saturating_add(RoomTime::from_millis(1)))
                } else {
                    at
                };
                if is_ahead(target, now) {
                    return None;
                }
                if jumped {
                    self.anchor(now, dts, target.saturating_sub(dts));
                    Anchored::Jumped
                } else if step > FORWARD_STEP {
                    Anchored::Resumed
                } else {
                    Anchored::Continued
                }
            }
        };
        let state = self.state.as_mut()?;
        let dts = dts.saturating_add(state.offset);
        state.last_dts = state.last_dts.max(dts);
        Some(Placed { pts: self.map(sample.pts)?, dts, anchored })
    }

    /// A timestamp of the same track by the relation as it stands; `None` before the first sample.
    pub(crate) fn map(&self, at: Timestamp) -> Option<RoomTime> {
        Some(at.to_room_time()?.saturating_add(self.state?.offset))
    }

    fn anchor(&mut self, now: RoomTime, dts: RoomTime, offset: RoomTime) {
        let at = dts.saturating_add(offset);
        self.state = Some(State { offset, lead: at.saturating_sub(now), last_dts: at });
    }
}

fn is_ahead(at: RoomTime, now: RoomTime) -> bool {
    at.saturating_sub(now) > MAX_AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use recorder_types::Timescale;

    fn sample(ticks: i64) -> Sample {
        Sample::new(Timestamp::new(ticks, Timescale::HZ_90000), Bytes::new())
    }

    fn millis(ms: i64) -> RoomTime {
        RoomTime::from_millis(ms)
    }

    #[test]
    fn the_first_sample_is_placed_at_its_arrival_and_jitter_does_not_move_the_rest() {
        let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
        let first = clock.place(millis(1000), &sample(777_000)).unwrap();
        assert_eq!((first.dts, first.anchored), (millis(1000), Anchored::First));
        let second = clock.place(millis(1500), &sample(777_000 + 9000)).unwrap();
        assert_eq!((second.dts, second.anchored), (millis(1100), Anchored::Continued));
    }

    #[test]
    fn tracks_with_a_known_origin_stay_in_step_whenever_they_arrive() {
        let mut clock = TrackClock::new(TrackOrigin::At(millis(250)));
        assert_eq!(clock.place(millis(9000), &sample(90_000)).unwrap().dts, millis(1250));
    }

    #[test]
    fn a_pause_is_kept_and_a_jump_is_not() {
        let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
        clock.place(millis(0), &sample(0)).unwrap();
        // An hour of silence: media time and arrival agree.
        let paused = clock.place(millis(3_600_000), &sample(3600 * 90_000)).unwrap();
        assert_eq!((paused.dts, paused.anchored), (millis(3_600_000), Anchored::Resumed));
        // The sender's clock leaps ten years in 20 ms, then comes back.
        let ahead = clock.place(millis(3_600_020), &sample(315_360_000 * 90_000)).unwrap();
        assert_eq!((ahead.dts, ahead.anchored), (millis(3_600_020), Anchored::Jumped));
        let back = clock.place(millis(3_600_040), &sample(3600 * 90_000 + 3600)).unwrap();
        assert_eq!((back.dts, back.anchored), (millis(3_600_040), Anchored::Jumped));
    }

    #[test]
    fn a_clock_that_runs_too_fast_does_not_run_away() {
        // Steps that are believed each on its own, small ones and those just below what is looked at twice.
        for step in [25, 100, 1000, 4999] {
            let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
            let (mut last, mut placed) = (millis(-1), 0);
            for n in 0..100_000 {
                let now = millis(n * 20);
                let Some(at) = clock.place(now, &sample(n * step * 90)) else { continue };
                assert!(at.dts > last, "{step} ms at {n}: {at:?} after {last:?}");
                assert!(at.dts <= now.saturating_add(MAX_AHEAD), "{step} ms at {n}: {at:?}");
                (last, placed) = (at.dts, placed + 1);
            }
            // It goes on being recorded: media for as long as it sends.
            assert!(last >= millis(100_000 * 20 - 5000), "{step} ms: {last:?}");
            assert!(placed > 400, "{step} ms: {placed}");
        }
    }

    #[test]
    fn a_burst_of_stored_media_keeps_its_times() {
        let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
        for n in 0..=750 {
            let placed = clock.place(millis(0), &sample(n * 3600)).unwrap();
            assert_eq!(placed.dts, millis(n * 40));
        }
        assert_eq!(clock.place(millis(0), &sample(751 * 3600)), None);
        let after = clock.place(millis(31_000), &sample(751 * 3600)).unwrap();
        assert_eq!((after.dts, after.anchored), (millis(751 * 40), Anchored::Continued));
    }

    #[test]
    fn an_origin_in_the_future_is_not_believed() {
        let far = RoomTime::from_secs(100 * 366 * 86_400);
        for (origin, want) in [(millis(30_500), 30_500), (millis(30_501), 500), (far, 500)] {
            let mut clock = TrackClock::new(TrackOrigin::At(origin));
            assert_eq!(clock.place(millis(500), &sample(0)).unwrap().dts, millis(want));
        }
    }

    #[test]
    fn a_late_sample_is_no_jump() {
        let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
        clock.place(millis(0), &sample(0)).unwrap();
        clock.place(millis(100), &sample(9000)).unwrap();
        let late = clock.place(millis(110), &sample(4500)).unwrap();
        assert_eq!((late.dts, late.anchored), (millis(50), Anchored::Continued));
    }

    #[test]
    fn times_outside_of_292_years_are_refused() {
        let mut clock = TrackClock::new(TrackOrigin::FirstArrival);
        assert_eq!(clock.place(millis(0), &sample(i64::MAX)), None);
        assert!(clock.place(millis(0), &sample(5)).is_some());
        let one_hz = Timescale::new(1).unwrap();
        let wild = Sample::new(Timestamp::new(i64::MIN, one_hz), Bytes::new());
        assert_eq!(clock.place(millis(1), &wild), None);
    }
}
