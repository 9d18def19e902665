use recorder_types::RoomTime;

/// Segments that may begin at once.
const BURST: i64 = 10;
/// And in the long run one in this time.
const EVERY: RoomTime = RoomTime::from_secs(1);
const FULL: RoomTime = RoomTime::from_nanos(BURST * EVERY.nanos());

/// How many segments may begin: a few at once, since streams that are published often start twice, and in the long run
/// one a second, so that one who comes and goes a thousand times a second leaves no thousand files.
///
/// Time is that of the media. Where it steps back, nothing is gained by the step.
pub(crate) struct Budget {
    /// Time that was saved up: a beginning costs [`EVERY`].
    saved: RoomTime,
    last: Option<RoomTime>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { saved: FULL, last: None }
    }
}

impl Budget {
    /// Whether a segment may begin at `at`. If so, it is counted.
    pub(crate) fn take(&mut self, at: RoomTime) -> bool {
        let passed = self.last.map_or(RoomTime::ZERO, |last| at.saturating_sub(last)).max(RoomTime::ZERO);
        self.last = Some(at);
        self.saved = self.saved.saturating_add(passed).min(FULL);
        let may = self.saved >= EVERY;
        if may {
            self.saved = self.saved.saturating_sub(EVERY);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(times: impl Iterator<Item = i64>) -> usize {
        let mut budget = Budget::default();
        times.filter(|&ms| budget.take(RoomTime::from_millis(ms))).count()
    }

    #[test]
    fn ten_begin_at_once_and_then_one_a_second() {
        assert_eq!(taken((0..1000).map(|_| 5)), 10);
        assert_eq!(taken(0..10_001), 20);
        assert_eq!(taken((0..1000).map(|n| n * 1000)), 1000);
        // What is saved up has a limit.
        assert_eq!(taken((0..100).map(|n| if n < 1 { 0 } else { 86_400_000 })), 10 + 1);
        // Back and forth by a second gains what forth gains.
        assert_eq!(taken((0..100).map(|n| n % 2 * 1000)), 10 + 50);
    }
}
