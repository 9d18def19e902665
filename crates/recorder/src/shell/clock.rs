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
}

impl Clock {
    pub(crate) fn start(mode: ClockMode) -> Self {
        let wall = match mode {
            ClockMode::System => wall_clock(),
            ClockMode::Told { start } => start,
        };
        Self { mode, started: Instant::now(), wall }
    }

    /// The time at the start.
    pub(crate) const fn zero(self) -> Now {
        Now { room: RoomTime::ZERO, wall: self.wall }
    }

    /// The time now; `None` where the embedder tells it.
    pub(crate) fn now(self) -> Option<Now> {
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
