//! A single video that fills the canvas, given out as it came in.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use recorder_types::h264::{SpsInfo, Units, nal_type, unit_type};
use recorder_types::{H264Config, NalFraming, RoomTime, Size};

use crate::picture_mix::PAUSE;
use crate::unit::Unit;

/// Copies of a stream's units from one key frame on, which are given out in the place of encoded pictures.
#[derive(Debug)]
pub(crate) struct Branch {
    /// When its first unit is shown.
    from: RoomTime,
    waiting: VecDeque<(Unit, bool)>,
    bytes: usize,
    /// When the last one that was given out is shown.
    last: Option<RoomTime>,
    /// It had to be given up: too much waits.
    is_over: bool,
}

/// How passing on goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    /// On.
    On,
    /// No further: from the next key frame it may go again.
    Paused,
    /// The stream cannot be passed on: it is shown in another order than decoded, is damaged, or is too far ahead.
    Refused,
}

/// A unit on its way out.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) at: RoomTime,
    pub(crate) data: Bytes,
    pub(crate) is_key: bool,
}

impl Branch {
    /// Begins with the first unit of `waiting` that is a key frame, shown at `now` or later, and known by `horizon`.
    pub(crate) fn new(
        waiting: &VecDeque<(Unit, bool)>,
        config: &H264Config,
        size: Size,
        (now, horizon): (RoomTime, RoomTime),
    ) -> Option<Self> {
        let is_fit = |(unit, is_key): &(Unit, bool)| {
            *is_key && unit.pts >= now && unit.dts <= horizon && fits(unit, config, size)
        };
        let first = waiting.iter().position(is_fit)?;
        let waiting: VecDeque<(Unit, bool)> = waiting.range(first..).cloned().collect();
        let from = waiting.front()?.0.pts;
        let bytes = waiting.iter().map(|(unit, _)| unit.data.len()).sum();
        Some(Self { from, waiting, bytes, last: None, is_over: false })
    }

    /// Takes a unit that the stream takes; no more than `limit` bytes wait.
    pub(crate) fn push(&mut self, unit: &Unit, is_key: bool, limit: usize) {
        self.bytes += unit.data.len();
        self.waiting.push_back((unit.clone(), is_key));
        if self.bytes > limit {
            self.waiting.clear();
            self.is_over = true;
        }
    }

    /// Whether its first unit is shown at `now` or before.
    pub(crate) fn has_begun(&self, now: RoomTime) -> bool {
        self.from <= now
    }

    /// Gives out what is shown up to `now`.
    pub(crate) fn pass(
        &mut self,
        now: RoomTime,
        config: &H264Config,
        size: Size,
        out: &mut Vec<Passed>,
    ) -> Going {
        while let Some((unit, is_key)) = self.waiting.front() {
            if unit.dts > now {
                break;
            }
            let rises = self.last.is_none_or(|last| unit.pts > last);
            if unit.pts != unit.dts || !rises {
                return Going::Refused;
            }
            if *is_key && !fits(unit, config, size) {
                return Going::Paused;
            }
            let Some(data) = annex_b(unit, config, *is_key) else { return Going::Refused };
            out.push(Passed { at: unit.pts, data, is_key: *is_key });
            self.last = Some(unit.pts);
            self.bytes -= unit.data.len();
            self.waiting.pop_front();
        }
        match self.last {
            _ if self.is_over => Going::Refused,
            Some(last) if now.saturating_sub(last) > PAUSE => Going::Paused,
            _ => Going::On,
        }
    }
}

/// Whether the parameter sets of a key frame, in it or beside it, tell pictures of `size` that nothing reorders.
fn fits(unit: &Unit, config: &H264Config, size: Size) -> bool {
    let inside = Units::new(&unit.data, config.framing)
        .map_while(Result::ok)
        .filter(|unit| unit_type(unit) == Some(nal_type::SPS));
    let beside = config.parameter_sets.iter().map(|set| &set[..]);
    let beside = beside.filter(|set| unit_type(set) == Some(nal_type::SPS));
    let mut sets = inside.chain(beside).peekable();
    sets.peek().is_some()
        && sets.all(|set| SpsInfo::parse(set).is_ok_and(|sps| sps.size == size))
        && unit.pts == unit.dts
}

/// A unit with start codes; a key frame behind all parameter sets that came beside the stream. `None` for one that is
/// damaged.
fn annex_b(unit: &Unit, config: &H264Config, is_key: bool) -> Option<Bytes> {
    let sets = if is_key { config.parameter_sets.as_slice() } else { &[] };
    if sets.is_empty() && config.framing == NalFraming::AnnexB {
        return Some(unit.data.clone());
    }
    let mut data = BytesMut::with_capacity(unit.data.len() + 256);
    let mut add = |nal: &[u8]| {
        data.put_slice(&[0, 0, 0, 1]);
        data.put_slice(nal);
    };
    sets.iter().for_each(|set| add(set));
    for nal in Units::new(&unit.data, config.framing) {
        let nal = nal.ok()?;
        if unit_type(nal) != Some(nal_type::AUD) {
            add(nal);
        }
    }
    Some(data.freeze())
}
