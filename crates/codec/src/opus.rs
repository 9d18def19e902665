use bytes::Bytes;
use recorder_types::{OpusConfig, TrackConfig};
use ropus::{Application, Bitrate, Channels, DecodeMode, Decoder, Encoder};

use crate::audio::check_pcm;
use crate::{AudioDecoder, AudioEncoder, Codec, CodecError, LibraryError, opus_packet_samples};

/// The clock of Opus, whatever the encoder was fed.
const RATE: u32 = 48_000;

/// Concealment comes in steps of 2.5 ms (RFC 6716 §3.1: the shortest frame).
const STEP: u32 = 120;

/// The longest packet, 120 ms.
const MAX_PACKET: u32 = 5760;

/// Room for one packet: three frames of the longest coded length, 1275 bytes, and their lengths (RFC 6716 §3.4).
const MAX_PACKET_BYTES: usize = 4000;

/// Opus to PCM at 48 kHz, mono or stereo whatever the packets hold.
///
/// A stereo packet is mixed down by a mono decoder, and a mono packet is heard on both sides of a stereo decoder
/// (RFC 6716 §2.1.2). Packets may change in duration, bandwidth and channels at any time.
pub struct OpusDecoder {
    inner: Decoder,
    channels: u8,
    scratch: Vec<f32>,
}

impl OpusDecoder {
    /// A decoder that gives `channels` channels, 1 or 2.
    ///
    /// # Errors
    /// [`CodecError::Channels`] for other counts; [`CodecError::Library`].
    pub fn new(channels: u8) -> Result<Self, CodecError> {
        let inner = Decoder::new(RATE, layout(channels)?).map_err(library)?;
        Ok(Self { inner, channels, scratch: Vec::new() })
    }

    /// As [`AudioDecoder::conceal`], where the packet after the loss is at hand: if it carries the audio before it
    /// a second time (in-band FEC, RFC 6716 §2.1.7), that is used for the end of the loss.
    ///
    /// Decode `next` afterwards.
    ///
    /// # Errors
    /// [`CodecError::Library`]. `pcm` is then as before.
    pub fn recover(&mut self, samples: u32, next: &[u8], pcm: &mut Vec<f32>) -> Result<(), CodecError> {
        let step = samples.next_multiple_of(STEP);
        if samples == 0 {
            return Ok(());
        }
        if step > MAX_PACKET || opus_packet_samples(next).is_none() {
            return self.conceal(samples, pcm);
        }
        let room = self.room(step);
        // What cannot be recovered is concealed inside of this call; an error means that `next` is damaged.
        match self.inner.decode_float(next, &mut self.scratch[..room], DecodeMode::Fec) {
            Ok(_) => {
                pcm.extend_from_slice(&self.scratch[..self.len(samples)]);
                Ok(())
            }
            Err(_) => self.conceal(samples, pcm),
        }
    }

    /// Makes the scratch buffer hold `samples` and gives that length.
    fn room(&mut self, samples: u32) -> usize {
        let len = self.len(samples);
        if self.scratch.len() < len {
            self.scratch.resize(len, 0.0);
        }
        len
    }

    /// Interleaved length of at most [`MAX_PACKET`] samples.
    fn len(&self, samples: u32) -> usize {
        usize::try_from(samples).expect("a packet's samples fit in memory") * usize::from(self.channels)
    }
}

impl AudioDecoder for OpusDecoder {
    fn sample_rate(&self) -> u32 {
        RATE
    }

    fn channels(&self) -> u8 {
        self.channels
    }

    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<u32, CodecError> {
        let corrupt = |source| CodecError::Corrupt { codec: Codec::Opus, len: packet.len(), source };
        let Some(samples) = opus_packet_samples(packet) else {
            return Err(corrupt(LibraryError::new("the table of contents names no duration")));
        };
        let room = self.room(samples);
        let got = self
            .inner
            .decode_float(packet, &mut self.scratch[..room], DecodeMode::Normal)
            .map_err(|error| corrupt(LibraryError::new(error)))?;
        let len = (got * usize::from(self.channels)).min(room);
        pcm.extend_from_slice(&self.scratch[..len]);
        Ok(u32::try_from(got).unwrap_or(samples).min(samples))
    }

    fn conceal(&mut self, samples: u32, pcm: &mut Vec<f32>) -> Result<(), CodecError> {
        let before = pcm.len();
        let mut left = samples;
        while left > 0 {
            let part = left.min(MAX_PACKET / 6);
            let room = self.room(part.next_multiple_of(STEP));
            if let Err(error) = self.inner.decode_float(&[], &mut self.scratch[..room], DecodeMode::Normal) {
                pcm.truncate(before);
                return Err(library(error));
            }
            pcm.extend_from_slice(&self.scratch[..self.len(part)]);
            left -= part;
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.inner = Decoder::new(RATE, layout(self.channels)?).map_err(library)?;
        Ok(())
    }
}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusDecoder").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// How [`OpusEncoder`] encodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpusEncoderOptions {
    /// Bit/s of the whole stream, 6000 to 510000. Default 32000.
    pub bits_per_second: u32,
    /// Samples a packet: 120, 240, 480, 960, 1920 or 2880. Default 960, which is 20 ms.
    pub frame_samples: u32,
    /// Whether each packet carries a coarse copy of the one before it. Default no.
    pub in_band_fec: InBandFec,
}

/// Whether packets carry what a lost one before them held (RFC 6716 §2.1.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InBandFec {
    /// They do not.
    #[default]
    Off,
    /// They do, as for a path that loses a tenth of its packets.
    On,
}

impl Default for OpusEncoderOptions {
    fn default() -> Self {
        Self { bits_per_second: 32_000, frame_samples: 960, in_band_fec: InBandFec::Off }
    }
}

impl OpusEncoderOptions {
    /// With [`Self::bits_per_second`].
    #[must_use]
    pub const fn with_bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = bits_per_second;
        self
    }

    /// With [`Self::frame_samples`].
    #[must_use]
    pub const fn with_frame_samples(mut self, frame_samples: u32) -> Self {
        self.frame_samples = frame_samples;
        self
    }

    /// With [`Self::in_band_fec`].
    #[must_use]
    pub const fn with_in_band_fec(mut self, in_band_fec: InBandFec) -> Self {
        self.in_band_fec = in_band_fec;
        self
    }
}

/// PCM at 48 kHz to Opus, for simulated participants and tests.
pub struct OpusEncoder {
    inner: Encoder,
    channels: u8,
    options: OpusEncoderOptions,
    pending: Vec<f32>,
    has_input: bool,
    /// The encoder's lookahead in samples: how far the decoded sound lags.
    behind: u32,
    output: Vec<u8>,
}

impl OpusEncoder {
    /// An encoder of 1 or 2 channels.
    ///
    /// # Errors
    /// [`CodecError::Channels`], [`CodecError::BitRate`]; [`CodecError::PcmLength`] for a frame length that Opus
    /// does not have; [`CodecError::Library`].
    pub fn new(channels: u8, options: OpusEncoderOptions) -> Result<Self, CodecError> {
        if !matches!(options.frame_samples, 120 | 240 | 480 | 960 | 1920 | 2880) {
            let len = usize::try_from(options.frame_samples).unwrap_or(usize::MAX);
            return Err(CodecError::PcmLength { len, channels });
        }
        let inner = build(channels, &options)?;
        let behind = inner.lookahead();
        let output = vec![0; MAX_PACKET_BYTES];
        Ok(Self { inner, channels, options, pending: Vec::new(), has_input: false, behind, output })
    }

    fn frame_len(&self) -> usize {
        usize::try_from(self.options.frame_samples).expect("at most 2880") * usize::from(self.channels)
    }

    /// Encodes the whole frames of `pending`.
    fn drain(&mut self, packets: &mut Vec<Bytes>) -> Result<(), CodecError> {
        let frame_len = self.frame_len();
        let mut at = 0;
        while let Some(frame) = self.pending.get(at..at + frame_len) {
            let len = match self.inner.encode_float(frame, &mut self.output) {
                Ok(len) => len,
                Err(error) => {
                    self.renew()?;
                    return Err(library(error));
                }
            };
            packets.push(Bytes::copy_from_slice(&self.output[..len.min(self.output.len())]));
            at += frame_len;
        }
        self.pending.drain(..at);
        Ok(())
    }

    fn renew(&mut self) -> Result<(), CodecError> {
        self.pending.clear();
        self.has_input = false;
        self.inner = build(self.channels, &self.options)?;
        Ok(())
    }
}

impl AudioEncoder for OpusEncoder {
    fn track_config(&self) -> TrackConfig {
        let pre_skip = u16::try_from(self.behind).unwrap_or(u16::MAX);
        TrackConfig::Opus(OpusConfig { channels: self.channels, pre_skip })
    }

    fn sample_rate(&self) -> u32 {
        RATE
    }

    fn channels(&self) -> u8 {
        self.channels
    }

    fn frame_samples(&self) -> u32 {
        self.options.frame_samples
    }

    fn priming(&self) -> u32 {
        self.behind
    }

    fn encode(&mut self, pcm: &[f32], packets: &mut Vec<Bytes>) -> Result<(), CodecError> {
        check_pcm(pcm, self.channels)?;
        self.has_input |= !pcm.is_empty();
        // Frame by frame, so that what is held stays below two frames however long the input is.
        for part in pcm.chunks(self.frame_len()) {
            self.pending.extend(part.iter().map(|sample| sample.clamp(-1.0, 1.0)));
            self.drain(packets)?;
        }
        Ok(())
    }

    fn finish(&mut self, packets: &mut Vec<Bytes>) -> Result<(), CodecError> {
        if !self.has_input {
            return Ok(());
        }
        let tail = usize::try_from(self.behind).expect("a lookahead is some milliseconds");
        let len = (self.pending.len() + tail * usize::from(self.channels)).next_multiple_of(self.frame_len());
        self.pending.resize(len, 0.0);
        self.drain(packets)?;
        self.renew()
    }
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusEncoder")
            .field("channels", &self.channels)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn build(channels: u8, options: &OpusEncoderOptions) -> Result<Encoder, CodecError> {
    let bits_per_second = options.bits_per_second;
    let refused = || CodecError::BitRate { codec: Codec::Opus, bits_per_second };
    if !(6_000..=510_000).contains(&bits_per_second) {
        return Err(refused());
    }
    let builder = Encoder::builder(RATE, layout(channels)?, Application::Voip)
        .bitrate(Bitrate::try_bits(bits_per_second).map_err(|_| refused())?);
    let builder = match options.in_band_fec {
        InBandFec::Off => builder,
        InBandFec::On => builder.inband_fec(ropus::InbandFec::Forced).packet_loss_perc(10),
    };
    builder.build().map_err(library)
}

fn layout(channels: u8) -> Result<Channels, CodecError> {
    match channels {
        1 => Ok(Channels::Mono),
        2 => Ok(Channels::Stereo),
        _ => Err(CodecError::Channels { codec: Codec::Opus, channels }),
    }
}

fn library(error: impl std::fmt::Display) -> CodecError {
    CodecError::Library { codec: Codec::Opus, source: LibraryError::new(error) }
}
