//! A process that is killed at any moment loses no segment that it had closed: recovery delivers them and goes on.
//!
//! 30 points, or as many as `RECORDER_KILLS` says; `RECORDER_SEED` chooses others. Exact points by `strace` and
//! `prlimit`, where they are there and may. The rooms are of real media where the corpus is there. What is not as in a
//! run that nobody interferes with is decoded by FFmpeg, and played in a browser for two points where
//! `RECORDER_PLAY_CHECK` names the `play-check.mjs` of the corpus' tools.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use recorder::callback::{CallbackBody, Payload};
use recorder_testkit::aac::{Layout, silent_adts};
use recorder_testkit::ffmpeg::{self, Verdict};
use recorder_testkit::h264::Pictures;
use recorder_testkit::media::media_file;
use recorder_types::Size;
use support::files;
use tokio::runtime::Runtime;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A PES packet of a picture, at most, with its share of sound in between.
const OPEN_PES: usize = 188 * 150;

type Files = BTreeMap<String, Vec<u8>>;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// SplitMix64: the same points for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end.max(1)
    }
}

struct Place {
    root: tempfile::TempDir,
    /// Who is told what happens.
    told: Option<String>,
}

impl Place {
    fn new(told: Option<String>) -> Self {
        Self { root: tempfile::tempdir().unwrap(), told }
    }

    fn out(&self) -> PathBuf {
        self.root.path().join("out")
    }

    fn spool(&self) -> PathBuf {
        self.root.path().join("spool")
    }

    fn record(&self, args: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
        command.args(["--start-time", "1700000000000", "--task-id", "task01", "-q", "--out"]);
        command.arg(self.out()).arg("--spool").arg(self.spool()).args(args).args(self.callback());
        command
    }

    fn callback(&self) -> Vec<&str> {
        self.told.as_deref().map_or(Vec::new(), |url| vec!["--allow-private-urls", "--callback", url])
    }

    fn recover(&self, with: Option<&Path>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
        command.args(["--start-time", "1700010000000", "-q", "--recover"]).arg(self.spool());
        command.args(self.callback());
        if let Some(file) = with {
            command.arg("--participant").arg(format!("dave={}", file.display()));
        }
        command
    }

    /// What is in the bucket, without what is on its way into it.
    fn delivered(&self) -> Files {
        let mut found = if self.out().exists() { files(&self.out()) } else { Files::new() };
        found.retain(|name, _| !name.contains(".put-"));
        found
    }
}

/// Runs `command` and kills it `later` than `sign` is seen, unless it ends before: then its status is given.
fn kill_after(mut command: Command, mut sign: impl FnMut() -> bool, later: Duration) -> Option<ExitStatus> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut due = None;
    while due.is_none_or(|due| Instant::now() < due) {
        if due.is_none() && sign() {
            due = Some(Instant::now() + later);
        }
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// The segments that a playlist names, in order.
fn listed(text: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines.filter(|line| line.ends_with(".ts")).map(str::to_owned).collect()
}

/// Nothing that was there is lost, or other than it was; playlists have grown.
fn assert_kept(before: &Files, after: &Files, at: &str) {
    for (name, bytes) in before {
        let now = after.get(name).unwrap_or_else(|| panic!("{at}: {name} is lost"));
        if name.ends_with(".m3u8") {
            let (old, new) = (listed(bytes), listed(now));
            assert_eq!(old, new[..old.len().min(new.len())], "{at}: {name} is another");
        } else {
            assert!(now == bytes, "{at}: {name} is another");
        }
    }
}

/// What the first run has left is the beginning of what it would have been, and every segment is listed.
fn assert_whole(whole: &Files, found: &Files, at: &str) {
    let mut names = Vec::new();
    for (list, text) in found.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
        let directory = list.rsplit_once('/').unwrap().0;
        let lookup = |name: &str| found.get(&format!("{directory}/{name}")).cloned();
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{at}: {list}");
        let broken = recorder_testkit::hls_rules::check(text, lookup);
        assert!(broken.is_empty(), "{at}: {list}: {broken:#?}\n{text}");
        names.extend(listed(text.as_bytes()).iter().map(|name| format!("{directory}/{name}")));
        let Some(reference) = whole.get(list) else { continue };
        let (reference, segments) = (listed(reference), listed(text.as_bytes()));
        assert_eq!(segments, reference[..segments.len()], "{at}: {list}");
        for (number, name) in segments.iter().enumerate() {
            let (want, got) =
                (&whole[&format!("{directory}/{name}")], &found[&format!("{directory}/{name}")]);
            let open = number + 1 == segments.len();
            // The last may end earlier; where it was ended and not cut off, its last PES packet is another.
            let same = want.iter().zip(got).take_while(|(want, got)| want == got).count();
            assert!(got == want || (open && same + OPEN_PES >= got.len()), "{at}: {name} is another");
        }
    }
    names.sort();
    let mut segments: Vec<String> = found.keys().filter(|name| name.ends_with(".ts")).cloned().collect();
    segments.sort();
    assert_eq!(names, segments, "{at}: every segment is listed once");
}

/// How many segments were closed, by the journal.
fn journalled(place: &Place) -> usize {
    let journal = std::fs::read(place.spool().join("task01/journal~")).unwrap_or_default();
    journal.windows(12).filter(|window| window == b"{\"segment\":{").count()
}

/// Some people, one of them in two pieces; and what is recorded of them where nobody interferes.
struct Room {
    args: Vec<String>,
    whole: Files,
    micros: u64,
    /// Who comes when the recording goes on.
    guest: PathBuf,
    /// Who is told what happens.
    listener: Option<(Runtime, MockServer)>,
    _files: Vec<tempfile::NamedTempFile>,
}

impl Room {
    /// Two people of some minutes, made up.
    fn new(seconds: usize, args: &[&str]) -> Self {
        let files = vec![adts(seconds), annex_b(seconds), adts(4)];
        let path = |index: usize| files[index].path().to_owned();
        let (sound, pictures, guest) = (path(0), path(1), path(2));
        let people = [
            format!("alice={}", sound.display()),
            format!("alice={},fps=10", pictures.display()),
            format!("bob={},leave={}", sound.display(), seconds / 3),
            format!("bob={},join={}", sound.display(), seconds / 2),
        ];
        Self::of(args, &people, guest, files)
    }

    /// Cameras and voices of the corpus for at most `seconds`; `None` where it is not.
    fn real(seconds: usize, args: &[&str]) -> Option<Self> {
        let (walk, voice) =
            (media_file("mp4/one-by-one-person-detection.mp4")?, media_file("mp4/count-english-audio.mp4")?);
        let (film, guest) = (media_file("mp4/chrome.mp4")?, media_file("mp4/davidappend_v1.mp4")?);
        let people = [
            format!("alice={},leave={seconds}", walk.display()),
            format!("alice={},leave={seconds}", voice.display()),
            format!("bob={},leave=10", film.display()),
            format!("bob={},join=20,leave={}", film.display(), seconds.min(50)),
        ];
        Some(Self::of(args, &people, guest, Vec::new()))
    }

    fn of(args: &[&str], people: &[String], guest: PathBuf, files: Vec<tempfile::NamedTempFile>) -> Self {
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        args.extend(people.iter().flat_map(|one| ["--participant".to_owned(), one.clone()]));
        let mut room = Self { args, whole: Files::new(), micros: 0, guest, listener: None, _files: files };
        let place = Place::new(None);
        let began = Instant::now();
        let output = place.record(&room.args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        room.micros = u64::try_from(began.elapsed().as_micros()).unwrap();
        room.whole = place.delivered();
        support::assert_playable(&place.out());
        room
    }

    /// From now on somebody listens to what happens.
    fn listened_to(mut self) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(MockServer::start());
        self.listener = Some((runtime, server));
        self
    }

    /// A place in which nothing has happened.
    fn place(&self) -> Place {
        let Some((runtime, server)) = &self.listener else { return Place::new(None) };
        runtime.block_on(async {
            server.reset().await;
            Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(server).await;
        });
        Place::new(Some(server.uri()))
    }

    /// What was told of a task, whatever processes told it, fits what was found in the end.
    fn assert_told(&self, found: &Files, at: &str) {
        let Some((runtime, server)) = &self.listener else { return };
        let requests = runtime.block_on(server.received_requests()).unwrap();
        // Who was told something when the process died is told once more.
        let mut seen = std::collections::BTreeSet::new();
        let bodies = requests.iter().map(|request| request.body.clone());
        let once: Vec<Vec<u8>> = bodies.filter(|body| seen.insert(body.clone())).collect();
        let events: Vec<CallbackBody> =
            once.iter().map(|body| CallbackBody::from_json(body).unwrap()).collect();
        let numbers: Vec<u32> = events.iter().map(|body| body.event().event_type().number()).collect();
        if numbers.is_empty() {
            assert!(found.is_empty(), "{at}: nobody was told of {:?}", found.keys());
            return; // it died before there was a task
        }
        let count = |number| numbers.iter().filter(|other| **other == number).count();
        let lists = found.keys().filter(|name| name.ends_with(".m3u8")).count();
        let movies = found.keys().filter(|name| name.ends_with(".mp4")).count();
        assert_eq!([301, 303, 302].map(count), [1; 3], "{at}: {numbers:?}");
        assert_eq!(count(304), usize::from(lists > 0), "{at}: {numbers:?}");
        assert_eq!(numbers[..2], [301, 303], "{at}: {numbers:?}");
        let end = if movies > 0 { 310 } else { 305 };
        assert_eq!(numbers.last(), Some(&end), "{at}: {numbers:?}");
        assert!(count(306) > 0 || !found.keys().any(|name| name.contains("/ha")), "{at}: {numbers:?}");
        let kept = events.iter().filter(|body| {
            matches!(body.event().payload(),
            Payload::UploadStop(status) if *status != recorder::callback::UploadStatus::ALL_STORED)
        });
        assert_eq!(kept.count(), 0, "{at}: {numbers:?}");
    }

    /// What is not as where nobody interferes is decoded to its end; what is was. FFmpeg knows a transport stream by ten
    /// packets: a playlist with a shorter segment is left out.
    fn assert_plays(&self, place: &Place, found: &Files, at: &str) {
        for (name, bytes) in found.iter().filter(|(name, _)| !name.ends_with(".ts")) {
            let directory = name.rsplit_once('/').unwrap().0;
            let as_whole = self.whole.get(name) == Some(bytes)
                && (name.ends_with(".mp4")
                    || listed(bytes)
                        .iter()
                        .map(|segment| format!("{directory}/{segment}"))
                        .all(|segment| self.whole.get(&segment) == found.get(&segment)));
            let is_known = |segment: &String| {
                found.get(&format!("{directory}/{segment}")).is_none_or(|data| data.len() >= 10 * 188)
            };
            if !as_whole && (name.ends_with(".mp4") || listed(bytes).iter().all(is_known)) {
                match ffmpeg::strict_decode(&place.out().join(name)) {
                    None => return,
                    Some(verdict) => assert_eq!(verdict, Verdict::Clean, "{at}: {name}"),
                }
            }
        }
    }

    /// Where the journal, the segments and the playlists grow in the spool of `place`.
    fn paths_in(&self, place: &Place) -> Vec<String> {
        let task = place.spool().join("task01");
        let names = self.whole.keys().filter_map(|name| name.rsplit('/').next());
        let files = names.map(|name| if name.ends_with(".m3u8") { format!(".{name}") } else { name.into() });
        let all = files.chain(["journal~".to_owned()]);
        all.map(|name| task.join(name).display().to_string()).collect()
    }

    /// Takes up what was left at `at`, which was `before`, and holds it against the whole. Says whether it went on.
    fn take_up(&self, place: &Place, before: &Files, with: Option<&Path>, at: &str) -> bool {
        let closed = journalled(place);
        let output = place.recover(with).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{at}: {told}");
        let found = place.delivered();
        assert_kept(before, &found, at);
        assert_whole(&self.whole, &found, at);
        assert!(
            files_of(&place.out()).all(|name| !name.contains(".put-")),
            "{at}: half written files are left"
        );
        let segments = found.keys().filter(|name| name.ends_with(".ts")).count();
        assert!(segments >= closed, "{at}: {segments} segments of {closed} that were closed");
        let left: Vec<_> = std::fs::read_dir(place.spool())
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{at}: {left:?}");
        // Once more changes nothing.
        assert!(place.recover(with).output().unwrap().status.success(), "{at}");
        assert_eq!(place.delivered(), found, "{at}");
        self.assert_told(&found, at);
        self.assert_plays(place, &found, at);
        found.keys().any(|name| name.contains("/ha"))
    }
}

fn files_of(directory: &Path) -> impl Iterator<Item = String> {
    let found = if directory.exists() { files(directory) } else { Files::new() };
    found.into_keys()
}

/// Plays what was recorded in a browser, where `RECORDER_PLAY_CHECK` names a `play-check.mjs` that is set up.
fn play_check(directory: &Path, at: &str) {
    let Some(script) = std::env::var_os("RECORDER_PLAY_CHECK") else {
        eprintln!(
            "skipped: no browser plays what was recovered, RECORDER_PLAY_CHECK names no play-check.mjs"
        );
        return;
    };
    let folders: std::collections::BTreeSet<PathBuf> = files_of(directory)
        .filter(|name| name.ends_with(".m3u8"))
        .map(|name| directory.join(name).parent().unwrap().to_owned())
        .collect();
    for folder in folders {
        let output = Command::new("node").arg(&script).args(["--rate", "8"]).arg(folder).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{at}: {told}{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn kills(room: &Room) {
    let points = number("RECORDER_KILLS", 30);
    let seed = number("RECORDER_SEED", 1);
    let mut random = Random(seed);
    let closed = room.whole.keys().filter(|name| name.ends_with(".ts")).count() as u64;
    let (mut cut, mut gone_on, mut recoveries_killed, mut played) = (0, 0, 0, 0);
    for point in 0..points {
        let place = room.place();
        // Some moments after so many segments are closed, or after it began.
        let (after, later) = (random.below(closed), random.below(room.micros / closed));
        let at = format!("point {point}, {after} segments and {later} us, RECORDER_SEED={seed}");
        let is_so_far = || journalled(&place) as u64 >= after;
        let later = Duration::from_micros(later);
        cut += u64::from(kill_after(place.record(&room.args), is_so_far, later).is_none());
        let mut before = place.delivered();
        let with = (point % 2 == 1).then_some(room.guest.as_path());
        // Some recoveries are killed too.
        for _ in 0..point % 3 {
            let patience = Duration::from_micros(random.below((room.micros / 4).max(60_000)));
            recoveries_killed += usize::from(kill_after(place.recover(with), || true, patience).is_none());
            let now = place.delivered();
            assert_kept(&before, &now, &at);
            before = now;
        }
        let went_on = room.take_up(&place, &before, with, &at);
        gone_on += u64::from(went_on);
        if went_on && played < 2 {
            play_check(&place.out(), &at);
            played += 1;
        }
    }
    eprintln!("{points} points: {cut} runs and {recoveries_killed} recoveries killed, {gone_on} went on");
    // Else it would pass without having tried anything.
    assert!(cut * 4 > points && gone_on * 10 >= points, "{cut} {gone_on}");
}

/// `command`, run by the program `by` with these arguments.
fn under(by: &str, args: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(by);
    outer.args(args).arg(command.get_program()).args(command.get_args());
    outer.stdout(Stdio::null()).stderr(Stdio::piped());
    outer
}

/// Whether `by` can do its work here; said aloud if not.
fn works(by: &str, args: &[&str]) -> bool {
    let done = under(by, args, &Command::new("true")).output();
    let works = done.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: {by} is not here, or may not do this: {done:?}");
    }
    works
}

#[test]
fn a_kill_at_any_write_and_a_disk_that_fails_at_any_call_cost_no_closed_segment() {
    let strace = ["-f", "-qq", "-o", "/dev/null"];
    if !works("strace", &strace) {
        return;
    }
    let room = Room::new(90, &[]);
    let points = usize::try_from(number("RECORDER_KILLS", 30)).unwrap();
    // Calls of the thread that records, which are counted apart from those of others: some hundred writes.
    for (fault, calls) in [
        ("write:signal=KILL:when=", 180),
        ("fsync,fdatasync:signal=KILL:when=", 60),
        ("fsync,fdatasync:error=EIO:when=", 60),
        ("write:error=ENOSPC:when=", 180),
        ("write:error=EIO:when=", 180),
        ("linkat,link:signal=KILL:when=", 20),
    ] {
        let mut failed = 0;
        for point in 0..points / 5 {
            // Each of the first, and then some of all.
            let nth = if point < 2 { point + 1 } else { point * calls / (points / 5) };
            let lasts = if fault.contains("ENOSPC") { "+" } else { "" };
            let inject = format!("inject={fault}{nth}{lasts}");
            let place = room.place();
            // Only of files: a thread that cannot wake another is no fault of a disk.
            let paths = if fault.starts_with("write") { room.paths_in(&place) } else { Vec::new() };
            let mut args = [&strace[..], &["-e", &inject]].concat();
            args.extend(paths.iter().flat_map(|path| ["-P", path]));
            let output = under("strace", &args, &place.record(&room.args)).output().unwrap();
            failed += usize::from(!output.status.success());
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!told.contains("panicked"), "{inject}: {told}");
            room.take_up(&place, &place.delivered(), None, &inject);
        }
        eprintln!("{fault}: {failed} of {} runs did not end well, and nothing was lost", points / 5);
        assert!(failed > 0, "{fault} does nothing");
    }
}

#[test]
fn a_file_that_ends_at_any_byte_costs_no_closed_segment() {
    if !works("prlimit", &["--fsize=0:0"]) {
        return;
    }
    let room = Room::new(90, &[]);
    // Borders of the journal's first bytes and records, of packets, and of the segments.
    let mut sizes: Vec<u64> = vec![0, 1, 7, 8, 9, 19, 20, 187, 188, 189, 500, 900, 1500, 2500, 5000];
    for segment in room.whole.iter().filter(|(name, _)| name.ends_with(".ts")).map(|(_, bytes)| bytes.len()) {
        let bytes = u64::try_from(segment).unwrap();
        sizes.extend([bytes - 1, bytes, bytes + 1]);
    }
    sizes.sort_unstable();
    sizes.dedup();
    let step = sizes.len().div_ceil(usize::try_from(number("RECORDER_KILLS", 30)).unwrap());
    let mut failed = 0;
    for bytes in sizes.iter().step_by(step) {
        let place = room.place();
        let limit = format!("--fsize={bytes}:{bytes}");
        let output = under("prlimit", &[&limit], &place.record(&room.args)).output().unwrap();
        failed += usize::from(!output.status.success());
        room.take_up(&place, &place.delivered(), None, &limit);
    }
    assert!(failed > 0, "no limit was reached");
}

fn file(ending: &str, bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn adts(seconds: usize) -> tempfile::NamedTempFile {
    file(".aac", &silent_adts(48_000, Layout::Mono).unwrap().repeat(seconds * 48_000 / 1024))
}

/// Ten pictures a second, a key frame each second.
fn annex_b(seconds: usize) -> tempfile::NamedTempFile {
    let mut camera = Pictures::new(Size::new(64, 64).unwrap()).unwrap();
    let pictures = (0..seconds * 10).map(|n| match n % 10 {
        0 => camera.idr(90),
        _ => camera.repeat(),
    });
    file(".h264", &pictures.flat_map(|picture| picture.to_vec()).collect::<Vec<_>>())
}

#[test]
fn a_kill_costs_at_most_the_open_segments() {
    kills(&Room::real(139, &[]).unwrap_or_else(|| Room::new(900, &[])).listened_to());
}

#[test]
fn of_a_room_in_merged_sets_too() {
    kills(&Room::new(900, &["--av-merge"]));
}

const MIXED: [&str; 14] = [
    "--mode",
    "mixed",
    "--layout",
    "floating",
    "--canvas",
    "320x180",
    "--fps",
    "10",
    "--gop",
    "2",
    "--watermark",
    "text=room,left=4,top=4,size=20",
    "--watermark",
    "time=bottom,zone=0",
];

#[test]
fn of_a_mixed_room_too() {
    kills(&Room::real(45, &MIXED).unwrap_or_else(|| Room::new(60, &MIXED)).listened_to());
}

#[test]
fn a_kill_while_files_are_made_leaves_no_half_of_one() {
    let args = ["--format", "hls+mp4"];
    let room = Room::real(139, &args).unwrap_or_else(|| Room::new(900, &args)).listened_to();
    let points = number("RECORDER_KILLS", 30).div_ceil(3);
    let seed = number("RECORDER_SEED", 1);
    let mut random = Random(seed);
    let (mut cut, mut half) = (0, 0);
    for point in 0..points {
        let place = room.place();
        let at = format!("point {point}, RECORDER_SEED={seed}");
        let spool = place.spool().join("task01");
        // As the first file grows in the spool, or some moments later.
        let is_made = || {
            let names =
                std::fs::read_dir(&spool).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.into_iter().any(|name| name.to_string_lossy().contains(".mp4"))
        };
        let moments = Duration::from_micros(random.below(if point % 2 == 0 { 2_000 } else { 40_000 }));
        let killed = kill_after(place.record(&room.args), is_made, moments);
        cut += u64::from(killed.is_none());
        half += u64::from(is_made());
        let before = place.delivered();
        for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".mp4")) {
            assert!(room.whole.get(name) == Some(bytes), "{at}: half of {name}");
        }
        room.take_up(&place, &before, None, &at);
        let after = place.delivered();
        let movies =
            |files: &Files| files.keys().filter(|name| name.ends_with(".mp4")).cloned().collect::<Vec<_>>();
        assert_eq!(movies(&after), movies(&room.whole), "{at}");
    }
    eprintln!("{points} points: {cut} runs killed as files were made, {half} of them with one half made");
    assert!(cut * 2 > points && half > 0, "{cut} {half}");
}
