/// Which work a mix leaves out, because there is no time for all of it. Each step leaves out what the one before does,
/// and more.
///
/// The times of what is left do not change, sound is whole, and so is every source: only fewer pictures of them are
/// seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shedding {
    /// None.
    #[default]
    Nothing,
    /// Each window has a new picture with every second picture of the mix only, half of them with each.
    Tiles,
    /// Every second picture of the mix is left out.
    HalfRate,
    /// Three of four pictures of the mix are left out.
    QuarterRate,
}

impl Shedding {
    /// The next step; the last has none.
    #[must_use]
    pub const fn more(self) -> Option<Self> {
        match self {
            Self::Nothing => Some(Self::Tiles),
            Self::Tiles => Some(Self::HalfRate),
            Self::HalfRate => Some(Self::QuarterRate),
            Self::QuarterRate => None,
        }
    }

    /// The step before; the first has none.
    #[must_use]
    pub const fn less(self) -> Option<Self> {
        match self {
            Self::Nothing => None,
            Self::Tiles => Some(Self::Nothing),
            Self::HalfRate => Some(Self::Tiles),
            Self::QuarterRate => Some(Self::HalfRate),
        }
    }

    /// One of so many pictures is made.
    pub(crate) const fn step(self) -> i64 {
        match self {
            Self::Nothing | Self::Tiles => 1,
            Self::HalfRate => 2,
            Self::QuarterRate => 4,
        }
    }

    /// Whether the window at `index` keeps its picture in the picture `number` of those that are made.
    pub(crate) fn holds(self, index: usize, number: i64) -> bool {
        let turn = i64::try_from(index % 2).unwrap_or(0);
        self >= Self::Tiles && (number / self.step() + turn) % 2 == 1
    }
}
