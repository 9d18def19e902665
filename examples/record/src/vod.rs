use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use recorder::LibraryTarget;
use recorder::callback::{CallbackBody, Payload, VodCommitStatus, VodFile};
use recorder::storage::{Durability, LocalLibrary, MediaLibrary, MediaSettings};

use crate::room::AnyError;

/// The library in the folder of `--vod`.
pub(crate) fn open_library(folder: &Path) -> Result<Arc<dyn MediaLibrary>, AnyError> {
    Ok(Arc::new(LocalLibrary::open(folder, Durability::Sync)?))
}

pub(crate) fn target(library: Arc<dyn MediaLibrary>) -> LibraryTarget {
    LibraryTarget { library, settings: MediaSettings::default() }
}

/// What is in the library, as event 311 tells it.
#[derive(Clone, Default)]
pub(crate) struct Media(Arc<Mutex<Vec<VodFile>>>);

impl Media {
    /// Hears the events of a recording.
    pub(crate) fn sink(&self) -> impl Fn(&CallbackBody) + Send + Sync + 'static {
        let media = self.clone();
        move |body| {
            if let Payload::VodCommit(commit) = body.event().payload()
                && commit.status == VodCommitStatus::DELIVERED
            {
                media.lock().push(commit.file.clone());
            }
        }
    }

    /// What was heard since the last time.
    pub(crate) fn take(&self) -> Vec<VodFile> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<VodFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
