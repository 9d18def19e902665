use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use recorder_api::wire::{
    CreateCloudRecordingResponse, DeleteCloudRecordingResponse, DescribeCloudRecordingResponse,
    ModifyCloudRecordingResponse, StorageFile, TaskStatus,
};
use recorder_api::{
    CreateRecording, DeleteRecording, DescribeRecording, ErrorCode, MAX_RUNNING_TASKS, ModifyRecording,
    RecordMode, ServiceError, Storage, StorageBucket, VodSettings,
};
use recorder_callback::{CallbackBody, LeaveCode, Payload};
use recorder_naming::encode_field;
use recorder_storage::{Bucket, LibraryError, MediaLibrary, StorageError};
use recorder_types::{RoomTime, SdkAppId, Size, TaskId, UserId};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::auto::Template;
use super::life::{LifeError, Stop, TaskLife};
use super::options::{InvalidTask, media_settings, subscription, task_options};
use super::recover::Begun;
use super::room::{Departure, Room, RoomKey};
use crate::shell::{
    Clock, ClockMode, LibraryTarget, Outcome, Recorder, Recording, RecordingOptions, SendError, Status,
};
use crate::task::{FileSetReport, RoomEvent, TaskState, track_type};

/// How long a task may take to say how it is; after that the answer is how it was.
const DESCRIBE_PATIENCE: Duration = Duration::from_millis(40);

type OpenBucket = Arc<dyn Fn(&StorageBucket) -> Result<Bucket, StorageError> + Send + Sync>;
type OpenLibrary =
    Arc<dyn Fn(&CreateRecording, &VodSettings) -> Result<Arc<dyn MediaLibrary>, LibraryError> + Send + Sync>;
type Adjust = Arc<dyn Fn(&CreateRecording, RecordingOptions) -> RecordingOptions + Send + Sync>;
type OnCallback = Arc<dyn Fn(SdkAppId, &CallbackBody) + Send + Sync>;
type OnEnded = Arc<dyn Fn(&TaskId, &Outcome) + Send + Sync>;

/// How a [`Service`] runs its tasks.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServiceOptions {
    /// Tasks that run at a time. Default 100.
    pub max_running: usize,
    /// How events are sent to the address of an auto-recording template. Default: to public addresses only.
    #[cfg(feature = "http")]
    pub template_callbacks: recorder_callback::DelivererOptions,
    open: OpenBucket,
    pub(super) library: Option<OpenLibrary>,
    adjust: Adjust,
    on_callback: OnCallback,
    on_ended: OnEnded,
}

impl ServiceOptions {
    /// Opens the bucket of each request by `open`, which must not wait for the network: `Bucket::open` of
    /// [`bucket_address`](super::bucket_address), or one bucket for all.
    #[must_use]
    pub fn new(
        open: impl Fn(&StorageBucket) -> Result<Bucket, StorageError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            max_running: MAX_RUNNING_TASKS,
            #[cfg(feature = "http")]
            template_callbacks: recorder_callback::DelivererOptions::default(),
            open: Arc::new(open),
            library: None,
            adjust: Arc::new(|_, options| options),
            on_callback: Arc::new(|_, _| ()),
            on_ended: Arc::new(|_, _| ()),
        }
    }

    /// Sets [`ServiceOptions::max_running`].
    #[must_use]
    pub fn with_max_running(mut self, max: usize) -> Self {
        self.max_running = max;
        self
    }

    /// Sets [`ServiceOptions::template_callbacks`].
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_template_callbacks(mut self, options: recorder_callback::DelivererOptions) -> Self {
        self.template_callbacks = options;
        self
    }

    /// Records to VOD (`CloudVod`), into the media library that `open` gives for a request and that must not wait for the
    /// network. Without it such requests are `UnsupportedOperation`.
    #[must_use]
    pub fn with_library(
        mut self,
        open: impl Fn(&CreateRecording, &VodSettings) -> Result<Arc<dyn MediaLibrary>, LibraryError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.library = Some(Arc::new(open));
        self
    }

    /// Changes the options of each recording before it starts: uploader, key frame requests, delivery of callbacks.
    /// A function for callbacks set there is not called; [`Self::with_on_callback`] has its place. For a recording by
    /// template, the request is that of
    /// [`AutoRecording::to_request`](recorder_api::AutoRecording::to_request), and the template's address for callbacks,
    /// if it has one, goes before what is set there.
    #[must_use]
    pub fn with_adjust(
        mut self,
        adjust: impl Fn(&CreateRecording, RecordingOptions) -> RecordingOptions + Send + Sync + 'static,
    ) -> Self {
        self.adjust = Arc::new(adjust);
        self
    }

    /// Calls `sink` with each event of each task, in order for a task, on the task's thread: it should not block.
    #[must_use]
    pub fn with_on_callback(
        mut self,
        sink: impl Fn(SdkAppId, &CallbackBody) + Send + Sync + 'static,
    ) -> Self {
        self.on_callback = Arc::new(sink);
        self
    }

    /// Calls `sink` when a task is over, with how it ended, on the runtime: it should not block.
    #[must_use]
    pub fn with_on_ended(mut self, sink: impl Fn(&TaskId, &Outcome) + Send + Sync + 'static) -> Self {
        self.on_ended = Arc::new(sink);
        self
    }
}

impl fmt::Debug for ServiceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceOptions").field("max_running", &self.max_running).finish_non_exhaustive()
    }
}

/// The four actions of the recording API, and the rooms that they record. Cheap to clone.
///
/// The embedder tells what happens in all rooms ([`Self::event`]); a task that starts in the middle of a call is told who
/// is there already. Every action answers without waiting for storage or callbacks.
///
/// # Specification
/// `trtc-api.md` section 2.
#[derive(Clone)]
pub struct Service(pub(super) Arc<Inner>);

/// Locks are taken in this order: rooms, a room, templates, life, slots.
pub(super) struct Inner {
    pub(super) recorder: Recorder,
    pub(super) options: ServiceOptions,
    pub(super) runtime: Handle,
    pub(super) clock: Clock,
    /// How long a task may take to say how it is.
    patience: Duration,
    pub(super) life: Mutex<TaskLife>,
    pub(super) slots: Mutex<HashMap<TaskId, Slot>>,
    rooms: RwLock<HashMap<RoomKey, Arc<Mutex<Room>>>>,
    pub(super) templates: RwLock<HashMap<SdkAppId, Arc<Template>>>,
}

pub(super) struct Slot {
    pub(super) room: RoomKey,
    /// Of a mixed task.
    pub(super) canvas: Option<Size>,
    /// It records to VOD: no files are described.
    pub(super) to_library: bool,
    pub(super) phase: SlotPhase,
}

pub(super) enum SlotPhase {
    /// The recording is being started; `stop` is what happens to it then.
    Starting {
        stop: Option<LeaveCode>,
    },
    Started {
        recording: Recording,
        last: Option<Box<Status>>,
    },
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// A lock that a panic left behind guards plain values, which are whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// Records by `recorder`, on the tokio runtime of the caller. Events and calls can come from any thread.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    #[must_use]
    pub fn new(recorder: Recorder, options: ServiceOptions) -> Self {
        Self::by_clock(recorder, options, Clock::start(ClockMode::System), DESCRIBE_PATIENCE)
    }

    pub(super) fn by_clock(
        recorder: Recorder,
        options: ServiceOptions,
        clock: Clock,
        patience: Duration,
    ) -> Self {
        let life = Mutex::new(TaskLife::new(options.max_running));
        Self(Arc::new(Inner {
            recorder,
            options,
            runtime: Handle::current(),
            clock,
            patience,
            life,
            slots: Mutex::default(),
            rooms: RwLock::default(),
            templates: RwLock::default(),
        }))
    }

    /// Time since the service began: the clock of [`TrackOrigin::At`](crate::TrackOrigin::At) in its events.
    #[must_use]
    pub fn now(&self) -> RoomTime {
        self.0.now()
    }

    /// Tasks whose robot is in its room.
    #[must_use]
    pub fn running(&self) -> usize {
        lock(&self.0.life).running()
    }

    /// Something happens in a room. Never waits. [`RoomEvent::Stop`] is as [`Self::dismiss`]; lists
    /// ([`RoomEvent::Subscribe`]) and layouts are a task's and are passed over.
    pub fn event(&self, room: &RoomKey, event: &RoomEvent) {
        match event {
            RoomEvent::Stop { code } => self.dismiss(room, *code),
            RoomEvent::Subscribe { .. } => {}
            #[cfg(feature = "mix")]
            RoomEvent::Layout { .. } => {}
            RoomEvent::Enter { .. } => self.0.in_room(room, |at| at.event(event)),
            RoomEvent::Leave { .. } => {
                if self.0.in_known_room(room, |at| at.event(event)).is_some() {
                    self.0.forget_empty(room);
                }
            }
            _ => {
                self.0.in_known_room(room, |at| {
                    at.event(event);
                    self.0.begin_if_due(at, room);
                });
            }
        }
    }

    /// The room is over: dismissed by the customer or the server, or the connection to it is lost
    /// ([`LeaveCode::ROOM_TIMEOUT`]). Every task in it ends.
    pub fn dismiss(&self, room: &RoomKey, code: LeaveCode) {
        let gone = self.0.rooms.write().unwrap_or_else(PoisonError::into_inner).remove(room);
        if let Some(gone) = gone {
            lock(&gone).dismiss();
        }
        let stops = lock(&self.0.life).leave_room(room, None, code);
        stops.iter().for_each(|stop| self.0.stop(stop));
    }

    /// A robot was removed from its room, by the customer or the server: its task ends.
    pub fn remove_robot(&self, room: &RoomKey, robot: &UserId, code: LeaveCode) {
        let stops = lock(&self.0.life).leave_room(room, Some(robot), code);
        stops.iter().for_each(|stop| self.0.stop(stop));
    }

    /// `CreateCloudRecording`.
    ///
    /// # Errors
    /// [`ServiceError`] with the code of the API.
    pub async fn create(
        &self,
        request: &CreateRecording,
    ) -> Result<CreateCloudRecordingResponse, ServiceError> {
        let id = new_task_id(request.app).map_err(|error| internal(&error))?;
        let room = RoomKey { app: request.app, room: request.room.clone() };
        let options = self.0.prepare(request, &id, &room)?;
        let clock = self.0.clock.another(options.clock);
        let displaced = self.0.admit(request, &id, &room)?;
        self.0.in_room(&room, |at| at.join(id.clone(), clock, self.now()));
        if let Some(displaced) = displaced {
            self.0.stop(&displaced); // after the other has come: the room stays the same
        }
        self.0.start(id.clone(), room, clock, options).await.map_err(|error| internal(&error))??;
        Ok(CreateCloudRecordingResponse { task_id: id.as_str().to_owned() })
    }

    /// State, files and backlog of a task, as `DescribeCloudRecording` does not tell them; as they were last where the
    /// task does not answer within 40 ms. `None` before there is an answer, and for a task that is over or unknown.
    pub async fn status(&self, task: &TaskId) -> Option<Status> {
        let (recording, _) = self.0.recording(task)?;
        self.0.ask(task, recording).await
    }

    /// `DescribeCloudRecording`.
    ///
    /// # Errors
    /// [`ServiceError`] with the code of the API.
    pub async fn describe(
        &self,
        request: &DescribeRecording,
    ) -> Result<DescribeCloudRecordingResponse, ServiceError> {
        let id = lock(&self.0.life).find(self.0.elapsed(), request.app, &request.task)?;
        let (recording, _) = self.0.recording(&id).ok_or(LifeError::NotFound)?;
        let status = self.0.ask(&id, recording).await;
        let state = match (&status, lock(&self.0.life).is_running(&id)) {
            (_, false) => TaskStatus::Exited,
            (None, true) => TaskStatus::Idle,
            (Some(status), true) => match status.state {
                TaskState::Idle => TaskStatus::Idle,
                TaskState::InProgress => TaskStatus::InProgress,
                TaskState::Exited => TaskStatus::Exited,
            },
        };
        let described = status.iter().filter(|_| !self.0.is_to_library(&id));
        let files = described.flat_map(|status| &status.files).filter_map(storage_file).collect();
        Ok(DescribeCloudRecordingResponse {
            task_id: id.as_str().to_owned(),
            status: state,
            storage_file_list: Some(files),
            recorder_key: None,
        })
    }

    /// `ModifyCloudRecording`: the subscription lists, and the layout of a mixed task. A layout for a single-stream task
    /// is passed over. What is not in the request has its default again.
    ///
    /// # Errors
    /// [`ServiceError`] with the code of the API; a task that is leaving gives `FailedOperation`.
    pub fn modify(&self, request: &ModifyRecording) -> Result<ModifyCloudRecordingResponse, ServiceError> {
        let id = {
            let life = lock(&self.0.life);
            let id = life.find(self.0.elapsed(), request.app, &request.task)?;
            if !life.is_running(&id) {
                return Err(ServiceError::new(ErrorCode::FailedOperation, "the task is leaving"));
            }
            id
        };
        let subscription = subscription(&request.audio_users, &request.video_users)?;
        let (recording, canvas) = self.0.recording(&id).ok_or(LifeError::NotFound)?;
        let starting = || ServiceError::new(ErrorCode::FailedOperation, "the task is starting");
        let recording = recording.ok_or_else(starting)?;
        if let Some(canvas) = canvas {
            request.layout.check_canvas(canvas).map_err(|error| ServiceError::from(&error))?;
        }
        #[cfg(feature = "mix")]
        if canvas.is_some() {
            let watermarks = crate::mix::watermarks(&request.layout)?;
            self.0.send(&recording, RoomEvent::Layout { layout: request.layout.params.clone(), watermarks });
        }
        self.0.send(&recording, RoomEvent::Subscribe { subscription });
        Ok(ModifyCloudRecordingResponse { task_id: id.as_str().to_owned() })
    }

    /// `DeleteCloudRecording`. Uploads go on; event 305, 310 or 312 tells their end. Twice is once.
    ///
    /// # Errors
    /// [`ServiceError`] with the code of the API.
    pub fn delete(&self, request: &DeleteRecording) -> Result<DeleteCloudRecordingResponse, ServiceError> {
        let (id, stop) = lock(&self.0.life).delete(self.0.elapsed(), request.app, &request.task)?;
        if let Some(stop) = stop {
            self.0.stop(&stop);
        }
        Ok(DeleteCloudRecordingResponse { task_id: id.as_str().to_owned() })
    }

    /// Ends every task ([`LeaveCode::REMOVED_BY_SERVER`]) and waits until each has delivered its files or kept them in
    /// the spool. Calls that come meanwhile are answered as ever: stop taking them first.
    pub async fn shut_down(&self) {
        self.0.templates.write().unwrap_or_else(PoisonError::into_inner).clear();
        let rooms: Vec<_> =
            self.0.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rooms.iter().for_each(|room| lock(room).without_auto());
        let slots: Vec<(TaskId, Option<Recording>)> = lock(&self.0.slots)
            .iter()
            .map(|(id, slot)| (id.clone(), slot.phase.recording().cloned()))
            .collect();
        for (task, _) in &slots {
            lock(&self.0.life).left(task);
            self.0.stop(&Stop { task: task.clone(), code: LeaveCode::REMOVED_BY_SERVER });
        }
        for recording in slots.into_iter().filter_map(|(_, recording)| recording) {
            // A thread that died has left its files in the spool.
            let _ = recording.ended().await;
        }
    }
}

impl SlotPhase {
    const fn recording(&self) -> Option<&Recording> {
        match self {
            Self::Starting { .. } => None,
            Self::Started { recording, .. } => Some(recording),
        }
    }
}

impl Inner {
    pub(super) fn now(&self) -> RoomTime {
        // It tells the time by itself.
        self.clock.now().map_or(RoomTime::ZERO, |now| now.room)
    }

    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.now().nanos()).unwrap_or(0))
    }

    /// Does `what` in a room, which comes into being if it is not there.
    pub(super) fn in_room<T>(&self, key: &RoomKey, what: impl FnOnce(&mut Room) -> T) -> T {
        loop {
            let room = {
                let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(rooms.entry(key.clone()).or_insert_with(|| self.new_room(key.app)))
            };
            let mut at = lock(&room);
            // A room that is gone is not in the map any more.
            if !at.is_gone() {
                return what(&mut at);
            }
        }
    }

    fn new_room(&self, app: SdkAppId) -> Arc<Mutex<Room>> {
        let templates = self.templates.read().unwrap_or_else(PoisonError::into_inner);
        Arc::new(Mutex::new(Room::new(templates.get(&app).cloned())))
    }

    fn in_known_room<T>(&self, key: &RoomKey, what: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let room = self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        room.map(|room| what(&mut lock(&room)))
    }

    fn forget_empty(&self, key: &RoomKey) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(entry) = rooms.entry(key.clone())
            && lock(entry.get()).dismiss_if_empty()
        {
            entry.remove();
        }
    }

    /// What a request asks for, as a recording with the id `id`.
    pub(super) fn prepare(
        self: &Arc<Self>,
        request: &CreateRecording,
        id: &TaskId,
        room: &RoomKey,
    ) -> Result<RecordingOptions, ServiceError> {
        let task = task_options(request, id.clone())?;
        let options = match &request.storage {
            Storage::Bucket(bucket) => {
                let bucket = (self.options.open)(bucket).map_err(|error| {
                    ServiceError::new(ErrorCode::FailedOperation, format!("the bucket: {error}"))
                })?;
                RecordingOptions::new(task, bucket)
            }
            Storage::Vod(vod) => {
                let open = self.options.library.as_ref().ok_or(InvalidTask::Vod)?;
                let library = open(request, vod).map_err(|error| library_error(&error))?;
                let settings = media_settings(vod);
                library.check(&settings).map_err(|error| library_error(&error))?;
                RecordingOptions::to_library(task, LibraryTarget { library, settings })
            }
        };
        let options = (self.options.adjust)(request, options);
        let options = options.with_note(self.note(request.resource_expires_after, Begun::ByCall));
        Ok(options.with_on_callback(self.callback_sink(id.clone(), room.clone())))
    }

    /// Gives a task its place. The one that it displaces is to be stopped.
    pub(super) fn admit(
        &self,
        request: &CreateRecording,
        id: &TaskId,
        room: &RoomKey,
    ) -> Result<Option<Stop>, ServiceError> {
        let place = (room.clone(), request.robot.clone());
        let (now, expires) = (self.elapsed(), request.resource_expires_after);
        let canvas = match &request.mode {
            RecordMode::SingleStream => None,
            RecordMode::Mixed(settings) => Some(settings.canvas),
        };
        let to_library = matches!(request.storage, Storage::Vod(_));
        let slot = Slot { room: room.clone(), canvas, to_library, phase: SlotPhase::Starting { stop: None } };
        // Whoever ends the task from now on finds its slot.
        let mut life = lock(&self.life);
        let displaced = life.create(now, id.clone(), place, expires)?;
        lock(&self.slots).insert(id.clone(), slot);
        Ok(displaced)
    }

    /// Starts what was admitted and has joined its room, also if nobody waits for it.
    pub(super) fn start(
        self: &Arc<Self>,
        id: TaskId,
        room: RoomKey,
        clock: Clock,
        options: RecordingOptions,
    ) -> JoinHandle<Result<(), ServiceError>> {
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            // The spool's directory is made and synced: not on a thread of the runtime.
            let recorder = inner.recorder.clone();
            let started = inner.runtime.spawn_blocking(move || recorder.start_since(clock, options)).await;
            let started = started.map_err(|error| internal(&error));
            let recording = started
                .and_then(|started| started.map_err(|error| internal(&error)))
                .inspect_err(|_| inner.ended(&id, &room))?;
            inner.begin(&id, &room, recording);
            Ok(())
        })
    }

    /// The recording runs: it hears its room, or ends at once if that was decided meanwhile.
    fn begin(self: &Arc<Self>, id: &TaskId, room: &RoomKey, recording: Recording) {
        // First of all it hears who is there. Whoever ends it meanwhile leaves a note.
        self.in_known_room(room, |at| at.open(id, &recording));
        let stop = {
            let mut slots = lock(&self.slots);
            match slots.get_mut(id) {
                Some(slot) => {
                    let started = SlotPhase::Started { recording: recording.clone(), last: None };
                    match std::mem::replace(&mut slot.phase, started) {
                        SlotPhase::Starting { stop } => stop,
                        SlotPhase::Started { .. } => None,
                    }
                }
                None => Some(LeaveCode::REMOVED_BY_SERVER),
            }
        };
        if let Some(code) = stop {
            self.send(&recording, RoomEvent::Stop { code });
        }
        self.watch(id, room, recording);
    }

    /// Hears when the recording is over.
    pub(super) fn watch(self: &Arc<Self>, id: &TaskId, room: &RoomKey, recording: Recording) {
        let (inner, id, room) = (Arc::downgrade(self), id.clone(), room.clone());
        self.runtime.spawn(async move {
            // However it ended, there is nothing more to ask it.
            let outcome = recording.ended().await;
            if let Some(inner) = Weak::upgrade(&inner) {
                inner.ended(&id, &room);
                if let Ok(outcome) = outcome {
                    (inner.options.on_ended)(&id, &outcome);
                }
            }
        });
    }

    /// Ends a recording that the life of tasks has let go.
    pub(super) fn stop(self: &Arc<Self>, stop: &Stop) {
        let (room, recording) = {
            let mut slots = lock(&self.slots);
            let Some(slot) = slots.get_mut(&stop.task) else { return };
            let recording = match &mut slot.phase {
                SlotPhase::Starting { stop: code } => {
                    code.get_or_insert(stop.code);
                    None
                }
                SlotPhase::Started { recording, .. } => Some(recording.clone()),
            };
            (slot.room.clone(), recording)
        };
        self.leave(&stop.task, &room, Departure::Called);
        if let Some(recording) = recording {
            self.send(&recording, RoomEvent::Stop { code: stop.code });
        }
    }

    /// Hands over what the task must not miss. If its queue is full, somebody waits for it, but not the caller.
    fn send(&self, recording: &Recording, event: RoomEvent) {
        match recording.event(event.clone()) {
            Ok(()) | Err(SendError::Ended) => {}
            Err(_) => {
                let recording = recording.clone();
                // The task can refuse it only if it is over.
                self.runtime.spawn(async move { drop(recording.ask(event).await) });
            }
        }
    }

    pub(super) fn leave(self: &Arc<Self>, id: &TaskId, room: &RoomKey, why: Departure) {
        let left = self.in_known_room(room, |at| {
            at.leave(id, why, self.now());
            if why == Departure::Idle {
                self.begin_if_due(at, room); // somebody came at the very moment
            }
        });
        if left.is_some() {
            self.forget_empty(room);
        }
    }

    fn ended(self: &Arc<Self>, id: &TaskId, room: &RoomKey) {
        lock(&self.life).ended(id);
        lock(&self.slots).remove(id);
        self.leave(id, room, Departure::Failed);
    }

    /// The recording of a task, if it has started, and its canvas if it is mixed.
    fn recording(&self, id: &TaskId) -> Option<(Option<Recording>, Option<Size>)> {
        let slots = lock(&self.slots);
        let slot = slots.get(id)?;
        Some((slot.phase.recording().cloned(), slot.canvas))
    }

    fn is_to_library(&self, id: &TaskId) -> bool {
        lock(&self.slots).get(id).is_some_and(|slot| slot.to_library)
    }

    /// How a task is; how it was last if it does not say so soon.
    async fn ask(&self, id: &TaskId, recording: Option<Recording>) -> Option<Status> {
        let status = match recording {
            // It may take its time, or be over.
            Some(recording) => tokio::time::timeout(self.patience, recording.describe()).await.ok().flatten(),
            None => None,
        };
        self.remember(id, status)
    }

    /// The newest status that is known: `status`, or else the last one.
    fn remember(&self, id: &TaskId, status: Option<Status>) -> Option<Status> {
        match lock(&self.slots).get_mut(id).map(|slot| &mut slot.phase) {
            Some(SlotPhase::Started { last, .. }) => {
                if let Some(status) = status {
                    *last = Some(Box::new(status));
                }
                last.as_deref().cloned()
            }
            Some(SlotPhase::Starting { .. }) | None => status,
        }
    }

    /// Tells the embedder, and hears that a task has left its room by itself.
    pub(super) fn callback_sink(
        self: &Arc<Self>,
        id: TaskId,
        room: RoomKey,
    ) -> impl Fn(&CallbackBody) + Send + Sync + 'static {
        let inner = Arc::downgrade(self);
        let on_callback = Arc::clone(&self.options.on_callback);
        move |body| {
            if let Payload::RecorderStop(code) = body.event().payload()
                && let Some(inner) = Weak::upgrade(&inner)
            {
                lock(&inner.life).left(&id);
                let why = if *code == LeaveCode::IDLE { Departure::Idle } else { Departure::Failed };
                inner.leave(&id, &room, why);
            }
            on_callback(room.app, body);
        }
    }
}

/// A media library that cannot be had, or does not take what a request wants.
fn library_error(error: &LibraryError) -> ServiceError {
    let code = match error {
        LibraryError::InvalidSetting { .. } => ErrorCode::InvalidParameterOutOfRange,
        _ => ErrorCode::FailedOperation,
    };
    ServiceError::new(code, format!("VOD: {error}"))
}

fn storage_file(set: &FileSetReport) -> Option<StorageFile> {
    Some(StorageFile {
        user_id: Some(set.user.as_ref().map_or_else(String::new, |user| user.as_str().to_owned())),
        file_name: set.playlist.as_str().to_owned(),
        track_type: Some(track_type(set.stream_type)),
        begin_time_stamp: set.begin?.get(),
    })
}

/// An id in the service's shape: some 60 characters of the alphabet of file names. Not to be guessed in practice: its 128
/// bits come from the keys that the standard library seeds its hash maps with.
pub(super) fn new_task_id(app: SdkAppId) -> Result<TaskId, recorder_types::InvalidTaskId> {
    let bits = || RandomState::new().build_hasher().finish();
    encode_field(format!("{app}_{:016x}{:016x}", bits(), bits()).as_bytes()).parse()
}

pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> ServiceError {
    tracing::error!(error, "a task could not start");
    ServiceError::new(ErrorCode::InternalErrorCrInternalError, "the task could not start")
}

impl From<LifeError> for ServiceError {
    fn from(error: LifeError) -> Self {
        let code = match error {
            LifeError::TaskExists => ErrorCode::InternalErrorCrInternalError,
            LifeError::NotFound => ErrorCode::ResourceNotFound,
            LifeError::TooManyTasks { .. } => ErrorCode::FailedOperationRestrictedConcurrency,
        };
        Self::new(code, error.to_string())
    }
}

/// What a test looks at.
#[cfg(test)]
impl Service {
    /// The recordings, when each has started.
    pub(super) async fn started(&self) -> Vec<Recording> {
        loop {
            {
                let slots = lock(&self.0.slots);
                if let Some(all) = slots.values().map(|slot| slot.phase.recording().cloned()).collect() {
                    return all;
                }
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }

    /// Tasks that are not over.
    pub(super) fn known(&self) -> usize {
        lock(&self.0.slots).len()
    }

    /// The integer rooms that there are, in order.
    pub(super) fn rooms(&self) -> Vec<u32> {
        let rooms = self.0.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let mut rooms: Vec<u32> = rooms.keys().filter_map(|key| key.room.as_integer()).collect();
        rooms.sort_unstable();
        rooms
    }
}

#[cfg(test)]
mod tests {
    use recorder_types::RoomId;

    use super::*;
    use crate::shell::RecorderOptions;

    #[tokio::test]
    async fn rooms_are_forgotten_when_everyone_has_left() {
        let root = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(RecorderOptions::new(root.path()));
        let service = Service::new(recorder, ServiceOptions::new(|_| Ok(Bucket::memory())));
        let user: UserId = "alice".parse().unwrap();
        for number in 0..100 {
            let room = RoomKey { app: SdkAppId::new(1), room: RoomId::integer(number) };
            service.event(&room, &RoomEvent::Enter { user: user.clone() });
            assert_eq!(service.rooms(), [number]);
            service.event(&room, &RoomEvent::Leave { user: user.clone() });
        }
        assert_eq!(service.rooms(), [0; 0]);
    }
}
