use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recorder::api::wire::DescribeCloudRecordingResponse;
use recorder::api::{Action, CreateRecording, Request};
use recorder::callback::Payload;
use recorder::storage::Bucket;
use recorder::types::{MediaId, MediaKind, RoomId, Sample, SdkAppId, Timescale, Timestamp};
use recorder::{RoomEvent, RoomKey, Service, ServiceOptions, TrackOrigin};
use serde_json::Value;

use super::id;
use super::media::{microphone, silence};
use super::shell::{PATIENCE, recorder};

pub const APP: u32 = 1_400_000_001;

pub fn request(action: Action, body: &str) -> Request {
    Request::from_json(action, body.as_bytes()).unwrap()
}

/// A `CreateCloudRecording` with `more` in its `RecordParams`.
pub fn body(room: u32, robot: &str, more: &str) -> Value {
    let body = format!(
        r#"{{"SdkAppId": {APP}, "RoomId": "{room}", "UserId": "{robot}", "UserSig": "x",
        "RecordParams": {{"RecordMode": 1, "MaxIdleTime": 5{more}}}, "StorageParams": {{"CloudStorage": {{"Vendor": 1,
        "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s", "FileNamePrefix": ["p1"]}}}}}}"#
    );
    body.parse().unwrap()
}

pub fn create(room: u32, robot: &str, more: &str) -> CreateRecording {
    let body = body(room, robot, more).to_string();
    let Request::Create(request) = request(Action::CreateCloudRecording, &body) else { panic!() };
    *request
}

pub fn room(room: u32) -> RoomKey {
    RoomKey { app: SdkAppId::new(APP), room: RoomId::integer(room) }
}

/// A service into memory, and what it told: task and payload, in order.
pub struct Told {
    pub service: Service,
    pub bucket: Bucket,
    pub events: Arc<Mutex<Vec<(String, Payload)>>>,
    _root: tempfile::TempDir,
}

impl Told {
    pub fn new(max_running: usize) -> Self {
        Self::with(|options| options.with_max_running(max_running))
    }

    pub fn with(change: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Self {
        Self::into_bucket(Bucket::memory(), change)
    }

    pub fn into_bucket(bucket: Bucket, change: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (events, opened) = (Arc::<Mutex<Vec<_>>>::default(), bucket.clone());
        let heard = Arc::clone(&events);
        let options = ServiceOptions::new(move |_| Ok(opened.clone())).with_on_callback(move |_, body| {
            let event = body.event();
            heard.lock().unwrap().push((event.task().as_str().to_owned(), event.payload().clone()));
        });
        let service = Service::new(recorder(root.path()), change(options));
        Self { service, bucket, events, _root: root }
    }

    pub async fn start(&self, request: &CreateRecording) -> String {
        self.service.create(request).await.unwrap().task_id
    }

    pub async fn describe(&self, task: &str) -> Result<DescribeCloudRecordingResponse, String> {
        let body = format!(r#"{{"SdkAppId": {APP}, "TaskId": "{task}"}}"#);
        let Request::Describe(request) = request(Action::DescribeCloudRecording, &body) else { panic!() };
        self.service.describe(&request).await.map_err(|error| error.code().to_owned())
    }

    pub fn delete(&self, app: u32, task: &str) -> Result<String, String> {
        let body = format!(r#"{{"SdkAppId": {app}, "TaskId": "{task}"}}"#);
        let Request::Delete(request) = request(Action::DeleteCloudRecording, &body) else { panic!() };
        self.service.delete(&request).map(|answer| answer.task_id).map_err(|error| error.code().to_owned())
    }

    pub fn modify(&self, task: &str, more: &str) -> Result<(), String> {
        let body = format!(r#"{{"SdkAppId": {APP}, "TaskId": "{task}"{more}}}"#);
        let Request::Modify(request) = request(Action::ModifyCloudRecording, &body) else { panic!() };
        self.service.modify(&request).map(drop).map_err(|error| error.code().to_owned())
    }

    /// The tasks that told something, in order.
    pub fn tasks(&self) -> Vec<String> {
        let mut tasks: Vec<String> = Vec::new();
        for (task, _) in self.events.lock().unwrap().iter() {
            if !tasks.contains(task) {
                tasks.push(task.clone());
            }
        }
        tasks
    }

    /// Waits for the `count`th task that tells something.
    pub async fn task(&self, count: usize) -> String {
        self.until("a task", async || self.tasks().len() >= count).await;
        self.tasks()[count - 1].clone()
    }

    /// Waits until a task has told `event`, as [`Self::story`] has it.
    pub async fn until_told(&self, task: &str, event: &str) {
        self.until(event, async || self.story(task).split(' ').any(|told| told == event)).await;
    }

    /// Numbers of a task's events, with the code of 302 and the status of 301.
    pub fn story(&self, task: &str) -> String {
        let events = self.events.lock().unwrap();
        let own = events.iter().filter(|(other, _)| other == task);
        own.map(|(_, payload)| match payload {
            Payload::RecorderStart(status) => format!("301:{}", status.number()),
            Payload::RecorderStop(code) => format!("302:{}", code.number()),
            Payload::UploadStop(status) => format!("305:{}", status.number()),
            other => other.event_type().number().to_string(),
        })
        .collect::<Vec<_>>()
        .join(" ")
    }

    pub async fn until(&self, what: &str, wanted: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !wanted().await {
            assert!(begun.elapsed() < PATIENCE, "{what} does not come: {:?}", self.events.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_over(&self, task: &str) {
        self.until("the end", async || self.describe(task).await == Err("ResourceNotFound".into())).await;
    }

    pub fn enter(&self, at: u32, user: &str) {
        self.service.event(&room(at), &RoomEvent::Enter { user: id(user) });
        let publish = RoomEvent::Publish {
            user: id(user),
            media: MediaId::Main,
            config: microphone().config(),
            origin: TrackOrigin::FirstArrival,
        };
        self.service.event(&room(at), &publish);
    }

    pub fn leave(&self, at: u32, user: &str) {
        self.service.event(&room(at), &RoomEvent::Leave { user: id(user) });
    }

    pub fn speak(&self, at: u32, user: &str, frames: std::ops::Range<i64>) {
        for frame in frames {
            let sample = Sample::new(Timestamp::new(frame * 1024, Timescale::HZ_48000), silence());
            let (media, kind) = (MediaId::Main, MediaKind::Audio);
            self.service.event(&room(at), &RoomEvent::Sample { user: id(user), media, kind, sample });
        }
    }
}
