//! The H.264 decoder on streams that change, begin late, or are damaged: it goes on, in time, within its memory.
#![cfg(feature = "openh264")]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

#[path = "support/video.rs"]
mod video;

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use recorder_codec::{
    H264DecoderOptions, H264Encoder, H264EncoderOptions, I420, PictureKind, VideoEncoder, YuvMatrix,
};
use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{NalFraming, Sample, Size, Timescale, Timestamp};
use video::{annex_b, decode, decode_with, packed, picture, psnr, size, track};

const PICTURES: usize = 40;

/// Pictures of these sizes with a key frame every 20.
fn encode(matrix: YuvMatrix, sizes: &[Size]) -> Vec<Sample> {
    let options = H264EncoderOptions::default()
        .with_matrix(matrix)
        .with_bits_per_second(400_000)
        .with_pictures_per_key(NonZeroU32::new(20).unwrap());
    let mut encoder = H264Encoder::new(&options).unwrap();
    let mut out = Vec::new();
    for (n, &size) in sizes.iter().enumerate() {
        let data = picture(size, n);
        let time = Timestamp::new(n as i64 * 6000, Timescale::HZ_90000);
        encoder.encode(&I420::packed(size, &data).unwrap(), time, PictureKind::Any, &mut out).unwrap();
    }
    out.into_iter().map(|picture| picture.sample).collect()
}

fn small() -> Vec<Sample> {
    encode(YuvMatrix::Bt709, &[size(320, 180); PICTURES])
}

fn times(samples: &[Sample]) -> Vec<i64> {
    samples.iter().map(|sample| sample.pts.ticks()).collect()
}

#[test]
fn what_was_encoded_comes_back() {
    let (samples, mut n) = (small(), 0);
    let decoded = decode_with(&annex_b(), &H264DecoderOptions::default(), &samples, &mut |got| {
        let got = packed(got);
        let decibels = psnr(&got, &picture(size(320, 180), n));
        assert!(decibels > 33.0, "picture {n}: {decibels:.1} dB");
        n += 1;
    });
    assert_eq!(decoded.times(), times(&samples));
    assert_eq!((decoded.stats.damaged, decoded.stats.concealed), (0, 0));
}

#[test]
fn a_new_size_and_new_parameter_sets_are_followed_at_once() {
    let mut samples = encode(YuvMatrix::Bt709, &[size(320, 180); 10]);
    samples.extend(encode(YuvMatrix::Bt601, &[size(320, 180); 10]));
    samples.extend(encode(YuvMatrix::Bt709, &[[size(640, 360); 5], [size(176, 144); 5]].concat()));
    for (n, sample) in (0..).zip(&mut samples) {
        sample.pts = Timestamp::new(n * 6000, Timescale::HZ_90000);
    }
    let decoded = decode(&annex_b(), &samples);
    assert_eq!(decoded.times(), times(&samples));
    let want = [("320x180", 20), ("640x360", 5), ("176x144", 5)];
    assert_eq!(decoded.sizes(), want.map(|(size, count)| (size.to_owned(), count)));
    assert_eq!(decoded.stats.damaged, 0);
}

#[test]
fn decoding_starts_at_the_first_key_frame() {
    let samples = small();
    let decoded = decode(&annex_b(), &samples[7..]);
    assert_eq!(decoded.times(), times(&samples[20..]));
    assert_eq!(decoded.stats.before_key, 13);
    assert_eq!((decoded.stats.damaged, decoded.stats.concealed), (0, 0));
}

#[test]
fn after_a_lost_access_unit_pictures_are_marked_until_the_next_key_frame() {
    let mut samples = small();
    samples.remove(5);
    let decoded = decode(&annex_b(), &samples);
    assert_eq!(decoded.times(), times(&samples));
    let marked: Vec<_> = decoded.seen.iter().map(|seen| seen.is_concealed).collect();
    let want: Vec<_> = (0..PICTURES - 1).map(|n| (5..19).contains(&n)).collect();
    assert_eq!(marked, want);
    assert_eq!((decoded.stats.damaged, decoded.stats.concealed), (1, 14));
}

#[test]
fn a_cut_slice_gives_a_picture_at_its_own_time() {
    let whole = small();
    for at in [3, 12, 25] {
        let mut samples = whole.clone();
        let data = &samples[at].data;
        samples[at].data = data.slice(..data.len() / 2);
        let decoded = decode(&annex_b(), &samples);
        assert_eq!(decoded.times(), times(&samples), "cut at {at}");
        assert_eq!(decoded.stats.damaged, 1, "cut at {at}");
        assert!(!decoded.seen[at - 1].is_concealed && decoded.seen[at].is_concealed, "cut at {at}");
    }
}

#[test]
fn a_damaged_key_frame_is_shown_if_there_is_a_picture_to_conceal_it_with() {
    let whole = small();
    for (at, pictures, concealed) in [(0, 20, 0), (20, 40, 20)] {
        let mut samples = whole.clone();
        samples[at].data = samples[at].data.slice(..200);
        let decoded = decode(&annex_b(), &samples);
        assert_eq!(decoded.times(), times(&samples[PICTURES - pictures..]), "key frame {at}");
        assert_eq!((decoded.stats.concealed, decoded.stats.damaged), (concealed, 1), "key frame {at}");
    }
}

#[test]
fn a_lost_slice_gives_a_picture_at_its_own_time() {
    let Some((config, samples)) = track("h264/BA1_FT_C.264") else { return };
    for (at, lost) in [(40, 1), (41, 0)] {
        let mut samples = samples.clone();
        let units = Units::new(&samples[at].data, NalFraming::AnnexB).map(Result::unwrap);
        let (mut data, mut slice) = (Vec::new(), 0);
        for unit in units {
            let is_slice = matches!(unit_type(unit), Some(nal_type::SLICE | nal_type::IDR));
            if !(is_slice && slice == lost) {
                data.extend([0, 0, 0, 1]);
                data.extend(unit);
            }
            slice += usize::from(is_slice);
        }
        assert!(slice > 1, "one slice a picture shows nothing");
        samples[at].data = Bytes::from(data);
        let decoded = decode(&config, &samples);
        assert_eq!(decoded.times(), times(&samples), "slice {lost} of {at}");
        assert!(!decoded.seen[at - 1].is_concealed && decoded.seen[at].is_concealed, "slice {lost} of {at}");
        assert_eq!(decoded.stats.damaged, 1, "slice {lost} of {at}");
    }
}

#[test]
fn times_never_fall_after_damage_among_reordered_pictures() {
    let Some((config, samples)) = track("mp4/davidappend_v3.mp4") else { return };
    for lost in 0..samples.len() {
        for cut in [false, true] {
            let mut samples = samples.clone();
            if cut {
                let data = &samples[lost].data;
                samples[lost].data = data.slice(..data.len() * 2 / 3);
            } else {
                samples.remove(lost);
            }
            let decoded = decode(&config, &samples);
            assert!(decoded.seen.is_sorted_by(|a, b| a.pts < b.pts), "unit {lost}, cut {cut}");
            let told = times(&samples);
            assert!(decoded.seen.iter().all(|seen| told.contains(&seen.pts)), "unit {lost}, cut {cut}");
            // A lost key frame takes its group with it, and no more.
            assert!(decoded.seen.len() + 12 >= samples.len(), "unit {lost}, cut {cut}: {:?}", decoded.stats);
        }
    }
}

#[test]
fn pictures_over_the_limit_are_left_out_and_smaller_ones_go_on() {
    let mut samples = encode(YuvMatrix::Bt709, &[size(640, 360); 5]);
    samples.extend(encode(YuvMatrix::Bt709, &[size(320, 180); 5]));
    let options = H264DecoderOptions::default().with_max_pixels(320 * 192);
    let decoded = decode_with(&annex_b(), &options, &samples, &mut |_| {});
    assert_eq!(decoded.sizes(), [("320x180".to_owned(), 5)]);
    assert_eq!(decoded.stats.before_key, 5);
}

#[test]
fn damaged_streams_of_others_give_what_can_be_shown() {
    for (name, pictures, concealed, damaged, before_key) in [
        ("malformed/BA_MW_D_IDR_LOST.264", 70, 0, 0, 27),
        ("malformed/Error_I_P.264", 2, 1, 3, 0),
        ("malformed/sample_with_invalid_nalu.mp4", 30, 1, 1, 0),
        ("malformed/no-initial-keyframe.ts", 15, 0, 0, 63),
        ("rtp/str0m_h264.h264", 252, 228, 8, 0),
    ] {
        let Some((config, samples)) = track(name) else { continue };
        let decoded = decode(&config, &samples);
        let stats = decoded.stats;
        assert!(decoded.seen.is_sorted_by(|a, b| a.pts < b.pts), "{name}");
        assert_eq!(
            (stats.pictures, stats.concealed, stats.damaged),
            (pictures, concealed, damaged),
            "{name}"
        );
        assert_eq!((stats.before_key, stats.late, stats.restarts), (before_key, 0, 0), "{name}");
    }
}

/// A set that is damaged into one of another id stays in force, and must not stand in the way of the good ones.
#[test]
fn a_damaged_parameter_set_costs_one_group_at_most() {
    let whole = small();
    let sets: usize =
        Units::new(&whole[0].data, NalFraming::AnnexB).take(2).map(|unit| unit.unwrap().len() + 4).sum();
    for at in 0..sets {
        for value in [0, 1, 2, 0x80, 0xFF] {
            let mut samples = whole.clone();
            let mut data = samples[0].data.to_vec();
            data[at] = value;
            samples[0].data = data.into();
            let options = H264DecoderOptions::default().with_max_pixels(1 << 20);
            let decoded = decode_with(&annex_b(), &options, &samples, &mut |_| {});
            let good: Vec<_> = decoded.seen.iter().filter(|seen| seen.pts >= 20 * 6000).collect();
            assert_eq!(good.len(), 20, "{value:#x} at {at}: {:?}", decoded.stats);
            assert!(good.iter().all(|seen| !seen.is_concealed), "{value:#x} at {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Damaged at random in its first half, a stream is whole again from the key frame in its second half on.
    #[test]
    fn no_damage_outlives_the_next_key_frame(
        hits in proptest::collection::vec((0..20usize, any::<prop::sample::Index>(), any::<u8>()), 1..30),
        cut in proptest::option::of((0..20usize, any::<prop::sample::Index>())),
    ) {
        let mut samples = small();
        for (at, index, value) in hits {
            let mut data = samples[at].data.to_vec();
            *index.get_mut(&mut data) = value;
            samples[at].data = data.into();
        }
        if let Some((at, index)) = cut {
            let data = &samples[at].data;
            samples[at].data = data.slice(..index.index(data.len()));
        }
        // A damaged parameter set may ask for any size: the limit holds.
        let options = H264DecoderOptions::default().with_max_pixels(1 << 20);
        let decoded = decode_with(&annex_b(), &options, &samples, &mut |picture| {
            let size = picture.size();
            assert!(size.width() * size.height() <= 1 << 20);
        });
        prop_assert!(decoded.seen.is_sorted_by(|a, b| a.pts < b.pts));
        let good: Vec<_> = decoded.seen.iter().filter(|seen| seen.pts >= 20 * 6000).collect();
        prop_assert_eq!(good.len(), 20);
        prop_assert!(good.iter().all(|seen| !seen.is_concealed && seen.size == size(320, 180)));
    }
}
