//! MPEG-TS and HLS for recordings: a segmenter that needs no I/O, a demuxer, and the playlist's text both ways.

mod demux;
mod read_playlist;
