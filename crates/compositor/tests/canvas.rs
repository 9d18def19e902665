//! The canvas draws only what changed, and what it shows does not depend on what was drawn before.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use proptest::prelude::*;
use recorder_compositor::{
    Canvas, Colour, ComposeError, Level, Overlay, Picture, Rect, RenderMode, Rgb, Source, Tile,
};
use recorder_types::Size;

const CANVAS: (u32, u32) = (320, 180);

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

fn rect(left: u32, top: u32, width: u32, height: u32) -> Rect {
    Rect::new(left, top, size(width, height)).unwrap()
}

fn canvas() -> Canvas {
    Canvas::new(size(CANVAS.0, CANVAS.1), Colour::default(), Rgb::new(20, 120, 60), Level::detect()).unwrap()
}

fn bytes(canvas: &Canvas) -> Vec<u8> {
    canvas.picture().planes().iter().flat_map(|plane| plane.data).copied().collect()
}

/// A picture of stripes that differ by generation.
fn picture(size: Size, generation: u64) -> Vec<u8> {
    let len = (size.width() * size.height() * 3 / 2) as usize;
    let step = usize::try_from(generation * 2 + 1).unwrap();
    (0..len).map(|k| u8::try_from(k * step % 251).unwrap()).collect()
}

/// What a tile may show at one time.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Nothing,
    Colour,
    Picture { wide: bool, generation: u64 },
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        Just(Shown::Nothing),
        Just(Shown::Colour),
        (any::<bool>(), 0u64..3).prop_map(|(wide, generation)| Shown::Picture { wide, generation }),
        (any::<bool>(), 0u64..3).prop_map(|(wide, generation)| Shown::Picture { wide, generation }),
    ]
}

fn tile() -> impl Strategy<Value = Tile> {
    let window = (0u32..140, 0u32..80, 1u32..160, 1u32..90).prop_map(|(x, y, w, h)| {
        let (w, h) = (w.min(CANVAS.0 / 2 - x), h.min(CANVAS.1 / 2 - y));
        rect(2 * x, 2 * y, 2 * w, 2 * h)
    });
    let opacity = prop_oneof![Just(255u8), Just(255), any::<u8>()];
    (window, 0u8..4, opacity, any::<bool>()).prop_map(|(window, mode, opacity, bars)| {
        Tile::new(window)
            .with_mode(RenderMode::from_code(mode).unwrap())
            .with_opacity(opacity)
            .with_bars(bars.then_some(Rgb::BLACK))
    })
}

fn compose(canvas: &mut Canvas, shown: &[Shown]) {
    let (wide, tall) = (size(64, 36), size(36, 64));
    let pictures: Vec<_> = (0..3).map(|k| (picture(wide, k), picture(tall, k))).collect();
    let sources: Vec<_> = shown
        .iter()
        .map(|shown| match *shown {
            Shown::Nothing => Source::Nothing,
            Shown::Colour => Source::Colour(Rgb::new(200, 30, 30)),
            Shown::Picture { wide: is_wide, generation } => {
                let (a, b) = &pictures[usize::try_from(generation).unwrap()];
                let (size, data) = if is_wide { (wide, a) } else { (tall, b) };
                let colour = Colour::implied_by(size);
                Source::Picture { picture: Picture::packed(size, data).unwrap(), colour, generation }
            }
        })
        .collect();
    canvas.compose(&sources).unwrap();
}

fn overlay(left: u32, top: u32) -> Arc<Overlay> {
    striped_overlay(left, top, 0)
}

fn striped_overlay(left: u32, top: u32, step: u32) -> Arc<Overlay> {
    let alpha = |k: u32| u8::try_from((k + 50 * step) % 256).unwrap();
    let rgba: Vec<u8> = (0..40 * 12).flat_map(|k: u32| [255, 0, 0, alpha(k)]).collect();
    Overlay::from_rgba(&rgba, size(40, 12), left, top, Colour::default()).unwrap().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn drawing_what_changed_gives_what_drawing_all_gives(
        tiles in prop::collection::vec(tile(), 0..6),
        steps in prop::collection::vec((prop::collection::vec(shown(), 6), 0usize..4), 1..8),
    ) {
        let still = [overlay(5, 7), overlay(290, 170), overlay(100, 60)];
        let background = picture(size(30, 50), 7);
        let background = Picture::packed(size(30, 50), &background).unwrap();
        let mut kept = canvas();
        kept.set_tiles(&tiles).unwrap();
        for (step, (shown, count)) in (0u32..).zip(steps) {
            let mut overlays = still[..count.min(3)].to_vec();
            if count > 0 {
                // Two that move over others, one of them each step.
                overlays.insert(count.min(1), striped_overlay(20, 10, step));
                overlays.push(striped_overlay(301, 165, step / 2));
            }
            let behind = (step > 2).then_some((background, Colour::default()));
            if step == 3 {
                kept.set_background_picture(behind, RenderMode::Fit);
            }
            kept.set_overlays(overlays.clone());
            compose(&mut kept, &shown[..tiles.len()]);
            let mut new = canvas();
            new.set_tiles(&tiles).unwrap();
            new.set_background_picture(behind, RenderMode::Fit);
            new.set_overlays(overlays);
            compose(&mut new, &shown[..tiles.len()]);
            prop_assert!(bytes(&kept) == bytes(&new));
        }
    }
}

#[test]
fn unchanged_tiles_cost_nothing() {
    let camera = size(64, 36);
    let data = picture(camera, 0);
    let source = |generation| Source::Picture {
        picture: Picture::packed(camera, &data).unwrap(),
        colour: Colour::default(),
        generation,
    };
    let mut canvas = canvas();
    let grid: Vec<_> = (0..25).map(|k| Tile::new(rect(k % 5 * 64, k / 5 * 36, 64, 36))).collect();
    canvas.set_tiles(&grid).unwrap();
    let mut sources = vec![source(0); 25];
    assert_eq!(canvas.compose(&sources).unwrap().scaled, 25);
    let composed = canvas.compose(&sources).unwrap();
    assert_eq!((composed.scaled, composed.rects), (0, 0));
    sources[12] = source(1);
    let composed = canvas.compose(&sources).unwrap();
    assert_eq!((composed.scaled, composed.rects), (1, 1));

    // Floating: a small tile over a large one is copied, not scaled, when the large one changes.
    canvas.set_tiles(&[Tile::new(rect(0, 0, 320, 180)), Tile::new(rect(8, 8, 64, 36))]).unwrap();
    assert_eq!(canvas.compose(&[source(0), source(0)]).unwrap().scaled, 2);
    assert_eq!(canvas.compose(&[source(1), source(0)]).unwrap().scaled, 1);
    assert_eq!(canvas.compose(&[source(1), source(1)]).unwrap().scaled, 1);

    // What is hidden is not drawn.
    canvas.set_tiles(&[Tile::new(rect(8, 8, 64, 36)), Tile::new(rect(0, 0, 320, 180))]).unwrap();
    assert_eq!(canvas.compose(&[source(0), source(0)]).unwrap().scaled, 1);
    assert_eq!(canvas.compose(&[source(1), source(0)]).unwrap().rects, 0);
}

#[test]
fn an_overlay_that_changes_in_its_place_costs_no_tile() {
    let camera = size(64, 36);
    let data = picture(camera, 0);
    let picture = Picture::packed(camera, &data).unwrap();
    let source = Source::Picture { picture, colour: Colour::default(), generation: 0 };
    let mut canvas = canvas();
    canvas.set_tiles(&[Tile::new(rect(0, 0, 320, 180))]).unwrap();
    let mut scaled = Vec::new();
    for step in 0..5 {
        canvas.set_overlays(vec![striped_overlay(21, 11, step), overlay(100, 60)]);
        let composed = canvas.compose(&[source]).unwrap();
        scaled.push((composed.scaled, composed.rects));
    }
    // The second overlay is new each time too, as another `Arc` is.
    assert_eq!(scaled, [(1, 1), (1, 1), (0, 2), (0, 2), (0, 2)]);
}

#[test]
fn faults_of_the_caller_change_nothing() {
    let mut canvas = canvas();
    canvas.set_tiles(&[Tile::new(rect(0, 0, 64, 36))]).unwrap();
    for (window, odd) in
        [(rect(1, 0, 64, 36), true), (rect(0, 0, 64, 35), true), (rect(300, 0, 64, 36), false)]
    {
        match canvas.set_tiles(&[Tile::new(window)]) {
            Err(ComposeError::Odd { rect }) => assert!(odd && rect == window),
            Err(ComposeError::Outside { rect, .. }) => assert!(!odd && rect == window),
            other => panic!("{other:?}"),
        }
    }
    let error = canvas.compose(&[]).unwrap_err();
    assert_eq!(error, ComposeError::SourceCount { expected: 1, got: 0 });
    assert!(canvas.compose(&[Source::Nothing]).is_ok());
    assert!(Canvas::new(size(3, 2), Colour::default(), Rgb::BLACK, Level::SCALAR).is_err());
}

#[test]
fn red_stays_red_and_the_background_is_the_background() {
    let mut canvas = canvas();
    canvas.set_tiles(&[Tile::new(rect(64, 36, 64, 36)).with_mode(RenderMode::Fit)]).unwrap();
    let camera = size(320, 240);
    let bt601 = Colour::implied_by(camera);
    let red = bt601.samples(Rgb::new(255, 0, 0));
    let quarter = 320 * 240 / 4;
    let data = [vec![red.y; 4 * quarter], vec![red.u; quarter], vec![red.v; quarter]].concat();
    let picture = Picture::packed(camera, &data).unwrap();
    canvas.compose(&[Source::Picture { picture, colour: bt601, generation: 0 }]).unwrap();
    let at = |x: usize, y: usize| {
        let planes = canvas.picture();
        let [y_plane, u, v] = planes.planes();
        [y_plane.data[y * 320 + x], u.data[y / 2 * 160 + x / 2], v.data[y / 2 * 160 + x / 2]]
    };
    let samples = |rgb| {
        let samples = Colour::default().samples(rgb);
        [samples.y, samples.u, samples.v]
    };
    assert_eq!(at(0, 0), samples(Rgb::new(20, 120, 60)));
    assert_eq!(at(64, 36), samples(Rgb::BLACK), "bars beside 4:3 in 16:9");
    for (got, expected) in at(96, 50).into_iter().zip(samples(Rgb::new(255, 0, 0))) {
        assert!(got.abs_diff(expected) <= 2, "{got} for {expected}");
    }
}

#[test]
fn an_opaque_overlay_is_its_colour_up_to_its_borders() {
    let colour = Colour::default();
    let overlay =
        Overlay::from_rgba(&[255, 0, 0, 255].repeat(32 * 16), size(32, 16), 40, 20, colour).unwrap();
    assert_eq!(overlay.rect(), rect(40, 20, 32, 16));
    let mut canvas = canvas();
    canvas.set_overlays(vec![overlay.into()]);
    canvas.compose(&[]).unwrap();
    let (red, green) = (colour.samples(Rgb::new(255, 0, 0)), colour.samples(Rgb::new(20, 120, 60)));
    let picture = canvas.picture();
    for (index, (inside, outside)) in
        [(red.y, green.y), (red.u, green.u), (red.v, green.v)].into_iter().enumerate()
    {
        let shift = usize::from(index > 0);
        for (k, got) in picture.planes()[index].data.iter().enumerate() {
            let (x, y) = ((k % (320 >> shift)) << shift, (k / (320 >> shift)) << shift);
            let within = (40..72).contains(&x) && (20..36).contains(&y);
            assert_eq!(*got, if within { inside } else { outside }, "plane {index} at {x}, {y}");
        }
    }
    assert!(Overlay::from_rgba(&[0; 15], size(2, 2), 0, 0, colour).is_err());
}
