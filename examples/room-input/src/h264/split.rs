use std::io;

use bytes::{Bytes, BytesMut};
use recorder_types::NalFraming;
use recorder_types::h264::{Units, nal_type, start_code, unit_type};

use super::slice::{ParameterSets, Picture, Slice};
use crate::window::Window;

/// Bytes of one access unit at most: several times an uncompressed 4K picture.
pub(super) const MAX_UNIT_BYTES: usize = 48 << 20;

/// NAL unit types of the scalable and multiview extensions (Annexes G and H), which a base-layer decoder ignores.
const PREFIX: u8 = 14;
const EXTENSIONS: [u8; 3] = [PREFIX, 15, 20];

/// One frame as it is in the byte stream, with all that comes before its slices.
#[derive(Clone, Debug)]
pub(super) struct AccessUnit {
    pub(super) data: Bytes,
    /// The picture, or the first field; `None` where its parameter sets are missing or its header is damaged.
    pub(super) picture: Option<Picture>,
    /// The second field, where the first one is a field and this completes it.
    pub(super) second_field: Option<Picture>,
}

/// What went wrong below [`Splitter::next`].
#[derive(Debug)]
pub(super) enum SplitFault {
    Io(io::Error),
    /// No end within [`MAX_UNIT_BYTES`] from the byte at this offset.
    TooLarge {
        at: u64,
    },
}

/// The slices of the access unit that is being read.
struct Open {
    last: Slice,
    has_first_mb: bool,
    picture: Option<Picture>,
    second_field: Option<Picture>,
}

/// A NAL unit in the window: where its start code begins, and where its first byte is.
#[derive(Clone, Copy)]
struct UnitStart {
    code: usize,
    body: usize,
}

/// Cuts an Annex B byte stream into access units by §7.4.1.2.3 and §7.4.1.2.4, and leaves out extension layers.
///
/// Departures: the two fields of a frame stay together, as in files and transport streams made by others; a slice
/// without its parameter sets begins an access unit where it begins a picture (`first_mb_in_slice` is 0) or where
/// IDR and non-IDR meet.
pub(super) struct Splitter {
    window: Window,
    pub(super) sets: ParameterSets,
    /// Where in the window the search for the next start code goes on.
    scan: usize,
    /// The unit whose end is not yet found.
    unit: Option<UnitStart>,
    open: Option<Open>,
    /// Where the next access unit begins, if the next slice is not of this one.
    boundary: Option<usize>,
    /// A unit came that only stands before a picture: the next slice is of another one.
    is_boundary_sure: bool,
    has_extensions: bool,
    junk: u64,
    is_ended: bool,
}

impl Splitter {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            sets: ParameterSets::default(),
            scan: 0,
            unit: None,
            open: None,
            boundary: None,
            is_boundary_sure: false,
            has_extensions: false,
            junk: 0,
            is_ended: false,
        }
    }

    /// Bytes before the first start code.
    pub(super) const fn junk(&self) -> u64 {
        self.junk
    }

    /// The next access unit, in decoding order; `None` at the end. Units after the last picture are left out.
    pub(super) fn next(&mut self) -> Result<Option<AccessUnit>, SplitFault> {
        while !self.is_ended {
            let (end, next) = self.advance()?;
            self.is_ended = next.is_none();
            let unit = std::mem::replace(&mut self.unit, next);
            if let Some((open, at)) = unit.and_then(|unit| self.take(unit, end)) {
                return Ok(Some(self.cut(open, at)));
            }
        }
        let len = self.boundary.unwrap_or(self.window.bytes().len());
        Ok(self.open.take().map(|open| self.cut(open, len)))
    }

    /// Finds where the unit that is being read ends and the next begins.
    fn advance(&mut self) -> Result<(usize, Option<UnitStart>), SplitFault> {
        loop {
            let held = self.window.bytes();
            if let Some(found) = held.get(self.scan..).and_then(start_code) {
                let mut code = self.scan + found;
                self.scan = code + 3;
                // The zero byte of a four-byte start code goes with the unit that it begins.
                if code > self.unit.map_or(0, |unit| unit.body) && held[code - 1] == 0 {
                    code -= 1;
                }
                if self.unit.is_none() {
                    self.drop_junk(code);
                    code = 0;
                }
                return Ok((code, Some(UnitStart { code, body: self.scan })));
            }
            self.scan = self.scan.max(held.len().saturating_sub(2));
            if held.len() > MAX_UNIT_BYTES {
                return Err(SplitFault::TooLarge { at: self.window.start() });
            }
            if self.unit.is_none() {
                self.drop_junk(self.scan.saturating_sub(1));
            }
            if !self.window.fill().map_err(SplitFault::Io)? {
                return Ok((self.window.bytes().len(), None));
            }
        }
    }

    fn drop_junk(&mut self, len: usize) {
        let junk = self.window.cut(len);
        if junk.iter().any(|&byte| byte != 0) {
            self.junk = self.window.start();
        }
        self.scan -= len;
    }

    /// Looks at a whole NAL unit. If it belongs to the next access unit, gives the one before and where it ends.
    fn take(&mut self, unit: UnitStart, end: usize) -> Option<(Open, usize)> {
        let bytes = &self.window.bytes()[unit.body..end];
        let kind = unit_type(bytes)?;
        match kind {
            nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR => {
                let slice = Slice::parse(bytes, &self.sets)?;
                return self.take_slice(slice, unit.code);
            }
            nal_type::SPS | nal_type::PPS => {
                let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                self.sets.put(&bytes[..len]);
                self.may_begin(unit.code, true);
            }
            PREFIX => self.may_begin(unit.code, false),
            nal_type::SEI | nal_type::AUD | 15..=18 => self.may_begin(unit.code, true),
            nal_type::END_OF_SEQUENCE | nal_type::END_OF_STREAM => self.is_boundary_sure = true,
            _ => {}
        }
        self.has_extensions |= EXTENSIONS.contains(&kind);
        None
    }

    fn may_begin(&mut self, at: usize, is_sure: bool) {
        if self.open.is_some() {
            self.boundary.get_or_insert(at);
            self.is_boundary_sure |= is_sure;
        }
    }

    fn take_slice(&mut self, slice: Slice, code: usize) -> Option<(Open, usize)> {
        let boundary = self.boundary.take().unwrap_or(code);
        let is_sure = std::mem::take(&mut self.is_boundary_sure);
        let Some(open) = &mut self.open else {
            self.open = Some(Open::new(slice));
            return None;
        };
        if slice.is_redundant && !is_sure {
            return None;
        }
        if !is_sure && !open.is_followed_by_other(&slice) {
            open.has_first_mb |= slice.first_mb == 0;
            open.last = slice;
            return None;
        }
        if let (Some(field), Some(first), None) = (&slice.picture, &open.picture, &open.second_field)
            && field.completes(first)
        {
            open.second_field = slice.picture.clone();
            open.has_first_mb = slice.first_mb == 0;
            open.last = slice;
            return None;
        }
        self.open.replace(Open::new(slice)).map(|before| (before, boundary))
    }

    /// Takes the access unit that ends at `at` out of the window.
    fn cut(&mut self, open: Open, at: usize) -> AccessUnit {
        let mut data = self.window.cut(at);
        self.scan = self.scan.saturating_sub(at); // at the end of the file the last bytes were not searched
        self.unit = self.unit.map(|unit| UnitStart { code: unit.code - at, body: unit.body - at });
        self.boundary = self.boundary.map(|boundary| boundary - at);
        if self.has_extensions {
            data = without_extensions(&data);
        }
        AccessUnit { data, picture: open.picture, second_field: open.second_field }
    }
}

impl Open {
    fn new(slice: Slice) -> Self {
        let (has_first_mb, picture) = (slice.first_mb == 0, slice.picture.clone());
        Self { last: slice, has_first_mb, picture, second_field: None }
    }

    /// Whether `slice` is of another picture than the last one (§7.4.1.2.4).
    fn is_followed_by_other(&self, slice: &Slice) -> bool {
        // The same first macroblock twice is another picture, whatever the rest says; slices in any other order are
        // allowed in the Baseline profile.
        (slice.first_mb == 0 && self.has_first_mb)
            || slice.is_idr != self.last.is_idr
            || match (&self.last.picture, &slice.picture) {
                (Some(last), Some(next)) => last.differs(next),
                _ => false,
            }
    }
}

/// A copy of an access unit without the NAL units of extension layers; the unit itself if there are none.
fn without_extensions(data: &Bytes) -> Bytes {
    let is_extension = |unit: &[u8]| unit_type(unit).is_some_and(|kind| EXTENSIONS.contains(&kind));
    // A unit with its forbidden bit set ends the walk: then the access unit stays as it is.
    let Ok(units) = Units::new(data, NalFraming::AnnexB).collect::<Result<Vec<_>, _>>() else {
        return data.clone();
    };
    if !units.iter().any(|unit| is_extension(unit)) {
        return data.clone();
    }
    let mut kept = BytesMut::with_capacity(data.len());
    for unit in units.into_iter().filter(|unit| !is_extension(unit)) {
        kept.extend_from_slice(&[0, 0, 0, 1]);
        kept.extend_from_slice(unit);
    }
    kept.freeze()
}
