//! The one door to a store: every request has its time, and keys that the store refuses are asked for once more.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectStore, Result};

use crate::bucket::BucketOptions;
use crate::error::is_denied;

/// A store as one set of keys opens it.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store, where it takes a part of an upload by its number: then a part that failed can be sent again.
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
    /// The same store, where it tells which uploads in parts are not finished.
    #[cfg(feature = "aws")]
    pub(crate) uploads: Option<Arc<crate::s3::S3Uploads>>,
}

impl Backend {
    /// A store whose parts cannot be sent again.
    pub(crate) fn plain(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            parts: None,
            #[cfg(feature = "aws")]
            uploads: None,
        }
    }

    /// `parts` is the same store.
    pub(crate) fn in_parts(store: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>) -> Self {
        Self { parts: Some(parts), ..Self::plain(store) }
    }
}

/// Opens the store again, with the keys that hold now; `None` where there are none.
pub(crate) type Reopen = Arc<dyn Fn() -> Option<Backend> + Send + Sync>;

/// A store, and how it is asked.
pub(crate) struct Door {
    backend: RwLock<Arc<Backend>>,
    /// `None` where the keys are what they are.
    reopen: Option<Reopen>,
    /// One at a time asks for keys.
    reopening: tokio::sync::Mutex<()>,
    /// Requests have a time: not those of memory and local directories, so that they need no timers.
    timed: bool,
    pub(crate) options: BucketOptions,
    /// Uploads in parts of this process that are neither completed nor aborted, and that nobody works on.
    leftovers: Mutex<Vec<(Path, MultipartId)>>,
}

impl Door {
    pub(crate) fn new(backend: Backend, reopen: Option<Reopen>, timed: bool, options: BucketOptions) -> Self {
        Self {
            backend: RwLock::new(Arc::new(backend)),
            reopen,
            reopening: tokio::sync::Mutex::default(),
            timed,
            options,
            leftovers: Mutex::default(),
        }
    }

    pub(crate) fn backend(&self) -> Arc<Backend> {
        Arc::clone(&self.backend.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One request that moves `bytes`.
    pub(crate) async fn ask<T, F>(&self, bytes: u64, request: impl Fn(Arc<Backend>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let backend = self.backend();
        match self.in_time(bytes, request(Arc::clone(&backend))).await {
            Err(error) if is_denied(&error) => match self.reopened(&backend).await {
                Some(backend) => self.in_time(bytes, request(backend)).await,
                None => Err(error),
            },
            done => done,
        }
    }

    /// The wait for something that moves `bytes`, as long as these may take.
    pub(crate) async fn in_time<T>(&self, bytes: u64, wait: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.timed {
            return wait.await;
        }
        let limit = self.options.time_for(bytes);
        match tokio::time::timeout(limit, wait).await {
            Ok(done) => done,
            Err(_) => Err(Error::Generic { store: "bucket", source: Box::new(Overdue(limit)) }),
        }
    }

    /// The store with keys that were asked for after those of `refused`; `None` where there are no others.
    async fn reopened(&self, refused: &Arc<Backend>) -> Option<Arc<Backend>> {
        let reopen = self.reopen.clone()?;
        let _alone = self.reopening.lock().await;
        let now = self.backend();
        if !Arc::ptr_eq(&now, refused) {
            return Some(now);
        }
        let opened = match tokio::task::spawn_blocking(move || reopen()).await {
            Ok(Some(backend)) => Arc::new(backend),
            Ok(None) | Err(_) => {
                tracing::warn!("the store refuses the keys, and others cannot be had");
                return None;
            }
        };
        *self.backend.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&opened);
        Some(opened)
    }

    /// The uploads to `path` that nobody works on.
    pub(crate) fn take_leftovers(&self, path: &Path) -> Vec<MultipartId> {
        let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers.extract_if(.., |(at, _)| at == path).map(|(_, id)| id).collect()
    }

    pub(crate) fn leave(&self, path: Path, id: MultipartId) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push((path, id));
    }
}

/// A request took longer than its bytes may.
#[derive(Debug)]
pub(crate) struct Overdue(Duration);

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {} s", self.0.as_secs())
    }
}

impl std::error::Error for Overdue {}
