use std::collections::VecDeque;

use recorder_hls::AccessUnit;
use recorder_types::{MediaId, MediaKind, RoomTime, Sample, Timescale, Timestamp, TrackConfig};

use super::clock::{Anchored, TrackClock, TrackOrigin};
use super::core::EventError;
use super::file_set::{SetId, Stream};

/// A published stream on its way into a file set: placed on the room's time line and, if it is Opus, turned into
/// AAC.
#[derive(Debug)]
pub(super) struct Track {
    media: MediaId,
    config: TrackConfig,
    origin: TrackOrigin,
    clock: TrackClock,
    pipeline: Pipeline,
    set: Option<SetId>,
    has_media: bool,
    begin: Begin,
    ready: VecDeque<TrackSample>,
}

/// Where the first unit of a track lies, which is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Awaited,
    At(RoomTime),
    Told,
}

/// What a track hands to its file set.
#[derive(Debug)]
pub(super) enum TrackSample {
    Video(AccessUnit),
    Audio(AccessUnit),
    /// The sender's clock jumped: what follows is a new beginning.
    Jumped,
    /// The sender was silent for long, by its clock and by arrival.
    Resumed,
}

#[derive(Debug)]
enum Pipeline {
    /// Every unit as it came, at its place.
    #[cfg(feature = "mix")]
    Placed,
    Video,
    Aac,
    #[cfg(feature = "opus")]
    Opus(Box<recorder_codec::OpusToAac>),
}

impl Pipeline {
    fn new(config: &TrackConfig) -> Result<Self, EventError> {
        match config {
            TrackConfig::H264(_) => Ok(Self::Video),
            TrackConfig::Aac(_) => Ok(Self::Aac),
            #[cfg(feature = "opus")]
            TrackConfig::Opus(opus) => {
                recorder_codec::OpusToAac::new(*opus, &recorder_codec::OpusToAacOptions::default())
                    .map(|transcoder| Self::Opus(Box::new(transcoder)))
                    .map_err(EventError::Opus)
            }
            _ => Err(EventError::OpusNotEnabled),
        }
    }
}

/// The instant of the 90 kHz clock of TS that is nearest to `at`: recordings know no other.
pub(super) fn on_grid(at: RoomTime) -> RoomTime {
    let ticks = Timestamp::new(at.round_to_ticks(Timescale::HZ_90000), Timescale::HZ_90000);
    // Beyond 292 years there is no grid.
    ticks.to_room_time().unwrap_or(at)
}

impl Track {
    pub(super) fn new(media: MediaId, config: TrackConfig, origin: TrackOrigin) -> Result<Self, EventError> {
        Ok(Self {
            media,
            origin,
            clock: TrackClock::new(origin),
            pipeline: Pipeline::new(&config)?,
            config,
            set: None,
            has_media: false,
            begin: Begin::Awaited,
            ready: VecDeque::new(),
        })
    }

    /// A track that is only placed on the time line, for the mixer.
    #[cfg(feature = "mix")]
    pub(super) const fn placed(media: MediaId, config: TrackConfig, origin: TrackOrigin) -> Self {
        Self {
            media,
            origin,
            clock: TrackClock::new(origin),
            pipeline: Pipeline::Placed,
            config,
            set: None,
            has_media: false,
            begin: Begin::Awaited,
            ready: VecDeque::new(),
        }
    }

    #[cfg(feature = "mix")]
    pub(super) const fn config(&self) -> &TrackConfig {
        &self.config
    }

    /// Says that the track is recorded in `set`, together with others.
    #[cfg(feature = "mix")]
    pub(super) const fn join(&mut self, set: SetId) {
        self.set = Some(set);
    }

    pub(super) const fn media(&self) -> MediaId {
        self.media
    }

    pub(super) const fn kind(&self) -> MediaKind {
        match self.config {
            TrackConfig::H264(_) => MediaKind::Video,
            _ => MediaKind::Audio,
        }
    }

    pub(super) const fn set(&self) -> Option<SetId> {
        self.set
    }

    /// Puts the track into a file set; gives its description for it.
    pub(super) fn attach(&mut self, set: SetId) -> Stream {
        self.set = Some(set);
        match (&self.config, &self.pipeline) {
            (TrackConfig::H264(h264), _) => Stream::Video(h264.clone()),
            #[cfg(feature = "opus")]
            (_, Pipeline::Opus(transcoder)) => Stream::Audio(transcoder.config()),
            (TrackConfig::Aac(aac), _) => Stream::Audio(*aac),
            _ => unreachable!("a pipeline is made only for these configurations"),
        }
    }

    /// Whether any of it went into a file set.
    pub(super) const fn has_media(&self) -> bool {
        self.has_media
    }

    /// Decode time of the first unit on the clock of recordings, the first time that this is called after it has come.
    #[cfg(feature = "mix")]
    pub(super) const fn take_begin(&mut self) -> Option<RoomTime> {
        match self.begin {
            Begin::At(dts) => {
                self.begin = Begin::Told;
                Some(dts)
            }
            Begin::Awaited | Begin::Told => None,
        }
    }

    /// Whether its first unit was told.
    #[cfg(feature = "mix")]
    pub(super) fn has_begun(&self) -> bool {
        self.begin == Begin::Told
    }

    /// Leaves this track as if it had just been published, and gives what it was.
    pub(super) fn restarted(&mut self) -> Self {
        let fresh = Self {
            media: self.media,
            config: self.config.clone(),
            origin: self.origin,
            clock: TrackClock::new(self.origin),
            pipeline: self.fresh_pipeline(),
            set: None,
            has_media: false,
            begin: Begin::Awaited,
            ready: VecDeque::new(),
        };
        std::mem::replace(self, fresh)
    }

    /// Takes one access unit that arrived at `now`. Says whether it has a place in time.
    pub(super) fn push(&mut self, now: RoomTime, sample: &Sample) -> bool {
        self.has_media = true;
        let Some(placed) = self.clock.place(now, sample) else {
            tracing::debug!("sample dropped: its time is impossible, or too far ahead");
            return false;
        };
        let unit = AccessUnit { pts: placed.pts, dts: placed.dts, data: sample.data.clone() };
        if self.begin == Begin::Awaited {
            self.begin = Begin::At(on_grid(placed.dts));
        }
        match placed.anchored {
            Anchored::Jumped => {
                self.restart_pipeline();
                self.ready.push_back(TrackSample::Jumped);
            }
            Anchored::Resumed => {
                // A transcoder would fill the time with silence.
                self.finish_pipeline();
                self.restart_pipeline();
                self.ready.push_back(TrackSample::Resumed);
            }
            Anchored::First | Anchored::Continued => {}
        }
        match &mut self.pipeline {
            #[cfg(feature = "mix")]
            Pipeline::Placed => self.ready.push_back(match self.config {
                TrackConfig::H264(_) => TrackSample::Video(unit),
                _ => TrackSample::Audio(unit),
            }),
            Pipeline::Video => self.ready.push_back(TrackSample::Video(unit)),
            Pipeline::Aac => self.ready.push_back(TrackSample::Audio(unit)),
            #[cfg(feature = "opus")]
            Pipeline::Opus(transcoder) => {
                if let Err(error) = transcoder.push(sample) {
                    tracing::warn!(%error, "the audio codec failed, the track starts over");
                    self.restart_pipeline();
                    self.ready.push_back(TrackSample::Jumped);
                }
                self.take_transcoded();
            }
        }
        true
    }

    fn fresh_pipeline(&self) -> Pipeline {
        #[cfg(feature = "mix")]
        if matches!(self.pipeline, Pipeline::Placed) {
            return Pipeline::Placed;
        }
        Pipeline::new(&self.config).expect("the same configuration was accepted before")
    }

    /// The next unit for the file set, oldest first.
    pub(super) fn poll(&mut self) -> Option<TrackSample> {
        self.ready.pop_front()
    }

    /// Like [`Track::poll`] at the end of the track: also what a transcoder still held.
    pub(super) fn flush(&mut self) -> Option<TrackSample> {
        if self.ready.is_empty() {
            self.finish_pipeline();
        }
        self.ready.pop_front()
    }

    #[cfg(feature = "opus")]
    fn finish_pipeline(&mut self) {
        if let Pipeline::Opus(transcoder) = &mut self.pipeline {
            if let Err(error) = transcoder.finish() {
                tracing::warn!(%error, "the audio codec failed at the end of a track");
            }
            self.take_transcoded();
        }
    }

    #[cfg(not(feature = "opus"))]
    #[expect(clippy::unused_self, reason = "without transcoders nothing is held back")]
    const fn finish_pipeline(&self) {}

    /// The sender's clock jumped: a transcoder's tail is not worth a wrong place, so it starts over.
    fn restart_pipeline(&mut self) {
        self.pipeline = self.fresh_pipeline();
    }

    #[cfg(feature = "opus")]
    fn take_transcoded(&mut self) {
        let Pipeline::Opus(transcoder) = &mut self.pipeline else { return };
        while let Some(sample) = transcoder.poll() {
            if let Some(at) = self.clock.map(sample.pts) {
                self.ready.push_back(TrackSample::Audio(AccessUnit { pts: at, dts: at, data: sample.data }));
            }
        }
    }
}
