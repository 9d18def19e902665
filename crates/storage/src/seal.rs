//! Secrets that lie on a disk: sealed with a key of the embedder's.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
/// More of a file than a key and some lines of white space is not read.
const MAX_FILE_BYTES: u64 = 4096;

/// What a bucket's address, with its keys, is sealed with in the journal of a task (XChaCha20-Poly1305). `Debug` does
/// not show it, and it is wiped when it is dropped.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key in a file: 64 hexadecimal digits, and white space around them if there is any.
    ///
    /// # Errors
    /// [`SealKeyFileError`]; it shows nothing of the file.
    pub fn read(file: &Path) -> Result<Self, SealKeyFileError> {
        let failed = |source| SealKeyFileError::Disk { path: file.to_owned(), source };
        let mut text = Zeroizing::new(String::new());
        File::open(file).map_err(failed)?.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        text.trim().parse().map_err(|source| SealKeyFileError::Key { path: file.to_owned(), source })
    }

    /// `secret` sealed for `context`, with a nonce of its own, as Base64. `None` where the system gives no random bytes.
    pub(crate) fn seal(&self, context: &str, secret: &str) -> Option<String> {
        let nonce = XNonce::try_generate().ok()?;
        let payload = Payload { msg: secret.as_bytes(), aad: context.as_bytes() };
        let sealed = self.cipher().encrypt(&nonce, payload).ok()?;
        Some(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// The inverse of [`SealKey::seal`]; `None` for another key, another context, or a changed text.
    pub(crate) fn open(&self, context: &str, sealed: &str) -> Option<Zeroizing<String>> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let secret = self.cipher().decrypt(&nonce, payload).ok()?;
        String::from_utf8(secret).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }
}

impl FromStr for SealKey {
    type Err = InvalidSealKey;

    /// 64 hexadecimal digits.
    fn from_str(s: &str) -> Result<Self, InvalidSealKey> {
        let mut bytes = Zeroizing::new([0; 32]);
        let digits = s.as_bytes();
        if digits.len() != 2 * bytes.len() {
            return Err(InvalidSealKey);
        }
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let &[high, low] = pair else { return Err(InvalidSealKey) };
            *byte = value(high).ok_or(InvalidSealKey)? << 4 | value(low).ok_or(InvalidSealKey)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey([redacted])")
    }
}

/// Why a text is no [`SealKey`]. It does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 64 hexadecimal digits")]
pub struct InvalidSealKey;

/// Why a file gives no [`SealKey`]: the operator has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealKeyFileError {
    /// It cannot be read.
    #[error("{}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is something else in it.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: InvalidSealKey,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        let key = SealKey::new([7; 32]);
        let sealed = key.seal("task01", "s3://b?secret_access_key=CANARY").unwrap();
        assert!(!sealed.contains("CANARY") && !format!("{key:?}").contains('7'));
        assert_eq!(key.open("task01", &sealed).unwrap().as_str(), "s3://b?secret_access_key=CANARY");
        assert_ne!(key.seal("task01", "x"), key.seal("task01", "x"), "each has a nonce of its own");
        assert!(key.open("task02", &sealed).is_none());
        assert!(SealKey::new([8; 32]).open("task01", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(key.open("task01", &changed).is_none(), "{at}");
        }
        for cut in 0..sealed.len() {
            assert!(key.open("task01", &sealed[..cut]).is_none());
        }
    }

    #[test]
    fn a_key_is_read_from_64_digits() {
        let key: SealKey =
            "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F".parse().unwrap();
        assert_eq!(*key.0, std::array::from_fn(|n| u8::try_from(n).unwrap()));
        for text in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<SealKey>().is_err(), "{text}");
        }
    }
}
