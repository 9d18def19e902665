//! Options of programs that mix: canvas, rates, layout and watermarks, as command-line arguments.
//!
//! ```
//! use clap::Parser;
//! use recorder::MixOptions;
//! use recorder_mix_args::MixArgs;
//!
//! #[derive(Parser)]
//! struct Args {
//!     #[command(flatten)]
//!     mix: MixArgs,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let args = Args::parse_from(["program", "--canvas", "640x360", "--layout", "floating"]);
//! let options = args.mix.options(MixOptions::default())?;
//! assert_eq!((options.video.size.width(), options.video.fps), (640, 15));
//! # Ok(())
//! # }
//! ```

mod args;

pub use args::MixArgs;
