use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use recorder_storage::{
    LibraryError, ObjectKey, Reports, Spool, SpoolError, SpoolOptions, StorageError, Uploader,
};
use recorder_types::TaskId;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

use super::clock::Clock;
use super::driver::{Driver, Work};
use super::journal::TaskJournal;
use super::notify::Notifier;
use super::options::{RecorderOptions, RecordingOptions};
use super::recording::{QUEUED_EVENTS, Recording};
use crate::task::{EventError, TaskCore};

/// Starts recordings. Each has a thread of its own for media and disk; uploads and callbacks run on the tokio
/// runtime on which it was started.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(super) options: Arc<RecorderOptions>,
}

impl Recorder {
    /// A recorder that spools by `options`.
    #[must_use]
    pub fn new(options: RecorderOptions) -> Self {
        #[cfg(feature = "metrics")]
        super::meters::describe();
        Self { options: Arc::new(options) }
    }

    /// Where tasks have their directories.
    #[cfg(feature = "api")]
    pub(crate) fn spool(&self) -> &std::path::Path {
        &self.options.spool
    }

    /// Starts a recording; it ends by [`Recording::stop`], or by itself when its room stays empty.
    ///
    /// # Errors
    /// [`StartError`]; event 301 with status 1 is sent if there is somebody to tell.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    pub fn start(&self, options: RecordingOptions) -> Result<Recording, StartError> {
        let clock = Clock::start(options.clock);
        self.start_since(clock, options)
    }

    /// As [`Self::start`], for a recording that began when `clock` was started.
    pub(crate) fn start_since(
        &self,
        clock: Clock,
        options: RecordingOptions,
    ) -> Result<Recording, StartError> {
        let zero = clock.zero();
        let prepared = (|| {
            check_delivery(&options)?;
            // The room is not empty for as long as it takes to begin.
            let now = clock.now().unwrap_or(zero);
            let core = TaskCore::new(options.task.clone(), now).map_err(StartError::Names)?;
            let directory = core.directory().as_str().parse::<ObjectKey>().map_err(StartError::Directory)?;
            let spool = self.open_spool(&options.task.task).map_err(StartError::Spool)?;
            let journal = TaskJournal::create(&spool, &options, self.options.seal_key.as_ref())
                .inspect_err(|_| spool.remove_if_empty())
                .map_err(StartError::Spool)?;
            Ok((core, directory, spool, journal))
        })();
        let (core, directory, spool, journal) =
            prepared.inspect_err(|_| tell_failed_start(&options, clock))?;
        let (uploader, reports) =
            Uploader::spawn(options.bucket.clone(), directory.clone(), &spool, options.uploader.clone());
        let (earlier, events) = (Vec::new(), Vec::new());
        let work = Work { core, spool, journal, directory, uploader, earlier, events };
        run(work, reports, clock, options).map_err(StartError::Thread)
    }

    pub(super) fn open_spool(&self, task: &TaskId) -> Result<Spool, SpoolError> {
        let options = SpoolOptions::from(self.options.durability).with_disk(Arc::clone(&self.options.disk));
        let options = match self.options.spool_limit {
            Some(limit) => options.with_limit(limit),
            None => options,
        };
        Spool::open(&self.options.spool, task, options)
    }
}

/// Whether the task and where it goes fit together.
fn check_delivery(options: &RecordingOptions) -> Result<(), StartError> {
    let Some(target) = options.library.as_ref().filter(|_| options.task.delivery.is_library()) else {
        let matches = options.library.is_none() && !options.task.delivery.is_library();
        return if matches { Ok(()) } else { Err(StartError::Delivery) };
    };
    #[cfg(feature = "mix")]
    if options.task.timeline {
        return Err(StartError::TimelineInLibrary);
    }
    target.library.check(&target.settings).map_err(StartError::Library)
}

/// Puts a task on its thread.
pub(super) fn run(
    work: Work,
    reports: Reports,
    clock: Clock,
    options: RecordingOptions,
) -> std::io::Result<Recording> {
    let runtime = Handle::current();
    let (events, inbox) = mpsc::channel(QUEUED_EVENTS);
    let (outcome, ended) = watch::channel(None);
    let queue_bytes = options.queue_bytes.min(Semaphore::MAX_PERMITS);
    let span = tracing::info_span!("recording", task_id = %options.task.task);
    let notifier = Notifier::new(&options);
    let driver = Driver::new(work, clock, notifier.clone(), outcome, &options);
    let room = Arc::new(Semaphore::new(queue_bytes));
    #[cfg(test)]
    if super::simulation::runs_here() {
        use futures_util::FutureExt;
        tokio::task::spawn_local(async move {
            if AssertUnwindSafe(driver.run(inbox, reports)).catch_unwind().await.is_err() {
                notifier.panicked(&options.task, clock.zero().wall);
            }
        });
        return Ok(Recording::new(events, room, queue_bytes, clock, ended));
    }
    std::thread::Builder::new().name("recording".into()).spawn(move || {
        let _entered = span.entered();
        // What was closed is in the spool; the driver with all it holds is gone.
        if catch_unwind(AssertUnwindSafe(|| runtime.block_on(driver.run(inbox, reports)))).is_err() {
            tracing::error!("the recording panicked");
            let now = clock.now().unwrap_or_else(|| clock.zero());
            notifier.panicked(&options.task, now.wall);
        }
    })?;
    Ok(Recording::new(events, room, queue_bytes, clock, ended))
}

/// Event 301 with status 1.
pub(crate) fn tell_failed_start(options: &RecordingOptions, clock: Clock) {
    Notifier::new(options).failed_start(&options.task, clock.zero().wall);
}

/// Why a recording could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The caller's ids do not make file names.
    #[error("files of this room cannot be named")]
    Names(#[source] EventError),
    /// The caller's prefix and task id do not make a key.
    #[error("the directory of the task is no key of the bucket")]
    Directory(#[source] StorageError),
    /// The caller's task records to a media library and there is none, or it is the other way round.
    #[error("the task's delivery is not that of the recording: a media library is wanted for one of them")]
    Delivery,
    /// The caller wants a timeline, which is no medium that a library takes.
    #[cfg(feature = "mix")]
    #[error("a media library takes no timeline")]
    TimelineInLibrary,
    /// The media library does not take what the customer wants.
    #[error("the media library")]
    Library(#[source] LibraryError),
    /// The spool directory cannot be used: the operator has to act.
    #[error("the spool cannot be used")]
    Spool(#[source] SpoolError),
    /// The system gives no thread.
    #[error("no thread for the recording")]
    Thread(#[source] std::io::Error),
}
