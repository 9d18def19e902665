//! The sample tables of a track that is being planned: run-length, compact, with a size that is known at any time.

use recorder_types::Timescale;

use crate::log::{Log, LogPlace};
use crate::plan::{PlanError, SampleInfo};

/// What a track's tables are so far. Small and copied at every place where a file might end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TableState {
    pub(crate) samples: u32,
    pub(crate) bytes: u64,
    pub(crate) first_dts: i64,
    /// Earliest presentation, and latest end of one.
    pub(crate) min_pts: i64,
    pub(crate) max_end: i64,
    last_dts: i64,
    /// Ticks that the last sample says it takes.
    last_duration: u32,
    /// Size of all samples; `None` once they differ.
    same_size: Option<u32>,
    /// Closed runs of `stts`, and the open one. The last sample is in none yet.
    time_runs: u32,
    time_run: (u32, u32),
    composition_runs: u32,
    composition_run: (u32, i32),
    negative: bool,
    reordered: bool,
    pub(crate) syncs: u32,
    last_sync: u32,
    /// Chunks, runs of `stsc`, and samples and entry of the last chunk.
    pub(crate) chunks: u32,
    chunk_runs: u32,
    chunk_run: (u32, u32),
    sizes_end: LogPlace,
    times_end: LogPlace,
    compositions_end: LogPlace,
    syncs_end: LogPlace,
}

/// The tables of one track.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) state: TableState,
    sizes: Log,
    times: Log,
    compositions: Log,
    syncs: Log,
}

/// Which table [`Tables::words`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    Times,
    Compositions,
    Syncs,
    Sizes,
}

/// A place in one of the tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TablePlace {
    place: LogPlace,
    /// Sample number, for the differences that `syncs` holds.
    number: u32,
    /// Whether the open run was given out.
    closed: bool,
}

impl Tables {
    /// Takes one sample; nothing has changed after an error.
    pub(crate) fn push(&mut self, sample: &SampleInfo, timescale: Timescale) -> Result<(), PlanError> {
        let state = &mut self.state;
        let (dts, pts) = (sample.dts.ticks(), sample.pts.ticks());
        if sample.dts.timescale() != timescale || sample.pts.timescale() != timescale {
            return Err(PlanError::Clock { expected: timescale, got: sample.dts.timescale() });
        }
        let too_far = PlanError::TimeRange { dts: sample.dts };
        let composition = pts.checked_sub(dts).and_then(|offset| i32::try_from(offset).ok());
        let composition = composition.ok_or(too_far.clone())?;
        let end = pts.checked_add(sample.duration.into()).ok_or(too_far.clone())?;
        let samples = state.samples.checked_add(1).ok_or(PlanError::TooManySamples)?;
        if state.samples > 0 {
            if dts <= state.last_dts {
                return Err(PlanError::OutOfOrder { last: state.last_dts, got: sample.dts });
            }
            let delta = dts.checked_sub(state.last_dts).and_then(|delta| u32::try_from(delta).ok());
            let delta = delta.ok_or(too_far)?;
            state.close_time(&mut self.times, delta);
        } else {
            *state = TableState { first_dts: dts, min_pts: pts, max_end: end, ..*state };
            state.same_size = Some(sample.len);
        }
        state.samples = samples;
        state.bytes += u64::from(sample.len);
        state.min_pts = state.min_pts.min(pts);
        state.max_end = state.max_end.max(end);
        (state.last_dts, state.last_duration) = (dts, sample.duration);
        state.same_size = state.same_size.filter(|&size| size == sample.len);
        self.sizes.push(sample.len.into());
        state.sizes_end = self.sizes.end();

        state.negative |= composition < 0;
        state.reordered |= composition != 0;
        match &mut state.composition_run {
            (count, offset) if *count > 0 && *offset == composition => *count += 1,
            run => {
                if run.0 > 0 {
                    self.compositions.push(run.0.into());
                    self.compositions.push_signed(run.1.into());
                    state.compositions_end = self.compositions.end();
                    state.composition_runs += 1;
                }
                *run = (1, composition);
            }
        }
        if sample.sync {
            self.syncs.push(u64::from(samples - state.last_sync));
            state.syncs_end = self.syncs.end();
            state.last_sync = samples;
            state.syncs += 1;
        }
        Ok(())
    }

    /// Goes back to what it was at `state`.
    pub(crate) fn restore(&mut self, state: TableState) {
        self.sizes.truncate(state.sizes_end);
        self.times.truncate(state.times_end);
        self.compositions.truncate(state.compositions_end);
        self.syncs.truncate(state.syncs_end);
        self.state = state;
    }

    /// Ends the last sample; no more may follow.
    pub(crate) fn close(&mut self) {
        if self.state.samples > 0 {
            let duration = self.state.last_duration;
            self.state.close_time(&mut self.times, duration);
        }
    }

    /// The next entry of a table of a closed track, as 32-bit fields; `None` at the end.
    pub(crate) fn words(&self, kind: TableKind, at: &mut TablePlace) -> Option<([u32; 2], usize)> {
        let state = &self.state;
        match kind {
            TableKind::Sizes => self.sizes.read_u32(&mut at.place).map(|size| ([size, 0], 1)),
            TableKind::Syncs => {
                at.number += self.syncs.read_u32(&mut at.place)?;
                Some(([at.number, 0], 1))
            }
            TableKind::Times => match self.times.read_u32(&mut at.place) {
                Some(count) => Some(([count, self.times.read_u32(&mut at.place)?], 2)),
                None => at.close().then_some(([state.time_run.0, state.time_run.1], 2)),
            },
            TableKind::Compositions => match self.compositions.read_u32(&mut at.place) {
                Some(count) => Some(([count, self.compositions.read_i32(&mut at.place)?.cast_unsigned()], 2)),
                None => at
                    .close()
                    .then_some(([state.composition_run.0, state.composition_run.1.cast_unsigned()], 2)),
            },
        }
    }
}

impl TablePlace {
    /// True once.
    fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }
}

impl TableState {
    fn close_time(&mut self, times: &mut Log, delta: u32) {
        match &mut self.time_run {
            (count, of) if *count > 0 && *of == delta => *count += 1,
            run => {
                if run.0 > 0 {
                    times.push(run.0.into());
                    times.push(run.1.into());
                    self.times_end = times.end();
                    self.time_runs += 1;
                }
                *run = (1, delta);
            }
        }
    }

    /// Says when the track ends, in place of what its last sample says: the last decoded one at `dts`, the last
    /// presented one at `pts`.
    pub(crate) fn end_at(&mut self, dts: i64, pts: i64) {
        let duration = dts.checked_sub(self.last_dts).and_then(|ticks| u32::try_from(ticks).ok());
        if let Some(duration) = duration.filter(|&ticks| ticks > 0)
            && self.samples > 0
        {
            self.last_duration = duration;
            self.max_end = pts.max(self.min_pts);
        }
    }

    /// Sum of all durations, the last sample's as it says itself.
    pub(crate) fn media_duration(&self) -> i64 {
        if self.samples == 0 { 0 } else { self.last_dts - self.first_dts + i64::from(self.last_duration) }
    }

    /// Runs of `stts` if the track ended here; with `least`, if the last sample were as long as those before it.
    fn time_entries(&self, least: bool) -> u64 {
        let open = u64::from(self.time_run.0 > 0);
        let joins = self.time_run.0 > 0 && (least || self.time_run.1 == self.last_duration);
        u64::from(self.time_runs) + open + u64::from(self.samples > 0 && !joins)
    }

    pub(crate) fn time_count(&self) -> u32 {
        self.time_runs + u32::from(self.time_run.0 > 0)
    }

    pub(crate) fn composition_count(&self) -> u32 {
        self.composition_runs + u32::from(self.composition_run.0 > 0)
    }

    /// Version of `ctts`; `None` where it is left out.
    pub(crate) fn composition_version(&self) -> Option<u8> {
        self.reordered.then_some(u8::from(self.negative))
    }

    /// Whether `stss` is written: not where every sample is a sync sample.
    pub(crate) fn has_sync_table(&self) -> bool {
        self.syncs < self.samples
    }

    /// The size for `stsz` where all samples have the same, which is not 0.
    pub(crate) fn constant_size(&self) -> Option<u32> {
        self.same_size.filter(|&size| size > 0 && self.samples > 0)
    }

    /// Runs of `stsc`.
    pub(crate) fn chunk_runs(&self) -> u32 {
        self.chunk_runs
    }

    /// Counts a chunk.
    pub(crate) fn add_chunk(&mut self, samples: u32, entry: u32) {
        self.chunks += 1;
        if self.chunk_run != (samples, entry) || self.chunk_runs == 0 {
            self.chunk_runs += 1;
            self.chunk_run = (samples, entry);
        }
    }

    /// Bytes of all tables but the chunk offsets, with `least` as in [`TableState::time_entries`].
    pub(crate) fn table_bytes(&self, least: bool) -> u64 {
        let full_box = |entries: u64, width: u64| 16 + entries * width;
        let compositions =
            self.composition_version().map_or(0, |_| full_box(self.composition_count().into(), 8));
        let syncs = if self.has_sync_table() { full_box(self.syncs.into(), 4) } else { 0 };
        let sizes = if self.constant_size().is_some() { 0 } else { u64::from(self.samples) * 4 };
        full_box(self.time_entries(least), 8)
            + compositions
            + syncs
            + full_box(self.chunk_runs.into(), 12)
            + 20
            + sizes
    }
}
