//! Files into stores, in bounded memory.

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode as StoreMode, WriteMultipart};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::bucket::{BucketOptions, PutMode};
use crate::error::StorageError;
use crate::key::ObjectKey;

/// S3 takes 10 000 parts.
const MAX_PARTS: u64 = 9_000;

pub(crate) async fn put_file(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    key: &ObjectKey,
    file: &FilePath,
    mode: PutMode,
    options: &BucketOptions,
) -> Result<(), StorageError> {
    let unreadable = |source| StorageError::Source { key: key.clone(), source };
    let mut source = File::open(file).await.map_err(unreadable)?;
    let size = source.metadata().await.map_err(unreadable)?.len();
    let part_size = part_size(size, options.part_size.max(1)).map_err(unreadable)?;

    if size <= part_size as u64 {
        let data = read_part(&mut source, part_size).await.map_err(unreadable)?;
        if data.len() as u64 != size {
            return Err(unreadable(changed()));
        }
        return put_whole(store, path, key, data, mode).await;
    }
    if mode == PutMode::Create {
        // An upload in parts has no condition, so look first.
        match compare(store, path, key, &mut source, size).await? {
            Found::Nothing => {}
            Found::Same => return Ok(()),
            Found::Other => return Err(StorageError::Conflict { key: key.clone() }),
        }
        source = File::open(file).await.map_err(unreadable)?;
    }

    let failed = |error| StorageError::from_store(key, &error);
    let upload = store.put_multipart(path).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, part_size);
    let mut sent = 0u64;
    let sending = async {
        loop {
            upload.wait_for_capacity(options.part_concurrency.max(1)).await.map_err(failed)?;
            let part = read_part(&mut source, part_size).await.map_err(unreadable)?;
            if part.is_empty() {
                break;
            }
            sent += part.len() as u64;
            upload.put(part);
        }
        if sent == size {
            upload.wait_for_capacity(1).await.map_err(failed)
        } else {
            Err(unreadable(changed()))
        }
    };
    let sending = sending.await;
    if let Err(error) = sending {
        // The first error is the one to tell; an abort that fails too leaves parts to the store's lifecycle rule.
        if let Err(abort) = upload.abort().await {
            let abort = StorageError::from_store(key, &abort);
            tracing::warn!(code = abort.code(), "an upload in parts could not be aborted");
        }
        return Err(error);
    }
    // Aborts by itself when it fails.
    upload.finish().await.map(drop).map_err(failed)
}

pub(crate) async fn put_whole(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    key: &ObjectKey,
    data: Bytes,
    mode: PutMode,
) -> Result<(), StorageError> {
    let failed = |error| StorageError::from_store(key, &error);
    if mode == PutMode::Create {
        match store.put_opts(path, data.clone().into(), StoreMode::Create.into()).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // It may be our own first try, whose answer got lost.
                return match compare(store, path, key, &mut &data[..], data.len() as u64).await? {
                    Found::Same => Ok(()),
                    Found::Other => Err(StorageError::Conflict { key: key.clone() }),
                    Found::Nothing => Err(StorageError::from_store(
                        key,
                        &object_store::Error::Precondition {
                            path: path.to_string(),
                            source: "the object was there and is gone".into(),
                        },
                    )),
                };
            }
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                match compare(store, path, key, &mut &data[..], data.len() as u64).await? {
                    Found::Nothing => {}
                    Found::Same => return Ok(()),
                    Found::Other => return Err(StorageError::Conflict { key: key.clone() }),
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    store.put(path, data.into()).await.map(drop).map_err(failed)
}

/// What is under a name already.
enum Found {
    Nothing,
    Same,
    Other,
}

/// Compares the object with `size` bytes of `source`, a chunk at a time.
async fn compare(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    key: &ObjectKey,
    source: &mut (impl AsyncReadExt + Unpin),
    size: u64,
) -> Result<Found, StorageError> {
    let failed = |error| StorageError::from_store(key, &error);
    match store.head(path).await {
        Ok(meta) if meta.size == size => {}
        Ok(_) => return Ok(Found::Other),
        Err(error) => {
            return match failed(error) {
                StorageError::NotFound { .. } => Ok(Found::Nothing),
                error => Err(error),
            };
        }
    }
    let mut theirs = match store.get(path).await.map_err(failed) {
        Ok(object) => object.into_stream(),
        Err(StorageError::NotFound { .. }) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut compared = 0u64;
    while let Some(chunk) = theirs.try_next().await.map_err(failed)? {
        for chunk in chunk.chunks(64 << 10) {
            let mut ours = vec![0; chunk.len()];
            match source.read_exact(&mut ours).await {
                Ok(_) if ours == chunk => compared += chunk.len() as u64,
                Ok(_) => return Ok(Found::Other),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Found::Other),
                Err(source) => return Err(StorageError::Source { key: key.clone(), source }),
            }
        }
    }
    Ok(if compared == size { Found::Same } else { Found::Other })
}

/// Up to `size` bytes; fewer only at the end of the file.
async fn read_part(source: &mut File, size: usize) -> io::Result<Bytes> {
    let left = match source.metadata().await {
        Ok(meta) => usize::try_from(meta.len()).unwrap_or(size),
        Err(_) => size,
    };
    let mut part = BytesMut::with_capacity(size.min(left));
    let mut limited = source.take(size as u64);
    while part.len() < size && limited.read_buf(&mut part).await? > 0 {}
    Ok(part.freeze())
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
