//! HLS, TS and MP4 into each other without decoding anything: `remux --help`.
//!
//! ```text
//! cargo run --release -p remux -- recordings/TASK/name.m3u8 name.mp4
//! cargo run --release -p remux -- name.mp4 folder --segments fmp4
//! cargo run --release -p remux -- "s3://bucket/TASK/name.m3u8?region=…" name.mp4
//! ```

mod args;
mod chain;
mod error;
mod hls;
mod input;
mod movie;
mod movies;
mod output;
mod place;
mod report;
mod segments;

use std::process::ExitCode;

use clap::Parser;
use recorder_types::with_causes;

use crate::args::{Args, Target};
use crate::error::Failure;
use crate::input::{Input, Movies};
use crate::place::Place;
use crate::report::Report;

fn main() -> ExitCode {
    let mut args = Args::parse();
    let mut report = Report::new(args.quiet);
    let result = start(&mut args, &mut report);
    report.end();
    if let Err(error) = result {
        eprintln!("error: {}", with_causes(&error));
        return ExitCode::from(2);
    }
    if let Err(error) = report.print() {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Settles where input and output lie. What goes to a bucket is made on the disk first: it appears there whole.
fn start(args: &mut Args, report: &mut Report) -> Result<(), Failure> {
    let input = Place::of(&args.input).map_err(Failure::Address)?;
    let out = Place::of(&args.out).map_err(Failure::Address)?;
    if out.is_web() {
        return Err(Failure::ReadOnly { path: out.path().to_owned() });
    }
    if input.path() == out.path() || !out.is_remote() && output::is_same(input.path(), out.path()) {
        return Err(Failure::Same { path: out.path().to_owned() });
    }
    args.out = out.path().to_owned();
    if !out.is_remote() {
        return run(args, &input, report);
    }
    let folder = tempfile::tempdir().map_err(Failure::Temporary)?;
    args.out = folder.path().join(out.path().file_name().unwrap_or_default());
    run(args, &input, report)?;
    output::upload(folder.path(), &out, report)
}

fn run(args: &Args, input: &Place, report: &mut Report) -> Result<(), Failure> {
    let target = args.target()?;
    let input = Input::open(input, report)?;
    match (target, input) {
        (Target::Mp4, Input::Segments(list)) => segments::write(&list, &args.out, args.limits(), report),
        (Target::Aac, Input::Segments(list)) => segments::write_aac(&list, &args.out, args.limits(), report),
        (target, Input::Segments(list)) => {
            // As MP4 first, in the folder that the output goes to: there its time line is settled.
            let folder = output::staging(&args.out)?;
            let runs = segments::write_parts(&list, folder.path(), report)?;
            convert(target, &Movies::new(list.place.path(), runs, list.header, false), args, report)
        }
        (target, Input::Movies(movies)) => convert(target, &movies, args, report),
    }
}

fn convert(target: Target, movies: &Movies, args: &Args, report: &mut Report) -> Result<(), Failure> {
    match target {
        Target::Mp4 => movie::write(movies, &args.out, args.limits(), report),
        Target::Fmp4 => movie::write_fragments(movies, &args.out, report),
        Target::Hls => hls::write(movies, args, report),
        Target::Aac => movie::write_aac(movies, &args.out, args.limits(), report),
    }
}
