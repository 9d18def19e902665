use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use recorder_types::{AacConfig, H264Config, MediaKind, NalFraming, Sample, Timescale, TrackConfig};

use crate::adts::Adts;
use crate::format::{Format, HEAD_BYTES, detect};
use crate::h264::ByteStream;
use crate::mp4::Mp4;
use crate::opus::OggOpus;
use crate::window::Window;
use crate::{FrameRate, InputError, SimulatedSource, Warning};

/// One track of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrack {
    /// Audio or video.
    pub kind: MediaKind,
    /// What its samples are.
    pub config: TrackConfig,
    /// The clock of its samples.
    pub timescale: Timescale,
}

impl SourceTrack {
    pub(crate) const fn new(config: TrackConfig, timescale: Timescale) -> Self {
        let kind = match config {
            TrackConfig::H264(_) => MediaKind::Video,
            _ => MediaKind::Audio,
        };
        Self { kind, config, timescale }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Frame rate of an H.264 byte stream; `None` takes what the stream tells, or 25 frames per second with
    /// [`Warning::DefaultFrameRate`]. Files of other formats, which have times of their own, are refused with it.
    pub fps: Option<FrameRate>,
}

/// The samples of a media file, in rising decode time across its tracks.
///
/// An iterator over the index of the track in [`MediaSource::tracks`] and the sample; after an error it is at its
/// end. The file is read in large pieces and samples are slices of them: memory in use is a few pieces, what has to
/// be held to find the display order (at most 64 MiB, usually well below 1), and what the caller keeps. A sample
/// keeps its whole piece (about 1 MiB at most) alive.
pub struct MediaSource {
    tracks: Vec<SourceTrack>,
    reader: Reader,
    is_finished: bool,
}

enum Reader {
    ByteStream(Box<ByteStream>),
    Adts(Box<Adts>),
    Opus(Box<OggOpus>),
    Mp4(Box<Mp4>),
}

impl MediaSource {
    /// Opens MP4 (also MOV and fragmented), an H.264 byte stream, ADTS or Ogg Opus: whichever the first bytes tell,
    /// or else the ending of the name. Reads as far as the tracks and the first samples.
    ///
    /// Times begin where the file's do. For MP4 the edit list is applied; samples before the first edit (encoder
    /// delay) come all the same, with negative times. In Ogg Opus the pre-skip is before zero. A byte stream has no
    /// times: access unit `n` is decoded at `n / fps`.
    ///
    /// # Errors
    /// See [`InputError`]: a format that is not known or not read, a file with nothing in it that can be used, or
    /// one that cannot be read.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, InputError> {
        let path = path.as_ref();
        let io = |source| InputError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut head = Vec::new();
        let limit = u64::try_from(HEAD_BYTES).expect("a small constant");
        Read::by_ref(&mut file).take(limit).read_to_end(&mut head).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let (tracks, reader) = match detect(&head, path) {
            Some(Format::Adts | Format::Ogg | Format::Mp4) if options.fps.is_some() => {
                return Err(InputError::NeedlessFrameRate { path: path.to_owned() });
            }
            None => return Err(InputError::UnknownFormat { path: path.to_owned() }),
            Some(Format::Unsupported(format)) => {
                return Err(InputError::UnsupportedFormat { path: path.to_owned(), format });
            }
            Some(Format::ByteStream) => {
                let stream = ByteStream::open(path, Window::new(Box::new(file)), options.fps)?;
                let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
                let track = SourceTrack::new(TrackConfig::H264(config), stream.timescale());
                (vec![track], Reader::ByteStream(Box::new(stream)))
            }
            Some(Format::Adts) => {
                let adts = Adts::open(path, Window::new(Box::new(file)))?;
                let track = SourceTrack::new(TrackConfig::Aac(AacConfig::Adts), adts.timescale());
                (vec![track], Reader::Adts(Box::new(adts)))
            }
            Some(Format::Ogg) => {
                let opus = OggOpus::open(path, file)?;
                let track = SourceTrack::new(TrackConfig::Opus(opus.config()), Timescale::HZ_48000);
                (vec![track], Reader::Opus(Box::new(opus)))
            }
            Some(Format::Mp4) => {
                let mp4 = Mp4::open(path, file)?;
                let tracks = mp4.tracks().iter();
                let tracks = tracks.map(|track| SourceTrack::new(track.config.clone(), track.timescale));
                (tracks.collect(), Reader::Mp4(Box::new(mp4)))
            }
        };
        Ok(Self { tracks, reader, is_finished: false })
    }

    /// The tracks, at least one.
    #[must_use]
    pub fn tracks(&self) -> &[SourceTrack] {
        &self.tracks
    }

    /// What was passed over since the last call: the first 32, and how many more. Complete after the last sample.
    #[must_use]
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        match &mut self.reader {
            Reader::ByteStream(reader) => reader.warnings.take(),
            Reader::Adts(reader) => reader.warnings.take(),
            Reader::Opus(reader) => reader.warnings.take(),
            Reader::Mp4(reader) => reader.warnings.take(),
        }
    }
}

impl Iterator for MediaSource {
    type Item = Result<(usize, Sample), InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_finished {
            return None;
        }
        let only = |sample: Option<Sample>| sample.map(|sample| (0, sample));
        let next = match &mut self.reader {
            Reader::ByteStream(reader) => reader.next().map(only),
            Reader::Adts(reader) => reader.next().map(only),
            Reader::Opus(reader) => reader.next().map(only),
            Reader::Mp4(reader) => reader.next(),
        };
        let next = next.transpose();
        self.is_finished = !matches!(next, Some(Ok(_)));
        next
    }
}

impl fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaSource").field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

/// A file or a simulated participant, treated alike: an iterator as [`MediaSource`] is one.
#[derive(Debug)]
pub enum InputSource {
    /// A media file.
    File(MediaSource),
    /// A participant who does not exist.
    Simulated(Box<SimulatedSource>),
}

impl InputSource {
    /// The tracks, at least one.
    #[must_use]
    pub fn tracks(&self) -> &[SourceTrack] {
        match self {
            Self::File(source) => source.tracks(),
            Self::Simulated(source) => source.tracks(),
        }
    }

    /// What was passed over since the last call; nothing for a simulated participant.
    #[must_use]
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        match self {
            Self::File(source) => source.take_warnings(),
            Self::Simulated(_) => Vec::new(),
        }
    }
}

impl Iterator for InputSource {
    type Item = Result<(usize, Sample), InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::File(source) => source.next(),
            Self::Simulated(source) => source.next(),
        }
    }
}

impl From<MediaSource> for InputSource {
    fn from(source: MediaSource) -> Self {
        Self::File(source)
    }
}

impl From<SimulatedSource> for InputSource {
    fn from(source: SimulatedSource) -> Self {
        Self::Simulated(Box::new(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_may_go_to_another_thread() {
        const fn is_send<T: Send>() {}
        is_send::<InputSource>();
    }
}
