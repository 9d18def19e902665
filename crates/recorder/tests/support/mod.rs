//! What the tests share: a room under a simulated clock, and everything that came out of its recording.
// Each test file uses its own part, and Clippy takes none of this for a test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing)]

pub mod media;
#[cfg(feature = "api")]
pub mod service;
pub mod shell;
pub mod sim;

use recorder::types::{MediaId, MediaKind, RoomId, SdkAppId, UnixMillis, UserId};
use recorder::{Now, TaskOptions};

pub const MAIN: MediaId = MediaId::Main;
pub const AUX: MediaId = MediaId::Aux;
pub const AUDIO: MediaKind = MediaKind::Audio;
pub const VIDEO: MediaKind = MediaKind::Video;

/// Wall clock at the start of every simulated task: 2023-11-14 22:13:20 UTC.
pub const WALL: u64 = 1_700_000_000_000;

pub fn id(text: &str) -> UserId {
    text.parse().unwrap()
}

pub fn wall(millis: u64) -> UnixMillis {
    UnixMillis::new(millis).unwrap()
}

/// The task of most tests: integer room 1001, everything of everyone.
pub fn options() -> TaskOptions {
    TaskOptions::new(
        SdkAppId::new(1_400_000_001),
        RoomId::integer(1001),
        "task01".parse().unwrap(),
        "robot".parse().unwrap(),
    )
}

/// [`options`], changed.
pub fn options_with(change: impl FnOnce(&mut TaskOptions)) -> TaskOptions {
    let mut options = options();
    change(&mut options);
    options
}

/// Both clocks `millis` after the start, in step.
pub fn now(millis: i64) -> Now {
    Now {
        room: recorder::types::RoomTime::from_millis(millis),
        wall: wall(WALL).saturating_add_millis(millis),
    }
}
