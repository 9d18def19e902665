mod library;

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use recorder_callback::{CallbackBody, Event, LeaveCode};
use recorder_hls::{PlaylistUpdate, SegmentIndex};
use recorder_storage::{
    Backlog, Bucket, ClosedFile, Finished, Lease, LibraryReports, ObjectKey, PlaylistEnd, Report, Reports,
    Spool, SpoolError, SpoolFile, Uploader, UploaderOptions,
};
use recorder_types::{ObjectName, RoomTime, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use self::library::Library;
use super::clock::Clock;
use super::files::{FileMaker, JobResult, Made, RecordedSet, SegmentRef};
use super::journal::TaskJournal;
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

/// What waits to be pressed to the disk, at most: as many files are open beside those that are written to.
const GROUP: usize = 64;

/// Events that wait for the lease, at most.
const MAX_HELD_EVENTS: usize = 4096;

const END_LIST: &str = "#EXT-X-ENDLIST\n";

/// The lines of a playlist's update without the end tag.
pub(super) fn body_lines(append: &str) -> &str {
    append.strip_suffix(END_LIST).unwrap_or(append)
}

/// The life of one recording on its own thread: waits, pushes into the core, performs its actions, reports back. It
/// decides nothing.
pub(super) struct Driver {
    core: TaskCore,
    clock: Clock,
    /// The latest time seen: what the core is told never goes back.
    now: Now,
    spool: Spool,
    journal: TaskJournal,
    /// What the core wanted done and has to be on the disk before the next step: committed together.
    pending: Vec<Pending>,
    /// The files of [`Pending::Close`].
    closing: Vec<SpoolFile>,
    /// What runs before this one have left to be made files of, in the order of their sets.
    earlier: Vec<SetFiles>,
    bucket: Bucket,
    backup: Option<Bucket>,
    directory: ObjectKey,
    uploader: Arc<Uploader>,
    notifier: Notifier,
    /// Where everything goes in the place of the bucket.
    library: Option<Library>,
    library_options: UploaderOptions,
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
    #[cfg(feature = "mix")]
    on_shedding: Option<super::options::SheddingSink>,
    #[cfg(feature = "metrics")]
    meters: super::meters::Meters,
    /// Segments that are not delivered, held until the files with their media are.
    held_back: Vec<RecordedSet>,
    over: bool,
    /// Nothing of the task is left in the spool.
    cleaned: bool,
    /// The journal tells of segments that a playlist does not name, or that only a recovery can deliver.
    needs_recovery: bool,
    /// Without it nobody is told anything and nothing is put.
    lease: Option<Lease>,
    /// Events that wait for it, with their numbers in the journal.
    held_events: VecDeque<(Option<u64>, Box<CallbackBody>)>,
}

/// What is done with the next commit.
enum Pending {
    /// `file` is the place in the list of files that are closed with it.
    Close {
        set: SetId,
        file: usize,
        playlist: ObjectName,
        start: UnixMillis,
        index: Option<SegmentIndex>,
    },
    Playlist {
        set: SetId,
        update: PlaylistUpdate,
    },
    Notify(Box<CallbackBody>),
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
    Library(Finished),
    Job(Result<Box<JobResult>, JoinError>),
}

/// What the shell holds of one file set.
#[derive(Default)]
pub(super) struct SetFiles {
    open: Option<SpoolFile>,
    /// Indexes of the closed segments, where files will be made of them.
    index: Option<SpoolFile>,
    pub(super) recorded: RecordedSet,
    /// The disk failed: nothing more is written, and the playlist ends with what it names.
    broken: bool,
    /// The last header, once there is something under it.
    pub(super) header: Option<String>,
    /// Of a recording to a media library: its playlists and their last headers, in order.
    pub(super) playlists: Vec<(ObjectName, String)>,
}

/// Comes when the lease is lost, or, for somebody who waits for it, when it is valid.
async fn lease_changes(lease: Option<&Lease>, waits: bool) {
    let Some(lease) = lease else { return };
    if waits && lease.valid().await.is_ok() {
        return;
    }
    lease.lost().await;
}

/// What a driver works on.
pub(super) struct Work {
    pub(super) core: TaskCore,
    pub(super) spool: Spool,
    pub(super) journal: TaskJournal,
    pub(super) directory: ObjectKey,
    pub(super) uploader: Uploader,
    /// File sets of runs before this one.
    pub(super) earlier: Vec<SetFiles>,
    /// Events that they have not told.
    pub(super) events: Vec<(u64, CallbackBody)>,
}

impl Driver {
    pub(super) fn new(
        work: Work,
        clock: Clock,
        notifier: Notifier,
        outcome: watch::Sender<Option<Outcome>>,
        options: &RecordingOptions,
    ) -> Self {
        let Work { core, spool, mut journal, directory, uploader, earlier, events } = work;
        #[cfg_attr(not(feature = "mix"), expect(unused_variables, reason = "only images are asked for"))]
        let (answer, answers) = mpsc::unbounded_channel();
        for (number, body) in events {
            notifier.send(&body);
            journal.sent(number);
        }
        Self {
            core,
            clock,
            now: clock.zero(),
            spool,
            journal,
            pending: Vec::new(),
            closing: Vec::new(),
            earlier,
            bucket: options.bucket.clone(),
            backup: options.uploader.backup.clone(),
            directory,
            uploader: Arc::new(uploader),
            notifier,
            library: options.library.clone().map(Library::new),
            library_options: options.uploader.clone(),
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
            #[cfg(feature = "mix")]
            on_shedding: options.on_shedding.clone(),
            #[cfg(feature = "metrics")]
            meters: super::meters::Meters::default(),
            held_back: Vec::new(),
            over: false,
            cleaned: false,
            needs_recovery: false,
            lease: options.uploader.lease.clone(),
            held_events: VecDeque::new(),
        }
    }

    /// Runs until the recording is over and everything is delivered, or the runtime ends.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>, mut reports: Reports) {
        self.perform();
        let mut batch = Vec::with_capacity(BATCH);
        let (mut open, mut reporting) = (true, true);
        let mut awaited: Option<Pin<Box<dyn Future<Output = Awaited>>>> = None;
        let mut telling: Option<Pin<Box<dyn Future<Output = u64> + Send>>> = None;
        let mut from_library: Option<LibraryReports> = None;
        while !self.over || !self.held_events.is_empty() {
            self.commit();
            self.tell_held();
            #[cfg(feature = "metrics")]
            self.meters.tell(&self.core, self.unfollowed, self.uploader.backlog());
            if telling.is_none() {
                telling = self.telling();
            }
            if awaited.is_none() {
                awaited = self.next_ending();
            }
            from_library = from_library.or_else(|| self.library.as_mut()?.take_reports());
            if self.lease.as_ref().is_some_and(Lease::is_lost) {
                // As if the process had died: what is in the spool is for a recovery.
                self.uploader.abandon().await;
                drop(self);
                return;
            }
            if awaited.is_none() && from_library.is_none() && !reporting && !self.over {
                return; // the runtime ends: what was not delivered stays in the spool
            }
            let until_deadline = self.until_deadline();
            // Where time is told, what is fetched must not depend on how long it takes.
            let (lease, waits) = (self.lease.clone(), !self.held_events.is_empty());
            let held = self.asked > 0 && self.clock.now().is_none();
            tokio::select! {
                biased;
                report = reports.recv(), if reporting => match report {
                    Some(report) => self.report(report),
                    None => reporting = false,
                },
                report = async { from_library.as_mut().expect("checked by the guard").recv().await }, if from_library.is_some() => {
                    match report {
                        Some(report) => self.library_report(report),
                        None => from_library = None,
                    }
                }
                done = async { awaited.as_mut().expect("checked by the guard").await }, if awaited.is_some() => {
                    awaited = None;
                    while let Some(report) = reports.try_recv() {
                        self.report(report);
                    }
                    self.ended(done);
                }
                through = async { telling.as_mut().expect("checked by the guard").await }, if telling.is_some() => {
                    telling = None;
                    self.journal.told(through);
                }
                () = lease_changes(lease.as_ref(), waits), if lease.is_some() => {}
                Some(event) = self.answers.recv() => {
                    self.asked -= 1;
                    let now = self.clock.now().unwrap_or(self.now);
                    self.event(now, event);
                }
                taken = inbox.recv_many(&mut batch, BATCH), if open && !held => {
                    open = taken > 0;
                    self.measure(batch.first().and_then(Message::time));
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
                    self.measure(self.core.deadline());
                    self.tick();
                }
            }
        }
        self.commit();
        #[cfg(feature = "metrics")]
        {
            self.meters.tell(&self.core, self.unfollowed, self.uploader.backlog());
            self.meters = super::meters::Meters::default(); // before anybody is told that it is over
        }
        while let Some(told) = telling.take().or_else(|| self.telling()) {
            let through = told.await;
            self.journal.told(through);
        }
        self.clean_up();
    }

    /// Waits until the events that are on their way are told, or given up.
    fn telling(&mut self) -> Option<Pin<Box<dyn Future<Output = u64> + Send>>> {
        let through = self.journal.outstanding()?;
        let Some(told) = self.notifier.told(&self.task.task) else {
            // Whoever was named has been told by the time that `send` came back.
            self.journal.told(through);
            return None;
        };
        Some(Box::pin(async move {
            told.await;
            through
        }))
    }

    /// Removes what is left of the task in the spool, unless there are files that only a recovery can deliver.
    fn clean_up(&mut self) {
        if self.cleaned {
            return;
        }
        match self.spool.files() {
            Ok(_) if self.needs_recovery => tracing::warn!("a playlist is not complete, recover the spool"),
            Ok(files) if files.is_empty() => {
                self.cleaned = true;
                self.journal.remove();
                self.spool.remove_if_empty();
            }
            Ok(files) => tracing::warn!(files = files.len(), "files are left in the spool, recover it"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the spool is left as it is")
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
                    if let Some(library) = &mut self.library {
                        library.begins(&job);
                    }
                    let inputs = job
                        .inputs
                        .iter()
                        .map(|input| std::mem::take(&mut self.files(input.set).recorded))
                        .collect();
                    let maker = FileMaker {
                        spool: self.spool.share(),
                        bucket: self.bucket.clone(),
                        backup: self.backup.clone(),
                        directory: self.directory.clone(),
                        inputs,
                    };
                    self.ending = Some(Ending::MakeFiles { jobs, keeps_hls });
                    let made = tokio::task::spawn_blocking(move || Box::new(maker.make(job)));
                    return Some(Box::pin(async move { Awaited::Job(made.await) }));
                }
                if self.library.is_some() {
                    self.hand_to_library(keeps_hls);
                    return None;
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
                    self.all_delivered();
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
            Awaited::Library(finished) => {
                self.core.report(now, StorageReport::FilesEnded { kept: kept(finished) });
                self.perform();
                kept(finished)
            }
            Awaited::Job(result) => return self.job_ended(now, result),
        };
        self.commit();
        if self.over && self.held_events.is_empty() && self.telling().is_none() {
            self.clean_up();
        }
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
                if self.library.is_some() {
                    self.library_job_ended(None, Some("the recorder failed".into()));
                } else {
                    self.core.report(now, StorageReport::FileFailed { made: Vec::new() });
                }
                return self.perform();
            }
        };
        let made: Vec<MadeFile> = result.made.iter().map(|made| made.file.clone()).collect();
        let to_library = self.library.is_some();
        if to_library {
            let error = result.error.as_ref().map(|error| recorder_types::with_causes(error));
            self.library_job_ended(Some(made.clone()), error);
        }
        for Made { file, closed } in result.made.into_iter().filter(|_| !to_library) {
            self.made.push(file.clone());
            match closed {
                Some(closed) => {
                    self.on_their_way.insert(file.name.clone(), file);
                    // An uploader that has ended leaves the file in the spool.
                    let _ = self.uploader.file(closed);
                }
                None => self.core.report(now, StorageReport::FileMade { file, place: FilePlace::Bucket }),
            }
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
            if !to_library {
                self.core.report(now, StorageReport::FileFailed { made });
            }
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
                match self.spool.adopt(&name) {
                    Ok(file) => drop(self.uploader.segment(playlist, file)),
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "a segment stays in the spool"
                        );
                        self.needs_recovery = true;
                    }
                }
            }
            if let Some(header) = files.header {
                let version = self.spool.playlist_version(playlist, &header, PlaylistEnd::Ended);
                let _ = self.uploader.playlist(version);
            }
        }
    }

    /// Notes down that everything is delivered: from here on nothing has to be made again after a crash, and what it was
    /// made of can go. Says whether that is so.
    fn note_delivered(&mut self) -> bool {
        self.commit();
        if self.needs_recovery {
            return false;
        }
        if let Err(error) = self.journal.delivered() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the journal does not tell the end");
        }
        true
    }

    /// Everything is in the bucket: the segments that were held until their files are can go.
    fn all_delivered(&mut self) {
        if !self.note_delivered() {
            return;
        }
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
                let result = self.follow(now, event);
                self.perform();
                self.commit();
                // Whoever asked may have gone.
                let _ = answer.send(result);
            }
            Message::Describe { answer } => {
                // Whoever asks in a loop keeps the timer from its turn: an empty room has to end all the same.
                self.tick();
                self.commit();
                let _ = answer.send(self.status());
            }
            Message::Redeliver => {
                // Fails only when the runtime ends.
                let _ = self.uploader.redeliver();
                if let Some(library) = &self.library {
                    library.redeliver();
                }
            }
        }
    }

    /// Tells the core how late it is with what was due at `due`, where nobody tells the time.
    #[cfg_attr(
        not(feature = "mix"),
        expect(clippy::unused_self, unused_variables, reason = "a mix wants to know")
    )]
    fn measure(&mut self, due: Option<RoomTime>) {
        #[cfg(feature = "mix")]
        if let (Some(now), Some(due)) = (self.clock.now(), due) {
            self.core.observe_delay(now, now.room.saturating_sub(due).max(RoomTime::ZERO));
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
        match self.follow(now, event) {
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

    /// Hands an event to the core; what a run after a crash has to know of it is in the journal then.
    fn follow(&mut self, now: Now, event: RoomEvent) -> Result<(), EventError> {
        let lasting = match &event {
            RoomEvent::Subscribe { .. } => Some(event.clone()),
            #[cfg(feature = "mix")]
            RoomEvent::Layout { .. } => Some(event.clone()),
            _ => None,
        };
        self.core.event(now, event)?;
        let noted = match &lasting {
            Some(RoomEvent::Subscribe { subscription }) => self.journal.lists(subscription),
            #[cfg(feature = "mix")]
            Some(RoomEvent::Layout { layout, watermarks }) => self.journal.layout(layout, watermarks),
            _ => Ok(()),
        };
        if let Err(error) = noted {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "new lists or a new layout are not in the journal"
            );
        }
        Ok(())
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
                self.all_delivered();
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
        Status {
            state: self.core.state(),
            files: self.core.files().collect(),
            refused: self.core.refused(),
            backlog: self.backlog(),
            #[cfg(feature = "mix")]
            arrangement: self.core.arrangement().cloned(),
            #[cfg(feature = "mix")]
            mix: self.core.mix_report(),
        }
    }

    fn backlog(&self) -> Backlog {
        let mut backlog = self.uploader.backlog();
        backlog.files += self.library.as_ref().map_or(0, Library::waiting);
        backlog
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
                        self.commit_group(); // what came before is whole
                        self.fail(set, error);
                    }
                }
                Action::CloseSegment { set, playlist, start, index } => {
                    if let Some(open) = self.files(set).open.take() {
                        let file = self.closing.len();
                        self.closing.push(open);
                        self.pending.push(Pending::Close { set, file, playlist, start, index });
                    }
                }
                Action::Playlist { set, update } => self.pending.push(Pending::Playlist { set, update }),
                Action::Notify { at, payload } => {
                    let (room, robot) = (&self.task.room, self.task.robot.clone());
                    let event = Event::new(at, room, robot, self.task.task.clone(), payload);
                    let body = CallbackBody::new(event, self.now.wall.max(at));
                    self.pending.push(Pending::Notify(Box::new(body)));
                }
                #[cfg(feature = "mix")]
                Action::FetchImage { url } => {
                    if self.images.are_fetched() {
                        self.asked += 1;
                        self.images.fetch(url);
                    }
                }
                #[cfg(feature = "mix")]
                Action::Timeline { name, entry } => self.timeline.add(&self.spool, &name, &entry),
                #[cfg(feature = "mix")]
                Action::Shedding { now } => {
                    #[cfg(feature = "metrics")]
                    super::meters::shedding(now);
                    if let Some(sink) = &self.on_shedding {
                        sink(now);
                    }
                }
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
                    let earlier = std::mem::take(&mut self.earlier);
                    let live = self.core.files().count().saturating_sub(earlier.len());
                    self.sets.resize_with(live, SetFiles::default);
                    self.sets.extend(earlier);
                    self.ending = Some(Ending::MakeFiles { jobs: jobs.into(), keeps_hls });
                }
                Action::Finished => self.over = true,
            }
        }
        if self.pending.len() >= GROUP {
            self.commit();
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
            Err(error) => {
                self.commit_group(); // what came before is whole
                self.fail(set, error);
            }
        }
    }

    /// Presses what was closed and what is to be told to the disk, and does what the core wants then.
    fn commit(&mut self) {
        while !self.pending.is_empty() {
            self.commit_group();
            self.perform();
        }
    }

    /// The files, their entries in the directory, the journal. Only then do others see it: the uploader, the playlists,
    /// whoever is told.
    fn commit_group(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let files = std::mem::take(&mut self.closing);
        let names: Vec<ObjectName> = files.iter().map(|file| file.name().clone()).collect();
        let closed = if files.is_empty() { Vec::new() } else { self.spool.close_all(files) };
        let mut closed: Vec<_> = closed.into_iter().map(Some).collect();
        let (mut told, mut numbers) = (Vec::new(), Vec::new());
        let journalled = self.write_journal(&pending, &closed, (&mut told, &mut numbers));
        let mut numbers = numbers.into_iter();
        for one in pending {
            match one {
                Pending::Close { set, file, playlist, start, index } => {
                    match (closed.get_mut(file).and_then(Option::take), names.get(file)) {
                        (Some(Ok(closed)), _) if journalled.is_ok() && told.contains(&file) => {
                            if self.files(set).broken {
                                self.needs_recovery = true; // a recovery delivers it
                            } else {
                                self.closed(set, closed, &playlist, start, index);
                            }
                        }
                        (Some(Ok(closed)), _) => self.lose(set, closed),
                        (Some(Err(error)), Some(name)) => {
                            // Nobody knows what of it is on the disk, and a second sync would not tell.
                            self.spool.discard(name);
                            self.fail(set, error);
                        }
                        (Some(Err(error)), None) => self.fail(set, error),
                        (None, _) => {}
                    }
                }
                Pending::Playlist { set, update } => self.playlist(set, &update),
                Pending::Notify(body) => {
                    let number = numbers.next().filter(|_| journalled.is_ok());
                    if self.held_events.len() < MAX_HELD_EVENTS {
                        self.held_events.push_back((number, body));
                    } else {
                        tracing::warn!("too many events wait for the lease, one is lost");
                    }
                    self.tell_held();
                }
            }
        }
        if let Err(error) = journalled {
            self.stop_for(error);
        }
    }

    /// Tells what is to be told, in order; without the lease it waits.
    fn tell_held(&mut self) {
        while self.lease.as_ref().is_none_or(Lease::is_valid)
            && let Some((number, body)) = self.held_events.pop_front()
        {
            self.notifier.send(&body);
            if let Some(number) = number {
                self.journal.sent(number);
            }
        }
    }

    fn write_journal(
        &mut self,
        pending: &[Pending],
        closed: &[Option<Result<ClosedFile, SpoolError>>],
        (told, numbers): (&mut Vec<usize>, &mut Vec<u64>),
    ) -> Result<(), SpoolError> {
        // A segment and what its playlist gains come together.
        let mut segment: Option<(SetId, UnixMillis, u64, usize)> = None;
        let mut failed: Vec<SetId> = Vec::new();
        for one in pending {
            match one {
                Pending::Close { set, file, start, .. } => {
                    segment = match closed.get(*file) {
                        // A set ends where its first file failed.
                        Some(Some(Ok(closed))) if !failed.contains(set) => {
                            Some((*set, *start, closed.len(), *file))
                        }
                        _ => {
                            failed.push(*set);
                            None
                        }
                    };
                }
                Pending::Playlist { set, update } => {
                    if let Some((_, start, bytes, file)) = segment.take_if(|(of, ..)| of == set) {
                        self.journal.segment(start, bytes, update)?;
                        told.push(file);
                    }
                }
                Pending::Notify(body) => numbers.push(self.journal.event(body)?),
            }
        }
        self.journal.commit()
    }

    /// A segment is whole, on the disk, and in the journal.
    fn closed(
        &mut self,
        set: SetId,
        file: ClosedFile,
        playlist: &ObjectName,
        start: UnixMillis,
        index: Option<SegmentIndex>,
    ) {
        if self.task.output.keeps_hls() && self.library.is_none() {
            // An uploader that has ended leaves the file in the spool.
            let _ = self.uploader.segment(playlist, file);
        }
        let files = self.files(set);
        files.recorded.playlist.get_or_insert_with(|| playlist.clone());
        if let Some(index) = index
            && let Err(error) = self.append_index(set, start, &index.encode())
        {
            self.needs_recovery = true; // the set ends before its lines are in the playlist
            self.fail(set, error);
        }
    }

    /// A segment that the journal does not tell does not count as closed. Where nobody knows whether it does, it is left
    /// to be found by a recovery.
    fn lose(&mut self, set: SetId, file: ClosedFile) {
        self.files(set).broken = true;
        if !self.journal.is_broken() {
            file.discard();
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
            files.recorded.segments.push(SegmentRef { start, index_len: index.len(), discontinuity: false });
        }
        Ok(())
    }

    fn playlist(&mut self, set: SetId, update: &PlaylistUpdate) {
        let lines = body_lines(&update.append);
        if !self.files(set).broken && !lines.is_empty() {
            match self.spool.append_playlist(&update.name, lines) {
                Ok(()) => self.note_header(set, update),
                Err(error) => {
                    self.needs_recovery = true;
                    self.fail(set, error);
                }
            }
        }
        let goes_up = self.task.output.keeps_hls() && self.library.is_none();
        let files = self.files(set);
        if files.header.is_none() || (files.broken && !update.ended) || !goes_up {
            return;
        }
        let end = if update.ended { PlaylistEnd::Ended } else { PlaylistEnd::Open };
        let version = self.spool.playlist_version(&update.name, &update.header, end);
        // An uploader that has ended leaves the text in the spool.
        let _ = self.uploader.playlist(version);
    }

    fn note_header(&mut self, set: SetId, update: &PlaylistUpdate) {
        let to_library = self.library.is_some();
        let files = self.files(set);
        if to_library {
            match files.playlists.last_mut().filter(|(name, _)| *name == update.name) {
                Some((_, header)) => header.clone_from(&update.header),
                None => files.playlists.push((update.name.clone(), update.header.clone())),
            }
        }
        files.header = Some(update.header.clone());
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

    /// The disk failed under a file: its set ends with what was closed, and so does the recording.
    fn fail(&mut self, set: SetId, error: SpoolError) {
        let files = self.files(set);
        files.broken = true;
        if let Some(file) = files.open.take() {
            file.discard();
        }
        self.stop_for(error);
    }

    /// The disk failed: what was closed stays whole, and the recording ends with that.
    fn stop_for(&mut self, error: SpoolError) {
        tracing::error!(error = &error as &dyn std::error::Error, "the spool failed, the recording ends");
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
