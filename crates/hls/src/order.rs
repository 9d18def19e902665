use recorder_types::{RoomTime, Timescale};

/// A leap forward by more than this is not believed at once.
const LEAP: RoomTime = RoomTime::from_secs(3600);
/// A timeline that runs for this long beside the one before is.
const CONFIRMED: RoomTime = RoomTime::from_secs(1);

/// Times further than 73 years from the start follow nothing: sums of the others stay exact.
const RANGE: u64 = 1 << 61;

/// Keeps the decode times of one stream strictly rising.
#[derive(Default)]
pub(crate) struct Order {
    last: Option<RoomTime>,
    stray: Option<Stray>,
    leap_expected: bool,
}

struct Stray {
    first: RoomTime,
    last: RoomTime,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It follows the sample before.
    Follows,
    /// It does not.
    Stray,
    /// Neither does it, but samples like it have come for a second: the clock was reset.
    BeginsAnew,
}

impl Order {
    /// Any time is good next.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Any time after the last is good next.
    pub(crate) fn expect_leap(&mut self) {
        self.leap_expected = true;
    }

    /// A sample at `dts` was taken.
    pub(crate) fn advance(&mut self, dts: RoomTime) {
        *self = Self { last: Some(dts), stray: None, leap_expected: false };
    }

    /// Judges a sample. Earlier than `floor` it follows nothing. Strays belong together when they rise by at most
    /// `max_gap`.
    pub(crate) fn admit(&mut self, dts: RoomTime, floor: Option<RoomTime>, max_gap: RoomTime) -> Admission {
        if dts.nanos().unsigned_abs() > RANGE {
            return Admission::Stray;
        }
        let ticks = |at: RoomTime| at.round_to_ticks(Timescale::HZ_90000);
        let follows = self.last.is_none_or(|last| {
            ticks(dts) > ticks(last) && (self.leap_expected || dts.saturating_sub(last) <= LEAP)
        });
        if follows && floor.is_none_or(|floor| dts >= floor) {
            self.advance(dts);
            return Admission::Follows;
        }
        match &mut self.stray {
            Some(stray) if dts > stray.last && dts.saturating_sub(stray.last) <= max_gap => {
                stray.last = dts;
                if stray.last.saturating_sub(stray.first) >= CONFIRMED {
                    return Admission::BeginsAnew;
                }
            }
            other => *other = Some(Stray { first: dts, last: dts }),
        }
        Admission::Stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(times: &[i64]) -> Vec<Admission> {
        let mut order = Order::default();
        times.iter().map(|&ms| order.admit(RoomTime::from_millis(ms), None, RoomTime::from_secs(5))).collect()
    }

    #[test]
    fn one_leap_is_dropped_and_a_clock_that_was_reset_is_believed() {
        use Admission::{BeginsAnew, Follows, Stray};
        assert_eq!(run(&[0, 40, 40, 30, 80]), [Follows, Follows, Stray, Stray, Follows]);
        assert_eq!(run(&[0, 4_000_000, 40]), [Follows, Stray, Follows]);
        assert_eq!(run(&[90_000, 0, 400, 800, 1000]), [Follows, Stray, Stray, Stray, BeginsAnew]);
        assert_eq!(run(&[90_000, 0, 0, 0, 0]), [Follows, Stray, Stray, Stray, Stray]);
    }
}
