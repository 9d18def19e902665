use std::collections::HashMap;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, UnitDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::{Expected, FieldPath, Problem, RequestError};
use crate::tree::Tree;

/// The typed form of `tree`; members without a type in `T` are refused.
pub(crate) fn read<T: DeserializeOwned>(tree: &Tree) -> Result<T, RequestError> {
    T::deserialize(Reader(tree)).map_err(|error| RequestError {
        path: FieldPath::from_steps(error.steps.iter().rev().map(AsRef::as_ref)),
        problem: error.problem,
    })
}

/// Where, from the inside out, and what.
#[derive(Debug)]
struct ReadError {
    steps: Vec<Box<str>>,
    problem: Problem,
}

impl ReadError {
    fn new(problem: Problem) -> Self {
        Self { steps: Vec::new(), problem }
    }

    fn wrong(expected: Expected) -> Self {
        Self::new(Problem::WrongType { expected })
    }

    fn below(mut self, step: &str) -> Self {
        self.steps.push(step.into());
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    /// What the types of requests say themselves; the text can hold what was sent and is left out.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::wrong(Expected::Other)
    }
}

/// Reads with the type that is asked for, and with no other.
#[derive(Clone, Copy)]
struct Reader<'de>(&'de Tree);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::wrong(Expected::Other))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Tree::Boolean(value) => visitor.visit_bool(*value),
            Tree::FormText(text) => match text.as_str() {
                "true" | "True" => visitor.visit_bool(true), // Python writes it with a capital
                "false" | "False" => visitor.visit_bool(false),
                _ => Err(ReadError::wrong(Expected::Boolean)),
            },
            _ => Err(ReadError::wrong(Expected::Boolean)),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let wrong = || ReadError::wrong(Expected::Integer);
        match self.0 {
            Tree::Integer(value) => visitor.visit_i64(*value),
            Tree::FormText(text) => visitor.visit_i64(text.parse().map_err(|_| wrong())?),
            _ => Err(wrong()),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let wrong = || ReadError::wrong(Expected::NonNegative);
        let value = match self.0 {
            Tree::Integer(value) => u64::try_from(*value).map_err(|_| wrong())?,
            Tree::FormText(text) => text.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        visitor.visit_u64(value)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Tree::Text(text) | Tree::FormText(text) => visitor.visit_str(text),
            _ => Err(ReadError::wrong(Expected::Text)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let wrong = || ReadError::wrong(Expected::List);
        let items: Vec<&Tree> = match self.0 {
            Tree::List(items) => items.iter().collect(),
            Tree::FormObject(members) => {
                let by_name: HashMap<&str, &Tree> =
                    members.iter().map(|(name, tree)| (&**name, tree)).collect();
                let numbered =
                    (0..members.len()).map(|index| by_name.get(index.to_string().as_str()).copied());
                numbered.collect::<Option<_>>().ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        visitor.visit_seq(Items { items: items.into_iter().enumerate() })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let (Tree::Object(members) | Tree::FormObject(members)) = self.0 else {
            return Err(ReadError::wrong(Expected::Object));
        };
        if let Some((unknown, _)) = members.iter().find(|(name, _)| !fields.contains(&&**name)) {
            return Err(ReadError::new(Problem::Unknown).below(unknown));
        }
        visitor.visit_map(Members { members: members.iter(), value: None })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map enum
        identifier ignored_any
    }
}

struct Items<'de, I: Iterator<Item = (usize, &'de Tree)>> {
    items: I,
}

impl<'de, I: Iterator<Item = (usize, &'de Tree)>> SeqAccess<'de> for Items<'de, I> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some((index, tree)) = self.items.next() else { return Ok(None) };
        seed.deserialize(Reader(tree)).map(Some).map_err(|error| error.below(&index.to_string()))
    }
}

struct Members<'de> {
    members: std::slice::Iter<'de, (Box<str>, Tree)>,
    value: Option<&'de (Box<str>, Tree)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.value = self.members.next();
        self.value.map(|(name, _)| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some((name, tree)) => seed.deserialize(Reader(tree)).map_err(|error| error.below(name)),
            None => seed.deserialize(UnitDeserializer::new()),
        }
    }
}
