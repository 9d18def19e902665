//! Any calls: starts rise, segments are bounded, and DTS rise within each; whenever actions are taken.
#![no_main]

use std::collections::HashMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recorder_hls::demux::{Demuxer, Event};
use recorder_hls::{AccessUnit, Action, PlaylistHeader, SegmentInfo, Segmenter, SegmenterOptions, Streams};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, H264Config, MediaId, NalFraming, RoomTime, UnixMillis};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum At {
    /// Milliseconds after the last.
    Next(u16),
    Back(u16),
    Anywhere(i64),
}

#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Video { at: At, reorder: u16, idr: bool, size: u16 },
    Audio { at: At, size: u16 },
    Discontinuity,
    EndSegment,
    WallClock { room: At, wall: u32 },
    Streams(bool, bool),
    Junk(Vec<u8>),
}

const SPS: [u8; 8] = [0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x10, 0x66, 0x40];
const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];

fn picture(idr: bool, size: usize) -> Vec<u8> {
    let mut data = Vec::new();
    let mut slice: Vec<u8> = if idr { vec![0x65, 0x88, 0x84] } else { vec![0x41, 0x9A, 0x24] };
    slice.resize(size.max(4), 0x55);
    let sets: &[&[u8]] = if idr { &[&SPS, &PPS] } else { &[] };
    for unit in sets.iter().copied().chain([slice.as_slice()]) {
        data.extend_from_slice(&[0, 0, 0, 1]);
        data.extend_from_slice(unit);
    }
    data
}

fn streams(video: bool, audio: bool) -> Streams {
    let h264 = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let aac = AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).expect("AAC-LC"));
    Streams { video: video.then_some(h264), audio: audio.then_some(aac) }
}

fn run(steps: &[Step], poll_each: bool) -> Vec<Action> {
    let header = PlaylistHeader::single(MediaId::Main, "alice".parse().expect("an id"));
    let options = SegmenterOptions::new("x".parse().expect("a stem"), header).expect("a short stem");
    let mut segmenter = Segmenter::new(options);
    segmenter.set_streams(streams(true, true));
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).expect("this century"));
    let mut clock = 0i64;
    let mut actions = Vec::new();
    for step in steps {
        let mut place = |at: At| {
            clock = match at {
                At::Next(ms) => clock.saturating_add(i64::from(ms % 1000)),
                At::Back(ms) => clock.saturating_sub(i64::from(ms)),
                At::Anywhere(ms) => return RoomTime::from_millis(ms),
            };
            RoomTime::from_millis(clock)
        };
        match step.clone() {
            Step::Video { at, reorder, idr, size } => {
                let dts = place(at);
                let pts = dts.saturating_add(RoomTime::from_millis(i64::from(reorder % 500)));
                let data = picture(idr, usize::from(size)).into();
                let _ = segmenter.push_video(&AccessUnit { pts, dts, data });
            }
            Step::Audio { at, size } => {
                let at = place(at);
                let data = vec![9; usize::from(size % 3000)].into();
                let _ = segmenter.push_audio(&AccessUnit { pts: at, dts: at, data });
            }
            Step::Discontinuity => segmenter.discontinuity(),
            Step::EndSegment => segmenter.end_segment(),
            Step::WallClock { room, wall } => {
                let wall = UnixMillis::new(wall.into()).expect("below the year 9999");
                segmenter.set_wall_clock(place(room), wall);
            }
            Step::Streams(video, audio) => segmenter.set_streams(streams(video, audio)),
            Step::Junk(data) => {
                let unit = AccessUnit { pts: RoomTime::ZERO, dts: RoomTime::ZERO, data: data.into() };
                let _ = segmenter.push_video(&unit);
                let _ = segmenter.push_audio(&unit);
            }
        }
        if poll_each {
            actions.extend(std::iter::from_fn(|| segmenter.poll()));
        }
    }
    segmenter.finish();
    actions.extend(std::iter::from_fn(|| segmenter.poll()));
    actions
}

fn check(info: &SegmentInfo, data: &[u8]) {
    let most = RoomTime::from_millis(60_000 + 2 * 5_000);
    assert!(info.duration > RoomTime::ZERO && info.duration <= most, "{info:?}");
    assert_eq!(info.bytes, data.len() as u64);
    assert_eq!(data.len() % 188, 0);
    let mut demuxer = Demuxer::default();
    demuxer.push(data);
    demuxer.finish();
    let (mut last, mut pictures) = (HashMap::new(), 0);
    while let Some(event) = demuxer.poll() {
        match event {
            Event::Unit(unit) => {
                let dts = unit.time.expect("each unit has a time").dts.ticks();
                if let Some(before) = last.insert(unit.pid, dts) {
                    assert!(before < dts, "DTS {before} and then {dts}");
                }
                pictures += u64::from(matches!(unit.kind, recorder_hls::demux::UnitKind::H264 { .. }));
            }
            Event::Fault(fault) => panic!("{fault:?}"),
            _ => {}
        }
    }
    assert_eq!(pictures, info.pictures);
}

fuzz_target!(|steps: Vec<Step>| {
    let actions = run(&steps, true);
    assert!(format!("{actions:?}") == format!("{:?}", run(&steps, false)), "polled otherwise it is another");
    let (mut open, mut last) = (Vec::new(), None);
    for action in actions {
        match action {
            Action::SegmentData { data } => open.extend_from_slice(&data),
            Action::CloseSegment(info) => {
                assert!(last.is_none_or(|last| last < info.start), "a start that does not rise");
                last = Some(info.start);
                check(&info, &std::mem::take(&mut open));
            }
            _ => {}
        }
    }
});
