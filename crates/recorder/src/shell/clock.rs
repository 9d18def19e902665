use std::time::{Instant, SystemTime, UNIX_EPOCH};

use recorder_types::{RoomTime, UnixMillis};

use crate::task::Now;

/// Where a recording takes its time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockMode {
    /// The machine's clocks, read once for each event.
    System,
    /// The embedder tells the time with each event ([`super::Recording::event_at`]): for files, replays and tests.
    /// The recording starts at this moment; idle time passes only as events tell it.
    Told {
        /// Wall clock at the start.
        start: UnixMillis,
    },
}

/// A clock that was started: gives the time since then, and the wall clock beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    mode: ClockMode,
    started: Instant,
    wall: UnixMillis,
    #[cfg(test)]
    simulated: Option<Simulated>,
}

/// A clock that a test sets, in milliseconds, and its reading at the start.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
struct Simulated {
    millis: &'static std::sync::atomic::AtomicI64,
    zero: i64,
}

impl Clock {
    pub(crate) fn start(mode: ClockMode) -> Self {
        let wall = match mode {
            ClockMode::System => wall_clock(),
            ClockMode::Told { start } => start,
        };
        Self {
            mode,
            started: Instant::now(),
            wall,
            #[cfg(test)]
            simulated: None,
        }
    }

    /// Another one, which starts now.
    #[cfg(feature = "api")]
    pub(crate) fn another(self, mode: ClockMode) -> Self {
        #[cfg(test)]
        if let Some(simulated) = self.simulated {
            return Self::simulated(simulated.millis);
        }
        Self::start(mode)
    }

    #[cfg(all(test, feature = "api"))]
    pub(crate) fn simulated(millis: &'static std::sync::atomic::AtomicI64) -> Self {
        let zero = millis.load(std::sync::atomic::Ordering::SeqCst);
        let wall = UnixMillis::new(1_700_000_000_000).expect("a time after 1970").saturating_add_millis(zero);
        Self { wall, simulated: Some(Simulated { millis, zero }), ..Self::start(ClockMode::System) }
    }

    /// The time at the start.
    pub(crate) const fn zero(self) -> Now {
        Now { room: RoomTime::ZERO, wall: self.wall }
    }

    /// The time now; `None` where the embedder tells it.
    pub(crate) fn now(self) -> Option<Now> {
        #[cfg(test)]
        if let Some(Simulated { millis, zero }) = self.simulated {
            let passed = millis.load(std::sync::atomic::Ordering::SeqCst) - zero;
            return Some(Now {
                room: RoomTime::from_millis(passed),
                wall: self.wall.saturating_add_millis(passed),
            });
        }
        match self.mode {
            ClockMode::System => {
                let nanos = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
                Some(Now { room: RoomTime::from_nanos(nanos), wall: wall_clock() })
            }
            ClockMode::Told { .. } => None,
        }
    }
}

/// The system's wall clock, held between 1970 and 9999.
fn wall_clock() -> UnixMillis {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    u64::try_from(millis).ok().and_then(UnixMillis::new).unwrap_or(UnixMillis::MAX)
}
