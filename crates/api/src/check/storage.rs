use std::time::Duration;

use recorder_naming::{KeyPrefix, UserDefineRecordId};

use super::at::At;
use super::coded::{StreamType, Vendor, VodMediaType};
use crate::error::{Problem, RequestError, TextRule};
use crate::{Secret, wire};

/// Longest name of a bucket or region, and longest key, in bytes. Ours; vendors' are shorter.
const MAX_NAME_BYTES: usize = 255;
const MAX_KEY_BYTES: usize = 1024;
/// Longest text that is passed on to VOD, in bytes. Ours.
const MAX_CONTEXT_BYTES: usize = 4096;

/// Where files go (`StorageParams`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `CloudStorage`.
    Bucket(StorageBucket),
    /// `CloudVod`.
    Vod(VodSettings),
}

/// A bucket and the keys to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageBucket {
    /// Whose it is.
    pub vendor: Vendor,
    /// 1 to 255 bytes; of letters, digits, `-` and `_` where there is no endpoint, because it is part of the host's name
    /// then.
    pub region: String,
    /// 1 to 255 bytes without control characters; of COS and OSS, where it is part of the host's name, of letters, digits,
    /// `-` and `_`.
    pub bucket: String,
    /// At most 1024 bytes.
    pub access_key: Secret,
    /// At most 1024 bytes.
    pub secret_key: Secret,
    /// Directories before the task's.
    pub prefix: KeyPrefix,
    /// Host and optional port, without scheme: of S3-compatible storage elsewhere, or another of the vendor's.
    pub endpoint: Option<String>,
}

/// How a file is handed to VOD (`TencentVod`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VodSettings {
    /// Task flow after the upload.
    pub procedure: Option<String>,
    /// How long the file is kept; `None` for ever.
    pub expire: Option<Duration>,
    /// Where it is uploaded.
    pub region: Option<String>,
    /// Category; 0 is "other".
    pub class: u32,
    /// VOD application.
    pub sub_app: Option<u32>,
    /// Passed on to the callback of the task flow.
    pub session_context: Option<String>,
    /// Passed on to the callback of the upload.
    pub source_context: Option<String>,
    /// Which files.
    pub media_type: VodMediaType,
    /// Prefix of file names.
    pub record_id: Option<UserDefineRecordId>,
}

impl Storage {
    pub(super) fn check(
        at: &At<'_>,
        wire: wire::StorageParams,
        stream_type: StreamType,
    ) -> Result<Self, RequestError> {
        match (wire.cloud_storage, wire.cloud_vod) {
            (Some(_), Some(_)) => Err(at.member("CloudStorage").error(Problem::Both { other: "CloudVod" })),
            (None, None) => Err(at.member("CloudStorage").error(Problem::Missing)),
            (Some(bucket), None) => {
                StorageBucket::check(&at.member("CloudStorage"), bucket).map(Self::Bucket)
            }
            (None, Some(vod)) => {
                let at = at.member("CloudVod");
                VodSettings::check(&at.member("TencentVod"), vod.tencent_vod.unwrap_or_default(), stream_type)
                    .map(Self::Vod)
            }
        }
    }
}

impl StorageBucket {
    fn check(at: &At<'_>, wire: wire::CloudStorage) -> Result<Self, RequestError> {
        let vendor = at.required("Vendor", at.code("Vendor", wire.vendor)?)?;
        let region = at.required("Region", at.text("Region", wire.region, MAX_NAME_BYTES)?)?;
        let bucket = at.required("Bucket", at.text("Bucket", wire.bucket, MAX_NAME_BYTES)?)?;
        let access_key = at.required("AccessKey", at.secret("AccessKey", wire.access_key, MAX_KEY_BYTES)?)?;
        let secret_key = at.required("SecretKey", at.secret("SecretKey", wire.secret_key, MAX_KEY_BYTES)?)?;
        let prefix = KeyPrefix::parse(wire.file_name_prefix.unwrap_or_default())
            .map_err(|rule| at.member("FileNamePrefix").rule(rule))?;
        let endpoint = at.text("EndpointUrl", wire.endpoint_url, MAX_NAME_BYTES)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_:".contains(&b);
        if endpoint.as_ref().is_some_and(|endpoint| !endpoint.bytes().all(allowed)) {
            return Err(at.member("EndpointUrl").rule(TextRule::Endpoint));
        }
        let part = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if endpoint.is_none() && !part(&region) {
            return Err(at.member("Region").rule(TextRule::HostPart));
        }
        let in_host = matches!(vendor, Vendor::Cos | Vendor::Oss);
        if in_host && !part(&bucket) {
            return Err(at.member("Bucket").rule(TextRule::HostPart));
        }
        Ok(Self { vendor, region, bucket, access_key, secret_key, prefix, endpoint })
    }
}

impl VodSettings {
    fn check(at: &At<'_>, wire: wire::TencentVod, stream_type: StreamType) -> Result<Self, RequestError> {
        let media_type = at.code("MediaType", wire.media_type)?.unwrap_or(VodMediaType::Mp4);
        let sound_only = matches!(media_type, VodMediaType::Aac | VodMediaType::HlsAndAac);
        if sound_only && stream_type != StreamType::AudioOnly {
            return Err(at.member("MediaType").error(Problem::AudioOnly { got: media_type.code() }));
        }
        let number = 0..=i64::from(u32::MAX);
        let expire: u64 = at.number("ExpireTime", wire.expire_time, 0, number.clone())?;
        let sub_app = wire.sub_app_id.map(|id| at.number("SubAppId", Some(id), id, number.clone()));
        Ok(Self {
            procedure: at.text("Procedure", wire.procedure, MAX_CONTEXT_BYTES)?,
            expire: (expire > 0).then(|| Duration::from_secs(expire)),
            region: at.text("StorageRegion", wire.storage_region, MAX_NAME_BYTES)?,
            class: at.number("ClassId", wire.class_id, 0, number.clone())?,
            sub_app: sub_app.transpose()?,
            session_context: at.text("SessionContext", wire.session_context, MAX_CONTEXT_BYTES)?,
            source_context: at.text("SourceContext", wire.source_context, MAX_CONTEXT_BYTES)?,
            media_type,
            record_id: at.parsed("UserDefineRecordId", wire.user_define_record_id)?,
        })
    }
}
