use recorder_types::MediaId;

use crate::arrange::StreamId;
use crate::{
    AudioOnlyUsers, CustomWindow, ImageUrl, InvalidLayout, LargeSide, LayoutParams, LayoutRule, MAX_WINDOWS,
    Placeholders, RenderMode, Rgb, Template, Transparency,
};

/// Largest `Top`, `Left`, `Width` and `Height` of a window.
const MAX_PIXELS: i64 = 1920;

/// `MixLayoutParams` of the recording API, field by field and unchecked; watermarks (`WaterMarkList`) are not of this
/// crate and are passed over. [`LayoutParams`] is what it becomes when it is checked.
///
/// A member that is absent, `null` or the empty string has its default; those that are required are so to be converted,
/// not to be read.
///
/// # Specification
/// `trtc-api.md` section 6.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "PascalCase"))]
pub struct MixLayoutParams {
    /// Required. 1 floating, 2 screen sharing, 3 grid, 4 custom.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mix_layout_mode: Option<i64>,
    /// Windows of mode 4, at most 25.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mix_layout_list: Option<Vec<MixLayout>>,
    /// `#RRGGBB`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub back_ground_color: Option<String>,
    /// User of the large window in modes 1 and 2.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max_resolution_user_id: Option<String>,
    /// Stream of that user: 0 main, 1 auxiliary.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub media_id: Option<i64>,
    /// Image of the canvas.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub background_image_url: Option<String>,
    /// 1: placeholder in a window whose user publishes nothing.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub place_holder_mode: Option<i64>,
    /// Fitting of the background image, 0 to 3.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub background_image_render_mode: Option<i64>,
    /// Placeholder image of windows.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub default_sub_background_image: Option<String>,
    /// Fitting inside the windows of modes 1 to 3, 0 to 3.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub render_mode: Option<i64>,
    /// Mode 2: 1 puts the large window on the right.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max_resolution_user_align: Option<i64>,
    /// Users without video get no window.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub pure_audio_disable_layout: Option<bool>,
}

/// A window of `MixLayoutList`.
///
/// # Specification
/// `trtc-api.md` section 6.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "PascalCase"))]
pub struct MixLayout {
    /// Required. Pixels, 0 to 1920.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub top: Option<i64>,
    /// Required. Pixels, 0 to 1920.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub left: Option<i64>,
    /// Required. Pixels, 0 to 1920.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub width: Option<i64>,
    /// Required. Pixels, 0 to 1920.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub height: Option<i64>,
    /// User shown.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub user_id: Option<String>,
    /// 0 opaque to 255 fully transparent.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub alpha: Option<i64>,
    /// Fitting, 0 to 3; default 1.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub render_mode: Option<i64>,
    /// 0 main, 1 auxiliary.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub media_id: Option<i64>,
    /// Lower is further back.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub image_layer: Option<i64>,
    /// Placeholder image of this window.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub sub_background_image: Option<String>,
}

impl TryFrom<MixLayoutParams> for LayoutParams {
    type Error = InvalidLayout;

    /// Checks all that can be checked without the canvas; [`arrange`](crate::arrange) does the rest.
    fn try_from(wire: MixLayoutParams) -> Result<Self, InvalidLayout> {
        let mode = in_range("MixLayoutMode", required("MixLayoutMode", wire.mix_layout_mode)?, 1, 4)?;
        let list = wire.mix_layout_list.unwrap_or_default();
        if list.len() > MAX_WINDOWS {
            let rule = LayoutRule::TooMany { got: list.len(), max: MAX_WINDOWS };
            return Err(InvalidLayout::new("MixLayoutList", rule));
        }
        let windows = list.into_iter().enumerate();
        let windows = windows
            .map(|(index, window)| {
                CustomWindow::try_from(window).map_err(|error| InvalidLayout { window: Some(index), ..error })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let large_media = media("MediaId", wire.media_id)?;
        let large = parsed("MaxResolutionUserId", wire.max_resolution_user_id, LayoutRule::User)?
            .map(|user| StreamId { user, media: large_media });
        let side = match flag("MaxResolutionUserAlign", wire.max_resolution_user_align)? {
            false => LargeSide::Left,
            true => LargeSide::Right,
        };
        let template = match mode {
            1 => Template::Floating { large },
            2 => Template::ScreenShare { large, side },
            3 => Template::Grid,
            _ => Template::Custom(windows),
        };
        let placeholders = match flag("PlaceHolderMode", wire.place_holder_mode)? {
            false => Placeholders::PublishersOnly,
            true => Placeholders::AllNamed,
        };
        let background = parsed("BackGroundColor", wire.back_ground_color, LayoutRule::Colour)?;
        let audio_only = match wire.pure_audio_disable_layout {
            Some(true) => AudioOnlyUsers::Hidden,
            Some(false) | None => AudioOnlyUsers::Window,
        };
        Ok(Self {
            template,
            mode: render_mode("RenderMode", wire.render_mode)?,
            background: background.unwrap_or(Rgb::BLACK),
            background_image: parsed("BackgroundImageUrl", wire.background_image_url, LayoutRule::Image)?,
            background_image_mode: render_mode(
                "BackgroundImageRenderMode",
                wire.background_image_render_mode,
            )?,
            placeholder_image: parsed(
                "DefaultSubBackgroundImage",
                wire.default_sub_background_image,
                LayoutRule::Image,
            )?,
            placeholders,
            audio_only,
        })
    }
}

impl TryFrom<MixLayout> for CustomWindow {
    type Error = InvalidLayout;

    /// Checks all that can be checked without the canvas; [`arrange`](crate::arrange) does the rest.
    fn try_from(wire: MixLayout) -> Result<Self, InvalidLayout> {
        let alpha = in_range("Alpha", wire.alpha.unwrap_or(0), 0, 255)?;
        Ok(Self {
            left: pixels("Left", wire.left)?,
            top: pixels("Top", wire.top)?,
            width: pixels("Width", wire.width)?,
            height: pixels("Height", wire.height)?,
            user: parsed("UserId", wire.user_id, LayoutRule::User)?,
            media: media("MediaId", wire.media_id)?,
            alpha: Transparency::new(u8::try_from(alpha).expect("checked to be at most 255")),
            mode: render_mode("RenderMode", wire.render_mode)?,
            layer: wire.image_layer.unwrap_or(0),
            placeholder: parsed("SubBackgroundImage", wire.sub_background_image, LayoutRule::Image)?,
        })
    }
}

/// Members of no use to the template are left out.
impl From<LayoutParams> for MixLayoutParams {
    fn from(params: LayoutParams) -> Self {
        let text = |url: Option<ImageUrl>| url.map(|url| url.as_str().to_owned());
        let mut wire = Self {
            back_ground_color: Some(params.background.to_string()),
            background_image_url: text(params.background_image),
            place_holder_mode: Some(i64::from(params.placeholders == Placeholders::AllNamed)),
            background_image_render_mode: Some(params.background_image_mode.code().into()),
            default_sub_background_image: text(params.placeholder_image),
            render_mode: Some(params.mode.code().into()),
            pure_audio_disable_layout: Some(params.audio_only == AudioOnlyUsers::Hidden),
            ..Self::default()
        };
        let large = match params.template {
            Template::Floating { large } => {
                wire.mix_layout_mode = Some(1);
                large
            }
            Template::ScreenShare { large, side } => {
                wire.mix_layout_mode = Some(2);
                wire.max_resolution_user_align = Some(i64::from(side == LargeSide::Right));
                large
            }
            Template::Grid => {
                wire.mix_layout_mode = Some(3);
                None
            }
            Template::Custom(windows) => {
                wire.mix_layout_mode = Some(4);
                wire.mix_layout_list = Some(windows.into_iter().map(MixLayout::from).collect());
                None
            }
        };
        if let Some(StreamId { user, media }) = large {
            wire.max_resolution_user_id = Some(user.as_str().to_owned());
            wire.media_id = Some(media_code(media));
        }
        wire
    }
}

impl From<CustomWindow> for MixLayout {
    fn from(window: CustomWindow) -> Self {
        Self {
            top: Some(window.top.into()),
            left: Some(window.left.into()),
            width: Some(window.width.into()),
            height: Some(window.height.into()),
            user_id: window.user.map(|user| user.as_str().to_owned()),
            alpha: Some(window.alpha.get().into()),
            render_mode: Some(window.mode.code().into()),
            media_id: Some(media_code(window.media)),
            image_layer: Some(window.layer),
            sub_background_image: window.placeholder.map(|url| url.as_str().to_owned()),
        }
    }
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, InvalidLayout> {
    value.ok_or(InvalidLayout::new(field, LayoutRule::Missing))
}

fn in_range(field: &'static str, got: i64, min: i64, max: i64) -> Result<i64, InvalidLayout> {
    if (min..=max).contains(&got) {
        Ok(got)
    } else {
        Err(InvalidLayout::new(field, LayoutRule::OutOfRange { min, max, got }))
    }
}

fn pixels(field: &'static str, got: Option<i64>) -> Result<u32, InvalidLayout> {
    let got = in_range(field, required(field, got)?, 0, MAX_PIXELS)?;
    Ok(u32::try_from(got).expect("checked to be at most 1920"))
}

fn render_mode(field: &'static str, code: Option<i64>) -> Result<RenderMode, InvalidLayout> {
    let code = in_range(field, code.unwrap_or(RenderMode::Crop.code().into()), 0, 3)?;
    Ok(u8::try_from(code).ok().and_then(RenderMode::from_code).expect("0 to 3 are the render modes"))
}

fn flag(field: &'static str, code: Option<i64>) -> Result<bool, InvalidLayout> {
    Ok(in_range(field, code.unwrap_or(0), 0, 1)? == 1)
}

fn media(field: &'static str, code: Option<i64>) -> Result<MediaId, InvalidLayout> {
    Ok(if flag(field, code)? { MediaId::Aux } else { MediaId::Main })
}

const fn media_code(media: MediaId) -> i64 {
    match media {
        MediaId::Main => 0,
        MediaId::Aux => 1,
    }
}

/// A text with rules of its own. Clients of the service write the empty string for what they do not set.
fn parsed<T: std::str::FromStr>(
    field: &'static str,
    text: Option<String>,
    rule: fn(T::Err) -> LayoutRule,
) -> Result<Option<T>, InvalidLayout> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| InvalidLayout::new(field, rule(error)))
}
