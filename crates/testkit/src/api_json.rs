//! Requests of the recording API as JSON: sound ones, to be broken one member at a time, and arbitrary ones.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A `CreateCloudRecording` of a mixed room with every member, whose secrets begin with `s3cret`.
#[must_use]
pub fn create() -> Value {
    json!({
        "SdkAppId": 1400188366, "RoomId": "3560", "RoomIdType": 1, "UserId": "10001", "UserSig": "s3cret-sig",
        "PrivateMapKey": "s3cret-map", "ResourceExpiredHour": 72,
        "RecordParams": {
            "RecordMode": 2, "MaxIdleTime": 60, "StreamType": 0, "OutputFormat": 1, "AvMerge": 1,
            "MaxMediaFileDuration": 30, "MediaId": 1, "FillType": 1, "SubscribeAbility": 1,
            "SubscribeStreamUserIds": { "SubscribeAudioUserIds": ["1.*$", "bob"], "UnSubscribeVideoUserIds": ["eve"] }
        },
        "MixTranscodeParams": {
            "VideoParams": { "Width": 1280, "Height": 720, "Fps": 15, "BitRate": 500000, "Gop": 10 },
            "AudioParams": { "SampleRate": 2, "Channel": 1, "BitRate": 64000 }
        },
        "MixLayoutParams": {
            "MixLayoutMode": 4, "BackGroundColor": "#FFA500", "MaxResolutionUserId": "bob", "MediaId": 1,
            "BackgroundImageUrl": "http://h/b.png", "PlaceHolderMode": 1, "BackgroundImageRenderMode": 2,
            "DefaultSubBackgroundImage": "http://h/p.jpg", "RenderMode": 0, "MaxResolutionUserAlign": 1,
            "PureAudioDisableLayout": true,
            "MixLayoutList": [
                { "Top": 0, "Left": 0, "Width": 640, "Height": 720 },
                { "Top": 0, "Left": 640, "Width": 640, "Height": 720, "UserId": "bob", "Alpha": 255, "RenderMode": 3,
                  "MediaId": 1, "ImageLayer": -1, "SubBackgroundImage": "http://h/s.jpeg" }
            ],
            "WaterMarkList": [
                { "WaterMarkType": 0, "WaterMarkImage":
                    { "WaterMarkUrl": "http://h/w.png", "Top": 0, "Left": 0, "Width": 100, "Height": 50 } },
                { "WaterMarkType": 1, "WaterMarkChar":
                    { "Top": 600, "Left": 10, "Width": 300, "Height": 40, "Chars": "live", "FontSize": 20,
                      "FontColor": "0x00ff00", "BackGroundColor": "#102030", "Font": "SourceHanSans" } },
                { "WaterMarkType": 2, "WaterMarkTimestamp": { "Pos": 6, "TimeZone": -5, "Font": "Tencent" } }
            ]
        },
        "StorageParams": { "CloudStorage": {
            "Vendor": 0, "Region": "ap-shanghai", "Bucket": "b-1", "AccessKey": "s3cret-id", "SecretKey": "s3cret-key",
            "FileNamePrefix": ["p1", "p2"], "EndpointUrl": "account.storage.example.com"
        } }
    })
}

/// A `CreateCloudRecording` with the least that is needed.
#[must_use]
pub fn least() -> Value {
    json!({
        "SdkAppId": 1, "RoomId": "1", "UserId": "robot", "UserSig": "x",
        "RecordParams": { "RecordMode": 1 },
        "StorageParams": { "CloudStorage":
            { "Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s" } }
    })
}

/// As [`least`], with sound to VOD and every member of that.
#[must_use]
pub fn to_vod() -> Value {
    let mut value = least();
    value["RecordParams"]["StreamType"] = json!(1);
    value["StorageParams"] = json!({ "CloudVod": { "TencentVod": {
        "Procedure": "flow", "ExpireTime": 86400, "StorageRegion": "ap-x", "ClassId": 3, "SubAppId": 9,
        "SessionContext": "s", "SourceContext": "o", "MediaType": 4, "UserDefineRecordId": "rec-1"
    } } });
    value
}

/// Puts `new` at `path` (`A.B.0`), or takes away what is there; in a list `null` takes its place.
///
/// # Panics
/// If there is nothing above the path.
pub fn set(value: &mut Value, path: &str, new: Option<Value>) {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut at = value;
    for step in parents.into_iter().flat_map(|parents| parents.split('.')) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    match (new, at) {
        (None, Value::Object(members)) => drop(members.remove(last)),
        (None, at) => at[last.parse::<usize>().expect("a place in a list")] = Value::Null,
        (Some(new), Value::Array(items)) => items[last.parse::<usize>().expect("a place in a list")] = new,
        (Some(new), at) => at[last] = new,
    }
}

/// Any JSON, with names and values of the API more often than others.
pub fn values() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "SdkAppId",
        "TaskId",
        "RoomId",
        "RecordParams",
        "RecordMode",
        "StorageParams",
        "CloudStorage",
        "Vendor",
        "MixLayoutParams",
        "MixLayoutList",
        "WaterMarkList",
        "Top",
        "UserSig",
        "SubscribeStreamUserIds",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}|.{0,8}|#[0-9A-F]{6}|http://h/a\\.png".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Value>()),
        ]
    })
}

/// Paths of every member of a value, as [`set`] takes them.
#[must_use]
pub fn paths(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    collect_paths(value, "", &mut all);
    all
}

fn collect_paths(value: &Value, at: &str, into: &mut Vec<String>) {
    let mut below = |name: String, value: &Value| {
        let path = if at.is_empty() { name } else { format!("{at}.{name}") };
        into.push(path.clone());
        collect_paths(value, &path, into);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name.clone(), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| below(index.to_string(), value))
        }
        _ => {}
    }
}
