//! Makes the mixed recording of a room from the single-stream recordings of its participants: `compose --help`.
//!
//! ```text
//! cargo run --release -p record -- --timeline --task-id room --out recordings
//! cargo run --release -p compose -- recordings/room/1400000001_1001.timeline.jsonl --layout floating -o mixed
//! ```

mod args;
mod compose;
mod images;
mod timeline;
mod track;

use std::process::ExitCode;

use clap::Parser;
use recorder::types::with_causes;
use tracing_subscriber::EnvFilter;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(compose::compose(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}
