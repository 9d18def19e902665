//! The samples of a segment, in the form of MP4.

mod full;

use bytes::Bytes;
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{MediaKind, UnixMillis};

use super::build::{IndexBuilder, NewPicture};
use super::{IndexError, SegmentIndex};
use full::Full;

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
    /// The picture's NAL units behind lengths of four bytes, without delimiters, parameter sets, filler and end
    /// markers; or the raw frame.
    pub data: Bytes,
}

/// The samples of a TS segment in its order, which is that of its [`SegmentIndex`] for each kind. Times begin between
/// 0 and 2^33.
///
/// After an error it is finished.
#[derive(Debug)]
pub struct Samples {
    segment: Bytes,
    source: Option<Full>,
}

impl Samples {
    /// Of a whole segment.
    #[must_use]
    pub fn new(segment: Bytes) -> Self {
        Self { segment, source: Some(Full::new(None)) }
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
                self.source = None;
                None
            }
            Err(error) => {
                self.source = None;
                Some(Err(error))
            }
        }
    }
}

/// A sample with all that an index needs to know of it. `at` is its offset in the segment.
#[derive(Debug)]
enum Unit {
    Picture { at: u64, pts: i64, dts: i64, idr: bool, pps: Option<u8>, data: Bytes },
    Frame { at: u64, pts: i64, config: AudioSpecificConfig, data: Bytes },
}

/// The index of a segment.
pub(super) fn index(
    segment: &[u8],
    start: UnixMillis,
    discontinuity: bool,
    reference: Option<i64>,
) -> Result<SegmentIndex, IndexError> {
    let mut source = Full::new(reference);
    let mut builder = IndexBuilder::default();
    while let Some(unit) = source.next(segment, |set| builder.parameter_set(set))? {
        match unit {
            Unit::Picture { at, pts, dts, idr, pps, data } => {
                let len = u32::try_from(data.len()).map_err(|_| IndexError::TooLarge { at })?;
                if !builder.picture(NewPicture { pts, dts, idr, pps, len }) {
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
