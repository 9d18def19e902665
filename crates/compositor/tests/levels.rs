//! Every level gives the bytes of the scalar reference, on every size, offset and stride.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use recorder_compositor::{
    Canvas, Colour, Level, Matrix, Overlay, Picture, PictureBuffer, Plane, Range, Rect, RenderMode, Rgb,
    Scaler, Source, Tile,
};
use recorder_types::Size;

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..len).map(next).collect()
}

/// Planes with padding after each row, and each of exactly the bytes it must have: tools that watch memory see
/// whatever is read beyond.
struct Planes {
    size: Size,
    planes: [(Box<[u8]>, usize); 3],
}

impl Planes {
    fn new(size: Size, padding: usize, seed: u32) -> Self {
        let side = |pixels: u32, index: u32| if index == 0 { pixels } else { pixels.div_ceil(2) } as usize;
        let planes = [0, 1, 2].map(|index| {
            let (width, height) = (side(size.width(), index), side(size.height(), index));
            let stride = width + padding;
            (noise(stride * (height - 1) + width, seed + index).into_boxed_slice(), stride)
        });
        Self { size, planes }
    }

    fn picture(&self) -> Picture<'_> {
        let planes = self.planes.each_ref().map(|(data, stride)| Plane { data, stride: *stride });
        Picture::new(self.size, planes).unwrap()
    }
}

fn bytes(picture: Picture<'_>) -> Vec<u8> {
    picture.planes().iter().flat_map(|plane| plane.data).copied().collect()
}

fn scaled(planes: &Planes, from: Rect, canvas: Size, to: Rect, level: Level) -> Vec<u8> {
    let mut out = PictureBuffer::new(canvas).unwrap();
    let mut scaler = Scaler::new(from.size(), to.size(), level).unwrap();
    scaler.scale(planes.picture(), from, &mut out, to).unwrap();
    bytes(out.as_picture())
}

/// Sides that meet every path: tiny, around a vector, the special ratios, far down, far up.
fn side() -> impl Strategy<Value = u32> {
    prop_oneof![1u32..40, 56u32..80, 100u32..300, 300u32..900]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn scaling_is_the_same_at_every_level(
        (w, h) in (side(), 1u32..120), (left, top) in (0u32..20, 0u32..8), padding in 0usize..70,
        (tw, th) in (side(), 1u32..60), (x, y) in (0u32..20, 0u32..8), seed in any::<u16>(),
    ) {
        let planes = Planes::new(size(w + 2 * left + 3, h + 2 * top + 1), padding, seed.into());
        let from = Rect::new(2 * left, 2 * top, size(w, h)).unwrap();
        let to = Rect::new(2 * x, 2 * y, size(2 * tw, 2 * th)).unwrap();
        let canvas = size(to.right() + 6, to.bottom() + 2);
        let reference = scaled(&planes, from, canvas, to, Level::SCALAR);
        for level in Level::available() {
            let got = scaled(&planes, from, canvas, to, level);
            prop_assert!(got == reference, "{level}: {w}x{h} to {}x{}", 2 * tw, 2 * th);
        }
    }

    #[test]
    fn special_ratios_are_the_same_at_every_level(
        (unit, rows) in (1u32..60, 1u32..12), ratio in prop_oneof![Just((4, 3)), Just((2, 1)), Just((8, 3)), Just((1, 1)), Just((2, 3))],
        padding in 0usize..70, x in 0u32..20, seed in any::<u16>(),
    ) {
        let (from, to) = (ratio.0 * 2, ratio.1 * 2);
        let planes = Planes::new(size(unit * from, rows * from), padding, seed.into());
        let to = Rect::new(2 * x, 2, size(unit * to, rows * to)).unwrap();
        let canvas = size(to.right() + 4, to.bottom() + 2);
        let reference = scaled(&planes, Rect::whole(planes.size), canvas, to, Level::SCALAR);
        for level in Level::available() {
            let got = scaled(&planes, Rect::whole(planes.size), canvas, to, level);
            prop_assert!(got == reference, "{level}: {} to {}", planes.size, to.size());
        }
    }

    /// Pictures that are not scaled, of every width of chroma too.
    #[test]
    fn copying_is_copying_at_every_level(
        (w, h) in (1u32..300, 1u32..12), (left, top) in (0u32..20, 0u32..4), padding in 0usize..70,
        (x, y) in (0u32..40, 0u32..4), seed in any::<u16>(),
    ) {
        let planes = Planes::new(size(2 * (w + left) + 5, 2 * (h + top) + 1), padding, seed.into());
        let from = Rect::new(2 * left, 2 * top, size(2 * w, 2 * h)).unwrap();
        let to = Rect::new(2 * x, 2 * y, from.size()).unwrap();
        let canvas = size(to.right() + 6, to.bottom() + 2);
        let source = planes.picture();
        for level in std::iter::once(Level::SCALAR).chain(Level::available()) {
            let mut out = PictureBuffer::new(canvas).unwrap();
            let mut scaler = Scaler::new(from.size(), to.size(), level).unwrap();
            scaler.scale(source, from, &mut out, to).unwrap();
            for (index, plane) in out.as_picture().planes().iter().enumerate() {
                let (old, new) = (from.in_plane(index), to.in_plane(index));
                let given = source.planes()[index];
                for (row, line) in plane.data.chunks(plane.stride).enumerate() {
                    let inside = (new.top..new.top + new.height).contains(&row);
                    for (column, got) in line.iter().enumerate() {
                        let expected = if inside && (new.left..new.left + new.width).contains(&column) {
                            given.data[(old.top + row - new.top) * given.stride + old.left + column - new.left]
                        } else if index == 0 { 16 } else { 128 };
                        prop_assert!(*got == expected, "{level}: plane {index} at {column}, {row}");
                    }
                }
            }
        }
    }

    #[test]
    fn conversion_is_the_same_at_every_level((w, h) in (1u32..200, 1u32..10), seed in any::<u16>()) {
        let planes = Planes::new(size(w, h), 0, seed.into());
        let from = Colour { matrix: Matrix::Bt601, range: Range::Full };
        let convert = |level| {
            let mut out = PictureBuffer::new(size(w, h)).unwrap();
            out.store(planes.picture());
            out.convert(from, Colour::default(), level);
            bytes(out.as_picture())
        };
        let reference = convert(Level::SCALAR);
        for level in Level::available() {
            prop_assert!(convert(level) == reference, "{level}: {w}x{h}");
        }
    }

    #[test]
    fn blending_is_the_same_at_every_level(
        (w, h) in (1u32..200, 1u32..12), (x, y) in (0u32..60, 0u32..12), seed in any::<u16>(),
    ) {
        let rgba = noise((w * h * 4) as usize, seed.into());
        let overlay = Overlay::from_rgba(&rgba, size(w, h), x, y, Colour::default()).unwrap();
        let canvas = size(128, 16);
        let planes = Planes::new(canvas, 0, 7);
        let blend = |level| {
            let mut out = PictureBuffer::new(canvas).unwrap();
            out.store(planes.picture());
            overlay.blend(&mut out, Rect::whole(canvas), level).unwrap();
            bytes(out.as_picture())
        };
        let reference = blend(Level::SCALAR);
        for level in Level::available() {
            prop_assert!(blend(level) == reference, "{level}: {w}x{h} at {x}, {y}");
        }
    }
}

#[test]
fn the_usual_sizes_are_the_same_at_every_level() {
    let canvas = size(1920, 1080);
    for source in
        [size(640, 360), size(1280, 720), size(1920, 1080), size(3840, 2160), size(352, 288), size(319, 241)]
    {
        let planes = Planes::new(source, 13, 3);
        for (columns, rows) in [(1, 1), (2, 1), (2, 2), (3, 3), (4, 4), (5, 5), (10, 8), (30, 30)] {
            let to = Rect::new(2, 4, size(1912 / columns / 2 * 2, 1072 / rows / 2 * 2)).unwrap();
            let reference = scaled(&planes, Rect::whole(source), canvas, to, Level::SCALAR);
            for level in Level::available() {
                let got = scaled(&planes, Rect::whole(source), canvas, to, level);
                assert!(got == reference, "{level}: {source} to {}", to.size());
            }
        }
    }
}

#[test]
fn a_canvas_is_the_same_at_every_level() {
    let (wide, tall) = (Planes::new(size(640, 360), 5, 1), Planes::new(size(180, 320), 0, 2));
    let logo = noise(100 * 40 * 4, 5);
    let compose = |level| {
        let mut canvas = Canvas::new(size(960, 540), Colour::default(), Rgb::new(9, 99, 199), level).unwrap();
        let window = |x, y, w, h| Tile::new(Rect::new(x, y, size(w, h)).unwrap());
        canvas
            .set_tiles(&[
                window(0, 0, 960, 540),
                window(20, 300, 226, 126).with_mode(RenderMode::Fit).with_opacity(130),
                window(200, 320, 226, 126).with_mode(RenderMode::Fit).with_bars(None),
            ])
            .unwrap();
        let overlay = Overlay::from_rgba(&logo, size(100, 40), 777, 13, canvas.colour()).unwrap();
        canvas.set_overlays(vec![overlay.into()]);
        let [a, b] = [&wide, &tall].map(|planes| Source::Picture {
            picture: planes.picture(),
            colour: Colour::implied_by(planes.size),
            generation: 1,
        });
        canvas.compose(&[a, b, b]).unwrap();
        bytes(canvas.picture())
    };
    let reference = compose(Level::SCALAR);
    for level in Level::available() {
        assert!(compose(level) == reference, "{level}");
    }
}
