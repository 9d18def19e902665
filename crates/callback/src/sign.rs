use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use recorder_types::UnixMillis;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The secret that sender and receiver share: 1 to 32 of `a-z A-Z 0-9`.
///
/// It has no `Display` or `Serialize`, its `Debug` form hides it, and its memory is cleared when it goes.
#[derive(Clone)]
pub struct CallbackKey(Zeroizing<Box<str>>);

impl CallbackKey {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 32;
}

impl FromStr for CallbackKey {
    type Err = InvalidCallbackKey;

    fn from_str(s: &str) -> Result<Self, InvalidCallbackKey> {
        match s.bytes().position(|b| !b.is_ascii_alphanumeric()) {
            Some(at) => Err(InvalidCallbackKey::Byte { at }),
            None if !(1..=Self::MAX_BYTES).contains(&s.len()) => {
                Err(InvalidCallbackKey::Length { len: s.len() })
            }
            None => Ok(Self(Zeroizing::new(s.into()))),
        }
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey([redacted])")
    }
}

/// Why a text is no [`CallbackKey`]. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCallbackKey {
    /// A byte outside the alphabet.
    #[error("a callback key is made of a-z A-Z 0-9; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty, which would sign with what everybody knows, or too long.
    #[error("a callback key has 1 to 32 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
}

/// The `Sign` header of `body`: Base64 (standard, padded) of its HMAC-SHA256 under `key`.
///
/// # Specification
/// `callbacks.md` section 2.
#[must_use]
pub fn sign(key: &CallbackKey, body: &[u8]) -> String {
    sign_with(key.0.as_bytes(), body)
}

fn sign_with(key: &[u8], body: &[u8]) -> String {
    STANDARD.encode(mac(key, body).finalize().into_bytes())
}

fn mac(key: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(body);
    mac
}

/// Whether `header`, the received `Sign`, belongs to the raw bytes of `body` under one of `keys`.
///
/// Several keys serve while one replaces another. Every key is tried, each in time that does not depend on where the
/// signature differs. The body must be as it was received: read and written again it is another one.
///
/// # Errors
/// [`VerifyError`] for anything but a match; without keys nothing matches.
pub fn verify(keys: &[CallbackKey], body: &[u8], header: &str) -> Result<(), VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKeys);
    }
    let tag = STANDARD.decode(header).map_err(|_| VerifyError::Malformed)?;
    if tag.len() != 32 {
        return Err(VerifyError::Malformed);
    }
    let matches = keys.iter().fold(false, |matched, key| {
        let this = mac(key.0.as_bytes(), body).verify_slice(&tag).is_ok(); // constant-time
        matched | this
    });
    if matches { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// As [`verify`], and `CallbackTs` may be at most `max_age` before or after `now`: an old message that someone
/// recorded and sends again is refused.
///
/// The last retry of an honest message starts 60 s after `CallbackTs`, so that `max_age` is best two minutes or more.
/// Within that time [`crate::Event::dedup_key`] finds repeats.
///
/// # Errors
/// [`VerifyError`] for a signature that does not match, and after that for the age.
pub fn verify_fresh(
    keys: &[CallbackKey],
    body: &[u8],
    header: &str,
    now: UnixMillis,
    max_age: Duration,
) -> Result<(), VerifyError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Sent {
        callback_ts: u64,
    }

    verify(keys, body, header)?;
    let sent: Sent = serde_json::from_slice(body).map_err(|_| VerifyError::NoTime)?;
    let off = Duration::from_millis(now.get().abs_diff(sent.callback_ts));
    if off <= max_age { Ok(()) } else { Err(VerifyError::Stale { off }) }
}

/// Why a received callback is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The caller gave no key.
    #[error("no key to verify with")]
    NoKeys,
    /// The header is not 32 bytes in Base64.
    #[error("the signature is not 32 bytes in Base64")]
    Malformed,
    /// The body was signed with another key, or changed on the way.
    #[error("the signature does not belong to this body")]
    Mismatch,
    /// The body is signed but has no `CallbackTs`.
    #[error("the body has no CallbackTs")]
    NoTime,
    /// The message was sent too long ago, or its clock and ours differ.
    #[error("CallbackTs is {off:?} off")]
    Stale {
        /// How far `CallbackTs` is from now, either way.
        off: Duration,
    },
}

#[cfg(test)]
mod tests;
