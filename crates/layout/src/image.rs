use std::fmt;
use std::str::FromStr;

/// Longest [`ImageUrl`], in bytes. Not published by the service; ample for an address without a query.
const MAX_BYTES: usize = 2048;

/// Address of a background or placeholder image, as the recording API takes it. Passed on, never fetched here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageUrl(Box<str>);

impl ImageUrl {
    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageUrl {
    type Err = InvalidImageUrl;

    /// Takes 1 to 2048 bytes of `a-z A-Z 0-9 - . _ ~ : / ? # [ ] @ ! & ( ) * + , % =` that end with `.jpg`, `.jpeg` or
    /// `.png` (either case). Whether it is an address that may be fetched is for the one who fetches.
    ///
    /// # Specification
    /// `trtc-api.md` section 6.1, image rules.
    fn from_str(s: &str) -> Result<Self, InvalidImageUrl> {
        if !(1..=MAX_BYTES).contains(&s.len()) {
            return Err(InvalidImageUrl::Length { len: s.len() });
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!&()*+,%=".contains(&b);
        if let Some(at) = s.bytes().position(|b| !allowed(b)) {
            return Err(InvalidImageUrl::Byte { at });
        }
        let lower = s.to_ascii_lowercase();
        if ![".jpg", ".jpeg", ".png"].iter().any(|ending| lower.ends_with(ending)) {
            return Err(InvalidImageUrl::Ending);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for ImageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`ImageUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidImageUrl {
    /// Empty or too long.
    #[error("an image URL has 1 to 2048 bytes, this one {len}")]
    Length {
        /// Bytes.
        len: usize,
    },
    /// A byte outside the alphabet.
    #[error("an image URL is made of A-Z a-z 0-9 - . _ ~ : / ? # [ ] @ ! & ( ) * + , % =; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Another format, or a query behind the format's ending.
    #[error("an image URL ends with .jpg, .jpeg or .png")]
    Ending,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_urls_follow_the_rules_of_the_api() {
        for good in [
            "https://a.example/b.png",
            "http://h/x.JPG",
            "https://h/?a=b&c=(1)*~.jpeg",
            "https://[::1]/%41.png",
        ] {
            assert_eq!(good.parse::<ImageUrl>().unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", InvalidImageUrl::Length { len: 0 }),
            (&format!("{}.png", "x".repeat(2045)), InvalidImageUrl::Length { len: 2049 }),
            ("https://h/a b.png", InvalidImageUrl::Byte { at: 11 }),
            ("https://h/\n.png", InvalidImageUrl::Byte { at: 10 }),
            ("https://h/$.png", InvalidImageUrl::Byte { at: 10 }),
            ("https://h/a.gif", InvalidImageUrl::Ending),
            ("https://h/a.png?x=1", InvalidImageUrl::Ending),
        ] {
            assert_eq!(bad.parse::<ImageUrl>(), Err(why), "{bad:?}");
        }
    }
}
