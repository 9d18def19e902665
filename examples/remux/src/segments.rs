//! TS segments to MP4 and AAC files: planned from what is in them, then copied.

use std::path::Path;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::demux::{Demuxer, Event, StreamKind};
use recorder_mp4::SplitLimits;
use recorder_remux::{
    AacCopier, AacFilePlan, AacPlanner, AacStep, Alignment, Copier, CopyStep, FilePlan, Input, PlanOptions,
    Planner, Step,
};
use recorder_types::{MediaKind, UnixMillis, with_causes};

use crate::chain::Piece;
use crate::error::Failure;
use crate::input::{MAX_SEGMENT, Origin, Run, Segments};
use crate::output::{self, Unnamed};
use crate::place::Place;
use crate::report::Report;

/// Longest file of indexes that is read: weeks of samples.
const MAX_INDEXES: u64 = 256 << 20;
/// In these bytes a segment of the recorder tells what is in it.
const TABLES: u64 = 2 * 188;
/// In these bytes of any segment its streams are told.
const FIRST_BYTES: usize = 256 << 10;

/// Writes MP4 files.
pub(crate) fn write(
    segments: &Segments,
    out: &Path,
    limits: SplitLimits,
    report: &mut Report,
) -> Result<(), Failure> {
    let plans = plan(segments, limits, report)?;
    let told: Vec<_> = plans
        .iter()
        .map(|plan| {
            let count = |kind| {
                plan.tracks()
                    .iter()
                    .filter(|track| track.kind == kind)
                    .map(|track| track.samples)
                    .sum::<u32>()
            };
            let content = report_content(count(MediaKind::Video).into(), count(MediaKind::Audio).into());
            (plan.duration(), plan.len(), content)
        })
        .collect();
    let files = copy(segments, out, plans, report)?;
    for (path, (duration, bytes, content)) in output::name(files, out)?.iter().zip(told) {
        report.file(path, duration, bytes, content);
    }
    Ok(())
}

/// Writes MP4 files for the rest of the work, as parts of one input.
pub(crate) fn write_parts(
    segments: &Segments,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<Run>, Failure> {
    let plans = plan(segments, SplitLimits::default().with_max_bytes(u64::MAX), report)?;
    let told: Vec<_> = plans.iter().map(|plan| (plan.start(), plan.len())).collect();
    let whole = folder.join("whole.mp4");
    let paths = output::name(copy(segments, &whole, plans, report)?, &whole)?;
    let runs = paths.into_iter().zip(told).map(|(path, (start, len))| Run {
        pieces: vec![Piece { place: Place::file(path), offset: 0, len }],
        start: Some(start),
        origin: Origin::Zero,
    });
    Ok(runs.collect())
}

/// Writes AAC files.
pub(crate) fn write_aac(
    segments: &Segments,
    out: &Path,
    limits: SplitLimits,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut planner = AacPlanner::new(PlanOptions::default().with_limits(limits));
    let mut indexes = Indexes::open(segments, report);
    let mut plans: Vec<AacFilePlan> = Vec::new();
    loop {
        match planner.poll() {
            AacStep::Need { .. } => match indexes.next(report)? {
                Told::Index(index) => planner.supply(Some(&index))?,
                Told::Missing => planner.skip()?,
                Told::End => planner.supply(None)?,
            },
            AacStep::File(plan) => plans.push(plan),
            AacStep::Done => break,
        }
    }
    if plans.is_empty() {
        return Err(Failure::NoAudio { path: segments.place.path().to_owned() });
    }
    report.pass("writing", plans.iter().map(AacFilePlan::len).sum());
    let told: Vec<_> = plans.iter().map(|plan| (plan.duration(), plan.len(), plan.frames())).collect();
    let mut files = Vec::new();
    let mut buffer = Buffer::default();
    for plan in plans {
        let mut file = output::begin(out)?;
        let len = plan.len();
        let mut copier = AacCopier::new(plan);
        loop {
            match copier.poll()? {
                CopyStep::Need { segment, .. } => copier.supply(buffer.segment(segments, segment)?)?,
                CopyStep::Output => copier.write_to(&mut file).map_err(Failure::io(out))?,
                CopyStep::Done => break,
            }
        }
        report.advance(len);
        files.push(file);
    }
    for (path, (duration, bytes, frames)) in output::name(files, out)?.iter().zip(told) {
        report.file(path, duration, bytes, report_content(0, frames));
    }
    Ok(())
}

pub(crate) fn report_content(pictures: u64, frames: u64) -> String {
    match (pictures, frames) {
        (0, frames) => format!("{frames} frames of audio"),
        (pictures, 0) => format!("{pictures} pictures"),
        (pictures, frames) => format!("{pictures} pictures, {frames} frames of audio"),
    }
}

fn plan(segments: &Segments, limits: SplitLimits, report: &mut Report) -> Result<Vec<FilePlan>, Failure> {
    let alignment = if segments.one_clock { Alignment::SharedClock } else { Alignment::WallClock };
    let options = PlanOptions::default().with_limits(limits).with_alignment(alignment);
    let mut indexes = Indexes::open(segments, report);
    // Tracks are those of the first segment that there is; a kind that comes later begins a new file.
    let first = indexes.next(report)?;
    let mut input = Input::video();
    if let Told::Index(index) = &first {
        input = match (index.video(), index.audio()) {
            (None, Some(_)) => Input::audio(),
            (Some(_), Some(_)) => Input::both(),
            _ => input,
        };
        if let Some(audio) = index.audio() {
            input = input.with_audio(audio.config());
        }
    }
    let mut first = Some(first);
    let mut planner = Planner::new(options, vec![input]);
    let mut plans = Vec::new();
    loop {
        match planner.poll()? {
            Step::Need { input, .. } => {
                let told = match first.take() {
                    Some(told) => told,
                    None => indexes.next(report)?,
                };
                match told {
                    Told::Index(index) => planner.supply(input, Some(*index))?,
                    Told::Missing => planner.skip(input)?,
                    Told::End => planner.supply(input, None)?,
                }
            }
            Step::File(plan) => plans.push(*plan),
            Step::Done => break,
        }
    }
    if planner.left_out() > 0 {
        report.lost(&format!("{} pictures left out: no key frame before them", planner.left_out()));
    }
    if plans.is_empty() {
        Err(Failure::Nothing { path: segments.place.path().to_owned() })
    } else {
        Ok(plans)
    }
}

fn copy(
    segments: &Segments,
    out: &Path,
    plans: Vec<FilePlan>,
    report: &mut Report,
) -> Result<Vec<Unnamed>, Failure> {
    report.pass("writing", plans.iter().map(FilePlan::len).sum());
    let mut buffer = Buffer::default();
    let mut files = Vec::with_capacity(plans.len());
    for plan in plans {
        let mut file = output::begin(out)?;
        let len = plan.len();
        let mut copier = Copier::new(plan);
        let mut before = 0;
        loop {
            match copier.poll()? {
                CopyStep::Need { segment, .. } => {
                    let data = buffer.segment(segments, segment)?;
                    report.advance(std::mem::replace(&mut before, data.len() as u64));
                    copier.supply(0, data)?;
                }
                CopyStep::Output => copier.write_to(&mut file).map_err(Failure::io(out))?,
                CopyStep::Done => break,
            }
        }
        debug_assert!(len > 0);
        files.push(file);
    }
    Ok(files)
}

/// What a segment holds, if it is there.
enum Told {
    Index(Box<SegmentIndex>),
    Missing,
    End,
}

/// The indexes of segments, in order: stored ones where they fit, else those that the segments tell.
struct Indexes<'a> {
    segments: &'a Segments,
    next: usize,
    /// Streams of a kind that is not read were told.
    told: bool,
    /// Records that are not used yet.
    stored: Bytes,
    reference: Option<i64>,
    buffer: Vec<u8>,
}

impl<'a> Indexes<'a> {
    fn open(segments: &'a Segments, report: &Report) -> Self {
        let bytes = segments.list.iter().filter_map(|segment| segment.piece.as_ref()).map(|piece| piece.len);
        report.pass("reading", bytes.sum());
        Self {
            stored: stored(&segments.place).unwrap_or_default(),
            segments,
            next: 0,
            told: false,
            reference: None,
            buffer: Vec::new(),
        }
    }

    fn next(&mut self, report: &mut Report) -> Result<Told, Failure> {
        let Some(segment) = self.segments.list.get(self.next) else { return Ok(Told::End) };
        self.next += 1;
        let Some(piece) = &segment.piece else { return Ok(Told::Missing) };
        report.advance(piece.len);
        if let Some(index) = self.stored_of(segment.start, segment.discontinuity, piece.len) {
            let head = Piece { len: piece.len.min(TABLES), ..piece.clone() };
            read(&head, &mut self.buffer)?;
            if index.agrees_with(&self.buffer) {
                return Ok(Told::Index(Box::new(index)));
            }
        }
        read(piece, &mut self.buffer)?;
        if !std::mem::replace(&mut self.told, true) {
            tell_others(&self.buffer, piece, report);
        }
        match SegmentIndex::from_ts(&self.buffer, segment.start, segment.discontinuity, self.reference) {
            Ok(index) => {
                let last = index.video().and_then(|video| video.pictures().last()).map(|picture| picture.dts);
                let heard = || index.audio()?.frames().last().map(|frame| frame.pts);
                self.reference = last.or_else(heard).or(self.reference);
                Ok(Told::Index(Box::new(index)))
            }
            Err(error) => {
                report.lost(&format!("{}: {}", piece.place.path().display(), with_causes(&error)));
                Ok(Told::Missing)
            }
        }
    }

    /// The next stored index, if it is of this segment.
    fn stored_of(&mut self, start: UnixMillis, discontinuity: bool, bytes: u64) -> Option<SegmentIndex> {
        if self.stored.is_empty() {
            return None;
        }
        let (index, used) = SegmentIndex::decode(&self.stored).ok()?;
        let same = (index.start(), index.discontinuity(), index.bytes()) == (start, discontinuity, bytes);
        if same {
            self.stored = self.stored.slice(used..);
        }
        same.then_some(index)
    }
}

/// Names the streams of a segment that are not read.
fn tell_others(segment: &[u8], piece: &Piece, report: &mut Report) {
    let mut demuxer = Demuxer::default();
    demuxer.push(segment.get(..FIRST_BYTES).unwrap_or(segment));
    while let Some(event) = demuxer.poll() {
        let Event::Streams(streams) = event else { continue };
        for stream in streams.iter().filter(|stream| matches!(stream.kind, StreamKind::Other { .. })) {
            let name = stream.kind.name();
            let what = format!("{}: stream of {name} left out", piece.place.path().display());
            match name {
                "ID3" | "metadata" | "private data" | "SCTE-35" => report.warn(&what),
                _ => report.lost(&what),
            }
        }
        return;
    }
}

/// The file of indexes beside a playlist, where there is one.
fn stored(playlist: &Place) -> Option<Bytes> {
    let name = playlist.path().with_extension("index");
    let place = playlist.beside(name.file_name()?.to_str()?);
    let len = place.size().ok().filter(|&len| len <= MAX_INDEXES)?;
    let mut data = Vec::new();
    place.read(0, len, &mut data).ok()?;
    Some(data.into())
}

/// Memory of segments, taken again when nobody holds the one before.
#[derive(Default)]
struct Buffer {
    before: Bytes,
}

impl Buffer {
    fn segment(&mut self, segments: &Segments, number: u32) -> Result<Bytes, Failure> {
        let piece = usize::try_from(number).ok().and_then(|number| segments.list.get(number)?.piece.as_ref());
        let Some(piece) = piece else {
            return Err(Failure::Nothing { path: segments.place.path().to_owned() }); // never asked for
        };
        let before = std::mem::take(&mut self.before);
        let mut data = if before.is_unique() { Vec::from(before) } else { Vec::new() };
        read(piece, &mut data)?;
        self.before = Bytes::from(data);
        Ok(self.before.clone())
    }
}

/// All of a piece, into `data`.
fn read(piece: &Piece, data: &mut Vec<u8>) -> Result<(), Failure> {
    let path = piece.place.path();
    if piece.len > MAX_SEGMENT {
        return Err(Failure::TooLong { path: path.to_owned(), len: piece.len, limit: MAX_SEGMENT });
    }
    piece.place.read(piece.offset, piece.len, data).map_err(Failure::io(path))
}
