//! Random commands to a service that runs, with its threads and its spool, under a simulated clock: compared after each
//! with a model that is a list of tasks and a list of rooms. `RECORDER_MODEL_COMMANDS` says how many, 4000 where it does
//! not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use recorder_api::wire::TaskStatus;
use recorder_api::{Action, AutoRecording, CreateRecording, Request};
use recorder_callback::{LeaveCode, Payload};
use recorder_storage::{Bucket, Durability};
use recorder_types::{
    AacConfig, MediaId, MediaKind, RoomId, Sample, SdkAppId, Timescale, Timestamp, TrackConfig, UserId,
    aac::AudioSpecificConfig,
};

use super::RoomKey;
use super::tasks::{Service, ServiceOptions};
use crate::shell::{Clock, Recorder, RecorderOptions};
use crate::task::{RoomEvent, TrackOrigin};

pub(super) const APP: u32 = 1;
/// Tasks that run at a time.
const MAX: usize = 4;
const COMMANDS_OF_A_CASE: u32 = 100;
/// How long a recording by template that failed is let alone, in seconds.
const RETRY_AFTER: i64 = 10;

#[derive(Clone, Debug)]
enum Command {
    Create {
        room: u32,
        robot: u32,
        idle: i64,
        hours: i64,
    },
    Describe {
        app: u32,
        back: usize,
    },
    Modify {
        app: u32,
        back: usize,
    },
    Delete {
        app: u32,
        back: usize,
    },
    Enter {
        room: u32,
        user: u32,
    },
    Leave {
        room: u32,
        user: u32,
    },
    Publish {
        room: u32,
        user: u32,
    },
    Unpublish {
        room: u32,
        user: u32,
    },
    Sample {
        room: u32,
        user: u32,
    },
    Dismiss {
        room: u32,
        by_customer: bool,
    },
    RemoveRobot {
        room: u32,
        robot: u32,
    },
    Template {
        timeout: Option<i64>,
    },
    Wait {
        seconds: i64,
    },
    /// Until everything is delivered.
    Settle,
}

fn command() -> impl Strategy<Value = Command> {
    let (room, user, robot, back) = (0u32..3, 0u32..3, 0u32..2, 0usize..8);
    let app = prop_oneof![9 => Just(APP), 1 => Just(APP + 1)];
    let times = prop_oneof![8 => 1i64..8, 1 => Just(6 * 3600)];
    prop_oneof![
        3 => (room.clone(), robot.clone(), 5i64..8, 6i64..8)
            .prop_map(|(room, robot, idle, hours)| Command::Create { room, robot, idle, hours }),
        3 => (app.clone(), back.clone()).prop_map(|(app, back)| Command::Describe { app, back }),
        1 => (app.clone(), back.clone()).prop_map(|(app, back)| Command::Modify { app, back }),
        2 => (app, back).prop_map(|(app, back)| Command::Delete { app, back }),
        5 => (room.clone(), user.clone()).prop_map(|(room, user)| Command::Enter { room, user }),
        3 => (room.clone(), user.clone()).prop_map(|(room, user)| Command::Leave { room, user }),
        5 => (room.clone(), user.clone()).prop_map(|(room, user)| Command::Publish { room, user }),
        1 => (room.clone(), user.clone()).prop_map(|(room, user)| Command::Unpublish { room, user }),
        4 => (room.clone(), user).prop_map(|(room, user)| Command::Sample { room, user }),
        1 => (room.clone(), any::<bool>()).prop_map(|(room, by_customer)| Command::Dismiss { room, by_customer }),
        1 => (room, robot).prop_map(|(room, robot)| Command::RemoveRobot { room, robot }),
        1 => prop::option::weighted(0.8, 1i64..6).prop_map(|timeout| Command::Template { timeout }),
        4 => times.prop_map(|seconds| Command::Wait { seconds }),
        1 => Just(Command::Settle),
    ]
}

/// What is expected.
#[derive(Default)]
struct Model {
    /// Seconds.
    now: i64,
    tasks: Vec<Task>,
    /// Those that exist: somebody is in them, or records them.
    rooms: BTreeMap<u32, Room>,
    template: Option<i64>,
}

struct Task {
    id: String,
    room: u32,
    /// `None` for one by template.
    robot: Option<u32>,
    idle: i64,
    empty_since: Option<i64>,
    expires: i64,
    phase: Phase,
    /// With which it left.
    code: Option<LeaveCode>,
    deleted: bool,
    /// Users of whom it has media.
    media: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// It may be over at any moment.
    Leaving,
    Over,
}

struct Room {
    /// In order of entry, with whether they publish.
    members: Vec<(u32, bool)>,
    template: Option<i64>,
    auto: Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auto {
    Waiting,
    /// The place in the list of tasks.
    Running(usize),
    Failed {
        until: i64,
    },
    Ended,
}

impl Model {
    fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.phase == Phase::Running).count()
    }

    fn room(&mut self, room: u32) -> &mut Room {
        let template = self.template;
        self.rooms.entry(room).or_insert(Room { members: Vec::new(), template, auto: Auto::Waiting })
    }

    fn task(&mut self, id: String, room: u32, robot: Option<u32>, idle: i64, hours: i64) {
        let now = self.now;
        let empty_since = self.room(room).members.is_empty().then_some(now);
        let expires = now + hours * 3600;
        let (phase, media) = (Phase::Running, BTreeSet::new());
        let (code, deleted) = (None, false);
        self.tasks.push(Task { id, room, robot, idle, empty_since, expires, phase, code, deleted, media });
    }

    fn recorders(&mut self, room: u32) -> impl Iterator<Item = &mut Task> {
        self.tasks.iter_mut().filter(move |task| task.room == room && task.phase == Phase::Running)
    }

    fn end(&mut self, index: usize, code: LeaveCode, auto: Auto) {
        let room = self.tasks[index].room;
        (self.tasks[index].phase, self.tasks[index].code) = (Phase::Leaving, Some(code));
        if let Some(at) = self.rooms.get_mut(&room) {
            if at.auto == Auto::Running(index) {
                at.auto = auto;
            }
            self.forget(room);
        }
    }

    fn forget(&mut self, room: u32) {
        let recorded = self.recorders(room).next().is_some();
        if !recorded && self.rooms.get(&room).is_some_and(|room| room.members.is_empty()) {
            self.rooms.remove(&room);
        }
    }

    /// Whether a recording by template begins now.
    fn auto_begins(&mut self, room: u32) -> bool {
        let (now, full) = (self.now, self.running() >= MAX);
        let Some(at) = self.rooms.get_mut(&room) else { return false };
        let may = match at.auto {
            Auto::Waiting => true,
            Auto::Failed { until } => now >= until,
            Auto::Running(_) | Auto::Ended => false,
        };
        if at.template.is_none() || !may || !at.members.iter().any(|(_, publishes)| *publishes) {
            return false;
        }
        if full {
            at.auto = Auto::Failed { until: now + RETRY_AFTER };
        }
        !full
    }

    /// The task that is meant by a call, if it can be asked for.
    fn meant(&self, app: u32, back: usize) -> (String, Option<usize>) {
        let Some(index) = self.tasks.len().checked_sub(1 + back) else { return ("nobody's".into(), None) };
        let task = &self.tasks[index];
        let reachable = app == APP && self.now < task.expires;
        (task.id.clone(), reachable.then_some(index))
    }
}

/// The service under test and what it told.
struct Bench {
    service: Service,
    clock: &'static AtomicI64,
    told: Told,
    model: Model,
    _root: tempfile::TempDir,
}

impl Bench {
    fn new(clock: &'static AtomicI64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (service, told) = simulated(root.path(), clock, MAX);
        Self { service, clock, told, model: Model::default(), _root: root }
    }

    async fn run(&mut self, command: &Command) {
        match *command {
            Command::Create { room, robot, idle, hours } => self.create(room, robot, idle, hours).await,
            Command::Describe { app, back } => self.describe(app, back).await,
            Command::Modify { app, back } => self.modify(app, back),
            Command::Delete { app, back } => self.delete(app, back),
            Command::Enter { room, user } => {
                self.event(room, &RoomEvent::Enter { user: user_id(user) });
                let at = self.model.room(room);
                match at.members.iter_mut().find(|(member, _)| *member == user) {
                    Some(member) => member.1 = false,
                    None => at.members.push((user, false)),
                }
                for task in self.model.recorders(room) {
                    task.empty_since = None;
                    task.media.remove(&user);
                }
            }
            Command::Leave { room, user } => {
                self.event(room, &RoomEvent::Leave { user: user_id(user) });
                let now = self.model.now;
                let Some(at) = self.model.rooms.get_mut(&room) else { return };
                let was = at.members.len();
                at.members.retain(|(member, _)| *member != user);
                let emptied = at.members.is_empty() && was > 0;
                for task in self.model.recorders(room) {
                    task.media.remove(&user);
                    if emptied {
                        task.empty_since = Some(now);
                    }
                }
                self.model.forget(room);
            }
            Command::Publish { room, user } => {
                let config = TrackConfig::Aac(AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap()));
                let (user_id, media, origin) = (user_id(user), MediaId::Main, TrackOrigin::FirstArrival);
                self.event(room, &RoomEvent::Publish { user: user_id, media, config, origin });
                self.set_publishes(room, user, true);
                self.begin_if_due(room).await;
            }
            Command::Unpublish { room, user } => {
                let (media, kind) = (MediaId::Main, MediaKind::Audio);
                self.event(room, &RoomEvent::Unpublish { user: user_id(user), media, kind });
                self.set_publishes(room, user, false);
                self.begin_if_due(room).await;
            }
            Command::Sample { room, user } => {
                let at = Timestamp::new(self.clock.load(Ordering::SeqCst) * 48, Timescale::HZ_48000);
                let (media, kind, sample) =
                    (MediaId::Main, MediaKind::Audio, Sample::new(at, vec![0x21; 8].into()));
                self.event(room, &RoomEvent::Sample { user: user_id(user), media, kind, sample });
                // It begins with what was published, and with this sample only if it had begun before.
                let publishes = |(member, publishes): &(u32, bool)| *member == user && *publishes;
                if self.model.rooms.get(&room).is_some_and(|at| at.members.iter().any(publishes)) {
                    self.model.recorders(room).for_each(|task| task.media.extend([user]));
                }
                self.begin_if_due(room).await;
            }
            Command::Dismiss { room, by_customer } => {
                let code = if by_customer {
                    LeaveCode::DISMISSED_BY_CUSTOMER
                } else {
                    LeaveCode::DISMISSED_BY_SERVER
                };
                self.service.dismiss(&key(room), code);
                for index in 0..self.model.tasks.len() {
                    if self.model.tasks[index].room == room && self.model.tasks[index].phase == Phase::Running
                    {
                        self.model.end(index, code, Auto::Ended);
                    }
                }
                self.model.rooms.remove(&room);
            }
            Command::RemoveRobot { room, robot } => {
                let robot_id: UserId = format!("r{robot}").parse().unwrap();
                self.service.remove_robot(&key(room), &robot_id, LeaveCode::REMOVED_BY_CUSTOMER);
                let of = |task: &Task| {
                    task.room == room && task.robot == Some(robot) && task.phase == Phase::Running
                };
                if let Some(index) = self.model.tasks.iter().position(of) {
                    self.model.end(index, LeaveCode::REMOVED_BY_CUSTOMER, Auto::Ended);
                }
            }
            Command::Template { timeout } => {
                let template = timeout.map(|seconds| {
                    let text = format!(
                        r#"{{"ResumptionTimeout": {seconds}, "StorageParams": {{"CloudStorage": {{"Vendor": 0,
                        "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}}}}"#
                    );
                    AutoRecording::from_json(text.as_bytes()).unwrap()
                });
                self.service.set_auto_recording(SdkAppId::new(APP), template).unwrap();
                self.model.template = timeout;
            }
            Command::Wait { seconds } => {
                self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
                self.model.now += seconds;
                let now = self.model.now;
                for index in 0..self.model.tasks.len() {
                    let task = &self.model.tasks[index];
                    let over = task.empty_since.is_some_and(|since| since + task.idle <= now);
                    if task.phase == Phase::Running && over {
                        self.model.end(index, LeaveCode::IDLE, Auto::Waiting);
                    }
                }
            }
            Command::Settle => {
                self.settle().await;
                for task in &mut self.model.tasks {
                    if task.phase == Phase::Leaving {
                        task.phase = Phase::Over;
                    }
                }
            }
        }
    }

    async fn create(&mut self, room: u32, robot: u32, idle: i64, hours: i64) {
        let request = create_request(room, robot, idle, hours);
        let got = self.service.create(&request).await.map_err(|error| error.code().to_owned());
        let of = |task: &Task| task.room == room && task.robot == Some(robot) && task.phase == Phase::Running;
        let displaced = self.model.tasks.iter().position(of);
        if displaced.is_none() && self.model.running() >= MAX {
            return assert_eq!(got.unwrap_err(), "FailedOperation.RestrictedConcurrency");
        }
        // The room is there before the one goes and after the other has come.
        self.model.room(room);
        self.model.task(got.unwrap().task_id, room, Some(robot), idle, hours);
        if let Some(index) = displaced {
            self.model.end(index, LeaveCode::DISPLACED, Auto::Ended);
        }
    }

    async fn describe(&mut self, app: u32, back: usize) {
        let (id, meant) = self.model.meant(app, back);
        let Request::Describe(request) = request(Action::DescribeCloudRecording, &task_body(app, &id)) else {
            panic!("as asked")
        };
        let got = self.service.describe(&request).await;
        let got = got.map(|answer| answer.status).map_err(|error| error.code().to_owned());
        let not_found = Err("ResourceNotFound".to_owned());
        match meant.map(|index| &self.model.tasks[index]) {
            Some(task) if task.phase == Phase::Running => {
                let expected = if task.media.is_empty() { TaskStatus::Idle } else { TaskStatus::InProgress };
                assert_eq!(got, Ok(expected));
            }
            Some(Task { phase: Phase::Leaving, .. }) => {
                assert!(got == Ok(TaskStatus::Exited) || got == not_found, "{got:?}");
            }
            _ => assert_eq!(got, not_found),
        }
    }

    fn modify(&mut self, app: u32, back: usize) {
        let (id, meant) = self.model.meant(app, back);
        let Request::Modify(request) = request(Action::ModifyCloudRecording, &task_body(app, &id)) else {
            panic!("as asked")
        };
        let got = self.service.modify(&request).map(drop).map_err(|error| error.code().to_owned());
        let not_found = Err("ResourceNotFound".to_owned());
        match meant.map(|index| self.model.tasks[index].phase) {
            Some(Phase::Running) => assert_eq!(got, Ok(())),
            Some(Phase::Leaving) => {
                assert!(got == Err("FailedOperation".to_owned()) || got == not_found, "{got:?}");
            }
            _ => assert_eq!(got, not_found),
        }
    }

    fn delete(&mut self, app: u32, back: usize) {
        let (id, meant) = self.model.meant(app, back);
        let Request::Delete(request) = request(Action::DeleteCloudRecording, &task_body(app, &id)) else {
            panic!("as asked")
        };
        let got = self
            .service
            .delete(&request)
            .map(|answer| answer.task_id)
            .map_err(|error| error.code().to_owned());
        let not_found = Err("ResourceNotFound".to_owned());
        let Some(index) = meant else { return assert_eq!(got, not_found) };
        let task = &mut self.model.tasks[index];
        match task.phase {
            Phase::Running => {
                assert_eq!(got, Ok(id));
                task.deleted = true;
                self.model.end(index, LeaveCode::API_STOP, Auto::Ended);
            }
            _ if task.deleted => assert_eq!(got, Ok(id)),
            Phase::Leaving => assert!(got == Ok(id) || got == not_found, "{got:?}"),
            Phase::Over => assert_eq!(got, not_found),
        }
    }

    fn event(&self, room: u32, event: &RoomEvent) {
        self.service.event(&key(room), event);
    }

    fn set_publishes(&mut self, room: u32, user: u32, publishes: bool) {
        if let Some(at) = self.model.rooms.get_mut(&room)
            && let Some(member) = at.members.iter_mut().find(|(member, _)| *member == user)
        {
            member.1 = publishes;
            self.model.recorders(room).for_each(|task| task.media.retain(|other| *other != user));
        }
    }

    /// A recording by template tells its id in event 301.
    async fn begin_if_due(&mut self, room: u32) {
        if !self.model.auto_begins(room) {
            return;
        }
        self.quiet().await;
        let known: BTreeSet<&str> = self.model.tasks.iter().map(|task| task.id.as_str()).collect();
        let told = self.told.lock().unwrap();
        let is_new = |(task, at, payload): &&(String, String, Payload)| {
            matches!(payload, Payload::RecorderStart(status) if status.number() == 0)
                && *at == room.to_string()
                && !known.contains(task.as_str())
        };
        let id = told.iter().find(is_new).expect("a recording by template begins").0.clone();
        drop(told);
        let timeout = self.model.rooms[&room].template.unwrap();
        self.model.task(id, room, None, timeout, 72);
        let index = self.model.tasks.len() - 1;
        self.model.room(room).auto = Auto::Running(index);
    }

    /// Waits until every task has heard what was told, and the time.
    async fn quiet(&self) {
        for recording in patiently("a start", self.service.started()).await {
            patiently("a description", recording.describe()).await;
        }
    }

    /// Waits until every task that is leaving is over.
    async fn settle(&self) {
        self.quiet().await;
        let running = self.model.running();
        let over = async {
            while self.service.known() > running {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        patiently("the end", over).await;
    }

    fn compare(&self) {
        assert_eq!(self.service.running(), self.model.running());
        let rooms: Vec<u32> = self.model.rooms.keys().copied().collect();
        assert_eq!(self.service.rooms(), rooms);
    }

    /// What each task told from its beginning to its end.
    async fn finish(&mut self) {
        patiently("the end of the service", self.service.shut_down()).await;
        for index in 0..self.model.tasks.len() {
            if self.model.tasks[index].phase == Phase::Running {
                self.model.end(index, LeaveCode::REMOVED_BY_SERVER, Auto::Ended);
            }
        }
        self.settle().await;
        let told = self.told.lock().unwrap();
        let mut stories = stories(&told);
        for task in &self.model.tasks {
            let code = task.code.unwrap().number();
            assert_eq!(stories.remove(task.id.as_str()).unwrap(), [301_000, 302_000 + code, 305_000]);
        }
        // The others could not begin.
        assert!(stories.values().all(|story| story == &[301_001]), "{stories:?}");
    }
}

/// Nothing here takes longer than a moment.
async fn patiently<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wanted)
        .await
        .unwrap_or_else(|_| panic!("{what} does not come"))
}

pub(super) fn key(room: u32) -> RoomKey {
    RoomKey { app: SdkAppId::new(APP), room: RoomId::integer(room) }
}

/// Task, room and payload of each event, in order.
pub(super) type Told = Arc<Mutex<Vec<(String, String, Payload)>>>;

/// A service into memory under a clock that the caller sets, and what it tells.
pub(super) fn simulated(
    root: &std::path::Path,
    clock: &'static AtomicI64,
    max_running: usize,
) -> (Service, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let options = ServiceOptions::new(|_| Ok(Bucket::memory()))
        .with_max_running(max_running)
        .with_adjust(|_, options| options.with_gather(Duration::ZERO))
        .with_on_callback(move |_, body| {
            let event = body.event();
            let (task, room) = (event.task().as_str().to_owned(), event.room().to_string());
            heard.lock().unwrap().push((task, room, event.payload().clone()));
        });
    let recorder = Recorder::new(RecorderOptions::new(root).with_durability(Durability::Relaxed));
    (Service::by_clock(recorder, options, Clock::simulated(clock), Duration::from_secs(60)), told)
}

pub(super) fn create_request(room: u32, robot: u32, idle: i64, hours: i64) -> CreateRecording {
    let body = format!(
        r#"{{"SdkAppId": {APP}, "RoomId": "{room}", "UserId": "r{robot}", "UserSig": "x", "ResourceExpiredHour": {hours},
        "RecordParams": {{"RecordMode": 1, "MaxIdleTime": {idle}}}, "StorageParams": {{"CloudStorage":
        {{"Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}}}}"#
    );
    let Request::Create(request) = request(Action::CreateCloudRecording, &body) else { panic!("as asked") };
    *request
}

/// Beginning and end of each task: a thousand times the event, and its status or code.
pub(super) fn stories(told: &[(String, String, Payload)]) -> BTreeMap<&str, Vec<u32>> {
    let mut stories: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (task, _, payload) in told {
        let story = stories.entry(task.as_str()).or_default();
        match payload {
            Payload::RecorderStart(status) => story.push(301_000 + status.number()),
            Payload::RecorderStop(code) => story.push(302_000 + code.number()),
            Payload::UploadStop(status) => story.push(305_000 + status.number()),
            _ => {}
        }
    }
    stories
}

pub(super) fn user_id(user: u32) -> UserId {
    format!("u{user}").parse().unwrap()
}

pub(super) fn task_body(app: u32, id: &str) -> String {
    format!(r#"{{"SdkAppId": {app}, "TaskId": "{id}"}}"#)
}

pub(super) fn request(action: Action, body: &str) -> Request {
    Request::from_json(action, body.as_bytes()).unwrap()
}

#[test]
fn random_commands_agree_with_a_simple_model() {
    let asked = std::env::var("RECORDER_MODEL_COMMANDS").ok().and_then(|text| text.parse().ok());
    let commands: u32 = asked.unwrap_or(4000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock: &'static AtomicI64 = Box::leak(Box::default());
    let config = Config {
        cases: commands.div_ceil(COMMANDS_OF_A_CASE),
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let length = usize::try_from(COMMANDS_OF_A_CASE).unwrap();
    let tasks = std::cell::Cell::new(0);
    let run = |commands: Vec<Command>| {
        runtime.block_on(async {
            let mut bench = Bench::new(clock);
            for command in &commands {
                bench.run(command).await;
                bench.quiet().await;
                bench.compare();
            }
            bench.finish().await;
            tasks.set(tasks.get() + bench.model.tasks.len());
        });
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(command(), length), run).unwrap();
    println!("{commands} commands, {} tasks", tasks.get());
    assert!(tasks.get() > 0);
}
