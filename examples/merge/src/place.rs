use recorder_merge::{BucketFolder, DirectorySink, DirectorySource, Sink, Source};
use recorder_storage::{Bucket, BucketOptions, local_path};
use tokio::runtime::{Handle, Runtime};

use crate::run::AnyError;

/// Folders on the disk, and in buckets where addresses look like URLs.
pub(crate) struct Places {
    /// Made when the first bucket is opened.
    runtime: Option<Runtime>,
}

impl Places {
    pub(crate) const fn new() -> Self {
        Self { runtime: None }
    }

    pub(crate) fn source(&mut self, address: &str) -> Result<Box<dyn Source>, AnyError> {
        match local_path(address)? {
            Some(directory) => Ok(Box::new(DirectorySource::new(directory))),
            None => Ok(Box::new(self.bucket(address)?)),
        }
    }

    pub(crate) fn sink(&mut self, address: &str) -> Result<Box<dyn Sink>, AnyError> {
        match local_path(address)? {
            Some(directory) => Ok(Box::new(DirectorySink::new(directory))),
            None => Ok(Box::new(self.bucket(address)?)),
        }
    }

    fn bucket(&mut self, address: &str) -> Result<BucketFolder, AnyError> {
        let bucket = Bucket::open(address, BucketOptions::default())?;
        Ok(BucketFolder::new(bucket, None, self.handle()?))
    }

    fn handle(&mut self) -> std::io::Result<Handle> {
        if self.runtime.is_none() {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            self.runtime = Some(builder.worker_threads(1).enable_all().build()?);
        }
        Ok(self.runtime.as_ref().expect("it was made just now").handle().clone())
    }
}
