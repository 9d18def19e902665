//! MPEG-TS and HLS for recordings: a segmenter that needs no I/O, a demuxer, and the playlist's text both ways.

pub mod demux;
pub mod read_playlist;
