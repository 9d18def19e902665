//! The part of a `trak` box that comes before its sample tables, and small things to write boxes with.

use mp4_atom::{Atom, Encode};

use crate::moov::Layout;
use crate::plan::{Edit, Entry, TrackSetup};

/// What a `trak` box says up to its sample tables.
#[derive(Debug)]
pub(crate) struct TrackFront<'a> {
    /// Index of the track; its id is one more.
    pub(crate) number: usize,
    pub(crate) setup: &'a TrackSetup,
    pub(crate) entries: &'a [Entry],
    pub(crate) edit: Edit,
    /// Ticks of the track.
    pub(crate) media_duration: i64,
    /// Bytes of the boxes after `stsd` in `stbl`, which the caller writes.
    pub(crate) tables: u64,
}

impl TrackFront<'_> {
    /// Appends it, with the sizes of all boxes that hold the tables.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let (setup, edit) = (self.setup, self.edit);
        let video = setup.entry.is_video();
        let entry_bytes: u64 = self.entries.iter().map(|entry| entry.bytes.len() as u64).sum();
        let edits = 1 + u64::from(edit.delay > 0);
        let stbl = 8 + 16 + entry_bytes + self.tables;
        let minf = 8 + if video { 20 } else { 16 } + 36 + stbl;
        let mdia = 8 + 44 + Layout::HDLR_BYTES + minf;
        let edts = 8 + 16 + edits * Layout::EDIT_BYTES;

        put_header(bytes, b"trak", 8 + 104 + edts + mdia);
        let (width, height) = setup.entry.display_size();
        let [a, b, u, c, d, v, x, y, w] = setup.matrix.0;
        let header = mp4_atom::Tkhd {
            track_id: track_id(self.number),
            duration: unsigned(edit.delay.saturating_add(edit.duration)),
            enabled: true,
            in_movie: true,
            volume: u8::from(!video).into(),
            matrix: mp4_atom::Matrix { a, b, u, c, d, v, x, y, w },
            width: fixed_point(width),
            height: fixed_point(height),
            ..mp4_atom::Tkhd::default()
        };
        encode(bytes, &header);
        put_header(bytes, b"edts", edts);
        // Version 1 whatever the values, so that the size does not depend on them.
        put_full_header(bytes, b"elst", edts - 8, 1, count(edits));
        let empty = (edit.delay > 0).then_some((edit.delay, -1));
        for (duration, media_time) in empty.into_iter().chain([(edit.duration, edit.media_time)]) {
            bytes.extend_from_slice(&duration.to_be_bytes());
            bytes.extend_from_slice(&media_time.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 0]);
        }
        put_header(bytes, b"mdia", mdia);
        let media = mp4_atom::Mdhd {
            timescale: setup.timescale.hz(),
            duration: unsigned(self.media_duration),
            language: "und".into(),
            ..mp4_atom::Mdhd::default()
        };
        encode(bytes, &media);
        let handler = mp4_atom::Hdlr {
            handler: mp4_atom::FourCC::new(if video { b"vide" } else { b"soun" }),
            name: if video { "VideoHandler" } else { "SoundHandler" }.into(),
        };
        encode(bytes, &handler);
        put_header(bytes, b"minf", minf);
        if video {
            encode(bytes, &mp4_atom::Vmhd::default());
        } else {
            encode(bytes, &mp4_atom::Smhd::default());
        }
        let url = mp4_atom::DrefEntry::Url(mp4_atom::Url::default());
        encode(bytes, &mp4_atom::Dinf { dref: mp4_atom::Dref { entries: vec![url] } });
        put_header(bytes, b"stbl", stbl);
        put_full_header(bytes, b"stsd", 16 + entry_bytes, 0, count(self.entries.len() as u64));
        for entry in self.entries {
            bytes.extend_from_slice(&entry.bytes);
        }
    }
}

/// `track_ID` of the track with this index.
pub(crate) fn track_id(number: usize) -> u32 {
    count(number as u64 + 1)
}

fn count(number: u64) -> u32 {
    u32::try_from(number).expect("tracks and sample entries are limited to 256")
}

/// Appends a box of known contents. Those that are written here have no value that cannot be encoded.
pub(crate) fn encode<T: Atom>(bytes: &mut Vec<u8>, atom: &T) {
    atom.encode(bytes).expect("fixed boxes encode into memory");
}

/// Appends the header of a box of `size` bytes, 8 of them its own; with a 64-bit size, and 8 bytes more, if it does
/// not fit into 32 bits.
pub(crate) fn put_header(bytes: &mut Vec<u8>, kind: &[u8; 4], size: u64) {
    match u32::try_from(size) {
        Ok(short) => {
            bytes.extend_from_slice(&short.to_be_bytes());
            bytes.extend_from_slice(kind);
        }
        Err(_) => {
            bytes.extend_from_slice(&1u32.to_be_bytes());
            bytes.extend_from_slice(kind);
            bytes.extend_from_slice(&(size + 8).to_be_bytes());
        }
    }
}

/// Appends the header of a full box without flags, and the 32-bit field that follows.
pub(crate) fn put_full_header(bytes: &mut Vec<u8>, kind: &[u8; 4], size: u64, version: u8, field: u32) {
    put_header(bytes, kind, size);
    bytes.extend_from_slice(&[version, 0, 0, 0]);
    bytes.extend_from_slice(&field.to_be_bytes());
}

/// A duration for a field that has no sign; none of those written is negative.
pub(crate) fn unsigned(ticks: i64) -> u64 {
    u64::try_from(ticks).unwrap_or(0)
}

fn fixed_point(value: u32) -> mp4_atom::FixedPoint<u16> {
    let [a, b, c, d] = value.to_be_bytes();
    mp4_atom::FixedPoint::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}
