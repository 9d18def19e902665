//! A hundred tasks that record, and twenty calls a second of each action, under a simulated clock as fast as the machine
//! allows. `RECORDER_LOAD_SECONDS` says for how long by that clock, 5 where it does not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use recorder_api::{Action, Request};
use recorder_types::{
    AacConfig, MediaId, MediaKind, RoomTime, Sample, Timescale, Timestamp, TrackConfig,
    aac::AudioSpecificConfig,
};

use super::model::{APP, create_request, key, request, simulated, stories, task_body, user_id};
use super::tasks::Service;
use crate::task::{RoomEvent, TrackOrigin};

const TASKS: u32 = 100;
/// Of these, those that are ended and begun anew all the time.
const CHANGING: u32 = 10;
/// A step is a tenth of a second.
const STEP_MILLIS: i64 = 100;
const CALLS_A_STEP: u32 = 2;

#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    fn note(&mut self, action: Action, begun: Instant) {
        self.0.entry(action.as_str()).or_default().push(begun.elapsed());
    }

    fn print(&mut self) {
        for (action, times) in &mut self.0 {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 1000];
            println!(
                "{action}: {} calls, p50 {:?}, p99 {:?}, longest {:?}",
                times.len(),
                at(500),
                at(990),
                at(1000)
            );
        }
    }
}

async fn create(service: &Service, room: u32, times: &mut Times) -> String {
    let request = create_request(room, 1, 30, 72);
    let begun = Instant::now();
    let task = service.create(&request).await.unwrap().task_id;
    times.note(Action::CreateCloudRecording, begun);
    task
}

fn delete(service: &Service, task: &str, times: &mut Times) {
    let body = task_body(APP, task);
    let Request::Delete(request) = request(Action::DeleteCloudRecording, &body) else { panic!("as asked") };
    let begun = Instant::now();
    service.delete(&request).unwrap();
    times.note(Action::DeleteCloudRecording, begun);
}

async fn ask(service: &Service, task: &str, times: &mut Times) {
    let body = task_body(APP, task);
    let Request::Describe(describe) = request(Action::DescribeCloudRecording, &body) else {
        panic!("as asked")
    };
    let Request::Modify(modify) = request(Action::ModifyCloudRecording, &body) else { panic!("as asked") };
    let begun = Instant::now();
    service.describe(&describe).await.unwrap();
    times.note(Action::DescribeCloudRecording, begun);
    let begun = Instant::now();
    service.modify(&modify).unwrap();
    times.note(Action::ModifyCloudRecording, begun);
}

#[test]
fn no_task_is_lost_among_a_hundred_and_twenty_calls_a_second() {
    let asked = std::env::var("RECORDER_LOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: i64 = asked.unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(seconds));
}

async fn run(seconds: i64) {
    let clock: &'static AtomicI64 = Box::leak(Box::default());
    let root = tempfile::tempdir().unwrap();
    let (service, told) = simulated(root.path(), clock, usize::try_from(TASKS).unwrap());
    let mut times = Times::default();
    let mut steady = Vec::new();
    for room in 0..TASKS {
        service.event(&key(room), &RoomEvent::Enter { user: user_id(1) });
        let config = TrackConfig::Aac(AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap()));
        let (user, media, origin) = (user_id(1), MediaId::Main, TrackOrigin::FirstArrival);
        service.event(&key(room), &RoomEvent::Publish { user, media, config, origin });
        steady.push((room, create(&service, room, &mut times).await));
    }
    let mut changing: VecDeque<(u32, String)> =
        steady.split_off(usize::try_from(TASKS - CHANGING).unwrap()).into();
    let recordings = service.started().await;
    let mut created = usize::try_from(TASKS).unwrap();
    let (mut frame, mut turn) = (0, 0);
    for step in 1..=seconds * 1000 / STEP_MILLIS {
        clock.fetch_add(STEP_MILLIS, Ordering::SeqCst);
        while frame * 1024 < step * STEP_MILLIS * 48 {
            let sample =
                Sample::new(Timestamp::new(frame * 1024, Timescale::HZ_48000), vec![0x21; 60].into());
            let event =
                RoomEvent::Sample { user: user_id(1), media: MediaId::Main, kind: MediaKind::Audio, sample };
            (0..TASKS).for_each(|room| service.event(&key(room), &event));
            frame += 1;
        }
        for _ in 0..CALLS_A_STEP {
            let (room, task) = changing.pop_front().unwrap();
            delete(&service, &task, &mut times);
            changing.push_back((room, create(&service, room, &mut times).await));
            created += 1;
            turn = (turn + 1) % steady.len();
            ask(&service, &steady[turn].1, &mut times).await;
        }
        assert_eq!(service.running(), usize::try_from(TASKS).unwrap());
    }
    service.shut_down().await;
    times.print();

    let told = told.lock().unwrap().clone();
    let stories = stories(&told);
    assert_eq!(stories.len(), created);
    for (task, story) in &stories {
        let [301_000, 302_000 | 302_003, 305_000] = story[..] else { panic!("{task}: {story:?}") };
    }
    // Those that ran all the time have every frame.
    let media = RoomTime::from_nanos(frame * 1024 * 1_000_000_000 / 48_000);
    let mut whole = 0;
    for recording in recordings {
        let outcome = recording.ended().await.unwrap();
        let duration = outcome.status.files[0].duration;
        assert_eq!(outcome.kept, 0);
        if media.saturating_sub(duration) < RoomTime::from_millis(1) {
            whole += 1;
        }
    }
    assert!(whole >= steady.len(), "{whole} of {}", steady.len());
}
