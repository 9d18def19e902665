//! How fast the recording API answers, in real time: with a hundred tasks that record, and while people enter, publish and
//! leave ten thousand times a second.
//!
//! `cargo bench -p recorder-benches --bench service -- [SECONDS]` (default 20, for each of the two). Twenty calls a second
//! of each action. Spool and bucket are folders under the system's temporary directory, durable as by default.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use recorder::api::{Action, AutoRecording, Request};
use recorder::storage::Bucket;
use recorder::types::aac::AudioSpecificConfig;
use recorder::types::{
    AacConfig, MediaId, MediaKind, RoomId, Sample, SdkAppId, Timescale, Timestamp, TrackConfig, UserId,
};
use recorder::{Recorder, RecorderOptions, RoomEvent, RoomKey, Service, ServiceOptions, TrackOrigin};

const APP: u32 = 1_400_000_001;
/// Calls of each action, and frames of each user, are given out in steps of a twentieth of a second.
const STEP: Duration = Duration::from_millis(50);
const EVENTS_A_STEP: u32 = 500;

struct Bench {
    service: Service,
    times: BTreeMap<&'static str, Vec<Duration>>,
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(root.path().join("bucket").to_str().unwrap(), Default::default()).unwrap();
        let recorder = Recorder::new(RecorderOptions::new(root.path().join("spool")));
        let service = Service::new(recorder, ServiceOptions::new(move |_| Ok(bucket.clone())));
        Self { service, times: BTreeMap::new(), root }
    }

    fn note(&mut self, what: &'static str, begun: Instant) {
        self.times.entry(what).or_default().push(begun.elapsed());
    }

    async fn call(&mut self, action: Action, body: &str) -> String {
        let begun = Instant::now();
        let task = match Request::from_json(action, body.as_bytes()).unwrap() {
            Request::Create(request) => self.service.create(&request).await.unwrap().task_id,
            Request::Describe(request) => self.service.describe(&request).await.unwrap().task_id,
            Request::Modify(request) => self.service.modify(&request).unwrap().task_id,
            Request::Delete(request) => self.service.delete(&request).unwrap().task_id,
        };
        self.note(action.as_str(), begun);
        task
    }

    async fn create(&mut self, room: u32) -> String {
        let body = format!(
            r#"{{"SdkAppId": {APP}, "RoomId": "{room}", "UserId": "robot", "UserSig": "x", "RecordParams": {{"RecordMode": 1}},
            "StorageParams": {{"CloudStorage":
            {{"Vendor": 0, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}}}}"#
        );
        self.call(Action::CreateCloudRecording, &body).await
    }

    /// One call of each action: `asked` stays, `changed` ends, and another begins in its room.
    async fn calls(&mut self, asked: &str, (room, changed): &mut (u32, String)) {
        let body = |task: &str| format!(r#"{{"SdkAppId": {APP}, "TaskId": "{task}"}}"#);
        self.call(Action::DescribeCloudRecording, &body(asked)).await;
        self.call(Action::ModifyCloudRecording, &body(asked)).await;
        self.call(Action::DeleteCloudRecording, &body(changed)).await;
        *changed = self.create(*room).await;
    }

    fn event(&mut self, room: u32, event: &RoomEvent) {
        let begun = Instant::now();
        self.service.event(&key(room), event);
        self.note("event of a room", begun);
    }

    async fn finish(mut self, name: &str) {
        self.service.shut_down().await;
        println!("{name}");
        for (what, times) in &mut self.times {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 1000];
            println!(
                "  {what}: {} times, p50 {:.3?}, p99 {:.3?}, longest {:.3?}",
                times.len(),
                at(500),
                at(990),
                at(1000)
            );
        }
        let files = files(self.root.path());
        println!("  {files} files");
    }
}

fn files(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn key(room: u32) -> RoomKey {
    RoomKey { app: SdkAppId::new(APP), room: RoomId::integer(room) }
}

fn publish(user: &UserId) -> RoomEvent {
    let config = TrackConfig::Aac(AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap()));
    RoomEvent::Publish { user: user.clone(), media: MediaId::Main, config, origin: TrackOrigin::FirstArrival }
}

fn frame(user: &UserId, number: i64) -> RoomEvent {
    let sample = Sample::new(Timestamp::new(number * 1024, Timescale::HZ_48000), vec![0x21; 171].into());
    RoomEvent::Sample { user: user.clone(), media: MediaId::Main, kind: MediaKind::Audio, sample }
}

async fn hundred_tasks(seconds: u64) {
    let mut bench = Bench::new();
    let user: UserId = "alice".parse().unwrap();
    let mut tasks = Vec::new();
    for room in 0..100 {
        bench.service.event(&key(room), &RoomEvent::Enter { user: user.clone() });
        bench.service.event(&key(room), &publish(&user));
        tasks.push((room, bench.create(room).await));
    }
    let (begun, mut sent) = (Instant::now(), 0);
    for step in 0..usize::try_from(seconds * 20).unwrap() {
        let until = begun + STEP * u32::try_from(step + 1).unwrap();
        while sent * 1024 < i64::try_from(step + 1).unwrap() * 48 * 50 {
            let frame = frame(&user, sent);
            (0..100).for_each(|room| bench.event(room, &frame));
            sent += 1;
        }
        let (steady, changing) = tasks.split_at_mut(90);
        bench.calls(&steady[step % 90].1, &mut changing[step % 10]).await;
        tokio::time::sleep_until(until.into()).await;
    }
    bench.finish("100 tasks").await;
}

async fn flapping(seconds: u64) {
    let mut bench = Bench::new();
    let template = br#"{"StorageParams": {"CloudStorage":
        {"Vendor": 0, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}"#;
    let template = AutoRecording::from_json(template).unwrap();
    bench.service.set_auto_recording(SdkAppId::new(APP), Some(template)).unwrap();
    let users: Vec<UserId> = (0..10).map(|user| format!("u{user}").parse().unwrap()).collect();
    // One who stays, and a task by call beside that of the template.
    bench.service.event(&key(1), &RoomEvent::Enter { user: "stays".parse().unwrap() });
    let asked = bench.create(1).await;
    let mut changing = (2, bench.create(2).await);
    let begun = Instant::now();
    let mut number = 0;
    for step in 0..usize::try_from(seconds * 20).unwrap() {
        let until = begun + STEP * u32::try_from(step + 1).unwrap();
        for event in 0..EVENTS_A_STEP / 5 {
            let user = &users[usize::try_from(event).unwrap() % users.len()];
            bench.event(1, &RoomEvent::Enter { user: user.clone() });
            bench.event(1, &publish(user));
            for _ in 0..2 {
                bench.event(1, &frame(user, number));
                number += 1;
            }
            bench.event(1, &RoomEvent::Leave { user: user.clone() });
        }
        bench.calls(&asked, &mut changing).await;
        tokio::time::sleep_until(until.into()).await;
    }
    bench.finish("10 000 events a second in one room").await;
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(hundred_tasks(seconds));
    runtime.block_on(flapping(seconds));
}
