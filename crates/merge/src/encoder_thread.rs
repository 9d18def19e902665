//! An encoder on a thread of its own, so that pictures are decoded and drawn while others are encoded.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use recorder_codec::{CodecError, EncodedPicture, H264Encoder, I420, PictureKind, Plane, VideoEncoder};
use recorder_compositor::Picture;
use recorder_types::{Size, Timestamp};

use crate::encode_video::library;

/// Takes pictures and gives them back encoded, in their order and one for one, so what comes out does not depend on
/// which thread was faster. Who pushes sees to it that few are under way.
pub(crate) struct EncoderThread {
    pictures: Sender<(Vec<u8>, Timestamp)>,
    encoded: Receiver<Result<EncodedPicture, CodecError>>,
    /// Memory of pictures that are encoded.
    spare: Receiver<Vec<u8>>,
}

impl EncoderThread {
    /// Pictures of `size` follow.
    pub(crate) fn start(mut encoder: H264Encoder, size: Size) -> Result<Self, CodecError> {
        let (pictures, inbox) = channel::<(Vec<u8>, Timestamp)>();
        let (outbox, encoded) = channel();
        let (used, spare) = channel();
        let work = move || {
            let mut out = Vec::with_capacity(1);
            // Whoever waits for the rest has gone when a channel is closed.
            for (picture, pts) in inbox {
                let result = encode(&mut encoder, size, &picture, pts, &mut out);
                if outbox.send(result).is_err() || used.send(picture).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("encoder".into()).spawn(work).map_err(library)?;
        Ok(Self { pictures, encoded, spare })
    }

    /// Hands over a copy of `picture`.
    pub(crate) fn push(&self, picture: &Picture<'_>, pts: Timestamp) -> Result<(), CodecError> {
        let mut packed = self.spare.try_recv().unwrap_or_default();
        packed.clear();
        let (width, height) = (picture.size().width() as usize, picture.size().height() as usize);
        let sizes = [(width, height), (width / 2, height / 2), (width / 2, height / 2)];
        for (plane, (width, height)) in picture.planes().iter().zip(sizes) {
            for row in plane.data.chunks(plane.stride).take(height) {
                packed.extend_from_slice(&row[..width]);
            }
        }
        self.pictures.send((packed, pts)).map_err(|_| gone())
    }

    /// The picture that was pushed first of those not given back yet. Waits for it.
    pub(crate) fn next(&self) -> Result<EncodedPicture, CodecError> {
        self.encoded.recv().map_err(|_| gone())?
    }
}

fn encode(
    encoder: &mut H264Encoder,
    size: Size,
    picture: &[u8],
    pts: Timestamp,
    out: &mut Vec<EncodedPicture>,
) -> Result<EncodedPicture, CodecError> {
    let picture = Picture::packed(size, picture).map_err(library)?;
    let planes = picture.planes().map(|plane| Plane { data: plane.data, stride: plane.stride });
    encoder.encode(&I420::new(size, planes)?, pts, PictureKind::Any, out)?;
    out.pop().ok_or_else(|| library("no picture"))
}

fn gone() -> CodecError {
    library("the encoder's thread has ended")
}
