use std::io;
use std::path::{Path, PathBuf};

use recorder_hls::{OptionsError, PushError};
use recorder_mp4::{FileError, FragmentError, PlanError, SplitError, WriteError};
use recorder_remux::{CopyError, PackageError, RemuxError};

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{out}: the ending does not say what to write: give --to mp4, fmp4, hls or aac", out = out.display())]
    Ending { out: PathBuf },
    #[error("the address")]
    Address(#[source] io::Error),
    #[error("{path}: web servers are only read from", path = path.display())]
    ReadOnly { path: PathBuf },
    #[error("the system's temporary directory")]
    Temporary(#[source] io::Error),
    #[error("{path} is what is read", path = path.display())]
    Same { path: PathBuf },
    #[error("{name:?} cannot be the begin of names in HLS")]
    Name {
        name: String,
        #[source]
        source: recorder_types::InvalidObjectName,
    },
    #[error("playlist names")]
    Options(#[from] OptionsError),
    #[error("{path}: segment {uri:?} is not a file beside the playlist", path = path.display())]
    NotLocal { path: PathBuf, uri: String },
    #[error("{path}: encrypted segments cannot be read", path = path.display())]
    Encrypted { path: PathBuf },
    #[error("{path}: some segments have an EXT-X-MAP and some have not", path = path.display())]
    Mixed { path: PathBuf },
    #[error("{path}: {len} bytes are more than the {limit} that are read", path = path.display())]
    TooLong { path: PathBuf, len: u64, limit: u64 },
    #[error("{path}: no AAC in it", path = path.display())]
    NoAudio { path: PathBuf },
    #[error("an AAC frame of {len} bytes does not fit into a file")]
    FrameTooLong { len: usize },
    #[error("{path}: no playlist, TS or MP4", path = path.display())]
    Foreign { path: PathBuf },
    #[error("{path}", path = path.display())]
    Playlist {
        path: PathBuf,
        #[source]
        source: recorder_hls::read_playlist::ReadPlaylistError,
    },
    #[error("{path}", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: FileError,
    },
    #[error("{path}: nothing in it that can be written", path = path.display())]
    Nothing { path: PathBuf },
    #[error("{path}", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("planning files")]
    Plan(#[from] RemuxError),
    #[error("copying")]
    Copy(#[from] CopyError),
    #[error("splitting into files")]
    Split(#[from] SplitError),
    #[error("fragments")]
    Fragment(#[from] FragmentError),
    #[error("writing")]
    Write(#[from] WriteError),
    #[error("segments")]
    Push(#[from] PushError),
    #[error("fragmented segments")]
    Package(#[from] PackageError),
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Split(error.into())
    }
}

impl Failure {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
