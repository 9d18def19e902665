use std::collections::VecDeque;

use bytes::Bytes;
use recorder_hls::index::Frames;
use recorder_mp4::{SampleEntry, SampleInfo};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{MediaKind, Timescale, Timestamp};

use crate::clock::HZ;
use crate::error::MergeError;
use crate::execute::Reason;
use crate::feed::{Feed, Media, Planned};
use crate::job::Job;
use crate::script::{Script, ScriptReader};
use crate::silence::silent_frame;

/// Samples of a frame.
const FRAME: i64 = FRAME_SAMPLES as i64;
/// Samples by which a frame may be early or late before one is left out, or silence comes in between: so that players
/// that lay frames end to end stay in step too. More than half a frame, so that it does not swing.
const LOOSE: i64 = FRAME * 5 / 8;

/// AAC frames as they are, with frames of silence where there are none.
///
/// Frames are counted, and lie end to end as long as their times are within 5 ms of that; then they follow their times.
pub(crate) struct CopyAudio {
    lane: VecDeque<usize>,
    current: Option<(Frames, i64)>,
    config: Option<AudioSpecificConfig>,
    /// Time of the first frame, and how many frames there were.
    start: Option<i64>,
    count: i64,
    /// Where frames are, against end to end.
    shift: i64,
    /// Silence that is to come before `held`.
    silent: i64,
    held: Option<u32>,
    last: Option<i64>,
    silent_len: u32,
    silence: Bytes,
    script: Script,
}

impl CopyAudio {
    pub(crate) fn new(lane: VecDeque<usize>) -> Self {
        Self {
            lane,
            current: None,
            config: None,
            start: None,
            count: 0,
            shift: 0,
            silent: 0,
            held: None,
            last: None,
            silent_len: 0,
            silence: Bytes::new(),
            script: Script::default(),
        }
    }

    /// The next frame that there is: its time in samples, and its bytes.
    fn frame(&mut self, job: &mut Job<'_>) -> Result<Option<(i64, u32)>, MergeError> {
        loop {
            let Some((frames, offset)) = &mut self.current else {
                let Some(number) = self.lane.pop_front() else { return Ok(None) };
                let Some(loaded) = job.load(number)? else { continue };
                let Some(audio) = loaded.index.audio() else { continue };
                let config = *self.config.get_or_insert(audio.config());
                if config != audio.config() {
                    return Err(MergeError::NotCopyable(Reason::SoundDiffers));
                }
                self.current = Some((audio.frames(), loaded.offset));
                self.script.segment(number);
                continue;
            };
            let Some(frame) = frames.next() else {
                self.current = None;
                continue;
            };
            let ticks = frame.pts.saturating_add(*offset);
            return Ok(Some((samples(ticks, self.timescale()), frame.len)));
        }
    }

    fn give(&mut self, len: u32) -> Planned {
        let next = self.start.unwrap_or(0).saturating_add(self.count.saturating_mul(FRAME));
        let at =
            next.saturating_add(self.shift).max(self.last.map_or(i64::MIN, |last| last.saturating_add(1)));
        let entry = if self.count == 0 { self.config.map(SampleEntry::aac) } else { None };
        self.last = Some(at);
        self.count += 1;
        let at = Timestamp::new(at, self.timescale());
        Planned { info: SampleInfo { pts: at, dts: at, duration: FRAME_SAMPLES, sync: true, len }, entry }
    }
}

impl Feed for CopyAudio {
    fn timescale(&self) -> Timescale {
        self.config.map_or(Timescale::HZ_48000, AudioSpecificConfig::timescale)
    }

    fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError> {
        loop {
            if self.silent > 0 {
                self.silent -= 1;
                self.script.silence();
                return Ok(Some(self.give(self.silent_len)));
            }
            if let Some(len) = self.held.take() {
                self.script.keep();
                return Ok(Some(self.give(len)));
            }
            let Some((at, len)) = self.frame(job)? else { return Ok(None) };
            let start = *self.start.get_or_insert(at);
            let late = at.saturating_sub(start.saturating_add(self.count.saturating_mul(FRAME)));
            if late < -LOOSE {
                self.script.skip();
                continue;
            }
            self.held = Some(len);
            if late > LOOSE {
                self.silent = late.saturating_add(FRAME / 2) / FRAME;
                self.shift = late.saturating_sub(self.silent.saturating_mul(FRAME));
                if self.silence.is_empty()
                    && let Some(config) = self.config
                {
                    self.silence = silent_frame(config);
                    self.silent_len = u32::try_from(self.silence.len()).unwrap_or(0);
                }
            } else if late.abs_diff(self.shift) > u64::from(self.timescale().hz()) / 200 {
                self.shift = late;
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Media, MergeError> {
        Ok(Media::Copied(Box::new(ScriptReader::new(self.script, MediaKind::Audio, self.silence))))
    }
}

/// Ticks of 90 kHz in samples, to the nearest.
pub(crate) fn samples(ticks: i64, rate: Timescale) -> i64 {
    let doubled = i128::from(ticks) * i128::from(rate.hz()) * 2 + i128::from(HZ);
    i64::try_from(doubled.div_euclid(i128::from(HZ) * 2)).unwrap_or(i64::MAX)
}
