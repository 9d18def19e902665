//! Copied recordings: the same samples, in their places.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;

use recorder_merge::{
    AuxUse, Blanks, CopyMode, DirectorySink, DirectorySource, FrameRate, MergeError, MergeMode, MergeOptions,
    Method, Plan, Reason, SectionGaps, SkippedReason, Source, execute, plan, refusal,
};
use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::media::media_file;
use recorder_types::h264::{DisplayOrientation, Units, nal_type, prepend_units};
use recorder_types::{NalFraming, RoomTime, Sample};
use support::{ALICE, Movie, Recording, aac, annex_b, merge, pictures, real, silence};

const NAME: &str = "YWxpY2U._20231114221320000_av.mp4";

fn options(change: impl FnOnce(&mut MergeOptions)) -> MergeOptions {
    let mut options = MergeOptions::default();
    change(&mut options);
    options
}

fn clean(movie: &Movie) {
    assert!(movie.is_faststart());
    if let Some(verdict) = ffmpeg::strict_decode(&movie.path) {
        assert_eq!(verdict, Verdict::Clean, "{}", movie.path.display());
    }
}

#[test]
fn real_media_comes_through_sample_by_sample() {
    let (Some(video), Some(audio)) =
        (media_file("mp4/count-video.mp4"), media_file("mp4/count-english-audio.mp4"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (config, _, pictures) = real(&video, true);
    let mut recording = Recording::new(folder.path(), "", ALICE, "main_video", config);
    recording.push(&pictures, RoomTime::ZERO);
    recording.finish();
    let (config, scale, frames) = real(&audio, false);
    let mut recording = Recording::new(folder.path(), "", ALICE, "main_audio", config);
    // The second frame of this file has the time of the first, so it is not recorded.
    let frames = recording.push(&frames, RoomTime::ZERO);
    recording.finish();

    let (plan, reports) = merge(folder.path(), &MergeOptions::default());
    let merged = reports[0].result.as_ref().unwrap();
    assert_eq!((&merged.video, &merged.audio), (&Some(Method::Copy), &Some(Method::Copy)));
    let movie = Movie::open(folder.path(), &plan.users[0].outputs[0].name);
    clean(&movie);
    let sound = movie.of(false);
    assert!(sound.iter().map(|(_, data)| data).eq(frames.iter().map(|frame| &frame.data)), "sound");
    assert_eq!(movie.of(true).len(), pictures.len());
    // Sound and pictures are apart by what they were apart: both lie on one clock.
    let seconds = |sample: &Sample| sample.pts.to_room_time().unwrap().nanos();
    let apart = seconds(&frames[0]) - seconds(&pictures[0]);
    #[allow(clippy::cast_precision_loss)]
    let apart = apart as f64 / 1e9;
    let got = sound[0].0 - movie.of(true)[0].0;
    assert!((got - apart).abs() < 0.001, "{got} for {apart}, at {scale}");
    if let (Some(before), Some(after)) = (ffmpeg::decode_i420(&video), ffmpeg::decode_i420(&movie.path)) {
        assert!(before == after, "decoded pictures differ");
    }
}

#[test]
fn gaps_hold_the_picture_and_silence() {
    for rate in [48_000, 44_100, 16_000] {
        let folder = tempfile::tempdir().unwrap();
        let (config, aac_config) = aac(rate, 2);
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
        for at in [0, 17_503] {
            let at = RoomTime::from_millis(at);
            video.push(&pictures(320, 180, 4), at);
            audio.push(&silence(aac_config, 4), at);
            video.segmenter.discontinuity();
            audio.segmenter.discontinuity();
        }
        video.finish();
        audio.finish();
        let (_, reports) = merge(folder.path(), &MergeOptions::default());
        assert_eq!(reports[0].result.as_ref().unwrap().video, Some(Method::Copy));
        let movie = Movie::open(folder.path(), NAME);
        clean(&movie);
        let (seen, heard) = (movie.of(true), movie.of(false));
        assert_eq!(seen.len(), 120);
        assert!((seen[60].0 - 17.503).abs() < 0.002, "{}", seen[60].0);
        // Frames lie end to end over the gap, and those after it are where they belong.
        let frame = 1024.0 / f64::from(rate);
        let longest = heard.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(0.0, f64::max);
        assert!(longest < frame + 0.65 * frame, "{rate}: {longest}");
        let after = heard.iter().map(|(at, _)| (at - 17.503).abs()).fold(f64::MAX, f64::min);
        assert!(after <= 0.006, "{rate}: {after}");
        // For players that lay frames end to end.
        let end = heard.len() as f64 * frame;
        assert!((end - heard.last().unwrap().0 - frame).abs() <= 0.65 * frame, "{rate}: {end}");
    }
}

#[test]
fn an_hour_stays_in_step() {
    for rate in [48_000, 44_100] {
        let folder = tempfile::tempdir().unwrap();
        let (config, aac_config) = aac(rate, 1);
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
        video.push(&pictures(64, 64, 3600), RoomTime::ZERO);
        audio.push(&silence(aac_config, 3600), RoomTime::ZERO);
        video.finish();
        audio.finish();
        let _ = merge(folder.path(), &MergeOptions::default());
        let movie = Movie::open(folder.path(), NAME);
        let (seen, heard) = (movie.of(true), movie.of(false));
        assert_eq!((seen.len(), heard.len()), (54_000, 3600 * usize::try_from(rate).unwrap() / 1024));
        for (number, (at, _)) in heard.iter().enumerate() {
            let want = number as f64 * 1024.0 / f64::from(rate);
            assert!((at - want).abs() < 0.001, "{rate}: frame {number} at {at} for {want}");
        }
        assert!((seen[53_999].0 - 53_999.0 / 15.0).abs() < 0.001);
    }
}

#[test]
fn sections_are_files_or_parts_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    for at in [0, 26_000] {
        video.push(&pictures(320, 180, 10), RoomTime::from_millis(at));
        video.segmenter.discontinuity();
    }
    video.finish();
    let lengths = |options: &MergeOptions| -> Vec<i64> {
        let (_, reports) = merge(folder.path(), options);
        let merged = reports.iter().map(|report| report.result.as_ref().unwrap());
        merged.map(|merged| (merged.duration_nanos + 500_000) / 1_000_000).collect()
    };
    assert_eq!(lengths(&MergeOptions::default()), [10_000, 10_000]);
    assert_eq!(lengths(&options(|options| options.mode = MergeMode::Users)), [36_000]);
    let saving = options(|options| {
        options.mode = MergeMode::Users;
        options.section_gaps = SectionGaps::Remove;
    });
    assert_eq!(lengths(&saving), [20_000]);
    clean(&Movie::open(folder.path(), NAME));
}

#[test]
fn a_recovered_run_goes_on_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, at) in [("", 0), ("ha1_", 6_000), ("ha2_", 12_000)] {
        let mut video = Recording::new(folder.path(), prefix, ALICE, "main_video", annex_b());
        video.push(&pictures(320, 180, 5), RoomTime::from_millis(at));
        video.finish();
    }
    let (plan, reports) = merge(folder.path(), &MergeOptions::default());
    assert_eq!((plan.users.len(), reports.len()), (1, 1));
    let movie = Movie::open(folder.path(), NAME);
    clean(&movie);
    let seen = movie.of(true);
    assert_eq!(seen.len(), 225);
    assert!((seen[75].0 - 6.0).abs() < 0.001 && (seen[150].0 - 12.0).abs() < 0.001);
}

#[test]
fn sound_alone_is_an_m4a() {
    // Also where a set may be of both, and was of sound all the time.
    for track in ["main_audio", "main_audiovideo"] {
        let folder = tempfile::tempdir().unwrap();
        let (config, aac_config) = aac(48_000, 1);
        let mut audio = Recording::new(folder.path(), "", ALICE, track, config);
        audio.push(&silence(aac_config, 12), RoomTime::ZERO);
        audio.finish();
        let (plan, reports) = merge(folder.path(), &MergeOptions::default());
        assert_eq!(plan.users[0].outputs[0].size, None, "{track}");
        assert_eq!(reports[0].output, "YWxpY2U._20231114221320000.m4a", "{track}");
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!((&merged.video, &merged.audio), (&None, &Some(Method::Copy)), "{track}");
        let movie = Movie::open(folder.path(), &reports[0].output);
        clean(&movie);
        assert!(movie.tracks.len() == 1 && movie.of(false).len() == 562, "{track}");
    }
}

#[test]
fn sound_and_pictures_of_one_set_are_both_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (config, aac_config) = aac(48_000, 1);
    let mut both = Recording::new(folder.path(), "", ALICE, "main_audiovideo", annex_b());
    both.push_both(&pictures(320, 180, 25), &silence(aac_config, 25), config);
    both.finish();
    for (aux, seen, name) in [
        (AuxUse::MainOnly, 375, NAME),
        (AuxUse::Automatic, 375, NAME),
        // Of what holds both, the sound goes with the substream.
        (AuxUse::AuxOnly, 0, "YWxpY2U._20231114221320000.m4a"),
    ] {
        let (_, reports) = merge(folder.path(), &options(|options| options.aux = aux));
        let merged = reports[0].result.as_ref().unwrap();
        let copied = (seen > 0).then_some(Method::Copy);
        assert_eq!((&merged.video, &merged.audio), (&copied, &Some(Method::Copy)), "{aux:?}");
        assert_eq!(reports[0].output, name);
        let movie = Movie::open(folder.path(), name);
        clean(&movie);
        let heard = movie.of(false);
        assert_eq!((movie.of(true).len(), heard.len()), (seen, 1171), "{aux:?}");
        for (number, (at, _)) in heard.iter().enumerate() {
            assert!(
                (at - number as f64 * 1024.0 / 48_000.0).abs() < 0.001,
                "{aux:?}: frame {number} at {at}"
            );
        }
    }
}

#[test]
fn what_a_set_of_both_does_not_hold_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures_alone = Recording::new(folder.path(), "", ALICE, "main_audiovideo", annex_b());
    pictures_alone.push(&pictures(320, 180, 4), RoomTime::ZERO);
    pictures_alone.finish();
    for (copy, video) in [(CopyMode::Auto, Method::Copy), (CopyMode::Never, Method::Encode(Reason::Asked))] {
        let (_, reports) = merge(folder.path(), &options(|options| options.copy = copy));
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!((&merged.video, &merged.audio), (&Some(video), &None), "{copy:?}");
        assert_eq!(Movie::open(folder.path(), NAME).tracks.len(), 1, "{copy:?}");
    }
}

#[test]
fn turned_pictures_stay_turned_and_are_encoded_where_that_changes() {
    let whole = |anticlockwise| DisplayOrientation { anticlockwise, ..DisplayOrientation::default() };
    for (later, method) in [(0xC000, Method::Copy), (0, Method::Encode(Reason::Turned))] {
        let folder = tempfile::tempdir().unwrap();
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        let mut samples = pictures(320, 180, 25);
        for (number, sample) in samples.iter_mut().enumerate() {
            let mut units = Units::new(&sample.data, NalFraming::AnnexB).map(Result::unwrap);
            if units.any(|unit| unit[0] & 0x1F == nal_type::IDR) {
                let told = whole(if number < 250 { 0xC000 } else { later });
                sample.data = prepend_units(&[&told.to_sei()], NalFraming::AnnexB, &sample.data).unwrap();
            }
        }
        video.push(&samples, RoomTime::ZERO);
        video.finish();
        let (plan, reports) = merge(folder.path(), &MergeOptions::default());
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!(merged.video, Some(method.clone()));
        let movie = Movie::open(folder.path(), &plan.users[0].outputs[0].name);
        clean(&movie);
        let rotation = if method == Method::Copy { 90 } else { 0 };
        assert_eq!(movie.tracks[0].matrix.rotation(), Some(rotation));
    }
}

#[test]
fn what_is_missing_empty_or_damaged_is_told_and_the_rest_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    for user in [ALICE, "Ym9i"] {
        let mut video = Recording::new(folder.path(), "", user, "main_video", annex_b());
        video.push(&pictures(320, 180, 50), RoomTime::ZERO);
        video.finish();
    }
    let mut segments: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "ts"));
    segments.retain(|path| path.to_string_lossy().contains(ALICE));
    segments.sort();
    assert_eq!(segments.len(), 5);
    fs::remove_file(&segments[1]).unwrap();
    fs::write(&segments[2], b"").unwrap();
    fs::write(&segments[3], vec![0x55; 188 * 20]).unwrap();
    let (plan, reports) = merge(folder.path(), &MergeOptions::default());
    assert_eq!(plan.skipped.len(), 2, "{:?}", plan.skipped);
    let damaged: Vec<_> = reports.iter().flat_map(|report| &report.skipped).collect();
    assert!(damaged.len() == 1 && segments[3].ends_with(&damaged[0].name) && damaged[0].reason.is_damage());
    let outputs: Vec<_> =
        reports.iter().map(|report| (report.output.as_str(), report.result.is_ok())).collect();
    assert!(outputs.iter().all(|(_, good)| *good), "{reports:?}");
    for (name, _) in outputs {
        clean(&Movie::open(folder.path(), name));
    }
    // Nothing is left to merge: an error, and no file.
    fs::write(&segments[0], b"none").unwrap();
    fs::write(&segments[4], b"none").unwrap();
    fs::remove_dir_all(folder.path().join("merged")).unwrap();
    let (_, reports) = merge(folder.path(), &MergeOptions::default());
    for report in reports {
        assert_eq!(report.user == ALICE, matches!(report.result, Err(MergeError::Empty)), "{report:?}");
        assert_eq!(folder.path().join("merged").join(&report.output).exists(), report.user != ALICE);
    }
}

#[test]
fn a_segment_that_was_cut_off_does_not_take_the_others_down() {
    for left in [1, 3, 188 * 7, 188 * 40 + 91] {
        let folder = tempfile::tempdir().unwrap();
        for user in [ALICE, "Ym9i"] {
            let mut video = Recording::new(folder.path(), "", user, "main_video", annex_b());
            video.push(&pictures(320, 180, 30), RoomTime::ZERO);
            video.finish();
        }
        let stem = format!("1400000001_1001__UserId_s_{ALICE}__UserId_e_main_video");
        let cut = format!("{stem}_20231114221330000.ts");
        let whole = fs::read(folder.path().join(&cut)).unwrap();
        fs::write(folder.path().join(&cut), &whole[..left]).unwrap();
        let (_, reports) = merge(folder.path(), &MergeOptions::default());
        assert_eq!(reports.len(), 2);
        for report in &reports {
            let merged = report.result.as_ref().unwrap();
            assert!((merged.duration_nanos - 30_000_000_000).abs() < 100_000_000, "{merged:?}");
            let movie = Movie::open(folder.path(), &report.output);
            clean(&movie);
            let seen = movie.of(true).len();
            println!("{left} bytes left, {}: {seen} pictures, {:?}", report.user, report.skipped);
            if report.user != ALICE {
                assert!(seen == 450 && report.skipped.is_empty());
            } else if let [skipped] = &report.skipped[..] {
                assert!(skipped.name == cut && skipped.reason.is_damage() && seen == 300, "{seen}");
            } else {
                // What came before the cut is used.
                assert!(left > 188 * 3 && (301..450).contains(&seen), "{left}: {seen}");
            }
        }
    }
}

#[test]
fn what_cannot_be_opened_is_named_and_the_others_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    video.push(&pictures(320, 180, 20), RoomTime::ZERO);
    video.finish();
    let playlist = |user: &str| {
        let name = format!("1400000001_1001__UserId_s_{user}__UserId_e_main_video.m3u8");
        (folder.path().join(&name), name)
    };
    let (directory, link, long) = (playlist("Ym9i"), playlist("Y2Fyb2w."), playlist("ZGF2ZQ.."));
    fs::create_dir(&directory.0).unwrap();
    std::os::unix::fs::symlink("nowhere", &link.0).unwrap();
    fs::File::create(&long.0).unwrap().set_len((64 << 20) + 1).unwrap();
    let mut want = vec![(directory.1, "not a file"), (link.1, "No such file"), (long.1, "over the limit")];
    let closed = playlist("ZXZl");
    fs::write(&closed.0, "#EXTM3U\n").unwrap();
    fs::set_permissions(&closed.0, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::read(&closed.0).is_err() {
        want.push((closed.1, "denied"));
    } else {
        eprintln!("skipped: whoever may read all files cannot try one without permission");
        fs::remove_file(&closed.0).unwrap();
    }
    // A segment that is none counts as missing.
    let second = folder
        .path()
        .join(format!("1400000001_1001__UserId_s_{ALICE}__UserId_e_main_video_20231114221330000.ts"));
    fs::remove_file(&second).unwrap();
    std::os::unix::fs::symlink("nowhere", &second).unwrap();
    let (plan, reports) = merge(folder.path(), &MergeOptions::default());
    for (name, why) in &want {
        let found = plan.skipped.iter().find(|skipped| skipped.name == *name);
        let reason = &found.unwrap_or_else(|| panic!("{name} is not named: {:?}", plan.skipped)).reason;
        assert!(reason.is_damage() && reason.to_string().contains(why), "{name}: {reason}");
    }
    assert_eq!(plan.skipped.len(), want.len() + 1, "{:?}", plan.skipped);
    assert!(plan.skipped.iter().any(|skipped| skipped.reason == SkippedReason::Missing));
    assert!(reports.len() == 1 && reports[0].result.is_ok(), "{reports:?}");
    assert_eq!(Movie::open(folder.path(), NAME).of(true).len(), 150);
}

#[test]
fn foreign_and_damaged_media_do_not_take_a_good_user_down() {
    let folder = tempfile::tempdir().unwrap();
    // Encoded users, what their only segment is, and whether it can be used.
    let users = [
        ("YQ..", "malformed/no-initial-keyframe.ts", true),
        ("Yg..", "malformed/test-middle-pat-pmt.ts", true),
        ("Yw..", "hls/ts-rollover/360p30_h264_48k_160_aac_ts-0000000024.ts", true),
        ("ZA..", "mp4/sample.mp4", false),
        ("ZQ..", "malformed/sample_cbs_truncated.adts", false),
        ("Zg..", "malformed/Error_I_P.264", false),
    ];
    for (user, media, _) in users {
        let Some(media) = media_file(media) else { return };
        let stem = format!("1400000001_1001__UserId_s_{user}__UserId_e_main_audiovideo");
        let segment = format!("{stem}_20231114221320000.ts");
        fs::copy(media, folder.path().join(&segment)).unwrap();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n");
        fs::write(folder.path().join(format!("{stem}.m3u8")), text).unwrap();
    }
    for copy in [CopyMode::Auto, CopyMode::Never] {
        let (_, reports) = merge(folder.path(), &options(|options| options.copy = copy));
        assert_eq!(reports.len(), users.len());
        for (report, (user, media, usable)) in reports.iter().zip(users) {
            assert_eq!(report.user, user);
            assert_eq!(report.result.is_ok(), usable, "{media}, {copy:?}: {:?}", report.result);
            assert_eq!(report.skipped.is_empty(), usable, "{media}, {copy:?}: {:?}", report.skipped);
            if usable {
                clean(&Movie::open(folder.path(), &report.output));
            }
        }
    }
}

#[test]
fn recordings_of_another_room_beside_and_below_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("2002");
    fs::create_dir(&other).unwrap();
    let record = |folder: &std::path::Path, seconds| {
        let mut video = Recording::new(folder, "", ALICE, "main_video", annex_b());
        video.push(&pictures(320, 180, seconds), RoomTime::ZERO);
        video.finish();
    };
    record(&other, 20);
    record(folder.path(), 4);
    // A mixed recording, a playlist of somebody else's, and a folder with the name of a segment.
    fs::write(folder.path().join("1400000001_2002.m3u8"), "#EXTM3U\n").unwrap();
    fs::write(folder.path().join("index.m3u8"), "no playlist").unwrap();
    fs::create_dir(folder.path().join("x_20231114221320000.ts")).unwrap();
    let (plan, reports) = merge(folder.path(), &MergeOptions::default());
    assert!(plan.skipped.is_empty(), "{:?}", plan.skipped);
    assert_eq!(reports.len(), 1);
    let movie = Movie::open(folder.path(), NAME);
    assert_eq!(movie.of(true).len(), 60);
    assert!(!other.join("merged").exists() && !other.join(NAME).exists());
    clean(&movie);
}

#[test]
fn the_substream_fills_in_where_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |track, config, pieces: &[(&[Sample], i64)]| {
        let mut recording = Recording::new(folder.path(), "", ALICE, track, config);
        for (samples, at) in pieces {
            recording.push(samples, RoomTime::from_secs(*at));
            recording.segmenter.discontinuity();
        }
        recording.finish();
    };
    let (config, aac_config) = aac(48_000, 1);
    at("main_audio", config, &[(&silence(aac_config, 60), 0)]);
    at("main_video", annex_b(), &[(&pictures(320, 180, 4), 0), (&pictures(320, 180, 4), 40)]);
    // Of its segments, that from 10 to 30 s is wholly inside of the gap, and that from 50 s on is after it all.
    at(
        "aux_video",
        annex_b(),
        &[
            (&pictures(320, 180, 4), 2),
            (&pictures(320, 180, 10), 10),
            (&pictures(320, 180, 4), 38),
            (&pictures(320, 180, 4), 50),
        ],
    );
    for (aux, starts) in [
        (AuxUse::MainOnly, &[(0, 4), (40, 4)][..]),
        (AuxUse::Automatic, &[(0, 4), (10, 10), (40, 4), (50, 4)]),
        (AuxUse::AuxOnly, &[(2, 4), (10, 10), (38, 4), (50, 4)]),
    ] {
        let (_, reports) = merge(folder.path(), &options(|options| options.aux = aux));
        let merged = reports[0].result.as_ref().unwrap();
        assert_eq!((&merged.video, &merged.audio), (&Some(Method::Copy), &Some(Method::Copy)), "{aux:?}");
        assert!((merged.duration_nanos - 60_000_000_000).abs() < 100_000_000, "{}", merged.duration_nanos);
        let movie = Movie::open(folder.path(), NAME);
        clean(&movie);
        let want: Vec<f64> = starts
            .iter()
            .flat_map(|&(start, seconds)| {
                (0..seconds * 15).map(move |n| f64::from(start) + f64::from(n) / 15.0)
            })
            .collect();
        let seen = movie.of(true);
        assert_eq!(seen.len(), want.len(), "{aux:?}");
        let off = seen.iter().zip(&want).map(|((at, _), want)| (at - want).abs()).fold(0.0, f64::max);
        assert!(off < 0.001, "{aux:?}: {off}");
    }
}

#[test]
fn what_asks_for_new_pictures_is_an_error_where_only_copies_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    video.push(&pictures(320, 180, 4), RoomTime::ZERO);
    video.push(&pictures(180, 320, 4), RoomTime::from_secs(10));
    video.finish();
    let mut aux = Recording::new(folder.path(), "", "Ym9i", "aux_video", annex_b());
    aux.push(&pictures(320, 180, 4), RoomTime::ZERO);
    aux.finish();
    let always = |change: fn(&mut MergeOptions)| {
        options(|options| {
            options.copy = CopyMode::Always;
            change(options);
        })
    };
    let plain = always(|_| {});
    let aux = always(|options| options.aux = AuxUse::AuxOnly);
    for (change, user, want) in [
        (plain.clone(), ALICE, Some(Reason::SizesDiffer)),
        (always(|options| options.frame_rate = FrameRate::clamped(25).ok()), ALICE, Some(Reason::FrameRate)),
        (always(|options| options.blanks = Blanks::Black), ALICE, Some(Reason::Blanks)),
        (plain.with_size(640, 360).unwrap(), ALICE, Some(Reason::Size)),
        (aux.clone(), "Ym9i", None),
        (aux.with_size(320, 180).unwrap(), "Ym9i", None),
    ] {
        let (plan, reports) = merge(folder.path(), &change);
        let report = reports.iter().find(|report| report.user == user).unwrap();
        // The plan told so.
        let planned = plan.users.iter().find(|planned| planned.encoded == user).unwrap();
        let told = refusal(&planned.outputs[0], &change).map(|error| error.to_string());
        assert_eq!(told, want.as_ref().map(|reason| MergeError::NotCopyable(reason.clone()).to_string()));
        assert!(refusal(&planned.outputs[0], &MergeOptions::default()).is_none());
        match (&report.result, want) {
            (Err(MergeError::NotCopyable(reason)), Some(want)) => assert_eq!(*reason, want),
            (Ok(merged), None) => assert_eq!(merged.video, Some(Method::Copy)),
            (result, want) => panic!("{result:?} for {want:?}"),
        }
    }
}

#[test]
fn a_gap_of_half_a_day_is_encoded_and_one_of_years_refused() {
    for (hours, always) in [(13, None), (14, Some(Reason::LongGap))] {
        let folder = tempfile::tempdir().unwrap();
        let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
        video.push(&pictures(64, 64, 2), RoomTime::ZERO);
        video.finish();
        let mut video = Recording::new(folder.path(), "ha1_", ALICE, "main_video", annex_b());
        video.push(&pictures(64, 64, 2), RoomTime::from_secs(hours * 3600));
        video.finish();
        let options = options(|options| (options.mode, options.copy) = (MergeMode::Users, CopyMode::Always));
        let (plan, reports) = merge(folder.path(), &options);
        match (&reports[0].result, &always) {
            (Err(MergeError::NotCopyable(reason)), Some(want)) => assert_eq!(reason, want),
            (Ok(merged), None) => assert_eq!(merged.duration_nanos / 1_000_000_000, hours * 3600 + 2),
            (result, _) => panic!("{hours}: {result:?}"),
        }
        assert_eq!(refusal(&plan.users[0].outputs[0], &options).is_some(), always.is_some(), "{hours}");
    }
    // A recorder whose clock had not been set when it began.
    let folder = tempfile::tempdir().unwrap();
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    video.push(&pictures(64, 64, 2), RoomTime::ZERO);
    video.segmenter.discontinuity();
    video.push(&pictures(64, 64, 2), RoomTime::from_secs(10));
    video.finish();
    let stem = format!("1400000001_1001__UserId_s_{ALICE}__UserId_e_main_video");
    let (early, playlist) =
        (format!("{stem}_19700101000010000.ts"), folder.path().join(format!("{stem}.m3u8")));
    let first = format!("{stem}_20231114221320000.ts");
    fs::rename(folder.path().join(&first), folder.path().join(&early)).unwrap();
    let text = fs::read_to_string(&playlist).unwrap();
    fs::write(&playlist, text.replace(&first, &early)).unwrap();
    let whole = options(|options| options.mode = MergeMode::Users);
    let (plan, reports) = merge(folder.path(), &whole);
    assert!(
        matches!(&reports[0].result, Err(MergeError::TooFar { segment, .. }) if segment.contains("2023"))
    );
    assert!(matches!(refusal(&plan.users[0].outputs[0], &whole), Some(MergeError::TooFar { .. })));
    // As files of their own, or without what is between them, they are merged.
    assert!(merge(folder.path(), &MergeOptions::default()).1.iter().all(|report| report.result.is_ok()));
    let saving = options(|options| {
        (options.mode, options.section_gaps) = (MergeMode::Users, SectionGaps::Remove);
    });
    let (_, reports) = merge(folder.path(), &saving);
    assert_eq!(reports[0].result.as_ref().unwrap().duration_nanos / 1_000_000_000, 4);
}

#[test]
fn a_plan_may_be_stored_and_changed_before_it_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    for user in [ALICE, "Ym9i"] {
        let mut video = Recording::new(folder.path(), "", user, "main_video", annex_b());
        video.push(&pictures(320, 180, 30), RoomTime::ZERO);
        video.finish();
    }
    let options = MergeOptions::default();
    let mut source = DirectorySource::new(folder.path());
    let text = serde_json::to_string(&plan(&source.folder().unwrap(), &options)).unwrap();
    let mut plan: Plan = serde_json::from_str(&text).unwrap();
    let output = &mut plan.users[0].outputs[0];
    output.name = "first.mp4".into();
    assert_eq!(output.pieces.pop().unwrap().at_nanos, 20_000_000_000);
    output.duration_nanos = 20_000_000_000;
    plan.users[1].outputs[0].name = "../second.mp4".into();
    let mut sink = DirectorySink::new(folder.path().join("merged"));
    // How far it is rises to all of it.
    let mut told = Vec::new();
    let reports = execute(&plan, &options, &mut source, &mut sink, &mut |progress| {
        assert!(progress.done <= progress.of);
        told.push((progress.output.to_owned(), progress.done, progress.of));
    });
    assert_eq!(reports[0].result.as_ref().unwrap().duration_nanos / 1_000_000, 20_000);
    assert_eq!(Movie::open(folder.path(), "first.mp4").of(true).len(), 300);
    assert!(matches!(&reports[1].result, Err(MergeError::Name { name }) if name == "../second.mp4"));
    assert!(!folder.path().join("second.mp4").exists());
    told.retain(|(output, ..)| output == "first.mp4");
    assert!(told.windows(2).all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 == pair[1].2), "{told:?}");
    let (_, done, of) = told.last().unwrap();
    let bytes: u64 = plan.users[0].outputs[0].pieces.iter().map(|piece| piece.bytes).sum();
    assert_eq!((*done, *of), (bytes * 2, bytes * 2), "copied segments are read twice");
}
