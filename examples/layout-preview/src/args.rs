use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use recorder_layout::{LargeSide, LayoutParams, StreamId, Template};
use recorder_types::{MediaId, Size, UserId};

use crate::error::PreviewError;

/// Longest side of a canvas, in pixels.
const MAX_CANVAS_SIDE: u32 = 4096;

/// Draws the windows of a mixed layout as the recorder computes them, each with its number and the name of who is in
/// it, as SVG or PNG.
///
/// Windows are numbered in the order in which they are filled. The number stands in the middle of its window, or, where
/// others are in front, where it can be seen. A window with a dashed border (in PNG: without colour) has nobody in it.
#[derive(Debug, Parser)]
#[command(name = "layout-preview", version)]
pub(crate) struct Args {
    /// grid, floating, screen-share, or a JSON file with MixLayoutParams of the recording API.
    #[arg(long, value_name = "NAME|FILE.json")]
    layout: String,

    /// Size of the recording. Both sides are even, at most 4096.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = parse_canvas)]
    pub(crate) canvas: Size,

    /// Windows, the large one included; of a custom layout, how many of its windows have somebody in them. By default
    /// as many as --users names; without it 9, or all of a custom layout.
    #[arg(long, value_name = "0..25", value_parser = clap::value_parser!(u8).range(0..=25))]
    pub(crate) count: Option<u8>,

    /// A sheet with a small picture of every count, 0 to 25 (of a custom layout, to the length of its list).
    #[arg(long, conflicts_with = "count")]
    pub(crate) sheet: bool,

    /// Names in order of entry. Where more people are needed they are called user1, user2 and so on.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub(crate) users: Vec<UserId>,

    /// Who has the large window of floating and screen-share. By default the first to enter in floating, nobody in
    /// screen-share.
    #[arg(long, value_name = "USER")]
    large: Option<UserId>,

    /// Where the large window of screen-share is. By default on the left.
    #[arg(long, value_enum)]
    side: Option<Side>,

    /// The picture to write; its ending, .svg or .png, says the format. A file of that name is replaced.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    Left,
    Right,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Png,
}

impl Args {
    /// By the ending of the output's name, in either case.
    pub(crate) fn format(&self) -> Result<Format, PreviewError> {
        let ending = self.output.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => Err(PreviewError::Ending { path: self.output.clone() }),
        }
    }

    /// The layout by name, or from the file.
    pub(crate) fn params(&self) -> Result<LayoutParams, PreviewError> {
        let large = || self.large.clone().map(|user| StreamId { user, media: MediaId::Main });
        let template = match self.layout.as_str() {
            "grid" => {
                self.refuse_large("floating and screen-share")?;
                Template::Grid
            }
            "floating" => {
                self.refuse_side()?;
                Template::Floating { large: large() }
            }
            "screen-share" => {
                let side = if self.side == Some(Side::Right) { LargeSide::Right } else { LargeSide::Left };
                Template::ScreenShare { large: large(), side }
            }
            file => {
                self.refuse_large("floating and screen-share (a file says MaxResolutionUserId)")?;
                return self.read(file);
            }
        };
        Ok(LayoutParams::new(template))
    }

    fn refuse_large(&self, with: &'static str) -> Result<(), PreviewError> {
        if self.large.is_some() {
            return Err(PreviewError::Useless { option: "--large", with, layout: self.layout.clone() });
        }
        self.refuse_side()
    }

    fn refuse_side(&self) -> Result<(), PreviewError> {
        if self.side.is_some() {
            let with = "screen-share (a file says MaxResolutionUserAlign)";
            return Err(PreviewError::Useless { option: "--side", with, layout: self.layout.clone() });
        }
        Ok(())
    }

    fn read(&self, file: &str) -> Result<LayoutParams, PreviewError> {
        let name = || self.layout.clone();
        let text =
            std::fs::read(Path::new(file)).map_err(|source| PreviewError::Layout { name: name(), source })?;
        serde_json::from_slice(&text).map_err(|source| PreviewError::Params { name: name(), source })
    }

    /// What a sheet is called.
    pub(crate) fn title(&self) -> String {
        let side = if self.side == Some(Side::Right) { ", large window on the right" } else { "" };
        let name = Path::new(&self.layout)
            .file_name()
            .map_or(&*self.layout, |name| name.to_str().unwrap_or("layout"));
        format!("{name}{side}, {}", self.canvas)
    }
}

fn parse_canvas(text: &str) -> Result<Size, String> {
    let size = text.split_once('x').and_then(|(w, h)| Size::new(w.parse().ok()?, h.parse().ok()?));
    let fits = |side: u32| side <= MAX_CANVAS_SIDE && side.is_multiple_of(2);
    match size {
        Some(size) if fits(size.width()) && fits(size.height()) => Ok(size),
        Some(_) => Err(format!("both sides have to be even and at most {MAX_CANVAS_SIDE}")),
        None => Err("a canvas is written WIDTHxHEIGHT, such as 1280x720".to_owned()),
    }
}
