//! A machine that is too slow for a mix: what it leaves out, and how that is told.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use recorder::codec::{
    AudioDecoder, AudioEncoder, CodecError, Codecs, EncodedPicture, H264EncoderOptions, I420, PictureKind,
    SoftwareCodecs, VideoDecoder, VideoEncoder,
};
use recorder::mixer::Shedding;
use recorder::storage::Bucket;
use recorder::types::{H264Config, RoomTime, Size, Timestamp, TrackConfig};
use recorder::{MixOptions, RoomEvent, TrackOrigin};
use support::media::{camera, microphone};
use support::shell::{PATIENCE, live, recorder};
use support::{MAIN, id, options_with};

/// Counts and gauges by name and label; a gauge is the bits of its number.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Seen {
    fn at(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
        Arc::clone(self.0.lock().unwrap().entry(format!("{}{labels}", key.name())).or_default())
    }

    fn count(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |value| value.load(Ordering::SeqCst))
    }
}

impl metrics::Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.at(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.at(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// An encoder that takes a fifth of a second for each picture, of which there are 15 in a second.
struct Slow(Box<dyn VideoEncoder>);

impl VideoEncoder for Slow {
    fn encode(
        &mut self,
        picture: &I420<'_>,
        pts: Timestamp,
        kind: PictureKind,
        out: &mut Vec<EncodedPicture>,
    ) -> Result<(), CodecError> {
        std::thread::sleep(Duration::from_millis(200));
        self.0.encode(picture, pts, kind, out)
    }

    fn finish(&mut self, out: &mut Vec<EncodedPicture>) -> Result<(), CodecError> {
        self.0.finish(out)
    }
}

struct SlowCodecs;

impl Codecs for SlowCodecs {
    fn video_decoder(&self, config: &H264Config) -> Result<Box<dyn VideoDecoder>, CodecError> {
        SoftwareCodecs.video_decoder(config)
    }

    fn audio_decoder(&self, config: &TrackConfig) -> Result<Box<dyn AudioDecoder>, CodecError> {
        SoftwareCodecs.audio_decoder(config)
    }

    fn video_encoder(&self, options: &H264EncoderOptions) -> Result<Box<dyn VideoEncoder>, CodecError> {
        Ok(Box::new(Slow(SoftwareCodecs.video_encoder(options)?)))
    }

    fn audio_encoder(&self, rate: u32, channels: u8, bits: u32) -> Result<Box<dyn AudioEncoder>, CodecError> {
        SoftwareCodecs.audio_encoder(rate, channels, bits)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_encoder_makes_the_mix_leave_work_out_and_that_is_told() {
    let seen = Seen::default();
    metrics::set_global_recorder(seen.clone()).ok().unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut mix = MixOptions::default();
    mix.video = mix.video.with_size(Size::new(64, 64).unwrap());
    mix.codecs = Arc::new(SlowCodecs);
    mix.shed_after = Some(RoomTime::from_millis(500));
    let task = options_with(|options| options.mix = Some(mix));
    let (told, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let options = live(task, Bucket::memory()).with_on_shedding(move |now| told.send(now).unwrap());
    let recording = recorder(root.path()).start(options).unwrap();

    let (user, began) = (id("alice"), Instant::now());
    recording.event(RoomEvent::Enter { user: user.clone() }).unwrap();
    let mut sources = [microphone(), camera()];
    for source in &sources {
        let (config, origin) = (source.config(), TrackOrigin::FirstArrival);
        recording.event(RoomEvent::Publish { user: user.clone(), media: MAIN, config, origin }).unwrap();
    }
    // Somebody who is not there: counted as refused.
    let stranger = RoomEvent::Sample {
        user: id("bob"),
        media: MAIN,
        kind: sources[0].kind(),
        sample: microphone().next(),
    };
    recording.event(stranger).unwrap();
    let mut taken = Vec::new();
    while taken.last() != Some(&Shedding::QuarterRate) {
        assert!(began.elapsed() < PATIENCE, "{taken:?}");
        for source in &mut sources {
            while source.next_at().unwrap()
                <= RoomTime::from_nanos(began.elapsed().as_nanos().try_into().unwrap())
            {
                let (kind, sample) = (source.kind(), source.next());
                recording.event(RoomEvent::Sample { user: user.clone(), media: MAIN, kind, sample }).unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Ok(step) = steps.try_recv() {
            taken.push(step);
        }
    }
    assert_eq!(taken, [Shedding::Tiles, Shedding::HalfRate, Shedding::QuarterRate]);
    assert_eq!(f64::from_bits(seen.count("recorder_mixes_shedding")), 1.0);
    recording.stop().await.unwrap();
    let outcome = recording.ended().await.unwrap();
    recording.closed().await;

    // Nothing stopped, and what was left out is what is told.
    assert_eq!((outcome.kept, outcome.status.files.len()), (0, 1));
    let report = outcome.status.mix.unwrap();
    assert!(report.stats.shed > 0 && report.stats.pictures > 0, "{report:?}");
    for (name, count) in [
        ("recorder_mix_shedding_steps_total tiles", 1),
        ("recorder_mix_shedding_steps_total half_rate", 1),
        ("recorder_mix_shedding_steps_total quarter_rate", 1),
        ("recorder_mix_pictures_total shed", report.stats.shed),
        ("recorder_mix_pictures_total made", report.stats.pictures),
        ("recorder_mix_pictures_total held", report.stats.held),
        ("recorder_refused_inputs_total unknown", outcome.status.refused.unknown),
    ] {
        assert_eq!(seen.count(name), count, "{name}");
    }
    assert_eq!(outcome.status.refused.unknown, 1);
    for gauge in ["recorder_mixes_shedding", "recorder_undelivered_files"] {
        assert_eq!(f64::from_bits(seen.count(gauge)), 0.0, "{gauge}");
    }
}
