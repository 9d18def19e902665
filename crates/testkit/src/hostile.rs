//! Timelines as no source should send them, the same for the same seed.

/// A generator of numbers: SplitMix64. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// All that follows depends on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 for 0. Small ends are near enough to even.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }
}

/// What is wrong with a step of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Back by up to ten steps; the next goes on where the line was.
    Backwards,
    /// The same instant as the one before.
    Equal,
    /// The sample before it comes again: same index, same instant.
    Duplicate,
    /// Forward by an hour, for good.
    JumpHour,
    /// Forward by ten years of 365 days, for good.
    JumpDecade,
    /// Back by an hour, for good: the source began anew.
    Restart,
    /// Up to 50 samples before this one are missing; time has gone on.
    Drop,
    /// Straight before the 33-bit wrap of 90 kHz times, for good: the next steps cross it.
    NearWrap33,
    /// Straight before the 32-bit wrap of RTP times, for good.
    NearWrap32,
}

impl Trouble {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Backwards,
        Self::Equal,
        Self::Duplicate,
        Self::JumpHour,
        Self::JumpDecade,
        Self::Restart,
        Self::Drop,
        Self::NearWrap33,
        Self::NearWrap32,
    ];
}

/// One sample of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which sample it is: rises by one, but for what was dropped or comes again.
    pub index: u64,
    /// Its instant in ticks, unwrapped. May be negative.
    pub ticks: i64,
    /// What was done to it.
    pub trouble: Option<Trouble>,
}

impl Step {
    /// The instant as a 33-bit PTS.
    #[must_use]
    pub const fn pts33(self) -> u64 {
        self.ticks.rem_euclid(1 << 33).unsigned_abs()
    }

    /// The instant as a 32-bit RTP time.
    #[must_use]
    pub fn rtp(self) -> u32 {
        u32::try_from(self.ticks.rem_euclid(1 << 32)).expect("below 2^32")
    }
}

/// `count` steps of a source with `rate` ticks a second and a sample every `step` ticks. About one in `every` steps has
/// a [`Trouble`] of `kinds`; `every` 0 or no kinds give a good line.
#[must_use]
pub fn timeline(seed: u64, count: usize, rate: u32, step: u32, every: u64, kinds: &[Trouble]) -> Vec<Step> {
    let mut random = Random::new(seed);
    let (rate, step) = (i64::from(rate), i64::from(step));
    let small = |random: &mut Random, end: u64| i64::try_from(random.below(end)).expect("small");
    let mut steps = Vec::<Step>::with_capacity(count);
    let (mut index, mut line) = (0u64, 0i64);
    while steps.len() < count {
        let is_hit = every > 0 && !kinds.is_empty() && random.below(every) == 0 && !steps.is_empty();
        let kind = usize::try_from(random.below(u64::try_from(kinds.len()).expect("few"))).expect("few");
        let trouble = is_hit.then(|| kinds[kind]);
        let mut ticks = line;
        match trouble {
            None => {}
            Some(Trouble::Backwards) => ticks -= step * (1 + small(&mut random, 10)),
            Some(Trouble::Equal) => ticks = steps[steps.len() - 1].ticks,
            Some(Trouble::Duplicate) => {
                let before = steps[steps.len() - 1];
                steps.push(Step { trouble, ..before });
                continue;
            }
            Some(Trouble::JumpHour) => line += 3_600 * rate,
            Some(Trouble::JumpDecade) => line += 3_650 * 86_400 * rate,
            Some(Trouble::Restart) => line -= 3_600 * rate,
            Some(Trouble::Drop) => {
                let missing = 1 + random.below(50);
                index += missing;
                line += step * i64::try_from(missing).expect("small");
            }
            Some(Trouble::NearWrap33) => line = before_wrap(line, 1 << 33, step),
            Some(Trouble::NearWrap32) => line = before_wrap(line, 1 << 32, step),
        }
        if !matches!(trouble, Some(Trouble::Backwards | Trouble::Equal)) {
            ticks = line;
        }
        steps.push(Step { index, ticks, trouble });
        index += 1;
        line += step;
    }
    steps
}

/// Three steps before the next multiple of `wrap` after `line`.
const fn before_wrap(line: i64, wrap: i64, step: i64) -> i64 {
    (line.div_euclid(wrap) + 1) * wrap - 3 * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_line() {
        let make = |seed| timeline(seed, 500, 90_000, 3_000, 10, &Trouble::ALL);
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn without_trouble_it_is_a_good_line() {
        for (index, step) in timeline(1, 100, 90_000, 3_000, 0, &Trouble::ALL).iter().enumerate() {
            let index = u64::try_from(index).unwrap();
            assert_eq!((step.index, step.ticks), (index, i64::try_from(index).unwrap() * 3_000));
        }
    }

    #[test]
    fn each_trouble_does_what_it_says() {
        for trouble in Trouble::ALL {
            let line = timeline(3, 400, 90_000, 3_000, 20, &[trouble]);
            assert_eq!(line.len(), 400);
            let hit = (1..400).find(|&n| line[n].trouble == Some(trouble)).unwrap();
            let (before, at) = (line[hit - 1], line[hit]);
            let moved = at.ticks - before.ticks;
            let holds = match trouble {
                Trouble::Backwards => moved <= 0,
                Trouble::Equal => moved == 0 && at.index == before.index + 1,
                Trouble::Duplicate => moved == 0 && at.index == before.index,
                Trouble::JumpHour => moved == 3_600 * 90_000 + 3_000,
                Trouble::JumpDecade => moved == 3_650 * 86_400 * 90_000 + 3_000,
                Trouble::Restart => moved == 3_000 - 3_600 * 90_000,
                Trouble::Drop => at.index > before.index + 1 && moved > 3_000,
                Trouble::NearWrap33 => at.pts33() == (1 << 33) - 9_000,
                Trouble::NearWrap32 => u64::from(at.rtp()) == (1 << 32) - 9_000,
            };
            assert!(holds, "{trouble:?}: {before:?} {at:?}");
        }
    }
}
