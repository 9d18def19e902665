use std::collections::VecDeque;
use std::path::Path;

use recorder::TrackOrigin;
use recorder::types::{MediaId, MediaKind, RoomTime, Sample, TrackConfig, UserId};
use recorder_room_input::{
    FrameRate, InputError, InputSource, MediaSource, OpenOptions, SimulatedOptions, SimulatedSource, Warning,
};

use crate::args::Participant;

/// Samples looked at to find where a file begins.
const LOOK_AHEAD: usize = 256;

/// A file whose first timestamp is within this of zero is taken as it is; one that begins elsewhere (a piece of a
/// longer stream) is moved to zero.
const NEAR_ZERO: RoomTime = RoomTime::from_secs(1);

/// One participant with one source: joins, sends its samples, leaves.
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) media: MediaId,
    pub(crate) join: RoomTime,
    /// For messages.
    pub(crate) label: String,
    /// Bytes that will roughly be sent, for the progress bar.
    pub(crate) size: u64,
    pub(crate) leave: Option<RoomTime>,
    source: InputSource,
    ahead: VecDeque<(usize, Sample)>,
    /// Room time of the source's zero.
    origin: RoomTime,
}

impl Session {
    /// Opens the file of `participant`.
    pub(crate) fn open(participant: &Participant) -> Result<Self, InputError> {
        let fps = participant.fps.and_then(|(frames, seconds)| FrameRate::new(frames, seconds));
        let options = OpenOptions { fps };
        let source = MediaSource::open(&participant.file, &options)?.into();
        let mut session = Self {
            user: participant.user.clone(),
            media: participant.media,
            join: participant.join,
            label: format!("{} ({})", participant.user, participant.file.display()),
            size: file_size(&participant.file),
            leave: participant.leave,
            source,
            ahead: VecDeque::new(),
            origin: participant.join,
        };
        session.find_origin()?;
        Ok(session)
    }

    /// Somebody who is not there: a moving picture and a tone, from `join` to `leave`.
    pub(crate) fn simulate(
        user: UserId,
        tone_hz: u32,
        join: RoomTime,
        leave: RoomTime,
    ) -> Result<Self, InputError> {
        let mut options = SimulatedOptions::default();
        options.name = user.to_string();
        options.tone_hz = tone_hz;
        let millis = leave.saturating_sub(join).round_to_millis().max(1000);
        options.seconds = u32::try_from(millis / 1000).unwrap_or(u32::MAX);
        let bytes_per_second = u64::from(options.video_bits_per_second + options.audio_bits_per_second) / 8;
        let source = SimulatedSource::new(&options)?;
        Ok(Self {
            label: format!("{user} (simulated)"),
            user,
            media: MediaId::Main,
            join,
            size: bytes_per_second * u64::from(options.seconds),
            leave: Some(leave),
            source: source.into(),
            ahead: VecDeque::new(),
            origin: join,
        })
    }

    /// The tracks to publish.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (MediaKind, TrackConfig)> + '_ {
        self.source.tracks().iter().map(|track| (track.kind, track.config.clone()))
    }

    pub(crate) const fn origin(&self) -> TrackOrigin {
        TrackOrigin::At(self.origin)
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        self.source.take_warnings()
    }

    /// Room time of the next sample's decoding; `None` at the end.
    pub(crate) fn next_time(&mut self) -> Result<Option<RoomTime>, InputError> {
        if self.ahead.is_empty()
            && let Some(next) = self.source.next()
        {
            self.ahead.push_back(next?);
        }
        Ok(self.ahead.front().map(|(_, sample)| self.place(sample)))
    }

    /// The next sample; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<(MediaKind, Sample)>, InputError> {
        self.next_time()?;
        let Some((track, sample)) = self.ahead.pop_front() else { return Ok(None) };
        let kind = self.source.tracks().get(track).map_or(MediaKind::Video, |track| track.kind);
        Ok(Some((kind, sample)))
    }

    fn place(&self, sample: &Sample) -> RoomTime {
        sample.dts.to_room_time().unwrap_or(RoomTime::ZERO).saturating_add(self.origin)
    }

    fn find_origin(&mut self) -> Result<(), InputError> {
        let mut first = vec![None; self.source.tracks().len()];
        while first.iter().any(Option::is_none) && self.ahead.len() < LOOK_AHEAD {
            let Some(next) = self.source.next() else { break };
            let (track, sample) = match next {
                Ok(next) => next,
                // What was read before the fault is recorded; the fault is met again at the end.
                Err(error) if self.ahead.is_empty() => return Err(error),
                Err(_) => break,
            };
            if let Some(first) = first.get_mut(track).filter(|first| first.is_none()) {
                *first = sample.pts.to_room_time();
            }
            self.ahead.push_back((track, sample));
        }
        let begin = first.into_iter().flatten().min().unwrap_or(RoomTime::ZERO);
        if begin > NEAR_ZERO || begin < RoomTime::ZERO.saturating_sub(NEAR_ZERO) {
            self.origin = self.join.saturating_sub(begin);
        }
        Ok(())
    }
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
