//! What requests mean, and what each rule says when it is broken.
#![allow(clippy::unwrap_used, reason = "test")]

use std::time::Duration;

use recorder_api::{
    Action, AutoRecording, CreateRecording, ErrorCode, MediaSelection, OutputFormat, RecordMode, Request,
    SampleRate, Storage, StreamType, UserList, VodMediaType, WaterMark, wire,
};
use recorder_testkit::api_json::{create, least, set, to_vod};
use recorder_types::{RoomId, Size};
use serde_json::{Value, json};

fn read(value: &Value) -> Result<CreateRecording, String> {
    match Request::from_json(Action::CreateCloudRecording, value.to_string().as_bytes()) {
        Ok(Request::Create(request)) => Ok(*request),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert_eq!(error.to_string(), format!("{}: {}", error.code(), error.message()));
            Err(error.to_string())
        }
    }
}

fn other(action: Action, value: &Value) -> Result<Request, String> {
    Request::from_json(action, value.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn the_documented_sample_is_read() {
    let sample = json!({"SdkAppId": 1400188366, "RoomId": "3560", "RoomIdType": 1, "UserId": "10001", "UserSig": "x",
        "RecordParams": {"RecordMode": 2, "MaxIdleTime": 60, "StreamType": 0},
        "MixTranscodeParams": {"VideoParams": {"Width": 360, "Height": 640, "Fps": 15, "BitRate": 500000, "Gop": 10}},
        "MixLayoutParams": {"MixLayoutMode": 3},
        "StorageParams": {"CloudVod": {"TencentVod": {"ExpireTime": 0}}}});
    let request = read(&sample).unwrap();
    assert_eq!((request.app.get(), request.room), (1_400_188_366, RoomId::integer(3560)));
    let RecordMode::Mixed(mix) = request.mode else { panic!() };
    assert_eq!((mix.canvas, mix.video_bit_rate), (Size::new(360, 640).unwrap(), 500_000));
    let Storage::Vod(vod) = request.storage else { panic!() };
    assert_eq!((vod.expire, vod.media_type), (None, VodMediaType::Mp4));
}

#[test]
fn what_is_absent_null_or_empty_has_its_default() {
    let request = read(&least()).unwrap();
    assert_eq!(request.mode, RecordMode::SingleStream);
    assert_eq!(request.record.max_idle, Duration::from_secs(30));
    assert_eq!(request.record.max_file_duration, Duration::from_secs(86_400));
    assert_eq!(request.resource_expires_after, Duration::from_secs(72 * 3600));
    assert_eq!(
        (&request.record.audio_users, &request.record.video_users),
        (&UserList::Everyone, &UserList::Everyone)
    );
    assert_eq!((request.record.output, request.record.media), (OutputFormat::Hls, MediaSelection::Both));

    let mut spelled_out = least();
    for (path, value) in [
        ("RoomIdType", json!(null)),
        ("PrivateMapKey", json!("")),
        ("ResourceExpiredHour", json!(null)),
        ("MixLayoutParams", json!(null)),
        (
            "RecordParams.SubscribeStreamUserIds",
            json!({ "SubscribeAudioUserIds": [], "UnSubscribeAudioUserIds": [] }),
        ),
        ("StorageParams.CloudVod", json!(null)),
        ("StorageParams.CloudStorage.EndpointUrl", json!("")),
        ("StorageParams.CloudStorage.FileNamePrefix", json!([])),
    ] {
        set(&mut spelled_out, path, Some(value));
    }
    assert_eq!(read(&spelled_out).unwrap(), request);

    let mut mixed = least();
    set(&mut mixed, "RecordParams.RecordMode", Some(json!(2)));
    let RecordMode::Mixed(mix) = read(&mixed).unwrap().mode else { panic!() };
    assert_eq!((mix.canvas, mix.fps, mix.gop_seconds), (Size::new(360, 640).unwrap(), 15, 10));
    assert_eq!((mix.video_bit_rate, mix.audio_bit_rate), (550_000, 64_000));
    assert_eq!((mix.sample_rate, mix.channels, mix.layout), (SampleRate::Hz48000, 2, Default::default()));
}

#[test]
fn every_member_arrives() {
    let request = read(&create()).unwrap();
    let RecordMode::Mixed(mix) = &request.mode else { panic!() };
    assert_eq!((mix.sample_rate.hz(), mix.channels), (44_100, 1));
    assert_eq!(mix.layout.watermarks.len(), 3);
    let WaterMark::Text { colour, background, .. } = &mix.layout.watermarks[1] else { panic!() };
    assert_eq!((colour.to_string(), background.unwrap().to_string()), ("#00FF00".into(), "#102030".into()));
    assert!(matches!(&request.record.audio_users, UserList::Allow(list) if list.len() == 2));
    assert!(matches!(&request.record.video_users, UserList::Block(list) if list.len() == 1));
    let Storage::Bucket(bucket) = &request.storage else { panic!() };
    assert_eq!((bucket.prefix.to_string(), bucket.secret_key.expose()), ("p1/p2".into(), "s3cret-key"));
    assert!(!format!("{request:#?}").contains("s3cret"), "{request:#?}");

    let Storage::Vod(vod) = read(&to_vod()).unwrap().storage else { panic!() };
    assert_eq!((vod.expire, vod.class, vod.sub_app), (Some(Duration::from_secs(86_400)), 3, Some(9)));
    assert_eq!((vod.media_type, vod.record_id.unwrap().as_str()), (VodMediaType::HlsAndAac, "rec-1"));

    // The client's types write what the server's read.
    let wire: wire::CreateCloudRecordingRequest = serde_json::from_value(create()).unwrap();
    assert_eq!(serde_json::to_value(&wire).unwrap(), create());
    assert_eq!(wire.check().unwrap(), request);
}

#[test]
fn what_a_single_stream_task_does_not_use_is_passed_over() {
    let mut value = create();
    set(&mut value, "RecordParams.RecordMode", Some(json!(1)));
    set(&mut value, "MixLayoutParams.MixLayoutMode", Some(json!(9)));
    set(&mut value, "MixTranscodeParams.VideoParams.Fps", Some(json!(0)));
    assert_eq!(read(&value).unwrap().mode, RecordMode::SingleStream);
    set(&mut value, "MixLayoutParams.MixLayoutMode", Some(json!("3")));
    assert_eq!(
        read(&value).unwrap_err(),
        "InvalidParameter: MixLayoutParams.MixLayoutMode is not an integer"
    );
}

#[test]
fn what_is_required_is_named_by_its_code() {
    for (path, code) in [
        ("SdkAppId", "MissingParameter.SdkAppId"),
        ("RoomId", "MissingParameter.RoomId"),
        ("UserId", "MissingParameter.UserId"),
        ("UserSig", "MissingParameter.UserSig"),
        ("RecordParams", "MissingParameter.RecordParams"),
        ("RecordParams.RecordMode", "MissingParameter.RecordMode"),
        ("StorageParams", "MissingParameter.StorageParams"),
        ("StorageParams.CloudStorage", "MissingParameter.CloudStorage"),
        ("StorageParams.CloudStorage.Vendor", "MissingParameter.Vendor"),
        ("StorageParams.CloudStorage.Region", "MissingParameter.Region"),
        ("StorageParams.CloudStorage.Bucket", "MissingParameter.Bucket"),
        ("StorageParams.CloudStorage.AccessKey", "MissingParameter.AccessKey"),
        ("StorageParams.CloudStorage.SecretKey", "MissingParameter.SecretKey"),
        ("MixTranscodeParams.VideoParams.Width", "MissingParameter"),
        ("MixTranscodeParams.VideoParams.Height", "MissingParameter"),
        ("MixTranscodeParams.VideoParams.Fps", "MissingParameter"),
        ("MixTranscodeParams.VideoParams.BitRate", "MissingParameter"),
        ("MixTranscodeParams.VideoParams.Gop", "MissingParameter"),
        ("MixTranscodeParams.AudioParams.SampleRate", "MissingParameter"),
        ("MixTranscodeParams.AudioParams.Channel", "MissingParameter"),
        ("MixTranscodeParams.AudioParams.BitRate", "MissingParameter"),
        ("MixLayoutParams.MixLayoutMode", "MissingParameter"),
        ("MixLayoutParams.MixLayoutList.1.Top", "MissingParameter"),
        ("MixLayoutParams.MixLayoutList.1.Left", "MissingParameter"),
        ("MixLayoutParams.MixLayoutList.0.Width", "MissingParameter"),
        ("MixLayoutParams.MixLayoutList.0.Height", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.0.WaterMarkImage", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.0.WaterMarkImage.WaterMarkUrl", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.0.WaterMarkImage.Top", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.1.WaterMarkChar", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.1.WaterMarkChar.Chars", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.1.WaterMarkChar.Left", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.2.WaterMarkTimestamp", "MissingParameter"),
        ("MixLayoutParams.WaterMarkList.2.WaterMarkTimestamp.Pos", "MissingParameter"),
    ] {
        for gone in [None, Some(Value::Null)] {
            let mut value = create();
            set(&mut value, path, gone);
            assert_eq!(read(&value).unwrap_err(), format!("{code}: {path} is missing"));
        }
    }
    let mut value = create();
    set(&mut value, "UserSig", Some(json!("")));
    assert_eq!(read(&value).unwrap_err(), "MissingParameter.UserSig: UserSig is missing");
    for action in [Action::DescribeCloudRecording, Action::ModifyCloudRecording, Action::DeleteCloudRecording]
    {
        let missing = |value: Value| other(action, &value).unwrap_err();
        assert_eq!(missing(json!({ "SdkAppId": 1 })), "MissingParameter.TaskId: TaskId is missing");
        assert_eq!(missing(json!({ "TaskId": "t" })), "MissingParameter.SdkAppId: SdkAppId is missing");
    }
}

#[test]
fn every_range_ends_where_it_is_documented() {
    for (path, min, max) in [
        ("SdkAppId", 1, 4_294_967_295),
        ("RoomIdType", 0, 1),
        ("ResourceExpiredHour", 6, 720),
        ("RecordParams.RecordMode", 1, 2),
        ("RecordParams.MaxIdleTime", 5, 86_400),
        ("RecordParams.StreamType", 0, 2),
        ("RecordParams.OutputFormat", 0, 4),
        ("RecordParams.AvMerge", 0, 1),
        ("RecordParams.MaxMediaFileDuration", 1, 1440),
        ("RecordParams.MediaId", 0, 2),
        ("RecordParams.FillType", 0, 1),
        ("RecordParams.SubscribeAbility", 0, 1),
        ("StorageParams.CloudStorage.Vendor", 0, 2),
        ("MixTranscodeParams.VideoParams.Fps", 1, 60),
        ("MixTranscodeParams.VideoParams.BitRate", 64_000, 8_192_000),
        ("MixTranscodeParams.VideoParams.Gop", 1, 3600),
        ("MixTranscodeParams.AudioParams.SampleRate", 1, 3),
        ("MixTranscodeParams.AudioParams.Channel", 1, 2),
        ("MixTranscodeParams.AudioParams.BitRate", 32_000, 128_000),
        ("MixLayoutParams.MixLayoutMode", 1, 4),
        ("MixLayoutParams.MediaId", 0, 1),
        ("MixLayoutParams.PlaceHolderMode", 0, 1),
        ("MixLayoutParams.BackgroundImageRenderMode", 0, 3),
        ("MixLayoutParams.RenderMode", 0, 3),
        ("MixLayoutParams.MaxResolutionUserAlign", 0, 1),
        ("MixLayoutParams.MixLayoutList.1.Alpha", 0, 255),
        ("MixLayoutParams.MixLayoutList.1.RenderMode", 0, 3),
        ("MixLayoutParams.MixLayoutList.1.MediaId", 0, 1),
        ("MixLayoutParams.WaterMarkList.1.WaterMarkChar.FontSize", 1, 1024),
        ("MixLayoutParams.WaterMarkList.2.WaterMarkTimestamp.Pos", 0, 6),
        ("MixLayoutParams.WaterMarkList.2.WaterMarkTimestamp.TimeZone", -12, 14),
    ] {
        let with = |number: i64| {
            let mut value = create();
            set(&mut value, path, Some(json!(number)));
            read(&value)
        };
        for good in [min, max] {
            assert!(with(good).is_ok(), "{path} {good}: {:?}", with(good));
        }
        let code =
            if path == "SdkAppId" { "InvalidParameter.SdkAppId" } else { "InvalidParameter.OutOfRange" };
        for bad in [min - 1, max + 1, i64::MIN, i64::MAX] {
            assert_eq!(with(bad).unwrap_err(), format!("{code}: {path} is {bad}, range {min}..{max}"));
        }
        let mut value = create();
        for wrong in [json!("1"), json!(1.0), json!(true), json!([]), json!({}), json!(u64::MAX)] {
            set(&mut value, path, Some(wrong));
            assert_eq!(read(&value).unwrap_err(), format!("InvalidParameter: {path} is not an integer"));
        }
    }
    let mut value = to_vod();
    for (path, max) in [
        ("ExpireTime", 4_294_967_295_i64),
        ("ClassId", 4_294_967_295),
        ("SubAppId", 4_294_967_295),
        ("MediaType", 4),
    ] {
        let path = format!("StorageParams.CloudVod.TencentVod.{path}");
        for bad in [-1, max + 1] {
            let mut broken = value.clone();
            set(&mut broken, &path, Some(json!(bad)));
            assert_eq!(
                read(&broken).unwrap_err(),
                format!("InvalidParameter.OutOfRange: {path} is {bad}, range 0..{max}")
            );
        }
    }
    for (media, stream, good) in
        [(0, 0, true), (1, 2, true), (2, 0, false), (2, 1, true), (4, 2, false), (4, 1, true)]
    {
        set(&mut value, "RecordParams.StreamType", Some(json!(stream)));
        set(&mut value, "StorageParams.CloudVod.TencentVod.MediaType", Some(json!(media)));
        assert_eq!(read(&value).is_ok(), good, "{media} {stream}");
    }
}

#[test]
fn windows_and_watermarks_are_on_the_canvas() {
    let window = "MixLayoutParams.MixLayoutList.1";
    let image = "MixLayoutParams.WaterMarkList.0.WaterMarkImage";
    let text = "MixLayoutParams.WaterMarkList.1.WaterMarkChar";
    for (object, member, max) in [
        (window, "Top", 1920),
        (window, "Left", 1920),
        (window, "Width", 1920),
        (window, "Height", 1920),
        (image, "Top", 2560),
        (image, "Left", 2560),
        (image, "Width", 2560),
        (image, "Height", 2560),
        (text, "Top", 2560),
        (text, "Width", 2560),
    ] {
        let with = |number: i64| {
            let mut value = create();
            set(&mut value, &format!("{object}.{member}"), Some(json!(number)));
            read(&value)
        };
        assert!(with(0).is_ok(), "{object} {member}");
        for bad in [-1, max + 1] {
            let says = format!("InvalidParameter.OutOfRange: {object}.{member} is {bad}, range 0..{max}");
            assert_eq!(with(bad).unwrap_err(), says);
        }
        let error = with(max).unwrap_err();
        assert!(
            error.contains(&format!("{object} reaches to "))
                && error.ends_with("outside the canvas 1280x720"),
            "{error}"
        );
    }
    // A change comes without the canvas.
    let layout = create()["MixLayoutParams"].clone();
    let change = json!({ "SdkAppId": 1, "TaskId": "t", "MixLayoutParams": layout });
    let Ok(Request::Modify(change)) = other(Action::ModifyCloudRecording, &change) else { panic!() };
    assert!(change.layout.check_canvas(Size::new(1280, 720).unwrap()).is_ok());
    let error = change.layout.check_canvas(Size::new(1278, 720).unwrap()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidParameterOutOfRange);
    assert_eq!(error.path.as_str(), "MixLayoutParams.MixLayoutList.1");
}

#[test]
fn a_change_replaces_the_whole() {
    let change = json!({ "SdkAppId": 1, "TaskId": "t" });
    let Ok(Request::Modify(change)) = other(Action::ModifyCloudRecording, &change) else { panic!() };
    assert_eq!(change.layout, Default::default());
    assert_eq!((change.audio_users, change.video_users), (UserList::Everyone, UserList::Everyone));
    let describe = json!({ "SdkAppId": 1, "TaskId": "../x", "RecorderKey": "k" });
    let Ok(Request::Describe(describe)) = other(Action::DescribeCloudRecording, &describe) else { panic!() };
    assert_eq!(describe.task, "../x");
}

#[test]
fn every_other_rule_has_its_code_and_path() {
    let long = "x".repeat(2000);
    for (path, new, says) in [
        ("Nonsense", json!(1), "UnknownParameter: Nonsense is not recognized"),
        ("RecordParams.Recordmode", json!(1), "UnknownParameter: RecordParams.Recordmode is not recognized"),
        (
            "MixLayoutParams.WaterMarkList.2.x",
            json!(1),
            "UnknownParameter: MixLayoutParams.WaterMarkList.2.x is not recognized",
        ),
        ("RecorderKey", json!("k"), "UnknownParameter: RecorderKey is not recognized"),
        ("RoomId", json!(3560), "InvalidParameter: RoomId is not a string"),
        (
            "RoomId",
            json!("x"),
            "InvalidParameterValue: RoomId breaks a rule: an integer room id is 0 to 4294967295",
        ),
        (
            "UserId",
            json!("a\nb"),
            "InvalidParameterValue: UserId breaks a rule: user id: an id has no control",
        ),
        ("UserSig", json!("a\u{0}"), "InvalidParameterValue: UserSig breaks a rule: no control characters"),
        ("RecordParams", json!([1]), "InvalidParameter: RecordParams is not an object"),
        ("StorageParams", json!("s3cret"), "InvalidParameter: StorageParams is not an object"),
        (
            "StorageParams.CloudStorage.SecretKey",
            json!(5),
            "InvalidParameter: StorageParams.CloudStorage.SecretKey is not a string",
        ),
        (
            "MixLayoutParams.PureAudioDisableLayout",
            json!(1),
            "InvalidParameter: MixLayoutParams.PureAudioDisableLayout is not a boolean",
        ),
        (
            "MixLayoutParams.MixLayoutList",
            json!({}),
            "InvalidParameter: MixLayoutParams.MixLayoutList is not a list",
        ),
        (
            "MixLayoutParams.MixLayoutList.0",
            json!(null),
            "InvalidParameter: MixLayoutParams.MixLayoutList.0 is not an object",
        ),
        (
            "RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds.1",
            json!(7),
            "InvalidParameter: RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds.1 is not a string",
        ),
        (
            "RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds.1",
            json!(""),
            "InvalidParameterValue: RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds.1 breaks a rule",
        ),
        (
            "RecordParams.SubscribeStreamUserIds.UnSubscribeAudioUserIds",
            json!(["x"]),
            "InvalidParameter.OutOfRange: RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds is set together with UnSubscribeAudioUserIds",
        ),
        (
            "RecordParams.SubscribeStreamUserIds.SubscribeVideoUserIds",
            json!(["x"]),
            "InvalidParameter.OutOfRange: RecordParams.SubscribeStreamUserIds.SubscribeVideoUserIds is set together with UnSubscribeVideoUserIds",
        ),
        (
            "RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds",
            json!(vec!["x"; 33]),
            "InvalidParameter.OutOfRange: RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds has 33 entries, at most 32",
        ),
        (
            "MixLayoutParams.MixLayoutList",
            json!(vec![json!({}); 26]),
            "InvalidParameter.OutOfRange: MixLayoutParams.MixLayoutList has 26 entries, at most 25",
        ),
        (
            "MixLayoutParams.WaterMarkList",
            json!(vec![json!({}); 26]),
            "InvalidParameter.OutOfRange: MixLayoutParams.WaterMarkList has 26 entries, at most 25",
        ),
        (
            "MixLayoutParams.WaterMarkList.0.WaterMarkType",
            json!(3),
            "InvalidParameter.OutOfRange: MixLayoutParams.WaterMarkList.0.WaterMarkType is 3, range 0..2",
        ),
        (
            "MixTranscodeParams.VideoParams.Width",
            json!(1281),
            "InvalidParameter.OutOfRange: MixTranscodeParams.VideoParams.Width is 1281, canvas sides are even",
        ),
        (
            "MixTranscodeParams.VideoParams.Width",
            json!(1922),
            "InvalidParameter.OutOfRange: MixTranscodeParams.VideoParams.Width is 1922, range 16..1920",
        ),
        (
            "MixTranscodeParams.VideoParams.Height",
            json!(1920),
            "InvalidParameter.OutOfRange: MixTranscodeParams.VideoParams has 2457600 pixels, at most 2073600",
        ),
        (
            "MixLayoutParams.BackGroundColor",
            json!("red"),
            "InvalidParameterValue: MixLayoutParams.BackGroundColor breaks a rule: a colour is written #RRGGBB",
        ),
        (
            "MixLayoutParams.WaterMarkList.1.WaterMarkChar.FontColor",
            json!("0x12"),
            "InvalidParameterValue: MixLayoutParams.WaterMarkList.1.WaterMarkChar.FontColor breaks a rule",
        ),
        (
            "MixLayoutParams.WaterMarkList.1.WaterMarkChar.Font",
            json!("Arial"),
            "InvalidParameterValue: MixLayoutParams.WaterMarkList.1.WaterMarkChar.Font breaks a rule: a font is",
        ),
        (
            "MixLayoutParams.WaterMarkList.1.WaterMarkChar.Chars",
            json!(long),
            "InvalidParameterValue: MixLayoutParams.WaterMarkList.1.WaterMarkChar.Chars breaks a rule: at most 1024 bytes, this one has 2000",
        ),
        (
            "MixLayoutParams.BackgroundImageUrl",
            json!("http://h/b.gif"),
            "InvalidParameterValue: MixLayoutParams.BackgroundImageUrl breaks a rule: an image URL ends with",
        ),
        (
            "MixLayoutParams.MixLayoutList.1.SubBackgroundImage",
            json!("http://h/$.png"),
            "InvalidParameterValue: MixLayoutParams.MixLayoutList.1.SubBackgroundImage",
        ),
        (
            "StorageParams.CloudStorage.FileNamePrefix",
            json!(["a", "../b"]),
            "InvalidParameterValue: StorageParams.CloudStorage.FileNamePrefix breaks a rule",
        ),
        (
            "StorageParams.CloudStorage.EndpointUrl",
            json!("http://h"),
            "InvalidParameterValue: StorageParams.CloudStorage.EndpointUrl breaks a rule: an endpoint is a host",
        ),
        (
            "StorageParams.CloudStorage.Bucket",
            json!("a\tb"),
            "InvalidParameterValue: StorageParams.CloudStorage.Bucket breaks a rule: no control",
        ),
        (
            "StorageParams.CloudVod",
            json!({}),
            "InvalidParameter.OutOfRange: StorageParams.CloudStorage is set together with CloudVod",
        ),
    ] {
        let mut value = create();
        set(&mut value, path, Some(new));
        let error = read(&value).unwrap_err();
        assert!(error.starts_with(says), "{error}\n{says}");
        assert!(!error.contains("s3cret") && !error.contains("xxxx"), "{error}");
    }
    for member in ["Region", "Bucket"] {
        let path = format!("StorageParams.CloudStorage.{member}");
        let mut value = create();
        set(&mut value, &path, Some(json!("evil.example/")));
        set(&mut value, "StorageParams.CloudStorage.Vendor", Some(json!(1)));
        let elsewhere = read(&value);
        set(&mut value, "StorageParams.CloudStorage.EndpointUrl", None);
        set(&mut value, "StorageParams.CloudStorage.Vendor", Some(json!(0)));
        let says = format!("InvalidParameterValue: {path} breaks a rule: part of a host's name");
        assert!(elsewhere.is_ok(), "{elsewhere:?}");
        assert!(read(&value).unwrap_err().starts_with(&says), "{:?}", read(&value));
    }
    let mut vod = to_vod();
    set(&mut vod, "StorageParams.CloudVod.TencentVod.UserDefineRecordId", Some(json!("a b")));
    assert!(
        read(&vod)
            .unwrap_err()
            .starts_with("InvalidParameterValue: StorageParams.CloudVod.TencentVod.UserDefineRecordId")
    );
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    for (body, says) in [
        (&b""[..], "InvalidParameter: the request is not JSON: line 1, column 0"),
        (b"{", "InvalidParameter: the request is not JSON: line 1, column 1"),
        (b"[]", "InvalidParameter: the request is not an object"),
        (b"null", "InvalidParameter: the request is not an object"),
        (b"\"s3cret\"", "InvalidParameter: the request is not an object"),
        (br#"{"SdkAppId":1,"SdkAppId":2}"#, "InvalidParameter: the request is given twice"),
        (br#"{"a\nb":1}"#, r"UnknownParameter: a\nb is not recognized"),
    ] {
        let error = Request::from_json(Action::DescribeCloudRecording, body).unwrap_err();
        assert_eq!(error.to_string(), says);
    }
    let name = "n".repeat(100_000);
    let error = other(Action::DeleteCloudRecording, &json!({ name: 1 })).unwrap_err();
    assert!(error.len() < 200, "{error}");
    let large = vec![b' '; 1024 * 1024 + 1];
    let error = Request::from_json(Action::DeleteCloudRecording, &large).unwrap_err();
    assert_eq!(error.to_string(), "InvalidParameter: the request has 1048577 bytes, at most 1048576");
    let error = Request::from_query(Action::DeleteCloudRecording, &"x".repeat(32_769)).unwrap_err();
    assert_eq!(error.to_string(), "InvalidParameter: the request has 32769 bytes, at most 32768");
    for (query, says) in [
        ("SdkAppId=1&TaskId=%FF", "InvalidParameter: the request is not form-encoded"),
        ("SdkAppId=x&TaskId=t", "InvalidParameter: SdkAppId is not an integer"),
        ("SdkAppId=1&TaskId=t&TaskId=u", "InvalidParameter: the request is given twice"),
        ("SdkAppId=1&TaskId.0=t", "InvalidParameter: TaskId is not a string"),
        ("SdkAppId=1", "MissingParameter.TaskId: TaskId is missing"),
    ] {
        let error = Request::from_query(Action::DescribeCloudRecording, query).unwrap_err();
        assert_eq!(error.to_string(), says);
    }
    let gap = "SdkAppId=1&TaskId=t&SubscribeStreamUserIds.SubscribeAudioUserIds.1=a";
    let error = Request::from_query(Action::ModifyCloudRecording, gap).unwrap_err();
    assert_eq!(
        error.to_string(),
        "InvalidParameter: SubscribeStreamUserIds.SubscribeAudioUserIds is not a list"
    );
}

#[test]
fn templates_have_their_own_ranges() {
    let template = |more: Value| {
        let mut value = json!({ "StorageParams": least()["StorageParams"] });
        for (name, member) in more.as_object().unwrap() {
            value[name] = member.clone();
        }
        AutoRecording::from_json(value.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    let default = template(json!({})).unwrap();
    assert_eq!((default.stream_type, default.output), (StreamType::AudioAndVideo, OutputFormat::Hls));
    assert_eq!((default.resumption_timeout.as_secs(), default.max_file_duration.as_secs()), (30, 86_400));
    assert!(default.callback_url.is_none() && default.callback_key.is_none());
    let full = json!({ "StreamType": 1, "OutputFormat": 4, "MaxMediaFileDuration": 1, "ResumptionTimeout": 86400,
        "CallbackUrl": "http://h/s3cret", "CallbackKey": "s3cretKey" });
    let full = template(full).unwrap();
    assert_eq!(full.resumption_timeout.as_secs(), 86_400);
    assert!(!format!("{full:?}").contains("s3cret"));
    for (more, says) in [
        (
            json!({ "ResumptionTimeout": 0 }),
            "InvalidParameter.OutOfRange: ResumptionTimeout is 0, range 1..86400",
        ),
        (
            json!({ "ResumptionTimeout": 86401 }),
            "InvalidParameter.OutOfRange: ResumptionTimeout is 86401, range 1..86400",
        ),
        (
            json!({ "MaxMediaFileDuration": 1441 }),
            "InvalidParameter.OutOfRange: MaxMediaFileDuration is 1441, range 1..1440",
        ),
        (
            json!({ "OutputFormat": 4 }),
            "InvalidParameter.OutOfRange: OutputFormat is 4, which is for StreamType 1 only",
        ),
        (json!({ "CallbackUrl": "ftp://h" }), "InvalidParameterValue: CallbackUrl breaks a rule"),
        (json!({ "CallbackKey": "s3cret!" }), "InvalidParameterValue: CallbackKey breaks a rule"),
        (json!({ "StorageParams": null }), "MissingParameter.StorageParams: StorageParams is missing"),
    ] {
        let error = template(more).unwrap_err();
        assert!(error.starts_with(says) && !error.contains("s3cret"), "{error}\n{says}");
    }
}
