use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::audio::check_pcm;
use crate::{CodecError, LibraryError};

/// Samples of a block at least, at the lower of both rates: they set how sharply the filter cuts.
const BLOCK_MIN: usize = 512;

/// Turns PCM of one sampling rate into PCM of another, by a fixed ratio of whole numbers.
///
/// PCM is interleaved `f32`. Output sample `k` is the input at `k * from / to` samples: the delay of the filter is
/// taken off, so that tracks stay in step. However the input is cut into calls, the output is the same.
///
/// It works in blocks of 512 samples or more at the lower rate, 12 to 64 ms between the usual rates, and holds back
/// what is short of one and a half. Rates without a common divisor of 50 or more make longer blocks, up to twice
/// 96000 samples.
pub struct Resampler {
    from: u32,
    to: u32,
    channels: u8,
    /// `None` where both rates are the same.
    filter: Option<Filter>,
    /// Samples taken and given since the start or the last [`Self::finish`], one per channel.
    taken: u64,
    given: u64,
}

struct Filter {
    inner: Fft<f32>,
    /// Input that is short of a block.
    input: Vec<f32>,
    /// One block of output.
    output: Vec<f32>,
    /// Samples of the filter's delay that are still to be dropped, one per channel.
    delay: usize,
}

impl Resampler {
    /// From `from` to `to` samples per second, both 8000 to 96000, in 1 or 2 channels.
    ///
    /// # Errors
    /// [`CodecError::Resample`] outside of that.
    pub fn new(from: u32, to: u32, channels: u8) -> Result<Self, CodecError> {
        let refused = || CodecError::Resample { from, to, channels };
        let rates = 8_000..=96_000;
        if !rates.contains(&from) || !rates.contains(&to) || !(1..=2).contains(&channels) {
            return Err(refused());
        }
        let filter =
            if from == to { None } else { Some(Filter::new(from, to, channels).ok_or_else(refused)?) };
        Ok(Self { from, to, channels, filter, taken: 0, given: 0 })
    }

    /// Takes interleaved PCM and appends what can be told of the output to `out`.
    ///
    /// # Errors
    /// [`CodecError::PcmLength`] and [`CodecError::PcmNotFinite`] leave everything as before.
    /// [`CodecError::ResampleLibrary`]: what was held back is lost.
    pub fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) -> Result<(), CodecError> {
        check_pcm(pcm, self.channels)?;
        let channels = usize::from(self.channels);
        self.taken += samples(pcm.len() / channels);
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(pcm),
            Some(filter) => filter.push(pcm, channels, out)?,
        }
        self.given += samples((out.len() - before) / channels);
        Ok(())
    }

    /// Appends the rest of the output, as if silence followed, and is as new then. For `n` samples of input the
    /// output is `n * to / from` in all, rounded up: every output sample that lies before the input's end.
    ///
    /// # Errors
    /// [`CodecError::ResampleLibrary`]: the rest is lost.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), CodecError> {
        let total = u128::from(self.taken) * u128::from(self.to);
        let missing = total.div_ceil(u128::from(self.from)).saturating_sub(self.given.into());
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        (self.taken, self.given) = (0, 0);
        match &mut self.filter {
            None => Ok(()),
            Some(filter) => filter.finish(missing, usize::from(self.channels), out),
        }
    }

    /// Samples per second that come in.
    #[must_use]
    pub const fn input_rate(&self) -> u32 {
        self.from
    }

    /// Samples per second that go out.
    #[must_use]
    pub const fn output_rate(&self) -> u32 {
        self.to
    }

    /// Channels, 1 or 2.
    #[must_use]
    pub const fn channels(&self) -> u8 {
        self.channels
    }
}

impl Filter {
    fn new(from: u32, to: u32, channels: u8) -> Option<Self> {
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        let divisor = greatest_common_divisor(from, to);
        // The delay is half a block: an even one makes it whole.
        let units = BLOCK_MIN.div_ceil(from.min(to) / divisor).next_multiple_of(2);
        let block = from / divisor * units;
        let channels = usize::from(channels);
        let window = WindowFunction::BlackmanHarris2;
        let inner = Fft::new_custom(from, to, block, 1, channels, window, FixedSync::Both).ok()?;
        let output = vec![0.0; inner.output_frames_max() * channels];
        let delay = inner.output_delay();
        Some(Self { inner, input: Vec::new(), output, delay })
    }

    fn push(&mut self, pcm: &[f32], channels: usize, out: &mut Vec<f32>) -> Result<(), CodecError> {
        let block = self.inner.input_frames_next() * channels;
        let mut rest = pcm;
        while self.input.len() + rest.len() >= block {
            let (head, tail) = rest.split_at(block - self.input.len());
            self.input.extend_from_slice(head);
            rest = tail;
            let done = self.block(channels, out);
            self.input.clear();
            done?;
        }
        self.input.extend_from_slice(rest);
        Ok(())
    }

    /// Resamples `input`, which is one block.
    fn block(&mut self, channels: usize, out: &mut Vec<f32>) -> Result<(), CodecError> {
        let frames = self.output.len() / channels;
        let input =
            InterleavedSlice::new(&self.input, channels, self.input.len() / channels).map_err(library)?;
        let mut output = InterleavedSlice::new_mut(&mut self.output, channels, frames).map_err(library)?;
        let (_, written) = self.inner.process_into_buffer(&input, &mut output, None).map_err(library)?;
        let dropped = self.delay.min(written);
        self.delay -= dropped;
        out.extend_from_slice(&self.output[dropped * channels..written * channels]);
        Ok(())
    }

    /// Appends `missing` samples and starts anew.
    fn finish(&mut self, missing: usize, channels: usize, out: &mut Vec<f32>) -> Result<(), CodecError> {
        let end = out.len() + missing * channels;
        let mut done = Ok(());
        while out.len() < end && done.is_ok() {
            self.input.resize(self.inner.input_frames_next() * channels, 0.0);
            done = self.block(channels, out);
            self.input.clear();
        }
        out.truncate(end);
        self.input.clear();
        self.inner.reset();
        self.delay = self.inner.output_delay();
        done
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

fn samples(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn library(error: impl std::fmt::Display) -> CodecError {
    CodecError::ResampleLibrary(LibraryError::new(error))
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
