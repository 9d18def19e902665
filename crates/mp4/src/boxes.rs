//! Walking boxes inside a buffer, without recursion.

use std::fmt;

/// The four-character code of a box or sample entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoxKind([u8; 4]);

impl BoxKind {
    /// From the four bytes as they stand in the file.
    #[must_use]
    pub const fn new(code: [u8; 4]) -> Self {
        Self(code)
    }

    /// The four bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }
}

/// The four characters, control and non-ASCII bytes escaped.
impl fmt::Display for BoxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for BoxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoxKind({self})")
    }
}

/// Bytes of the longest box header: size 1 and a 64-bit size after the kind.
pub(crate) const MAX_HEADER: usize = 16;

/// The header of a box, ISO/IEC 14496-12 §4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: BoxKind,
    /// Bytes of the header: 8 or 16.
    pub(crate) len: u64,
    /// Bytes of the whole box; `None` where it runs to the end of what holds it.
    pub(crate) size: Option<u64>,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Fewer bytes than a header has.
    Short,
    /// The box says that it is shorter than its own header.
    Size { kind: BoxKind, size: u64 },
}

impl Header {
    /// Reads the header at the start of `bytes`, of which only the first 16 are looked at.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (size, rest) = bytes.split_first_chunk().ok_or(HeaderError::Short)?;
        let (kind, rest) = rest.split_first_chunk().ok_or(HeaderError::Short)?;
        let kind = BoxKind(*kind);
        let (len, size) = match u32::from_be_bytes(*size) {
            0 => (8, None),
            1 => {
                let large = rest.first_chunk().ok_or(HeaderError::Short)?;
                (16, Some(u64::from_be_bytes(*large)))
            }
            size => (8, Some(u64::from(size))),
        };
        match size {
            Some(size) if size < len => Err(HeaderError::Size { kind, size }),
            _ => Ok(Self { kind, len, size }),
        }
    }
}

/// The boxes that lie one after the other in a buffer, as kind and body.
///
/// Ends at the first box that does not fit, or at fewer than 8 bytes left, which QuickTime files have as padding.
#[derive(Clone, Debug)]
pub(crate) struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The body of the first box of `kind`.
    pub(crate) fn find(self, kind: &[u8; 4]) -> Option<&'a [u8]> {
        self.into_iter().find_map(|(found, body)| (found.0 == *kind).then_some(body))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = (BoxKind, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let header = Header::parse(rest).ok()?;
        let size = match header.size {
            None => rest.len(),
            Some(size) => usize::try_from(size).ok().filter(|&size| size <= rest.len())?,
        };
        let (this, after) = rest.split_at(size);
        self.rest = after;
        Some((header.kind, this.get(usize::try_from(header.len).ok()?..)?))
    }
}

/// `decode` over the body of a full or plain box, with what it leaves unread ignored.
pub(crate) fn decode<T: mp4_atom::Atom>(mut body: &[u8]) -> Option<T> {
    T::decode_body(&mut body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_form_are_read_and_impossible_ones_refused() {
        let kind = BoxKind::new(*b"moov");
        let parse = |size: u32, large: u64| {
            let mut bytes = size.to_be_bytes().to_vec();
            bytes.extend_from_slice(b"moov");
            bytes.extend_from_slice(&large.to_be_bytes());
            Header::parse(&bytes)
        };
        assert_eq!(parse(0, 0), Ok(Header { kind, len: 8, size: None }));
        assert_eq!(parse(8, 0), Ok(Header { kind, len: 8, size: Some(8) }));
        assert_eq!(parse(1, 16), Ok(Header { kind, len: 16, size: Some(16) }));
        assert_eq!(parse(1, u64::MAX), Ok(Header { kind, len: 16, size: Some(u64::MAX) }));
        for size in 2..8 {
            assert_eq!(parse(size, 0), Err(HeaderError::Size { kind, size: u64::from(size) }));
        }
        assert_eq!(parse(1, 15), Err(HeaderError::Size { kind, size: 15 }));
        assert_eq!(Header::parse(&[0, 0, 0, 1, b'm', b'o', b'o', b'v', 0]), Err(HeaderError::Short));
        assert_eq!(Header::parse(&[]), Err(HeaderError::Short));
    }

    #[test]
    fn walking_ends_at_the_first_box_that_does_not_fit() {
        let mut bytes = b"\0\0\0\x09freeA\0\0\0\x08skip".to_vec();
        assert_eq!(Boxes::new(&bytes).count(), 2);
        assert_eq!(Boxes::new(&bytes).find(b"free"), Some(&b"A"[..]));
        bytes.extend_from_slice(b"\0\0\0\x20moov");
        assert_eq!(Boxes::new(&bytes).count(), 2);
        for size in 2u8..8 {
            assert_eq!(Boxes::new(&[0, 0, 0, size, b'm', b'o', b'o', b'v', 0, 0]).count(), 0);
        }
    }

    #[test]
    fn kinds_print_without_control_characters() {
        assert_eq!(BoxKind::new(*b"avc1").to_string(), "avc1");
        assert_eq!(BoxKind::new([b'a', 0, b'\n', 0xFF]).to_string(), "a\\x00\\n\\xff");
    }
}
