use std::collections::VecDeque;
use std::num::NonZeroU32;

use recorder_callback::{FileSlice, Payload, TrackType};
use recorder_hls::{
    PlaylistHeader, Pushed, SegmentInfo, Segmenter, SegmenterOptions, SegmenterStats, Streams,
};
use recorder_naming::{FileIndex, FileKind, StreamType, TaskNames};
use recorder_types::{AacConfig, H264Config, MediaId, MediaKind, ObjectName, RoomTime, UnixMillis, UserId};

use super::core::{Action, EventError, Now};
use super::options::{AvMerge, StreamSelection, TaskOptions};
use super::output::JobInput;
use super::track::TrackSample;

/// TS packets that a file set holds before they are written: 64 KiB, so that a hundred tasks of 25 people stay
/// within a few hundred MiB.
const CHUNK_PACKETS: u16 = 348;

/// HLS is split when a task has run for this long, and again after as long: 14 days.
const PLAYLIST_SPAN: RoomTime = RoomTime::from_secs(14 * 86_400);

/// A file set of one task: its playlist and segments. Counts from 0 in order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(usize);

impl SetId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The position in the order of appearance.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What callbacks and the API call the media of a file set.
pub(crate) const fn track_type(stream_type: StreamType) -> TrackType {
    match stream_type {
        StreamType::Audio => TrackType::Audio,
        StreamType::Video => TrackType::Video,
        StreamType::AudioVideo => TrackType::AudioVideo,
    }
}

/// An elementary stream as the segmenter wants it.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    Video(H264Config),
    Audio(AacConfig),
}

/// One playlist with its segments: a track of a user, or a user's audio and video together. It lives as long as
/// the task, so that a user who comes back goes on in the same files.
pub(super) struct FileSet {
    id: SetId,
    playlist: ObjectName,
    /// When the playlist is split.
    split_at: RoomTime,
    /// The playlist after the split that is going on.
    next_playlist: Option<ObjectName>,
    /// What is in playlists that have ended.
    past: Vec<FileSetReport>,
    /// `None` for the mixed room.
    user: Option<UserId>,
    media: MediaId,
    stream_type: StreamType,
    segmenter: Segmenter,
    streams: Streams,
    waits_for_key_frame: bool,
    /// Whether playlists are delivered, and not only files made of them.
    delivered: bool,
    /// Whether playlists are told while they grow: not where they go into a media library.
    announced: bool,
    begin: Option<UnixMillis>,
    segments: u64,
    bytes: u64,
    duration: RoomTime,
}

/// What a file set has recorded so far, or what is in one of its playlists where a task runs for longer than 14 days.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileSetReport {
    /// Which.
    pub set: SetId,
    /// Bare name of the playlist.
    pub playlist: ObjectName,
    /// Whose; `None` for the mixed room.
    pub user: Option<UserId>,
    /// Primary stream or substream; primary for the mixed room.
    pub media: MediaId,
    /// Audio, video or both.
    pub stream_type: StreamType,
    /// Start of the first segment; `None` before there is one.
    pub begin: Option<UnixMillis>,
    /// Closed segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their media, gaps left out.
    pub duration: RoomTime,
    /// What was written and what was lost.
    pub stats: SegmenterStats,
}

impl FileSet {
    /// The set that takes `user`'s track of `media` and `kind`; made when it is the first time.
    pub(super) fn find_or_create(
        sets: &mut Vec<Self>,
        options: &TaskOptions,
        names: &TaskNames,
        user: &UserId,
        media: MediaId,
        kind: MediaKind,
    ) -> Result<SetId, EventError> {
        let merged = options.merge == AvMerge::Merged
            && media == MediaId::Main
            && options.stream_type == StreamSelection::AudioAndVideo;
        let stream_type = match kind {
            _ if merged => StreamType::AudioVideo,
            MediaKind::Audio => StreamType::Audio,
            MediaKind::Video => StreamType::Video,
        };
        let same = |set: &&Self| {
            set.user.as_ref() == Some(user) && set.media == media && set.stream_type == stream_type
        };
        if let Some(set) = sets.iter().find(same) {
            return Ok(set.id);
        }
        let stem = names.single(user, media, stream_type).map_err(EventError::Name)?;
        Self::create(sets, options, stem, Some(user), media, stream_type)
    }

    /// The set of the mixed room; the first and only one of its task.
    #[cfg(feature = "mix")]
    pub(super) fn mixed(
        sets: &mut Vec<Self>,
        options: &TaskOptions,
        names: &TaskNames,
    ) -> Result<SetId, EventError> {
        let stem = names.mixed().map_err(EventError::Name)?;
        Self::create(sets, options, stem, None, MediaId::Main, options.stream_type.of_all())
    }

    fn create(
        sets: &mut Vec<Self>,
        options: &TaskOptions,
        stem: ObjectName,
        user: Option<&UserId>,
        media: MediaId,
        stream_type: StreamType,
    ) -> Result<SetId, EventError> {
        let playlist = recorder_naming::playlist(&stem).map_err(EventError::Name)?;
        let header = match user {
            Some(user) => PlaylistHeader::single(media, user.clone()),
            None => PlaylistHeader::mixed(),
        };
        let mut segmenter = SegmenterOptions::new(stem, header)
            .map_err(EventError::Segmenter)?
            .with_chunk_packets(CHUNK_PACKETS);
        if options.output.file_kind().is_none() {
            segmenter = segmenter.without_index();
        }
        let id = SetId(sets.len());
        sets.push(Self {
            id,
            playlist,
            split_at: PLAYLIST_SPAN,
            next_playlist: None,
            past: Vec::new(),
            user: user.cloned(),
            media,
            stream_type,
            segmenter: Segmenter::new(segmenter),
            streams: Streams::default(),
            waits_for_key_frame: false,
            delivered: options.output.keeps_hls(),
            announced: options.output.keeps_hls() && !options.delivery.is_library(),
            begin: None,
            segments: 0,
            bytes: 0,
            duration: RoomTime::ZERO,
        });
        Ok(id)
    }

    /// The set of a mixed room.
    #[cfg(feature = "mix")]
    pub(super) const MIXED: SetId = SetId(0);

    pub(super) const fn job_input(&self) -> JobInput {
        JobInput { set: self.id, stream_type: self.stream_type }
    }

    pub(super) const fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    pub(super) const fn media(&self) -> MediaId {
        self.media
    }

    /// Whether a track of its user goes into it.
    pub(super) fn takes(&self, media: MediaId, kind: MediaKind) -> bool {
        self.media == media
            && match self.stream_type {
                StreamType::Audio => kind == MediaKind::Audio,
                StreamType::Video => kind == MediaKind::Video,
                StreamType::AudioVideo => true,
            }
    }

    /// Whether it has media for a file of `kind`.
    pub(super) fn goes_into(&self, kind: FileKind) -> bool {
        (self.segments > 0 || !self.past.is_empty())
            && match kind {
                FileKind::Mp4 => true,
                FileKind::Aac => self.stream_type != StreamType::Video,
            }
    }

    /// Adds a stream that was published. The first one after none continues the files after a gap.
    pub(super) fn attach(&mut self, stream: Stream, now: Now) {
        if self.is_paused() {
            self.jump(now);
        }
        match stream {
            Stream::Video(video) => {
                self.streams.video = Some(video);
                self.waits_for_key_frame = false;
            }
            Stream::Audio(audio) => self.streams.audio = Some(audio),
        }
        self.segmenter.set_streams(self.streams.clone());
    }

    /// Takes a stream out; the open segment ends with the last one.
    pub(super) fn detach(&mut self, kind: MediaKind) {
        match kind {
            MediaKind::Video => self.streams.video = None,
            MediaKind::Audio => self.streams.audio = None,
        }
        if self.is_paused() {
            self.segmenter.end_segment();
        } else {
            self.segmenter.set_streams(self.streams.clone());
        }
    }

    /// What follows does not continue what came before, and the two clocks are related anew.
    pub(super) fn jump(&mut self, now: Now) {
        self.segmenter.discontinuity();
        self.segmenter.set_wall_clock(now.room, now.wall);
    }

    /// Hands one access unit to the segmenter. Says whether it has just begun to wait for a key frame.
    pub(super) fn push(&mut self, kind: MediaKind, sample: &TrackSample) -> bool {
        if let TrackSample::Video(unit) | TrackSample::Audio(unit) = sample
            && unit.dts >= self.split_at
        {
            self.split(unit.dts);
        }
        let pushed = match sample {
            TrackSample::Video(unit) => self.segmenter.push_video(unit),
            TrackSample::Audio(unit) => self.segmenter.push_audio(unit),
            TrackSample::Jumped => return false,
            TrackSample::Resumed => {
                self.segmenter.expect_pause(kind);
                return false;
            }
        };
        let waits = match pushed {
            Ok(Pushed::WaitingForKeyFrame) => true,
            Ok(Pushed::Written) => false,
            Ok(Pushed::Dropped(loss)) => {
                tracing::debug!(set = self.id.0, ?loss, "access unit dropped");
                self.waits_for_key_frame
            }
            Err(error) => {
                tracing::warn!(set = self.id.0, %error, "access unit refused");
                self.waits_for_key_frame
            }
        };
        let begins = waits && !self.waits_for_key_frame;
        if matches!(sample, TrackSample::Video(_)) {
            self.waits_for_key_frame = waits;
        }
        begins
    }

    /// Begins another playlist, if they are delivered and this one has something in it; the open segment is its last.
    fn split(&mut self, at: RoomTime) {
        if !self.delivered || self.segments == 0 {
            return;
        }
        while self.split_at <= at {
            self.split_at = self.split_at.saturating_add(PLAYLIST_SPAN);
        }
        // The first one has no number, for when it was named nobody knew that there would be another.
        let Some(part) = u32::try_from(self.past.len() + 2).ok().and_then(NonZeroU32::new) else { return };
        // As long as the first one, whose name was made, but for the number; there is room for that.
        let Ok(name) = recorder_naming::playlist_part(self.segmenter.stem(), FileIndex::Part(part)) else {
            return;
        };
        self.segmenter.split_playlist(name.clone());
        self.next_playlist = Some(name);
    }

    pub(super) fn finish(&mut self) {
        self.segmenter.finish();
    }

    /// Turns what the segmenter wants done into actions of the task.
    pub(super) fn drain_into(&mut self, wall: UnixMillis, actions: &mut VecDeque<Action>) {
        let set = self.id;
        while let Some(action) = self.segmenter.poll() {
            match action {
                recorder_hls::Action::OpenSegment { name } => {
                    actions.push_back(Action::OpenSegment { set, name });
                }
                recorder_hls::Action::SegmentData { data } => {
                    actions.push_back(Action::SegmentData { set, data });
                }
                recorder_hls::Action::CloseSegment(info) => self.closed(info, wall, actions),
                recorder_hls::Action::Playlist(update) => {
                    let ended = update.ended;
                    actions.push_back(Action::Playlist { set, update });
                    if ended && let Some(next) = self.next_playlist.take() {
                        self.past.push(self.report());
                        (self.playlist, self.begin) = (next, None);
                        (self.segments, self.bytes, self.duration) = (0, 0, RoomTime::ZERO);
                    }
                }
                _ => {}
            }
        }
    }

    fn closed(&mut self, info: SegmentInfo, wall: UnixMillis, actions: &mut VecDeque<Action>) {
        self.segments += 1;
        self.bytes = self.bytes.saturating_add(info.bytes);
        self.duration = self.duration.saturating_add(info.duration);
        let first = self.begin.is_none();
        let begin = *self.begin.get_or_insert(info.start);
        actions.push_back(Action::CloseSegment {
            set: self.id,
            playlist: self.playlist.clone(),
            start: info.start,
            index: info.index,
        });
        if first && self.announced {
            let payload = Payload::FileSlice(FileSlice {
                file_name: (&self.playlist).into(),
                user: self.user.clone(),
                track_type: track_type(self.stream_type),
                begin,
            });
            actions.push_back(Action::Notify { at: wall, payload });
        }
    }

    /// What is in each of its playlists, in order.
    pub(super) fn reports(&self) -> impl Iterator<Item = FileSetReport> + '_ {
        // What would come after the last one may never come.
        let goes_on = self.past.is_empty() || self.segments > 0;
        self.past.iter().cloned().chain(goes_on.then(|| self.report()))
    }

    fn report(&self) -> FileSetReport {
        FileSetReport {
            set: self.id,
            playlist: self.playlist.clone(),
            user: self.user.clone(),
            media: self.media,
            stream_type: self.stream_type,
            begin: self.begin,
            segments: self.segments,
            bytes: self.bytes,
            duration: self.duration,
            stats: self.segmenter.stats(),
        }
    }

    const fn is_paused(&self) -> bool {
        self.streams.video.is_none() && self.streams.audio.is_none()
    }
}

impl std::fmt::Debug for FileSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSet")
            .field("id", &self.id)
            .field("playlist", &self.playlist)
            .finish_non_exhaustive()
    }
}
