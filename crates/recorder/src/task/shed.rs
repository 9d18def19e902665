use recorder_mixer::Shedding;
use recorder_types::RoomTime;

/// How long work that was left out has to show its effect before more is.
const PATIENCE: RoomTime = RoomTime::from_secs(2);
/// How long the mix has to be in time before work is taken up again.
const CALM: RoomTime = RoomTime::from_secs(10);

/// Decides by how far the task is behind which work the mix leaves out: a step more when it is too far behind and the
/// last step did not help within 2 s, a step less after 10 s well in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shed {
    /// How far is too far; `None` leaves nothing out.
    bound: Option<RoomTime>,
    now: Shedding,
    /// When the last step was taken.
    changed: RoomTime,
    /// Since when it has been well in time.
    calm_since: Option<RoomTime>,
}

impl Shed {
    pub(super) const fn new(bound: Option<RoomTime>) -> Self {
        Self { bound, now: Shedding::Nothing, changed: RoomTime::ZERO, calm_since: None }
    }

    pub(super) const fn now(&self) -> Shedding {
        self.now
    }

    /// At `at` the task is `behind`. Gives what is left out from now on, if that is something else.
    pub(super) fn observe(&mut self, at: RoomTime, behind: RoomTime) -> Option<Shedding> {
        let bound = self.bound?;
        // Well in time is within a quarter of the bound: what has just caught up is not loaded again at once.
        let is_calm = behind.nanos() <= bound.nanos() / 4;
        self.calm_since = if is_calm { self.calm_since.or(Some(at)) } else { None };
        let long = |since: RoomTime, time: RoomTime| at.saturating_sub(since) >= time;
        let is_first = self.now == Shedding::Nothing;
        let next = if behind > bound && (is_first || long(self.changed, PATIENCE)) {
            self.now.more()
        } else if self.calm_since.is_some_and(|since| long(since, CALM)) {
            self.now.less()
        } else {
            None
        };
        if let Some(next) = next {
            (self.now, self.changed, self.calm_since) = (next, at, None);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_in_order_and_taken_back_when_it_is_calm() {
        let mut shed = Shed::new(Some(RoomTime::from_secs(1)));
        let mut seen = Vec::new();
        // Milliseconds behind, for so many seconds.
        for (behind, seconds) in [(0, 5), (1001, 10), (251, 30), (250, 9), (251, 1), (250, 40)] {
            for _ in 0..seconds {
                let at = RoomTime::from_secs(i64::try_from(seen.len()).unwrap());
                shed.observe(at, RoomTime::from_millis(behind));
                seen.push(shed.now());
            }
        }
        let at = |what: Shedding| seen.iter().filter(|seen| **seen == what).count();
        assert!(seen[..5].iter().all(|seen| *seen == Shedding::Nothing));
        assert_eq!(
            seen[5..10],
            [Shedding::Tiles, Shedding::Tiles, Shedding::HalfRate, Shedding::HalfRate, Shedding::QuarterRate,]
        );
        assert!(seen[10..65].iter().all(|seen| *seen == Shedding::QuarterRate), "not calm for long enough");
        assert_eq!(seen.last(), Some(&Shedding::Nothing));
        assert_eq!((at(Shedding::HalfRate), at(Shedding::Tiles)), (2 + 11, 2 + 11));
    }

    #[test]
    fn without_a_bound_nothing_is_left_out() {
        let mut shed = Shed::new(None);
        assert_eq!(shed.observe(RoomTime::ZERO, RoomTime::MAX), None);
    }
}
