//! Any bytes as a transport stream: bounded output, and the same however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recorder_hls::demux::{Demuxer, Event};

fn demux<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut demuxer = Demuxer::default();
    for piece in pieces {
        demuxer.push(piece);
    }
    demuxer.finish();
    std::iter::from_fn(|| demuxer.poll()).collect()
}

fuzz_target!(|data: &[u8]| {
    let whole = demux([data].into_iter());
    let media: usize =
        whole.iter().map(|event| if let Event::Unit(unit) = event { unit.data.len() } else { 0 }).sum();
    assert!(media <= data.len(), "{media} bytes of media in {}", data.len());
    let cut = usize::from(data.first().copied().unwrap_or(1)).max(1);
    assert!(whole == demux(data.chunks(cut)), "cut into pieces of {cut} bytes it is another stream");
});
