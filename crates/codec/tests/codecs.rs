//! The audio codecs alone: cut anywhere, same packets; reusable after the end; garbage is an error.
#![cfg(all(feature = "opus", feature = "aac"))]
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use recorder_codec::{
    AacDecoder, AacEncoder, AudioDecoder, AudioEncoder, CodecError, OpusDecoder, OpusEncoder,
    OpusEncoderOptions,
};
use recorder_types::aac::AudioSpecificConfig;
use support::{Random, amplitude, channel, decibels, rms, sweep, tones};

fn packets(encoder: &mut dyn AudioEncoder, pcm: &[f32], step: usize) -> Vec<Bytes> {
    let mut packets = Vec::new();
    for part in pcm.chunks(step * usize::from(encoder.channels())) {
        encoder.encode(part, &mut packets).unwrap();
    }
    encoder.finish(&mut packets).unwrap();
    packets
}

#[test]
fn codecs_can_be_moved_to_another_thread_behind_their_traits() {
    fn sendable<T: Send + ?Sized>() {}
    sendable::<dyn AudioDecoder>();
    sendable::<dyn AudioEncoder>();
    sendable::<dyn recorder_codec::VideoEncoder>();
    sendable::<recorder_codec::OpusToAac>();
}

#[test]
fn encoders_give_the_same_packets_however_the_input_is_cut() {
    let pcm = tones(&[440.0, 700.0], 20_000);
    let encoders: [fn() -> Box<dyn AudioEncoder>; 2] = [
        || Box::new(AacEncoder::new(48_000, 2, 96_000).unwrap()),
        || Box::new(OpusEncoder::new(2, OpusEncoderOptions::default()).unwrap()),
    ];
    for make in encoders {
        let want = packets(&mut *make(), &pcm, usize::MAX / 2);
        let mut encoder = make();
        for step in [1, 7, 1024, 5000] {
            assert_eq!(packets(&mut *encoder, &pcm, step), want, "cut each {step} samples, after a finish");
        }
        let frames = (20_000 + encoder.priming()).div_ceil(encoder.frame_samples());
        assert_eq!(u32::try_from(want.len()), Ok(frames));
        // Nothing in, nothing out.
        let mut none = Vec::new();
        encoder.encode(&[], &mut none).unwrap();
        encoder.finish(&mut none).unwrap();
        assert!(none.is_empty());
    }
}

#[test]
fn aac_survives_at_each_rate_and_its_lowest_and_highest_bit_rate() {
    for rate in [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
        for channels in [1u8, 2] {
            let most = 6 * rate * u32::from(channels);
            for bits in [8_000, (rate * 2).min(most), most] {
                let mut encoder = AacEncoder::new(rate, channels, bits).unwrap();
                let mut random = Random(u64::from(rate + bits));
                let noise: Vec<f32> = (0..10_240 * usize::from(channels))
                    .map(|_| f32::from(u16::try_from(random.below(65_536)).unwrap()) / 32_768.0 - 1.0)
                    .collect();
                let frames = packets(&mut encoder, &noise, 1000);
                assert_eq!(frames.len(), 11);
                let mut decoder = AacDecoder::new(encoder.config()).unwrap();
                let mut pcm = Vec::new();
                for frame in &frames {
                    assert!(frame.len() <= 768 * usize::from(channels), "{} bytes", frame.len());
                    decoder.decode(frame, &mut pcm).unwrap();
                }
                assert_eq!(pcm.len(), 11 * 1024 * usize::from(channels), "{rate} Hz {channels} {bits}");
            }
        }
    }
}

#[test]
fn aac_keeps_pitch_level_and_channels() {
    let pcm = tones(&[440.0, 1000.0], 48_000);
    let mut encoder = AacEncoder::new(48_000, 2, 96_000).unwrap();
    let mut decoder = AacDecoder::new(encoder.config()).unwrap();
    let mut heard = Vec::new();
    for frame in packets(&mut encoder, &pcm, 1024) {
        decoder.decode(&frame, &mut heard).unwrap();
    }
    let priming = usize::try_from(encoder.priming()).unwrap();
    for (index, hz) in [440.0, 1000.0].into_iter().enumerate() {
        let said = channel(&pcm, index, 2);
        let heard = &channel(&heard, index, 2)[priming..];
        assert!(decibels(amplitude(&heard[10_000..40_000], hz) / 0.5).abs() < 0.2);
        let noise: Vec<_> = said.iter().zip(heard).map(|(a, b)| a - b).collect();
        let distance = decibels(rms(&said) / rms(&noise));
        assert!(distance > 25.0, "{hz} Hz: noise {distance:.1} dB below");
    }
}

#[test]
fn what_an_encoder_cannot_do_is_refused_and_changes_nothing() {
    assert!(matches!(AacEncoder::new(48_000, 3, 64_000), Err(CodecError::Channels { .. })));
    assert!(matches!(AacEncoder::new(48_000, 0, 64_000), Err(CodecError::AacConfig(_))));
    assert!(matches!(AacEncoder::new(47_999, 1, 64_000), Err(CodecError::AacConfig(_))));
    for bits in [0, 7_999, 288_001, u32::MAX] {
        assert!(matches!(AacEncoder::new(48_000, 1, bits), Err(CodecError::BitRate { .. })));
    }
    for channels in [0, 3] {
        let options = OpusEncoderOptions::default();
        assert!(matches!(OpusEncoder::new(channels, options), Err(CodecError::Channels { .. })));
        assert!(matches!(OpusDecoder::new(channels), Err(CodecError::Channels { .. })));
    }
    let refused = |options| OpusEncoder::new(1, options).is_err();
    assert!(refused(OpusEncoderOptions::default().with_frame_samples(1024)));
    assert!(refused(OpusEncoderOptions::default().with_bits_per_second(5_999)));

    let pcm = tones(&[440.0, 440.0], 5000);
    let mut encoder = AacEncoder::new(48_000, 2, 96_000).unwrap();
    let want = packets(&mut encoder, &pcm, 5000);
    let mut got = Vec::new();
    encoder.encode(&pcm, &mut got).unwrap();
    assert!(matches!(
        encoder.encode(&[0.0; 3], &mut got),
        Err(CodecError::PcmLength { len: 3, channels: 2 })
    ));
    assert!(matches!(encoder.encode(&[0.0, f32::NAN], &mut got), Err(CodecError::PcmNotFinite { at: 1 })));
    encoder.finish(&mut got).unwrap();
    assert_eq!(got, want);
    // Too loud is held at full scale.
    let loud = packets(&mut encoder, &[9.0, -9.0].repeat(3000), 100);
    assert_eq!(loud, packets(&mut encoder, &[1.0, -1.0].repeat(3000), 100));
}

#[test]
fn he_aac_is_refused_where_the_config_tells() {
    let config = AudioSpecificConfig::parse(&[0x13, 0x90, 0x56, 0xE5, 0xA0]).unwrap();
    assert!(matches!(AacDecoder::new(config), Err(CodecError::HeAac)));
}

#[test]
fn opus_conceals_any_length_and_fades() {
    let (coded, _) = support::opus(&sweep(48_000), 1, OpusEncoderOptions::default());
    let mut decoder = OpusDecoder::new(1).unwrap();
    let mut pcm = Vec::new();
    for packet in &coded[..25] {
        assert_eq!(decoder.decode(packet, &mut pcm).unwrap(), 960);
    }
    let before = rms(&pcm[pcm.len() - 960..]);
    for samples in [0, 1, 119, 120, 121, 960, 5760, 5761, 48_000] {
        pcm.clear();
        decoder.conceal(samples, &mut pcm).unwrap();
        assert_eq!(u32::try_from(pcm.len()), Ok(samples));
        pcm.clear();
        decoder.recover(samples, &coded[26], &mut pcm).unwrap();
        assert_eq!(u32::try_from(pcm.len()), Ok(samples));
    }
    assert!(rms(&pcm[40_000..]) < before / 10.0);
    decoder.reset().unwrap();
    let mut again = Vec::new();
    let mut fresh = Vec::new();
    decoder.decode(&coded[0], &mut again).unwrap();
    OpusDecoder::new(1).unwrap().decode(&coded[0], &mut fresh).unwrap();
    assert_eq!(again, fresh);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic_a_decoder(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..8)) {
        let mut pcm = Vec::new();
        let aac = AacDecoder::new(AudioSpecificConfig::new(48_000, 2).unwrap()).unwrap();
        let decoders: [Box<dyn AudioDecoder>; 2] = [Box::new(aac), Box::new(OpusDecoder::new(2).unwrap())];
        for mut decoder in decoders {
            for packet in &packets {
                let before = pcm.len();
                match decoder.decode(packet, &mut pcm) {
                    Ok(samples) => prop_assert_eq!(pcm.len() - before, usize::try_from(samples).unwrap() * 2),
                    Err(error) => {
                        prop_assert!(error.is_input());
                        prop_assert_eq!(pcm.len(), before);
                    }
                }
            }
        }
    }

    /// A real frame with some bytes changed gets further into the decoder than noise does.
    #[test]
    fn no_mutation_panics_the_aac_decoder(seed in any::<u64>()) {
        let mut encoder = AacEncoder::new(48_000, 2, 64_000).unwrap();
        let frames = packets(&mut encoder, &tones(&[440.0, 3000.0], 4096), 4096);
        let mut decoder = AacDecoder::new(encoder.config()).unwrap();
        let mut random = Random(seed | 1);
        let mut pcm = Vec::new();
        for frame in &frames {
            let mut bytes = frame.to_vec();
            for _ in 0..=random.below(5) {
                let at = usize::try_from(random.below(u64::try_from(bytes.len()).unwrap())).unwrap();
                bytes[at] = random.below(256).to_le_bytes()[0];
            }
            if let Err(error) = decoder.decode(&bytes, &mut pcm) {
                prop_assert!(error.is_input());
            }
        }
    }
}
