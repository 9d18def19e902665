use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use recorder_types::ObjectName;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{LibraryError, MediaLibrary, MediaSettings, Medium, StoredMedium};
use crate::lease::Lease;
use crate::retry::{Jitter, RetryOptions};
use crate::uploader::UploaderOptions;

/// What a [`LibraryUploader`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum LibraryReport {
    /// A medium is in the library.
    Stored {
        /// The medium.
        name: ObjectName,
        /// What the library calls it.
        stored: StoredMedium,
    },
    /// A medium was not taken and is tried again from time to time. Told at each try.
    Kept {
        /// The medium.
        name: ObjectName,
        /// Why.
        error: LibraryError,
    },
    /// Each medium has been tried; so many were not taken.
    Tried {
        /// How many.
        kept: usize,
    },
    /// What was kept is in the library now, all of it. Nothing follows.
    AllStored,
}

/// The reports of one uploader, in the order of events.
#[derive(Debug)]
pub struct LibraryReports(mpsc::UnboundedReceiver<LibraryReport>);

impl LibraryReports {
    /// The next report; `None` after the last.
    pub async fn recv(&mut self) -> Option<LibraryReport> {
        self.0.recv().await
    }
}

/// Puts media into a library, in the background: each is tried as often as the options say and then kept, to be tried
/// again at an interval until it is there. Their files are not touched.
///
/// While the lease of the options is not valid everything waits, and when it is lost nothing more is put. Dropped, it ends
/// after the tries that are under way.
#[derive(Debug)]
pub struct LibraryUploader {
    redeliver: mpsc::UnboundedSender<()>,
    waiting: Arc<AtomicUsize>,
}

impl LibraryUploader {
    /// Starts to put `media`, in this order.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    #[must_use]
    pub fn spawn(
        library: Arc<dyn MediaLibrary>,
        settings: MediaSettings,
        media: Vec<Medium>,
        options: UploaderOptions,
    ) -> (Self, LibraryReports) {
        let (redeliver, inbox) = mpsc::unbounded_channel();
        let (reports, outbox) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(media.len()));
        let worker = Worker { library, settings, options, reports, waiting: Arc::clone(&waiting), puts: 0 };
        tokio::spawn(worker.run(media, inbox));
        (Self { redeliver, waiting }, LibraryReports(outbox))
    }

    /// Media that are not in the library.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Tries what was kept now and not at the next interval.
    pub fn redeliver(&self) {
        // Nobody listens when everything is stored.
        let _ = self.redeliver.send(());
    }
}

struct Worker {
    library: Arc<dyn MediaLibrary>,
    settings: MediaSettings,
    options: UploaderOptions,
    reports: mpsc::UnboundedSender<LibraryReport>,
    waiting: Arc<AtomicUsize>,
    /// Seeds the jitter of each.
    puts: u64,
}

impl Worker {
    async fn run(mut self, media: Vec<Medium>, mut inbox: mpsc::UnboundedReceiver<()>) {
        let mut kept = self.round(media, &self.options.retry.clone()).await;
        if self.has_lost_lease() {
            return;
        }
        self.tell(LibraryReport::Tried { kept: kept.len() });
        let once = self.options.retry.clone().with_tries(1);
        while !kept.is_empty() {
            let next = Instant::now() + self.options.redeliver_every;
            tokio::select! {
                asked = inbox.recv() => if asked.is_none() { return },
                () = sleep_until(next) => {}
            }
            kept = self.round(kept, &once).await;
            if self.has_lost_lease() {
                return;
            }
            if kept.is_empty() {
                self.tell(LibraryReport::AllStored);
            }
        }
    }

    /// Tries each medium; gives those that were not taken, in their order. Where one cannot be got through, the rest is
    /// tried only once.
    async fn round(&mut self, media: Vec<Medium>, retry: &RetryOptions) -> Vec<Medium> {
        let once = retry.clone().with_tries(1);
        let mut waiting: VecDeque<(usize, Medium)> = media.into_iter().enumerate().collect();
        let mut running = FuturesUnordered::new();
        let (mut kept, mut away) = (Vec::new(), false);
        loop {
            while running.len() < self.options.parallel.max(1)
                && let Some((place, medium)) = waiting.pop_front()
            {
                let jitter = if away { &once } else { retry }.jitter(self.puts);
                self.puts += 1;
                let (library, settings) = (Arc::clone(&self.library), &self.settings);
                let lease = self.options.lease.clone();
                running.push(async move {
                    let result = put(&*library, settings, &medium, jitter, lease.as_ref()).await;
                    (place, medium, result)
                });
            }
            let Some((place, medium, result)) = running.next().await else { break };
            let name = medium.name().clone();
            let Some(result) = result else {
                // For whoever has the task now.
                kept.push((place, medium));
                continue;
            };
            match result {
                Ok(stored) => {
                    away = false;
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.tell(LibraryReport::Stored { name, stored });
                }
                Err(error) => {
                    away = error.is_retryable();
                    // Without the name: it holds a user id.
                    tracing::warn!(error = error.message(), "a medium was kept in the spool");
                    self.tell(LibraryReport::Kept { name, error });
                    kept.push((place, medium));
                }
            }
        }
        kept.sort_by_key(|(place, _)| *place);
        kept.into_iter().map(|(_, medium)| medium).collect()
    }

    fn has_lost_lease(&self) -> bool {
        self.options.lease.as_ref().is_some_and(Lease::is_lost)
    }

    fn tell(&self, report: LibraryReport) {
        // Nobody has to listen.
        let _ = self.reports.send(report);
    }
}

/// `None` when the lease is lost.
async fn put(
    library: &dyn MediaLibrary,
    settings: &MediaSettings,
    medium: &Medium,
    mut jitter: Jitter,
    lease: Option<&Lease>,
) -> Option<Result<StoredMedium, LibraryError>> {
    loop {
        if let Some(lease) = lease {
            lease.valid().await.ok()?;
        }
        match library.put(medium, settings).await {
            Ok(stored) => return Some(Ok(stored)),
            Err(error) if error.is_retryable() => match jitter.next_pause() {
                Some(pause) => sleep(pause).await,
                None => return Some(Err(error)),
            },
            Err(error) => return Some(Err(error)),
        }
    }
}
