use super::{StorageParams, wire};
use crate::Secret;

wire! {
    /// Template by which rooms are recorded without a call. The service sets it in its console and publishes no wire
    /// form: names are ours, after those of the four actions.
    ///
    /// # Specification
    /// `trtc-api.md` section 10.
    AutoRecordingTemplate {
        /// 0 audio and video, 1 audio, 2 video.
        stream_type: i64,
        /// 0 HLS, 1 HLS and MP4, 2 HLS and AAC, 3 MP4, 4 AAC; 2 and 4 with `StreamType` 1 only. Not for VOD.
        output_format: i64,
        /// Minutes of an MP4 or AAC file, 1 to 1440, default 1440.
        max_media_file_duration: i64,
        /// Seconds without any anchor after which the recording ends, 1 to 86400, default 30.
        resumption_timeout: i64,
        /// Required.
        storage_params: StorageParams,
        /// Where events go.
        callback_url: String,
        /// Key of their signature, at most 32 of `a-z A-Z 0-9`.
        callback_key: Secret,
    }
}
