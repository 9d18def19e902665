use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use recorder_codec::{Codecs, SoftwareCodecs};
use recorder_compositor::{Bitmap, Colour, Font, MAX_WATERMARKS, Tile};
use recorder_hls::AccessUnit;
use recorder_layout::{
    Arrangement, Content, ImageUrl, LayoutError, LayoutParams, Participant, Publishes, arrange,
};
use recorder_mixer::{
    AudioOptions, Fill, Image, Mark, MixError, MixStats, Mixed, Mixer, MixerOptions, Pushed, Scene, Shedding,
    StreamId, Unit, VideoOptions, Window,
};
use recorder_types::{
    H264Config, MediaId, MediaKind, NalFraming, RoomTime, Size, TrackConfig, UnixMillis, UserId,
};

use super::core::Now;
use super::file_set::Stream;
use super::options::StreamSelection;
use super::shed::Shed;
use super::track::{Track, TrackSample, on_grid};
use crate::mix::{ImageSource, Watermark, WatermarkError};

/// How long the mix waits for a room that has become empty: if nobody comes back, the recording ends with the last
/// one who was there.
const HOLD: RoomTime = RoomTime::from_secs(30);
/// So much is mixed at a time, so that what comes out is written before more does.
const STEP: RoomTime = RoomTime::from_secs(1);

/// What one video and sound of the room are made of (`RecordMode` 2). Names in brackets are the fields of
/// `CreateCloudRecording`.
#[derive(Clone)]
#[non_exhaustive]
pub struct MixOptions {
    /// `MixTranscodeParams.VideoParams`.
    pub video: VideoOptions,
    /// `MixTranscodeParams.AudioParams`.
    pub audio: AudioOptions,
    /// `MixLayoutParams`.
    pub layout: LayoutParams,
    /// `FillType`.
    pub fill: Fill,
    /// `MixLayoutParams.WaterMarkList`, from back to front.
    pub watermarks: Vec<Watermark>,
    /// The font of watermarks. Default: the bundled one (Latin, Greek, Cyrillic).
    pub font: Arc<Font>,
    /// The file that [`Self::font`] was read from, so that [`Recorder::recover`](crate::Recorder::recover) reads it again.
    /// Default: none; texts are then in the bundled font after a crash.
    pub font_file: Option<PathBuf>,
    /// Images that layout and watermarks name and that are here already. Others are asked for
    /// ([`Action::FetchImage`](crate::Action::FetchImage)) and left out until they come.
    pub images: BTreeMap<ImageUrl, Arc<Bitmap>>,
    /// How far the mix is behind the room: what arrives later than this is not in it. At least
    /// [`Mixer::LOOK_AHEAD`]; default 1 s.
    pub latency: RoomTime,
    /// How far the task's thread may be behind the room before the mix leaves work out ([`Shedding`]), a step more every
    /// 2 s; after 10 s within a quarter of it a step less. `None`: never, and never where time is told. Default 1 s.
    pub shed_after: Option<RoomTime>,
    /// Where decoders and encoders come from. Default [`SoftwareCodecs`].
    pub codecs: Arc<dyn Codecs>,
}

impl Default for MixOptions {
    /// 360 x 640 at 15 pictures a second and 550 kbit/s, stereo sound at 64 kbit/s, a grid on black.
    fn default() -> Self {
        Self {
            video: VideoOptions::default(),
            audio: AudioOptions::default(),
            layout: LayoutParams::default(),
            fill: Fill::default(),
            watermarks: Vec::new(),
            font: Arc::new(Font::bundled()),
            font_file: None,
            images: BTreeMap::new(),
            latency: RoomTime::from_secs(1),
            shed_after: Some(RoomTime::from_secs(1)),
            codecs: Arc::new(SoftwareCodecs),
        }
    }
}

impl MixOptions {
    /// With [`Self::video`].
    #[must_use]
    pub fn with_video(mut self, video: VideoOptions) -> Self {
        self.video = video;
        self
    }

    /// With [`Self::audio`].
    #[must_use]
    pub const fn with_audio(mut self, audio: AudioOptions) -> Self {
        self.audio = audio;
        self
    }

    /// With [`Self::layout`].
    #[must_use]
    pub fn with_layout(mut self, layout: LayoutParams) -> Self {
        self.layout = layout;
        self
    }

    /// With [`Self::fill`].
    #[must_use]
    pub const fn with_fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// With [`Self::watermarks`].
    #[must_use]
    pub fn with_watermarks(mut self, watermarks: Vec<Watermark>) -> Self {
        self.watermarks = watermarks;
        self
    }

    /// With [`Self::font`].
    #[must_use]
    pub fn with_font(mut self, font: Arc<Font>) -> Self {
        self.font = font;
        self
    }

    /// With [`Self::font_file`].
    #[must_use]
    pub fn with_font_file(mut self, path: PathBuf) -> Self {
        self.font_file = Some(path);
        self
    }

    /// Every image that layout and watermarks name.
    fn image_urls(&self) -> impl Iterator<Item = &ImageUrl> {
        let marks = self.watermarks.iter().filter_map(|mark| match mark {
            Watermark::Image { image: ImageSource::Url(url), .. } => Some(url),
            _ => None,
        });
        self.layout.image_urls().chain(marks)
    }

    /// With [`Self::images`].
    #[must_use]
    pub fn with_images(mut self, images: BTreeMap<ImageUrl, Arc<Bitmap>>) -> Self {
        self.images = images;
        self
    }
}

impl fmt::Debug for MixOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MixOptions")
            .field("video", &self.video)
            .field("audio", &self.audio)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// Why a room cannot be mixed as asked for: the caller's options have to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MixOptionsError {
    /// The watermarks do not fit the canvas.
    #[error("the watermarks cannot be shown")]
    Watermarks(#[source] WatermarkError),
    /// The layout does not fit the canvas.
    #[error("the layout cannot be shown")]
    Layout(#[source] LayoutError),
    /// The mix would run ahead of what decoders need.
    #[error("a latency of {got:?} is under the {:?} that decoders need", Mixer::LOOK_AHEAD)]
    Latency {
        /// As asked for.
        got: RoomTime,
    },
    /// Canvas, rates or bit rates that cannot be encoded.
    #[error("the mix cannot be encoded")]
    Mix(#[source] MixError),
}

/// What a mix has done, and what it leaves out for lack of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MixReport {
    /// Since the start.
    pub stats: MixStats,
    /// Now.
    pub shedding: Shedding,
}

/// Somebody who is in the picture or heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) user: UserId,
    /// Only the order counts.
    pub(super) entered: u64,
    pub(super) media: MediaId,
    pub(super) has_video: bool,
}

/// The mixed side of a task: the mixer, and the scenes that follow the room.
pub(super) struct RoomMix {
    options: MixOptions,
    stream_type: StreamSelection,
    /// What the layout and the watermarks are drawn with.
    drawn: Drawn,
    /// Images that were asked for; those that have come are in the options.
    asked: BTreeSet<ImageUrl>,
    /// `None` until there is something to mix.
    mixer: Option<Mixer>,
    /// Who was arranged last; `None` if they have to be again.
    seats: Option<Vec<Seat>>,
    /// As the picture is now.
    arrangement: Option<Arrangement>,
    published: BTreeSet<StreamId>,
    /// Videos that wait for a key frame, which was asked for.
    waiting: BTreeSet<StreamId>,
    /// Whether the last step went wrong, so that it is told once.
    is_failing: bool,
    shed: Shed,
}

impl RoomMix {
    pub(super) fn new(options: MixOptions, stream_type: StreamSelection) -> Result<Self, MixOptionsError> {
        if options.latency < Mixer::LOOK_AHEAD {
            return Err(MixOptionsError::Latency { got: options.latency });
        }
        check(&options.layout, &options.watermarks, options.video.size)?;
        let mix = Self {
            drawn: Drawn::new(&options),
            shed: Shed::new(options.shed_after),
            options,
            stream_type,
            asked: BTreeSet::new(),
            mixer: None,
            seats: None,
            arrangement: None,
            published: BTreeSet::new(),
            waiting: BTreeSet::new(),
            is_failing: false,
        };
        // What cannot be encoded is refused here and not in the middle of a call: the first picture shows it.
        let mut trial =
            mix.make(Now { room: RoomTime::ZERO, wall: UnixMillis::EPOCH }).map_err(MixOptionsError::Mix)?;
        trial.advance(RoomTime::from_nanos(1)).map_err(MixOptionsError::Mix)?;
        Ok(mix)
    }

    /// Begins at `start`; gives what the streams of the file set are.
    pub(super) fn begin(&mut self, start: Now) -> Result<Vec<Stream>, MixError> {
        let mixer = self.make(start)?;
        let mut streams = Vec::new();
        if self.stream_type.takes(MediaKind::Video) {
            let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
            streams.push(Stream::Video(config));
        }
        if let Some(TrackConfig::Aac(config)) = mixer.sound_config() {
            streams.push(Stream::Audio(config));
        }
        self.mixer = Some(mixer);
        Ok(streams)
    }

    fn make(&self, start: Now) -> Result<Mixer, MixError> {
        let video = self.stream_type.takes(MediaKind::Video).then(|| self.options.video.clone());
        let audio = self.stream_type.takes(MediaKind::Audio).then(|| self.options.audio.clone());
        let options = MixerOptions::new(start.room).with_wall(start.wall).with_video(video).with_audio(audio);
        Mixer::new(options, Arc::clone(&self.options.codecs))
    }

    /// Replaces the layout; it is seen from the next [`Self::show`] on.
    pub(super) fn set_layout(
        &mut self,
        layout: LayoutParams,
        watermarks: Vec<Watermark>,
    ) -> Result<(), MixOptionsError> {
        check(&layout, &watermarks, self.options.video.size)?;
        self.options.layout = layout;
        self.options.watermarks = watermarks;
        // What nobody shows any more is not kept; what failed may be tried again.
        for url in std::mem::take(&mut self.asked) {
            if !self.options.image_urls().any(|named| *named == url) {
                self.options.images.remove(&url);
            } else if self.options.images.contains_key(&url) {
                self.asked.insert(url);
            }
        }
        self.drawn = Drawn::new(&self.options);
        self.seats = None;
        Ok(())
    }

    /// Images that are shown, not here, and were not asked for since the layout is as it is.
    pub(super) fn wanted_images(&mut self) -> BTreeSet<ImageUrl> {
        let is_wanted =
            |url: &&ImageUrl| !self.options.images.contains_key(*url) && !self.asked.contains(*url);
        let wanted: BTreeSet<ImageUrl> = self.options.image_urls().filter(is_wanted).cloned().collect();
        self.asked.extend(wanted.iter().cloned());
        wanted
    }

    /// An image has come; one that nobody asked for is passed over. It is seen from the next [`Self::show`] on.
    pub(super) fn take_image(&mut self, url: &ImageUrl, image: Arc<Bitmap>) {
        if self.asked.contains(url) && self.options.image_urls().any(|named| named == url) {
            self.options.images.insert(url.clone(), image);
            self.drawn = Drawn::new(&self.options);
            self.seats = None;
        }
    }

    /// Shows `seats` from the first picture at or after `at` on.
    pub(super) fn show(&mut self, at: RoomTime, seats: Vec<Seat>) {
        let Some(mixer) = &mut self.mixer else { return };
        if self.seats.as_ref() == Some(&seats) {
            return;
        }
        let participants: Vec<Participant> = seats
            .iter()
            .map(|seat| {
                let publishes = if seat.has_video { Publishes::Video } else { Publishes::AudioOnly };
                Participant::new(seat.user.clone(), seat.media, seat.entered, publishes)
            })
            .collect();
        self.seats = Some(seats);
        let shown = arrange(&self.options.layout, self.options.video.size, &participants)
            .map_err(MixOptionsError::Layout)
            .and_then(|arrangement| {
                mixer
                    .set_scene(at, scene(&self.options, &self.drawn, &arrangement))
                    .map_err(MixOptionsError::Mix)?;
                Ok(arrangement)
            });
        match shown {
            Ok(arrangement) => self.arrangement = Some(arrangement),
            // Not expected: the layout was checked against the canvas, everybody is listed once and times do not go
            // back.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the picture stays as it is");
            }
        }
    }

    /// The windows as they were shown last; `None` before anything is mixed.
    pub(super) const fn arrangement(&self) -> Option<&Arrangement> {
        self.arrangement.as_ref()
    }

    /// Takes what a track gave. Says whether its stream has just begun to wait for a key frame.
    pub(super) fn push(
        &mut self,
        at: RoomTime,
        user: &UserId,
        track: &Track,
        sample: TrackSample,
    ) -> Result<bool, MixError> {
        let Some(mixer) = &mut self.mixer else { return Ok(false) };
        let (TrackSample::Video(unit) | TrackSample::Audio(unit)) = sample else {
            // Places come from the timestamps: a pause or a jump needs no mark.
            return Ok(false);
        };
        let stream = stream_id(user, track);
        if !self.published.contains(&stream) {
            mixer.publish(at, stream.clone(), track.config().clone())?;
            self.published.insert(stream.clone());
        }
        let AccessUnit { pts, dts, data } = unit;
        // As a recording of the stream tells its times: mixed later it gives the same pictures.
        match mixer.push(&stream, Unit { pts: on_grid(pts), dts: on_grid(dts), data })? {
            Pushed::Taken => {
                self.waiting.remove(&stream);
                Ok(false)
            }
            Pushed::WaitingForKeyFrame => Ok(self.waiting.insert(stream)),
        }
    }

    /// The stream of `track` ends.
    pub(super) fn end_stream(&mut self, at: RoomTime, user: &UserId, track: &Track) {
        let stream = stream_id(user, track);
        self.waiting.remove(&stream);
        if self.published.remove(&stream)
            && let Some(mixer) = &mut self.mixer
        {
            mixer.unpublish(at, &stream);
        }
    }

    /// Up to when it is mixed at `now`. While the room is empty, not past `empty_since` for a while.
    pub(super) fn horizon(&self, now: RoomTime, empty_since: Option<RoomTime>) -> RoomTime {
        let behind = now.saturating_sub(self.options.latency);
        match empty_since {
            Some(since) if now <= since.saturating_add(HOLD) => behind.min(since),
            _ => behind,
        }
    }

    /// The first time at which [`Self::horizon`] allows another step.
    pub(super) fn deadline(&self, empty_since: Option<RoomTime>) -> Option<RoomTime> {
        let due = self.mixer.as_ref()?.due();
        let behind = due.saturating_add(self.options.latency);
        let at = match empty_since {
            Some(since) if due >= since => behind.max(since.saturating_add(HOLD)),
            _ => behind,
        };
        // What is mixed lies before the horizon.
        Some(at.saturating_add(RoomTime::from_nanos(1)))
    }

    /// Mixes a step of what lies before `until`. Says whether there was one: then [`Self::poll`] until `None`.
    pub(super) fn advance(&mut self, until: RoomTime) -> bool {
        let Some(mixer) = &mut self.mixer else { return false };
        let due = mixer.due();
        if due >= until {
            return false;
        }
        let mixed = mixer.advance(due.saturating_add(STEP).min(until));
        self.note(mixed, "part of the mix is lost");
        true
    }

    /// Gives out what was held back of what lies before `end`. Nothing may follow.
    pub(super) fn finish(&mut self, end: RoomTime) {
        if let Some(mixer) = &mut self.mixer {
            let finished = mixer.finish(end);
            self.note(finished, "the end of the mix is lost");
        }
    }

    /// The task is `behind` at `at`: leaves work out, or takes it up again. Gives what is left out from now on, if that
    /// is something else.
    pub(super) fn observe(&mut self, at: RoomTime, behind: RoomTime) -> Option<Shedding> {
        let mixer = self.mixer.as_mut()?;
        let before = self.shed.now();
        let shedding = self.shed.observe(at, behind)?;
        mixer.set_shedding(shedding);
        let behind_ms = behind.round_to_millis();
        if shedding > before {
            tracing::warn!(?shedding, behind_ms, "the mix leaves work out: the machine is too slow");
        } else {
            tracing::info!(?shedding, behind_ms, "the mix takes up work again");
        }
        Some(shedding)
    }

    pub(super) fn report(&self) -> MixReport {
        let stats = self.mixer.as_ref().map(Mixer::stats).unwrap_or_default();
        MixReport { stats, shedding: self.shed.now() }
    }

    fn note(&mut self, result: Result<(), MixError>, what: &'static str) {
        if let Err(error) = &result
            && !self.is_failing
        {
            tracing::error!(error = error as &dyn std::error::Error, what);
        }
        self.is_failing = result.is_err();
    }

    /// The next unit for the file set.
    pub(super) fn poll(&mut self) -> Option<(MediaKind, TrackSample)> {
        let unit = |at, data| AccessUnit { pts: at, dts: at, data };
        Some(match self.mixer.as_mut()?.poll()? {
            Mixed::Picture { at, data, .. } => (MediaKind::Video, TrackSample::Video(unit(at, data))),
            Mixed::Sound { at, data } => (MediaKind::Audio, TrackSample::Audio(unit(at, data))),
        })
    }
}

impl fmt::Debug for RoomMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomMix").field("options", &self.options).finish_non_exhaustive()
    }
}

fn stream_id(user: &UserId, track: &Track) -> StreamId {
    StreamId { user: user.clone(), media: track.media(), kind: track.kind() }
}

/// Whether all of it has a place on the canvas.
fn check(layout: &LayoutParams, watermarks: &[Watermark], canvas: Size) -> Result<(), MixOptionsError> {
    arrange(layout, canvas, &[]).map_err(MixOptionsError::Layout)?;
    if watermarks.len() > MAX_WATERMARKS {
        let got = watermarks.len();
        return Err(MixOptionsError::Watermarks(WatermarkError::TooMany { got }));
    }
    let mut marks = (0..).zip(watermarks);
    marks.try_for_each(|(index, mark)| mark.check(index, canvas)).map_err(MixOptionsError::Watermarks)
}

/// Images and watermarks as the mixer takes them, made once for each layout.
struct Drawn {
    images: BTreeMap<ImageUrl, Arc<Image>>,
    marks: Arc<[Mark]>,
}

impl Drawn {
    fn new(options: &MixOptions) -> Self {
        let colour = Colour::implied_by(options.video.size);
        let colour = Colour { matrix: options.video.matrix.unwrap_or(colour.matrix), ..colour };
        let mut images = BTreeMap::new();
        for url in options.layout.image_urls() {
            let Some(bitmap) = options.images.get(url) else { continue };
            match bitmap.to_picture(options.layout.background, colour) {
                Ok(picture) => drop(images.insert(url.clone(), Arc::new(Image { picture, colour }))),
                Err(error) => tracing::warn!(%error, "an image is left out"),
            }
        }
        Self { images, marks: options.watermarks.iter().filter_map(|mark| draw(options, mark)).collect() }
    }
}

/// `None` for one that is not here yet, or cannot be drawn.
fn draw(options: &MixOptions, mark: &Watermark) -> Option<Mark> {
    let (bitmap, rect) = match mark {
        Watermark::Image { image, rect } => {
            let bitmap = match image {
                ImageSource::Url(url) => options.images.get(url)?,
                ImageSource::Given(bitmap) => bitmap,
            };
            (bitmap.scaled(rect.size()).map_err(|error| error.to_string()), rect)
        }
        Watermark::Text { text, rect, style } => {
            let drawn = options.font.draw(text, rect.size(), *style).map_err(|error| error.to_string());
            if let Ok(drawn) = &drawn
                && !drawn.missing.is_empty()
            {
                tracing::warn!(count = drawn.missing.len(), "the font lacks letters of a watermark");
            }
            (drawn.map(|drawn| drawn.bitmap), rect)
        }
        Watermark::Timestamp { position, zone, style } => {
            let font = Arc::clone(&options.font);
            return Some(Mark::Clock { font, style: *style, position: *position, zone: *zone });
        }
    };
    match bitmap {
        Ok(bitmap) => Some(Mark::Still { bitmap: Arc::new(bitmap), left: rect.left(), top: rect.top() }),
        Err(error) => {
            tracing::warn!(error, "a watermark is left out");
            None
        }
    }
}

/// What the mixer shows for an arrangement.
fn scene(options: &MixOptions, drawn: &Drawn, arrangement: &Arrangement) -> Scene {
    let image = |url: &Option<ImageUrl>| url.as_ref().and_then(|url| drawn.images.get(url)).cloned();
    let mut scene = Scene::default();
    scene.background = arrangement.background;
    scene.background_image =
        image(&arrangement.background_image).map(|i| (i, arrangement.background_image_mode));
    scene.marks = Arc::clone(&drawn.marks);
    scene.windows = arrangement
        .windows
        .iter()
        .map(|window| {
            let tile = Tile::new(window.rect)
                .with_mode(window.mode)
                .with_opacity(window.alpha.opacity())
                .with_bars(Some(arrangement.background));
            let stream = match &window.content {
                Content::Video(stream) | Content::AudioOnly(stream) => {
                    Some((stream.user.clone(), stream.media))
                }
                // Somebody who has gone leaves no picture behind.
                _ => None,
            };
            Window::new(tile, stream).with_placeholder(image(&window.placeholder)).with_fill(options.fill)
        })
        .collect();
    scene
}
