//! A video that fills the canvas by itself is given out as it came in, and encoded where it is not.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use bytes::Bytes;
use recorder_compositor::{Rect, Tile};
use recorder_mixer::{Mixed, Mixer, MixerOptions, Scene, Unit, VideoOptions, Window};
use recorder_types::{H264Config, MediaId, NalFraming, RoomTime, Size, TrackConfig};
use support::{SIZE, drain, h264, halves, millis, mixer, pictures, video};

/// 10 pictures a second in the size of the pictures that the tests make, and no sound.
fn options(passthrough: bool) -> MixerOptions {
    let video = VideoOptions::default()
        .with_size(Size::new(SIZE.0, SIZE.1).unwrap())
        .with_fps(10)
        .with_gop_seconds(2)
        .with_passthrough(passthrough);
    MixerOptions::new(RoomTime::ZERO).with_video(Some(video)).with_audio(None)
}

/// Users side by side; one alone has the canvas.
fn row(users: &[&str]) -> Scene {
    let mut scene = Scene::default();
    let width = SIZE.0 / u32::try_from(users.len()).unwrap() / 2 * 2;
    scene.windows = (0..)
        .zip(users)
        .map(|(n, user)| {
            let rect = Rect::new(n * width, 0, Size::new(width, SIZE.1).unwrap()).unwrap();
            Window::new(Tile::new(rect), Some((user.parse().unwrap(), MediaId::Main)))
        })
        .collect();
    scene
}

/// `a` sends 15 pictures a second, another luma with each; a key frame every 2 s.
fn send(mixer: &mut Mixer, from: i64, count: i64) -> Vec<Unit> {
    mixer.publish(millis(from), video("a"), h264()).unwrap();
    let units = pictures(millis(from), 15, count, |n| u8::try_from(40 + n).unwrap());
    for unit in &units {
        mixer.push(&video("a"), unit.clone()).unwrap();
    }
    units
}

fn times(mixed: &[Mixed]) -> Vec<(RoomTime, &Bytes, bool)> {
    let picture = |one| match one {
        &Mixed::Picture { at, ref data, is_key } => (at, data, is_key),
        Mixed::Sound { .. } => panic!("sound"),
    };
    mixed.iter().map(picture).collect()
}

#[test]
fn what_fills_the_canvas_is_given_out_as_it_came_in() {
    let mut mixer = mixer(options(true));
    mixer.set_scene(RoomTime::ZERO, row(&["a"])).unwrap();
    let units = send(&mut mixer, 0, 90);
    mixer.finish(RoomTime::from_secs(6)).unwrap();
    let mixed = drain(&mut mixer);
    let got: Vec<_> = times(&mixed).into_iter().map(|(at, data, _)| (at, data.clone())).collect();
    // The last step is at 5.9 s.
    let want: Vec<_> =
        units.into_iter().filter(|unit| unit.pts <= millis(5900)).map(|unit| (unit.pts, unit.data)).collect();
    assert!(got == want, "{} and {} pictures", got.len(), want.len());
    assert_eq!((mixer.stats().passed, mixer.stats().pictures), (89, 0));
}

#[test]
fn it_is_encoded_where_that_is_not_allowed_or_something_is_beside_or_over_it() {
    let run = |options: MixerOptions, scene: Scene| {
        let mut mixer = mixer(options);
        mixer.set_scene(RoomTime::ZERO, scene).unwrap();
        send(&mut mixer, 0, 30);
        mixer.finish(RoomTime::from_secs(2)).unwrap();
        mixer.stats().passed
    };
    assert_eq!(run(options(false), row(&["a"])), 0);
    assert_eq!(run(options(true), row(&["a", "b"])), 0);
    let mut glass = row(&["a"]);
    glass.windows[0].tile.opacity = 254;
    assert_eq!(run(options(true), glass), 0);
    let mut marked = row(&["a"]);
    let bitmap = recorder_compositor::Bitmap::new(Size::new(2, 2).unwrap(), vec![255; 16]).unwrap();
    marked.marks = vec![recorder_mixer::Mark::Still { bitmap: bitmap.into(), left: 0, top: 0 }].into();
    assert_eq!(run(options(true), marked), 0);
    let video = options(true).video.unwrap().with_size(Size::new(640, 360).unwrap());
    assert_eq!(run(options(true).with_video(Some(video)), row(&["a"])), 0);
}

/// Others come at 2.45 s and go at 4.5 s: encoded in between, from a key frame on, and passed on from the next key frame
/// of the source.
#[test]
fn a_change_of_the_situation_begins_with_a_key_frame_and_shows_every_time() {
    let mut mixer = mixer(options(true));
    for (at, users) in [(0, &["a"][..]), (2450, &["a", "b"]), (4500, &["a"])] {
        mixer.set_scene(millis(at), row(users)).unwrap();
    }
    let units = send(&mut mixer, 0, 120);
    mixer.finish(RoomTime::from_secs(8)).unwrap();
    let mixed = drain(&mut mixer);
    let pictures = times(&mixed);
    assert!(pictures.windows(2).all(|pair| pair[0].0 < pair[1].0), "times rise");
    let own: Vec<_> = units.iter().map(|unit| &unit.data).collect();
    for (at, data, is_key) in &pictures {
        let is_passed = own.contains(data);
        // Key frames of the source: 0, 2, 4 and 6 s.
        let expected = *at < millis(2450) || *at >= millis(6000);
        assert_eq!(is_passed, expected, "{at:?}");
        if *at == millis(2500) || *at == millis(6000) {
            assert!(is_key, "{at:?}");
        }
    }
    // Decoded in one go, every picture has the luma that is due, but for the encoder.
    let seen = halves(&mixed);
    assert_eq!(seen.len(), pictures.len());
    for (at, left, _) in seen {
        let due = u8::try_from(40 + at * 15 / 1000).unwrap();
        assert!(left.abs_diff(due) <= 4, "{at} ms: {left}, {due} is due");
    }
}

#[test]
fn a_video_that_stops_is_held_by_the_encoder_and_the_next_one_passes() {
    let mut mixer = mixer(options(true));
    mixer.set_scene(RoomTime::ZERO, row(&["a"])).unwrap();
    send(&mut mixer, 0, 16);
    mixer.advance(RoomTime::from_secs(5)).unwrap();
    send(&mut mixer, 6000, 15);
    mixer.finish(RoomTime::from_secs(7)).unwrap();
    let mixed = drain(&mut mixer);
    let pictures = times(&mixed);
    // Passed up to 1 s; nothing for 2 s; then the last picture again and again.
    let gap: Vec<_> = pictures.iter().map(|(at, ..)| *at).filter(|at| *at > millis(1000)).collect();
    assert_eq!(gap.first(), Some(&millis(3100)));
    assert!(pictures.iter().any(|(at, _, is_key)| *at == millis(3100) && *is_key));
    assert_eq!(mixer.stats().passed, 16 + 14);
    let seen = halves(&mixed);
    assert!(
        seen.iter().filter(|(at, ..)| (3100..6000).contains(at)).all(|(_, luma, _)| luma.abs_diff(55) <= 3)
    );
}

#[test]
fn length_prefixed_units_get_start_codes_and_their_parameter_sets() {
    use recorder_types::h264::{Units, nal_type, unit_type};
    let mut mixer = mixer(options(true));
    mixer.set_scene(RoomTime::ZERO, row(&["a"])).unwrap();
    let units = pictures(RoomTime::ZERO, 15, 30, |n| u8::try_from(40 + n).unwrap());
    let nals = |data: &Bytes| -> Vec<Bytes> {
        Units::new(data, NalFraming::AnnexB).map(|nal| Bytes::copy_from_slice(nal.unwrap())).collect()
    };
    let is_set = |nal: &Bytes| matches!(unit_type(nal), Some(nal_type::SPS | nal_type::PPS));
    let parameter_sets: Vec<Bytes> = nals(&units[0].data).into_iter().filter(is_set).collect();
    let framing = NalFraming::LengthPrefixed { length_bytes: 4 };
    let config = TrackConfig::H264(H264Config { framing, parameter_sets: parameter_sets.clone() });
    mixer.publish(RoomTime::ZERO, video("a"), config).unwrap();
    for unit in &units {
        let mut data = Vec::new();
        for nal in nals(&unit.data).into_iter().filter(|nal| !is_set(nal)) {
            data.extend_from_slice(&u32::try_from(nal.len()).unwrap().to_be_bytes());
            data.extend_from_slice(&nal);
        }
        mixer.push(&video("a"), Unit { data: data.into(), ..unit.clone() }).unwrap();
    }
    mixer.finish(RoomTime::from_secs(2)).unwrap();
    let mixed = drain(&mut mixer);
    assert_eq!(mixer.stats().passed, 29);
    for ((_, data, is_key), unit) in times(&mixed).into_iter().zip(&units) {
        assert_eq!(nals(data), nals(&unit.data));
        assert_eq!(is_key, nals(data).iter().any(is_set));
    }
    assert_eq!(halves(&mixed).len(), 29);
}
