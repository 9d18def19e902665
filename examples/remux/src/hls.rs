//! MP4s to HLS: segments of MPEG-TS, or those made fragmented MP4.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use recorder_hls::{
    AccessUnit, Action, PlaylistHeader, PlaylistText, PlaylistUpdate, Pushed, SegmentFile, SegmentInfo,
    Segmenter, SegmenterOptions, Streams,
};
use recorder_mp4::SampleEntry;
use recorder_remux::Packager;
use recorder_types::h264::{DisplayOrientation, prepend_units};
use recorder_types::{MediaKind, ObjectName, RoomTime, TrackConfig, UnixMillis};

use crate::args::{Args, SegmentType};
use crate::error::Failure;
use crate::input::{Movies, time};
use crate::movies::{Pass, Sample, Told, Track, walk};
use crate::output;
use crate::report::Report;
use crate::segments::report_content;

/// Writes a folder of HLS.
pub(crate) fn write(movies: &Movies, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let place = Place::of(args, &movies.path)?;
    let staging = output::staging(&place.folder.join("playlist"))?;
    let header = movies.header.clone().unwrap_or_else(PlaylistHeader::mixed);
    let options =
        SegmenterOptions::new(place.stem.clone(), header)?.with_target_duration(args.segment_duration());
    let fragments = args.segments == SegmentType::Fmp4;
    let options = if fragments || args.with_index { options } else { options.without_index() };
    let start = args.start_time.or(movies.start).unwrap_or(UnixMillis::EPOCH);
    let mut writer = Writer {
        segmenter: Segmenter::new(options),
        folder: staging.path(),
        stem: &place.stem,
        packager: fragments.then(Packager::new),
        indexes: Vec::new(),
        sections: 0,
        open: Vec::new(),
        made: None,
        independent: true,
        playlist: PlaylistText::new(),
        playlist_name: None,
        files: Vec::new(),
        bytes: 0,
        duration: RoomTime::ZERO,
        start: Some(start),
        tracks: Vec::new(),
        lost: Lost::default(),
    };
    walk(movies, Pass::Only, report, |next, report| match next {
        Told::Run(tracks) => writer.run(tracks, report),
        Told::Sample(sample) => writer.sample(&sample),
    })?;
    writer.finish()?;
    writer.lost.tell(report);
    let Some(playlist) = writer.playlist_name.take() else {
        return Err(Failure::Nothing { path: movies.path.clone() });
    };
    let stats = writer.segmenter.stats();
    let content =
        format!("{} segments, {}", stats.segments, report_content(stats.pictures, stats.audio_frames));
    if !writer.indexes.is_empty() {
        let name = format!("{}.index", place.stem);
        let name = name.parse().map_err(|source| Failure::Name { name, source })?;
        let indexes = std::mem::take(&mut writer.indexes);
        writer.put(name, &[&indexes])?;
    }
    let mut files = std::mem::take(&mut writer.files);
    fs::write(staging.path().join(playlist.as_str()), writer.playlist.to_string())
        .map_err(Failure::io(staging.path()))?;
    let (duration, bytes) = (writer.duration, writer.bytes);
    // The playlist last: what it names is there.
    files.push(playlist.clone());
    for name in &files {
        let to = place.folder.join(name.as_str());
        fs::rename(staging.path().join(name.as_str()), &to).map_err(Failure::io(&to))?;
    }
    report.file(&place.folder.join(playlist.as_str()), duration, bytes, content);
    Ok(())
}

/// Where the files go, and what their names begin with.
struct Place {
    folder: PathBuf,
    stem: ObjectName,
}

impl Place {
    fn of(args: &Args, input: &Path) -> Result<Self, Failure> {
        let is_playlist = args.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("m3u8"));
        let (folder, named) = if is_playlist && !args.out.is_dir() {
            (args.out.parent().unwrap_or(Path::new("")).to_owned(), &*args.out)
        } else {
            (args.out.clone(), input)
        };
        let name = named.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.parse().map_err(|source| Failure::Name { name, source })?;
        Ok(Self { folder, stem })
    }
}

struct Writer<'a> {
    segmenter: Segmenter,
    folder: &'a Path,
    stem: &'a ObjectName,
    /// Where segments are to be fragmented MP4.
    packager: Option<Packager>,
    /// Those of all segments, where they are to be kept: some bytes a sample.
    indexes: Vec<u8>,
    /// Initialization sections written.
    sections: u32,
    /// The open segment.
    open: Vec<u8>,
    /// The segment in the place of the one that was closed last.
    made: Option<SegmentFile>,
    /// Every segment so far begins with a key frame.
    independent: bool,
    playlist: PlaylistText,
    playlist_name: Option<ObjectName>,
    files: Vec<ObjectName>,
    bytes: u64,
    duration: RoomTime,
    /// The wall clock of the first sample, until that comes.
    start: Option<UnixMillis>,
    /// Of the open run; `None` for what HLS does not take.
    tracks: Vec<Option<OpenTrack>>,
    lost: Lost,
}

/// A track that is written, and its current description.
struct OpenTrack {
    kind: MediaKind,
    entry: SampleEntry,
    /// Pictures are turned: what tells that before each key frame.
    orientation: Option<[u8; 7]>,
    first: First,
}

/// The first frame of audio waits for the second: some writers give it alone a composition offset, and it would be heard
/// at the same time as the second.
enum First {
    Comes,
    Waits(AccessUnit),
    Gone,
}

#[derive(Default)]
struct Lost {
    waited: u64,
    dropped: u64,
}

impl Lost {
    const fn count(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Written => {}
            Pushed::WaitingForKeyFrame => self.waited += 1,
            Pushed::Dropped(_) => self.dropped += 1,
        }
    }

    fn tell(&self, report: &mut Report) {
        if self.waited > 0 {
            report.lost(&format!("{} pictures left out: no key frame before them", self.waited));
        }
        if self.dropped > 0 {
            report.lost(&format!("{} samples left out: HLS does not take them", self.dropped));
        }
    }
}

impl Writer<'_> {
    fn run(&mut self, tracks: &[Track], report: &mut Report) -> Result<(), Failure> {
        self.push_waiting()?;
        let mut streams = Streams::default();
        self.tracks.clear();
        for track in tracks {
            let taken = match &track.entry.config {
                TrackConfig::H264(config) if streams.video.is_none() => {
                    streams.video = Some(config.clone());
                    true
                }
                TrackConfig::Aac(config) if streams.audio.is_none() => {
                    streams.audio = Some(*config);
                    true
                }
                TrackConfig::Opus(_) => {
                    report.lost("Opus left out: HLS takes AAC");
                    false
                }
                _ => {
                    report.lost(&format!("a second track of {} left out: HLS takes one", track.kind));
                    false
                }
            };
            let orientation = track.matrix.orientation();
            if taken && orientation.is_none() {
                report.warn("HLS cannot tell how pictures are turned or scaled: not by quarters");
            }
            let first = if track.kind == MediaKind::Audio { First::Comes } else { First::Gone };
            self.tracks.push(taken.then(|| {
                OpenTrack {
                    kind: track.kind,
                    entry: track.entry.clone(),
                    orientation: orientation
                        .filter(|told| *told != DisplayOrientation::default())
                        .map(|told| told.to_sei()),
                    first,
                }
            }));
        }
        self.segmenter.set_streams(streams);
        Ok(())
    }

    /// Pushes frames that no second one has come to.
    fn push_waiting(&mut self) -> Result<(), Failure> {
        for track in &mut self.tracks {
            if let Some(track) = track
                && let First::Waits(unit) = std::mem::replace(&mut track.first, First::Gone)
            {
                self.lost.count(self.segmenter.push_audio(&unit)?);
            }
        }
        self.drain()
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Failure> {
        let Some(Some(track)) = self.tracks.get_mut(sample.track) else { return Ok(()) };
        let (pts, dts) = (time(sample.info.pts), time(sample.info.dts));
        if let Some(start) = self.start.take() {
            self.segmenter.set_wall_clock(pts, start);
        }
        let mut data = sample.data.clone();
        if track.entry != *sample.entry {
            if let TrackConfig::H264(config) = &sample.entry.config {
                let sets: Vec<&[u8]> = config.parameter_sets.iter().map(|set| &set[..]).collect();
                // A set that the framing cannot hold is left to the description.
                data = prepend_units(&sets, config.framing, &data).unwrap_or(data);
            }
            track.entry = sample.entry.clone();
        }
        if track.kind == MediaKind::Video {
            if let Some(sei) = track.orientation.filter(|_| sample.info.sync)
                && let TrackConfig::H264(config) = &track.entry.config
            {
                data = prepend_units(&[&sei], config.framing, &data).unwrap_or(data);
            }
            self.lost.count(self.segmenter.push_video(&AccessUnit { pts, dts, data })?);
            return self.drain();
        }
        match std::mem::replace(&mut track.first, First::Gone) {
            First::Comes => {
                track.first = First::Waits(AccessUnit { pts, dts, data });
                return Ok(());
            }
            First::Waits(mut first) => {
                if pts <= first.pts && dts > first.dts {
                    first.pts = first.dts.saturating_add(pts.saturating_sub(dts));
                }
                first.dts = first.pts;
                self.lost.count(self.segmenter.push_audio(&first)?);
            }
            First::Gone => {}
        }
        self.lost.count(self.segmenter.push_audio(&AccessUnit { pts, dts: pts, data })?);
        self.drain()
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.push_waiting()?;
        self.segmenter.finish();
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Failure> {
        while let Some(action) = self.segmenter.poll() {
            match action {
                Action::SegmentData { data } => self.open.extend_from_slice(&data),
                Action::CloseSegment(info) => self.close(&info)?,
                Action::Playlist(update) => self.list(update),
                _ => {}
            }
        }
        Ok(())
    }

    fn close(&mut self, info: &SegmentInfo) -> Result<(), Failure> {
        self.duration = self.duration.saturating_add(info.duration);
        self.independent &= info.starts_with_key_frame;
        if self.packager.is_none() {
            if let Some(index) = &info.index {
                self.indexes.extend_from_slice(&index.encode());
            }
            let data = std::mem::take(&mut self.open);
            self.put(info.name.clone(), &[&data])?;
            self.open = data;
            self.open.clear();
            return Ok(());
        }
        let ts = Bytes::from(std::mem::take(&mut self.open));
        let (Some(packager), Some(index)) = (&mut self.packager, &info.index) else { return Ok(()) };
        let made = packager.segment(index, ts)?;
        let mut map = None;
        if let Some(init) = &made.init {
            self.sections += 1;
            let name = format!("{}_init_{}.mp4", self.stem, self.sections);
            let name: ObjectName = name.parse().map_err(|source| Failure::Name { name, source })?;
            self.put(name.clone(), &[init])?;
            map = Some(name);
        }
        let stem = info.name.as_str().strip_suffix(".ts").unwrap_or(info.name.as_str());
        let name = format!("{stem}.m4s");
        let name: ObjectName = name.parse().map_err(|source| Failure::Name { name, source })?;
        let pieces: Vec<&[u8]> = made.data.iter().map(|piece| &piece[..]).collect();
        self.put(name.clone(), &pieces)?;
        self.made = Some(SegmentFile { name, bytes: made.len(), map });
        Ok(())
    }

    fn list(&mut self, update: PlaylistUpdate) {
        self.playlist_name = Some(update.name.clone());
        let made = self.made.take();
        let update = match &self.packager {
            Some(_) => update.with_file(made.as_ref(), self.independent),
            None => update,
        };
        self.playlist.apply(&update);
    }

    fn put(&mut self, name: ObjectName, pieces: &[&[u8]]) -> Result<(), Failure> {
        let path = self.folder.join(name.as_str());
        let write = || {
            let mut file = BufWriter::with_capacity(256 << 10, File::create(&path)?);
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            file.flush()
        };
        write().map_err(Failure::io(&path))?;
        self.bytes += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.files.push(name);
        Ok(())
    }
}
