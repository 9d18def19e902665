//! Recordings with pauses, lost segments, new sizes and rates, cut into small files.

// Helpers of tests fail by panicking.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::index::Samples;
use recorder_mp4::SplitLimits;
use recorder_remux::{
    AacCopier, AacPlanner, AacStep, Alignment, Copier, CopyError, CopyStep, Input, Packager, PlanOptions,
    RemuxError,
};
use recorder_testkit::{aac, h264, media};
use recorder_types::aac::{AdtsFrame, AudioSpecificConfig};
use recorder_types::h264::{DisplayOrientation, prepend_units};
use recorder_types::{AacConfig, H264Config, MediaKind, NalFraming, RoomTime, Size};
use support::{
    Recorder, Recording, WALL, assert_same, options, plan_all, read_mp4, record, remux, samples, write,
};

fn annex_b() -> Option<H264Config> {
    Some(H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() })
}

fn raw(rate: u32) -> Option<AacConfig> {
    Some(AacConfig::Raw(AudioSpecificConfig::new(rate, 1).unwrap()))
}

fn camera(width: u32) -> h264::Pictures {
    h264::Pictures::new(Size::new(width, 64).unwrap()).unwrap()
}

/// `millis` of pictures at 25 Hz, a key frame every second, and of audio, from `from` on.
fn push(
    recorder: &mut Recorder,
    pictures: Option<&mut h264::Pictures>,
    audio: Option<u32>,
    from: i64,
    millis: i64,
) {
    let at = |ms: i64| RoomTime::from_millis(ms);
    let (mut frame, mut n) = (from, 0);
    let mut pictures = pictures;
    let data = aac::silent_frame(aac::Layout::Mono);
    for number in 0..millis / 40 {
        let now = from + number * 40;
        while let Some(rate) = audio.filter(|_| frame < now + 40) {
            let nanos = from * 1_000_000 + n * 1024 * 1_000_000_000 / i64::from(rate);
            recorder.push(MediaKind::Audio, RoomTime::from_nanos(nanos), RoomTime::from_nanos(nanos), &data);
            n += 1;
            frame = from + n * 1024 * 1000 / i64::from(rate);
        }
        if let Some(pictures) = &mut pictures {
            let data = if number % 25 == 0 { pictures.idr(90) } else { pictures.repeat() };
            recorder.push(MediaKind::Video, at(now), at(now), &data);
        }
    }
}

fn limits(bytes: u64) -> PlanOptions {
    PlanOptions::default().with_limits(SplitLimits::default().with_max_bytes(bytes))
}

/// All samples of a kind, in order, as many as there are in the files together.
fn data_of(files: &[Vec<u8>], kind: MediaKind) -> Vec<Bytes> {
    files.iter().flat_map(|file| samples(&read_mp4(file), kind)).map(|sample| sample.data).collect()
}

fn whole(recording: &Recording, kind: MediaKind) -> Vec<Bytes> {
    recording.of(kind).iter().map(|sample| sample.data.clone()).collect()
}

#[test]
fn small_files_have_each_sample_once_and_begin_with_a_key_frame() {
    let mut most = 1;
    for name in ["mp4/sample.mp4", "mp4/one-by-one-person-detection.mp4", "mp4/long_1080p_lowbitrate.mp4"] {
        let Some(source) = media::read_media(name) else { return };
        let recording = record(&read_mp4(&source), options(), 90_000, None);
        let size: u64 = recording.segments.iter().map(|(index, _)| index.bytes()).sum();
        for parts in [2, 3, 5] {
            let inputs = [(&recording, Input::both())];
            let Ok(plans) = plan_all(&inputs, limits(size / parts), &[]) else { continue };
            let mut end = None;
            for plan in &plans {
                assert!(plan.len() <= size / parts);
                let gap = end.map_or(0, |end: u64| plan.start().get().abs_diff(end));
                assert!(gap <= 60, "{name}: {gap} ms between files");
                end = Some(plan.end().get());
            }
            let files: Vec<_> = plans.into_iter().map(|plan| write(plan, &inputs, &[])).collect();
            most = most.max(files.len());
            for (number, file) in files.iter().enumerate() {
                let video = samples(&read_mp4(file), MediaKind::Video);
                let begins = |first: &support::Kept| first.sync && (number == 0 || first.pts == 0);
                assert!(video.first().is_none_or(begins), "{name} {number}: {:?}", video[0].pts);
            }
            for kind in [MediaKind::Video, MediaKind::Audio] {
                assert!(data_of(&files, kind) == whole(&recording, kind), "{name} {kind}");
            }
        }
    }
    assert!(most > 1, "nothing was ever split");
}

#[test]
fn a_pause_leaves_a_gap_and_a_wall_clock_that_jumps_none() {
    for jump in [0, 3_600_000, -3_600_000] {
        let mut recorder = Recorder::new(options(), 90_000);
        recorder.streams(annex_b(), raw(48_000));
        let mut pictures = camera(64);
        push(&mut recorder, Some(&mut pictures), Some(48_000), 0, 12_000);
        recorder.wall_clock(RoomTime::ZERO, WALL.checked_add_signed(jump).unwrap());
        recorder.discontinuity();
        push(&mut recorder, Some(&mut pictures), Some(48_000), 60_000, 12_000);
        let recording = recorder.finish();
        assert!(recording.segments.iter().skip(1).any(|(index, _)| index.discontinuity()));
        let files = remux(&[(&recording, Input::both())], PlanOptions::default());
        assert_eq!(files.len(), 1);
        let file = read_mp4(&files[0]);
        assert_same(&samples(&file, MediaKind::Video), &recording.video, 90_000, 2, "video");
        assert_same(&samples(&file, MediaKind::Audio), &recording.audio, 90_000, 2, "audio");
    }
}

#[test]
fn a_clock_that_begins_anew_goes_on_where_the_wall_clock_says() {
    let part = |wall: u64| {
        let mut recorder = Recorder::new(options(), 90_000);
        recorder.wall_clock(RoomTime::ZERO, wall);
        recorder.streams(annex_b(), raw(48_000));
        push(&mut recorder, Some(&mut camera(64)), Some(48_000), 0, 5_000);
        recorder.finish()
    };
    for (later, second) in [(20_000, 20_000), (5_050, 5_000), (100, 5_000)] {
        let (mut both, after) = (part(WALL), part(WALL + later));
        for (index, data) in after.segments {
            let index = SegmentIndex::from_ts(&data, index.start(), true, None).unwrap();
            both.segments.push((index, data));
        }
        for alignment in [Alignment::SharedClock, Alignment::WallClock] {
            let options = PlanOptions::default().with_alignment(alignment);
            let file = read_mp4(&remux(&[(&both, Input::both())], options)[0]);
            let video = samples(&file, MediaKind::Video);
            assert_eq!(video.len(), 250);
            let begin = video[125].pts / 90;
            assert!((begin - second).abs() <= 25, "{later}: {begin}");
        }
    }
}

#[test]
fn recordings_of_elsewhere_are_aligned_by_their_starts() {
    let one = |wall: u64, first_pts: i64, video: bool| {
        let mut recorder = Recorder::new(options(), first_pts);
        recorder.wall_clock(RoomTime::ZERO, wall);
        recorder.streams(annex_b().filter(|_| video), raw(48_000).filter(|_| !video));
        push(
            &mut recorder,
            Some(&mut camera(64)).filter(|_| video),
            Some(48_000).filter(|_| !video),
            0,
            5_000,
        );
        recorder.finish()
    };
    let (video, audio) = (one(WALL, 5_000_000, true), one(WALL + 1_500, 7_000, false));
    let options = PlanOptions::default().with_alignment(Alignment::WallClock);
    let inputs = [(&video, Input::video()), (&audio, Input::audio())];
    let file = read_mp4(&remux(&inputs, options)[0]);
    assert_eq!(samples(&file, MediaKind::Video)[0].pts, 0);
    assert_eq!(samples(&file, MediaKind::Audio)[0].pts, 1_500 * 90);
}

#[test]
fn a_new_size_is_another_entry_and_a_new_rate_another_file() {
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(annex_b(), raw(48_000));
    push(&mut recorder, Some(&mut camera(64)), Some(48_000), 0, 4_000);
    push(&mut recorder, Some(&mut camera(128)), Some(48_000), 4_000, 4_000);
    recorder.streams(annex_b(), raw(16_000));
    push(&mut recorder, Some(&mut camera(128)), Some(16_000), 8_000, 4_000);
    let recording = recorder.finish();
    let files = remux(&[(&recording, Input::both())], PlanOptions::default());
    assert_eq!(files.len(), 2);
    let (first, second) = (read_mp4(&files[0]), read_mp4(&files[1]));
    let sizes: Vec<_> = first.tracks[0].entries.iter().map(|entry| entry.size).collect();
    assert_eq!(sizes, [Size::new(64, 64), Size::new(128, 64)]);
    assert_eq!(second.tracks[1].timescale.hz(), 16_000);
    assert!(samples(&second, MediaKind::Video)[0].sync);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        assert!(data_of(&files, kind) == whole(&recording, kind), "{kind}");
    }
}

#[test]
fn pictures_turned_in_another_way_are_another_file_and_another_section() {
    let turned = |anticlockwise| DisplayOrientation { anticlockwise, ..DisplayOrientation::default() };
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(annex_b(), None);
    let mut pictures = camera(128);
    for number in 0..40 * 25i64 {
        let told = match number / 250 {
            1 => Some(turned(0xC000)),
            3 => Some(turned(0)),
            _ => None, // as before
        };
        let mut data = if number % 25 == 0 { pictures.idr(90) } else { pictures.repeat() };
        if let Some(told) = told.filter(|_| number % 25 == 0) {
            data = prepend_units(&[&told.to_sei()], NalFraming::AnnexB, &data).unwrap();
        }
        let now = RoomTime::from_millis(number * 40);
        recorder.push(MediaKind::Video, now, now, &data);
    }
    let recording = recorder.finish();
    let told: Vec<_> =
        recording.segments.iter().map(|(index, _)| index.video().unwrap().orientation()).collect();
    assert_eq!(told, [None, Some(turned(0xC000)), None, Some(turned(0))]);
    for (index, data) in &recording.segments {
        assert_eq!(SegmentIndex::from_ts(data, index.start(), false, None).as_ref(), Ok(index));
        assert_eq!(&SegmentIndex::decode(&index.encode()).unwrap().0, index);
    }
    let files = remux(&[(&recording, Input::video())], PlanOptions::default());
    let rotations: Vec<_> = files.iter().map(|file| read_mp4(file).tracks[0].matrix.rotation()).collect();
    assert_eq!(rotations, [Some(0), Some(90), Some(0)]);
    assert!(data_of(&files, MediaKind::Video) == whole(&recording, MediaKind::Video));
    let mut packager = Packager::new();
    let sections =
        recording.segments.iter().map(|(index, ts)| packager.segment(index, ts.clone()).unwrap().init);
    let sections: Vec<bool> = sections.map(|section| section.is_some()).collect();
    assert_eq!(sections, [true, true, false, true]);
}

#[test]
fn a_new_rate_beside_pictures_waits_for_their_key_frame() {
    let mut sound = Recorder::new(options(), 90_000);
    sound.streams(None, raw(48_000));
    push(&mut sound, None, Some(48_000), 0, 4_400);
    sound.streams(None, raw(16_000));
    push(&mut sound, None, Some(16_000), 4_400, 4_000);
    let mut camera_only = Recorder::new(options(), 90_000);
    camera_only.streams(annex_b(), None);
    push(&mut camera_only, Some(&mut camera(64)), None, 0, 8_000);
    let (audio, video) = (sound.finish(), camera_only.finish());
    let files = remux(&[(&audio, Input::audio()), (&video, Input::video())], PlanOptions::default());
    assert_eq!(files.len(), 2);
    let second = read_mp4(&files[1]);
    let first_picture = samples(&second, MediaKind::Video).remove(0);
    assert!(first_picture.sync && first_picture.pts.abs_diff(600 * 90) <= 2, "{}", first_picture.pts);
    assert!(data_of(&files, MediaKind::Audio) == whole(&audio, MediaKind::Audio));
    assert!(data_of(&files, MediaKind::Video) == whole(&video, MediaKind::Video));
}

#[test]
fn inputs_meet_across_the_wrap() {
    let first = (1 << 33) - 2 * 90_000;
    let one = |video: bool, from: i64| {
        let mut recorder = Recorder::new(options(), first);
        recorder.streams(annex_b().filter(|_| video), raw(48_000).filter(|_| !video));
        let pictures = &mut camera(64);
        push(&mut recorder, Some(pictures).filter(|_| video), Some(48_000).filter(|_| !video), from, 15_000);
        recorder.finish()
    };
    let (video, mut audio) = (one(true, 0), one(false, 3_000));
    // Read from the segments, times of the second input begin after the wrap.
    for (index, data) in &mut audio.segments {
        *index = SegmentIndex::from_ts(data, index.start(), index.discontinuity(), None).unwrap();
    }
    let files = remux(&[(&video, Input::video()), (&audio, Input::audio())], PlanOptions::default());
    let file = read_mp4(&files[0]);
    assert_same(&samples(&file, MediaKind::Video), &video.video, first, 2, "video");
    assert_same(&samples(&file, MediaKind::Audio), &audio.audio, first, 2, "audio");
}

#[test]
fn a_camera_that_is_switched_on_later_is_in_the_same_file() {
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(None, raw(48_000));
    push(&mut recorder, None, Some(48_000), 0, 45_000);
    recorder.streams(annex_b(), raw(48_000));
    push(&mut recorder, Some(&mut camera(64)), Some(48_000), 45_000, 5_000);
    recorder.streams(None, raw(48_000));
    push(&mut recorder, None, Some(48_000), 50_000, 45_000);
    let recording = recorder.finish();
    let files = remux(&[(&recording, Input::both())], PlanOptions::default());
    assert_eq!(files.len(), 1);
    let file = read_mp4(&files[0]);
    assert_same(&samples(&file, MediaKind::Video), &recording.video, 90_000, 2, "video");
    assert_same(&samples(&file, MediaKind::Audio), &recording.audio, 90_000, 2, "audio");
    // Not announced, it is a file of its own.
    let files = remux(&[(&recording, Input::audio())], PlanOptions::default());
    assert_eq!(files.len(), 2);
    assert!(data_of(&files, MediaKind::Audio) == whole(&recording, MediaKind::Audio));
    assert!(data_of(&files, MediaKind::Video) == whole(&recording, MediaKind::Video));
}

#[test]
fn a_lost_segment_leaves_its_time_empty() {
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(annex_b(), raw(48_000));
    push(&mut recorder, Some(&mut camera(64)), Some(48_000), 0, 45_000);
    let recording = recorder.finish();
    let inputs = [(&recording, Input::both())];
    for lost in [vec![(0, 0)], vec![(0, 2)], vec![(0, 1), (0, 3)]] {
        let plan = plan_all(&inputs, PlanOptions::default(), &lost).unwrap().remove(0);
        let file = read_mp4(&write(plan, &inputs, &lost));
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let kept = (0..).zip(&recording.segments).filter(|(number, _)| !lost.contains(&(0, *number)));
            let count = |index: &SegmentIndex| match kind {
                MediaKind::Video => index.video().map_or(0, |video| video.count()),
                MediaKind::Audio => index.audio().map_or(0, |audio| audio.count()),
            };
            let want: u32 = kept.map(|(_, (index, _))| count(index)).sum();
            let got = samples(&file, kind);
            assert_eq!(got.len(), want as usize);
            let all = recording.of(kind);
            let zero = if lost[0].1 == 0 {
                recording.segments[1].0.video().unwrap().pictures().next().unwrap().pts
            } else {
                90_000
            };
            for sample in &got {
                let at = |want: &&support::Kept| (want.pts - zero - sample.pts).abs() <= 2;
                assert!(all.iter().find(at).is_some_and(|want| want.data == sample.data));
            }
        }
    }
}

#[test]
fn aac_files_have_every_frame_once() {
    let Some(source) = media::read_media("mp4/chrome.mp4").or_else(|| media::read_media("mp4/sample.mp4"))
    else {
        return;
    };
    let mut recording = record(&read_mp4(&source), options(), 90_000, None);
    if recording.audio.is_empty() {
        let mut recorder = Recorder::new(options(), 90_000);
        recorder.streams(annex_b(), raw(48_000));
        push(&mut recorder, Some(&mut camera(64)), Some(48_000), 0, 45_000);
        recording = recorder.finish();
    }
    let all: u64 = recording.audio.iter().map(|frame| frame.data.len() as u64 + 7).sum();
    for parts in [1, 2, 7] {
        let limit = all.div_ceil(parts) + 20;
        let mut planner = AacPlanner::new(limits(limit));
        let mut frames = Vec::new();
        loop {
            match planner.poll() {
                AacStep::Need { segment } => {
                    planner.supply(recording.segments.get(segment as usize).map(|(index, _)| index)).unwrap();
                }
                AacStep::File(plan) => {
                    let (len, count) = (plan.len(), plan.frames());
                    assert!(len <= limit && plan.end() > plan.start());
                    let mut copier = AacCopier::new(plan);
                    let mut file = Vec::new();
                    loop {
                        match copier.poll().unwrap() {
                            CopyStep::Need { segment, .. } => {
                                copier.supply(recording.segments[segment as usize].1.clone()).unwrap();
                            }
                            CopyStep::Output => copier.write_to(&mut file).unwrap(),
                            CopyStep::Done => break,
                        }
                    }
                    assert_eq!(file.len() as u64, len);
                    let mut rest = &file[..];
                    let before = frames.len();
                    while !rest.is_empty() {
                        let frame = AdtsFrame::parse(rest).unwrap();
                        frames.push(Bytes::copy_from_slice(&rest[frame.header_len..frame.frame_len]));
                        rest = &rest[frame.frame_len..];
                    }
                    assert_eq!((frames.len() - before) as u64, count);
                }
                AacStep::Done => break,
            }
        }
        assert!(frames == whole(&recording, MediaKind::Audio), "{parts}");
    }
}

#[test]
fn other_segments_than_were_planned_are_told() {
    let make = |width| {
        let mut recorder = Recorder::new(options(), 90_000);
        recorder.streams(annex_b(), None);
        push(&mut recorder, Some(&mut camera(width)), None, 0, 25_000);
        recorder.finish()
    };
    let (recording, other) = (make(64), make(256));
    let copy = |change: &dyn Fn(u32) -> Bytes| {
        let plan = plan_all(&[(&recording, Input::video())], PlanOptions::default(), &[]).unwrap().remove(0);
        let mut copier = Copier::new(plan);
        loop {
            match copier.poll()? {
                CopyStep::Need { input, segment } => copier.supply(input, change(segment))?,
                CopyStep::Output => copier.write_to(&mut std::io::sink()).unwrap(),
                CopyStep::Done => return Ok(()),
            }
        }
    };
    let right = |segment: u32| recording.segments[segment as usize].1.clone();
    assert_eq!(copy(&right), Ok(()));
    let found = copy(&|segment| other.segments[segment as usize].1.clone());
    assert!(matches!(found, Err(CopyError::Changed { input: 0, segment: 0, .. })), "{found:?}");
    let found = copy(&|segment| if segment == 1 { right(1).slice(..188 * 20) } else { right(segment) });
    assert!(
        matches!(found, Err(CopyError::Changed { .. } | CopyError::Segment { .. } | CopyError::Ended { .. })),
        "{found:?}"
    );
    let found = copy(&|_| Bytes::new());
    assert!(matches!(found, Err(CopyError::Ended { .. })), "{found:?}");
}

#[test]
fn a_key_frame_interval_over_the_limit_is_an_error_that_says_so() {
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(annex_b(), None);
    push(&mut recorder, Some(&mut camera(64)), None, 0, 5_000);
    let recording = recorder.finish();
    let found = plan_all(&[(&recording, Input::video())], limits(1_000), &[]);
    assert!(matches!(found, Err(RemuxError::Split(recorder_mp4::SplitError::Bytes { .. }))), "{found:?}");
}

#[test]
fn damaged_segments_and_indexes_are_refused_without_panic() {
    let mut recorder = Recorder::new(options(), 90_000);
    recorder.streams(annex_b(), raw(48_000));
    push(&mut recorder, Some(&mut camera(64)), Some(48_000), 0, 3_000);
    let recording = recorder.finish();
    let (index, data) = &recording.segments[0];
    let encoded = index.encode();
    assert_eq!(SegmentIndex::decode(&encoded).unwrap(), (index.clone(), encoded.len()));
    for at in 0..encoded.len() {
        let mut damaged = encoded.to_vec();
        damaged[at] ^= 0x11;
        assert!(SegmentIndex::decode(&damaged).is_err(), "{at}");
        assert!(SegmentIndex::decode(&encoded[..at]).is_err(), "{at}");
    }
    let again = SegmentIndex::from_ts(data, index.start(), false, Some(90_000)).unwrap();
    assert_eq!(&again, index, "made anew");
    for at in (0..data.len()).step_by(37) {
        let mut damaged = data.to_vec();
        damaged[at] ^= 0x55;
        let damaged = Bytes::from(damaged);
        let told = SegmentIndex::from_ts(&damaged, index.start(), false, Some(90_000));
        let read: Result<Vec<_>, _> = Samples::new(damaged).collect();
        assert_eq!(told.is_ok(), read.is_ok(), "{at}: {told:?}");
        let cut = data.slice(..at);
        let _ = Samples::new(cut).count();
    }
}
