//! Draws the windows of a mixed layout, numbered and named, as SVG or PNG: `layout-preview --help`.
//!
//! ```text
//! cargo run -p layout-preview -- --layout grid --count 7 -o grid.svg
//! cargo run -p layout-preview -- --layout screen-share --large screen --sheet -o all.png
//! cargo run -p layout-preview -- --layout FILE.json --canvas 1920x1080 --users alice,bob -o room.png
//! ```

mod args;
mod drawing;
mod error;
mod png_file;
mod preview;
mod room;
mod svg;

use std::process::ExitCode;

use clap::Parser;
use recorder_types::with_causes;

use crate::args::{Args, Format};
use crate::error::PreviewError;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), PreviewError> {
    let format = args.format()?;
    let params = args.params()?;
    let font = recorder_compositor::Font::bundled();
    let room = room::Room { params: &params, canvas: args.canvas, users: &args.users };
    let drawing = if args.sheet {
        let counts = 0..=room.largest_count();
        preview::sheet(&room, &args.title(), counts, &font)?
    } else {
        preview::single(&room, room.count(args.count), &font)?
    };
    let file = match format {
        Format::Svg => svg::write(&drawing).into_bytes(),
        Format::Png => png_file::write(&drawing, &font)?,
    };
    std::fs::write(&args.output, file)
        .map_err(|source| PreviewError::Write { path: args.output.clone(), source })
}
