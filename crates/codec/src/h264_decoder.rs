use std::collections::VecDeque;

use recorder_types::h264::{Units, nal_type, unit_type};
use recorder_types::{H264Config, NalFraming, RoomTime, Sample, Timestamp};

use crate::h264_encoder::library;
use crate::h264_sets::{Kept, ParameterSets, Sequence, SliceHead};
use crate::openh264_raw::{Picture, RawDecoder, UnitStream};
use crate::{CodecError, DecodedPicture, DecoderStats, PictureColour, PictureSink, VideoDecoder};

/// Access units that may wait for their pictures; the library holds back 16 pictures at most.
const WAITING_MAX: usize = 64;

/// How [`H264Decoder`] decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct H264DecoderOptions {
    /// Pixels of a picture at most; larger ones give no picture. It bounds the memory, which is up to 18 pictures of
    /// 1.5 bytes a pixel. Default 9437184, the largest of levels 5.1 and 5.2 (4096x2304).
    pub max_pixels: u64,
}

impl Default for H264DecoderOptions {
    fn default() -> Self {
        Self { max_pixels: 36_864 * 256 }
    }
}

impl H264DecoderOptions {
    /// With [`Self::max_pixels`].
    #[must_use]
    pub const fn with_max_pixels(mut self, max_pixels: u64) -> Self {
        self.max_pixels = max_pixels;
        self
    }
}

/// H.264 through OpenH264: Constrained Baseline, Main and High, progressive, 4:2:0 with 8 bits, B-frames included.
///
/// It runs on the caller's thread alone. Interlaced streams, other chroma formats, data partitions and the layers of
/// SVC give no pictures. Decoding starts at the first picture that needs no other, an IDR or one of I slices only;
/// what comes before is left out. A picture with data missing is the picture before it once more. Where an IDR picture
/// brings other parameter sets, the pictures before it are all given first.
pub struct H264Decoder {
    /// `None` after a flush or a fault: made when it is needed.
    inner: Option<RawDecoder>,
    framing: NalFraming,
    sets: ParameterSets,
    /// Whether `inner` has to be given all parameter sets first.
    resend: bool,
    /// The parameter set of the last IDR that was decoded; `None` until decoding has started.
    active: Option<Sequence>,
    started: bool,
    output: Output,
    /// Whether pictures that have been decoded since the last clean one are guessed.
    tainted: bool,
    next_id: u64,
    /// The access unit as the library takes it, kept for its memory.
    stream: UnitStream,
    max_pixels: u64,
}

/// What is known of the pictures that come out.
#[derive(Default)]
struct Output {
    waiting: VecDeque<Waiting>,
    /// When the last picture is shown.
    last: Option<RoomTime>,
    /// Whether damage since the last IDR may have changed the order in which the library gives pictures.
    order_is_unsure: bool,
    stats: DecoderStats,
}

/// An access unit whose picture has not come out.
struct Waiting {
    id: u64,
    pts: Timestamp,
    colour: PictureColour,
    is_idr: bool,
    is_guessed: bool,
}

/// What an access unit holds.
#[derive(Default)]
struct Content {
    first_slice: Option<SliceHead>,
    /// Whether every slice is an I slice.
    is_intra: bool,
    is_damaged: bool,
}

impl H264Decoder {
    /// A decoder for a track.
    ///
    /// # Errors
    /// [`CodecError::Library`].
    pub fn new(config: &H264Config, options: &H264DecoderOptions) -> Result<Self, CodecError> {
        let mut decoder = Self {
            inner: Some(RawDecoder::new().map_err(library)?),
            framing: config.framing,
            sets: ParameterSets::default(),
            resend: true,
            active: None,
            started: false,
            output: Output::default(),
            tainted: false,
            next_id: 1,
            stream: UnitStream::default(),
            max_pixels: options.max_pixels,
        };
        decoder.configure(config)?;
        Ok(decoder)
    }

    /// Writes the units that the library is to see to `stream`, in Annex B, and keeps the parameter sets.
    fn sort(&mut self, data: &[u8]) -> Content {
        let mut content = Content { is_intra: true, ..Content::default() };
        self.stream.clear();
        for unit in Units::new(data, self.framing) {
            let Ok(unit) = unit else {
                content.is_damaged = true;
                break;
            };
            match unit_type(unit) {
                Some(nal_type::SPS | nal_type::PPS) => match self.sets.take(unit, self.max_pixels) {
                    Kept::Good => self.stream.push(unit),
                    Kept::Damaged => content.is_damaged = true,
                    Kept::TooLarge => {}
                },
                Some(nal_type::SLICE | nal_type::IDR) => match SliceHead::parse(unit) {
                    Some(slice) => {
                        content.is_intra &= slice.is_intra;
                        content.first_slice.get_or_insert(slice);
                        self.stream.push(unit);
                    }
                    None => content.is_damaged = true,
                },
                // Delimiters and messages say nothing that is needed; the library would take layers of SVC as
                // pictures.
                _ => {}
            }
        }
        content
    }

    /// Takes leave of the library's decoder; the next access unit makes another, which knows nothing.
    fn restart(&mut self) -> Option<RawDecoder> {
        self.resend = true;
        self.started = false;
        self.active = None;
        self.tainted = false;
        self.inner.take()
    }

    fn drain(&mut self, sink: &mut PictureSink<'_>) {
        if let Some(inner) = self.restart() {
            let output = &mut self.output;
            inner.drain(&mut |picture| output.give(picture, sink));
        }
        self.output.waiting.clear();
    }

    /// Whether the access unit can be decoded; its sequence parameter set then is `active`.
    fn prepare(&mut self, slice: &SliceHead, is_intra: bool, sink: &mut PictureSink<'_>) -> bool {
        let Some(needed) = self.sets.of_slice(slice) else { return false };
        if slice.is_idr && self.active.as_ref().is_some_and(|active| active != needed) {
            let needed = needed.clone();
            self.drain(sink);
            self.active = Some(needed);
        } else if slice.is_idr || !self.started {
            self.active = Some(needed.clone());
        }
        self.started |= slice.is_idr || is_intra;
        self.started
    }
}

impl VideoDecoder for H264Decoder {
    fn configure(&mut self, config: &H264Config) -> Result<(), CodecError> {
        self.framing = config.framing;
        for unit in &config.parameter_sets {
            let kept = match unit_type(unit) {
                Some(nal_type::SPS | nal_type::PPS) => self.sets.take(unit, self.max_pixels),
                _ => continue,
            };
            self.output.stats.damaged += u64::from(kept == Kept::Damaged);
        }
        self.resend = true;
        Ok(())
    }

    fn decode(&mut self, unit: &Sample, sink: &mut PictureSink<'_>) -> Result<(), CodecError> {
        self.output.stats.units += 1;
        let content = self.sort(&unit.data);
        self.output.stats.damaged += u64::from(content.is_damaged);
        let Some(slice) = content.first_slice else {
            // Parameter sets alone wait for the picture that needs them.
            self.resend = true;
            return Ok(());
        };
        if !self.prepare(&slice, content.is_intra, sink) {
            self.output.stats.before_key += 1;
            // The library does not see it, nor the parameter sets in it.
            self.resend = true;
            return Ok(());
        }
        if self.inner.is_none() {
            self.inner = Some(RawDecoder::new().map_err(library)?);
        }
        let inner = self.inner.as_mut().expect("made above");
        let output = &mut self.output;
        if std::mem::take(&mut self.resend) {
            let mut sets = UnitStream::default();
            self.sets.units().for_each(|set| sets.push(set));
            inner.decode(&sets, 0, &mut |_, picture| output.give(picture, sink));
        }
        let id = self.next_id;
        self.next_id += 1;
        let colour = self.active.as_ref().map(|active| active.colour).unwrap_or_default();
        let is_damaged = content.is_damaged;
        output.wait(Waiting { id, pts: unit.pts, colour, is_idr: slice.is_idr, is_guessed: is_damaged });
        let state = inner.decode(&self.stream, id, &mut |state, picture| {
            if !state.is_clean() {
                output.mark_guessed(id);
            }
            output.give(picture, sink);
        });
        if state.is_clean() && !is_damaged {
            self.tainted = false;
            return Ok(());
        }
        // In the wake of a fault, what follows is guessed without a fault of its own.
        let is_inherited = self.tainted && state.is_only_guessed();
        self.output.stats.damaged += u64::from(!is_damaged && !is_inherited);
        self.output.mark_guessed(id);
        self.output.order_is_unsure = true;
        self.tainted = true;
        self.resend |= state.lacks_parameter_sets();
        if state.is_fault() {
            self.restart();
            self.output.waiting.clear();
            self.output.stats.restarts += 1;
        }
        Ok(())
    }

    fn flush(&mut self, sink: &mut PictureSink<'_>) -> Result<(), CodecError> {
        self.drain(sink);
        Ok(())
    }

    fn stats(&self) -> DecoderStats {
        self.output.stats
    }
}

impl std::fmt::Debug for H264Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H264Decoder")
            .field("framing", &self.framing)
            .field("active", &self.active)
            .field("stats", &self.output.stats)
            .finish_non_exhaustive()
    }
}

impl Output {
    fn wait(&mut self, unit: Waiting) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(unit);
    }

    fn mark_guessed(&mut self, id: u64) {
        if let Some(unit) = self.waiting.iter_mut().rfind(|unit| unit.id == id) {
            unit.is_guessed = true;
        }
    }

    /// Hands a picture on under the time of its access unit. One that the library cannot name, or names twice, is not
    /// shown: nobody could say when. Nor is one that comes, after damage, behind its time.
    fn give(&mut self, (id, picture): Picture<'_>, sink: &mut PictureSink<'_>) {
        let Some(index) = self.waiting.iter().position(|unit| unit.id == id) else { return };
        let Some(unit) = self.waiting.remove(index) else { return };
        let at = unit.pts.to_room_time();
        if unit.is_idr {
            self.order_is_unsure = false;
        } else if self.order_is_unsure && at <= self.last {
            self.stats.late += 1;
            return;
        }
        self.last = at;
        self.stats.pictures += 1;
        self.stats.concealed += u64::from(unit.is_guessed);
        let Waiting { pts, colour, is_guessed: is_concealed, .. } = unit;
        sink(&DecodedPicture { picture, pts, colour, is_concealed });
    }
}
