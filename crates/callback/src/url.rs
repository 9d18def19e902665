use std::fmt;
use std::str::FromStr;

/// Where callbacks go: `http://` or `https://`, a host, and at most 2083 of `a-z A-Z 0-9 - _ ? % = # . / + :`.
///
/// The alphabet leaves no room for a user name, an IPv6 literal or a second line. `Debug` shows scheme and host only:
/// paths and queries of such addresses often hold secrets.
///
/// # Specification
/// `callbacks.md` section 1.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CallbackUrl(Box<str>);

impl CallbackUrl {
    /// Longest address, in characters.
    pub const MAX_CHARS: usize = 2083;

    /// The whole address. Not for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: what may be shown.
    #[must_use]
    pub fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
        end.and_then(|end| self.0.get(..host + end)).unwrap_or(&self.0)
    }
}

impl FromStr for CallbackUrl {
    type Err = InvalidCallbackUrl;

    fn from_str(s: &str) -> Result<Self, InvalidCallbackUrl> {
        let rest = s.strip_prefix("https://").or_else(|| s.strip_prefix("http://"));
        let rest = rest.ok_or(InvalidCallbackUrl::Scheme)?;
        if s.len() > Self::MAX_CHARS {
            return Err(InvalidCallbackUrl::TooLong { len: s.len() });
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_?%=#./+:".contains(&b);
        if let Some(at) = s.bytes().position(|b| !allowed(b)) {
            return Err(InvalidCallbackUrl::Byte { at });
        }
        if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
            return Err(InvalidCallbackUrl::NoHost);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({}/[redacted])", self.origin())
    }
}

/// Why a text is no [`CallbackUrl`]. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCallbackUrl {
    /// Another scheme, or one in capitals.
    #[error("a callback URL starts with http:// or https://")]
    Scheme,
    /// Over 2083 characters.
    #[error("a callback URL has at most 2083 characters, this one {len}")]
    TooLong {
        /// Bytes.
        len: usize,
    },
    /// A character outside the alphabet: also `&`, `@`, `[` and every space.
    #[error("a callback URL is made of a-z A-Z 0-9 - _ ? % = # . / + :; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Nothing between the scheme and the path.
    #[error("a callback URL has a host")]
    NoHost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_an_address() {
        let table = [
            ("", InvalidCallbackUrl::Scheme),
            ("ftp://h/", InvalidCallbackUrl::Scheme),
            ("HTTP://h/", InvalidCallbackUrl::Scheme),
            ("http:/h", InvalidCallbackUrl::Scheme),
            ("//h", InvalidCallbackUrl::Scheme),
            ("file:///etc/passwd", InvalidCallbackUrl::Scheme),
            ("http://", InvalidCallbackUrl::NoHost),
            ("http:///path", InvalidCallbackUrl::NoHost),
            ("https://:80/", InvalidCallbackUrl::NoHost),
            ("https://?q", InvalidCallbackUrl::NoHost),
            ("http://u@h/", InvalidCallbackUrl::Byte { at: 8 }),
            ("http://h/a b", InvalidCallbackUrl::Byte { at: 10 }),
            ("http://h/?a=1&b=2", InvalidCallbackUrl::Byte { at: 13 }),
            ("http://h/\r\nX: y", InvalidCallbackUrl::Byte { at: 9 }),
            ("http://[::1]/", InvalidCallbackUrl::Byte { at: 7 }),
            ("http://h\\x/", InvalidCallbackUrl::Byte { at: 8 }),
            ("http://hü/", InvalidCallbackUrl::Byte { at: 8 }),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<CallbackUrl>(), Err(error), "{text:?}");
        }
        let longest = format!("http://h/{}", "x".repeat(2083 - 9));
        assert_eq!(longest.parse::<CallbackUrl>().unwrap().as_str(), longest);
        let over = format!("{longest}x").parse::<CallbackUrl>();
        assert_eq!(over, Err(InvalidCallbackUrl::TooLong { len: 2084 }));
        for good in ["http://h", "https://a-b.example:8443/p_q/r.s?t=%20+u#v", "http://127.0.0.1:80/"] {
            assert!(good.parse::<CallbackUrl>().is_ok(), "{good}");
        }
    }

    #[test]
    fn only_the_origin_is_shown() {
        for (text, origin) in [
            ("https://h.example:8443/s3cret/x?token=s3cret#s3cret", "https://h.example:8443"),
            ("http://h?s3cret", "http://h"),
            ("http://h#s3cret", "http://h"),
            ("http://h", "http://h"),
        ] {
            let url: CallbackUrl = text.parse().unwrap();
            assert_eq!(url.origin(), origin);
            assert!(!format!("{url:?}").contains("s3cret"));
        }
    }
}
