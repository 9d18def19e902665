/// Samples at 48 kHz in one millisecond.
const MILLI: u32 = 48;

/// Samples per channel at 48 kHz that an Opus packet holds: 120 (2.5 ms) to 5760 (120 ms).
///
/// Reads the table-of-contents byte and, for packets of any number of frames, the count after it. `None` for an
/// empty packet, a count that is missing or zero, and a duration over 120 ms. The frames themselves are not looked at.
///
/// # Specification
/// RFC 6716 §3.1 (configurations, table 2), §3.2.5 and requirements R1 and R5 of §3.4.
#[must_use]
pub fn opus_packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame = match (config, config % 4) {
        (..=11, 0) => 10 * MILLI,
        (..=11, 1) => 20 * MILLI,
        (..=11, 2) => 40 * MILLI,
        (..=11, _) => 60 * MILLI,
        (12..=15, 0 | 2) => 10 * MILLI,
        (12..=15, _) => 20 * MILLI,
        (_, 0) => 5 * MILLI / 2,
        (_, 1) => 5 * MILLI,
        (_, 2) => 10 * MILLI,
        (_, _) => 20 * MILLI,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=120 * MILLI).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_table() {
        for (config, tenths_of_ms) in [
            (0, 100),
            (1, 200),
            (2, 400),
            (3, 600),
            (4, 100),
            (7, 600),
            (8, 100),
            (11, 600),
            (12, 100),
            (13, 200),
            (14, 100),
            (15, 200),
            (16, 25),
            (17, 50),
            (18, 100),
            (19, 200),
            (28, 25),
            (29, 50),
            (30, 100),
            (31, 200),
        ] {
            let toc = config << 3;
            let frame = tenths_of_ms * 48 / 10;
            assert_eq!(opus_packet_samples(&[toc]), Some(frame), "config {config}");
            assert_eq!(
                opus_packet_samples(&[toc | 1]),
                Some(frame * 2).filter(|&n| n <= 5760),
                "config {config}"
            );
            assert_eq!(opus_packet_samples(&[toc | 4 | 2]), Some(frame * 2), "config {config}");
            for count in 0..=63u8 {
                let total = frame * u32::from(count);
                let want = Some(total).filter(|n| (1..=5760).contains(n));
                assert_eq!(
                    opus_packet_samples(&[toc | 3, count | 0xC0]),
                    want,
                    "config {config} count {count}"
                );
            }
        }
        assert_eq!(opus_packet_samples(&[]), None);
        assert_eq!(opus_packet_samples(&[3]), None);
    }
}
