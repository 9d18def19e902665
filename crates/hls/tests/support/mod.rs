//! What the tests of the segmenter share: made-up samples, real ones, and a way to collect what comes out.
// Each test file uses its own part, and Clippy takes none of this for a test.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use recorder_hls::{
    AccessUnit, Action, PlaylistHeader, PlaylistText, SegmentIndex, SegmentInfo, Segmenter, SegmenterOptions,
    Streams,
};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{AacConfig, H264Config, MediaId, NalFraming, RoomTime, UnixMillis};

/// 640x480 High, as x264 writes it.
pub const SPS: [u8; 24] = [
    0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
];
/// 64x192 Baseline, id 0.
pub const SMALL_SPS: [u8; 8] = [0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x10, 0x66, 0x40];
/// Id 0, for the SPS with id 0.
pub const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];

pub const WALL: u64 = 1_700_000_000_123;

pub fn ms(millis: i64) -> RoomTime {
    RoomTime::from_millis(millis)
}

pub fn nanos(nanos: i64) -> RoomTime {
    RoomTime::from_nanos(nanos)
}

pub fn options(stem: &str) -> SegmenterOptions {
    let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
    SegmenterOptions::new(stem.parse().unwrap(), header).unwrap()
}

pub fn annex_b(units: &[&[u8]]) -> Bytes {
    let mut data = Vec::new();
    for unit in units {
        data.extend_from_slice(&[0, 0, 0, 1]);
        data.extend_from_slice(unit);
    }
    data.into()
}

pub fn slice(idr: bool, len: usize, fill: u8) -> Vec<u8> {
    let mut unit = if idr { vec![0x65, 0x88, 0x84] } else { vec![0x41, 0x9A, 0x24] };
    unit.resize(len.max(4), fill | 1);
    unit
}

/// With its parameter sets.
pub fn key_picture(len: usize) -> Bytes {
    annex_b(&[&SPS, &PPS, &slice(true, len, 0x55)])
}

pub fn picture(len: usize) -> Bytes {
    annex_b(&[&slice(false, len, 0x33)])
}

pub fn at(time: RoomTime, data: Bytes) -> AccessUnit {
    AccessUnit { pts: time, dts: time, data }
}

pub fn video_streams() -> Streams {
    let video = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    Streams { video: Some(video), audio: None }
}

pub fn aac() -> AudioSpecificConfig {
    AudioSpecificConfig::new(48_000, 1).unwrap()
}

pub fn audio_streams() -> Streams {
    Streams { video: None, audio: Some(AacConfig::Raw(aac())) }
}

pub fn both_streams() -> Streams {
    Streams { audio: audio_streams().audio, ..video_streams() }
}

/// Start of AAC frame `n` at 48 kHz, to the nearest nanosecond.
pub fn frame_time(n: i64) -> RoomTime {
    nanos((n * 1024 * 1_000_000_000 * 2 + 48_000) / (2 * 48_000))
}

/// A raw AAC frame of silence (one channel), which decoders take.
pub fn silence() -> Bytes {
    Bytes::from_static(&[0x00, 0xC8, 0x00, 0x80, 0x23, 0x80])
}

pub fn segmenter(options: SegmenterOptions, streams: Streams) -> Segmenter {
    let mut segmenter = Segmenter::new(options);
    segmenter.set_streams(streams);
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(WALL).unwrap());
    segmenter
}

/// What the segmenter knew of a segment is what can be read from it.
fn assert_same_index(info: &SegmentInfo, data: &[u8]) {
    let Some(index) = &info.index else { return };
    let picture = index.video().and_then(|video| video.pictures().next()).map(|picture| picture.dts);
    let frame = index.audio().and_then(|audio| audio.frames().next()).map(|frame| frame.pts);
    let near = picture.or(frame);
    let read = SegmentIndex::from_ts(data, info.start, info.discontinuity, near).unwrap();
    assert_eq!(read, *index, "{}", info.name);
}

#[derive(Default)]
pub struct Collected {
    pub segments: Vec<(SegmentInfo, Vec<u8>)>,
    pub playlist: String,
    pub ended: bool,
    pub chunks: Vec<usize>,
    closed: u64,
    text: PlaylistText,
    open: Option<(String, Vec<u8>)>,
}

impl Collected {
    /// Takes what is in the queue, and checks the order of actions.
    pub fn drain(&mut self, segmenter: &mut Segmenter) {
        while let Some(action) = segmenter.poll() {
            match action {
                Action::OpenSegment { name } => {
                    assert!(self.open.is_none(), "one segment at a time");
                    assert!(self.segments.iter().all(|(info, _)| info.name != name), "{name} twice");
                    self.open = Some((name.to_string(), Vec::new()));
                }
                Action::SegmentData { data } => {
                    assert!(!data.is_empty() && data.len() % 188 == 0);
                    self.chunks.push(data.len());
                    self.open.as_mut().expect("data of an open segment").1.extend_from_slice(&data);
                }
                Action::CloseSegment(info) => {
                    let (name, data) = self.open.take().expect("an open segment");
                    assert_eq!((name.as_str(), data.len() as u64), (info.name.as_str(), info.bytes));
                    assert_same_index(&info, &data);
                    self.closed += 1;
                    self.segments.push((info, data));
                }
                Action::Playlist(update) => {
                    assert!(!self.ended && self.open.is_none());
                    assert_eq!(update.segments, self.closed);
                    self.text.apply(&update);
                    self.ended = update.ended;
                    self.playlist = self.text.to_string();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn ts(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|(_, data)| data.iter().copied()).collect()
    }

    pub fn starts(&self) -> Vec<u64> {
        self.segments.iter().map(|(info, _)| info.start.get()).collect()
    }
}

pub fn collect(segmenter: &mut Segmenter) -> Collected {
    let mut collected = Collected::default();
    collected.drain(segmenter);
    collected
}

/// The shared corpus; `None`, said aloud, where it is not there.
pub fn media(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("RECORDER_MEDIA").map_or_else(
        || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/media")).to_path_buf(),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// The pictures of an Annex B file, each with the parameter sets and SEI before it.
pub fn pictures(stream: &[u8]) -> Vec<Bytes> {
    let mut pictures: Vec<Vec<&[u8]>> = vec![Vec::new()];
    let mut has_slice = false;
    for unit in Units::new(stream, NalFraming::AnnexB).map_while(Result::ok) {
        let kind = unit_type(unit).unwrap();
        let starts = match kind {
            nal_type::SLICE | nal_type::IDR => unit.get(1).is_some_and(|b| b & 0x80 != 0),
            nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::AUD => true,
            _ => false,
        };
        if has_slice && starts {
            pictures.push(Vec::new());
            has_slice = false;
        }
        has_slice |= matches!(kind, nal_type::SLICE | nal_type::IDR);
        pictures.last_mut().expect("never empty").push(unit);
    }
    pictures.iter().map(|units| annex_b(units)).collect()
}

/// Runs a tool and returns its output; `None`, said aloud, where it is not installed.
pub fn run(tool: &str, args: &[&str]) -> Option<(bool, String, String)> {
    match Command::new(tool).args(args).output() {
        Ok(output) => Some((
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
        Err(error) => {
            println!("skipped: {tool}: {error}");
            None
        }
    }
}
