use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::error::Problem;

/// A request as it was read, before its members have types. Texts are cleared when they go.
///
/// A tree of its own and not `serde_json::Value`: that one leaves keys in memory, keeps the last of two members of one
/// name, and does not know form-encoded requests, whose numbers are texts.
pub(crate) enum Tree {
    Null,
    Boolean(bool),
    Integer(i64),
    /// With a fraction, or of more than 64 bits.
    OtherNumber,
    Text(Zeroizing<String>),
    List(Vec<Tree>),
    /// No two members have one name.
    Object(Vec<(Box<str>, Tree)>),
    /// Of a form: a text, or a number or boolean where one is asked for.
    FormText(Zeroizing<String>),
    /// Of a form: an object, or a list where one is asked for and the names are 0, 1, 2 ... in any order.
    FormObject(Vec<(Box<str>, Tree)>),
}

/// What reading fails with: a member that is given twice can only be told from other trouble by a flag of its own.
const REPEATED: &str = "\u{1}repeated\u{1}";

/// One JSON text, without more than white space behind it.
pub(crate) fn from_json(body: &[u8]) -> Result<Tree, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() && error.to_string().starts_with(REPEATED) {
            Problem::Repeated
        } else {
            Problem::NotJson { line: error.line(), column: error.column() }
        }
    })
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::OtherNumber, Tree::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::OtherNumber)
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new(); // grows with what was read, not with what is announced
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members: Vec<(Box<str>, Tree)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<Box<str>>()? {
            if !names.insert(name.clone()) {
                return Err(serde::de::Error::custom(REPEATED));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_told_from_bad_json() {
        assert!(matches!(from_json(br#"{"a":1,"b":{"x":1,"x":2}}"#), Err(Problem::Repeated)));
        assert!(matches!(from_json(br#"{"a":1,"#), Err(Problem::NotJson { line: 1, .. })));
        assert!(matches!(from_json(b"{} {}"), Err(Problem::NotJson { .. })));
        assert!(matches!(from_json("[".repeat(10_000).as_bytes()), Err(Problem::NotJson { .. })));
        assert!(matches!(from_json(b"\xff"), Err(Problem::NotJson { .. })));
        assert!(matches!(from_json(b"1e400"), Err(Problem::NotJson { .. }))); // no number of this size
        assert!(matches!(from_json(b"18446744073709551615"), Ok(Tree::OtherNumber)));
    }
}
