//! Recordings on a simulated disk, all on one thread and by a clock that stands: a seed decides when the power is cut,
//! and what has to hold is asked afterwards.
//!
//! `RECORDER_SEEDS` says how many seeds are tried, `RECORDER_SEED` tries one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use recorder_callback::{CallbackBody, LeaveCode, Payload};
use recorder_storage::{Bucket, BucketOptions, Durability, RetryOptions, UploaderOptions};
use recorder_testkit::disk::{Call, SimulatedDisk, Trouble};
use recorder_testkit::hls_rules;
use recorder_testkit::hostile::Random;
use recorder_types::{RoomTime, Timestamp};
use tokio::time::sleep;

use super::{ClockMode, Fate, Recorder, RecorderOptions, Recording, RecoverOptions};
use crate::support::media::{Source, camera, microphone};
use crate::support::{MAIN, WALL, id, options_with, shell, wall};
use crate::task::{AvMerge, Now, OutputFormat, RoomEvent, TaskOptions, TrackOrigin};

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether recordings run on the thread that starts them, so that a seed decides the order of everything.
pub(super) fn runs_here() -> bool {
    HERE.get()
}

/// Runs `body` and every recording that it starts on this thread. Time passes when nothing else is to be done.
fn simulate<T>(body: impl Future<Output = T>) -> T {
    HERE.set(true);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, body)
}

/// Tries seeds, as many as `RECORDER_SEEDS` says, on every core.
fn for_seeds(default: u64, run: impl Fn(u64) + Sync) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("RECORDER_SEED") {
        return run(seed);
    }
    let count = number("RECORDER_SEEDS").unwrap_or(default);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < count
        {
            if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
                eprintln!("RECORDER_SEED={seed} replays this");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "of {count} seeds these fail: {failed:?}; RECORDER_SEED=n replays one");
}

/// What is recorded, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Plan {
    seconds: i64,
    output: usize,
    merged: bool,
    /// Into a directory on the disk that loses its power, or into a store that stays.
    local: bool,
}

const OUTPUTS: [OutputFormat; 4] =
    [OutputFormat::Hls, OutputFormat::Hls, OutputFormat::HlsAndMp4, OutputFormat::Mp4];

impl Plan {
    fn draw(random: &mut Random) -> Self {
        Self {
            seconds: [14, 27, 41][usize::try_from(random.below(3)).unwrap()],
            output: usize::try_from(random.below(4)).unwrap(),
            merged: random.below(2) == 0,
            local: random.below(3) > 0,
        }
    }

    fn output(self) -> OutputFormat {
        OUTPUTS[self.output]
    }

    fn task(self) -> TaskOptions {
        options_with(|task| {
            task.output = self.output();
            task.merge = if self.merged { AvMerge::Merged } else { AvMerge::Separate };
        })
    }
}

/// Alice speaks and is seen, Bob speaks from the 7th to the 23rd second; `start` is when, by the wall clock.
fn room(seconds: i64, start: u64) -> Vec<(Now, RoomEvent)> {
    let at = |room: RoomTime| Now { room, wall: wall(start).saturating_add_millis(room.round_to_millis()) };
    let mut events = Vec::new();
    for (user, from, to, sources) in
        [("alice", 0, seconds, vec![microphone(), camera()]), ("bob", 7, seconds.min(23), vec![microphone()])]
    {
        let (user, from, to) = (id(user), RoomTime::from_secs(from), RoomTime::from_secs(to));
        events.push((at(from), RoomEvent::Enter { user: user.clone() }));
        for mut source in sources {
            let (media, kind, config) = (MAIN, source.kind(), source.config());
            let origin = TrackOrigin::FirstArrival;
            events.push((at(from), RoomEvent::Publish { user: user.clone(), media, config, origin }));
            let next = |source: &Source| from.saturating_add(source.next_at().unwrap());
            while next(&source) < to {
                let (room, sample) = (next(&source), source.next());
                events.push((at(room), RoomEvent::Sample { user: user.clone(), media, kind, sample }));
            }
        }
        if to < RoomTime::from_secs(seconds) {
            events.push((at(to), RoomEvent::Leave { user }));
        }
    }
    events.sort_by_key(|(now, _)| now.room);
    let stop = RoomEvent::Stop { code: LeaveCode::API_STOP };
    events.push((at(RoomTime::from_secs(seconds)), stop));
    events
}

/// Disk, bucket and what was said to whoever listens.
struct World {
    plan: Plan,
    disk: SimulatedDisk,
    memory: Bucket,
    told: Arc<Mutex<Vec<Payload>>>,
    /// Bytes of each segment that the journal told as closed, by its name.
    closed: BTreeMap<String, u64>,
    /// The journal is gone, or tells that everything is in the bucket.
    delivered: bool,
}

impl World {
    fn new(plan: Plan) -> Self {
        let disk = SimulatedDisk::new();
        let options = BucketOptions::default().with_disk(disk.shared());
        let memory = Bucket::open("memory:", options).unwrap();
        Self { plan, disk, memory, told: Arc::default(), closed: BTreeMap::new(), delivered: false }
    }

    fn bucket(&self) -> Option<Bucket> {
        let options = BucketOptions::default().with_disk(self.disk.shared());
        if self.plan.local {
            Bucket::local(Path::new("/out"), options).ok()
        } else {
            Some(self.memory.clone())
        }
    }

    fn recorder(&self) -> Recorder {
        let options = RecorderOptions::new("/spool").with_durability(Durability::Sync);
        Recorder::new(options.with_disk(self.disk.shared()))
    }

    /// Tells events as long as the power is on.
    fn sink(&self) -> impl Fn(&CallbackBody) + Send + Sync + 'static {
        let (disk, told) = (self.disk.clone(), Arc::clone(&self.told));
        move |body| {
            if !disk.is_off() {
                told.lock().unwrap().push(body.event().payload().clone());
            }
        }
    }

    /// Takes down what the journal has told, as far as a sync of it came back.
    fn note(&mut self) {
        let Some(journal) = self.disk.acknowledged(Path::new("/spool/task01/journal~")) else {
            self.delivered |= !self.closed.is_empty();
            return;
        };
        let mut rest = &journal[..];
        while let Some(at) = rest.windows(4).position(|window| window == b"REC\n") {
            rest = &rest[at + 4..];
            let Some((len, body)) = rest.split_first_chunk::<4>() else { break };
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap();
            let Some(payload) = body.get(4..4 + len) else { continue };
            let Ok(entry) = serde_json::from_slice::<serde_json::Value>(payload) else { continue };
            self.delivered |= entry == "delivered";
            if let Some(segment) = entry.get("segment") {
                let stem = segment["playlist"].as_str().unwrap().strip_suffix(".m3u8").unwrap();
                let start = wall(segment["start"].as_u64().unwrap());
                let name = recorder_naming::segment(&stem.parse().unwrap(), start).unwrap();
                self.closed.insert(name.to_string(), segment["bytes"].as_u64().unwrap());
            }
        }
    }

    /// Records what happens in the room until it is over, or the power is cut.
    async fn record(&mut self, pace: &mut Random) {
        let Some(bucket) = self.bucket() else { return assert!(self.disk.is_off()) };
        let options = shell::told(self.plan.task(), bucket).with_gather(Duration::ZERO);
        match self.recorder().start(options.with_on_callback(self.sink())) {
            Ok(recording) => self.follow(&recording, room(self.plan.seconds, WALL), pace).await,
            Err(error) => assert!(self.disk.is_off(), "{error:?}"),
        }
    }

    async fn follow(&mut self, recording: &Recording, events: Vec<(Now, RoomEvent)>, pace: &mut Random) {
        for (now, event) in events {
            if recording.event_at(now, event).await.is_err() {
                break;
            }
            if pace.below(64) == 0 {
                sleep(Duration::from_millis(1 + pace.below(20))).await;
                self.note();
                if self.disk.is_off() {
                    return;
                }
            }
        }
        let mut closed = std::pin::pin!(recording.closed());
        for _ in 0..2000 {
            if tokio::time::timeout(Duration::from_millis(10), &mut closed).await.is_ok() {
                return self.note();
            }
            self.note();
            if self.disk.is_off() {
                return;
            }
        }
        self.stuck();
    }

    /// Says what is not delivered.
    fn stuck(&self) {
        let told = self.told.lock().unwrap();
        let refused: Vec<_> = told.iter().filter(|event| matches!(event, Payload::UploadError(_))).collect();
        panic!("not all is delivered: {:#?}, {refused:#?}", self.disk.files().keys());
    }

    /// Takes up what is in the spool until that is over, or the power is cut. Says what was found.
    async fn recover(&mut self, round: u64, random: &mut Random) -> usize {
        let (sink, memory) = (Arc::new(self.sink()), (!self.plan.local).then(|| self.memory.clone()));
        let start = WALL + 1_000_000 * round;
        let mut how =
            RecoverOptions::default().with_bucket(move |_, _| memory.clone()).with_adjust(move |options| {
                let sink = Arc::clone(&sink);
                let told = shell::told(options.task.clone(), options.bucket.clone());
                told.with_clock(ClockMode::Told { start: wall(start) })
                    .with_gather(Duration::ZERO)
                    .with_on_callback(move |body| sink(body))
            });
        how.go_on = random.below(3) > 0;
        let Ok(found) = self.recorder().recover(&how) else {
            assert!(self.disk.is_off());
            return 0;
        };
        for recovered in &found {
            match &recovered.fate {
                Fate::GoesOn { recording, .. } => {
                    self.follow(
                        recording,
                        room([0, 5, 14][usize::try_from(random.below(3)).unwrap()], start),
                        random,
                    )
                    .await;
                }
                Fate::Ends { recording } => self.follow(recording, Vec::new(), random).await,
                _ => assert!(
                    self.disk.is_off(),
                    "round {round}: {recovered:?}, {:#?}",
                    self.disk.files().keys()
                ),
            }
        }
        found.len()
    }

    /// The objects in the bucket, without the task's directory in their names.
    async fn objects(&self) -> BTreeMap<String, Bytes> {
        let objects = shell::objects(&self.bucket().unwrap()).await;
        objects
            .into_iter()
            .map(|(name, data)| (name.strip_prefix("task01/").unwrap().to_owned(), data))
            .collect()
    }

    /// Whether files were made that stand for the segments. Where none can be made, the segments are delivered after all.
    fn is_made(&self, objects: &BTreeMap<String, Bytes>) -> bool {
        !self.plan.output().keeps_hls() && objects.keys().any(|name| name.ends_with(".mp4"))
    }

    /// Everything that was closed is in the spool or in the bucket, and playlists there name only what is there too.
    fn assert_kept(&self, objects: &BTreeMap<String, Bytes>, whole: &BTreeMap<String, Bytes>) {
        let files = self.disk.files();
        for (name, text) in objects.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
            for segment in listed(text) {
                assert!(objects.contains_key(&segment), "{name} names {segment}");
            }
        }
        if self.delivered && self.is_made(objects) {
            return;
        }
        for (name, bytes) in &self.closed {
            let in_spool = files.get(&PathBuf::from("spool/task01").join(name));
            let Some(found) = objects.get(name).or(in_spool) else {
                panic!("{name} is lost, of {:#?}", files.keys());
            };
            assert_eq!(found.len() as u64, *bytes, "{name}");
            assert_begins(name, found, whole);
        }
    }

    /// All is delivered.
    fn assert_over(&self, objects: &BTreeMap<String, Bytes>, whole: &BTreeMap<String, Bytes>) {
        let left: Vec<_> = self.disk.files().into_keys().filter(|path| path.starts_with("spool")).collect();
        assert!(left.is_empty(), "{left:#?}");
        let mut names = Vec::new();
        for (name, text) in objects.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
            let text = std::str::from_utf8(text).unwrap();
            assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{name}:\n{text}");
            let broken = hls_rules::check(text, |segment| objects.get(segment).map(|data| data.to_vec()));
            assert!(broken.is_empty(), "{name}: {broken:#?}\n{text}");
            let segments = listed(text.as_bytes());
            assert!(segments.is_sorted(), "{name}: {segments:#?}");
            names.extend(segments);
        }
        names.sort();
        let segments: Vec<&String> = objects.keys().filter(|name| name.ends_with(".ts")).collect();
        if self.is_made(objects) {
            return; // there may be segments too, of a run that could make no file
        }
        let unlisted: Vec<_> = segments.iter().filter(|name| !names.contains(name)).collect();
        assert!(names.iter().eq(segments.iter().copied()), "not listed: {unlisted:#?}, listed: {names:#?}");
        for (name, bytes) in &self.closed {
            let found =
                objects.get(name).unwrap_or_else(|| panic!("{name} is lost, of {:#?}", objects.keys()));
            assert_eq!(found.len() as u64, *bytes, "{name}");
            assert_begins(name, found, whole);
        }
    }
}

/// Where nobody interferes the segment is `whole`; one that was open may end earlier, and then its last PES packet is
/// another.
fn assert_begins(name: &str, found: &Bytes, whole: &BTreeMap<String, Bytes>) {
    let Some(whole) = whole.get(name) else { return };
    let same = whole.iter().zip(found).take_while(|(one, other)| one == other).count();
    let ok = if found.len() == whole.len() { same == found.len() } else { same + 188 * 24 >= found.len() };
    assert!(ok, "{name}: {same} bytes of {} are those that were recorded", found.len());
}

fn listed(text: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines.filter(|line| line.ends_with(".ts")).map(str::to_owned).collect()
}

/// Nothing that was there is lost, or other than it was; playlists have grown.
fn assert_not_overwritten(before: &BTreeMap<String, Bytes>, after: &BTreeMap<String, Bytes>) {
    for (name, data) in before {
        let now = after.get(name).unwrap_or_else(|| panic!("{name} is gone from the bucket"));
        if name.ends_with(".m3u8") {
            assert!(listed(now).starts_with(&listed(data)), "{name} is another");
        } else {
            assert!(now == data, "{name} is another");
        }
    }
}

/// What is recorded where nobody interferes: the segments, and how many calls to the disk it takes.
type Reference = (BTreeMap<String, Bytes>, u64);

fn reference(plan: Plan) -> Arc<Reference> {
    static KNOWN: OnceLock<Mutex<BTreeMap<Plan, Arc<Reference>>>> = OnceLock::new();
    let known = || KNOWN.get_or_init(Mutex::default).lock().unwrap();
    if let Some(reference) = known().get(&plan) {
        return Arc::clone(reference);
    }
    let run = |plan: Plan| {
        let mut world = World::new(plan);
        simulate(async {
            world.record(&mut Random::new(0)).await;
            let objects = world.objects().await;
            world.assert_over(&objects, &BTreeMap::new());
            (objects, world.disk.calls())
        })
    };
    let (objects, calls) = run(plan);
    let objects = if plan.output().keeps_hls() { objects } else { run(Plan { output: 0, ..plan }).0 };
    let segments = objects.into_iter().filter(|(name, _)| name.ends_with(".ts")).collect();
    let reference = Arc::new((segments, calls));
    known().insert(plan, Arc::clone(&reference));
    reference
}

/// Cuts the power somewhere in a recording, and in what recovers it.
fn lose_power(seed: u64, ignored: Option<Call>) {
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random);
    let reference = reference(plan);
    let (whole, calls) = &*reference;
    let mut world = World::new(plan);
    if let Some(call) = ignored {
        world.disk.ignore(call);
    }
    world.disk.cut_power_at(1 + random.below(calls + 4));
    simulate(world.record(&mut random));
    let mut before = BTreeMap::new();
    for round in 1.. {
        world.note();
        world.disk.restart(&mut random);
        let objects = simulate(world.objects());
        assert_not_overwritten(&before, &objects);
        world.assert_kept(&objects, whole);
        before = objects;
        if random.below(2) == 0 {
            world.disk.cut_power_at(world.disk.calls() + 1 + random.below(150));
        }
        simulate(world.recover(round, &mut random));
        if !world.disk.is_off() {
            break;
        }
    }
    let objects = simulate(world.objects());
    assert_not_overwritten(&before, &objects);
    world.assert_over(&objects, whole);
    let panicked =
        |event: &Payload| matches!(event, Payload::UploadError(error) if error.code == "RecorderFailed");
    assert!(!world.told.lock().unwrap().iter().any(panicked));
    // Once more changes nothing.
    assert_eq!(simulate(world.recover(9, &mut random)), 0);
    assert_eq!(simulate(world.objects()), objects);
}

#[test]
fn a_power_cut_at_any_call_costs_no_closed_segment() {
    for_seeds(500, |seed| lose_power(seed, None));
}

/// A program without these syncs is told from ours: else the test above would prove nothing.
#[test]
fn the_seeds_tell_when_a_sync_is_left_out() {
    for call in [Call::SyncDir, Call::SyncData, Call::SyncAll] {
        let lost = |seed: &u64| catch_unwind(|| lose_power(*seed, Some(call))).is_err();
        let found = (0..100).find(lost);
        assert!(found.is_some(), "{call:?} is not missed");
    }
}

/// What goes wrong in a recording, beside its store.
struct Faults {
    /// The wall clock jumps so far, in milliseconds, with each event as likely as this, once in so many.
    jumps: Option<u64>,
    /// Bob's clock and bytes are wild.
    wild: bool,
    /// The disk fails, or its room or that of the spool is too small.
    disk: bool,
    /// The store is away for a while.
    outage: bool,
}

impl Faults {
    fn draw(random: &mut Random, disk: &SimulatedDisk, calls: u64) -> Self {
        let fails = random.below(3) == 0;
        for _ in 0..if fails { 1 + random.below(3) } else { 0 } {
            let call = Call::ALL[usize::try_from(random.below(8)).unwrap()];
            let trouble = if random.below(2) == 0 { Trouble::Full } else { Trouble::Broken };
            let times = [1, 4, u64::MAX][usize::try_from(random.below(3)).unwrap()];
            disk.fail(call, random.below(calls / 4), times, trouble);
        }
        let small = random.below(5) == 0;
        if small {
            disk.set_capacity(Some(20_000 + random.below(200_000)));
        }
        Self {
            jumps: (random.below(2) == 0).then(|| 20 + random.below(400)),
            wild: random.below(3) == 0,
            disk: fails || small,
            outage: random.below(2) == 0,
        }
    }

    /// The room, with what is wrong of it.
    fn room(&self, seconds: i64, random: &mut Random) -> Vec<(Now, RoomEvent)> {
        let (bob, day) = (id("bob"), 86_400_000);
        let mut shift = 0;
        let mut events = room(seconds, WALL);
        for (now, event) in &mut events {
            if self.jumps.is_some_and(|seldom| random.below(seldom) == 0) {
                shift = [0, day, -day, 400 * day, -400 * day][usize::try_from(random.below(5)).unwrap()];
            }
            now.wall = now.wall.saturating_add_millis(shift);
            if let RoomEvent::Sample { user, sample, .. } = event
                && *user == bob
                && self.wild
            {
                let ticks = i64::from_le_bytes(random.bits().to_le_bytes()) >> random.below(60);
                match random.below(8) {
                    0 => sample.dts = Timestamp::new(ticks, sample.dts.timescale()),
                    1 => sample.pts = Timestamp::new(ticks, sample.pts.timescale()),
                    2 => sample.data = Bytes::from(ticks.to_le_bytes().to_vec()),
                    _ => {}
                }
            }
        }
        events
    }
}

/// The segments of Alice in each file set, in order, without the names that the wall clock gives them.
fn of_alice(segments: &BTreeMap<String, Bytes>) -> BTreeMap<String, Vec<&Bytes>> {
    let alice = recorder_naming::encode_field(b"alice");
    let mut sets = BTreeMap::<String, Vec<&Bytes>>::new();
    for (name, data) in segments.iter().filter(|(name, _)| name.ends_with(".ts") && name.contains(&alice)) {
        sets.entry(name.rsplit_once('_').unwrap().0.to_owned()).or_default().push(data);
    }
    sets
}

/// Records beside a store, a disk, clocks and a participant that fail; then the process ends, and what it has left is
/// recovered.
fn fail_at_random(seed: u64) {
    let mut random = Random::new(seed);
    let plan = Plan { local: random.below(4) == 0, ..Plan::draw(&mut random) };
    let reference = reference(plan);
    let (whole, calls) = &*reference;
    let (mut world, store) = (World::new(plan), shell::FaultyStore::new());
    world.memory =
        Bucket::from_store(store.clone(), None, BucketOptions::default().with_disk(world.disk.shared()));
    *store.troubles.lock().unwrap() = Some(random.clone());
    let faults = Faults::draw(&mut random, &world.disk, *calls);
    let events = faults.room(plan.seconds, &mut random);
    let outage = [random.below(events.len() as u64), random.below(events.len() as u64)];
    let limit = (random.below(5) == 0).then(|| 10_000 + random.below(100_000));
    let outcome = simulate(async {
        let options = RecorderOptions::new("/spool").with_disk(world.disk.shared());
        let recorder = Recorder::new(limit.map_or(options.clone(), |limit| options.with_spool_limit(limit)));
        let bucket = world.bucket()?;
        let retry = RetryOptions::default().with_seed(seed);
        let options = shell::told(plan.task(), bucket)
            .with_gather(Duration::ZERO)
            .with_uploader(UploaderOptions::default().with_retry(retry))
            .with_on_callback(world.sink());
        let recording = recorder.start(options).ok()?;
        for (number, (now, event)) in events.into_iter().enumerate() {
            if faults.outage {
                let number = number as u64;
                let away = (outage[0].min(outage[1])..outage[0].max(outage[1])).contains(&number);
                store.down.store(away, Ordering::SeqCst);
            }
            if recording.event_at(now, event).await.is_err() {
                break;
            }
            if random.below(64) == 0 {
                sleep(Duration::from_millis(1 + random.below(500))).await;
                world.note();
            }
        }
        let outcome = recording.ended().await.unwrap();
        store.down.store(false, Ordering::SeqCst);
        *store.troubles.lock().unwrap() = None;
        recording.redeliver().await;
        // A disk that fails may leave files that only a recovery can deliver.
        let patience = Duration::from_secs(if faults.disk { 100 } else { 100_000 });
        let closed = tokio::time::timeout(patience, recording.closed()).await;
        if closed.is_err() && !faults.disk {
            world.stuck();
        }
        world.note();
        Some(outcome)
    });
    world.disk.fail_no_more();
    world.disk.set_capacity(None);
    *store.troubles.lock().unwrap() = None;
    store.down.store(false, Ordering::SeqCst);
    assert!(outcome.is_some() || faults.disk, "it starts");
    let tame = faults.jumps.is_none() && !faults.wild;
    let names = BTreeMap::new();
    let whole_names = if tame { whole } else { &names };
    let told = |number: u32| {
        world.told.lock().unwrap().iter().filter(|event| event.event_type().number() == number).count()
    };
    let says = |code: &str| {
        let is = |event: &Payload| matches!(event, Payload::UploadError(error) if error.code == code);
        world.told.lock().unwrap().iter().any(is)
    };
    assert!(!says("RecorderFailed"), "it panicked");
    if let Some(outcome) = &outcome {
        assert_eq!(told(302), 1);
        assert_eq!(outcome.failure.is_some(), says("SpoolFailed"));
        assert!(outcome.failure.is_none() || faults.disk || limit.is_some(), "{:?}", outcome.failure);
    }
    simulate(async {
        let objects = world.objects().await;
        world.assert_kept(&objects, whole_names);
    });
    let unharmed = outcome.is_some_and(|outcome| outcome.failure.is_none()) && !faults.disk;
    if unharmed {
        let objects = simulate(world.objects());
        world.assert_over(&objects, whole_names);
        if plan.output().keeps_hls() {
            assert_eq!(of_alice(&objects), of_alice(whole));
        }
    }
    simulate(world.recover(1, &mut random));
    let objects = simulate(world.objects());
    world.assert_over(&objects, whole_names);
    assert!(store.violations.lock().unwrap().is_empty());
    assert!(store.most_running.load(Ordering::SeqCst) <= 4);
}

#[test]
fn whatever_fails_what_was_closed_is_delivered() {
    for_seeds(500, fail_at_random);
}
