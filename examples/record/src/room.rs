use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use recorder::callback::{AddressPolicy, DeliverError, Deliverer, DelivererOptions, LeaveCode};
use recorder::naming::TaskNames;
use recorder::storage::{Bucket, BucketOptions, StorageError};
use recorder::types::{MediaId, MediaKind, RoomId, RoomTime, UnixMillis, UserId, with_causes};
use recorder::{
    AvMerge, ClockMode, KeyPrefix, MaxIdleTime, MixOptions, Now, Outcome, Recorder, Recording,
    RecordingOptions, RoomEvent, SendError, TaskOptions,
};

use crate::args::{Args, Mode};
use crate::session::Session;
use crate::table;
use crate::vod::{Media, open_library, target};

/// Bytes of samples that are handed over at a time, and events at most.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_EVENTS: usize = 4096;
/// Bytes of samples on their way: few enough for the processor's cache to hold them from reading to writing.
const QUEUE_BYTES: usize = 4 << 20;

pub(crate) type AnyError = Box<dyn Error>;

/// Runs the whole recording. `false`: something could not be recorded or delivered, and was told.
pub(crate) async fn record(args: &Args) -> Result<bool, AnyError> {
    let room = args.room()?;
    let start = args.start_time.unwrap_or_else(now);
    let task = args.task(&room, start);
    let (mut sessions, unusable) = open_sessions(args, &room)?;
    let (media, library) = (Media::default(), args.vod.as_deref().map(open_library).transpose()?);
    let backup = args.backup.as_deref().map(|backup| open_bucket("--backup", backup)).transpose()?;
    let spool = Spool::for_args(args);

    let mut options = TaskOptions::new(args.app(), room, task.clone(), "recorder".parse()?);
    if let Some(prefix) = &args.prefix {
        options.prefix = prefix.parse::<KeyPrefix>()?;
    }
    if args.av_merge {
        options.merge = AvMerge::Merged;
    }
    options.mix = match (args.mode, args.mix.any()) {
        (Mode::Mixed, _) => Some(args.mix.options(MixOptions::default())?),
        (Mode::Single, None) => None,
        (Mode::Single, Some(option)) => return Err(format!("{option} needs --mode mixed").into()),
    };
    options.timeline = args.timeline;
    options.output = args.format.into();
    options.max_file_duration = args.max_file_minutes;
    // The room's end is known here; an hour without anybody in between is no reason to stop.
    options.max_idle = MaxIdleTime::from_secs(86_400).ok_or("86400 s is the longest idle time")?;
    let deliverer = deliverer(args)?;
    let recording = match library {
        Some(library) => {
            RecordingOptions::to_library(options, target(library)).with_on_callback(media.sink())
        }
        None => RecordingOptions::new(options, open_bucket("--out", args.out())?),
    };
    let mut recording =
        Told { start, realtime: args.realtime, policy: policy(args), deliverer: deliverer.clone() }
            .adjust(recording);
    recording.uploader.backup = backup;
    let recording = Recorder::new(args.recorder_options(&spool.root)?).start(recording)?;

    let bar = progress(args, &sessions);
    let failed = play(&recording, start, &mut sessions, args.realtime, &bar).await?;
    let outcome = recording.ended().await?;
    bar.finish_and_clear();

    let calls_through = match &deliverer {
        Some(deliverer) => finish_callbacks(deliverer, args.callback_patience, &spool.root).await,
        None => true,
    };
    if calls_through && outcome.kept == 0 {
        recording.closed().await;
    }
    drop(recording);
    if let Some(folder) = args.vod.as_ref().filter(|_| !args.quiet) {
        table::print_media(&folder.display().to_string(), &media.take())?;
    } else if !args.quiet {
        let prefix = args.prefix.as_deref().filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map_or(String::new(), |prefix| format!("{prefix}/"));
        table::print(args.out(), &format!("{prefix}{task}"), args.format.into(), &outcome)?;
    }
    report_loss(&outcome, &spool.root);
    if outcome.kept == 0 {
        spool.remove();
    }
    Ok(unusable == 0 && failed == 0 && outcome.kept == 0 && outcome.failure.is_none() && calls_through)
}

/// What is the same for every recording of this program.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) start: UnixMillis,
    pub(crate) realtime: bool,
    pub(crate) policy: AddressPolicy,
    pub(crate) deliverer: Option<Deliverer>,
}

impl Told {
    pub(crate) fn adjust(&self, recording: RecordingOptions) -> RecordingOptions {
        let mut recording = recording
            .with_clock(ClockMode::Told { start: self.start })
            .with_queue_bytes(QUEUE_BYTES)
            .with_image_policy(self.policy);
        if !self.realtime {
            recording = recording.with_gather(Duration::ZERO); // batches come, and waiting for more only takes time
        }
        match &self.deliverer {
            Some(deliverer) => recording.with_deliverer(deliverer.clone()),
            None => recording,
        }
    }
}

/// The bucket that `option` names.
pub(crate) fn open_bucket(option: &str, address: &str) -> Result<Bucket, AnyError> {
    match Bucket::open(address, BucketOptions::default()) {
        Err(StorageError::FeatureOff { scheme, feature }) => Err(format!(
            "{option}: this build has no {scheme}:// buckets; build it with `cargo build --release -p record --features {feature}`"
        )
        .into()),
        opened => Ok(opened?),
    }
}

/// The participants whose files can be read, and how many cannot.
pub(crate) fn open_sessions(args: &Args, room: &RoomId) -> Result<(Vec<Session>, usize), AnyError> {
    if args.participants.is_empty() {
        return Ok((simulated_room(args.seconds)?, 0));
    }
    let mut sessions = Vec::new();
    let mut last_error: Option<AnyError> = None;
    let mut unusable = 0;
    let names = TaskNames::new(args.app(), room.clone());
    for participant in &args.participants {
        if args.mode == Mode::Single
            && let Err(error) = names.check_user(&participant.user)
        {
            eprintln!("error: participant {}: {}", participant.user, with_causes(&error));
            unusable += 1;
            last_error = Some(error.into());
            continue;
        }
        match Session::open(participant) {
            Ok(session) => sessions.push(session),
            Err(error) => {
                eprintln!("error: participant {}: {}", participant.user, with_causes(&error));
                unusable += 1;
                last_error = Some(error.into());
            }
        }
    }
    send_from_joining(&mut sessions);
    match last_error {
        Some(_) if sessions.is_empty() => Err("no participant can be read".into()),
        _ => Ok((sessions, unusable)),
    }
}

/// Nobody sends before they are there: what a user sends is later by as much as the first of it would be decoded before
/// they join (B-frames). All of a user's sources alike, because a camera and its microphone may be two files.
fn send_from_joining(sessions: &mut [Session]) {
    let mut leads: HashMap<UserId, RoomTime> = HashMap::new();
    for session in sessions.iter() {
        let lead = leads.entry(session.user.clone()).or_default();
        *lead = session.lead().max(*lead);
    }
    for session in sessions {
        session.delay(leads.get(&session.user).copied().unwrap_or_default());
    }
}

/// Three people who come and go at different times.
fn simulated_room(length: RoomTime) -> Result<Vec<Session>, AnyError> {
    let part = |tenths: i64| RoomTime::from_millis(length.round_to_millis() / 10 * tenths);
    [("alice", 440, 0, 10), ("bob", 554, 1, 10), ("carol", 659, 3, 8)]
        .into_iter()
        .map(|(user, hz, join, leave)| Ok(Session::simulate(user.parse()?, hz, part(join), part(leave))?))
        .collect()
}

/// Lets everything happen in the room in the order of time. Gives how many participants ended with an error.
pub(crate) async fn play(
    recording: &Recording,
    start: UnixMillis,
    sessions: &mut [Session],
    realtime: bool,
    bar: &ProgressBar,
) -> Result<usize, AnyError> {
    let mut room = Feed { recording, waiting: Vec::new(), bytes: 0 };
    let mut pace = Pace { start, began: realtime.then(Instant::now), latest: RoomTime::ZERO };
    // What comes next: by time, who leaves before who joins before who speaks, then by the order of the arguments.
    let mut queue: BinaryHeap<Reverse<(RoomTime, Turn, usize)>> = sessions
        .iter()
        .enumerate()
        .map(|(index, session)| Reverse((session.join, Turn::Join, index)))
        .collect();
    let mut published = Published::new();
    let mut present: HashMap<UserId, usize> = HashMap::new();
    let mut failed = 0;
    while let Some(Reverse((at, turn, index))) = queue.pop() {
        let Some(session) = sessions.get_mut(index) else { continue };
        if realtime {
            room.flush().await?;
        }
        let now = pace.reach(at).await;
        match turn {
            Turn::Leave => {
                end_session(&mut room, now, session, (&mut present, &mut published)).await?;
                continue;
            }
            Turn::Join => {
                let key = |kind| (session.user.clone(), session.media, kind);
                if let Some((kind, _)) = session.tracks().find(|(kind, _)| published.contains(&key(*kind))) {
                    let (label, media) = (&session.label, session.media);
                    bar.suspend(|| {
                        eprintln!(
                            "error: participant {label}: {kind} of their {media} stream is being sent already; it is left out"
                        )
                    });
                    failed += 1;
                    continue;
                }
                let sources = present.entry(session.user.clone()).or_default();
                *sources += 1;
                if *sources == 1 {
                    room.tell(now, RoomEvent::Enter { user: session.user.clone() }).await?;
                }
                for (kind, config) in session.tracks() {
                    let (user, media, origin) = (session.user.clone(), session.media, session.origin());
                    published.insert((user.clone(), media, kind));
                    room.tell(now, RoomEvent::Publish { user, media, config, origin }).await?;
                }
            }
            Turn::Sample => match session.next() {
                Ok(None) => {}
                Ok(Some((kind, sample))) => {
                    bar.inc(u64::try_from(sample.data.len()).unwrap_or(0));
                    let (user, media) = (session.user.clone(), session.media);
                    room.tell(now, RoomEvent::Sample { user, media, kind, sample }).await?;
                }
                Err(error) => {
                    bar.suspend(|| eprintln!("error: participant {}: {}", session.user, with_causes(&error)));
                    failed += 1;
                    end_session(&mut room, now, session, (&mut present, &mut published)).await?;
                    continue;
                }
            },
        }
        // A fault is met when the sample is taken.
        let next = match (session.next_time(), session.leave) {
            (Ok(Some(next)), Some(leave)) if next >= leave => (leave, Turn::Leave),
            (Ok(Some(next)), _) => (next, Turn::Sample),
            (Ok(None), _) => (pace.latest, Turn::Leave),
            (Err(_), _) => (pace.latest, Turn::Sample),
        };
        queue.push(Reverse((next.0.max(session.join), next.1, index)));
    }
    for session in sessions {
        for warning in session.take_warnings() {
            bar.suspend(|| eprintln!("warning: {}: {warning}", session.label));
        }
    }
    room.tell(pace.now(), RoomEvent::Stop { code: LeaveCode::API_STOP }).await?;
    room.flush().await?;
    Ok(failed)
}

/// What is being sent.
type Published = HashSet<(UserId, MediaId, MediaKind)>;

/// What a session does at its next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Leave,
    Join,
    Sample,
}

async fn end_session(
    room: &mut Feed<'_>,
    now: Now,
    session: &Session,
    (present, published): (&mut HashMap<UserId, usize>, &mut Published),
) -> Result<(), AnyError> {
    let user = &session.user;
    for (kind, _) in session.tracks() {
        published.remove(&(user.clone(), session.media, kind));
    }
    let sources = present.entry(user.clone()).or_default();
    *sources = sources.saturating_sub(1);
    if *sources == 0 {
        room.tell(now, RoomEvent::Leave { user: user.clone() }).await?;
        return Ok(());
    }
    for (kind, _) in session.tracks() {
        let (user, media) = (user.clone(), session.media);
        room.tell(now, RoomEvent::Unpublish { user, media, kind }).await?;
    }
    Ok(())
}

/// The way into the recording: events in batches, which spare it a thread to wake for each sample.
struct Feed<'a> {
    recording: &'a Recording,
    waiting: Vec<(Now, RoomEvent)>,
    /// Bytes of the samples that wait.
    bytes: usize,
}

impl Feed<'_> {
    async fn tell(&mut self, now: Now, event: RoomEvent) -> Result<(), SendError> {
        if let RoomEvent::Sample { sample, .. } = &event {
            self.bytes += sample.data.len();
        }
        self.waiting.push((now, event));
        if self.bytes < BATCH_BYTES && self.waiting.len() < BATCH_EVENTS {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), SendError> {
        self.bytes = 0;
        self.recording.events_at(std::mem::take(&mut self.waiting)).await
    }
}

/// The room's clock: as fast as it is asked for, or as people speak.
struct Pace {
    start: UnixMillis,
    began: Option<Instant>,
    latest: RoomTime,
}

impl Pace {
    async fn reach(&mut self, at: RoomTime) -> Now {
        self.latest = self.latest.max(at);
        if let Some(began) = self.began {
            let due = began + Duration::from_nanos(u64::try_from(self.latest.nanos()).unwrap_or(0));
            tokio::time::sleep_until(due.into()).await;
        }
        self.now()
    }

    fn now(&self) -> Now {
        Now { room: self.latest, wall: self.start.saturating_add_millis(self.latest.round_to_millis()) }
    }
}

/// Where files wait: inside of a local target, so that delivering is a rename, else in the temporary directory.
struct Spool {
    root: PathBuf,
    /// Made for this run, and removed after it.
    ours: bool,
}

impl Spool {
    fn for_args(args: &Args) -> Self {
        match &args.spool {
            Some(root) => Self { root: root.clone(), ours: false },
            None => {
                let root = match args.directory() {
                    Some(directory) => directory.join(".recorder-spool"),
                    None => std::env::temp_dir().join(format!("recorder-spool-{}", std::process::id())),
                };
                Self { root, ours: true }
            }
        }
    }

    /// Another run may still use it: then it is not empty and stays.
    fn remove(&self) {
        if self.ours {
            let _ = std::fs::remove_dir(&self.root);
        }
    }
}

/// To which addresses URLs may lead.
pub(crate) const fn policy(args: &Args) -> AddressPolicy {
    if args.allow_private_urls { AddressPolicy::AllowPrivate } else { AddressPolicy::PublicOnly }
}

pub(crate) fn deliverer(args: &Args) -> Result<Option<Deliverer>, AnyError> {
    let Some(url) = &args.callback else { return Ok(None) };
    let key = args.callback_key.as_deref().map(str::parse).transpose()?;
    let options = DelivererOptions::default().with_policy(policy(args));
    match Deliverer::new(url.parse()?, key, args.app(), options) {
        Err(DeliverError::Refused(refused)) => {
            Err(format!("--callback: {refused}; --allow-private-urls permits it").into())
        }
        made => Ok(Some(made?)),
    }
}

pub(crate) async fn finish_callbacks(deliverer: &Deliverer, patience: Duration, spool: &Path) -> bool {
    if tokio::time::timeout(patience, deliverer.finish()).await.is_err() {
        eprintln!(
            "error: the callback server did not take every callback within {} s of the end: see that it answers 200 (an address of this machine or network needs --allow-private-urls), or raise --callback-patience; the recording is complete, and --recover {} --callback URL tells the rest",
            patience.as_secs(),
            spool.display()
        );
        return false;
    }
    let counts = deliverer.counts();
    if counts.given_up > 0 || counts.refused > 0 {
        eprintln!("error: {} callbacks could not be delivered", counts.given_up + counts.refused);
    }
    counts.given_up == 0 && counts.refused == 0
}

pub(crate) fn report_loss(outcome: &Outcome, spool: &Path) {
    for file in &outcome.status.files {
        let (lost, waited) = (file.stats.lost_total(), file.stats.waited);
        if lost > 0 || waited > 0 {
            eprintln!(
                "note: {}: {lost} access units dropped, {waited} passed over while waiting for a key frame",
                file.playlist
            );
        }
    }
    if outcome.status.refused.without_place > 0 {
        eprintln!(
            "note: {} samples of participants beyond the 25th were not recorded",
            outcome.status.refused.without_place
        );
    }
    if let Some(failure) = &outcome.failure {
        eprintln!("error: the disk failed: {}", with_causes(&**failure));
    }
    if outcome.kept > 0 {
        eprintln!("error: {} files could not be delivered and wait in {}", outcome.kept, spool.display());
    }
}

pub(crate) fn progress(args: &Args, sessions: &[Session]) -> ProgressBar {
    if args.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(sessions.iter().map(|session| session.size).sum());
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.with_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) fn now() -> UnixMillis {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    u64::try_from(millis).ok().and_then(UnixMillis::new).unwrap_or(UnixMillis::MAX)
}
