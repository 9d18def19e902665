use super::wire;

wire! {
    /// How and what is recorded.
    ///
    /// # Specification
    /// `trtc-api.md` section 3.1.
    RecordParams {
        /// Required. 1 single-stream, 2 mixed.
        record_mode: i64,
        /// Seconds without any anchor after which the task ends, 5 to 86400, default 30.
        max_idle_time: i64,
        /// 0 audio and video, 1 audio, 2 video.
        stream_type: i64,
        /// Whom to record; everyone by default.
        subscribe_stream_user_ids: SubscribeStreamUserIds,
        /// 0 HLS, 1 HLS and MP4, 2 HLS and AAC, 3 MP4, 4 AAC. Not for VOD.
        output_format: i64,
        /// 0 audio and video apart, 1 together. Single-stream.
        av_merge: i64,
        /// Minutes of an MP4 or AAC file, 1 to 1440, default 1440.
        max_media_file_duration: i64,
        /// 0 main and auxiliary stream, 1 main, 2 auxiliary.
        media_id: i64,
        /// While video pauses: 0 the last picture, 1 black.
        fill_type: i64,
        /// 1: streams of mixing robots too.
        subscribe_ability: i64,
    }

    /// Allow and block lists, at most 32 entries each; not both of one kind.
    ///
    /// # Specification
    /// `trtc-api.md` section 3.2.
    SubscribeStreamUserIds {
        /// Allow list for audio.
        subscribe_audio_user_ids: Vec<String>,
        /// Block list for audio.
        un_subscribe_audio_user_ids: Vec<String>,
        /// Allow list for video.
        subscribe_video_user_ids: Vec<String>,
        /// Block list for video.
        un_subscribe_video_user_ids: Vec<String>,
    }
}
