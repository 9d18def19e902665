use std::fmt;
use std::num::NonZeroU32;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Ticks per second of one track's clock: 90 000 for RTP video, the sample rate for audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// The MPEG and RTP video clock.
    pub const HZ_90000: Self = Self(NonZeroU32::new(90_000).expect("90000 is not zero"));
    /// The Opus RTP clock and the usual audio sample rate.
    pub const HZ_48000: Self = Self(NonZeroU32::new(48_000).expect("48000 is not zero"));

    /// `None` for zero.
    #[must_use]
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// Ticks per second, never zero.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Timescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.hz())
    }
}

/// An instant on one track's clock: `ticks / timescale` seconds after the track's zero, negative before it.
///
/// Neither `Ord` nor `Add`: instants on different clocks meet only through [`Timestamp::rescale`] or
/// [`Timestamp::to_room_time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    ticks: i64,
    timescale: Timescale,
}

impl Timestamp {
    /// The instant `ticks` after the zero of a clock that runs at `timescale`.
    #[must_use]
    pub const fn new(ticks: i64, timescale: Timescale) -> Self {
        Self { ticks, timescale }
    }

    /// Ticks since the track's zero.
    #[must_use]
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// The clock this instant is on.
    #[must_use]
    pub const fn timescale(self) -> Timescale {
        self.timescale
    }

    /// The last tick of `to` at or before this instant; `None` if it does not fit in 64 bits.
    #[must_use]
    pub fn rescale(self, to: Timescale) -> Option<Self> {
        let ticks =
            (i128::from(self.ticks) * i128::from(to.hz())).div_euclid(i128::from(self.timescale.hz()));
        Some(Self { ticks: i64::try_from(ticks).ok()?, timescale: to })
    }

    /// This instant as time since the track's zero, rounded to the nearest nanosecond (a half upward); `None`
    /// if it does not fit, which takes 292 years.
    #[must_use]
    pub fn to_room_time(self) -> Option<RoomTime> {
        let hz = i128::from(self.timescale.hz());
        let nanos = (i128::from(self.ticks) * NANOS_PER_SECOND * 2 + hz).div_euclid(hz * 2);
        i64::try_from(nanos).ok().map(RoomTime)
    }
}

/// Nanoseconds since the task's start on a clock that never jumps: where the tracks of a room meet.
///
/// Negative before the start. Also used for differences between two such instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomTime(i64);

impl RoomTime {
    /// The task's start.
    pub const ZERO: Self = Self(0);
    /// Later than any instant of a recording.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `nanos` after the start.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` after the start; held at the ends of the range (292 years).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// The instant `secs` after the start; held at the ends of the range (292 years).
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000 * NANOS_PER_MILLI))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the start, rounded to nearest, a half upward.
    #[must_use]
    pub const fn round_to_millis(self) -> i64 {
        let floor = self.0.div_euclid(NANOS_PER_MILLI);
        if self.0.rem_euclid(NANOS_PER_MILLI) * 2 >= NANOS_PER_MILLI { floor + 1 } else { floor }
    }

    /// Ticks of `scale` since the start, rounded to nearest, a half upward; held at the ends of the range.
    #[must_use]
    pub fn round_to_ticks(self, scale: Timescale) -> i64 {
        let doubled = i128::from(self.0) * i128::from(scale.hz()) * 2 + NANOS_PER_SECOND;
        let ticks = doubled.div_euclid(NANOS_PER_SECOND * 2);
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
    }

    /// Sum, held at the ends of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, held at the ends of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Wall clock: milliseconds since 1970-01-01T00:00:00 UTC, without leap seconds. At most the year 9999, so that
/// [`UnixMillis::utc_digits`] always has 17 digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// 1970-01-01T00:00:00.000 UTC.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999 UTC.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// `None` after the year 9999.
    #[must_use]
    pub const fn new(millis: u64) -> Option<Self> {
        if millis <= Self::MAX.0 { Some(Self(millis)) } else { None }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This instant moved by `millis`, held between 1970 and 9999.
    #[must_use]
    pub const fn saturating_add_millis(self, millis: i64) -> Self {
        let sum = self.0.saturating_add_signed(millis);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }

    /// `YYYYMMDDhhmmssSSS` in UTC: the `<UTC>` field of segment names.
    ///
    /// ```
    /// # use recorder_types::UnixMillis;
    /// let at = UnixMillis::new(1_700_000_000_123).unwrap();
    /// assert_eq!(at.utc_digits(), "20231114221320123");
    /// assert_eq!(UnixMillis::from_utc_digits("20231114221320123"), Some(at));
    /// ```
    #[must_use]
    pub fn utc_digits(self) -> String {
        let (days, millis_of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (millis_of_day / 3_600_000, millis_of_day / 60_000 % 60);
        let (second, milli) = (millis_of_day / 1000 % 60, millis_of_day % 1000);
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{milli:03}")
    }

    /// The inverse of [`UnixMillis::utc_digits`]; `None` unless `text` is 17 digits that name an instant from 1970
    /// on.
    #[must_use]
    pub fn from_utc_digits(text: &str) -> Option<Self> {
        if text.len() != 17 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let field = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
        let (year, month, day) = (field(0..4)?, field(4..6)?, field(6..8)?);
        let (hour, minute, second) = (field(8..10)?, field(10..12)?, field(12..14)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return None; // a day that the month does not have
        }
        Self::new((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + field(14..17)?)
    }
}

/// Year, month and day of the day `days` after 1970-01-01, proleptic Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day is the last of its year.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`], for years from 1970 on.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `naming-and-playlists.md` section 3.
    const UTC_TABLE: [(u64, &str); 14] = [
        (0, "19700101000000000"),
        (946_684_799_999, "19991231235959999"),
        (1_551_113_065_000, "20190225164425000"),
        (1_582_934_400_000, "20200229000000000"),
        (1_609_459_199_999, "20201231235959999"),
        (1_622_186_279_144, "20210528071759144"),
        (1_622_425_551_884, "20210531014551884"),
        (1_700_000_000_000, "20231114221320000"),
        (1_700_000_000_001, "20231114221320001"),
        (1_700_000_000_123, "20231114221320123"),
        (1_700_000_009_999, "20231114221329999"),
        (1_709_164_800_000, "20240229000000000"),
        (1_768_908_637_408, "20260120113037408"),
        (4_102_444_799_999, "20991231235959999"),
    ];

    #[test]
    fn utc_digits_match_the_table_both_ways() {
        for (millis, digits) in UTC_TABLE {
            let at = UnixMillis::new(millis).unwrap();
            assert_eq!(at.utc_digits(), digits);
            assert_eq!(UnixMillis::from_utc_digits(digits), Some(at));
        }
        assert_eq!(UnixMillis::MAX.utc_digits(), "99991231235959999");
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in ["20230229000000000", "20231301000000000", "20230100000000000", "20230101240000000"] {
            assert_eq!(UnixMillis::from_utc_digits(text), None, "{text}");
        }
        assert_eq!(UnixMillis::from_utc_digits("2023010100000000"), None);
        assert_eq!(UnixMillis::from_utc_digits("2023010100000000x"), None);
        assert_eq!(UnixMillis::from_utc_digits("19691231235959999"), None);
    }

    #[test]
    fn rounding_is_half_up_on_both_sides_of_zero() {
        for (nanos, millis) in [(499_999, 0), (500_000, 1), (-500_000, 0), (-500_001, -1), (1_499_999, 1)] {
            assert_eq!(RoomTime::from_nanos(nanos).round_to_millis(), millis, "{nanos} ns");
        }
    }

    proptest! {
        #[test]
        fn utc_digits_round_trip(millis in 0..=UnixMillis::MAX.get()) {
            let at = UnixMillis::new(millis).unwrap();
            prop_assert_eq!(UnixMillis::from_utc_digits(&at.utc_digits()), Some(at));
        }

        #[test]
        fn ticks_survive_the_way_through_room_time(ticks in -(1i64 << 40)..(1i64 << 40), hz in 1u32..=192_000) {
            let scale = Timescale::new(hz).unwrap();
            let there = Timestamp::new(ticks, scale).to_room_time().unwrap();
            prop_assert_eq!(there.round_to_ticks(scale), ticks);
        }
    }
}
