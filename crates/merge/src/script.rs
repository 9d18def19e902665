//! What of which segment goes into a copied track: noted in the first pass, followed in the second.

use std::collections::VecDeque;

use bytes::Bytes;
use recorder_hls::index::Samples;
use recorder_types::MediaKind;

use crate::error::MergeError;
use crate::job::Job;

/// A step; neighbours of a kind are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The samples that follow are of this piece.
    Segment(usize),
    /// So many samples are in the file.
    Keep(u32),
    /// So many are not.
    Skip(u32),
    /// So many frames of silence are, that are in no segment.
    Silence(u32),
}

/// The steps of one track. A few bytes a segment.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
}

impl Script {
    pub(crate) fn segment(&mut self, piece: usize) {
        self.steps.push_back(Step::Segment(piece));
    }

    pub(crate) fn keep(&mut self) {
        match self.steps.back_mut() {
            Some(Step::Keep(count)) if *count < u32::MAX => *count += 1,
            _ => self.steps.push_back(Step::Keep(1)),
        }
    }

    pub(crate) fn skip(&mut self) {
        match self.steps.back_mut() {
            Some(Step::Skip(count)) if *count < u32::MAX => *count += 1,
            _ => self.steps.push_back(Step::Skip(1)),
        }
    }

    pub(crate) fn silence(&mut self) {
        match self.steps.back_mut() {
            Some(Step::Silence(count)) if *count < u32::MAX => *count += 1,
            _ => self.steps.push_back(Step::Silence(1)),
        }
    }
}

/// Follows a [`Script`]: gives the samples that are in the file, one after the other.
pub(crate) struct ScriptReader {
    script: Script,
    kind: MediaKind,
    silence: Bytes,
    samples: Option<Samples>,
}

impl ScriptReader {
    pub(crate) const fn new(script: Script, kind: MediaKind, silence: Bytes) -> Self {
        Self { script, kind, silence, samples: None }
    }

    /// The next sample.
    ///
    /// # Errors
    /// [`MergeError::Changed`] if the segment does not have it any more.
    pub(crate) fn next(&mut self, job: &mut Job<'_>) -> Result<Bytes, MergeError> {
        loop {
            match self.script.steps.front_mut() {
                Some(Step::Keep(0) | Step::Skip(0) | Step::Silence(0)) => {
                    self.script.steps.pop_front();
                }
                Some(Step::Segment(piece)) => {
                    // Its memory may serve the next.
                    self.samples = None;
                    let data = job.read(*piece)?.ok_or_else(|| changed(job))?;
                    self.samples = Some(Samples::new(data));
                    self.script.steps.pop_front();
                }
                Some(Step::Silence(count)) => {
                    *count -= 1;
                    return Ok(self.silence.clone());
                }
                Some(Step::Keep(count)) => {
                    *count -= 1;
                    return self.sample(job);
                }
                Some(Step::Skip(count)) => {
                    *count -= 1;
                    self.sample(job)?;
                }
                None => return Err(changed(job)),
            }
        }
    }

    fn sample(&mut self, job: &Job<'_>) -> Result<Bytes, MergeError> {
        for sample in self.samples.iter_mut().flatten() {
            let sample = sample.map_err(|_| changed(job))?;
            if sample.kind == self.kind {
                return Ok(sample.data);
            }
        }
        Err(changed(job))
    }
}

fn changed(job: &Job<'_>) -> MergeError {
    MergeError::Changed { segment: job.segment() }
}
