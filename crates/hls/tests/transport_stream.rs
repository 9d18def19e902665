//! The transport stream itself: counters, clock references, wrap, and what other readers find in it.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::collections::HashMap;
use std::io::Cursor;

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader, TsPayload};
use proptest::prelude::*;
use recorder_hls::demux::{Demuxer, Event, UnitKind};
use recorder_hls::{AccessUnit, Pushed, Segmenter, Streams};
use recorder_types::{Timescale, UnixMillis};
use support::*;

/// Audio and pictures at 5 Hz with B-frames, for `secs` seconds.
fn push_both(segmenter: &mut Segmenter, secs: i64) {
    let mut frame = 0;
    for n in 0..secs * 5 {
        while frame_time(frame) <= ms(n * 200) {
            let _ = segmenter.push_audio(&at(frame_time(frame), silence())).unwrap();
            frame += 1;
        }
        let data = if n % 25 == 0 { key_picture(4_000) } else { picture(700) };
        let late = [200, 800, 200, 0][usize::try_from(n % 4).unwrap()];
        let unit = AccessUnit { pts: ms(n * 200 + late), dts: ms(n * 200), data };
        let _ = segmenter.push_video(&unit).unwrap();
    }
}

/// PCR base (unwrapped by neighbourhood) of every packet that has one, with the PID.
fn references(ts: &[u8]) -> Vec<(u16, u64)> {
    let mut found = Vec::new();
    for packet in ts.chunks(188) {
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        if packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0 {
            let base = packet[6..11].iter().fold(0u64, |v, &b| (v << 8) | u64::from(b)) >> 7;
            found.push((pid, base));
        }
    }
    found
}

fn steps(references: &[(u16, u64)]) -> Vec<u64> {
    references.windows(2).map(|w| w[1].1.wrapping_sub(w[0].1) & ((1 << 33) - 1)).collect()
}

#[test]
fn continuity_counters_go_on_across_segments() {
    let mut segmenter = segmenter(options("x"), both_streams());
    push_both(&mut segmenter, 35);
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert!(out.segments.len() > 2);
    let mut counters: HashMap<u16, u8> = HashMap::new();
    for packet in out.ts().chunks(188) {
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let has_payload = packet[3] & 0x10 != 0;
        let count = packet[3] & 0xF;
        if let Some(&last) = counters.get(&pid) {
            assert_eq!(count, if has_payload { (last + 1) & 0xF } else { last }, "PID {pid:#x}");
        }
        counters.insert(pid, count);
    }
    assert_eq!(counters.len(), 4);
}

#[test]
fn clock_references_are_at_most_a_tenth_of_a_second_apart_at_any_frame_rate() {
    for gap_ms in [8, 16, 33, 40, 66, 95, 100, 101, 250, 1_000, 4_900] {
        let mut segmenter = segmenter(options("x"), video_streams());
        for n in 0..(30_000 / gap_ms) {
            let data = if n % 7 == 0 { key_picture(2_000) } else { picture(300) };
            assert_eq!(segmenter.push_video(&at(ms(n * gap_ms), data)), Ok(Pushed::Written));
        }
        segmenter.finish();
        let references = references(&collect(&mut segmenter).ts());
        assert!(steps(&references).iter().all(|step| (1..=9_000).contains(step)), "{gap_ms} ms");
    }
    for bytes in [1, 6, 20, 200, 1_000, 8_000] {
        let mut segmenter = segmenter(options("x"), audio_streams());
        for n in 0..1_000 {
            let _ = segmenter.push_audio(&at(frame_time(n), vec![7; bytes].into())).unwrap();
        }
        segmenter.finish();
        let references = references(&collect(&mut segmenter).ts());
        assert!(steps(&references).iter().all(|step| (1..=9_000).contains(step)), "{bytes} bytes");
        assert!(references.iter().all(|(pid, _)| *pid == 0x101));
    }
    let mut segmenter = segmenter(options("x"), both_streams());
    push_both(&mut segmenter, 30);
    segmenter.finish();
    let references = references(&collect(&mut segmenter).ts());
    assert!(steps(&references).iter().all(|step| (1..=9_000).contains(step)));
    assert!(references.iter().all(|(pid, _)| *pid == 0x100));
}

#[test]
fn nothing_is_due_before_the_clock_that_it_comes_with() {
    let stamp = |b: &[u8]| {
        let b: Vec<u64> = b.iter().map(|&b| b.into()).collect();
        ((b[0] & 0x0E) << 29) | (b[1] << 22) | ((b[2] & 0xFE) << 14) | (b[3] << 7) | (b[4] >> 1)
    };
    let mut both = segmenter(options("x"), both_streams());
    push_both(&mut both, 30);
    let mut audio = segmenter(options("x"), audio_streams());
    for n in 0..1_000 {
        let _ =
            audio.push_audio(&at(frame_time(n), vec![7; 50 + usize::try_from(n).unwrap()].into())).unwrap();
    }
    for mut segmenter in [both, audio] {
        segmenter.finish();
        let (mut clock, mut seen) = (0, 0);
        for packet in collect(&mut segmenter).ts().chunks(188) {
            clock = references(packet).first().map_or(clock, |&(_, base)| base);
            let payload = &packet[4 + if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) }..];
            if packet[1] & 0x40 != 0 && payload.starts_with(&[0, 0, 1]) {
                let dts = stamp(&payload[if payload[7] & 0x40 == 0 { 9 } else { 14 }..]);
                assert!(dts > clock && dts - clock <= 90_000, "{dts} at {clock}");
                seen += 1;
            }
        }
        assert!(seen > 50);
    }
}

#[test]
fn every_segment_begins_with_its_tables_and_a_clock_reference_before_all_media() {
    let mut segmenter = segmenter(options("x"), both_streams());
    push_both(&mut segmenter, 35);
    segmenter.finish();
    for (_, data) in collect(&mut segmenter).segments {
        assert_eq!((&data[1..3], &data[189..191]), (&[0x40, 0x00][..], &[0x50, 0x00][..]));
        assert_eq!(references(&data[..188 * 3]).len(), 1);
    }
}

#[test]
fn audio_alone_costs_little_more_than_its_payload() {
    let mut segmenter = segmenter(options("x"), audio_streams());
    let (frames, bytes) = (4_688, 171); // 100 s of 64 kbit/s
    for n in 0..frames {
        let _ = segmenter.push_audio(&at(frame_time(n), vec![7; bytes].into())).unwrap();
    }
    segmenter.finish();
    let total = collect(&mut segmenter).ts().len() as f64;
    let payload = frames as f64 * bytes as f64;
    assert!(total < payload * 1.15, "{:.3}", total / payload);
}

#[test]
fn the_33_bit_wrap_is_seamless_with_b_frames_across_it() {
    let collect_from = |first: u64| {
        let mut segmenter = segmenter(options("x").with_first_pts(first), both_streams());
        push_both(&mut segmenter, 30);
        segmenter.finish();
        collect(&mut segmenter)
    };
    let (plain, wrapped) = (collect_from(900_000), collect_from((1 << 33) - 5 * 90_000 - 1));
    assert_eq!(plain.playlist, wrapped.playlist);
    let times = |out: &Collected| {
        let mut times = Vec::new();
        let mut demuxer = Demuxer::default();
        demuxer.push(&out.ts());
        demuxer.finish();
        let mut first = None;
        while let Some(event) = demuxer.poll() {
            match event {
                Event::Unit(unit) => {
                    let time = unit.time.unwrap();
                    let zero = *first.get_or_insert(time.dts.ticks());
                    times.push((unit.pid, time.dts.ticks() - zero, time.pts.ticks() - zero));
                }
                Event::Fault(fault) => panic!("{fault}"),
                _ => {}
            }
        }
        times
    };
    assert_eq!(times(&plain), times(&wrapped));
    assert!(steps(&references(&wrapped.ts())).iter().all(|step| (1..=9_000).contains(step)));
}

#[test]
fn our_demuxer_finds_every_access_unit_at_its_time() {
    let mut segmenter = segmenter(options("x"), both_streams());
    push_both(&mut segmenter, 25);
    segmenter.finish();
    let mut demuxer = Demuxer::default();
    let out = collect(&mut segmenter);
    let (mut pictures, mut frames) = (0, 0);
    for (_, data) in &out.segments {
        demuxer.push(data);
    }
    demuxer.finish();
    while let Some(event) = demuxer.poll() {
        let Event::Unit(unit) = event else { continue };
        let time = unit.time.unwrap();
        match unit.kind {
            UnitKind::H264 { idr } => {
                assert_eq!(time.dts.ticks(), 90_000 + pictures * 18_000);
                assert_eq!((idr, unit.random_access), (pictures % 25 == 0, pictures % 25 == 0));
                assert!(unit.data.starts_with(&[0, 0, 0, 1, 9]));
                pictures += 1;
            }
            UnitKind::Aac { header_len, .. } => {
                let want = 90_000 + frame_time(frames).round_to_ticks(Timescale::HZ_90000);
                assert!((time.pts.ticks() - want).abs() <= 1, "frame {frames}");
                assert_eq!(unit.data.slice(header_len..), silence());
                frames += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let stats = segmenter.stats();
    assert_eq!((stats.pictures, stats.audio_frames), (pictures.unsigned_abs(), frames.unsigned_abs()));
}

#[test]
fn another_reader_agrees() {
    let mut segmenter = segmenter(options("x"), both_streams());
    push_both(&mut segmenter, 25);
    segmenter.finish();
    let ts = collect(&mut segmenter).ts();
    let mut reader = TsPacketReader::new(Cursor::new(&ts));
    let (mut starts, mut packets) = (0, 0);
    while let Some(packet) = reader.read_ts_packet().expect("mpeg2ts reads it") {
        packets += 1;
        match packet.payload {
            Some(TsPayload::Pmt(pmt)) => {
                let types: Vec<_> = pmt.es_info.iter().map(|es| es.stream_type).collect();
                assert_eq!(types, [StreamType::H264, StreamType::AdtsAac]);
                assert_eq!(pmt.pcr_pid.map(|pid| pid.as_u16()), Some(0x100));
            }
            Some(TsPayload::PesStart(pes)) => {
                assert!(pes.header.pts.is_some());
                starts += 1;
            }
            _ => {}
        }
    }
    assert_eq!(packets * 188, ts.len());
    assert!(starts > 200);
}

#[derive(Clone, Debug)]
enum Step {
    Video { dts: i64, reorder: i64, idr: bool, size: usize },
    Audio { at: i64, size: usize },
    Discontinuity,
    EndSegment,
    WallClock { room: i64, wall: u64 },
    Streams(bool, bool),
    Junk(Vec<u8>),
}

fn hostile() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![
        10 => 0i64..20_000,
        3 => 0i64..200_000,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ];
    let step = prop_oneof![
        30 => (time.clone(), 0i64..500, any::<bool>(), 4usize..3_000)
            .prop_map(|(dts, reorder, idr, size)| Step::Video { dts, reorder, idr, size }),
        30 => (time.clone(), 1usize..3_000).prop_map(|(at, size)| Step::Audio { at, size }),
        1 => Just(Step::Discontinuity),
        1 => Just(Step::EndSegment),
        2 => (time, any::<u32>()).prop_map(|(room, wall)| Step::WallClock { room, wall: wall.into() }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(video, audio)| Step::Streams(video, audio)),
        2 => proptest::collection::vec(any::<u8>(), 0..50).prop_map(Step::Junk),
    ];
    // Half of the steps come in order, so that there is something to disturb.
    proptest::collection::vec(step, 0..150).prop_map(|mut steps| {
        let mut clock = 0;
        for (n, step) in steps.iter_mut().enumerate() {
            if n % 3 != 0 {
                clock += 300;
                if let Step::Video { dts: time, .. } | Step::Audio { at: time, .. } = step {
                    *time = clock;
                }
            }
        }
        steps
    })
}

fn apply(segmenter: &mut Segmenter, step: &Step) {
    match step.clone() {
        Step::Video { dts, reorder, idr, size } => {
            let data = if idr { key_picture(size) } else { picture(size) };
            let unit = AccessUnit { pts: ms(dts.saturating_add(reorder)), dts: ms(dts), data };
            let _ = segmenter.push_video(&unit);
        }
        Step::Audio { at: time, size } => {
            let _ = segmenter.push_audio(&at(ms(time), vec![9; size].into()));
        }
        Step::Discontinuity => segmenter.discontinuity(),
        Step::EndSegment => segmenter.end_segment(),
        Step::WallClock { room, wall } => segmenter.set_wall_clock(ms(room), UnixMillis::new(wall).unwrap()),
        Step::Streams(video, audio) => segmenter.set_streams(Streams {
            video: both_streams().video.filter(|_| video),
            audio: both_streams().audio.filter(|_| audio),
        }),
        Step::Junk(data) => {
            let _ = segmenter.push_video(&at(ms(0), data.clone().into()));
            let _ = segmenter.push_audio(&at(ms(0), data.into()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn hostile_timelines_give_bounded_segments_in_which_time_rises(steps in hostile()) {
        let mut segmenter = segmenter(options("x"), both_streams());
        let mut out = Collected::default();
        for step in &steps {
            apply(&mut segmenter, step);
            out.drain(&mut segmenter);
        }
        segmenter.finish();
        out.drain(&mut segmenter);
        prop_assert!(out.starts().windows(2).all(|w| w[0] < w[1]));
        for (info, data) in &out.segments {
            // The longest duration, the longest gap that is bridged, and how long the last sample may count.
            prop_assert!(info.duration > ms(0) && info.duration <= ms(60_000 + 2 * 5_000), "{info:?}");
            prop_assert!(data.len() < 20 << 20);
            let mut demuxer = Demuxer::default();
            demuxer.push(data);
            demuxer.finish();
            let mut last: HashMap<u16, i64> = HashMap::new();
            let mut pictures = 0;
            while let Some(event) = demuxer.poll() {
                match event {
                    Event::Unit(unit) => {
                        let dts = unit.time.unwrap().dts.ticks();
                        if let UnitKind::H264 { idr } = unit.kind {
                            prop_assert!(idr || pictures > 0 || !info.starts_with_key_frame);
                            pictures += 1;
                            let before = last.insert(0, dts);
                            prop_assert!(before.is_none_or(|before| before < dts));
                        }
                    }
                    Event::Fault(recorder_hls::demux::Fault::NoStartCode { .. }) => {}
                    Event::Fault(fault) => {
                        // The made-up AAC frames are no reason to complain, lost packets are.
                        prop_assert!(!fault.to_string().contains("missing"), "{fault}");
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(pictures, info.pictures);
        }
    }

    #[test]
    fn when_actions_are_polled_changes_no_byte(steps in hostile(), every in 1usize..20) {
        let mut often = segmenter(options("x"), both_streams());
        let mut seldom = segmenter(options("x"), both_streams());
        let (mut one, mut other) = (Collected::default(), Collected::default());
        for (n, step) in steps.iter().enumerate() {
            apply(&mut often, step);
            one.drain(&mut often);
            apply(&mut seldom, step);
            if n % every == 0 {
                other.drain(&mut seldom);
            }
        }
        often.finish();
        seldom.finish();
        one.drain(&mut often);
        other.drain(&mut seldom);
        prop_assert_eq!(&one.playlist, &other.playlist);
        prop_assert_eq!(one.chunks, other.chunks);
        prop_assert_eq!(one.segments, other.segments);
    }

    #[test]
    fn several_adts_frames_in_one_access_unit_are_as_good_as_one_each(group in 1i64..40) {
        let streams = Streams { video: None, audio: Some(recorder_types::AacConfig::Adts) };
        let frame = [&aac().adts_header(6).unwrap()[..], &silence()[..]].concat();
        let mut single = segmenter(options("x"), streams.clone());
        let mut grouped = segmenter(options("x"), streams);
        for n in 0..group * 20 {
            let _ = single.push_audio(&at(frame_time(n), frame.clone().into())).unwrap();
            if n % group == 0 {
                let data = frame.repeat(usize::try_from(group).unwrap()).into();
                let _ = grouped.push_audio(&at(frame_time(n), data)).unwrap();
            }
        }
        single.finish();
        grouped.finish();
        prop_assert_eq!(collect(&mut single).ts(), collect(&mut grouped).ts());
    }
}
