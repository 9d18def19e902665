//! From one sampling rate to another, by a ratio of whole numbers.

use std::f64::consts::PI;

/// Input samples on each side of an output sample, at the lower of both rates.
const WIDTH: usize = 24;
/// Where the filter cuts, of the lower Nyquist frequency.
const CUTOFF: f64 = 0.94;

/// A polyphase windowed-sinc filter (Blackman), for interleaved `f32`. Output sample `k` is the input at time
/// `k * from / to` samples: there is no delay.
pub(crate) struct Resampler {
    channels: usize,
    /// `to` and `from` in lowest terms.
    up: usize,
    down: usize,
    /// Samples on each side.
    half: usize,
    /// `up` rows of `2 * half` taps.
    taps: Vec<f32>,
    /// Input that is still needed, from `first` on, behind `half` samples of silence at the start.
    held: Vec<f32>,
    /// Whole input samples before `held`, and the phase of the next output sample.
    skip: usize,
    phase: usize,
}

impl Resampler {
    pub(crate) fn new(from: u32, to: u32, channels: u8) -> Self {
        let whole = |rate: u32| usize::try_from(rate).unwrap_or(1).max(1);
        let (from, to) = (whole(from), whole(to));
        let divisor = gcd(from, to);
        let (up, down) = (to / divisor, from / divisor);
        let half = if down > up { WIDTH * down.div_ceil(up) } else { WIDTH };
        let channels = usize::from(channels.max(1));
        let taps = if up == down { Vec::new() } else { table(up, down, half) };
        // The first output sample needs what is before the first input sample: silence.
        let held = vec![0.0; (half - 1) * channels];
        Self { channels, up, down, half, taps, held, skip: 0, phase: 0 }
    }

    /// Takes input and appends what can be told of the output.
    pub(crate) fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) {
        if self.taps.is_empty() {
            out.extend_from_slice(pcm);
            return;
        }
        self.held.extend_from_slice(pcm);
        let available = self.held.len() / self.channels;
        while self.skip + 2 * self.half <= available {
            let window = &self.held[self.skip * self.channels..(self.skip + 2 * self.half) * self.channels];
            let row = &self.taps[self.phase * 2 * self.half..(self.phase + 1) * 2 * self.half];
            for channel in 0..self.channels {
                let samples = window.iter().skip(channel).step_by(self.channels);
                out.push(samples.zip(row).map(|(sample, tap)| sample * tap).sum());
            }
            self.phase += self.down;
            self.skip += self.phase / self.up;
            self.phase %= self.up;
        }
        let used = self.skip.min(available);
        self.held.drain(..used * self.channels);
        self.skip -= used;
    }

    /// Appends the rest of the output, as if silence followed. It is as new then.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        if !self.taps.is_empty() {
            let silence = vec![0.0; self.half * self.channels];
            self.push(&silence, out);
        }
        self.held.clear();
        self.held.resize((self.half - 1) * self.channels, 0.0);
        (self.skip, self.phase) = (0, 0);
    }
}

fn table(up: usize, down: usize, half: usize) -> Vec<f32> {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let cutoff = CUTOFF * (number(up) / number(down)).min(1.0);
    let mut taps = Vec::with_capacity(up * 2 * half);
    for phase in 0..up {
        let row: Vec<f64> = (0..2 * half)
            .map(|tap| {
                // Distance from the output sample, which is `phase / up` after input sample `half - 1`.
                let x = number(tap) - number(half - 1) - number(phase) / number(up);
                let sinc = if x == 0.0 { 1.0 } else { (PI * cutoff * x).sin() / (PI * cutoff * x) };
                let place = x / number(half);
                let window = 0.42 + 0.5 * (PI * place).cos() + 0.08 * (2.0 * PI * place).cos();
                if place.abs() > 1.0 { 0.0 } else { sinc * window }
            })
            .collect();
        // Each phase passes a constant unchanged.
        let sum: f64 = row.iter().sum();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "taps are below 1 and 24 bits of them are enough"
        )]
        taps.extend(row.iter().map(|tap| (tap / sum) as f32));
    }
    taps
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, count: u32) -> Vec<f32> {
        #[allow(clippy::cast_possible_truncation)]
        (0..count).map(|n| (2.0 * PI * hz * f64::from(n) / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_its_place_and_its_length() {
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
            let input = tone(440.0, rate, rate);
            let mut resampler = Resampler::new(rate, 48_000, 1);
            let mut out = Vec::new();
            for piece in input.chunks(1024) {
                resampler.push(piece, &mut out);
            }
            resampler.finish(&mut out);
            assert!(out.len().abs_diff(48_000) <= 2, "{rate}: {}", out.len());
            let want = tone(440.0, 48_000, 48_000);
            let middle = 2_000..46_000;
            let worst = out[middle.clone()].iter().zip(&want[middle]).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f32::max);
            assert!(worst < 0.002, "{rate}: {worst}");
        }
    }

    #[test]
    fn channels_stay_apart_however_it_is_cut() {
        let input: Vec<f32> = tone(300.0, 44_100, 4_410).into_iter().flat_map(|left| [left, 0.25]).collect();
        let run = |cut: usize| {
            let mut resampler = Resampler::new(44_100, 48_000, 2);
            let mut out = Vec::new();
            input.chunks(cut * 2).for_each(|piece| resampler.push(piece, &mut out));
            resampler.finish(&mut out);
            out
        };
        let whole = run(4_410);
        assert!(whole[2_000..6_000].iter().skip(1).step_by(2).all(|right| (right - 0.25).abs() < 1e-5));
        assert_eq!(run(7), whole);
    }
}
