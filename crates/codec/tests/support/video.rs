//! Access units of the shared media, decoding, and FFmpeg's word on it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "each test file uses its part; helpers of tests fail by panicking"
)]

use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::Bytes;
use recorder_codec::{DecoderStats, H264Decoder, H264DecoderOptions, I420, PictureBuffer, VideoDecoder};
use recorder_hls::demux::{Demuxer, Event, UnitKind};
use recorder_mp4::FileReader;
use recorder_testkit::media::media_file;
use recorder_types::h264::{nal_type, start_code, unit_type};
use recorder_types::{H264Config, NalFraming, Sample, Size, Timescale, Timestamp, TrackConfig};

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

/// A gradient over which a bright square moves with `n`.
pub fn picture(size: Size, n: usize) -> Vec<u8> {
    let (width, height) = (size.width() as usize, size.height() as usize);
    let mut data = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        for x in 0..width {
            let square = x.wrapping_sub(n * 3 % width) < 32 && y.wrapping_sub(n % height) < 32;
            data.push(if square { 220 } else { 30 + (x * 150 / width) as u8 });
        }
    }
    data.resize(width * height * 5 / 4, 90);
    data.resize(width * height * 3 / 2, 160);
    data
}

pub fn annex_b() -> H264Config {
    H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() }
}

/// A file as a track: its config, and its access units in decode order. A raw stream has no times: they are the
/// numbers of its units. `None`, said aloud, where it is not there.
pub fn track(name: &str) -> Option<(H264Config, Vec<Sample>)> {
    let file = std::fs::read(media_file(name)?).unwrap();
    Some(match name.rsplit('.').next().unwrap() {
        "mp4" | "mov" => mp4(&file),
        "ts" => (annex_b(), ts(&file)),
        _ => (annex_b(), numbered(access_units(&file))),
    })
}

pub fn numbered(units: Vec<Bytes>) -> Vec<Sample> {
    let clock = Timescale::new(25).unwrap();
    (0..).zip(units).map(|(n, unit)| Sample::new(Timestamp::new(n, clock), unit)).collect()
}

fn mp4(file: &[u8]) -> (H264Config, Vec<Sample>) {
    let mut reader = FileReader::open(Cursor::new(file)).unwrap();
    let found = reader.tracks().iter().enumerate().find_map(|(index, track)| match &track.config {
        TrackConfig::H264(config) => Some((index, config.clone())),
        _ => None,
    });
    let (index, config) = found.unwrap();
    let mut samples = Vec::new();
    while let Ok(Some(next)) = reader.next_sample() {
        if next.at.track == index {
            samples.push(Sample { data: Bytes::copy_from_slice(&next.sample.data), ..next.sample });
        }
    }
    (config, samples)
}

fn ts(file: &[u8]) -> Vec<Sample> {
    let mut demuxer = Demuxer::default();
    demuxer.push(file);
    demuxer.finish();
    let mut samples = Vec::new();
    while let Some(event) = demuxer.poll() {
        if let Event::Unit(unit) = event
            && let (UnitKind::H264 { .. }, Some(time)) = (unit.kind, unit.time)
        {
            samples.push(Sample::reordered(time.pts, time.dts, unit.data));
        }
    }
    samples
}

/// Cuts a byte stream into access units, ITU-T H.264 §7.4.1.2.3, for streams whose pictures begin with macroblock 0.
pub fn access_units(stream: &[u8]) -> Vec<Bytes> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut has_slice = true;
    let mut at = start_code(stream).unwrap();
    while at < stream.len() {
        let end = start_code(&stream[at + 3..]).map_or(stream.len(), |offset| at + 3 + offset);
        let unit = &stream[at + 3..end];
        let kind = unit_type(unit).unwrap_or(0);
        let is_slice = matches!(kind, nal_type::SLICE | nal_type::IDR);
        let opens = match kind {
            nal_type::SLICE | nal_type::IDR => unit.get(1).is_some_and(|byte| byte & 0x80 != 0),
            nal_type::SEI..=nal_type::AUD => true,
            _ => false,
        };
        if (opens && has_slice) || units.is_empty() {
            units.push(Vec::new());
            has_slice = false;
        }
        has_slice |= is_slice;
        units.last_mut().unwrap().extend_from_slice(&stream[at..end]);
        at = end;
    }
    units.into_iter().map(Bytes::from).collect()
}

/// A picture as the tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub pts: i64,
    pub size: Size,
    pub is_concealed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub seen: Vec<Seen>,
    pub stats: DecoderStats,
}

impl Decoded {
    /// Each size with how many pictures of it follow each other.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let mut sizes: Vec<(String, usize)> = Vec::new();
        for seen in &self.seen {
            match sizes.last_mut() {
                Some((size, count)) if *size == seen.size.to_string() => *count += 1,
                _ => sizes.push((seen.size.to_string(), 1)),
            }
        }
        sizes
    }

    pub fn times(&self) -> Vec<i64> {
        self.seen.iter().map(|seen| seen.pts).collect()
    }
}

pub fn decode(config: &H264Config, samples: &[Sample]) -> Decoded {
    decode_with(config, &H264DecoderOptions::default(), samples, &mut |_| {})
}

pub fn decode_with(
    config: &H264Config,
    options: &H264DecoderOptions,
    samples: &[Sample],
    look: &mut dyn FnMut(&I420<'_>),
) -> Decoded {
    let mut decoder = H264Decoder::new(config, options).unwrap();
    let mut seen = Vec::new();
    let mut sink = |picture: &recorder_codec::DecodedPicture<'_>| {
        look(&picture.picture);
        seen.push(Seen {
            pts: picture.pts.ticks(),
            size: picture.picture.size(),
            is_concealed: picture.is_concealed,
        });
    };
    for sample in samples {
        decoder.decode(sample, &mut sink).unwrap();
    }
    decoder.flush(&mut sink).unwrap();
    Decoded { seen, stats: decoder.stats() }
}

/// Y, U and V without padding.
pub fn packed(picture: &I420<'_>) -> Vec<u8> {
    PictureBuffer::new(picture).as_bytes().to_vec()
}

/// Peak signal to noise in dB, all planes together; 99 for equal pictures.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let error: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    if error == 0 { 99.0 } else { 10.0 * (65_025.0 * a.len() as f64 / error as f64).log10() }
}

/// The pictures that FFmpeg decodes, one after the other, in order of display.
pub struct Theirs {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Theirs {
    /// `None`, said aloud, where FFmpeg is not.
    pub fn start(path: &Path, filter: Option<&str>) -> Option<Self> {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "quiet", "-noautorotate", "-i"]).arg(path).args(["-map", "0:v:0"]);
        if let Some(filter) = filter {
            command.args(["-vf", filter]);
        }
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"]).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: no ffmpeg");
            return None;
        };
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, output })
    }

    pub fn next(&mut self, len: usize) -> Vec<u8> {
        let mut picture = vec![0; len];
        self.output.read_exact(&mut picture).unwrap();
        picture
    }

    pub fn end(mut self) {
        assert_eq!(self.output.read(&mut [0]).unwrap(), 0, "FFmpeg has more pictures");
        assert!(self.child.wait().unwrap().success());
    }
}
