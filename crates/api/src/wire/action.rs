use recorder_callback::TrackType;
use serde::{Deserialize, Serialize};

use super::{MixLayoutParams, MixTranscodeParams, RecordParams, StorageParams, SubscribeStreamUserIds, wire};
use crate::Secret;

wire! {
    /// Starts a task.
    ///
    /// # Specification
    /// `trtc-api.md` section 2.1.
    CreateCloudRecordingRequest {
        /// Required. Application of the room.
        sdk_app_id: i64,
        /// Required. Room to record, also a numeric one as a string.
        room_id: String,
        /// Required. User id of the robot.
        user_id: String,
        /// Required. Signature of the robot's user id.
        user_sig: Secret,
        /// Required.
        record_params: RecordParams,
        /// Required.
        storage_params: StorageParams,
        /// 0 string room, 1 (default) 32-bit integer room.
        room_id_type: i64,
        /// For `RecordMode` 2.
        mix_transcode_params: MixTranscodeParams,
        /// For `RecordMode` 2.
        mix_layout_params: MixLayoutParams,
        /// Hours in which the task can be asked for, 6 to 720, default 72.
        resource_expired_hour: i64,
        /// Ticket of the room where permissions are controlled.
        private_map_key: Secret,
    }

    /// Asks how a task is.
    ///
    /// # Specification
    /// `trtc-api.md` section 2.2.
    DescribeCloudRecordingRequest {
        /// Required.
        sdk_app_id: i64,
        /// Required.
        task_id: String,
        /// Key of a combined relay-and-record task; passed over here.
        recorder_key: String,
    }

    /// Changes a task. Each object replaces the task's whole; one that is absent resets it.
    ///
    /// # Specification
    /// `trtc-api.md` section 2.3.
    ModifyCloudRecordingRequest {
        /// Required.
        sdk_app_id: i64,
        /// Required.
        task_id: String,
        /// Layout, for mixed tasks.
        mix_layout_params: MixLayoutParams,
        /// Whom to record.
        subscribe_stream_user_ids: SubscribeStreamUserIds,
    }

    /// Ends a task.
    ///
    /// # Specification
    /// `trtc-api.md` section 2.4.
    DeleteCloudRecordingRequest {
        /// Required.
        sdk_app_id: i64,
        /// Required.
        task_id: String,
    }
}

/// Answer to [`CreateCloudRecordingRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCloudRecordingResponse {
    /// The new task.
    pub task_id: String,
}

/// Answer to [`DescribeCloudRecordingRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCloudRecordingResponse {
    /// The task that was asked for.
    pub task_id: String,
    /// How it is.
    pub status: TaskStatus,
    /// Its playlists; empty for a task that records to VOD.
    #[serde(default)]
    pub storage_file_list: Option<Vec<StorageFile>>,
    /// As in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder_key: Option<String>,
}

/// Answer to [`ModifyCloudRecordingRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyCloudRecordingResponse {
    /// The task that was changed.
    pub task_id: String,
}

/// Answer to [`DeleteCloudRecordingRequest`]. Uploads may go on; a callback tells their end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteCloudRecordingResponse {
    /// The task that ends.
    pub task_id: String,
}

/// How a task is (`Status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskStatus {
    /// It exists and receives no media.
    Idle,
    /// It records.
    InProgress,
    /// It is leaving; once it has, calls for it answer `ResourceNotFound`.
    Exited,
}

/// A playlist of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StorageFile {
    /// Whose; empty in mixed mode.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Name of the playlist, without its directories.
    pub file_name: String,
    /// What is in it.
    #[serde(default)]
    pub track_type: Option<TrackType>,
    /// Start of the recording, Unix milliseconds.
    pub begin_time_stamp: u64,
}
