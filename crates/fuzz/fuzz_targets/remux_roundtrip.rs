//! What the segmenter writes, the remuxer makes an MP4 of that holds each sample once.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use recorder_hls::{AccessUnit, Action, PlaylistHeader, SegmentIndex, Segmenter, SegmenterOptions, Streams};
use recorder_mp4::{Event, Reader, ReaderOptions};
use recorder_remux::{Copier, CopyStep, Input, PlanOptions, Planner, Step};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, MediaId, RoomTime, UnixMillis};

#[derive(Arbitrary, Debug)]
struct Frame {
    /// Milliseconds of silence before it.
    pause: Option<u16>,
    size: u8,
    fill: u8,
}

fuzz_target!(|frames: Vec<Frame>| {
    let header = PlaylistHeader::single(MediaId::Main, "alice".parse().expect("an id"));
    let options = SegmenterOptions::new("x".parse().expect("a stem"), header).expect("a short stem");
    let mut segmenter = Segmenter::new(options);
    let aac = AudioSpecificConfig::new(48_000, 1).expect("AAC-LC");
    segmenter.set_streams(Streams { video: None, audio: Some(AacConfig::Raw(aac)) });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).expect("this century"));
    let (mut at, mut sent) = (0i64, Vec::new());
    for frame in frames.iter().take(3000) {
        at += i64::from(frame.pause.unwrap_or(0)) * 1_000_000;
        let data = vec![frame.fill; usize::from(frame.size) + 1];
        let time = RoomTime::from_nanos(at);
        let unit = AccessUnit { pts: time, dts: time, data: data.clone().into() };
        if segmenter.push_audio(&unit).is_ok_and(|pushed| pushed == recorder_hls::Pushed::Written) {
            sent.push(data);
        }
        at += 21_333_334;
    }
    segmenter.finish();
    let (mut indexes, mut segments, mut open) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(action) = segmenter.poll() {
        match action {
            Action::SegmentData { data } => open.extend_from_slice(&data),
            Action::CloseSegment(info) => {
                let data = Bytes::from(std::mem::take(&mut open));
                let kept = info.index.expect("an index is asked for by default");
                let near = kept.audio().and_then(|audio| audio.frames().next()).map(|frame| frame.pts);
                let read =
                    SegmentIndex::from_ts(&data, info.start, info.discontinuity, near).expect("a segment");
                assert!(read == kept, "the index is not that of the segment");
                indexes.push(kept);
                segments.push(data);
            }
            _ => {}
        }
    }
    if sent.is_empty() {
        return;
    }
    let mut planner = Planner::new(PlanOptions::default(), vec![Input::audio()]);
    let mut got = Vec::new();
    loop {
        match planner.poll().expect("a recording of ours") {
            Step::Need { input, segment } => {
                planner.supply(input, indexes.get(segment as usize).cloned()).expect("an index of ours");
            }
            Step::File(file) => got.extend(samples(*file, &segments)),
            Step::Done => break,
        }
    }
    assert!(got == sent, "{} samples of {}", got.len(), sent.len());
});

fn samples(plan: recorder_remux::FilePlan, segments: &[Bytes]) -> Vec<Vec<u8>> {
    let (len, mut written) = (plan.len(), Vec::new());
    let mut copier = Copier::new(plan);
    loop {
        match copier.poll().expect("segments of ours") {
            CopyStep::Need { segment, input } => {
                copier.supply(input, segments[segment as usize].clone()).expect("a segment of ours");
            }
            CopyStep::Output => copier.write_to(&mut written).expect("memory"),
            CopyStep::Done => break,
        }
    }
    assert_eq!(written.len() as u64, len);
    let file = Bytes::from(written);
    let mut reader = Reader::new(len, ReaderOptions::default());
    let mut samples = Vec::new();
    loop {
        match reader.poll().expect("a file of ours") {
            Event::Need(need) => {
                let from = need.at as usize;
                reader.supply(file.slice(from..from + need.len)).expect("what was asked for");
            }
            Event::Sample(sample) => {
                let from = sample.offset as usize;
                samples.push(file[from..from + sample.len as usize].to_vec());
            }
            Event::TrackFailed { error, .. } => panic!("{error}"),
            Event::End => return samples,
            _ => {}
        }
    }
}
