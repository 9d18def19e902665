use std::fmt;

use recorder_callback::{InvalidCallbackKey, InvalidCallbackUrl};
use recorder_layout::{InvalidColour, InvalidImageUrl};
use recorder_naming::{InvalidKeyPrefix, InvalidUserDefineRecordId};
use recorder_types::{InvalidRoomId, InvalidUserId};

use crate::ErrorCode;

/// Where in a request something is: `MixLayoutParams.MixLayoutList.3.Alpha`. Empty for the request itself.
///
/// Names are the API's, or begin as those of the request: at most 64 characters of it, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Box<str>);

impl FieldPath {
    pub(crate) fn from_steps<'a>(steps: impl Iterator<Item = &'a str>) -> Self {
        const MOST: usize = 64;
        let mut path = String::new();
        for (index, step) in steps.enumerate() {
            if index > 0 {
                path.push('.');
            }
            path.extend(step.chars().take(MOST).flat_map(char::escape_debug));
            if step.chars().nth(MOST).is_some() {
                path.push('…');
            }
        }
        Self(path.into())
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn name(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the request" } else { &self.0 })
    }
}

/// Why a request cannot be done, with the code that the API gives for it. Who wrote the request has to change it.
///
/// It prints as `InvalidParameter.OutOfRange: MixTranscodeParams.VideoParams.Fps is 61, range 1..60`, and holds no text
/// of the request but names of members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {path} {problem}", self.code())]
pub struct RequestError {
    /// Where.
    pub path: FieldPath,
    /// What.
    pub problem: Problem,
}

impl RequestError {
    /// `Error.Code` of the answer.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match &self.problem {
            Problem::NotJson { .. }
            | Problem::NotForm
            | Problem::TooLarge { .. }
            | Problem::WrongType { .. } => ErrorCode::InvalidParameter,
            Problem::Unknown => ErrorCode::UnknownParameter,
            Problem::Repeated => ErrorCode::InvalidParameter,
            Problem::Missing => ErrorCode::missing(self.path.name()),
            Problem::NoApp { .. } => ErrorCode::InvalidParameterSdkAppId,
            Problem::OutOfRange { .. }
            | Problem::TooMany { .. }
            | Problem::Odd { .. }
            | Problem::Area { .. }
            | Problem::OutsideCanvas { .. }
            | Problem::Both { .. }
            | Problem::AudioOnly { .. } => ErrorCode::InvalidParameterOutOfRange,
            Problem::Text(_) => ErrorCode::InvalidParameterValue,
        }
    }

    /// `Error.Message` of the answer: what is printed, without the code.
    #[must_use]
    pub fn message(&self) -> String {
        format!("{} {}", self.path, self.problem)
    }
}

/// What is wrong with a member of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not JSON, or nested too deeply.
    #[error("is not JSON: line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Not `name=value` pairs joined with `&`, percent-encoded UTF-8.
    #[error("is not form-encoded")]
    NotForm,
    /// More bytes than are read.
    #[error("has {got} bytes, at most {max}")]
    TooLarge {
        /// Bytes.
        got: usize,
        /// Limit.
        max: usize,
    },
    /// Another type of JSON.
    #[error("is not {expected}")]
    WrongType {
        /// What it should be.
        expected: Expected,
    },
    /// No member of this name is known here.
    #[error("is not recognized")]
    Unknown,
    /// The same name twice.
    #[error("is given twice")]
    Repeated,
    /// Required and absent.
    #[error("is missing")]
    Missing,
    /// A number outside its range.
    #[error("is {got}, range {min}..{max}")]
    OutOfRange {
        /// As given.
        got: i64,
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number that is no application's, where that has a code of its own.
    #[error("is {got}, range {min}..{max}")]
    NoApp {
        /// As given.
        got: i64,
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Too long a list.
    #[error("has {got} entries, at most {max}")]
    TooMany {
        /// As given.
        got: usize,
        /// Limit.
        max: usize,
    },
    /// A canvas side that planar 4:2:0 cannot draw.
    #[error("is {got}, canvas sides are even")]
    Odd {
        /// As given.
        got: i64,
    },
    /// Width times height.
    #[error("has {got} pixels, at most {max}")]
    Area {
        /// As given.
        got: i64,
        /// Limit.
        max: i64,
    },
    /// A window or watermark that reaches over the canvas.
    #[error("reaches to {right},{bottom}, outside the canvas {width}x{height}")]
    OutsideCanvas {
        /// `Left` plus `Width`.
        right: u32,
        /// `Top` plus `Height`.
        bottom: u32,
        /// Of the canvas.
        width: u32,
        /// Of the canvas.
        height: u32,
    },
    /// Two members that exclude each other.
    #[error("is set together with {other}")]
    Both {
        /// The other one.
        other: &'static str,
    },
    /// A format without video for a recording that has it.
    #[error("is {got}, which is for StreamType 1 only")]
    AudioOnly {
        /// As given.
        got: i64,
    },
    /// A text that breaks a rule.
    #[error("breaks a rule: {0}")]
    Text(TextRule),
}

/// Which type a member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// A number without fraction, of 64 bits.
    #[error("an integer")]
    Integer,
    /// A number without fraction, not negative, of 64 bits.
    #[error("a non-negative integer")]
    NonNegative,
    /// Text.
    #[error("a string")]
    Text,
    /// `true` or `false`.
    #[error("a boolean")]
    Boolean,
    /// An array.
    #[error("a list")]
    List,
    /// Members with names.
    #[error("an object")]
    Object,
    /// Nothing that a request has.
    #[error("a value of the API")]
    Other,
}

/// Which rule a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextRule {
    /// `RoomId`.
    #[error(transparent)]
    RoomId(#[from] InvalidRoomId),
    /// `UserId` and entries of lists.
    #[error(transparent)]
    UserId(#[from] InvalidUserId),
    /// `FileNamePrefix`.
    #[error(transparent)]
    KeyPrefix(#[from] InvalidKeyPrefix),
    /// `UserDefineRecordId`.
    #[error(transparent)]
    UserDefineRecordId(#[from] InvalidUserDefineRecordId),
    /// Colours.
    #[error(transparent)]
    Colour(#[from] InvalidColour),
    /// Addresses of images.
    #[error(transparent)]
    ImageUrl(#[from] InvalidImageUrl),
    /// `CallbackUrl`.
    #[error(transparent)]
    CallbackUrl(#[from] InvalidCallbackUrl),
    /// `CallbackKey`.
    #[error(transparent)]
    CallbackKey(#[from] InvalidCallbackKey),
    /// `Font`.
    #[error("a font is Tencent or SourceHanSans")]
    Font,
    /// `EndpointUrl`.
    #[error("an endpoint is a host with an optional port, of a-z A-Z 0-9 . - _ :, without a scheme")]
    Endpoint,
    /// `Region` and `Bucket` where they become part of a host's name.
    #[error("part of a host's name, of a-z A-Z 0-9 - _")]
    HostPart,
    /// Other texts have a length.
    #[error("at most {max} bytes, this one has {len}")]
    TooLong {
        /// Bytes.
        len: usize,
        /// Limit.
        max: usize,
    },
    /// Other texts have no control characters.
    #[error("no control characters")]
    Control,
}
