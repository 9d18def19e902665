//! From what was sent to what is meant. Every check of a request is here.

mod at;
mod auto;
mod coded;
mod mixed;
mod record;
mod request;
mod storage;

pub use auto::AutoRecording;
pub use coded::{
    AvMerge, FillType, MediaSelection, OutputFormat, SampleRate, StreamType, SubscribeAbility, UnknownNumber,
    Vendor, VodMediaType, WaterMarkPosition,
};
pub use mixed::{Layout, MAX_WATERMARKS, MixSettings, PixelRect, WaterMark, WaterMarkFont};
pub use record::{MAX_LIST_ENTRIES, RecordMode, RecordSettings, UserList};
pub use request::{CreateRecording, DeleteRecording, DescribeRecording, ModifyRecording, Request};
pub use storage::{Storage, StorageBucket, VodSettings};
