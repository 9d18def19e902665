//! Media libraries: whole files go in, a file id and an address that plays come out.

#[cfg(feature = "fs")]
mod local;
#[cfg(feature = "tencent-vod")]
mod tencent;
mod uploader;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use recorder_types::ObjectName;

use crate::error::{StorageError, VendorError};

#[cfg(feature = "fs")]
pub use self::local::LocalLibrary;
#[cfg(feature = "tencent-vod")]
pub use self::tencent::{TencentVod, TencentVodOptions};
pub use self::uploader::{LibraryReport, LibraryReports, LibraryUploader};

/// Where whole media are kept and played from: video on demand.
///
/// Unlike a [`Bucket`](crate::Bucket) it chooses the place of what it takes, and gives it an id of its own. The same
/// medium put twice is there twice.
#[async_trait]
pub trait MediaLibrary: fmt::Debug + Send + Sync {
    /// Which library it is, in one line and without secrets.
    fn address(&self) -> &str;

    /// Whether [`Self::address`] is all that another process needs to open it: the directory of a
    /// local library. Keys are not in an address.
    fn reopens(&self) -> bool {
        false
    }

    /// Whether it would take media with these settings, as far as that can be known before there is one.
    ///
    /// # Errors
    /// [`LibraryError::InvalidSetting`].
    fn check(&self, settings: &MediaSettings) -> Result<(), LibraryError> {
        let _ = settings;
        Ok(())
    }

    /// Puts one medium. Its files stay where they are, and nobody writes to them meanwhile.
    ///
    /// # Errors
    /// [`LibraryError`]; the medium is not in the library then. Where only the answer was lost it may be.
    async fn put(&self, medium: &Medium, settings: &MediaSettings) -> Result<StoredMedium, LibraryError>;
}

/// What goes into a library as one: a file, or a playlist with its segments.
#[derive(Clone, Debug)]
pub struct Medium {
    name: ObjectName,
    playlist: Option<Bytes>,
    files: Vec<(ObjectName, PathBuf)>,
}

impl Medium {
    /// The file at `path`, called `name`.
    #[must_use]
    pub fn file(name: ObjectName, path: PathBuf) -> Self {
        Self { files: vec![(name.clone(), path)], playlist: None, name }
    }

    /// A playlist of this name and text, and the files that it names, in that order.
    #[must_use]
    pub fn hls(name: ObjectName, playlist: Bytes, segments: Vec<(ObjectName, PathBuf)>) -> Self {
        Self { name, playlist: Some(playlist), files: segments }
    }

    /// Name of the file or playlist.
    #[must_use]
    pub const fn name(&self) -> &ObjectName {
        &self.name
    }

    /// The name without its extension.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_str().rsplit_once('.').map_or(self.name.as_str(), |(title, _)| title)
    }

    /// What stands behind the last dot of the name: `mp4`, `m3u8`, `aac`. Empty without one.
    #[must_use]
    pub fn extension(&self) -> &str {
        self.name.as_str().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The text of the playlist, if it is one.
    #[must_use]
    pub const fn playlist(&self) -> Option<&Bytes> {
        self.playlist.as_ref()
    }

    /// Names and places of its files: the segments of a playlist, or the one file.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&ObjectName, &Path)> + Clone {
        self.files.iter().map(|(name, path)| (name, path.as_path()))
    }
}

/// How a medium is kept. Names in brackets are those of `TencentVod` in `StorageParams`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaSettings {
    /// Task flow that is started after the upload (`Procedure`).
    pub procedure: Option<String>,
    /// For how long it is kept from the beginning of the upload on, to the second; `None` for ever (`ExpireTime`).
    pub expire_after: Option<Duration>,
    /// Where it is stored (`StorageRegion`).
    pub storage_region: Option<String>,
    /// Category; 0 is "other" (`ClassId`).
    pub class_id: u32,
    /// Application of the library (`SubAppId`).
    pub sub_app_id: Option<u32>,
    /// Passed on to the callback of the task flow (`SessionContext`).
    pub session_context: Option<String>,
    /// Passed on to the callback of the upload (`SourceContext`).
    pub source_context: Option<String>,
}

/// A medium that is in the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMedium {
    /// The library's id of it, in decimal digits.
    pub file_id: String,
    /// Where it plays.
    pub url: String,
}

/// Why a library did not take a medium.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The caller's setting is one that the library does not take.
    #[error("{setting}: {rule}")]
    InvalidSetting {
        /// Its name.
        setting: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The library answered and refused: keys, permissions, parameters or the clock have to be put right.
    #[error("refused by the media library: {vendor} (RequestId {request_id})")]
    Refused {
        /// What it said.
        vendor: VendorError,
        /// Its name of the request, for its support.
        request_id: Box<str>,
    },
    /// No answer, or a passing trouble: asking again may help.
    #[error("the media library is not available: {vendor}")]
    Unavailable {
        /// What it said, or how it could not be reached.
        vendor: VendorError,
    },
    /// The store behind the library did not take a file.
    #[error("the store of the media library")]
    Upload(#[source] StorageError),
    /// A file of the medium could not be read.
    #[error("{name}: the file to put could not be read")]
    Source {
        /// The file.
        name: ObjectName,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The disk under a local library failed.
    #[error("{}: the disk of the media library", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl LibraryError {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Disk { .. } => true,
            // The keys of an upload are made for it alone: another try has others.
            Self::Upload(error) => {
                let of_the_keys = matches!(
                    error.code(),
                    "AccessDenied"
                        | "ExpiredToken"
                        | "InvalidAccessKeyId"
                        | "InvalidToken"
                        | "TokenRefreshRequired"
                        | "Unauthenticated"
                );
                error.is_retryable() || of_the_keys
            }
            Self::InvalidSetting { .. } | Self::Refused { .. } | Self::Source { .. } => false,
        }
    }

    /// The error and its causes in one line, for `Errmsg` of event 311. It holds no secret.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Upload(error) => format!("{self}: {}: {}", error.code(), error.message()),
            _ => recorder_types::with_causes(self),
        }
    }
}
