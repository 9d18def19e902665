//! Silent AAC-LC, made bit by bit. The frame is the same at every sampling rate.
//!
//! # Specification
//! ISO/IEC 14496-3:2019 §4.4.2.1 (raw_data_block), §4.4.2.7 (individual_channel_stream).

use bytes::{BufMut, Bytes, BytesMut};
use recorder_types::aac::{AacError, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{Sample, Timestamp};

use crate::bits::BitWriter;

/// How many channels a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One.
    Mono,
    /// Two, as a channel pair.
    Stereo,
}

impl Layout {
    /// 1 or 2.
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// A raw frame of 1024 samples of silence a channel: a long window with no scale factor bands.
#[must_use]
pub fn silent_frame(layout: Layout) -> Bytes {
    let mut bits = BitWriter::default();
    match layout {
        Layout::Mono => {
            bits.bits(0, 3 + 4); // single_channel_element 0
            bits.bits(0, 8); // global_gain
            window(&mut bits);
            bits.bits(0, 3); // no pulses, no TNS, no gain control
        }
        Layout::Stereo => {
            bits.bits(1, 3); // channel_pair_element
            bits.bits(0, 4); // 0
            bits.bits(1, 1); // common_window
            window(&mut bits);
            bits.bits(0, 2); // ms_mask_present
            for _ in 0..2 {
                bits.bits(0, 8 + 3); // global_gain; no pulses, no TNS, no gain control
            }
        }
    }
    bits.bits(7, 3); // end
    bits.finish().into()
}

/// `ics_info`: a long sine window, `max_sfb` 0, no prediction.
fn window(bits: &mut BitWriter) {
    bits.bits(0, 1 + 2 + 1 + 6 + 1);
}

/// A silent frame behind its ADTS header.
///
/// # Errors
/// [`AacError::SampleRate`] for a rate that AAC has no index for.
pub fn silent_adts(sample_rate: u32, layout: Layout) -> Result<Bytes, AacError> {
    let frame = silent_frame(layout);
    let config = AudioSpecificConfig::new(sample_rate, layout.channels())?;
    let mut out = BytesMut::new();
    out.put_slice(&config.adts_header(frame.len()).expect("a few bytes fit"));
    out.put_slice(&frame);
    Ok(out.freeze())
}

/// `count` raw frames on the clock of `config` from `start` samples on.
///
/// # Panics
/// If `config` has other than one or two channels.
#[must_use]
pub fn silence(config: AudioSpecificConfig, count: u32, start: i64) -> Vec<Sample> {
    let frame = silent_frame(match config.channels() {
        1 => Layout::Mono,
        2 => Layout::Stereo,
        channels => panic!("no silent frame of {channels} channels"),
    });
    (0..count)
        .map(|n| {
            let ticks = start + i64::from(n) * i64::from(FRAME_SAMPLES);
            Sample::new(Timestamp::new(ticks, config.timescale()), frame.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use recorder_types::aac::AdtsFrame;

    use super::*;
    use crate::ffmpeg::{self, Verdict};

    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];

    #[test]
    fn headers_tell_rate_and_channels() {
        for rate in RATES {
            for layout in [Layout::Mono, Layout::Stereo] {
                let adts = silent_adts(rate, layout).unwrap();
                let frame = AdtsFrame::parse(&adts).unwrap();
                assert_eq!((frame.config.sample_rate(), frame.config.channels()), (rate, layout.channels()));
                assert_eq!(frame.frame_len, adts.len());
            }
        }
        assert!(silent_adts(44_000, Layout::Mono).is_err());
    }

    #[test]
    fn ffmpeg_decodes_it_without_complaint() {
        for (rate, layout) in [(48_000, Layout::Mono), (44_100, Layout::Stereo), (8_000, Layout::Mono)] {
            let stream = silent_adts(rate, layout).unwrap().repeat(40);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("silence.aac");
            std::fs::write(&file, stream).unwrap();
            let Some(verdict) = ffmpeg::strict_decode(&file) else { return };
            assert_eq!(verdict, Verdict::Clean, "{rate} {layout:?}");
            assert_eq!(ffmpeg::count_frames(&file), Some(40));
        }
    }
}
