use recorder_codec::{CodecError, I420};
use recorder_types::Size;

use super::font::{self, glyph};

/// A colour in limited-range YCbCr.
#[derive(Clone, Copy)]
struct Colour {
    y: u8,
    cb: u8,
    cr: u8,
}

const WHITE: Colour = Colour { y: 235, cb: 128, cr: 128 };

/// Backgrounds: dark enough for white text, apart from each other.
const BACKGROUNDS: [Colour; 12] = [
    Colour { y: 72, cb: 172, cr: 100 },
    Colour { y: 84, cb: 104, cr: 168 },
    Colour { y: 88, cb: 96, cr: 100 },
    Colour { y: 64, cb: 160, cr: 152 },
    Colour { y: 96, cb: 84, cr: 148 },
    Colour { y: 92, cb: 140, cr: 84 },
    Colour { y: 60, cb: 128, cr: 168 },
    Colour { y: 76, cb: 184, cr: 124 },
    Colour { y: 100, cb: 112, cr: 120 },
    Colour { y: 68, cb: 140, cr: 132 },
    Colour { y: 104, cb: 72, cr: 124 },
    Colour { y: 56, cb: 112, cr: 140 },
];

/// What one picture shows besides the background and the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Frames since the start: moves the disc.
    pub(super) frame: u64,
    /// Whole seconds since the start: the counter.
    pub(super) second: u64,
    /// A white bar at the lower edge.
    pub(super) is_flash: bool,
}

/// Draws the pictures of one participant, planes Y, Cb and Cr after each other.
pub(super) struct Painter {
    size: Size,
    width: usize,
    height: usize,
    seed: u64,
    background: Colour,
    name: String,
    planes: Vec<u8>,
}

impl Painter {
    /// `size` has even sides.
    pub(super) fn new(size: Size, name: &str, seed: u64) -> Self {
        let [width, height] = [size.width(), size.height()].map(side);
        let pick = usize::try_from(seed % 12).expect("below 12");
        Self {
            size,
            width,
            height,
            seed,
            background: BACKGROUNDS[pick],
            name: name.chars().take(24).collect(),
            planes: vec![0; width * height * 3 / 2],
        }
    }

    pub(super) fn paint(&mut self, scene: Scene) -> Result<I420<'_>, CodecError> {
        let (width, height) = (self.width, self.height);
        let background = self.background;
        self.fill(0..width, 0..height, background);
        self.disc(scene.frame);
        if scene.is_flash {
            self.fill(0..width, height - height / 8..height, WHITE);
        }
        let scale = (height / 60).max(1);
        let name = std::mem::take(&mut self.name);
        self.text(&name, scale * 4, scale * 4, scale);
        self.name = name;
        let counter = format!("{:02}:{:02}", scene.second / 60, scene.second % 60);
        self.text(&counter, scale * 4, height / 2, scale * 2);
        I420::packed(self.size, &self.planes)
    }

    /// A disc that goes to and fro, across and down at speeds of its own.
    fn disc(&mut self, frame: u64) {
        let radius = (self.height.min(self.width) / 8).max(1);
        let swing = |range: usize, step: u64, phase: u64| {
            let range = u64::try_from(range.max(1)).unwrap_or(u64::MAX);
            let at = (frame.wrapping_mul(step).wrapping_add(phase)) % (2 * range);
            usize::try_from(at.min(2 * range - at)).expect("at most the range")
        };
        let x = radius + swing(self.width - 2 * radius, 3 + self.seed / 12 % 4, self.seed >> 8 & 0xFFF);
        let y = radius + swing(self.height - 2 * radius, 2 + self.seed / 48 % 3, self.seed >> 20 & 0xFFF);
        let colour = Colour { y: 190, cb: 255 - self.background.cb, cr: 255 - self.background.cr };
        for row in y - radius..(y + radius).min(self.height) {
            let half = (radius * radius - row.abs_diff(y).pow(2)).isqrt();
            self.fill(x - half..(x + half).min(self.width), row..row + 1, colour);
        }
    }

    fn text(&mut self, text: &str, left: usize, top: usize, scale: usize) {
        for (index, character) in text.chars().enumerate() {
            let left = left + index * (font::WIDTH + 1) * scale;
            for (row, bits) in glyph(character).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                    let (x, y) = (left + column * scale, top + row * scale);
                    self.fill(x..x + scale, y..y + scale, WHITE);
                }
            }
        }
    }

    /// Fills a rectangle, clipped to the picture. Chroma is set where its sample lies within, on even lines.
    fn fill(&mut self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>, colour: Colour) {
        let (left, right) = (columns.start.min(self.width), columns.end.min(self.width));
        let (luma, chroma) = self.planes.split_at_mut(self.width * self.height);
        let (cb, cr) = chroma.split_at_mut(self.width / 2 * (self.height / 2));
        if left >= right {
            return;
        }
        for row in rows.start..rows.end.min(self.height) {
            luma[row * self.width..][left..right].fill(colour.y);
            if row % 2 == 0 {
                let at = row / 2 * (self.width / 2);
                cb[at..][left.div_ceil(2)..right.div_ceil(2)].fill(colour.cb);
                cr[at..][left.div_ceil(2)..right.div_ceil(2)].fill(colour.cr);
            }
        }
    }
}

fn side(pixels: u32) -> usize {
    usize::try_from(pixels).expect("a picture's side fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_and_moment_can_be_painted() {
        for (width, height) in [(16, 16), (16, 640), (640, 16), (640, 360), (1280, 720)] {
            for seed in [0, 1, u64::MAX, 0x1234_5678_9ABC_DEF0] {
                let mut painter = Painter::new(Size::new(width, height).unwrap(), "Zoë-1", seed);
                for frame in [0, 1, 99, u64::MAX] {
                    let scene = Scene { frame, second: frame / 15, is_flash: frame % 2 == 0 };
                    assert!(painter.paint(scene).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_flash_is_white_at_the_lower_edge() {
        let mut painter = Painter::new(Size::new(64, 32).unwrap(), "a", 7);
        let last = |painter: &mut Painter, is_flash| {
            painter.paint(Scene { frame: 0, second: 0, is_flash }).unwrap().planes()[0].data[64 * 31]
        };
        assert_eq!((last(&mut painter, true), last(&mut painter, false)), (235, BACKGROUNDS[7].y));
    }
}
