use bytes::Bytes;
use recorder_types::TrackConfig;

use crate::CodecError;

/// Turns packets into PCM.
///
/// PCM is interleaved `f32`, full scale ±1: both AAC codecs and every mix and resampling work in it, and 16-bit
/// sources pass through it without loss. "Samples" counts one per channel throughout.
pub trait AudioDecoder: Send {
    /// Samples per second of the PCM.
    fn sample_rate(&self) -> u32;

    /// Channels of the PCM, never 0.
    fn channels(&self) -> u8;

    /// Decodes one packet and appends its PCM to `pcm`. Gives the samples appended.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`] for a packet that is damaged. `pcm` is then as before, and the next packet may be
    /// decoded.
    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<u32, CodecError>;

    /// Appends exactly `samples` of what may have been in a lost packet to `pcm`; silence where the codec has no
    /// better guess.
    ///
    /// # Errors
    /// [`CodecError::Library`]. `pcm` is then as before.
    fn conceal(&mut self, samples: u32, pcm: &mut Vec<f32>) -> Result<(), CodecError>;

    /// Forgets the packets so far: the next does not continue them.
    ///
    /// # Errors
    /// [`CodecError::Library`].
    fn reset(&mut self) -> Result<(), CodecError>;
}

/// Turns PCM into packets of equal duration.
///
/// PCM is as [`AudioDecoder`] gives it, cut into calls at will: the packets are the same. Decoded in order, packet
/// `k` (from 0) holds the input from sample `k * frame_samples - priming` on.
pub trait AudioEncoder: Send {
    /// What the packets are.
    fn track_config(&self) -> TrackConfig;

    /// Samples per second of the PCM.
    fn sample_rate(&self) -> u32;

    /// Channels of the PCM, never 0.
    fn channels(&self) -> u8;

    /// Samples that one packet adds to the decoded length, never 0.
    fn frame_samples(&self) -> u32;

    /// Samples that come out of the decoder before the first of the input.
    fn priming(&self) -> u32;

    /// Takes interleaved PCM and appends the packets that are complete to `packets`. Samples beyond ±1 are held
    /// at ±1.
    ///
    /// # Errors
    /// [`CodecError::PcmLength`] and [`CodecError::PcmNotFinite`] leave the encoder as before.
    /// [`CodecError::Library`] leaves it as new: what it held is lost.
    fn encode(&mut self, pcm: &[f32], packets: &mut Vec<Bytes>) -> Result<(), CodecError>;

    /// Appends the packets that end the input, padded with silence, and leaves the encoder as new. Nothing is
    /// appended if there was no input.
    ///
    /// # Errors
    /// [`CodecError::Library`]. The encoder is as new, what it held is lost.
    fn finish(&mut self, packets: &mut Vec<Bytes>) -> Result<(), CodecError>;
}

/// Checks what [`AudioEncoder::encode`] promises to check.
#[cfg(any(feature = "aac", feature = "opus", feature = "resample"))]
pub(crate) fn check_pcm(pcm: &[f32], channels: u8) -> Result<(), CodecError> {
    if !pcm.len().is_multiple_of(usize::from(channels)) {
        return Err(CodecError::PcmLength { len: pcm.len(), channels });
    }
    match pcm.iter().position(|sample| !sample.is_finite()) {
        Some(at) => Err(CodecError::PcmNotFinite { at }),
        None => Ok(()),
    }
}
