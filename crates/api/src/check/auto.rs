use std::time::Duration;

use recorder_callback::{CallbackKey, CallbackUrl};
use recorder_types::{RoomId, SdkAppId, UserId};

use super::at::At;
use super::coded::{AvMerge, FillType, MediaSelection, OutputFormat, StreamType, SubscribeAbility};
use super::record::{RecordMode, RecordSettings, UserList, file_duration};
use super::request::{CreateRecording, DEFAULT_EXPIRY};
use super::storage::Storage;
use crate::error::{FieldPath, Problem, RequestError, TextRule};
use crate::{Secret, read, tree, wire};

/// How rooms are recorded without a call: one single-stream task per room, from its first publication on.
///
/// # Specification
/// `trtc-api.md` section 10.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AutoRecording {
    /// What.
    pub stream_type: StreamType,
    /// Files in a bucket; AAC for audio only.
    pub output: OutputFormat,
    /// Longest MP4 or AAC file: 1 to 1440 minutes, the default.
    pub max_file_duration: Duration,
    /// Time without any anchor after which the recording ends: 1 s to 86 400 s, 30 s by default.
    pub resumption_timeout: Duration,
    /// Where files go.
    pub storage: Storage,
    /// Where events go.
    pub callback_url: Option<CallbackUrl>,
    /// Key of their signature.
    pub callback_key: Option<CallbackKey>,
}

impl AutoRecording {
    /// Reads a template.
    ///
    /// # Errors
    /// [`RequestError`] with the code and the path of the first member that breaks a rule.
    pub fn from_json(text: &[u8]) -> Result<Self, RequestError> {
        let root = |problem| RequestError { path: FieldPath::default(), problem };
        let wire: wire::AutoRecordingTemplate = read::read(&tree::from_json(text).map_err(root)?)?;
        wire.check()
    }

    /// The request that asks for the same in `room`, with everyone's streams and without a signature. Its `max_idle` is
    /// the resumption timeout, which may be shorter than a caller's may.
    #[must_use]
    pub fn to_request(&self, app: SdkAppId, room: RoomId, robot: UserId) -> CreateRecording {
        CreateRecording {
            app,
            room,
            robot,
            user_sig: Secret::new(""),
            mode: RecordMode::SingleStream,
            record: RecordSettings {
                max_idle: self.resumption_timeout,
                stream_type: self.stream_type,
                audio_users: UserList::Everyone,
                video_users: UserList::Everyone,
                output: self.output,
                merge: AvMerge::Separate,
                max_file_duration: self.max_file_duration,
                media: MediaSelection::Both,
                fill: FillType::LastPicture,
                mixed_streams: SubscribeAbility::WithoutMixed,
            },
            storage: self.storage.clone(),
            resource_expires_after: DEFAULT_EXPIRY,
            private_map_key: None,
        }
    }
}

impl wire::AutoRecordingTemplate {
    /// What is meant, with every default.
    ///
    /// # Errors
    /// As [`AutoRecording::from_json`].
    pub fn check(self) -> Result<AutoRecording, RequestError> {
        let at = At::ROOT;
        let stream_type = at.code("StreamType", self.stream_type)?.unwrap_or(StreamType::AudioAndVideo);
        let output = at.code("OutputFormat", self.output_format)?.unwrap_or(OutputFormat::Hls);
        let sound_only = matches!(output, OutputFormat::HlsAndAac | OutputFormat::Aac);
        if sound_only && stream_type != StreamType::AudioOnly {
            return Err(at.member("OutputFormat").error(Problem::AudioOnly { got: output.code() }));
        }
        let timeout = at.number("ResumptionTimeout", self.resumption_timeout, 30, 1..=86_400)?;
        let storage = at.required("StorageParams", self.storage_params)?;
        let key = self.callback_key.filter(|key| !key.is_empty()).map(|key| key.expose().parse());
        Ok(AutoRecording {
            stream_type,
            output,
            max_file_duration: file_duration(&at, self.max_media_file_duration)?,
            resumption_timeout: Duration::from_secs(timeout),
            storage: Storage::check(&at.member("StorageParams"), storage, stream_type)?,
            callback_url: at.parsed("CallbackUrl", self.callback_url)?,
            callback_key: key
                .transpose()
                .map_err(|rule| at.member("CallbackKey").rule(TextRule::CallbackKey(rule)))?,
        })
    }
}
