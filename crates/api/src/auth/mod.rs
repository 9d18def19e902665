//! Who calls: the two signatures of requests.

mod error;
mod tc3;
mod v1;

pub use error::AuthError;
pub use tc3::{Authorization, ScopedRequest, SignedHeader};
pub use v1::{FormMethod, FormSignature};

use recorder_types::UnixMillis;

/// How far the timestamp of a request may be from the server's clock, either way, in seconds.
pub const MAX_CLOCK_SKEW_SECONDS: u64 = 300;

/// Whether a timestamp is near enough to `now`, to the second; the five minutes are included.
fn check_age(timestamp: u64, now: UnixMillis) -> Result<(), AuthError> {
    let off = timestamp.abs_diff(now.seconds());
    if off > MAX_CLOCK_SKEW_SECONDS { Err(AuthError::Expired { off_seconds: off }) } else { Ok(()) }
}

/// Decimal digits alone: no sign, no spaces.
fn seconds(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
