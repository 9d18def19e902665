use std::collections::VecDeque;

use bytes::Bytes;
use recorder_codec::{AudioDecoder, Codecs, Resampler, opus_packet_samples};
use recorder_types::aac::{AdtsFrame, FRAME_SAMPLES};
use recorder_types::{AacConfig, RoomTime, Timescale, TrackConfig};

use crate::MixError;
use crate::unit::Unit;

/// How far a packet may be from its place and still be joined to the one before it as it is: 5 ms.
const JITTER_DIVISOR: i64 = 200;
/// Up to this far, 15 ms, the sender's clock drifts; further, something is missing. A lost frame of either codec is
/// longer.
const DRIFT_MILLIS: i64 = 15;
/// The longest gap that the decoder may guess, 100 ms; silence follows.
const CONCEAL_MILLIS: i64 = 100;
/// A longer gap begins a new run.
const FILL_MILLIS: i64 = 2000;
/// So many packets in a row whose time was already heard are no late ones: the time line stepped back.
const LATE_RUN: u32 = 50;

/// One participant's sound: decodes, resamples, and puts every sample at its place on the room's clock.
///
/// Places come from the timestamps, never from the sum of durations: what is missing is concealed or silent, and a
/// clock that drifts is followed by lengthening or shortening single packets under a cross-fade, so that the sound is
/// never further than 5 ms from its place after the packet that showed it.
pub(crate) struct Voice {
    codec: TrackConfig,
    decoder: Option<Box<dyn AudioDecoder>>,
    resampler: Option<Resampler>,
    /// Of the mix.
    rate: u32,
    channels: u8,
    waiting: VecDeque<Unit>,
    run: Option<Run>,
    late: u32,
    /// Samples of the mix from position `start` on, interleaved.
    heard: VecDeque<f32>,
    start: i64,
    pcm: Vec<f32>,
    resampled: Vec<f32>,
}

/// A stretch of sound without a jump.
struct Run {
    /// Where the next packet belongs if nothing is missing, in samples of the decoder since the room's zero.
    next: i64,
    /// The timestamp of the last packet, in the same samples.
    last: i64,
    /// Where the next sample of the mix belongs.
    position: i64,
}

impl Voice {
    pub(crate) fn new(codec: TrackConfig, rate: u32, channels: u8) -> Self {
        Self {
            codec,
            decoder: None,
            resampler: None,
            rate,
            channels,
            waiting: VecDeque::new(),
            run: None,
            late: 0,
            heard: VecDeque::new(),
            start: 0,
            pcm: Vec::new(),
            resampled: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, unit: Unit) {
        self.waiting.push_back(unit);
    }

    /// Decodes what is to be heard before `until`.
    pub(crate) fn decode(&mut self, until: RoomTime, codecs: &dyn Codecs) -> Result<(), MixError> {
        while self.waiting.front().is_some_and(|unit| unit.pts < until) {
            let Some(unit) = self.waiting.pop_front() else { break };
            self.take(&unit, codecs)?;
        }
        Ok(())
    }

    /// Nothing more is to be heard than what was decoded: what the resampler holds is given out.
    pub(crate) fn finish(&mut self) -> Result<(), MixError> {
        self.waiting.clear();
        self.end_run()
    }

    /// Adds what is heard from `at` on to `mix`, interleaved, and forgets it. Says whether anything was.
    pub(crate) fn mix_into(&mut self, at: i64, mix: &mut [f32]) -> bool {
        let channels = usize::from(self.channels);
        let early = usize::try_from(at - self.start).unwrap_or(0).saturating_mul(channels);
        self.heard.drain(..early.min(self.heard.len()));
        self.start = self.start.max(at);
        let skip = usize::try_from(self.start - at).unwrap_or(usize::MAX).saturating_mul(channels);
        let Some(mix) = mix.get_mut(skip..) else { return false };
        let len = mix.len().min(self.heard.len());
        for (sum, sample) in mix.iter_mut().zip(self.heard.drain(..len)) {
            *sum += sample;
        }
        self.start += i64::try_from(len / channels).unwrap_or(0);
        len > 0
    }

    /// Whether sound waits or is ready.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.heard.is_empty() && self.run.is_none()
    }

    fn take(&mut self, unit: &Unit, codecs: &dyn Codecs) -> Result<(), MixError> {
        match self.codec {
            TrackConfig::Aac(AacConfig::Adts) => {
                let (mut rest, mut pts) = (unit.data.clone(), unit.pts);
                // Damage ends the unit: nothing behind it can be found.
                while let Ok(frame) = AdtsFrame::parse(&rest) {
                    let (header, len) = (frame.header_len, frame.frame_len);
                    if len > rest.len() || header > len {
                        break;
                    }
                    let data = rest.slice(header..len);
                    self.configure(&TrackConfig::Aac(AacConfig::Raw(frame.config)), codecs)?;
                    self.packet(pts, &data)?;
                    pts = pts.saturating_add(span(i64::from(FRAME_SAMPLES), frame.config.sample_rate()));
                    rest = rest.slice(len..);
                    if rest.is_empty() {
                        break;
                    }
                }
                Ok(())
            }
            _ => {
                self.configure(&self.codec.clone(), codecs)?;
                self.packet(unit.pts, &unit.data)
            }
        }
    }

    /// Makes the decoder, or another where the rate or the channels changed.
    fn configure(&mut self, config: &TrackConfig, codecs: &dyn Codecs) -> Result<(), MixError> {
        let (rate, channels) = match config {
            TrackConfig::Aac(AacConfig::Raw(aac)) => (aac.sample_rate(), aac.channels()),
            TrackConfig::Opus(opus) => (48_000, opus.channels),
            // Streams of other kinds are refused when they are published.
            _ => return Ok(()),
        };
        if self.decoder.as_ref().is_some_and(|now| now.sample_rate() == rate && now.channels() == channels) {
            return Ok(());
        }
        self.end_run()?;
        self.decoder = Some(codecs.audio_decoder(config)?);
        self.resampler = Some(Resampler::new(rate, self.rate, channels)?);
        Ok(())
    }

    fn packet(&mut self, pts: RoomTime, data: &Bytes) -> Result<(), MixError> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let rate = decoder.sample_rate();
        let samples = match self.codec {
            TrackConfig::Opus(_) => match opus_packet_samples(data) {
                Some(samples) => samples,
                None => return Ok(()),
            },
            _ => FRAME_SAMPLES,
        };
        let at = pts.round_to_ticks(Timescale::new(rate).expect("a decoder has a rate"));
        let milli = i64::from(rate) / 1000;
        let mut off = self.run.as_ref().map(|run| at - run.next);
        if self.run.as_ref().is_some_and(|run| at <= run.last)
            || off.is_some_and(|off| off < -DRIFT_MILLIS * milli)
        {
            self.late += 1;
            if self.late < LATE_RUN {
                return Ok(());
            }
            off = None;
        }
        self.late = 0;
        if off.is_none_or(|off| off > FILL_MILLIS * milli) {
            self.end_run()?;
            let position = pts.round_to_ticks(Timescale::new(self.rate).expect("the mix has a rate"));
            self.run = Some(Run { next: at, last: at, position });
            off = Some(0);
        }
        let missing = off.unwrap_or(0);
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        self.pcm.clear();
        if missing > DRIFT_MILLIS * milli {
            let guessed = missing.min(CONCEAL_MILLIS * milli);
            decoder.conceal(u32::try_from(guessed).unwrap_or(0), &mut self.pcm)?;
            let len = usize::try_from(missing).unwrap_or(0) * usize::from(decoder.channels());
            self.pcm.resize(len, 0.0);
        }
        let before = self.pcm.len();
        let channels = usize::from(decoder.channels());
        if decoder.decode(data, &mut self.pcm).is_err() {
            // Damaged: as long as it would have been.
            self.pcm.truncate(before);
            decoder.conceal(samples, &mut self.pcm)?;
        }
        if missing.abs() > i64::from(rate) / JITTER_DIVISOR && missing <= DRIFT_MILLIS * milli {
            slip(&mut self.pcm, channels, missing);
        }
        let len = i64::try_from(self.pcm.len() / channels).unwrap_or(0);
        if let Some(run) = &mut self.run {
            run.next += len;
            run.last = at;
        }
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.push(&self.pcm, &mut self.resampled)?;
        }
        self.place(channels);
        Ok(())
    }

    /// Puts what came out of the resampler at its place.
    fn place(&mut self, channels: usize) {
        let Some(run) = &mut self.run else { return };
        let (own, wide) = (channels, usize::from(self.channels));
        let end = |start: i64, heard: usize| start + i64::try_from(heard / wide).unwrap_or(0);
        let frames = self.resampled.len() / own;
        let mut skip = 0;
        let edge = end(self.start, self.heard.len());
        if self.heard.is_empty() {
            // What lies before `start` was mixed without it.
            skip = usize::try_from(self.start - run.position).unwrap_or(0).min(frames);
            self.start = self.start.max(run.position);
        } else if run.position > edge {
            let silence = usize::try_from(run.position - edge).unwrap_or(0);
            self.heard.extend(std::iter::repeat_n(0.0, silence * wide));
        } else {
            // The tail of the run before reaches a little into this one.
            skip = usize::try_from(edge - run.position).unwrap_or(0).min(frames);
        }
        run.position += i64::try_from(frames).unwrap_or(0);
        for frame in self.resampled.chunks_exact(own).skip(skip) {
            match (own, wide) {
                (2, 1) => self.heard.push_back((frame[0] + frame[1]) * 0.5),
                (1, 2) => self.heard.extend([frame[0], frame[0]]),
                _ => self.heard.extend(frame),
            }
        }
    }

    fn end_run(&mut self) -> Result<(), MixError> {
        if self.run.is_none() {
            return Ok(());
        }
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.resampled)?;
            let channels = usize::from(resampler.channels());
            self.place(channels);
        }
        self.run = None;
        match &mut self.decoder {
            Some(decoder) => Ok(decoder.reset()?),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice")
            .field("codec", &self.codec)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// Makes `pcm` longer by `by` samples per channel, or shorter if negative, in its middle under a cross-fade of a
/// quarter of its length. Too short a block is left as it is: the next is longer, or further off.
fn slip(pcm: &mut Vec<f32>, channels: usize, by: i64) {
    let frames = pcm.len() / channels;
    let fade = frames / 4;
    let shift = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    // The two readings of the block, `shift` apart, are faded from one to the other.
    let (from, to) = if by > 0 {
        (frames / 2, frames / 2 - shift.min(frames / 2))
    } else {
        (frames / 4, frames / 4 + shift)
    };
    if fade == 0 || shift > frames / 4 || from.max(to) + fade > frames {
        return;
    }
    let mut out = Vec::with_capacity((frames + shift) * channels);
    out.extend_from_slice(&pcm[..from * channels]);
    for n in 0..fade * channels {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand samples")]
        let part = (n / channels) as f32 / fade as f32;
        out.push(pcm[from * channels + n] * (1.0 - part) + pcm[to * channels + n] * part);
    }
    out.extend_from_slice(&pcm[(to + fade) * channels..]);
    *pcm = out;
}

/// The time that `samples` take.
fn span(samples: i64, rate: u32) -> RoomTime {
    RoomTime::from_nanos(samples * 1_000_000_000 / i64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_slips_by_what_is_asked_and_stays_smooth() {
        let wave = |n: u16| (f32::from(n) / 10.0).sin();
        for by in [-240_i64, -100, 0, 100, 240] {
            let mut pcm: Vec<f32> = (0..1024).flat_map(|n| [wave(n), -wave(n)]).collect();
            slip(&mut pcm, 2, by);
            assert_eq!(i64::try_from(pcm.len()).unwrap(), 2048 + 2 * by, "{by}");
            assert!(
                pcm.chunks_exact(2)
                    .map(|frame| frame[0])
                    .collect::<Vec<_>>()
                    .windows(2)
                    .all(|w| (w[1] - w[0]).abs() < 0.11),
                "{by}"
            );
        }
        let mut short = vec![0.0; 240];
        slip(&mut short, 1, 200);
        assert_eq!(short.len(), 240);
    }
}
