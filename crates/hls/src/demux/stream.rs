//! One elementary stream: packets to PES packets to units.

use std::collections::VecDeque;

use bytes::Bytes;
use recorder_types::{Timescale, Timestamp};

use super::audio::{AdtsSplitter, AudioPes};
use super::event::{AccessUnit, ByteSpan, Event, Fault, Pid, UnitKind, UnitTime};
use super::packet::{PACKET_BYTES, Packet};
use super::pes::{self, PesHeader, Read, Unroll};
use super::video;

/// The first capacity of a buffer is at most this, whatever the unit before it took.
const MAX_CAPACITY_HINT: usize = 1 << 18;

/// Where events go, and the clock that all streams of a program share.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) events: VecDeque<Event>,
    pub(super) faults: u64,
    pub(super) unroll: Unroll,
}

impl Output {
    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.events.push_back(Event::Fault(fault));
        self.faults += 1;
    }
}

/// Puts the PES packets of one stream together.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: Pid,
    pub(super) continuity: Option<u8>,
    limit: usize,
    media: Media,
    open: Option<Assembly>,
    capacity_hint: usize,
}

#[derive(Debug)]
enum Media {
    /// With the unit whose end may be in the PES packet after it.
    Video(Option<VideoUnit>),
    Audio(AdtsSplitter),
}

#[derive(Debug)]
struct VideoUnit {
    bytes: Vec<u8>,
    /// Bytes at the front that are not of the unit.
    skip: usize,
    time: Option<UnitTime>,
    at: u64,
    end: u64,
    random_access: bool,
    damaged: bool,
}

impl VideoUnit {
    fn tell(self, pid: Pid, out: &mut Output) {
        let data = Bytes::from(self.bytes).slice(self.skip..);
        out.push(Event::Unit(AccessUnit {
            pid,
            kind: UnitKind::H264 { idr: video::is_idr(&data) },
            time: self.time,
            data,
            span: ByteSpan { at: self.at, len: self.end - self.at },
            random_access: self.random_access,
            damaged: self.damaged,
        }));
    }
}

/// A PES packet that is not complete.
#[derive(Debug)]
struct Assembly {
    /// Header and payload.
    bytes: Vec<u8>,
    header: Option<PesHeader>,
    at: u64,
    end: u64,
    random_access: bool,
}

impl Stream {
    pub(super) fn video(pid: Pid, limit: usize) -> Self {
        Self { pid, continuity: None, limit, media: Media::Video(None), open: None, capacity_hint: 0 }
    }

    pub(super) fn audio(pid: Pid, limit: usize) -> Self {
        Self { media: Media::Audio(AdtsSplitter::default()), ..Self::video(pid, limit) }
    }

    /// Takes the payload of the packet at `at`, which follows the one before it without a hole.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, payload: &[u8], at: u64, out: &mut Output) {
        let end = at + PACKET_BYTES as u64;
        if packet.starts_unit {
            self.close(Ends::Here { next: Some(payload) }, out);
            let mut bytes = Vec::with_capacity(self.capacity_hint);
            bytes.extend_from_slice(payload);
            let random_access = packet.adaptation.random_access;
            self.open = Some(Assembly { bytes, header: None, at, end, random_access });
        } else {
            // Without an open PES packet this is the rest of one whose beginning was never seen.
            let Some(open) = &mut self.open else { return };
            open.bytes.extend_from_slice(payload);
            open.end = end;
        }
        self.judge(at, out);
    }

    /// Reads the header once it is there, keeps the limit, and ends audio as soon as its length is reached.
    fn judge(&mut self, at: u64, out: &mut Output) {
        let Some(open) = &mut self.open else { return };
        if open.header.is_none() {
            match pes::read(&open.bytes) {
                Read::Header(header) => open.header = Some(header),
                Read::Short => {}
                Read::Malformed => {
                    self.open = None;
                    out.fault(Fault::PesHeader { pid: self.pid, at });
                    return;
                }
            }
        }
        let len = open.bytes.len();
        if len > self.limit {
            out.fault(Fault::UnitOverLimit { pid: self.pid, at: open.at, limit: self.limit });
            self.open = None;
        } else if matches!(self.media, Media::Audio(_))
            && open.header.and_then(|header| header.packet_len).is_some_and(|whole| len >= whole)
        {
            self.flush(out);
        }
    }

    /// Packets are missing: what was put together is told as far as it is good, the rest is not waited for.
    pub(super) fn lose(&mut self, out: &mut Output) {
        self.close(Ends::InHole, out);
    }

    /// Tells what is open, but for an audio frame that may go on: a segment ends.
    pub(super) fn flush(&mut self, out: &mut Output) {
        self.close(Ends::Here { next: None }, out);
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, out: &mut Output) {
        self.flush(out);
        if let Media::Audio(splitter) = &mut self.media {
            splitter.lose(self.pid, out);
        }
    }

    fn close(&mut self, ends: Ends<'_>, out: &mut Output) {
        let in_hole = matches!(ends, Ends::InHole);
        let pes = self.open.take().and_then(|open| self.take_pes(open, in_hole, out));
        let pid = self.pid;
        match &mut self.media {
            Media::Video(before) => {
                if let Some(pes) = pes {
                    video_pes(pid, self.limit, pes, before, out);
                } else if let Some(before) = before {
                    before.damaged |= in_hole;
                }
                if !ends.may_go_on()
                    && let Some(unit) = before.take()
                {
                    unit.tell(pid, out);
                }
            }
            Media::Audio(splitter) => {
                let mut whole = !in_hole;
                if let Some(pes) = pes {
                    whole &= !pes.damaged;
                    let pts = pes.times.map(|(pts, _)| pts);
                    let span = ByteSpan { at: pes.at, len: pes.end - pes.at };
                    let payload = Bytes::from(pes.bytes).slice(pes.payload_at..);
                    splitter.push(
                        pid,
                        AudioPes { payload, pts, span, random_access: pes.random_access },
                        out,
                    );
                }
                if !whole {
                    splitter.lose(pid, out);
                }
            }
        }
    }

    /// The open PES packet as a whole; `None` if it has no header.
    fn take_pes(&mut self, open: Assembly, in_hole: bool, out: &mut Output) -> Option<Pes> {
        let (pid, at) = (self.pid, open.at);
        self.capacity_hint = open.bytes.len().min(MAX_CAPACITY_HINT);
        let Some(header) = open.header else {
            out.fault(Fault::PesHeader { pid, at });
            return None;
        };
        let mut bytes = open.bytes;
        let is_cut = header.packet_len.is_some_and(|len| len > bytes.len());
        if is_cut && !in_hole {
            out.fault(Fault::PesCut { pid, at });
        }
        if let Some(len) = header.packet_len {
            bytes.truncate(len);
        }
        let times = header.times.map(|(pts, dts)| {
            let dts = out.unroll.advance(dts);
            (Unroll::near(dts).place(pts), dts)
        });
        let (end, random_access) = (open.end, open.random_access);
        Some(Pes { bytes, payload_at: header.len, times, at, end, random_access, damaged: in_hole || is_cut })
    }
}

/// How an open PES packet came to its end.
#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    /// With a new PES packet, whose first bytes these are, or with the input.
    Here { next: Option<&'a [u8]> },
    /// With packets that are missing.
    InHole,
}

impl Ends<'_> {
    /// Whether the next PES packet may begin with the rest of a video unit.
    fn may_go_on(self) -> bool {
        let Self::Here { next: Some(next) } = self else { return false };
        match pes::read(next) {
            Read::Header(header) => !video::starts_with_unit(&next[header.len..], header.times.is_some()),
            Read::Short => true,
            Read::Malformed => false,
        }
    }
}

/// A PES packet.
#[derive(Debug)]
struct Pes {
    bytes: Vec<u8>,
    payload_at: usize,
    /// PTS and DTS, unrolled.
    times: Option<(i64, i64)>,
    at: u64,
    end: u64,
    random_access: bool,
    damaged: bool,
}

/// Gives the front of `pes` to the unit before it, where it belongs there, and makes the rest the new one.
fn video_pes(pid: Pid, limit: usize, pes: Pes, before: &mut Option<VideoUnit>, out: &mut Output) {
    let payload = &pes.bytes[pes.payload_at..];
    let start = video::unit_start(payload, pes.times.is_some());
    let (lead, rest) = payload.split_at(start.unwrap_or(payload.len()));
    match before {
        Some(unit) if !lead.is_empty() => {
            if unit.bytes.len() + lead.len() > limit {
                out.fault(Fault::UnitOverLimit { pid, at: unit.at, limit });
                *before = None;
            } else {
                unit.bytes.extend_from_slice(lead);
                unit.end = pes.end;
                unit.damaged |= pes.damaged && rest.is_empty();
            }
        }
        None if !lead.is_empty() => out.fault(Fault::NoStartCode { pid, at: pes.at, len: lead.len() }),
        _ => {}
    }
    if rest.is_empty() {
        return;
    }
    if let Some(unit) = before.take() {
        unit.tell(pid, out);
    }
    let time = |ticks| Timestamp::new(ticks, Timescale::HZ_90000);
    *before = Some(VideoUnit {
        skip: pes.payload_at + lead.len(),
        bytes: pes.bytes,
        time: pes.times.map(|(pts, dts)| UnitTime { pts: time(pts), dts: time(dts) }),
        at: pes.at,
        end: pes.end,
        random_access: pes.random_access,
        damaged: pes.damaged,
    });
}
