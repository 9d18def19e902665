use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use recorder_types::{ObjectName, TaskId};

use crate::error::StorageError;

/// Where an object lives inside a bucket: components joined by `/`, kept byte for byte.
///
/// No component is empty, `.`, `..` or holds a control character. Nothing is percent-encoded: a key that the store
/// cannot take as it stands is refused. At most 1024 bytes, which is what the cloud stores take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Path);

impl ObjectKey {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The directory of a task's objects: the components of `prefix`, then the task.
    ///
    /// # Errors
    /// [`StorageError::InvalidKey`] when a component of `prefix` holds a slash or breaks the rule of keys.
    pub fn of_task<'a>(
        prefix: impl IntoIterator<Item = &'a str>,
        task: &TaskId,
    ) -> Result<Self, StorageError> {
        let mut text = String::new();
        for component in prefix {
            if component.is_empty() || component.contains('/') {
                return Err(StorageError::InvalidKey {
                    key: component.into(),
                    rule: "a prefix component is not empty and has no slash",
                });
            }
            text.push_str(component);
            text.push('/');
        }
        text.push_str(task.as_str());
        text.parse()
    }

    /// The key of `name` in this directory.
    ///
    /// # Errors
    /// [`StorageError::InvalidKey`] when the result is longer than [`ObjectKey::MAX_BYTES`].
    pub fn join(&self, name: &ObjectName) -> Result<Self, StorageError> {
        format!("{}/{name}", self.0).parse()
    }

    /// The key as text, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn under(&self, prefix: &Path) -> Result<Path, StorageError> {
        if prefix.is_root() {
            return Ok(self.0.clone());
        }
        Path::parse(format!("{prefix}/{}", self.0)).map_err(|_| invalid(self.as_str()))
    }
}

impl FromStr for ObjectKey {
    type Err = StorageError;

    fn from_str(s: &str) -> Result<Self, StorageError> {
        if s.is_empty() || s.starts_with('/') || s.ends_with('/') {
            return Err(StorageError::InvalidKey {
                key: s.into(),
                rule: "a key is not empty and has no slash at either end",
            });
        }
        if s.len() > Self::MAX_BYTES {
            return Err(StorageError::InvalidKey {
                key: s.chars().take(64).collect(),
                rule: "a key has at most 1024 bytes",
            });
        }
        // `parse` and not `from`: the latter encodes what it does not like, and the object gets another name.
        let path = Path::parse(s).map_err(|_| invalid(s))?;
        if s.chars().any(|c| c.is_control() || c == '\\') {
            return Err(invalid(s));
        }
        Ok(Self(path))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn invalid(key: &str) -> StorageError {
    StorageError::InvalidKey {
        key: key.escape_debug().collect::<String>().into(),
        rule: "no component is empty, `.`, `..` or holds a control character or backslash",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_bytes_or_are_refused() {
        for good in ["a", "a/b", "p1/p2/task01/x+y..ts", "rec/\u{5f20}", "a/%2e%2e/b"] {
            assert_eq!(good.parse::<ObjectKey>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "a/./b", "a\nb", "a\0", "a\u{85}", "a\\b"] {
            assert!(matches!(bad.parse::<ObjectKey>(), Err(StorageError::InvalidKey { .. })), "{bad:?}");
        }
        assert!("x".repeat(1024).parse::<ObjectKey>().is_ok());
        assert!("x".repeat(1025).parse::<ObjectKey>().is_err());
    }

    #[test]
    fn a_task_directory_joins_prefix_and_task() {
        let task: TaskId = "task01".parse().unwrap();
        assert_eq!(ObjectKey::of_task([], &task).unwrap().as_str(), "task01");
        let dir = ObjectKey::of_task(["p1", "p2"], &task).unwrap();
        let key = dir.join(&"x.ts".parse().unwrap()).unwrap();
        assert_eq!((key.as_str(), key.name()), ("p1/p2/task01/x.ts", "x.ts"));
        for bad in ["", "a/b", "..", "a\n"] {
            assert!(ObjectKey::of_task([bad], &task).is_err(), "{bad:?}");
        }
    }
}
