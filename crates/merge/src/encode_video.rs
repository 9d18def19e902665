use std::collections::VecDeque;
use std::num::NonZeroU32;

use recorder_codec::{Codec, CodecError, H264Encoder, H264EncoderOptions, LibraryError, YuvMatrix};
use recorder_compositor::{Canvas, Colour, Level, Matrix, Picture, Rect, RenderMode, Rgb, Source, Tile};
use recorder_mp4::{AvcPacker, ParameterSets, SampleInfo};
use recorder_types::{H264Config, NalFraming, Size, Timescale, Timestamp};

use crate::clock::{HZ, ticks};
use crate::encoder_thread::EncoderThread;
use crate::error::MergeError;
use crate::execute::blanks;
use crate::feed::{Feed, Media, Planned};
use crate::job::Job;
use crate::options::{Blanks, MergeOptions};
use crate::pictures::{Decoded, Pictures};
use crate::plan::Output;
use crate::spool::{Spool, spooling};

/// Pictures a second where none are asked for, as the script has it.
const DEFAULT_RATE: u8 = 15;
/// Bit/s for each pixel a second: what calls look well with, an eighth of a bit a pixel.
const PIXELS_PER_BIT: u64 = 8;
/// And at least.
const MIN_BITS_PER_SECOND: u32 = 200_000;
/// Seconds from key frame to key frame.
const KEY_SECONDS: u32 = 10;
/// Pictures that are drawn while others are being encoded.
const PICTURES_AHEAD: usize = 3;

/// Pictures decoded, placed on the output's canvas at its own rate, and encoded: at each instant the newest picture.
pub(crate) struct EncodeVideo {
    pictures: Pictures,
    shown: Option<Decoded>,
    /// How many pictures were shown.
    generation: u64,
    coming: Option<Decoded>,
    canvas: Canvas,
    encoder: EncoderThread,
    /// Numbers of the pictures that the encoder has.
    encoding: VecDeque<i64>,
    packer: AvcPacker,
    rate: i64,
    /// Number of the next picture to draw; none before the first picture of the input is known.
    next: Option<i64>,
    /// The last picture of the output is drawn.
    drawn: bool,
    /// When the output is black, in ticks.
    black: VecDeque<(i64, i64)>,
    fill: Blanks,
    spool: Spool,
}

impl EncodeVideo {
    pub(crate) fn new(
        lane: VecDeque<usize>,
        output: &Output,
        options: &MergeOptions,
    ) -> Result<Self, MergeError> {
        let failed = |source| MergeError::Codec { segment: String::new(), source };
        let (width, height) = output.size.unwrap_or_default();
        let size = Size::new(width, height).ok_or(MergeError::Empty)?;
        let rate = options.frame_rate.map_or(DEFAULT_RATE, |rate| rate.get());
        let colour = Colour::implied_by(size);
        let mut canvas =
            Canvas::new(size, colour, Rgb::BLACK, Level::detect()).map_err(|e| failed(library(e)))?;
        let tile = Tile::new(Rect::whole(size)).with_mode(RenderMode::Fit).with_bars(Some(Rgb::BLACK));
        canvas.set_tiles(&[tile]).map_err(|error| failed(library(error)))?;
        let pixels = u64::from(width) * u64::from(height) * u64::from(rate);
        let bits = u32::try_from(pixels / PIXELS_PER_BIT).unwrap_or(u32::MAX / 4).max(MIN_BITS_PER_SECOND);
        let matrix = match colour.matrix {
            Matrix::Bt601 => YuvMatrix::Bt601,
            Matrix::Bt709 => YuvMatrix::Bt709,
        };
        let encoder = H264EncoderOptions::default()
            .with_bits_per_second(bits)
            .with_pictures_per_second(rate.into())
            .with_pictures_per_key(NonZeroU32::new(u32::from(rate) * KEY_SECONDS).unwrap_or(NonZeroU32::MIN))
            .with_matrix(matrix);
        let config = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
        let black = match options.blanks {
            Blanks::Black => blanks(output),
            Blanks::Freeze => Vec::new(),
        };
        Ok(Self {
            pictures: Pictures::new(lane).map_err(failed)?,
            shown: None,
            generation: 0,
            coming: None,
            canvas,
            encoder: EncoderThread::start(H264Encoder::new(&encoder).map_err(failed)?, size)
                .map_err(failed)?,
            encoding: VecDeque::with_capacity(PICTURES_AHEAD),
            packer: AvcPacker::new(&config, ParameterSets::InEntry, None),
            rate: rate.into(),
            next: None,
            drawn: false,
            black: black.into_iter().map(|(from, to)| (ticks(from), ticks(to))).collect(),
            fill: options.blanks,
            spool: Spool::new().map_err(spooling)?,
        })
    }

    /// When picture `number` is shown.
    fn time(&self, number: i64) -> i64 {
        (number.saturating_mul(HZ) + self.rate / 2).div_euclid(self.rate)
    }

    /// The number to begin with; `None` without any picture.
    fn begin(&mut self, job: &mut Job<'_>) -> Result<Option<i64>, MergeError> {
        self.coming = self.pictures.next(job)?;
        let Some(first) = &self.coming else { return Ok(None) };
        let number = match self.fill {
            Blanks::Black => 0,
            // Not later than it is seen, so that sound does not begin before it.
            Blanks::Freeze => first.pts.saturating_mul(self.rate).div_euclid(HZ).max(0),
        };
        if self.fill == Blanks::Freeze {
            self.advance(job)?;
        }
        Ok(Some(number))
    }

    fn advance(&mut self, job: &mut Job<'_>) -> Result<(), MergeError> {
        self.shown = self.coming.take();
        self.generation += 1;
        self.coming = self.pictures.next(job)?;
        Ok(())
    }

    /// Draws the next picture and hands it to the encoder; or finds that there is none.
    fn draw(&mut self, job: &mut Job<'_>) -> Result<(), MergeError> {
        let number = match self.next {
            Some(number) => number,
            None => match self.begin(job)? {
                Some(number) => number,
                None => {
                    self.drawn = true;
                    return Ok(());
                }
            },
        };
        let at = self.time(number);
        while self.coming.as_ref().is_some_and(|coming| coming.pts <= at) {
            self.advance(job)?;
        }
        if self.coming.is_none() && at >= job.end() && self.next.is_some() {
            self.drawn = true;
            return Ok(());
        }
        self.next = Some(number.saturating_add(1));
        self.compose(at).map_err(|source| MergeError::Codec { segment: job.segment(), source })?;
        self.encoding.push_back(number);
        Ok(())
    }

    fn compose(&mut self, at: i64) -> Result<(), CodecError> {
        while self.black.front().is_some_and(|&(_, to)| to <= at) {
            self.black.pop_front();
        }
        let black = self.black.front().is_some_and(|&(from, _)| from <= at);
        let source = match self.shown.as_ref().filter(|_| !black) {
            Some(shown) => Source::Picture {
                picture: Picture::packed(shown.picture.size(), shown.picture.as_bytes()).map_err(library)?,
                colour: shown.colour,
                generation: self.generation,
            },
            None => Source::Nothing,
        };
        self.canvas.compose(&[source]).map_err(library)?;
        self.encoder.push(&self.canvas.picture(), Timestamp::new(at, Timescale::HZ_90000))
    }
}

impl Feed for EncodeVideo {
    fn timescale(&self) -> Timescale {
        Timescale::HZ_90000
    }

    fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError> {
        while !self.drawn && self.encoding.len() < PICTURES_AHEAD {
            self.draw(job)?;
        }
        let Some(number) = self.encoding.pop_front() else { return Ok(None) };
        let at = self.time(number);
        let failed = |source| MergeError::Codec { segment: job.segment(), source };
        let encoded = self.encoder.next().map_err(failed)?;
        let packed = self.packer.pack(&encoded.sample.data).map_err(|error| failed(library(error)))?;
        self.spool.push(&packed.data).map_err(spooling)?;
        let time = Timestamp::new(at, Timescale::HZ_90000);
        let mut until = self.time(number.saturating_add(1));
        if self.drawn && self.encoding.is_empty() && at < job.end() {
            // The last picture ends with the output, and not with the next beat of the rate.
            until = until.min(job.end());
        }
        let lasts = until.saturating_sub(at);
        let info = SampleInfo {
            pts: time,
            dts: time,
            duration: u32::try_from(lasts).unwrap_or(u32::MAX),
            sync: packed.sync,
            len: u32::try_from(packed.data.len()).map_err(|error| failed(library(error)))?,
        };
        Ok(Some(Planned { info, entry: packed.entry }))
    }

    fn finish(self: Box<Self>) -> Result<Media, MergeError> {
        Ok(Media::Spooled(self.spool.into_file().map_err(spooling)?))
    }
}

pub(crate) fn library(error: impl std::fmt::Display) -> CodecError {
    CodecError::Library { codec: Codec::H264, source: LibraryError::new(error) }
}
