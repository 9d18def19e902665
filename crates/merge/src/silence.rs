//! A frame of silence in AAC-LC, for the gaps of copied sound.

use bytes::Bytes;
use recorder_types::aac::AudioSpecificConfig;

/// A syntactic element of a raw data block (ISO/IEC 14496-3 table 4.85).
#[derive(Clone, Copy)]
enum Element {
    Single = 0,
    Pair = 1,
    LowFrequency = 3,
}

/// 1024 samples of silence in every channel of `config`: long windows without scale factor bands. It is the same at
/// every rate.
///
/// # Specification
/// ISO/IEC 14496-3:2019 §4.4.2.1 (raw_data_block), §4.4.2.7 (individual_channel_stream), table 1.19 (channels).
pub(crate) fn silent_frame(config: AudioSpecificConfig) -> Bytes {
    use Element::{LowFrequency, Pair, Single};
    let elements: &[Element] = match config.channels() {
        1 => &[Single],
        2 => &[Pair],
        3 => &[Single, Pair],
        4 => &[Single, Pair, Single],
        5 => &[Single, Pair, Pair],
        6 => &[Single, Pair, Pair, LowFrequency],
        _ => &[Single, Pair, Pair, Pair, LowFrequency],
    };
    let mut bits = Bits::default();
    let mut tags = [0u32; 4];
    for &element in elements {
        let kind = element as u8;
        let tag = &mut tags[usize::from(kind)];
        bits.push(kind.into(), 3);
        bits.push(*tag, 4);
        *tag += 1;
        match element {
            Single | LowFrequency => {
                bits.push(0, 8); // global_gain
                bits.window();
                bits.push(0, 3); // no pulses, no TNS, no gain control
            }
            Pair => {
                bits.push(1, 1); // common_window
                bits.window();
                bits.push(0, 2); // ms_mask_present
                for _ in 0..2 {
                    bits.push(0, 8 + 3); // global_gain; no pulses, no TNS, no gain control
                }
            }
        }
    }
    bits.push(7, 3); // end
    bits.bytes.into()
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> shift & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 0x80 >> (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// `ics_info`: a long sine window, `max_sfb` 0, no prediction.
    fn window(&mut self) {
        self.push(0, 1 + 2 + 1 + 6 + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recorder_testkit::ffmpeg::{self, Verdict};

    #[test]
    fn decoders_take_it_with_any_number_of_channels() {
        for channels in [1, 2, 3, 4, 5, 6, 8] {
            let config = AudioSpecificConfig::new(44_100, channels).unwrap();
            let frame = silent_frame(config);
            let adts = [&config.adts_header(frame.len()).unwrap()[..], &frame].concat();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("silence.aac");
            std::fs::write(&file, adts.repeat(10)).unwrap();
            let Some(verdict) = ffmpeg::strict_decode(&file) else { return };
            assert_eq!(verdict, Verdict::Clean, "{channels} channels");
            assert_eq!(ffmpeg::count_frames(&file), Some(10));
        }
    }
}
