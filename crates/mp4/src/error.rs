use recorder_types::aac::AacError;

use crate::boxes::BoxKind;
use crate::reader::Need;

/// Why a file cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The caller gave other bytes than were asked for: the calling code has to change.
    #[error("{got} bytes were supplied where {wanted:?} was asked for")]
    WrongSupply {
        /// What was asked for; `None` if nothing was.
        wanted: Option<Need>,
        /// Bytes that came.
        got: usize,
    },
    /// There is no `moov` box before the end of the file, or before bytes that are no boxes: no MP4, or one whose
    /// writing was cut off.
    #[error("no moov box in the first {searched} bytes")]
    NoMoov {
        /// Where the search ended.
        searched: u64,
    },
    /// The `moov` box runs past the end of the file.
    #[error("moov box of {size} bytes at {at} runs past the end of the file of {file_len} bytes")]
    Truncated {
        /// Where it begins.
        at: u64,
        /// What its header says.
        size: u64,
        /// Bytes of the file.
        file_len: u64,
    },
    /// The `moov` box has no usable `mvhd`.
    #[error("moov box at {at} has no usable mvhd")]
    NoMovieHeader {
        /// Where the `moov` box begins.
        at: u64,
    },
    /// A `moov` or `moof` box is larger than [`ReaderOptions`](crate::ReaderOptions) allows: raise the limit or
    /// refuse the file.
    #[error("{kind} box of {size} bytes at {at} is over the limit of {limit}")]
    OverLimit {
        /// `moov` or `moof`.
        kind: BoxKind,
        /// Where it begins.
        at: u64,
        /// What its header says.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// Why a track cannot be read, at all or from some sample on. The input is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// A box that every track needs is not there, is cut short, or does not follow its syntax.
    #[error("no usable {kind} box")]
    Box {
        /// The box.
        kind: BoxKind,
    },
    /// A kind of media that is not read.
    #[error("sample entry {kind} is not supported")]
    Codec {
        /// The sample entry.
        kind: BoxKind,
    },
    /// AAC of a kind that is not read.
    #[error("mp4a sample entry")]
    Aac(#[source] AacError),
    /// The media in an `mp4a` sample entry is not AAC.
    #[error("mp4a sample entry with object type {object_type:#04x}, which is not AAC")]
    ObjectType {
        /// `objectTypeIndication`.
        object_type: u8,
    },
    /// Another track has the same id.
    #[error("track id is 0 or already taken")]
    Id,
    /// A table says that it has more entries than its box has room for.
    #[error("{table} box says {count} entries and has room for {room}")]
    Count {
        /// The table.
        table: BoxKind,
        /// What it says.
        count: u32,
        /// What its length allows.
        room: usize,
    },
    /// `stsc` runs do not begin at chunk 1, do not rise, or go past the last chunk.
    #[error("stsc run {run} begins at chunk {chunk} of {chunks}")]
    ChunkRun {
        /// The run, from 0.
        run: usize,
        /// Its `first_chunk`.
        chunk: u32,
        /// Chunks in `stco` or `co64`.
        chunks: usize,
    },
    /// `stss` sample numbers do not rise.
    #[error("stss entry {entry} does not follow the one before it")]
    SyncOrder {
        /// The entry, from 0.
        entry: usize,
    },
    /// A sample names a sample entry that is not there.
    #[error("sample {sample} has sample description {description} of {entries}")]
    Description {
        /// The sample, from 0.
        sample: u64,
        /// What it names, from 1.
        description: u32,
        /// Sample entries of the track.
        entries: usize,
    },
    /// A table ends before the samples do.
    #[error("{table} box has nothing for sample {sample}")]
    TableEnds {
        /// The table.
        table: BoxKind,
        /// The first sample without an entry, from 0.
        sample: u64,
    },
    /// The bytes of a sample are not, or not wholly, inside the file. What was before is good.
    #[error("sample {sample} of {len} bytes at {offset} is outside of the file of {file_len} bytes")]
    OutsideFile {
        /// The sample, from 0.
        sample: u64,
        /// Where it should begin.
        offset: u64,
        /// Its bytes.
        len: u32,
        /// Bytes of the file.
        file_len: u64,
    },
    /// The samples together have more bytes than the file, so the tables lie.
    #[error("tables give more sample bytes than the file has, seen at sample {sample}")]
    Overfull {
        /// Where it was seen, from 0.
        sample: u64,
    },
    /// Times do not fit in 64 bits.
    #[error("time of sample {sample} does not fit in 64 bits")]
    Time {
        /// The sample, from 0.
        sample: u64,
    },
    /// A sample is larger than [`ReaderOptions`](crate::ReaderOptions) allows.
    #[error("sample {sample} of {len} bytes is over the limit of {limit}")]
    SampleOverLimit {
        /// The sample, from 0.
        sample: u64,
        /// Its bytes.
        len: u32,
        /// The limit.
        limit: u32,
    },
}

/// Why reading through [`FileReader`](crate::FileReader) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is no MP4 that can be read.
    #[error("not a readable MP4")]
    Read(#[from] ReadError),
    /// The file could not be read.
    #[error("reading {len} bytes at {at}")]
    Io {
        /// Where.
        at: u64,
        /// How many.
        len: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
