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
    Video,
    Audio(AdtsSplitter),
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
        Self { pid, continuity: None, limit, media: Media::Video, open: None, capacity_hint: 0 }
    }

    pub(super) fn audio(pid: Pid, limit: usize) -> Self {
        Self { media: Media::Audio(AdtsSplitter::default()), ..Self::video(pid, limit) }
    }

    /// Takes the payload of the packet at `at`, which follows the one before it without a hole.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, payload: &[u8], at: u64, out: &mut Output) {
        let end = at + PACKET_BYTES as u64;
        if packet.starts_unit && !self.joins_open(payload, end) {
            self.flush(out);
            let mut bytes = Vec::with_capacity(self.capacity_hint);
            bytes.extend_from_slice(payload);
            self.open = Some(Assembly {
                bytes,
                header: None,
                at,
                end,
                random_access: packet.adaptation.random_access,
            });
        } else if !packet.starts_unit {
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

    /// Appends `payload` to the open video unit if it is a PES packet without a time that goes on with it.
    fn joins_open(&mut self, payload: &[u8], end: u64) -> bool {
        let (Media::Video, Some(open)) = (&self.media, &mut self.open) else {
            return false;
        };
        let (Some(first), Read::Header(next)) = (open.header, pes::read(payload)) else {
            return false;
        };
        let is_whole = first.packet_len.is_none_or(|whole| open.bytes.len() >= whole);
        let body = &payload[next.len..];
        if next.times.is_some() || !is_whole || body.is_empty() || !video::continues_unit(body) {
            return false;
        }
        if let Some(whole) = first.packet_len {
            open.bytes.truncate(whole);
        }
        let packet_len = next.packet_len.map(|whole| open.bytes.len() + whole - next.len);
        open.header = Some(PesHeader { packet_len, ..first });
        open.bytes.extend_from_slice(body);
        open.end = end;
        true
    }

    /// Packets are missing: what was put together is told as far as it is good, the rest is not waited for.
    pub(super) fn lose(&mut self, out: &mut Output) {
        let whole = match self.media {
            Media::Video => self.close(true, out),
            Media::Audio(_) => self.close(false, out),
        };
        if let (Media::Audio(splitter), false) = (&mut self.media, whole) {
            splitter.lose(self.pid, out);
        }
    }

    /// Tells the open PES packet: the next one begins.
    pub(super) fn flush(&mut self, out: &mut Output) {
        let whole = self.close(false, out);
        if let (Media::Audio(splitter), false) = (&mut self.media, whole) {
            splitter.lose(self.pid, out);
        }
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, out: &mut Output) {
        self.flush(out);
        if let Media::Audio(splitter) = &mut self.media {
            splitter.lose(self.pid, out);
        }
    }

    /// `false` if bytes of the PES packet are missing.
    fn close(&mut self, damaged: bool, out: &mut Output) -> bool {
        let Some(open) = self.open.take() else { return !damaged };
        let (pid, at) = (self.pid, open.at);
        self.capacity_hint = open.bytes.len().min(MAX_CAPACITY_HINT);
        let Some(header) = open.header else {
            out.fault(Fault::PesHeader { pid, at });
            return false;
        };
        let mut bytes = open.bytes;
        let mut whole = !damaged;
        match header.packet_len {
            Some(len) if len > bytes.len() => {
                whole = false;
                if !damaged {
                    out.fault(Fault::PesCut { pid, at });
                }
            }
            Some(len) => bytes.truncate(len),
            None => {}
        }
        let payload = Bytes::from(bytes).slice(header.len..);
        let span = ByteSpan { at, len: open.end - at };
        let times = header.times.map(|(pts, dts)| {
            let dts = out.unroll.advance(dts);
            (Unroll::near(dts).place(pts), dts)
        });
        match &mut self.media {
            Media::Video => {
                let lead = video::before_start_code(&payload);
                if lead > 0 {
                    out.fault(Fault::NoStartCode { pid, at, len: lead });
                }
                let data = payload.slice(lead..);
                if !data.is_empty() {
                    let time = times.map(|(pts, dts)| UnitTime {
                        pts: Timestamp::new(pts, Timescale::HZ_90000),
                        dts: Timestamp::new(dts, Timescale::HZ_90000),
                    });
                    let kind = UnitKind::H264 { idr: video::is_idr(&data) };
                    let random_access = open.random_access;
                    out.push(Event::Unit(AccessUnit {
                        pid,
                        kind,
                        time,
                        data,
                        span,
                        random_access,
                        damaged: !whole,
                    }));
                }
            }
            Media::Audio(splitter) => {
                let pts = times.map(|(pts, _)| pts);
                splitter.push(pid, AudioPes { payload, pts, span, random_access: open.random_access }, out);
            }
        }
        whole
    }
}
