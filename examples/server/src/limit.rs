use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use recorder::api::{Action, CALLS_PER_SECOND};

/// Lets [`CALLS_PER_SECOND`] calls of an action through in any second, for each key. No clock: instants are durations
/// since any zero. Only keys that exist may be named, so the table is as large as the key file.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    taken: HashMap<(String, Action), VecDeque<Duration>>,
}

impl Limiter {
    /// Whether the call may go on; one that may not does not count.
    pub(crate) fn take(&mut self, now: Duration, key: &str, action: Action) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        let most = usize::try_from(CALLS_PER_SECOND).expect("a small constant");
        let calls = self.taken.entry((key.to_owned(), action)).or_default();
        while calls.front().is_some_and(|at| now.saturating_sub(*at) >= SECOND) {
            calls.pop_front();
        }
        let may = calls.len() < most;
        if may {
            calls.push_back(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_21st_call_within_a_second_is_refused_and_others_are_not() {
        let (mut limiter, at) = (Limiter::default(), Duration::from_millis);
        let create = Action::CreateCloudRecording;
        for call in 0..20 {
            assert!(limiter.take(at(call * 10), "a", create), "{call}");
        }
        for late in [at(200), at(999)] {
            assert!(!limiter.take(late, "a", create));
        }
        assert!(limiter.take(at(999), "b", create), "another key");
        assert!(limiter.take(at(999), "a", Action::DeleteCloudRecording), "another action");
        // A second after the first call there is room for one, and the refused ones have taken none.
        assert!(limiter.take(at(1000), "a", create));
        assert!(!limiter.take(at(1009), "a", create));
        assert!(limiter.take(at(1010), "a", create));
        // A caller who never stops gets 20 in every second and never 21.
        let mut limiter = Limiter::default();
        let times = (0..4000).map(|step| at(step * 3));
        let passed: Vec<Duration> = times.filter(|now| limiter.take(*now, "a", create)).collect();
        assert_eq!(passed.len(), 240);
        assert!(passed.windows(21).all(|window| window[20] - window[0] >= at(1000)), "{passed:?}");
    }
}
