use recorder_codec::Codecs;
use recorder_compositor::{Colour, ComposeError, Picture};
use recorder_types::{MediaId, MediaKind, RoomTime, Size, TrackConfig, UserId};

use crate::passthrough::Passed;
use crate::scene::StreamId;
use crate::unit::Unit;
use crate::view::{Shown, View, colour_of};
use crate::voice::Voice;
use crate::{AudioOptions, MixError, Pushed};

/// Above these bits of a picture's number is that of its stream.
pub(crate) const NUMBER_SHIFT: u32 = 40;

/// All streams that are published, or have ended and are still seen or heard.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    /// Counts what was published.
    published: u64,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// No two streams have the same, so that their pictures are told apart.
    number: u64,
    /// When its first picture that is of use is shown; `None` before that.
    from: Option<RoomTime>,
    until: Option<RoomTime>,
    media: Media,
}

#[derive(Debug)]
enum Media {
    Video(Box<View>),
    Audio {
        voice: Box<Voice>,
        is_over: bool,
    },
    /// Of a kind that is not mixed.
    Ignored,
}

/// A picture that is seen now.
pub(crate) struct Seen<'a> {
    shown: &'a Shown,
    number: u64,
    count: u64,
}

impl Streams {
    pub(crate) fn publish(
        &mut self,
        id: StreamId,
        config: TrackConfig,
        has_video: bool,
        audio: Option<&AudioOptions>,
    ) -> Result<(), MixError> {
        let media = match (id.kind, config) {
            (MediaKind::Video, TrackConfig::H264(h264)) if has_video => {
                Media::Video(Box::new(View::new(h264)))
            }
            (MediaKind::Video, TrackConfig::H264(_)) => Media::Ignored,
            (MediaKind::Audio, config @ (TrackConfig::Aac(_) | TrackConfig::Opus(_))) => match audio {
                Some(mix) => {
                    let voice = Box::new(Voice::new(config, mix.sample_rate, mix.channels));
                    Media::Audio { voice, is_over: false }
                }
                None => Media::Ignored,
            },
            _ => return Err(MixError::WrongKind { stream: id }),
        };
        self.published += 1;
        self.streams.push(Stream { id, number: self.published, from: None, until: None, media });
        Ok(())
    }

    pub(crate) fn unpublish(&mut self, id: &StreamId, at: RoomTime) {
        let going_on = |stream: &Stream| stream.id == *id && stream.until.is_none();
        let Some(index) = self.streams.iter().rposition(going_on) else { return };
        match self.streams[index].media {
            Media::Ignored => drop(self.streams.remove(index)),
            Media::Video(_) | Media::Audio { .. } => self.streams[index].until = Some(at),
        }
    }

    /// Whether the video of a participant has begun and goes on at `now`.
    pub(crate) fn has_video(&self, (user, media): &(UserId, MediaId), now: RoomTime) -> bool {
        self.streams.iter().any(|stream| {
            matches!(stream.media, Media::Video(_))
                && stream.id.user == *user
                && stream.id.media == *media
                && stream.from.is_some_and(|from| from <= now)
                && stream.until.is_none_or(|until| until > now)
        })
    }

    pub(crate) fn push(&mut self, id: &StreamId, unit: Unit) -> Result<Pushed, MixError> {
        let stream = self.streams.iter_mut().rfind(|stream| stream.id == *id && stream.until.is_none());
        match stream {
            None => return Err(MixError::NotPublished { stream: id.clone() }),
            Some(stream) => match &mut stream.media {
                Media::Video(view) => {
                    let shown = unit.pts;
                    if !view.push(unit) {
                        return Ok(Pushed::WaitingForKeyFrame);
                    }
                    stream.from.get_or_insert(shown);
                }
                Media::Audio { voice, .. } => voice.push(unit),
                Media::Ignored => {}
            },
        }
        Ok(Pushed::Taken)
    }

    /// Brings the videos of `seen` up to `now`; the others rest. Forgets what was replaced, and what ended and is not
    /// `wanted`.
    pub(crate) fn show(
        &mut self,
        seen: &[&(UserId, MediaId)],
        wanted: &[&(UserId, MediaId)],
        now: RoomTime,
        horizon: RoomTime,
        codecs: &dyn Codecs,
    ) {
        for stream in &mut self.streams {
            let Media::Video(view) = &mut stream.media else { continue };
            if !is_one_of(&stream.id, seen) {
                view.hide(now);
                continue;
            }
            let until = stream.until.unwrap_or(RoomTime::MAX);
            if let Err(error) = view.show(now, horizon.min(until), codecs) {
                // One video that fails does not stop the others.
                tracing::warn!(stream = %stream.id, %error, "pictures lost");
            }
            if until <= now {
                view.flush(now);
            }
        }
        self.forget(wanted, now);
    }

    /// Passes on the video of `user`, which is all that is seen, up to `now`. Says whether it does.
    pub(crate) fn pass(
        &mut self,
        user: Option<&(UserId, MediaId)>,
        size: Size,
        (now, horizon): (RoomTime, RoomTime),
        out: &mut Vec<Passed>,
    ) -> bool {
        let goes_on = user.is_some_and(|user| self.has_video(user, now));
        let newest = self.streams.iter_mut().rev().filter_map(|stream| match &mut stream.media {
            Media::Video(view) => Some((&stream.id, stream.until, view)),
            _ => None,
        });
        let mut passes = None;
        for (id, until, view) in newest {
            let is_seen = user.is_some_and(|(user, media)| *user == id.user && *media == id.media);
            if goes_on && is_seen && passes.is_none() && until.is_none_or(|until| until > now) {
                passes = Some(view.pass(size, (now, horizon), out));
            } else {
                view.stop_passing();
            }
        }
        passes.unwrap_or(false)
    }

    /// Drops videos that have ended and are not `wanted`, or have a successor with a picture.
    fn forget(&mut self, wanted: &[&(UserId, MediaId)], now: RoomTime) {
        // Streams stand in the order in which they were published.
        for at in (0..self.streams.len()).rev() {
            let (stream, later) = (&self.streams[at], &self.streams[at + 1..]);
            let has_ended = stream.until.is_some_and(|until| until <= now);
            if !has_ended || !matches!(stream.media, Media::Video(_)) {
                continue;
            }
            let has_picture = |media: &Media| matches!(media, Media::Video(view) if view.picture().is_some());
            let is_replaced = later.iter().any(|other| other.id == stream.id && has_picture(&other.media));
            if is_replaced || !is_one_of(&stream.id, wanted) {
                self.streams.remove(at);
            }
        }
    }

    /// The newest picture of a participant's video.
    pub(crate) fn picture(&self, (user, media): &(UserId, MediaId)) -> Option<Seen<'_>> {
        let mut newest_first = self.streams.iter().rev();
        newest_first.find_map(|stream| match &stream.media {
            Media::Video(view) if stream.id.user == *user && stream.id.media == *media => {
                let shown = view.picture()?;
                Some(Seen { shown, number: stream.number, count: view.count() })
            }
            _ => None,
        })
    }

    /// What the samples of a participant's video mean, once a picture of it is known, due or not.
    pub(crate) fn colour(&self, (user, media): &(UserId, MediaId)) -> Option<Colour> {
        self.streams.iter().rev().find_map(|stream| match &stream.media {
            Media::Video(view) if stream.id.user == *user && stream.id.media == *media => {
                view.first().map(colour_of)
            }
            _ => None,
        })
    }

    /// Adds all sound from position `at` on, which is `now`, to `mix`.
    pub(crate) fn mix_into(
        &mut self,
        at: i64,
        now: RoomTime,
        horizon: RoomTime,
        mix: &mut [f32],
        codecs: &dyn Codecs,
    ) -> bool {
        let mut is_heard = false;
        for stream in &mut self.streams {
            let Media::Audio { voice, is_over } = &mut stream.media else { continue };
            let until = stream.until.unwrap_or(RoomTime::MAX);
            let decoded = if until <= horizon && !*is_over {
                *is_over = true;
                voice.decode(until, codecs).and_then(|()| voice.finish())
            } else {
                voice.decode(horizon, codecs)
            };
            if let Err(error) = decoded {
                // One voice that fails does not silence the others.
                tracing::warn!(stream = %stream.id, %error, "sound lost");
            }
            is_heard |= voice.mix_into(at, mix);
        }
        self.streams.retain(|stream| {
            let has_ended = stream.until.is_some_and(|until| until <= now);
            !(has_ended && matches!(&stream.media, Media::Audio { voice, is_over: true } if voice.is_idle()))
        });
        is_heard
    }
}

fn is_one_of(id: &StreamId, users: &[&(UserId, MediaId)]) -> bool {
    users.iter().any(|(user, media)| *user == id.user && *media == id.media)
}

impl<'a> Seen<'a> {
    pub(crate) const fn pts(&self) -> RoomTime {
        self.shown.pts
    }

    pub(crate) fn colour(&self) -> Colour {
        colour_of(self.shown)
    }

    pub(crate) fn picture(&self) -> Result<Picture<'a>, ComposeError> {
        Picture::packed(self.shown.buffer.size(), self.shown.buffer.as_bytes())
    }

    /// Another number for each picture of each stream.
    pub(crate) const fn generation(&self) -> u64 {
        (self.number << NUMBER_SHIFT) | self.count
    }
}
