//! Files that others wrote, read and written anew: the same samples, times and pictures, said by several readers.

// Helpers of tests fail by panicking, and say aloud what was skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

mod support;

use recorder_mp4::{Event, MovieIndex, MovieWriter, Reader, ReaderOptions};
use recorder_types::{Timescale, Timestamp};
use support::{ReadFile, ffprobe, info, mp4_files, read_all, run, write};

fn remux(source: &ReadFile) -> Vec<u8> {
    let mut index = MovieIndex::new().with_origin(Timestamp::new(0, Timescale::HZ_90000));
    for setup in source.setups() {
        index.add_track(setup).unwrap();
    }
    for sample in &source.samples {
        index.push(sample.at.track, info(sample)).unwrap();
    }
    let planned = index.file_len();
    let plan = index.finish().unwrap();
    assert_eq!(plan.file_len(), planned);
    assert_eq!(plan.header().map(|piece| piece.len() as u64).sum::<u64>(), plan.header_len());
    let mut at = plan.header_len();
    for chunk in plan.chunks() {
        assert_eq!(chunk.offset, at);
        at += chunk.bytes;
    }
    assert_eq!(at, plan.file_len());
    write(plan, &source.samples)
}

fn sources() -> impl Iterator<Item = (String, ReadFile)> {
    mp4_files(&["mp4"]).into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, read_all(std::fs::read(&path).unwrap()))
    })
}

#[test]
fn every_sample_comes_back_at_its_time() {
    for (name, source) in sources() {
        let written = read_all(remux(&source));
        assert_eq!(written.tracks.len(), source.tracks.len(), "{name}");
        for (track, (new, old)) in written.tracks.iter().zip(&source.tracks).enumerate() {
            assert_eq!((&new.entries, new.timescale), (&old.entries, old.timescale), "{name}");
            assert_eq!(
                (new.matrix, new.pixel_aspect, new.size),
                (old.matrix, old.pixel_aspect, old.size),
                "{name}"
            );
            assert_eq!(written.of(track).count(), source.of(track).count(), "{name}");
            for (number, (new, old)) in written.of(track).zip(source.of(track)).enumerate() {
                let place = format!("{name} track {track} sample {number}");
                assert_eq!(
                    (new.at.pts, new.at.dts, new.at.sync),
                    (old.at.pts, old.at.dts, old.at.sync),
                    "{place}"
                );
                assert!(new.sample.data == old.sample.data, "{place}: payloads differ");
            }
        }
    }
}

#[test]
fn the_moov_is_in_front_and_the_first_thing_to_be_read() {
    for (name, source) in sources() {
        let file = bytes::Bytes::from(remux(&source));
        let mut reader = Reader::new(file.len() as u64, ReaderOptions::default());
        let mut last = 0;
        while let Event::Need(need) = reader.poll().unwrap() {
            last = need.at + need.len as u64;
            let at = usize::try_from(need.at).unwrap();
            reader.supply(file.slice(at..at + need.len)).unwrap();
        }
        assert!(last <= source.samples.len() as u64 * 40 + 4096, "{name}: reads up to {last}");
    }
}

#[test]
fn ffprobe_sees_the_same_packets_and_ffmpeg_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for path in mp4_files(&["mp4"]) {
        let source = read_all(std::fs::read(&path).unwrap());
        let file = folder.path().join("remux.mp4");
        std::fs::write(&file, remux(&source)).unwrap();
        let (old, new) = (path.to_str().unwrap(), file.to_str().unwrap());
        let Some(packets) = ffprobe(new) else { return };
        for (track, (_, packets)) in packets.iter().enumerate() {
            let ours = source.of(track).map(|s| (s.at.pts.ticks(), s.at.dts.ticks(), s.at.len));
            assert!(packets.iter().map(|p| (p.pts, p.dts, p.size)).eq(ours), "{old} track {track}");
        }
        if path.ends_with("long_1080p_lowbitrate.mp4") {
            continue; // six minutes that take two to decode; its packets are the same
        }
        let pictures = |file: &str| {
            let args = ["-v", "error", "-xerror", "-i", file, "-map", "0", "-f", "framemd5", "-"];
            // Without the lines about the file, and for each frame only track and contents: clocks may differ.
            let text = run("ffmpeg", &args)?;
            let frames = text.lines().filter(|line| !line.starts_with('#'));
            let frames = frames.map(|line| {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                format!("{} {}", fields[0], fields[5])
            });
            let mut frames: Vec<String> = frames.collect();
            frames.sort_by(|a, b| a.split(' ').next().cmp(&b.split(' ').next()));
            Some(frames)
        };
        let (Some(before), Some(after)) = (pictures(old), pictures(new)) else { return };
        assert_eq!(before.len(), after.len(), "{old}");
        assert!(before == after, "{old}: decoded frames differ");
    }
}

#[test]
fn the_mp4_crate_agrees_on_the_tables() {
    for (name, source) in sources() {
        let file = remux(&source);
        let len = file.len() as u64;
        if source.tracks.iter().any(|track| track.pixel_aspect.is_some()) {
            continue; // it looks for avcC in the first box only when nothing is before it
        }
        let mut theirs = mp4::Mp4Reader::read_header(std::io::Cursor::new(file), len).unwrap();
        for track in 0..source.tracks.len() {
            let id = u32::try_from(track + 1).unwrap();
            let first = source.of(track).next().unwrap().at.dts.ticks();
            for (number, old) in (1..).zip(source.of(track)) {
                let new = theirs.read_sample(id, number).unwrap().unwrap();
                assert!(new.bytes == old.sample.data, "{name} {id} {number}");
                assert_eq!(new.start_time.cast_signed(), old.at.dts.ticks() - first, "{name} {id} {number}");
                let offset = old.at.pts.ticks() - old.at.dts.ticks();
                assert_eq!(i64::from(new.rendering_offset), offset, "{name} {id} {number}");
                assert_eq!(new.is_sync, old.at.sync, "{name} {id} {number}");
            }
        }
    }
}

#[test]
fn writing_to_a_sink_gives_the_same_bytes() {
    for (name, source) in sources() {
        let whole = remux(&source);
        let mut index = MovieIndex::new().with_origin(Timestamp::new(0, Timescale::HZ_90000));
        source.setups().for_each(|setup| assert!(index.add_track(setup).is_ok()));
        source.samples.iter().for_each(|sample| index.push(sample.at.track, info(sample)).unwrap());
        let mut writer = MovieWriter::new(index.finish().unwrap());
        let mut file = Vec::new();
        // All of one track, then all of the next: only the order within a track is asked for.
        for track in (0..source.tracks.len()).rev() {
            source.of(track).for_each(|sample| writer.push(track, sample.sample.data.clone()).unwrap());
            writer.write_to(&mut file).unwrap();
        }
        writer.finish().unwrap();
        assert!(file == whole, "{name}");
    }
}
