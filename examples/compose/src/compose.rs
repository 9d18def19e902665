use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use recorder::callback::{AddressPolicy, LeaveCode};
use recorder::compositor::Font;
use recorder::storage::{Bucket, BucketOptions};
use recorder::timeline::{MarkLine, TimelineCodec, TimelineEvent, TimelineStream};
use recorder::types::{
    AacConfig, H264Config, MediaKind, NalFraming, RoomTime, Sample, Timescale, Timestamp, TrackConfig,
    with_causes,
};
use recorder::{
    ClockMode, Now, Outcome, Recorder, RecorderOptions, Recording, RecordingOptions, RoomEvent, SendError,
    TrackOrigin,
};
use recorder_terminal::{duration, size, write_table};

use crate::args::Args;
use crate::images::Images;
use crate::timeline::Timeline;
use crate::track::{Track, TrackError};

/// Bytes of samples, and events, that are handed over at a time.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_EVENTS: usize = 4096;
/// Sound that was encoded anew begins this much before what it was made of: the encoder's run-up.
const RUN_UP: RoomTime = RoomTime::from_millis(50);

type AnyError = Box<dyn Error>;

/// Makes the recording. `false`: something is missing in it, and was told.
pub(crate) async fn compose(args: &Args) -> Result<bool, AnyError> {
    let mut timeline = Timeline::read(&args.timeline)?;
    if args.mix.has_layout() {
        timeline.start.forget_watermarks();
    }
    let told = timeline.start.mix_options(Arc::new(Font::bundled()))?;
    let mut mix = args.mix.options(told.unwrap_or_default())?;
    let policy =
        if args.allow_private_urls { AddressPolicy::AllowPrivate } else { AddressPolicy::PublicOnly };
    let mut images = Images::new(policy)?;
    if args.mix.has_layout() {
        // The timeline tells when images of its own layouts came; these are there from the start.
        mix.images = images.all_of(&mix).await;
    }
    let mut options = timeline.start.task_options(args.task_id.clone(), "compose".parse()?)?;
    options.mix = Some(mix);
    options.output = args.format.into();
    let spool = Path::new(&args.out).join(".compose-spool");
    let bucket = Bucket::open(&args.out, BucketOptions::default())?;
    let recording = RecordingOptions::new(options, bucket)
        .with_clock(ClockMode::Told { start: timeline.zero.wall })
        .with_images_told()
        .with_gather(Duration::ZERO);
    let recording = Recorder::new(RecorderOptions::new(&spool)).start(recording)?;
    let mut player = Player::new(args, &timeline, &recording)?;
    player.play(&mut images).await?;
    let faults = player.faults;
    let outcome = recording.ended().await?;
    if outcome.kept == 0 {
        // Another run may still use it: then it is not empty and stays.
        let _ = std::fs::remove_dir(&spool);
    } else {
        eprintln!("error: {} files could not be written and wait in {}", outcome.kept, spool.display());
    }
    if let Some(failure) = &outcome.failure {
        eprintln!("error: the disk failed: {}", with_causes(&**failure));
    }
    if !args.quiet {
        print(args, &outcome)?;
    }
    let is_whole = outcome.kept == 0 && outcome.failure.is_none() && faults == 0 && images.failed == 0;
    Ok(is_whole && !outcome.status.files.is_empty())
}

/// Plays the timeline, and the recordings by it, into a task that mixes.
struct Player<'a> {
    args: &'a Args,
    timeline: &'a Timeline,
    recording: &'a Recording,
    tracks: BTreeMap<TimelineStream, Option<Track>>,
    /// Those of which units are taken, with the time at which others begin.
    running: BTreeMap<TimelineStream, RoomTime>,
    codecs: BTreeMap<TimelineStream, TimelineCodec>,
    now: Now,
    batch: Vec<(Now, RoomEvent)>,
    bytes: usize,
    faults: usize,
}

impl<'a> Player<'a> {
    /// Opens the recordings.
    fn new(args: &'a Args, timeline: &'a Timeline, recording: &'a Recording) -> Result<Self, AnyError> {
        let names = timeline.start.names()?;
        let mut player = Self {
            args,
            timeline,
            recording,
            tracks: BTreeMap::new(),
            running: BTreeMap::new(),
            codecs: BTreeMap::new(),
            now: timeline.zero,
            batch: Vec::new(),
            bytes: 0,
            faults: 0,
        };
        let mut clock = None;
        for entry in &timeline.entries {
            let TimelineEvent::Begin { stream: key, .. } = &entry.event else { continue };
            if player.tracks.contains_key(key) {
                continue;
            }
            let mut track = match Track::open(args.recordings(), &names, key, timeline.zero) {
                Ok(track) => track,
                Err(error) => {
                    player.fault(key, &with_causes(&error));
                    None
                }
            };
            if track.is_none() {
                player.fault(key, &"there is no recording of it in the folder");
            }
            if let Some(told) = track.as_mut().map(Track::clock).transpose()?.flatten() {
                clock =
                    Some(clock.map_or(told, |first: (_, i64)| if told.0 < first.0 { told } else { first }));
            }
            player.tracks.insert(key.clone(), track);
        }
        // All recordings of a task have one clock; the first name is the least rounded.
        if let Some((_, millis)) = clock {
            player.tracks.values_mut().flatten().for_each(|track| track.shift(millis));
        }
        Ok(player)
    }

    async fn play(&mut self, images: &mut Images) -> Result<(), AnyError> {
        let timeline = self.timeline;
        for (index, entry) in timeline.entries.iter().enumerate() {
            self.play_until(entry.now.room).await?;
            self.now = entry.now;
            if let Some(event) = self.follow(index, &entry.event, images).await? {
                self.tell(event, 0).await?;
            }
        }
        if !matches!(timeline.entries.last().map(|entry| &entry.event), Some(TimelineEvent::Stop { .. })) {
            // The task ended without a word: what was recorded until then is mixed.
            self.play_until(RoomTime::MAX).await?;
            self.tell(RoomEvent::Stop { code: LeaveCode::API_STOP }, 0).await?;
        }
        self.flush().await?;
        for (key, track) in &mut self.tracks {
            for warning in track.iter_mut().flat_map(|track| track.warnings.drain(..)) {
                eprintln!("warning: {}: {warning}", label(key));
            }
        }
        Ok(())
    }

    /// What an entry of the timeline is to the task.
    async fn follow(
        &mut self,
        index: usize,
        event: &TimelineEvent,
        images: &mut Images,
    ) -> Result<Option<RoomEvent>, AnyError> {
        Ok(Some(match event {
            TimelineEvent::Enter { user } => RoomEvent::Enter { user: user.clone() },
            TimelineEvent::Leave { user } => RoomEvent::Leave { user: user.clone() },
            TimelineEvent::Publish { user, media, codec } => {
                let config = match codec.kind() {
                    MediaKind::Video => TrackConfig::H264(H264Config {
                        framing: NalFraming::AnnexB,
                        parameter_sets: Vec::new(),
                    }),
                    MediaKind::Audio => TrackConfig::Aac(AacConfig::Adts),
                };
                let (user, media) = (user.clone(), *media);
                let stream = TimelineStream { user: user.clone(), media, kind: codec.kind() };
                self.codecs.insert(stream, *codec);
                RoomEvent::Publish { user, media, config, origin: TrackOrigin::At(RoomTime::ZERO) }
            }
            TimelineEvent::Unpublish(TimelineStream { user, media, kind }) => {
                RoomEvent::Unpublish { user: user.clone(), media: *media, kind: *kind }
            }
            TimelineEvent::Subscribe(lists) => {
                RoomEvent::Subscribe { subscription: lists.clone().try_into()? }
            }
            TimelineEvent::Layout { .. } | TimelineEvent::Image { .. } if self.args.mix.has_layout() => {
                return Ok(None);
            }
            TimelineEvent::Layout { layout, watermarks } => {
                RoomEvent::Layout { layout: layout.clone(), watermarks: MarkLine::watermarks(watermarks)? }
            }
            TimelineEvent::Image { url, came } => {
                let image = if *came { images.get(url).await } else { None };
                RoomEvent::Image { url: url.clone(), image }
            }
            TimelineEvent::Stop { code } => RoomEvent::Stop { code: *code },
            TimelineEvent::Begin { stream, dts } => {
                self.begin(index, stream.clone(), *dts).await?;
                return Ok(None);
            }
            TimelineEvent::End(stream) => {
                while self.play_one(stream).await? {}
                self.running.remove(stream);
                return Ok(None);
            }
            _ => return Ok(None),
        }))
    }

    /// Units of a stream are taken from here on. The first is told at once, for with the first of all the mix begins.
    async fn begin(&mut self, index: usize, key: TimelineStream, dts: RoomTime) -> Result<(), AnyError> {
        let run_up = match self.codecs.get(&key) {
            Some(TimelineCodec::Opus) => RUN_UP,
            _ => RoomTime::ZERO,
        };
        let until =
            self.timeline.next_begin(index, &key).map_or(RoomTime::MAX, |next| next.saturating_sub(run_up));
        self.running.insert(key.clone(), until);
        // The recording left out pictures before its first key frame: an empty one stands for them.
        let first = self.peek(&key)?;
        if first.is_none_or(|first| first > dts) && key.kind == MediaKind::Video {
            let at = Timestamp::new(dts.round_to_ticks(Timescale::HZ_90000), Timescale::HZ_90000);
            let TimelineStream { user, media, kind } = key;
            let sample = Sample::new(at, bytes::Bytes::new());
            return Ok(self.tell(RoomEvent::Sample { user, media, kind, sample }, 0).await?);
        }
        self.play_one(&key).await?;
        Ok(())
    }

    /// Plays what all streams have up to `end`, in order of time.
    async fn play_until(&mut self, end: RoomTime) -> Result<(), AnyError> {
        loop {
            let mut next: Option<(RoomTime, TimelineStream)> = None;
            let keys: Vec<TimelineStream> = self.running.keys().cloned().collect();
            for key in keys {
                if let Some(at) = self.peek(&key)?
                    && next.as_ref().is_none_or(|(first, _)| at < *first)
                {
                    next = Some((at, key));
                }
            }
            match next {
                Some((at, key)) if at <= end => {
                    self.advance(at);
                    self.play_one(&key).await?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// When the next unit of a stream's run is decoded; `None` behind its end.
    fn peek(&mut self, key: &TimelineStream) -> Result<Option<RoomTime>, TrackError> {
        let Some(until) = self.running.get(key) else { return Ok(None) };
        let Some(Some(track)) = self.tracks.get_mut(key) else { return Ok(None) };
        Ok(track.peek()?.map(|unit| unit.at()).filter(|at| at < until))
    }

    /// Plays the next unit of a stream's run. Says whether there was one.
    async fn play_one(&mut self, key: &TimelineStream) -> Result<bool, AnyError> {
        if self.peek(key)?.is_none() {
            return Ok(false);
        }
        let Some(unit) = self.tracks.get_mut(key).and_then(|track| track.as_mut()?.next()) else {
            return Ok(false);
        };
        let ticks = |ticks| Timestamp::new(ticks, Timescale::HZ_90000);
        let TimelineStream { user, media, kind } = key.clone();
        let bytes = unit.data.len();
        let sample = Sample::reordered(ticks(unit.pts), ticks(unit.dts), unit.data);
        self.tell(RoomEvent::Sample { user, media, kind, sample }, bytes).await?;
        Ok(true)
    }

    /// Lets time pass up to `room`, if that is later.
    fn advance(&mut self, room: RoomTime) {
        if room <= self.now.room {
            return;
        }
        let since = room.saturating_sub(self.timeline.zero.room);
        let wall = self.timeline.zero.wall.saturating_add_millis(since.round_to_millis());
        self.now = Now { room, wall };
    }

    async fn tell(&mut self, event: RoomEvent, bytes: usize) -> Result<(), SendError> {
        self.batch.push((self.now, event));
        self.bytes += bytes;
        if self.bytes < BATCH_BYTES && self.batch.len() < BATCH_EVENTS {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), SendError> {
        self.bytes = 0;
        self.recording.events_at(std::mem::take(&mut self.batch)).await
    }

    fn fault(&mut self, key: &TimelineStream, what: &dyn std::fmt::Display) {
        eprintln!("error: {}: {what}", label(key));
        self.faults += 1;
    }
}

fn label(TimelineStream { user, media, kind }: &TimelineStream) -> String {
    format!("{kind} of {user}'s {media} stream")
}

fn print(args: &Args, outcome: &Outcome) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}/{}/", args.out.trim_end_matches('/'), args.task_id)?;
    let mut rows = vec![["duration", "size", "file"].map(str::to_owned).to_vec()];
    for file in &outcome.status.files {
        rows.push(vec![duration(file.duration), size(file.bytes), file.playlist.to_string()]);
    }
    for file in &outcome.files {
        let millis = i64::try_from(file.end.get().saturating_sub(file.start.get())).unwrap_or(i64::MAX);
        rows.push(vec![duration(RoomTime::from_millis(millis)), size(file.bytes), file.name.to_string()]);
    }
    write_table(&mut out, "  ", &rows)
}
