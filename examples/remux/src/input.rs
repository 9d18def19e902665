//! What is to be remuxed: TS segments, or MP4.

use std::io;
use std::path::{Path, PathBuf};

use recorder_hls::PlaylistHeader;
use recorder_hls::read_playlist::{ByteRange, InitSection, MediaPlaylist, Segment};
use recorder_mp4::FileReader;
use recorder_remux::{PlaylistSegment, playlist_segments};
use recorder_types::{MediaId, RoomTime, Timestamp, UnixMillis};

use crate::chain::{Chain, Piece};
use crate::error::Failure;
use crate::place::Place;
use crate::report::Report;

/// Longest playlist that is read: weeks of segments.
const MAX_PLAYLIST: u64 = 64 << 20;
/// Longest TS segment: each is in memory as a whole.
pub(crate) const MAX_SEGMENT: u64 = 1 << 30;
/// Samples that are looked at to find when the first is presented.
const LOOK_AHEAD: usize = 1000;

/// What is read.
pub(crate) enum Input {
    Segments(Segments),
    Movies(Movies),
}

/// TS segments, in order.
pub(crate) struct Segments {
    pub(crate) place: Place,
    pub(crate) list: Vec<TsSegment>,
    /// Whether PTS are on one clock, also over discontinuities: in recordings of the recorder.
    pub(crate) one_clock: bool,
    pub(crate) header: Option<PlaylistHeader>,
}

/// One TS segment.
pub(crate) struct TsSegment {
    /// `None`: it does not exist.
    pub(crate) piece: Option<Piece>,
    pub(crate) start: UnixMillis,
    pub(crate) discontinuity: bool,
}

/// MP4s that follow each other.
pub(crate) struct Movies {
    pub(crate) path: PathBuf,
    pub(crate) runs: Vec<Run>,
    /// Whether the runs are on one clock.
    pub(crate) one_clock: bool,
    pub(crate) header: Option<PlaylistHeader>,
    /// When the first begins on the wall clock.
    pub(crate) start: Option<UnixMillis>,
}

/// One MP4, or an initialization section with the segments that need it.
pub(crate) struct Run {
    pub(crate) pieces: Vec<Piece>,
    /// When it begins on the wall clock, where that is known.
    pub(crate) start: Option<UnixMillis>,
    /// Where the time of what is made of it begins.
    pub(crate) origin: Origin,
}

/// The instant of a file that becomes zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its zero.
    Zero,
    /// When its first sample is presented, unless that is before its zero: fragments may be of a longer stream.
    First,
}

impl Run {
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    pub(crate) fn chain(&self) -> Chain {
        Chain::new(self.pieces.clone())
    }
}

impl Input {
    /// Looks at the file's first bytes.
    pub(crate) fn open(place: &Place, report: &mut Report) -> Result<Self, Failure> {
        let path = place.path();
        let len = place.size().map_err(Failure::io(path))?;
        let mut head = Vec::new();
        place.read(0, len.min(377), &mut head).map_err(Failure::io(path))?;
        if head.starts_with(b"#EXTM3U") {
            return playlist(place, len, report);
        }
        let whole = Piece { place: place.clone(), offset: 0, len };
        if is_ts(&head) {
            return Ok(Self::Segments(Segments {
                place: place.clone(),
                list: vec![TsSegment {
                    piece: Some(whole),
                    start: name_start(path).unwrap_or(UnixMillis::EPOCH),
                    discontinuity: false,
                }],
                one_clock: true,
                header: None,
            }));
        }
        if !is_mp4(&head) {
            return Err(Failure::Foreign { path: path.to_owned() });
        }
        let mut run = Run { pieces: vec![whole], start: None, origin: Origin::Zero };
        let reader = FileReader::open(run.chain());
        let reader = reader.map_err(|source| Failure::Read { path: path.to_owned(), source })?;
        if reader.tracks().iter().all(|track| track.samples == 0) {
            run.origin = Origin::First;
        }
        Ok(Self::Movies(Movies::new(path, vec![run], None, true)))
    }
}

impl Movies {
    pub(crate) fn new(path: &Path, runs: Vec<Run>, header: Option<PlaylistHeader>, one_clock: bool) -> Self {
        let start = runs.first().and_then(|run| run.start);
        Self { path: path.to_owned(), runs, one_clock, header, start }
    }
}

/// Two sync bytes a packet apart, or the only packet's.
fn is_ts(head: &[u8]) -> bool {
    head.first() == Some(&0x47) && head.get(188).is_none_or(|&b| b == 0x47) && head.len() >= 188
}

fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8).is_some_and(|kind| {
        matches!(
            kind,
            b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" | b"sidx"
        )
    })
}

/// The 17 digits at the end of a name.
fn name_start(path: &Path) -> Option<UnixMillis> {
    let stem = path.file_stem()?.to_str()?;
    UnixMillis::from_utc_digits(stem.get(stem.len().checked_sub(17)?..)?)
}

fn playlist(place: &Place, len: u64, report: &mut Report) -> Result<Input, Failure> {
    let path = place.path();
    if len > MAX_PLAYLIST {
        return Err(Failure::TooLong { path: path.to_owned(), len, limit: MAX_PLAYLIST });
    }
    let mut text = Vec::new();
    place.read(0, len, &mut text).map_err(Failure::io(path))?;
    let text = String::from_utf8(text)
        .map_err(|_| Failure::io(path)(io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8")))?;
    let playlist: MediaPlaylist =
        text.parse().map_err(|source| Failure::Playlist { path: path.to_owned(), source })?;
    drop(text);
    if playlist.segments.is_empty() {
        return Err(Failure::Nothing { path: path.to_owned() });
    }
    if playlist.segments.iter().any(|segment| segment.encrypted) {
        return Err(Failure::Encrypted { path: path.to_owned() });
    }
    if !playlist.ended {
        report.warn("the playlist has no end yet: what comes later is not read");
    }
    let folder = Folder(place);
    let told = playlist_segments(&playlist);
    let one_clock = playlist.recording.version.is_some() || playlist.recording.start.is_some();
    let header = header(&playlist);
    if playlist.segments.iter().any(|segment| segment.map.is_some()) {
        let runs = folder.runs(&playlist.segments, &told, report)?;
        if runs.is_empty() {
            return Err(Failure::Nothing { path: path.to_owned() });
        }
        return Ok(Input::Movies(Movies::new(path, runs, header, one_clock)));
    }
    let list = playlist.segments.iter().zip(&told).map(|(segment, told)| {
        Ok(TsSegment {
            piece: folder.segment(segment, report)?,
            start: told.start,
            discontinuity: told.discontinuity,
        })
    });
    let list = list.collect::<Result<Vec<_>, Failure>>()?;
    Ok(Input::Segments(Segments { place: place.clone(), list, one_clock, header }))
}

/// What the playlist says of whose recording it is.
fn header(playlist: &MediaPlaylist) -> Option<PlaylistHeader> {
    let tags = &playlist.recording;
    if tags.mixed == Some(true) {
        return Some(PlaylistHeader::mixed());
    }
    let media = match tags.media_id.as_deref()? {
        "main" => MediaId::Main,
        "aux" => MediaId::Aux,
        _ => return None,
    };
    Some(PlaylistHeader::single(media, tags.user_id.as_deref()?.parse().ok()?))
}

/// The playlist whose folder the segments are in.
struct Folder<'a>(&'a Place);

impl Folder<'_> {
    /// Where a segment is; `None` if it does not exist.
    fn segment(&self, segment: &Segment, report: &mut Report) -> Result<Option<Piece>, Failure> {
        if segment.gap {
            return Ok(None);
        }
        self.piece(&segment.uri, segment.byte_range, report)
    }

    fn piece(
        &self,
        uri: &recorder_hls::read_playlist::SegmentUri,
        range: Option<ByteRange>,
        report: &mut Report,
    ) -> Result<Option<Piece>, Failure> {
        if !uri.is_local_name() {
            return Err(Failure::NotLocal { path: self.0.path().to_owned(), uri: uri.to_string() });
        }
        let place = self.0.beside(uri.as_str());
        let len = match place.size() {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                report.lost(&format!("{}: not there", place.path().display()));
                return Ok(None);
            }
            Err(error) => return Err(Failure::io(place.path())(error)),
        };
        let Some(range) = range else { return Ok(Some(Piece { place, offset: 0, len })) };
        let inside = |offset: &u64| offset.checked_add(range.length).is_some_and(|end| end <= len);
        match range.offset.filter(inside) {
            Some(offset) => Ok(Some(Piece { place, offset, len: range.length })),
            None => {
                report.lost(&format!("{}: bytes that are not in it", place.path().display()));
                Ok(None)
            }
        }
    }

    /// Runs of segments that have one initialization section and one clock.
    fn runs(
        &self,
        segments: &[Segment],
        told: &[PlaylistSegment],
        report: &mut Report,
    ) -> Result<Vec<Run>, Failure> {
        let mut runs: Vec<Run> = Vec::new();
        let mut open: Option<&InitSection> = None;
        for (segment, told) in segments.iter().zip(told) {
            let Some(map) = segment.map.as_deref() else {
                return Err(Failure::Mixed { path: self.0.path().to_owned() });
            };
            if open != Some(map) || told.discontinuity || runs.is_empty() {
                let Some(init) = self.piece(&map.uri, map.byte_range, report)? else {
                    continue;
                };
                runs.push(Run { pieces: vec![init], start: Some(told.start), origin: Origin::First });
                open = Some(map);
            }
            if let (Some(piece), Some(run)) = (self.segment(segment, report)?, runs.last_mut()) {
                run.pieces.push(piece);
            }
        }
        runs.retain(|run| run.pieces.len() > 1);
        Ok(runs)
    }
}

impl Run {
    /// When the first of its samples is presented.
    pub(crate) fn first(&self, path: &Path) -> Result<Option<Timestamp>, Failure> {
        let read = |source| Failure::Read { path: path.to_owned(), source };
        let mut reader = FileReader::open(self.chain()).map_err(read)?;
        let mut first: Option<Timestamp> = None;
        let mut waiting: Vec<usize> = (0..reader.tracks().len()).collect();
        for _ in 0..LOOK_AHEAD {
            let Some(sample) = reader.next_sample().map_err(read)? else { break };
            waiting.retain(|track| *track != sample.at.track);
            let pts = sample.at.pts;
            if first.is_none_or(|first| time(pts) < time(first)) {
                first = Some(pts);
            }
            if waiting.is_empty() && sample.at.dts.to_room_time() > first.and_then(Timestamp::to_room_time) {
                break;
            }
        }
        Ok(first)
    }
}

/// On the common clock.
pub(crate) fn time(at: Timestamp) -> RoomTime {
    at.to_room_time().unwrap_or(if at.ticks() < 0 { RoomTime::from_nanos(i64::MIN) } else { RoomTime::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_format() {
        let mut packets = vec![0u8; 376];
        (packets[0], packets[188]) = (0x47, 0x47);
        for (head, ts, mp4) in [
            (&packets[..], true, false),
            (&packets[..188], true, false),
            (&packets[..187], false, false),
            (b"\0\0\0\x18ftypisom", false, true),
            (b"\0\0\0\x18moof", false, false),
            (b"", false, false),
        ] {
            assert_eq!((is_ts(head), is_mp4(head)), (ts, mp4), "{:?}", head.get(..8));
        }
        packets[188] = 0;
        assert!(!is_ts(&packets));
    }

    #[test]
    fn a_name_tells_when_its_segment_starts() {
        for (name, want) in [
            ("a_20231114221320123.ts", Some(1_700_000_000_123)),
            ("20231114221320123.ts", Some(1_700_000_000_123)),
            ("a.ts", None),
            ("äöü_0231114221320123.ts", None),
        ] {
            assert_eq!(name_start(Path::new(name)).map(UnixMillis::get), want, "{name}");
        }
    }
}
