use std::path::{Path, PathBuf};

use recorder_types::aac::{ADTS_HEADER_BYTES, AacError, AdtsFrame, AudioSpecificConfig, FRAME_SAMPLES};
use recorder_types::{Sample, Timescale, Timestamp};

use crate::error::Warnings;
use crate::window::Window;
use crate::{InputError, Warning};

/// The longest frame that the 13-bit length of ADTS can name.
const MAX_FRAME: usize = (1 << 13) - 1;

/// Frames of an ADTS stream (ISO/IEC 14496-3 §1.A.2.2), header included, timed by counting samples.
///
/// A frame is believed if a header of the same kind follows it, or the file ends there. Time stands still over bytes
/// that are no frames.
pub(crate) struct Adts {
    path: PathBuf,
    window: Window,
    first: AudioSpecificConfig,
    /// Of the frames now, and since when (ticks of the first one's clock), and how many came since.
    config: AudioSpecificConfig,
    base: i64,
    frames: i64,
    pub(crate) warnings: Warnings,
}

impl Adts {
    pub(crate) fn open(path: &Path, mut window: Window) -> Result<Self, InputError> {
        let io = |source| InputError::Io { path: path.to_owned(), source };
        let mut warnings = Warnings::default();
        skip_id3(&mut window).map_err(io)?;
        let found = find_frame(&mut window, None, &mut warnings).map_err(io)?;
        let config = found.map_err(|source| InputError::NoAacFrame { path: path.to_owned(), source })?.config;
        Ok(Self { path: path.to_owned(), window, first: config, config, base: 0, frames: 0, warnings })
    }

    pub(crate) fn timescale(&self) -> Timescale {
        self.first.timescale()
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, InputError> {
        let found = find_frame(&mut self.window, Some(self.config), &mut self.warnings);
        let found = found.map_err(|source| InputError::Io { path: self.path.clone(), source })?;
        let Ok(frame) = found else {
            return Ok(None);
        };
        if frame.config != self.config {
            self.warnings.push(Warning::ConfigChange { at: self.window.start() });
            self.base = self.time();
            self.frames = 0;
            self.config = frame.config;
        }
        let pts = Timestamp::new(self.time(), self.first.timescale());
        self.frames += 1;
        Ok(Some(Sample::new(pts, self.window.cut(frame.frame_len))))
    }

    /// When the next frame is heard; rounded down where its clock is not that of the first.
    fn time(&self) -> i64 {
        let samples = i128::from(self.frames) * i128::from(FRAME_SAMPLES);
        let ticks = samples * i128::from(self.first.sample_rate()) / i128::from(self.config.sample_rate());
        self.base.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

/// Takes ID3v2 tags away from the front of the window (a tag may follow a tag).
fn skip_id3(window: &mut Window) -> std::io::Result<()> {
    while window.ensure(10)? {
        let Some(mut rest) = id3_len(window.bytes()) else {
            return Ok(());
        };
        while rest > 0 && window.ensure(1)? {
            rest -= window.cut(rest.min(window.bytes().len())).len();
        }
    }
    Ok(())
}

/// Bytes of the ID3v2 tag at the start of `bytes`, header and footer included; `None` if there is none.
pub(crate) fn id3_len(bytes: &[u8]) -> Option<usize> {
    let &[b'I', b'D', b'3', major, _, flags, a, b, c, d, ..] = bytes else {
        return None;
    };
    if major == 0xFF || [a, b, c, d].iter().any(|&byte| byte >= 0x80) {
        return None;
    }
    let size = [a, b, c, d].iter().fold(0usize, |size, &byte| (size << 7) | usize::from(byte));
    Some(size + 10 + if flags & 0x10 != 0 { 10 } else { 0 })
}

/// Moves the window to the next frame that is whole and believed. At the end of the file the reason why the first
/// header-like bytes were none, if any were seen.
fn find_frame(
    window: &mut Window,
    like: Option<AudioSpecificConfig>,
    warnings: &mut Warnings,
) -> std::io::Result<Result<AdtsFrame, Option<AacError>>> {
    let (from, mut skipped, mut reason) = (window.start(), 0u64, None);
    let junk = |bytes, warnings: &mut Warnings| {
        if bytes > 0 {
            warnings.push(Warning::Junk { at: from, bytes });
        }
    };
    loop {
        // Two frames, so that a claim can be checked against what follows.
        window.ensure(2 * MAX_FRAME + ADTS_HEADER_BYTES)?;
        let bytes = window.bytes();
        let step = match AdtsFrame::parse(bytes) {
            Ok(frame) if frame.frame_len > bytes.len() => {
                // The file ends within this frame, unless its length is a lie and another one follows.
                match next_pair(bytes, frame.config) {
                    Some(at) => at,
                    None => {
                        junk(skipped, warnings);
                        warnings.push(Warning::TruncatedEnd { at: window.start() });
                        window.cut(bytes.len());
                        return Ok(Err(reason));
                    }
                }
            }
            Ok(frame) => {
                let rest = &bytes[frame.frame_len..];
                let is_known = like == Some(frame.config) && skipped == 0;
                let is_followed = AdtsFrame::parse(rest).is_ok_and(|next| next.config == frame.config);
                // In step and nothing else within it: the foreign bytes are after the frame.
                let is_whole = || next_pair(bytes, frame.config).is_none_or(|at| at >= frame.frame_len);
                let at_end = rest.len() < ADTS_HEADER_BYTES && (is_known || like.is_none());
                if is_followed || at_end || (is_known && is_whole()) {
                    junk(skipped, warnings);
                    return Ok(Ok(frame));
                }
                next_candidate(bytes)
            }
            Err(AacError::Truncated) => {
                let left = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let at = window.start();
                junk(skipped, warnings);
                if left > 0 {
                    let cut_header = bytes[0] == 0xFF && bytes.get(1).is_none_or(|b| b & 0xF6 == 0xF0);
                    warnings.push(match cut_header {
                        true => Warning::TruncatedEnd { at },
                        false => Warning::Junk { at, bytes: left },
                    });
                }
                window.cut(bytes.len());
                return Ok(Err(reason));
            }
            Err(error) => {
                if error != AacError::Sync {
                    reason = reason.or(Some(error));
                }
                next_candidate(bytes)
            }
        };
        window.cut(step);
        skipped += u64::try_from(step).unwrap_or(u64::MAX);
    }
}

/// Where the next byte that may begin a header is, after the first; the end if there is none.
fn next_candidate(bytes: &[u8]) -> usize {
    let rest = bytes.get(1..).unwrap_or_default();
    1 + rest.iter().position(|&byte| byte == 0xFF).unwrap_or(rest.len())
}

/// Where, after the first byte, a frame of `config` begins that another follows.
fn next_pair(bytes: &[u8], config: AudioSpecificConfig) -> Option<usize> {
    let mut at = next_candidate(bytes);
    while at < bytes.len() {
        let is_frame = |at: usize| {
            let frame = AdtsFrame::parse(bytes.get(at..)?).ok().filter(|frame| frame.config == config)?;
            Some(at + frame.frame_len)
        };
        if is_frame(at).and_then(is_frame).is_some() {
            return Some(at);
        }
        at += next_candidate(&bytes[at..]);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn frame(rate: u32, payload: usize) -> Vec<u8> {
        let mut frame = AudioSpecificConfig::new(rate, 2).unwrap().adts_header(payload).unwrap().to_vec();
        frame.resize(payload + ADTS_HEADER_BYTES, 0x21);
        frame
    }

    fn read(file: Vec<u8>) -> (Vec<(i64, usize)>, Vec<Warning>) {
        let mut adts = Adts::open(Path::new("x"), Window::new(Box::new(Cursor::new(file)))).unwrap();
        let mut frames = Vec::new();
        while let Some(sample) = adts.next().unwrap() {
            frames.push((sample.pts.ticks(), sample.data.len()));
        }
        (frames, adts.warnings.take())
    }

    #[test]
    fn frames_are_found_between_tags_junk_and_a_cut_end() {
        let mut file = b"ID3\x04\0\0\0\0\0\x05hello".to_vec();
        for payload in [100, 200, 300] {
            file.extend(frame(48_000, payload));
        }
        file.extend([0xFF, 0xF1, 0, 1, 2, 3, 4, 5, 0xFF]);
        for payload in [50, 60, 70] {
            file.extend(frame(48_000, payload));
        }
        file.extend(&frame(48_000, 90)[..40]);
        let (frames, warnings) = read(file);
        assert_eq!(frames, [(0, 107), (1024, 207), (2048, 307), (3072, 57), (4096, 67), (5120, 77)]);
        let end = 15 + 107 + 207 + 307;
        assert_eq!(
            warnings,
            [Warning::Junk { at: end, bytes: 9 }, Warning::TruncatedEnd { at: end + 9 + 57 + 67 + 77 }]
        );
    }

    #[test]
    fn a_length_that_lies_costs_one_frame() {
        let mut file = Vec::new();
        for index in 0..6 {
            let mut frame = frame(44_100, 100);
            if index == 2 {
                frame[4] = frame[4].wrapping_add(9); // 72 bytes more
            }
            file.extend(frame);
        }
        let (frames, warnings) = read(file);
        assert_eq!(frames.len(), 5);
        assert_eq!(warnings, [Warning::Junk { at: 214, bytes: 107 }]);
    }

    #[test]
    fn what_is_no_aac_lc_is_told() {
        let mut main = frame(48_000, 100);
        main[2] &= 0x3F; // object type 1
        for (file, want) in [
            ([main.clone(), main].concat(), Some(AacError::ObjectType { object_type: 1 })),
            (vec![1, 2, 3], None),
            (Vec::new(), None),
        ] {
            match Adts::open(Path::new("x"), Window::new(Box::new(Cursor::new(file)))).err() {
                Some(InputError::NoAacFrame { source, .. }) => assert_eq!(source, want),
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_whatever_lies_between(
            parts in proptest::collection::vec(
                prop_oneof![
                    (1usize..400).prop_map(|len| frame(32_000, len)),
                    proptest::collection::vec(prop_oneof![Just(0xFFu8), Just(0xF1), any::<u8>()], 0..60),
                ],
                0..30,
            ),
        ) {
            let file = parts.concat();
            let whole = file.len();
            if let Ok(mut adts) = Adts::open(Path::new("x"), Window::new(Box::new(Cursor::new(file)))) {
                let mut total = 0;
                while let Some(sample) = adts.next().unwrap() {
                    prop_assert_eq!(AdtsFrame::parse(&sample.data).map(|f| f.frame_len), Ok(sample.data.len()));
                    total += sample.data.len();
                }
                prop_assert!(total <= whole);
            }
        }
    }

    #[test]
    fn another_rate_goes_on_where_the_first_ended() {
        let mut file = frame(48_000, 100);
        file.extend(frame(48_000, 100));
        file.extend(frame(24_000, 100));
        file.extend(frame(24_000, 100));
        let (frames, warnings) = read(file);
        assert_eq!(frames.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1024, 2048, 4096]);
        assert_eq!(warnings, [Warning::ConfigChange { at: 214 }]);
    }
}
