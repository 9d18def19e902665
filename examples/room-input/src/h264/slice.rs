use std::collections::BTreeMap;
use std::sync::Arc;

use h264_reader::nal::sps::PicOrderCntType;
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError};
use recorder_types::h264::nal_type;

use super::params::{Pps, Sps, rbsp_prefix};
use crate::FrameRate;

/// A slice header never needs more: 64 weighted references take about 1000 bytes at the very most.
const HEADER_BYTES: usize = 1536;

/// Parameter sets by id, each the newest that came.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    sps: BTreeMap<u8, Arc<Sps>>,
    pps: BTreeMap<u8, Pps>,
    rate: Option<FrameRate>,
}

impl ParameterSets {
    /// Keeps what an SPS or PPS unit tells; a damaged one leaves the old in force.
    pub(super) fn put(&mut self, unit: &[u8]) {
        match recorder_types::h264::unit_type(unit) {
            Some(nal_type::SPS) => {
                if let Some(sps) = Sps::parse(unit) {
                    self.rate = self.rate.or(sps.rate);
                    self.sps.insert(sps.id, Arc::new(sps));
                }
            }
            Some(nal_type::PPS) => {
                if let Some(pps) = Pps::parse(unit) {
                    self.pps.insert(pps.id, pps);
                }
            }
            _ => {}
        }
    }

    /// The frame rate of the first SPS that told one.
    pub(super) const fn rate(&self) -> Option<FrameRate> {
        self.rate
    }

    fn of(&self, pps: u32) -> Option<(Pps, &Arc<Sps>)> {
        let pps = self.pps.get(&u8::try_from(pps).ok()?)?;
        Some((*pps, self.sps.get(&pps.sps)?))
    }
}

/// Frame or field (§7.4.3 `field_pic_flag`, `bottom_field_flag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Frame,
    Top,
    Bottom,
}

/// The part of a slice header that is the same in all slices of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) sps: Arc<Sps>,
    pub(super) pps: u8,
    pub(super) idr_pic_id: Option<u32>,
    pub(super) is_reference: bool,
    pub(super) frame_num: u32,
    pub(super) structure: Structure,
    /// `pic_order_cnt_lsb`; 0 for types 1 and 2.
    pub(super) order_lsb: u32,
    /// `delta_pic_order_cnt_bottom` in the second place for type 0, `delta_pic_order_cnt` for type 1.
    pub(super) order_delta: [i32; 2],
    /// `memory_management_control_operation` 5 is among the slice's: all earlier pictures are shown before this one.
    pub(super) resets: bool,
}

/// One slice, as far as it can be read.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) first_mb: u32,
    pub(super) is_idr: bool,
    /// `None` where the parameter sets are missing or the header is damaged.
    pub(super) picture: Option<Picture>,
    /// `redundant_pic_cnt` is above 0: a spare copy within the access unit.
    pub(super) is_redundant: bool,
}

impl Slice {
    /// Reads the header of a slice unit (types 1, 2 and 5); `None` if not even its first field is there.
    pub(super) fn parse(unit: &[u8], sets: &ParameterSets) -> Option<Self> {
        let header = *unit.first()?;
        let rbsp = rbsp_prefix(unit, HEADER_BYTES);
        let mut bits = BitReader::new(&*rbsp);
        let first_mb = bits.read_ue("first_mb_in_slice").ok()?;
        let is_idr = header & 0x1F == nal_type::IDR;
        let mut slice = Self { first_mb, is_idr, picture: None, is_redundant: false };
        if let Ok(Some((picture, is_redundant))) = read(&mut bits, sets, is_idr, header & 0x60 != 0) {
            slice.picture = Some(picture);
            slice.is_redundant = is_redundant;
        }
        Some(slice)
    }
}

/// §7.3.3, from `slice_type` on.
fn read(
    bits: &mut impl BitRead,
    sets: &ParameterSets,
    is_idr: bool,
    is_reference: bool,
) -> Result<Option<(Picture, bool)>, BitReaderError> {
    let slice_type = bits.read_ue("slice_type")? % 5;
    let pps_id = bits.read_ue("pic_parameter_set_id")?;
    let Some((pps, sps)) = sets.of(pps_id) else {
        return Ok(None);
    };
    if sps.separate_planes {
        bits.skip(2, "colour_plane_id")?;
    }
    let frame_num = bits.read_var(sps.frame_num_bits, "frame_num")?;
    let structure = match sps.fields && bits.read_bit("field_pic_flag")? {
        false => Structure::Frame,
        true if bits.read_bit("bottom_field_flag")? => Structure::Bottom,
        true => Structure::Top,
    };
    let idr_pic_id = if is_idr { Some(bits.read_ue("idr_pic_id")?) } else { None };
    let has_second_delta = pps.bottom_field_order && structure == Structure::Frame;
    let (mut order_lsb, mut order_delta) = (0, [0, 0]);
    match &sps.order {
        PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: extra } => {
            order_lsb = bits.read_var(u32::from(*extra) + 4, "pic_order_cnt_lsb")?;
            if has_second_delta {
                order_delta[1] = bits.read_se("delta_pic_order_cnt_bottom")?;
            }
        }
        PicOrderCntType::TypeOne { delta_pic_order_always_zero_flag: false, .. } => {
            order_delta[0] = bits.read_se("delta_pic_order_cnt[0]")?;
            if has_second_delta {
                order_delta[1] = bits.read_se("delta_pic_order_cnt[1]")?;
            }
        }
        PicOrderCntType::TypeOne { .. } | PicOrderCntType::TypeTwo => {}
    }
    let is_redundant = pps.redundant && bits.read_ue("redundant_pic_cnt")? > 0;
    // What comes now is only needed for the reset: if it is damaged, the picture counts as one without.
    let resets = !is_idr && is_reference && read_reset(bits, slice_type, &pps, sps).unwrap_or(false);
    let sps = Arc::clone(sps);
    let pps = pps.id;
    let picture =
        Picture { sps, pps, idr_pic_id, is_reference, frame_num, structure, order_lsb, order_delta, resets };
    Ok(Some((picture, is_redundant)))
}

/// Whether operation 5 is in `dec_ref_pic_marking` (§7.3.3.3); reads over all that is before it.
fn read_reset(
    bits: &mut impl BitRead,
    slice_type: u32,
    pps: &Pps,
    sps: &Sps,
) -> Result<bool, BitReaderError> {
    let (p, b) = (matches!(slice_type, 0 | 3), slice_type == 1);
    if b {
        bits.read_bit("direct_spatial_mv_pred_flag")?;
    }
    let mut refs_minus1 = pps.refs_minus1;
    let lists = usize::from(p) + 2 * usize::from(b);
    if lists > 0 && bits.read_bit("num_ref_idx_active_override_flag")? {
        for refs in refs_minus1.iter_mut().take(lists) {
            *refs = bits.read_ue("num_ref_idx_active_minus1")?;
        }
    }
    for _ in 0..lists {
        if bits.read_bit("ref_pic_list_modification_flag")? {
            while bits.read_ue("modification_of_pic_nums_idc")? != 3 {
                bits.read_ue("abs_diff_pic_num_minus1 or long_term_pic_num")?;
            }
        }
    }
    if (p && pps.weighted_p) || (b && pps.weighted_b) {
        bits.read_ue("luma_log2_weight_denom")?;
        if sps.chroma {
            bits.read_ue("chroma_log2_weight_denom")?;
        }
        for refs_minus1 in refs_minus1.iter().take(lists) {
            for _ in 0..=*refs_minus1 {
                skip_weights(bits, 1)?;
                if sps.chroma {
                    skip_weights(bits, 2)?;
                }
            }
        }
    }
    if bits.read_bit("adaptive_ref_pic_marking_mode_flag")? {
        loop {
            match bits.read_ue("memory_management_control_operation")? {
                0 => break,
                5 => return Ok(true),
                3 => {
                    bits.read_ue("difference_of_pic_nums_minus1")?;
                    bits.read_ue("long_term_frame_idx")?;
                }
                _ => {
                    bits.read_ue("operand")?;
                }
            }
        }
    }
    Ok(false)
}

fn skip_weights(bits: &mut impl BitRead, components: u32) -> Result<(), BitReaderError> {
    if bits.read_bit("weight_flag")? {
        for _ in 0..components {
            bits.read_se("weight")?;
            bits.read_se("offset")?;
        }
    }
    Ok(())
}

impl Picture {
    /// Whether two slices are of different primary coded pictures (§7.4.1.2.4).
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.frame_num != other.frame_num
            || self.pps != other.pps
            || self.structure != other.structure
            || self.is_reference != other.is_reference
            || self.order_lsb != other.order_lsb
            || self.order_delta != other.order_delta
            || self.idr_pic_id != other.idr_pic_id
    }

    /// Whether this field makes a frame together with `first`, the field right before it (§3.30, complementary
    /// field pairs).
    pub(super) fn completes(&self, first: &Self) -> bool {
        let opposite = matches!(
            (first.structure, self.structure),
            (Structure::Top, Structure::Bottom) | (Structure::Bottom, Structure::Top)
        );
        opposite && self.frame_num == first.frame_num && self.idr_pic_id.is_none() && self.sps == first.sps
    }
}
