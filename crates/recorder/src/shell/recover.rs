use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use recorder_callback::LeaveCode;
use recorder_hls::PlaylistHeader;
use recorder_hls::SegmenterStats;
use recorder_hls::read_playlist::MediaPlaylist;
use recorder_hls::salvage::Salvaged;
use recorder_naming::{HaRun, ParsedName, RoomIdKind, StreamType};
use recorder_storage::{Bucket, ObjectKey, PlaylistEnd, Spool, SpoolError, StorageError, Uploader};
use recorder_types::{MediaId, ObjectName, RoomTime, TaskId, UserId};

use super::clock::Clock;
use super::driver::{SetFiles, Work};
use super::files::{RecordedSet, SegmentRef};
use super::journal::{Past, PastSegment, PastSet, TaskJournal, TaskRecord};
use super::options::RecordingOptions;
use super::recorder::{Recorder, StartError, run};
use super::recording::Recording;
use crate::task::{Earlier, FileSetReport, Resume, SetId, TaskCore, TaskOptions};

type OpenBucket = Arc<dyn Fn(&TaskOptions, &str) -> Option<Bucket> + Send + Sync>;
type Adjust = Arc<dyn Fn(RecordingOptions) -> RecordingOptions + Send + Sync>;

/// How [`Recorder::recover`] takes up what a process that died has left.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecoverOptions {
    /// Whether a recording that had not ended goes on under the next `ha<n>_` prefix. If not, it ends: what it has is
    /// delivered. Default: it goes on.
    pub go_on: bool,
    open: OpenBucket,
    adjust: Adjust,
}

impl Default for RecoverOptions {
    fn default() -> Self {
        Self { go_on: true, open: Arc::new(|_, _| None), adjust: Arc::new(|options| options) }
    }
}

impl RecoverOptions {
    /// Ends recordings that had not ended.
    #[must_use]
    pub fn ending(mut self) -> Self {
        self.go_on = false;
        self
    }

    /// Opens the bucket of a task, whose address without its secrets is given. `None` leaves it to the journal, which
    /// opens directories, buckets whose keys come from the environment, and others with
    /// [`RecorderOptions::seal_key`](super::RecorderOptions::seal_key). It has to be the task's own bucket: what is not in
    /// the spool is taken to be there.
    #[must_use]
    pub fn with_bucket(
        mut self,
        open: impl Fn(&TaskOptions, &str) -> Option<Bucket> + Send + Sync + 'static,
    ) -> Self {
        self.open = Arc::new(open);
        self
    }

    /// Changes the options of each recording before it is taken up: uploader, callbacks, and, of a mixed one that is to
    /// go on, the codecs ([`TaskOptions`]`::mix`). Its layout is as it was last.
    #[must_use]
    pub fn with_adjust(
        mut self,
        adjust: impl Fn(RecordingOptions) -> RecordingOptions + Send + Sync + 'static,
    ) -> Self {
        self.adjust = Arc::new(adjust);
        self
    }
}

#[cfg(feature = "api")]
impl RecoverOptions {
    /// Changes the options once more, after [`Self::with_adjust`].
    pub(crate) fn and_adjust(
        mut self,
        more: impl Fn(RecordingOptions) -> RecordingOptions + Send + Sync + 'static,
    ) -> Self {
        let first = self.adjust;
        self.adjust = Arc::new(move |options| more(first(options)));
        self
    }
}

impl fmt::Debug for RecoverOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverOptions").field("go_on", &self.go_on).finish_non_exhaustive()
    }
}

/// A task that was found in the spool.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The task.
    pub task: TaskId,
    /// What it records, as far as the journal tells: not of a task that is busy or failed.
    pub options: Option<Box<TaskOptions>>,
    /// The bucket, without its secrets; empty where there are no options.
    pub bucket: Box<str>,
    /// [`RecordingOptions::note`].
    pub note: Option<String>,
    /// What becomes of it.
    pub fate: Fate,
}

impl Recovered {
    fn bare(task: TaskId, fate: Fate) -> Self {
        Self { task, options: None, bucket: "".into(), note: None, fate }
    }
}

/// What becomes of a task that was found in the spool.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It goes on under this prefix, with nobody in its room yet: tell it who is there.
    GoesOn {
        /// The door for the room's events.
        recording: Recording,
        /// The prefix.
        run: HaRun,
    },
    /// It has ended, and its files are delivered: [`Recording::ended`] tells how that went.
    Ends {
        /// To wait for it.
        recording: Recording,
    },
    /// Its bucket cannot be opened, for want of keys for example: it stays in the spool as it is. Recover it once more
    /// with [`RecoverOptions::with_bucket`].
    Waits {
        /// The bucket, without its secrets.
        address: Box<str>,
        /// Why it cannot be opened, where it was tried.
        error: Option<StorageError>,
    },
    /// Another process, or another recording of this one, has it.
    Busy,
    /// It stays in the spool as it is: somebody has to look at it.
    Failed(RecoverError),
}

/// Why a task in the spool was not taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The journal does not tell what was recorded: it is damaged, or of another version.
    #[error("{}: the journal does not tell the task", path.display())]
    NoTask {
        /// The task's directory.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("the spool cannot be used")]
    Spool(#[source] SpoolError),
    /// The task cannot be started.
    #[error("the task cannot be taken up")]
    Start(#[source] StartError),
}

impl From<SpoolError> for RecoverError {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

impl Recorder {
    /// Takes up every task that a process which died has left in the spool, in order of their ids.
    ///
    /// Each journal's torn end is cut off, the segments that were open are closed at their last whole access unit, and
    /// what is not in the bucket is delivered. A recording that had not ended goes on under the next prefix (`ha1_` to
    /// `ha3_`) with event 306; after the third it ends with event 302 and [`LeaveCode::ROOM_TIMEOUT`]. Events that were
    /// not told are told first. Tasks that are being recorded, here or elsewhere, are left alone: what was recovered
    /// once is not recovered again.
    ///
    /// Reads and writes the disk: call it before anything is recorded, or where it may block.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if the spool cannot be read; a spool that is not there is empty. What fails of one task is in
    /// its [`Fate`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    pub fn recover(&self, options: &RecoverOptions) -> Result<Vec<Recovered>, SpoolError> {
        let root = &self.options.spool;
        let failed = |source| SpoolError::Disk { path: root.clone(), source };
        let mut tasks: Vec<TaskId> = Vec::new();
        match fs::read_dir(root) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(failed)?;
                    if entry.file_type().map_err(failed)?.is_dir() {
                        tasks.extend(entry.file_name().to_str().and_then(|name| name.parse().ok()));
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(source)),
        }
        tasks.sort();
        let mut found = Vec::new();
        for task in tasks {
            match self.recover_task(&task, options) {
                Ok(None) => {}
                Ok(Some(recovered)) => found.push(recovered),
                Err(error) => found.push(Recovered::bare(task, Fate::Failed(error))),
            }
        }
        Ok(found)
    }

    fn recover_task(
        &self,
        task: &TaskId,
        options: &RecoverOptions,
    ) -> Result<Option<Recovered>, RecoverError> {
        let spool = self.open_spool(task)?;
        let (mut journal, mut past) = match TaskJournal::open(&spool) {
            Ok(opened) => opened,
            Err(SpoolError::Locked { .. }) => return Ok(Some(Recovered::bare(task.clone(), Fate::Busy))),
            Err(SpoolError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                // It died before the journal was there, or after it was removed.
                spool.remove_if_empty();
                return if spool.directory().exists() { Err(no_task(&spool)) } else { Ok(None) };
            }
            Err(error) => return Err(error.into()),
        };
        let Some(task_options) = past.options() else {
            if spool.files()?.is_empty() && !past.damaged {
                // It died before anything was recorded.
                journal.remove();
                spool.remove_if_empty();
                return Ok(None);
            }
            return Err(no_task(&spool));
        };
        let Some(record) = past.record() else { return Err(no_task(&spool)) };
        let bucket = match self.open_bucket(&task_options, record, options) {
            Ok(bucket) => bucket,
            Err(fate) => {
                let (options, bucket) = (Some(Box::new(task_options)), record.bucket.as_str().into());
                let note = record.note.clone();
                return Ok(Some(Recovered { task: task.clone(), options, bucket, note, fate }));
            }
        };
        let address = record.bucket.as_str().into();
        let note = record.note.clone();
        let room_kind = RoomIdKind::of(&task_options.room);
        if past.delivered {
            // Its files are in the bucket, and what they were made of may be gone.
            past.sets.clear();
        } else {
            repair(&spool, &mut journal, &mut past, room_kind)?;
            past.mend(room_kind);
        }
        #[cfg_attr(not(feature = "mix"), expect(unused_mut, reason = "only a mix is added"))]
        let mut task_options = past.options().unwrap_or(task_options);
        #[cfg(feature = "mix")]
        {
            task_options.mix = past.mix.options();
        }

        let mut recording = RecordingOptions::new(task_options, bucket);
        recording.note.clone_from(&note);
        let mut recording = (options.adjust)(recording);
        let goes_on =
            options.go_on && past.stopped.is_none() && !past.delivered && !lacks_mix(&past, &recording);
        let next = HaRun::after(recording.task.ha_run).filter(|_| goes_on);
        let how = match next {
            Some(run) => {
                recording.task.ha_run = Some(run);
                journal.run(run, &recording.task)?;
                Resume::GoOn
            }
            None => Resume::End(past.stopped.unwrap_or(LeaveCode::ROOM_TIMEOUT)),
        };
        let options = Some(Box::new(recording.task.clone()));
        #[cfg(feature = "mix")]
        if next.is_none() {
            recording.task.mix = None; // nothing more is mixed
        }
        let recording = self.take_up(recording, (spool, journal), past, room_kind, how)?;
        let fate = match next {
            Some(run) => Fate::GoesOn { recording, run },
            None => Fate::Ends { recording },
        };
        Ok(Some(Recovered { task: task.clone(), options, bucket: address, note, fate }))
    }

    fn open_bucket(
        &self,
        task: &TaskOptions,
        record: &TaskRecord,
        options: &RecoverOptions,
    ) -> Result<Bucket, Fate> {
        if let Some(bucket) = (options.open)(task, &record.bucket) {
            return Ok(bucket);
        }
        let waits = |error| Fate::Waits { address: record.bucket.as_str().into(), error };
        let bucket = recorder_storage::BucketOptions::default().with_durability(self.options.durability);
        let opened = match (&record.sealed, &self.options.seal_key) {
            _ if record.reopens => Bucket::open(&record.bucket, bucket),
            (Some(sealed), Some(key)) => Bucket::open_sealed(sealed, key, &task.task, bucket),
            _ => return Err(waits(None)),
        };
        opened.map_err(|error| waits(Some(error)))
    }

    /// Puts the task on its thread, after everything that earlier runs have left was handed over.
    fn take_up(
        &self,
        options: RecordingOptions,
        (mut spool, journal): (Spool, TaskJournal),
        mut past: Past,
        room_kind: RoomIdKind,
        how: Resume,
    ) -> Result<Recording, RecoverError> {
        let clock = Clock::start(options.clock);
        let mut sets = Vec::new();
        past.sets.retain(|set| {
            let report = earlier_set(set, room_kind, &options.task);
            let known = report.is_some(); // every name is one of ours
            sets.extend(report);
            known
        });
        let earlier = Earlier {
            sets,
            stopped: past.stopped.is_some(),
            first_playlist_told: past.first_playlist_told,
            uploads_told: past.uploads_told,
        };
        let start = |error| RecoverError::Start(StartError::Names(error));
        let core = TaskCore::resume(options.task.clone(), clock.zero(), earlier, how).map_err(start)?;
        let directory: ObjectKey = core
            .directory()
            .as_str()
            .parse()
            .map_err(|error| RecoverError::Start(StartError::Directory(error)))?;
        if let Err(error) = options.bucket.remove_leftovers(&directory) {
            tracing::warn!(error = &error as &dyn std::error::Error, "half written files stay in the bucket");
        }
        let (uploader, reports) = Uploader::spawn(
            options.bucket.clone(),
            directory.clone(),
            &spool,
            options.uploader.clone().taking_over(),
        );
        hand_over_timelines(&spool, &uploader)?;
        let mut files = Vec::new();
        for set in &past.sets {
            files.push(hand_over(&mut spool, &uploader, set, &options.task)?);
        }
        let events = past.take_events().collect();
        let work = Work { core, spool, journal, directory, uploader, earlier: files, events };
        run(work, reports, clock, options).map_err(|error| RecoverError::Start(StartError::Thread(error)))
    }
}

fn no_task(spool: &Spool) -> RecoverError {
    RecoverError::NoTask { path: spool.directory().to_owned() }
}

/// Whether the task is mixed and nobody has said how.
fn lacks_mix(past: &Past, recording: &RecordingOptions) -> bool {
    #[cfg(feature = "mix")]
    let has_mix = recording.task.mix.is_some();
    #[cfg(not(feature = "mix"))]
    let has_mix = {
        let _ = recording;
        false
    };
    past.record().is_some_and(|record| record.mixed) && !has_mix
}

/// Brings spool and journal into the state that they would be in if the process had ended between two segments.
fn repair(
    spool: &Spool,
    journal: &mut TaskJournal,
    past: &mut Past,
    room_kind: RoomIdKind,
) -> Result<(), RecoverError> {
    for name in spool.files()? {
        if name.as_str().ends_with(".index") {
            spool.discard(&name); // they are read from the segments
            continue;
        }
        // What is not ours stays.
        let Ok(parsed) = ParsedName::parse(name.as_str(), room_kind) else { continue };
        let start = match parsed {
            ParsedName::SingleSegment { start, .. } | ParsedName::MixedSegment { start, .. } => start,
            // It is made again from its segments.
            _ => {
                spool.discard(&name);
                continue;
            }
        };
        let Some(playlist) = playlist_of(&name) else { continue };
        let known = past.set(&playlist);
        if known.is_some_and(|set| set.segments.iter().any(|segment| segment.start == start)) {
            continue;
        }
        // It was open, or it was closed and the journal did not tell.
        match salvage(spool, &name, &parsed, &playlist, known)? {
            Some((segment, update)) => {
                journal.segment(start, segment.bytes, &update)?;
                past.add(&playlist, segment, update.header);
            }
            None => spool.discard(&name),
        }
    }
    journal.commit()?;
    Ok(())
}

fn playlist_of(segment: &ObjectName) -> Option<ObjectName> {
    let (stem, _) = segment.as_str().rsplit_once('_')?;
    recorder_naming::playlist(&stem.parse().ok()?).ok()
}

/// Closes the segment at its last whole access unit; `None` if it has none.
fn salvage(
    spool: &Spool,
    name: &ObjectName,
    parsed: &ParsedName,
    playlist: &ObjectName,
    known: Option<&PastSet>,
) -> Result<Option<(PastSegment, recorder_hls::PlaylistUpdate)>, RecoverError> {
    let path = spool.path_of(name);
    let torn = fs::read(&path).map_err(|source| SpoolError::Disk { path, source })?;
    let (start, header) = match parsed {
        ParsedName::SingleSegment { start, user, media, .. } => {
            (*start, PlaylistHeader::single(*media, user.clone()))
        }
        ParsedName::MixedSegment { start, .. } => (*start, PlaylistHeader::mixed()),
        _ => return Ok(None),
    };
    let Some(salvaged) = Salvaged::find(name.clone(), start, &torn) else { return Ok(None) };
    let so_far = known.map(|set| format!("{}{}", set.header, set.body()));
    let update = match salvaged.add_to(playlist.clone(), header, so_far.as_deref()) {
        Ok(update) => update,
        Err(error) => {
            tracing::error!(%error, "the journal's playlist cannot be read, a segment is left out of it");
            return Ok(None);
        }
    };
    spool.close_at(name, salvaged.bytes())?;
    let lines = super::driver::body_lines(&update.append).to_owned();
    Ok(Some((PastSegment { start, bytes: salvaged.bytes(), lines }, update)))
}

/// What the task is to know of a set of an earlier run.
fn earlier_set(
    set: &PastSet,
    room_kind: RoomIdKind,
    task: &TaskOptions,
) -> Option<(Option<HaRun>, FileSetReport)> {
    let parsed = ParsedName::parse(set.playlist.as_str(), room_kind).ok()?;
    let (user, media, stream_type): (Option<UserId>, MediaId, StreamType) = match &parsed {
        ParsedName::SinglePlaylist { user, media, stream, .. } => (Some(user.clone()), *media, *stream),
        ParsedName::MixedPlaylist { .. } => (None, MediaId::Main, task.stream_type.of_all()),
        _ => return None,
    };
    let playlist = read(set);
    let durations = playlist.iter().flat_map(|playlist| &playlist.segments);
    let duration = durations
        .fold(RoomTime::ZERO, |sum, segment| sum.saturating_add(segment.duration.round_to_room_time()));
    let report = FileSetReport {
        set: SetId::new(0),
        playlist: set.playlist.clone(),
        user,
        media,
        stream_type,
        begin: set.segments.first().map(|segment| segment.start),
        segments: set.segments.len() as u64,
        bytes: set.segments.iter().map(|segment| segment.bytes).sum(),
        duration,
        stats: SegmenterStats::default(),
    };
    Some((parsed.task().ha(), report))
}

fn read(set: &PastSet) -> Option<MediaPlaylist> {
    format!("{}{}", set.header, set.body()).parse().ok()
}

/// Gives the uploader what was written down of the room, up to the last whole line.
fn hand_over_timelines(spool: &Spool, uploader: &Uploader) -> Result<(), RecoverError> {
    for name in spool.files()?.into_iter().filter(|name| name.as_str().ends_with(".timeline.jsonl")) {
        let path = spool.path_of(&name);
        let text = fs::read(&path).map_err(|source| SpoolError::Disk { path, source })?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let file = spool.close_at(&name, whole as u64)?;
        // An uploader that has ended leaves the file in the spool.
        let _ = uploader.file(file);
    }
    Ok(())
}

/// Gives the uploader what is not delivered, and the playlist with its end.
fn hand_over(
    spool: &mut Spool,
    uploader: &Uploader,
    set: &PastSet,
    task: &TaskOptions,
) -> Result<SetFiles, RecoverError> {
    spool.discard_playlist(&set.playlist);
    spool.append_playlist(&set.playlist, &set.body())?;
    let mut files = SetFiles::default();
    files.header = Some(set.header.clone());
    let playlist = read(set);
    files.recorded = RecordedSet {
        playlist: Some(set.playlist.clone()),
        segments: set
            .segments
            .iter()
            .enumerate()
            .map(|(number, segment)| SegmentRef {
                start: segment.start,
                index_len: 0,
                discontinuity: playlist
                    .as_ref()
                    .and_then(|playlist| playlist.segments.get(number))
                    .is_some_and(|segment| segment.discontinuity),
            })
            .collect(),
        needed: false,
        without_index: true,
    };
    if task.output.keeps_hls() {
        for name in files.recorded.segment_names() {
            // What is not there is in the bucket.
            if let Ok(file) = spool.adopt(&name) {
                // An uploader that has ended leaves the file in the spool.
                let _ = uploader.segment(&set.playlist, file);
            }
        }
        let version = spool.playlist_version(&set.playlist, &set.header, PlaylistEnd::Ended);
        let _ = uploader.playlist(version);
    }
    Ok(files)
}
