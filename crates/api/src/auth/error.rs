use crate::ErrorCode;

/// Why a call is not authenticated. It holds nothing of the call but numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No `Authorization` header, or none of the signature's parts: the caller has to sign.
    #[error("the call is not signed: {0}")]
    Missing(&'static str),
    /// A part of the signature is not in its form: the caller has to follow the rules of the signature.
    #[error("the signature is malformed: {0}")]
    Malformed(&'static str),
    /// No `SecretId`, or one with characters that no id has.
    #[error("the SecretId is not one")]
    InvalidSecretId,
    /// Nobody has this `SecretId`: the caller has to use another key.
    #[error("no key has this SecretId")]
    UnknownSecretId,
    /// The timestamp is too far from the server's clock: the caller has to set the clock, and sign anew.
    #[error("the timestamp is {off_seconds} s off, at most 300 are allowed")]
    Expired {
        /// Seconds, either way.
        off_seconds: u64,
    },
    /// Another key, or a call that was changed on the way.
    #[error("the signature does not belong to this call")]
    Mismatch,
}

impl AuthError {
    /// `Error.Code` of the answer.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) | Self::Malformed(_) | Self::Mismatch => ErrorCode::AuthFailureSignatureFailure,
            Self::InvalidSecretId => ErrorCode::AuthFailureInvalidSecretId,
            Self::UnknownSecretId => ErrorCode::AuthFailureSecretIdNotFound,
            Self::Expired { .. } => ErrorCode::AuthFailureSignatureExpire,
        }
    }
}
