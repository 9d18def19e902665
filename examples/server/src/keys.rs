use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use recorder::api::Secret;
use recorder::callback::{CallbackKey, CallbackUrl, InvalidCallbackKey};
use recorder::types::SdkAppId;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A file of settings is as long as this, at most.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Who may call, by `SecretId`.
#[derive(Debug)]
pub(crate) struct Keys {
    by_id: HashMap<String, Key>,
}

/// One key of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) secret_key: Secret,
    sdk_app_ids: Vec<u32>,
    /// Turns the check of `UserSig` on.
    pub(crate) app_secret: Option<Secret>,
    callback_url: Option<String>,
    callback_key: Option<Secret>,
    vod_secret_id: Option<String>,
    vod_secret_key: Option<Secret>,
}

/// Keys of an account of Tencent Cloud.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VodKeys {
    pub(crate) id: String,
    pub(crate) key: Secret,
}

impl VodKeys {
    /// `None` unless both variables are set.
    pub(crate) fn of_environment(id: &str, key: &str) -> Option<Self> {
        let (id, key) = (std::env::var(id).ok()?, std::env::var(key).ok()?);
        Some(Self { id, key: Secret::new(key) })
    }
}

/// Who is told what happens in the tasks of an application.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallbackTarget {
    pub(crate) url: CallbackUrl,
    key: Option<Secret>,
}

impl CallbackTarget {
    pub(crate) fn key(&self) -> Result<Option<CallbackKey>, InvalidCallbackKey> {
        self.key.as_ref().map(|key| key.expose().parse()).transpose()
    }
}

impl Key {
    pub(crate) fn may_use(&self, app: SdkAppId) -> bool {
        self.sdk_app_ids.contains(&app.get())
    }

    fn callback(&self) -> Result<Option<CallbackTarget>, &'static str> {
        let Some(url) = &self.callback_url else {
            return match self.callback_key {
                Some(_) => Err("CallbackKey without CallbackUrl"),
                None => Ok(None),
            };
        };
        let url = url
            .parse()
            .map_err(|_| "CallbackUrl is not one: http:// or https://, at most 2083 characters")?;
        let target = CallbackTarget { url, key: self.callback_key.clone() };
        target.key().map_err(|_| "CallbackKey is not 1 to 32 of a-z A-Z 0-9")?;
        Ok(Some(target))
    }
}

/// What `of` gives for the keys of each application; those of one application must agree.
fn by_app<T: Clone + PartialEq>(
    keys: &Keys,
    what: &'static str,
    of: impl Fn(&Key) -> Option<T>,
) -> Result<HashMap<SdkAppId, T>, KeysError> {
    let mut found = HashMap::new();
    for key in keys.by_id.values() {
        let Some(value) = of(key) else { continue };
        for app in key.sdk_app_ids.iter().copied().map(SdkAppId::new) {
            match found.entry(app) {
                Entry::Vacant(entry) => drop(entry.insert(value.clone())),
                Entry::Occupied(entry) if *entry.get() == value => {}
                Entry::Occupied(_) => return Err(KeysError::TwoOf { app, what }),
            }
        }
    }
    Ok(found)
}

impl Keys {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, KeysError> {
        Self::from_json(&read(path)?)
    }

    fn from_json(json: &[u8]) -> Result<Self, KeysError> {
        let Unique(by_id): Unique<Key> = serde_json::from_slice(json).map_err(FileError::from)?;
        if by_id.is_empty() {
            return Err(KeysError::Empty);
        }
        let id_byte = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        for (id, key) in &by_id {
            let wrong = |what| Err(KeysError::Entry { id: id.escape_debug().to_string(), what });
            if !(1..=128).contains(&id.len()) || !id.bytes().all(id_byte) {
                return wrong("a SecretId is 1 to 128 of A-Z a-z 0-9 - _");
            }
            if key.secret_key.is_empty() || key.app_secret.as_ref().is_some_and(Secret::is_empty) {
                return wrong("a secret is empty");
            }
            if key.sdk_app_ids.is_empty() || key.sdk_app_ids.contains(&0) {
                return wrong("SdkAppIds is empty or has a 0");
            }
            if let Err(what) = key.callback() {
                return wrong(what);
            }
            if key.vod_secret_id.is_some() != key.vod_secret_key.is_some() {
                return wrong("VodSecretId and VodSecretKey go together");
            }
        }
        let keys = Self { by_id };
        keys.callbacks()?;
        keys.vod().map(|_| keys)
    }

    /// A key and its id as the file has it.
    pub(crate) fn entry(&self, id: &str) -> Option<(&str, &Key)> {
        self.by_id.get_key_value(id).map(|(id, key)| (id.as_str(), key))
    }

    /// The callbacks of each application.
    pub(crate) fn callbacks(&self) -> Result<HashMap<SdkAppId, CallbackTarget>, KeysError> {
        by_app(self, "callbacks", |key| key.callback().unwrap_or_default())
    }

    /// The keys to VOD of each application.
    pub(crate) fn vod(&self) -> Result<HashMap<SdkAppId, VodKeys>, KeysError> {
        by_app(self, "keys to VOD", |key| {
            let (id, key) = (key.vod_secret_id.clone()?, key.vod_secret_key.clone()?);
            Some(VodKeys { id, key })
        })
    }
}

/// A map of which no name is there twice.
pub(crate) struct Unique<V>(pub(crate) HashMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Unique<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut entries = HashMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if entries.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("twice"));
                    }
                }
                Ok(Unique(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The whole of a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let io = |source| FileError::Read { path: path.to_owned(), source };
    let len = std::fs::metadata(path).map_err(io)?.len();
    if len > MAX_FILE_BYTES {
        return Err(FileError::TooLong { path: path.to_owned(), len });
    }
    std::fs::read(path).map_err(io)
}

/// Why a file of settings cannot be read. Nothing of its values is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path}", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: {len} bytes, of {MAX_FILE_BYTES} at most", path = path.display())]
    TooLong { path: PathBuf, len: u64 },
    #[error(
        "line {line}, column {column}: not JSON, a member that is unknown, missing or of another type, or a name given twice"
    )]
    Json { line: usize, column: usize },
}

impl From<serde_json::Error> for FileError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// Why the key file cannot be used: who runs the server has to change it. Nothing of its values is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("no key in it: nobody could call")]
    Empty,
    #[error("SecretId {id}: {what}")]
    Entry { id: String, what: &'static str },
    #[error("SdkAppId {app} has two different {what}")]
    TwoOf { app: SdkAppId, what: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_applications_and_no_other() {
        let json = br#"{"AKID1": {"SecretKey": "s3cret", "SdkAppIds": [1, 2], "AppSecret": "a"},
            "AKID2": {"SecretKey": "t", "SdkAppIds": [2], "CallbackUrl": "http://a/", "CallbackKey": "k1"}}"#;
        let keys = Keys::from_json(json).unwrap();
        let key = keys.entry("AKID1").unwrap().1;
        assert!(key.may_use(SdkAppId::new(2)) && !key.may_use(SdkAppId::new(3)));
        assert!(key.app_secret.is_some() && keys.entry("AKID2").unwrap().1.app_secret.is_none());
        assert!(keys.entry("akid1").is_none());
        assert!(keys.callbacks().unwrap().keys().eq([&SdkAppId::new(2)]));
        assert!(!format!("{keys:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_no_key_file_is_refused_and_not_quoted() {
        let entry = |more: &str| format!(r#"{{"a": {{"SecretKey": "s3cret", "SdkAppIds": [1]{more}}}}}"#);
        for (json, why) in [
            ("{}".to_owned(), "nobody"),
            ("[]".to_owned(), "not JSON"),
            (r#"{"a": {"SecretKey": "s3cret"}}"#.to_owned(), "missing"),
            (r#"{"a": {"SecretKey": "s3cret", "SdkAppIds": []}}"#.to_owned(), "empty"),
            (r#"{"a": {"SecretKey": "", "SdkAppIds": [1]}}"#.to_owned(), "empty"),
            (r#"{"a b": {"SecretKey": "s3cret", "SdkAppIds": [1]}}"#.to_owned(), "A-Z"),
            (entry(r#", "Secretkey": "s3cret2""#), "unknown"),
            (entry(r#", "CallbackUrl": "ftp://s3cret/""#), "CallbackUrl"),
            (entry(r#", "CallbackKey": "s3cret""#), "CallbackUrl"),
            (entry(r#", "VodSecretKey": "s3cret""#), "go together"),
            (entry(r#", "CallbackUrl": "http://a/", "CallbackKey": "s3cret!""#), "CallbackKey"),
            (
                r#"{"a": {"SecretKey": "x", "SdkAppIds": [1]}, "a": {"SecretKey": "s3cret", "SdkAppIds": [1]}}"#.to_owned(),
                "twice",
            ),
            (
                r#"{"a": {"SecretKey": "x", "SdkAppIds": [1], "CallbackUrl": "http://a/"},
                    "b": {"SecretKey": "x", "SdkAppIds": [1], "CallbackUrl": "http://b/"}}"#.to_owned(),
                "two different",
            ),
        ] {
            let error = Keys::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{json}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
