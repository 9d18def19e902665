//! What happens in a room and when, a line each: with the single-stream recordings of that room it is enough to make
//! the mixed recording later, or another one with other options.
//!
//! A task writes it where [`TaskOptions::timeline`](crate::TaskOptions::timeline) asks for it. The program `compose`
//! reads it.
//!
//! ```
//! use recorder::timeline::{TimelineEntry, TimelineEvent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let line = r#"{"at":1500000000,"wall":1700000001500,"event":"enter","user":"alice"}"#;
//! let entry: TimelineEntry = line.parse()?;
//! assert_eq!(entry.event, TimelineEvent::Enter { user: "alice".parse()? });
//! assert_eq!(entry.to_line()?, format!("{line}\n"));
//! # Ok(())
//! # }
//! ```

mod start;
mod text;

use std::str::FromStr;

use recorder_callback::LeaveCode;
use recorder_layout::{ImageUrl, LayoutParams};
use recorder_types::{MediaId, MediaKind, RoomTime, TrackConfig, UnixMillis, UserId};
use serde::{Deserialize, Serialize};

use crate::mix::Watermark;
use crate::task::Now;

pub(crate) use start::MixLine;
pub use start::{MarkLine, Place, Style, SubscriptionLists, TimelineStart};

/// Of the first line. A reader refuses others.
pub const TIMELINE_VERSION: u32 = 1;

/// One line of a timeline: JSON, without line breaks in it.
///
/// `at` is the room's time in nanoseconds, `wall` the wall clock in Unix milliseconds; `event` says what the other
/// members are. Times do not go back from line to line. The first line is `start`, and no other.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    /// When.
    pub now: Now,
    /// What.
    pub event: TimelineEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimelineEvent {
    /// The task starts.
    Start(Box<TimelineStart>),
    /// An anchor enters.
    Enter {
        /// Who.
        #[serde(with = "text::display")]
        user: UserId,
    },
    /// An anchor leaves.
    Leave {
        /// Who.
        #[serde(with = "text::display")]
        user: UserId,
    },
    /// A stream is published.
    Publish {
        /// Whose.
        #[serde(with = "text::display")]
        user: UserId,
        /// Primary stream or substream.
        #[serde(with = "text::media")]
        media: MediaId,
        /// As it is sent; single-stream recordings hold AAC in the place of Opus.
        codec: TimelineCodec,
    },
    /// A stream ends or is muted.
    Unpublish(TimelineStream),
    /// The first unit of a stream that is recorded, since it was published or since lists let it be recorded again.
    Begin {
        /// Which.
        #[serde(flatten)]
        stream: TimelineStream,
        /// Decode time of the unit, rounded to the 90 kHz clock of recordings.
        #[serde(with = "text::nanos")]
        dts: RoomTime,
    },
    /// No more of a stream that has begun is recorded.
    End(TimelineStream),
    /// New subscription lists.
    Subscribe(SubscriptionLists),
    /// Another layout with its watermarks.
    Layout {
        /// The layout.
        layout: LayoutParams,
        /// The watermarks, from back to front.
        watermarks: Vec<MarkLine>,
    },
    /// An image of the layout has come, or cannot be had.
    Image {
        /// Its address.
        #[serde(with = "text::display")]
        url: ImageUrl,
        /// Whether it is there.
        came: bool,
    },
    /// The recording ends.
    Stop {
        /// Why.
        code: LeaveCode,
    },
}

/// A stream of a participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimelineStream {
    /// Whose.
    #[serde(with = "text::display")]
    pub user: UserId,
    /// Primary stream or substream.
    #[serde(with = "text::media")]
    pub media: MediaId,
    /// Audio or video.
    #[serde(with = "text::kind")]
    pub kind: MediaKind,
}

/// What a published stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimelineCodec {
    /// Pictures.
    H264,
    /// Sound.
    Aac,
    /// Sound.
    Opus,
}

impl TimelineCodec {
    pub(crate) const fn of(config: &TrackConfig) -> Self {
        match config {
            TrackConfig::H264(_) => Self::H264,
            TrackConfig::Opus(_) => Self::Opus,
            _ => Self::Aac,
        }
    }

    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 => MediaKind::Video,
            Self::Aac | Self::Opus => MediaKind::Audio,
        }
    }
}

impl TimelineEvent {
    pub(crate) fn layout(layout: &LayoutParams, watermarks: &[Watermark]) -> Self {
        Self::Layout { layout: layout.clone(), watermarks: watermarks.iter().map(MarkLine::from).collect() }
    }
}

#[derive(Serialize, Deserialize)]
struct Line<E> {
    at: i64,
    wall: u64,
    #[serde(flatten)]
    event: E,
}

impl TimelineEntry {
    /// The line, with its end.
    ///
    /// # Errors
    /// [`TimelineError::Line`]: never for entries that a task makes.
    pub fn to_line(&self) -> Result<String, TimelineError> {
        let line = Line { at: self.now.room.nanos(), wall: self.now.wall.get(), event: &self.event };
        let mut text = serde_json::to_string(&line).map_err(TimelineError::Line)?;
        text.push('\n');
        Ok(text)
    }
}

impl FromStr for TimelineEntry {
    type Err = TimelineError;

    fn from_str(line: &str) -> Result<Self, TimelineError> {
        let Line { at, wall, event } = serde_json::from_str(line).map_err(TimelineError::Line)?;
        let wall = UnixMillis::new(wall).ok_or(TimelineError::Wall { got: wall })?;
        Ok(Self { now: Now { room: RoomTime::from_nanos(at), wall }, event })
    }
}

/// Why a line, or what it asks for, cannot be used: the file is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// It is not JSON, or not of this form, or holds what the recorder refuses.
    #[error("not a line of a timeline")]
    Line(#[source] serde_json::Error),
    /// The year 10000.
    #[error("`wall` is {got}, which is after the year 9999")]
    Wall {
        /// Milliseconds since 1970.
        got: u64,
    },
    /// A picture of a watermark was handed over as pixels, which a timeline does not hold.
    #[error("watermark {index} was given as pixels, which are not in the timeline: name the watermarks anew")]
    Pixels {
        /// Place in the list, from 0.
        index: usize,
    },
}
