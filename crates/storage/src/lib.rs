//! Buckets, the spool and the uploader: from a closed segment on the local disk to an object in a store.
//!
//! - [`Bucket`] is where recordings end up: a local directory, memory, or a cloud store (features `aws`, `azure`,
//!   `gcp`); or a web server, to read from (`http`). Objects appear whole or not at all.
//! - [`Spool`] is the directory where one task writes: files that are open, and closed ones that are not delivered.
//! - [`Journal`] is the file there that tells what the task has done, to whoever goes on after its process has died.
//! - [`Uploader`] brings closed files and playlists from the spool to the bucket, in the background: a playlist
//!   never names a segment that is not stored, a store that is away never slows the recording, and what could not be
//!   delivered stays in the spool, is told, and is tried again.
//! - [`MediaLibrary`] is where whole media go instead, to be played from there: a local folder with an index
//!   ([`LocalLibrary`]), Tencent VOD (feature `tencent-vod`), or one of the embedder's. [`LibraryUploader`] puts them.
//!
//! Not here: what is in the files, what they are called, and when a task ends.
//!
//! ```
//! use recorder_storage::{Bucket, Durability, Finished, ObjectKey, PlaylistEnd, Spool, Uploader, UploaderOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! let bucket = Bucket::open("memory:", Default::default())?;
//! let task = "task01".parse()?;
//! let directory = ObjectKey::of_task(["rec"], &task)?;
//! let mut spool = Spool::open(root.path(), &task, Durability::Sync)?;
//! let (uploader, mut reports) =
//!     Uploader::spawn(bucket.clone(), directory.clone(), &spool, UploaderOptions::default());
//!
//! // The task's thread writes a segment and names it in the playlist.
//! let (segment, playlist) = ("a_0.ts".parse()?, "a.m3u8".parse()?);
//! let mut file = spool.create(&segment)?;
//! file.append(b"bytes of a segment")?;
//! uploader.segment(&playlist, file.close()?)?;
//! spool.append_playlist(&playlist, "#EXTINF:1.000,\na_0.ts\n")?;
//! uploader.playlist(spool.playlist_version(&playlist, "#EXTM3U\n", PlaylistEnd::Ended))?;
//!
//! assert_eq!(uploader.finish().await, Finished::Delivered);
//! while let Some(report) = reports.recv().await {
//!     println!("{report:?}");
//! }
//! let text = bucket.get(&directory.join(&playlist)?).await?;
//! assert_eq!(&text[..], b"#EXTM3U\n#EXTINF:1.000,\na_0.ts\n#EXT-X-ENDLIST\n");
//! # Ok(())
//! # }
//! ```

mod address;
mod backend;
mod bucket;
mod claim;
mod disk;
mod error;
mod journal;
mod key;
mod lease;
mod library;
#[cfg(feature = "fs")]
mod local;
mod order;
mod retry;
#[cfg(feature = "aws")]
mod s3;
mod seal;
mod spool;
mod transfer;
mod uploader;

pub use address::local_path;
pub use bucket::{Bucket, BucketOptions, Durability, ObjectInfo, PutMode};
pub use disk::{Disk, DiskFile, Found, OpenMode, SystemDisk};
pub use error::{StorageError, VendorError};
pub use journal::{Journal, JournalState};
pub use key::ObjectKey;
pub use lease::{Lease, LeaseKeeper, LeaseLost};
#[cfg(feature = "fs")]
pub use library::LocalLibrary;
pub use library::{
    LibraryError, LibraryReport, LibraryReports, LibraryUploader, MediaLibrary, MediaSettings, Medium,
    StoredMedium,
};
#[cfg(feature = "tencent-vod")]
pub use library::{TencentVod, TencentVodOptions};
pub use retry::RetryOptions;
pub use seal::{InvalidSealKey, SealKey, SealKeyFileError};
pub use spool::{ClosedFile, PlaylistEnd, PlaylistVersion, Spool, SpoolError, SpoolFile, SpoolOptions};
pub use uploader::{Backlog, Finished, Report, Reports, Uploader, UploaderEnded, UploaderOptions};
