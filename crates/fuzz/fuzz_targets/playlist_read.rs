//! Any text as a playlist.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_hls::read_playlist::MediaPlaylist;

fuzz_target!(|text: &str| {
    if let Ok(playlist) = text.parse::<MediaPlaylist>() {
        assert!(playlist.segments.len() <= text.lines().count());
    }
});
