use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use recorder_types::{SdkAppId, UnixMillis, UserId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{ErrorCode, Secret};

/// Longest text that is read, in bytes, and longest JSON in it. Ours: ids have at most 1024 bytes.
const MAX_TEXT: usize = 8192;
const MAX_JSON: usize = 16_384;

/// Who may enter a room, by the key of an application (TLSSigAPIv2).
///
/// ```
/// use recorder_api::{Secret, UserSig};
/// use recorder_types::{SdkAppId, UnixMillis};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (key, app, robot) = (Secret::new("example-secret-key"), SdkAppId::new(1_400_000_001), "recorder_1".parse()?);
/// let sig = UserSig::new(app, robot, 1_700_000_000, 86_400).encode(&key);
///
/// let now = UnixMillis::new(1_700_000_100_000).ok_or("after 9999")?;
/// UserSig::decode(&sig)?.verify(app, &"recorder_1".parse()?, &key, now)?;
/// # Ok(())
/// # }
/// ```
///
/// # Specification
/// `trtc-api.md` section 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSig {
    app: SdkAppId,
    user: UserId,
    issued: u64,
    valid_for: u64,
    user_buffer: Option<Secret>,
    signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(rename = "TLS.ver")]
    version: String,
    #[serde(rename = "TLS.identifier")]
    identifier: String,
    #[serde(rename = "TLS.sdkappid")]
    app: u32,
    #[serde(rename = "TLS.expire")]
    expire: u64,
    #[serde(rename = "TLS.time")]
    time: u64,
    #[serde(rename = "TLS.userbuf", default, skip_serializing_if = "Option::is_none")]
    user_buffer: Option<Secret>,
    #[serde(rename = "TLS.sig")]
    signature: Secret,
}

impl UserSig {
    /// A signature that is still to be made: issued at a Unix second, valid for so many seconds.
    #[must_use]
    pub const fn new(app: SdkAppId, user: UserId, issued: u64, valid_for: u64) -> Self {
        Self { app, user, issued, valid_for, user_buffer: None, signature: Vec::new() }
    }

    /// Adds a user buffer, in Base64 as it is signed.
    #[must_use]
    pub fn with_user_buffer(mut self, base64: Secret) -> Self {
        self.user_buffer = Some(base64);
        self
    }

    /// Application.
    #[must_use]
    pub const fn app(&self) -> SdkAppId {
        self.app
    }

    /// User.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// Unix second of issue.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.issued
    }

    /// Seconds of validity.
    #[must_use]
    pub const fn valid_for(&self) -> u64 {
        self.valid_for
    }

    /// Signs, packs and encodes it. Two implementations pack differently: the text is not for comparing.
    #[must_use]
    pub fn encode(&self, key: &Secret) -> Secret {
        let json = Json {
            version: "2.0".to_owned(),
            identifier: self.user.as_str().to_owned(),
            app: self.app.get(),
            expire: self.valid_for,
            time: self.issued,
            user_buffer: self.user_buffer.clone(),
            signature: Secret::new(STANDARD.encode(self.mac(key).finalize().into_bytes())),
        };
        let json = Zeroizing::new(serde_json::to_vec(&json).expect("texts and numbers, which JSON can hold"));
        let packed = Zeroizing::new(compress_to_vec_zlib(&json, 6));
        Secret::new(STANDARD.encode(&*packed).replace('+', "*").replace('/', "-").replace('=', "_"))
    }

    /// Unpacks it; [`Self::verify`] says whether it is right.
    ///
    /// # Errors
    /// [`UserSigError::Malformed`] if it is not in the form; over 8 KiB, or 16 KiB unpacked, it is not.
    pub fn decode(text: &Secret) -> Result<Self, UserSigError> {
        let text = text.expose();
        if text.len() > MAX_TEXT || text.contains(['+', '/', '=']) {
            return Err(UserSigError::Malformed);
        }
        let base64 = Zeroizing::new(text.replace('*', "+").replace('-', "/").replace('_', "="));
        let packed = Zeroizing::new(STANDARD.decode(base64.as_bytes()).map_err(|_| UserSigError::Malformed)?);
        let json =
            decompress_to_vec_zlib_with_limit(&packed, MAX_JSON).map_err(|_| UserSigError::Malformed)?;
        let json: Json =
            serde_json::from_slice(&Zeroizing::new(json)).map_err(|_| UserSigError::Malformed)?;
        if json.version != "2.0" {
            return Err(UserSigError::Malformed);
        }
        Ok(Self {
            app: SdkAppId::new(json.app),
            user: json.identifier.parse().map_err(|_| UserSigError::Malformed)?,
            issued: json.time,
            valid_for: json.expire,
            user_buffer: json.user_buffer,
            signature: STANDARD.decode(json.signature.expose()).map_err(|_| UserSigError::Malformed)?,
        })
    }

    /// Whether it lets `user` into rooms of `app` now. Compared in time that does not depend on where it differs.
    ///
    /// One that is issued in the future is taken: only its end is looked at.
    ///
    /// # Errors
    /// [`UserSigError`]; first of all whether the key fits.
    pub fn verify(
        &self,
        app: SdkAppId,
        user: &UserId,
        key: &Secret,
        now: UnixMillis,
    ) -> Result<(), UserSigError> {
        self.mac(key).verify_slice(&self.signature).map_err(|_| UserSigError::Mismatch)?;
        if self.app != app || self.user != *user {
            return Err(UserSigError::Other);
        }
        if now.seconds() >= self.issued.saturating_add(self.valid_for) {
            return Err(UserSigError::Expired);
        }
        Ok(())
    }

    fn mac(&self, key: &Secret) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of every length");
        let Self { app, user, issued, valid_for, .. } = self;
        mac.update(
            format!("TLS.identifier:{user}\nTLS.sdkappid:{app}\nTLS.time:{issued}\nTLS.expire:{valid_for}\n")
                .as_bytes(),
        );
        if let Some(buffer) = &self.user_buffer {
            mac.update(b"TLS.userbuf:");
            mac.update(buffer.expose().as_bytes());
            mac.update(b"\n");
        }
        mac
    }
}

/// Why a `UserSig` does not let its user in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserSigError {
    /// Not in the form.
    #[error("UserSig cannot be read")]
    Malformed,
    /// Made with another key.
    #[error("UserSig was not made with the key of this application")]
    Mismatch,
    /// Made for another user or application.
    #[error("UserSig is another user's")]
    Other,
    /// Its time is over.
    #[error("UserSig has expired")]
    Expired,
}

impl UserSigError {
    /// `Error.Code` of the answer.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidParameterUserSig
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTOR: &str = "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkilKT84tSUoviDWHyxSnZiQUFmSlAWUMTAwgwhMqlVhRkFqUCZSzMgFJQwZLMXJCQoTlUMUy8ODMdZENSWnBhToBTRHmQa2FGSWpVVnpqkEGicYVhumWwa0aKa0Gpi5djfklJsZGrrVItAFzHNMw_";

    fn key() -> Secret {
        Secret::new("example-secret-key")
    }

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis::new(seconds * 1000).unwrap()
    }

    #[test]
    fn the_vector_is_read_and_made() {
        let (app, user) = (SdkAppId::new(1_400_000_001), "recorder_1".parse().unwrap());
        let sig = UserSig::decode(&Secret::new(VECTOR)).unwrap();
        assert_eq!(
            (sig.app(), sig.user(), sig.issued(), sig.valid_for()),
            (app, &user, 1_700_000_000, 86_400)
        );
        assert_eq!(STANDARD.encode(&sig.signature), "bfSqlPBXwREqhtezjgeR0a3x1g9SEhdEpuDJAotts2E=");
        assert_eq!(sig.verify(app, &user, &key(), at(1_700_086_399)), Ok(()));
        assert_eq!(sig.verify(app, &user, &key(), at(1_700_086_400)), Err(UserSigError::Expired));
        assert_eq!(sig.verify(app, &user, &Secret::new("x"), at(0)), Err(UserSigError::Mismatch));
        assert_eq!(sig.verify(SdkAppId::new(1), &user, &key(), at(0)), Err(UserSigError::Other));
        assert_eq!(sig.verify(app, &"robot".parse().unwrap(), &key(), at(0)), Err(UserSigError::Other));

        let made = UserSig::new(app, user, 1_700_000_000, 86_400).encode(&key());
        assert_eq!(UserSig::decode(&made).unwrap(), sig);
        assert!(!made.expose().contains(['+', '/', '=']));
    }

    #[test]
    fn a_small_text_does_not_unpack_into_a_large_one() {
        let bomb = STANDARD.encode(compress_to_vec_zlib(&vec![b' '; 10_000_000], 9));
        let bomb = bomb.replace('+', "*").replace('/', "-").replace('=', "_");
        assert_eq!(UserSig::decode(&Secret::new(bomb.get(..8000).unwrap())), Err(UserSigError::Malformed));
        let small = STANDARD
            .encode(compress_to_vec_zlib(&[b' '; 20_000], 9))
            .replace('+', "*")
            .replace('/', "-")
            .replace('=', "_");
        assert!(small.len() < 200);
        assert_eq!(UserSig::decode(&Secret::new(small)), Err(UserSigError::Malformed));
    }

    proptest! {
        #[test]
        fn what_is_made_is_read(user in "[^\\p{Cc}\u{2028}\u{2029}]{1,40}", app: u32, issued: u64, valid: u64, buffer in proptest::option::of("[A-Za-z0-9+/]{0,40}")) {
            let mut sig = UserSig::new(SdkAppId::new(app), user.parse().unwrap(), issued, valid);
            if let Some(buffer) = buffer {
                sig = sig.with_user_buffer(Secret::new(buffer));
            }
            let read = UserSig::decode(&sig.encode(&key())).unwrap();
            prop_assert_eq!((read.app(), read.user(), read.issued(), read.valid_for()), (sig.app(), sig.user(), issued, valid));
            prop_assert_eq!(&read.user_buffer, &sig.user_buffer);
            let verified = read.verify(sig.app(), sig.user(), &key(), at(0));
            prop_assert_eq!(verified, if issued.saturating_add(valid) == 0 { Err(UserSigError::Expired) } else { Ok(()) });
        }

        #[test]
        fn any_text_is_refused_or_read(text in "[A-Za-z0-9*_-]{0,200}|.{0,60}") {
            let _ = UserSig::decode(&Secret::new(text));
        }

        #[test]
        fn any_packed_bytes_are_refused_or_read(json in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = STANDARD.encode(compress_to_vec_zlib(&json, 1)).replace('+', "*").replace('/', "-").replace('=', "_");
            let _ = UserSig::decode(&Secret::new(text));
        }
    }
}
