//! Work that is left out for lack of time, and taken up again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder_mixer::{MixStats, Mixed, Mixer, Shedding};
use recorder_types::RoomTime;
use support::{audio, drain, h264, halves, mixer, options, opus, pictures, row, tone, video};

/// Two videos of 10 pictures a second, another luma with each, and a sound, for 6 s; from 2 s to 4 s work is left out.
fn run(shedding: Shedding) -> (Vec<Mixed>, MixStats) {
    let mut mixer: Mixer = mixer(options());
    mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
    for user in ["a", "b"] {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
        for unit in pictures(RoomTime::ZERO, 10, 60, |n| u8::try_from(40 + n * 3).unwrap()) {
            mixer.push(&video(user), unit).unwrap();
        }
    }
    let (config, units) = opus(RoomTime::ZERO, 6, tone(440.0, 48_000, 0.3));
    mixer.publish(RoomTime::ZERO, audio("a"), config).unwrap();
    for unit in units {
        mixer.push(&audio("a"), unit).unwrap();
    }
    mixer.advance(RoomTime::from_secs(2)).unwrap();
    mixer.set_shedding(shedding);
    mixer.advance(RoomTime::from_secs(4)).unwrap();
    mixer.set_shedding(Shedding::Nothing);
    mixer.finish(RoomTime::from_secs(6)).unwrap();
    let stats = mixer.stats();
    (drain(&mut mixer), stats)
}

#[test]
fn every_step_leaves_out_more_and_sound_never_suffers() {
    let sound = |mixed: &[Mixed]| -> Vec<Mixed> {
        mixed.iter().filter(|one| matches!(one, Mixed::Sound { .. })).cloned().collect()
    };
    let (whole, stats) = run(Shedding::Nothing);
    assert_eq!((stats.pictures, stats.scaled, stats.shed, stats.held), (60, 120, 0, 0));
    for (shedding, made, scaled, shed) in
        [(Shedding::Tiles, 60, 100, 0), (Shedding::HalfRate, 50, 90, 10), (Shedding::QuarterRate, 45, 85, 15)]
    {
        let (mixed, stats) = run(shedding);
        assert_eq!((stats.pictures, stats.shed), (made, shed), "{shedding:?}");
        assert!(stats.scaled <= scaled, "{shedding:?}: {}", stats.scaled);
        assert!(stats.held >= 5, "{shedding:?}: {}", stats.held);
        assert!(sound(&mixed) == sound(&whole), "{shedding:?}: another sound");
        for (at, left, right) in halves(&mixed) {
            // In time, or one picture of those that are made late.
            let due = u8::try_from(40 + at * 3 / 100).unwrap();
            let late =
                if (2000..=4000).contains(&at) { 3 * u8::try_from(made / 60 * 4 + 4).unwrap() } else { 0 };
            for luma in [left, right] {
                assert!(luma <= due + 3 && luma + 3 + late >= due, "{shedding:?} {at} ms: {luma} of {due}");
            }
        }
    }
}

#[test]
fn pictures_that_are_left_keep_their_times() {
    for (shedding, step) in [(Shedding::HalfRate, 200), (Shedding::QuarterRate, 400)] {
        let at: Vec<i64> = halves(&run(shedding).0).into_iter().map(|(at, ..)| at).collect();
        let want: Vec<i64> =
            (0..60).map(|n| n * 100).filter(|at| !(2000..4000).contains(at) || at % step == 0).collect();
        assert_eq!(at, want);
    }
}

#[test]
fn the_steps_are_in_order() {
    let mut steps = vec![Shedding::default()];
    while let Some(more) = steps.last().unwrap().more() {
        assert_eq!(more.less(), steps.last().copied());
        steps.push(more);
    }
    assert_eq!(steps, [Shedding::Nothing, Shedding::Tiles, Shedding::HalfRate, Shedding::QuarterRate]);
}
