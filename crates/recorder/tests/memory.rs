//! Long calls in bounded memory. Every byte that the process has on its heap is counted, so the tests of this file
//! run one at a time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use peak_alloc::PeakAlloc;
use recorder::callback::LeaveCode;
use recorder::hls::PlaylistText;
use recorder::hls::demux::{DemuxOptions, Demuxer, Event};
use recorder::types::aac::AudioSpecificConfig;
use recorder::types::{
    AacConfig, MediaId, MediaKind, RoomTime, Sample, Timescale, Timestamp, TrackConfig, UnixMillis, UserId,
};
use recorder::{Action, Now, RoomEvent, StorageReport, TaskCore, TrackOrigin};
use recorder_testkit::{aac, h264, hls_rules};
use support::media::h264_config;
use support::{WALL, id, options, wall};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// 33 bits of 90 kHz, less the second at which they begin.
const WRAP_SECONDS: i64 = (1 << 33) / 90_000 - 1;

/// Length of the call: a day, and so much more that the 33 bits of PTS wrap.
const HOURS: i64 = 27;

/// The sets whose bytes are looked at: cameras and microphones of two people.
const KEPT: [usize; 4] = [0, 1, 25, 26];

const AUDIO_RATE: i64 = 8000;
/// AAC frames in one sample: 1.024 s.
const FRAMES: i64 = 8;

/// What a caller keeps of one file set.
#[derive(Default)]
struct Set {
    /// Start that the open segment's name tells, in milliseconds since the start of the task.
    start: i64,
    segments: u64,
    /// The segments around the wrap, and their lines.
    kept: BTreeMap<String, BytesMut>,
    kept_list: PlaylistText,
    open: String,
    keeps: bool,
    names: u64,
    /// The segment that is open, where it may be the last.
    tail: Option<BytesMut>,
}

/// Takes what the core hands out and lets go of it.
fn perform(core: &mut TaskCore, sets: &mut Vec<Set>, now: Now) {
    while let Some(action) = core.poll() {
        match action {
            Action::OpenSegment { set, name } => {
                let set_index = set.index();
                if sets.len() <= set_index {
                    sets.resize_with(set_index + 1, Set::default);
                }
                let set = &mut sets[set_index];
                let digits = name.as_str().rsplit_once('_').unwrap().1.strip_suffix(".ts").unwrap();
                let start = UnixMillis::from_utc_digits(digits).unwrap().get();
                set.start = i64::try_from(start).unwrap() - i64::try_from(WALL).unwrap();
                set.names += 1;
                let ends = KEPT.contains(&set_index) && set.start / 1000 >= HOURS * 3600 - 20;
                set.tail = ends.then(BytesMut::new);
                // Of two users: what the test keeps counts too.
                set.keeps = KEPT.contains(&set_index)
                    && (WRAP_SECONDS - 40..WRAP_SECONDS + 40).contains(&(set.start / 1000));
                if set.keeps {
                    set.open = name.to_string();
                    set.kept.insert(name.to_string(), BytesMut::new());
                }
            }
            Action::SegmentData { set, data } => {
                let set = &mut sets[set.index()];
                if let Some(tail) = &mut set.tail {
                    tail.extend_from_slice(&data);
                }
                if set.keeps {
                    set.kept.get_mut(&set.open).unwrap().extend_from_slice(&data);
                }
            }
            Action::CloseSegment { set, .. } => sets[set.index()].segments += 1,
            Action::Playlist { set, update } => {
                let set = &mut sets[set.index()];
                if set.keeps {
                    set.kept_list.apply(&update);
                }
                core.report(now, StorageReport::PlaylistStored { name: update.name });
            }
            Action::EndUploads => core.report(now, StorageReport::UploadsEnded { kept: 0 }),
            _ => {}
        }
    }
}

fn at(room: RoomTime) -> Now {
    Now { room, wall: wall(WALL).saturating_add_millis(room.nanos().div_euclid(1_000_000)) }
}

fn adts() -> (TrackConfig, Bytes) {
    let rate = u32::try_from(AUDIO_RATE).unwrap();
    let frame = aac::silent_adts(rate, aac::Layout::Mono).unwrap();
    (TrackConfig::Aac(AacConfig::Adts), frame.repeat(usize::try_from(FRAMES).unwrap()).into())
}

fn publish(core: &mut TaskCore, now: Now, user: &UserId, config: TrackConfig) {
    let event = RoomEvent::Publish {
        user: user.clone(),
        media: MediaId::Main,
        config,
        origin: TrackOrigin::FirstArrival,
    };
    core.event(now, event).unwrap();
}

/// How far the last sample of a transport stream is from its time, in milliseconds; `due` is that time after the start.
fn drift(data: &[u8], due_nanos: i64) -> i64 {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(data);
    demuxer.finish();
    let mut last = None;
    while let Some(event) = demuxer.poll() {
        if let Event::Unit(unit) = event {
            last = unit.time.map(|time| time.pts.ticks()).or(last);
        }
    }
    // PTS begins at a second.
    let due = 90_000 + due_nanos * 9 / 100_000;
    let off = (last.unwrap() - due).rem_euclid(1 << 33);
    let off = if off >= 1 << 32 { off - (1 << 33) } else { off };
    (off.abs() + 89) / 90 * off.signum()
}

#[test]
fn a_day_of_25_people_needs_the_memory_of_its_second_hour() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = HEAP.current_usage();
    let mut core = TaskCore::new(options(), at(RoomTime::ZERO)).unwrap();
    let mut sets = Vec::new();
    let users: Vec<UserId> = (0..25).map(|n| id(&format!("user{n}"))).collect();
    let pictures = h264::Pictures::new(recorder::types::Size::new(64, 48).unwrap()).unwrap();
    let key = pictures.opaque(h264::OpaqueKind::Idr, 900);
    let other = pictures.opaque(h264::OpaqueKind::Other, 120);
    let (audio_config, frames) = adts();
    for user in &users {
        core.event(at(RoomTime::ZERO), RoomEvent::Enter { user: user.clone() }).unwrap();
        publish(&mut core, at(RoomTime::ZERO), user, h264_config());
        publish(&mut core, at(RoomTime::ZERO), user, audio_config.clone());
    }
    let mut peaks = Vec::new();
    let mut audio_sent = 0;
    for second in 0..HOURS * 3600 {
        if second % 3600 == 0 && second > 0 {
            peaks.push(HEAP.peak_usage() - before);
            HEAP.reset_peak_usage();
        }
        let now = at(RoomTime::from_secs(second));
        let data = if second % 5 == 0 { &key } else { &other };
        for user in &users {
            let ticks = Timestamp::new(second * 90_000, Timescale::HZ_90000);
            let sample = Sample::new(ticks, data.clone());
            let (media, kind) = (MediaId::Main, MediaKind::Video);
            core.event(now, RoomEvent::Sample { user: user.clone(), media, kind, sample }).unwrap();
            perform(&mut core, &mut sets, now);
        }
        let due = audio_sent * FRAMES * 1024 < second * AUDIO_RATE + 1;
        if due {
            for user in &users {
                let scale = Timescale::new(u32::try_from(AUDIO_RATE).unwrap()).unwrap();
                let sample = Sample::new(Timestamp::new(audio_sent * FRAMES * 1024, scale), frames.clone());
                let (media, kind) = (MediaId::Main, MediaKind::Audio);
                core.event(now, RoomEvent::Sample { user: user.clone(), media, kind, sample }).unwrap();
                perform(&mut core, &mut sets, now);
            }
            audio_sent += 1;
        }
    }
    let last = at(RoomTime::from_secs(HOURS * 3600));
    peaks.push(HEAP.peak_usage() - before);
    println!("peaks of the hours, bytes: {peaks:?}");

    // What the last segment of each set is named after is where its media stands: on the wall clock, since nothing was
    // lost. Sound begins with the first frame after the name.
    let files: Vec<_> = core.files().collect();
    for (set, file) in sets.iter().zip(&files) {
        let closed = file.duration.nanos() / 1_000_000;
        let frame = 1024 * 1000 / AUDIO_RATE;
        let off = set.start - closed;
        let least = if file.stats.pictures > 0 { -5 } else { -frame - 5 };
        assert!((least..=5).contains(&off), "{}: named {off} ms after its media", file.playlist);
    }
    core.event(last, RoomEvent::Stop { code: LeaveCode::API_STOP }).unwrap();
    perform(&mut core, &mut sets, last);

    let (mut video, mut audio) = (0, 0);
    for file in core.files() {
        let (want, count) = if file.stats.pictures > 0 {
            video += 1;
            (HOURS * 3600 * 1000, HOURS * 3600)
        } else {
            audio += 1;
            (audio_sent * FRAMES * 1024 * 1000 / AUDIO_RATE, audio_sent * FRAMES)
        };
        let (taken, got) = (file.stats.pictures + file.stats.audio_frames, file.duration.round_to_millis());
        assert_eq!(i64::try_from(taken).unwrap(), count, "{}", file.playlist);
        assert!((got - want).abs() <= 1, "{}: {got} ms of {want}", file.playlist);
        assert_eq!((file.stats.lost_total(), file.stats.forced_cuts), (0, 0));
        assert!((9700..=9721).contains(&file.segments), "{} segments", file.segments);
    }
    assert_eq!((video, audio), (25, 25));

    // Across the wrap of PTS, by the rules of HLS: times that rise, counters without a hole.
    for set in KEPT.map(|index| &sets[index]) {
        let text = set.kept_list.to_string();
        let listed = text.lines().filter(|line| line.ends_with(".ts")).count();
        assert!(listed >= 7 && !text.contains("DISCONTINUITY"), "{text}");
        let broken = hls_rules::check(&text, |name| set.kept.get(name).map(|data| data.to_vec()));
        assert!(broken.is_empty(), "{broken:#?}\n{text}");
    }

    // Sound and pictures of a user are in step with the room, and so with each other.
    for (set, file) in KEPT.map(|index| (&sets[index], &files[index])) {
        let nanos = if file.stats.pictures > 0 {
            (HOURS * 3600 - 1) * 1_000_000_000
        } else {
            (audio_sent * FRAMES - 1) * 1024 * 1_000_000_000 / AUDIO_RATE
        };
        let off = drift(set.tail.as_ref().unwrap(), nanos);
        println!("{}: {off} ms off after {HOURS} hours", file.playlist);
        assert!(off.abs() <= 10, "{}: {off} ms", file.playlist);
    }

    // 64 KiB of TS and about as much of tables for each camera, a tenth of that for each microphone.
    let bound = 25 * (160 << 10);
    assert!(peaks.iter().all(|peak| *peak < bound), "{peaks:?} of {bound}");
    // But for the segments of the wrap, which the test keeps.
    let second = peaks[1];
    for (hour, peak) in peaks.iter().enumerate().skip(2).filter(|(hour, _)| *hour != 26) {
        assert!(*peak <= second + (16 << 10), "hour {hour}: {peak} bytes, {second} in the second");
    }
}

/// Users who come once and go leave a file set each, which has to stay until the end: they might come back.
#[test]
fn ten_thousand_people_who_come_and_go_leave_little_behind() {
    const USERS: i64 = 10_000;
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = HEAP.current_usage();
    let mut core = TaskCore::new(options(), at(RoomTime::ZERO)).unwrap();
    let mut sets = Vec::new();
    let pictures = h264::Pictures::new(recorder::types::Size::new(1280, 720).unwrap()).unwrap();
    let key = pictures.opaque(h264::OpaqueKind::Idr, 30_000);
    let other = pictures.opaque(h264::OpaqueKind::Other, 9000);
    let config = AudioSpecificConfig::new(48_000, 1).unwrap();
    let mut half = 0;
    for n in 0..USERS {
        if n == USERS / 2 {
            half = HEAP.current_usage() - before - held(&sets);
        }
        let user = id(&format!("visitor-{n}"));
        let start = RoomTime::from_millis(n * 8640);
        core.event(at(start), RoomEvent::Enter { user: user.clone() }).unwrap();
        publish(&mut core, at(start), &user, h264_config());
        publish(&mut core, at(start), &user, TrackConfig::Aac(AacConfig::Raw(config)));
        for frame in 0..40 {
            let room = start.saturating_add(RoomTime::from_millis(frame * 40));
            let (media, now) = (MediaId::Main, at(room));
            let data = if frame == 0 { &key } else { &other };
            let sample = Sample::new(Timestamp::new(frame * 3600, Timescale::HZ_90000), data.clone());
            let event = RoomEvent::Sample { user: user.clone(), media, kind: MediaKind::Video, sample };
            core.event(now, event).unwrap();
            let data = aac::silent_frame(aac::Layout::Mono);
            let sample = Sample::new(Timestamp::new(frame * 1024, Timescale::HZ_48000), data);
            let event = RoomEvent::Sample { user: user.clone(), media, kind: MediaKind::Audio, sample };
            core.event(now, event).unwrap();
            perform(&mut core, &mut sets, now);
        }
        let gone = at(start.saturating_add(RoomTime::from_millis(2000)));
        core.event(gone, RoomEvent::Leave { user }).unwrap();
        perform(&mut core, &mut sets, gone);
    }
    let all = HEAP.current_usage() - before - held(&sets);
    let each = (all - half) / usize::try_from(USERS).unwrap();
    println!("{all} bytes for {} file sets that are idle, {each} each", sets.len());
    assert_eq!(i64::try_from(sets.len()).unwrap(), 2 * USERS);
    assert!(each < 4 << 10, "{each} bytes for an idle file set");
}

/// A stream that begins ten thousand times a second and one that is there once need the same.
#[test]
fn a_stream_that_flaps_leaks_nothing() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = HEAP.current_usage();
    let mut core = TaskCore::new(options(), at(RoomTime::ZERO)).unwrap();
    let mut sets = Vec::new();
    let user = id("alice");
    let config = TrackConfig::Aac(AacConfig::Raw(AudioSpecificConfig::new(48_000, 1).unwrap()));
    let mut held = Vec::new();
    for n in 0..100_000 {
        let now = at(RoomTime::from_nanos(n * 100_000));
        core.event(now, RoomEvent::Enter { user: user.clone() }).unwrap();
        publish(&mut core, now, &user, config.clone());
        let sample =
            Sample::new(Timestamp::new(n * 5, Timescale::HZ_48000), aac::silent_frame(aac::Layout::Mono));
        let (media, kind) = (MediaId::Main, MediaKind::Audio);
        core.event(now, RoomEvent::Sample { user: user.clone(), media, kind, sample }).unwrap();
        core.event(now, RoomEvent::Leave { user: user.clone() }).unwrap();
        perform(&mut core, &mut sets, now);
        if n % 10_000 == 9999 {
            held.push(HEAP.current_usage() - before);
        }
    }
    println!("held after each second: {held:?}");
    assert!(held.iter().all(|held| *held < 64 << 10), "{held:?}");
    assert!(held[9] <= held[0] + 1024, "{held:?}");
}

/// What the test itself has of its sets.
fn held(sets: &Vec<Set>) -> usize {
    sets.capacity() * size_of::<Set>()
}
