//! ADTS frames out of PES payloads, with a time for each.

use bytes::{Bytes, BytesMut};
use recorder_types::aac::{AacError, AdtsFrame, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{Timescale, Timestamp};

use super::event::{AccessUnit, ByteSpan, Event, Fault, Pid, UnitKind, UnitTime};
use super::stream::Output;

const HZ: u64 = 90_000;

/// A PES payload and where it came from.
#[derive(Debug)]
pub(super) struct AudioPes {
    pub(super) payload: Bytes,
    /// Unrolled PTS, which is that of the first frame that begins in the payload.
    pub(super) pts: Option<i64>,
    pub(super) span: ByteSpan,
    pub(super) random_access: bool,
}

/// Cuts the frames of one stream. Keeps at most one incomplete frame (8191 bytes) between calls.
#[derive(Debug, Default)]
pub(super) struct AdtsSplitter {
    carry: Carry,
    clock: Option<Clock>,
}

#[derive(Debug, Default)]
struct Carry {
    bytes: Bytes,
    at: u64,
    random_access: bool,
}

/// Counts samples from the last PTS, so that nothing drifts.
#[derive(Clone, Copy, Debug)]
struct Clock {
    anchor: i64,
    samples: u64,
    rate: u32,
}

impl Clock {
    /// The tick at or before the next frame.
    fn now(self) -> i64 {
        let ticks = u128::from(self.samples) * u128::from(HZ) / u128::from(self.rate);
        self.anchor.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

impl AdtsSplitter {
    /// Forgets the incomplete frame and the time: packets are missing, or the stream has ended.
    pub(super) fn lose(&mut self, pid: Pid, out: &mut Output) {
        let carry = std::mem::take(&mut self.carry);
        if !carry.bytes.is_empty() {
            out.fault(Fault::NotAdts { pid, at: carry.at, len: carry.bytes.len() });
        }
        self.clock = None;
    }

    /// Tells the frames that end in `pes`.
    pub(super) fn push(&mut self, pid: Pid, pes: AudioPes, out: &mut Output) {
        let carry = std::mem::take(&mut self.carry);
        let carried = carry.bytes.len();
        let data = if carried == 0 {
            pes.payload
        } else {
            let mut joined = BytesMut::with_capacity(carried + pes.payload.len());
            joined.extend_from_slice(&carry.bytes);
            joined.extend_from_slice(&pes.payload);
            joined.freeze()
        };
        let end = pes.span.at + pes.span.len;
        let mut pts = pes.pts;
        let mut at = 0;
        let mut junk = 0;
        let place = |at: usize| if at < carried { carry.at } else { pes.span.at };
        while at < data.len() {
            let frame = match self.frame_at(&data, at) {
                Ok(frame) => frame,
                Err(AacError::Truncated) => break,
                Err(_) => {
                    let skip = memchr::memchr(0xFF, &data[at + 1..]).map_or(data.len() - at, |next| next + 1);
                    junk += skip;
                    at += skip;
                    continue;
                }
            };
            if junk > 0 {
                out.fault(Fault::NotAdts { pid, at: place(at - junk), len: junk });
                junk = 0;
            }
            if at >= carried
                && let Some(anchor) = pts.take()
            {
                self.clock = Some(Clock { anchor, samples: 0, rate: frame.config.sample_rate() });
            }
            let random_access = if at < carried { carry.random_access } else { pes.random_access };
            out.push(Event::Unit(AccessUnit {
                pid,
                kind: UnitKind::Aac { config: frame.config, header_len: frame.header_len },
                time: self.tick(frame.config),
                data: data.slice(at..at + frame.frame_len),
                span: ByteSpan { at: place(at), len: end - place(at) },
                random_access,
                damaged: false,
            }));
            at += frame.frame_len;
        }
        if junk > 0 {
            out.fault(Fault::NotAdts { pid, at: place(at - junk), len: junk });
        }
        if at < data.len() {
            // A frame begins here and its PTS, if this packet's, has to wait with it.
            if at >= carried
                && let Some(anchor) = pts.take()
            {
                let rate = self.clock.map_or(1, |clock| clock.rate);
                self.clock = Some(Clock { anchor, samples: 0, rate });
            }
            let random_access = if at < carried { carry.random_access } else { pes.random_access };
            self.carry = Carry { at: place(at), bytes: Bytes::copy_from_slice(&data[at..]), random_access };
        }
    }

    /// The whole frame at `at`; `Truncated` if it, or what could be its header, runs past the end. After a loss of
    /// sync a frame counts only if another one or the end follows it.
    fn frame_at(&self, data: &Bytes, at: usize) -> Result<AdtsFrame, AacError> {
        let rest = &data[at..];
        if rest.len() < recorder_types::aac::ADTS_HEADER_BYTES {
            // Too short to judge, unless it cannot be a sync word.
            let possible = rest[0] == 0xFF && rest.get(1).is_none_or(|&b| b & 0xF6 == 0xF0);
            return Err(if possible { AacError::Truncated } else { AacError::Sync });
        }
        let frame = AdtsFrame::parse(rest)?;
        match rest.get(frame.frame_len..) {
            None => Err(AacError::Truncated),
            Some([]) => Ok(frame),
            Some(next) => {
                let follows = next[0] == 0xFF && next.get(1).is_none_or(|&b| b & 0xF6 == 0xF0);
                if follows { Ok(frame) } else { Err(AacError::Sync) }
            }
        }
    }

    /// The time of a frame of `config`; moves on to the next.
    fn tick(&mut self, config: AudioSpecificConfig) -> Option<UnitTime> {
        let clock = self.clock.as_mut()?;
        if clock.rate != config.sample_rate() {
            *clock = Clock { anchor: clock.now(), samples: 0, rate: config.sample_rate() };
        }
        let pts = Timestamp::new(clock.now(), Timescale::HZ_90000);
        clock.samples += u64::from(FRAME_SAMPLES);
        Some(UnitTime { pts, dts: pts })
    }
}
