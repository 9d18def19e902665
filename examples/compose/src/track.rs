//! What a participant's recording holds, unit by unit, at its place on the room's time line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use recorder::Now;
use recorder::hls::demux::{DemuxOptions, Demuxer, Event, UnitKind};
use recorder::hls::read_playlist::{MediaPlaylist, ReadPlaylistError};
use recorder::naming::{NameError, StreamType, TaskNames, playlist};
use recorder::timeline::TimelineStream;
use recorder::types::{MediaKind, RoomTime, Timescale, Timestamp, UnixMillis};

/// Longest segment that is read, and longest playlist.
const MAX_SEGMENT: u64 = 512 << 20;
const MAX_PLAYLIST: u64 = 64 << 20;
/// PTS of the room's zero in recordings.
const FIRST_PTS: i64 = 90_000;
/// Names and time stamps that agree to within this are of the task that wrote the timeline: names have whole
/// milliseconds.
const SAME_TASK: i64 = 2;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackError {
    #[error("{path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: {len} bytes, of {limit} at most")]
    TooLong { path: PathBuf, len: u64, limit: u64 },
    #[error("{path}")]
    Playlist {
        path: PathBuf,
        #[source]
        source: ReadPlaylistError,
    },
    #[error("the names of its recordings")]
    Name(#[from] NameError),
}

/// A unit of a recording.
pub(crate) struct Unit {
    /// In ticks of 90 kHz since the room's zero.
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) data: Bytes,
}

impl Unit {
    pub(crate) fn at(&self) -> RoomTime {
        time(self.dts)
    }
}

fn time(ticks: i64) -> RoomTime {
    Timestamp::new(ticks, Timescale::HZ_90000).to_room_time().unwrap_or(RoomTime::MAX)
}

/// The recording of one stream, segment after segment.
pub(crate) struct Track {
    kind: MediaKind,
    zero: Now,
    segments: VecDeque<PathBuf>,
    units: VecDeque<Unit>,
    /// Added to the time stamps.
    offset: i64,
    /// Told once.
    pub(crate) warnings: Vec<String>,
}

impl Track {
    /// Finds the recording of `stream` in `folder`; `None` if it is not there.
    pub(crate) fn open(
        folder: &Path,
        names: &TaskNames,
        stream: &TimelineStream,
        zero: Now,
    ) -> Result<Option<Self>, TrackError> {
        let TimelineStream { user, media, kind } = stream;
        let own = match kind {
            MediaKind::Audio => StreamType::Audio,
            MediaKind::Video => StreamType::Video,
        };
        for stream_type in [own, StreamType::AudioVideo] {
            let path = folder.join(playlist(&names.single(user, *media, stream_type)?)?.as_str());
            if !path.exists() {
                continue;
            }
            let mut text = String::new();
            open(&path, MAX_PLAYLIST)?
                .read_to_string(&mut text)
                .map_err(|source| TrackError::Io { path: path.clone(), source })?;
            let list: MediaPlaylist =
                text.parse().map_err(|source| TrackError::Playlist { path: path.clone(), source })?;
            let (mut segments, mut warnings) = (VecDeque::new(), Vec::new());
            for segment in list.segments {
                if segment.uri.is_local_name() && !segment.gap {
                    segments.push_back(folder.join(segment.uri.as_str()));
                } else {
                    warnings.push(format!("{}: {} is left out", path.display(), segment.uri.as_str()));
                }
            }
            return Ok(Some(Self {
                kind: *kind,
                zero,
                segments,
                units: VecDeque::new(),
                offset: 0,
                warnings,
            }));
        }
        Ok(None)
    }

    /// Milliseconds from where its time stamps put the beginning on the clock of the timeline to where its name does,
    /// and that beginning; `None` without a segment.
    pub(crate) fn clock(&mut self) -> Result<Option<(UnixMillis, i64)>, TrackError> {
        let Some(start) = self.segments.front().and_then(|path| start_of(path)) else { return Ok(None) };
        let told = self.millis(start);
        let Some(first) = self.peek()? else { return Ok(None) };
        // The name of a segment of pictures alone is when the first is shown, else when it is decoded.
        let off = |ticks| told - time(ticks).round_to_millis();
        let (by_pts, by_dts) = (off(first.pts), off(first.dts));
        Ok(Some((start, if by_dts.abs() < by_pts.abs() { by_dts } else { by_pts })))
    }

    /// Moves it by the milliseconds that [`Track::clock`] gave, unless it is of the timeline's own task.
    pub(crate) fn shift(&mut self, millis: i64) {
        if millis.abs() > SAME_TASK {
            self.offset = millis * 90;
            for unit in &mut self.units {
                unit.pts += self.offset;
                unit.dts += self.offset;
            }
        }
    }

    /// The next unit; `None` at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<&Unit>, TrackError> {
        while self.units.is_empty() {
            let Some(path) = self.segments.pop_front() else { return Ok(None) };
            self.load(&path)?;
        }
        Ok(self.units.front())
    }

    pub(crate) fn next(&mut self) -> Option<Unit> {
        self.units.pop_front()
    }

    /// Reads the units of a segment; one that is missing is told, and its time is empty.
    fn load(&mut self, path: &Path) -> Result<(), TrackError> {
        let mut file = match open(path, MAX_SEGMENT) {
            Ok(file) => file,
            Err(TrackError::Io { path, source }) => {
                self.warnings.push(format!("{}: {source}: left out", path.display()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut data = Vec::new();
        file.read_to_end(&mut data).map_err(|source| TrackError::Io { path: path.to_owned(), source })?;
        let near = start_of(path).map_or(0, |start| self.millis(start)) * 90 + FIRST_PTS;
        let reference = Timestamp::new(near, Timescale::HZ_90000);
        let mut demuxer = Demuxer::new(DemuxOptions::default().with_reference(reference));
        demuxer.push(&data);
        demuxer.finish();
        let mut faults = 0;
        while let Some(event) = demuxer.poll() {
            match event {
                Event::Fault(fault) => {
                    if faults == 0 {
                        self.warnings.push(format!("{}: {fault}", path.display()));
                    }
                    faults += 1;
                }
                Event::Unit(unit) => {
                    let kind = match unit.kind {
                        UnitKind::H264 { .. } => MediaKind::Video,
                        _ => MediaKind::Audio,
                    };
                    let Some(at) = unit.time.filter(|_| kind == self.kind) else { continue };
                    let place = |at: Timestamp| at.ticks() - FIRST_PTS + self.offset;
                    self.units.push_back(Unit { pts: place(at.pts), dts: place(at.dts), data: unit.data });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The room's time of a wall clock reading, in milliseconds.
    fn millis(&self, wall: UnixMillis) -> i64 {
        let since = i128::from(wall.get()) - i128::from(self.zero.wall.get());
        i64::try_from(since).unwrap_or(0).saturating_add(self.zero.room.round_to_millis())
    }
}

/// The instant that the name of a segment tells.
fn start_of(path: &Path) -> Option<UnixMillis> {
    let stem = path.file_stem()?.to_str()?;
    UnixMillis::from_utc_digits(stem.get(stem.len().checked_sub(17)?..)?)
}

fn open(path: &Path, limit: u64) -> Result<impl Read, TrackError> {
    let io = |source| TrackError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > limit {
        return Err(TrackError::TooLong { path: path.to_owned(), len, limit });
    }
    Ok(file.take(limit))
}
