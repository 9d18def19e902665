//! Composes pictures: scales, fits, places and blends planar 4:2:0 (I420, 8 bit) on a canvas, on the CPU.
//!
//! For mixing a room's videos into one, and for nothing else: no codec, no file, no thread, no other pixel format
//! than I420 (RGBA for overlays). [`Canvas`] keeps what it drew and draws only what changed; [`Scaler`] and
//! [`Overlay`] are its parts for use alone; [`Placement`] is the arithmetic of fitting.
//!
//! Watermarks: [`Bitmap`] holds pixels with alpha and becomes an [`Overlay`] or a picture; [`Watermarks`] keeps up to 25
//! on a canvas. The feature `images` makes bitmaps from PNG and JPEG files, the feature `text` from text and the clock,
//! with a font that is compiled in; neither is on by default. Nothing is fetched here.
//!
//! Every function gives the same bytes at every [`Level`]: scalar Rust is the specification, AVX2 and AVX-512 are
//! only faster. The crate has unsafe code in one file, `x86.rs`.
//!
//! ```
//! use recorder_compositor::{Canvas, Colour, Level, Picture, Placement, Rect, RenderMode, Rgb, Source, Tile};
//! use recorder_types::Size;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hd = Size::new(1280, 720).ok_or("zero")?;
//! let half = Size::new(640, 720).ok_or("zero")?;
//! let window = Rect::new(640, 0, half).ok_or("too far")?;
//! let mut canvas = Canvas::new(hd, Colour::default(), Rgb::BLACK, Level::detect())?;
//! canvas.set_tiles(&[Tile::new(window).with_mode(RenderMode::Fit)])?;
//!
//! let camera = Size::new(640, 360).ok_or("zero")?;
//! let white = vec![[235; 640 * 360].as_slice(), &[128; 640 * 360 / 2]].concat();
//! let picture = Picture::packed(camera, &white)?;
//! let source = Source::Picture { picture, colour: Colour::implied_by(camera), generation: 1 };
//! assert_eq!(canvas.compose(&[source])?.scaled, 1);
//! assert_eq!(canvas.compose(&[source])?.scaled, 0); // nothing changed
//!
//! let luma = canvas.picture().planes()[0];
//! let at = |x: usize, y: usize| luma.data[y * luma.stride + x];
//! assert_eq!(Placement::new(camera, window, RenderMode::Fit).target.top(), 180);
//! assert_eq!((at(0, 360), at(640, 179), at(640, 180), at(1279, 539)), (16, 16, 235, 235));
//! # Ok(())
//! # }
//! ```

mod axis;
mod bitmap;
mod canvas;
mod colour;
#[cfg(feature = "images")]
mod decode;
mod error;
mod geometry;
mod kernel;
mod overlay;
mod picture;
mod scale;
#[cfg(feature = "text")]
mod text;
mod timestamp;
mod watermark;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use bitmap::Bitmap;
pub use canvas::{Canvas, Composed, Source, Tile};
pub use colour::{Colour, Matrix, Range, Rgb, Yuv};
#[cfg(feature = "images")]
pub use decode::{BitmapError, MAX_IMAGE_BYTES, MAX_IMAGE_SIDE};
pub use error::ComposeError;
pub use geometry::{Placement, Rect, RenderMode};
pub use kernel::Level;
pub use overlay::Overlay;
pub use picture::{MAX_SIDE, Picture, PictureBuffer, Plane};
pub use scale::Scaler;
#[cfg(feature = "text")]
pub use text::{BUNDLED_FONT, DrawnText, Font, MAX_FONT_SIZE, TextError, TextStyle};
pub use timestamp::{Position, TimeZone};
#[cfg(feature = "text")]
pub use watermark::Clock;
pub use watermark::{MAX_WATERMARKS, Watermarks};
