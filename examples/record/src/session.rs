use std::path::Path;

use recorder::TrackOrigin;
use recorder::types::{MediaId, MediaKind, RoomTime, Sample, TrackConfig, UserId};
use recorder_room_input::{
    FrameRate, InputError, MediaSource, OpenOptions, PlacedSource, SimulatedOptions, SimulatedSource, Warning,
};

use crate::args::Participant;

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
    source: PlacedSource,
}

impl Session {
    /// Opens the file of `participant`.
    pub(crate) fn open(participant: &Participant) -> Result<Self, InputError> {
        let fps = participant.fps.and_then(|(frames, seconds)| FrameRate::new(frames, seconds));
        let options = OpenOptions { fps };
        let source = MediaSource::open(&participant.file, &options)?.into();
        Ok(Self {
            user: participant.user.clone(),
            media: participant.media,
            join: participant.join,
            label: format!("{} ({})", participant.user, participant.file.display()),
            size: file_size(&participant.file),
            leave: participant.leave,
            source: PlacedSource::new(source, participant.join)?,
        })
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
            source: PlacedSource::new(source.into(), join)?,
        })
    }

    /// The tracks to publish.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (MediaKind, TrackConfig)> + '_ {
        self.source.tracks()
    }

    pub(crate) const fn origin(&self) -> TrackOrigin {
        TrackOrigin::At(self.source.origin())
    }

    /// As [`PlacedSource::lead`].
    pub(crate) const fn lead(&self) -> RoomTime {
        self.source.lead()
    }

    /// As [`PlacedSource::delay`].
    pub(crate) fn delay(&mut self, delay: RoomTime) {
        self.source.delay(delay);
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        self.source.take_warnings()
    }

    /// Room time of the next sample's decoding; `None` at the end.
    pub(crate) fn next_time(&mut self) -> Result<Option<RoomTime>, InputError> {
        self.source.next_time()
    }

    /// The next sample; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<(MediaKind, Sample)>, InputError> {
        self.source.next_sample()
    }
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
