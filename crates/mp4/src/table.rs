//! The sample tables of a plain file, read in place: nothing is unpacked, so a track costs what its boxes cost.

use bytes::Bytes;

use crate::boxes::BoxKind;
use crate::error::TrackError;

/// The entries of a table, each of `N` big-endian 32-bit fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<const N: usize> {
    entries: Bytes,
}

impl<const N: usize> Table<N> {
    /// From the body of a full box: version and flags, the count, the entries.
    fn parse(kind: &[u8; 4], body: &Bytes) -> Result<Self, TrackError> {
        Self::parse_after(kind, body, 4)
    }

    /// As [`Table::parse`], with the count `at` bytes into the body.
    fn parse_after(kind: &[u8; 4], body: &Bytes, at: usize) -> Result<Self, TrackError> {
        let kind = BoxKind::new(*kind);
        let count = field(body, at).ok_or(TrackError::Box { kind })?;
        let room = (body.len() - at - 4) / (4 * N);
        let len = usize::try_from(count).ok().filter(|&len| len <= room);
        let len = len.ok_or(TrackError::Count { table: kind, count, room })?;
        Ok(Self { entries: body.slice(at + 4..at + 4 + len * 4 * N) })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() / (4 * N)
    }

    /// Entry `index` from 0; `None` past the end.
    pub(crate) fn get(&self, index: usize) -> Option<[u32; N]> {
        let bytes = self.entries.get(index.checked_mul(4 * N)?..)?.get(..4 * N)?;
        let mut fields = [0; N];
        for (field, bytes) in fields.iter_mut().zip(bytes.as_chunks().0) {
            *field = u32::from_be_bytes(*bytes);
        }
        Some(fields)
    }

    fn iter(&self) -> impl Iterator<Item = [u32; N]> {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

/// The 32-bit field `at` bytes into `body`.
fn field(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*body.get(at..)?.first_chunk()?))
}

/// Sizes of the samples: `stsz` or `stz2`.
#[derive(Clone, Debug)]
enum Sizes {
    Same { size: u32, count: u32 },
    Each(Table<1>),
    Compact { bits: u8, count: u32, fields: Bytes },
}

impl Sizes {
    fn parse_stsz(body: &Bytes) -> Result<Self, TrackError> {
        let missing = TrackError::Box { kind: BoxKind::new(*b"stsz") };
        let size = field(body, 4).ok_or(missing.clone())?;
        let count = field(body, 8).ok_or(missing)?;
        if size == 0 {
            Table::parse_after(b"stsz", body, 8).map(Self::Each)
        } else {
            Ok(Self::Same { size, count })
        }
    }

    fn parse_stz2(body: &Bytes) -> Result<Self, TrackError> {
        let kind = BoxKind::new(*b"stz2");
        let bits = field(body, 4).ok_or(TrackError::Box { kind })? & 0xFF;
        let count = field(body, 8).ok_or(TrackError::Box { kind })?;
        let fields = body.slice(12..);
        let bits = match bits {
            4 => 4,
            8 => 8,
            16 => 16,
            _ => return Err(TrackError::Box { kind }),
        };
        let room = fields.len() * 8 / usize::from(bits);
        if usize::try_from(count).is_ok_and(|count| count <= room) {
            Ok(Self::Compact { bits, count, fields })
        } else {
            Err(TrackError::Count { table: kind, count, room })
        }
    }

    fn count(&self) -> u32 {
        match self {
            Self::Same { count, .. } | Self::Compact { count, .. } => *count,
            Self::Each(table) => u32::try_from(table.len()).expect("the count was read from 32 bits"),
        }
    }

    fn get(&self, sample: u32) -> Option<u32> {
        let index = usize::try_from(sample).ok()?;
        match self {
            Self::Same { size, count } => (sample < *count).then_some(*size),
            Self::Each(table) => table.get(index).map(|[size]| size),
            Self::Compact { count, .. } if sample >= *count => None,
            Self::Compact { bits: 4, fields, .. } => {
                let byte = *fields.get(index / 2)?;
                Some(u32::from(if index % 2 == 0 { byte >> 4 } else { byte & 0xF }))
            }
            Self::Compact { bits: 8, fields, .. } => fields.get(index).copied().map(u32::from),
            Self::Compact { fields, .. } => {
                let bytes = fields.get(index * 2..)?.first_chunk()?;
                Some(u32::from(u16::from_be_bytes(*bytes)))
            }
        }
    }
}

/// Where chunks begin: `stco` or `co64`.
#[derive(Clone, Debug)]
enum Chunks {
    Short(Table<1>),
    Long(Table<2>),
}

impl Chunks {
    fn len(&self) -> usize {
        match self {
            Self::Short(table) => table.len(),
            Self::Long(table) => table.len(),
        }
    }

    fn get(&self, chunk: usize) -> Option<u64> {
        match self {
            Self::Short(table) => table.get(chunk).map(|[offset]| offset.into()),
            Self::Long(table) => table.get(chunk).map(|[high, low]| (u64::from(high) << 32) | u64::from(low)),
        }
    }
}

/// The boxes of `stbl` that [`SampleTables`] is made of, as they are found.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableBoxes {
    pub(crate) stts: Option<Bytes>,
    pub(crate) ctts: Option<Bytes>,
    pub(crate) stsc: Option<Bytes>,
    pub(crate) stsz: Option<Bytes>,
    pub(crate) stz2: Option<Bytes>,
    pub(crate) stco: Option<Bytes>,
    pub(crate) co64: Option<Bytes>,
    pub(crate) stss: Option<Bytes>,
}

/// The sample tables of one track, ISO/IEC 14496-12 §8.6 and §8.7.
#[derive(Clone, Debug)]
pub(crate) struct SampleTables {
    stts: Table<2>,
    ctts: Option<Table<2>>,
    stsc: Table<3>,
    sizes: Sizes,
    chunks: Chunks,
    stss: Option<Table<1>>,
}

impl SampleTables {
    /// Checks what can be checked without walking the samples.
    pub(crate) fn new(boxes: &TableBoxes) -> Result<Self, TrackError> {
        let missing = |kind: &[u8; 4]| TrackError::Box { kind: BoxKind::new(*kind) };
        let sizes = match (&boxes.stsz, &boxes.stz2) {
            (Some(body), _) => Sizes::parse_stsz(body)?,
            (None, Some(body)) => Sizes::parse_stz2(body)?,
            (None, None) => return Err(missing(b"stsz")),
        };
        let chunks = match (&boxes.co64, &boxes.stco) {
            (Some(body), _) => Chunks::Long(Table::parse(b"co64", body)?),
            (None, Some(body)) => Chunks::Short(Table::parse(b"stco", body)?),
            (None, None) => return Err(missing(b"stco")),
        };
        let optional =
            |body: &Option<Bytes>, kind| body.as_ref().map(|body| Table::parse(kind, body)).transpose();
        let tables = Self {
            stts: Table::parse(b"stts", boxes.stts.as_ref().ok_or_else(|| missing(b"stts"))?)?,
            ctts: optional(&boxes.ctts, b"ctts")?,
            stsc: Table::parse(b"stsc", boxes.stsc.as_ref().ok_or_else(|| missing(b"stsc"))?)?,
            sizes,
            chunks,
            stss: boxes.stss.as_ref().map(|body| Table::parse(b"stss", body)).transpose()?,
        };
        tables.check_order()?;
        Ok(tables)
    }

    fn check_order(&self) -> Result<(), TrackError> {
        let chunks = self.chunks.len();
        let mut expected = 1..2;
        for (run, [chunk, _, _]) in self.stsc.iter().enumerate() {
            let inside = usize::try_from(chunk).is_ok_and(|chunk| chunk <= chunks) || self.count() == 0;
            if !expected.contains(&chunk) || !inside {
                return Err(TrackError::ChunkRun { run, chunk, chunks });
            }
            expected = chunk.saturating_add(1)..u32::MAX;
        }
        let mut last = 0;
        for (entry, [number]) in self.stss.iter().flat_map(Table::iter).enumerate() {
            if number <= last {
                return Err(TrackError::SyncOrder { entry });
            }
            last = number;
        }
        Ok(())
    }

    /// Samples in the tables.
    pub(crate) fn count(&self) -> u32 {
        self.sizes.count()
    }

    /// The lowest composition offset if it is negative, else 0.
    pub(crate) fn least_composition(&self) -> i64 {
        let runs = self.ctts.iter().flat_map(Table::iter).filter(|&[count, _]| count > 0);
        runs.map(|[_, offset]| i64::from(offset.cast_signed())).min().unwrap_or(0).min(0)
    }

    /// Sample descriptions that runs of `stsc` name, from 1.
    pub(crate) fn descriptions(&self) -> impl Iterator<Item = u32> {
        self.stsc.iter().map(|[_, _, description]| description)
    }
}

/// One sample as the tables have it: media time, no edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSample {
    /// Sample description, from 1.
    pub(crate) description: u32,
    pub(crate) dts: i64,
    pub(crate) composition: i64,
    pub(crate) duration: u32,
    pub(crate) sync: bool,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// A place in [`SampleTables`]: walks them front to back.
#[derive(Clone, Debug)]
pub(crate) struct TableCursor {
    tables: SampleTables,
    sample: u32,
    dts: i64,
    /// Next run of `stts`, and what is left of the current one.
    time_run: usize,
    time_left: u32,
    delta: u32,
    composition_run: usize,
    composition_left: u32,
    composition: i64,
    /// Next run of `stsc`.
    chunk_run: usize,
    /// Next chunk, from 0.
    chunk: usize,
    chunk_left: u32,
    samples_per_chunk: u32,
    description: u32,
    offset: u64,
    sync_entry: usize,
}

impl TableCursor {
    pub(crate) fn new(tables: SampleTables) -> Self {
        Self {
            tables,
            sample: 0,
            dts: 0,
            time_run: 0,
            time_left: 0,
            delta: 0,
            composition_run: 0,
            composition_left: 0,
            composition: 0,
            chunk_run: 0,
            chunk: 0,
            chunk_left: 0,
            samples_per_chunk: 0,
            description: 1,
            offset: 0,
            sync_entry: 0,
        }
    }

    /// Decode time at which the first sample after the tables begins.
    pub(crate) const fn end_time(&self) -> i64 {
        self.dts
    }

    /// The next sample; `None` after the last.
    pub(crate) fn next(&mut self) -> Option<Result<RawSample, TrackError>> {
        let len = self.tables.sizes.get(self.sample)?;
        Some(self.read(len))
    }

    fn read(&mut self, len: u32) -> Result<RawSample, TrackError> {
        let sample = u64::from(self.sample);
        let ends = |table: &[u8; 4]| TrackError::TableEnds { table: BoxKind::new(*table), sample };
        while self.time_left == 0 {
            [self.time_left, self.delta] =
                self.tables.stts.get(self.time_run).ok_or_else(|| ends(b"stts"))?;
            self.time_run += 1;
        }
        self.time_left -= 1;
        if let Some(ctts) = &self.tables.ctts {
            while self.composition_left == 0 {
                let [count, offset] = ctts.get(self.composition_run).ok_or_else(|| ends(b"ctts"))?;
                // Version 1 is signed; QuickTime writes negative offsets as version 0 too, and 2^31 ticks of
                // reordering are no positive offset of anything.
                self.composition = i64::from(offset.cast_signed());
                self.composition_left = count;
                self.composition_run += 1;
            }
            self.composition_left -= 1;
        }
        while self.chunk_left == 0 {
            self.enter_chunk().ok_or_else(|| ends(b"stco"))?;
        }
        self.chunk_left -= 1;

        let offset = self.offset;
        self.offset = offset.checked_add(u64::from(len)).ok_or_else(|| ends(b"stco"))?;
        let dts = self.dts;
        self.dts = dts.checked_add(i64::from(self.delta)).ok_or(TrackError::Time { sample })?;
        self.sample += 1; // at most the count, which has 32 bits
        Ok(RawSample {
            description: self.description,
            dts,
            composition: self.composition,
            duration: self.delta,
            sync: self.is_sync(),
            offset,
            len,
        })
    }

    fn enter_chunk(&mut self) -> Option<()> {
        let number = u32::try_from(self.chunk + 1).ok()?;
        if let Some([first, samples, description]) = self.tables.stsc.get(self.chunk_run)
            && first <= number
        {
            (self.samples_per_chunk, self.description) = (samples, description);
            self.chunk_run += 1;
        }
        self.offset = self.tables.chunks.get(self.chunk)?;
        self.chunk_left = self.samples_per_chunk;
        self.chunk += 1;
        Some(())
    }

    /// Whether the sample that `self.sample` has just been counted for is in `stss`.
    fn is_sync(&mut self) -> bool {
        let Some(stss) = &self.tables.stss else {
            return true;
        };
        match stss.get(self.sync_entry) {
            Some([number]) if number == self.sample => {
                self.sync_entry += 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full box's body: version and flags, then these fields.
    fn body(fields: &[u32]) -> Option<Bytes> {
        let fields = fields.iter().flat_map(|field| field.to_be_bytes());
        Some([0; 4].into_iter().chain(fields).collect())
    }

    fn good() -> TableBoxes {
        TableBoxes {
            stts: body(&[2, 2, 10, 1, 20]),
            ctts: body(&[2, 1, 5, 2, (-3i32).cast_unsigned()]),
            stsc: body(&[2, 1, 2, 1, 2, 1, 2]),
            stsz: body(&[0, 3, 100, 0, 300]),
            stco: body(&[2, 1000, 5000]),
            stss: body(&[2, 1, 3]),
            ..TableBoxes::default()
        }
    }

    fn samples(boxes: &TableBoxes) -> Result<Vec<RawSample>, TrackError> {
        let mut cursor = TableCursor::new(SampleTables::new(boxes)?);
        std::iter::from_fn(|| cursor.next()).take(10).collect()
    }

    #[test]
    fn the_lowest_composition_offset_is_that_of_a_sample() {
        let low = |fields: &[u32]| {
            SampleTables::new(&TableBoxes { ctts: body(fields), ..good() }).map(|t| t.least_composition())
        };
        let minus = |ticks: i32| (-ticks).cast_unsigned();
        assert_eq!(low(&[2, 1, 5, 2, minus(3)]), Ok(-3));
        assert_eq!(low(&[2, 1, 5, 2, 7]), Ok(0));
        assert_eq!(low(&[3, 1, minus(2), 0, minus(9), 2, minus(4)]), Ok(-4));
        assert_eq!(
            SampleTables::new(&TableBoxes { ctts: None, ..good() }).map(|t| t.least_composition()),
            Ok(0)
        );
    }

    #[test]
    fn tables_are_joined_sample_by_sample() {
        let sample = |description, dts, composition, duration, sync, offset, len| RawSample {
            description,
            dts,
            composition,
            duration,
            sync,
            offset,
            len,
        };
        let want = [
            sample(1, 0, 5, 10, true, 1000, 100),
            sample(1, 10, -3, 10, false, 1100, 0),
            sample(2, 20, -3, 20, true, 5000, 300),
        ];
        assert_eq!(samples(&good()).unwrap(), want);
        let long = TableBoxes { co64: body(&[2, 0, 1000, 1, 5000]), ..good() };
        assert_eq!(samples(&long).unwrap()[2].offset, (1 << 32) + 5000);
    }

    #[test]
    fn compact_sizes_of_each_width_are_read() {
        for (bits, fields, sizes) in
            [(4, 0x1F20_0000, [1, 15, 2]), (8, 0x01FF_0200, [1, 255, 2]), (16, 0x0001_FFFF, [1, 65535, 2])]
        {
            let stz2 = body(&[bits, 3, fields, 0x0002_0000]);
            let boxes = TableBoxes { stsz: None, stz2, ..good() };
            assert_eq!(
                samples(&boxes).unwrap().iter().map(|s| s.len).collect::<Vec<_>>(),
                sizes,
                "{bits} bits"
            );
        }
        let short = TableBoxes { stsz: None, stz2: body(&[16, 3, 0]), ..good() };
        assert!(matches!(samples(&short), Err(TrackError::Count { count: 3, room: 2, .. })));
    }

    #[test]
    fn contradictions_are_told() {
        let kind = |kind: &[u8; 4]| BoxKind::new(*kind);
        for (boxes, error) in [
            (TableBoxes { stts: None, ..good() }, TrackError::Box { kind: kind(b"stts") }),
            (
                TableBoxes { stts: body(&[u32::MAX, 1, 1]), ..good() },
                TrackError::Count { table: kind(b"stts"), count: u32::MAX, room: 1 },
            ),
            (
                TableBoxes { stsc: body(&[1, 2, 1, 1]), ..good() },
                TrackError::ChunkRun { run: 0, chunk: 2, chunks: 2 },
            ),
            (
                TableBoxes { stsc: body(&[2, 1, 1, 1, 3, 1, 1]), ..good() },
                TrackError::ChunkRun { run: 1, chunk: 3, chunks: 2 },
            ),
            (
                TableBoxes { stsc: body(&[2, 1, 1, 1, 1, 1, 1]), ..good() },
                TrackError::ChunkRun { run: 1, chunk: 1, chunks: 2 },
            ),
            (TableBoxes { stss: body(&[2, 3, 3]), ..good() }, TrackError::SyncOrder { entry: 1 }),
            (
                TableBoxes { stts: body(&[1, 2, 10]), ..good() },
                TrackError::TableEnds { table: kind(b"stts"), sample: 2 },
            ),
            (
                TableBoxes { ctts: body(&[1, 1, 10]), ..good() },
                TrackError::TableEnds { table: kind(b"ctts"), sample: 1 },
            ),
            (
                TableBoxes { stsc: body(&[1, 1, 1, 1]), ..good() },
                TrackError::TableEnds { table: kind(b"stco"), sample: 2 },
            ),
        ] {
            assert_eq!(samples(&boxes), Err(error));
        }
    }
}
