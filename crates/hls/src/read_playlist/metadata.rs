//! The values of `EXT-X-TRTC-*-METADATA` and `EXT-X-TRTC-FILE-ATTR`.

use recorder_types::{Size, UnixMillis};

/// `EXT-X-TRTC-VIDEO-METADATA`. Keys may come in any order and any may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoMetadata {
    /// `WIDTH` and `HEIGHT`, where both are there.
    pub size: Option<Size>,
    /// `Codec`: FFmpeg's number, 27 for H.264.
    pub codec: Option<u32>,
    /// Other keys with their values, in order.
    pub other: Vec<(String, String)>,
}

/// `EXT-X-TRTC-AUDIO-METADATA`. Keys may come in any order and any may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioMetadata {
    /// `Channel`.
    pub channels: Option<u32>,
    /// `SampleRate`, in hertz.
    pub sample_rate: Option<u32>,
    /// `SampleFormat`: FFmpeg's number, 1 for signed 16 bit.
    pub sample_format: Option<u32>,
    /// `Codec`: FFmpeg's number, 86018 for AAC.
    pub codec: Option<u32>,
    /// Other keys with their values, in order.
    pub other: Vec<(String, String)>,
}

/// `EXT-X-TRTC-FILE-ATTR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAttr {
    /// Start of the segment.
    pub start: UnixMillis,
    /// Size of the file in bytes.
    pub bytes: u64,
}

impl VideoMetadata {
    /// `None` if a known key has a bad value, stands twice, or a part is no `key:value`.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut read = Self::default();
        let (mut width, mut height) = (None, None);
        for (key, value) in pairs(value) {
            let value = value?;
            match key {
                "WIDTH" => set(&mut width, value)?,
                "HEIGHT" => set(&mut height, value)?,
                "Codec" => set(&mut read.codec, value)?,
                _ => read.other.push((key.into(), value.into())),
            }
        }
        if let (Some(width), Some(height)) = (width, height) {
            read.size = Some(Size::new(width, height)?);
        }
        Some(read)
    }
}

impl AudioMetadata {
    /// `None` if a known key has a bad value, stands twice, or a part is no `key:value`.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut read = Self::default();
        for (key, value) in pairs(value) {
            let value = value?;
            match key {
                "Channel" => set(&mut read.channels, value)?,
                "SampleRate" => set(&mut read.sample_rate, value)?,
                "SampleFormat" => set(&mut read.sample_format, value)?,
                "Codec" => set(&mut read.codec, value)?,
                _ => read.other.push((key.into(), value.into())),
            }
        }
        Some(read)
    }
}

impl FileAttr {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (start, bytes) = value.split_once(',')?;
        Some(Self { start: UnixMillis::new(number(start)?)?, bytes: number(bytes)? })
    }
}

fn pairs(value: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    value.split_ascii_whitespace().map(|pair| match pair.split_once(':') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

fn set(field: &mut Option<u32>, value: &str) -> Option<()> {
    let old = field.replace(u32::try_from(number(value)?).ok()?);
    old.is_none().then_some(())
}

/// A decimal integer (RFC 8216 §4.2): digits only.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None; // `parse` would take a sign
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_any_order_and_unknown_ones_are_kept() {
        let video = VideoMetadata::parse("Codec:27 HEIGHT:480 Rotate:90 WIDTH:640").unwrap();
        assert_eq!((video.size, video.codec), (Size::new(640, 480), Some(27)));
        assert_eq!(video.other, [("Rotate".into(), "90".into())]);
        let audio = AudioMetadata::parse("Channel:1 SampleRate:48000 SampleFormat:1 Codec:86018").unwrap();
        assert_eq!((audio.channels, audio.sample_rate), (Some(1), Some(48_000)));
        assert_eq!((audio.sample_format, audio.codec), (Some(1), Some(86_018)));
        assert_eq!(VideoMetadata::parse("WIDTH:1920").unwrap().size, None);
    }

    #[test]
    fn bad_values_are_refused() {
        for value in
            ["WIDTH:0 HEIGHT:1", "WIDTH:x", "WIDTH", "WIDTH:1 WIDTH:2", "WIDTH:-1", "Codec:99999999999"]
        {
            assert_eq!(VideoMetadata::parse(value), None, "{value}");
        }
        for value in ["", "1", "1,", ",1", "1,2,3", "-1,2", "253402300800000,1", "1, 2"] {
            assert_eq!(FileAttr::parse(value), None, "{value}");
        }
    }
}
