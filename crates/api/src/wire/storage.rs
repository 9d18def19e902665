use super::wire;
use crate::Secret;

wire! {
    /// Where files go: exactly one of the two.
    ///
    /// # Specification
    /// `trtc-api.md` section 4.
    StorageParams {
        /// A bucket.
        cloud_storage: CloudStorage,
        /// Video on demand.
        cloud_vod: CloudVod,
    }

    /// A bucket.
    ///
    /// # Specification
    /// `trtc-api.md` section 4.1.
    CloudStorage {
        /// Required. 0 COS, 1 S3.
        vendor: i64,
        /// Required.
        region: String,
        /// Required.
        bucket: String,
        /// Required. Id of the key.
        access_key: Secret,
        /// Required.
        secret_key: Secret,
        /// Directories before the task's.
        file_name_prefix: Vec<String>,
        /// Another endpoint for S3, without scheme.
        endpoint_url: String,
    }

    /// Video on demand.
    CloudVod {
        /// Every member has a default.
        tencent_vod: TencentVod,
    }

    /// Video on demand of the service.
    ///
    /// # Specification
    /// `trtc-api.md` section 4.2.
    TencentVod {
        /// Task flow after the upload.
        procedure: String,
        /// Seconds that the file is kept from now on; 0 for ever.
        expire_time: i64,
        /// Where it is uploaded.
        storage_region: String,
        /// Category.
        class_id: i64,
        /// VOD application.
        sub_app_id: i64,
        /// Passed on to the callback of the task flow.
        session_context: String,
        /// Passed on to the callback of the upload.
        source_context: String,
        /// 0 MP4, 1 HLS, 2 AAC, 3 HLS and MP4, 4 HLS and AAC; 2 and 4 with `StreamType` 1 only.
        media_type: i64,
        /// Prefix of file names, at most 64 of `a-z A-Z 0-9 _ -`.
        user_define_record_id: String,
    }
}
