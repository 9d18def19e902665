/// What the weights of one output sum to.
pub(crate) const ONE: u8 = 128;

/// Where chroma samples sit between luma samples, as the place of a plane's first sample in quarters of a sample
/// from the border of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Siting {
    /// In the middle of what it covers: luma, and chroma vertically.
    Centre,
    /// On the left luma sample of the pair: chroma horizontally (H.264 `chroma_sample_loc_type` 0, MPEG-2).
    Left,
}

/// Lengths along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Luma samples of the source and the target: their ratio is the scale.
    pub(crate) luma: (usize, usize),
    /// Samples of the plane in question.
    pub(crate) plane: (usize, usize),
}

/// The filter along one axis: for each output sample, which inputs it is made of and how much of each.
///
/// Bilinear where the target is at least half the source; the exact area average below, and also where that needs
/// no more than two inputs (3:4, 1:2). Weights are in 1/128, rounded so that each sum is exact and their running
/// sum is within half a step. Inputs beyond the border are the border's.
#[derive(Debug)]
pub(crate) struct Axis {
    source: usize,
    /// Inputs of the longest filter.
    taps: usize,
    /// First input and number of inputs of each output.
    spans: Vec<(usize, usize)>,
    /// `taps` for each output, zero after the last input.
    weights: Vec<u8>,
}

impl Axis {
    pub(crate) fn new(lengths: Lengths, siting: Siting) -> Self {
        let (source, target) = lengths.luma;
        let area = || Self::with(lengths, |i| area(i, lengths, siting));
        let linear = || Self::with(lengths, |i| linear(i, lengths, siting));
        if target * 2 < source {
            area()
        } else if target < source {
            Some(area()).filter(|axis| axis.taps <= 2).unwrap_or_else(linear)
        } else {
            linear()
        }
    }

    fn with(lengths: Lengths, filter: impl Fn(usize) -> (usize, Vec<u8>)) -> Self {
        let filters: Vec<_> = (0..lengths.plane.1).map(filter).collect();
        let taps = filters.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let mut weights = vec![0; taps * filters.len()];
        for (row, (_, filter)) in weights.chunks_exact_mut(taps).zip(&filters) {
            row[..filter.len()].copy_from_slice(filter);
        }
        let spans = filters.iter().map(|(first, filter)| (*first, filter.len())).collect();
        Self { source: lengths.plane.0, taps, spans, weights }
    }

    /// Input samples.
    pub(crate) fn source(&self) -> usize {
        self.source
    }

    /// Output samples.
    pub(crate) fn target(&self) -> usize {
        self.spans.len()
    }

    /// The most inputs of an output.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for the tables of x86"))]
    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    /// The first input of output `i`, and the weight of it and of those after it: one at least, the first and the
    /// last not zero, 128 in sum.
    pub(crate) fn filter(&self, i: usize) -> (usize, &[u8]) {
        let (first, taps) = self.spans[i];
        (first, &self.weights[i * self.taps..][..taps])
    }

    /// The weights, if every output `i` is the inputs `2 i` and `2 i + 1` with the same even weights.
    pub(crate) fn halving(&self) -> Option<[u8; 2]> {
        let &[a, b] = self.filter(0).1 else { return None };
        let same = (0..self.target()).all(|i| self.filter(i) == (2 * i, &[a, b]));
        (same && self.source == 2 * self.target() && a % 2 == 0).then_some([a, b])
    }

    /// The weights, if every three outputs are made of four inputs: output `3 k + j` of the inputs `4 k + j` and
    /// `4 k + j + 1`, with the same weights for each `k`.
    pub(crate) fn three_quarters(&self) -> Option<ThreeQuarters> {
        if self.source * 3 != self.target() * 4 || self.source < 4 {
            return None;
        }
        let mut all = [[0; 2]; 3];
        for (j, weights) in all.iter_mut().enumerate() {
            *weights = self.filter(j).1.try_into().ok()?;
        }
        let same = (0..self.target()).all(|i| self.filter(i) == (i / 3 * 4 + i % 3, &all[i % 3]));
        let vector = |from: usize| std::array::from_fn(|byte| all[(from + byte % 16 / 2) % 3][byte % 2]);
        same.then(|| ThreeQuarters { weights: all, vectors: [vector(0), vector(8)] })
    }

    /// Whether every output is the input of the same place.
    pub(crate) fn is_identity(&self) -> bool {
        self.source == self.target() && self.taps == 1 && (0..self.target()).all(|i| self.filter(i).0 == i)
    }
}

/// The filter of an axis that is exactly 3:4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreeQuarters {
    /// Of each of the three outputs, for its two inputs.
    pub(crate) weights: [[u8; 2]; 3],
    /// The same for outputs 0 to 7 and for 8 to 15, twice each: what vectors read.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for vectors of x86"))]
    pub(crate) vectors: [[u8; 32]; 2],
}

/// A place along the axis in exact integers.
fn signed(value: usize) -> i64 {
    i64::try_from(value).expect("sides are at most 16384")
}

fn quarters(siting: Siting) -> i64 {
    match siting {
        Siting::Centre => 2,
        Siting::Left => 1,
    }
}

/// The two inputs around the place of output `i`, which is `(i + a/4) n/d - a/4`.
fn linear(i: usize, lengths: Lengths, siting: Siting) -> (usize, Vec<u8>) {
    let (n, d, a) = (signed(lengths.luma.0), signed(lengths.luma.1), quarters(siting));
    let place = (4 * signed(i) + a) * n - a * d;
    let unit = 4 * d;
    let steps = (place * i64::from(ONE) * 2 + unit).div_euclid(2 * unit); // in 1/128, to nearest
    let last = signed(lengths.plane.0) - 1;
    let steps = steps.clamp(0, last * i64::from(ONE));
    let (first, second) = (steps.div_euclid(i64::from(ONE)), steps.rem_euclid(i64::from(ONE)));
    let first = usize::try_from(first).expect("clamped from 0");
    match u8::try_from(second).expect("below 128") {
        0 => (first, vec![ONE]),
        second => (first, vec![ONE - second, second]),
    }
}

/// The inputs that output `i` covers, each by how much of it.
fn area(i: usize, lengths: Lengths, siting: Siting) -> (usize, Vec<u8>) {
    let (n, d, a) = (signed(lengths.luma.0), signed(lengths.luma.1), quarters(siting));
    let unit = 4 * d;
    let low = (4 * signed(i) + a - 2) * n - (a - 2) * d;
    let width = 4 * n;
    let last = signed(lengths.plane.0) - 1;
    let begin = low.div_euclid(unit);
    let end = (low + width - 1).div_euclid(unit);
    let first = begin.clamp(0, last);
    let mut weights =
        vec![0u8; usize::try_from(end.clamp(0, last) - first + 1).expect("end is not before begin")];
    let mut before = 0;
    for input in begin..=end {
        let covered = ((input + 1) * unit - low).min(width);
        let sum = (covered * i64::from(ONE) * 2 + width).div_euclid(2 * width);
        let slot = usize::try_from(input.clamp(0, last) - first).expect("clamped from first");
        weights[slot] += u8::try_from(sum - before).expect("a part of 128");
        before = sum;
    }
    let leading = weights.iter().take_while(|weight| **weight == 0).count();
    weights.drain(..leading);
    let trailing = weights.iter().rev().take_while(|weight| **weight == 0).count();
    weights.truncate(weights.len() - trailing);
    (usize::try_from(first).expect("clamped from 0") + leading, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis(source: usize, target: usize) -> Axis {
        Axis::new(Lengths { luma: (source, target), plane: (source, target) }, Siting::Centre)
    }

    fn chroma(source: usize, target: usize) -> Axis {
        let plane = (source.div_ceil(2), target.div_ceil(2));
        Axis::new(Lengths { luma: (source, target), plane }, Siting::Left)
    }

    #[test]
    fn known_ratios_have_their_known_weights() {
        let inner = |axis: &Axis, i: usize| {
            let (first, weights) = axis.filter(i);
            (first, weights.to_vec())
        };
        let same = axis(64, 64);
        assert!(same.is_identity() && chroma(64, 64).is_identity());
        let half = axis(64, 32);
        assert_eq!(inner(&half, 5), (10, vec![64, 64]));
        let three_quarters = axis(64, 48);
        assert_eq!(inner(&three_quarters, 3), (4, vec![96, 32]));
        assert_eq!(inner(&three_quarters, 4), (5, vec![64, 64]));
        assert_eq!(inner(&three_quarters, 5), (6, vec![32, 96]));
        let three_eighths = axis(64, 24);
        assert_eq!(inner(&three_eighths, 4), (10, vec![16, 48, 48, 16]));
        let double = axis(64, 128);
        assert_eq!(inner(&double, 0), (0, vec![128]));
        assert_eq!(inner(&double, 1), (0, vec![96, 32]));
        assert_eq!(inner(&double, 2), (0, vec![32, 96]));
        assert_eq!(inner(&double, 127), (63, vec![128]));
    }

    #[test]
    fn left_chroma_stays_on_its_luma_column() {
        // Chroma column 3 lies on luma column 6, whose middle 6.5 comes from 13 at half the size: chroma 6.25.
        assert_eq!(chroma(64, 32).filter(3), (6, &[96, 32][..]));
        // At double size, luma 6.5 comes from 3.25: chroma 1.375.
        assert_eq!(chroma(64, 128).filter(3), (1, &[80, 48][..]));
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_inside_the_source(source in 1usize..700, target in 1usize..700, left in any::<bool>()) {
            let axis = if left { chroma(source, target) } else { axis(source, target) };
            prop_assert_eq!(axis.target(), if left { target.div_ceil(2) } else { target });
            let mut before = 0;
            for i in 0..axis.target() {
                let (first, weights) = axis.filter(i);
                prop_assert_eq!(weights.iter().map(|w| u32::from(*w)).sum::<u32>(), 128);
                prop_assert!(weights[0] > 0 && weights[weights.len() - 1] > 0);
                prop_assert!(first + weights.len() <= axis.source() && first >= before);
                before = first;
            }
        }
    }
}
