use bytes::Bytes;
use recorder_hls::SegmentIndex;
use recorder_hls::index::Samples;
use recorder_mp4::{
    FragmentOptions, FragmentOutput, FragmentWriter, SampleEntry, SampleEntryKind, SampleInfo, TrackSetup,
};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::h264::{DisplayOrientation, prepend_units};
use recorder_types::{MediaKind, NalFraming, RoomTime, Timescale, Timestamp};

use crate::error::PackageError;
use crate::timeline::{DEFAULT_PICTURE, Span};
use crate::track::{describe, position};

/// Of the samples of an index.
const FRAMING: NalFraming = NalFraming::LengthPrefixed { length_bytes: 4 };

/// A segment of fragmented MP4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentSegment {
    /// The initialization section that it needs, where that is another than that of the segment before: it belongs
    /// behind a discontinuity and into a new `EXT-X-MAP`.
    pub init: Option<Bytes>,
    /// The segment, in pieces: headers, and samples as they were in memory.
    pub data: Vec<Bytes>,
}

impl FragmentSegment {
    /// Bytes of [`FragmentSegment::data`].
    #[must_use]
    pub fn len(&self) -> u64 {
        self.data.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether the TS segment had no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.iter().all(Bytes::is_empty)
    }
}

/// Makes fragmented MP4 (CMAF) segments of the TS segments of one playlist, one of each: the same cuts, the same
/// samples, the same clock.
///
/// Decode times are moved so that a section's first picture is decoded when it is presented; composition offsets become
/// negative for that (`trun` version 1). Players place a segment by its decode time and would leave a hole before it
/// otherwise.
///
/// A new initialization section comes with a discontinuity, with other parameter sets, pictures turned in another way,
/// another AAC configuration, and with a kind of media that the one before does not describe. A segment within which parameter sets change has them in
/// its samples (`avc3`), all others in the section (`avc1`). Nothing is kept but what the last section says.
#[derive(Debug, Default)]
pub struct Packager {
    open: Option<Epoch>,
}

/// What has the same initialization section.
#[derive(Debug)]
struct Epoch {
    writer: FragmentWriter,
    video: Option<(usize, SampleEntry)>,
    orientation: DisplayOrientation,
    /// What decode times are moved later by, in ticks: from the first picture's decoding to its presentation.
    delay: Option<i64>,
    audio: Option<(usize, AudioSpecificConfig)>,
    /// Where the audio frame before ends, in samples.
    next: Option<i64>,
}

impl Packager {
    /// Before the first segment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a segment of one that was closed: `index` and bytes of the same.
    ///
    /// # Errors
    /// [`PackageError`]; the next segment begins with an initialization section then.
    pub fn segment(&mut self, index: &SegmentIndex, ts: Bytes) -> Result<FragmentSegment, PackageError> {
        let before = self.open.take();
        let mut epoch = Epoch::of(index, before)?;
        let made = epoch.fill(index, ts)?;
        self.open = Some(epoch);
        Ok(made)
    }
}

impl Epoch {
    /// That of `before`, if it describes this segment too.
    fn of(index: &SegmentIndex, before: Option<Self>) -> Result<Self, PackageError> {
        let known = before.as_ref().filter(|_| !index.discontinuity());
        let sets = index.video().map_or(&[][..], |video| video.parameter_sets());
        let inside = index.video().is_some_and(|video| video.set_changes().next().is_some());
        let known_entry = known.and_then(|epoch| epoch.video.as_ref()).map(|(_, entry)| entry);
        let mut entry = known_entry.cloned();
        if index.video().is_some() && !sets.is_empty() {
            let fits = entry.as_ref().filter(|entry| (entry.kind == SampleEntryKind::Avc3) == inside);
            if let Some(mut new) = describe(fits, sets)? {
                if inside {
                    new.kind = SampleEntryKind::Avc3;
                }
                entry = Some(new);
            }
        }
        let known_audio = known.and_then(|epoch| epoch.audio).map(|(_, config)| config);
        let audio = index.audio().map(|audio| audio.config()).or(known_audio);
        let told = index.video().and_then(|video| video.orientation());
        let orientation = told.or(known.map(|epoch| epoch.orientation)).unwrap_or_default();
        if let Some(before) = before
            && !index.discontinuity()
            && before.orientation == orientation
            && before.video.as_ref().map(|(_, entry)| entry) == entry.as_ref()
            && before.audio.map(|(_, config)| config) == audio
        {
            return Ok(before);
        }
        let mut setups = Vec::new();
        let video = entry.map(|entry| {
            let setup = TrackSetup::new(entry.clone(), Timescale::HZ_90000);
            setups.push(setup.with_orientation(orientation));
            (setups.len() - 1, entry)
        });
        let audio = audio.map(|config| {
            setups.push(TrackSetup::new(SampleEntry::aac(config), config.timescale()));
            (setups.len() - 1, config)
        });
        // A fragment is a segment, unless that is very large.
        let options =
            FragmentOptions::default().with_min_duration(RoomTime::MAX).with_max_duration(RoomTime::MAX);
        let origin = Timestamp::new(Span::of(index).map_or(0, |span| span.begin.min(0)), Timescale::HZ_90000);
        let writer = FragmentWriter::with_origin(setups, options, origin)?;
        Ok(Self { writer, video, orientation, delay: None, audio, next: None })
    }

    fn fill(&mut self, index: &SegmentIndex, ts: Bytes) -> Result<FragmentSegment, PackageError> {
        let changes = index.video().into_iter().flat_map(|video| video.set_changes());
        let mut changes = changes.peekable();
        let mut pictures = index.video().map(|video| video.pictures()).into_iter().flatten().peekable();
        let mut frames = index.audio().map(|audio| audio.frames()).into_iter().flatten();
        let (mut number, mut lasts) = (0u32, DEFAULT_PICTURE);
        for sample in Samples::new(ts) {
            let sample = sample?;
            match (sample.kind, &self.video, self.audio) {
                (MediaKind::Video, Some((track, _)), _) => {
                    let picture = pictures.next().ok_or(PackageError::Changed)?;
                    if let Some(next) = pictures.peek() {
                        lasts = next.dts.saturating_sub(picture.dts);
                    }
                    let mut data = sample.data;
                    if changes.peek().is_some_and(|(from, _)| *from == number) {
                        let sets = changes.next().map_or(&[][..], |(_, sets)| sets);
                        let sets: Vec<&[u8]> = sets.iter().map(|set| &set[..]).collect();
                        data = prepend_units(&sets, FRAMING, &data).ok_or(PackageError::Changed)?;
                    }
                    number += 1;
                    let delay = *self.delay.get_or_insert(picture.pts.saturating_sub(picture.dts));
                    let dts = picture.dts.saturating_add(delay);
                    let info = SampleInfo {
                        pts: Timestamp::new(picture.pts, Timescale::HZ_90000),
                        dts: Timestamp::new(dts, Timescale::HZ_90000),
                        duration: u32::try_from(lasts).unwrap_or(u32::MAX),
                        sync: picture.sync,
                        len: u32::try_from(data.len()).map_err(|_| PackageError::Changed)?,
                    };
                    self.writer.push(*track, info, data)?;
                }
                (MediaKind::Audio, _, Some((track, config))) => {
                    let frame = frames.next().ok_or(PackageError::Changed)?;
                    let at = position(frame.pts, config.sample_rate(), self.next);
                    self.next = Some(at.saturating_add(i64::from(FRAME_SAMPLES)));
                    let at = Timestamp::new(at, config.timescale());
                    let info =
                        SampleInfo { pts: at, dts: at, duration: FRAME_SAMPLES, sync: true, len: frame.len };
                    self.writer.push(track, info, sample.data)?;
                }
                _ => return Err(PackageError::Changed),
            }
        }
        if pictures.next().is_some() || frames.next().is_some() {
            return Err(PackageError::Changed);
        }
        self.writer.flush();
        let mut made = FragmentSegment { init: None, data: Vec::new() };
        while let Some(output) = self.writer.poll() {
            match output {
                FragmentOutput::Init(init) => made.init = Some(init),
                FragmentOutput::Fragment { data, .. } => made.data.extend(data),
                _ => {}
            }
        }
        Ok(made)
    }
}
