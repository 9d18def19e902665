//! What becomes of single tracks: which are recorded, and that a bad one disturbs no other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder::callback::LeaveCode;
use recorder::types::{AacConfig, RoomTime, Sample, Timescale, Timestamp, TrackConfig};
use recorder::{AvMerge, EventError, MediaSelection, RoomEvent, StreamSelection, TaskOptions, TrackOrigin};
use support::media::{Source, aac_config, camera, h264_config, microphone, prepared};
use support::sim::{Sim, golden};
use support::{AUDIO, AUX, MAIN, VIDEO, id, options, options_with};

/// Samples of `source` for `seconds`, and from each time on an error of the sender's clock, in seconds.
fn with_jumps(mut source: Source, seconds: i64, jumps: &[(i64, i64)]) -> Source {
    let config = source.config();
    let mut samples = Vec::new();
    while let Some(at) = source.next_at().filter(|at| *at < RoomTime::from_secs(seconds)) {
        let mut sample = source.next();
        let off: i64 =
            jumps.iter().filter(|(from, _)| RoomTime::from_secs(*from) <= at).map(|(_, by)| by).sum();
        let scale = sample.dts.timescale();
        let moved = |at: Timestamp| Timestamp::new(at.ticks() + off * i64::from(scale.hz()), scale);
        (sample.pts, sample.dts) = (moved(sample.pts), moved(sample.dts));
        samples.push((at, sample));
    }
    prepared(config, samples)
}

/// Forward by an hour, back by an hour, forward by ten years, back by ten years and a day.
const JUMPS: [(i64, i64); 4] = [(4, 3600), (8, -3600), (13, 3650 * 86_400), (17, -3651 * 86_400)];

/// Alice, whose tracks are all right, and Bob with what is given.
fn room(task: TaskOptions, bob: impl IntoIterator<Item = Source>) -> Sim {
    let mut sim = Sim::new(task);
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, camera());
    sim.run_to(500);
    sim.enter("bob");
    for source in bob {
        sim.publish("bob", MAIN, source);
    }
    sim.run_to(22_500);
    sim.stop(LeaveCode::API_STOP);
    sim
}

#[test]
fn a_clock_that_jumps_costs_its_track_a_discontinuity_and_no_other_anything() {
    let (good_mic, good_cam) = (|| with_jumps(microphone(), 20, &[]), || with_jumps(camera(), 20, &[]));
    let (bad_mic, bad_cam) = (with_jumps(microphone(), 20, &JUMPS), with_jumps(camera(), 20, &JUMPS));
    let alone = room(options(), []);
    let good = room(options(), [good_mic(), good_cam()]);
    let audio = room(options(), [bad_mic.clone(), good_cam()]);
    let video = room(options(), [good_mic(), bad_cam.clone()]);
    let both = room(options(), [bad_mic.clone(), bad_cam.clone()]);
    golden("clock-jumps", &both);
    let bob = format!("{}__UserId_e_main_", support::sim::encoded("bob"));
    let (bob_audio, bob_video) = (format!("{bob}audio"), format!("{bob}video"));
    let alice = support::sim::encoded("alice");
    for sim in [&good, &audio, &video, &both] {
        assert_eq!(sim.output.segments_of(&alice), alone.output.segments_of(&alice));
    }
    assert_eq!(audio.output.segments_of(&bob_video), good.output.segments_of(&bob_video));
    assert_eq!(video.output.segments_of(&bob_audio), good.output.segments_of(&bob_audio));
    assert_ne!(audio.output.segments_of(&bob_audio), good.output.segments_of(&bob_audio));
    for part in [&bob_audio, &bob_video] {
        let text = both.output.playlist(part);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY").count(), 4, "{text}");
    }
    // Nothing was lost but the pictures that need a key frame before them.
    let stats: Vec<_> = both.core.files().map(|file| file.stats).collect();
    assert!(stats.iter().all(|stats| stats.lost_total() == 0));
    let good_stats: Vec<_> = good.core.files().map(|file| file.stats).collect();
    for (bad, good) in stats.iter().zip(&good_stats) {
        assert_eq!(bad.audio_frames, good.audio_frames);
        assert_eq!(bad.pictures + bad.waited, good.pictures);
    }
    // Where both are in one set the discontinuities are of the set, and Alice's is untouched.
    let merged = |bob| room(options_with(|task| task.merge = AvMerge::Merged), bob);
    let (good, both) = (merged([good_mic(), good_cam()]), merged([bad_mic, bad_cam]));
    golden("clock-jumps-merged", &both);
    assert_eq!(both.output.segments_of(&alice), good.output.segments_of(&alice));
}

#[test]
fn a_sender_whose_clock_starts_anywhere_is_placed_by_arrival() {
    for start in [0, -1, i64::from(u32::MAX), 1 << 33, -(1 << 40), 1 << 45] {
        let mut sim = Sim::new(options());
        sim.enter("bob");
        let mut source = microphone();
        let samples = (0..300)
            .map(|_| {
                let (at, mut sample) = (source.next_at().unwrap(), source.next());
                let ticks = Timestamp::new(sample.dts.ticks() + start, Timescale::HZ_48000);
                (sample.pts, sample.dts) = (ticks, ticks);
                (at, sample)
            })
            .collect();
        sim.run_to(1234);
        sim.publish("bob", MAIN, prepared(microphone().config(), samples));
        sim.run_to(20_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let file = sim.core.files().next().unwrap();
        assert_eq!(file.begin, Some(support::wall(support::WALL + 1234)), "{start}");
        assert_eq!((file.segments, file.stats.audio_frames, file.stats.lost_total()), (1, 300, 0), "{start}");
    }
}

#[test]
fn tracks_of_a_known_origin_stay_in_step_however_late_they_come() {
    let starts = |audio_late: i64| {
        let mut sim = Sim::new(options_with(|task| task.merge = AvMerge::Merged));
        sim.enter("bob");
        let late = |mut source: Source, late: i64, scale: i64| {
            let config = source.config();
            let mut samples = Vec::new();
            while let Some(at) = source.next_at().filter(|at| *at < RoomTime::from_secs(12)) {
                let mut sample = source.next();
                let ticks = at.round_to_ticks(sample.dts.timescale()) + scale;
                let at_track = Timestamp::new(ticks, sample.dts.timescale());
                (sample.pts, sample.dts) = (at_track, at_track);
                samples.push((at.saturating_add(RoomTime::from_millis(late)), sample));
            }
            prepared(config, samples)
        };
        // Tick zero of both was a second before the start.
        let origin = TrackOrigin::At(RoomTime::from_secs(-1));
        sim.publish_at("bob", MAIN, late(camera(), 0, 90_000), origin);
        sim.publish_at("bob", MAIN, late(microphone(), audio_late, 48_000), origin);
        sim.run_to(13_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        sim.core.files().next().unwrap().begin.unwrap().get() - support::WALL
    };
    for late in [0, 40, 140] {
        assert_eq!(starts(late), 0, "{late} ms");
    }
}

#[test]
fn options_choose_which_tracks_are_recorded() {
    use MediaSelection::{AuxOnly, Both, MainOnly};
    use StreamSelection::{AudioAndVideo, AudioOnly, VideoOnly};
    let (separate, merged) = (AvMerge::Separate, AvMerge::Merged);
    for (stream_type, media, merge, want) in [
        (AudioAndVideo, Both, separate, &["aux_video", "main_audio", "main_video"][..]),
        (AudioAndVideo, MainOnly, separate, &["main_audio", "main_video"]),
        (AudioAndVideo, AuxOnly, separate, &["aux_video"]),
        (AudioOnly, Both, separate, &["main_audio"]),
        (VideoOnly, Both, separate, &["aux_video", "main_video"]),
        (AudioAndVideo, Both, merged, &["aux_video", "main_audiovideo"]),
        (AudioAndVideo, MainOnly, merged, &["main_audiovideo"]),
        (AudioAndVideo, AuxOnly, merged, &["aux_video"]),
        (AudioOnly, Both, merged, &["main_audio"]),
        (VideoOnly, Both, merged, &["aux_video", "main_video"]),
        (AudioOnly, AuxOnly, merged, &[]),
    ] {
        let mut sim = Sim::new(options_with(|task| {
            (task.stream_type, task.media, task.merge) = (stream_type, media, merge);
        }));
        sim.enter("alice");
        for (media, source) in [(MAIN, microphone()), (MAIN, camera()), (AUX, camera()), (AUX, microphone())]
        {
            sim.publish("alice", media, source);
        }
        sim.run_to(3000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let names: Vec<_> =
            sim.output.playlists.keys().map(|name| name.rsplit_once("_e_").unwrap().1).collect();
        let want: Vec<_> = want.iter().map(|name| format!("{name}.m3u8")).collect();
        assert_eq!(names, want, "{stream_type:?} {media:?} {merge:?}");
        // 141 frames of each microphone and 30 pictures of each camera come in three seconds.
        let files: Vec<_> = sim.core.files().map(|file| file.stats).collect();
        let taken: u64 = files.iter().map(|stats| stats.audio_frames + stats.pictures).sum();
        assert_eq!(taken + sim.core.refused().unwanted, 2 * (141 + 30));
        assert!(files.iter().all(|stats| stats.audio_frames <= 141), "sound of a substream is not recorded");
    }
}

#[test]
fn events_that_cannot_be_followed_change_nothing() {
    let user = id("alice");
    let enter = |name: &str| RoomEvent::Enter { user: id(name) };
    let leave = RoomEvent::Leave { user: user.clone() };
    let publish = |user: &str| RoomEvent::Publish {
        user: id(user),
        media: MAIN,
        config: TrackConfig::Aac(AacConfig::Raw(aac_config())),
        origin: TrackOrigin::FirstArrival,
    };
    let unpublish = |kind| RoomEvent::Unpublish { user: user.clone(), media: MAIN, kind };
    let sample = |kind, ticks| RoomEvent::Sample {
        user: user.clone(),
        media: MAIN,
        kind,
        sample: Sample::new(Timestamp::new(ticks, Timescale::HZ_48000), support::media::silence()),
    };
    // Straight: a second of Alice's sound. Crooked: the same with everything between that cannot be.
    let run = |crooked: bool| {
        let mut sim = Sim::new(options());
        let mut refused = 0;
        let mut wrong = |sim: &mut Sim, event: RoomEvent, want: &str| {
            if crooked {
                let before = sim.core.deadline();
                let error = sim.event(event).unwrap_err();
                assert_eq!(error.to_string(), want);
                assert_eq!(sim.core.deadline(), before, "{want}");
                refused += u64::from(matches!(error, EventError::NotInRoom | EventError::NotPublished));
            }
        };
        let (absent, unpublished) = ("user is not in the room", "stream is not published");
        sim.run_to(100);
        wrong(&mut sim, sample(AUDIO, 0), unpublished);
        wrong(&mut sim, publish("alice"), absent);
        wrong(&mut sim, unpublish(AUDIO), unpublished);
        wrong(&mut sim, leave.clone(), absent);
        let long = "x".repeat(200);
        wrong(&mut sim, enter(&long), "no file name for this user and room");
        sim.enter("alice");
        wrong(&mut sim, unpublish(VIDEO), unpublished);
        wrong(&mut sim, sample(AUDIO, 0), unpublished);
        sim.event(publish("alice")).unwrap();
        for n in 0..47 {
            sim.run_to(200 + n * 1024 / 48);
            wrong(&mut sim, sample(VIDEO, n * 1024), unpublished);
            wrong(&mut sim, publish("bob"), absent);
            wrong(&mut sim, unpublish(VIDEO), unpublished);
            sim.event(sample(AUDIO, n * 1024)).unwrap();
        }
        sim.event(unpublish(AUDIO)).unwrap();
        wrong(&mut sim, unpublish(AUDIO), unpublished);
        sim.event(leave.clone()).unwrap();
        wrong(&mut sim, leave.clone(), absent);
        sim.run_to(2000);
        sim.stop(LeaveCode::API_STOP);
        for event in
            [enter("alice"), leave.clone(), sample(AUDIO, 0), RoomEvent::Stop { code: LeaveCode::IDLE }]
        {
            wrong(&mut sim, event, "the recording has ended");
        }
        assert_eq!(sim.core.refused().unknown, refused);
        sim.output.check();
        sim
    };
    let (straight, crooked) = (run(false), run(true));
    assert_eq!(straight.transcript(), crooked.transcript());
    assert_eq!(straight.output.segments, crooked.output.segments);
    assert!(crooked.core.refused().unknown > 100);
}

#[test]
fn samples_that_are_no_media_are_dropped_and_counted() {
    let mut sim = Sim::new(options());
    sim.enter("alice");
    sim.publish("alice", MAIN, microphone());
    sim.publish("alice", MAIN, prepared(h264_config(), Vec::new()));
    let mut camera = camera();
    let mut garbage = 0;
    for n in 0..100i64 {
        sim.run_to(n * 100);
        let good = camera.next();
        for data in [&[][..], &[0, 0, 0, 1], &[0, 0, 0, 1, 0xFF, 1, 2], b"no start code", &good.data[..9]] {
            let off = Timestamp::new(good.dts.ticks() - 10, Timescale::HZ_90000);
            let sample = Sample::new(off, bytes::Bytes::copy_from_slice(data));
            sim.sample("alice", MAIN, VIDEO, sample).unwrap();
            garbage += 1;
        }
        sim.sample("alice", MAIN, VIDEO, good).unwrap();
    }
    sim.stop(LeaveCode::API_STOP);
    sim.output.check();
    let stats = sim.core.files().find(|file| file.playlist.as_str().contains("video")).unwrap().stats;
    assert_eq!((stats.lost_total(), stats.pictures), (garbage, 100));
}

#[cfg(not(feature = "opus"))]
#[test]
fn opus_without_its_feature_is_refused() {
    let mut sim = Sim::new(options());
    sim.enter("alice");
    let config = TrackConfig::Opus(recorder::types::OpusConfig { channels: 1, pre_skip: 0 });
    let publish =
        RoomEvent::Publish { user: id("alice"), media: MAIN, config, origin: TrackOrigin::FirstArrival };
    assert!(matches!(sim.event(publish), Err(EventError::OpusNotEnabled)));
}

#[cfg(feature = "opus")]
mod opus {
    use recorder::types::OpusConfig;
    use recorder_codec::{AudioEncoder, OpusEncoder, OpusEncoderOptions};

    use super::*;

    const CONFIG: OpusConfig = OpusConfig { channels: 1, pre_skip: 0 };

    /// Packets of 20 ms with a tone, `lost` of them left out; the sender's clock begins at 12 345.
    fn packets(seconds: i64, lost: impl Fn(i64) -> bool, off: impl Fn(i64) -> i64) -> Source {
        let tone: Vec<f32> = (0..seconds * 48_000)
            .map(|n| f32::from(u16::try_from(n * 440 % 48_000).unwrap()) / 96_000.0 - 0.25)
            .collect();
        let mut packets = Vec::new();
        OpusEncoder::new(1, OpusEncoderOptions::default()).unwrap().encode(&tone, &mut packets).unwrap();
        let samples = (0..)
            .zip(packets)
            .filter(|(n, _)| !lost(*n))
            .map(|(n, packet)| {
                let ticks = Timestamp::new(12_345 + n * 960 + off(n), Timescale::HZ_48000);
                (RoomTime::from_millis(n * 20), Sample::new(ticks, packet))
            })
            .collect();
        prepared(TrackConfig::Opus(CONFIG), samples)
    }

    #[test]
    fn becomes_aac_at_the_same_times() {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        sim.run_to(700);
        sim.publish("alice", MAIN, packets(12, |_| false, |_| 0));
        sim.run_to(13_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let text = sim.output.playlist("main_audio");
        assert!(text.contains("Channel:1 SampleRate:48000"), "{text}");
        let file = sim.core.files().next().unwrap();
        // 12 s of packets, of which the encoder holds back its look-ahead.
        let frames = i64::try_from(file.stats.audio_frames).unwrap();
        assert!((frames * 1024 - 12 * 48_000).abs() <= 2048, "{frames} frames");
        assert_eq!(file.begin, Some(support::wall(support::WALL + 700)));
        let span = RoomTime::from_nanos(frames * 1024 * 1_000_000_000 / 48_000);
        assert!((file.duration.nanos() - span.nanos()).abs() < 1000, "{:?} {span:?}", file.duration);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY").count(), 0, "{text}");
    }

    #[test]
    fn lost_packets_do_not_shift_what_follows() {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        sim.publish("alice", MAIN, packets(12, |n| (100..110).contains(&n) || n == 300, |_| 0));
        sim.run_to(13_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let file = sim.core.files().next().unwrap();
        let off = file.duration.nanos() - 12_000_000_000;
        assert!(off.abs() < 45_000_000, "{off} ns");
    }

    #[test]
    fn a_jump_of_its_clock_starts_it_over() {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        sim.publish("alice", MAIN, packets(12, |_| false, |n| if n >= 250 { 3_600 * 48_000 } else { 0 }));
        sim.run_to(13_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let text = sim.output.playlist("main_audio");
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY").count(), 1, "{text}");
        let file = sim.core.files().next().unwrap();
        assert!((file.duration.nanos() - 12_000_000_000).abs() < 90_000_000, "{:?}", file.duration);
    }

    #[test]
    fn a_pause_is_a_gap_and_no_hour_of_silence() {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        let Source::Prepared(mut source) =
            packets(4, |_| false, |n| if n >= 100 { 3_600 * 48_000 } else { 0 })
        else {
            unreachable!()
        };
        for (at, _) in &mut source.samples[100..] {
            *at = at.saturating_add(RoomTime::from_secs(3600));
        }
        sim.publish("alice", MAIN, Source::Prepared(source));
        sim.run_to(3_700_000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let file = sim.core.files().next().unwrap();
        assert_eq!(file.segments, 2);
        assert!((file.duration.nanos() - 4_000_000_000).abs() < 90_000_000, "{:?}", file.duration);
    }

    #[test]
    fn bytes_that_are_no_opus_do_not_end_the_track() {
        let mut sim = Sim::new(options());
        sim.enter("alice");
        let Source::Prepared(mut source) = packets(4, |_| false, |_| 0) else { unreachable!() };
        for (n, (_, sample)) in source.samples.iter_mut().enumerate() {
            if n % 10 == 5 {
                sample.data = bytes::Bytes::from(vec![0xFF; n % 7]);
            }
        }
        sim.publish("alice", MAIN, Source::Prepared(source));
        sim.run_to(5000);
        sim.stop(LeaveCode::API_STOP);
        sim.output.check();
        let file = sim.core.files().next().unwrap();
        assert!((file.duration.nanos() - 4_000_000_000).abs() < 90_000_000, "{:?}", file.duration);
    }
}
