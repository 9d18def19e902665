//! HLS, TS and MP4 into each other without decoding anything: `remux --help`.
//!
//! ```text
//! cargo run --release -p remux -- recordings/TASK/name.m3u8 name.mp4
//! cargo run --release -p remux -- name.mp4 folder --segments fmp4
//! ```

mod args;
mod chain;
mod error;
mod hls;
mod input;
mod movie;
mod movies;
mod output;
mod report;
mod segments;

use std::process::ExitCode;

use clap::Parser;
use recorder_types::with_causes;

use crate::args::{Args, Target};
use crate::error::Failure;
use crate::input::{Input, Movies};
use crate::report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut report = Report::new(args.quiet);
    let result = run(&args, &mut report);
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

fn run(args: &Args, report: &mut Report) -> Result<(), Failure> {
    let target = args.target()?;
    let input = Input::open(&args.input, report)?;
    if output::is_same(&args.input, &args.out) {
        return Err(Failure::Same { path: args.out.clone() });
    }
    match (target, input) {
        (Target::Mp4, Input::Segments(list)) => segments::write(&list, &args.out, args.limits(), report),
        (Target::Aac, Input::Segments(list)) => segments::write_aac(&list, &args.out, args.limits(), report),
        (target, Input::Segments(list)) => {
            // As MP4 first, in the folder that the output goes to: there its time line is settled.
            let folder = output::staging(&args.out)?;
            let runs = segments::write_parts(&list, folder.path(), report)?;
            convert(target, &Movies::new(&list.path, runs, list.header, false), args, report)
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
