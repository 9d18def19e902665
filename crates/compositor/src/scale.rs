use recorder_types::Size;

use crate::ComposeError;
use crate::axis::{Axis, Lengths, ONE, Siting, ThreeQuarters};
use crate::geometry::Rect;
use crate::kernel::{HorizontalTable, Level, TwoRows};
use crate::picture::{MAX_SIDE, Picture, PictureBuffer, Rows, RowsMut};

/// Scales pictures of one size to one other size.
///
/// Bilinear where the target is at least half the source along an axis, the exact area average below, and where
/// that needs no more than two inputs a side (3:4, 1:2). Weights are in 1/128; rows are filtered down first, then
/// across, each rounded to the nearest byte (once for both where both are halved). Chroma stays where H.264 has it by default: on the left luma column,
/// between two rows. The tables are made once; keep the scaler as long as the sizes stay.
#[derive(Debug)]
pub struct Scaler {
    source: Size,
    target: Size,
    level: Level,
    luma: PlaneScaler,
    chroma: PlaneScaler,
    /// One row between both filters.
    row: Vec<u8>,
}

impl Scaler {
    /// A scaler of pictures, or parts of pictures, of size `source` to `target`.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if a side is over [`MAX_SIDE`].
    pub fn new(source: Size, target: Size, level: Level) -> Result<Self, ComposeError> {
        for size in [source, target] {
            if size.width() > MAX_SIDE || size.height() > MAX_SIDE {
                return Err(ComposeError::TooLarge { size });
            }
        }
        let plane = |index: usize| {
            let from = [Rect::whole(source).in_plane(0), Rect::whole(source).in_plane(index)];
            let to = [Rect::whole(target).in_plane(0), Rect::whole(target).in_plane(index)];
            let siting = if index == 0 { Siting::Centre } else { Siting::Left };
            let width = Lengths { luma: (from[0].width, to[0].width), plane: (from[1].width, to[1].width) };
            let height =
                Lengths { luma: (from[0].height, to[0].height), plane: (from[1].height, to[1].height) };
            PlaneScaler::new(Axis::new(width, siting), Axis::new(height, Siting::Centre), level)
        };
        Ok(Self { source, target, level, luma: plane(0), chroma: plane(1), row: Vec::new() })
    }

    /// The size it scales from.
    #[must_use]
    pub const fn source(&self) -> Size {
        self.source
    }

    /// The size it scales to.
    #[must_use]
    pub const fn target(&self) -> Size {
        self.target
    }

    /// Scales what `picture` has inside `from` into `to` of `canvas`. Nothing outside `from` is looked at.
    ///
    /// Left and top are even on both sides; width and height of `to` are even or reach the border of the canvas.
    ///
    /// # Errors
    /// [`ComposeError::OtherSize`], [`ComposeError::Outside`] or [`ComposeError::Odd`] for a rectangle that is not
    /// so; nothing was drawn.
    pub fn scale(
        &mut self,
        picture: Picture<'_>,
        from: Rect,
        canvas: &mut PictureBuffer,
        to: Rect,
    ) -> Result<(), ComposeError> {
        for (rect, expected, size) in [(from, self.source, picture.size()), (to, self.target, canvas.size())]
        {
            if rect.size() != expected {
                return Err(ComposeError::OtherSize { expected, got: rect.size() });
            }
            if !rect.fits(size) {
                return Err(ComposeError::Outside { rect, size });
            }
        }
        let ends_even = |end: u32, border: u32| end.is_multiple_of(2) || end == border;
        if (from.left() | from.top() | to.left() | to.top()) & 1 == 1 {
            return Err(ComposeError::Odd {
                rect: if (from.left() | from.top()) & 1 == 1 { from } else { to },
            });
        }
        if !ends_even(to.right(), canvas.size().width()) || !ends_even(to.bottom(), canvas.size().height()) {
            return Err(ComposeError::Odd { rect: to });
        }
        self.scale_checked(picture, from, canvas, to);
        Ok(())
    }

    /// [`Self::scale`] for rectangles that are known to be right.
    pub(crate) fn scale_checked(
        &mut self,
        picture: Picture<'_>,
        from: Rect,
        canvas: &mut PictureBuffer,
        to: Rect,
    ) {
        for index in 0..3 {
            let plane = if index == 0 { &self.luma } else { &self.chroma };
            plane.scale(picture.view(index, from), canvas.view_mut(index, to), &mut self.row, self.level);
        }
    }
}

/// Both filters of one plane.
#[derive(Debug)]
struct PlaneScaler {
    across: Axis,
    table: HorizontalTable,
    across_is_copy: bool,
    /// Whether nothing is scaled.
    is_copy: bool,
    /// Half the weights of a filter across that is exactly one half.
    halving: Option<[u8; 2]>,
    /// A filter across that is exactly three quarters.
    three_quarters: Option<ThreeQuarters>,
    down: Axis,
    /// Source bytes that one output byte takes of the rows, in 1/64.
    ahead: usize,
}

impl PlaneScaler {
    fn new(across: Axis, down: Axis, level: Level) -> Self {
        let table = level.horizontal_table(&across);
        let across_is_copy = across.is_identity();
        let is_copy = across_is_copy && down.is_identity();
        let halving = across.halving().map(|weights| weights.map(|weight| weight / 2));
        let three_quarters = across.three_quarters();
        let ahead = down.source() * 64 / down.target();
        Self { across, table, across_is_copy, is_copy, halving, three_quarters, down, ahead }
    }

    fn scale(&self, source: Rows<'_>, mut target: RowsMut<'_>, row: &mut Vec<u8>, level: Level) {
        if self.is_copy {
            level.copy(source, &mut target);
            return;
        }
        row.resize(source.width, 0);
        for y in 0..target.height {
            let (first, weights) = self.down.filter(y);
            let out = target.row(y);
            if let (Some(across), [64, 64]) = (self.halving, weights) {
                level.halve(source.row(first), source.row(first + 1), across, self.ahead, out);
                continue;
            }
            if let (Some(across), [near @ (32 | 64 | 96), _]) = (&self.three_quarters, weights) {
                let (above, below) = (source.row(first), source.row(first + 1));
                let (near, far, nearer) = match near {
                    32 => (below, above, true),
                    near => (above, below, *near == 96),
                };
                level.three_quarters(TwoRows { near, far, nearer }, across, self.ahead, out);
                continue;
            }
            match (weights, self.across_is_copy) {
                ([ONE], true) => out.copy_from_slice(source.row(first)),
                ([ONE], false) => level.horizontal(&self.across, &self.table, source.row(first), out),
                (weights, true) => level.vertical(source, first, weights, self.ahead, out),
                (weights, false) => {
                    level.vertical(source, first, weights, self.ahead, row);
                    level.horizontal(&self.across, &self.table, row, out);
                }
            }
        }
    }
}
