//! Files into stores, in bounded memory.

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStoreExt, PutMode as StoreMode, PutOptions};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::sleep;

use crate::backend::Door;
use crate::bucket::{Bucket, PutMode};
use crate::disk::{self, Disk, OpenMode};
use crate::error::StorageError;
use crate::key::ObjectKey;
use crate::retry::RetryOptions;

/// S3 takes 10 000 parts.
const MAX_PARTS: u64 = 9_000;
/// A store puts parts together so many times as fast as the slowest line: 1 MiB a second by default.
const COPY_SPEED: u64 = 32;
/// Tries of an abort.
const ABORT_TRIES: u32 = 3;

/// Where something is to be stored.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) door: &'a Door,
    pub(crate) path: &'a Path,
    pub(crate) key: &'a ObjectKey,
}

impl Place<'_> {
    fn failed(&self, error: &object_store::Error) -> StorageError {
        StorageError::from_store(self.key, error)
    }

    fn unreadable(&self, source: io::Error) -> StorageError {
        StorageError::Source { key: self.key.clone(), source }
    }
}

/// What is stored, from its beginning on.
pub(crate) enum Source<'a> {
    Bytes { data: &'a [u8], at: usize },
    File { path: &'a FilePath, file: OpenFile },
    Object { bucket: &'a Bucket, key: &'a ObjectKey, at: u64 },
}

type OpenFile = Box<dyn AsyncRead + Send + Unpin>;

impl<'a> Source<'a> {
    /// A file, and its size.
    async fn open(place: Place<'_>, path: &'a FilePath) -> Result<(Self, u64), StorageError> {
        let opened = open(&place.door.options.disk, path).await;
        let (file, size) = opened.map_err(|source| place.unreadable(source))?;
        Ok((Self::File { path, file }, size))
    }

    async fn rewind(&mut self, place: Place<'_>) -> io::Result<()> {
        match self {
            Self::Bytes { at, .. } => *at = 0,
            Self::File { path, file } => (*file, _) = open(&place.door.options.disk, path).await?,
            Self::Object { at, .. } => *at = 0,
        }
        Ok(())
    }

    /// The next `size` bytes, neither more nor fewer.
    async fn read(&mut self, size: usize) -> io::Result<Bytes> {
        match self {
            Self::Bytes { data, at } => {
                let next = data.get(*at..*at + size).ok_or_else(changed)?;
                *at += size;
                Ok(Bytes::copy_from_slice(next))
            }
            Self::File { file, .. } => {
                let mut part = BytesMut::with_capacity(size);
                let mut limited = file.take(size as u64);
                while part.len() < size {
                    if limited.read_buf(&mut part).await? == 0 {
                        return Err(changed());
                    }
                }
                Ok(part.freeze())
            }
            Self::Object { bucket, key, at } => {
                let part = bucket.get_range(key, *at..*at + size as u64).await?;
                *at += size as u64;
                if part.len() == size { Ok(part) } else { Err(changed()) }
            }
        }
    }

    async fn at_end(&mut self) -> io::Result<()> {
        let over = match self {
            Self::Bytes { data, at } => *at == data.len(),
            Self::File { file, .. } => file.read(&mut [0]).await? == 0,
            Self::Object { .. } => true, // its size was asked for
        };
        if over { Ok(()) } else { Err(changed()) }
    }
}

pub(crate) async fn put_file(place: Place<'_>, file: &FilePath, mode: PutMode) -> Result<(), StorageError> {
    let (source, size) = Source::open(place, file).await?;
    put_source(place, source, size, mode).await
}

/// Stores what `source` has, `size` bytes.
pub(crate) async fn put_source(
    place: Place<'_>,
    mut source: Source<'_>,
    size: u64,
    mode: PutMode,
) -> Result<(), StorageError> {
    let unreadable = |source| place.unreadable(source);
    let part_size = part_size(size, place.door.options.part_size.max(1)).map_err(unreadable)?;
    if let Some(size) = usize::try_from(size).ok().filter(|size| *size <= part_size) {
        let data = source.read(size).await.map_err(unreadable)?;
        source.at_end().await.map_err(unreadable)?;
        return put_whole(place, data, mode).await;
    }
    if mode == PutMode::Create {
        // An upload in parts has no condition, so look first.
        match compare(place, &mut source, size).await? {
            Found::Nothing => {}
            Found::Same => return Ok(()),
            Found::Other => return Err(StorageError::Conflict { key: place.key.clone() }),
        }
        source.rewind(place).await.map_err(unreadable)?;
    }
    let mut upload = Upload::begin(place).await?;
    let sent = match upload.send(&mut source, size, part_size).await {
        Ok(parts) => upload.complete(parts, size).await,
        Err(error) => Err(error),
    };
    if sent.is_err() {
        // The first error is the one to tell.
        upload.abort().await;
    }
    sent
}

/// Aborts an upload that somebody else has begun.
pub(crate) async fn abort(place: Place<'_>, id: MultipartId) -> Result<(), StorageError> {
    let aborted = place.door.ask(0, |backend| {
        let id = &id;
        async move { in_parts(&backend)?.abort_multipart(place.path, id).await }
    });
    match aborted.await.map_err(|error| place.failed(&error)) {
        // It was completed, and the answer got lost; or another call has aborted it.
        Ok(()) | Err(StorageError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// An upload in parts. What is neither completed nor aborted is left to the next one to the same place.
struct Upload<'a> {
    place: Place<'a>,
    kind: Kind,
    over: bool,
}

enum Kind {
    /// Each part can be sent again.
    Parts(MultipartId),
    /// Parts come once, one after the other.
    Stream(Box<dyn MultipartUpload>),
}

impl<'a> Upload<'a> {
    async fn begin(place: Place<'a>) -> Result<Self, StorageError> {
        // Those that cannot be aborted are left once more.
        let leftovers = place.door.take_leftovers(place.path);
        let leftovers: Vec<Upload<'_>> =
            leftovers.into_iter().map(|id| Upload { place, kind: Kind::Parts(id), over: false }).collect();
        for mut earlier in leftovers {
            earlier.abort_once().await?;
        }
        let begun = place.door.ask(0, |backend| async move {
            Ok(match &backend.parts {
                Some(store) => Kind::Parts(store.create_multipart(place.path).await?),
                None => Kind::Stream(backend.store.put_multipart(place.path).await?),
            })
        });
        Ok(Self { place, kind: begun.await.map_err(|error| place.failed(&error))?, over: false })
    }

    /// All parts, a few at a time.
    async fn send(
        &mut self,
        source: &mut Source<'_>,
        size: u64,
        part_size: usize,
    ) -> Result<Vec<PartId>, StorageError> {
        let place = self.place;
        let unreadable = |source| place.unreadable(source);
        let mut parts: Vec<Option<PartId>> = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut left = size;
        loop {
            while left > 0 && running.len() < place.door.options.part_concurrency.max(1) {
                let next = usize::try_from(left).unwrap_or(part_size).min(part_size);
                let data = source.read(next).await.map_err(unreadable)?;
                left -= data.len() as u64;
                let number = parts.len();
                parts.push(None);
                running.push(self.put(number, data).map(move |part| (number, part)));
            }
            match running.next().await {
                Some((number, part)) => parts[number] = part?,
                None => break,
            }
        }
        source.at_end().await.map_err(unreadable)?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn put(&mut self, number: usize, data: Bytes) -> BoxFuture<'a, Result<Option<PartId>, StorageError>> {
        let place = self.place;
        match &mut self.kind {
            Kind::Parts(id) => Box::pin(put_part(place, id.clone(), number, data).map_ok(Some)),
            Kind::Stream(upload) => {
                let size = data.len() as u64;
                let sent = upload.put_part(data.into());
                Box::pin(async move {
                    let sent = place.door.in_time(size, sent).await;
                    sent.map(|()| None).map_err(|error| place.failed(&error))
                })
            }
        }
    }

    async fn complete(&mut self, parts: Vec<PartId>, size: u64) -> Result<(), StorageError> {
        let place = self.place;
        // The store may copy them all.
        let copied = size / COPY_SPEED;
        let done = match &mut self.kind {
            Kind::Parts(id) => {
                let (id, parts) = (&*id, &parts);
                let completed = place.door.ask(copied, |backend| async move {
                    in_parts(&backend)?.complete_multipart(place.path, id, parts.clone()).await
                });
                completed.await.map(drop)
            }
            Kind::Stream(upload) => place.door.in_time(copied, upload.complete()).await.map(drop),
        };
        self.over = done.is_ok();
        done.map_err(|error| place.failed(&error))
    }

    /// Several times, if need be.
    async fn abort(&mut self) {
        let mut pauses = RetryOptions::default().with_tries(ABORT_TRIES).jitter(0);
        while let Err(error) = self.abort_once().await {
            match pauses.next_pause().filter(|_| error.is_retryable()) {
                Some(pause) => sleep(pause).await,
                None => {
                    tracing::warn!(code = error.code(), "an upload in parts could not be aborted");
                    return;
                }
            }
        }
    }

    async fn abort_once(&mut self) -> Result<(), StorageError> {
        let place = self.place;
        match &mut self.kind {
            Kind::Parts(id) => abort(place, id.clone()).await?,
            Kind::Stream(upload) => {
                let aborted = place.door.in_time(0, upload.abort()).await;
                aborted.map_err(|error| place.failed(&error))?;
            }
        }
        self.over = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let Kind::Parts(id) = &self.kind
            && !self.over
        {
            self.place.door.leave(self.place.path.clone(), id.clone());
        }
    }
}

/// The store of an upload that was begun in parts.
fn in_parts(
    backend: &crate::backend::Backend,
) -> object_store::Result<&dyn object_store::multipart::MultipartStore> {
    backend.parts.as_deref().ok_or_else(|| object_store::Error::NotSupported {
        source: "the store has changed and takes no parts any more".into(),
    })
}

/// Sends one part, again and again within the options' tries.
async fn put_part(
    place: Place<'_>,
    id: MultipartId,
    number: usize,
    data: Bytes,
) -> Result<PartId, StorageError> {
    let tries = u32::try_from(place.door.options.request_retries).unwrap_or(u32::MAX).saturating_add(1);
    let mut pauses = RetryOptions::default().with_tries(tries).jitter(number as u64);
    loop {
        let (id, data) = (&id, &data);
        let sent = place.door.ask(data.len() as u64, |backend| async move {
            in_parts(&backend)?.put_part(place.path, id, number, data.clone().into()).await
        });
        let error = match sent.await {
            Ok(part) => return Ok(part),
            Err(error) => place.failed(&error),
        };
        match pauses.next_pause().filter(|_| error.is_retryable()) {
            Some(pause) => {
                tracing::debug!(code = error.code(), ?pause, "sending a part again");
                sleep(pause).await;
            }
            None => return Err(error),
        }
    }
}

pub(crate) async fn put_whole(place: Place<'_>, data: Bytes, mode: PutMode) -> Result<(), StorageError> {
    let put = async |how: StoreMode| {
        let (how, data) = (&how, &data);
        let put = place.door.ask(data.len() as u64, |backend| async move {
            let options = PutOptions::from(how.clone());
            backend.store.put_opts(place.path, data.clone().into(), options).await
        });
        put.await.map(drop)
    };
    if mode == PutMode::Create {
        match put(StoreMode::Create).await {
            Ok(()) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // It may be our own first try, whose answer got lost.
                return match compare(place, &mut Source::Bytes { data: &data, at: 0 }, data.len() as u64)
                    .await?
                {
                    Found::Same => Ok(()),
                    Found::Other => Err(StorageError::Conflict { key: place.key.clone() }),
                    Found::Nothing => Err(place.failed(&object_store::Error::Precondition {
                        path: place.path.to_string(),
                        source: "the object was there and is gone".into(),
                    })),
                };
            }
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                match compare(place, &mut Source::Bytes { data: &data, at: 0 }, data.len() as u64).await? {
                    Found::Nothing => {}
                    Found::Same => return Ok(()),
                    Found::Other => return Err(StorageError::Conflict { key: place.key.clone() }),
                }
            }
            Err(error) => return Err(place.failed(&error)),
        }
    }
    put(StoreMode::Overwrite).await.map_err(|error| place.failed(&error))
}

/// What is under a name already.
enum Found {
    Nothing,
    Same,
    Other,
}

/// Compares the object with the `size` bytes of `source`, a chunk at a time.
async fn compare(place: Place<'_>, source: &mut Source<'_>, size: u64) -> Result<Found, StorageError> {
    let Place { door, path, .. } = place;
    let failed = |error| place.failed(&error);
    match door.ask(0, |backend| async move { backend.store.head(path).await }).await {
        Ok(meta) if meta.size == size => {}
        Ok(_) => return Ok(Found::Other),
        Err(error) => {
            return match failed(error) {
                StorageError::NotFound { .. } => Ok(Found::Nothing),
                error => Err(error),
            };
        }
    }
    let theirs = door.ask(0, |backend| async move { backend.store.get(path).await });
    let mut theirs = match theirs.await.map_err(failed) {
        Ok(object) => object.into_stream(),
        Err(StorageError::NotFound { .. }) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut compared = 0u64;
    while let Some(chunk) = door.in_time(0, theirs.try_next()).await.map_err(failed)? {
        for chunk in chunk.chunks(64 << 10) {
            let ours = source.read(chunk.len()).await.map_err(|source| place.unreadable(source))?;
            if ours != chunk {
                return Ok(Found::Other);
            }
            compared += chunk.len() as u64;
        }
    }
    Ok(if compared == size { Found::Same } else { Found::Other })
}

/// A file and its size in bytes.
async fn open(disk: &Arc<dyn Disk>, file: &FilePath) -> io::Result<(OpenFile, u64)> {
    let (on, file) = (Arc::clone(disk), file.to_owned());
    disk::run(&**disk, move || {
        let file = on.open(&file, OpenMode::Read)?;
        let size = file.size()?;
        Ok((file.into_async(), size))
    })
    .await?
}

/// Parts all as large as `wanted`, or larger where a file would need too many of them.
fn part_size(size: u64, wanted: usize) -> io::Result<usize> {
    let least = usize::try_from(size.div_ceil(MAX_PARTS)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok(wanted.max(least))
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file changed while it was read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_before_there_are_too_many() {
        assert_eq!(part_size(0, 8).unwrap(), 8);
        assert_eq!(part_size(8 * 9_000, 8).unwrap(), 8);
        assert_eq!(part_size(8 * 9_000 + 1, 8).unwrap(), 9);
    }
}
