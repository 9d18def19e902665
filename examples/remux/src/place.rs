//! Where input lies: on the disk, in a bucket, or on a web server.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use recorder_storage::{Bucket, BucketOptions, ObjectKey, PutMode, local_path};
use tokio::runtime::Runtime;

/// Bytes that are asked a bucket for at once where they are read piecemeal.
const WINDOW: u64 = 4 << 20;

/// A file, or an object of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// A file's path; an object's address without its secrets.
    name: PathBuf,
    bucket: Option<Arc<Remote>>,
}

/// The folder of a bucket that objects lie in.
#[derive(Debug)]
pub(crate) struct Remote {
    bucket: Bucket,
    runtime: Runtime,
}

impl Remote {
    /// The folder of an object, and the object's name there.
    fn open(address: &str) -> io::Result<(Self, ObjectKey)> {
        let (bucket, key) = Bucket::open_object(address, BucketOptions::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok((Self { bucket, runtime }, key))
    }

    /// What an object is called in messages.
    fn name(&self, key: &str) -> PathBuf {
        let folder = self.bucket.to_string();
        let folder = folder.split('?').next().unwrap_or_default().trim_end_matches('/');
        format!("{folder}/{key}").into()
    }
}

impl Place {
    /// What a path or URL means.
    pub(crate) fn of(address: &Path) -> io::Result<Self> {
        let Some(text) = address.to_str() else { return Ok(Self::file(address.to_owned())) };
        if let Some(path) = local_path(text)? {
            return Ok(Self::file(path));
        }
        let (remote, key) = Remote::open(text)?;
        Ok(Self { name: remote.name(key.as_str()), bucket: Some(Arc::new(remote)) })
    }

    pub(crate) const fn file(path: PathBuf) -> Self {
        Self { name: path, bucket: None }
    }

    /// The path of a file; of an object, what it is called in messages.
    pub(crate) fn path(&self) -> &Path {
        &self.name
    }

    pub(crate) fn is_remote(&self) -> bool {
        self.bucket.is_some()
    }

    /// Whether it is on a web server, which takes nothing.
    pub(crate) fn is_web(&self) -> bool {
        self.is_remote() && self.name.to_str().is_some_and(|name| name.starts_with("http"))
    }

    /// What lies beside it under this bare name.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self { name: self.name.with_file_name(name), bucket: self.bucket.clone() }
    }

    /// The object's key: its bare name, since buckets are opened at its folder.
    fn key(&self) -> io::Result<ObjectKey> {
        let name = self.name.file_name().and_then(|name| name.to_str());
        Ok(name.ok_or(io::ErrorKind::InvalidInput)?.parse::<ObjectKey>()?)
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match &self.bucket {
            None => Ok(fs::metadata(&self.name)?.len()),
            Some(remote) => Ok(remote.runtime.block_on(remote.bucket.size(&self.key()?))?),
        }
    }

    /// Fills `data` with `len` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, len: u64, data: &mut Vec<u8>) -> io::Result<()> {
        data.clear();
        let got = self.open()?.read_from(offset, len, data)?;
        if got == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(crate) fn open(&self) -> io::Result<Open> {
        Ok(match &self.bucket {
            None => Open::File { file: File::open(&self.name)?, at: 0 },
            Some(remote) => {
                Open::Object { remote: Arc::clone(remote), key: self.key()?, window: Bytes::new(), at: 0 }
            }
        })
    }

    /// Stores a local file in this place's folder, as `name`, where that is in a bucket.
    pub(crate) fn upload(&self, name: &str, file: &Path) -> io::Result<()> {
        let Some(remote) = &self.bucket else { return Err(io::ErrorKind::Unsupported.into()) };
        let key = name.parse::<ObjectKey>()?;
        Ok(remote.runtime.block_on(remote.bucket.put_file(&key, file, PutMode::Replace))?)
    }
}

/// What is open for reading.
#[derive(Debug)]
pub(crate) enum Open {
    File {
        file: File,
        /// Where it stands.
        at: u64,
    },
    Object {
        remote: Arc<Remote>,
        key: ObjectKey,
        /// What was read last, and where it begins.
        window: Bytes,
        at: u64,
    },
}

impl Open {
    /// Appends up to `len` bytes from `offset` on; fewer at the end.
    fn read_from(&mut self, offset: u64, len: u64, data: &mut Vec<u8>) -> io::Result<u64> {
        match self {
            Self::File { file, at } => {
                if *at != offset {
                    file.seek(SeekFrom::Start(offset))?;
                }
                let got = Read::by_ref(file).take(len).read_to_end(data)?;
                *at = offset.saturating_add(got as u64);
                Ok(got as u64)
            }
            Self::Object { remote, key, .. } => {
                let bytes = remote.runtime.block_on(remote.bucket.get_range(key, offset..offset + len))?;
                data.extend_from_slice(&bytes);
                Ok(bytes.len() as u64)
            }
        }
    }

    /// Fills as much of `buf` as there is at once from `offset` on. `end`: nothing behind it is read.
    pub(crate) fn read_at(&mut self, offset: u64, end: u64, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len().min(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        let buf = buf.get_mut(..wanted).unwrap_or_default();
        if buf.is_empty() {
            return Ok(0);
        }
        match self {
            Self::File { file, at } => {
                if *at != offset {
                    file.seek(SeekFrom::Start(offset))?;
                }
                let got = file.read(buf)?;
                *at = offset.saturating_add(got as u64);
                Ok(got)
            }
            Self::Object { remote, key, window, at } => {
                let inside = |window: &Bytes, at: u64| {
                    let from = usize::try_from(offset.checked_sub(at)?).ok()?;
                    window.get(from..).filter(|rest| !rest.is_empty()).map(<[u8]>::len).map(|len| (from, len))
                };
                if inside(window, *at).is_none() {
                    let ahead = offset.saturating_add(WINDOW.max(buf.len() as u64)).min(end);
                    *window = remote.runtime.block_on(remote.bucket.get_range(key, offset..ahead))?;
                    *at = offset;
                }
                let Some((from, len)) = inside(window, *at) else { return Ok(0) };
                let len = len.min(buf.len());
                buf[..len].copy_from_slice(&window[from..from + len]);
                Ok(len)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_no_secrets_and_lead_to_what_lies_beside() {
        let place = Place::of(Path::new("s3://b/p/a.m3u8?region=r&access_key_id=a&secret_access_key=SECRET"))
            .unwrap();
        assert!(place.is_remote());
        assert_eq!(place.path(), Path::new("s3://b/p/a.m3u8"));
        assert_eq!(place.beside("x.ts").path(), Path::new("s3://b/p/x.ts"));
        assert_eq!(place.beside("x.ts").key().unwrap().as_str(), "x.ts");
        let place = Place::of(Path::new("file:///p/a%20b.m3u8")).unwrap();
        assert!(!place.is_remote());
        assert_eq!(place.beside("x.ts").path(), Path::new("/p/x.ts"));
        for bad in ["memory:", "s3://b", "ftp://host/a.mp4"] {
            assert!(Place::of(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_is_read_as_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..=255).collect();
        fs::write(folder.path().join("a"), &data).unwrap();
        let remote = Remote {
            bucket: Bucket::memory(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        };
        let object = Place { name: "memory:/a".into(), bucket: Some(Arc::new(remote)) };
        assert_eq!(object.size().unwrap_err().kind(), io::ErrorKind::NotFound);
        object.upload("a", &folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a"), &data).unwrap();
        for place in [object, Place::of(&folder.path().join("a")).unwrap()] {
            assert_eq!(place.size().unwrap(), 256);
            let mut got = Vec::new();
            place.read(10, 5, &mut got).unwrap();
            assert_eq!(got, data[10..15]);
            assert_eq!(place.read(250, 7, &mut got).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            let mut open = place.open().unwrap();
            for (offset, end, want) in [(0, 256, 0..8), (4, 256, 4..12), (100, 103, 100..103), (3, 3, 3..3)] {
                let mut buf = [0; 8];
                let got = open.read_at(offset, end, &mut buf).unwrap();
                assert_eq!(buf[..got], data[want], "{offset}");
            }
        }
    }
}
