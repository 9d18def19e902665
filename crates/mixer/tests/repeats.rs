//! The same room gives the same bytes, live or later.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use proptest::prelude::*;
use recorder_mixer::{Mixed, Mixer, StreamId, Unit};
use recorder_types::{RoomTime, TrackConfig};
use support::{aac, audio, drain, h264, millis, mixer, options, opus, pictures, row, tone, video};

/// What happens in a room of three, in order of time.
fn room() -> Vec<(RoomTime, Happens)> {
    let mut room = Vec::new();
    let mut add = |stream: StreamId, config: TrackConfig, units: Vec<Unit>, end: i64| {
        let begin = units.first().map_or(RoomTime::ZERO, |unit| unit.dts);
        room.push((begin, Happens::Publish(stream.clone(), config)));
        for unit in units.into_iter().filter(|unit| unit.dts < millis(end)) {
            room.push((unit.dts, Happens::Unit(stream.clone(), unit)));
        }
        room.push((millis(end), Happens::Unpublish(stream)));
    };
    add(video("a"), h264(), pictures(millis(0), 15, 45, |n| u8::try_from(40 + n * 4).unwrap()), 3000);
    add(video("b"), h264(), pictures(millis(730), 7, 14, |n| u8::try_from(200 - n * 5).unwrap()), 2400);
    let (config, units) = aac(millis(10), 44_100, 3, tone(440.0, 44_100, 0.4));
    add(audio("a"), config, units, 3000);
    let (config, units) = opus(millis(700), 2, tone(330.0, 48_000, 0.6));
    add(audio("b"), config, units, 2400);
    room.push((millis(0), Happens::Scene(row(&["a"]))));
    room.push((millis(730), Happens::Scene(row(&["a", "b"]))));
    room.push((millis(2000), Happens::Scene(row(&["b", "a"]))));
    room.sort_by_key(|(at, _)| *at);
    room
}

enum Happens {
    Publish(StreamId, TrackConfig),
    Unpublish(StreamId),
    Unit(StreamId, Unit),
    Scene(recorder_mixer::Scene),
}

fn tell(mixer: &mut Mixer, at: RoomTime, what: &Happens) {
    match what {
        Happens::Publish(stream, config) => mixer.publish(at, stream.clone(), config.clone()).unwrap(),
        Happens::Unpublish(stream) => mixer.unpublish(at, stream),
        Happens::Unit(stream, unit) => {
            mixer.push(stream, unit.clone()).unwrap();
        }
        Happens::Scene(scene) => mixer.set_scene(at, scene.clone()).unwrap(),
    }
}

fn later(room: &[(RoomTime, Happens)]) -> Vec<Mixed> {
    let mut mixer = mixer(options());
    room.iter().for_each(|(at, what)| tell(&mut mixer, *at, what));
    mixer.finish(RoomTime::from_secs(4)).unwrap();
    drain(&mut mixer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn live_equals_later(steps in proptest::collection::vec(1_i64..120, 8..200)) {
        let room = room();
        let mut mixer = mixer(options());
        let (mut now, mut told, mut live) = (0_i64, 0, Vec::new());
        for step in steps {
            now = (now + step).min(4000);
            while told < room.len() && room[told].0 <= millis(now) {
                tell(&mut mixer, room[told].0, &room[told].1);
                told += 1;
            }
            mixer.advance(millis(now).saturating_sub(Mixer::LOOK_AHEAD)).unwrap();
            live.extend(drain(&mut mixer));
        }
        room[told..].iter().for_each(|(at, what)| tell(&mut mixer, *at, what));
        mixer.finish(RoomTime::from_secs(4)).unwrap();
        live.extend(drain(&mut mixer));
        let later = later(&room);
        let kind = |mixed: &[Mixed], sound: bool| -> Vec<Mixed> {
            mixed.iter().filter(|one| matches!(one, Mixed::Sound { .. }) == sound).cloned().collect()
        };
        prop_assert_eq!(kind(&live, false).len(), 40);
        prop_assert!(kind(&live, false) == kind(&later, false), "the pictures differ");
        prop_assert!(kind(&live, true) == kind(&later, true), "the sound differs");
    }
}
