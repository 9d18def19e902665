//! MP4s to one MP4 or several, plain or fragmented, and to AAC.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use recorder_mp4::{
    FragmentOptions, FragmentOutput, FragmentWriter, MoviePlan, MovieWriter, SampleEntry, SplitError,
    SplitLimits, Splitter, TrackSetup,
};
use recorder_types::aac::{ADTS_HEADER_BYTES, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{AacConfig, MediaKind, RoomTime, Timescale, Timestamp, TrackConfig};

use crate::error::Failure;
use crate::input::{Movies, time};
use crate::movies::{Pass, Sample, Told, Track, continues, walk};
use crate::output::{self, Unnamed};
use crate::report::Report;
use crate::segments::report_content;

fn setups(tracks: &[Track]) -> Vec<TrackSetup> {
    let setup =
        |track: &Track| TrackSetup::new(track.entry.clone(), track.timescale).with_matrix(track.matrix);
    tracks.iter().map(setup).collect()
}

fn zero() -> Timestamp {
    Timestamp::new(0, Timescale::HZ_90000)
}

/// Files of the same tracks.
struct Group {
    tracks: Vec<Track>,
    plans: VecDeque<MoviePlan>,
}

/// Writes MP4 files.
pub(crate) fn write(
    movies: &Movies,
    out: &Path,
    limits: SplitLimits,
    report: &mut Report,
) -> Result<(), Failure> {
    let groups = plan(movies, limits, report)?;
    let mut told = Vec::new();
    for group in &groups {
        for plan in &group.plans {
            let count = |kind| {
                let tracks = group.tracks.iter().enumerate().filter(|(_, track)| track.kind == kind);
                tracks.map(|(track, _)| u64::from(plan.samples(track))).sum()
            };
            let content = report_content(count(MediaKind::Video), count(MediaKind::Audio));
            told.push((plan.duration(), plan.file_len(), content));
        }
    }
    if told.is_empty() {
        return Err(Failure::Nothing { path: movies.path.clone() });
    }
    let mut copy =
        Copy { out, groups: groups.into(), tracks: Vec::new(), open: VecDeque::new(), files: Vec::new() };
    walk(movies, Pass::Media, report, |next, _| match next {
        Told::Run(tracks) => copy.run(tracks),
        Told::Sample(sample) => copy.sample(&sample),
    })?;
    let files = copy.finish()?;
    for (path, (duration, bytes, content)) in output::name(files, out)?.iter().zip(told) {
        report.file(path, duration, bytes, content);
    }
    Ok(())
}

fn plan(movies: &Movies, limits: SplitLimits, report: &mut Report) -> Result<Vec<Group>, Failure> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: Option<(Splitter, Vec<SampleEntry>)> = None;
    let end = |open: Option<(Splitter, Vec<SampleEntry>)>, groups: &mut Vec<Group>| {
        if let (Some((splitter, _)), Some(group)) = (open, groups.last_mut()) {
            group.plans.extend(splitter.finish()?);
        }
        Ok::<(), SplitError>(())
    };
    walk(movies, Pass::Plan, report, |next, _| {
        match next {
            Told::Run(tracks) => {
                if groups.last().is_none_or(|group| !continues(tracks, &group.tracks)) {
                    end(open.take(), &mut groups)?;
                    let splitter = match groups.is_empty() {
                        true => Splitter::with_origin(setups(tracks), limits, zero()),
                        false => Splitter::new(setups(tracks), limits),
                    };
                    let entries = tracks.iter().map(|track| track.entry.clone());
                    open = Some((splitter?, entries.collect()));
                    groups.push(Group { tracks: tracks.to_vec(), plans: VecDeque::new() });
                }
            }
            Told::Sample(sample) => {
                if let (Some((splitter, entries)), Some(group)) = (&mut open, groups.last_mut()) {
                    if let Some(entry) = entries.get_mut(sample.track).filter(|entry| *entry != sample.entry)
                    {
                        splitter.change_entry(sample.track, sample.entry)?;
                        entry.clone_from(sample.entry);
                    }
                    splitter.push(sample.track, sample.info)?;
                    group.plans.extend(std::iter::from_fn(|| splitter.poll()));
                }
            }
        }
        Ok(())
    })?;
    end(open, &mut groups)?;
    Ok(groups)
}

/// Passes the media through.
struct Copy<'a> {
    out: &'a Path,
    groups: VecDeque<Group>,
    tracks: Vec<Track>,
    /// Files that are not complete: a track's next sample belongs to the first that has not all of it.
    open: VecDeque<(MovieWriter, Unnamed)>,
    files: Vec<Unnamed>,
}

impl Copy<'_> {
    fn run(&mut self, tracks: &[Track]) -> Result<(), Failure> {
        if !self.tracks.is_empty() && !continues(tracks, &self.tracks) {
            self.groups.pop_front();
        }
        self.tracks = tracks.to_vec();
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Failure> {
        let track = sample.track;
        let mut number = self.open.iter().position(|(writer, _)| !writer.is_full(track));
        while number.is_none() {
            let plan = self.groups.front_mut().and_then(|group| group.plans.pop_front());
            let Some(plan) = plan else {
                return Err(recorder_mp4::WriteError::TooMany { track }.into());
            };
            let writer = MovieWriter::new(plan);
            number = (!writer.is_full(track)).then_some(self.open.len());
            self.open.push_back((writer, output::begin(self.out)?));
        }
        if let Some((writer, file)) = number.and_then(|number| self.open.get_mut(number)) {
            writer.push(track, sample.data.clone())?;
            writer.write_to(file).map_err(Failure::io(self.out))?;
        }
        let whole = |writer: &MovieWriter| (0..self.tracks.len()).all(|track| writer.is_full(track));
        while self.open.front().is_some_and(|(writer, _)| whole(writer)) {
            if let Some((writer, file)) = self.open.pop_front() {
                writer.finish()?;
                self.files.push(file);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Unnamed>, Failure> {
        if let Some((writer, _)) = self.open.into_iter().next() {
            writer.finish()?; // which fails
        }
        Ok(self.files)
    }
}

/// Writes fragmented files: one, and another wherever tracks or their descriptions change.
pub(crate) fn write_fragments(movies: &Movies, out: &Path, report: &mut Report) -> Result<(), Failure> {
    let mut files: Vec<Fragments> = Vec::new();
    walk(movies, Pass::Only, report, |next, _| {
        match next {
            Told::Run(tracks) => {
                if files.last().is_none_or(|open| !continues(tracks, &open.tracks)) {
                    let first = files.is_empty();
                    if let Some(open) = files.last_mut() {
                        open.end(out)?;
                    }
                    files.push(Fragments::begin(tracks.to_vec(), out, first)?);
                }
            }
            Told::Sample(sample) => {
                let Some(open) = files.last_mut() else { return Ok(()) };
                if open.tracks.get(sample.track).is_some_and(|track| track.entry != *sample.entry) {
                    let mut tracks = open.tracks.clone();
                    if let Some(track) = tracks.get_mut(sample.track) {
                        track.entry = sample.entry.clone();
                    }
                    let first = open.begin.is_none();
                    open.end(out)?;
                    if first {
                        files.pop(); // nothing was in it
                    }
                    files.push(Fragments::begin(tracks, out, first)?);
                }
                if let Some(open) = files.last_mut() {
                    open.sample(&sample, out)?;
                }
            }
        }
        Ok(())
    })?;
    if let Some(open) = files.last_mut() {
        open.end(out)?;
    }
    files.retain(|file| file.begin.is_some());
    if files.is_empty() {
        return Err(Failure::Nothing { path: movies.path.clone() });
    }
    let told: Vec<_> = files
        .iter()
        .map(|file| {
            let begin = file.begin.unwrap_or(file.end);
            (file.end.saturating_sub(begin), file.bytes, report_content(file.counts.0, file.counts.1))
        })
        .collect();
    let files = files.into_iter().map(|file| file.file).collect();
    for (path, (duration, bytes, content)) in output::name(files, out)?.iter().zip(told) {
        report.file(path, duration, bytes, content);
    }
    Ok(())
}

/// A fragmented file.
struct Fragments {
    tracks: Vec<Track>,
    writer: FragmentWriter,
    file: Unnamed,
    bytes: u64,
    begin: Option<RoomTime>,
    end: RoomTime,
    /// Pictures, and audio frames.
    counts: (u64, u64),
}

impl Fragments {
    fn begin(tracks: Vec<Track>, out: &Path, first: bool) -> Result<Self, Failure> {
        let options = FragmentOptions::default();
        let writer = if first {
            FragmentWriter::with_origin(setups(&tracks), options, zero())?
        } else {
            FragmentWriter::new(setups(&tracks), options)?
        };
        let file = output::begin(out)?;
        Ok(Self { tracks, writer, file, bytes: 0, begin: None, end: RoomTime::ZERO, counts: (0, 0) })
    }

    fn sample(&mut self, sample: &Sample<'_>, out: &Path) -> Result<(), Failure> {
        self.writer.push(sample.track, sample.info, sample.data.clone())?;
        let info = sample.info;
        let lasts = Timestamp::new(info.duration.into(), info.pts.timescale());
        self.begin = Some(self.begin.map_or(time(info.pts), |begin| begin.min(time(info.pts))));
        self.end = self.end.max(time(info.pts).saturating_add(time(lasts)));
        match self.tracks.get(sample.track).map(|track| track.kind) {
            Some(MediaKind::Video) => self.counts.0 += 1,
            _ => self.counts.1 += 1,
        }
        self.drain(out)
    }

    fn end(&mut self, out: &Path) -> Result<(), Failure> {
        self.writer.flush();
        self.drain(out)
    }

    fn drain(&mut self, out: &Path) -> Result<(), Failure> {
        let mut put = |data: &Bytes| {
            self.bytes += data.len() as u64;
            self.file.write_all(data).map_err(Failure::io(out))
        };
        while let Some(output) = self.writer.poll() {
            match output {
                FragmentOutput::Init(init) => put(&init)?,
                FragmentOutput::Fragment { data, .. } => data.iter().try_for_each(&mut put)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes AAC files: the first such track, frame after frame.
pub(crate) fn write_aac(
    movies: &Movies,
    out: &Path,
    limits: SplitLimits,
    report: &mut Report,
) -> Result<(), Failure> {
    struct Open {
        config: AudioSpecificConfig,
        file: Unnamed,
        bytes: u64,
        frames: u64,
    }
    let lasts = |config: AudioSpecificConfig, frames: u64| {
        let samples = i64::try_from(frames).unwrap_or(i64::MAX).saturating_mul(i64::from(FRAME_SAMPLES));
        time(Timestamp::new(samples, config.timescale()))
    };
    let (mut files, mut wanted): (Vec<Open>, Option<usize>) = (Vec::new(), None);
    walk(movies, Pass::Only, report, |next, report| {
        match next {
            Told::Run(tracks) => {
                let is_aac = |track: &Track| matches!(track.entry.config, TrackConfig::Aac(_));
                wanted = tracks.iter().position(is_aac);
                let others = tracks.iter().filter(|track| track.kind == MediaKind::Audio).count();
                if others > usize::from(wanted.is_some()) {
                    report.lost("other audio than the first AAC track is left out");
                }
            }
            Told::Sample(sample) if Some(sample.track) == wanted => {
                let TrackConfig::Aac(AacConfig::Raw(config)) = sample.entry.config else { return Ok(()) };
                let len = sample.data.len();
                let header = config.adts_header(len).ok_or(Failure::FrameTooLong { len })?;
                let more = (len + ADTS_HEADER_BYTES) as u64;
                let fits = |open: &Open| {
                    open.config == config
                        && open.bytes + more <= limits.max_bytes
                        && lasts(config, open.frames + 1) <= limits.max_duration
                };
                if !files.last().is_some_and(fits) {
                    if more > limits.max_bytes {
                        return Err(Failure::FrameTooLong { len });
                    }
                    files.push(Open { config, file: output::begin(out)?, bytes: 0, frames: 0 });
                }
                if let Some(open) = files.last_mut() {
                    open.file.write_all(&header).map_err(Failure::io(out))?;
                    open.file.write_all(&sample.data).map_err(Failure::io(out))?;
                    open.bytes += more;
                    open.frames += 1;
                }
            }
            Told::Sample(_) => {}
        }
        Ok(())
    })?;
    if files.is_empty() {
        return Err(Failure::NoAudio { path: movies.path.clone() });
    }
    let told: Vec<_> =
        files.iter().map(|open| (lasts(open.config, open.frames), open.bytes, open.frames)).collect();
    let files = files.into_iter().map(|open| open.file).collect();
    for (path, (duration, bytes, frames)) in output::name(files, out)?.iter().zip(told) {
        report.file(path, duration, bytes, report_content(0, frames));
    }
    Ok(())
}
