//! Segmenting, demuxing and reading MP4, in bytes of media a second.
//!
//! `cargo bench -p recorder-benches --bench hls`. Real media is used where the corpus is present
//! (`RECORDER_MEDIA`, or `../shared/media` beside the workspace), built pictures elsewhere.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::io::Cursor;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use recorder_hls::demux::{DemuxOptions, Demuxer};
use recorder_hls::{AccessUnit, Action, PlaylistHeader, Segmenter, SegmenterOptions, Streams};
use recorder_mp4::FileReader;
use recorder_testkit::h264::{OpaqueKind, Pictures};
use recorder_types::{AacConfig, H264Config, NalFraming, RoomTime, Size, TrackConfig, UnixMillis};

/// Access units of one recording: is it a picture, and the unit.
struct Media {
    streams: Streams,
    units: Vec<(bool, AccessUnit)>,
}

impl Media {
    fn bytes(&self) -> u64 {
        self.units.iter().map(|(_, unit)| unit.data.len() as u64).sum()
    }

    fn from_mp4(file: &[u8]) -> Self {
        let mut reader = FileReader::open(Cursor::new(file)).unwrap();
        let mut streams = Streams::default();
        for track in reader.tracks() {
            match &track.config {
                TrackConfig::H264(config) => streams.video = Some(config.clone()),
                TrackConfig::Aac(config) => streams.audio = Some(*config),
                _ => {}
            }
        }
        let is_video: Vec<bool> =
            reader.tracks().iter().map(|track| matches!(track.config, TrackConfig::H264(_))).collect();
        let mut units = Vec::new();
        while let Some(sample) = reader.next_sample().unwrap() {
            let (pts, dts) = (sample.sample.pts.to_room_time(), sample.sample.dts.to_room_time());
            let unit = AccessUnit { pts: pts.unwrap(), dts: dts.unwrap(), data: sample.sample.data };
            units.push((is_video[sample.at.track], unit));
        }
        Self { streams, units }
    }

    /// Five minutes of 25 pictures a second with 20 kB each, a key frame every two seconds.
    fn built() -> Self {
        let pictures = Pictures::new(Size::new(1920, 1080).unwrap()).unwrap();
        let config =
            H264Config { framing: NalFraming::AnnexB, parameter_sets: pictures.parameter_sets().to_vec() };
        let units = (0..7500i64).map(|n| {
            let kind = if n % 50 == 0 { OpaqueKind::Idr } else { OpaqueKind::Other };
            let at = RoomTime::from_millis(n * 40);
            (true, AccessUnit { pts: at, dts: at, data: pictures.opaque(kind, 20_000) })
        });
        Self { streams: Streams { video: Some(config), audio: None::<AacConfig> }, units: units.collect() }
    }

    /// Segments all of it; gives every byte of TS to `sink`.
    fn segment(&self, mut sink: impl FnMut(Bytes)) {
        let header = PlaylistHeader::single(recorder_types::MediaId::Main, "bench".parse().unwrap());
        let options = SegmenterOptions::new("bench".parse().unwrap(), header).unwrap();
        let mut segmenter = Segmenter::new(options);
        segmenter.set_streams(self.streams.clone());
        segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
        for (is_video, unit) in &self.units {
            let pushed = if *is_video { segmenter.push_video(unit) } else { segmenter.push_audio(unit) };
            let _ = pushed.unwrap();
            while let Some(action) = segmenter.poll() {
                if let Action::SegmentData { data } = action {
                    sink(data);
                }
            }
        }
        segmenter.finish();
        while let Some(action) = segmenter.poll() {
            if let Action::SegmentData { data } = action {
                sink(data);
            }
        }
    }
}

fn hls(criterion: &mut Criterion) {
    let mut cases = vec![("annexb-20kB-built", Media::built())];
    if let Some(file) = recorder_testkit::media::read_media("mp4/chrome.mp4") {
        cases.push(("av-480x270", Media::from_mp4(&file)));
        let mut group = criterion.benchmark_group("mp4_read");
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function("av-480x270", |bench| bench.iter(|| black_box(Media::from_mp4(&file)).bytes()));
        group.finish();
    }
    for (name, media) in &cases {
        let mut group = criterion.benchmark_group("hls_segment");
        group.throughput(Throughput::Bytes(media.bytes()));
        group.bench_function(*name, |bench| {
            bench.iter(|| {
                let mut written = 0;
                media.segment(|data| written += black_box(&data).len());
                written
            });
        });
        group.finish();

        let mut ts = Vec::new();
        media.segment(|data| ts.extend_from_slice(&data));
        let mut group = criterion.benchmark_group("hls_demux");
        group.throughput(Throughput::Bytes(ts.len() as u64));
        group.bench_function(*name, |bench| {
            bench.iter(|| {
                let mut demuxer = Demuxer::new(DemuxOptions::default());
                let mut events = 0u64;
                for chunk in ts.chunks(64 * 1024) {
                    demuxer.push(chunk);
                    while let Some(event) = demuxer.poll() {
                        black_box(&event);
                        events += 1;
                    }
                }
                events
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = hls
}
criterion_main!(benches);
