//! The program on media that it did not make: what comes out is what went in, by FFmpeg's word where it is there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use recorder_testkit::ffmpeg;
use recorder_testkit::media::{media_dir, media_file, read_media};
use support::{assert_playable, files, names, record};

/// What ffprobe says of one stream, in seconds.
#[derive(Debug)]
struct Track {
    packets: usize,
    /// Earliest and latest presentation; `None` for a byte stream, which has no times.
    shown: Option<(f64, f64)>,
    decode_times: Vec<f64>,
}

impl Track {
    /// `None`: ffprobe is not there, or the file has no such stream. A playlist is read by its segments: FFmpeg's own
    /// HLS reader tells the time of the first audio packet twice.
    fn read(file: &Path, stream: &str) -> Option<Self> {
        let mut text = String::new();
        for part in parts(file) {
            let options = ["-select_streams", stream, "-show_entries", "packet=pts_time,dts_time"];
            text.push_str(&ffmpeg::probe(&part, &options)?);
        }
        let rows: Vec<Vec<Option<f64>>> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| line.split(',').map(|field| field.trim().parse().ok()).collect())
            .collect();
        let pts: Option<Vec<f64>> = rows.iter().map(|row| row.first().copied().flatten()).collect();
        let decode_times = rows.iter().filter_map(|row| row.get(1).copied().flatten()).collect();
        let shown = pts
            .filter(|pts| !pts.is_empty())
            .map(|pts| pts.iter().fold((f64::MAX, f64::MIN), |(low, high), &at| (low.min(at), high.max(at))));
        (!rows.is_empty()).then_some(Self { packets: rows.len(), shown, decode_times })
    }

    fn start(&self) -> Option<f64> {
        self.shown.map(|(first, _)| first)
    }

    fn span(&self) -> Option<f64> {
        self.shown.map(|(first, last)| last - first)
    }
}

/// The segments of a playlist, or the file itself.
fn parts(file: &Path) -> Vec<PathBuf> {
    if file.extension().is_none_or(|ending| ending != "m3u8") {
        return vec![file.to_owned()];
    }
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(|uri| file.with_file_name(uri)).collect()
}

/// The file that holds `stream` and the stream.
fn find(files: &[PathBuf], stream: &str) -> Option<(PathBuf, Track)> {
    files.iter().find_map(|file| Some((file.clone(), Track::read(file, stream)?)))
}

/// One frame of the slowest sound in the corpus, 1024 samples at 22.05 kHz, and what ffprobe rounds.
const FRAME: f64 = 0.0475;

/// Compares the file sets of one user in `out` with what was sent.
fn assert_same(case: &str, sources: &[PathBuf], out: &Path) {
    let lists: Vec<PathBuf> = names(&files(out), ".m3u8").iter().map(|name| out.join(name)).collect();
    let (before, after) = (["v:0", "a:0"].map(|s| find(sources, s)), ["v:0", "a:0"].map(|s| find(&lists, s)));
    for ((kind, before), after) in ["video", "audio"].iter().zip(&before).zip(&after) {
        let (Some((_, before)), Some((_, after))) = (before, after) else {
            assert_eq!(before.is_some(), after.is_some(), "{case}: {kind} is there before and after");
            continue;
        };
        assert_eq!(after.packets, before.packets, "{case}: {kind} packets");
        assert_eq!(after.decode_times.len(), after.packets, "{case}: {kind} has a DTS for each packet");
        let grows = after.decode_times.windows(2).all(|pair| pair[1] > pair[0]);
        assert!(grows, "{case}: {kind} DTS do not grow");
        if let (Some(before), Some(after)) = (before.span(), after.span()) {
            assert!((after - before).abs() < FRAME, "{case}: {kind} lasts {after} s, not {before} s");
        }
    }
    if let ([Some((_, v0)), Some((_, a0))], [Some((_, v1)), Some((_, a1))]) = (&before, &after)
        && let (Some(v0), Some(a0), Some(v1), Some(a1)) = (v0.start(), a0.start(), v1.start(), a1.start())
    {
        let moved = (a1 - v1) - (a0 - v0);
        assert!(moved.abs() < FRAME, "{case}: sound moved against pictures by {moved} s");
    }
    if let ([Some((source, _)), _], [Some((list, _)), _]) = (&before, &after) {
        let (want, got) = (ffmpeg::picture_hashes(source), ffmpeg::picture_hashes(list));
        assert!(want.is_some() && got == want, "{case}: decoded pictures differ");
    }
}

/// Pictures that are decoded before they are shown begin no file set before its user came.
fn assert_begins_with_the_recording(case: &str, out: &Path) {
    let files = files(out);
    let begins: Vec<u64> = names(&files, ".m3u8")
        .iter()
        .flat_map(|name| std::str::from_utf8(&files[name]).unwrap().lines())
        .filter_map(|line| line.strip_prefix("#EXT-X-TRTC-START-REC-TIME:")?.parse().ok())
        .collect();
    assert!(!begins.is_empty(), "{case}");
    for begin in begins {
        assert!((1_700_000_000_000..1_700_000_002_000).contains(&begin), "{case}: begins at {begin}");
    }
}

/// Case, its files, all of one user.
const CASES: [(&str, &[&str]); 12] = [
    ("chrome", &["mp4/chrome.mp4"]),
    ("count", &["mp4/count-video.mp4", "mp4/count-english-audio.mp4"]),
    ("sample", &["mp4/sample.mp4"]),
    ("fragmented", &["mp4/sample_fragmented.mp4"]),
    ("append", &["mp4/davidappend_v2.mp4"]),
    ("whisper, B", &["h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264"]),
    ("720p, B", &["h264/VID_1280x720_cabac_temporal_direct.264"]),
    ("1080p, B", &["h264/VID_1920x1080_cabac_temporal_direct.264"]),
    ("slices", &["h264/BA1_FT_C.264"]),
    ("parameter sets", &["h264/MPS_MW_A.264"]),
    ("adts", &["audio/sample.adts"]),
    ("counting adts", &["audio/count-english.adts.aac"]),
];

#[test]
fn real_media_comes_out_as_it_went_in() {
    for (case, sources) in CASES {
        let Some(sources) = sources.iter().map(|name| media_file(name)).collect::<Option<Vec<_>>>() else {
            return;
        };
        let out = tempfile::tempdir().unwrap();
        let mut args = vec!["-q".to_owned(), "--av-merge".to_owned()];
        for source in &sources {
            args.extend(["--participant".to_owned(), format!("alice={}", source.display())]);
        }
        let output = record(out.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("dropped"), "{case}: {told}");
        assert_playable(out.path());
        assert_begins_with_the_recording(case, out.path());
        if ffmpeg::find("ffprobe").is_some() && ffmpeg::find("ffmpeg").is_some() {
            assert_same(case, &sources, out.path());
        }
    }
}

#[test]
fn twelve_cameras_in_one_room_are_each_recorded_whole() {
    let Some(folder) = media_dir().map(|media| media.join("camera-set")) else { return };
    let mut clips: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    clips.sort();
    assert_eq!(clips.len(), 12);
    let user = |clip: &Path| clip.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut args = vec!["-q".to_owned()];
    for clip in &clips {
        args.extend(["--participant".to_owned(), format!("{}={}", user(clip), clip.display())]);
    }
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lists = names(&files(out.path()), ".m3u8");
    assert_eq!(lists.len(), 12);
    assert_playable(out.path());
    // Every list's pictures are those of one clip, and every clip has its list.
    let mut found: Vec<Option<Vec<String>>> =
        lists.iter().map(|list| ffmpeg::picture_hashes(&out.path().join(list))).collect();
    let mut want: Vec<_> = clips.iter().map(|clip| ffmpeg::picture_hashes(clip)).collect();
    found.sort();
    want.sort();
    assert!(found == want, "decoded pictures differ");
}

#[test]
fn opus_becomes_aac_of_the_same_length() {
    for (name, seconds) in [("audio/silero_speech.opus", 8.07), ("audio/bear.opus", 2.75)] {
        let Some(path) = media_file(name) else { return };
        let out = tempfile::tempdir().unwrap();
        let output = record(out.path(), &["-q", "--participant", &format!("alice={}", path.display())]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_playable(out.path());
        let list = out.path().join(&names(&files(out.path()), ".m3u8")[0]);
        let Some(track) = Track::read(&list, "a:0") else { return };
        let lasts = track.span().unwrap() + 1024.0 / 48_000.0;
        assert!((lasts - seconds).abs() < 0.05, "{name}: {lasts} s");
    }
}

#[test]
fn a_change_of_resolution_is_a_discontinuity_and_loses_no_picture() {
    let Some(path) = media_file("rtp/str0m_h264.h264") else { return };
    let out = tempfile::tempdir().unwrap();
    let output = record(out.path(), &["-q", "--participant", &format!("alice={}", path.display())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = out.path().join(&names(&files(out.path()), ".m3u8")[0]);
    let text = std::fs::read_to_string(&list).unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    for size in ["494", "370", "640", "480"] {
        assert!(text.contains(size), "{size}: {text}");
    }
    let segment = |uri: &str| std::fs::read(list.with_file_name(uri)).ok();
    let broken = recorder_testkit::hls_rules::check(&text, segment);
    assert!(broken.is_empty(), "{broken:?}");
    // The capture itself has lost packets: FFmpeg complains of the source too, so pictures are counted, not judged.
    let (Some(before), Some(after)) = (Track::read(&path, "v:0"), Track::read(&list, "v:0")) else { return };
    assert_eq!(after.packets, before.packets);
}

/// Records `bad` beside a good neighbour, whose files must be those of a run without it.
fn assert_neighbour_unharmed(bad: &Path) {
    let good = format!("good={}", media_file("mp4/sample.mp4").unwrap().display());
    let (alone, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(record(alone.path(), &["--participant", &good, "-q"]).status.success());
    let bad_arg = format!("bad={}", bad.display());
    let output = record(out.path(), &["--participant", &bad_arg, "--participant", &good, "-q"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {:?} {told}", bad.display(), output.status);
    assert!(!told.contains("panicked"), "{}: {told}", bad.display());
    let (want, written) = (files(alone.path()), files(out.path()));
    assert!(!want.is_empty());
    for (file, bytes) in &want {
        assert!(written.get(file) == Some(bytes), "{} changed {file}", bad.display());
    }
    for list in names(&written, ".m3u8") {
        let path = out.path().join(&list);
        let text = String::from_utf8(written[&list].clone()).unwrap();
        let segment = |uri: &str| std::fs::read(path.with_file_name(uri)).ok();
        let broken = recorder_testkit::hls_rules::check(&text, segment);
        assert!(broken.is_empty(), "{}: {list}: {broken:?}", bad.display());
    }
}

#[test]
fn every_damaged_file_leaves_its_neighbour_as_it_was() {
    let Some(folder) = media_dir().map(|media| media.join("malformed")) else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        assert_neighbour_unharmed(&entry.unwrap().path());
        count += 1;
    }
    assert!(count >= 10, "{count} damaged files");
}

#[test]
fn packet_loss_crashes_nothing_and_harms_nobody_else() {
    let Some(stream) = read_media("camera-set/asl_book.h264") else { return };
    let starts: Vec<usize> = (0..stream.len() - 3).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let nal = |index: usize| &stream[starts[index]..starts.get(index + 1).copied().unwrap_or(stream.len())];
    assert!(starts.len() > 100);
    let folder = tempfile::tempdir().unwrap();
    // Each seventh NAL unit is lost; each fifth is cut in half; the first key frame is lost; the parameter sets are.
    let kept: [(&str, &dyn Fn(usize) -> usize); 4] = [
        ("lost", &|index| if index % 7 == 6 { 0 } else { nal(index).len() }),
        ("cut", &|index| if index % 5 == 4 { nal(index).len() / 2 } else { nal(index).len() }),
        ("no-idr", &|index| if nal(index)[3] & 31 == 5 { 0 } else { nal(index).len() }),
        ("no-sets", &|index| if matches!(nal(index)[3] & 31, 7 | 8) { 0 } else { nal(index).len() }),
    ];
    for (name, keep) in kept {
        let bytes: Vec<u8> = (0..starts.len()).flat_map(|index| nal(index)[..keep(index)].to_vec()).collect();
        assert!(bytes.len() < stream.len(), "{name} loses something");
        let file = folder.path().join(format!("{name}.h264"));
        std::fs::write(&file, bytes).unwrap();
        assert_neighbour_unharmed(&file);
    }
}

/// Seconds of media that the playlists in `directory` with `part` in their names tell.
fn seconds(directory: &Path, part: &str) -> f64 {
    let files = files(directory);
    let lists = files.iter().filter(|(name, _)| name.contains(part) && name.ends_with(".m3u8"));
    lists
        .flat_map(|(_, list)| String::from_utf8_lossy(list).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.trim_end_matches(',').parse::<f64>().ok())
        .sum()
}

#[test]
fn a_user_who_comes_back_at_the_moment_they_leave_is_recorded_twice() {
    let Some(file) = media_file("mp4/chrome.mp4") else { return };
    let [first, second] =
        ["leave=5", "join=5,leave=10"].map(|when| format!("alice={},{when}", file.display()));
    for merged in [false, true] {
        let out = tempfile::tempdir().unwrap();
        let mut args = vec!["-q", "--participant", &first, "--participant", &second];
        args.extend(merged.then_some("--av-merge"));
        let output = record(out.path(), &args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("not followed"), "{told}");
        let part = if merged { "audiovideo" } else { "main_video" };
        let recorded = seconds(out.path(), part);
        assert!((recorded - 10.0).abs() < 0.1, "{recorded} s in {part}");
        assert_playable(out.path());
    }
}

#[test]
fn a_second_source_of_what_is_being_sent_is_told_and_leaves_the_first_alone() {
    let Some(file) = media_file("mp4/sample.mp4") else { return };
    let source = format!("alice={}", file.display());
    let (alone, both) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(record(alone.path(), &["-q", "--participant", &source]).status.success());
    let output = record(both.path(), &["-q", "--participant", &source, "--participant", &source]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("is being sent already"), "{told}");
    assert!(files(alone.path()) == files(both.path()), "the first is recorded as if it were alone");
}

#[test]
fn a_user_who_cannot_be_named_is_told_once() {
    let Some(file) = media_file("mp4/sample.mp4") else { return };
    let out = tempfile::tempdir().unwrap();
    let source = format!("{}={}", "x".repeat(150), file.display());
    let output = record(out.path(), &["-q", "--participant", &source]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.lines().count() <= 3 && told.contains("255"), "{told}");
}
