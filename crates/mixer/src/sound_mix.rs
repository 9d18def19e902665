use std::collections::VecDeque;

use bytes::Bytes;
use recorder_codec::{AudioEncoder, Codecs};
use recorder_types::{RoomTime, Timescale, Timestamp, TrackConfig};

use crate::limiter::Limiter;
use crate::mixer::Mixed;
use crate::streams::Streams;
use crate::{AudioOptions, MixError};

/// Blocks a second.
const BLOCKS: u32 = 100;

/// The sound side of a mix: the sum of all voices, limited and encoded.
pub(crate) struct SoundMix {
    encoder: Box<dyn AudioEncoder>,
    limiter: Limiter,
    scale: Timescale,
    channels: usize,
    /// Samples of one channel in a block.
    block: i64,
    /// Position of the first sample, in samples since the room's zero.
    start: i64,
    /// Position of the next sample to be mixed.
    next: i64,
    /// Packets that came out of the encoder.
    packets: i64,
    sum: Vec<f32>,
    limited: Vec<f32>,
    encoded: Vec<Bytes>,
}

impl SoundMix {
    pub(crate) fn new(
        options: &AudioOptions,
        start: RoomTime,
        codecs: &dyn Codecs,
    ) -> Result<Self, MixError> {
        let encoder = codecs.audio_encoder(options.sample_rate, options.channels, options.bits_per_second)?;
        let scale = Timescale::new(options.sample_rate).expect("the encoder has a rate");
        let start = start.round_to_ticks(scale);
        Ok(Self {
            encoder,
            limiter: Limiter::new(options.sample_rate, options.channels),
            scale,
            channels: usize::from(options.channels),
            block: i64::from(options.sample_rate / BLOCKS),
            start,
            next: start,
            packets: 0,
            sum: Vec::new(),
            limited: Vec::new(),
            encoded: Vec::new(),
        })
    }

    pub(crate) fn config(&self) -> TrackConfig {
        self.encoder.track_config()
    }

    /// The time of the next block.
    pub(crate) fn due(&self) -> RoomTime {
        Timestamp::new(self.next, self.scale).to_room_time().unwrap_or(RoomTime::MAX)
    }

    pub(crate) fn block(
        &mut self,
        horizon: RoomTime,
        streams: &mut Streams,
        codecs: &dyn Codecs,
        out: &mut VecDeque<Mixed>,
    ) -> Result<(), MixError> {
        self.sum.clear();
        self.sum.resize(usize::try_from(self.block).unwrap_or(0) * self.channels, 0.0);
        streams.mix_into(self.next, self.due(), horizon, &mut self.sum, codecs);
        self.next += self.block;
        self.limited.clear();
        self.limiter.push(&self.sum, &mut self.limited);
        self.encode(out)
    }

    pub(crate) fn finish(&mut self, out: &mut VecDeque<Mixed>) -> Result<(), MixError> {
        self.limited.clear();
        self.limiter.finish(&mut self.limited);
        self.encode(out)?;
        self.encoder.finish(&mut self.encoded)?;
        self.give(out);
        Ok(())
    }

    fn encode(&mut self, out: &mut VecDeque<Mixed>) -> Result<(), MixError> {
        self.encoder.encode(&self.limited, &mut self.encoded)?;
        self.give(out);
        Ok(())
    }

    /// Gives the packets with their times. Those that hold nothing but what comes before the first sample are left
    /// out: the first packet that stays fades in.
    fn give(&mut self, out: &mut VecDeque<Mixed>) {
        let (frame, priming) = (i64::from(self.encoder.frame_samples()), i64::from(self.encoder.priming()));
        for data in self.encoded.drain(..) {
            let from = self.packets * frame - priming;
            self.packets += 1;
            if from >= 0 {
                let at =
                    Timestamp::new(self.start + from, self.scale).to_room_time().unwrap_or(RoomTime::MAX);
                out.push_back(Mixed::Sound { at, data });
            }
        }
    }
}

impl std::fmt::Debug for SoundMix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoundMix").field("next", &self.next).finish_non_exhaustive()
    }
}
