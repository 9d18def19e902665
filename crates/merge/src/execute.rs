use std::collections::VecDeque;
use std::fmt;

use recorder_mp4::PlanError;
use recorder_types::MediaKind;
use serde::{Deserialize, Serialize};

use crate::clock::ticks;
use crate::copy_audio::CopyAudio;
use crate::copy_video::CopyVideo;
use crate::encode_audio::EncodeAudio;
use crate::encode_video::EncodeVideo;
use crate::error::MergeError;
use crate::feed::Feed;
use crate::job::Job;
use crate::movie;
use crate::options::{Blanks, CopyMode, MergeOptions};
use crate::plan::{Output, Piece, Plan, Skipped};
use crate::sink::Sink;
use crate::source::Source;

/// Time without pictures that counts as blank: durations in playlists and names are rounded.
const BLANK_NANOS: i64 = 500_000_000;

/// How long an output may be. Beyond it a wrong name would have silence and pictures made for years.
const LONGEST_DAYS: i64 = 31;

/// How a track comes into the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// As it is in the segments.
    Copy,
    /// Decoded and encoded anew.
    Encode(Reason),
}

/// Why a track is encoded anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// It was asked for ([`CopyMode::Never`]).
    Asked,
    /// A frame rate was asked for.
    FrameRate,
    /// Another size was asked for than the pictures have.
    Size,
    /// The pictures change their size.
    SizesDiffer,
    /// The pictures change how they are turned for display.
    Turned,
    /// Blanks are to be black, and there are some.
    Blanks,
    /// The parameter sets of the pictures cannot be written into a file together.
    ParameterSets,
    /// There is a gap that no picture can be held over in an MP4.
    LongGap,
    /// The sound changes its sample rate or channels.
    SoundDiffers,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "it was asked for",
            Self::FrameRate => "a frame rate was asked for",
            Self::Size => "another size was asked for",
            Self::SizesDiffer => "pictures change their size",
            Self::Turned => "pictures change how they are turned",
            Self::Blanks => "blanks are to be black",
            Self::ParameterSets => "parameter sets do not fit into one file",
            Self::LongGap => "a gap is too long to hold a picture over",
            Self::SoundDiffers => "the sound changes its sample rate or channels",
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy => f.write_str("copied"),
            Self::Encode(reason) => write!(f, "encoded ({reason})"),
        }
    }
}

/// How far [`execute`] is with an output. Where it has to begin again, so does this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Name of the output.
    pub output: &'a str,
    /// Bytes of segments that were read; copied ones are read twice.
    pub done: u64,
    /// Bytes that will be read.
    pub of: u64,
}

/// What became of an output.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The user's encoded name.
    pub user: String,
    /// Name of the output.
    pub output: String,
    /// The file, or why there is none.
    pub result: Result<Merged, MergeError>,
    /// Segments that were left out because they cannot be read.
    pub skipped: Vec<Skipped>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Merged {
    /// How the pictures came into it; `None` without any.
    pub video: Option<Method>,
    /// How the sound came into it; `None` without any.
    pub audio: Option<Method>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its length in nanoseconds.
    pub duration_nanos: i64,
}

/// How each track of an output will come into its file, as far as the plan tells: the segments may show more.
/// `None` for a track that the output does not have.
#[must_use]
pub fn methods(output: &Output, options: &MergeOptions) -> (Option<Method>, Option<Method>) {
    let has = |kind| Job::lane(output, kind).next().is_some();
    let never = options.copy == CopyMode::Never;
    let method = |reason: Option<Reason>| reason.map_or(Method::Copy, Method::Encode);
    let video = has(MediaKind::Video).then(|| {
        let sizes = || output.pieces.iter().filter_map(|piece| piece.size);
        let first = sizes().next();
        let asked = options.size.filter(|&asked| sizes().any(|size| size != asked));
        method(if never {
            Some(Reason::Asked)
        } else if options.frame_rate.is_some() {
            Some(Reason::FrameRate)
        } else if options.blanks == Blanks::Black && !blanks(output).is_empty() {
            Some(Reason::Blanks)
        } else if asked.is_some() {
            Some(Reason::Size)
        } else if sizes().any(|size| Some(size) != first) {
            Some(Reason::SizesDiffer)
        } else if has_long_gap(output) {
            Some(Reason::LongGap)
        } else {
            None
        })
    });
    let audio = has(MediaKind::Audio).then(|| method(never.then_some(Reason::Asked)));
    (video, audio)
}

/// What [`execute`] will say of an output that it refuses, as far as the plan tells: that it would be too long, or that it
/// cannot be copied though it has to be ([`CopyMode::Always`]). Sizes are those of the playlists: where they are wrong, it
/// is decided otherwise.
#[must_use]
pub fn refusal(output: &Output, options: &MergeOptions) -> Option<MergeError> {
    let (video, audio) = methods(output, options);
    let refused = [video, audio].into_iter().flatten().find_map(|method| match method {
        Method::Encode(reason) if options.copy == CopyMode::Always => Some(MergeError::NotCopyable(reason)),
        _ => None,
    });
    too_far(output).or(refused)
}

fn too_far(output: &Output) -> Option<MergeError> {
    let within = 0..=LONGEST_DAYS * 86_400_000_000_000;
    let is_far = |piece: &&Piece| !within.contains(&piece.at_nanos) || !within.contains(&piece.end());
    let piece = output.pieces.iter().find(is_far);
    let longer = !within.contains(&output.duration_nanos);
    let piece = piece.or_else(|| output.pieces.last().filter(|_| longer))?;
    Some(MergeError::TooFar { segment: piece.segment.clone(), days: LONGEST_DAYS })
}

/// Whether there is a gap between pictures that none of them can be held over in an MP4: 2^32 ticks.
fn has_long_gap(output: &Output) -> bool {
    let blanks = blanks(output).into_iter();
    let mut inner = blanks.filter(|&(from, to)| from > 0 && to < output.duration_nanos);
    inner.any(|(from, to)| ticks(to.saturating_sub(from)) > u32::MAX.into())
}

/// Times without pictures in an output that has some, in nanoseconds.
pub(crate) fn blanks(output: &Output) -> Vec<(i64, i64)> {
    let mut blanks = Vec::new();
    let mut end = 0i64;
    let video = output.pieces.iter().filter(|piece| piece.has_video());
    let spans = video.map(|piece| (piece.at_nanos, Piece::end(piece)));
    for (from, to) in spans.chain(std::iter::once((output.duration_nanos, output.duration_nanos))) {
        if from.saturating_sub(end) > BLANK_NANOS {
            blanks.push((end, from));
        }
        end = end.max(to);
    }
    blanks
}

/// Writes the outputs of `plan`, one after the other, each in the order of its bytes. An output that fails does not
/// keep the others from being written.
///
/// `options` are those that the plan was made with. Held in memory are a segment of each track and the tables of the
/// file, a few bytes a sample; what is encoded waits in a temporary file.
pub fn execute(
    plan: &Plan,
    options: &MergeOptions,
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Vec<Report> {
    let outputs =
        plan.users.iter().flat_map(|user| user.outputs.iter().map(|output| (&user.encoded, output)));
    let reports = outputs.map(|(user, output)| {
        let (result, skipped) = merge(output, options, source, sink, progress);
        Report { user: user.clone(), output: output.name.clone(), result, skipped }
    });
    reports.collect()
}

fn merge(
    output: &Output,
    options: &MergeOptions,
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> (Result<Merged, MergeError>, Vec<Skipped>) {
    if let Some(error) = too_far(output) {
        return (Err(error), Vec::new());
    }
    let (mut video, mut audio) = methods(output, options);
    if options.copy != CopyMode::Never {
        // Sizes in playlists may be wrong or missing: the pictures themselves decide.
        if let Some(Method::Encode(Reason::Size | Reason::SizesDiffer)) = video {
            video = Some(Method::Copy);
        }
    }
    loop {
        let mut job = Job::new(output, source, progress, bytes(output, video.as_ref(), audio.as_ref()));
        let result = attempt(&mut job, options, sink, video.as_ref(), audio.as_ref());
        let skipped = job.into_skipped();
        let is_copied = video == Some(Method::Copy);
        let reason = match result {
            Err(MergeError::NotCopyable(reason)) => reason,
            Err(MergeError::Samples { source: PlanError::TimeRange { .. }, .. }) if is_copied => {
                Reason::LongGap
            }
            Err(MergeError::Samples { source: PlanError::TooManyEntries { .. }, .. }) if is_copied => {
                Reason::ParameterSets
            }
            result => return (result, skipped),
        };
        if options.copy != CopyMode::Auto {
            return (Err(MergeError::NotCopyable(reason)), skipped);
        }
        // Once for each track: what is encoded is not copied again.
        let track = if reason == Reason::SoundDiffers { &mut audio } else { &mut video };
        *track = Some(Method::Encode(reason));
    }
}

/// Bytes that will be read.
fn bytes(output: &Output, video: Option<&Method>, audio: Option<&Method>) -> u64 {
    let of = |kind, method: Option<&Method>| {
        let times = match method {
            Some(Method::Copy) => 2,
            Some(Method::Encode(_)) => 1,
            None => 0,
        };
        let pieces = Job::lane(output, kind).filter_map(|number| output.pieces.get(number));
        pieces.map(|piece| piece.bytes).sum::<u64>().saturating_mul(times)
    };
    of(MediaKind::Video, video).saturating_add(of(MediaKind::Audio, audio))
}

fn attempt(
    job: &mut Job<'_>,
    options: &MergeOptions,
    sink: &mut dyn Sink,
    video: Option<&Method>,
    audio: Option<&Method>,
) -> Result<Merged, MergeError> {
    let output = job.output;
    let lane = |kind| Job::lane(output, kind).collect::<VecDeque<_>>();
    let mut feeds: Vec<(MediaKind, Box<dyn Feed>)> = Vec::new();
    for (kind, method) in [(MediaKind::Video, video), (MediaKind::Audio, audio)] {
        let Some(method) = method else { continue };
        let feed: Box<dyn Feed> = match (kind, method) {
            (_, Method::Encode(reason)) if options.copy == CopyMode::Always => {
                return Err(MergeError::NotCopyable(reason.clone()));
            }
            (MediaKind::Video, Method::Copy) => {
                Box::new(CopyVideo::new(lane(kind), options.requested_size()))
            }
            (MediaKind::Video, Method::Encode(_)) => Box::new(EncodeVideo::new(lane(kind), output, options)?),
            (MediaKind::Audio, Method::Copy) => Box::new(CopyAudio::new(lane(kind))),
            (MediaKind::Audio, Method::Encode(reason)) => {
                // Of what changes, both channels are kept.
                let channels = (*reason == Reason::SoundDiffers).then_some(2);
                Box::new(EncodeAudio::new(lane(kind), channels)?)
            }
        };
        feeds.push((kind, feed));
    }
    let movie = movie::gather(feeds, job)?;
    let merged = Merged {
        video: video.filter(|_| movie.has(MediaKind::Video)).cloned(),
        audio: audio.filter(|_| movie.has(MediaKind::Audio)).cloned(),
        bytes: movie.plan.file_len(),
        duration_nanos: movie.plan.duration().nanos(),
    };
    movie.write(job, sink)?;
    Ok(merged)
}
