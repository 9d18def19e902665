//! Twelve rules of RFC 8216 for the playlists and segments of a recording, checked from the bytes.
//!
//! The text is read here line by line and the packets are looked at directly, so that a mistake of the crates' own
//! reader cannot hide one of the writer; only timestamps and parameter sets come through
//! [`recorder_hls::demux`], which is tested on the files of others.

mod media;
mod text;

use std::fmt;

use media::Measured;
use text::Listed;

/// A rule, in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `#EXTM3U` is the first line (§4.3.1.1).
    Header,
    /// `EXT-X-VERSION` allows the tags that are used (§7).
    Version,
    /// Each `EXTINF`, rounded, is at most `EXT-X-TARGETDURATION` (§4.3.3.1).
    TargetDuration,
    /// Target duration and media sequence stay the same while the playlist grows (§6.2.1, §6.2.2).
    ConstantHeader,
    /// Each new text has the segments of the one before, unchanged, and nothing follows an end (§6.2.1).
    Growth,
    /// `EXT-X-ENDLIST` stands at most once, and last (§4.3.3.4; last is what the recorder promises).
    EndList,
    /// Each URI is a name in the playlist's folder and its segment exists (§4.3.2.1, §6.2.1).
    Uri,
    /// A segment begins with PAT and PMT, and its video with AUD, SPS, PPS and IDR (§3.2).
    SegmentStart,
    /// Continuity counters have no hole, within segments and across them (§3.2).
    Continuity,
    /// Decode times of a stream rise, across segments too (§6.2.1).
    DecodeOrder,
    /// `EXT-X-DISCONTINUITY` stands where streams, picture size, rate or channels of the sound, or the time line
    /// change (§4.3.2.3: what a tag must or should tell), and only there. A time line changes too where the segment's
    /// first clock reference says so (`discontinuity_indicator`, H.222.0 §2.4.3.5): a sender's clock was set, and the
    /// new times follow the old ones by chance.
    Discontinuity,
    /// `EXTINF` is within one frame of the media (§4.3.2.1, §6.2.1).
    Duration,
}

impl Rule {
    /// All twelve.
    pub const ALL: [Self; 12] = [
        Self::Header,
        Self::Version,
        Self::TargetDuration,
        Self::ConstantHeader,
        Self::Growth,
        Self::EndList,
        Self::Uri,
        Self::SegmentStart,
        Self::Continuity,
        Self::DecodeOrder,
        Self::Discontinuity,
        Self::Duration,
    ];
}

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Line of the playlist, from 1, where there is one to point at.
    pub line: Option<usize>,
    /// What was found.
    pub detail: String,
}

impl Violation {
    fn new(rule: Rule, line: impl Into<Option<usize>>, detail: impl Into<String>) -> Self {
        Self { rule, line: line.into(), detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {:?}: {}", self.rule, self.detail),
            None => write!(f, "{:?}: {}", self.rule, self.detail),
        }
    }
}

/// Checks one text with its segments; `lookup` gives the bytes of a segment by its name, and is asked only for names
/// that stay in the folder. Empty means that all rules hold. [`Rule::ConstantHeader`] and [`Rule::Growth`] need more
/// than one text: [`check_growth`].
#[must_use]
pub fn check(playlist: &str, mut lookup: impl FnMut(&str) -> Option<Vec<u8>>) -> Vec<Violation> {
    let listed = text::read(playlist);
    let mut found = text::check(playlist, &listed);
    let mut before: Option<Measured> = None;
    let mut counters = media::Counters::default();
    for (index, segment) in listed.segments.iter().enumerate() {
        if !is_name(&segment.uri) {
            found.push(Violation::new(
                Rule::Uri,
                segment.line,
                format!("{:?} leaves the folder", segment.uri),
            ));
            before = None;
            continue;
        }
        let Some(bytes) = lookup(&segment.uri) else {
            found.push(Violation::new(Rule::Uri, segment.line, format!("{:?} does not exist", segment.uri)));
            before = None;
            continue;
        };
        let new_line = segment.discontinuity || (index > 0 && before.is_none());
        if new_line {
            counters.clear();
        }
        let measured = Measured::new(&bytes, before.as_ref().filter(|_| !new_line), &mut counters);
        found.extend(measured.check_alone(segment));
        if let Some(before) = &before {
            found.extend(measured.check_after(before, segment, &listed.segments[index - 1]));
        }
        before = Some(measured);
    }
    if let (Some(last), Some(segment)) = (&before, listed.segments.last()) {
        found.extend(last.check_duration(segment, None));
    }
    found.sort_by_key(|violation| (violation.rule, violation.line));
    found
}

/// Checks that each text extends the one before: the states of one playlist, oldest first.
#[must_use]
pub fn check_growth<T: AsRef<str>>(texts: &[T]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, pair) in texts.windows(2).enumerate() {
        let (old, new) = (text::read(pair[0].as_ref()), text::read(pair[1].as_ref()));
        found.extend(growth_step(&old, &new, number + 2));
    }
    found
}

fn growth_step(old: &Listed, new: &Listed, number: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    for (tag, before, after) in [
        ("EXT-X-TARGETDURATION", &old.target, &new.target),
        ("EXT-X-MEDIA-SEQUENCE", &old.sequence, &new.sequence),
    ] {
        if before != after {
            let detail = format!("text {number}: {tag} changed from {before:?} to {after:?}");
            found.push(Violation::new(Rule::ConstantHeader, None, detail));
        }
    }
    if new.segments.len() < old.segments.len() {
        let detail = format!("text {number}: {} segments after {}", new.segments.len(), old.segments.len());
        found.push(Violation::new(Rule::Growth, None, detail));
    }
    for (before, after) in old.segments.iter().zip(&new.segments) {
        if before.lines != after.lines {
            let detail = format!("text {number}: {:?} became {:?}", before.lines, after.lines);
            found.push(Violation::new(Rule::Growth, after.line, detail));
        }
    }
    let (ended, still) = (!old.end_lines.is_empty(), !new.end_lines.is_empty());
    if ended && (!still || new.segments.len() > old.segments.len()) {
        found.push(Violation::new(
            Rule::Growth,
            None,
            format!("text {number} follows a text that had ended"),
        ));
    }
    found
}

fn is_name(uri: &str) -> bool {
    let special = |c: char| matches!(c, '/' | '\\' | ':' | '?' | '#' | '%') || c.is_control();
    !matches!(uri, "" | "." | "..") && !uri.contains(special)
}

#[cfg(test)]
mod tests;
