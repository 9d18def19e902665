use recorder_types::Size;

/// A rectangle of pixels: left, top, width and height. Neither side is zero, and right and bottom fit in `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    left: u32,
    top: u32,
    size: Size,
}

impl Rect {
    /// `None` if the right or the bottom border does not fit in `u32`.
    #[must_use]
    pub const fn new(left: u32, top: u32, size: Size) -> Option<Self> {
        if left.checked_add(size.width()).is_none() || top.checked_add(size.height()).is_none() {
            return None;
        }
        Some(Self { left, top, size })
    }

    /// The whole of a picture.
    #[must_use]
    pub const fn whole(size: Size) -> Self {
        Self { left: 0, top: 0, size }
    }

    /// The rectangle between borders, right and bottom not included; `None` if it is empty.
    #[must_use]
    pub fn between(left: u32, top: u32, right: u32, bottom: u32) -> Option<Self> {
        let size = Size::new(right.checked_sub(left)?, bottom.checked_sub(top)?)?;
        Some(Self { left, top, size })
    }

    /// First column.
    #[must_use]
    pub const fn left(self) -> u32 {
        self.left
    }

    /// First row.
    #[must_use]
    pub const fn top(self) -> u32 {
        self.top
    }

    /// The column after the last.
    #[must_use]
    pub const fn right(self) -> u32 {
        self.left + self.size.width()
    }

    /// The row after the last.
    #[must_use]
    pub const fn bottom(self) -> u32 {
        self.top + self.size.height()
    }

    /// Width and height.
    #[must_use]
    pub const fn size(self) -> Size {
        self.size
    }

    /// Whether all four borders are even, as a target needs because chroma has half the resolution.
    #[must_use]
    pub const fn is_even(self) -> bool {
        (self.left | self.top | self.size.width() | self.size.height()) & 1 == 0
    }

    /// Whether it lies inside a picture of `size`.
    #[must_use]
    pub const fn fits(self, size: Size) -> bool {
        self.right() <= size.width() && self.bottom() <= size.height()
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right() >= other.right()
            && self.bottom() >= other.bottom()
    }

    /// What both cover; `None` if nothing.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::between(
            self.left.max(other.left),
            self.top.max(other.top),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// Whether both share a pixel.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.intersection(other).is_some()
    }

    /// This rectangle as seen from the top left of `origin`.
    ///
    /// # Panics
    /// If it begins left of `origin` or above it.
    #[must_use]
    pub fn relative_to(self, origin: Self) -> Self {
        let left = self.left.checked_sub(origin.left);
        let top = self.top.checked_sub(origin.top);
        let (Some(left), Some(top)) = (left, top) else { panic!("{self:?} begins outside {origin:?}") };
        Self { left, top, size: self.size }
    }

    /// The same samples in plane `index` of an I420 picture (0 luma, else chroma): halved for chroma, left and top
    /// rounded down, right and bottom up.
    #[must_use]
    pub const fn in_plane(self, index: usize) -> PlaneRect {
        let shift = if index == 0 { 0 } else { 1 };
        let left = self.left >> shift;
        let top = self.top >> shift;
        PlaneRect {
            left: left as usize,
            top: top as usize,
            width: ((self.right() + shift) >> shift) as usize - left as usize,
            height: ((self.bottom() + shift) >> shift) as usize - top as usize,
        }
    }
}

/// A rectangle of one plane's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneRect {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Samples across.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// How a picture is fitted into its window (`RenderMode` of the recording API).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RenderMode {
    /// 0: the whole picture over the whole window, whatever becomes of its shape.
    Stretch,
    /// 1: the middle of the picture over the whole window; what sticks out is cut.
    #[default]
    Crop,
    /// 2: the whole picture in the middle of the window, bars beside it or above and below.
    Fit,
    /// 3: as [`Self::Crop`], but at most a fifth of the width or height is cut, the rest is stretched.
    SmartStretch,
}

impl RenderMode {
    /// The mode with this number in the recording API, 0 to 3.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Stretch),
            1 => Some(Self::Crop),
            2 => Some(Self::Fit),
            3 => Some(Self::SmartStretch),
            _ => None,
        }
    }

    /// Its number in the recording API.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Stretch => 0,
            Self::Crop => 1,
            Self::Fit => 2,
            Self::SmartStretch => 3,
        }
    }
}

/// Which part of a picture goes where on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The part of the source that is shown. Left and top are even.
    pub source: Rect,
    /// Where it is shown: inside the window, even if the window is.
    pub target: Rect,
}

impl Placement {
    /// Fits a picture of size `source` into `window`.
    ///
    /// A side that follows from the other's scale is rounded to the nearest even number (a half upward), at least
    /// 2 and at most what there is; a picture or window of one pixel keeps it. It is centred, the left or top
    /// border rounded down to even from its place in the window or picture.
    ///
    /// # Specification
    /// `RenderMode`, recording API, `MixLayout`. What [`RenderMode::SmartStretch`] does beyond 20 % is not
    /// published: here 20 % (rounded down to even) is cut and the remainder stretched.
    #[must_use]
    pub fn new(source: Size, window: Rect, mode: RenderMode) -> Self {
        let all = Self { source: Rect::whole(source), target: window };
        let (sw, sh) = (u64::from(source.width()), u64::from(source.height()));
        let (ww, wh) = (u64::from(window.size().width()), u64::from(window.size().height()));
        let (source_ratio, window_ratio) = (sw * wh, ww * sh);
        let wider = source_ratio > window_ratio;
        if source_ratio == window_ratio || mode == RenderMode::Stretch {
            return all;
        }
        if mode == RenderMode::Fit {
            let target = if wider {
                centred(window, window.size().width(), nearest_even(ww * sh, sw, window.size().height()))
            } else {
                centred(window, nearest_even(wh * sw, sh, window.size().width()), window.size().height())
            };
            return Self { target, ..all };
        }
        let (side, kept) = if wider {
            (source.width(), nearest_even(sh * ww, wh, source.width()))
        } else {
            (source.height(), nearest_even(sw * wh, ww, source.height()))
        };
        let kept = if mode == RenderMode::SmartStretch { kept.max(side - side / 5 / 2 * 2) } else { kept };
        let source = if wider {
            centred(all.source, kept, source.height())
        } else {
            centred(all.source, source.width(), kept)
        };
        Self { source, ..all }
    }
}

/// `numerator / denominator` as the nearest even number, a half upward, within 2 and `limit`.
fn nearest_even(numerator: u64, denominator: u64, limit: u32) -> u32 {
    let even = (numerator + denominator) / (2 * denominator) * 2;
    u32::try_from(even.max(2)).map_or(limit, |even| even.min(limit))
}

/// A rectangle of this size in the middle of `outer`, its offset there rounded down to even.
fn centred(outer: Rect, width: u32, height: u32) -> Rect {
    let left = outer.left + (outer.size.width() - width) / 4 * 2;
    let top = outer.top + (outer.size.height() - height) / 4 * 2;
    Rect::between(left, top, left + width, top + height).expect("a part of a rectangle is one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(left: u32, top: u32, width: u32, height: u32) -> Rect {
        Rect::new(left, top, Size::new(width, height).unwrap()).unwrap()
    }

    #[test]
    fn pictures_are_fitted_by_the_rules_of_the_api() {
        let wide = (1280, 720);
        let tall = (720, 1280);
        for (size, window, mode, source, target) in [
            (wide, (0, 0, 640, 720), 0, (0, 0, 1280, 720), (0, 0, 640, 720)),
            (wide, (0, 0, 640, 720), 1, (320, 0, 640, 720), (0, 0, 640, 720)),
            (wide, (0, 0, 640, 720), 2, (0, 0, 1280, 720), (0, 180, 640, 360)),
            (wide, (0, 0, 640, 720), 3, (128, 0, 1024, 720), (0, 0, 640, 720)),
            (tall, (640, 0, 640, 360), 1, (0, 436, 720, 406), (640, 0, 640, 360)),
            (tall, (640, 0, 640, 360), 2, (0, 0, 720, 1280), (858, 0, 202, 360)),
            (tall, (640, 0, 640, 360), 3, (0, 128, 720, 1024), (640, 0, 640, 360)),
            // a cut below a fifth: smart stretch crops and does not stretch
            (wide, (0, 0, 640, 400), 3, (64, 0, 1152, 720), (0, 0, 640, 400)),
            // the same shape: every mode gives everything
            (wide, (2, 4, 640, 360), 1, (0, 0, 1280, 720), (2, 4, 640, 360)),
            (wide, (2, 4, 640, 360), 2, (0, 0, 1280, 720), (2, 4, 640, 360)),
            // bars of uneven halves: the picture sits at the even place before the middle
            (wide, (0, 0, 426, 246), 2, (0, 0, 1280, 720), (0, 2, 426, 240)),
            ((1, 1000), (0, 0, 100, 100), 2, (0, 0, 1, 1000), (48, 0, 2, 100)),
            ((1, 1), (0, 0, 100, 10), 1, (0, 0, 1, 1), (0, 0, 100, 10)),
        ] {
            let source_size = Size::new(size.0, size.1).unwrap();
            let window = rect(window.0, window.1, window.2, window.3);
            let expected = Placement {
                source: rect(source.0, source.1, source.2, source.3),
                target: rect(target.0, target.1, target.2, target.3),
            };
            let mode = RenderMode::from_code(mode).unwrap();
            assert_eq!(
                Placement::new(source_size, window, mode),
                expected,
                "{size:?} in {window:?} {mode:?}"
            );
        }
        assert_eq!(RenderMode::from_code(4), None);
    }

    proptest! {
        #[test]
        fn placements_stay_inside_even_and_centred(
            (w, h) in (1u32..4000, 1u32..4000), (l, t, ww, wh) in (0u32..500, 0u32..500, 1u32..1000, 1u32..1000),
            code in 0u8..4,
        ) {
            let size = Size::new(w, h).unwrap();
            let window = rect(l * 2, t * 2, ww * 2, wh * 2);
            let placed = Placement::new(size, window, RenderMode::from_code(code).unwrap());
            prop_assert!(placed.source.fits(size));
            prop_assert!((placed.source.left() | placed.source.top()) & 1 == 0);
            prop_assert!(window.contains(placed.target) && placed.target.is_even());
            let middle = |outer: Rect, inner: Rect| {
                let x = (inner.left() - outer.left(), outer.right() - inner.right());
                let y = (inner.top() - outer.top(), outer.bottom() - inner.bottom());
                x.1.abs_diff(x.0) <= 3 && y.1.abs_diff(y.0) <= 3
            };
            prop_assert!(middle(window, placed.target) && middle(Rect::whole(size), placed.source));
            if code == 3 {
                prop_assert!(placed.source.size().width() * 5 >= w * 4 && placed.source.size().height() * 5 >= h * 4);
            }
        }
    }
}
