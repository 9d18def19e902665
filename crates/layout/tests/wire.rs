//! Layout parameters as the recording API writes them.
#![cfg(feature = "serde")]

use recorder_layout::{LargeSide, LayoutParams, Placeholders, RenderMode, Template, Transparency};
use recorder_types::MediaId;
use serde_json::{Value, json};

fn read(value: Value) -> Result<LayoutParams, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn a_custom_layout_is_read_with_its_defaults() {
    let params = read(json!({
        "MixLayoutMode": 4,
        "BackGroundColor": "#FFA500",
        "PlaceHolderMode": 1,
        "MixLayoutList": [
            { "Top": 0, "Left": 10, "Width": 640, "Height": 360 },
            { "Top": 360, "Left": 0, "Width": 1920, "Height": 0, "UserId": "alice", "Alpha": 255, "RenderMode": 3,
              "MediaId": 1, "ImageLayer": -2, "SubBackgroundImage": "https://h/a.png" }
        ],
        "WaterMarkList": [{ "WaterMarkType": 0 }]
    }))
    .unwrap();
    assert_eq!(params.background.to_string(), "#FFA500");
    assert_eq!(params.placeholders, Placeholders::AllNamed);
    let Template::Custom(list) = &params.template else { panic!("{params:?}") };
    assert_eq!((list[0].left, list[0].mode, list[0].media), (10, RenderMode::Crop, MediaId::Main));
    assert_eq!((list[0].layer, list[0].alpha, &list[0].user), (0, Transparency::OPAQUE, &None));
    assert_eq!((list[1].layer, list[1].alpha.opacity(), list[1].media), (-2, 0, MediaId::Aux));
    assert_eq!(list[1].mode, RenderMode::SmartStretch);
}

#[test]
fn the_empty_string_is_as_if_absent() {
    let params = read(json!({
        "MixLayoutMode": 2, "MaxResolutionUserId": "", "BackGroundColor": "", "BackgroundImageUrl": "",
        "DefaultSubBackgroundImage": null, "MaxResolutionUserAlign": 1
    }));
    let expected = LayoutParams::new(Template::ScreenShare { large: None, side: LargeSide::Right });
    assert_eq!(params.unwrap(), expected);
}

#[test]
fn what_is_written_is_read_back() {
    let window =
        json!({ "Top": 1, "Left": 2, "Width": 3, "Height": 4, "UserId": "a", "Alpha": 7, "MediaId": 1 });
    for value in [
        json!({ "MixLayoutMode": 1, "MaxResolutionUserId": "a", "MediaId": 1, "PureAudioDisableLayout": true }),
        json!({ "MixLayoutMode": 2, "MaxResolutionUserAlign": 1, "RenderMode": 2, "PlaceHolderMode": 1 }),
        json!({ "MixLayoutMode": 3, "BackgroundImageUrl": "http://h/b.jpg", "BackgroundImageRenderMode": 0 }),
        json!({ "MixLayoutMode": 4, "MixLayoutList": [window], "DefaultSubBackgroundImage": "http://h/p.jpeg" }),
    ] {
        let params = read(value.clone()).unwrap();
        let written = serde_json::to_value(&params).unwrap();
        for (name, member) in value.as_object().unwrap() {
            if name != "MixLayoutList" {
                assert_eq!(&written[name], member, "{name}");
            }
        }
        assert_eq!(read(written).unwrap(), params);
    }
}

#[test]
fn what_breaks_a_rule_is_refused_by_name() {
    let window = |member: &str, value: Value| {
        let mut window = json!({ "Top": 0, "Left": 0, "Width": 2, "Height": 2 });
        window[member] = value;
        json!({ "MixLayoutMode": 4, "MixLayoutList": [window] })
    };
    for (value, says) in [
        (json!({}), "MixLayoutMode is missing; change the layout"),
        (json!({ "MixLayoutMode": 0 }), "MixLayoutMode is 0, outside 1 to 4; change the layout"),
        (json!({ "MixLayoutMode": 5 }), "MixLayoutMode is 5, outside 1 to 4"),
        (json!({ "MixLayoutMode": 3, "RenderMode": 4 }), "RenderMode is 4, outside 0 to 3"),
        (json!({ "MixLayoutMode": 3, "BackgroundImageRenderMode": -1 }), "BackgroundImageRenderMode is -1"),
        (json!({ "MixLayoutMode": 1, "MediaId": 2 }), "MediaId is 2, outside 0 to 1"),
        (json!({ "MixLayoutMode": 2, "MaxResolutionUserAlign": 2 }), "MaxResolutionUserAlign is 2"),
        (json!({ "MixLayoutMode": 3, "PlaceHolderMode": 2 }), "PlaceHolderMode is 2"),
        (json!({ "MixLayoutMode": 3, "BackGroundColor": "red" }), "BackGroundColor is not a colour"),
        (
            json!({ "MixLayoutMode": 3, "BackgroundImageUrl": "http://h/b.gif" }),
            "BackgroundImageUrl is not an image",
        ),
        (
            json!({ "MixLayoutMode": 1, "MaxResolutionUserId": "a\nb" }),
            "MaxResolutionUserId is not a user id",
        ),
        (
            window("Left", json!(1921)),
            "window 0 of MixLayoutList: Left is 1921, outside 0 to 1920; change the layout",
        ),
        (window("Height", json!(null)), "window 0 of MixLayoutList: Height is missing"),
        (window("Top", json!(-1)), "Top is -1, outside 0 to 1920"),
        (window("Width", json!(1921)), "Width is 1921"),
        (window("Height", json!(i64::MAX)), "Height is 9223372036854775807"),
        (window("Alpha", json!(256)), "Alpha is 256, outside 0 to 255"),
        (window("RenderMode", json!(-1)), "RenderMode is -1"),
        (window("SubBackgroundImage", json!("http://h/$.png")), "SubBackgroundImage is not an image address"),
        (
            json!({ "MixLayoutMode": 4, "MixLayoutList": vec![json!({ "Top": 0, "Left": 0, "Width": 2, "Height": 2 }); 26] }),
            "MixLayoutList has 26 entries, at most 25",
        ),
    ] {
        let error = read(value.clone()).unwrap_err();
        assert!(error.contains(says), "{value}: {error}");
    }
}
