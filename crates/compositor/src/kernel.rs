//! The inner loops: the scalar version is the specification, the others give its bytes.

use std::fmt;

use crate::axis::{Axis, ThreeQuarters};
use crate::colour::Conversion;
use crate::picture::{Rows, RowsMut};
#[cfg(target_arch = "x86_64")]
use crate::x86;

/// Which instructions the inner loops may use. Every level gives the same bytes.
///
/// Made by detection only, so that a value of a level proves that the machine has its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Isa);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Level {
    /// Plain Rust: the reference, and what other machines than x86-64 use.
    pub const SCALAR: Self = Self(Isa::Scalar);

    /// The best that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Self::SCALAR)
    }

    /// All that this machine has, the slowest first; to force a lower one.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let faster = [x86::Avx2::detect().map(Isa::Avx2), x86::Avx512::detect().map(Isa::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let faster: [Option<Isa>; 0] = [];
        std::iter::once(Self::SCALAR).chain(faster.into_iter().flatten().map(Self))
    }

    /// `scalar`, `avx2` or `avx512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
        }
    }

    /// What [`Self::horizontal`] needs beside the filter; made once.
    pub(crate) fn horizontal_table(self, axis: &Axis) -> HorizontalTable {
        match self.0 {
            Isa::Scalar => HorizontalTable(Table::None),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => HorizontalTable(x86::Avx2Table::new(axis).map_or(Table::None, Table::Avx2)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => HorizontalTable(
                x86::Avx512Table::new(axis)
                    .map(Table::Avx512)
                    .or_else(|| x86::Avx2Table::new(axis).map(Table::Avx2))
                    .unwrap_or(Table::None),
            ),
        }
    }

    /// Filters one row: `out[i]` is the sum of weight times input over 128, to nearest, a half upward.
    ///
    /// Sums are at most `255 * 128 + 64`, which fits 15 bits. `row` is as long as the axis' source, `out` as its
    /// target, and the table is of the same axis.
    pub(crate) fn horizontal(self, axis: &Axis, table: &HorizontalTable, row: &[u8], out: &mut [u8]) {
        match (self.0, &table.0) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2(avx2), Table::Avx2(table)) => avx2.horizontal(table, row, out),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512(avx512), Table::Avx2(table)) => avx512.avx2().horizontal(table, row, out),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512(avx512), Table::Avx512(table)) => avx512.horizontal(table, row, out),
            _ => scalar::horizontal(axis, row, out),
        }
    }

    /// Filters down: `out[x]` is the sum of weight times column `x` of the rows from `first`, over 128, to nearest.
    ///
    /// `ahead` is how many source bytes one output byte takes, in 1/64, for fetching what comes next.
    pub(crate) fn vertical(self, rows: Rows<'_>, first: usize, weights: &[u8], ahead: usize, out: &mut [u8]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) if out.len() >= x86::VECTOR => avx2.vertical(rows, first, weights, ahead, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) if out.len() >= x86::WIDE_VECTOR => {
                avx512.vertical(rows, first, weights, ahead, out);
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) if out.len() >= x86::VECTOR => {
                avx512.avx2().vertical(rows, first, weights, ahead, out);
            }
            _ => scalar::vertical(rows, first, weights, out),
        }
    }

    /// Halves two rows to one: `out[i]` is the sum of `weights` times the inputs `2 i` and `2 i + 1` of both rows, over
    /// 128, to nearest. The weights sum to 64, the rows are twice as long as `out`.
    pub(crate) fn halve(self, above: &[u8], below: &[u8], weights: [u8; 2], ahead: usize, out: &mut [u8]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) if out.len() >= x86::VECTOR => avx2.halve(above, below, weights, ahead, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) if out.len() >= x86::VECTOR => {
                avx512.avx2().halve(above, below, weights, ahead, out);
            }
            _ => scalar::halve(above, below, weights, out),
        }
    }

    /// Both filters of 3:4: [`Self::vertical`] of two rows, then [`Self::horizontal`] by [`Axis::three_quarters`].
    pub(crate) fn three_quarters(
        self,
        rows: TwoRows<'_>,
        across: &ThreeQuarters,
        ahead: usize,
        out: &mut [u8],
    ) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) if out.len() >= x86::BLOCK_3_4 => avx2.three_quarters(rows, across, ahead, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) if out.len() >= x86::BLOCK_3_4 => {
                avx512.avx2().three_quarters(rows, across, ahead, out);
            }
            _ => scalar::three_quarters(rows, across, out),
        }
    }

    /// Copies a rectangle to one of the same size.
    pub(crate) fn copy(self, source: Rows<'_>, target: &mut RowsMut<'_>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) if source.width >= 2 * x86::VECTOR => avx2.copy(source, target),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) if source.width >= 2 * x86::VECTOR => avx512.avx2().copy(source, target),
            _ => scalar::copy(source, target),
        }
    }

    /// Mixes `src` into `dst`: `(src * alpha + dst * (255 - alpha)) / 255`, to nearest. Panics if lengths differ.
    pub(crate) fn blend_row(self, dst: &mut [u8], src: &[u8], alpha: &[u8]) {
        assert!(dst.len() == src.len() && dst.len() == alpha.len(), "blend_row: rows differ in length");
        match self.0 {
            Isa::Scalar => scalar::blend_row(dst, src, alpha),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.blend_row(dst, src, alpha),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.avx2().blend_row(dst, src, alpha),
        }
    }

    /// As [`Self::blend_row`] with one alpha for all.
    pub(crate) fn fade_row(self, dst: &mut [u8], src: &[u8], alpha: u8) {
        assert_eq!(dst.len(), src.len(), "fade_row: rows differ in length");
        match self.0 {
            Isa::Scalar => scalar::fade_row(dst, src, alpha),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.fade_row(dst, src, alpha),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.avx2().fade_row(dst, src, alpha),
        }
    }

    /// What a row's chroma adds to each of its luma samples, see [`Conversion::apply`].
    pub(crate) fn chroma_part_of_luma(self, by: &Conversion, u: &[u8], v: &[u8], out: &mut [i32]) {
        match self.0 {
            Isa::Scalar => scalar::chroma_part_of_luma(by, u, v, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.chroma_part_of_luma(by, u, v, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.avx2().chroma_part_of_luma(by, u, v, out),
        }
    }

    /// Converts a row of luma.
    pub(crate) fn convert_luma(self, by: &Conversion, luma: &mut [u8], added: &[i32]) {
        match self.0 {
            Isa::Scalar => scalar::convert_luma(by, luma, added),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.convert_luma(by, luma, added),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.avx2().convert_luma(by, luma, added),
        }
    }

    /// Converts a row of chroma.
    pub(crate) fn convert_chroma(self, by: &Conversion, u: &mut [u8], v: &mut [u8]) {
        match self.0 {
            Isa::Scalar => scalar::convert_chroma(by, u, v),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.convert_chroma(by, u, v),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.avx2().convert_chroma(by, u, v),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Two rows of which an output row is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TwoRows<'a> {
    pub(crate) near: &'a [u8],
    pub(crate) far: &'a [u8],
    /// Three quarters of `near`, or else half.
    pub(crate) nearer: bool,
}

/// A horizontal filter in the form that a level reads.
#[derive(Debug)]
pub(crate) struct HorizontalTable(Table);

#[derive(Debug)]
enum Table {
    /// The filter itself: for the scalar loop, and for rows too short for a vector.
    None,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2Table),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512Table),
}

/// The specification of every loop. Bodies that the compiler turns into good vector code are `inline(always)`,
/// so that `x86` compiles the same body for its instructions.
pub(crate) mod scalar {
    use super::*;

    const HALF: u32 = 64;
    const SHIFT: u32 = 7;

    pub(crate) fn horizontal(axis: &Axis, row: &[u8], out: &mut [u8]) {
        assert!(
            row.len() == axis.source() && out.len() == axis.target(),
            "horizontal: rows are not the axis'"
        );
        for (i, out) in out.iter_mut().enumerate() {
            let (first, weights) = axis.filter(i);
            let inputs = &row[first..][..weights.len()];
            let sum: u32 = inputs.iter().zip(weights).map(|(input, weight)| product(*input, *weight)).sum();
            *out = byte((sum + HALF) >> SHIFT);
        }
    }

    pub(crate) fn vertical(rows: Rows<'_>, first: usize, weights: &[u8], out: &mut [u8]) {
        match *weights {
            [_] => out.copy_from_slice(rows.row(first)),
            [a, b] => {
                for ((out, above), below) in out.iter_mut().zip(rows.row(first)).zip(rows.row(first + 1)) {
                    *out = byte((product(*above, a) + product(*below, b) + HALF) >> SHIFT);
                }
            }
            _ => {
                for (x, out) in out.iter_mut().enumerate() {
                    let column = rows.data[first * rows.stride + x..].iter().step_by(rows.stride);
                    let sum: u32 = column.zip(weights).map(|(input, weight)| product(*input, *weight)).sum();
                    *out = byte((sum + HALF) >> SHIFT);
                }
            }
        }
    }

    pub(crate) fn halve(above: &[u8], below: &[u8], weights: [u8; 2], out: &mut [u8]) {
        let (above, below) = (above.as_chunks::<2>().0, below.as_chunks::<2>().0);
        for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
            let side = |k: usize| (u32::from(above[k]) + u32::from(below[k])) * u32::from(weights[k]);
            *out = byte((side(0) + side(1) + HALF) >> SHIFT);
        }
    }

    pub(crate) fn three_quarters(rows: TwoRows<'_>, across: &ThreeQuarters, out: &mut [u8]) {
        let (near, far) = if rows.nearer { (96, 32) } else { (64, 64) };
        for (k, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let column = |x: usize| (product(rows.near[x], near) + product(rows.far[x], far) + HALF) >> SHIFT;
            for (j, (out, weights)) in out.iter_mut().zip(across.weights).enumerate() {
                let x = 4 * k + j;
                let sum = product(byte(column(x)), weights[0]) + product(byte(column(x + 1)), weights[1]);
                *out = byte((sum + HALF) >> SHIFT);
            }
        }
    }

    fn product(input: u8, weight: u8) -> u32 {
        u32::from(input) * u32::from(weight)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
    fn byte(value: u32) -> u8 {
        debug_assert!(value <= 255);
        value as u8
    }

    /// `value / 255` to nearest, exact up to 255 * 255: `x / 255 = (x + x / 256 + 1) / 256` with the half added.
    #[inline(always)]
    fn over_255(value: u16) -> u8 {
        let value = value + 128;
        ((value + (value >> 8)) >> 8) as u8
    }

    #[inline(always)]
    fn mix(dst: u8, src: u8, alpha: u8) -> u8 {
        over_255(u16::from(src) * u16::from(alpha) + u16::from(dst) * u16::from(255 - alpha))
    }

    #[inline(always)]
    pub(crate) fn copy(source: Rows<'_>, target: &mut RowsMut<'_>) {
        for y in 0..target.height {
            target.row(y).copy_from_slice(source.row(y));
        }
    }

    #[inline(always)]
    pub(crate) fn blend_row(dst: &mut [u8], src: &[u8], alpha: &[u8]) {
        for ((dst, src), alpha) in dst.iter_mut().zip(src).zip(alpha) {
            *dst = mix(*dst, *src, *alpha);
        }
    }

    #[inline(always)]
    pub(crate) fn fade_row(dst: &mut [u8], src: &[u8], alpha: u8) {
        for (dst, src) in dst.iter_mut().zip(src) {
            *dst = mix(*dst, *src, alpha);
        }
    }

    /// A sum in 1/2^14 as a sample.
    #[inline(always)]
    #[expect(clippy::cast_sign_loss, reason = "clamped from 0")]
    fn clamped(sum: i32) -> u8 {
        (sum >> 14).clamp(0, 255) as u8
    }

    #[inline(always)]
    pub(crate) fn chroma_part_of_luma(by: &Conversion, u: &[u8], v: &[u8], out: &mut [i32]) {
        let [_, from_u, from_v, added] = by.luma;
        let part = |u: u8, v: u8| i32::from(u) * from_u + i32::from(v) * from_v + added;
        let count = u.len();
        let (pairs, rest) = out.as_chunks_mut::<2>();
        for ((pair, u), v) in pairs.iter_mut().zip(u.windows(2)).zip(v.windows(2)) {
            let (here, next) = (part(u[0], v[0]), part(u[1], v[1]));
            *pair = [here, (here + next) >> 1];
        }
        // The last chroma sample has none to its right.
        let last = part(u[count - 1], v[count - 1]);
        if rest.is_empty() {
            if let Some(pair) = pairs.last_mut() {
                *pair = [last, last];
            }
        } else {
            rest.fill(last);
        }
    }

    #[inline(always)]
    pub(crate) fn convert_luma(by: &Conversion, luma: &mut [u8], added: &[i32]) {
        for (luma, added) in luma.iter_mut().zip(added) {
            *luma = clamped(i32::from(*luma) * by.luma[0] + added);
        }
    }

    #[inline(always)]
    pub(crate) fn convert_chroma(by: &Conversion, u: &mut [u8], v: &mut [u8]) {
        for (u, v) in u.iter_mut().zip(v) {
            let (cb, cr) = (i32::from(*u), i32::from(*v));
            *u = clamped(cb * by.u[0] + cr * by.u[1] + by.u[2]);
            *v = clamped(cb * by.v[0] + cr * by.v[1] + by.v[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_is_the_exact_mean_to_nearest() {
        for level in Level::available() {
            for alpha in 0..=255u8 {
                let src: Vec<u8> = (0..=255).collect();
                for start in [0u8, 7, 100, 128, 254, 255] {
                    let mut blended = vec![start; 256];
                    let mut faded = blended.clone();
                    level.blend_row(&mut blended, &src, &[alpha; 256]);
                    level.fade_row(&mut faded, &src, alpha);
                    for (src, got) in src.iter().zip(&blended) {
                        let exact =
                            u32::from(*src) * u32::from(alpha) + u32::from(start) * u32::from(255 - alpha);
                        assert_eq!(u32::from(*got), (exact * 2 + 255) / 510, "{src} over {start} by {alpha}");
                    }
                    assert_eq!(blended, faded);
                }
            }
        }
    }
}
