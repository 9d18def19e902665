use std::io;

use recorder_codec::CodecError;
use recorder_mp4::PlanError;

use crate::execute::Reason;

/// Why one output was not written. The others are written all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The caller asked for a copy ([`CopyMode::Always`](crate::CopyMode::Always)) of what has to be encoded.
    #[error("cannot be copied: {0}")]
    NotCopyable(Reason),
    /// The caller's plan names a file that leads out of its folder.
    #[error("{name:?} is no name of a file in a folder")]
    Name {
        /// The name.
        name: String,
    },
    /// The input: a name or a duration puts a segment too far away, and what lies between would be filled. One of the two
    /// is wrong; or sections have to be files of their own ([`MergeMode::Sections`](crate::MergeMode::Sections)), or be
    /// joined without what is between them ([`SectionGaps::Remove`](crate::SectionGaps::Remove)).
    #[error("segment {segment} does not lie within {days} days from the begin of its file")]
    TooFar {
        /// Its name.
        segment: String,
        /// How long an output may be.
        days: i64,
    },
    /// The input: no segment of the output can be read. [`Report::skipped`](crate::Report::skipped) tells each.
    #[error("none of its segments can be used")]
    Empty,
    /// The input: a segment is not what it was when it was read the first time.
    #[error("segment {segment} changed while it was merged")]
    Changed {
        /// Its name.
        segment: String,
    },
    /// The input: samples that cannot be written into an MP4.
    #[error("samples from segment {segment} on cannot be written into an MP4")]
    Samples {
        /// Name of the segment that was being read.
        segment: String,
        /// Why.
        #[source]
        source: PlanError,
    },
    /// The environment: encoding or decoding failed.
    #[error("encoding, at segment {segment}")]
    Codec {
        /// Name of the segment that was being read.
        segment: String,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// The environment: a segment cannot be fetched.
    #[error("reading {name}")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The environment: the file cannot be written.
    #[error("writing {name}")]
    Write {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}
