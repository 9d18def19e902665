use recorder_types::Size;

use crate::{LargeSide, LayoutError, Rect, Template};

/// Most windows of any layout, the large one included.
pub const MAX_WINDOWS: usize = 25;

/// The windows of a template when `count` are shown, the large one included and first, in the order in which they are
/// filled. Of [`Template::Custom`], the first `count` of its list that have a pixel.
///
/// Every border is the exact one rounded down to even, and a shared border is computed once: windows that touch have
/// neither gap nor overlap. Small floating windows are all of one size, width and height rounded down to even. No
/// window for a count of 0; where the template makes more cells than windows, the rest of the cells is left out.
///
/// # Errors
/// [`LayoutError::OddCanvas`], [`LayoutError::TooManyWindows`], [`LayoutError::CanvasTooSmall`] where a window would
/// have no pixel, and [`LayoutError::WindowOutside`] for a custom layout made for a larger canvas.
///
/// # Specification
/// `layouts.md`.
pub fn cells(template: &Template, canvas: Size, count: usize) -> Result<Vec<Rect>, LayoutError> {
    check_canvas(canvas)?;
    if count > MAX_WINDOWS {
        return Err(LayoutError::TooManyWindows { got: count });
    }
    let all: Option<Vec<Rect>> = match template {
        Template::Grid => grid(canvas, count).collect(),
        Template::Floating { .. } => floating(canvas, count).collect(),
        Template::ScreenShare { side, .. } => screen_share(canvas, count, *side).collect(),
        Template::Custom(windows) => {
            let mut rects = Vec::new();
            for (index, window) in windows.iter().enumerate() {
                rects.extend(window.rect(index, canvas)?);
            }
            rects.truncate(count);
            Some(rects)
        }
    };
    all.ok_or(LayoutError::CanvasTooSmall { canvas, windows: count })
}

pub(crate) fn check_canvas(canvas: Size) -> Result<(), LayoutError> {
    if (canvas.width() | canvas.height()) & 1 != 0 {
        return Err(LayoutError::OddCanvas { canvas });
    }
    Ok(())
}

/// The border at `numerator / denominator` of `side`, rounded down to even; the fraction is at most 1.
fn border(side: u32, numerator: u32, denominator: u32) -> u32 {
    let even = u64::from(side) * u64::from(numerator) / (2 * u64::from(denominator)) * 2;
    u32::try_from(even).expect("a part of a side fits where the side does")
}

/// A fraction: numerator, denominator.
type Fraction = (u32, u32);

/// The rectangle between exact positions.
fn between(canvas: Size, x: [Fraction; 2], y: [Fraction; 2]) -> Option<Rect> {
    let [left, right] = x.map(|(n, d)| border(canvas.width(), n, d));
    let [top, bottom] = y.map(|(n, d)| border(canvas.height(), n, d));
    Rect::between(left, top, right, bottom)
}

fn indices(count: usize) -> impl Iterator<Item = u32> {
    (0..).take(count)
}

fn grid(canvas: Size, count: usize) -> impl Iterator<Item = Option<Rect>> {
    let (columns, rows) = match count {
        0 | 1 => (1, 1),
        2 => (2, 1),
        3..=4 => (2, 2),
        5..=9 => (3, 3),
        10..=16 => (4, 4),
        _ => (5, 5),
    };
    indices(count).map(move |i| {
        let (row, column) = (i / columns, i % columns);
        between(canvas, [(column, columns), (column + 1, columns)], [(row, rows), (row + 1, rows)])
    })
}

fn floating(canvas: Size, count: usize) -> impl Iterator<Item = Option<Rect>> {
    // In thousandths of a canvas side: 4 x 235 + 5 x 12 = 5 x 188 + 6 x 10 = 1000.
    let (columns, side, space) = if count <= 17 { (4, 235, 12) } else { (5, 188, 10) };
    let small = Size::new(border(canvas.width(), side, 1000), border(canvas.height(), side, 1000));
    let large = indices(count.min(1)).map(move |_| Some(Rect::whole(canvas)));
    large.chain(indices(count.saturating_sub(1)).map(move |i| {
        let (row, column) = (i / columns, i % columns);
        let left = border(canvas.width(), space + column * (side + space), 1000);
        let top = border(canvas.height(), 1000 - (row + 1) * (side + space), 1000);
        Rect::new(left, top, small?)
    }))
}

/// Columns of small windows beside the large one, as fractions of the canvas.
struct Columns {
    /// Parts of the width, one of them per column.
    parts: u32,
    /// Of these, beside the large window.
    columns: u32,
    /// Windows in a column.
    rows: u32,
    /// Eighths of the height of the large window.
    large_eighths: u32,
}

fn screen_share(canvas: Size, count: usize, side: LargeSide) -> impl Iterator<Item = Option<Rect>> {
    let shape = match count {
        0..=5 => Columns { parts: 5, columns: 1, rows: 4, large_eighths: 8 },
        6..=7 => Columns { parts: 7, columns: 1, rows: 6, large_eighths: 8 },
        8..=9 => Columns { parts: 9, columns: 1, rows: 8, large_eighths: 8 },
        10..=17 => Columns { parts: 10, columns: 2, rows: 8, large_eighths: 8 },
        _ => Columns { parts: 10, columns: 2, rows: 8, large_eighths: 7 },
    };
    let Columns { parts, columns, rows, large_eighths } = shape;
    // Parts of the width where the large window begins and ends.
    let (from, to) = match side {
        LargeSide::Left => (0, parts - columns),
        LargeSide::Right => (columns, parts),
    };
    let large = indices(count.min(1))
        .map(move |_| between(canvas, [(from, parts), (to, parts)], [(0, 8), (large_eighths, 8)]));
    large.chain(indices(count.saturating_sub(1)).map(move |i| {
        let (column, row) = (i / rows, i % rows);
        if column >= columns {
            let at = from + i - columns * rows;
            return between(canvas, [(at, parts), (at + 1, parts)], [(7, 8), (8, 8)]);
        }
        // The column next to the large window first.
        let at = match side {
            LargeSide::Left => to + column,
            LargeSide::Right => from - 1 - column,
        };
        between(canvas, [(at, parts), (at + 1, parts)], [(row, rows), (row + 1, rows)])
    }))
}
