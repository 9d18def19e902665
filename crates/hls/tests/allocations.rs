//! The segmenter allocates by the access unit and by the chunk, not by the TS packet.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::System;

use bytes::Bytes;
use recorder_hls::{AccessUnit, Action, PlaylistHeader, Segmenter, SegmenterOptions, Streams};
use recorder_testkit::h264::{OpaqueKind, Pictures};
use recorder_types::{H264Config, MediaId, NalFraming, RoomTime, Size, UnixMillis};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Chunks of 16 packets: a unit of 1 MB fills about 340 of them.
const CHUNK_PACKETS: u16 = 16;
const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

/// Pushes one picture and lets go of what it gives; returns the allocations and the bytes of TS.
fn push(segmenter: &mut Segmenter, at: i64, data: Bytes) -> (usize, usize) {
    let at = RoomTime::from_millis(at);
    let region = Region::new(ALLOCATOR);
    let _ = segmenter.push_video(&AccessUnit { pts: at, dts: at, data }).unwrap();
    let mut written = 0;
    while let Some(action) = segmenter.poll() {
        if let Action::SegmentData { data } = action {
            written += data.len();
        }
    }
    let change = region.change();
    (change.allocations + change.reallocations, written)
}

#[test]
fn a_large_access_unit_costs_no_more_allocations_by_its_packets() {
    let pictures = Pictures::new(Size::new(1920, 1080).unwrap()).unwrap();
    let config =
        H264Config { framing: NalFraming::AnnexB, parameter_sets: pictures.parameter_sets().to_vec() };
    let header = PlaylistHeader::single(MediaId::Main, "alice".parse().unwrap());
    let options =
        SegmenterOptions::new("stem".parse().unwrap(), header).unwrap().with_chunk_packets(CHUNK_PACKETS);
    let mut segmenter = Segmenter::new(options);
    segmenter.set_streams(Streams { video: Some(config), audio: None });
    segmenter.set_wall_clock(RoomTime::ZERO, UnixMillis::new(1_700_000_000_000).unwrap());

    // Warm: the queue of actions has its size after the first large one.
    push(&mut segmenter, 0, pictures.opaque(OpaqueKind::Idr, LARGE));
    let (small, _) = push(&mut segmenter, 40, pictures.opaque(OpaqueKind::Other, SMALL));
    let (large, written) = push(&mut segmenter, 80, pictures.opaque(OpaqueKind::Other, LARGE));

    assert!(written > LARGE, "{written} bytes of TS");
    let packets = (LARGE - SMALL) / 184;
    let chunks = packets / usize::from(CHUNK_PACKETS);
    // A chunk in flight has memory of its own: at most its buffer and its shared count.
    assert!(
        large <= small + 2 * (chunks + 1) + 8,
        "{large} against {small}: {packets} packets, {chunks} chunks"
    );
}
