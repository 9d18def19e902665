//! How values are written in a line.

use recorder_types::{MediaId, MediaKind, RoomTime};
use serde::{Deserialize, Deserializer, Serializer, de};

/// As the value shows itself.
pub(super) mod display {
    use super::*;

    pub(crate) fn serialize<T: std::fmt::Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// As [`display`], for what may be absent.
pub(super) mod optional {
    use super::*;

    pub(crate) fn serialize<T: std::fmt::Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}

/// `main` or `aux`.
pub(super) mod media {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(media: &MediaId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(media.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MediaId, D::Error> {
        match String::deserialize(from)?.as_str() {
            "main" => Ok(MediaId::Main),
            "aux" => Ok(MediaId::Aux),
            other => Err(de::Error::unknown_variant(other, &["main", "aux"])),
        }
    }
}

/// `audio` or `video`.
pub(super) mod kind {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(kind: &MediaKind, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(kind)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MediaKind, D::Error> {
        match String::deserialize(from)?.as_str() {
            "audio" => Ok(MediaKind::Audio),
            "video" => Ok(MediaKind::Video),
            other => Err(de::Error::unknown_variant(other, &["audio", "video"])),
        }
    }
}

/// Whole nanoseconds.
pub(super) mod nanos {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &RoomTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.nanos())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RoomTime, D::Error> {
        i64::deserialize(from).map(RoomTime::from_nanos)
    }
}
