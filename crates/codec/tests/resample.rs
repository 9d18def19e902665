//! The resampler: as long as told, in place, true to the signal, however the input is cut.
#![cfg(feature = "resample")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

use proptest::prelude::*;
use recorder_codec::{CodecError, Resampler};

const FROM: [u32; 11] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000];
const TO: [u32; 3] = [16_000, 44_100, 48_000];

fn pairs() -> impl Iterator<Item = (u32, u32)> {
    FROM.into_iter().flat_map(|from| TO.into_iter().map(move |to| (from, to)))
}

fn resample(from: u32, to: u32, channels: u8, pcm: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(from, to, channels).unwrap();
    let mut out = Vec::new();
    resampler.push(pcm, &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..samples).map(|n| (0.5 * (step * n as f64).sin()) as f32).collect()
}

#[test]
fn the_output_is_as_long_as_the_input_rounded_up() {
    for (from, to) in pairs() {
        for samples in [0, 1, 2, 479, 480, 1023, 1024, 10_007, from as usize] {
            let want = (samples as u64 * u64::from(to)).div_ceil(from.into()) as usize;
            assert_eq!(
                resample(from, to, 2, &vec![0.25; samples * 2]).len(),
                want * 2,
                "{samples}: {from} to {to}"
            );
        }
    }
}

#[test]
fn an_impulse_stays_in_its_place() {
    for (from, to) in pairs() {
        for at in [600, 5_000, 9_990] {
            let mut pcm = vec![0.0; 10_000];
            pcm[at] = 1.0;
            let out = resample(from, to, 1, &pcm);
            let peak = (0..out.len()).max_by(|a, b| out[*a].abs().total_cmp(&out[*b].abs())).unwrap();
            let want = at as f64 * f64::from(to) / f64::from(from);
            assert!((peak as f64 - want).abs() <= 1.0, "{at}: {peak} for {want:.1}, {from} to {to}");
        }
    }
}

#[test]
fn a_tone_comes_out_as_if_sampled_at_the_other_rate() {
    for (from, to) in pairs() {
        for part in [0.05, 0.35] {
            let hz = f64::from(from.min(to)) * part;
            let out = resample(from, to, 1, &tone(hz, from, from as usize));
            let want = tone(hz, to, out.len());
            // The ends hear the silence outside.
            let middle = out.len() / 5..out.len() * 4 / 5;
            let power = |pcm: &mut dyn Iterator<Item = f32>| pcm.map(|x| f64::from(x).powi(2)).sum::<f64>();
            let noise = power(&mut middle.clone().map(|n| out[n] - want[n]));
            let decibels = 10.0 * (power(&mut middle.map(|n| want[n])) / noise.max(1e-12)).log10();
            assert!(decibels > 80.0, "{hz} Hz, {from} to {to}: {decibels:.1} dB");
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_taken_out() {
    for (from, to, hz) in [(48_000, 16_000, 10_000.0), (96_000, 44_100, 30_000.0)] {
        let out = resample(from, to, 1, &tone(hz, from, from as usize));
        let loudest = out[out.len() / 5..out.len() * 4 / 5].iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(loudest < 5e-5, "{hz} Hz is heard at {loudest}");
    }
}

#[test]
fn channels_stay_apart() {
    let (left, right) = (tone(440.0, 44_100, 20_000), tone(3000.0, 44_100, 20_000));
    let both: Vec<_> = left.iter().zip(&right).flat_map(|(a, b)| [*a, *b]).collect();
    let out = resample(44_100, 48_000, 2, &both);
    for (channel, alone) in [left, right].iter().enumerate() {
        let alone = resample(44_100, 48_000, 1, alone);
        assert!(out.iter().skip(channel).step_by(2).eq(&alone), "channel {channel}");
    }
}

#[test]
fn what_cannot_be_resampled_is_refused_and_changes_nothing() {
    for (from, to, channels) in
        [(7_999, 48_000, 1), (48_000, 96_001, 1), (48_000, 44_100, 0), (48_000, 44_100, 3)]
    {
        assert!(matches!(Resampler::new(from, to, channels), Err(CodecError::Resample { .. })));
    }
    let mut resampler = Resampler::new(44_100, 48_000, 2).unwrap();
    let mut out = Vec::new();
    assert!(matches!(resampler.push(&[0.0; 3], &mut out), Err(CodecError::PcmLength { .. })));
    assert!(matches!(resampler.push(&[0.0, f32::NAN], &mut out), Err(CodecError::PcmNotFinite { at: 1 })));
    resampler.finish(&mut out).unwrap();
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn cuts_do_not_matter_and_finish_makes_new(
        from in prop::sample::select(FROM.to_vec()),
        to in prop::sample::select(TO.to_vec()),
        cuts in proptest::collection::vec(0..3000usize, 1..8),
    ) {
        let pcm = tone(437.0, from, cuts.iter().sum());
        let whole = resample(from, to, 1, &pcm);
        let mut resampler = Resampler::new(from, to, 1).unwrap();
        for _ in 0..2 {
            let (mut out, mut rest) = (Vec::new(), &pcm[..]);
            for cut in &cuts {
                let (head, tail) = rest.split_at(*cut);
                resampler.push(head, &mut out).unwrap();
                rest = tail;
            }
            resampler.finish(&mut out).unwrap();
            prop_assert!(out == whole);
        }
    }
}
