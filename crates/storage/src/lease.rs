//! The right to write, for a time.

use std::time::Duration;

use tokio::sync::watch;

/// Whether this process may put a task's files: until an instant that [`LeaseKeeper`] moves on, or never again.
///
/// Whoever holds a lease of somebody else (a server that gives the task to another machine when this one is silent)
/// stops putting before the other can begin. Where the time is over and nobody knows who has the task, everything waits.
#[derive(Clone, Debug)]
pub struct Lease(watch::Receiver<State>);

/// Moves a [`Lease`] on. Dropped, the lease is lost.
#[derive(Debug)]
pub struct LeaseKeeper(watch::Sender<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Until(Duration),
    Lost,
}

/// Somebody else has the task, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease of the task is lost")]
pub struct LeaseLost;

impl Lease {
    /// A lease until the instant `until` of [`Lease::now`], and who moves it on.
    #[must_use]
    pub fn new(until: Duration) -> (LeaseKeeper, Self) {
        let (keeper, lease) = watch::channel(State::Until(until));
        (LeaseKeeper(keeper), Self(lease))
    }

    /// Time since some instant of this machine: it never jumps, and goes on while the process is stopped and, on Linux,
    /// while the machine sleeps.
    #[must_use]
    pub fn now() -> Duration {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let secs = u64::try_from(now.tv_sec).unwrap_or(0);
            Duration::new(secs, u32::try_from(now.tv_nsec).unwrap_or(0))
        }
        #[cfg(not(target_os = "linux"))]
        {
            static ZERO: std::sync::LazyLock<std::time::Instant> =
                std::sync::LazyLock::new(std::time::Instant::now);
            ZERO.elapsed()
        }
    }

    /// Whether this process may write now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        matches!(*self.0.borrow(), State::Until(until) if Self::now() < until)
    }

    /// Whether it never will again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        *self.0.borrow() == State::Lost
    }

    /// Waits until this process may write.
    ///
    /// # Errors
    /// [`LeaseLost`] where it never will.
    pub async fn valid(&self) -> Result<(), LeaseLost> {
        let may = |state: &State| match state {
            State::Until(until) => Self::now() < *until,
            State::Lost => true,
        };
        let mut state = self.0.clone();
        match state.wait_for(may).await.map(|state| *state) {
            Ok(State::Until(_)) => Ok(()),
            Ok(State::Lost) | Err(_) => Err(LeaseLost),
        }
    }

    /// Waits until it is lost.
    pub async fn lost(&self) {
        // An error is that nobody moves it on any more.
        let _ = self.0.clone().wait_for(|state| *state == State::Lost).await;
    }
}

impl LeaseKeeper {
    /// Lets the lease go until the instant `until` of [`Lease::now`], if that is later than it went before.
    pub fn extend(&self, until: Duration) {
        self.0.send_if_modified(|state| match state {
            State::Until(old) if *old < until => {
                *state = State::Until(until);
                true
            }
            _ => false,
        });
    }

    /// Ends it for ever.
    pub fn revoke(&self) {
        self.0.send_replace(State::Lost);
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.revoke();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_holds_until_its_time_and_never_after_it_is_lost() {
        let hour = Duration::from_secs(3600);
        let (keeper, lease) = Lease::new(Duration::ZERO);
        assert!(!lease.is_valid() && !lease.is_lost());
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.valid().await }
        });
        keeper.extend(Lease::now() + hour);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        keeper.extend(Duration::ZERO);
        assert!(lease.is_valid());
        keeper.revoke();
        keeper.extend(Lease::now() + hour);
        assert!(!lease.is_valid() && lease.is_lost());
        assert_eq!(lease.valid().await, Err(LeaseLost));
        lease.lost().await;
    }

    #[tokio::test]
    async fn nobody_who_moves_it_on_is_the_end_of_it() {
        let (keeper, lease) = Lease::new(Lease::now() + Duration::from_secs(3600));
        drop(keeper);
        assert_eq!(lease.valid().await, Err(LeaseLost));
        assert!(lease.is_lost());
    }
}
