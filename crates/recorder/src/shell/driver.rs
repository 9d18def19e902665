use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use recorder_callback::{CallbackBody, Event, LeaveCode, Payload};
use recorder_hls::PlaylistUpdate;
use recorder_storage::{Finished, PlaylistEnd, Report, Reports, Spool, SpoolError, SpoolFile, Uploader};
use recorder_types::{ObjectName, RoomTime, UnixMillis};
use tokio::sync::{mpsc, watch};

use super::clock::{Clock, ClockMode};
use super::notify::Notifier;
use super::options::{KeyFrameSink, RecordingOptions};
use super::recording::{Message, Outcome, Status};
use crate::task::{Action, EventError, Now, RoomEvent, SetId, StorageReport, TaskCore, TaskOptions};

/// Events taken at a time.
const BATCH: usize = 512;

const END_LIST: &str = "#EXT-X-ENDLIST\n";

/// The life of one recording on its own thread: waits, pushes into the core, performs its actions, reports back. It
/// decides nothing.
pub(super) struct Driver {
    core: TaskCore,
    clock: Clock,
    /// The latest time seen: what the core is told never goes back.
    now: Now,
    spool: Spool,
    uploader: Arc<Uploader>,
    notifier: Notifier,
    on_key_frame: Option<KeyFrameSink>,
    outcome: watch::Sender<Option<Outcome>>,
    task: TaskOptions,
    gather: Duration,
    /// By the position of a set's id.
    sets: Vec<SetFiles>,
    failure: Option<Arc<SpoolError>>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Recording,
    Uploading,
    Over,
}

/// What the shell holds of one file set.
#[derive(Default)]
struct SetFiles {
    open: Option<SpoolFile>,
    /// The disk failed: nothing more is written, and the playlist ends with what it names.
    broken: bool,
    listed: bool,
}

impl Driver {
    pub(super) fn new(
        core: TaskCore,
        clock: Clock,
        spool: Spool,
        uploader: Uploader,
        outcome: watch::Sender<Option<Outcome>>,
        options: &RecordingOptions,
    ) -> Self {
        Self {
            core,
            clock,
            now: clock.zero(),
            spool,
            uploader: Arc::new(uploader),
            notifier: Notifier::new(options),
            on_key_frame: options.on_key_frame.clone(),
            outcome,
            task: options.task.clone(),
            gather: if options.clock == ClockMode::System { options.gather } else { Duration::ZERO },
            sets: Vec::new(),
            failure: None,
            phase: Phase::Recording,
        }
    }

    /// Runs until the recording is over and everything is delivered, or the runtime ends.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>, mut reports: Reports) {
        self.perform();
        let mut batch = Vec::with_capacity(BATCH);
        let mut open = true;
        let mut finishing: Option<Pin<Box<dyn Future<Output = Finished>>>> = None;
        while self.phase != Phase::Over {
            if self.phase == Phase::Uploading && finishing.is_none() && self.outcome.borrow().is_none() {
                let uploader = Arc::clone(&self.uploader);
                finishing = Some(Box::pin(async move { uploader.finish().await }));
            }
            let until_deadline = self.until_deadline();
            tokio::select! {
                biased;
                report = reports.recv() => match report {
                    Some(report) => self.report(report),
                    // The runtime ends: what was not delivered stays in the spool.
                    None if finishing.is_none() => return,
                    None => {}
                },
                finished = async { finishing.as_mut().expect("checked by the guard").await },
                    if finishing.is_some() =>
                {
                    finishing = None;
                    while let Some(report) = reports.try_recv() {
                        self.report(report);
                    }
                    self.uploads_ended(finished);
                }
                taken = inbox.recv_many(&mut batch, BATCH), if open => {
                    open = taken > 0;
                    for message in batch.drain(..) {
                        self.take(message);
                    }
                    if !open {
                        self.event(self.now, RoomEvent::Stop { code: LeaveCode::API_STOP });
                    } else if taken < BATCH / 2 && self.phase == Phase::Recording && !self.gather.is_zero() {
                        std::thread::sleep(self.gather);
                    }
                }
                () = tokio::time::sleep(until_deadline.unwrap_or_default()), if until_deadline.is_some() => {
                    if let Some(now) = self.clock.now() {
                        let now = self.advance(now);
                        self.core.tick(now);
                        self.perform();
                    }
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event { now, event, _room } => self.event(now, event),
            Message::Ask { now, event, answer } => {
                let now = self.advance(now);
                let result = self.core.event(now, event);
                self.perform();
                // Whoever asked may have gone.
                let _ = answer.send(result);
            }
            Message::Describe { answer } => {
                let _ = answer.send(self.status());
            }
            Message::Redeliver => {
                // Fails only when the runtime ends.
                let _ = self.uploader.redeliver();
            }
        }
    }

    fn event(&mut self, now: Now, event: RoomEvent) {
        let now = self.advance(now);
        match self.core.event(now, event) {
            Ok(()) | Err(EventError::Ended) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "event not followed"),
        }
        self.perform();
    }

    fn report(&mut self, report: Report) {
        let report = match report {
            Report::PlaylistStored { name, .. } => StorageReport::PlaylistStored { name },
            Report::Error { code, message } => {
                tracing::warn!(code, message, "the bucket refuses");
                StorageReport::UploadFailed { code, message }
            }
            Report::AllDelivered => StorageReport::KeptDelivered,
            _ => return,
        };
        let now = self.clock.now().unwrap_or(self.now);
        let now = self.advance(now);
        self.core.report(now, report);
        self.perform();
    }

    fn uploads_ended(&mut self, finished: Finished) {
        let kept = match finished {
            Finished::Delivered => 0,
            Finished::Kept(kept) => kept,
        };
        let now = self.clock.now().unwrap_or(self.now);
        let now = self.advance(now);
        self.core.report(now, StorageReport::UploadsEnded { kept });
        self.perform();
        let outcome = Outcome { status: self.status(), kept, failure: self.failure.clone() };
        self.outcome.send_replace(Some(outcome));
    }

    fn status(&self) -> Status {
        Status { state: self.core.state(), files: self.core.files().collect(), refused: self.core.refused() }
    }

    /// `now`, or the latest time so far if that is later.
    fn advance(&mut self, now: Now) -> Now {
        if now.room >= self.now.room {
            self.now = now;
        }
        self.now
    }

    fn until_deadline(&self) -> Option<Duration> {
        let (now, at) = (self.clock.now()?, self.core.deadline()?);
        let left = at.saturating_sub(now.room).max(RoomTime::ZERO);
        Some(Duration::from_nanos(u64::try_from(left.nanos()).unwrap_or(0)))
    }

    fn perform(&mut self) {
        while let Some(action) = self.core.poll() {
            match action {
                Action::OpenSegment { set, name } => self.open_segment(set, &name),
                Action::SegmentData { set, data } => {
                    let files = self.files(set);
                    if let Some(Err(error)) = files.open.as_mut().map(|file| file.append(&data)) {
                        self.fail(set, error);
                    }
                }
                Action::CloseSegment { set, playlist } => self.close_segment(set, &playlist),
                Action::Playlist { set, update } => self.playlist(set, &update),
                Action::Notify { at, payload } => self.notify(at, payload),
                Action::RequestKeyFrame { user, media } => {
                    if let Some(sink) = &self.on_key_frame {
                        sink(&user, media);
                    }
                }
                Action::EndUploads => self.phase = Phase::Uploading,
                Action::Finished => self.phase = Phase::Over,
            }
        }
    }

    fn files(&mut self, set: SetId) -> &mut SetFiles {
        if self.sets.len() <= set.index() {
            self.sets.resize_with(set.index() + 1, SetFiles::default);
        }
        &mut self.sets[set.index()]
    }

    fn open_segment(&mut self, set: SetId, name: &ObjectName) {
        if self.files(set).broken {
            return;
        }
        match self.spool.create(name) {
            Ok(file) => self.files(set).open = Some(file),
            Err(error) => self.fail(set, error),
        }
    }

    fn close_segment(&mut self, set: SetId, playlist: &ObjectName) {
        let Some(file) = self.files(set).open.take() else { return };
        match file.close() {
            // An uploader that has ended leaves the file in the spool.
            Ok(closed) => {
                let _ = self.uploader.segment(playlist, closed);
            }
            Err(error) => self.fail(set, error),
        }
    }

    fn playlist(&mut self, set: SetId, update: &PlaylistUpdate) {
        let lines = update.append.strip_suffix(END_LIST).unwrap_or(&update.append);
        if !self.files(set).broken && !lines.is_empty() {
            match self.spool.append_playlist(&update.name, lines) {
                Ok(()) => self.files(set).listed = true,
                Err(error) => self.fail(set, error),
            }
        }
        let files = self.files(set);
        if !files.listed || (files.broken && !update.ended) {
            return;
        }
        let end = if update.ended { PlaylistEnd::Ended } else { PlaylistEnd::Open };
        let version = self.spool.playlist_version(&update.name, &update.header, end);
        // An uploader that has ended leaves the text in the spool.
        let _ = self.uploader.playlist(version);
    }

    fn notify(&mut self, at: UnixMillis, payload: Payload) {
        let (room, robot) = (&self.task.room, self.task.robot.clone());
        let event = Event::new(at, room, robot, self.task.task.clone(), payload);
        self.notifier.send(&CallbackBody::new(event, self.now.wall.max(at)));
    }

    /// The disk failed: what was closed stays whole, and the recording ends with that.
    fn fail(&mut self, set: SetId, error: SpoolError) {
        tracing::error!(error = &error as &dyn std::error::Error, "the spool failed, the recording ends");
        let files = self.files(set);
        files.broken = true;
        if let Some(file) = files.open.take() {
            file.discard();
        }
        if self.failure.is_none() {
            let report = StorageReport::UploadFailed { code: "SpoolFailed".into(), message: error.to_string() };
            self.failure = Some(Arc::new(error));
            self.core.report(self.now, report);
            let stop = RoomEvent::Stop { code: LeaveCode::REMOVED_BY_SERVER };
            // Already stopping is as good.
            let _ = self.core.event(self.now, stop);
        }
    }
}
