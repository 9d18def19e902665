use proptest::prelude::*;

use super::*;
use crate::{
    FailoverStatus, FileName, FileSlice, LeaveCode, Mp4File, Mp4Status, Mp4Stop, RecordedMedia, StartStatus,
    TrackType, UploadError, UploadStatus, VodCommit, VodCommitStatus, VodFile, VodStopStatus,
};

const PLAYLIST: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video.m3u8";
const MP4: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main.mp4";

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(millis).unwrap()
}

fn name(text: &str) -> FileName {
    text.parse().unwrap()
}

fn body(payload: Payload) -> CallbackBody {
    let event = Event::new(
        at(1_700_000_000_123),
        &RoomId::integer(1001),
        "recorder".parse().unwrap(),
        "task01".parse().unwrap(),
        payload,
    );
    CallbackBody::new(event, at(1_700_000_000_456))
}

fn vod_file() -> VodFile {
    VodFile {
        user: Some("alice".parse().unwrap()),
        track_type: TrackType::AudioVideo,
        media: Some(RecordedMedia::Main),
        file_id: Some("1234567890".into()),
        video_url: Some("http://vod.example/f0.mp4".into()),
        cache_file: name(MP4),
        start: Some(at(1_700_000_000_123)),
        end: Some(at(1_700_000_026_151)),
    }
}

/// `callbacks.md` section 6: payload, number, `EventTs` and `Payload` as written.
fn examples() -> Vec<(Payload, u32, &'static str, String)> {
    let (text, number) = ("\"1700000000\"", "1700000000");
    let alice = Some("alice".parse().unwrap());
    let mp4 = Mp4File {
        file_name: name(MP4),
        user: alice.clone(),
        track_type: TrackType::AudioVideo,
        media: RecordedMedia::Main,
        start: at(1_700_000_000_123),
        end: at(1_700_000_026_151),
    };
    let slice = FileSlice {
        file_name: name(PLAYLIST),
        user: alice,
        track_type: TrackType::Video,
        begin: at(1_700_000_000_123),
    };
    let upload_error = UploadError { code: "InvalidParameter".into(), message: "AccessKey invalid".into() };
    let committed = VodCommit { status: VodCommitStatus::DELIVERED, error: None, file: vod_file() };
    let failed = VodCommit {
        status: VodCommitStatus::ERROR,
        error: Some("...".into()),
        file: VodFile { media: None, file_id: None, video_url: None, start: None, end: None, ..vod_file() },
    };
    let status = |number: u32| format!(r#"{{"Status":{number}}}"#);
    vec![
        (Payload::RecorderStart(StartStatus::STARTED), 301, text, status(0)),
        (Payload::RecorderStop(LeaveCode::API_STOP), 302, text, r#"{"LeaveCode":0}"#.into()),
        (Payload::UploadStart(StartStatus::STARTED), 303, number, status(0)),
        (Payload::FileInfo(name(PLAYLIST)), 304, number, format!(r#"{{"FileList":"{PLAYLIST}"}}"#)),
        (Payload::UploadStop(UploadStatus::ALL_STORED), 305, number, status(0)),
        (Payload::Failover(FailoverStatus::COMPLETE), 306, number, status(0)),
        (
            Payload::FileSlice(slice),
            307,
            text,
            format!(
                r#"{{"FileName":"{PLAYLIST}","UserId":"alice","TrackType":"video","BeginTimeStamp":1700000000123}}"#
            ),
        ),
        (
            Payload::UploadError(upload_error),
            308,
            number,
            r#"{"Code":"InvalidParameter","Message":"AccessKey invalid"}"#.into(),
        ),
        (
            Payload::DownloadImageError { url: "http://127.0.0.1/logo.png".into() },
            309,
            number,
            r#"{"Url":"http://127.0.0.1/logo.png"}"#.into(),
        ),
        (
            Payload::Mp4Stop(Mp4Stop::new(Mp4Status::ALL_STORED, vec![mp4])),
            310,
            number,
            format!(
                r#"{{"Status":0,"FileList":["{MP4}"],"FileMessage":[{{"FileName":"{MP4}","UserId":"alice","TrackType":"audio_video","MediaId":"main","StartTimeStamp":1700000000123,"EndTimeStamp":1700000026151}}]}}"#
            ),
        ),
        (
            Payload::VodCommit(committed),
            311,
            number,
            format!(
                r#"{{"Status":0,"TencentVod":{{"UserId":"alice","TrackType":"audio_video","MediaId":"main","FileId":"1234567890","VideoUrl":"http://vod.example/f0.mp4","CacheFile":"{MP4}","StartTimeStamp":1700000000123,"EndTimeStamp":1700000026151}}}}"#
            ),
        ),
        (
            Payload::VodCommit(failed),
            311,
            number,
            format!(
                r#"{{"Status":2,"Errmsg":"...","TencentVod":{{"UserId":"alice","TrackType":"audio_video","CacheFile":"{MP4}"}}}}"#
            ),
        ),
        (Payload::VodStop(VodStopStatus::NORMAL), 312, number, status(0)),
    ]
}

#[test]
fn the_example_bodies_are_written_to_the_byte_and_read_back() {
    for (payload, number, seconds, json) in examples() {
        let expected = format!(
            r#"{{"EventGroupId":3,"EventType":{number},"CallbackTs":1700000000456,"EventInfo":{{"RoomId":"1001","EventTs":{seconds},"EventMsTs":1700000000123,"UserId":"recorder","TaskId":"task01","Payload":{json}}}}}"#
        );
        let body = body(payload);
        assert_eq!(body.to_json_bytes(), expected.as_bytes(), "{number}");
        assert_eq!(CallbackBody::from_json(expected.as_bytes()).unwrap(), body, "{number}");
        assert_eq!(serde_json::from_str::<CallbackBody>(&expected).unwrap(), body, "{number}");
    }
}

#[test]
fn numbers_and_strings_are_both_read() {
    for (payload, number, seconds, json) in examples() {
        let other = if seconds.starts_with('"') {
            seconds.trim_matches('"').to_owned()
        } else {
            format!("\"{seconds}\"")
        };
        let json = json.replace("\"BeginTimeStamp\":1700000000123", "\"BeginTimeStamp\":\"1700000000123\"");
        let json = json.replace("\"StartTimeStamp\":1700000000123", "\"StartTimeStamp\":\"1700000000123\"");
        let text = format!(
            "{{ \"EventInfo\": {{\"Payload\":{json},\n\t\"New\":[1],\"TaskId\":\"task01\",\"UserId\":\"recorder\",\"EventMsTs\":1700000000123,\"EventTs\":{other},\"RoomId\":1001}},\"CallbackTs\":1700000000456,\"EventType\":{number},\"EventGroupId\":3,\"X\":null}}"
        );
        assert_eq!(CallbackBody::from_json(text.as_bytes()).unwrap(), body(payload), "{number}");
    }
}

#[test]
fn older_editions_are_read() {
    let frame = |event_type: u32, payload: &str| {
        let text = format!(
            r#"{{"EventGroupId":3,"EventType":{event_type},"CallbackTs":5,"EventInfo":{{"RoomId":"r","EventTs":1700000000,"UserId":"u","TaskId":"t","Payload":{payload}}}}}"#
        );
        CallbackBody::from_json(text.as_bytes()).unwrap().into_event()
    };
    let stop = frame(305, r#"{"LeaveCode":1}"#);
    assert_eq!(stop.payload(), &Payload::UploadStop(UploadStatus::SOME_KEPT_BACK));
    assert_eq!(stop.time(), at(1_700_000_000_000));
    let mp4 = frame(310, &format!(r#"{{"Status":0,"FileList":["{MP4}"]}}"#));
    assert_eq!(
        mp4.payload(),
        &Payload::Mp4Stop(Mp4Stop { status: Mp4Status::ALL_STORED, names: vec![name(MP4)], files: vec![] })
    );
    assert_eq!(frame(302, r#"{"LeaveCode":7}"#).payload(), &Payload::RecorderStop(LeaveCode::new(7)));
    let mixed =
        frame(307, r#"{"FileName":"1_2.m3u8","UserId":"","TrackType":"audio_video","BeginTimeStamp":0}"#);
    assert!(matches!(mixed.payload(), Payload::FileSlice(FileSlice { user: None, .. })));
}

#[test]
fn what_is_no_callback_of_a_recording_is_refused_by_name() {
    let with = |from: &str, to: &str| {
        let json =
            String::from_utf8(body(Payload::RecorderStart(StartStatus::STARTED)).to_json_bytes().to_vec())
                .unwrap();
        assert!(json.contains(from), "{from}");
        CallbackBody::from_json(json.replace(from, to).as_bytes()).unwrap_err()
    };
    assert!(matches!(with("\"EventGroupId\":3", "\"EventGroupId\":1"), BodyError::OtherGroup { group: 1 }));
    assert!(matches!(with(":301", ":313"), BodyError::UnknownType { event_type: 313 }));
    assert!(matches!(with(":1700000000456", ":253402300800000"), BodyError::Time { field: "CallbackTs" }));
    assert!(matches!(with(":1700000000123", ":18446744073709551615"), BodyError::Time { field: "EventTs" }));
    for (from, to) in [
        ("\"1001\"", "\"a\\nb\""),
        ("\"1001\"", "\"\""),
        ("\"1001\"", "-1"),
        ("\"recorder\"", "\"\""),
        ("\"task01\"", "\"../x\""),
        ("{\"Status\":0}", "{}"),
        ("{\"Status\":0}", "{\"Status\":-1}"),
        ("{\"Status\":0}", "null"),
        ("}", ""),
    ] {
        assert!(matches!(with(from, to), BodyError::Json(_)), "{from} {to}");
    }
    // A room callback has another shape inside: the group is what counts.
    let room = br#"{"EventGroupId":1,"EventType":101,"CallbackTs":1,"EventInfo":{"RoomId":1,"EventTs":1,"UserId":"u"}}"#;
    assert!(matches!(CallbackBody::from_json(room), Err(BodyError::OtherGroup { group: 1 })));
}

#[test]
fn file_names_never_leave_their_directory() {
    for bad in ["", "..", ".hidden", "a/b", "a\\b", "a b", "a\n", "ü", &"x".repeat(1025)] {
        assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_retry_has_the_same_key_and_nothing_else_has() {
    let first = body(Payload::RecorderStart(StartStatus::STARTED));
    let again = CallbackBody::new(first.event().clone(), at(1_700_000_055_000));
    assert_eq!(first.event().dedup_key(), again.event().dedup_key());
    let read = CallbackBody::from_json(&again.to_json_bytes()).unwrap();
    assert_eq!(read.event().dedup_key(), first.event().dedup_key());

    let mut keys: Vec<_> = examples().into_iter().map(|row| body(row.0).event().dedup_key()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), examples().len());
    assert!(first.event().dedup_key().to_string().starts_with("task01/301/1700000000123/"));
}

#[test]
fn numbers_of_types() {
    let numbers: Vec<u32> = EventType::ALL.into_iter().map(EventType::number).collect();
    assert_eq!(numbers, (301..=312).collect::<Vec<_>>());
    assert!(
        EventType::ALL.into_iter().all(|event_type| EventType::new(event_type.number()) == Some(event_type))
    );
    assert_eq!((EventType::new(300), EventType::new(313)), (None, None));
}

proptest! {
    #[test]
    fn any_text_survives(
        room in "\\PC{1,20}", robot in "\\PC{1,20}", task in "[A-Za-z0-9+._-]{3,20}",
        code in "(?s).{0,20}", message in "(?s).{0,50}",
        time in 0..=UnixMillis::MAX.get(), sent in 0..=UnixMillis::MAX.get(),
    ) {
        let (Ok(room), Ok(robot), Ok(task)) = (RoomId::text(&room), robot.parse(), task.parse()) else { return Ok(()) };
        let payload = Payload::UploadError(UploadError { code, message });
        let body = CallbackBody::new(Event::new(at(time), &room, robot, task, payload), at(sent));
        let bytes = body.to_json_bytes();
        prop_assert!(bytes.iter().all(|b| *b >= 0x20), "one line without control characters");
        prop_assert_eq!(CallbackBody::from_json(&bytes).unwrap(), body);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = CallbackBody::from_json(&bytes);
    }
}
