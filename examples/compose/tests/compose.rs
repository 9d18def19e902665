//! A room recorded single and mixed: what is composed of the single recording is the mixed one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use recorder::callback::LeaveCode;
use recorder::compositor::{Rgb, TextStyle};
use recorder::layout::{CustomWindow, LayoutParams, Template};
use recorder::mix::Watermark;
use recorder::mixer::VideoOptions;
use recorder::storage::{Bucket, BucketOptions};
use recorder::types::{
    H264Config, MediaId, MediaKind, NalFraming, OpusConfig, RoomId, RoomTime, Sample, SdkAppId, Size,
    Timescale, Timestamp, TrackConfig, UnixMillis, UserId,
};
use recorder::{
    AvMerge, ClockMode, MixOptions, Now, Recorder, RecorderOptions, RecordingOptions, RoomEvent,
    Subscription, TaskOptions, TrackOrigin,
};
use recorder_room_input::{SimulatedOptions, SimulatedSource};
use recorder_testkit::ffmpeg::{self, Verdict};

const START: u64 = 1_700_000_000_123;

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn wall(millis: u64) -> UnixMillis {
    UnixMillis::new(START + millis).unwrap()
}

/// What happens, by the nanosecond at which it does.
#[derive(Default)]
struct Room(Vec<(i64, RoomEvent)>);

impl Room {
    fn at(&mut self, nanos: i64, event: RoomEvent) {
        self.0.push((nanos, event));
    }

    /// Somebody who sends from `from` to `until`; every unit comes up to 90 ms late, and on no round time.
    fn sends(
        &mut self,
        name: &str,
        media: MediaId,
        (from, until): (i64, i64),
        origin: TrackOrigin,
        kinds: &[MediaKind],
    ) {
        let mut options = SimulatedOptions::default();
        options.name = name.into();
        options.size = Size::new(320, 180).unwrap();
        options.seconds = u32::try_from((until - from) / 1_000_000_000 + 1).unwrap();
        let source = SimulatedSource::new(&options).unwrap();
        let tracks: Vec<_> = source.tracks().iter().map(|track| (track.kind, track.config.clone())).collect();
        for (_, config) in tracks.iter().filter(|(kind, _)| kinds.contains(kind)) {
            self.at(from, RoomEvent::Publish { user: user(name), media, config: config.clone(), origin });
        }
        let mut delay = 7_u64;
        let mut last = from;
        for unit in source {
            let (track, sample) = unit.unwrap();
            let kind = tracks[track].0;
            if !kinds.contains(&kind) {
                continue;
            }
            delay = delay.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let late = i64::try_from(delay >> 33).unwrap() % 90_000_000;
            let at = from + sample.dts.to_room_time().unwrap().nanos() + late;
            last = last.max(at);
            if last < until {
                self.at(last, RoomEvent::Sample { user: user(name), media, kind, sample });
            }
        }
    }

    fn events(mut self, end: i64) -> Vec<(Now, RoomEvent)> {
        self.0.sort_by_key(|(at, _)| *at);
        self.0.push((end, RoomEvent::Stop { code: LeaveCode::API_STOP }));
        let now = |at: i64| Now {
            room: RoomTime::from_nanos(at),
            wall: wall(u64::try_from(RoomTime::from_nanos(at).round_to_millis()).unwrap()),
        };
        self.0.into_iter().map(|(at, event)| (now(at), event)).collect()
    }
}

fn layout(template: Template) -> LayoutParams {
    LayoutParams::new(template).with_background(Rgb::new(20, 60, 90))
}

/// Alice and bob talk; carol shares a screen, leaves and comes back; bob mutes; lists and layout change; for a while
/// nobody is there.
fn room() -> Vec<(Now, RoomEvent)> {
    let both = [MediaKind::Audio, MediaKind::Video];
    let mut room = Room::default();
    let enter = |name| RoomEvent::Enter { user: user(name) };
    let leave = |name| RoomEvent::Leave { user: user(name) };
    let origin = |nanos| TrackOrigin::At(RoomTime::from_nanos(nanos));
    room.at(120_000_001, enter("alice"));
    room.sends("alice", MediaId::Main, (120_000_011, 14_000_000_333), origin(120_000_011), &both);
    room.at(1_433_700_123, enter("bob"));
    room.sends("bob", MediaId::Main, (1_433_700_123, 5_100_000_000), TrackOrigin::FirstArrival, &both);
    let mute = RoomEvent::Unpublish { user: user("bob"), media: MediaId::Main, kind: MediaKind::Video };
    room.at(5_100_000_000, mute);
    room.sends("bob", MediaId::Main, (6_200_000_777, 11_000_000_000), TrackOrigin::FirstArrival, &both[1..]);
    room.at(2_000_000_017, enter("carol"));
    room.sends("carol", MediaId::Aux, (2_000_000_017, 4_000_000_000), origin(1_950_000_000), &both[1..]);
    room.at(4_000_000_000, leave("carol"));
    room.at(9_000_000_000, enter("carol"));
    room.sends("carol", MediaId::Main, (9_000_000_005, 13_000_000_000), origin(9_000_000_005), &both);
    let half = |left, name| CustomWindow::new(left, 0, 320, 360).with_user(user(name), MediaId::Main);
    let text = Watermark::Text {
        text: "composed".into(),
        rect: recorder::compositor::Rect::new(10, 20, Size::new(120, 40).unwrap()).unwrap(),
        style: TextStyle::default().with_background(Some(Rgb::new(1, 2, 3))),
    };
    room.at(
        3_141_592_653,
        RoomEvent::Layout {
            layout: layout(Template::Custom(vec![half(320, "alice"), half(0, "bob")])),
            watermarks: vec![text],
        },
    );
    room.at(7_777_777_777, RoomEvent::Layout { layout: layout(Template::Grid), watermarks: Vec::new() });
    let block = Subscription::everyone().with_blocked(MediaKind::Video, ["al.*$"]).unwrap();
    room.at(8_000_000_001, RoomEvent::Subscribe { subscription: block });
    room.at(10_500_000_001, RoomEvent::Subscribe { subscription: Subscription::everyone() });
    for (at, name) in [(13_000_000_000, "carol"), (13_500_000_000, "bob"), (14_000_000_333, "alice")] {
        room.at(at, leave(name));
    }
    room.at(17_000_000_000, enter("alice"));
    room.sends("alice", MediaId::Main, (17_000_000_009, 19_000_000_000), TrackOrigin::FirstArrival, &both);
    room.events(19_234_567_891)
}

fn mix() -> MixOptions {
    let video = VideoOptions::default().with_size(Size::new(640, 360).unwrap()).with_gop_seconds(4);
    let time = Watermark::Timestamp {
        position: recorder::compositor::Position::BottomRight,
        zone: recorder::compositor::TimeZone::new(4).unwrap(),
        style: TextStyle::default().with_font_size(20),
    };
    MixOptions::default()
        .with_video(video)
        .with_layout(layout(Template::Floating { large: None }))
        .with_watermarks(vec![time])
}

fn record(out: &Path, events: Vec<(Now, RoomEvent)>, change: impl FnOnce(&mut TaskOptions)) {
    let (app, room) = (SdkAppId::new(1_400_000_001), RoomId::text("the room").unwrap());
    let mut task = TaskOptions::new(app, room, "room".parse().unwrap(), user("robot"));
    task.timeline = true;
    change(&mut task);
    let bucket = Bucket::open(out.to_str().unwrap(), BucketOptions::default()).unwrap();
    let options = RecordingOptions::new(task, bucket).with_clock(ClockMode::Told { start: wall(0) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let spool = tempfile::tempdir().unwrap();
        let recording = Recorder::new(RecorderOptions::new(spool.path())).start(options).unwrap();
        for (now, event) in events {
            recording.event_at(now, event).await.unwrap();
        }
        assert_eq!(recording.ended().await.unwrap().kept, 0);
    });
}

fn compose(timeline: &Path, out: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compose"));
    command.arg(timeline).args(["--task-id", "room", "-o"]).arg(out).args(args);
    command.output().unwrap()
}

/// Files of a task, but for its timeline.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder.join("room")).unwrap();
    let read = entries.map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    });
    read.filter(|(name, _)| !name.ends_with(".jsonl")).collect()
}

fn timeline(folder: &Path) -> std::path::PathBuf {
    let mut names = std::fs::read_dir(folder.join("room")).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.extension().is_some_and(|ending| ending == "jsonl")).unwrap()
}

#[track_caller]
fn assert_composes(timeline: &Path, recordings: &Path, mixed: &Path, args: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let folder = recordings.join("room");
    let output = compose(timeline, out.path(), &[&["--recordings", folder.to_str().unwrap()], args].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
    let (live, later) = (files(mixed), files(out.path()));
    assert_eq!(live.keys().collect::<Vec<_>>(), later.keys().collect::<Vec<_>>());
    assert!(live.len() > 1);
    for (name, bytes) in live {
        assert!(bytes == later[&name], "{name} differs");
    }
}

#[test]
fn what_is_composed_is_what_was_mixed_to_the_byte() {
    let (single, merged, mixed) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let events = room();
    record(single.path(), events.clone(), |_| ());
    record(merged.path(), events.clone(), |task| task.merge = AvMerge::Merged);
    record(mixed.path(), events, |task| task.mix = Some(mix()));
    // By the timeline of the mixed task, which says all; of recordings in two file sets each, and in one.
    let told = timeline(mixed.path());
    assert_composes(&told, single.path(), mixed.path(), &[]);
    assert_composes(&told, merged.path(), mixed.path(), &["-q"]);
    let Some(verdict) = ffmpeg::strict_decode(&mixed.path().join("room").join(playlist(mixed.path()))) else {
        return;
    };
    assert!(matches!(verdict, Verdict::Clean), "{verdict:?}");
}

fn playlist(folder: &Path) -> String {
    files(folder).into_keys().find(|name| name.ends_with(".m3u8")).unwrap()
}

#[test]
fn a_single_task_that_nobody_mixed_is_mixed_later_by_options() {
    let (single, mixed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Changes of layout are refused by single tasks and so are not in their timelines.
    let events: Vec<_> =
        room().into_iter().filter(|(_, event)| !matches!(event, RoomEvent::Layout { .. })).collect();
    record(single.path(), events.clone(), |_| ());
    let live = MixOptions::default().with_video(
        VideoOptions::default().with_size(Size::new(320, 180).unwrap()).with_fps(10).with_gop_seconds(10),
    );
    let live = live.with_layout(LayoutParams::new(Template::ScreenShare {
        large: None,
        side: recorder::layout::LargeSide::Left,
    }));
    record(mixed.path(), events, |task| task.mix = Some(live));
    let options = ["--canvas", "320x180", "--fps", "10", "--layout", "screen-share"];
    assert_composes(&timeline(single.path()), single.path(), mixed.path(), &options);
}

/// Alone in the picture, in the size of the canvas.
#[test]
fn a_video_that_was_passed_on_is_passed_on_again() {
    let both = [MediaKind::Audio, MediaKind::Video];
    let mut room = Room::default();
    room.at(5, RoomEvent::Enter { user: user("alice") });
    room.sends("alice", MediaId::Main, (7, 12_000_000_000), TrackOrigin::FirstArrival, &both);
    room.at(5_400_000_000, RoomEvent::Enter { user: user("bob") });
    room.sends("bob", MediaId::Main, (5_500_000_001, 7_000_000_000), TrackOrigin::FirstArrival, &both[1..]);
    room.at(7_000_000_000, RoomEvent::Leave { user: user("bob") });
    let events = room.events(12_000_000_000);
    let (single, mixed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(single.path(), events.clone(), |_| ());
    let video = VideoOptions::default().with_size(Size::new(320, 180).unwrap()).with_passthrough(true);
    record(mixed.path(), events, |task| task.mix = Some(MixOptions::default().with_video(video)));
    // Black until the first picture comes, passed on, encoded while bob is there, passed on.
    let text = String::from_utf8(files(mixed.path())[&playlist(mixed.path())].clone()).unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 3, "{text}");
    assert_composes(&timeline(mixed.path()), single.path(), mixed.path(), &[]);
}

/// A room whose sound is Opus, which single-stream recordings hold as AAC.
#[test]
fn with_opus_the_pictures_are_the_same() {
    let mut room = Room::default();
    room.at(0, RoomEvent::Enter { user: user("alice") });
    room.sends(
        "alice",
        MediaId::Main,
        (1_000, 6_000_000_000),
        TrackOrigin::At(RoomTime::from_nanos(1_000)),
        &[MediaKind::Video],
    );
    let config = TrackConfig::Opus(OpusConfig { channels: 1, pre_skip: 312 });
    let origin = TrackOrigin::At(RoomTime::from_nanos(1_000));
    room.at(1_000, RoomEvent::Publish { user: user("alice"), media: MediaId::Main, config, origin });
    for n in 0..299_i64 {
        let at = Timestamp::new(n * 960, Timescale::HZ_48000);
        // 20 ms of wideband silence (RFC 6716 section 3.1).
        let sample = Sample::new(at, vec![0x48, 0xFF, 0xFE].into());
        let event =
            RoomEvent::Sample { user: user("alice"), media: MediaId::Main, kind: MediaKind::Audio, sample };
        room.at(1_000 + n * 20_000_000, event);
    }
    let events = room.events(6_000_000_000);
    let (single, mixed, out) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(single.path(), events.clone(), |_| ());
    record(mixed.path(), events, |task| task.mix = Some(mix()));
    let folder = single.path().join("room");
    let output = compose(
        &timeline(mixed.path()),
        out.path(),
        &["--recordings", folder.to_str().unwrap(), "--format", "hls+mp4"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files(out.path()).keys().any(|name| name.ends_with(".mp4")));
    let (live, later) = (decoded(mixed.path()), decoded(out.path()));
    assert_eq!(live.len(), 90);
    assert!(live == later, "pictures differ");
}

/// The pictures of a mixed recording as a decoder shows them.
fn decoded(folder: &Path) -> Vec<(i64, Vec<u8>)> {
    use recorder::codec::{DecodedPicture, H264Decoder, VideoDecoder};
    use recorder::hls::demux::{Demuxer, Event, UnitKind};
    let mut demuxer = Demuxer::default();
    files(folder).iter().filter(|(name, _)| name.ends_with(".ts")).for_each(|(_, data)| {
        demuxer.push(data);
        demuxer.next_segment();
    });
    demuxer.finish();
    let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let mut decoder = H264Decoder::new(&config, &Default::default()).unwrap();
    let mut pictures = Vec::new();
    let mut sink = |picture: &DecodedPicture<'_>| {
        let planes = picture.picture.planes();
        let bytes = planes.iter().flat_map(|plane| plane.data.to_vec()).collect();
        pictures.push((picture.pts.ticks(), bytes));
    };
    while let Some(event) = demuxer.poll() {
        if let Event::Unit(unit) = event
            && matches!(unit.kind, UnitKind::H264 { .. })
        {
            decoder.decode(&Sample::new(unit.time.unwrap().pts, unit.data), &mut sink).unwrap();
        }
    }
    decoder.flush(&mut sink).unwrap();
    pictures
}

#[test]
fn what_is_missing_is_told_and_the_rest_is_mixed() {
    let single = tempfile::tempdir().unwrap();
    record(single.path(), room(), |_| ());
    let told = timeline(single.path());
    // Bob's recording is gone, and one segment of alice's.
    let folder = single.path().join("room");
    let encoded = |name: &str| recorder::naming::encode_field(name.as_bytes());
    for name in files(single.path()).keys() {
        let is_bob = name.contains(&encoded("bob"));
        let is_first =
            name.contains(&encoded("alice")) && name.contains("_video_") && name.ends_with("13320243.ts");
        if is_bob || is_first {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
    }
    let out = tempfile::tempdir().unwrap();
    let output = compose(&told, out.path(), &["--canvas", "320x180"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("video of bob's main stream: there is no recording of it"), "{text}");
    assert!(files(out.path()).keys().any(|name| name.ends_with(".ts")));
}

#[test]
fn a_file_that_is_no_timeline_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let start = r#"{"at":0,"wall":5,"event":"start","version":1,"app":1,"room":"2","room_type":1,"stream_type":0,"media":0,"subscription":{},"max_idle":30}"#;
    let enter = |at: i64| format!(r#"{{"at":{at},"wall":5,"event":"enter","user":"a"}}"#);
    for (text, why) in [
        (String::new(), "it has no line"),
        ("x\n".into(), "line 1: not a line of a timeline"),
        (enter(3), "line 1: `start` is the event of the first line"),
        (format!("{start}\n{start}\n"), "line 2: `start` is the event of the first line"),
        (format!("{start}\n{}\n{}\n", enter(3), enter(2)), "line 3: time goes back from 3 to 2 ns"),
        (start.replace(r#""version":1"#, r#""version":2"#), "of version 2, this program reads 1"),
        (start.replace(r#""max_idle":30"#, r#""max_idle":0"#), "max_idle is 1 to 86400"),
        (start.replace(r#""room":"2""#, r#""room":"x""#), "an integer room id is"),
        (format!("{start}\n{{\"at\":1,\"wall\":5,\"event\":\"enter\",\"user\":\"a\\u0000\"}}\n"), "line 2"),
        (format!("{start}\n{{\"at\":1,\"wall\":5,\"event\":\"dance\"}}\n"), "unknown variant `dance`"),
    ] {
        let path = folder.path().join("1_2.timeline.jsonl");
        std::fs::write(&path, &text).unwrap();
        let output = compose(&path, &folder.path().join("out"), &[]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}: {told}");
        assert!(told.contains(why), "{text}: {told}");
    }
}
