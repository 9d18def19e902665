//! Every file of the shared corpus: how many samples, in which order, and no panic on damaged copies.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test: it fails by panic and skips aloud")]

use std::path::{Path, PathBuf};
use std::process::Command;

use recorder_room_input::{InputError, MediaSource, OggFault, OpenOptions, Warning};
use recorder_types::{MediaKind, Sample, TrackConfig};

/// The corpus, or `None` (told aloud) where it is not there.
fn media() -> Option<PathBuf> {
    let path = std::env::var_os("RECORDER_MEDIA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/media").into(), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no corpus at {}", path.display());
    None
}

struct Read {
    samples: Vec<(usize, Sample)>,
    warnings: Vec<Warning>,
    kinds: Vec<MediaKind>,
}

fn read(path: &Path) -> Result<Read, InputError> {
    let mut source = MediaSource::open(path, &OpenOptions::default())?;
    let kinds = source.tracks().iter().map(|track| track.kind).collect();
    let samples = source.by_ref().collect::<Result<_, _>>()?;
    Ok(Read { samples, warnings: source.take_warnings(), kinds })
}

/// Files of one video track: access units, frame rate (frames, seconds).
const VIDEO: [(&str, usize, (i64, i64)); 27] = [
    ("h264/Zhling_1280x720.264", 19, (25, 1)),
    ("h264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", 9, (25, 1)),
    ("h264/VID_1280x720_cabac_temporal_direct.264", 300, (30, 1)),
    ("h264/VID_1920x1080_cabac_temporal_direct.264", 54, (25, 1)),
    ("h264/Adobe_PDF_sample_a_1024x768_50Frms.264", 50, (25, 1)),
    ("h264/BA1_FT_C.264", 299, (25, 1)),
    ("h264/MR1_BT_A.h264", 62, (25, 1)),
    ("h264/LS_SVA_D.264", 1700, (25, 1)),
    ("h264/MPS_MW_A.264", 150, (25, 1)),
    ("h264/CVFC1_Sony_C.jsv", 50, (25, 1)),
    ("h264/MIDR_MW_D.264", 100, (25, 1)),
    ("h264/test_qcif_cabac.264", 30, (25, 1)),
    ("camera-set/asl_again.h264", 77, (30, 1)),
    ("camera-set/asl_bird.h264", 63, (30, 1)),
    ("camera-set/asl_book.h264", 109, (30, 1)),
    ("camera-set/asl_brother.h264", 65, (30, 1)),
    ("camera-set/asl_eat.h264", 47, (30, 1)),
    ("camera-set/asl_help.h264", 58, (30, 1)),
    ("camera-set/asl_hungry.h264", 49, (30, 1)),
    ("camera-set/asl_learn.h264", 61, (30, 1)),
    ("camera-set/asl_milk.h264", 51, (30, 1)),
    ("camera-set/asl_night.h264", 68, (30, 1)),
    ("camera-set/asl_no.h264", 66, (30, 1)),
    ("camera-set/asl_please.h264", 73, (30, 1)),
    ("rtp/str0m_h264.h264", 265, (25, 1)),
    ("malformed/Error_I_P.264", 6, (25, 1)),
    ("malformed/BA_MW_D_IDR_LOST.264", 97, (25, 1)),
];

#[test]
fn byte_streams_give_every_access_unit_evenly_spaced() {
    let Some(media) = media() else { return };
    for (name, count, (frames, seconds)) in VIDEO {
        let Read { samples, warnings, .. } = read(&media.join(name)).unwrap();
        assert_eq!(samples.len(), count, "{name}");
        let hz = i64::from(samples[0].1.dts.timescale().hz());
        let frame = hz * seconds / frames;
        let mut shown: Vec<i64> = samples.iter().map(|(_, sample)| sample.pts.ticks()).collect();
        for (index, (_, sample)) in (0..).zip(&samples) {
            assert_eq!(sample.dts.ticks(), index * frame, "{name}");
            assert!(sample.pts.ticks() >= sample.dts.ticks(), "{name}: picture {index}");
        }
        shown.sort_unstable();
        assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == frame), "{name}: {shown:?}");
        let unexpected: Vec<_> = warnings.iter().filter(|w| **w != Warning::DefaultFrameRate).collect();
        assert!(unexpected.is_empty(), "{name}: {unexpected:?}");
        let total: usize = samples.iter().map(|(_, sample)| sample.data.len()).sum();
        let file = std::fs::metadata(media.join(name)).unwrap().len();
        assert_eq!(u64::try_from(total).unwrap(), file, "{name}: no byte is lost");
    }
}

/// What a tool prints, line by line; `None` (told aloud) where it is not installed.
fn ffprobe(path: &Path, arguments: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("ffprobe").args(["-v", "error"]).args(arguments).arg(path).output();
    let Ok(output) = output else {
        println!("skipped: no ffprobe");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().map(|line| line.trim_matches(',').to_owned()).filter(|line| !line.is_empty()).collect())
}

#[test]
fn display_order_is_that_of_a_decoder() {
    let Some(media) = media() else { return };
    for (name, ..) in VIDEO {
        if name.starts_with("malformed") || name.starts_with("rtp") {
            continue; // a decoder leaves out what it cannot decode
        }
        let path = media.join(name);
        let entries =
            ["-select_streams", "v", "-show_entries", "frame=coded_picture_number", "-of", "csv=p=0"];
        let Some(lines) = ffprobe(&path, &entries) else { return };
        let decoder: Vec<usize> = lines.iter().map(|line| line.parse().unwrap()).collect();
        let samples = read(&path).unwrap().samples;
        let mut order: Vec<usize> = (0..samples.len()).collect();
        order.sort_by_key(|&index| samples[index].1.pts.ticks());
        assert_eq!(order, decoder, "{name}");
    }
}

#[test]
fn reordering_costs_no_more_delay_than_a_decoder_has() {
    let Some(media) = media() else { return };
    for (name, _, (frames, seconds)) in VIDEO {
        let path = media.join(name);
        let entries = ["-select_streams", "v", "-show_entries", "stream=has_b_frames", "-of", "csv=p=0"];
        let Some(lines) = ffprobe(&path, &entries) else { return };
        let told: i64 = lines[0].parse().unwrap();
        let samples = read(&path).unwrap().samples;
        let first = samples.iter().map(|(_, sample)| sample.pts.ticks()).min().unwrap();
        let frame = i64::from(samples[0].1.pts.timescale().hz()) * seconds / frames;
        assert!(first / frame <= told, "{name}: {} against {told}", first / frame);
    }
}

#[test]
fn audio_files_give_every_frame() {
    let Some(media) = media() else { return };
    for (name, count, rate, first, step) in [
        ("audio/sample.adts", 144, 44_100, 0, 1024),
        ("audio/count-english.adts.aac", 479, 22_050, 0, 1024),
        ("malformed/sample_cbs_truncated.adts", 143, 44_100, 0, 1024),
        ("hls/raw-aac/fileSequence0.aac", 215, 22_050, 0, 1024),
        ("hls/raw-aac/fileSequence1.aac", 215, 22_050, 0, 1024),
        ("hls/raw-aac/fileSequence2.aac", 215, 22_050, 0, 1024),
        ("hls/raw-aac/fileSequence3.aac", 216, 22_050, 0, 1024),
        ("audio/bear.opus", 275, 48_000, -264, 480),
        ("audio/silero_speech.opus", 404, 48_000, -312, 960),
    ] {
        let Read { samples, warnings, .. } = read(&media.join(name)).unwrap();
        let (_, sample) = &samples[0];
        assert_eq!((samples.len(), sample.pts.timescale().hz()), (count, rate), "{name}");
        for (index, (_, sample)) in (0..).zip(&samples) {
            assert_eq!(sample.pts.ticks(), first + index * step, "{name}: {index}");
        }
        let is_cut = matches!(warnings[..], [Warning::TruncatedEnd { .. }]);
        assert!(warnings.is_empty() || is_cut && name.contains("truncated"), "{name}: {warnings:?}");
    }
    let stereo = MediaSource::open(media.join("audio/bear.opus"), &OpenOptions::default()).unwrap();
    assert!(matches!(stereo.tracks()[0].config, TrackConfig::Opus(opus) if opus.channels == 2));
}

/// MP4 files: video samples, audio samples (as ffprobe counts them).
const MP4: [(&str, usize, usize); 16] = [
    ("mp4/count-video.mp4", 245, 0),
    ("mp4/count-english-audio.mp4", 0, 479),
    ("mp4/one-by-one-person-detection.mp4", 1394, 0),
    ("mp4/chrome.mp4", 899, 1291),
    ("mp4/sample.mp4", 30, 45),
    ("mp4/sample_fragmented.mp4", 30, 46),
    ("mp4/seq_h264_1.mp4", 321, 496),
    ("mp4/davidappend_v1.mp4", 51, 87),
    ("mp4/davidappend_v2.mp4", 178, 320),
    ("mp4/davidappend_v3.mp4", 76, 129),
    ("mp4/cursed-vfr.mp4", 63, 0),
    ("mp4/long_1080p_lowbitrate.mp4", 10_883, 16_876),
    ("mp4/video_90.mov", 3, 0),
    ("malformed/sample_mdat_too_long.mp4", 30, 45),
    ("malformed/sample_missing_stsd.mp4", 30, 0),
    ("malformed/sample_with_invalid_nalu.mp4", 30, 0),
];

#[test]
fn mp4_files_give_every_sample_in_decode_order() {
    let Some(media) = media() else { return };
    for (name, video, audio) in MP4 {
        let Read { samples, kinds, warnings } = read(&media.join(name)).unwrap();
        let count = |kind| samples.iter().filter(|(track, _)| kinds[*track] == kind).count();
        println!("{name}: {warnings:?}");
        assert_eq!((count(MediaKind::Video), count(MediaKind::Audio)), (video, audio), "{name}");
        let times: Vec<_> = samples.iter().map(|(_, sample)| sample.dts.to_room_time().unwrap()).collect();
        for (track, _) in kinds.iter().enumerate() {
            let own: Vec<_> = times.iter().zip(&samples).filter(|(_, (t, _))| *t == track).collect();
            assert!(own.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{name}: track {track}");
        }
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{name}");
    }
}

#[test]
fn mp4_times_are_those_of_another_reader() {
    let Some(media) = media() else { return };
    for (name, ..) in MP4 {
        let path = media.join(name);
        let Read { samples, kinds, .. } = read(&path).unwrap();
        for (track, kind) in kinds.iter().enumerate() {
            let select = if *kind == MediaKind::Video { "v" } else { "a" };
            let entries = ["-select_streams", select, "-show_entries", "packet=pts", "-of", "csv=p=0"];
            let Some(lines) = ffprobe(&path, &entries) else { return };
            let mut theirs: Vec<i64> = lines.iter().map(|line| line.parse().unwrap()).collect();
            let own = samples.iter().filter(|(of, _)| *of == track);
            let mut ours: Vec<i64> = own.map(|(_, sample)| sample.pts.ticks()).collect();
            theirs.sort_unstable();
            ours.sort_unstable();
            if name == "mp4/count-english-audio.mp4" {
                // The file gives its first frame the time of its second; here it comes before it.
                assert_eq!(theirs[..2], [1024, 1024]);
                theirs[0] = 0;
            }
            assert_eq!(ours, theirs, "{name}: track {track}");
        }
    }
}

#[test]
fn a_given_frame_rate_goes_before_the_stream_s_own() {
    let Some(media) = media() else { return };
    for (name, fps, ticks) in
        [("h264/Zhling_1280x720.264", "10", 9000), ("camera-set/asl_eat.h264", "30000/1001", 3003)]
    {
        let options = OpenOptions { fps: Some(fps.parse().unwrap()) };
        let mut source = MediaSource::open(media.join(name), &options).unwrap();
        let (_, last) = source.by_ref().map(Result::unwrap).last().unwrap();
        let index = if name.starts_with("h264") { 18 } else { 46 };
        assert_eq!((last.dts.ticks(), last.dts.timescale().hz()), (index * ticks, 90_000), "{name}");
        assert_eq!(source.take_warnings(), [], "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_told_by_name() {
    let Some(media) = media() else { return };
    let open = |name: &str| read(&media.join(name)).err().map(|error| (error.to_string(), error));
    let (text, error) = open("malformed/sps_subsetsps_bothVUI.264").unwrap();
    assert!(matches!(error, InputError::NoPicture { .. }));
    assert!(
        text.starts_with("no H.264 picture in ") && text.ends_with("sps_subsetsps_bothVUI.264"),
        "{text}"
    );
    let (text, error) = open("malformed/chunk_out_of_range.mp4").unwrap();
    assert!(matches!(error, InputError::NoTrack { .. }), "{text}");
    for name in ["rtp/str0m_vp8.pcap", "malformed/no-initial-keyframe.ts", "hls/raw-aac/manifest.m3u8"] {
        let (text, error) = open(name).unwrap();
        assert!(matches!(error, InputError::UnsupportedFormat { .. }), "{text}");
    }
    let (text, error) = open("raw/CiscoVT2people_320x192_12fps.yuv").unwrap();
    assert!(matches!(error, InputError::UnknownFormat { .. }), "{text}");
    assert!(matches!(open("h264/not-there.264"), Some((_, InputError::Io { .. }))));
}

#[test]
fn joined_ogg_files_are_refused() {
    let Some(media) = media() else { return };
    let [first, second] =
        ["audio/bear.opus", "audio/silero_speech.opus"].map(|name| std::fs::read(media.join(name)).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("joined.opus");
    std::fs::write(&path, [&first[..], &second].concat()).unwrap();
    let mut source = MediaSource::open(&path, &OpenOptions::default()).unwrap();
    let good = source.by_ref().take_while(Result::is_ok).count();
    assert_eq!(good, 275);
    let error = MediaSource::open(&path, &OpenOptions::default()).unwrap().find_map(Result::err);
    assert!(matches!(error, Some(InputError::Ogg { fault: OggFault::Chained, .. })), "{error:?}");
}

/// Where each Ogg page begins, and the end.
fn pages(file: &[u8]) -> Vec<usize> {
    let starts = file.windows(4).enumerate().filter(|(_, four)| four == b"OggS").map(|(at, _)| at);
    starts.chain([file.len()]).collect()
}

#[test]
fn streams_side_by_side_are_refused() {
    let Some(media) = media() else { return };
    let [first, second] =
        ["audio/bear.opus", "audio/silero_speech.opus"].map(|name| std::fs::read(media.join(name)).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("beside.opus");
    // The first page of each, as a multiplex begins (RFC 3533 §4).
    let [end, other_end] = [pages(&first)[1], pages(&second)[1]];
    std::fs::write(&path, [&first[..end], &second[..other_end], &first[end..]].concat()).unwrap();
    let error = MediaSource::open(&path, &OpenOptions::default()).err();
    assert!(matches!(error, Some(InputError::Ogg { fault: OggFault::Multiplexed, .. })), "{error:?}");
}

#[test]
fn a_lost_or_damaged_ogg_page_leaves_a_gap_of_its_length() {
    let Some(media) = media() else { return };
    let file = std::fs::read(media.join("audio/silero_speech.opus")).unwrap();
    let pages = pages(&file);
    assert!(pages.len() > 6, "{pages:?}");
    let whole = read(&media.join("audio/silero_speech.opus")).unwrap().samples;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gap.opus");
    let lost = pages[3]..pages[4];
    let without = [&file[..lost.start], &file[lost.end..]].concat();
    let mut damaged = file.clone();
    damaged[lost.start + 100] ^= 1;
    for (bytes, is_damaged) in [(without, false), (damaged, true)] {
        std::fs::write(&path, bytes).unwrap();
        let Read { samples, warnings, .. } = read(&path).unwrap();
        let missing = whole.len() - samples.len();
        assert!(missing > 0);
        assert!(samples.iter().all(|sample| whole.contains(sample)), "packets keep their times");
        assert!(
            warnings.contains(&Warning::Gap { samples: u64::try_from(missing).unwrap() * 960 }),
            "{warnings:?}"
        );
        assert_eq!(warnings.contains(&Warning::DamagedPage), is_damaged);
    }
}

/// xorshift64*: the same damage on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(high % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn damaged_files_give_samples_or_errors_but_no_panic() {
    let Some(media) = media() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(0x5EED);
    let byte_streams = VIDEO.iter().map(|row| row.0);
    let audio =
        ["audio/sample.adts", "audio/bear.opus", "audio/silero_speech.opus", "hls/raw-aac/fileSequence0.aac"];
    for name in byte_streams.chain(audio).chain(MP4.iter().map(|row| row.0)) {
        let mut good = std::fs::read(media.join(name)).unwrap();
        good.truncate(300_000);
        let path = dir.path().join(Path::new(name).file_name().unwrap());
        for round in 0..8 {
            let mut bytes = good.clone();
            for _ in 0..1 << round {
                let at = random.below(bytes.len());
                if bytes.len() < 1000 {
                    break;
                }
                match random.below(4) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                    2 => drop(bytes.drain(at..(at + random.below(200)).min(bytes.len()))),
                    _ => bytes.truncate(at.max(bytes.len() / 2)),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let Ok(source) = MediaSource::open(&path, &OpenOptions::default()) else { continue };
            let is_raw = !name.starts_with("mp4") && !name.ends_with(".mp4");
            let (mut last, mut total) = (i64::MIN, 0);
            for (_, sample) in source.map_while(Result::ok) {
                total += sample.data.len();
                if is_raw {
                    assert!(sample.dts.ticks() > last && sample.pts.ticks() >= sample.dts.ticks(), "{name}");
                    last = sample.dts.ticks();
                }
            }
            assert!(!is_raw || total <= bytes.len() + 4 * 4096, "{name}: more came out than went in");
        }
    }
}
