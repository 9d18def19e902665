//! Where everybody is in the picture of a mixed room: grid, floating, screen sharing and custom layouts, in integers.
//!
//! [`LayoutParams`] say what is wanted, [`arrange`] places those who are in the room, [`Placement`] fits one picture
//! into its window. Nothing here sees a pixel, fetches an image or reads a clock; images are URLs that are passed on.
//! The same input gives the same windows, whatever the order in which participants are listed. All borders are even,
//! as planar 4:2:0 needs.
//!
//! ```
//! use recorder_layout::{Content, LayoutParams, Participant, Publishes, Template, arrange};
//! use recorder_types::{MediaId, Size};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let canvas = Size::new(1280, 720).ok_or("zero")?;
//! let bob = Participant::new("bob".parse()?, MediaId::Main, 2, Publishes::AudioOnly);
//! let alice = Participant::new("alice".parse()?, MediaId::Main, 1, Publishes::Video);
//!
//! let arrangement = arrange(&LayoutParams::new(Template::Grid), canvas, &[bob, alice])?;
//! let second = &arrangement.windows[1];
//! assert!(matches!(&second.content, Content::AudioOnly(stream) if stream.user.as_str() == "bob"));
//! assert_eq!((second.rect.left(), second.rect.size()), (640, Size::new(640, 720).ok_or("zero")?));
//!
//! let camera = Size::new(640, 360).ok_or("zero")?;
//! assert_eq!(second.place(camera).source.size(), Size::new(320, 360).ok_or("zero")?); // the sides are cut
//! # Ok(())
//! # }
//! ```
//!
//! # Specification
//! `layouts.md`; `trtc-api.md` section 6.

mod arrange;
mod cells;
mod colour;
mod error;
mod geometry;
mod image;
mod params;
mod wire;

pub use arrange::{Arrangement, Content, Participant, Publishes, StreamId, Window, arrange};
pub use cells::{MAX_WINDOWS, cells};
pub use colour::{InvalidColour, Rgb};
pub use error::{InvalidLayout, LayoutError, LayoutRule};
pub use geometry::{Placement, PlaneRect, Rect, RenderMode};
pub use image::{ImageUrl, InvalidImageUrl};
pub use params::{
    AudioOnlyUsers, CustomWindow, LargeSide, LayoutParams, Placeholders, Template, Transparency,
};
pub use wire::{MixLayout, MixLayoutParams};
