//! Records a room of media files, or of simulated people, as the TRTC on-cloud recorder would: `record --help`.
//!
//! ```text
//! cargo run --release -p record
//! cargo run --release -p record -- --participant alice=camera.mp4 --participant bob=voice.opus,join=2.5
//! cargo run --release -p record -- --mode mixed --layout floating --canvas 1280x720 --watermark time=top-right
//! cargo run --release -p record -- --recover recordings/.recorder-spool
//! ```

mod args;
mod recover;
mod room;
mod session;
mod table;
mod vod;

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
    let result = runtime.block_on(async {
        match &args.recover {
            Some(spool) => recover::recover(&args, spool).await,
            None => room::record(&args).await,
        }
    });
    // What is still on its way to a bucket that does not answer stays in the spool.
    runtime.shutdown_background();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}
