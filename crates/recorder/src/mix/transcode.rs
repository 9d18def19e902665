use recorder_mixer::{AudioOptions, VideoOptions};
use recorder_types::Size;

use super::MixParamsError;
use super::error::in_range;

/// Most pixels of a canvas.
const MAX_PIXELS: u64 = 1920 * 1080;
/// Smallest side that the H.264 encoder takes, in pixels; the service does not tell its own.
const MIN_SIDE: i64 = 16;
/// Longest key frame distance in seconds; the service does not tell its own.
const MAX_GOP: i64 = 3600;

/// `MixTranscodeParams` of the recording API, field by field and unchecked. A part that is absent has its defaults; of
/// one that is there every member is needed.
///
/// # Specification
/// `trtc-api.md` section 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MixTranscodeParams {
    /// The picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_params: Option<VideoParams>,
    /// The sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_params: Option<AudioParams>,
}

/// `VideoParams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VideoParams {
    /// Pixels, 16 to 1920, even; width times height at most 1920 times 1080. Default 360.
    pub width: i64,
    /// As the width. Default 640.
    pub height: i64,
    /// Pictures a second, 1 to 60. Default 15.
    pub fps: i64,
    /// Bit/s, 64000 to 8192000. Default 550000.
    pub bit_rate: i64,
    /// Seconds from key frame to key frame, 1 to 3600. Default 10.
    pub gop: i64,
}

impl Default for VideoParams {
    fn default() -> Self {
        Self { width: 360, height: 640, fps: 15, bit_rate: 550_000, gop: 10 }
    }
}

/// `AudioParams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AudioParams {
    /// 1 for 48000 Hz, 2 for 44100, 3 for 16000. Default 1.
    pub sample_rate: i64,
    /// 1 mono, 2 stereo. Default 2.
    pub channel: i64,
    /// Bit/s, 32000 to 128000. Default 64000.
    pub bit_rate: i64,
}

impl Default for AudioParams {
    fn default() -> Self {
        Self { sample_rate: 1, channel: 2, bit_rate: 64_000 }
    }
}

impl TryFrom<VideoParams> for VideoOptions {
    type Error = MixParamsError;

    fn try_from(wire: VideoParams) -> Result<Self, MixParamsError> {
        let side = |field, got| Ok(narrow::<u32>(in_range(field, got, MIN_SIDE, 1920)?));
        let canvas =
            Size::new(side("Width", wire.width)?, side("Height", wire.height)?).expect("16 at least");
        if u64::from(canvas.width()) * u64::from(canvas.height()) > MAX_PIXELS {
            return Err(MixParamsError::TooManyPixels { canvas });
        }
        if canvas.width() % 2 == 1 || canvas.height() % 2 == 1 {
            return Err(MixParamsError::OddCanvas { canvas });
        }
        Ok(Self::default()
            .with_size(canvas)
            .with_fps(narrow(in_range("Fps", wire.fps, 1, 60)?))
            .with_bits_per_second(narrow(in_range("BitRate", wire.bit_rate, 64_000, 8_192_000)?))
            .with_gop_seconds(narrow(in_range("Gop", wire.gop, 1, MAX_GOP)?)))
    }
}

impl TryFrom<AudioParams> for AudioOptions {
    type Error = MixParamsError;

    fn try_from(wire: AudioParams) -> Result<Self, MixParamsError> {
        let sample_rate = match in_range("SampleRate", wire.sample_rate, 1, 3)? {
            1 => 48_000,
            2 => 44_100,
            _ => 16_000,
        };
        Ok(Self::default()
            .with_sample_rate(sample_rate)
            .with_channels(narrow(in_range("Channel", wire.channel, 1, 2)?))
            .with_bits_per_second(narrow(in_range("BitRate", wire.bit_rate, 32_000, 128_000)?)))
    }
}

/// A number whose range was checked.
fn narrow<T: TryFrom<i64>>(checked: i64) -> T {
    T::try_from(checked).ok().expect("checked to be in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_api() {
        assert_eq!(VideoOptions::try_from(VideoParams::default()), Ok(VideoOptions::default()));
        assert_eq!(AudioOptions::try_from(AudioParams::default()), Ok(AudioOptions::default()));
    }

    #[test]
    fn every_range_ends_where_it_is_said_to() {
        let video = |change: &dyn Fn(&mut VideoParams)| {
            let mut wire = VideoParams::default();
            change(&mut wire);
            VideoOptions::try_from(wire).map_err(|error| error.to_string())
        };
        type Set = fn(&mut VideoParams, i64);
        let set: [(&str, Set, i64, i64); 5] = [
            ("Width", |wire, to| wire.width = to, 16, 1920),
            ("Height", |wire, to| wire.height = to, 16, 1920),
            ("Fps", |wire, to| wire.fps = to, 1, 60),
            ("BitRate", |wire, to| wire.bit_rate = to, 64_000, 8_192_000),
            ("Gop", |wire, to| wire.gop = to, 1, 3600),
        ];
        for (field, set, min, max) in set {
            for (value, is_fine) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
                let got = video(&|wire| set(wire, value));
                let why = format!("{field} is {value}, outside {min} to {max}");
                assert_eq!(got.clone().err(), (!is_fine).then_some(why), "{field} {value}");
            }
        }
        let sides = |width, height| {
            video(&|wire| {
                wire.width = width;
                wire.height = height;
            })
            .err()
        };
        assert_eq!(sides(1920, 1080), None);
        assert_eq!(sides(1920, 1082), Some("a canvas of 1920x1082 has more pixels than 1920x1080".into()));
        assert_eq!(sides(641, 360), Some("canvas 641x360: both sides have to be even".into()));
        for (wire, want) in [
            (AudioParams { sample_rate: 3, channel: 1, bit_rate: 32_000 }, Ok((16_000, 1, 32_000))),
            (AudioParams { sample_rate: 2, channel: 2, bit_rate: 128_000 }, Ok((44_100, 2, 128_000))),
            (AudioParams { sample_rate: 0, ..AudioParams::default() }, Err("SampleRate")),
            (AudioParams { sample_rate: 4, ..AudioParams::default() }, Err("SampleRate")),
            (AudioParams { channel: 0, ..AudioParams::default() }, Err("Channel")),
            (AudioParams { channel: 3, ..AudioParams::default() }, Err("Channel")),
            (AudioParams { bit_rate: 31_999, ..AudioParams::default() }, Err("BitRate")),
            (AudioParams { bit_rate: 128_001, ..AudioParams::default() }, Err("BitRate")),
        ] {
            match (AudioOptions::try_from(wire), want) {
                (Ok(got), Ok(want)) => {
                    assert_eq!((got.sample_rate, got.channels, got.bits_per_second), want);
                }
                (Err(MixParamsError::OutOfRange { field, .. }), Err(want)) => assert_eq!(field, want),
                (got, want) => panic!("{wire:?}: {got:?}, expected {want:?}"),
            }
        }
    }
}
