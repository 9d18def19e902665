//! H.264 byte streams (ITU-T H.264 (08/2021) Annex B): access units and their times.

mod order;
mod params;
mod slice;
mod split;

use std::path::{Path, PathBuf};

use recorder_types::{Sample, Timescale};

use self::order::{OrderCounter, Place, Placed, Reorder};
use self::split::{AccessUnit, MAX_UNIT_BYTES, SplitFault, Splitter};
use crate::error::Warnings;
use crate::window::Window;
use crate::{FrameRate, InputError, Warning};

/// Access units of a byte stream with times made from their order.
///
/// Access unit `n` is decoded at `n / fps` and shown at `(place + delay) / fps`, where the place is the one in
/// picture order and the delay the smallest whole number of frames that lets nothing be shown before it is decoded.
pub(crate) struct ByteStream {
    path: PathBuf,
    splitter: Splitter,
    counter: OrderCounter,
    reorder: Reorder,
    rate: FrameRate,
    first: Option<Placed>,
    is_finished: bool,
    pub(crate) warnings: Warnings,
}

impl ByteStream {
    pub(crate) fn open(path: &Path, window: Window, rate: Option<FrameRate>) -> Result<Self, InputError> {
        let mut stream = Self {
            path: path.to_owned(),
            splitter: Splitter::new(window),
            counter: OrderCounter::default(),
            reorder: Reorder::new(),
            rate: FrameRate::FPS_25,
            first: None,
            is_finished: false,
            warnings: Warnings::default(),
        };
        stream.first = stream.next_placed()?;
        if stream.first.is_none() {
            return Err(InputError::NoPicture { path: path.to_owned() });
        }
        if stream.splitter.junk() > 0 {
            stream.warnings.push(Warning::Junk { at: 0, bytes: stream.splitter.junk() });
        }
        stream.rate = rate.or(stream.splitter.sets.rate()).unwrap_or_else(|| {
            stream.warnings.push(Warning::DefaultFrameRate);
            FrameRate::FPS_25
        });
        Ok(stream)
    }

    pub(crate) fn timescale(&self) -> Timescale {
        self.rate.clock().0
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, InputError> {
        let placed = match self.first.take() {
            None => self.next_placed()?,
            first => first,
        };
        Ok(placed.map(|Placed { data, decoded, shown }| {
            Sample::reordered(self.rate.time_of(shown), self.rate.time_of(decoded), data)
        }))
    }

    fn next_placed(&mut self) -> Result<Option<Placed>, InputError> {
        loop {
            if let Some(placed) = self.reorder.pop() {
                return Ok(Some(placed));
            }
            if self.is_finished {
                return Ok(None);
            }
            match self.splitter.next().map_err(|fault| self.error(fault))? {
                Some(unit) => self.take(unit),
                None => {
                    self.is_finished = true;
                    self.reorder.finish();
                }
            }
            if let Some((picture, frames)) = self.reorder.take_growth() {
                self.warnings.push(Warning::ReorderGrew { picture, frames });
            }
        }
    }

    fn take(&mut self, unit: AccessUnit) {
        let mut place = Place { count: None, starts_sequence: false, depth: None };
        if let Some(picture) = &unit.picture {
            place.starts_sequence = picture.idr_pic_id.is_some() || picture.resets;
            place.depth = picture.sps.reorder;
            let mut count = self.counter.next(picture);
            if let Some(second) = &unit.second_field {
                place.starts_sequence |= second.resets;
                count = count.min(self.counter.next(second));
            }
            place.count = Some(count);
        } else {
            self.warnings.push(Warning::NoParameterSets { picture: self.reorder.decoded() });
        }
        self.reorder.push(unit.data, place);
    }

    fn error(&self, fault: SplitFault) -> InputError {
        let path = self.path.clone();
        match fault {
            SplitFault::Io(source) => InputError::Io { path, source },
            SplitFault::TooLarge { at } => InputError::TooLarge { path, at, limit: MAX_UNIT_BYTES },
        }
    }
}

#[cfg(test)]
mod tests;
