//! How single values stand in the JSON: forms that the types of `recorder-types` do not have by themselves.

use recorder_types::{TaskId, UnixMillis, UserId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that some editions write as a string of digits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum TextOrNumber {
    Number(u64),
    Text(String),
}

impl TextOrNumber {
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Self::Text(_) => None,
        }
    }
}

/// Milliseconds since 1970: written as a number, read from a number or a string.
pub(crate) mod millis {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
        at.get().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
        let value = TextOrNumber::deserialize(deserializer)?;
        let at = value.number().and_then(UnixMillis::new);
        at.ok_or_else(|| D::Error::custom("a time is a number of milliseconds from 1970 to 9999"))
    }
}

/// As [`millis`], for a field that can be left out.
pub(crate) mod optional_millis {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<UnixMillis>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(UnixMillis::get).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UnixMillis>, D::Error> {
        millis::deserialize(deserializer).map(Some)
    }
}

/// A recorded user, who is the empty string in mixed mode.
pub(crate) mod user_or_empty {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(user: &Option<UserId>, serializer: S) -> Result<S::Ok, S::Error> {
        user.as_ref().map_or("", UserId::as_str).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UserId>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

pub(crate) fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

pub(crate) fn task<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TaskId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
