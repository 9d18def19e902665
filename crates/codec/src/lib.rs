//! Decoders and encoders behind traits of our own, so that an embedder may bring others, and the transcoder that
//! turns the Opus of a call into the AAC that recordings hold.
//!
//! Nothing is on by default; each codec is a feature:
//!
//! | feature | gives | from |
//! |---|---|---|
//! | `opus` | `OpusDecoder`, `OpusEncoder` | `ropus`, pure Rust |
//! | `aac` | `AacEncoder`, `AacDecoder` | `syom` and `symphonia`, pure Rust |
//! | `opus` and `aac` | `OpusToAac` | |
//! | `openh264` | `H264Decoder`, `H264Encoder` | OpenH264, built from source with a C++ compiler |
//! | `resample` | `Resampler` | `rubato`, pure Rust |
//!
//! [`AudioDecoder`], [`AudioEncoder`], [`VideoDecoder`] and [`VideoEncoder`] are synchronous, object safe and `Send`. They hold no
//! clock and do no I/O: the same input gives the same bytes. [`Codecs`] makes them for a track: [`SoftwareCodecs`] those
//! of this crate, and an embedder's own implementation others.
//!
//! # What `H264Decoder` gives
//! Compared with FFmpeg's decoder on 41 undamaged streams of others: the same number of pictures, in the same order, at
//! the same times, and equal to the byte on 20 of them. One camera clip, coded anew with one tool at a time, is exact
//! without B-frames and with B-frames without direct prediction, with several slices and reference pictures too. Where
//! OpenH264 departs from ITU-T H.264, or does less:
//!
//! - It leaves the edges inside of a skipped macroblock of a B slice unfiltered (§8.7.2.1 filters them where direct
//!   prediction gives its quarters motion that differs). 20 of the 41 streams have such B-frames and differ in a few
//!   pixels, mostly by 1 or 2, until the next key frame: 66 to 89 dB at worst, one stream 53 dB. Coded without direct
//!   prediction, or without the deblocking filter, the clip is exact.
//! - In the one stream with long-term reference pictures, a screen recording, pictures are off by up to 28.7 dB. Why is
//!   not known.
//! - Interlaced streams, other chroma formats or depths, data partitions, and layers of SVC give no pictures.
//! - A damaged key frame that has no picture of its size before it is not shown, nor is what follows it until a whole
//!   one comes. Any other is concealed as every picture is.
//!
//! Not here: mixing, containers, and codecs other than AAC-LC, Opus and H.264.
//!
#![cfg_attr(all(feature = "opus", feature = "aac"), doc = "```")]
#![cfg_attr(not(all(feature = "opus", feature = "aac")), doc = "```ignore")]
//! use recorder_codec::{AudioEncoder, OpusEncoder, OpusEncoderOptions, OpusToAac, OpusToAacOptions};
//! use recorder_types::{OpusConfig, Sample, Timescale, Timestamp};
//!
//! # fn main() -> Result<(), recorder_codec::CodecError> {
//! // A participant who is silent for half a second.
//! let mut opus = Vec::new();
//! OpusEncoder::new(1, OpusEncoderOptions::default())?.encode(&[0.0; 24_000], &mut opus)?;
//!
//! let track = OpusConfig { channels: 1, pre_skip: 0 };
//! let mut transcoder = OpusToAac::new(track, &OpusToAacOptions::default())?;
//! let mut frames = Vec::new();
//! for (n, packet) in (0..).zip(opus) {
//!     transcoder.push(&Sample::new(Timestamp::new(n * 960, Timescale::HZ_48000), packet))?;
//!     frames.extend(std::iter::from_fn(|| transcoder.poll()));
//! }
//! transcoder.finish()?;
//! frames.extend(std::iter::from_fn(|| transcoder.poll()));
//! assert_eq!(frames.len(), 24); // 25 packets of 960 samples are 23.4 frames of 1024
//! assert_eq!(frames[23].pts.ticks(), 23 * 1024);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "aac")]
mod aac;
mod audio;
mod codecs;
mod error;
#[cfg(feature = "openh264")]
mod h264_decoder;
#[cfg(feature = "openh264")]
mod h264_encoder;
mod h264_options;
#[cfg(feature = "openh264")]
mod h264_sets;
#[cfg(feature = "openh264")]
mod openh264_raw;
#[cfg(feature = "opus")]
mod opus;
mod opus_packet;
#[cfg(all(feature = "opus", feature = "aac"))]
mod opus_to_aac;
#[cfg(feature = "resample")]
mod resample;
mod video;

#[cfg(feature = "aac")]
pub use aac::{AacDecoder, AacEncoder};
pub use audio::{AudioDecoder, AudioEncoder};
pub use codecs::{Codecs, SoftwareCodecs};
pub use error::{Codec, CodecError, LibraryError};
#[cfg(feature = "openh264")]
pub use h264_decoder::{H264Decoder, H264DecoderOptions};
#[cfg(feature = "openh264")]
pub use h264_encoder::H264Encoder;
pub use h264_options::{ContentKind, H264EncoderOptions, YuvMatrix};
#[cfg(feature = "opus")]
pub use opus::{InBandFec, OpusDecoder, OpusEncoder, OpusEncoderOptions};
pub use opus_packet::opus_packet_samples;
#[cfg(all(feature = "opus", feature = "aac"))]
pub use opus_to_aac::{OpusToAac, OpusToAacOptions, OpusToAacStats};
#[cfg(feature = "resample")]
pub use resample::Resampler;
pub use video::{
    DecodedPicture, DecoderStats, EncodedPicture, I420, PictureBuffer, PictureColour, PictureKind,
    PictureSink, Plane, VideoDecoder, VideoEncoder,
};
