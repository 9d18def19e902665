use std::ops::RangeInclusive;

use super::coded::Coded;
use crate::Secret;
use crate::error::{FieldPath, Problem, RequestError, TextRule};

/// Where a check is in the request. Made on the stack; becomes a path only for an error.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Name(&'static str),
    Index(usize),
}

impl At<'static> {
    pub(super) const ROOT: Self = Self { parent: None, step: Step::Root };
}

impl<'a> At<'a> {
    pub(super) const fn member(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    pub(super) fn error(&self, problem: Problem) -> RequestError {
        let mut steps: Vec<String> = Vec::new();
        let mut at = Some(self);
        while let Some(here) = at {
            match here.step {
                Step::Root => {}
                Step::Name(name) => steps.push(name.to_owned()),
                Step::Index(index) => steps.push(index.to_string()),
            }
            at = here.parent;
        }
        RequestError { path: FieldPath::from_steps(steps.iter().rev().map(String::as_str)), problem }
    }

    pub(super) fn rule(&self, rule: impl Into<TextRule>) -> RequestError {
        self.error(Problem::Text(rule.into()))
    }

    /// A member that has to be there.
    pub(super) fn required<T>(&self, name: &'static str, value: Option<T>) -> Result<T, RequestError> {
        value.ok_or_else(|| self.member(name).error(Problem::Missing))
    }

    /// A number in `range`; where it is absent, `default`.
    pub(super) fn integer(
        &self,
        name: &'static str,
        value: Option<i64>,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, RequestError> {
        let got = value.unwrap_or(default);
        if range.contains(&got) {
            return Ok(got);
        }
        Err(self.member(name).error(Problem::OutOfRange { got, min: *range.start(), max: *range.end() }))
    }

    /// As [`Self::integer`], for a type that holds all of `range`.
    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        name: &'static str,
        value: Option<i64>,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<T, RequestError> {
        let max = *range.end();
        let got = self.integer(name, value, default, range.clone())?;
        T::try_from(got).map_err(|_| {
            // Only if a caller names a range that its type has not.
            self.member(name).error(Problem::OutOfRange { got, min: *range.start(), max })
        })
    }

    /// A number that has to be there.
    pub(super) fn required_number<T: TryFrom<i64>>(
        &self,
        name: &'static str,
        value: Option<i64>,
        range: RangeInclusive<i64>,
    ) -> Result<T, RequestError> {
        let value = self.required(name, value)?;
        self.number(name, Some(value), value, range)
    }

    /// A value of an enumeration; where it is absent, its default.
    pub(super) fn code<T: Coded>(
        &self,
        name: &'static str,
        value: Option<i64>,
    ) -> Result<Option<T>, RequestError> {
        let Some(got) = value else { return Ok(None) };
        let known = T::from_code(got);
        known.map(Some).ok_or_else(|| {
            self.member(name).error(Problem::OutOfRange { got, min: *T::CODES.start(), max: *T::CODES.end() })
        })
    }

    /// At most so many.
    pub(super) fn list<T>(&self, list: &[T], max: usize) -> Result<(), RequestError> {
        if list.len() > max { Err(self.error(Problem::TooMany { got: list.len(), max })) } else { Ok(()) }
    }

    /// A text without control characters, of at most `max` bytes; `None` where it is absent or empty.
    pub(super) fn text(
        &self,
        name: &'static str,
        value: Option<String>,
        max: usize,
    ) -> Result<Option<String>, RequestError> {
        let Some(text) = given(value) else { return Ok(None) };
        check_text(&text, max).map_err(|rule| self.member(name).rule(rule))?;
        Ok(Some(text))
    }

    /// As [`Self::text`].
    pub(super) fn secret(
        &self,
        name: &'static str,
        value: Option<Secret>,
        max: usize,
    ) -> Result<Option<Secret>, RequestError> {
        let Some(secret) = value.filter(|secret| !secret.is_empty()) else { return Ok(None) };
        check_text(secret.expose(), max).map_err(|rule| self.member(name).rule(rule))?;
        Ok(Some(secret))
    }

    /// A text of a type with rules of its own; `None` where it is absent or empty.
    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        name: &'static str,
        value: Option<String>,
    ) -> Result<Option<T>, RequestError>
    where
        TextRule: From<T::Err>,
    {
        let Some(text) = given(value) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| self.member(name).rule(TextRule::from(error)))
    }
}

/// Clients write the empty string for what they do not set.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn check_text(text: &str, max: usize) -> Result<(), TextRule> {
    if text.len() > max {
        return Err(TextRule::TooLong { len: text.len(), max });
    }
    if text.chars().any(char::is_control) { Err(TextRule::Control) } else { Ok(()) }
}
