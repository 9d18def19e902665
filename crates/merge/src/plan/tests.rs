use super::*;
use crate::options::{Blanks, CopyMode};
use proptest::prelude::*;

const ZERO: u64 = 1_700_000_000_000;

/// A segment: track, start and end in milliseconds.
type Span = (&'static str, u64, u64);

/// A folder of alice's segments, in milliseconds after [`ZERO`].
fn folder(segments: &[Span]) -> Folder {
    let mut folder = Folder::default();
    let moved = segments.iter().map(|&(track, start, end)| (track, ZERO + start, ZERO + end));
    add(&mut folder, "YWxpY2U.", "", &moved.collect::<Vec<_>>());
    folder
}

/// Adds segments of a user, in Unix milliseconds, and their playlists, which begin with `tags`.
fn add(folder: &mut Folder, user: &str, tags: &str, segments: &[Span]) {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (track, start, end) in segments {
        let stem = format!("1400000001_1001__UserId_s_{user}__UserId_e_{track}");
        let name = format!("{stem}_{}.ts", UnixMillis::new(*start).unwrap().utc_digits());
        let text = texts
            .entry(format!("{stem}.m3u8"))
            .or_insert_with(|| format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n{tags}"));
        let millis = end - start;
        text.push_str(&format!("#EXTINF:{}.{:03},\n{name}\n", millis / 1000, millis % 1000));
        folder.add_segment(&name, 188);
    }
    for (name, text) in texts {
        folder.add_playlist(&name, &text);
    }
}

fn options(mode: MergeMode, section_gaps: SectionGaps) -> MergeOptions {
    MergeOptions { mode, section_gaps, ..MergeOptions::default() }
}

/// What is where in an output: its name, its length, where its segments begin, and its gaps, in milliseconds.
type Line = (String, i64, Vec<i64>, Vec<(i64, i64)>);

fn lines(folder: &Folder, options: &MergeOptions) -> Vec<Line> {
    let millis = |nanos: i64| {
        assert_eq!(nanos % 1_000_000, 0, "a whole number of milliseconds");
        nanos / 1_000_000
    };
    let line = |output: &Output| {
        let starts = output.pieces.iter().map(|piece| millis(piece.at_nanos)).collect();
        let gaps = output.gaps.iter().map(|gap| (millis(gap.from_nanos), millis(gap.to_nanos))).collect();
        (output.name.clone(), millis(output.duration_nanos), starts, gaps)
    };
    plan(folder, options).users.iter().flat_map(|user| &user.outputs).map(line).collect()
}

/// `merge-and-vod.md` 1.6.
#[test]
fn the_worked_example_comes_out_to_the_millisecond() {
    let near = [("main_video", 0, 10_000), ("main_video", 10_000, 20_000), ("main_video", 35_000, 45_000)];
    let far = [("main_video", 0, 10_000), ("main_video", 10_000, 20_000), ("main_video", 36_000, 46_000)];
    let first = |duration, starts: &[i64], gaps: &[(i64, i64)]| -> Line {
        ("YWxpY2U._20231114221320000_av.mp4".into(), duration, starts.to_vec(), gaps.to_vec())
    };
    let second: Line = ("YWxpY2U._20231114221356000_av.mp4".into(), 10_000, vec![0], vec![]);
    let whole = first(45_000, &[0, 10_000, 35_000], &[(20_000, 35_000)]);
    for (segments, mode, gaps, want) in [
        (&near, MergeMode::Sections, SectionGaps::Keep, vec![whole.clone()]),
        (&near, MergeMode::Users, SectionGaps::Keep, vec![whole.clone()]),
        (&near, MergeMode::Users, SectionGaps::Remove, vec![whole]),
        (&far, MergeMode::Sections, SectionGaps::Keep, vec![first(20_000, &[0, 10_000], &[]), second]),
        (
            &far,
            MergeMode::Users,
            SectionGaps::Keep,
            vec![first(46_000, &[0, 10_000, 36_000], &[(20_000, 36_000)])],
        ),
        (&far, MergeMode::Users, SectionGaps::Remove, vec![first(30_000, &[0, 10_000, 20_000], &[])]),
    ] {
        assert_eq!(lines(&folder(segments), &options(mode, gaps)), want, "{mode:?} {gaps:?}");
    }
}

/// `merge-and-vod.md` 1.6: sound and pictures of a section are placed by their own starts.
#[test]
fn the_later_of_sound_and_pictures_is_delayed() {
    let segments = [
        ("main_audio", 0, 10_000),
        ("main_video", 1_250, 11_250),
        // Removing what is between sections keeps what is within them.
        ("main_video", 40_000, 50_000),
        ("main_audio", 40_333, 50_333),
    ];
    for (gaps, want) in [
        (SectionGaps::Keep, vec![0, 1_250, 40_000, 40_333]),
        (SectionGaps::Remove, vec![0, 1_250, 11_250, 11_583]),
    ] {
        assert_eq!(lines(&folder(&segments), &options(MergeMode::Users, gaps))[0].2, want, "{gaps:?}");
    }
}

/// `merge-and-vod.md` 1.2.
#[test]
fn a_gap_of_more_than_fifteen_seconds_splits() {
    for (start, files) in [(24_999, 1), (25_000, 1), (25_001, 2), (26_000, 2)] {
        let segments = [("main_video", 0, 10_000), ("main_audio", start, start + 10_000)];
        assert_eq!(lines(&folder(&segments), &MergeOptions::default()).len(), files, "{start}");
    }
}

/// `merge-and-vod.md` 1.3.
#[test]
fn names_follow_the_content() {
    for (user, track, tags, start, want) in [
        ("YWxpY2U.", "main_video", "", 1_700_000_000_123, "YWxpY2U._20231114221320123_av.mp4"),
        ("YWxpY2U.", "main_audio", "", 1_700_000_000_123, "YWxpY2U._20231114221320123.m4a"),
        ("MTY4NjExOQ..", "main_video", "", 1_622_425_551_884, "MTY4NjExOQ.._20210531014551884_av.mp4"),
        // Both in one set: what its playlist tells.
        ("YQ..", "main_audiovideo", "#EXT-X-TRTC-STREAM-TYPE:2\n", ZERO, "YQ.._20231114221320000_av.mp4"),
        ("YQ..", "main_audiovideo", "#EXT-X-TRTC-STREAM-TYPE:1\n", ZERO, "YQ.._20231114221320000_av.mp4"),
        ("YQ..", "main_audiovideo", "", ZERO, "YQ.._20231114221320000_av.mp4"),
        ("YQ..", "main_audiovideo", "#EXT-X-TRTC-STREAM-TYPE:0\n", ZERO, "YQ.._20231114221320000.m4a"),
        ("YQ..", "main_video", "#EXT-X-TRTC-STREAM-TYPE:0\n", ZERO, "YQ.._20231114221320000_av.mp4"),
    ] {
        let mut folder = Folder::default();
        add(&mut folder, user, tags, &[(track, start, start + 10_000)]);
        let plan = plan(&folder, &MergeOptions::default());
        let output = &plan.users[0].outputs[0];
        assert_eq!(output.name, want, "{track} {tags}");
        let size = want.ends_with("_av.mp4").then_some((640, 360));
        assert_eq!((output.size, output.pieces[0].size), (size, size), "{track} {tags}");
        assert_eq!(output.pieces[0].has_audio(), track != "main_video");
    }
}

/// `merge-and-vod.md` 1.4.
#[test]
fn sizes_are_those_told_last_before_a_segment() {
    let stem = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
    let mut folder = Folder::default();
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n".to_owned();
    for (told, second) in
        [("", 0), ("WIDTH:320 HEIGHT:481", 10), ("", 20), ("Codec:27 HEIGHT:1280 WIDTH:720", 30)]
    {
        let name = format!("{stem}_202311142213{:02}000.ts", 20 + second);
        if !told.is_empty() {
            text += &format!("#EXT-X-TRTC-VIDEO-METADATA:{told}\n");
        }
        text += &format!("#EXTINF:10,\n{name}\n");
        folder.add_segment(&name, 188);
    }
    folder.add_playlist(&format!("{stem}.m3u8"), &text);
    let sizes = |options: &MergeOptions| {
        let plan = plan(&folder, options);
        let output = plan.users[0].outputs[0].clone();
        (output.size, output.pieces.iter().map(|piece| piece.size.unwrap()).collect::<Vec<_>>())
    };
    let each = vec![(640, 360), (320, 481), (320, 481), (720, 1280)];
    assert_eq!(sizes(&MergeOptions::default()), (Some((720, 1280)), each.clone()));
    let asked = MergeOptions::default().with_size(640, 480).unwrap();
    assert_eq!(sizes(&asked), (Some((640, 480)), each));
}

#[test]
fn a_short_sound_inside_of_a_long_picture_does_not_split() {
    let segments = [("main_video", 0, 30_000), ("main_audio", 1_000, 2_000), ("main_video", 40_000, 50_000)];
    assert_eq!(lines(&folder(&segments), &MergeOptions::default()).len(), 1);
}

/// `merge-and-vod.md` 1.5.
#[test]
fn the_substream_is_used_as_asked() {
    let segments = [
        ("main_audio", 0, 60_000),
        ("main_video", 0, 10_000),
        ("main_video", 40_000, 50_000),
        ("aux_video", 5_000, 15_000),
        ("aux_video", 15_000, 25_000),
        ("aux_video", 50_000, 60_000),
        ("aux_video", 44_000, 48_000),
    ];
    let video_starts = |aux| {
        let options = MergeOptions { aux, ..MergeOptions::default() };
        let plan = plan(&folder(&segments), &options);
        let pieces = plan.users[0].outputs[0].pieces.clone();
        let video = pieces.into_iter().filter(|piece| piece.track != TrackName::MainAudio);
        video.map(|piece| piece.at_nanos / 1_000_000_000).collect::<Vec<_>>()
    };
    assert_eq!(video_starts(AuxUse::MainOnly), [0, 40]);
    assert_eq!(video_starts(AuxUse::AuxOnly), [5, 15, 44, 50]);
    // Wholly inside of the gap, or after the last primary segment.
    assert_eq!(video_starts(AuxUse::Automatic), [0, 15, 40, 50]);
    // Before the first primary segment it is like a gap; what overlaps that is left out.
    let late_primary = [
        ("main_audio", 0, 60_000),
        ("aux_video", 0, 4_000),
        ("aux_video", 4_000, 5_000),
        ("aux_video", 4_500, 5_001),
        ("main_video", 5_000, 60_000),
    ];
    let options = MergeOptions { aux: AuxUse::Automatic, ..MergeOptions::default() };
    assert_eq!(lines(&folder(&late_primary), &options)[0].2, [0, 0, 4_000, 5_000]);
    let no_primary = [("main_audio", 0, 10_000), ("aux_video", 0, 10_000)];
    assert_eq!(plan(&folder(&no_primary), &options).users[0].outputs[0].pieces.len(), 2);
}

#[test]
fn what_is_not_used_cannot_bridge_a_gap() {
    let segments = [("main_video", 0, 10_000), ("aux_video", 10_000, 30_000), ("main_video", 30_000, 40_000)];
    assert_eq!(lines(&folder(&segments), &MergeOptions::default()).len(), 2);
}

#[test]
fn damage_is_named_and_the_other_users_are_merged() {
    let mut folder = folder(&[("main_video", 0, 10_000)]);
    let stem = "1400000001_1001__UserId_s_Ym9i__UserId_e_main_video";
    folder.add_playlist(&format!("{stem}.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:x\n");
    let carol = "1400000001_1001__UserId_s_Y2Fyb2w.__UserId_e_main_video";
    folder.add_playlist(
        &format!("{carol}.m3u8"),
        &format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{carol}_20231114221320000.ts\n#EXTINF:10,\n\
             {carol}_20231114221330000.ts\n#EXTINF:10,\n{carol}_20231114221340000.ts\n#EXTINF:10,\n../x_20231114221330000.ts\n#EXTINF:10,\n{carol}.ts\n"
        ),
    );
    folder.add_segment(&format!("{carol}_20231114221320000.ts"), 0);
    folder.add_segment(&format!("{carol}_20231114221340000.ts"), (1 << 30) + 1);
    let dave = "1400000001_1001__UserId_s_ZGF2ZQ..__UserId_e_main_video.m3u8";
    folder.add_unreadable(dave, "not a file");
    let plan = plan(&folder, &MergeOptions::default());
    assert_eq!(plan.users.iter().map(|user| user.user.as_deref().unwrap()).collect::<Vec<_>>(), ["alice"]);
    let named = |name: &str| -> Vec<&SkippedReason> {
        plan.skipped.iter().filter(|skipped| skipped.name == name).map(|skipped| &skipped.reason).collect()
    };
    let is_damaged = |name: &str, why: &str| match named(name)[..] {
        [reason] => reason.is_damage() && reason.to_string().contains(why),
        _ => false,
    };
    assert!(is_damaged(&format!("{stem}.m3u8"), "line 2"), "{:?}", plan.skipped);
    assert!(is_damaged(dave, "not a file"), "{:?}", plan.skipped);
    assert!(is_damaged(&format!("{carol}_20231114221340000.ts"), "over the limit"), "{:?}", plan.skipped);
    assert_eq!(named("../x_20231114221330000.ts"), [&SkippedReason::OutsideOfFolder]);
    assert_eq!(named(&format!("{carol}.ts")), [&SkippedReason::NoStart]);
    assert_eq!(named(&format!("{carol}_20231114221320000.ts")), [&SkippedReason::Empty]);
    assert_eq!(named(&format!("{carol}_20231114221330000.ts")), [&SkippedReason::Missing]);
    assert_eq!(named(&format!("{carol}.m3u8")), [&SkippedReason::NoSegments]);
    assert_eq!(plan.skipped.len(), 8, "{:?}", plan.skipped);
}

#[test]
fn users_with_nothing_to_merge_are_named() {
    let unused = |segments: &[Span], aux| {
        let plan = plan(&folder(segments), &MergeOptions { aux, ..MergeOptions::default() });
        let reasons = plan.skipped.into_iter().map(|Skipped { name, reason }| {
            assert!(!reason.is_damage() && name.ends_with(".m3u8"), "{name}: {reason}");
            (name.contains("aux_video"), reason)
        });
        (plan.users.len(), reasons.collect::<Vec<_>>())
    };
    let (substream, pictures) = ([("aux_video", 0, 10_000)], [("main_video", 0, 10_000)]);
    let both = [pictures[0], substream[0]];
    assert_eq!(unused(&substream, AuxUse::MainOnly), (0, vec![(true, SkippedReason::NotAsked)]));
    assert_eq!(unused(&substream, AuxUse::Automatic), (1, vec![]));
    assert_eq!(unused(&substream, AuxUse::AuxOnly), (1, vec![]));
    assert_eq!(unused(&pictures, AuxUse::AuxOnly), (0, vec![(false, SkippedReason::NotAsked)]));
    // What is left out beside something that is merged was left out on purpose.
    assert_eq!(unused(&both, AuxUse::MainOnly), (1, vec![]));
    let mut folder = Folder::default();
    let empty = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video.m3u8";
    folder.add_playlist(empty, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-ENDLIST\n");
    let want = Skipped { name: empty.into(), reason: SkippedReason::NoSegments };
    assert_eq!(plan(&folder, &MergeOptions::default()).skipped, [want]);
}

#[test]
fn a_recovered_run_joins_the_first() {
    let mut folder = folder(&[("main_video", 0, 10_000)]);
    let stem = "ha1_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
    let segment = format!("{stem}_20231114221335000.ts");
    folder.add_playlist(
        &format!("{stem}.m3u8"),
        &format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\n{segment}\n"),
    );
    folder.add_segment(&segment, 188);
    assert_eq!(lines(&folder, &MergeOptions::default())[0].1, 20_000);
}

#[test]
fn wrong_options_are_refused_and_rates_are_held() {
    use crate::options::{FrameRate, InvalidOption};
    for (fps, want) in [(1, 5), (5, 5), (15, 15), (120, 120), (500, 120)] {
        assert_eq!(FrameRate::clamped(fps).unwrap().get(), want);
    }
    assert_eq!(FrameRate::clamped(0), Err(InvalidOption::FrameRate { fps: 0 }));
    for (width, height) in [(-1, 360), (640, 0), (641, 360), (5000, 360)] {
        assert!(MergeOptions::default().with_size(width, height).is_err(), "{width} {height}");
    }
    assert_eq!(MergeOptions::default().with_size(0, 0).unwrap().size, None);
}

#[test]
fn a_plan_survives_json() {
    let plan = plan(&folder(&[("main_video", 0, 10_000)]), &MergeOptions::default());
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    let _ = (Blanks::Black, CopyMode::Never);
}

proptest! {
    /// Whatever the segments: each is in one output, outputs do not overlap, and the time line adds up.
    #[test]
    fn nothing_is_lost_or_doubled(
        segments in proptest::collection::vec((0usize..3, 0u64..200_000, 1u64..20_000), 1..40),
        users in any::<bool>(), remove in any::<bool>(),
    ) {
        let tracks = ["main_audio", "main_video", "aux_video"];
        let mut list: Vec<_> = segments.iter().map(|&(t, at, len)| (tracks[t], at, at + len)).collect();
        list.sort_unstable();
        list.dedup_by_key(|segment| (segment.0, segment.1));
        let options = MergeOptions {
            mode: if users { MergeMode::Users } else { MergeMode::Sections },
            section_gaps: if remove { SectionGaps::Remove } else { SectionGaps::Keep },
            ..MergeOptions::default()
        };
        let plan = plan(&folder(&list), &options);
        let outputs: Vec<_> = plan.users.iter().flat_map(|user| &user.outputs).collect();
        let pieces: usize = outputs.iter().map(|output| output.pieces.len()).sum();
        prop_assert_eq!(pieces, list.iter().filter(|segment| segment.0 != "aux_video").count());
        for output in outputs {
            prop_assert_eq!(output.pieces[0].at_nanos, 0);
            let end = output.pieces.iter().map(|piece| piece.at_nanos + piece.duration_nanos).max();
            prop_assert_eq!(end, Some(output.duration_nanos));
            prop_assert!(output.pieces.windows(2).all(|pair| pair[0].at_nanos <= pair[1].at_nanos));
        }
    }
}
