//! The short way, for segments as they should be: tables first, whole packets, one picture or whole frames in each PES
//! packet. Whatever is otherwise is not judged here but left to the demuxer, which gives the same samples up to there.
//!
//! # Specification
//! ISO/IEC 13818-1:2019 §2.4.3 (packets and PES), §2.4.4 (PAT and PMT).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use recorder_types::aac::{AdtsFrame, FRAME_SAMPLES};

use super::Unit;
use crate::index::pack::{Found, Packer};
use crate::ts::{PACKET_BYTES, TICKS_PER_SECOND, crc32};

/// Bytes in front of a picture, so that start codes can become longer lengths without a copy.
const ROOM: usize = 32;
/// Memory is taken in pieces that stay in the cache of a core.
const CHUNK: usize = 256 << 10;
/// A picture begins in a new piece if there is less room than this.
const LEAST: usize = 64 << 10;
/// Pieces that are kept to be used again.
const KEPT: usize = 8;
/// Longest PES packet, as for the demuxer.
const MAX_PES: usize = super::MAX_UNIT;
const WRAP: i64 = 1 << 33;

/// The segment is not as it should be, somewhere after the samples given so far.
#[derive(Debug)]
pub(super) struct NotPlain;

#[derive(Debug)]
pub(super) struct Light {
    at: usize,
    tables: Option<Tables>,
    video: Stream,
    audio: Stream,
    packer: Packer,
    pool: Pool,
    /// Last time on the unrolled axis.
    last: Option<i64>,
    last_dts: Option<i64>,
    frames: VecDeque<Unit>,
}

#[derive(Debug)]
struct Tables {
    /// Without their headers of four bytes.
    pat: [u8; PACKET_BYTES - 4],
    map: [u8; PACKET_BYTES - 4],
    map_pid: u16,
    pcr_pid: u16,
    video_pid: Option<u16>,
    audio_pid: Option<u16>,
}

#[derive(Debug, Default)]
struct Stream {
    count: Option<u8>,
    pes: Option<Pes>,
    /// Payload of the PES packet that is open, behind `ROOM` bytes.
    bytes: BytesMut,
    /// `bytes` had to grow for a picture that is larger than a piece.
    grown: bool,
}

impl Stream {
    fn append(&mut self, data: &[u8]) {
        let before = self.bytes.capacity();
        self.bytes.extend_from_slice(data);
        self.grown |= self.bytes.capacity() != before;
    }

    /// Begins a new piece if little is left of this one.
    fn make_room(&mut self, pool: &mut Pool) {
        if self.bytes.capacity() - self.bytes.len() < LEAST {
            let used = std::mem::take(&mut self.bytes);
            if !std::mem::take(&mut self.grown) {
                pool.put_back(used);
            }
            self.bytes = pool.take();
        }
    }
}

/// Pieces of memory that samples were cut from. They are used again when all those are gone: memory fresh from the
/// system costs about as much as what is written into it.
#[derive(Debug, Default)]
pub(super) struct Pool(VecDeque<BytesMut>);

impl Pool {
    /// A piece with nothing in it.
    fn take(&mut self) -> BytesMut {
        let free = self.0.iter_mut().position(|piece| piece.try_reclaim(CHUNK));
        free.and_then(|free| self.0.remove(free)).unwrap_or_else(|| BytesMut::with_capacity(CHUNK))
    }

    /// Keeps a piece until its samples are gone; the oldest is let go when there are enough.
    fn put_back(&mut self, mut used: BytesMut) {
        used.clear();
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(used);
    }
}

#[derive(Clone, Copy, Debug)]
struct Pes {
    at: usize,
    pts: u64,
    dts: u64,
    /// Bytes of the payload, where they are told.
    len: Option<usize>,
}

impl Light {
    pub(super) fn new(reference: Option<i64>, pool: Pool) -> Self {
        Self {
            pool,
            at: 0,
            tables: None,
            video: Stream::default(),
            audio: Stream::default(),
            packer: Packer::default(),
            last: reference,
            last_dts: None,
            frames: VecDeque::new(),
        }
    }

    /// The memory that it used, for another segment.
    pub(super) fn into_pool(mut self) -> Pool {
        for stream in [self.video, self.audio] {
            if !stream.grown && stream.bytes.capacity() > 0 {
                self.pool.put_back(stream.bytes);
            }
        }
        self.pool
    }

    /// As [`Full::next`](super::full::Full::next).
    pub(super) fn next(
        &mut self,
        segment: &[u8],
        mut set: impl FnMut(&[u8]),
    ) -> Result<Option<Unit>, NotPlain> {
        if !segment.len().is_multiple_of(PACKET_BYTES) {
            return Err(NotPlain);
        }
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let Some(packet) = segment.get(self.at..).and_then(<[u8]>::first_chunk::<PACKET_BYTES>) else {
                if self.tables.is_none() || self.audio.pes.is_some() {
                    return Err(NotPlain);
                }
                return match self.video.pes.take() {
                    Some(pes) => match self.picture(pes, &mut set)? {
                        Some(unit) => Ok(Some(unit)),
                        None => Ok(None),
                    },
                    None => Ok(None),
                };
            };
            let at = self.at;
            self.at += PACKET_BYTES;
            if let Some(unit) = self.packet(packet, at, &mut set)? {
                return Ok(Some(unit));
            }
        }
    }

    fn packet(
        &mut self,
        packet: &[u8; PACKET_BYTES],
        at: usize,
        set: &mut impl FnMut(&[u8]),
    ) -> Result<Option<Unit>, NotPlain> {
        // Of the sync byte, and of the flags for errors and scrambling.
        if packet[0] != 0x47 || packet[1] & 0x80 != 0 || packet[3] & 0xC0 != 0 {
            return Err(NotPlain);
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let Some(tables) = &self.tables else {
            return self.first_tables(packet, pid).map(|()| None);
        };
        let is_video = Some(pid) == tables.video_pid;
        if !is_video && Some(pid) != tables.audio_pid {
            return match pid {
                0 if packet[4..] == tables.pat => Ok(None),
                pid if pid == tables.map_pid => {
                    if tables.map == [0xFF; PACKET_BYTES - 4] {
                        self.program_map(packet)?;
                    } else if packet[4..] != tables.map {
                        return Err(NotPlain);
                    }
                    Ok(None)
                }
                // Media before the tables are known, or clocks of their own.
                0 => Err(NotPlain),
                pid if tables.video_pid.is_none() && tables.audio_pid.is_none() || pid == tables.pcr_pid => {
                    Err(NotPlain)
                }
                _ => Ok(None),
            };
        }
        let mut from = 4;
        if packet[3] & 0x20 != 0 {
            let len = usize::from(packet[4]);
            from = 5 + len;
            if from > PACKET_BYTES {
                return Err(NotPlain);
            }
            let flags = if len > 0 { packet[5] } else { 0 };
            if flags & 0x80 != 0 {
                let stream = if is_video { &mut self.video } else { &mut self.audio };
                stream.count = None;
            }
            if flags & 0x10 != 0 && pid == tables.pcr_pid {
                let Some(&[a, b, c, d, e, _]) = packet[6..from].first_chunk() else { return Err(NotPlain) };
                let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
                self.unroll(bits >> 7);
            }
        }
        if packet[3] & 0x10 == 0 {
            return if packet[3] & 0x20 == 0 { Err(NotPlain) } else { Ok(None) };
        }
        let payload = &packet[from..];
        let count = packet[3] & 0xF;
        let stream = if is_video { &mut self.video } else { &mut self.audio };
        if stream.count.is_some_and(|last| (last + 1) & 0xF != count) {
            return Err(NotPlain);
        }
        stream.count = Some(count);
        let mut done = None;
        if packet[1] & 0x40 != 0 {
            let (pes, len) = pes_header(payload, at).ok_or(NotPlain)?;
            let body = &payload[len..];
            if is_video {
                let zeros = body.iter().take_while(|&&b| b == 0).count();
                if zeros < 2 || body.get(zeros) != Some(&1) {
                    return Err(NotPlain);
                }
                if let Some(before) = self.video.pes.take() {
                    done = self.picture(before, set)?;
                }
            } else if self.audio.pes.is_some() || pes.len.is_none() {
                return Err(NotPlain);
            }
            let stream = if is_video { &mut self.video } else { &mut self.audio };
            stream.make_room(&mut self.pool);
            stream.append(&[0; ROOM]);
            stream.append(body);
            stream.pes = Some(pes);
        } else if stream.pes.is_some() {
            stream.append(payload);
            if stream.bytes.len() > MAX_PES {
                return Err(NotPlain);
            }
        } else {
            return Err(NotPlain);
        }
        if !is_video {
            self.end_audio()?;
        }
        Ok(done)
    }

    /// `raw`, 33 bits, on the unrolled axis, nearest to the time before it.
    fn unroll(&mut self, raw: u64) -> i64 {
        let ticks = place(self.last, raw);
        self.last = Some(ticks);
        ticks
    }

    fn picture(&mut self, pes: Pes, set: &mut impl FnMut(&[u8])) -> Result<Option<Unit>, NotPlain> {
        let data = self.video.bytes.split();
        if pes.len.is_some_and(|len| len + ROOM != data.len()) {
            return Err(NotPlain);
        }
        let dts = self.unroll(pes.dts);
        let pts = place(Some(dts), pes.pts);
        let (found, data) = self.packer.pack(data, ROOM, set).map_err(|_| NotPlain)?;
        let Some(idr) = found.idr else { return Ok(None) };
        if self.last_dts.is_some_and(|last| dts <= last) {
            return Err(NotPlain);
        }
        self.last_dts = Some(dts);
        let at = u64::try_from(pes.at).unwrap_or(u64::MAX);
        let Found { pps, orientation, .. } = found;
        Ok(Some(Unit::Picture { at, pts, dts, idr, pps, orientation, data }))
    }

    /// Gives the frames of the audio packet, if it is complete.
    fn end_audio(&mut self) -> Result<(), NotPlain> {
        let Some(pes) = self.audio.pes else { return Ok(()) };
        let got = self.audio.bytes.len() - ROOM;
        match pes.len {
            Some(len) if got < len => return Ok(()),
            Some(len) if got == len => {}
            _ => return Err(NotPlain),
        }
        self.audio.pes = None;
        let data: Bytes = self.audio.bytes.split().freeze().slice(ROOM..);
        let anchor = self.unroll(pes.pts);
        let mut config = None;
        let (mut at, mut samples) = (0, 0i64);
        while at < data.len() {
            let frame = AdtsFrame::parse(&data[at..]).map_err(|_| NotPlain)?;
            let end = at + frame.frame_len;
            if end > data.len() || *config.get_or_insert(frame.config) != frame.config {
                return Err(NotPlain);
            }
            let ticks = samples * TICKS_PER_SECOND / i64::from(frame.config.sample_rate());
            self.frames.push_back(Unit::Frame {
                at: u64::try_from(pes.at).unwrap_or(u64::MAX),
                pts: anchor.saturating_add(ticks),
                config: frame.config,
                data: data.slice(at + frame.header_len..end),
            });
            samples += i64::from(FRAME_SAMPLES);
            at = end;
        }
        Ok(())
    }

    /// The first packet has the association table, and the one after it of its program the map.
    fn first_tables(&mut self, packet: &[u8; PACKET_BYTES], pid: u16) -> Result<(), NotPlain> {
        let (section, 0x00) = section(packet).filter(|_| pid == 0).ok_or(NotPlain)? else {
            return Err(NotPlain);
        };
        // Past the header and without the checksum: one program, which is not the network's.
        let &[number_high, number_low, high, low] = section.get(8..section.len() - 4).ok_or(NotPlain)? else {
            return Err(NotPlain);
        };
        if [number_high, number_low] == [0, 0] {
            return Err(NotPlain);
        }
        let mut tables = Tables {
            pat: [0; PACKET_BYTES - 4],
            map: [0xFF; PACKET_BYTES - 4],
            map_pid: u16::from_be_bytes([high & 0x1F, low]),
            pcr_pid: 0x1FFF,
            video_pid: None,
            audio_pid: None,
        };
        tables.pat.copy_from_slice(&packet[4..]);
        self.tables = Some(tables);
        Ok(())
    }

    fn program_map(&mut self, packet: &[u8; PACKET_BYTES]) -> Result<(), NotPlain> {
        let Some(tables) = &mut self.tables else { return Err(NotPlain) };
        let (section, 0x02) = section(packet).ok_or(NotPlain)? else { return Err(NotPlain) };
        let program = tables.pat.get(9..11);
        let body = section.get(8..section.len() - 4).ok_or(NotPlain)?;
        let &[high, low, info_high, info_low, ref rest @ ..] = body else { return Err(NotPlain) };
        if section.get(3..5) != program {
            return Err(NotPlain);
        }
        tables.pcr_pid = u16::from_be_bytes([high & 0x1F, low]);
        let info = usize::from(u16::from_be_bytes([info_high & 0x0F, info_low]));
        let mut streams = rest.get(info..).ok_or(NotPlain)?;
        while !streams.is_empty() {
            let &[kind, high, low, info_high, info_low, ref rest @ ..] = streams else {
                return Err(NotPlain);
            };
            let pid = u16::from_be_bytes([high & 0x1F, low]);
            let slot = match kind {
                0x1B => Some(&mut tables.video_pid),
                0x0F => Some(&mut tables.audio_pid),
                _ => None,
            };
            // A second one of a kind, or a PID that is taken, is for the demuxer to judge.
            if let Some(slot) = slot
                && (slot.replace(pid).is_some() || pid == 0 || pid == tables.map_pid)
            {
                return Err(NotPlain);
            }
            let info = usize::from(u16::from_be_bytes([info_high & 0x0F, info_low]));
            streams = rest.get(info..).ok_or(NotPlain)?;
        }
        if tables.video_pid.is_some() && tables.video_pid == tables.audio_pid
            || tables.video_pid.or(tables.audio_pid).is_none()
        {
            return Err(NotPlain);
        }
        tables.map.copy_from_slice(&packet[4..]);
        Ok(())
    }
}

/// `raw` on the unrolled axis, nearest to `last`; exactly half way counts as later.
pub(super) fn place(last: Option<i64>, raw: u64) -> i64 {
    let raw = i64::try_from(raw & 0x1_FFFF_FFFF).unwrap_or(0);
    let Some(last) = last else { return raw };
    let ahead = raw.wrapping_sub(last).rem_euclid(WRAP);
    last.saturating_add(if ahead > WRAP / 2 { ahead - WRAP } else { ahead })
}

/// A section that is alone in its packet, with its table id. Checked.
fn section(packet: &[u8; PACKET_BYTES]) -> Option<(&[u8], u8)> {
    if packet[1] & 0x40 == 0 || packet[3] & 0x30 != 0x10 || packet[4] != 0 {
        return None;
    }
    let bytes = &packet[5..];
    let &[table, high, low, _, _, version, number, last, ..] = bytes else { return None };
    let len = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
    let section = bytes.get(..len).filter(|section| section.len() >= 12)?;
    // Long form, current, the only section of its table; and nothing behind it.
    let sound = high & 0x80 != 0 && version & 1 == 1 && (number, last) == (0, 0) && crc32(section) == 0;
    (sound && bytes[len..].iter().all(|&b| b == 0xFF)).then_some((section, table))
}

/// The header of a PES packet with a PTS that is whole in `payload`, and its length.
fn pes_header(payload: &[u8], at: usize) -> Option<(Pes, usize)> {
    let &[0, 0, 1, id, high, low, marker, flags, len, ref fields @ ..] = payload else { return None };
    let is_media = matches!(id, 0xC0..=0xEF | 0xBD);
    if !is_media || marker & 0xC0 != 0x80 || flags & 0x80 == 0 || flags & 0xC0 == 0x40 {
        return None;
    }
    let fields = fields.get(..usize::from(len))?;
    let pts = stamp(fields.first_chunk()?)?;
    let dts = if flags & 0x40 == 0 { pts } else { stamp(fields.get(5..)?.first_chunk()?)? };
    let told = usize::from(u16::from_be_bytes([high, low]));
    let header = 9 + fields.len();
    let len = if told == 0 { None } else { Some((told + 6).checked_sub(header)?) };
    Some((Pes { at, pts, dts, len }, header))
}

/// 33 bits between marker bits.
fn stamp(&[a, b, c, d, e]: &[u8; 5]) -> Option<u64> {
    if a & c & e & 1 == 0 {
        return None;
    }
    let middle = u64::from(u16::from_be_bytes([b, c]) >> 1);
    let low = u64::from(u16::from_be_bytes([d, e]) >> 1);
    Some((u64::from(a >> 1 & 7) << 30) | (middle << 15) | low)
}
