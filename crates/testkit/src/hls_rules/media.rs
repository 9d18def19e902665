//! The rules that the segments' bytes can break.

use std::collections::BTreeMap;

use recorder_hls::demux::{AccessUnit, DemuxOptions, Demuxer, Event, StreamKind, UnitKind};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::h264::{SpsInfo, Units, nal_type, unit_type};
use recorder_types::{NalFraming, Size, Timescale, Timestamp};

use super::text::ListedSegment;
use super::{Rule, Violation};

const PACKET: usize = 188;
const HZ: f64 = 90_000.0;

/// The last continuity counter of each PID.
pub(super) type Counters = BTreeMap<u16, u8>;

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Measured {
    starts_with_tables: bool,
    /// `None` without video.
    video_start: Option<Vec<u8>>,
    /// Packets after a hole.
    holes: Vec<usize>,
    is_transport_stream: bool,
    /// Kinds of the streams, which is what "codec" means here.
    kinds: Vec<StreamKind>,
    size: Option<Size>,
    /// Rate and channels of the first and of the last frame of sound.
    sound: Option<(AudioSpecificConfig, AudioSpecificConfig)>,
    /// The first clock reference does not follow the one before.
    new_clock: bool,
    video: Track,
    audio: Track,
}

/// Decode and presentation times of one stream, in ticks of 90 kHz.
#[derive(Debug, Default)]
struct Track {
    dts: Vec<i64>,
    pts: Vec<i64>,
    /// Length of a frame where the stream tells it: that of sound.
    frame: Option<i64>,
}

impl Track {
    fn take(&mut self, unit: &AccessUnit) {
        if let Some(time) = unit.time {
            self.dts.push(time.dts.ticks());
            self.pts.push(time.pts.ticks());
        }
    }

    /// The longest step between two frames; 0.1 s where there are no two.
    fn longest_frame(&self) -> i64 {
        let steps = self.dts.windows(2).map(|pair| pair[1] - pair[0]);
        steps.chain(self.frame).max().filter(|&step| step > 0).unwrap_or(9_000)
    }

    /// The end of the last frame.
    fn end(&self) -> Option<i64> {
        Some(self.dts.last()? + self.last_frame())
    }

    /// The length of the last frame: of a picture, what the one before it took.
    fn last_frame(&self) -> i64 {
        let n = self.dts.len();
        self.frame.unwrap_or_else(|| if n < 2 { 0 } else { self.dts[n - 1] - self.dts[n - 2] })
    }
}

impl Measured {
    /// Looks at a segment. Times are unrolled near those of `before`, where it goes on from that.
    pub(super) fn new(bytes: &[u8], before: Option<&Self>, counters: &mut Counters) -> Self {
        let reference = before.and_then(|before| before.lead().dts.last()).copied();
        let mut options = DemuxOptions::default();
        if let Some(ticks) = reference {
            options = options.with_reference(Timestamp::new(ticks, Timescale::HZ_90000));
        }
        let mut demuxer = Demuxer::new(options);
        demuxer.push(bytes);
        demuxer.finish();
        let mut measured = Self {
            starts_with_tables: starts_with_tables(bytes),
            video_start: None,
            holes: holes(bytes, counters),
            is_transport_stream: bytes.len().is_multiple_of(PACKET)
                && bytes.chunks(PACKET).all(|packet| packet[0] == 0x47),
            kinds: Vec::new(),
            size: None,
            sound: None,
            new_clock: starts_new_clock(bytes),
            video: Track::default(),
            audio: Track::default(),
        };
        while let Some(event) = demuxer.poll() {
            match event {
                Event::Streams(streams) => {
                    measured.kinds = streams.iter().map(|stream| stream.kind).collect()
                }
                Event::Unit(unit) => match unit.kind {
                    UnitKind::H264 { .. } => {
                        if measured.video_start.is_none() {
                            measured.take_first_picture(&unit);
                        }
                        measured.video.take(&unit);
                    }
                    UnitKind::Aac { config, .. } => {
                        let first = measured.sound.map_or(config, |(first, _)| first);
                        measured.sound = Some((first, config));
                        let frame = Timestamp::new(FRAME_SAMPLES.into(), config.timescale());
                        measured.audio.frame = frame.rescale(Timescale::HZ_90000).map(Timestamp::ticks);
                        measured.audio.take(&unit);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        measured
    }

    fn take_first_picture(&mut self, unit: &AccessUnit) {
        let mut types = Vec::new();
        for nal in Units::new(&unit.data, NalFraming::AnnexB).map_while(Result::ok) {
            types.extend(unit_type(nal));
            if let Ok(sps) = SpsInfo::parse(nal) {
                self.size = Some(sps.size);
            }
        }
        self.video_start = Some(types);
    }

    /// The track that a segment's duration is told by.
    fn lead(&self) -> &Track {
        if self.video.dts.is_empty() { &self.audio } else { &self.video }
    }

    pub(super) fn check_alone(&self, segment: &ListedSegment) -> Vec<Violation> {
        let mut found = Vec::new();
        let uri = &segment.uri;
        if !self.is_transport_stream || !self.starts_with_tables {
            let detail = format!("{uri} does not begin with PAT and PMT in packets of 188 bytes");
            found.push(Violation::new(Rule::SegmentStart, segment.line, detail));
        }
        if let Some(types) = &self.video_start
            && !is_key_start(types)
        {
            let detail = format!("{uri} begins with NAL units {types:?}, not with AUD, SPS, PPS, IDR");
            found.push(Violation::new(Rule::SegmentStart, segment.line, detail));
        }
        if let Some(first) = self.holes.first() {
            let detail = format!("{uri}: {} holes, the first before packet {first}", self.holes.len());
            found.push(Violation::new(Rule::Continuity, segment.line, detail));
        }
        for track in [&self.video, &self.audio] {
            if let Some(pair) = track.dts.windows(2).find(|pair| pair[1] <= pair[0]) {
                let detail = format!("{uri}: decode time {} after {}", pair[1], pair[0]);
                found.push(Violation::new(Rule::DecodeOrder, segment.line, detail));
            }
        }
        found
    }

    /// Checks the border between `before` and this segment, and the duration that `before` is listed with.
    pub(super) fn check_after(
        &self,
        before: &Self,
        segment: &ListedSegment,
        segment_before: &ListedSegment,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        let uri = &segment.uri;
        let other_sound = before.sound.zip(self.sound).is_some_and(|((_, last), (first, _))| first != last);
        let changes = self.kinds != before.kinds || self.size != before.size || other_sound;
        let border = before.lead().dts.last().zip(self.lead().dts.first()).map(|(last, first)| first - last);
        // One frame is due. Variable rates take longer ones; what is over the longest and 0.1 s is another time line.
        let due = before.lead().longest_frame().max(self.lead().longest_frame()) + 9_000;
        let jumps = border.is_some_and(|step| !(1..=due).contains(&step));
        if segment.discontinuity {
            if !changes && !jumps && !self.new_clock && border.is_some() {
                let detail = format!("{uri} goes on from the segment before it");
                found.push(Violation::new(Rule::Discontinuity, segment.line, detail));
            }
            // The time line may have gone on (a new size does not end it) or not: either end will do.
            let up_to_next = before.check_duration(segment_before, self.lead().dts.first().copied());
            found.extend(before.check_duration(segment_before, None).filter(|_| up_to_next.is_some()));
            return found;
        }
        if changes {
            let detail = format!(
                "{uri}: {:?} {:?} {:?} after {:?} {:?} {:?}",
                self.kinds, self.size, self.sound, before.kinds, before.size, before.sound
            );
            found.push(Violation::new(Rule::Discontinuity, segment.line, detail));
        }
        for (track, old) in [(&self.video, &before.video), (&self.audio, &before.audio)] {
            if let Some((first, last)) = track.dts.first().zip(old.dts.last())
                && first <= last
            {
                let detail = format!("{uri}: decode time {first} after {last} in the segment before");
                found.push(Violation::new(Rule::DecodeOrder, segment.line, detail));
            }
        }
        // A pause that EXTINF counts in is no change of the time line.
        match before.check_duration(segment_before, self.lead().dts.first().copied()) {
            Some(_) if border.is_some_and(|step| step > due) => {
                let detail = format!("{uri} begins {border:?} ticks after the last frame before it");
                found.push(Violation::new(Rule::Discontinuity, segment.line, detail));
            }
            violation => found.extend(violation),
        }
        found
    }

    /// Compares `EXTINF` with the time up to `next`, or to the end of the last frame.
    pub(super) fn check_duration(&self, segment: &ListedSegment, next: Option<i64>) -> Option<Violation> {
        let lead = self.lead();
        let first = *lead.dts.first()?;
        let end = next.or_else(|| lead.end())?;
        let ticks = |count: i64| f64::from(i32::try_from(count).unwrap_or(i32::MAX));
        let (media, frame) = (ticks(end - first) / HZ, ticks(lead.longest_frame()) / HZ);
        // Where pictures come late, or end early, the segment is as long as its sound.
        let from = self.audio.dts.first().map_or(first, |&sound| sound.min(first));
        let to = next.unwrap_or_else(|| self.audio.end().map_or(end, |sound| sound.max(end)));
        let whole = ticks(to - from) / HZ;
        let listed = segment.seconds().unwrap_or(-1.0);
        // A millisecond for the digits that EXTINF leaves out.
        let off = |media: f64| (listed - media).abs() > frame + 0.001;
        (off(media) && off(whole)).then(|| {
            let detail = format!("{}: EXTINF {listed} for {media:.4} s of media", segment.uri);
            Violation::new(Rule::Duration, segment.line, detail)
        })
    }
}

/// AUD, SPS, PPS (more of each, and SEI, between them) and then an IDR slice.
fn is_key_start(types: &[u8]) -> bool {
    let has = |wanted| types.iter().take_while(|&&t| t != nal_type::IDR).any(|&t| t == wanted);
    let before_idr = types.iter().position(|&t| t == nal_type::IDR);
    types.first() == Some(&nal_type::AUD)
        && has(nal_type::SPS)
        && has(nal_type::PPS)
        && before_idr.is_some_and(|at| !types[..at].contains(&nal_type::SLICE))
}

/// Whether `discontinuity_indicator` is set in the first packet with a clock reference.
fn starts_new_clock(bytes: &[u8]) -> bool {
    let field = |packet: &[u8]| (packet[3] & 0x20 != 0 && packet[4] > 0).then_some(packet[5]);
    let mut flags = bytes.chunks_exact(PACKET).filter_map(field);
    flags.find(|flags| flags & 0x10 != 0).is_some_and(|flags| flags & 0x80 != 0)
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1F, packet[2]])
}

/// Whether the first packet is a PAT and the second the PMT that it names.
fn starts_with_tables(bytes: &[u8]) -> bool {
    let Some((pat, rest)) = bytes.split_first_chunk::<PACKET>() else { return false };
    let Some(map) = rest.first_chunk::<PACKET>() else { return false };
    // Payload right after the header, pointer 0, table 0, program in the first entry.
    let is_pat = pid(pat) == 0 && pat[3] & 0x30 == 0x10 && pat[4] == 0 && pat[5] == 0;
    let is_map = map[3] & 0x30 == 0x10 && map[4] == 0 && map[5] == 2;
    is_pat && is_map && pid(map) == u16::from_be_bytes([pat[15] & 0x1F, pat[16]])
}

/// The numbers of the packets whose continuity counter does not follow.
fn holes(bytes: &[u8], counters: &mut Counters) -> Vec<usize> {
    let mut holes = Vec::new();
    for (number, packet) in bytes.chunks_exact(PACKET).enumerate() {
        let has_payload = packet[3] & 0x10 != 0;
        let new_line = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        if !has_payload || pid(packet) == 0x1FFF {
            continue;
        }
        let counter = packet[3] & 0x0F;
        let before = counters.insert(pid(packet), counter);
        if before.is_some_and(|before| (before + 1) & 0x0F != counter) && !new_line {
            holes.push(number);
        }
    }
    holes
}
