//! An index in the making: by the segmenter as it writes, or by whoever reads a segment.

use std::collections::BTreeMap;

use bytes::Bytes;
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::h264::{DisplayOrientation, nal_type, pps_ids, start_code, unit_type};
use recorder_types::{NalFraming, UnixMillis};

use super::code::{push, push_signed};
use super::pack::is_kept;
use super::{AudioIndex, SegmentIndex, SetChange, VideoIndex};
use crate::picture::{Slice, Sps};
use crate::ts::TICKS_PER_SECOND;

/// Bytes of the length before a NAL unit in MP4.
const LENGTH_BYTES: usize = 4;

/// Collects what a [`SegmentIndex`] says, in the order of the segment.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    sets: Sets,
    changes: Vec<SetChange>,
    /// First picture of the sets that hold now.
    since: u32,
    pictures: u32,
    last_dts: i64,
    video: Vec<u8>,
    orientation: Option<DisplayOrientation>,
    config: Option<AudioSpecificConfig>,
    frames: u32,
    last_pts: i64,
    audio: Vec<u8>,
}

/// One picture, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewPicture {
    pub(crate) pts: i64,
    /// Above that of the picture before.
    pub(crate) dts: i64,
    pub(crate) idr: bool,
    /// Picture parameter set of its first slice.
    pub(crate) pps: Option<u8>,
    /// What it tells of how pictures are turned.
    pub(crate) orientation: Option<DisplayOrientation>,
    pub(crate) len: u32,
}

impl IndexBuilder {
    /// Takes a parameter set that stands before the next picture. One that cannot be read is passed over.
    pub(crate) fn parameter_set(&mut self, unit: &[u8]) {
        match unit_type(unit) {
            Some(nal_type::SPS) => {
                if self.sets.sps.values().any(|sps| sps.unit() == unit) {
                    return;
                }
                let Some(sps) = Sps::parse(unit) else { return };
                let id = sps.info.id;
                if self.sets.used.contains(&id) && self.sets.sps.contains_key(&id) {
                    self.end_sets();
                }
                self.sets.sps.insert(id, sps);
            }
            Some(nal_type::PPS) => {
                if self.sets.pps.values().any(|pps| pps.unit == unit) {
                    return;
                }
                let Some((id, sps)) = pps_ids(unit) else { return };
                if self.sets.used_pps[usize::from(id)] && self.sets.pps.contains_key(&id) {
                    self.end_sets();
                }
                self.sets.pps.insert(id, Pps { sps, unit: Bytes::copy_from_slice(unit) });
            }
            _ => {}
        }
    }

    /// Takes a picture; `false`, with nothing changed, if it is one too many.
    pub(crate) fn picture(&mut self, picture: NewPicture) -> bool {
        let Some(pictures) = self.pictures.checked_add(1) else { return false };
        if let Some(pps) = picture.pps
            && let Some(sps) = self.sets.pps.get(&pps).map(|pps| pps.sps)
            && let Some(active) = self.sets.sps.get(&sps)
        {
            let before = self.sets.used.first().and_then(|used| self.sets.sps.get(used));
            if picture.idr && before.is_some_and(|before| active.differs_from(before)) {
                self.end_sets();
            }
            if !self.sets.used.contains(&sps) {
                self.sets.used.push(sps);
            }
            self.sets.used_pps[usize::from(pps)] = true;
        }
        if self.pictures == 0 {
            self.orientation = picture.orientation;
        }
        push_signed(&mut self.video, picture.dts.wrapping_sub(self.last_dts));
        push_signed(&mut self.video, picture.pts.wrapping_sub(picture.dts));
        push(&mut self.video, u64::from(picture.len) << 1 | u64::from(picture.idr));
        self.last_dts = picture.dts;
        self.pictures = pictures;
        true
    }

    /// Takes a picture that the segmenter writes: parameter sets in front of it, and its NAL units.
    pub(crate) fn written_picture<'a>(
        &mut self,
        sets: impl Iterator<Item = &'a [u8]>,
        units: &[&[u8]],
        framing: NalFraming,
        (pts, dts): (i64, i64),
        slice: Slice,
    ) {
        sets.for_each(|set| self.parameter_set(set));
        let bytes = |unit: &&[u8]| match framing {
            // Found between start codes, so it is found again.
            NalFraming::AnnexB if is_kept(unit) => LENGTH_BYTES + unit.len(),
            NalFraming::AnnexB => 0,
            NalFraming::LengthPrefixed { .. } => sample_bytes(unit),
        };
        let len = units.iter().map(bytes).sum::<usize>();
        // Access units are far shorter, and an index of 2^32 samples would not fit into memory.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let orientation =
            || units.iter().rev().find_map(|unit| Some(DisplayOrientation::in_sei(unit)?.orientation));
        let orientation = if self.pictures == 0 { orientation() } else { None };
        let pps = Some(slice.pps);
        self.picture(NewPicture { pts, dts, idr: slice.idr, pps, orientation, len });
    }

    /// Takes AAC frames that the segmenter writes in one PES packet with this PTS.
    pub(crate) fn written_frames(
        &mut self,
        pts: i64,
        frames: impl Iterator<Item = (AudioSpecificConfig, usize)>,
    ) {
        for (number, (config, len)) in (0..).zip(frames) {
            // What a reader of the segment knows: ADTS does not tell SBR.
            let config = AudioSpecificConfig::parse(&config.to_bytes()).unwrap_or(config);
            let samples = i64::from(FRAME_SAMPLES) * number;
            let ticks = samples * TICKS_PER_SECOND / i64::from(config.sample_rate());
            self.frame(config, pts.saturating_add(ticks), u32::try_from(len).unwrap_or(u32::MAX));
        }
    }

    /// Takes an AAC frame of `len` bytes without its header; `false` if it is one too many or of another `config`.
    pub(crate) fn frame(&mut self, config: AudioSpecificConfig, pts: i64, len: u32) -> bool {
        let Some(frames) = self.frames.checked_add(1) else { return false };
        if *self.config.get_or_insert(config) != config {
            return false;
        }
        push_signed(&mut self.audio, pts.wrapping_sub(self.last_pts));
        push(&mut self.audio, len.into());
        self.last_pts = pts;
        self.frames = frames;
        true
    }

    /// The whole index.
    pub(crate) fn finish(mut self, start: UnixMillis, discontinuity: bool, bytes: u64) -> SegmentIndex {
        if self.pictures > 0 {
            self.note_sets();
        }
        let Self { changes, pictures, video, orientation, config, frames, audio, .. } = self;
        let exact = |log: Vec<u8>| Bytes::from(log.into_boxed_slice());
        SegmentIndex {
            start,
            discontinuity,
            bytes,
            video: (pictures > 0).then(|| VideoIndex {
                changes,
                count: pictures,
                orientation,
                log: exact(video),
            }),
            audio: config.filter(|_| frames > 0).map(|config| AudioIndex {
                config,
                count: frames,
                log: exact(audio),
            }),
        }
    }

    /// Other sets hold from the next picture on.
    fn end_sets(&mut self) {
        if self.pictures > self.since {
            self.note_sets();
            self.since = self.pictures;
        }
        self.sets.used.clear();
        self.sets.used_pps = [false; 256];
    }

    fn note_sets(&mut self) {
        self.changes.push(SetChange { from: self.since, sets: self.sets.used() });
    }
}

/// Bytes that a NAL unit has in a sample once it was written behind a start code and read again: zeros at its end are
/// lost, and what looks like a start code in it is one.
fn sample_bytes(unit: &[u8]) -> usize {
    let whole = unit.last().is_some_and(|&last| last != 0) && start_code(unit).is_none();
    if whole {
        return if is_kept(unit) { LENGTH_BYTES + unit.len() } else { 0 };
    }
    let mut rest = Some(unit);
    let mut bytes = 0;
    while let Some(from) = rest {
        let end = start_code(from);
        let part = &from[..end.unwrap_or(from.len())];
        let len = part.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        bytes += if is_kept(&part[..len]) { LENGTH_BYTES + len } else { 0 };
        rest = end.map(|end| &from[end + 3..]);
    }
    bytes
}

/// The parameter sets by their ids, the last of each.
#[derive(Debug)]
struct Sets {
    sps: BTreeMap<u8, Sps>,
    pps: BTreeMap<u8, Pps>,
    /// Sequence sets that pictures refer to, in order of their first use.
    used: Vec<u8>,
    /// Picture sets that pictures refer to.
    used_pps: [bool; 256],
}

#[derive(Debug)]
struct Pps {
    sps: u8,
    unit: Bytes,
}

impl Default for Sets {
    fn default() -> Self {
        Self { sps: BTreeMap::new(), pps: BTreeMap::new(), used: Vec::new(), used_pps: [false; 256] }
    }
}

impl Sets {
    fn used(&self) -> Vec<Bytes> {
        let sps = self.used.iter().filter_map(|id| self.sps.get(id)).map(|sps| sps.unit().clone());
        let pps = self.pps.values().filter(|pps| self.used.contains(&pps.sps)).map(|pps| pps.unit.clone());
        sps.chain(pps).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64x192 Baseline, id 0.
    const SPS: [u8; 8] = [0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x10, 0x66, 0x40];
    const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];
    /// Id 0 too, with other contents.
    const OTHER: [u8; 4] = [0x68, 0xCE, 0x38, 0x80];

    fn picture(builder: &mut IndexBuilder, number: i64, idr: bool) {
        let time = number * 3000;
        let picture = NewPicture { pts: time, dts: time, idr, pps: Some(0), orientation: None, len: 10 };
        assert!(builder.picture(picture));
    }

    #[test]
    fn sets_that_are_replaced_hold_up_to_there() {
        let mut builder = IndexBuilder::default();
        builder.parameter_set(&SPS);
        builder.parameter_set(&OTHER); // replaced before any picture refers to it
        builder.parameter_set(&PPS);
        picture(&mut builder, 0, true);
        builder.parameter_set(&PPS);
        picture(&mut builder, 1, false);
        builder.parameter_set(&OTHER);
        picture(&mut builder, 2, false);
        picture(&mut builder, 3, true);
        let index = builder.finish(UnixMillis::EPOCH, false, 0);
        let video = index.video().unwrap();
        assert_eq!(video.parameter_sets(), [&SPS[..], &PPS]);
        let changes: Vec<_> = video.set_changes().map(|(from, sets)| (from, sets.to_vec())).collect();
        assert_eq!(changes, [(2, vec![Bytes::from(SPS.to_vec()), Bytes::from(OTHER.to_vec())])]);
        assert_eq!(SegmentIndex::decode(&index.encode()).unwrap().0, index);
    }

    #[test]
    fn sets_that_nothing_refers_to_are_left_out() {
        let mut builder = IndexBuilder::default();
        builder.parameter_set(&PPS);
        picture(&mut builder, 0, false);
        let index = builder.finish(UnixMillis::EPOCH, true, 188);
        assert_eq!(index.video().unwrap().parameter_sets().len(), 0);
        assert_eq!(SegmentIndex::decode(&index.encode()).unwrap().0, index);
    }

    #[test]
    fn what_a_byte_stream_makes_of_a_unit_is_counted() {
        for (unit, bytes) in [
            (&[0x41, 1, 2][..], 7),
            (&[0x41, 1, 0, 0], 6),
            (&[0x41, 7, 0, 0, 0, 1, 0x0A], 6),
            (&[0x41, 7, 0, 0, 1, 0x06, 5], 12),
            (&[0x67, 1], 0),
            (&[0x41, 0, 0, 1], 5),
        ] {
            assert_eq!(sample_bytes(unit), bytes, "{unit:x?}");
        }
    }
}
