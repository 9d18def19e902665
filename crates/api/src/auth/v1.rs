use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use recorder_types::UnixMillis;
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::tc3::check_id;
use super::{AuthError, check_age, seconds};
use crate::{Secret, form};

/// Hash of the old signature (`SignatureMethod`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormMethod {
    /// `HmacSHA1`, also where the parameter is absent.
    HmacSha1,
    /// `HmacSHA256`.
    HmacSha256,
}

/// The old signature: a parameter among the others, which travel form-encoded in a query or a body.
///
/// `Nonce` is signed but not remembered: the same call can be sent again for five minutes.
///
/// # Specification
/// `trtc-api.md` section 8.3.
#[derive(Clone)]
pub struct FormSignature {
    /// All parameters but `Signature`, sorted.
    pairs: form::Pairs,
    secret_id: Box<str>,
    method: FormMethod,
    timestamp: u64,
    signature: Vec<u8>,
}

impl std::fmt::Debug for FormSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormSignature")
            .field("secret_id", &self.secret_id)
            .field("method", &self.method)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl FormSignature {
    /// `Signature` of form-encoded parameters. `http_method` is `GET` or `POST`, `host` as in the header.
    ///
    /// # Errors
    /// [`AuthError`] if the parameters cannot be read, one is there twice, or `Signature` is already among them.
    pub fn sign(http_method: &str, host: &str, params: &str, key: &Secret) -> Result<String, AuthError> {
        let pairs = read(params)?;
        if value(&pairs, "Signature").is_some() {
            return Err(AuthError::Malformed("Signature is already there"));
        }
        let method = method(&pairs)?;
        let text = text(http_method, host, &pairs);
        Ok(STANDARD.encode(match method {
            FormMethod::HmacSha1 => keyed::<Hmac<Sha1>>(key, &text).finalize().into_bytes().to_vec(),
            FormMethod::HmacSha256 => keyed::<Hmac<Sha256>>(key, &text).finalize().into_bytes().to_vec(),
        }))
    }

    /// Reads the parameters of a call: its query or its body.
    ///
    /// # Errors
    /// [`AuthError`] if they cannot be read, one is there twice, or one of the signature's is missing.
    pub fn parse(params: &str) -> Result<Self, AuthError> {
        let mut pairs = read(params)?;
        let id = value(&pairs, "SecretId").ok_or(AuthError::Missing("SecretId"))?;
        check_id(id)?;
        let secret_id = Box::from(id);
        let timestamp = value(&pairs, "Timestamp").ok_or(AuthError::Missing("Timestamp"))?;
        let timestamp = seconds(timestamp).ok_or(AuthError::Malformed("Timestamp is not a number"))?;
        let method = method(&pairs)?;
        let signature = value(&pairs, "Signature").ok_or(AuthError::Missing("Signature"))?;
        let signature =
            STANDARD.decode(signature).map_err(|_| AuthError::Malformed("Signature is not Base64"))?;
        pairs.retain(|(name, _)| name.as_str() != "Signature");
        Ok(Self { pairs, secret_id, method, timestamp, signature })
    }

    /// Whose key it was signed with.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Which hash.
    #[must_use]
    pub const fn method(&self) -> FormMethod {
        self.method
    }

    /// A parameter of the call, for example `Action` or `Version`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        value(&self.pairs, name)
    }

    /// Whether the call was signed with `key`; compared in time that does not depend on where it differs.
    ///
    /// # Errors
    /// [`AuthError::Expired`] if `Timestamp` is more than five minutes from `now`; then [`AuthError::Mismatch`].
    pub fn verify(
        &self,
        http_method: &str,
        host: &str,
        key: &Secret,
        now: UnixMillis,
    ) -> Result<(), AuthError> {
        check_age(self.timestamp, now)?;
        let text = text(http_method, host, &self.pairs);
        match self.method {
            FormMethod::HmacSha1 => keyed::<Hmac<Sha1>>(key, &text).verify_slice(&self.signature),
            FormMethod::HmacSha256 => keyed::<Hmac<Sha256>>(key, &text).verify_slice(&self.signature),
        }
        .map_err(|_| AuthError::Mismatch)
    }
}

/// The pairs, sorted by name.
fn read(params: &str) -> Result<form::Pairs, AuthError> {
    let mut pairs =
        form::pairs(params).map_err(|_| AuthError::Malformed("the parameters are not form-encoded"))?;
    pairs.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    match pairs.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        true => Err(AuthError::Malformed("a parameter is given twice")),
        false => Ok(pairs),
    }
}

fn value<'a>(pairs: &'a form::Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other.as_str() == name).map(|(_, value)| value.as_str())
}

fn method(pairs: &form::Pairs) -> Result<FormMethod, AuthError> {
    match value(pairs, "SignatureMethod") {
        None | Some("HmacSHA1") => Ok(FormMethod::HmacSha1),
        Some("HmacSHA256") => Ok(FormMethod::HmacSha256),
        Some(_) => Err(AuthError::Malformed("SignatureMethod is neither HmacSHA1 nor HmacSHA256")),
    }
}

fn text(http_method: &str, host: &str, pairs: &form::Pairs) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{http_method}{host}/?"));
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

fn keyed<M: Mac + hmac::KeyInit>(key: &Secret, text: &str) -> M {
    let mut mac = <M as hmac::KeyInit>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
    const PARAMS: &str = "Action=DeleteCloudRecording&Nonce=11886&Region=ap-singapore&SdkAppId=1400188366&\
        SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&TaskId=t1&Timestamp=1551113065&Version=2019-07-22";

    #[test]
    fn both_vectors() {
        for (method, signature) in [
            ("HmacSHA256", "0CJHxuwp93/DrQVK5ZL730bGufFtcRxDxk+6B5kyAsU="),
            ("HmacSHA1", "1NpjGKV1G/L9BkfkKsITOJk3Tug="),
        ] {
            let params = format!("{PARAMS}&SignatureMethod={method}");
            let key = Secret::new(KEY);
            assert_eq!(FormSignature::sign("POST", "127.0.0.1:8080", &params, &key).unwrap(), signature);
            let encoded = signature.replace('+', "%2B").replace('/', "%2f");
            let signed = format!("Signature={encoded}&{params}");
            let parsed = FormSignature::parse(&signed).unwrap();
            let at = |seconds: u64| UnixMillis::new(seconds * 1000).unwrap();
            assert_eq!(parsed.verify("POST", "127.0.0.1:8080", &key, at(1_551_113_065 + 300)), Ok(()));
            assert_eq!(parsed.verify("POST", "127.0.0.1:8080", &key, at(1_551_113_065 - 300)), Ok(()));
            for off in [1_551_113_065 + 301, 1_551_113_065 - 301] {
                let late = parsed.verify("POST", "127.0.0.1:8080", &key, at(off));
                assert_eq!(late, Err(AuthError::Expired { off_seconds: 301 }));
            }
            let now = at(1_551_113_065);
            assert_eq!(parsed.verify("GET", "127.0.0.1:8080", &key, now), Err(AuthError::Mismatch));
            assert_eq!(parsed.verify("POST", "127.0.0.1:8081", &key, now), Err(AuthError::Mismatch));
            let other = Secret::new("other");
            assert_eq!(parsed.verify("POST", "127.0.0.1:8080", &other, now), Err(AuthError::Mismatch));
            let changed = FormSignature::parse(&signed.replace("TaskId=t1", "TaskId=t2")).unwrap();
            assert_eq!(changed.verify("POST", "127.0.0.1:8080", &key, now), Err(AuthError::Mismatch));
        }
    }

    #[test]
    fn what_is_not_a_signed_form_is_refused() {
        let signed = |more: &str| format!("SecretId=a&Timestamp=1&Signature=AA==&{more}");
        for (text, error) in [
            ("".to_owned(), AuthError::Missing("SecretId")),
            (signed("SecretId=b"), AuthError::Malformed("a parameter is given twice")),
            (signed("x=%"), AuthError::Malformed("the parameters are not form-encoded")),
            (
                signed("SignatureMethod=TC3"),
                AuthError::Malformed("SignatureMethod is neither HmacSHA1 nor HmacSHA256"),
            ),
            ("SecretId=a%2Fb&Timestamp=1".to_owned(), AuthError::InvalidSecretId),
            (
                "SecretId=a&Timestamp=-1&Signature=".to_owned(),
                AuthError::Malformed("Timestamp is not a number"),
            ),
            (
                "SecretId=a&Timestamp=1&Signature=%21".to_owned(),
                AuthError::Malformed("Signature is not Base64"),
            ),
            ("SecretId=a&Timestamp=1".to_owned(), AuthError::Missing("Signature")),
        ] {
            assert_eq!(FormSignature::parse(&text).err(), Some(error), "{text}");
        }
        let parsed = FormSignature::parse(&signed("UserSig=s3cret")).unwrap();
        assert!(!format!("{parsed:?}").contains("s3cret"));
    }
}
