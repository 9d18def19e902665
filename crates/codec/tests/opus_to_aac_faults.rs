//! Loss, DTX, reordering, jumps and garbage: the sound stays in place, and one packet's damage is its own.
#![cfg(all(feature = "opus", feature = "aac"))]
#![allow(clippy::cast_precision_loss)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use recorder_codec::{
    AacEncoder, AudioDecoder, InBandFec, OpusDecoder, OpusEncoderOptions, OpusToAac, OpusToAacOptions,
    opus_packet_samples,
};
use recorder_types::{OpusConfig, Sample, Timescale, Timestamp};
use support::{
    Random, amplitude, at, decibels, in_time, lag, opus, rms, sweep, tones, transcode, transcode_with,
};

const LIVE: OpusConfig = OpusConfig { channels: 1, pre_skip: 0 };

/// Opus without its speech coder, which after a loss can hold a steady tone at a wrong phase for a long time.
fn music() -> OpusEncoderOptions {
    OpusEncoderOptions::default().with_bits_per_second(96_000)
}

/// 100 packets of 20 ms.
fn two_seconds() -> Vec<Bytes> {
    opus(&sweep(96_000 - 312), 1, music()).0
}

#[test]
fn lost_packets_are_concealed_and_shift_nothing() {
    let said = sweep(10 * 48_000);
    let (packets, config) = opus(&said, 1, music());
    let whole = transcode(config, &in_time(&packets, 0));
    for seed in 1..=5 {
        let mut random = Random(seed);
        // The first and the last stay, so that the length is known.
        let last = packets.len() - 1;
        let kept: Vec<_> = in_time(&packets, 0)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| *n == 0 || *n == last || random.below(10) != 0)
            .map(|(_, packet)| packet)
            .collect();
        let lost = packets.len() - kept.len();
        let done = transcode(config, &kept);
        assert_eq!(done.runs(), whole.runs(), "seed {seed}");
        let made_up = done.stats.concealed_samples + done.stats.silent_samples;
        assert_eq!(made_up, 960 * u64::try_from(lost).unwrap(), "seed {seed}");
        let heard = done.decode();
        for second in [1, 4, 8] {
            let from = second * 48_000;
            let off = lag(&said[from..from + 48_000], &heard[from..], 480);
            assert!(off.abs() <= 4, "seed {seed}: {off} samples off in second {second}");
        }
    }
}

#[test]
fn forward_error_correction_is_used_where_the_next_packet_has_it() {
    let said = tones(&[440.0], 96_000);
    let level = |fec| {
        let options = OpusEncoderOptions::default().with_bits_per_second(32_000).with_in_band_fec(fec);
        let (packets, config) = opus(&said, 1, options);
        let mut kept = in_time(&packets, 0);
        kept.retain(|packet| !(50..=52).contains(&(packet.pts.ticks() / 960)));
        let heard = transcode(config, &kept).decode();
        // The last of the three lost packets, which only the one after it can bring back.
        let from = 52 * 960 - 312;
        decibels(amplitude(&heard[from..from + 960], 440.0) / 0.5)
    };
    let (with, without) = (level(InBandFec::On), level(InBandFec::Off));
    assert!(with > without + 12.0, "with {with:.1} dB, without {without:.1} dB");
}

#[test]
fn gaps_are_filled_to_the_sample_or_begin_a_new_run() {
    let packets = two_seconds();
    // Samples between the packets 49 and 50, beyond their 20 ms; concealed; silent; runs.
    for (gap, concealed, silent, runs) in [
        (0, 0, 0, 1),
        (240, 0, 0, 1), // 5 ms: jitter
        (241, 241, 0, 1),
        (960, 960, 0, 1),
        (4800, 4800, 0, 1),
        (4801, 4800, 1, 1),
        (48_000, 4800, 43_200, 1),
        (96_000, 4800, 91_200, 1), // 2 s
        (96_001, 0, 0, 2),
        (480_000, 0, 0, 2),
        (1 << 50, 0, 0, 2),
    ] {
        let mut stream = in_time(&packets[..50], 1000);
        stream.extend(in_time(&packets[50..], 1000 + 50 * 960 + gap));
        let done = transcode(LIVE, &stream);
        assert_eq!(done.stats.packets, 100, "gap {gap}");
        assert_eq!(
            (done.stats.concealed_samples, done.stats.silent_samples),
            (concealed, silent),
            "gap {gap}"
        );
        assert_eq!(done.stats.runs, runs, "gap {gap}");
        let got = done.runs();
        if runs == 1 {
            let filled = i64::try_from(concealed + silent).unwrap();
            assert_eq!(got, [(1000, usize::try_from((96_000 + filled + 1023) / 1024).unwrap())], "gap {gap}");
        } else {
            assert_eq!(got, [(1000, 47), (1000 + 48_000 + gap, 47)], "gap {gap}");
        }
    }
}

#[test]
fn a_long_gap_is_silent_and_what_follows_is_in_place() {
    let said = sweep(96_000 - 312);
    let packets = two_seconds();
    let mut stream = in_time(&packets[..50], 0);
    stream.extend(in_time(&packets[50..], 50 * 960 + 48_000));
    let heard = transcode(LIVE, &stream).decode();
    let quiet = rms(&heard[48_000 + 4800 + 1024..96_000 - 1024]);
    assert!(quiet < 1e-3, "{quiet} in the gap");
    let off = lag(&said[60_000..90_000], &heard[60_000 + 48_000 + 312..], 400);
    assert!(off.abs() <= 4, "{off} samples off after the gap");
}

#[test]
fn pauses_with_a_packet_now_and_then_stay_one_run() {
    // DTX: a packet each 400 ms for 4 s, between two stretches of speech.
    let packets = two_seconds();
    let mut stream = in_time(&packets[..50], 0);
    stream.extend((0..10).map(|n| at(48_000 + n * 19_200, &packets[50])));
    stream.extend(in_time(&packets[51..], 240_000));
    let done = transcode(LIVE, &stream);
    assert_eq!((done.stats.runs, done.stats.stray, done.stats.late), (1, 0, 0));
    assert_eq!(done.stats.packets, 50 + 10 + 49);
    assert_eq!(done.runs(), [(0, (240_000 + 49 * 960usize).div_ceil(1024))]);
}

#[test]
fn duplicates_and_late_packets_are_dropped() {
    let packets = in_time(&two_seconds(), 0);
    let want = transcode(LIVE, &packets);
    let mut doubled = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        doubled.push(packet.clone());
        doubled.push(packet.clone());
        if n >= 30 {
            doubled.push(packets[n - 30].clone());
        }
    }
    let done = transcode(LIVE, &doubled);
    assert_eq!(done.frames, want.frames);
    assert_eq!((done.stats.packets, done.stats.duplicate, done.stats.late), (100, 100, 70));

    // Two packets in the wrong order: the later stays, a guess stands for the other.
    let mut swapped = packets.clone();
    swapped.swap(50, 51);
    let done = transcode(LIVE, &swapped);
    assert_eq!(done.runs(), want.runs());
    assert_eq!((done.stats.packets, done.stats.late, done.stats.concealed_samples), (99, 1, 960));
}

#[test]
fn one_stray_timestamp_costs_one_packet() {
    let packets = in_time(&two_seconds(), 0);
    let want = transcode(LIVE, &packets);
    for ticks in [50 * 960 + 40_000, 1 << 32, -(1 << 32), i64::MAX, i64::MIN] {
        let mut stream = packets.clone();
        stream[50].pts = Timestamp::new(ticks, Timescale::HZ_48000);
        let done = transcode(LIVE, &stream);
        assert_eq!(done.runs(), want.runs(), "{ticks}");
        assert_eq!((done.stats.packets, done.stats.stray, done.stats.runs), (99, 1, 1), "{ticks}");
        assert_eq!(done.stats.concealed_samples, 960, "{ticks}");
    }
}

#[test]
fn a_stray_timestamp_at_the_start_begins_nothing() {
    let packets = in_time(&two_seconds(), 5000);
    for ticks in [0, 1 << 32, -(1 << 32)] {
        let mut stream = packets.clone();
        stream[0].pts = Timestamp::new(ticks - 200_000, Timescale::HZ_48000);
        let done = transcode(LIVE, &stream);
        assert_eq!(done.runs(), [(5960, 93)], "{ticks}");
        assert_eq!((done.stats.packets, done.stats.stray, done.stats.runs), (99, 1, 1), "{ticks}");
    }
    // A track of one packet is what it is.
    assert_eq!(transcode(LIVE, &packets[..1]).runs(), [(5000, 1)]);
    assert_eq!(transcode(LIVE, &[]).runs(), []);
}

#[test]
fn packets_that_follow_each_other_are_one_run_even_if_nothing_is_filled() {
    let packets = in_time(&two_seconds(), 0);
    let options = OpusToAacOptions::default().with_max_fill(Duration::ZERO).with_max_jitter(Duration::ZERO);
    assert_eq!(transcode_with(LIVE, &options, &packets).frames, transcode(LIVE, &packets).frames);
}

#[test]
fn a_jump_back_begins_a_new_run() {
    let packets = two_seconds();
    let mut stream = in_time(&packets[..50], 1_000_000);
    stream.extend(in_time(&packets[50..], 500));
    let done = transcode(LIVE, &stream);
    assert_eq!(done.runs(), [(1_000_000, 47), (500, 47)]);
    assert_eq!((done.stats.packets, done.stats.runs, done.stats.stray), (100, 2, 0));
}

#[test]
fn jitter_is_absorbed_and_a_slow_clock_is_followed() {
    let packets = two_seconds();
    let steady = transcode(LIVE, &in_time(&packets, 0));
    let mut random = Random(7);
    let jittered: Vec<_> = (0..)
        .zip(&packets)
        .map(|(n, data)| {
            at(n * 960 + i64::try_from(random.below(400)).unwrap() - 200 * i64::from(n != 0), data)
        })
        .collect();
    let first = jittered[0].pts.ticks();
    let done = transcode(LIVE, &jittered);
    assert_eq!(done.stats.packets, 100);
    let (runs, frames) = (done.runs(), steady.frames.len());
    assert!(
        matches!(runs[..], [(start, count)] if start == first && count.abs_diff(frames) <= 1),
        "{runs:?}"
    );

    // A sender that is 1 % slow or fast: the end is where its timestamps say, not where its durations add up to.
    for step in [970, 950] {
        let stream: Vec<_> = (0..).zip(&packets).map(|(n, data)| at(n * step, data)).collect();
        let done = transcode(LIVE, &stream);
        let end = done.frames.last().unwrap().pts.ticks() + 1024;
        let want = 99 * step + 960;
        assert!((want - 240..want + 1024 + 240).contains(&end), "steps of {step}: {end}, not {want}");
    }
}

#[test]
fn the_limits_are_options() {
    let packets = two_seconds();
    let mut stream = in_time(&packets[..50], 0);
    stream.extend(in_time(&packets[50..], 50 * 960 + 4800));
    let options = OpusToAacOptions::default()
        .with_bits_per_second(32_000)
        .with_max_conceal(Duration::from_millis(20))
        .with_max_jitter(Duration::ZERO);
    let done = transcode_with(LIVE, &options, &stream);
    assert_eq!((done.stats.concealed_samples, done.stats.silent_samples), (960, 3840));
    let bytes: usize = done.frames.iter().map(|frame| frame.data.len()).sum();
    let rate = bytes as f64 * 8.0 * 48_000.0 / (done.frames.len() as f64 * 1024.0);
    assert!((20_000.0..34_000.0).contains(&rate), "{rate} bit/s");
    let done = transcode_with(LIVE, &options.with_max_fill(Duration::from_millis(90)), &stream);
    assert_eq!(done.runs(), [(0, 47), (52_800, 47)]);
    let never = OpusToAacOptions::default().with_max_fill(Duration::MAX).with_max_conceal(Duration::MAX);
    assert_eq!(transcode_with(LIVE, &never, &in_time(&packets, 0)).frames.len(), 94);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let options = OpusToAacOptions::default();
    for channels in [0, 3, 255] {
        assert!(OpusToAac::new(OpusConfig { channels, pre_skip: 0 }, &options).is_err());
    }
    assert!(OpusToAac::new(LIVE, &options.clone().with_bits_per_second(1_000_000)).is_err());
    for (rate, channels, fits) in [(48_000, 1, true), (48_000, 2, false), (44_100, 1, false)] {
        let encoder = Box::new(AacEncoder::new(rate, channels, 64_000).unwrap());
        assert_eq!(OpusToAac::with_encoder(LIVE, &options, encoder).is_ok(), fits, "{rate} Hz, {channels}");
    }
}

#[test]
fn the_same_packets_give_the_same_bytes_however_they_are_polled() {
    let mut packets = in_time(&two_seconds(), 0);
    packets.remove(40);
    packets.drain(60..70);
    let want = transcode(LIVE, &packets);
    assert_eq!(transcode(LIVE, &packets).frames, want.frames);
    let mut late = OpusToAac::new(LIVE, &OpusToAacOptions::default()).unwrap();
    for packet in &packets {
        late.push(packet).unwrap();
    }
    late.finish().unwrap();
    let polled: Vec<_> = std::iter::from_fn(|| late.poll()).collect();
    assert_eq!(polled, want.frames);
    // And a transcoder that was used before gives what a new one gives.
    for packet in &packets {
        late.push(packet).unwrap();
    }
    late.finish().unwrap();
    assert_eq!(std::iter::from_fn(|| late.poll()).collect::<Vec<_>>(), want.frames);
}

#[test]
fn mutated_packets_never_stop_the_track() {
    let packets = two_seconds();
    let mut random = Random(99);
    let mut decoder = OpusDecoder::new(2).unwrap();
    let mut pcm = Vec::new();
    for _ in 0..2000 {
        let index = usize::try_from(random.below(100)).unwrap();
        let mut packet = packets[index].to_vec();
        for _ in 0..=random.below(4) {
            let at = usize::try_from(random.below(packet.len() as u64)).unwrap();
            packet[at] = random.below(256).to_le_bytes()[0];
        }
        packet.truncate(usize::try_from(random.below(packet.len() as u64 + 1)).unwrap());
        pcm.clear();
        match decoder.decode(&packet, &mut pcm) {
            Ok(samples) => assert_eq!(Some(samples), opus_packet_samples(&packet)),
            Err(error) => {
                assert!(error.is_input(), "{error}");
                assert!(pcm.is_empty());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any packets at any times: no panic, no error, frames that stay on their grid, output bounded by input.
    #[test]
    fn any_packets_at_any_time_are_survived(
        stereo in any::<bool>(),
        pre_skip in prop_oneof![Just(0u16), Just(312), any::<u16>()],
        packets in proptest::collection::vec(
            (
                prop_oneof![4 => 0i64..200_000, 1 => any::<i64>()],
                prop_oneof![Just(48_000u32), Just(1000), 1u32..=u32::MAX],
                proptest::collection::vec(any::<u8>(), 0..60),
            ),
            0..40,
        ),
    ) {
        let config = OpusConfig { channels: if stereo { 2 } else { 1 }, pre_skip };
        let mut transcoder = OpusToAac::new(config, &OpusToAacOptions::default()).unwrap();
        let mut frames = 0;
        for (ticks, hz, data) in packets {
            let pts = Timestamp::new(ticks, Timescale::new(hz).unwrap());
            transcoder.push(&Sample::new(pts, data.into())).unwrap();
            let got = std::iter::from_fn(|| transcoder.poll()).count();
            // The gap limit twice, a packet twice, the end of a run.
            prop_assert!(got <= 2 * (96_000 + 5760) / 1024 + 4, "{} frames at once", got);
            frames += got;
        }
        transcoder.finish().unwrap();
        frames += std::iter::from_fn(|| transcoder.poll()).count();
        let stats = transcoder.stats();
        prop_assert!(stats.packets > 0 || frames == 0);
    }

    /// Real packets with any loss, order and doubling inside of the gap limit: one run that starts and ends
    /// where its timestamps say.
    #[test]
    fn any_loss_and_disorder_keep_one_run_in_place(picks in proptest::collection::vec(0usize..90, 1..90)) {
        let packets = in_time(&two_seconds(), 0);
        let mut stream = vec![packets[0].clone()];
        stream.extend(picks.iter().map(|&pick| packets[pick].clone()));
        stream.extend_from_slice(&packets[90..]);
        let done = transcode(LIVE, &stream);
        prop_assert_eq!(done.runs(), vec![(0, 94)]);
        let stats = done.stats;
        prop_assert_eq!(stats.packets * 960 + stats.concealed_samples + stats.silent_samples, 96_000);
        let dropped = stats.duplicate + stats.late + stats.stray + stats.corrupt;
        prop_assert_eq!(stats.packets + dropped, u64::try_from(stream.len()).unwrap());
    }
}
