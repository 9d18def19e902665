//! Every stream of the corpus, recorded to MP4: sample by sample what went in, by our reader, another crate's, ffprobe and
//! FFmpeg's decoder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::read_playlist::MediaPlaylist;
use recorder_mp4::{FileReader, TrackInfo};
use recorder_remux::{Copier, CopyStep, Input, PlanOptions, Planner, Step, playlist_segments};
use recorder_room_input::{MediaSource, OpenOptions};
use recorder_testkit::ffmpeg;
use recorder_testkit::media::media_dir;
use recorder_types::h264::{DisplayOrientation, Units};
use recorder_types::{AacConfig, NalFraming, Timescale, Timestamp, TrackConfig};
use support::{files, names, record};

/// A sample in the form that both sides have: times in ticks of 90 kHz, a picture's NAL units one after the other.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    pts: i64,
    dts: i64,
    sync: bool,
    data: Vec<u8>,
}

fn ticks(at: Timestamp) -> i64 {
    at.to_room_time().unwrap().round_to_ticks(Timescale::HZ_90000)
}

/// A picture without delimiters, parameter sets, orientation, filler and end markers, and whether it is an IDR picture.
fn picture(data: &[u8], framing: NalFraming) -> (bool, Vec<u8>) {
    // As a byte stream: zeros after a NAL unit do not survive that, and one file of the corpus has a start code, with
    // an end marker behind it, within the length of a slice.
    let mut stream = Vec::new();
    for unit in Units::new(data, framing) {
        stream.extend([&[0, 0, 1], unit.unwrap()].concat());
    }
    let (mut sync, mut kept) = (false, Vec::new());
    for unit in Units::new(&stream, NalFraming::AnnexB).map(Result::unwrap) {
        sync |= unit[0] & 0x1F == 5;
        if !matches!(unit[0] & 0x1F, 7..=12) && DisplayOrientation::in_sei(unit).is_none() {
            kept.extend([&[0, 0, 1], unit].concat());
        }
    }
    (sync, kept)
}

fn kept(config: &TrackConfig, pts: Timestamp, dts: Timestamp, data: &[u8]) -> Kept {
    let (pts, dts) = (ticks(pts), ticks(dts));
    match config {
        TrackConfig::H264(config) => {
            let (sync, data) = picture(data, config.framing);
            Kept { pts, dts, sync, data }
        }
        // Audio has one time, and the source may have ADTS.
        TrackConfig::Aac(AacConfig::Adts) => {
            Kept { pts, dts: pts, sync: true, data: data[if data[1] & 1 == 1 { 7 } else { 9 }..].to_vec() }
        }
        _ => Kept { pts, dts: pts, sync: true, data: data.to_vec() },
    }
}

/// The pictures and the AAC frames of a source as the recorder gets them.
fn source(path: &Path) -> [Vec<Kept>; 2] {
    let source = MediaSource::open(path, &OpenOptions::default()).unwrap();
    let tracks = source.tracks().to_vec();
    let mut samples = [Vec::new(), Vec::new()];
    for next in source {
        let (track, sample) = next.unwrap();
        let SourceKind(kind) = SourceKind::of(&tracks[track].config);
        samples[kind].push(kept(&tracks[track].config, sample.pts, sample.dts, &sample.data));
    }
    samples
}

/// 0 for pictures, 1 for sound.
struct SourceKind(usize);

impl SourceKind {
    const fn of(config: &TrackConfig) -> Self {
        Self(match config {
            TrackConfig::H264(_) => 0,
            _ => 1,
        })
    }
}

struct Movie {
    tracks: Vec<TrackInfo>,
    /// By kind.
    samples: [Vec<Kept>; 2],
    /// By track as they are in the file: bytes, sync, decode time and composition offset.
    raw: Vec<Vec<(Bytes, bool, i64, i64)>>,
}

fn movie(path: &Path) -> Movie {
    let mut reader = FileReader::open(File::open(path).unwrap()).unwrap();
    assert_eq!(reader.rejected(), &[], "{}", path.display());
    let tracks = reader.tracks().to_vec();
    let mut movie = Movie { samples: [Vec::new(), Vec::new()], raw: vec![Vec::new(); tracks.len()], tracks };
    while let Some(next) = reader.next_sample().unwrap() {
        let (at, sample) = (next.at, next.sample);
        let config = &movie.tracks[at.track].entries[at.entry].config;
        let sample_kept = Kept { sync: at.sync, ..kept(config, at.pts, at.dts, &sample.data) };
        if matches!(config, TrackConfig::H264(_)) {
            assert_eq!(at.sync, picture(&sample.data, NalFraming::LengthPrefixed { length_bytes: 4 }).0);
        }
        movie.samples[SourceKind::of(config).0].push(sample_kept);
        let offset = at.pts.ticks() - at.dts.ticks();
        movie.raw[at.track].push((sample.data, at.sync, at.dts.ticks(), offset));
    }
    assert_eq!((reader.failed(), reader.cut_at()), (&[][..], None), "{}", path.display());
    movie
}

/// The same samples, moved by one time.
fn assert_same(name: &str, got: &Movie, want: &[Vec<Kept>; 2]) {
    let mut moved = Vec::new();
    for (kind, (got, want)) in ["pictures", "sound"].iter().zip(got.samples.iter().zip(want)) {
        assert_eq!(got.len(), want.len(), "{name}: {kind}");
        let Some((first_got, first_want)) = got.first().zip(want.first()) else { continue };
        let by = first_got.pts - first_want.pts;
        for (number, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                got.data == want.data,
                "{name}: {kind} {number}: {} and {} bytes",
                got.data.len(),
                want.data.len()
            );
            assert_eq!(got.sync, want.sync, "{name}: {kind} {number}");
            let off = (got.pts - want.pts - by).abs().max((got.dts - want.dts - by).abs());
            assert!(off <= 2, "{name}: {kind} {number} is {off} ticks away");
        }
        moved.push(by);
    }
    // What lies between sound and pictures: to the millisecond that a track's start is told with.
    assert!(moved.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 90), "{name}: moved by {moved:?}");
}

/// Another crate reads the same tables.
fn assert_tables(name: &str, path: &Path, movie: &Movie) {
    if movie.tracks.iter().any(|track| track.pixel_aspect.is_some()) {
        return; // it looks for avcC only where nothing is before it
    }
    let len = fs::metadata(path).unwrap().len();
    let mut theirs = mp4::Mp4Reader::read_header(File::open(path).unwrap(), len).unwrap();
    for (track, samples) in movie.tracks.iter().zip(&movie.raw) {
        let id = track.id.get();
        assert_eq!(theirs.sample_count(id).unwrap(), u32::try_from(samples.len()).unwrap(), "{name}");
        let first = samples[0].2;
        for (number, (data, sync, dts, offset)) in (1..).zip(samples) {
            let read = theirs.read_sample(id, number).unwrap().unwrap();
            assert!(read.bytes == data, "{name}: track {id}, sample {number}");
            let table = (read.is_sync, read.start_time.cast_signed(), i64::from(read.rendering_offset));
            assert_eq!(table, (*sync, dts - first, *offset), "{name}: track {id}, sample {number}");
        }
    }
}

/// The MP4 that is made of the playlists with nothing but their segments.
fn rebuilt(folder: &Path, lists: &[String]) -> Vec<u8> {
    let mut inputs: Vec<(Input, Vec<(SegmentIndex, Bytes)>)> = Vec::new();
    for list in lists {
        let path = folder.join(list);
        let playlist: MediaPlaylist = fs::read_to_string(&path).unwrap().parse().unwrap();
        let mut reference = None;
        let segments = playlist_segments(&playlist).into_iter().map(|segment| {
            let data = Bytes::from(fs::read(path.with_file_name(&segment.uri)).unwrap());
            let index =
                SegmentIndex::from_ts(&data, segment.start, segment.discontinuity, reference).unwrap();
            let last = index.video().and_then(|video| video.pictures().last()).map(|picture| picture.dts);
            reference = last.or(index.audio().and_then(|audio| audio.frames().last()).map(|frame| frame.pts));
            (index, data)
        });
        let segments: Vec<_> = segments.collect();
        let audio = segments.iter().find_map(|(index, _)| index.audio()).map(|audio| audio.config());
        let plain = if list.contains("_audio.") { Input::audio() } else { Input::video() };
        inputs.push((audio.map_or(plain, |config| plain.with_audio(config)), segments));
    }
    let mut planner = Planner::new(PlanOptions::default(), inputs.iter().map(|(input, _)| *input).collect());
    let mut plans = Vec::new();
    loop {
        match planner.poll().unwrap() {
            Step::Need { input, segment } => {
                let index = inputs[input].1.get(segment as usize).map(|(index, _)| index.clone());
                planner.supply(input, index).unwrap();
            }
            Step::File(plan) => plans.push(*plan),
            Step::Done => break,
        }
    }
    assert_eq!(plans.len(), 1);
    let (mut copier, mut file) = (Copier::new(plans.remove(0)), Vec::new());
    loop {
        match copier.poll().unwrap() {
            CopyStep::Need { input, segment } => {
                copier.supply(input, inputs[input].1[segment as usize].1.clone()).unwrap();
            }
            CopyStep::Output => copier.write_to(&mut file).unwrap(),
            CopyStep::Done => return file,
        }
    }
}

/// Records a file and holds what came out against it.
fn check(path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let want = source(path);
    let out = tempfile::tempdir().unwrap();
    let participant = format!("alice={}", path.display());
    let output = record(out.path(), &["-q", "--format", "hls+mp4", "--participant", &participant]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("dropped"), "{name}: {told}");
    let written = files(out.path());
    let movies = names(&written, ".mp4");
    assert_eq!(movies.len(), 1, "{name}: {movies:?}");
    let file = out.path().join(&movies[0]);
    let movie = movie(&file);
    assert_same(name, &movie, &want);
    assert_tables(name, &file, &movie);

    let lists = names(&written, ".m3u8");
    assert!(rebuilt(out.path(), &lists) == written[&movies[0]], "{name}: without indexes it is another file");

    if let Some(packets) = ffmpeg::count_packets(&file) {
        let count = |samples: &[Kept]| u64::try_from(samples.len()).unwrap();
        let got: u64 = packets.iter().map(|(_, count)| count).sum();
        assert_eq!(got, want.iter().map(|samples| count(samples)).sum::<u64>(), "{name}: ffprobe's packets");
    }
    if want[0].len() > 2000 {
        println!("{name}: {} pictures are not decoded, which takes minutes", want[0].len());
        return;
    }
    let before = ffmpeg::strict_decode(path);
    if let (Some(ffmpeg::Verdict::Clean), Some(after)) = (before, ffmpeg::strict_decode(&file)) {
        // The null muxer is not content with variable frame rates, whatever the file.
        let varies = name.contains("vfr");
        assert!(varies || matches!(after, ffmpeg::Verdict::Clean), "{name}: {after:?}");
    }
    assert_eq!(orientation(&file), orientation(path), "{name}");
    if !want[0].is_empty() && ffmpeg::find("ffmpeg").is_some() {
        let (before, after) = (ffmpeg::picture_hashes(path), ffmpeg::picture_hashes(&file));
        assert!(before == after, "{name}: decoded pictures differ");
    }
}

/// How the pictures of a movie are turned; upright where there are none, and in what is no movie.
fn orientation(path: &Path) -> DisplayOrientation {
    let Ok(reader) = FileReader::open(File::open(path).unwrap()) else {
        return DisplayOrientation::default();
    };
    let pictures = reader.tracks().iter().find(|track| matches!(track.config, TrackConfig::H264(_)));
    pictures.and_then(|track| track.matrix.orientation()).unwrap_or_default()
}

/// Files of a folder of the corpus, in order.
fn corpus(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let Some(media) = media_dir() else { return Vec::new() };
    let paths = fs::read_dir(media.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &PathBuf| path.extension().is_some_and(|e| endings.iter().any(|end| e == *end));
    let mut paths: Vec<_> = paths.filter(is_wanted).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths
}

#[test]
fn every_movie() {
    corpus("mp4", &["mp4", "mov"]).iter().for_each(|path| check(path));
}

#[test]
fn every_byte_stream() {
    corpus("h264", &["264", "h264", "jsv"]).iter().for_each(|path| check(path));
}

#[test]
fn every_camera() {
    corpus("camera-set", &["h264"]).iter().for_each(|path| check(path));
}

#[test]
fn every_voice() {
    corpus("audio", &["adts", "aac"]).iter().for_each(|path| check(path));
}
