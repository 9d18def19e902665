//! Everybody flashes and beeps once a second: what belongs together stays within 20 ms.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder_mixer::{AudioOptions, Mixer, MixerOptions, Scene, Unit, VideoOptions};
use recorder_testkit::sync::{Beeps, Flashes, Rhythm};
use recorder_types::{RoomTime, Size, TrackConfig};
use support::{
    Loudspeaker, Microphone, Screen, aac, audio, drain, h264, halves, millis, mixer, options, opus, pictures,
    pictures_of, row, sound, video, window,
};

const SECONDS: u32 = 20;
const FPS: u32 = 20;

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

/// Who joins at `join` and flashes and beeps by `rhythm` from then on.
#[derive(Clone, Copy, Debug)]
struct Person {
    user: &'static str,
    way: Way,
    join: i64,
    rhythm: Rhythm,
}

fn rhythm(phase_millis: u32, ppm: i32) -> Rhythm {
    Rhythm { phase_millis, ppm }
}

/// The luma of pictures with a flash.
fn luma(rhythm: Rhythm, fps: u32) -> impl Fn(i64) -> u8 {
    move |n| if rhythm.is_flash(n.try_into().unwrap(), fps) { 200 } else { 60 }
}

impl Person {
    fn sound(self) -> (TrackConfig, Vec<Unit>) {
        let from = millis(self.join);
        let wave = |rate: u32| move |n: u32| self.rhythm.sample(n.into(), rate);
        // Milliseconds from the beginning of the last beep, or to that of the next if that is nearer.
        let off = |unit: &Unit| {
            let at = unit.pts.saturating_sub(from).round_to_millis() - i64::from(self.rhythm.phase_millis);
            (at + 500).rem_euclid(1000) - 500
        };
        match self.way {
            Way::Opus => opus(from, SECONDS, wave(48_000)),
            Way::OpusWithLoss => {
                let (config, units) = opus(from, SECONDS, wave(48_000));
                let arrives = |(n, unit): &(usize, Unit)| n % 7 != 3 || (-40..=20).contains(&off(unit));
                (config, units.into_iter().enumerate().filter(arrives).map(|(_, unit)| unit).collect())
            }
            Way::OpusDtx => {
                let (config, units) = opus(from, SECONDS, wave(48_000));
                let is_sent = |unit: &Unit| (-40..160).contains(&off(unit));
                (config, units.into_iter().filter(is_sent).collect())
            }
            Way::Aac(rate) => aac(from, rate, SECONDS, wave(rate)),
        }
    }

    fn publish(self, mixer: &mut Mixer) {
        let (config, units) = self.sound();
        mixer.publish(millis(self.join), audio(self.user), config).unwrap();
        for unit in units {
            mixer.push(&audio(self.user), unit).unwrap();
        }
        mixer.publish(millis(self.join), video(self.user), h264()).unwrap();
        for unit in pictures(millis(self.join), FPS, i64::from(FPS * SECONDS), luma(self.rhythm, FPS)) {
            mixer.push(&video(self.user), unit).unwrap();
        }
    }
}

/// How far apart a flash and its beep are at the most, in nanoseconds.
fn worst(flashes: &[RoomTime], beeps: &Beeps, who: &str) -> u64 {
    let mut worst = 0;
    for flash in flashes {
        let off = beeps.after(*flash).unwrap();
        worst = worst.max(off.nanos().unsigned_abs());
        assert!(worst <= 20_000_000, "{who}: {off:?} at {flash:?}");
    }
    worst
}

/// Two people whose microphones' clocks run `ppm` millionths fast and slow, and whose packets tell the room's time: how
/// far apart flash and beep of somebody are at the most, in nanoseconds. The room is made and mixed second by second, in
/// the smallest pictures.
fn drift(seconds: u32, ppm: i32) -> u64 {
    const FPS: u32 = 4;
    let canvas =
        VideoOptions::default().with_size(Size::new(64, 64).unwrap()).with_fps(4).with_gop_seconds(60);
    let audio_options = AudioOptions::default().with_sample_rate(16_000).with_channels(1);
    let options = MixerOptions::new(RoomTime::ZERO).with_video(Some(canvas)).with_audio(Some(audio_options));
    let mut mixer = mixer(options);
    let mut scene = Scene::default();
    scene.windows = vec![window(0, 0, 32, 64, "a"), window(32, 0, 32, 64, "b")];
    mixer.set_scene(RoomTime::ZERO, scene).unwrap();
    let mut people = [
        ("a", rhythm(250, ppm), Microphone::aac(RoomTime::ZERO, 22_050)),
        ("b", rhythm(750, -ppm), Microphone::opus(RoomTime::ZERO)),
    ];
    for (user, _, microphone) in &people {
        mixer.publish(RoomTime::ZERO, audio(user), microphone.config()).unwrap();
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
    }
    // Every second looks the same.
    let cameras = people.each_ref().map(|(_, rhythm, _)| {
        pictures_of((32, 32), RoomTime::ZERO, FPS, FPS.into(), luma(rhythm.to_owned(), FPS))
    });

    let (mut screen, mut loudspeaker) = (Screen::new(), Loudspeaker::new(&mixer));
    let (mut flashes, mut beeps) = ([Flashes::default(), Flashes::default()], Beeps::new(16_000));
    let mut follow = |mixer: &mut Mixer, is_end: bool| {
        let mixed = drain(mixer);
        beeps.hear(&loudspeaker.hear(&mixed));
        let seen = screen.see(&mixed).into_iter().chain(if is_end { screen.finish() } else { Vec::new() });
        for (at, left, right) in seen {
            flashes[0].see(at, left);
            flashes[1].see(at, right);
        }
    };
    for second in 0..seconds {
        let begin = RoomTime::from_secs(second.into());
        for ((user, rhythm, microphone), camera) in people.iter_mut().zip(&cameras) {
            for unit in camera {
                let at = begin.saturating_add(unit.pts);
                let unit = Unit { pts: at, dts: at, data: unit.data.clone() };
                mixer.push(&video(user), unit).unwrap();
            }
            let rate = microphone.rate();
            for mut unit in microphone.hear(1, |n| rhythm.sample(n.into(), rate)) {
                unit.pts = rhythm.room_time(unit.pts);
                unit.dts = unit.pts;
                mixer.push(&audio(user), unit).unwrap();
            }
        }
        // Up to where everybody's sound is there, also of who speaks fast.
        let end = begin.saturating_sub(Mixer::LOOK_AHEAD).saturating_sub(RoomTime::from_secs(1));
        mixer.advance(end).unwrap();
        follow(&mut mixer, false);
    }
    mixer.finish(RoomTime::from_secs(seconds.into())).unwrap();
    follow(&mut mixer, true);

    let expected = usize::try_from(seconds).unwrap();
    let heard = beeps.begins().len();
    // The faster clock has made its last second before the room's is over.
    assert!((expected * 2 - 1..=expected * 2).contains(&heard), "{heard} beeps");
    flashes.iter().zip(["a", "b"]).fold(0, |most, (flashes, who)| {
        assert_eq!(flashes.begins().len(), expected, "{who}");
        most.max(worst(&flashes.begins()[..expected - 1], &beeps, who))
    })
}

fn millis_of(nanos: u64) -> String {
    format!("{}.{:02} ms", nanos / 1_000_000, nanos / 10_000 % 100)
}

/// As far as 100 ppm go in ten minutes.
#[test]
fn microphones_whose_clocks_drift_stay_with_their_pictures() {
    println!("a minute of 1000 ppm: {} at most", millis_of(drift(60, 1000)));
}

#[test]
#[ignore = "two minutes of CPU"]
fn an_hour_of_100_ppm_stays_together() {
    println!("an hour of 100 ppm: {} at most", millis_of(drift(3600, 100)));
}

#[test]
fn flashes_and_beeps_stay_together() {
    let mut most = 0;
    for (left, right) in [
        (Way::Opus, Way::Aac(44_100)),
        (Way::OpusWithLoss, Way::Aac(22_050)),
        (Way::OpusDtx, Way::Aac(48_000)),
        (Way::Aac(16_000), Way::OpusWithLoss),
    ] {
        // The second comes later; their beeps are half a second apart.
        let people = [
            Person { user: "a", way: left, join: 0, rhythm: rhythm(250, 0) },
            Person { user: "b", way: right, join: 3350, rhythm: rhythm(400, 0) },
        ];
        let video = options().video.unwrap().with_fps(u16::try_from(FPS).unwrap());
        let mut mixer = mixer(MixerOptions::new(RoomTime::ZERO).with_video(Some(video)));
        mixer.set_scene(RoomTime::ZERO, row(&["a", "b"])).unwrap();
        for person in people {
            person.publish(&mut mixer);
        }
        mixer.finish(RoomTime::from_secs(i64::from(SECONDS))).unwrap();
        let mixed = drain(&mut mixer);
        let mut beeps = Beeps::new(48_000);
        beeps.hear(&sound(&mixer, &mixed));
        assert_eq!(beeps.begins().len(), 37, "{left:?} {right:?}: {beeps:?}");
        let mut flashes = [Flashes::default(), Flashes::default()];
        for (at, of_left, of_right) in halves(&mixed) {
            flashes[0].see(millis(at), of_left);
            flashes[1].see(millis(at), of_right);
        }
        for (flashes, (way, expected)) in flashes.iter().zip([(left, 20), (right, 17)]) {
            assert_eq!(flashes.begins().len(), expected, "{left:?} {right:?}");
            most = most.max(worst(flashes.begins(), &beeps, &format!("{way:?}")));
        }
    }
    println!("flash to beep: {} at most", millis_of(most));
}
