//! A segment that is cut off anywhere keeps its whole access units, and the playlist goes on with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use recorder_hls::index::Samples;
use recorder_hls::salvage::Salvaged;
use recorder_hls::{PlaylistHeader, SegmentInfo, Streams};
use recorder_testkit::hls_rules;
use recorder_types::MediaId;
use support::{
    Collected, at, audio_streams, both_streams, collect, frame_time, key_picture, ms, options, picture,
    segmenter, silence, video_streams,
};

const STEM: &str = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main";

/// 24 s: three segments. Sound, ten pictures a second with a key frame each second, or both.
fn record(streams: Streams) -> Collected {
    let (sound, pictures) = (streams.audio.is_some(), streams.video.is_some());
    let mut segmenter = segmenter(options(STEM), streams);
    let mut frames = 0;
    for n in 0..240 {
        let now = ms(n * 100);
        if pictures {
            let data = if n % 10 == 0 { key_picture(900) } else { picture(150) };
            let _ = segmenter.push_video(&at(now, data)).unwrap();
        }
        while sound && frame_time(frames) < ms(n * 100 + 100) {
            let _ = segmenter.push_audio(&at(frame_time(frames), silence())).unwrap();
            frames += 1;
        }
    }
    segmenter.finish();
    collect(&mut segmenter)
}

fn header() -> PlaylistHeader {
    PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap())
}

/// Kinds, sizes and times of the samples of a segment.
fn samples(ts: &[u8]) -> Vec<(String, usize, i64)> {
    Samples::new(ts.to_vec().into())
        .map(|sample| sample.unwrap())
        .map(|sample| (sample.kind.to_string(), sample.data.len(), sample.dts))
        .collect()
}

/// The playlist's text with the first `segments` of its segments and no end.
fn text(whole: &str, segments: usize) -> String {
    let mut left = segments;
    let lines = whole.lines().take_while(|line| {
        let take = left > 0;
        left -= usize::from(take && line.ends_with(".ts"));
        take
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn find(info: &SegmentInfo, torn: &[u8]) -> Option<Salvaged> {
    Salvaged::find(info.name.clone(), info.start, torn)
}

#[test]
fn whole_units_are_kept_wherever_the_writer_stopped() {
    for streams in [audio_streams(), video_streams(), both_streams()] {
        let pictures = streams.video.is_some();
        let recorded = record(streams);
        assert_eq!(recorded.segments.len(), 3);
        for (number, (info, data)) in recorded.segments.iter().enumerate() {
            let whole = samples(data);
            let so_far = (number > 0).then(|| text(&recorded.playlist, number));
            let mut before = 0;
            let packets = (0..=data.len()).step_by(188);
            for cut in
                packets.flat_map(|at| [at.saturating_sub(1), at, at + 1]).filter(|at| *at <= data.len())
            {
                let found = find(info, &data[..cut]);
                let kept = usize::try_from(found.as_ref().map_or(0, Salvaged::bytes)).unwrap();
                assert!(kept <= cut && kept >= before, "{cut}: {kept}");
                before = kept;
                // No more is lost than a picture, or a packet of frames, and the packet that was cut.
                assert!(cut - kept <= 188 * 13, "{cut}: {kept}");
                let Some(found) = found else { continue };
                let left = samples(&data[..kept]);
                assert!(!left.is_empty());
                for kind in ["audio", "video"] {
                    // Which of the streams is told first depends on what follows.
                    let of = |samples: &[(String, usize, i64)]| -> Vec<_> {
                        samples.iter().filter(|(found, ..)| found == kind).cloned().collect()
                    };
                    assert_eq!(of(&left)[..], of(&whole)[..of(&left).len()], "{cut}: {kind}");
                }
                let update = found
                    .add_to(format!("{STEM}.m3u8").parse().unwrap(), header(), so_far.as_deref())
                    .unwrap();
                let body = so_far.as_deref().map_or("", |text| &text[update.header.len()..]);
                let list = format!("{}{body}{}#EXT-X-ENDLIST\n", update.header, update.append);
                let mut files: BTreeMap<_, _> = recorded.segments[..number]
                    .iter()
                    .map(|(info, data)| (info.name.to_string(), data.clone()))
                    .collect();
                files.insert(info.name.to_string(), data[..kept].to_vec());
                let broken = hls_rules::check(&list, |name| files.get(name).cloned());
                assert!(broken.is_empty(), "{cut}: {broken:#?}\n{list}");
            }
            // Pictures of less than 64 KiB tell where they end.
            let last = find(info, data).unwrap();
            assert_eq!(last.bytes(), info.bytes);
            if !pictures {
                let name = format!("{STEM}.m3u8").parse().unwrap();
                let update = last.add_to(name, header(), so_far.as_deref()).unwrap();
                let body = so_far.as_deref().map_or("", |text| &text[update.header.len()..]);
                let list = format!("{}{body}{}", update.header, update.append);
                assert_eq!(list, text(&recorded.playlist, number + 1));
            }
        }
    }
}

#[test]
fn a_discontinuity_is_read_from_the_segment() {
    let mut segmenter = segmenter(options(STEM), audio_streams());
    for n in 0..300 {
        if n == 150 {
            segmenter.discontinuity();
        }
        let _ = segmenter.push_audio(&at(frame_time(n), silence())).unwrap();
    }
    segmenter.finish();
    let recorded = collect(&mut segmenter);
    let (info, data) = &recorded.segments[1];
    let so_far = text(&recorded.playlist, 1);
    let name = format!("{STEM}.m3u8").parse().unwrap();
    let update = find(info, data).unwrap().add_to(name, header(), Some(&so_far)).unwrap();
    assert!(update.append.starts_with("#EXT-X-DISCONTINUITY\n"), "{}", update.append);
}

#[test]
fn what_is_no_segment_gives_nothing() {
    let (info, data) = &record(audio_streams()).segments[0];
    let mut zeros = data.clone();
    zeros[188 * 10..].fill(0);
    for torn in [&[][..], &[0x47; 188 * 4], &zeros, b"#EXTM3U"] {
        assert!(find(info, torn).is_none(), "{} bytes", torn.len());
    }
}
