//! The program as it is called.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use recorder_mp4::{FileReader, MovieIndex, MovieWriter, SampleEntry, SampleInfo, TrackSetup};
use recorder_testkit::ffmpeg;
use recorder_testkit::media::{media_dir, media_file};
use recorder_testkit::servers::{S3, WebFolder};
use recorder_types::h264::{DisplayOrientation, Units};
use recorder_types::{NalFraming, OpusConfig, Timescale, Timestamp, TrackConfig};

fn remux(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_remux")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it on two paths and more arguments; gives the exit code and what was told as an error or warning.
fn run(input: &Path, out: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = remux(&[&[input.to_str().unwrap(), out.to_str().unwrap()], more].concat());
    (output.status.code(), text(&output.stderr))
}

/// As [`run`], where all is expected to go well.
fn convert(input: &Path, out: &Path, more: &[&str]) {
    let (code, told) = run(input, out, more);
    assert_eq!((code, told.as_str()), (Some(0), ""), "{} to {}", input.display(), out.display());
}

/// The playlist in a folder.
fn playlist_in(folder: &Path) -> PathBuf {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let lists: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "m3u8")).collect();
    assert_eq!(lists.len(), 1, "{lists:?}");
    lists[0].clone()
}

/// Presentation and decode time in ticks of 90 kHz, sync, and the sample's NAL units or frame without what HLS adds or
/// leaves out.
type Kept = (i64, i64, bool, Vec<u8>);

/// The samples of each track: `is video`, and those.
fn samples(path: &Path) -> Vec<(bool, Vec<Kept>)> {
    let mut reader = FileReader::open(File::open(path).unwrap()).unwrap();
    let framings = reader.tracks().iter().map(|track| match &track.config {
        TrackConfig::H264(config) => Some(config.framing),
        _ => None,
    });
    let framings: Vec<_> = framings.collect();
    let mut tracks: Vec<(bool, Vec<Kept>)> = framings.iter().map(|f| (f.is_some(), Vec::new())).collect();
    while let Some(sample) = reader.next_sample().unwrap() {
        let ticks = |at: Timestamp| at.to_room_time().unwrap().round_to_ticks(Timescale::HZ_90000);
        let data = &sample.sample.data;
        let data = framings[sample.at.track].map_or_else(|| data.to_vec(), |framing| slices(data, framing));
        let kept = (ticks(sample.at.pts), ticks(sample.at.dts), sample.at.sync, data);
        tracks[sample.at.track].1.push(kept);
    }
    assert_eq!((reader.rejected(), reader.failed(), reader.cut_at()), (&[][..], &[][..], None));
    tracks
}

/// Slices and partitions of a length-prefixed picture.
fn slices(data: &[u8], framing: NalFraming) -> Vec<u8> {
    // As a byte stream: zeros after a NAL unit do not survive that, and one file of the corpus has a start code, with
    // an end marker behind it, within the length of a slice.
    let mut stream = Vec::new();
    for unit in Units::new(data, framing) {
        stream.extend([&[0, 0, 1], unit.unwrap()].concat());
    }
    let units = Units::new(&stream, NalFraming::AnnexB).map(Result::unwrap);
    units.filter(|unit| matches!(unit[0] & 0x1F, 1..=5)).collect::<Vec<_>>().concat()
}

/// Fails unless both have the same samples, all times moved by the same, give or take `ticks`.
fn assert_same(got: &Path, want: &Path, ticks: i64) {
    let (name, mut got, mut want) = (want.display(), samples(got), samples(want));
    // Pictures first, as recordings have them.
    for tracks in [&mut got, &mut want] {
        tracks.sort_by_key(|(video, _)| !video);
    }
    assert_eq!(got.len(), want.len(), "{name}");
    let mut moved = None;
    for ((video, got), (_, want)) in got.iter().zip(&want) {
        assert_eq!(got.len(), want.len(), "{name}: samples");
        // The first audio frame of some files has a stray composition offset.
        let from = usize::from(!video && ticks > 0);
        for (number, (got, want)) in got.iter().zip(want).enumerate().skip(from) {
            let len = (got.3.len(), want.3.len());
            assert!(got.3 == want.3, "{name}: video {video}, sample {number} differs, bytes {len:?}");
            assert_eq!(got.2, want.2, "{name}: video {video}, sample {number}, key frame");
            let by = *moved.get_or_insert(got.0 - want.0);
            let off = (got.0 - want.0 - by).abs();
            assert!(off <= ticks, "{name}: sample {number} is at {} and not {} + {by}", got.0, want.0);
        }
        assert!(got.windows(2).all(|pair| pair[0].1 < pair[1].1), "{name}: decode times rise");
    }
}

/// How the pictures of a movie are turned.
fn orientation(path: &Path) -> Option<DisplayOrientation> {
    let reader = FileReader::open(File::open(path).unwrap()).unwrap();
    let pictures = reader.tracks().iter().find(|track| matches!(track.config, TrackConfig::H264(_)));
    pictures.and_then(|track| track.matrix.orientation())
}

fn movies() -> Vec<PathBuf> {
    let Some(folder) = media_dir() else { return Vec::new() };
    let paths = fs::read_dir(folder.join("mp4")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "mp4" || e == "mov")).collect();
    paths.sort();
    assert!(paths.len() > 10);
    paths
}

#[test]
fn wrong_calls_and_foreign_files_are_errors_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let playlist = |name: &str, body: &str| {
        fs::write(at(name), format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n{body}#EXT-X-ENDLIST\n")).unwrap();
    };
    playlist("a.m3u8", "#EXTINF:1,\na.ts\n");
    playlist("away.m3u8", "#EXTINF:1,\n../a.ts\n");
    playlist("url.m3u8", "#EXTINF:1,\nhttps://example.com/a.ts\n");
    playlist("empty.m3u8", "");
    playlist("key.m3u8", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\na.ts\n");
    playlist("mixed.m3u8", "#EXTINF:1,\na.ts\n#EXT-X-MAP:URI=\"foreign.mp4\"\n#EXTINF:1,\nb.m4s\n");
    fs::write(at("foreign.mp4"), b"this is no movie").unwrap();
    fs::write(at("text.m3u8"), b"no playlist").unwrap();
    fs::write(at("stub.mp4"), b"\0\0\0\x10ftypisom\0\0\0\0").unwrap();
    for (arguments, why) in [
        ("", "IN"),
        ("D/a.m3u8", "OUT"),
        ("D/a.m3u8 D/out.mp4 more", "unexpected argument 'more'"),
        ("D/a.m3u8 D/out.mp4 --to avi", "fmp4"),
        ("D/a.m3u8 D/out.mkv", "the ending does not say what to write"),
        ("D/a.m3u8 D/out.mp4 --max-file-minutes 0", "1..=1440"),
        ("D/a.m3u8 D/out.mp4 --max-file-minutes 1441", "1..=1440"),
        ("D/a.m3u8 D/out.mp4 --segment-seconds 0", "1..=3600"),
        ("D/a.m3u8 D/out.mp4 --segments webm", "mpegts"),
        ("D/a.m3u8 D/out.mp4 --start-time never", "whole number"),
        ("D/none.mp4 D/out.mp4", "none.mp4"),
        ("D/foreign.mp4 D/out.mp4", "no playlist, TS or MP4"),
        ("D/text.m3u8 D/out.mp4", "no playlist, TS or MP4"),
        ("D/stub.mp4 D/out.mp4", "stub.mp4: "),
        ("D/a.m3u8 D/out.mp4", "a.ts: not there"),
        ("D/away.m3u8 D/out.mp4", "\"../a.ts\" is not a file beside the playlist"),
        ("D/url.m3u8 D/out.mp4", "is not a file beside the playlist"),
        ("D/empty.m3u8 D/out.mp4", "nothing in it"),
        ("D/key.m3u8 D/out.mp4", "encrypted"),
        ("D/mixed.m3u8 D/out.mp4", "EXT-X-MAP"),
        ("D/a.m3u8 D/a.m3u8 --to mp4", "is what is read"),
        ("D D/out.mp4", "directory"),
    ] {
        let before = fs::read_dir(folder.path()).unwrap().count();
        let here = folder.path().to_str().unwrap();
        let arguments: Vec<_> = arguments.split_whitespace().map(|word| word.replace('D', here)).collect();
        let output = remux(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before, "{arguments:?}: nothing is left");
    }
}

#[test]
fn every_movie_keeps_its_samples_in_mp4_and_fragments() {
    let folder = tempfile::tempdir().unwrap();
    for source in movies() {
        for (name, boxes) in [("plain.mp4", [b"moov", b"mdat"]), ("fragmented.cmfv", [b"moov", b"moof"])] {
            let out = folder.path().join(name);
            convert(&source, &out, &[]);
            assert_same(&out, &source, 0);
            let bytes = fs::read(&out).unwrap();
            let at = |kind: &[u8]| bytes.windows(4).position(|window| window == kind);
            assert!(at(boxes[0]) < at(boxes[1]), "{}: {boxes:?}", source.display());
            if let (Some(got), Some(want)) = (ffmpeg::count_packets(&out), ffmpeg::count_packets(&source)) {
                let total = |counts: &[(String, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
                assert_eq!(total(&got), total(&want), "{}", source.display());
            }
        }
        // Turned, with pixels of another shape, and so on: what describes a track stays.
        let described = |path: &Path| {
            let reader = FileReader::open(File::open(path).unwrap()).unwrap();
            let tracks = reader.tracks().iter();
            tracks.map(|track| (track.matrix, track.entries.clone(), track.timescale)).collect::<Vec<_>>()
        };
        assert_eq!(described(&folder.path().join("plain.mp4")), described(&source), "{}", source.display());
    }
}

#[test]
fn every_movie_survives_hls_of_either_kind() {
    let folder = tempfile::tempdir().unwrap();
    for source in movies() {
        let pictures: usize = samples(&source).iter().filter(|(video, _)| *video).map(|(_, s)| s.len()).sum();
        // Pictures of the long ones are compared as bytes only: decoding them takes minutes.
        let clean = pictures < 2000 && matches!(ffmpeg::strict_decode(&source), Some(ffmpeg::Verdict::Clean));
        let hashes = if clean && pictures > 0 { ffmpeg::picture_hashes(&source) } else { None };
        for (kind, ending) in [("mpegts", "ts"), ("fmp4", "m4s")] {
            let (hls, back) = (folder.path().join("hls"), folder.path().join("back.mp4"));
            let arguments = ["--to", "hls", "--segments", kind, "--segment-seconds", "2"];
            convert(&source, &hls, &arguments);
            let list = playlist_in(&hls);
            let body = fs::read_to_string(&list).unwrap();
            assert_eq!(body.contains("#EXT-X-MAP"), kind == "fmp4");
            for name in body.lines().filter(|line| !line.starts_with('#')) {
                assert!(name.ends_with(ending) && hls.join(name).is_file(), "{name}");
            }
            convert(&list, &back, &[]);
            assert_same(&back, &source, 2);
            if clean && let Some(verdict) = ffmpeg::strict_decode(&list) {
                assert!(
                    matches!(verdict, ffmpeg::Verdict::Clean),
                    "{} {kind}: {verdict:?}",
                    source.display()
                );
                // What TS tells of turned pictures FFmpeg leaves to its caller.
                let upright = orientation(&source) == Some(DisplayOrientation::default());
                let decoded = if upright { &list } else { &back };
                let same = pictures == 0 || ffmpeg::picture_hashes(decoded) == hashes;
                assert!(same, "{} {kind}: pictures differ", source.display());
            }
            assert_eq!(orientation(&back), orientation(&source), "{} {kind}", source.display());
            fs::remove_dir_all(&hls).unwrap();
        }
    }
}

#[test]
fn others_see_how_pictures_are_turned() {
    let Some((source, ffprobe)) = media_file("mp4/video_90.mov").zip(ffmpeg::find("ffprobe")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    convert(&source, &at("ts.m3u8"), &[]);
    convert(&source, &at("fmp4.m3u8"), &["--segments", "fmp4"]);
    convert(&at("ts.m3u8"), &at("back.mp4"), &[]);
    convert(&at("ts.m3u8"), &at("back.cmfv"), &[]);
    let section = at("fmp4_init_1.mp4");
    let mut paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let ts = paths.find(|path| path.extension().is_some_and(|ending| ending == "ts")).unwrap();
    for path in [source, ts, at("back.mp4"), at("back.cmfv"), section] {
        let output = Command::new(&ffprobe)
            .args(["-v", "error", "-select_streams", "v:0", "-show_streams", "-show_frames"])
            .arg(&path)
            .output()
            .unwrap();
        let told = text(&output.stdout);
        let rotation = told.lines().find_map(|line| line.strip_prefix("rotation="));
        assert_eq!(rotation, Some("-90"), "{}", path.display());
    }
}

#[test]
fn playlists_and_ts_of_others_become_mp4_fragments_hls_and_aac() {
    let folder = tempfile::tempdir().unwrap();
    for (source, video, audio) in [
        ("hls/ts-rollover/playlist.m3u8", 480, 937),
        ("hls/gap/playlist.m3u8", 1440, 0),
        ("hls/speaker-aac/media.m3u8", 299, 429),
        ("hls/raw-aac/stream.m4a.m3u8", 0, 861),
        ("malformed/test-middle-pat-pmt.ts", 15, 28),
    ] {
        let Some(source) = media_file(source) else { return };
        let at = |name: &str| folder.path().join(name);
        let counts = |path: &Path| {
            let mut counts = (0, 0);
            for (is_video, samples) in samples(path) {
                *(if is_video { &mut counts.0 } else { &mut counts.1 }) += samples.len();
            }
            counts
        };
        convert(&source, &at("out.mp4"), &[]);
        assert_eq!(counts(&at("out.mp4")), (video, audio), "{}", source.display());
        convert(&source, &at("out.m4s"), &[]);
        assert_same(&at("out.m4s"), &at("out.mp4"), 0);
        for kind in ["mpegts", "fmp4"] {
            convert(&source, &at("hls"), &["--segments", kind]);
            convert(&playlist_in(&at("hls")), &at("again.mp4"), &[]);
            assert_same(&at("again.mp4"), &at("out.mp4"), 2);
            fs::remove_dir_all(at("hls")).unwrap();
        }
        if audio > 0 {
            convert(&source, &at("out.aac"), &[]);
            convert(&at("out.mp4"), &at("mp4.aac"), &[]);
            assert!(fs::read(at("out.aac")).unwrap() == fs::read(at("mp4.aac")).unwrap());
            let frames = ffmpeg::count_frames(&at("out.aac"));
            assert!(frames.is_none_or(|frames| frames == audio as u64), "{frames:?}");
        }
    }
}

#[test]
fn what_is_missing_or_damaged_is_told_and_the_rest_is_written() {
    let Some(source) = media_file("mp4/one-by-one-person-detection.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (hls, out) = (folder.path().join("hls"), folder.path().join("out.mp4"));
    convert(&source, &hls, &[]);
    let list = playlist_in(&hls);
    let body = fs::read_to_string(&list).unwrap();
    let names: Vec<_> = body.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let all = samples(&source)[0].1.len();
    // The third is gone and the fifth is no TS any more.
    fs::remove_file(hls.join(&names[2])).unwrap();
    fs::write(hls.join(&names[4]), vec![0; 1880]).unwrap();
    let (code, told) = run(&list, &out, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&names[2]) && told.contains("not there"), "{told}");
    assert!(told.contains(&names[4]) && told.contains("no transport stream"), "{told}");
    let got = &samples(&out)[0].1;
    let gaps = got.windows(2).filter(|pair| pair[1].1 - pair[0].1 > 90_000 * 9).count();
    assert!(got.len() < all - 150 && gaps == 2, "{} of {all}, {gaps} gaps", got.len());
    let end = |samples: &[Kept]| samples.last().unwrap().0;
    assert!((end(got) - end(&samples(&source)[0].1)).abs() < 9_000, "the time line is kept");

    // A movie that was cut off: fragments keep what they have, a plain one tells what is outside.
    let fragmented = folder.path().join("whole.cmfv");
    convert(&source, &fragmented, &[]);
    let bytes = fs::read(&fragmented).unwrap();
    let cut = folder.path().join("cut.cmfv");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (code, told) = run(&cut, &out, &[]);
    assert_eq!(code, Some(1), "{told}");
    let half = samples(&out)[0].1.len();
    assert!(half > all / 4 && half < all * 3 / 4, "{half} of {all}");
    let plain = fs::read(&source).unwrap();
    fs::write(&cut, &plain[..plain.len() - 1000]).unwrap();
    let (code, told) = run(&cut, &out, &[]);
    assert!(code != Some(0) && !told.is_empty(), "{told}");
}

#[test]
fn files_end_at_their_limits_and_together_have_everything() {
    let Some(source) = media_file("mp4/chrome.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = samples(&source);
    for input in ["movie", "playlist"] {
        let input = match input {
            "movie" => source.clone(),
            _ => {
                convert(&source, &folder.path().join("hls"), &[]);
                playlist_in(&folder.path().join("hls"))
            }
        };
        let out = folder.path().join("part.mp4");
        convert(&input, &out, &["--max-file-bytes", "900000"]);
        assert!(!out.exists());
        let mut counts = vec![0; whole.len()];
        for number in 1.. {
            let part = folder.path().join(format!("part_{number}.mp4"));
            if !part.exists() {
                assert!(number > 2, "several files");
                break;
            }
            assert!(fs::metadata(&part).unwrap().len() <= 900_000);
            for (track, (_, samples)) in samples(&part).iter().enumerate() {
                counts[track] += samples.len();
            }
            fs::remove_file(part).unwrap();
        }
        counts.sort_unstable();
        let mut want: Vec<_> = whole.iter().map(|(_, samples)| samples.len()).collect();
        want.sort_unstable();
        assert_eq!(counts, want, "{}", input.display());
        // What cannot be split is an error, and nothing is written.
        let (code, told) = run(&input, &out, &["--max-file-bytes", "20000"]);
        assert!(code == Some(2) && told.contains("20000 bytes without another key frame"), "{told}");
        assert!(!out.exists() && !folder.path().join("part_1.mp4").exists());
    }
}

#[test]
fn stored_indexes_are_used_where_they_fit_and_checked_against_the_media() {
    use recorder_hls::SegmentIndex;
    use recorder_types::UnixMillis;

    let Some(source) = media_file("mp4/chrome.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (hls, at) = (folder.path().join("hls"), |name: &str| folder.path().join(name));
    convert(&source, &hls, &["--start-time", "1700000000123", "--with-index"]);
    let list = playlist_in(&hls);
    let stored = fs::read(list.with_extension("index")).unwrap();
    convert(&list, &at("stored.mp4"), &[]);
    fs::remove_file(list.with_extension("index")).unwrap();
    convert(&list, &at("rebuilt.mp4"), &[]);
    assert!(fs::read(at("stored.mp4")).unwrap() == fs::read(at("rebuilt.mp4")).unwrap(), "the same bytes");
    let body = fs::read_to_string(&list).unwrap();
    let indexes = |change: fn(&mut [u8])| -> Vec<u8> {
        let names = body.lines().filter(|line| !line.starts_with('#'));
        let encoded = names.map(|name| {
            let start = UnixMillis::from_utc_digits(&name[name.len() - 20..name.len() - 3]).unwrap();
            let mut ts = fs::read(hls.join(name)).unwrap();
            change(&mut ts);
            SegmentIndex::from_ts(&ts, start, false, None).unwrap().encode()
        });
        encoded.collect::<Vec<_>>().concat()
    };
    assert!(stored == indexes(|_| {}), "what is stored is what the segments tell");
    // An index that says something else is not believed silently.
    let damaged = indexes(|ts| {
        // As long, with a start code in the middle of a picture.
        let inside = |packet: &&mut [u8]| (packet[1], packet[2], packet[3] & 0x30) == (1, 0, 0x10);
        let packet = ts.chunks_exact_mut(188).filter(inside).nth(50).unwrap();
        packet[90..94].copy_from_slice(&[0, 0, 1, 0x41]);
    });
    fs::write(list.with_extension("index"), damaged).unwrap();
    let (code, told) = run(&list, &at("wrong.mp4"), &[]);
    assert!(code == Some(2) && told.contains("than its index says"), "{told}");
    // One that lacks a track of its segments is not believed either.
    let pictures_alone = indexes(|ts| {
        for packet in ts.chunks_exact_mut(188).filter(|packet| (packet[1] & 0x1F, packet[2]) == (1, 1)) {
            (packet[1], packet[2]) = (0x1F, 0xFF);
        }
    });
    assert!(pictures_alone.len() < stored.len());
    fs::write(list.with_extension("index"), pictures_alone).unwrap();
    convert(&list, &at("lacking.mp4"), &[]);
    assert!(fs::read(at("lacking.mp4")).unwrap() == fs::read(at("rebuilt.mp4")).unwrap());
    // One of other segments is not used.
    fs::write(list.with_extension("index"), &stored[7..]).unwrap();
    convert(&list, &at("other.mp4"), &[]);
    assert!(fs::read(at("other.mp4")).unwrap() == fs::read(at("rebuilt.mp4")).unwrap());
}

#[test]
fn web_servers_are_read_from_as_folders_are() {
    let Some(source) = media_file("mp4/chrome.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(&source, at("chrome.mp4")).unwrap();
    convert(&source, &at("a.m3u8"), &["--with-index"]);
    convert(&source, &at("b.m3u8"), &["--segments", "fmp4"]);
    let web = WebFolder::serve(folder.path());
    for name in ["chrome.mp4", "a.m3u8", "b.m3u8"] {
        convert(&at(name), &at("near.mp4"), &[]);
        convert(Path::new(&web.url(name)), &at("far.mp4"), &[]);
        assert!(fs::read(at("near.mp4")).unwrap() == fs::read(at("far.mp4")).unwrap(), "{name}");
    }
    let first = fs::read_to_string(at("a.m3u8")).unwrap();
    let first = first.lines().find(|line| !line.starts_with('#')).unwrap();
    fs::remove_file(at(first)).unwrap();
    let (code, told) = run(Path::new(&web.url("a.m3u8")), &at("far.mp4"), &[]);
    assert!(code == Some(1) && told.contains(&format!("{}: not there", web.url(first))), "{told}");
    for (input, out, why) in [
        (web.url("gone.mp4"), "out.mp4".to_owned(), "not found"),
        (web.url("a.m3u8?x=1"), "out.mp4".to_owned(), "a query cannot be sent"),
        (web.url("a.m3u8"), web.url("out.mp4"), "only read from"),
    ] {
        let (code, told) = run(Path::new(&input), Path::new(&out), &[]);
        assert!(code == Some(2) && told.contains(why), "{told}");
    }
}

#[test]
fn buckets_are_read_from_and_written_to_as_folders_are() {
    let Some(source) = media_file("mp4/chrome.mp4") else { return };
    let Some(s3) = S3::start("room") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let there = |name: &str| PathBuf::from(s3.url(name));
    let shown = |output: &Output| {
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
        text(&output.stdout)
    };
    let told =
        shown(&remux(&[source.to_str().unwrap(), &s3.url("task/hls"), "--start-time", "1700000000123"]));
    assert!(told.contains("s3://room/task/hls/chrome.m3u8") && !told.contains("secret"), "{told}");
    convert(&source, &at("hls"), &["--start-time", "1700000000123"]);
    convert(&there("task/hls/chrome.m3u8"), &at("far.mp4"), &[]);
    convert(&playlist_in(&at("hls")), &at("near.mp4"), &[]);
    assert!(fs::read(at("near.mp4")).unwrap() == fs::read(at("far.mp4")).unwrap());
    // From bucket to bucket, split, and back.
    let parts = ["--max-file-bytes", "900000"];
    let told =
        shown(&remux(&[&[&s3.url("task/hls/chrome.m3u8")[..], &s3.url("out.mp4")], &parts[..]].concat()));
    convert(&playlist_in(&at("hls")), &at("part.mp4"), &parts);
    let count = (1..).take_while(|number| at(&format!("part_{number}.mp4")).exists()).count();
    assert!(count > 1 && told.matches("s3://room/out_").count() == count, "{told}");
    for number in 1..=count {
        convert(&there(&format!("out_{number}.mp4")), &at("back.mp4"), &[]);
        convert(&at(&format!("part_{number}.mp4")), &at("here.mp4"), &[]);
        assert!(fs::read(at("back.mp4")).unwrap() == fs::read(at("here.mp4")).unwrap(), "part {number}");
    }
    let (code, told) = run(&there("task/gone.m3u8"), &at("x.mp4"), &[]);
    assert!(code == Some(2) && told.contains("not found") && !told.contains("secret"), "{told}");
}

#[test]
fn opus_stays_in_mp4_and_is_told_where_hls_cannot_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clock = Timescale::HZ_48000;
    let mut index = MovieIndex::new().with_origin(Timestamp::new(0, clock));
    let entry = SampleEntry::opus(OpusConfig { channels: 2, pre_skip: 312 });
    let track = index.add_track(TrackSetup::new(entry, clock)).unwrap();
    for number in 0..50 {
        let at = Timestamp::new(number * 960 - 312, clock);
        index.push(track, SampleInfo { pts: at, dts: at, duration: 960, sync: true, len: 3 }).unwrap();
    }
    let mut writer = MovieWriter::new(index.finish().unwrap());
    for number in 0..50 {
        writer.push(track, Bytes::from(vec![0xFC, 0xFF, number])).unwrap();
    }
    let mut file = File::create(at("opus.mp4")).unwrap();
    writer.write_to(&mut file).unwrap();
    writer.finish().unwrap();
    for name in ["again.mp4", "again.cmfa"] {
        convert(&at("opus.mp4"), &at(name), &[]);
        assert_same(&at(name), &at("opus.mp4"), 0);
        let first = samples(&at(name))[0].1[0].0;
        assert_eq!(first, -585, "the priming stays before zero");
    }
    for (out, why) in [("hls", "Opus left out"), ("out.aac", "no AAC")] {
        let (code, told) = run(&at("opus.mp4"), &at(out), &[]);
        assert!(code == Some(2) && told.contains(why), "{told}");
    }
    let Some(ts) = media_file("hls/opus-screenshare/playlist.m3u8") else { return };
    let (code, told) = run(&ts, &at("out.mp4"), &[]);
    println!("{told}");
    assert_eq!(code.map(|code| code == 1), Some(told.contains("Opus left out")), "{told}");
}
