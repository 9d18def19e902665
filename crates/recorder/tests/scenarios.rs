//! Recordings of small rooms from beginning to end: every event and playlist, held against files.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder::callback::LeaveCode;
use recorder::naming::HaRun;
use recorder::types::RoomTime;
use recorder::{AvMerge, MAX_ANCHORS, MaxIdleTime, Refused, Subscription, TaskState};
use support::media::{camera, camera_in_mid_stream, camera_of, microphone};
use support::sim::{Sim, Storage, encoded, golden};
use support::{AUDIO, AUX, MAIN, VIDEO, options, options_with};

/// The starts of a playlist's segments, in milliseconds since the start of the task.
fn starts(playlist: &str) -> Vec<u64> {
    let start = |line: &str| line.strip_prefix("#EXT-X-TRTC-FILE-ATTR:")?.split(',').next()?.parse().ok();
    playlist.lines().filter_map(start).map(|start: u64| start - support::WALL).collect()
}

fn discontinuities(playlist: &str) -> usize {
    playlist.lines().filter(|line| *line == "#EXT-X-DISCONTINUITY").count()
}

fn merged() -> recorder::TaskOptions {
    options_with(|task| task.merge = AvMerge::Merged)
}

#[test]
fn stopped_by_the_api() {
    let mut sim = Sim::new(options());
    assert_eq!(sim.core.state(), TaskState::Idle);
    sim.run_to(1000);
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, camera());
    sim.run_to(3500);
    assert_eq!(sim.core.state(), TaskState::InProgress);
    sim.enter("bob");
    sim.publish("bob", MAIN, microphone());
    sim.publish("bob", AUX, camera_of(128, 96));
    sim.run_to(24_250);
    sim.stop(LeaveCode::API_STOP);
    assert_eq!(sim.core.state(), TaskState::Exited);
    assert!(sim.output.finished);
    assert_eq!(sim.output.playlists.len(), 4);
    golden("api-stop", &sim);
}

#[test]
fn nobody_stays() {
    let mut task = options();
    task.max_idle = MaxIdleTime::from_secs(7).unwrap();
    let mut sim = Sim::new(task);
    sim.run_to(6999);
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.run_to(9000);
    sim.leave("alice");
    assert_eq!(sim.core.deadline(), Some(RoomTime::from_millis(16_000)));
    sim.run_to(15_999);
    assert!(!sim.output.finished);
    sim.run_to(60_000);
    golden("idle", &sim);
    let stop = sim.output.payloads.iter().find(|(_, payload)| payload.event_type().number() == 302).unwrap();
    assert_eq!(stop.0, support::WALL + 16_000, "to the millisecond");
}

#[test]
fn nobody_comes() {
    let mut sim = Sim::new(options());
    sim.run_to(100_000);
    golden("nobody", &sim);
    assert_eq!(sim.output.payloads[2].0, support::WALL + 30_000);
}

#[test]
fn the_room_is_dismissed_or_the_robot_removed_or_displaced() {
    for (code, name) in [
        (LeaveCode::DISMISSED_BY_CUSTOMER, "room-dismissed"),
        (LeaveCode::REMOVED_BY_CUSTOMER, "robot-removed"),
        (LeaveCode::DISPLACED, "robot-displaced"),
    ] {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        sim.publish("alice", MAIN, microphone());
        sim.run_to(2000);
        sim.stop(code);
        golden(name, &sim);
    }
}

#[test]
fn a_store_that_is_down_is_told_and_what_was_kept_comes_later() {
    let mut sim = Sim::new(options());
    sim.storage = Storage::Down;
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.run_to(23_000);
    sim.stop(LeaveCode::API_STOP);
    assert!(!sim.output.finished);
    sim.run_to(300_000);
    sim.storage_is_back();
    assert!(sim.output.finished);
    golden("store-down", &sim);
}

#[test]
fn audio_and_video_in_one_set() {
    let mut sim = Sim::new(merged());
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, camera());
    sim.publish("alice", AUX, camera_of(128, 96));
    sim.run_to(24_250);
    sim.stop(LeaveCode::API_STOP);
    golden("merged", &sim);
    assert_eq!(
        discontinuities(&sim.output.playlist("audiovideo")),
        0,
        "both were there from the first sample on"
    );
}

#[test]
fn who_enters_again_goes_on_in_the_same_files_after_a_gap() {
    for (name, options) in [("re-entry", options()), ("re-entry-merged", merged())] {
        let mut sim = Sim::new(options);
        sim.enter("alice");
        sim.publish("alice", MAIN, microphone());
        sim.publish("alice", MAIN, camera());
        sim.run_to(12_300);
        sim.leave("alice");
        sim.run_to(20_000);
        sim.enter("alice");
        sim.publish("alice", MAIN, microphone());
        sim.publish("alice", MAIN, camera());
        sim.run_to(25_000);
        // Once more while still here: the leave was lost.
        sim.enter("alice");
        sim.publish("alice", MAIN, microphone());
        sim.publish("alice", MAIN, camera());
        sim.run_to(28_000);
        sim.stop(LeaveCode::API_STOP);
        golden(name, &sim);
        for playlist in sim.output.playlists.values() {
            let text = playlist.to_string();
            assert!(starts(&text).contains(&20_000) && starts(&text).contains(&25_000), "{text}");
            assert_eq!(discontinuities(&text), 2, "{text}");
        }
    }
}

#[test]
fn muted_and_unmuted() {
    for (name, options) in [("mute", options()), ("mute-merged", merged())] {
        let mut sim = Sim::new(options);
        sim.enter("alice");
        sim.publish("alice", MAIN, microphone());
        sim.publish("alice", MAIN, camera());
        sim.run_to(4000);
        sim.unpublish("alice", MAIN, VIDEO);
        sim.run_to(9000);
        sim.publish("alice", MAIN, camera());
        sim.run_to(14_000);
        sim.unpublish("alice", MAIN, AUDIO);
        sim.run_to(16_500);
        sim.publish("alice", MAIN, microphone());
        sim.run_to(18_000);
        sim.stop(LeaveCode::API_STOP);
        golden(name, &sim);
    }
}

/// HLS is split when the task has run for 14 days: the segment that is open then is the last of its playlist.
#[test]
fn a_playlist_of_more_than_14_days_is_split() {
    const DAY: i64 = 86_400_000;
    let mut sim = Sim::new(merged());
    sim.enter("alice");
    sim.enter("bob");
    sim.publish("alice", MAIN, microphone());
    sim.publish("bob", MAIN, microphone());
    sim.run_to(11_000);
    sim.unpublish("alice", MAIN, AUDIO);
    sim.unpublish("bob", MAIN, AUDIO);
    sim.run_to(14 * DAY - 15_000);
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, camera());
    sim.run_to(14 * DAY + 20_000);
    // Silent at the second split: it is made when there is something again.
    sim.leave("alice");
    sim.run_to(30 * DAY);
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.run_to(30 * DAY + 5000);
    sim.stop(LeaveCode::API_STOP);
    golden("fourteen-days", &sim);
    let seconds = |text: &str| -> f64 {
        let lengths = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','));
        lengths.map(|length| length.parse::<f64>().unwrap()).sum()
    };
    let alice = encoded("alice");
    let lists: Vec<(&str, f64)> = sim
        .output
        .playlists
        .iter()
        .filter(|(name, _)| name.contains(&alice))
        .map(|(name, text)| (name.rsplit_once("audiovideo").unwrap().1, seconds(&text.to_string()).round()))
        .collect();
    assert_eq!(lists, [(".m3u8", 31.0), ("_2.m3u8", 15.0), ("_3.m3u8", 5.0)]);
    let reports: Vec<String> = sim.core.files().map(|file| file.playlist.to_string()).collect();
    assert_eq!(reports.len(), 4, "{reports:?}");
    let told = sim.output.payloads.iter().filter(|(_, payload)| payload.event_type().number() == 307);
    assert_eq!(told.count(), 4, "each playlist is told");
}

#[test]
fn a_new_size_and_a_new_codec_configuration_go_on_after_a_discontinuity() {
    let mut sim = Sim::new(options());
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, camera());
    sim.run_to(5000);
    // As an encoder does it: other parameter sets in the same stream.
    let mut grown = camera_of(128, 96);
    for n in 0..30 {
        let mut sample = grown.next();
        let ticks = 5_000_000 + (50 + n) * 9000;
        let at = recorder::types::Timestamp::new(ticks, recorder::types::Timescale::HZ_90000);
        (sample.pts, sample.dts) = (at, at);
        sim.run_to_without(5000 + n * 100, "alice", VIDEO);
        sim.sample("alice", MAIN, VIDEO, sample).unwrap();
    }
    // As a publisher does it: the stream begins anew with another configuration.
    let stereo = recorder::types::aac::AudioSpecificConfig::new(44_100, 2).unwrap();
    let frames = recorder_testkit::aac::silence(stereo, 120, 0).into_iter();
    let frames = frames.map(|frame| (frame.dts.to_room_time().unwrap(), frame)).collect();
    let config = recorder::types::TrackConfig::Aac(recorder::types::AacConfig::Raw(stereo));
    sim.publish("alice", MAIN, support::media::prepared(config, frames));
    sim.run_to(10_000);
    sim.stop(LeaveCode::API_STOP);
    golden("new-configuration", &sim);
    assert!(sim.output.playlist("main_video").contains("WIDTH:128 HEIGHT:96"));
    assert!(sim.output.playlist("main_audio").contains("Channel:2 SampleRate:44100"));
}

#[test]
fn a_late_joiner_waits_for_a_key_frame_and_is_asked_for_it_once() {
    let mut sim = Sim::new(options());
    sim.enter("alice");
    sim.publish("alice", MAIN, camera_in_mid_stream(13));
    sim.run_to(1000);
    assert_eq!(sim.output.key_frames.len(), 1, "asked at the first picture, and once");
    sim.run_to(3000);
    let stats = sim.core.files().next().unwrap().stats;
    assert_eq!((stats.waited, stats.pictures), (13, 17));
    // Whoever comes back in the middle of a stream is another sender: asked again, also while the one before was.
    sim.leave("alice");
    sim.enter("alice");
    sim.publish("alice", MAIN, camera_in_mid_stream(15));
    sim.run_to(4000);
    sim.leave("alice");
    sim.enter("alice");
    sim.publish("alice", MAIN, camera_in_mid_stream(5));
    sim.run_to(5000);
    assert_eq!(sim.output.key_frames.len(), 3);
    sim.stop(LeaveCode::API_STOP);
    golden("late-joiner", &sim);
    assert_eq!(starts(&sim.output.playlist("main_video")), [1300, 4500]);
}

#[test]
fn the_26th_waits_and_takes_over() {
    let mut sim = Sim::new(options());
    for n in 0..=MAX_ANCHORS {
        sim.enter(&format!("u{n:02}"));
        sim.publish(&format!("u{n:02}"), MAIN, microphone());
    }
    sim.run_to(2000);
    assert_eq!(sim.core.files().count(), MAX_ANCHORS);
    assert_eq!(sim.core.refused().without_place, 94);
    sim.leave("u07");
    sim.run_to(4000);
    // The place is taken: whoever comes back waits in turn.
    sim.enter("u07");
    sim.publish("u07", MAIN, microphone());
    sim.run_to(5000);
    sim.stop(LeaveCode::API_STOP);
    golden("anchors", &sim);
    let late = format!("{}_", encoded("u25"));
    assert_eq!(sim.core.files().count(), MAX_ANCHORS + 1);
    // The first frame after that moment is the 94th, at 2005.33 ms.
    assert_eq!(starts(&sim.output.playlist(&late)), [2005]);
    assert_eq!(starts(&sim.output.playlist(&format!("{}_", encoded("u07")))), [0]);
}

#[test]
fn lists_choose_whom_to_record() {
    let mut task = options();
    task.subscription = Subscription::everyone()
        .with_allowed(AUDIO, ["t.*$", "carol"])
        .unwrap()
        .with_blocked(VIDEO, ["tom"])
        .unwrap();
    let mut sim = Sim::new(task);
    for user in ["tim", "tom", "carol", "dave"] {
        sim.enter(user);
        sim.publish(user, MAIN, microphone());
        sim.publish(user, MAIN, camera());
    }
    sim.run_to(4000);
    // A user whose id is the pattern: the entry means that one alone while they are here.
    sim.enter("t.*$");
    sim.publish("t.*$", MAIN, microphone());
    sim.run_to(6000);
    sim.leave("t.*$");
    sim.run_to(9000);
    sim.subscribe(Subscription::everyone().with_allowed(VIDEO, ["dave"]).unwrap());
    sim.run_to(11_000);
    sim.stop(LeaveCode::API_STOP);
    golden("lists", &sim);
    for (user, audio, video) in [
        ("tim", &[0, 6016][..], &[0][..]),
        ("tom", &[0, 6016], &[]),
        ("carol", &[0, 10_000], &[0]),
        ("dave", &[9002], &[0, 10_000]),
        ("t.*$", &[4000], &[]),
    ] {
        for (kind, want) in [("audio", audio), ("video", video)] {
            let name = format!("__UserId_s_{}__UserId_e_main_{kind}", encoded(user));
            let found: Vec<_> =
                sim.output.playlists.iter().filter(|(list, _)| list.contains(&name)).collect();
            let found: Vec<u64> = found.iter().flat_map(|(_, text)| starts(&text.to_string())).collect();
            assert_eq!(found, want, "{user} {kind}");
        }
    }
}

#[test]
fn names_of_a_run_that_took_over_have_its_number() {
    let mut task = options();
    task.ha_run = Some(HaRun::new(2).unwrap());
    task.room = recorder::types::RoomId::text("room_366").unwrap();
    task.prefix = "rec/2023".parse().unwrap();
    let mut sim = Sim::new(task);
    assert_eq!(sim.core.directory().as_str(), "rec/2023/task01");
    sim.enter("\u{5f20}\u{4e09}");
    sim.publish("\u{5f20}\u{4e09}", MAIN, microphone());
    sim.run_to(1000);
    sim.stop(LeaveCode::API_STOP);
    golden("ha-run", &sim);
    assert!(
        sim.output.segments.keys().all(|name| name.starts_with("ha2_1400000001_cm9vbV8zNjY.__UserId_s_"))
    );
    assert_eq!(sim.core.refused(), Refused::default());
}
