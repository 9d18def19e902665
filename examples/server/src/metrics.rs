use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use recorder::api::Action;
use recorder::callback::Counts;

/// Upper bounds of the buckets of call times, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 6.0];

/// What was called and how it went. Labels are names of the API and numbers of events, never ids.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// By action (`""` where there is none) and code (`"OK"` for a success).
    calls: BTreeMap<(&'static str, String), u64>,
    times: BTreeMap<&'static str, Times>,
    /// Tasks that started; that left, by code.
    started: u64,
    left: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
struct Times {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

/// What is measured when it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) running: usize,
    pub(crate) participants: usize,
    pub(crate) recorded_bytes: u64,
    pub(crate) undelivered: usize,
    pub(crate) lag: Duration,
    pub(crate) callbacks: Counts,
}

impl Metrics {
    fn with<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A call was answered with `code`, or well.
    pub(crate) fn call(&self, action: Option<Action>, code: Option<&str>, took: Duration) {
        let action = action.map_or("", Action::as_str);
        self.with(|counters| {
            *counters.calls.entry((action, code.unwrap_or("OK").to_owned())).or_default() += 1;
            let times = counters.times.entry(action).or_default();
            for (count, bound) in times.buckets.iter_mut().zip(BUCKETS) {
                *count += u64::from(took.as_secs_f64() <= bound);
            }
            times.count += 1;
            times.sum += took;
        });
    }

    pub(crate) fn task_started(&self) {
        self.with(|counters| counters.started += 1);
    }

    pub(crate) fn task_left(&self, code: u32) {
        self.with(|counters| *counters.left.entry(code).or_default() += 1);
    }

    /// In the text format of Prometheus, version 0.0.4.
    pub(crate) fn to_text(&self, gauges: &Gauges) -> String {
        let mut text = Text::default();
        self.with(|counters| {
            text.family("recorder_calls_total", "counter", "Calls of the API by action and code.");
            for ((action, code), count) in &counters.calls {
                text.sample("recorder_calls_total", &[("action", action), ("code", code)], count);
            }
            text.family("recorder_call_seconds", "histogram", "Time from the head of a call to its answer.");
            for (action, times) in &counters.times {
                let bounds = BUCKETS.iter().map(f64::to_string).zip(times.buckets);
                for (bound, count) in bounds.chain([("+Inf".to_owned(), times.count)]) {
                    let labels = [("action", *action), ("le", bound.as_str())];
                    text.sample("recorder_call_seconds_bucket", &labels, count);
                }
                text.sample("recorder_call_seconds_sum", &[("action", action)], times.sum.as_secs_f64());
                text.sample("recorder_call_seconds_count", &[("action", action)], times.count);
            }
            text.family("recorder_tasks_started_total", "counter", "Tasks whose robot entered its room.");
            text.sample("recorder_tasks_started_total", &[], counters.started);
            text.family(
                "recorder_tasks_left_total",
                "counter",
                "Tasks whose robot left, by the code of event 302.",
            );
            for (code, count) in &counters.left {
                text.sample("recorder_tasks_left_total", &[("code", &code.to_string())], count);
            }
        });
        let callbacks = gauges.callbacks;
        for (name, kind, help, value) in [
            (
                "recorder_tasks_running",
                "gauge",
                "Tasks whose robot is in its room.",
                gauges.running.to_string(),
            ),
            (
                "recorder_participants",
                "gauge",
                "Streams that /control feeds.",
                gauges.participants.to_string(),
            ),
            (
                "recorder_recorded_bytes_total",
                "counter",
                "Bytes of closed segments.",
                gauges.recorded_bytes.to_string(),
            ),
            (
                "recorder_undelivered_files",
                "gauge",
                "Files and playlists on their way to buckets.",
                gauges.undelivered.to_string(),
            ),
            (
                "recorder_upload_lag_seconds",
                "gauge",
                "How long the oldest undelivered file has waited.",
                gauges.lag.as_secs_f64().to_string(),
            ),
            (
                "recorder_callbacks_delivered_total",
                "counter",
                "Callbacks answered with 200.",
                callbacks.delivered.to_string(),
            ),
            (
                "recorder_callbacks_lost_total",
                "counter",
                "Callbacks given up or refused.",
                (callbacks.given_up + callbacks.refused).to_string(),
            ),
            ("recorder_callbacks_pending", "gauge", "Callbacks that wait.", callbacks.pending.to_string()),
        ] {
            text.family(name, kind, help);
            text.sample(name, &[], value);
        }
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Values of labels are texts of the program: nothing in them needs escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}\n"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}\n", labels.join(",")));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.write_fmt(line).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_action_and_code_and_times_fall_into_buckets() {
        let metrics = Metrics::default();
        let create = Some(Action::CreateCloudRecording);
        metrics.call(create, None, Duration::from_millis(2));
        metrics.call(create, None, Duration::from_millis(30));
        metrics.call(create, Some("InternalError"), Duration::from_secs(7));
        metrics.call(None, Some("InvalidAction"), Duration::ZERO);
        metrics.task_started();
        metrics.task_left(99);
        let text =
            metrics.to_text(&Gauges { running: 3, lag: Duration::from_millis(1500), ..Gauges::default() });
        for line in [
            r#"recorder_calls_total{action="CreateCloudRecording",code="OK"} 2"#,
            r#"recorder_calls_total{action="CreateCloudRecording",code="InternalError"} 1"#,
            r#"recorder_calls_total{action="",code="InvalidAction"} 1"#,
            r#"recorder_call_seconds_bucket{action="CreateCloudRecording",le="0.001"} 0"#,
            r#"recorder_call_seconds_bucket{action="CreateCloudRecording",le="0.0025"} 1"#,
            r#"recorder_call_seconds_bucket{action="CreateCloudRecording",le="0.05"} 2"#,
            r#"recorder_call_seconds_bucket{action="CreateCloudRecording",le="6"} 2"#,
            r#"recorder_call_seconds_bucket{action="CreateCloudRecording",le="+Inf"} 3"#,
            r#"recorder_call_seconds_sum{action="CreateCloudRecording"} 7.032"#,
            "recorder_tasks_started_total 1",
            r#"recorder_tasks_left_total{code="99"} 1"#,
            "recorder_tasks_running 3",
            "recorder_upload_lag_seconds 1.5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        // Each family is announced once, before its samples.
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }
}
