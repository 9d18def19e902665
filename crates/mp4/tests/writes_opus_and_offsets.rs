//! Opus, late starts, priming and gaps: what is presented when, said by our reader and by ffprobe.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

mod support;

use bytes::Bytes;
use recorder_mp4::{
    DisplayMatrix, FragmentError, FragmentOptions, FragmentWriter, MovieIndex, MovieWriter, PixelAspect,
    PlanError, SampleEntry, SampleInfo, TrackSetup, WriteError,
};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{OpusConfig, RoomTime, Timescale, Timestamp};
use support::{ffprobe, read_all};

const SPS: [u8; 24] = [
    0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
];
const PPS: [u8; 5] = [0x68, 0xeb, 0xe3, 0xcb, 0x22];

fn video() -> TrackSetup {
    let entry = SampleEntry::avc1(vec![SPS.to_vec().into(), PPS.to_vec().into()]).unwrap();
    TrackSetup::new(entry, Timescale::HZ_90000)
}

fn aac(rate: u32) -> TrackSetup {
    let config = AudioSpecificConfig::new(rate, 2).unwrap();
    TrackSetup::new(SampleEntry::aac(config), config.timescale())
}

fn opus() -> TrackSetup {
    let config = OpusConfig { channels: 2, pre_skip: 312 };
    TrackSetup::new(SampleEntry::opus(config), Timescale::HZ_48000)
}

fn sample(pts: i64, dts: i64, duration: u32, clock: Timescale) -> SampleInfo {
    SampleInfo {
        pts: Timestamp::new(pts, clock),
        dts: Timestamp::new(dts, clock),
        duration,
        sync: true,
        len: 7,
    }
}

/// A file of tracks whose samples have these times: (pts, dts).
fn file(setups: &[TrackSetup], times: &[&[(i64, i64)]], origin: Option<Timestamp>) -> (Vec<u8>, RoomTime) {
    let mut index = MovieIndex::new();
    if let Some(origin) = origin {
        index = index.with_origin(origin);
    }
    let mut samples = Vec::new();
    for (track, (setup, times)) in setups.iter().zip(times).enumerate() {
        index.add_track(setup.clone()).unwrap();
        samples.extend(times.iter().map(|&(pts, dts)| (track, sample(pts, dts, 960, setup.timescale))));
    }
    samples.sort_by_key(|(_, info)| info.dts.to_room_time());
    samples.iter().for_each(|(track, info)| index.push(*track, *info).unwrap());
    let plan = index.finish().unwrap();
    let duration = plan.duration();
    let mut writer = MovieWriter::new(plan);
    samples.iter().for_each(|(track, _)| writer.push(*track, Bytes::from_static(b"payload")).unwrap());
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).unwrap();
    writer.finish().unwrap();
    (bytes, duration)
}

/// Presentation times of each track.
fn presented(bytes: &[u8]) -> Vec<Vec<i64>> {
    let read = read_all(bytes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("offsets.mp4");
    std::fs::write(&path, bytes).unwrap();
    let times: Vec<Vec<i64>> =
        (0..read.tracks.len()).map(|track| read.of(track).map(|s| s.at.pts.ticks()).collect()).collect();
    if let Some(packets) = ffprobe(path.to_str().unwrap()) {
        let theirs: Vec<Vec<i64>> =
            packets.iter().map(|(_, packets)| packets.iter().map(|packet| packet.pts).collect()).collect();
        assert_eq!(times, theirs, "ffprobe");
    }
    times
}

#[test]
fn the_earliest_track_begins_at_zero_and_the_others_keep_their_distance() {
    // Video from 10 s on; audio 250 ms later, on a clock that shares few ticks with it.
    let setups = [video(), aac(44_100)];
    let times: [&[_]; 2] =
        [&[(900_000, 900_000), (903_000, 903_000)], &[(452_025, 452_025), (453_049, 453_049)]];
    let (bytes, duration) = file(&setups, &times, None);
    assert_eq!(presented(&bytes), [[0, 3000].to_vec(), [11_025, 12_049].to_vec()]);
    // 250 ms, one frame of 1024 and one said to have 960.
    assert_eq!(duration.round_to_millis(), 250 + 45);
}

#[test]
fn reordered_pictures_begin_at_zero_too() {
    let times: [&[_]; 1] = [&[(6000, 0), (15_000, 3000), (9000, 6000), (12_000, 9000)]];
    let (bytes, _) = file(&[video()], &times, None);
    assert_eq!(presented(&bytes), [[0, 9000, 3000, 6000].to_vec()]);
}

#[test]
fn priming_is_cut_from_the_presentation_where_the_origin_says_so() {
    let zero = Timestamp::new(0, Timescale::HZ_90000);
    let setups = [video(), opus(), aac(48_000)];
    let times: [&[_]; 3] = [
        &[(0, 0), (1800, 1800)],
        &[(-312, -312), (648, 648), (1608, 1608)],
        &[(-1024, -1024), (0, 0), (1024, 1024)],
    ];
    let (bytes, _) = file(&setups, &times, Some(zero));
    let read = read_all(&bytes);
    assert_eq!(read.tracks.iter().map(|track| track.edit_offset).collect::<Vec<_>>(), [0, -312, -1024]);
    assert_eq!(read.tracks[1].entries, [opus().entry]);
    assert_eq!(
        presented(&bytes),
        [[0, 1800].to_vec(), [-312, 648, 1608].to_vec(), [-1024, 0, 1024].to_vec()]
    );
}

#[test]
fn gaps_and_varying_rates_stay_where_they_are() {
    let times: [&[_]; 2] = [
        &[(0, 0), (100, 100), (90_000, 90_000), (5_400_000, 5_400_000)],
        &[(0, 0), (960, 960), (2_880_000, 2_880_000)],
    ];
    let (bytes, _) = file(&[video(), opus()], &times, None);
    assert_eq!(
        presented(&bytes),
        [times[0], times[1]].map(|track| track.iter().map(|t| t.0).collect::<Vec<_>>())
    );
}

#[test]
fn rotation_and_pixel_shape_are_kept() {
    let quarter = DisplayMatrix([0, 1 << 16, 0, -(1 << 16), 0, 0, 480 << 16, 0, 1 << 30]);
    let mut setup = video().with_matrix(quarter);
    setup.entry.pixel_aspect = PixelAspect::new(4, 3);
    let (bytes, _) = file(&[setup], &[&[(0, 0)]], None);
    let read = read_all(&bytes);
    assert_eq!(read.tracks[0].matrix.rotation(), Some(90));
    assert_eq!(read.tracks[0].matrix, quarter);
    assert_eq!(read.tracks[0].pixel_aspect, PixelAspect::new(4, 3));
}

#[test]
fn a_file_beyond_four_gigabytes_has_long_offsets_and_no_other() {
    for (len, kind) in [(1_000_000, b"stco"), (2_000_000_000, b"co64")] {
        let mut index = MovieIndex::new();
        index.add_track(video()).unwrap();
        for number in 0..4 {
            let info =
                SampleInfo { len, ..sample(number * 90_000, number * 90_000, 90_000, Timescale::HZ_90000) };
            index.push(0, info).unwrap();
        }
        let plan = index.finish().unwrap();
        let header: Vec<u8> = plan.header().flatten().collect();
        assert_eq!(header.len() as u64, plan.header_len());
        assert!(header.windows(4).any(|window| window == kind));
        assert_eq!(plan.file_len(), plan.header_len() + 4 * u64::from(len));
        let offsets = plan.chunks().map(|chunk| chunk.offset).collect::<Vec<_>>();
        assert_eq!(offsets, (0..4).map(|n| plan.header_len() + n * u64::from(len)).collect::<Vec<_>>());
        // The reader takes it without the media: it is all there as far as the tables say.
        let mut options = recorder_mp4::ReaderOptions::default();
        options.max_sample = u32::MAX;
        let mut reader = recorder_mp4::Reader::new(plan.file_len(), options);
        let mut told = Vec::new();
        let header = Bytes::from(header);
        loop {
            match reader.poll().unwrap() {
                recorder_mp4::Event::Need(need) => {
                    let at = usize::try_from(need.at).unwrap();
                    reader.supply(header.slice(at..at + need.len)).unwrap();
                }
                recorder_mp4::Event::Sample(sample) => told.push(sample.offset),
                recorder_mp4::Event::End => break,
                other => assert_eq!(other, recorder_mp4::Event::Tracks),
            }
        }
        assert_eq!(told, offsets);
    }
}

#[test]
fn broken_contracts_are_errors_that_change_nothing() {
    let mut index = MovieIndex::new();
    assert!(matches!(MovieIndex::new().finish(), Err(PlanError::Empty)));
    let track = index.add_track(video()).unwrap();
    let good = sample(0, 0, 3000, Timescale::HZ_90000);
    index.push(track, SampleInfo { sync: false, ..good }).unwrap();
    let len = index.file_len();
    assert!(matches!(index.push(7, good), Err(PlanError::Track { track: 7 })));
    assert!(matches!(index.push(track, good), Err(PlanError::OutOfOrder { last: 0, .. })));
    let other = sample(9, 9, 1, Timescale::HZ_48000);
    assert!(matches!(index.push(track, other), Err(PlanError::Clock { .. })));
    let far = sample(1 << 40, 1, 1, Timescale::HZ_90000);
    assert!(matches!(index.push(track, far), Err(PlanError::TimeRange { .. })));
    assert!(matches!(index.add_track(video()), Err(PlanError::Track { track: 1 })));
    assert_eq!(index.file_len(), len);
    assert!(matches!(index.finish(), Err(PlanError::NoSync { track: 0 })));

    let mut index = MovieIndex::new();
    index.add_track(video()).unwrap();
    index.push(0, good).unwrap();
    let mut writer = MovieWriter::new(index.finish().unwrap());
    let short = writer.push(0, Bytes::from_static(b"short"));
    assert_eq!(short, Err(WriteError::Length { track: 0, planned: 7, got: 5 }));
    writer.push(0, Bytes::from_static(b"payload")).unwrap();
    assert_eq!(writer.push(0, Bytes::from_static(b"payload")), Err(WriteError::TooMany { track: 0 }));
    assert_eq!(writer.push(1, Bytes::new()), Err(WriteError::TooMany { track: 1 }));
    writer.finish().unwrap();

    let mut fragments = FragmentWriter::new(vec![video()], FragmentOptions::default()).unwrap();
    let wrong = fragments.push(0, good, Bytes::from_static(b"short"));
    assert_eq!(wrong, Err(FragmentError::Length { said: 7, got: 5 }));
    fragments.push(0, good, Bytes::from_static(b"payload")).unwrap();
    fragments.flush();
    let before = sample(-9, -9, 1, Timescale::HZ_90000);
    assert!(fragments.push(0, before, Bytes::from_static(b"payload")).is_err());
}
