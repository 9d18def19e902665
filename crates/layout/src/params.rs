use recorder_types::{MediaId, Size, UserId};

use crate::arrange::StreamId;
use crate::{ImageUrl, LayoutError, Rect, RenderMode, Rgb};

/// What a mixed picture is to look like (`MixLayoutParams`, without its watermarks).
///
/// With the feature `serde` it is read and written in the field names of the recording API, through
/// [`MixLayoutParams`](crate::MixLayoutParams).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::MixLayoutParams", into = "crate::MixLayoutParams"))]
#[non_exhaustive]
pub struct LayoutParams {
    /// Where windows are.
    pub template: Template,
    /// How pictures are fitted into the windows of a template; a custom layout says it per window. Default
    /// [`RenderMode::Crop`].
    pub mode: RenderMode,
    /// Colour of the canvas where nothing else is. Default black.
    pub background: Rgb,
    /// Image over that colour.
    pub background_image: Option<ImageUrl>,
    /// How that image is fitted into the canvas. Default [`RenderMode::Crop`].
    pub background_image_mode: RenderMode,
    /// What is shown in a window whose user publishes no picture, unless the window has an image of its own.
    pub placeholder_image: Option<ImageUrl>,
    /// Whether windows of users who publish nothing show their placeholder. Default: they do not.
    pub placeholders: Placeholders,
    /// Whether users without video have a window in the templates. Default: they have.
    pub audio_only: AudioOnlyUsers,
}

impl LayoutParams {
    /// The template with every default.
    #[must_use]
    pub fn new(template: Template) -> Self {
        Self {
            template,
            mode: RenderMode::Crop,
            background: Rgb::BLACK,
            background_image: None,
            background_image_mode: RenderMode::Crop,
            placeholder_image: None,
            placeholders: Placeholders::default(),
            audio_only: AudioOnlyUsers::default(),
        }
    }

    /// Fits pictures by `mode` in the windows of a template.
    #[must_use]
    pub fn with_mode(mut self, mode: RenderMode) -> Self {
        self.mode = mode;
        self
    }

    /// Fills the canvas with a colour.
    #[must_use]
    pub fn with_background(mut self, background: Rgb) -> Self {
        self.background = background;
        self
    }

    /// Puts an image over the canvas.
    #[must_use]
    pub fn with_background_image(mut self, image: Option<ImageUrl>, mode: RenderMode) -> Self {
        self.background_image = image;
        self.background_image_mode = mode;
        self
    }

    /// Shows an image in windows without a picture.
    #[must_use]
    pub fn with_placeholder_image(mut self, image: Option<ImageUrl>, placeholders: Placeholders) -> Self {
        self.placeholder_image = image;
        self.placeholders = placeholders;
        self
    }

    /// Every image that it may show: of the canvas, of windows, each as often as it is named.
    pub fn image_urls(&self) -> impl Iterator<Item = &ImageUrl> {
        let windows = match &self.template {
            Template::Custom(windows) => windows.as_slice(),
            _ => &[],
        };
        let own = windows.iter().filter_map(|window| window.placeholder.as_ref());
        self.background_image.iter().chain(&self.placeholder_image).chain(own)
    }

    /// Keeps or hides users without video.
    #[must_use]
    pub fn with_audio_only(mut self, audio_only: AudioOnlyUsers) -> Self {
        self.audio_only = audio_only;
        self
    }
}

/// The grid, as where a request has no `MixLayoutParams`.
impl Default for LayoutParams {
    fn default() -> Self {
        Self::new(Template::Grid)
    }
}

/// Where windows are (`MixLayoutMode`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// 1: one fills the canvas, the others float over it.
    Floating {
        /// Who fills the canvas (`MaxResolutionUserId`, `MediaId`); the first to enter where `None`.
        large: Option<StreamId>,
    },
    /// 2: one large window, small ones beside and below it.
    ScreenShare {
        /// Who is large; where `None` nobody is, and the large window is left empty.
        large: Option<StreamId>,
        /// Where the large window is.
        side: LargeSide,
    },
    /// 3: all of the same size.
    Grid,
    /// 4: windows as listed, at most 25.
    Custom(Vec<CustomWindow>),
}

/// Where the large window of screen sharing is (`MaxResolutionUserAlign`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LargeSide {
    /// 0.
    #[default]
    Left,
    /// 1: the small ones are on the left.
    Right,
}

/// Whether windows of users who publish nothing show a placeholder image (`PlaceHolderMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placeholders {
    /// 0: such a window shows the canvas background.
    #[default]
    PublishersOnly,
    /// 1: a window that names its user shows its placeholder until the user publishes.
    AllNamed,
}

/// What becomes of users without video in the templates (`PureAudioDisableLayout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AudioOnlyUsers {
    /// False: they have a window.
    #[default]
    Window,
    /// True: they have none.
    Hidden,
}

/// How much of what is behind shows through (`Alpha`): 0 nothing, 255 all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transparency(u8);

impl Transparency {
    /// Nothing shows through.
    pub const OPAQUE: Self = Self(0);

    /// Any byte is one.
    #[must_use]
    pub const fn new(alpha: u8) -> Self {
        Self(alpha)
    }

    /// `Alpha` of the recording API.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The usual way round: 255 hides what is behind.
    #[must_use]
    pub const fn opacity(self) -> u8 {
        255 - self.0
    }
}

/// A window of a custom layout (`MixLayout`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomWindow {
    /// Pixels from the left border of the canvas.
    pub left: u32,
    /// Pixels from the top.
    pub top: u32,
    /// Pixels across; with 0 nothing is shown.
    pub width: u32,
    /// Pixels down; with 0 nothing is shown.
    pub height: u32,
    /// Who is shown; the next to enter whom no window names, where `None`.
    pub user: Option<UserId>,
    /// Which of the user's streams. Default [`MediaId::Main`].
    pub media: MediaId,
    /// Default: opaque.
    pub alpha: Transparency,
    /// How pictures are fitted. Default [`RenderMode::Crop`].
    pub mode: RenderMode,
    /// Lower is further back; the same layer in the order of the list. Default 0.
    pub layer: i64,
    /// Image while there is no picture; where `None`, that of the layout.
    pub placeholder: Option<ImageUrl>,
}

impl CustomWindow {
    /// A window for the next to enter, with every default. Pixels; [`arrange`](crate::arrange) rounds borders down to
    /// even and refuses what is outside the canvas.
    #[must_use]
    pub fn new(left: u32, top: u32, width: u32, height: u32) -> Self {
        Self {
            left,
            top,
            width,
            height,
            user: None,
            media: MediaId::Main,
            alpha: Transparency::OPAQUE,
            mode: RenderMode::Crop,
            layer: 0,
            placeholder: None,
        }
    }

    /// Shows this stream and no other.
    #[must_use]
    pub fn with_user(mut self, user: UserId, media: MediaId) -> Self {
        self.user = Some(user);
        self.media = media;
        self
    }

    /// Puts the window in front of those with a lower layer.
    #[must_use]
    pub fn with_layer(mut self, layer: i64) -> Self {
        self.layer = layer;
        self
    }

    /// Lets what is behind show through.
    #[must_use]
    pub fn with_alpha(mut self, alpha: Transparency) -> Self {
        self.alpha = alpha;
        self
    }

    /// Fits pictures by `mode`.
    #[must_use]
    pub fn with_mode(mut self, mode: RenderMode) -> Self {
        self.mode = mode;
        self
    }

    /// Shows an image while there is no picture.
    #[must_use]
    pub fn with_placeholder(mut self, image: Option<ImageUrl>) -> Self {
        self.placeholder = image;
        self
    }

    /// The window with even borders; `None` if no pixel is left.
    pub(crate) fn rect(&self, index: usize, canvas: Size) -> Result<Option<Rect>, LayoutError> {
        let right = self.left.saturating_add(self.width);
        let bottom = self.top.saturating_add(self.height);
        if right > canvas.width() || bottom > canvas.height() {
            return Err(LayoutError::WindowOutside { index, right, bottom, canvas });
        }
        let even = |border: u32| border / 2 * 2;
        Ok(Rect::between(even(self.left), even(self.top), even(right), even(bottom)))
    }
}
