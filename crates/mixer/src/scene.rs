use std::fmt;
use std::sync::Arc;

use recorder_compositor::{Bitmap, Colour, PictureBuffer, Rect, RenderMode, Rgb, Tile};
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

impl Scene {
    /// Whose videos can be seen, where `shows` says which windows show something now: not those that opaque windows in
    /// front of them cover wholly.
    pub(crate) fn seen(&self, shows: impl Fn(&Window) -> bool) -> Vec<&(UserId, MediaId)> {
        let mut seen = Vec::with_capacity(self.windows.len());
        let mut front: Vec<Rect> = Vec::new();
        for window in self.windows.iter().rev() {
            let Tile { window: rect, mode, opacity, bars, .. } = window.tile;
            if is_covered(rect, &front) {
                continue;
            }
            seen.extend(window.user.as_ref());
            if opacity == u8::MAX && (mode != RenderMode::Fit || bars.is_some()) && shows(window) {
                front.push(rect);
            }
        }
        seen
    }
}

/// Whether each pixel of `rect` is in one of `front`.
fn is_covered(rect: Rect, front: &[Rect]) -> bool {
    let Some((first, rest)) = front.split_first() else { return false };
    let Some(cut) = rect.intersection(*first) else { return is_covered(rect, rest) };
    // What is left above, below, and beside it.
    let (left, top, right, bottom) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    [
        (left, top, right, cut.top()),
        (left, cut.bottom(), right, bottom),
        (left, cut.top(), cut.left(), cut.bottom()),
        (cut.right(), cut.top(), right, cut.bottom()),
    ]
    .into_iter()
    .filter_map(|(left, top, right, bottom)| Rect::between(left, top, right, bottom))
    .all(|part| is_covered(part, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use recorder_types::Size;

    fn window(left: u32, top: u32, width: u32, height: u32, user: &str) -> Window {
        let rect = Rect::new(left, top, Size::new(width, height).unwrap()).unwrap();
        Window::new(Tile::new(rect), Some((user.parse().unwrap(), MediaId::Main)))
    }

    /// Who is seen, from front to back.
    fn seen(windows: Vec<Window>) -> String {
        let scene = Scene { windows, ..Scene::default() };
        let is_on = |window: &Window| window.user.as_ref().is_some_and(|(user, _)| user.as_str() != "off");
        scene.seen(is_on).iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_opaque_windows_cover_wholly_is_not_seen() {
        let back = || window(10, 10, 80, 60, "back");
        assert_eq!(seen(vec![back(), window(10, 10, 80, 60, "front")]), "front");
        assert_eq!(seen(vec![back(), window(12, 10, 78, 60, "front")]), "front back");
        assert_eq!(seen(vec![window(10, 10, 80, 60, "front"), back()]), "back");
        // Several together; one of them is itself under another.
        let four = [(0, 0, 50, 40, "a"), (50, 0, 50, 40, "b"), (0, 40, 50, 40, "c"), (50, 40, 50, 40, "d")];
        let four = || four.map(|(left, top, width, height, user)| window(left, top, width, height, user));
        assert_eq!(seen(std::iter::once(back()).chain(four()).collect()), "d c b a");
        assert_eq!(seen(std::iter::once(back()).chain(four().into_iter().skip(1)).collect()), "d c b back");
        // The same video elsewhere.
        assert_eq!(
            seen(vec![back(), window(0, 0, 2, 2, "back"), window(10, 10, 80, 60, "front")]),
            "front back"
        );
        // Who shows nothing hides nobody, nor who is translucent or leaves a border.
        assert_eq!(seen(vec![back(), window(10, 10, 80, 60, "off")]), "off back");
        let mut front = window(10, 10, 80, 60, "front");
        front.tile = front.tile.with_opacity(254);
        assert_eq!(seen(vec![back(), front.clone()]), "front back");
        front.tile = front.tile.with_opacity(255).with_mode(RenderMode::Fit);
        assert_eq!(seen(vec![back(), front.clone()]), "front");
        front.tile = front.tile.with_bars(None);
        assert_eq!(seen(vec![back(), front]), "front back");
    }
}
