//! A track whose parameter sets change on the way: several sample entries, both sizes decode.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

mod support;

use bytes::Bytes;
use recorder_mp4::{
    AvcPacker, MovieIndex, MovieWriter, ParameterSets, SampleInfo, SplitLimits, Splitter, TrackSetup,
};
use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{H264Config, NalFraming, Timescale, Timestamp};
use support::{media, read_all, run};

/// The access units of a stream with one slice a picture.
fn access_units(stream: &[u8]) -> Vec<Bytes> {
    let mut units: Vec<Vec<u8>> = vec![Vec::new()];
    let mut has_slice = false;
    for unit in Units::new(stream, NalFraming::AnnexB) {
        let unit = unit.unwrap();
        let kind = unit_type(unit).unwrap();
        let slice = (nal_type::SLICE..=nal_type::IDR).contains(&kind);
        // A slice whose first macroblock is 0 begins a picture, and so does what comes before it.
        if has_slice && (!slice || unit[1] & 0x80 != 0) {
            units.push(Vec::new());
            has_slice = false;
        }
        let last = units.last_mut().unwrap();
        last.extend_from_slice(&[0, 0, 0, 1]);
        last.extend_from_slice(unit);
        has_slice |= slice;
    }
    units.into_iter().map(Bytes::from).collect()
}

fn packed(name: &str, place: ParameterSets) -> Option<Vec<recorder_mp4::PackedPicture>> {
    let stream = std::fs::read(media()?.join(name)).unwrap();
    let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let mut packer = AvcPacker::new(&config, place, None);
    let pictures = access_units(&stream).into_iter().map(|unit| packer.pack(&unit).unwrap());
    Some(pictures.filter(|picture| !picture.data.is_empty()).collect())
}

fn info(number: usize, picture: &recorder_mp4::PackedPicture) -> SampleInfo {
    let at = Timestamp::new(i64::try_from(number).unwrap() * 9000, Timescale::HZ_90000);
    let len = u32::try_from(picture.data.len()).unwrap();
    SampleInfo { pts: at, dts: at, duration: 9000, sync: picture.sync, len }
}

/// The stream as one track, and as our reader sees it.
fn written(pictures: &[recorder_mp4::PackedPicture]) -> (Vec<u8>, support::ReadFile) {
    let first = pictures[0].entry.clone().unwrap();
    let mut index = MovieIndex::new();
    let track = index.add_track(TrackSetup::new(first, Timescale::HZ_90000)).unwrap();
    for (number, picture) in pictures.iter().enumerate() {
        if let Some(entry) = &picture.entry {
            index.change_entry(track, entry).unwrap();
        }
        index.push(track, info(number, picture)).unwrap();
    }
    let mut writer = MovieWriter::new(index.finish().unwrap());
    let mut file = Vec::new();
    for picture in pictures {
        writer.push(track, picture.data.clone()).unwrap();
        writer.write_to(&mut file).unwrap();
    }
    writer.finish().unwrap();
    let read = read_all(&file);
    assert_eq!(read.samples.len(), pictures.len());
    (file, read)
}

/// Frames of each size that ffprobe decodes.
fn decoded(file: &[u8]) -> Option<(usize, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("change.mp4");
    std::fs::write(&path, file).unwrap();
    let args =
        ["-v", "quiet", "-show_entries", "frame=width,height", "-of", "csv=p=0", path.to_str().unwrap()];
    let frames = run("ffprobe", &args)?;
    let of = |size| frames.lines().filter(|line| line.starts_with(size)).count();
    Some((of("494,370"), of("640,480")))
}

#[test]
fn a_call_that_changes_its_size_is_one_track() {
    // The browser numbers its sets anew at each of eight key frames; the size changes at the fifth.
    for (place, sizes) in [
        (
            ParameterSets::InEntry,
            &["494x370", "494x370", "494x370", "494x370", "640x480", "640x480", "640x480", "640x480"][..],
        ),
        (ParameterSets::InSamples, &["494x370", "640x480"]),
    ] {
        let Some(pictures) = packed("rtp/str0m_h264.h264", place) else { return };
        let (file, read) = written(&pictures);
        let entries = read.tracks[0].entries.iter();
        assert_eq!(entries.map(|entry| entry.size.unwrap().to_string()).collect::<Vec<_>>(), sizes);
        let change = read.samples.windows(2).filter(|pair| pair[0].at.entry != pair[1].at.entry);
        assert_eq!(change.map(|pair| assert!(pair[1].at.sync)).count(), sizes.len() - 1);
        if let Some((small, large)) = decoded(&file) {
            assert!(small >= 130 && large >= 125, "{place:?}: {small} and {large} frames");
        }
    }
}

#[test]
fn a_part_that_begins_after_the_change_has_only_the_new_entry() {
    let Some(pictures) = packed("rtp/str0m_h264.h264", ParameterSets::InSamples) else { return };
    let setup = TrackSetup::new(pictures[0].entry.clone().unwrap(), Timescale::HZ_90000);
    let limits = SplitLimits::default().with_max_bytes(30_000);
    let mut splitter = Splitter::new(vec![setup], limits).unwrap();
    for (number, picture) in pictures.iter().enumerate() {
        if let Some(entry) = &picture.entry {
            splitter.change_entry(0, entry).unwrap();
        }
        splitter.push(0, info(number, picture)).unwrap();
    }
    let mut rest = pictures.iter();
    let mut entries = Vec::new();
    for plan in splitter.finish().unwrap() {
        assert!(plan.file_len() <= 30_000);
        let mut writer = MovieWriter::new(plan);
        let mut file = Vec::new();
        while !writer.is_full(0) {
            writer.push(0, rest.next().unwrap().data.clone()).unwrap();
        }
        writer.write_to(&mut file).unwrap();
        assert_eq!(file.len() as u64, writer.plan().file_len());
        let read = read_all(file);
        assert!(read.samples[0].at.sync && read.samples[0].at.pts.ticks() == 0);
        entries.push(read.tracks[0].entries.iter().map(|e| e.size.unwrap().width()).collect::<Vec<_>>());
    }
    assert!(rest.next().is_none());
    assert_eq!((entries.first(), entries.last()), (Some(&vec![494]), Some(&vec![640])), "{entries:?}");
}

#[test]
fn packed_streams_decode_to_the_same_pictures() {
    let Some(media) = media() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "Zhling_1280x720.264",
        "BA1_FT_C.264",
        "MR1_BT_A.h264",
        "MPS_MW_A.264",
        "MIDR_MW_D.264",
        "CVFC1_Sony_C.jsv",
        "test_qcif_cabac.264",
    ] {
        let source = format!("h264/{name}");
        // Streams without reordering: the file would have to know their times.
        let hashes = |path: &std::path::Path| {
            let args = ["-v", "error", "-i", path.to_str()?, "-vsync", "passthrough", "-f", "framemd5", "-"];
            let text = run("ffmpeg", &args)?;
            let hash = |line: &str| line.rsplit(',').next().map(|hash| hash.trim().to_owned());
            Some(text.lines().filter(|line| !line.starts_with('#')).filter_map(hash).collect::<Vec<_>>())
        };
        let Some(want) = hashes(&media.join(&source)) else { return };
        for place in [ParameterSets::InEntry, ParameterSets::InSamples] {
            let Some(pictures) = packed(&source, place) else { return };
            let (file, _) = written(&pictures);
            let path = folder.path().join("packed.mp4");
            std::fs::write(&path, file).unwrap();
            let got = hashes(&path).unwrap();
            assert_eq!(got.len(), want.len(), "{name} {place:?}");
            assert!(got == want, "{name} {place:?}: pictures differ");
        }
    }
}
