//! The demuxer over transport streams that are built here, a rule at a time.
#![allow(clippy::unwrap_used)] // clippy knows tests by their attribute, not the functions that they share

use proptest::prelude::*;
use recorder_hls::demux::{AccessUnit, DemuxOptions, Demuxer, Event, Fault, UnitKind, UnitTime};
use recorder_testkit::aac::{Layout, silent_adts};
use recorder_testkit::h264::{OpaqueKind, Pictures};
use recorder_types::{Size, Timescale, Timestamp};

const MAP: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

/// Builds a stream packet by packet.
#[derive(Default)]
struct Builder {
    bytes: Vec<u8>,
    counters: std::collections::HashMap<u16, u8>,
}

impl Builder {
    fn with_tables() -> Self {
        let mut builder = Self::default();
        builder.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]);
        builder
    }

    fn tables(&mut self, streams: &[(u8, u16)]) {
        self.section(0, &[0, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xF0, 0]);
        let len = u8::try_from(13 + streams.len() * 5).unwrap();
        let mut map = vec![2, 0xB0, len, 0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0];
        for &(kind, pid) in streams {
            let [high, low] = pid.to_be_bytes();
            map.extend_from_slice(&[kind, 0xE0 | high, low, 0xF0, 0]);
        }
        self.section(MAP, &map);
    }

    fn section(&mut self, pid: u16, section: &[u8]) {
        // CRC-32/MPEG-2, bit by bit.
        let mut crc = u32::MAX;
        for &byte in section {
            crc ^= u32::from(byte) << 24;
            for _ in 0..8 {
                crc = if crc >> 31 == 1 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 };
            }
        }
        let mut payload = [&[0], section, &crc.to_be_bytes()].concat();
        payload.resize(184, 0xFF);
        self.packet(pid, true, &[], &payload);
    }

    /// One packet: `adaptation` is what follows the length byte; stuffing fills it up.
    fn packet(&mut self, pid: u16, starts: bool, adaptation: &[u8], payload: &[u8]) {
        let counter = self.counters.entry(pid).or_insert(15);
        if !payload.is_empty() {
            *counter = (*counter + 1) & 15;
        }
        let [high, low] = pid.to_be_bytes();
        let room = 184 - payload.len();
        let control = u8::from(!payload.is_empty()) << 4 | u8::from(room > 0) << 5;
        self.bytes.extend_from_slice(&[0x47, high | u8::from(starts) << 6, low, control | *counter]);
        if room > 0 {
            let mut field = adaptation.to_vec();
            if field.is_empty() && room > 1 {
                field.push(0);
            }
            field.resize(room - 1, 0xFF);
            self.bytes.push(u8::try_from(field.len()).unwrap());
            self.bytes.extend_from_slice(&field);
        }
        self.bytes.extend_from_slice(payload);
    }

    fn pes(&mut self, pid: u16, times: &[u64], has_len: bool, payload: &[u8]) {
        self.pes_with(pid, times, has_len, &[], payload);
    }

    /// A PES packet over as many packets as it takes; `extension` goes into the header after the times.
    fn pes_with(&mut self, pid: u16, times: &[u64], has_len: bool, extension: &[u8], payload: &[u8]) {
        let flags = [0, 0x80, 0xC0][times.len()] | u8::from(!extension.is_empty());
        let header_data = times.len() * 5 + extension.len();
        let len = if has_len { u16::try_from(3 + header_data + payload.len()).unwrap() } else { 0 };
        let stream_id = if pid == AUDIO { 0xC0 } else { 0xE0 };
        let mut pes = vec![0, 0, 1, stream_id];
        pes.extend_from_slice(&len.to_be_bytes());
        pes.extend_from_slice(&[0x80, flags, u8::try_from(header_data).unwrap()]);
        for (n, &time) in times.iter().enumerate() {
            let mark = if times.len() == 1 { 2 } else { 3 - u64::try_from(n).unwrap() * 2 };
            let bits = mark << 36
                | (time >> 30 & 7) << 33
                | 1 << 32
                | (time >> 15 & 0x7FFF) << 17
                | 1 << 16
                | (time & 0x7FFF) << 1
                | 1;
            pes.extend_from_slice(&bits.to_be_bytes()[3..]);
        }
        pes.extend_from_slice(extension);
        pes.extend_from_slice(payload);
        for (n, part) in pes.chunks(184).enumerate() {
            self.packet(pid, n == 0, &[], part);
        }
    }
}

fn run(options: DemuxOptions, bytes: &[u8]) -> Vec<Event> {
    let mut demuxer = Demuxer::new(options);
    demuxer.push(bytes);
    demuxer.finish();
    std::iter::from_fn(|| demuxer.poll()).collect()
}

fn demux(bytes: &[u8]) -> Vec<Event> {
    run(DemuxOptions::default(), bytes)
}

fn units(events: &[Event]) -> Vec<AccessUnit> {
    let unit = |event: &Event| if let Event::Unit(unit) = event { Some(unit.clone()) } else { None };
    events.iter().filter_map(unit).collect()
}

fn faults(events: &[Event]) -> Vec<Fault> {
    let fault = |event: &Event| if let Event::Fault(fault) = event { Some(*fault) } else { None };
    events.iter().filter_map(fault).collect()
}

fn at(ticks: i64) -> Timestamp {
    Timestamp::new(ticks, Timescale::HZ_90000)
}

fn pictures() -> Pictures {
    Pictures::new(Size::new(320, 180).unwrap()).unwrap()
}

#[test]
fn times_flags_and_bytes_of_a_picture_are_told() {
    let mut pictures = pictures();
    let (first, second) = (pictures.idr(90), pictures.opaque(OpaqueKind::Other, 1000));
    for has_len in [false, true] {
        let mut ts = Builder::with_tables();
        ts.pes(VIDEO, &[9_000, 6_000], has_len, &first);
        ts.pes_with(VIDEO, &[9_600], has_len, &[0x0F, 0xFF, 0xFF, 0xFF], &second);
        let events = demux(&ts.bytes);
        assert_eq!(faults(&events), []);
        let units = units(&events);
        assert_eq!(units.len(), 2);
        assert_eq!((&units[0].data, &units[1].data), (&first, &second));
        assert_eq!(units[0].time, Some(UnitTime { pts: at(9_000), dts: at(6_000) }));
        assert_eq!(units[1].time, Some(UnitTime { pts: at(9_600), dts: at(9_600) }));
        assert_eq!(units[0].kind, UnitKind::H264 { idr: true });
        assert_eq!(units[1].kind, UnitKind::H264 { idr: false });
        assert_eq!(units[0].span.at, 2 * 188);
        assert_eq!(units[1].span.at + units[1].span.len, u64::try_from(ts.bytes.len()).unwrap());
    }
}

#[test]
fn a_picture_may_take_several_pes_packets() {
    let mut pictures = pictures();
    let (first, second, third) =
        (pictures.idr(90), pictures.repeat(), pictures.opaque(OpaqueKind::Other, 5_000));
    // Cut inside NAL units: without a time in the middle, and with the rest in front of the next picture.
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1_000], true, &first[..200]);
    ts.pes(VIDEO, &[], true, &first[200..230]);
    ts.pes(VIDEO, &[2_000], false, &[&first[230..], &second].concat());
    ts.pes(VIDEO, &[3_000], false, &third);
    let events = demux(&ts.bytes);
    let got: Vec<_> =
        units(&events).into_iter().map(|unit| (unit.data, unit.time.unwrap().pts.ticks())).collect();
    assert_eq!(got, [(first, 1_000), (second, 2_000), (third, 3_000)]);
    assert_eq!(faults(&events), []);
}

#[test]
fn a_picture_without_a_time_is_told_without_one() {
    let mut pictures = pictures();
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1_000], false, &pictures.idr(1));
    ts.pes(VIDEO, &[], false, &pictures.repeat());
    let units = units(&demux(&ts.bytes));
    assert_eq!((units.len(), units[1].time), (2, None));
}

#[test]
fn audio_frames_are_timed_by_samples_from_the_last_pts() {
    let frame = silent_adts(44_100, Layout::Stereo).unwrap();
    let stream = frame.repeat(40);
    // PES borders inside frames; 90 kHz times as a packager rounds them.
    let mut ts = Builder::with_tables();
    ts.pes(AUDIO, &[1_000], true, &stream[..frame.len() * 10 + 5]);
    ts.pes(
        AUDIO,
        &[1_000 + 11 * 1024 * 90_000 / 44_100],
        true,
        &stream[frame.len() * 10 + 5..frame.len() * 20],
    );
    ts.pes(AUDIO, &[], true, &stream[frame.len() * 20..]);
    let events = demux(&ts.bytes);
    assert_eq!(faults(&events), []);
    let units = units(&events);
    assert_eq!(units.len(), 40);
    for (n, unit) in (0i64..).zip(&units) {
        let pts = unit.time.unwrap().pts.ticks();
        let exact = 1_000 + n * 1024 * 90_000 / 44_100;
        assert!((exact - 1..=exact).contains(&pts), "frame {n}: {pts}, not {exact}");
        assert_eq!(unit.data, frame);
    }
}

#[test]
fn a_new_sampling_rate_goes_on_from_where_the_old_one_was() {
    let (fast, slow) =
        (silent_adts(48_000, Layout::Mono).unwrap(), silent_adts(8_000, Layout::Stereo).unwrap());
    let mut ts = Builder::with_tables();
    ts.pes(AUDIO, &[0], true, &[&fast[..], &fast, &slow, &slow].concat());
    let times: Vec<_> = units(&demux(&ts.bytes)).iter().map(|unit| unit.time.unwrap().pts.ticks()).collect();
    assert_eq!(times, [0, 1_920, 3_840, 15_360]);
}

#[test]
fn bytes_that_are_no_frame_are_skipped_and_told() {
    let frame = silent_adts(48_000, Layout::Mono).unwrap();
    let mut lying = frame.to_vec();
    lying[4] += 1; // eight bytes more than there are
    let mut ts = Builder::with_tables();
    ts.pes(AUDIO, &[0], true, &[&[1, 0xFF, 3], &frame[..], &lying, &frame, &frame].concat());
    let events = demux(&ts.bytes);
    let lens: Vec<_> = faults(&events)
        .iter()
        .map(|fault| if let Fault::NotAdts { len, .. } = fault { *len } else { panic!("{fault}") })
        .collect();
    assert_eq!(lens.iter().sum::<usize>() + units(&events).len() * frame.len(), 3 + 4 * frame.len());
    assert!(units(&events).iter().all(|unit| unit.data == frame));
    assert!(units(&events).len() >= 2);
}

#[test]
fn wraps_are_unrolled_near_the_reference() {
    let mut pictures = pictures();
    let mut ts = Builder::with_tables();
    for n in 0..6u64 {
        let dts = ((1 << 33) - 9_000 + n * 3_000) % (1 << 33);
        ts.pes(VIDEO, &[(dts + 6_000) % (1 << 33), dts], false, &pictures.idr(1));
    }
    let dts =
        |events: &[Event]| units(events).iter().map(|u| u.time.unwrap().dts.ticks()).collect::<Vec<_>>();
    let top = 1i64 << 33;
    let want = [-9_000, -6_000, -3_000, 0, 3_000, 6_000];
    assert_eq!(dts(&demux(&ts.bytes)), want.map(|ticks| top + ticks));
    let near = |ticks| DemuxOptions::default().with_reference(at(ticks));
    assert_eq!(dts(&run(near(0), &ts.bytes)), want);
    assert_eq!(dts(&run(near(5 * top), &ts.bytes)), want.map(|ticks| 5 * top + ticks));
    for unit in units(&demux(&ts.bytes)) {
        let time = unit.time.unwrap();
        assert_eq!(time.pts.ticks() - time.dts.ticks(), 6_000);
    }
}

#[test]
fn clock_references_and_discontinuities_are_told() {
    let mut ts = Builder::with_tables();
    ts.packet(VIDEO, false, &[0x90, 0, 0, 0x23, 0x28, 0xFE, 0x2B], &[]); // base 18001, extension 43
    let events = demux(&ts.bytes);
    let pcr = events.iter().find_map(|event| match event {
        Event::Pcr { pid, base, extension, at } => Some((pid.get(), base.ticks(), *extension, *at)),
        _ => None,
    });
    assert_eq!(pcr, Some((VIDEO, 18_001, 43, 376)));
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Discontinuity { pid, at: 376 } if pid.get() == VIDEO))
    );
}

#[test]
fn a_packet_that_comes_twice_counts_once() {
    let picture = pictures().opaque(OpaqueKind::Other, 3_000);
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1], false, &picture);
    let twice = ts.bytes[188 * 5..188 * 6].to_vec();
    ts.bytes.splice(188 * 6..188 * 6, twice);
    let events = demux(&ts.bytes);
    assert_eq!((units(&events)[0].data.clone(), faults(&events)), (picture, vec![]));
}

#[test]
fn a_hole_damages_only_the_unit_it_is_in() {
    let pictures = pictures();
    let all: Vec<_> = (0..3).map(|_| pictures.opaque(OpaqueKind::Other, 3_000)).collect();
    let mut ts = Builder::with_tables();
    for (n, picture) in (0u64..).zip(&all) {
        ts.pes(VIDEO, &[n], false, picture);
    }
    ts.bytes.drain(188 * 25..188 * 27); // in the second picture
    let events = demux(&ts.bytes);
    let damaged: Vec<_> = units(&events).iter().map(|unit| unit.damaged).collect();
    assert_eq!(damaged, [false, true, false]);
    assert!(matches!(faults(&events)[..], [Fault::Continuity { .. }]));
}

#[test]
fn limits_drop_what_is_over_them_and_say_so() {
    let mut pictures = pictures();
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1], false, &pictures.opaque(OpaqueKind::Other, 20_000));
    ts.pes(VIDEO, &[2], false, &pictures.repeat());
    let events = run(DemuxOptions::default().with_max_unit_bytes(10_000), &ts.bytes);
    assert_eq!(units(&events).len(), 1);
    assert!(matches!(faults(&events)[..], [Fault::UnitOverLimit { at: 376, limit: 10_000, .. }]));

    let mut late = Builder::default();
    for n in 0..20 {
        late.pes(VIDEO, &[n], false, &pictures.repeat());
    }
    late.tables(&[(0x1B, VIDEO)]);
    let events = run(DemuxOptions::default().with_max_held_bytes(188 * 5), &late.bytes);
    assert_eq!(units(&events).len(), 5);
    assert_eq!(faults(&events), [Fault::HeldOverLimit { bytes: 15 * 188, limit: 188 * 5 }]);
    assert_eq!(units(&demux(&late.bytes)).len(), 20);
}

#[test]
fn without_a_program_the_end_says_so() {
    let mut ts = Builder::default();
    ts.pes(VIDEO, &[1], false, &pictures().repeat());
    assert_eq!(faults(&demux(&ts.bytes)), [Fault::NoProgram { bytes: 188 }]);
}

#[test]
fn a_changed_map_ends_the_old_streams() {
    let mut pictures = pictures();
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1], false, &pictures.idr(1));
    ts.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]); // the same again says nothing
    ts.tables(&[(0x1B, 0x200), (0x24, 0x201)]);
    ts.pes(0x200, &[2], false, &pictures.idr(1));
    let events = demux(&ts.bytes);
    let names: Vec<Vec<_>> = events
        .iter()
        .filter_map(|event| match event {
            Event::Streams(streams) => Some(streams.iter().map(|stream| stream.kind.name()).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(names, [["H.264", "AAC (ADTS)"], ["H.264", "H.265"]]);
    let pids: Vec<_> = units(&events).iter().map(|unit| unit.pid.get()).collect();
    assert_eq!(pids, [VIDEO, 0x200]);
}

#[test]
fn damaged_packets_and_tables_are_faults() {
    let mut ts = Builder::with_tables();
    let good = ts.bytes.len();
    ts.pes(VIDEO, &[1], false, &pictures().repeat());
    for (flip, want) in [
        ((good + 1, 0x80), Fault::Packet { at: 376 }),
        ((good + 3, 0xC0), Fault::Packet { at: 376 }),
        ((188 + 10, 0x01), Fault::Table { at: 188 }),
    ] {
        let mut bytes = ts.bytes.clone();
        bytes[flip.0] ^= flip.1;
        assert_eq!(faults(&demux(&bytes))[0], want);
    }
}

#[test]
fn junk_between_packets_is_measured() {
    let mut pictures = pictures();
    let mut ts = Builder::with_tables();
    ts.pes(VIDEO, &[1], false, &pictures.idr(1));
    let border = ts.bytes.len();
    ts.pes(VIDEO, &[2], false, &pictures.repeat());
    ts.bytes.splice(border..border, [7; 300]);
    ts.bytes.extend_from_slice(&[0x47, 1, 2]);
    let events = demux(&ts.bytes);
    assert_eq!(units(&events).len(), 2);
    let (at, end) = (u64::try_from(border).unwrap(), u64::try_from(ts.bytes.len()).unwrap() - 3);
    assert_eq!(faults(&events), [Fault::Junk { at, len: 300 }, Fault::Junk { at: end, len: 3 }]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cut_into_calls_does_not_matter(
        junk in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..4000, cuts in proptest::collection::vec(1usize..500, 1..60),
    ) {
        let pictures = pictures();
        let mut ts = Builder::with_tables();
        for n in 0..10 {
            ts.pes(VIDEO, &[n * 3_000], false, &pictures.opaque(OpaqueKind::Other, 500));
            ts.pes(AUDIO, &[n * 1_920], true, &silent_adts(48_000, Layout::Mono).unwrap());
        }
        let at = at.min(ts.bytes.len());
        ts.bytes.splice(at..at, junk);
        let whole = demux(&ts.bytes);
        let mut demuxer = Demuxer::default();
        let mut rest = ts.bytes.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at(rest.len().min(*cut));
            demuxer.push(piece);
            rest = tail;
            if rest.is_empty() { break }
        }
        demuxer.finish();
        let pieces: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn any_bytes_give_bounded_output(bytes in proptest::collection::vec(prop_oneof![2 => Just(0x47u8), 1 => Just(0), 1 => any::<u8>()], 0..4000)) {
        let media: usize = units(&demux(&bytes)).iter().map(|unit| unit.data.len()).sum();
        prop_assert!(media <= bytes.len());
    }
}
