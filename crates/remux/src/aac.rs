use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use recorder_hls::SegmentIndex;
use recorder_hls::index::Samples;
use recorder_types::aac::{ADTS_HEADER_BYTES, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{MediaKind, RoomTime, Timestamp, UnixMillis};

use crate::copy::CopyStep;
use crate::error::{CopyError, RemuxError};
use crate::plan::PlanOptions;
use crate::timeline::HZ;

/// Longest frame that ADTS can hold, header included.
const MAX_FRAME: u64 = (1 << 13) - 1;

/// What [`AacPlanner::poll`] wants or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AacStep {
    /// Supply the index of this segment. They are asked for in order, from 0.
    Need {
        /// Number of the segment.
        segment: u32,
    },
    /// A file is complete.
    File(AacFilePlan),
    /// All files were told.
    Done,
}

/// Plans the ADTS files of one playlist's audio, as [`Planner`](crate::Planner) does MP4 files.
///
/// An ADTS file has no times: its frames are played one after the other. Pauses and missing segments are therefore not
/// in it, and the duration that limits it is that of its frames. Another configuration begins another file.
#[derive(Debug)]
pub struct AacPlanner {
    options: PlanOptions,
    next: u32,
    asked: bool,
    ended: bool,
    missing: Vec<u32>,
    open: Option<AacFilePlan>,
    ready: VecDeque<AacFilePlan>,
}

/// An ADTS file that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacFilePlan {
    config: AudioSpecificConfig,
    frames: u64,
    len: u64,
    start: UnixMillis,
    end: UnixMillis,
    /// Segment of the first frame, and its number there.
    segment: u32,
    frame: u32,
    missing: Vec<u32>,
    /// Segments that were supplied.
    segments: u32,
}

impl AacFilePlan {
    /// Rate and channels of all its frames.
    #[must_use]
    pub const fn config(&self) -> AudioSpecificConfig {
        self.config
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Never: a file has a frame at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Frames in the file.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// How long it plays: its frames, without the pauses between them.
    #[must_use]
    pub fn duration(&self) -> RoomTime {
        duration(self.config, self.frames)
    }

    /// When its first frame begins on the wall clock, by the start of its segment.
    #[must_use]
    pub const fn start(&self) -> UnixMillis {
        self.start
    }

    /// When its last frame ends on the wall clock, by the start of its segment.
    #[must_use]
    pub const fn end(&self) -> UnixMillis {
        self.end
    }
}

/// Of so many frames, to the nearest nanosecond; held at 292 years.
fn duration(config: AudioSpecificConfig, frames: u64) -> RoomTime {
    let samples = i64::try_from(frames).unwrap_or(i64::MAX).saturating_mul(i64::from(FRAME_SAMPLES));
    Timestamp::new(samples, config.timescale()).to_room_time().unwrap_or(RoomTime::MAX)
}

impl AacPlanner {
    /// For one playlist. What `options` say of alignment does not count.
    #[must_use]
    pub const fn new(options: PlanOptions) -> Self {
        Self {
            options,
            next: 0,
            asked: false,
            ended: false,
            missing: Vec::new(),
            open: None,
            ready: VecDeque::new(),
        }
    }

    /// What comes next.
    pub fn poll(&mut self) -> AacStep {
        if self.ended {
            self.close();
        }
        if let Some(file) = self.ready.pop_front() {
            AacStep::File(file)
        } else if self.ended {
            AacStep::Done
        } else {
            self.asked = true;
            AacStep::Need { segment: self.next }
        }
    }

    /// Gives the index of the segment that was asked for; `None`: there are no more.
    ///
    /// # Errors
    /// [`RemuxError::NotAsked`], with nothing changed. [`RemuxError::FrameTooLong`] or [`RemuxError::Limits`]: the
    /// planner is of no more use.
    pub fn supply(&mut self, index: Option<&SegmentIndex>) -> Result<(), RemuxError> {
        let segment = self.take_number()?;
        let Some(index) = index else {
            self.ended = true;
            return Ok(());
        };
        let Some(audio) = index.audio() else { return Ok(()) };
        let first = audio.frames().next().map(|frame| frame.pts);
        let video = index.video().and_then(|video| video.pictures().next()).map(|picture| picture.pts);
        let presented = first.into_iter().chain(video).min().unwrap_or(0);
        let wall = |pts: i64| {
            let ticks = pts.saturating_sub(presented).saturating_add(HZ / 2000);
            index.start().saturating_add_millis(ticks.div_euclid(HZ / 1000))
        };
        let config = audio.config();
        let lasts = i64::from(FRAME_SAMPLES) * HZ / i64::from(config.sample_rate());
        for (number, frame) in (0..).zip(audio.frames()) {
            let len = u64::from(frame.len) + ADTS_HEADER_BYTES as u64;
            if len > MAX_FRAME {
                return Err(RemuxError::FrameTooLong { segment, len: frame.len });
            }
            if self.open.as_ref().is_some_and(|open| {
                open.config != config || !self.fits(config, open.frames + 1, open.len + len)
            }) {
                self.close();
            }
            if self.open.is_none() && !self.fits(config, 1, len) {
                let limits = self.options.limits;
                let (max_bytes, max_duration) = (limits.max_bytes, limits.max_duration);
                return Err(RemuxError::Limits { segment, max_bytes, max_duration });
            }
            let start = wall(frame.pts);
            let open = self.open.get_or_insert_with(|| AacFilePlan {
                config,
                frames: 0,
                len: 0,
                start,
                end: start,
                segment,
                frame: number,
                missing: Vec::new(),
                segments: 0,
            });
            open.frames += 1;
            open.len += len;
            open.end = wall(frame.pts.saturating_add(lasts));
        }
        Ok(())
    }

    /// Says that the segment that was asked for does not exist, or cannot be read.
    ///
    /// # Errors
    /// [`RemuxError::NotAsked`], with nothing changed.
    pub fn skip(&mut self) -> Result<(), RemuxError> {
        let segment = self.take_number()?;
        self.missing.push(segment);
        Ok(())
    }

    fn take_number(&mut self) -> Result<u32, RemuxError> {
        if !std::mem::take(&mut self.asked) {
            return Err(RemuxError::NotAsked { input: 0 });
        }
        let segment = self.next;
        self.next = segment.saturating_add(1);
        Ok(segment)
    }

    fn fits(&self, config: AudioSpecificConfig, frames: u64, len: u64) -> bool {
        len <= self.options.limits.max_bytes && duration(config, frames) <= self.options.limits.max_duration
    }

    fn close(&mut self) {
        if let Some(mut file) = self.open.take() {
            self.missing.retain(|missing| *missing >= file.segment);
            file.missing.clone_from(&self.missing);
            file.segments = self.next;
            self.ready.push_back(file);
        }
    }
}

/// Writes a planned ADTS file, as [`Copier`](crate::Copier) does an MP4 file.
#[derive(Debug)]
pub struct AacCopier {
    plan: AacFilePlan,
    segment: u32,
    asked: bool,
    samples: Option<Samples>,
    skip: u32,
    frames: u64,
    len: u64,
    out: BytesMut,
}

/// Bytes between two outputs.
const OUTPUT: usize = 256 << 10;

impl AacCopier {
    /// Begins to write a file.
    #[must_use]
    pub fn new(plan: AacFilePlan) -> Self {
        Self {
            segment: plan.segment,
            asked: false,
            samples: None,
            skip: plan.frame,
            frames: 0,
            len: 0,
            out: BytesMut::new(),
            plan,
        }
    }

    /// What comes next: the input is always 0.
    ///
    /// # Errors
    /// [`CopyError`]; the file is of no use then.
    pub fn poll(&mut self) -> Result<CopyStep, CopyError> {
        let input = 0;
        while self.frames < self.plan.frames && self.out.len() < OUTPUT {
            let Some(samples) = &mut self.samples else {
                if !self.out.is_empty() {
                    return Ok(CopyStep::Output);
                }
                while self.plan.missing.contains(&self.segment) {
                    self.segment += 1;
                }
                if self.segment >= self.plan.segments {
                    return Err(CopyError::Ended { input, segments: self.plan.segments });
                }
                self.asked = true;
                return Ok(CopyStep::Need { input, segment: self.segment });
            };
            let segment = self.segment;
            let sample = match samples.next() {
                Some(Ok(sample)) => sample,
                Some(Err(source)) => return Err(CopyError::Segment { input, segment, source }),
                None => {
                    self.samples = None;
                    self.segment += 1;
                    self.skip = 0;
                    continue;
                }
            };
            if sample.kind != MediaKind::Audio {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            let header = self.plan.config.adts_header(sample.data.len());
            self.len += (ADTS_HEADER_BYTES + sample.data.len()) as u64;
            self.frames += 1;
            let last = self.frames == self.plan.frames;
            let Some(header) =
                header.filter(|_| if last { self.len == self.plan.len } else { self.len < self.plan.len })
            else {
                return Err(CopyError::Changed { input, segment, source: None });
            };
            if self.out.is_empty() {
                self.out.reserve(OUTPUT);
            }
            self.out.put_slice(&header);
            self.out.put_slice(&sample.data);
        }
        Ok(if self.out.is_empty() { CopyStep::Done } else { CopyStep::Output })
    }

    /// Gives the segment that was asked for.
    ///
    /// # Errors
    /// [`CopyError::NotAsked`], with nothing changed.
    pub fn supply(&mut self, segment: Bytes) -> Result<(), CopyError> {
        if !std::mem::take(&mut self.asked) {
            return Err(CopyError::NotAsked { input: 0 });
        }
        self.samples = Some(Samples::new(segment));
        Ok(())
    }

    /// The next bytes of the file that are ready.
    pub fn next_bytes(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// Writes all that is ready to `out`.
    ///
    /// # Errors
    /// What `out` says. Some of it may have been written: begin anew.
    pub fn write_to(&mut self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        self.next_bytes().map_or(Ok(()), |bytes| out.write_all(&bytes))
    }
}
