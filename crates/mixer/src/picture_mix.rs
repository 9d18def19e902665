use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use recorder_codec::{
    Codecs, EncodedPicture, H264EncoderOptions, I420, PictureKind, Plane, VideoEncoder, YuvMatrix,
};
use recorder_compositor::{
    Canvas, Colour, MAX_WATERMARKS, Matrix, Picture, Range, Rect, Rgb, Source, Tile, Watermarks,
};
use recorder_types::{MediaId, RoomTime, Size, Timescale, Timestamp, UnixMillis, UserId};

use crate::passthrough::Passed;
use crate::scene::{Fill, Mark, Scene, Window};
use crate::streams::{NUMBER_SHIFT, Streams};
use crate::{MixError, MixStats, Mixed, Shedding, VideoOptions};

/// A published video that gives no new picture for so long pauses.
pub(crate) const PAUSE: RoomTime = RoomTime::from_secs(2);
/// Generations from here on are those of still pictures.
const STILL: u64 = 1 << 63;

/// The video side of a mix: a canvas that follows the scene, and its encoder.
pub(crate) struct PictureMix {
    options: VideoOptions,
    start: RoomTime,
    /// The wall clock at the start.
    wall: UnixMillis,
    scene: Scene,
    /// Counts scenes, so that still pictures of two scenes are told apart.
    scenes: u64,
    scenes_ahead: VecDeque<(RoomTime, Scene)>,
    stage: Option<Stage>,
    /// Number of the next picture.
    next: i64,
    encoded: Vec<EncodedPicture>,
    /// Pictures that the encoder holds back.
    held_back: usize,
    passed: Vec<Passed>,
    /// The last picture was passed on: the next that is encoded is a key frame.
    was_passed: bool,
    shedding: Shedding,
    /// What each window showed last.
    shown: Vec<u64>,
}

/// What is made when the colours of the mix are known.
struct Stage {
    canvas: Canvas,
    background: Rgb,
    encoder: Box<dyn VideoEncoder>,
    /// Whether the canvas has the tiles of the scene.
    is_set: bool,
    /// What was drawn of them is in `watermarks`.
    marks: Arc<[Mark]>,
    watermarks: Watermarks,
}

impl PictureMix {
    pub(crate) fn new(options: VideoOptions, start: RoomTime, wall: UnixMillis) -> Result<Self, MixError> {
        if !(1..=60).contains(&options.fps) {
            return Err(MixError::FrameRate { fps: options.fps });
        }
        // An odd side is refused here and not at the first picture.
        Canvas::new(options.size, Colour::default(), Rgb::BLACK, options.level)?;
        Ok(Self {
            options,
            start,
            wall,
            scene: Scene::default(),
            scenes: 0,
            scenes_ahead: VecDeque::new(),
            stage: None,
            next: 0,
            encoded: Vec::new(),
            held_back: 0,
            passed: Vec::new(),
            was_passed: false,
            shedding: Shedding::Nothing,
            shown: Vec::new(),
        })
    }

    pub(crate) fn set_scene(&mut self, at: RoomTime, scene: Scene) -> Result<(), MixError> {
        if let Some((last, _)) = self.scenes_ahead.back()
            && *last > at
        {
            return Err(MixError::SceneOrder { at, last: *last });
        }
        if scene.marks.len() > MAX_WATERMARKS {
            return Err(MixError::TooManyMarks { got: scene.marks.len() });
        }
        Canvas::check_tiles(self.options.size, &tiles(&scene))?;
        self.scenes_ahead.push_back((at, scene));
        Ok(())
    }

    pub(crate) const fn set_shedding(&mut self, shedding: Shedding) {
        self.shedding = shedding;
    }

    /// The time of the next picture.
    pub(crate) fn due(&self) -> RoomTime {
        self.start.saturating_add(self.time_of(self.next))
    }

    /// Composes and encodes the next picture; one that fails is left out.
    pub(crate) fn picture(
        &mut self,
        horizon: RoomTime,
        streams: &mut Streams,
        codecs: &dyn Codecs,
        stats: &mut MixStats,
        out: &mut VecDeque<Mixed>,
    ) -> Result<(), MixError> {
        let made = self.make(horizon, streams, codecs, stats);
        self.next += 1;
        self.give(out);
        made
    }

    fn make(
        &mut self,
        horizon: RoomTime,
        streams: &mut Streams,
        codecs: &dyn Codecs,
        stats: &mut MixStats,
    ) -> Result<(), MixError> {
        let now = self.due();
        while self.scenes_ahead.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, scene)) = self.scenes_ahead.pop_front() else { break };
            self.scene = scene;
            self.scenes += 1;
            if let Some(stage) = &mut self.stage {
                stage.is_set = false;
            }
        }
        if self.options.passthrough {
            let only = whole_canvas(&self.scene, self.options.size).filter(|_| self.held_back == 0);
            if streams.pass(only, self.options.size, (now, horizon), &mut self.passed) {
                streams.show(&[], &[], now, horizon, codecs);
                stats.passed += u64::try_from(self.passed.len()).unwrap_or(0);
                self.was_passed = true;
                return Ok(());
            }
        }
        if self.next % self.shedding.step() != 0 {
            stats.shed += 1;
            return Ok(());
        }
        let wanted: Vec<_> = self.scene.windows.iter().filter_map(|window| window.user.as_ref()).collect();
        // A window that shows something goes on to, so that what it covers is not missed with this picture.
        let seen = self.scene.seen(|window| shows(window, now, streams));
        streams.show(&seen, &wanted, now, horizon, codecs);
        self.prepare(streams, codecs)?;
        let since = now.saturating_sub(self.start);
        // Rounded down, as the seconds of a clock are.
        let wall = self.wall.saturating_add_millis(since.nanos().div_euclid(1_000_000));
        let Self { stage: Some(stage), scene, scenes, options, shown, .. } = self else { return Ok(()) };
        if !stage.is_set {
            shown.clear();
            if stage.background != scene.background {
                let colour = stage.canvas.colour();
                stage.canvas = Canvas::new(options.size, colour, scene.background, options.level)?;
                stage.background = scene.background;
                stage.marks = Arc::default();
            }
            if !Arc::ptr_eq(&stage.marks, &scene.marks) {
                stage.canvas.set_overlays(Vec::new());
                stage.watermarks = draw(&scene.marks, options.size, stage.canvas.colour());
                stage.marks = Arc::clone(&scene.marks);
            }
            stage.canvas.set_tiles(&tiles(scene))?;
            let image = scene.background_image.as_ref();
            let behind = image.map(|(image, _)| (image.picture.as_picture(), image.colour));
            stage.canvas.set_background_picture(behind, image.map_or(Default::default(), |(_, mode)| *mode));
            stage.is_set = true;
        }
        stage.watermarks.show(&mut stage.canvas, wall);
        let still = STILL | (*scenes << 16);
        let mut sources: Vec<Source<'_>> = (0_u64..)
            .zip(&scene.windows)
            .map(|(index, window)| source(window, still | index, now, streams))
            .collect::<Result<_, _>>()?;
        for (index, source) in sources.iter_mut().enumerate() {
            let Source::Picture { generation, .. } = source else { continue };
            match shown.get(index) {
                // The same stream: what is drawn of it stays.
                Some(old) if self.shedding.holds(index, self.next) && is_one_stream(*old, *generation) => {
                    stats.held += u64::from(*old != *generation);
                    *generation = *old;
                }
                _ => {}
            }
        }
        shown.clear();
        shown.extend(sources.iter().map(|source| match source {
            Source::Picture { generation, .. } => *generation,
            Source::Nothing | Source::Colour(_) => STILL,
        }));
        let composed = stage.canvas.compose(&sources)?;
        stats.scaled += u64::try_from(composed.scaled).unwrap_or(0);
        let planes =
            stage.canvas.picture().planes().map(|plane| Plane { data: plane.data, stride: plane.stride });
        let picture = I420::new(options.size, planes)?;
        let ticks = Timescale::new(u32::from(options.fps)).expect("1 to 60");
        let pts = Timestamp::new(self.next, ticks);
        let kind = if self.was_passed { PictureKind::Key } else { PictureKind::Any };
        stage.encoder.encode(&picture, pts, kind, &mut self.encoded)?;
        self.held_back += 1;
        self.was_passed = false;
        stats.pictures += 1;
        Ok(())
    }

    pub(crate) fn finish(&mut self, out: &mut VecDeque<Mixed>) -> Result<(), MixError> {
        if let Some(stage) = &mut self.stage {
            stage.encoder.finish(&mut self.encoded)?;
        }
        self.give(out);
        Ok(())
    }

    /// The canvas as it was encoded last; `None` before the first picture.
    pub(crate) fn canvas(&self) -> Option<Picture<'_>> {
        self.stage.as_ref().filter(|_| self.next > 0).map(|stage| stage.canvas.picture())
    }

    /// Makes canvas and encoder, once.
    fn prepare(&mut self, streams: &Streams, codecs: &dyn Codecs) -> Result<(), MixError> {
        if self.stage.is_some() {
            return Ok(());
        }
        let options = &self.options;
        let windows = self.scene.windows.iter();
        // Sound often begins some milliseconds before the first picture: one that is known is as good as one that is due.
        let first = windows.filter_map(|window| streams.colour(window.user.as_ref()?)).next();
        let implied = Colour::implied_by(options.size);
        let matrix = options.matrix.unwrap_or(first.unwrap_or(implied).matrix);
        let colour = Colour { matrix, range: Range::Limited };
        let canvas = Canvas::new(options.size, colour, self.scene.background, options.level)?;
        let per_key = u32::from(options.fps).saturating_mul(options.gop_seconds.into());
        let encoder = codecs.video_encoder(
            &H264EncoderOptions::default()
                .with_bits_per_second(options.bits_per_second)
                .with_pictures_per_second(options.fps)
                .with_pictures_per_key(NonZeroU32::new(per_key).unwrap_or(NonZeroU32::MIN))
                .with_content(options.content)
                .with_matrix(match matrix {
                    Matrix::Bt601 => YuvMatrix::Bt601,
                    Matrix::Bt709 => YuvMatrix::Bt709,
                }),
        )?;
        self.stage = Some(Stage {
            canvas,
            background: self.scene.background,
            encoder,
            is_set: false,
            marks: Arc::default(),
            watermarks: Watermarks::new(),
        });
        Ok(())
    }

    fn give(&mut self, out: &mut VecDeque<Mixed>) {
        for picture in self.encoded.drain(..) {
            // The encoder keeps the times it was given: the number of a picture.
            let at = self.start.saturating_add(time_of(picture.sample.pts.ticks(), self.options.fps));
            out.push_back(Mixed::Picture { at, data: picture.sample.data, is_key: picture.is_key });
            self.held_back = self.held_back.saturating_sub(1);
        }
        for Passed { at, data, is_key } in self.passed.drain(..) {
            out.push_back(Mixed::Picture { at, data, is_key });
        }
    }

    fn time_of(&self, number: i64) -> RoomTime {
        time_of(number, self.options.fps)
    }
}

impl std::fmt::Debug for PictureMix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PictureMix")
            .field("options", &self.options)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Whose video is all that a scene shows of a canvas of `size`, if that is so.
fn whole_canvas(scene: &Scene, size: Size) -> Option<&(UserId, MediaId)> {
    match scene.windows.as_slice() {
        [window] if scene.marks.is_empty() => {
            let fills = window.tile.window == Rect::whole(size) && window.tile.opacity == u8::MAX;
            window.user.as_ref().filter(|_| fills)
        }
        _ => None,
    }
}

/// Whether two pictures are of one video.
const fn is_one_stream(one: u64, other: u64) -> bool {
    one & STILL == 0 && other & STILL == 0 && one >> NUMBER_SHIFT == other >> NUMBER_SHIFT
}

/// How long after the first the picture `number` is shown; rounded to the nearest nanosecond, never summed.
fn time_of(number: i64, fps: u16) -> RoomTime {
    let scale = Timescale::new(u32::from(fps)).expect("1 to 60");
    Timestamp::new(number, scale).to_room_time().unwrap_or(RoomTime::MAX)
}

/// Draws watermarks for a canvas; one that cannot be drawn is left out.
#[cfg_attr(not(feature = "text"), expect(unused_variables, reason = "clocks alone look at the canvas"))]
fn draw(marks: &[Mark], canvas: Size, colour: Colour) -> Watermarks {
    let mut drawn = Watermarks::new();
    for mark in marks {
        let result = match mark {
            Mark::Still { bitmap, left, top } => bitmap
                .to_overlay(*left, *top, colour)
                .map(|overlay| drawn.push(Arc::new(overlay)).is_ok())
                .map_err(|error| error.to_string()),
            #[cfg(feature = "text")]
            Mark::Clock { font, style, position, zone } => recorder_compositor::Clock::new(
                Arc::clone(font),
                *style,
                (*position, *zone),
                (canvas, colour),
            )
            .map(|clock| drawn.push_clock(clock).is_ok())
            .map_err(|error| error.to_string()),
        };
        if let Err(error) = result {
            tracing::warn!(error, "a watermark is left out");
        }
    }
    drawn
}

fn tiles(scene: &Scene) -> Vec<Tile> {
    scene.windows.iter().map(|window| window.tile).collect()
}

/// Whether a window shows a picture or a colour at `now`.
fn shows(window: &Window, now: RoomTime, streams: &Streams) -> bool {
    matches!(source(window, STILL, now, streams), Ok(Source::Picture { .. } | Source::Colour(_)))
}

/// What a window shows at `now`. `still` is the generation of its placeholder.
fn source<'a>(
    window: &'a Window,
    still: u64,
    now: RoomTime,
    streams: &'a Streams,
) -> Result<Source<'a>, MixError> {
    let stands_in = |image: &'a crate::Image| Source::Picture {
        picture: image.picture.as_picture(),
        colour: image.colour,
        generation: still,
    };
    let placeholder = window.placeholder.as_deref().map(stands_in);
    let Some((user, picture)) = window.user.as_ref().and_then(|user| Some((user, streams.picture(user)?)))
    else {
        return Ok(placeholder.unwrap_or(Source::Nothing));
    };
    let has_ended = !streams.has_video(user, now);
    if has_ended && let Some(placeholder) = placeholder {
        return Ok(placeholder);
    }
    let pauses = has_ended || now.saturating_sub(picture.pts()) > PAUSE;
    if pauses && window.fill == Fill::Black {
        return Ok(Source::Colour(Rgb::BLACK));
    }
    Ok(Source::Picture {
        picture: picture.picture()?,
        colour: picture.colour(),
        generation: picture.generation(),
    })
}
