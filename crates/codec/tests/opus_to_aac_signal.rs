//! What goes into the transcoder comes out: pitch, level, place, channels.
#![cfg(all(feature = "opus", feature = "aac"))]
#![allow(clippy::cast_precision_loss)]

mod support;

use recorder_codec::OpusEncoderOptions;
use recorder_types::{OpusConfig, Sample, Timescale, Timestamp};
use support::{amplitude, channel, decibels, in_time, lag, opus, sweep, tones, transcode};

const TWO_SECONDS: usize = 96_000;

/// What the resampler inside of Opus is off by in its speech modes, in samples: its 6.5 ms are rounded.
const OWN_DELAY: i64 = 4;

#[test]
fn tones_keep_their_pitch_and_level_in_their_channel() {
    for hz in [&[440.0][..], &[1000.0], &[440.0, 1000.0]] {
        let channels = u8::try_from(hz.len()).unwrap();
        let options = OpusEncoderOptions::default().with_bits_per_second(96_000);
        let (packets, config) = opus(&tones(hz, TWO_SECONDS), channels, options);
        let done = transcode(config, &in_time(&packets, 0));
        let pcm = done.decode();
        for (index, hz) in hz.iter().enumerate() {
            let heard = channel(&pcm, index, usize::from(channels));
            let middle = &heard[24_000..72_000];
            let level = decibels(amplitude(middle, f64::from(*hz)) / 0.5);
            assert!(level.abs() < 1.0, "{hz} Hz in channel {index} of {channels}: {level:.2} dB");
            let beside = amplitude(middle, f64::from(*hz) * 1.05);
            assert!(beside < 0.01, "{hz} Hz: {beside} beside it");
        }
    }
}

#[test]
fn sound_stays_where_the_timestamps_put_it() {
    let said = sweep(TWO_SECONDS);
    let (packets, config) = opus(&said, 1, OpusEncoderOptions::default());
    assert_eq!(config.pre_skip, 312);
    for start in [0, 1, 777, -5000, 1 << 40] {
        let done = transcode(config, &in_time(&packets, start - 312));
        // `pre_skip` samples are dropped from the start: sample 0 of the signal is at `start`.
        let [(first, frames)] = done.runs()[..] else { panic!("one run, not {:?}", done.runs()) };
        assert_eq!(first, start);
        let samples = packets.len() * 960 - 312;
        assert_eq!(frames, samples.div_ceil(1024));
        let off = lag(&said[10_000..90_000], &done.decode()[10_000..], 480);
        assert!(off.abs() <= OWN_DELAY, "{off} samples off from {start}");
    }
}

#[test]
fn a_live_stream_keeps_its_delay_and_nothing_else() {
    let said = sweep(TWO_SECONDS);
    let (packets, _) = opus(&said, 1, OpusEncoderOptions::default());
    let live = OpusConfig { channels: 1, pre_skip: 0 };
    let done = transcode(live, &in_time(&packets, 48_000));
    assert_eq!(done.runs(), [(48_000, (packets.len() * 960).div_ceil(1024))]);
    let off = lag(&said[10_000..90_000], &done.decode()[10_000..], 480);
    assert!((off - 312).abs() <= OWN_DELAY, "{off}, and the encoder's own delay is 312");
}

#[test]
fn clocks_other_than_48_khz_are_rescaled() {
    let (packets, config) = opus(&sweep(TWO_SECONDS), 1, OpusEncoderOptions::default());
    let want = transcode(config, &in_time(&packets, 96_000));
    for hz in [1000, 16_000, 90_000, 1_000_000] {
        let scale = Timescale::new(hz).unwrap();
        let packets: Vec<_> = (0..)
            .zip(&packets)
            .map(|(n, data)| {
                Sample::new(Timestamp::new((96_000 + n * 960) * i64::from(hz) / 48_000, scale), data.clone())
            })
            .collect();
        assert_eq!(transcode(config, &packets).frames, want.frames, "{hz} Hz");
    }
}

#[test]
fn every_packet_duration_gives_the_same_length_and_place() {
    let said = sweep(TWO_SECONDS);
    for frame_samples in [120, 240, 480, 960, 1920, 2880] {
        let options =
            OpusEncoderOptions::default().with_bits_per_second(64_000).with_frame_samples(frame_samples);
        let (packets, config) = opus(&said, 1, options);
        let samples: Vec<_> =
            (0..).zip(&packets).map(|(n, data)| support::at(n * i64::from(frame_samples), data)).collect();
        let done = transcode(config, &samples);
        assert_eq!(done.stats.packets, u64::try_from(packets.len()).unwrap());
        assert_eq!(done.stats.concealed_samples, 0);
        let heard = done.decode();
        assert!(
            (TWO_SECONDS..TWO_SECONDS + 1024 + 2880).contains(&heard.len()),
            "{frame_samples}: {}",
            heard.len()
        );
        let off = lag(&said[10_000..90_000], &heard[10_000..], 480);
        assert!(off.abs() <= OWN_DELAY, "packets of {frame_samples}: {off} samples off");
    }
}

#[test]
fn a_stereo_track_may_send_mono_packets_and_the_other_way_round() {
    let (mono, _) = opus(&tones(&[440.0], TWO_SECONDS), 1, OpusEncoderOptions::default());
    let (stereo, _) = opus(&tones(&[440.0, 440.0], TWO_SECONDS), 2, OpusEncoderOptions::default());
    for (packets, channels) in [(mono, 2u8), (stereo, 1u8)] {
        let done = transcode(OpusConfig { channels, pre_skip: 0 }, &in_time(&packets, 0));
        let pcm = done.decode();
        for index in 0..usize::from(channels) {
            let heard = channel(&pcm, index, usize::from(channels));
            let level = decibels(amplitude(&heard[24_000..72_000], 440.0) / 0.5);
            assert!(level.abs() < 1.0, "channel {index} of {channels}: {level:.2} dB");
        }
    }
}
