use recorder_mp4::MoviePlan;
use recorder_types::{MediaKind, RoomTime, UnixMillis};

/// A file that can be written: everything of it is known but the media.
#[derive(Debug)]
pub struct FilePlan {
    pub(crate) movie: MoviePlan,
    pub(crate) start: UnixMillis,
    /// By track of the movie; tracks without samples in this file have none here either.
    pub(crate) tracks: Vec<FileTrack>,
    pub(crate) inputs: Vec<FileInput>,
}

/// A track of a planned file, and where its samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileTrack {
    /// Index of the input.
    pub input: usize,
    /// Pictures or audio.
    pub kind: MediaKind,
    /// Samples in the file, at least one.
    pub samples: u32,
    /// Segment of the input that has the first one.
    pub segment: u32,
    /// Its number among the samples of its kind in that segment.
    pub sample: u32,
    /// Index of the track in the movie, where empty tracks count too.
    pub(crate) track: usize,
}

/// What else has to be known of an input.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileInput {
    /// Segments that do not exist, rising.
    pub(crate) missing: Vec<u32>,
    /// Segments of which pictures at the front are left out, rising, and how many.
    pub(crate) drops: Vec<(u32, u32)>,
    /// Segments that were supplied.
    pub(crate) segments: u32,
}

impl FilePlan {
    /// Bytes of the file.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.movie.file_len()
    }

    /// Never: a file has a sample at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// How long it is presented.
    #[must_use]
    pub const fn duration(&self) -> RoomTime {
        self.movie.duration()
    }

    /// When it begins on the wall clock, by the start of the segment that its first sample comes from.
    #[must_use]
    pub const fn start(&self) -> UnixMillis {
        self.start
    }

    /// When it ends: its duration after its start.
    #[must_use]
    pub const fn end(&self) -> UnixMillis {
        self.start.saturating_add_millis(self.movie.duration().round_to_millis())
    }

    /// Its tracks, in the order of the file: those of pictures first.
    #[must_use]
    pub fn tracks(&self) -> &[FileTrack] {
        &self.tracks
    }

    /// Whether it has a track of this kind.
    #[must_use]
    pub fn has(&self, kind: MediaKind) -> bool {
        self.tracks.iter().any(|track| track.kind == kind)
    }

    /// The movie, for what it says of sizes and chunks.
    #[must_use]
    pub const fn movie(&self) -> &MoviePlan {
        &self.movie
    }
}
