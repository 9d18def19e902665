//! What the sound of a mix holds, and where.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder_mixer::{AudioOptions, Mixer, MixerOptions};
use recorder_types::RoomTime;
use support::{aac, audio, drain, level, millis, mixer, opus, sound, tone};

fn only_sound() -> MixerOptions {
    MixerOptions::new(RoomTime::ZERO).with_video(None)
}

fn finish(mixer: &mut Mixer, seconds: i64) -> Vec<f32> {
    mixer.finish(RoomTime::from_secs(seconds)).unwrap();
    let mixed = drain(mixer);
    sound(mixer, &mixed)
}

/// Milliseconds of the first sample over a tenth of full scale, from `from` milliseconds on.
fn first_loud(pcm: &[f32], from: usize) -> usize {
    let loud = pcm.iter().enumerate().skip(from * 48).find(|(_, sample)| sample.abs() > 0.1);
    loud.map_or(usize::MAX, |(at, _)| at / 48)
}

#[test]
fn voices_are_summed_at_their_places_whatever_their_codec_and_rate() {
    let mut mixer = mixer(only_sound());
    let tracks = [
        ("aac48", aac(millis(1000), 48_000, 1, tone(440.0, 48_000, 0.3))),
        ("aac44", aac(millis(3000), 44_100, 1, tone(440.0, 44_100, 0.3))),
        ("aac22", aac(millis(5000), 22_050, 1, tone(440.0, 22_050, 0.3))),
        ("opus", opus(millis(7000), 1, tone(440.0, 48_000, 0.3))),
    ];
    for (user, (config, units)) in tracks {
        mixer.publish(RoomTime::ZERO, audio(user), config).unwrap();
        for unit in units {
            mixer.push(&audio(user), unit).unwrap();
        }
    }
    let pcm = finish(&mut mixer, 9);
    assert!((9000..9022).contains(&(pcm.len() / 48)), "the last frame is filled up");
    for start in [1000, 3000, 5000, 7000] {
        let heard = first_loud(&pcm, start - 900);
        assert!(heard.abs_diff(start) <= 5, "{start}: heard at {heard}");
        let within = level(&pcm[(start + 50) * 48..(start + 950) * 48]);
        assert!(within.abs_diff(212) <= 8, "{start}: level {within}");
        assert!(level(&pcm[(start + 1050) * 48..(start + 1900) * 48]) <= 1);
    }
}

#[test]
fn two_at_once_are_louder_and_25_do_not_clip() {
    for (people, expected) in [(2_u32, 424), (25, 630)] {
        let mut mixer = mixer(only_sound());
        for n in 0..people {
            let user = format!("u{n}");
            let (config, units) = aac(RoomTime::ZERO, 48_000, 2, tone(440.0, 48_000, 0.3));
            mixer.publish(RoomTime::ZERO, audio(&user), config).unwrap();
            for unit in units {
                mixer.push(&audio(&user), unit).unwrap();
            }
        }
        let pcm = finish(&mut mixer, 2);
        let heard = level(&pcm[48_000..90_000]);
        assert!(heard.abs_diff(expected) <= 12, "{people} people: {heard}");
        assert!(pcm.iter().all(|sample| sample.abs() < 0.99), "{people} people clip");
    }
}

#[test]
fn loss_and_pauses_shift_nothing() {
    let mut mixer = mixer(only_sound());
    // Half a second of tone from 0, 1, 2 ... s on; every seventh packet is lost, and DTX sends none in the pauses.
    let wave = tone(440.0, 48_000, 0.3);
    let (config, units) = opus(RoomTime::ZERO, 6, move |n| if n % 48_000 < 24_000 { wave(n) } else { 0.0 });
    mixer.publish(RoomTime::ZERO, audio("a"), config).unwrap();
    for (n, unit) in units.into_iter().enumerate() {
        let in_pause = (600..900).contains(&unit.pts.round_to_millis().rem_euclid(1000));
        if n % 7 != 6 && !in_pause {
            mixer.push(&audio("a"), unit).unwrap();
        }
    }
    let pcm = finish(&mut mixer, 6);
    for second in 1..6 {
        let heard = first_loud(&pcm, second * 1000 - 300);
        assert!(heard.abs_diff(second * 1000) <= 10, "second {second}: heard at {heard}");
        assert!(level(&pcm[(second * 1000 - 250) * 48..(second * 1000 - 50) * 48]) <= 2, "second {second}");
    }
}

/// A sender whose clock is 500 ppm off for ten minutes: 300 ms if durations were summed.
#[test]
fn a_clock_that_drifts_is_followed_to_within_20_ms() {
    for ppm in [500, -500] {
        let options = only_sound().with_audio(Some(AudioOptions::default().with_channels(1)));
        let mut mixer = mixer(options);
        let wave = tone(440.0, 48_000, 0.3);
        // A beep of 100 ms every second, by the sender's clock.
        let (config, units) =
            aac(RoomTime::ZERO, 48_000, 20, move |n| if n % 48_000 < 4_800 { wave(n) } else { 0.0 });
        mixer.publish(RoomTime::ZERO, audio("a"), config).unwrap();
        // The same 20 seconds over and over: the sender's time passes `ppm` faster or slower than the samples tell.
        let mut pcm = Vec::new();
        for round in 0..30_i64 {
            for unit in units.iter().filter(|unit| (0..19_990).contains(&unit.pts.round_to_millis())) {
                let own = unit.pts.nanos() + round * 937 * 1024 * 1_000_000_000 / 48_000;
                let at = RoomTime::from_nanos(own + own / 1_000_000 * ppm);
                mixer
                    .push(&audio("a"), recorder_mixer::Unit { pts: at, dts: at, data: unit.data.clone() })
                    .unwrap();
            }
        }
        mixer.finish(RoomTime::from_secs(599)).unwrap();
        let mixed = drain(&mut mixer);
        pcm.extend(sound(&mixer, &mixed));
        for round in [0_i64, 10, 29] {
            let own = round * 937 * 1024 * 1000 / 48_000 + 10_000;
            let due = usize::try_from(own + own * ppm / 1_000_000).unwrap();
            let heard = first_loud(&pcm, due - 400);
            assert!(heard.abs_diff(due) <= 20, "{ppm} ppm, round {round}: due at {due}, heard at {heard}");
        }
    }
}

#[test]
fn who_leaves_or_is_muted_is_not_heard_from_that_moment_on() {
    let mut mixer = mixer(only_sound());
    let (config, units) = aac(RoomTime::ZERO, 48_000, 4, tone(440.0, 48_000, 0.3));
    mixer.publish(RoomTime::ZERO, audio("a"), config.clone()).unwrap();
    let (before, after): (Vec<_>, Vec<_>) = units.into_iter().partition(|unit| unit.pts < millis(2000));
    for unit in before {
        mixer.push(&audio("a"), unit).unwrap();
    }
    mixer.unpublish(millis(1500), &audio("a"));
    mixer.publish(millis(3000), audio("a"), config).unwrap();
    for unit in after.into_iter().filter(|unit| unit.pts >= millis(3000)) {
        mixer.push(&audio("a"), unit).unwrap();
    }
    let pcm = finish(&mut mixer, 4);
    assert!(level(&pcm[100 * 48..1450 * 48]) > 200);
    assert!(level(&pcm[1550 * 48..2950 * 48]) <= 1);
    assert!(level(&pcm[3050 * 48..3900 * 48]) > 200);
}
