use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use recorder::storage::{
    Durability, LibraryError, LocalLibrary, MediaLibrary, TencentVod, TencentVodOptions, VendorError,
};
use recorder::types::{SdkAppId, with_causes};

use crate::keys::{Keys, VodKeys};

/// The names under which official tools look for keys.
const ENV_ID: &str = "TENCENTCLOUD_SECRET_ID";
const ENV_KEY: &str = "TENCENTCLOUD_SECRET_KEY";

/// Where recordings to VOD go.
pub(crate) enum Vod {
    /// One folder for all.
    Local(Arc<dyn MediaLibrary>),
    /// The account of each application, and that of the environment for the others.
    Tencent { by_app: HashMap<SdkAppId, Arc<dyn MediaLibrary>>, others: Option<Arc<dyn MediaLibrary>> },
}

impl Vod {
    /// What `--vod` and `--vod-url` name.
    pub(crate) fn open(place: &str, base_url: Option<&str>, keys: &Keys) -> Result<Self, String> {
        let Some(host) = place.strip_prefix("tencent:") else {
            let wrong = |error: &dyn std::error::Error| format!("--vod {place}: {}", with_causes(error));
            let folder = LocalLibrary::open(Path::new(place), Durability::Sync).map_err(|e| wrong(&e))?;
            return Ok(Self::Local(Arc::new(match base_url {
                Some(url) => folder
                    .with_base_url(url)
                    .map_err(|error| format!("--vod-url: {}", with_causes(&error)))?,
                None => folder,
            })));
        };
        if base_url.is_some() {
            return Err("--vod-url is for a folder: Tencent VOD has addresses of its own".into());
        }
        let options = match host {
            "" => TencentVodOptions::default(),
            host => TencentVodOptions::default().with_endpoint(host),
        };
        let open = |keys: &VodKeys| -> Result<Arc<dyn MediaLibrary>, String> {
            let opened = TencentVod::new(&keys.id, keys.key.expose(), options.clone());
            Ok(Arc::new(opened.map_err(|error| format!("--vod {place}: {}", with_causes(&error)))?))
        };
        let mut by_app = HashMap::new();
        for (app, keys) in keys.vod().map_err(|error| format!("--keys: {}", with_causes(&error)))? {
            by_app.insert(app, open(&keys)?);
        }
        let others = VodKeys::of_environment(ENV_ID, ENV_KEY).map(|keys| open(&keys)).transpose()?;
        if by_app.is_empty() && others.is_none() {
            return Err(format!(
                "--vod {place}: no keys: VodSecretId and VodSecretKey in --keys, or {ENV_ID} and {ENV_KEY}"
            ));
        }
        Ok(Self::Tencent { by_app, others })
    }

    /// The library of an application.
    pub(crate) fn library(&self, app: SdkAppId) -> Result<Arc<dyn MediaLibrary>, LibraryError> {
        let found = match self {
            Self::Local(library) => Some(library),
            Self::Tencent { by_app, others } => by_app.get(&app).or(others.as_ref()),
        };
        found.cloned().ok_or_else(|| LibraryError::Refused {
            vendor: VendorError::new("AuthFailure.SecretIdNotFound", "no keys of VOD for this application"),
            request_id: "none".into(),
        })
    }
}
