//! A valid H.264 stream of plain grey pictures, small and made bit by bit.
//!
//! Constrained Baseline, CAVLC, one slice a picture, no deblocking. A key frame is one I_PCM macroblock of the grey
//! level and DC-predicted ones that spread it; the pictures after it are skipped macroblocks only.
//!
//! # Specification
//! ITU-T H.264 (08/2021) §7.3.2 to §7.3.5, §9.2.1.

use bytes::{BufMut, Bytes, BytesMut};
use recorder_types::{NalFraming, Sample, Size, Timescale, Timestamp};

use crate::bits::BitWriter;

/// Level and its largest picture in macroblocks (table A-1).
const LEVELS: [(u32, u32); 8] =
    [(10, 99), (20, 396), (30, 1620), (31, 3600), (40, 8192), (50, 22_080), (51, 36_864), (60, 139_264)];

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The size cannot be coded as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no picture of {size}: sides have to be even and the area below 139264 macroblocks")]
pub struct BadSize {
    /// The size.
    pub size: Size,
}

/// Makes the access units of one stream, in Annex B with an access unit delimiter.
#[derive(Clone, Debug)]
pub struct Pictures {
    size: Size,
    sps: Bytes,
    pps: Bytes,
    frame_num: u32,
    idr_pic_id: u32,
}

impl Pictures {
    /// A stream of pictures of `size`, which is reached by cropping where 16 does not divide it.
    ///
    /// # Errors
    /// [`BadSize`] for odd sides (4:2:0 has no half chroma sample) and beyond the highest level.
    pub fn new(size: Size) -> Result<Self, BadSize> {
        let (columns, rows) = macroblocks(size);
        let level =
            LEVELS.iter().find(|&&(_, most)| columns.checked_mul(rows).is_some_and(|all| all <= most));
        let odd = size.width() % 2 == 1 || size.height() % 2 == 1;
        match level {
            Some(&(level, _)) if !odd => {
                Ok(Self { size, sps: sps(size, level), pps: pps(), frame_num: 0, idr_pic_id: 0 })
            }
            _ => Err(BadSize { size }),
        }
    }

    /// Size after cropping.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// SPS and PPS NAL units without start codes.
    #[must_use]
    pub fn parameter_sets(&self) -> [Bytes; 2] {
        [self.sps.clone(), self.pps.clone()]
    }

    /// A key frame, all of it luma `grey`: delimiter, SPS, PPS, IDR slice.
    pub fn idr(&mut self, grey: u8) -> Bytes {
        self.frame_num = 0;
        self.idr_pic_id ^= 1; // has to differ between IDR pictures that follow each other
        let slice = self.idr_slice(grey);
        annex_b(&[&[9, 0x10], &self.sps, &self.pps, &slice])
    }

    /// A key frame whose parameter sets are told elsewhere: delimiter and IDR slice.
    pub fn bare_idr(&mut self, grey: u8) -> Bytes {
        self.frame_num = 0;
        self.idr_pic_id ^= 1;
        let slice = self.idr_slice(grey);
        annex_b(&[&[9, 0x10], &slice])
    }

    /// A picture like the one before it: delimiter and a slice of skipped macroblocks.
    pub fn repeat(&mut self) -> Bytes {
        self.frame_num = (self.frame_num + 1) % 16;
        let (columns, rows) = macroblocks(self.size);
        let mut bits = BitWriter::default();
        bits.ue(0); // first_mb_in_slice
        bits.ue(5); // slice_type: P, and so are all of the picture
        bits.ue(0); // pic_parameter_set_id
        bits.bits(self.frame_num, 4);
        bits.bits(0, 3); // no override of num_ref_idx, no list modification, sliding window
        bits.ue(0); // slice_qp_delta
        bits.ue(1); // disable_deblocking_filter_idc
        bits.ue(columns * rows); // mb_skip_run
        annex_b(&[&[9, 0x30], &nal(0x41, bits)])
    }

    /// An access unit of exactly `len` bytes that has the headers of a key frame or of another picture and nothing
    /// that can be decoded: for simulated runs in which only sizes matter. The slice holds no start code.
    ///
    /// # Panics
    /// If `len` does not hold the headers: 64 bytes are always enough.
    #[must_use]
    pub fn opaque(&self, kind: OpaqueKind, len: usize) -> Bytes {
        let (mut unit, header) = match kind {
            OpaqueKind::Idr => (annex_b(&[&[9, 0x10], &self.sps, &self.pps]).to_vec(), 0x65),
            OpaqueKind::Other => (annex_b(&[&[9, 0x30]]).to_vec(), 0x41),
        };
        unit.extend_from_slice(&START_CODE);
        unit.extend_from_slice(&[header, 0x9A]); // first_mb_in_slice is 0
        assert!(unit.len() <= len, "opaque unit of {len} bytes does not hold its headers of {}", unit.len());
        unit.resize(len, 0x5A);
        unit.into()
    }

    /// `count` pictures at `rate` a second on the 90 kHz clock from `start` on, a key frame every `gop`. The grey
    /// level changes with each key frame.
    pub fn samples(&mut self, count: u32, gop: u32, rate: u32, start: i64) -> Vec<Sample> {
        (0..count)
            .map(|n| {
                let grey = u8::try_from(64 + n / gop.max(1) * 16 % 128).expect("below 192");
                let data = if n % gop.max(1) == 0 { self.idr(grey) } else { self.repeat() };
                let ticks = start + i64::from(n) * 90_000 / i64::from(rate.max(1));
                Sample::new(Timestamp::new(ticks, Timescale::HZ_90000), data)
            })
            .collect()
    }

    fn idr_slice(&self, grey: u8) -> Vec<u8> {
        let (columns, rows) = macroblocks(self.size);
        let mut bits = BitWriter::default();
        bits.ue(0); // first_mb_in_slice
        bits.ue(7); // slice_type: I, and so are all of the picture
        bits.ue(0); // pic_parameter_set_id
        bits.bits(0, 4); // frame_num
        bits.ue(self.idr_pic_id);
        bits.bits(0, 2); // no_output_of_prior_pics_flag, long_term_reference_flag
        bits.ue(0); // slice_qp_delta
        bits.ue(1); // disable_deblocking_filter_idc
        bits.ue(25); // I_PCM
        bits.align();
        bits.bytes(&[grey; 256]);
        bits.bytes(&[128; 128]);
        for index in 1..columns * rows {
            bits.ue(3); // I_16x16_2_0_0: DC prediction, no coefficients
            bits.ue(0); // intra_chroma_pred_mode: DC
            bits.ue(0); // mb_qp_delta
            // The code of "no coefficients" depends on the neighbours' number of them, and I_PCM counts as 16. The
            // blocks right of it and below it see it as their only neighbour.
            let beside_pcm = index == 1 && columns > 1 || index == columns;
            if beside_pcm { bits.bits(0b00_0011, 6) } else { bits.bits(1, 1) }
        }
        nal(0x65, bits)
    }
}

/// What [`Pictures::opaque`] looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueKind {
    /// Delimiter, SPS, PPS, IDR slice.
    Idr,
    /// Delimiter, slice.
    Other,
}

/// The access unit `unit` (Annex B) with a length before each NAL unit instead.
///
/// # Panics
/// If `unit` is no Annex B, or `length_bytes` too few for a NAL unit in it.
#[must_use]
pub fn length_prefixed(unit: &[u8], length_bytes: u8) -> Bytes {
    let mut out = BytesMut::with_capacity(unit.len() + 16);
    for nal in recorder_types::h264::Units::new(unit, NalFraming::AnnexB) {
        let nal = nal.expect("Annex B was asked for");
        let len = u64::try_from(nal.len()).expect("a slice's length fits");
        assert!(len >> (8 * u32::from(length_bytes)) == 0, "{len} does not fit in {length_bytes} bytes");
        out.put_uint(len, usize::from(length_bytes));
        out.put_slice(nal);
    }
    out.freeze()
}

/// Presentation and decode times, in decode order, of `count` pictures `step` ticks apart with `b_frames` between two
/// others: I P B B P B B … for 2. Decode times begin at `start`; presentation is one picture later where there are
/// B-frames, so that it is never before decoding.
#[must_use]
pub fn reordered_times(count: u32, b_frames: u32, step: i64, start: i64) -> Vec<(i64, i64)> {
    let group = b_frames + 1;
    let delay = u32::from(b_frames > 0);
    let shown = |n: u32| {
        if n == 0 {
            return 0;
        }
        let (first, place) = ((n - 1) / group * group + 1, (n - 1) % group);
        let last = (first + group - 1).min(count - 1);
        if place == 0 { last } else { first + place - 1 }
    };
    (0..count).map(|n| (start + i64::from(shown(n) + delay) * step, start + i64::from(n) * step)).collect()
}

fn macroblocks(size: Size) -> (u32, u32) {
    (size.width().div_ceil(16), size.height().div_ceil(16))
}

fn sps(size: Size, level: u32) -> Bytes {
    let (columns, rows) = macroblocks(size);
    let mut bits = BitWriter::default();
    bits.bits(66, 8); // profile_idc: Baseline
    bits.bits(0xC0, 8); // and the constraints that make it Constrained Baseline
    bits.bits(level, 8);
    bits.ue(0); // seq_parameter_set_id
    bits.ue(0); // log2_max_frame_num - 4
    bits.ue(2); // pic_order_cnt_type: output in decode order
    bits.ue(1); // max_num_ref_frames
    bits.bits(0, 1); // gaps_in_frame_num_value_allowed_flag
    bits.ue(columns - 1);
    bits.ue(rows - 1);
    bits.bits(0b11, 2); // frame_mbs_only_flag, direct_8x8_inference_flag
    let (right, bottom) = ((columns * 16 - size.width()) / 2, (rows * 16 - size.height()) / 2);
    if right + bottom > 0 {
        bits.bits(1, 1);
        for crop in [0, right, 0, bottom] {
            bits.ue(crop);
        }
    } else {
        bits.bits(0, 1);
    }
    bits.bits(0, 1); // vui_parameters_present_flag
    nal(0x67, bits).into()
}

fn pps() -> Bytes {
    let mut bits = BitWriter::default();
    bits.ue(0); // pic_parameter_set_id
    bits.ue(0); // seq_parameter_set_id
    bits.bits(0, 2); // CAVLC, no bottom_field_pic_order_in_frame
    bits.ue(0); // one slice group
    bits.ue(0); // one reference in list 0
    bits.ue(0); // and in list 1
    bits.bits(0, 3); // no weighted prediction
    for _ in 0..3 {
        bits.ue(0); // pic_init_qp, pic_init_qs, chroma_qp_index_offset
    }
    bits.bits(0b100, 3); // deblocking_filter_control_present_flag
    nal(0x68, bits).into()
}

/// A NAL unit: header, `bits`, the stop bit, and emulation prevention (§7.4.1).
fn nal(header: u8, mut bits: BitWriter) -> Vec<u8> {
    bits.bits(1, 1);
    let mut unit = vec![header];
    let mut zeros = 0;
    for byte in bits.finish() {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        unit.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    unit
}

fn annex_b(units: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::new();
    for unit in units {
        out.put_slice(&START_CODE);
        out.put_slice(unit);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use recorder_types::h264::{SpsInfo, Units, nal_type, unit_type};

    use super::*;
    use crate::ffmpeg::{self, Verdict};

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    #[test]
    fn parameter_sets_tell_the_size() {
        for (width, height) in
            [(16, 16), (2, 2), (176, 144), (320, 180), (494, 370), (1920, 1080), (3840, 2160)]
        {
            let [sps, pps] = Pictures::new(size(width, height)).unwrap().parameter_sets();
            assert_eq!(SpsInfo::parse(&sps).unwrap().size, size(width, height));
            assert_eq!(recorder_types::h264::pps_ids(&pps), Some((0, 0)));
        }
        assert!(Pictures::new(size(321, 180)).is_err() && Pictures::new(size(16_384, 16_384)).is_err());
    }

    #[test]
    fn ffmpeg_decodes_every_picture_without_complaint() {
        for (width, height) in [(16, 16), (18, 16), (16, 18), (320, 180), (494, 370), (1280, 720)] {
            let mut pictures = Pictures::new(size(width, height)).unwrap();
            let mut stream = Vec::new();
            for sample in pictures.samples(45, 20, 25, 0) {
                stream.extend_from_slice(&sample.data);
            }
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pictures.h264");
            std::fs::write(&file, stream).unwrap();
            let Some(verdict) = ffmpeg::strict_decode(&file) else { return };
            assert_eq!(verdict, Verdict::Clean, "{width}x{height}");
            assert_eq!(ffmpeg::count_frames(&file), Some(45), "{width}x{height}");
        }
    }

    #[test]
    fn the_grey_is_the_one_asked_for() {
        let mut pictures = Pictures::new(size(50, 34)).unwrap();
        let stream = [pictures.idr(200), pictures.repeat()].concat();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grey.h264");
        std::fs::write(&file, stream).unwrap();
        let Some(planes) = ffmpeg::decode_i420(&file) else { return };
        let (luma, chroma) = (50 * 34, 25 * 17 * 2);
        assert_eq!(planes.len(), 2 * (luma + chroma));
        assert!(
            planes[..luma].iter().all(|&y| y == 200) && planes[luma..luma + chroma].iter().all(|&c| c == 128)
        );
        assert_eq!(planes[..luma + chroma], planes[luma + chroma..]);
    }

    #[test]
    fn opaque_units_have_their_length_and_headers() {
        let pictures = Pictures::new(size(640, 480)).unwrap();
        for (kind, want) in [
            (OpaqueKind::Idr, &[nal_type::AUD, nal_type::SPS, nal_type::PPS, nal_type::IDR][..]),
            (OpaqueKind::Other, &[nal_type::AUD, nal_type::SLICE]),
        ] {
            let unit = pictures.opaque(kind, 100_000);
            assert_eq!(unit.len(), 100_000);
            let types: Vec<_> =
                Units::new(&unit, NalFraming::AnnexB).map(|u| unit_type(u.unwrap()).unwrap()).collect();
            assert_eq!(types, want);
        }
    }

    #[test]
    fn length_prefixes_replace_start_codes() {
        let unit = Pictures::new(size(64, 64)).unwrap().idr(1);
        let plain: Vec<_> = Units::new(&unit, NalFraming::AnnexB).map(Result::unwrap).collect();
        let prefixed = length_prefixed(&unit, 4);
        let framing = NalFraming::LengthPrefixed { length_bytes: 4 };
        let again: Vec<_> = Units::new(&prefixed, framing).map(Result::unwrap).collect();
        assert_eq!(plain, again);
    }

    #[test]
    fn b_frames_are_shown_in_every_place_once() {
        assert_eq!(reordered_times(4, 2, 10, 100), [(110, 100), (140, 110), (120, 120), (130, 130)]);
        for count in 1..30 {
            for b_frames in 0..4 {
                let times = reordered_times(count, b_frames, 1, 0);
                let mut shown: Vec<_> = times.iter().map(|&(pts, _)| pts).collect();
                assert!(times.iter().all(|&(pts, dts)| pts >= dts));
                shown.sort_unstable();
                assert!(shown.windows(2).all(|pair| pair[1] == pair[0] + 1), "{count} with {b_frames}");
            }
        }
    }
}
