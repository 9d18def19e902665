//! The recording API of TRTC (version `2019-07-22`): requests, answers, checks, error codes and signatures, for servers
//! that take the place of the cloud recorder and for clients of either.
//!
//! - [`Request::from_json`] reads the body of one of the four [`Action`]s, and refuses with the documented
//!   [`ErrorCode`] and the path of the member. [`wire`] has the same requests field by field, for those who send them.
//! - [`Authorization`] is the signature TC3-HMAC-SHA256, [`FormSignature`] the old one, [`UserSig`] that of a room's
//!   user: made and verified.
//! - [`Answer`] is the envelope of answers, [`RetrySchedule`] says when a client repeats a call.
//!
//! Nothing here does I/O or reads a clock, and no bytes make it panic. It knows what a request means, not how to
//! record: that is `recorder`. Keys are [`Secret`]s, which do not print; errors hold nothing of a request but names of
//! members and numbers.
//!
//! ```
//! use recorder_api::{Action, Answer, Request, RequestId, ServiceError, wire};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let body = br#"{"SdkAppId": 1400188366, "RoomId": "3560", "UserId": "10001", "UserSig": "x",
//!     "RecordParams": {"RecordMode": 2, "MaxIdleTime": 60},
//!     "MixTranscodeParams": {"VideoParams": {"Width": 360, "Height": 640, "Fps": 61, "BitRate": 500000, "Gop": 10}},
//!     "StorageParams": {"CloudVod": {"TencentVod": {"ExpireTime": 0}}}}"#;
//! let error = Request::from_json(Action::CreateCloudRecording, body).err().ok_or("61 is too many")?;
//! assert_eq!(
//!     error.to_string(),
//!     "InvalidParameter.OutOfRange: MixTranscodeParams.VideoParams.Fps is 61, range 1..60",
//! );
//!
//! let id = RequestId::from_random(7);
//! let refusal: Answer<wire::CreateCloudRecordingResponse> =
//!     Answer { result: Err(ServiceError::from(&error)), request_id: id };
//! assert!(refusal.to_json().starts_with(br#"{"Response":{"Error":{"Code":"InvalidParameter.OutOfRange","#));
//!
//! let body = br#"{"SdkAppId": 1400188366, "TaskId": "task01"}"#;
//! let Request::Describe(request) = Request::from_json(Action::DescribeCloudRecording, body)? else { return Ok(()) };
//! assert_eq!(request.task, "task01");
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! `trtc-api.md`.

mod action;
mod answer;
mod auth;
mod check;
mod code;
mod error;
mod form;
mod read;
mod retry;
mod secret;
mod tree;
mod user_sig;
pub mod wire;

pub use action::{
    API_VERSION, Action, CALL_BUDGET, CALLS_PER_SECOND, MAX_BODY_BYTES, MAX_QUERY_BYTES, MAX_RUNNING_TASKS,
    SERVICE, UnknownAction,
};
pub use answer::{Answer, AnswerError, RequestId, ServiceError};
pub use auth::{
    AuthError, Authorization, FormMethod, FormSignature, MAX_CLOCK_SKEW_SECONDS, ScopedRequest, SignedHeader,
};
pub use check::{
    AutoRecording, AvMerge, CreateRecording, DeleteRecording, DescribeRecording, FillType, Layout,
    MAX_LIST_ENTRIES, MAX_WATERMARKS, MediaSelection, MixSettings, ModifyRecording, OutputFormat, PixelRect,
    RecordMode, RecordSettings, Request, SampleRate, Storage, StorageBucket, StreamType, SubscribeAbility,
    UnknownNumber, UserList, Vendor, VodMediaType, VodSettings, WaterMark, WaterMarkFont, WaterMarkPosition,
};
pub use code::{ErrorCode, Family, UnknownCode};
pub use error::{Expected, FieldPath, Problem, RequestError, TextRule};
pub use retry::{AfterError, RetryOptions, RetrySchedule};
pub use secret::Secret;
pub use user_sig::{UserSig, UserSigError};
