//! Everything in front of the media: `ftyp`, `moov`, and the header of `mdat`, written piece by piece.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::log::LogPlace;
use crate::plan::{MovieIndex, PlannedTrack};
use crate::tables::{TableKind, TablePlace};
use crate::trak::{TrackFront, encode, put_full_header, put_header, track_id, unsigned};

/// About how many bytes of a table are written in one piece.
const PIECE: usize = 64 << 10;

/// Sizes of the parts of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of `moov`, header included.
    pub(crate) moov: u64,
    /// Whether chunk offsets take 64 bits.
    pub(crate) long_offsets: bool,
    /// Bytes of the header of `mdat`.
    mdat_header: u64,
    /// Bytes of media.
    pub(crate) payload: u64,
}

impl Layout {
    const FTYP_BYTES: u64 = 32;
    /// Headers of `moov` and the whole `mvhd` in version 1.
    pub(crate) const MOVIE_BYTES: u64 = 8 + 120;
    /// An entry of `elst` in version 1.
    pub(crate) const EDIT_BYTES: u64 = 20;
    pub(crate) const HDLR_BYTES: u64 = 32 + 13;

    /// Bytes of a `trak` with one edit, without its sample entries and tables: `trak` 8, `tkhd` 104, `edts` 8, `elst`
    /// 16 and one entry, `mdia` 8, `mdhd` 44, `hdlr`, `minf` 8, `vmhd` 20 or `smhd` 16, `dinf` 8, `dref` 16, `url ` 12,
    /// `stbl` 8, `stsd` 16.
    pub(crate) const fn track_bytes(video: bool) -> u64 {
        let media_header = if video { 20 } else { 16 };
        8 + 104
            + 8
            + 16
            + Self::EDIT_BYTES
            + 8
            + 44
            + Self::HDLR_BYTES
            + 8
            + media_header
            + 8
            + 16
            + 12
            + 8
            + 16
    }

    /// `boxes` is all of `moov` but the `stco` or `co64` boxes of `tracks` tracks with `chunks` chunks in all.
    pub(crate) const fn new(boxes: u64, tracks: u64, chunks: u64, last_chunk_at: u64, payload: u64) -> Self {
        let mdat_header = if payload + 8 > u32::MAX as u64 { 16 } else { 8 };
        let moov = boxes + tracks * 16 + chunks * 4;
        let short = Self { moov, long_offsets: false, mdat_header, payload };
        if short.header_len() + last_chunk_at <= u32::MAX as u64 {
            return short;
        }
        Self { moov: moov + chunks * 4, long_offsets: true, mdat_header, payload }
    }

    /// Bytes in front of the media.
    pub(crate) const fn header_len(&self) -> u64 {
        Self::FTYP_BYTES + self.moov + self.mdat_header
    }

    pub(crate) const fn file_len(&self) -> u64 {
        self.header_len() + self.payload
    }
}

/// One part of the header.
#[derive(Debug)]
enum Piece {
    Ready(Vec<u8>),
    Table { track: usize, kind: TableKind },
    ChunkRuns { track: usize },
    ChunkOffsets { track: usize },
}

/// Writes the header from front to back.
#[derive(Debug)]
pub(crate) struct HeaderPieces {
    pieces: VecDeque<Piece>,
    table: TablePlace,
    chunk: ChunkPlace,
    /// Samples and entry of the run of chunks that the last one belonged to.
    chunk_run: Option<(u32, u32)>,
    chunk_number: u32,
}

/// A chunk of media: samples of one track that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawChunk {
    pub(crate) track: usize,
    pub(crate) entry: u32,
    pub(crate) samples: u32,
    pub(crate) bytes: u64,
    /// From the begin of the media.
    pub(crate) at: u64,
}

/// A place between two chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChunkPlace {
    log: LogPlace,
    at: u64,
}

impl ChunkPlace {
    pub(crate) fn next(&mut self, index: &MovieIndex) -> Option<RawChunk> {
        let log = &index.chunks;
        let chunk = RawChunk {
            track: usize::try_from(log.read(&mut self.log)?).ok()?,
            entry: log.read_u32(&mut self.log)?,
            samples: log.read_u32(&mut self.log)?,
            bytes: log.read(&mut self.log)?,
            at: self.at,
        };
        self.at += chunk.bytes;
        Some(chunk)
    }
}

impl HeaderPieces {
    /// For a closed index.
    pub(crate) fn new(index: &MovieIndex, layout: &Layout) -> Self {
        let mut pieces = VecDeque::new();
        let mut front = Vec::new();
        encode(
            &mut front,
            &mp4_atom::Ftyp {
                major_brand: mp4_atom::FourCC::new(b"isom"),
                minor_version: 512,
                compatible_brands: [b"isom", b"iso4", b"avc1", b"mp41"].map(mp4_atom::FourCC::new).to_vec(),
            },
        );
        put_header(&mut front, b"moov", layout.moov);
        let edits = (0..index.tracks.len()).map(|track| index.edit(track));
        let duration = edits.map(|edit| edit.delay.saturating_add(edit.duration)).max().unwrap_or(0);
        encode(
            &mut front,
            &mp4_atom::Mvhd {
                timescale: index.movie_scale.hz(),
                duration: unsigned(duration),
                rate: 1.into(),
                volume: 1.into(),
                next_track_id: track_id(index.tracks.len()),
                ..mp4_atom::Mvhd::default()
            },
        );
        pieces.push_back(Piece::Ready(front));
        for (number, track) in index.tracks.iter().enumerate() {
            if track.tables.state.samples > 0 {
                push_track(&mut pieces, index, number, track, layout.long_offsets);
            }
        }
        let mut mdat = Vec::new();
        put_header(&mut mdat, b"mdat", layout.payload + 8);
        pieces.push_back(Piece::Ready(mdat));
        Self {
            pieces,
            table: TablePlace::default(),
            chunk: ChunkPlace::default(),
            chunk_run: None,
            chunk_number: 0,
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn next(&mut self, index: &MovieIndex, layout: &Layout) -> Option<Bytes> {
        while let Some(piece) = self.pieces.front_mut() {
            let mut bytes = match piece {
                Piece::Ready(bytes) => std::mem::take(bytes),
                _ => Vec::with_capacity(PIECE + 12),
            };
            while bytes.len() < PIECE
                && let Some((words, count)) = self.words(index, layout)
            {
                for word in words.iter().take(count) {
                    bytes.extend_from_slice(&word.to_be_bytes());
                }
            }
            if bytes.is_empty() {
                self.pieces.pop_front();
                self.table = TablePlace::default();
                (self.chunk, self.chunk_run, self.chunk_number) = (ChunkPlace::default(), None, 0);
                continue;
            }
            return Some(bytes.into());
        }
        None
    }

    /// The next entry of the table at the front.
    fn words(&mut self, index: &MovieIndex, layout: &Layout) -> Option<([u32; 3], usize)> {
        match *self.pieces.front()? {
            Piece::Ready(_) => None,
            Piece::Table { track, kind } => {
                let ([a, b], count) = index.tracks.get(track)?.tables.words(kind, &mut self.table)?;
                Some(([a, b, 0], count))
            }
            Piece::ChunkRuns { track } => loop {
                let chunk = self.chunk.next(index)?;
                if chunk.track != track {
                    continue;
                }
                self.chunk_number += 1;
                let run = (chunk.samples, chunk.entry);
                if self.chunk_run.replace(run) != Some(run) {
                    return Some(([self.chunk_number, chunk.samples, chunk.entry + 1], 3));
                }
            },
            Piece::ChunkOffsets { track } => loop {
                let chunk = self.chunk.next(index)?;
                if chunk.track == track {
                    let offset = layout.header_len() + chunk.at;
                    let [a, b, c, d, e, f, g, h] = offset.to_be_bytes();
                    let (high, low) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                    return Some(if layout.long_offsets { ([high, low, 0], 2) } else { ([low, 0, 0], 1) });
                }
            },
        }
    }
}

/// The `trak` box of a track that has samples.
fn push_track(
    pieces: &mut VecDeque<Piece>,
    index: &MovieIndex,
    number: usize,
    track: &PlannedTrack,
    long_offsets: bool,
) {
    let state = &track.tables.state;
    let offsets = 16 + u64::from(state.chunks) * if long_offsets { 8 } else { 4 };
    let mut bytes = Vec::new();
    let front = TrackFront {
        number,
        setup: &track.setup,
        entries: &track.entries,
        edit: index.edit(number),
        media_duration: state.media_duration(),
        tables: state.table_bytes(false) + offsets,
    };
    front.put(&mut bytes);

    let mut table = |kind: &[u8; 4], version, count: u32, width: u64, piece| {
        put_full_header(&mut bytes, kind, 16 + u64::from(count) * width, version, count);
        pieces.push_back(Piece::Ready(std::mem::take(&mut bytes)));
        pieces.push_back(piece);
    };
    table(b"stts", 0, state.time_count(), 8, Piece::Table { track: number, kind: TableKind::Times });
    if let Some(version) = state.composition_version() {
        let piece = Piece::Table { track: number, kind: TableKind::Compositions };
        table(b"ctts", version, state.composition_count(), 8, piece);
    }
    if state.has_sync_table() {
        table(b"stss", 0, state.syncs, 4, Piece::Table { track: number, kind: TableKind::Syncs });
    }
    table(b"stsc", 0, state.chunk_runs(), 12, Piece::ChunkRuns { track: number });
    let sizes = if state.constant_size().is_some() { 0 } else { u64::from(state.samples) * 4 };
    put_full_header(&mut bytes, b"stsz", 20 + sizes, 0, state.constant_size().unwrap_or(0));
    bytes.extend_from_slice(&state.samples.to_be_bytes());
    pieces.push_back(Piece::Ready(std::mem::take(&mut bytes)));
    if sizes > 0 {
        pieces.push_back(Piece::Table { track: number, kind: TableKind::Sizes });
    }
    put_full_header(&mut bytes, if long_offsets { b"co64" } else { b"stco" }, offsets, 0, state.chunks);
    pieces.push_back(Piece::Ready(bytes));
    pieces.push_back(Piece::ChunkOffsets { track: number });
}
