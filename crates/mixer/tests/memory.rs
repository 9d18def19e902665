//! A mix that goes on for long needs no more memory. Every byte that the process has on its heap is counted, but for
//! those of OpenH264, so this file has one test.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use peak_alloc::PeakAlloc;
use recorder_mixer::{AudioOptions, Mixer, MixerOptions, Scene, Unit, VideoOptions};
use recorder_types::{RoomTime, Size};
use support::{Microphone, audio, h264, mixer, pictures_of, tone, video, window};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const FPS: u32 = 4;
const MINUTES: usize = 10;

/// Three people, one of whom is not seen; each ten seconds somebody else, and somebody comes and goes.
#[test]
fn the_tenth_minute_needs_the_memory_of_the_sixth() {
    let canvas =
        VideoOptions::default().with_size(Size::new(64, 64).unwrap()).with_fps(4).with_gop_seconds(10);
    let audio_options = AudioOptions::default().with_sample_rate(16_000).with_channels(1);
    let options = MixerOptions::new(RoomTime::ZERO).with_video(Some(canvas)).with_audio(Some(audio_options));
    let mut mixer = mixer(options);
    let users = ["a", "b", "c"];
    let mut microphones = users.map(|_| Microphone::aac(RoomTime::ZERO, 16_000));
    for (user, microphone) in users.iter().zip(&microphones) {
        mixer.publish(RoomTime::ZERO, video(user), h264()).unwrap();
        mixer.publish(RoomTime::ZERO, audio(user), microphone.config()).unwrap();
    }
    // Two seconds from key frame to key frame.
    let camera = pictures_of((32, 32), RoomTime::ZERO, FPS, i64::from(FPS * 2), |n| {
        u8::try_from(60 + n * 10).unwrap()
    });
    let mut most = [0; MINUTES];
    for second in 0..i64::try_from(MINUTES).unwrap() * 60 {
        let begin = RoomTime::from_secs(second);
        if second % 10 == 0 {
            let turn = usize::try_from(second / 10).unwrap();
            let mut scene = Scene::default();
            scene.windows =
                vec![window(0, 0, 32, 64, users[turn % 3]), window(32, 0, 32, 64, users[(turn + 1) % 3])];
            mixer.set_scene(begin, scene).unwrap();
            mixer.unpublish(begin, &video("c"));
            mixer.publish(begin, video("c"), h264()).unwrap();
        }
        for (user, microphone) in users.iter().zip(&mut microphones) {
            if second % 2 == 0 {
                for unit in &camera {
                    let at = begin.saturating_add(unit.pts);
                    mixer.push(&video(user), Unit { pts: at, dts: at, data: unit.data.clone() }).unwrap();
                }
            }
            for unit in microphone.hear(1, tone(440.0, 16_000, 0.2)) {
                mixer.push(&audio(user), unit).unwrap();
            }
        }
        mixer.advance(begin.saturating_sub(Mixer::LOOK_AHEAD)).unwrap();
        while mixer.poll().is_some() {}
        let minute = usize::try_from(second / 60).unwrap();
        most[minute] = most[minute].max(HEAP.current_usage());
    }
    println!("bytes on the heap at the most, minute by minute: {most:?}");
    // Buffers reach their size within some minutes.
    assert!(most[9] <= most[5] + 1024 && most[9] <= most[0] + (128 << 10), "{most:?}");
}
