use std::io::{self, BufReader, Read};

use bytes::Bytes;
use recorder_callback::TrackType;
use recorder_hls::{IndexError, SegmentIndex};
use recorder_mp4::SplitLimits;
use recorder_naming::{FileIndex, FileKind, NameError, StreamType};
use recorder_remux::{
    AacCopier, AacFilePlan, AacPlanner, AacStep, Copier, CopyError, CopyStep, FilePlan, Input, PlanOptions,
    Planner, RemuxError, Step,
};
use recorder_storage::{Bucket, ClosedFile, ObjectKey, Spool, SpoolError, SpoolFile, StorageError};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{MediaKind, ObjectName, UnixMillis};
use tokio::runtime::Handle;

use crate::task::{FileJob, MadeFile};

/// What the shell remembers of one file set's closed segments: 16 bytes each, the rest is in the spool.
#[derive(Debug, Default)]
pub(super) struct RecordedSet {
    pub(super) playlist: Option<ObjectName>,
    pub(super) segments: Vec<SegmentRef>,
    /// No file could be made: the segments are to be delivered after all.
    pub(super) needed: bool,
    /// Left by a run that died: there is no file of indexes, they are read from the segments.
    pub(super) without_index: bool,
    /// The run that died had ended its recording: its files may be in the bucket already.
    pub(super) may_be_made: bool,
}

/// One closed segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentRef {
    pub(super) start: UnixMillis,
    /// Bytes of its record in the index.
    pub(super) index_len: usize,
    /// Whether it does not follow the one before; told where there is no index to tell it.
    pub(super) discontinuity: bool,
}

impl RecordedSet {
    fn stem(&self) -> Option<&str> {
        self.playlist.as_ref()?.as_str().strip_suffix(".m3u8")
    }

    /// The spool's file of indexes, one record after the other.
    pub(super) fn index_name(&self) -> Option<ObjectName> {
        format!("{}.index", self.stem()?).parse().ok()
    }

    fn name_of(&self, segment: usize) -> Option<ObjectName> {
        recorder_naming::segment(&self.stem()?.parse().ok()?, self.segments.get(segment)?.start).ok()
    }

    pub(super) fn segment_names(&self) -> impl Iterator<Item = ObjectName> + '_ {
        (0..self.segments.len()).filter_map(|segment| self.name_of(segment))
    }
}

/// Makes the files of one job. Blocking: for a thread of its own, inside a tokio runtime.
pub(super) struct FileMaker {
    pub(super) spool: Spool,
    pub(super) bucket: Bucket,
    pub(super) backup: Option<Bucket>,
    pub(super) directory: ObjectKey,
    /// As the job's inputs.
    pub(super) inputs: Vec<RecordedSet>,
}

/// What became of a job.
pub(super) struct JobResult {
    pub(super) job: FileJob,
    /// As they were given to the maker.
    pub(super) inputs: Vec<RecordedSet>,
    pub(super) made: Vec<Made>,
    /// Why there are no more files than those.
    pub(super) error: Option<MakeError>,
}

/// A file that is whole, in the spool.
pub(super) struct Made {
    pub(super) file: MadeFile,
    /// `None` for one that a run which died has delivered.
    pub(super) closed: Option<ClosedFile>,
}

/// Why no file could be made of recorded segments. They are kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error("a segment is neither in the spool nor in the bucket")]
    Segment(#[source] StorageError),
    #[error("a segment in the spool cannot be read")]
    Read(#[source] io::Error),
    #[error("the index of the segments cannot be read")]
    IndexFile(#[source] io::Error),
    #[error("the index of a segment cannot be used")]
    Index(#[source] IndexError),
    #[error("the files cannot be planned")]
    Plan(#[source] RemuxError),
    #[error("the media is not what was planned")]
    Copy(#[source] CopyError),
    #[error("the file cannot be named")]
    Name(#[source] NameError),
    #[error("the spool does not take the file")]
    Spool(#[source] SpoolError),
    #[error("the file cannot be written to the spool")]
    Write(#[source] io::Error),
    #[error("the planner asks for segment {segment} of input {input}, which there is not")]
    NoSuchSegment { input: usize, segment: u32 },
}

impl FileMaker {
    /// Plans and writes every file of `job`.
    pub(super) fn make(self, job: FileJob) -> JobResult {
        let mut made = Vec::new();
        let error = match job.kind {
            FileKind::Mp4 => self.make_mp4(&job, &mut made),
            FileKind::Aac => self.make_aac(&job, &mut made),
        }
        .err();
        JobResult { job, inputs: self.inputs, made, error }
    }

    fn make_mp4(&self, job: &FileJob, made: &mut Vec<Made>) -> Result<(), MakeError> {
        let mut inputs = Vec::new();
        for (number, input) in job.inputs.iter().enumerate() {
            let plain = match input.stream_type {
                StreamType::Audio => Input::audio(),
                StreamType::Video => Input::video(),
                StreamType::AudioVideo => Input::both(),
            };
            inputs.push(match self.first_audio(input.stream_type, number)? {
                Some(config) => plain.with_audio(config),
                None => plain,
            });
        }
        let mut planner = Planner::new(PlanOptions::default().with_limits(limits(job)), inputs);
        let mut indexes: Vec<IndexReader<'_>> =
            (0..self.inputs.len()).map(|input| IndexReader::open(self, input)).collect::<Result<_, _>>()?;
        let mut plans = Vec::new();
        loop {
            match planner.poll().map_err(MakeError::Plan)? {
                Step::Need { input, segment } => {
                    let reader = indexes.get_mut(input).ok_or(MakeError::NoSuchSegment { input, segment })?;
                    planner.supply(input, reader.next()?).map_err(MakeError::Plan)?;
                }
                Step::File(plan) => plans.push(*plan),
                Step::Done => break,
            }
        }
        let parts = plans.len();
        for (number, plan) in plans.into_iter().enumerate() {
            let name = job.name(index_of(number, parts)).map_err(MakeError::Name)?;
            made.push(self.write_mp4(job, name, plan)?);
        }
        Ok(())
    }

    fn write_mp4(&self, job: &FileJob, name: ObjectName, plan: FilePlan) -> Result<Made, MakeError> {
        let track_type = match (plan.has(MediaKind::Audio), plan.has(MediaKind::Video)) {
            (true, true) => TrackType::AudioVideo,
            (false, true) => TrackType::Video,
            (_, false) => TrackType::Audio,
        };
        let file = made_file(job, name, track_type, (plan.start(), plan.end()), plan.len());
        self.write(file, |out| {
            let mut copier = Copier::new(plan);
            loop {
                match copier.poll().map_err(MakeError::Copy)? {
                    CopyStep::Need { input, segment } => {
                        copier.supply(input, self.segment(input, segment)?).map_err(MakeError::Copy)?;
                    }
                    CopyStep::Output => copier.write_to(out).map_err(MakeError::Write)?,
                    CopyStep::Done => return Ok(()),
                }
            }
        })
    }

    fn make_aac(&self, job: &FileJob, made: &mut Vec<Made>) -> Result<(), MakeError> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let mut planner = AacPlanner::new(PlanOptions::default().with_limits(limits(job)));
        let mut index = IndexReader::open(self, 0)?;
        let mut plans = Vec::new();
        loop {
            match planner.poll() {
                AacStep::Need { .. } => {
                    planner.supply(index.next()?.as_ref()).map_err(MakeError::Plan)?;
                }
                AacStep::File(plan) => plans.push(plan),
                AacStep::Done => break,
            }
        }
        let parts = plans.len();
        for (number, plan) in plans.into_iter().enumerate() {
            let name = job.name(index_of(number, parts)).map_err(MakeError::Name)?;
            made.push(self.write_aac(job, name, plan)?);
        }
        Ok(())
    }

    fn write_aac(&self, job: &FileJob, name: ObjectName, plan: AacFilePlan) -> Result<Made, MakeError> {
        let file = made_file(job, name, TrackType::Audio, (plan.start(), plan.end()), plan.len());
        self.write(file, |out| {
            let mut copier = AacCopier::new(plan);
            loop {
                match copier.poll().map_err(MakeError::Copy)? {
                    CopyStep::Need { input, segment } => {
                        copier.supply(self.segment(input, segment)?).map_err(MakeError::Copy)?;
                    }
                    CopyStep::Output => copier.write_to(out).map_err(MakeError::Write)?,
                    CopyStep::Done => return Ok(()),
                }
            }
        })
    }

    /// What the sound of a set is, which the planner wants to know before it comes.
    fn first_audio(
        &self,
        stream_type: StreamType,
        input: usize,
    ) -> Result<Option<AudioSpecificConfig>, MakeError> {
        if stream_type == StreamType::Video {
            return Ok(None);
        }
        let mut indexes = IndexReader::open(self, input)?;
        while let Some(index) = indexes.next()? {
            if let Some(audio) = index.audio() {
                return Ok(Some(audio.config()));
            }
        }
        Ok(None)
    }

    /// A file of the spool, written by `fill`; nothing is left of it if that fails.
    fn write(
        &self,
        file: MadeFile,
        fill: impl FnOnce(&mut SpoolFile) -> Result<(), MakeError>,
    ) -> Result<Made, MakeError> {
        if self.inputs.iter().any(|input| input.may_be_made)
            && let Some(bytes) = self.delivered(&file.name)
        {
            return Ok(Made { file: MadeFile { bytes, ..file }, closed: None });
        }
        let mut out = self.spool.create(&file.name).map_err(MakeError::Spool)?;
        match fill(&mut out) {
            Ok(()) => Ok(Made { closed: Some(out.close().map_err(MakeError::Spool)?), file }),
            Err(error) => {
                out.discard();
                Err(error)
            }
        }
    }

    /// The bytes of a file that is in the bucket. Where the bucket does not tell, it is made again.
    fn delivered(&self, name: &ObjectName) -> Option<u64> {
        let key = self.directory.join(name).ok()?;
        Handle::current().block_on(self.bucket.size(&key)).ok()
    }

    /// A whole segment: from the spool, when it was delivered from the bucket, else from the backup.
    fn segment(&self, input: usize, segment: u32) -> Result<Bytes, MakeError> {
        let name = usize::try_from(segment)
            .ok()
            .and_then(|segment| self.inputs.get(input)?.name_of(segment))
            .ok_or(MakeError::NoSuchSegment { input, segment })?;
        let from_spool = || match self.spool.read(&name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MakeError::Read(error)),
        };
        if let Some(bytes) = from_spool()? {
            return Ok(bytes);
        }
        let key = self.directory.join(&name).map_err(MakeError::Segment)?;
        match Handle::current().block_on(self.bucket.get(&key)) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                let backed_up =
                    self.backup.as_ref().map(|backup| Handle::current().block_on(backup.get(&key)));
                match backed_up {
                    Some(Ok(bytes)) => Ok(bytes),
                    // It may have been on its way from the one to the other.
                    _ => from_spool()?.ok_or(MakeError::Segment(error)),
                }
            }
        }
    }
}

fn limits(job: &FileJob) -> SplitLimits {
    SplitLimits::default()
        .with_max_minutes(job.max_duration.minutes())
        .expect("the option's range is that of the splitter")
}

/// `<Index>` of file `number` (from 0) of `parts`.
fn index_of(number: usize, parts: usize) -> FileIndex {
    let part = u32::try_from(number + 1).ok().and_then(std::num::NonZeroU32::new);
    match part.filter(|_| parts > 1) {
        Some(part) => FileIndex::Part(part),
        None => FileIndex::Only,
    }
}

fn made_file(
    job: &FileJob,
    name: ObjectName,
    track_type: TrackType,
    (start, end): (UnixMillis, UnixMillis),
    bytes: u64,
) -> MadeFile {
    MadeFile { name, user: job.user.clone(), media: job.media, track_type, start, end, bytes }
}

/// Reads the indexes of one file set in order.
struct IndexReader<'a> {
    maker: &'a FileMaker,
    input: usize,
    set: &'a RecordedSet,
    /// The file of indexes, if there is one.
    file: Option<Box<dyn Read>>,
    next: usize,
    buffer: Vec<u8>,
}

impl<'a> IndexReader<'a> {
    fn open(maker: &'a FileMaker, input: usize) -> Result<Self, MakeError> {
        let set = maker.inputs.get(input).ok_or(MakeError::NoSuchSegment { input, segment: 0 })?;
        let file = if set.without_index {
            None
        } else {
            let name =
                set.index_name().ok_or_else(|| MakeError::IndexFile(io::ErrorKind::NotFound.into()))?;
            let file = maker.spool.reader(&name).map_err(MakeError::IndexFile)?;
            let file: Box<dyn Read> = Box::new(BufReader::new(file));
            Some(file)
        };
        Ok(Self { maker, input, set, file, next: 0, buffer: Vec::new() })
    }

    /// The next one; `None` after the last.
    fn next(&mut self) -> Result<Option<SegmentIndex>, MakeError> {
        let Some(segment) = self.set.segments.get(self.next) else { return Ok(None) };
        let number = u32::try_from(self.next).unwrap_or(u32::MAX);
        self.next += 1;
        let Some(file) = &mut self.file else {
            let bytes = self.maker.segment(self.input, number)?;
            let index = SegmentIndex::from_ts(&bytes, segment.start, segment.discontinuity, None);
            return index.map(Some).map_err(MakeError::Index);
        };
        self.buffer.resize(segment.index_len, 0);
        file.read_exact(&mut self.buffer).map_err(MakeError::IndexFile)?;
        let (index, _) = SegmentIndex::decode(&self.buffer).map_err(MakeError::Index)?;
        Ok(Some(index))
    }
}
