//! OpenH264 behind the trait: every picture comes out, key frames where they are due, readable by others.
#![cfg(feature = "openh264")]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_precision_loss)]

#[path = "support/video.rs"]
mod video;

use std::io::Write;
use std::num::NonZeroU32;
use std::process::{Command, Stdio};

use recorder_codec::{
    CodecError, ContentKind, EncodedPicture, H264Encoder, H264EncoderOptions, I420, PictureKind, Plane,
    VideoEncoder, YuvMatrix,
};
use recorder_types::h264::{SpsInfo, Units, nal_type, unit_type};
use recorder_types::{NalFraming, Size, Timescale, Timestamp};
use video::{picture, size};

fn time(n: usize) -> Timestamp {
    Timestamp::new(n as i64 * 6000, Timescale::HZ_90000)
}

fn options() -> H264EncoderOptions {
    H264EncoderOptions::default().with_pictures_per_key(NonZeroU32::new(15).unwrap())
}

fn encode(options: &H264EncoderOptions, sizes: &[Size], keys: &[usize]) -> Vec<EncodedPicture> {
    let mut encoder = H264Encoder::new(options).unwrap();
    let mut out = Vec::new();
    for (n, &size) in sizes.iter().enumerate() {
        let kind = if keys.contains(&n) { PictureKind::Key } else { PictureKind::Any };
        let data = picture(size, n);
        encoder.encode(&I420::packed(size, &data).unwrap(), time(n), kind, &mut out).unwrap();
        assert_eq!(out.len(), n + 1, "one access unit a picture");
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn units(picture: &EncodedPicture) -> Vec<&[u8]> {
    Units::new(&picture.sample.data, NalFraming::AnnexB).map(Result::unwrap).collect()
}

#[test]
fn key_frames_come_when_due_and_when_asked_for() {
    let size = size(320, 180);
    let out = encode(&options(), &[size; 40], &[0, 20]);
    for (n, picture) in out.iter().enumerate() {
        assert_eq!(picture.sample.pts, time(n));
        assert_eq!(picture.sample.dts, time(n));
        let types: Vec<_> = units(picture).iter().filter_map(|unit| unit_type(unit)).collect();
        if picture.is_key {
            assert_eq!(types, [nal_type::SPS, nal_type::PPS, nal_type::IDR], "picture {n}");
            let sps = SpsInfo::parse(units(picture)[0]).unwrap();
            assert_eq!((sps.size, sps.reorder_frames.unwrap_or(0)), (size, 0));
        } else {
            assert_eq!(types, [nal_type::SLICE], "picture {n}");
        }
    }
    let keys: Vec<_> = (0..40).filter(|&n| out[n].is_key).collect();
    assert_eq!(keys, [0, 15, 20, 35]);
}

#[test]
fn the_stream_is_constrained_baseline_in_the_matrix_asked_for() {
    for (matrix, code) in [(YuvMatrix::Bt709, 1), (YuvMatrix::Bt601, 6)] {
        let out = encode(&options().with_matrix(matrix), &[size(320, 180)], &[]);
        let sps = units(&out[0])[0];
        assert_eq!(sps[1], 66, "profile_idc");
        assert_eq!(sps[2] & 0x40, 0x40, "constraint_set1_flag");
        let sps = recorder_types::h264::parse_sps(sps).unwrap();
        let signal = sps.vui_parameters.unwrap().video_signal_type.unwrap();
        assert!(!signal.video_full_range_flag);
        assert_eq!(signal.colour_description.unwrap().matrix_coefficients, code);
    }
}

#[test]
fn a_new_size_starts_with_a_key_frame() {
    let sizes: Vec<_> = (0..30).map(|n| if n < 10 { size(320, 180) } else { size(640, 360) }).collect();
    let out = encode(&options(), &sizes, &[10]);
    assert!(out[0].is_key && out[10].is_key);
    assert_eq!(SpsInfo::parse(units(&out[10])[0]).unwrap().size, size(640, 360));
}

#[test]
fn the_same_pictures_give_the_same_bytes() {
    let sizes = [size(320, 180); 30];
    assert_eq!(encode(&options(), &sizes, &[7]), encode(&options(), &sizes, &[7]));
}

#[test]
fn what_cannot_be_encoded_is_refused_and_changes_nothing() {
    let mut encoder = H264Encoder::new(&options()).unwrap();
    let mut out = Vec::new();
    for (width, height) in [(15, 16), (321, 180), (320, 181), (14, 14), (3842, 16), (2162, 2162)] {
        let size = size(width, height);
        let data = vec![0; (width * height * 2 + 8) as usize];
        let error = encoder.encode(&I420::packed(size, &data).unwrap(), time(0), PictureKind::Any, &mut out);
        assert!(matches!(error, Err(CodecError::PictureSize { .. })), "{size}");
    }
    let size = size(320, 180);
    let data = picture(size, 0);
    let picture = I420::packed(size, &data).unwrap();
    encoder.encode(&picture, time(5), PictureKind::Any, &mut out).unwrap();
    for at in [5, 4, 0] {
        let error = encoder.encode(&picture, time(at), PictureKind::Any, &mut out);
        assert!(matches!(error, Err(CodecError::PictureTime)));
    }
    encoder.encode(&picture, time(6), PictureKind::Any, &mut out).unwrap();
    assert_eq!(out.iter().map(|picture| picture.is_key).collect::<Vec<_>>(), [true, false]);
    assert!(H264Encoder::new(&options().with_bits_per_second(0)).is_err());
    assert!(H264Encoder::new(&options().with_bits_per_second(u32::MAX)).is_err());
    assert!(H264Encoder::new(&options().with_pictures_per_second(0)).is_err());
}

#[test]
fn strides_wider_than_the_picture_are_read_right() {
    let size = size(320, 180);
    let packed = picture(size, 3);
    let widen = |plane: &[u8], width: usize, stride: usize| -> Vec<u8> {
        plane
            .chunks(width)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(7, stride - width)))
            .collect()
    };
    let (y, u, v) = (320 * 180, 160 * 90, 160 * 90);
    let wide = [
        widen(&packed[..y], 320, 352),
        widen(&packed[y..y + u], 160, 176),
        widen(&packed[y + u..y + u + v], 160, 176),
    ];
    let planes = [
        Plane { data: &wide[0], stride: 352 },
        Plane { data: &wide[1], stride: 176 },
        Plane { data: &wide[2], stride: 176 },
    ];
    let mut out = Vec::new();
    for picture in [I420::new(size, planes).unwrap(), I420::packed(size, &packed).unwrap()] {
        let mut encoder = H264Encoder::new(&options()).unwrap();
        encoder.encode(&picture, time(0), PictureKind::Any, &mut out).unwrap();
    }
    assert_eq!(out[0], out[1]);
}

#[test]
fn another_decoder_gives_the_pictures_back() {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg");
        return;
    }
    for content in [ContentKind::Camera, ContentKind::Screen] {
        let size = size(320, 180);
        let out = encode(&options().with_content(content), &[size; 40], &[]);
        let stream: Vec<u8> = out.iter().flat_map(|picture| picture.sample.data.to_vec()).collect();
        let mut child = Command::new("ffmpeg")
            .args(["-v", "error", "-xerror", "-err_detect", "explode", "-f", "h264", "-i", "pipe:0"])
            .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&stream));
        let done = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        let bytes = 320 * 180 * 3 / 2;
        assert_eq!(done.stdout.len(), bytes * 40);
        for (n, got) in done.stdout.chunks(bytes).enumerate() {
            let error: f64 =
                picture(size, n).iter().zip(got).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let psnr = 10.0 * (255.0 * 255.0 / (error / bytes as f64).max(1e-9)).log10();
            assert!(psnr > 30.0, "{content:?} picture {n}: {psnr:.1} dB");
        }
    }
}

#[test]
fn another_reader_finds_the_colours() {
    let probe = |stream: &[u8]| {
        let mut child = Command::new("ffprobe")
            .args(["-v", "error", "-f", "h264", "-i", "pipe:0", "-of", "csv=p=0", "-show_entries"])
            .arg("stream=color_range,color_space,color_transfer,color_primaries")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(stream).unwrap();
        let done = child.wait_with_output().unwrap();
        Some(String::from_utf8(done.stdout).unwrap().trim().to_owned())
    };
    for (matrix, want) in
        [(YuvMatrix::Bt709, "tv,bt709,bt709,bt709"), (YuvMatrix::Bt601, "tv,smpte170m,smpte170m,smpte170m")]
    {
        let out = encode(&options().with_matrix(matrix), &[size(320, 180); 3], &[]);
        let stream: Vec<u8> = out.iter().flat_map(|picture| picture.sample.data.to_vec()).collect();
        let Some(got) = probe(&stream) else {
            println!("skipped: no ffprobe");
            return;
        };
        assert_eq!(got, want);
    }
}

#[test]
fn key_frames_are_told_in_seconds_too() {
    let options = H264EncoderOptions::default().with_pictures_per_second(5);
    let out = encode(&options.with_seconds_per_key(NonZeroU32::new(2).unwrap()), &[size(320, 180); 25], &[]);
    let keys: Vec<_> = (0..25).filter(|&n| out[n].is_key).collect();
    assert_eq!(keys, [0, 10, 20]);
    let most = H264EncoderOptions::default().with_seconds_per_key(NonZeroU32::MAX);
    assert_eq!(most.pictures_per_key, NonZeroU32::MAX);
}
