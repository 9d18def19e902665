//! The `moof` box: runs of samples of a fragmented file, read in place.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::boxes::{BoxKind, Boxes, decode};
use crate::error::TrackError;
use crate::table::RawSample;
use crate::track::TrackId;

/// `sample_is_non_sync_sample`, ISO/IEC 14496-12 §8.8.3.1.
const NON_SYNC: u32 = 1 << 16;

/// What samples of a fragment are unless they say otherwise: `trex`, then `tfhd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    description: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    /// The `trex` of a track in the body of `mvex`.
    pub(crate) fn find(mvex: &[u8], id: TrackId) -> Option<Self> {
        let trex = Boxes::new(mvex)
            .filter(|(kind, _)| kind.bytes() == *b"trex")
            .filter_map(|(_, body)| decode::<mp4_atom::Trex>(body))
            .find(|trex| trex.track_id == id.get())?;
        Some(Self {
            description: trex.default_sample_description_index,
            duration: trex.default_sample_duration,
            size: trex.default_sample_size,
            flags: trex.default_sample_flags,
        })
    }
}

/// What a `moof` box holds for one track.
#[derive(Debug)]
pub(crate) struct TrackFragment {
    pub(crate) id: TrackId,
    /// Runs in order, or why there are none that can be read.
    pub(crate) runs: Result<Vec<Run>, TrackError>,
}

/// Reads the body of a `moof` box that begins `at` bytes into the file. `defaults` gives the `trex` of a track;
/// tracks without are passed over.
pub(crate) fn parse_moof(
    moof: &Bytes,
    at: u64,
    defaults: impl Fn(TrackId) -> Option<Defaults>,
) -> Vec<TrackFragment> {
    let mut fragments = Vec::new();
    // Where the data of the fragment before ended: base of the next where nothing else is said (§8.8.7.1).
    let mut base = Some(at);
    for (kind, traf) in Boxes::new(moof) {
        if kind.bytes() != *b"traf" {
            continue;
        }
        let Some(header) = Boxes::new(traf).find(b"tfhd").and_then(decode::<mp4_atom::Tfhd>) else {
            base = None;
            continue;
        };
        let Some(id) = TrackId::new(header.track_id) else {
            continue;
        };
        let from = match header.base_data_offset {
            Some(offset) => Some(offset),
            None if header.default_base_is_moof => Some(at),
            None => base,
        };
        let trex = defaults(id);
        let merged = trex.unwrap_or_default();
        let merged = Defaults {
            description: header.sample_description_index.unwrap_or(merged.description),
            duration: header.default_sample_duration.unwrap_or(merged.duration),
            size: header.default_sample_size.unwrap_or(merged.size),
            flags: header.default_sample_flags.unwrap_or(merged.flags),
        };
        let runs = parse_runs(moof, traf, from, merged);
        base = runs.as_ref().ok().and_then(|(_, end)| *end);
        if trex.is_some() {
            fragments.push(TrackFragment { id, runs: runs.map(|(runs, _)| runs) });
        }
    }
    fragments
}

/// The runs of a `traf`, and where the data of the last one ends; that is not known without adding up all sizes, so
/// it is done only where they are few enough to be told.
fn parse_runs(
    moof: &Bytes,
    traf: &[u8],
    base: Option<u64>,
    defaults: Defaults,
) -> Result<(Vec<Run>, Option<u64>), TrackError> {
    let mut start = match Boxes::new(traf).find(b"tfdt") {
        Some(body) => {
            let tfdt: mp4_atom::Tfdt =
                decode(body).ok_or(TrackError::Box { kind: BoxKind::new(*b"tfdt") })?;
            let time =
                i64::try_from(tfdt.base_media_decode_time).map_err(|_| TrackError::Time { sample: 0 })?;
            Some(time)
        }
        None => None,
    };
    let missing = TrackError::Box { kind: BoxKind::new(*b"tfhd") };
    let base = base.ok_or(missing)?;
    let mut end = base;
    let mut runs = Vec::new();
    for (kind, body) in Boxes::new(traf) {
        if kind.bytes() == *b"trun" {
            let run = Run::parse(&moof.slice_ref(body), base, end, start.take(), defaults)?;
            end = run.end()?;
            runs.push(run);
        }
    }
    Ok((runs, Some(end)))
}

/// One `trun` box, and the place in it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Decode time of the first sample; `None` where it follows the run before.
    start: Option<i64>,
    offset: u64,
    left: u32,
    first_flags: Option<u32>,
    defaults: Defaults,
    flags: u32,
    entries: Bytes,
}

impl Run {
    const DATA_OFFSET: u32 = 1;
    const FIRST_FLAGS: u32 = 4;
    const DURATION: u32 = 0x100;
    const SIZE: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;

    fn parse(
        body: &Bytes,
        base: u64,
        follows: u64,
        start: Option<i64>,
        defaults: Defaults,
    ) -> Result<Self, TrackError> {
        let kind = BoxKind::new(*b"trun");
        let mut fields = body.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
        let mut taken = 0;
        let mut field = || {
            taken += 4;
            fields.next().ok_or(TrackError::Box { kind })
        };
        let flags = field()?;
        let count = field()?;
        let offset = if flags & Self::DATA_OFFSET == 0 {
            follows
        } else {
            base.checked_add_signed(i64::from(field()?.cast_signed())).ok_or(TrackError::Box { kind })?
        };
        let first_flags = if flags & Self::FIRST_FLAGS == 0 { None } else { Some(field()?) };
        let entries = body.slice(taken..);
        let mut run = Self { start, offset, left: count, first_flags, defaults, flags, entries };
        let width = run.width();
        // Without fields of its own a sample takes no room.
        if let Some(room) = run.entries.len().checked_div(width) {
            let len = usize::try_from(count).ok().filter(|&len| len <= room);
            let len = len.ok_or(TrackError::Count { table: kind, count, room })?;
            run.entries.truncate(len * width);
        }
        Ok(run)
    }

    /// Bytes of one entry.
    const fn width(&self) -> usize {
        let fields = self.flags & (Self::DURATION | Self::SIZE | Self::FLAGS | Self::COMPOSITION);
        4 * fields.count_ones() as usize
    }

    /// The byte after the last sample.
    fn end(&self) -> Result<u64, TrackError> {
        let bytes = if self.flags & Self::SIZE == 0 {
            u64::from(self.left) * u64::from(self.defaults.size)
        } else {
            let at = if self.flags & Self::DURATION == 0 { 0 } else { 4 };
            let sizes = self.entries.chunks_exact(self.width());
            sizes
                .filter_map(|entry| entry.get(at..)?.first_chunk())
                .map(|size| u64::from(u32::from_be_bytes(*size)))
                .sum()
        };
        self.offset.checked_add(bytes).ok_or(TrackError::Box { kind: BoxKind::new(*b"trun") })
    }

    /// The lowest composition offset if it is negative, else 0.
    pub(crate) fn least_composition(&self) -> i64 {
        if self.flags & Self::COMPOSITION == 0 {
            return 0;
        }
        let offsets = self.entries.chunks_exact(self.width()).filter_map(|entry| entry.last_chunk());
        offsets.map(|offset| i64::from(i32::from_be_bytes(*offset))).min().unwrap_or(0).min(0)
    }

    /// The next sample. `dts` is when the sample before ends.
    fn next(&mut self, dts: i64, sample: u64) -> Option<Result<RawSample, TrackError>> {
        self.left = self.left.checked_sub(1)?;
        let dts = self.start.take().unwrap_or(dts);
        let width = self.width();
        let entry = self.entries.split_to(width);
        let mut fields = entry.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
        let mut field =
            |flag, default| if self.flags & flag == 0 { default } else { fields.next().unwrap_or(default) };
        let duration = field(Self::DURATION, self.defaults.duration);
        let len = field(Self::SIZE, self.defaults.size);
        let flags = field(Self::FLAGS, self.defaults.flags);
        // As with `ctts`: signed in version 1, and meant so in version 0 where it matters.
        let composition = i64::from(field(Self::COMPOSITION, 0).cast_signed());
        let flags = self.first_flags.take().unwrap_or(flags);
        let offset = self.offset;
        Some(match offset.checked_add(u64::from(len)) {
            Some(end) => {
                self.offset = end;
                Ok(RawSample {
                    description: self.defaults.description,
                    dts,
                    composition,
                    duration,
                    sync: flags & NON_SYNC == 0,
                    offset,
                    len,
                })
            }
            None => Err(TrackError::Time { sample }),
        })
    }
}

/// The runs of one track that are still to be read.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    runs: VecDeque<Run>,
    dts: i64,
}

impl RunQueue {
    /// Where the first run begins if it does not say.
    pub(crate) const fn begin_at(&mut self, dts: i64) {
        self.dts = dts;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.left == 0)
    }

    pub(crate) fn extend(&mut self, runs: Vec<Run>) {
        self.runs.extend(runs);
    }

    /// The next sample, counted as number `sample` of the track; `None` while there is no run.
    pub(crate) fn next(&mut self, sample: u64) -> Option<Result<RawSample, TrackError>> {
        loop {
            let run = self.runs.front_mut()?;
            let Some(read) = run.next(self.dts, sample) else {
                self.runs.pop_front();
                continue;
            };
            return Some(read.and_then(|read| {
                self.dts =
                    read.dts.checked_add(i64::from(read.duration)).ok_or(TrackError::Time { sample })?;
                Ok(read)
            }));
        }
    }
}
