use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use recorder_codec::Codecs;
use recorder_compositor::Picture;
use recorder_types::{RoomTime, TrackConfig};

use crate::picture_mix::PictureMix;
use crate::scene::{Scene, StreamId};
use crate::sound_mix::SoundMix;
use crate::streams::Streams;
use crate::unit::Unit;
use crate::{MixError, MixerOptions, Shedding};

/// What came out of a mix, in order of time for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mixed {
    /// An H.264 access unit, Annex B, nothing reordered. Parameter sets are others where a video is passed on.
    Picture {
        /// When it is shown and decoded.
        at: RoomTime,
        /// The access unit; a key frame carries its parameter sets.
        data: Bytes,
        /// Whether decoding can start here.
        is_key: bool,
    },
    /// A raw AAC-LC frame.
    Sound {
        /// When its first sample is heard.
        at: RoomTime,
        /// The frame.
        data: Bytes,
    },
}

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It will be mixed when it is due.
    Taken,
    /// It was dropped: the video can be decoded from its next key frame on only. Ask its sender for one.
    WaitingForKeyFrame,
}

/// What a mix has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MixStats {
    /// Pictures composed and encoded.
    pub pictures: u64,
    /// Source pictures that were scaled for them; the others had not changed.
    pub scaled: u64,
    /// Pictures of a source that were given out as they came in ([`VideoOptions::passthrough`](crate::VideoOptions)).
    pub passed: u64,
    /// Pictures that were left out ([`Mixer::set_shedding`]).
    pub shed: u64,
    /// Source pictures that were not shown, or later ([`Shedding::Tiles`]).
    pub held: u64,
}

/// A room as one video and one sound.
///
/// It holds no clock: [`Mixer::advance`] makes what lies before the time it is told. Units must have been pushed
/// [`Mixer::LOOK_AHEAD`] further than that: decoders and resamplers hold back. Then the result depends on the units,
/// their times, the scenes and theirs, and not on when or how often it was called: a live mix and one made later of
/// the same units are the same bytes.
///
/// Pictures lie at `start + n / fps`, and each shows the newest picture of every window that is due by then. A
/// decoder runs only for videos that are seen: that a window of the scene shows which opaque windows in front of it do not
/// cover wholly. The others are kept from their last key frame on.
pub struct Mixer {
    codecs: Arc<dyn Codecs>,
    options: MixerOptions,
    streams: Streams,
    pictures: Option<PictureMix>,
    sound: Option<SoundMix>,
    out: VecDeque<Mixed>,
    stats: MixStats,
}

impl Mixer {
    /// How far units must be ahead of the time that is mixed.
    pub const LOOK_AHEAD: RoomTime = RoomTime::from_millis(300);

    /// A mix without streams whose canvas shows black.
    ///
    /// # Errors
    /// [`MixError::Nothing`], [`MixError::FrameRate`], [`MixError::Compose`] for an odd or too large canvas,
    /// [`MixError::Codec`] for a rate, channels or bit rate that the encoder does not do.
    pub fn new(options: MixerOptions, codecs: Arc<dyn Codecs>) -> Result<Self, MixError> {
        if options.video.is_none() && options.audio.is_none() {
            return Err(MixError::Nothing);
        }
        let pictures = match &options.video {
            Some(video) => Some(PictureMix::new(video.clone(), options.start, options.wall)?),
            None => None,
        };
        let sound = match &options.audio {
            Some(audio) => Some(SoundMix::new(audio, options.start, &*codecs)?),
            None => None,
        };
        let streams = Streams::default();
        Ok(Self {
            codecs,
            options,
            streams,
            pictures,
            sound,
            out: VecDeque::new(),
            stats: MixStats::default(),
        })
    }

    /// What the sound is; `None` without.
    #[must_use]
    pub fn sound_config(&self) -> Option<TrackConfig> {
        self.sound.as_ref().map(SoundMix::config)
    }

    /// A stream begins, with the time of its first unit that is of use. One of the same id that has not ended ends at
    /// `at`.
    ///
    /// # Errors
    /// [`MixError::WrongKind`].
    pub fn publish(&mut self, at: RoomTime, stream: StreamId, config: TrackConfig) -> Result<(), MixError> {
        self.streams.unpublish(&stream, at);
        self.streams.publish(stream, config, self.pictures.is_some(), self.options.audio.as_ref())
    }

    /// A stream ends at `at`: units of that time and later are not mixed.
    pub fn unpublish(&mut self, at: RoomTime, stream: &StreamId) {
        self.streams.unpublish(stream, at);
    }

    /// Takes one access unit, in decode order.
    ///
    /// # Errors
    /// [`MixError::NotPublished`].
    pub fn push(&mut self, stream: &StreamId, unit: Unit) -> Result<Pushed, MixError> {
        self.streams.push(stream, unit)
    }

    /// The canvas shows `scene` from the first picture at or after `at` on.
    ///
    /// # Errors
    /// [`MixError::SceneOrder`], and [`MixError::Compose`] for a window that is odd or outside of the canvas; the
    /// scenes are as before.
    pub fn set_scene(&mut self, at: RoomTime, scene: Scene) -> Result<(), MixError> {
        match &mut self.pictures {
            Some(pictures) => pictures.set_scene(at, scene),
            None => Ok(()),
        }
    }

    /// Leaves out work from the next picture on, or takes it up again. What comes out then depends on when this is called:
    /// not for mixes that are to be made again.
    pub fn set_shedding(&mut self, shedding: Shedding) {
        if let Some(pictures) = &mut self.pictures {
            pictures.set_shedding(shedding);
        }
    }

    /// Mixes what lies before `to`. Then [`Self::poll`] until `None`.
    ///
    /// # Errors
    /// [`MixError::Codec`] if a library fails within its contract; the picture or sound is lost.
    pub fn advance(&mut self, to: RoomTime) -> Result<(), MixError> {
        while self.step(to)? {}
        Ok(())
    }

    /// Mixes what lies before `end` and gives what was held back. Nothing may follow.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn finish(&mut self, end: RoomTime) -> Result<(), MixError> {
        self.advance(end)?;
        if let Some(pictures) = &mut self.pictures {
            pictures.finish(&mut self.out)?;
        }
        if let Some(sound) = &mut self.sound {
            sound.finish(&mut self.out)?;
        }
        Ok(())
    }

    /// The time of the next picture, or, without pictures, of the next sound.
    #[must_use]
    pub fn due(&self) -> RoomTime {
        match (&self.pictures, &self.sound) {
            (Some(pictures), _) => pictures.due(),
            (None, Some(sound)) => sound.due(),
            (None, None) => RoomTime::MAX,
        }
    }

    /// The next that is ready, oldest first.
    pub fn poll(&mut self) -> Option<Mixed> {
        self.out.pop_front()
    }

    /// The canvas as it was composed last; `None` before the first picture.
    #[must_use]
    pub fn canvas(&self) -> Option<Picture<'_>> {
        self.pictures.as_ref().and_then(PictureMix::canvas)
    }

    /// What was done so far.
    #[must_use]
    pub const fn stats(&self) -> MixStats {
        self.stats
    }

    /// Makes the next picture or the next block of sound, whichever is earlier. Says whether there was one.
    fn step(&mut self, to: RoomTime) -> Result<bool, MixError> {
        let picture = self.pictures.as_ref().map_or(RoomTime::MAX, PictureMix::due);
        let sound = self.sound.as_ref().map_or(RoomTime::MAX, SoundMix::due);
        if picture.min(sound) >= to {
            return Ok(false);
        }
        let Self { streams, codecs, stats, out, .. } = self;
        match (&mut self.pictures, &mut self.sound) {
            (Some(pictures), _) if picture <= sound => {
                let horizon = picture.saturating_add(Self::LOOK_AHEAD);
                pictures.picture(horizon, streams, &**codecs, stats, out)?;
            }
            (_, Some(mix)) => mix.block(sound.saturating_add(Self::LOOK_AHEAD), streams, &**codecs, out)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mixer")
            .field("options", &self.options)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
