//! What a process that died has left is taken up: by a look at the spool at any moment of a recording.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use recorder::callback::{LeaveCode, Payload, UploadStatus};
use recorder::storage::{Bucket, BucketOptions, Durability};
use recorder::types::RoomTime;
use recorder::{Fate, Now, OutputFormat, Recorder, RecoverOptions, RoomEvent, TaskOptions};
use support::shell::{
    Events, FaultyStore, assert_whole, call, copy, dies, objects, recorder, recorder_options, send, told,
};
use support::{WALL, options, wall};

/// The spool and the bucket of a recording that died after `seconds` of a call, in a directory of their own.
struct Dead {
    root: tempfile::TempDir,
    /// Events that its endpoint was told.
    told: Vec<u32>,
}

fn bucket_in(root: &Path) -> Bucket {
    let options = BucketOptions::default().with_durability(Durability::Relaxed);
    Bucket::local(&root.join("out"), options).unwrap()
}

async fn dies_after(task: TaskOptions, seconds: i64) -> Dead {
    dies_with(task, until(call(60), seconds)).await
}

fn until(events: Vec<(Now, RoomEvent)>, seconds: i64) -> Vec<(Now, RoomEvent)> {
    events.into_iter().take_while(|(now, _)| now.room <= RoomTime::from_secs(seconds)).collect()
}

async fn dies_with(task: TaskOptions, room: Vec<(Now, RoomEvent)>) -> Dead {
    let live = tempfile::tempdir().unwrap();
    let events = Events::new();
    let options = told(task, bucket_in(live.path())).with_on_callback(events.sink());
    let recording = recorder(live.path()).start(options).unwrap();
    send(&recording, room).await;
    recording.describe().await.unwrap();
    settle(live.path(), &recording).await;
    // The first upload is told once: before the death, and not by whoever comes after it.
    for _ in 0..200 {
        if events.numbers().contains(&304) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let root = tempfile::tempdir().unwrap();
    copy(live.path(), root.path());
    Dead { root, told: events.numbers() }
}

/// Lets the uploads that were begun end.
async fn settle(root: &Path, recording: &recorder::Recording) {
    let closed = |root: &Path| {
        std::fs::read_dir(root.join("spool/task01")).map_or(0, |entries| {
            entries
                .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "ts"))
                .count()
        })
    };
    for _ in 0..200 {
        if closed(root) <= 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    recording.describe().await.unwrap();
}

struct Taken {
    recovered: Vec<recorder::Recovered>,
    events: Events,
    recorder: Recorder,
}

/// Recovers into the bucket beside the spool.
fn recover(root: &Path, how: RecoverOptions) -> Taken {
    let events = Events::new();
    let sink = events.clone();
    let recorder = recorder(root);
    let bucket = bucket_in(root);
    let how = how.with_bucket(move |_, _| Some(bucket.clone())).with_adjust(move |mut options| {
        options.clock = recorder::ClockMode::Told { start: wall(WALL + 100_000) };
        options.with_on_callback(sink.sink())
    });
    Taken { recovered: recorder.recover(&how).unwrap(), events, recorder }
}

fn later(seconds: i64) -> Vec<(Now, RoomEvent)> {
    call(seconds)
        .into_iter()
        .map(|(now, event)| (Now { wall: now.wall.saturating_add_millis(100_000), ..now }, event))
        .collect()
}

async fn finish(taken: &mut Taken, seconds: Option<i64>) -> Vec<recorder::Outcome> {
    let mut outcomes = Vec::new();
    for recovered in &taken.recovered {
        let recording = match &recovered.fate {
            Fate::GoesOn { recording, .. } => {
                for (now, event) in later(seconds.unwrap_or(0)) {
                    recording.event_at(now, event).await.unwrap();
                }
                recording
            }
            Fate::Ends { recording } => recording,
            other => panic!("{other:?}"),
        };
        outcomes.push(recording.ended().await.unwrap());
        recording.closed().await;
    }
    outcomes
}

fn of(objects: &BTreeMap<String, Bytes>, end: &str) -> Vec<String> {
    objects.keys().filter(|name| name.ends_with(end)).map(|name| name.replace("task01/", "")).collect()
}

fn empty(root: &Path) -> bool {
    std::fs::read_dir(root.join("spool")).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_goes_on_under_the_next_prefix() {
    let dead = dies_after(options(), 25).await;
    let before = objects(&bucket_in(dead.root.path())).await;
    assert_eq!(of(&before, ".ts").len(), 4);
    let mut taken = recover(dead.root.path(), RecoverOptions::default());
    // Whoever comes second finds it taken.
    let second = recover(dead.root.path(), RecoverOptions::default());
    assert!(matches!(second.recovered[0].fate, Fate::Busy), "{:?}", second.recovered);
    let outcomes = finish(&mut taken, Some(15)).await;
    assert_eq!((outcomes.len(), outcomes[0].kept), (1, 0));
    let files = &outcomes[0].status.files;
    // Of the five seconds that were open pictures had been written, and sound not yet.
    assert_eq!(files.iter().map(|file| file.segments).collect::<Vec<_>>(), [2, 2, 2, 3]);
    assert!(files[2..].iter().all(|file| file.duration >= RoomTime::from_secs(20)), "{files:?}");
    assert_eq!(taken.events.numbers(), [306, 307, 307, 302, 305]);
    let after = objects(&bucket_in(dead.root.path())).await;
    assert_whole(&after);
    for (name, data) in before.iter().filter(|(name, _)| name.ends_with(".ts")) {
        assert_eq!(&after[name], data, "{name}");
    }
    assert_eq!((of(&after, ".m3u8").len(), of(&after, ".ts").len()), (4, 2 + 3 + 2 * 2));
    assert_eq!(after.keys().filter(|name| name.starts_with("task01/ha1_")).count(), 6);
    assert!(empty(dead.root.path()));
    // Nothing is left to do.
    assert!(recover(dead.root.path(), RecoverOptions::default()).recovered.is_empty());
    assert_eq!(objects(&bucket_in(dead.root.path())).await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_third_restart_the_task_ends_and_everything_is_delivered() {
    let dead = dies_after(options(), 12).await;
    let mut root = dead.root;
    for run in 1..=3 {
        let taken = recover(root.path(), RecoverOptions::default());
        let Fate::GoesOn { recording, run: found } = &taken.recovered[0].fate else { panic!("{run}") };
        assert_eq!(found.number(), run);
        recording.describe().await.unwrap();
        assert_eq!(taken.events.numbers()[..], [306]);
        send(recording, until(later(60), 12)).await;
        recording.describe().await.unwrap();
        settle(root.path(), recording).await;
        let next = tempfile::tempdir().unwrap();
        copy(root.path(), next.path());
        root = next;
    }
    let mut taken = recover(root.path(), RecoverOptions::default());
    assert!(matches!(taken.recovered[0].fate, Fate::Ends { .. }));
    let outcomes = finish(&mut taken, None).await;
    assert_eq!(outcomes[0].kept, 0);
    assert_eq!(taken.events.numbers(), [302, 305]);
    let stop = |event: &Payload| matches!(event, Payload::RecorderStop(LeaveCode::ROOM_TIMEOUT));
    assert!(taken.events.all().iter().any(stop));
    let found = objects(&bucket_in(root.path())).await;
    assert_whole(&found);
    for prefix in ["1400000001", "ha1_", "ha2_", "ha3_"] {
        let of = found.keys().filter(|name| name.starts_with(&format!("task01/{prefix}")));
        assert!((2 + 2..=2 + 2 * 2).contains(&of.count()), "{prefix}: {:?}", found.keys());
    }
    assert!(empty(root.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_format_is_made_of_what_every_run_has_left() {
    for output in [OutputFormat::HlsAndMp4, OutputFormat::HlsAndAac, OutputFormat::Mp4, OutputFormat::Aac] {
        let mut task = options();
        task.output = output;
        let dead = dies_after(task, 25).await;
        let mut taken = recover(dead.root.path(), RecoverOptions::default());
        let outcomes = finish(&mut taken, Some(15)).await;
        assert_eq!(outcomes[0].kept, 0);
        let found = objects(&bucket_in(dead.root.path())).await;
        assert_whole(&found);
        let kind =
            if matches!(output, OutputFormat::HlsAndMp4 | OutputFormat::Mp4) { ".mp4" } else { ".aac" };
        let names = of(&found, kind);
        assert_eq!(names.len(), 2, "{output:?}: {:?}", found.keys());
        assert!(names[1].starts_with("ha1_"));
        assert_eq!(of(&found, ".ts").is_empty(), !output.keeps_hls(), "{output:?}");
        let made = taken.events.numbers().iter().filter(|number| **number == 310).count();
        assert_eq!(made, 2, "{output:?}");
        assert!(empty(dead.root.path()), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_to_end_ends() {
    let dead = dies_after(options(), 25).await;
    let mut taken = recover(dead.root.path(), RecoverOptions::default().ending());
    let outcomes = finish(&mut taken, None).await;
    assert_eq!((outcomes[0].kept, taken.events.numbers()), (0, vec![302, 305]));
    assert!(matches!(taken.events.all()[1], Payload::UploadStop(UploadStatus::ALL_STORED)));
    let found = objects(&bucket_in(dead.root.path())).await;
    assert_whole(&found);
    assert_eq!(found.len(), 2 + 5);
    assert!(empty(dead.root.path()) && dead.told[..2] == [301, 303]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_without_its_bucket_waits_and_is_not_started_anew() {
    let dead = dies_undelivered(12).await;
    let spool = Recorder::new(recorder_options(dead.path()));
    let found = spool.recover(&RecoverOptions::default()).unwrap();
    let Fate::Waits { address, .. } = &found[0].fate else { panic!("{found:?}") };
    assert_eq!(&**address, "store:");
    let error = spool.start(told(options(), Bucket::memory())).unwrap_err();
    assert!(matches!(error, recorder::StartError::Spool(recorder::storage::SpoolError::Unfinished { .. })));
    let mut taken = recover(dead.path(), RecoverOptions::default());
    assert_eq!(finish(&mut taken, Some(5)).await[0].kept, 0);
    assert_whole(&objects(&bucket_in(dead.path())).await);
    drop(taken.recorder);
}

/// Nothing is delivered yet: every segment is in the spool.
async fn dies_undelivered(seconds: i64) -> tempfile::TempDir {
    let store = FaultyStore::new();
    store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    dies(told(options(), store.bucket()), seconds).await
}

/// Recovers a copy of `dead` with this journal; `None` if the journal does not tell the task.
async fn with_journal(dead: &Path, journal: &[u8]) -> Option<BTreeMap<String, Bytes>> {
    let root = tempfile::tempdir().unwrap();
    copy(dead, root.path());
    std::fs::write(root.path().join("spool/task01/journal~"), journal).unwrap();
    let mut taken = recover(root.path(), RecoverOptions::default().ending());
    if matches!(taken.recovered[0].fate, Fate::Failed(recorder::RecoverError::NoTask { .. })) {
        return None;
    }
    assert_eq!(finish(&mut taken, None).await[0].kept, 0);
    assert!(empty(root.path()));
    let found = objects(&bucket_in(root.path())).await;
    assert_whole(&found);
    Some(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_cut_or_damaged_anywhere_costs_no_segment() {
    let dead = dies_undelivered(23).await;
    let journal = std::fs::read(dead.path().join("spool/task01/journal~")).unwrap();
    let first = journal.windows(4).skip(9).position(|window| window == b"REC\n").unwrap() + 9;
    let whole = with_journal(dead.path(), &journal).await.unwrap();
    assert_eq!((of(&whole, ".m3u8").len(), of(&whole, ".ts").len()), (2, 2 + 3));
    let step = if std::env::var_os("RECORDER_ALL").is_some() { 1 } else { 17 };
    let (mut found, mut lost) = (0, 0);
    for at in (0..=journal.len()).step_by(step).chain([first - 1, first, first + 1]) {
        let mut flipped = journal.clone();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1 << (at % 8);
        }
        for (kind, changed) in [("cut", &journal[..at]), ("flip", &flipped)] {
            let Some(left) = with_journal(dead.path(), changed).await else {
                // Only the first record tells what was recorded.
                assert!(at < first, "{kind} at {at}");
                lost += 1;
                continue;
            };
            found += 1;
            assert_eq!(left.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "{kind} at {at}");
            for (name, data) in left.iter().filter(|(name, _)| name.ends_with(".ts")) {
                // Of a segment that no record tells, the last picture is not known to be whole.
                let missing = whole[name].len() - data.len();
                assert!(whole[name].starts_with(data) && missing <= 188 * 3, "{kind} at {at}: {missing}");
            }
        }
    }
    assert!(found > lost && lost > 0, "{found} {lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beginning_of_a_task_is_told_also_where_its_process_died_before_it_could() {
    let live = tempfile::tempdir().unwrap();
    let recording = recorder(live.path()).start(told(options(), bucket_in(live.path()))).unwrap();
    recording.describe().await.unwrap();
    let journal = std::fs::read(live.path().join("spool/task01/journal~")).unwrap();
    // The task, and behind it events 301 and 303: a mark, a length, a checksum, so many bytes.
    let mut end = 8;
    for records in 1..=3 {
        let length = <[u8; 4]>::try_from(&journal[end + 4..end + 8]).unwrap();
        end += 12 + usize::try_from(u32::from_le_bytes(length)).unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("spool/task01")).unwrap();
        std::fs::write(root.path().join("spool/task01/journal~"), &journal[..end]).unwrap();
        let mut taken = recover(root.path(), RecoverOptions::default());
        finish(&mut taken, Some(12)).await;
        assert_eq!(taken.events.numbers()[..3], [301, 303, 306], "after {records} records");
    }
}

/// A bucket of a server that is not there.
#[cfg(feature = "aws")]
const FAR_AWAY: &str =
    "s3://rooms/a?endpoint=http://127.0.0.1:9&region=r&access_key_id=PUBLIC&secret_access_key=CANARY";

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_in_the_journal_only_sealed() {
    use recorder::storage::{SealKey, StorageError};
    let key = |byte: u8| SealKey::new([byte; 32]);
    for sealed in [false, true] {
        let live = tempfile::tempdir().unwrap();
        let options_here = match sealed {
            true => recorder_options(live.path()).with_seal_key(key(1)),
            false => recorder_options(live.path()),
        };
        let bucket = Bucket::open(FAR_AWAY, BucketOptions::default()).unwrap();
        let recording = Recorder::new(options_here).start(told(options(), bucket)).unwrap();
        for (now, event) in call(12).into_iter().filter(|(_, event)| !matches!(event, RoomEvent::Stop { .. }))
        {
            recording.event_at(now, event).await.unwrap();
        }
        recording.describe().await.unwrap();
        let dead = tempfile::tempdir().unwrap();
        copy(live.path(), dead.path());
        for entry in std::fs::read_dir(dead.path().join("spool/task01")).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"CANARY" || window == b"PUBLIC"));
        }
        let fate = |key: Option<SealKey>| {
            let options = recorder_options(dead.path());
            let options = match key {
                Some(key) => options.with_seal_key(key),
                None => options,
            };
            Recorder::new(options).recover(&RecoverOptions::default()).unwrap().remove(0).fate
        };
        let Fate::Waits { address, error: None } = fate(None) else { panic!("without a key") };
        assert_eq!(&*address, "s3://rooms/a?[redacted]");
        if !sealed {
            assert!(matches!(fate(Some(key(1))), Fate::Waits { error: None, .. }));
            continue;
        }
        let wrong = fate(Some(key(2)));
        assert!(matches!(wrong, Fate::Waits { error: Some(StorageError::WrongSealKey), .. }), "{wrong:?}");
        assert!(matches!(fate(Some(key(1))), Fate::GoesOn { .. }));
    }
}

/// A room with another layout from here on, and a picture that is given as pixels.
#[cfg(feature = "mix")]
fn with_layout(events: Vec<(Now, RoomEvent)>, seconds: i64, layout: &RoomEvent) -> Vec<(Now, RoomEvent)> {
    let mut events = events;
    let at = events.iter().position(|(now, _)| now.room >= RoomTime::from_secs(seconds)).unwrap();
    events.insert(at, (events[at].0, layout.clone()));
    events
}

#[cfg(feature = "mix")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_recording_goes_on_with_the_mix_and_the_layout_that_it_had_last() {
    use std::sync::Arc;

    use recorder::MixOptions;
    use recorder::compositor::{BUNDLED_FONT, Bitmap, Font, Position, Rect, Rgb, TextStyle, TimeZone};
    use recorder::layout::{CustomWindow, LayoutParams, Template};
    use recorder::mix::{ImageSource, Watermark};
    use recorder::mixer::{AudioOptions, Fill, VideoOptions};
    use recorder::types::{MediaId, Size};

    let size = |width, height| Size::new(width, height).unwrap();
    let fonts = tempfile::tempdir().unwrap();
    let font_file = fonts.path().join("font.ttf");
    std::fs::write(&font_file, BUNDLED_FONT).unwrap();
    let video = VideoOptions::default()
        .with_size(size(320, 180))
        .with_fps(10)
        .with_bits_per_second(300_000)
        .with_gop_seconds(2);
    let noise = |seed: u32| {
        let pixels = (0..200 * 200 * 4u32).map(|n| n.wrapping_mul(seed).to_be_bytes()[0]).collect();
        Arc::new(Bitmap::new(size(200, 200), pixels).unwrap())
    };
    let place = |left, top, width, height| Rect::new(left, top, size(width, height)).unwrap();
    let picture =
        |bitmap: &Arc<Bitmap>, rect| Watermark::Image { image: ImageSource::Given(Arc::clone(bitmap)), rect };
    let style = TextStyle::default().with_font_size(20).with_background(Some(Rgb::new(1, 2, 3)));
    let text = Watermark::Text { text: "Wörter".into(), rect: place(100, 20, 100, 30), style };
    let zone = TimeZone::new(-3).unwrap();
    let clock = Watermark::Timestamp { position: Position::BottomRight, zone, style };
    let alice = CustomWindow::new(40, 20, 160, 120).with_user("alice".parse().unwrap(), MediaId::Main);
    let custom = LayoutParams::new(Template::Custom(vec![alice]));
    let mix = |layout: LayoutParams, marks: Vec<Watermark>| {
        let mut mix = MixOptions::default()
            .with_video(video.clone())
            .with_audio(AudioOptions::default().with_channels(1))
            .with_fill(Fill::Black)
            .with_font(Arc::new(Font::from_bytes(BUNDLED_FONT.to_vec()).unwrap()))
            .with_font_file(font_file.clone())
            .with_layout(layout)
            .with_watermarks(marks);
        mix.shed_after = None;
        mix.latency = RoomTime::from_millis(700);
        mix
    };
    let task = |mix: MixOptions| {
        let mut task = options();
        task.mix = Some(mix);
        task
    };
    let (first, second) = (noise(0x9E37_79B9), noise(0x85EB_CA6B));
    let marks = [
        vec![picture(&first, place(0, 0, 64, 36))],
        vec![picture(&first, place(0, 0, 90, 50)), text, clock, picture(&second, place(200, 100, 64, 64))],
        vec![picture(&second, place(10, 10, 50, 50))],
    ];
    let layouts = [LayoutParams::default(), custom, LayoutParams::new(Template::Floating { large: None })];
    let change = |n: usize| RoomEvent::Layout { layout: layouts[n].clone(), watermarks: marks[n].clone() };

    // What it is to be from then on: a recording that was begun so.
    let mut whole = Vec::new();
    for n in [1, 2] {
        let root = tempfile::tempdir().unwrap();
        let start = wall(WALL + 100_000);
        let mut asked = told(task(mix(layouts[n].clone(), marks[n].clone())), bucket_in(root.path()));
        asked.clock = recorder::ClockMode::Told { start };
        let recording = recorder(root.path()).start(asked).unwrap();
        send(&recording, later(16)).await;
        recording.ended().await.unwrap();
        let found = objects(&bucket_in(root.path())).await;
        whole.push(found.into_iter().filter(|(name, _)| name.ends_with(".ts")).collect::<Vec<_>>());
    }

    let room = with_layout(until(call(60), 14), 8, &change(1));
    let mut root = dies_with(task(mix(layouts[0].clone(), marks[0].clone())), room).await.root;
    for (run, whole) in whole.iter().enumerate() {
        let before = objects(&bucket_in(root.path())).await;
        let taken = recover(root.path(), RecoverOptions::default());
        let Fate::GoesOn { recording, run: found } = &taken.recovered[0].fate else {
            panic!("{:?}", taken.recovered[0]);
        };
        assert_eq!(usize::from(found.number()), run + 1);
        let changed = run == 0;
        if changed {
            // It dies once more, with another layout at the very end.
            send(recording, until(with_layout(later(60), 16, &change(2)), 16)).await;
        } else {
            send(recording, later(16)).await;
            recording.ended().await.unwrap();
        }
        let prefix = format!("task01/ha{}_", run + 1);
        let is_new = |name: &str| name.starts_with(&prefix) && name.ends_with(".ts");
        let mut after = objects(&bucket_in(root.path())).await;
        while !after.keys().any(|name| is_new(name)) {
            // Its first segment is on its way.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            after = objects(&bucket_in(root.path())).await;
        }
        for (name, data) in before.iter().filter(|(name, _)| name.ends_with(".ts")) {
            assert_eq!(&after[name], data, "{name}");
        }
        let segments: Vec<_> = after.iter().filter(|(name, _)| is_new(name)).collect();
        for ((_, data), (name, wanted)) in segments.iter().zip(whole) {
            assert!(*data == wanted, "{name} of run {} is another", run + 1);
        }
        if !changed {
            assert_eq!(segments.len(), whole.len());
            assert_whole(&after);
            break;
        }
        let next = tempfile::tempdir().unwrap();
        copy(root.path(), next.path());
        root = next;
    }
}
