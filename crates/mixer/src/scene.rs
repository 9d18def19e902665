use std::fmt;
use std::sync::Arc;

use recorder_compositor::{Bitmap, Colour, PictureBuffer, RenderMode, Rgb, Tile};
#[cfg(feature = "text")]
use recorder_compositor::{Font, Position, TextStyle, TimeZone};
use recorder_types::{MediaId, MediaKind, UserId};

/// A published stream of a participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Whose.
    pub user: UserId,
    /// Primary stream or substream.
    pub media: MediaId,
    /// Audio or video.
    pub kind: MediaKind,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        write!(f, "{}/{}/{kind}", self.user, self.media.as_str())
    }
}

/// A still picture: a background or what stands in for a missing video.
#[derive(Debug)]
pub struct Image {
    /// The samples.
    pub picture: PictureBuffer,
    /// What they mean.
    pub colour: Colour,
}

/// What a window shows while the video of its stream pauses (`FillType` of the recording API).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// The last picture.
    #[default]
    LastPicture,
    /// Black.
    Black,
}

/// A window and what is in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Window {
    /// Where it is and how pictures are fitted.
    pub tile: Tile,
    /// Whose video it shows; `None` for a window that stays empty.
    pub user: Option<(UserId, MediaId)>,
    /// Shown while there is no picture of the stream, and instead of its last one when it has ended.
    pub placeholder: Option<Arc<Image>>,
    /// What is seen while the video pauses.
    pub fill: Fill,
}

impl Window {
    /// A window that shows the video of `user`.
    #[must_use]
    pub const fn new(tile: Tile, user: Option<(UserId, MediaId)>) -> Self {
        Self { tile, user, placeholder: None, fill: Fill::LastPicture }
    }

    /// With [`Self::placeholder`].
    #[must_use]
    pub fn with_placeholder(mut self, image: Option<Arc<Image>>) -> Self {
        self.placeholder = image;
        self
    }

    /// With [`Self::fill`].
    #[must_use]
    pub const fn with_fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }
}

/// A watermark, in front of all windows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Mark {
    /// Pixels at a place; what sticks out of the canvas is not drawn.
    Still {
        /// As large as it is shown.
        bitmap: Arc<Bitmap>,
        /// Pixels from the left border of the canvas.
        left: u32,
        /// Pixels from the top.
        top: u32,
    },
    /// The time of day, `YYYY-MM-DD HH:MM:SS`, by [`MixerOptions::wall`](crate::MixerOptions::wall).
    #[cfg(feature = "text")]
    Clock {
        /// Its digits.
        font: Arc<Font>,
        /// Their size and colours.
        style: TextStyle,
        /// Where on the canvas.
        position: Position,
        /// Whose time.
        zone: TimeZone,
    },
}

/// What the canvas shows: windows from back to front over a background, watermarks in front.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scene {
    /// Where no window is.
    pub background: Rgb,
    /// A picture over the background's colour, and how it is fitted.
    pub background_image: Option<(Arc<Image>, RenderMode)>,
    /// From back to front.
    pub windows: Vec<Window>,
    /// Watermarks, from back to front, 25 at most. The same list in the next scene is not drawn anew.
    pub marks: Arc<[Mark]>,
}
