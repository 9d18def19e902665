//! The inner loops for x86-64. The one file with unsafe code: loads and stores through pointers inside functions
//! compiled for instructions that a token ([`Avx2`], [`Avx512`]) proves.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use crate::axis::{Axis, ONE, ThreeQuarters};
use crate::colour::Conversion;
use crate::kernel::{TwoRows, scalar};
use crate::picture::{Rows, RowsMut};

/// Bytes of a vector of AVX2.
pub(crate) const VECTOR: usize = 32;
/// Bytes of a vector of AVX-512.
pub(crate) const WIDE_VECTOR: usize = 64;
/// Outputs of one block of 3:4, made of one vector.
pub(crate) const BLOCK_3_4: usize = 24;
/// Outputs of one group of a table.
const GROUP: usize = 32;
/// Bytes that one shuffle of AVX2 chooses from.
const WINDOW: usize = 16;
/// `_mm256_mulhrs_epi16` by this is `(x + 64) >> 7`.
const ROUND: i16 = 1 << 8;
/// How far ahead of the row that is read the next rows are fetched, in bytes.
///
/// The rows of one output are short parallel streams, which the hardware's own prefetching keeps losing.
const AHEAD: usize = 8192;

/// Proof that the machine has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Proof that the machine has AVX-512 F, BW, VL and VBMI, and AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

/// A horizontal filter for AVX2: groups of 32 outputs as four runs of eight, each run from `windows` blocks of 16
/// inputs, in `pairs` pairs of inputs.
///
/// The lanes of one vector hold runs 0 and 2, those of the next runs 1 and 3, so that packing both gives the 32
/// outputs in order. The last group ends at the last output and may overlap the one before.
#[derive(Debug)]
pub(crate) struct Avx2Table {
    source: usize,
    target: usize,
    windows: usize,
    pairs: usize,
    /// Runs 0 and 1 read the same block, as do 2 and 3.
    shared: bool,
    /// Where each run's blocks begin; `start + windows * 16 <= source`.
    starts: Vec<[usize; 4]>,
    /// For each group, half and pair: one shuffle per window, then the weights.
    vectors: Vec<Vector<32>>,
}

/// A horizontal filter for AVX-512: groups of 32 outputs from one or two blocks of 64 inputs, in pairs of inputs.
#[derive(Debug)]
pub(crate) struct Avx512Table {
    source: usize,
    target: usize,
    /// 1 or 2.
    blocks: usize,
    pairs: usize,
    /// Where each group's blocks begin; `start + blocks * 64 <= source`.
    starts: Vec<usize>,
    /// For each group and pair: the permutation, then the weights.
    vectors: Vec<Vector<64>>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Vector<const N: usize>([u8; N]);

impl Avx2Table {
    /// `None` where a row or its source is shorter than a vector.
    pub(crate) fn new(axis: &Axis) -> Option<Self> {
        let (source, target) = (axis.source(), axis.target());
        if target < GROUP {
            return None;
        }
        let groups = || (0..target).step_by(GROUP).map(|x| x.min(target - GROUP));
        let span = |outputs: usize| {
            groups().flat_map(|x| (x..x + GROUP).step_by(outputs)).map(|x| span(axis, x, outputs)).max()
        };
        let windows = span(8)?.div_ceil(WINDOW);
        if source < windows * WINDOW {
            return None;
        }
        let shared = span(16)? <= WINDOW;
        let pairs = axis.taps().div_ceil(2);
        let mut table =
            Self { source, target, windows, pairs, shared, starts: Vec::new(), vectors: Vec::new() };
        for x in groups() {
            let runs = if shared { [x, x, x + 16, x + 16] } else { [x, x + 8, x + 16, x + 24] };
            let starts = runs.map(|x| axis.filter(x).0.min(source - windows * WINDOW));
            table.starts.push(starts);
            for half in 0..2 {
                for pair in 0..pairs {
                    // Byte k of lane l belongs to tap k % 2 of output k / 2 of run 2 l + half.
                    let taps: [(u8, usize); 32] = std::array::from_fn(|byte| {
                        let run = byte / 16 * 2 + half;
                        let (weight, input) = tap(axis, x + run * 8 + byte % 16 / 2, pair, byte % 2);
                        (weight, input - starts[run])
                    });
                    for window in 0..windows {
                        table.vectors.push(Vector(taps.map(|(weight, input)| {
                            match u8::try_from(input % WINDOW) {
                                Ok(lane) if weight > 0 && input / WINDOW == window => lane,
                                _ => 0x80, // gives zero
                            }
                        })));
                    }
                    table.vectors.push(Vector(taps.map(|(weight, _)| weight)));
                }
            }
        }
        Some(table)
    }
}

impl Avx512Table {
    /// `None` where a row or its source is shorter than a vector, or 32 outputs take more than 128 inputs.
    pub(crate) fn new(axis: &Axis) -> Option<Self> {
        let (source, target) = (axis.source(), axis.target());
        if target < GROUP {
            return None;
        }
        let groups = || (0..target).step_by(GROUP).map(|x| x.min(target - GROUP));
        let blocks = groups().map(|x| span(axis, x, GROUP)).max()?.div_ceil(WIDE_VECTOR);
        if blocks > 2 || source < blocks * WIDE_VECTOR {
            return None;
        }
        let pairs = axis.taps().div_ceil(2);
        let mut table = Self { source, target, blocks, pairs, starts: Vec::new(), vectors: Vec::new() };
        for x in groups() {
            let start = axis.filter(x).0.min(source - blocks * WIDE_VECTOR);
            table.starts.push(start);
            for pair in 0..pairs {
                let taps: [(u8, u8); 64] = std::array::from_fn(|byte| {
                    let (weight, input) = tap(axis, x + byte / 2, pair, byte % 2);
                    let lane = if weight > 0 { input - start } else { 0 };
                    (weight, u8::try_from(lane).expect("within two blocks of 64"))
                });
                table.vectors.push(Vector(taps.map(|(_, lane)| lane)));
                table.vectors.push(Vector(taps.map(|(weight, _)| weight)));
            }
        }
        Some(table)
    }
}

/// How many inputs `outputs` outputs from `x` reach over.
fn span(axis: &Axis, x: usize, outputs: usize) -> usize {
    let begin = axis.filter(x).0;
    let ends = (x..x + outputs).map(|x| axis.filter(x)).map(|(first, weights)| first + weights.len());
    ends.max().unwrap_or(begin) - begin
}

/// Weight and place of tap `2 * pair + side` of output `x`; weight zero beyond the last.
///
/// 128 does not fit a signed byte: an output that is one input takes it twice by half.
fn tap(axis: &Axis, x: usize, pair: usize, side: usize) -> (u8, usize) {
    let (first, weights) = axis.filter(x);
    match (weights, pair) {
        ([ONE], 0) => (ONE / 2, first),
        ([ONE], _) => (0, first),
        _ => weights.get(2 * pair + side).map_or((0, first), |weight| (*weight, first + 2 * pair + side)),
    }
}

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(crate) fn horizontal(self, table: &Avx2Table, row: &[u8], out: &mut [u8]) {
        assert!(
            row.len() == table.source && out.len() == table.target,
            "horizontal: rows are not the table's"
        );
        // SAFETY: the token proves AVX2; the rows have the table's lengths (asserted above), within which all its
        // blocks and groups lie (built so).
        unsafe {
            match (table.pairs, table.windows, table.shared) {
                (1, 1, true) => horizontal_avx2::<1, 1, true>(table, row.as_ptr(), out.as_mut_ptr()),
                (1, 1, false) => horizontal_avx2::<1, 1, false>(table, row.as_ptr(), out.as_mut_ptr()),
                (2, 2, _) => horizontal_avx2::<2, 2, false>(table, row.as_ptr(), out.as_mut_ptr()),
                (3, 2, _) => horizontal_avx2::<3, 2, false>(table, row.as_ptr(), out.as_mut_ptr()),
                (3, 3, _) => horizontal_avx2::<3, 3, false>(table, row.as_ptr(), out.as_mut_ptr()),
                _ => horizontal_avx2_any(table, row.as_ptr(), out.as_mut_ptr()),
            }
        }
    }

    pub(crate) fn vertical(self, rows: Rows<'_>, first: usize, weights: &[u8], ahead: usize, out: &mut [u8]) {
        check_vertical(rows, first, weights, out, VECTOR);
        if let [_] = weights {
            out.copy_from_slice(rows.row(first));
            return;
        }
        let (src, out_len) = (rows.data[first * rows.stride..].as_ptr(), out.len());
        let out = out.as_mut_ptr();
        // SAFETY: the token proves AVX2; the rows from `first` hold `weights.len()` rows of `out.len()` bytes,
        // which is a vector or more (asserted above).
        unsafe {
            let below = src.wrapping_add(rows.stride);
            match weights.len().div_ceil(2) {
                1 if weights == [64, 64] => means_avx2::<false>(src, below, ahead, out_len, out),
                1 if weights == [96, 32] => means_avx2::<true>(src, below, ahead, out_len, out),
                1 if weights == [32, 96] => means_avx2::<true>(below, src, ahead, out_len, out),
                1 => vertical_avx2::<1>(src, rows.stride, weights, ahead, out_len, out),
                2 => vertical_avx2::<2>(src, rows.stride, weights, ahead, out_len, out),
                3 => vertical_avx2::<3>(src, rows.stride, weights, ahead, out_len, out),
                _ => vertical_avx2_any(src, rows.stride, weights, ahead, out_len, out),
            }
        }
    }
}

impl Avx2 {
    pub(crate) fn copy(self, source: Rows<'_>, target: &mut RowsMut<'_>) {
        assert!(
            source.width >= 2 * VECTOR && source.width == target.width && source.height == target.height,
            "copy: rectangles differ in size"
        );
        // SAFETY: the token proves AVX2; widths are asserted above.
        unsafe { copy_avx2(source, target) }
    }

    pub(crate) fn halve(self, above: &[u8], below: &[u8], weights: [u8; 2], ahead: usize, out: &mut [u8]) {
        let len = out.len();
        assert!(
            len >= VECTOR
                && above.len() == 2 * len
                && below.len() == 2 * len
                && weights[0] + weights[1] == 64,
            "halve: rows are not twice as long"
        );
        // SAFETY: the token proves AVX2; lengths are asserted above.
        unsafe { halve_avx2(above.as_ptr(), below.as_ptr(), weights, ahead, len, out.as_mut_ptr()) }
    }
}

impl Avx2 {
    pub(crate) fn three_quarters(
        self,
        rows: TwoRows<'_>,
        across: &ThreeQuarters,
        ahead: usize,
        out: &mut [u8],
    ) {
        let TwoRows { near, far, nearer } = rows;
        let len = out.len();
        assert!(
            len >= BLOCK_3_4 && len.is_multiple_of(3) && near.len() == len / 3 * 4 && far.len() == near.len(),
            "three_quarters: rows are not 4:3"
        );
        let (near, far, out) = (near.as_ptr(), far.as_ptr(), out.as_mut_ptr());
        // SAFETY: the token proves AVX2; lengths are asserted above.
        unsafe {
            if nearer {
                three_quarters_avx2::<true>(near, far, across, ahead, len, out);
            } else {
                three_quarters_avx2::<false>(near, far, across, ahead, len, out);
            }
        }
    }
}

/// Loops that are the scalar body, compiled for AVX2.
macro_rules! compiled_for_avx2 {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Avx2 {
            $(pub(crate) fn $name(self, $($argument: $type),*) {
                #[target_feature(enable = "avx2")]
                fn body($($argument: $type),*) {
                    scalar::$name($($argument),*);
                }
                // SAFETY: the token proves AVX2.
                unsafe { body($($argument),*) }
            })*
        }
    };
}

compiled_for_avx2! {
    blend_row(dst: &mut [u8], src: &[u8], alpha: &[u8]);
    fade_row(dst: &mut [u8], src: &[u8], alpha: u8);
    chroma_part_of_luma(by: &Conversion, u: &[u8], v: &[u8], out: &mut [i32]);
    convert_luma(by: &Conversion, luma: &mut [u8], added: &[i32]);
    convert_chroma(by: &Conversion, u: &mut [u8], v: &mut [u8]);
}

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let all = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi");
        all.then_some(Self(()))
    }

    /// Whoever has AVX-512 has AVX2.
    pub(crate) fn avx2(self) -> Avx2 {
        Avx2(())
    }

    pub(crate) fn horizontal(self, table: &Avx512Table, row: &[u8], out: &mut [u8]) {
        assert!(
            row.len() == table.source && out.len() == table.target,
            "horizontal: rows are not the table's"
        );
        // SAFETY: as in `Avx2::horizontal`, with the token of AVX-512.
        unsafe {
            match (table.pairs, table.blocks) {
                (1, 1) => horizontal_avx512::<1, 1>(table, row.as_ptr(), out.as_mut_ptr()),
                (2, 1) => horizontal_avx512::<2, 1>(table, row.as_ptr(), out.as_mut_ptr()),
                (1, _) => horizontal_avx512::<1, 2>(table, row.as_ptr(), out.as_mut_ptr()),
                (2, _) => horizontal_avx512::<2, 2>(table, row.as_ptr(), out.as_mut_ptr()),
                (3, 2) => horizontal_avx512::<3, 2>(table, row.as_ptr(), out.as_mut_ptr()),
                _ => horizontal_avx512_any(table, row.as_ptr(), out.as_mut_ptr()),
            }
        }
    }

    pub(crate) fn vertical(self, rows: Rows<'_>, first: usize, weights: &[u8], ahead: usize, out: &mut [u8]) {
        check_vertical(rows, first, weights, out, WIDE_VECTOR);
        let (src, out_len) = (rows.data[first * rows.stride..].as_ptr(), out.len());
        // SAFETY: as in `Avx2::vertical`, with the token of AVX-512 and its longer vector.
        unsafe {
            match weights.len().div_ceil(2) {
                1 if weights.len() == 2 && ![64, 96, 32].contains(&weights[0]) => {
                    vertical_avx512::<1>(src, rows.stride, weights, ahead, out_len, out.as_mut_ptr());
                }
                2 => vertical_avx512::<2>(src, rows.stride, weights, ahead, out_len, out.as_mut_ptr()),
                3 => vertical_avx512::<3>(src, rows.stride, weights, ahead, out_len, out.as_mut_ptr()),
                _ => self.avx2().vertical(rows, first, weights, ahead, out),
            }
        }
    }
}

/// Holds that every load of a vertical filter lies inside the rows.
fn check_vertical(rows: Rows<'_>, first: usize, weights: &[u8], out: &[u8], vector: usize) {
    let last = first + weights.len() - 1;
    assert!(
        out.len() >= vector
            && out.len() <= rows.width
            && last < rows.height
            && last * rows.stride + out.len() <= rows.data.len(),
        "vertical: the filter reaches outside the rows"
    );
}

/// # Safety
/// The machine has AVX2; `row` has `table.source` bytes, `out` has `table.target`; `PAIRS`, `WINDOWS` and `SHARED`
/// are the table's (`SHARED` may be false for one that is shared).
#[target_feature(enable = "avx2")]
unsafe fn horizontal_avx2<const PAIRS: usize, const WINDOWS: usize, const SHARED: bool>(
    table: &Avx2Table,
    row: *const u8,
    out: *mut u8,
) {
    debug_assert!(table.pairs == PAIRS && table.windows == WINDOWS);
    let round = _mm256_set1_epi16(ROUND);
    let mut vector = table.vectors.as_ptr();
    let last = table.target - GROUP;
    let mut x = 0;
    for starts in &table.starts {
        debug_assert!(starts.iter().all(|start| start + WINDOWS * WINDOW <= table.source));
        // SAFETY: each run's blocks lie inside the row and the group inside `out` (the table is built so); there
        // are `2 * PAIRS * (WINDOWS + 1)` vectors per group.
        unsafe {
            let mut halves = [_mm256_setzero_si256(); 2];
            let mut blocks = lanes::<WINDOWS>(row, starts[0], starts[2]);
            for (half, sum) in halves.iter_mut().enumerate() {
                if half == 1 && !SHARED {
                    blocks = lanes::<WINDOWS>(row, starts[1], starts[3]);
                }
                for _ in 0..PAIRS {
                    let mut inputs = _mm256_setzero_si256();
                    for block in blocks {
                        let chosen = _mm256_shuffle_epi8(block, load(vector));
                        inputs = _mm256_or_si256(inputs, chosen);
                        vector = vector.add(1);
                    }
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(inputs, load(vector)));
                    vector = vector.add(1);
                }
            }
            let [a, b] = halves.map(|sum| _mm256_mulhrs_epi16(sum, round));
            _mm256_storeu_si256(out.add(x.min(last)).cast(), _mm256_packus_epi16(a, b));
        }
        x += GROUP;
    }
}

/// [`horizontal_avx2`] for any number of pairs and windows.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2")]
unsafe fn horizontal_avx2_any(table: &Avx2Table, row: *const u8, out: *mut u8) {
    let round = _mm256_set1_epi16(ROUND);
    let mut vector = table.vectors.as_ptr();
    let last = table.target - GROUP;
    let mut x = 0;
    for starts in &table.starts {
        debug_assert!(starts.iter().all(|start| start + table.windows * WINDOW <= table.source));
        // SAFETY: as in `horizontal_avx2`.
        unsafe {
            let mut halves = [_mm256_setzero_si256(); 2];
            for (half, sum) in halves.iter_mut().enumerate() {
                for _ in 0..table.pairs {
                    let mut inputs = _mm256_setzero_si256();
                    for window in 0..table.windows {
                        let at = window * WINDOW;
                        let [block] = lanes::<1>(row, starts[half] + at, starts[half + 2] + at);
                        inputs = _mm256_or_si256(inputs, _mm256_shuffle_epi8(block, load(vector)));
                        vector = vector.add(1);
                    }
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(inputs, load(vector)));
                    vector = vector.add(1);
                }
            }
            let [a, b] = halves.map(|sum| _mm256_mulhrs_epi16(sum, round));
            _mm256_storeu_si256(out.add(x.min(last)).cast(), _mm256_packus_epi16(a, b));
        }
        x += GROUP;
    }
}

/// `WINDOWS` blocks from each of two places, as the lanes of one vector each.
///
/// # Safety
/// The machine has AVX2; `WINDOWS * 16` bytes can be read at both places.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn lanes<const WINDOWS: usize>(row: *const u8, low: usize, high: usize) -> [__m256i; WINDOWS] {
    let mut blocks = [_mm256_setzero_si256(); WINDOWS];
    for (window, block) in blocks.iter_mut().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let low = _mm_loadu_si128(row.add(low + window * WINDOW).cast());
            let high = _mm_loadu_si128(row.add(high + window * WINDOW).cast());
            *block = _mm256_set_m128i(high, low);
        }
    }
    blocks
}

/// # Safety
/// The machine has AVX2 and `vector` can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(vector: *const Vector<32>) -> __m256i {
    // SAFETY: the caller's; the type is aligned.
    unsafe { _mm256_load_si256(vector.cast()) }
}

/// Which inputs of a lane make its outputs 0 to 7, and 8 to 11 (and four that nobody reads).
const LANES_3_4: [Vector<32>; 2] = {
    let mut vectors = [Vector([0; 32]), Vector([0; 32])];
    let mut at = 0u8;
    while at < 64 {
        let output = (at / 32 * 8 + at % 16 / 2) % 12;
        vectors[(at / 32) as usize].0[(at % 32) as usize] = output / 3 * 4 + output % 3 + at % 2;
        at += 1;
    }
    vectors
};

/// Fetches what the row after some more outputs reads.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(src: *const u8, x: usize, ahead: usize) {
    let line = src.wrapping_add(AHEAD + x * ahead / 64);
    #[allow(unused_unsafe, reason = "newer compilers know that it is safe")]
    // SAFETY: fetching reads nothing and never faults, whatever the address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
        if ahead > 128 {
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(64).cast());
        }
    }
}

/// The taps `2 * pair` and `2 * pair + 1` as one 16-bit number for `maddubs`; zero beyond the last.
///
/// Two weights or more, none of them zero at the ends, sum to 128: each fits a signed byte.
fn weight_pair(weights: &[u8], pair: usize) -> i16 {
    let weight = |tap: usize| weights.get(tap).copied().unwrap_or(0);
    i16::from_le_bytes([weight(2 * pair), weight(2 * pair + 1)])
}

/// # Safety
/// The machine has AVX2; `weights.len()` rows, `stride` apart from `src`, have `len` bytes each, `out` has `len`,
/// and `len >= 32`; `PAIRS` is `weights.len().div_ceil(2)` and `weights.len() >= 2`.
#[target_feature(enable = "avx2")]
unsafe fn vertical_avx2<const PAIRS: usize>(
    src: *const u8,
    stride: usize,
    weights: &[u8],
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(weights.len().div_ceil(2) == PAIRS && len >= VECTOR);
    let round = _mm256_set1_epi16(ROUND);
    let pairs: [__m256i; PAIRS] = std::array::from_fn(|pair| _mm256_set1_epi16(weight_pair(weights, pair)));
    let mut x = 0;
    while x < len {
        prefetch(src, x, ahead);
        let at = x.min(len - VECTOR);
        let (mut low, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (pair, by) in pairs.iter().enumerate() {
            // SAFETY: row `2 * pair` is one of the rows, and so is the next or else it is the same again, with
            // weight zero; `at + 32 <= len`.
            let (a, b) = unsafe {
                let above = src.add(2 * pair * stride + at);
                let below = if 2 * pair + 1 < weights.len() { above.add(stride) } else { above };
                (_mm256_loadu_si256(above.cast()), _mm256_loadu_si256(below.cast()))
            };
            low = _mm256_add_epi16(low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), *by));
            high = _mm256_add_epi16(high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), *by));
        }
        let [low, high] = [low, high].map(|sum| _mm256_mulhrs_epi16(sum, round));
        // SAFETY: `at + 32 <= len`.
        unsafe { _mm256_storeu_si256(out.add(at).cast(), _mm256_packus_epi16(low, high)) };
        x += VECTOR;
    }
}

/// `(a + b + 1) / 2`, or with `NEARER` `(3 a + b + 2) / 4`: [`vertical_avx2`] of weights 64, 64 and 96, 32.
///
/// The second is the mean of `a` and of the mean of both rounded down: what that loses where `a + b` is odd never
/// reaches the next multiple of 4.
#[inline]
#[target_feature(enable = "avx2")]
fn mean<const NEARER: bool>(a: __m256i, b: __m256i) -> __m256i {
    let mean = _mm256_avg_epu8(a, b);
    if !NEARER {
        return mean;
    }
    let odd = _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_set1_epi8(1));
    _mm256_avg_epu8(a, _mm256_sub_epi8(mean, odd))
}

/// [`vertical_avx2`] for the [`mean`] of two rows.
///
/// # Safety
/// The machine has AVX2; both rows and `out` have `len` bytes, and `len >= 32`.
#[target_feature(enable = "avx2")]
unsafe fn means_avx2<const NEARER: bool>(
    near: *const u8,
    far: *const u8,
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(len >= VECTOR);
    let mut x = 0;
    while x < len {
        prefetch(near, x, ahead);
        let at = x.min(len - VECTOR);
        // SAFETY: `at + 32 <= len`.
        unsafe {
            let (a, b) = (_mm256_loadu_si256(near.add(at).cast()), _mm256_loadu_si256(far.add(at).cast()));
            _mm256_storeu_si256(out.add(at).cast(), mean::<NEARER>(a, b));
        }
        x += VECTOR;
    }
}

/// # Safety
/// The machine has AVX2; both rows have `len / 3 * 4` bytes, `out` has `len`, `len >= 24` and `len.is_multiple_of(3)`.
#[target_feature(enable = "avx2")]
unsafe fn three_quarters_avx2<const NEARER: bool>(
    near: *const u8,
    far: *const u8,
    across: &ThreeQuarters,
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(len >= BLOCK_3_4 && len.is_multiple_of(3));
    let round = _mm256_set1_epi16(ROUND);
    // 12 outputs from the 16 bytes of a lane: eight, then four (and four that nobody reads).
    let tables: [_; 2] = std::array::from_fn(|k| {
        // SAFETY: all are arrays of 32 bytes.
        unsafe { (load(&LANES_3_4[k]), _mm256_loadu_si256(across.vectors[k].as_ptr().cast())) }
    });
    let column = |from: usize| {
        // SAFETY: 32 bytes from here are within the rows.
        let (a, b) =
            unsafe { (_mm256_loadu_si256(near.add(from).cast()), _mm256_loadu_si256(far.add(from).cast())) };
        let column = mean::<NEARER>(a, b);
        let [low, high] = tables.map(|(lanes, weights)| {
            let inputs = _mm256_shuffle_epi8(column, lanes);
            _mm256_mulhrs_epi16(_mm256_maddubs_epi16(inputs, weights), round)
        });
        // Each lane holds 12 outputs and four bytes that nobody reads.
        let bytes = _mm256_packus_epi16(low, high);
        (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes))
    };
    let (mut x, mut from) = (0, 0);
    while x + BLOCK_3_4 + 4 <= len {
        prefetch(near, from, ahead);
        let (first, second) = column(from);
        // SAFETY: `x + 28 <= len`; what is beyond the 24 outputs is written over by the next block.
        unsafe {
            _mm_storeu_si128(out.add(x).cast(), first);
            _mm_storeu_si128(out.add(x + 12).cast(), second);
        }
        x += BLOCK_3_4;
        from += VECTOR;
    }
    // 24 or 27 outputs are left. The last block ends with the row and may overlap the one before.
    let last = len - BLOCK_3_4;
    for x in if x < last { [Some(x), Some(last)] } else { [None, Some(last)] }.into_iter().flatten() {
        let (first, second) = column(x / 3 * 4);
        // SAFETY: `x + 24 <= len`.
        unsafe {
            _mm_storeu_si128(out.add(x).cast(), first);
            _mm_storel_epi64(out.add(x + 12).cast(), second);
            _mm_storeu_si32(out.add(x + 20).cast(), _mm_bsrli_si128::<8>(second));
        }
    }
}

/// Copies like `memcpy`, which fetches nothing ahead and keeps losing the rows of a canvas.
///
/// # Safety
/// The machine has AVX2; both rectangles have rows of the same width, which is 64 or more.
#[target_feature(enable = "avx2")]
unsafe fn copy_avx2(source: Rows<'_>, target: &mut RowsMut<'_>) {
    let last = source.width - 2 * VECTOR;
    for y in 0..target.height {
        let (src, out) = (source.row(y).as_ptr(), target.row(y).as_mut_ptr());
        let mut x = 0;
        while x < source.width {
            prefetch(src, x, 64);
            let at = x.min(last);
            // SAFETY: `at + 64` is at most the width, which both rows have.
            unsafe {
                let [a, b] = [at, at + VECTOR].map(|at| _mm256_loadu_si256(src.add(at).cast()));
                _mm256_storeu_si256(out.add(at).cast(), a);
                _mm256_storeu_si256(out.add(at + VECTOR).cast(), b);
            }
            x += 2 * VECTOR;
        }
    }
}

/// # Safety
/// The machine has AVX2; both rows have `2 * len` bytes, `out` has `len`, and `len >= 32`; the weights sum to 64.
#[target_feature(enable = "avx2")]
unsafe fn halve_avx2(
    above: *const u8,
    below: *const u8,
    weights: [u8; 2],
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(len >= VECTOR);
    let round = _mm256_set1_epi16(ROUND);
    let by = _mm256_set1_epi16(i16::from_le_bytes(weights));
    let mut x = 0;
    while x < len {
        prefetch(above, 2 * x, ahead);
        prefetch(above, 2 * x + VECTOR, ahead);
        let at = x.min(len - VECTOR);
        // SAFETY: `at + 32 <= len`, twice that in the rows.
        unsafe {
            let sums = [0, VECTOR].map(|side| {
                let a = _mm256_loadu_si256(above.add(2 * at + side).cast());
                let b = _mm256_loadu_si256(below.add(2 * at + side).cast());
                let sum = _mm256_add_epi16(_mm256_maddubs_epi16(a, by), _mm256_maddubs_epi16(b, by));
                _mm256_mulhrs_epi16(sum, round)
            });
            let bytes = _mm256_packus_epi16(sums[0], sums[1]);
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
            _mm256_storeu_si256(out.add(at).cast(), bytes);
        }
        x += VECTOR;
    }
}

/// [`vertical_avx2`] for any number of rows.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2")]
unsafe fn vertical_avx2_any(
    src: *const u8,
    stride: usize,
    weights: &[u8],
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(len >= VECTOR);
    let round = _mm256_set1_epi16(ROUND);
    let mut x = 0;
    while x < len {
        prefetch(src, x, ahead);
        let at = x.min(len - VECTOR);
        let (mut low, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for pair in 0..weights.len().div_ceil(2) {
            let by = _mm256_set1_epi16(weight_pair(weights, pair));
            // SAFETY: as in `vertical_avx2`.
            let (a, b) = unsafe {
                let above = src.add(2 * pair * stride + at);
                let below = if 2 * pair + 1 < weights.len() { above.add(stride) } else { above };
                (_mm256_loadu_si256(above.cast()), _mm256_loadu_si256(below.cast()))
            };
            low = _mm256_add_epi16(low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), by));
            high = _mm256_add_epi16(high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), by));
        }
        let [low, high] = [low, high].map(|sum| _mm256_mulhrs_epi16(sum, round));
        // SAFETY: `at + 32 <= len`.
        unsafe { _mm256_storeu_si256(out.add(at).cast(), _mm256_packus_epi16(low, high)) };
        x += VECTOR;
    }
}

/// # Safety
/// As [`horizontal_avx2`], with AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn horizontal_avx512<const PAIRS: usize, const BLOCKS: usize>(
    table: &Avx512Table,
    row: *const u8,
    out: *mut u8,
) {
    debug_assert!(table.pairs == PAIRS && table.blocks == BLOCKS);
    let round = _mm512_set1_epi16(ROUND);
    let mut vector = table.vectors.as_ptr();
    let last = table.target - GROUP;
    let mut x = 0;
    for start in &table.starts {
        debug_assert!(start + BLOCKS * WIDE_VECTOR <= table.source);
        // SAFETY: the group's blocks lie inside the row and the group inside `out` (the table is built so); there
        // are `2 * PAIRS` vectors per group.
        unsafe {
            let block = _mm512_loadu_si512(row.add(*start).cast());
            let next =
                if BLOCKS == 2 { _mm512_loadu_si512(row.add(start + WIDE_VECTOR).cast()) } else { block };
            let mut sum = _mm512_setzero_si512();
            for _ in 0..PAIRS {
                let choice = _mm512_load_si512(vector.cast());
                let inputs = if BLOCKS == 2 {
                    _mm512_permutex2var_epi8(block, choice, next)
                } else {
                    _mm512_permutexvar_epi8(choice, block)
                };
                let weights = _mm512_load_si512(vector.add(1).cast());
                sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(inputs, weights));
                vector = vector.add(2);
            }
            let bytes = _mm512_cvtepi16_epi8(_mm512_mulhrs_epi16(sum, round));
            _mm256_storeu_si256(out.add(x.min(last)).cast(), bytes);
        }
        x += GROUP;
    }
}

/// [`horizontal_avx512`] for any number of pairs.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn horizontal_avx512_any(table: &Avx512Table, row: *const u8, out: *mut u8) {
    let round = _mm512_set1_epi16(ROUND);
    let mut vector = table.vectors.as_ptr();
    let last = table.target - GROUP;
    let mut x = 0;
    for start in &table.starts {
        debug_assert!(start + table.blocks * WIDE_VECTOR <= table.source);
        // SAFETY: as in `horizontal_avx512`; with one block every choice is below 64.
        unsafe {
            let block = _mm512_loadu_si512(row.add(*start).cast());
            let next = row.add(start + (table.blocks - 1) * WIDE_VECTOR);
            let next = _mm512_loadu_si512(next.cast());
            let mut sum = _mm512_setzero_si512();
            for _ in 0..table.pairs {
                let inputs = _mm512_permutex2var_epi8(block, _mm512_load_si512(vector.cast()), next);
                let weights = _mm512_load_si512(vector.add(1).cast());
                sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(inputs, weights));
                vector = vector.add(2);
            }
            let bytes = _mm512_cvtepi16_epi8(_mm512_mulhrs_epi16(sum, round));
            _mm256_storeu_si256(out.add(x.min(last)).cast(), bytes);
        }
        x += GROUP;
    }
}

/// # Safety
/// As [`vertical_avx2`], with AVX-512 F, BW, VL and VBMI and `len >= 64`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn vertical_avx512<const PAIRS: usize>(
    src: *const u8,
    stride: usize,
    weights: &[u8],
    ahead: usize,
    len: usize,
    out: *mut u8,
) {
    debug_assert!(weights.len().div_ceil(2) == PAIRS && len >= WIDE_VECTOR);
    let round = _mm512_set1_epi16(ROUND);
    let pairs: [__m512i; PAIRS] = std::array::from_fn(|pair| _mm512_set1_epi16(weight_pair(weights, pair)));
    let mut x = 0;
    while x < len {
        prefetch(src, x, ahead);
        if ahead > 64 {
            prefetch(src, x + VECTOR, ahead);
        }
        let at = x.min(len - WIDE_VECTOR);
        let (mut low, mut high) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for (pair, by) in pairs.iter().enumerate() {
            // SAFETY: as in `vertical_avx2`, `at + 64 <= len`.
            let (a, b) = unsafe {
                let above = src.add(2 * pair * stride + at);
                let below = if 2 * pair + 1 < weights.len() { above.add(stride) } else { above };
                (_mm512_loadu_si512(above.cast()), _mm512_loadu_si512(below.cast()))
            };
            low = _mm512_add_epi16(low, _mm512_maddubs_epi16(_mm512_unpacklo_epi8(a, b), *by));
            high = _mm512_add_epi16(high, _mm512_maddubs_epi16(_mm512_unpackhi_epi8(a, b), *by));
        }
        let [low, high] = [low, high].map(|sum| _mm512_mulhrs_epi16(sum, round));
        // SAFETY: `at + 64 <= len`.
        unsafe { _mm512_storeu_si512(out.add(at).cast(), _mm512_packus_epi16(low, high)) };
        x += WIDE_VECTOR;
    }
}
