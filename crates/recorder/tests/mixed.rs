//! The whole room as one video and one sound: what it shows and when, and how it is told.
#![cfg(feature = "mix")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use recorder::callback::{LeaveCode, Payload, TrackType};
use recorder::codec::{DecodedPicture, H264Decoder, VideoDecoder};
use recorder::compositor::{Bitmap, Rect, RenderMode, Rgb};
use recorder::hls::demux::{Demuxer, Event, UnitKind};
use recorder::layout::{AudioOnlyUsers, CustomWindow, ImageUrl, LayoutParams, Placeholders, Template};
use recorder::mix::{ImageSource, Watermark};
use recorder::mixer::{AudioOptions, Fill, VideoOptions};
use recorder::types::{H264Config, NalFraming, RoomTime, Sample, Size, Timescale, Timestamp};
use recorder::{
    EventError, MaxIdleTime, MixOptions, MixOptionsError, Now, RoomEvent, StreamSelection, Subscription,
    TaskCore, TaskOptions,
};
use support::media::{camera_in_mid_stream, camera_showing, h264_config, microphone, prepared};
use support::sim::{Sim, golden_without_bytes};
use support::{AUX, MAIN, VIDEO, id, now, options, options_with};

const ALICE: u8 = 60;
const BOB: u8 = 200;
const BLACK: u8 = 16;

/// Wide, 15 pictures a second, a grid.
fn mix() -> MixOptions {
    MixOptions::default().with_video(VideoOptions::default().with_size(Size::new(640, 360).unwrap()))
}

fn mixed_with(change: impl FnOnce(&mut MixOptions)) -> TaskOptions {
    let mut mix = mix();
    change(&mut mix);
    options_with(|task| task.mix = Some(mix))
}

fn mixed() -> TaskOptions {
    mixed_with(|_| ())
}

fn layout(layout: LayoutParams) -> RoomEvent {
    RoomEvent::Layout { layout, watermarks: Vec::new() }
}

/// Alice and bob with cameras, alice with a microphone, from the start on.
fn two(options: TaskOptions) -> Sim {
    let mut sim = Sim::new(options);
    for (user, grey) in [("alice", ALICE), ("bob", BOB)] {
        sim.enter(user);
        sim.publish(user, MAIN, camera_showing(grey));
    }
    sim.publish("alice", MAIN, microphone());
    sim
}

/// What is in the segments: time of each picture in milliseconds since the first, mean luma of its left and its right
/// half; and the times of the sound.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    pictures: Vec<(i64, u8, u8)>,
    sounds: Vec<i64>,
}

fn seen(sim: &Sim) -> Seen {
    let mut demuxer = Demuxer::default();
    for data in sim.output.segments.values() {
        demuxer.push(data);
    }
    demuxer.finish();
    let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let mut decoder = H264Decoder::new(&config, &Default::default()).unwrap();
    let mut seen = Seen::default();
    let mut first = None;
    let mut millis = |at: Timestamp| (at.ticks() - *first.get_or_insert(at.ticks()) + 45).div_euclid(90);
    let mut sink = |picture: &DecodedPicture<'_>| {
        let (luma, size) = (picture.picture.planes()[0], picture.picture.size());
        let (width, height) =
            (usize::try_from(size.width()).unwrap(), usize::try_from(size.height()).unwrap());
        let mean = |from: usize, to: usize| {
            let rows = luma.data.chunks(luma.stride).take(height).flat_map(|row| &row[from..to]);
            let sum: usize = rows.map(|sample| usize::from(*sample)).sum();
            u8::try_from(sum / (to - from) / height).unwrap()
        };
        // Borders between windows are left out.
        let halves = (mean(8, width / 2 - 8), mean(width / 2 + 8, width - 8));
        seen.pictures.push((picture.pts.ticks(), halves.0, halves.1));
    };
    let mut sounds = Vec::new();
    while let Some(event) = demuxer.poll() {
        match event {
            Event::Fault(fault) => panic!("{fault}"),
            Event::Unit(unit) => {
                let pts = unit.time.unwrap().pts;
                if matches!(unit.kind, UnitKind::H264 { .. }) {
                    let at = Timestamp::new(millis(pts), Timescale::new(1000).unwrap());
                    decoder.decode(&Sample::new(at, unit.data), &mut sink).unwrap();
                } else {
                    sounds.push(millis(pts));
                }
            }
            _ => {}
        }
    }
    decoder.flush(&mut sink).unwrap();
    seen.sounds = sounds;
    seen
}

fn near(a: u8, b: u8) -> bool {
    a.abs_diff(b) <= 3
}

/// Every picture is what `expected` says for its time: the luma of both halves.
#[track_caller]
fn assert_shows(pictures: &[(i64, u8, u8)], expected: impl Fn(i64) -> (u8, u8)) {
    for (at, left, right) in pictures {
        let (l, r) = expected(*at);
        assert!(near(*left, l) && near(*right, r), "{at} ms: {left} and {right}, expected {l} and {r}");
    }
}

#[test]
fn a_room_is_one_video_and_one_sound() {
    let mut sim = two(mixed());
    sim.run_to(25_000);
    sim.stop(LeaveCode::API_STOP);
    golden_without_bytes("mixed", &sim);

    let playlist = sim.output.playlists["1400000001_1001.m3u8"].to_string();
    for line in [
        "#EXT-X-TRTC-MEDIA-ID:mix",
        "#EXT-X-TRTC-USER-ID:",
        "#EXT-X-TRTC-MIX-STREAM:1",
        "#EXT-X-TRTC-STREAM-TYPE:2",
        "#EXT-X-TRTC-VIDEO-METADATA:WIDTH:640 HEIGHT:360 Codec:27",
        "#EXT-X-TRTC-AUDIO-METADATA:Channel:2 SampleRate:48000 SampleFormat:1 Codec:86018",
        "1400000001_1001_20231114221320000.ts",
    ] {
        assert!(playlist.lines().any(|l| l == line), "no {line} in\n{playlist}");
    }
    assert!(sim.output.payloads.iter().any(|(_, payload)| matches!(
        payload,
        Payload::FileSlice(slice) if slice.user.is_none() && slice.track_type == TrackType::AudioVideo
    )));
    let report = sim.core.files().next().unwrap();
    assert_eq!((report.user, report.playlist.as_str()), (None, "1400000001_1001.m3u8"));

    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 25 * 15);
    assert!(
        (0..).zip(&seen.pictures).all(|(n, (at, ..))| *at == (n * 2000 + 15) / 30),
        "{:?}",
        seen.pictures
    );
    assert_shows(&seen.pictures, |_| (ALICE, BOB));
    let last = *seen.sounds.last().unwrap();
    assert!((24_950..=25_030).contains(&last), "sound up to {last} ms");
    assert!(seen.sounds.windows(2).all(|pair| (21..=22).contains(&(pair[1] - pair[0]))));
}

#[test]
fn a_layout_takes_effect_with_the_next_picture() {
    let mut sim = two(mixed());
    sim.run_to(4010);
    let half = |left, user| CustomWindow::new(left, 0, 320, 360).with_user(id(user), MAIN);
    let swapped = LayoutParams::new(Template::Custom(vec![half(0, "bob"), half(320, "alice")]));
    sim.event(layout(swapped)).unwrap();
    // One that cannot be shown changes nothing.
    let outside = LayoutParams::new(Template::Custom(vec![CustomWindow::new(400, 0, 320, 360)]));
    let refused = sim.event(layout(outside));
    assert!(matches!(refused, Err(EventError::MixOptions(MixOptionsError::Layout(_)))), "{refused:?}");
    sim.run_to(6000);
    let empty = LayoutParams::new(Template::Custom(Vec::new())).with_background(Rgb::new(255, 255, 255));
    sim.event(layout(empty)).unwrap();
    sim.run_to(7000);
    sim.stop(LeaveCode::API_STOP);
    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 7 * 15);
    assert_shows(&seen.pictures, |at| match at {
        ..=4010 => (ALICE, BOB),
        4011..6000 => (BOB, ALICE),
        _ => (235, 235),
    });
}

#[test]
fn a_single_stream_recording_has_no_layout() {
    let mut sim = Sim::new(options());
    let changed = sim.event(layout(LayoutParams::default()));
    assert!(matches!(changed, Err(EventError::NotMixed)), "{changed:?}");
}

/// Whose windows there are now.
fn shown(sim: &Sim) -> Vec<String> {
    let windows = &sim.core.arrangement().unwrap().windows;
    windows.iter().map(|window| window.content.stream().unwrap().user.to_string()).collect()
}

#[test]
fn windows_follow_who_comes_goes_and_mutes() {
    let mut sim = two(mixed_with(|mix| mix.fill = Fill::Black));
    assert_eq!(sim.core.arrangement(), None, "nobody has sent anything");
    sim.run_to(3000);
    assert_eq!(shown(&sim), ["alice", "bob"]);
    sim.leave("bob");
    sim.run_to(5000);
    assert_eq!(shown(&sim), ["alice"]);
    // Muted: the microphone goes on and keeps the window.
    sim.unpublish("alice", MAIN, VIDEO);
    sim.run_to(6000);
    sim.publish("alice", MAIN, camera_showing(90));
    sim.run_to(8000);
    sim.enter("carol");
    sim.publish("carol", AUX, camera_showing(150));
    sim.run_to(9000);
    // Without video there is no window; carol has the canvas.
    let hiding = LayoutParams::new(Template::Grid).with_audio_only(AudioOnlyUsers::Hidden);
    sim.event(layout(hiding)).unwrap();
    sim.unpublish("alice", MAIN, VIDEO);
    sim.run_to(10_000);
    assert_eq!(shown(&sim), ["carol"]);
    sim.stop(LeaveCode::API_STOP);
    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 150);
    assert_shows(&seen.pictures, |at| match at {
        ..3000 => (ALICE, BOB),
        3000..5000 => (ALICE, ALICE),
        5000..6000 => (BLACK, BLACK),
        6000..8000 => (90, 90),
        8000..9000 => (90, 150),
        _ => (150, 150),
    });
}

#[test]
fn a_room_that_stays_empty_ends_with_the_last_who_left() {
    let mut sim = two(options_with(|task| {
        task.mix = Some(mix());
        task.max_idle = MaxIdleTime::from_secs(25).unwrap();
    }));
    sim.run_to(4000);
    sim.leave("bob");
    sim.run_to(5000);
    sim.leave("alice");
    sim.run_to(100_000);
    assert!(sim.output.finished);
    sim.output.check();
    let stop = sim.output.payloads.iter().find(|(_, payload)| payload.event_type().number() == 302).unwrap();
    assert_eq!(stop.0, support::WALL + 30_000);
    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 5 * 15);
    assert_shows(&seen.pictures, |at| if at < 4000 { (ALICE, BOB) } else { (ALICE, ALICE) });
}

#[test]
fn an_empty_room_is_black_until_somebody_comes_back() {
    // Before half a minute nothing is decided; after it the black is recorded as it comes.
    for back in [20_000, 90_000] {
        let mut sim = two(options_with(|task| {
            task.mix = Some(mix());
            task.max_idle = MaxIdleTime::from_secs(600).unwrap();
        }));
        sim.run_to(5000);
        sim.leave("alice");
        sim.leave("bob");
        sim.run_to(back);
        let bytes: u64 = sim.core.files().map(|file| file.bytes).sum();
        assert_eq!(bytes > 0, back > 30_000, "{bytes} bytes closed");
        sim.enter("carol");
        sim.publish("carol", MAIN, camera_showing(150));
        sim.run_to(back + 5000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let seen = seen(&sim);
        assert_eq!(i64::try_from(seen.pictures.len()).unwrap(), (back + 5000) * 15 / 1000);
        assert_shows(&seen.pictures, |at| match at {
            ..5000 => (ALICE, BOB),
            _ if at < back => (BLACK, BLACK),
            _ => (150, 150),
        });
    }
}

#[test]
fn sound_alone_and_pictures_alone() {
    for (stream_type, kind) in
        [(StreamSelection::AudioOnly, TrackType::Audio), (StreamSelection::VideoOnly, TrackType::Video)]
    {
        let mut sim = two(options_with(|task| {
            task.mix = Some(mix());
            task.stream_type = stream_type;
        }));
        sim.run_to(12_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        assert!(sim.output.payloads.iter().any(|(_, payload)| matches!(
            payload,
            Payload::FileSlice(slice) if slice.track_type == kind
        )));
        let seen = seen(&sim);
        let is_video = kind == TrackType::Video;
        assert_eq!(seen.pictures.len(), if is_video { 180 } else { 0 });
        assert_eq!(seen.sounds.is_empty(), is_video);
        assert_eq!(sim.output.playlists.keys().collect::<Vec<_>>(), ["1400000001_1001.m3u8"]);
    }
}

#[test]
fn a_key_frame_is_asked_for_once() {
    let mut sim = Sim::new(mixed());
    sim.enter("alice");
    sim.publish("alice", MAIN, camera_in_mid_stream(15));
    sim.run_to(5000);
    assert_eq!(sim.output.key_frames, [(id("alice"), MAIN)]);
    // Published anew, it is another stream.
    sim.publish("alice", MAIN, camera_in_mid_stream(5));
    sim.run_to(7000);
    assert_eq!(sim.output.key_frames, [(id("alice"), MAIN), (id("alice"), MAIN)]);
    sim.stop(LeaveCode::API_STOP);
    let seen = seen(&sim);
    assert_shows(&seen.pictures[..22], |_| (BLACK, BLACK));
    assert!(seen.pictures[23..30].iter().all(|(_, left, _)| near(*left, 64)), "{:?}", seen.pictures);
}

#[test]
fn lists_say_who_is_seen() {
    let block = |user| Subscription::everyone().with_blocked(VIDEO, [user]).unwrap();
    let mut sim = two(options_with(|task| {
        task.mix = Some(mix());
        task.subscription = block("bob");
    }));
    sim.run_to(3000);
    sim.subscribe(Subscription::everyone());
    sim.run_to(6000);
    sim.subscribe(block("a.*$"));
    sim.run_to(9000);
    sim.stop(LeaveCode::API_STOP);
    assert!(sim.core.refused().unwanted > 0);
    assert_shows(&seen(&sim).pictures, |at| match at {
        ..3000 => (ALICE, ALICE),
        // Bob's next key frame comes at 4 s; it was asked for.
        3000..4000 => (ALICE, BLACK),
        4000..6000 => (ALICE, BOB),
        // Alice is heard and keeps her window, with her last picture.
        _ => (ALICE, BOB),
    });
    assert_eq!(sim.output.key_frames, [(id("bob"), MAIN)]);
}

#[test]
fn what_cannot_be_mixed_is_refused_at_the_start() {
    let video = |change: fn(&mut VideoOptions)| mixed_with(|mix| change(&mut mix.video));
    let refused = |options: TaskOptions| match TaskCore::new(options, now(0)) {
        Err(EventError::MixOptions(error)) => error,
        other => panic!("{other:?}"),
    };
    type Check = fn(&MixOptionsError) -> bool;
    let layout: Check = |error| matches!(error, MixOptionsError::Layout(_));
    let mix: Check = |error| matches!(error, MixOptionsError::Mix(_));
    let latency: Check = |error| matches!(error, MixOptionsError::Latency { .. });
    for (options, is_expected) in [
        (video(|video| video.size = Size::new(641, 360).unwrap()), layout),
        (video(|video| video.size = Size::new(2, 2).unwrap()), mix),
        (video(|video| video.fps = 0), mix),
        (video(|video| video.fps = 61), mix),
        (video(|video| video.bits_per_second = 0), mix),
        (mixed_with(|mix| mix.audio = AudioOptions::default().with_channels(3)), mix),
        (mixed_with(|mix| mix.audio = AudioOptions::default().with_sample_rate(47_999)), mix),
        (mixed_with(|mix| mix.latency = RoomTime::from_millis(299)), latency),
        (
            mixed_with(|mix| {
                let outside = vec![CustomWindow::new(0, 0, 642, 2)];
                mix.layout = LayoutParams::new(Template::Custom(outside));
            }),
            layout,
        ),
    ] {
        let error = refused(options);
        assert!(is_expected(&error), "{error:?}");
    }
}

#[test]
fn the_same_room_gives_the_same_bytes_however_often_time_is_told() {
    let run = |step: i64| {
        let mut sim = two(mixed());
        let mut at = 0;
        while at < 12_000 {
            at = (at + step).min(12_000);
            sim.run_to(at);
            let now: Now = sim.now();
            sim.core.tick(now);
            sim.drain();
            if at == 6000 {
                sim.enter("carol");
            }
        }
        sim.stop(LeaveCode::API_STOP);
        sim.output.segments.clone()
    };
    let whole = run(6000);
    assert!(!whole.is_empty());
    assert!(whole == run(50), "other bytes");
}

#[test]
fn damaged_streams_take_nobody_down() {
    let mut sim = two(mixed());
    sim.leave("bob");
    sim.run_to(1000);
    sim.enter("mallory");
    // What looks like H.264 to begin with, then is noise; and sound that is none.
    let mut random = recorder_testkit::hostile::Random::new(7);
    let noise = |random: &mut recorder_testkit::hostile::Random, len: usize| -> Vec<u8> {
        (0..len).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
    };
    let mut pictures = recorder_testkit::h264::Pictures::new(Size::new(64, 48).unwrap()).unwrap();
    let video = (0..90_i64)
        .map(|n| {
            let mut data = pictures.idr(128).to_vec();
            if n % 3 > 0 {
                data.truncate(40);
                data.extend(noise(&mut random, 2000));
            }
            let at = RoomTime::from_millis(n * 100);
            (at, Sample::new(Timestamp::new(n * 9000, Timescale::HZ_90000), data.into()))
        })
        .collect();
    let audio = (0..400_i64)
        .map(|n| {
            let data = noise(&mut random, 120);
            (
                RoomTime::from_millis(n * 21),
                Sample::new(Timestamp::new(n * 1024, Timescale::HZ_48000), data.into()),
            )
        })
        .collect();
    sim.publish("mallory", MAIN, prepared(h264_config(), video));
    sim.publish("mallory", MAIN, prepared(microphone().config(), audio));
    sim.run_to(12_000);
    sim.stop(LeaveCode::API_STOP);
    sim.output.check();
    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 180);
    for (at, left, _) in &seen.pictures {
        assert!(near(*left, ALICE), "{at} ms: {left}");
    }
    assert_eq!(sim.core.refused().unknown, 0);
}

/// Alone, alice is passed on; with bob beside her she is drawn.
#[test]
fn a_video_that_fills_the_canvas_is_passed_on() {
    let mut sim = Sim::new(mixed_with(|mix| {
        let video = VideoOptions::default().with_size(Size::new(320, 180).unwrap());
        // The camera's rate: FFmpeg's null output takes the first rate for that of the whole.
        mix.video = video.with_fps(10).with_passthrough(true);
    }));
    sim.enter("alice");
    sim.publish("alice", MAIN, camera_showing(ALICE));
    sim.publish("alice", MAIN, microphone());
    sim.run_to(5050);
    sim.enter("bob");
    sim.publish("bob", MAIN, camera_showing(BOB));
    sim.run_to(7000);
    sim.leave("bob");
    sim.run_to(16_000);
    sim.stop(LeaveCode::API_STOP);
    sim.output.check();
    // Key frames come every 2 s: passed on up to 5 s and from 8 s on.
    let report = sim.core.mix_report().unwrap();
    assert_eq!((report.stats.passed, report.stats.pictures), (51 + 80, 29));
    let seen = seen(&sim);
    assert_eq!(seen.pictures.len(), 51 + 80 + 29);
    assert_shows(&seen.pictures, |at| if (5050..7000).contains(&at) { (ALICE, BOB) } else { (ALICE, ALICE) });
    assert_eq!(sim.output.playlist("1001").matches("#EXT-X-DISCONTINUITY\n").count(), 2);
    let folder = tempfile::tempdir().unwrap();
    for (name, data) in &sim.output.segments {
        std::fs::write(folder.path().join(name), data).unwrap();
    }
    let list = folder.path().join("mixed.m3u8");
    std::fs::write(&list, sim.output.playlist("1001")).unwrap();
    if let Some(verdict) = recorder_testkit::ffmpeg::strict_decode(&list) {
        assert!(matches!(verdict, recorder_testkit::ffmpeg::Verdict::Clean), "{verdict:?}");
    }
}

#[test]
fn work_is_left_out_when_the_task_is_behind_and_taken_up_again() {
    let mut sim = two(mixed());
    let mut steps = vec![sim.core.mix_report().unwrap().shedding];
    // Milliseconds behind at each second.
    for (second, behind) in (1..=60).zip([0; 3].into_iter().chain([1500; 7]).chain([0; 50])) {
        sim.run_to(second * 1000);
        sim.core.observe_delay(sim.now(), RoomTime::from_millis(behind));
        steps.push(sim.core.mix_report().unwrap().shedding);
    }
    sim.stop(LeaveCode::API_STOP);
    sim.output.check();
    steps.dedup();
    use recorder::mixer::Shedding::{HalfRate, Nothing, QuarterRate, Tiles};
    assert_eq!(steps, [Nothing, Tiles, HalfRate, QuarterRate, HalfRate, Tiles, Nothing]);
    assert_eq!(sim.output.shedding, steps[1..], "each is told");
    let stats = sim.core.mix_report().unwrap().stats;
    assert_eq!(stats.pictures + stats.shed, 60 * 15);
    let seen = seen(&sim);
    assert_eq!(u64::try_from(seen.pictures.len()).unwrap(), stats.pictures);
    assert_shows(&seen.pictures, |_| (ALICE, BOB));
    assert!(seen.sounds.windows(2).all(|pair| (21..=22).contains(&(pair[1] - pair[0]))), "sound is whole");
}

/// Red, green, blue and alpha of one colour.
fn bitmap(rgb: [u8; 3]) -> Arc<Bitmap> {
    let pixels = [rgb[0], rgb[1], rgb[2], 255].repeat(64 * 36);
    Arc::new(Bitmap::new(Size::new(64, 36).unwrap(), pixels).unwrap())
}

#[test]
fn images_are_asked_for_once_and_seen_from_when_they_come() {
    let url = |name: &str| -> ImageUrl { format!("https://images.example/{name}.png").parse().unwrap() };
    let params = LayoutParams::new(Template::Custom(vec![
        CustomWindow::new(0, 0, 320, 360).with_user(id("alice"), MAIN),
        CustomWindow::new(320, 0, 320, 360).with_user(id("bob"), MAIN).with_placeholder(Some(url("bob"))),
    ]))
    .with_background_image(Some(url("back")), RenderMode::Stretch)
    .with_placeholder_image(None, Placeholders::AllNamed);
    let rect = Rect::new(320, 0, Size::new(320, 360).unwrap()).unwrap();
    let mark = |name| Watermark::Image { image: ImageSource::Url(url(name)), rect };
    let mut sim = Sim::new(mixed_with(|mix| mix.layout = params.clone()));
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    let came =
        |sim: &mut Sim, name: &str, image| sim.event(RoomEvent::Image { url: url(name), image }).unwrap();
    sim.run_to(1000);
    came(&mut sim, "back", Some(bitmap([255; 3])));
    sim.run_to(2000);
    came(&mut sim, "bob", Some(bitmap([128; 3])));
    came(&mut sim, "stranger", Some(bitmap([0; 3])));
    sim.run_to(3000);
    sim.event(RoomEvent::Layout { layout: params, watermarks: vec![mark("mark"), mark("lost")] }).unwrap();
    sim.run_to(4000);
    came(&mut sim, "lost", None);
    came(&mut sim, "mark", Some(bitmap([0; 3])));
    sim.run_to(5000);
    sim.event(layout(LayoutParams::default())).unwrap();
    sim.run_to(6000);
    sim.stop(LeaveCode::API_STOP);
    let asked: Vec<_> =
        sim.output.log.lines().filter_map(|line| line.strip_prefix("image wanted: ")).collect();
    let names = ["back", "bob", "lost", "mark"].map(|name| url(name).to_string());
    assert_eq!(asked, names);
    let failed = Payload::DownloadImageError { url: url("lost").to_string() };
    let told: Vec<_> = sim.output.payloads.iter().filter(|(_, p)| p.event_type().number() == 309).collect();
    assert_eq!(told, [&(support::WALL + 4000, failed)]);
    assert_shows(&seen(&sim).pictures, |at| match at {
        ..1000 => (BLACK, BLACK),
        1000..2000 => (235, 235),
        2000..4000 => (235, 126),
        4000..5000 => (235, BLACK),
        _ => (BLACK, BLACK),
    });
}
