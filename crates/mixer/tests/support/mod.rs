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
    let options = H264EncoderOptions::default().with_pictures_per_key(30.try_into().unwrap());
    let mut encoder = recorder_codec::H264Encoder::new(&options).unwrap();
    let size = Size::new(SIZE.0, SIZE.1).unwrap();
    let luma_len = usize::try_from(SIZE.0 * SIZE.1).unwrap();
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
    let mut encoder = AacEncoder::new(rate, 1, 64_000).unwrap();
    let pcm: Vec<f32> = (0..rate * seconds).map(wave).collect();
    let mut packets = Vec::new();
    encoder.encode(&pcm, &mut packets).unwrap();
    encoder.finish(&mut packets).unwrap();
    let config = encoder.track_config();
    let priming = i64::from(encoder.priming());
    (config, units(packets, from, rate, 1024, priming))
}

pub(crate) fn opus(from: RoomTime, seconds: u32, wave: impl Fn(u32) -> f32) -> (TrackConfig, Vec<Unit>) {
    let mut encoder = OpusEncoder::new(1, OpusEncoderOptions::default()).unwrap();
    let pcm: Vec<f32> = (0..48_000 * seconds).map(wave).collect();
    let mut packets = Vec::new();
    encoder.encode(&pcm, &mut packets).unwrap();
    encoder.finish(&mut packets).unwrap();
    let config = encoder.track_config();
    let (frame, priming) = (i64::from(encoder.frame_samples()), i64::from(encoder.priming()));
    (config, units(packets, from, 48_000, frame, priming))
}

fn units(packets: Vec<Bytes>, from: RoomTime, rate: u32, frame: i64, priming: i64) -> Vec<Unit> {
    let scale = Timescale::new(rate).unwrap();
    (0..)
        .zip(packets)
        .map(|(n, data)| {
            let own = Timestamp::new(n * frame - priming, scale).to_room_time().unwrap();
            let at = from.saturating_add(own);
            Unit { pts: at, dts: at, data }
        })
        .collect()
}

pub(crate) fn drain(mixer: &mut Mixer) -> Vec<Mixed> {
    std::iter::from_fn(|| mixer.poll()).collect()
}

/// Time, mean luma of the left half and of the right half of each picture, as a decoder shows them.
pub(crate) fn halves(mixed: &[Mixed]) -> Vec<(i64, u8, u8)> {
    let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let mut decoder = recorder_codec::H264Decoder::new(&config, &Default::default()).unwrap();
    let mut out = Vec::new();
    let mean = |rows: &mut dyn Iterator<Item = &[u8]>| {
        let (sum, count) =
            rows.flatten().fold((0_u64, 0_u64), |(sum, n), byte| (sum + u64::from(*byte), n + 1));
        u8::try_from((sum + count / 2) / count).unwrap()
    };
    let mut sink = |picture: &recorder_codec::DecodedPicture<'_>| {
        let plane = picture.picture.planes()[0];
        let width = usize::try_from(picture.picture.size().width()).unwrap();
        let height = usize::try_from(picture.picture.size().height()).unwrap();
        let rows = || plane.data.chunks(plane.stride).take(height);
        // Borders between windows are left out.
        let left = mean(&mut rows().map(|row| &row[8..width / 2 - 8]));
        let right = mean(&mut rows().map(|row| &row[width / 2 + 8..width - 8]));
        out.push((picture.pts.ticks() / 1_000_000, left, right));
    };
    for picture in mixed {
        let Mixed::Picture { at, data, .. } = picture else { continue };
        let at = Timestamp::new(at.nanos(), Timescale::new(1_000_000_000).unwrap());
        decoder.decode(&Sample::new(at, data.clone()), &mut sink).unwrap();
    }
    decoder.flush(&mut sink).unwrap();
    out
}

/// The sound of a mix as a decoder gives it, left channel, from time zero on.
pub(crate) fn sound(mixer: &Mixer, mixed: &[Mixed]) -> Vec<f32> {
    let Some(TrackConfig::Aac(AacConfig::Raw(config))) = mixer.sound_config() else { panic!("no sound") };
    let mut decoder = recorder_codec::AacDecoder::new(config).unwrap();
    let mut pcm = Vec::new();
    let mut next = None;
    for sound in mixed {
        let Mixed::Sound { at, data } = sound else { continue };
        let at = at.round_to_ticks(config.timescale());
        assert_eq!(at, next.unwrap_or(at), "packets follow each other");
        next = Some(at + 1024);
        decoder.decode(data, &mut pcm).unwrap();
    }
    pcm.chunks_exact(usize::from(config.channels())).map(|frame| frame[0]).collect()
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
