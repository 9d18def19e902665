//! What a recording leaves for each `OutputFormat`, and what it tells: event 310 beside the others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
#[cfg(feature = "mix")]
use recorder::callback::RecordedMedia;
use recorder::callback::{Mp4Status, Mp4Stop, Payload, TrackType, UploadStatus};
use recorder::storage::Bucket;
use recorder::types::h264::{Units, nal_type};
use recorder::types::{MediaKind, NalFraming};
use recorder::{AvMerge, MaxFileDuration, Outcome, OutputFormat, RoomEvent, TaskOptions};
use support::shell::{Events, FaultyStore, PATIENCE, assert_whole, call, objects, recorder, send, told};
use support::{WALL, options_with};

const STEM: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main";

fn task(output: OutputFormat) -> TaskOptions {
    options_with(|task| task.output = output)
}

/// Records Alice for so many seconds.
async fn record(root: &Path, task: TaskOptions, bucket: Bucket, seconds: i64) -> (Outcome, Events) {
    let events = Events::new();
    let recording = recorder(root).start(told(task, bucket).with_on_callback(events.sink())).unwrap();
    send(&recording, call(seconds)).await;
    (tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap(), events)
}

fn files_told(events: &Events) -> Vec<Mp4Stop> {
    let stop = |event| if let Payload::Mp4Stop(stop) = event { Some(stop) } else { None };
    events.all().into_iter().filter_map(stop).collect()
}

fn uploads_told(events: &Events) -> Vec<UploadStatus> {
    let stop = |event| if let Payload::UploadStop(status) = event { Some(status) } else { None };
    events.all().into_iter().filter_map(stop).collect()
}

/// Bare names with this end, in order.
fn names<'a>(objects: &'a BTreeMap<String, Bytes>, end: &str) -> Vec<&'a str> {
    objects.keys().filter(|key| key.ends_with(end)).map(|key| key.rsplit('/').next().unwrap()).collect()
}

/// The end of what the events tell, from 302 on.
fn tail(events: &Events) -> Vec<u32> {
    let numbers = events.numbers();
    let stop = numbers.iter().position(|number| *number == 302).unwrap();
    // 304 comes with the first playlist, which may be late.
    numbers[stop..].iter().copied().filter(|number| *number != 304).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_format_leaves_what_it_says_and_no_more() {
    use OutputFormat::{Aac, Hls, HlsAndAac, HlsAndMp4, Mp4};
    for merge in [AvMerge::Separate, AvMerge::Merged] {
        for (output, lists, file, want) in [
            (Hls, 2, None, &[302, 305][..]),
            (HlsAndMp4, 2, Some("mp4"), &[302, 305, 310]),
            (HlsAndAac, 2, Some("aac"), &[302, 305, 310]),
            (Mp4, 0, Some("mp4"), &[302, 310, 305]),
            (Aac, 0, Some("aac"), &[302, 310, 305]),
        ] {
            let what = format!("{output:?} {merge:?}");
            let root = tempfile::tempdir().unwrap();
            let bucket = Bucket::memory();
            let mut task = task(output);
            task.merge = merge;
            let (outcome, events) = record(root.path(), task, bucket.clone(), 25).await;
            assert_eq!((outcome.kept, outcome.failure.is_some()), (0, false), "{what}");
            assert_eq!(tail(&events), want, "{what}");
            assert_eq!(uploads_told(&events), [UploadStatus::ALL_STORED], "{what}");
            let found = objects(&bucket).await;
            assert_whole(&found);
            let lists = if merge == AvMerge::Merged { lists / 2 } else { lists };
            assert_eq!(
                (names(&found, ".m3u8").len(), names(&found, ".ts").len()),
                (lists, lists * 3),
                "{what}"
            );
            // 304 and 307 speak of playlists: not where nobody gets one.
            let of_lists = events.numbers().iter().filter(|number| matches!(number, 304 | 307)).count();
            assert_eq!(of_lists, if lists == 0 { 0 } else { lists + 1 }, "{what}");
            let files: Vec<String> = file.iter().map(|end| format!("{STEM}.{end}")).collect();
            assert_eq!(names(&found, ".mp4").len() + names(&found, ".aac").len(), files.len(), "{what}");
            let told = files_told(&events);
            assert_eq!((told.len(), outcome.files.len()), (files.len(), files.len()), "{what}");
            for ((name, told), made) in files.iter().zip(&told).zip(&outcome.files) {
                assert_eq!(told.status, Mp4Status::ALL_STORED, "{what}");
                assert_eq!(told.names.iter().map(ToString::to_string).collect::<Vec<_>>(), [name.as_str()]);
                let message = &told.files[0];
                let sound = file == Some("aac");
                let kind = if sound { TrackType::Audio } else { TrackType::AudioVideo };
                assert_eq!(
                    (message.track_type, message.file_name.to_string()),
                    (kind, name.clone()),
                    "{what}"
                );
                let length = message.end.get() - message.start.get();
                assert_eq!(message.start.get(), WALL, "{what}");
                assert!((24_990..=25_030).contains(&length), "{what}: {length} ms");
                let data = &found[&format!("task01/{name}")];
                assert_eq!(made.bytes, data.len() as u64, "{what}");
                assert_eq!(&data[..2], if sound { &[0xFF, 0xF1] } else { &[0, 0] }, "{what}");
                assert!(sound || &data[4..8] == b"ftyp", "{what}");
            }
            assert!(!root.path().join("spool/task01").exists(), "{what}: nothing is left in the spool");
        }
    }
}

#[cfg(feature = "mix")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_room_is_one_file() {
    for (output, end, kind) in [
        (OutputFormat::HlsAndMp4, "mp4", TrackType::AudioVideo),
        (OutputFormat::Aac, "aac", TrackType::Audio),
    ] {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::memory();
        let mut task = task(output);
        task.mix = Some(recorder::MixOptions::default());
        let (outcome, events) = record(root.path(), task, bucket.clone(), 25).await;
        assert_eq!((outcome.kept, outcome.failure.is_some()), (0, false));
        let found = objects(&bucket).await;
        assert_whole(&found);
        let name = format!("1400000001_1001.{end}");
        assert_eq!(names(&found, &format!(".{end}")), [name.as_str()]);
        let told = files_told(&events);
        let message = &told[0].files[0];
        assert_eq!((told.len(), message.user.as_ref(), message.media), (1, None, RecordedMedia::Mix));
        assert_eq!((message.track_type, message.start.get()), (kind, WALL));
        let length = message.end.get() - message.start.get();
        assert!((24_990..=25_060).contains(&length), "{length} ms");
        let file = root.path().join(&name);
        std::fs::write(&file, &found[&format!("task01/{name}")]).unwrap();
        if let Some(verdict) = recorder_testkit::ffmpeg::strict_decode(&file) {
            assert_eq!(verdict, recorder_testkit::ffmpeg::Verdict::Clean);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_ends_at_the_longest_duration_and_the_next_begins() {
    for (output, end) in [(OutputFormat::Mp4, "mp4"), (OutputFormat::HlsAndAac, "aac")] {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::memory();
        let mut task = task(output);
        task.max_file_duration = MaxFileDuration::from_minutes(1).unwrap();
        let (outcome, events) = record(root.path(), task, bucket.clone(), 150).await;
        let want: Vec<String> = (1..=3).map(|part| format!("{STEM}_{part}.{end}")).collect();
        assert_eq!(names(&objects(&bucket).await, &format!(".{end}")), want);
        let made: Vec<_> = outcome.files.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(made, want);
        let mut told = files_told(&events);
        assert_eq!(told.len(), 3, "one event for each file");
        told.sort_by_key(|told| told.names[0].to_string());
        let mut before = WALL;
        for (name, told) in want.iter().zip(&told) {
            assert_eq!(told.status, Mp4Status::ALL_STORED);
            let file = &told.files[0];
            assert_eq!(file.file_name.to_string(), *name);
            assert!(file.start.get().abs_diff(before) <= 22, "{end}: {} after {before}", file.start.get());
            // Cut between pictures, which end within the limit; the frame of sound that begins before it may end after it.
            assert!(file.end.get() - file.start.get() <= 60_000 + 22, "{end}: {file:?}");
            before = file.end.get();
        }
        assert!(before.abs_diff(WALL + 150_000) <= 30, "{end}: {before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_uploaded_keeps_its_segments_and_comes_later() {
    for output in [OutputFormat::HlsAndMp4, OutputFormat::Mp4, OutputFormat::Aac] {
        let root = tempfile::tempdir().unwrap();
        let (store, events) = (FaultyStore::new(), Events::new());
        store.no_files.store(true, Ordering::SeqCst);
        let options = told(task(output), store.bucket()).with_on_callback(events.sink());
        let recording = recorder(root.path()).start(options).unwrap();
        send(&recording, call(25)).await;
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        assert_eq!((outcome.kept, outcome.files.len()), (1, 1), "{output:?}");
        let told = files_told(&events);
        assert_eq!(told.iter().map(|told| told.status).collect::<Vec<_>>(), [Mp4Status::SOME_KEPT_BACK]);
        let found = objects(&store.bucket()).await;
        let spool = || -> Vec<String> {
            let Ok(entries) = std::fs::read_dir(root.path().join("spool/task01")) else { return Vec::new() };
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let waiting = spool();
        let count = |end: &str| waiting.iter().filter(|name| name.ends_with(end)).count();
        if output.keeps_hls() {
            assert_whole(&found);
            assert_eq!((names(&found, ".ts").len(), count(".ts"), count(".mp4")), (6, 0, 1), "{waiting:?}");
            assert_eq!(uploads_told(&events), [UploadStatus::ALL_STORED]);
        } else {
            let segments = if output == OutputFormat::Mp4 { 6 } else { 3 };
            assert_eq!((found.len(), count(".ts")), (0, segments), "{output:?}: {waiting:?}");
            assert_eq!(uploads_told(&events), [UploadStatus::SOME_KEPT_BACK]);
        }
        store.no_files.store(false, Ordering::SeqCst);
        recording.redeliver().await;
        // The recording is over when everything is delivered and told.
        let gone = async {
            while recording.describe().await.is_some() && !spool().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("the file is delivered");
        let found = objects(&store.bucket()).await;
        assert_eq!(names(&found, ".mp4").len() + names(&found, ".aac").len(), 1, "{output:?}");
        assert_eq!(names(&found, ".ts").len(), if output.keeps_hls() { 6 } else { 0 }, "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_file_can_be_made_the_segments_are_delivered_after_all() {
    for output in [OutputFormat::HlsAndMp4, OutputFormat::Mp4, OutputFormat::Aac] {
        let root = tempfile::tempdir().unwrap();
        let (bucket, events) = (Bucket::memory(), Events::new());
        let options = told(task(output), bucket.clone()).with_on_callback(events.sink());
        let recording = recorder(root.path()).start(options).unwrap();
        let mut call = call(25);
        let stop = call.pop().unwrap();
        assert!(matches!(stop.1, RoomEvent::Stop { .. }));
        send(&recording, call).await;
        recording.describe().await.unwrap();
        // What a file would be made by is lost.
        for entry in std::fs::read_dir(root.path().join("spool/task01")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "index") {
                std::fs::remove_file(path).unwrap();
            }
        }
        send(&recording, vec![stop]).await;
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        assert_eq!((outcome.kept, outcome.files.len()), (0, 0), "{output:?}");
        let told = files_told(&events);
        assert_eq!(told.iter().map(|told| told.status).collect::<Vec<_>>(), [Mp4Status::ABNORMAL]);
        assert!(told[0].files.is_empty());
        let found = objects(&bucket).await;
        assert_whole(&found);
        let kinds = if output == OutputFormat::Aac { 1 } else { 2 };
        assert_eq!(
            (names(&found, ".m3u8").len(), names(&found, ".ts").len(), found.len()),
            (kinds, kinds * 3, kinds * 4),
            "{output:?}"
        );
        assert!(!root.path().join("spool/task01").exists(), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_without_a_key_frame_for_longer_than_a_file_keep_their_hls() {
    for output in [OutputFormat::HlsAndMp4, OutputFormat::Mp4] {
        let root = tempfile::tempdir().unwrap();
        let (bucket, events) = (Bucket::memory(), Events::new());
        let mut task = task(output);
        task.max_file_duration = MaxFileDuration::from_minutes(1).unwrap();
        let options = told(task, bucket.clone()).with_on_callback(events.sink());
        let recording = recorder(root.path()).start(options).unwrap();
        let mut keys = 0;
        let mut is_wanted = |event: &RoomEvent| {
            let RoomEvent::Sample { kind: MediaKind::Video, sample, .. } = event else { return true };
            let mut units = Units::new(&sample.data, NalFraming::AnnexB).map(Result::unwrap);
            let key = units.any(|unit| unit[0] & 0x1F == nal_type::IDR);
            keys += u32::from(key);
            !key || keys == 1
        };
        send(&recording, call(90).into_iter().filter(|(_, event)| is_wanted(event)).collect()).await;
        assert!(keys > 1);
        let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        assert_eq!((outcome.kept, outcome.files.len()), (0, 0), "{output:?}");
        let statuses: Vec<_> = files_told(&events).iter().map(|told| told.status).collect();
        assert_eq!(statuses, [Mp4Status::ABNORMAL], "{output:?}");
        let found = objects(&bucket).await;
        let lists = found.iter().filter(|(key, _)| key.ends_with(".m3u8"));
        let texts: Vec<_> = lists.map(|(_, text)| std::str::from_utf8(text).unwrap()).collect();
        let named = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#'));
        let named: Vec<_> = named.filter(|name| found.contains_key(&format!("task01/{name}"))).collect();
        assert!(
            texts.len() == 2 && texts.iter().all(|text| text.ends_with("#EXT-X-ENDLIST\n")),
            "{output:?}"
        );
        assert_eq!((named.len(), names(&found, ".ts").len(), found.len()), (11, 11, 13), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_no_sound_gets_no_sound_file_and_a_file_of_pictures() {
    let without = |kind: MediaKind| {
        let keep = move |event: &RoomEvent| match event {
            RoomEvent::Publish { config, .. } => {
                matches!(config, recorder::types::TrackConfig::H264(_)) != (kind == MediaKind::Video)
            }
            RoomEvent::Sample { kind: of, .. } => *of != kind,
            _ => true,
        };
        call(12).into_iter().filter(move |(_, event)| keep(event)).collect::<Vec<_>>()
    };
    for (output, kind, file, track_type) in [
        (OutputFormat::Mp4, MediaKind::Audio, Some("mp4"), TrackType::Video),
        (OutputFormat::Mp4, MediaKind::Video, Some("mp4"), TrackType::Audio),
        (OutputFormat::Aac, MediaKind::Audio, None, TrackType::Audio),
        (OutputFormat::Aac, MediaKind::Video, Some("aac"), TrackType::Audio),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (bucket, events) = (Bucket::memory(), Events::new());
        let options = told(task(output), bucket.clone()).with_on_callback(events.sink());
        let recording = recorder(root.path()).start(options).unwrap();
        send(&recording, without(kind)).await;
        tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
        let found = objects(&bucket).await;
        let want: Vec<String> = file.iter().map(|end| format!("task01/{STEM}.{end}")).collect();
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), want, "{output:?} without {kind}");
        let told = files_told(&events);
        assert_eq!(told.len(), want.len());
        assert!(told.iter().all(|told| told.files[0].track_type == track_type));
        assert!(!root.path().join("spool/task01").exists());
    }
}
