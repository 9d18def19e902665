//! Playlists that other systems wrote, and texts that are wrong in one place each.

use proptest::prelude::*;
use recorder_hls::read_playlist::{MediaPlaylist, PlaylistType, ReadPlaylistError};
use recorder_testkit::media::read_media;
use recorder_types::{Size, UnixMillis};

fn read(path: &str) -> Option<Result<MediaPlaylist, ReadPlaylistError>> {
    let bytes = read_media(path)?;
    Some(std::str::from_utf8(&bytes).map(str::parse).expect("the corpus is UTF-8"))
}

#[test]
fn playlists_of_other_systems_are_read() {
    // File, segments, target duration, sum of durations in ms, ended, all URIs local.
    for (path, segments, target, millis, ended, local) in [
        ("hls/manifests/prog_index.m3u8", None, 6, None, true, true),
        ("hls/manifests/missingEndlist.m3u8", Some(2), 10, Some(20_000), false, true),
        ("hls/manifests/discontinuity.m3u8", Some(9), 19, Some(106_000), true, true),
        ("hls/manifests/program-date-time.m3u8", Some(4), 4, Some(8_000), false, true),
        ("hls/manifests/byteRange.m3u8", Some(17), 10, Some(161_417), true, true),
        ("hls/manifests/whiteSpace.m3u8", Some(4), 10, Some(40_000), true, false),
        ("hls/manifests/vendor-doc-trtc.m3u8", Some(3), 70, Some(36_051), true, true),
        ("hls/gap/playlist.m3u8", Some(8), 5, Some(32_032), true, true),
        ("hls/ts-rollover/playlist.m3u8", Some(10), 2, Some(20_000), true, true),
        ("hls/opus-screenshare/playlist.m3u8", Some(1), 8, Some(10_411), true, true),
        ("hls/raw-aac/stream.m4a.m3u8", Some(4), 11, Some(39_985), true, true),
        ("hls/speaker-aac/media.m3u8", Some(1), 10, Some(9_977), true, true),
    ] {
        let Some(playlist) = read(path) else { continue };
        let playlist = playlist.unwrap_or_else(|error| panic!("{path}: {error}"));
        if let Some(segments) = segments {
            assert_eq!(playlist.segments.len(), segments, "{path}");
        }
        assert_eq!((playlist.target_duration, playlist.ended), (target, ended), "{path}");
        if let Some(millis) = millis {
            let nanos: i64 = playlist.segments.iter().map(|s| s.duration.round_to_room_time().nanos()).sum();
            assert_eq!((nanos + 500_000) / 1_000_000, millis, "{path}");
        }
        assert_eq!(playlist.segments.iter().all(|s| s.uri.is_local_name()), local, "{path}");
    }
}

#[test]
fn playlists_that_are_none_are_refused_with_their_line() {
    for (path, want) in [
        ("hls/manifests/brightcove.m3u8", ReadPlaylistError::Master { line: 2, tag: "EXT-X-STREAM-INF" }),
        (
            "hls/manifests/emptyTargetDuration.m3u8",
            ReadPlaylistError::Value { line: 2, tag: "EXT-X-TARGETDURATION" },
        ),
        (
            "hls/manifests/twoMediaSequences.m3u8",
            ReadPlaylistError::Repeated { line: 4, tag: "EXT-X-MEDIA-SEQUENCE" },
        ),
        ("hls/manifests/vendor-doc-agora-fragment.m3u8", ReadPlaylistError::NoHeader),
        ("hls/raw-aac/manifest.m3u8", ReadPlaylistError::Master { line: 3, tag: "EXT-X-STREAM-INF" }),
    ] {
        if let Some(read) = read(path) {
            assert_eq!(read, Err(want), "{path}");
        }
    }
}

#[test]
fn details_of_foreign_playlists_are_kept() {
    if let Some(vendor) = read("hls/manifests/vendor-doc-trtc.m3u8") {
        let vendor = vendor.unwrap();
        assert_eq!(vendor.recording.start, UnixMillis::new(1_622_425_551_884));
        assert_eq!(vendor.recording.user_id, None);
        let second = &vendor.segments[1];
        assert_eq!(second.video.as_ref().unwrap().size, Size::new(1920, 1080));
        assert_eq!((second.duration.to_string().as_str(), second.line), ("11.901", 11));
    }
    if let Some(gap) = read("hls/gap/playlist.m3u8") {
        let gap = gap.unwrap();
        let missing: Vec<_> = gap.segments.iter().filter(|s| s.gap).map(|s| s.uri.as_str()).collect();
        assert_eq!((missing.as_slice(), gap.version), (["1.ts", "5.ts"].as_slice(), 10));
        assert_eq!(gap.playlist_type, Some(PlaylistType::Vod));
    }
    if let Some(ranges) = read("hls/manifests/byteRange.m3u8") {
        let ranges = ranges.unwrap();
        let of = |n: usize| ranges.segments[n].byte_range.map(|range| (range.length, range.offset));
        assert_eq!([of(0), of(1)], [None, Some((587_500, Some(522_828)))]);
        assert_eq!(of(2), Some((713_084, None)), "another resource: there is no range to follow");
    }
    if let Some(map) = read("hls/manifests/prog_index.m3u8") {
        let map = map.unwrap();
        assert!(map.independent_segments && map.media_sequence == 1);
        for segment in &map.segments {
            let init = segment.map.as_ref().expect("the map stays in force");
            assert_eq!(init.uri.as_str(), "main.mp4");
            assert_eq!(init.byte_range.map(|range| (range.length, range.offset)), Some((604, Some(0))));
        }
    }
    if let Some(rollover) = read("hls/ts-rollover/playlist.m3u8") {
        let rollover = rollover.unwrap();
        let dates: Vec<_> = rollover.segments.iter().map(|s| s.program_date_time_millis.unwrap()).collect();
        assert_eq!(dates[0], 1_709_593_337_684);
        assert!(dates.windows(2).all(|pair| pair[1] - pair[0] == 2_000));
    }
    if let Some(cuts) = read("hls/manifests/discontinuity.m3u8") {
        let marked: Vec<_> = cuts.unwrap().segments.iter().map(|s| s.discontinuity).collect();
        assert_eq!(marked, [false, false, true, false, true, false, false, true, false]);
    }
}

const RECORDING: &str = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-ALLOW-CACHE:NO
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-TARGETDURATION:12
#EXT-X-TRTC-VERSION:0000000
#EXT-X-TRTC-DATE:2023-11-01 00:00:00 +0000
#EXT-X-TRTC-START-REC-TIME:1700000000123
#EXT-X-TRTC-MEDIA-ID:main
#EXT-X-TRTC-USER-ID:al:ice, \u{e9}
#EXT-X-TRTC-MIX-STREAM:0
#EXT-X-TRTC-STREAM-TYPE:1
#EXT-X-TRTC-VIDEO-METADATA:WIDTH:640 HEIGHT:480 Codec:27
#EXT-X-TRTC-FILE-ATTR:1700000000123,188000
#EXTINF:10.08,
a_20231114221320123.ts
#EXT-X-TRTC-VIDEO-METADATA:Codec:27 HEIGHT:720 Rotate:90 WIDTH:1280
#EXT-X-TRTC-AUDIO-METADATA:Channel:1 SampleRate:48000 SampleFormat:1 Codec:86018
#EXT-X-DISCONTINUITY
#EXT-X-TRTC-NEW:what
#EXT-X-TRTC-FILE-ATTR:1700000010203,206800
#EXTINF:4.37792,title, with comma
a_20231114221330203.ts
#EXT-X-ENDLIST
";

#[test]
fn all_tags_of_the_recorder_are_read() {
    for text in [RECORDING.to_owned(), RECORDING.replace('\n', "\r\n")] {
        let playlist: MediaPlaylist = text.parse().unwrap();
        let tags = &playlist.recording;
        assert_eq!(tags.version.as_deref(), Some("0000000"));
        assert_eq!(tags.date.as_deref(), Some("2023-11-01 00:00:00 +0000"));
        assert_eq!(tags.start, UnixMillis::new(1_700_000_000_123));
        assert_eq!(
            (tags.media_id.as_deref(), tags.user_id.as_deref()),
            (Some("main"), Some("al:ice, \u{e9}"))
        );
        assert_eq!((tags.mixed, tags.stream_type), (Some(false), Some(1)));
        let [first, second] = playlist.segments.as_slice() else { panic!("two segments") };
        let video = |segment: &recorder_hls::read_playlist::Segment| segment.video.as_ref().unwrap().size;
        assert_eq!((video(first), video(second)), (Size::new(640, 480), Size::new(1280, 720)));
        assert!(first.audio.is_none() && second.audio.as_ref().unwrap().sample_rate == Some(48_000));
        assert!(!first.discontinuity && second.discontinuity);
        assert_eq!(second.title, "title, with comma");
        assert_eq!(
            second.file_attr.map(|attr| (attr.start.get(), attr.bytes)),
            Some((1_700_000_010_203, 206_800))
        );
        assert_eq!(second.unknown_tags[0].name, "EXT-X-TRTC-NEW");
        assert_eq!(second.unknown_tags[0].value.as_deref(), Some("what"));
        assert!(playlist.ended && playlist.unknown_tags.is_empty());
    }
}

#[test]
fn each_bad_line_is_told_with_its_number() {
    use ReadPlaylistError::*;
    let list = |body: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n{body}");
    for (text, want) in [
        (String::new(), NoHeader),
        ("\u{feff}#EXTM3U\n".into(), NoHeader),
        ("#EXTM3U8\n".into(), NoHeader),
        ("#EXTM3U\n#EXTINF:1,\na\n".into(), NoTargetDuration),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:ten\n".into(), Value { line: 2, tag: "EXT-X-TARGETDURATION" }),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:9.5\n".into(), Value { line: 2, tag: "EXT-X-TARGETDURATION" }),
        ("#EXTM3U\n#EXT-X-TARGETDURATION\n".into(), Value { line: 2, tag: "EXT-X-TARGETDURATION" }),
        (list("#EXTINF:nan,\na\n"), Value { line: 3, tag: "EXTINF" }),
        (list("#EXTINF:-1,\na\n"), Value { line: 3, tag: "EXTINF" }),
        (list("#EXTINF:,\na\n"), Value { line: 3, tag: "EXTINF" }),
        (list("#EXTINF:1\n#EXTINF:2\na\n"), Repeated { line: 4, tag: "EXTINF" }),
        (list("#EXTINF:1\n"), NoSegment { line: 3 }),
        (list("a.ts\n"), NoDuration { line: 3 }),
        (list("#EXTINF:1\na\u{0}b\n"), Control { line: 4 }),
        (list("#EXT-X-BYTERANGE:5@\n#EXTINF:1\na\n"), Value { line: 3, tag: "EXT-X-BYTERANGE" }),
        (
            list("#EXT-X-BYTERANGE:99999999999999999999\n#EXTINF:1\na\n"),
            Value { line: 3, tag: "EXT-X-BYTERANGE" },
        ),
        (list("#EXT-X-MAP:URI=main.mp4\n#EXTINF:1\na\n"), Value { line: 3, tag: "EXT-X-MAP" }),
        (list("#EXT-X-MAP:URI\n#EXT-X-A:B=C\n#EXTINF:1\na\n"), Value { line: 3, tag: "EXT-X-MAP" }),
        (list("#EXT-X-KEY:METHOD\n#EXTINF:1\na\n"), Value { line: 3, tag: "EXT-X-KEY" }),
        (
            list("#EXT-X-PROGRAM-DATE-TIME:yesterday\n#EXTINF:1\na\n"),
            Value { line: 3, tag: "EXT-X-PROGRAM-DATE-TIME" },
        ),
        (list("#EXT-X-TRTC-FILE-ATTR:1\n"), Value { line: 3, tag: "EXT-X-TRTC-FILE-ATTR" }),
        (list("#EXT-X-TRTC-START-REC-TIME:now\n"), Value { line: 3, tag: "EXT-X-TRTC-START-REC-TIME" }),
        (
            list("#EXT-X-TRTC-USER-ID:a\n#EXT-X-TRTC-USER-ID:b\n"),
            Repeated { line: 4, tag: "EXT-X-TRTC-USER-ID" },
        ),
        (list("#EXT-X-PLAYLIST-TYPE:LIVE\n"), Value { line: 3, tag: "EXT-X-PLAYLIST-TYPE" }),
    ] {
        assert_eq!(text.parse::<MediaPlaylist>(), Err(want), "{text}");
    }
}

#[test]
fn keys_stay_in_force_until_the_next() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1\na\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1\nb\n\
                #EXTINF:1\nc\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1\nd\n";
    let playlist: MediaPlaylist = text.parse().unwrap();
    let encrypted: Vec<_> = playlist.segments.iter().map(|s| s.encrypted).collect();
    assert_eq!(encrypted, [false, true, true, false]);
}

#[test]
fn ranges_follow_each_other_in_one_resource() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-BYTERANGE:10@5\n#EXTINF:1\na\n#EXT-X-BYTERANGE: 7\n#EXTINF:1\na\n";
    let playlist: MediaPlaylist = text.parse().unwrap();
    assert_eq!(playlist.segments[1].byte_range.map(|r| (r.length, r.offset)), Some((7, Some(15))));
}

#[test]
fn a_megabyte_of_half_attributes_is_refused_at_once() {
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}",
        "#EXT-X-MAP:URI=\"a\",b\n#EXTINF:1\na\n".repeat(30_000)
    );
    assert_eq!(text.parse::<MediaPlaylist>(), Err(ReadPlaylistError::Value { line: 3, tag: "EXT-X-MAP" }));
}

proptest! {
    #[test]
    fn any_edit_of_a_playlist_gives_an_answer(
        at in 0..RECORDING.len(), len in 0usize..40, insert in "[ -~\n,:=\"@0-9]{0,20}",
    ) {
        let start = (0..=at).rev().find(|&at| RECORDING.is_char_boundary(at)).unwrap();
        let end = (start + len..).find(|&at| at >= RECORDING.len() || RECORDING.is_char_boundary(at)).unwrap();
        let text = format!("{}{insert}{}", &RECORDING[..start], &RECORDING[end.min(RECORDING.len())..]);
        if let Ok(playlist) = text.parse::<MediaPlaylist>() {
            prop_assert!(playlist.segments.len() <= text.lines().count());
        }
    }

    #[test]
    fn lines_of_tags_in_any_order_give_an_answer(
        lines in proptest::collection::vec(prop_oneof![
            Just("#EXTINF:1,"), Just("a.ts"), Just("#EXT-X-MAP:URI=\"a\",BYTERANGE=\"1@2\""), Just("#EXT-X-KEY:METHOD=NONE"),
            Just("#EXT-X-BYTERANGE:1@2"), Just("#EXT-X-DISCONTINUITY"), Just("#EXT-X-ENDLIST"), Just("#EXT-X-KEY:A=\""),
            Just("#EXT-X-START:TIME-OFFSET"), Just("#EXT-X-DATERANGE:ID=\"a"), Just("#"), Just(""),
        ], 0..30),
    ) {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}\n", lines.join("\n"));
        if let Ok(playlist) = text.parse::<MediaPlaylist>() {
            prop_assert_eq!(playlist.segments.len(), lines.iter().filter(|&&line| line == "a.ts").count());
        }
    }
}
