use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use recorder_mp4::SplitLimits;
use recorder_types::{RoomTime, UnixMillis};

use crate::error::Failure;

/// Puts recordings into another container: HLS, TS or MP4 in; MP4, fragmented MP4 or HLS out. Nothing is decoded.
#[derive(Debug, Parser)]
#[command(name = "remux", version)]
pub(crate) struct Args {
    /// A playlist (.m3u8) with its segments beside it, a TS file, or an MP4, plain or fragmented: a path, or a URL
    /// (s3://bucket/name.m3u8?endpoint=…&region=…, https://host/name.m3u8).
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    /// A file that ends in .mp4, .m4a, .m4v or .mov (MP4, moov in front), in .cmfv, .cmfa or .m4s (fragmented), in .aac
    /// (ADTS) or .m3u8 (HLS), or a folder for HLS: a path, or the URL of one in a bucket.
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,

    /// What OUT becomes, whatever its name.
    #[arg(long, value_enum, value_name = "WHAT")]
    to: Option<Target>,

    /// Longest MP4 or AAC file, 1 to 1440 minutes. The next begins at a key frame.
    #[arg(long, value_name = "N", default_value_t = 1440, value_parser = clap::value_parser!(u16).range(1..=1440))]
    max_file_minutes: u16,

    /// Largest MP4 or AAC file, headers counted.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 31)]
    max_file_bytes: u64,

    /// Length after which an HLS segment ends at the next key frame, 1 to 3600 seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3600))]
    segment_seconds: u16,

    /// What HLS segments are.
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = SegmentType::Mpegts)]
    pub(crate) segments: SegmentType,

    /// Keep what an MP4 has to know of the segments' samples in a file beside the playlist: a later MP4 is made in one
    /// pass over them. For segments of MPEG-TS.
    #[arg(long)]
    pub(crate) with_index: bool,

    /// When the recording began, in milliseconds since 1970, for names of HLS segments. By default what the input
    /// says, else 1970.
    #[arg(long, value_name = "MILLIS", value_parser = parse_millis)]
    pub(crate) start_time: Option<UnixMillis>,

    /// No progress bar.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Mp4,
    Fmp4,
    Hls,
    Aac,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SegmentType {
    Mpegts,
    Fmp4,
}

fn parse_millis(text: &str) -> Result<UnixMillis, String> {
    let millis = text.parse().map_err(|_| "not a whole number".to_owned())?;
    UnixMillis::new(millis).ok_or_else(|| "after the year 9999".to_owned())
}

impl Args {
    /// What is to be written.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let ending = self.out.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let by_ending = match ending.as_deref() {
            Some("mp4" | "m4a" | "m4v" | "mov") => Some(Target::Mp4),
            Some("cmfv" | "cmfa" | "m4s") => Some(Target::Fmp4),
            Some("aac" | "adts") => Some(Target::Aac),
            Some("m3u8") => Some(Target::Hls),
            _ => names_folder(&self.out).then_some(Target::Hls),
        };
        self.to.or(by_ending).ok_or_else(|| Failure::Ending { out: self.out.clone() })
    }

    /// How large and long an MP4 may be.
    pub(crate) fn limits(&self) -> SplitLimits {
        let limits = SplitLimits::default().with_max_bytes(self.max_file_bytes);
        limits.with_max_minutes(self.max_file_minutes).unwrap_or(limits)
    }

    /// The shortest HLS segment before a cut.
    pub(crate) fn segment_duration(&self) -> RoomTime {
        RoomTime::from_secs(self.segment_seconds.into())
    }
}

fn names_folder(out: &Path) -> bool {
    out.is_dir() || out.extension().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        let args = std::iter::once("remux").chain(text.split_whitespace());
        Args::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_ending_tells_what_is_written_unless_an_option_does() {
        for (text, want) in [
            ("a b.mp4", Some(Target::Mp4)),
            ("a b.M4A", Some(Target::Mp4)),
            ("a b.cmfv", Some(Target::Fmp4)),
            ("a b.mp4 --to fmp4", Some(Target::Fmp4)),
            ("a b.aac", Some(Target::Aac)),
            ("a b.m3u8", Some(Target::Hls)),
            ("a folder", Some(Target::Hls)),
            ("a b.mkv", None),
            ("a b.mkv --to mp4", Some(Target::Mp4)),
        ] {
            assert_eq!(parse(text).unwrap().target().ok(), want, "{text}");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_a_reason() {
        for (text, why) in [
            ("a", "OUT"),
            ("a b --to avi", "fmp4"),
            ("a b --max-file-minutes 0", "1..=1440"),
            ("a b --max-file-minutes 1441", "1..=1440"),
            ("a b --segment-seconds 0", "1..=3600"),
            ("a b --segments webm", "mpegts"),
            ("a b --start-time x", "whole number"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let limits = parse("a b --max-file-minutes 2 --max-file-bytes 100").unwrap().limits();
        assert_eq!((limits.max_bytes, limits.max_duration), (100, RoomTime::from_secs(120)));
    }
}
