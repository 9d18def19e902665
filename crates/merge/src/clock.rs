//! Where the time stamps of segments lie on the time line of an output.

use std::collections::{BTreeMap, VecDeque};

use crate::plan::{Output, Piece};

/// Ticks per second of time stamps.
pub(crate) const HZ: i64 = 90_000;
/// Ticks after which time stamps begin anew.
const WRAP: i64 = 1 << 33;
/// Names and time stamps of two runs that agree to within this are of one clock: names have whole milliseconds, and
/// the recorder lets them be this far from the media before it corrects them.
const SAME_CLOCK: i64 = HZ * 5 / 1000;
/// Time stamps that leave the names by more than this from one segment to the next are another clock, told or not.
const JUMP: i64 = HZ;
/// Segments in a row that have to be late, or early, before a clock is corrected. Names of audio segments come before
/// their first frame by up to the length of a frame, which these differences swing through.
const SEGMENTS: usize = 4;
/// By how much they have to be: more than [`SAME_CLOCK`].
const DRIFT: i64 = HZ * 7 / 1000;

/// Brings the clocks of an output's segments together. What is added to the time stamps of a segment is told segment by
/// segment, in about the order of time.
///
/// Within a run of segments the time stamps decide. A run begins where the name of its first segment says, or on the
/// clock of another run if the two agree. A run whose clock drifts away from its names is brought back by the least
/// that four segments in a row are off; where they agree to within a frame, by the most that they are late, for no name
/// is later than its segment.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// Wall clock of the output's zero, in nanoseconds.
    zero: i64,
    runs: BTreeMap<u32, Run>,
}

#[derive(Debug)]
struct Run {
    /// From a time stamp to the wall clock since `zero`.
    offset: i64,
    /// How far the names of the last segments are after their time stamps.
    late: VecDeque<i64>,
}

impl Clocks {
    pub(crate) fn new(output: &Output) -> Self {
        let millis = i64::try_from(output.start_millis).unwrap_or(i64::MAX);
        Self { zero: millis.saturating_mul(1_000_000), runs: BTreeMap::new() }
    }

    /// What is to be added to the time stamps of `piece`, which is first presented at `presented`, to have them in
    /// ticks after the output's zero. Its name may be early by `grain` ticks.
    pub(crate) fn place(&mut self, piece: &Piece, presented: i64, grain: i64) -> i64 {
        let at = ticks(piece.at_nanos);
        // How far the piece is moved on the time line: the same for all of a section.
        let start = piece.start().map_or(at, |start| ticks(start.saturating_sub(self.zero)));
        let by_name = start.saturating_sub(presented);
        let offset = match self.runs.get_mut(&piece.run) {
            Some(run) => run.follow(by_name, grain),
            None => {
                let known = self.runs.values().map(|run| unroll(run.offset, by_name));
                let nearest = known.min_by_key(|offset| offset.abs_diff(by_name));
                let shared = nearest.filter(|offset| offset.abs_diff(by_name) <= SAME_CLOCK.unsigned_abs());
                let offset = shared.unwrap_or(by_name);
                self.runs.insert(piece.run, Run { offset, late: VecDeque::new() });
                offset
            }
        };
        offset.saturating_add(at.saturating_sub(start))
    }
}

impl Run {
    fn follow(&mut self, by_name: i64, grain: i64) -> i64 {
        self.offset = unroll(self.offset, by_name);
        let late = by_name.saturating_sub(self.offset);
        let before = self.late.back().copied().unwrap_or(0);
        if late.saturating_sub(before).saturating_abs() > JUMP {
            self.offset = by_name;
            self.late.clear();
            return by_name;
        }
        self.late.push_back(late);
        if self.late.len() > SEGMENTS {
            self.late.pop_front();
        }
        if self.late.len() == SEGMENTS {
            let (least, most) = self
                .late
                .iter()
                .fold((i64::MAX, i64::MIN), |(least, most), &late| (least.min(late), most.max(late)));
            let agree = most.saturating_sub(least) <= grain.saturating_add(SAME_CLOCK);
            // Of names that swing through a frame none may be at its latest here.
            let swing = (grain / 4).min(most.saturating_sub(least) / 2);
            let early = most.saturating_add(swing);
            let all = if most > DRIFT && agree {
                most
            } else if least > DRIFT {
                least
            } else if early < -DRIFT {
                early
            } else {
                0
            };
            self.offset = self.offset.saturating_add(all);
            self.late.iter_mut().for_each(|late| *late -= all);
        }
        self.offset
    }
}

/// Nanoseconds in ticks, to the nearest.
pub(crate) fn ticks(nanos: i64) -> i64 {
    recorder_types::RoomTime::from_nanos(nanos).round_to_ticks(recorder_types::Timescale::HZ_90000)
}

/// `offset` with as many wraps as bring it nearest to `near`.
fn unroll(offset: i64, near: i64) -> i64 {
    let wraps = (near.saturating_sub(offset)).saturating_add(WRAP / 2).div_euclid(WRAP);
    offset.saturating_add(wraps.saturating_mul(WRAP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::TrackName;

    const START: u64 = 1_700_000_000_000;
    const FRAME: i64 = 1920;

    fn clocks() -> Clocks {
        Clocks::new(&Output { start_millis: START, ..Output::default() })
    }

    /// A piece of `run` that its name puts `millis` after zero.
    fn piece(run: u32, millis: i64) -> Piece {
        let at = recorder_types::UnixMillis::new(START).unwrap().saturating_add_millis(millis);
        Piece {
            segment: format!("x_{}.ts", at.utc_digits()),
            track: TrackName::MainVideo,
            at_nanos: millis * 1_000_000,
            duration_nanos: 10_000_000_000,
            size: None,
            run,
            bytes: 1,
        }
    }

    #[test]
    fn time_stamps_decide_within_a_run_and_names_at_its_start() {
        let mut clocks = clocks();
        assert_eq!(clocks.place(&piece(1, 0), 500, FRAME), -500);
        // A frame later than its name says, as names of audio are.
        assert_eq!(clocks.place(&piece(1, 10_000), 500 + 900_000 + 1_900, FRAME), -500);
        // A millisecond of rounding: the same clock.
        assert_eq!(clocks.place(&piece(2, 3_001), 500 + 270_000, FRAME), -500);
        // Another clock.
        assert_eq!(clocks.place(&piece(3, 20_000), 7, FRAME), 1_800_000 - 7);
        // A jump that nobody tells.
        assert_eq!(clocks.place(&piece(1, 20_000), 0, FRAME), 1_800_000);
    }

    #[test]
    fn time_stamps_that_begin_anew_go_on() {
        let mut clocks = clocks();
        let begin = WRAP - 450_000;
        assert_eq!(clocks.place(&piece(1, 0), begin, FRAME), -begin);
        assert_eq!(clocks.place(&piece(1, 10_000), 450_000, FRAME), WRAP - begin);
    }

    #[test]
    fn a_moved_section_keeps_its_clock() {
        let mut clocks = clocks();
        assert_eq!(clocks.place(&piece(1, 0), 500, FRAME), -500);
        let mut moved = piece(1, 60_000);
        moved.at_nanos -= 50_000_000_000;
        assert_eq!(clocks.place(&moved, 500 + 60 * HZ, FRAME), -500 - 50 * HZ);
    }

    #[test]
    fn an_hour_of_drift_stays_within_fifteen_milliseconds() {
        let clocks_and_grains = [-100, -20, 50, 100].map(|ppm| [(ppm, 0), (ppm, FRAME)]);
        for (per_million, grain) in clocks_and_grains.into_iter().flatten() {
            let mut clocks = clocks();
            for n in 0..360 {
                // The track's clock says this where 10 n seconds have passed.
                let stamp = n * 10 * HZ + n * 10 * HZ * per_million / 1_000_000;
                let placed = stamp + clocks.place(&piece(1, n * 10_000), stamp, grain);
                let off = placed - n * 10 * HZ;
                assert!(off.abs() <= HZ * 15 / 1000, "{per_million}: {off} ticks at segment {n}");
            }
        }
    }

    #[test]
    fn names_on_a_grid_move_no_frames() {
        for rate in [48_000, 44_100, 32_000, 24_000, 22_050, 16_000] {
            let mut clocks = clocks();
            let grain = HZ * 1024 / rate;
            for n in 0..720 {
                // The first frame that begins on the grid or after it.
                let frame = (n * 10 * rate + 1023) / 1024;
                let offset = clocks.place(&piece(1, n * 10_000), frame * 1024 * HZ / rate, grain);
                assert_eq!(offset, 0, "{rate} Hz, segment {n}");
            }
        }
    }

    #[test]
    fn one_name_that_is_late_moves_nothing() {
        let mut clocks = clocks();
        for n in 0..20 {
            let late = if n == 9 { 60 } else { 0 };
            assert_eq!(clocks.place(&piece(1, n * 10_000 + late), n * 10 * HZ, FRAME), 0, "segment {n}");
        }
    }
}
