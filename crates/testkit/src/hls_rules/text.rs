//! The rules that the text alone can break.

use super::{Rule, Violation};

/// A playlist as the rules see it. Values are text: what cannot be read breaks the rule that needs it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    version: Option<String>,
    pub(super) target: Option<String>,
    pub(super) sequence: Option<String>,
    pub(super) segments: Vec<ListedSegment>,
    pub(super) end_lines: Vec<usize>,
    last_line: usize,
    /// Lines of tags that need this version.
    needs: Vec<(u32, usize)>,
}

/// A segment as it is listed.
#[derive(Debug, Default)]
pub(super) struct ListedSegment {
    pub(super) uri: String,
    /// Line of the URI.
    pub(super) line: usize,
    pub(super) extinf: Option<String>,
    pub(super) discontinuity: bool,
    /// All lines since the segment before, blank ones left out.
    pub(super) lines: Vec<String>,
}

impl ListedSegment {
    /// Seconds of `EXTINF`. A `f64` holds what a recorder writes to better than a nanosecond.
    pub(super) fn seconds(&self) -> Option<f64> {
        let text = self.extinf.as_deref()?;
        let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        text.parse().ok().filter(|_| digits)
    }
}

pub(super) fn read(playlist: &str) -> Listed {
    let mut listed = Listed::default();
    let mut next = ListedSegment::default();
    for (line, number) in playlist.lines().zip(1..) {
        if line.is_empty() {
            continue;
        }
        listed.last_line = number;
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let mut is_header = true;
        match name {
            "#EXTM3U" => {}
            "#EXT-X-VERSION" => listed.version = Some(value.into()),
            "#EXT-X-TARGETDURATION" => listed.target = Some(value.into()),
            "#EXT-X-MEDIA-SEQUENCE" => listed.sequence = Some(value.into()),
            "#EXT-X-ENDLIST" => listed.end_lines.push(number),
            _ => is_header = listed.segments.is_empty() && next.lines.is_empty() && is_global(name),
        }
        match name {
            "#EXTINF" => {
                let duration = value.split(',').next().unwrap_or_default();
                if duration.contains('.') {
                    listed.needs.push((3, number));
                }
                next.extinf = Some(duration.into());
            }
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-BYTERANGE" | "#EXT-X-I-FRAMES-ONLY" => listed.needs.push((4, number)),
            "#EXT-X-MAP" => listed.needs.push((6, number)),
            "#EXT-X-GAP" => listed.needs.push((8, number)),
            "#EXT-X-KEY" if value.contains("IV=") => listed.needs.push((2, number)),
            _ => {}
        }
        if is_header {
            continue;
        }
        next.lines.push(line.into());
        if !line.starts_with('#') {
            let segment = ListedSegment { uri: line.into(), line: number, ..std::mem::take(&mut next) };
            listed.segments.push(segment);
        }
    }
    listed
}

/// Tags of a header that are not part of the first segment's lines.
fn is_global(name: &str) -> bool {
    let per_segment =
        ["#EXTINF", "#EXT-X-DISCONTINUITY", "#EXT-X-BYTERANGE", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-GAP"];
    name.starts_with('#') && !per_segment.contains(&name) && name != "#EXT-X-TRTC-FILE-ATTR"
}

pub(super) fn check(playlist: &str, listed: &Listed) -> Vec<Violation> {
    let mut found = Vec::new();
    if playlist.lines().next() != Some("#EXTM3U") {
        found.push(Violation::new(Rule::Header, 1, "the first line is not #EXTM3U"));
    }
    let version = listed.version.as_deref().map_or(Some(1), |text| text.parse::<u32>().ok());
    match version {
        None => found.push(Violation::new(Rule::Version, None, format!("version {:?}", listed.version))),
        Some(version) => {
            if let Some(&(need, line)) = listed.needs.iter().max().filter(|(need, _)| *need > version) {
                let detail = format!("version {version}, and a tag that needs {need}");
                found.push(Violation::new(Rule::Version, line, detail));
            }
        }
    }
    match listed.target.as_deref().and_then(|text| text.parse::<u32>().ok()) {
        None => found.push(Violation::new(Rule::TargetDuration, None, format!("target {:?}", listed.target))),
        Some(target) => {
            for segment in &listed.segments {
                let seconds = segment.seconds();
                if seconds.is_none_or(|seconds| seconds.round() > f64::from(target)) {
                    let detail = format!("EXTINF {:?} over a target of {target}", segment.extinf);
                    found.push(Violation::new(Rule::TargetDuration, segment.line, detail));
                }
            }
        }
    }
    match *listed.end_lines.as_slice() {
        [] => {}
        [line] if line == listed.last_line => {}
        [line, ..] => found.push(Violation::new(Rule::EndList, line, "EXT-X-ENDLIST is not once and last")),
    }
    found
}
