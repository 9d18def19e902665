use std::sync::Arc;

use recorder_codec::ContentKind;
use recorder_compositor::{Bitmap, Font, Matrix, Position, Rect, Rgb, TextStyle, TimeZone};
use recorder_layout::{ImageUrl, LayoutParams};
use recorder_mixer::{AudioOptions, Fill, VideoOptions};
use recorder_naming::{HaRun, TaskNames};
use recorder_types::{MediaKind, RoomId, RoomTime, SdkAppId, Size, TaskId, UserId};
use serde::{Deserialize, Serialize, de};

use super::{TIMELINE_VERSION, TimelineError, text};
use crate::mix::{ImageSource, Watermark};
use crate::subscribe::{Subscription, SubscriptionError};
use crate::task::{MaxIdleTime, MediaSelection, MixOptions, StreamSelection, TaskOptions};

/// What a task was asked for, as far as it decides what is recorded of a room and how it looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineStart {
    version: Version,
    app: u32,
    /// The id as it is; `room_type` says how it is read.
    room: String,
    /// 0 text, 1 number (`RoomIdType`).
    room_type: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ha_run: Option<u8>,
    /// `StreamType`.
    stream_type: u8,
    /// `MediaId`.
    media: u8,
    subscription: SubscriptionLists,
    /// Seconds.
    max_idle: u32,
    /// `None` for a task that records participants apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mix: Option<MixLine>,
}

/// [`TIMELINE_VERSION`] and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        TIMELINE_VERSION
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(got: u32) -> Result<Self, String> {
        if got == TIMELINE_VERSION {
            return Ok(Self);
        }
        Err(format!("the timeline is of version {got}, this program reads {TIMELINE_VERSION}"))
    }
}

impl TimelineStart {
    pub(crate) fn new(options: &TaskOptions, mix: Option<&MixOptions>) -> Self {
        Self {
            version: Version,
            app: options.app.get(),
            room: options.room.to_string(),
            room_type: options.room.as_integer().is_some().into(),
            ha_run: options.ha_run.map(HaRun::number),
            stream_type: match options.stream_type {
                StreamSelection::AudioAndVideo => 0,
                StreamSelection::AudioOnly => 1,
                StreamSelection::VideoOnly => 2,
            },
            media: match options.media {
                MediaSelection::Both => 0,
                MediaSelection::MainOnly => 1,
                MediaSelection::AuxOnly => 2,
            },
            subscription: SubscriptionLists::from(&options.subscription),
            max_idle: options.max_idle.secs(),
            mix: mix.map(MixLine::from),
        }
    }

    /// The same task once more, under the id `task`.
    ///
    /// # Errors
    /// [`TimelineError::Line`] for what no task can be asked for.
    pub fn task_options(&self, task: TaskId, robot: UserId) -> Result<TaskOptions, TimelineError> {
        let number = |what, got: u8, max| -> Result<(), TimelineError> {
            if got <= max { Ok(()) } else { Err(refused(format!("{what} is {got}, of 0 to {max}"))) }
        };
        number("stream_type", self.stream_type, 2)?;
        number("media", self.media, 2)?;
        number("room_type", self.room_type, 1)?;
        let room = match self.room_type {
            1 => RoomId::parse_integer(&self.room),
            _ => RoomId::text(&self.room),
        };
        let mut options = TaskOptions::new(SdkAppId::new(self.app), room.map_err(refused)?, task, robot);
        options.ha_run = match self.ha_run {
            None => None,
            Some(run) => Some(HaRun::new(run).ok_or_else(|| refused("ha_run is 1 to 3"))?),
        };
        options.stream_type = match self.stream_type {
            0 => StreamSelection::AudioAndVideo,
            1 => StreamSelection::AudioOnly,
            _ => StreamSelection::VideoOnly,
        };
        options.media = match self.media {
            0 => MediaSelection::Both,
            1 => MediaSelection::MainOnly,
            _ => MediaSelection::AuxOnly,
        };
        options.subscription = self.subscription.clone().try_into().map_err(refused)?;
        options.max_idle = MaxIdleTime::from_template_secs(self.max_idle)
            .ok_or_else(|| refused("max_idle is 1 to 86400"))?;
        Ok(options)
    }

    /// The names of the task's files.
    ///
    /// # Errors
    /// As [`Self::task_options`].
    pub fn names(&self) -> Result<TaskNames, TimelineError> {
        let task = "names".parse().expect("letters are a task id");
        let options = self.task_options(task, "names".parse().expect("letters are a user id"))?;
        let names = TaskNames::new(options.app, options.room);
        Ok(match options.ha_run {
            Some(run) => names.with_ha(run),
            None => names,
        })
    }

    /// Leaves out the watermarks of [`Self::mix_options`]: others will take their place.
    pub fn forget_watermarks(&mut self) {
        if let Some(mix) = &mut self.mix {
            mix.watermarks.clear();
        }
    }

    /// How it was mixed, with the font `font`, which is not in the timeline; `None` if it was not.
    ///
    /// # Errors
    /// [`TimelineError::Pixels`], and [`TimelineError::Line`] for what cannot be.
    pub fn mix_options(&self, font: Arc<Font>) -> Result<Option<MixOptions>, TimelineError> {
        let Some(mix) = &self.mix else { return Ok(None) };
        let watermarks = MarkLine::watermarks(&mix.watermarks)?;
        Ok(Some(mix.options()?.with_watermarks(watermarks).with_font(font)))
    }
}

fn refused(why: impl std::fmt::Display) -> TimelineError {
    TimelineError::Line(de::Error::custom(why))
}

/// Lists of users as a request has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionLists {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audio: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    no_audio: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    video: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    no_video: Vec<String>,
}

impl From<&Subscription> for SubscriptionLists {
    fn from(lists: &Subscription) -> Self {
        let texts = |list: &[Box<str>]| list.iter().map(ToString::to_string).collect();
        let (audio, no_audio) = lists.entries(MediaKind::Audio);
        let (video, no_video) = lists.entries(MediaKind::Video);
        Self {
            audio: texts(audio),
            no_audio: texts(no_audio),
            video: texts(video),
            no_video: texts(no_video),
        }
    }
}

impl TryFrom<SubscriptionLists> for Subscription {
    type Error = SubscriptionError;

    fn try_from(lists: SubscriptionLists) -> Result<Self, SubscriptionError> {
        Self::everyone()
            .with_allowed(MediaKind::Audio, lists.audio)?
            .with_blocked(MediaKind::Audio, lists.no_audio)?
            .with_allowed(MediaKind::Video, lists.video)?
            .with_blocked(MediaKind::Video, lists.no_video)
    }
}

/// How a room is mixed, but for the font and for pictures that were given as pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MixLine {
    video: VideoLine,
    audio: AudioLine,
    /// Whether a video that pauses is black.
    black_fill: bool,
    #[serde(with = "text::nanos")]
    latency: RoomTime,
    pub(crate) layout: LayoutParams,
    pub(crate) watermarks: Vec<MarkLine>,
}

impl MixLine {
    /// The options, but for watermarks and font.
    pub(crate) fn options(&self) -> Result<MixOptions, TimelineError> {
        let size = Size::new(self.video.width, self.video.height).ok_or_else(|| refused("a side is 0"))?;
        let video = VideoOptions::default()
            .with_size(size)
            .with_fps(self.video.fps)
            .with_bits_per_second(self.video.bits_per_second)
            .with_gop_seconds(self.video.gop_seconds)
            .with_passthrough(self.video.passthrough)
            .with_content(if self.video.screen { ContentKind::Screen } else { ContentKind::Camera })
            .with_matrix(self.video.matrix.map(|matrix| match matrix {
                MatrixLine::Bt601 => Matrix::Bt601,
                MatrixLine::Bt709 => Matrix::Bt709,
            }));
        let audio = AudioOptions::default()
            .with_sample_rate(self.audio.sample_rate)
            .with_channels(self.audio.channels)
            .with_bits_per_second(self.audio.bits_per_second);
        let mut options = MixOptions::default()
            .with_video(video)
            .with_audio(audio)
            .with_layout(self.layout.clone())
            .with_fill(if self.black_fill { Fill::Black } else { Fill::LastPicture });
        options.latency = self.latency;
        Ok(options)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct VideoLine {
    width: u32,
    height: u32,
    fps: u16,
    bits_per_second: u32,
    gop_seconds: u16,
    #[serde(default)]
    passthrough: bool,
    /// Encoded as a screen is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    screen: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matrix: Option<MatrixLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MatrixLine {
    Bt601,
    Bt709,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AudioLine {
    sample_rate: u32,
    channels: u8,
    bits_per_second: u32,
}

impl From<&MixOptions> for MixLine {
    fn from(mix: &MixOptions) -> Self {
        let (video, audio) = (&mix.video, &mix.audio);
        Self {
            video: VideoLine {
                width: video.size.width(),
                height: video.size.height(),
                fps: video.fps,
                bits_per_second: video.bits_per_second,
                gop_seconds: video.gop_seconds,
                passthrough: video.passthrough,
                screen: video.content == ContentKind::Screen,
                matrix: video.matrix.map(|matrix| match matrix {
                    Matrix::Bt601 => MatrixLine::Bt601,
                    Matrix::Bt709 => MatrixLine::Bt709,
                }),
            },
            audio: AudioLine {
                sample_rate: audio.sample_rate,
                channels: audio.channels,
                bits_per_second: audio.bits_per_second,
            },
            black_fill: mix.fill == Fill::Black,
            latency: mix.latency,
            layout: mix.layout.clone(),
            watermarks: mix.watermarks.iter().map(MarkLine::from).collect(),
        }
    }
}

/// A watermark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MarkLine {
    /// A picture; without an address it was given as pixels.
    Image {
        /// Its address.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
        url: Option<ImageUrl>,
        /// Its place.
        #[serde(flatten)]
        place: Place,
    },
    /// A text.
    Text {
        /// The text.
        text: String,
        /// Its box.
        #[serde(flatten)]
        place: Place,
        /// How it looks.
        #[serde(flatten)]
        style: Style,
    },
    /// The time of day.
    Time {
        /// `Pos`.
        position: u8,
        /// Hours east of UTC.
        zone: i8,
        /// How it looks.
        #[serde(flatten)]
        style: Style,
    },
}

/// A box on the canvas, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// How letters look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    font_size: u16,
    #[serde(with = "text::display")]
    colour: Rgb,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional")]
    background: Option<Rgb>,
}

impl From<Rect> for Place {
    fn from(rect: Rect) -> Self {
        let size = rect.size();
        Self { left: rect.left(), top: rect.top(), width: size.width(), height: size.height() }
    }
}

impl From<TextStyle> for Style {
    fn from(style: TextStyle) -> Self {
        Self { font_size: style.font_size, colour: style.colour, background: style.background }
    }
}

impl From<&Watermark> for MarkLine {
    fn from(mark: &Watermark) -> Self {
        match mark {
            Watermark::Image { image, rect } => {
                let url = match image {
                    ImageSource::Url(url) => Some(url.clone()),
                    ImageSource::Given(_) => None,
                };
                Self::Image { url, place: (*rect).into() }
            }
            Watermark::Text { text, rect, style } => {
                Self::Text { text: text.clone(), place: (*rect).into(), style: (*style).into() }
            }
            Watermark::Timestamp { position, zone, style } => {
                Self::Time { position: position.code(), zone: zone.hours(), style: (*style).into() }
            }
        }
    }
}

impl MarkLine {
    /// What the lines say.
    ///
    /// # Errors
    /// [`TimelineError::Pixels`], and [`TimelineError::Line`] for what cannot be.
    pub fn watermarks(lines: &[Self]) -> Result<Vec<Watermark>, TimelineError> {
        lines.iter().enumerate().map(|(index, line)| line.watermark(index, None)).collect()
    }

    /// What the line at `index` says, with its picture if that was given as pixels.
    pub(crate) fn watermark(
        &self,
        index: usize,
        pixels: Option<Arc<Bitmap>>,
    ) -> Result<Watermark, TimelineError> {
        let rect = |place: &Place| {
            Size::new(place.width, place.height)
                .and_then(|size| Rect::new(place.left, place.top, size))
                .ok_or_else(|| refused(format!("watermark {index} has no such place")))
        };
        let style = |style: &Style| {
            TextStyle::default()
                .with_font_size(style.font_size)
                .with_colour(style.colour)
                .with_background(style.background)
        };
        Ok(match self {
            Self::Image { url, place } => {
                let image = match (url, pixels) {
                    (Some(url), _) => ImageSource::Url(url.clone()),
                    (None, Some(pixels)) => ImageSource::Given(pixels),
                    (None, None) => return Err(TimelineError::Pixels { index }),
                };
                Watermark::Image { image, rect: rect(place)? }
            }
            Self::Text { text, place, style: look } => {
                Watermark::Text { text: text.clone(), rect: rect(place)?, style: style(look) }
            }
            Self::Time { position, zone, style: look } => {
                let wrong = || refused(format!("watermark {index} has no such position or time zone"));
                Watermark::Timestamp {
                    position: Position::from_code(*position).ok_or_else(wrong)?,
                    zone: TimeZone::new(*zone).ok_or_else(wrong)?,
                    style: style(look),
                }
            }
        })
    }
}
