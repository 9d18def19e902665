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
use recorder_types::with_causes;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    match run::run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}
