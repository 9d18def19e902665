use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use recorder_types::ObjectName;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bucket::{Bucket, ObjectInfo, PutMode};
use crate::claim::{self, Claim};
use crate::disk;
use crate::error::StorageError;
use crate::key::ObjectKey;
use crate::lease::Lease;
use crate::order::{Effort, Job, Kept, Order, Outcome};
use crate::retry::{Jitter, RetryOptions};
use crate::spool::{ClosedFile, Place, PlaylistVersion, Spool};

/// How an [`Uploader`] works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UploaderOptions {
    /// Files and playlists on their way at a time; at least 1. Default 4.
    pub parallel: usize,
    /// How one file is tried before it is kept.
    pub retry: RetryOptions,
    /// Time between two tries of what was kept. Default 30 s.
    pub redeliver_every: Duration,
    /// Whether somebody who died has uploaded to the same directory: what that left unfinished is aborted first
    /// ([`Bucket::abort_unfinished`]). Default: no.
    pub take_over: bool,
    /// While this is not valid everything waits; once it is lost nothing more is put. Default: none, so always.
    pub lease: Option<Lease>,
    /// Where goes what the bucket refuses, or does not take within [`UploaderOptions::retry`], so that it is not on this
    /// machine alone: it leaves the spool then, and is moved to the bucket when that takes it. Default: nowhere.
    pub backup: Option<Bucket>,
}

impl Default for UploaderOptions {
    fn default() -> Self {
        Self {
            parallel: 4,
            retry: RetryOptions::default(),
            redeliver_every: Duration::from_secs(30),
            take_over: false,
            lease: None,
            backup: None,
        }
    }
}

impl UploaderOptions {
    /// Sets [`UploaderOptions::parallel`].
    #[must_use]
    pub fn with_parallel(mut self, jobs: usize) -> Self {
        self.parallel = jobs.max(1);
        self
    }

    /// Sets [`UploaderOptions::retry`].
    #[must_use]
    pub fn with_retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }

    /// Sets [`UploaderOptions::redeliver_every`].
    #[must_use]
    pub fn with_redeliver_every(mut self, interval: Duration) -> Self {
        self.redeliver_every = interval;
        self
    }

    /// Sets [`UploaderOptions::backup`].
    #[must_use]
    pub fn with_backup(mut self, bucket: Bucket) -> Self {
        self.backup = Some(bucket);
        self
    }

    /// Sets [`UploaderOptions::take_over`].
    #[must_use]
    pub fn taking_over(mut self) -> Self {
        self.take_over = true;
        self
    }

    /// Sets [`UploaderOptions::lease`].
    #[must_use]
    pub fn with_lease(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }
}

/// What an [`Uploader`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report {
    /// A segment, or another file, is in the bucket and out of the spool.
    SegmentStored {
        /// The file.
        name: ObjectName,
    },
    /// A playlist is in the bucket.
    PlaylistStored {
        /// The playlist.
        name: ObjectName,
        /// Segments that were handed over for it before this version.
        segments: u64,
    },
    /// Delivery was given up for now: the file stays in the spool and is tried again from time to time. Told once
    /// until it is stored.
    Kept {
        /// The file or playlist.
        name: ObjectName,
        /// What the store said last; of several files kept together, to one of them.
        error: Arc<StorageError>,
    },
    /// What was kept is in the backup, and a file out of the spool.
    BackedUp {
        /// The file or playlist.
        name: ObjectName,
    },
    /// The store refused or could not be reached. Told when the code changes, and again after a success.
    Error {
        /// The store's code, see [`StorageError::code`].
        code: String,
        /// The store's message, see [`StorageError::message`].
        message: String,
    },
    /// After [`Finished::Kept`]: everything is delivered now. Nothing follows.
    AllDelivered,
}

/// How a task's deliveries stand when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Everything is in the bucket and the task's spool is gone.
    Delivered,
    /// So many files and playlists wait in the spool; [`Report::AllDelivered`] tells when they are through.
    Kept(usize),
}

impl Finished {
    const fn with_kept(kept: usize) -> Self {
        if kept == 0 { Self::Delivered } else { Self::Kept(kept) }
    }
}

/// What is on its way to the bucket, or waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Files and playlists whose newest state is not in the bucket.
    pub files: usize,
    /// How long the oldest of these files has been waiting; zero without one.
    pub lag: Duration,
}

/// The backlog, and since when its oldest file is in it.
#[derive(Debug, Default)]
struct Waiting(Mutex<(usize, Option<Instant>)>);

impl Waiting {
    fn set(&self, files: usize, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (files, since);
    }

    fn get(&self) -> Backlog {
        let (files, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Backlog { files, lag: since.map_or(Duration::ZERO, |since| since.elapsed()) }
    }
}

/// The uploader is gone, with the runtime that it ran on; the file stays in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the uploader has ended")]
pub struct UploaderEnded;

/// Brings one task's closed files and playlists into a bucket, in the background and in order: no playlist is put
/// before every segment handed over for it is stored. What another recording has left under one of its names stays
/// ([`StorageError::Conflict`]); of a run of the same recording it takes over what is there already.
///
/// Handing over never waits for the store, from any thread. What waits is held as names, a few hundred bytes each,
/// and as files in the spool, whose limit bounds both. Dropped without [`Uploader::finish`], it goes on until
/// everything is delivered or its runtime ends.
#[derive(Debug)]
pub struct Uploader {
    commands: mpsc::UnboundedSender<Command>,
    waiting: Arc<Waiting>,
}

/// The reports of one uploader, in the order of events.
///
/// They are held until they are read, one for every file stored: read them, or drop this when nobody wants to know.
#[derive(Debug)]
pub struct Reports(mpsc::UnboundedReceiver<Report>);

impl Reports {
    /// The next report; `None` after the last.
    pub async fn recv(&mut self) -> Option<Report> {
        self.0.recv().await
    }

    /// The next report if there is one already.
    pub fn try_recv(&mut self) -> Option<Report> {
        self.0.try_recv().ok()
    }
}

#[derive(Debug)]
enum Command {
    File { file: ClosedFile, playlist: Option<ObjectName> },
    Elsewhere { name: ObjectName, playlist: ObjectName },
    Playlist(PlaylistVersion),
    Redeliver,
    Settle(oneshot::Sender<Finished>),
    Finish(oneshot::Sender<Finished>),
    Abandon(oneshot::Sender<Finished>),
}

impl Uploader {
    /// Starts uploading from `spool` into the directory `directory` of `bucket`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    #[must_use]
    pub fn spawn(
        bucket: Bucket,
        directory: ObjectKey,
        spool: &Spool,
        options: UploaderOptions,
    ) -> (Self, Reports) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (reports, outbox) = mpsc::unbounded_channel();
        let waiting = Arc::<Waiting>::default();
        let has_backup = options.backup.is_some();
        let driver = Driver {
            target: Arc::new(Target {
                bucket,
                backup: options.backup,
                directory,
                retry: options.retry,
                lease: options.lease,
                cleared: OnceCell::new_with((!options.take_over).then_some(())),
            }),
            place: spool.place(),
            order: Order::new(options.parallel),
            running: FuturesUnordered::new(),
            parallel: options.parallel.max(1),
            to_back_up: VecDeque::new(),
            not_backed_up: Vec::new(),
            backing_up: FuturesUnordered::new(),
            uses_backup: options.take_over && has_backup,
            reports,
            waiting: Arc::clone(&waiting),
            redeliver_every: options.redeliver_every,
            settling: Vec::new(),
            finishing: Vec::new(),
            abandoning: None,
            told_kept: false,
            last_error: None,
            told_code: None,
            ours: HashSet::new(),
            jobs: 0,
        };
        tokio::spawn(driver.run(inbox));
        (Self { commands, waiting }, Reports(outbox))
    }

    /// Hands over a segment that the playlist `playlist` lists from its next version on.
    ///
    /// # Errors
    /// [`UploaderEnded`].
    pub fn segment(&self, playlist: &ObjectName, file: ClosedFile) -> Result<(), UploaderEnded> {
        self.send(Command::File { file, playlist: Some(playlist.clone()) })
    }

    /// Hands over a file that no playlist lists.
    ///
    /// # Errors
    /// [`UploaderEnded`].
    pub fn file(&self, file: ClosedFile) -> Result<(), UploaderEnded> {
        self.send(Command::File { file, playlist: None })
    }

    /// Names a segment of the playlist that an earlier process has taken out of the spool: it is in the bucket, or in the
    /// backup and moved from there.
    ///
    /// # Errors
    /// [`UploaderEnded`].
    pub fn segment_elsewhere(&self, playlist: &ObjectName, name: ObjectName) -> Result<(), UploaderEnded> {
        self.send(Command::Elsewhere { name, playlist: playlist.clone() })
    }

    /// Hands over a playlist that lists every segment handed over for it so far, and no other. Put when they are
    /// stored, unless a newer version may be put by then.
    ///
    /// # Errors
    /// [`UploaderEnded`].
    pub fn playlist(&self, version: PlaylistVersion) -> Result<(), UploaderEnded> {
        self.send(Command::Playlist(version))
    }

    /// Tries what was kept now and not at the next interval.
    ///
    /// # Errors
    /// [`UploaderEnded`].
    pub fn redeliver(&self) -> Result<(), UploaderEnded> {
        self.send(Command::Redeliver)
    }

    /// What was handed over and is not delivered.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.waiting.get()
    }

    /// Waits until everything handed over is delivered or kept. What was kept goes on being tried afterwards.
    ///
    /// With a store that is away this takes one last try of one file, not of all.
    pub async fn finish(&self) -> Finished {
        self.wait(Command::Finish).await
    }

    /// As [`Uploader::finish`], but more may be handed over afterwards.
    pub async fn settle(&self) -> Finished {
        self.wait(Command::Settle).await
    }

    /// Puts nothing more, and waits until what is on its way has arrived or failed. What is not delivered stays in the
    /// spool.
    pub async fn abandon(&self) -> Finished {
        self.wait(Command::Abandon).await
    }

    async fn wait(&self, command: fn(oneshot::Sender<Finished>) -> Command) -> Finished {
        let (answer, finished) = oneshot::channel();
        if self.send(command(answer)).is_ok()
            && let Ok(finished) = finished.await
        {
            return finished;
        }
        Finished::with_kept(self.backlog().files)
    }

    fn send(&self, command: Command) -> Result<(), UploaderEnded> {
        self.commands.send(command).map_err(|_| UploaderEnded)
    }
}

/// A file and when it was handed over.
#[derive(Clone)]
struct Handed {
    file: ClosedFile,
    at: Instant,
    /// Held by whoever moves it.
    place: Arc<tokio::sync::Mutex<Where>>,
}

impl Handed {
    fn new(file: ClosedFile, place: Where) -> Self {
        Self { file, at: Instant::now(), place: Arc::new(tokio::sync::Mutex::new(place)) }
    }
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Spool,
    Backup,
    /// In the bucket, or in the backup.
    Elsewhere,
    Bucket,
}

/// Where everything goes, for the jobs.
struct Target {
    bucket: Bucket,
    backup: Option<Bucket>,
    directory: ObjectKey,
    retry: RetryOptions,
    /// Set when nobody's unfinished uploads are there any more.
    cleared: OnceCell<()>,
    lease: Option<Lease>,
}

struct Done {
    job: DoneJob,
    result: Result<Claim, StorageError>,
}

enum DoneJob {
    File { id: u64 },
    Playlist { list: usize, serial: u64, files: u64 },
}

/// Something for the backup.
enum ToBackUp {
    File { id: u64, name: ObjectName },
    Playlist { list: usize, serial: u64, version: PlaylistVersion },
}

struct Driver {
    target: Arc<Target>,
    place: Arc<Place>,
    order: Order<Handed, PlaylistVersion>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    parallel: usize,
    to_back_up: VecDeque<ToBackUp>,
    /// What the backup did not take since the last tick.
    not_backed_up: Vec<ToBackUp>,
    backing_up: FuturesUnordered<BoxFuture<'static, (ToBackUp, Result<(), StorageError>)>>,
    /// Something may be in the backup.
    uses_backup: bool,
    reports: mpsc::UnboundedSender<Report>,
    waiting: Arc<Waiting>,
    redeliver_every: Duration,
    settling: Vec<oneshot::Sender<Finished>>,
    finishing: Vec<oneshot::Sender<Finished>>,
    abandoning: Option<oneshot::Sender<Finished>>,
    told_kept: bool,
    last_error: Option<Arc<StorageError>>,
    told_code: Option<String>,
    /// Playlists of which a version was put: the next ones replace it.
    ours: HashSet<usize>,
    /// Jobs started so far: seeds the jitter of each.
    jobs: u64,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut open = true;
        let mut next_tick = Instant::now() + self.redeliver_every;
        loop {
            self.start_jobs();
            self.report_kept();
            self.start_backups();
            self.waiting.set(self.order.undelivered(), self.order.oldest().map(|handed| handed.at));
            if let Some(answer) =
                self.abandoning.take_if(|_| self.running.is_empty() && self.backing_up.is_empty())
            {
                // Whoever asked may have gone.
                let _ = answer.send(Finished::with_kept(self.order.undelivered()));
                return;
            }
            if self.is_at_rest() {
                for answer in self.settling.drain(..) {
                    // Whoever asked may have gone.
                    let _ = answer.send(Finished::with_kept(self.order.undelivered()));
                }
            }
            if self.is_at_rest() && (!open || !self.finishing.is_empty() || self.told_kept) {
                let kept = self.order.undelivered();
                if kept == 0 {
                    // Nothing more is taken; what came in the last moment still counts.
                    inbox.close();
                    if let Ok(command) = inbox.try_recv() {
                        self.take(command);
                        continue;
                    }
                    self.clean_up().await;
                }
                self.told_kept |= kept > 0 && !self.finishing.is_empty();
                for answer in self.finishing.drain(..) {
                    // Whoever asked may have gone.
                    let _ = answer.send(Finished::with_kept(kept));
                }
                if kept == 0 {
                    if self.told_kept {
                        self.tell(Report::AllDelivered);
                    }
                    return;
                }
            }
            tokio::select! {
                biased;
                Some(done) = self.running.next() => self.finish_job(done),
                Some((what, result)) = self.backing_up.next() => self.finish_backup(what, result),
                command = inbox.recv(), if open => match command {
                    Some(command) => self.take(command),
                    None => {
                        open = false;
                        self.tick();
                    }
                },
                () = sleep_until(next_tick) => {
                    next_tick = Instant::now() + self.redeliver_every;
                    self.tick();
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::File { file, playlist } => {
                let name = file.name().clone();
                self.order.push_file(name, playlist.as_ref(), Handed::new(file, Where::Spool));
            }
            Command::Elsewhere { name, playlist } => {
                let file = ClosedFile::gone(&self.place, name.clone());
                self.order.push_file(name, Some(&playlist), Handed::new(file, Where::Elsewhere));
            }
            Command::Playlist(version) => {
                let name = version.name().clone();
                self.order.push_version(&name, version);
            }
            Command::Redeliver => self.tick(),
            Command::Settle(answer) => {
                self.settling.push(answer);
                self.tick();
            }
            Command::Abandon(answer) => self.abandoning = Some(answer),
            Command::Finish(answer) => {
                self.finishing.push(answer);
                self.tick();
            }
        }
    }

    fn start_jobs(&mut self) {
        while self.abandoning.is_none()
            && let Some(job) = self.order.start()
        {
            let target = Arc::clone(&self.target);
            let jitter = self.target.retry.jitter(self.jobs);
            self.jobs += 1;
            self.running.push(match job {
                Job::File { id, payload, effort } => Box::pin(async move {
                    let result = target.put_segment(payload, effort, jitter).await;
                    Done { job: DoneJob::File { id }, result: result.map(|()| Claim::Ours) }
                }),
                Job::Playlist { list, serial, files, payload, effort } => {
                    let ours = self.ours.contains(&list);
                    Box::pin(async move {
                        let result = target.put_playlist(payload, ours, effort, jitter).await;
                        Done { job: DoneJob::Playlist { list, serial, files }, result }
                    })
                }
            });
        }
    }

    fn finish_job(&mut self, done: Done) {
        let outcome = match &done.result {
            Ok(_) => Outcome::Stored,
            Err(error) if error.is_retryable() => Outcome::Unreachable,
            Err(_) => Outcome::Refused,
        };
        if let (DoneJob::Playlist { list, .. }, Ok(Claim::Ours)) = (&done.job, &done.result) {
            self.ours.insert(*list);
        }
        if let Err(error) = done.result {
            self.tell_error(&error);
            self.last_error = Some(Arc::new(error));
        } else {
            self.told_code = None;
        }
        match done.job {
            DoneJob::File { id } => {
                let name = self.order.file_done(id, outcome);
                if outcome == Outcome::Stored {
                    self.tell(Report::SegmentStored { name });
                }
            }
            DoneJob::Playlist { list, serial, files } => {
                let name = self.order.playlist_done(list, serial, outcome);
                if outcome == Outcome::Stored {
                    self.tell(Report::PlaylistStored { name, segments: files });
                }
            }
        }
    }

    fn report_kept(&mut self) {
        while let Some(Kept { name, file }) = self.order.take_kept() {
            if let Some(id) = file.filter(|_| self.target.backup.is_some()) {
                self.to_back_up.push_back(ToBackUp::File { id, name: name.clone() });
            }
            let error = self.last_error.clone().expect("something is kept only after an error");
            // Without the name: it holds a user id.
            tracing::warn!(code = error.code(), "a file was kept in the spool");
            self.tell(Report::Kept { name, error });
        }
    }

    fn is_at_rest(&self) -> bool {
        self.order.is_at_rest() && self.to_back_up.is_empty() && self.backing_up.is_empty()
    }

    fn tick(&mut self) {
        self.order.tick();
        self.to_back_up.extend(self.not_backed_up.drain(..));
    }

    fn start_backups(&mut self) {
        let Some(backup) = self.target.backup.as_ref().filter(|_| self.abandoning.is_none()) else { return };
        while self.backing_up.len() < self.parallel {
            let next = match self.order.start_backup() {
                Some((list, serial, version)) => ToBackUp::Playlist { list, serial, version },
                None => match self.to_back_up.pop_front() {
                    Some(next) => next,
                    None => return,
                },
            };
            let (target, backup) = (Arc::clone(&self.target), backup.clone());
            self.uses_backup = true;
            match next {
                ToBackUp::File { id, name } => {
                    // It may be in the bucket by now.
                    let Some(handed) = self.order.file(id).cloned() else { continue };
                    self.backing_up.push(Box::pin(async move {
                        let result = target.back_up_file(&backup, &handed).await;
                        (ToBackUp::File { id, name }, result)
                    }));
                }
                ToBackUp::Playlist { list, serial, version } => {
                    self.backing_up.push(Box::pin(async move {
                        let put = async {
                            let (key, text) = target.text(&version).await?;
                            target.may_put(&key).await?;
                            backup.put(&key, text).await
                        };
                        let result = put.await;
                        (ToBackUp::Playlist { list, serial, version }, result)
                    }));
                }
            }
        }
    }

    fn finish_backup(&mut self, what: ToBackUp, result: Result<(), StorageError>) {
        if let ToBackUp::Playlist { list, serial, .. } = &what {
            self.order.version_backed(*list, *serial, result.is_ok());
        }
        match (result, what) {
            (Ok(()), ToBackUp::File { id, name }) => {
                self.order.file_backed(id);
                self.tell(Report::BackedUp { name });
            }
            (Ok(()), ToBackUp::Playlist { version, .. }) => {
                self.tell(Report::BackedUp { name: version.name().clone() });
            }
            (Err(error), what) => {
                tracing::warn!(code = error.code(), "the backup does not take a file");
                if matches!(what, ToBackUp::File { .. }) {
                    self.not_backed_up.push(what);
                }
                if error.is_retryable() {
                    // It is away: the others wait too.
                    self.not_backed_up.extend(self.to_back_up.drain(..));
                }
            }
        }
    }

    fn tell_error(&mut self, error: &StorageError) {
        let code = error.code().to_owned();
        if self.told_code.as_ref() != Some(&code) {
            self.tell(Report::Error { code: code.clone(), message: error.message() });
            self.told_code = Some(code);
        }
    }

    fn tell(&self, report: Report) {
        // Nobody has to listen.
        let _ = self.reports.send(report);
    }

    async fn clean_up(&mut self) {
        if let Some(backup) = self.target.backup.as_ref().filter(|_| self.uses_backup)
            && let Err(error) = self.target.clear_backup(backup).await
        {
            tracing::warn!(code = error.code(), "what was delivered is still in the backup too");
        }
        let playlists: Vec<ObjectName> = self.order.playlists().cloned().collect();
        let place = Arc::clone(&self.place);
        let cleaned = disk::run(&**self.place.disk(), move || {
            for playlist in &playlists {
                place.remove_body(playlist);
            }
            place.remove_if_empty();
        });
        // Only the end of the runtime can stop it, and then an empty directory stays.
        let _ = cleaned.await;
    }
}

impl Target {
    async fn put_segment(
        &self,
        handed: Handed,
        effort: Effort,
        mut jitter: Jitter,
    ) -> Result<(), StorageError> {
        let file = handed.file;
        let key = self.directory.join(file.name())?;
        let path = file.path();
        let mut place = handed.place.lock().await;
        loop {
            self.may_put(&key).await?;
            let put = async {
                self.cleared.get_or_try_init(|| self.clear()).await?;
                match *place {
                    Where::Spool => self.bucket.put_file(&key, &path, PutMode::Create).await,
                    Where::Backup => self.move_from_backup(&key).await,
                    Where::Elsewhere => match self.move_from_backup(&key).await {
                        Err(StorageError::NotFound { .. }) => Ok(()),
                        moved => moved,
                    },
                    Where::Bucket => Ok(()),
                }
            };
            match put.await {
                Ok(()) => break,
                Err(error) => self.wait(error, effort, &mut jitter).await?,
            }
        }
        if *place == Where::Spool {
            out_of_spool(&key, file).await?;
        }
        *place = Where::Bucket;
        Ok(())
    }

    /// Brings a file of the spool into the backup, and takes it out of the spool.
    async fn back_up_file(&self, backup: &Bucket, handed: &Handed) -> Result<(), StorageError> {
        let mut place = handed.place.lock().await;
        if *place != Where::Spool {
            return Ok(());
        }
        let key = self.directory.join(handed.file.name())?;
        self.may_put(&key).await?;
        backup.put_file(&key, &handed.file.path(), PutMode::Create).await?;
        *place = Where::Backup;
        out_of_spool(&key, handed.file.clone()).await
    }

    /// [`StorageError::NotFound`] where it is not in the backup.
    async fn move_from_backup(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let missing = || StorageError::NotFound { key: key.clone() };
        let backup = self.backup.as_ref().ok_or_else(missing)?;
        let unreadable =
            |error| StorageError::Source { key: key.clone(), source: std::io::Error::other(error) };
        match backup.size(key).await {
            Ok(_) => {}
            Err(StorageError::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(unreadable(error)),
        }
        self.bucket.put_from(backup, key).await?;
        if let Err(error) = backup.delete(key).await {
            tracing::warn!(code = error.code(), "a file that was moved is still in the backup");
        }
        Ok(())
    }

    /// Removes from the backup what is in the bucket.
    async fn clear_backup(&self, backup: &Bucket) -> Result<(), StorageError> {
        let clear = async |object: &ObjectInfo| {
            let there = match self.bucket.size(&object.key).await {
                // The playlist of the bucket is as new or newer.
                Ok(size) => size == object.size || object.key.as_str().ends_with(".m3u8"),
                Err(StorageError::NotFound { .. }) => false,
                Err(error) => return Err(error),
            };
            if there { backup.delete(&object.key).await } else { Ok(()) }
        };
        for (object, job) in backup.list(Some(&self.directory)).await?.iter().zip(0..) {
            let mut jitter = self.retry.jitter(job);
            while let Err(error) = clear(object).await {
                self.wait(error, Effort::Full, &mut jitter).await?;
            }
        }
        Ok(())
    }

    async fn text(&self, version: &PlaylistVersion) -> Result<(ObjectKey, Bytes), StorageError> {
        let key = self.directory.join(version.name())?;
        let (failed, version, place) = (key.clone(), version.clone(), version.place());
        let read = move || version.read().map_err(|source| StorageError::Source { key: failed, source });
        let text = blocking(&place, &key, read).await?;
        Ok((key, text))
    }

    /// Aborts what a process that died has left unfinished. Files can be put where that is refused.
    async fn clear(&self) -> Result<(), StorageError> {
        match self.bucket.abort_unfinished(&self.directory).await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "uploads that were left unfinished are aborted"),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => tracing::warn!(code = error.code(), "unfinished uploads cannot be aborted"),
        }
        Ok(())
    }

    async fn put_playlist(
        &self,
        version: PlaylistVersion,
        ours: bool,
        effort: Effort,
        mut jitter: Jitter,
    ) -> Result<Claim, StorageError> {
        let (key, text) = self.text(&version).await?;
        loop {
            self.may_put(&key).await?;
            let put = if ours {
                self.bucket.put(&key, text.clone()).await.map(|()| Claim::Ours)
            } else {
                claim::put_playlist(&self.bucket, &key, &text).await
            };
            match put {
                Ok(claim) => return Ok(claim),
                Err(error) => self.wait(error, effort, &mut jitter).await?,
            }
        }
    }

    async fn may_put(&self, key: &ObjectKey) -> Result<(), StorageError> {
        match &self.lease {
            Some(lease) => lease.valid().await.map_err(|_| StorageError::LeaseLost { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Waits before the next try, or gives the error back when there is none.
    async fn wait(
        &self,
        error: StorageError,
        effort: Effort,
        jitter: &mut Jitter,
    ) -> Result<(), StorageError> {
        if effort == Effort::Once || !error.is_retryable() {
            return Err(error);
        }
        let Some(pause) = jitter.next_pause() else { return Err(error) };
        tracing::debug!(code = error.code(), ?pause, "trying again");
        match &self.lease {
            Some(lease) => tokio::select! {
                () = lease.lost() => {}
                () = sleep(pause) => {}
            },
            None => sleep(pause).await,
        }
        Ok(())
    }
}

async fn out_of_spool(key: &ObjectKey, file: ClosedFile) -> Result<(), StorageError> {
    let place = file.place();
    blocking(&place, key, move || {
        file.delivered();
        Ok(())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    place: &Place,
    key: &ObjectKey,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match disk::run(&**place.disk(), work).await {
        Ok(done) => done,
        Err(source) => Err(StorageError::Source { key: key.clone(), source }),
    }
}
