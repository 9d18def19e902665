//! Workers that see each other through a store only, under a simulated clock: answers and messages that are late or lost,
//! workers that are cut off, stopped and killed.

use std::collections::{BTreeMap, BTreeSet};

use recorder_testkit::hostile::Random;

use super::*;

const TICK: u64 = 100;
const LEASE: Duration = Duration::from_secs(4);
/// How long a write is waited for.
const PATIENCE: u64 = 1000;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn id(number: usize) -> TaskId {
    format!("task{number:02}").parse().unwrap()
}

fn waiting() -> TaskLease {
    TaskLease {
        task: Value::Null,
        note: Value::Null,
        run: 0,
        state: LeaseState::Waiting,
        holder: None,
        stop: false,
    }
}

/// What comes to a worker, or happens to everybody.
#[derive(Clone, Debug)]
enum Event {
    Tick,
    Apply {
        worker: usize,
        task: TaskId,
        number: u64,
        expected: u64,
        lease: Option<TaskLease>,
        answered: bool,
    },
    Written {
        worker: usize,
        session: u64,
        task: TaskId,
        number: u64,
        how: Written,
    },
    Seen {
        worker: usize,
        session: u64,
        task: TaskId,
        revision: u64,
        lease: Option<TaskLease>,
    },
    Answer {
        worker: usize,
        session: u64,
        task: TaskId,
    },
    Announced {
        worker: usize,
        by: usize,
        revision: u64,
    },
    Linked {
        worker: usize,
        session: u64,
        linked: bool,
    },
    Left {
        worker: usize,
        session: u64,
        task: TaskId,
    },
    Delivered {
        worker: usize,
        session: u64,
        task: TaskId,
    },
    Closed {
        worker: usize,
        session: u64,
        task: TaskId,
    },
}

impl Event {
    /// To whom it comes, and to which life of theirs.
    fn to(&self) -> Option<(usize, Option<u64>)> {
        match self {
            Self::Written { worker, session, .. }
            | Self::Seen { worker, session, .. }
            | Self::Answer { worker, session, .. }
            | Self::Linked { worker, session, .. }
            | Self::Left { worker, session, .. }
            | Self::Delivered { worker, session, .. }
            | Self::Closed { worker, session, .. } => Some((*worker, Some(*session))),
            Self::Announced { worker, .. } => Some((*worker, None)),
            Self::Tick | Self::Apply { .. } => None,
        }
    }
}

struct Worker {
    core: Option<ClusterCore>,
    session: u64,
    linked: bool,
    /// It was told that it is cut off.
    told_cut: bool,
    stopped_until: u64,
    /// What it records: under which prefix, and until when it may write.
    records: BTreeMap<TaskId, (u8, u64)>,
    spool: BTreeMap<TaskId, u8>,
    /// The write that is on its way, by task.
    writes: BTreeMap<TaskId, u64>,
    capacity: usize,
}

struct Sim {
    now: u64,
    random: Random,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    store: BTreeMap<TaskId, (u64, Option<TaskLease>)>,
    revision: u64,
    workers: Vec<Worker>,
    /// Every name that was begun: nobody may begin it again.
    begun: BTreeSet<(TaskId, u8)>,
    starts: Vec<(u64, usize, TaskId, Beginning)>,
    ended: BTreeSet<TaskId>,
    hostile: bool,
    sessions: u64,
}

impl Sim {
    fn new(seed: u64, capacities: &[usize]) -> Self {
        let mut sim = Self {
            now: 0,
            random: Random::new(seed),
            events: BTreeMap::new(),
            next: 0,
            store: BTreeMap::new(),
            revision: 0,
            workers: Vec::new(),
            begun: BTreeSet::new(),
            starts: Vec::new(),
            ended: BTreeSet::new(),
            hostile: false,
            sessions: 0,
        };
        for capacity in capacities {
            sim.workers.push(Worker {
                core: None,
                session: 0,
                linked: true,
                told_cut: false,
                stopped_until: 0,
                records: BTreeMap::new(),
                spool: BTreeMap::new(),
                writes: BTreeMap::new(),
                capacity: *capacity,
            });
        }
        for worker in 0..capacities.len() {
            sim.begin(worker);
        }
        sim.push(0, Event::Tick);
        sim
    }

    fn below(&mut self, below: u64) -> u64 {
        self.random.bits() % below
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.hostile && self.below(100) < percent
    }

    fn delay(&mut self) -> u64 {
        let slow = if self.chance(10) { 900 } else { 30 };
        1 + self.below(slow)
    }

    fn push(&mut self, after: u64, event: Event) {
        self.next += 1;
        self.events.insert((self.now + after, self.next), event);
    }

    /// A new life of a worker.
    fn begin(&mut self, index: usize) {
        self.sessions += 1;
        let session = self.sessions;
        let now = at(self.now);
        let worker = &mut self.workers[index];
        let me = Holder { worker: format!("w{index}"), session };
        let mut core = ClusterCore::new(me, worker.capacity, Timing::new(LEASE));
        for (task, run) in &worker.spool {
            core.left(now, task, HaRun::new(*run), false);
        }
        worker.core = Some(core);
        worker.session = session;
        (worker.linked, worker.told_cut, worker.stopped_until) = (true, false, 0);
        self.push(1, Event::Linked { worker: index, session, linked: true });
    }

    fn kill(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.core = None;
        worker.writes.clear();
        for (task, (run, _)) in std::mem::take(&mut worker.records) {
            worker.spool.insert(task, run);
        }
    }

    fn cut(&mut self, index: usize) {
        let after = self.below(4000);
        let worker = &mut self.workers[index];
        worker.linked = false;
        let session = worker.session;
        self.push(after, Event::Linked { worker: index, session, linked: false });
    }

    fn heal(&mut self, index: usize) {
        self.workers[index].linked = true;
        let (session, after) = (self.workers[index].session, self.delay());
        self.push(after, Event::Linked { worker: index, session, linked: true });
    }

    fn put(&mut self, task: &TaskId, lease: Option<TaskLease>) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        self.store.insert(task.clone(), (revision, lease.clone()));
        for worker in 0..self.workers.len() {
            if self.workers[worker].linked {
                let (after, session) = (self.delay(), self.workers[worker].session);
                let (task, lease) = (task.clone(), lease.clone());
                self.push(after, Event::Seen { worker, session, task, revision, lease });
            }
        }
        revision
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            if let Some((worker, session)) = event.to() {
                let to = &self.workers[worker];
                if to.core.is_none() || session.is_some_and(|session| session != to.session) {
                    continue;
                }
                if to.stopped_until > time {
                    let after = to.stopped_until - time;
                    self.push(after, event);
                    continue;
                }
            }
            self.happens(event);
        }
        self.now = end;
    }

    fn happens(&mut self, event: Event) {
        let now = at(self.now);
        match event {
            Event::Tick => {
                for worker in 0..self.workers.len() {
                    if self.workers[worker].stopped_until <= self.now
                        && let Some(core) = &mut self.workers[worker].core
                    {
                        core.tick(now);
                        self.drain(worker);
                    }
                }
                self.push(TICK, Event::Tick);
            }
            Event::Apply { worker, task, number, expected, lease, answered } => {
                let current = self.store.get(&task).map_or(0, |(revision, _)| *revision);
                let how = if current == expected {
                    if lease.is_none() {
                        self.ended.insert(task.clone());
                    }
                    Written::Stored(self.put(&task, lease))
                } else {
                    Written::Conflict
                };
                if answered && self.workers[worker].writes.get(&task) == Some(&number) {
                    let (after, session) = (self.delay(), self.workers[worker].session);
                    self.push(after, Event::Written { worker, session, task, number, how });
                }
            }
            Event::Written { worker, task, number, how, .. } => {
                let to = &mut self.workers[worker];
                // The first of answer and timeout counts.
                if to.writes.get(&task) == Some(&number) {
                    to.writes.remove(&task);
                    to.core.as_mut().unwrap().written(now, &task, how);
                    self.drain(worker);
                }
            }
            Event::Seen { worker, task, revision, lease, .. } => {
                self.workers[worker].core.as_mut().unwrap().observed(now, &task, revision, lease);
                self.drain(worker);
            }
            Event::Answer { worker, task, .. } => {
                if self.workers[worker].linked {
                    let found = self.store.get(&task).cloned();
                    self.workers[worker].core.as_mut().unwrap().read(now, &task, found);
                    self.drain(worker);
                }
            }
            Event::Announced { worker, by, revision } => {
                let capacity = self.workers[by].capacity;
                let core = self.workers[worker].core.as_mut().unwrap();
                core.announced(now, &format!("w{by}"), revision, capacity);
            }
            Event::Linked { worker, session, linked } => {
                let to = &mut self.workers[worker];
                if to.linked != linked {
                    return;
                }
                let core = to.core.as_mut().unwrap();
                if !linked {
                    to.told_cut = true;
                    core.disconnected();
                    return;
                }
                // A cut that nobody noticed is none: messages come late.
                if std::mem::take(&mut to.told_cut) || self.now < 2 || !core.connected {
                    core.connected(now);
                }
                for (task, (revision, lease)) in self.store.clone() {
                    let after = self.delay();
                    self.push(after, Event::Seen { worker, session, task, revision, lease });
                }
            }
            Event::Left { worker, task, .. } => {
                let to = &mut self.workers[worker];
                let run = to.spool.get(&task).copied().unwrap();
                to.core.as_mut().unwrap().left(now, &task, HaRun::new(run), false);
            }
            Event::Delivered { worker, task, .. } => {
                let to = &mut self.workers[worker];
                to.spool.remove(&task);
                to.core.as_mut().unwrap().delivered(&task);
            }
            Event::Closed { worker, task, .. } => {
                let to = &mut self.workers[worker];
                if to.records.remove(&task).is_some() {
                    to.core.as_mut().unwrap().closed(now, &task);
                }
            }
        }
    }

    fn drain(&mut self, index: usize) {
        while let Some(action) = self.workers[index].core.as_mut().and_then(ClusterCore::poll) {
            let session = self.workers[index].session;
            match action {
                Action::Write { task, expected, lease } => self.request(index, task, expected, Some(lease)),
                Action::Remove { task, expected } => self.request(index, task, expected, None),
                Action::Read { task } => {
                    if self.workers[index].linked {
                        let after = self.delay();
                        self.push(after, Event::Answer { worker: index, session, task });
                    }
                }
                Action::Start { task, lease, how, until } => self.starts(index, task, &lease, how, until),
                Action::Extend { task, until } => {
                    let until = u64::try_from(until.as_millis()).unwrap();
                    self.assert_alone(index, &task, until);
                    if let Some(record) = self.workers[index].records.get_mut(&task) {
                        record.1 = record.1.max(until);
                    }
                }
                Action::Stop { task } => {
                    self.workers[index].core.as_mut().unwrap().stopped(at(self.now), &task);
                    let after = 200 + self.below(2000);
                    self.push(after, Event::Closed { worker: index, session, task });
                }
                Action::Revoke { task } => {
                    if let Some((run, _)) = self.workers[index].records.remove(&task) {
                        self.workers[index].spool.insert(task.clone(), run);
                        let after = self.delay();
                        self.push(after, Event::Left { worker: index, session, task });
                    }
                }
                Action::Deliver { task, .. } => {
                    let after = 50 + self.below(1500);
                    self.push(after, Event::Delivered { worker: index, session, task });
                }
                Action::Announce { .. } => {
                    self.revision += 1;
                    let revision = self.revision;
                    for worker in (0..self.workers.len()).filter(|worker| *worker != index) {
                        if self.workers[worker].linked && self.workers[index].linked {
                            let after = self.delay();
                            self.push(after, Event::Announced { worker, by: index, revision });
                        }
                    }
                }
            }
        }
    }

    /// A write on its way: it may be lost, its answer may be, and it may come long after nobody waits for it any more.
    fn request(&mut self, worker: usize, task: TaskId, expected: u64, lease: Option<TaskLease>) {
        self.next += 1;
        let (number, session) = (self.next, self.workers[worker].session);
        self.workers[worker].writes.insert(task.clone(), number);
        let gone = Event::Written { worker, session, task: task.clone(), number, how: Written::Unknown };
        self.push(PATIENCE, gone);
        let (lost, answered) = (self.chance(3), !self.chance(3));
        let linked = self.workers[worker].linked;
        let after = if !linked || self.chance(3) { 500 + self.below(9000) } else { self.delay() };
        if !lost && (linked || self.chance(50)) {
            let answered = answered && linked;
            self.push(after, Event::Apply { worker, task, number, expected, lease, answered });
        }
    }

    fn starts(&mut self, index: usize, task: TaskId, lease: &TaskLease, how: Beginning, until: Duration) {
        let until = u64::try_from(until.as_millis()).unwrap();
        self.assert_alone(index, &task, until);
        self.starts.push((self.now, index, task.clone(), how));
        self.workers[index].spool.remove(&task);
        self.workers[index].records.insert(task.clone(), (lease.run, until));
        if how == Beginning::Ends {
            let session = self.workers[index].session;
            self.workers[index].core.as_mut().unwrap().stopped(at(self.now), &task);
            self.push(300, Event::Closed { worker: index, session, task });
        } else {
            let fresh = self.begun.insert((task.clone(), lease.run));
            assert!(fresh, "{} ms: run {} of {task} was begun before", self.now, lease.run);
        }
    }

    /// Whoever may write until an instant is the only one: everybody else's time is over.
    fn assert_alone(&self, index: usize, task: &TaskId, until: u64) {
        if until <= self.now {
            return;
        }
        for (other, worker) in self.workers.iter().enumerate().filter(|(other, _)| *other != index) {
            if let Some((run, theirs)) = worker.records.get(task) {
                assert!(
                    *theirs <= self.now,
                    "{} ms: w{index} writes to {task}, and w{other} may (run {run}) until {theirs}",
                    self.now
                );
            }
        }
    }

    fn holder(&self, task: &TaskId) -> Option<usize> {
        let holds = |worker: &Worker| {
            worker.core.is_some() && worker.records.get(task).is_some_and(|(_, until)| *until > self.now)
        };
        self.workers.iter().position(holds)
    }

    fn settle(&mut self) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].core.is_none() {
                self.begin(worker);
            }
            if !self.workers[worker].linked {
                self.heal(worker);
            }
        }
        self.hostile = false;
    }
}

fn seeds(all: u64) -> u64 {
    std::env::var("RECORDER_SEEDS").ok().map_or(all, |text| text.parse().expect("RECORDER_SEEDS is a number"))
}

#[test]
fn no_two_workers_may_write_at_a_time_and_nothing_is_forgotten() {
    let (mut taken_over, mut ends) = (0, 0);
    for seed in 0..seeds(500) {
        let run = std::panic::catch_unwind(|| hostile(seed));
        let (more, over) = run.unwrap_or_else(|panic| {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic)
        });
        taken_over += more;
        ends += over;
    }
    eprintln!("{taken_over} times taken over, {ends} times ended after the third");
    assert!(taken_over > 0 && ends > 0);
}

/// A minute of faults, then peace; gives how often something was taken over, and how often ended by who did not record.
fn hostile(seed: u64) -> (usize, usize) {
    let mut sim = Sim::new(seed, &[8, 8, 8]);
    sim.run_until(1000);
    for task in 0..4 {
        sim.put(&id(task), Some(waiting()));
    }
    sim.hostile = true;
    while sim.now < 60_000 {
        let next = sim.now + 200 + sim.below(3000);
        sim.run_until(next);
        let worker = usize::try_from(sim.below(3)).unwrap();
        let (alive, linked) = (sim.workers[worker].core.is_some(), sim.workers[worker].linked);
        match sim.below(8) {
            0 if alive => sim.kill(worker),
            0 | 1 if !alive => sim.begin(worker),
            1 | 2 if linked && alive => sim.cut(worker),
            2 | 3 if !linked && alive => sim.heal(worker),
            4 if alive => {
                let pause = 1 + sim.below(9000);
                sim.workers[worker].stopped_until = sim.now + pause;
            }
            5 if sim.chance(10) => {
                let task = id(usize::try_from(sim.below(4)).unwrap());
                if let Some((_, Some(lease))) = sim.store.get(&task).cloned() {
                    sim.put(&task, Some(TaskLease { stop: true, ..lease }));
                }
            }
            _ => {}
        }
    }
    sim.settle();
    // Whoever is stopped still goes on by then.
    let calm = sim.now + 40_000;
    sim.run_until(calm);
    for (task, (_, lease)) in &sim.store {
        match lease {
            None => assert!(sim.holder(task).is_none()),
            Some(lease) => {
                let holder = sim.holder(task);
                assert!(
                    holder.is_some() && lease.state == LeaseState::Recording,
                    "{task}: {lease:?} {holder:?}"
                );
                assert!(!lease.stop, "{task} was to end: {lease:?}");
            }
        }
    }
    for worker in &sim.workers {
        assert!(worker.spool.is_empty(), "left behind: {:?}", worker.spool);
    }
    let again = sim.starts.iter().filter(|start| matches!(start.3, Beginning::GoesOn(_))).count();
    let over = sim.starts.iter().filter(|start| start.3 == Beginning::Ends).count();
    (again, over)
}

#[test]
fn a_dead_holders_task_goes_on_elsewhere_within_ten_seconds() {
    for seed in 0..seeds(200) {
        let mut sim = Sim::new(seed, &[4, 4, 4]);
        sim.run_until(500);
        sim.put(&id(0), Some(waiting()));
        let later = 5000 + sim.below(3000);
        sim.run_until(later);
        let holder = sim.holder(&id(0)).expect("somebody has it");
        sim.kill(holder);
        sim.run_until(later + 10_000);
        let next = sim.holder(&id(0)).unwrap_or_else(|| panic!("seed {seed}: nobody has taken it"));
        assert_ne!(next, holder);
        assert_eq!(sim.starts.last().map(|start| start.3), Some(Beginning::GoesOn(HaRun::First)));
        // The dead one comes back: it delivers what it has, and goes on with nothing.
        sim.begin(holder);
        sim.run_until(later + 20_000);
        assert_eq!((sim.holder(&id(0)), sim.starts.len()), (Some(next), 2));
        assert!(sim.workers[holder].spool.is_empty());
    }
}

#[test]
fn a_process_that_comes_back_at_once_goes_on_with_its_own_spool() {
    let mut sim = Sim::new(1, &[4, 4]);
    sim.run_until(500);
    sim.put(&id(0), Some(waiting()));
    sim.run_until(5000);
    let holder = sim.holder(&id(0)).unwrap();
    sim.kill(holder);
    sim.begin(holder);
    sim.run_until(6500);
    assert_eq!(sim.holder(&id(0)), Some(holder));
    assert_eq!(sim.starts.last().map(|start| start.3), Some(Beginning::GoesOn(HaRun::First)));
}

#[test]
fn while_the_store_is_away_nothing_is_taken_and_whoever_records_goes_on() {
    let mut sim = Sim::new(3, &[4, 4, 4]);
    sim.run_until(500);
    for task in 0..6 {
        sim.put(&id(task), Some(waiting()));
    }
    sim.run_until(5000);
    assert_eq!(sim.starts.len(), 6);
    (0..3).for_each(|worker| sim.cut(worker));
    sim.run_until(100_000);
    assert!((0..6).all(|task| sim.holder(&id(task)).is_none()), "nobody may write");
    (0..3).for_each(|worker| sim.heal(worker));
    sim.run_until(115_000);
    assert!((0..6).all(|task| sim.holder(&id(task)).is_some()));
    assert_eq!(sim.starts.len(), 6, "everybody has kept what they had");
}

#[test]
fn after_the_third_a_task_is_ended_by_who_takes_it() {
    let mut sim = Sim::new(5, &[4, 4]);
    sim.run_until(500);
    sim.put(&id(0), Some(waiting()));
    sim.run_until(5000);
    for _ in 0..4 {
        let holder = sim.holder(&id(0)).unwrap();
        sim.kill(holder);
        let next = sim.now + 9000;
        sim.run_until(next);
        sim.begin(holder);
        let next = sim.now + 3000;
        sim.run_until(next);
    }
    let how: Vec<Beginning> = sim.starts.iter().map(|start| start.3).collect();
    let on = |run| Beginning::GoesOn(HaRun::new(run).unwrap());
    assert_eq!(how, [Beginning::New, on(1), on(2), on(3), Beginning::Ends]);
    assert!(sim.ended.contains(&id(0)));
}

#[test]
fn tasks_go_to_who_has_most_room() {
    let mut sim = Sim::new(9, &[4, 4, 8, 0]);
    sim.run_until(3000);
    for task in 0..12 {
        sim.put(&id(task), Some(waiting()));
    }
    sim.run_until(9000);
    let held: Vec<usize> = sim.workers.iter().map(|worker| worker.records.len()).collect();
    assert_eq!(held.iter().sum::<usize>(), 12);
    let free: Vec<usize> =
        sim.workers[..3].iter().map(|worker| worker.capacity - worker.records.len()).collect();
    assert!(free.iter().max().unwrap() - free.iter().min().unwrap() <= 1, "{held:?}");
    // Where nobody has room it waits for it.
    for task in 12..18 {
        sim.put(&id(task), Some(waiting()));
    }
    sim.run_until(20_000);
    assert_eq!(sim.workers.iter().map(|worker| worker.records.len()).collect::<Vec<_>>(), [4, 4, 8, 0]);
}

#[test]
fn who_leaves_gives_its_tasks_away_at_once() {
    let mut sim = Sim::new(11, &[4, 4]);
    sim.run_until(500);
    for task in 0..4 {
        sim.put(&id(task), Some(waiting()));
    }
    sim.run_until(5000);
    let leaving = sim.workers[0].core.as_mut().unwrap();
    leaving.release(at(5000));
    sim.drain(0);
    sim.run_until(8000);
    assert!(sim.workers[0].core.as_ref().unwrap().is_idle());
    assert!((0..4).all(|task| sim.holder(&id(task)) == Some(1)));
}
