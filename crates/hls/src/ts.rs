//! The multiplexer: PES packets, PSI and clock references into TS packets, in one copy of the payload.
//!
//! # Specification
//! ITU-T H.222.0 (ISO/IEC 13818-1:2023) §2.4.3 (transport stream), §2.4.4 (PAT, PMT), §2.4.3.7 (PES).

use std::collections::VecDeque;

use bytes::BytesMut;
use recorder_types::ObjectName;

use crate::action::Action;

/// Bytes of one transport stream packet.
pub(crate) const PACKET_BYTES: usize = 188;
/// Ticks per second of PTS, DTS and the PCR base.
pub(crate) const TICKS_PER_SECOND: i64 = 90_000;

const HEADER_BYTES: usize = 4;
const BODY_BYTES: usize = PACKET_BYTES - HEADER_BYTES;
/// PTS, DTS and the PCR base have 33 bits.
const TICKS_MASK: i64 = (1 << 33) - 1;

const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const PROGRAM: u16 = 1;

/// Longest distance of two clock references: 100 ms, H.222.0 §2.7.2.
const CLOCK_MAX: i64 = TICKS_PER_SECOND / 10;
/// From this distance on a packet that is written anyway carries one.
const CLOCK_WANTED: i64 = TICKS_PER_SECOND / 20;

/// How far the clock runs behind the decode time of what is being sent: pictures alone, 100 ms.
const VIDEO_DELAY: i64 = TICKS_PER_SECOND / 10;
/// Audio alone: a PES packet of 250 ms is spread over its time, and the clock stays behind its first frame.
const AUDIO_DELAY: i64 = TICKS_PER_SECOND * 3 / 10;
/// Both: audio is written up to 250 ms later than pictures of the same time, and callers interleave loosely.
const BOTH_DELAY: i64 = TICKS_PER_SECOND / 2;

/// Which elementary streams the program has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) video: bool,
    pub(crate) audio: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elementary {
    Video,
    Audio,
}

/// One PES packet to write.
pub(crate) struct Pes<'a> {
    pub(crate) stream: Elementary,
    /// Ticks, not wrapped.
    pub(crate) pts: i64,
    /// Ticks, not wrapped.
    pub(crate) dts: i64,
    /// Ticks that the payload lasts, over which the clock is spread; 0 for pictures.
    pub(crate) span: i64,
    /// Sets `random_access_indicator`.
    pub(crate) random_access: bool,
    /// The payload in pieces.
    pub(crate) parts: &'a [&'a [u8]],
}

pub(crate) struct Mux {
    output: Output,
    layout: Layout,
    pmt_version: u8,
    pat_count: u8,
    pmt_count: u8,
    video_count: u8,
    audio_count: u8,
    /// The last clock reference, ticks not wrapped.
    clock: Option<i64>,
    /// The segment has no clock reference yet.
    clock_due: bool,
    /// The next clock reference does not follow the one before.
    clock_jumps: bool,
}

impl Mux {
    pub(crate) fn new(chunk_bytes: usize) -> Self {
        Self {
            output: Output { chunk: BytesMut::new(), limit: chunk_bytes, actions: VecDeque::new(), bytes: 0 },
            layout: Layout::default(),
            pmt_version: 0,
            pat_count: 0,
            pmt_count: 0,
            video_count: 0,
            audio_count: 0,
            clock: None,
            clock_due: false,
            clock_jumps: false,
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Between segments only.
    pub(crate) fn set_layout(&mut self, layout: Layout, chunk_bytes: usize) {
        if layout != self.layout {
            self.layout = layout;
            self.pmt_version = (self.pmt_version + 1) % 32;
        }
        self.output.limit = chunk_bytes;
    }

    /// Bytes of the open segment so far.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.output.bytes
    }

    pub(crate) fn poll(&mut self) -> Option<Action> {
        let action = self.output.actions.pop_front();
        if action.is_none() && self.output.chunk.capacity() == 0 {
            // Between segments nothing is held.
            self.output.actions = VecDeque::new();
        }
        action
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.output.actions.push_back(action);
    }

    /// Opens a segment with its PAT and PMT. `jump`: the clock begins anew.
    pub(crate) fn begin_segment(&mut self, name: ObjectName, jump: bool) {
        self.output.actions.push_back(Action::OpenSegment { name });
        self.output.bytes = 0;
        self.clock_due = true;
        if jump {
            self.clock_jumps = self.clock.take().is_some() || self.clock_jumps;
        }
        self.write_pat();
        self.write_pmt();
    }

    /// Hands out what is left of the segment; returns its size. Lets go of the chunk's memory: many recordings that
    /// are paused hold none.
    pub(crate) fn end_segment(&mut self) -> u64 {
        self.output.flush();
        self.output.chunk = BytesMut::new();
        self.output.bytes
    }

    /// Writes one PES packet.
    pub(crate) fn write_pes(&mut self, pes: &Pes<'_>) {
        let carries_clock = self.layout.video == (pes.stream == Elementary::Video);
        let clock_start = pes.dts.saturating_sub(self.delay());
        if !carries_clock {
            self.run_clock_to(clock_start);
        }
        let (header, header_len) = pes_header(pes);
        let total = header_len + pes.parts.iter().map(|part| part.len()).sum::<usize>();
        let mut parts = Parts { parts: pes.parts, offset: 0 };
        let mut sent = 0;
        while sent < total {
            let mut reference = None;
            if carries_clock {
                let now = clock_start.saturating_add(share(pes.span, sent, total));
                self.fill_clock(now);
                reference = self.reference_at(now);
            }
            let first = sent == 0;
            let field = Adaptation {
                random_access: first && pes.random_access,
                discontinuity: reference.is_some() && std::mem::take(&mut self.clock_jumps),
                reference,
            };
            let count = self.count(pes.stream);
            let room = self.output.packet(
                pid_of(pes.stream),
                count,
                if first { Start::Unit } else { Start::Continued },
                field,
                total - sent,
            );
            sent += room;
            let mut rest = room;
            if first {
                self.output.chunk.extend_from_slice(&header[..header_len]);
                rest -= header_len;
            }
            parts.copy(rest, &mut self.output.chunk);
            self.output.packet_done();
            if !carries_clock || pes.span == 0 {
                sent += self.write_whole_packets(pes.stream, &mut parts);
            }
        }
    }

    /// The packets that one piece of the payload fills alone; returns the bytes of payload written.
    fn write_whole_packets(&mut self, stream: Elementary, parts: &mut Parts<'_>) -> usize {
        let piece = parts.current();
        let whole = piece.len() / BODY_BYTES * BODY_BYTES;
        let [pid_high, pid_low] = pid_of(stream).to_be_bytes();
        let mut count = match stream {
            Elementary::Video => self.video_count,
            Elementary::Audio => self.audio_count,
        };
        for body in piece[..whole].chunks_exact(BODY_BYTES) {
            self.output.prepare();
            self.output.chunk.extend_from_slice(&[0x47, pid_high, pid_low, 0x10 | count]);
            self.output.chunk.extend_from_slice(body);
            self.output.packet_done();
            count = (count + 1) & 0xF;
        }
        match stream {
            Elementary::Video => self.video_count = count,
            Elementary::Audio => self.audio_count = count,
        }
        parts.skip(whole);
        whole
    }

    /// The continuity counter for the next packet with payload.
    fn count(&mut self, stream: Elementary) -> u8 {
        let count = match stream {
            Elementary::Video => &mut self.video_count,
            Elementary::Audio => &mut self.audio_count,
        };
        next(count)
    }

    fn delay(&self) -> i64 {
        match self.layout {
            Layout { video: true, audio: true } => BOTH_DELAY,
            Layout { video: true, audio: false } => VIDEO_DELAY,
            _ => AUDIO_DELAY,
        }
    }

    /// Whether a packet at `now` takes a clock reference, and which.
    fn reference_at(&mut self, now: i64) -> Option<i64> {
        let value = match self.clock {
            None => now,
            Some(last) if self.clock_due => now.max(last.saturating_add(1)),
            Some(last) if now.saturating_sub(last) >= CLOCK_WANTED => now,
            Some(_) => return None,
        };
        self.clock_due = false;
        self.clock = Some(value);
        Some(value)
    }

    /// Packets with nothing but a clock reference, so that the one at `now` comes at most 100 ms after another.
    fn fill_clock(&mut self, now: i64) {
        while let Some(last) = self.clock.filter(|&last| now.saturating_sub(last) > CLOCK_MAX) {
            self.write_clock(last + CLOCK_MAX);
        }
    }

    /// For a stream that does not carry the clock.
    fn run_clock_to(&mut self, now: i64) {
        self.fill_clock(now);
        if self.clock_due || self.clock.is_none() {
            self.write_clock(now);
        }
    }

    fn write_clock(&mut self, at: i64) {
        let value = self.clock.map_or(at, |last| at.max(last.saturating_add(1)));
        self.clock = Some(value);
        self.clock_due = false;
        let field = Adaptation {
            random_access: false,
            discontinuity: std::mem::take(&mut self.clock_jumps),
            reference: Some(value),
        };
        let (stream, count) = if self.layout.video {
            (Elementary::Video, self.video_count)
        } else {
            (Elementary::Audio, self.audio_count)
        };
        // Without payload the counter stays at the value of the packet before (§2.4.3.3).
        let count = count.wrapping_sub(1) & 0xF;
        self.output.packet(pid_of(stream), count, Start::Continued, field, 0);
        self.output.packet_done();
    }

    fn write_pat(&mut self) {
        let mut section = Section::new(0x00, 1, 0);
        section.u16(PROGRAM);
        section.u16(0xE000 | PMT_PID);
        let count = next(&mut self.pat_count);
        self.output.section(PAT_PID, count, section);
    }

    fn write_pmt(&mut self) {
        let mut section = Section::new(0x02, PROGRAM, self.pmt_version);
        section.u16(0xE000 | if self.layout.video { VIDEO_PID } else { AUDIO_PID });
        section.u16(0xF000); // no program descriptors
        for (present, stream_type, pid) in
            [(self.layout.video, 0x1B, VIDEO_PID), (self.layout.audio, 0x0F, AUDIO_PID)]
        {
            if present {
                section.bytes.push(stream_type);
                section.u16(0xE000 | pid);
                section.u16(0xF000); // no descriptors
            }
        }
        let count = next(&mut self.pmt_count);
        self.output.section(PMT_PID, count, section);
    }
}

const fn pid_of(stream: Elementary) -> u16 {
    match stream {
        Elementary::Video => VIDEO_PID,
        Elementary::Audio => AUDIO_PID,
    }
}

fn next(count: &mut u8) -> u8 {
    let now = *count;
    *count = (now + 1) & 0xF;
    now
}

/// `span * sent / total`, rounded down. `total` is not zero.
fn share(span: i64, sent: usize, total: usize) -> i64 {
    if span == 0 {
        return 0;
    }
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    span.saturating_mul(whole(sent)) / whole(total)
}

/// Longest PES header that is written here: nine bytes, PTS and DTS.
const PES_HEADER_MAX: usize = 19;

fn pes_header(pes: &Pes<'_>) -> ([u8; PES_HEADER_MAX], usize) {
    let both = pes.pts != pes.dts;
    let stamps: u16 = if both { 10 } else { 5 };
    let payload: usize = pes.parts.iter().map(|part| part.len()).sum();
    // Zero means "until the next one", which §2.4.3.7 allows for video alone; audio is far shorter than this.
    let length = u16::try_from(payload + 3 + usize::from(stamps)).unwrap_or(0);
    let [length_high, length_low] = length.to_be_bytes();
    let mut header = [0; PES_HEADER_MAX];
    header[..9].copy_from_slice(&[
        0,
        0,
        1,
        if pes.stream == Elementary::Video { 0xE0 } else { 0xC0 },
        length_high,
        length_low,
        0x84, // the payload begins with an access unit
        if both { 0xC0 } else { 0x80 },
        stamps.to_be_bytes()[1],
    ]);
    header[9..14].copy_from_slice(&stamp(if both { 3 } else { 2 }, pes.pts));
    header[14..19].copy_from_slice(&stamp(1, pes.dts));
    (header, 9 + usize::from(stamps))
}

/// PTS or DTS in five bytes with marker bits.
fn stamp(prefix: u64, ticks: i64) -> [u8; 5] {
    let t = (ticks & TICKS_MASK).unsigned_abs();
    let bits = (prefix << 36)
        | ((t >> 30) << 33)
        | (1 << 32)
        | (((t >> 15) & 0x7FFF) << 17)
        | (1 << 16)
        | ((t & 0x7FFF) << 1)
        | 1;
    let [_, _, _, bytes @ ..] = bits.to_be_bytes();
    bytes
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// A PES packet or a section begins in this packet.
    Unit,
    Continued,
}

#[derive(Clone, Copy)]
struct Adaptation {
    random_access: bool,
    discontinuity: bool,
    reference: Option<i64>,
}

/// The pieces of a PES payload that are still to be copied.
struct Parts<'a> {
    parts: &'a [&'a [u8]],
    offset: usize,
}

impl<'a> Parts<'a> {
    fn current(&self) -> &'a [u8] {
        self.parts.first().map_or(&[], |part| &part[self.offset..])
    }

    fn skip(&mut self, n: usize) {
        self.offset += n;
        while let Some((part, rest)) = self.parts.split_first().filter(|(part, _)| self.offset >= part.len())
        {
            self.offset -= part.len();
            self.parts = rest;
        }
    }

    fn copy(&mut self, mut n: usize, to: &mut BytesMut) {
        while n > 0 {
            let piece = self.current();
            let take = piece.len().min(n);
            to.extend_from_slice(&piece[..take]);
            self.skip(take);
            n -= take;
        }
    }
}

/// Where packets go: a recycled chunk, handed out when it is full.
struct Output {
    chunk: BytesMut,
    limit: usize,
    actions: VecDeque<Action>,
    bytes: u64,
}

impl Output {
    /// Takes back the memory of the chunk before, where the caller has let go of it.
    fn prepare(&mut self) {
        if self.chunk.is_empty() {
            self.chunk.reserve(self.limit);
        }
    }

    fn packet_done(&mut self) {
        self.bytes += const { PACKET_BYTES as u64 };
        if self.chunk.len() >= self.limit {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.chunk.is_empty() {
            let data = self.chunk.split().freeze();
            self.actions.push_back(Action::SegmentData { data });
        }
    }

    /// Writes a packet's header and adaptation field, stuffed where `remaining` does not fill it; returns how many
    /// bytes of payload have to follow.
    fn packet(&mut self, pid: u16, count: u8, start: Start, field: Adaptation, remaining: usize) -> usize {
        self.prepare();
        let flagged = field.random_access || field.discontinuity || field.reference.is_some();
        // Length byte, flags byte, six bytes of PCR.
        let wanted = if field.reference.is_some() {
            8
        } else if flagged {
            2
        } else {
            0
        };
        let payload = remaining.min(BODY_BYTES - wanted);
        let size = BODY_BYTES - payload;
        let unit_start = if start == Start::Unit { 0x4000 } else { 0 };
        let [pid_high, pid_low] = (pid | unit_start).to_be_bytes();
        let control = if size > 0 { 0x20 } else { 0 } | if payload > 0 { 0x10 } else { 0 };
        self.chunk.extend_from_slice(&[0x47, pid_high, pid_low, control | count]);
        if size > 0 {
            let mut bytes = [0xFF; BODY_BYTES];
            bytes[0] = u8::try_from(size - 1).expect("an adaptation field fits its packet");
            bytes[1] = if field.discontinuity { 0x80 } else { 0 }
                | if field.random_access { 0x40 } else { 0 }
                | if field.reference.is_some() { 0x10 } else { 0 };
            if let Some(ticks) = field.reference {
                // 33 bits of base, 6 reserved, 9 of extension, which is zero.
                let bits = ((ticks & TICKS_MASK).unsigned_abs() << 15) | (0x3F << 9);
                bytes[2..8].copy_from_slice(&bits.to_be_bytes()[2..]);
            }
            self.chunk.extend_from_slice(&bytes[..size]);
        }
        payload
    }

    fn section(&mut self, pid: u16, count: u8, section: Section) {
        let section = section.finish();
        self.prepare();
        let [pid_high, pid_low] = (pid | 0x4000).to_be_bytes();
        self.chunk.extend_from_slice(&[0x47, pid_high, pid_low, 0x10 | count, 0]);
        self.chunk.extend_from_slice(&section);
        let padding = [0xFF; BODY_BYTES];
        self.chunk.extend_from_slice(&padding[1 + section.len()..]);
        self.packet_done();
    }
}

/// A PSI section in the making, shorter than one packet.
struct Section {
    bytes: Vec<u8>,
}

impl Section {
    fn new(table: u8, id: u16, version: u8) -> Self {
        let mut section = Self { bytes: vec![table, 0xB0, 0] };
        section.u16(id);
        section.bytes.extend([0xC1 | (version << 1), 0, 0]); // current; section 0 of 0
        section
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        // What follows the length field, with the CRC.
        self.bytes[2] = u8::try_from(self.bytes.len() - 3 + 4).expect("a section is shorter than a packet");
        let crc = crc32(&self.bytes);
        self.bytes.extend(crc.to_be_bytes());
        self.bytes
    }
}

/// H.222.0 annex A: polynomial 0x04C11DB7, all ones at the start, nothing reflected.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04C1_1DB7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_matches_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7); // CRC-32/MPEG-2
    }

    #[test]
    fn stamps_wrap_at_33_bits_and_carry_their_markers() {
        assert_eq!(stamp(2, 0), [0x21, 0, 1, 0, 1]);
        assert_eq!(stamp(2, 1 << 33), stamp(2, 0));
        assert_eq!(stamp(3, -1), [0x3F, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(stamp(2, 900_000), [0x21, 0x00, 0x37, 0x77, 0x41]);
    }

    #[test]
    fn a_payload_of_any_size_is_stuffed_to_whole_packets() {
        for len in 0..1000usize {
            let mut mux = Mux::new(10_000 * PACKET_BYTES);
            mux.set_layout(Layout { video: true, audio: false }, 10_000 * PACKET_BYTES);
            mux.begin_segment("a".parse().unwrap(), false);
            let payload = vec![0xAB; len];
            let (head, tail) = payload.split_at(len / 3);
            for _ in 0..2 {
                mux.write_pes(&Pes {
                    stream: Elementary::Video,
                    pts: 90_000,
                    dts: 90_000,
                    span: 0,
                    random_access: true,
                    parts: &[head, &[], tail],
                });
            }
            let bytes = mux.end_segment();
            assert_eq!(bytes % 188, 0);
            mux.poll();
            let Some(Action::SegmentData { data }) = mux.poll() else { panic!("no data") };
            assert_eq!(data.len() as u64, bytes);
            let mut found = Vec::new();
            for packet in data.chunks(PACKET_BYTES) {
                assert_eq!(packet[0], 0x47);
                if packet[1..3] == [0x01, 0x00] || packet[1..3] == [0x41, 0x00] {
                    let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
                    found.extend_from_slice(&packet[4 + field..]);
                }
            }
            let pes = 14 + len;
            assert_eq!(found.len(), 2 * pes, "{len}");
            assert!(found.chunks(pes).all(|pes| pes[..4] == [0, 0, 1, 0xE0] && pes[14..] == payload));
        }
    }
}
