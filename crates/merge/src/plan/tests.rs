use super::*;
use crate::options::{Blanks, CopyMode};
use proptest::prelude::*;

const ZERO: u64 = 1_700_000_000_000;

/// A folder of one user's segments: track, start and end in milliseconds after [`ZERO`].
fn folder(segments: &[(&str, u64, u64)]) -> Folder {
    let mut folder = Folder::default();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (track, start, end) in segments {
        let stem = format!("1400000001_1001__UserId_s_YWxpY2U.__UserId_e_{track}");
        let at = UnixMillis::new(ZERO + start).unwrap();
        let name = format!("{stem}_{}.ts", at.utc_digits());
        let text = texts
            .entry(format!("{stem}.m3u8"))
            .or_insert_with(|| "#EXTM3U\n#EXT-X-TARGETDURATION:10\n".into());
        let millis = end - start;
        text.push_str(&format!("#EXTINF:{}.{:03},\n{name}\n", millis / 1000, millis % 1000));
        folder.add_segment(&name, 188);
    }
    for (name, text) in texts {
        folder.add_playlist(&name, &text);
    }
    folder
}

fn options(mode: MergeMode, section_gaps: SectionGaps) -> MergeOptions {
    MergeOptions { mode, section_gaps, ..MergeOptions::default() }
}

fn names_and_seconds(folder: &Folder, options: &MergeOptions) -> Vec<(String, i64)> {
    let plan = plan(folder, options);
    let outputs = plan.users.iter().flat_map(|user| &user.outputs);
    outputs.map(|output| (output.name.clone(), output.duration_nanos / 1_000_000)).collect()
}

/// `merge-and-vod.md` 1.6.
#[test]
fn the_worked_example_comes_out_to_the_millisecond() {
    let near = [("main_video", 0, 10_000), ("main_video", 10_000, 20_000), ("main_video", 35_000, 45_000)];
    let far = [("main_video", 0, 10_000), ("main_video", 10_000, 20_000), ("main_video", 36_000, 46_000)];
    let first = "YWxpY2U._20231114221320000_av.mp4".to_owned();
    let second = "YWxpY2U._20231114221356000_av.mp4".to_owned();
    for (segments, mode, gaps, want) in [
        (&near, MergeMode::Sections, SectionGaps::Keep, vec![(first.clone(), 45_000)]),
        (&near, MergeMode::Users, SectionGaps::Keep, vec![(first.clone(), 45_000)]),
        (&near, MergeMode::Users, SectionGaps::Remove, vec![(first.clone(), 45_000)]),
        (&far, MergeMode::Sections, SectionGaps::Keep, vec![(first.clone(), 20_000), (second, 10_000)]),
        (&far, MergeMode::Users, SectionGaps::Keep, vec![(first.clone(), 46_000)]),
        (&far, MergeMode::Users, SectionGaps::Remove, vec![(first, 30_000)]),
    ] {
        assert_eq!(names_and_seconds(&folder(segments), &options(mode, gaps)), want, "{mode:?} {gaps:?}");
    }
}

/// `merge-and-vod.md` 1.3.
#[test]
fn names_follow_the_content() {
    let video = [("main_video", 123, 10_123)];
    let audio = [("main_audio", 123, 10_123)];
    let defaults = MergeOptions::default();
    assert_eq!(names_and_seconds(&folder(&video), &defaults)[0].0, "YWxpY2U._20231114221320123_av.mp4");
    assert_eq!(names_and_seconds(&folder(&audio), &defaults)[0].0, "YWxpY2U._20231114221320123.m4a");
}

#[test]
fn a_short_sound_inside_of_a_long_picture_does_not_split() {
    let segments = [("main_video", 0, 30_000), ("main_audio", 1_000, 2_000), ("main_video", 40_000, 50_000)];
    assert_eq!(names_and_seconds(&folder(&segments), &MergeOptions::default()).len(), 1);
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
    let no_primary = [("main_audio", 0, 10_000), ("aux_video", 0, 10_000)];
    let options = MergeOptions { aux: AuxUse::Automatic, ..MergeOptions::default() };
    assert_eq!(plan(&folder(&no_primary), &options).users[0].outputs[0].pieces.len(), 2);
}

#[test]
fn what_is_not_used_cannot_bridge_a_gap() {
    let segments = [("main_video", 0, 10_000), ("aux_video", 10_000, 30_000), ("main_video", 30_000, 40_000)];
    assert_eq!(names_and_seconds(&folder(&segments), &MergeOptions::default()).len(), 2);
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
             {carol}_20231114221330000.ts\n#EXTINF:10,\n../x_20231114221330000.ts\n#EXTINF:10,\n{carol}.ts\n"
        ),
    );
    folder.add_segment(&format!("{carol}_20231114221320000.ts"), 0);
    let plan = plan(&folder, &MergeOptions::default());
    assert_eq!(plan.users.iter().map(|user| user.user.as_deref().unwrap()).collect::<Vec<_>>(), ["alice"]);
    let reasons: Vec<_> = plan.skipped.iter().map(|skipped| skipped.reason.to_string()).collect();
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert!(reasons[4].contains("line 2"), "{reasons:?}");
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
    assert_eq!(names_and_seconds(&folder, &MergeOptions::default())[0].1, 20_000);
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
