#[cfg(feature = "aws")]
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use recorder_types::TaskId;
use url::Url;
use zeroize::Zeroizing;

use crate::address;
use crate::backend::{Backend, Door, Reopen};
use crate::disk::{Disk, SystemDisk};
use crate::error::StorageError;
use crate::key::ObjectKey;
use crate::seal::SealKey;
use crate::transfer::{self, Place};

/// How hard files are pressed to the disk before a call returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// File and directory are synced: what was acknowledged survives a power failure.
    #[default]
    Sync,
    /// Nothing is synced: what was acknowledged survives the death of the process, and no more.
    Relaxed,
}

/// What [`Bucket::put_file`] does when there is an object of that name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PutMode {
    /// Leaves it: the same bytes are a success, other bytes a [`StorageError::Conflict`].
    Create,
    /// Replaces it.
    Replace,
}

/// How a bucket works; the defaults suit recordings of any length.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BucketOptions {
    /// For local directories. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// Files from this size on go up in parts of this size, in bytes; raised for files that would need more than
    /// 9 000 parts. Default 8 MiB; cloud stores refuse less than 5 MiB.
    pub part_size: usize,
    /// Parts of one file on their way at a time; at least 1. Default 3. One transfer holds at most
    /// `part_size * (part_concurrency + 1)` bytes.
    pub part_concurrency: usize,
    /// Tries of one request inside the client of a cloud store, and of one part of an upload, on top of the first.
    /// Default 2: the [`Uploader`](crate::Uploader) has its own.
    pub request_retries: usize,
    /// The longest that a request to a store may take, its tries inside the client included, beside the time for its bytes at
    /// [`BucketOptions::minimum_rate`]; and the longest wait for the next bytes of an answer. Default 60 s.
    pub request_timeout: Duration,
    /// Bytes a second of the slowest line that still gets data through; at least 1. Default 32 KiB/s: a part of 8 MiB
    /// may take 256 s and [`BucketOptions::request_timeout`].
    pub minimum_rate: u64,
    /// Where local directories are, and files that are to be stored. Default: [`SystemDisk`].
    pub disk: Arc<dyn Disk>,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            part_size: 8 << 20,
            part_concurrency: 3,
            request_retries: 2,
            request_timeout: Duration::from_secs(60),
            minimum_rate: 32 << 10,
            disk: SystemDisk::shared(),
        }
    }
}

impl BucketOptions {
    /// Sets [`BucketOptions::durability`].
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets [`BucketOptions::part_size`].
    #[must_use]
    pub fn with_part_size(mut self, bytes: usize) -> Self {
        self.part_size = bytes.max(1);
        self
    }

    /// Sets [`BucketOptions::part_concurrency`].
    #[must_use]
    pub fn with_part_concurrency(mut self, parts: usize) -> Self {
        self.part_concurrency = parts.max(1);
        self
    }

    /// Sets [`BucketOptions::request_retries`].
    #[must_use]
    pub fn with_request_retries(mut self, retries: usize) -> Self {
        self.request_retries = retries;
        self
    }

    /// Sets [`BucketOptions::request_timeout`].
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets [`BucketOptions::minimum_rate`].
    #[must_use]
    pub fn with_minimum_rate(mut self, bytes_a_second: u64) -> Self {
        self.minimum_rate = bytes_a_second.max(1);
        self
    }

    /// Sets [`BucketOptions::disk`].
    #[must_use]
    pub fn with_disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// The longest that a request with so many bytes may take.
    pub(crate) fn time_for(&self, bytes: u64) -> Duration {
        self.request_timeout.saturating_add(Duration::from_secs(bytes.div_ceil(self.minimum_rate.max(1))))
    }
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its key, without the bucket's prefix.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
}

/// Where recordings are stored: a local directory, memory, or a bucket of a cloud store. Cheap to clone.
///
/// Readers see an object whole or not at all, also while it is replaced. `Debug` and `Display` show the address
/// without its secrets.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    address: Box<str>,
    /// The whole address, where it has no secret and opens the same bucket in another process.
    reopens: Option<Box<str>>,
    /// The whole address, where it has secrets.
    secret: Option<Zeroizing<String>>,
    prefix: Path,
    home: Home,
}

enum Home {
    Store(Door),
    #[cfg(feature = "fs")]
    Local(crate::local::LocalDirectory),
}

impl Bucket {
    /// A bucket in memory, empty and of its own.
    #[must_use]
    pub fn memory() -> Self {
        Self::empty_memory(BucketOptions::default())
    }

    fn empty_memory(options: BucketOptions) -> Self {
        let store = Arc::new(InMemory::new());
        let backend = Backend::in_parts(store.clone(), store);
        Self::new("memory:".into(), Path::ROOT, Door::new(backend, None, false, options))
    }

    /// A local directory, made when it is missing.
    ///
    /// # Errors
    /// [`StorageError::InvalidUrl`] when there is no such directory and it cannot be made.
    #[cfg(feature = "fs")]
    pub fn local(directory: &FilePath, options: BucketOptions) -> Result<Self, StorageError> {
        let local = crate::local::LocalDirectory::open(directory, &options)?;
        // Wherever the other process stands; a path that is no text has no address.
        let reopens = local.root().to_str().map(Box::from);
        Ok(Self(Arc::new(Inner {
            address: directory.display().to_string().escape_debug().collect::<String>().into(),
            reopens,
            secret: None,
            prefix: Path::ROOT,
            home: Home::Local(local),
        })))
    }

    /// Any store of the `object_store` crate, under `prefix` if there is one. Asking it needs a runtime with timers. A part
    /// of an upload that fails fails the upload: see [`Bucket::from_multipart_store`].
    #[must_use]
    pub fn from_store(
        store: Arc<dyn ObjectStore>,
        prefix: Option<&ObjectKey>,
        options: BucketOptions,
    ) -> Self {
        Self::from_backend(Backend::plain(store), prefix, options)
    }

    /// As [`Bucket::from_store`]; `parts` is the same store, which takes parts by their numbers, so that a part which fails is
    /// sent again.
    #[must_use]
    pub fn from_multipart_store(
        store: Arc<dyn ObjectStore>,
        parts: Arc<dyn MultipartStore>,
        prefix: Option<&ObjectKey>,
        options: BucketOptions,
    ) -> Self {
        Self::from_backend(Backend::in_parts(store, parts), prefix, options)
    }

    fn from_backend(backend: Backend, prefix: Option<&ObjectKey>, options: BucketOptions) -> Self {
        let path = prefix.map_or(Path::ROOT, |p| p.under(&Path::ROOT).unwrap_or(Path::ROOT));
        Self::new("store:".into(), path, Door::new(backend, None, true, options))
    }

    /// The bucket at an address:
    ///
    /// | address | bucket | feature |
    /// |---|---|---|
    /// | `out`, `/var/rec`, `file:///var/rec` | a local directory | `fs` |
    /// | `memory:` | memory | |
    /// | `s3://bucket/prefix?endpoint=…&region=…` | S3, and what speaks its protocol (COS, OSS, MinIO) | `aws` |
    /// | `az://container/prefix?account_name=…` | Azure Blob Storage | `azure` |
    /// | `gs://bucket/prefix` | Google Cloud Storage | `gcp` |
    /// | `http://host/path`, `https://…` | a web server, to read from | `http` |
    ///
    /// Query keys are the configuration keys of the `object_store` crate: `endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `token`, `virtual_hosted_style_request`, `conditional_put=disabled` (for stores that do
    /// not know `If-None-Match`) and so on. An unknown key is an error. What the address leaves out comes from the
    /// environment as with the vendor's tools (`AWS_ACCESS_KEY_ID` and so on). An endpoint with `http://` may be
    /// spoken to in the clear.
    ///
    /// Where a cloud store refuses keys of the environment, they are taken from there once more for that request: files and
    /// metadata services have new ones before the old ones expire. For keys from elsewhere see [`Bucket::open_with`].
    ///
    /// # Errors
    /// [`StorageError::InvalidUrl`] or [`StorageError::FeatureOff`]; neither shows a secret.
    pub fn open(address: &str, options: BucketOptions) -> Result<Self, StorageError> {
        match address::parse(address)? {
            address::Address::Memory => Ok(Self::empty_memory(options)),
            #[cfg(feature = "fs")]
            address::Address::Directory(directory) => Self::local(&directory, options),
            #[cfg(not(feature = "fs"))]
            address::Address::Directory(_) => {
                Err(StorageError::FeatureOff { scheme: "file".into(), feature: "fs" })
            }
            address::Address::Cloud(url) => {
                let public = address::is_public(&url);
                let again = url.clone();
                let reopen =
                    move |options: &BucketOptions| Some(address::open_cloud(&again, options).ok()?.0);
                let mut bucket = Self::cloud(&url, public.then_some(reopen), options)?;
                if let Some(inner) = Arc::get_mut(&mut bucket.0) {
                    if public {
                        inner.reopens = Some(url.as_str().into());
                    } else {
                        inner.secret = Some(Zeroizing::new(url.into()));
                    }
                }
                Ok(bucket)
            }
        }
    }

    /// The cloud bucket at an address whose keys change: `address` gives the whole address with the keys that hold now.
    /// It is asked at once, and for a request that the store refuses with 401, 403 or an expired token once more, one call
    /// at a time, on a thread where it may block. `None` leaves it at the refusal, as does the address of another bucket.
    ///
    /// # Errors
    /// [`StorageError::NoKeys`] where `address` gives none now; those of [`Bucket::open`].
    pub fn open_with(
        address: impl Fn() -> Option<String> + Send + Sync + 'static,
        options: BucketOptions,
    ) -> Result<Self, StorageError> {
        let first = Zeroizing::new(address().ok_or(StorageError::NoKeys)?);
        let address::Address::Cloud(url) = address::parse(&first)? else {
            return Self::open(&first, options);
        };
        let place = address::redacted(&url);
        let reopen = move |options: &BucketOptions| {
            let text = Zeroizing::new(address()?);
            match address::parse(&text) {
                Ok(address::Address::Cloud(url)) if address::redacted(&url) == place => {
                    Some(address::open_cloud(&url, options).ok()?.0)
                }
                _ => None,
            }
        };
        Self::cloud(&url, Some(reopen), options)
    }

    fn cloud(
        url: &Url,
        reopen: Option<impl Fn(&BucketOptions) -> Option<Backend> + Send + Sync + 'static>,
        options: BucketOptions,
    ) -> Result<Self, StorageError> {
        let (backend, prefix) = address::open_cloud(url, &options)?;
        let settings = options.clone();
        let reopen = reopen.map(|reopen| Arc::new(move || reopen(&settings)) as Reopen);
        Ok(Self::new(address::redacted(url), prefix, Door::new(backend, reopen, true, options)))
    }

    /// The bucket at the place that an object lies in, and its key there: `s3://bucket/a/b.ts?region=…` is `b.ts` of
    /// `s3://bucket/a?region=…`.
    ///
    /// # Errors
    /// As [`Bucket::open`]; [`StorageError::InvalidUrl`] for what is no URL, or has nothing behind its last slash.
    pub fn open_object(address: &str, options: BucketOptions) -> Result<(Self, ObjectKey), StorageError> {
        let (folder, name) = address::split_object(address)?;
        Ok((Self::open(&folder, options)?, name.parse()?))
    }

    fn new(address: Box<str>, prefix: Path, door: Door) -> Self {
        Self(Arc::new(Inner { address, reopens: None, secret: None, prefix, home: Home::Store(door) }))
    }

    /// The address that opens this bucket in another process: a directory, or a cloud bucket whose keys come from the
    /// environment. `None` for memory, for stores of the caller's own, and where the address holds keys.
    #[must_use]
    pub fn reopen_address(&self) -> Option<&str> {
        self.0.reopens.as_deref()
    }

    /// The whole address of a bucket that [`Bucket::reopen_address`] gives none of, because it holds keys: sealed for
    /// `task`. `None` without such an address, and where the system gives no random bytes.
    #[must_use]
    pub fn sealed_address(&self, key: &SealKey, task: &TaskId) -> Option<String> {
        key.seal(task.as_str(), self.0.secret.as_ref()?)
    }

    /// The bucket at an address of [`Bucket::sealed_address`].
    ///
    /// # Errors
    /// [`StorageError::WrongSealKey`] for another key or task, or a changed text; those of [`Bucket::open`].
    pub fn open_sealed(
        sealed: &str,
        key: &SealKey,
        task: &TaskId,
        options: BucketOptions,
    ) -> Result<Self, StorageError> {
        let address = key.open(task.as_str(), sealed).ok_or(StorageError::WrongSealKey)?;
        Self::open(&address, options)
    }

    /// Removes what processes that died have left half written in `directory` of a local bucket; nobody may write to it
    /// meanwhile. Others keep nothing half written under a name.
    ///
    /// # Errors
    /// [`StorageError::Disk`].
    pub fn remove_leftovers(&self, directory: &ObjectKey) -> Result<(), StorageError> {
        match &self.0.home {
            Home::Store(_) => {
                let _ = directory;
                Ok(())
            }
            #[cfg(feature = "fs")]
            Home::Local(local) => local.remove_leftovers(directory),
        }
    }

    /// Stores `data` under `key` in one step, in the place of what was there.
    ///
    /// # Errors
    /// See [`StorageError`]. After an error the object is the old or the new one, never a part.
    pub async fn put(&self, key: &ObjectKey, data: Bytes) -> Result<(), StorageError> {
        self.put_bytes(key, data, PutMode::Replace).await
    }

    /// Stores `data` under `key` in one step, if there is nothing or the same already.
    ///
    /// Where a store has no conditional put this looks before it writes: it does not protect against a second writer
    /// in the same instant.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] where there are other bytes, which stay; see [`StorageError`] for the others. After an
    /// error the object is whole or missing.
    pub async fn put_new(&self, key: &ObjectKey, data: Bytes) -> Result<(), StorageError> {
        self.put_bytes(key, data, PutMode::Create).await
    }

    async fn put_bytes(&self, key: &ObjectKey, data: Bytes, mode: PutMode) -> Result<(), StorageError> {
        let path = key.under(&self.0.prefix)?;
        match &self.0.home {
            Home::Store(door) => transfer::put_whole(Place { door, path: &path, key }, data, mode).await,
            #[cfg(feature = "fs")]
            Home::Local(local) => local.put(key.clone(), data, mode).await,
        }
    }

    /// Stores the file under `key` in one step. A local directory on the same file system takes the file itself, so
    /// that its bytes are not written twice: **after a success `file` may be gone**, and what is left of it is the
    /// caller's to remove. Nobody may write to it any more.
    ///
    /// Stores get it as a stream of bounded size, from [`BucketOptions::part_size`] on in parts; a part that fails is sent
    /// again ([`BucketOptions::request_retries`]), and an upload that fails for good is aborted, at the latest before the
    /// next one under its key, so that no parts are left behind. There, and where a store has no conditional put,
    /// [`PutMode::Create`] looks before it writes: it does not protect against a second writer in the same instant.
    ///
    /// # Errors
    /// See [`StorageError`]. After an error `file` is still there, and the object is whole or missing.
    pub async fn put_file(
        &self,
        key: &ObjectKey,
        file: &FilePath,
        mode: PutMode,
    ) -> Result<(), StorageError> {
        let path = key.under(&self.0.prefix)?;
        match &self.0.home {
            Home::Store(door) => transfer::put_file(Place { door, path: &path, key }, file, mode).await,
            #[cfg(feature = "fs")]
            Home::Local(local) => local.put_file(key.clone(), file.to_owned(), mode).await,
        }
    }

    /// Stores the object `from` of another bucket under the same key, unless there is one already, in bounded memory. It
    /// stays there.
    pub(crate) async fn put_from(&self, from: &Self, key: &ObjectKey) -> Result<(), StorageError> {
        let unreadable = |error| StorageError::Source { key: key.clone(), source: io::Error::other(error) };
        let size = from.size(key).await.map_err(unreadable)?;
        match &self.0.home {
            Home::Store(door) => {
                let source = transfer::Source::Object { bucket: from, key, at: 0 };
                let path = key.under(&self.0.prefix)?;
                transfer::put_source(Place { door, path: &path, key }, source, size, PutMode::Create).await
            }
            #[cfg(feature = "fs")]
            Home::Local(local) => local.put_from(key, from, size).await,
        }
    }

    /// The whole object.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] and the others.
    pub async fn get(&self, key: &ObjectKey) -> Result<Bytes, StorageError> {
        let path = key.under(&self.0.prefix)?;
        let door = match &self.0.home {
            Home::Store(door) => door,
            #[cfg(feature = "fs")]
            Home::Local(local) => return local.get(key.clone()).await,
        };
        let path = &path;
        let failed = |error| StorageError::from_store(key, &error);
        let object = door.ask(0, |backend| async move { backend.store.get(path).await });
        let mut object = object.await.map_err(failed)?.into_stream();
        let mut data = BytesMut::new();
        while let Some(chunk) = door.in_time(0, object.try_next()).await.map_err(failed)? {
            data.extend_from_slice(&chunk);
        }
        Ok(data.freeze())
    }

    /// These bytes of an object; fewer where it ends before.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] and the others; a store may refuse what begins behind the end.
    pub async fn get_range(&self, key: &ObjectKey, bytes: Range<u64>) -> Result<Bytes, StorageError> {
        if bytes.is_empty() {
            return Ok(Bytes::new());
        }
        let path = key.under(&self.0.prefix)?;
        let door = match &self.0.home {
            Home::Store(door) => door,
            #[cfg(feature = "fs")]
            Home::Local(local) => return local.get_range(key.clone(), bytes).await,
        };
        let (path, size) = (&path, bytes.end - bytes.start);
        let asked = door.ask(size, |backend| {
            let bytes = bytes.clone();
            async move { backend.store.get_range(path, bytes).await }
        });
        asked.await.map_err(|error| StorageError::from_store(key, &error))
    }

    /// Bytes of an object.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] and the others.
    pub async fn size(&self, key: &ObjectKey) -> Result<u64, StorageError> {
        let path = key.under(&self.0.prefix)?;
        let door = match &self.0.home {
            Home::Store(door) => door,
            #[cfg(feature = "fs")]
            Home::Local(local) => return local.size(key.clone()).await,
        };
        let path = &path;
        let asked = door.ask(0, |backend| async move { backend.store.head(path).await });
        Ok(asked.await.map_err(|error| StorageError::from_store(key, &error))?.size)
    }

    /// The objects in the directory `under` and below it (in the whole bucket for `None`), sorted by key. Objects
    /// whose name is no [`ObjectKey`] are left out.
    ///
    /// # Errors
    /// See [`StorageError`]. A directory that does not exist is empty.
    pub async fn list(&self, under: Option<&ObjectKey>) -> Result<Vec<ObjectInfo>, StorageError> {
        let path = match under {
            Some(key) => key.under(&self.0.prefix)?,
            None => self.0.prefix.clone(),
        };
        let door = match &self.0.home {
            Home::Store(door) => door,
            #[cfg(feature = "fs")]
            Home::Local(local) => return local.list(under.cloned()).await,
        };
        let skip = match self.0.prefix.as_ref() {
            "" => 0,
            prefix => prefix.len() + 1,
        };
        let path = &path;
        // The first answer shows whether the keys are good.
        let begun = door.ask(0, |backend| async move {
            let mut listing = backend.store.list((!path.is_root()).then_some(path));
            let first = listing.try_next().await?;
            Ok((first, listing))
        });
        let failed = |error: object_store::Error| match under.cloned().map_or_else(|| "list".parse(), Ok) {
            Ok(place) => StorageError::from_store(&place, &error),
            Err(error) => error,
        };
        let (mut next, mut listing) = begun.await.map_err(failed)?;
        let mut objects = Vec::new();
        while let Some(meta) = next {
            let key = meta.location.as_ref().get(skip..).and_then(|key| key.parse().ok());
            objects.extend(key.map(|key| ObjectInfo { key, size: meta.size }));
            next = door.in_time(0, listing.try_next()).await.map_err(failed)?;
        }
        objects.sort();
        Ok(objects)
    }

    /// Aborts every upload in parts to the directory `under` and below it that is not finished, and gives their number: what a
    /// process that died has left, whose parts would be paid for. Nobody else may be uploading there.
    ///
    /// Only S3 and what speaks its protocol tell of such uploads; elsewhere this does nothing. Azure forgets blocks that
    /// are not committed after a week; a bucket of Google's needs a rule of its life cycle (`AbortIncompleteMultipartUpload`).
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn abort_unfinished(&self, under: &ObjectKey) -> Result<usize, StorageError> {
        #[cfg(feature = "aws")]
        return self.abort_listed(under).await;
        #[cfg(not(feature = "aws"))]
        {
            let _ = under;
            Ok(0)
        }
    }

    #[cfg(feature = "aws")]
    async fn abort_listed(&self, under: &ObjectKey) -> Result<usize, StorageError> {
        let prefix = format!("{}/", under.under(&self.0.prefix)?);
        let door = match &self.0.home {
            Home::Store(door) => door,
            #[cfg(feature = "fs")]
            Home::Local(_) => return Ok(0),
        };
        let prefix = &prefix;
        let failed = |error| StorageError::from_store(under, &error);
        let mut seen = HashSet::new();
        loop {
            let listed = door.ask(0, |backend| async move {
                match &backend.uploads {
                    Some(uploads) => uploads.list(prefix).await,
                    None => Ok(Vec::new()),
                }
            });
            // A listing may be behind.
            let mut listed = listed.await.map_err(failed)?;
            listed.retain(|(_, id)| seen.insert(id.clone()));
            if listed.is_empty() {
                break;
            }
            for (path, id) in listed {
                transfer::abort(Place { door, path: &path, key: under }, id).await?;
            }
        }
        Ok(seen.len())
    }

    /// Removes the object; a missing one is a success.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let path = key.under(&self.0.prefix)?;
        let path = &path;
        let deleted = match &self.0.home {
            Home::Store(door) => {
                let asked = door.ask(0, |backend| async move { backend.store.delete(path).await });
                asked.await.map_err(|error| StorageError::from_store(key, &error))
            }
            #[cfg(feature = "fs")]
            Home::Local(local) => local.delete(key.clone()).await,
        };
        match deleted {
            Err(StorageError::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.address)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.0.address).finish()
    }
}
