use std::collections::VecDeque;

use bytes::Bytes;
use mp4_atom::Encode;
use recorder_types::{RoomTime, Timescale, Timestamp};

use crate::plan::{Edit, Entry, PlanError, SampleInfo, TrackSetup, compare};
use crate::track::SampleEntry;
use crate::trak::{TrackFront, encode, put_full_header, put_header, track_id};

/// `sample_depends_on` 2, and 1 with `sample_is_non_sync_sample` (ISO/IEC 14496-12 §8.8.3.1).
const SYNC: u32 = 0x0200_0000;
const NON_SYNC: u32 = 0x0101_0000;
/// More media than this is never in one fragment: offsets in it have 31 bits.
const MAX_BYTES: u64 = 1 << 30;
/// Fragments of audio alone, where nothing else is asked for.
const AUDIO_FRAGMENT: RoomTime = RoomTime::from_secs(1);

/// Where fragments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FragmentOptions {
    /// A fragment ends at the first key frame that begins at least so long after it. Zero: at each key frame, and
    /// each second of audio alone.
    pub min_duration: RoomTime,
    /// A fragment ends when it has become so long, key frame or not.
    pub max_duration: RoomTime,
    /// A fragment ends before it has more bytes of media than this, key frame or not, and never has more than 1 GiB.
    /// This is what is held in memory.
    pub max_bytes: u64,
}

/// At each key frame, after 10 seconds, after 32 MiB.
impl Default for FragmentOptions {
    fn default() -> Self {
        Self { min_duration: RoomTime::ZERO, max_duration: RoomTime::from_secs(10), max_bytes: 32 << 20 }
    }
}

impl FragmentOptions {
    /// Ends fragments at the first key frame after this.
    #[must_use]
    pub const fn with_min_duration(mut self, duration: RoomTime) -> Self {
        self.min_duration = duration;
        self
    }

    /// Ends fragments at the latest after this.
    #[must_use]
    pub const fn with_max_duration(mut self, duration: RoomTime) -> Self {
        self.max_duration = duration;
        self
    }
}

/// Why a sample cannot be put into a fragment. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The sample or the track cannot be written.
    #[error("writing a fragment")]
    Plan(#[from] PlanError),
    /// [`SampleInfo::len`] and the payload differ.
    #[error("payload of {got} bytes is said to have {said}")]
    Length {
        /// What the info says.
        said: u32,
        /// What it is.
        got: usize,
    },
    /// A sample of more than 1 GiB.
    #[error("sample of {len} bytes does not fit into a fragment")]
    TooLarge {
        /// Its bytes.
        len: u32,
    },
    /// The sample is presented more than can be told before the begin of the file: it belongs to a track that
    /// began later than another's first fragment.
    #[error("sample at {dts:?} is before the begin of the file")]
    BeforeBegin {
        /// Its decode time.
        dts: Timestamp,
    },
}

/// What a [`FragmentWriter`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentOutput {
    /// `ftyp` and `moov`. Comes first, and again where a track's description changes: a file cannot go on over that,
    /// a playlist says it with a discontinuity and a new `EXT-X-MAP`.
    Init(Bytes),
    /// `moof` and `mdat`.
    Fragment {
        /// The bytes, in order: the head, then each sample as it was pushed.
        data: Vec<Bytes>,
        /// Presentation of its first sample.
        start: Timestamp,
        /// From the decode time of the first track's first sample to the end of its last.
        duration: RoomTime,
        /// Whether it begins with a key frame (without video: always).
        sync: bool,
    },
}

/// Writes a fragmented file (CMAF): push samples, take an init segment and then fragments from
/// [`FragmentWriter::poll`]. One after the other they are a file that can be cut off at any byte and loses the last
/// fragment at most; each alone is an HLS or DASH media segment.
///
/// Payloads are not copied. What is held is one fragment, bounded by [`FragmentOptions`].
///
/// # Specification
/// ISO/IEC 14496-12 §8.8, ISO/IEC 23000-19 §7.3.2.
#[derive(Debug)]
pub struct FragmentWriter {
    options: FragmentOptions,
    tracks: Vec<FragmentTrack>,
    lead: usize,
    /// Begin of the file's time; known when the first fragment ends.
    origin: Option<Timestamp>,
    sequence: u32,
    bytes: u64,
    ready: VecDeque<FragmentOutput>,
}

#[derive(Debug)]
struct FragmentTrack {
    setup: TrackSetup,
    entry: Entry,
    /// What a decode time has to be moved by to be media time.
    shift: i64,
    last_dts: Option<i64>,
    samples: Vec<(SampleInfo, Bytes)>,
}

impl FragmentWriter {
    /// For these tracks, named by their index.
    ///
    /// # Errors
    /// [`PlanError`] if a track cannot be described, or there is none.
    pub fn new(setups: Vec<TrackSetup>, options: FragmentOptions) -> Result<Self, PlanError> {
        let lead = setups.iter().position(|setup| setup.entry.is_video()).unwrap_or(0);
        let tracks = setups.into_iter().map(|setup| {
            let entry = Entry { bytes: setup.entry.encode()?, entry: setup.entry.clone() };
            Ok(FragmentTrack { setup, entry, shift: 0, last_dts: None, samples: Vec::new() })
        });
        let tracks: Vec<_> = tracks.collect::<Result<_, PlanError>>()?;
        if tracks.is_empty() {
            return Err(PlanError::Empty);
        }
        Ok(Self { options, tracks, lead, origin: None, sequence: 0, bytes: 0, ready: VecDeque::new() })
    }

    /// As [`FragmentWriter::new`], with the file's time beginning at `origin` instead of the first presentation.
    ///
    /// # Errors
    /// [`PlanError`] if a track cannot be described, or there is none.
    pub fn with_origin(
        setups: Vec<TrackSetup>,
        options: FragmentOptions,
        origin: Timestamp,
    ) -> Result<Self, PlanError> {
        Ok(Self { origin: Some(origin), ..Self::new(setups, options)? })
    }

    /// From the next sample of `track` on, its samples are described by `entry`: ends the fragment, and gives a new
    /// init segment.
    ///
    /// # Errors
    /// [`PlanError`] if it cannot be written, with nothing changed.
    pub fn change_entry(&mut self, track: usize, entry: &SampleEntry) -> Result<(), PlanError> {
        let bytes = entry.encode()?;
        if self.tracks.get(track).ok_or(PlanError::Track { track })?.entry.entry == *entry {
            return Ok(());
        }
        self.flush();
        if let Some(state) = self.tracks.get_mut(track) {
            state.entry = Entry { entry: entry.clone(), bytes };
            state.setup.entry = entry.clone();
        }
        if self.sequence > 0 {
            self.ready.push_back(FragmentOutput::Init(self.init()));
        }
        Ok(())
    }

    /// Takes the next sample of `track`. Samples should come by decode time, over all tracks.
    ///
    /// # Errors
    /// [`FragmentError`], with nothing changed.
    pub fn push(&mut self, track: usize, info: SampleInfo, data: Bytes) -> Result<(), FragmentError> {
        let begun = self.sequence > 0;
        let state = self.tracks.get(track).ok_or(PlanError::Track { track })?;
        state.check(&info, &data, begun)?;
        if self.ends_before(track, &info) {
            let end = (track == self.lead).then(|| info.dts.ticks());
            self.end_fragment(end);
        }
        if let Some(state) = self.tracks.get_mut(track) {
            state.last_dts = Some(info.dts.ticks());
            self.bytes += data.len() as u64;
            state.samples.push((info, data));
        }
        Ok(())
    }

    /// The next output, oldest first; `None` until more is pushed.
    pub fn poll(&mut self) -> Option<FragmentOutput> {
        self.ready.pop_front()
    }

    /// Ends the fragment here, key frame or not, at the end of the stream for example.
    pub fn flush(&mut self) {
        self.end_fragment(None);
    }

    /// Whether the fragment ends before this sample.
    fn ends_before(&self, track: usize, info: &SampleInfo) -> bool {
        let Some(begin) = self.begin() else {
            return false;
        };
        let time = |time: Timestamp| time.to_room_time().unwrap_or(RoomTime::MAX);
        let length = time(info.dts).saturating_sub(begin);
        let Some(lead) = self.tracks.get(self.lead) else {
            return false;
        };
        let audio_alone = !lead.setup.entry.is_video();
        let least = match self.options.min_duration {
            RoomTime::ZERO if audio_alone => AUDIO_FRAGMENT,
            least => least,
        };
        let key = track == self.lead && info.sync && !lead.samples.is_empty();
        key && length >= least
            || length >= self.options.max_duration
            || self.bytes + u64::from(info.len) > self.options.max_bytes.min(MAX_BYTES)
    }

    /// The earliest decode time of what is held.
    fn begin(&self) -> Option<RoomTime> {
        let firsts = self.tracks.iter().filter_map(|track| track.samples.first());
        firsts.filter_map(|(info, _)| info.dts.to_room_time()).min()
    }

    /// `lead_end` is when the lead's last sample ends, if that is known better than from itself.
    fn end_fragment(&mut self, lead_end: Option<i64>) {
        if self.bytes == 0 && self.tracks.iter().all(|track| track.samples.is_empty()) {
            return;
        }
        if self.sequence == 0 {
            self.begin_file();
            self.ready.push_back(FragmentOutput::Init(self.init()));
        }
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let fragment = self.fragment(lead_end);
        self.ready.push_back(fragment);
        self.bytes = 0;
    }

    /// Settles where the file's time begins and what each track's times are moved by, so that no decode time is
    /// negative.
    fn begin_file(&mut self) {
        let begins = self.tracks.iter().filter_map(|track| {
            let earliest = track.samples.iter().map(|(info, _)| info.pts.ticks()).min()?;
            Some(Timestamp::new(earliest, track.setup.timescale))
        });
        let begin = begins.min_by(compare);
        let origin = self.origin.or(begin).unwrap_or(Timestamp::new(0, Timescale::HZ_90000));
        self.origin = Some(origin);
        for track in &mut self.tracks {
            let begin = origin.to_room_time().map_or(0, |time| time.round_to_ticks(track.setup.timescale));
            let begin = if origin.timescale() == track.setup.timescale { origin.ticks() } else { begin };
            let before = track.samples.first().map_or(0, |(info, _)| begin.saturating_sub(info.dts.ticks()));
            track.shift = before.max(0).saturating_sub(begin);
        }
    }

    fn init(&self) -> Bytes {
        let mut bytes = Vec::new();
        let brands = [b"iso6", b"cmfc", b"isom", b"avc1", b"mp41"].map(mp4_atom::FourCC::new).to_vec();
        let brand = mp4_atom::FourCC::new(b"iso6");
        encode(
            &mut bytes,
            &mp4_atom::Ftyp { major_brand: brand, minor_version: 512, compatible_brands: brands },
        );
        let mut moov = Vec::new();
        let movie = mp4_atom::Mvhd {
            timescale: 1000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: track_id(self.tracks.len()),
            ..mp4_atom::Mvhd::default()
        };
        encode(&mut moov, &movie);
        for (number, track) in self.tracks.iter().enumerate() {
            let front = TrackFront {
                number,
                setup: &track.setup,
                entries: std::slice::from_ref(&track.entry),
                edit: Edit { delay: 0, media_time: self.media_origin(track), duration: 0 },
                media_duration: 0,
                tables: 16 + 16 + 20 + 16,
            };
            front.put(&mut moov);
            put_full_header(&mut moov, b"stts", 16, 0, 0);
            put_full_header(&mut moov, b"stsc", 16, 0, 0);
            put_full_header(&mut moov, b"stsz", 20, 0, 0);
            moov.extend_from_slice(&0u32.to_be_bytes());
            put_full_header(&mut moov, b"stco", 16, 0, 0);
        }
        let trex = (0..self.tracks.len()).map(|number| mp4_atom::Trex {
            track_id: track_id(number),
            default_sample_description_index: 1,
            ..mp4_atom::Trex::default()
        });
        encode(&mut moov, &mp4_atom::Mvex { mehd: None, trex: trex.collect() });
        put_header(&mut bytes, b"moov", 8 + moov.len() as u64);
        bytes.extend_from_slice(&moov);
        bytes.into()
    }

    /// The media time of a track at the begin of the file's time.
    fn media_origin(&self, track: &FragmentTrack) -> i64 {
        let Some(origin) = self.origin else {
            return 0;
        };
        let begin = origin.to_room_time().map_or(0, |time| time.round_to_ticks(track.setup.timescale));
        let begin = if origin.timescale() == track.setup.timescale { origin.ticks() } else { begin };
        begin.saturating_add(track.shift).max(0)
    }

    fn fragment(&mut self, lead_end: Option<i64>) -> FragmentOutput {
        let lead = self.lead;
        let first = self.tracks.get(lead).and_then(|track| track.samples.first().map(|(info, _)| *info));
        let sync = first.is_some_and(|info| info.sync);
        let mut duration = RoomTime::ZERO;
        let mut trafs = Vec::new();
        for (number, track) in self.tracks.iter().enumerate().filter(|(_, track)| !track.samples.is_empty()) {
            let end = if number == lead { lead_end } else { None };
            let (traf, ticks) = track.traf(number, end);
            if number == lead || duration == RoomTime::ZERO {
                duration = Timestamp::new(ticks, track.setup.timescale).to_room_time().unwrap_or_default();
            }
            trafs.push(traf);
        }
        let mut moof =
            mp4_atom::Moof { mfhd: mp4_atom::Mfhd { sequence_number: self.sequence }, traf: trafs };
        let mut head = Vec::new();
        // Once to know its length, once with the offsets that follow from it.
        moof.encode(&mut head).expect("what check() lets in can be encoded");
        let mut at = head.len() as u64 + 8;
        let held = self.tracks.iter().filter(|track| !track.samples.is_empty());
        for (traf, track) in moof.traf.iter_mut().zip(held) {
            for trun in &mut traf.trun {
                trun.data_offset = Some(i32::try_from(at).expect("a fragment is below 2 GiB"));
            }
            at += track.samples.iter().map(|(info, _)| u64::from(info.len)).sum::<u64>();
        }
        let payload = at - head.len() as u64;
        head.clear();
        moof.encode(&mut head).expect("what check() lets in can be encoded");
        put_header(&mut head, b"mdat", payload);

        let start = first.map(|info| info.pts);
        let start = start.or_else(|| self.tracks.iter().find_map(|track| Some(track.samples.first()?.0.pts)));
        let mut data = vec![Bytes::from(head)];
        for track in &mut self.tracks {
            data.extend(track.samples.drain(..).map(|(_, data)| data));
        }
        FragmentOutput::Fragment { data, start: start.expect("a fragment has a sample"), duration, sync }
    }
}

impl FragmentTrack {
    fn check(&self, info: &SampleInfo, data: &Bytes, begun: bool) -> Result<(), FragmentError> {
        let (expected, got) = (self.setup.timescale, info.dts.timescale());
        if got != expected || info.pts.timescale() != expected {
            return Err(PlanError::Clock { expected, got }.into());
        }
        if usize::try_from(info.len).ok() != Some(data.len()) {
            return Err(FragmentError::Length { said: info.len, got: data.len() });
        }
        if u64::from(info.len) > MAX_BYTES {
            return Err(FragmentError::TooLarge { len: info.len });
        }
        let too_far = PlanError::TimeRange { dts: info.dts };
        let dts = info.dts.ticks();
        let offset = info.pts.ticks().checked_sub(dts).and_then(|offset| i32::try_from(offset).ok());
        offset.ok_or(too_far.clone())?;
        if let Some(last) = self.last_dts {
            if dts <= last {
                return Err(PlanError::OutOfOrder { last, got: info.dts }.into());
            }
            if !self.samples.is_empty() && u32::try_from(dts - last).is_err() {
                return Err(too_far.into());
            }
        }
        if begun && dts.checked_add(self.shift).is_none_or(|time| time < 0) {
            return Err(FragmentError::BeforeBegin { dts: info.dts });
        }
        Ok(())
    }

    /// The `traf` without its data offset, and the ticks from its first sample to the end of its last.
    fn traf(&self, number: usize, end: Option<i64>) -> (mp4_atom::Traf, i64) {
        let begin = self.samples.first().map_or(0, |(info, _)| info.dts.ticks());
        let nexts = self.samples.iter().skip(1).map(|(info, _)| Some(info.dts.ticks())).chain([end]);
        let durations = self.samples.iter().zip(nexts).map(|((info, _), next)| {
            let known = next.and_then(|next| u32::try_from(next.checked_sub(info.dts.ticks())?).ok());
            known.unwrap_or(info.duration)
        });
        let durations: Vec<u32> = durations.collect();
        let last = self.samples.last().map_or(0, |(info, _)| info.dts.ticks());
        let ticks = last - begin + i64::from(durations.last().copied().unwrap_or(0));

        let flags = |info: &SampleInfo| if info.sync { SYNC } else { NON_SYNC };
        let same_duration = same(durations.iter().copied());
        let same_flags = same(self.samples.iter().map(|(info, _)| flags(info)));
        // All but the first: the usual group of pictures.
        let rest_flags = same(self.samples.iter().skip(1).map(|(info, _)| flags(info)));
        let default_flags = same_flags.or(rest_flags);
        let reordered = self.samples.iter().any(|(info, _)| info.pts != info.dts);
        let entries =
            self.samples.iter().zip(&durations).enumerate().map(|(index, ((info, _), &duration))| {
                let own_flags = default_flags.is_none() || same_flags.is_none() && index == 0;
                mp4_atom::TrunEntry {
                    duration: same_duration.is_none().then_some(duration),
                    size: Some(info.len),
                    flags: own_flags.then(|| flags(info)),
                    cts: reordered.then(|| info.pts.ticks() - info.dts.ticks()),
                }
            });
        let traf = mp4_atom::Traf {
            tfhd: mp4_atom::Tfhd {
                track_id: track_id(number),
                default_base_is_moof: true,
                default_sample_duration: same_duration,
                default_sample_flags: default_flags,
                ..mp4_atom::Tfhd::default()
            },
            tfdt: Some(mp4_atom::Tfdt {
                base_media_decode_time: u64::try_from(begin.saturating_add(self.shift)).unwrap_or(0),
            }),
            trun: vec![mp4_atom::Trun { data_offset: Some(0), samples: entries.collect::<Vec<_>>().into() }],
            ..mp4_atom::Traf::default()
        };
        (traf, ticks)
    }
}

/// The value that all of them have; `None` if they differ or there are none.
fn same(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
