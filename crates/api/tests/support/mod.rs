//! Requests that keep every rule, to be broken one member at a time.
#![allow(dead_code, clippy::unwrap_used, reason = "test; each uses a part")]

use serde_json::{Value, json};

/// Every member is there.
pub(crate) fn create() -> Value {
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

/// The least that is needed.
pub(crate) fn least() -> Value {
    json!({
        "SdkAppId": 1, "RoomId": "1", "UserId": "robot", "UserSig": "x",
        "RecordParams": { "RecordMode": 1 },
        "StorageParams": { "CloudStorage":
            { "Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s" } }
    })
}

/// The same with VOD.
pub(crate) fn to_vod() -> Value {
    let mut value = least();
    value["RecordParams"]["StreamType"] = json!(1);
    value["StorageParams"] = json!({ "CloudVod": { "TencentVod": {
        "Procedure": "flow", "ExpireTime": 86400, "StorageRegion": "ap-x", "ClassId": 3, "SubAppId": 9,
        "SessionContext": "s", "SourceContext": "o", "MediaType": 4, "UserDefineRecordId": "rec-1"
    } } });
    value
}

/// Puts `new` at `path` (`A.B.0`), or takes away what is there.
pub(crate) fn set(value: &mut Value, path: &str, new: Option<Value>) {
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
        (None, at) => at[last.parse::<usize>().unwrap()] = Value::Null,
        (Some(new), Value::Array(items)) => items[last.parse::<usize>().unwrap()] = new,
        (Some(new), at) => at[last] = new,
    }
}
