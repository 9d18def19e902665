use hmac::{Hmac, KeyInit as _, Mac as _};
use recorder_types::UnixMillis;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{AuthError, check_age, seconds};
use crate::Secret;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const END_OF_SCOPE: &str = "tc3_request";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A header as it was sent: the name in any case, the value as text.
#[derive(Clone, Copy, Debug)]
pub struct SignedHeader<'a> {
    /// `Content-Type`.
    pub name: &'a str,
    /// `application/json`.
    pub value: &'a str,
}

/// A call as its signature sees it. The path is always `/`.
///
/// ```
/// use recorder_api::{Authorization, ScopedRequest, Secret, SignedHeader};
/// use recorder_types::UnixMillis;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let headers = [
///     SignedHeader { name: "Content-Type", value: "application/json" },
///     SignedHeader { name: "Host", value: "127.0.0.1:8080" },
/// ];
/// let call = ScopedRequest::post("trtc", &headers, br#"{"SdkAppId": 1400188366, "TaskId": "t1"}"#);
/// let key = Secret::new("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE");
/// let header = Authorization::sign(&call, "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", &key, 1_551_113_065)?;
///
/// // The receiver looks the key up by its id.
/// let received = Authorization::parse(&header)?;
/// assert_eq!(received.secret_id(), "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE");
/// let now = UnixMillis::new(1_551_113_100_000).ok_or("after 9999")?;
/// received.verify(&call, "1551113065", &key, now)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScopedRequest<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Product of the scope, `trtc`.
    pub service: &'a str,
    /// Of a `GET`, as it was sent, without the question mark; empty for a `POST`.
    pub query: &'a str,
    /// All headers, in any order; no two of one name may be among the signed ones.
    pub headers: &'a [SignedHeader<'a>],
    /// Of a `POST`; that of a `GET` is not signed.
    pub body: &'a [u8],
}

impl<'a> ScopedRequest<'a> {
    /// A `POST`.
    #[must_use]
    pub const fn post(service: &'a str, headers: &'a [SignedHeader<'a>], body: &'a [u8]) -> Self {
        Self { method: "POST", service, query: "", headers, body }
    }

    /// A `GET`.
    #[must_use]
    pub const fn get(service: &'a str, headers: &'a [SignedHeader<'a>], query: &'a str) -> Self {
        Self { method: "GET", service, query, headers, body: &[] }
    }

    fn header(&self, name: &str) -> Result<Option<&'a str>, AuthError> {
        let mut found = self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = found.next();
        match found.next() {
            Some(_) => Err(AuthError::Malformed("a signed header is given twice")),
            None => Ok(first.map(|header| header.value)),
        }
    }

    /// Hexadecimal SHA-256 of the canonical request. `as_sent` leaves the case of values alone.
    fn canonical_hash(&self, signed_headers: &str, as_sent: bool) -> Result<String, AuthError> {
        let mut text = format!("{}\n/\n{}\n", self.method, self.query);
        for name in signed_headers.split(';') {
            let value = self.header(name)?.ok_or(AuthError::Malformed("a signed header is not there"))?;
            let value = value.trim();
            if value.contains(['\r', '\n']) {
                return Err(AuthError::Malformed("a signed header has a line break"));
            }
            text.push_str(name);
            text.push(':');
            if as_sent {
                text.push_str(value)
            } else {
                text.push_str(&value.to_lowercase())
            }
            text.push('\n');
        }
        let unsigned = self.header("x-tc-content-sha256")? == Some(UNSIGNED);
        let payload = match (unsigned, self.method) {
            (true, _) => UNSIGNED.as_bytes(),
            (false, "GET") => &[],
            (false, _) => self.body,
        };
        text.push('\n');
        text.push_str(signed_headers);
        text.push('\n');
        text.push_str(&hex(&Sha256::digest(payload)));
        Ok(hex(&Sha256::digest(text.as_bytes())))
    }

    fn has_upper_case(&self, signed_headers: &str) -> bool {
        let upper =
            |name: &str| self.header(name).ok().flatten().is_some_and(|value| value.to_lowercase() != *value);
        signed_headers.split(';').any(upper)
    }
}

/// The `Authorization` header of the third signature.
///
/// It covers method, query, body and the headers that it names. Official SDKs name `content-type` and `host` alone: the
/// action, the region and a token are not covered then. The same call can be sent again for five minutes.
///
/// # Specification
/// `trtc-api.md` section 8.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    secret_id: Box<str>,
    date: Box<str>,
    service: Box<str>,
    signed_headers: Box<str>,
    signature: [u8; 32],
}

impl Authorization {
    /// Makes the header's value. Signs `content-type`, `host`, and `x-tc-action` if it is among the headers.
    ///
    /// # Errors
    /// [`AuthError`] if `content-type` or `host` is missing, a signed header is there twice, the id is not one, or the
    /// time, in Unix seconds, is after the year 9999.
    pub fn sign(
        call: &ScopedRequest<'_>,
        secret_id: &str,
        key: &Secret,
        timestamp: u64,
    ) -> Result<String, AuthError> {
        check_id(secret_id)?;
        let signed_headers = match call.header("x-tc-action")? {
            Some(_) => "content-type;host;x-tc-action",
            None => "content-type;host",
        };
        let hash = call.canonical_hash(signed_headers, false)?;
        let date = date(timestamp)?;
        let service = call.service;
        let mac = mac(key, timestamp, &date, service, &hash);
        let signature = hex(&mac.finalize().into_bytes());
        Ok(format!(
            "{ALGORITHM} Credential={secret_id}/{date}/{service}/{END_OF_SCOPE}, SignedHeaders={signed_headers}, \
             Signature={signature}"
        ))
    }

    /// Reads the header's value.
    ///
    /// # Errors
    /// [`AuthError`] if it is not in the form, its headers are not sorted, or `content-type` or `host` is not among
    /// them.
    pub fn parse(header: &str) -> Result<Self, AuthError> {
        const MAX_BYTES: usize = 4096;
        let malformed = AuthError::Malformed;
        if header.len() > MAX_BYTES {
            return Err(malformed("the header is too long"));
        }
        let rest =
            header.trim().strip_prefix(ALGORITHM).ok_or(malformed("the algorithm is not TC3-HMAC-SHA256"))?;
        if !rest.starts_with([' ', '\t']) {
            return Err(malformed("the algorithm is not TC3-HMAC-SHA256"));
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(malformed("a part has no value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed("a part is not known")),
            };
            if slot.replace(value).is_some() {
                return Err(malformed("a part is given twice"));
            }
        }
        let credential = credential.ok_or(AuthError::Missing("Credential"))?;
        let signed_headers = signed_headers.ok_or(AuthError::Missing("SignedHeaders"))?;
        let signature = signature.ok_or(AuthError::Missing("Signature"))?;

        let mut parts = credential.split('/');
        let (Some(secret_id), Some(date), Some(service), Some(END_OF_SCOPE), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the credential is not id/date/service/tc3_request"));
        };
        check_id(secret_id)?;
        let name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let names: Vec<&str> = signed_headers.split(';').collect();
        if !names.iter().all(|name| !name.is_empty() && name.bytes().all(name_byte)) {
            return Err(malformed("a name in SignedHeaders is not in lower case"));
        }
        if !names.is_sorted_by(|a, b| a < b) {
            return Err(malformed("SignedHeaders is not sorted"));
        }
        if !["content-type", "host"].iter().all(|name| names.contains(name)) {
            return Err(malformed("content-type and host have to be signed"));
        }
        Ok(Self {
            secret_id: secret_id.into(),
            date: date.into(),
            service: service.into(),
            signed_headers: signed_headers.into(),
            signature: unhex(signature)
                .ok_or(malformed("Signature is not 64 hexadecimal digits in lower case"))?,
        })
    }

    /// Whose key it was signed with: 1 to 128 of `A-Z a-z 0-9 - _`.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Names of the signed headers, in lower case, joined with `;`.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }

    /// Whether the call was signed with `key`. `timestamp` is its `X-TC-Timestamp`.
    ///
    /// The signature is compared in time that does not depend on where it differs. Header values are lowered, as the
    /// rules say, and also tried as they were sent: the Python SDK signs a host in capitals as it is.
    ///
    /// # Errors
    /// [`AuthError::Expired`] if the timestamp is more than five minutes from `now`, whatever the signature; then
    /// [`AuthError::Mismatch`] and what is wrong with the form.
    pub fn verify(
        &self,
        call: &ScopedRequest<'_>,
        timestamp: &str,
        key: &Secret,
        now: UnixMillis,
    ) -> Result<(), AuthError> {
        let timestamp = seconds(timestamp).ok_or(AuthError::Malformed("X-TC-Timestamp is not a number"))?;
        check_age(timestamp, now)?;
        if *self.date != *date(timestamp)? {
            return Err(AuthError::Malformed("the date is not that of the timestamp"));
        }
        if *self.service != *call.service {
            return Err(AuthError::Malformed("the service is another"));
        }
        let matches = |as_sent: bool| {
            let hash = call.canonical_hash(&self.signed_headers, as_sent)?;
            let mac = mac(key, timestamp, &self.date, &self.service, &hash);
            Ok(mac.verify_slice(&self.signature).is_ok()) // constant-time
        };
        if matches(false)? || (call.has_upper_case(&self.signed_headers) && matches(true)?) {
            Ok(())
        } else {
            Err(AuthError::Mismatch)
        }
    }
}

/// An id of a key goes into headers and logs.
pub(super) fn check_id(id: &str) -> Result<(), AuthError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if (1..=128).contains(&id.len()) && id.bytes().all(allowed) {
        Ok(())
    } else {
        Err(AuthError::InvalidSecretId)
    }
}

/// `YYYY-MM-DD` in UTC.
fn date(timestamp: u64) -> Result<String, AuthError> {
    let at = timestamp.checked_mul(1000).and_then(UnixMillis::new);
    let digits = at.ok_or(AuthError::Malformed("the timestamp is after the year 9999"))?.utc_digits();
    let part = |range: std::ops::Range<usize>| digits.get(range).expect("17 digits");
    Ok(format!("{}-{}-{}", part(0..4), part(4..6), part(6..8)))
}

/// The signature before it is taken: of the string to sign, under the key of this day and service.
fn mac(key: &Secret, timestamp: u64, date: &str, service: &str, canonical_hash: &str) -> Hmac<Sha256> {
    let start = Zeroizing::new(format!("TC3{}", key.expose()));
    let mut key = Zeroizing::new(step(start.as_bytes(), date));
    for part in [service, END_OF_SCOPE] {
        key = Zeroizing::new(step(&*key, part));
    }
    let text = format!("{ALGORITHM}\n{timestamp}\n{date}/{service}/{END_OF_SCOPE}\n{canonical_hash}");
    keyed(&*key, &text)
}

fn step(key: &[u8], text: &str) -> [u8; 32] {
    keyed(key, text).finalize().into_bytes().into()
}

fn keyed(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// 64 digits in lower case.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
