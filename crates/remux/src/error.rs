use recorder_hls::IndexError;
use recorder_mp4::{DescriptionError, FragmentError, PlanError, SplitError, WriteError};
use recorder_types::RoomTime;

/// Why files cannot be planned. The planner is of no more use; the files it told before are good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemuxError {
    /// The caller supplied something that was not asked for: the calling code has to change.
    #[error("nothing of input {input} was asked for")]
    NotAsked {
        /// The input.
        input: usize,
    },
    /// The parameter sets of a segment cannot be written into an MP4.
    #[error("input {input}, segment {segment}: pictures cannot be described")]
    Description {
        /// The input.
        input: usize,
        /// The segment.
        segment: u32,
        /// Why.
        #[source]
        source: DescriptionError,
    },
    /// An AAC frame is longer than ADTS can say.
    #[error("segment {segment}: AAC frame of {len} bytes does not fit into ADTS")]
    FrameTooLong {
        /// The segment.
        segment: u32,
        /// Bytes without the header.
        len: u32,
    },
    /// Samples cannot be put into files within the limits: a key frame interval is over one of them (raise the limit,
    /// or keep the HLS), or the times of the input are too far apart.
    #[error("splitting the recording into files")]
    Split(#[from] SplitError),
    /// A single AAC frame is over the limits of a file.
    #[error("segment {segment}: one AAC frame is over the limits of {max_bytes} bytes and {max_duration:?}")]
    Limits {
        /// The segment.
        segment: u32,
        /// The limit.
        max_bytes: u64,
        /// The limit.
        max_duration: RoomTime,
    },
}

impl From<PlanError> for RemuxError {
    fn from(error: PlanError) -> Self {
        Self::Split(error.into())
    }
}

/// Why a planned file cannot be written. What was written of it is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The caller supplied something that was not asked for: the calling code has to change.
    #[error("nothing of input {input} was asked for")]
    NotAsked {
        /// The input.
        input: usize,
    },
    /// The segment cannot be read.
    #[error("input {input}, segment {segment}")]
    Segment {
        /// The input.
        input: usize,
        /// The segment.
        segment: u32,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// The segment has other samples than its index said: one of them is of another recording.
    #[error("input {input}, segment {segment}: other samples than its index says")]
    Changed {
        /// The input.
        input: usize,
        /// The segment.
        segment: u32,
        /// What differs, where it is a single sample.
        #[source]
        source: Option<WriteError>,
    },
    /// The segments end before the file does: their indexes said that there would be more.
    #[error("input {input}: its {segments} segments have fewer samples than their indexes say")]
    Ended {
        /// The input.
        input: usize,
        /// How many segments were planned.
        segments: u32,
    },
}

/// Why a TS segment cannot be made a fragmented one. The packager goes on with the next segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The segment cannot be read.
    #[error("reading the segment")]
    Segment(#[from] IndexError),
    /// The segment has other samples than its index says: one of them is of another recording.
    #[error("other samples than the segment's index says")]
    Changed,
    /// Its pictures cannot be described.
    #[error("pictures cannot be described")]
    Description(#[from] DescriptionError),
    /// Its tracks or samples cannot be written.
    #[error("writing fragments")]
    Write(#[from] FragmentError),
}

impl From<PlanError> for PackageError {
    fn from(error: PlanError) -> Self {
        Self::Write(error.into())
    }
}
