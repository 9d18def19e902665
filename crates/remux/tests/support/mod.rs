//! What the tests share: recordings of real and made-up media, and files planned, written and read back.
// Each test file uses its own part, and Clippy takes none of this for a test.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;

use bytes::Bytes;
use recorder_hls::{
    AccessUnit, Action, PlaylistHeader, Pushed, SegmentIndex, Segmenter, SegmenterOptions, Streams,
};
use recorder_mp4::{FileReader, TrackInfo, TrackSample};
use recorder_remux::{Copier, CopyStep, FilePlan, Input, PlanOptions, Planner, RemuxError, Step};
use recorder_types::h264::{DisplayOrientation, Units};
use recorder_types::{
    AacConfig, H264Config, MediaId, MediaKind, NalFraming, RoomTime, Timescale, TrackConfig, UnixMillis,
};

pub const WALL: u64 = 1_700_000_000_000;

/// A sample as it should be in the MP4, with its times in ticks of 90 kHz on the clock of the segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub pts: i64,
    pub dts: i64,
    pub sync: bool,
    pub data: Bytes,
}

/// One playlist, and what was put into it.
#[derive(Default)]
pub struct Recording {
    pub segments: Vec<(SegmentIndex, Bytes)>,
    pub video: Vec<Kept>,
    pub audio: Vec<Kept>,
    pub playlist: String,
}

impl Recording {
    pub fn of(&self, kind: MediaKind) -> &[Kept] {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }
}

/// Records, and notes what is recorded.
pub struct Recorder {
    segmenter: Segmenter,
    framing: Option<NalFraming>,
    first_pts: i64,
    open: Vec<u8>,
    done: Recording,
}

/// Slices, partitions and SEI but for orientation behind lengths of four bytes, and whether there is an IDR slice.
pub fn sample_of(data: &[u8], framing: NalFraming) -> (bool, Bytes) {
    // As a byte stream: zeros after a NAL unit do not survive that, and one file of the corpus has a start code, with
    // an end marker behind it, within the length of a slice.
    let mut stream = Vec::new();
    for unit in Units::new(data, framing) {
        stream.extend([&[0, 0, 1], unit.unwrap()].concat());
    }
    let (mut sync, mut sample) = (false, Vec::new());
    for unit in Units::new(&stream, NalFraming::AnnexB).map(Result::unwrap) {
        sync |= unit[0] & 0x1F == 5;
        if matches!(unit[0] & 0x1F, 1..=6) && DisplayOrientation::in_sei(unit).is_none() {
            sample.extend(u32::try_from(unit.len()).unwrap().to_be_bytes());
            sample.extend_from_slice(unit);
        }
    }
    (sync, sample.into())
}

pub fn options() -> SegmenterOptions {
    let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
    SegmenterOptions::new("recording".parse().unwrap(), header).unwrap()
}

impl Recorder {
    pub fn new(options: SegmenterOptions, first_pts: i64) -> Self {
        let mut segmenter = Segmenter::new(options.with_first_pts(first_pts.unsigned_abs()));
        segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(WALL).unwrap());
        Self { segmenter, framing: None, first_pts, open: Vec::new(), done: Recording::default() }
    }

    pub fn streams(&mut self, video: Option<H264Config>, audio: Option<AacConfig>) {
        self.framing = video.as_ref().map(|video| video.framing);
        self.segmenter.set_streams(Streams { video, audio });
    }

    pub fn wall_clock(&mut self, room: RoomTime, wall: u64) {
        self.segmenter.set_wall_clock(room, UnixMillis::new(wall).unwrap());
    }

    pub fn discontinuity(&mut self) {
        self.segmenter.discontinuity();
    }

    pub fn push(&mut self, kind: MediaKind, pts: RoomTime, dts: RoomTime, data: &Bytes) {
        let unit = AccessUnit { pts, dts, data: data.clone() };
        let pushed = match kind {
            MediaKind::Video => self.segmenter.push_video(&unit),
            MediaKind::Audio => self.segmenter.push_audio(&unit),
        };
        let ticks = |at: RoomTime| at.round_to_ticks(Timescale::HZ_90000) + self.first_pts;
        if pushed.unwrap() == Pushed::Written {
            let (pts, dts) = (ticks(pts), ticks(dts));
            match self.framing.filter(|_| kind == MediaKind::Video) {
                Some(framing) => {
                    let (sync, data) = sample_of(data, framing);
                    self.done.video.push(Kept { pts, dts, sync, data });
                }
                // Audio has one time.
                None => self.done.audio.push(Kept { pts, dts: pts, sync: true, data: data.clone() }),
            }
        }
        self.drain();
    }

    pub fn finish(mut self) -> Recording {
        self.segmenter.finish();
        self.drain();
        self.done
    }

    fn drain(&mut self) {
        while let Some(action) = self.segmenter.poll() {
            match action {
                Action::SegmentData { data } => self.open.extend_from_slice(&data),
                Action::CloseSegment(info) => {
                    let data = Bytes::from(std::mem::take(&mut self.open));
                    self.done.segments.push((info.index.unwrap(), data));
                }
                Action::Playlist(update) => self.done.playlist.push_str(&update.append),
                _ => {}
            }
        }
    }
}

/// An MP4 file as our reader sees it.
pub struct ReadFile {
    pub tracks: Vec<TrackInfo>,
    pub samples: Vec<TrackSample>,
}

pub fn read_mp4(bytes: &[u8]) -> ReadFile {
    let mut reader = FileReader::open(Cursor::new(bytes)).unwrap();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        samples.push(sample);
    }
    assert_eq!((reader.rejected(), reader.failed()), (&[][..], &[][..]));
    ReadFile { tracks: reader.tracks().to_vec(), samples }
}

fn kind_of(config: &TrackConfig) -> Option<MediaKind> {
    match config {
        TrackConfig::H264(_) => Some(MediaKind::Video),
        TrackConfig::Aac(_) => Some(MediaKind::Audio),
        _ => None,
    }
}

/// Records the first H.264 and the first AAC track of an MP4, or only one of them.
pub fn record(
    file: &ReadFile,
    options: SegmenterOptions,
    first_pts: i64,
    only: Option<MediaKind>,
) -> Recording {
    let of = |kind| {
        let wanted = only.is_none_or(|only| only == kind);
        file.tracks.iter().position(|track| wanted && kind_of(&track.config) == Some(kind))
    };
    let (video, audio) = (of(MediaKind::Video), of(MediaKind::Audio));
    let mut recorder = Recorder::new(options, first_pts);
    let video_config = video.map(|track| match &file.tracks[track].config {
        TrackConfig::H264(config) => config.clone(),
        other => panic!("{other:?}"),
    });
    let audio_config = audio.map(|track| match &file.tracks[track].config {
        TrackConfig::Aac(config) => *config,
        other => panic!("{other:?}"),
    });
    recorder.streams(video_config, audio_config);
    // Negative composition offsets are not for TS: decode earlier.
    let early = file.samples.iter().filter(|sample| Some(sample.at.track) == video);
    let early = early.map(|sample| sample.at.dts.ticks() - sample.at.pts.ticks()).max().unwrap_or(0).max(0);
    for sample in &file.samples {
        let kind = if Some(sample.at.track) == video {
            MediaKind::Video
        } else if Some(sample.at.track) == audio {
            MediaKind::Audio
        } else {
            continue;
        };
        let scale = sample.at.pts.timescale();
        let early = if kind == MediaKind::Video { early } else { 0 };
        let dts = recorder_types::Timestamp::new(sample.at.dts.ticks() - early, scale);
        recorder.push(
            kind,
            sample.at.pts.to_room_time().unwrap(),
            dts.to_room_time().unwrap(),
            &sample.sample.data,
        );
    }
    recorder.finish()
}

/// The files that a recording becomes. `lost`: segments that are not there.
pub fn plan_all(
    inputs: &[(&Recording, Input)],
    options: PlanOptions,
    lost: &[(usize, u32)],
) -> Result<Vec<FilePlan>, RemuxError> {
    let mut planner = Planner::new(options, inputs.iter().map(|(_, input)| *input).collect());
    let mut files = Vec::new();
    loop {
        match planner.poll()? {
            Step::Need { input, segment } if lost.contains(&(input, segment)) => planner.skip(input)?,
            Step::Need { input, segment } => {
                let index = inputs[input].0.segments.get(segment as usize).map(|(index, _)| index.clone());
                planner.supply(input, index)?;
            }
            Step::File(file) => files.push(*file),
            Step::Done => return Ok(files),
        }
    }
}

pub fn write(file: FilePlan, inputs: &[(&Recording, Input)], lost: &[(usize, u32)]) -> Vec<u8> {
    let len = file.len();
    let mut bytes = Vec::new();
    let mut copier = Copier::new(file);
    let mut steps = 0;
    loop {
        match copier.poll().unwrap() {
            CopyStep::Need { input, segment } => {
                assert!(!lost.contains(&(input, segment)));
                copier.supply(input, inputs[input].0.segments[segment as usize].1.clone()).unwrap();
            }
            CopyStep::Output if steps % 2 == 0 => copier.write_to(&mut bytes).unwrap(),
            CopyStep::Output => {
                while let Some(piece) = copier.next_bytes() {
                    bytes.extend_from_slice(&piece);
                }
            }
            CopyStep::Done => break,
        }
        steps += 1;
    }
    assert_eq!(bytes.len() as u64, len, "the file is as long as it was planned");
    bytes
}

pub fn remux(inputs: &[(&Recording, Input)], options: PlanOptions) -> Vec<Vec<u8>> {
    let files = plan_all(inputs, options, &[]).unwrap();
    files.into_iter().map(|file| write(file, inputs, &[])).collect()
}

/// The samples of one kind in a file: times in ticks of 90 kHz, rounded to nearest.
pub fn samples(file: &ReadFile, kind: MediaKind) -> Vec<Kept> {
    let ticks =
        |at: recorder_types::Timestamp| at.to_room_time().unwrap().round_to_ticks(Timescale::HZ_90000);
    let of_kind = |sample: &&TrackSample| kind_of(&file.tracks[sample.at.track].config) == Some(kind);
    file.samples
        .iter()
        .filter(of_kind)
        .map(|sample| Kept {
            pts: ticks(sample.at.pts),
            dts: ticks(sample.at.dts),
            sync: sample.at.sync,
            data: sample.sample.data.clone(),
        })
        .collect()
}

/// Fails unless `got` has the samples of `want`, all moved by the same time, give or take `ticks`.
pub fn assert_same(got: &[Kept], want: &[Kept], zero: i64, ticks: i64, name: &str) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (number, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            got.data == want.data,
            "{name} sample {number}: {} and {} bytes, at {} and {}",
            got.data.len(),
            want.data.len(),
            got.dts + zero,
            want.dts
        );
        assert_eq!(got.sync, want.sync, "{name} sample {number}");
        let off = (got.pts + zero - want.pts).abs().max((got.dts + zero - want.dts).abs());
        assert!(off <= ticks, "{name} sample {number}: {got:?} {want:?} {zero}",);
    }
}
