//! Who is in which window.

use proptest::prelude::*;
use recorder_layout::{
    Arrangement, AudioOnlyUsers, Content, CustomWindow, ImageUrl, LargeSide, LayoutError, LayoutParams,
    Participant, Placeholders, Publishes, RenderMode, StreamId, Template, Transparency, arrange,
};
use recorder_types::{MediaId, Size};

fn canvas() -> Size {
    Size::new(1280, 720).expect("valid")
}

fn stream(user: &str, media: MediaId) -> StreamId {
    StreamId { user: user.parse().expect("valid"), media }
}

fn person(user: &str, entered: u64) -> Participant {
    Participant::new(user.parse().expect("valid"), MediaId::Main, entered, Publishes::Video)
}

fn screen(user: &str, entered: u64) -> Participant {
    Participant::new(user.parse().expect("valid"), MediaId::Aux, entered, Publishes::Video)
}

fn voice(user: &str, entered: u64) -> Participant {
    Participant::new(user.parse().expect("valid"), MediaId::Main, entered, Publishes::AudioOnly)
}

fn image(url: &str) -> ImageUrl {
    url.parse().expect("valid")
}

/// `a` video, `(a)` audio only, `a?` named and absent, `-` nobody; `+aux` for a substream. From back to front.
fn told(arrangement: &Arrangement) -> String {
    let name = |stream: &StreamId| match stream.media {
        MediaId::Main => stream.user.to_string(),
        MediaId::Aux => format!("{}+aux", stream.user),
    };
    let one = |window: &recorder_layout::Window| match &window.content {
        Content::Video(stream) => name(stream),
        Content::AudioOnly(stream) => format!("({})", name(stream)),
        Content::Absent(stream) => format!("{}?", name(stream)),
        _ => "-".to_owned(),
    };
    arrangement.windows.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn floating(large: Option<StreamId>) -> Template {
    Template::Floating { large }
}

fn share(large: Option<StreamId>) -> Template {
    Template::ScreenShare { large, side: LargeSide::Left }
}

#[test]
fn windows_are_filled_by_entry_and_the_large_one_by_name() {
    let aux = |user| Some(stream(user, MediaId::Aux));
    let main = |user| Some(stream(user, MediaId::Main));
    let room = [screen("b", 1), person("b", 1), person("a", 2), voice("c", 0)];
    let nobody: &[Participant] = &[];
    for (template, room, hidden, expected) in [
        (Template::Grid, &room[..], false, "(c) b b+aux a"),
        (Template::Grid, &room, true, "b b+aux a"),
        (floating(None), &room, false, "(c) b b+aux a"),
        (floating(None), &room, true, "b b+aux a"),
        (floating(main("a")), &room, false, "a (c) b b+aux"),
        (floating(aux("b")), &room, false, "b+aux (c) b a"),
        (floating(main("z")), &room, false, "z? (c) b b+aux a"),
        (share(None), &room, false, "- (c) b b+aux a"),
        (share(None), &room, true, "- b b+aux a"),
        (share(aux("b")), &room, false, "b+aux (c) b a"),
        (share(aux("a")), &room, false, "a+aux? (c) b b+aux a"),
        (share(main("c")), &room, false, "(c) b b+aux a"),
        (share(main("c")), &room, true, "c? b b+aux a"),
        (Template::Grid, nobody, false, ""),
        (floating(None), nobody, false, ""),
        (floating(main("a")), nobody, false, "a?"),
        (share(None), nobody, false, "-"),
    ] {
        let audio_only = if hidden { AudioOnlyUsers::Hidden } else { AudioOnlyUsers::Window };
        let params = LayoutParams::new(template).with_audio_only(audio_only);
        let got = arrange(&params, canvas(), room).unwrap();
        assert_eq!(told(&got), expected, "{:?}, hidden: {hidden}", params.template);
    }
}

#[test]
fn ties_of_entry_go_by_user_id() {
    let got = arrange(&LayoutParams::default(), canvas(), &[person("b", 7), person("a", 7), person("c", 6)]);
    assert_eq!(told(&got.unwrap()), "c a b");
}

#[test]
fn the_earliest_25_are_shown_and_the_named_one_whenever_it_came() {
    let room: Vec<_> = (0..30).map(|i| person(&format!("u{i:02}"), i)).collect();
    let last = |template| {
        let got = arrange(&LayoutParams::new(template), canvas(), &room).unwrap();
        assert_eq!(got.windows.len(), 25);
        (
            told(&got).split(' ').next().unwrap().to_owned(),
            told(&got).split(' ').next_back().unwrap().to_owned(),
        )
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(last(Template::Grid), pair("u00", "u24"));
    assert_eq!(last(floating(None)), pair("u00", "u24"));
    assert_eq!(last(floating(Some(stream("u29", MediaId::Main)))), pair("u29", "u23"));
    assert_eq!(last(share(None)), pair("-", "u23"));
}

#[test]
fn a_custom_layout_names_streams_or_takes_the_next_to_enter() {
    let at = |x| CustomWindow::new(x, 0, 100, 100);
    let user = |id: &str| id.parse().unwrap();
    let list = vec![
        at(0).with_layer(2), // next main: a is named elsewhere, so c
        at(50).with_user(user("a"), MediaId::Aux).with_layer(1), // a's screen
        at(100).with_user(user("gone"), MediaId::Main), // absent
        at(150),             // next main: d, audio only
        at(200),             // nobody left
        at(250).with_user(user("a"), MediaId::Aux).with_layer(-1), // the same stream again
    ];
    let room = [person("a", 0), screen("a", 0), person("c", 1), voice("d", 2)];
    let params = LayoutParams::new(Template::Custom(list)).with_audio_only(AudioOnlyUsers::Hidden);
    let got = arrange(&params, canvas(), &room).unwrap();
    assert_eq!(told(&got), "a+aux gone? (d) - a+aux c");
    let cells: Vec<_> = got.windows.iter().map(|window| window.cell).collect();
    assert_eq!(cells, [5, 2, 3, 4, 1, 0]);
}

#[test]
fn borders_of_custom_windows_are_rounded_down_to_even_and_still_touch() {
    let list = vec![
        CustomWindow::new(1, 3, 100, 50),
        CustomWindow::new(101, 3, 9, 50),
        CustomWindow::new(4, 4, 1, 9),
    ];
    let got =
        arrange(&LayoutParams::new(Template::Custom(list)), canvas(), &[person("a", 0), person("b", 1)])
            .unwrap();
    let rects: Vec<_> =
        got.windows.iter().map(|w| (w.rect.left(), w.rect.top(), w.rect.right(), w.rect.bottom())).collect();
    assert_eq!(rects, [(0, 2, 100, 52), (100, 2, 110, 52)]); // the third has no pixel left
}

#[test]
fn images_and_fitting_are_handed_on() {
    let own = image("https://h/own.png");
    let of_all = image("https://h/all.png");
    let list = vec![
        CustomWindow::new(0, 0, 10, 10).with_placeholder(Some(own.clone())).with_alpha(Transparency::new(55)),
        CustomWindow::new(10, 0, 10, 10)
            .with_user("gone".parse().unwrap(), MediaId::Main)
            .with_mode(RenderMode::Fit),
        CustomWindow::new(20, 0, 10, 10),
    ];
    for (placeholders, absent) in
        [(Placeholders::PublishersOnly, None), (Placeholders::AllNamed, Some(of_all.clone()))]
    {
        let params = LayoutParams::new(Template::Custom(list.clone()))
            .with_placeholder_image(Some(of_all.clone()), placeholders)
            .with_background_image(Some(own.clone()), RenderMode::Stretch)
            .with_background("#102030".parse().unwrap())
            .with_mode(RenderMode::SmartStretch); // of templates only
        let got = arrange(&params, canvas(), &[voice("a", 0)]).unwrap();
        let images: Vec<_> = got.windows.iter().map(|w| w.placeholder.clone()).collect();
        assert_eq!(images, [Some(own.clone()), absent, None]);
        assert_eq!(got.windows[0].alpha.opacity(), 200);
        assert_eq!([got.windows[0].mode, got.windows[1].mode], [RenderMode::Crop, RenderMode::Fit]);
        assert_eq!(
            (got.background_image, got.background_image_mode),
            (Some(own.clone()), RenderMode::Stretch)
        );
        assert_eq!(got.background.to_string(), "#102030");

        let grid = LayoutParams::default().with_placeholder_image(Some(of_all.clone()), placeholders);
        let got = arrange(&grid.with_mode(RenderMode::Fit), canvas(), &[voice("a", 0)]).unwrap();
        assert_eq!(
            (got.windows[0].placeholder.as_ref(), got.windows[0].mode),
            (Some(&of_all), RenderMode::Fit)
        );
    }
}

#[test]
fn a_stream_listed_twice_an_odd_canvas_and_26_windows_are_refused() {
    let twice = arrange(&LayoutParams::default(), canvas(), &[person("a", 0), person("a", 1)]);
    assert!(matches!(twice, Err(LayoutError::DuplicateStream { media: MediaId::Main, .. })));
    let odd = Size::new(1279, 720).unwrap();
    assert_eq!(arrange(&LayoutParams::default(), odd, &[]), Err(LayoutError::OddCanvas { canvas: odd }));
    let list = vec![CustomWindow::new(0, 0, 2, 2); 26];
    let many = arrange(&LayoutParams::new(Template::Custom(list)), canvas(), &[]);
    assert_eq!(many, Err(LayoutError::TooManyWindows { got: 26 }));
}

fn rooms() -> impl Strategy<Value = Vec<Participant>> {
    let one = (0u32..40, any::<bool>(), any::<bool>());
    prop::collection::hash_map(one.clone().prop_map(|(id, aux, _)| (id, aux)), (0u64..5, one), 0..40)
        .prop_map(|room| {
            room.into_iter()
                .map(|((id, aux), (entered, (_, video, _)))| {
                    let media = if aux { MediaId::Aux } else { MediaId::Main };
                    let publishes = if video { Publishes::Video } else { Publishes::AudioOnly };
                    Participant::new(format!("u{id}").parse().expect("valid"), media, entered, publishes)
                })
                .collect()
        })
}

proptest! {
    /// The order of the list, in which hash maps and event order show, does not matter.
    #[test]
    fn the_order_of_the_list_does_not_matter(room in rooms(), turn in 0usize..40, which in 0usize..4) {
        let template = [
            Template::Grid,
            floating(None),
            share(Some(stream("u1", MediaId::Aux))),
            Template::Custom((0..9).map(|i| CustomWindow::new(i * 10, 0, 30, 30)).collect()),
        ][which].clone();
        let params = LayoutParams::new(template);
        let mut other = room.clone();
        other.reverse();
        if !other.is_empty() {
            let by = turn % other.len();
            other.rotate_left(by);
        }
        let got = arrange(&params, canvas(), &room).unwrap();
        prop_assert_eq!(&got, &arrange(&params, canvas(), &other).unwrap());
        // Nobody is in two windows of a template, and somebody who stays keeps the place before those behind.
        let mut shown: Vec<_> = got.windows.iter().filter_map(|w| w.content.stream()).collect();
        let all = shown.len();
        shown.sort();
        shown.dedup();
        prop_assert_eq!(shown.len(), all);
    }

    /// Who comes or goes changes nothing in the order of the others.
    #[test]
    fn the_others_keep_their_order(room in rooms(), gone in 0usize..40, which in 0usize..3) {
        let template = [Template::Grid, floating(None), share(None)][which].clone();
        let params = LayoutParams::new(template);
        let shown = |room: &[Participant]| -> Vec<StreamId> {
            let got = arrange(&params, canvas(), room).unwrap();
            got.windows.iter().filter_map(|w| w.content.stream().cloned()).collect()
        };
        let before = shown(&room);
        let mut rest = room.clone();
        if !rest.is_empty() {
            rest.swap_remove(gone % room.len());
        }
        let after = shown(&rest);
        let stayed: Vec<_> = before.iter().filter(|stream| after.contains(stream)).collect();
        // One who had no window may have come in at the end.
        prop_assert!(after.iter().zip(&stayed).all(|(a, b)| a == *b));
        prop_assert!(after.len() - stayed.len() <= 1);
    }
}
