use std::fs::File;
use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use recorder_storage::{Bucket, ObjectKey, PutMode};
use recorder_types::with_causes;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use crate::folder::{Folder, parse_playlist_name};
use crate::sink::{Sink, SinkFile};
use crate::source::{Source, check_name, check_playlist_size, check_size};

/// A folder in a bucket, to read from and to write to.
///
/// Merging blocks: call it outside of the runtime, or in a blocking task of it. Files wait in the system's temporary
/// directory until they are whole.
#[derive(Clone, Debug)]
pub struct BucketFolder {
    bucket: Bucket,
    directory: Option<ObjectKey>,
    runtime: Handle,
}

impl BucketFolder {
    /// The folder `directory` of `bucket`; its root for `None`.
    #[must_use]
    pub const fn new(bucket: Bucket, directory: Option<ObjectKey>, runtime: Handle) -> Self {
        Self { bucket, directory, runtime }
    }

    fn key(&self, name: &str) -> io::Result<ObjectKey> {
        check_name(name)?;
        let key = match &self.directory {
            Some(directory) => format!("{directory}/{name}").parse(),
            None => name.parse(),
        };
        key.map_err(io::Error::from)
    }
}

impl Source for BucketFolder {
    fn folder(&mut self) -> io::Result<Folder> {
        let mut folder = Folder::default();
        let objects =
            self.runtime.block_on(self.bucket.list(self.directory.as_ref())).map_err(io::Error::from)?;
        let skip = self.directory.as_ref().map_or(0, |directory| directory.as_str().len() + 1);
        for object in objects {
            // What lies deeper is of another folder.
            let Some(name) = object.key.as_str().get(skip..).filter(|name| !name.contains('/')) else {
                continue;
            };
            if parse_playlist_name(name).is_some() {
                let get = || self.runtime.block_on(self.bucket.get(&object.key)).map_err(io::Error::from);
                match check_playlist_size(object.size).and_then(|()| get()) {
                    Ok(text) => folder.add_playlist(name, &String::from_utf8_lossy(&text)),
                    Err(error) => folder.add_unreadable(name, with_causes(&error)),
                }
            } else if name.ends_with(".ts") {
                folder.add_segment(name, object.size);
            }
        }
        Ok(folder)
    }

    fn segment(&mut self, name: &str) -> io::Result<Bytes> {
        let data = self.runtime.block_on(self.bucket.get(&self.key(name)?)).map_err(io::Error::from)?;
        check_size(data.len() as u64)?;
        Ok(data)
    }
}

impl Sink for BucketFolder {
    fn create(&mut self, name: &str) -> io::Result<Box<dyn SinkFile>> {
        let key = self.key(name)?;
        let temporary = NamedTempFile::new()?;
        let file = BufWriter::new(temporary.reopen()?);
        Ok(Box::new(BucketFile {
            bucket: self.bucket.clone(),
            key,
            runtime: self.runtime.clone(),
            temporary,
            file,
        }))
    }
}

struct BucketFile {
    bucket: Bucket,
    key: ObjectKey,
    runtime: Handle,
    temporary: NamedTempFile,
    file: BufWriter<File>,
}

impl Write for BucketFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SinkFile for BucketFile {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()?;
        let put = self.bucket.put_file(&self.key, self.temporary.path(), PutMode::Replace);
        self.runtime.block_on(put).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MergeOptions, plan};

    #[test]
    fn a_playlist_that_cannot_be_read_is_named() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let long = "1_2__UserId_s_YQ..__UserId_e_main_audio.m3u8";
        let file = File::create(directory.path().join(long)).unwrap();
        file.set_len((64 << 20) + 1).unwrap();
        let stem = "1_2__UserId_s_Ym9i__UserId_e_main_audio";
        let segment = format!("{stem}_20231114221320000.ts");
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{segment}\n");
        std::fs::write(directory.path().join(format!("{stem}.m3u8")), text).unwrap();
        std::fs::write(directory.path().join(segment), "media").unwrap();
        let bucket = Bucket::local(directory.path(), recorder_storage::BucketOptions::default()).unwrap();
        let mut folder = BucketFolder::new(bucket, None, runtime.handle().clone());
        let plan = plan(&Source::folder(&mut folder).unwrap(), &MergeOptions::default());
        assert!(plan.skipped.len() == 1 && plan.skipped[0].name == long, "{:?}", plan.skipped);
        assert!(plan.skipped[0].reason.is_damage() && plan.users.len() == 1, "{:?}", plan.skipped);
    }

    #[test]
    fn what_is_written_is_listed_and_read() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let directory = "rec/task01".parse().unwrap();
        let mut folder = BucketFolder::new(Bucket::memory(), Some(directory), runtime.handle().clone());
        let playlist = "1_2__UserId_s_YQ..__UserId_e_main_audio.m3u8";
        for (name, text) in [(playlist, "#EXTM3U\n"), ("a_20231114221320000.ts", "media"), ("b.txt", "x")] {
            let mut file = folder.create(name).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
        }
        let listed = Source::folder(&mut folder).unwrap();
        assert_eq!(
            listed.playlists.into_iter().collect::<Vec<_>>(),
            [(playlist.into(), Ok("#EXTM3U\n".into()))]
        );
        assert_eq!(listed.segments.into_iter().collect::<Vec<_>>(), [("a_20231114221320000.ts".into(), 5)]);
        assert_eq!(folder.segment("a_20231114221320000.ts").unwrap(), "media");
        assert_eq!(folder.segment("gone.ts").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(folder.segment("../rec/x").is_err());
    }
}
