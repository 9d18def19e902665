use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;
use h264_reader::nal::sps::PicOrderCntType;

use super::params::MAX_REORDER;
use super::slice::{Picture, Structure};

/// Picture order count (§8.2.1), wide enough that no stream can overflow it.
pub(super) type OrderCount = i128;

/// The decoding process for picture order count: pictures in, in decoding order.
#[derive(Debug, Default)]
pub(super) struct OrderCounter {
    /// `prevPicOrderCntMsb` and `prevPicOrderCntLsb` of type 0.
    msb: OrderCount,
    lsb: OrderCount,
    /// `prevFrameNum` and `prevFrameNumOffset` of types 1 and 2.
    frame_num: u32,
    offset: OrderCount,
}

impl OrderCounter {
    /// The order count of a frame or field, relative to the last IDR picture or reset.
    pub(super) fn next(&mut self, picture: &Picture) -> OrderCount {
        let (top, bottom) = match &picture.sps.order {
            PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: extra } => {
                self.type_zero(picture, 1 << (u32::from(*extra) + 4))
            }
            PicOrderCntType::TypeOne {
                offset_for_non_ref_pic,
                offset_for_top_to_bottom_field,
                offsets_for_ref_frame,
                ..
            } => {
                let offset = self.frame_num_offset(picture);
                let mut nth = if offsets_for_ref_frame.is_empty() {
                    0
                } else {
                    offset + OrderCount::from(picture.frame_num)
                };
                nth -= OrderCount::from(!picture.is_reference && nth > 0);
                let mut expected = 0;
                if nth > 0 {
                    let cycle = OrderCount::try_from(offsets_for_ref_frame.len()).unwrap_or(OrderCount::MAX);
                    let sum =
                        |offsets: &[i32]| offsets.iter().map(|&o| OrderCount::from(o)).sum::<OrderCount>();
                    let within = usize::try_from((nth - 1) % cycle).unwrap_or(0);
                    expected = (nth - 1) / cycle * sum(offsets_for_ref_frame)
                        + sum(&offsets_for_ref_frame[..=within]);
                }
                if !picture.is_reference {
                    expected += OrderCount::from(*offset_for_non_ref_pic);
                }
                let [first, second] = picture.order_delta.map(OrderCount::from);
                let top = expected + first;
                (top, top + OrderCount::from(*offset_for_top_to_bottom_field) + second)
            }
            PicOrderCntType::TypeTwo => {
                let nth = self.frame_num_offset(picture) + OrderCount::from(picture.frame_num);
                let count = 2 * nth - OrderCount::from(!picture.is_reference && nth > 0);
                (count, count)
            }
        };
        if picture.resets {
            self.frame_num = 0;
            self.offset = 0;
            return 0;
        }
        match picture.structure {
            Structure::Frame => top.min(bottom),
            Structure::Top => top,
            Structure::Bottom => bottom,
        }
    }

    /// §8.2.1.1.
    fn type_zero(&mut self, picture: &Picture, max_lsb: OrderCount) -> (OrderCount, OrderCount) {
        if picture.idr_pic_id.is_some() {
            (self.msb, self.lsb) = (0, 0);
        }
        let lsb = OrderCount::from(picture.order_lsb);
        let msb = if lsb < self.lsb && self.lsb - lsb >= max_lsb / 2 {
            self.msb + max_lsb
        } else if lsb > self.lsb && lsb - self.lsb > max_lsb / 2 {
            self.msb - max_lsb
        } else {
            self.msb
        };
        let top = msb + lsb;
        let bottom = top + OrderCount::from(picture.order_delta[1]);
        if picture.resets {
            // The next picture counts from this one's top field, after its own reset.
            self.msb = 0;
            self.lsb = match picture.structure {
                Structure::Frame => top - top.min(bottom),
                Structure::Top | Structure::Bottom => 0,
            };
        } else if picture.is_reference {
            (self.msb, self.lsb) = (msb, lsb);
        }
        (top, bottom)
    }

    /// `FrameNumOffset` of §8.2.1.2 and §8.2.1.3.
    fn frame_num_offset(&mut self, picture: &Picture) -> OrderCount {
        self.offset = if picture.idr_pic_id.is_some() {
            0
        } else if self.frame_num > picture.frame_num {
            self.offset + (1 << picture.sps.frame_num_bits)
        } else {
            self.offset
        };
        self.frame_num = picture.frame_num;
        self.offset
    }
}

/// One access unit with its places: in the file, and in the order of presentation (with the delay in it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) data: Bytes,
    pub(super) decoded: u64,
    pub(super) shown: u64,
}

struct Held {
    data: Bytes,
    shown: Option<u64>,
}

/// What [`Reorder::push`] needs to know of an access unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// `None` where it cannot be known: shown after all that came before.
    pub(super) count: Option<OrderCount>,
    /// IDR or reset: all that came before is shown before.
    pub(super) starts_sequence: bool,
    /// How many pictures may be held back, where the stream tells.
    pub(super) depth: Option<u8>,
}

/// Finds each access unit's place in presentation order by the output process of §C.4.5.3 ("bumping"), and gives
/// them in decoding order: places rise without a gap, none is given twice, and none is before the unit's place in
/// decoding order.
///
/// Where the stream tells how far it reorders, that is the delay. Where it does not, the first [`LOOK_AHEAD`] units
/// are held and measured.
pub(super) struct Reorder {
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Decoding index of the first one held.
    first: u64,
    waiting: BinaryHeap<Reverse<(OrderCount, u64)>>,
    last: Option<OrderCount>,
    next_shown: u64,
    delay: u64,
    depth: usize,
    /// While the first units are being looked at.
    is_measuring: Option<bool>,
    grown: Option<(u64, u64)>,
}

/// Access units, and bytes of them, that are looked at before the first is given.
const LOOK_AHEAD: usize = 64;
const LOOK_AHEAD_BYTES: usize = 16 << 20;

/// Access units and bytes that are held at most; a stream that needs more is not reordered further.
const MAX_HELD: usize = 128;
const MAX_HELD_BYTES: usize = 64 << 20;

impl Reorder {
    pub(super) fn new() -> Self {
        Self {
            held: VecDeque::new(),
            held_bytes: 0,
            first: 0,
            waiting: BinaryHeap::new(),
            last: None,
            next_shown: 0,
            delay: 0,
            depth: usize::from(MAX_REORDER),
            is_measuring: None,
            grown: None,
        }
    }

    /// Decoding index of the next unit pushed.
    pub(super) fn decoded(&self) -> u64 {
        self.first + u64::try_from(self.held.len()).expect("at most 128 are held")
    }

    pub(super) fn push(&mut self, data: Bytes, place: Place) {
        let is_late = place.count.is_some_and(|count| self.last.is_some_and(|last| count <= last));
        if place.starts_sequence || place.count.is_none() || is_late {
            self.flush();
        }
        if self.is_measuring.is_none() {
            self.is_measuring = Some(place.depth.is_none());
            self.delay = place.depth.map_or(0, u64::from);
        }
        if place.starts_sequence
            && let (Some(false), Some(depth)) = (self.is_measuring, place.depth)
        {
            // Better a gap here, between two sequences, than later within one.
            self.grow(self.decoded(), u64::from(depth).saturating_sub(self.delay));
        }
        if place.starts_sequence || self.held.is_empty() {
            self.depth = usize::from(place.depth.unwrap_or(MAX_REORDER));
        }
        let index = self.decoded();
        self.held_bytes += data.len();
        self.held.push_back(Held { data, shown: None });
        self.waiting.push(Reverse((place.count.unwrap_or(0), index)));
        while self.waiting.len() > self.depth {
            self.bump();
        }
        if place.count.is_none() || self.held.len() >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES {
            self.flush();
        }
        if self.held.len() >= LOOK_AHEAD || self.held_bytes >= LOOK_AHEAD_BYTES {
            self.end_measuring();
        }
    }

    /// The next unit in decoding order, as soon as its place is known.
    pub(super) fn pop(&mut self) -> Option<Placed> {
        if self.is_measuring != Some(false) {
            return None;
        }
        let shown = self.held.front()?.shown?;
        let data = self.held.pop_front()?.data;
        self.held_bytes -= data.len();
        self.first += 1;
        Some(Placed { data, decoded: self.first - 1, shown })
    }

    /// No more will come.
    pub(super) fn finish(&mut self) {
        self.flush();
        self.end_measuring();
    }

    /// Where the delay had to grow since the last call, and by how much.
    pub(super) fn take_growth(&mut self) -> Option<(u64, u64)> {
        self.grown.take()
    }

    fn flush(&mut self) {
        while self.bump() {}
        self.last = None;
    }

    /// Gives the waiting unit with the lowest count the next place.
    fn bump(&mut self) -> bool {
        let Some(Reverse((count, index))) = self.waiting.pop() else {
            return false;
        };
        if self.is_measuring == Some(false) {
            self.grow(index, index.saturating_sub(self.next_shown + self.delay));
        }
        let place = usize::try_from(index - self.first).ok().and_then(|at| self.held.get_mut(at));
        place.expect("a waiting unit is held").shown = Some(self.next_shown + self.delay);
        self.next_shown += 1;
        self.last = Some(count);
        true
    }

    /// Delays all that have no place yet by `frames` more.
    fn grow(&mut self, at: u64, frames: u64) {
        if frames > 0 {
            self.delay += frames;
            self.grown = Some((at, frames + self.grown.map_or(0, |(_, before)| before)));
        }
    }

    /// Makes the largest distance seen so far the delay.
    fn end_measuring(&mut self) {
        if self.is_measuring != Some(true) {
            return;
        }
        self.is_measuring = Some(false);
        let places = (self.first..).zip(&self.held).filter_map(|(index, held)| Some((index, held.shown?)));
        self.delay = places.map(|(index, shown)| index.saturating_sub(shown)).max().unwrap_or(0);
        for held in &mut self.held {
            held.shown = held.shown.map(|shown| shown + self.delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(units: &[Place]) -> (Vec<u64>, u64) {
        let mut reorder = Reorder::new();
        let (mut shown, mut grown) = (Vec::new(), 0);
        for unit in units {
            reorder.push(Bytes::new(), *unit);
            shown.extend(std::iter::from_fn(|| reorder.pop()).map(|placed| placed.shown));
            grown += reorder.take_growth().map_or(0, |(_, by)| by);
        }
        reorder.finish();
        shown.extend(std::iter::from_fn(|| reorder.pop()).map(|placed| placed.shown));
        (shown, grown + reorder.take_growth().map_or(0, |(_, by)| by))
    }

    fn at(counts: &[i128], depth: Option<u8>) -> Vec<Place> {
        let place = |&count| Place { count: Some(count), starts_sequence: count == 0, depth };
        counts.iter().map(place).collect()
    }

    #[test]
    fn places_follow_the_counts() {
        for (counts, depth, want) in [
            (&[0, 2, 4, 6][..], Some(0), &[0, 1, 2, 3][..]),
            (&[0, 2, 4, 6], None, &[0, 1, 2, 3]),
            (&[0, 4, 2, 8, 6], Some(1), &[1, 3, 2, 5, 4]),
            (&[0, 4, 2, 8, 6], None, &[1, 3, 2, 5, 4]),
            (&[0, 8, 4, 2, 6], Some(2), &[2, 6, 4, 3, 5]),
            (&[0, 8, 4, 2, 6], None, &[2, 6, 4, 3, 5]),
            (&[0, 4, 2, 0, 4, 2], None, &[1, 3, 2, 4, 6, 5]),
            (&[0, 4, 2, 0, 4, 2], Some(3), &[3, 5, 4, 6, 8, 7]),
        ] {
            assert_eq!(run(&at(counts, depth)), (want.to_vec(), 0), "{counts:?} {depth:?}");
        }
    }

    #[test]
    fn a_sequence_that_reorders_further_than_the_one_before_begins_after_a_gap() {
        let units = [at(&[0, 2, 4], Some(0)), at(&[0, 8, 4, 2, 6], Some(2))].concat();
        assert_eq!(run(&units), (vec![0, 1, 2, 5, 9, 7, 6, 8], 2));
    }

    #[test]
    fn a_reorder_that_starts_late_moves_what_follows() {
        let mut counts: Vec<i128> = (0..100).map(|n| n * 2).collect();
        counts.extend([204, 202, 208, 206]);
        let (shown, grown) = run(&at(&counts, None));
        assert_eq!(grown, 1);
        assert_eq!(
            shown[99..],
            [99, 102, 101, 104, 103].map(|n| n - u64::from(n == 99) + u64::from(n == 99))
        );
    }

    proptest! {
        #[test]
        fn places_are_distinct_and_never_before_decoding(
            units in proptest::collection::vec(
                (proptest::option::weighted(0.95, -40i128..40), proptest::bool::weighted(0.1), proptest::option::of(0u8..=16)),
                0..400,
            ),
        ) {
            let units: Vec<Place> = units
                .into_iter()
                .map(|(count, starts_sequence, depth)| Place { count, starts_sequence, depth })
                .collect();
            let (shown, grown) = run(&units);
            prop_assert_eq!(shown.len(), units.len());
            for (decoded, &shown) in (0u64..).zip(&shown) {
                prop_assert!(shown >= decoded);
            }
            let mut sorted = shown.clone();
            sorted.sort_unstable();
            let gaps: u64 = sorted.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
            prop_assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(gaps <= grown);
        }
    }
}
