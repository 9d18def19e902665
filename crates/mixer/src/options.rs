use recorder_codec::ContentKind;
use recorder_compositor::{Level, Matrix};
use recorder_types::{RoomTime, Size, UnixMillis};

/// The picture of a mix. Defaults are those of the recording API: 360 x 640, 15 pictures a second, 550 kbit/s, a key
/// frame every 10 seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Of the canvas; both sides even.
    pub size: Size,
    /// Pictures a second, 1 to 60.
    pub fps: u16,
    /// Bit/s aimed at.
    pub bits_per_second: u32,
    /// Seconds from one key frame to the next.
    pub gop_seconds: u16,
    /// The matrix of the pictures; `None` takes that of the first source, or, without one at the start or within
    /// [`Mixer::LOOK_AHEAD`](crate::Mixer::LOOK_AHEAD) of it, what the size implies.
    pub matrix: Option<Matrix>,
    /// Whether a video that fills the canvas by itself, in the canvas' size, in the order of decoding and with nothing over
    /// it, is given out as it came in, at its own rate and bit rate, from its next key frame on. Default: no.
    pub passthrough: bool,
    /// What the pictures are encoded as. Default: cameras. [`ContentKind::Screen`] is for shared screens with small text.
    pub content: ContentKind,
    /// How fast the machine composes; every level gives the same pictures.
    pub level: Level,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            size: Size::new(360, 640).expect("not zero"),
            fps: 15,
            bits_per_second: 550_000,
            gop_seconds: 10,
            matrix: None,
            passthrough: false,
            content: ContentKind::Camera,
            level: Level::detect(),
        }
    }
}

impl VideoOptions {
    /// With [`Self::size`].
    #[must_use]
    pub const fn with_size(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    /// With [`Self::fps`].
    #[must_use]
    pub const fn with_fps(mut self, fps: u16) -> Self {
        self.fps = fps;
        self
    }

    /// With [`Self::bits_per_second`].
    #[must_use]
    pub const fn with_bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = bits_per_second;
        self
    }

    /// With [`Self::gop_seconds`].
    #[must_use]
    pub const fn with_gop_seconds(mut self, seconds: u16) -> Self {
        self.gop_seconds = seconds;
        self
    }

    /// With [`Self::matrix`].
    #[must_use]
    pub const fn with_matrix(mut self, matrix: Option<Matrix>) -> Self {
        self.matrix = matrix;
        self
    }

    /// With [`Self::content`].
    #[must_use]
    pub const fn with_content(mut self, content: ContentKind) -> Self {
        self.content = content;
        self
    }

    /// With [`Self::passthrough`].
    #[must_use]
    pub const fn with_passthrough(mut self, passthrough: bool) -> Self {
        self.passthrough = passthrough;
        self
    }
}

/// The sound of a mix: AAC-LC. Defaults are those of the recording API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioOptions {
    /// Samples a second. Default 48000.
    pub sample_rate: u32,
    /// 1 or 2. Default 2.
    pub channels: u8,
    /// Default 64000.
    pub bits_per_second: u32,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self { sample_rate: 48_000, channels: 2, bits_per_second: 64_000 }
    }
}

impl AudioOptions {
    /// With [`Self::sample_rate`].
    #[must_use]
    pub const fn with_sample_rate(mut self, sample_rate: u32) -> Self {
        self.sample_rate = sample_rate;
        self
    }

    /// With [`Self::channels`].
    #[must_use]
    pub const fn with_channels(mut self, channels: u8) -> Self {
        self.channels = channels;
        self
    }

    /// With [`Self::bits_per_second`].
    #[must_use]
    pub const fn with_bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = bits_per_second;
        self
    }
}

/// What a mix is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MixerOptions {
    /// The time of the first picture and the first sample.
    pub start: RoomTime,
    /// The wall clock at [`Self::start`], for watermarks that show it. Default: 1970.
    pub wall: UnixMillis,
    /// `None` for sound only.
    pub video: Option<VideoOptions>,
    /// `None` for pictures only.
    pub audio: Option<AudioOptions>,
}

impl MixerOptions {
    /// A mix with the defaults of the recording API that starts at `start`.
    #[must_use]
    pub fn new(start: RoomTime) -> Self {
        Self {
            start,
            wall: UnixMillis::EPOCH,
            video: Some(VideoOptions::default()),
            audio: Some(AudioOptions::default()),
        }
    }

    /// With [`Self::wall`].
    #[must_use]
    pub const fn with_wall(mut self, wall: UnixMillis) -> Self {
        self.wall = wall;
        self
    }

    /// With [`Self::video`].
    #[must_use]
    pub fn with_video(mut self, video: Option<VideoOptions>) -> Self {
        self.video = video;
        self
    }

    /// With [`Self::audio`].
    #[must_use]
    pub const fn with_audio(mut self, audio: Option<AudioOptions>) -> Self {
        self.audio = audio;
        self
    }
}
