//! What the journal of a task holds, written and read back.

use std::collections::BTreeMap;
use std::time::Duration;

use recorder_callback::{CallbackBody, LeaveCode, Payload, UploadStatus, VodCommitStatus, VodStopStatus};
use recorder_hls::PlaylistUpdate;
use recorder_naming::{HaRun, KeyPrefix, ParsedName, RoomIdKind};
use recorder_storage::{Bucket, Journal, MediaSettings, SealKey, Spool, SpoolError};
use recorder_types::{MediaKind, ObjectName, RoomId, SdkAppId, TaskId, UnixMillis, UserId};
use serde::{Deserialize, Serialize};

#[cfg(feature = "mix")]
use super::mix_journal::{LayoutRecord, MixRecord, PartRecord, PastMix, PictureRef, Pictures};
use super::options::RecordingOptions;
use crate::subscribe::{Subscription, UserList};
use crate::task::{
    AvMerge, Delivery, MaxFileDuration, MaxIdleTime, MediaSelection, OutputFormat, StreamSelection,
    TaskOptions,
};

/// One record, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// The first: what is recorded, and where to.
    Task(Box<TaskRecord>),
    /// The task goes on under `ha<run>_`.
    Run { run: u8 },
    /// A segment is whole and on the disk; `append` is what its playlist gains.
    Segment(SegmentRecord),
    /// Something that is to be told: a callback's body.
    Event { number: u64, body: CallbackBody },
    /// Every event up to this one was delivered or given up.
    Told { through: u64 },
    /// The lists of subscribed users are these from now on.
    Lists { audio: ListRecord, video: ListRecord },
    /// How the room is mixed from now on.
    #[cfg(feature = "mix")]
    Mix(Box<MixRecord>),
    /// The mix has this layout from now on.
    #[cfg(feature = "mix")]
    Layout(Box<LayoutRecord>),
    /// A part of a picture that a mix or layout behind it shows.
    #[cfg(feature = "mix")]
    Picture(PartRecord),
    /// Everything is in the bucket.
    Delivered,
}

/// [`TaskOptions`], with the numbers of `CreateCloudRecording`, and the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    app: u32,
    room: RoomRecord,
    task: String,
    robot: String,
    prefix: String,
    run: Option<u8>,
    stream_type: usize,
    media: usize,
    merge: usize,
    audio: ListRecord,
    video: ListRecord,
    max_idle: u64,
    output: usize,
    max_file_minutes: u16,
    pub(super) mixed: bool,
    #[serde(default)]
    timeline: bool,
    /// Where the files go, or the media library; without anything that is secret.
    pub(super) bucket: String,
    /// The address opens the bucket as it stands.
    pub(super) reopens: bool,
    /// The address with its secrets, sealed.
    pub(super) sealed: Option<String>,
    /// The embedder's.
    pub(super) note: Option<String>,
    /// The address is that of a media library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) library: Option<LibraryRecord>,
    /// Where goes what the bucket does not take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) backup: Option<PlaceRecord>,
}

/// How a media library is to keep what it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LibraryRecord {
    record_id: Option<String>,
    procedure: Option<String>,
    expire_secs: Option<u64>,
    storage_region: Option<String>,
    class_id: u32,
    sub_app_id: Option<u32>,
    session_context: Option<String>,
    source_context: Option<String>,
}

impl LibraryRecord {
    fn new(delivery: &Delivery, settings: &MediaSettings) -> Self {
        let record_id = match delivery {
            Delivery::Library { record_id } => record_id.as_ref().map(|id| id.as_str().to_owned()),
            Delivery::Bucket => None,
        };
        Self {
            record_id,
            procedure: settings.procedure.clone(),
            expire_secs: settings.expire_after.map(|after| after.as_secs()),
            storage_region: settings.storage_region.clone(),
            class_id: settings.class_id,
            sub_app_id: settings.sub_app_id,
            session_context: settings.session_context.clone(),
            source_context: settings.source_context.clone(),
        }
    }

    pub(super) fn settings(&self) -> MediaSettings {
        let mut settings = MediaSettings::default();
        settings.procedure = self.procedure.clone();
        settings.expire_after = self.expire_secs.map(Duration::from_secs);
        settings.storage_region = self.storage_region.clone();
        settings.class_id = self.class_id;
        settings.sub_app_id = self.sub_app_id;
        settings.session_context = self.session_context.clone();
        settings.source_context = self.source_context.clone();
        settings
    }

    fn delivery(&self) -> Option<Delivery> {
        let record_id = self.record_id.as_deref().map(str::parse).transpose().ok()?;
        Some(Delivery::Library { record_id })
    }
}

impl TaskRecord {
    /// Where the files go.
    pub(super) fn place(&self) -> PlaceRecord {
        PlaceRecord { bucket: self.bucket.clone(), reopens: self.reopens, sealed: self.sealed.clone() }
    }
}

/// A bucket, with members as in [`TaskRecord`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PlaceRecord {
    pub(super) bucket: String,
    pub(super) reopens: bool,
    pub(super) sealed: Option<String>,
}

impl PlaceRecord {
    fn new(bucket: &Bucket, task: &TaskId, key: Option<&SealKey>) -> Self {
        Self {
            bucket: bucket.reopen_address().map_or_else(|| bucket.to_string(), str::to_owned),
            reopens: bucket.reopen_address().is_some(),
            sealed: key.and_then(|key| bucket.sealed_address(key, task)),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoomRecord {
    Number(u32),
    Text(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ListRecord {
    #[default]
    Everyone,
    Allow(Vec<String>),
    Block(Vec<String>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SegmentRecord {
    playlist: String,
    start: u64,
    bytes: u64,
    header: String,
    append: String,
}

const STREAMS: [StreamSelection; 3] =
    [StreamSelection::AudioAndVideo, StreamSelection::AudioOnly, StreamSelection::VideoOnly];
const MEDIA: [MediaSelection; 3] = [MediaSelection::Both, MediaSelection::MainOnly, MediaSelection::AuxOnly];
const MERGES: [AvMerge; 2] = [AvMerge::Separate, AvMerge::Merged];
const OUTPUTS: [OutputFormat; 5] = [
    OutputFormat::Hls,
    OutputFormat::HlsAndMp4,
    OutputFormat::HlsAndAac,
    OutputFormat::Mp4,
    OutputFormat::Aac,
];

fn number_of<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|other| other == one).expect("the table has every value")
}

impl TaskRecord {
    pub(crate) fn new(recording: &RecordingOptions, key: Option<&SealKey>) -> Self {
        let RecordingOptions { task: options, library, .. } = recording;
        let place = PlaceRecord::new(&recording.bucket, &options.task, key);
        let backup = recording.uploader.backup.as_ref();
        let lists = &options.subscription;
        Self {
            app: options.app.get(),
            room: match options.room.as_text() {
                Some(text) => RoomRecord::Text(text.into()),
                None => RoomRecord::Number(options.room.as_integer().unwrap_or_default()),
            },
            task: options.task.to_string(),
            robot: options.robot.to_string(),
            prefix: options.prefix.to_string(),
            run: options.ha_run.map(HaRun::number),
            stream_type: number_of(&STREAMS, &options.stream_type),
            media: number_of(&MEDIA, &options.media),
            merge: number_of(&MERGES, &options.merge),
            audio: lists.list(MediaKind::Audio).into(),
            video: lists.list(MediaKind::Video).into(),
            max_idle: options.max_idle.as_duration().as_secs(),
            output: number_of(&OUTPUTS, &options.output),
            max_file_minutes: options.max_file_duration.minutes(),
            #[cfg(feature = "mix")]
            mixed: options.mix.is_some(),
            #[cfg(not(feature = "mix"))]
            mixed: false,
            #[cfg(feature = "mix")]
            timeline: options.timeline,
            #[cfg(not(feature = "mix"))]
            timeline: false,
            bucket: match library {
                Some(target) => target.library.address().to_owned(),
                None => place.bucket,
            },
            reopens: match library {
                Some(target) => target.library.reopens(),
                None => place.reopens,
            },
            sealed: place.sealed,
            note: recording.note.clone(),
            library: library.as_ref().map(|target| LibraryRecord::new(&options.delivery, &target.settings)),
            backup: backup.map(|backup| PlaceRecord::new(backup, &options.task, key)),
        }
    }

    /// `None` if a value is none that was written: the journal is of another version, or damaged.
    pub(super) fn options(&self) -> Option<TaskOptions> {
        let room = match &self.room {
            RoomRecord::Number(number) => RoomId::integer(*number),
            RoomRecord::Text(text) => RoomId::text(text).ok()?,
        };
        let (task, robot): (TaskId, UserId) = (self.task.parse().ok()?, self.robot.parse().ok()?);
        let mut options = TaskOptions::new(SdkAppId::new(self.app), room, task, robot);
        options.prefix = match self.prefix.as_str() {
            "" => KeyPrefix::default(),
            prefix => prefix.parse().ok()?,
        };
        options.ha_run = match self.run {
            Some(run) => Some(HaRun::new(run)?),
            None => None,
        };
        options.stream_type = *STREAMS.get(self.stream_type)?;
        options.media = *MEDIA.get(self.media)?;
        options.merge = *MERGES.get(self.merge)?;
        options.subscription = subscription(&self.audio, &self.video)?;
        options.max_idle = u32::try_from(self.max_idle).ok().and_then(MaxIdleTime::from_secs)?;
        options.output = *OUTPUTS.get(self.output)?;
        options.max_file_duration = MaxFileDuration::from_minutes(self.max_file_minutes)?;
        if let Some(library) = &self.library {
            options.delivery = library.delivery()?;
        }
        #[cfg(feature = "mix")]
        {
            options.timeline = self.timeline;
        }
        Some(options)
    }
}

impl From<&UserList> for ListRecord {
    fn from(list: &UserList) -> Self {
        let texts = |users: &[Box<str>]| users.iter().map(|user| user.to_string()).collect();
        match list {
            UserList::Everyone => Self::Everyone,
            UserList::Allow(users) => Self::Allow(texts(users)),
            UserList::Block(users) => Self::Block(texts(users)),
        }
    }
}

fn subscription(audio: &ListRecord, video: &ListRecord) -> Option<Subscription> {
    let mut lists = Subscription::everyone();
    for (kind, list) in [(MediaKind::Audio, audio), (MediaKind::Video, video)] {
        lists = match list {
            ListRecord::Everyone => lists,
            ListRecord::Allow(users) => lists.with_allowed(kind, users).ok()?,
            ListRecord::Block(users) => lists.with_blocked(kind, users).ok()?,
        };
    }
    Some(lists)
}

/// The journal of a task that is under way.
pub(super) struct TaskJournal {
    journal: Journal,
    next_event: u64,
    /// The latest event that was handed over to be told, and of those the latest that is known to be.
    sent: u64,
    told: u64,
    #[cfg(feature = "mix")]
    pictures: Pictures,
}

impl TaskJournal {
    /// Begins the journal of a new task.
    pub(super) fn create(
        spool: &Spool,
        recording: &RecordingOptions,
        key: Option<&SealKey>,
    ) -> Result<Self, SpoolError> {
        let entry = Entry::Task(Box::new(TaskRecord::new(recording, key)));
        let mut journal = Self {
            journal: Journal::create(spool, &encode(&entry))?,
            next_event: 1,
            sent: 0,
            told: 0,
            #[cfg(feature = "mix")]
            pictures: Pictures::default(),
        };
        if let Err(error) = journal.mix(&recording.task).and_then(|()| journal.commit()) {
            journal.remove();
            return Err(error);
        }
        Ok(journal)
    }

    /// Reads what the runs before have left.
    pub(super) fn open(spool: &Spool) -> Result<(Self, Past), SpoolError> {
        let mut past = Past::default();
        let (journal, state) = Journal::open(spool, |record| match serde_json::from_slice(record) {
            Ok(entry) => past.take(entry),
            // Its checksum is right, so another version has written it.
            Err(_) => past.unknown += 1,
        })?;
        past.damaged = state.damaged > 0 || past.unknown > 0;
        let next_event = past.last_event + 1;
        let told = past.told;
        #[cfg(feature = "mix")]
        let pictures = past.mix.pictures();
        let journal = Self {
            journal,
            next_event,
            sent: told,
            told,
            #[cfg(feature = "mix")]
            pictures,
        };
        Ok((journal, past))
    }

    /// The task goes on by `options`.
    pub(super) fn run(&mut self, run: HaRun, options: &TaskOptions) -> Result<(), SpoolError> {
        self.add(&Entry::Run { run: run.number() })?;
        self.mix(options)?;
        self.journal.commit()
    }

    /// Adds how the room is mixed, if it is, for the next commit.
    #[cfg(feature = "mix")]
    fn mix(&mut self, options: &TaskOptions) -> Result<(), SpoolError> {
        let Some(mix) = &options.mix else { return Ok(()) };
        let pixels = self.write_pictures(&mix.watermarks)?;
        self.add(&Entry::Mix(Box::new(MixRecord::new(mix, pixels))))
    }

    #[cfg(not(feature = "mix"))]
    const fn mix(&mut self, _options: &TaskOptions) -> Result<(), SpoolError> {
        Ok(())
    }

    #[cfg(feature = "mix")]
    pub(super) fn layout(
        &mut self,
        layout: &recorder_layout::LayoutParams,
        watermarks: &[crate::mix::Watermark],
    ) -> Result<(), SpoolError> {
        let pixels = self.write_pictures(watermarks)?;
        self.add(&Entry::Layout(Box::new(LayoutRecord::new(layout, watermarks, pixels))))?;
        self.journal.commit()
    }

    /// Part by part, so that no more than one is in memory beside its picture.
    #[cfg(feature = "mix")]
    fn write_pictures(
        &mut self,
        watermarks: &[crate::mix::Watermark],
    ) -> Result<Vec<Option<PictureRef>>, SpoolError> {
        let journal = &mut self.journal;
        self.pictures.write(watermarks, |part| {
            journal.append(&encode(&Entry::Picture(part)))?;
            journal.write()
        })
    }

    pub(super) fn delivered(&mut self) -> Result<(), SpoolError> {
        self.add(&Entry::Delivered)?;
        self.journal.commit()
    }

    pub(super) fn lists(&mut self, lists: &Subscription) -> Result<(), SpoolError> {
        let list = |kind| lists.list(kind).into();
        self.add(&Entry::Lists { audio: list(MediaKind::Audio), video: list(MediaKind::Video) })?;
        self.journal.commit()
    }

    /// Adds a segment, for the next commit.
    pub(super) fn segment(
        &mut self,
        start: UnixMillis,
        bytes: u64,
        update: &PlaylistUpdate,
    ) -> Result<(), SpoolError> {
        self.add(&Entry::Segment(SegmentRecord {
            playlist: update.name.to_string(),
            start: start.get(),
            bytes,
            header: update.header.clone(),
            append: super::driver::body_lines(&update.append).to_owned(),
        }))
    }

    /// Adds an event, for the next commit, and gives its number.
    pub(super) fn event(&mut self, body: &CallbackBody) -> Result<u64, SpoolError> {
        let number = self.next_event;
        self.add(&Entry::Event { number, body: body.clone() })?;
        self.next_event += 1;
        Ok(number)
    }

    pub(super) fn commit(&mut self) -> Result<(), SpoolError> {
        self.journal.commit()
    }

    /// The event `number` was handed over to be told.
    pub(super) fn sent(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// The latest event that was handed over and is not known to be told.
    pub(super) fn outstanding(&self) -> Option<u64> {
        (self.sent > self.told).then_some(self.sent)
    }

    /// Every event up to `through` was told. What is not written of this is told once more after a crash.
    pub(super) fn told(&mut self, through: u64) {
        if through > self.told {
            self.told = through;
            if let Err(error) = self.add(&Entry::Told { through }).and_then(|()| self.journal.write()) {
                tracing::debug!(%error, "events will be told again after a crash");
            }
        }
    }

    /// Whether it takes no more, and nobody knows what of the last records is on the disk.
    pub(super) fn is_broken(&self) -> bool {
        self.journal.is_broken()
    }

    pub(super) fn remove(&self) {
        self.journal.remove();
    }

    fn add(&mut self, entry: &Entry) -> Result<(), SpoolError> {
        self.journal.append(&encode(entry))
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("a record has only string keys")
}

/// What the journal tells of a task whose process has died.
#[derive(Debug, Default)]
pub(super) struct Past {
    task: Option<Box<TaskRecord>>,
    /// Of the latest run; 0 for the first.
    run: u8,
    lists: Option<(ListRecord, ListRecord)>,
    /// By name of their playlist, in order of appearance.
    pub(super) sets: Vec<PastSet>,
    by_name: BTreeMap<ObjectName, usize>,
    /// Events that were not told, by number.
    events: BTreeMap<u64, CallbackBody>,
    /// 0: there was none.
    pub(super) last_event: u64,
    told: u64,
    /// Event 302 says that the recording had ended.
    pub(super) stopped: Option<LeaveCode>,
    pub(super) first_playlist_told: bool,
    pub(super) uploads_told: Option<UploadStatus>,
    /// What was told last of each medium that goes into a library.
    pub(super) media_told: BTreeMap<ObjectName, VodCommitStatus>,
    pub(super) library_told: Option<VodStopStatus>,
    pub(super) delivered: bool,
    #[cfg(feature = "mix")]
    pub(super) mix: PastMix,
    unknown: u64,
    /// Records may be missing.
    pub(super) damaged: bool,
}

/// One playlist and its segments.
#[derive(Debug)]
pub(super) struct PastSet {
    pub(super) playlist: ObjectName,
    pub(super) header: String,
    pub(super) segments: Vec<PastSegment>,
}

/// One segment of a playlist.
#[derive(Clone, Debug)]
pub(super) struct PastSegment {
    pub(super) start: UnixMillis,
    pub(super) bytes: u64,
    pub(super) lines: String,
}

impl PastSet {
    /// The playlist's lines behind its header.
    pub(super) fn body(&self) -> String {
        self.segments.iter().map(|segment| segment.lines.as_str()).collect()
    }
}

impl Past {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Task(task) => self.task = Some(task),
            Entry::Run { run } => self.run = self.run.max(run),
            Entry::Segment(segment) => {
                let (Ok(playlist), Some(start)) =
                    (segment.playlist.parse::<ObjectName>(), UnixMillis::new(segment.start))
                else {
                    self.unknown += 1;
                    return;
                };
                let found = PastSegment { start, bytes: segment.bytes, lines: segment.append };
                self.add(&playlist, found, segment.header);
            }
            Entry::Event { number, body } => {
                match body.event().payload() {
                    Payload::RecorderStop(code) => self.stopped = Some(*code),
                    Payload::FileInfo(_) => self.first_playlist_told = true,
                    Payload::UploadStop(status) => self.uploads_told = Some(*status),
                    Payload::VodStop(status) => self.library_told = Some(*status),
                    Payload::VodCommit(commit) => {
                        if let Ok(name) = commit.file.cache_file.as_str().parse() {
                            self.media_told.insert(name, commit.status);
                        }
                    }
                    _ => {}
                }
                self.last_event = self.last_event.max(number);
                self.events.insert(number, body);
            }
            Entry::Told { through } => {
                self.told = self.told.max(through);
                self.events = self.events.split_off(&(through.saturating_add(1)));
            }
            Entry::Lists { audio, video } => self.lists = Some((audio, video)),
            #[cfg(feature = "mix")]
            Entry::Mix(mix) => self.mix.mix(mix),
            #[cfg(feature = "mix")]
            Entry::Layout(layout) => self.mix.layout(*layout),
            #[cfg(feature = "mix")]
            Entry::Picture(part) => self.mix.part(part),
            Entry::Delivered => self.delivered = true,
        }
    }

    /// Adds a segment to the end of its playlist, whose header is this from now on.
    pub(super) fn add(&mut self, playlist: &ObjectName, segment: PastSegment, header: String) {
        let index = *self.by_name.entry(playlist.clone()).or_insert_with(|| {
            self.sets.push(PastSet {
                playlist: playlist.clone(),
                header: String::new(),
                segments: Vec::new(),
            });
            self.sets.len() - 1
        });
        let set = &mut self.sets[index];
        set.header = header;
        set.segments.push(segment);
    }

    /// Where a record is missing, its segment was found last: puts every playlist in the order of time, and learns of
    /// runs by the names of what they wrote.
    pub(super) fn mend(&mut self, room_kind: RoomIdKind) {
        if !self.damaged {
            return;
        }
        for set in &mut self.sets {
            set.segments.sort_by_key(|segment| segment.start);
            if let Ok(parsed) = ParsedName::parse(set.playlist.as_str(), room_kind) {
                self.run = self.run.max(parsed.task().ha().map_or(0, HaRun::number));
            }
        }
    }

    pub(super) fn set(&self, playlist: &ObjectName) -> Option<&PastSet> {
        self.by_name.get(playlist).and_then(|index| self.sets.get(*index))
    }

    pub(super) fn record(&self) -> Option<&TaskRecord> {
        self.task.as_deref()
    }

    /// The task as it was started, with the lists and under the prefix that it had last; `None` without a record of it.
    pub(super) fn options(&self) -> Option<TaskOptions> {
        let mut options = self.task.as_ref()?.options()?;
        if let Some((audio, video)) = &self.lists {
            options.subscription = subscription(audio, video)?;
        }
        if self.run > 0 {
            options.ha_run = HaRun::new(self.run.min(HaRun::Third.number()));
        }
        Some(options)
    }

    /// The task is another machine's: it tells the end, and here is only told that what was left is delivered.
    pub(super) fn leave(&mut self) {
        self.stopped.get_or_insert(LeaveCode::ROOM_TIMEOUT);
        self.uploads_told = Some(UploadStatus::SOME_KEPT_BACK);
        self.library_told = Some(VodStopStatus::ABNORMAL);
        self.events.retain(|_, body| {
            let ends = matches!(
                body.event().payload(),
                Payload::RecorderStop(_) | Payload::UploadStop(_) | Payload::VodStop(_)
            );
            !ends
        });
    }

    /// Events that are still to be told, in order.
    pub(super) fn take_events(&mut self) -> impl Iterator<Item = (u64, CallbackBody)> {
        std::mem::take(&mut self.events).into_iter()
    }
}
