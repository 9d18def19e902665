//! Where segments are cut, what they are named, and what the playlist says of it.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use recorder_hls::{Loss, PushError, Pushed, Segmenter, Streams};
use recorder_types::{AacConfig, H264Config, MediaKind, NalFraming, RoomTime, UnixMillis};
use support::*;

fn push_audio(segmenter: &mut Segmenter, frames: std::ops::Range<i64>) {
    for n in frames {
        assert_eq!(segmenter.push_audio(&at(frame_time(n), silence())), Ok(Pushed::Written));
    }
}

/// Pictures at 25 Hz from `from` to `to` milliseconds, every `gop`th an IDR.
fn push_video(segmenter: &mut Segmenter, from: i64, to: i64, gop: i64) {
    for n in 0..(to - from) / 40 {
        let data = if n % gop == 0 { key_picture(300) } else { picture(100) };
        assert_eq!(segmenter.push_video(&at(ms(from + n * 40), data)), Ok(Pushed::Written), "{n}");
    }
}

#[test]
fn audio_segments_are_named_ten_seconds_apart_and_tell_their_true_length() {
    let mut segmenter = segmenter(options("x"), audio_streams());
    push_audio(&mut segmenter, 0..1875);
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 10_000, WALL + 20_000, WALL + 30_000]);
    let frames: Vec<u64> = out.segments.iter().map(|(info, _)| info.audio_frames).collect();
    // Boundaries at 10, 20 and 30 s fall at frames 468.75, 937.5 and 1406.25.
    assert_eq!(frames, [469, 469, 469, 468]);
    assert!(out.playlist.contains("#EXTINF:10.0053,\n"), "{}", out.playlist);
    assert!(out.playlist.contains("Channel:1 SampleRate:48000 SampleFormat:1 Codec:86018\n"));
    assert!(out.playlist.contains("#EXT-X-TRTC-STREAM-TYPE:0\n"));
    assert!(out.playlist.ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn audio_names_do_not_drift_from_the_media_in_a_day() {
    let mut segmenter = segmenter(options("x"), audio_streams());
    let mut out = Collected::default();
    let frames = 24 * 3600 * 48_000 / 1024;
    let mut last = 0;
    for n in 0..frames {
        let _ = segmenter.push_audio(&at(frame_time(n), silence())).unwrap();
        out.drain(&mut segmenter);
        for (info, _) in out.segments.drain(..) {
            let media = WALL + u64::try_from(info.first_pts.round_to_millis()).unwrap();
            assert!(media >= info.start.get() && media - info.start.get() <= 22, "{info:?}");
            assert!(last == 0 || info.start.get() == last + 10_000);
            last = info.start.get();
        }
    }
    assert!(last > WALL + 86_300_000);
}

#[test]
fn pictures_cut_at_the_first_key_frame_after_ten_seconds() {
    // Key frames every 3.6 s: the first at or after 10 s is at 10.8 s.
    let mut segmenter = segmenter(options("x"), video_streams());
    push_video(&mut segmenter, 0, 25_000, 90);
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 10_800, WALL + 21_600]);
    assert!(out.segments.iter().all(|(info, _)| info.starts_with_key_frame && !info.discontinuity));
    assert_eq!(out.playlist.matches("#EXTINF:10.8,\n").count(), 2);
    assert_eq!(out.playlist.matches("#EXTINF:3.4,\n").count(), 1);
    assert!(out.playlist.contains("#EXT-X-TARGETDURATION:11\n"));
    assert_eq!(out.playlist.matches("VIDEO-METADATA:WIDTH:640 HEIGHT:480 Codec:27\n").count(), 1);
}

#[test]
fn without_a_key_frame_for_a_minute_a_segment_is_still_bounded() {
    let mut segmenter = segmenter(options("x"), video_streams());
    push_video(&mut segmenter, 0, 130_000, 1_000_000);
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 60_000, WALL + 120_000]);
    assert_eq!(segmenter.stats().forced_cuts, 2);
    let keys: Vec<bool> = out.segments.iter().map(|(info, _)| info.starts_with_key_frame).collect();
    assert_eq!(keys, [true, false, false]);
    for (_, data) in &out.segments {
        assert!(data.windows(SPS.len()).any(|w| w == SPS), "parameter sets lead");
    }
}

#[test]
fn audio_and_video_cut_at_key_frames_and_lose_neither() {
    let mut segmenter = segmenter(options("x"), both_streams());
    let mut frame = 0;
    for n in 0..25 * 25 {
        while frame_time(frame) <= ms(n * 40) {
            assert_eq!(segmenter.push_audio(&at(frame_time(frame), silence())), Ok(Pushed::Written));
            frame += 1;
        }
        // No key frame before 2 s: audio alone until then.
        let data = if n % 50 == 0 && n > 0 { key_picture(300) } else { picture(100) };
        let want = if n < 50 { Pushed::WaitingForKeyFrame } else { Pushed::Written };
        assert_eq!(segmenter.push_video(&at(ms(n * 40), data)), Ok(want));
    }
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 12_000, WALL + 22_000]);
    assert_eq!(out.segments.iter().map(|(info, _)| info.pictures).sum::<u64>(), 575);
    assert_eq!(out.segments.iter().map(|(info, _)| info.audio_frames).sum::<u64>(), frame.unsigned_abs());
    assert!(out.playlist.contains("#EXT-X-TRTC-STREAM-TYPE:2\n"));
    assert!(!out.playlist.contains("DISCONTINUITY"));
}

#[test]
fn another_size_begins_a_discontinuous_segment_with_its_metadata() {
    let mut segmenter = segmenter(options("x"), video_streams());
    push_video(&mut segmenter, 0, 2_000, 50);
    let small = annex_b(&[&SMALL_SPS, &PPS, &slice(true, 50, 7)]);
    assert_eq!(segmenter.push_video(&at(ms(2_000), small.clone())), Ok(Pushed::Written));
    assert_eq!(segmenter.push_video(&at(ms(2_040), small)), Ok(Pushed::Written));
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 2_000]);
    let tail = out.playlist.split_once("#EXTINF:2,\n").expect("2 s up to the change").1;
    let lines: Vec<&str> = tail.lines().skip(1).collect();
    assert_eq!(lines[0], "#EXT-X-DISCONTINUITY");
    assert!(lines[1].starts_with("#EXT-X-TRTC-VIDEO-METADATA:WIDTH:64 HEIGHT:192 "), "{lines:?}");
    assert!(lines[2].starts_with("#EXT-X-TRTC-FILE-ATTR:"));
}

#[test]
fn another_audio_configuration_begins_a_discontinuous_segment() {
    let adts = |rate: u32| {
        let config = recorder_types::aac::AudioSpecificConfig::new(rate, 1).unwrap();
        let header = config.adts_header(6).unwrap();
        at(RoomTime::ZERO, [&header[..], &silence()[..]].concat().into())
    };
    let streams = Streams { video: None, audio: Some(AacConfig::Adts) };
    let mut segmenter = segmenter(options("x"), streams);
    for (n, rate) in [(0, 48_000), (1, 48_000), (2, 44_100), (3, 44_100)] {
        let unit = recorder_hls::AccessUnit { pts: ms(n * 22), dts: ms(n * 22), ..adts(rate) };
        assert_eq!(segmenter.push_audio(&unit), Ok(Pushed::Written));
    }
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.segments.len(), 2);
    assert!(out.playlist.contains(
        "#EXT-X-DISCONTINUITY\n#EXT-X-TRTC-AUDIO-METADATA:Channel:1 SampleRate:44100 SampleFormat:1 Codec:86018\n"
    ));
}

#[test]
fn a_gap_is_a_discontinuity_and_pictures_wait_for_a_key_frame() {
    let mut segmenter = segmenter(options("x"), video_streams());
    push_video(&mut segmenter, 0, 1_000, 100);
    assert_eq!(segmenter.push_video(&at(ms(5_000), picture(9))), Ok(Pushed::Written), "4 s are bridged");
    assert_eq!(segmenter.push_video(&at(ms(11_000), picture(9))), Ok(Pushed::WaitingForKeyFrame));
    assert_eq!(segmenter.push_video(&at(ms(11_500), key_picture(9))), Ok(Pushed::Written));
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 11_500]);
    assert!(out.segments[1].0.discontinuity);
    // The last picture lasts as long as the one before it: 4.04 s.
    assert_eq!(out.segments[0].0.duration, ms(5_000 + 4_040));
}

#[test]
fn a_pause_that_goes_on_at_once_is_continuous_and_a_longer_one_is_not() {
    for (resume, discontinuity) in [(1_000, false), (1_090, false), (1_200, true), (60_000, true)] {
        let mut segmenter = segmenter(options("x"), video_streams());
        push_video(&mut segmenter, 0, 1_000, 100);
        segmenter.end_segment();
        assert_eq!(segmenter.push_video(&at(ms(resume), picture(9))), Ok(Pushed::WaitingForKeyFrame));
        assert_eq!(segmenter.push_video(&at(ms(resume + 1), key_picture(9))), Ok(Pushed::Written));
        segmenter.finish();
        let out = collect(&mut segmenter);
        assert_eq!(out.segments[1].0.discontinuity, discontinuity, "{resume}");
        assert!(out.starts()[1].abs_diff(WALL + resume.unsigned_abs() + 1) <= 5);
    }
}

#[test]
fn the_wall_clock_counts_from_the_next_discontinuity_only() {
    let mut segmenter = segmenter(options("x"), audio_streams());
    push_audio(&mut segmenter, 0..100);
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(WALL + 500_000).unwrap());
    push_audio(&mut segmenter, 100..500);
    segmenter.discontinuity();
    push_audio(&mut segmenter, 0..10);
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(5).unwrap());
    segmenter.discontinuity();
    push_audio(&mut segmenter, 0..10);
    segmenter.finish();
    let out = collect(&mut segmenter);
    assert_eq!(out.starts(), [WALL, WALL + 10_000, WALL + 500_000, WALL + 500_001]);
    assert_eq!(out.playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
}

#[test]
fn what_cannot_be_used_is_dropped_counted_and_got_over() {
    let mut segmenter = segmenter(options("x").with_max_access_unit(1_000), video_streams());
    let mut time = 0;
    let mut push = |data: bytes::Bytes| {
        time += 40;
        segmenter.push_video(&at(ms(time), data)).unwrap()
    };
    assert_eq!(push(annex_b(&[&slice(true, 9, 1)])), Pushed::Dropped(Loss::UnknownParameterSet));
    assert_eq!(push(annex_b(&[&SPS, &PPS])), Pushed::Dropped(Loss::NoPicture), "but they are kept");
    assert_eq!(push(annex_b(&[&slice(true, 9, 1)])), Pushed::Written);
    assert_eq!(push(picture(9)), Pushed::Written);
    assert_eq!(push(bytes::Bytes::new()), Pushed::Dropped(Loss::Empty));
    assert_eq!(push(annex_b(&[&[0x6F, 1, 2, 3], &[0x74, 1]])), Pushed::Dropped(Loss::NoBasePicture));
    assert_eq!(push(annex_b(&[&[0xC1, 0x9A, 0x24]])), Pushed::Dropped(Loss::Damaged));
    assert_eq!(push(picture(9)), Pushed::Written, "a lost picture that is no key frame does not stop");
    assert_eq!(push(annex_b(&[&[0xE5, 0x88, 0x84]])), Pushed::Dropped(Loss::Damaged), "damaged IDR");
    assert_eq!(push(picture(9)), Pushed::WaitingForKeyFrame);
    assert_eq!(push(key_picture(9)), Pushed::Written);
    assert_eq!(push(annex_b(&[&[0x67, 0x64], &slice(false, 9, 1)])), Pushed::Dropped(Loss::BadParameterSet));
    assert_eq!(push(picture(9)), Pushed::WaitingForKeyFrame);
    assert_eq!(push(key_picture(9)), Pushed::Written);
    assert_eq!(push(key_picture(2_000)), Pushed::Dropped(Loss::TooLarge));
    assert_eq!(push(picture(9)), Pushed::WaitingForKeyFrame);
    assert_eq!(push(key_picture(9)), Pushed::Written);
    let stats = segmenter.stats();
    assert_eq!((stats.lost(Loss::Damaged), stats.lost(Loss::Empty), stats.waited), (2, 1, 3));
    assert_eq!(stats.lost_total(), 8);
}

#[test]
fn times_that_do_not_fit_are_dropped_until_they_make_a_timeline() {
    let mut segmenter = segmenter(options("x"), video_streams());
    push_video(&mut segmenter, 0, 4_000, 50);
    let mut push = |pts, dts| {
        let unit = recorder_hls::AccessUnit { pts: ms(pts), dts: ms(dts), data: key_picture(9) };
        segmenter.push_video(&unit).unwrap()
    };
    assert_eq!(push(3_960, 3_960), Pushed::Dropped(Loss::OutOfOrder));
    assert_eq!(push(4_000, 4_010), Pushed::Dropped(Loss::BadPresentationTime));
    assert_eq!(push(14_021, 4_020), Pushed::Dropped(Loss::BadPresentationTime));
    assert_eq!(push(i64::MAX, i64::MAX), Pushed::Dropped(Loss::OutOfOrder));
    assert_eq!(push(4_030, 4_030), Pushed::Written);
    for n in 0..25 {
        assert_eq!(push(n * 40, n * 40), Pushed::Dropped(Loss::OutOfOrder));
    }
    assert_eq!(push(1_000, 1_000), Pushed::Written, "the clock was reset");
    segmenter.finish();
    assert_eq!(collect(&mut segmenter).playlist.matches("DISCONTINUITY").count(), 1);
}

#[test]
fn out_of_band_parameter_sets_and_lengths_serve_as_well() {
    let parameter_sets = vec![SPS.to_vec().into(), PPS.to_vec().into()];
    let framing = NalFraming::LengthPrefixed { length_bytes: 4 };
    let streams = Streams { video: Some(H264Config { framing, parameter_sets }), audio: None };
    let mut by_length = segmenter(options("x"), streams);
    let mut by_code = segmenter(options("x"), video_streams());
    for n in 0..20 {
        let unit = slice(n % 10 == 0, 500, 9);
        let mut data = u32::try_from(unit.len()).unwrap().to_be_bytes().to_vec();
        data.extend_from_slice(&unit);
        assert_eq!(by_length.push_video(&at(ms(n * 40), data.into())), Ok(Pushed::Written));
        // A delimiter, filler and doubled parameter sets make no difference.
        let in_band = annex_b(&[&[9, 0x10], &SPS, &SPS, &PPS, &[0x0C, 0xFF, 0x80], &unit, &PPS]);
        let data = if n % 10 == 0 { in_band } else { annex_b(&[&unit]) };
        assert_eq!(by_code.push_video(&at(ms(n * 40), data)), Ok(Pushed::Written));
    }
    by_length.finish();
    by_code.finish();
    assert_eq!(collect(&mut by_length).ts(), collect(&mut by_code).ts());
}

#[test]
fn a_caller_that_breaks_the_contract_is_told() {
    let mut segmenter = Segmenter::new(options("x"));
    let unit = at(ms(0), silence());
    assert_eq!(segmenter.push_audio(&unit), Err(PushError::NoStream { kind: MediaKind::Audio }));
    segmenter.set_streams(audio_streams());
    assert_eq!(segmenter.push_audio(&unit), Err(PushError::NoWallClock));
    segmenter.set_wall_clock(ms(0), UnixMillis::EPOCH);
    assert_eq!(segmenter.push_audio(&unit), Ok(Pushed::Written));
    segmenter.discontinuity();
    segmenter.set_wall_clock(ms(0), UnixMillis::MAX);
    assert_eq!(segmenter.push_audio(&unit), Ok(Pushed::Written));
    assert_eq!(segmenter.push_audio(&unit), Err(PushError::OutOfNames));
    segmenter.finish();
    assert_eq!(segmenter.push_audio(&unit), Err(PushError::Finished));
}

#[test]
fn a_recording_without_media_gets_no_file_and_an_ended_one_no_second_end() {
    let mut empty = segmenter(options("x"), audio_streams());
    empty.finish();
    assert_eq!(empty.poll(), None);
    let mut paused = segmenter(options("x"), audio_streams());
    push_audio(&mut paused, 0..3);
    paused.end_segment();
    let mut out = collect(&mut paused);
    assert!(!out.ended);
    paused.finish();
    paused.finish();
    out.drain(&mut paused);
    assert!(out.ended);
    assert_eq!(out.playlist.matches("ENDLIST").count(), 1);
}

#[test]
fn without_an_index_the_segments_are_the_same() {
    let [with, without] = [options("x"), options("x").without_index()].map(|options| {
        let mut segmenter = segmenter(options, both_streams());
        for second in 0..25 {
            push_video(&mut segmenter, second * 1_000, (second + 1) * 1_000, 25);
            push_audio(&mut segmenter, second * 47..(second + 1) * 47);
        }
        segmenter.finish();
        collect(&mut segmenter)
    });
    assert!(with.segments.len() > 1 && with.segments.iter().all(|(info, _)| info.index.is_some()));
    assert!(without.segments.iter().all(|(info, _)| info.index.is_none()));
    assert!(with.ts() == without.ts() && with.playlist == without.playlist);
}

#[test]
fn pictures_go_on_when_the_sound_ends_and_it_leaves_at_their_next_key_frame() {
    for comes_back in [false, true] {
        let mut segmenter = segmenter(options("x"), both_streams());
        push_audio(&mut segmenter, 0..47);
        push_video(&mut segmenter, 0, 1_000, 50);
        segmenter.set_streams(video_streams());
        let unit = at(frame_time(47), silence());
        assert!(matches!(segmenter.push_audio(&unit), Err(PushError::NoStream { .. })), "it has ended");
        // No key frame for a second more.
        for n in 25..50 {
            assert_eq!(segmenter.push_video(&at(ms(n * 40), picture(100))), Ok(Pushed::Written), "{n}");
        }
        if comes_back {
            segmenter.set_streams(both_streams());
            push_audio(&mut segmenter, 94..141);
        }
        push_video(&mut segmenter, 2_000, 3_000, 50);
        segmenter.finish();
        let out = collect(&mut segmenter);
        let pictures: Vec<u64> = out.segments.iter().map(|(info, _)| info.pictures).collect();
        assert_eq!(pictures, if comes_back { vec![75] } else { vec![50, 25] });
        assert_eq!(out.playlist.matches("DISCONTINUITY").count(), usize::from(!comes_back));
    }
}

#[test]
fn sound_that_is_ahead_of_the_key_frame_at_which_it_leaves_keeps_its_length() {
    for key_frame in [600, 1_500, 2_100] {
        let mut segmenter = segmenter(options("x"), both_streams());
        assert_eq!(segmenter.push_audio(&at(ms(2_100), silence())), Ok(Pushed::Written));
        segmenter.set_streams(video_streams());
        assert_eq!(segmenter.push_video(&at(ms(key_frame), key_picture(300))), Ok(Pushed::Written));
        segmenter.finish();
        let out = collect(&mut segmenter);
        assert_eq!(out.segments.len(), 2, "{key_frame}");
        assert_eq!(out.segments[0].0.duration, frame_time(1), "{key_frame}");
    }
}
