//! Composed frames as small PNG files in `golden/`; `UPDATE_GOLDEN=1` writes them anew.
#![cfg(all(feature = "images", feature = "text"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use recorder_compositor::{
    Bitmap, Canvas, Clock, Colour, Font, Level, Matrix, Picture, Position, Range, Rect, RenderMode, Rgb,
    Source, TextStyle, Tile, TimeZone, Watermarks,
};
use recorder_layout::{
    CustomWindow, LargeSide, LayoutParams, Participant, Publishes, Template, Transparency, arrange,
};
use recorder_types::{MediaId, Size, UnixMillis};

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

/// The canvas as RGB, in floating point by the definition of the matrices, chroma repeated.
fn rgb(canvas: &Canvas) -> image::RgbImage {
    let (picture, colour) = (canvas.picture(), canvas.colour());
    let (kr, kb) = if colour.matrix == Matrix::Bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    assert_eq!(colour.range, Range::Limited);
    let planes = picture.planes();
    let at = |k: usize, x: u32, y: u32| f64::from(planes[k].data[y as usize * planes[k].stride + x as usize]);
    image::RgbImage::from_fn(picture.size().width(), picture.size().height(), |x, y| {
        let luma = (at(0, x, y) - 16.0) / 219.0;
        let [cb, cr] = [1, 2].map(|k| (at(k, x / 2, y / 2) - 128.0) / 112.0);
        let (red, blue) = (luma + cr * (1.0 - kr), luma + cb * (1.0 - kb));
        let green = (luma - kr * red - kb * blue) / (1.0 - kr - kb);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        image::Rgb([red, green, blue].map(|part| (part * 255.0).round().clamp(0.0, 255.0) as u8))
    })
}

fn check(name: &str, canvas: &Canvas) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let drawn = rgb(canvas);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        drawn.save(&path).unwrap();
    }
    let golden = image::open(&path).unwrap().to_rgb8();
    assert_eq!(drawn.dimensions(), golden.dimensions(), "{name}");
    // Letters are drawn in floating point, which other machines may round otherwise by a step.
    let off = drawn.as_raw().iter().zip(golden.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(3), "{name} differs by {off:?}");
}

/// A wheel of colours with a ring, so that shape and orientation are seen.
fn camera(size: Size, hue: u32) -> Bitmap {
    let pixel = |x: u32, y: u32| {
        let (w, h) = (size.width(), size.height());
        let (dx, dy) = (x.abs_diff(w / 2), y.abs_diff(h / 2));
        let inside = dx * dx + dy * dy < h * h / 9;
        let byte = |value: u32| u8::try_from(value % 256).unwrap();
        let base = [byte(x * 255 / w), byte(y * 255 / h), byte(hue)];
        let [red, green, blue] = if inside { base.map(|part| 255 - part) } else { base };
        [red, green, blue, 255]
    };
    let all = (0..size.height()).flat_map(|y| (0..size.width()).map(move |x| (x, y)));
    Bitmap::new(size, all.flat_map(|(x, y)| pixel(x, y)).collect()).unwrap()
}

/// A red disc on transparent.
fn logo() -> Bitmap {
    let pixel = |x: u32, y: u32| {
        let (dx, dy) = (x.abs_diff(50), y.abs_diff(50));
        if dx * dx + dy * dy < 48 * 48 { [255, 0, 0, 200] } else { [0, 255, 0, 0] }
    };
    let all = (0..100).flat_map(|y| (0..100).map(move |x| (x, y)));
    Bitmap::new(size(100, 100), all.flat_map(|(x, y)| pixel(x, y)).collect()).unwrap()
}

#[test]
fn four_windows_with_every_mode_and_watermarks() {
    let colour = Colour::default();
    let mut canvas = Canvas::new(size(320, 180), colour, Rgb::new(40, 40, 40), Level::detect()).unwrap();
    let behind = camera(size(90, 90), 255).to_picture(Rgb::BLACK, colour).unwrap();
    canvas.set_background_picture(Some((behind.as_picture(), colour)), RenderMode::Crop);
    let windows = [(4, 4), (162, 4), (4, 92), (162, 92)];
    let tiles: Vec<_> = (0u8..)
        .zip(windows)
        .map(|(code, (left, top))| {
            let mode = RenderMode::from_code(code).unwrap();
            Tile::new(Rect::new(left, top, size(154, 84)).unwrap()).with_mode(mode)
        })
        .collect();
    canvas.set_tiles(&tiles).unwrap();
    let bt601 = Colour { matrix: Matrix::Bt601, range: Range::Limited };
    let sources: Vec<_> =
        (0..4).map(|k| camera(size(120, 120), 60 * k).to_picture(Rgb::BLACK, bt601).unwrap()).collect();
    let shown: Vec<_> = sources
        .iter()
        .map(|source| Source::Picture { picture: source.as_picture(), colour: bt601, generation: 1 })
        .collect();

    let font = Arc::new(Font::bundled());
    let mut marks = Watermarks::new();
    let logo = logo().scaled(size(40, 30)).unwrap().to_overlay(140, 75, colour).unwrap();
    marks.push(logo.into()).unwrap();
    let style =
        TextStyle::default().with_background(Some(Rgb::new(0, 0, 160))).with_colour(Rgb::new(255, 220, 0));
    let text = font.draw("Grüße Ωg\nПривет", size(70, 40), style).unwrap();
    marks.push(text.bitmap.to_overlay(7, 130, colour).unwrap().into()).unwrap();
    let plain = TextStyle::default();
    for code in 0..7 {
        let place = (Position::from_code(code).unwrap(), TimeZone::default());
        let style = plain.with_font_size(if code == 6 { 24 } else { 10 });
        let clock = Clock::new(Arc::clone(&font), style, place, (size(320, 180), colour)).unwrap();
        marks.push_clock(clock).unwrap();
    }
    marks.show(&mut canvas, UnixMillis::new(1_700_000_000_000).unwrap());
    canvas.compose(&shown).unwrap();
    check("windows.png", &canvas);

    // A second later only the clocks are drawn, with the result of a canvas that is new.
    for seconds in 1..4u64 {
        let now = UnixMillis::new(1_700_000_000_000 + seconds * 1000).unwrap();
        marks.show(&mut canvas, now);
        let composed = canvas.compose(&shown).unwrap();
        assert!(composed.rects > 0 && (seconds == 1 || composed.scaled == 0), "{composed:?}");
        marks.show(&mut canvas, now);
        assert_eq!(canvas.compose(&shown).unwrap().rects, 0, "the same second");
    }
    check("windows-later.png", &canvas);
}

/// Grid, floating, screen sharing and a custom layout, each in a quarter of one canvas.
#[test]
fn four_layouts_of_people() {
    let colour = Colour::default();
    let window = |left, top| CustomWindow::new(left, top, 90, 50);
    let list = vec![
        window(0, 0).with_layer(2),
        window(40, 20).with_layer(1).with_mode(RenderMode::Fit),
        window(70, 40).with_layer(3).with_alpha(Transparency::new(128)),
    ];
    let layouts = [
        (Template::Grid, 5, (0, 0)),
        (Template::Floating { large: None }, 6, (160, 0)),
        (Template::ScreenShare { large: None, side: LargeSide::Right }, 7, (0, 90)),
        (Template::Custom(list), 3, (160, 90)),
    ];
    let cameras: Vec<_> = (0..7)
        .map(|k| camera(size(64 + 8 * k, 64), 36 * k).to_picture(Rgb::BLACK, colour).unwrap())
        .collect();
    let people = (0..7u64)
        .map(|k| Participant::new(format!("u{k}").parse().unwrap(), MediaId::Main, k, Publishes::Video));
    let people: Vec<_> = people.collect();
    let (mut tiles, mut shown) = (Vec::new(), Vec::new());
    for (template, count, (left, top)) in layouts {
        let arranged = arrange(&LayoutParams::new(template), size(160, 90), &people[..count]).unwrap();
        for window in arranged.windows {
            let rect =
                Rect::new(window.rect.left() + left, window.rect.top() + top, window.rect.size()).unwrap();
            tiles.push(Tile::new(rect).with_mode(window.mode).with_opacity(window.alpha.opacity()));
            let who =
                window.content.stream().and_then(|who| people.iter().position(|one| one.stream == *who));
            shown.push(who.map_or(Source::Nothing, |who| Source::Picture {
                picture: cameras[who].as_picture(),
                colour,
                generation: 1,
            }));
        }
    }
    let mut canvas = Canvas::new(size(320, 180), colour, Rgb::new(40, 40, 40), Level::detect()).unwrap();
    canvas.set_tiles(&tiles).unwrap();
    canvas.compose(&shown).unwrap();
    check("layouts.png", &canvas);
}

#[test]
fn a_placeholder_and_a_full_canvas_of_red_stay_red() {
    for matrix in [Matrix::Bt601, Matrix::Bt709] {
        let colour = Colour { matrix, range: Range::Limited };
        let mut canvas = Canvas::new(size(64, 36), colour, Rgb::BLACK, Level::detect()).unwrap();
        canvas.set_tiles(&[Tile::new(Rect::new(0, 0, size(32, 36)).unwrap())]).unwrap();
        let red = Bitmap::new(size(21, 13), [255, 0, 0, 255].repeat(21 * 13)).unwrap();
        let placeholder = red.to_picture(Rgb::BLACK, colour).unwrap();
        let mark = red.scaled(size(32, 36)).unwrap().to_overlay(32, 0, colour).unwrap();
        canvas.set_overlays(vec![mark.into()]);
        let picture: Picture<'_> = placeholder.as_picture();
        canvas.compose(&[Source::Picture { picture, colour, generation: 0 }]).unwrap();
        for pixel in rgb(&canvas).pixels() {
            let [red, green, blue] = pixel.0;
            assert!(red >= 253 && green <= 3 && blue <= 3, "{matrix:?} {pixel:?}");
        }
    }
}
