use recorder_types::{RoomTime, UnixMillis};

/// How far a chained start may be from the media's own time.
const DRIFT: RoomTime = RoomTime::from_millis(5);

/// Where a segment starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentStart {
    /// For its name; above that of every segment before.
    pub(crate) start: UnixMillis,
    /// The same place in the media.
    pub(crate) nominal: RoomTime,
}

/// The starts of segments, one after the other.
#[derive(Default)]
pub(crate) struct Chain {
    /// What the caller said last.
    told: Option<Clock>,
    /// What the segments since the last discontinuity go by.
    used: Option<Clock>,
    before: Option<Before>,
}

/// It is `wall` at `room`.
#[derive(Clone, Copy)]
struct Clock {
    room: RoomTime,
    wall: UnixMillis,
}

impl Clock {
    /// To the nearest millisecond, a half upward.
    fn wall_at(self, at: RoomTime) -> UnixMillis {
        self.wall.saturating_add_millis(at.saturating_sub(self.room).round_to_millis())
    }
}

/// The segment before.
#[derive(Clone, Copy)]
struct Before {
    start: UnixMillis,
    nominal: RoomTime,
    duration: RoomTime,
    /// Its media goes on without a gap.
    goes_on: bool,
}

impl Chain {
    pub(crate) fn set_wall_clock(&mut self, room: RoomTime, wall: UnixMillis) {
        self.told = Some(Clock { room, wall });
    }

    pub(crate) fn has_wall_clock(&self) -> bool {
        self.told.is_some()
    }

    /// Milliseconds that are left for names.
    pub(crate) fn names_left(&self) -> u64 {
        UnixMillis::MAX.get() - self.before.map_or(0, |before| before.start.get())
    }

    /// A start after a discontinuity, with a sample decoded at `at` and presented at `pts`.
    pub(crate) fn begin(&mut self, at: RoomTime, pts: RoomTime) -> SegmentStart {
        // Segments are laid end to end by decode time; what the wall clock names is presentation. Their difference at
        // the first sample is kept until the next discontinuity.
        self.used =
            self.told.map(|told| Clock { room: told.room.saturating_sub(pts.saturating_sub(at)), ..told });
        let start = self.media_time(at);
        self.risen(start, at)
    }

    /// A start that follows the segment before. `frame` is the length of an AAC frame where segments hold audio alone
    /// and start exactly `target` after another.
    pub(crate) fn follow(&mut self, at: RoomTime, frame: Option<RoomTime>, target: RoomTime) -> SegmentStart {
        let media = self.media_time(at);
        let Some(before) = self.before else { return self.risen(media, at) };
        if let Some(frame) = frame.filter(|_| before.goes_on) {
            let nominal = before.nominal.saturating_add(target);
            let late = at.saturating_sub(nominal);
            if late >= RoomTime::ZERO.saturating_sub(DRIFT) && late <= frame.saturating_add(DRIFT) {
                return self.risen(before.start.saturating_add_millis(target.round_to_millis()), nominal);
            }
            return self.risen(media, at);
        }
        let chained = before.start.saturating_add_millis(before.duration.round_to_millis());
        let drift = chained.get().abs_diff(media.get());
        let kept = drift <= DRIFT.round_to_millis().unsigned_abs();
        self.risen(if kept { chained } else { media }, at)
    }

    /// The segment that was started last is closed.
    pub(crate) fn closed(&mut self, duration: RoomTime, goes_on: bool) {
        if let Some(before) = &mut self.before {
            before.duration = duration;
            before.goes_on = goes_on;
        }
    }

    fn media_time(&self, at: RoomTime) -> UnixMillis {
        self.used.map_or(UnixMillis::EPOCH, |clock| clock.wall_at(at))
    }

    /// `start`, or a millisecond after the segment before.
    fn risen(&mut self, start: UnixMillis, nominal: RoomTime) -> SegmentStart {
        let least = self.before.map_or(UnixMillis::EPOCH, |before| before.start.saturating_add_millis(1));
        let start = start.max(least);
        self.before = Some(Before { start, nominal, duration: RoomTime::ZERO, goes_on: false });
        SegmentStart { start, nominal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(n: i64) -> RoomTime {
        RoomTime::from_nanos(n)
    }

    fn chain(wall: u64) -> Chain {
        let mut chain = Chain::default();
        chain.set_wall_clock(RoomTime::ZERO, UnixMillis::new(wall).unwrap());
        chain
    }

    /// `naming-and-playlists.md` section 5.3.
    #[test]
    fn pictures_follow_by_duration_rounded_to_milliseconds() {
        let mut chain = chain(1_768_908_622_495);
        let target = RoomTime::from_secs(10);
        assert_eq!(chain.begin(nanos(0), nanos(0)).start.get(), 1_768_908_622_495);
        let mut at = nanos(0);
        for (duration, next) in [(10_078_500_000, 1_768_908_632_574), (11_570_800_000, 1_768_908_644_145)] {
            chain.closed(nanos(duration), true);
            at = at.saturating_add(nanos(duration));
            assert_eq!(chain.follow(at, None, target).start.get(), next);
        }
    }

    #[test]
    fn rounding_that_adds_up_is_taken_back() {
        let mut chain = chain(1_000_000);
        chain.begin(nanos(0), nanos(0));
        let mut at = nanos(0);
        for _ in 0..1000 {
            let duration = nanos(10_000_500_000);
            chain.closed(duration, true);
            at = at.saturating_add(duration);
            let start = chain.follow(at, None, RoomTime::from_secs(10)).start;
            let media = 1_000_000 + at.round_to_millis().unsigned_abs();
            assert!(start.get().abs_diff(media) <= 5, "{start:?} at {at:?}");
        }
    }

    #[test]
    fn a_start_always_rises() {
        let mut chain = chain(5_000);
        for want in [5_000, 5_001, 5_002] {
            assert_eq!(chain.begin(nanos(0), nanos(0)).start.get(), want);
        }
        chain.set_wall_clock(RoomTime::ZERO, UnixMillis::new(10).unwrap());
        assert_eq!(chain.begin(nanos(0), nanos(0)).start.get(), 5_003);
    }

    #[test]
    fn the_wall_clock_names_presentation() {
        let mut chain = chain(10_000);
        let start = chain.begin(RoomTime::from_millis(40), RoomTime::from_millis(120)).start;
        assert_eq!(start.get(), 10_120);
    }
}
