//! What the video of a mix shows, and when.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recorder_codec::{
    AudioDecoder, AudioEncoder, CodecError, Codecs, DecoderStats, H264EncoderOptions, PictureSink,
    SoftwareCodecs, VideoDecoder, VideoEncoder,
};
use recorder_compositor::{Colour, PictureBuffer, Rect, Rgb};
use recorder_mixer::{Fill, Image, MixError, Mixed, MixerOptions, Unit, VideoOptions};
use recorder_types::{H264Config, RoomTime, Sample, Size, TrackConfig};
use support::{audio, drain, h264, halves, millis, mixer, options, pictures, row, video};

fn silent() -> MixerOptions {
    options().with_audio(None)
}

fn near(a: u8, b: u8) -> bool {
    a.abs_diff(b) <= 3
}

#[test]
fn every_window_shows_the_newest_picture_that_is_due() {
    let mut mixer = mixer(silent());
    mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
    mixer.publish(RoomTime::ZERO, video("a"), h264()).unwrap();
    mixer.publish(millis(500), video("b"), h264()).unwrap();
    // Another luma every picture: 25 a second and 5 a second, the second from half a second on.
    let luma = |n: i64, step: i64| u8::try_from(40 + n * step).unwrap();
    for unit in pictures(RoomTime::ZERO, 25, 50, |n| luma(n, 3)) {
        mixer.push(&video("a"), unit).unwrap();
    }
    for unit in pictures(millis(500), 5, 8, |n| luma(n, 20)) {
        mixer.push(&video("b"), unit).unwrap();
    }
    mixer.finish(RoomTime::from_secs(2)).unwrap();
    let shown = halves(&drain(&mut mixer));
    assert_eq!(
        shown.iter().map(|(at, ..)| *at).collect::<Vec<_>>(),
        (0..20).map(|n| n * 100).collect::<Vec<_>>()
    );
    for (at, left, right) in shown {
        let due = luma(at * 25 / 1000, 3);
        assert!(near(left, due), "{at} ms: {left} on the left, {due} is due");
        let due = if at < 500 { 16 } else { luma((at - 500) / 200, 20) };
        assert!(near(right, due), "{at} ms: {right} on the right, {due} is due");
    }
    // 20 pictures of the first, 8 of the second: what did not change is not scaled again.
    assert_eq!(mixer.stats().scaled, 28);
}

#[test]
fn scenes_change_at_the_first_picture_at_or_after_their_time() {
    let mut mixer = mixer(silent());
    mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
    mixer.set_scene(millis(401), row(&["b", "a"])).unwrap();
    mixer.set_scene(millis(700), row(&["c", "b"])).unwrap();
    assert!(matches!(mixer.set_scene(millis(699), row(&["a"])), Err(MixError::SceneOrder { .. })));
    for (user, luma) in [("a", 60), ("b", 120), ("c", 200)] {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
        for unit in pictures(RoomTime::ZERO, 10, 10, |_| luma) {
            mixer.push(&video(user), unit).unwrap();
        }
    }
    mixer.finish(RoomTime::from_secs(1)).unwrap();
    for (at, left, right) in halves(&drain(&mut mixer)) {
        let (l, r) = if at < 401 {
            (60, 120)
        } else if at < 700 {
            (120, 60)
        } else {
            (200, 120)
        };
        assert!(near(left, l) && near(right, r), "{at} ms: {left} {right}, expected {l} {r}");
    }
}

/// Nobody sees `b` for 8 seconds; then its picture of that moment is there at once, though its key frame was long ago.
#[test]
fn a_video_that_was_hidden_is_there_when_it_is_shown() {
    let mut mixer = mixer(silent());
    mixer.set_scene(RoomTime::ZERO, row(&["a", "a"])).unwrap();
    mixer.set_scene(millis(8500), row(&["a", "b"])).unwrap();
    for user in ["a", "b"] {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
        for unit in pictures(RoomTime::ZERO, 10, 100, |n| u8::try_from(40 + n * 2).unwrap()) {
            mixer.push(&video(user), unit).unwrap();
        }
    }
    for at in 0..100 {
        mixer.advance(millis(at * 100)).unwrap();
    }
    mixer.finish(RoomTime::from_secs(10)).unwrap();
    let shown = halves(&drain(&mut mixer));
    assert_eq!(shown.len(), 100);
    assert!(shown.iter().all(|(_, left, right)| near(*left, *right)), "{shown:?}");
}

/// `b` is shown, hidden and shown again before its next key frame: it goes on where it is.
#[test]
fn a_video_that_comes_back_within_its_key_frames_is_there_when_it_is_shown() {
    let mut mixer = mixer(silent());
    for (at, users) in
        [(0, ["a", "b"]), (4000, ["a", "a"]), (5000, ["a", "b"]), (5500, ["a", "a"]), (6500, ["a", "b"])]
    {
        mixer.set_scene(millis(at), row(&users)).unwrap();
    }
    for user in ["a", "b"] {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
        for unit in pictures(RoomTime::ZERO, 10, 80, |n| u8::try_from(40 + n * 2).unwrap()) {
            mixer.push(&video(user), unit).unwrap();
        }
    }
    mixer.finish(RoomTime::from_secs(8)).unwrap();
    let shown = halves(&drain(&mut mixer));
    assert_eq!(shown.len(), 80);
    assert!(shown.iter().all(|(_, left, right)| near(*left, *right)), "{shown:?}");
}

/// Codecs that count what their video decoders take.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Codecs for Counted {
    fn video_decoder(&self, config: &H264Config) -> Result<Box<dyn VideoDecoder>, CodecError> {
        Ok(Box::new(CountedDecoder(SoftwareCodecs.video_decoder(config)?, Arc::clone(&self.0))))
    }

    fn audio_decoder(&self, config: &TrackConfig) -> Result<Box<dyn AudioDecoder>, CodecError> {
        SoftwareCodecs.audio_decoder(config)
    }

    fn video_encoder(&self, options: &H264EncoderOptions) -> Result<Box<dyn VideoEncoder>, CodecError> {
        SoftwareCodecs.video_encoder(options)
    }

    fn audio_encoder(&self, rate: u32, channels: u8, bits: u32) -> Result<Box<dyn AudioEncoder>, CodecError> {
        SoftwareCodecs.audio_encoder(rate, channels, bits)
    }
}

struct CountedDecoder(Box<dyn VideoDecoder>, Arc<AtomicUsize>);

impl VideoDecoder for CountedDecoder {
    fn configure(&mut self, config: &H264Config) -> Result<(), CodecError> {
        self.0.configure(config)
    }

    fn decode(&mut self, unit: &Sample, sink: &mut PictureSink<'_>) -> Result<(), CodecError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.decode(unit, sink)
    }

    fn flush(&mut self, sink: &mut PictureSink<'_>) -> Result<(), CodecError> {
        self.0.flush(sink)
    }

    fn stats(&self) -> DecoderStats {
        self.0.stats()
    }
}

/// `c` covers `b` from 1 s on. Its key frames are 3 s apart, so that at 8.5 s those since 6 s are decoded.
#[test]
fn a_video_that_another_covers_is_not_decoded_and_is_there_when_it_is_seen() {
    for (opacity, decoded) in [(255, 10 + 25 + 15), (254, 100)] {
        let codecs = Counted::default();
        let mut mixer = recorder_mixer::Mixer::new(silent(), Arc::new(codecs.clone())).unwrap();
        let mut covered = row(&["b", "b"]);
        let mut cover = support::window(0, 0, 640, 360, "c");
        cover.tile = cover.tile.with_opacity(opacity);
        covered.windows.push(cover);
        mixer.set_scene(RoomTime::ZERO, row(&["b", "b"])).unwrap();
        mixer.set_scene(millis(1000), covered).unwrap();
        mixer.set_scene(millis(8500), row(&["b", "b"])).unwrap();
        for (user, first) in [("b", 40), ("c", 200)] {
            mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
            let count = if user == "b" { 100 } else { 1 };
            for unit in pictures(RoomTime::ZERO, 10, count, |n| u8::try_from(first + n).unwrap()) {
                mixer.push(&video(user), unit).unwrap();
            }
        }
        for at in 0..100 {
            mixer.advance(millis(at * 100)).unwrap();
        }
        mixer.finish(RoomTime::from_secs(10)).unwrap();
        for (at, left, right) in halves(&drain(&mut mixer)) {
            let due = if (1000..8500).contains(&at) { 200 } else { u8::try_from(40 + at / 100).unwrap() };
            assert!(near(left, due) && near(right, due), "{at} ms: {left} {right}, expected {due}");
        }
        let count = codecs.0.load(Ordering::Relaxed);
        assert!(
            count.abs_diff(decoded + 1) <= 4,
            "opacity {opacity}: {count} decoded, about {decoded} expected"
        );
    }
}

#[test]
fn an_ended_video_leaves_its_last_picture_black_or_the_placeholder() {
    let mut grey = PictureBuffer::new(Size::new(64, 36).unwrap()).unwrap();
    let colour = Colour::default();
    grey.fill(Rect::whole(grey.size()), colour.samples(Rgb::new(128, 128, 128))).unwrap();
    let image = Arc::new(Image { picture: grey, colour });
    for (fill, placeholder, expected) in
        [(Fill::LastPicture, None, 90), (Fill::Black, None, 16), (Fill::LastPicture, Some(image), 126)]
    {
        let mut mixer = mixer(silent());
        let mut scene = row(&["a", "b"]);
        for window in &mut scene.windows {
            window.fill = fill;
            window.placeholder = placeholder.clone();
        }
        mixer.set_scene(RoomTime::ZERO, scene).unwrap();
        mixer.publish(RoomTime::ZERO, video("a"), h264()).unwrap();
        for unit in pictures(RoomTime::ZERO, 10, 10, |_| 90) {
            mixer.push(&video("a"), unit).unwrap();
        }
        mixer.unpublish(millis(1000), &video("a"));
        assert!(matches!(
            mixer.push(&video("a"), Unit { pts: millis(1100), dts: millis(1100), data: vec![0].into() }),
            Err(MixError::NotPublished { .. })
        ));
        // They come back.
        mixer.advance(millis(1500)).unwrap();
        mixer.publish(millis(2000), video("a"), h264()).unwrap();
        for unit in pictures(millis(2000), 10, 10, |_| 180) {
            mixer.push(&video("a"), unit).unwrap();
        }
        mixer.finish(millis(2500)).unwrap();
        for (at, left, right) in halves(&drain(&mut mixer)) {
            let due = if at < 1000 {
                90
            } else if at < 2000 {
                expected
            } else {
                180
            };
            assert!(near(left, due), "{fill:?} {at} ms: {left}, expected {due}");
            let absent = if placeholder.is_some() { 126 } else { 16 };
            assert!(near(right, absent), "{fill:?} {at} ms: {right} where nobody is");
        }
    }
}

#[test]
fn a_paused_video_is_black_after_two_seconds_if_asked_for() {
    let mut mixer = mixer(silent());
    let mut scene = row(&["a", "a"]);
    scene.windows[1].fill = Fill::Black;
    mixer.set_scene(RoomTime::ZERO, scene).unwrap();
    mixer.publish(RoomTime::ZERO, video("a"), h264()).unwrap();
    for unit in pictures(RoomTime::ZERO, 10, 5, |_| 90) {
        mixer.push(&video("a"), unit).unwrap();
    }
    mixer.finish(millis(3000)).unwrap();
    for (at, left, right) in halves(&drain(&mut mixer)) {
        assert!(near(left, 90) && near(right, if at <= 2400 { 90 } else { 16 }), "{at} ms: {left} {right}");
    }
}

#[test]
fn key_frames_come_as_often_as_asked_for() {
    let mut mixer = mixer(silent());
    mixer.finish(RoomTime::from_secs(5)).unwrap();
    let keys: Vec<i64> = drain(&mut mixer)
        .iter()
        .filter_map(|mixed| match mixed {
            Mixed::Picture { at, is_key: true, .. } => Some(at.round_to_millis()),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [0, 2000, 4000]);
}

#[test]
fn damage_takes_nobody_down() {
    let mut mixer = mixer(silent());
    mixer.set_scene(RoomTime::ZERO, row(&["good", "bad"])).unwrap();
    for user in ["good", "bad"] {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
    }
    for unit in pictures(RoomTime::ZERO, 10, 30, |n| u8::try_from(60 + n).unwrap()) {
        mixer.push(&video("good"), unit.clone()).unwrap();
        let mut damaged = unit.data.to_vec();
        for at in (20..damaged.len()).step_by(11) {
            damaged[at] ^= 0x55;
        }
        mixer.push(&video("bad"), Unit { data: damaged.into(), ..unit }).unwrap();
        mixer.push(&video("bad"), Unit { data: Default::default(), ..unit_at(30) }).unwrap();
    }
    mixer.finish(RoomTime::from_secs(3)).unwrap();
    let shown = halves(&drain(&mut mixer));
    assert_eq!(shown.len(), 30);
    for (at, left, _) in shown {
        assert!(near(left, u8::try_from(60 + at / 100).unwrap()), "{at} ms: {left}");
    }
}

fn unit_at(ms: i64) -> Unit {
    Unit { pts: millis(ms), dts: millis(ms), data: Default::default() }
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    let codecs = || Arc::new(recorder_codec::SoftwareCodecs);
    let nothing = MixerOptions::new(RoomTime::ZERO).with_video(None).with_audio(None);
    assert!(matches!(recorder_mixer::Mixer::new(nothing, codecs()), Err(MixError::Nothing)));
    for (video, expected) in [
        (VideoOptions::default().with_fps(0), "0 pictures a second, of 1 to 60"),
        (VideoOptions::default().with_fps(61), "61 pictures a second, of 1 to 60"),
    ] {
        let options = MixerOptions::new(RoomTime::ZERO).with_video(Some(video));
        let error = recorder_mixer::Mixer::new(options, codecs()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let odd = VideoOptions::default().with_size(Size::new(641, 360).unwrap());
    let options = MixerOptions::new(RoomTime::ZERO).with_video(Some(odd));
    assert!(matches!(recorder_mixer::Mixer::new(options, codecs()), Err(MixError::Compose(_))));
    let mut mixer = mixer(silent());
    assert!(matches!(mixer.publish(RoomTime::ZERO, audio("a"), h264()), Err(MixError::WrongKind { .. })));
    let mut outside = row(&["a"]);
    outside.windows.push(support::window(600, 0, 100, 100, "b"));
    assert!(matches!(mixer.set_scene(RoomTime::ZERO, outside), Err(MixError::Compose(_))));
}
