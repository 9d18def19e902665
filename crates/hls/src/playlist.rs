use std::fmt;
use std::fmt::Write;

use recorder_types::aac::AudioSpecificConfig;
use recorder_types::{ObjectName, RoomTime, Size, UnixMillis};

use crate::action::{PlaylistUpdate, SegmentInfo};
use crate::options::{PlaylistHeader, PlaylistMedia};
use crate::ts::Layout;

/// The least that `EXT-X-TARGETDURATION` says, in seconds.
const LEAST_TARGET: u64 = 10;
/// FFmpeg's `AV_CODEC_ID_H264` and `AV_CODEC_ID_AAC`.
const CODEC_H264: u32 = 27;
const CODEC_AAC: u32 = 86_018;

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
            append.push_str("#EXT-X-DISCONTINUITY\n");
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
        let mut text = String::from(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-ALLOW-CACHE:NO\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:",
        );
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
