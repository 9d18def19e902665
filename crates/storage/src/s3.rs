//! What `object_store` does not ask of S3: which uploads in parts are not finished.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{Error, MultipartId, Result};

use crate::error::{between, unescape};

/// Longest answer that is read, in bytes: a thousand uploads of long names.
const MAX_ANSWER: usize = 4 << 20;

pub(crate) struct S3Uploads {
    store: Arc<AmazonS3>,
    client: HttpClient,
}

impl S3Uploads {
    pub(crate) fn new(store: Arc<AmazonS3>, client: HttpClient) -> Self {
        Self { store, client }
    }

    /// At most a thousand uploads whose key begins with `prefix`.
    ///
    /// # Specification
    /// Amazon S3 API, `ListMultipartUploads`.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(Path, MultipartId)>> {
        let query = SignedUrlOptions::new().with_query([("prefix", prefix), ("uploads", "")]);
        let minute = Duration::from_secs(60);
        let url = self.store.signed_url_opts(Method::GET, &Path::ROOT, minute, &query).await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|_| failed("the bucket's address is no URI"))?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let mut text = Vec::new();
        let mut body = answer.into_body().bytes_stream();
        while let Some(chunk) = body.try_next().await.map_err(failed)? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err(failed("the answer is too long"));
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&text);
        if !status.is_success() {
            return Err(failed(format!("status code: {status}: {text}")));
        }
        text.split("<Upload>")
            .skip(1)
            .map(|upload| {
                let key = between(upload, "<Key>", "</Key>").map(unescape);
                let id = between(upload, "<UploadId>", "</UploadId>").map(unescape);
                let (key, id) = key.zip(id).ok_or_else(|| failed("an upload has no key or no id"))?;
                Ok((Path::parse(key)?, id))
            })
            .collect()
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}
