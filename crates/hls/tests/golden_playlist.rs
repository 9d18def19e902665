//! A whole playlist, line for line.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use m3u8_rs::Playlist;
use recorder_hls::AccessUnit;
use support::*;

#[test]
fn a_gap_and_another_size_read_as_written_down() {
    let mut segmenter = segmenter(options("1400000001_1001_s_YWxpY2U._main_audiovideo"), both_streams());
    let mut push = |from: i64, to: i64, key: bytes::Bytes| {
        let mut frame = 0;
        for n in 0..(to - from) / 40 {
            while ms(from).saturating_add(frame_time(frame)) <= ms(from + n * 40) {
                let time = ms(from).saturating_add(frame_time(frame));
                let _ = segmenter.push_audio(&at(time, silence())).unwrap();
                frame += 1;
            }
            let data = if n % 50 == 0 { key.clone() } else { picture(200) };
            let unit = AccessUnit { pts: ms(from + n * 40 + 80), dts: ms(from + n * 40), data };
            let _ = segmenter.push_video(&unit).unwrap();
        }
    };
    push(0, 25_000, key_picture(900));
    push(40_000, 52_000, key_picture(900));
    push(52_000, 55_000, annex_b(&[&SMALL_SPS, &PPS, &slice(true, 300, 3)]));
    segmenter.finish();
    let text = collect(&mut segmenter).playlist;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gap-and-size.m3u8");
    if std::env::var_os("RECORDER_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());

    let Ok((_, Playlist::MediaPlaylist(read))) = m3u8_rs::parse_playlist(text.as_bytes()) else {
        panic!("m3u8-rs reads it")
    };
    assert!(read.end_list);
    assert_eq!(read.target_duration, 10);
    assert_eq!(read.segments.iter().filter(|s| s.discontinuity).count(), 2);
}
