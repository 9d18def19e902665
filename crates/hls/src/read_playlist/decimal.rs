//! Decimal numbers as they are written.

use std::cmp::Ordering;
use std::fmt;

use recorder_types::RoomTime;

/// Seconds as a decimal number, exactly as written (but for trailing zeros): at most 18 digits after the point and
/// at most 2^64 in the last of them. Not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecimalSeconds {
    /// The value times `10^decimals`; no trailing zero unless `decimals` is 0.
    units: u64,
    decimals: u8,
}

impl DecimalSeconds {
    /// Reads digits with at most one point; `None` for signs, exponents, no digits, or more than fits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = u8::try_from(fraction.len()).ok().filter(|&decimals| decimals <= 18)?;
        let mut units = 0u64;
        // The zeros that are trimmed are known to be digits.
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            units = units.checked_mul(10)?.checked_add(digit)?;
        }
        Some(Self { units, decimals })
    }

    /// As time, rounded to the nearest nanosecond (a half upward); held at the end of the range (292 years).
    #[must_use]
    pub fn round_to_room_time(self) -> RoomTime {
        let scale = 10u128.pow(u32::from(self.decimals));
        let nanos = (u128::from(self.units) * 1_000_000_000 * 2 + scale) / (scale * 2);
        RoomTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Rounded to the nearest second, a half upward: what a target duration is compared with (RFC 8216 §4.3.3.1).
    #[must_use]
    pub fn round_to_seconds(self) -> u64 {
        let scale = 10u64.pow(u32::from(self.decimals));
        let rest = self.units % scale;
        self.units / scale + u64::from(rest >= scale - rest)
    }

    fn at_18_decimals(self) -> u128 {
        u128::from(self.units) * 10u128.pow(18 - u32::from(self.decimals))
    }
}

impl PartialOrd for DecimalSeconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DecimalSeconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at_18_decimals().cmp(&other.at_18_decimals())
    }
}

/// The shortest form: no trailing zeros, no point in whole seconds.
impl fmt::Display for DecimalSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10u64.pow(u32::from(self.decimals));
        let (whole, fraction) = (self.units / scale, self.units % scale);
        match self.decimals {
            0 => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{fraction:0width$}", width = usize::from(decimals)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_exact() {
        for (text, shown, nanos, seconds) in [
            ("10", "10", 10_000_000_000, 10),
            ("4.37792", "4.37792", 4_377_920_000, 4),
            ("2.000000", "2", 2_000_000_000, 2),
            ("0.5", "0.5", 500_000_000, 1),
            ("9.499999999999999999", "9.499999999999999999", 9_500_000_000, 9),
            (".25", "0.25", 250_000_000, 0),
            ("7.", "7", 7_000_000_000, 7),
            ("0", "0", 0, 0),
        ] {
            let read = DecimalSeconds::parse(text).unwrap();
            assert_eq!(read.to_string(), shown);
            assert_eq!(
                (read.round_to_room_time().nanos(), read.round_to_seconds()),
                (nanos, seconds),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1e3",
            "1.2.3",
            "1,2",
            " 1",
            "abc",
            "inf",
            "1.0000000000000000001",
            "99999999999999999999",
        ] {
            assert_eq!(DecimalSeconds::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(units in any::<u64>(), decimals in 0u8..=18) {
            let value = DecimalSeconds { units, decimals };
            let read = DecimalSeconds::parse(&value.to_string()).unwrap();
            prop_assert_eq!(read.cmp(&value), Ordering::Equal);
            prop_assert_eq!(DecimalSeconds::parse(&read.to_string()), Some(read));
        }
    }
}
