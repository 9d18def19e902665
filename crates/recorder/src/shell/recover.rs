use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use recorder_callback::LeaveCode;
use recorder_hls::PlaylistHeader;
use recorder_hls::SegmenterStats;
use recorder_hls::read_playlist::MediaPlaylist;
use recorder_hls::salvage::Salvaged;
use recorder_naming::{HaRun, ParsedName, RoomIdKind, StreamType};
use recorder_storage::{
    Bucket, Found, LocalLibrary, MediaLibrary, ObjectKey, PlaylistEnd, Spool, SpoolError, StorageError,
    Uploader,
};
use recorder_types::{MediaId, ObjectName, RoomTime, TaskId, UserId};

use super::clock::Clock;
use super::driver::{SetFiles, Work};
use super::files::{RecordedSet, SegmentRef};
use super::journal::{Past, PastSegment, PastSet, PlaceRecord, TaskJournal, TaskRecord};
use super::options::{LibraryTarget, RecordingOptions};
use super::recorder::{Recorder, StartError, run};
use super::recording::Recording;
use crate::task::{Earlier, FileSetReport, Resume, SetId, TaskCore, TaskOptions};

type OpenBucket = Arc<dyn Fn(&TaskOptions, &str) -> Option<Bucket> + Send + Sync>;
type OpenLibrary = Arc<dyn Fn(&TaskOptions, &str) -> Option<Arc<dyn MediaLibrary>> + Send + Sync>;
/// The address of a bucket that cannot be opened, and why not, where it was tried.
type NotOpened = (Box<str>, Option<StorageError>);
type Adjust = Arc<dyn Fn(RecordingOptions) -> RecordingOptions + Send + Sync>;

/// How [`Recorder::recover`] takes up what a process that died has left.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecoverOptions {
    /// Whether a recording that had not ended goes on under the next `ha<n>_` prefix. If not, it ends: what it has is
    /// delivered. Default: it goes on.
    pub go_on: bool,
    elsewhere: Elsewhere,
    open: OpenBucket,
    open_library: OpenLibrary,
    open_backup: OpenBucket,
    adjust: Adjust,
}

/// What other machines have done with a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Elsewhere {
    /// Nothing.
    #[default]
    Never,
    /// They have recorded it, and it comes back under this prefix.
    Before(HaRun),
    /// It goes on there, or has ended there.
    Now,
}

impl Default for RecoverOptions {
    fn default() -> Self {
        Self {
            go_on: true,
            elsewhere: Elsewhere::Never,
            open: Arc::new(|_, _| None),
            open_library: Arc::new(|_, _| None),
            open_backup: Arc::new(|_, _| None),
            adjust: Arc::new(|options| options),
        }
    }
}

impl RecoverOptions {
    /// Ends recordings that had not ended.
    #[must_use]
    pub fn ending(mut self) -> Self {
        self.go_on = false;
        self
    }

    /// Goes on under the prefix `run` and not under the one that follows what the spool tells: between the two, other
    /// machines have recorded the task.
    #[must_use]
    pub fn under(mut self, run: HaRun) -> Self {
        self.elsewhere = Elsewhere::Before(run);
        self
    }

    /// Leaves the task to another machine, on which it goes on or has ended: what is here is delivered, and event 305
    /// tells that as status 2. Nobody is told that the recording ends (302).
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.elsewhere = Elsewhere::Now;
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

    /// Opens the media library of a task that records to one, whose [`MediaLibrary::address`] is given. `None` leaves it to
    /// the journal, which opens local ones. It has to be the task's own: what it was told to have is not put again.
    #[must_use]
    pub fn with_library(
        mut self,
        open: impl Fn(&TaskOptions, &str) -> Option<Arc<dyn MediaLibrary>> + Send + Sync + 'static,
    ) -> Self {
        self.open_library = Arc::new(open);
        self
    }

    /// As [`RecoverOptions::with_bucket`], of the backup of a task that was begun with one.
    #[must_use]
    pub fn with_backup(
        mut self,
        open: impl Fn(&TaskOptions, &str) -> Option<Bucket> + Send + Sync + 'static,
    ) -> Self {
        self.open_backup = Arc::new(open);
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

#[cfg(any(feature = "api", feature = "nats"))]
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
    /// The bucket or media library, without its secrets; empty where there are no options.
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

/// How [`Recorder::take_over`] begins.
#[cfg(feature = "nats")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeOver {
    /// With events 301 and 303.
    New,
    /// With event 306.
    Under(HaRun),
    /// With event 302: nothing more is recorded.
    End(LeaveCode),
}

/// A task that a process which died has left in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The task.
    pub task: TaskId,
    /// The prefix under which that process recorded it.
    pub run: Option<HaRun>,
    /// Whether its recording had ended, and files only are left.
    pub stopped: bool,
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
    /// Its bucket or media library cannot be opened, for want of keys for example: it stays in the spool as it is. Recover it once more
    /// with [`RecoverOptions::with_bucket`] or [`RecoverOptions::with_library`].
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
    /// Another process, or another recording of this one, has it.
    #[error("the task's spool is in use")]
    Busy,
    /// The task is mixed, and nobody has said how: [`RecoverOptions::with_adjust`] has to.
    #[error("the task is mixed, and its mix is not set")]
    NoMix,
    /// A record of the task is damaged, or of another version.
    #[error("the record does not tell the task")]
    UnknownTask,
    /// The bucket cannot be opened, for want of keys for example.
    #[error("the bucket {address} cannot be opened")]
    Bucket {
        /// Its address, without its secrets.
        address: Box<str>,
        /// Why, where it was tried.
        source: Option<StorageError>,
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
        let tasks = self.spooled().map_err(failed)?;
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

    /// Tasks that have a directory in the spool, in order of their ids.
    fn spooled(&self) -> std::io::Result<Vec<TaskId>> {
        let mut tasks: Vec<TaskId> = Vec::new();
        let (disk, root) = (&self.options.disk, &self.options.spool);
        match disk.names(root) {
            Ok(names) => {
                for name in names {
                    if disk.look(&root.join(&name))? == Found::Directory {
                        tasks.extend(name.to_str().and_then(|name| name.parse().ok()));
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        tasks.sort();
        Ok(tasks)
    }

    /// What processes that died have left in the spool, in order of their ids; nothing is taken up or changed but for
    /// the torn end of a journal. What is being recorded, or cannot be read, is left out.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] if the spool cannot be read; a spool that is not there is empty.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, SpoolError> {
        let failed = |source| SpoolError::Disk { path: self.options.spool.clone(), source };
        Ok(self.spooled().map_err(failed)?.iter().filter_map(|task| self.unfinished_task(task)).collect())
    }

    /// As [`Self::unfinished`] for one task.
    #[must_use]
    pub fn unfinished_task(&self, task: &TaskId) -> Option<Unfinished> {
        if !self.options.disk.is_dir(&self.options.spool.join(task.as_str())) {
            return None;
        }
        let spool = self.open_spool(task).ok()?;
        let (_journal, past) = TaskJournal::open(&spool).ok()?;
        let run = past.options()?.ha_run;
        Some(Unfinished { task: task.clone(), run, stopped: past.stopped.is_some() })
    }

    /// As [`Self::recover`] for one task; `None` if nothing of it is in the spool.
    ///
    /// # Errors
    /// [`RecoverError`]; it stays in the spool as it is.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    pub fn recover_task(
        &self,
        task: &TaskId,
        options: &RecoverOptions,
    ) -> Result<Option<Recovered>, RecoverError> {
        let mut spool = self.open_spool(task)?;
        let (mut journal, mut past) = match TaskJournal::open(&spool) {
            Ok(opened) => opened,
            Err(SpoolError::Locked { .. }) => return Ok(Some(Recovered::bare(task.clone(), Fate::Busy))),
            Err(SpoolError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                // It died before the journal was there, or after it was removed.
                spool.remove_if_empty();
                return if spool.exists() { Err(no_task(&spool)) } else { Ok(None) };
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
        let mut recording = match self.reopen(task_options.clone(), record, options) {
            Ok(recording) => recording,
            Err((address, error)) => {
                let (options, bucket) = (Some(Box::new(task_options)), record.bucket.as_str().into());
                let (note, fate) = (record.note.clone(), Fate::Waits { address, error });
                return Ok(Some(Recovered { task: task.clone(), options, bucket, note, fate }));
            }
        };
        let address = record.bucket.as_str().into();
        let note = record.note.clone();
        let room_kind = RoomIdKind::of(&task_options.room);
        if past.delivered {
            // Its files are in the bucket, and what they were made of may be gone: so goes what is left of it.
            for name in spool.files()? {
                spool.discard(&name);
            }
            for set in std::mem::take(&mut past.sets) {
                spool.discard_playlist(&set.playlist);
            }
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

        recording.task = task_options;
        recording.note.clone_from(&note);
        let mut recording = adjusted(recording, options);
        // Where other machines write as well, nobody knows whose an upload is.
        recording.uploader.take_over = options.elsewhere == Elsewhere::Never;
        if options.elsewhere == Elsewhere::Now {
            past.leave();
        }
        let goes_on = options.go_on
            && options.elsewhere != Elsewhere::Now
            && past.stopped.is_none()
            && !past.delivered
            && !lacks_mix(past.record(), &recording);
        let next = match options.elsewhere {
            Elsewhere::Before(run) => Some(run),
            _ => HaRun::after(recording.task.ha_run),
        };
        let next = next.filter(|_| goes_on);
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

    /// The task with its bucket or media library, opened again.
    fn reopen(
        &self,
        task: TaskOptions,
        record: &TaskRecord,
        options: &RecoverOptions,
    ) -> Result<RecordingOptions, NotOpened> {
        let Some(how) = &record.library else {
            let bucket = self.open_bucket(&task, &record.place(), &options.open)?;
            let backup = record.backup.as_ref();
            let backup =
                backup.map(|backup| self.open_bucket(&task, backup, &options.open_backup)).transpose()?;
            let mut recording = RecordingOptions::new(task, bucket);
            recording.uploader.backup = backup;
            return Ok(recording);
        };
        let not_opened = |error| (record.bucket.as_str().into(), error);
        let library: Arc<dyn MediaLibrary> = match (options.open_library)(&task, &record.bucket) {
            Some(library) => library,
            None if record.reopens => {
                let opened = LocalLibrary::open(record.bucket.as_ref(), self.options.durability);
                Arc::new(opened.map_err(|error| not_opened(Some(error)))?)
            }
            None => return Err(not_opened(None)),
        };
        Ok(RecordingOptions::to_library(task, LibraryTarget { library, settings: how.settings() }))
    }

    fn open_bucket(
        &self,
        task: &TaskOptions,
        record: &PlaceRecord,
        open: &OpenBucket,
    ) -> Result<Bucket, NotOpened> {
        if let Some(bucket) = open(task, &record.bucket) {
            return Ok(bucket);
        }
        let bucket = recorder_storage::BucketOptions::default()
            .with_durability(self.options.durability)
            .with_disk(Arc::clone(&self.options.disk));
        let opened = match (&record.sealed, &self.options.seal_key) {
            _ if record.reopens => Bucket::open(&record.bucket, bucket),
            (Some(sealed), Some(key)) => Bucket::open_sealed(sealed, key, &task.task, bucket),
            _ => return Err((record.bucket.as_str().into(), None)),
        };
        opened.map_err(|error| (record.bucket.as_str().into(), Some(error)))
    }

    /// Begins a task of which nothing is in this spool: nobody has recorded it yet, or another machine has.
    #[cfg(feature = "nats")]
    pub(crate) fn take_over(
        &self,
        record: &TaskRecord,
        how: TakeOver,
        options: &RecoverOptions,
    ) -> Result<(TaskOptions, Recording), RecoverError> {
        let mut task = record.options().ok_or(RecoverError::UnknownTask)?;
        if let TakeOver::Under(run) = how {
            task.ha_run = Some(run);
        }
        let opened = self
            .reopen(task, record, options)
            .map_err(|(address, source)| RecoverError::Bucket { address, source })?;
        #[cfg_attr(not(feature = "mix"), expect(unused_mut, reason = "only a mix is taken away"))]
        let mut options = adjusted(opened, options);
        #[cfg(feature = "mix")]
        if matches!(how, TakeOver::End(_)) {
            options.task.mix = None; // nothing more is mixed
        }
        let task = options.task.clone();
        let how = match how {
            TakeOver::End(code) => Resume::End(code),
            _ if lacks_mix(Some(record), &options) => return Err(RecoverError::NoMix),
            TakeOver::New => return self.start(options).map(|it| (task, it)).map_err(RecoverError::Start),
            TakeOver::Under(_) => Resume::GoOn,
        };
        let spool = self.open_spool(&task.task)?;
        let journal = TaskJournal::create(&spool, &options, self.options.seal_key.as_ref())
            .inspect_err(|_| spool.remove_if_empty())?;
        let room_kind = RoomIdKind::of(&task.room);
        let recording = self.take_up(options, (spool, journal), Past::default(), room_kind, how)?;
        Ok((task, recording))
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
            // They are the first two of every task.
            start_untold: past.last_event == 0,
            upload_start_untold: past.last_event <= 1,
            first_playlist_told: past.first_playlist_told,
            uploads_told: past.uploads_told,
            media_told: std::mem::take(&mut past.media_told),
            library_told: past.library_told,
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
        let (uploader, reports) =
            Uploader::spawn(options.bucket.clone(), directory.clone(), &spool, options.uploader.clone());
        hand_over_timelines(&spool, &uploader)?;
        let mut files = Vec::new();
        for set in &past.sets {
            let mut handed = hand_over(&mut spool, &uploader, set, &options)?;
            handed.recorded.may_be_made = past.stopped.is_some() && !options.task.delivery.is_library();
            files.push(handed);
        }
        let events = past.take_events().collect();
        let work = Work { core, spool, journal, directory, uploader, earlier: files, events };
        run(work, reports, clock, options).map_err(|error| RecoverError::Start(StartError::Thread(error)))
    }
}

/// The options of a recording that is taken up. Its backup stays where nobody names another.
fn adjusted(recording: RecordingOptions, options: &RecoverOptions) -> RecordingOptions {
    let backup = recording.uploader.backup.clone();
    let mut recording = (options.adjust)(recording);
    recording.uploader.backup = recording.uploader.backup.or(backup);
    recording
}

fn no_task(spool: &Spool) -> RecoverError {
    RecoverError::NoTask { path: spool.directory().to_owned() }
}

/// Whether the task is mixed and nobody has said how.
fn lacks_mix(record: Option<&TaskRecord>, recording: &RecordingOptions) -> bool {
    #[cfg(feature = "mix")]
    let has_mix = recording.task.mix.is_some();
    #[cfg(not(feature = "mix"))]
    let has_mix = {
        let _ = recording;
        false
    };
    record.is_some_and(|record| record.mixed) && !has_mix
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
    let torn = spool.read(name).map_err(|source| SpoolError::Disk { path: spool.path_of(name), source })?;
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
        let text =
            spool.read(&name).map_err(|source| SpoolError::Disk { path: spool.path_of(&name), source })?;
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
    options: &RecordingOptions,
) -> Result<SetFiles, RecoverError> {
    let has_backup = options.uploader.backup.is_some();
    spool.discard_playlist(&set.playlist);
    spool.append_playlist(&set.playlist, &set.body())?;
    let mut files = SetFiles::default();
    files.header = Some(set.header.clone());
    files.playlists = vec![(set.playlist.clone(), set.header.clone())];
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
        may_be_made: false,
    };
    if options.task.output.keeps_hls() && !options.task.delivery.is_library() {
        for name in files.recorded.segment_names() {
            // An uploader that has ended leaves the file in the spool.
            let _ = match spool.adopt(&name) {
                Ok(file) => uploader.segment(&set.playlist, file),
                // It is in the bucket.
                Err(_) if !has_backup => Ok(()),
                Err(_) => uploader.segment_elsewhere(&set.playlist, name),
            };
        }
        let version = spool.playlist_version(&set.playlist, &set.header, PlaylistEnd::Ended);
        let _ = uploader.playlist(version);
    }
    Ok(files)
}
