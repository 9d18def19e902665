//! A server of the recording API, for clients of the TRTC on-cloud recorder: `server --help`.
//!
//! ```text
//! echo '{"AKIDexample": {"SecretKey": "example", "SdkAppIds": [1400000001]}}' > keys.json
//! cargo run --release -p server -- --keys keys.json --spool spool --storage-override out --control
//! ```

mod api;
mod args;
mod board;
mod connections;
mod control;
mod keys;
mod limit;
mod metrics;
mod rooms;
mod server;
mod templates;
mod ui;
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
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(server::run(&args));
    // What is still on its way to a bucket that does not answer stays in the spool.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}
