//! Where the segments of one input lie in the time of the recording.

use recorder_hls::SegmentIndex;
use recorder_types::UnixMillis;
use recorder_types::aac::FRAME_SAMPLES;

use crate::plan::Alignment;

/// Ticks per second.
pub(crate) const HZ: i64 = 90_000;
/// Ticks after which PTS begin anew.
const WRAP: i64 = 1 << 33;
/// What a picture is taken to last where nothing tells: 1/30 s.
pub(crate) const DEFAULT_PICTURE: i64 = HZ / 30;
/// Times that leap by less than this are believed, whatever the wall clock says.
const BELIEVED: i64 = 3600 * HZ;
/// A start this close to the end of the segment before follows it: durations in playlists are rounded.
const ADJACENT: i64 = HZ / 10;

/// What the first and last samples of a segment say, in ticks as they are in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First decode time of its pictures, and the last.
    pub(crate) video: Option<(i64, i64)>,
    /// First time of its frames, and the last.
    pub(crate) audio: Option<(i64, i64)>,
    /// Earliest of both.
    pub(crate) begin: i64,
    /// When the first picture or frame is presented, the earlier of both.
    pub(crate) presented: i64,
    /// End of the last sample in decode time.
    pub(crate) end: i64,
}

impl Span {
    /// `None` for a segment without samples.
    pub(crate) fn of(index: &SegmentIndex) -> Option<Self> {
        let (mut video, mut audio, mut presented, mut end) = (None, None, i64::MAX, i64::MIN);
        if let Some(pictures) = index.video() {
            let (mut first, mut last, mut lasts) = (None, 0, DEFAULT_PICTURE);
            for picture in pictures.pictures() {
                if first.is_none() {
                    presented = picture.pts;
                } else {
                    lasts = picture.dts.saturating_sub(last);
                }
                first.get_or_insert(picture.dts);
                last = picture.dts;
            }
            video = first.map(|first| (first, last));
            end = last.saturating_add(lasts);
        }
        if let Some(frames) = index.audio() {
            let (mut first, mut last) = (None, 0);
            for frame in frames.frames() {
                first.get_or_insert(frame.pts);
                last = frame.pts;
            }
            audio = first.map(|first| (first, last));
            presented = presented.min(first.unwrap_or(i64::MAX));
            let rate = i64::from(frames.config().sample_rate());
            end = end.max(last.saturating_add(i64::from(FRAME_SAMPLES) * HZ / rate));
        }
        let begin = [video, audio].into_iter().flatten().map(|(first, _)| first).min()?;
        Some(Self { video, audio, begin, presented, end })
    }
}

/// The first segment of any input: what the others are aligned with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    time: i64,
    start: UnixMillis,
}

/// The time line of one input.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    before: Option<Before>,
    /// Last decode times so far, placed.
    video: Option<i64>,
    audio: Option<i64>,
}

/// The segment before.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// Its first time and its end, placed.
    begin: i64,
    end: i64,
    start: UnixMillis,
    offset: i64,
}

impl Timeline {
    /// What is to be added to the times in a segment, to have them in the time of the recording.
    pub(crate) fn place(
        &mut self,
        index: &SegmentIndex,
        span: Span,
        alignment: Alignment,
        anchor: &mut Option<Anchor>,
    ) -> i64 {
        let offset = match self.before {
            None => first(index, span, alignment, *anchor),
            Some(before) => self.next(index, span, alignment, before),
        };
        let placed = |time: i64| time.saturating_add(offset);
        self.video = span.video.map(|(_, last)| placed(last)).or(self.video);
        self.audio = span.audio.map(|(_, last)| placed(last)).or(self.audio);
        let end = self.before.map_or(i64::MIN, |before| before.end).max(placed(span.end));
        self.before = Some(Before { begin: placed(span.begin), end, start: index.start(), offset });
        anchor.get_or_insert(Anchor { time: placed(span.begin), start: index.start() });
        offset
    }

    fn next(&self, index: &SegmentIndex, span: Span, alignment: Alignment, before: Before) -> i64 {
        let elapsed = wall_ticks(before.start, index.start());
        let expected = before.begin.saturating_add(elapsed);
        let by_time = unroll(span.begin, before.offset, before.end);
        if !index.discontinuity() || alignment == Alignment::SharedClock {
            // The clock goes on, so its times are right but for the wraps between them.
            let by_wall = unroll(span.begin, before.offset, expected);
            let gap = span.begin.saturating_add(by_time).saturating_sub(before.end);
            let known = gap <= BELIEVED || !index.discontinuity();
            for offset in if known { [by_time, by_wall] } else { [by_wall, by_time] } {
                if self.follows(span, offset) && (offset == by_time || index.discontinuity()) {
                    return offset;
                }
            }
        }
        // Another clock.
        let late = expected.saturating_sub(before.end);
        let begin = if late <= ADJACENT { before.end } else { expected };
        begin.saturating_sub(span.begin)
    }

    /// Whether the samples come after those before.
    fn follows(&self, span: Span, offset: i64) -> bool {
        let after = |new: Option<(i64, i64)>, last: Option<i64>| match (new, last) {
            (Some((first, _)), Some(last)) => first.saturating_add(offset) > last,
            _ => true,
        };
        after(span.video, self.video) && after(span.audio, self.audio)
    }
}

fn first(index: &SegmentIndex, span: Span, alignment: Alignment, anchor: Option<Anchor>) -> i64 {
    match (alignment, anchor) {
        (Alignment::SharedClock, None) => 0,
        (Alignment::SharedClock, Some(anchor)) => {
            let expected = anchor.time.saturating_add(wall_ticks(anchor.start, index.start()));
            unroll(span.begin, 0, expected)
        }
        (Alignment::WallClock, anchor) => {
            // The first presentation of the first input is at 0.
            let since = anchor.map_or(0, |anchor| wall_ticks(anchor.start, index.start()));
            since.saturating_sub(span.presented)
        }
    }
}

/// Ticks from `from` to `to`.
fn wall_ticks(from: UnixMillis, to: UnixMillis) -> i64 {
    let millis = |at: UnixMillis| i64::try_from(at.get()).unwrap_or(i64::MAX);
    (millis(to) - millis(from)).saturating_mul(HZ / 1000)
}

/// `offset`, with as many wraps as bring `time` nearest to `near`.
fn unroll(time: i64, offset: i64, near: i64) -> i64 {
    let off = i128::from(near) - i128::from(time) - i128::from(offset);
    let wraps = (off + i128::from(WRAP / 2)).div_euclid(i128::from(WRAP));
    let ticks = i128::from(offset) + wraps * i128::from(WRAP);
    i64::try_from(ticks).unwrap_or(offset)
}
