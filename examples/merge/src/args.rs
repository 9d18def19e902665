use clap::{ArgAction, Parser, ValueEnum};
use recorder_merge::{
    AuxUse, Blanks, CopyMode, FrameRate, InvalidOption, MergeMode, MergeOptions, SectionGaps,
};

/// Merges the single-stream recordings in a folder: one playable MP4 (or M4A) for each user, or each section of them.
///
/// Media is copied as it is wherever nothing asks for new pictures. Options are those of the TRTC merge script.
#[derive(Debug, Parser)]
#[command(name = "merge", version)]
pub(crate) struct Args {
    /// The folder with the playlists and TS files of one task: a directory, or the URL of one in a bucket
    /// (s3://bucket/prefix?endpoint=…&region=…).
    #[arg(short, long, value_name = "DIR|URL")]
    pub(crate) folder: String,

    /// 0: one file per user and section; 1: one file per user.
    #[arg(short, long, value_name = "0|1", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    mode: u8,

    /// Remove the blanks between sections. Only for mode 1.
    #[arg(short, long)]
    saving: bool,

    /// 0: audio with primary video; 1: primary video, and the substream where there is none; 2: audio with substream
    /// video.
    #[arg(short, long = "aux_use", value_name = "0|1|2", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=2))]
    aux_use: u8,

    /// Frame rate of the output, 5 to 120 (held there), which has the pictures encoded anew. By default that of the
    /// recording where it is copied, else 15.
    #[arg(short = 'p', long, value_name = "N", value_parser = parse_rate, allow_hyphen_values = true)]
    fps: Option<FrameRate>,

    /// Size of the output. By default (and for 0 0) the largest width and height of the recording.
    #[arg(short, long, num_args = 2, value_names = ["W", "H"], allow_hyphen_values = true)]
    resolution: Option<Vec<i64>>,

    /// Blanks show black instead of the last picture.
    #[arg(short = 'b', long = "fill_black", action = ArgAction::SetTrue)]
    fill_black: bool,

    /// Where to: a directory or the URL of a bucket. By default the folder itself.
    #[arg(short, long, value_name = "DIR|URL")]
    pub(crate) out: Option<String>,

    /// Whether media is copied: where nothing asks for new pictures, never, or always (what cannot be copied is an
    /// error then).
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Copy::Auto)]
    copy: Copy,

    /// Only show what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Tell plan and results as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,

    /// No progress bar.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Copy {
    Auto,
    Never,
    Always,
}

fn parse_rate(text: &str) -> Result<FrameRate, String> {
    let fps = text.parse().map_err(|_| "not a whole number".to_owned())?;
    FrameRate::clamped(fps).map_err(|error| error.to_string())
}

impl Args {
    /// What the merge is to do.
    pub(crate) fn options(&self) -> Result<MergeOptions, InvalidOption> {
        let mut options = MergeOptions::default();
        options.mode = if self.mode == 1 { MergeMode::Users } else { MergeMode::Sections };
        options.section_gaps = if self.saving { SectionGaps::Remove } else { SectionGaps::Keep };
        options.aux = match self.aux_use {
            1 => AuxUse::Automatic,
            2 => AuxUse::AuxOnly,
            _ => AuxUse::MainOnly,
        };
        options.frame_rate = self.fps;
        options.blanks = if self.fill_black { Blanks::Black } else { Blanks::Freeze };
        options.copy = match self.copy {
            Copy::Auto => CopyMode::Auto,
            Copy::Never => CopyMode::Never,
            Copy::Always => CopyMode::Always,
        };
        match self.resolution.as_deref() {
            Some(&[width, height]) => options.with_size(width, height),
            _ => Ok(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MergeOptions, String> {
        let args = std::iter::once("merge").chain(text.split_whitespace());
        let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
        args.options().map_err(|error| error.to_string())
    }

    #[test]
    fn short_and_long_options_are_the_scripts() {
        for (short, long) in [
            ("-f d", "--folder d"),
            ("-f d -m 1 -s", "--folder d --mode 1 --saving"),
            ("-f d -a 2", "--folder d --aux_use 2"),
            ("-f d -p 25", "--folder d --fps 25"),
            ("-f d -r 640 360", "--folder d --resolution 640 360"),
            ("-f d -b", "--folder d --fill_black"),
        ] {
            assert_eq!(parse(short), parse(long), "{short}");
            assert!(parse(short).is_ok(), "{:?}", parse(short));
        }
        let all = parse("-f d -m 1 -s -a 1 -p 300 -r 640 360 -b --copy never").unwrap();
        assert_eq!(
            (all.mode, all.section_gaps, all.aux),
            (MergeMode::Users, SectionGaps::Remove, AuxUse::Automatic)
        );
        assert_eq!((all.frame_rate.map(FrameRate::get), all.size), (Some(120), Some((640, 360))));
        assert_eq!((all.blanks, all.copy), (Blanks::Black, CopyMode::Never));
        assert_eq!(parse("-f d -p 1").unwrap().frame_rate.map(FrameRate::get), Some(5));
        assert_eq!(parse("-f d -r 0 0").unwrap().size, None);
    }

    #[test]
    fn wrong_values_are_refused_with_a_reason() {
        for (text, why) in [
            ("", "--folder"),
            ("-f d -m 2", "0..=1"),
            ("-f d -a 3", "0..=2"),
            ("-f d -p 0", "not above 0"),
            ("-f d -p -3", "not above 0"),
            ("-f d -p x", "whole number"),
            ("-f d -r -1 360", "size -1 360"),
            ("-f d -r 640", "2 values"),
            ("-f d -r 641 360", "even"),
            ("-f d --copy sometimes", "always"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
