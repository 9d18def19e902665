use std::time::Duration;

use crate::Family;

/// How long a client waits between repeats of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOptions {
    /// Before the first repeat; twice as long before each that follows. Default 3 s.
    pub first: Duration,
    /// Never longer than this. Default 5 minutes, which is ours: the documentation names no end.
    pub longest: Duration,
    /// Repeats before giving up; `None`, the default, for as long as it takes.
    pub repeats: Option<u32>,
}

impl RetryOptions {
    /// With [`Self::first`].
    #[must_use]
    pub const fn with_first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// With [`Self::longest`].
    #[must_use]
    pub const fn with_longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// With [`Self::repeats`].
    #[must_use]
    pub const fn with_repeats(mut self, repeats: Option<u32>) -> Self {
        self.repeats = repeats;
        self
    }
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { first: Duration::from_secs(3), longest: Duration::from_secs(300), repeats: None }
    }
}

/// What a client does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterError {
    /// Repeat the same call after this time.
    RepeatAfter(Duration),
    /// Do not repeat: the call, the credentials or the limits have to change first.
    Stop(Family),
    /// It was repeated as often as the options allow.
    GiveUp,
}

/// When a call is repeated: 3 s after the first failure, then 6 s, 12 s and so on, with the same parameters.
///
/// It does no I/O and holds no clock. Start a new one for each call.
///
/// ```
/// use recorder_api::{AfterError, Family, RetryOptions, RetrySchedule};
/// use std::time::Duration;
///
/// let mut schedule = RetrySchedule::new(RetryOptions::default());
/// assert_eq!(schedule.failed("InternalError.CRInternalError"), AfterError::RepeatAfter(Duration::from_secs(3)));
/// assert_eq!(schedule.failed("InternalError.CRInternalError"), AfterError::RepeatAfter(Duration::from_secs(6)));
/// assert_eq!(schedule.failed("InvalidParameter.OutOfRange"), AfterError::Stop(Family::Fix));
/// ```
///
/// # Specification
/// `trtc-api.md` section 7.3.
#[derive(Clone, Debug)]
pub struct RetrySchedule {
    options: RetryOptions,
    repeats: u32,
    next: Duration,
}

impl RetrySchedule {
    /// The schedule of one call.
    #[must_use]
    pub fn new(options: RetryOptions) -> Self {
        Self { options, repeats: 0, next: options.first.min(options.longest) }
    }

    /// The call was answered with `code` (`Error.Code`).
    pub fn failed(&mut self, code: &str) -> AfterError {
        match Family::of(code) {
            Family::Retry => self.unanswered(),
            family => AfterError::Stop(family),
        }
    }

    /// The call was not answered at all, or not with the API's JSON.
    pub fn unanswered(&mut self) -> AfterError {
        if self.options.repeats.is_some_and(|most| self.repeats >= most) {
            return AfterError::GiveUp;
        }
        self.repeats = self.repeats.saturating_add(1);
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.options.longest);
        AfterError::RepeatAfter(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(options: RetryOptions, count: usize) -> Vec<Option<u64>> {
        let mut schedule = RetrySchedule::new(options);
        let mut next = || match schedule.failed("InternalError") {
            AfterError::RepeatAfter(wait) => Some(wait.as_secs()),
            AfterError::Stop(_) | AfterError::GiveUp => None,
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end_where_asked() {
        let all = [3, 6, 12, 24, 48, 96, 192, 300, 300].map(Some);
        assert_eq!(waits(RetryOptions::default(), 9), all);
        assert_eq!(waits(RetryOptions::default().with_repeats(Some(2)), 4), [Some(3), Some(6), None, None]);
        let unbounded = RetryOptions::default().with_longest(Duration::MAX);
        assert!(waits(unbounded, 200).iter().all(Option::is_some));
        assert_eq!(
            waits(RetryOptions::default().with_longest(Duration::from_secs(1)), 2),
            [Some(1), Some(1)]
        );
    }

    #[test]
    fn only_failures_of_the_service_are_repeated() {
        let mut schedule = RetrySchedule::new(RetryOptions::default());
        assert_eq!(schedule.failed("FailedOperation.RestrictedConcurrency"), AfterError::Stop(Family::Limit));
        assert_eq!(schedule.unanswered(), AfterError::RepeatAfter(Duration::from_secs(3)));
    }
}
