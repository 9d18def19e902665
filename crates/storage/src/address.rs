use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;
use url::Url;

use crate::backend::Backend;
use crate::bucket::BucketOptions;
use crate::error::{StorageError, redact_text};

/// What an address points to, before anything is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Memory,
    Directory(PathBuf),
    Cloud(Url),
}

/// A text without `scheme:` in front is a path; a one-letter scheme is a drive of Windows.
pub(crate) fn parse(text: &str) -> Result<Address, StorageError> {
    let wrong = |reason: &str| invalid(text, reason);
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    let scheme = match text.split_once(':') {
        Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(is_scheme_byte) => scheme,
        _ => return Ok(Address::Directory(text.into())),
    };
    match scheme {
        "memory" => match text {
            "memory:" | "memory://" | "memory:///" => Ok(Address::Memory),
            _ => Err(wrong("memory has no path")),
        },
        "file" => {
            let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(wrong("a directory has no query"));
            }
            url.to_file_path().map(Address::Directory).map_err(|()| wrong("it is not a local path"))
        }
        _ => {
            let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
            if url.host_str().is_none_or(str::is_empty) {
                return Err(wrong("it names no bucket"));
            }
            if url.fragment().is_some() {
                return Err(wrong("an address has no fragment"));
            }
            Ok(Address::Cloud(url))
        }
    }
}

/// The path that an address means: a text without `scheme://`, or a `file` URL. `None` for everything else, which
/// [`Bucket::open`](crate::Bucket::open) judges.
///
/// # Errors
/// [`StorageError::InvalidUrl`] for a `file` URL that is no local path.
pub fn local_path(address: &str) -> Result<Option<PathBuf>, StorageError> {
    if !address.contains("://") && address != "memory:" {
        return Ok(Some(address.into()));
    }
    if !address.starts_with("file://") {
        return Ok(None);
    }
    match parse(address)? {
        Address::Directory(path) => Ok(Some(path)),
        Address::Memory | Address::Cloud(_) => Ok(None),
    }
}

/// The address of the place that an object lies in, and its name: the last component of its path.
pub(crate) fn split_object(text: &str) -> Result<(String, String), StorageError> {
    let Address::Cloud(mut url) = parse(text)? else {
        return Err(invalid(text, "it is not the URL of an object"));
    };
    let (folder, name) = url.path().rsplit_once('/').unwrap_or_default();
    let nameless = || invalid(text, "it names no object");
    let hides_slash = name.to_ascii_lowercase().contains("%2f");
    let name = Path::from_url_path(name).map_err(|_| nameless())?.to_string();
    if name.is_empty() || hides_slash {
        return Err(nameless());
    }
    let folder = folder.to_owned();
    url.set_path(&folder);
    Ok((url.into(), name))
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// The address without user name, password and query.
pub(crate) fn redacted(url: &Url) -> Box<str> {
    redact_text(url.as_str()).into()
}

/// Settings of an address that are no secret.
const PUBLIC_SETTINGS: [&str; 13] = [
    "account_name",
    "allow_http",
    "aws_allow_http",
    "aws_endpoint",
    "aws_region",
    "bucket",
    "conditional_put",
    "container",
    "container_name",
    "endpoint",
    "region",
    "use_emulator",
    "virtual_hosted_style_request",
];

/// Whether the address holds nothing but what everybody may know.
pub(crate) fn is_public(url: &Url) -> bool {
    url.password().is_none()
        && url.query_pairs().all(|(key, _)| PUBLIC_SETTINGS.contains(&key.to_ascii_lowercase().as_str()))
}

/// What the client says of a configuration can hold the value that it does not take.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
const UNUSABLE: &str = "a setting of the address or the environment is missing, or cannot be used";

fn invalid(text: &str, reason: &str) -> StorageError {
    let url = redact_text(text).escape_debug().collect::<String>();
    StorageError::InvalidUrl { url: url.into(), reason: redact_text(reason).into() }
}

/// The store behind the address, and the prefix inside it.
pub(crate) fn open_cloud(url: &Url, options: &BucketOptions) -> Result<(Backend, Path), StorageError> {
    let prefix = Path::from_url_path(url.path()).map_err(|_| {
        invalid(url.as_str(), "its path has an empty component, `.`, `..` or a control character")
    })?;
    let store = match url.scheme() {
        "s3" | "s3a" => open_s3(url, options)?,
        "az" | "azure" | "abfs" | "abfss" => open_azure(url, options)?,
        "gs" => open_gcs(url, options)?,
        "http" | "https" => open_http(url, options)?,
        _ => {
            return Err(invalid(url.as_str(), "its scheme is none of file, memory, s3, az, gs, http, https"));
        }
    };
    Ok((store, prefix))
}

#[cfg(not(all(feature = "aws", feature = "azure", feature = "gcp", feature = "http")))]
fn off(url: &Url, feature: &'static str) -> StorageError {
    StorageError::FeatureOff { scheme: url.scheme().into(), feature }
}

#[cfg(not(feature = "aws"))]
fn open_s3(url: &Url, _options: &BucketOptions) -> Result<Backend, StorageError> {
    Err(off(url, "aws"))
}

#[cfg(not(feature = "azure"))]
fn open_azure(url: &Url, _options: &BucketOptions) -> Result<Backend, StorageError> {
    Err(off(url, "azure"))
}

#[cfg(not(feature = "gcp"))]
fn open_gcs(url: &Url, _options: &BucketOptions) -> Result<Backend, StorageError> {
    Err(off(url, "gcp"))
}

#[cfg(not(feature = "http"))]
fn open_http(url: &Url, _options: &BucketOptions) -> Result<Backend, StorageError> {
    Err(off(url, "http"))
}

#[cfg(feature = "aws")]
fn open_s3(url: &Url, options: &BucketOptions) -> Result<Backend, StorageError> {
    use object_store::aws::AmazonS3Builder;
    use object_store::client::{HttpConnector, ReqwestConnector};
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(url.host_str().unwrap_or_default());
    for (key, value) in url.query_pairs() {
        let config = key.to_ascii_lowercase().parse().map_err(|_| unknown_key(url, &key))?;
        builder = builder.with_config(config, value);
    }
    let unusable = |_| invalid(url.as_str(), UNUSABLE);
    // Every store deletes one object; not every one takes lists of them.
    let builder =
        builder.with_retry(retry(options)).with_client_options(client(url)).with_disable_bulk_delete(true);
    let store = Arc::new(builder.build().map_err(unusable)?);
    let client = ReqwestConnector::default().connect(&client(url)).map_err(unusable)?;
    let uploads = Arc::new(crate::s3::S3Uploads::new(store.clone(), client));
    Ok(Backend { uploads: Some(uploads), ..Backend::in_parts(store.clone(), store) })
}

#[cfg(feature = "azure")]
fn open_azure(url: &Url, options: &BucketOptions) -> Result<Backend, StorageError> {
    use object_store::azure::MicrosoftAzureBuilder;
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(without_query(url));
    for (key, value) in url.query_pairs() {
        let config = key.to_ascii_lowercase().parse().map_err(|_| unknown_key(url, &key))?;
        builder = builder.with_config(config, value);
    }
    let builder = builder.with_retry(retry(options)).with_client_options(client(url));
    let store = Arc::new(builder.build().map_err(|_| invalid(url.as_str(), UNUSABLE))?);
    Ok(Backend::in_parts(store.clone(), store))
}

#[cfg(feature = "gcp")]
fn open_gcs(url: &Url, options: &BucketOptions) -> Result<Backend, StorageError> {
    use object_store::gcp::GoogleCloudStorageBuilder;
    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(without_query(url));
    for (key, value) in url.query_pairs() {
        let config = key.to_ascii_lowercase().parse().map_err(|_| unknown_key(url, &key))?;
        builder = builder.with_config(config, value);
    }
    let builder = builder.with_retry(retry(options)).with_client_options(client(url));
    let store = Arc::new(builder.build().map_err(|_| invalid(url.as_str(), UNUSABLE))?);
    Ok(Backend::in_parts(store.clone(), store))
}

#[cfg(feature = "http")]
fn open_http(url: &Url, options: &BucketOptions) -> Result<Backend, StorageError> {
    if url.query().is_some() {
        return Err(invalid(url.as_str(), "a query cannot be sent with the objects' addresses"));
    }
    let mut root = url.clone();
    root.set_path("/");
    let builder = object_store::http::HttpBuilder::new().with_url(root).with_retry(retry(options));
    let builder = builder.with_client_options(client(url));
    Ok(Backend::plain(Arc::new(builder.build().map_err(|_| invalid(url.as_str(), UNUSABLE))?)))
}

#[cfg(any(feature = "azure", feature = "gcp"))]
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn unknown_key(url: &Url, key: &str) -> StorageError {
    let key: String = key.chars().take(64).collect();
    invalid(url.as_str(), &format!("`{}` is no configuration key of this store", key.escape_debug()))
}

/// The uploader above retries with its own budget, so the client gives up early.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
pub(crate) fn retry(options: &BucketOptions) -> object_store::RetryConfig {
    object_store::RetryConfig {
        max_retries: options.request_retries,
        retry_timeout: options.request_timeout,
        ..Default::default()
    }
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn client(url: &Url) -> object_store::ClientOptions {
    let clear = url.scheme() == "http" || url.query_pairs().any(|(_, value)| value.starts_with("http://"));
    client_options(clear)
}

/// `clear`: it may be spoken to without TLS.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
pub(crate) fn client_options(clear: bool) -> object_store::ClientOptions {
    object_store::ClientOptions::new()
        // The time of a request depends on its bytes: see `BucketOptions::minimum_rate`.
        .with_timeout_disabled()
        .with_connect_timeout(std::time::Duration::from_secs(10))
        .with_allow_http(clear)
        .with_content_type_for_suffix("m3u8", "application/vnd.apple.mpegurl")
        .with_content_type_for_suffix("ts", "video/mp2t")
        .with_content_type_for_suffix("mp4", "video/mp4")
        .with_content_type_for_suffix("aac", "audio/aac")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, expected) in [
            ("out", Address::Directory("out".into())),
            ("./a:b", Address::Directory("./a:b".into())),
            ("/var/rec", Address::Directory("/var/rec".into())),
            ("file:///var/a%20b", Address::Directory("/var/a b".into())),
            ("memory:", Address::Memory),
            ("memory:///", Address::Memory),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert!(matches!(parse("s3://b/p?region=x").unwrap(), Address::Cloud(_)));
        for bad in ["", "memory:/x", "file://host/x", "file:///x?y=1", "s3:///p", "s3://b/p#x", "s3:"] {
            assert!(matches!(parse(bad), Err(StorageError::InvalidUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn paths_and_objects_are_told_apart() {
        for (text, path) in [
            ("a b.mp4", Some("a b.mp4")),
            ("12:30.mp4", Some("12:30.mp4")),
            ("file:///var/a%20b.mp4", Some("/var/a b.mp4")),
            ("memory:", None),
            ("s3://b/a.mp4", None),
        ] {
            assert_eq!(local_path(text).unwrap(), path.map(PathBuf::from), "{text}");
        }
        assert!(local_path("file://host/a").is_err());
        for (text, folder, name) in [
            ("s3://b/a.mp4", "s3://b", "a.mp4"),
            ("s3://b/p/q/a%20b.mp4?region=r&x=%2F", "s3://b/p/q?region=r&x=%2F", "a b.mp4"),
            ("https://host:8080/p/a.m3u8", "https://host:8080/p", "a.m3u8"),
        ] {
            let (at, named) = split_object(text).unwrap();
            assert_eq!((at.as_str(), named.as_str()), (folder, name), "{text}");
        }
        for bad in ["s3://b", "s3://b/", "s3://b/p/", "s3://b/%2Fa", "memory:", "a.mp4"] {
            assert!(matches!(split_object(bad), Err(StorageError::InvalidUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        for text in [
            "s3://user:SECRET@b/p//q?secret_access_key=SECRET",
            "nope://user:SECRET@b/p?secret=SECRET",
            "file:///x?SECRET",
            "s3://b/p?no_such_key=SECRET&x=y",
            "s3://b/p?region=r&conditional_put=SECRET",
        ] {
            let error = match parse(text) {
                Ok(Address::Cloud(url)) => open_cloud(&url, &BucketOptions::default()).map(drop).unwrap_err(),
                Ok(other) => panic!("{text}: {other:?}"),
                Err(error) => error,
            };
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}: {error:?}");
        }
    }

    #[cfg(not(feature = "aws"))]
    #[test]
    fn a_missing_feature_is_named() {
        let Address::Cloud(url) = parse("s3://b/p").unwrap() else { panic!("a cloud address") };
        let error = open_cloud(&url, &BucketOptions::default()).map(drop).unwrap_err();
        assert!(matches!(error, StorageError::FeatureOff { feature: "aws", .. }), "{error:?}");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn s3_addresses_open_without_a_connection() {
        let text = "s3://b/p/q?endpoint=http://127.0.0.1:9&region=r&access_key_id=a&secret_access_key=SECRET\
                    &virtual_hosted_style_request=false&conditional_put=disabled";
        let Address::Cloud(url) = parse(text).unwrap() else { panic!("a cloud address") };
        let (store, prefix) = open_cloud(&url, &BucketOptions::default()).unwrap();
        assert_eq!(prefix.as_ref(), "p/q");
        assert!(!format!("{} {}", store.store, redacted(&url)).contains("SECRET"));
        assert_eq!(&*redacted(&url), "s3://b/p/q?[redacted]");
    }
}
