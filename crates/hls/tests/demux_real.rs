//! The demuxer over transport streams that other systems wrote.

use std::path::Path;

use recorder_hls::demux::{AccessUnit, Demuxer, Event, Fault, StreamKind, UnitKind};
use recorder_testkit::hostile::Random;
use recorder_testkit::{ffmpeg, media};

fn events(demuxer: &mut Demuxer) -> Vec<Event> {
    std::iter::from_fn(|| demuxer.poll()).collect()
}

fn demux(bytes: &[u8]) -> Vec<Event> {
    let mut demuxer = Demuxer::default();
    demuxer.push(bytes);
    demuxer.finish();
    events(&mut demuxer)
}

fn units(events: &[Event]) -> impl Iterator<Item = &AccessUnit> {
    events.iter().filter_map(|event| match event {
        Event::Unit(unit) => Some(unit),
        _ => None,
    })
}

fn faults(events: &[Event]) -> Vec<Fault> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Fault(fault) => Some(*fault),
            _ => None,
        })
        .collect()
}

fn is_video(unit: &AccessUnit) -> bool {
    matches!(unit.kind, UnitKind::H264 { .. })
}

fn pts(unit: &AccessUnit) -> i64 {
    unit.time.expect("timed").pts.ticks()
}

struct Row {
    path: &'static str,
    /// Packets of `ffprobe -count_packets`.
    video: usize,
    audio: usize,
    /// The least PTS modulo 2^33 (`start_pts` of ffprobe).
    video_start: i64,
    faults: usize,
}

const fn row(path: &'static str, video: usize, audio: usize, video_start: i64, faults: usize) -> Row {
    Row { path, video, audio, video_start, faults }
}

const ROLLOVER: [&str; 10] = [
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000025.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000026.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000027.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000028.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000029.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000030.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000031.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000032.ts",
    "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000033.ts",
];

const TABLE: [Row; 20] = [
    row("hls/gap/2.ts", 240, 0, 369_360, 0),
    row("hls/gap/3.ts", 240, 0, 729_720, 0),
    row("hls/gap/4.ts", 240, 0, 1_090_080, 0),
    row("hls/gap/6.ts", 240, 0, 1_810_800, 0),
    row("hls/gap/7.ts", 240, 0, 2_171_160, 0),
    row("hls/gap/8.ts", 240, 0, 2_531_520, 0),
    row("hls/opus-screenshare/segment.ts", 83, 0, 0, 0),
    row("hls/speaker-aac/fileSequence0.ts", 299, 429, 900_000, 0),
    row(ROLLOVER[0], 48, 94, -873_750, 0),
    row(ROLLOVER[1], 48, 93, -693_750, 0),
    row(ROLLOVER[2], 48, 94, -513_750, 0),
    row(ROLLOVER[3], 48, 94, -333_750, 0),
    row(ROLLOVER[4], 48, 94, -153_750, 0),
    row(ROLLOVER[5], 48, 93, 26_250, 0),
    row(ROLLOVER[6], 48, 94, 206_250, 0),
    row(ROLLOVER[7], 48, 94, 386_250, 0),
    row(ROLLOVER[8], 48, 94, 566_250, 0),
    row(ROLLOVER[9], 48, 93, 746_250, 0),
    row("malformed/no-initial-keyframe.ts", 78, 57, 10_143_990, 0),
    row("malformed/test-middle-pat-pmt.ts", 15, 28, 5_387_171_045, 0),
];

/// Packets that ffprobe counts in the streams of this codec; `None` without ffprobe.
fn ask_ffprobe(file: &Path, codec: &str) -> Option<u64> {
    let counts = ffmpeg::count_packets(file)?;
    Some(counts.iter().filter(|(name, _)| name == codec).map(|(_, packets)| packets).sum())
}

#[test]
fn counts_and_starts_are_those_of_ffprobe() {
    for row in TABLE {
        let Some(bytes) = media::read_media(row.path) else { continue };
        let events = demux(&bytes);
        let video: Vec<_> = units(&events).filter(|unit| is_video(unit)).collect();
        let audio = units(&events).count() - video.len();
        let path = row.path;
        assert_eq!((video.len(), audio), (row.video, row.audio), "{path}: {:?}", faults(&events));
        let start = video.iter().map(|unit| pts(unit)).min().unwrap();
        assert_eq!((start - row.video_start).rem_euclid(1 << 33), 0, "{path}: {start}");
        assert_eq!(faults(&events).len(), row.faults, "{path}: {:?}", faults(&events));
        let file = media::media_file(path).expect("it was read");
        for (codec, counted) in [("h264", row.video), ("aac", row.audio)] {
            if let Some(asked) = ask_ffprobe(&file, codec) {
                assert_eq!(asked, u64::try_from(counted).unwrap(), "{path}: {codec}");
            }
        }
    }
}

#[test]
fn video_units_are_annex_b_and_spans_hold_their_bytes() {
    for row in TABLE {
        let Some(bytes) = media::read_media(row.path) else { continue };
        let all = demux(&bytes);
        for unit in units(&all).filter(|unit| is_video(unit)) {
            let nals = recorder_types::h264::Units::new(&unit.data, recorder_types::NalFraming::AnnexB);
            assert!(nals.clone().all(|nal| nal.is_ok()) && nals.count() > 0, "{}", row.path);
        }
        // Reading only a unit's span, after the tables, gives the unit again.
        let len = units(&all).count();
        for index in [0, len / 2, len - 1] {
            let unit = units(&all).nth(index).unwrap();
            let span =
                |at: u64, len: u64| &bytes[usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap()];
            let mut demuxer = Demuxer::default();
            demuxer.push(&bytes);
            demuxer.next_segment();
            let before = events(&mut demuxer).len();
            assert!(before > 0);
            demuxer.push(span(unit.span.at, unit.span.len));
            demuxer.finish();
            let again = events(&mut demuxer);
            assert!(units(&again).any(|found| found.data == unit.data), "{}: unit {index}", row.path);
        }
    }
}

#[test]
fn decode_order_and_audio_spacing_go_on_across_the_wrap() {
    let mut demuxer = Demuxer::default();
    for path in ROLLOVER {
        let Some(bytes) = media::read_media(path) else { return };
        demuxer.push(&bytes);
        demuxer.next_segment();
    }
    demuxer.finish();
    let events = events(&mut demuxer);
    assert_eq!(faults(&events), []);
    let video: Vec<_> = units(&events).filter(|unit| is_video(unit)).collect();
    let audio: Vec<_> = units(&events).filter(|unit| !is_video(unit)).collect();
    assert_eq!((video.len(), audio.len()), (480, 937));
    for pair in video.windows(2) {
        let step = pair[1].time.unwrap().dts.ticks() - pair[0].time.unwrap().dts.ticks();
        assert_eq!(step, 3750, "24 pictures a second");
    }
    for pair in audio.windows(2) {
        // The packager rounds the PTS of each PES packet; frames are 1920 ticks.
        assert!((1915..=1925).contains(&(pts(pair[1]) - pts(pair[0]))), "{} {}", pts(pair[0]), pts(pair[1]));
    }
    let wrap = 1i64 << 33;
    assert!(pts(video[0]) < wrap && pts(video[479]) > wrap);
    assert_eq!(pts(video[0]), wrap - 873_750);
}

#[test]
fn frames_across_pes_packets_keep_an_even_time() {
    let Some(bytes) = media::read_media("hls/speaker-aac/fileSequence0.ts") else { return };
    let events = demux(&bytes);
    let audio: Vec<_> = units(&events).filter(|unit| !is_video(unit)).collect();
    assert_eq!(pts(audio[0]), 895_690);
    for pair in audio.windows(2) {
        let step = pts(pair[1]) - pts(pair[0]);
        assert!((2089..=2091).contains(&step), "1024 samples at 44.1 kHz are 2089.8 ticks, not {step}");
    }
    for unit in audio {
        let frame = recorder_types::aac::AdtsFrame::parse(&unit.data).unwrap();
        assert_eq!(frame.frame_len, unit.data.len());
    }
}

#[test]
fn opus_is_named_once_and_skipped() {
    let Some(bytes) = media::read_media("hls/opus-screenshare/segment.ts") else { return };
    let events = demux(&bytes);
    let named: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Streams(streams) => {
                Some(streams.iter().map(|s| (s.pid.get(), s.kind.name())).collect::<Vec<_>>())
            }
            _ => None,
        })
        .collect();
    assert_eq!(named, [[(0x100, "H.264"), (0x101, "Opus")]]);
}

#[test]
fn media_before_the_first_tables_is_not_lost() {
    let Some(bytes) = media::read_media("malformed/test-middle-pat-pmt.ts") else { return };
    let events = demux(&bytes);
    assert!(matches!(&events[0], Event::Streams(streams) if streams[0].kind == StreamKind::H264));
    let first = units(&events).next().unwrap();
    assert!(first.span.at < 41 * 188, "the first PAT is at packet 41");
}

#[test]
fn packed_audio_is_no_transport_stream() {
    let Some(bytes) = media::read_media("hls/raw-aac/fileSequence0.aac") else { return };
    let events = demux(&bytes);
    assert_eq!(units(&events).count(), 0);
    assert!(!faults(&events).is_empty());
}

#[test]
fn any_cut_into_calls_gives_the_same_events() {
    for path in ["malformed/test-middle-pat-pmt.ts", "malformed/no-initial-keyframe.ts"] {
        let Some(mut bytes) = media::read_media(path) else { continue };
        // Junk and losses, so that the search for sync is cut too.
        bytes.splice(1000..1000, [0x47; 50]);
        bytes.drain(5000..5100);
        let whole = demux(&bytes);
        for size in [1, 2, 47, 187, 188, 189, 376, 1000, 65536] {
            let mut demuxer = Demuxer::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(size) {
                demuxer.push(piece);
                seen.extend(events(&mut demuxer));
            }
            demuxer.finish();
            seen.extend(events(&mut demuxer));
            assert_eq!(demuxer.faults(), u64::try_from(faults(&whole).len()).unwrap());
            assert!(seen == whole, "{path} in pieces of {size}");
        }
    }
}

#[test]
fn damaged_files_give_bounded_output() {
    for path in [
        "malformed/test-middle-pat-pmt.ts",
        "malformed/no-initial-keyframe.ts",
        "hls/gap/4.ts",
        ROLLOVER[8],
        "hls/opus-screenshare/segment.ts",
    ] {
        let Some(bytes) = media::read_media(path) else { continue };
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let mut below = |end: usize| usize::try_from(random.below(end as u64)).unwrap();
            let mut damaged = bytes.clone();
            for _ in 0..1 + below(200) {
                let at = below(damaged.len());
                match below(4) {
                    0 => damaged[at] ^= 1 << below(8),
                    1 => damaged[at / 188 * 188 + at % 24] = u8::try_from(below(256)).unwrap(),
                    2 => drop(damaged.drain(at..(at + below(400)).min(damaged.len()))),
                    _ => {
                        let from = below(damaged.len());
                        let piece = damaged[from..(from + below(400)).min(damaged.len())].to_vec();
                        damaged.splice(at..at, piece);
                    }
                }
            }
            let events = demux(&damaged);
            let media: usize = units(&events).map(|unit| unit.data.len()).sum();
            assert!(media <= damaged.len(), "{path}, seed {seed}");
            assert!(events.len() <= damaged.len() / 8, "{path}, seed {seed}: {} events", events.len());
            for unit in units(&events) {
                assert!(
                    unit.span.at + unit.span.len <= u64::try_from(damaged.len()).unwrap(),
                    "{path}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn lost_packets_are_told_and_other_units_are_whole() {
    let Some(bytes) = media::read_media("hls/speaker-aac/fileSequence0.ts") else { return };
    let whole = demux(&bytes);
    let mut cut = bytes.clone();
    cut.drain(188 * 3000..188 * 3010);
    let events = demux(&cut);
    assert!(faults(&events).iter().any(|fault| matches!(fault, Fault::Continuity { .. })));
    let known: std::collections::HashSet<_> = units(&whole).map(|unit| unit.data.clone()).collect();
    for unit in units(&events).filter(|unit| !unit.damaged) {
        assert!(known.contains(&unit.data), "a unit that was not in the stream");
    }
    assert!(units(&whole).count() - units(&events).count() < 60);
}
