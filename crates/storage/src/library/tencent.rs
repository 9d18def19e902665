use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::{TryStreamExt, stream};
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential, S3ConditionalPut};
use recorder_api::{Answer, Authorization, ScopedRequest, Secret, ServiceError, SignedHeader};
use recorder_types::UnixMillis;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{LibraryError, MediaLibrary, MediaSettings, Medium, StoredMedium};
use crate::address;
use crate::bucket::{Bucket, BucketOptions, PutMode};
use crate::error::{StorageError, VendorError};
use crate::key::ObjectKey;
use crate::retry::RetryOptions;

const SERVICE: &str = "vod";
const VERSION: &str = "2018-07-17";
const CONTENT_TYPE: &str = "application/json";
/// Longest answer that is read, in bytes; theirs have some 3 000.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Segments on their way at a time.
const PARALLEL_SEGMENTS: usize = 4;
/// Temporary keys are replaced when a tenth of their life is left, but not more than this before their end.
const RENEW_BEFORE: Duration = Duration::from_secs(120);
/// Longest contexts that VOD takes, in characters.
const MAX_SOURCE_CONTEXT: usize = 250;
const MAX_SESSION_CONTEXT: usize = 1000;

/// How a [`TencentVod`] is spoken to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TencentVodOptions {
    /// Host of the API. Default `vod.tencentcloudapi.com`; the international one is `vod.intl.tencentcloudapi.com`. With
    /// `http://` before it, it is spoken to in the clear.
    pub endpoint: String,
    /// The store that takes the files, as an address with scheme, for a relay or a test; buckets are the first part of its
    /// paths then. Default: `https://<bucket>.cos.<region>.myqcloud.com`, as the API says.
    pub storage_endpoint: Option<String>,
    /// How files go up.
    pub bucket: BucketOptions,
    /// Longest time for a call of the API. Default 30 s.
    pub timeout: Duration,
    /// Tries of a call that was not answered, and their pauses. Default three tries, as in the official SDK. What was answered
    /// is not tried again here, whatever the answer.
    pub retry: RetryOptions,
}

impl Default for TencentVodOptions {
    fn default() -> Self {
        Self {
            endpoint: "vod.tencentcloudapi.com".into(),
            storage_endpoint: None,
            bucket: BucketOptions::default(),
            timeout: Duration::from_secs(30),
            retry: RetryOptions::default().with_tries(3),
        }
    }
}

impl TencentVodOptions {
    /// Sets [`TencentVodOptions::endpoint`].
    #[must_use]
    pub fn with_endpoint(mut self, host: impl Into<String>) -> Self {
        self.endpoint = host.into();
        self
    }

    /// Sets [`TencentVodOptions::storage_endpoint`].
    #[must_use]
    pub fn with_storage_endpoint(mut self, address: impl Into<String>) -> Self {
        self.storage_endpoint = Some(address.into());
        self
    }

    /// Sets [`TencentVodOptions::bucket`].
    #[must_use]
    pub fn with_bucket(mut self, options: BucketOptions) -> Self {
        self.bucket = options;
        self
    }

    /// Sets [`TencentVodOptions::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`TencentVodOptions::retry`].
    #[must_use]
    pub fn with_retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }
}

/// Tencent Cloud VOD as the media library.
///
/// A medium is applied for, goes into VOD's own COS bucket with temporary keys that are made for it, and is committed:
/// `ApplyUpload`, upload, `CommitUpload`. Of a playlist every segment goes up beside it. Keys that run out during a long
/// upload are replaced by those of another `ApplyUpload`.
///
/// # Specification
/// `merge-and-vod.md` section 2.
#[derive(Clone)]
pub struct TencentVod(Arc<Api>);

impl fmt::Debug for TencentVod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TencentVod").field(&self.0.address).finish()
    }
}

struct Api {
    client: reqwest::Client,
    url: Url,
    /// As the signature has it.
    host: String,
    address: String,
    secret_id: Box<str>,
    secret_key: Secret,
    options: TencentVodOptions,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ApplyUpload {
    media_type: String,
    media_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_app_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    procedure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_region: Option<String>,
    class_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Applied {
    storage_bucket: String,
    storage_region: String,
    vod_session_key: Secret,
    media_storage_path: String,
    temp_certificate: Option<TempCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TempCertificate {
    secret_id: Secret,
    secret_key: Secret,
    token: Secret,
    /// Unix seconds.
    expired_time: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CommitUpload<'a> {
    vod_session_key: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_app_id: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Committed {
    file_id: String,
    media_url: String,
}

impl TencentVod {
    /// The VOD of the account that these keys belong to. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LibraryError::InvalidSetting`] if an endpoint or the id is none; [`LibraryError::Unavailable`] if there can be no
    /// HTTP client.
    pub fn new(secret_id: &str, secret_key: &str, options: TencentVodOptions) -> Result<Self, LibraryError> {
        let invalid = |setting, rule| LibraryError::InvalidSetting { setting, rule };
        let rule = "a host, or an http:// or https:// address without path, query and user";
        let url = base_url(&options.endpoint).ok_or_else(|| invalid("endpoint", rule))?;
        if options.storage_endpoint.as_ref().is_some_and(|address| base_url(address).is_none()) {
            return Err(invalid("storage_endpoint", rule));
        }
        let id_byte = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !(1..=128).contains(&secret_id.len()) || !secret_id.bytes().all(id_byte) || secret_key.is_empty() {
            return Err(invalid("SecretId", "1 to 128 of A-Z a-z 0-9 - _, with a SecretKey"));
        }
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(options.timeout)
            .build()
            .map_err(|error| unanswered("HttpClient", &error))?;
        let address = format!("tencent:{host}");
        let (secret_id, secret_key) = (secret_id.into(), Secret::new(secret_key));
        Ok(Self(Arc::new(Api { client, url, host, address, secret_id, secret_key, options })))
    }
}

/// The root of a host, `https` where no scheme is told.
fn base_url(address: &str) -> Option<Url> {
    let text = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let url = Url::parse(&text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

#[async_trait]
impl MediaLibrary for TencentVod {
    fn address(&self) -> &str {
        &self.0.address
    }

    fn check(&self, settings: &MediaSettings) -> Result<(), LibraryError> {
        let over = |text: &Option<String>, max| text.as_ref().is_some_and(|text| text.chars().count() > max);
        if over(&settings.source_context, MAX_SOURCE_CONTEXT) {
            return Err(LibraryError::InvalidSetting {
                setting: "SourceContext",
                rule: "VOD takes 250 characters",
            });
        }
        if over(&settings.session_context, MAX_SESSION_CONTEXT) {
            return Err(LibraryError::InvalidSetting {
                setting: "SessionContext",
                rule: "VOD takes 1000 characters",
            });
        }
        Ok(())
    }

    async fn put(&self, medium: &Medium, settings: &MediaSettings) -> Result<StoredMedium, LibraryError> {
        self.check(settings)?;
        let apply = Api::application(medium, settings, now())?;
        let applied: Applied = self.0.call("ApplyUpload", &apply).await?;
        let session = applied.vod_session_key.clone();
        self.0.upload(medium, apply, applied).await?;
        let commit = CommitUpload { vod_session_key: &session, sub_app_id: settings.sub_app_id };
        let committed: Committed = self.0.call("CommitUpload", &commit).await?;
        Ok(StoredMedium { file_id: committed.file_id, url: committed.media_url })
    }
}

impl Api {
    fn application(
        medium: &Medium,
        settings: &MediaSettings,
        now: Duration,
    ) -> Result<ApplyUpload, LibraryError> {
        let expire_time = match settings.expire_after {
            None => None,
            Some(after) => {
                let rule = "ends after the year 9999";
                let invalid = LibraryError::InvalidSetting { setting: "ExpireTime", rule };
                Some(iso_8601(now.saturating_add(after)).ok_or(invalid)?)
            }
        };
        Ok(ApplyUpload {
            media_type: medium.extension().to_owned(),
            media_name: medium.title().to_owned(),
            sub_app_id: settings.sub_app_id,
            procedure: settings.procedure.clone(),
            expire_time,
            storage_region: settings.storage_region.clone(),
            class_id: settings.class_id,
            source_context: settings.source_context.clone(),
            session_context: settings.session_context.clone(),
        })
    }

    /// Brings the files of `medium` to where `applied` says.
    async fn upload(
        self: &Arc<Self>,
        medium: &Medium,
        apply: ApplyUpload,
        applied: Applied,
    ) -> Result<(), LibraryError> {
        let path = applied.media_storage_path.strip_prefix('/').unwrap_or(&applied.media_storage_path);
        let key: ObjectKey = path.parse().map_err(|_| unusable("MediaStoragePath is no object key"))?;
        let certificate = applied.temp_certificate.as_ref();
        let certificate = certificate.ok_or_else(|| unusable("there is no TempCertificate"))?;
        let keys = TemporaryKeys {
            api: Arc::clone(self),
            apply,
            current: tokio::sync::Mutex::new(Current::new(certificate)),
        };
        let bucket = self.bucket(&applied.storage_bucket, &applied.storage_region, keys)?;
        let Some(playlist) = medium.playlist() else {
            let mut files = medium.files();
            let Some((name, path)) = files.next() else { return Ok(()) };
            return bucket
                .put_file(&key, path, PutMode::Replace)
                .await
                .map_err(|error| upload_error(name, error));
        };
        // Each beside the playlist, which names it by its bare name.
        let directory = path.rsplit_once('/').map(|(directory, _)| directory);
        stream::iter(medium.files().map(Ok))
            .try_for_each_concurrent(PARALLEL_SEGMENTS, |(name, file)| {
                let bucket = &bucket;
                async move {
                    let text = directory.map_or_else(|| name.to_string(), |dir| format!("{dir}/{name}"));
                    let key: ObjectKey = text.parse().map_err(LibraryError::Upload)?;
                    let put = bucket.put_file(&key, file, PutMode::Replace).await;
                    put.map_err(|error| upload_error(name, error))
                }
            })
            .await?;
        bucket.put(&key, playlist.clone()).await.map_err(LibraryError::Upload)
    }

    fn bucket(&self, name: &str, region: &str, keys: TemporaryKeys) -> Result<Bucket, LibraryError> {
        // Both become part of a host's name.
        let part = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !part(name) || !part(region) {
            return Err(unusable("StorageBucket or StorageRegion is not one"));
        }
        let options = &self.options.bucket;
        let (endpoint, by_host) = match &self.options.storage_endpoint {
            Some(endpoint) => (endpoint.trim_end_matches('/').to_owned(), false),
            None => (format!("https://{name}.cos.{region}.myqcloud.com"), true),
        };
        let clear = endpoint.starts_with("http://");
        let store = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(region)
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(by_host)
            .with_conditional_put(S3ConditionalPut::Disabled)
            .with_credentials(Arc::new(keys))
            .with_retry(address::retry(options))
            .with_client_options(address::client_options(clear))
            .build()
            .map_err(|_| unusable("there is no store at StorageBucket and StorageRegion"))?;
        let store = Arc::new(store);
        Ok(Bucket::from_multipart_store(store.clone(), store, None, options.clone()))
    }

    /// One call, repeated while there is no answer of the API.
    async fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        request: &impl Serialize,
    ) -> Result<T, LibraryError> {
        let body = serde_json::to_vec(request).expect("a request holds texts and numbers only");
        let mut pauses = self.options.retry.jitter(0);
        loop {
            let failure = match self.exchange(action, body.clone()).await {
                Ok(answer) => match Answer::<T>::from_json(&answer) {
                    Ok(Answer { result: Ok(fields), .. }) => return Ok(fields),
                    Ok(Answer { result: Err(error), request_id }) => {
                        return Err(answered(&error, request_id.as_str()));
                    }
                    Err(error) => unanswered("InvalidAnswer", &error),
                },
                Err(error) => error,
            };
            match pauses.next_pause() {
                Some(pause) => {
                    tracing::debug!(action, ?pause, "no answer, trying again");
                    tokio::time::sleep(pause).await;
                }
                None => return Err(failure),
            }
        }
    }

    async fn exchange(&self, action: &str, body: Vec<u8>) -> Result<Vec<u8>, LibraryError> {
        let timestamp = now().as_secs();
        let headers = [
            SignedHeader { name: "content-type", value: CONTENT_TYPE },
            SignedHeader { name: "host", value: &self.host },
            SignedHeader { name: "x-tc-action", value: action },
        ];
        let call = ScopedRequest::post(SERVICE, &headers, &body);
        let authorization = Authorization::sign(&call, &self.secret_id, &self.secret_key, timestamp)
            .map_err(|error| unanswered("Signature", &error))?;
        let lost = |error: reqwest::Error| unanswered("Unavailable", &error.without_url());
        let request = self
            .client
            .post(self.url.clone())
            .header("Content-Type", CONTENT_TYPE)
            .header("Host", &self.host)
            .header("X-TC-Action", action)
            .header("X-TC-Version", VERSION)
            .header("X-TC-Timestamp", timestamp)
            .header("Authorization", authorization)
            .body(body);
        let mut response = request.send().await.map_err(lost)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(unusable("it is too long"));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// The keys of one upload, for as long as it takes.
struct TemporaryKeys {
    api: Arc<Api>,
    apply: ApplyUpload,
    current: tokio::sync::Mutex<Current>,
}

struct Current {
    keys: Arc<AwsCredential>,
    /// When they are replaced.
    renew_at: Duration,
}

impl Current {
    fn new(certificate: &TempCertificate) -> Self {
        let expires = Duration::from_secs(certificate.expired_time);
        let life = expires.saturating_sub(now());
        let keys = Arc::new(AwsCredential {
            key_id: certificate.secret_id.expose().to_owned(),
            secret_key: certificate.secret_key.expose().to_owned(),
            token: Some(certificate.token.expose().to_owned()),
        });
        Self { keys, renew_at: expires.saturating_sub(RENEW_BEFORE.min(life / 10)) }
    }
}

impl fmt::Debug for TemporaryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryKeys").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for TemporaryKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut current = self.current.lock().await;
        if now() >= current.renew_at {
            // The place and the session stay those of the first answer.
            let applied = self.api.call::<Applied>("ApplyUpload", &self.apply).await;
            let certificate = applied.and_then(|applied| {
                applied.temp_certificate.ok_or_else(|| unusable("there is no TempCertificate"))
            });
            let certificate = certificate.map_err(|error| object_store::Error::Generic {
                store: "VOD",
                source: error.message().into(),
            })?;
            *current = Current::new(&certificate);
        }
        Ok(Arc::clone(&current.keys))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2018-10-01T10:00:00Z`; `None` after the year 9999.
fn iso_8601(time: Duration) -> Option<String> {
    let digits = UnixMillis::new(u64::try_from(time.as_millis()).ok()?)?.utc_digits();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    Some(format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..12),
        part(12..14)
    ))
}

fn upload_error(name: &recorder_types::ObjectName, error: StorageError) -> LibraryError {
    match error {
        StorageError::Source { source, .. } => LibraryError::Source { name: name.clone(), source },
        error => LibraryError::Upload(error),
    }
}

/// What the API answered, by who has to act.
fn answered(error: &ServiceError, request_id: &str) -> LibraryError {
    let vendor = VendorError::new(error.code(), error.message());
    let again = match error.code() {
        // Another upload has another session.
        "InvalidParameterValue.VodSessionKey" => true,
        code => matches!(
            code.split('.').next(),
            Some(
                "FailedOperation"
                    | "InternalError"
                    | "LimitExceeded"
                    | "RequestLimitExceeded"
                    | "ResourceInsufficient"
                    | "ResourceUnavailable"
            )
        ),
    };
    if again {
        LibraryError::Unavailable { vendor }
    } else {
        LibraryError::Refused { vendor, request_id: request_id.chars().take(64).collect::<String>().into() }
    }
}

/// There was no answer, or none that can be read.
fn unanswered(code: &str, error: &dyn std::error::Error) -> LibraryError {
    LibraryError::Unavailable { vendor: VendorError::new(code, &recorder_types::with_causes(error)) }
}

fn unusable(what: &str) -> LibraryError {
    LibraryError::Unavailable {
        vendor: VendorError::new("InvalidAnswer", &format!("the answer cannot be used: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_counts_from_the_upload_and_is_written_in_utc() {
        let at = Duration::from_millis(1_700_000_000_999);
        assert_eq!(iso_8601(at).unwrap(), "2023-11-14T22:13:20Z");
        let medium = Medium::file("a.mp4".parse().unwrap(), "a.mp4".into());
        let mut settings = MediaSettings::default();
        let expiry =
            |settings: &MediaSettings| Api::application(&medium, settings, at).map(|a| a.expire_time);
        assert_eq!(expiry(&settings).unwrap(), None);
        settings.expire_after = Some(Duration::from_secs(86_400));
        assert_eq!(expiry(&settings).unwrap().unwrap(), "2023-11-15T22:13:20Z");
        settings.expire_after = Some(Duration::from_secs(1 << 40));
        assert!(matches!(expiry(&settings), Err(LibraryError::InvalidSetting { setting: "ExpireTime", .. })));
    }

    #[test]
    fn endpoints_are_hosts_and_nothing_more() {
        for good in ["vod.tencentcloudapi.com", "http://127.0.0.1:8080", "https://vod.example/"] {
            assert!(
                TencentVod::new("AKID", "k", TencentVodOptions::default().with_endpoint(good)).is_ok(),
                "{good}"
            );
        }
        for bad in ["", "ftp://a", "a/b", "https://u:p@a", "https://a?b", "a b"] {
            let options = TencentVodOptions::default().with_endpoint(bad);
            assert!(TencentVod::new("AKID", "k", options).is_err(), "{bad}");
        }
        for (id, key) in [("", "k"), ("a b", "k"), ("AKID", "")] {
            assert!(TencentVod::new(id, key, TencentVodOptions::default()).is_err());
        }
        let vod = TencentVod::new("AKID", "s3cret", TencentVodOptions::default()).unwrap();
        assert_eq!(vod.address(), "tencent:vod.tencentcloudapi.com");
        assert!(!format!("{vod:?}").contains("s3cret") && !vod.reopens());
    }
}
