use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::auth::AuthError;
use crate::{ErrorCode, Family, RequestError};

/// An error as it is answered: `Error.Code` and `Error.Message`.
///
/// Also read from answers, where the code can be one that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "PascalCase")]
#[error("{code}: {message}")]
pub struct ServiceError {
    code: Box<str>,
    #[serde(default)]
    message: String,
}

impl ServiceError {
    /// An error with a text for people. Put no secrets into it.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: code.as_str().into(), message: message.into() }
    }

    /// `Code`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// `Message`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a client does about it.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(&self.code)
    }
}

impl From<&RequestError> for ServiceError {
    fn from(error: &RequestError) -> Self {
        Self::new(error.code(), error.message())
    }
}

impl From<&AuthError> for ServiceError {
    fn from(error: &AuthError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// `RequestId` of an answer, in the form of a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// A UUID of version 4 from 128 random bits, of which six are set.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        let bits = bits & !(0xf000 << 64 | 0xc << 60) | 0x4000 << 64 | 0x8 << 60;
        let hex = format!("{bits:032x}");
        let part = |range: std::ops::Range<usize>| hex.get(range).expect("32 digits");
        Self(
            format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
                .into(),
        )
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the service says to one request: `{"Response": {...}}`.
///
/// Send it with status 200, error or not, and with the content type `application/json` exactly: with a charset behind
/// it, official SDKs do not see errors.
///
/// # Specification
/// `trtc-api.md` section 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The action's fields, or the error.
    pub result: Result<T, ServiceError>,
    /// Which request it was.
    pub request_id: RequestId,
}

impl<T: Serialize> Answer<T> {
    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Envelope<B> {
            response: B,
        }

        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Success<'a, T> {
            #[serde(flatten)]
            fields: &'a T,
            request_id: &'a RequestId,
        }

        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Failure<'a> {
            error: &'a ServiceError,
            request_id: &'a RequestId,
        }

        let request_id = &self.request_id;
        match &self.result {
            Ok(fields) => serde_json::to_vec(&Envelope { response: Success { fields, request_id } }),
            Err(error) => serde_json::to_vec(&Envelope { response: Failure { error, request_id } }),
        }
        .expect("answers are structs of texts, numbers and lists, which JSON can hold")
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// Reads the body of an answer; members that are not known are passed over.
    ///
    /// # Errors
    /// [`AnswerError`] if it is not in the form of the API.
    pub fn from_json(body: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Envelope<'a> {
            #[serde(borrow)]
            response: &'a serde_json::value::RawValue,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Head {
            #[serde(default)]
            error: Option<ServiceError>,
            request_id: RequestId,
        }

        let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(AnswerError)?;
        let head: Head = serde_json::from_str(envelope.response.get()).map_err(AnswerError)?;
        let result = match head.error {
            Some(error) => Err(error),
            None => Ok(serde_json::from_str(envelope.response.get()).map_err(AnswerError)?),
        };
        Ok(Self { result, request_id: head.request_id })
    }
}

/// An answer that is not in the form of the API: a proxy's page, or a version that is not known. Treat it as no answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not one of the recording API")]
pub struct AnswerError(#[source] serde_json::Error);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CreateCloudRecordingResponse, DescribeCloudRecordingResponse, TaskStatus};

    fn id() -> RequestId {
        RequestId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
    }

    #[test]
    fn answers_have_the_documented_form() {
        assert_eq!(id().as_str(), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(RequestId::from_random(0).as_str(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(RequestId::from_random(u128::MAX).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let created =
            Answer { result: Ok(CreateCloudRecordingResponse { task_id: "t1".into() }), request_id: id() };
        assert_eq!(
            String::from_utf8(created.to_json()).unwrap(),
            r#"{"Response":{"TaskId":"t1","RequestId":"01234567-89ab-4def-8123-456789abcdef"}}"#
        );
        let error = ServiceError::new(ErrorCode::MissingParameterRecordParams, "RecordParams is missing");
        let failed: Answer<CreateCloudRecordingResponse> = Answer { result: Err(error), request_id: id() };
        assert_eq!(
            String::from_utf8(failed.to_json()).unwrap(),
            r#"{"Response":{"Error":{"Code":"MissingParameter.RecordParams","Message":"RecordParams is missing"},"RequestId":"01234567-89ab-4def-8123-456789abcdef"}}"#
        );
        assert_eq!(Answer::from_json(&created.to_json()).unwrap(), created);
        assert_eq!(Answer::from_json(&failed.to_json()).unwrap(), failed);
    }

    #[test]
    fn what_the_service_adds_is_passed_over_and_null_lists_are_read() {
        let body = br#"{"Response":{"New":[1],"TaskId":"t","Status":"Idle","StorageFileList":null,"RequestId":"r"}}"#;
        let answer = Answer::<DescribeCloudRecordingResponse>::from_json(body).unwrap();
        let described = answer.result.unwrap();
        assert_eq!((described.status, described.storage_file_list), (TaskStatus::Idle, None));
        for bad in [&b"<html>"[..], b"{}", br#"{"Response":{}}"#, br#"{"Response":{"RequestId":"r"}}"#] {
            assert!(Answer::<DescribeCloudRecordingResponse>::from_json(bad).is_err());
        }
        let odd = br#"{"Response":{"Error":{"Code":"InternalError.New"},"RequestId":"r"}}"#;
        let error = Answer::<DescribeCloudRecordingResponse>::from_json(odd).unwrap().result.unwrap_err();
        assert_eq!((error.code(), error.family()), ("InternalError.New", Family::Retry));
    }
}
