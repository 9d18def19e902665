use recorder_types::Size;
use serde::{Deserialize, Serialize};

/// What is merged, and how. The defaults are the script's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MergeOptions {
    /// One file for each section, or one for each user (`-m`).
    pub mode: MergeMode,
    /// Whether the time between sections is kept (`-s`). Only for [`MergeMode::Users`].
    pub section_gaps: SectionGaps,
    /// Which video goes with the sound (`-a`).
    pub aux: AuxUse,
    /// Pictures a second of the output (`-p`); `None`: those of the recording.
    pub frame_rate: Option<FrameRate>,
    /// Width and height of the output (`-r`); `None`: the largest width and the largest height of the segments.
    pub size: Option<(u32, u32)>,
    /// What is seen while there is no video (`-b`).
    pub blanks: Blanks,
    /// Whether media is copied or encoded anew.
    pub copy: CopyMode,
}

/// `-m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeMode {
    /// 0: a file for each section of each user.
    #[default]
    Sections,
    /// 1: a file for each user.
    Users,
}

/// `-s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SectionGaps {
    /// The wall clock is kept.
    #[default]
    Keep,
    /// Each section begins where the one before ended.
    Remove,
}

/// `-a`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuxUse {
    /// 0: sound with the primary video.
    #[default]
    MainOnly,
    /// 1: primary video, and the substream where there is none for more than 15 s.
    Automatic,
    /// 2: sound with the substream.
    AuxOnly,
}

/// `-b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blanks {
    /// The last picture stays.
    #[default]
    Freeze,
    /// Black.
    Black,
}

/// Whether media is copied as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyMode {
    /// Where nothing asks for new pixels.
    #[default]
    Auto,
    /// Never: everything is encoded anew.
    Never,
    /// Always: what cannot be copied is an error.
    Always,
}

/// Whole pictures a second, 5 to 120.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct FrameRate(u8);

impl FrameRate {
    /// `fps` held between 5 and 120, as the script does.
    ///
    /// # Errors
    /// [`InvalidOption::FrameRate`] for 0 and below.
    pub fn clamped(fps: i64) -> Result<Self, InvalidOption> {
        if fps <= 0 {
            return Err(InvalidOption::FrameRate { fps });
        }
        Ok(Self(u8::try_from(fps.clamp(5, 120)).expect("5 to 120 fits 8 bits")))
    }

    /// Pictures a second.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for FrameRate {
    type Error = InvalidOption;

    fn try_from(fps: i64) -> Result<Self, InvalidOption> {
        Self::clamped(fps)
    }
}

impl From<FrameRate> for i64 {
    fn from(rate: FrameRate) -> Self {
        rate.0.into()
    }
}

impl MergeOptions {
    /// Sets the output size; `0 0` stands for the largest of the recording.
    ///
    /// # Errors
    /// [`InvalidOption::Size`] for a negative side, one zero, an odd side or one above 4096.
    pub fn with_size(mut self, width: i64, height: i64) -> Result<Self, InvalidOption> {
        if (width, height) == (0, 0) {
            self.size = None;
            return Ok(self);
        }
        let side =
            |side: i64| u32::try_from(side).ok().filter(|side| (2..=4096).contains(side) && side % 2 == 0);
        match (side(width), side(height)) {
            (Some(width), Some(height)) => {
                self.size = Some((width, height));
                Ok(self)
            }
            _ => Err(InvalidOption::Size { width, height }),
        }
    }

    pub(crate) fn requested_size(&self) -> Option<Size> {
        self.size.and_then(|(width, height)| Size::new(width, height))
    }
}

/// A value that the caller has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// `-p` of 0 or less.
    #[error("frame rate {fps} is not above 0")]
    FrameRate {
        /// As given.
        fps: i64,
    },
    /// `-r`.
    #[error("size {width} {height} is not two even numbers from 2 to 4096, or 0 0")]
    Size {
        /// As given.
        width: i64,
        /// As given.
        height: i64,
    },
}
