//! What the page shows: each task as it is told by events and by the task itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recorder::api::{CreateRecording, OutputFormat, RecordMode, Storage};
use recorder::callback::{
    CallbackBody, LeaveCode, Mp4Status, Payload, StartStatus, TrackType, UploadStatus, VodCommitStatus,
    VodStopStatus,
};
use recorder::layout::{Arrangement, Content};
use recorder::naming::StreamType;
use recorder::storage::ObjectKey;
use recorder::types::{ObjectName, SdkAppId, TaskId, UnixMillis, UserId, with_causes};
use recorder::{Delivery, FileSetReport, MadeFile, Outcome, RoomKey, Status, TaskOptions, TaskState};
use serde::Serialize;

use crate::api::unix_now;

/// Tasks that are shown. The oldest of those that are over go first.
const MAX_TASKS: usize = 500;
/// Errors of a task that are shown, the newest.
const MAX_ERRORS: usize = 20;

/// The tasks since the server began, newest last.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<TaskId, Entry>,
    order: VecDeque<TaskId>,
    /// Bytes of tasks that are shown no more.
    forgotten_bytes: u64,
}

#[derive(Debug)]
struct Entry {
    app: SdkAppId,
    room_label: String,
    robot: String,
    /// Known since the task was made.
    room: Option<RoomKey>,
    is_mixed: bool,
    keeps_hls: bool,
    directory: Option<ObjectKey>,
    began: UnixMillis,
    phase: Phase,
    /// Something was told of it.
    is_shown: bool,
    leave: Option<LeaveCode>,
    files: Vec<FileSetReport>,
    arrangement: Option<Arrangement>,
    backlog: (usize, Duration),
    made: Vec<MadeFile>,
    errors: VecDeque<(UnixMillis, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    InProgress,
    /// The robot has left; files are on their way.
    Leaving,
    Over,
}

/// A task as the page gets it.
#[derive(Debug, Serialize)]
pub(crate) struct TaskView {
    pub(crate) task: String,
    app: u32,
    room: String,
    #[serde(skip)]
    pub(crate) key: Option<RoomKey>,
    /// As in a request: 1 is a number.
    room_id_type: Option<u8>,
    robot: String,
    is_mixed: bool,
    began: u64,
    status: &'static str,
    /// Why it left, as event 302 tells.
    leave_code: Option<u32>,
    bytes: u64,
    segments: u64,
    /// Of the longest file set, in milliseconds.
    duration: i64,
    /// Access units that were not recorded.
    lost: u64,
    undelivered: usize,
    /// How long the oldest undelivered file has waited, in seconds.
    lag: f64,
    errors: Vec<ErrorView>,
    playlists: Vec<FileView>,
    files: Vec<FileView>,
    picture: Option<PictureView>,
    /// Filled in by those who know.
    pub(crate) participants: Vec<ParticipantView>,
}

#[derive(Debug, Serialize)]
struct ErrorView {
    at: u64,
    text: String,
}

#[derive(Debug, Serialize)]
struct FileView {
    name: String,
    user: Option<String>,
    media: &'static str,
    tracks: TrackType,
    bytes: u64,
}

/// A mixed picture, in pixels of its canvas.
#[derive(Debug, Serialize)]
struct PictureView {
    width: u32,
    height: u32,
    background: String,
    windows: Vec<WindowView>,
}

#[derive(Debug, Serialize)]
struct WindowView {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    user: Option<String>,
    media: &'static str,
    shows: &'static str,
}

/// A stream of somebody in the room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ParticipantView {
    pub(crate) user: String,
    pub(crate) media: &'static str,
    pub(crate) tracks: Vec<&'static str>,
    pub(crate) source: String,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task is being made by `request`. It is shown from its first event on.
    pub(crate) fn made(&self, task: &TaskId, request: &CreateRecording) {
        let mut entries = self.lock();
        let new = || Entry::new(request.app, request.room.to_string(), &request.robot, unix_now());
        let entry = entries.entry(task, new);
        entry.room = Some(RoomKey { app: request.app, room: request.room.clone() });
        entry.is_mixed = matches!(request.mode, RecordMode::Mixed(_));
        entry.keeps_hls = !matches!(request.record.output, OutputFormat::Mp4 | OutputFormat::Aac);
        if let Storage::Bucket(bucket) = &request.storage {
            let prefix = bucket.prefix.components().iter().map(|component| component.as_str());
            entry.directory = ObjectKey::of_task(prefix, task).ok();
        }
    }

    /// A task of a server that died is taken up.
    pub(crate) fn recovered(&self, options: &TaskOptions) {
        let mut entries = self.lock();
        let new = || Entry::new(options.app, options.room.to_string(), &options.robot, unix_now());
        let entry = entries.entry(&options.task, new);
        entry.room = Some(RoomKey { app: options.app, room: options.room.clone() });
        entry.is_mixed = options.mix.is_some();
        entry.keeps_hls = options.output.keeps_hls();
        let prefix = options.prefix.components().iter().map(|component| component.as_str());
        let directory = ObjectKey::of_task(prefix, &options.task).ok();
        entry.directory = directory.filter(|_| options.delivery == Delivery::Bucket);
    }

    /// Something happened to a task.
    pub(crate) fn event(&self, app: SdkAppId, body: &CallbackBody) {
        let event = body.event();
        let mut entries = self.lock();
        let at = event.time();
        let new = || Entry::new(app, event.room().as_str().to_owned(), event.robot(), at);
        let entry = entries.entry(event.task(), new);
        entry.is_shown = true;
        match event.payload() {
            Payload::RecorderStart(StartStatus::STARTED) => entry.began = at,
            Payload::RecorderStart(_) => {
                entry.error(at, "the task could not start".into());
                entry.phase = Phase::Over;
            }
            Payload::RecorderStop(code) => {
                entry.leave = Some(*code);
                entry.arrangement = None;
                if entry.phase != Phase::Over {
                    entry.phase = Phase::Leaving;
                }
            }
            Payload::UploadStop(UploadStatus::SOME_KEPT_BACK) => {
                entry.error(at, "files wait in the spool: the storage did not take them".into());
            }
            Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED) => {
                entry.error(at, "the files that waited are delivered now".into());
                entry.backlog = (0, Duration::ZERO);
            }
            Payload::VodCommit(commit) if commit.status != VodCommitStatus::DELIVERED => {
                let why = commit.error.as_deref().unwrap_or_default();
                entry.error(at, format!("VOD: status {} of event 311: {why}", commit.status.number()));
            }
            Payload::VodStop(VodStopStatus::NORMAL) => entry.backlog = (0, Duration::ZERO),
            Payload::UploadError(error) => {
                entry.error(at, format!("storage: {}: {}", error.code, error.message))
            }
            Payload::DownloadImageError { url } => {
                entry.error(at, format!("an image could not be fetched: {url}"))
            }
            Payload::Mp4Stop(stop) if stop.status != Mp4Status::ALL_STORED => {
                entry.error(at, format!("MP4 or AAC: status {} of event 310", stop.status.number()));
            }
            _ => {}
        }
        entries.forget_oldest();
    }

    /// How a task is now.
    pub(crate) fn status(&self, task: &TaskId, status: Status) {
        if let Some(entry) = self.lock().by_id.get_mut(task) {
            entry.take(status);
        }
    }

    /// A task is over.
    pub(crate) fn ended(&self, task: &TaskId, outcome: &Outcome) {
        let mut entries = self.lock();
        let Some(entry) = entries.by_id.get_mut(task) else { return };
        entry.take(outcome.status.clone());
        entry.phase = Phase::Over;
        entry.arrangement = None;
        entry.made = outcome.files.clone();
        entry.backlog = (outcome.kept, entry.backlog.1);
        if outcome.kept == 0 {
            entry.backlog.1 = Duration::ZERO;
        }
        if let Some(failure) = &outcome.failure {
            let text = format!("the recording ended early: {}", with_causes(&**failure));
            entry.error(unix_now(), text);
        }
    }

    /// Tasks that are not over.
    pub(crate) fn alive(&self) -> Vec<TaskId> {
        let entries = self.lock();
        let alive = entries.by_id.iter().filter(|(_, entry)| entry.is_shown && entry.phase != Phase::Over);
        alive.map(|(task, _)| task.clone()).collect()
    }

    /// Bytes that were recorded, undelivered files, and how long the oldest has waited.
    pub(crate) fn totals(&self) -> (u64, usize, Duration) {
        let entries = self.lock();
        let all = entries.by_id.values();
        let bytes = all.clone().map(Entry::bytes).sum::<u64>() + entries.forgotten_bytes;
        let undelivered = all.clone().map(|entry| entry.backlog.0).sum();
        (bytes, undelivered, all.map(|entry| entry.backlog.1).max().unwrap_or_default())
    }

    /// Where the objects of a task are, if it is on the board.
    pub(crate) fn directory(&self, task: &str) -> Option<ObjectKey> {
        self.lock().by_id.get(&task.parse::<TaskId>().ok()?)?.directory.clone()
    }

    /// Every task, newest first.
    pub(crate) fn view(&self) -> Vec<TaskView> {
        let entries = self.lock();
        let newest_first = entries.order.iter().rev();
        let shown = |task: &TaskId| {
            entries.by_id.get(task).filter(|entry| entry.is_shown).map(|entry| entry.view(task))
        };
        newest_first.filter_map(shown).collect()
    }
}

impl Entries {
    fn entry(&mut self, task: &TaskId, new: impl FnOnce() -> Entry) -> &mut Entry {
        if !self.by_id.contains_key(task) {
            self.order.push_back(task.clone());
        }
        self.by_id.entry(task.clone()).or_insert_with(new)
    }

    fn forget_oldest(&mut self) {
        while self.order.len() > MAX_TASKS {
            let is_over = |task: &TaskId| {
                self.by_id.get(task).is_none_or(|entry| entry.phase == Phase::Over || !entry.is_shown)
            };
            let Some(oldest) = self.order.iter().position(is_over) else { return };
            if let Some(entry) = self.order.remove(oldest).and_then(|task| self.by_id.remove(&task)) {
                self.forgotten_bytes += entry.bytes();
            }
        }
    }
}

impl Entry {
    fn new(app: SdkAppId, room: String, robot: &UserId, began: UnixMillis) -> Self {
        Self {
            app,
            room_label: room,
            robot: robot.as_str().to_owned(),
            room: None,
            is_mixed: false,
            keeps_hls: true,
            directory: None,
            began,
            phase: Phase::Idle,
            is_shown: false,
            leave: None,
            files: Vec::new(),
            arrangement: None,
            backlog: (0, Duration::ZERO),
            made: Vec::new(),
            errors: VecDeque::new(),
        }
    }

    fn error(&mut self, at: UnixMillis, text: String) {
        if self.errors.len() >= MAX_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back((at, text));
    }

    fn take(&mut self, status: Status) {
        match (self.phase, status.state) {
            (Phase::Leaving | Phase::Over, _) => {}
            (_, TaskState::Idle) => self.phase = Phase::Idle,
            (_, TaskState::InProgress) => self.phase = Phase::InProgress,
            (_, TaskState::Exited) => self.phase = Phase::Leaving,
        }
        self.files = status.files;
        self.arrangement = status.arrangement;
        self.backlog = (status.backlog.files, status.backlog.lag);
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn view(&self, task: &TaskId) -> TaskView {
        let playlists = self.files.iter().filter(|file| self.keeps_hls && file.begin.is_some());
        let duration = self.files.iter().map(|file| file.duration.round_to_millis()).max();
        TaskView {
            task: task.as_str().to_owned(),
            app: self.app.get(),
            room: self.room_label.clone(),
            key: self.room.clone(),
            room_id_type: self.room.as_ref().map(|key| u8::from(key.room.as_integer().is_some())),
            robot: self.robot.clone(),
            is_mixed: self.is_mixed,
            began: self.began.get(),
            status: match self.phase {
                Phase::Idle => "Idle",
                Phase::InProgress => "InProgress",
                Phase::Leaving => "Exited",
                Phase::Over => "Over",
            },
            leave_code: self.leave.map(LeaveCode::number),
            bytes: self.bytes(),
            segments: self.files.iter().map(|file| file.segments).sum(),
            duration: duration.unwrap_or(0),
            lost: self.files.iter().map(|file| file.stats.lost_total()).sum(),
            undelivered: self.backlog.0,
            lag: self.backlog.1.as_secs_f64(),
            errors: self
                .errors
                .iter()
                .map(|(at, text)| ErrorView { at: at.get(), text: text.clone() })
                .collect(),
            playlists: playlists.map(FileView::playlist).collect(),
            files: self.made.iter().map(FileView::made).collect(),
            picture: self.arrangement.as_ref().map(PictureView::new),
            participants: Vec::new(),
        }
    }
}

impl FileView {
    fn playlist(file: &FileSetReport) -> Self {
        Self {
            name: file.playlist.as_str().to_owned(),
            user: file.user.as_ref().map(|user| user.as_str().to_owned()),
            media: file.media.as_str(),
            tracks: match file.stream_type {
                StreamType::Audio => TrackType::Audio,
                StreamType::Video => TrackType::Video,
                StreamType::AudioVideo => TrackType::AudioVideo,
            },
            bytes: file.bytes,
        }
    }

    fn made(file: &MadeFile) -> Self {
        Self {
            name: file.name.as_str().to_owned(),
            user: file.user.as_ref().map(|user| user.as_str().to_owned()),
            media: file.media.as_str(),
            tracks: file.track_type,
            bytes: file.bytes,
        }
    }
}

impl PictureView {
    fn new(arrangement: &Arrangement) -> Self {
        let windows = arrangement.windows.iter().map(|window| WindowView {
            left: window.rect.left(),
            top: window.rect.top(),
            width: window.rect.size().width(),
            height: window.rect.size().height(),
            user: window.content.stream().map(|stream| stream.user.as_str().to_owned()),
            media: window.content.stream().map_or("", |stream| stream.media.as_str()),
            shows: match window.content {
                Content::Video(_) => "video",
                Content::AudioOnly(_) => "audio",
                Content::Absent(_) => "absent",
                _ => "nobody",
            },
        });
        Self {
            width: arrangement.canvas.width(),
            height: arrangement.canvas.height(),
            background: arrangement.background.to_string(),
            windows: windows.collect(),
        }
    }
}

/// The key of a task's object by the names in an address; `None` where there is none.
pub(crate) fn object(board: &Board, task: &str, name: &str) -> Option<ObjectKey> {
    let name: ObjectName = name.parse().ok()?;
    board.directory(task)?.join(&name).ok()
}
