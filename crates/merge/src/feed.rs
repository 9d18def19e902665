//! What the samples of a track come from.

use std::fs::File;

use recorder_mp4::{SampleEntry, SampleInfo};
use recorder_types::Timescale;
use recorder_types::h264::DisplayOrientation;

use crate::error::MergeError;
use crate::job::Job;
use crate::script::ScriptReader;

/// A sample of the file, without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) info: SampleInfo,
    /// The description from this sample on, where it is another than before. There is one with the first.
    pub(crate) entry: Option<SampleEntry>,
}

/// Makes the samples of one track, in order of their decode times.
pub(crate) trait Feed {
    /// The clock of the samples; known once there was one.
    fn timescale(&self) -> Timescale;

    /// How pictures are turned for display; known once there was one.
    fn orientation(&self) -> DisplayOrientation {
        DisplayOrientation::default()
    }

    /// The next sample; `None` at the end.
    fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError>;

    /// Where the bytes of the samples are, in their order.
    fn finish(self: Box<Self>) -> Result<Media, MergeError>;
}

/// The bytes of a track's samples.
pub(crate) enum Media {
    /// In the segments.
    Copied(Box<ScriptReader>),
    /// In a temporary file, at whose begin it stands.
    Spooled(File),
}
