//! What is logged says nothing that was told in confidence.
//!
//! The only test of its process: a line that another thread meets first, while one scoped subscriber exists, is
//! decided by that thread's subscriber and then missing here.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recorder_callback::{
    AddressPolicy, Deliverer, DelivererOptions, Event, LeaveCode, Payload, QueueOptions, RetryPolicy, Sent,
};
use recorder_types::{RoomId, SdkAppId, UnixMillis};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn neither_key_nor_path_nor_query_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let once = QueueOptions::default().with_retry(RetryPolicy::SERVICE.with_max_age(Duration::ZERO));
    let options = DelivererOptions::default().with_policy(AddressPolicy::AllowPrivate).with_queue(once);
    let event = Event::new(
        UnixMillis::new(1_700_000_000_123).unwrap(),
        &RoomId::integer(1001),
        "recorder".parse().unwrap(),
        "t".parse().unwrap(),
        Payload::RecorderStop(LeaveCode::new(0)),
    );
    let mut debug = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for url in ["http://127.0.0.1:1/canary1?t=canary2", "http://nobody.invalid/canary1?t=canary2"] {
            let key = Some("canary3".parse().unwrap());
            let deliverer =
                Deliverer::new(url.parse().unwrap(), key, SdkAppId::new(1_400_000_001), options).unwrap();
            debug.push_str(&format!("{deliverer:?}"));
            assert_eq!(deliverer.send(event.clone()), Sent::Queued);
            assert_eq!(deliverer.finish().await.given_up, 1);
        }
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("callback given up").count(), 2, "{log}");
    assert!(!log.contains("canary") && !debug.contains("canary"), "{log}{debug}");
}
