use std::collections::VecDeque;

use recorder_codec::{Codecs, PictureBuffer, PictureColour, VideoDecoder};
use recorder_compositor::{Colour, Matrix, Range};
use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{H264Config, RoomTime, Sample, Size, Timescale, Timestamp};

use crate::MixError;
use crate::passthrough::{Branch, Going, Passed};
use crate::unit::Unit;

/// Bytes of one stream that wait to be decoded. A stream that is not shown is kept from its last key frame on, so
/// that it can be shown at once; one that is longer than this without a key frame waits for the next.
const MAX_WAITING: usize = 32 << 20;
/// Pictures that a decoder may give before they are due. H.264 reorders 16 at most.
const MAX_EARLY: usize = 17;

/// One participant's pictures: decodes while they are shown, and holds the newest that is due.
pub(crate) struct View {
    config: H264Config,
    decoder: Option<Box<dyn VideoDecoder>>,
    waiting: VecDeque<(Unit, bool)>,
    bytes: usize,
    /// Nothing is taken until a key frame comes.
    awaits_key: bool,
    /// Pictures that are not due yet, in order of their time.
    early: VecDeque<Shown>,
    shown: Option<Shown>,
    /// Pictures that were shown.
    count: u64,
    /// Buffers for later pictures.
    spare: Vec<PictureBuffer>,
    /// Units that are, or will be, passed on.
    branch: Option<Branch>,
    /// It cannot be passed on.
    refuses: bool,
}

/// A decoded picture.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) pts: RoomTime,
    pub(crate) buffer: PictureBuffer,
    pub(crate) colour: PictureColour,
}

impl View {
    pub(crate) fn new(config: H264Config) -> Self {
        Self {
            config,
            decoder: None,
            waiting: VecDeque::new(),
            bytes: 0,
            awaits_key: true,
            early: VecDeque::new(),
            shown: None,
            count: 0,
            spare: Vec::new(),
            branch: None,
            refuses: false,
        }
    }

    /// Passes on what is shown up to `now`. Says whether it does, and else whether it will or cannot: pictures have to
    /// be encoded then.
    pub(crate) fn pass(
        &mut self,
        size: Size,
        (now, horizon): (RoomTime, RoomTime),
        out: &mut Vec<Passed>,
    ) -> bool {
        if self.refuses {
            return false;
        }
        if self.branch.is_none() {
            self.branch = Branch::new(&self.waiting, &self.config, size, (now, horizon));
        }
        let Some(branch) = self.branch.as_mut().filter(|branch| branch.has_begun(now)) else { return false };
        let before = out.len();
        match branch.pass(now, &self.config, size, out) {
            Going::On => return true,
            Going::Paused => {}
            Going::Refused => self.refuses = true,
        }
        self.branch = None;
        // What was given out before the stop is part of the video.
        out.len() > before
    }

    /// Passes nothing on.
    pub(crate) fn stop_passing(&mut self) {
        self.branch = None;
    }

    /// Takes a unit; says whether it is of use.
    pub(crate) fn push(&mut self, unit: Unit) -> bool {
        let is_key = has_idr(&unit, &self.config);
        self.awaits_key &= !is_key;
        if self.awaits_key {
            return false;
        }
        self.bytes += unit.data.len();
        if let Some(branch) = &mut self.branch {
            branch.push(&unit, is_key, MAX_WAITING);
        }
        self.waiting.push_back((unit, is_key));
        if self.bytes > MAX_WAITING {
            self.waiting.clear();
            self.bytes = 0;
            self.awaits_key = true;
        }
        !self.awaits_key
    }

    /// The stream is not shown at `now`: forgets what will not be needed to show it later. Up to the next key frame the
    /// decoder is kept as it is, to go on from there.
    pub(crate) fn hide(&mut self, now: RoomTime) {
        let due = self.waiting.iter().take_while(|(unit, _)| unit.dts <= now).count();
        let Some(from) = self.waiting.iter().take(due).rposition(|(_, is_key)| *is_key) else { return };
        self.decoder = None;
        self.early.clear();
        for (unit, _) in self.waiting.drain(..from) {
            self.bytes -= unit.data.len();
        }
    }

    /// Decodes until the picture that is due at `now` is known: units up to `horizon` may be used.
    pub(crate) fn show(
        &mut self,
        now: RoomTime,
        horizon: RoomTime,
        codecs: &dyn Codecs,
    ) -> Result<(), MixError> {
        if self.decoder.is_none() {
            if self.waiting.is_empty() {
                return Ok(());
            }
            self.decoder = Some(codecs.video_decoder(&self.config)?);
        }
        loop {
            let is_known = self.early.back().is_some_and(|picture| picture.pts > now);
            let may_go_on = self.waiting.front().is_some_and(|(unit, _)| unit.dts <= horizon);
            if is_known || !may_go_on || self.early.len() >= MAX_EARLY {
                break;
            }
            self.decode_one(now)?;
        }
        self.settle(now);
        Ok(())
    }

    /// The stream is over: gives out what the decoder holds back.
    pub(crate) fn flush(&mut self, now: RoomTime) {
        let Self { decoder, early, spare, .. } = self;
        if let Some(decoder) = decoder {
            // What could not be given out is lost with the stream.
            let _ = decoder.flush(&mut |picture| keep(picture, early, spare));
        }
        self.settle(now);
    }

    /// The newest picture that was due at the last [`View::show`].
    pub(crate) const fn picture(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// The first picture that is known, due or not.
    pub(crate) fn first(&self) -> Option<&Shown> {
        self.shown.as_ref().or(self.early.front())
    }

    /// How many pictures were shown: another number, another picture.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    fn decode_one(&mut self, now: RoomTime) -> Result<(), MixError> {
        let Some((unit, _)) = self.waiting.pop_front() else { return Ok(()) };
        self.bytes -= unit.data.len();
        let Self { decoder, early, spare, .. } = self;
        let Some(decoder) = decoder else { return Ok(()) };
        // Nanoseconds as ticks: the decoder only hands the time through.
        let at = |time: RoomTime| Timestamp::new(time.nanos(), NANOSECONDS);
        let sample = Sample::reordered(at(unit.pts), at(unit.dts), unit.data);
        let decoded = decoder.decode(&sample, &mut |picture| {
            // Of several pictures that are due, only the last is seen.
            while early.len() > 1 && early.front().is_some_and(|first| first.pts <= now) {
                spare.extend(early.pop_front().map(|first| first.buffer));
            }
            keep(picture, early, spare);
        });
        match decoded {
            Ok(()) => Ok(()),
            // The library gave up on this unit and was started anew: the next key frame goes on.
            Err(recorder_codec::CodecError::Library { .. }) => {
                self.awaits_key = !self.waiting.iter().any(|(_, is_key)| *is_key);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes over what is due.
    fn settle(&mut self, now: RoomTime) {
        while self.early.front().is_some_and(|picture| picture.pts <= now) {
            let before = std::mem::replace(&mut self.shown, self.early.pop_front());
            self.spare.extend(before.map(|picture| picture.buffer));
            self.count += 1;
        }
        self.spare.truncate(2);
    }
}

const NANOSECONDS: Timescale = Timescale::new(1_000_000_000).expect("not zero");

/// Copies a picture behind those that were decoded before it.
fn keep(
    picture: &recorder_codec::DecodedPicture<'_>,
    early: &mut VecDeque<Shown>,
    spare: &mut Vec<PictureBuffer>,
) {
    let buffer = match spare.pop() {
        Some(mut buffer) => {
            buffer.store(&picture.picture);
            buffer
        }
        None => PictureBuffer::new(&picture.picture),
    };
    let pts = RoomTime::from_nanos(picture.pts.ticks());
    early.push_back(Shown { pts, buffer, colour: picture.colour });
}

/// Whether decoding can start at `unit`.
fn has_idr(unit: &Unit, config: &H264Config) -> bool {
    Units::new(&unit.data, config.framing)
        .map_while(Result::ok)
        .any(|unit| unit_type(unit) == Some(nal_type::IDR))
}

/// What the samples of a picture mean to the compositor: as its stream tells, or as its size implies.
pub(crate) fn colour_of(picture: &Shown) -> Colour {
    let implied = Colour::implied_by(picture.buffer.size());
    let matrix = match picture.colour.matrix {
        Some(1) => Matrix::Bt709,
        Some(5 | 6) => Matrix::Bt601,
        _ => implied.matrix,
    };
    let range = if picture.colour.full_range { Range::Full } else { Range::Limited };
    Colour { matrix, range }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("waiting", &self.waiting.len())
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}
