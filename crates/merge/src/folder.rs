use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is in a folder: the texts of its playlists and the sizes of its other files. In order of names, so that the
/// same folder gives the same plan.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The text, or why there is none.
    pub(crate) playlists: BTreeMap<String, Result<String, String>>,
    pub(crate) segments: BTreeMap<String, u64>,
}

impl Folder {
    /// Adds a playlist by its bare name.
    pub fn add_playlist(&mut self, name: &str, text: &str) {
        self.playlists.insert(name.to_owned(), Ok(text.to_owned()));
    }

    /// Adds a playlist that is there, by its bare name, but cannot be read: `why` is told with the plan.
    pub fn add_unreadable(&mut self, name: &str, why: impl std::fmt::Display) {
        self.playlists.insert(name.to_owned(), Err(why.to_string()));
    }

    /// Adds a segment by its bare name, with its size in bytes.
    pub fn add_segment(&mut self, name: &str, bytes: u64) {
        self.segments.insert(name.to_owned(), bytes);
    }
}

/// Which of a user's tracks a playlist holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrackName {
    /// `main_audio`.
    MainAudio,
    /// `main_video`.
    MainVideo,
    /// `aux_video`.
    AuxVideo,
    /// `main_audiovideo`: sound and pictures in one TS.
    MainAudioVideo,
}

/// The encoded user and the track of `<anything>__UserId_s_<uid>__UserId_e_<media>_<type>[_<digits>].m3u8`, also with
/// single underscores; `None` for other names, those of mixed recordings among them.
pub(crate) fn parse_playlist_name(name: &str) -> Option<(&str, TrackName)> {
    let stem = name.strip_suffix(".m3u8")?;
    let (_, rest) = stem.split_once("_UserId_s_")?;
    let (user, rest) = rest.split_once("_UserId_e_")?;
    // The double form leaves one underscore before the marker.
    let user = user.strip_suffix('_').unwrap_or(user);
    let mut parts = rest.split('_');
    let (media, kind, index) = (parts.next()?, parts.next()?, parts.next());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if user.is_empty() || parts.next().is_some() || !index.is_none_or(digits) {
        return None;
    }
    let track = match (media, kind) {
        ("main", "audio") => TrackName::MainAudio,
        ("main", "video") => TrackName::MainVideo,
        ("aux", "video") => TrackName::AuxVideo,
        ("main", "audiovideo") => TrackName::MainAudioVideo,
        _ => return None,
    };
    Some((user, track))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_single_recordings_are_read_and_others_are_not() {
        for (name, want) in [
            ("1_2__UserId_s_YQ..__UserId_e_main_video.m3u8", Some(("YQ..", TrackName::MainVideo))),
            ("ha1_1_2__UserId_s_YQ..__UserId_e_main_audio_2.m3u8", Some(("YQ..", TrackName::MainAudio))),
            ("1_2_UserId_s_YQ.._UserId_e_aux_video.m3u8", Some(("YQ..", TrackName::AuxVideo))),
            ("1_2__UserId_s_YQ..__UserId_e_main_audiovideo.m3u8", Some(("YQ..", TrackName::MainAudioVideo))),
            ("1_2.m3u8", None),
            ("1_2__UserId_s_YQ..__UserId_e_main_video_x.m3u8", None),
            ("1_2__UserId_s_YQ..__UserId_e_aux_audio.m3u8", None),
            ("1_2__UserId_s___UserId_e_main_video.m3u8", None),
            ("1_2__UserId_s_YQ..__UserId_e_main_video.ts", None),
        ] {
            assert_eq!(parse_playlist_name(name), want, "{name}");
        }
    }
}
