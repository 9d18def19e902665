//! The samples of MP4s that follow each other, on one time line.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use recorder_mp4::{
    DisplayMatrix, Event, FileReader, Need, Reader, ReaderOptions, SampleEntry, SampleInfo, SampleRef,
    TrackInfo,
};
use recorder_types::{MediaKind, RoomTime, Timescale, Timestamp, TrackConfig, with_causes};

use crate::chain::Chain;
use crate::error::Failure;
use crate::input::{Movies, Origin, Run, time};
use crate::report::Report;

/// A run that begins this close to the end of the one before follows it: durations in playlists are rounded.
const ADJACENT: RoomTime = RoomTime::from_millis(100);

/// Whether payloads are read. Damage is reported with the plan, or with the media where there is no plan before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Only sizes and times.
    Plan,
    /// Media that was planned.
    Media,
    /// Media that was not.
    Only,
}

/// What comes next.
pub(crate) enum Told<'a> {
    /// These tracks, until the next run.
    Run(&'a [Track]),
    /// A sample; without payload in [`Pass::Plan`].
    Sample(Sample<'a>),
}

/// A track of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) kind: MediaKind,
    pub(crate) timescale: Timescale,
    pub(crate) matrix: DisplayMatrix,
    /// The first description.
    pub(crate) entry: SampleEntry,
}

impl Track {
    /// Whether samples of one can go on in the other.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        (self.kind, self.timescale, self.matrix, self.entry.kind)
            == (other.kind, other.timescale, other.matrix, other.entry.kind)
    }
}

/// Whether samples of these tracks can follow those.
pub(crate) fn continues(tracks: &[Track], before: &[Track]) -> bool {
    tracks.len() == before.len() && tracks.iter().zip(before).all(|(track, before)| track.continues(before))
}

/// A sample, on the common time line.
pub(crate) struct Sample<'a> {
    pub(crate) track: usize,
    pub(crate) entry: &'a SampleEntry,
    pub(crate) info: SampleInfo,
    pub(crate) data: Bytes,
}

/// Gives the samples of all runs.
pub(crate) fn walk(
    movies: &Movies,
    pass: Pass,
    report: &mut Report,
    mut each: impl FnMut(Told<'_>, &mut Report) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = if pass == Pass::Plan { "reading" } else { "writing" };
    report.pass(name, movies.runs.iter().map(Run::bytes).sum());
    let mut line = Line::default();
    for run in &movies.runs {
        let mut source = Source::open(run, &movies.path, pass)?;
        if pass != Pass::Media {
            source.tell_rejected(&movies.path, report);
        }
        let tracks: Vec<Track> = source.tracks().iter().map(track).collect();
        if tracks.is_empty() {
            continue;
        }
        line.begin(run, movies, &tracks)?;
        each(Told::Run(&tracks), report)?;
        while let Some((at, data)) = source.next(&movies.path, pass, report)? {
            let Some(entry) = source.tracks().get(at.track).and_then(|track| track.entries.get(at.entry))
            else {
                continue; // not so: the reader checks it
            };
            let (info, moved) = line.place(&at);
            if moved && pass != Pass::Media {
                report.warn(&format!("track {}: decode times that do not rise are moved", at.track + 1));
            }
            each(Told::Sample(Sample { track: at.track, entry, info, data }), report)?;
        }
    }
    Ok(())
}

fn track(info: &TrackInfo) -> Track {
    Track {
        kind: match info.config {
            TrackConfig::H264(_) => MediaKind::Video,
            _ => MediaKind::Audio,
        },
        timescale: info.timescale,
        matrix: info.matrix,
        entry: info.entries.first().cloned().unwrap_or_else(|| unreachable!("a track has an entry")),
    }
}

/// The common time line.
#[derive(Default)]
struct Line {
    tracks: Vec<Track>,
    /// What is added to the times of the open run.
    shift: Option<RoomTime>,
    /// By track: what is added in its ticks, and the last decode time.
    shifts: Vec<i64>,
    last: Vec<Option<i64>>,
    told: Vec<bool>,
    /// End of all samples so far.
    end: RoomTime,
}

impl Line {
    /// Settles where the samples of a run lie.
    fn begin(&mut self, run: &Run, movies: &Movies, tracks: &[Track]) -> Result<(), Failure> {
        let zero = RoomTime::ZERO;
        let shift = match self.shift {
            None if run.origin == Origin::Zero => zero,
            None => zero.saturating_sub(run.first(&movies.path)?.map_or(zero, time).max(zero)),
            Some(before) => {
                let first = run.first(&movies.path)?.map_or(zero, time);
                if movies.one_clock && first.saturating_add(before).saturating_add(ADJACENT) >= self.end {
                    before
                } else {
                    let since = run.start.zip(movies.start).map_or(zero, |(start, first)| {
                        RoomTime::from_millis(
                            i64::try_from(start.get().saturating_sub(first.get())).unwrap_or(i64::MAX),
                        )
                    });
                    let late = since.saturating_sub(self.end);
                    let begin = if late <= ADJACENT { self.end } else { since };
                    begin.saturating_sub(first)
                }
            }
        };
        self.shift = Some(shift);
        if !continues(tracks, &self.tracks) {
            self.last = vec![None; tracks.len()];
        }
        self.told = vec![false; tracks.len()];
        self.shifts = tracks.iter().map(|track| shift.round_to_ticks(track.timescale)).collect();
        self.tracks = tracks.to_vec();
        Ok(())
    }

    /// A sample as it is placed, and whether its decode time had to be moved for the first time.
    fn place(&mut self, at: &SampleRef) -> (SampleInfo, bool) {
        let shift = self.shifts.get(at.track).copied().unwrap_or(0);
        let placed = |time: Timestamp| Timestamp::new(time.ticks().saturating_add(shift), time.timescale());
        let (pts, mut dts) = (placed(at.pts), placed(at.dts));
        let mut moved = false;
        if let (Some(last), Some(told)) = (self.last.get_mut(at.track), self.told.get_mut(at.track)) {
            let least = last.map_or(i64::MIN, |last| last.saturating_add(1));
            if dts.ticks() < least {
                dts = Timestamp::new(least, dts.timescale());
                moved = !std::mem::replace(told, true);
            }
            *last = Some(dts.ticks());
        }
        let lasts = Timestamp::new(at.duration.into(), at.dts.timescale());
        self.end = self.end.max(time(pts).max(time(dts)).saturating_add(time(lasts)));
        (SampleInfo { pts, dts, duration: at.duration, sync: at.sync, len: at.len }, moved)
    }
}

/// Samples of one run, with or without their payloads.
enum Source {
    Plan { reader: Box<Reader>, chain: Chain },
    Media { reader: Box<FileReader<Chain>>, failed: usize },
}

impl Source {
    fn open(run: &Run, path: &Path, pass: Pass) -> Result<Self, Failure> {
        let mut chain = run.chain();
        if pass != Pass::Plan {
            let read = |source| Failure::Read { path: path.to_owned(), source };
            let reader = Box::new(FileReader::open(chain).map_err(read)?);
            return Ok(Self::Media { reader, failed: 0 });
        }
        let mut reader = Box::new(Reader::new(run.bytes(), ReaderOptions::default()));
        loop {
            match reader
                .poll()
                .map_err(|source| Failure::Read { path: path.to_owned(), source: source.into() })?
            {
                Event::Need(need) => answer(&mut reader, &mut chain, need, path)?,
                _ => return Ok(Self::Plan { reader, chain }),
            }
        }
    }

    fn tracks(&self) -> &[TrackInfo] {
        match self {
            Self::Plan { reader, .. } => reader.tracks(),
            Self::Media { reader, .. } => reader.tracks(),
        }
    }

    fn tell_rejected(&self, path: &Path, report: &mut Report) {
        let rejected = match self {
            Self::Plan { reader, .. } => reader.rejected(),
            Self::Media { reader, .. } => reader.rejected(),
        };
        for track in rejected {
            let handler = track.handler.map_or_else(|| "unknown media".to_owned(), |kind| kind.to_string());
            let what =
                format!("{}: track of {handler} left out: {}", path.display(), with_causes(&track.error));
            match handler.as_str() {
                "vide" | "soun" => report.lost(&what),
                _ => report.warn(&what),
            }
        }
    }

    fn next(
        &mut self,
        path: &Path,
        pass: Pass,
        report: &mut Report,
    ) -> Result<Option<(SampleRef, Bytes)>, Failure> {
        let lost = |what: String, report: &mut Report| {
            if pass != Pass::Media {
                report.lost(&format!("{}: {what}", path.display()));
            }
        };
        let ends = |track: usize, error: &dyn std::error::Error| {
            format!("track {} ends early: {}", track + 1, with_causes(error))
        };
        match self {
            Self::Plan { reader, chain } => loop {
                let fail = |source: recorder_mp4::ReadError| Failure::Read {
                    path: path.to_owned(),
                    source: source.into(),
                };
                match reader.poll().map_err(fail)? {
                    Event::Need(need) => answer(reader, chain, need, path)?,
                    Event::Sample(sample) => {
                        report.advance(sample.len.into());
                        return Ok(Some((sample, Bytes::new())));
                    }
                    Event::TrackFailed { track, error } => lost(ends(track, &error), report),
                    Event::End => {
                        if let Some(at) = reader.cut_at() {
                            lost(format!("cut off at byte {at}"), report);
                        }
                        return Ok(None);
                    }
                    _ => {}
                }
            },
            Self::Media { reader, failed } => {
                let read = |source| Failure::Read { path: path.to_owned(), source };
                let next = reader.next_sample().map_err(read)?;
                for (track, error) in reader.failed().iter().skip(*failed) {
                    lost(ends(*track, error), report);
                }
                *failed = reader.failed().len();
                match next {
                    Some(next) => {
                        report.advance(next.at.len.into());
                        Ok(Some((next.at, next.sample.data)))
                    }
                    None => {
                        if let Some(at) = reader.cut_at() {
                            lost(format!("cut off at byte {at}"), report);
                        }
                        Ok(None)
                    }
                }
            }
        }
    }
}

/// Reads what the reader asks for.
fn answer(reader: &mut Reader, chain: &mut Chain, need: Need, path: &Path) -> Result<(), Failure> {
    let mut data = Vec::with_capacity(need.len);
    chain.seek(SeekFrom::Start(need.at)).map_err(Failure::io(path))?;
    chain.take(need.len as u64).read_to_end(&mut data).map_err(Failure::io(path))?;
    let supplied = reader.supply(data.into());
    supplied.map_err(|source| Failure::Read { path: path.to_owned(), source: source.into() })
}
