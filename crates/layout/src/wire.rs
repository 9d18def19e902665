use recorder_types::{MediaId, UserId};

use crate::arrange::StreamId;
use crate::{
    AudioOnlyUsers, CustomWindow, ImageUrl, LargeSide, LayoutError, LayoutParams, MAX_WINDOWS, Placeholders,
    RenderMode, Rgb, Template, Transparency,
};

/// Largest `Top`, `Left`, `Width` and `Height` of a window.
const MAX_PIXELS: i64 = 1920;

/// `MixLayoutParams` of the recording API, field by field and unchecked; watermarks (`WaterMarkList`) are not of this
/// crate and are passed over. [`LayoutParams`] is what it becomes when it is checked.
///
/// A member that is absent, `null` or the empty string has its default.
///
/// # Specification
/// `trtc-api.md` section 6.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "PascalCase"))]
pub struct MixLayoutParams {
    /// 1 floating, 2 screen sharing, 3 grid, 4 custom.
    pub mix_layout_mode: i64,
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
    /// Pixels, 0 to 1920.
    pub top: i64,
    /// Pixels, 0 to 1920.
    pub left: i64,
    /// Pixels, 0 to 1920.
    pub width: i64,
    /// Pixels, 0 to 1920.
    pub height: i64,
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
    type Error = LayoutError;

    /// Checks all that can be checked without the canvas; [`arrange`](crate::arrange) does the rest.
    fn try_from(wire: MixLayoutParams) -> Result<Self, LayoutError> {
        let list = wire.mix_layout_list.unwrap_or_default();
        if list.len() > MAX_WINDOWS {
            return Err(LayoutError::TooManyWindows { got: list.len() });
        }
        let large_media = media("MediaId", wire.media_id)?;
        let large = user("MaxResolutionUserId", wire.max_resolution_user_id)?
            .map(|user| StreamId { user, media: large_media });
        let side =
            match in_range("MaxResolutionUserAlign", wire.max_resolution_user_align.unwrap_or(0), 0, 1)? {
                0 => LargeSide::Left,
                _ => LargeSide::Right,
            };
        let windows = list.into_iter().map(CustomWindow::try_from).collect::<Result<Vec<_>, _>>()?;
        let template = match in_range("MixLayoutMode", wire.mix_layout_mode, 1, 4)? {
            1 => Template::Floating { large },
            2 => Template::ScreenShare { large, side },
            3 => Template::Grid,
            _ => Template::Custom(windows),
        };
        let placeholders = match in_range("PlaceHolderMode", wire.place_holder_mode.unwrap_or(0), 0, 1)? {
            0 => Placeholders::PublishersOnly,
            _ => Placeholders::AllNamed,
        };
        let background = match given(wire.back_ground_color) {
            None => Rgb::BLACK,
            Some(text) => {
                text.parse().map_err(|source| LayoutError::Colour { field: "BackGroundColor", source })?
            }
        };
        let audio_only = match wire.pure_audio_disable_layout {
            Some(true) => AudioOnlyUsers::Hidden,
            Some(false) | None => AudioOnlyUsers::Window,
        };
        Ok(Self {
            template,
            mode: mode("RenderMode", wire.render_mode)?,
            background,
            background_image: image("BackgroundImageUrl", wire.background_image_url)?,
            background_image_mode: mode("BackgroundImageRenderMode", wire.background_image_render_mode)?,
            placeholder_image: image("DefaultSubBackgroundImage", wire.default_sub_background_image)?,
            placeholders,
            audio_only,
        })
    }
}

impl TryFrom<MixLayout> for CustomWindow {
    type Error = LayoutError;

    /// Checks all that can be checked without the canvas; [`arrange`](crate::arrange) does the rest.
    fn try_from(wire: MixLayout) -> Result<Self, LayoutError> {
        let alpha = in_range("Alpha", wire.alpha.unwrap_or(0), 0, 255)?;
        Ok(Self {
            left: pixels("Left", wire.left)?,
            top: pixels("Top", wire.top)?,
            width: pixels("Width", wire.width)?,
            height: pixels("Height", wire.height)?,
            user: user("UserId", wire.user_id)?,
            media: media("MediaId", wire.media_id)?,
            alpha: Transparency::new(u8::try_from(alpha).expect("checked to be at most 255")),
            mode: mode("RenderMode", wire.render_mode)?,
            layer: wire.image_layer.unwrap_or(0),
            placeholder: image("SubBackgroundImage", wire.sub_background_image)?,
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
                wire.mix_layout_mode = 1;
                large
            }
            Template::ScreenShare { large, side } => {
                wire.mix_layout_mode = 2;
                wire.max_resolution_user_align = Some(i64::from(side == LargeSide::Right));
                large
            }
            Template::Grid => {
                wire.mix_layout_mode = 3;
                None
            }
            Template::Custom(windows) => {
                wire.mix_layout_mode = 4;
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
            top: window.top.into(),
            left: window.left.into(),
            width: window.width.into(),
            height: window.height.into(),
            user_id: window.user.map(|user| user.as_str().to_owned()),
            alpha: Some(window.alpha.get().into()),
            render_mode: Some(window.mode.code().into()),
            media_id: Some(media_code(window.media)),
            image_layer: Some(window.layer),
            sub_background_image: window.placeholder.map(|url| url.as_str().to_owned()),
        }
    }
}

fn in_range(field: &'static str, got: i64, min: i64, max: i64) -> Result<i64, LayoutError> {
    if (min..=max).contains(&got) { Ok(got) } else { Err(LayoutError::OutOfRange { field, min, max, got }) }
}

fn pixels(field: &'static str, got: i64) -> Result<u32, LayoutError> {
    let got = in_range(field, got, 0, MAX_PIXELS)?;
    Ok(u32::try_from(got).expect("checked to be at most 1920"))
}

fn mode(field: &'static str, code: Option<i64>) -> Result<RenderMode, LayoutError> {
    let Some(code) = code else { return Ok(RenderMode::Crop) };
    let known = u8::try_from(code).ok().and_then(RenderMode::from_code);
    known.ok_or(LayoutError::OutOfRange { field, min: 0, max: 3, got: code })
}

fn media(field: &'static str, code: Option<i64>) -> Result<MediaId, LayoutError> {
    Ok(match in_range(field, code.unwrap_or(0), 0, 1)? {
        0 => MediaId::Main,
        _ => MediaId::Aux,
    })
}

const fn media_code(media: MediaId) -> i64 {
    match media {
        MediaId::Main => 0,
        MediaId::Aux => 1,
    }
}

/// Clients of the service write the empty string for what they do not set.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn user(field: &'static str, text: Option<String>) -> Result<Option<UserId>, LayoutError> {
    given(text).map(|id| id.parse().map_err(|source| LayoutError::User { field, source })).transpose()
}

fn image(field: &'static str, text: Option<String>) -> Result<Option<ImageUrl>, LayoutError> {
    given(text).map(|url| url.parse().map_err(|source| LayoutError::Image { field, source })).transpose()
}
