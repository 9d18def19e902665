//! Line by line through the text, then `m3u8-rs` over what it reads well, then both together.

use std::sync::Arc;

use m3u8_rs::MediaSegment;
use recorder_types::UnixMillis;

use super::metadata::{AudioMetadata, FileAttr, VideoMetadata, number};
use super::{
    ByteRange, DecimalSeconds, InitSection, MediaPlaylist, PlaylistType, ReadPlaylistError, RecordingTags,
    Segment, SegmentUri, UnknownTag,
};

/// Reads `text`.
pub(super) fn read(text: &str) -> Result<MediaPlaylist, ReadPlaylistError> {
    let mut scan = Scan::default();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).zip(1..);
    if lines.next().is_none_or(|(line, _)| line.trim_end() != "#EXTM3U") {
        return Err(ReadPlaylistError::NoHeader);
    }
    for (line, number) in lines {
        if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(ReadPlaylistError::Control { line: number });
        }
        let line = line.trim();
        if line.starts_with("#EXT") {
            scan.tag(line, number)?;
        } else if !line.is_empty() && !line.starts_with('#') {
            scan.uri(line, number)?;
        }
    }
    scan.finish()
}

#[derive(Default)]
struct Scan {
    version: Option<u32>,
    target_duration: Option<u64>,
    media_sequence: Option<u64>,
    discontinuity_sequence: Option<u64>,
    playlist_type: Option<PlaylistType>,
    independent_segments: bool,
    ended: bool,
    recording: RecordingTags,
    audio: Option<Arc<AudioMetadata>>,
    video: Option<Arc<VideoMetadata>>,
    encrypted: bool,
    next: Pending,
    segments: Vec<(Segment, Delegated)>,
    unknown_tags: Vec<UnknownTag>,
    /// Exactly the lines that `m3u8-rs` reads well.
    normal: String,
}

/// What was said about the next segment.
#[derive(Default)]
struct Pending {
    extinf: Option<(DecimalSeconds, String, usize)>,
    discontinuity: bool,
    gap: bool,
    file_attr: Option<FileAttr>,
    unknown_tags: Vec<UnknownTag>,
    delegated: Delegated,
    begun: bool,
}

/// Lines of the tags that were left to `m3u8-rs`: it passes over what it cannot read, so each is looked for.
#[derive(Clone, Copy, Default)]
struct Delegated {
    byte_range: Option<usize>,
    map: Option<usize>,
    date: Option<usize>,
}

impl Scan {
    fn tag(&mut self, line: &str, at: usize) -> Result<(), ReadPlaylistError> {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name, Some(value.trim())),
            None => (line, None),
        };
        let text = value.unwrap_or_default();
        match name {
            "#EXT-X-VERSION" => {
                let version = number(text).and_then(|version| u32::try_from(version).ok());
                once(&mut self.version, version, "EXT-X-VERSION", at)
            }
            "#EXT-X-TARGETDURATION" => {
                once(&mut self.target_duration, number(text), "EXT-X-TARGETDURATION", at)
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                once(&mut self.media_sequence, number(text), "EXT-X-MEDIA-SEQUENCE", at)
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                once(&mut self.discontinuity_sequence, number(text), "EXT-X-DISCONTINUITY-SEQUENCE", at)
            }
            "#EXT-X-PLAYLIST-TYPE" => {
                let kind = match text {
                    "EVENT" => Some(PlaylistType::Event),
                    "VOD" => Some(PlaylistType::Vod),
                    _ => None,
                };
                once(&mut self.playlist_type, kind, "EXT-X-PLAYLIST-TYPE", at)
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => {
                self.independent_segments = true;
                Ok(())
            }
            "#EXT-X-ENDLIST" => {
                self.ended = true;
                Ok(())
            }
            "#EXT-X-ALLOW-CACHE" => Ok(()), // removed from the protocol in version 7; says nothing to a reader
            "#EXT-X-STREAM-INF" => Err(ReadPlaylistError::Master { line: at, tag: "EXT-X-STREAM-INF" }),
            "#EXT-X-I-FRAME-STREAM-INF" => {
                Err(ReadPlaylistError::Master { line: at, tag: "EXT-X-I-FRAME-STREAM-INF" })
            }
            "#EXT-X-MEDIA" => Err(ReadPlaylistError::Master { line: at, tag: "EXT-X-MEDIA" }),
            "#EXTINF" => self.extinf(text, at),
            "#EXT-X-DISCONTINUITY" => {
                self.next.discontinuity = true;
                self.next.begun = true;
                Ok(())
            }
            "#EXT-X-GAP" => {
                self.next.gap = true;
                self.next.begun = true;
                Ok(())
            }
            "#EXT-X-BYTERANGE" => self.delegate(text, at, "EXT-X-BYTERANGE", is_byte_range(text)),
            "#EXT-X-MAP" => self.delegate(text, at, "EXT-X-MAP", attributes(text).is_some()),
            "#EXT-X-KEY" => self.key(text, at),
            "#EXT-X-PROGRAM-DATE-TIME" => {
                self.delegate(text, at, "EXT-X-PROGRAM-DATE-TIME", !text.is_empty())
            }
            _ => match name.strip_prefix("#EXT-X-TRTC-") {
                Some(trtc) => self.trtc(trtc, value, at),
                None => {
                    self.unknown(&name[1..], value, at);
                    Ok(())
                }
            },
        }
    }

    fn trtc(&mut self, name: &str, value: Option<&str>, at: usize) -> Result<(), ReadPlaylistError> {
        let text = value.unwrap_or_default();
        let owned = value.map(str::to_owned);
        let tags = &mut self.recording;
        match name {
            "VERSION" => once(&mut tags.version, owned, "EXT-X-TRTC-VERSION", at),
            "DATE" => once(&mut tags.date, owned, "EXT-X-TRTC-DATE", at),
            "START-REC-TIME" => {
                once(&mut tags.start, number(text).and_then(UnixMillis::new), "EXT-X-TRTC-START-REC-TIME", at)
            }
            "MEDIA-ID" => once(&mut tags.media_id, owned, "EXT-X-TRTC-MEDIA-ID", at),
            "USER-ID" => once(&mut tags.user_id, owned, "EXT-X-TRTC-USER-ID", at),
            "MIX-STREAM" => {
                let mixed = match text {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                };
                once(&mut tags.mixed, mixed, "EXT-X-TRTC-MIX-STREAM", at)
            }
            "STREAM-TYPE" => {
                let kind = number(text).and_then(|kind| u32::try_from(kind).ok());
                once(&mut tags.stream_type, kind, "EXT-X-TRTC-STREAM-TYPE", at)
            }
            "AUDIO-METADATA" => {
                let bad = ReadPlaylistError::Value { line: at, tag: "EXT-X-TRTC-AUDIO-METADATA" };
                self.audio = Some(Arc::new(AudioMetadata::parse(text).ok_or(bad)?));
                Ok(())
            }
            "VIDEO-METADATA" => {
                let bad = ReadPlaylistError::Value { line: at, tag: "EXT-X-TRTC-VIDEO-METADATA" };
                self.video = Some(Arc::new(VideoMetadata::parse(text).ok_or(bad)?));
                Ok(())
            }
            "FILE-ATTR" => {
                self.next.begun = true;
                once(&mut self.next.file_attr, FileAttr::parse(text), "EXT-X-TRTC-FILE-ATTR", at)
            }
            _ => {
                self.unknown(&format!("EXT-X-TRTC-{name}"), value, at);
                Ok(())
            }
        }
    }

    fn extinf(&mut self, text: &str, at: usize) -> Result<(), ReadPlaylistError> {
        let (duration, title) = text.split_once(',').unwrap_or((text, ""));
        let read =
            DecimalSeconds::parse(duration.trim()).map(|duration| (duration, title.trim().to_owned(), at));
        self.next.begun = true;
        once(&mut self.next.extinf, read, "EXTINF", at)
    }

    /// Read here: `m3u8-rs` refuses `METHOD=NONE` without an `IV`, which RFC 8216 §4.3.2.4 forbids there.
    fn key(&mut self, text: &str, at: usize) -> Result<(), ReadPlaylistError> {
        let method = attributes(text).and_then(|list| list.into_iter().find(|&(name, _)| name == "METHOD"));
        let (_, method) = method.ok_or(ReadPlaylistError::Value { line: at, tag: "EXT-X-KEY" })?;
        self.encrypted = method != "NONE";
        self.next.begun = true;
        Ok(())
    }

    fn delegate(
        &mut self,
        text: &str,
        at: usize,
        tag: &'static str,
        plausible: bool,
    ) -> Result<(), ReadPlaylistError> {
        if !plausible {
            return Err(ReadPlaylistError::Value { line: at, tag });
        }
        let lines = &mut self.next.delegated;
        let slot = match tag {
            "EXT-X-BYTERANGE" => &mut lines.byte_range,
            "EXT-X-MAP" => &mut lines.map,
            _ => &mut lines.date,
        };
        *slot = Some(at);
        self.next.begun = true;
        for part in ["#", tag, ":", text, "\n"] {
            self.normal.push_str(part);
        }
        Ok(())
    }

    fn unknown(&mut self, name: &str, value: Option<&str>, at: usize) {
        let tag = UnknownTag { line: at, name: name.into(), value: value.map(str::to_owned) };
        if self.segments.is_empty() && !self.next.begun {
            self.unknown_tags.push(tag);
        } else {
            self.next.unknown_tags.push(tag);
        }
    }

    fn uri(&mut self, uri: &str, at: usize) -> Result<(), ReadPlaylistError> {
        let next = std::mem::take(&mut self.next);
        let (duration, title, _) = next.extinf.ok_or(ReadPlaylistError::NoDuration { line: at })?;
        // A fixed name: the line itself could look like a tag to another reader.
        self.normal.push_str("#EXTINF:0,\nx\n");
        let segment = Segment {
            uri: SegmentUri(uri.into()),
            line: at,
            duration,
            title,
            discontinuity: next.discontinuity,
            gap: next.gap,
            byte_range: None,
            map: None,
            encrypted: self.encrypted,
            program_date_time_millis: None,
            file_attr: next.file_attr,
            audio: self.audio.clone(),
            video: self.video.clone(),
            unknown_tags: next.unknown_tags,
        };
        self.segments.push((segment, next.delegated));
        Ok(())
    }

    fn finish(mut self) -> Result<MediaPlaylist, ReadPlaylistError> {
        if let Some((_, _, line)) = self.next.extinf {
            return Err(ReadPlaylistError::NoSegment { line });
        }
        self.unknown_tags.append(&mut self.next.unknown_tags);
        let target_duration = self.target_duration.ok_or(ReadPlaylistError::NoTargetDuration)?;
        let text = format!("#EXTM3U\n{}", self.normal);
        let delegated =
            m3u8_rs::parse_media_playlist_res(text.as_bytes()).map(|read| read.segments).unwrap_or_default();
        Ok(MediaPlaylist {
            version: self.version.unwrap_or(1),
            target_duration,
            media_sequence: self.media_sequence.unwrap_or(0),
            discontinuity_sequence: self.discontinuity_sequence.unwrap_or(0),
            playlist_type: self.playlist_type,
            independent_segments: self.independent_segments,
            ended: self.ended,
            recording: self.recording,
            segments: join(self.segments, delegated)?,
            unknown_tags: self.unknown_tags,
        })
    }
}

/// Completes each segment with what `m3u8-rs` read; a map stays in force until the next one.
fn join(
    scanned: Vec<(Segment, Delegated)>,
    mut delegated: Vec<MediaSegment>,
) -> Result<Vec<Segment>, ReadPlaylistError> {
    delegated.resize_with(scanned.len(), MediaSegment::default);
    let mut segments = Vec::<Segment>::with_capacity(scanned.len());
    let mut map = None;
    for ((mut segment, lines), read) in scanned.into_iter().zip(delegated) {
        let present = |line: Option<usize>, is_read: bool, tag| match line {
            Some(line) if !is_read => Err(ReadPlaylistError::Value { line, tag }),
            _ => Ok(()),
        };
        present(lines.byte_range, read.byte_range.is_some(), "EXT-X-BYTERANGE")?;
        present(lines.map, read.map.is_some(), "EXT-X-MAP")?;
        present(lines.date, read.program_date_time.is_some(), "EXT-X-PROGRAM-DATE-TIME")?;
        if let Some(read) = read.map {
            map = Some(Arc::new(InitSection {
                uri: SegmentUri(read.uri.into()),
                // Without an offset the section begins at 0 (§4.3.2.5 gives it no range to follow).
                byte_range: read
                    .byte_range
                    .map(|range| ByteRange { length: range.length, offset: Some(range.offset.unwrap_or(0)) }),
            }));
        }
        segment.byte_range = read.byte_range.map(|range| {
            let follows = || {
                let before = segments.last().filter(|before| before.uri == segment.uri)?.byte_range?;
                before.offset?.checked_add(before.length)
            };
            ByteRange { length: range.length, offset: range.offset.or_else(follows) }
        });
        segment.program_date_time_millis = read.program_date_time.map(|date| date.timestamp_millis());
        segment.map = map.clone();
        segments.push(segment);
    }
    Ok(segments)
}

fn once<T>(
    slot: &mut Option<T>,
    value: Option<T>,
    tag: &'static str,
    line: usize,
) -> Result<(), ReadPlaylistError> {
    let value = value.ok_or(ReadPlaylistError::Value { line, tag })?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ReadPlaylistError::Repeated { line, tag }),
    }
}

/// `length[@offset]`.
fn is_byte_range(text: &str) -> bool {
    let (length, offset) =
        text.split_once('@').map_or((text, None), |(length, offset)| (length, Some(offset)));
    number(length).is_some() && offset.is_none_or(|offset| number(offset).is_some())
}

/// The names and values of an attribute list (RFC 8216 §4.2), quotes taken off; `None` if it is none. `m3u8-rs` would
/// look for a missing `=` in later lines.
fn attributes(mut text: &str) -> Option<Vec<(&str, &str)>> {
    let mut list = Vec::new();
    loop {
        let (name, rest) = text.split_once('=')?;
        let name = name.trim_start();
        let is_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if value.is_empty() {
            return None;
        }
        list.push((name, value));
        match rest.strip_prefix(',') {
            Some(more) => text = more,
            None => return rest.is_empty().then_some(list),
        }
    }
}
