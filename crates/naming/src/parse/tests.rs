use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::UserDefineRecordId;

const SINGLE: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main";

fn parse(name: &str) -> Result<ParsedName, ParseNameError> {
    ParsedName::parse(name, RoomIdKind::Integer)
}

#[test]
fn both_underscore_forms_are_read_and_the_double_one_is_written() {
    let double = format!("{SINGLE}_video.m3u8");
    for name in [
        double.as_str(),
        "1400000001_1001_UserId_s_YWxpY2U._UserId_e_main_video.m3u8",
        "1400000001_1001__UserId_s_YWxpY2U._UserId_e_main_video.m3u8",
        "1400000001_1001_UserId_s_YWxpY2U.__UserId_e_main_video.m3u8",
    ] {
        let parsed = parse(name).unwrap();
        assert_eq!(parsed.user().map(UserId::as_str), Some("alice"), "{name}");
        assert_eq!(parsed.encode().unwrap().as_str(), double, "{name}");
    }
}

#[test]
fn the_room_kind_decides_what_digits_mean() {
    let as_number = ParsedName::parse("1400000001_4420.mp4", RoomIdKind::Integer).unwrap();
    let as_text = ParsedName::parse("1400000001_4420.mp4", RoomIdKind::Text).unwrap();
    assert_eq!(as_number.task().room().as_integer(), Some(4420));
    assert_eq!(as_text.task().room().as_text(), Some("㍴"));
}

#[test]
fn the_last_record_id_marker_counts() {
    for id in ["a__UserDefine_u_b", "__UserDefine_u_", "x_", "ha1_1_1", "_"] {
        let name = format!("{id}__UserDefine_u_ha2_7_8_3.aac");
        let parsed = parse(&name).unwrap();
        assert_eq!(parsed.task().record_id().map(UserDefineRecordId::as_str), Some(id));
        assert_eq!(parsed.encode().unwrap().as_str(), name);
    }
}

#[test]
fn errors_name_the_field_and_its_place() {
    use NameField::*;
    let table = [
        ("", Extension, 0),
        ("1_2", Extension, 3),
        ("1_2.TS", Extension, 6),
        (".m3u8", SdkAppId, 0),
        ("x_2.m3u8", SdkAppId, 0),
        ("01_2.m3u8", SdkAppId, 0),
        ("4294967296_2.m3u8", SdkAppId, 0),
        ("1.m3u8", RoomId, 1),
        ("1_.m3u8", RoomId, 2),
        ("1_-2.m3u8", RoomId, 2),
        ("1_007.m3u8", RoomId, 2),
        ("../1_2.m3u8", SdkAppId, 0),
        ("task01/1_2.m3u8", SdkAppId, 0),
        ("ha0_1_2.m3u8", HaRun, 2),
        ("ha4_1_2.m3u8", HaRun, 2),
        ("ha_1_2.m3u8", HaRun, 2),
        ("ha01_1_2.m3u8", HaRun, 2),
        ("ha1.m3u8", SdkAppId, 3),
        ("__UserDefine_u_1_2.mp4", RecordId, 0),
        ("a.b__UserDefine_u_1_2.mp4", RecordId, 0),
        ("1_2__UserId_s___UserId_e_main.mp4", UserId, 14),
        ("1_2__UserId_s_YQ==__UserId_e_main.mp4", UserId, 14),
        ("1_2__UserId_s_Cg..__UserId_e_main.mp4", UserId, 14),
        ("1_2__UserId_s_7-..__UserId_e_main.mp4", UserId, 14),
        ("1_2__UserId_s_YQ..main.mp4", UserId, 14),
        ("1_2__UserId_s_YQ.._main.mp4", UserEnd, 18),
        ("1_2__UserId_s_YQ..__UserId_e_mix.mp4", MediaId, 29),
        ("1_2__UserId_s_YQ..__UserId_e_main.ts", Type, 33),
        ("1_2__UserId_s_YQ..__UserId_e_main_audio_video.m3u8", Index, 40),
        ("1_2__UserId_s_YQ..__UserId_e_main_both.m3u8", Type, 34),
        ("1_2__UserId_s_YQ..__UserId_e_main_video.ts", Utc, 39),
        ("1_2__UserId_s_YQ..__UserId_e_main_video_20230229000000000.ts", Utc, 40),
        ("1_2__UserId_s_YQ..__UserId_e_main_video_1_2.m3u8", Extension, 41),
        ("1_2.ts", Utc, 3),
        ("1_2_0.mp4", Index, 4),
        ("1_2_01.mp4", Index, 4),
        ("1_2_+1.mp4", Index, 4),
        ("1_2_.mp4", Index, 4),
        ("1_2_3_4.mp4", Extension, 5),
        ("1_2_3x.mp4", Index, 4),
        ("1_2\n.mp4", RoomId, 2),
    ];
    for (name, field, at) in table {
        let error = parse(name).unwrap_err();
        assert_eq!((error.field(), error.at()), (field, at), "{name:?}: {error}");
    }
}

fn any_user() -> impl Strategy<Value = UserId> {
    let any_char =
        any::<char>().prop_filter("control", |c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'));
    proptest::collection::vec(any_char, 1..30)
        .prop_map(|c| c.into_iter().collect::<String>().parse().unwrap())
}

fn any_room(kind: RoomIdKind) -> BoxedStrategy<RoomId> {
    match kind {
        RoomIdKind::Integer => any::<u32>().prop_map(RoomId::integer).boxed(),
        RoomIdKind::Text => any_user()
            .prop_filter("short", |user| user.as_str().len() <= 24)
            .prop_map(|user| RoomId::text(user.as_str()).unwrap())
            .boxed(),
    }
}

prop_compose! {
    fn any_task(kind: RoomIdKind)(
        app: u32,
        room in any_room(kind),
        ha in select(vec![None, HaRun::new(1), HaRun::new(2), HaRun::new(3)]),
        record_id in proptest::option::of("[a-zA-Z0-9_-]{1,12}"),
    ) -> TaskNames {
        let mut task = TaskNames::new(SdkAppId::new(app), room);
        if let Some(run) = ha {
            task = task.with_ha(run);
        }
        match record_id {
            Some(id) => task.with_record_id(id.parse().unwrap()),
            None => task,
        }
    }
}

fn any_index() -> impl Strategy<Value = FileIndex> {
    any::<u32>().prop_map(|n| NonZeroU32::new(n).map_or(FileIndex::Only, FileIndex::Part))
}

fn any_name(kind: RoomIdKind) -> impl Strategy<Value = ParsedName> {
    let user = any_user().prop_filter("short", |user| user.as_str().len() <= 60);
    let media = select(vec![MediaId::Main, MediaId::Aux]);
    let stream = select(vec![StreamType::Audio, StreamType::Video, StreamType::AudioVideo]);
    let file = select(vec![FileKind::Mp4, FileKind::Aac]);
    let start = (0..=UnixMillis::MAX.get()).prop_map(|millis| UnixMillis::new(millis).unwrap());
    (0..6u8, any_task(kind), user, media, stream, file, any_index(), start).prop_map(
        |(which, task, user, media, stream, kind, index, start)| match which {
            0 => ParsedName::SinglePlaylist { task, user, media, stream, index },
            1 => ParsedName::SingleSegment { task, user, media, stream, start },
            2 => ParsedName::SingleFile { task, user, media, kind, index },
            3 => ParsedName::MixedPlaylist { task, index },
            4 => ParsedName::MixedSegment { task, start },
            _ => ParsedName::MixedFile { task, kind, index },
        },
    )
}

proptest! {
    #[test]
    fn names_with_integer_rooms_round_trip(name in any_name(RoomIdKind::Integer)) {
        let text = name.encode().unwrap();
        prop_assert_eq!(ParsedName::parse(text.as_str(), RoomIdKind::Integer), Ok(name));
    }

    #[test]
    fn names_with_text_rooms_round_trip(name in any_name(RoomIdKind::Text)) {
        match name.encode() {
            Ok(text) => prop_assert_eq!(ParsedName::parse(text.as_str(), RoomIdKind::Text), Ok(name)),
            Err(NameError::TooLong { len }) => prop_assert!(len > ObjectName::MAX_BYTES),
        }
    }

    #[test]
    fn different_values_never_share_a_name(
        names in proptest::collection::vec(any_name(RoomIdKind::Integer), 2..20),
    ) {
        let mut seen = HashMap::new();
        for name in names {
            let text = name.encode().unwrap();
            if let Some(other) = seen.insert(text, name.clone()) {
                prop_assert_eq!(other, name);
            }
        }
    }

    #[test]
    fn whatever_is_read_is_written_the_same(name in "(ha[1-3]_)?[0-9]{1,3}_[0-9A-Za-z.]{1,5}(_[0-9]{1,2})?\\.(mp4|m3u8|aac)") {
        for kind in [RoomIdKind::Integer, RoomIdKind::Text] {
            if let Ok(parsed) = ParsedName::parse(&name, kind) {
                let written = parsed.encode().unwrap();
                prop_assert_eq!(written.as_str(), &name);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(name in "\\PC{0,80}", tail in select(vec!["", ".ts", ".m3u8", ".mp4"])) {
        let _ = ParsedName::parse(&format!("{name}{tail}"), RoomIdKind::Text);
        let _ = ParsedName::parse(&format!("1_2__UserId_s_{name}{tail}"), RoomIdKind::Integer);
    }
}
