//! AAC frames on their way into PES packets.

use bytes::Bytes;
use recorder_types::aac::{ADTS_HEADER_BYTES, AdtsFrame, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{AacConfig, RoomTime, Timestamp};

use crate::action::Loss;

/// A PES packet is closed before it grows beyond this: 16 packets, less the PES header and three clock references.
const MAX_PES_BYTES: usize = 2900;
/// And before it lasts longer than this.
const MAX_PES_DURATION: RoomTime = RoomTime::from_millis(250);
/// A frame that starts within this of the end of the one before belongs to the same PES packet: what rounding of
/// timestamps to milliseconds can do.
const CONTIGUOUS: RoomTime = RoomTime::from_millis(1);

/// One AAC frame with its header.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) config: AudioSpecificConfig,
    /// `None` where `body` carries its own.
    header: Option<[u8; ADTS_HEADER_BYTES]>,
    body: Bytes,
}

impl Frame {
    fn header(&self) -> &[u8] {
        self.header.as_ref().map_or(&[], |header| header)
    }

    fn len(&self) -> usize {
        self.header().len() + self.body.len()
    }

    /// Bytes without the header.
    fn raw_len(&self) -> usize {
        let own = match (self.header, self.body.get(1)) {
            (None, Some(flags)) if flags & 1 == 0 => ADTS_HEADER_BYTES + 2, // with a CRC
            (None, _) => ADTS_HEADER_BYTES,
            (Some(_), _) => 0,
        };
        self.body.len().saturating_sub(own)
    }
}

/// The frames of one access unit, in order. At most `limit` may pass from the first to the last one's end.
pub(crate) fn frames(data: &Bytes, config: AacConfig, limit: RoomTime) -> Result<Vec<Frame>, Loss> {
    match config {
        AacConfig::Raw(config) => {
            let header = config.adts_header(data.len()).ok_or(Loss::TooLarge)?;
            Ok(vec![Frame { config, header: Some(header), body: data.clone() }])
        }
        AacConfig::Adts => {
            let mut frames = Vec::with_capacity(1);
            let mut rest = data.clone();
            let mut lasted = RoomTime::ZERO;
            while !rest.is_empty() {
                let frame = AdtsFrame::parse(&rest).map_err(|_| Loss::Damaged)?;
                if frame.frame_len > rest.len() {
                    return Err(Loss::Damaged);
                }
                lasted = lasted.saturating_add(span(frame.config, 1));
                if lasted > limit {
                    return Err(Loss::TooLarge);
                }
                let body = rest.split_to(frame.frame_len);
                frames.push(Frame { config: frame.config, header: None, body });
            }
            Ok(frames)
        }
    }
}

/// How long `frames` frames last, to the nearest nanosecond.
pub(crate) fn span(config: AudioSpecificConfig, frames: u32) -> RoomTime {
    Timestamp::new(i64::from(FRAME_SAMPLES) * i64::from(frames), config.timescale())
        .to_room_time()
        .expect("2^42 samples last less than 292 years")
}

/// Frames that wait for their PES packet to fill.
#[derive(Default)]
pub(crate) struct Pending {
    frames: Vec<Frame>,
    count: u32,
    bytes: usize,
    start: RoomTime,
}

impl Pending {
    /// Whether `frame` at `at` goes into the same packet as those that wait (also if none waits).
    pub(crate) fn takes(&self, frame: &Frame, at: RoomTime) -> bool {
        let Some(first) = self.frames.first() else { return true };
        let off = at.saturating_sub(self.start).saturating_sub(span(first.config, self.count));
        first.config == frame.config
            && (-CONTIGUOUS.nanos()..=CONTIGUOUS.nanos()).contains(&off.nanos())
            && self.bytes + frame.len() <= MAX_PES_BYTES
            && span(first.config, self.count + 1) <= MAX_PES_DURATION
    }

    pub(crate) fn add(&mut self, frame: Frame, at: RoomTime) {
        if self.frames.is_empty() {
            self.start = at;
        }
        self.count += 1;
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    /// When the first one starts, how long all last, and their bytes in pieces; `None` if none waits.
    pub(crate) fn packet(&self) -> Option<(RoomTime, RoomTime, Vec<&[u8]>)> {
        let first = self.frames.first()?;
        let parts = self.frames.iter().flat_map(|frame| [frame.header(), &*frame.body]).collect();
        Some((self.start, span(first.config, self.count), parts))
    }

    /// Configuration and bytes without the header of each.
    pub(crate) fn raw_lens(&self) -> impl Iterator<Item = (AudioSpecificConfig, usize)> {
        self.frames.iter().map(|frame| (frame.config, frame.raw_len()))
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        (self.count, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AudioSpecificConfig {
        AudioSpecificConfig::new(48_000, 1).unwrap()
    }

    fn adts(len: usize) -> Vec<u8> {
        let mut frame = config().adts_header(len).unwrap().to_vec();
        frame.resize(frame.len() + len, 0x21);
        frame
    }

    #[test]
    fn several_adts_frames_are_told_apart() {
        let data = Bytes::from([adts(10), adts(20), adts(30)].concat());
        let frames = frames(&data, AacConfig::Adts, RoomTime::from_secs(5)).unwrap();
        assert_eq!(frames.iter().map(|f| f.body.len()).collect::<Vec<_>>(), [17, 27, 37]);
    }

    #[test]
    fn a_header_that_lies_about_its_length_is_refused() {
        let mut long = adts(10);
        long.pop();
        let mut trailing = adts(10);
        trailing.push(0xFF);
        for data in [long, trailing, vec![1, 2, 3]] {
            let found = frames(&data.into(), AacConfig::Adts, RoomTime::from_secs(5));
            assert_eq!(found.map(|_| ()), Err(Loss::Damaged));
        }
        let raw = frames(&vec![0; 8185].into(), AacConfig::Raw(config()), RoomTime::from_secs(5));
        assert_eq!(raw.map(|_| ()), Err(Loss::TooLarge));
    }

    #[test]
    fn an_access_unit_of_hours_is_refused() {
        let data = Bytes::from(adts(1).repeat(1000));
        let found = frames(&data, AacConfig::Adts, RoomTime::from_secs(5));
        assert_eq!(found.map(|_| ()), Err(Loss::TooLarge));
    }
}
