//! A process that is killed at any moment loses no segment that it had closed: recovery delivers them and goes on.
//!
//! 30 points, or as many as `RECORDER_KILLS` says; `RECORDER_SEED` chooses others.
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

    fn record(&self, args: &[&str]) -> Command {
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
            assert!(got == want || (open && want.starts_with(got)), "{at}: {name} is another");
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

fn kills(args: &[&str]) {
    let points = number("RECORDER_KILLS", 30);
    let mut random = Random(number("RECORDER_SEED", 1));
    // Two people of a quarter of an hour, one of them in two pieces: a hundred segments in a second.
    let (sound, pictures) = (adts(900), annex_b(900));
    let people = [
        format!("alice={}", sound.path().display()),
        format!("alice={},fps=10", pictures.path().display()),
        format!("bob={},leave=300", sound.path().display()),
        format!("bob={},join=400", sound.path().display()),
    ];
    let mut args = args.to_vec();
    args.extend(people.iter().flat_map(|one| ["--participant", one]));
    let args = &args;
    let whole = Place::new();
    let began = Instant::now();
    let output = whole.record(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let length = u64::try_from(began.elapsed().as_micros()).unwrap();
    let whole = whole.delivered();
    let dave = adts(4);
    let (mut cut, mut gone_on, mut recoveries_killed) = (0, 0, 0);
    for point in 0..points {
        let place = Place::new();
        let patience = random.below(length);
        let at = format!("point {point}, {patience} us, RECORDER_SEED={}", number("RECORDER_SEED", 1));
        if kill_after(place.record(args), Duration::from_micros(patience)).is_none() {
            cut += 1;
        }
        let (mut before, closed) = (place.delivered(), journalled(&place));
        let with = (point % 2 == 1).then_some(dave.path());
        // Some recoveries are killed too.
        for _ in 0..point % 3 {
            let patience = Duration::from_micros(random.below(60_000));
            recoveries_killed += usize::from(kill_after(place.recover(with), patience).is_none());
            let now = place.delivered();
            assert_kept(&before, &now, &at);
            before = now;
        }
        let output = place.recover(with).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{at}: {told}");
        let found = place.delivered();
        assert_kept(&before, &found, &at);
        assert_whole(&whole, &found, &at);
        let first = found.keys().filter(|name| name.ends_with(".ts") && !name.contains("/ha")).count();
        assert!(first >= closed, "{at}: {first} segments of {closed} that were closed");
        gone_on += usize::from(found.keys().any(|name| name.contains("/ha")));
        let left: Vec<_> = std::fs::read_dir(place.spool())
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{at}: {left:?}");
        // Once more changes nothing.
        assert!(place.recover(with).output().unwrap().status.success(), "{at}");
        assert_eq!(place.delivered(), found, "{at}");
    }
    eprintln!("{points} points: {cut} runs and {recoveries_killed} recoveries killed, {gone_on} went on");
    assert!(cut * 2 > points && gone_on > 0, "{cut} {gone_on}");
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
