use bytes::Bytes;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{MediaKind, NalFraming, ObjectName, RoomTime, Timescale, UnixMillis};

use crate::action::{AccessUnit, Action, Loss, PushError, Pushed, SegmentInfo, SegmenterStats, Streams};
use crate::audio::{Frame, Pending, frames, span};
use crate::budget::Budget;
use crate::cut::{Chain, SegmentStart};
use crate::index::IndexBuilder;
use crate::options::SegmenterOptions;
use crate::order::{Admission, Order};
use crate::picture::{ParameterSets, Picture, Slice, Sps};
use crate::playlist::{Metadata, PlaylistWriter, end};
use crate::ts::{Elementary, Layout, Mux, Pes};

/// Presentation further than this from decoding is refused.
const MAX_REORDER: RoomTime = RoomTime::from_secs(10);
/// After [`Segmenter::end_segment`] media that goes on within this is continuous.
const RESUMED: RoomTime = RoomTime::from_millis(100);
/// How long a lone picture of unknown rate is taken to last.
pub(crate) const DEFAULT_PICTURE: RoomTime = RoomTime::from_nanos(33_333_333);
/// Room that is left between the last name and the end of the year 9999: more than one push can use up.
const NAMES_LEFT: u64 = 100_000;

/// H.264 and AAC access units in, MPEG-TS segments and a growing playlist out.
///
/// Contract: the same calls with the same arguments give the same actions, however they are interleaved with
/// [`poll`](Self::poll); and after every `push`, what is due to be done is in the queue. Poll it until `None` each
/// time, since it has no bound of its own.
///
/// # Where segments are cut
/// Audio alone: before the first frame that starts at or after 10 s since the segment's nominal start, which moves on
/// by exactly 10 s with each segment; so names lie exactly 10 000 ms apart. With pictures: before the first IDR at or
/// after 10 s since the segment's first picture; the next start is the previous one and its duration, rounded to
/// milliseconds, a half upward. Where a start so chained is more than 5 ms away from the media's own time on the wall
/// clock (for audio alone: one frame and 5 ms), it is set to that time. Without an IDR for 60 s a segment is cut
/// before any picture, with the parameter sets written first. While no picture has come to a segment of audio and
/// video, audio cuts it after 10 s.
///
/// # When media is interrupted
/// A new segment begins with `EXT-X-DISCONTINUITY` after [`discontinuity`](Self::discontinuity), after a change of
/// [`set_streams`](Self::set_streams), of the AAC configuration or of the SPS, after a gap of more than
/// [`max_gap`](SegmenterOptions::with_max_gap), and where media resumes more than 100 ms after
/// [`end_segment`](Self::end_segment). Pictures after it wait for an IDR, also after a mere gap: a decoder that starts
/// at a discontinuity has nothing to predict from. Audio goes on at once.
///
/// A sample whose time does not rise, or leaps by more than an hour, is dropped; when such strays form a timeline of
/// their own for a second, that is believed, and media goes on there after a discontinuity.
///
/// Ten segments may begin at once, and in the long run one in each second of media: what would begin more of them is
/// dropped ([`Loss::TooManySegments`]), so that a stream that is interrupted all the time leaves a bounded number of
/// files.
///
/// # Order of streams
/// Both streams are pushed roughly in order of their decode times; within 150 ms of each other, no clock reference
/// comes too late for what it belongs to.
pub struct Segmenter {
    options: SegmenterOptions,
    streams: Streams,
    mux: Mux,
    playlist: PlaylistWriter,
    /// That which begins with the next segment.
    next_playlist: Option<Box<PlaylistWriter>>,
    chain: Chain,
    budget: Budget,
    open: Option<Open>,
    /// The next segment does not follow the one before.
    fresh: bool,
    /// Where the closed segment's media ended.
    tail: Option<RoomTime>,
    video: Video,
    audio: Audio,
    /// The sound has ended, and its stream is still in the open segment.
    sound_ends: bool,
    finished: bool,
    stats: SegmenterStats,
}

#[derive(Default)]
struct Video {
    sets: ParameterSets,
    /// That of the last IDR written.
    active: Option<Sps>,
    waits_for_key: bool,
    order: Order,
    /// Decode time of the last picture written.
    last: Option<RoomTime>,
}

#[derive(Default)]
struct Audio {
    config: Option<AudioSpecificConfig>,
    pending: Pending,
    order: Order,
}

/// The open segment.
struct Open {
    name: ObjectName,
    start: UnixMillis,
    /// Where the nominal start lies in the media.
    nominal: RoomTime,
    /// Decode time of the first sample.
    first: RoomTime,
    /// Latest decode time.
    last: RoomTime,
    /// Latest end of a sample.
    end: RoomTime,
    first_picture: Option<RoomTime>,
    first_pts: RoomTime,
    last_pts: RoomTime,
    pictures: u64,
    audio_frames: u64,
    discontinuity: bool,
    starts_with_key_frame: bool,
    metadata: Metadata,
    index: Option<IndexBuilder>,
}

impl Open {
    fn note(&mut self, dts: RoomTime, pts: RoomTime, lasts: RoomTime) {
        self.last = self.last.max(dts);
        self.end = self.end.max(dts.saturating_add(lasts));
        self.first_pts = self.first_pts.min(pts);
        self.last_pts = self.last_pts.max(pts);
    }
}

impl Segmenter {
    /// Without streams and without a wall clock: both have to be set before the first push.
    #[must_use]
    pub fn new(options: SegmenterOptions) -> Self {
        let name = format!("{}.m3u8", options.stem).parse().expect("a stem leaves room for its suffix");
        Self {
            mux: Mux::new(options.chunk_bytes),
            playlist: PlaylistWriter::new(name, options.header.clone()),
            next_playlist: None,
            chain: Chain::default(),
            budget: Budget::default(),
            streams: Streams::default(),
            open: None,
            fresh: true,
            tail: None,
            video: Video { waits_for_key: true, ..Video::default() },
            audio: Audio::default(),
            sound_ends: false,
            finished: false,
            stats: SegmenterStats::default(),
            options,
        }
    }

    /// Says which elementary streams follow. A change closes the open segment, and the next one starts with a
    /// discontinuity; the same streams once more change nothing.
    ///
    /// Pictures wait for an IDR then. Where only the sound ends they need not: the change is made at their next IDR, and
    /// not at all if the same sound is back before.
    ///
    /// Parameter sets that cannot be read are counted as [`Loss::BadParameterSet`]. Those learned from pictures are
    /// forgotten when the video stream is another.
    pub fn set_streams(&mut self, streams: Streams) {
        self.sound_ends = false;
        if streams == self.streams || self.finished {
            return;
        }
        if streams.audio.is_none()
            && streams.video.is_some()
            && streams.video == self.streams.video
            && self.open.is_some()
        {
            self.sound_ends = true;
            return;
        }
        self.interrupt(None);
        if streams.video != self.streams.video {
            self.video.sets = ParameterSets::default();
            self.video.active = None;
            for unit in streams.video.iter().flat_map(|video| &video.parameter_sets) {
                if let Err(loss) = self.video.sets.learn(unit) {
                    self.stats.count(loss);
                }
            }
        }
        if streams.audio != self.streams.audio {
            self.audio.config = None;
        }
        self.streams = streams;
        self.lay_out();
    }

    fn lay_out(&mut self) {
        let layout = Layout { video: self.streams.video.is_some(), audio: self.streams.audio.is_some() };
        // A chunk of audio should not take minutes to fill.
        let chunk = self.options.chunk_bytes;
        let small = (chunk / 16).next_multiple_of(crate::ts::PACKET_BYTES);
        self.mux.set_layout(layout, if layout.video { chunk } else { small });
    }

    /// The sound that has ended leaves the streams with the IDR at `dts`.
    fn drop_sound(&mut self, dts: RoomTime) {
        self.sound_ends = false;
        self.interrupt(Some(dts));
        self.streams.audio = None;
        self.audio.config = None;
        self.lay_out();
    }

    /// Says that it is `wall` at `room`. Used from the next discontinuous segment on (the first one is), nowhere else:
    /// a wall clock that jumps moves no media that is under way.
    pub fn set_wall_clock(&mut self, room: RoomTime, wall: UnixMillis) {
        self.chain.set_wall_clock(room, wall);
    }

    /// Takes one picture in decode order.
    ///
    /// # Errors
    /// [`PushError`], with nothing changed. What the input does wrong is no error but [`Pushed::Dropped`].
    pub fn push_video(&mut self, unit: &AccessUnit) -> Result<Pushed, PushError> {
        self.check(MediaKind::Video)?;
        match self.take_picture(unit) {
            Ok(pushed) => Ok(pushed),
            Err(loss) => Ok(self.dropped(loss)),
        }
    }

    /// Takes one raw AAC frame, or one or several whole ADTS frames, as [`Streams::audio`] says. Frames after the
    /// first of an access unit follow it without a gap.
    ///
    /// # Errors
    /// As [`push_video`](Self::push_video).
    pub fn push_audio(&mut self, unit: &AccessUnit) -> Result<Pushed, PushError> {
        self.check(MediaKind::Audio)?;
        match self.take_audio(unit) {
            Ok(()) => Ok(Pushed::Written),
            Err(loss) => Ok(self.dropped(loss)),
        }
    }

    /// Closes the open segment; the next sample starts one with `EXT-X-DISCONTINUITY`, and its time may be any. For a
    /// user who entered again or a clock that was reset.
    pub fn discontinuity(&mut self) {
        self.interrupt(None);
        self.video.order.reset();
        self.audio.order.reset();
    }

    /// Says that the stream of `kind` was silent for as long as the time of its next sample tells. Without it, a leap of
    /// more than an hour is not believed at once.
    pub fn expect_pause(&mut self, kind: MediaKind) {
        match kind {
            MediaKind::Audio => self.audio.order.expect_leap(),
            MediaKind::Video => self.video.order.expect_leap(),
        }
    }

    /// Closes the open segment, because the track is paused. The playlist stays open; a sample that follows within
    /// 100 ms continues without a discontinuity. Pictures wait for an IDR.
    pub fn end_segment(&mut self) {
        self.close(None, false);
        self.video.waits_for_key = true;
        self.video.order.expect_leap();
        self.audio.order.expect_leap();
    }

    /// Ends the playlist with the open segment, or now if there is none; what follows is listed in `playlist`, whose
    /// stem should be that of the segments. Media is cut as ever. Without a segment so far, nothing ends and the list
    /// keeps its name.
    pub fn split_playlist(&mut self, playlist: ObjectName) {
        if self.finished || (self.open.is_none() && self.playlist.segments() == 0) {
            return;
        }
        let next = PlaylistWriter::new(playlist, self.options.header.clone());
        if self.open.is_some() {
            self.next_playlist = Some(Box::new(next));
        } else {
            self.mux.act(Action::Playlist(self.playlist.end()));
            self.playlist = next;
        }
    }

    /// Closes the open segment and ends the playlist; nothing can be pushed after it. A recording without a segment
    /// gets no playlist.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        if self.open.is_some() {
            self.close(None, true);
        } else if self.playlist.segments() > 0 {
            self.mux.act(Action::Playlist(self.playlist.end()));
        }
    }

    /// What the names of its files begin with.
    #[must_use]
    pub const fn stem(&self) -> &ObjectName {
        &self.options.stem
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<Action> {
        self.mux.poll()
    }

    /// What was written and lost so far.
    #[must_use]
    pub fn stats(&self) -> SegmenterStats {
        let open = if self.open.is_some() { self.mux.segment_bytes() } else { 0 };
        SegmenterStats { bytes: self.stats.bytes + open, ..self.stats }
    }

    fn check(&self, kind: MediaKind) -> Result<(), PushError> {
        let announced = match kind {
            MediaKind::Audio => self.streams.audio.is_some() && !self.sound_ends,
            MediaKind::Video => self.streams.video.is_some(),
        };
        if self.finished {
            Err(PushError::Finished)
        } else if !announced {
            Err(PushError::NoStream { kind })
        } else if !self.chain.has_wall_clock() {
            Err(PushError::NoWallClock)
        } else if self.chain.names_left() < NAMES_LEFT {
            Err(PushError::OutOfNames)
        } else {
            Ok(())
        }
    }

    fn dropped(&mut self, loss: Loss) -> Pushed {
        self.stats.count(loss);
        Pushed::Dropped(loss)
    }

    fn check_size(&self, data: &Bytes) -> Result<(), Loss> {
        if data.is_empty() {
            Err(Loss::Empty)
        } else if data.len() > self.options.max_access_unit {
            Err(Loss::TooLarge)
        } else {
            Ok(())
        }
    }

    fn take_picture(&mut self, unit: &AccessUnit) -> Result<Pushed, Loss> {
        let framing = self.streams.video.as_ref().expect("checked before").framing;
        self.check_size(&unit.data).inspect_err(|loss| {
            // What is that large is most likely a key frame.
            self.video.waits_for_key |= *loss == Loss::TooLarge;
        })?;
        let picture = Picture::read(&unit.data, framing).map_err(|unfit| {
            self.video.waits_for_key |= unfit.breaks_chain;
            unfit.loss
        })?;
        for set in &picture.sets {
            self.video.sets.learn(set).inspect_err(|_| self.video.waits_for_key = true)?;
        }
        let Some(slice) = picture.slice else {
            return Err(if picture.layered { Loss::NoBasePicture } else { Loss::NoPicture });
        };
        let AccessUnit { pts, dts, .. } = *unit;
        self.check_picture_time(pts, dts).inspect_err(|_| self.video.waits_for_key |= slice.idr)?;
        self.close_at_gap(dts);
        if self.video.waits_for_key && !slice.idr {
            self.stats.waited += 1;
            return Ok(Pushed::WaitingForKeyFrame);
        }
        let Some(sps) = self.video.sets.active(slice.pps) else {
            self.video.waits_for_key |= slice.idr;
            return Err(Loss::UnknownParameterSet);
        };
        if slice.idr {
            let sps = sps.clone();
            if self.sound_ends {
                self.drop_sound(dts);
            }
            self.activate(sps, dts);
        }
        self.cut_before_picture(dts, slice);
        if !self.may_open(dts) {
            self.video.waits_for_key = true;
            return Err(Loss::TooManySegments);
        }
        self.write_picture(&picture, pts, dts, slice);
        Ok(Pushed::Written)
    }

    fn check_picture_time(&mut self, pts: RoomTime, dts: RoomTime) -> Result<(), Loss> {
        if pts < dts || pts.saturating_sub(dts) > MAX_REORDER {
            return Err(Loss::BadPresentationTime);
        }
        self.admit(MediaKind::Video, dts)
    }

    /// Takes `sps` for the pictures from the IDR at `dts` on.
    fn activate(&mut self, sps: Sps, dts: RoomTime) {
        let changed = self.video.active.as_ref().is_some_and(|before| sps.differs_from(before));
        let begins_here = self.open.as_ref().is_some_and(|open| open.discontinuity && open.pictures == 0);
        if changed && !begins_here && !self.fresh {
            self.interrupt(Some(dts));
        }
        self.video.active = Some(sps);
        self.video.waits_for_key = false;
    }

    fn cut_before_picture(&mut self, dts: RoomTime, slice: Slice) {
        let Some(open) = &self.open else { return };
        let due =
            open.first_picture.is_some_and(|first| dts.saturating_sub(first) >= self.options.target_duration);
        if slice.idr && due {
            self.close(Some(dts), false);
        } else {
            self.force_cut(dts);
        }
    }

    /// Closes a segment that has reached its longest duration.
    fn force_cut(&mut self, dts: RoomTime) {
        let limit = self.options.max_segment_duration.max(self.options.target_duration);
        if self.open.as_ref().is_some_and(|open| dts.saturating_sub(open.first) >= limit) {
            self.stats.forced_cuts += 1;
            self.close(Some(dts), false);
        }
    }

    fn write_picture(&mut self, picture: &Picture<'_>, pts: RoomTime, dts: RoomTime, slice: Slice) {
        const DELIMITER: &[u8] = &[0, 0, 0, 1, 9, 0xF0];
        const SET_START: &[u8] = &[0, 0, 0, 1];
        const UNIT_START: &[u8] = &[0, 0, 1];

        let lasts = self.picture_duration(dts);
        self.open_at(dts, pts);
        let open = self.open.as_mut().expect("opened above");
        let leads = open.pictures == 0;
        let mut parts = Vec::with_capacity(2 * picture.units.len() + 16);
        parts.push(DELIMITER);
        if slice.idr || leads {
            parts.extend(self.video.sets.units().flat_map(|set| [SET_START, set]));
        } else {
            for (n, set) in picture.sets.iter().enumerate() {
                if !picture.sets[..n].contains(set) {
                    parts.extend([SET_START, *set]);
                }
            }
        }
        let sets = parts.iter().skip(1).filter(|part| **part != SET_START).copied();
        let framing = self.streams.video.as_ref().map_or(NalFraming::AnnexB, |video| video.framing);
        let (pts_ticks, dts_ticks) = (ticks(&self.options, pts), ticks(&self.options, dts));
        if let Some(index) = &mut open.index {
            index.written_picture(sets, &picture.units, framing, (pts_ticks, dts_ticks), slice);
        }
        parts.extend(picture.units.iter().flat_map(|unit| [UNIT_START, *unit]));

        open.note(dts, pts, lasts);
        open.pictures += 1;
        open.first_picture.get_or_insert(dts);
        open.starts_with_key_frame &= !leads || slice.idr;
        open.metadata.video = self.video.active.as_ref().map(|sps| sps.info.size);
        self.video.last = Some(dts);
        self.stats.pictures += 1;
        self.mux.write_pes(&Pes {
            stream: Elementary::Video,
            pts: pts_ticks,
            dts: dts_ticks,
            span: 0,
            random_access: slice.idr,
            parts: &parts,
        });
    }

    /// That of the picture before; failing that, what the SPS tells.
    fn picture_duration(&self, dts: RoomTime) -> RoomTime {
        let delta = self.video.last.map(|last| dts.saturating_sub(last));
        let told = || {
            let (scale, ticks) = self.video.active.as_ref()?.info.frame_rate?;
            let nanos = i64::from(ticks) * 1_000_000_000 / i64::from(scale);
            Some(RoomTime::from_nanos(nanos)).filter(|t| (1_000_000..=1_000_000_000).contains(&t.nanos()))
        };
        delta
            .filter(|&delta| delta > RoomTime::ZERO && delta <= self.options.max_gap)
            .or_else(told)
            .unwrap_or(DEFAULT_PICTURE)
    }

    fn take_audio(&mut self, unit: &AccessUnit) -> Result<(), Loss> {
        let config = self.streams.audio.expect("checked before");
        self.check_size(&unit.data)?;
        if unit.pts.saturating_sub(unit.dts).nanos().unsigned_abs() > MAX_REORDER.nanos().unsigned_abs() {
            return Err(Loss::BadPresentationTime);
        }
        let frames = frames(&unit.data, config, self.options.max_gap)?;
        self.admit(MediaKind::Audio, unit.pts)?;
        let (mut at, mut run, mut count) = (unit.pts, unit.pts, 0);
        let mut config = frames.first().map(|frame| frame.config);
        for frame in frames {
            if config != Some(frame.config) {
                (config, run, count) = (Some(frame.config), at, 0);
            }
            let lasts = frame.config;
            self.audio.order.advance(at);
            self.take_frame(frame, at)?;
            count += 1;
            at = run.saturating_add(span(lasts, count));
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: Frame, at: RoomTime) -> Result<(), Loss> {
        if self.audio.config.is_some_and(|config| config != frame.config) && !self.fresh {
            self.interrupt(Some(at));
        }
        self.audio.config = Some(frame.config);
        self.close_at_gap(at);
        if let Some(open) = &self.open {
            let without_pictures = open.pictures == 0;
            if without_pictures && at.saturating_sub(open.nominal) >= self.options.target_duration {
                self.close(Some(at), false);
            } else {
                self.force_cut(at);
            }
        }
        if !self.may_open(at) {
            return Err(Loss::TooManySegments);
        }
        self.open_at(at, at);
        if !self.audio.pending.takes(&frame, at) {
            self.flush_audio();
        }
        let open = self.open.as_mut().expect("opened above");
        open.note(at, at, span(frame.config, 1));
        open.audio_frames += 1;
        open.metadata.audio = Some(frame.config);
        self.stats.audio_frames += 1;
        self.audio.pending.add(frame, at);
        Ok(())
    }

    fn flush_audio(&mut self) {
        if let Some((start, lasts, parts)) = self.audio.pending.packet() {
            let pts = ticks(&self.options, start);
            self.mux.write_pes(&Pes {
                stream: Elementary::Audio,
                pts,
                dts: pts,
                span: lasts.round_to_ticks(Timescale::HZ_90000),
                random_access: false,
                parts: &parts,
            });
            if let Some(index) = self.open.as_mut().and_then(|open| open.index.as_mut()) {
                index.written_frames(pts, self.audio.pending.raw_lens());
            }
        }
        self.audio.pending.clear();
    }

    /// Whether a sample's time can follow what was written of its stream. A believed stray begins anew.
    fn admit(&mut self, kind: MediaKind, dts: RoomTime) -> Result<(), Loss> {
        let floor = self.open.as_ref().map(|open| open.first.saturating_sub(self.options.max_gap));
        let order = match kind {
            MediaKind::Audio => &mut self.audio.order,
            MediaKind::Video => &mut self.video.order,
        };
        match order.admit(dts, floor, self.options.max_gap) {
            Admission::Follows => Ok(()),
            Admission::Stray => Err(Loss::OutOfOrder),
            Admission::BeginsAnew => {
                self.discontinuity();
                let order = match kind {
                    MediaKind::Audio => &mut self.audio.order,
                    MediaKind::Video => &mut self.video.order,
                };
                order.advance(dts);
                Ok(())
            }
        }
    }

    fn close_at_gap(&mut self, dts: RoomTime) {
        let gap = |open: &Open| dts.saturating_sub(open.last) > self.options.max_gap;
        if self.open.as_ref().is_some_and(gap) {
            self.interrupt(None);
        }
    }

    /// Closes the open segment (where its media goes on at `next`, up to there); the next one is discontinuous.
    fn interrupt(&mut self, next: Option<RoomTime>) {
        self.close(next, false);
        self.fresh = true;
        self.video.waits_for_key = true;
        self.video.last = None;
    }

    /// Whether there is a segment for a sample at `dts`, or one may begin.
    fn may_open(&mut self, dts: RoomTime) -> bool {
        self.open.is_some() || self.budget.take(dts)
    }

    fn open_at(&mut self, dts: RoomTime, pts: RoomTime) {
        if self.open.is_some() {
            return;
        }
        if let Some(tail) = self.tail {
            self.fresh |= dts.saturating_sub(tail).nanos().unsigned_abs() > RESUMED.nanos().unsigned_abs();
        }
        let jump = std::mem::take(&mut self.fresh);
        let grid = self.mux.layout() == Layout { video: false, audio: true };
        let frame = self.audio.config.filter(|_| grid).map(|config| span(config, 1));
        let SegmentStart { start, nominal } = if jump {
            // Audio beside pictures begins about where they are decoded, and is heard from there.
            let audible = if self.mux.layout().audio { dts } else { pts };
            self.chain.begin(dts, audible)
        } else {
            self.chain.follow(dts, frame, self.options.target_duration)
        };
        let name: ObjectName = format!("{}_{}.ts", self.options.stem, start.utc_digits())
            .parse()
            .expect("a stem leaves room for its suffix");
        self.mux.begin_segment(name.clone(), jump);
        self.tail = None;
        self.open = Some(Open {
            name,
            start,
            nominal,
            first: dts,
            last: dts,
            end: dts,
            first_picture: None,
            first_pts: pts,
            last_pts: pts,
            pictures: 0,
            audio_frames: 0,
            discontinuity: jump && self.stats.segments > 0,
            starts_with_key_frame: true,
            metadata: Metadata::default(),
            index: self.options.index.then(IndexBuilder::default),
        });
    }

    fn close(&mut self, next: Option<RoomTime>, ends: bool) {
        self.flush_audio();
        let Some(open) = self.open.take() else { return };
        let bytes = self.mux.end_segment();
        // Sound may be ahead of pictures: what follows may begin before the segment does.
        let next = next.filter(|next| *next > open.first);
        let end_at = next.unwrap_or(open.end);
        let info = SegmentInfo {
            name: open.name,
            start: open.start,
            duration: end_at.saturating_sub(open.first),
            bytes,
            first_pts: open.first_pts,
            last_pts: open.last_pts,
            pictures: open.pictures,
            audio_frames: open.audio_frames,
            discontinuity: open.discontinuity,
            starts_with_key_frame: open.starts_with_key_frame,
            index: open.index.map(|index| index.finish(open.start, open.discontinuity, bytes)),
        };
        self.chain.closed(info.duration, next.is_some());
        self.tail = Some(end_at);
        self.stats.segments += 1;
        self.stats.bytes += bytes;
        let mut update = self.playlist.add(&info, open.metadata, self.mux.layout());
        let split = self.next_playlist.take();
        if ends || split.is_some() {
            end(&mut update);
        }
        if let Some(next) = split {
            self.playlist = *next;
        }
        self.mux.act(Action::CloseSegment(info));
        self.mux.act(Action::Playlist(update));
    }
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.open.as_ref().map(|open| &open.name);
        f.debug_struct("Segmenter").field("open", &open).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// 90 kHz ticks of `at`, not wrapped.
fn ticks(options: &SegmenterOptions, at: RoomTime) -> i64 {
    let first = i64::try_from(options.first_pts).expect("33 bits");
    at.round_to_ticks(Timescale::HZ_90000).saturating_add(first)
}
