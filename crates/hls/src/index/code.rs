//! The bytes of an index.
//!
//! Version (1 byte), length of the body, body, checksum of all before it (8 bytes, lowest first). Numbers have seven
//! bits a byte, lowest first; signed ones are folded so that small negative ones are short.

use bytes::Bytes;
use recorder_types::UnixMillis;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::DisplayOrientation;

use super::{AudioIndex, IndexError, SegmentIndex, SetChange, VideoIndex};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

const DISCONTINUITY: u64 = 1;
const HAS_VIDEO: u64 = 2;
const HAS_AUDIO: u64 = 4;
/// Behind the flags stand those of the orientation, and how far it turns.
const HAS_ORIENTATION: u64 = 8;

const MIRRORED: u64 = 1;
const FLIPPED: u64 = 2;

pub(super) fn push(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            to.push(low & 0x7F);
            return;
        }
        to.push(low | 0x80);
    }
}

pub(super) fn push_signed(to: &mut Vec<u8>, number: i64) {
    push(to, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn push_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    push(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Takes numbers off the front of bytes.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn number_u32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// A length and as many bytes, shared.
    fn bytes(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len())?;
        let bytes = self.bytes.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }
}

/// FNV-1a: finds damage, not malice.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

pub(super) fn encode(index: &SegmentIndex) -> Bytes {
    let mut body = Vec::new();
    let flags = if index.discontinuity { DISCONTINUITY } else { 0 }
        | if index.video.is_some() { HAS_VIDEO } else { 0 }
        | if index.audio.is_some() { HAS_AUDIO } else { 0 };
    let orientation = index.video.as_ref().and_then(|video| video.orientation);
    push(&mut body, flags | if orientation.is_some() { HAS_ORIENTATION } else { 0 });
    if let Some(DisplayOrientation { mirrored, flipped, anticlockwise }) = orientation {
        push(&mut body, if mirrored { MIRRORED } else { 0 } | if flipped { FLIPPED } else { 0 });
        push(&mut body, anticlockwise.into());
    }
    push(&mut body, index.start.get());
    push(&mut body, index.bytes);
    if let Some(video) = &index.video {
        push(&mut body, video.changes.len() as u64);
        for change in &video.changes {
            push(&mut body, change.from.into());
            push(&mut body, change.sets.len() as u64);
            for set in &change.sets {
                push_bytes(&mut body, set);
            }
        }
        push(&mut body, video.count.into());
        push_bytes(&mut body, &video.log);
    }
    if let Some(audio) = &index.audio {
        body.extend_from_slice(&audio.config.to_bytes());
        push(&mut body, audio.count.into());
        push_bytes(&mut body, &audio.log);
    }
    let mut bytes = Vec::with_capacity(body.len() + 20);
    bytes.push(VERSION);
    push_bytes(&mut bytes, &body);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.into()
}

pub(super) fn decode(bytes: &[u8]) -> Result<(SegmentIndex, usize), IndexError> {
    let (&version, rest) = bytes.split_first().ok_or(IndexError::Damaged)?;
    if version != VERSION {
        return Err(IndexError::Version { version });
    }
    // Of the length, at most ten bytes.
    let mut head = Reader::new(Bytes::copy_from_slice(rest.get(..10).unwrap_or(rest)));
    let len = head.number().and_then(|len| usize::try_from(len).ok()).ok_or(IndexError::Damaged)?;
    let body_at = 1 + head.at;
    let body_end = body_at.checked_add(len).ok_or(IndexError::Damaged)?;
    let end = body_end.checked_add(CHECKSUM_BYTES).ok_or(IndexError::Damaged)?;
    let (Some(summed), Some(&sum)) =
        (bytes.get(..body_end), bytes.get(body_end..end).and_then(<[u8]>::first_chunk))
    else {
        return Err(IndexError::Damaged);
    };
    if checksum(summed) != u64::from_le_bytes(sum) {
        return Err(IndexError::Damaged);
    }
    let body = summed.get(body_at..).ok_or(IndexError::Damaged)?;
    let index = read(Reader::new(Bytes::copy_from_slice(body))).ok_or(IndexError::Damaged)?;
    Ok((index, end))
}

fn read(mut body: Reader) -> Option<SegmentIndex> {
    let flags = body.number()?;
    if flags > (DISCONTINUITY | HAS_VIDEO | HAS_AUDIO | HAS_ORIENTATION) {
        return None;
    }
    if flags & (HAS_VIDEO | HAS_ORIENTATION) == HAS_ORIENTATION {
        return None;
    }
    let orientation = if flags & HAS_ORIENTATION == 0 { None } else { Some(read_orientation(&mut body)?) };
    let start = UnixMillis::new(body.number()?)?;
    let bytes = body.number()?;
    let video = if flags & HAS_VIDEO == 0 { None } else { Some(read_video(&mut body, orientation)?) };
    let audio = if flags & HAS_AUDIO == 0 { None } else { Some(read_audio(&mut body)?) };
    body.is_empty().then_some(SegmentIndex {
        start,
        discontinuity: flags & DISCONTINUITY != 0,
        bytes,
        video,
        audio,
    })
}

fn read_orientation(body: &mut Reader) -> Option<DisplayOrientation> {
    let flags = body.number()?;
    let anticlockwise = u16::try_from(body.number()?).ok()?;
    let (mirrored, flipped) = (flags & MIRRORED != 0, flags & FLIPPED != 0);
    (flags <= MIRRORED | FLIPPED).then_some(DisplayOrientation { mirrored, flipped, anticlockwise })
}

fn read_video(body: &mut Reader, orientation: Option<DisplayOrientation>) -> Option<VideoIndex> {
    let mut changes: Vec<SetChange> = Vec::new();
    for number in 0..body.number()? {
        let from = body.number_u32()?;
        let follows = changes.last().map_or(from == 0, |last| from > last.from);
        if !follows || number > u64::from(from) {
            return None;
        }
        let mut sets = Vec::new();
        for _ in 0..body.number()? {
            let set = body.bytes()?;
            if set.is_empty() {
                return None; // which also bounds their number by the bytes that are there
            }
            sets.push(set);
        }
        changes.push(SetChange { from, sets });
    }
    let video = VideoIndex { changes, count: body.number_u32()?, orientation, log: body.bytes()? };
    let last = video.changes.last()?.from;
    let mut pictures = video.pictures();
    let (mut count, mut before) = (0u64, None);
    for picture in pictures.by_ref() {
        if before.is_some_and(|before| picture.dts <= before) {
            return None;
        }
        before = Some(picture.dts);
        count += 1;
    }
    (pictures.reader.is_empty() && count == u64::from(video.count) && last < video.count).then_some(video)
}

fn read_audio(body: &mut Reader) -> Option<AudioIndex> {
    let config = body.bytes.get(body.at..body.at.checked_add(2)?)?;
    let config = AudioSpecificConfig::parse(config).ok()?;
    body.at += 2;
    let audio = AudioIndex { config, count: body.number_u32()?, log: body.bytes()? };
    let mut frames = audio.frames();
    let count = frames.by_ref().fold(0u64, |count, _| count + 1);
    (frames.reader.is_empty() && count == u64::from(audio.count) && count > 0).then_some(audio)
}
