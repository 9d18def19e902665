use std::fmt::Write as _;

use crate::drawing::{Drawing, EDGE, Label, Shape};

/// The baseline of the bundled font below the top of its line, in thousandths of an em.
const ASCENT: u32 = 1069;

/// The drawing as an SVG document of its own size. The same drawing gives the same bytes.
pub(crate) fn write(drawing: &Drawing) -> String {
    let (width, height) = (drawing.size.width(), drawing.size.height());
    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).expect("a string takes everything");
        svg.push('\n');
    };
    line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"Noto Sans, sans-serif\" text-anchor=\"middle\" \
         stroke-width=\"{EDGE}\">"
    ));
    line(format_args!("<path fill=\"{}\" d=\"M0 0h{width}v{height}H0z\"/>", drawing.background));
    for shape in &drawing.boxes {
        line(format_args!("{}", rect(shape)));
    }
    for label in &drawing.labels {
        line(format_args!("{}", text(label)));
    }
    svg.push_str("</svg>\n");
    svg
}

fn rect(shape: &Shape) -> String {
    // A border is drawn along the middle of its line.
    let inset = if shape.edge.is_some() { EDGE / 2 } else { 0 };
    let (left, top) = (shape.rect.left() + inset, shape.rect.top() + inset);
    let size = shape.rect.size();
    let (width, height) =
        (size.width().saturating_sub(2 * inset).max(1), size.height().saturating_sub(2 * inset).max(1));
    let mut element = format!("<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"");
    match shape.fill {
        Some((colour, opacity)) => {
            element += &format!(" fill=\"{colour}\"");
            if opacity < 255 {
                let thousandths = (u32::from(opacity) * 1000 + 127) / 255;
                element += &format!(" fill-opacity=\".{thousandths:03}\"");
            }
        }
        None => element += " fill=\"none\"",
    }
    if let Some(edge) = shape.edge {
        element += &format!(" stroke=\"{edge}\"");
        if shape.fill.is_none() {
            element += " stroke-dasharray=\"6\"";
        }
    }
    element + "/>"
}

fn text(label: &Label) -> String {
    let font_size = u32::from(label.font_size);
    let (x, y) =
        (label.rect.left() + label.rect.size().width() / 2, label.rect.top() + font_size * ASCENT / 1000);
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{font_size}\" fill=\"{}\">{}</text>",
        label.colour,
        escaped(&label.text)
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Neither is a character of XML.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_text() {
        assert_eq!(escaped("\u{ffff}"), "\u{fffd}");
        assert_eq!(escaped("a<b>&\"ü\""), "a&lt;b&gt;&amp;\"ü\"");
    }
}
