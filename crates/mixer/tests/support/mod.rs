//! Participants made in the test: pictures of one colour, tones, flashes and beeps.
#![allow(missing_docs, clippy::cast_precision_loss, reason = "tests")]
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several tests")]

use std::sync::Arc;

use bytes::Bytes;
use recorder_codec::{
    AacEncoder, AudioDecoder, AudioEncoder, H264EncoderOptions, I420, OpusEncoder, OpusEncoderOptions,
    PictureKind, SoftwareCodecs, VideoDecoder, VideoEncoder,
};
use recorder_compositor::{Rect, RenderMode, Rgb, Tile};
use recorder_mixer::{Mixed, Mixer, MixerOptions, Scene, StreamId, Unit, VideoOptions, Window};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{
    AacConfig, H264Config, MediaId, MediaKind, NalFraming, RoomTime, Sample, Size, Timescale, Timestamp,
    TrackConfig,
};

pub(crate) const SIZE: (u32, u32) = (320, 180);

pub(crate) fn millis(ms: i64) -> RoomTime {
    RoomTime::from_millis(ms)
}

pub(crate) fn video(user: &str) -> StreamId {
    StreamId { user: user.parse().unwrap(), media: MediaId::Main, kind: MediaKind::Video }
}

pub(crate) fn audio(user: &str) -> StreamId {
    StreamId { kind: MediaKind::Audio, ..video(user) }
}

pub(crate) fn h264() -> TrackConfig {
    TrackConfig::H264(H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() })
}

pub(crate) fn mixer(options: MixerOptions) -> Mixer {
    Mixer::new(options, Arc::new(SoftwareCodecs)).unwrap()
}

/// 640x360 at 10 pictures a second, with the sound of the defaults.
pub(crate) fn options() -> MixerOptions {
    let video =
        VideoOptions::default().with_size(Size::new(640, 360).unwrap()).with_fps(10).with_gop_seconds(2);
    MixerOptions::new(RoomTime::ZERO).with_video(Some(video))
}

pub(crate) fn window(left: u32, top: u32, width: u32, height: u32, user: &str) -> Window {
    let rect = Rect::new(left, top, Size::new(width, height).unwrap()).unwrap();
    Window::new(Tile::new(rect).with_mode(RenderMode::Stretch), Some((user.parse().unwrap(), MediaId::Main)))
}

/// Users side by side.
pub(crate) fn row(users: &[&str]) -> Scene {
    let width = 640 / u32::try_from(users.len()).unwrap() / 2 * 2;
    let mut scene = Scene::default();
    scene.background = Rgb::BLACK;
    scene.windows =
        (0..).zip(users).map(|(index, user)| window(index * width, 0, width, 360, user)).collect();
    scene
}

/// Pictures whose luma `luma(n)` is flat, `fps` a second from `from` on.
pub(crate) fn pictures(from: RoomTime, fps: u32, count: i64, luma: impl Fn(i64) -> u8) -> Vec<Unit> {
    pictures_of(SIZE, from, fps, count, luma)
}

/// As [`pictures`], of another size.
pub(crate) fn pictures_of(
    (width, height): (u32, u32),
    from: RoomTime,
    fps: u32,
    count: i64,
    luma: impl Fn(i64) -> u8,
) -> Vec<Unit> {
    let options = H264EncoderOptions::default().with_pictures_per_key(30.try_into().unwrap());
    let mut encoder = recorder_codec::H264Encoder::new(&options).unwrap();
    let size = Size::new(width, height).unwrap();
    let luma_len = usize::try_from(width * height).unwrap();
    let scale = Timescale::new(fps).unwrap();
    let mut encoded = Vec::new();
    for n in 0..count {
        let mut data = vec![luma(n); luma_len];
        data.resize(luma_len / 2 * 3, 128);
        let picture = I420::packed(size, &data).unwrap();
        encoder.encode(&picture, Timestamp::new(n, scale), PictureKind::Any, &mut encoded).unwrap();
    }
    encoded
        .into_iter()
        .map(|picture| {
            let at = from.saturating_add(picture.sample.pts.to_room_time().unwrap());
            Unit { pts: at, dts: at, data: picture.sample.data }
        })
        .collect()
}

/// Sound of `seconds` from `from` on, each sample by its number; with its track.
pub(crate) fn aac(
    from: RoomTime,
    rate: u32,
    seconds: u32,
    wave: impl Fn(u32) -> f32,
) -> (TrackConfig, Vec<Unit>) {
    Microphone::aac(from, rate).whole(seconds, wave)
}

pub(crate) fn opus(from: RoomTime, seconds: u32, wave: impl Fn(u32) -> f32) -> (TrackConfig, Vec<Unit>) {
    Microphone::opus(from).whole(seconds, wave)
}

/// Encodes sound of one channel in pieces.
pub(crate) struct Microphone {
    encoder: Box<dyn AudioEncoder>,
    from: RoomTime,
    samples: u32,
    packets: u32,
}

impl Microphone {
    pub(crate) fn aac(from: RoomTime, rate: u32) -> Self {
        Self::new(from, Box::new(AacEncoder::new(rate, 1, 64_000).unwrap()))
    }

    pub(crate) fn opus(from: RoomTime) -> Self {
        Self::new(from, Box::new(OpusEncoder::new(1, OpusEncoderOptions::default()).unwrap()))
    }

    fn new(from: RoomTime, encoder: Box<dyn AudioEncoder>) -> Self {
        Self { encoder, from, samples: 0, packets: 0 }
    }

    pub(crate) fn config(&self) -> TrackConfig {
        self.encoder.track_config()
    }

    pub(crate) fn rate(&self) -> u32 {
        self.encoder.sample_rate()
    }

    /// The next `seconds`, each sample by its number; what the encoder holds back comes with later ones.
    pub(crate) fn hear(&mut self, seconds: u32, wave: impl Fn(u32) -> f32) -> Vec<Unit> {
        let end = self.samples + self.rate() * seconds;
        let pcm: Vec<f32> = (self.samples..end).map(wave).collect();
        self.samples = end;
        let mut packets = Vec::new();
        self.encoder.encode(&pcm, &mut packets).unwrap();
        self.units(packets)
    }

    fn whole(mut self, seconds: u32, wave: impl Fn(u32) -> f32) -> (TrackConfig, Vec<Unit>) {
        let mut units = self.hear(seconds, wave);
        let mut rest = Vec::new();
        self.encoder.finish(&mut rest).unwrap();
        units.extend(self.units(rest));
        (self.config(), units)
    }

    fn units(&mut self, packets: Vec<Bytes>) -> Vec<Unit> {
        let scale = Timescale::new(self.rate()).unwrap();
        let (frame, priming) = (self.encoder.frame_samples(), self.encoder.priming());
        let first = self.packets;
        self.packets += u32::try_from(packets.len()).unwrap();
        (i64::from(first)..)
            .zip(packets)
            .map(|(n, data)| {
                let own = Timestamp::new(n * i64::from(frame) - i64::from(priming), scale);
                let at = self.from.saturating_add(own.to_room_time().unwrap());
                Unit { pts: at, dts: at, data }
            })
            .collect()
    }
}

pub(crate) fn drain(mixer: &mut Mixer) -> Vec<Mixed> {
    std::iter::from_fn(|| mixer.poll()).collect()
}

/// Time, mean luma of the left half and of the right half of each picture, as a decoder shows them.
pub(crate) fn halves(mixed: &[Mixed]) -> Vec<(i64, u8, u8)> {
    let mut screen = Screen::new();
    let mut seen = screen.see(mixed);
    seen.extend(screen.finish());
    seen.into_iter().map(|(at, left, right)| (at.nanos() / 1_000_000, left, right)).collect()
}

/// A decoder of a mix that comes in pieces.
pub(crate) struct Screen(recorder_codec::H264Decoder);

impl Screen {
    pub(crate) fn new() -> Self {
        let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
        Self(recorder_codec::H264Decoder::new(&config, &Default::default()).unwrap())
    }

    /// Time, mean luma of the left half and of the right half of the next pictures.
    pub(crate) fn see(&mut self, mixed: &[Mixed]) -> Vec<(RoomTime, u8, u8)> {
        let mut out = Vec::new();
        for picture in mixed {
            let Mixed::Picture { at, data, .. } = picture else { continue };
            let at = Timestamp::new(at.nanos(), Timescale::new(1_000_000_000).unwrap());
            let sample = Sample::new(at, data.clone());
            self.0.decode(&sample, &mut |picture| out.push(of_halves(picture))).unwrap();
        }
        out
    }

    /// Those that are held back.
    pub(crate) fn finish(&mut self) -> Vec<(RoomTime, u8, u8)> {
        let mut out = Vec::new();
        self.0.flush(&mut |picture| out.push(of_halves(picture))).unwrap();
        out
    }
}

fn of_halves(picture: &recorder_codec::DecodedPicture<'_>) -> (RoomTime, u8, u8) {
    let mean = |rows: &mut dyn Iterator<Item = &[u8]>| {
        let (sum, count) =
            rows.flatten().fold((0_u64, 0_u64), |(sum, n), byte| (sum + u64::from(*byte), n + 1));
        u8::try_from((sum + count / 2) / count).unwrap()
    };
    let plane = picture.picture.planes()[0];
    let width = usize::try_from(picture.picture.size().width()).unwrap();
    let height = usize::try_from(picture.picture.size().height()).unwrap();
    let rows = || plane.data.chunks(plane.stride).take(height);
    // Borders between windows are left out.
    let left = mean(&mut rows().map(|row| &row[8..width / 2 - 8]));
    let right = mean(&mut rows().map(|row| &row[width / 2 + 8..width - 8]));
    (RoomTime::from_nanos(picture.pts.ticks()), left, right)
}

/// The sound of a mix as a decoder gives it, left channel, from time zero on.
pub(crate) fn sound(mixer: &Mixer, mixed: &[Mixed]) -> Vec<f32> {
    Loudspeaker::new(mixer).hear(mixed)
}

/// A decoder of the sound of a mix that comes in pieces.
pub(crate) struct Loudspeaker {
    decoder: recorder_codec::AacDecoder,
    config: AudioSpecificConfig,
    next: Option<i64>,
}

impl Loudspeaker {
    pub(crate) fn new(mixer: &Mixer) -> Self {
        let Some(TrackConfig::Aac(AacConfig::Raw(config))) = mixer.sound_config() else { panic!("no sound") };
        Self { decoder: recorder_codec::AacDecoder::new(config).unwrap(), config, next: None }
    }

    /// The left channel.
    pub(crate) fn hear(&mut self, mixed: &[Mixed]) -> Vec<f32> {
        let mut pcm = Vec::new();
        for sound in mixed {
            let Mixed::Sound { at, data } = sound else { continue };
            let at = at.round_to_ticks(self.config.timescale());
            assert_eq!(at, self.next.unwrap_or(at), "packets follow each other");
            self.next = Some(at + 1024);
            self.decoder.decode(data, &mut pcm).unwrap();
        }
        pcm.chunks_exact(usize::from(self.config.channels())).map(|frame| frame[0]).collect()
    }
}

/// Root mean square of a stretch, in thousandths of full scale.
pub(crate) fn level(pcm: &[f32]) -> u32 {
    let sum: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let level = (sum / pcm.len().max(1) as f64).sqrt() * 1000.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a few thousand")]
    let level = level.round() as u32;
    level
}

pub(crate) fn tone(hz: f32, rate: u32, amplitude: f32) -> impl Fn(u32) -> f32 {
    move |n| {
        #[allow(clippy::cast_precision_loss)]
        let phase = n as f32 * hz / rate as f32;
        (phase.fract() * std::f32::consts::TAU).sin() * amplitude
    }
}
