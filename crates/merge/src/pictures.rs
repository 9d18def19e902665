//! The pictures of a lane of segments, decoded, in order of display.

use std::collections::VecDeque;

use bytes::Bytes;
use recorder_codec::{
    CodecError, DecodedPicture, H264Decoder, H264DecoderOptions, PictureBuffer, PictureColour, VideoDecoder,
};
use recorder_compositor::{Colour, Matrix, Range};
use recorder_hls::index::Samples;
use recorder_types::{H264Config, MediaKind, NalFraming, Sample, Size, Timescale, Timestamp};

use crate::error::MergeError;
use crate::job::Job;

/// `matrix_coefficients` that are BT.601 in all but name (ITU-T H.264 table E-5).
const BT601: [u8; 3] = [4, 5, 6];

/// A decoded picture.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: PictureBuffer,
    pub(crate) colour: Colour,
    /// Ticks of 90 kHz after the output's zero.
    pub(crate) pts: i64,
}

/// Decodes segment after segment. Pictures that cannot be decoded are left out: the one before them stays.
pub(crate) struct Pictures {
    lane: VecDeque<usize>,
    decoder: H264Decoder,
    current: Option<Current>,
    ready: VecDeque<Decoded>,
    ended: bool,
}

struct Current {
    samples: Samples,
    /// From which picture on which parameter sets hold.
    sets: VecDeque<(u32, Vec<Bytes>)>,
    number: u32,
    offset: i64,
}

impl Pictures {
    pub(crate) fn new(lane: VecDeque<usize>) -> Result<Self, CodecError> {
        let decoder = H264Decoder::new(&config(Vec::new()), &H264DecoderOptions::default())?;
        Ok(Self { lane, decoder, current: None, ready: VecDeque::new(), ended: false })
    }

    /// The next picture in order of display.
    pub(crate) fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Decoded>, MergeError> {
        loop {
            if let Some(picture) = self.ready.pop_front() {
                return Ok(Some(picture));
            }
            if self.ended {
                return Ok(None);
            }
            let read = match self.current {
                Some(_) => self.decode(),
                None => self.open(job)?,
            };
            read.map_err(|source| MergeError::Codec { segment: job.segment(), source })?;
        }
    }

    /// Opens the next segment, or ends.
    fn open(&mut self, job: &mut Job<'_>) -> Result<Result<(), CodecError>, MergeError> {
        let Some(number) = self.lane.pop_front() else {
            self.ended = true;
            return Ok(self.flush());
        };
        let Some(loaded) = job.load(number)? else { return Ok(Ok(())) };
        let Some(video) = loaded.index.video() else { return Ok(Ok(())) };
        let first = (0, video.parameter_sets().to_vec());
        let changes = video.set_changes().map(|(from, sets)| (from, sets.to_vec()));
        let sets = std::iter::once(first).chain(changes).collect();
        self.current =
            Some(Current { samples: Samples::new(loaded.data), sets, number: 0, offset: loaded.offset });
        // After a key frame nothing is shown that was decoded before it.
        let is_cut = video.pictures().next().is_some_and(|first| first.sync);
        Ok(if is_cut { self.flush() } else { Ok(()) })
    }

    /// Decodes the next picture of the segment.
    fn decode(&mut self) -> Result<(), CodecError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let Some(Ok(sample)) = current.samples.next() else {
            self.current = None;
            return Ok(());
        };
        if sample.kind != MediaKind::Video {
            return Ok(());
        }
        while current.sets.front().is_some_and(|(from, _)| *from <= current.number) {
            if let Some((_, sets)) = current.sets.pop_front() {
                self.decoder.configure(&config(sets))?;
            }
        }
        current.number = current.number.saturating_add(1);
        let at = |ticks: i64| Timestamp::new(ticks.saturating_add(current.offset), Timescale::HZ_90000);
        let unit = Sample::new(at(sample.pts), sample.data);
        let ready = &mut self.ready;
        self.decoder.decode(&unit, &mut |picture| ready.extend(keep(picture)))
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        let ready = &mut self.ready;
        self.decoder.flush(&mut |picture| ready.extend(keep(picture)))
    }
}

const fn config(parameter_sets: Vec<Bytes>) -> H264Config {
    H264Config { framing: NalFraming::LengthPrefixed { length_bytes: 4 }, parameter_sets }
}

/// A copy of a picture that belongs to the decoder; none of one that is guessed.
fn keep(decoded: &DecodedPicture<'_>) -> Option<Decoded> {
    if decoded.is_concealed {
        return None;
    }
    let picture = PictureBuffer::new(&decoded.picture);
    Some(Decoded { colour: colour(decoded.colour, picture.size()), picture, pts: decoded.pts.ticks() })
}

/// What is told of the samples, and for the rest what is implied.
fn colour(told: PictureColour, size: Size) -> Colour {
    let mut colour = Colour::implied_by(size);
    match told.matrix {
        Some(1) => colour.matrix = Matrix::Bt709,
        Some(other) if BT601.contains(&other) => colour.matrix = Matrix::Bt601,
        _ => {}
    }
    if told.full_range {
        colour.range = Range::Full;
    }
    colour
}
