//! A timeline, read and checked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use recorder::Now;
use recorder::timeline::{TimelineEntry, TimelineError, TimelineEvent, TimelineStart, TimelineStream};
use recorder::types::RoomTime;

/// A line a second for a day, and much room: longer files are refused.
const MAX_BYTES: u64 = 256 << 20;

pub(crate) struct Timeline {
    /// When the task started.
    pub(crate) zero: Now,
    pub(crate) start: TimelineStart,
    /// What happened then.
    pub(crate) entries: Vec<TimelineEntry>,
}

/// Why a file is no timeline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: {len} bytes, of {MAX_BYTES} at most")]
    TooLong { path: PathBuf, len: u64 },
    #[error("{path}: line {line}")]
    Line {
        path: PathBuf,
        line: usize,
        #[source]
        source: TimelineError,
    },
    #[error("{path}: line {line}: time goes back from {before} to {got} ns")]
    Order { path: PathBuf, line: usize, before: i64, got: i64 },
    #[error("{path}: line {line}: `start` is the event of the first line, and of no other")]
    Start { path: PathBuf, line: usize },
    #[error("{path}: it has no line")]
    Empty { path: PathBuf },
}

impl Timeline {
    pub(crate) fn read(path: &Path) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len > MAX_BYTES {
            return Err(ReadError::TooLong { path: path.to_owned(), len });
        }
        let mut first: Option<(Now, TimelineStart)> = None;
        let mut entries: Vec<TimelineEntry> = Vec::new();
        for (text, line) in BufReader::new(file.take(MAX_BYTES)).lines().zip(1..) {
            let entry: TimelineEntry = text.map_err(io)?.parse().map_err(|source| ReadError::Line {
                path: path.to_owned(),
                line,
                source,
            })?;
            let before = entries.last().map(|last| last.now).or(first.as_ref().map(|(now, _)| *now));
            if let Some(before) = before.filter(|before| entry.now.room < before.room) {
                let (before, got) = (before.room.nanos(), entry.now.room.nanos());
                return Err(ReadError::Order { path: path.to_owned(), line, before, got });
            }
            match (entry.event, first.is_some()) {
                (TimelineEvent::Start(start), false) => first = Some((entry.now, *start)),
                (TimelineEvent::Start(_), true) | (_, false) => {
                    return Err(ReadError::Start { path: path.to_owned(), line });
                }
                (event, true) => entries.push(TimelineEntry { now: entry.now, event }),
            }
        }
        let (zero, start) = first.ok_or_else(|| ReadError::Empty { path: path.to_owned() })?;
        Ok(Self { zero, start, entries })
    }

    /// The time of the first unit of the next run of a stream behind the entry `index`.
    pub(crate) fn next_begin(&self, index: usize, of: &TimelineStream) -> Option<RoomTime> {
        self.entries.get(index + 1..)?.iter().find_map(|entry| match &entry.event {
            TimelineEvent::Begin { stream, dts } if stream == of => Some(*dts),
            _ => None,
        })
    }
}
