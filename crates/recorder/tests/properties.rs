//! Any events in any order: who is recorded and what is told follow a simple model, and bad input stays alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use recorder::callback::LeaveCode;
use recorder::types::{MediaId, MediaKind, RoomTime, Sample, Timescale, Timestamp, TrackConfig};
use recorder::{
    Action, AvMerge, MAX_ANCHORS, MaxIdleTime, MediaSelection, Now, RoomEvent, StorageReport,
    StreamSelection, Subscription, TaskCore, TaskOptions, TrackOrigin,
};
use recorder_testkit::hostile::{self, Trouble};
use support::media::{Source, aac_config, camera, h264_config, microphone, prepared};
use support::sim::{Sim, Storage};
use support::{id, options_with, wall};

const USERS: usize = 32;
const MEDIA: [(MediaId, MediaKind); 4] = [
    (MediaId::Main, MediaKind::Audio),
    (MediaId::Main, MediaKind::Video),
    (MediaId::Aux, MediaKind::Audio),
    (MediaId::Aux, MediaKind::Video),
];

#[derive(Clone, Debug)]
enum Op {
    Enter(usize),
    Leave(usize),
    /// So many users enter, each with a stream.
    Crowd(usize),
    Publish(usize, usize),
    Unpublish(usize, usize),
    /// A stream sends so many samples from now on.
    Send(usize, usize, u8),
    Subscribe(usize),
    Wait(u32),
    /// The wall clock jumps, in milliseconds.
    WallJump(i32),
    StorageDown(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let user = || 0..USERS;
    let op = prop_oneof![
        4 => user().prop_map(Op::Enter),
        2 => user().prop_map(Op::Leave),
        1 => (0..USERS + 1).prop_map(Op::Crowd),
        6 => (user(), 0..MEDIA.len()).prop_map(|(user, media)| Op::Publish(user, media)),
        2 => (user(), 0..MEDIA.len()).prop_map(|(user, media)| Op::Unpublish(user, media)),
        20 => (user(), 0..MEDIA.len(), 1u8..40).prop_map(|(user, media, n)| Op::Send(user, media, n)),
        1 => (0..lists().len()).prop_map(Op::Subscribe),
        2 => (0u32..4000).prop_map(Op::Wait),
        1 => (0u32..20_000).prop_map(Op::Wait),
        1 => (-5_000_000i32..5_000_000).prop_map(Op::WallJump),
        1 => any::<bool>().prop_map(Op::StorageDown),
    ];
    proptest::collection::vec(op, 0..120)
}

/// Names such that the lists below choose some, and one that is itself a pattern.
fn name(user: usize) -> String {
    if user == 31 { "u1.*$".into() } else { format!("u{user}") }
}

/// Allow and block lists of audio, then of video.
type Lists = [&'static [&'static str]; 4];

fn lists() -> Vec<Lists> {
    vec![
        [&[], &[], &[], &[]],
        [&["u1.*$"], &[], &[], &["u2.*$", "u5"]],
        [&["u0", "u1", "u31"], &[], &["u.*$"], &[]],
        [&[], &["u1.*$", "u31"], &["u2"], &[]],
        [&["nobody"], &[], &["nobody"], &[]],
    ]
}

fn subscription(lists: Lists) -> Subscription {
    let [allow_audio, block_audio, allow_video, block_video] = lists;
    Subscription::everyone()
        .with_allowed(MediaKind::Audio, allow_audio)
        .unwrap()
        .with_blocked(MediaKind::Audio, block_audio)
        .unwrap()
        .with_allowed(MediaKind::Video, allow_video)
        .unwrap()
        .with_blocked(MediaKind::Video, block_video)
        .unwrap()
}

/// The rules in the plainest way.
struct Model {
    options: TaskOptions,
    lists: Lists,
    /// In order of entry.
    present: Vec<usize>,
    places: BTreeSet<usize>,
    published: BTreeSet<(usize, usize)>,
    /// Playlists that have to come, by their last part.
    playlists: BTreeSet<String>,
    unwanted: u64,
    without_place: u64,
    unknown: u64,
}

impl Model {
    fn listed(&self, user: usize, entries: &[&str]) -> bool {
        entries.iter().any(|entry| {
            let alone = self.present.iter().any(|other| name(*other) == *entry);
            match entry.strip_suffix(".*$") {
                Some(prefix) if !alone => name(user).starts_with(prefix),
                _ => name(user) == *entry,
            }
        })
    }

    fn wants(&self, user: usize, kind: MediaKind) -> bool {
        let (allowed, blocked, other) = match kind {
            MediaKind::Audio => (self.lists[0], self.lists[1], StreamSelection::VideoOnly),
            MediaKind::Video => (self.lists[2], self.lists[3], StreamSelection::AudioOnly),
        };
        self.options.stream_type != other
            && (allowed.is_empty() || self.listed(user, allowed))
            && !self.listed(user, blocked)
    }

    fn wants_any(&self, user: usize) -> bool {
        self.wants(user, MediaKind::Audio) || self.wants(user, MediaKind::Video)
    }

    /// Who may not stay goes, then the earliest who wait come.
    fn settle(&mut self) {
        let stay = |user: &usize| self.present.contains(user) && self.wants_any(*user);
        self.places = self.places.iter().copied().filter(stay).collect();
        for user in self.present.clone() {
            if self.places.len() < MAX_ANCHORS && self.wants_any(user) {
                self.places.insert(user);
            }
        }
    }

    fn sample(&mut self, user: usize, media: usize) {
        let (id, kind) = MEDIA[media];
        if !self.published.contains(&(user, media)) {
            self.unknown += 1;
        } else if !self.places.contains(&user) && self.wants_any(user) {
            self.without_place += 1;
        } else if !self.wants(user, kind)
            || (id, kind) == (MediaId::Aux, MediaKind::Audio)
            || matches!(
                (self.options.media, id),
                (MediaSelection::MainOnly, MediaId::Aux) | (MediaSelection::AuxOnly, MediaId::Main)
            )
        {
            self.unwanted += 1;
        } else {
            let merged = self.options.merge == AvMerge::Merged
                && self.options.stream_type == StreamSelection::AudioAndVideo
                && id == MediaId::Main;
            let kind = if merged { "audiovideo".to_owned() } else { kind.to_string() };
            let user = recorder::naming::encode_field(name(user).as_bytes());
            self.playlists.insert(format!("UserId_s_{user}__UserId_e_{id}_{kind}.m3u8"));
        }
    }
}

fn tasks() -> impl Strategy<Value = TaskOptions> {
    use MediaSelection::{AuxOnly, Both, MainOnly};
    use StreamSelection::{AudioAndVideo, AudioOnly, VideoOnly};
    let stream_type = prop_oneof![4 => Just(AudioAndVideo), 1 => Just(AudioOnly), 1 => Just(VideoOnly)];
    let media = prop_oneof![4 => Just(Both), 1 => Just(MainOnly), 1 => Just(AuxOnly)];
    let merge = prop_oneof![Just(AvMerge::Separate), Just(AvMerge::Merged)];
    (stream_type, media, merge, 5u32..100).prop_map(|(stream_type, media, merge, idle)| {
        options_with(|task| {
            (task.stream_type, task.media, task.merge) = (stream_type, media, merge);
            task.max_idle = MaxIdleTime::from_secs(idle).unwrap();
        })
    })
}

/// What the caller has to do, in order. With [`Op::Send`] every sample can be decoded, so that all that are recorded
/// leave a trace.
fn inputs(ops: &[Op]) -> Vec<(Now, Input)> {
    let mut inputs = Vec::new();
    let (mut room, mut shift) = (0i64, 0i64);
    let camera_idr =
        recorder_testkit::h264::Pictures::new(recorder::types::Size::new(32, 32).unwrap()).unwrap().idr(100);
    for op in ops {
        let at = |room: i64| Now {
            room: RoomTime::from_millis(room),
            wall: wall(support::WALL).saturating_add_millis(room + shift),
        };
        let mut push = |room: i64, input: Input| inputs.push((at(room), input));
        let publish = |user: usize, media: usize| RoomEvent::Publish {
            user: id(&name(user)),
            media: MEDIA[media].0,
            config: match MEDIA[media].1 {
                MediaKind::Audio => TrackConfig::Aac(recorder::types::AacConfig::Raw(aac_config())),
                MediaKind::Video => h264_config(),
            },
            origin: TrackOrigin::FirstArrival,
        };
        match *op {
            Op::Enter(user) => {
                push(room, Input::Event(op.clone(), RoomEvent::Enter { user: id(&name(user)) }))
            }
            Op::Leave(user) => {
                push(room, Input::Event(op.clone(), RoomEvent::Leave { user: id(&name(user)) }))
            }
            Op::Crowd(count) => {
                for user in 0..count {
                    let event = RoomEvent::Enter { user: id(&name(user)) };
                    push(room, Input::Event(Op::Enter(user), event));
                    push(room, Input::Event(Op::Publish(user, user % 4), publish(user, user % 4)));
                }
            }
            Op::Publish(user, media) => push(room, Input::Event(op.clone(), publish(user, media))),
            Op::Unpublish(user, media) => {
                let (id_of, kind) = MEDIA[media];
                let event = RoomEvent::Unpublish { user: id(&name(user)), media: id_of, kind };
                push(room, Input::Event(op.clone(), event));
            }
            Op::Send(user, media, count) => {
                let (id_of, kind) = MEDIA[media];
                for _ in 0..count {
                    room += 21;
                    let (scale, data) = match kind {
                        MediaKind::Audio => (Timescale::HZ_48000, support::media::silence()),
                        MediaKind::Video => (Timescale::HZ_90000, camera_idr.clone()),
                    };
                    let ticks = Timestamp::new(room * i64::from(scale.hz()) / 1000, scale);
                    let sample = Sample::new(ticks, data);
                    let event = RoomEvent::Sample { user: id(&name(user)), media: id_of, kind, sample };
                    push(room, Input::Event(op.clone(), event));
                }
            }
            Op::Subscribe(list) => {
                let event = RoomEvent::Subscribe { subscription: subscription(lists()[list]) };
                push(room, Input::Event(op.clone(), event));
            }
            Op::Wait(millis) => {
                room += i64::from(millis);
                push(room, Input::Tick);
            }
            Op::WallJump(by) => shift = (shift + i64::from(by)).max(-1_000_000_000),
            Op::StorageDown(down) => push(room, Input::Storage(down)),
        }
    }
    inputs
}

#[derive(Clone, Debug)]
enum Input {
    Event(Op, RoomEvent),
    Tick,
    Storage(bool),
}

/// All actions of one run. Reports do not depend on them, so that the caller may look at any time.
fn actions(task: &TaskOptions, inputs: &[(Now, Input)], mut poll_now: impl FnMut() -> bool) -> Vec<Action> {
    let start = Now { room: RoomTime::ZERO, wall: wall(support::WALL) };
    let mut core = TaskCore::new(task.clone(), start).unwrap();
    let mut actions = Vec::new();
    let mut last = start;
    for (now, input) in inputs {
        last = *now;
        match input {
            // What cannot be followed changes nothing, see the other tests.
            Input::Event(_, event) => drop(core.event(*now, event.clone())),
            Input::Tick => core.tick(*now),
            Input::Storage(true) => core
                .report(*now, StorageReport::UploadFailed { code: "Busy".into(), message: "later".into() }),
            Input::Storage(false) => {
                let first = core.files().next();
                if let Some(file) = first {
                    core.report(*now, StorageReport::PlaylistStored { name: file.playlist });
                }
            }
        }
        if poll_now() {
            actions.extend(std::iter::from_fn(|| core.poll()));
        }
    }
    // It may have ended by itself.
    let _ = core.event(last, RoomEvent::Stop { code: LeaveCode::API_STOP });
    core.report(last, StorageReport::UploadsEnded { kept: 3 });
    core.report(last, StorageReport::KeptDelivered);
    actions.extend(std::iter::from_fn(|| core.poll()));
    actions
}

/// What is in the segments of each set, without their names.
fn media(actions: &[Action]) -> BTreeMap<usize, Vec<Vec<u8>>> {
    let mut sets = BTreeMap::<usize, Vec<Vec<u8>>>::new();
    for action in actions {
        match action {
            Action::OpenSegment { set, .. } => sets.entry(set.index()).or_default().push(Vec::new()),
            Action::SegmentData { set, data } => {
                sets.get_mut(&set.index()).unwrap().last_mut().unwrap().extend_from_slice(data);
            }
            _ => {}
        }
    }
    sets
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_room_is_recorded_as_the_rules_say(task in tasks(), ops in ops()) {
        let mut sim = Sim::new(task.clone());
        let mut model = Model {
            options: task,
            lists: lists()[0],
            present: Vec::new(),
            places: BTreeSet::new(),
            published: BTreeSet::new(),
            playlists: BTreeSet::new(),
            unwanted: 0,
            without_place: 0,
            unknown: 0,
        };
        for (now, input) in inputs(&ops) {
            sim.wall_shift = i64::try_from(now.wall.get()).unwrap()
                - i64::try_from(support::WALL).unwrap()
                - now.room.round_to_millis();
            sim.run_to(now.room.round_to_millis());
            // The idle time ran out on the way.
            if sim.core.state() == recorder::TaskState::Exited {
                prop_assert!(model.present.is_empty());
                break;
            }
            match input {
                Input::Tick => {}
                Input::Storage(down) => sim.storage = if down { Storage::Down } else { Storage::Up },
                Input::Event(op, event) => {
                    let result = sim.event(event);
                    let known = match op {
                        Op::Enter(user) => {
                            if model.present.contains(&user) {
                                model.published.retain(|(who, _)| *who != user);
                            } else {
                                model.present.push(user);
                            }
                            true
                        }
                        Op::Leave(user) => {
                            let known = model.present.contains(&user);
                            model.present.retain(|who| *who != user);
                            model.published.retain(|(who, _)| *who != user);
                            known
                        }
                        Op::Publish(user, media) => {
                            let known = model.present.contains(&user);
                            if known {
                                model.published.insert((user, media));
                            }
                            known
                        }
                        Op::Unpublish(user, media) => model.published.remove(&(user, media)),
                        Op::Send(user, media, _) => {
                            model.sample(user, media);
                            model.unknown -= u64::from(!model.published.contains(&(user, media)));
                            model.published.contains(&(user, media))
                        }
                        Op::Subscribe(list) => {
                            model.lists = lists()[list];
                            true
                        }
                        Op::Crowd(_) | Op::Wait(_) | Op::WallJump(_) | Op::StorageDown(_) => unreachable!(),
                    };
                    prop_assert_eq!(result.is_ok(), known, "{:?}: {:?}", op, result);
                    model.unknown += u64::from(!known);
                    model.settle();
                }
            }
            let refused = sim.core.refused();
            prop_assert_eq!(
                (refused.unwanted, refused.without_place, refused.unknown),
                (model.unwanted, model.without_place, model.unknown)
            );
            prop_assert_eq!(sim.core.deadline().is_some(), model.present.is_empty());
        }
        if sim.core.state() != recorder::TaskState::Exited {
            sim.stop(LeaveCode::API_STOP);
        }
        if !sim.output.finished {
            sim.storage_is_back();
        }
        prop_assert!(sim.output.finished);
        sim.output.check();
        let found: BTreeSet<String> = sim
            .output
            .playlists
            .keys()
            .map(|name| name.split_once("__").unwrap().1.to_owned())
            .collect();
        prop_assert_eq!(found, model.playlists);
        let (files, lost): (usize, u64) =
            sim.core.files().fold((0, 0), |(n, lost), file| (n + 1, lost + file.stats.lost_total()));
        prop_assert_eq!((files, lost), (sim.output.playlists.len(), 0));
    }

    #[test]
    fn actions_are_the_same_whenever_they_are_taken(task in tasks(), ops in ops(), seed: u64) {
        let inputs = inputs(&ops);
        let mut random = hostile::Random::new(seed);
        let often = format!("{:?}", actions(&task, &inputs, || true));
        prop_assert_eq!(&often, &format!("{:?}", actions(&task, &inputs, || false)));
        prop_assert_eq!(&often, &format!("{:?}", actions(&task, &inputs, || random.below(3) == 0)));
    }

    #[test]
    fn a_wall_clock_that_jumps_moves_no_media(task in tasks(), ops in ops()) {
        let steady: Vec<Op> = ops.iter().filter(|op| !matches!(op, Op::WallJump(_))).cloned().collect();
        let (jumping, steady) =
            (actions(&task, &inputs(&ops), || true), actions(&task, &inputs(&steady), || true));
        prop_assert_eq!(media(&jumping), media(&steady));
    }

    #[test]
    fn a_hostile_timeline_disturbs_no_other_track(
        seed: u64, every in 1u64..40, video: bool, merged: bool, wild_pts: bool,
    ) {
        let run = |bad: Option<Source>| {
            let merge = if merged { AvMerge::Merged } else { AvMerge::Separate };
            let mut sim = Sim::new(options_with(|task| task.merge = merge));
            sim.enter("good");
            sim.publish("good", MediaId::Main, microphone());
            sim.publish("good", MediaId::Main, camera());
            sim.enter("bad");
            if let Some(source) = bad {
                sim.publish("bad", MediaId::Main, source);
            }
            sim.run_to(15_000);
            sim.stop(LeaveCode::API_STOP);
            sim.output.check_order_of_events();
            sim
        };
        let (rate, step, mut source) =
            if video { (90_000, 3000, camera()) } else { (48_000, 1024, microphone()) };
        let mut random = hostile::Random::new(seed);
        let mut arrival = 0;
        let timeline = hostile::timeline(seed, 400, rate, step, every, &Trouble::ALL);
        let second = i64::from(rate);
        let jumps = timeline
            .windows(2)
            .filter(|pair| !(-second..=5 * second).contains(&(pair[1].ticks - pair[0].ticks)))
            .count();
        let samples = timeline
            .into_iter()
            .map(|place| {
                let mut sample = source.next();
                let at = Timestamp::new(place.ticks, sample.dts.timescale());
                (sample.pts, sample.dts) = (at, at);
                if wild_pts && random.below(10) == 0 {
                    let ticks = i64::from_le_bytes(random.bits().to_le_bytes());
                    sample.pts = Timestamp::new(ticks >> random.below(63), at.timescale());
                }
                arrival += i64::from(step) * 1_000_000_000 / i64::from(rate);
                (RoomTime::from_nanos(arrival), sample)
            })
            .collect();
        let (with, without) = (run(Some(prepared(source.config(), samples))), run(None));
        let good = support::sim::encoded("good");
        prop_assert_eq!(with.output.segments_of(&good), without.output.segments_of(&good));
        prop_assert_eq!(with.output.states.iter().filter(|(name, _)| name.contains(&good)).collect::<Vec<_>>(),
            without.output.states.iter().collect::<Vec<_>>());
        // What is recorded of it is in order, and not more than was sent.
        for playlist in with.output.playlists.keys().filter(|name| !name.contains(&good)) {
            let text = with.output.playlists[playlist].to_string();
            let broken = recorder_testkit::hls_rules::check(&text, |name| with.output.segments.get(name).cloned());
            prop_assert!(broken.is_empty(), "{:#?}\n{}", broken, text);
            // A jump is told once. (Sound goes by its presentation times, which are wild.)
            if video || !wild_pts {
                let tags = text.matches("#EXT-X-DISCONTINUITY").count();
                prop_assert!(tags <= jumps, "{} tags for {} jumps\n{}", tags, jumps, text);
            }
        }
        let stats: Vec<_> = with.core.files().filter(|file| file.user == Some(id("bad"))).collect();
        for file in stats {
            let stats = file.stats;
            let seen = stats.audio_frames + stats.pictures + stats.waited + stats.lost_total();
            prop_assert!(seen <= 400, "{stats:?}");
        }
    }
}
