use std::sync::Arc;

use recorder_types::Size;

use crate::ComposeError;
use crate::colour::{Colour, Conversion, Rgb, Yuv};
use crate::geometry::{Placement, Rect, RenderMode};
use crate::kernel::Level;
use crate::overlay::Overlay;
use crate::picture::{Picture, PictureBuffer};
use crate::scale::Scaler;

/// A window of the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tile {
    /// Where it is: even, inside the canvas.
    pub window: Rect,
    /// How pictures are fitted. Default [`RenderMode::Crop`].
    pub mode: RenderMode,
    /// 255 hides what is behind, 0 shows nothing of the tile. Default 255. (`Alpha` of the recording API is
    /// 255 minus this.)
    pub opacity: u8,
    /// What is beside a picture that does not fill the window; `None` shows what is behind. Default black.
    pub bars: Option<Rgb>,
}

impl Tile {
    /// An opaque tile.
    #[must_use]
    pub const fn new(window: Rect) -> Self {
        Self { window, mode: RenderMode::Crop, opacity: 255, bars: Some(Rgb::BLACK) }
    }

    /// Fits pictures by `mode`.
    #[must_use]
    pub const fn with_mode(mut self, mode: RenderMode) -> Self {
        self.mode = mode;
        self
    }

    /// Mixes the tile with what is behind.
    #[must_use]
    pub const fn with_opacity(mut self, opacity: u8) -> Self {
        self.opacity = opacity;
        self
    }

    /// Fills what the picture leaves of the window.
    #[must_use]
    pub const fn with_bars(mut self, bars: Option<Rgb>) -> Self {
        self.bars = bars;
        self
    }
}

/// What a tile shows now.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Nothing: what is behind is seen.
    Nothing,
    /// One colour all over the window.
    Colour(Rgb),
    /// A picture.
    Picture {
        /// The samples. Looked at only when they have to be drawn.
        picture: Picture<'a>,
        /// What they mean.
        colour: Colour,
        /// Another number than before if the samples are others; the same number draws nothing anew.
        generation: u64,
    },
}

/// What [`Canvas::compose`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Composed {
    /// Pictures that were scaled.
    pub scaled: usize,
    /// Rectangles of the canvas that were drawn; with none, the canvas is as it was.
    pub rects: usize,
}

/// A picture made of tiles, the first at the back, and overlays in front, that draws only what changed.
///
/// A tile whose source has the generation of the last time costs nothing unless something that shares pixels with
/// it changed; then it is drawn from a scaled copy that is kept for tiles which overlap. The canvas after
/// [`Self::compose`] depends on the tiles, overlays and sources of now only, not on what was drawn before.
/// Memory: the canvas, one copy of each overlapping or translucent tile, and filter tables.
#[derive(Debug)]
pub struct Canvas {
    picture: PictureBuffer,
    colour: Colour,
    background: Rgb,
    /// In front of the background's colour, as large as the canvas.
    background_picture: Option<PictureBuffer>,
    level: Level,
    tiles: Vec<TileState>,
    overlays: Vec<OverlayState>,
    /// What must be drawn though no source changed.
    pending: Vec<Rect>,
    /// Where overlays alone changed, and what is under them is kept.
    retouch: Vec<usize>,
    row: Vec<i32>,
}

#[derive(Debug)]
struct OverlayState {
    overlay: Arc<Overlay>,
    /// What the canvas has there without overlays, once this one has changed in its place.
    under: Option<PictureBuffer>,
}

#[derive(Debug)]
struct TileState {
    tile: Tile,
    /// What was on the canvas last.
    shown: Look,
    /// Where the picture of now goes.
    placement: Placement,
    scaler: Option<Scaler>,
    /// Whether it can have to be drawn without a change of its own.
    keep: bool,
    /// The window's content, when it is kept.
    kept: Option<PictureBuffer>,
    /// What `kept` holds.
    kept_look: Look,
}

/// A source without its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Nothing,
    Colour(Rgb),
    Picture { generation: u64, size: Size, colour: Colour },
}

impl Canvas {
    /// A canvas without tiles, whose samples are of `colour`.
    ///
    /// # Errors
    /// [`ComposeError::Odd`] for a size with an odd side, [`ComposeError::TooLarge`] for one over the limit.
    pub fn new(size: Size, colour: Colour, background: Rgb, level: Level) -> Result<Self, ComposeError> {
        let whole = Rect::whole(size);
        if !whole.is_even() {
            return Err(ComposeError::Odd { rect: whole });
        }
        Ok(Self {
            picture: PictureBuffer::new(size)?,
            colour,
            background,
            background_picture: None,
            level,
            tiles: Vec::new(),
            overlays: Vec::new(),
            pending: vec![whole],
            retouch: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Whether a canvas of `size` takes these tiles.
    ///
    /// # Errors
    /// As [`Self::set_tiles`].
    pub fn check_tiles(size: Size, tiles: &[Tile]) -> Result<(), ComposeError> {
        for rect in tiles.iter().map(|tile| tile.window) {
            if !rect.is_even() {
                return Err(ComposeError::Odd { rect });
            }
            if !rect.fits(size) {
                return Err(ComposeError::Outside { rect, size });
            }
        }
        Ok(())
    }

    /// Replaces all tiles, in order from back to front. A tile that was at the same index before keeps its tables
    /// and scaled copy. Everything is drawn by the next [`Self::compose`].
    ///
    /// # Errors
    /// [`ComposeError::Odd`] or [`ComposeError::Outside`] for a window; the tiles are those of before.
    pub fn set_tiles(&mut self, tiles: &[Tile]) -> Result<(), ComposeError> {
        let size = self.picture.size();
        Self::check_tiles(size, tiles)?;
        let mut before = std::mem::take(&mut self.tiles).into_iter();
        for (index, tile) in tiles.iter().enumerate() {
            // Without a change of its own, a tile is drawn when one behind it changes, or a translucent one before.
            let keep = tile.opacity < 255
                || tiles.iter().enumerate().any(|(other, above)| {
                    other != index
                        && above.window.overlaps(tile.window)
                        && (other < index || above.opacity < 255 || above.bars.is_none())
                });
            let old = before.next().filter(|old| old.tile == *tile);
            let mut state = old.unwrap_or_else(|| TileState::new(*tile));
            state.keep = keep;
            if !keep {
                state.kept = None;
                state.kept_look = Look::Nothing;
            }
            self.tiles.push(state);
        }
        self.pending = vec![Rect::whole(size)];
        Ok(())
    }

    /// Puts a picture between the background's colour, which fills what the picture leaves of the canvas, and all
    /// tiles; `None` takes it away. It is scaled once. Everything is drawn by the next [`Self::compose`].
    pub fn set_background_picture(&mut self, picture: Option<(Picture<'_>, Colour)>, mode: RenderMode) {
        let size = self.picture.size();
        let whole = Rect::whole(size);
        self.background_picture = picture.map(|(picture, colour)| {
            let source = Source::Picture { picture, colour, generation: 0 };
            let mut state = TileState::new(Tile::new(whole).with_mode(mode).with_bars(Some(self.background)));
            state.show(Look::of(&source));
            let mut drawn = PictureBuffer::new(size).expect("the canvas is within the limit");
            let mut painter =
                Painter { colour: self.colour, level: self.level, row: &mut self.row, scaled: &mut 0 };
            state.paint(&source, &mut drawn, whole, &mut painter);
            drawn
        });
        self.pending = vec![whole];
    }

    /// Replaces all overlays, in order from back to front. Where one came, went or is another is drawn anew.
    ///
    /// One that is replaced by another of the same rectangle again and again, such as a clock, costs what it covers:
    /// from the second time on, what is under it is kept.
    pub fn set_overlays(&mut self, overlays: Vec<Arc<Overlay>>) {
        let whole = Rect::whole(self.picture.size());
        let mut before = std::mem::take(&mut self.overlays).into_iter();
        for (index, overlay) in overlays.into_iter().enumerate() {
            let old = before.next();
            let rect = overlay.rect().intersection(whole);
            let under = match old {
                Some(old) if Arc::ptr_eq(&old.overlay, &overlay) => old.under,
                Some(OverlayState { overlay: last, under: Some(under) }) if last.rect() == overlay.rect() => {
                    self.retouch.push(index);
                    Some(under)
                }
                old => {
                    let stays = old.as_ref().is_some_and(|old| old.overlay.rect() == overlay.rect());
                    self.pending.extend(old.and_then(|old| old.overlay.rect().intersection(whole)));
                    self.pending.extend(rect);
                    let size = rect.filter(|_| stays).map(Rect::size);
                    size.map(|size| {
                        PictureBuffer::new(size).expect("a part of the canvas is within the limit")
                    })
                }
            };
            self.overlays.push(OverlayState { overlay, under });
        }
        self.pending.extend(before.filter_map(|old| old.overlay.rect().intersection(whole)));
    }

    /// Shows `sources`, one for each tile in the same order.
    ///
    /// # Errors
    /// [`ComposeError::SourceCount`] if there are more or fewer; nothing was drawn.
    pub fn compose(&mut self, sources: &[Source<'_>]) -> Result<Composed, ComposeError> {
        if sources.len() != self.tiles.len() {
            return Err(ComposeError::SourceCount { expected: self.tiles.len(), got: sources.len() });
        }
        let mut changed = Vec::new();
        for (index, (tile, source)) in self.tiles.iter_mut().zip(sources).enumerate() {
            let look = Look::of(source);
            if look != tile.shown {
                tile.show(look);
                changed.push(index);
            }
        }
        let mut dirty = std::mem::take(&mut self.pending);
        // What is hidden is not drawn, whatever it shows.
        let windows = changed.into_iter().map(|index| (index, self.tiles[index].tile.window));
        dirty.extend(windows.filter(|(index, rect)| self.bottom(*rect) <= *index).map(|(_, rect)| rect));
        let rects = self.settle(dirty);
        let retouched = self.retouch(&rects);
        let mut composed = Composed { scaled: 0, rects: rects.len() + retouched };
        for rect in rects {
            self.draw(rect, sources, &mut composed.scaled);
        }
        Ok(composed)
    }

    /// The canvas as the last [`Self::compose`] left it.
    #[must_use]
    pub fn picture(&self) -> Picture<'_> {
        self.picture.as_picture()
    }

    /// What its samples mean.
    #[must_use]
    pub const fn colour(&self) -> Colour {
        self.colour
    }

    /// Grows rectangles until each holds the whole window of every tile that must be scaled to draw it, and drops
    /// those inside others.
    fn settle(&self, mut rects: Vec<Rect>) -> Vec<Rect> {
        let mut settled: Vec<Rect> = Vec::with_capacity(rects.len());
        while let Some(mut rect) = rects.pop() {
            while let Some(window) = self.tiles[self.bottom(rect)..]
                .iter()
                .filter(|tile| !tile.keep && tile.shown != Look::Nothing)
                .map(|tile| tile.tile.window)
                .find(|window| window.overlaps(rect) && !rect.contains(*window))
            {
                rect = around(rect, window);
            }
            if !settled.iter().any(|other| other.contains(rect)) {
                settled.retain(|other| !rect.contains(*other));
                settled.push(rect);
            }
        }
        settled
    }

    /// The frontmost tile that hides all that is behind it in `rect`; 0 if none does.
    fn bottom(&self, rect: Rect) -> usize {
        self.tiles.iter().rposition(|tile| tile.hides(rect)).unwrap_or(0)
    }

    /// Draws the overlays that alone changed over what is kept under them, but for those inside `drawn`, which is drawn
    /// later. How many that were.
    fn retouch(&mut self, drawn: &[Rect]) -> usize {
        let Self { picture, overlays, level, retouch, .. } = self;
        let whole = Rect::whole(picture.size());
        let mut count = 0;
        retouch.sort_unstable();
        retouch.dedup();
        for changed in retouch.drain(..).filter_map(|index| overlays.get(index)) {
            let Some(rect) = changed.overlay.rect().intersection(whole) else { continue };
            let Some(under) = &changed.under else { continue };
            if drawn.iter().any(|drawn| drawn.contains(rect)) {
                continue;
            }
            picture.copy_from(under.as_picture(), Rect::whole(rect.size()), rect);
            for state in overlays.iter() {
                state.overlay.blend_checked(picture, rect, *level);
            }
            count += 1;
        }
        count
    }

    fn draw(&mut self, rect: Rect, sources: &[Source<'_>], scaled: &mut usize) {
        let bottom = self.bottom(rect);
        if !self.tiles.get(bottom).is_some_and(|tile| tile.hides(rect)) {
            match &self.background_picture {
                Some(background) => self.picture.copy_from(background.as_picture(), rect, rect),
                None => self.picture.fill_checked(rect, self.colour.samples(self.background)),
            }
        }
        let whole = Rect::whole(self.picture.size());
        let Self { picture, colour, level, tiles, overlays, row, .. } = self;
        for (tile, source) in tiles.iter_mut().zip(sources).skip(bottom) {
            let window = tile.tile.window;
            let Some(part) = rect.intersection(window) else { continue };
            let mut painter = Painter { colour: *colour, level: *level, row, scaled };
            if tile.keep {
                tile.update(source, &mut painter);
                tile.blend(picture, part, *level);
            } else {
                tile.paint(source, picture, window, &mut painter);
            }
        }
        for OverlayState { overlay, under } in overlays.iter_mut() {
            let place = overlay.rect().intersection(whole);
            let part = place.and_then(|place| Some((place, place.intersection(rect)?)));
            if let (Some(under), Some((place, part))) = (under, part) {
                under.copy_from(picture.as_picture(), part, part.relative_to(place));
            }
        }
        for state in overlays.iter() {
            state.overlay.blend_checked(picture, rect, *level);
        }
    }
}

/// What painting needs beside the tile.
struct Painter<'a> {
    colour: Colour,
    level: Level,
    row: &'a mut Vec<i32>,
    scaled: &'a mut usize,
}

impl TileState {
    fn new(tile: Tile) -> Self {
        Self {
            tile,
            shown: Look::Nothing,
            placement: Placement { source: tile.window, target: tile.window },
            scaler: None,
            keep: false,
            kept: None,
            kept_look: Look::Nothing,
        }
    }

    fn show(&mut self, look: Look) {
        self.shown = look;
        if let Look::Picture { size, .. } = look {
            self.placement = Placement::new(size, self.tile.window, self.tile.mode);
        }
    }

    /// What the tile draws on.
    fn drawn(&self) -> Option<Rect> {
        match self.shown {
            Look::Nothing => None,
            Look::Picture { .. } if self.tile.bars.is_none() => Some(self.placement.target),
            _ => Some(self.tile.window),
        }
    }

    /// Whether nothing behind it is seen in `rect`.
    fn hides(&self, rect: Rect) -> bool {
        self.tile.opacity == 255 && self.drawn().is_some_and(|drawn| drawn.contains(rect))
    }

    /// Draws the source at full opacity, the window at `at`.
    fn paint(&mut self, source: &Source<'_>, onto: &mut PictureBuffer, at: Rect, painter: &mut Painter<'_>) {
        let (picture, colour) = match *source {
            Source::Nothing => return,
            Source::Colour(rgb) => return onto.fill_checked(at, painter.colour.samples(rgb)),
            Source::Picture { picture, colour, .. } => (picture, colour),
        };
        let Placement { source: from, target } = self.placement;
        let inner = target.relative_to(self.tile.window);
        let to = Rect::between(
            at.left() + inner.left(),
            at.top() + inner.top(),
            at.left() + inner.right(),
            at.top() + inner.bottom(),
        )
        .expect("the target lies in the window");
        if let Some(bars) = self.tile.bars {
            fill_around(onto, at, to, painter.colour.samples(bars));
        }
        let fits = |scaler: &&mut Scaler| scaler.source() == from.size() && scaler.target() == to.size();
        let scaler = match self.scaler.as_mut().filter(fits) {
            Some(_) => self.scaler.as_mut(),
            None => {
                let made = Scaler::new(from.size(), to.size(), painter.level);
                Some(self.scaler.insert(made.expect("parts of pictures are within the limit")))
            }
        };
        scaler.expect("found or made").scale_checked(picture, from, onto, to);
        *painter.scaled += 1;
        if let Some(conversion) = Conversion::between(colour, painter.colour) {
            conversion.apply(onto, to, painter.level, painter.row);
        }
    }

    /// Brings the kept copy up to date.
    fn update(&mut self, source: &Source<'_>, painter: &mut Painter<'_>) {
        if self.shown == Look::Nothing || (self.kept.is_some() && self.kept_look == self.shown) {
            return;
        }
        let size = self.tile.window.size();
        let mut kept = self
            .kept
            .take()
            .unwrap_or_else(|| PictureBuffer::new(size).expect("a part of the canvas is within the limit"));
        self.paint(source, &mut kept, Rect::whole(size), painter);
        self.kept = Some(kept);
        self.kept_look = self.shown;
    }

    /// Draws what the kept copy has inside `part` of the canvas.
    fn blend(&self, onto: &mut PictureBuffer, part: Rect, level: Level) {
        let (Some(kept), Some(drawn)) = (&self.kept, self.drawn()) else { return };
        let Some(part) = part.intersection(drawn) else { return };
        let from = part.relative_to(self.tile.window);
        match self.tile.opacity {
            0 => {}
            255 => onto.copy_from(kept.as_picture(), from, part),
            opacity => {
                for index in 0..3 {
                    let source = kept.as_picture().view(index, from);
                    let mut target = onto.view_mut(index, part);
                    for y in 0..target.height {
                        level.fade_row(target.row(y), source.row(y), opacity);
                    }
                }
            }
        }
    }
}

impl Look {
    fn of(source: &Source<'_>) -> Self {
        match *source {
            Source::Nothing => Self::Nothing,
            Source::Colour(rgb) => Self::Colour(rgb),
            Source::Picture { picture, colour, generation } => {
                Self::Picture { generation, size: picture.size(), colour }
            }
        }
    }
}

/// The smallest rectangle that holds both.
fn around(a: Rect, b: Rect) -> Rect {
    let (left, top) = (a.left().min(b.left()), a.top().min(b.top()));
    Rect::between(left, top, a.right().max(b.right()), a.bottom().max(b.bottom())).expect("neither is empty")
}

/// Fills what `outer` has around `inner`.
fn fill_around(picture: &mut PictureBuffer, outer: Rect, inner: Rect, with: Yuv) {
    let (left, right) = (outer.left(), outer.right());
    let bars = [
        Rect::between(left, outer.top(), right, inner.top()),
        Rect::between(left, inner.bottom(), right, outer.bottom()),
        Rect::between(left, inner.top(), inner.left(), inner.bottom()),
        Rect::between(inner.right(), inner.top(), right, inner.bottom()),
    ];
    for bar in bars.into_iter().flatten() {
        picture.fill_checked(bar, with);
    }
}
