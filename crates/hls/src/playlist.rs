use std::fmt;
use std::fmt::Write;

use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{ObjectName, RoomTime, Size, UnixMillis};

use crate::action::{PlaylistUpdate, SegmentFile, SegmentInfo};
use crate::options::{PlaylistHeader, PlaylistMedia};
use crate::ts::Layout;

/// The least that `EXT-X-TARGETDURATION` says, in seconds.
const LEAST_TARGET: u64 = 10;
/// FFmpeg's `AV_CODEC_ID_H264` and `AV_CODEC_ID_AAC`.
const CODEC_H264: u32 = 27;
const CODEC_AAC: u32 = 86_018;

/// The first lines of every playlist here.
const START: &str = "#EXTM3U\n#EXT-X-VERSION:3\n";
/// Those where segments are not TS: version 7, for `EXT-X-MAP` in a playlist of media (RFC 8216 §7 asks for 6, and
/// FFmpeg and Apple's tools write 7).
const START_WITH_MAP: &str = "#EXTM3U\n#EXT-X-VERSION:7\n";
const DISCONTINUITY: &str = "#EXT-X-DISCONTINUITY\n";
const FILE_ATTR: &str = "#EXT-X-TRTC-FILE-ATTR:";

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What the `METADATA` tags tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) audio: Option<AudioSpecificConfig>,
    pub(crate) video: Option<Size>,
}

/// Writes the playlist as it grows; keeps its header and sums, not its body.
pub(crate) struct PlaylistWriter {
    name: ObjectName,
    header: PlaylistHeader,
    start: UnixMillis,
    first: Metadata,
    current: Metadata,
    layout: Layout,
    target: u64,
    segments: u64,
}

impl PlaylistWriter {
    pub(crate) fn new(name: ObjectName, header: PlaylistHeader) -> Self {
        Self {
            name,
            header,
            start: UnixMillis::EPOCH,
            first: Metadata::default(),
            current: Metadata::default(),
            layout: Layout::default(),
            target: LEAST_TARGET,
            segments: 0,
        }
    }

    /// As it was when it had written a playlist with so many seconds of target duration and segments, the first and
    /// the last of which hold this.
    pub(crate) fn resume(
        (name, header): (ObjectName, PlaylistHeader),
        (first, current): (Metadata, Metadata),
        layout: Layout,
        start: UnixMillis,
        (target, segments): (u64, u64),
    ) -> Self {
        Self { name, header, start, first, current, layout, target: target.max(LEAST_TARGET), segments }
    }

    pub(crate) fn segments(&self) -> u64 {
        self.segments
    }

    /// Adds a segment that `layout` was announced for and that holds what `metadata` says.
    pub(crate) fn add(&mut self, info: &SegmentInfo, metadata: Metadata, layout: Layout) -> PlaylistUpdate {
        let mut append = String::new();
        self.layout.video |= layout.video;
        self.layout.audio |= layout.audio;
        if self.segments == 0 {
            self.start = info.start;
            self.first = metadata;
            self.current = metadata;
        }
        self.segments += 1;
        if info.discontinuity {
            append.push_str(DISCONTINUITY);
        }
        // A stream that is silent for a segment keeps what was told of it.
        if metadata.audio.is_some() && metadata.audio != self.current.audio {
            self.current.audio = metadata.audio;
            write_metadata(&mut append, Metadata { video: None, ..metadata });
        }
        if metadata.video.is_some() && metadata.video != self.current.video {
            self.current.video = metadata.video;
            write_metadata(&mut append, Metadata { audio: None, ..metadata });
        }
        let extinf = Extinf::new(info.duration);
        self.target = self.target.max(extinf.whole_seconds());
        put(
            &mut append,
            format_args!(
                "#EXT-X-TRTC-FILE-ATTR:{},{}\n#EXTINF:{extinf},\n{}\n",
                info.start.get(),
                info.bytes,
                info.name
            ),
        );
        self.update(append, false)
    }

    /// The update that ends the playlist.
    pub(crate) fn end(&self) -> PlaylistUpdate {
        let mut update = self.update(String::new(), false);
        end(&mut update);
        update
    }

    fn update(&self, append: String, ended: bool) -> PlaylistUpdate {
        PlaylistUpdate {
            name: self.name.clone(),
            header: self.header_text(),
            append,
            ended,
            target_duration: self.target,
            segments: self.segments,
        }
    }

    fn header_text(&self) -> String {
        let mut text = String::from(START);
        text.push_str("#EXT-X-ALLOW-CACHE:NO\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:");
        let PlaylistHeader { media, user, version, date } = &self.header;
        put(
            &mut text,
            format_args!(
                "{}\n#EXT-X-TRTC-VERSION:{version}\n#EXT-X-TRTC-DATE:{date}\n#EXT-X-TRTC-START-REC-TIME:{}\n\
                 #EXT-X-TRTC-MEDIA-ID:{}\n#EXT-X-TRTC-USER-ID:{}\n#EXT-X-TRTC-MIX-STREAM:{}\n\
                 #EXT-X-TRTC-STREAM-TYPE:{}\n",
                self.target,
                self.start.get(),
                media.as_str(),
                user.as_ref().map_or("", |user| user.as_str()),
                u8::from(*media == PlaylistMedia::Mix),
                match self.layout {
                    Layout { video: true, audio: true } => 2,
                    Layout { video: true, audio: false } => 1,
                    Layout { video: false, .. } => 0,
                },
            ),
        );
        write_metadata(&mut text, self.first);
        text
    }
}

impl PlaylistUpdate {
    /// The same update with `file` in the place of the segment that it adds (`None` where it adds none): version 7,
    /// and `EXT-X-MAP` before a segment that needs another initialization section than the one before it. From the
    /// second section on `EXT-X-DISCONTINUITY` comes with it.
    ///
    /// `independent` writes `EXT-X-INDEPENDENT-SEGMENTS`: to be set where every segment so far begins with a key frame.
    ///
    /// # Specification
    /// RFC 8216 §4.3.2.5, §4.3.5.1.
    #[must_use]
    pub fn with_file(mut self, file: Option<&SegmentFile>, independent: bool) -> Self {
        if let Some(rest) = self.header.strip_prefix(START) {
            let tag = if independent { "#EXT-X-INDEPENDENT-SEGMENTS\n" } else { "" };
            self.header = [START_WITH_MAP, tag, rest].concat();
        }
        let Some(file) = file else { return self };
        let mut append = String::with_capacity(self.append.len() + 128);
        if let Some(map) = &file.map {
            if self.segments > 1 && !self.append.starts_with(DISCONTINUITY) {
                append.push_str(DISCONTINUITY);
            }
            let tags = self.append.strip_prefix(DISCONTINUITY);
            if tags.is_some() {
                append.push_str(DISCONTINUITY);
            }
            put(&mut append, format_args!("#EXT-X-MAP:URI=\"{map}\"\n"));
            self.append = tags.unwrap_or(&self.append).to_owned();
        }
        for line in self.append.lines() {
            match line.strip_prefix(FILE_ATTR).and_then(|attr| attr.split_once(',')) {
                Some((start, _)) => put(&mut append, format_args!("{FILE_ATTR}{start},{}\n", file.bytes)),
                None if line.starts_with('#') => put(&mut append, format_args!("{line}\n")),
                None => put(&mut append, format_args!("{}\n", file.name)),
            }
        }
        self.append = append;
        self
    }
}

/// Makes `update` the last one.
pub(crate) fn end(update: &mut PlaylistUpdate) {
    update.append.push_str("#EXT-X-ENDLIST\n");
    update.ended = true;
}

fn write_metadata(text: &mut String, metadata: Metadata) {
    if let Some(audio) = metadata.audio {
        put(
            text,
            format_args!(
                "#EXT-X-TRTC-AUDIO-METADATA:Channel:{} SampleRate:{} SampleFormat:1 Codec:{CODEC_AAC}\n",
                audio.channels(),
                audio.sample_rate()
            ),
        );
    }
    if let Some(size) = metadata.video {
        put(
            text,
            format_args!(
                "#EXT-X-TRTC-VIDEO-METADATA:WIDTH:{} HEIGHT:{} Codec:{CODEC_H264}\n",
                size.width(),
                size.height()
            ),
        );
    }
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String cannot fail");
}

/// A duration as `EXTINF` writes it: seconds with six significant digits, rounded to nearest (a half upward), without
/// zeros at the end of the fraction. In integers all the way, and never finer than a nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extinf {
    /// After rounding.
    nanos: u64,
}

impl Extinf {
    fn new(duration: RoomTime) -> Self {
        let exact = u64::try_from(duration.nanos()).unwrap_or(0);
        // The digit to round at: 10^(digits - 6) nanoseconds, at most whole seconds, so that none is lost before the
        // point.
        let digits = exact.checked_ilog10().unwrap_or(0) + 1;
        let step = 10u64.pow(digits.saturating_sub(6).min(9));
        Self { nanos: (exact + step / 2) / step * step }
    }

    /// To nearest, a half upward: RFC 8216 §4.3.3.1.
    fn whole_seconds(self) -> u64 {
        (self.nanos + NANOS_PER_SECOND / 2) / NANOS_PER_SECOND
    }
}

impl fmt::Display for Extinf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, mut fraction) = (self.nanos / NANOS_PER_SECOND, self.nanos % NANOS_PER_SECOND);
        if fraction == 0 {
            return write!(f, "{seconds}");
        }
        let mut width = 9;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{seconds}.{fraction:0width$}")
    }
}

/// A playlist's whole text, put together from its updates.
///
/// Grows with the recording: about 170 bytes a segment, 1.5 MB a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaylistText {
    header: String,
    body: String,
}

impl PlaylistText {
    /// Before the first update.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an update. Each of a segmenter's updates once, in order.
    pub fn apply(&mut self, update: &PlaylistUpdate) {
        self.header.clone_from(&update.header);
        self.body.push_str(&update.append);
    }
}

/// The text of the file.
impl fmt::Display for PlaylistText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.header)?;
        f.write_str(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use recorder_types::MediaId;

    fn info(start: u64, nanos: i64, bytes: u64) -> SegmentInfo {
        let start = UnixMillis::new(start).unwrap();
        let stem = "1400000001_1001__UserId_s_YWxpY2U.__UserId_e_main_video";
        SegmentInfo {
            name: format!("{stem}_{}.ts", start.utc_digits()).parse().unwrap(),
            start,
            duration: RoomTime::from_nanos(nanos),
            bytes,
            first_pts: RoomTime::ZERO,
            last_pts: RoomTime::ZERO,
            pictures: 1,
            audio_frames: 0,
            discontinuity: false,
            starts_with_key_frame: true,
            index: None,
        }
    }

    #[test]
    fn the_worked_example_comes_out_to_the_byte() {
        let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
        let header = header.with_build("0000000", "2023-11-01 00:00:00 +0000").unwrap();
        let mut writer = PlaylistWriter::new("x.m3u8".parse().unwrap(), header);
        let metadata = Metadata { audio: None, video: Size::new(640, 480) };
        let layout = Layout { video: true, audio: false };
        let mut text = PlaylistText::new();
        for (start, nanos, bytes) in [
            (1_700_000_000_123, 10_080_000_000, 188_000),
            (1_700_000_010_203, 11_570_000_000, 206_800),
            (1_700_000_021_773, 4_377_920_000, 94_000),
        ] {
            text.apply(&writer.add(&info(start, nanos, bytes), metadata, layout));
        }
        text.apply(&writer.end());
        assert_eq!(text.to_string(), include_str!("../tests/golden/worked-example.m3u8"));
    }

    #[test]
    fn another_file_takes_the_place_of_a_segment() {
        let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
        let mut writer = PlaylistWriter::new("x.m3u8".parse().unwrap(), header);
        let metadata = Metadata { audio: None, video: Size::new(640, 480) };
        let layout = Layout { video: true, audio: false };
        let mut text = PlaylistText::new();
        for (number, discontinuity, map) in [
            (1, false, Some("i1.mp4")),
            (2, false, None),
            (3, true, Some("i2.mp4")),
            (4, false, Some("i3.mp4")),
        ] {
            let mut info = info(1_700_000_000_000 + number, 10_000_000_000, 188);
            info.discontinuity = discontinuity;
            let name = format!("s{number}.m4s").parse().unwrap();
            let file = SegmentFile { name, bytes: number, map: map.map(|map| map.parse().unwrap()) };
            text.apply(&writer.add(&info, metadata, layout).with_file(Some(&file), false));
        }
        text.apply(&writer.end().with_file(None, true));
        let text = text.to_string();
        assert!(
            text.starts_with("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-ALLOW"),
            "{text}"
        );
        let body = &text[text.find("#EXT-X-MAP").unwrap()..];
        let segment = |n| format!("{FILE_ATTR}170000000000{n},{n}\n#EXTINF:10,\ns{n}.m4s\n");
        let map = |n| format!("#EXT-X-MAP:URI=\"i{n}.mp4\"\n");
        let want = [
            map(1),
            segment(1),
            segment(2),
            DISCONTINUITY.into(),
            map(2),
            segment(3),
            DISCONTINUITY.into(),
            map(3),
            segment(4),
            "#EXT-X-ENDLIST\n".into(),
        ];
        assert_eq!(body, want.concat());
    }

    #[test]
    fn durations_have_six_significant_digits() {
        for (nanos, text, whole) in [
            (10_005_333_333, "10.0053", 10),
            (10_078_500_000, "10.0785", 10),
            (4_377_920_000, "4.37792", 4),
            (4_377_925_000, "4.37793", 4),
            (8_788_000_000, "8.788", 9),
            (10_000_000_000, "10", 10),
            (9_999_999_999, "10", 10),
            (99_999_950_000, "100", 100),
            (10_499_960_000, "10.5", 11), // as written it rounds up, so the target has to
            (33_333_333, "0.0333333", 0),
            (500_000_000, "0.5", 1),
            (64_000_000, "0.064", 0),
            (1, "0.000000001", 0),
            (0, "0", 0),
            (-5, "0", 0),
            (1_234_567_890_123_456, "1234568", 1_234_568),
        ] {
            let extinf = Extinf::new(RoomTime::from_nanos(nanos));
            assert_eq!((extinf.to_string().as_str(), extinf.whole_seconds()), (text, whole), "{nanos}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_within_half_of_its_sixth_digit(nanos in 1i64..1_000_000_000_000_000) {
            let text = Extinf::new(RoomTime::from_nanos(nanos)).to_string();
            let exact = nanos as f64 / 1e9;
            let read: f64 = text.parse().unwrap();
            prop_assert!((read - exact).abs() <= (exact * 5.1e-6).max(1e-9), "{exact} {text}");
            let digits = text.trim_start_matches(['0', '.']).replace('.', "");
            prop_assert!(digits.trim_end_matches('0').len() <= 6, "{text}");
            prop_assert!(!text.contains('.') || !text.ends_with('0'));
        }
    }
}
