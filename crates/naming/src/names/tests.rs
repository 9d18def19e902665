use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::{KeyPrefix, ObjectDir};

const APP: SdkAppId = SdkAppId::new(1_400_000_001);

fn names() -> TaskNames {
    TaskNames::new(APP, RoomId::integer(1001))
}

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn part(index: u32) -> FileIndex {
    FileIndex::Part(NonZeroU32::new(index).unwrap())
}

/// `naming-and-playlists.md` section 4.
#[test]
fn complete_names_match_the_table() {
    use FileIndex::Only;
    use FileKind::{Aac, Mp4};
    use MediaId::{Aux, Main};
    use StreamType::{Audio, Video};

    let alice = user("alice");
    let start = UnixMillis::new(1_700_000_000_123).unwrap();
    let text_room = |room: &str| TaskNames::new(APP, RoomId::text(room).unwrap());
    let single = |names: &TaskNames, id: &str, media, stream| names.single(&user(id), media, stream).unwrap();
    let rows: [(&[&str], ObjectName, &str); 18] = [
        (
            &["p1", "p2"],
            playlist(&single(&names(), "alice", Main, Audio)).unwrap(),
            "p1/p2/task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_audio.m3u8",
        ),
        (
            &["p1", "p2"],
            segment(&single(&names(), "alice", Main, Video), start).unwrap(),
            "p1/p2/task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video_20231114221320123.ts",
        ),
        (
            &[],
            playlist(&single(&names(), "alice", Aux, Video)).unwrap(),
            "task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_aux_video.m3u8",
        ),
        (
            &[],
            playlist(&single(&text_room("room_366"), "1686119", Main, Video)).unwrap(),
            "task01/1400000001_cm9vbV8zNjY.__UserId_s_MTY4NjExOQ..__UserId_e_main_video.m3u8",
        ),
        (
            &[],
            playlist(&single(&text_room("subjects?"), "???", Main, Audio)).unwrap(),
            "task01/1400000001_c3ViamVjdHM-__UserId_s_Pz8-__UserId_e_main_audio.m3u8",
        ),
        (
            &[],
            names().single_file(&alice, Main, Mp4, Only).unwrap(),
            "task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main.mp4",
        ),
        (
            &[],
            names().single_file(&alice, Main, Mp4, part(1)).unwrap(),
            "task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_1.mp4",
        ),
        (
            &[],
            names().single_file(&alice, Main, Mp4, part(2)).unwrap(),
            "task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_2.mp4",
        ),
        (
            &[],
            names().single_file(&alice, Main, Aac, Only).unwrap(),
            "task01/1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main.aac",
        ),
        (&[], playlist(&names().mixed().unwrap()).unwrap(), "task01/1400000001_1001.m3u8"),
        (
            &[],
            segment(&names().mixed().unwrap(), start).unwrap(),
            "task01/1400000001_1001_20231114221320123.ts",
        ),
        (&[], names().mixed_file(Mp4, Only).unwrap(), "task01/1400000001_1001.mp4"),
        (&[], names().mixed_file(Mp4, part(3)).unwrap(), "task01/1400000001_1001_3.mp4"),
        (&[], names().mixed_file(Aac, part(1)).unwrap(), "task01/1400000001_1001_1.aac"),
        (
            &["rec"],
            playlist(&names().with_ha(HaRun::First).mixed().unwrap()).unwrap(),
            "rec/task01/ha1_1400000001_1001.m3u8",
        ),
        (
            &[],
            segment(&names().with_ha(HaRun::First).mixed().unwrap(), start).unwrap(),
            "task01/ha1_1400000001_1001_20231114221320123.ts",
        ),
        (
            &[],
            playlist(&single(&names().with_ha(HaRun::Second), "alice", Main, Audio)).unwrap(),
            "task01/ha2_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_audio.m3u8",
        ),
        (
            &[],
            segment(&single(&names().with_ha(HaRun::Third), "alice", Main, Video), start).unwrap(),
            "task01/ha3_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video_20231114221320123.ts",
        ),
    ];
    for (prefix, name, expected) in rows {
        let dir = ObjectDir::new(KeyPrefix::parse(prefix).unwrap(), "task01".parse().unwrap());
        assert_eq!(dir.key(&name), expected);
    }
}

#[test]
fn a_record_id_stands_before_everything() {
    let lesson = names().with_record_id("lesson-7".parse().unwrap());
    let only = lesson.single_file(&user("alice"), MediaId::Main, FileKind::Mp4, FileIndex::Only).unwrap();
    assert_eq!(only.as_str(), "lesson-7__UserDefine_u_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main.mp4");
    let restarted = lesson.with_ha(HaRun::First).mixed_file(FileKind::Mp4, FileIndex::Only).unwrap();
    assert_eq!(restarted.as_str(), "lesson-7__UserDefine_u_ha1_1400000001_1001.mp4");
}

#[test]
fn merged_and_split_playlists() {
    let stem = names().single(&user("alice"), MediaId::Main, StreamType::AudioVideo).unwrap();
    assert_eq!(
        playlist_part(&stem, part(2)).unwrap().as_str(),
        "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_audiovideo_2.m3u8"
    );
    assert_eq!(StreamType::AudioVideo.track_type(), "audio_video");
    let mixed = names().mixed().unwrap();
    assert_eq!(playlist_part(&mixed, part(1)).unwrap().as_str(), "1400000001_1001_1.m3u8");
}

#[test]
fn the_longest_user_is_refused_before_the_start() {
    let (fits, over) = (user(&"x".repeat(123)), user(&"x".repeat(124)));
    let largest = TaskNames::new(SdkAppId::new(u32::MAX), RoomId::integer(u32::MAX));
    assert_eq!(largest.check_user(&fits), Ok(()));
    assert_eq!(largest.check_user(&over), Err(NameError::TooLong { len: 259 }));

    // What was accepted can be written in every form, under the suffix of a store.
    let stem = largest.with_ha(HaRun::Third).single(&fits, MediaId::Main, StreamType::AudioVideo).unwrap();
    let longest = segment(&stem, UnixMillis::MAX).unwrap();
    assert_eq!(longest.as_str().len(), 247);
    assert!(playlist_part(&stem, part(u32::MAX)).unwrap().as_str().len() < 247);

    // The first run refuses what the third restart could not write.
    let first = TaskNames::new(SdkAppId::new(u32::MAX), RoomId::integer(u32::MAX));
    assert!(first.single(&over, MediaId::Main, StreamType::Audio).is_err());
    assert!(first.single_file(&over, MediaId::Main, FileKind::Mp4, FileIndex::Only).is_err());
}

#[test]
fn long_rooms_and_record_ids_count_too() {
    let room = |len| TaskNames::new(SdkAppId::new(u32::MAX), RoomId::text(&"r".repeat(len)).unwrap());
    assert_eq!(room(156).check_mixed(), Ok(()));
    assert!(room(156).mixed().is_ok());
    assert_eq!(room(157).check_mixed(), Err(NameError::TooLong { len: 256 }));
    assert!(room(157).mixed().is_err());
    assert!(room(1024).mixed_file(FileKind::Aac, FileIndex::Only).is_err());
    assert!(room(60).check_user(&user(&"x".repeat(60))).is_ok());
    assert!(room(60).check_user(&user(&"x".repeat(90))).is_err());
    let record = "i".repeat(64).parse().unwrap();
    assert!(room(60).with_record_id(record).check_user(&user(&"x".repeat(60))).is_err());
}

#[test]
fn a_stem_from_elsewhere_can_be_too_long() {
    let stem: ObjectName = "x".repeat(255).parse().unwrap();
    assert_eq!(playlist(&stem), Err(NameError::TooLong { len: 260 }));
    assert_eq!(segment(&stem, UnixMillis::EPOCH), Err(NameError::TooLong { len: 276 }));
}

proptest! {
    #[test]
    fn check_user_tells_exactly_what_fits(id in "\\PC{1,60}", room in "\\PC{1,40}", text_room: bool) {
        let room = if text_room { RoomId::text(&room) } else { Ok(RoomId::integer(7)) };
        let (Ok(room), Ok(user)) = (room, id.parse::<UserId>()) else { return Ok(()) };
        let task = TaskNames::new(SdkAppId::new(42), room).with_ha(HaRun::Third);
        let longest = format!(
            "{task}__UserId_s_{}__UserId_e_main_audiovideo_{}.ts########",
            encode_field(id.as_bytes()),
            UnixMillis::MAX.utc_digits(),
        );
        prop_assert_eq!(task.check_user(&user).is_ok(), longest.len() <= 255);
        prop_assert_eq!(task.single(&user, MediaId::Aux, StreamType::Video).is_ok(), longest.len() <= 255);
    }
}
