use recorder_hls::{AccessUnit, Action, PlaylistHeader, PlaylistText, Segmenter, SegmenterOptions, Streams};
use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{AacConfig, H264Config, NalFraming, RoomTime, Size, UnixMillis};

use super::*;
use crate::aac::{Layout, silent_frame};
use crate::h264::{Pictures, reordered_times};

type Files = Vec<(String, Vec<u8>)>;

/// Three segments of 10.08 s and one of 4.76 s, 25 pictures a second.
fn recording() -> (Vec<String>, Files) {
    let header = PlaylistHeader::single(recorder_types::MediaId::Main, "alice".parse().unwrap());
    let mut segmenter = Segmenter::new(SegmenterOptions::new("a".parse().unwrap(), header).unwrap());
    let video = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    segmenter.set_streams(Streams { video: Some(video), audio: None });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
    let (mut texts, mut files) = (Vec::new(), Files::new());
    let mut playlist = PlaylistText::new();
    let mut pictures = Pictures::new(Size::new(64, 48).unwrap()).unwrap();
    for n in 0..875 {
        let at = RoomTime::from_millis(n * 40);
        let data = if n % 63 == 0 { pictures.idr(100) } else { pictures.repeat() };
        let _ = segmenter.push_video(&AccessUnit { pts: at, dts: at, data }).unwrap();
        drain(&mut segmenter, &mut playlist, &mut texts, &mut files);
    }
    segmenter.finish();
    drain(&mut segmenter, &mut playlist, &mut texts, &mut files);
    (texts, files)
}

/// Picture and sound, B-frames, a pause of five seconds less one frame, a minute away, and then another size.
fn eventful_recording() -> (Vec<String>, Files) {
    let header = PlaylistHeader::mixed();
    let mut segmenter = Segmenter::new(SegmenterOptions::new("a".parse().unwrap(), header).unwrap());
    let video = H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() };
    let audio = AacConfig::Raw(AudioSpecificConfig::new(48_000, 2).unwrap());
    segmenter.set_streams(Streams { video: Some(video), audio: Some(audio) });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
    let (mut texts, mut files) = (Vec::new(), Files::new());
    let mut playlist = PlaylistText::new();
    let mut sound = 0;
    for (size, from) in [((64, 48), 0), ((64, 48), 16_960), ((64, 48), 75_000), ((96, 64), 90_000)] {
        let mut pictures = Pictures::new(Size::new(size.0, size.1).unwrap()).unwrap();
        for (n, (pts, dts)) in reordered_times(300, 2, 40, from).into_iter().enumerate() {
            let data = if n % 75 == 0 { pictures.idr(100) } else { pictures.repeat() };
            let (pts, dts) = (RoomTime::from_millis(pts), RoomTime::from_millis(dts));
            let _ = segmenter.push_video(&AccessUnit { pts, dts, data }).unwrap();
            loop {
                let at = RoomTime::from_nanos(sound * 1024 * 1_000_000_000 / 48_000);
                if at > dts {
                    break;
                }
                sound += 1;
                if at < RoomTime::from_millis(from) {
                    continue;
                }
                let data = silent_frame(Layout::Stereo);
                let _ = segmenter.push_audio(&AccessUnit { pts: at, dts: at, data }).unwrap();
            }
            drain(&mut segmenter, &mut playlist, &mut texts, &mut files);
        }
    }
    segmenter.finish();
    drain(&mut segmenter, &mut playlist, &mut texts, &mut files);
    (texts, files)
}

fn drain(segmenter: &mut Segmenter, playlist: &mut PlaylistText, texts: &mut Vec<String>, files: &mut Files) {
    while let Some(action) = segmenter.poll() {
        match action {
            Action::OpenSegment { name } => files.push((name.to_string(), Vec::new())),
            Action::SegmentData { data } => files.last_mut().unwrap().1.extend_from_slice(&data),
            Action::Playlist(update) => {
                playlist.apply(&update);
                texts.push(playlist.to_string());
            }
            _ => {}
        }
    }
}

fn check_files(text: &str, files: &Files) -> Vec<Violation> {
    check(text, |name| files.iter().find(|(file, _)| file == name).map(|(_, bytes)| bytes.clone()))
}

fn rules(found: &[Violation]) -> Vec<Rule> {
    let mut rules: Vec<_> = found.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_recording_breaks_no_rule() {
    let (texts, files) = recording();
    assert_eq!(files.len(), 4);
    assert_eq!(check_files(texts.last().unwrap(), &files), []);
    assert_eq!(check_growth(&texts), []);
}

#[test]
fn sound_gaps_and_new_sizes_break_no_rule_either() {
    let (texts, files) = eventful_recording();
    let text = texts.last().unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
    assert_eq!(check_files(text, &files), []);
    assert_eq!(check_growth(&texts), []);
}

#[test]
fn each_text_breaks_exactly_its_rule() {
    let (texts, files) = recording();
    let text = texts.last().unwrap().as_str();
    let second = files[1].0.as_str();
    for (rule, from, to) in [
        (Rule::Header, "#EXTM3U\n", "#EXTM3U8\n"),
        (Rule::Version, "VERSION:3", "VERSION:2"),
        (Rule::Version, "VERSION:3", "VERSION:new"),
        (Rule::TargetDuration, "TARGETDURATION:10", "TARGETDURATION:9"),
        (Rule::TargetDuration, "#EXT-X-TARGETDURATION:10\n", ""),
        (Rule::EndList, "#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n"),
        (Rule::Uri, second, "missing.ts"),
        (Rule::Uri, second, "../up.ts"),
        (Rule::Duration, "#EXTINF:4.76,", "#EXTINF:4.9,"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from:?} is in the text");
        assert_eq!(rules(&check_files(&broken, &files)), [rule], "{from:?} became {to:?}");
    }
    let marked = text.replacen("#EXT-X-ENDLIST\n", "", 1).replacen("#EXTINF", "#EXT-X-ENDLIST\n#EXTINF", 1);
    assert_eq!(rules(&check_files(&marked, &files)), [Rule::EndList]);
    let marker = format!("#EXT-X-DISCONTINUITY\n{second}");
    let marked = text.replacen(second, &marker, 1);
    assert_eq!(rules(&check_files(&marked, &files)), [Rule::Discontinuity]);
}

/// Where the PES packets of pictures begin: the offset of `00 00 01 E0` in their first packet.
fn pictures_of(segment: &[u8]) -> Vec<usize> {
    let start = [0, 0, 1, 0xE0];
    (0..segment.len() / 188)
        .filter(|packet| segment[packet * 188 + 1] & 0x40 != 0)
        .filter_map(|packet| {
            let bytes = &segment[packet * 188..(packet + 1) * 188];
            bytes.windows(4).position(|window| window == start).map(|at| packet * 188 + at)
        })
        .collect()
}

#[test]
fn each_damage_of_segments_breaks_exactly_its_rule() {
    let (texts, files) = recording();
    let text = texts.last().unwrap().as_str();
    let rules_with = |edit: &dyn Fn(&mut Files)| {
        let mut edited = files.clone();
        edit(&mut edited);
        rules(&check_files(text, &edited))
    };

    let without_pps = |files: &mut Files| {
        let segment = &mut files[1].1;
        let pps = segment.windows(5).position(|bytes| bytes == [0, 0, 0, 1, 0x68]).unwrap();
        segment[pps + 4] = 0x6C; // filler data
    };
    assert_eq!(rules_with(&without_pps), [Rule::SegmentStart]);

    let tables_last = |files: &mut Files| {
        let (tables, rest) = files[0].1.split_at(2 * 188);
        files[0].1 = [rest, tables].concat();
    };
    assert!(rules_with(&tables_last).contains(&Rule::SegmentStart));

    let counter_of_a_pat = |files: &mut Files| files[3].1[3] ^= 0x05;
    assert_eq!(rules_with(&counter_of_a_pat), [Rule::Continuity]);

    let equal_times = |files: &mut Files| {
        let pictures = pictures_of(&files[3].1);
        let time = files[3].1[pictures[7] + 9..pictures[7] + 14].to_vec();
        files[3].1[pictures[8] + 9..pictures[8] + 14].copy_from_slice(&time);
    };
    assert_eq!(rules_with(&equal_times), [Rule::DecodeOrder]);

    let other_size = |files: &mut Files| {
        // The same number of bytes, so that packets stay as they are.
        let sps = |width| Pictures::new(Size::new(width, 48).unwrap()).unwrap().parameter_sets()[0].clone();
        let (old, new) = (sps(64), sps(80));
        assert_eq!(old.len(), new.len());
        let segment = &mut files[3].1;
        while let Some(at) = segment.windows(old.len()).position(|bytes| bytes == old) {
            segment[at..at + old.len()].copy_from_slice(&new);
        }
    };
    assert_eq!(rules_with(&other_size), [Rule::Discontinuity]);
}

#[test]
fn a_hole_in_the_time_line_needs_its_tag() {
    let (texts, files) = recording();
    let text = texts.last().unwrap();
    // The second segment is left out of the list, with its tags.
    let blocks: Vec<_> = text.split_inclusive(".ts\n").collect();
    let gap = [blocks[0], blocks[2], blocks[3], blocks[4]].concat();
    let found = rules(&check_files(&gap, &files));
    assert!(found.contains(&Rule::Discontinuity), "{found:?}");
    let marked = [blocks[0], "#EXT-X-DISCONTINUITY\n", blocks[2], blocks[3], blocks[4]].concat();
    assert_eq!(check_files(&marked, &files), []);
}

/// Sound for 6 s, 48 kHz, that goes on without a gap after what `between` does.
fn sound_and_more(between: impl FnOnce(&mut Segmenter), after: AudioSpecificConfig) -> (String, Files) {
    let header = PlaylistHeader::single(recorder_types::MediaId::Main, "alice".parse().unwrap());
    let mut segmenter = Segmenter::new(SegmenterOptions::new("a".parse().unwrap(), header).unwrap());
    let mono = AudioSpecificConfig::new(48_000, 1).unwrap();
    segmenter.set_streams(Streams { video: None, audio: Some(AacConfig::Raw(mono)) });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());
    let (mut texts, mut files) = (Vec::new(), Files::new());
    let mut playlist = PlaylistText::new();
    let mut between = Some(between);
    for n in 0..600 {
        if n == 300
            && let Some(between) = between.take()
        {
            between(&mut segmenter);
            segmenter.set_streams(Streams { video: None, audio: Some(AacConfig::Raw(after)) });
        }
        let at = RoomTime::from_nanos(n * 1024 * 1_000_000_000 / 48_000);
        let data = silent_frame(Layout::Mono);
        let _ = segmenter.push_audio(&AccessUnit { pts: at, dts: at, data }).unwrap();
    }
    segmenter.finish();
    drain(&mut segmenter, &mut playlist, &mut texts, &mut files);
    (texts.pop().unwrap(), files)
}

#[test]
fn other_channels_need_their_tag() {
    let stereo = AudioSpecificConfig::new(48_000, 2).unwrap();
    let (text, files) = sound_and_more(|_| {}, stereo);
    assert_eq!(check_files(&text, &files), []);
    let bare = text.replacen("#EXT-X-DISCONTINUITY\n", "", 1);
    assert_ne!(bare, text);
    assert_eq!(rules(&check_files(&bare, &files)), [Rule::Discontinuity]);
}

#[test]
fn a_tag_where_times_go_on_needs_a_new_clock() {
    let mono = AudioSpecificConfig::new(48_000, 1).unwrap();
    let (text, mut files) = sound_and_more(Segmenter::discontinuity, mono);
    assert!(text.contains("#EXT-X-DISCONTINUITY"));
    assert_eq!(check_files(&text, &files), []);
    // The third packet is the first with a clock reference.
    let flags = &mut files[1].1[2 * 188 + 5];
    assert_eq!(*flags & 0x90, 0x90);
    *flags &= 0x7F;
    assert_eq!(rules(&check_files(&text, &files)), [Rule::Discontinuity]);
}

#[test]
fn growth_has_to_extend() {
    let (texts, _) = recording();
    let (old, new) = (texts[1].as_str(), texts[2].as_str());
    let second_name = new.lines().rfind(|line| !line.starts_with('#')).unwrap();
    for (rule, old, new) in [
        (Rule::ConstantHeader, old.into(), new.replacen("TARGETDURATION:10", "TARGETDURATION:11", 1)),
        (Rule::ConstantHeader, old.into(), new.replacen("SEQUENCE:0", "SEQUENCE:1", 1)),
        (Rule::Growth, new.to_owned(), old.to_owned()),
        (Rule::Growth, old.into(), new.replacen("#EXTINF:10", "#EXTINF:9", 1)),
        (Rule::Growth, format!("{old}#EXT-X-ENDLIST\n"), new.to_owned()),
        (Rule::Growth, new.to_owned(), new.replacen(second_name, "other.ts", 1)),
    ] {
        assert_eq!(rules(&check_growth(&[old, new])), [rule]);
    }
}
