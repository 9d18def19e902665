//! What is left of a segment whose writer has died: [`Salvaged`].
//!
//! A segment that was open when a process died ends anywhere, within a packet even. Up to its last whole access unit it
//! is as good as another; this finds where that is, and what the playlist says of it.
//!
//! ```
//! use recorder_hls::PlaylistHeader;
//! use recorder_hls::salvage::Salvaged;
//! use recorder_types::{MediaId, UnixMillis};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let torn: &[u8] = b"";
//! if let Some(segment) = Salvaged::find("a_20231114221320123.ts".parse()?, UnixMillis::EPOCH, torn) {
//!     let keep = &torn[..usize::try_from(segment.bytes())?];
//!     let header = PlaylistHeader::single(MediaId::Main, "alice".parse()?);
//!     let update = segment.add_to("a.m3u8".parse()?, header, None)?;
//!     println!("{} bytes, {}", keep.len(), update.append);
//! }
//! # Ok(())
//! # }
//! ```

use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::h264::SpsInfo;
use recorder_types::{ObjectName, RoomTime, Size, Timescale, Timestamp, UnixMillis};

use crate::action::{PlaylistUpdate, SegmentInfo};
use crate::demux::{Demuxer, Event};
use crate::index::SegmentIndex;
use crate::options::PlaylistHeader;
use crate::playlist::{Metadata, PlaylistWriter};
use crate::read_playlist::{MediaPlaylist, ReadPlaylistError, Segment};
use crate::segmenter::DEFAULT_PICTURE;
use crate::ts::{Layout, PACKET_BYTES};

/// The part of a segment that can be kept.
#[derive(Clone, Debug)]
pub struct Salvaged {
    info: SegmentInfo,
    metadata: Metadata,
    layout: Layout,
}

impl Salvaged {
    /// Looks for whole access units in `torn`, the beginning of a segment of [`Segmenter`](crate::Segmenter). `None`
    /// without any, or where what is there is damaged.
    #[must_use]
    pub fn find(name: ObjectName, start: UnixMillis, torn: &[u8]) -> Option<Self> {
        let kept = torn.get(..whole_units(torn))?;
        let discontinuity = begins_anew(kept);
        let index = SegmentIndex::from_ts(kept, start, discontinuity, None).ok()?;
        let (mut first, mut end) = (i64::MAX, i64::MIN);
        let (mut first_pts, mut last_pts) = (i64::MAX, i64::MIN);
        let (mut pictures, mut audio_frames) = (0, 0);
        let mut metadata = Metadata::default();
        let mut starts_with_key_frame = true;
        if let Some(video) = index.video() {
            let mut last: Option<i64> = None;
            let mut lasts = DEFAULT_PICTURE.round_to_ticks(Timescale::HZ_90000);
            for picture in video.pictures() {
                starts_with_key_frame &= pictures > 0 || picture.sync;
                pictures += 1;
                lasts = last.map_or(lasts, |last| picture.dts.saturating_sub(last));
                last = Some(picture.dts);
                first = first.min(picture.dts);
                end = end.max(picture.dts.saturating_add(lasts));
                first_pts = first_pts.min(picture.pts);
                last_pts = last_pts.max(picture.pts);
            }
            metadata.video = video.parameter_sets().iter().find_map(|set| size_of(set));
        }
        if let Some(audio) = index.audio() {
            let rate = i64::from(audio.config().sample_rate()).max(1);
            let lasts = i64::from(FRAME_SAMPLES) * 90_000 / rate;
            for frame in audio.frames() {
                audio_frames += 1;
                first = first.min(frame.pts);
                end = end.max(frame.pts.saturating_add(lasts));
                first_pts = first_pts.min(frame.pts);
                last_pts = last_pts.max(frame.pts);
            }
            metadata.audio = Some(audio.config());
        }
        let at = |ticks: i64| Timestamp::new(ticks, Timescale::HZ_90000).to_room_time();
        let duration = at(end.checked_sub(first)?)?;
        let layout = layout_of(kept)?;
        let info = SegmentInfo {
            name,
            start,
            duration,
            bytes: kept.len() as u64,
            first_pts: at(first_pts)?,
            last_pts: at(last_pts)?,
            pictures,
            audio_frames,
            discontinuity,
            starts_with_key_frame,
            index: None,
        };
        Some(Self { info, metadata, layout })
    }

    /// Bytes to keep from the front of the segment.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.info.bytes
    }

    /// How long its media is.
    #[must_use]
    pub const fn duration(&self) -> RoomTime {
        self.info.duration
    }

    /// What the playlist `name` needs to list it at the end: of `so_far`, its text without an end tag, if it lists
    /// segments already.
    ///
    /// # Errors
    /// [`ReadPlaylistError`] for a text that is no playlist.
    pub fn add_to(
        &self,
        name: ObjectName,
        header: PlaylistHeader,
        so_far: Option<&str>,
    ) -> Result<PlaylistUpdate, ReadPlaylistError> {
        let mut writer = match so_far {
            Some(text) => resume(name, header, &text.parse()?),
            None => PlaylistWriter::new(name, header),
        };
        let mut info = self.info.clone();
        info.discontinuity &= so_far.is_some();
        Ok(writer.add(&info, self.metadata, self.layout))
    }
}

/// The writer of a playlist, as it was when it had written this.
fn resume(name: ObjectName, header: PlaylistHeader, playlist: &MediaPlaylist) -> PlaylistWriter {
    let recording = &playlist.recording;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // What was read from a line stays on one.
    let header =
        header.clone().with_build(&text(&recording.version), &text(&recording.date)).unwrap_or(header);
    let metadata = |segment: Option<&Segment>| Metadata {
        audio: segment.and_then(|segment| segment.audio.as_deref()).and_then(|audio| {
            let channels = u8::try_from(audio.channels?).ok()?;
            AudioSpecificConfig::new(audio.sample_rate?, channels).ok()
        }),
        video: segment.and_then(|segment| segment.video.as_deref()).and_then(|video| video.size),
    };
    let layout = match recording.stream_type {
        Some(2) => Layout { video: true, audio: true },
        Some(1) => Layout { video: true, audio: false },
        _ => Layout { video: false, audio: true },
    };
    let (first, current) = (metadata(playlist.segments.first()), metadata(playlist.segments.last()));
    let start = recording.start.unwrap_or(UnixMillis::EPOCH);
    let segments = playlist.segments.len() as u64;
    PlaylistWriter::resume(
        (name, header),
        (first, current),
        layout,
        start,
        (playlist.target_duration, segments),
    )
}

fn size_of(set: &[u8]) -> Option<Size> {
    SpsInfo::parse(set).ok().map(|sps| sps.size)
}

/// Whether the clock begins anew with the first packet that tells it.
fn begins_anew(ts: &[u8]) -> bool {
    let mut demuxer = Demuxer::default();
    demuxer.push(ts.get(..8 * PACKET_BYTES).unwrap_or(ts));
    demuxer.finish();
    std::iter::from_fn(|| demuxer.poll()).any(|event| matches!(event, Event::Discontinuity { .. }))
}

/// The streams of the program map.
fn layout_of(ts: &[u8]) -> Option<Layout> {
    use crate::demux::StreamKind;
    let mut demuxer = Demuxer::default();
    demuxer.push(ts.get(..8 * PACKET_BYTES).unwrap_or(ts));
    let streams = std::iter::from_fn(|| demuxer.poll()).find_map(|event| match event {
        Event::Streams(streams) => Some(streams),
        _ => None,
    })?;
    let has = |kind| streams.iter().any(|stream| stream.kind == kind);
    Some(Layout { video: has(StreamKind::H264), audio: has(StreamKind::AacAdts) })
}

/// Bytes up to where the first PES packet begins that is not known to be whole. One that does not tell its length is
/// whole when the next of its stream begins.
fn whole_units(ts: &[u8]) -> usize {
    let mut end = ts.len() / PACKET_BYTES * PACKET_BYTES;
    loop {
        let Some(unfinished) = first_unfinished(ts.get(..end).unwrap_or_default()) else { return end };
        end = unfinished;
    }
}

/// A PES packet that has begun.
struct Begun {
    pid: u16,
    at: usize,
    /// Bytes that are missing; `None` where it does not tell.
    missing: Option<usize>,
}

fn first_unfinished(ts: &[u8]) -> Option<usize> {
    let mut begun: Vec<Begun> = Vec::new();
    for (number, packet) in ts.chunks_exact(PACKET_BYTES).enumerate() {
        let [_, high, low, flags, ..] = *packet else { continue };
        let pid = u16::from_be_bytes([high & 0x1F, low]);
        let skip = match flags & 0x30 {
            0x10 => 4,
            0x30 => 5 + usize::from(packet.get(4).copied().unwrap_or(0)),
            _ => continue,
        };
        let Some(payload) = packet.get(skip..) else { continue };
        if high & 0x40 != 0 {
            // Tables begin with a pointer and an id that is not 1.
            let &[0, 0, 1, _, length_high, length_low, ..] = payload else { continue };
            begun.retain(|pes| pes.pid != pid);
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            let missing = (length > 0).then(|| (length + 6).saturating_sub(payload.len()));
            begun.push(Begun { pid, at: number * PACKET_BYTES, missing });
        } else if let Some(pes) = begun.iter_mut().find(|pes| pes.pid == pid) {
            pes.missing = pes.missing.map(|missing| missing.saturating_sub(payload.len()));
        }
    }
    begun.iter().filter(|pes| pes.missing != Some(0)).map(|pes| pes.at).min()
}
