use recorder_types::{H264Config, Sample, Size, Timestamp};

use crate::CodecError;

/// One plane of a picture: rows of `stride` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// `stride * rows` bytes or more; the rest is not read.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed picture in planar 4:2:0, 8 bit; chroma planes are half as wide and high, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct I420<'a> {
    size: Size,
    planes: [Plane<'a>; 3],
}

impl<'a> I420<'a> {
    /// A picture of `size` from its planes Y, U (Cb) and V (Cr).
    ///
    /// # Errors
    /// [`CodecError::Planes`] if a plane is narrower or shorter than `size` needs, or if the strides of U and V
    /// differ.
    pub fn new(size: Size, planes: [Plane<'a>; 3]) -> Result<Self, CodecError> {
        let fits = planes.iter().enumerate().all(|(index, plane)| {
            let Some((width, height)) = plane_size(size, index) else { return false };
            plane.stride >= width
                && plane.stride.checked_mul(height).is_some_and(|len| plane.data.len() >= len)
        });
        if !fits || planes[1].stride != planes[2].stride {
            return Err(CodecError::Planes { size });
        }
        Ok(Self { size, planes })
    }

    /// A picture whose three planes follow each other in `data` without padding.
    ///
    /// # Errors
    /// [`CodecError::Planes`] if `data` is shorter than that.
    pub fn packed(size: Size, data: &'a [u8]) -> Result<Self, CodecError> {
        let short = || CodecError::Planes { size };
        let mut rest = data;
        let mut planes = [Plane { data: &[], stride: 0 }; 3];
        for (index, plane) in planes.iter_mut().enumerate() {
            let (width, height) = plane_size(size, index).ok_or_else(short)?;
            let len = width.checked_mul(height).ok_or_else(short)?;
            let (head, tail) = rest.split_at_checked(len).ok_or_else(short)?;
            *plane = Plane { data: head, stride: width };
            rest = tail;
        }
        Self::new(size, planes)
    }

    /// Width and height of the luma plane.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Y, U and V.
    #[must_use]
    pub const fn planes(&self) -> &[Plane<'a>; 3] {
        &self.planes
    }
}

/// Width and height of the plane with this index.
fn plane_size(size: Size, index: usize) -> Option<(usize, usize)> {
    let side = |pixels: u32| {
        let pixels = usize::try_from(pixels).ok()?;
        Some(if index == 0 { pixels } else { pixels.div_ceil(2) })
    };
    Some((side(size.width())?, side(size.height())?))
}

/// What a stream tells of its colours, as codes of ITU-T H.273; `None` where it does not tell, or tells
/// "unspecified".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PictureColour {
    /// `matrix_coefficients`: 1 is BT.709; 5 and 6 are BT.601.
    pub matrix: Option<u8>,
    /// Whether samples use 0 to 255, and not 16 to 235 (240 for chroma). Not told means not.
    pub full_range: bool,
    /// `colour_primaries`.
    pub primaries: Option<u8>,
    /// `transfer_characteristics`.
    pub transfer: Option<u8>,
}

/// A decoded picture in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub struct DecodedPicture<'a> {
    /// The samples. Size and strides may be others than those of the picture before.
    pub picture: I420<'a>,
    /// The time of the access unit it came from.
    pub pts: Timestamp,
    /// As the parameter sets of its access unit tell.
    pub colour: PictureColour,
    /// Whether all or part of it is guessed: its access unit was damaged, or it is predicted from a picture that was
    /// guessed.
    pub is_concealed: bool,
}

/// A picture with memory of its own, which is kept from picture to picture.
#[derive(Clone, Debug)]
pub struct PictureBuffer {
    size: Size,
    data: Vec<u8>,
}

impl PictureBuffer {
    /// A copy of `picture`, without padding.
    #[must_use]
    pub fn new(picture: &I420<'_>) -> Self {
        let mut buffer = Self { size: picture.size, data: Vec::new() };
        buffer.store(picture);
        buffer
    }

    /// Copies `picture` over what is held. Memory is taken only for a picture larger than all before.
    pub fn store(&mut self, picture: &I420<'_>) {
        self.size = picture.size;
        self.data.clear();
        for (index, plane) in picture.planes.iter().enumerate() {
            // A picture that exists has planes that are wide and high enough.
            let Some((width, height)) = plane_size(self.size, index) else { continue };
            if plane.stride == width {
                self.data.extend_from_slice(&plane.data[..width * height]);
            } else {
                for row in plane.data.chunks(plane.stride).take(height) {
                    self.data.extend_from_slice(&row[..width]);
                }
            }
        }
    }

    /// The picture, without padding.
    #[must_use]
    pub fn as_i420(&self) -> I420<'_> {
        I420::packed(self.size, &self.data).expect("the buffer holds the picture stored last")
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Y, U and V behind each other, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }
}

/// What takes the pictures of a [`VideoDecoder`], one by one.
pub type PictureSink<'a> = dyn FnMut(&DecodedPicture<'_>) + 'a;

/// Turns H.264 access units into pictures.
///
/// Access units come in decode order, pictures leave in the order of display, each with the time of its access unit.
/// How many are held back is up to the stream. No input is an error: what is damaged is concealed where that can be
/// done and counted in [`DecoderStats`]; what cannot be decoded gives no picture, and the next may.
pub trait VideoDecoder: Send {
    /// Tells how the access units from the next on are framed, and the parameter sets that come outside of them.
    /// Parameter sets of the same ids take the place of those before.
    ///
    /// # Errors
    /// [`CodecError::Library`]. The decoder is as before.
    fn configure(&mut self, config: &H264Config) -> Result<(), CodecError>;

    /// Decodes one access unit and gives the pictures that are due to `sink`.
    ///
    /// # Errors
    /// [`CodecError::Library`] only: the access unit is lost, and the next that is decoded is a key frame.
    fn decode(&mut self, unit: &Sample, sink: &mut PictureSink<'_>) -> Result<(), CodecError>;

    /// Gives the pictures that are held back, as at the end of a stream. The next access unit begins a stream: what
    /// comes before its first key frame is left out. The parameter sets stay.
    ///
    /// # Errors
    /// [`CodecError::Library`]: what was held back is lost.
    fn flush(&mut self, sink: &mut PictureSink<'_>) -> Result<(), CodecError>;

    /// What has happened since the decoder was made.
    fn stats(&self) -> DecoderStats;
}

/// Counts of a [`VideoDecoder`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecoderStats {
    /// Access units that came in.
    pub units: u64,
    /// Pictures that went out.
    pub pictures: u64,
    /// Of these, pictures that are guessed ([`DecodedPicture::is_concealed`]).
    pub concealed: u64,
    /// Access units left out because decoding cannot start there, or their parameter sets are missing or refused.
    pub before_key: u64,
    /// Access units in which data was found damaged or missing, with a picture or without. What only follows from
    /// damage before it is not counted again.
    pub damaged: u64,
    /// Pictures left out since, after damage, they came behind one that is shown later.
    pub late: u64,
    /// Times that the library gave up and was started anew.
    pub restarts: u64,
}

/// What the next picture is coded as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PictureKind {
    /// As the encoder sees fit: a key frame at the start, at a new size and every key frame distance.
    #[default]
    Any,
    /// A key frame: with its parameter sets before it, decoding can start here.
    Key,
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// The access unit, Annex B.
    pub sample: Sample,
    /// Whether decoding can start here (an IDR with its parameter sets).
    pub is_key: bool,
}

/// Turns pictures into H.264 access units with start codes (ITU-T H.264 Annex B).
///
/// Pictures come in order of their time. An encoder may hold pictures back; each comes out once, in decode order.
pub trait VideoEncoder: Send {
    /// Takes one picture and appends what is complete to `out`.
    ///
    /// # Errors
    /// Faults of the caller ([`CodecError::PictureSize`], [`CodecError::PictureTime`]) leave the encoder as
    /// before. [`CodecError::Library`] loses this picture: ask for [`PictureKind::Key`] next.
    fn encode(
        &mut self,
        picture: &I420<'_>,
        pts: Timestamp,
        kind: PictureKind,
        out: &mut Vec<EncodedPicture>,
    ) -> Result<(), CodecError>;

    /// Appends the pictures that were held back.
    ///
    /// # Errors
    /// [`CodecError::Library`]: what was held back is lost.
    fn finish(&mut self, out: &mut Vec<EncodedPicture>) -> Result<(), CodecError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_must_hold_the_picture() {
        for (width, height, bytes, fits) in
            [(4, 4, 24, true), (4, 4, 23, false), (3, 3, 17, true), (3, 3, 16, false), (1, 1, 3, true)]
        {
            let size = Size::new(width, height).unwrap();
            assert_eq!(I420::packed(size, &vec![0; bytes]).is_ok(), fits, "{size} in {bytes} bytes");
        }
        let size = Size::new(4, 2).unwrap();
        let plane = |stride| Plane { data: &[0; 16], stride };
        assert!(I420::new(size, [plane(8), plane(3), plane(3)]).is_ok());
        assert!(I420::new(size, [plane(3), plane(2), plane(2)]).is_err());
        assert!(I420::new(size, [plane(9), plane(2), plane(2)]).is_err());
        assert!(I420::new(size, [plane(4), plane(2), plane(3)]).is_err());
        assert!(I420::new(size, [plane(usize::MAX), plane(2), plane(2)]).is_err());
    }
}
