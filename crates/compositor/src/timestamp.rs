use recorder_types::{Size, UnixMillis};

use crate::geometry::Rect;

/// A whole number of hours that local time is before UTC, -12 to 14. Default 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeZone {
    hours: i8,
}

impl Default for TimeZone {
    fn default() -> Self {
        Self { hours: 8 }
    }
}

impl TimeZone {
    /// `None` outside -12 to 14; east of Greenwich is positive.
    #[must_use]
    pub const fn new(hours: i8) -> Option<Self> {
        if hours >= -12 && hours <= 14 { Some(Self { hours }) } else { None }
    }

    /// Before UTC.
    #[must_use]
    pub const fn hours(self) -> i8 {
        self.hours
    }

    /// `YYYY-MM-DD HH:MM:SS` of local time, seconds rounded down.
    ///
    /// Gregorian calendar without leap seconds; from 1969-12-31 12:00:00 on. The first hours of 10000, which a zone
    /// can reach, have five digits of year.
    ///
    /// ```
    /// # use recorder_compositor::TimeZone;
    /// # use recorder_types::UnixMillis;
    /// let at = UnixMillis::new(1_700_000_000_123).unwrap();
    /// assert_eq!(TimeZone::default().local_time(at), "2023-11-15 06:13:20");
    /// ```
    #[must_use]
    pub fn local_time(self, at: UnixMillis) -> String {
        let seconds =
            i64::try_from(at.seconds()).expect("at most the year 9999") + i64::from(self.hours) * 3600;
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Year, month and day of the day `days` after 1970-01-01.
///
/// Counts from 0000-03-01, so that the leap day is the last of its year; eras are of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // from March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Where a timestamp is (`Pos` of the recording API).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Position {
    /// 0.
    #[default]
    TopLeft,
    /// 1.
    TopRight,
    /// 2.
    BottomLeft,
    /// 3.
    BottomRight,
    /// 4.
    TopCentre,
    /// 5.
    BottomCentre,
    /// 6.
    Centre,
}

impl Position {
    /// The position with this number in the recording API, 0 to 6.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::TopLeft,
            1 => Self::TopRight,
            2 => Self::BottomLeft,
            3 => Self::BottomRight,
            4 => Self::TopCentre,
            5 => Self::BottomCentre,
            6 => Self::Centre,
            _ => return None,
        })
    }

    /// The number of the position in the recording API.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::TopLeft => 0,
            Self::TopRight => 1,
            Self::BottomLeft => 2,
            Self::BottomRight => 3,
            Self::TopCentre => 4,
            Self::BottomCentre => 5,
            Self::Centre => 6,
        }
    }

    /// A box of `size` on `canvas`, `margin` away from the borders that it is at, its left and top rounded down to
    /// even.
    ///
    /// Where there is no room for the margin, the box is as near to it as fits; one larger than the canvas starts
    /// at 0.
    #[must_use]
    pub fn place(self, size: Size, canvas: Size, margin: u32) -> Rect {
        let (low, middle, high) = (0u8, 1, 2);
        let (across, down) = match self {
            Self::TopLeft => (low, low),
            Self::TopRight => (high, low),
            Self::BottomLeft => (low, high),
            Self::BottomRight => (high, high),
            Self::TopCentre => (middle, low),
            Self::BottomCentre => (middle, high),
            Self::Centre => (middle, middle),
        };
        let along = |place: u8, side: u32, whole: u32| {
            let room = whole.saturating_sub(side);
            let at = match place {
                0 => margin.min(room),
                1 => room / 2,
                _ => room.saturating_sub(margin),
            };
            at / 2 * 2
        };
        let left = along(across, size.width(), canvas.width());
        let top = along(down, size.height(), canvas.height());
        // A box that starts after 0 ends inside the canvas, so this never falls back.
        Rect::new(left, top, size).unwrap_or(Rect::whole(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn local_time_is_right_around_the_edges_of_the_calendar() {
        // Second column and zone by Python's `datetime`.
        for (seconds, hours, text) in [
            (0u64, 0, "1970-01-01 00:00:00"),
            (0, -12, "1969-12-31 12:00:00"),
            (0, 14, "1970-01-01 14:00:00"),
            (43_199, -12, "1969-12-31 23:59:59"),
            (951_782_400, 0, "2000-02-29 00:00:00"),
            (951_868_799, 0, "2000-02-29 23:59:59"),
            (951_868_799, 1, "2000-03-01 00:59:59"),
            (4_107_542_399, 0, "2100-02-28 23:59:59"),
            (4_107_542_399, 8, "2100-03-01 07:59:59"),
            (1_709_164_800, -1, "2024-02-28 23:00:00"),
            (1_704_067_199, 0, "2023-12-31 23:59:59"),
            (1_704_067_199, 8, "2024-01-01 07:59:59"),
            (253_402_300_799, 0, "9999-12-31 23:59:59"),
        ] {
            let at = UnixMillis::new(seconds * 1000 + 999).unwrap();
            assert_eq!(TimeZone::new(hours).unwrap().local_time(at), text, "{seconds} {hours}");
        }
        assert_eq!((TimeZone::new(-13), TimeZone::new(15)), (None, None));
        assert_eq!(TimeZone::default().hours(), 8);
    }

    #[test]
    fn boxes_are_at_the_seven_places() {
        let size = |w, h| Size::new(w, h).unwrap();
        let places: Vec<_> = (0..7)
            .map(|code| Position::from_code(code).unwrap().place(size(101, 21), size(640, 360), 16))
            .map(|rect| (rect.left(), rect.top()))
            .collect();
        let expected = [(16, 16), (522, 16), (16, 322), (522, 322), (268, 16), (268, 322), (268, 168)];
        assert_eq!(places, expected);
        assert!((0..7).all(|code| Position::from_code(code).map(Position::code) == Some(code)));
        assert_eq!(Position::from_code(7), None);
        let tight = Position::BottomRight.place(size(100, 100), size(102, 90), 16);
        assert_eq!((tight.left(), tight.top()), (0, 0));
        let tight = Position::TopLeft.place(size(100, 80), size(106, 90), 16);
        assert_eq!((tight.left(), tight.top()), (6, 10));
    }

    proptest! {
        #[test]
        fn local_time_is_utc_moved(millis in 0..UnixMillis::MAX.get(), hours in -12i8..=14) {
            let at = UnixMillis::new(millis).unwrap();
            let moved = UnixMillis::new(millis.saturating_add_signed(i64::from(hours) * 3_600_000));
            if let Some(moved) = moved.filter(|moved| moved.get().abs_diff(millis) == u64::from(hours.unsigned_abs()) * 3_600_000) {
                let digits: String =
                    TimeZone::new(hours).unwrap().local_time(at).chars().filter(char::is_ascii_digit).collect();
                prop_assert_eq!(&digits, &moved.utc_digits()[..14]);
            }
        }
    }
}
