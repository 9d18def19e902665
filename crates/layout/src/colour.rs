use std::fmt;
use std::str::FromStr;

/// A colour, gamma-coded, 0 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rgb {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

impl Rgb {
    /// No light.
    pub const BLACK: Self = Self::new(0, 0, 0);

    /// From its three parts.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }
}

impl FromStr for Rgb {
    type Err = InvalidColour;

    /// `#RRGGBB`, digits of either case (`BackGroundColor` of the recording API).
    fn from_str(s: &str) -> Result<Self, InvalidColour> {
        let digits = s.strip_prefix('#').ok_or(InvalidColour)?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidColour);
        }
        let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| InvalidColour);
        Ok(Self::new(part(0)?, part(2)?, part(4)?))
    }
}

/// `#RRGGBB` in upper case.
impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02X}{:02X}{:02X}", self.red, self.green, self.blue)
    }
}

/// A text that is no [`Rgb`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written #RRGGBB")]
pub struct InvalidColour;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_one_spelling_but_for_the_case_of_digits() {
        assert_eq!("#FFA500".parse(), Ok(Rgb::new(255, 165, 0)));
        assert_eq!("#ffa500".parse::<Rgb>().unwrap().to_string(), "#FFA500");
        for bad in
            ["", "#", "FFA500", "#FFA50", "#FFA5000", "#+FA500", "#GGGGGG", "# FA500", "#é1234", "0xFFA500"]
        {
            assert_eq!(bad.parse::<Rgb>(), Err(InvalidColour), "{bad:?}");
        }
    }
}
