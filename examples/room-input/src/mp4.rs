use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use recorder_mp4::{FileError, FileReader, TrackInfo, TrackSample};
use recorder_types::h264::{DisplayOrientation, prepend_units};
use recorder_types::{Sample, Timestamp, TrackConfig, with_causes};

use crate::error::Warnings;
use crate::{InputError, Warning};

/// Samples read at most to find the first two of each audio track.
const LOOK_AHEAD: usize = 256;

/// The samples of an MP4 file, by `recorder-mp4`.
pub(crate) struct Mp4 {
    path: PathBuf,
    reader: FileReader<File>,
    /// Tracks that ended early and were told.
    failed: usize,
    /// By track: whether samples of an entry that does not fit were told.
    left_out: Vec<bool>,
    /// Read already, oldest first.
    held: VecDeque<(usize, Sample)>,
    /// What came after `held`.
    fault: Option<InputError>,
    looked_ahead: bool,
    ended: bool,
    pub(crate) warnings: Warnings,
}

impl Mp4 {
    pub(crate) fn open(path: &Path, file: File) -> Result<Self, InputError> {
        let reader = FileReader::open(file).map_err(|error| fault(path, error))?;
        let mut warnings = Warnings::default();
        for rejected in reader.rejected() {
            let id = rejected.id.map_or_else(|| "?".to_owned(), |id| id.to_string());
            warnings.push(Warning::Mp4 {
                reason: format!("track {id} left out: {}", with_causes(&rejected.error)),
            });
        }
        for track in reader.tracks().iter().filter(|track| track.further_edits > 0) {
            let reason = format!("track {}: edits after the first are not applied", track.id);
            warnings.push(Warning::Mp4 { reason });
        }
        if reader.tracks().is_empty() {
            return Err(InputError::NoTrack { path: path.to_owned(), warnings: warnings.take() });
        }
        let left_out = vec![false; reader.tracks().len()];
        Ok(Self {
            path: path.to_owned(),
            reader,
            failed: 0,
            left_out,
            held: VecDeque::new(),
            fault: None,
            looked_ahead: false,
            ended: false,
            warnings,
        })
    }

    pub(crate) fn tracks(&self) -> &[TrackInfo] {
        self.reader.tracks()
    }

    pub(crate) fn next(&mut self) -> Result<Option<(usize, Sample)>, InputError> {
        if !std::mem::replace(&mut self.looked_ahead, true) {
            self.look_ahead();
        }
        match (self.held.pop_front(), self.fault.take()) {
            (Some(next), fault) => {
                self.fault = fault;
                Ok(Some(next))
            }
            (None, Some(fault)) => Err(fault),
            (None, None) if self.ended => Ok(None),
            (None, None) => self.read(),
        }
    }

    /// Reads the first two samples of each audio track and puts the first where it belongs.
    fn look_ahead(&mut self) {
        let audio: Vec<usize> = self
            .tracks()
            .iter()
            .enumerate()
            .filter(|(_, track)| !matches!(track.config, TrackConfig::H264(_)))
            .map(|(index, _)| index)
            .collect();
        let has_two =
            |held: &VecDeque<(usize, Sample)>, track| held.iter().filter(|(of, _)| *of == track).count() > 1;
        while self.held.len() < LOOK_AHEAD && !audio.iter().all(|&track| has_two(&self.held, track)) {
            match self.read() {
                Ok(Some(next)) => self.held.push_back(next),
                Ok(None) => break,
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        for track in audio {
            let mut of_track = self.held.iter_mut().filter(|(of, _)| *of == track).map(|(_, sample)| sample);
            if let (Some(first), Some(second)) = (of_track.next(), of_track.next()) {
                align_first(first, second);
            }
        }
    }

    fn read(&mut self) -> Result<Option<(usize, Sample)>, InputError> {
        loop {
            let next = self.reader.next_sample().map_err(|error| fault(&self.path, error))?;
            for (track, error) in self.reader.failed().iter().skip(self.failed) {
                let id = self.reader.tracks().get(*track).map_or(0, |track| track.id.get());
                self.warnings
                    .push(Warning::Mp4 { reason: format!("track {id} ends early: {}", with_causes(error)) });
            }
            self.failed = self.reader.failed().len();
            let Some(next) = next else {
                if let Some(at) = self.reader.cut_at() {
                    self.warnings.push(Warning::TruncatedEnd { at });
                }
                self.ended = true;
                return Ok(None);
            };
            let track = next.at.track;
            match self.adapt(next) {
                Some(sample) => return Ok(Some((track, sample))),
                None => {
                    let told = self.left_out.get_mut(track).map(|told| std::mem::replace(told, true));
                    if told == Some(false) {
                        let reason = format!("track {track}: samples of another configuration left out");
                        self.warnings.push(Warning::Mp4 { reason });
                    }
                }
            }
        }
    }

    /// A sample in the configuration of its track's first entry; `None` if that cannot be. What only the file's headers
    /// tell, and has to travel with the samples, stands before key frames: how pictures are turned, and parameter sets
    /// where they change on the way.
    fn adapt(&self, TrackSample { at, mut sample }: TrackSample) -> Option<Sample> {
        let track = self.reader.tracks().get(at.track)?;
        let entry = track.entries.get(at.entry)?;
        let changes = track.entries.len() > 1;
        match (&track.config, &entry.config) {
            (TrackConfig::H264(first), TrackConfig::H264(own))
                if !changes || first.framing == own.framing =>
            {
                if at.sync {
                    let orientation = track.matrix.orientation().unwrap_or_default();
                    let turned = (orientation != DisplayOrientation::default()).then(|| orientation.to_sei());
                    let sets = own.parameter_sets.iter().filter(|_| changes).map(|set| &set[..]);
                    let units: Vec<&[u8]> = sets.chain(turned.iter().map(|sei| &sei[..])).collect();
                    if !units.is_empty() {
                        sample.data = prepend_units(&units, own.framing, &sample.data)?;
                    }
                }
                Some(sample)
            }
            (first, own) => (!changes || first == own).then_some(sample),
        }
    }
}

/// Some writers give the first audio frame alone a composition offset: it would be heard at the same time as the
/// second. Audio is not reordered, so the first one takes the offset of the second.
fn align_first(first: &mut Sample, second: &Sample) {
    if second.pts.ticks() <= first.pts.ticks() && second.dts.ticks() > first.dts.ticks() {
        let offset = second.pts.ticks().saturating_sub(second.dts.ticks());
        first.pts = Timestamp::new(first.dts.ticks().saturating_add(offset), first.dts.timescale());
    }
}

fn fault(path: &Path, error: FileError) -> InputError {
    let path = path.to_owned();
    match error {
        FileError::Read(source) => InputError::Mp4 { path, source },
        FileError::Io { source, .. } => InputError::Io { path, source },
        other => InputError::Io { path, source: std::io::Error::other(other) },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_first_audio_frame_is_heard_before_the_second() {
        let clock = recorder_types::Timescale::new(22_050).unwrap();
        let sample = |dts, pts| {
            let mut sample = Sample::new(Timestamp::new(dts, clock), Bytes::new());
            sample.pts = Timestamp::new(pts, clock);
            sample
        };
        for (first, second, want) in
            [((0, 1024), (1024, 1024), 0), ((0, 500), (1024, 1524), 500), ((0, 3000), (1024, 1524), 500)]
        {
            let mut first = sample(first.0, first.1);
            align_first(&mut first, &sample(second.0, second.1));
            assert_eq!(first.pts.ticks(), want);
        }
    }
}
