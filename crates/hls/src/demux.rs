//! MPEG-TS in, access units out: [`Demuxer`].
//!
//! ```
//! use recorder_hls::demux::{Demuxer, Event};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file: &[u8] = b"the bytes of a segment";
//! let mut demuxer = Demuxer::default();
//! for piece in file.chunks(64 << 10) {
//!     demuxer.push(piece);
//!     while let Some(event) = demuxer.poll() {
//!         match event {
//!             Event::Unit(unit) => println!("{}: {} bytes at {:?}", unit.pid, unit.data.len(), unit.time),
//!             Event::Fault(fault) => eprintln!("{fault}"),
//!             _ => {}
//!         }
//!     }
//! }
//! demuxer.finish(); // and poll again
//! let last = demuxer.poll().ok_or("nothing was told")?;
//! # assert!(matches!(last, Event::Fault(_)));
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! ISO/IEC 13818-1:2019 §2.4.3 (packets and PES), §2.4.4 (PAT and PMT); ISO/IEC 14496-3:2019 §1.A.2.2 (ADTS).

mod audio;
mod event;
mod packet;
mod pes;
mod psi;
mod stream;
mod video;

use std::collections::VecDeque;

use recorder_types::{Timescale, Timestamp};

pub use event::{AccessUnit, ByteSpan, ElementaryStream, Event, Fault, Pid, StreamKind, UnitKind, UnitTime};
use packet::{NULL_PID, PACKET_BYTES, Packet, SYNC_BYTE};
use pes::Unroll;
use psi::{Program, SectionReader};
use stream::{Output, Stream};

const PAT_PID: u16 = 0;

/// Bounds and the reference of the clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DemuxOptions {
    max_unit_bytes: usize,
    max_held_bytes: usize,
    reference: Option<Timestamp>,
}

impl Default for DemuxOptions {
    /// 16 MiB for a unit, 4 MiB before the first program map, no reference.
    fn default() -> Self {
        Self { max_unit_bytes: 16 << 20, max_held_bytes: 4 << 20, reference: None }
    }
}

impl DemuxOptions {
    /// The largest PES packet (a video unit, or several audio frames) that is put together. A larger one is dropped
    /// with [`Fault::UnitOverLimit`].
    #[must_use]
    pub const fn with_max_unit_bytes(mut self, bytes: usize) -> Self {
        self.max_unit_bytes = bytes;
        self
    }

    /// How many bytes of packets are kept until the first program map says what they are. When it comes, their media
    /// is told as if it had come first; the oldest above this are dropped with [`Fault::HeldOverLimit`].
    #[must_use]
    pub const fn with_max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }

    /// An instant near which the first time lies, within 13 hours: where a recording was left off, for one. Without
    /// it the first time is taken as it is written, 0 to 2^33 - 1.
    #[must_use]
    pub const fn with_reference(mut self, near: Timestamp) -> Self {
        self.reference = Some(near);
        self
    }
}

/// Takes a transport stream apart: bytes in, [`Event`]s out, without I/O.
///
/// Feed it with [`Demuxer::push`], take events with [`Demuxer::poll`] until `None`, and call [`Demuxer::finish`] at
/// the end. Events are the same however the input is cut into calls. Damage is told as [`Event::Fault`] and never
/// ends the work. Kept between calls: at most two PES packets a stream, each within
/// [`DemuxOptions::with_max_unit_bytes`]; packets before the first program map, within
/// [`DemuxOptions::with_max_held_bytes`]; and the events that were not polled, which are at most a constant times
/// the bytes of the last `push`.
///
/// Only the first program of the PAT is read: a segment of HLS holds one (RFC 8216 §3.2).
///
/// A video unit begins with the first access unit in a PES packet and has its times. It goes on to the next PES packet
/// that begins an access unit; bytes in front of that access unit, which stand at the front of its PES packet in some
/// streams, are the end of the unit before. So a unit is told when the next one begins. Where a PES packet holds
/// several access units they come out as one unit. Bytes before the first access unit of all are dropped with
/// [`Fault::NoStartCode`].
///
/// An audio unit is one ADTS frame, also when it crosses PES packets. The first frame that begins in a PES packet
/// has its PTS, the ones after it 1024 samples more each, counted in samples and rounded down to a tick. After lost
/// packets the audio up to the next PES packet is dropped.
#[derive(Debug)]
pub struct Demuxer {
    options: DemuxOptions,
    /// Bytes not yet consumed: less than what decides about the next packet.
    rest: Vec<u8>,
    /// Offset of the first byte that was not consumed.
    offset: u64,
    synced: bool,
    /// Bytes skipped since the last packet.
    junk: u64,
    slots: Box<[u8]>,
    pat: Table,
    map: Table,
    program: Option<Program>,
    pcr_pid: u16,
    listed: Option<Vec<ElementaryStream>>,
    streams: Vec<Stream>,
    held: VecDeque<(u64, [u8; PACKET_BYTES])>,
    held_dropped: u64,
    out: Output,
}

#[derive(Debug, Default)]
struct Table {
    sections: SectionReader,
    continuity: Option<u8>,
}

/// Meaning of an entry in `slots`, which is indexed by PID. Streams follow from [`FIRST_STREAM_SLOT`] on.
const SLOT_NONE: u8 = 0;
const SLOT_PAT: u8 = 1;
const SLOT_MAP: u8 = 2;
const FIRST_STREAM_SLOT: u8 = 3;

impl Default for Demuxer {
    fn default() -> Self {
        Self::new(DemuxOptions::default())
    }
}

/// What the continuity counter of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuity {
    Next,
    Duplicate,
    Hole { expected: u8 },
}

fn follow(last: &mut Option<u8>, packet: &Packet<'_>) -> Continuity {
    if packet.adaptation.discontinuity {
        *last = None;
    }
    let had = *last;
    if packet.payload.is_none() {
        return Continuity::Next; // the counter stands still
    }
    *last = Some(packet.continuity);
    match had {
        None => Continuity::Next,
        Some(had) if had == packet.continuity => Continuity::Duplicate,
        Some(had) if (had + 1) & 0x0F == packet.continuity => Continuity::Next,
        Some(had) => Continuity::Hole { expected: (had + 1) & 0x0F },
    }
}

impl Demuxer {
    /// A demuxer at the start of a stream.
    #[must_use]
    pub fn new(options: DemuxOptions) -> Self {
        let reference = options.reference.and_then(|near| near.rescale(Timescale::HZ_90000));
        let mut slots = vec![SLOT_NONE; 1 << 13].into_boxed_slice();
        slots[usize::from(PAT_PID)] = SLOT_PAT;
        Self {
            out: Output {
                unroll: reference.map_or_else(Unroll::default, |near| Unroll::near(near.ticks())),
                ..Output::default()
            },
            options,
            rest: Vec::with_capacity(PACKET_BYTES + 1),
            offset: 0,
            synced: false,
            junk: 0,
            slots,
            pat: Table::default(),
            map: Table::default(),
            program: None,
            pcr_pid: NULL_PID,
            listed: None,
            streams: Vec::new(),
            held: VecDeque::new(),
            held_dropped: 0,
        }
    }

    /// Takes the next bytes of the stream, any number of them.
    pub fn push(&mut self, mut data: &[u8]) {
        while !self.rest.is_empty() && !data.is_empty() {
            let mut rest = std::mem::take(&mut self.rest);
            let old = rest.len();
            let fill = data.len().min(PACKET_BYTES + 1 - old);
            rest.extend_from_slice(&data[..fill]);
            let used = self.consume(&rest, false);
            if used >= old {
                data = &data[used - old..];
                rest.clear();
            } else {
                data = &data[fill..];
                rest.drain(..used);
            }
            self.rest = rest;
        }
        if self.rest.is_empty() {
            let used = self.consume(data, false);
            self.rest.extend_from_slice(&data[used..]);
        }
    }

    /// The next event, oldest first.
    pub fn poll(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Says that the next byte begins a new segment of the same stream: what is incomplete is told, and continuity
    /// counters may start anew. Clock, streams, offsets and an audio frame that crosses the border go on.
    pub fn next_segment(&mut self) {
        self.flush();
        self.synced = false;
        self.pat = Table::default();
        self.map = Table::default();
        for stream in &mut self.streams {
            stream.continuity = None;
        }
    }

    /// Says that no more bytes come. What is incomplete is told.
    pub fn finish(&mut self) {
        self.flush();
        for stream in &mut self.streams {
            stream.end(&mut self.out);
        }
        if self.listed.is_none() {
            let bytes = self.held_dropped + byte_count(self.held.len() * PACKET_BYTES);
            if bytes > 0 {
                self.out.fault(Fault::NoProgram { bytes });
            }
            self.held.clear();
            self.held_dropped = 0;
        }
    }

    /// How many [`Event::Fault`]s there were so far.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.out.faults
    }

    /// Bytes taken so far: the offset that the next packet will have.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset + byte_count(self.rest.len())
    }

    fn flush(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        let used = self.consume(&rest, true);
        // A packet that the end has cut.
        self.skip(byte_count(rest.len() - used));
        self.tell_junk();
        for stream in &mut self.streams {
            stream.flush(&mut self.out);
        }
    }

    /// Takes whole packets off the front of `bytes`; returns how many bytes are done with. `ended` says that nothing
    /// follows them. Leaves at most [`PACKET_BYTES`] bytes.
    fn consume(&mut self, bytes: &[u8], ended: bool) -> usize {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if !self.synced {
                let (skip, found) = find_sync(rest, ended);
                self.skip(byte_count(skip));
                at += skip;
                if !found {
                    return at;
                }
                self.synced = true;
            } else if let Some(packet) = rest.first_chunk::<PACKET_BYTES>().filter(|p| p[0] == SYNC_BYTE) {
                if self.junk > 0 {
                    self.tell_junk();
                }
                self.packet(packet, self.offset);
                at += PACKET_BYTES;
                self.offset += PACKET_BYTES as u64;
            } else if rest.first().is_some_and(|&first| first != SYNC_BYTE) {
                self.synced = false;
            } else {
                return at;
            }
        }
    }

    fn skip(&mut self, bytes: u64) {
        self.offset += bytes;
        self.junk += bytes;
    }

    fn tell_junk(&mut self) {
        let len = std::mem::take(&mut self.junk);
        if len > 0 {
            self.out.fault(Fault::Junk { at: self.offset - len, len });
        }
    }

    fn packet(&mut self, bytes: &[u8; PACKET_BYTES], at: u64) {
        let pid = u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]);
        if pid == NULL_PID {
            return;
        }
        let Some(packet) = packet::parse(bytes) else {
            self.out.fault(Fault::Packet { at });
            return;
        };
        match self.slots[usize::from(pid)] {
            SLOT_PAT => self.pat_packet(&packet, at),
            SLOT_MAP => self.map_packet(&packet, at),
            _ if self.listed.is_none() => self.hold(bytes, at),
            slot => self.media_packet(slot, &packet, at),
        }
    }

    fn hold(&mut self, bytes: &[u8; PACKET_BYTES], at: u64) {
        if (self.held.len() + 1) * PACKET_BYTES > self.options.max_held_bytes {
            self.held_dropped += PACKET_BYTES as u64;
            if self.held.pop_front().is_none() {
                return;
            }
        }
        self.held.push_back((at, *bytes));
    }

    fn pat_packet(&mut self, packet: &Packet<'_>, at: u64) {
        let mut program = None;
        if !self.pat.push(packet, |section| program = psi::first_program(section).or(program)) {
            self.out.fault(Fault::Table { at });
        }
        let Some(program) = program.filter(|&program| self.program != Some(program)) else {
            return;
        };
        self.program = Some(program);
        self.map = Table::default();
        self.assign_slots();
        if self.listed.is_none() {
            // The map may have come before the PAT.
            let early: Vec<_> =
                self.held.iter().filter(|(_, bytes)| pid_of(bytes) == program.map).copied().collect();
            for (at, bytes) in early {
                if let Some(packet) = packet::parse(&bytes) {
                    self.map_packet(&packet, at);
                }
            }
        }
    }

    fn map_packet(&mut self, packet: &Packet<'_>, at: u64) {
        let Some(program) = self.program else { return };
        let mut map = None;
        let mut sound = self.map.push(packet, |section| {
            if psi::is_map_of(section, program.number) {
                map = Some(psi::program_map(section));
            }
        });
        if let Some(read) = map {
            sound &= read.is_some();
            if let Some(read) = read {
                self.take_map(read);
            }
        }
        if !sound {
            self.out.fault(Fault::Table { at });
        }
    }

    fn take_map(&mut self, map: psi::ProgramMap) {
        self.pcr_pid = map.pcr_pid;
        if self.listed.as_ref() == Some(&map.streams) {
            return;
        }
        for mut stream in std::mem::take(&mut self.streams) {
            stream.end(&mut self.out);
        }
        let limit = self.options.max_unit_bytes;
        for listed in &map.streams {
            match listed.kind {
                StreamKind::H264 => self.streams.push(Stream::video(listed.pid, limit)),
                StreamKind::AacAdts => self.streams.push(Stream::audio(listed.pid, limit)),
                StreamKind::Other { .. } => {}
            }
        }
        self.out.push(Event::Streams(map.streams.clone()));
        self.listed = Some(map.streams);
        self.assign_slots();
        let dropped = std::mem::take(&mut self.held_dropped);
        if dropped > 0 {
            self.out.fault(Fault::HeldOverLimit { bytes: dropped, limit: self.options.max_held_bytes });
        }
        for (at, bytes) in std::mem::take(&mut self.held) {
            let slot = self.slots[usize::from(pid_of(&bytes))];
            if slot != SLOT_MAP
                && let Some(packet) = packet::parse(&bytes)
            {
                self.media_packet(slot, &packet, at);
            }
        }
    }

    /// Writes the table of PIDs anew. PAT and map stand first, and of streams that share a PID the first.
    fn assign_slots(&mut self) {
        self.slots.fill(SLOT_NONE);
        self.slots[usize::from(PAT_PID)] = SLOT_PAT;
        if let Some(program) = self.program.filter(|program| program.map != PAT_PID) {
            self.slots[usize::from(program.map)] = SLOT_MAP;
        }
        for (slot, stream) in (FIRST_STREAM_SLOT..).zip(&self.streams) {
            let entry = &mut self.slots[usize::from(stream.pid.get())];
            if *entry == SLOT_NONE {
                *entry = slot;
            }
        }
    }

    fn media_packet(&mut self, slot: u8, packet: &Packet<'_>, at: u64) {
        let pid = Pid(packet.pid);
        if packet.pid == self.pcr_pid
            && let Some((base, extension)) = packet.adaptation.pcr
        {
            let base = Timestamp::new(self.out.unroll.advance(base), Timescale::HZ_90000);
            self.out.push(Event::Pcr { pid, base, extension, at });
        }
        let index = slot.checked_sub(FIRST_STREAM_SLOT).map(usize::from);
        let Some(stream) = index.and_then(|index| self.streams.get_mut(index)) else {
            return;
        };
        if packet.adaptation.discontinuity {
            self.out.push(Event::Discontinuity { pid, at });
        }
        match follow(&mut stream.continuity, packet) {
            Continuity::Next => {}
            Continuity::Duplicate => return,
            Continuity::Hole { expected } => {
                self.out.fault(Fault::Continuity { pid, at, expected, got: packet.continuity });
                stream.lose(&mut self.out);
            }
        }
        let Some(payload) = packet.payload else { return };
        if packet.scrambled {
            self.out.fault(Fault::Packet { at });
            stream.lose(&mut self.out);
            return;
        }
        stream.packet(packet, payload, at, &mut self.out);
    }
}

impl Table {
    /// Gives the whole sections that end in `packet`; `false` if it is malformed.
    fn push(&mut self, packet: &Packet<'_>, each: impl FnMut(&[u8])) -> bool {
        let Some(payload) = packet.payload else { return true };
        match follow(&mut self.continuity, packet) {
            Continuity::Next => {}
            Continuity::Duplicate => return true,
            Continuity::Hole { .. } => self.sections.reset(),
        }
        self.sections.push(payload, packet.starts_unit, each)
    }
}

fn pid_of(bytes: &[u8; PACKET_BYTES]) -> u16 {
    u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]])
}

fn byte_count(len: usize) -> u64 {
    u64::try_from(len).expect("no machine has a longer slice")
}

/// Looks for a packet: a sync byte with another one a packet later, or with the end there. Returns how many bytes
/// are certainly none, and whether one follows them.
fn find_sync(bytes: &[u8], ended: bool) -> (usize, bool) {
    let mut from = 0;
    while let Some(found) = memchr::memchr(SYNC_BYTE, &bytes[from..]) {
        let at = from + found;
        match bytes.get(at + PACKET_BYTES) {
            Some(&SYNC_BYTE) => return (at, true),
            Some(_) => from = at + 1,
            None if !ended => return (at, false),
            None if at + PACKET_BYTES == bytes.len() => return (at, true),
            None => from = at + 1,
        }
    }
    (bytes.len(), false)
}
