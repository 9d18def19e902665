//! Splitting: files end at the last key frame that fits, to the byte, and hold each sample once.

// Helpers of tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

mod support;

use proptest::prelude::*;
use recorder_mp4::{
    MovieIndex, MoviePlan, MovieWriter, SampleEntry, SampleInfo, SplitError, SplitLimits, Splitter,
    TrackSetup,
};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{RoomTime, Timescale, Timestamp};
use support::{Random, info, mp4_files, read_all};

/// 640x480 High, what x264 writes.
const SPS: [u8; 24] = [
    0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
];
const PPS: [u8; 5] = [0x68, 0xeb, 0xe3, 0xcb, 0x22];
const LIMIT: u64 = 1 << 31;

fn video() -> TrackSetup {
    let entry = SampleEntry::avc1(vec![SPS.to_vec().into(), PPS.to_vec().into()]).unwrap();
    TrackSetup::new(entry, Timescale::HZ_90000)
}

fn audio() -> TrackSetup {
    TrackSetup::new(SampleEntry::aac(AudioSpecificConfig::new(48_000, 2).unwrap()), Timescale::HZ_48000)
}

fn picture(number: i64, sync: bool, len: u32) -> SampleInfo {
    let at = Timestamp::new(number * 3000, Timescale::HZ_90000);
    SampleInfo { pts: at, dts: at, duration: 3000, sync, len }
}

fn frame(number: i64, len: u32) -> SampleInfo {
    let at = Timestamp::new(number * 1024, Timescale::HZ_48000);
    SampleInfo { pts: at, dts: at, duration: 1024, sync: true, len }
}

fn seconds(time: Timestamp) -> f64 {
    time.ticks() as f64 / f64::from(time.timescale().hz())
}

/// A call of `pictures` at 30 fps, a key frame each `gop`, with audio, merged by decode time.
fn call(
    pictures: i64,
    gop: i64,
    mut len: impl FnMut(i64) -> u32,
) -> impl Iterator<Item = (usize, SampleInfo)> {
    let mut next_frame = 0;
    (0..pictures).flat_map(move |number| {
        let picture = picture(number, number % gop == 0, len(number));
        let mut due = Vec::new();
        while seconds(frame(next_frame, 0).dts) < seconds(picture.dts) {
            due.push((1, frame(next_frame, 171)));
            next_frame += 1;
        }
        due.push((0, picture));
        due
    })
}

fn split(
    samples: impl Iterator<Item = (usize, SampleInfo)>,
    limits: SplitLimits,
) -> Result<Vec<MoviePlan>, SplitError> {
    let mut splitter = Splitter::new(vec![video(), audio()], limits)?;
    let mut files = Vec::new();
    for (track, sample) in samples {
        splitter.push(track, sample)?;
        files.extend(splitter.poll());
    }
    files.extend(splitter.finish()?);
    Ok(files)
}

/// Bytes in front of the media, as they are written.
fn header_len(plan: &MoviePlan) -> u64 {
    plan.header().map(|piece| piece.len() as u64).sum()
}

#[test]
fn a_file_may_have_the_limit_and_not_one_byte_more() {
    // Two groups of pictures that with all heads have `LIMIT + over` bytes: sized by what one file of them takes.
    let gop = 15;
    let file = |last: u32| {
        let size = move |number| if number == 2 * gop - 1 { last } else { 70_000_000 };
        call(2 * gop, gop, size)
    };
    let whole = |last| {
        let mut index = MovieIndex::new();
        index.add_track(video()).unwrap();
        index.add_track(audio()).unwrap();
        file(last).for_each(|(track, sample)| index.push(track, sample).unwrap());
        index.finish().unwrap().file_len()
    };
    let last = u32::try_from(LIMIT - whole(1) + 1).unwrap();
    assert_eq!(whole(last), LIMIT);
    for (over, files) in [(-1, 1), (0, 1), (1, 2)] {
        let last = last.checked_add_signed(over).unwrap();
        let plans = split(file(last), SplitLimits::default()).unwrap();
        assert_eq!(plans.len(), files, "limit {over:+}");
        assert_eq!(plans.iter().map(|plan| plan.samples(0)).sum::<u32>(), 30);
        for plan in &plans {
            assert!(plan.file_len() <= LIMIT);
            let media: u64 = plan.chunks().map(|chunk| chunk.bytes).sum();
            assert_eq!(header_len(plan) + media, plan.file_len(), "limit {over:+}");
        }
        if over == 0 {
            assert_eq!(plans[0].file_len(), LIMIT);
        }
        if over == 1 {
            assert_eq!(plans[0].samples(0), 15, "cut at the key frame");
        }
    }
}

#[test]
fn the_limit_holds_for_every_byte_around_the_size_of_the_whole() {
    // The last sample takes another time than those before and audio begins late: entries that only count at the end.
    let samples = || {
        let mut samples: Vec<_> = call(60, 30, |number| 900 + u32::try_from(number % 7).unwrap()).collect();
        samples.retain(|(track, sample)| *track == 0 || sample.dts.ticks() >= 4 * 1024);
        for (_, sample) in samples.iter_mut().rev().take(8) {
            sample.duration = 77;
        }
        samples
    };
    let mut index = MovieIndex::new();
    index.add_track(video()).unwrap();
    index.add_track(audio()).unwrap();
    samples().iter().for_each(|(track, sample)| index.push(*track, *sample).unwrap());
    let whole = index.file_len();
    assert_eq!(index.finish().unwrap().file_len(), whole);
    for limit in whole - 70..whole + 3 {
        let plans = split(samples().into_iter(), SplitLimits::default().with_max_bytes(limit)).unwrap();
        assert!(plans.iter().all(|plan| plan.file_len() <= limit && header_len(plan) == plan.header_len()));
        assert_eq!(plans.len(), if limit >= whole { 1 } else { 2 }, "{limit} of {whole}");
    }
}

#[test]
fn a_part_lasts_until_the_next_begins_whatever_its_last_sample_says() {
    let pictures =
        (0..300).map(|number| (0, SampleInfo { duration: 1, ..picture(number, number % 30 == 0, 1000) }));
    let plans = split(pictures, SplitLimits::default().with_max_bytes(100_000)).unwrap();
    assert_eq!(plans.iter().map(|plan| plan.samples(0)).collect::<Vec<_>>(), [90, 90, 90, 30]);
    assert!(plans.iter().take(3).all(|plan| plan.duration() == RoomTime::from_secs(3)));
}

#[test]
fn a_sample_that_comes_too_late_for_its_file_is_in_the_next_and_before_its_begin() {
    let minute = SplitLimits::default().with_max_minutes(1).unwrap();
    let mut samples: Vec<_> = call(1860, 30, |_| 20).collect();
    // The audio of the last 100 ms before the cut at 60 s comes behind the key frame there and what follows.
    let late = |(track, info): &(usize, SampleInfo)| *track == 1 && (59.9..60.0).contains(&seconds(info.dts));
    let held: Vec<_> = samples.iter().copied().filter(late).collect();
    samples.retain(|sample| !late(sample));
    let behind =
        samples.iter().position(|(track, info)| *track == 0 && seconds(info.dts) >= 60.0).unwrap() + 1;
    samples.retain(|(track, info)| *track == 0 || seconds(info.dts) < 60.0);
    for (index, sample) in held.iter().enumerate() {
        samples.insert(behind + 1 + index, *sample);
    }
    let total = samples.len();
    let plans = split(samples.into_iter(), minute).unwrap();
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[1].samples(1), u32::try_from(held.len()).unwrap());
    assert_eq!(plans.iter().map(|plan| (plan.samples(0) + plan.samples(1)) as usize).sum::<usize>(), total);
    assert_eq!(plans[1].duration(), RoomTime::from_secs(2), "from the key frame on, not from the late audio");
}

#[test]
fn one_group_larger_than_the_limit_is_an_error_and_not_a_loop() {
    let error = split(call(400, 1000, |_| 10_000_000), SplitLimits::default()).unwrap_err();
    assert!(matches!(error, SplitError::Bytes { limit: LIMIT, .. }), "{error}");
    // The second group is too large: the first file is whole.
    let mut splitter = Splitter::new(vec![video(), audio()], SplitLimits::default()).unwrap();
    let key = |number| number == 0 || number == 10;
    let mut files = Vec::new();
    let failed = (0..400).find_map(|number| {
        let failed = splitter.push(0, picture(number, key(number), 10_000_000)).err();
        files.extend(splitter.poll());
        failed
    });
    assert_eq!(files.iter().map(|file| file.samples(0)).collect::<Vec<_>>(), [10]);
    let at = Timestamp::new(30_000, Timescale::HZ_90000);
    assert_eq!(failed, Some(SplitError::Bytes { at, limit: LIMIT }));
    let minute = SplitLimits::default().with_max_minutes(1).unwrap();
    let error = split(call(1801, 5000, |_| 100), minute).unwrap_err();
    assert!(matches!(error, SplitError::Duration { .. }), "{error}");
}

#[test]
fn five_gigabytes_and_thirty_hours_fall_into_files_within_the_limits() {
    let mut random = Random(0x5EED);
    let size = move |number| if number % 60 == 0 { 90_000 } else { 12_000 } + u32::try_from(random.below(9000)).unwrap();
    let plans = split(call(300_000, 60, size), SplitLimits::default()).unwrap();
    let total: u64 = plans.iter().map(MoviePlan::file_len).sum();
    assert!(total > 5_000_000_000 && plans.len() == 3, "{total} bytes in {} files", plans.len());
    for plan in plans.iter().take(2) {
        // Full but for less than one group of pictures.
        assert!(plan.file_len() <= LIMIT && plan.file_len() > LIMIT - 60 * 21_000 - 90_000 - 20_000);
    }
    assert_eq!(plans.iter().map(|plan| plan.samples(0)).sum::<u32>(), 300_000);

    let day = RoomTime::from_secs(24 * 3600);
    let plans = split(call(30 * 3600 * 30, 60, |_| 400), SplitLimits::default()).unwrap();
    assert_eq!(plans.iter().map(|plan| plan.samples(0)).collect::<Vec<_>>(), [24 * 3600 * 30, 6 * 3600 * 30]);
    // An audio frame that begins before the cut may end after it.
    let end = plans[0].duration().saturating_sub(day);
    assert!(end >= RoomTime::ZERO && end < RoomTime::from_millis(22), "{end:?}");
    for minutes in [1, 7, 60] {
        let limits = SplitLimits::default().with_max_minutes(minutes).unwrap();
        let plans = split(call(3 * 3600 * 30, 60, |_| 400), limits).unwrap();
        assert_eq!(plans.len(), usize::from(180u16.div_ceil(minutes)));
        let full = u32::from(minutes) * 60 * 30;
        assert!(plans.iter().rev().skip(1).all(|plan| plan.samples(0) == full), "{minutes} minutes");
    }
    assert_eq!(SplitLimits::default().with_max_minutes(0), None);
    assert_eq!(SplitLimits::default().with_max_minutes(1441), None);
}

#[test]
fn audio_alone_before_or_after_video_is_split_too() {
    let minute = SplitLimits::default().with_max_minutes(1).unwrap();
    // Four minutes of audio; video from 100 s to 130 s only.
    let mut samples: Vec<_> = (0..11_250).map(|number| (1, frame(number, 100))).collect();
    samples.extend((3000..3900).map(|number| (0, picture(number, number % 30 == 0, 1000))));
    samples.sort_by(|a, b| seconds(a.1.dts).total_cmp(&seconds(b.1.dts)));
    let plans = split(samples.into_iter(), minute).unwrap();
    assert_eq!(plans.iter().map(|plan| plan.samples(0)).sum::<u32>(), 900);
    assert_eq!(plans.iter().map(|plan| plan.samples(1)).sum::<u32>(), 11_250);
    assert!(plans.len() <= 6, "{} files", plans.len());
    for plan in &plans {
        assert!(plan.duration() <= RoomTime::from_millis(60_022), "{:?}", plan.duration());
    }
}

/// Splits a file, writes the parts, and gives them back.
fn parts(source: &support::ReadFile, limits: SplitLimits) -> Vec<Vec<u8>> {
    let setups: Vec<_> = source.setups().collect();
    let tracks = setups.len();
    let origin = Timestamp::new(0, Timescale::HZ_90000);
    let mut splitter = Splitter::with_origin(setups, limits, origin).unwrap();
    let mut plans = Vec::new();
    for sample in &source.samples {
        splitter.push(sample.at.track, info(sample)).unwrap();
        plans.extend(splitter.poll());
    }
    plans.extend(splitter.finish().unwrap());
    let mut writers: Vec<_> = plans.into_iter().map(MovieWriter::new).collect();
    let mut file = vec![0; tracks];
    for sample in &source.samples {
        let track = sample.at.track;
        while writers[file[track]].is_full(track) {
            file[track] += 1;
        }
        writers[file[track]].push(track, sample.sample.data.clone()).unwrap();
    }
    let finished = writers.into_iter().map(|mut writer| {
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, writer.plan().file_len());
        assert!(writer.plan().file_len() <= limits.max_bytes);
        writer.finish().unwrap();
        bytes
    });
    finished.collect()
}

#[test]
fn parts_of_real_files_begin_at_zero_with_a_key_frame_and_have_each_sample_once() {
    for (name, limit) in [
        ("chrome.mp4", 300_000),
        ("one-by-one-person-detection.mp4", 200_000),
        ("davidappend_v2.mp4", 90_000),
        ("long_1080p_lowbitrate.mp4", 200_000),
        ("cursed-vfr.mp4", 500_000),
    ] {
        for path in mp4_files(&["mp4"]).into_iter().filter(|path| path.ends_with(name)) {
            let source = read_all(std::fs::read(&path).unwrap());
            let video = source.tracks.iter().position(|track| track.size.is_some()).unwrap();
            let files = parts(&source, SplitLimits::default().with_max_bytes(limit));
            assert!(files.len() >= 2, "{name}: {} files", files.len());
            let files: Vec<_> = files.iter().map(read_all).collect();
            for track in 0..source.tracks.len() {
                let id = source.tracks[track].id;
                let of = |file: &support::ReadFile| {
                    file.tracks.iter().position(|t| t.entries == source.tracks[track].entries)
                };
                let all = files.iter().flat_map(|file| of(file).into_iter().flat_map(|t| file.of(t)));
                let all: Vec<_> = all.map(|sample| &sample.sample.data).collect();
                let want: Vec<_> = source.of(track).map(|sample| &sample.sample.data).collect();
                assert!(all == want, "{name} track {id}: {} samples of {}", all.len(), want.len());
            }
            for (number, file) in files.iter().enumerate().skip(1) {
                let first = file.of(video).next().unwrap();
                assert!(first.at.sync && first.at.pts.ticks() == 0, "{name} file {number}");
                for sample in &file.samples {
                    assert!(sample.at.pts.ticks() >= 0, "{name} file {number}: nothing is cut");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_comes_each_sample_is_in_one_file_within_the_limit(
        gops in proptest::collection::vec((1i64..40, 1u32..9000, 0i64..4), 1..30),
        limit in 3_000u64..400_000,
        audio_len in 0u32..2000,
        jitter in 0u64..5,
    ) {
        let mut random = Random(jitter + 1);
        let mut number = 0;
        let mut sizes = Vec::new();
        for &(len, size, _) in &gops {
            for picture in 0..len {
                sizes.push((picture == 0, size + u32::try_from(random.below(50)).unwrap()));
            }
        }
        let reorder = gops[0].2;
        let mut samples = Vec::new();
        for (key, size) in sizes {
            let mut picture = picture(number, key, size);
            let wait = i64::try_from(random.below(1 + usize::try_from(jitter * 40).unwrap())).unwrap();
            picture.dts = Timestamp::new(picture.dts.ticks() + wait, Timescale::HZ_90000);
            picture.duration += u32::try_from(jitter).unwrap();
            let late = 3000 * reorder + i64::try_from(random.below(1 + usize::try_from(jitter).unwrap())).unwrap();
            picture.pts = Timestamp::new(picture.dts.ticks() + late, Timescale::HZ_90000);
            samples.push((0, picture));
            number += 1;
        }
        samples.extend((0..number * 25 / 16).map(|n| (1, frame(n, audio_len))));
        samples.sort_by(|a, b| seconds(a.1.dts).total_cmp(&seconds(b.1.dts)));
        let total = samples.len();
        match split(samples.into_iter(), SplitLimits::default().with_max_bytes(limit)) {
            Ok(plans) => {
                let mut got = 0;
                for plan in plans {
                    let media: u64 = plan.chunks().map(|chunk| chunk.bytes).sum();
                    prop_assert_eq!(header_len(&plan) + media, plan.file_len());
                    prop_assert!(plan.file_len() <= limit);
                    got += (plan.samples(0) + plan.samples(1)) as usize;
                }
                prop_assert_eq!(got, total);
            }
            Err(error) => prop_assert!(matches!(error, SplitError::Bytes { .. }), "{}", error),
        }
    }
}
