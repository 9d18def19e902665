//! What a mixed recording is asked for, in the words of the recording API and checked.

mod error;
mod transcode;
mod watermark;

pub use error::MixParamsError;
pub use transcode::{AudioParams, MixTranscodeParams, VideoParams};
pub use watermark::{
    ImageSource, MixLayoutRequest, WaterMark, WaterMarkChar, WaterMarkImage, WaterMarkTimestamp, Watermark,
    watermarks,
};
