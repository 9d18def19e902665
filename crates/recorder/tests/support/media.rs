use bytes::Bytes;
use recorder::types::aac::{AudioSpecificConfig, FRAME_SAMPLES};
use recorder::types::{
    AacConfig, H264Config, MediaKind, NalFraming, RoomTime, Sample, Size, Timescale, Timestamp, TrackConfig,
};
use recorder_testkit::{aac, h264};

/// A stream that a simulated user sends: the same samples on every machine.
#[derive(Clone, Debug)]
pub enum Source {
    Camera(Camera),
    Microphone(Microphone),
    /// Samples made beforehand, each with the time at which it arrives.
    Prepared(Prepared),
}

/// Ten small grey pictures a second, a key frame every two seconds.
#[derive(Clone, Debug)]
pub struct Camera {
    pictures: h264::Pictures,
    number: i64,
    first_ticks: i64,
    /// Key frames are at the numbers that leave this rest modulo 20.
    phase: i64,
    /// Shown all the time; if `None`, another grey from each key frame on.
    grey: Option<u8>,
}

/// Mono silence at 48 kHz.
#[derive(Clone, Debug)]
pub struct Microphone {
    number: i64,
    first_ticks: i64,
}

#[derive(Clone, Debug)]
pub struct Prepared {
    pub config: TrackConfig,
    pub samples: Vec<(RoomTime, Sample)>,
    pub at: usize,
}

pub const PICTURES_A_SECOND: i64 = 10;
pub const GOP: i64 = 20;

pub fn aac_config() -> AudioSpecificConfig {
    AudioSpecificConfig::new(48_000, 1).unwrap()
}

pub fn h264_config() -> TrackConfig {
    TrackConfig::H264(H264Config { framing: NalFraming::AnnexB, parameter_sets: Vec::new() })
}

pub fn camera() -> Source {
    camera_of(64, 48)
}

pub fn camera_of(width: u32, height: u32) -> Source {
    let pictures = h264::Pictures::new(Size::new(width, height).unwrap()).unwrap();
    Source::Camera(Camera { pictures, number: 0, first_ticks: 5_000_000, phase: 0, grey: None })
}

/// A camera of 320x180 that shows one grey.
pub fn camera_showing(grey: u8) -> Source {
    let Source::Camera(camera) = camera_of(320, 180) else { unreachable!() };
    Source::Camera(Camera { grey: Some(grey), ..camera })
}

/// A camera that was on before the recorder saw it: `pictures` pictures come before its next key frame.
pub fn camera_in_mid_stream(pictures: i64) -> Source {
    let Source::Camera(camera) = camera() else { unreachable!() };
    Source::Camera(Camera { phase: pictures, ..camera })
}

pub fn microphone() -> Source {
    Source::Microphone(Microphone { number: 0, first_ticks: 777 })
}

pub fn prepared(config: TrackConfig, samples: Vec<(RoomTime, Sample)>) -> Source {
    Source::Prepared(Prepared { config, samples, at: 0 })
}

impl Source {
    pub fn config(&self) -> TrackConfig {
        match self {
            Self::Camera(_) => h264_config(),
            Self::Microphone(_) => TrackConfig::Aac(AacConfig::Raw(aac_config())),
            Self::Prepared(prepared) => prepared.config.clone(),
        }
    }

    pub fn kind(&self) -> MediaKind {
        match self.config() {
            TrackConfig::H264(_) => MediaKind::Video,
            _ => MediaKind::Audio,
        }
    }

    /// When the next sample arrives, counted from the start of the source; `None` after the last.
    pub fn next_at(&self) -> Option<RoomTime> {
        match self {
            Self::Camera(camera) => {
                Some(RoomTime::from_nanos(camera.number * 1_000_000_000 / PICTURES_A_SECOND))
            }
            Self::Microphone(microphone) => {
                Timestamp::new(microphone.number * i64::from(FRAME_SAMPLES), Timescale::HZ_48000)
                    .to_room_time()
            }
            Self::Prepared(prepared) => prepared.samples.get(prepared.at).map(|(at, _)| *at),
        }
    }

    /// The sample that arrives then.
    pub fn next(&mut self) -> Sample {
        match self {
            Self::Camera(camera) => {
                let ticks = camera.first_ticks + camera.number * 90_000 / PICTURES_A_SECOND;
                let key = (camera.number - camera.phase).rem_euclid(GOP) == 0;
                let grey = camera.grey.unwrap_or(u8::try_from(64 + camera.number / GOP * 16 % 128).unwrap());
                let data = if key { camera.pictures.idr(grey) } else { camera.pictures.repeat() };
                camera.number += 1;
                Sample::new(Timestamp::new(ticks, Timescale::HZ_90000), data)
            }
            Self::Microphone(microphone) => {
                let ticks = microphone.first_ticks + microphone.number * i64::from(FRAME_SAMPLES);
                microphone.number += 1;
                Sample::new(Timestamp::new(ticks, Timescale::HZ_48000), silence())
            }
            Self::Prepared(prepared) => {
                prepared.at += 1;
                prepared.samples[prepared.at - 1].1.clone()
            }
        }
    }
}

pub fn silence() -> Bytes {
    aac::silent_frame(aac::Layout::Mono)
}
