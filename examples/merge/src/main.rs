//! Merges a folder of single-stream recordings into playable MP4, without Python and FFmpeg: `merge --help`.
//!
//! ```text
//! cargo run --release -p merge -- -f recordings/TASK -m 1 -o merged
//! cargo run --release -p merge -- -f recordings/TASK --dry-run
//! ```

mod args;
mod place;
mod run;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    match run::run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::from(2)
        }
    }
}

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
