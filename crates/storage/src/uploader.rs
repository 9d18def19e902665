use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use recorder_types::ObjectName;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bucket::{Bucket, PutMode};
use crate::claim::{self, Claim};
use crate::error::StorageError;
use crate::key::ObjectKey;
use crate::lease::Lease;
use crate::order::{Effort, Job, Order, Outcome};
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
}

impl Default for UploaderOptions {
    fn default() -> Self {
        Self {
            parallel: 4,
            retry: RetryOptions::default(),
            redeliver_every: Duration::from_secs(30),
            take_over: false,
            lease: None,
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
        let driver = Driver {
            target: Arc::new(Target {
                bucket,
                directory,
                retry: options.retry,
                lease: options.lease,
                cleared: OnceCell::new_with((!options.take_over).then_some(())),
            }),
            place: spool.place(),
            order: Order::new(options.parallel),
            running: FuturesUnordered::new(),
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
}

/// Where everything goes, for the jobs.
struct Target {
    bucket: Bucket,
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

struct Driver {
    target: Arc<Target>,
    place: Arc<Place>,
    order: Order<Handed, PlaylistVersion>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
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
            self.waiting.set(self.order.undelivered(), self.order.oldest().map(|handed| handed.at));
            if let Some(answer) = self.abandoning.take_if(|_| self.running.is_empty()) {
                // Whoever asked may have gone.
                let _ = answer.send(Finished::with_kept(self.order.undelivered()));
                return;
            }
            if self.order.is_at_rest() {
                for answer in self.settling.drain(..) {
                    // Whoever asked may have gone.
                    let _ = answer.send(Finished::with_kept(self.order.undelivered()));
                }
            }
            if self.order.is_at_rest() && (!open || !self.finishing.is_empty() || self.told_kept) {
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
                command = inbox.recv(), if open => match command {
                    Some(command) => self.take(command),
                    None => {
                        open = false;
                        self.order.tick();
                    }
                },
                () = sleep_until(next_tick) => {
                    next_tick = Instant::now() + self.redeliver_every;
                    self.order.tick();
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::File { file, playlist } => {
                let name = file.name().clone();
                self.order.push_file(name, playlist.as_ref(), Handed { file, at: Instant::now() });
            }
            Command::Playlist(version) => {
                let name = version.name().clone();
                self.order.push_version(&name, version);
            }
            Command::Redeliver => self.order.tick(),
            Command::Settle(answer) => {
                self.settling.push(answer);
                self.order.tick();
            }
            Command::Abandon(answer) => self.abandoning = Some(answer),
            Command::Finish(answer) => {
                self.finishing.push(answer);
                self.order.tick();
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
                    let result = target.put_segment(payload.file, effort, jitter).await;
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
        while let Some(name) = self.order.take_kept() {
            let error = self.last_error.clone().expect("something is kept only after an error");
            // Without the name: it holds a user id.
            tracing::warn!(code = error.code(), "a file was kept in the spool");
            self.tell(Report::Kept { name, error });
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
        let playlists: Vec<ObjectName> = self.order.playlists().cloned().collect();
        let place = Arc::clone(&self.place);
        let cleaned = tokio::task::spawn_blocking(move || {
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
        file: ClosedFile,
        effort: Effort,
        mut jitter: Jitter,
    ) -> Result<(), StorageError> {
        let key = self.directory.join(file.name())?;
        let path = file.path();
        loop {
            self.may_put(&key).await?;
            let put = async {
                self.cleared.get_or_try_init(|| self.clear()).await?;
                self.bucket.put_file(&key, &path, PutMode::Create).await
            };
            match put.await {
                Ok(()) => break,
                Err(error) => self.wait(error, effort, &mut jitter).await?,
            }
        }
        blocking(&key, move || {
            file.delivered();
            Ok(())
        })
        .await
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
        let key = self.directory.join(version.name())?;
        let failed = key.clone();
        let text = blocking(&key, move || {
            version.read().map_err(|source| StorageError::Source { key: failed, source })
        })
        .await?;
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

async fn blocking<T: Send + 'static>(
    key: &ObjectKey,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(join) => Err(StorageError::Source { key: key.clone(), source: std::io::Error::other(join) }),
    }
}
