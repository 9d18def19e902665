use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recorder_callback::{
    CallbackBody, Event, LeaveCode, Payload, StartStatus, UploadError, UploadStatus, VodStopStatus,
};
use recorder_types::{TaskId, UnixMillis};

use super::options::{CallbackSink, RecordingOptions};
use crate::task::{Delivery, TaskOptions};

/// Hands events to whoever was named: the embedder's function, the customer's server. Clones are handles to the same.
#[derive(Clone)]
pub(super) struct Notifier {
    sink: Option<CallbackSink>,
    #[cfg(feature = "http")]
    deliverer: Option<recorder_callback::Deliverer>,
    told: Arc<Told>,
}

/// What can be told once only.
#[derive(Default)]
struct Told {
    stop: AtomicBool,
    uploads: AtomicBool,
}

impl Notifier {
    pub(super) fn new(options: &RecordingOptions) -> Self {
        Self {
            sink: options.on_callback.clone(),
            #[cfg(feature = "http")]
            deliverer: options.deliverer.clone(),
            told: Arc::default(),
        }
    }

    /// Ends when every event of `task` that was sent so far is delivered or given up; `None` where that is so as soon as
    /// it is sent.
    pub(super) fn told(&self, task: &TaskId) -> Option<impl Future<Output = ()> + Send + use<>> {
        #[cfg(feature = "http")]
        return self.deliverer.clone().map(|deliverer| {
            let task = task.clone();
            async move { deliverer.flush_task(&task).await }
        });
        #[cfg(not(feature = "http"))]
        {
            let _ = task;
            None::<std::future::Ready<()>>
        }
    }

    /// Never waits.
    pub(super) fn send(&self, body: &CallbackBody) {
        tracing::debug!(event = body.event().event_type().number(), "event");
        match body.event().payload() {
            Payload::RecorderStop(_) => self.told.stop.store(true, Ordering::Relaxed),
            Payload::UploadStop(_) | Payload::VodStop(_) => self.told.uploads.store(true, Ordering::Relaxed),
            _ => {}
        }
        #[cfg(feature = "http")]
        if let Some(deliverer) = &self.deliverer
            && deliverer.send_body(body) == recorder_callback::Sent::Refused
        {
            tracing::warn!(
                event = body.event().event_type().number(),
                "callback queue is full, event dropped"
            );
        }
        if let Some(sink) = &self.sink {
            sink(body);
        }
    }

    /// Event 301 with status 1.
    pub(super) fn failed_start(&self, task: &TaskOptions, at: UnixMillis) {
        self.event(task, at, Payload::RecorderStart(StartStatus::FAILED));
    }

    /// The task's thread panicked: the customer is told, as far as it was not told before, that it is over and that files
    /// are left behind.
    pub(super) fn panicked(&self, task: &TaskOptions, at: UnixMillis) {
        let error = UploadError { code: "RecorderFailed".into(), message: "the recorder failed".into() };
        let stop = (!self.told.stop.load(Ordering::Relaxed))
            .then_some(Payload::RecorderStop(LeaveCode::REMOVED_BY_SERVER));
        let uploads = (!self.told.uploads.load(Ordering::Relaxed)).then_some(match &task.delivery {
            Delivery::Bucket => Payload::UploadStop(UploadStatus::SOME_KEPT_BACK),
            Delivery::Library { .. } => Payload::VodStop(VodStopStatus::ABNORMAL),
        });
        for payload in [Some(Payload::UploadError(error)), stop, uploads].into_iter().flatten() {
            // What panicked may have been the embedder's function.
            let told = catch_unwind(AssertUnwindSafe(|| self.event(task, at, payload)));
            if told.is_err() {
                tracing::error!("the function for callbacks panicked");
            }
        }
    }

    fn event(&self, task: &TaskOptions, at: UnixMillis, payload: Payload) {
        let event = Event::new(at, &task.room, task.robot.clone(), task.task.clone(), payload);
        self.send(&CallbackBody::new(event, at));
    }
}
