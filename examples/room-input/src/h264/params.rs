use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError};
use recorder_types::h264::parse_sps;

use crate::FrameRate;

/// What access-unit detection and picture order need of a sequence parameter set (§7.4.2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u8,
    /// `log2_max_frame_num_minus4 + 4`.
    pub(super) frame_num_bits: u32,
    pub(super) order: PicOrderCntType,
    /// `frame_mbs_only_flag` is 0: pictures may be fields.
    pub(super) fields: bool,
    pub(super) separate_planes: bool,
    /// `ChromaArrayType` is not 0.
    pub(super) chroma: bool,
    /// How many pictures may come before one that is shown earlier, where the stream or its profile tells.
    pub(super) reorder: Option<u8>,
    pub(super) rate: Option<FrameRate>,
}

/// No stream holds back more pictures than the decoded picture buffer has places (§A.3.1).
pub(super) const MAX_REORDER: u8 = 16;

impl Sps {
    /// `None` if the unit does not follow the syntax.
    pub(super) fn parse(unit: &[u8]) -> Option<Self> {
        let sps = parse_sps(unit).ok()?;
        let vui = sps.vui_parameters.as_ref();
        let told = vui
            .and_then(|vui| vui.bitstream_restrictions.as_ref())
            .map(|told| u8::try_from(told.max_num_reorder_frames).unwrap_or(MAX_REORDER).min(MAX_REORDER));
        let profile = u8::from(sps.profile_idc);
        // Baseline has no B slices; intra profiles have no others; type 2 is output order by definition (§8.2.1.3).
        let intra = sps.constraint_flags.flag3() && matches!(profile, 44 | 86 | 100 | 110 | 122 | 244);
        let in_order = profile == 66 || intra || sps.pic_order_cnt == PicOrderCntType::TypeTwo;
        let rate = vui
            .and_then(|vui| vui.timing_info.as_ref())
            .and_then(|timing| FrameRate::new(timing.time_scale, timing.num_units_in_tick.checked_mul(2)?));
        let separate_planes = sps.chroma_info.separate_colour_plane_flag;
        Some(Self {
            id: sps.seq_parameter_set_id.id(),
            frame_num_bits: u32::from(sps.log2_max_frame_num_minus4) + 4,
            fields: sps.frame_mbs_flags != FrameMbsFlags::Frames,
            separate_planes,
            chroma: !separate_planes && sps.chroma_info.chroma_format.to_u32() != 0,
            reorder: if in_order { Some(0) } else { told },
            rate,
            order: sps.pic_order_cnt,
        })
    }
}

/// What slice headers need of a picture parameter set (§7.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    pub(super) id: u8,
    pub(super) sps: u8,
    pub(super) bottom_field_order: bool,
    /// Default number of reference pictures of list 0 and 1, minus 1.
    pub(super) refs_minus1: [u32; 2],
    pub(super) weighted_p: bool,
    pub(super) weighted_b: bool,
    pub(super) redundant: bool,
}

impl Pps {
    /// `None` if the unit does not follow the syntax. Reads up to `redundant_pic_cnt_present_flag`, none of which
    /// depends on the sequence parameter set.
    pub(super) fn parse(unit: &[u8]) -> Option<Self> {
        let rbsp = rbsp_prefix(unit, unit.len());
        Self::read(&mut BitReader::new(&*rbsp)).ok().flatten()
    }

    fn read(bits: &mut impl BitRead) -> Result<Option<Self>, BitReaderError> {
        let (id, sps) = (bits.read_ue("pic_parameter_set_id")?, bits.read_ue("seq_parameter_set_id")?);
        let (Ok(id), Ok(sps @ 0..=31)) = (u8::try_from(id), u8::try_from(sps)) else {
            return Ok(None);
        };
        bits.read_bit("entropy_coding_mode_flag")?;
        let bottom_field_order = bits.read_bit("bottom_field_pic_order_in_frame_present_flag")?;
        let groups_minus1 = bits.read_ue("num_slice_groups_minus1")?;
        if groups_minus1 > 7 {
            return Ok(None);
        }
        if groups_minus1 > 0 {
            skip_slice_groups(bits, groups_minus1)?;
        }
        let refs_minus1 =
            [bits.read_ue("num_ref_idx_l0_default_minus1")?, bits.read_ue("num_ref_idx_l1_default_minus1")?];
        let weighted_p = bits.read_bit("weighted_pred_flag")?;
        let weighted_b = bits.read::<2, u8>("weighted_bipred_idc")? == 1;
        bits.read_se("pic_init_qp_minus26")?;
        bits.read_se("pic_init_qs_minus26")?;
        bits.read_se("chroma_qp_index_offset")?;
        bits.read_bit("deblocking_filter_control_present_flag")?;
        bits.read_bit("constrained_intra_pred_flag")?;
        let redundant = bits.read_bit("redundant_pic_cnt_present_flag")?;
        Ok(Some(Self { id, sps, bottom_field_order, refs_minus1, weighted_p, weighted_b, redundant }))
    }
}

fn skip_slice_groups(bits: &mut impl BitRead, groups_minus1: u32) -> Result<(), BitReaderError> {
    match bits.read_ue("slice_group_map_type")? {
        0 => {
            for _ in 0..=groups_minus1 {
                bits.read_ue("run_length_minus1")?;
            }
        }
        2 => {
            for _ in 0..groups_minus1 {
                bits.read_ue("top_left")?;
                bits.read_ue("bottom_right")?;
            }
        }
        3..=5 => {
            bits.read_bit("slice_group_change_direction_flag")?;
            bits.read_ue("slice_group_change_rate_minus1")?;
        }
        6 => {
            let id_bits = u32::BITS - groups_minus1.leading_zeros();
            for _ in 0..=bits.read_ue("pic_size_in_map_units_minus1")? {
                bits.skip(id_bits, "slice_group_id")?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The first bytes of a NAL unit's payload: header byte and emulation prevention taken away (§7.3.1), from at most
/// `max` bytes of the unit.
pub(super) fn rbsp_prefix(unit: &[u8], max: usize) -> Vec<u8> {
    let unit = unit.get(1..unit.len().min(max)).unwrap_or_default();
    let mut rbsp = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        rbsp.push(byte);
    }
    rbsp
}
