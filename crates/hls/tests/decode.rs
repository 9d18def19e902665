//! What FFmpeg says of segments made from real streams.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::fs;
use std::path::Path;

use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead, BitReader, decode_nal};
use recorder_hls::{AccessUnit, Pushed};
use recorder_types::NalFraming;
use recorder_types::h264::{Units, nal_type, parse_sps};
use support::*;

/// Bytes of one `.264` file as segments at 25 Hz; `None` where it is not there.
fn segments_of(name: &str) -> Option<(Collected, u64)> {
    let stream = fs::read(media(name)?).unwrap();
    let mut segmenter = segmenter(options("x"), video_streams());
    let mut out = Collected::default();
    let pictures = pictures(&stream);
    let shown = display_order(&pictures);
    for (n, (data, shown)) in (0..).zip(pictures.into_iter().zip(shown)) {
        let unit = AccessUnit { pts: ms((shown + 4) * 40), dts: ms(n * 40), data };
        let pushed = segmenter.push_video(&unit).unwrap();
        assert!(!matches!(pushed, Pushed::Dropped(_)), "{name}, picture {n}: {pushed:?}");
        out.drain(&mut segmenter);
    }
    segmenter.finish();
    out.drain(&mut segmenter);
    Some((out, segmenter.stats().pictures))
}

/// For each picture its place in order of display; that of decoding where the SPS tells no picture order by its bits.
fn display_order(pictures: &[bytes::Bytes]) -> Vec<i64> {
    let mut order: Vec<(usize, i64)> = Vec::new(); // group and picture order count of each
    let mut sps = None;
    let (mut group, mut high, mut before) = (0, 0, 0);
    for data in pictures {
        for unit in Units::new(data, NalFraming::AnnexB).map_while(Result::ok) {
            match unit[0] & 0x1F {
                nal_type::SPS => sps = parse_sps(unit).ok(),
                nal_type::SLICE | nal_type::IDR if order.len() < pictures.len() => {
                    let idr = unit[0] & 0x1F == nal_type::IDR;
                    let Some((lsb, bits)) = sps.as_ref().and_then(|sps| order_bits(unit, sps, idr)) else {
                        continue;
                    };
                    let half = 1 << (bits - 1);
                    if idr {
                        (group, high, before) = (group + 1, 0, 0);
                    }
                    // H.264 §8.2.1.1, counted from the picture before whether or not it is a reference.
                    if before - lsb >= half {
                        high += 2 * half;
                    } else if lsb - before > half {
                        high -= 2 * half;
                    }
                    before = lsb;
                    order.push((group, high + lsb));
                    break;
                }
                _ => {}
            }
        }
    }
    if order.len() != pictures.len() {
        return (0..).take(pictures.len()).collect();
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    order.iter().map(|key| i64::try_from(sorted.binary_search(key).unwrap()).unwrap()).collect()
}

/// `pic_order_cnt_lsb` of a slice and how many bits it has.
fn order_bits(unit: &[u8], sps: &SeqParameterSet, idr: bool) -> Option<(i64, u32)> {
    let PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } = sps.pic_order_cnt else {
        return None;
    };
    let FrameMbsFlags::Frames = sps.frame_mbs_flags else { return None };
    let rbsp = decode_nal(unit.get(..40.min(unit.len()))?).ok()?;
    let mut bits = BitReader::new(&*rbsp);
    for _ in 0..3 {
        bits.read_ue("first_mb_in_slice, slice_type, pic_parameter_set_id").ok()?;
    }
    let _frame_num: u32 = bits.read_var(u32::from(sps.log2_max_frame_num()), "frame_num").ok()?;
    if idr {
        bits.read_ue("idr_pic_id").ok()?;
    }
    let width = u32::from(log2_max_pic_order_cnt_lsb_minus4) + 4;
    let lsb: u32 = bits.read_var(width, "pic_order_cnt_lsb").ok()?;
    Some((lsb.into(), width))
}

fn scratch(test: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Decodes strictly; returns how many frames came out.
fn decoded(path: &str) -> Option<u64> {
    let args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path];
    let (ok, _, errors) = run("ffmpeg", &[&args[..], &["-f", "null", "-"]].concat())?;
    assert!(ok && errors.is_empty(), "{path}: {errors}");
    let count =
        ["-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames"];
    let (_, frames, errors) = run("ffprobe", &[&count[..], &["-of", "csv=p=0", path]].concat())?;
    assert!(errors.is_empty(), "{path}: {errors}");
    frames.lines().next().and_then(|line| line.trim_end_matches(',').parse().ok())
}

#[test]
fn real_streams_decode_without_an_error_and_lose_no_picture() {
    let dir = scratch("real_streams");
    for name in [
        "h264/Adobe_PDF_sample_a_1024x768_50Frms.264",
        "h264/BA1_FT_C.264",
        "h264/LS_SVA_D.264",
        "h264/MIDR_MW_D.264",
        "h264/MPS_MW_A.264",
        "h264/Zhling_1280x720.264",
        "h264/test_qcif_cabac.264",
        "h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264",
        "h264/VID_1280x720_cabac_temporal_direct.264",
        "camera-set/asl_again.h264",
        "camera-set/asl_bird.h264",
        "camera-set/asl_night.h264",
    ] {
        let Some((out, pictures)) = segments_of(name) else { return };
        let path = dir.join("x.ts");
        fs::write(&path, out.ts()).unwrap();
        let Some(frames) = decoded(path.to_str().unwrap()) else { return };
        assert_eq!(frames, pictures, "{name}");
        // Each segment stands on its own.
        for (_, data) in &out.segments {
            fs::write(&path, data).unwrap();
            decoded(path.to_str().unwrap());
        }
    }
}

#[test]
fn a_damaged_capture_goes_through_with_its_change_of_size() {
    // Three RTP packets of it are lost, which FFmpeg rightly complains about: only the counts can be compared.
    let Some((out, pictures)) = segments_of("rtp/str0m_h264.h264") else { return };
    assert!(out.playlist.contains("#EXT-X-TRTC-VIDEO-METADATA:WIDTH:494 HEIGHT:370 Codec:27\n"));
    assert!(
        out.playlist
            .contains("#EXT-X-DISCONTINUITY\n#EXT-X-TRTC-VIDEO-METADATA:WIDTH:640 HEIGHT:480 Codec:27\n")
    );
    assert_eq!(out.segments.iter().map(|(info, _)| info.pictures).sum::<u64>(), pictures);
    assert!(out.segments.iter().all(|(info, _)| info.starts_with_key_frame));
}

#[test]
fn real_aac_decodes_without_an_error() {
    let Some(path) = media("audio/count-english.adts.aac") else { return };
    let stream = bytes::Bytes::from(fs::read(path).unwrap());
    let streams = recorder_hls::Streams { video: None, audio: Some(recorder_types::AacConfig::Adts) };
    let mut segmenter = segmenter(options("x"), streams);
    let (mut rest, mut samples, mut frames) = (stream, 0i64, 0);
    while let Ok(frame) = recorder_types::aac::AdtsFrame::parse(&rest) {
        let time = recorder_types::Timestamp::new(samples, frame.config.timescale()).to_room_time().unwrap();
        assert_eq!(segmenter.push_audio(&at(time, rest.split_to(frame.frame_len))), Ok(Pushed::Written));
        samples += 1024;
        frames += 1;
    }
    segmenter.finish();
    let path = scratch("real_aac").join("x.ts");
    fs::write(&path, collect(&mut segmenter).ts()).unwrap();
    let path = path.to_str().unwrap();
    let args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path, "-f", "null", "-"];
    let Some((ok, _, errors)) = run("ffmpeg", &args) else { return };
    assert!(ok && errors.is_empty(), "{errors}");
    let count =
        ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path];
    let Some((_, packets, _)) = run("ffprobe", &count) else { return };
    assert_eq!(
        packets.lines().next().map(|line| line.trim_end_matches(',')),
        Some(frames.to_string().as_str())
    );
}

#[test]
fn damaged_streams_go_through_and_their_losses_are_counted() {
    for name in ["BA_MW_D_IDR_LOST.264", "Error_I_P.264", "sps_subsetsps_bothVUI.264"] {
        let Some(path) = media(&format!("malformed/{name}")) else { return };
        let pictures = pictures(&fs::read(path).unwrap());
        let mut segmenter = segmenter(options("x"), video_streams());
        let count = u64::try_from(pictures.len()).unwrap();
        for (n, data) in (0..).zip(pictures) {
            let _ = segmenter.push_video(&at(ms(n * 40), data)).unwrap();
        }
        segmenter.finish();
        let stats = segmenter.stats();
        println!("{name}: {stats:?}");
        assert_eq!(stats.pictures + stats.waited + stats.lost_total(), count, "{name}");
        let out = collect(&mut segmenter);
        assert!(out.segments.iter().all(|(info, _)| info.starts_with_key_frame), "{name}");
    }
}
