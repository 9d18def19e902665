use std::collections::BTreeMap;

use recorder_hls::read_playlist::{MediaPlaylist, Segment};
use recorder_types::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::folder::{Folder, TrackName, parse_playlist_name};
use crate::options::{AuxUse, MergeMode, MergeOptions, SectionGaps};
use crate::source::check_size;

/// A gap of more than this ends a section.
const SECTION_GAP_NANOS: i64 = 15_000_000_000;
/// Size of segments before any that tells one.
const DEFAULT_SIZE: (u32, u32) = (640, 360);

/// Which segments go where, user by user in order of their encoded names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Users with anything to merge.
    pub users: Vec<UserPlan>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// What becomes of one user's recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// As in file names.
    pub encoded: String,
    /// The user id itself, where the name can be decoded.
    pub user: Option<String>,
    /// The files, in order of time.
    pub outputs: Vec<Output>,
}

/// One file to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name: `_av.mp4` with video, `.m4a` with sound alone.
    pub name: String,
    /// Wall clock of its time zero.
    pub start_millis: u64,
    /// Its length in nanoseconds.
    pub duration_nanos: i64,
    /// Width and height of its picture; `None` without video.
    pub size: Option<(u32, u32)>,
    /// Where each segment goes, by time, sound before pictures at the same time.
    pub pieces: Vec<Piece>,
    /// Time without any media of its sections, as gaps on its own time line.
    pub gaps: Vec<Gap>,
    /// Sections that it holds.
    pub sections: usize,
}

/// One segment on the time line of an [`Output`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Bare name of the segment.
    pub segment: String,
    /// Which track it belongs to.
    pub track: TrackName,
    /// Nanoseconds from the output's zero to its start.
    pub at_nanos: i64,
    /// Its length in nanoseconds, from `EXTINF`.
    pub duration_nanos: i64,
    /// Width and height that its playlist tells; `None` if no pictures are taken from it.
    pub size: Option<(u32, u32)>,
    /// Which run of segments it belongs to: those of a playlist without a discontinuity between them, so that their
    /// time stamps are on one clock. Told apart within the plan.
    pub run: u32,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Piece {
    /// When it starts on the wall clock by its name, in nanoseconds since 1970.
    pub(crate) fn start(&self) -> Option<i64> {
        start_of(&self.segment)?.checked_mul(1_000_000)
    }

    /// Whether pictures are taken from it.
    pub(crate) const fn has_video(&self) -> bool {
        self.size.is_some()
    }

    /// Whether sound is taken from it.
    pub(crate) const fn has_audio(&self) -> bool {
        matches!(self.track, TrackName::MainAudio | TrackName::MainAudioVideo)
    }

    pub(crate) const fn end(&self) -> i64 {
        self.at_nanos.saturating_add(self.duration_nanos)
    }
}

/// Milliseconds since 1970 from the 17 digits at the end of a segment's name.
fn start_of(name: &str) -> Option<i64> {
    let stem = name.strip_suffix(".ts")?;
    let start = UnixMillis::from_utc_digits(stem.get(stem.len().checked_sub(17)?..)?)?;
    i64::try_from(start.get()).ok()
}

/// Time without media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From, in nanoseconds of the output.
    pub from_nanos: i64,
    /// To, in nanoseconds of the output.
    pub to_nanos: i64,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Bare name of the file.
    pub name: String,
    /// Why.
    pub reason: SkippedReason,
}

/// Why something was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SkippedReason {
    /// The playlist cannot be read: the text says why, and where.
    DamagedPlaylist(String),
    /// No segment of the playlist can be used, and its user has no others.
    NoSegments,
    /// The playlist is of a track that is not asked for ([`MergeOptions::aux`]), and its user has no others.
    NotAsked,
    /// The segment is named but not there.
    Missing,
    /// The segment has no bytes.
    Empty,
    /// The segment's name does not end in the 17 digits of its start.
    NoStart,
    /// The name leads out of the folder.
    OutsideOfFolder,
    /// The segment cannot be read: the text says why. What is in it is seen when it is merged.
    DamagedSegment(String),
}

impl SkippedReason {
    /// Whether the file is there and something is wrong with it; what is missing, empty or not asked for is passed over
    /// as by the script.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        !matches!(self, Self::Missing | Self::Empty | Self::NoSegments | Self::NotAsked)
    }
}

impl std::fmt::Display for SkippedReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DamagedPlaylist(why) => write!(f, "the playlist cannot be read: {why}"),
            Self::NoSegments => f.write_str("nothing to merge of this user: no segment can be used"),
            Self::NotAsked => {
                f.write_str("nothing to merge of this user: the track is not asked for, see -a")
            }
            Self::Missing => f.write_str("the segment is missing"),
            Self::Empty => f.write_str("the segment is empty"),
            Self::NoStart => f.write_str("the segment's name does not tell its start"),
            Self::OutsideOfFolder => f.write_str("the name leads out of the folder"),
            Self::DamagedSegment(why) => write!(f, "the segment cannot be read: {why}"),
        }
    }
}

/// A segment that is there.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    track: TrackName,
    start: i64,
    duration: i64,
    size: Option<(u32, u32)>,
    run: u32,
    bytes: u64,
}

impl Found {
    fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }
}

/// Plans the merge of `folder`. Nothing is read or written; what cannot be merged is in [`Plan::skipped`], and the
/// other users are merged all the same.
#[must_use]
pub fn plan(folder: &Folder, options: &MergeOptions) -> Plan {
    let mut skipped: Vec<Skipped> = Vec::new();
    let mut users: BTreeMap<&str, Recordings> = BTreeMap::new();
    let mut run = 0u32;
    for (name, text) in &folder.playlists {
        let Some((user, track)) = parse_playlist_name(name) else { continue };
        let parsed = match text {
            Ok(text) => text.parse::<MediaPlaylist>().map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        let playlist = match parsed {
            Ok(playlist) => playlist,
            Err(why) => {
                skipped.push(Skipped { name: name.clone(), reason: SkippedReason::DamagedPlaylist(why) });
                continue;
            }
        };
        let recordings = users.entry(user).or_default();
        let before = recordings.segments.len();
        run = run.saturating_add(1);
        // A set of both may have been of sound alone all the time.
        let sound_only = track == TrackName::MainAudioVideo && playlist.recording.stream_type == Some(0);
        for segment in &playlist.segments {
            run = run.saturating_add(segment.discontinuity.into());
            match find(folder, segment, track, run) {
                Ok(found) => {
                    let size = found.size.filter(|_| !sound_only);
                    recordings.segments.push(Found { size, ..found });
                }
                Err(reason) => skipped.push(Skipped { name: segment.uri.as_str().to_owned(), reason }),
            }
        }
        let reason = if recordings.segments.len() > before {
            SkippedReason::NotAsked
        } else {
            SkippedReason::NoSegments
        };
        recordings.unused.push(Skipped { name: name.clone(), reason });
    }
    let mut plan = Plan { users: Vec::new(), skipped };
    for (encoded, recordings) in users {
        let outputs = outputs(encoded, choose(recordings.segments, options.aux), options);
        if outputs.is_empty() {
            plan.skipped.extend(recordings.unused);
            continue;
        }
        let decoded = recorder_naming::decode_field(encoded).ok();
        let user = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        plan.users.push(UserPlan { encoded: encoded.to_owned(), user, outputs });
    }
    plan
}

/// What there is of a user.
#[derive(Debug, Default)]
struct Recordings {
    segments: Vec<Found>,
    /// Each playlist, and why it is left out where nothing of the user is merged.
    unused: Vec<Skipped>,
}

fn find(folder: &Folder, segment: &Segment, track: TrackName, run: u32) -> Result<Found, SkippedReason> {
    if !segment.uri.is_local_name() {
        return Err(SkippedReason::OutsideOfFolder);
    }
    let name = segment.uri.as_str();
    let start = start_of(name).ok_or(SkippedReason::NoStart)?;
    let bytes = match folder.segments.get(name) {
        None => return Err(SkippedReason::Missing),
        Some(0) => return Err(SkippedReason::Empty),
        Some(&bytes) => bytes,
    };
    check_size(bytes).map_err(|error| SkippedReason::DamagedSegment(error.to_string()))?;
    let size = (track != TrackName::MainAudio).then(|| {
        let told = segment.video.as_ref().and_then(|video| video.size);
        told.map_or(DEFAULT_SIZE, |size| (size.width(), size.height()))
    });
    Ok(Found {
        name: name.to_owned(),
        track,
        start: start.saturating_mul(1_000_000),
        duration: segment.duration.round_to_room_time().nanos(),
        size,
        run,
        bytes,
    })
}

/// The segments of the tracks that are asked for, in order: by start, sound before pictures at the same time.
fn choose(mut found: Vec<Found>, aux: AuxUse) -> Vec<Found> {
    found.sort_by(|a, b| (a.start, a.track, &a.name).cmp(&(b.start, b.track, &b.name)));
    // A recovered run may list a segment again.
    found.dedup_by(|a, b| a.name == b.name);
    let is_primary =
        |segment: &Found| matches!(segment.track, TrackName::MainVideo | TrackName::MainAudioVideo);
    match aux {
        AuxUse::MainOnly => found.retain(|segment| segment.track != TrackName::AuxVideo),
        AuxUse::AuxOnly => {
            found.retain(|segment| segment.track != TrackName::MainVideo);
            // Of what holds both, only the sound.
            let both = found.iter_mut().filter(|segment| segment.track == TrackName::MainAudioVideo);
            both.for_each(|segment| segment.size = None);
        }
        AuxUse::Automatic => {
            let primary: Vec<(i64, i64)> =
                found.iter().filter(|segment| is_primary(segment)).map(|s| (s.start, s.end())).collect();
            let holes = holes(&primary);
            found.retain(|segment| {
                segment.track != TrackName::AuxVideo
                    || holes.iter().any(|&(from, to)| segment.start >= from && segment.end() <= to)
            });
        }
    }
    found
}

/// Where there is no primary video for more than 15 s: before it, between its segments, and after it (however short,
/// for nothing follows). `primary` is in order of start.
fn holes(primary: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut holes = Vec::new();
    let mut end = i64::MIN;
    for &(start, segment_end) in primary {
        if end == i64::MIN || start.saturating_sub(end) > SECTION_GAP_NANOS {
            holes.push((end, start));
        }
        end = end.max(segment_end);
    }
    holes.push((end, i64::MAX));
    holes
}

fn outputs(encoded: &str, segments: Vec<Found>, options: &MergeOptions) -> Vec<Output> {
    let mut sections: Vec<Vec<Found>> = Vec::new();
    let mut end = i64::MIN;
    for segment in segments {
        let gap = segment.start.saturating_sub(end);
        match sections.last_mut() {
            // The largest end so far: a short piece of sound inside of a long picture cannot split.
            Some(section) if gap <= SECTION_GAP_NANOS => section.push(segment.clone()),
            _ => sections.push(vec![segment.clone()]),
        }
        end = end.max(segment.end());
    }
    match options.mode {
        MergeMode::Sections => {
            sections.into_iter().filter_map(|section| output(encoded, vec![section], options)).collect()
        }
        MergeMode::Users => output(encoded, sections, options).into_iter().collect(),
    }
}

/// One file of `sections`, which are in order and not empty.
fn output(encoded: &str, sections: Vec<Vec<Found>>, options: &MergeOptions) -> Option<Output> {
    let zero = sections.first()?.first()?.start;
    let count = sections.len();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut gaps = Vec::new();
    let (mut shift, mut end) = (zero, 0i64);
    for section in sections {
        let first = section.first().map_or(zero, |segment| segment.start);
        if options.section_gaps == SectionGaps::Remove && options.mode == MergeMode::Users {
            // The section begins where the one before ended.
            shift = first.saturating_sub(end);
        }
        for segment in section {
            let at = segment.start.saturating_sub(shift);
            if at > end {
                gaps.push(Gap { from_nanos: end, to_nanos: at });
            }
            end = end.max(at.saturating_add(segment.duration));
            pieces.push(Piece {
                segment: segment.name,
                track: segment.track,
                at_nanos: at,
                duration_nanos: segment.duration,
                size: segment.size,
                run: segment.run,
                bytes: segment.bytes,
            });
        }
    }
    let has_video = pieces.iter().any(Piece::has_video);
    let stamp = UnixMillis::new(u64::try_from(zero / 1_000_000).ok()?)?;
    let ending = if has_video { "_av.mp4" } else { ".m4a" };
    Some(Output {
        name: format!("{encoded}_{}{ending}", stamp.utc_digits()),
        start_millis: stamp.get(),
        duration_nanos: end,
        size: has_video.then(|| picture_size(&pieces, options)),
        pieces,
        gaps,
        sections: count,
    })
}

/// The size asked for, else the largest width and the largest height, made even.
fn picture_size(pieces: &[Piece], options: &MergeOptions) -> (u32, u32) {
    if let Some(size) = options.requested_size() {
        return (size.width(), size.height());
    }
    let sizes = || pieces.iter().filter_map(|piece| piece.size);
    let largest = |side: fn((u32, u32)) -> u32| sizes().map(side).max().map(|side| side.next_multiple_of(2));
    match (largest(|size| size.0), largest(|size| size.1)) {
        (Some(width), Some(height)) => (width, height),
        _ => DEFAULT_SIZE,
    }
}

#[cfg(test)]
mod tests;
