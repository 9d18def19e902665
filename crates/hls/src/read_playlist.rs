//! Media playlists read back.
