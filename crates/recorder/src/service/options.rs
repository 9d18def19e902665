use recorder_api::{
    AvMerge, CreateRecording, ErrorCode, MediaSelection, OutputFormat, RecordMode, RecordSettings, Secret,
    ServiceError, Storage, StorageBucket, StreamType, UserList, Vendor, VodMediaType, VodSettings,
};
use recorder_storage::MediaSettings;
use recorder_types::{MediaKind, TaskId};

use crate::subscribe::{Subscription, SubscriptionError};
use crate::{Delivery, MaxFileDuration, MaxIdleTime, StreamSelection, TaskOptions};

/// Why a request of the API makes no task here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTask {
    /// `RecordMode` 2, which needs the feature `mix`.
    #[error("mixed recording (RecordMode 2) is not done by this service")]
    Mixed,
    /// `CloudVod`, where the embedder has no media library ([`ServiceOptions::with_library`](super::ServiceOptions::with_library)).
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
    let record = &request.record;
    let mut options = TaskOptions::new(request.app, request.room.clone(), task, request.robot.clone());
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
    match &request.storage {
        Storage::Bucket(bucket) => {
            options.prefix = bucket.prefix.clone();
            options.output = match record.output {
                OutputFormat::Hls => crate::OutputFormat::Hls,
                OutputFormat::HlsAndMp4 => crate::OutputFormat::HlsAndMp4,
                OutputFormat::HlsAndAac => crate::OutputFormat::HlsAndAac,
                OutputFormat::Mp4 => crate::OutputFormat::Mp4,
                OutputFormat::Aac => crate::OutputFormat::Aac,
            };
        }
        Storage::Vod(vod) => {
            options.delivery = Delivery::Library { record_id: vod.record_id.clone() };
            options.output = match vod.media_type {
                VodMediaType::Mp4 => crate::OutputFormat::Mp4,
                VodMediaType::Hls => crate::OutputFormat::Hls,
                VodMediaType::Aac => crate::OutputFormat::Aac,
                VodMediaType::HlsAndMp4 => crate::OutputFormat::HlsAndMp4,
                VodMediaType::HlsAndAac => crate::OutputFormat::HlsAndAac,
            };
        }
    }
    match &request.mode {
        RecordMode::SingleStream => {}
        #[cfg(feature = "mix")]
        RecordMode::Mixed(settings) => {
            options.mix = Some(crate::MixOptions::from_settings(settings, record.fill)?);
        }
        #[cfg(not(feature = "mix"))]
        RecordMode::Mixed(_) => return Err(InvalidTask::Mixed),
    }
    options.subscription = subscription(&record.audio_users, &record.video_users)?;
    options.max_idle = max_idle(record).ok_or(InvalidTask::Time)?;
    options.max_file_duration = max_file_duration(record).ok_or(InvalidTask::Time)?;
    Ok(options)
}

/// How a media library is to keep what a request records to VOD.
pub(super) fn media_settings(vod: &VodSettings) -> MediaSettings {
    let mut settings = MediaSettings::default();
    settings.procedure = vod.procedure.clone();
    settings.expire_after = vod.expire;
    settings.storage_region = vod.region.clone();
    settings.class_id = vod.class;
    settings.sub_app_id = vod.sub_app;
    settings.session_context = vod.session_context.clone();
    settings.source_context = vod.source_context.clone();
    settings
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

/// Hosts that speak the protocol of Azure Blob Storage.
const AZURE_HOSTS: [&str; 3] =
    [".blob.core.windows.net", ".blob.core.chinacloudapi.cn", ".blob.core.usgovcloudapi.net"];
/// Hosts of COS and OSS, which want the bucket in the host's name.
const BUCKET_HOSTS: [&str; 3] = [".myqcloud.com", ".tencentcos.cn", ".aliyuncs.com"];

/// The address of a request's bucket, for [`Bucket::open`](recorder_storage::Bucket::open). It holds the keys.
///
/// | `Vendor` | `EndpointUrl` | spoken to | feature |
/// |---|---|---|---|
/// | 0, COS | | S3 at `https://<bucket>.cos.<region>.myqcloud.com` | `aws` |
/// | 1, S3 | | AWS S3 of the region | `aws` |
/// | 2, OSS | | S3 at `https://<bucket>.s3.oss-<region>.aliyuncs.com` | `aws` |
/// | 0, 2 | a host of theirs | S3 at `https://<bucket>.<host>` | `aws` |
/// | any | `<account>.blob.core.windows.net`, and that of China and of the US government | Azure Blob Storage: `Bucket` is the container, `AccessKey` the account's name, `SecretKey` its key | `azure` |
/// | any | any other | S3 at `https://<host>/<bucket>` | `aws` |
///
/// COS, OSS and Google's S3 interface (`storage.googleapis.com`, with HMAC keys) do not know conditional puts: there the
/// recorder looks before it writes.
#[must_use]
pub fn bucket_address(bucket: &StorageBucket) -> Secret {
    let name = &bucket.bucket;
    let host = bucket.endpoint.as_ref().map(|endpoint| endpoint.to_ascii_lowercase());
    let host = host.as_deref().map(|host| host.split_once(':').map_or(host, |(host, _port)| host));
    let of = |hosts: &[&str]| host.is_some_and(|host| hosts.iter().any(|known| host.ends_with(known)));
    let (access, secret) = (encoded(bucket.access_key.expose()), encoded(bucket.secret_key.expose()));
    if let Some(endpoint) = bucket.endpoint.as_ref().filter(|_| of(&AZURE_HOSTS)) {
        return Secret::new(format!(
            "az://{}?endpoint={}&account_name={access}&account_key={secret}",
            encoded(name),
            encoded(&format!("https://{endpoint}")),
        ));
    }
    let own_host = match (&bucket.endpoint, bucket.vendor) {
        (None, Vendor::S3) => None,
        (None, Vendor::Cos) => Some(format!("{name}.cos.{}.myqcloud.com", bucket.region)),
        (None, Vendor::Oss) => {
            let region = bucket.region.strip_prefix("oss-").unwrap_or(&bucket.region);
            Some(format!("{name}.s3.oss-{region}.aliyuncs.com"))
        }
        (Some(endpoint), Vendor::Cos | Vendor::Oss) if of(&BUCKET_HOSTS) => {
            let there = endpoint.starts_with(&format!("{name}."));
            Some(if there { endpoint.clone() } else { format!("{name}.{endpoint}") })
        }
        (Some(_), _) => None,
    };
    let endpoint = match (&own_host, &bucket.endpoint) {
        (Some(host), _) => {
            format!("&endpoint={}&virtual_hosted_style_request=true", encoded(&format!("https://{host}")))
        }
        (None, Some(endpoint)) => format!("&endpoint={}", encoded(&format!("https://{endpoint}"))),
        (None, None) => String::new(),
    };
    let conditional = bucket.vendor == Vendor::S3 && own_host.is_none() && !of(&["storage.googleapis.com"]);
    Secret::new(format!(
        "s3://{}?region={}{endpoint}{}&access_key_id={access}&secret_access_key={secret}",
        encoded(name),
        encoded(&bucket.region),
        if conditional { "" } else { "&conditional_put=disabled" },
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
