//! Participants who do not exist: a moving picture and a tone, made while they are read.

mod font;
mod picture;

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;
use recorder_codec::{
    AacEncoder, AudioEncoder, CodecError, EncodedPicture, H264Encoder, H264EncoderOptions, PictureKind,
    VideoEncoder,
};
use recorder_types::{H264Config, NalFraming, Sample, Size, Timescale, Timestamp, TrackConfig};

use self::picture::{Painter, Scene};
use crate::source::SourceTrack;
use crate::{FrameRate, InputError};

const SAMPLE_RATE: u32 = 48_000;

/// Seconds from one key frame to the next.
const KEY_SECONDS: u64 = 2;

/// A flash and a beep last a tenth of a second.
const MARKS_PER_SECOND: u64 = 10;

/// Which tracks a simulated participant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimulatedMedia {
    /// Video is track 0, audio track 1.
    #[default]
    AudioVideo,
    /// Audio alone.
    Audio,
    /// Video alone.
    Video,
}

/// What a simulated participant looks and sounds like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimulatedOptions {
    /// Written in the picture (the first 24 characters; letters and digits of ASCII are drawn), and what colour and
    /// movement come from.
    pub name: String,
    /// Which tracks. Default both.
    pub media: SimulatedMedia,
    /// Size of the picture: even sides, 16x16 to 3840x2160. Default 640x360.
    pub size: Size,
    /// Frames per second, at least 1. Default 15.
    pub fps: FrameRate,
    /// How long, 1 second or more. Default 30.
    pub seconds: u32,
    /// The tone, 20 to 20 000 Hz. Default 440.
    pub tone_hz: u32,
    /// Bit/s of the video. Default 300 000.
    pub video_bits_per_second: u32,
    /// Bit/s of the audio (mono), 8000 to 288 000. Default 48 000.
    pub audio_bits_per_second: u32,
}

impl Default for SimulatedOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            media: SimulatedMedia::AudioVideo,
            size: Size::new(640, 360).expect("neither side is zero"),
            fps: FrameRate::new(15, 1).expect("within the range"),
            seconds: 30,
            tone_hz: 440,
            video_bits_per_second: 300_000,
            audio_bits_per_second: 48_000,
        }
    }
}

/// A simulated participant: an iterator over the index of the track and the sample, in rising decode time.
///
/// The video is H.264 Constrained Baseline with start codes: a background of the participant's own colour, the name,
/// a disc that moves, a counter of seconds, and a white bar for a tenth of a second at each second from the first
/// on. A key frame with its parameter sets begins every other second, so that segments of whole seconds cut neatly.
/// The audio is AAC-LC, 48 kHz mono: the tone, quiet, and at each second a beep two octaves higher (lower, above 5 kHz) that begins with
/// the flash. Both begin at time zero; the encoder's delay is taken off.
///
/// The same options give the same bytes on machines with the same instruction set.
pub struct SimulatedSource {
    tracks: Vec<SourceTrack>,
    video: Option<Video>,
    audio: Option<Audio>,
    is_failed: bool,
}

impl SimulatedSource {
    /// Prepares the encoders.
    ///
    /// # Errors
    /// [`InputError::InvalidOption`] outside of the ranges of [`SimulatedOptions`]; [`InputError::Encode`].
    pub fn new(options: &SimulatedOptions) -> Result<Self, InputError> {
        check(options)?;
        let (mut tracks, mut video, mut audio) = (Vec::new(), None, None);
        if options.media != SimulatedMedia::Audio {
            let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
            tracks.push(SourceTrack::new(TrackConfig::H264(config), options.fps.clock().0));
            video = Some(Video::new(options)?);
        }
        if options.media != SimulatedMedia::Video {
            let audio = audio.insert(Audio::new(options, tracks.len())?);
            tracks.push(SourceTrack::new(audio.encoder.track_config(), Timescale::HZ_48000));
        }
        Ok(Self { tracks, video, audio, is_failed: false })
    }

    /// The tracks, at least one.
    #[must_use]
    pub fn tracks(&self) -> &[SourceTrack] {
        &self.tracks
    }

    fn advance(&mut self) -> Result<Option<(usize, Sample)>, InputError> {
        let video = self.video.as_ref().and_then(Video::next_time);
        let audio = match &mut self.audio {
            Some(audio) => audio.next_time().map_err(InputError::Encode)?,
            None => None,
        };
        let is_audio_later =
            |video: Timestamp| audio.is_none_or(|audio| video.to_room_time() <= audio.to_room_time());
        if let (Some(source), Some(pts)) = (&mut self.video, video.filter(|&pts| is_audio_later(pts))) {
            return source.next(pts).map(|sample| Some((0, sample))).map_err(InputError::Encode);
        }
        let next = self.audio.as_mut().zip(audio);
        Ok(next.and_then(|(source, pts)| Some((source.track, source.next(pts)?))))
    }
}

impl Iterator for SimulatedSource {
    type Item = Result<(usize, Sample), InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_failed {
            return None;
        }
        let next = self.advance().transpose();
        self.is_failed = matches!(next, Some(Err(_)));
        next
    }
}

impl fmt::Debug for SimulatedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedSource").field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

fn check(options: &SimulatedOptions) -> Result<(), InputError> {
    let (width, height) = (options.size.width(), options.size.height());
    let sides = (width.max(height), width.min(height));
    for (is_wrong, what) in [
        (
            width % 2 != 0 || height % 2 != 0 || sides.0 > 3840 || sides.1 > 2160 || sides.1 < 16,
            "a simulated picture has even sides, 16x16 to 3840x2160",
        ),
        (
            options.fps.frames() < options.fps.seconds(),
            "a simulated participant has 1 frame per second or more",
        ),
        (options.seconds == 0, "a simulated participant stays for a second or more"),
        (!(20..=20_000).contains(&options.tone_hz), "the tone has 20 to 20000 Hz"),
        (options.video_bits_per_second == 0, "the video bit rate is not zero"),
        (!(8_000..=288_000).contains(&options.audio_bits_per_second), "the audio has 8000 to 288000 bit/s"),
    ] {
        if is_wrong {
            return Err(InputError::InvalidOption(what));
        }
    }
    Ok(())
}

/// FNV-1a, and a last mix so that short names differ in all bits: colours and speeds come from it.
fn seed_of(name: &str) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (hash >> 32)
}

struct Video {
    painter: Painter,
    encoder: H264Encoder,
    rate: FrameRate,
    frame: u64,
    frames: u64,
    encoded: Vec<EncodedPicture>,
}

impl Video {
    fn new(options: &SimulatedOptions) -> Result<Self, InputError> {
        let (frames, seconds) = (u64::from(options.fps.frames()), u64::from(options.fps.seconds()));
        let per_second = frames.div_ceil(seconds);
        // The key frames are asked for; the encoder's own distance must only not come before.
        let per_key = u32::try_from(per_second * (KEY_SECONDS + 1)).ok().and_then(NonZeroU32::new);
        let encoder_options = H264EncoderOptions::default()
            .with_bits_per_second(options.video_bits_per_second)
            .with_pictures_per_second(u16::try_from(per_second).unwrap_or(u16::MAX))
            .with_pictures_per_key(per_key.expect("at most 3000, and not zero"));
        Ok(Self {
            painter: Painter::new(options.size, &options.name, seed_of(&options.name)),
            encoder: H264Encoder::new(&encoder_options).map_err(InputError::Encode)?,
            rate: options.fps,
            frame: 0,
            frames: (u64::from(options.seconds) * frames).div_ceil(seconds),
            encoded: Vec::new(),
        })
    }

    fn next_time(&self) -> Option<Timestamp> {
        (self.frame < self.frames).then(|| self.rate.time_of(self.frame))
    }

    /// The picture that is shown at `pts`, which [`Video::next_time`] just told.
    fn next(&mut self, pts: Timestamp) -> Result<Sample, CodecError> {
        // Whole units of a second since the start, rounded down.
        let units = |frame: u64, per_second: u64| {
            frame * u64::from(self.rate.seconds()) * per_second / u64::from(self.rate.frames())
        };
        let second = units(self.frame, 1);
        let is_flash = second > 0 && units(self.frame, MARKS_PER_SECOND) % MARKS_PER_SECOND == 0;
        let is_key = self.frame == 0 || units(self.frame - 1, 1) / KEY_SECONDS != second / KEY_SECONDS;
        let kind = if is_key { PictureKind::Key } else { PictureKind::Any };
        let picture = self.painter.paint(Scene { frame: self.frame, second, is_flash })?;
        self.encoder.encode(&picture, pts, kind, &mut self.encoded)?;
        self.frame += 1;
        Ok(self.encoded.pop().expect("this encoder gives each picture at once").sample)
    }
}

struct Audio {
    encoder: AacEncoder,
    track: usize,
    tone_hz: f64,
    beep_hz: f64,
    /// Samples given to the encoder, and in all.
    fed: u64,
    samples: u64,
    /// Frames come out, of which the first is the encoder's delay and left out.
    frames: i64,
    ready: VecDeque<Bytes>,
    is_finished: bool,
}

impl Audio {
    fn new(options: &SimulatedOptions, track: usize) -> Result<Self, InputError> {
        let encoder =
            AacEncoder::new(SAMPLE_RATE, 1, options.audio_bits_per_second).map_err(InputError::Encode)?;
        let beep_hz = if options.tone_hz <= 5_000 { options.tone_hz * 4 } else { options.tone_hz / 4 };
        Ok(Self {
            encoder,
            track,
            tone_hz: f64::from(options.tone_hz),
            beep_hz: f64::from(beep_hz),
            fed: 0,
            samples: u64::from(options.seconds) * u64::from(SAMPLE_RATE),
            frames: 0,
            ready: VecDeque::new(),
            is_finished: false,
        })
    }

    /// When the next frame is heard; encodes on until there is one.
    fn next_time(&mut self) -> Result<Option<Timestamp>, CodecError> {
        loop {
            while self.ready.is_empty() && !self.is_finished {
                self.encode()?;
            }
            if self.ready.is_empty() {
                return Ok(None);
            }
            let start =
                self.frames * i64::from(self.encoder.frame_samples()) - i64::from(self.encoder.priming());
            if start >= 0 {
                let is_within = u64::try_from(start).is_ok_and(|start| start < self.samples);
                return Ok(is_within.then(|| Timestamp::new(start, Timescale::HZ_48000)));
            }
            self.ready.pop_front();
            self.frames += 1;
        }
    }

    /// The frame that is heard at `pts`, which [`Audio::next_time`] just told.
    fn next(&mut self, pts: Timestamp) -> Option<Sample> {
        self.frames += 1;
        self.ready.pop_front().map(|data| Sample::new(pts, data))
    }

    fn encode(&mut self) -> Result<(), CodecError> {
        let mut packets = Vec::new();
        let end = (self.fed + u64::from(self.encoder.frame_samples())).min(self.samples);
        if self.fed < end {
            let pcm: Vec<f32> = (self.fed..end).map(|at| self.sample(at)).collect();
            self.encoder.encode(&pcm, &mut packets)?;
            self.fed = end;
        } else {
            self.encoder.finish(&mut packets)?;
            self.is_finished = true;
        }
        self.ready.extend(packets);
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a sample within ±1 loses only what 24 bits cannot hold"
    )]
    fn sample(&self, at: u64) -> f32 {
        let rate = u64::from(SAMPLE_RATE);
        let in_second = u32::try_from(at % rate).expect("below the sample rate");
        let is_beep = at >= rate && u64::from(in_second) < rate / MARKS_PER_SECOND;
        // Whole hertz: every second is the same, so the phase is exact however long it plays.
        let wave =
            |hz: f64| (std::f64::consts::TAU * hz * f64::from(in_second) / f64::from(SAMPLE_RATE)).sin();
        // The encoder's first frame is left out: fade in over it.
        let fade = if at < 1024 { f64::from(in_second) / 1024.0 } else { 1.0 };
        let value = if is_beep { 0.5 * wave(self.beep_hz) } else { 0.08 * wave(self.tone_hz) };
        (value * fade) as f32
    }
}
