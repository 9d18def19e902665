use recorder_types::{MediaId, ObjectName, RoomTime, UserId};

use crate::ts::PACKET_BYTES;

/// What a segment's name adds to the stem: `_`, 17 digits, `.ts`.
const NAME_SUFFIX_BYTES: usize = 1 + 17 + 3;

/// Version text of playlists unless [`PlaylistHeader::with_build`] sets another. A constant, so that the same input
/// gives the same file whatever built the program.
const DEFAULT_VERSION: &str = "0000000";
const DEFAULT_DATE: &str = "2026-11-01 00:00:00 +0000";

/// What a [`Segmenter`](crate::Segmenter) works by. Build it with [`SegmenterOptions::new`] and the `with_*` methods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmenterOptions {
    pub(crate) stem: ObjectName,
    pub(crate) header: PlaylistHeader,
    pub(crate) target_duration: RoomTime,
    pub(crate) max_segment_duration: RoomTime,
    pub(crate) max_gap: RoomTime,
    pub(crate) max_access_unit: usize,
    pub(crate) chunk_bytes: usize,
    pub(crate) first_pts: u64,
    pub(crate) index: bool,
}

impl SegmenterOptions {
    /// Segments `{stem}_{UTC17}.ts` and playlist `{stem}.m3u8`, with segments of 10 s.
    ///
    /// # Errors
    /// [`OptionsError::StemTooLong`] where the segments' names would exceed [`ObjectName::MAX_BYTES`].
    pub fn new(stem: ObjectName, header: PlaylistHeader) -> Result<Self, OptionsError> {
        let (len, limit) = (stem.as_str().len(), ObjectName::MAX_BYTES - NAME_SUFFIX_BYTES);
        if len > limit {
            return Err(OptionsError::StemTooLong { len, limit });
        }
        Ok(Self {
            stem,
            header,
            target_duration: RoomTime::from_secs(10),
            max_segment_duration: RoomTime::from_secs(60),
            max_gap: RoomTime::from_secs(5),
            max_access_unit: 16 << 20,
            chunk_bytes: 1024 * PACKET_BYTES,
            first_pts: 90_000,
            index: true,
        })
    }

    /// Length after which a segment is cut at the next good place (default 10 s), held within 1 s and 1 h.
    #[must_use]
    pub fn with_target_duration(mut self, duration: RoomTime) -> Self {
        self.target_duration = duration.clamp(RoomTime::from_secs(1), RoomTime::from_secs(3600));
        self
    }

    /// Length after which a segment is cut at any picture where no key frame comes (default 60 s), held within 1 s
    /// and 1 h. Below the target duration it counts as the target duration.
    #[must_use]
    pub fn with_max_segment_duration(mut self, duration: RoomTime) -> Self {
        self.max_segment_duration = duration.clamp(RoomTime::from_secs(1), RoomTime::from_secs(3600));
        self
    }

    /// Forward gap between two samples over which the media counts as interrupted (default 5 s), held within 1 s and
    /// 60 s.
    #[must_use]
    pub fn with_max_gap(mut self, gap: RoomTime) -> Self {
        self.max_gap = gap.clamp(RoomTime::from_secs(1), RoomTime::from_secs(60));
        self
    }

    /// Most bytes of one access unit (default 16 MiB). A larger one is dropped and counted.
    #[must_use]
    pub fn with_max_access_unit(mut self, bytes: usize) -> Self {
        self.max_access_unit = bytes;
        self
    }

    /// TS packets in one [`Action::SegmentData`](crate::Action::SegmentData) of a stream with video (default 1024,
    /// which is 188 KiB), at least 1. Streams of audio alone take a sixteenth of it.
    #[must_use]
    pub fn with_chunk_packets(mut self, packets: u16) -> Self {
        self.chunk_bytes = usize::from(packets.max(1)) * PACKET_BYTES;
        self
    }

    /// PTS of [`RoomTime::ZERO`] in ticks of 90 kHz (default 90 000, one second), modulo 2^33.
    #[must_use]
    pub fn with_first_pts(mut self, ticks: u64) -> Self {
        self.first_pts = ticks & ((1 << 33) - 1);
        self
    }

    /// Makes no [`SegmentInfo::index`](crate::SegmentInfo::index): for who makes no files of the segments. It saves
    /// a look at every byte of length-prefixed pictures.
    #[must_use]
    pub fn without_index(mut self) -> Self {
        self.index = false;
        self
    }
}

/// Why [`SegmenterOptions`] or a [`PlaylistHeader`] cannot be built. The caller has to act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// `{stem}_{UTC17}.ts` would be longer than an object name may be.
    #[error("a stem has at most {limit} bytes, this one {len}")]
    StemTooLong {
        /// Bytes of the stem.
        len: usize,
        /// Most bytes.
        limit: usize,
    },
    /// A control character would break the playlist's lines.
    #[error("playlist texts have no control characters, this one has U+{code:04X} at byte {at}")]
    Control {
        /// Byte offset.
        at: usize,
        /// Code point.
        code: u32,
    },
}

/// Whose recording a playlist is, as its header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistHeader {
    pub(crate) media: PlaylistMedia,
    pub(crate) user: Option<UserId>,
    pub(crate) version: Box<str>,
    pub(crate) date: Box<str>,
}

impl PlaylistHeader {
    /// One user's stream (`MIX-STREAM:0`).
    #[must_use]
    pub fn single(media: MediaId, user: UserId) -> Self {
        let media = match media {
            MediaId::Main => PlaylistMedia::Main,
            MediaId::Aux => PlaylistMedia::Aux,
        };
        Self { media, user: Some(user), version: DEFAULT_VERSION.into(), date: DEFAULT_DATE.into() }
    }

    /// The whole room as one stream (`MIX-STREAM:1`, `MEDIA-ID:mix`, no user).
    #[must_use]
    pub fn mixed() -> Self {
        Self {
            media: PlaylistMedia::Mix,
            user: None,
            version: DEFAULT_VERSION.into(),
            date: DEFAULT_DATE.into(),
        }
    }

    /// Sets `EXT-X-TRTC-VERSION` (short hexadecimal text) and `EXT-X-TRTC-DATE` (`YYYY-MM-DD HH:MM:SS +0000`): of
    /// the recorder, not of the recording.
    ///
    /// # Errors
    /// [`OptionsError::Control`] for a text that would not stay on its line.
    pub fn with_build(mut self, version: &str, date: &str) -> Result<Self, OptionsError> {
        for text in [version, date] {
            let control = |&(_, c): &(usize, char)| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if let Some((at, c)) = text.char_indices().find(control) {
                return Err(OptionsError::Control { at, code: u32::from(c) });
            }
        }
        (self.version, self.date) = (version.into(), date.into());
        Ok(self)
    }
}

/// `EXT-X-TRTC-MEDIA-ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistMedia {
    /// A user's primary stream.
    Main,
    /// A user's substream.
    Aux,
    /// The mixed room.
    Mix,
}

impl PlaylistMedia {
    /// `main`, `aux` or `mix`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Aux => "aux",
            Self::Mix => "mix",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_leaves_room_for_the_longest_name() {
        for (len, fits) in [(1, true), (234, true), (235, false), (255, false)] {
            let stem: ObjectName = "x".repeat(len).parse().unwrap();
            assert_eq!(SegmenterOptions::new(stem, PlaylistHeader::mixed()).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn build_texts_stay_on_their_line() {
        let header = PlaylistHeader::mixed();
        assert_eq!(header.clone().with_build("a\n#EXT", ""), Err(OptionsError::Control { at: 1, code: 10 }));
        assert!(header.with_build("0000000", "2023-11-01 00:00:00 +0000").is_ok());
    }
}
