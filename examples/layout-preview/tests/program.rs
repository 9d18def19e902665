//! The program as it is called, and the pictures in the documentation.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use recorder_layout::{LargeSide, Rect, Template, cells};
use recorder_testkit::golden::assert_golden;
use recorder_types::Size;

fn preview(arguments: &[&str], output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layout-preview"));
    command.args(arguments).arg("-o").arg(output).output().expect("the program starts")
}

/// Runs the program, which has to succeed in silence, and gives what it wrote.
fn drawn(arguments: &[&str], name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let output = preview(arguments, &file);
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && says.is_empty(), "{arguments:?}: {says}");
    fs::read(file).unwrap()
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A decoded PNG.
struct Pixels {
    size: Size,
    rgb: Vec<u8>,
}

impl Pixels {
    fn decode(file: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        Self { size: Size::new(info.width, info.height).unwrap(), rgb }
    }

    fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.size.width() as usize + x as usize) * 3;
        self.rgb[at..at + 3].try_into().unwrap()
    }

    /// The most frequent colour inside a window: its fill, whatever text stands in it.
    fn fill(&self, rect: Rect) -> [u8; 3] {
        let mut counts = std::collections::HashMap::new();
        for y in rect.top()..rect.bottom() {
            for x in rect.left()..rect.right() {
                *counts.entry(self.at(x, y)).or_insert(0u32) += 1;
            }
        }
        counts.into_iter().max_by_key(|(rgb, count)| (*count, *rgb)).unwrap().0
    }
}

fn near(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 2)
}

/// `fill="#RRGGBB"` of the boxes of an SVG, in order.
fn svg_fills(svg: &str) -> Vec<[u8; 3]> {
    let boxes = svg.lines().filter(|line| line.starts_with("<rect"));
    let hex = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    boxes
        .map(|line| line.split_once("fill=\"#").unwrap().1)
        .map(|text| [hex(text, 0), hex(text, 2), hex(text, 4)])
        .collect()
}

#[test]
fn an_svg_is_as_it_was_and_the_same_each_time() {
    let arguments =
        ["--layout", "screen-share", "--large", "screen", "--users", "Ann,B&B <b>,Ωμέγα", "--count", "5"];
    let canvas = ["--canvas", "640x360"];
    let arguments = [&arguments[..], &canvas].concat();
    let svg = drawn(&arguments, "room.svg");
    assert_golden(&here("tests/golden/screen-share-5.svg"), &svg);
    assert_eq!(drawn(&arguments, "again.SVG"), svg);
}

#[test]
fn a_png_has_each_window_in_the_colour_that_the_svg_gives_it() {
    let canvas = Size::new(640, 360).unwrap();
    let share = Template::ScreenShare { large: None, side: LargeSide::Left };
    let large = ["--large", "ann"];
    for (name, large, template, count) in [
        ("grid", &[][..], Template::Grid, 7),
        ("grid", &[], Template::Grid, 25),
        ("floating", &large, Template::Floating { large: None }, 6),
        ("screen-share", &large, share, 20),
    ] {
        let text = count.to_string();
        let arguments = [&["--layout", name, "--canvas", "640x360", "--count", &text], large].concat();
        let pixels = Pixels::decode(&drawn(&arguments, "room.png"));
        assert_eq!(pixels.size, canvas);
        let fills = svg_fills(&String::from_utf8(drawn(&arguments, "room.svg")).unwrap());
        let rects = cells(&template, canvas, count).unwrap();
        assert_eq!((fills.len(), rects.len()), (count, count));
        for (number, (rect, fill)) in rects.into_iter().zip(fills).enumerate() {
            // Near the top left corner, inside the border and before any text.
            let corner = pixels.at(rect.left() + 3, rect.top() + 3);
            assert!(near(corner, fill), "{name} {count}: window {number} is {corner:?}, not {fill:?}");
            assert!(near(pixels.fill(rect), fill), "{name} {count}: window {number}");
            // The border, darker, to the last pixel on each side.
            let edge = pixels.at(rect.left(), rect.top());
            assert!(edge.iter().zip(fill).all(|(edge, fill)| *edge < fill));
            assert!(near(pixels.at(rect.right() - 1, rect.bottom() - 1), edge), "{name} {count} {number}");
        }
    }
}

#[test]
fn a_file_with_the_parameters_of_the_api_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layout.json");
    let layout = r##"{
        "MixLayoutMode": 4, "BackGroundColor": "#0000FF",
        "MixLayoutList": [
            { "Top": 0, "Left": 0, "Width": 320, "Height": 180, "UserId": "ann", "ImageLayer": 2, "Alpha": 128 },
            { "Top": 90, "Left": 160, "Width": 320, "Height": 180, "ImageLayer": 1 },
            { "Top": 300, "Left": 600, "Width": 40, "Height": 60 }
        ],
        "WaterMarkList": [{ "WaterMarkType": 0 }]
    }"##;
    fs::write(&file, layout).unwrap();
    let arguments = ["--layout", file.to_str().unwrap(), "--canvas", "640x360", "--count", "2"];
    let svg = String::from_utf8(drawn(&arguments, "room.svg")).unwrap();
    assert!(svg.contains("#0000FF") && svg.contains(">ann<") && svg.contains(">user1<"));
    let boxes: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect")).collect();
    // The third, without anybody, is furthest back; then the second and, half transparent, the first.
    assert!(boxes[0].contains("x=\"601\"") && boxes[0].contains("fill=\"none\" "), "{boxes:?}");
    assert!(boxes[1].contains("x=\"161\"") && boxes[2].contains("fill-opacity=\".498\""), "{boxes:?}");
    let pixels = Pixels::decode(&drawn(&arguments, "room.png"));
    let [_, second, first] =
        [boxes[0], boxes[1], boxes[2]].map(|line| svg_fills(&format!("{line} fill=\"#000000\""))[0]);
    let half = |front: [u8; 3], back: [u8; 3]| std::array::from_fn(|k| front[k] / 2 + back[k] / 2);
    assert!(near(pixels.at(500, 20), [0, 0, 255]));
    assert!(near(pixels.at(620, 320), [0, 0, 255]), "nobody");
    assert!(near(pixels.at(400, 250), second));
    assert!(near(pixels.at(300, 150), half(first, second)), "{:?}", pixels.at(300, 150));
    assert!(near(pixels.at(20, 20), half(first, [0, 0, 255])), "{:?}", pixels.at(20, 20));
}

#[test]
fn wrong_calls_leave_no_file_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    fs::write(&broken, r#"{ "MixLayoutMode": 5 }"#).unwrap();
    let outside = folder.path().join("outside.json");
    let window = r#"{ "Top": 0, "Left": 600, "Width": 60, "Height": 60 }"#;
    fs::write(&outside, format!(r#"{{ "MixLayoutMode": 4, "MixLayoutList": [{window}] }}"#)).unwrap();
    let (broken, outside) = (broken.to_str().unwrap(), outside.to_str().unwrap());
    for (arguments, name, why) in [
        (&[][..], "a.svg", "--layout"),
        (&["--layout", "grid"], "a.jpg", "has to end with .svg or .png"),
        (&["--layout", "grid"], "svg", "has to end with .svg or .png"),
        (&["--layout", "circle"], "a.svg", "use grid, floating, screen-share or a file"),
        (&["--layout", broken], "a.svg", "MixLayoutMode is 5, outside 1 to 4"),
        (
            &["--layout", outside, "--canvas", "640x360"],
            "a.svg",
            "reaches to 660,60, outside the canvas 640x360",
        ),
        (&["--layout", "grid", "--canvas", "639x360"], "a.svg", "both sides have to be even"),
        (&["--layout", "grid", "--canvas", "4098x360"], "a.svg", "at most 4096"),
        (&["--layout", "grid", "--canvas", "640"], "a.svg", "WIDTHxHEIGHT"),
        (&["--layout", "grid", "--canvas", "8x8", "--count", "25"], "a.png", "too small for 25 windows"),
        (&["--layout", "grid", "--count", "26"], "a.svg", "0..=25"),
        (&["--layout", "grid", "--count", "2", "--sheet"], "a.svg", "cannot be used with"),
        (&["--layout", "grid", "--large", "ann"], "a.svg", "--large is for floating and screen-share"),
        (&["--layout", "floating", "--side", "right"], "a.svg", "--side is for screen-share"),
        (&["--layout", broken, "--side", "left"], "a.svg", "MaxResolutionUserAlign"),
        (&["--layout", "grid", "--users", "ann,,ben"], "a.svg", "user id"),
        (&["--layout", "grid"], "no/folder/a.svg", "a.svg"),
    ] {
        let file = folder.path().join(name);
        let output = preview(arguments, &file);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {says}");
        assert!(says.contains(why), "{arguments:?}: {says}");
        assert!(!file.exists(), "{arguments:?}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_layout-preview")).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for option in ["--layout", "--canvas", "--count", "--sheet", "--users", "--large", "--side", "--output"] {
        assert!(text.contains(option), "{option}");
    }
    assert_eq!(help.status.code(), Some(0));
}

#[test]
fn letters_without_a_sign_in_the_font_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let output = preview(&["--layout", "grid", "--users", "中"], &folder.path().join("a.png"));
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && says.contains("no sign for 中"), "{says}");
}

/// The sheets of `docs/layouts.md`; `UPDATE_GOLDEN=1` makes them anew.
#[test]
fn the_sheets_in_the_documentation_are_current() {
    let share = ["--layout", "screen-share", "--large", "screen"];
    for (name, arguments) in [
        ("grid", &["--layout", "grid"][..]),
        ("floating", &["--layout", "floating"]),
        ("screen-share", &share),
        ("screen-share-right", &[&share[..], &["--side", "right"]].concat()),
    ] {
        let svg = drawn(&[arguments, &["--sheet"]].concat(), "sheet.svg");
        assert_golden(&here("../../docs/images").join(format!("{name}.svg")), &svg);
    }
    let portrait = drawn(&[&share[..], &["--sheet", "--canvas", "360x640"]].concat(), "sheet.png");
    assert_eq!(Pixels::decode(&portrait).size, Size::new(1192, 1856).unwrap());
}
