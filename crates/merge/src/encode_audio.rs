use std::collections::VecDeque;

use bytes::Bytes;
use recorder_codec::{AacDecoder, AacEncoder, AudioDecoder, AudioEncoder, CodecError, Resampler};
use recorder_hls::index::{Frames, Samples};
use recorder_mp4::{SampleEntry, SampleInfo};
use recorder_types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{MediaKind, Timescale, Timestamp};

use crate::copy_audio::samples;
use crate::error::MergeError;
use crate::feed::{Feed, Media, Planned};
use crate::job::Job;
use crate::spool::{Spool, spooling};

/// Sampling rate of the output.
const RATE: u32 = 48_000;
/// Bit/s for each channel.
const BITS_PER_CHANNEL: u32 = 64_000;
/// Output samples by which a frame may be off where the frames before it end, 5 ms, before it gets a place of its own:
/// less than what clocks are corrected by.
const LOOSE: u64 = RATE as u64 / 200;
/// Output samples of silence that are made at once.
const SILENCE: i64 = 4_800;

/// Sound decoded, brought to 48 kHz, laid where its time says, and encoded. Silence is where there is none.
pub(crate) struct EncodeAudio {
    lane: VecDeque<usize>,
    /// Channels of the output; by default those of the first frame.
    channels: Option<u8>,
    current: Option<Current>,
    decoder: Option<(AudioSpecificConfig, AacDecoder, Resampler)>,
    encoder: Option<AacEncoder>,
    /// Output samples so far, from the output's zero on.
    written: i64,
    /// Silence that comes before `held`.
    silent: i64,
    /// Output samples that are to be left out of what comes: they are from before what is written.
    late: i64,
    /// The frames that follow each other without a gap: where the first lies, and their input samples so far.
    stretch: Option<(i64, i64)>,
    held: Vec<f32>,
    /// Bytes of the packets in the spool that were not told.
    ready: VecDeque<usize>,
    packets: i64,
    ended: bool,
    spool: Spool,
}

struct Current {
    config: AudioSpecificConfig,
    frames: Frames,
    samples: Samples,
    offset: i64,
}

impl EncodeAudio {
    pub(crate) fn new(lane: VecDeque<usize>, channels: Option<u8>) -> Result<Self, MergeError> {
        Ok(Self {
            lane,
            channels,
            current: None,
            decoder: None,
            encoder: None,
            written: 0,
            silent: 0,
            late: 0,
            stretch: None,
            held: Vec::new(),
            ready: VecDeque::new(),
            packets: 0,
            ended: false,
            spool: Spool::new().map_err(spooling)?,
        })
    }

    /// The next frame: its config, its time in output samples, and its bytes.
    fn frame(&mut self, job: &mut Job<'_>) -> Result<Option<(AudioSpecificConfig, i64, Bytes)>, MergeError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(number) = self.lane.pop_front() else { return Ok(None) };
                let Some(loaded) = job.load(number)? else { continue };
                let Some(audio) = loaded.index.audio() else { continue };
                let (config, frames) = (audio.config(), audio.frames());
                let samples = Samples::new(loaded.data.clone());
                self.current = Some(Current { config, frames, samples, offset: loaded.offset });
                continue;
            };
            let sound = |sample: &_| {
                matches!(sample, Ok(recorder_hls::index::SegmentSample { kind: MediaKind::Audio, .. }))
            };
            let (Some(frame), Some(Ok(sample))) = (current.frames.next(), current.samples.find(sound)) else {
                self.current = None;
                continue;
            };
            let at = samples(frame.pts.saturating_add(current.offset), Timescale::HZ_48000);
            return Ok(Some((current.config, at, sample.data)));
        }
    }

    /// Decodes the next frame into `held`, and tells the silence before it; `false` at the end.
    fn take(&mut self, job: &mut Job<'_>) -> Result<bool, MergeError> {
        let next = self.frame(job)?;
        let segment = job.segment();
        let failed = |source| MergeError::Codec { segment: segment.clone(), source };
        let Some((config, at, data)) = next else {
            self.end_stretch(&segment)?;
            return Ok(false);
        };
        let channels = match &self.encoder {
            Some(encoder) => encoder.channels(),
            None => {
                let channels = self.channels.unwrap_or(config.channels().min(2));
                let bits = BITS_PER_CHANNEL * u32::from(channels);
                self.encoder = Some(AacEncoder::new(RATE, channels, bits).map_err(failed)?);
                channels
            }
        };
        let known = self.decoder.as_ref().is_some_and(|(known, ..)| *known == config);
        let expected = self.stretch.map(|(start, count)| {
            start.saturating_add(count.saturating_mul(RATE.into()) / i64::from(config.sample_rate()))
        });
        if !known || expected.is_none_or(|expected| expected.abs_diff(at) > LOOSE) {
            self.end_stretch(&segment)?;
            match &mut self.decoder {
                Some((_, decoder, _)) if known => decoder.reset().map_err(failed)?,
                decoder => {
                    let resampler = Resampler::new(config.sample_rate(), RATE, channels).map_err(failed)?;
                    *decoder = Some((config, AacDecoder::new(config).map_err(failed)?, resampler));
                }
            }
            self.stretch = Some((at, 0));
            self.silent = at.saturating_sub(self.written).max(0);
            self.late = self.written.saturating_sub(at).max(0);
        }
        let Some((_, decoder, resampler)) = &mut self.decoder else { return Ok(true) };
        let mut pcm = Vec::new();
        match decoder.decode(&data, &mut pcm) {
            Err(CodecError::Corrupt { .. }) => decoder.conceal(FRAME_SAMPLES, &mut pcm).map_err(failed)?,
            decoded => drop(decoded.map_err(failed)?),
        }
        if let Some((_, count)) = &mut self.stretch {
            *count += i64::from(FRAME_SAMPLES);
        }
        resampler.push(&mix(pcm, config.channels(), channels), &mut self.held).map_err(failed)?;
        Ok(true)
    }

    /// What the filter still holds is heard before what comes next.
    fn end_stretch(&mut self, segment: &str) -> Result<(), MergeError> {
        if self.stretch.take().is_none() {
            return Ok(());
        }
        let mut rest = Vec::new();
        if let Some((_, _, resampler)) = &mut self.decoder {
            let finished = resampler.finish(&mut rest);
            finished.map_err(|source| MergeError::Codec { segment: segment.to_owned(), source })?;
        }
        self.write(&rest, segment)
    }

    fn write(&mut self, pcm: &[f32], segment: &str) -> Result<(), MergeError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let channels = usize::from(encoder.channels());
        let count = i64::try_from(pcm.len() / channels).unwrap_or(i64::MAX);
        let late = self.late.min(count);
        self.late -= late;
        self.written = self.written.saturating_add(count - late);
        let from = usize::try_from(late).unwrap_or(0) * channels;
        let mut packets = Vec::new();
        let encoded = encoder.encode(pcm.get(from..).unwrap_or_default(), &mut packets);
        encoded.map_err(|source| MergeError::Codec { segment: segment.to_owned(), source })?;
        self.keep(&packets)
    }

    fn keep(&mut self, packets: &[Bytes]) -> Result<(), MergeError> {
        for packet in packets {
            self.spool.push(packet).map_err(spooling)?;
            self.ready.push_back(packet.len());
        }
        Ok(())
    }
}

impl Feed for EncodeAudio {
    fn timescale(&self) -> Timescale {
        Timescale::HZ_48000
    }

    fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError> {
        loop {
            if let Some(len) = self.ready.pop_front() {
                let Some(encoder) = &self.encoder else { return Ok(None) };
                let frame = i64::from(encoder.frame_samples());
                let at = self.packets.saturating_mul(frame).saturating_sub(encoder.priming().into());
                let at = Timestamp::new(at, Timescale::HZ_48000);
                let entry = (self.packets == 0).then(|| SampleEntry::aac(encoder.config()));
                self.packets += 1;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                let duration = encoder.frame_samples();
                return Ok(Some(Planned {
                    info: SampleInfo { pts: at, dts: at, duration, sync: true, len },
                    entry,
                }));
            }
            if self.ended {
                return Ok(None);
            }
            if self.silent > 0 {
                let count = self.silent.min(SILENCE);
                self.silent -= count;
                let channels = self.encoder.as_ref().map_or(1, |encoder| usize::from(encoder.channels()));
                self.write(&vec![0.0; usize::try_from(count).unwrap_or(0) * channels], &job.segment())?;
                continue;
            }
            if !self.held.is_empty() {
                let pcm = std::mem::take(&mut self.held);
                self.write(&pcm, &job.segment())?;
                continue;
            }
            if !self.take(job)? {
                self.ended = true;
                let mut packets = Vec::new();
                if let Some(encoder) = &mut self.encoder {
                    let finished = encoder.finish(&mut packets);
                    finished.map_err(|source| MergeError::Codec { segment: job.segment(), source })?;
                }
                self.keep(&packets)?;
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Media, MergeError> {
        Ok(Media::Spooled(self.spool.into_file().map_err(spooling)?))
    }
}

/// Interleaved samples of `from` channels in `to`, each 1 or 2.
fn mix(pcm: Vec<f32>, from: u8, to: u8) -> Vec<f32> {
    match (from, to) {
        (1, 2) => pcm.into_iter().flat_map(|sample| [sample; 2]).collect(),
        (2, 1) => pcm.chunks_exact(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect(),
        _ => pcm,
    }
}
