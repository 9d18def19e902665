//! Recordings to a media library: what goes there, what events 311 and 312 tell, and what becomes of it where the library or
//! the process fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use recorder::callback::{CallbackBody, Payload, VodCommit, VodCommitStatus, VodStopStatus};
use recorder::storage::{
    Durability, LibraryError, LocalLibrary, MediaLibrary, MediaSettings, Medium, RetryOptions, StoredMedium,
    UploaderOptions, VendorError,
};
use recorder::{
    ClockMode, Delivery, Fate, LibraryTarget, Outcome, OutputFormat, RecordingOptions, RecoverOptions,
    StartError, TaskOptions,
};
use support::shell::{Events, PATIENCE, call, copy, dies, recorder, send};
use support::{WALL, options_with, wall};

const STEM: &str = "lesson-7__UserDefine_u_1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main";

/// A library that keeps what it gets in memory and answers as it was told to.
#[derive(Debug, Default)]
struct Shelf {
    media: Mutex<Vec<Kept>>,
    /// What the next media meet: a code, and whether it passes.
    troubles: Mutex<VecDeque<(&'static str, bool)>>,
}

#[derive(Clone, Debug)]
struct Kept {
    name: String,
    files: Vec<(String, usize)>,
    settings: MediaSettings,
}

impl Shelf {
    fn names(&self) -> Vec<String> {
        self.media.lock().unwrap().iter().map(|kept| kept.name.clone()).collect()
    }
}

#[async_trait]
impl MediaLibrary for Shelf {
    fn address(&self) -> &str {
        "shelf"
    }

    async fn put(&self, medium: &Medium, settings: &MediaSettings) -> Result<StoredMedium, LibraryError> {
        if let Some((code, passes)) = self.troubles.lock().unwrap().pop_front() {
            let vendor = VendorError::new(code, "as told");
            return Err(if passes {
                LibraryError::Unavailable { vendor }
            } else {
                LibraryError::Refused { vendor, request_id: "r-1".into() }
            });
        }
        let files = medium.files().map(|(name, path)| {
            let bytes =
                std::fs::read(path).map_err(|source| LibraryError::Source { name: name.clone(), source })?;
            Ok((name.to_string(), bytes.len()))
        });
        let files = files.collect::<Result<_, LibraryError>>()?;
        let name = medium.name().to_string();
        let mut media = self.media.lock().unwrap();
        let file_id = (1000 + media.len()).to_string();
        media.push(Kept { name, files, settings: settings.clone() });
        Ok(StoredMedium { url: format!("http://vod.example/{file_id}"), file_id })
    }
}

fn task(output: OutputFormat) -> TaskOptions {
    options_with(|task| {
        task.output = output;
        task.delivery = Delivery::Library { record_id: Some("lesson-7".parse().unwrap()) };
    })
}

fn to(library: &Arc<impl MediaLibrary + 'static>) -> LibraryTarget {
    let library = Arc::clone(library) as Arc<dyn MediaLibrary>;
    LibraryTarget { library, settings: MediaSettings::default() }
}

fn told(task: TaskOptions, target: LibraryTarget) -> RecordingOptions {
    let retry = RetryOptions::default().with_tries(2).with_base(Duration::ZERO);
    let uploader = UploaderOptions::default()
        .with_parallel(1)
        .with_retry(retry)
        .with_redeliver_every(Duration::from_secs(86_400));
    RecordingOptions::to_library(task, target)
        .with_uploader(uploader)
        .with_clock(ClockMode::Told { start: wall(WALL) })
}

async fn record(root: &Path, options: RecordingOptions, seconds: i64) -> Outcome {
    let recording = recorder(root).start(options).unwrap();
    send(&recording, call(seconds)).await;
    tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap()
}

fn commits(events: &Events) -> Vec<VodCommit> {
    let commit = |event| if let Payload::VodCommit(commit) = event { Some(commit) } else { None };
    events.all().into_iter().filter_map(commit).collect()
}

fn statuses(events: &Events) -> Vec<(String, u32)> {
    commits(events)
        .iter()
        .map(|commit| (commit.file.cache_file.to_string(), commit.status.number()))
        .collect()
}

fn stops(events: &Events) -> Vec<VodStopStatus> {
    let stop = |event| if let Payload::VodStop(status) = event { Some(status) } else { None };
    events.all().into_iter().filter_map(stop).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_media_type_puts_what_it_says_and_tells_of_each_file_and_of_the_end() {
    use OutputFormat::{Aac, Hls, HlsAndAac, HlsAndMp4, Mp4};
    for (output, ends) in [
        (Mp4, &[".mp4"][..]),
        (Hls, &["_audio.m3u8", "_video.m3u8"]),
        (Aac, &[".aac"]),
        (HlsAndMp4, &["_audio.m3u8", "_video.m3u8", ".mp4"]),
        (HlsAndAac, &["_audio.m3u8", "_video.m3u8", ".aac"]),
    ] {
        let (root, shelf, events) = (tempfile::tempdir().unwrap(), Arc::<Shelf>::default(), Events::new());
        let options = told(task(output), to(&shelf)).with_on_callback(events.sink());
        let outcome = record(root.path(), options, 25).await;
        assert_eq!((outcome.kept, outcome.failure.is_some()), (0, false), "{output:?}");
        let expected: Vec<String> = ends.iter().map(|end| format!("{STEM}{end}")).collect();
        let mut names = shelf.names();
        names.sort_by_key(|name| (!name.ends_with(".m3u8"), name.clone()));
        assert_eq!(names, expected, "{output:?}");
        let numbers = events.numbers();
        assert_eq!(numbers[..2], [301, 302], "{output:?}: nothing tells of uploads or playlists on the way");
        assert_eq!(numbers[2..], [vec![311; ends.len()], vec![312]].concat(), "{output:?}");
        assert_eq!(stops(&events), [VodStopStatus::NORMAL]);
        for commit in commits(&events) {
            let (start, end) = (commit.file.start.unwrap().get(), commit.file.end.unwrap().get());
            assert_eq!((commit.status, start), (VodCommitStatus::DELIVERED, WALL), "{output:?}");
            assert!((24_950..=25_050).contains(&(end - start)), "{output:?}: {} ms", end - start);
        }
        for kept in shelf.media.lock().unwrap().iter() {
            let segments = kept.files.iter().filter(|(name, _)| name.ends_with(".ts")).count();
            assert_eq!(segments, if kept.name.ends_with(".m3u8") { 3 } else { 0 }, "{kept:?}");
            assert!(kept.files.iter().all(|(_, bytes)| *bytes > 0));
        }
        assert!(!root.path().join("spool/task01").exists(), "{output:?}: nothing is left in the spool");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_311_and_312_are_the_documented_ones() {
    let (root, shelf) = (tempfile::tempdir().unwrap(), Arc::<Shelf>::default());
    // Twice by the uploader's own tries, and once more after it was asked to.
    shelf.troubles.lock().unwrap().extend([
        ("InternalError", true),
        ("InternalError", true),
        ("UnauthorizedOperation", false),
    ]);
    let bodies = Arc::<Mutex<Vec<String>>>::default();
    let (heard, events) = (Arc::clone(&bodies), Events::new());
    let sink = events.sink();
    let options = told(task(OutputFormat::Mp4), to(&shelf)).with_on_callback(move |body: &CallbackBody| {
        let json = String::from_utf8(body.to_json_bytes().to_vec()).unwrap();
        let frame = json.find(r#""Payload":"#).unwrap();
        heard.lock().unwrap().push(json[frame + r#""Payload":"#.len()..json.len() - 2].to_owned());
        sink(body);
    });
    let recording = recorder(root.path()).start(options).unwrap();
    send(&recording, call(5)).await;
    assert_eq!(recording.ended().await.unwrap().kept, 1);
    recording.redeliver().await;
    events.wait(|payload| matches!(payload, Payload::VodCommit(commit) if commit.status == VodCommitStatus::ERROR)).await;
    recording.redeliver().await;
    tokio::time::timeout(PATIENCE, recording.closed()).await.unwrap();
    let end = commits(&events)[2].file.end.unwrap().get();
    let failure =
        format!(r#""TencentVod":{{"UserId":"alice","TrackType":"audio_video","CacheFile":"{STEM}.mp4"}}"#);
    assert_eq!(
        bodies.lock().unwrap()[2..],
        [
            format!(
                r#"{{"Status":1,"Errmsg":"the media library is not available: InternalError: as told",{failure}}}"#
            ),
            r#"{"Status":1}"#.to_owned(),
            format!(
                r#"{{"Status":2,"Errmsg":"refused by the media library: UnauthorizedOperation: as told (RequestId r-1)",{failure}}}"#
            ),
            format!(
                r#"{{"Status":0,"TencentVod":{{"UserId":"alice","TrackType":"audio_video","MediaId":"main","FileId":"1000","VideoUrl":"http://vod.example/1000","CacheFile":"{STEM}.mp4","StartTimeStamp":{WALL},"EndTimeStamp":{end}}}}}"#
            ),
            r#"{"Status":0}"#.to_owned(),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_stays_in_the_spool_and_only_that_is_put_later() {
    let (root, shelf, events) = (tempfile::tempdir().unwrap(), Arc::<Shelf>::default(), Events::new());
    shelf.troubles.lock().unwrap().push_back(("InvalidParameterValue.SubAppId", false));
    let options = told(task(OutputFormat::HlsAndMp4), to(&shelf)).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options).unwrap();
    send(&recording, call(25)).await;
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert_eq!((outcome.kept, shelf.names().len()), (1, 2));
    assert_eq!(stops(&events), [VodStopStatus::ABNORMAL]);
    let missing =
        commits(&events).iter().find(|commit| commit.status == VodCommitStatus::ERROR).unwrap().clone();
    assert!(missing.error.unwrap().contains("InvalidParameterValue.SubAppId"));
    let segments = std::fs::read_dir(root.path().join("spool/task01")).unwrap();
    let segments =
        segments.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "ts"));
    assert_eq!(segments.count(), 6, "all that a later process would make it of");

    // The process dies here; the next one is given the library again.
    let later = tempfile::tempdir().unwrap();
    copy(root.path(), later.path());
    let (again, shelf_again) = (Events::new(), Arc::<Shelf>::default());
    let taken = recover(later.path(), &again, Some(Arc::clone(&shelf_again)));
    let Fate::Ends { recording: ends } = &taken[0].fate else { panic!("{taken:?}") };
    let outcome = tokio::time::timeout(PATIENCE, ends.ended()).await.unwrap().unwrap();
    assert_eq!(outcome.kept, 0);
    assert_eq!(shelf_again.names(), [missing.file.cache_file.to_string()], "nothing is put twice");
    assert_eq!(statuses(&again), [(missing.file.cache_file.to_string(), 0)]);
    assert_eq!(stops(&again), [VodStopStatus::NORMAL]);
    assert!(!later.path().join("spool/task01").exists());
    assert!(recover(later.path(), &again, None).is_empty());

    recording.redeliver().await;
    tokio::time::timeout(PATIENCE, recording.closed()).await.unwrap();
    assert_eq!(stops(&events), [VodStopStatus::ABNORMAL, VodStopStatus::NORMAL]);
    assert!(!root.path().join("spool/task01").exists());
}

fn recover(root: &Path, events: &Events, shelf: Option<Arc<Shelf>>) -> Vec<recorder::Recovered> {
    let sink = events.clone();
    let options = RecoverOptions::default()
        .with_library(move |_, address| {
            let shelf = shelf.clone().filter(|_| address == "shelf");
            shelf.map(|shelf| shelf as Arc<dyn MediaLibrary>)
        })
        .with_adjust(move |mut options| {
            options.clock = ClockMode::Told { start: wall(WALL + 100_000) };
            options.with_on_callback(sink.sink())
        });
    recorder(root).recover(&options).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_goes_on_after_a_crash_and_every_run_is_put() {
    let shelf = Arc::<Shelf>::default();
    let mut target = to(&shelf);
    target.settings.class_id = 3;
    target.settings.sub_app_id = Some(9);
    target.settings.procedure = Some("flow".into());
    target.settings.expire_after = Some(Duration::from_secs(86_400));
    target.settings.storage_region = Some("ap-chongqing".into());
    target.settings.session_context = Some("session".into());
    target.settings.source_context = Some("source".into());
    let settings = target.settings.clone();
    let root = dies(told(task(OutputFormat::HlsAndMp4), target), 25).await;

    let events = Events::new();
    // Who has no library to give finds it waiting, as often as it is asked.
    for _ in 0..2 {
        let taken = recover(root.path(), &events, None);
        assert!(
            matches!(&taken[0].fate, Fate::Waits { address, error: None } if &**address == "shelf"),
            "{taken:?}"
        );
    }
    let taken = recover(root.path(), &events, Some(Arc::clone(&shelf)));
    let Fate::GoesOn { recording, .. } = &taken[0].fate else { panic!("{taken:?}") };
    for (now, event) in call(10) {
        recording.event_at(now, event).await.unwrap();
    }
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert_eq!(outcome.kept, 0);
    let mut names = shelf.names();
    names.sort();
    let again = STEM.replace("_u_", "_u_ha1_");
    let mut expected: Vec<String> = [STEM, again.as_str()]
        .iter()
        .flat_map(|stem| ["_audio.m3u8", "_video.m3u8", ".mp4"].map(|end| format!("{stem}{end}")))
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    assert!(shelf.media.lock().unwrap().iter().all(|kept| kept.settings == settings));
    let numbers: Vec<u32> = events.numbers().into_iter().filter(|number| *number != 301).collect();
    assert_eq!(numbers, [vec![306, 302], vec![311; 6], vec![312]].concat());
    assert!(!root.path().join("spool/task01").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_library_opens_by_itself_after_a_crash() {
    let (folder, events) = (tempfile::tempdir().unwrap(), Events::new());
    let library = LocalLibrary::open(&folder.path().join("media"), Durability::Relaxed).unwrap();
    let root = dies(told(task(OutputFormat::Mp4), to(&Arc::new(library))), 25).await;
    let options = RecoverOptions::default().ending().with_adjust({
        let events = events.clone();
        move |options| options.with_on_callback(events.sink())
    });
    let taken = recorder(root.path()).recover(&options).unwrap();
    let Fate::Ends { recording } = &taken[0].fate else { panic!("{taken:?}") };
    assert_eq!(tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap().kept, 0);
    assert_eq!(statuses(&events), [(format!("{STEM}.mp4"), 0)]);
    let index = std::fs::read_to_string(folder.path().join("media/index.jsonl")).unwrap();
    assert_eq!(index.lines().count(), 1, "{index}");
}

#[cfg(feature = "mix")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_in_a_local_library_plays() {
    use recorder::callback::RecordedMedia;
    let (root, events) = (tempfile::tempdir().unwrap(), Events::new());
    let library = LocalLibrary::open(&root.path().join("media"), Durability::Sync).unwrap();
    let mut task = task(OutputFormat::HlsAndMp4);
    task.mix = Some(recorder::MixOptions::default());
    let options = told(task, to(&Arc::new(library))).with_on_callback(events.sink());
    let outcome = record(root.path(), options, 25).await;
    assert_eq!((outcome.kept, outcome.failure.is_some()), (0, false));
    let told = commits(&events);
    assert_eq!(told.len(), 2);
    for commit in told {
        assert_eq!((commit.file.user, commit.file.media), (None, Some(RecordedMedia::Mix)));
        let url = commit.file.video_url.unwrap();
        let path = url.strip_prefix("file://").unwrap();
        if let Some(verdict) = recorder_testkit::ffmpeg::strict_decode(Path::new(path)) {
            assert_eq!(verdict, recorder_testkit::ffmpeg::Verdict::Clean, "{url}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_file_can_be_made_the_playlists_are_put_after_all() {
    let (root, shelf, events) = (tempfile::tempdir().unwrap(), Arc::<Shelf>::default(), Events::new());
    let options = told(task(OutputFormat::Mp4), to(&shelf)).with_on_callback(events.sink());
    let recording = recorder(root.path()).start(options).unwrap();
    let mut events_of_the_room = call(25);
    let stop = events_of_the_room.pop().unwrap();
    send(&recording, events_of_the_room).await;
    recording.describe().await.unwrap();
    // Something else has the name of the file.
    std::fs::write(root.path().join("spool/task01").join(format!("{STEM}.mp4")), "x").unwrap();
    send(&recording, vec![stop]).await;
    let outcome = tokio::time::timeout(PATIENCE, recording.ended()).await.unwrap().unwrap();
    assert_eq!(outcome.kept, 0);
    let mut names = shelf.names();
    names.sort();
    assert_eq!(names, [format!("{STEM}_audio.m3u8"), format!("{STEM}_video.m3u8")]);
    let told = statuses(&events);
    assert_eq!(told[0], (format!("{STEM}.mp4"), 2));
    assert_eq!((told.len(), stops(&events)), (3, vec![VodStopStatus::ABNORMAL]));
}

#[tokio::test]
async fn a_task_and_where_it_goes_have_to_fit() {
    let (root, shelf) = (tempfile::tempdir().unwrap(), Arc::<Shelf>::default());
    let recorder = recorder(root.path());
    let mut options = told(task(OutputFormat::Mp4), to(&shelf));
    options.library = None;
    assert!(matches!(recorder.start(options), Err(StartError::Delivery)));
    let mut options = told(task(OutputFormat::Mp4), to(&shelf));
    options.task.delivery = Delivery::Bucket;
    assert!(matches!(recorder.start(options), Err(StartError::Delivery)));
    #[cfg(feature = "mix")]
    {
        let mut options = told(task(OutputFormat::Mp4), to(&shelf));
        options.task.timeline = true;
        assert!(matches!(recorder.start(options), Err(StartError::TimelineInLibrary)));
    }
    assert!(!root.path().join("spool/task01").exists());
}

#[cfg(feature = "api")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_vod_is_recorded_as_it_asks_and_describes_no_files() {
    use recorder::api::{Action, Request};
    use support::service::{APP, Told, body, request};

    let shelf = Arc::<Shelf>::default();
    let opened = Arc::clone(&shelf);
    let told = Told::with(|options| {
        options.with_library(move |_, _| Ok(Arc::clone(&opened) as Arc<dyn MediaLibrary>))
    });
    let mut asked = body(1, "robot", r#", "StreamType": 1"#);
    asked["StorageParams"] = recorder_testkit::api_json::to_vod()["StorageParams"].clone();
    let Request::Create(create) = request(Action::CreateCloudRecording, &asked.to_string()) else { panic!() };
    let task = told.start(&create).await;
    told.enter(1, "alice");
    told.speak(1, "alice", 0..600);
    let id = task.parse().unwrap();
    let closed = async || {
        let status = told.service.status(&id).await;
        status.is_some_and(|status| status.files.iter().any(|file| file.segments > 0))
    };
    told.until("a closed segment", closed).await;
    assert_eq!(told.describe(&task).await.unwrap().storage_file_list, Some(Vec::new()));
    told.delete(APP, &task).unwrap();
    told.until_over(&task).await;
    assert_eq!(told.story(&task), "301:0 302:0 311 311 312");
    let stem = "rec-1__UserDefine_u_1400000001_1__UserId_s_YWxpY2U.__UserId_e_main";
    let mut names = shelf.names();
    names.sort();
    assert_eq!(names, [format!("{stem}.aac"), format!("{stem}_audio.m3u8")]);
    let settings = shelf.media.lock().unwrap()[0].settings.clone();
    let asked = &asked["StorageParams"]["CloudVod"]["TencentVod"];
    assert_eq!(settings.procedure.as_deref(), asked["Procedure"].as_str());
    assert_eq!(settings.expire_after.map(|after| after.as_secs()), asked["ExpireTime"].as_u64());
    assert_eq!(settings.storage_region.as_deref(), asked["StorageRegion"].as_str());
    assert_eq!(Some(u64::from(settings.class_id)), asked["ClassId"].as_u64());
    assert_eq!(settings.sub_app_id.map(u64::from), asked["SubAppId"].as_u64());
    assert_eq!(settings.session_context.as_deref(), asked["SessionContext"].as_str());
    assert_eq!(settings.source_context.as_deref(), asked["SourceContext"].as_str());
    assert!(settings.source_context.is_some() && settings.procedure.is_some());
}

#[cfg(all(feature = "api", feature = "tencent-vod"))]
#[tokio::test]
async fn what_vod_will_not_take_is_told_at_the_start() {
    use recorder::api::{Action, Request};
    use recorder::storage::{TencentVod, TencentVodOptions};
    use support::service::{Told, body, request};

    let told = Told::with(|options| {
        options.with_library(|_, _| {
            let vod = TencentVod::new("AKID", "key", TencentVodOptions::default())?;
            Ok(Arc::new(vod) as Arc<dyn MediaLibrary>)
        })
    });
    let mut asked = body(1, "robot", "");
    asked["StorageParams"] =
        serde_json::json!({"CloudVod": {"TencentVod": {"SourceContext": "x".repeat(251)}}});
    let Request::Create(create) = request(Action::CreateCloudRecording, &asked.to_string()) else { panic!() };
    let error = told.service.create(&create).await.unwrap_err();
    assert_eq!(error.code(), "InvalidParameter.OutOfRange");
    assert!(error.message().contains("SourceContext"), "{error}");
    assert_eq!((told.service.running(), told.tasks().len()), (0, 0));
}
