//! CPU time of one task that records 25 streams as they come, in real time, with nothing to decode or encode.
//!
//! `cargo bench -p recorder-benches --bench realtime -- [SECONDS]` (default 30). Each user sends H.264 of 25 pictures
//! a second and 1 Mbit/s, a key frame every two seconds; in the second run AAC of 64 kbit/s beside it, so that there
//! are 50 file sets. The spool and the bucket are folders under the system's temporary directory, durable as by
//! default. The time of the thread that hands samples over, an access unit at a time, is told apart.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use recorder::storage::Bucket;
use recorder::types::aac::AudioSpecificConfig;
use recorder::types::{
    AacConfig, H264Config, MediaId, MediaKind, NalFraming, RoomId, Sample, SdkAppId, Size, Timescale,
    Timestamp, TrackConfig, UserId,
};
use recorder::{Recorder, RecorderOptions, Recording, RecordingOptions, RoomEvent, TaskOptions, TrackOrigin};
use recorder_testkit::h264::{OpaqueKind, Pictures};
use rustix::time::{ClockId, clock_gettime};

const USERS: i64 = 25;
const PICTURES_A_SECOND: i64 = 25;
const GOP: i64 = 50;
/// 1 Mbit/s, a key frame five times as large as another picture.
const PICTURE_BYTES: usize = 4_630;
const FRAME_RATE: i64 = 48_000;
const FRAME_SAMPLES: i64 = 1_024;
/// 64 kbit/s.
const FRAME_BYTES: usize = 171;

/// What all users send.
struct Media {
    idr: Bytes,
    other: Bytes,
    frame: Option<Bytes>,
}

fn cpu(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()).as_secs_f64()
}

/// Every access unit that is due between two instants, in nanoseconds.
fn send(recording: &Recording, users: &[UserId], media: &Media, from: i64, to: i64) -> u64 {
    let mut sent = 0;
    let mut give = |user: &UserId, kind, number: i64, ticks: i64, scale, data: &Bytes| {
        let sample = Sample::new(Timestamp::new(number * ticks, scale), data.clone());
        let event = RoomEvent::Sample { user: user.clone(), media: MediaId::Main, kind, sample };
        recording.event(event).unwrap();
        sent += 1;
    };
    let due = |at: i64, rate: i64, unit: i64| (at.max(0) * rate).div_euclid(unit * 1_000_000_000) + 1;
    for (n, user) in (0..).zip(users) {
        // Nobody begins at the same instant.
        let (from, to) = (from - n * 1_630_000, to - n * 1_630_000);
        if to < 0 {
            continue;
        }
        let first = if from < 0 { 0 } else { due(from, PICTURES_A_SECOND, 1) };
        for number in first..due(to, PICTURES_A_SECOND, 1) {
            let data = if number % GOP == 0 { &media.idr } else { &media.other };
            give(user, MediaKind::Video, number, 3_600, Timescale::HZ_90000, data);
        }
        if let Some(frame) = &media.frame {
            let first = if from < 0 { 0 } else { due(from, FRAME_RATE, FRAME_SAMPLES) };
            for number in first..due(to, FRAME_RATE, FRAME_SAMPLES) {
                let scale = Timescale::new(48_000).unwrap();
                give(user, MediaKind::Audio, number, FRAME_SAMPLES, scale, frame);
            }
        }
    }
    sent
}

async fn run(seconds: u64, with_audio: bool) {
    let pictures = Pictures::new(Size::new(1280, 720).unwrap()).unwrap();
    let media = Media {
        idr: pictures.opaque(OpaqueKind::Idr, 5 * PICTURE_BYTES),
        other: pictures.opaque(OpaqueKind::Other, PICTURE_BYTES),
        frame: with_audio.then(|| vec![0x21; FRAME_BYTES].into()),
    };
    let h264 = H264Config { framing: NalFraming::AnnexB, parameter_sets: pictures.parameter_sets().to_vec() };
    let aac = AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let room = RoomId::integer(1001);
    let task =
        TaskOptions::new(SdkAppId::new(1_400_000_001), room, "t".parse().unwrap(), "robot".parse().unwrap());
    let bucket = Bucket::open(folder.path().join("out").to_str().unwrap(), Default::default()).unwrap();
    let recorder = Recorder::new(RecorderOptions::new(folder.path().join("spool")));
    let recording = recorder.start(RecordingOptions::new(task, bucket)).unwrap();
    let users: Vec<UserId> = (0..USERS).map(|n| format!("user{n}").parse().unwrap()).collect();
    for user in &users {
        recording.event(RoomEvent::Enter { user: user.clone() }).unwrap();
        let configs = [Some(TrackConfig::H264(h264.clone())), with_audio.then_some(TrackConfig::Aac(aac))];
        for config in configs.into_iter().flatten() {
            let (user, media, origin) = (user.clone(), MediaId::Main, TrackOrigin::FirstArrival);
            recording.event(RoomEvent::Publish { user, media, config, origin }).unwrap();
        }
    }

    let began = Instant::now();
    let (process, feeder) = (cpu(ClockId::ProcessCPUTime), cpu(ClockId::ThreadCPUTime));
    let (mut at, mut sent) = (-1, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let now = i64::try_from(began.elapsed().as_nanos()).unwrap();
        sent += send(&recording, &users, &media, at, now);
        at = now;
        std::thread::sleep(Duration::from_millis(5));
    }
    let feeder = cpu(ClockId::ThreadCPUTime) - feeder;
    let process = cpu(ClockId::ProcessCPUTime) - process;
    let wall = began.elapsed().as_secs_f64();
    recording.stop().await.unwrap();
    let outcome = recording.ended().await.unwrap();
    let bytes: u64 = outcome.status.files.iter().map(|set| set.bytes).sum();
    assert!(outcome.failure.is_none() && outcome.kept == 0);
    println!(
        "{} file sets, {wall:.1} s, {sent} access units, {:.1} Mbit/s: {:.2} % of a core, and {:.2} % to hand them over",
        outcome.status.files.len(),
        to_f64(bytes) * 8.0 / wall / 1e6,
        (process - feeder) / wall * 100.0,
        feeder / wall * 100.0,
    );
}

fn to_f64(number: u64) -> f64 {
    f64::from(u32::try_from(number / 1_000).unwrap_or(u32::MAX)) * 1_000.0
}

#[tokio::main]
async fn main() {
    // `cargo bench` and `cargo test` add flags of their own.
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let seconds = seconds.unwrap_or(30);
    run(seconds, false).await;
    run(seconds, true).await;
}
