//! Folders of recordings, made with the segmenter, and what is in the files that they become.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use recorder_hls::{
    AccessUnit, Action, PlaylistHeader, PlaylistText, Pushed, Segmenter, SegmenterOptions, Streams,
};
use recorder_merge::{DirectorySink, DirectorySource, MergeOptions, Plan, Report, Source, execute, plan};
use recorder_mp4::{FileReader, TrackInfo, TrackSample};
use recorder_testkit::{aac, ffmpeg, h264};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{
    AacConfig, H264Config, MediaId, NalFraming, RoomTime, Sample, Size, Timescale, TrackConfig, UnixMillis,
};

/// Wall clock of room time zero.
pub(crate) const START: u64 = 1_700_000_000_000;
/// `alice` in names.
pub(crate) const ALICE: &str = "YWxpY2U.";

/// One playlist of a user.
pub(crate) struct Recording {
    pub(crate) segmenter: Segmenter,
    folder: PathBuf,
    stem: String,
    kind: TrackConfig,
}

impl Recording {
    /// Of `track` (`main_video` and so on) of the user with this encoded name.
    pub(crate) fn new(folder: &Path, prefix: &str, user: &str, track: &str, config: TrackConfig) -> Self {
        let stem = format!("{prefix}1400000001_1001__UserId_s_{user}__UserId_e_{track}");
        let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
        let mut segmenter = Segmenter::new(SegmenterOptions::new(stem.parse().unwrap(), header).unwrap());
        segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(START).unwrap());
        let mut this = Self { segmenter, folder: folder.to_owned(), stem, kind: config.clone() };
        this.change(config);
        this
    }

    /// From now on the samples are of this kind.
    pub(crate) fn change(&mut self, config: TrackConfig) {
        self.kind = config.clone();
        self.segmenter.set_streams(match config {
            TrackConfig::H264(video) => Streams { video: Some(video), audio: None },
            TrackConfig::Aac(audio) => Streams { video: None, audio: Some(audio) },
            other => panic!("recordings do not hold {other:?}"),
        });
    }

    /// From now on it is of both kinds; takes pictures and sound in the order of their times.
    pub(crate) fn push_both(&mut self, video: &[Sample], audio: &[Sample], config: TrackConfig) {
        let (TrackConfig::H264(pictures), TrackConfig::Aac(sound)) = (self.kind.clone(), config.clone())
        else {
            panic!("a recording of pictures that sound comes to")
        };
        self.segmenter.set_streams(Streams { video: Some(pictures), audio: Some(sound) });
        let time = |sample: &Sample| sample.dts.to_room_time().unwrap();
        let mut sounds = audio.iter().peekable();
        let (pictures, sound) = (self.kind.clone(), config);
        for picture in video {
            while let Some(frame) = sounds.next_if(|frame| time(frame) <= time(picture)) {
                self.kind = sound.clone();
                self.push(std::slice::from_ref(frame), RoomTime::ZERO);
            }
            self.kind = pictures.clone();
            self.push(std::slice::from_ref(picture), RoomTime::ZERO);
        }
        self.kind = sound;
        self.push(&sounds.cloned().collect::<Vec<_>>(), RoomTime::ZERO);
    }

    /// Takes samples, `at` later than they say. Gives those that are in the recording: a recorder drops what has no
    /// time of its own.
    pub(crate) fn push(&mut self, samples: &[Sample], at: RoomTime) -> Vec<Sample> {
        let mut written = Vec::with_capacity(samples.len());
        for sample in samples {
            let moved = |time: recorder_types::Timestamp| time.to_room_time().unwrap().saturating_add(at);
            let unit =
                AccessUnit { pts: moved(sample.pts), dts: moved(sample.dts), data: sample.data.clone() };
            let pushed = match self.kind {
                TrackConfig::H264(_) => self.segmenter.push_video(&unit),
                _ => self.segmenter.push_audio(&unit),
            };
            if pushed.unwrap() == Pushed::Written {
                written.push(sample.clone());
            }
        }
        written
    }

    /// Writes playlist and segments.
    pub(crate) fn finish(mut self) {
        self.segmenter.finish();
        let mut playlist = PlaylistText::new();
        let (mut name, mut data) = (String::new(), Vec::new());
        while let Some(action) = self.segmenter.poll() {
            match action {
                Action::OpenSegment { name: opened } => name = opened.to_string(),
                Action::SegmentData { data: more } => data.extend_from_slice(&more),
                Action::CloseSegment(_) => {
                    fs::write(self.folder.join(&name), std::mem::take(&mut data)).unwrap()
                }
                Action::Playlist(update) => playlist.apply(&update),
                other => panic!("{other:?}"),
            }
        }
        fs::write(self.folder.join(format!("{}.m3u8", self.stem)), playlist.to_string()).unwrap();
    }
}

pub(crate) fn annex_b() -> TrackConfig {
    TrackConfig::H264(H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() })
}

pub(crate) fn aac(rate: u32, channels: u8) -> (TrackConfig, AudioSpecificConfig) {
    let config = AudioSpecificConfig::new(rate, channels).unwrap();
    (TrackConfig::Aac(AacConfig::Raw(config)), config)
}

/// Grey pictures of `width` x `height`, 15 a second, a key frame each 2 s.
pub(crate) fn pictures(width: u32, height: u32, seconds: u32) -> Vec<Sample> {
    let mut camera = h264::Pictures::new(Size::new(width, height).unwrap()).unwrap();
    camera.samples(seconds * 15, 30, 15, 0)
}

pub(crate) fn silence(config: AudioSpecificConfig, seconds: u32) -> Vec<Sample> {
    aac::silence(config, seconds * config.sample_rate() / 1024, 0)
}

/// Plans and merges `folder` into a folder `merged` in it.
pub(crate) fn merge(folder: &Path, options: &MergeOptions) -> (Plan, Vec<Report>) {
    let mut source = DirectorySource::new(folder);
    let plan = plan(&source.folder().unwrap(), options);
    let mut sink = DirectorySink::new(folder.join("merged"));
    let reports = execute(&plan, options, &mut source, &mut sink, &mut |_| {});
    (plan, reports)
}

/// A file that was written.
pub(crate) struct Movie {
    pub(crate) path: PathBuf,
    pub(crate) tracks: Vec<TrackInfo>,
    pub(crate) samples: Vec<TrackSample>,
}

impl Movie {
    pub(crate) fn open(folder: &Path, name: &str) -> Self {
        let path = folder.join("merged").join(name);
        let mut reader = FileReader::open(File::open(&path).unwrap()).unwrap();
        let tracks = reader.tracks().to_vec();
        let samples = std::iter::from_fn(|| reader.next_sample().unwrap()).collect();
        Self { path, tracks, samples }
    }

    /// The samples of its pictures, or of its sound: seconds at which they are presented, and bytes.
    pub(crate) fn of(&self, is_video: bool) -> Vec<(f64, Bytes)> {
        let of = self.samples.iter().filter(|sample| self.tracks[sample.at.track].size.is_some() == is_video);
        #[allow(clippy::cast_precision_loss)]
        let seconds = |sample: &Sample| sample.pts.to_room_time().unwrap().nanos() as f64 / 1e9;
        of.map(|sample| (seconds(&sample.sample), sample.sample.data.clone())).collect()
    }

    /// Whether all that is needed to play stands in front of the media.
    pub(crate) fn is_faststart(&self) -> bool {
        let data = fs::read(&self.path).unwrap();
        let find = |kind: &[u8]| data.windows(4).position(|window| window == kind).unwrap();
        find(b"moov") < find(b"mdat")
    }
}

/// Samples of a track of a real MP4 file, and their config.
pub(crate) fn real(path: &Path, is_video: bool) -> (TrackConfig, Timescale, Vec<Sample>) {
    let mut reader = FileReader::open(File::open(path).unwrap()).unwrap();
    let track = reader.tracks().iter().position(|track| track.size.is_some() == is_video).unwrap();
    let info = reader.tracks()[track].clone();
    let samples = std::iter::from_fn(|| reader.next_sample().unwrap());
    let samples = samples.filter(|sample| sample.at.track == track).map(|sample| sample.sample).collect();
    (info.config, info.timescale, samples)
}

/// Mono at 8 kHz, by FFmpeg, which lays it on its time line.
pub(crate) fn pcm(path: &Path) -> Option<Vec<i16>> {
    let mut command = Command::new(ffmpeg::find("ffmpeg")?);
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    command.args([
        "-map",
        "0:a:0",
        "-af",
        "aresample=async=1:first_pts=0",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "s16le",
        "-",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    Some(output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}
