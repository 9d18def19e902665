//! What all recordings of the process do, told to the `metrics` facade. There are no ids in it: they would be without
//! number; the log has them.

use std::time::{Duration, Instant};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use recorder_storage::Backlog;

use crate::task::{Refused, TaskCore};

const REFUSED: &str = "recorder_refused_inputs_total";
const UNFOLLOWED: &str = "recorder_unfollowed_events_total";
const QUEUE_FULL: &str = "recorder_queue_full_total";
const UNDELIVERED: &str = "recorder_undelivered_files";
const LAG: &str = "recorder_upload_lag_seconds";
#[cfg(feature = "mix")]
const PICTURES: &str = "recorder_mix_pictures_total";
#[cfg(feature = "mix")]
const SHEDDING: &str = "recorder_mixes_shedding";
#[cfg(feature = "mix")]
const SHEDDING_STEPS: &str = "recorder_mix_shedding_steps_total";

/// How often the lag of one recording is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Says what the metrics are; to be called when there may be somebody who listens.
pub(super) fn describe() {
    describe_counter!(
        REFUSED,
        "Samples and events that were not recorded, by `reason`, as `Status::refused` counts them."
    );
    describe_counter!(UNFOLLOWED, "Events that a task could not follow; the log says why.");
    describe_counter!(QUEUE_FULL, "Events that were lost because a recording's queue was full.");
    describe_gauge!(UNDELIVERED, "Files and playlists on their way to buckets.");
    describe_histogram!(
        LAG,
        Unit::Seconds,
        "How long the oldest undelivered file of a recording has waited, looked at once a second for each."
    );
    #[cfg(feature = "mix")]
    {
        describe_counter!(
            PICTURES,
            "Pictures of mixes by `what`: made, passed on, shed (left out), and of sources held back (held)."
        );
        describe_gauge!(SHEDDING, "Mixes that leave work out now.");
        describe_counter!(
            SHEDDING_STEPS,
            "Steps in which mixes left out more work or took it up again, by where `to`."
        );
    }
}

/// An event was lost because the queue was full.
pub(super) fn queue_is_full() {
    counter!(QUEUE_FULL).increment(1);
}

/// A mix leaves out something else.
#[cfg(feature = "mix")]
pub(super) fn shedding(now: recorder_mixer::Shedding) {
    use recorder_mixer::Shedding;
    let to = match now {
        Shedding::Nothing => "nothing",
        Shedding::Tiles => "tiles",
        Shedding::HalfRate => "half_rate",
        Shedding::QuarterRate => "quarter_rate",
    };
    counter!(SHEDDING_STEPS, "to" => to).increment(1);
}

/// What one recording has told so far.
#[derive(Debug, Default)]
pub(super) struct Meters {
    refused: Refused,
    unfollowed: u64,
    undelivered: usize,
    looked: Option<Instant>,
    #[cfg(feature = "mix")]
    mixed: recorder_mixer::MixStats,
    #[cfg(feature = "mix")]
    is_shedding: bool,
}

impl Meters {
    /// Tells what has changed.
    pub(super) fn tell(&mut self, core: &TaskCore, unfollowed: u64, backlog: Backlog) {
        let (now, before) = (core.refused(), std::mem::replace(&mut self.refused, core.refused()));
        for (reason, now, before) in [
            ("without_place", now.without_place, before.without_place),
            ("unwanted", now.unwanted, before.unwanted),
            ("unknown", now.unknown, before.unknown),
            ("without_time", now.without_time, before.without_time),
        ] {
            if now > before {
                counter!(REFUSED, "reason" => reason).increment(now - before);
            }
        }
        if unfollowed > self.unfollowed {
            counter!(UNFOLLOWED).increment(unfollowed - self.unfollowed);
            self.unfollowed = unfollowed;
        }
        self.waiting(backlog.files);
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            histogram!(LAG).record(backlog.lag);
            self.looked = Some(Instant::now());
        }
        #[cfg(feature = "mix")]
        if let Some(report) = core.mix_report() {
            let (now, before) = (report.stats, std::mem::replace(&mut self.mixed, report.stats));
            for (what, now, before) in [
                ("made", now.pictures, before.pictures),
                ("passed", now.passed, before.passed),
                ("shed", now.shed, before.shed),
                ("held", now.held, before.held),
            ] {
                if now > before {
                    counter!(PICTURES, "what" => what).increment(now - before);
                }
            }
            self.sheds(report.shedding != recorder_mixer::Shedding::Nothing);
        }
    }

    /// So many files wait now.
    fn waiting(&mut self, files: usize) {
        let before = std::mem::replace(&mut self.undelivered, files);
        // More files than an f64 counts exactly do not fit on a disk.
        if files > before {
            gauge!(UNDELIVERED).increment((files - before) as f64);
        } else if files < before {
            gauge!(UNDELIVERED).decrement((before - files) as f64);
        }
    }

    #[cfg(feature = "mix")]
    fn sheds(&mut self, is_shedding: bool) {
        match (self.is_shedding, is_shedding) {
            (false, true) => gauge!(SHEDDING).increment(1.0),
            (true, false) => gauge!(SHEDDING).decrement(1.0),
            _ => {}
        }
        self.is_shedding = is_shedding;
    }
}

/// A recording that is over, or whose thread died, has nothing on its way any more.
impl Drop for Meters {
    fn drop(&mut self) {
        self.waiting(0);
        #[cfg(feature = "mix")]
        self.sheds(false);
    }
}
