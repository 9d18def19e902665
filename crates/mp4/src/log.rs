//! Lists of numbers that are written once and read front to back, at one to three bytes for each instead of four or
//! eight, and without ever moving what is there.

/// Bytes of one block. A list takes at most this more than it needs.
const BLOCK: usize = 32 << 10;
/// Most bytes that one number takes.
const MAX_NUMBER: usize = 10;

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Log {
    blocks: Vec<Vec<u8>>,
}

/// A place between two numbers of a [`Log`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogPlace {
    pub(crate) block: usize,
    pub(crate) at: usize,
}

impl Log {
    /// Appends `number`, seven bits a byte, lowest first.
    pub(crate) fn push(&mut self, mut number: u64) {
        if self.blocks.last().is_none_or(|block| block.len() + MAX_NUMBER > BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.last_mut().expect("one was just made");
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                block.push(low & 0x7F);
                return;
            }
            block.push(low | 0x80);
        }
    }

    /// Appends `number` so that small negative ones are short too.
    pub(crate) fn push_signed(&mut self, number: i64) {
        self.push(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    /// The place after the last number.
    pub(crate) fn end(&self) -> LogPlace {
        match self.blocks.last() {
            Some(block) => LogPlace { block: self.blocks.len() - 1, at: block.len() },
            None => LogPlace::default(),
        }
    }

    /// Forgets what comes after `place`.
    pub(crate) fn truncate(&mut self, place: LogPlace) {
        self.blocks.truncate(place.block + 1);
        if let Some(block) = self.blocks.get_mut(place.block) {
            block.truncate(place.at);
        }
    }

    /// The number at `place`, which moves behind it; `None` at the end.
    pub(crate) fn read(&self, place: &mut LogPlace) -> Option<u64> {
        let mut block = self.blocks.get(place.block)?;
        if place.at >= block.len() {
            block = self.blocks.get(place.block + 1)?;
            *place = LogPlace { block: place.block + 1, at: 0 };
        }
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = *block.get(place.at)?;
            place.at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }

    /// The inverse of [`Log::push_signed`].
    pub(crate) fn read_signed(&self, place: &mut LogPlace) -> Option<i64> {
        let number = self.read(place)?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// [`Log::read`] of what was pushed as 32 bits.
    pub(crate) fn read_u32(&self, place: &mut LogPlace) -> Option<u32> {
        u32::try_from(self.read(place)?).ok()
    }

    /// [`Log::read_signed`] of what was pushed as 32 bits.
    pub(crate) fn read_i32(&self, place: &mut LogPlace) -> Option<i32> {
        i32::try_from(self.read_signed(place)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_and_truncation_forgets_the_rest(
            numbers in proptest::collection::vec(prop_oneof![any::<i64>(), -300i64..300], 0..6000),
            cut in 0usize..6000,
        ) {
            let mut log = Log::default();
            let mut places = Vec::new();
            for &number in &numbers {
                places.push(log.end());
                log.push(number.cast_unsigned());
                log.push_signed(number);
            }
            let mut place = LogPlace::default();
            for &number in &numbers {
                prop_assert_eq!(log.read(&mut place), Some(number.cast_unsigned()));
                prop_assert_eq!(log.read_signed(&mut place), Some(number));
            }
            prop_assert_eq!(log.read(&mut place), None);
            if let Some(&cut_place) = places.get(cut) {
                log.truncate(cut_place);
                log.push(7);
                let mut place = LogPlace::default();
                for &number in &numbers[..cut] {
                    prop_assert_eq!(log.read(&mut place), Some(number.cast_unsigned()));
                    prop_assert_eq!(log.read_signed(&mut place), Some(number));
                }
                prop_assert_eq!(log.read(&mut place), Some(7));
                prop_assert_eq!(log.read(&mut place), None);
            }
        }
    }
}
