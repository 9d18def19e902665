//! Every template and count, against golden files and against a second computation.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use recorder_layout::{CustomWindow, LargeSide, LayoutError, Rect, Template, cells};
use recorder_testkit::golden::assert_golden;
use recorder_types::Size;

const CANVASES: [(u32, u32); 4] = [(640, 360), (1280, 720), (1920, 1080), (360, 640)];

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).expect("not zero")
}

fn templates() -> [(&'static str, Template); 4] {
    [
        ("grid", Template::Grid),
        ("floating", Template::Floating { large: None }),
        ("screen-share-left", Template::ScreenShare { large: None, side: LargeSide::Left }),
        ("screen-share-right", Template::ScreenShare { large: None, side: LargeSide::Right }),
    ]
}

/// Left, top, width, height.
fn numbers(rect: Rect) -> [u32; 4] {
    [rect.left(), rect.top(), rect.size().width(), rect.size().height()]
}

/// The guide in floating point: exact borders in pixels, then rounded down to even. Written from the document's
/// tables, a window at a time, and sharing nothing with the crate.
fn by_the_guide(name: &str, canvas: (u32, u32), count: u32) -> Vec<[u32; 4]> {
    let (w, h) = (f64::from(canvas.0), f64::from(canvas.1));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let even = |exact: f64| ((exact + 1e-6) / 2.0).floor() as u32 * 2;
    let rect =
        |x0: f64, y0: f64, x1: f64, y1: f64| [even(x0), even(y0), even(x1) - even(x0), even(y1) - even(y0)];
    let mut windows = Vec::new();
    for i in 0..count {
        let n = f64::from(i) - 1.0; // number of the small window
        windows.push(match name {
            "grid" => {
                let columns = f64::from(count).sqrt().ceil();
                let rows = if count == 2 { 1.0 } else { columns };
                let (row, column) = ((f64::from(i) / columns).floor(), f64::from(i) % columns);
                let (cw, ch) = (w / columns, h / rows);
                rect(column * cw, row * ch, (column + 1.0) * cw, (row + 1.0) * ch)
            }
            _ if i == 0 && name == "floating" => rect(0.0, 0.0, w, h),
            "floating" => {
                let (columns, s, g) = if count < 18 { (4.0, 0.235, 0.012) } else { (5.0, 0.188, 0.01) };
                let (row, column) = ((n / columns).floor(), n % columns);
                let left = w * (g + column * (s + g));
                let top = h * (1.0 - (row + 1.0) * (s + g));
                [even(left), even(top), even(w * s), even(h * s)]
            }
            side => {
                // Width of the large window, size of a small one, windows in a column; parts of the canvas.
                let (large, sw, sh, rows) = match count {
                    1..=5 => (4.0 / 5.0, 1.0 / 5.0, 1.0 / 4.0, 4.0),
                    6..=7 => (6.0 / 7.0, 1.0 / 7.0, 1.0 / 6.0, 6.0),
                    8..=9 => (8.0 / 9.0, 1.0 / 9.0, 1.0 / 8.0, 8.0),
                    _ => (4.0 / 5.0, 1.0 / 10.0, 1.0 / 8.0, 8.0),
                };
                let bottom = if count >= 18 { 7.0 / 8.0 } else { 1.0 };
                let (x0, y0, x1, y1) = if i == 0 {
                    (0.0, 0.0, large, bottom)
                } else if n < 16.0 {
                    let (column, row) = ((n / rows).floor(), n % rows);
                    (large + column * sw, row * sh, large + (column + 1.0) * sw, (row + 1.0) * sh)
                } else {
                    ((n - 16.0) * sw, 7.0 / 8.0, (n - 15.0) * sw, 1.0)
                };
                if side == "screen-share-left" {
                    rect(w * x0, h * y0, w * x1, h * y1)
                } else if n < 16.0 {
                    rect(w - w * x1, h * y0, w - w * x0, h * y1)
                } else {
                    // The bottom row keeps its order: it moves with the large window.
                    let by = 1.0 - large;
                    rect(w * (x0 + by), h * y0, w * (x1 + by), h * y1)
                }
            }
        });
    }
    windows
}

#[test]
fn every_template_and_count_is_as_the_guide_says() {
    for (name, template) in templates() {
        for canvas in CANVASES {
            let mut text =
                String::from("# count: left,top,width,height of each window, in the order they are filled\n");
            for count in 0..=25u32 {
                let got: Vec<_> = cells(&template, size(canvas.0, canvas.1), count as usize)
                    .unwrap()
                    .into_iter()
                    .map(numbers)
                    .collect();
                assert_eq!(got, by_the_guide(name, canvas, count), "{name} {canvas:?} {count}");
                write!(text, "{count}:").unwrap();
                for [left, top, width, height] in got {
                    write!(text, " {left},{top},{width},{height}").unwrap();
                }
                text.push('\n');
            }
            let file = format!("tests/golden/{name}-{}x{}.txt", canvas.0, canvas.1);
            assert_golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file), text.as_bytes());
        }
    }
}

#[test]
fn known_answers_of_the_guide_hold() {
    let [grid, floating, share, mirrored] = templates().map(|(_, template)| template);
    for (template, count, window, expected) in [
        (&grid, 1, 0, [0, 0, 1280, 720]),
        (&grid, 2, 1, [640, 0, 640, 720]),
        (&grid, 5, 4, [426, 240, 426, 240]),
        (&grid, 5, 2, [852, 0, 428, 240]),
        (&grid, 25, 24, [1024, 576, 256, 144]),
        (&floating, 2, 1, [14, 542, 300, 168]),
        (&floating, 18, 1, [12, 576, 240, 134]),
        (&share, 5, 0, [0, 0, 1024, 720]),
        (&share, 5, 3, [1024, 360, 256, 180]),
        (&share, 7, 0, [0, 0, 1096, 720]),
        (&share, 25, 24, [896, 630, 128, 90]),
        // Mirrored: the column next to the large window first, the bottom row from left to right.
        (&mirrored, 17, 0, [256, 0, 1024, 720]),
        (&mirrored, 17, 1, [128, 0, 128, 90]),
        (&mirrored, 17, 9, [0, 0, 128, 90]),
        (&mirrored, 25, 17, [256, 630, 128, 90]),
        (&mirrored, 25, 24, [1152, 630, 128, 90]),
    ] {
        let windows = cells(template, size(1280, 720), count).unwrap();
        assert_eq!(numbers(windows[window]), expected, "{template:?} of {count}, window {window}");
    }
}

#[test]
fn odd_sides_tiny_canvases_and_a_26th_window_are_refused() {
    for (_, template) in templates() {
        for canvas in [size(639, 360), size(640, 361), size(1, 1)] {
            assert_eq!(cells(&template, canvas, 3), Err(LayoutError::OddCanvas { canvas }));
        }
        assert_eq!(cells(&template, size(640, 360), 26), Err(LayoutError::TooManyWindows { got: 26 }));
        let canvas = size(8, 8);
        assert_eq!(cells(&template, canvas, 25), Err(LayoutError::CanvasTooSmall { canvas, windows: 25 }));
    }
    let wide = Template::Custom(vec![CustomWindow::new(0, 0, 2, 2), CustomWindow::new(600, 0, 42, 10)]);
    let error = cells(&wide, size(640, 360), 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "window 1 of MixLayoutList reaches to 642,10, outside the canvas 640x360; change the layout"
    );
}

fn canvases() -> impl Strategy<Value = Size> {
    (32u32..2000, 32u32..2000).prop_map(|(w, h)| size(w * 2, h * 2))
}

fn overlaps(rects: &[Rect]) -> bool {
    rects.iter().enumerate().any(|(i, a)| rects[..i].iter().any(|b| a.overlaps(*b)))
}

proptest! {
    #[test]
    fn windows_are_even_inside_and_apart(which in 0usize..4, count in 0usize..=25, canvas in canvases()) {
        let (name, template) = &templates()[which];
        let windows = cells(template, canvas, count).unwrap();
        prop_assert_eq!(windows.len(), count);
        prop_assert!(windows.iter().all(|w| w.is_even() && w.fits(canvas)));
        // Only the large floating window lies under others.
        let apart = if *name == "floating" { windows.get(1..).unwrap_or_default() } else { &windows[..] };
        prop_assert!(!overlaps(apart));
        if *name == "floating" {
            prop_assert!(apart.iter().all(|w| w.size() == apart[0].size()));
        }
    }

    /// Nobody's window moves when one more comes, unless the guide's table has another row for the new count.
    #[test]
    fn windows_stay_while_the_row_of_the_table_does(which in 0usize..4, more in 1usize..=25, canvas in canvases()) {
        let rows: &[usize] = match which {
            0 => &[1, 2, 4, 9, 16, 25],
            1 => &[17, 25],
            _ => &[5, 7, 9, 17, 25],
        };
        let row = |count: usize| rows.iter().position(|last| count <= *last);
        let windows = |count| cells(&templates()[which].1, canvas, count).unwrap();
        let (before, after) = (windows(more - 1), windows(more));
        let stay = before[..] == after[..more - 1];
        prop_assert!(stay || row(more - 1) != row(more), "{more}");
        // And another row is another layout: what is small there is smaller.
        if more > 1 && row(more - 1) != row(more) {
            prop_assert!(!stay);
        }
    }

    #[test]
    fn a_full_template_covers_the_canvas(which in 0usize..3, full in 0usize..5, canvas in canvases()) {
        let (template, counts) = [
            (Template::Grid, [1, 2, 4, 9, 16]),
            (Template::ScreenShare { large: None, side: LargeSide::Left }, [5, 7, 9, 17, 25]),
            (Template::ScreenShare { large: None, side: LargeSide::Right }, [5, 7, 9, 17, 25]),
        ][which].clone();
        let area = |w: &Rect| u64::from(w.size().width()) * u64::from(w.size().height());
        let covered: u64 = cells(&template, canvas, counts[full]).unwrap().iter().map(area).sum();
        prop_assert_eq!(covered, u64::from(canvas.width()) * u64::from(canvas.height()));
    }

    #[test]
    fn custom_windows_are_even_and_inside_or_refused(
        canvas in canvases(), list in prop::collection::vec((0u32..4100, 0u32..4100, 0u32..4100, 0u32..4100), 0..25),
    ) {
        let inside = list.iter().all(|&(l, t, w, h)| l + w <= canvas.width() && t + h <= canvas.height());
        let windows = list.iter().map(|&(l, t, w, h)| CustomWindow::new(l, t, w, h)).collect();
        match cells(&Template::Custom(windows), canvas, 25) {
            Ok(rects) => prop_assert!(inside && rects.iter().all(|w| w.is_even() && w.fits(canvas))),
            Err(error) => {
                let outside = matches!(error, LayoutError::WindowOutside { .. });
                prop_assert!(!inside && outside);
            }
        }
    }

    #[test]
    fn no_canvas_makes_it_panic(which in 0usize..4, count in 0usize..40, w in 1u32.., h in 1u32..) {
        let _ = cells(&templates()[which].1, size(w, h), count);
    }
}
