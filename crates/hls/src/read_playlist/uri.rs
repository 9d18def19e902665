//! URIs of segments.

use std::fmt;

/// The URI line of a segment, without the white space around it. Not resolved and not decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentUri(pub(super) Box<str>);

impl SegmentUri {
    /// The URI as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a file in the playlist's own folder: no scheme, path, drive, query, fragment or
    /// percent-encoding (which could hide any of them), and not `.` or `..`. Only such a URI may be opened as a file
    /// name.
    #[must_use]
    pub fn is_local_name(&self) -> bool {
        let special = |c: char| matches!(c, '/' | '\\' | ':' | '?' | '#' | '%') || c.is_control();
        !matches!(&*self.0, "" | "." | "..") && !self.0.contains(special)
    }
}

impl fmt::Display for SegmentUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_the_folder_are_local() {
        for (uri, local) in [
            ("1400123456_12345__UserId_s_MTY4NjExOQ..__UserId_e_main_video_20330531094551825.ts", true),
            ("a b.ts", true),
            ("..ts", true),
            ("..", false),
            (".", false),
            ("../a.ts", false),
            ("/a.ts", false),
            ("//host/a.ts", false),
            ("http://host/a.ts", false),
            ("file:a.ts", false),
            ("C:a.ts", false),
            ("a\\b.ts", false),
            ("a.ts?token=1", false),
            ("a%2Fb.ts", false),
            ("%2e%2e", false),
        ] {
            assert_eq!(SegmentUri(uri.into()).is_local_name(), local, "{uri}");
        }
    }
}
