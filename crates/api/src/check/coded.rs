use std::ops::RangeInclusive;

/// An enumeration whose values are numbers on the wire, without gaps.
pub(super) trait Coded: Sized {
    /// The numbers.
    const CODES: RangeInclusive<i64>;
    /// `None` outside of them.
    fn from_code(code: i64) -> Option<Self>;
}

/// Makes an enumeration; the first value is the default where the API has one.
macro_rules! coded {
    ($($(#[$doc:meta])* $name:ident $min:literal ..= $max:literal {
        $($(#[$value_doc:meta])* $variant:ident = $code:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "i64", try_from = "i64")]
        pub enum $name { $($(#[$value_doc])* $variant,)* }

        impl $name {
            /// The value with this number.
            #[must_use]
            pub const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i64 {
                match self { $(Self::$variant => $code,)* }
            }
        }

        impl Coded for $name {
            const CODES: RangeInclusive<i64> = $min..=$max;

            fn from_code(code: i64) -> Option<Self> {
                Self::from_code(code)
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                value.code()
            }
        }

        impl TryFrom<i64> for $name {
            type Error = UnknownNumber;

            fn try_from(code: i64) -> Result<Self, UnknownNumber> {
                Self::from_code(code).ok_or(UnknownNumber)
            }
        }
    )*

        #[cfg(test)]
        mod coded_tests {
            use super::*;

            #[test]
            fn numbers_are_without_gaps_and_go_there_and_back() {
                $(for code in -3..=12 {
                    let value = $name::from_code(code);
                    assert_eq!(value.is_some(), $name::CODES.contains(&code), "{} {code}", stringify!($name));
                    assert!(value.is_none_or(|value| value.code() == code));
                    let json = serde_json::from_str::<$name>(&code.to_string()).ok();
                    assert_eq!(json, value);
                    assert!(value.is_none_or(|value| serde_json::to_string(&value).unwrap() == code.to_string()));
                })*
            }
        }
    };
}

/// A number that is none of an enumeration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the number is none of this enumeration")]
pub struct UnknownNumber;

coded! {
    /// Which kinds are recorded.
    StreamType 0..=2 {
        /// Audio and video. The default.
        AudioAndVideo = 0,
        /// Audio only.
        AudioOnly = 1,
        /// Video only.
        VideoOnly = 2,
    }

    /// Files of a recording to a bucket.
    OutputFormat 0..=4 {
        /// HLS. The default.
        Hls = 0,
        /// HLS and MP4.
        HlsAndMp4 = 1,
        /// HLS and AAC.
        HlsAndAac = 2,
        /// MP4.
        Mp4 = 3,
        /// AAC.
        Aac = 4,
    }

    /// Whether a user's audio and video share their files. Single-stream.
    AvMerge 0..=1 {
        /// Apart. The default.
        Separate = 0,
        /// Together.
        Merged = 1,
    }

    /// Which streams of a user are recorded.
    MediaSelection 0..=2 {
        /// Main and auxiliary. The default.
        Both = 0,
        /// Main.
        MainOnly = 1,
        /// Auxiliary.
        AuxOnly = 2,
    }

    /// What is shown while a user's video pauses.
    FillType 0..=1 {
        /// The last picture. The default.
        LastPicture = 0,
        /// Black.
        Black = 1,
    }

    /// Whether streams of mixing robots are recorded.
    SubscribeAbility 0..=1 {
        /// They are not. The default.
        WithoutMixed = 0,
        /// They are.
        WithMixed = 1,
    }

    /// Whose bucket.
    Vendor 0..=2 {
        /// Tencent Cloud COS.
        Cos = 0,
        /// S3, and what speaks its protocol.
        S3 = 1,
        /// Alibaba Cloud OSS: the number that the service's APIs for slicing and moderation have for it.
        Oss = 2,
    }

    /// Files of a recording to VOD.
    VodMediaType 0..=4 {
        /// MP4. The default.
        Mp4 = 0,
        /// HLS.
        Hls = 1,
        /// AAC.
        Aac = 2,
        /// HLS and MP4.
        HlsAndMp4 = 3,
        /// HLS and AAC.
        HlsAndAac = 4,
    }

    /// Sample rate of mixed sound.
    SampleRate 1..=3 {
        /// 48000 Hz. The default.
        Hz48000 = 1,
        /// 44100 Hz.
        Hz44100 = 2,
        /// 16000 Hz.
        Hz16000 = 3,
    }

    /// Where the clock is.
    WaterMarkPosition 0..=6 {
        /// Top left.
        TopLeft = 0,
        /// Top right.
        TopRight = 1,
        /// Bottom left.
        BottomLeft = 2,
        /// Bottom right.
        BottomRight = 3,
        /// Top centre.
        TopCentre = 4,
        /// Bottom centre.
        BottomCentre = 5,
        /// Centre.
        Centre = 6,
    }
}

impl SampleRate {
    /// In hertz.
    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz48000 => 48_000,
            Self::Hz44100 => 44_100,
            Self::Hz16000 => 16_000,
        }
    }
}
