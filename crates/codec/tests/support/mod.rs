//! Signals, measures and media that the tests share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bytes::Bytes;
use recorder_codec::{
    AacDecoder, AudioDecoder, AudioEncoder, OpusEncoder, OpusEncoderOptions, OpusToAac, OpusToAacOptions,
    OpusToAacStats,
};
use recorder_types::{AacConfig, OpusConfig, Sample, Timescale, Timestamp};

/// A small seeded generator (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }
}

/// Interleaved tones, one frequency a channel, at half of full scale.
pub fn tones(hz: &[f32], samples: usize) -> Vec<f32> {
    (0..samples)
        .flat_map(|n| hz.iter().map(move |hz| 0.5 * (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin()))
        .collect()
}

/// A mono sweep from 300 to 3000 Hz in each second, which correlates with itself at one lag only.
pub fn sweep(samples: usize) -> Vec<f32> {
    let mut phase = 0.0f64;
    (0..samples)
        .map(|n| {
            let at = (n % 48_000) as f64 / 48_000.0;
            phase += std::f64::consts::TAU * (300.0 + 2_700.0 * at) / 48_000.0;
            (0.4 * phase.sin()) as f32
        })
        .collect()
}

pub fn opus(pcm: &[f32], channels: u8, options: OpusEncoderOptions) -> (Vec<Bytes>, OpusConfig) {
    let mut encoder = OpusEncoder::new(channels, options).unwrap();
    let recorder_types::TrackConfig::Opus(config) = encoder.track_config() else { panic!("no Opus") };
    let mut packets = Vec::new();
    encoder.encode(pcm, &mut packets).unwrap();
    encoder.finish(&mut packets).unwrap();
    (packets, config)
}

/// Packets of 20 ms one after the other from `start` samples on.
pub fn in_time(packets: &[Bytes], start: i64) -> Vec<Sample> {
    (0..).zip(packets).map(|(n, data)| at(start + n * 960, data)).collect()
}

pub fn at(ticks: i64, data: &Bytes) -> Sample {
    Sample::new(Timestamp::new(ticks, Timescale::HZ_48000), data.clone())
}

pub struct Transcoded {
    pub frames: Vec<Sample>,
    pub config: AacConfig,
    pub stats: OpusToAacStats,
}

pub fn transcode(config: OpusConfig, packets: &[Sample]) -> Transcoded {
    transcode_with(config, &OpusToAacOptions::default(), packets)
}

pub fn transcode_with(config: OpusConfig, options: &OpusToAacOptions, packets: &[Sample]) -> Transcoded {
    let mut transcoder = OpusToAac::new(config, options).unwrap();
    let mut frames = Vec::new();
    for packet in packets {
        transcoder.push(packet).unwrap();
        frames.extend(std::iter::from_fn(|| transcoder.poll()));
    }
    transcoder.finish().unwrap();
    frames.extend(std::iter::from_fn(|| transcoder.poll()));
    Transcoded { frames, config: transcoder.config(), stats: transcoder.stats() }
}

impl Transcoded {
    /// Start and frame count of each run.
    pub fn runs(&self) -> Vec<(i64, usize)> {
        let mut runs: Vec<(i64, usize)> = Vec::new();
        for frame in &self.frames {
            assert_eq!(frame.pts, frame.dts);
            assert_eq!(frame.pts.timescale(), Timescale::HZ_48000);
            match runs.last_mut() {
                Some((start, count)) if *start + 1024 * *count as i64 == frame.pts.ticks() => *count += 1,
                _ => runs.push((frame.pts.ticks(), 1)),
            }
        }
        runs
    }

    /// Interleaved PCM of all frames; sample 0 has the time of the first frame.
    pub fn decode(&self) -> Vec<f32> {
        let AacConfig::Raw(config) = self.config else { panic!("raw frames have a config") };
        let mut decoder = AacDecoder::new(config).unwrap();
        let mut pcm = Vec::new();
        for frame in &self.frames {
            assert_eq!(decoder.decode(&frame.data, &mut pcm).unwrap(), 1024);
        }
        pcm
    }

    pub fn adts(&self) -> Vec<u8> {
        let AacConfig::Raw(config) = self.config else { panic!("raw frames have a config") };
        let mut adts = Vec::new();
        for frame in &self.frames {
            adts.extend(config.adts_header(frame.data.len()).unwrap());
            adts.extend(&frame.data);
        }
        adts
    }
}

/// One channel of interleaved PCM.
pub fn channel(pcm: &[f32], index: usize, channels: usize) -> Vec<f32> {
    pcm.iter().skip(index).step_by(channels).copied().collect()
}

/// The lag within `±range` at which `heard` is most like `said`: positive when it comes late.
pub fn lag(said: &[f32], heard: &[f32], range: i64) -> i64 {
    let score = |lag: i64| -> f64 {
        said.iter()
            .zip(0i64..)
            .filter_map(|(a, n)| Some(f64::from(*a) * f64::from(*heard.get(usize::try_from(n + lag).ok()?)?)))
            .sum()
    };
    (-range..=range).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap()
}

/// Amplitude of the part of `pcm` that is a tone of `hz` (Goertzel).
pub fn amplitude(pcm: &[f32], hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / 48_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        re += f64::from(*sample) * (step * n as f64).cos();
        im += f64::from(*sample) * (step * n as f64).sin();
    }
    (re * re + im * im).sqrt() * 2.0 / pcm.len() as f64
}

pub fn rms(pcm: &[f32]) -> f64 {
    (pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / pcm.len().max(1) as f64).sqrt()
}

pub fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// A file of the shared media, or `None`, said aloud, where it is not there.
pub fn media(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("RECORDER_MEDIA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/media")),
        PathBuf::from,
    );
    let file = std::fs::read(root.join(name));
    if file.is_err() {
        println!("skipped: no {name} in the media directory");
    }
    file.ok()
}

/// An Ogg Opus file: its config and its packets at their presentation times, and how many samples it plays.
pub fn ogg_opus(file: &[u8]) -> (OpusConfig, Vec<Sample>, i64) {
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(file));
    let head = reader.read_packet().unwrap().unwrap().data;
    assert_eq!(&head[..8], b"OpusHead");
    let config = OpusConfig { channels: head[9], pre_skip: u16::from_le_bytes([head[10], head[11]]) };
    reader.read_packet().unwrap().unwrap(); // OpusTags
    let (mut packets, mut next, mut end) = (Vec::new(), -i64::from(config.pre_skip), 0);
    while let Some(packet) = reader.read_packet().unwrap() {
        end = packet.absgp_page() as i64;
        let data = Bytes::from(packet.data);
        packets.push(at(next, &data));
        next += i64::from(recorder_codec::opus_packet_samples(&data).unwrap());
    }
    (config, packets, next.min(end - i64::from(config.pre_skip)))
}

/// The Opus packets of a pcapng file with RTP over UDP, IPv4 and Ethernet, one stream of payload type 107.
pub fn rtp_opus(file: &[u8]) -> Vec<Sample> {
    let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut packets) = (0, Vec::new());
    while at < file.len() {
        let (kind, len) = (field(at), field(at + 4));
        if kind == 6 {
            // Enhanced Packet Block: its data begins at 28; then Ethernet 14, IPv4 20, UDP 8, RTP 12 bytes.
            let rtp = &file[at + 28 + 42..at + 28 + field(at + 20)];
            assert_eq!(rtp[1] & 0x7F, 107);
            let ticks = u32::from_be_bytes(rtp[4..8].try_into().unwrap());
            packets.push(self::at(ticks.into(), &Bytes::copy_from_slice(&rtp[12..])));
        }
        at += len;
    }
    packets
}

/// Whether ffmpeg is here; says so aloud where it is not.
pub fn have_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: no ffmpeg");
    }
    found
}

/// Decodes `input` with ffmpeg, which must find nothing wrong; gives the raw output.
pub fn ffmpeg(input: &[u8], demuxer: &str, output: &[&str]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-err_detect", "explode", "-f", demuxer, "-i", "pipe:0"])
        .args(output)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap(); // ffmpeg that stops early is judged by what it says
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
    output.stdout
}
