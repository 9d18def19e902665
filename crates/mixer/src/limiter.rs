use std::collections::VecDeque;

/// What the sum of a room is held to: 1 dB below full scale, so that the encoder's ripple does not clip.
const CEILING: f32 = 0.891_250_9;
/// Seconds until the gain is back by two thirds after a peak.
const RELEASE_SECONDS: f32 = 0.1;

/// Holds the peaks of a mix under a ceiling without clipping: the gain goes down ahead of a peak and slowly up after
/// it.
///
/// Samples come out 5 ms later than they go in. While nothing is too loud they come out as they were,
/// to the bit.
#[derive(Debug)]
pub(crate) struct Limiter {
    channels: usize,
    /// How far ahead it looks, in samples per channel.
    ahead: usize,
    /// Part of the way back to full gain for each sample.
    release: f32,
    /// Samples that wait for their gain.
    held: VecDeque<f32>,
    /// Gains that the samples still ahead ask for, with the number of the sample: the smallest first, each later one
    /// larger.
    asked: VecDeque<(u64, f32)>,
    /// Number of the next sample that comes in.
    next: u64,
    /// The gain after release, before smoothing.
    gain: f32,
    /// The last `ahead` values of `gain`, whose mean is the gain that is used.
    smoothing: VecDeque<f32>,
    /// Whether the mean is not exactly 1.
    is_active: bool,
}

impl Limiter {
    pub(crate) fn new(rate: u32, channels: u8) -> Self {
        let rate_f = f64::from(rate);
        // 5 ms: shorter than what is heard as an echo of the peak, long enough not to be heard as a click.
        let ahead = usize::try_from(rate / 200).expect("a sampling rate fits").max(1);
        #[expect(clippy::cast_possible_truncation, reason = "a coefficient, not a count")]
        let release = (1.0 - (-1.0 / (rate_f * f64::from(RELEASE_SECONDS))).exp()) as f32;
        Self {
            channels: usize::from(channels),
            ahead,
            release,
            held: VecDeque::new(),
            asked: VecDeque::new(),
            next: 0,
            gain: 1.0,
            smoothing: std::iter::repeat_n(1.0, ahead).collect(),
            is_active: false,
        }
    }

    /// Takes interleaved samples and appends what is due to `out`.
    pub(crate) fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) {
        for frame in pcm.chunks_exact(self.channels) {
            let peak = frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            if peak > CEILING {
                let gain = CEILING / peak;
                while self.asked.back().is_some_and(|(_, other)| *other >= gain) {
                    self.asked.pop_back();
                }
                self.asked.push_back((self.next, gain));
                self.is_active = true;
            }
            self.held.extend(frame);
            self.next += 1;
            if self.held.len() > self.ahead * self.channels {
                self.pull(out);
            }
        }
    }

    /// Appends what is held back, as if silence followed.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        while !self.held.is_empty() {
            self.pull(out);
        }
    }

    /// One sample of each channel, with its gain.
    fn pull(&mut self, out: &mut Vec<f32>) {
        if !self.is_active {
            out.extend(self.held.drain(..self.channels));
            return;
        }
        let held = u64::try_from(self.held.len() / self.channels).expect("a queue's length fits");
        let at = self.next - held;
        while self.asked.front().is_some_and(|(number, _)| *number < at) {
            self.asked.pop_front();
        }
        let wanted = self.asked.front().map_or(1.0, |(_, gain)| *gain);
        self.gain = wanted.min(self.gain + (1.0 - self.gain) * self.release);
        if wanted == 1.0 && self.gain > 0.999_9 {
            self.gain = 1.0;
        }
        if at == 0 {
            // Before the beginning the gain was what it is at the beginning.
            self.smoothing.iter_mut().for_each(|gain| *gain = self.gain);
        }
        self.smoothing.pop_front();
        self.smoothing.push_back(self.gain);
        // The window of the mean is as long as the look ahead, so at a peak every value in it is that peak's or less.
        let sum: f32 = self.smoothing.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
        let mean = sum / self.ahead as f32;
        // Rounding of the mean must not let a sample through louder.
        let peak = self.held.iter().take(self.channels).fold(CEILING, |peak, sample| peak.max(sample.abs()));
        let gain = mean.min(CEILING / peak);
        self.is_active = !self.asked.is_empty() || self.smoothing.iter().any(|gain| *gain < 1.0);
        out.extend(self.held.drain(..self.channels).map(|sample| sample * gain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pcm: &[f32], channels: u8, cut: usize) -> Vec<f32> {
        let mut limiter = Limiter::new(16_000, channels);
        let mut out = Vec::new();
        for part in pcm.chunks(cut * usize::from(channels)) {
            limiter.push(part, &mut out);
        }
        limiter.finish(&mut out);
        out
    }

    #[test]
    fn what_is_not_too_loud_comes_out_as_it_was() {
        let pcm: Vec<f32> = (0_i16..4000).map(|n| f32::from(n % 89) / 100.0).collect();
        assert_eq!(run(&pcm, 2, 7), pcm);
    }

    #[test]
    fn a_peak_is_held_and_the_sound_is_back_within_half_a_second() {
        let mut pcm = vec![0.5_f32; 16_000];
        pcm[4000] = 4.0;
        let out = run(&pcm, 1, 160);
        assert_eq!(out.len(), pcm.len());
        assert!((out[4000] - CEILING).abs() < 1e-3, "{}", out[4000]);
        assert!(
            out[3900..4100]
                .windows(2)
                .all(|pair| (pair[1] - pair[0]).abs() < 0.02 || pair.contains(&out[4000]))
        );
        assert_eq!(out[..3920], pcm[..3920]);
        assert!(out[12_000] > 0.49, "{}", out[12_000]);
    }

    proptest! {
        #[test]
        fn nothing_passes_the_ceiling_however_it_is_cut(
            pcm in proptest::collection::vec(-25.0_f32..25.0, 2..3000), cut in 1_usize..700,
        ) {
            let pcm = &pcm[..pcm.len() / 2 * 2];
            let out = run(pcm, 2, cut);
            prop_assert_eq!(out.len(), pcm.len());
            prop_assert!(out.iter().all(|sample| sample.abs() <= CEILING * 1.000_001));
            prop_assert_eq!(out, run(pcm, 2, pcm.len()));
        }
    }
}
