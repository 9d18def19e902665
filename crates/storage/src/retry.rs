use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often and how patiently one file is tried: exponential backoff with full jitter, so that many tasks do not
/// come back to a store at the same instant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryOptions {
    /// Tries in all, at least 1. Default 6.
    pub tries: u32,
    /// The longest pause after the first try; it doubles with every other. Default 200 ms.
    pub base: Duration,
    /// No pause is longer. Default 10 s.
    pub cap: Duration,
    /// Pauses of the same seed are the same. Default: a number that differs from one options value to the next.
    pub seed: u64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            tries: 6,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(10),
            seed: RandomState::new().hash_one(0u8),
        }
    }
}

impl RetryOptions {
    /// Sets [`RetryOptions::tries`].
    #[must_use]
    pub fn with_tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Sets [`RetryOptions::base`].
    #[must_use]
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets [`RetryOptions::cap`].
    #[must_use]
    pub fn with_cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets [`RetryOptions::seed`].
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The pauses of job number `job`.
    pub(crate) fn jitter(&self, job: u64) -> Jitter {
        Jitter {
            state: self.seed ^ job.wrapping_mul(0xD1B5_4A32_D192_ED03),
            left: self.tries.saturating_sub(1),
            ceiling: self.base.min(self.cap),
            cap: self.cap,
        }
    }
}

/// The pauses between the tries of one job.
#[derive(Debug)]
pub(crate) struct Jitter {
    state: u64,
    left: u32,
    ceiling: Duration,
    cap: Duration,
}

impl Jitter {
    /// Between nothing and the ceiling, each equally likely to the nanosecond; `None` when there is no further try.
    pub(crate) fn next_pause(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let ceiling = u64::try_from(self.ceiling.as_nanos()).unwrap_or(u64::MAX);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.cap);
        let nanos = (u128::from(self.random()) * (u128::from(ceiling) + 1)) >> 64;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(options: &RetryOptions, job: u64) -> Vec<Duration> {
        let mut jitter = options.jitter(job);
        std::iter::from_fn(|| jitter.next_pause()).collect()
    }

    #[test]
    fn pauses_stay_under_a_doubling_ceiling() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_millis(500));
        for seed in 0..200 {
            let options = RetryOptions::default().with_tries(6).with_base(base).with_cap(cap).with_seed(seed);
            let pauses = pauses(&options, seed);
            assert_eq!(pauses.len(), 5);
            for (pause, ceiling) in pauses.iter().zip([100, 200, 400, 500, 500]) {
                assert!(*pause <= Duration::from_millis(ceiling), "{pause:?} over {ceiling} ms");
            }
        }
    }

    #[test]
    fn a_seed_repeats_its_pauses_and_jobs_differ() {
        let options = RetryOptions::default().with_seed(7);
        assert_eq!(pauses(&options, 1), pauses(&options, 1));
        assert_ne!(pauses(&options, 1), pauses(&options, 2));
        assert!(pauses(&options.with_tries(1), 1).is_empty());
    }
}
