//! Writing bits, most significant first.

/// A bit string that grows.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used of the last byte; 0 where all bytes are full.
    used: u32,
}

impl BitWriter {
    /// Appends the low `n` bits of `value`, at most 32.
    pub(crate) fn bits(&mut self, value: u32, n: u32) {
        for shift in (0..n).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> shift & 1 == 1);
            let last = self.bytes.last_mut().expect("a byte was pushed when none had room");
            *last |= bit << (7 - self.used);
            self.used = (self.used + 1) % 8;
        }
    }

    /// Unsigned Exp-Golomb code (ITU-T H.264 §9.1), below 2^32 - 1.
    pub(crate) fn ue(&mut self, value: u32) {
        let coded = value + 1;
        let len = u32::BITS - coded.leading_zeros();
        self.bits(0, len - 1);
        self.bits(coded, len);
    }

    /// Zero bits up to the next whole byte.
    pub(crate) fn align(&mut self) {
        self.used = 0;
    }

    /// Whole bytes; the writer is aligned.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.used, 0, "bytes go on a byte border");
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes, with zero bits at the end.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_the_standard() {
        for (value, bits, len) in
            [(0, 0b1, 1), (1, 0b010, 3), (2, 0b011, 3), (3, 0b00100, 5), (7, 0b000_1000, 7)]
        {
            let (mut coded, mut plain) = (BitWriter::default(), BitWriter::default());
            coded.ue(value);
            plain.bits(bits, len);
            assert_eq!(coded.finish(), plain.finish(), "{value}");
        }
    }
}
