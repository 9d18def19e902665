//! Requests and answers field by field, as they travel and unchecked. The names are those of the API.
//!
//! Every member of a request is optional here, so that a client sets what it wants and a server can say which required
//! one is missing. A member that is absent, `null` or the empty string has its default.

mod action;
mod auto;
mod mixed;
mod record;
mod storage;

pub use action::{
    CreateCloudRecordingRequest, CreateCloudRecordingResponse, DeleteCloudRecordingRequest,
    DeleteCloudRecordingResponse, DescribeCloudRecordingRequest, DescribeCloudRecordingResponse,
    ModifyCloudRecordingRequest, ModifyCloudRecordingResponse, StorageFile, TaskStatus,
};
pub use auto::AutoRecordingTemplate;
pub use mixed::{
    AudioParams, MixLayout, MixLayoutParams, MixTranscodeParams, VideoParams, WaterMark, WaterMarkChar,
    WaterMarkImage, WaterMarkTimestamp,
};
pub use record::{RecordParams, SubscribeStreamUserIds};
pub use storage::{CloudStorage, CloudVod, StorageParams, TencentVod};

/// Makes structs of optional members in the names of the API.
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            $($(#[$member_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $member: Option<$type>,)*
        }
    )*};
}
use wire;
