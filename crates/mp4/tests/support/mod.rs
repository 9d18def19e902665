//! Where the shared media and the tools are.
#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The shared corpus: `RECORDER_MEDIA`, or beside the workspace. Says so and gives `None` if it is not there.
pub fn media() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/media");
    let path = std::env::var_os("RECORDER_MEDIA").map_or_else(|| default.into(), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no media at {}", path.display());
    None
}

/// Files in folders of the corpus that end in `.mp4` or `.mov`, sorted.
pub fn mp4_files(folders: &[&str]) -> Vec<PathBuf> {
    let Some(media) = media() else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(media.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "mp4" || e == "mov"))
        .collect();
    files.sort();
    files
}

/// What `tool` prints; `None`, said aloud, if it is not installed. Fails if the tool does.
pub fn run(tool: &str, args: &[&str]) -> Option<String> {
    match Command::new(tool).args(args).stdin(Stdio::null()).output() {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{tool} {args:?}: {error}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            println!("skipped: {tool}: {error}");
            None
        }
    }
}

/// One packet as ffprobe sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    pub pts: i64,
    pub dts: i64,
    pub size: u32,
    pub at: u64,
    pub key: bool,
}

/// The packets of each stream that ffprobe finds, by its track id.
pub fn ffprobe(path: &str) -> Option<Vec<(u32, Vec<Packet>)>> {
    let streams = run("ffprobe", &["-v", "error", "-show_entries", "stream=id", "-of", "csv=p=0", path])?;
    let ids = streams.lines().map(|line| line.trim_matches(',')).filter(|id| !id.is_empty());
    let ids = ids.map(|id| u32::from_str_radix(id.trim_start_matches("0x"), 16).unwrap());
    let mut found: Vec<(u32, Vec<Packet>)> = ids.map(|id| (id, Vec::new())).collect();
    let entries = "packet=stream_index,pts,dts,size,pos,flags";
    let packets = run("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", path])?;
    for line in packets.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        found[fields[0].parse::<usize>().unwrap()].1.push(Packet {
            pts: fields[1].parse().unwrap(),
            dts: fields[2].parse().unwrap(),
            size: fields[3].parse().unwrap(),
            at: fields[4].parse().unwrap(),
            key: fields[5].contains('K'),
        });
    }
    Some(found)
}

/// A generator of the xorshift family: seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
