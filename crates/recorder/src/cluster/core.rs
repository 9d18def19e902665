use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use recorder_naming::HaRun;
use recorder_types::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the store holds of a task. The revision of this record is the fencing token: whoever changes it has seen the
/// state before, or is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskLease {
    /// The task, as the journal tells it.
    pub(super) task: Value,
    /// What whoever created it says to whoever records it.
    pub(super) note: Value,
    /// The prefix under which it is recorded; 0 for none.
    pub(super) run: u8,
    pub(super) state: LeaseState,
    pub(super) holder: Option<Holder>,
    /// Somebody has asked for the end.
    pub(super) stop: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LeaseState {
    /// Nobody has recorded it yet.
    Waiting,
    /// It is recorded, or is to be by the next who takes it.
    Recording,
    /// Nothing more is recorded; its end is still to be told.
    Ending,
    /// Its end is told, its files are on their way.
    Ended,
}

/// A process that records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) worker: String,
    /// Of one life of the process: another one does not hold what this one held.
    pub(super) session: u64,
}

/// The times of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// How long a renewal lasts, counted by the holder from the moment at which it was sent.
    pub(super) lease: Duration,
    /// Time between two renewals.
    pub(super) renew: Duration,
    /// How much longer than the lease others wait, counted from the moment at which they saw the last renewal.
    pub(super) grace: Duration,
    /// How long the next in the order of free capacity waits for the one before.
    pub(super) step: Duration,
    /// Time before a write that was refused, or got lost, is tried again.
    pub(super) retry: Duration,
}

impl Timing {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            lease,
            renew: lease / 4,
            grace: lease / 5,
            step: Duration::from_millis(300),
            retry: Duration::from_millis(300),
        }
    }
}

/// How a task comes to this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Nobody has recorded it yet.
    New,
    /// It goes on under the prefix.
    GoesOn(HaRun),
    /// Its end is told, and nothing more is recorded.
    Ends,
}

/// What the shell does next, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Replace the record if its revision is still `expected` (0: there is none), then tell [`ClusterCore::written`].
    Write { task: TaskId, expected: u64, lease: TaskLease },
    /// Remove the record if its revision is still `expected`, then tell [`ClusterCore::written`].
    Remove { task: TaskId, expected: u64 },
    /// Read the record, then tell [`ClusterCore::read`].
    Read { task: TaskId },
    /// Take the task up; it may be written until the instant `until`.
    Start { task: TaskId, lease: Box<TaskLease>, how: Beginning, until: Duration },
    /// What is recorded of the task may be written until the instant.
    Extend { task: TaskId, until: Duration },
    /// Somebody asks for the end of the recording.
    Stop { task: TaskId },
    /// The task is another's: write nothing more.
    Revoke { task: TaskId },
    /// Deliver what a run before has left in the spool of this machine; the task goes on elsewhere, or not.
    Deliver { task: TaskId, elsewhere: bool },
    /// Tell the others that this worker is there.
    Announce { capacity: usize },
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there, with this revision.
    Stored(u64),
    /// The record had changed.
    Conflict,
    /// Nobody knows: there was no answer.
    Unknown,
}

/// What a run that died has left in the spool of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    run: u8,
    stopped: bool,
    /// The record was read since this was found.
    checked: bool,
    delivering: bool,
}

#[derive(Debug)]
struct Task {
    revision: u64,
    /// `None`: removed, or not seen yet.
    lease: Option<TaskLease>,
    /// When this revision was seen first.
    since: Duration,
    mine: Option<Mine>,
    writing: Option<Writing>,
    /// No write before this instant.
    not_before: Duration,
    left: Option<Left>,
    /// This machine cannot record it.
    unable: bool,
}

#[derive(Debug)]
struct Writing {
    at: Duration,
    /// `None`: it is removed.
    lease: Option<TaskLease>,
}

#[derive(Debug)]
struct Mine {
    renew_at: Duration,
    started: bool,
    stop_asked: bool,
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The end is told.
    Stopped,
    /// Nothing is left to do.
    Closed,
    /// Another worker is to go on.
    Released,
}

#[derive(Debug)]
struct Other {
    revision: u64,
    capacity: usize,
    since: Duration,
}

/// Which tasks one worker records, by what it sees of the records of all. No I/O and no clock: instants are durations
/// since any zero, on a clock that does not jump.
///
/// A holder counts its lease from when it *sent* the last renewal that was stored; the others count theirs, which is
/// longer, from when they *saw* it. So the holder has stopped before another may begin, without any clock in common,
/// and where nobody sees anything nobody takes anything.
#[derive(Debug)]
pub(super) struct ClusterCore {
    me: Holder,
    capacity: usize,
    timing: Timing,
    connected: bool,
    /// It was connected before.
    begun: bool,
    /// Nobody's task is taken before this instant.
    patient_until: Duration,
    leaving: bool,
    announce_at: Duration,
    tasks: BTreeMap<TaskId, Task>,
    others: BTreeMap<String, Other>,
    actions: VecDeque<Action>,
}

impl ClusterCore {
    pub(super) fn new(me: Holder, capacity: usize, timing: Timing) -> Self {
        Self {
            me,
            capacity,
            timing,
            connected: false,
            begun: false,
            patient_until: Duration::ZERO,
            leaving: false,
            announce_at: Duration::ZERO,
            tasks: BTreeMap::new(),
            others: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do, oldest first.
    pub(super) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The store answers (again). Nobody could renew while it did not: every lease is seen as new, and where it comes back
    /// its holder has the time of another one to come back as well.
    pub(super) fn connected(&mut self, now: Duration) {
        self.connected = true;
        if std::mem::replace(&mut self.begun, true) {
            self.patient_until = now + self.timing.lease * 2 + self.timing.grace;
        }
        self.announce_at = now;
        self.tasks.values_mut().for_each(|task| task.since = task.since.max(now));
        self.others.values_mut().for_each(|other| other.since = other.since.max(now));
    }

    pub(super) fn disconnected(&mut self) {
        self.connected = false;
    }

    /// A worker is there, with room for so many tasks.
    pub(super) fn announced(&mut self, now: Duration, worker: &str, revision: u64, capacity: usize) {
        if worker != self.me.worker {
            let other =
                self.others.entry(worker.into()).or_insert(Other { revision: 0, capacity, since: now });
            if revision > other.revision {
                *other = Other { revision, capacity, since: now };
            }
        }
    }

    /// A worker has left.
    pub(super) fn went(&mut self, worker: &str) {
        self.others.remove(worker);
    }

    /// The record of a task is this, `None` if it was removed. What is older than the newest seen is passed over.
    pub(super) fn observed(&mut self, now: Duration, id: &TaskId, revision: u64, lease: Option<TaskLease>) {
        if lease.is_none() && !self.tasks.contains_key(id) {
            return;
        }
        let task = self.task(now, id);
        if revision > task.revision {
            task.revision = revision;
            task.since = now;
            task.lease = lease;
            self.settle(now, id);
        }
    }

    /// What [`Action::Read`] found: a revision and what it is (`None`: removed), or nothing.
    pub(super) fn read(&mut self, now: Duration, id: &TaskId, found: Option<(u64, Option<TaskLease>)>) {
        match found {
            Some((revision, lease)) => self.observed(now, id, revision, lease),
            None if self.tasks.contains_key(id) => {
                self.task(now, id).lease = None;
                self.settle(now, id);
            }
            None => {}
        }
        if let Some(left) = self.tasks.get_mut(id).and_then(|task| task.left.as_mut()) {
            left.checked = true;
        }
        self.forget(id);
    }

    /// How [`Action::Write`] or [`Action::Remove`] went.
    pub(super) fn written(&mut self, now: Duration, id: &TaskId, how: Written) {
        let Timing { lease: lasts, renew, retry, .. } = self.timing;
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Some(writing) = task.writing.take() else { return };
        let Written::Stored(revision) = how else {
            task.not_before = now + retry;
            self.actions.push_back(Action::Read { task: id.clone() });
            return;
        };
        if writing.lease.is_none() {
            task.lease = None;
        } else if revision > task.revision {
            task.revision = revision;
            task.since = now;
            task.lease = writing.lease;
        }
        let Some(lease) = task.lease.as_ref().filter(|lease| lease.holder.as_ref() == Some(&self.me)) else {
            // Removed, or released.
            task.mine = None;
            self.forget(id);
            return;
        };
        let mine =
            task.mine.get_or_insert(Mine { renew_at: now, started: false, stop_asked: false, over: None });
        if !mine.started && self.leaving {
            mine.over = Some(Over::Released);
            mine.renew_at = now;
            return;
        }
        // What has happened since it was sent is written at once.
        if mine.over.is_none() || (mine.over == Some(Over::Stopped) && lease.state == LeaseState::Ended) {
            mine.renew_at = writing.at + renew;
        }
        let until = writing.at + lasts;
        if std::mem::replace(&mut mine.started, true) {
            self.actions.push_back(Action::Extend { task: id.clone(), until });
        } else {
            let how = match (lease.state, HaRun::new(lease.run)) {
                (LeaseState::Recording, None) => Beginning::New,
                (LeaseState::Recording, Some(run)) => Beginning::GoesOn(run),
                _ => Beginning::Ends,
            };
            let lease = Box::new(lease.clone());
            task.left = None;
            self.actions.push_back(Action::Start { task: id.clone(), lease, how, until });
        }
        self.settle(now, id);
    }

    /// The recording has told its end, and its files are on their way.
    pub(super) fn stopped(&mut self, now: Duration, id: &TaskId) {
        self.over(now, id, Over::Stopped);
    }

    /// Nothing of the recording is left to do.
    pub(super) fn closed(&mut self, now: Duration, id: &TaskId) {
        self.over(now, id, Over::Closed);
    }

    /// This machine could not begin to record the task: another one is to try.
    pub(super) fn unable(&mut self, now: Duration, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.unable = true;
            self.over(now, id, Over::Released);
        }
    }

    /// A run that died has left something in the spool of this machine.
    pub(super) fn left(&mut self, now: Duration, id: &TaskId, run: Option<HaRun>, stopped: bool) {
        let left = Left { run: run.map_or(0, HaRun::number), stopped, checked: false, delivering: false };
        let task = self.task(now, id);
        task.left = Some(left);
        task.not_before = now;
    }

    /// What was left is delivered.
    pub(super) fn delivered(&mut self, id: &TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.left = None;
        }
        self.forget(id);
    }

    /// Takes no more tasks, and gives away those that it has; [`Self::is_idle`] tells when that is done.
    pub(super) fn release(&mut self, now: Duration) {
        self.leaving = true;
        let held: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| task.mine.is_some()).map(|(id, _)| id.clone()).collect();
        for id in held {
            if self.tasks.get(&id).and_then(|task| task.mine.as_ref()).is_some_and(|mine| mine.over.is_none())
            {
                self.actions.push_back(Action::Revoke { task: id.clone() });
                self.over(now, &id, Over::Released);
            }
        }
    }

    /// Whether this worker holds nothing and has nothing left to deliver.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.values().all(|task| task.mine.is_none() && task.left.is_none() && task.writing.is_none())
    }

    /// Lets time pass: renews, takes what is to be taken, asks after what is left.
    pub(super) fn tick(&mut self, now: Duration) {
        if !self.connected {
            return;
        }
        if now >= self.announce_at && !self.leaving {
            self.announce_at = now + self.timing.renew;
            self.actions.push_back(Action::Announce { capacity: self.capacity });
        }
        let mut loads = self.loads(now);
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.look_at(now, &id, &mut loads);
        }
    }

    fn look_at(&mut self, now: Duration, id: &TaskId, loads: &mut BTreeMap<String, Load>) {
        let timing = self.timing;
        let Some(task) = self.tasks.get_mut(id) else { return };
        if task.writing.is_some() || now < task.not_before {
            return;
        }
        if let Some(mine) = &task.mine {
            if now >= mine.renew_at
                && let Some(lease) = &task.lease
            {
                let mut lease = lease.clone();
                match mine.over {
                    None => {}
                    Some(Over::Stopped) => lease.state = LeaseState::Ended,
                    Some(Over::Released) => {
                        lease.holder = None;
                        if task.unable && lease.run == 0 {
                            lease.state = LeaseState::Waiting; // nobody has recorded it yet
                        }
                    }
                    Some(Over::Closed) => return self.write(now, id, None),
                }
                self.write(now, id, Some(lease));
            }
            return;
        }
        if let Some(left) = &mut task.left {
            if left.delivering {
                return;
            }
            if !left.checked {
                task.not_before = now + timing.retry;
                self.actions.push_back(Action::Read { task: id.clone() });
                return;
            }
            let latest = task.lease.as_ref().filter(|lease| lease.run == left.run);
            let was_mine = |lease: &&TaskLease| {
                let by_me = lease.holder.as_ref().is_some_and(|holder| holder.worker == self.me.worker);
                lease.state == LeaseState::Recording && by_me
            };
            match latest.filter(was_mine) {
                // The spool is here and nobody writes to it: that process is dead.
                Some(lease) if !self.leaving => {
                    let next = taken(lease, &self.me);
                    self.write(now, id, Some(next));
                }
                _ => {
                    let ended = match latest {
                        Some(lease) => lease.state == LeaseState::Ended,
                        None => task.lease.is_none(),
                    };
                    let elsewhere = !(left.stopped && ended);
                    left.delivering = true;
                    self.actions.push_back(Action::Deliver { task: id.clone(), elsewhere });
                }
            }
            return;
        }
        let Some(lease) = &task.lease else { return };
        if task.unable || self.leaving {
            return;
        }
        let free_at = match lease.holder {
            None => task.since,
            Some(_) => (task.since + timing.lease + timing.grace).max(self.patient_until),
        };
        if now < free_at {
            return;
        }
        if lease.state == LeaseState::Ended {
            // Its files are in the spool of a machine that may come back; there is nothing to go on with.
            return self.write(now, id, None);
        }
        let Some(rank) = rank(loads, &self.me.worker) else { return };
        if now >= free_at + timing.step * rank {
            let next = taken(lease, &self.me);
            self.write(now, id, Some(next));
            add(loads, |worker| *worker == self.me.worker);
        } else if let Some(freest) = order(loads).first().map(|worker| (*worker).clone()) {
            add(loads, |worker| *worker == freest);
        }
    }

    fn write(&mut self, now: Duration, id: &TaskId, lease: Option<TaskLease>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.writing = Some(Writing { at: now, lease: lease.clone() });
        let (task, expected) = (id.clone(), task.revision);
        self.actions.push_back(match lease {
            Some(lease) => Action::Write { task, expected, lease },
            None => Action::Remove { task, expected },
        });
    }

    fn over(&mut self, now: Duration, id: &TaskId, over: Over) {
        if let Some(mine) = self.tasks.get_mut(id).and_then(|task| task.mine.as_mut())
            && mine.over != Some(Over::Closed)
        {
            mine.over = Some(over);
            mine.renew_at = now;
        }
    }

    /// Draws the consequences of a new record.
    fn settle(&mut self, now: Duration, id: &TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let held = task.lease.as_ref().is_some_and(|lease| lease.holder.as_ref() == Some(&self.me));
        match &mut task.mine {
            Some(mine) if !held => {
                if mine.started {
                    self.actions.push_back(Action::Revoke { task: id.clone() });
                }
                task.mine = None;
            }
            Some(mine) => {
                let asked = task.lease.as_ref().is_some_and(|lease| lease.stop);
                if asked && mine.started && !std::mem::replace(&mut mine.stop_asked, true) {
                    self.actions.push_back(Action::Stop { task: id.clone() });
                }
            }
            // A write that was given up was stored after all; it counts from the next renewal on.
            None if held && !task.unable && task.writing.is_none() => {
                task.mine = Some(Mine { renew_at: now, started: false, stop_asked: false, over: None });
            }
            None => {}
        }
        self.forget(id);
    }

    fn task(&mut self, now: Duration, id: &TaskId) -> &mut Task {
        self.tasks.entry(id.clone()).or_insert_with(|| Task {
            revision: 0,
            lease: None,
            since: now,
            mine: None,
            writing: None,
            not_before: Duration::ZERO,
            left: None,
            unable: false,
        })
    }

    /// Nothing is kept of a task that is gone.
    fn forget(&mut self, id: &TaskId) {
        let gone = |task: &Task| {
            task.lease.is_none() && task.mine.is_none() && task.left.is_none() && task.writing.is_none()
        };
        if self.tasks.get(id).is_some_and(gone) {
            self.tasks.remove(id);
        }
    }

    /// Who is there, and how much each has to do.
    fn loads(&self, now: Duration) -> BTreeMap<String, Load> {
        let alive = |other: &&Other| now < other.since + self.timing.lease;
        let mut loads: BTreeMap<String, Load> = self
            .others
            .iter()
            .filter(|(_, other)| alive(other))
            .map(|(name, other)| (name.clone(), Load { capacity: other.capacity, tasks: 0 }))
            .collect();
        loads.insert(self.me.worker.clone(), Load { capacity: self.capacity, tasks: 0 });
        for task in self.tasks.values() {
            let lease =
                task.writing.as_ref().and_then(|writing| writing.lease.as_ref()).or(task.lease.as_ref());
            if let Some(TaskLease { holder: Some(holder), state, .. }) = lease
                && *state != LeaseState::Ended
            {
                add(&mut loads, |worker| *worker == holder.worker);
            }
        }
        loads
    }
}

#[derive(Debug)]
struct Load {
    capacity: usize,
    tasks: usize,
}

fn add(loads: &mut BTreeMap<String, Load>, is_meant: impl Fn(&String) -> bool) {
    loads.iter_mut().filter(|(worker, _)| is_meant(worker)).for_each(|(_, load)| load.tasks += 1);
}

/// Those who have room, the freest first.
fn order(loads: &BTreeMap<String, Load>) -> Vec<&String> {
    let mut free: Vec<(usize, &String)> = loads
        .iter()
        .map(|(worker, load)| (load.capacity.saturating_sub(load.tasks), worker))
        .filter(|(free, _)| *free > 0)
        .collect();
    free.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    free.into_iter().map(|(_, worker)| worker).collect()
}

fn rank(loads: &BTreeMap<String, Load>, me: &str) -> Option<u32> {
    let rank = order(loads).iter().position(|worker| *worker == me)?;
    u32::try_from(rank).ok()
}

/// The record of a task that somebody takes.
fn taken(lease: &TaskLease, by: &Holder) -> TaskLease {
    let (run, state) = match (lease.state, HaRun::after(HaRun::new(lease.run))) {
        (LeaseState::Waiting, _) => (lease.run, LeaseState::Recording),
        (LeaseState::Recording, Some(next)) if !lease.stop => (next.number(), LeaseState::Recording),
        (LeaseState::Recording, _) => (lease.run, LeaseState::Ending),
        (state, _) => (lease.run, state),
    };
    TaskLease { run, state, holder: Some(by.clone()), ..lease.clone() }
}

#[cfg(test)]
mod tests;
