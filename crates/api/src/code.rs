use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::Action;

/// Makes the enum of all codes: a variant, its text, and the actions whose page lists it (`C`reate, `D`escribe,
/// `M`odify, de`L`ete; an empty text for the codes of every action).
macro_rules! error_codes {
    ($($variant:ident = $text:literal, $listed:literal, $family:ident, $doc:literal;)*) => {
        /// A code of the API, as `Error.Code` carries it.
        ///
        /// # Specification
        /// `trtc-api.md` section 7.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $(#[doc = $doc] $variant,)* }

        impl ErrorCode {
            /// All of them, those of one action first.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What a client does about it.
            #[must_use]
            pub const fn family(self) -> Family {
                match self { $(Self::$variant => Family::$family,)* }
            }

            const fn listed(self) -> &'static str {
                match self { $(Self::$variant => $listed,)* }
            }
        }
    };
}

error_codes! {
    AuthFailure = "AuthFailure", "CDML", Fix, "The call is not authenticated.";
    AuthFailureUnRealNameAuthenticated = "AuthFailure.UnRealNameAuthenticated", "CDML", Fix, "The account has no verified name.";
    AuthFailureUnauthorizedOperation = "AuthFailure.UnauthorizedOperation", "CDML", Fix, "The key may not do this, for example with this application.";
    AuthFailureUnsupportedOperation = "AuthFailure.UnsupportedOperation", "CDML", Fix, "The account has not the feature.";
    FailedOperation = "FailedOperation", "CDM", Fix, "It was tried and failed.";
    FailedOperationCrUnsupportMethod = "FailedOperation.CRUnsupportMethod", "CDML", Fix, "The recorder does not know the method.";
    FailedOperationRestrictedConcurrency = "FailedOperation.RestrictedConcurrency", "C", Limit, "As many tasks run as may.";
    InternalErrorCrInternalError = "InternalError.CRInternalError", "CDML", Retry, "The recorder failed.";
    InvalidParameterOutOfRange = "InvalidParameter.OutOfRange", "CDML", Fix, "A value outside its range, too long a list, or two members that exclude each other.";
    InvalidParameterSdkAppId = "InvalidParameter.SdkAppId", "CDL", Fix, "No application has this id.";
    MissingParameterAccessKey = "MissingParameter.AccessKey", "C", Fix, "`StorageParams.CloudStorage.AccessKey`.";
    MissingParameterBucket = "MissingParameter.Bucket", "C", Fix, "`StorageParams.CloudStorage.Bucket`.";
    MissingParameterCloudStorage = "MissingParameter.CloudStorage", "C", Fix, "Neither `CloudStorage` nor `CloudVod`.";
    MissingParameterRecordMode = "MissingParameter.RecordMode", "C", Fix, "`RecordParams.RecordMode`.";
    MissingParameterRecordParams = "MissingParameter.RecordParams", "C", Fix, "`RecordParams`.";
    MissingParameterRegion = "MissingParameter.Region", "C", Fix, "`StorageParams.CloudStorage.Region`.";
    MissingParameterRoomId = "MissingParameter.RoomId", "CDML", Fix, "`RoomId`.";
    MissingParameterSdkAppId = "MissingParameter.SdkAppId", "CDML", Fix, "`SdkAppId`.";
    MissingParameterSecretKey = "MissingParameter.SecretKey", "C", Fix, "`StorageParams.CloudStorage.SecretKey`.";
    MissingParameterStorageParams = "MissingParameter.StorageParams", "C", Fix, "`StorageParams`.";
    MissingParameterStreamType = "MissingParameter.StreamType", "C", Fix, "Listed, though `StreamType` has a default; never given here.";
    MissingParameterTaskId = "MissingParameter.TaskId", "CDML", Fix, "`TaskId`.";
    MissingParameterUserId = "MissingParameter.UserId", "CDML", Fix, "`UserId`.";
    MissingParameterUserSig = "MissingParameter.UserSig", "C", Fix, "`UserSig`.";
    MissingParameterVendor = "MissingParameter.Vendor", "C", Fix, "`StorageParams.CloudStorage.Vendor`.";
    ResourceNotFound = "ResourceNotFound", "DML", Fix, "The task is unknown, has ended, or `ResourceExpiredHour` is over.";
    UnsupportedOperation = "UnsupportedOperation", "C", Fix, "It cannot be done.";

    AuthFailureInvalidSecretId = "AuthFailure.InvalidSecretId", "", Fix, "The key id is not one.";
    AuthFailureMfaFailure = "AuthFailure.MFAFailure", "", Fix, "A second factor is missing.";
    AuthFailureSecretIdNotFound = "AuthFailure.SecretIdNotFound", "", Fix, "No key has this id.";
    AuthFailureSignatureExpire = "AuthFailure.SignatureExpire", "", Fix, "The timestamp is more than five minutes off: sign anew, by a right clock.";
    AuthFailureSignatureFailure = "AuthFailure.SignatureFailure", "", Fix, "The signature does not belong to the call.";
    AuthFailureTokenFailure = "AuthFailure.TokenFailure", "", Fix, "The token of temporary credentials is wrong.";
    DryRunOperation = "DryRunOperation", "", Fix, "It would have succeeded: `DryRun` was asked for.";
    InternalError = "InternalError", "", Retry, "The service failed.";
    InvalidAction = "InvalidAction", "", Fix, "No action has this name.";
    InvalidParameter = "InvalidParameter", "", Fix, "The body is not JSON, or a member has the wrong type.";
    InvalidParameterUserSig = "InvalidParameter.UserSig", "", Fix, "`UserSig` does not verify, or is over. Not listed for recording; the SDK knows it.";
    InvalidParameterValue = "InvalidParameterValue", "", Fix, "A text breaks a rule.";
    LimitExceeded = "LimitExceeded", "", Limit, "A quota is used up.";
    MissingParameter = "MissingParameter", "", Fix, "A required member without a code of its own.";
    NoSuchVersion = "NoSuchVersion", "", Fix, "The API has no such version.";
    RequestLimitExceeded = "RequestLimitExceeded", "", Limit, "Too many calls in a second.";
    ResourceInUse = "ResourceInUse", "", Fix, "Something else has it.";
    ResourceInsufficient = "ResourceInsufficient", "", Limit, "Not enough of it.";
    ResourceUnavailable = "ResourceUnavailable", "", Retry, "Not to be had at the moment.";
    UnauthorizedOperation = "UnauthorizedOperation", "", Fix, "Not allowed.";
    UnknownParameter = "UnknownParameter", "", Fix, "A member that the action does not have.";
    UnsupportedProtocol = "UnsupportedProtocol", "", Fix, "Only GET and POST are.";
    UnsupportedRegion = "UnsupportedRegion", "", Fix, "The region is not served.";
}

impl ErrorCode {
    /// Whether the documentation of `action` lists the code, or it is one of those that every action may give.
    #[must_use]
    pub fn is_documented_for(self, action: Action) -> bool {
        // Listed for some actions and common to all.
        const BOTH: [ErrorCode; 4] = [
            ErrorCode::AuthFailureUnauthorizedOperation,
            ErrorCode::FailedOperation,
            ErrorCode::ResourceNotFound,
            ErrorCode::UnsupportedOperation,
        ];
        self.listed().is_empty() || BOTH.contains(&self) || self.is_listed_for(action)
    }

    /// Whether the page of `action` itself lists the code.
    #[must_use]
    pub fn is_listed_for(self, action: Action) -> bool {
        self.listed().contains(match action {
            Action::CreateCloudRecording => 'C',
            Action::DescribeCloudRecording => 'D',
            Action::ModifyCloudRecording => 'M',
            Action::DeleteCloudRecording => 'L',
        })
    }

    /// The code for the required member `name`: `MissingParameter.<name>` where there is one, else `MissingParameter`.
    pub(crate) fn missing(name: &str) -> Self {
        let of_name = |code: &&Self| code.as_str().strip_prefix("MissingParameter.") == Some(name);
        Self::ALL.iter().find(of_name).copied().unwrap_or(Self::MissingParameter)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(s: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().find(|code| code.as_str() == s).copied().ok_or(UnknownCode)
    }
}

/// A text that is no [`ErrorCode`]; [`Family::of`] may know what to do about it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code is none that is known")]
pub struct UnknownCode;

/// What a client does about a code.
///
/// # Specification
/// `trtc-api.md` section 7.3 for `InternalError.*`, `InvalidParameter.*` and `FailedOperation.RestrictedConcurrency`;
/// the rest is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Repeat the call as it was, later: [`RetrySchedule`](crate::RetrySchedule) says when.
    Retry,
    /// The same call gives the same answer: something has to be changed first.
    Fix,
    /// A limit is reached: end something, or ask for more, or go slower.
    Limit,
}

impl Family {
    /// The family of any code, also of one that is not in [`ErrorCode`]: then its first part decides.
    #[must_use]
    pub fn of(code: &str) -> Self {
        match code.parse::<ErrorCode>() {
            Ok(known) => known.family(),
            Err(UnknownCode) => match code.split('.').next() {
                Some("InternalError" | "ResourceUnavailable") => Self::Retry,
                Some("LimitExceeded" | "RequestLimitExceeded" | "ResourceInsufficient") => Self::Limit,
                _ => Self::Fix,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 7.1, copied row by row.
    const TABLE: &str = "\
| `AuthFailure` | x | x | x | x |
| `AuthFailure.UnRealNameAuthenticated` | x | x | x | x |
| `AuthFailure.UnauthorizedOperation` | x | x | x | x |
| `AuthFailure.UnsupportedOperation` | x | x | x | x |
| `FailedOperation` | x | x | x | |
| `FailedOperation.CRUnsupportMethod` | x | x | x | x |
| `FailedOperation.RestrictedConcurrency` | x | | | |
| `InternalError.CRInternalError` | x | x | x | x |
| `InvalidParameter.OutOfRange` | x | x | x | x |
| `InvalidParameter.SdkAppId` | x | x | | x |
| `MissingParameter.AccessKey` | x | | | |
| `MissingParameter.Bucket` | x | | | |
| `MissingParameter.CloudStorage` | x | | | |
| `MissingParameter.RecordMode` | x | | | |
| `MissingParameter.RecordParams` | x | | | |
| `MissingParameter.Region` | x | | | |
| `MissingParameter.RoomId` | x | x | x | x |
| `MissingParameter.SdkAppId` | x | x | x | x |
| `MissingParameter.SecretKey` | x | | | |
| `MissingParameter.StorageParams` | x | | | |
| `MissingParameter.StreamType` | x | | | |
| `MissingParameter.TaskId` | x | x | x | x |
| `MissingParameter.UserId` | x | x | x | x |
| `MissingParameter.UserSig` | x | | | |
| `MissingParameter.Vendor` | x | | | |
| `ResourceNotFound` | | x | x | x |
| `UnsupportedOperation` | x | | | |";

    /// Section 7.2.
    const COMMON: &str = "AuthFailure.InvalidSecretId AuthFailure.MFAFailure AuthFailure.SecretIdNotFound \
        AuthFailure.SignatureExpire AuthFailure.SignatureFailure AuthFailure.TokenFailure \
        AuthFailure.UnauthorizedOperation DryRunOperation FailedOperation InternalError InvalidAction \
        InvalidParameter InvalidParameterValue LimitExceeded MissingParameter NoSuchVersion RequestLimitExceeded \
        ResourceInUse ResourceInsufficient ResourceNotFound ResourceUnavailable UnauthorizedOperation \
        UnknownParameter UnsupportedOperation UnsupportedProtocol UnsupportedRegion";

    #[test]
    fn every_code_of_the_tables_is_here_for_its_actions_and_no_other() {
        let mut seen = vec!["InvalidParameter.UserSig"];
        for row in TABLE.lines() {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].trim_matches('`');
            let code: ErrorCode = name.parse().unwrap();
            for (action, cell) in Action::ALL.into_iter().zip(&cells[1..]) {
                assert_eq!(code.is_listed_for(action), *cell == "x", "{name} {action}");
            }
            seen.push(name);
        }
        for name in COMMON.split(' ') {
            let code: ErrorCode = name.parse().unwrap();
            assert!(Action::ALL.into_iter().all(|action| code.is_documented_for(action)), "{name}");
            seen.push(name);
        }
        for code in ErrorCode::ALL {
            assert!(seen.contains(&code.as_str()), "{code}");
        }
        assert!(!ErrorCode::MissingParameterVendor.is_documented_for(Action::DeleteCloudRecording));
    }

    #[test]
    fn families_are_those_of_the_advice() {
        for (code, family) in [
            ("InternalError", Family::Retry),
            ("InternalError.CRInternalError", Family::Retry),
            ("InternalError.Other", Family::Retry),
            ("InvalidParameter.OutOfRange", Family::Fix),
            ("InvalidParameter.Other", Family::Fix),
            ("MissingParameter.TaskId", Family::Fix),
            ("FailedOperation.RestrictedConcurrency", Family::Limit),
            ("RequestLimitExceeded", Family::Limit),
            ("RequestLimitExceeded.UinLimitExceeded", Family::Limit),
            ("", Family::Fix),
            ("InternalErrors", Family::Fix),
        ] {
            assert_eq!(Family::of(code), family, "{code:?}");
        }
    }
}
