//! What the tests of the recorder crates share: small valid streams made in Rust, requests of the recording API, hostile
//! timelines, a check of HLS output against RFC 8216, flashes and beeps, golden files, servers on the loopback interface, the
//! suite that every bucket passes, a disk whose power can be cut, and FFmpeg where it is installed.
//!
//! Everything that is made is the same on every machine for the same arguments. Only [`media`], [`golden`], [`servers`]
//! and [`ffmpeg`] touch the disk or start programs; what they do not find they say on standard output, as `skipped: …`.
//!
//! ```
//! use recorder_testkit::{aac, h264};
//! use recorder_types::Size;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut camera = h264::Pictures::new(Size::new(320, 180).ok_or("zero")?)?;
//! let key_frame = camera.idr(96);
//! let next = camera.repeat();
//! assert!(next.len() < 20 && key_frame.starts_with(&[0, 0, 0, 1, 9]));
//! assert_eq!(aac::silent_frame(aac::Layout::Stereo).len(), 6);
//! # Ok(())
//! # }
//! ```
// Panics and prints are what a test wants of its helpers; that they do is told where they do.
#![allow(clippy::print_stdout)]

pub mod aac;
pub mod api_json;
mod bits;
pub mod disk;
pub mod ffmpeg;
pub mod golden;
pub mod h264;
pub mod hls_rules;
pub mod hostile;
pub mod media;
pub mod servers;
pub mod storage_suite;
pub mod sync;

/// Longest that [`until`] waits: a process under test may have little of a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Waits until `wanted` gives something: what another process does, which nobody tells.
///
/// # Panics
/// After two minutes, with `what`.
#[track_caller]
pub fn until<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(got) = wanted() {
            return got;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
