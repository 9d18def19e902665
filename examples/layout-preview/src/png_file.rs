use recorder_compositor::{Colour, Font, Level, Matrix, Overlay, PictureBuffer, Range, TextStyle};
use recorder_layout::{Rect, Rgb};

use crate::drawing::{Drawing, EDGE, Label, Shape};
use crate::error::PreviewError;

/// What the samples of the picture mean while it is drawn: the finest there is in 8 bits.
const COLOUR: Colour = Colour { matrix: Matrix::Bt709, range: Range::Full };

/// The drawing as a PNG file of its own size, drawn by the compositor with its bundled font. Where the font has no sign
/// for a letter, that is told on standard error.
pub(crate) fn write(drawing: &Drawing, font: &Font) -> Result<Vec<u8>, PreviewError> {
    let mut picture = PictureBuffer::new(drawing.size)?;
    picture.fill(Rect::whole(drawing.size), COLOUR.samples(drawing.background))?;
    let level = Level::detect();
    for shape in &drawing.boxes {
        draw_shape(shape, &mut picture, level)?;
    }
    for label in &drawing.labels {
        draw_label(label, font, &mut picture, level)?;
    }
    encode(&picture)
}

fn draw_shape(shape: &Shape, picture: &mut PictureBuffer, level: Level) -> Result<(), PreviewError> {
    let rect = shape.rect;
    match shape.fill {
        Some((fill, 255)) => picture.fill(rect, COLOUR.samples(fill))?,
        Some((Rgb { red, green, blue }, opacity)) => {
            let area = usize::try_from(u64::from(rect.size().width()) * u64::from(rect.size().height()))
                .expect("a rectangle of a picture in memory");
            let rgba = [red, green, blue, opacity].repeat(area);
            Overlay::from_rgba(&rgba, rect.size(), rect.left(), rect.top(), COLOUR)?
                .blend(picture, rect, level)?;
        }
        None => {}
    }
    let Some(edge) = shape.edge else { return Ok(()) };
    let (left, top, right, bottom) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    let inner = [
        (left, top, right, bottom.min(top + EDGE)),
        (left, top.max(bottom.saturating_sub(EDGE)), right, bottom),
        (left, top, right.min(left + EDGE), bottom),
        (left.max(right.saturating_sub(EDGE)), top, right, bottom),
    ];
    for side in inner.into_iter().filter_map(|(l, t, r, b)| Rect::between(l, t, r, b)) {
        picture.fill(side, COLOUR.samples(edge))?;
    }
    Ok(())
}

fn draw_label(
    label: &Label,
    font: &Font,
    picture: &mut PictureBuffer,
    level: Level,
) -> Result<(), PreviewError> {
    let style = TextStyle::default().with_font_size(label.font_size).with_colour(label.colour);
    let drawn = font.draw(&label.text, label.rect.size(), style)?;
    if !drawn.missing.is_empty() {
        let missing: String = drawn.missing.iter().collect();
        eprintln!("warning: the font has no sign for {missing} in {:?}", label.text);
    }
    let whole = Rect::whole(picture.size());
    drawn.bitmap.to_overlay(label.rect.left(), label.rect.top(), COLOUR)?.blend(picture, whole, level)?;
    Ok(())
}

fn encode(picture: &PictureBuffer) -> Result<Vec<u8>, PreviewError> {
    let size = picture.size();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size.width(), size.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb(picture))?;
    writer.finish()?;
    Ok(file)
}

/// Red, green and blue of each pixel. A chroma sample is that of all four of its pixels: boxes have even borders.
fn rgb(picture: &PictureBuffer) -> Vec<u8> {
    let picture = picture.as_picture();
    let [luma, u, v] = picture.planes();
    let rows = luma.data.chunks(luma.stride).zip((0..).map(|y: usize| y / 2));
    let mut rgb = Vec::with_capacity(luma.data.len() * 3);
    for (row, y) in rows {
        let chroma = u.data[y * u.stride..].iter().zip(&v.data[y * v.stride..]);
        let chroma = chroma.flat_map(|both| [both, both]);
        for (luma, (u, v)) in row.iter().zip(chroma) {
            rgb.extend(pixel(*luma, *u, *v));
        }
    }
    rgb
}

/// The inverse of BT.709 in full range, to nearest: in 1/65536, 1.5748, 0.187324, 0.468124 and 1.8556.
fn pixel(luma: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (i32::from(luma) << 16, i32::from(u) - 128, i32::from(v) - 128);
    let parts = [y + 103_206 * v, y - 12_276 * u - 30_679 * v, y + 121_609 * u];
    parts.map(|part| u8::try_from(((part + (1 << 15)) >> 16).clamp(0, 255)).expect("clamped to a byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_back_within_two() {
        for k in 0..1000u32 {
            let part = |unit: u32| u8::try_from(k / unit % 10 * 255 / 9).unwrap_or(255);
            let rgb = [part(1), part(10), part(100)];
            let samples = COLOUR.samples(Rgb::new(rgb[0], rgb[1], rgb[2]));
            let back = pixel(samples.y, samples.u, samples.v);
            assert!(rgb.iter().zip(back).all(|(a, b)| a.abs_diff(b) <= 2), "{rgb:?} {back:?}");
        }
    }
}
