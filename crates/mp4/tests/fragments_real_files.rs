//! Real files as fragments: the same samples, readable whole, cut off anywhere, and segment by segment.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

mod support;

use bytes::Bytes;
use recorder_mp4::{FragmentOptions, FragmentOutput, FragmentWriter, SampleEntry};
use recorder_types::{RoomTime, Timescale, Timestamp};
use support::{ReadFile, ffprobe, info, mp4_files, read_all, run};

struct Fragmented {
    init: Bytes,
    fragments: Vec<(Vec<u8>, Timestamp, RoomTime, bool)>,
}

impl Fragmented {
    fn whole(&self) -> Vec<u8> {
        let fragments = self.fragments.iter().flat_map(|(bytes, ..)| bytes);
        self.init.iter().chain(fragments).copied().collect()
    }
}

fn fragment(source: &ReadFile, options: FragmentOptions) -> Fragmented {
    let origin = Timestamp::new(0, Timescale::HZ_90000);
    let mut writer = FragmentWriter::with_origin(source.setups().collect(), options, origin).unwrap();
    let mut out = Vec::new();
    for sample in &source.samples {
        writer.push(sample.at.track, info(sample), sample.sample.data.clone()).unwrap();
        out.extend(std::iter::from_fn(|| writer.poll()));
    }
    writer.flush();
    out.extend(std::iter::from_fn(|| writer.poll()));
    let mut out = out.into_iter();
    let Some(FragmentOutput::Init(init)) = out.next() else { panic!("init comes first") };
    let fragments = out.map(|output| match output {
        FragmentOutput::Fragment { data, start, duration, sync } => (data.concat(), start, duration, sync),
        other => panic!("{other:?}"),
    });
    Fragmented { init, fragments: fragments.collect() }
}

fn sources() -> impl Iterator<Item = (String, ReadFile)> {
    mp4_files(&["mp4"]).into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, read_all(std::fs::read(&path).unwrap()))
    })
}

/// Whether track by track the samples and their times are the same.
fn assert_same(name: &str, a: &ReadFile, b: &ReadFile) {
    for track in 0..a.tracks.len() {
        assert_eq!(a.of(track).count(), b.of(track).count(), "{name} track {track}");
        for (number, (a, b)) in a.of(track).zip(b.of(track)).enumerate() {
            let place = format!("{name} track {track} sample {number}");
            assert!(a.sample.data == b.sample.data, "{place}: payloads differ");
            assert_eq!((a.at.pts, a.at.dts, a.at.sync), (b.at.pts, b.at.dts, b.at.sync), "{place}");
        }
    }
}

#[test]
fn every_sample_comes_back_at_its_time() {
    for (name, source) in sources() {
        for seconds in [0, 4] {
            let options = FragmentOptions::default().with_min_duration(RoomTime::from_secs(seconds));
            let made = fragment(&source, options);
            assert_same(&name, &read_all(made.whole()), &source);
            let longest = made.fragments.iter().map(|(_, _, duration, _)| *duration).max().unwrap();
            assert!(longest <= RoomTime::from_millis(10_600), "{name}: {longest:?}");
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_loses_its_last_fragment_at_most() {
    for (name, source) in sources().filter(|(name, _)| name == "chrome.mp4" || name == "seq_h264_1.mp4") {
        let made = fragment(&source, FragmentOptions::default());
        let whole = made.whole();
        let mut end = made.init.len();
        let mut samples = 0;
        for (bytes, ..) in &made.fragments {
            let alone: Vec<u8> = made.init.iter().chain(bytes).copied().collect();
            for cut in [end, end + 1, end + 7, end + 100, end + bytes.len() - 1] {
                let mut reader = recorder_mp4::FileReader::open(std::io::Cursor::new(&whole[..cut])).unwrap();
                let mut count = 0;
                while reader.next_sample().unwrap().is_some() {
                    count += 1;
                }
                assert!(count >= samples, "{name} cut at {cut}: {count} of {samples}");
            }
            end += bytes.len();
            samples += read_all(alone).samples.len();
        }
        assert_eq!(samples, source.samples.len(), "{name}");
    }
}

#[test]
fn other_readers_agree() {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in sources() {
        let made = fragment(&source, FragmentOptions::default());
        let path = folder.path().join("fragments.mp4");
        std::fs::write(&path, made.whole()).unwrap();
        let Some(packets) = ffprobe(path.to_str().unwrap()) else { return };
        for (track, (_, packets)) in packets.iter().enumerate() {
            let ours: Vec<_> =
                source.of(track).map(|s| (s.at.pts.ticks(), s.at.dts.ticks(), s.at.len)).collect();
            let theirs: Vec<_> = packets.iter().map(|p| (p.pts, p.dts, p.size)).collect();
            assert_eq!(ours.len(), theirs.len(), "{name} track {track}");
            for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert_eq!(ours, theirs, "{name} track {track} sample {number}");
            }
        }
        if !name.starts_with("long") {
            let args = ["-v", "error", "-xerror", "-i", path.to_str().unwrap(), "-f", "null", "-"];
            run("ffmpeg", &args);
        }
    }
}

#[test]
fn a_change_of_description_gives_a_new_init_segment() {
    let (Some((_, first)), Some((_, second))) = (
        sources().find(|(name, _)| name == "davidappend_v1.mp4"),
        sources().find(|(name, _)| name == "seq_h264_1.mp4"),
    ) else {
        return;
    };
    let entry: &SampleEntry = &second.tracks[0].entries[0];
    let mut writer = FragmentWriter::new(first.setups().collect(), FragmentOptions::default()).unwrap();
    let mut clock = 0;
    let mut push = |writer: &mut FragmentWriter, source: &ReadFile| {
        for sample in source.of(0).take(20) {
            clock += 1;
            let at = Timestamp::new(clock, first.tracks[0].timescale);
            let info = recorder_mp4::SampleInfo { pts: at, dts: at, ..info(sample) };
            writer.push(0, info, sample.sample.data.clone()).unwrap();
        }
    };
    push(&mut writer, &first);
    writer.change_entry(0, entry).unwrap();
    push(&mut writer, &second);
    writer.flush();
    let out: Vec<_> = std::iter::from_fn(|| writer.poll()).collect();
    let inits: Vec<_> = out
        .iter()
        .enumerate()
        .filter_map(|(index, output)| match output {
            FragmentOutput::Init(init) => Some((index, init)),
            _ => None,
        })
        .collect();
    let [(0, _), (index, init)] = inits[..] else { panic!("{} inits", inits.len()) };
    let after = out.iter().skip(index + 1).flat_map(|output| match output {
        FragmentOutput::Fragment { data, .. } => data.concat(),
        other => panic!("{other:?}"),
    });
    let read = read_all(init.iter().copied().chain(after).collect::<Vec<u8>>());
    assert_eq!(read.tracks[0].entries, std::slice::from_ref(entry));
    assert_eq!(read.samples.len(), 20);
}
