//! Any packets at any times become AAC of a bounded length.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recorder_codec::{OpusToAac, OpusToAacOptions, opus_packet_samples};
use recorder_types::{OpusConfig, Sample, Timescale, Timestamp};

#[derive(Arbitrary, Debug)]
struct Packet {
    step: i16,
    leap: Option<i64>,
    data: Vec<u8>,
}

fuzz_target!(|packets: Vec<Packet>| {
    let options = OpusToAacOptions::default();
    let config = OpusConfig { channels: 1, pre_skip: 0 };
    let mut track = OpusToAac::new(config, &options).expect("a mono track");
    let mut at = 0i64;
    let mut frames = 0usize;
    let count = packets.len().min(50);
    for packet in packets.into_iter().take(count) {
        let _ = opus_packet_samples(&packet.data);
        at = packet.leap.unwrap_or_else(|| at.saturating_add(i64::from(packet.step)));
        let sample = Sample::new(Timestamp::new(at, Timescale::HZ_48000), packet.data.into());
        let _ = track.push(&sample);
        frames += std::iter::from_fn(|| track.poll()).count();
    }
    let _ = track.finish();
    frames += std::iter::from_fn(|| track.poll()).count();
    // A push adds at most what may be filled and two packets of 120 ms.
    let most = (options.max_fill.as_millis() as usize * 48 + 2 * 5760) / 1024 + 4;
    assert!(frames <= (count + 1) * most, "{frames} frames of {count} packets");
});
