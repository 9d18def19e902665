use recorder_api::{
    AvMerge, CreateRecording, ErrorCode, MediaSelection, OutputFormat, RecordMode, RecordSettings, Secret,
    ServiceError, Storage, StorageBucket, StreamType, UserList, Vendor,
};
use recorder_types::{MediaKind, TaskId};

use crate::subscribe::{Subscription, SubscriptionError};
use crate::{MaxFileDuration, MaxIdleTime, StreamSelection, TaskOptions};

/// Why a request of the API makes no task here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTask {
    /// `RecordMode` 2, which needs the feature `mix`.
    #[error("mixed recording (RecordMode 2) is not done by this service")]
    Mixed,
    /// `CloudVod`.
    #[error("recording to VOD (CloudVod) is not done by this service")]
    Vod,
    /// A time outside the range of tasks.
    #[error("MaxIdleTime or MaxMediaFileDuration is outside its range")]
    Time,
    /// A watermark's clock that no place on earth has.
    #[error("a watermark's Pos or TimeZone is outside its range")]
    Watermark,
    /// Subscription lists that cannot be.
    #[error("SubscribeStreamUserIds: {0}")]
    Lists(SubscriptionError),
}

impl From<InvalidTask> for ServiceError {
    fn from(error: InvalidTask) -> Self {
        let code = match error {
            InvalidTask::Mixed | InvalidTask::Vod => ErrorCode::UnsupportedOperation,
            InvalidTask::Time | InvalidTask::Watermark | InvalidTask::Lists(_) => {
                ErrorCode::InvalidParameterOutOfRange
            }
        };
        Self::new(code, error.to_string())
    }
}

/// What a request asks for, as a task with the id `task`.
///
/// `max_idle` may be as short as 1 s, as auto-recording templates have it.
/// `FillType` has no meaning for a single-stream task here, whose video is passed through as it comes, nor has
/// `SubscribeAbility` for any: the embedder says which streams there are. Images that a layout or a watermark names are
/// fetched by the recording, with the feature `http`.
///
/// # Errors
/// [`InvalidTask`].
pub fn task_options(request: &CreateRecording, task: TaskId) -> Result<TaskOptions, InvalidTask> {
    let Storage::Bucket(bucket) = &request.storage else { return Err(InvalidTask::Vod) };
    let record = &request.record;
    let mut options = TaskOptions::new(request.app, request.room.clone(), task, request.robot.clone());
    options.prefix = bucket.prefix.clone();
    options.stream_type = match record.stream_type {
        StreamType::AudioAndVideo => StreamSelection::AudioAndVideo,
        StreamType::AudioOnly => StreamSelection::AudioOnly,
        StreamType::VideoOnly => StreamSelection::VideoOnly,
    };
    options.media = match record.media {
        MediaSelection::Both => crate::MediaSelection::Both,
        MediaSelection::MainOnly => crate::MediaSelection::MainOnly,
        MediaSelection::AuxOnly => crate::MediaSelection::AuxOnly,
    };
    options.merge = match record.merge {
        AvMerge::Separate => crate::AvMerge::Separate,
        AvMerge::Merged => crate::AvMerge::Merged,
    };
    options.output = match record.output {
        OutputFormat::Hls => crate::OutputFormat::Hls,
        OutputFormat::HlsAndMp4 => crate::OutputFormat::HlsAndMp4,
        OutputFormat::HlsAndAac => crate::OutputFormat::HlsAndAac,
        OutputFormat::Mp4 => crate::OutputFormat::Mp4,
        OutputFormat::Aac => crate::OutputFormat::Aac,
    };
    match &request.mode {
        RecordMode::SingleStream => {}
        #[cfg(feature = "mix")]
        RecordMode::Mixed(settings) => {
            options.mix = Some(super::mix::mix_options(settings, record.fill)?);
        }
        #[cfg(not(feature = "mix"))]
        RecordMode::Mixed(_) => return Err(InvalidTask::Mixed),
    }
    options.subscription = subscription(&record.audio_users, &record.video_users)?;
    options.max_idle = max_idle(record).ok_or(InvalidTask::Time)?;
    options.max_file_duration = max_file_duration(record).ok_or(InvalidTask::Time)?;
    Ok(options)
}

fn max_idle(record: &RecordSettings) -> Option<MaxIdleTime> {
    u32::try_from(record.max_idle.as_secs()).ok().and_then(MaxIdleTime::from_template_secs)
}

fn max_file_duration(record: &RecordSettings) -> Option<MaxFileDuration> {
    u16::try_from(record.max_file_duration.as_secs() / 60).ok().and_then(MaxFileDuration::from_minutes)
}

pub(super) fn subscription(audio: &UserList, video: &UserList) -> Result<Subscription, InvalidTask> {
    let mut subscription = Subscription::everyone();
    for (kind, list) in [(MediaKind::Audio, audio), (MediaKind::Video, video)] {
        subscription = match list {
            UserList::Everyone => Ok(subscription),
            UserList::Allow(users) => subscription.with_allowed(kind, users.iter().map(|user| user.as_str())),
            UserList::Block(users) => subscription.with_blocked(kind, users.iter().map(|user| user.as_str())),
        }
        .map_err(InvalidTask::Lists)?;
    }
    Ok(subscription)
}

/// The address of a request's bucket, for [`Bucket::open`](recorder_storage::Bucket::open) with the feature `aws`. It
/// holds the keys.
///
/// COS is spoken to by its S3-compatible interface, at `https://<bucket>.cos.<region>.myqcloud.com`, without conditional
/// puts, which it does not know.
#[must_use]
pub fn bucket_address(bucket: &StorageBucket) -> Secret {
    let region = encoded(&bucket.region);
    let endpoint = match (&bucket.endpoint, bucket.vendor) {
        (Some(host), _) => format!("&endpoint={}", encoded(&format!("https://{host}"))),
        (None, Vendor::Cos) => {
            let host = format!("https://{}.cos.{}.myqcloud.com", bucket.bucket, bucket.region);
            format!("&endpoint={}&virtual_hosted_style_request=true&conditional_put=disabled", encoded(&host))
        }
        (None, Vendor::S3) => String::new(),
    };
    Secret::new(format!(
        "s3://{}?region={region}{endpoint}&access_key_id={}&secret_access_key={}",
        encoded(&bucket.bucket),
        encoded(bucket.access_key.expose()),
        encoded(bucket.secret_key.expose()),
    ))
}

/// Percent-encoding of everything but letters, digits and `-._~` (RFC 3986 unreserved).
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
