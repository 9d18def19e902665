//! The pictures of a lane of segments, decoded, in order of display.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use recorder_codec::{Codec, CodecError, LibraryError};
use recorder_compositor::{Colour, Matrix, Range};
use recorder_hls::index::Samples;
use recorder_types::h264::{self, Units, nal_type};
use recorder_types::{MediaKind, NalFraming, Size};

use crate::error::MergeError;
use crate::job::Job;

/// `matrix_coefficients` that are BT.601 in all but name (ITU-T H.264 table E-5).
const BT601: [u8; 3] = [4, 5, 6];

/// A decoded picture.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) size: Size,
    /// Planes Y, U, V in 4:2:0 behind each other.
    pub(crate) planes: Vec<u8>,
    pub(crate) colour: Colour,
    /// Ticks of 90 kHz after the output's zero.
    pub(crate) pts: i64,
}

/// Decodes segment after segment. Pictures that cannot be decoded are left out: the one before them stays.
pub(crate) struct Pictures {
    lane: VecDeque<usize>,
    decoder: Decoder,
    current: Option<Current>,
    /// Times of pictures that went into the decoder and did not come out, earliest first.
    times: BinaryHeap<Reverse<i64>>,
    colour: Option<Colour>,
    ready: VecDeque<Decoded>,
    ended: bool,
}

struct Current {
    samples: Samples,
    sets: VecDeque<(u32, Vec<Bytes>)>,
    number: u32,
    offset: i64,
}

impl Pictures {
    pub(crate) fn new(lane: VecDeque<usize>) -> Result<Self, CodecError> {
        Ok(Self {
            lane,
            decoder: decoder()?,
            current: None,
            times: BinaryHeap::new(),
            colour: None,
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// The next picture in order of display.
    pub(crate) fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Decoded>, MergeError> {
        loop {
            if let Some(picture) = self.ready.pop_front() {
                return Ok(Some(picture));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(current) = &mut self.current else {
                self.open(job)?;
                continue;
            };
            let Some(sample) = current.samples.by_ref().find_map(Result::ok) else {
                self.current = None;
                continue;
            };
            if sample.kind != MediaKind::Video {
                continue;
            }
            let mut unit = Vec::with_capacity(sample.data.len() + 256);
            while current.sets.front().is_some_and(|(from, _)| *from <= current.number) {
                for set in current.sets.pop_front().into_iter().flat_map(|(_, sets)| sets) {
                    if h264::unit_type(&set) == Some(nal_type::SPS) {
                        self.colour = told_colour(&set);
                    }
                    push_unit(&mut unit, &set);
                }
            }
            current.number += 1;
            let framing = NalFraming::LengthPrefixed { length_bytes: 4 };
            Units::new(&sample.data, framing)
                .filter_map(Result::ok)
                .for_each(|nal| push_unit(&mut unit, nal));
            let pts = sample.pts.saturating_add(current.offset);
            self.decode(&unit, pts);
        }
    }

    fn open(&mut self, job: &mut Job<'_>) -> Result<(), MergeError> {
        let Some(number) = self.lane.pop_front() else {
            self.flush();
            self.ended = true;
            return Ok(());
        };
        let Some(loaded) = job.load(number)? else { return Ok(()) };
        let Some(video) = loaded.index.video() else { return Ok(()) };
        let first = (0, video.parameter_sets().to_vec());
        let changes = video.set_changes().map(|(from, sets)| (from, sets.to_vec()));
        let sets = std::iter::once(first).chain(changes).collect();
        if video.pictures().next().is_some_and(|first| first.sync) {
            // Nothing after a key frame is shown before what was there.
            self.flush();
        }
        self.current =
            Some(Current { samples: Samples::new(loaded.data), sets, number: 0, offset: loaded.offset });
        Ok(())
    }

    fn decode(&mut self, unit: &[u8], pts: i64) {
        self.times.push(Reverse(pts));
        match self.decoder.decode(unit) {
            Ok(Some(picture)) => {
                let Some(Reverse(pts)) = self.times.pop() else { return };
                self.ready.extend(keep(&picture, self.colour, pts));
            }
            Ok(None) => {}
            // Damaged, or predicted from what is not there.
            Err(_) => self.times.retain(|Reverse(time)| *time != pts),
        }
    }

    fn flush(&mut self) {
        if let Ok(pictures) = self.decoder.flush_remaining() {
            for picture in pictures {
                let Some(Reverse(pts)) = self.times.pop() else { break };
                self.ready.extend(keep(&picture, self.colour, pts));
            }
        }
        self.times.clear();
    }
}

fn decoder() -> Result<Decoder, CodecError> {
    // Flushing after each picture loses those that are reordered.
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    Decoder::with_api_config(OpenH264API::from_source(), config)
        .map_err(|error| CodecError::Library { codec: Codec::H264, source: LibraryError::new(error) })
}

fn push_unit(out: &mut Vec<u8>, unit: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(unit);
}

/// What the VUI says of the samples, where it says it.
fn told_colour(sps: &[u8]) -> Option<Colour> {
    let vui = h264::parse_sps(sps).ok()?.vui_parameters?;
    let signal = vui.video_signal_type?;
    let range = if signal.video_full_range_flag { Range::Full } else { Range::Limited };
    let matrix = match signal.colour_description?.matrix_coefficients {
        1 => Matrix::Bt709,
        other if BT601.contains(&other) => Matrix::Bt601,
        _ => return None,
    };
    Some(Colour { matrix, range })
}

/// A copy of a picture that belongs to the decoder.
fn keep(picture: &DecodedYUV<'_>, colour: Option<Colour>, pts: i64) -> Option<Decoded> {
    let (width, height) = picture.dimensions();
    let size = Size::new(u32::try_from(width).ok()?, u32::try_from(height).ok()?)?;
    let (luma, u, v) = picture.strides();
    let chroma = (width.div_ceil(2), height.div_ceil(2));
    let mut planes = Vec::with_capacity(width * height + 2 * chroma.0 * chroma.1);
    for (data, stride, (width, height)) in
        [(picture.y(), luma, (width, height)), (picture.u(), u, chroma), (picture.v(), v, chroma)]
    {
        for row in data.chunks(stride.max(1)).take(height) {
            planes.extend_from_slice(row.get(..width)?);
        }
    }
    Some(Decoded { size, planes, colour: colour.unwrap_or_else(|| Colour::implied_by(size)), pts })
}
