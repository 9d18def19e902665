use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ogg::{Packet, PacketReader, reading::OggReadError};
use recorder_types::{OpusConfig, Sample, Timescale, Timestamp};

use crate::error::{OggFault, Warnings};
use crate::{InputError, Warning};

/// Bytes that one packet may take in the file. RFC 6716 packets have at most 61 440 bytes; comment headers with a
/// picture are the largest that occur.
const MAX_PACKET_BYTES: usize = 16 << 20;

/// The granule position of a page on which no packet ends (RFC 3533 §6).
const NO_GRANULE: u64 = u64::MAX;

/// Packets of an Ogg Opus file (RFC 7845), timed by granule position on the 48 kHz clock.
///
/// Time zero is the first sample that is heard in a file whose granule positions begin at 0: the pre-skip lies before
/// it, so the first packet is at `-pre_skip`. Pages that are missing leave a gap.
pub(crate) struct OggOpus {
    path: PathBuf,
    reader: PacketReader<Budget<BufReader<File>>>,
    serial: u32,
    config: OpusConfig,
    /// Granule position at the start of the next packet; `None` before the first page.
    position: Option<i64>,
    ready: VecDeque<Sample>,
    is_finished: bool,
    pub(crate) warnings: Warnings,
}

impl OggOpus {
    pub(crate) fn open(path: &Path, file: File) -> Result<Self, InputError> {
        let reader = PacketReader::new(Budget::new(BufReader::with_capacity(256 << 10, file)));
        let mut this = Self {
            path: path.to_owned(),
            reader,
            serial: 0,
            config: OpusConfig { channels: 1, pre_skip: 0 },
            position: None,
            ready: VecDeque::new(),
            is_finished: false,
            warnings: Warnings::default(),
        };
        let head = this.packet()?.ok_or_else(|| this.fault(OggFault::NoPage))?;
        this.serial = head.stream_serial();
        this.config = parse_head(&head.data).map_err(|fault| this.fault(fault))?;
        let tags = this.packet()?.ok_or_else(|| this.fault(OggFault::NoTags))?;
        if tags.stream_serial() != this.serial {
            return Err(this.fault(OggFault::Multiplexed));
        }
        if !tags.data.starts_with(b"OpusTags") {
            return Err(this.fault(OggFault::NoTags));
        }
        Ok(this)
    }

    pub(crate) const fn config(&self) -> OpusConfig {
        self.config
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, InputError> {
        while self.ready.is_empty() && !self.is_finished {
            self.read_page()?;
        }
        Ok(self.ready.pop_front())
    }

    /// Reads the packets that end on one page: only together with their durations does its granule position say
    /// when the first of them begins.
    fn read_page(&mut self) -> Result<(), InputError> {
        let (mut packets, mut samples) = (Vec::new(), 0i64);
        let granule = loop {
            let Some(packet) = self.packet()? else {
                self.is_finished = true;
                break None;
            };
            if packet.stream_serial() != self.serial {
                return Err(self.fault(match packet.first_in_stream() && self.position.is_some() {
                    true => OggFault::Chained,
                    false => OggFault::Multiplexed,
                }));
            }
            let (is_last, is_end, granule) =
                (packet.last_in_page(), packet.last_in_stream(), packet.absgp_page());
            match packet_samples(&packet.data) {
                Some(duration) => {
                    packets.push((samples, packet.data));
                    samples += i64::from(duration);
                }
                None => self.warnings.push(Warning::BadOpusPacket),
            }
            if is_last {
                break (granule != NO_GRANULE).then_some((granule, is_end));
            }
        };
        let start = self.page_start(granule, samples);
        self.position = Some(start.saturating_add(samples));
        let pre_skip = i64::from(self.config.pre_skip);
        self.ready.extend(packets.into_iter().map(|(offset, data)| {
            let ticks = start.saturating_add(offset).saturating_sub(pre_skip);
            Sample::new(Timestamp::new(ticks, Timescale::HZ_48000), data.into())
        }));
        Ok(())
    }

    /// Granule position at the start of the page that ends at `granule` and holds `samples`.
    fn page_start(&mut self, granule: Option<(u64, bool)>, samples: i64) -> i64 {
        let expected = self.position.unwrap_or(0);
        let told = granule.and_then(|(granule, is_end)| {
            let start = i64::try_from(granule).ok()?.checked_sub(samples)?;
            // The last page may end within its last packet (§4.4), which makes the start look earlier.
            (!is_end || start > expected).then_some(start)
        });
        match told {
            Some(start) if start > expected => {
                if self.position.is_some() {
                    self.warnings.push(Warning::Gap { samples: start.abs_diff(expected) });
                }
                start
            }
            _ => expected,
        }
    }

    /// The next packet of any stream. Damaged pages are passed over; what cannot be read on is the end.
    fn packet(&mut self) -> Result<Option<Packet>, InputError> {
        loop {
            self.reader.get_mut().refill();
            match self.reader.read_packet() {
                Ok(packet) => return Ok(packet),
                Err(OggReadError::ReadError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let at = self.reader.get_mut().stream_position();
                    let at = at.map_err(|source| InputError::Io { path: self.path.clone(), source })?;
                    self.warnings.push(Warning::TruncatedEnd { at });
                    return Ok(None);
                }
                Err(OggReadError::ReadError(error)) if self.reader.get_ref().left == 0 => {
                    drop(error); // the budget's own
                    let at = self.reader.get_mut().stream_position().unwrap_or_default();
                    return Err(InputError::TooLarge {
                        path: self.path.clone(),
                        at,
                        limit: MAX_PACKET_BYTES,
                    });
                }
                Err(OggReadError::ReadError(source)) => {
                    return Err(InputError::Io { path: self.path.clone(), source });
                }
                Err(OggReadError::NoCapturePatternFound) => {
                    self.warnings.push(Warning::DamagedPage);
                    return Ok(None);
                }
                Err(_) => self.warnings.push(Warning::DamagedPage),
            }
        }
    }

    fn fault(&self, fault: OggFault) -> InputError {
        InputError::Ogg { path: self.path.clone(), fault }
    }
}

/// `OpusHead`, RFC 7845 §5.1: any minor version of 0, mapping family 0.
fn parse_head(data: &[u8]) -> Result<OpusConfig, OggFault> {
    let Some(&[version, channels, skip_low, skip_high, _, _, _, _, _, _, family, ..]) =
        data.strip_prefix(b"OpusHead")
    else {
        return Err(OggFault::NotOpus);
    };
    if version >> 4 != 0 || family != 0 || !matches!(channels, 1 | 2) {
        return Err(OggFault::Head);
    }
    Ok(OpusConfig { channels, pre_skip: u16::from_le_bytes([skip_low, skip_high]) })
}

/// Samples at 48 kHz of a packet: frames times frame size (RFC 6716 §3.1, §3.2); `None` if there are none or more
/// than 120 ms.
fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=5760).contains(samples))
}

/// Ends with an error once more than [`MAX_PACKET_BYTES`] are read without a packet coming out.
struct Budget<R> {
    inner: R,
    left: usize,
}

impl<R> Budget<R> {
    const fn new(inner: R) -> Self {
        Self { inner, left: MAX_PACKET_BYTES }
    }

    const fn refill(&mut self) {
        self.left = MAX_PACKET_BYTES;
    }
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let len = buf.len().min(self.left);
        let read = self.inner.read(&mut buf[..len])?;
        self.left -= read;
        Ok(read)
    }
}

impl<R: Seek> Seek for Budget<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_tell_their_length() {
        for (packet, samples) in [
            (&[0x78, 0][..], Some(960)), // config 15, one frame of 20 ms
            (&[0xFC], Some(960)),
            (&[0xFD, 0], Some(1920)),
            (&[0x18, 0], Some(2880)),
            (&[0x1B, 2, 0], Some(5760)),
            (&[0x1B, 3, 0], None),
            (&[0xFF, 0], None),
            (&[0xFF], None),
            (&[], None),
        ] {
            assert_eq!(packet_samples(packet), samples, "{packet:02x?}");
        }
    }

    #[test]
    fn heads_that_are_not_read_are_told_apart() {
        let head = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
            change(&mut head);
            parse_head(&head)
        };
        assert_eq!(head(&|_| ()), Ok(OpusConfig { channels: 2, pre_skip: 312 }));
        assert_eq!(head(&|h| h[8] = 0x10), Err(OggFault::Head));
        assert_eq!(head(&|h| h[9] = 3), Err(OggFault::Head));
        assert_eq!(head(&|h| h[18] = 1), Err(OggFault::Head));
        assert_eq!(head(&|h| h.truncate(18)), Err(OggFault::NotOpus));
        assert_eq!(head(&|h| h[0] = b'o'), Err(OggFault::NotOpus));
    }
}
