use std::ops::RangeInclusive;

use recorder_compositor::Font;
use recorder_layout::{Arrangement, Content, Rect, Rgb, Window};
use recorder_types::{MediaId, Size};

use crate::drawing::{Drawing, Label, Shape};
use crate::error::PreviewError;
use crate::room::Room;

/// Longest side of one picture of a sheet, in pixels.
const PANEL: u32 = 320;
/// Pictures in a row of a sheet.
const COLUMNS: u32 = 6;
/// Space around the pictures of a sheet.
const MARGIN: u32 = 16;
/// Height of the line over each picture, and of the title.
const CAPTION: u32 = 24;
/// Letters of both.
const CAPTION_FONT: u16 = 16;
/// Letters are not smaller, in pixels of an em.
const SMALLEST_FONT: u16 = 9;
/// Numbers are not larger.
const LARGEST_FONT: u16 = 72;
/// Space between a text and the border of its window.
const PAD: u32 = 3;

const INK: Rgb = Rgb::new(0x14, 0x14, 0x14);
const PAPER: Rgb = Rgb::new(0xff, 0xff, 0xff);

/// The room with `count` windows, at its own size.
pub(crate) fn single(room: &Room<'_>, count: usize, font: &Font) -> Result<Drawing, PreviewError> {
    let arrangement = room.arrange(count)?;
    let mut drawing = Drawing {
        size: arrangement.canvas,
        background: arrangement.background,
        boxes: Vec::new(),
        labels: Vec::new(),
    };
    let view = View { canvas: arrangement.canvas, panel: Rect::whole(arrangement.canvas), names: true };
    view.draw(&arrangement, font, &mut drawing)?;
    Ok(drawing)
}

/// A small picture of the room for each count, in rows. Windows are named if the room's users are.
pub(crate) fn sheet(
    room: &Room<'_>,
    title: &str,
    counts: RangeInclusive<usize>,
    font: &Font,
) -> Result<Drawing, PreviewError> {
    let (width, height) = (room.canvas.width(), room.canvas.height());
    let longest = width.max(height);
    // Both are at most PANEL, and PANEL times a side of a canvas fits.
    let side = |side: u32| (PANEL * side / longest / 2 * 2).max(2);
    let panel = Size::new(side(width), side(height)).expect("two at least");
    let rows = u32::try_from(counts.clone().count()).unwrap_or(1).div_ceil(COLUMNS);
    let step = (panel.width() + MARGIN, panel.height() + CAPTION + MARGIN);
    let top = MARGIN + CAPTION + MARGIN;
    let size = Size::new(MARGIN + COLUMNS * step.0, top + rows * step.1).expect("one row at least");
    let mut drawing = Drawing { size, background: PAPER, boxes: Vec::new(), labels: Vec::new() };
    drawing.labels.push(caption(title, (MARGIN, MARGIN), size.width() - 2 * MARGIN, font)?);
    for (index, count) in (0u32..).zip(counts) {
        let left = MARGIN + index % COLUMNS * step.0;
        let top = top + index / COLUMNS * step.1;
        let name = if count == 1 { "1 window".to_owned() } else { format!("{count} windows") };
        drawing.labels.push(caption(&name, (left, top), panel.width(), font)?);
        let panel = Rect::new(left, top + CAPTION, panel).expect("inside the sheet");
        let arrangement = room.arrange(count)?;
        drawing.boxes.push(Shape { rect: panel, fill: Some((arrangement.background, 255)), edge: None });
        let view = View { canvas: room.canvas, panel, names: !room.users.is_empty() };
        view.draw(&arrangement, font, &mut drawing)?;
    }
    Ok(drawing)
}

/// A line of text in the middle of a width, cut to it.
fn caption(text: &str, (left, top): (u32, u32), width: u32, font: &Font) -> Result<Label, PreviewError> {
    let text = fitting(text, CAPTION_FONT, width, font)?.unwrap_or_default();
    let size = font.measure(&text, CAPTION_FONT)?;
    let left = left + width.saturating_sub(size.width()) / 2;
    let rect = Rect::new(left, top, size).expect("inside the sheet");
    Ok(Label { text, rect, font_size: CAPTION_FONT, colour: INK })
}

/// A canvas shown in a rectangle of the drawing.
struct View {
    canvas: Size,
    panel: Rect,
    names: bool,
}

impl View {
    fn draw(
        &self,
        arrangement: &Arrangement,
        font: &Font,
        drawing: &mut Drawing,
    ) -> Result<(), PreviewError> {
        let windows: Vec<(&Window, Rect)> =
            arrangement.windows.iter().filter_map(|window| Some((window, self.rect(window.rect)?))).collect();
        for (index, (window, rect)) in windows.iter().enumerate() {
            let look = Look::of(window, arrangement.background);
            drawing.boxes.push(Shape { rect: *rect, fill: look.fill, edge: Some(look.edge) });
            let front: Vec<Rect> = windows[index + 1..].iter().map(|(_, rect)| *rect).collect();
            let number = (window.cell + 1).to_string();
            let name = if self.names { name(&window.content) } else { None };
            drawing.labels.extend(labels(&number, name.as_deref(), *rect, &front, look.text, font)?);
        }
        Ok(())
    }

    /// Borders in the drawing, rounded down to even; `None` if nothing is left.
    fn rect(&self, rect: Rect) -> Option<Rect> {
        let place = |border: u32, from: u32, to: u32| {
            let scaled = u64::from(border) * u64::from(to) / u64::from(from) / 2 * 2;
            u32::try_from(scaled).expect("a part of the panel fits where the panel does")
        };
        let size = self.panel.size();
        let x = |border| self.panel.left() + place(border, self.canvas.width(), size.width());
        let y = |border| self.panel.top() + place(border, self.canvas.height(), size.height());
        Rect::between(x(rect.left()), y(rect.top()), x(rect.right()), y(rect.bottom()))
    }
}

fn name(content: &Content) -> Option<String> {
    let stream = content.stream()?;
    let media = if stream.media == MediaId::Aux { " (aux)" } else { "" };
    Some(format!("{}{media}", stream.user))
}

/// The colours of a window.
struct Look {
    fill: Option<(Rgb, u8)>,
    edge: Rgb,
    text: Rgb,
}

impl Look {
    fn of(window: &Window, background: Rgb) -> Self {
        match window.content {
            Content::Video(_) | Content::AudioOnly(_) => {
                let fill = (hue(window.cell, 176), window.alpha.opacity());
                Self { fill: Some(fill), edge: hue(window.cell, 80), text: INK }
            }
            _ => {
                let Rgb { red, green, blue } = background;
                let light = u32::from(red) * 2 + u32::from(green) * 5 + u32::from(blue) > 8 * 128;
                let ink = if light { INK } else { Rgb::new(0xc8, 0xc8, 0xc8) };
                Self { fill: None, edge: ink, text: ink }
            }
        }
    }
}

/// A colour for each number, neighbours far apart, its parts between `level` less 64 and `level` plus 64.
fn hue(number: usize, level: u32) -> Rgb {
    // Steps of 139 degrees, near the golden angle, meet again only after 360.
    let degrees = u32::try_from(number % 360).expect("below 360") * 139 % 360;
    // Up within 60 degrees, there for 120, down within 60, and low for 120.
    let part = |offset: u32| {
        let at = (degrees + offset) % 360;
        let high = match at {
            0..60 => at,
            60..180 => 60,
            180..240 => 240 - at,
            _ => 0,
        };
        u8::try_from(level - 64 + high * 128 / 60).expect("levels are 64 to 191")
    };
    Rgb::new(part(120), part(0), part(240))
}

/// A number with a name under it where they fit into the window and nothing is in front of them: in the middle, else
/// at a side or a corner; smaller if they must be, without the name, or nowhere.
fn labels(
    number: &str,
    name: Option<&str>,
    window: Rect,
    front: &[Rect],
    colour: Rgb,
    font: &Font,
) -> Result<Vec<Label>, PreviewError> {
    let room = window.size();
    let width = room.width().saturating_sub(2 * PAD);
    let wanted =
        u16::try_from(room.width().min(room.height()) * 2 / 5).unwrap_or(LARGEST_FONT).min(LARGEST_FONT);
    for font_size in [wanted, wanted / 2, wanted / 4, SMALLEST_FONT] {
        if font_size < SMALLEST_FONT {
            continue;
        }
        let name_size = (font_size / 2).max(SMALLEST_FONT);
        let name = match name {
            Some(name) => fitting(name, name_size, width, font)?,
            None => None,
        };
        let number = (number.to_owned(), font_size, font.measure(number, font_size)?);
        let name = match name {
            Some(name) => Some((font.measure(&name, name_size)?, name)),
            None => None,
        };
        let both = name.map(|(size, name)| vec![number.clone(), (name, name_size, size)]);
        for lines in both.into_iter().chain([vec![number]]) {
            let width = lines.iter().map(|(_, _, size)| size.width()).max().unwrap_or(1);
            let height = lines.iter().map(|(_, _, size)| size.height()).sum();
            let Some(block) = Size::new(width, height).and_then(|block| free_place(block, window, front))
            else {
                continue;
            };
            let mut top = block.top();
            let lines = lines.into_iter().map(|(text, font_size, size)| {
                let left = block.left() + (block.size().width() - size.width()) / 2;
                let rect = Rect::new(left, top, size).expect("inside its window");
                top += size.height();
                Label { text, rect, font_size, colour }
            });
            return Ok(lines.collect());
        }
    }
    Ok(Vec::new())
}

/// Where a block of text has its place in a window, away from those in front.
fn free_place(block: Size, window: Rect, front: &[Rect]) -> Option<Rect> {
    let free = |side: u32, block: u32| side.checked_sub(block + 2 * PAD);
    let across = free(window.size().width(), block.width())?;
    let down = window.size().height().checked_sub(block.height())?;
    let places = [(1, 1), (1, 0), (1, 2), (0, 1), (2, 1), (0, 0), (2, 0), (0, 2), (2, 2)];
    places
        .into_iter()
        .filter_map(|(x, y)| {
            Rect::new(window.left() + PAD + across * x / 2, window.top() + down * y / 2, block)
        })
        .find(|place| !front.iter().any(|front| front.overlaps(*place)))
}

/// The text, cut and with an ellipsis where it is wider than `width`; `None` if not even a letter fits.
fn fitting(text: &str, font_size: u16, width: u32, font: &Font) -> Result<Option<String>, PreviewError> {
    if font.measure(text, font_size)?.width() <= width {
        return Ok(Some(text.to_owned()));
    }
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).collect();
    let mut fits = None;
    // More letters are wider: the longest that fits is found by halves.
    let (mut low, mut high) = (0, ends.len());
    while low < high {
        let middle = low.midpoint(high);
        let cut = format!("{}…", &text[..ends[middle]]);
        if font.measure(&cut, font_size)?.width() <= width {
            fits = Some(cut);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(fits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use recorder_layout::{LargeSide, LayoutParams, StreamId, Template};

    use super::*;

    fn users(names: &[&str]) -> Vec<recorder_types::UserId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn templates() -> [Template; 3] {
        let large = Some(StreamId { user: "screen".parse().unwrap(), media: MediaId::Main });
        let share = Template::ScreenShare { large: large.clone(), side: LargeSide::Right };
        [Template::Grid, Template::Floating { large }, share]
    }

    #[test]
    fn every_window_is_a_box_and_texts_are_in_their_window_in_front() {
        let font = Font::bundled();
        let users = users(&["Ann", "a much longer name than a window has room for", "Ωμέγα"]);
        for template in templates() {
            let floating = matches!(template, Template::Floating { .. });
            let params = LayoutParams::new(template);
            for canvas in [(1280, 720), (360, 640)] {
                let canvas = Size::new(canvas.0, canvas.1).unwrap();
                let room = Room { params: &params, canvas, users: &users };
                for count in 0..=25 {
                    let drawing = single(&room, count, &font).unwrap();
                    assert_eq!(drawing.boxes.len(), count);
                    for (index, shape) in drawing.boxes.iter().enumerate() {
                        let number = (index + 1).to_string();
                        let label = drawing.labels.iter().find(|label| label.text == number);
                        // The large floating window is all but covered by 16 or 24 small ones.
                        let Some(label) = label else {
                            assert!(floating && index == 0 && count > 13, "{count} {number}");
                            continue;
                        };
                        assert!(shape.rect.contains(label.rect), "{count} {label:?}");
                        let front = &drawing.boxes[index + 1..];
                        assert!(
                            !front.iter().any(|front| front.rect.overlaps(label.rect)),
                            "{count} {label:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_sheet_has_every_count_in_rows_apart_and_inside() {
        let font = Font::bundled();
        for template in templates() {
            let params = LayoutParams::new(template);
            for canvas in [(1280, 720), (640, 640), (360, 640), (4096, 2)] {
                let canvas = Size::new(canvas.0, canvas.1).unwrap();
                let room = Room { params: &params, canvas, users: &[] };
                let counts = if canvas.height() > 2 { 0..=25 } else { 0..=1 };
                let drawing = sheet(&room, "title", counts.clone(), &font).unwrap();
                let panels: Vec<Rect> = drawing
                    .boxes
                    .iter()
                    .filter(|shape| shape.edge.is_none())
                    .map(|shape| shape.rect)
                    .collect();
                assert_eq!(panels.len(), counts.clone().count());
                assert!(panels.iter().all(|panel| panel.is_even() && panel.fits(drawing.size)));
                assert!(panels.iter().enumerate().all(|(i, a)| panels[..i].iter().all(|b| !a.overlaps(*b))));
                let windows = drawing.boxes.iter().filter(|shape| shape.edge.is_some());
                assert_eq!(windows.clone().count(), counts.clone().sum::<usize>());
                assert!(windows.clone().all(|window| panels.iter().any(|panel| panel.contains(window.rect))));
                assert!(drawing.labels.iter().all(|label| label.rect.fits(drawing.size)));
            }
        }
    }

    #[test]
    fn long_names_are_cut_to_the_longest_that_fits() {
        let font = Font::bundled();
        for width in 1..200 {
            let fits = |text: &str| font.measure(text, 12).unwrap().width() <= width;
            match fitting("Wilhelmina", 12, width, &font).unwrap() {
                Some(text) if text == "Wilhelmina" => assert!(fits(&text)),
                Some(cut) => {
                    let kept = cut.strip_suffix('…').unwrap();
                    let more = "Wilhelmina".get(..=kept.len()).unwrap();
                    assert!(
                        fits(&cut) && !fits(&format!("{more}…")) || more == "Wilhelmina",
                        "{width} {cut}"
                    );
                }
                None => assert!(!fits("W…")),
            }
        }
    }

    #[test]
    fn numbers_have_colours_of_their_own() {
        let all: std::collections::HashSet<Rgb> = (0..25).map(|number| hue(number, 176)).collect();
        assert_eq!(all.len(), 25);
        assert_eq!(hue(0, 176), Rgb::new(240, 112, 112));
    }
}
