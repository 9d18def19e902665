use std::str::FromStr;

use recorder_types::{Timescale, Timestamp};

/// Frames per second as a fraction, from one frame a minute to 1000 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    frames: u32,
    seconds: u32,
}

impl FrameRate {
    /// 25 frames per second: what is taken where a stream does not say.
    pub const FPS_25: Self = Self { frames: 25, seconds: 1 };

    /// `frames` in `seconds`; `None` outside of one frame a minute to 1000 a second.
    #[must_use]
    pub fn new(frames: u32, seconds: u32) -> Option<Self> {
        let (f, s) = (u64::from(frames), u64::from(seconds));
        (f > 0 && s > 0 && f * 60 >= s && f <= s * 1000).then(|| {
            let divisor = gcd(frames, seconds);
            Self { frames: frames / divisor, seconds: seconds / divisor }
        })
    }

    /// Numerator of the reduced fraction.
    #[must_use]
    pub const fn frames(self) -> u32 {
        self.frames
    }

    /// Denominator of the reduced fraction.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }

    /// A clock on which a frame is a whole number of ticks, and that number: 90 kHz where it fits, else a multiple
    /// of the numerator of at least 1000 Hz.
    #[must_use]
    pub fn clock(self) -> (Timescale, i64) {
        let (frames, seconds) = (u64::from(self.frames), u64::from(self.seconds));
        let (hz, ticks) = if (90_000 * seconds).is_multiple_of(frames) {
            (90_000, 90_000 * seconds / frames)
        } else {
            let factor = 1000u64.div_ceil(frames);
            (frames * factor, seconds * factor)
        };
        let hz = u32::try_from(hz).ok().and_then(Timescale::new).expect("at most 2^32 - 1, and not zero");
        (hz, i64::try_from(ticks).expect("at most 90000 * 60 or seconds * 1000"))
    }

    /// The time of frame `index` on [`FrameRate::clock`]; held at the end of the range.
    pub(crate) fn time_of(self, index: u64) -> Timestamp {
        let (clock, ticks) = self.clock();
        Timestamp::new(i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(ticks), clock)
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Text that names no frame rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame rate is a number like 25, 29.97 or 30000/1001, from 1/60 to 1000")]
pub struct InvalidFrameRate;

impl FromStr for FrameRate {
    type Err = InvalidFrameRate;

    /// Takes a whole number, a decimal with up to 4 places, or a fraction.
    fn from_str(text: &str) -> Result<Self, InvalidFrameRate> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten().ok_or(InvalidFrameRate)
        };
        let (frames, seconds) = if let Some((frames, seconds)) = text.split_once('/') {
            (number(frames)?, number(seconds)?)
        } else if let Some((whole, places)) = text.split_once('.') {
            let scale = match places.len() {
                1..=4 => 10u32.pow(u32::try_from(places.len()).map_err(|_| InvalidFrameRate)?),
                _ => return Err(InvalidFrameRate),
            };
            let scaled = number(whole)?.checked_mul(scale).ok_or(InvalidFrameRate)?;
            (scaled.checked_add(number(places)?).ok_or(InvalidFrameRate)?, scale)
        } else {
            (number(text)?, 1)
        };
        Self::new(frames, seconds).ok_or(InvalidFrameRate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_reduced() {
        for (text, frames, seconds) in [
            ("25", 25, 1),
            ("29.97", 2997, 100),
            ("30000/1001", 30_000, 1001),
            ("60/2", 30, 1),
            ("0.5", 1, 2),
        ] {
            let rate: FrameRate = text.parse().unwrap();
            assert_eq!((rate.frames(), rate.seconds()), (frames, seconds), "{text}");
        }
        for text in
            ["", "0", "25fps", "+25", "1001", "1/61", "1/0", "25.", ".5", "1.00001", "-3", "4294967296"]
        {
            assert_eq!(text.parse::<FrameRate>(), Err(InvalidFrameRate), "{text}");
        }
    }

    #[test]
    fn a_frame_is_a_whole_number_of_ticks() {
        for (frames, seconds, hz, ticks) in [
            (25, 1, 90_000, 3600),
            (30_000, 1001, 90_000, 3003),
            (24_000, 1001, 24_000, 1001),
            (7, 1, 1001, 143),
            (u32::MAX, 4_294_968, u32::MAX / 3, 4_294_968 / 3),
        ] {
            let (clock, got) = FrameRate::new(frames, seconds).unwrap().clock();
            assert_eq!((clock.hz(), got), (hz, ticks), "{frames}/{seconds}");
        }
    }
}
