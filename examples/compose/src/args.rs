use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use recorder::OutputFormat;
use recorder::types::TaskId;
use recorder_mix_args::MixArgs;

/// Makes the mixed recording of a room from the single-stream recordings of its participants.
///
/// The timeline says who was there and when; `record --timeline` and tasks with that option write it, single and mixed
/// ones. Of a mixed task it also says what the picture looked like: the result is that of the task, picture for
/// picture. Options change it.
#[derive(Debug, Parser)]
#[command(name = "compose", version)]
pub(crate) struct Args {
    /// The timeline: `<SdkAppId>_<RoomId>.timeline.jsonl`.
    pub(crate) timeline: PathBuf,

    /// Where the playlists and segments of the participants are. By default the folder of the timeline.
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) mix: MixArgs,

    /// What is written.
    #[arg(long, value_name = "FORMAT", default_value = "hls")]
    pub(crate) format: Format,

    /// Directory to write to; the recording is in one of its own there.
    #[arg(long, short, value_name = "DIR", default_value = "mixed")]
    pub(crate) out: String,

    /// Names the directory of the recording.
    #[arg(long, value_name = "ID", default_value = "composed")]
    pub(crate) task_id: TaskId,

    /// Let the images of a layout be fetched from private and loopback addresses.
    #[arg(long)]
    pub(crate) allow_private_urls: bool,

    /// Tell faults alone.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Args {
    /// The folder with the recordings.
    pub(crate) fn recordings(&self) -> &Path {
        match &self.recordings {
            Some(folder) => folder,
            None => self.timeline.parent().unwrap_or(Path::new("")),
        }
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A playlist and TS segments.
    Hls,
    /// The same, and an MP4 file.
    #[value(name = "hls+mp4")]
    HlsAndMp4,
    /// An MP4 file only.
    Mp4,
}

impl From<Format> for OutputFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Hls => Self::Hls,
            Format::HlsAndMp4 => Self::HlsAndMp4,
            Format::Mp4 => Self::Mp4,
        }
    }
}
