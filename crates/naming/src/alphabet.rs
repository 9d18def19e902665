use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `bytes` in the alphabet of file names: standard Base64 with padding, then `-` for `/` and `.` for `=`; `+` stays.
///
/// Empty for empty input. The result has no `_`, which separates the fields of a name, and no `/`. This is neither
/// the URL-safe alphabet of RFC 4648 §5 nor that of a `UserSig`. In a URL the `+` has to be written `%2B`.
///
/// ```
/// assert_eq!(recorder_naming::encode_field("subjects?".as_bytes()), "c3ViamVjdHM-");
/// ```
///
/// # Specification
/// `naming-and-playlists.md` section 2.
#[must_use]
pub fn encode_field(bytes: &[u8]) -> String {
    let mut text = STANDARD.encode(bytes);
    // Both replacements are ASCII for ASCII, one byte each.
    if text.contains(['/', '=']) {
        text = text.replace('/', "-").replace('=', ".");
    }
    text
}

/// The inverse of [`encode_field`]: takes exactly what that gives, so each sequence of bytes has one spelling.
///
/// # Errors
/// Says where the text leaves the alphabet, or that its padding or last bits are not those of an encoder.
///
/// # Specification
/// `naming-and-playlists.md` sections 1.5 and 2.
pub fn decode_field(text: &str) -> Result<Vec<u8>, InvalidField> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if let Some(at) = text.bytes().position(|b| !allowed(b)) {
        return Err(InvalidField::Byte { at });
    }
    STANDARD.decode(text.replace('-', "/").replace('.', "=")).map_err(|_| InvalidField::NotCanonical)
}

/// Why a text is no encoded field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidField {
    /// A byte outside the alphabet, for example `/` or `=` of plain Base64.
    #[error("an encoded field is made of A-Z a-z 0-9 + - and . as padding; byte {at} is not")]
    Byte {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Padding missing, misplaced or too long, or bits set in the last character that carry nothing.
    #[error("an encoded field is padded with . to a multiple of four, and its unused bits are zero")]
    NotCanonical,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `naming-and-playlists.md` section 2, texts.
    const TEXTS: [(&str, &str); 24] = [
        ("1686119", "MTY4NjExOQ.."),
        ("", ""),
        ("1", "MQ.."),
        ("12", "MTI."),
        ("123", "MTIz"),
        ("a", "YQ.."),
        ("ab", "YWI."),
        ("abc", "YWJj"),
        ("alice", "YWxpY2U."),
        ("bob", "Ym9i"),
        ("anchor1", "YW5jaG9yMQ.."),
        ("user1", "dXNlcjE."),
        ("user_1", "dXNlcl8x"),
        ("room_366", "cm9vbV8zNjY."),
        ("room-100", "cm9vbS0xMDA."),
        ("room/1", "cm9vbS8x"),
        ("a?", "YT8."),
        ("subjects?", "c3ViamVjdHM-"),
        ("???", "Pz8-"),
        (">>>", "Pj4+"),
        ("~~~", "fn5+"),
        ("张三", "5byg5LiJ"),
        ("ÿþ", "w7-Dvg.."),
        ("㍴", "4420"),
    ];

    #[test]
    fn the_table_holds_both_ways() {
        for (text, encoded) in TEXTS {
            assert_eq!(encode_field(text.as_bytes()), encoded, "{text}");
            assert_eq!(decode_field(encoded).as_deref(), Ok(text.as_bytes()), "{encoded}");
        }
        let bytes = [0xFB, 0xEF, 0xBE, 0xFF, 0xFF, 0xFF, 0x00];
        assert_eq!(encode_field(&bytes), "++++----AA..");
        assert_eq!(decode_field("++++----AA..").as_deref(), Ok(&bytes[..]));
    }

    #[test]
    fn only_the_spelling_of_the_encoder_is_read() {
        for (text, at) in [("Pz8/", 3), ("MQ==", 2), ("MQ_.", 2), ("MQ..\n", 4), ("ü", 0), ("a b.", 1)] {
            assert_eq!(decode_field(text), Err(InvalidField::Byte { at }), "{text:?}");
        }
        for text in ["MQ", "MQ.", "MQ...", "MR..", "M...", "....", ".", "MQ..MQ..", "MTJ.", "A"] {
            assert_eq!(decode_field(text), Err(InvalidField::NotCanonical), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip_inside_the_alphabet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = encode_field(&bytes);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)));
            prop_assert!(!text.starts_with('.'));
            prop_assert_eq!(decode_field(&text), Ok(bytes));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[A-Za-z0-9+.-]{0,12}") {
            if let Ok(bytes) = decode_field(&text) {
                prop_assert_eq!(encode_field(&bytes), text);
            }
        }
    }
}
