use std::fmt;
use std::str::FromStr;

use recorder_types::{ObjectName, TaskId};

/// One directory level in front of the task's: 1 to 128 of `a-z A-Z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixComponent(Box<str>);

impl PrefixComponent {
    /// Longest component, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The component as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PrefixComponent {
    type Err = InvalidPrefixComponent;

    fn from_str(s: &str) -> Result<Self, InvalidPrefixComponent> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        match s.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(InvalidPrefixComponent::Byte { at }),
            None if s.is_empty() => Err(InvalidPrefixComponent::Empty),
            None if s.len() > Self::MAX_BYTES => Err(InvalidPrefixComponent::TooLong { len: s.len() }),
            None => Ok(Self(s.into())),
        }
    }
}

impl fmt::Display for PrefixComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which rule a component of a prefix breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPrefixComponent {
    /// A byte outside the alphabet: dots and slashes too.
    #[error("a prefix component is made of a-z A-Z 0-9 _ -; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// A level without a name.
    #[error("a prefix component is not empty")]
    Empty,
    /// More than 128 bytes.
    #[error("a prefix component has at most 128 bytes, this one {len}")]
    TooLong {
        /// Bytes.
        len: usize,
    },
}

/// The directory levels in front of the task's (`FileNamePrefix`): none or more, at most 400 bytes with their slashes.
///
/// With the longest task id and the longest name a key then has 785 bytes, under the 850 of COS and the 1024 of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(Vec<PrefixComponent>);

impl KeyPrefix {
    /// Longest prefix, in bytes, with a slash between the components and none at the end.
    pub const MAX_BYTES: usize = 400;

    /// No levels: the task's directory is at the top of the bucket.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Reads one component from each item, outermost first. No items: the empty prefix.
    ///
    /// # Errors
    /// Says which component breaks which rule, or that all together are too long.
    pub fn parse<I, S>(components: I) -> Result<Self, InvalidKeyPrefix>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut parsed: Vec<PrefixComponent> = Vec::new();
        let mut len = 0;
        for (index, component) in components.into_iter().enumerate() {
            let component: PrefixComponent =
                component.as_ref().parse().map_err(|rule| InvalidKeyPrefix::Component { index, rule })?;
            len += component.as_str().len() + usize::from(index > 0);
            if len > Self::MAX_BYTES {
                return Err(InvalidKeyPrefix::TooLong { len });
            }
            parsed.push(component);
        }
        Ok(Self(parsed))
    }

    /// The components, outermost first.
    #[must_use]
    pub fn components(&self) -> &[PrefixComponent] {
        &self.0
    }
}

/// The components between slashes: `a/b`. The empty text is the empty prefix; a slash at either end is refused.
impl FromStr for KeyPrefix {
    type Err = InvalidKeyPrefix;

    fn from_str(s: &str) -> Result<Self, InvalidKeyPrefix> {
        if s.is_empty() { Ok(Self::empty()) } else { Self::parse(s.split('/')) }
    }
}

/// The components joined with `/`, without a slash at either end.
impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(component.as_str())?;
        }
        Ok(())
    }
}

/// Which rule a prefix breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyPrefix {
    /// One of its components breaks a rule.
    #[error("component {} of the prefix", .index.saturating_add(1))]
    Component {
        /// Which one, counted from 0; the message counts from 1.
        index: usize,
        /// Which rule.
        #[source]
        rule: InvalidPrefixComponent,
    },
    /// The components together are too long.
    #[error("a prefix has at most 400 bytes with its slashes, this one at least {len}")]
    TooLong {
        /// Bytes up to the component that crosses the limit.
        len: usize,
    },
}

/// Where the objects of one task are: `[<prefix>/]<task>`, always one level for the task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectDir(Box<str>);

impl ObjectDir {
    /// The directory of `task` below `prefix`.
    #[must_use]
    pub fn new(prefix: KeyPrefix, task: TaskId) -> Self {
        Self(if prefix.0.is_empty() { task.as_str().into() } else { format!("{prefix}/{task}").into() })
    }

    /// The directory, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole key of one object: `[<prefix>/]<task>/<name>`.
    #[must_use]
    pub fn key(&self, name: &ObjectName) -> String {
        format!("{}/{name}", self.0)
    }
}

impl fmt::Display for ObjectDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_name_the_rule_they_break() {
        use InvalidPrefixComponent::{Byte, Empty, TooLong};
        let table = [
            ("", Empty),
            ("..", Byte { at: 0 }),
            ("a.b", Byte { at: 1 }),
            ("a/b", Byte { at: 1 }),
            ("a\\b", Byte { at: 1 }),
            ("a b", Byte { at: 1 }),
            ("%2e", Byte { at: 0 }),
            ("a\0", Byte { at: 1 }),
            ("über", Byte { at: 0 }),
            (&"x".repeat(129), TooLong { len: 129 }),
        ];
        for (text, rule) in table {
            assert_eq!(text.parse::<PrefixComponent>(), Err(rule), "{text:?}");
            let expected = InvalidKeyPrefix::Component { index: 1, rule };
            assert_eq!(KeyPrefix::parse(["ok", text]), Err(expected), "{text:?}");
        }
        assert!("x".repeat(128).parse::<PrefixComponent>().is_ok());
        assert!("-_Az09".parse::<PrefixComponent>().is_ok());
    }

    #[test]
    fn a_prefix_has_a_length_in_all() {
        let hundred = "x".repeat(100);
        let longest = [hundred.as_str(), &hundred, &hundred, &"x".repeat(97)];
        assert_eq!(KeyPrefix::parse(longest).unwrap().to_string().len(), KeyPrefix::MAX_BYTES);
        let over = [hundred.as_str(), &hundred, &hundred, &"x".repeat(98)];
        assert_eq!(KeyPrefix::parse(over), Err(InvalidKeyPrefix::TooLong { len: 401 }));
    }

    #[test]
    fn slashes_stand_between_components_only() {
        assert_eq!("".parse::<KeyPrefix>(), Ok(KeyPrefix::empty()));
        assert_eq!("a/b".parse::<KeyPrefix>(), KeyPrefix::parse(["a", "b"]));
        for bad in ["/a", "a/", "a//b", "/"] {
            assert!(bad.parse::<KeyPrefix>().is_err(), "{bad:?}");
        }
    }
}
