use std::error::Error;
use std::fmt;
use std::io;

use crate::backend::Overdue;
use crate::key::ObjectKey;

/// Why a bucket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A text is no object key: the calling code has to change.
    #[error("object key `{key}`: {rule}")]
    InvalidKey {
        /// The text, escaped.
        key: Box<str>,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The address of the bucket is wrong: the configuration has to change.
    #[error("bucket address `{url}`: {reason}")]
    InvalidUrl {
        /// The address without its secrets.
        url: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The address is right, but this build cannot serve it: switch the feature on.
    #[error("`{scheme}` buckets need the feature `{feature}` of recorder-storage")]
    FeatureOff {
        /// Scheme of the address.
        scheme: Box<str>,
        /// The Cargo feature that serves it.
        feature: &'static str,
    },
    /// The address of a bucket was sealed with another key, or was changed: the operator has to give the right key, or the
    /// bucket itself.
    #[error("the key does not open the bucket's sealed address")]
    WrongSealKey,
    /// Whoever gives the keys of the bucket has none now: see there.
    #[error("there are no keys for the bucket")]
    NoKeys,
    /// An object of this name with other bytes is in the bucket and stays there: an earlier recording, or somebody
    /// else, uses the same names. The caller has to record under another task id or prefix.
    #[error("{key}: another recording is under this name, use another task id or prefix")]
    Conflict {
        /// The object.
        key: ObjectKey,
    },
    /// No such object.
    #[error("{key}: not found")]
    NotFound {
        /// The object.
        key: ObjectKey,
    },
    /// The store refused: keys, permissions, region, clock or the bucket's name have to be put right there.
    #[error("{key}: refused by the store: {vendor}")]
    Refused {
        /// The object.
        key: ObjectKey,
        /// What the store said.
        vendor: VendorError,
    },
    /// The store did not answer or had a passing trouble: asking again may help.
    #[error("{key}: the store is not available: {vendor}")]
    Unavailable {
        /// The object.
        key: ObjectKey,
        /// What the store said, or how it could not be reached.
        vendor: VendorError,
    },
    /// Another machine has the task, so that nothing more is put here: nobody has to act.
    #[error("{key}: another machine has the task")]
    LeaseLost {
        /// The object.
        key: ObjectKey,
    },
    /// The local disk under a bucket failed.
    #[error("{key}: local disk")]
    Disk {
        /// The object.
        key: ObjectKey,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file to be stored could not be read.
    #[error("{key}: the file to store could not be read")]
    Source {
        /// The object.
        key: ObjectKey,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// For callers whose errors are those of files. [`io::ErrorKind::NotFound`] stays what it is.
impl From<StorageError> for io::Error {
    fn from(error: StorageError) -> Self {
        let kind = match &error {
            StorageError::NotFound { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl StorageError {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Disk { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::ResourceBusy
            ),
            Self::InvalidKey { .. }
            | Self::InvalidUrl { .. }
            | Self::FeatureOff { .. }
            | Self::WrongSealKey
            | Self::NoKeys
            | Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::LeaseLost { .. }
            | Self::Source { .. } => false,
        }
    }

    /// Code for an upload-error event: the store's own where it gave one.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::InvalidKey { .. } => "InvalidKey",
            Self::InvalidUrl { .. } => "InvalidUrl",
            Self::FeatureOff { .. } => "FeatureOff",
            Self::WrongSealKey => "WrongSealKey",
            Self::NoKeys => "NoKeys",
            Self::Conflict { .. } => "ObjectConflict",
            Self::NotFound { .. } => "NoSuchKey",
            Self::LeaseLost { .. } => "LeaseLost",
            Self::Refused { vendor, .. } | Self::Unavailable { vendor, .. } => &vendor.code,
            Self::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => "DiskFull",
            Self::Disk { .. } => "DiskError",
            Self::Source { .. } => "SpoolError",
        }
    }

    /// Message for an upload-error event: the store's own where it gave one. Never holds a secret.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Refused { vendor, .. } | Self::Unavailable { vendor, .. } => vendor.message.to_string(),
            Self::Disk { source, .. } | Self::Source { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }

    /// Sorts an error of the store by who has to act.
    pub(crate) fn from_store(key: &ObjectKey, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let text = error_text(error);
        if error.source().is_some_and(|source| source.is::<Overdue>()) {
            let vendor = VendorError { code: "RequestTimeout".into(), message: plain(&text, 1024) };
            return Self::Unavailable { key: key.clone(), vendor };
        }
        let status = http_status(&text);
        let found = VendorError::find(&text);
        let key = key.clone();
        let named = |fallback: &str| VendorError::or(found.clone(), fallback, &text);
        if let Some(vendor) = &found {
            // Answers whose code says more than their HTTP status.
            match &*vendor.code {
                "RequestTimeout"
                | "SlowDown"
                | "InternalError"
                | "ServiceUnavailable"
                | "ServerBusy"
                | "OperationTimedOut"
                | "TooManyRequests"
                | "ConditionalRequestConflict"
                | "OperationAborted" => return Self::Unavailable { key, vendor: vendor.clone() },
                "NoSuchBucket" | "ContainerNotFound" => {
                    return Self::Refused { key, vendor: vendor.clone() };
                }
                _ => {}
            }
        }
        match error {
            E::NotFound { .. } => Self::NotFound { key },
            E::PermissionDenied { .. } => Self::Refused { key, vendor: named("AccessDenied") },
            E::Unauthenticated { .. } => Self::Refused { key, vendor: named("Unauthenticated") },
            E::NotSupported { .. } | E::NotImplemented { .. } => {
                Self::Refused { key, vendor: named("NotImplemented") }
            }
            E::UnknownConfigurationKey { .. } | E::InvalidPath { .. } => {
                Self::Refused { key, vendor: named("InvalidParameter") }
            }
            // A precondition that failed in a race: whoever asks again finds out what is there now.
            E::Precondition { .. } | E::AlreadyExists { .. } | E::NotModified { .. } => {
                Self::Unavailable { key, vendor: named("PreconditionFailed") }
            }
            _ if text.contains("redirect without LOCATION") => {
                Self::Refused { key, vendor: named("WrongRegion") }
            }
            _ => match status {
                Some(408 | 425 | 429) | None => Self::Unavailable { key, vendor: named("Unavailable") },
                Some(300..=499) => Self::Refused { key, vendor: named("InvalidParameter") },
                Some(_) => Self::Unavailable { key, vendor: named("ServiceUnavailable") },
            },
        }
    }
}

/// Whether the store refuses the keys, and may take others.
pub(crate) fn is_denied(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    if matches!(error, E::PermissionDenied { .. } | E::Unauthenticated { .. }) {
        return true;
    }
    // S3 answers 400 for these.
    let found = VendorError::find(&error_text(error));
    found.is_some_and(|vendor| {
        matches!(&*vendor.code, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired")
    })
}

/// What the store said: its own error code and message, or ours where it gave none.
///
/// Both are free of addresses' user names, passwords and queries, have no control characters, and are cut at 128
/// and 1024 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VendorError {
    /// For example `SignatureDoesNotMatch`.
    pub code: Box<str>,
    /// The store's sentence.
    pub message: Box<str>,
}

impl fmt::Display for VendorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl VendorError {
    /// What a service said; addresses in it lose their secrets, and what is too long its end.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: plain(code, 128), message: plain(&redact_text(message), 1024) }
    }

    /// `<Code>` and `<Message>` of the XML that S3, COS, OSS, Azure and GCS answer with.
    fn find(text: &str) -> Option<Self> {
        let code = between(text, "<Code>", "</Code>")?;
        let message = between(text, "<Message>", "</Message>").unwrap_or_default();
        Some(Self {
            code: plain(&unescape(code), 128),
            message: plain(&redact_text(&unescape(message)), 1024),
        })
    }

    fn or(found: Option<Self>, code: &str, text: &str) -> Self {
        found.unwrap_or_else(|| Self { code: code.into(), message: plain(&redact_text(text), 1024) })
    }
}

pub(crate) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let rest = &text[text.find(open)? + open.len()..];
    Some(rest[..rest.find(close)?].trim())
}

pub(crate) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// `text` as one line of at most `max` bytes.
fn plain(text: &str, max: usize) -> Box<str> {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out.into()
}

/// The error and its sources, each only if its text is not already in what stands before it.
fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let line = source.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = source.source();
    }
    text
}

/// The HTTP status that the store's client wrote into its message.
fn http_status(text: &str) -> Option<u16> {
    let rest = &text[text.find("status code: ")? + "status code: ".len()..];
    rest.get(..3)?.parse().ok()
}

/// `text` with the user names, passwords and queries of the addresses in it replaced.
pub(crate) fn redact_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let after = at + 3;
        out.push_str(&rest[..after]);
        rest = &rest[after..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | ')' | ','))
            .unwrap_or(rest.len());
        out.push_str(&redact_tail(&rest[..end]));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// What comes after `scheme://`, without its secrets.
fn redact_tail(tail: &str) -> String {
    let (before, query) = match tail.find(['?', '#']) {
        Some(at) => (&tail[..at], true),
        None => (tail, false),
    };
    let authority_end = before.find('/').unwrap_or(before.len());
    let (authority, path) = before.split_at(authority_end);
    let mut out = match authority.rsplit_once('@') {
        Some((_, host)) => format!("[redacted]@{host}{path}"),
        None => before.to_owned(),
    };
    if query {
        out.push_str("?[redacted]");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_error(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    fn key() -> ObjectKey {
        "task/a.ts".parse().unwrap()
    }

    #[test]
    fn the_stores_own_code_and_message_come_through() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>\
                    InvalidAccessKeyId</Code><Message>The key &quot;x&quot; does\nnot exist</Message></Error>";
        let error = StorageError::from_store(
            &key(),
            &object_store::Error::PermissionDenied { path: "a".into(), source: body.into() },
        );
        assert!(matches!(error, StorageError::Refused { .. }));
        assert_eq!((error.code(), &*error.message()), ("InvalidAccessKeyId", "The key \"x\" does not exist"));
        assert!(!error.is_retryable());
    }

    #[test]
    fn errors_are_sorted_by_who_has_to_act() {
        for (text, code, retryable) in [
            ("status code: 500 Internal: ", "ServiceUnavailable", true),
            ("status code: 503 x: <Code>SlowDown</Code>", "SlowDown", true),
            ("status code: 400 x: <Code>RequestTimeout</Code>", "RequestTimeout", true),
            ("status code: 429 Too Many: ", "Unavailable", true),
            ("status code: 404 x: <Code>NoSuchBucket</Code>", "NoSuchBucket", false),
            ("status code: 400 x: <Code>InvalidArgument</Code>", "InvalidArgument", false),
            ("status code: 403 x: <Code>RequestTimeTooSkewed</Code>", "RequestTimeTooSkewed", false),
            ("status code: 301 Moved: ", "InvalidParameter", false),
            ("redirect without LOCATION", "WrongRegion", false),
            ("error response: <Error><Code>InternalError</Code></Error>", "InternalError", true),
            ("connection reset by peer", "Unavailable", true),
        ] {
            let error = StorageError::from_store(&key(), &store_error(text));
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{text}");
        }
    }

    #[test]
    fn secrets_in_addresses_are_taken_out() {
        for (text, clean) in [
            ("GET https://u:p@h/b?sig=SECRET failed", "GET https://[redacted]@h/b?[redacted] failed"),
            ("(http://h:1/x#SECRET)", "(http://h:1/x?[redacted])"),
            ("no address", "no address"),
            ("s3://b/p and file:///x", "s3://b/p and file:///x"),
            ("x://a@b@c/d@e", "x://[redacted]@c/d@e"),
        ] {
            assert_eq!(redact_text(text), clean);
        }
        let error = StorageError::from_store(&key(), &store_error("PUT https://h/b?sig=SECRET: reset"));
        assert!(!format!("{error} {error:?} {}", error.message()).contains("SECRET"));
    }
}
