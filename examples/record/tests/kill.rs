//! A process that is killed at any moment loses no segment that it had closed: recovery delivers them and goes on.
//!
//! 30 points, or as many as `RECORDER_KILLS` says; `RECORDER_SEED` chooses others. Exact points by `strace` and
//! `prlimit`, where they are there and may.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use recorder_testkit::aac::{Layout, silent_adts};
use recorder_testkit::h264::Pictures;
use recorder_types::Size;
use support::files;

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
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
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
        command.arg(self.out()).arg("--spool").arg(self.spool()).args(args);
        command
    }

    fn recover(&self, with: Option<&Path>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
        command.args(["--start-time", "1700010000000", "-q", "--recover"]).arg(self.spool());
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

/// Runs `command` and kills it after `patience`, unless it ends before: then its status is given.
fn kill_after(mut command: Command, patience: Duration) -> Option<ExitStatus> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + patience;
    while Instant::now() < until {
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
            assert!(got == want || (open && same + 188 * 24 >= got.len()), "{at}: {name} is another");
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

/// Two people of some minutes, one of them in two pieces; and what is recorded of them where nobody interferes.
struct Room {
    args: Vec<String>,
    whole: Files,
    micros: u64,
    /// Who comes when the recording goes on.
    dave: tempfile::NamedTempFile,
    _files: [tempfile::NamedTempFile; 2],
}

impl Room {
    fn new(seconds: usize, args: &[&str]) -> Self {
        let (sound, pictures) = (adts(seconds), annex_b(seconds));
        let people = [
            format!("alice={}", sound.path().display()),
            format!("alice={},fps=10", pictures.path().display()),
            format!("bob={},leave={}", sound.path().display(), seconds / 3),
            format!("bob={},join={}", sound.path().display(), seconds / 2),
        ];
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        args.extend(people.into_iter().flat_map(|one| ["--participant".to_owned(), one]));
        let mut room =
            Self { args, whole: Files::new(), micros: 0, dave: adts(4), _files: [sound, pictures] };
        let place = Place::new();
        let began = Instant::now();
        let output = place.record(&room.args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        room.micros = u64::try_from(began.elapsed().as_micros()).unwrap();
        room.whole = place.delivered();
        room
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
        let segments = found.keys().filter(|name| name.ends_with(".ts")).count();
        assert!(segments >= closed, "{at}: {segments} segments of {closed} that were closed");
        let left: Vec<_> = std::fs::read_dir(place.spool())
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{at}: {left:?}");
        // Once more changes nothing.
        assert!(place.recover(with).output().unwrap().status.success(), "{at}");
        assert_eq!(place.delivered(), found, "{at}");
        found.keys().any(|name| name.contains("/ha"))
    }
}

fn kills(args: &[&str]) {
    let points = number("RECORDER_KILLS", 30);
    let seed = number("RECORDER_SEED", 1);
    let mut random = Random(seed);
    let room = Room::new(900, args);
    let (mut cut, mut gone_on, mut recoveries_killed) = (0, 0, 0);
    for point in 0..points {
        let place = Place::new();
        let patience = random.below(room.micros);
        let at = format!("point {point}, {patience} us, RECORDER_SEED={seed}");
        cut += u64::from(kill_after(place.record(&room.args), Duration::from_micros(patience)).is_none());
        let mut before = place.delivered();
        let with = (point % 2 == 1).then_some(room.dave.path());
        // Some recoveries are killed too.
        for _ in 0..point % 3 {
            let patience = Duration::from_micros(random.below(60_000));
            recoveries_killed += usize::from(kill_after(place.recover(with), patience).is_none());
            let now = place.delivered();
            assert_kept(&before, &now, &at);
            before = now;
        }
        gone_on += u64::from(room.take_up(&place, &before, with, &at));
    }
    eprintln!("{points} points: {cut} runs and {recoveries_killed} recoveries killed, {gone_on} went on");
    assert!(cut * 2 > points && gone_on * 10 >= points, "{cut} {gone_on}");
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
            let place = Place::new();
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
        let place = Place::new();
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
    kills(&[]);
}

#[test]
fn of_a_room_in_merged_sets_too() {
    kills(&["--av-merge"]);
}
