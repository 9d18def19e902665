//! Files that others wrote, compared with what ffprobe and the `mp4` crate say about them.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::type_complexity
)]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use recorder_mp4::{FileReader, TrackError, TrackSample};
use support::{Packet, ffprobe, media, mp4_files, run};

fn read(path: &Path) -> (FileReader<File>, Vec<TrackSample>) {
    let mut reader = FileReader::open(File::open(path).unwrap()).unwrap();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        samples.push(sample);
    }
    (reader, samples)
}

/// Samples and sync samples of each track.
fn counts(path: &Path) -> Vec<(u32, usize, usize)> {
    let (reader, samples) = read(path);
    let of = |track| samples.iter().filter(move |sample| sample.at.track == track);
    let tracks = reader.tracks().iter().enumerate();
    tracks.map(|(i, track)| (track.id.get(), of(i).count(), of(i).filter(|s| s.at.sync).count())).collect()
}

#[test]
fn every_sample_of_the_corpus_is_found() {
    let Some(media) = media() else { return };
    let table: [(&str, &[(u32, usize, usize)]); 17] = [
        ("mp4/chrome.mp4", &[(1, 1291, 1291), (2, 899, 34)]),
        ("mp4/count-english-audio.mp4", &[(1, 479, 479)]),
        ("mp4/count-video.mp4", &[(1, 245, 1)]),
        ("mp4/cursed-vfr.mp4", &[(1, 63, 4)]),
        ("mp4/davidappend_v1.mp4", &[(1, 51, 6), (2, 87, 87)]),
        ("mp4/davidappend_v2.mp4", &[(1, 178, 18), (2, 320, 320)]),
        ("mp4/davidappend_v3.mp4", &[(1, 76, 8), (2, 129, 129)]),
        ("mp4/long_1080p_lowbitrate.mp4", &[(1, 10883, 44), (2, 16876, 16876)]),
        ("mp4/one-by-one-person-detection.mp4", &[(1, 1394, 140)]),
        ("mp4/sample.mp4", &[(1, 30, 1), (2, 45, 45)]),
        ("mp4/sample_fragmented.mp4", &[(1, 30, 1), (2, 46, 46)]),
        ("mp4/seq_h264_1.mp4", &[(1, 321, 14), (2, 496, 496)]),
        ("mp4/video_90.mov", &[(1, 3, 1)]),
        ("malformed/chunk_out_of_range.mp4", &[]),
        ("malformed/sample_mdat_too_long.mp4", &[(1, 30, 1), (2, 45, 45)]),
        ("malformed/sample_missing_stsd.mp4", &[(1, 30, 1)]),
        ("malformed/sample_with_invalid_nalu.mp4", &[(1, 30, 1)]),
    ];
    for (name, want) in table {
        assert_eq!(counts(&media.join(name)), want, "{name}");
    }
    assert_eq!(table.len(), mp4_files(&["mp4", "malformed"]).len(), "the table leaves a file out");
}

#[test]
fn times_and_places_are_those_that_ffprobe_finds() {
    for path in mp4_files(&["mp4", "malformed"]) {
        if path.ends_with("chunk_out_of_range.mp4") {
            continue; // nothing for ffprobe to find: it fails
        }
        if compare_with_ffprobe(&path).is_none() {
            return;
        }
    }
}

fn compare_with_ffprobe(path: &Path) -> Option<()> {
    let streams: BTreeMap<u32, Vec<Packet>> = ffprobe(path.to_str()?)?.into_iter().collect();
    let (reader, samples) = read(path);
    assert!(!reader.tracks().is_empty(), "{}", path.display());
    for (index, track) in reader.tracks().iter().enumerate() {
        let packets = &streams[&track.id.get()];
        let ours: Vec<Packet> = samples
            .iter()
            .filter(|sample| sample.at.track == index)
            .map(|sample| Packet {
                pts: sample.sample.pts.ticks(),
                dts: sample.sample.dts.ticks(),
                size: u32::try_from(sample.sample.data.len()).unwrap(),
                at: sample.at.offset,
                key: sample.at.sync,
            })
            .collect();
        assert_eq!(ours.len(), packets.len(), "{} track {}", path.display(), track.id);
        for (number, (ours, theirs)) in ours.iter().zip(packets).enumerate() {
            // ffprobe also looks into the pictures and finds IDRs that `stss` does not list.
            let theirs = Packet { key: theirs.key && ours.key, ..*theirs };
            assert_eq!(*ours, theirs, "{} track {} sample {number}", path.display(), track.id);
        }
    }
    let plain = std::fs::read(path).unwrap();
    for sample in &samples {
        let at = usize::try_from(sample.at.offset).unwrap();
        assert!(sample.sample.data == plain[at..at + sample.at.len as usize], "{}", path.display());
    }
    Some(())
}

#[test]
fn fragments_of_every_style_give_the_same_samples() {
    let Some(media) = media() else { return };
    let folder = tempfile::tempdir().unwrap();
    for source in ["mp4/chrome.mp4", "mp4/davidappend_v2.mp4", "mp4/seq_h264_1.mp4"] {
        let source = media.join(source);
        let (_, plain) = read(&source);
        for (style, flags) in [
            ("absolute base_data_offset", "frag_keyframe+empty_moov"),
            ("default-base-is-moof", "frag_keyframe+empty_moov+default_base_moof"),
            ("offsets relative to the traf before", "frag_keyframe+empty_moov+omit_tfhd_offset"),
            ("a moof per track", "frag_keyframe+empty_moov+separate_moof"),
            ("first samples in moov", "frag_keyframe"),
            ("sidx", "cmaf+dash"),
            ("many small ones", "frag_every_frame+empty_moov"),
            ("moov behind", ""),
            ("moov in front", "faststart"),
        ] {
            let file = folder.path().join("fragments.mp4");
            let (source, file) = (source.to_str().unwrap(), file.to_str().unwrap());
            let flags = format!("+{flags}");
            let mut args = vec!["-v", "error", "-y", "-i", source, "-c", "copy", "-map", "0"];
            args.extend(["-avoid_negative_ts", "disabled", "-use_editlist", "1"]);
            if flags.len() > 1 {
                args.extend(["-movflags", &flags]);
            }
            args.push(file);
            if run("ffmpeg", &args).is_none() {
                return;
            }
            let (reader, samples) = read(Path::new(file));
            assert_eq!(reader.failed(), [], "{source} {style}");
            assert_eq!(reader.cut_at(), None, "{source} {style}");
            for track in 0..reader.tracks().len() {
                let of = |samples: &[TrackSample]| -> Vec<bytes::Bytes> {
                    let of = samples.iter().filter(|sample| sample.at.track == track);
                    of.map(|sample| sample.sample.data.clone()).collect()
                };
                let place = format!("{source} {style} track {track}");
                assert_eq!(of(&samples).len(), of(&plain).len(), "{place}");
                assert!(of(&samples) == of(&plain), "{place}: payloads differ");
            }
            // ffprobe 5.1 leaves the second fragment of such files out.
            if style == "first samples in moov" {
                assert!(nearly_same_times(&plain, &samples), "{source}");
            } else {
                assert!(compare_with_ffprobe(Path::new(file)).is_some(), "ffmpeg without ffprobe");
            }
        }
    }
}

/// Pictures that the file shows before it decodes them: the decode times are moved, as FFmpeg does.
#[test]
fn negative_composition_offsets_decode_in_time() {
    let Some(media) = media() else { return };
    let folder = tempfile::tempdir().unwrap();
    for source in ["mp4/count-video.mp4", "mp4/sample.mp4", "mp4/one-by-one-person-detection.mp4"] {
        let (_, plain) = read(&media.join(source));
        for flags in ["negative_cts_offsets", "negative_cts_offsets+frag_keyframe+empty_moov"] {
            let file = folder.path().join("negative.mp4");
            let (from, to) = (media.join(source), file.to_str().unwrap());
            let args =
                ["-v", "error", "-y", "-i", from.to_str().unwrap(), "-c", "copy", "-movflags", flags, to];
            if run("ffmpeg", &args).is_none() {
                return;
            }
            let (_, samples) = read(&file);
            assert_eq!(samples.len(), plain.len(), "{source} {flags}");
            let mut last = std::collections::HashMap::new();
            for (number, TrackSample { at, .. }) in samples.iter().enumerate() {
                assert!(at.pts.ticks() >= at.dts.ticks(), "{source} {flags} sample {number}: {at:?}");
                let before = last.insert(at.track, at.dts.ticks());
                assert!(before.is_none_or(|before| before < at.dts.ticks()), "{source} {flags} {at:?}");
            }
            if !flags.contains("frag") {
                assert!(compare_with_ffprobe(&file).is_some(), "ffmpeg without ffprobe");
            }
        }
    }
}

/// Whether the tracks go on for the same time and at the same pace, to 2 ms: the clocks of the files differ.
fn nearly_same_times(a: &[TrackSample], b: &[TrackSample]) -> bool {
    let times = |samples: &[TrackSample], track| -> Vec<i64> {
        let of = samples.iter().filter(|sample| sample.at.track == track);
        let times: Vec<i64> =
            of.map(|sample| sample.sample.pts.to_room_time().unwrap().round_to_millis()).collect();
        times.iter().map(|time| time - times[0]).collect()
    };
    [0, 1]
        .into_iter()
        .all(|track| times(a, track).iter().zip(times(b, track)).all(|(a, b)| a.abs_diff(b) <= 2))
}

#[test]
fn tracks_come_interleaved_by_decode_time() {
    for path in mp4_files(&["mp4"]) {
        let (_, samples) = read(&path);
        let times: Vec<_> = samples.iter().map(|sample| sample.sample.dts.to_room_time().unwrap()).collect();
        assert!(times.is_sorted(), "{}", path.display());
    }
}

#[test]
fn another_reader_agrees_on_plain_files() {
    let mut refused = 0;
    for path in mp4_files(&["mp4"]) {
        let len = std::fs::metadata(&path).unwrap().len();
        let Ok(mut theirs) = mp4::Mp4Reader::read_header(File::open(&path).unwrap(), len) else {
            println!("the mp4 crate does not read {}", path.display());
            refused += 1;
            continue;
        };
        if theirs.is_fragmented() {
            continue; // it counts the times of fragments otherwise
        }
        let (reader, samples) = read(&path);
        for (index, track) in reader.tracks().iter().enumerate() {
            let id = track.id.get();
            let ours: Vec<_> = samples.iter().filter(|sample| sample.at.track == index).collect();
            assert_eq!(theirs.sample_count(id).unwrap() as usize, ours.len(), "{}", path.display());
            for (number, ours) in (1..).zip(ours) {
                let theirs = theirs.read_sample(id, number).unwrap().unwrap();
                let place = format!("{} track {id} sample {number}", path.display());
                assert!(theirs.bytes == ours.sample.data, "{place}: payloads differ");
                assert_eq!(
                    theirs.start_time.cast_signed(),
                    ours.at.dts.ticks() - track.edit_offset,
                    "{place}"
                );
                let composition = ours.at.pts.ticks() - ours.at.dts.ticks();
                assert_eq!(i64::from(theirs.rendering_offset), composition, "{place}");
                assert_eq!(theirs.is_sync, ours.at.sync, "{place}");
            }
        }
    }
    assert!(refused <= 4, "{refused} files were not compared");
}

#[test]
fn a_bad_track_is_named_and_the_good_one_read() {
    let Some(media) = media() else { return };
    let (reader, _) = read(&media.join("malformed/sample_missing_stsd.mp4"));
    let [rejected] = reader.rejected() else { panic!("{:?}", reader.rejected()) };
    assert_eq!(rejected.id.map(recorder_mp4::TrackId::get), Some(2));
    assert!(matches!(&rejected.error, TrackError::Box { kind } if kind.bytes() == *b"stsd"));
    let (reader, _) = read(&media.join("malformed/chunk_out_of_range.mp4"));
    let [rejected] = reader.rejected() else { panic!("{:?}", reader.rejected()) };
    assert!(matches!(rejected.error, TrackError::ChunkRun { chunk: 16_777_217, chunks: 1, .. }));
}

#[test]
fn opus_and_rotation_are_read() {
    let Some(media) = media() else { return };
    let (reader, _) = read(&media.join("mp4/video_90.mov"));
    assert_eq!(reader.tracks()[0].matrix.rotation(), Some(90));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opus.mp4");
    let source = media.join("audio/bear.opus");
    let args = ["-v", "error", "-i", source.to_str().unwrap(), "-c", "copy", file.to_str().unwrap()];
    if run("ffmpeg", &args).is_none() {
        return;
    }
    let (reader, _) = read(&file);
    let recorder_types::TrackConfig::Opus(config) = &reader.tracks()[0].config else { panic!("no Opus") };
    assert_eq!((config.channels, config.pre_skip), (2, 312));
    assert_eq!(reader.tracks()[0].edit_offset, -312);
    compare_with_ffprobe(&file);
}
