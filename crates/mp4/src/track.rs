use std::fmt;

use recorder_types::h264::DisplayOrientation;
use recorder_types::{Size, Timescale, Timestamp, TrackConfig};

use crate::boxes::BoxKind;
use crate::error::TrackError;

/// `track_ID`: the number of a track in its file, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(u32);

impl TrackId {
    /// `None` for 0.
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a track is turned and moved for display: the nine numbers `a b u c d v x y w` of `tkhd`, `u v w` in 2.30 and
/// the others in 16.16 fixed point (ISO/IEC 14496-12 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DisplayMatrix(pub [i32; 9]);

impl DisplayMatrix {
    /// Shown as it is coded.
    pub const IDENTITY: Self = Self([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]);

    /// Degrees clockwise that the picture is turned for display: 0, 90, 180 or 270. `None` if the matrix also
    /// mirrors, scales or shears.
    #[must_use]
    pub fn rotation(self) -> Option<u16> {
        let told = self.orientation().filter(|told| !told.mirrored)?;
        Some(u16::from(4 - told.anticlockwise.to_be_bytes()[0] / 0x40) % 4 * 90)
    }

    /// What the elementary stream would say: quarter turns, mirrored or not. `None` if the matrix also scales, shears or
    /// turns by less.
    #[must_use]
    pub fn orientation(self) -> Option<DisplayOrientation> {
        let axes = |[a, b, _, c, d, ..]: [i32; 9]| [a, b, c, d];
        let all = [false, true].into_iter().flat_map(|mirrored| {
            [0, 0x4000, 0x8000, 0xC000].map(|anticlockwise| DisplayOrientation {
                mirrored,
                anticlockwise,
                ..DisplayOrientation::default()
            })
        });
        let size = Size::new(1, 1)?;
        all.into_iter()
            .find(|told| Self::oriented(*told, size).is_some_and(|matrix| axes(matrix.0) == axes(self.0)))
    }

    /// The matrix that shows pictures of this size so, with their upper left corner at zero again. `None` for what is no
    /// quarter turn, and where a side does not fit into 16 bits.
    #[must_use]
    pub fn oriented(orientation: DisplayOrientation, size: Size) -> Option<Self> {
        let (width, height) = (i32::try_from(size.width()).ok()?, i32::try_from(size.height()).ok()?);
        let (x, y) = (if orientation.mirrored { -1 } else { 1 }, if orientation.flipped { -1 } else { 1 });
        let [a, b, c, d] = match orientation.anticlockwise {
            0 => [x, 0, 0, y],
            0x4000 => [0, -x, y, 0],
            0x8000 => [-x, 0, 0, -y],
            0xC000 => [0, x, -y, 0],
            _ => return None,
        };
        let fixed = |whole: i32| whole.checked_mul(1 << 16);
        let back = |by_width: i32, by_height: i32| (-by_width).max(0) * width + (-by_height).max(0) * height;
        let [a, b, c, d, x, y] =
            [fixed(a)?, fixed(b)?, fixed(c)?, fixed(d)?, fixed(back(a, c))?, fixed(back(b, d))?];
        Some(Self([a, b, 0, c, d, 0, x, y, 1 << 30]))
    }
}

/// Width of a pixel to its height (`pasp`). Neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelAspect {
    width: u32,
    height: u32,
}

impl PixelAspect {
    /// `None` if a side is zero.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Option<Self> {
        if width == 0 || height == 0 { None } else { Some(Self { width, height }) }
    }

    /// Relative width.
    #[must_use]
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Relative height.
    #[must_use]
    pub const fn height(self) -> u32 {
        self.height
    }
}

/// Which box describes the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SampleEntryKind {
    /// H.264 with its parameter sets in the sample entry only.
    Avc1,
    /// H.264 whose parameter sets may also, or only, be in the samples.
    Avc3,
    /// AAC.
    Mp4a,
    /// Opus.
    Opus,
}

/// One description of samples. A track has several where its configuration changes on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleEntry {
    /// Which box it was.
    pub kind: SampleEntryKind,
    /// What the samples are. H.264 is length-prefixed with the parameter sets of `avcC`, AAC raw, Opus with the
    /// `pre_skip` of `dOps`.
    pub config: TrackConfig,
    /// Coded picture size; `None` for audio.
    pub size: Option<Size>,
    /// Shape of a pixel, where it is told.
    pub pixel_aspect: Option<PixelAspect>,
}

/// A track that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Its number in the file.
    pub id: TrackId,
    /// What the samples are, by the first sample entry.
    pub config: TrackConfig,
    /// All sample entries in order, at least one; [`SampleRef::entry`] is an index into them.
    pub entries: Vec<SampleEntry>,
    /// The clock of all its [`SampleRef`]s.
    pub timescale: Timescale,
    /// Coded picture size by the first sample entry; `None` for audio.
    pub size: Option<Size>,
    /// How it is turned for display.
    pub matrix: DisplayMatrix,
    /// Shape of a pixel by the first sample entry, where it is told.
    pub pixel_aspect: Option<PixelAspect>,
    /// Ticks that the edit list adds to every media time; already in the times of [`SampleRef`]s. Negative where
    /// the beginning is cut (encoder delay, reordering), positive for a late start, 0 without an edit list.
    ///
    /// Samples before the first edit are given all the same, with negative presentation times.
    pub edit_offset: i64,
    /// Edits after the first that shows media. They are not applied: the track is read as one piece.
    pub further_edits: usize,
    /// Samples that the `moov` box announces; more come in fragments.
    pub samples: u32,
}

/// A track that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedTrack {
    /// Its number, if it can be read.
    pub id: Option<TrackId>,
    /// The media it says it has (`hdlr`), if it can be read: `vide`, `soun`, `text`, `tmcd` and others.
    pub handler: Option<BoxKind>,
    /// What is wrong.
    pub error: TrackError,
}

/// One sample: its times, and where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRef {
    /// Index of the track in [`Reader::tracks`](crate::Reader::tracks).
    pub track: usize,
    /// Index of the sample entry in [`TrackInfo::entries`].
    pub entry: usize,
    /// When it is shown or heard, with the edit list applied.
    pub pts: Timestamp,
    /// When it is decoded, moved by the same amount as `pts`; it may be negative.
    ///
    /// Where composition offsets are negative, a sample would be shown before it is decoded. There all decode times
    /// of the track are moved earlier by the largest of those offsets in the `moov` box, or in the track's first
    /// fragment where `moov` has no samples. Only a later fragment that reaches further leaves `dts` after `pts`.
    pub dts: Timestamp,
    /// Ticks until the next sample is decoded, as the file says.
    pub duration: u32,
    /// Whether decoding can begin here.
    pub sync: bool,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, which are all inside the file.
    pub len: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_put_the_picture_back_to_zero() {
        let size = Size::new(640, 360).unwrap();
        let (w, h) = (640 << 16, 360 << 16);
        const ONE: i32 = 1 << 16;
        for (mirrored, flipped, anticlockwise, axes, corner, rotation) in [
            (false, false, 0, [ONE, 0, 0, ONE], (0, 0), Some(0)),
            (false, false, 0xC000, [0, ONE, -ONE, 0], (h, 0), Some(90)),
            (false, false, 0x8000, [-ONE, 0, 0, -ONE], (w, h), Some(180)),
            (false, false, 0x4000, [0, -ONE, ONE, 0], (0, w), Some(270)),
            (true, true, 0, [-ONE, 0, 0, -ONE], (w, h), Some(180)),
            (true, false, 0, [-ONE, 0, 0, ONE], (w, 0), None),
            // Mirrored first: the left column is on the right then, and above after a quarter turn against the clock.
            (true, false, 0x4000, [0, ONE, ONE, 0], (0, 0), None),
        ] {
            let told = DisplayOrientation { mirrored, flipped, anticlockwise };
            let matrix = DisplayMatrix::oriented(told, size).unwrap();
            let [a, b, _, c, d, _, x, y, _] = matrix.0;
            assert_eq!(([a, b, c, d], (x, y), matrix.rotation()), (axes, corner, rotation), "{told:?}");
            let again = DisplayMatrix::oriented(matrix.orientation().unwrap(), size);
            assert_eq!(again, Some(matrix), "{told:?}");
        }
        let odd = DisplayOrientation { anticlockwise: 0x2000, ..Default::default() };
        assert_eq!(DisplayMatrix::oriented(odd, size), None);
        assert_eq!(DisplayMatrix([2 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]).orientation(), None);
        assert_eq!(
            DisplayMatrix::oriented(DisplayOrientation::default(), size),
            Some(DisplayMatrix::IDENTITY)
        );
    }
}
