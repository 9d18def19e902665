#[cfg(feature = "mix")]
mod mixed;

use std::collections::{BTreeMap, VecDeque};

use recorder_callback::{
    FailoverStatus, LeaveCode, Mp4Status, Mp4Stop, Payload, StartStatus, UploadError, UploadStatus,
    VodCommit, VodCommitStatus, VodStopStatus,
};
use recorder_naming::{FileKind, HaRun, NameError, ObjectDir, StreamType, TaskNames};
use recorder_types::{MediaId, MediaKind, ObjectName, RoomTime, Sample, TrackConfig, UnixMillis, UserId};

use super::clock::TrackOrigin;
use super::file_set::{FileSet, FileSetReport, SetId};
use super::options::{StreamSelection, TaskOptions};
use super::output::{FileJob, JobInput, MadeFile, MissingMedium, OutputFormat};
use super::room::Room;
use super::track::{Track, TrackSample};
use crate::subscribe::Subscription;
#[cfg(feature = "mix")]
use crate::timeline::{TimelineCodec, TimelineEntry, TimelineEvent, TimelineStart, TimelineStream};

/// One reading of both clocks, taken by the caller once for each input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the task's start on a clock that never jumps.
    pub room: RoomTime,
    /// The wall clock.
    pub wall: UnixMillis,
}

/// What happens in the room, as the embedder's media server sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RoomEvent {
    /// An anchor (somebody who may publish) enters. Somebody who is in the room already starts over: their streams
    /// end, their files go on after a gap.
    Enter {
        /// Who.
        user: UserId,
    },
    /// An anchor leaves; their streams end.
    Leave {
        /// Who.
        user: UserId,
    },
    /// A stream begins, or begins anew with another configuration.
    Publish {
        /// Whose.
        user: UserId,
        /// Primary stream or substream.
        media: MediaId,
        /// What its samples are.
        config: TrackConfig,
        /// Where its tick zero lies.
        origin: TrackOrigin,
    },
    /// A stream ends or is muted.
    Unpublish {
        /// Whose.
        user: UserId,
        /// Primary stream or substream.
        media: MediaId,
        /// Audio or video.
        kind: MediaKind,
    },
    /// One access unit of a published stream, in decode order.
    Sample {
        /// Whose.
        user: UserId,
        /// Primary stream or substream.
        media: MediaId,
        /// Audio or video.
        kind: MediaKind,
        /// The unit.
        sample: Sample,
    },
    /// Another layout of the mixed picture, from the next picture on (`ModifyCloudRecording`).
    #[cfg(feature = "mix")]
    Layout {
        /// The layout; it replaces the old one entirely.
        layout: recorder_layout::LayoutParams,
        /// The watermarks, from back to front; they replace the old ones.
        watermarks: Vec<crate::mix::Watermark>,
    },
    /// An image that the mix asked for ([`Action::FetchImage`]).
    #[cfg(feature = "mix")]
    Image {
        /// Its address.
        url: recorder_layout::ImageUrl,
        /// `None` if it cannot be had: event 309.
        image: Option<std::sync::Arc<recorder_compositor::Bitmap>>,
    },
    /// New subscription lists; they replace the old ones entirely.
    Subscribe {
        /// The lists.
        subscription: Subscription,
    },
    /// The recording ends: by the API, because the room was dismissed, or the robot was removed.
    Stop {
        /// Why, as event 302 tells it.
        code: LeaveCode,
    },
}

/// What became of the files that the core handed out, as the storage side reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageReport {
    /// A playlist is in the bucket, with everything it names.
    PlaylistStored {
        /// Its name.
        name: ObjectName,
    },
    /// The store refuses; recording goes on.
    UploadFailed {
        /// Error code of the store.
        code: String,
        /// Message of the store.
        message: String,
    },
    /// After [`Action::EndUploads`]: everything was tried.
    UploadsEnded {
        /// Files that are still in the spool.
        kept: usize,
    },
    /// What had been kept is in the bucket now.
    KeptDelivered,
    /// A file of [`Action::MakeFiles`] is in the bucket, or waits in the spool.
    FileMade {
        /// The file.
        file: MadeFile,
        /// Where it is.
        place: FilePlace,
    },
    /// No file, or not all of them, could be made from a user's media; its segments are kept.
    FileFailed {
        /// Those that were made before.
        made: Vec<MadeFile>,
    },
    /// A playlist, or a file of [`Action::MakeFiles`], is in the media library.
    MediumStored {
        /// The playlist or file.
        file: MadeFile,
        /// The library's id of it.
        file_id: String,
        /// Where it plays.
        url: String,
    },
    /// A playlist or file is not in the media library. The same may be reported at each try.
    MediumMissing(MissingMedium),
    /// After [`Action::MakeFiles`]: everything was tried.
    FilesEnded {
        /// Files that are still in the spool.
        kept: usize,
    },
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// In the bucket.
    Bucket,
    /// Still in the spool.
    Spool,
}

/// What the caller does next, in this order. None of it has been done yet.
#[derive(Debug)]
pub enum Action {
    /// Begin a segment file of `set`. A name is never used twice.
    OpenSegment {
        /// The file set.
        set: SetId,
        /// The file.
        name: ObjectName,
    },
    /// Append to the open segment of `set`.
    SegmentData {
        /// The file set.
        set: SetId,
        /// Whole TS packets.
        data: bytes::Bytes,
    },
    /// Close the open segment of `set`: make it durable, then hand it to the uploader.
    CloseSegment {
        /// The file set.
        set: SetId,
        /// The playlist that names it from its next update on.
        playlist: ObjectName,
        /// The instant that its name tells.
        start: UnixMillis,
        /// What a file writer must know of it, where files will be made.
        index: Option<recorder_hls::SegmentIndex>,
    },
    /// Bring the playlist of `set` up to date; it names only segments that were closed before.
    Playlist {
        /// The file set.
        set: SetId,
        /// Its name, the new header and what is added to its body.
        update: recorder_hls::PlaylistUpdate,
    },
    /// Tell the customer's server.
    Notify {
        /// When it happened.
        at: UnixMillis,
        /// What.
        payload: Payload,
    },
    /// A stream cannot go on without a key frame: ask its sender for one (RTCP PLI).
    RequestKeyFrame {
        /// Whose.
        user: UserId,
        /// Primary stream or substream.
        media: MediaId,
    },
    /// The mixed picture shows an image: fetch and decode it, then tell [`RoomEvent::Image`].
    #[cfg(feature = "mix")]
    FetchImage {
        /// Its address, which comes from outside.
        url: recorder_layout::ImageUrl,
    },
    /// The mix leaves out other work than before ([`TaskCore::observe_delay`]): tell who runs the machine.
    #[cfg(feature = "mix")]
    Shedding {
        /// From now on.
        now: recorder_mixer::Shedding,
    },
    /// Append a line to the timeline, which is delivered like a segment when nothing more is recorded.
    #[cfg(feature = "mix")]
    Timeline {
        /// The file: the same each time.
        name: ObjectName,
        /// The line.
        entry: crate::timeline::TimelineEntry,
    },
    /// Nothing more will be recorded: finish the uploads, then report [`StorageReport::UploadsEnded`].
    EndUploads,
    /// Make MP4 or AAC files of what was recorded, upload them, tell each by [`StorageReport::FileMade`] or
    /// [`StorageReport::FileFailed`], then report [`StorageReport::FilesEnded`].
    ///
    /// With [`Delivery::Library`](crate::Delivery::Library) what goes up are these files, and the playlists with their
    /// segments where HLS is kept or a file could not be made; each is told by [`StorageReport::MediumStored`] or
    /// [`StorageReport::MediumMissing`].
    MakeFiles {
        /// A file, or several numbered ones, each.
        jobs: Vec<FileJob>,
        /// Whether playlists and segments are delivered too. If not, they are removed once their file is in the
        /// bucket, and delivered after all if there is none.
        keeps_hls: bool,
    },
    /// The task is over.
    Finished,
}

/// State of a task as `DescribeCloudRecording` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting for media.
    Idle,
    /// Recording.
    InProgress,
    /// Recording has ended; files may still be on their way.
    Exited,
}

/// Inputs that were not recorded, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Samples of anchors beyond the 25th.
    pub without_place: u64,
    /// Samples that the options or lists leave out.
    pub unwanted: u64,
    /// Events about somebody who is not in the room, or a stream that is not published.
    pub unknown: u64,
    /// Samples whose times do not fit in 292 years, or are more than 30 s ahead of their arrival.
    pub without_time: u64,
}

/// A recording task: room events and the time in, actions out. It does no I/O and has no clock.
///
/// Drain [`TaskCore::poll`] after each call; the same inputs with the same times give the same actions.
#[derive(Debug)]
pub struct TaskCore {
    options: TaskOptions,
    names: TaskNames,
    room: Room,
    /// In order of names, so that the same inputs give the same actions.
    tracks: BTreeMap<UserId, Vec<Track>>,
    sets: Vec<FileSet>,
    earlier: Earlier,
    actions: VecDeque<Action>,
    /// Since when nobody has been in the room.
    empty_since: Option<RoomTime>,
    phase: Phase,
    first_playlist_told: bool,
    hls_kept: bool,
    refused: Refused,
    #[cfg(feature = "mix")]
    mix: Option<Box<super::mix::RoomMix>>,
}

/// What the runs of a task before this one have left and told.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// Their file sets, and under which prefix each is. They come behind those of this run in [`TaskCore::files`].
    pub(crate) sets: Vec<(Option<HaRun>, FileSetReport)>,
    /// The recording had ended, and event 302 is told.
    pub(crate) stopped: bool,
    /// The process died before it could note down that it would tell event 301, or 303.
    pub(crate) start_untold: bool,
    pub(crate) upload_start_untold: bool,
    /// Event 304 is told.
    pub(crate) first_playlist_told: bool,
    /// Event 305 is told.
    pub(crate) uploads_told: Option<UploadStatus>,
    /// What event 311 told last of each medium, by name.
    pub(crate) media_told: BTreeMap<ObjectName, VodCommitStatus>,
    /// Event 312 is told.
    pub(crate) library_told: Option<VodStopStatus>,
}

/// What becomes of a task whose process has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It goes on, with nobody in the room yet.
    GoOn,
    /// Nothing more is recorded; if event 302 is not told, it tells this.
    End(LeaveCode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Recording,
    Uploading,
    MakingFiles,
    Kept,
    Finished,
}

impl TaskCore {
    /// Starts the task: events 301 and 303 are the first actions.
    ///
    /// # Errors
    /// [`EventError::Name`] if no file of this room can be named; with the feature `mix`, `EventError::MixOptions` for
    /// a mix that cannot be made.
    pub fn new(options: TaskOptions, now: Now) -> Result<Self, EventError> {
        let options = without_pictures(options);
        #[cfg(feature = "mix")]
        let start = TimelineStart::new(&options, options.mix.as_ref());
        let mut core = Self::begin(options, now)?;
        core.notify(now.wall, Payload::RecorderStart(StartStatus::STARTED));
        core.tell_upload_start(now);
        #[cfg(feature = "mix")]
        core.begin_mixing(now, start);
        Ok(core)
    }

    #[cfg(feature = "mix")]
    fn begin_mixing(&mut self, now: Now, start: TimelineStart) {
        self.note(now, TimelineEvent::Start(Box::new(start)));
        self.want_images();
    }

    /// Takes up a task whose process has died: event 306 is the first action, or, where it ends, 302.
    pub(crate) fn resume(
        options: TaskOptions,
        now: Now,
        earlier: Earlier,
        how: Resume,
    ) -> Result<Self, EventError> {
        let options = without_pictures(options);
        #[cfg(feature = "mix")]
        let start = TimelineStart::new(&options, options.mix.as_ref());
        let mut core = Self::begin(options, now)?;
        core.first_playlist_told = earlier.first_playlist_told;
        let stopped = earlier.stopped;
        if earlier.start_untold {
            core.notify(now.wall, Payload::RecorderStart(StartStatus::STARTED));
        }
        if earlier.upload_start_untold {
            core.tell_upload_start(now);
        }
        core.earlier = earlier;
        match how {
            Resume::GoOn => {
                core.notify(now.wall, Payload::Failover(FailoverStatus::COMPLETE));
                #[cfg(feature = "mix")]
                core.begin_mixing(now, start);
            }
            Resume::End(code) => {
                if !stopped {
                    core.notify(now.wall, Payload::RecorderStop(code));
                }
                core.deliver();
            }
        }
        Ok(core)
    }

    fn begin(options: TaskOptions, now: Now) -> Result<Self, EventError> {
        let names = options.names(options.ha_run);
        names.check_mixed().map_err(EventError::Name)?;
        #[cfg(feature = "mix")]
        let mut options = options;
        let room = Room::new(options.subscription.clone(), options.stream_type);
        #[cfg(feature = "mix")]
        let mix = match options.mix.take() {
            Some(mix) => {
                let mix =
                    super::mix::RoomMix::new(mix, options.stream_type).map_err(EventError::MixOptions)?;
                Some(Box::new(mix))
            }
            None => None,
        };
        Ok(Self {
            options,
            names,
            room,
            tracks: BTreeMap::new(),
            sets: Vec::new(),
            earlier: Earlier::default(),
            actions: VecDeque::new(),
            empty_since: Some(now.room),
            phase: Phase::Recording,
            first_playlist_told: false,
            hls_kept: false,
            refused: Refused::default(),
            #[cfg(feature = "mix")]
            mix,
        })
    }

    /// The directory of the task's files.
    #[must_use]
    pub fn directory(&self) -> ObjectDir {
        ObjectDir::new(self.options.prefix.clone(), self.options.task.clone())
    }

    /// Takes one event that happened at `now`. Times of one task do not go back.
    ///
    /// # Errors
    /// [`EventError`] when the event cannot be followed; the task goes on as if it had not come.
    pub fn event(&mut self, now: Now, event: RoomEvent) -> Result<(), EventError> {
        self.tick(now);
        if self.phase != Phase::Recording {
            return Err(EventError::Ended);
        }
        #[cfg(feature = "mix")]
        let changes_the_picture = !matches!(event, RoomEvent::Sample { .. });
        #[cfg(feature = "mix")]
        let noted = if self.options.timeline { line_of(&event) } else { None };
        let followed = match event {
            RoomEvent::Enter { user } => self.enter(now, &user),
            RoomEvent::Leave { user } => self.leave(now, &user),
            RoomEvent::Publish { user, media, config, origin } => {
                self.publish(now, &user, media, config, origin)
            }
            RoomEvent::Unpublish { user, media, kind } => self.unpublish(now, &user, media, kind),
            RoomEvent::Sample { user, media, kind, sample } => self.sample(now, &user, media, kind, &sample),
            RoomEvent::Subscribe { subscription } => {
                self.room.set_subscription(subscription);
                self.pause_what_is_not_recorded(now);
                Ok(())
            }
            #[cfg(feature = "mix")]
            RoomEvent::Layout { layout, watermarks } => self.set_layout(layout, watermarks),
            #[cfg(feature = "mix")]
            RoomEvent::Image { url, image } => self.take_image(now, &url, image),
            RoomEvent::Stop { code } => {
                self.stop(now, code);
                Ok(())
            }
        };
        #[cfg(feature = "mix")]
        {
            if followed.is_ok()
                && let Some(noted) = noted
            {
                self.note(now, noted);
            }
            if changes_the_picture && self.phase == Phase::Recording {
                self.show(now);
            }
        }
        followed
    }

    /// Lets time pass: mixes what is due, and ends the task when the room has been empty for too long.
    pub fn tick(&mut self, now: Now) {
        if self.phase != Phase::Recording {
            return;
        }
        let idle_end = self.idle_end();
        #[cfg(feature = "mix")]
        self.advance_mix(now, idle_end.map_or(now.room, |at| at.min(now.room)));
        if idle_end.is_some_and(|at| now.room >= at) {
            self.stop(now, LeaveCode::IDLE);
        }
    }

    /// When the room has been empty for too long.
    fn idle_end(&self) -> Option<RoomTime> {
        Some(self.empty_since?.saturating_add(self.options.max_idle.as_room_time()))
    }

    /// When [`TaskCore::tick`] has something to do if nothing else comes first.
    #[must_use]
    pub fn deadline(&self) -> Option<RoomTime> {
        if self.phase != Phase::Recording {
            return None;
        }
        #[cfg(feature = "mix")]
        let mix = self.mix.as_ref().and_then(|mix| mix.deadline(self.empty_since));
        #[cfg(not(feature = "mix"))]
        let mix = None;
        self.idle_end().into_iter().chain(mix).min()
    }

    /// Takes what the storage side reports.
    pub fn report(&mut self, now: Now, report: StorageReport) {
        match report {
            StorageReport::PlaylistStored { name } => {
                if !self.first_playlist_told {
                    self.first_playlist_told = true;
                    self.notify(now.wall, Payload::FileInfo(name.into()));
                }
            }
            StorageReport::UploadFailed { code, message } => {
                self.notify(now.wall, Payload::UploadError(UploadError { code, message }));
            }
            StorageReport::UploadsEnded { kept } if self.phase == Phase::Uploading => {
                self.hls_kept = kept > 0;
                self.tell_uploads(now, kept);
                if self.options.output.file_kind().is_some() {
                    self.make_files();
                } else {
                    self.end(kept > 0);
                }
            }
            StorageReport::FileMade { file, place } => {
                let status = match place {
                    FilePlace::Bucket => Mp4Status::ALL_STORED,
                    FilePlace::Spool => Mp4Status::SOME_KEPT_BACK,
                };
                self.notify(now.wall, Payload::Mp4Stop(Mp4Stop::new(status, vec![file.to_message()])));
            }
            StorageReport::FileFailed { made } => {
                let files = made.iter().map(MadeFile::to_message).collect();
                self.notify(now.wall, Payload::Mp4Stop(Mp4Stop::new(Mp4Status::ABNORMAL, files)));
            }
            StorageReport::MediumStored { file, file_id, url } => {
                self.tell_medium(now, file.name.clone(), file.to_commit(file_id, url));
            }
            StorageReport::MediumMissing(medium) => {
                self.tell_medium(now, medium.name.clone(), medium.to_commit());
            }
            StorageReport::FilesEnded { kept } if self.phase == Phase::MakingFiles => {
                if self.options.delivery.is_library() {
                    self.tell_library(now, kept);
                } else if !self.options.output.keeps_hls() {
                    self.tell_uploads(now, kept);
                }
                self.end(kept > 0 || self.hls_kept);
            }
            StorageReport::KeptDelivered if self.phase == Phase::Kept => {
                if self.options.delivery.is_library() {
                    self.tell_library(now, 0);
                } else if self.hls_kept || !self.options.output.keeps_hls() {
                    self.notify(now.wall, Payload::UploadStop(UploadStatus::KEPT_BACK_DELIVERED));
                }
                self.finish();
            }
            StorageReport::UploadsEnded { .. }
            | StorageReport::FilesEnded { .. }
            | StorageReport::KeptDelivered => {}
        }
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Idle, recording or over.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self.phase {
            Phase::Recording if self.tracks.values().flatten().any(Track::has_media) => TaskState::InProgress,
            Phase::Recording => TaskState::Idle,
            Phase::Uploading | Phase::MakingFiles | Phase::Kept | Phase::Finished => TaskState::Exited,
        }
    }

    /// What has been recorded so far, a file set each, in order of appearance (one whose playlist was split, a playlist
    /// each); then what runs before a crash have left.
    pub fn files(&self) -> impl Iterator<Item = FileSetReport> + '_ {
        let earlier = self.earlier.sets.iter().enumerate().map(|(index, (_, report))| FileSetReport {
            set: SetId::new(self.sets.len() + index),
            ..report.clone()
        });
        self.sets.iter().flat_map(FileSet::reports).chain(earlier)
    }

    /// Where everybody is in the mixed picture now; `None` before there is one, and for a single-stream task.
    #[cfg(feature = "mix")]
    #[must_use]
    pub fn arrangement(&self) -> Option<&recorder_layout::Arrangement> {
        self.mix.as_ref()?.arrangement()
    }

    /// Inputs that were not recorded.
    #[must_use]
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    fn enter(&mut self, now: Now, user: &UserId) -> Result<(), EventError> {
        self.names.check_user(user).map_err(EventError::Name)?;
        if self.room.contains(user) {
            self.end_tracks(now, user);
        }
        self.room.enter(user);
        if self.room.waits(user) {
            tracing::warn!("an anchor beyond the 25th waits for a place");
        }
        self.empty_since = None;
        self.pause_what_is_not_recorded(now);
        Ok(())
    }

    fn leave(&mut self, now: Now, user: &UserId) -> Result<(), EventError> {
        if !self.room.contains(user) {
            return self.unknown(EventError::NotInRoom);
        }
        self.end_tracks(now, user);
        self.room.leave(user);
        if self.room.is_empty() {
            self.empty_since = Some(now.room);
        }
        self.pause_what_is_not_recorded(now);
        Ok(())
    }

    fn publish(
        &mut self,
        now: Now,
        user: &UserId,
        media: MediaId,
        config: TrackConfig,
        origin: TrackOrigin,
    ) -> Result<(), EventError> {
        if !self.room.contains(user) {
            return self.unknown(EventError::NotInRoom);
        }
        #[cfg(feature = "mix")]
        let track = if self.mix.is_some() {
            Track::placed(media, config, origin)
        } else {
            Track::new(media, config, origin)?
        };
        #[cfg(not(feature = "mix"))]
        let track = Track::new(media, config, origin)?;
        let kind = track.kind();
        self.unpublish_if_there(now, user, media, kind);
        self.tracks.entry(user.clone()).or_default().push(track);
        Ok(())
    }

    fn unpublish(
        &mut self,
        now: Now,
        user: &UserId,
        media: MediaId,
        kind: MediaKind,
    ) -> Result<(), EventError> {
        if self.unpublish_if_there(now, user, media, kind) {
            Ok(())
        } else {
            self.unknown(EventError::NotPublished)
        }
    }

    fn unpublish_if_there(&mut self, now: Now, user: &UserId, media: MediaId, kind: MediaKind) -> bool {
        let Some(tracks) = self.tracks.get_mut(user) else { return false };
        let Some(at) = tracks.iter().position(|track| track.media() == media && track.kind() == kind) else {
            return false;
        };
        let track = tracks.remove(at);
        if tracks.is_empty() {
            self.tracks.remove(user);
        }
        self.detach(now, user, track);
        true
    }

    fn end_tracks(&mut self, now: Now, user: &UserId) {
        for track in self.tracks.remove(user).unwrap_or_default() {
            self.detach(now, user, track);
        }
    }

    /// Writes what a track still holds and takes it out of its file set.
    #[cfg_attr(not(feature = "mix"), expect(unused_variables, reason = "a file set knows its user"))]
    fn detach(&mut self, now: Now, user: &UserId, mut track: Track) {
        #[cfg(feature = "mix")]
        if track.has_begun() {
            let stream = TimelineStream { user: user.clone(), media: track.media(), kind: track.kind() };
            self.note(now, TimelineEvent::End(stream));
        }
        #[cfg(feature = "mix")]
        if let Some(mix) = &mut self.mix {
            mix.end_stream(now.room, user, &track);
            return;
        }
        if let Some(id) = track.set()
            && let Some(set) = self.sets.get_mut(id.index())
        {
            while let Some(sample) = track.flush() {
                set.push(track.kind(), &sample);
            }
            set.detach(track.kind());
            set.drain_into(now.wall, &mut self.actions);
        }
    }

    /// Takes the tracks of those who lost their place, or whom new lists leave out, out of their file sets. They
    /// come back like a stream that is published anew.
    fn pause_what_is_not_recorded(&mut self, now: Now) {
        let mut paused = Vec::new();
        for (user, tracks) in &mut self.tracks {
            for track in tracks.iter_mut() {
                if track.set().is_some() && !self.room.records(user, track.kind()) {
                    paused.push((user.clone(), track.restarted()));
                }
            }
        }
        for (user, track) in paused {
            self.detach(now, &user, track);
        }
    }

    fn sample(
        &mut self,
        now: Now,
        user: &UserId,
        media: MediaId,
        kind: MediaKind,
        sample: &Sample,
    ) -> Result<(), EventError> {
        let find = |tracks: &mut Vec<Track>| {
            tracks.iter().position(|track| track.media() == media && track.kind() == kind)
        };
        let Some(at) = self.tracks.get_mut(user).and_then(find) else {
            return self.unknown(EventError::NotPublished);
        };
        let substream_audio = media == MediaId::Aux && kind == MediaKind::Audio;
        if !self.room.records(user, kind) {
            if self.room.waits(user) {
                self.refused.without_place += 1;
            } else {
                self.refused.unwanted += 1;
            }
            return Ok(());
        }
        if substream_audio || !self.options.media.takes(media) {
            self.refused.unwanted += 1;
            return Ok(());
        }
        #[cfg(feature = "mix")]
        if self.mix.is_some() {
            return self.mix_sample(now, user, at, sample);
        }
        let tracks = self.tracks.get_mut(user).expect("found above");
        let id = match tracks[at].set() {
            Some(id) => id,
            None => FileSet::find_or_create(&mut self.sets, &self.options, &self.names, user, media, kind)?,
        };
        let set =
            self.sets.get_mut(id.index()).expect("a set id is made with its set and sets are never removed");
        if tracks[at].set().is_none() {
            // With everything that goes into the same set: a stream that is announced later cuts the segment.
            for track in tracks.iter_mut().filter(|track| track.set().is_none()) {
                if set.takes(track.media(), track.kind()) && self.room.records(user, track.kind()) {
                    set.attach(track.attach(id), now);
                }
            }
        }
        let track = &mut tracks[at];
        if !track.push(now.room, sample) {
            self.refused.without_time += 1;
        }
        #[cfg(feature = "mix")]
        let begun = track.take_begin();
        while let Some(out) = track.poll() {
            if matches!(out, TrackSample::Jumped) {
                set.jump(now);
            } else if set.push(kind, &out) {
                self.actions.push_back(Action::RequestKeyFrame { user: user.clone(), media });
            }
        }
        set.drain_into(now.wall, &mut self.actions);
        #[cfg(feature = "mix")]
        self.note_begin(now, user, (media, kind), begun);
        Ok(())
    }

    fn stop(&mut self, now: Now, code: LeaveCode) {
        if self.phase != Phase::Recording {
            return;
        }
        #[cfg(feature = "mix")]
        self.finish_mix(now);
        let users: Vec<UserId> = self.tracks.keys().cloned().collect();
        for user in users {
            self.end_tracks(now, &user);
        }
        for set in &mut self.sets {
            set.finish();
            set.drain_into(now.wall, &mut self.actions);
        }
        #[cfg(feature = "mix")]
        self.note(now, TimelineEvent::Stop { code });
        self.notify(now.wall, Payload::RecorderStop(code));
        self.deliver();
    }

    fn deliver(&mut self) {
        if self.options.output.keeps_hls() && !self.options.delivery.is_library() {
            self.phase = Phase::Uploading;
            self.actions.push_back(Action::EndUploads);
        } else {
            self.make_files();
        }
    }

    /// A job for each user's stream: sound and pictures of one stream belong in one file.
    fn make_files(&mut self) {
        self.phase = Phase::MakingFiles;
        let output = self.options.output;
        let jobs = output.file_kind().map_or_else(Vec::new, |kind| self.file_jobs(kind));
        self.actions.push_back(Action::MakeFiles { jobs, keeps_hls: output.keeps_hls() });
    }

    fn file_jobs(&self, kind: FileKind) -> Vec<FileJob> {
        let mut jobs: Vec<FileJob> = Vec::new();
        let mut add = |names: &TaskNames, user: Option<&UserId>, media, input: JobInput| {
            let same =
                |job: &&mut FileJob| job.user.as_ref() == user && job.media == media && job.names() == names;
            if let Some(job) = jobs.iter_mut().find(same) {
                job.inputs.push(input);
            } else {
                let max = self.options.max_file_duration;
                let mut job = FileJob::new(user.cloned(), media, kind, max, names.clone());
                job.inputs.push(input);
                jobs.push(job);
            }
        };
        for (index, (run, set)) in self.earlier.sets.iter().enumerate() {
            let goes_in = kind == FileKind::Mp4 || set.stream_type != StreamType::Video;
            if set.segments > 0 && goes_in {
                let names = self.options.names(*run);
                let set_id = SetId::new(self.sets.len() + index);
                let input = JobInput { set: set_id, stream_type: set.stream_type };
                add(&names, set.user.as_ref(), set.media, input);
            }
        }
        for set in self.sets.iter().filter(|set| set.goes_into(kind)) {
            add(&self.names, set.user(), set.media(), set.job_input());
        }
        jobs
    }

    /// Whether the playlist or file is in the media library, and that was told.
    pub(crate) fn is_in_library(&self, name: &ObjectName) -> bool {
        self.earlier.media_told.get(name) == Some(&VodCommitStatus::DELIVERED)
    }

    /// Event 311, unless it told the same of this medium the last time.
    fn tell_medium(&mut self, now: Now, name: ObjectName, commit: VodCommit) {
        if self.earlier.media_told.insert(name, commit.status) != Some(commit.status) {
            self.notify(now.wall, Payload::VodCommit(commit));
        }
    }

    /// Event 312, unless it is as it was told.
    fn tell_library(&mut self, now: Now, kept: usize) {
        let failed = self.earlier.media_told.values().any(|status| *status == VodCommitStatus::ERROR);
        let status = if kept == 0 && !failed { VodStopStatus::NORMAL } else { VodStopStatus::ABNORMAL };
        if self.earlier.library_told.replace(status) != Some(status) {
            self.notify(now.wall, Payload::VodStop(status));
        }
    }

    /// Event 303, of which a media library has no counterpart.
    fn tell_upload_start(&mut self, now: Now) {
        if !self.options.delivery.is_library() {
            self.notify(now.wall, Payload::UploadStart(StartStatus::STARTED));
        }
    }

    fn tell_uploads(&mut self, now: Now, kept: usize) {
        let status = match (self.earlier.uploads_told, kept) {
            (None, 0) => UploadStatus::ALL_STORED,
            (None, _) => UploadStatus::SOME_KEPT_BACK,
            (Some(UploadStatus::SOME_KEPT_BACK), 0) => UploadStatus::KEPT_BACK_DELIVERED,
            (Some(_), _) => return, // it is as it was told
        };
        self.notify(now.wall, Payload::UploadStop(status));
    }

    fn end(&mut self, kept: bool) {
        if kept {
            self.phase = Phase::Kept;
        } else {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.phase = Phase::Finished;
        self.actions.push_back(Action::Finished);
    }

    /// Writes down what has happened, where that is asked for.
    #[cfg(feature = "mix")]
    fn note(&mut self, now: Now, event: TimelineEvent) {
        if !self.options.timeline {
            return;
        }
        let name = self.names.mixed().and_then(|stem| recorder_naming::timeline(&stem));
        let name = name.expect("names of the room were checked at the start");
        self.actions.push_back(Action::Timeline { name, entry: TimelineEntry { now, event } });
    }

    #[cfg(feature = "mix")]
    fn note_begin(
        &mut self,
        now: Now,
        user: &UserId,
        (media, kind): (MediaId, MediaKind),
        begun: Option<RoomTime>,
    ) {
        if let Some(dts) = begun {
            let stream = TimelineStream { user: user.clone(), media, kind };
            self.note(now, TimelineEvent::Begin { stream, dts });
        }
    }

    fn notify(&mut self, at: UnixMillis, payload: Payload) {
        self.actions.push_back(Action::Notify { at, payload });
    }

    fn unknown(&mut self, error: EventError) -> Result<(), EventError> {
        self.refused.unknown += 1;
        Err(error)
    }
}

/// What a timeline holds of an event; samples are told by their first, the end by [`TaskCore::stop`].
#[cfg(feature = "mix")]
fn line_of(event: &RoomEvent) -> Option<TimelineEvent> {
    Some(match event {
        RoomEvent::Enter { user } => TimelineEvent::Enter { user: user.clone() },
        RoomEvent::Leave { user } => TimelineEvent::Leave { user: user.clone() },
        RoomEvent::Publish { user, media, config, .. } => {
            TimelineEvent::Publish { user: user.clone(), media: *media, codec: TimelineCodec::of(config) }
        }
        RoomEvent::Unpublish { user, media, kind } => {
            TimelineEvent::Unpublish(TimelineStream { user: user.clone(), media: *media, kind: *kind })
        }
        RoomEvent::Subscribe { subscription } => TimelineEvent::Subscribe(subscription.into()),
        RoomEvent::Layout { layout, watermarks } => TimelineEvent::layout(layout, watermarks),
        RoomEvent::Image { url, image } => TimelineEvent::Image { url: url.clone(), came: image.is_some() },
        RoomEvent::Sample { .. } | RoomEvent::Stop { .. } => return None,
    })
}

/// Where only sound is delivered nobody will see the pictures.
fn without_pictures(mut options: TaskOptions) -> TaskOptions {
    if options.output == OutputFormat::Aac {
        options.stream_type = StreamSelection::AudioOnly;
    }
    options
}

/// An event that cannot be followed. The task goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The caller spoke of somebody who has not entered.
    #[error("user is not in the room")]
    NotInRoom,
    /// The caller sent a sample of, or ended, a stream that was not published.
    #[error("stream is not published")]
    NotPublished,
    /// The task was stopped before.
    #[error("the recording has ended")]
    Ended,
    /// The ids are too long for a file name: this user, or this room, cannot be recorded.
    #[error("no file name for this user and room")]
    Name(#[source] NameError),
    /// The caller changed the layout of a recording that is not mixed.
    #[cfg(feature = "mix")]
    #[error("the recording is not mixed: it has no layout")]
    NotMixed,
    /// The caller asked for a mix that cannot be made.
    #[cfg(feature = "mix")]
    #[error("the room cannot be mixed like this")]
    MixOptions(#[source] super::mix::MixOptionsError),
    /// A codec failed within its contract.
    #[cfg(feature = "mix")]
    #[error("the mix failed")]
    Mix(#[source] recorder_mixer::MixError),
    /// As above, found by the segmenter.
    #[error("no segment names for this user and room")]
    Segmenter(#[source] recorder_hls::OptionsError),
    /// Opus needs the feature `opus`: the embedder has to turn it on.
    #[error("Opus cannot be recorded without the feature `opus`")]
    OpusNotEnabled,
    /// Opus with a channel count that cannot be recorded.
    #[cfg(feature = "opus")]
    #[error("Opus stream cannot be recorded")]
    Opus(#[source] recorder_codec::CodecError),
}
