use recorder_storage::{ClosedFile, Spool, SpoolError, SpoolFile};
use recorder_types::ObjectName;

use crate::timeline::{TimelineEntry, TimelineError};

/// The file of a task's timeline, on its way. Where it fails it is given up, and the recording goes on.
pub(super) enum Timeline {
    Unwritten,
    Open(SpoolFile),
    Over,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Line(#[from] TimelineError),
}

impl Timeline {
    /// Writes a line; the first makes the file.
    pub(super) fn add(&mut self, spool: &Spool, name: &ObjectName, entry: &TimelineEntry) {
        if let Err(error) = self.write(spool, name, entry) {
            tracing::error!(error = &error as &dyn std::error::Error, "the timeline is given up");
            if let Self::Open(file) = std::mem::replace(self, Self::Over) {
                file.discard();
            }
        }
    }

    fn write(&mut self, spool: &Spool, name: &ObjectName, entry: &TimelineEntry) -> Result<(), Failure> {
        if matches!(self, Self::Unwritten) {
            *self = Self::Open(spool.create(name)?);
        }
        if let Self::Open(file) = self {
            file.append(entry.to_line()?.as_bytes())?;
        }
        Ok(())
    }

    /// The whole file, if there is one.
    pub(super) fn close(&mut self) -> Option<ClosedFile> {
        let Self::Open(file) = std::mem::replace(self, Self::Over) else { return None };
        file.close()
            .inspect_err(|error| {
                tracing::error!(error = error as &dyn std::error::Error, "the timeline is lost");
            })
            .ok()
    }
}
