//! Mixes a room into one video and one sound, by media time: decodes what is seen and heard, places it on a canvas
//! and on one clock, encodes.
//!
//! [`Mixer`] takes encoded access units at their places on the room's time line, and [`Scene`]s that say which
//! window shows whom from when on; out come H.264 access units and AAC frames. It has no clock, thread or file, and
//! the same room gives the same bytes, live or later. Where windows lie is up to the caller; decoders and encoders
//! come from [`recorder_codec::Codecs`], so that an embedder may bring hardware.
//!
//! ```
//! use std::sync::Arc;
//!
//! use recorder_codec::SoftwareCodecs;
//! use recorder_compositor::{Rect, RenderMode, Tile};
//! use recorder_mixer::{Mixed, Mixer, MixerOptions, Scene, StreamId, Window};
//! use recorder_types::{MediaId, MediaKind, OpusConfig, RoomTime, Size, TrackConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut mixer = Mixer::new(MixerOptions::new(RoomTime::ZERO), Arc::new(SoftwareCodecs))?;
//! let alice = "alice".parse()?;
//! let whole = Rect::whole(Size::new(360, 640).ok_or("zero")?);
//! let mut scene = Scene::default();
//! scene.windows.push(Window::new(Tile::new(whole).with_mode(RenderMode::Fit), Some(("alice".parse()?, MediaId::Main))));
//! mixer.set_scene(RoomTime::ZERO, scene)?;
//!
//! let microphone = StreamId { user: alice, media: MediaId::Main, kind: MediaKind::Audio };
//! mixer.publish(RoomTime::ZERO, microphone, TrackConfig::Opus(OpusConfig { channels: 1, pre_skip: 0 }))?;
//! // Here the packets are pushed; alice is silent.
//! mixer.finish(RoomTime::from_secs(1))?;
//! let mixed: Vec<Mixed> = std::iter::from_fn(|| mixer.poll()).collect();
//! let pictures = mixed.iter().filter(|one| matches!(one, Mixed::Picture { .. })).count();
//! assert_eq!((pictures, mixed.len() - pictures), (15, 47)); // 15 a second; 48000 samples in frames of 1024
//! # Ok(())
//! # }
//! ```
//!
//! # Sound
//! Every sample lies where its timestamp says: gaps are concealed for 100 ms and then silent, a clock that drifts is
//! followed in steps of 5 ms under a cross-fade. The sum is held 1 dB under full scale by a limiter that looks 5 ms
//! ahead.
//!
//! # Memory
//! The canvas and its encoder; for each stream that is seen a decoder and up to 17 pictures; for each that is not
//! its units since the last key frame, 32 MiB at most; for each voice what is ahead of the mix. Push units as they
//! come, or a few seconds ahead.

mod error;
mod limiter;
mod mixer;
mod options;
mod passthrough;
mod picture_mix;
mod scene;
mod shedding;
mod sound_mix;
mod streams;
mod unit;
mod view;
mod voice;

pub use error::MixError;
pub use mixer::{MixStats, Mixed, Mixer, Pushed};
pub use options::{AudioOptions, MixerOptions, VideoOptions};
pub use scene::{Fill, Image, Mark, Scene, StreamId, Window};
pub use shedding::Shedding;
pub use unit::Unit;
