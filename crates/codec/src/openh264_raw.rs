//! The one place that calls OpenH264 past its safe wrapper.
//!
//! The wrapper (openh264 0.9.9) cannot do three things that a recorder needs: give a picture the time of its access
//! unit, conceal damage, and keep the encoder from writing to stderr.
#![expect(unsafe_code, reason = "timestamps, concealment and the trace level are only in the raw interface")]

use std::ptr;

use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::Encoder;
use openh264_sys2::{
    DECODER_OPTION_ERROR_CON_IDC, DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER, DECODING_STATE,
    ENCODER_OPTION_TRACE_LEVEL, ERROR_CON_FRAME_COPY_CROSS_IDR, SBufferInfo, WELS_LOG_QUIET,
    dsDataErrorConcealed, dsErrorFree, dsInvalidArgument, dsNoParamSets, videoFormatI420,
};
use recorder_types::Size;
use recorder_types::h264::{nal_type, unit_type};

use crate::{I420, Plane};

/// Pictures that the library holds back for reordering at most (`m_sPictInfoList`).
const HELD_MAX: usize = 16;

/// What the library said of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(DECODING_STATE);

impl State {
    /// Decoded as it was sent.
    pub(crate) const fn is_clean(self) -> bool {
        self.0 == dsErrorFree
    }

    /// All or part of the picture is guessed, and nothing else was found: slices are missing, or a picture that it
    /// needs was guessed itself.
    pub(crate) const fn is_only_guessed(self) -> bool {
        self.0 == dsDataErrorConcealed
    }

    /// It does not have the parameter sets: never sent, or forgotten when it started anew by itself.
    pub(crate) const fn lacks_parameter_sets(self) -> bool {
        self.0 & dsNoParamSets != 0
    }

    /// Not the stream but the library is at fault: it was not started, or is out of memory.
    pub(crate) const fn is_fault(self) -> bool {
        self.0 >= dsInvalidArgument
    }
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// NAL units as the library takes them, each with a start code before it.
#[derive(Debug, Default)]
pub(crate) struct UnitStream {
    bytes: Vec<u8>,
    /// Where each unit ends.
    ends: Vec<usize>,
}

impl UnitStream {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn push(&mut self, unit: &[u8]) {
        self.bytes.extend_from_slice(&START_CODE);
        self.bytes.extend_from_slice(unit);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }
}

/// A picture in the library's memory, and the id of the access unit it came from.
pub(crate) type Picture<'a> = (u64, I420<'a>);

/// An OpenH264 decoder on the caller's thread, with concealment.
pub(crate) struct RawDecoder {
    inner: Decoder,
}

impl RawDecoder {
    pub(crate) fn new() -> Result<Self, openh264::Error> {
        // Flushing after each picture, the default, fails where pictures are reordered.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let mut inner = Decoder::with_api_config(OpenH264API::from_source(), config)?;
        // A picture with something missing is the one before it once more, across IDR pictures too.
        let mut concealment = ERROR_CON_FRAME_COPY_CROSS_IDR;
        // SAFETY: the option is an `int` (codec_app_def.h) that the library reads during the call; the decoder is
        // initialised, as it exists; none of the options that the wrapper relies on is touched.
        let result = unsafe {
            inner.raw_api().set_option(DECODER_OPTION_ERROR_CON_IDC, ptr::from_mut(&mut concealment).cast())
        };
        if result != 0 {
            return Err(openh264::Error::msg("concealment was refused"));
        }
        Ok(Self { inner })
    }

    /// Decodes one access unit and gives what is ready to be shown: mostly none or one picture, more if the unit holds
    /// more than one.
    pub(crate) fn decode(
        &mut self,
        units: &UnitStream,
        id: u64,
        sink: &mut dyn FnMut(State, Picture<'_>),
    ) -> State {
        let mut all = dsErrorFree;
        // The library decodes a unit when the next begins. A delimiter also tells it that no slice is missing that may
        // still come, so that it conceals what it does not have now, and not when the next access unit comes.
        let [a, b, c, d] = START_CODE;
        let delimiter = [a, b, c, d, nal_type::AUD, 0xF0];
        // Each in a call of its own, since the library leaves the rest of a call unread after an error.
        for unit in units.iter().chain([&delimiter[..]]) {
            let Ok(len) = i32::try_from(unit.len()) else { return State(dsInvalidArgument) };
            let state = self.decode_part(unit.as_ptr(), len, id, sink);
            // What is wrong with a parameter set shows where a slice needs it.
            let is_set = matches!(unit_type(&unit[START_CODE.len()..]), Some(nal_type::SPS | nal_type::PPS));
            if !is_set || state.is_fault() {
                all |= state.0;
            }
        }
        State(all)
    }

    /// `data` points to `len` bytes, or is null at the end.
    fn decode_part(
        &mut self,
        data: *const u8,
        len: i32,
        id: u64,
        sink: &mut dyn FnMut(State, Picture<'_>),
    ) -> State {
        let mut planes = [ptr::null_mut::<u8>(); 3];
        let mut info = SBufferInfo { uiInBsTimeStamp: id, ..SBufferInfo::default() };
        // SAFETY: `data` is null or valid for `len` bytes (both callers), which the library copies
        // before it parses; `planes` and `info` are valid for writes and as large as the interface says (three
        // pointers, one `SBufferInfo`); the decoder is initialised. Nothing else uses it now: `&mut self`.
        let state = State(unsafe {
            self.inner.raw_api().decode_frame2(
                data,
                len,
                ptr::from_mut(&mut planes).cast(),
                ptr::from_mut(&mut info),
            )
        });
        if let Some(output) = self.output(planes, &info) {
            sink(state, output);
        }
        state
    }

    /// Gives the pictures that were held back. Afterwards the library must not be used again: as used here, without
    /// threads, it does not release the memory of what it flushed (`m_pPicBuff` is null then), and runs out of it.
    pub(crate) fn drain(mut self, sink: &mut dyn FnMut(Picture<'_>)) {
        // It gives what it holds only after it was told that nothing follows.
        self.decode_part(ptr::null(), 0, 0, &mut |_, output| sink(output));
        for _ in 0..HELD_MAX {
            let mut held = 0;
            // SAFETY: the option is an `int` that the library writes during the call.
            let result = unsafe {
                let held = ptr::from_mut::<i32>(&mut held).cast();
                self.inner.raw_api().get_option(DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER, held)
            };
            if result != 0 || held <= 0 {
                return;
            }
            let mut planes = [ptr::null_mut::<u8>(); 3];
            let mut info = SBufferInfo::default();
            // SAFETY: as in `decode_part`.
            unsafe {
                self.inner.raw_api().flush_frame(ptr::from_mut(&mut planes).cast(), ptr::from_mut(&mut info));
            }
            match self.output(planes, &info) {
                Some(output) => sink(output),
                None => return,
            }
        }
    }

    /// The picture that a call gave, if it gave one that fits its own description. It borrows `self`, so that no
    /// call to the library is possible while it is in use.
    fn output(&self, planes: [*mut u8; 3], info: &SBufferInfo) -> Option<Picture<'_>> {
        if info.iBufferStatus != 1 || planes.iter().any(|plane| plane.is_null()) {
            return None;
        }
        // SAFETY: the decoder only ever writes this variant of the union, and zero, as which it began, is a valid
        // value of it.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        if buffer.iFormat != videoFormatI420 {
            return None;
        }
        let size = Size::new(u32::try_from(buffer.iWidth).ok()?, u32::try_from(buffer.iHeight).ok()?)?;
        let (width, height) = (usize::try_from(buffer.iWidth).ok()?, usize::try_from(buffer.iHeight).ok()?);
        let strides = [buffer.iStride[0], buffer.iStride[1], buffer.iStride[1]];
        let mut picture = [Plane { data: &[], stride: 0 }; 3];
        for (index, plane) in picture.iter_mut().enumerate() {
            let (width, height) =
                if index == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
            let stride = usize::try_from(strides[index]).ok().filter(|stride| *stride >= width)?;
            let len = stride.checked_mul(height)?;
            // SAFETY: the library says that a picture is ready (`iBufferStatus`), that its planes begin at these
            // pointers (after cropping, not null) and that rows of `width` bytes are `stride` apart. `len` may run
            // past the last row by less than one row, which is still the plane's: it is padded to whole macroblocks
            // and by 32 luma rows more on each side (PADDING_LENGTH, pic_queue.cpp), and `AllocPicture` sets all of
            // it. It is written again at the earliest by the decoder's next call, which the borrow of `self` holds
            // off.
            plane.data = unsafe { std::slice::from_raw_parts(planes[index], len) };
            plane.stride = stride;
        }
        Some((info.uiOutYuvTimeStamp, I420::new(size, picture).ok()?))
    }
}

/// Keeps the encoder from writing warnings to stderr when it starts. What it would say, about parameters that were
/// not set, cannot be changed through its wrapper.
pub(crate) fn silence(encoder: &mut Encoder) {
    let mut level = WELS_LOG_QUIET;
    // SAFETY: the option is an `int` that the library reads during the call. It is the one option that may be set
    // before the encoder is initialised, and the wrapper sets it to the same value later.
    let _ =
        unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, ptr::from_mut(&mut level).cast()) };
}
