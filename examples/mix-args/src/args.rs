use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::{ArgAction, Args};
use recorder::MixOptions;
use recorder::api::wire::{AudioParams, MixTranscodeParams, VideoParams};
use recorder::api::{FillType, Layout, RequestError, SampleRate};
use recorder::codec::ContentKind;
use recorder::compositor::{Bitmap, Font, MAX_IMAGE_BYTES, Position, Rect, Rgb, TextStyle, TimeZone};
use recorder::layout::{LargeSide, LayoutParams, StreamId, Template};
use recorder::mix::{ImageSource, Watermark, watermarks};
use recorder::types::{MediaId, Size, with_causes};

type AnyError = Box<dyn Error>;

/// A font file is as long as this, at most.
const MAX_FONT_BYTES: u64 = 64 << 20;

/// What the mixed picture and sound of a room are like. What is not given is as it would be without.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mixed picture and sound")]
pub struct MixArgs {
    /// Where everybody is: a template, or a file with `MixLayoutParams` in JSON (custom layouts, watermarks).
    #[arg(long, value_name = "grid|floating|screen-share|FILE.json")]
    layout: Option<String>,

    /// Who has the large window of floating and screen-share.
    #[arg(long, value_name = "USER[,media=main|aux]")]
    large: Option<String>,

    /// Size of the picture: even sides up to 1920, no more pixels than 1920x1080. Default 360x640.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    canvas: Option<(i64, i64)>,

    /// Pictures a second, 1 to 60. Default 15.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    fps: Option<i64>,

    /// Of the video, 64000 to 8192000 bit/s. Default 550000.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    bitrate: Option<i64>,

    /// Seconds from key frame to key frame, 1 to 3600. Default 10.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    gop: Option<i64>,

    /// Gives out a video that fills the canvas by itself, in its size and with nothing over it, as it came in.
    #[arg(long)]
    passthrough: bool,

    /// What the picture is encoded as: cameras, or a screen with small text, which takes several times the work. Default
    /// camera.
    #[arg(long, value_name = "camera|screen", value_parser = parse_content)]
    content: Option<ContentKind>,

    /// 48000, 44100 or 16000 samples a second. Default 48000.
    #[arg(long, value_name = "HZ")]
    audio_rate: Option<u32>,

    /// 1 or 2. Default 2.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    audio_channels: Option<i64>,

    /// Of the sound, 32000 to 128000 bit/s. Default 64000.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    audio_bitrate: Option<i64>,

    /// A watermark: a picture, a text or the time of day. KIND is image=FILE, text=WORDS or time=PLACE with PLACE of
    /// top-left, top, top-right, centre, bottom-left, bottom, bottom-right; options are left, top, width, height
    /// (image and text), size, color, background (text and time, #RRGGBB) and zone (time, hours east of UTC). May be
    /// repeated.
    #[arg(long, value_name = "KIND[,OPTION=N]...", action = ArgAction::Append)]
    watermark: Vec<WatermarkArg>,

    /// A TrueType or OpenType file for texts. Default: a built-in one with Latin, Greek and Cyrillic letters.
    #[arg(long, value_name = "FILE")]
    font: Option<PathBuf>,
}

impl MixArgs {
    /// The name of an option that was given.
    #[must_use]
    pub fn any(&self) -> Option<&'static str> {
        let given = [
            (self.layout.is_some(), "--layout"),
            (self.large.is_some(), "--large"),
            (self.canvas.is_some(), "--canvas"),
            (self.fps.is_some(), "--fps"),
            (self.bitrate.is_some(), "--bitrate"),
            (self.gop.is_some(), "--gop"),
            (self.passthrough, "--passthrough"),
            (self.content.is_some(), "--content"),
            (self.audio_rate.is_some(), "--audio-rate"),
            (self.audio_channels.is_some(), "--audio-channels"),
            (self.audio_bitrate.is_some(), "--audio-bitrate"),
            (!self.watermark.is_empty(), "--watermark"),
            (self.font.is_some(), "--font"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// Whether layout or watermarks were given, so that they are not those that stood before.
    #[must_use]
    pub fn has_layout(&self) -> bool {
        self.layout.is_some() || self.large.is_some() || !self.watermark.is_empty()
    }

    /// `base` with what was given.
    ///
    /// # Errors
    /// What the recording API refuses, and files that cannot be read.
    pub fn options(&self, base: MixOptions) -> Result<MixOptions, Box<dyn Error>> {
        let mut options = base;
        let (size, old) = (options.video.size, &options.video);
        let (width, height) = self.canvas.unwrap_or((size.width().into(), size.height().into()));
        let video = VideoParams {
            width: Some(width),
            height: Some(height),
            fps: Some(self.fps.unwrap_or(old.fps.into())),
            bit_rate: Some(self.bitrate.unwrap_or(old.bits_per_second.into())),
            gop: Some(self.gop.unwrap_or(old.gop_seconds.into())),
        };
        let rate = self.audio_rate.unwrap_or(options.audio.sample_rate);
        let is_it = |code: &SampleRate| code.hz() == rate;
        let Some(rate) =
            [SampleRate::Hz48000, SampleRate::Hz44100, SampleRate::Hz16000].into_iter().find(is_it)
        else {
            return Err(format!("--audio-rate is 48000, 44100 or 16000, not {rate}").into());
        };
        let audio = AudioParams {
            sample_rate: Some(rate.code()),
            channel: Some(self.audio_channels.unwrap_or(options.audio.channels.into())),
            bit_rate: Some(self.audio_bitrate.unwrap_or(options.audio.bits_per_second.into())),
        };
        let (matrix, passthrough) = (options.video.matrix, options.video.passthrough || self.passthrough);
        let asked = MixTranscodeParams { video_params: Some(video), audio_params: Some(audio) };
        let settings = asked.check().map_err(|error| error.message())?;
        let asked = MixOptions::from_settings(&settings, FillType::LastPicture)?;
        let content = self.content.unwrap_or(options.video.content);
        let video = asked.video.with_matrix(matrix).with_passthrough(passthrough).with_content(content);
        options = options.with_video(video).with_audio(asked.audio);
        if let Some(path) = &self.font {
            let font = Font::from_bytes(read(path, MAX_FONT_BYTES)?)?;
            options = options.with_font(Arc::new(font)).with_font_file(path.clone());
        }
        if !self.has_layout() {
            return Ok(options);
        }
        let (layout, mut marks) = self.layout(options.layout.clone())?;
        for mark in &self.watermark {
            marks.push(mark.watermark(&options)?);
        }
        Ok(options.with_layout(layout).with_watermarks(marks))
    }

    fn layout(&self, base: LayoutParams) -> Result<(LayoutParams, Vec<Watermark>), AnyError> {
        let large = self.large.as_deref().map(parse_stream).transpose()?;
        let (mut layout, marks) = match self.layout.as_deref() {
            None => (base, Vec::new()),
            Some(text) => read_layout(text)?,
        };
        if large.is_some() {
            match &mut layout.template {
                Template::Floating { large: named } | Template::ScreenShare { large: named, .. } => {
                    *named = large
                }
                Template::Grid | Template::Custom(_) => {
                    return Err("--large: only floating and screen-share have a large window".into());
                }
            }
        }
        Ok((layout, marks))
    }
}

/// A layout by the name of its template, or from a file.
fn read_layout(text: &str) -> Result<(LayoutParams, Vec<Watermark>), AnyError> {
    let template = match text {
        "grid" => Template::Grid,
        "floating" => Template::Floating { large: None },
        "screen-share" => Template::ScreenShare { large: None, side: LargeSide::Left },
        file if file.ends_with(".json") => {
            let json = read(Path::new(file), 1 << 20)?;
            let in_file = |error: RequestError| format!("--layout: {file}: {}", error.message());
            let layout = Layout::from_json(&json).map_err(in_file)?;
            let marks = watermarks(&layout)?;
            return Ok((layout.params, marks));
        }
        other => {
            return Err(
                format!("--layout is grid, floating, screen-share or a .json file, not `{other}`").into()
            );
        }
    };
    Ok((LayoutParams::new(template), Vec::new()))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, AnyError> {
    let in_file = |error: &dyn Error| format!("{}: {error}", path.display());
    let len = std::fs::metadata(path).map_err(|error| in_file(&error))?.len();
    if len > most {
        return Err(format!("{}: {len} bytes, of {most} at most", path.display()).into());
    }
    Ok(std::fs::read(path).map_err(|error| in_file(&error))?)
}

fn parse_size(text: &str) -> Result<(i64, i64), String> {
    let (width, height) = text.split_once('x').ok_or("WIDTHxHEIGHT, such as 1280x720")?;
    let side = |side: &str| side.parse().map_err(|_| format!("`{side}` is not a number of pixels"));
    Ok((side(width)?, side(height)?))
}

fn parse_content(text: &str) -> Result<ContentKind, String> {
    match text {
        "camera" => Ok(ContentKind::Camera),
        "screen" => Ok(ContentKind::Screen),
        _ => Err("camera or screen".to_owned()),
    }
}

fn parse_stream(text: &str) -> Result<StreamId, AnyError> {
    let (user, media) = match text.rsplit_once(",media=") {
        None => (text, MediaId::Main),
        Some((user, "main")) => (user, MediaId::Main),
        Some((user, "aux")) => (user, MediaId::Aux),
        Some((_, other)) => return Err(format!("media is `main` or `aux`, not `{other}`").into()),
    };
    Ok(StreamId { user: user.parse()?, media })
}

/// One `--watermark`.
#[derive(Clone, Debug)]
struct WatermarkArg {
    kind: Kind,
    left: u32,
    top: u32,
    width: Option<u32>,
    height: Option<u32>,
    zone: TimeZone,
    style: TextStyle,
}

#[derive(Clone, Debug)]
enum Kind {
    Image(PathBuf),
    Text(String),
    Time(Position),
}

impl FromStr for WatermarkArg {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (kind, mut value) = s.split_once('=').ok_or("image=FILE, text=WORDS or time=PLACE")?;
        let mut mark = Self {
            kind: Kind::Text(String::new()),
            left: 0,
            top: 0,
            width: None,
            height: None,
            zone: TimeZone::default(),
            style: TextStyle::default(),
        };
        // Options are taken from the end, so that a text may hold commas.
        while let Some((before, option)) = value.rsplit_once(',') {
            let Some((key, number)) = option.split_once('=') else { break };
            let wrong = |_| format!("`{number}` is not a number for {key}");
            match key {
                "left" => mark.left = number.parse().map_err(wrong)?,
                "top" => mark.top = number.parse().map_err(wrong)?,
                "width" => mark.width = Some(number.parse().map_err(wrong)?),
                "height" => mark.height = Some(number.parse().map_err(wrong)?),
                "size" => mark.style.font_size = number.parse().map_err(wrong)?,
                "zone" => {
                    let zone = number.parse().map_err(wrong)?;
                    mark.zone = TimeZone::new(zone).ok_or("zone is -12 to 14")?;
                }
                "color" => mark.style.colour = colour(number)?,
                "background" => mark.style.background = Some(colour(number)?),
                _ => break,
            }
            value = before;
        }
        mark.kind = match kind {
            "image" => Kind::Image(value.into()),
            "text" => Kind::Text(value.into()),
            "time" => Kind::Time(match value {
                "top-left" => Position::TopLeft,
                "top" => Position::TopCentre,
                "top-right" => Position::TopRight,
                "centre" => Position::Centre,
                "bottom-left" => Position::BottomLeft,
                "bottom" => Position::BottomCentre,
                "bottom-right" => Position::BottomRight,
                other => return Err(format!("`{other}` is no place for a time")),
            }),
            other => return Err(format!("a watermark is image, text or time, not `{other}`")),
        };
        Ok(mark)
    }
}

fn colour(text: &str) -> Result<Rgb, String> {
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

impl WatermarkArg {
    fn watermark(&self, options: &MixOptions) -> Result<Watermark, AnyError> {
        let rect = |own: Size| {
            let (width, height) = (self.width.unwrap_or(own.width()), self.height.unwrap_or(own.height()));
            Size::new(width, height)
                .and_then(|size| Rect::new(self.left, self.top, size))
                .ok_or("--watermark: a side of 0, or too far out")
        };
        Ok(match &self.kind {
            Kind::Image(path) => {
                let most = u64::try_from(MAX_IMAGE_BYTES).unwrap_or(u64::MAX);
                let in_file = |error| format!("--watermark: {}: {}", path.display(), with_causes(&error));
                let bitmap = Bitmap::decode(&read(path, most)?).map_err(in_file)?;
                let rect = rect(bitmap.size())?;
                Watermark::Image { image: ImageSource::Given(Arc::new(bitmap)), rect }
            }
            Kind::Text(text) => {
                let rect = rect(options.font.measure(text, self.style.font_size)?)?;
                Watermark::Text { text: text.clone(), rect, style: self.style }
            }
            Kind::Time(position) => {
                Watermark::Timestamp { position: *position, zone: self.zone, style: self.style }
            }
        })
    }
}
