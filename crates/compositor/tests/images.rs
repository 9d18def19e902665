//! Image files become the pixels that they hold, and what is neither PNG nor JPEG is refused.
#![cfg(feature = "images")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;
use recorder_compositor::{Bitmap, BitmapError};

fn picture() -> DynamicImage {
    let pixel = |x: u32, y: u32| {
        let byte = |value: u32| u8::try_from(value % 256).unwrap();
        image::Rgba([byte(x * 7), byte(y * 11), byte(x * y), byte(255 - x * 3)])
    };
    image::RgbaImage::from_fn(61, 37, pixel).into()
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

#[test]
fn every_kind_of_png_gives_its_pixels() {
    let all = picture();
    for picture in [
        all.clone(),
        all.to_rgb8().into(),
        all.to_luma8().into(),
        all.to_luma_alpha8().into(),
        all.to_rgba16().into(),
        all.to_rgb16().into(),
        all.to_luma16().into(),
        all.to_luma_alpha16().into(),
    ] {
        let bitmap = Bitmap::decode(&file(&picture, ImageFormat::Png)).unwrap();
        let kind = picture.color();
        assert_eq!((bitmap.size().width(), bitmap.size().height()), (61, 37), "{kind:?}");
        assert!(bitmap.rgba() == picture.to_rgba8().as_raw(), "{kind:?}");
    }
}

#[test]
fn a_jpeg_is_told_by_its_content() {
    for picture in [DynamicImage::from(picture().to_rgb8()), picture().to_luma8().into()] {
        let file = file(&picture, ImageFormat::Jpeg);
        let bitmap = Bitmap::decode(&file).unwrap();
        let expected = image::load_from_memory_with_format(&file, ImageFormat::Jpeg).unwrap();
        assert!(bitmap.rgba() == expected.to_rgba8().as_raw());
    }
}

#[test]
fn other_formats_and_damage_are_refused() {
    let png = file(&picture(), ImageFormat::Png);
    let gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".as_slice();
    for other in [gif, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"", b"\x89PN"] {
        assert!(matches!(Bitmap::decode(other), Err(BitmapError::Format)));
    }
    for len in [8, 20, 33, png.len() / 2] {
        assert!(matches!(Bitmap::decode(&png[..len]), Err(BitmapError::Damaged(_))), "{len}");
    }
}

proptest! {
    #[test]
    fn damaged_files_give_an_error_or_a_picture(
        jpeg in any::<bool>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = if jpeg {
            file(&picture().to_rgb8().into(), ImageFormat::Jpeg)
        } else {
            file(&picture(), ImageFormat::Png)
        };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        drop(Bitmap::decode(&file));
    }
}
