//! The samples of a segment, in the form of MP4.

mod full;
mod light;
mod packed;

use bytes::Bytes;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::h264::DisplayOrientation;
use recorder_types::{MediaKind, UnixMillis};

use super::build::{IndexBuilder, NewPicture};
use super::{IndexError, SegmentIndex};
use full::Full;
use light::{Light, Pool};
use packed::{Packed, is_packed};

/// The largest PES packet: well above what a segmenter takes, and below what a length of 32 bits can say.
const MAX_UNIT: usize = 256 << 20;

/// One sample of a segment, in the form of MP4. Times are in ticks of 90 kHz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSample {
    /// A picture, or an AAC frame.
    pub kind: MediaKind,
    /// When it is shown or heard.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// Whether decoding can begin with it: an IDR picture, or any frame.
    pub sync: bool,
    /// The picture's NAL units behind lengths of four bytes, without delimiters, parameter sets, orientation, filler and
    /// end markers; or the raw frame.
    pub data: Bytes,
}

/// The samples of a segment of TS or packed audio in its order, which is that of its [`SegmentIndex`] for each kind. Times begin between
/// 0 and 2^33.
///
/// After an error it is finished.
#[derive(Debug)]
pub struct Samples {
    segment: Bytes,
    source: Option<Source>,
    /// Between two segments.
    pool: Pool,
}

impl Samples {
    /// Of a whole segment.
    #[must_use]
    pub fn new(segment: Bytes) -> Self {
        Self { segment, source: Some(Source::new(None, Pool::default())), pool: Pool::default() }
    }

    /// Begins with another segment, as [`Samples::new`] does, in the memory of the one before as far as nobody holds
    /// its samples any more.
    pub fn next_segment(&mut self, segment: Bytes) {
        self.end();
        self.segment = segment;
        self.source = Some(Source::new(None, std::mem::take(&mut self.pool)));
    }

    /// Lets go of the segment.
    fn end(&mut self) {
        self.segment = Bytes::new();
        if let Some(light) = self.source.take().and_then(|source| source.light) {
            self.pool = light.into_pool();
        }
    }
}

impl Iterator for Samples {
    type Item = Result<SegmentSample, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let source = self.source.as_mut()?;
        match source.next(&self.segment, |_| {}) {
            Ok(Some(unit)) => Some(Ok(match unit {
                Unit::Picture { pts, dts, idr, data, .. } => {
                    SegmentSample { kind: MediaKind::Video, pts, dts, sync: idr, data }
                }
                Unit::Frame { pts, data, .. } => {
                    SegmentSample { kind: MediaKind::Audio, pts, dts: pts, sync: true, data }
                }
            })),
            Ok(None) => {
                self.end();
                None
            }
            Err(error) => {
                self.end();
                Some(Err(error))
            }
        }
    }
}

/// Where samples come from.
#[derive(Debug)]
struct Source {
    reference: Option<i64>,
    light: Option<Light>,
    full: Option<Box<Full>>,
    packed: Packed,
    /// Samples given, and parameter sets told.
    given: u64,
    sets: u64,
}

impl Source {
    fn new(reference: Option<i64>, pool: Pool) -> Self {
        let light = Some(Light::new(reference, pool));
        Self { reference, light, full: None, packed: Packed::default(), given: 0, sets: 0 }
    }

    /// The next sample of `segment`, which is the same in each call. Parameter sets before it go to `set`.
    fn next(&mut self, segment: &[u8], mut set: impl FnMut(&[u8])) -> Result<Option<Unit>, IndexError> {
        if is_packed(segment) {
            return self.packed.next(segment, self.reference);
        }
        if let Some(light) = &mut self.light {
            let sets = &mut self.sets;
            let told = light.next(segment, |unit| {
                *sets += 1;
                set(unit);
            });
            if let Ok(unit) = told {
                self.given += u64::from(unit.is_some());
                return Ok(unit);
            }
            self.light = None;
        }
        // From the begin, without what was given already.
        let full = self.full.get_or_insert_with(|| Box::new(Full::new(self.reference)));
        let sets = &mut self.sets;
        let mut fresh = |unit: &[u8]| match sets.checked_sub(1) {
            Some(left) => *sets = left,
            None => set(unit),
        };
        while self.given > 0 {
            full.next(segment, &mut fresh)?;
            self.given -= 1;
        }
        full.next(segment, fresh)
    }
}

/// A sample with all that an index needs to know of it. `at` is its offset in the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unit {
    Picture {
        at: u64,
        pts: i64,
        dts: i64,
        idr: bool,
        pps: Option<u8>,
        orientation: Option<DisplayOrientation>,
        data: Bytes,
    },
    Frame {
        at: u64,
        pts: i64,
        config: AudioSpecificConfig,
        data: Bytes,
    },
}

/// The index of a segment.
pub(super) fn index(
    segment: &[u8],
    start: UnixMillis,
    discontinuity: bool,
    reference: Option<i64>,
) -> Result<SegmentIndex, IndexError> {
    let mut source = Source::new(reference, Pool::default());
    let mut builder = IndexBuilder::default();
    while let Some(unit) = source.next(segment, |set| builder.parameter_set(set))? {
        match unit {
            Unit::Picture { at, pts, dts, idr, pps, orientation, data } => {
                let len = u32::try_from(data.len()).map_err(|_| IndexError::TooLarge { at })?;
                if !builder.picture(NewPicture { pts, dts, idr, pps, orientation, len }) {
                    return Err(IndexError::TooLarge { at });
                }
            }
            Unit::Frame { at, pts, config, data } => {
                let len = u32::try_from(data.len()).map_err(|_| IndexError::TooLarge { at })?;
                if !builder.frame(config, pts, len) {
                    return Err(IndexError::AudioChange { at });
                }
            }
        }
    }
    Ok(builder.finish(start, discontinuity, segment.len() as u64))
}

#[cfg(test)]
mod tests {
    use recorder_testkit::{hostile, media};

    use super::*;

    /// All samples and sets; whether the short way went to the end.
    fn run(segment: &[u8], mut source: Source) -> (Vec<Unit>, Vec<Bytes>, Option<IndexError>, bool) {
        let (mut units, mut sets) = (Vec::new(), Vec::new());
        let error = loop {
            match source.next(segment, |set| sets.push(Bytes::copy_from_slice(set))) {
                Ok(Some(unit)) => units.push(unit),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        (units, sets, error, source.light.is_some())
    }

    fn assert_same(segment: &[u8], name: &str) -> bool {
        let full = Source { light: None, ..Source::new(Some(12_345), Pool::default()) };
        let want = run(segment, full);
        let got = run(segment, Source::new(Some(12_345), Pool::default()));
        assert_eq!((&got.2, got.0.len()), (&want.2, want.0.len()), "{name}");
        assert!((&got.0, &got.1) == (&want.0, &want.1), "{name}: samples differ");
        got.3
    }

    #[test]
    fn the_short_way_gives_what_the_demuxer_gives() {
        let Some(folder) = media::media_dir() else { return };
        let mut random = hostile::Random::new(11);
        let mut short = 0;
        for folder in ["hls/gap", "hls/ts-rollover", "hls/speaker-aac", "hls/opus-screenshare", "malformed"] {
            for entry in std::fs::read_dir(media::media_dir().unwrap_or(".".into()).join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|ending| ending != "ts") {
                    continue;
                }
                let (name, data) = (path.display().to_string(), std::fs::read(&path).unwrap());
                short += u32::from(assert_same(&data, &name));
                let head = &data[..data.len().min(188 * 400)];
                for _ in 0..60 {
                    let mut damaged = head.to_vec();
                    for _ in 0..=random.below(2) {
                        let at = usize::try_from(random.below(head.len() as u64)).unwrap();
                        // Headers more often than payload.
                        let at = if random.below(3) > 0 { at / 188 * 188 + at % 24 } else { at };
                        if let Some(byte) = damaged.get_mut(at) {
                            *byte = random.bits().to_le_bytes()[0];
                        }
                    }
                    let cut = usize::try_from(random.below(4)).unwrap() * 94;
                    assert_same(&damaged[..damaged.len() - cut.min(damaged.len())], &name);
                }
            }
        }
        assert!(folder.is_dir() && short > 0, "no segment of others went the short way");
    }
}
