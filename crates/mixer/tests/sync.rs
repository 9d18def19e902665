//! Everybody flashes and beeps once a second: what belongs together stays within 20 ms.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

mod support;

use recorder_mixer::{Mixer, MixerOptions, Unit};
use recorder_types::{RoomTime, TrackConfig};
use support::{aac, audio, drain, h264, halves, millis, mixer, options, opus, pictures, row, sound, video};

const SECONDS: u32 = 20;
const FPS: u32 = 20;
/// Frames and milliseconds of a flash and a beep.
const FLASH: (u8, u8) = (200, 60);
const BEEP_MILLIS: u32 = 100;

/// How a participant's sound gets here.
#[derive(Clone, Copy, Debug)]
enum Way {
    Opus,
    /// Every seventh packet is lost, but for those in which a beep begins: nobody could hear it begin.
    OpusWithLoss,
    /// Silence is not sent.
    OpusDtx,
    Aac(u32),
}

/// Who joins at `join` and flashes and beeps `phase` milliseconds after each full second from then on.
#[derive(Clone, Copy, Debug)]
struct Person {
    user: &'static str,
    way: Way,
    join: i64,
    phase: u32,
    /// How much faster than the room's the clock of the microphone is, in millionths. Its packets say when they were
    /// made by the room's.
    ppm: u32,
}

impl Person {
    fn sound(self, seconds: u32) -> (TrackConfig, Vec<Unit>) {
        let (config, mut units) = self.sound_on_its_clock(seconds);
        let from = millis(self.join);
        for unit in &mut units {
            let since = i128::from(unit.pts.saturating_sub(from).nanos());
            let since = i64::try_from(since * 1_000_000 / (1_000_000 + i128::from(self.ppm))).unwrap();
            unit.pts = from.saturating_add(RoomTime::from_nanos(since));
            unit.dts = unit.pts;
        }
        (config, units)
    }

    fn sound_on_its_clock(self, seconds: u32) -> (TrackConfig, Vec<Unit>) {
        let from = millis(self.join);
        let wave = |rate: u32| {
            let (phase, ppm) = (self.phase, self.ppm);
            move |n: u32| {
                let per_second = u64::from(rate) * u64::from(1_000_000 + ppm);
                let at = u64::from(n) * 1_000_000_000 / per_second % 1000;
                let is_beep = (u64::from(phase)..u64::from(phase + BEEP_MILLIS)).contains(&at);
                let turn = (n as f32 * 1000.0 / rate as f32).fract() * std::f32::consts::TAU;
                if is_beep { turn.sin() * 0.5 } else { 0.0 }
            }
        };
        // Milliseconds from the beginning of the last beep, or to that of the next if that is nearer.
        let off = |unit: &Unit| {
            let at = unit.pts.saturating_sub(from).round_to_millis() - i64::from(self.phase);
            (at + 500).rem_euclid(1000) - 500
        };
        match self.way {
            Way::Opus => opus(from, seconds, wave(48_000)),
            Way::OpusWithLoss => {
                let (config, units) = opus(from, seconds, wave(48_000));
                let arrives = |(n, unit): &(usize, Unit)| n % 7 != 3 || (-40..=20).contains(&off(unit));
                (config, units.into_iter().enumerate().filter(arrives).map(|(_, unit)| unit).collect())
            }
            Way::OpusDtx => {
                let (config, units) = opus(from, seconds, wave(48_000));
                let is_sent = |unit: &Unit| (-40..160).contains(&off(unit));
                (config, units.into_iter().filter(is_sent).collect())
            }
            Way::Aac(rate) => aac(from, rate, seconds, wave(rate)),
        }
    }

    fn publish(self, mixer: &mut Mixer, seconds: u32) {
        let (config, units) = self.sound(seconds);
        mixer.publish(millis(self.join), audio(self.user), config).unwrap();
        for unit in units {
            mixer.push(&audio(self.user), unit).unwrap();
        }
        mixer.publish(millis(self.join), video(self.user), h264()).unwrap();
        let first = i64::from(self.phase * FPS / 1000);
        let is_flash = |n: i64| (first..first + 2).contains(&n.rem_euclid(i64::from(FPS)));
        let luma = |n| if is_flash(n) { FLASH.0 } else { FLASH.1 };
        for unit in pictures(millis(self.join), FPS, i64::from(FPS * seconds), luma) {
            mixer.push(&video(self.user), unit).unwrap();
        }
    }
}

/// When beeps begin, in milliseconds: the first sample that is loud after 200 ms without one.
fn beeps(pcm: &[f32], rate: u32) -> Vec<f64> {
    let milli = rate as usize / 1000;
    let mut found = Vec::new();
    let mut last_loud: Option<usize> = None;
    for (n, _) in pcm.iter().enumerate().filter(|(_, sample)| sample.abs() > 0.1) {
        if last_loud.is_none_or(|last| n - last > milli * 200) {
            found.push(n as f64 / milli as f64);
        }
        last_loud = Some(n);
    }
    found
}

/// When a half of the picture becomes bright, in milliseconds.
fn flashes(shown: &[(i64, u8)]) -> Vec<f64> {
    let begins = |pair: &&[(i64, u8)]| pair[0].1 < 130 && pair[1].1 >= 130;
    let first = shown.first().filter(|(_, luma)| *luma >= 130).map(|(at, _)| *at as f64);
    first.into_iter().chain(shown.windows(2).filter(begins).map(|pair| pair[1].0 as f64)).collect()
}

/// How much later than `flash` the nearest beep is.
fn nearest(beeps: &[f64], flash: f64) -> f64 {
    beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}

/// How far apart flash and beep of somebody are at the most whose microphone's clock is `ppm` millionths off for so long.
fn drift(seconds: u32, ppm: u32) -> f64 {
    let person = Person { user: "a", way: Way::Aac(16_000), join: 0, phase: 250, ppm };
    let video = options().video.unwrap().with_fps(u16::try_from(FPS).unwrap());
    let sound_options = recorder_mixer::AudioOptions::default().with_sample_rate(16_000).with_channels(1);
    let options = MixerOptions::new(RoomTime::ZERO).with_video(Some(video)).with_audio(Some(sound_options));
    let mut mixer = mixer(options);
    mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
    person.publish(&mut mixer, seconds);
    mixer.finish(RoomTime::from_secs(i64::from(seconds))).unwrap();
    let mixed = drain(&mut mixer);
    let beeps = beeps(&sound(&mixer, &mixed), 16_000);
    let shown: Vec<_> = halves(&mixed).into_iter().map(|(at, luma, _)| (at, luma)).collect();
    let flashes = flashes(&shown);
    assert_eq!(flashes.len(), usize::try_from(seconds).unwrap());
    assert!(beeps.len() + 1 >= flashes.len(), "{} beeps of {}", beeps.len(), flashes.len());
    let mut worst = 0.0_f64;
    // The faster clock has made its last second before the room's is over.
    for flash in &flashes[..flashes.len() - 1] {
        let off = nearest(&beeps, *flash);
        worst = worst.max(off.abs());
        assert!(off.abs() <= 20.0, "{off} ms at {flash} ms");
    }
    worst
}

/// As far as 100 ppm go in ten minutes.
#[test]
fn a_microphone_whose_clock_drifts_stays_with_its_pictures() {
    println!("a minute of 1000 ppm: {:.1} ms at most", drift(60, 1000));
}

#[test]
#[ignore = "some minutes"]
fn an_hour_of_100_ppm_stays_together() {
    println!("an hour of 100 ppm: {:.1} ms at most", drift(3600, 100));
}

#[test]
fn flashes_and_beeps_stay_together() {
    let mut worst = 0.0_f64;
    for (left, right) in [
        (Way::Opus, Way::Aac(44_100)),
        (Way::OpusWithLoss, Way::Aac(22_050)),
        (Way::OpusDtx, Way::Aac(48_000)),
        (Way::Aac(16_000), Way::OpusWithLoss),
    ] {
        // The second comes later; their beeps are half a second apart.
        let people = [
            Person { user: "a", way: left, join: 0, phase: 250, ppm: 0 },
            Person { user: "b", way: right, join: 3350, phase: 400, ppm: 0 },
        ];
        let video = options().video.unwrap().with_fps(u16::try_from(FPS).unwrap());
        let mut mixer = mixer(MixerOptions::new(RoomTime::ZERO).with_video(Some(video)));
        mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
        for person in people {
            person.publish(&mut mixer, SECONDS);
        }
        mixer.finish(RoomTime::from_secs(i64::from(SECONDS))).unwrap();
        let mixed = drain(&mut mixer);
        let beeps = beeps(&sound(&mixer, &mixed), 48_000);
        let shown = halves(&mixed);
        let of_left = flashes(&shown.iter().map(|(at, luma, _)| (*at, *luma)).collect::<Vec<_>>());
        let of_right = flashes(&shown.iter().map(|(at, _, luma)| (*at, *luma)).collect::<Vec<_>>());
        assert_eq!((of_left.len(), of_right.len()), (20, 17), "{left:?} {right:?}");
        assert_eq!(beeps.len(), 37, "{left:?} {right:?}: {beeps:?}");
        for flash in of_left.iter().chain(&of_right) {
            let off = nearest(&beeps, *flash);
            worst = worst.max(off.abs());
            assert!(off.abs() <= 20.0, "{left:?} {right:?}: {off} ms at {flash} ms");
        }
    }
    println!("flash to beep: {worst:.1} ms at most");
}
