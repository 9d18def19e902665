use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder};
use image::{ColorType, ImageDecoder, ImageError, Limits};
use recorder_types::Size;

use crate::bitmap::Bitmap;

/// The longest image file that is looked at: 5 MB, as the recording API has it.
pub const MAX_IMAGE_BYTES: usize = 5_000_000;
/// The longest side of an image file, in pixels.
pub const MAX_IMAGE_SIDE: u32 = 4096;
/// What the pixels of an image file may take in memory, in bytes, as they are stored there and as RGBA: 64 MiB.
const MAX_PIXEL_BYTES: u64 = 64 << 20;

/// Why an image was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BitmapError {
    /// The file is over [`MAX_IMAGE_BYTES`]; nothing of it was looked at.
    #[error("an image of {len} bytes is over the limit of {MAX_IMAGE_BYTES}")]
    TooLong {
        /// Of the file.
        len: usize,
    },
    /// The file says a size over [`MAX_IMAGE_SIDE`] or 64 MiB of pixels; no pixel was decoded.
    #[error("an image of {width}x{height} is over the limit")]
    TooLarge {
        /// As the file has it.
        width: u32,
        /// As the file has it.
        height: u32,
    },
    /// The file is neither PNG nor JPEG by its first bytes.
    #[error("neither PNG nor JPEG")]
    Format,
    /// The file is damaged, or of a kind that is not decoded (a JPEG with four colours).
    #[error("the image cannot be decoded")]
    Damaged(#[source] ImageError),
}

impl Bitmap {
    /// Decodes a PNG or JPEG file, told by its content and not by its name.
    ///
    /// Samples of 16 bits are rounded to 8, greys become red, green and blue alike, an animation is its first
    /// picture; colour profiles, orientation and other metadata are left out. The memory taken is at most 64 MiB for
    /// the pixels, beside what the decoder holds: some rows for PNG (and up to 64 MiB for a colour profile), up to 6
    /// bytes a pixel for a progressive JPEG. Takes up to a second: not for a thread that must not wait.
    ///
    /// # Errors
    /// [`BitmapError`]; a file over a limit is refused before memory is taken for its pixels.
    pub fn decode(file: &[u8]) -> Result<Self, BitmapError> {
        if file.len() > MAX_IMAGE_BYTES {
            return Err(BitmapError::TooLong { len: file.len() });
        }
        let reader = Cursor::new(file);
        match image::guess_format(file) {
            Ok(image::ImageFormat::Png) => {
                check_side(png_size(file))?;
                read(PngDecoder::with_limits(reader, limits()).map_err(BitmapError::Damaged)?)
            }
            Ok(image::ImageFormat::Jpeg) => read(JpegDecoder::new(reader).map_err(BitmapError::Damaged)?),
            _ => Err(BitmapError::Format),
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    limits.max_alloc = Some(MAX_PIXEL_BYTES);
    limits
}

/// Width and height as a PNG has them in its first chunk; `None` if it ends before.
fn png_size(file: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    Some((side(16)?, side(20)?))
}

fn check_side(size: Option<(u32, u32)>) -> Result<(), BitmapError> {
    match size {
        Some((width, height)) if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE => {
            Err(BitmapError::TooLarge { width, height })
        }
        _ => Ok(()),
    }
}

fn read(mut decoder: impl ImageDecoder) -> Result<Bitmap, BitmapError> {
    let (width, height) = decoder.dimensions();
    check_side(Some((width, height)))?;
    let too_large = BitmapError::TooLarge { width, height };
    let size = Size::new(width, height).ok_or(BitmapError::Format)?;
    let colour = decoder.color_type();
    let stored = decoder.total_bytes();
    let as_rgba = u64::from(width) * u64::from(height) * 4;
    if stored.max(as_rgba) > MAX_PIXEL_BYTES {
        return Err(too_large);
    }
    decoder.set_limits(limits()).map_err(BitmapError::Damaged)?;
    let index = |bytes: u64| usize::try_from(bytes).expect("64 MiB at most");
    let (stored, as_rgba) = (index(stored), index(as_rgba));
    let mut bytes = vec![0; stored.max(as_rgba)];
    decoder.read_image(&mut bytes[..stored]).map_err(BitmapError::Damaged)?;
    to_rgba(&mut bytes, colour, as_rgba / 4);
    bytes.truncate(as_rgba);
    bytes.shrink_to_fit();
    Ok(Bitmap::new(size, bytes).expect("four bytes a pixel, within the limit"))
}

/// Spreads (from the end) or gathers (from the start) `count` pixels in place.
fn to_rgba(bytes: &mut [u8], colour: ColorType, count: usize) {
    let stored = usize::from(colour.bytes_per_pixel());
    let samples = usize::from(colour.channel_count());
    let step = stored / samples;
    let mut convert = |pixel: usize| {
        let sample = |k: usize| match bytes[pixel * stored + k * step..][..step] {
            [first, second] => eight_bits(u16::from_ne_bytes([first, second])),
            ref one => one[0],
        };
        let rgba = match samples {
            1 => [sample(0), sample(0), sample(0), 255],
            2 => [sample(0), sample(0), sample(0), sample(1)],
            3 => [sample(0), sample(1), sample(2), 255],
            _ => [sample(0), sample(1), sample(2), sample(3)],
        };
        bytes[pixel * 4..][..4].copy_from_slice(&rgba);
    };
    match stored {
        4 if step == 1 => {}
        0..4 => (0..count).rev().for_each(&mut convert),
        _ => (0..count).for_each(&mut convert),
    }
}

/// `value / 257` to nearest.
fn eight_bits(value: u16) -> u8 {
    u8::try_from((u32::from(value) + 128) / 257).expect("at most 255")
}
