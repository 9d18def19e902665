//! The `moov` box: tracks, their clocks, edits and tables.

use bytes::Bytes;
use recorder_types::Timescale;

use crate::boxes::{BoxKind, Boxes, decode};
use crate::entry::parse_stsd;
use crate::error::TrackError;
use crate::fragment::Defaults;
use crate::table::{SampleTables, TableBoxes};
use crate::track::{DisplayMatrix, RejectedTrack, TrackId, TrackInfo};

/// More tracks than this in one file are rejected: each may name all bytes of the file once.
const MAX_TRACKS: usize = 64;

/// What a `moov` box says.
#[derive(Debug)]
pub(crate) struct Movie {
    pub(crate) tracks: Vec<MovieTrack>,
    pub(crate) rejected: Vec<RejectedTrack>,
    /// Whether fragments may follow (`mvex`).
    pub(crate) fragmented: bool,
}

/// A good track of a `moov` box.
#[derive(Debug)]
pub(crate) struct MovieTrack {
    pub(crate) info: TrackInfo,
    pub(crate) tables: SampleTables,
    /// The `trex` of the track.
    pub(crate) defaults: Defaults,
}

impl Movie {
    /// Reads the body of a `moov` box; `None` without a usable `mvhd`.
    pub(crate) fn parse(moov: &Bytes) -> Option<Self> {
        let mvhd: mp4_atom::Mvhd = decode(Boxes::new(moov).find(b"mvhd")?)?;
        let movie_scale = Timescale::new(mvhd.timescale)?;
        let mvex = Boxes::new(moov).find(b"mvex");
        let mut movie = Self { tracks: Vec::new(), rejected: Vec::new(), fragmented: mvex.is_some() };
        for (kind, trak) in Boxes::new(moov) {
            if kind.bytes() != *b"trak" {
                continue;
            }
            let header = Boxes::new(trak).find(b"tkhd").and_then(decode::<mp4_atom::Tkhd>);
            let id = header.as_ref().and_then(|header| TrackId::new(header.track_id));
            let taken = movie.tracks.iter().any(|track| Some(track.info.id) == id);
            let track = match (header, id) {
                _ if movie.tracks.len() + movie.rejected.len() >= MAX_TRACKS => break,
                (None, _) => Err(missing(b"tkhd")),
                (Some(_), None) => Err(TrackError::Id),
                (Some(_), Some(_)) if taken => Err(TrackError::Id),
                (Some(header), Some(id)) => parse_track(moov, trak, &header, id, movie_scale),
            };
            match track {
                Ok((info, tables)) => {
                    let defaults = mvex.and_then(|mvex| Defaults::find(mvex, info.id)).unwrap_or_default();
                    movie.tracks.push(MovieTrack { info, tables, defaults });
                }
                Err(error) => {
                    let handler = Boxes::new(trak).find(b"mdia").and_then(handler);
                    movie.rejected.push(RejectedTrack { id, handler, error });
                }
            }
        }
        Some(movie)
    }
}

fn missing(kind: &[u8; 4]) -> TrackError {
    TrackError::Box { kind: BoxKind::new(*kind) }
}

fn handler(mdia: &[u8]) -> Option<BoxKind> {
    let hdlr = Boxes::new(mdia).find(b"hdlr")?;
    hdlr.get(8..)?.first_chunk().copied().map(BoxKind::new)
}

fn parse_track(
    moov: &Bytes,
    trak: &[u8],
    header: &mp4_atom::Tkhd,
    id: TrackId,
    movie_scale: Timescale,
) -> Result<(TrackInfo, SampleTables), TrackError> {
    let mdia = Boxes::new(trak).find(b"mdia").ok_or_else(|| missing(b"mdia"))?;
    let timescale = Boxes::new(mdia)
        .find(b"mdhd")
        .and_then(decode::<mp4_atom::Mdhd>)
        .and_then(|mdhd| Timescale::new(mdhd.timescale))
        .ok_or_else(|| missing(b"mdhd"))?;
    let minf = Boxes::new(mdia).find(b"minf").ok_or_else(|| missing(b"minf"))?;
    let stbl = Boxes::new(minf).find(b"stbl").ok_or_else(|| missing(b"stbl"))?;

    let entries = parse_stsd(Boxes::new(stbl).find(b"stsd").ok_or_else(|| missing(b"stsd"))?)?;
    let mut boxes = TableBoxes::default();
    for (kind, body) in Boxes::new(stbl) {
        let slot = match &kind.bytes() {
            b"stts" => &mut boxes.stts,
            b"ctts" => &mut boxes.ctts,
            b"stsc" => &mut boxes.stsc,
            b"stsz" => &mut boxes.stsz,
            b"stz2" => &mut boxes.stz2,
            b"stco" => &mut boxes.stco,
            b"co64" => &mut boxes.co64,
            b"stss" => &mut boxes.stss,
            _ => continue,
        };
        slot.get_or_insert_with(|| moov.slice_ref(body));
    }
    let tables = SampleTables::new(&boxes)?;
    if tables.count() > 0
        && let Some(description) = tables
            .descriptions()
            .find(|&number| number == 0 || usize::try_from(number).is_ok_and(|n| n > entries.len()))
    {
        return Err(TrackError::Description { sample: 0, description, entries: entries.len() });
    }

    let edits = match Boxes::new(trak).find(b"edts").and_then(|edts| Boxes::new(edts).find(b"elst")) {
        Some(elst) => Edits::new(&decode(elst).ok_or_else(|| missing(b"elst"))?, timescale, movie_scale)
            .ok_or(TrackError::Time { sample: 0 })?,
        None => Edits::default(),
    };
    let first = entries.first().expect("parse_stsd refuses an empty list");
    let matrix = &header.matrix;
    let info = TrackInfo {
        id,
        config: first.config.clone(),
        timescale,
        size: first.size,
        matrix: DisplayMatrix([
            matrix.a, matrix.b, matrix.u, matrix.c, matrix.d, matrix.v, matrix.x, matrix.y, matrix.w,
        ]),
        pixel_aspect: first.pixel_aspect,
        edit_offset: edits.offset,
        further_edits: edits.further,
        samples: tables.count(),
        entries,
    };
    Ok((info, tables))
}

/// What an edit list does to the times of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edits {
    offset: i64,
    further: usize,
}

impl Edits {
    /// Empty edits in front delay the track, by their sum rounded to the nearest tick; the first edit with media
    /// says which media time comes then. `None` if that does not fit in 64 bits.
    fn new(elst: &mp4_atom::Elst, timescale: Timescale, movie_scale: Timescale) -> Option<Self> {
        let mut delay = 0u128;
        for (index, edit) in elst.entries.iter().enumerate() {
            let Some(media_time) = edit.media_time else {
                delay += u128::from(edit.segment_duration);
                continue;
            };
            let movie_hz = u128::from(movie_scale.hz());
            let delay = (delay.checked_mul(u128::from(timescale.hz()) * 2)? + movie_hz) / (movie_hz * 2);
            let offset = i64::try_from(delay).ok()?.checked_sub(i64::try_from(media_time).ok()?)?;
            return Some(Self { offset, further: elst.entries.len() - index - 1 });
        }
        // Nothing but emptiness: no media is meant to be shown, and nothing says when.
        Some(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_delay_and_cut() {
        let edit = |segment_duration, media_time| mp4_atom::ElstEntry {
            segment_duration,
            media_time,
            media_rate: 1.into(),
        };
        let video = Timescale::HZ_90000;
        let movie = Timescale::new(1000).unwrap();
        for (entries, offset, further) in [
            (vec![], 0, 0),
            (vec![edit(5, Some(0))], 0, 0),
            (vec![edit(5, Some(1024))], -1024, 0),
            (vec![edit(500, None), edit(5, Some(0))], 45_000, 0),
            (vec![edit(1, None), edit(1, None), edit(5, Some(3000))], 180 - 3000, 0),
            (vec![edit(5, Some(10)), edit(5, None), edit(5, Some(20))], -10, 2),
            (vec![edit(5, None)], 0, 0),
        ] {
            let elst = mp4_atom::Elst { entries };
            assert_eq!(Edits::new(&elst, video, movie), Some(Edits { offset, further }), "{elst:?}");
        }
        let third = Timescale::new(3).unwrap();
        let elst = mp4_atom::Elst { entries: vec![edit(500, None), edit(5, Some(0))] };
        assert_eq!(Edits::new(&elst, third, movie).unwrap().offset, 2, "1.5 ticks are 2");
        let huge = mp4_atom::Elst { entries: vec![edit(u64::MAX, None), edit(5, Some(0))] };
        assert_eq!(Edits::new(&huge, video, movie), None);
    }
}
