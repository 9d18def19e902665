use recorder_callback::CallbackBody;

use super::options::{CallbackSink, RecordingOptions};

/// Hands events to whoever was named: the embedder's function, the customer's server.
pub(super) struct Notifier {
    sink: Option<CallbackSink>,
    #[cfg(feature = "http")]
    deliverer: Option<recorder_callback::Deliverer>,
}

impl Notifier {
    pub(super) fn new(options: &RecordingOptions) -> Self {
        Self {
            sink: options.on_callback.clone(),
            #[cfg(feature = "http")]
            deliverer: options.deliverer.clone(),
        }
    }

    /// Never waits.
    pub(super) fn send(&self, body: &CallbackBody) {
        tracing::debug!(event = body.event().event_type().number(), "event");
        if let Some(sink) = &self.sink {
            sink(body);
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
    }
}
