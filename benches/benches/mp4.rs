//! Writing MP4, and making it of HLS segments, in bytes of input a second.
//!
//! `cargo bench -p recorder-benches --bench mp4`. Input is built: five minutes of 25 pictures a second with 20 kB each
//! and AAC of 170 bytes a frame. Output goes nowhere, so that what is measured is ours; whole programs with files are
//! compared by `benches/peers/mp4.sh`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::hint::black_box;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use recorder_hls::{AccessUnit, Action, PlaylistHeader, SegmentIndex, Segmenter, SegmenterOptions, Streams};
use recorder_mp4::{MovieIndex, MovieWriter, SampleEntry, SampleInfo, TrackSetup};
use recorder_remux::{Copier, CopyStep, Input, Packager, PlanOptions, Planner, Step};
use recorder_testkit::h264::{OpaqueKind, Pictures};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, H264Config, NalFraming, RoomTime, Size, Timescale, Timestamp, UnixMillis};

const PICTURES: i64 = 7500;
const FRAMES: i64 = 14_062;

/// Takes everything and keeps the count.
#[derive(Default)]
struct Nowhere(u64);

impl Write for Nowhere {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += black_box(data).len() as u64;
        Ok(data.len())
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = data.iter().map(|slice| black_box(slice).len()).sum::<usize>();
        self.0 += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn audio() -> AudioSpecificConfig {
    AudioSpecificConfig::new(48_000, 2).unwrap()
}

fn at(number: i64, hz: i64, step: i64) -> RoomTime {
    RoomTime::from_nanos(number * step * 1_000_000_000 / hz)
}

/// Segments of ten seconds, with their indexes.
fn segments() -> Vec<(SegmentIndex, Bytes)> {
    let pictures = Pictures::new(Size::new(1920, 1080).unwrap()).unwrap();
    let header = PlaylistHeader::single(recorder_types::MediaId::Main, "bench".parse().unwrap());
    let mut segmenter = Segmenter::new(SegmenterOptions::new("bench".parse().unwrap(), header).unwrap());
    let parameter_sets = pictures.parameter_sets().to_vec();
    segmenter.set_streams(Streams {
        video: Some(H264Config { framing: NalFraming::AnnexB, parameter_sets }),
        audio: Some(AacConfig::Raw(audio())),
    });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
    let (mut made, mut open, mut frame) = (Vec::new(), Vec::new(), 0);
    let mut drain = |segmenter: &mut Segmenter| {
        while let Some(action) = segmenter.poll() {
            match action {
                Action::SegmentData { data } => open.extend_from_slice(&data),
                Action::CloseSegment(info) => {
                    made.push((info.index.unwrap(), Bytes::from(std::mem::take(&mut open))));
                }
                _ => {}
            }
        }
    };
    for number in 0..PICTURES {
        let time = at(number, 25, 1);
        while frame < FRAMES && at(frame, 48_000, 1024) <= time {
            let time = at(frame, 48_000, 1024);
            let unit = AccessUnit { pts: time, dts: time, data: vec![0x21; 170].into() };
            let _ = segmenter.push_audio(&unit).unwrap();
            frame += 1;
        }
        let kind = if number % 50 == 0 { OpaqueKind::Idr } else { OpaqueKind::Other };
        let unit = AccessUnit { pts: time, dts: time, data: pictures.opaque(kind, 20_000) };
        let _ = segmenter.push_video(&unit).unwrap();
        drain(&mut segmenter);
    }
    segmenter.finish();
    drain(&mut segmenter);
    made
}

/// Plans and copies; `index` gives that of a segment.
fn to_mp4(segments: &[(SegmentIndex, Bytes)], index: impl Fn(usize) -> SegmentIndex) -> u64 {
    let mut planner = Planner::new(PlanOptions::default(), vec![Input::both()]);
    let mut sink = Nowhere::default();
    loop {
        match planner.poll().unwrap() {
            Step::Need { segment, .. } => {
                let number = segment as usize;
                planner.supply(0, (number < segments.len()).then(|| index(number))).unwrap();
            }
            Step::File(plan) => {
                let mut copier = Copier::new(*plan);
                loop {
                    match copier.poll().unwrap() {
                        CopyStep::Need { segment, .. } => {
                            copier.supply(0, segments[segment as usize].1.clone()).unwrap();
                        }
                        CopyStep::Output => copier.write_to(&mut sink).unwrap(),
                        CopyStep::Done => break,
                    }
                }
            }
            Step::Done => return sink.0,
        }
    }
}

fn hls_to_mp4(criterion: &mut Criterion) {
    let segments = segments();
    let mut group = criterion.benchmark_group("hls_to_mp4");
    group.throughput(Throughput::Bytes(segments.iter().map(|(_, data)| data.len() as u64).sum()));
    group.bench_function("stored-index", |bench| {
        bench.iter(|| to_mp4(&segments, |number| segments[number].0.clone()));
    });
    group.bench_function("segments-alone", |bench| {
        bench.iter(|| {
            to_mp4(&segments, |number| {
                let (index, data) = &segments[number];
                SegmentIndex::from_ts(data, index.start(), index.discontinuity(), None).unwrap()
            })
        });
    });
    group.bench_function("fragmented-segments", |bench| {
        bench.iter(|| {
            let mut packager = Packager::new();
            let made =
                segments.iter().map(|(index, data)| packager.segment(index, data.clone()).unwrap().len());
            made.sum::<u64>()
        });
    });
    group.finish();
}

fn mp4_write(criterion: &mut Criterion) {
    let pictures = Pictures::new(Size::new(1920, 1080).unwrap()).unwrap();
    let entry = SampleEntry::avc1(pictures.parameter_sets().to_vec()).unwrap();
    let (picture, frame) = (Bytes::from(vec![0x41; 20_000]), Bytes::from(vec![0x21; 170]));
    let mut samples = Vec::new();
    let mut next = 0;
    for number in 0..PICTURES {
        while next < FRAMES && next * 1024 * 25 <= number * 48_000 {
            samples.push((1, next));
            next += 1;
        }
        samples.push((0, number));
    }
    let info = |track: usize, number: i64| {
        let (clock, duration) = [(Timescale::HZ_90000, 3600), (Timescale::HZ_48000, 1024)][track];
        let at = Timestamp::new(number * i64::from(duration), clock);
        let sync = track == 1 || number % 50 == 0;
        SampleInfo { pts: at, dts: at, duration, sync, len: [20_000, 170][track] }
    };
    let bytes = PICTURES * 20_000 + FRAMES * 170;
    let mut group = criterion.benchmark_group("mp4_write");
    group.throughput(Throughput::Bytes(bytes.unsigned_abs()));
    group.bench_function("av-20kB-built", |bench| {
        bench.iter(|| {
            let mut index = MovieIndex::new();
            index.add_track(TrackSetup::new(entry.clone(), Timescale::HZ_90000)).unwrap();
            index.add_track(TrackSetup::new(SampleEntry::aac(audio()), Timescale::HZ_48000)).unwrap();
            for &(track, number) in &samples {
                index.push(track, info(track, number)).unwrap();
            }
            let mut writer = MovieWriter::new(index.finish().unwrap());
            let mut sink = Nowhere::default();
            for &(track, _) in &samples {
                writer.push(track, [&picture, &frame][track].clone()).unwrap();
                writer.write_to(&mut sink).unwrap();
            }
            writer.finish().unwrap();
            sink.0
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = mp4_write, hls_to_mp4
}
criterion_main!(benches);
