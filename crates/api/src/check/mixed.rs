use recorder_layout::{CustomWindow, ImageUrl, InvalidLayout, LayoutParams, LayoutRule, Rgb, Template};
use recorder_types::Size;

use super::at::{At, given};
use super::coded::{SampleRate, WaterMarkPosition};
use crate::action::MAX_BODY_BYTES;
use crate::error::{FieldPath, Problem, RequestError, TextRule};
use crate::{read, tree, wire};

/// Most watermarks of a recording.
pub const MAX_WATERMARKS: usize = 25;

/// Largest side of a canvas.
const MAX_SIDE: i64 = 1920;
/// Most pixels of a canvas.
const MAX_AREA: i64 = 1920 * 1080;
/// Smallest side of a canvas. Ours: what OpenH264 encodes.
const MIN_SIDE: i64 = 16;
/// Longest time between key frames, in seconds. Ours.
const MAX_GOP: i64 = 3600;
/// Largest number of a watermark's place and size.
const MAX_WATERMARK: i64 = 2560;
/// Largest font, in pixels. Ours: as large as `recorder-compositor` draws it.
const MAX_FONT: i64 = 1024;
/// Longest text of a watermark, in bytes. Ours.
const MAX_CHARS: usize = 1024;

/// Picture, sound and layout of a mixed recording (`MixTranscodeParams`, `MixLayoutParams`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MixSettings {
    /// `Width` and `Height`: 16 to 1920, even, at most 1920 x 1080 pixels; 360 x 640 by default.
    pub canvas: Size,
    /// Pictures a second, 1 to 60, by default 15.
    pub fps: u16,
    /// Bits a second, 64 000 to 8 192 000, by default 550 000.
    pub video_bit_rate: u32,
    /// Seconds between key frames, 1 to 3600, by default 10.
    pub gop_seconds: u16,
    /// By default 48 kHz.
    pub sample_rate: SampleRate,
    /// 1 or 2, the default.
    pub channels: u8,
    /// Bits a second, 32 000 to 128 000, by default 64 000.
    pub audio_bit_rate: u32,
    /// By default a grid without watermarks. It fits the canvas.
    pub layout: Layout,
}

/// Windows and watermarks (`MixLayoutParams`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// Where windows are.
    pub params: LayoutParams,
    /// From back to front, at most 25.
    pub watermarks: Vec<WaterMark>,
}

/// What is drawn over the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaterMark {
    /// 0.
    Image {
        /// Passed on, not fetched here.
        url: ImageUrl,
        /// Where.
        rect: PixelRect,
    },
    /// 1.
    Text {
        /// 1 to 1024 bytes.
        chars: String,
        /// Where.
        rect: PixelRect,
        /// Pixels, 1 to 1024.
        font_size: u16,
        /// White by default.
        colour: Rgb,
        /// Transparent where `None`.
        background: Option<Rgb>,
        /// Which.
        font: WaterMarkFont,
    },
    /// 2.
    Timestamp {
        /// Where.
        position: WaterMarkPosition,
        /// Hours east of UTC, -12 to 14 (ours); 8 by default.
        zone_hours: i8,
        /// Which.
        font: WaterMarkFont,
    },
}

/// A place on the canvas, in pixels from its top left. A side can be 0: then nothing is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PixelRect {
    /// From the left border.
    pub left: u32,
    /// From the top.
    pub top: u32,
    /// Across.
    pub width: u32,
    /// Down.
    pub height: u32,
}

impl PixelRect {
    fn check_canvas(&self, at: &At<'_>, canvas: Size) -> Result<(), RequestError> {
        let right = self.left.saturating_add(self.width);
        let bottom = self.top.saturating_add(self.height);
        if right > canvas.width() || bottom > canvas.height() {
            let (width, height) = (canvas.width(), canvas.height());
            return Err(at.error(Problem::OutsideCanvas { right, bottom, width, height }));
        }
        Ok(())
    }
}

/// `Font`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WaterMarkFont {
    /// `Tencent`.
    #[default]
    Tencent,
    /// `SourceHanSans`.
    SourceHanSans,
}

impl std::str::FromStr for WaterMarkFont {
    type Err = TextRule;

    fn from_str(s: &str) -> Result<Self, TextRule> {
        match s {
            "Tencent" => Ok(Self::Tencent),
            "SourceHanSans" => Ok(Self::SourceHanSans),
            _ => Err(TextRule::Font),
        }
    }
}

impl Default for MixSettings {
    fn default() -> Self {
        Self {
            canvas: Size::new(360, 640).expect("neither side is zero"),
            fps: 15,
            video_bit_rate: 550_000,
            gop_seconds: 10,
            sample_rate: SampleRate::Hz48000,
            channels: 2,
            audio_bit_rate: 64_000,
            layout: Layout::default(),
        }
    }
}

impl MixSettings {
    pub(super) fn check(
        root: &At<'_>,
        transcode: wire::MixTranscodeParams,
        layout: Option<wire::MixLayoutParams>,
    ) -> Result<Self, RequestError> {
        let mut settings =
            Self { layout: Layout::check(&root.member("MixLayoutParams"), layout)?, ..Self::default() };
        settings.take(&root.member("MixTranscodeParams"), transcode)?;
        settings.layout.check_canvas(settings.canvas)?;
        Ok(settings)
    }

    fn take(&mut self, at: &At<'_>, transcode: wire::MixTranscodeParams) -> Result<(), RequestError> {
        if let Some(video) = transcode.video_params {
            self.take_video(&at.member("VideoParams"), &video)?;
        }
        if let Some(audio) = transcode.audio_params {
            self.take_audio(&at.member("AudioParams"), &audio)?;
        }
        Ok(())
    }

    fn take_video(&mut self, at: &At<'_>, video: &wire::VideoParams) -> Result<(), RequestError> {
        let width: u32 = side(at, "Width", video.width)?;
        let height: u32 = side(at, "Height", video.height)?;
        let area = i64::from(width) * i64::from(height);
        if area > MAX_AREA {
            return Err(at.error(Problem::Area { got: area, max: MAX_AREA }));
        }
        self.canvas = Size::new(width, height).expect("checked to be at least 16");
        self.fps = at.required_number("Fps", video.fps, 1..=60)?;
        self.video_bit_rate = at.required_number("BitRate", video.bit_rate, 64_000..=8_192_000)?;
        self.gop_seconds = at.required_number("Gop", video.gop, 1..=MAX_GOP)?;
        Ok(())
    }

    fn take_audio(&mut self, at: &At<'_>, audio: &wire::AudioParams) -> Result<(), RequestError> {
        self.sample_rate = at.required("SampleRate", at.code("SampleRate", audio.sample_rate)?)?;
        self.channels = at.required_number("Channel", audio.channel, 1..=2)?;
        self.audio_bit_rate = at.required_number("BitRate", audio.bit_rate, 32_000..=128_000)?;
        Ok(())
    }
}

fn side(at: &At<'_>, name: &'static str, value: Option<i64>) -> Result<u32, RequestError> {
    let got: u32 = at.required_number(name, value, MIN_SIDE..=MAX_SIDE)?;
    if got % 2 == 1 { Err(at.member(name).error(Problem::Odd { got: got.into() })) } else { Ok(got) }
}

impl Layout {
    /// Reads `MixLayoutParams` as an object of its own, such as from a file; [`wire::MixLayoutParams::check`].
    ///
    /// # Errors
    /// As [`Request::from_json`](crate::Request::from_json); paths begin with a member.
    pub fn from_json(json: &[u8]) -> Result<Self, RequestError> {
        let root = |problem| RequestError { path: FieldPath::default(), problem };
        if json.len() > MAX_BODY_BYTES {
            return Err(root(Problem::TooLarge { got: json.len(), max: MAX_BODY_BYTES }));
        }
        read::read::<wire::MixLayoutParams>(&tree::from_json(json).map_err(root)?)?.check()
    }

    /// The grid where the object is absent; with it, `MixLayoutMode` is required.
    pub(super) fn check(at: &At<'_>, wire: Option<wire::MixLayoutParams>) -> Result<Self, RequestError> {
        let Some(wire) = wire else { return Ok(Self::default()) };
        let (params, marks) = wire.into_parts();
        let params = LayoutParams::try_from(params).map_err(|error| invalid_layout(at, error))?;
        let marks = marks.unwrap_or_default();
        let marks_at = at.member("WaterMarkList");
        marks_at.list(&marks, MAX_WATERMARKS)?;
        let watermarks = marks
            .into_iter()
            .enumerate()
            .map(|(index, mark)| check_watermark(&marks_at.item(index), mark))
            .collect::<Result<_, _>>()?;
        Ok(Self { params, watermarks })
    }

    /// Whether every window and watermark is on the canvas: a layout that replaces another comes without the canvas,
    /// which is the task's.
    ///
    /// # Errors
    /// The first that reaches over it.
    pub fn check_canvas(&self, canvas: Size) -> Result<(), RequestError> {
        let root = At::ROOT;
        let at = root.member("MixLayoutParams");
        if let Template::Custom(windows) = &self.params.template {
            let list_at = at.member("MixLayoutList");
            for (index, window) in windows.iter().enumerate() {
                let CustomWindow { left, top, width, height, .. } = *window;
                PixelRect { left, top, width, height }.check_canvas(&list_at.item(index), canvas)?;
            }
        }
        let marks_at = at.member("WaterMarkList");
        for (index, mark) in self.watermarks.iter().enumerate() {
            let mark_at = marks_at.item(index);
            match mark {
                WaterMark::Image { rect, .. } => {
                    rect.check_canvas(&mark_at.member("WaterMarkImage"), canvas)?
                }
                WaterMark::Text { rect, .. } => {
                    rect.check_canvas(&mark_at.member("WaterMarkChar"), canvas)?
                }
                WaterMark::Timestamp { .. } => {}
            }
        }
        Ok(())
    }
}

/// What `recorder-layout` refuses, at its place in a request.
fn invalid_layout(at: &At<'_>, error: InvalidLayout) -> RequestError {
    let list = at.member("MixLayoutList");
    let window = error.window.map(|index| list.item(index));
    let field = window.as_ref().unwrap_or(at).member(error.field);
    match error.rule {
        LayoutRule::Missing => field.error(Problem::Missing),
        LayoutRule::OutOfRange { min, max, got } => field.error(Problem::OutOfRange { got, min, max }),
        LayoutRule::TooMany { got, max } => field.error(Problem::TooMany { got, max }),
        LayoutRule::Colour(rule) => field.rule(rule),
        LayoutRule::Image(rule) => field.rule(rule),
        LayoutRule::User(rule) => field.rule(rule),
    }
}

impl wire::MixTranscodeParams {
    /// What it means, with the grid as layout. Paths of errors begin with a member.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(self) -> Result<MixSettings, RequestError> {
        let mut settings = MixSettings::default();
        settings.take(&At::ROOT, self)?;
        Ok(settings)
    }
}

impl wire::MixLayoutParams {
    /// What it means. It is not known yet to fit a canvas: [`Layout::check_canvas`]. Paths of errors begin with a member.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(self) -> Result<Layout, RequestError> {
        Layout::check(&At::ROOT, Some(self))
    }

    fn into_parts(self) -> (recorder_layout::MixLayoutParams, Option<Vec<wire::WaterMark>>) {
        let layout = recorder_layout::MixLayoutParams {
            mix_layout_mode: self.mix_layout_mode,
            mix_layout_list: self.mix_layout_list,
            back_ground_color: self.back_ground_color,
            max_resolution_user_id: self.max_resolution_user_id,
            media_id: self.media_id,
            background_image_url: self.background_image_url,
            place_holder_mode: self.place_holder_mode,
            background_image_render_mode: self.background_image_render_mode,
            default_sub_background_image: self.default_sub_background_image,
            render_mode: self.render_mode,
            max_resolution_user_align: self.max_resolution_user_align,
            pure_audio_disable_layout: self.pure_audio_disable_layout,
        };
        (layout, self.water_mark_list)
    }
}

fn check_watermark(at: &At<'_>, wire: wire::WaterMark) -> Result<WaterMark, RequestError> {
    match at.integer("WaterMarkType", wire.water_mark_type, 0, 0..=2)? {
        0 => {
            let image = at.required("WaterMarkImage", wire.water_mark_image)?;
            let at = at.member("WaterMarkImage");
            let url = at.required("WaterMarkUrl", at.parsed("WaterMarkUrl", image.water_mark_url)?)?;
            let sides =
                [("Top", image.top), ("Left", image.left), ("Width", image.width), ("Height", image.height)];
            Ok(WaterMark::Image { url, rect: check_rect(&at, sides, MAX_WATERMARK)? })
        }
        1 => {
            let text = at.required("WaterMarkChar", wire.water_mark_char)?;
            let at = at.member("WaterMarkChar");
            let sides =
                [("Top", text.top), ("Left", text.left), ("Width", text.width), ("Height", text.height)];
            Ok(WaterMark::Text {
                rect: check_rect(&at, sides, MAX_WATERMARK)?,
                chars: at.required("Chars", at.text("Chars", text.chars, MAX_CHARS)?)?,
                font_size: at.number("FontSize", text.font_size, 14, 1..=MAX_FONT)?,
                colour: colour(&at, "FontColor", text.font_color)?.unwrap_or(Rgb::new(255, 255, 255)),
                background: colour(&at, "BackGroundColor", text.back_ground_color)?,
                font: at.parsed("Font", text.font)?.unwrap_or_default(),
            })
        }
        _ => {
            let clock = at.required("WaterMarkTimestamp", wire.water_mark_timestamp)?;
            let at = at.member("WaterMarkTimestamp");
            Ok(WaterMark::Timestamp {
                position: at.required("Pos", at.code("Pos", clock.pos)?)?,
                zone_hours: at.number("TimeZone", clock.time_zone, 8, -12..=14)?,
                font: at.parsed("Font", clock.font)?.unwrap_or_default(),
            })
        }
    }
}

/// Top, left, width and height, each with its name.
fn check_rect(
    at: &At<'_>,
    [top, left, width, height]: [(&'static str, Option<i64>); 4],
    max: i64,
) -> Result<PixelRect, RequestError> {
    let read = |(name, value): (&'static str, Option<i64>)| at.required_number(name, value, 0..=max);
    Ok(PixelRect { top: read(top)?, left: read(left)?, width: read(width)?, height: read(height)? })
}

/// `#RRGGBB` or `0xRRGGBB`: the API does not say which.
fn colour(at: &At<'_>, name: &'static str, value: Option<String>) -> Result<Option<Rgb>, RequestError> {
    let Some(text) = given(value) else { return Ok(None) };
    let hash = text.strip_prefix("0x").map(|digits| format!("#{digits}"));
    at.parsed(name, Some(hash.unwrap_or(text)))
}
