//! Where the shared media and the tools are.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

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

/// An MP4 file as our reader sees it.
pub struct ReadFile {
    pub tracks: Vec<recorder_mp4::TrackInfo>,
    pub samples: Vec<recorder_mp4::TrackSample>,
}

/// Reads `bytes` whole. No track may be bad.
pub fn read_all(bytes: impl AsRef<[u8]>) -> ReadFile {
    let mut reader = recorder_mp4::FileReader::open(std::io::Cursor::new(bytes)).unwrap();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        samples.push(sample);
    }
    assert_eq!((reader.rejected(), reader.failed()), (&[][..], &[][..]));
    ReadFile { tracks: reader.tracks().to_vec(), samples }
}

impl ReadFile {
    /// The samples of one track.
    pub fn of(&self, track: usize) -> impl Iterator<Item = &recorder_mp4::TrackSample> {
        self.samples.iter().filter(move |sample| sample.at.track == track)
    }

    /// The tracks as they are to be written.
    pub fn setups(&self) -> impl Iterator<Item = recorder_mp4::TrackSetup> {
        self.tracks.iter().map(|track| {
            recorder_mp4::TrackSetup::new(track.entries[0].clone(), track.timescale).with_matrix(track.matrix)
        })
    }
}

/// What the index wants to know of a sample.
pub fn info(sample: &recorder_mp4::TrackSample) -> recorder_mp4::SampleInfo {
    recorder_mp4::SampleInfo {
        pts: sample.at.pts,
        dts: sample.at.dts,
        duration: sample.at.duration,
        sync: sample.at.sync,
        len: sample.at.len,
    }
}

/// Pushes the media of `samples` through a planned file and gives the whole of it.
pub fn write(plan: recorder_mp4::MoviePlan, samples: &[recorder_mp4::TrackSample]) -> Vec<u8> {
    let len = plan.file_len();
    let mut writer = recorder_mp4::MovieWriter::new(plan);
    let mut file = Vec::new();
    for sample in samples {
        writer.push(sample.at.track, sample.sample.data.clone()).unwrap();
        while let Some(bytes) = writer.poll() {
            file.extend_from_slice(&bytes);
        }
    }
    writer.finish().unwrap();
    assert_eq!(file.len() as u64, len, "the file is as long as it was planned");
    file
}
