//! What FFmpeg says of segments made from real streams.

mod support;

use std::fs;
use std::path::Path;

use recorder_hls::{AccessUnit, Pushed};
use support::*;

/// Bytes of one `.264` file as segments at 25 Hz; `None` where it is not there.
fn segments_of(name: &str) -> Option<(Collected, u64)> {
    let stream = fs::read(media(name)?).unwrap();
    let mut segmenter = segmenter(options("x"), video_streams());
    let mut out = Collected::default();
    for (n, data) in (0..).zip(pictures(&stream)) {
        // Without the display order at hand every picture gets room for reordering; FFmpeg sorts by picture order.
        let unit = AccessUnit { pts: ms(n * 40), dts: ms(n * 40), data };
        let pushed = segmenter.push_video(&unit).unwrap();
        assert!(!matches!(pushed, Pushed::Dropped(_)), "{name}, picture {n}: {pushed:?}");
        out.drain(&mut segmenter);
    }
    segmenter.finish();
    out.drain(&mut segmenter);
    Some((out, segmenter.stats().pictures))
}

fn scratch(test: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Decodes strictly; returns how many frames came out.
fn decoded(path: &str) -> Option<u64> {
    let args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path];
    let (ok, _, errors) = run("ffmpeg", &[&args[..], &["-f", "null", "-"]].concat())?;
    assert!(ok && errors.is_empty(), "{path}: {errors}");
    let count =
        ["-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames"];
    let (_, frames, errors) = run("ffprobe", &[&count[..], &["-of", "csv=p=0", path]].concat())?;
    assert!(errors.is_empty(), "{path}: {errors}");
    frames.lines().next().and_then(|line| line.trim_end_matches(',').parse().ok())
}

#[test]
fn real_streams_decode_without_an_error_and_lose_no_picture() {
    let dir = scratch("real_streams");
    for name in [
        "h264/Adobe_PDF_sample_a_1024x768_50Frms.264",
        "h264/BA1_FT_C.264",
        "h264/LS_SVA_D.264",
        "h264/MIDR_MW_D.264",
        "h264/MPS_MW_A.264",
        "h264/Zhling_1280x720.264",
        "h264/test_qcif_cabac.264",
    ] {
        let Some((out, pictures)) = segments_of(name) else { return };
        let path = dir.join("x.ts");
        fs::write(&path, out.ts()).unwrap();
        let Some(frames) = decoded(path.to_str().unwrap()) else { return };
        assert_eq!(frames, pictures, "{name}");
        // Each segment stands on its own.
        for (_, data) in &out.segments {
            fs::write(&path, data).unwrap();
            decoded(path.to_str().unwrap());
        }
    }
}

#[test]
fn a_damaged_capture_goes_through_with_its_change_of_size() {
    // Three RTP packets of it are lost, which FFmpeg rightly complains about: only the counts can be compared.
    let Some((out, pictures)) = segments_of("rtp/str0m_h264.h264") else { return };
    assert!(out.playlist.contains("#EXT-X-TRTC-VIDEO-METADATA:WIDTH:494 HEIGHT:370 Codec:27\n"));
    assert!(
        out.playlist
            .contains("#EXT-X-DISCONTINUITY\n#EXT-X-TRTC-VIDEO-METADATA:WIDTH:640 HEIGHT:480 Codec:27\n")
    );
    assert_eq!(out.segments.iter().map(|(info, _)| info.pictures).sum::<u64>(), pictures);
    assert!(out.segments.iter().all(|(info, _)| info.starts_with_key_frame));
}

#[test]
fn real_aac_decodes_without_an_error() {
    let Some(path) = media("audio/count-english.adts.aac") else { return };
    let stream = bytes::Bytes::from(fs::read(path).unwrap());
    let streams = recorder_hls::Streams { video: None, audio: Some(recorder_types::AacConfig::Adts) };
    let mut segmenter = segmenter(options("x"), streams);
    let (mut rest, mut samples, mut frames) = (stream, 0i64, 0);
    while let Ok(frame) = recorder_types::aac::AdtsFrame::parse(&rest) {
        let time = recorder_types::Timestamp::new(samples, frame.config.timescale()).to_room_time().unwrap();
        assert_eq!(segmenter.push_audio(&at(time, rest.split_to(frame.frame_len))), Ok(Pushed::Written));
        samples += 1024;
        frames += 1;
    }
    segmenter.finish();
    let path = scratch("real_aac").join("x.ts");
    fs::write(&path, collect(&mut segmenter).ts()).unwrap();
    let path = path.to_str().unwrap();
    let args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path, "-f", "null", "-"];
    let Some((ok, _, errors)) = run("ffmpeg", &args) else { return };
    assert!(ok && errors.is_empty(), "{errors}");
    let count =
        ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path];
    let Some((_, packets, _)) = run("ffprobe", &count) else { return };
    assert_eq!(
        packets.lines().next().map(|line| line.trim_end_matches(',')),
        Some(frames.to_string().as_str())
    );
}
