//! People who come and go, and streams that begin and end, ten thousand times a second: the files stay few, nothing
//! piles up, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use recorder::callback::LeaveCode;
use recorder::hls::Loss;
use recorder::types::{MediaId, MediaKind, RoomTime, Sample, Size, Timescale, Timestamp, TrackConfig};
use recorder::{AvMerge, Now, RoomEvent, TaskOptions, TrackOrigin};
use recorder_testkit::h264;
use support::media::{aac_config, camera, h264_config, microphone, silence};
use support::sim::{Sim, encoded};
use support::{id, options, options_with};

const EVENTS: i64 = 10_000;
/// A set begins ten segments at once and one in each second.
const MOST: usize = 10 + 2;

/// What happens between two samples.
#[derive(Clone, Copy, Debug)]
enum Flap {
    Publish,
    Unpublish,
    Enter,
    LeaveAndEnter,
    /// Another configuration each time.
    Change,
    /// The sender's clock jumps an hour to and fro.
    Clock,
}

fn publish(kind: MediaKind, channels: u8) -> RoomEvent {
    let config = match kind {
        MediaKind::Video => h264_config(),
        MediaKind::Audio => TrackConfig::Aac(recorder::types::AacConfig::Raw(
            recorder::types::aac::AudioSpecificConfig::new(aac_config().sample_rate(), channels).unwrap(),
        )),
    };
    RoomEvent::Publish { user: id("bob"), media: MediaId::Main, config, origin: TrackOrigin::FirstArrival }
}

/// A second of Bob's flapping, and ten quiet ones, beside Alice.
fn run(task: TaskOptions, flap: Flap, kind: MediaKind) -> Sim {
    let mut sim = Sim::new(task);
    sim.enter("alice");
    sim.publish("alice", MediaId::Main, microphone());
    sim.publish("alice", MediaId::Main, camera());
    sim.enter("bob");
    sim.event(publish(kind, 1)).unwrap();
    let pictures = h264::Pictures::new(Size::new(32, 32).unwrap()).unwrap().idr(100);
    let (user, media) = (id("bob"), MediaId::Main);
    for n in 0..EVENTS {
        sim.run_to(1000 + n / 10);
        let leave = RoomEvent::Leave { user: user.clone() };
        let enter = || RoomEvent::Enter { user: user.clone() };
        let events = match flap {
            Flap::Publish => vec![publish(kind, 1)],
            Flap::Unpublish => {
                vec![RoomEvent::Unpublish { user: user.clone(), media, kind }, publish(kind, 1)]
            }
            Flap::Enter => vec![enter(), publish(kind, 1)],
            Flap::LeaveAndEnter => vec![leave, enter(), publish(kind, 1)],
            Flap::Change => vec![publish(kind, if n % 2 == 0 { 2 } else { 1 })],
            Flap::Clock => vec![],
        };
        let (scale, data) = match kind {
            MediaKind::Audio => (Timescale::HZ_48000, silence()),
            MediaKind::Video => (Timescale::HZ_90000, pictures.clone()),
        };
        let hour = if matches!(flap, Flap::Clock) && n % 2 == 0 { 3600 } else { 0 };
        let ticks = hour * i64::from(scale.hz()) + n * i64::from(scale.hz()) / 10_000;
        let sample = Sample::new(Timestamp::new(ticks, scale), data);
        let sample = RoomEvent::Sample { user: user.clone(), media, kind, sample };
        for event in events.into_iter().chain([sample]) {
            sim.event(event).unwrap();
        }
    }
    // Whoever comes to rest is recorded again.
    let source = if kind == MediaKind::Audio { microphone() } else { camera() };
    sim.publish("bob", media, source);
    sim.run_to(12_000);
    sim.stop(LeaveCode::API_STOP);
    sim
}

#[test]
fn ten_thousand_events_in_a_second_leave_few_files_and_disturb_nobody() {
    let mut quiet = Sim::new(options());
    quiet.enter("alice");
    quiet.publish("alice", MediaId::Main, microphone());
    quiet.publish("alice", MediaId::Main, camera());
    quiet.run_to(12_000);
    quiet.stop(LeaveCode::API_STOP);
    for flap in [Flap::Publish, Flap::Unpublish, Flap::Enter, Flap::LeaveAndEnter, Flap::Change, Flap::Clock]
    {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let sim = run(options(), flap, kind);
            sim.output.check();
            let (alice, bob) = (encoded("alice"), encoded("bob"));
            assert_eq!(sim.output.segments_of(&alice), quiet.output.segments_of(&alice), "{flap:?} {kind}");
            let segments = sim.output.segments_of(&bob).len();
            // A clock that is set moves on by a millisecond at least: ten thousand samples are ten seconds of media.
            let most = if matches!(flap, Flap::Clock) { MOST + 10 } else { MOST };
            assert!((2..=most).contains(&segments), "{flap:?} {kind}: {segments} segments");
            let file = sim.core.files().find(|file| file.user == Some(id("bob"))).unwrap();
            assert!(file.stats.lost(Loss::TooManySegments) > 5000, "{flap:?} {kind}: {:?}", file.stats);
            // It goes on within a second, or with the key frame after that.
            assert!(file.duration >= RoomTime::from_millis(7500), "{flap:?} {kind}: {:?}", file.duration);
        }
    }
}

#[test]
fn in_one_set_too() {
    for flap in [Flap::Publish, Flap::Unpublish, Flap::Enter, Flap::LeaveAndEnter] {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let sim = run(options_with(|task| task.merge = AvMerge::Merged), flap, kind);
            sim.output.check();
            let segments = sim.output.segments_of(&encoded("bob")).len();
            assert!((2..=MOST).contains(&segments), "{flap:?} {kind}: {segments} segments");
        }
    }
}

/// What a stream that starts a few times does costs nothing.
#[test]
fn a_few_starts_lose_nothing() {
    let mut sim = Sim::new(options());
    sim.enter("bob");
    for n in 0..9 {
        sim.publish("bob", MediaId::Main, microphone());
        sim.run_to(n * 100 + 100);
    }
    sim.run_to(3000);
    sim.stop(LeaveCode::API_STOP);
    sim.output.check();
    let file = sim.core.files().next().unwrap();
    assert_eq!((file.segments, file.stats.lost_total()), (9, 0));
}

#[test]
fn users_without_media_leave_nothing() {
    let mut sim = Sim::new(options());
    for n in 0..EVENTS {
        let user = id(&format!("u{n}"));
        let now = Now { room: RoomTime::from_nanos(n * 100_000), wall: support::wall(support::WALL) };
        sim.core.event(now, RoomEvent::Enter { user: user.clone() }).unwrap();
        let publish = RoomEvent::Publish {
            user: user.clone(),
            media: MediaId::Main,
            config: h264_config(),
            origin: TrackOrigin::FirstArrival,
        };
        sim.core.event(now, publish).unwrap();
        sim.core.event(now, RoomEvent::Leave { user }).unwrap();
    }
    assert_eq!(sim.core.files().count(), 0);
    assert!(sim.core.poll().is_none());
}
