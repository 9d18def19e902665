use recorder_types::Size;

use crate::ComposeError;
use crate::colour::{Colour, Conversion, Yuv};
use crate::geometry::{PlaneRect, Rect};
use crate::kernel::Level;

/// The longest side of a picture, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// Where planes begin in an owned picture, in bytes: a whole cache line.
const ALIGNMENT: usize = 64;

/// One plane of a picture: rows of `stride` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// `stride * (rows - 1) + width` bytes or more; the rest is not read.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed picture in planar 4:2:0, 8 bit; chroma planes are half as wide and high, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    size: Size,
    planes: [Plane<'a>; 3],
}

impl<'a> Picture<'a> {
    /// A picture of `size` from its planes Y, U (Cb) and V (Cr). Strides may differ.
    ///
    /// # Errors
    /// [`ComposeError::Planes`] if a plane is narrower or shorter than `size` needs, [`ComposeError::TooLarge`] if
    /// a side is over [`MAX_SIDE`].
    pub fn new(size: Size, planes: [Plane<'a>; 3]) -> Result<Self, ComposeError> {
        check_size(size)?;
        for (index, plane) in planes.iter().enumerate() {
            let PlaneRect { width, height, .. } = Rect::whole(size).in_plane(index);
            let needed = plane.stride.checked_mul(height - 1).and_then(|len| len.checked_add(width));
            if plane.stride < width || needed.is_none_or(|needed| plane.data.len() < needed) {
                return Err(ComposeError::Planes { size });
            }
        }
        Ok(Self { size, planes })
    }

    /// A picture whose three planes follow each other in `data` without padding.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn packed(size: Size, data: &'a [u8]) -> Result<Self, ComposeError> {
        check_size(size)?;
        let mut rest = data;
        let mut planes = [Plane { data: &[], stride: 0 }; 3];
        for (index, plane) in planes.iter_mut().enumerate() {
            let PlaneRect { width, height, .. } = Rect::whole(size).in_plane(index);
            let (head, tail) = rest.split_at_checked(width * height).ok_or(ComposeError::Planes { size })?;
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

    /// Plane `index` inside `rect`, which fits the picture.
    pub(crate) fn view(&self, index: usize, rect: Rect) -> Rows<'a> {
        debug_assert!(rect.fits(self.size));
        let Plane { data, stride } = self.planes[index];
        let PlaneRect { left, top, width, height } = rect.in_plane(index);
        Rows { data: &data[top * stride + left..], stride, width, height }
    }
}

/// An owned picture in planar 4:2:0, 8 bit, without padding between rows, that can be used again and again.
#[derive(Clone, Debug)]
pub struct PictureBuffer {
    size: Size,
    data: Vec<u8>,
    /// Where each plane begins, aligned.
    starts: [usize; 3],
}

impl PictureBuffer {
    /// A black picture of limited range.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if a side is over [`MAX_SIDE`].
    pub fn new(size: Size) -> Result<Self, ComposeError> {
        check_size(size)?;
        let area = |index| {
            let PlaneRect { width, height, .. } = Rect::whole(size).in_plane(index);
            (width * height).next_multiple_of(ALIGNMENT)
        };
        let data = vec![0; ALIGNMENT + area(0) + area(1) * 2];
        let first = data.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let starts = [first, first + area(0), first + area(0) + area(1)];
        let mut picture = Self { size, data, starts };
        picture.fill_checked(Rect::whole(size), Yuv { y: 16, u: 128, v: 128 });
        Ok(picture)
    }

    /// Width and height of the luma plane.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The picture, to read. Strides are the planes' widths.
    #[must_use]
    pub fn as_picture(&self) -> Picture<'_> {
        let planes = std::array::from_fn(|index| {
            let PlaneRect { width, height, .. } = Rect::whole(self.size).in_plane(index);
            let start = self.starts[index];
            Plane { data: &self.data[start..start + width * height], stride: width }
        });
        Picture { size: self.size, planes }
    }

    /// Becomes a copy of `picture`, its size too; memory is asked for only where the size is another.
    pub fn store(&mut self, picture: Picture<'_>) {
        if picture.size() != self.size {
            *self = Self::new(picture.size()).expect("a picture is within the limit");
        }
        let whole = Rect::whole(self.size);
        self.copy_from(picture, whole, whole);
    }

    /// Fills `rect` with one colour. Chroma is filled where any of its pixels is inside.
    ///
    /// # Errors
    /// [`ComposeError::Outside`] if `rect` lies partly outside; nothing was drawn.
    pub fn fill(&mut self, rect: Rect, with: Yuv) -> Result<(), ComposeError> {
        if !rect.fits(self.size) {
            return Err(ComposeError::Outside { rect, size: self.size });
        }
        self.fill_checked(rect, with);
        Ok(())
    }

    pub(crate) fn fill_checked(&mut self, rect: Rect, with: Yuv) {
        for (index, value) in [with.y, with.u, with.v].into_iter().enumerate() {
            let mut rows = self.view_mut(index, rect);
            for y in 0..rows.height {
                rows.row(y).fill(value);
            }
        }
    }

    /// Turns samples of `from` into samples of `to`, in integers, each within 2 of the exact value.
    ///
    /// Luma takes its chroma from the row of its pair, between two columns from both.
    pub fn convert(&mut self, from: Colour, to: Colour, level: Level) {
        if let Some(conversion) = Conversion::between(from, to) {
            conversion.apply(self, Rect::whole(self.size), level, &mut Vec::new());
        }
    }

    /// Plane `index` inside `rect`, to write; `rect` fits the picture.
    pub(crate) fn view_mut(&mut self, index: usize, rect: Rect) -> RowsMut<'_> {
        debug_assert!(rect.fits(self.size));
        let whole = Rect::whole(self.size).in_plane(index);
        let PlaneRect { left, top, width, height } = rect.in_plane(index);
        let start = self.starts[index];
        let data = &mut self.data[start..start + whole.width * whole.height];
        RowsMut { data: &mut data[top * whole.width + left..], stride: whole.width, width, height }
    }

    /// All three planes inside `rect`, to write at the same time.
    pub(crate) fn views_mut(&mut self, rect: Rect) -> [RowsMut<'_>; 3] {
        debug_assert!(rect.fits(self.size));
        let [_, u, v] = self.starts;
        let (y_data, rest) = self.data.split_at_mut(u);
        let (u_data, v_data) = rest.split_at_mut(v - u);
        let y_data = &mut y_data[self.starts[0]..];
        let whole = Rect::whole(self.size);
        let mut index = 0;
        [y_data, u_data, v_data].map(|data| {
            let stride = whole.in_plane(index).width;
            let PlaneRect { left, top, width, height } = rect.in_plane(index);
            index += 1;
            RowsMut { data: &mut data[top * stride + left..], stride, width, height }
        })
    }

    /// Copies `rect` of `source` to `target`, which has its size; both fit, left and top are even.
    pub(crate) fn copy_from(&mut self, source: Picture<'_>, rect: Rect, target: Rect) {
        debug_assert_eq!(rect.size(), target.size());
        for index in 0..3 {
            let from = source.view(index, rect);
            let mut to = self.view_mut(index, target);
            for y in 0..to.height {
                to.row(y).copy_from_slice(from.row(y));
            }
        }
    }
}

fn check_size(size: Size) -> Result<(), ComposeError> {
    if size.width() > MAX_SIDE || size.height() > MAX_SIDE {
        return Err(ComposeError::TooLarge { size });
    }
    Ok(())
}

/// A rectangle of one plane, to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// From the first sample of the first row.
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        debug_assert!(y < self.height);
        &self.data[y * self.stride..][..self.width]
    }
}

/// A rectangle of one plane, to write.
#[derive(Debug)]
pub(crate) struct RowsMut<'a> {
    data: &'a mut [u8],
    stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl RowsMut<'_> {
    pub(crate) fn row(&mut self, y: usize) -> &mut [u8] {
        debug_assert!(y < self.height);
        &mut self.data[y * self.stride..][..self.width]
    }
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
            assert_eq!(Picture::packed(size, &vec![0; bytes]).is_ok(), fits, "{size} in {bytes} bytes");
        }
        let size = Size::new(4, 2).unwrap();
        let plane = |stride| Plane { data: &[0; 16], stride };
        assert!(Picture::new(size, [plane(8), plane(3), plane(2)]).is_ok());
        assert!(Picture::new(size, [plane(12), plane(2), plane(2)]).is_ok(), "the last row needs no padding");
        assert!(Picture::new(size, [plane(3), plane(2), plane(2)]).is_err());
        assert!(Picture::new(size, [plane(13), plane(2), plane(2)]).is_err());
        assert!(Picture::new(size, [plane(4), plane(usize::MAX), plane(2)]).is_ok(), "one row of chroma");
        let huge = Size::new(MAX_SIDE + 1, 2).unwrap();
        assert!(matches!(Picture::packed(huge, &[]), Err(ComposeError::TooLarge { size }) if size == huge));
        assert!(PictureBuffer::new(huge).is_err());
    }

    #[test]
    fn a_new_buffer_is_black_and_aligned() {
        for (width, height) in [(1, 1), (7, 5), (64, 36)] {
            let buffer = PictureBuffer::new(Size::new(width, height).unwrap()).unwrap();
            let picture = buffer.as_picture();
            for (plane, value) in picture.planes().iter().zip([16, 128, 128]) {
                assert!(plane.data.iter().all(|byte| *byte == value));
                assert_eq!(plane.data.as_ptr().align_offset(64), 0);
            }
        }
    }
}
