use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use recorder_callback::{CallbackBody, Event, LeaveCode, Payload};
use recorder_hls::{PlaylistUpdate, SegmentIndex};
use recorder_storage::{
    Bucket, Finished, ObjectKey, PlaylistEnd, Report, Reports, Spool, SpoolError, SpoolFile, Uploader,
};
use recorder_types::{ObjectName, RoomTime, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use super::clock::Clock;
use super::files::{FileMaker, JobResult, RecordedSet, SegmentRef};
use super::notify::Notifier;
use super::options::{KeyFrameSink, RecordingOptions};
use super::recording::{Message, Outcome, Status};
#[cfg(feature = "mix")]
use super::timeline::Timeline;
use crate::task::{
    Action, EventError, FileJob, FilePlace, MadeFile, Now, RoomEvent, SetId, StorageReport, TaskCore,
    TaskOptions, TaskState,
};

/// Events taken at a time.
const BATCH: usize = 512;

/// The longest time that passes between two inputs of the core.
const LONGEST_STEP: RoomTime = RoomTime::from_secs(60);

const END_LIST: &str = "#EXT-X-ENDLIST\n";

/// The life of one recording on its own thread: waits, pushes into the core, performs its actions, reports back. It
/// decides nothing.
pub(super) struct Driver {
    core: TaskCore,
    clock: Clock,
    /// The latest time seen: what the core is told never goes back.
    now: Now,
    spool: Spool,
    bucket: Bucket,
    directory: ObjectKey,
    uploader: Arc<Uploader>,
    notifier: Notifier,
    #[cfg(feature = "mix")]
    images: super::images::Images,
    /// What the core asked for and has not got yet, and where it comes in.
    asked: usize,
    answers: mpsc::UnboundedReceiver<RoomEvent>,
    on_key_frame: Option<KeyFrameSink>,
    outcome: watch::Sender<Option<Outcome>>,
    task: TaskOptions,
    gather: Duration,
    /// Events that the core could not follow.
    unfollowed: u64,
    /// By the position of a set's id.
    sets: Vec<SetFiles>,
    failure: Option<Arc<SpoolError>>,
    /// What the core wants done now that nothing more is recorded.
    ending: Option<Ending>,
    /// Files that were made and are not in the bucket yet.
    on_their_way: HashMap<ObjectName, MadeFile>,
    made: Vec<MadeFile>,
    /// What happens in the room, where that is written down.
    #[cfg(feature = "mix")]
    timeline: Timeline,
    /// Segments that are not delivered, held until the files with their media are.
    held_back: Vec<RecordedSet>,
    over: bool,
}

/// What is done after the last sample.
enum Ending {
    DeliverHls,
    MakeFiles { jobs: VecDeque<FileJob>, keeps_hls: bool },
}

/// What the driver waits for after the last sample.
enum Awaited {
    Hls(Finished),
    Files(Finished),
    Job(Result<Box<JobResult>, JoinError>),
}

/// What the shell holds of one file set.
#[derive(Default)]
struct SetFiles {
    open: Option<SpoolFile>,
    /// Indexes of the closed segments, where files will be made of them.
    index: Option<SpoolFile>,
    recorded: RecordedSet,
    /// The disk failed: nothing more is written, and the playlist ends with what it names.
    broken: bool,
    /// The last header, once there is something under it.
    header: Option<String>,
}

impl Driver {
    pub(super) fn new(
        core: TaskCore,
        clock: Clock,
        (spool, directory): (Spool, ObjectKey),
        (uploader, notifier): (Uploader, Notifier),
        outcome: watch::Sender<Option<Outcome>>,
        options: &RecordingOptions,
    ) -> Self {
        #[cfg_attr(not(feature = "mix"), expect(unused_variables, reason = "only images are asked for"))]
        let (answer, answers) = mpsc::unbounded_channel();
        Self {
            core,
            clock,
            now: clock.zero(),
            spool,
            bucket: options.bucket.clone(),
            directory,
            uploader: Arc::new(uploader),
            notifier,
            #[cfg(feature = "mix")]
            images: super::images::Images::new(options, answer),
            asked: 0,
            answers,
            on_key_frame: options.on_key_frame.clone(),
            outcome,
            task: options.task.clone(),
            gather: options.gather,
            unfollowed: 0,
            sets: Vec::new(),
            failure: None,
            ending: None,
            on_their_way: HashMap::new(),
            made: Vec::new(),
            #[cfg(feature = "mix")]
            timeline: Timeline::Unwritten,
            held_back: Vec::new(),
            over: false,
        }
    }

    /// Runs until the recording is over and everything is delivered, or the runtime ends.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>, mut reports: Reports) {
        self.perform();
        let mut batch = Vec::with_capacity(BATCH);
        let (mut open, mut reporting) = (true, true);
        let mut awaited: Option<Pin<Box<dyn Future<Output = Awaited>>>> = None;
        while !self.over {
            if awaited.is_none() {
                awaited = self.next_ending();
            }
            if awaited.is_none() && !reporting {
                return; // the runtime ends: what was not delivered stays in the spool
            }
            let until_deadline = self.until_deadline();
            // Where time is told, what is fetched must not depend on how long it takes.
            let held = self.asked > 0 && self.clock.now().is_none();
            tokio::select! {
                biased;
                report = reports.recv(), if reporting => match report {
                    Some(report) => self.report(report),
                    None => reporting = false,
                },
                done = async { awaited.as_mut().expect("checked by the guard").await }, if awaited.is_some() => {
                    awaited = None;
                    while let Some(report) = reports.try_recv() {
                        self.report(report);
                    }
                    self.ended(done);
                }
                Some(event) = self.answers.recv() => {
                    self.asked -= 1;
                    let now = self.clock.now().unwrap_or(self.now);
                    self.event(now, event);
                }
                taken = inbox.recv_many(&mut batch, BATCH), if open && !held => {
                    open = taken > 0;
                    for message in batch.drain(..) {
                        self.take(message);
                    }
                    if !open {
                        self.event(self.now, RoomEvent::Stop { code: LeaveCode::API_STOP });
                    } else if taken < BATCH / 2 && !self.gather.is_zero() && self.core.state() != TaskState::Exited {
                        std::thread::sleep(self.gather);
                    }
                }
                () = tokio::time::sleep(until_deadline.unwrap_or_default()), if until_deadline.is_some() => {
                    self.tick();
                }
            }
        }
    }

    /// Begins what comes next after the last sample.
    fn next_ending(&mut self) -> Option<Pin<Box<dyn Future<Output = Awaited>>>> {
        let uploader = Arc::clone(&self.uploader);
        match self.ending.take()? {
            Ending::DeliverHls => {
                let more_follows = self.task.output.file_kind().is_some();
                Some(Box::pin(async move {
                    Awaited::Hls(if more_follows { uploader.settle().await } else { uploader.finish().await })
                }))
            }
            Ending::MakeFiles { mut jobs, keeps_hls } => {
                if let Some(job) = jobs.pop_front() {
                    let inputs = job
                        .inputs
                        .iter()
                        .map(|input| std::mem::take(&mut self.files(input.set).recorded))
                        .collect();
                    let (bucket, directory) = (self.bucket.clone(), self.directory.clone());
                    let maker = FileMaker { spool: self.spool.share(), bucket, directory, inputs };
                    self.ending = Some(Ending::MakeFiles { jobs, keeps_hls });
                    let made = tokio::task::spawn_blocking(move || Box::new(maker.make(job)));
                    return Some(Box::pin(async move { Awaited::Job(made.await) }));
                }
                self.settle_segments(keeps_hls);
                Some(Box::pin(async move { Awaited::Files(uploader.finish().await) }))
            }
        }
    }

    fn ended(&mut self, done: Awaited) {
        let now = self.clock.now().unwrap_or(self.now);
        let now = self.advance(now);
        let kept = |finished| match finished {
            Finished::Delivered => 0,
            Finished::Kept(kept) => kept,
        };
        let left = match done {
            Awaited::Hls(finished) => {
                self.core.report(now, StorageReport::UploadsEnded { kept: kept(finished) });
                self.perform();
                if self.ending.is_some() {
                    return;
                }
                kept(finished)
            }
            Awaited::Files(finished) => {
                if finished == Finished::Delivered {
                    self.discard_held_back();
                }
                let mut waiting: Vec<MadeFile> = self.on_their_way.values().cloned().collect();
                waiting.sort_by(|a, b| a.name.cmp(&b.name));
                for file in waiting {
                    self.core.report(now, StorageReport::FileMade { file, place: FilePlace::Spool });
                }
                self.core.report(now, StorageReport::FilesEnded { kept: kept(finished) });
                self.perform();
                kept(finished)
            }
            Awaited::Job(result) => return self.job_ended(now, result),
        };
        let outcome = Outcome {
            status: self.status(),
            files: std::mem::take(&mut self.made),
            kept: left,
            failure: self.failure.clone(),
        };
        self.outcome.send_replace(Some(outcome));
    }

    fn job_ended(&mut self, now: Now, result: Result<Box<JobResult>, JoinError>) {
        let result = match result {
            Ok(result) => *result,
            Err(error) => {
                tracing::error!(%error, "making a file panicked");
                self.core.report(now, StorageReport::FileFailed { made: Vec::new() });
                return self.perform();
            }
        };
        let made: Vec<MadeFile> = result.made.iter().map(|made| made.file.clone()).collect();
        for made in result.made {
            self.on_their_way.insert(made.file.name.clone(), made.file.clone());
            self.made.push(made.file);
            // An uploader that has ended leaves the file in the spool.
            let _ = self.uploader.file(made.closed);
        }
        let failed = result.error.is_some();
        for (input, recorded) in result.job.inputs.iter().zip(result.inputs) {
            let files = self.files(input.set);
            files.recorded = recorded;
            files.recorded.needed |= failed;
        }
        if let Some(error) = result.error {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no file was made, the segments are kept"
            );
            self.core.report(now, StorageReport::FileFailed { made });
        }
        self.perform();
    }

    /// Removes indexes. Segments whose media is in a file are held until that is in the bucket; those without a file
    /// are delivered after all.
    fn settle_segments(&mut self, keeps_hls: bool) {
        for files in std::mem::take(&mut self.sets) {
            drop(files.index);
            let Some(playlist) = &files.recorded.playlist else { continue };
            if let Some(index) = files.recorded.index_name() {
                self.spool.discard(&index);
            }
            if keeps_hls {
                continue;
            }
            if !files.recorded.needed {
                self.held_back.push(files.recorded);
                continue;
            }
            for name in files.recorded.segment_names() {
                if let Ok(file) = self.spool.adopt(&name) {
                    let _ = self.uploader.segment(playlist, file);
                }
            }
            if let Some(header) = files.header {
                let version = self.spool.playlist_version(playlist, &header, PlaylistEnd::Ended);
                let _ = self.uploader.playlist(version);
            }
        }
    }

    /// Removes the segments that were held until their files are in the bucket.
    fn discard_held_back(&mut self) {
        for set in std::mem::take(&mut self.held_back) {
            for name in set.segment_names() {
                self.spool.discard(&name);
            }
            if let Some(playlist) = &set.playlist {
                self.spool.discard_playlist(playlist);
            }
        }
        self.spool.remove_if_empty();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event { now, event, _room } => self.event(now, event),
            Message::Events { events, _room } => {
                for (now, event) in events {
                    self.event(now, event);
                }
            }
            Message::Ask { now, event, answer } => {
                self.catch_up(now.room);
                let now = self.advance(now);
                let result = self.core.event(now, event);
                self.perform();
                // Whoever asked may have gone.
                let _ = answer.send(result);
            }
            Message::Describe { answer } => {
                // Whoever asks in a loop keeps the timer from its turn: an empty room has to end all the same.
                self.tick();
                let _ = answer.send(self.status());
            }
            Message::Redeliver => {
                // Fails only when the runtime ends.
                let _ = self.uploader.redeliver();
            }
        }
    }

    /// Lets time pass, where nobody tells it.
    fn tick(&mut self) {
        if let Some(now) = self.clock.now() {
            let now = self.advance(now);
            self.core.tick(now);
            self.perform();
        }
    }

    fn event(&mut self, now: Now, event: RoomEvent) {
        self.catch_up(now.room);
        let now = self.advance(now);
        match self.core.event(now, event) {
            Ok(()) | Err(EventError::Ended) => {}
            Err(error) => {
                self.unfollowed += 1;
                // Samples come by the thousand: told at the 1st, 2nd, 4th, 8th time and so on.
                if self.unfollowed.is_power_of_two() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, so_far = self.unfollowed, "event not followed");
                }
            }
        }
        self.perform();
    }

    fn report(&mut self, report: Report) {
        let report = match report {
            Report::PlaylistStored { name, .. } => StorageReport::PlaylistStored { name },
            Report::SegmentStored { name } => match self.on_their_way.remove(&name) {
                Some(file) => StorageReport::FileMade { file, place: FilePlace::Bucket },
                None => return,
            },
            Report::Error { code, message } => {
                tracing::warn!(code, message, "the bucket refuses");
                StorageReport::UploadFailed { code, message }
            }
            Report::AllDelivered => {
                self.discard_held_back();
                StorageReport::KeptDelivered
            }
            _ => return,
        };
        let now = self.clock.now().unwrap_or(self.now);
        let now = self.advance(now);
        self.core.report(now, report);
        self.perform();
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

    /// Lets the core work through a long silence of a clock that is told, in steps, so that no more than a step's
    /// media is held.
    fn catch_up(&mut self, room: RoomTime) {
        while room.saturating_sub(self.now.room) > LONGEST_STEP && self.core.state() != TaskState::Exited {
            let at = Now {
                room: self.now.room.saturating_add(LONGEST_STEP),
                wall: self.now.wall.saturating_add_millis(LONGEST_STEP.round_to_millis()),
            };
            self.now = at;
            self.core.tick(at);
            self.perform();
        }
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
                Action::CloseSegment { set, playlist, start, index } => {
                    self.close_segment(set, &playlist, start, index);
                }
                Action::Playlist { set, update } => self.playlist(set, &update),
                Action::Notify { at, payload } => self.notify(at, payload),
                #[cfg(feature = "mix")]
                Action::FetchImage { url } => {
                    if self.images.are_fetched() {
                        self.asked += 1;
                        self.images.fetch(url);
                    }
                }
                #[cfg(feature = "mix")]
                Action::Timeline { name, entry } => self.timeline.add(&self.spool, &name, &entry),
                Action::RequestKeyFrame { user, media } => {
                    if let Some(sink) = &self.on_key_frame {
                        sink(&user, media);
                    }
                }
                Action::EndUploads => {
                    self.deliver_timeline();
                    self.ending = Some(Ending::DeliverHls);
                }
                Action::MakeFiles { jobs, keeps_hls } => {
                    self.deliver_timeline();
                    self.ending = Some(Ending::MakeFiles { jobs: jobs.into(), keeps_hls });
                }
                Action::Finished => self.over = true,
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

    fn close_segment(
        &mut self,
        set: SetId,
        playlist: &ObjectName,
        start: UnixMillis,
        index: Option<SegmentIndex>,
    ) {
        let keeps_hls = self.task.output.keeps_hls();
        let files = self.files(set);
        let Some(file) = files.open.take() else { return };
        match file.close() {
            // An uploader that has ended leaves the file in the spool.
            Ok(closed) if keeps_hls => {
                let _ = self.uploader.segment(playlist, closed);
            }
            Ok(_) => {}
            Err(error) => return self.fail(set, error),
        }
        let files = self.files(set);
        files.recorded.playlist.get_or_insert_with(|| playlist.clone());
        if let Some(index) = index
            && let Err(error) = self.append_index(set, start, &index.encode())
        {
            self.fail(set, error);
        }
    }

    fn append_index(&mut self, set: SetId, start: UnixMillis, index: &[u8]) -> Result<(), SpoolError> {
        let files = self.files(set);
        if files.index.is_none()
            && let Some(name) = files.recorded.index_name()
        {
            let file = self.spool.create(&name)?;
            self.files(set).index = Some(file);
        }
        let files = self.files(set);
        if let Some(file) = &mut files.index {
            file.append(index)?;
            files.recorded.segments.push(SegmentRef { start, index_len: index.len() });
        }
        Ok(())
    }

    fn playlist(&mut self, set: SetId, update: &PlaylistUpdate) {
        let lines = update.append.strip_suffix(END_LIST).unwrap_or(&update.append);
        if !self.files(set).broken && !lines.is_empty() {
            match self.spool.append_playlist(&update.name, lines) {
                Ok(()) => self.files(set).header = Some(update.header.clone()),
                Err(error) => self.fail(set, error),
            }
        }
        let keeps_hls = self.task.output.keeps_hls();
        let files = self.files(set);
        if files.header.is_none() || (files.broken && !update.ended) || !keeps_hls {
            return;
        }
        let end = if update.ended { PlaylistEnd::Ended } else { PlaylistEnd::Open };
        let version = self.spool.playlist_version(&update.name, &update.header, end);
        // An uploader that has ended leaves the text in the spool.
        let _ = self.uploader.playlist(version);
    }

    #[cfg(feature = "mix")]
    fn deliver_timeline(&mut self) {
        if let Some(closed) = self.timeline.close() {
            // An uploader that has ended leaves the file in the spool.
            let _ = self.uploader.file(closed);
        }
    }

    #[cfg(not(feature = "mix"))]
    #[expect(clippy::unused_self, reason = "nothing is written down without the feature")]
    const fn deliver_timeline(&self) {}

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
            let report =
                StorageReport::UploadFailed { code: "SpoolFailed".into(), message: error.to_string() };
            self.failure = Some(Arc::new(error));
            self.core.report(self.now, report);
            let stop = RoomEvent::Stop { code: LeaveCode::REMOVED_BY_SERVER };
            // Already stopping is as good.
            let _ = self.core.event(self.now, stop);
        }
    }
}
