//! What each option does to a file.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use recorder_merge::{
    AuxUse, Blanks, CopyMode, FrameRate, MergeMode, MergeOptions, Method, Reason, SectionGaps,
};
use recorder_types::RoomTime;
use support::{ALICE, Movie, Recording, aac, annex_b, merge, pictures, silence};

/// Length in milliseconds, width and height, pictures, and how these came into the file.
type File = (i64, (u32, u32), usize, Method);

#[test]
fn each_option_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (config, aac_config) = aac(48_000, 1);
    let mut audio = Recording::new(folder.path(), "", ALICE, "main_audio", config);
    let mut video = Recording::new(folder.path(), "", ALICE, "main_video", annex_b());
    for at in [0, 24] {
        audio.push(&silence(aac_config, 4), RoomTime::from_secs(at));
        video.push(&pictures(320, 180, 4), RoomTime::from_secs(at));
        audio.segmenter.discontinuity();
        video.segmenter.discontinuity();
    }
    audio.finish();
    video.finish();
    let mut aux = Recording::new(folder.path(), "", ALICE, "aux_video", annex_b());
    aux.push(&pictures(160, 120, 4), RoomTime::from_secs(8));
    aux.finish();

    let wide = (320, 180);
    let encoded = |reason| Method::Encode(reason);
    let two =
        |size, seen, method: Method| vec![(4_000, size, seen, method.clone()), (4_000, size, seen, method)];
    type Change = fn(&mut MergeOptions);
    let rows: [(&str, Change, Vec<File>); 18] = [
        ("", |_| {}, two(wide, 60, Method::Copy)),
        ("-m 1", |o| o.mode = MergeMode::Users, vec![(28_000, wide, 120, Method::Copy)]),
        (
            "-m 1 -s",
            |o| (o.mode, o.section_gaps) = (MergeMode::Users, SectionGaps::Remove),
            vec![(8_000, wide, 120, Method::Copy)],
        ),
        ("-s", |o| o.section_gaps = SectionGaps::Remove, two(wide, 60, Method::Copy)),
        (
            // The substream bridges the gap, and is of another size.
            "-a 1",
            |o| o.aux = AuxUse::Automatic,
            vec![(28_000, wide, 28 * 15, encoded(Reason::SizesDiffer))],
        ),
        ("-a 2", |o| o.aux = AuxUse::AuxOnly, vec![(28_000, (160, 120), 60, Method::Copy)]),
        ("-p 1", |o| o.frame_rate = FrameRate::clamped(1).ok(), two(wide, 20, encoded(Reason::FrameRate))),
        ("-p 5", |o| o.frame_rate = FrameRate::clamped(5).ok(), two(wide, 20, encoded(Reason::FrameRate))),
        ("-p 30", |o| o.frame_rate = FrameRate::clamped(30).ok(), two(wide, 120, encoded(Reason::FrameRate))),
        (
            "-p 121",
            |o| o.frame_rate = FrameRate::clamped(121).ok(),
            two(wide, 480, encoded(Reason::FrameRate)),
        ),
        ("-r 160 90", |o| o.size = Some((160, 90)), two((160, 90), 60, encoded(Reason::Size))),
        ("-r 320 180", |o| o.size = Some((320, 180)), two(wide, 60, Method::Copy)),
        ("-b", |o| o.blanks = Blanks::Black, two(wide, 60, Method::Copy)),
        (
            "-m 1 -b",
            |o| (o.mode, o.blanks) = (MergeMode::Users, Blanks::Black),
            vec![(28_000, wide, 28 * 15, encoded(Reason::Blanks))],
        ),
        (
            "-m 1 -s -b",
            |o| {
                (o.mode, o.section_gaps) = (MergeMode::Users, SectionGaps::Remove);
                o.blanks = Blanks::Black;
            },
            vec![(8_000, wide, 120, Method::Copy)],
        ),
        ("--copy never", |o| o.copy = CopyMode::Never, two(wide, 60, encoded(Reason::Asked))),
        ("--copy always", |o| o.copy = CopyMode::Always, two(wide, 60, Method::Copy)),
        (
            "-a 2 -r 320 180",
            |o| (o.aux, o.size) = (AuxUse::AuxOnly, Some((320, 180))),
            // From the first picture on.
            vec![(28_000, wide, 20 * 15, encoded(Reason::Size))],
        ),
    ];
    for (row, change, want) in rows {
        let mut options = MergeOptions::default();
        change(&mut options);
        let (_, reports) = merge(folder.path(), &options);
        let files: Vec<File> = reports
            .iter()
            .map(|report| {
                let merged = report.result.as_ref().unwrap();
                let movie = Movie::open(folder.path(), &report.output);
                let size = movie.tracks.iter().find_map(|track| track.size).unwrap();
                // Sound ends up to two of its frames of 21 ms beside the pictures.
                let tenths = (merged.duration_nanos + 50_000_000) / 100_000_000;
                let video = merged.video.clone().unwrap();
                (tenths * 100, (size.width(), size.height()), movie.of(true).len(), video)
            })
            .collect();
        assert_eq!(files, want, "{row}");
        let is_encoded = options.copy == CopyMode::Never;
        let sound = if is_encoded { Method::Encode(Reason::Asked) } else { Method::Copy };
        let copied = reports.iter().map(|report| report.result.as_ref().unwrap().audio.clone());
        assert!(copied.eq(want.iter().map(|_| Some(sound.clone()))), "{row}: sound");
    }
}
