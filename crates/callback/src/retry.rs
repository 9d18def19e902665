use std::time::Duration;

/// The numbers of the retry schedule. Those of the service by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// From the start of an attempt to the start of the next, from the second retry on: 10 s. The first retry comes at
    /// once.
    pub interval: Duration,
    /// No attempt starts when the message is older than this: 60 s. At exactly this age one does.
    pub max_age: Duration,
}

impl RetryPolicy {
    /// The schedule of the service.
    pub const SERVICE: Self = Self { interval: Duration::from_secs(10), max_age: Duration::from_secs(60) };

    /// The same with another interval.
    #[must_use]
    pub const fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The same with another age.
    #[must_use]
    pub const fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::SERVICE
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// Start the next attempt at this instant, which is not before the failure.
    At(Duration),
    /// The message would be too old by then.
    GiveUp,
}

/// When one message is tried: tell it when an attempt starts and when it fails, and it says what comes next.
///
/// Instants are durations since any zero, the same for all calls, on a clock that does not jump. The first attempt
/// is the caller's to start, however old the message is: one that waited behind others is tried at least once.
///
/// # Specification
/// `callbacks.md` section 1.1, with its proposals.
#[derive(Clone, Debug)]
pub struct RetrySchedule {
    policy: RetryPolicy,
    made: Duration,
    attempts: u32,
    last_start: Duration,
}

impl RetrySchedule {
    /// The schedule of a message that was made at `made`.
    #[must_use]
    pub const fn new(policy: RetryPolicy, made: Duration) -> Self {
        Self { policy, made, attempts: 0, last_start: made }
    }

    /// An attempt starts at `at`.
    pub fn started(&mut self, at: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_start = at;
    }

    /// The attempt that was started last failed at `at`. Says when the next one starts.
    #[must_use]
    pub fn failed(&self, at: Duration) -> NextAttempt {
        let next = match self.attempts {
            0 | 1 => at,
            _ => self.last_start.saturating_add(self.policy.interval).max(at),
        };
        if next.saturating_sub(self.made) > self.policy.max_age {
            NextAttempt::GiveUp
        } else {
            NextAttempt::At(next)
        }
    }

    /// Attempts started so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ages of the message in milliseconds at the start of each attempt, if each fails after what `answer` says.
    fn attempts(first: u64, answer: impl Fn(usize) -> u64) -> Vec<u64> {
        let made = Duration::from_secs(7);
        let mut schedule = RetrySchedule::new(RetryPolicy::SERVICE, made);
        let mut starts = Vec::new();
        let mut now = made + Duration::from_millis(first);
        loop {
            schedule.started(now);
            starts.push(u64::try_from((now - made).as_millis()).unwrap());
            match schedule.failed(now + Duration::from_millis(answer(starts.len() - 1))) {
                NextAttempt::At(next) => now = next,
                NextAttempt::GiveUp => return starts,
            }
        }
    }

    #[test]
    fn both_proposed_schedules() {
        let refused = [0, 0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000];
        assert_eq!(attempts(0, |_| 0), refused);
        let silent = [0, 5_000, 15_000, 25_000, 35_000, 45_000, 55_000];
        assert_eq!(attempts(0, |_| 5_000), silent);
    }

    #[test]
    fn the_minute_is_included_and_its_first_millisecond_is_not() {
        // The first retry shifts the grid: 60 000 is still tried, 60 001 is not.
        let on_the_minute = [0, 0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000];
        assert_eq!(attempts(0, |attempt| if attempt == 7 { 5_000 } else { 0 }), on_the_minute);
        assert_eq!(attempts(0, |attempt| u64::from(attempt == 0)).last(), Some(&50_001));
    }

    #[test]
    fn a_message_that_waited_is_tried_once_and_has_no_more_than_its_minute() {
        assert_eq!(attempts(59_000, |_| 0), [59_000, 59_000]);
        assert_eq!(attempts(60_000, |_| 0), [60_000, 60_000]);
        assert_eq!(attempts(60_001, |_| 0), [60_001]);
        assert_eq!(attempts(500_000, |_| 5_000), [500_000]);
    }

    proptest! {
        #[test]
        fn attempts_are_few_ordered_and_young(answers in proptest::collection::vec(0u64..=5_000, 20)) {
            let starts = attempts(0, |attempt| answers[attempt % answers.len()]);
            prop_assert!((7..=8).contains(&starts.len()), "{starts:?}");
            prop_assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(starts.iter().all(|age| *age <= 60_000));
        }
    }
}
