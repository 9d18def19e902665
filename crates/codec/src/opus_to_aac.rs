use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use recorder_types::{AacConfig, OpusConfig, Sample, Timescale, Timestamp, TrackConfig};

use crate::{AacEncoder, AudioDecoder, AudioEncoder, CodecError, OpusDecoder, opus_packet_samples};

const RATE: u32 = 48_000;

/// Timestamps beyond this many samples from zero (7.6 million years at 48 kHz) are taken for damage, which leaves
/// room to add and subtract without overflow.
const FARTHEST: i64 = 1 << 53;

/// Samples over which concealment fades out before silence: 20 ms.
const FADE: usize = 960;

/// Samples of silence encoded at a time.
const SILENCE: u32 = 960;

/// How [`OpusToAac`] encodes and what it does about missing packets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpusToAacOptions {
    /// Bit/s of the AAC stream. Default 64000 for mono and 96000 for stereo.
    pub bits_per_second: Option<u32>,
    /// How far a packet may be from its place and still be joined to the one before it. Default 5 ms.
    pub max_jitter: Duration,
    /// The longest gap that is concealed throughout; a longer one is concealed for this long, then silent. Held at
    /// one second. Default 100 ms.
    pub max_conceal: Duration,
    /// The longest gap that is filled; a longer one ends the run. Also how far back a packet is taken for a late
    /// one and not for a jump. It bounds what one call may put out. Default 2 s.
    pub max_fill: Duration,
}

impl Default for OpusToAacOptions {
    fn default() -> Self {
        Self {
            bits_per_second: None,
            max_jitter: Duration::from_millis(5),
            max_conceal: Duration::from_millis(100),
            max_fill: Duration::from_secs(2),
        }
    }
}

impl OpusToAacOptions {
    /// With [`Self::bits_per_second`].
    #[must_use]
    pub const fn with_bits_per_second(mut self, bits_per_second: u32) -> Self {
        self.bits_per_second = Some(bits_per_second);
        self
    }

    /// With [`Self::max_jitter`].
    #[must_use]
    pub const fn with_max_jitter(mut self, max_jitter: Duration) -> Self {
        self.max_jitter = max_jitter;
        self
    }

    /// With [`Self::max_conceal`].
    #[must_use]
    pub const fn with_max_conceal(mut self, max_conceal: Duration) -> Self {
        self.max_conceal = max_conceal;
        self
    }

    /// With [`Self::max_fill`].
    #[must_use]
    pub const fn with_max_fill(mut self, max_fill: Duration) -> Self {
        self.max_fill = max_fill;
        self
    }
}

/// What happened to the packets of one [`OpusToAac`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpusToAacStats {
    /// Packets that were decoded and encoded.
    pub packets: u64,
    /// Packets dropped because they carry the timestamp of the one before them.
    pub duplicate: u64,
    /// Packets dropped because their time was already written.
    pub late: u64,
    /// Packets dropped because they cannot be decoded.
    pub corrupt: u64,
    /// Packets dropped because of a timestamp far from the others that no other packet confirmed.
    pub stray: u64,
    /// Samples at 48 kHz made up by concealment or from forward error correction.
    pub concealed_samples: u64,
    /// Samples at 48 kHz of silence written into gaps.
    pub silent_samples: u64,
    /// Runs begun: 1, and 1 more for each jump.
    pub runs: u64,
}

/// Transcodes one Opus track to AAC-LC at 48 kHz, packet in, frames out, every frame at its place in time.
///
/// [`OpusToAac::push`] packets in the order of their arrival, [`OpusToAac::poll`] until `None` after each,
/// [`OpusToAac::finish`] at the end and poll once more. The same packets give the same bytes.
///
/// # Time
/// Timestamps in may be on any clock; timestamps out count 48 kHz. A run is a stretch without a jump: its first
/// frame has the time of its first sample, and frame `n` is exactly `n * 1024` later. What is heard at `t` in the
/// Opus track is heard at `t` in the AAC track, to within [`OpusToAacOptions::max_jitter`]; durations are never
/// summed, so nothing builds up. The last frame of a run is filled up with silence.
///
/// The AAC encoder puts one frame of priming before its input. That frame is left out, so no edit list and no
/// shift is needed. A decoder lacks its half of the overlap and fades the first 21 ms of a run in.
///
/// `pre_skip` follows RFC 7845 §4.2: that many samples are dropped at the beginning of the track. Timestamps are
/// those of presentation, so the first packet of a file is at `-pre_skip`. It is 0 for a live stream.
///
/// # Gaps and jumps
/// - Loss and DTX: a gap up to [`OpusToAacOptions::max_conceal`] is concealed (from in-band FEC where the next
///   packet has it); beyond it, up to [`OpusToAacOptions::max_fill`], concealment fades out and silence follows.
/// - A longer gap, or a step back by more than `max_fill`, ends the run: its frames are completed, and the next
///   frame is the first of a new run at the new time. Nothing marks that in the output but its timestamp, which is
///   not 1024 after the one before it.
/// - The first packet of the track, and one that is further off than `max_conceal`, waits for the next: if that one
///   follows it, both are taken; if not, it was a stray and is dropped. So a damaged timestamp costs one packet.
/// - Duplicates, packets whose time was already written and packets that cannot be decoded are dropped.
///
/// [`OpusToAac::stats`] counts all of it.
///
/// # Memory
/// One frame and one packet are held, and what was not polled: a call to `push` adds at most `max_fill` and the
/// duration of two packets.
pub struct OpusToAac {
    decoder: OpusDecoder,
    encoder: Box<dyn AudioEncoder>,
    config: AacConfig,
    /// Samples still to be dropped at the beginning of the track.
    skip: u32,
    max_jitter: i64,
    max_conceal: u32,
    max_fill: i64,
    run: Option<Run>,
    /// A packet that waits for the next to confirm its time.
    suspect: Option<Packet>,
    stats: OpusToAacStats,
    out: VecDeque<Sample>,
    pcm: Vec<f32>,
    frames: Vec<Bytes>,
}

#[derive(Debug)]
struct Run {
    /// When the first sample that went into the encoder is heard; `None` before it.
    origin: Option<i64>,
    /// When the next sample to be written is heard.
    next: i64,
    /// The time of the last packet that was taken.
    last: i64,
    /// Frames that came out of the encoder.
    frames: i64,
}

#[derive(Clone, Debug)]
struct Packet {
    /// When its first sample is heard, in samples at 48 kHz.
    at: i64,
    samples: u32,
    data: Bytes,
}

/// Where a packet goes.
enum Place {
    /// Onto the run, with what is missing before it filled.
    Here,
    /// Onto the run or onto a new one, if another packet confirms it.
    Doubtful,
    Duplicate,
    Late,
}

impl OpusToAac {
    /// A transcoder of a track with `config`, with this crate's AAC encoder.
    ///
    /// # Errors
    /// [`CodecError::Channels`] unless there are 1 or 2; [`CodecError::BitRate`]; [`CodecError::Library`].
    pub fn new(config: OpusConfig, options: &OpusToAacOptions) -> Result<Self, CodecError> {
        let default = if config.channels == 1 { 64_000 } else { 96_000 };
        let decoder = OpusDecoder::new(config.channels)?;
        let encoder = AacEncoder::new(RATE, config.channels, options.bits_per_second.unwrap_or(default))?;
        Self::with_parts(config, options, decoder, Box::new(encoder))
    }

    /// A transcoder that brings its own AAC encoder; [`OpusToAacOptions::bits_per_second`] is not looked at.
    ///
    /// # Errors
    /// [`CodecError::Channels`] unless there are 1 or 2; [`CodecError::EncoderMismatch`] unless `encoder` gives
    /// raw AAC at 48 kHz with the channels of `config`; [`CodecError::Library`].
    pub fn with_encoder(
        config: OpusConfig,
        options: &OpusToAacOptions,
        encoder: Box<dyn AudioEncoder>,
    ) -> Result<Self, CodecError> {
        Self::with_parts(config, options, OpusDecoder::new(config.channels)?, encoder)
    }

    fn with_parts(
        opus: OpusConfig,
        options: &OpusToAacOptions,
        decoder: OpusDecoder,
        encoder: Box<dyn AudioEncoder>,
    ) -> Result<Self, CodecError> {
        let mismatch = CodecError::EncoderMismatch { codec: crate::Codec::Aac };
        let TrackConfig::Aac(config @ AacConfig::Raw(_)) = encoder.track_config() else {
            return Err(mismatch);
        };
        if encoder.sample_rate() != RATE || encoder.channels() != opus.channels {
            return Err(mismatch);
        }
        Ok(Self {
            decoder,
            encoder,
            config,
            skip: u32::from(opus.pre_skip),
            max_jitter: i64::from(samples_in(options.max_jitter)),
            max_conceal: samples_in(options.max_conceal).min(RATE),
            max_fill: i64::from(samples_in(options.max_fill)),
            run: None,
            suspect: None,
            stats: OpusToAacStats::default(),
            out: VecDeque::new(),
            pcm: Vec::new(),
            frames: Vec::new(),
        })
    }

    /// What the frames are; never changes.
    #[must_use]
    pub const fn config(&self) -> AacConfig {
        self.config
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> OpusToAacStats {
        self.stats
    }

    /// Takes one packet. Call [`Self::poll`] until `None` before the next `push`.
    ///
    /// Faults of the input are counted and are no errors.
    ///
    /// # Errors
    /// [`CodecError::Library`] if a codec fails within its contract. The run is then over without its last frame;
    /// the next packet begins a new one.
    pub fn push(&mut self, packet: &Sample) -> Result<(), CodecError> {
        let Some(samples) = opus_packet_samples(&packet.data) else {
            self.stats.corrupt += 1;
            return Ok(());
        };
        let Some(at) = position(packet.pts) else {
            self.stats.stray += 1;
            return Ok(());
        };
        let placed = self.place(Packet { at, samples, data: packet.data.clone() });
        self.guard(placed)
    }

    /// The next frame, oldest first; its data is one raw frame of [`Self::config`].
    pub fn poll(&mut self) -> Option<Sample> {
        self.out.pop_front()
    }

    /// Ends the run. A later `push` begins a new one. A packet that still waits for the next is taken if it is the
    /// only one of the track or the run can be filled up to it, and is a stray if not.
    ///
    /// # Errors
    /// [`CodecError::Library`], as for [`Self::push`].
    pub fn finish(&mut self) -> Result<(), CodecError> {
        let placed = match self.suspect.take() {
            Some(packet) if self.run.as_ref().is_none_or(|run| self.fills(run, &packet)) => {
                self.append(&packet)
            }
            Some(_) => {
                self.stats.stray += 1;
                Ok(())
            }
            None => Ok(()),
        };
        self.guard(placed)?;
        let ended = self.end_run();
        self.guard(ended)
    }

    /// After a failure, drops the run and what the codecs hold of it.
    fn guard(&mut self, result: Result<(), CodecError>) -> Result<(), CodecError> {
        if result.is_err() {
            self.run = None;
            self.suspect = None;
            // The first failure is the one to tell; a codec that still fails will do so at the next packet.
            let _ = self.encoder.finish(&mut self.frames);
            self.frames.clear();
            let _ = self.decoder.reset();
        }
        result
    }

    fn place(&mut self, packet: Packet) -> Result<(), CodecError> {
        match self.judge(&packet) {
            Place::Here => {
                if self.suspect.take().is_some() {
                    self.stats.stray += 1;
                }
                self.append(&packet)
            }
            Place::Duplicate => {
                self.stats.duplicate += 1;
                Ok(())
            }
            Place::Late => {
                self.stats.late += 1;
                Ok(())
            }
            Place::Doubtful => {
                let Some(suspect) = self.suspect.take() else {
                    self.suspect = Some(packet);
                    return Ok(());
                };
                if !self.follows(&suspect, &packet) {
                    self.stats.stray += 1;
                    self.suspect = Some(packet);
                    return Ok(());
                }
                if self.run.as_ref().is_some_and(|run| !self.fills(run, &suspect)) {
                    self.end_run()?;
                }
                self.append(&suspect)?;
                // It may be doubtful once more: packets that are far apart each wait for the next.
                self.place(packet)
            }
        }
    }

    /// Whether the gap between the run and `packet` may be filled.
    fn fills(&self, run: &Run, packet: &Packet) -> bool {
        (0..=self.max_fill).contains(&(packet.at - run.next))
    }

    /// Whether `packet` confirms the time of `suspect`.
    fn follows(&self, suspect: &Packet, packet: &Packet) -> bool {
        let gap = packet.at - suspect.at - i64::from(suspect.samples);
        packet.at > suspect.at && gap <= self.max_fill.max(self.max_jitter)
    }

    fn judge(&self, packet: &Packet) -> Place {
        if self.suspect.as_ref().is_some_and(|suspect| suspect.at == packet.at) {
            return Place::Duplicate;
        }
        let Some(run) = &self.run else { return Place::Doubtful };
        if packet.at == run.last {
            return Place::Duplicate;
        }
        if packet.at < run.last {
            return if run.last - packet.at <= self.max_fill { Place::Late } else { Place::Doubtful };
        }
        if packet.at + i64::from(packet.samples) <= run.next - self.max_jitter {
            return Place::Late;
        }
        let doubt = self.max_jitter.max(i64::from(self.max_conceal)).min(self.max_fill);
        if packet.at - run.next > doubt { Place::Doubtful } else { Place::Here }
    }

    /// Decodes a packet onto the run, or begins one.
    fn append(&mut self, packet: &Packet) -> Result<(), CodecError> {
        let next = self.run.as_ref().map_or(packet.at, |run| run.next);
        let ahead = packet.at - next;
        if ahead > self.max_jitter {
            self.fill(u32::try_from(ahead).unwrap_or(u32::MAX), packet)?;
        }
        let overlap = u32::try_from(-ahead).unwrap_or(0);
        let mut pcm = std::mem::take(&mut self.pcm);
        pcm.clear();
        let decoded = self.decoder.decode(&packet.data, &mut pcm);
        let written = match decoded {
            Ok(_) => {
                self.stats.packets += 1;
                if self.run.is_none() {
                    self.stats.runs += 1;
                }
                let run =
                    self.run.get_or_insert(Run { origin: None, next: packet.at, last: packet.at, frames: 0 });
                run.last = packet.at;
                let trimmed = if i64::from(overlap) > self.max_jitter { self.len(overlap) } else { 0 };
                self.write(pcm.get(trimmed..).unwrap_or_default())
            }
            Err(error) if error.is_input() => {
                self.stats.corrupt += 1;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.pcm = pcm;
        written
    }

    /// Fills the gap of `samples` before `packet`.
    fn fill(&mut self, samples: u32, packet: &Packet) -> Result<(), CodecError> {
        let concealed = samples.min(self.max_conceal);
        let mut pcm = std::mem::take(&mut self.pcm);
        pcm.clear();
        if concealed == samples {
            self.decoder.recover(concealed, &packet.data, &mut pcm)?;
        } else {
            self.decoder.conceal(concealed, &mut pcm)?;
            fade_out(&mut pcm, usize::from(self.decoder.channels()));
        }
        self.write(&pcm)?;
        self.stats.concealed_samples += u64::from(concealed);
        let mut silent = samples - concealed;
        self.stats.silent_samples += u64::from(silent);
        pcm.clear();
        pcm.resize(self.len(silent.min(SILENCE)), 0.0);
        while silent > 0 {
            let part = silent.min(SILENCE);
            self.write(&pcm[..self.len(part)])?;
            silent -= part;
        }
        self.pcm = pcm;
        Ok(())
    }

    /// Writes PCM at the end of the run, less what the beginning of the track drops.
    fn write(&mut self, pcm: &[f32]) -> Result<(), CodecError> {
        let channels = usize::from(self.decoder.channels());
        let samples = u32::try_from(pcm.len() / channels).expect("callers write parts of a packet's size");
        let skipped = self.skip.min(samples);
        let rest = &pcm[self.len(skipped)..];
        self.skip -= skipped;
        let run = self.run.as_mut().expect("writes follow the beginning of a run");
        run.next += i64::from(skipped);
        if rest.is_empty() {
            return Ok(());
        }
        run.origin.get_or_insert(run.next);
        run.next += i64::from(samples - skipped);
        let encoded = self.encoder.encode(rest, &mut self.frames);
        self.collect();
        encoded
    }

    /// Gives the encoder's frames their times.
    fn collect(&mut self) {
        let Some(run) = &mut self.run else { return };
        let Some(origin) = run.origin else { return };
        let priming = i64::from(self.encoder.priming());
        let frame_samples = i64::from(self.encoder.frame_samples());
        for data in self.frames.drain(..) {
            let ahead = run.frames * frame_samples - priming;
            run.frames += 1;
            // A frame that ends at or before the first sample holds nothing but priming.
            if ahead + frame_samples > 0 {
                self.out.push_back(Sample::new(Timestamp::new(origin + ahead, Timescale::HZ_48000), data));
            }
        }
    }

    fn end_run(&mut self) -> Result<(), CodecError> {
        if self.run.is_none() {
            return Ok(());
        }
        let finished = self.encoder.finish(&mut self.frames);
        self.collect();
        self.run = None;
        self.skip = 0;
        self.decoder.reset()?;
        finished
    }

    /// Interleaved length of `samples`.
    fn len(&self, samples: u32) -> usize {
        usize::try_from(samples).expect("u32 fits in usize") * usize::from(self.decoder.channels())
    }
}

impl std::fmt::Debug for OpusToAac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusToAac")
            .field("config", &self.config)
            .field("run", &self.run)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// `pts` in samples at 48 kHz, rounded to nearest; `None` if it is absurdly far from zero.
fn position(pts: Timestamp) -> Option<i64> {
    // Half a sample more before the rescaling rounds down.
    let hz = i128::from(pts.timescale().hz());
    let doubled = i128::from(pts.ticks()) * i128::from(RATE) * 2 + hz;
    let samples = i64::try_from(doubled.div_euclid(hz * 2)).ok()?;
    (-FARTHEST..=FARTHEST).contains(&samples).then_some(samples)
}

/// Whole samples at 48 kHz in `duration`, held at `u32::MAX` (a day).
fn samples_in(duration: Duration) -> u32 {
    let samples = duration.as_nanos().saturating_mul(u128::from(RATE)) / 1_000_000_000;
    u32::try_from(samples).unwrap_or(u32::MAX)
}

/// Lets the last [`FADE`] samples fall to zero in a straight line.
fn fade_out(pcm: &mut [f32], channels: usize) {
    let samples = pcm.len() / channels;
    let fade = samples.min(FADE);
    let mut gain = 1.0;
    #[expect(clippy::cast_precision_loss, reason = "960 at most")]
    let step = 1.0 / fade as f32;
    for frame in pcm.chunks_exact_mut(channels).skip(samples - fade) {
        gain -= step;
        for sample in frame {
            *sample *= f32::max(gain, 0.0);
        }
    }
}
