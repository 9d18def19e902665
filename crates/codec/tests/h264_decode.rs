//! The H.264 decoder on real streams: every picture, at its time, in order of display, and equal to FFmpeg's.
#![cfg(feature = "openh264")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

#[path = "support/video.rs"]
mod video;

use std::path::Path;
use std::process::Command;

use recorder_codec::{DecoderStats, H264DecoderOptions};
use recorder_testkit::media::media_file;
use recorder_types::{H264Config, Sample};
use video::{Theirs, access_units, annex_b, decode_with, numbered, packed, psnr, track};

/// How near the pictures of a stream are to FFmpeg's.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Equal to the byte.
    Exact,
    /// So many pictures are, and the others are no further away than this, in dB. These streams have B-frames with
    /// direct prediction, or long-term references: see the crate's documentation.
    Near(usize, f64),
}
use Want::{Exact, Near};

/// Decodes `name`, which decodes cleanly, and compares it with FFmpeg, after `filter` if one is needed.
fn same_as_ffmpeg(name: &str, pictures: usize, want: Want, filter: Option<&str>) {
    let Some((config, samples)) = track(name) else { return };
    same(name, &config, &samples, &media_file(name).unwrap(), pictures, want, filter);
}

fn same(
    name: &str,
    config: &H264Config,
    samples: &[Sample],
    file: &Path,
    pictures: usize,
    want: Want,
    filter: Option<&str>,
) {
    let mut theirs = Theirs::start(file, filter);
    let (mut equal, mut worst) = (0, 99.0f64);
    let decoded = decode_with(config, &H264DecoderOptions::default(), samples, &mut |picture| {
        let ours = packed(picture);
        if let Some(theirs) = &mut theirs {
            let theirs = theirs.next(ours.len());
            equal += usize::from(ours == theirs);
            worst = worst.min(psnr(&ours, &theirs));
        }
    });
    assert_eq!(decoded.seen.len(), pictures, "{name}: {:?}", decoded.stats);
    assert_eq!(decoded.stats.pictures, pictures as u64, "{name}");
    let DecoderStats { concealed, damaged, late, restarts, .. } = decoded.stats;
    assert_eq!((concealed, damaged, late, restarts), (0, 0, 0, 0), "{name}");
    if samples.iter().any(|sample| sample.pts != sample.dts) || name.ends_with("mp4") {
        assert!(decoded.seen.is_sorted_by(|a, b| a.pts < b.pts), "{name}: times do not rise");
        let mut times: Vec<_> = samples.iter().map(|sample| sample.pts.ticks()).collect();
        times.sort_unstable();
        assert_eq!(decoded.times(), times, "{name}: other times than told");
    }
    if let Some(theirs) = theirs {
        theirs.end();
        println!("{name}: {equal} of {pictures} equal, worst {worst:.1} dB");
        match want {
            Exact => assert_eq!(equal, pictures, "{name}: worst {worst:.1} dB"),
            Near(least, decibels) => {
                assert!(equal >= least && worst >= decibels, "{name}: {equal} equal, worst {worst:.1} dB");
            }
        }
    }
}

#[test]
fn raw_streams_decode_as_with_ffmpeg() {
    for (name, pictures, want) in [
        ("h264/Adobe_PDF_sample_a_1024x768_50Frms.264", 50, Exact),
        ("h264/BA1_FT_C.264", 299, Exact),
        ("h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", 9, Exact),
        ("h264/LS_SVA_D.264", 1700, Exact),
        ("h264/MIDR_MW_D.264", 100, Exact),
        ("h264/MPS_MW_A.264", 150, Exact),
        ("h264/MR1_BT_A.h264", 62, Exact),
        ("h264/VID_1280x720_cabac_temporal_direct.264", 300, Near(4, 52.0)),
        ("h264/VID_1920x1080_cabac_temporal_direct.264", 54, Near(3, 65.0)),
        ("h264/Zhling_1280x720.264", 19, Exact),
        ("h264/test_qcif_cabac.264", 30, Exact),
    ] {
        same_as_ffmpeg(name, pictures, want, None);
    }
}

#[test]
fn cropping_from_the_left_is_done() {
    // FFmpeg leaves the left edge uncropped where it is not aligned, and gives 326 columns.
    same_as_ffmpeg("h264/CVFC1_Sony_C.jsv", 50, Exact, Some("crop=300:168:26:0:exact=1"));
}

#[test]
fn camera_clips_decode_as_with_ffmpeg() {
    for (clip, pictures, equal) in [
        ("again", 77, 2),
        ("bird", 63, 12),
        ("book", 109, 16),
        ("brother", 65, 5),
        ("eat", 47, 5),
        ("help", 58, 2),
        ("hungry", 49, 23),
        ("learn", 61, 21),
        ("milk", 51, 11),
        ("night", 68, 37),
        ("no", 66, 2),
        ("please", 73, 2),
    ] {
        same_as_ffmpeg(&format!("camera-set/asl_{clip}.h264"), pictures, Near(equal, 65.0), None);
    }
}

#[test]
fn mp4_pictures_come_at_their_times() {
    for (name, pictures, want) in [
        ("mp4/count-video.mp4", 245, Near(228, 65.0)),
        ("mp4/one-by-one-person-detection.mp4", 1394, Near(1337, 65.0)),
        ("mp4/chrome.mp4", 899, Exact),
        ("mp4/sample.mp4", 30, Exact),
        ("mp4/sample_fragmented.mp4", 30, Exact),
        ("mp4/seq_h264_1.mp4", 321, Near(314, 65.0)),
        ("mp4/davidappend_v1.mp4", 51, Exact),
        ("mp4/davidappend_v2.mp4", 178, Near(146, 65.0)),
        ("mp4/davidappend_v3.mp4", 76, Near(62, 65.0)),
        ("mp4/cursed-vfr.mp4", 63, Near(7, 28.0)),
        ("mp4/video_90.mov", 3, Exact),
        ("malformed/sample_mdat_too_long.mp4", 30, Exact),
        ("malformed/sample_missing_stsd.mp4", 30, Exact),
    ] {
        same_as_ffmpeg(name, pictures, want, None);
    }
}

#[test]
fn transport_stream_pictures_come_at_their_times() {
    for (name, pictures, want) in [
        ("hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts", 48, Near(32, 65.0)),
        ("hls/gap/2.ts", 240, Exact),
        ("hls/speaker-aac/fileSequence0.ts", 299, Exact),
        ("malformed/test-middle-pat-pmt.ts", 15, Exact),
    ] {
        same_as_ffmpeg(name, pictures, want, None);
    }
}

/// What the crate's documentation says of the pictures that differ: the same clip, coded with other tools, is exact.
#[test]
fn only_deblocked_direct_prediction_differs() {
    let Some(clip) = media_file("camera-set/asl_book.h264") else { return };
    let directory = std::env::temp_dir().join(format!("recorder-codec-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (name, tools, want) in [
        ("p-frames", "bframes=0:ref=4:weightp=2", Exact),
        ("b-frames", "bframes=3:direct=none", Exact),
        ("slices", "bframes=3:direct=none:slices=4", Exact),
        ("spatial", "bframes=3:direct=spatial:no-deblock=1", Exact),
        ("temporal", "bframes=3:direct=temporal:no-deblock=1", Exact),
        ("deblocked", "bframes=3:direct=spatial", Near(10, 65.0)),
    ] {
        let file = directory.join(format!("{name}.h264"));
        let coded = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "quiet", "-y", "-i"])
            .arg(&clip)
            .args(["-c:v", "libx264", "-preset", "medium", "-crf", "26", "-x264-params"])
            .arg(format!("threads=1:{tools}"))
            .arg(&file)
            .status();
        if !coded.is_ok_and(|status| status.success()) {
            println!("skipped: no ffmpeg with libx264");
            return;
        }
        let samples = numbered(access_units(&std::fs::read(&file).unwrap()));
        same(name, &annex_b(), &samples, &file, 109, want, None);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
