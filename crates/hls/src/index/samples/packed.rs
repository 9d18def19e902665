//! Packed audio: ADTS frames behind an ID3 tag that tells when the first is heard.
//!
//! # Specification
//! RFC 8216 §3.4; ID3v2.4 §3.1 (header), §4.27 (PRIV).

use bytes::Bytes;
use recorder_types::aac::{AacError, AdtsFrame, FRAME_SAMPLES};

use super::Unit;
use super::light::place;
use crate::index::IndexError;
use crate::ts::TICKS_PER_SECOND;

const TAG_HEADER: usize = 10;
const FRAME_HEADER: usize = 10;
/// Owner of the `PRIV` frame with 33 bits of 90 kHz in eight bytes.
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// Whether this is the begin of a segment of packed audio.
pub(super) fn is_packed(segment: &[u8]) -> bool {
    let is_tag =
        segment.starts_with(b"ID3") && segment.get(3).is_some_and(|version| (2..=4).contains(version));
    is_tag
        || AdtsFrame::parse(segment).is_ok_and(|frame| {
            segment
                .get(frame.frame_len..)
                .is_some_and(|rest| rest.is_empty() || AdtsFrame::parse(rest).is_ok())
        })
}

/// The frames of one segment.
#[derive(Debug, Default)]
pub(super) struct Packed {
    at: usize,
    /// What the last tag told, and samples since then.
    anchor: Option<i64>,
    samples: i64,
}

impl Packed {
    /// The next frame of `segment`, which is the same in each call. `reference`: near which the first time is taken
    /// to lie.
    pub(super) fn next(
        &mut self,
        segment: &[u8],
        reference: Option<i64>,
    ) -> Result<Option<Unit>, IndexError> {
        loop {
            let rest = segment.get(self.at..).unwrap_or_default();
            let at = u64::try_from(self.at).unwrap_or(u64::MAX);
            let damaged = |source| IndexError::PackedAudio { at, source };
            if rest.is_empty() {
                return Ok(None);
            }
            if rest.starts_with(b"ID3") {
                let tag = tag(rest).ok_or_else(|| damaged(AacError::Truncated))?;
                if let Some(time) = time(tag) {
                    self.anchor = Some(place(self.anchor.or(reference), time));
                    self.samples = 0;
                }
                self.at += tag.len();
                continue;
            }
            let frame = AdtsFrame::parse(rest).map_err(damaged)?;
            let data =
                rest.get(frame.header_len..frame.frame_len).ok_or_else(|| damaged(AacError::Truncated))?;
            let anchor = self.anchor.ok_or(IndexError::NoTime { at })?;
            let ticks = self.samples * TICKS_PER_SECOND / i64::from(frame.config.sample_rate());
            self.samples += i64::from(FRAME_SAMPLES);
            self.at += frame.frame_len;
            let pts = anchor.saturating_add(ticks);
            return Ok(Some(Unit::Frame {
                at,
                pts,
                config: frame.config,
                data: Bytes::copy_from_slice(data),
            }));
        }
    }
}

/// The whole tag at the front of `bytes`.
fn tag(bytes: &[u8]) -> Option<&[u8]> {
    let footer = if bytes.get(5)? & 0x10 == 0 { 0 } else { TAG_HEADER };
    bytes.get(..TAG_HEADER + seven_bits(bytes.get(6..10)?)? + footer)
}

/// The time that a tag tells.
fn time(tag: &[u8]) -> Option<u64> {
    let (version, flags) = (*tag.get(3)?, *tag.get(5)?);
    let mut frames = tag.get(TAG_HEADER..)?;
    if version < 3 {
        return None;
    }
    if flags & 0x40 != 0 {
        let head = frames.get(..4)?;
        // Of version 4 the length counts itself.
        frames = frames.get(if version == 4 { seven_bits(head)? } else { 4 + plain(head)? }..)?;
    }
    while let Some(header) = frames.get(..FRAME_HEADER) {
        let len = if version == 4 { seven_bits(&header[4..8])? } else { plain(&header[4..8])? };
        let body = frames.get(FRAME_HEADER..FRAME_HEADER.checked_add(len)?)?;
        if header.starts_with(b"PRIV")
            && let Some(told) = body.strip_prefix(OWNER)
        {
            return told.try_into().map(u64::from_be_bytes).ok();
        }
        frames = &frames[FRAME_HEADER + len..];
    }
    None
}

/// Four bytes of seven bits.
fn seven_bits(bytes: &[u8]) -> Option<usize> {
    let fits = bytes.iter().all(|&b| b < 0x80);
    fits.then(|| bytes.iter().fold(0, |len, &b| len << 7 | usize::from(b)))
}

fn plain(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use recorder_testkit::{aac, hostile};
    use recorder_types::UnixMillis;
    use recorder_types::aac::AudioSpecificConfig;

    use super::*;
    use crate::index::SegmentIndex;

    fn tagged(time: u64) -> Vec<u8> {
        let mut tag = b"ID3\x04\0\0\0\0\0\x49TXXX\0\0\0\x00\0\0PRIV\0\0\0\x35\0\0".to_vec();
        tag.extend_from_slice(OWNER);
        tag.extend(time.to_be_bytes());
        tag
    }

    fn segment(time: u64, frames: usize) -> Vec<u8> {
        let config = AudioSpecificConfig::new(44_100, 2).unwrap();
        let raw = aac::silent_frame(aac::Layout::Stereo);
        let frame = [&config.adts_header(raw.len()).unwrap()[..], &raw].concat();
        [tagged(time), frame.repeat(frames)].concat()
    }

    #[test]
    fn frames_are_heard_from_the_time_of_the_tag_on() {
        for (time, reference, first) in [
            (90_000, None, 90_000),
            ((1 << 33) - 9, Some(1 << 33), (1 << 33) - 9),
            (5, Some(1 << 33), (1 << 33) + 5),
        ] {
            let ts = segment(time, 100);
            assert!(is_packed(&ts));
            let index = SegmentIndex::from_ts(&ts, UnixMillis::EPOCH, false, reference).unwrap();
            let audio = index.audio().unwrap();
            assert!(
                index.video().is_none() && audio.count() == 100 && audio.config().sample_rate() == 44_100
            );
            let at: Vec<i64> = audio.frames().map(|frame| frame.pts - first).collect();
            assert_eq!((at[0], at[1], at[99]), (0, 2089, 1024 * 99 * 90_000 / 44_100), "{time}");
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let whole = segment(0, 2);
        let index = |bytes: &[u8]| SegmentIndex::from_ts(bytes, UnixMillis::EPOCH, false, None);
        let frames = tagged(0).len();
        let no_time = index(&whole[frames..]);
        assert_eq!(no_time, Err(IndexError::NoTime { at: 0 }));
        let at = (frames + (whole.len() - frames) / 2) as u64;
        let cut = index(&whole[..whole.len() - 1]);
        assert_eq!(cut, Err(IndexError::PackedAudio { at, source: AacError::Truncated }));
        assert_eq!(index(&whole[..20]), Err(IndexError::PackedAudio { at: 0, source: AacError::Truncated }));
    }

    #[test]
    fn any_damage_is_answered() {
        let whole = segment(7, 20);
        let mut random = hostile::Random::new(5);
        for _ in 0..2000 {
            let mut damaged = whole.clone();
            for _ in 0..3 {
                let at = usize::try_from(random.below(120)).unwrap();
                damaged[at] = random.bits().to_le_bytes()[0];
            }
            let _ = SegmentIndex::from_ts(&damaged, UnixMillis::EPOCH, false, None);
        }
    }
}
