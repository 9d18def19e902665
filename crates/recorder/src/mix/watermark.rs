use std::sync::Arc;

use recorder_compositor::{Bitmap, MAX_FONT_SIZE, MAX_WATERMARKS, Position, Rect, Rgb, TextStyle, TimeZone};
use recorder_layout::{ImageUrl, InvalidColour, MixLayoutParams};
use recorder_types::Size;

use super::MixParamsError;
use super::error::in_range;

/// Largest `Top`, `Left`, `Width` and `Height` of a watermark.
const MAX_PIXELS: i64 = 2560;

/// A watermark of the mixed picture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Watermark {
    /// A picture, stretched to its place.
    Image {
        /// The picture.
        image: ImageSource,
        /// Its place on the canvas.
        rect: Rect,
    },
    /// Text in a box.
    Text {
        /// `\n` begins a new line.
        text: String,
        /// The box; what does not fit is cut.
        rect: Rect,
        /// How it looks.
        style: TextStyle,
    },
    /// The time of day.
    Timestamp {
        /// Where on the canvas.
        position: Position,
        /// Whose time.
        zone: TimeZone,
        /// How it looks.
        style: TextStyle,
    },
}

/// Where a watermark's picture comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// From an address; nothing is shown until it is there.
    Url(ImageUrl),
    /// It is here.
    Given(Arc<Bitmap>),
}

impl Watermark {
    /// Whether it fits the canvas; `index` is its place in the list.
    pub(crate) fn check(&self, index: usize, canvas: Size) -> Result<(), MixParamsError> {
        match self {
            Self::Image { rect, .. } | Self::Text { rect, .. } => {
                let (right, bottom) = (rect.right(), rect.bottom());
                if right > canvas.width() || bottom > canvas.height() {
                    return Err(MixParamsError::Outside { index, right, bottom, canvas });
                }
                Ok(())
            }
            Self::Timestamp { .. } => Ok(()),
        }
    }
}

/// An entry of `WaterMarkList` of the recording API, field by field and unchecked.
///
/// # Specification
/// `trtc-api.md` section 6.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaterMark {
    /// 0 image (the default), 1 text, 2 timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_mark_type: Option<i64>,
    /// For type 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_mark_image: Option<WaterMarkImage>,
    /// For type 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_mark_char: Option<WaterMarkChar>,
    /// For type 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_mark_timestamp: Option<WaterMarkTimestamp>,
}

/// A picture. Pixels, 0 to 2560, inside the canvas; with a side of 0 nothing is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaterMarkImage {
    /// PNG or JPEG.
    pub water_mark_url: String,
    /// From the top.
    pub top: i64,
    /// From the left.
    pub left: i64,
    /// Across.
    pub width: i64,
    /// Down.
    pub height: i64,
}

/// Text in a box. Pixels as of a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaterMarkChar {
    /// From the top.
    pub top: i64,
    /// From the left.
    pub left: i64,
    /// Across.
    pub width: i64,
    /// Down.
    pub height: i64,
    /// The text.
    pub chars: String,
    /// Pixels, 1 to 1024; default 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font_size: Option<i64>,
    /// `#RRGGBB` or `0xRRGGBB`; default white.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font_color: Option<String>,
    /// As [`Self::font_color`]; default transparent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_ground_color: Option<String>,
    /// `Tencent` or `SourceHanSans`; here both are the font of [`MixOptions::font`](crate::MixOptions::font).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
}

/// The time of day.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WaterMarkTimestamp {
    /// 0 top left, 1 top right, 2 bottom left, 3 bottom right, 4 top centre, 5 bottom centre, 6 centre.
    pub pos: i64,
    /// Hours east of UTC, -12 to 14; default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<i64>,
    /// As of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
}

/// `MixLayoutParams` of the recording API with its watermarks, unchecked.
///
/// # Specification
/// `trtc-api.md` section 6.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MixLayoutRequest {
    /// Everything else.
    #[serde(flatten)]
    pub layout: MixLayoutParams,
    /// At most 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_mark_list: Option<Vec<WaterMark>>,
}

/// Checks a `WaterMarkList`: all that can be checked without the canvas. Those with a side of 0 are left out.
///
/// # Errors
/// [`MixParamsError`], with the place in the list.
pub fn watermarks(list: Vec<WaterMark>) -> Result<Vec<Watermark>, MixParamsError> {
    if list.len() > MAX_WATERMARKS {
        return Err(MixParamsError::TooManyWatermarks { got: list.len() });
    }
    let checked = (0..).zip(list).filter_map(|(index, wire)| checked(index, wire).transpose());
    checked.collect()
}

fn checked(index: usize, wire: WaterMark) -> Result<Option<Watermark>, MixParamsError> {
    let missing = |field| MixParamsError::Missing { index, field };
    match in_range("WaterMarkType", wire.water_mark_type.unwrap_or(0), 0, 2)? {
        0 => {
            let wire = wire.water_mark_image.ok_or(missing("WaterMarkImage"))?;
            let url = wire.water_mark_url.parse();
            let image = ImageSource::Url(url.map_err(|source| MixParamsError::Image { index, source })?);
            let rect = rect(wire.left, wire.top, wire.width, wire.height)?;
            Ok(rect.map(|rect| Watermark::Image { image, rect }))
        }
        1 => {
            let wire = wire.water_mark_char.ok_or(missing("WaterMarkChar"))?;
            font(index, wire.font)?;
            let size = in_range("FontSize", wire.font_size.unwrap_or(14), 1, MAX_FONT_SIZE.into())?;
            let colour = colour(index, "FontColor", wire.font_color)?;
            let style = TextStyle::default()
                .with_font_size(u16::try_from(size).expect("checked to be at most 1024"))
                .with_colour(colour.unwrap_or(TextStyle::default().colour))
                .with_background(self::colour(index, "BackGroundColor", wire.back_ground_color)?);
            let rect = rect(wire.left, wire.top, wire.width, wire.height)?;
            Ok(rect.map(|rect| Watermark::Text { text: wire.chars, rect, style }))
        }
        _ => {
            let wire = wire.water_mark_timestamp.ok_or(missing("WaterMarkTimestamp"))?;
            font(index, wire.font)?;
            let position = in_range("Pos", wire.pos, 0, 6)?;
            let zone = in_range("TimeZone", wire.time_zone.unwrap_or(8), -12, 14)?;
            Ok(Some(Watermark::Timestamp {
                position: u8::try_from(position).ok().and_then(Position::from_code).expect("0 to 6"),
                zone: i8::try_from(zone).ok().and_then(TimeZone::new).expect("-12 to 14"),
                style: TextStyle::default(),
            }))
        }
    }
}

fn rect(left: i64, top: i64, width: i64, height: i64) -> Result<Option<Rect>, MixParamsError> {
    let pixels = |field, got| {
        let got = in_range(field, got, 0, MAX_PIXELS)?;
        Ok(u32::try_from(got).expect("checked to be at most 2560"))
    };
    let (left, top) = (pixels("Left", left)?, pixels("Top", top)?);
    let size = Size::new(pixels("Width", width)?, pixels("Height", height)?);
    Ok(size.and_then(|size| Rect::new(left, top, size)))
}

fn colour(index: usize, field: &'static str, text: Option<String>) -> Result<Option<Rgb>, MixParamsError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let colour: Result<Rgb, InvalidColour> = match text.strip_prefix("0x") {
        Some(digits) => format!("#{digits}").parse(),
        None => text.parse(),
    };
    colour.map(Some).map_err(|source| MixParamsError::Colour { index, field, source })
}

fn font(index: usize, font: Option<String>) -> Result<(), MixParamsError> {
    match font.filter(|font| !font.is_empty()) {
        Some(font) if font != "Tencent" && font != "SourceHanSans" => {
            Err(MixParamsError::Font { index, font })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Watermark>, String> {
        let list = serde_json::from_str(json).map_err(|error| error.to_string())?;
        watermarks(list).map_err(|error| error.to_string())
    }

    #[test]
    fn the_three_kinds_are_read_with_their_defaults() {
        let marks = read(
            r##"[{"WaterMarkImage": {"WaterMarkUrl": "https://h/a.png", "Top": 3, "Left": 5, "Width": 7, "Height": 9}},
                {"WaterMarkType": 1, "WaterMarkChar": {"Top": 0, "Left": 0, "Width": 99, "Height": 20, "Chars": "hi",
                  "FontColor": "0xff0000", "BackGroundColor": "#00FF00", "Font": "Tencent"}},
                {"WaterMarkType": 1, "WaterMarkChar": {"Top": 0, "Left": 0, "Width": 0, "Height": 20, "Chars": "no"}},
                {"WaterMarkType": 2, "WaterMarkTimestamp": {"Pos": 3}}]"##,
        )
        .unwrap();
        assert_eq!(marks.len(), 3, "one has no width");
        let Watermark::Image { image: ImageSource::Url(url), rect } = &marks[0] else { panic!("{marks:?}") };
        assert_eq!(
            (url.as_str(), rect.left(), rect.top(), rect.right(), rect.bottom()),
            ("https://h/a.png", 5, 3, 12, 12)
        );
        let Watermark::Text { style, .. } = &marks[1] else { panic!("{marks:?}") };
        assert_eq!((style.font_size, style.colour), (14, Rgb::new(255, 0, 0)));
        assert_eq!(style.background, Some(Rgb::new(0, 255, 0)));
        let Watermark::Timestamp { position, zone, .. } = &marks[2] else { panic!("{marks:?}") };
        assert_eq!((*position, zone.hours()), (Position::BottomRight, 8));
        let canvas = Size::new(12, 12).unwrap();
        assert_eq!(marks[0].check(0, canvas), Ok(()));
        assert!(matches!(
            marks[1].check(1, canvas),
            Err(MixParamsError::Outside { index: 1, right: 99, .. })
        ));
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_place() {
        let text = |more: &str| {
            format!(
                r#"[{{"WaterMarkType": 1, "WaterMarkChar": {{"Top": 0, "Left": 0, "Width": 9, "Height": 9, "Chars": "x"{more}}}}}]"#
            )
        };
        let many =
            format!("[{}]", vec![r#"{"WaterMarkType": 2, "WaterMarkTimestamp": {"Pos": 0}}"#; 26].join(","));
        for (json, why) in [
            (r#"[{"WaterMarkType": 3}]"#.to_owned(), "WaterMarkType is 3, outside 0 to 2"),
            (r#"[{}]"#.to_owned(), "watermark 0 has no WaterMarkImage"),
            (r#"[{"WaterMarkType": 1}]"#.to_owned(), "watermark 0 has no WaterMarkChar"),
            (r#"[{"WaterMarkType": 2}]"#.to_owned(), "watermark 0 has no WaterMarkTimestamp"),
            (r#"[{"WaterMarkType": 2, "WaterMarkTimestamp": {"Pos": 7}}]"#.to_owned(), "Pos is 7, outside 0 to 6"),
            (
                r#"[{"WaterMarkType": 2, "WaterMarkTimestamp": {"Pos": 0, "TimeZone": 15}}]"#.to_owned(),
                "TimeZone is 15, outside -12 to 14",
            ),
            (text(r#", "FontSize": 0"#), "FontSize is 0, outside 1 to 1024"),
            (text(r#", "FontColor": "red""#), "FontColor of watermark 0 is not a colour"),
            (text(r#", "Font": "Arial""#), "watermark 0 wants the font \"Arial\", of Tencent and SourceHanSans"),
            (many, "26 watermarks, of 25 at most"),
            (
                r#"[{"WaterMarkImage": {"WaterMarkUrl": "a.gif", "Top": 0, "Left": 0, "Width": 1, "Height": 1}}]"#.to_owned(),
                "WaterMarkUrl of watermark 0 is not an image address",
            ),
            (
                r#"[{"WaterMarkImage": {"WaterMarkUrl": "a.png", "Top": 0, "Left": 0, "Width": 2561, "Height": 1}}]"#.to_owned(),
                "Width is 2561, outside 0 to 2560",
            ),
        ] {
            assert_eq!(read(&json).unwrap_err(), why, "{json}");
        }
        assert!(read(r#"[{"WaterMarkType": 2, "WaterMarkTimestamp": {}}]"#).unwrap_err().contains("Pos"));
    }
}
