//! By the demuxer, which takes any transport stream.

use bytes::{Bytes, BytesMut};
use recorder_types::{Timescale, Timestamp};

use super::{MAX_UNIT, Unit};
use crate::demux::{AccessUnit, DemuxOptions, Demuxer, Event, Fault, Pid, StreamKind, UnitKind};
use crate::index::IndexError;
use crate::index::pack::{Found, Packer};

/// Bytes that go into the demuxer at once: its events wait in memory.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Full {
    demuxer: Demuxer,
    packer: Packer,
    at: usize,
    finished: bool,
    video: Option<Pid>,
    audio: Option<Pid>,
    /// Decode time of the last picture.
    last_dts: Option<i64>,
    has_audio: bool,
}

impl Full {
    pub(super) fn new(reference: Option<i64>) -> Self {
        let mut options = DemuxOptions::default().with_max_unit_bytes(MAX_UNIT);
        if let Some(near) = reference {
            options = options.with_reference(Timestamp::new(near, Timescale::HZ_90000));
        }
        Self {
            demuxer: Demuxer::new(options),
            packer: Packer::default(),
            at: 0,
            finished: false,
            video: None,
            audio: None,
            last_dts: None,
            has_audio: false,
        }
    }

    /// The next sample of `segment`, which is the same in each call. Parameter sets before it go to `set`.
    pub(super) fn next(
        &mut self,
        segment: &[u8],
        mut set: impl FnMut(&[u8]),
    ) -> Result<Option<Unit>, IndexError> {
        loop {
            let Some(event) = self.demuxer.poll() else {
                if self.finished {
                    return Ok(None);
                }
                match segment.get(self.at..).filter(|rest| !rest.is_empty()) {
                    Some(rest) => {
                        let piece = &rest[..rest.len().min(PIECE)];
                        self.at += piece.len();
                        self.demuxer.push(piece);
                    }
                    None => {
                        self.demuxer.finish();
                        self.finished = true;
                    }
                }
                continue;
            };
            match event {
                Event::Streams(streams) => {
                    let first = |kind| streams.iter().find(|stream| stream.kind == kind).map(|s| s.pid);
                    self.video = first(StreamKind::H264);
                    self.audio = first(StreamKind::AacAdts);
                }
                Event::Fault(fault) if !self.is_border(fault) => return Err(fault.into()),
                Event::Unit(unit) => {
                    if let Some(unit) = self.take(unit, &mut set)? {
                        return Ok(Some(unit));
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether `fault` is nothing but a sample of the segment before or after that reaches into this one.
    fn is_border(&self, fault: Fault) -> bool {
        match fault {
            Fault::NotAdts { .. } => !self.has_audio || self.finished,
            Fault::NoStartCode { .. } => self.last_dts.is_none(),
            _ => false,
        }
    }

    fn take(&mut self, unit: AccessUnit, set: &mut impl FnMut(&[u8])) -> Result<Option<Unit>, IndexError> {
        let at = unit.span.at;
        match unit.kind {
            UnitKind::H264 { .. } if Some(unit.pid) == self.video => {
                let data = unit.data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                let (found, data) =
                    self.packer.pack(data, 0, set).map_err(|source| IndexError::Picture { at, source })?;
                let Some(idr) = found.idr else { return Ok(None) };
                let time = unit.time.ok_or(IndexError::NoTime { at })?;
                let (pts, dts) = (time.pts.ticks(), time.dts.ticks());
                if let Some(last) = self.last_dts.filter(|&last| dts <= last) {
                    return Err(IndexError::Order { at, last, got: dts });
                }
                self.last_dts = Some(dts);
                let Found { pps, orientation, .. } = found;
                Ok(Some(Unit::Picture { at, pts, dts, idr, pps, orientation, data }))
            }
            UnitKind::Aac { config, header_len } if Some(unit.pid) == self.audio => {
                let time = unit.time.ok_or(IndexError::NoTime { at })?;
                self.has_audio = true;
                let data: Bytes = unit.data.slice(header_len..);
                Ok(Some(Unit::Frame { at, pts: time.pts.ticks(), config, data }))
            }
            _ => Ok(None),
        }
    }
}
