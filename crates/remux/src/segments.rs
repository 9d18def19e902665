use recorder_hls::read_playlist::{MediaPlaylist, Segment};
use recorder_types::{RoomTime, UnixMillis};

/// One segment of a playlist, with what a [`SegmentIndex`](recorder_hls::SegmentIndex) of it needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaylistSegment {
    /// Its URI as it is written. Only if
    /// [`is_local_name`](recorder_hls::read_playlist::SegmentUri::is_local_name) says so it may be opened as a file.
    pub uri: String,
    /// When it starts: by `EXT-X-TRTC-FILE-ATTR`, `EXT-X-PROGRAM-DATE-TIME` or the 17 digits at the end of its name;
    /// else by the durations of the segments before it, from the last one that tells, or from 1970 on.
    pub start: UnixMillis,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// Whether the playlist says that it does not exist (`EXT-X-GAP`).
    pub gap: bool,
}

/// The segments of a playlist, in order.
#[must_use]
pub fn playlist_segments(playlist: &MediaPlaylist) -> Vec<PlaylistSegment> {
    // Rounded once for each, from the last start that is told.
    let (mut known, mut since) = (UnixMillis::EPOCH, RoomTime::ZERO);
    let mut segments = Vec::with_capacity(playlist.segments.len());
    for segment in &playlist.segments {
        if let Some(start) = told_start(segment) {
            (known, since) = (start, RoomTime::ZERO);
        }
        segments.push(PlaylistSegment {
            uri: segment.uri.as_str().to_owned(),
            start: known.saturating_add_millis(since.round_to_millis()),
            discontinuity: segment.discontinuity,
            gap: segment.gap,
        });
        since = since.saturating_add(segment.duration.round_to_room_time());
    }
    segments
}

fn told_start(segment: &Segment) -> Option<UnixMillis> {
    segment
        .file_attr
        .map(|attr| attr.start)
        .or_else(|| UnixMillis::new(u64::try_from(segment.program_date_time_millis?).ok()?))
        .or_else(|| {
            let stem = segment.uri.as_str().rsplit('/').next()?.split(['.', '?']).next()?;
            UnixMillis::from_utc_digits(stem.get(stem.len().checked_sub(17)?..)?)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_by_attribute_then_date_then_name_then_durations() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n\
            #EXTINF:9.5,\na.ts\n\
            #EXTINF:9.5,\nb.ts\n\
            #EXT-X-TRTC-FILE-ATTR:1700000000123,100\n#EXTINF:10,\nx_20231114221320999.ts\n\
            #EXTINF:1.0005,\nc.ts\n#EXTINF:1.0005,\nd.ts\n#EXT-X-GAP\n#EXTINF:1,\ne.ts\n\
            #EXT-X-DISCONTINUITY\n#EXTINF:1,\nx_20231114221420123.ts?a\n\
            #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:15:20.123Z\n#EXTINF:1,\nx_20231114221420123.ts\n";
        let segments = playlist_segments(&text.parse().unwrap());
        let starts: Vec<u64> = segments.iter().map(|segment| segment.start.get()).collect();
        let told = 1_700_000_000_123;
        let want =
            [0, 9_500, told, told + 10_000, told + 11_001, told + 12_001, told + 60_000, told + 120_000];
        assert_eq!(starts, want);
        let flags: Vec<_> = segments.iter().map(|s| (s.discontinuity, s.gap)).collect();
        assert_eq!(flags[4..7], [(false, false), (false, true), (true, false)]);
    }
}
