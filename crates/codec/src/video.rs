use recorder_types::{Sample, Size, Timestamp};

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
