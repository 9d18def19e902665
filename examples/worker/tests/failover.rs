//! Workers as processes, a NATS server, and a store that knows who wrote what: the holder of a task is killed, stopped or
//! cut off, and NATS goes away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use recorder_testkit::until;
use support::{Nats, Setting, Store, WorkerProcess};

const TASK: &str = "task01";

/// Two workers and a task that one of them records; `None` where there is no NATS server.
fn setting() -> Option<(Setting, WorkerProcess, WorkerProcess)> {
    let setting = Setting::new()?;
    let workers = ["w0", "w1"].map(|name| setting.worker(name));
    setting.create(TASK);
    let [a, b] = workers;
    let begun = until("a worker begins", || {
        [&a, &b].iter().position(|worker| worker.events().contains(&("begins".into(), 0)))
    });
    let (holder, other) = if begun == 0 { (a, b) } else { (b, a) };
    // The first segments are in the bucket.
    a_segment_is_put(&setting, "");
    Some((setting, holder, other))
}

/// Waits until a segment whose name begins so is in the bucket.
fn a_segment_is_put(setting: &Setting, prefix: &str) {
    let prefix = format!("{TASK}/{prefix}");
    let is_it = |name: &String| name.starts_with(&prefix) && name.ends_with(".ts");
    until(&format!("a segment {prefix}"), || setting.store.names().iter().any(is_it).then_some(()));
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Waits until `worker` has taken the task over, and holds it to ten seconds after `since`.
fn taken_over(worker: &WorkerProcess, run: u32, since: u64) {
    let at = until("the other goes on", || worker.event_at(306, TASK));
    assert!(worker.events().contains(&("begins".into(), run)), "{:?}", worker.events());
    let took = at.saturating_sub(since);
    eprintln!("taken over after {took} ms");
    assert!(took <= 10_000, "after {took} ms");
}

/// Every object has one writer, the first putting of a segment is the only one, and each prefix is one worker's.
fn assert_one_writer(store: &Store, prefixes: &[(&str, &str)]) {
    let puts = store.puts();
    for put in &puts {
        let name = put.name.strip_prefix(&format!("{TASK}/")).unwrap();
        let (_, writer) = prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).unwrap();
        assert_eq!(put.writer, *writer, "{name}");
        if name.ends_with(".ts") {
            let same = puts.iter().filter(|other| other.name == put.name && other.stored);
            assert_eq!(same.count(), 1, "{name} was put again");
        }
    }
    for (prefix, _) in prefixes {
        assert!(
            puts.iter().any(|put| put.name.starts_with(&format!("{TASK}/{prefix}"))),
            "nothing under {prefix}"
        );
    }
}

/// Ends the task, and looks at every playlist.
fn end(setting: &Setting, holder: &WorkerProcess) {
    setting.stop(TASK);
    until("it is stopped", || holder.event_at(302, TASK));
    until("all is told", || holder.event_at(305, TASK));
    until("the task is gone", || setting.list().is_empty().then_some(()));
    setting.store.assert_whole();
}

#[test]
fn a_killed_workers_task_goes_on_and_what_it_left_comes_with_it() {
    let Some((setting, holder, other)) = setting() else { return };
    let (name, spool) = (holder.name.clone(), holder.spool());
    let killed = now();
    holder.kill();
    taken_over(&other, 1, killed);
    assert!(std::fs::read_dir(&spool).unwrap().next().is_some(), "something is left");
    // It comes back: it delivers, and tells neither an end nor a restart.
    let back = setting.worker(&name);
    until("what was left is told", || back.event_at(305, TASK));
    until("its spool is empty", || std::fs::read_dir(&spool).unwrap().next().is_none().then_some(()));
    assert!(back.event_at(302, TASK).is_none() && back.event_at(306, TASK).is_none());
    a_segment_is_put(&setting, "ha1_");
    end(&setting, &other);
    assert_one_writer(&setting.store, &[("1400000001_", &name), ("ha1_", &other.name)]);
}

#[test]
fn a_stopped_worker_finds_its_task_taken_and_writes_its_own_prefix_only() {
    let Some((setting, holder, other)) = setting() else { return };
    let stopped = now();
    holder.signal("STOP");
    taken_over(&other, 1, stopped);
    a_segment_is_put(&setting, "ha1_");
    holder.signal("CONT");
    let spool = holder.spool();
    until("it delivers", || holder.event_at(305, TASK));
    until("its spool is empty", || std::fs::read_dir(&spool).unwrap().next().is_none().then_some(()));
    assert!(holder.event_at(302, TASK).is_none() && holder.event_at(306, TASK).is_none());
    end(&setting, &other);
    assert_one_writer(&setting.store, &[("1400000001_", &holder.name), ("ha1_", &other.name)]);
}

#[test]
fn a_worker_that_is_cut_off_puts_nothing_until_it_knows_and_then_its_own_prefix() {
    let Some((setting, holder, other)) = setting() else { return };
    let cut = now();
    holder.nats.cut();
    taken_over(&other, 1, cut);
    let puts = |from: u64| {
        setting.store.puts().iter().filter(|put| put.writer == holder.name && put.at >= from).count()
    };
    // It goes on recording, and puts nothing while another may write.
    let taken = other.event_at(306, TASK).unwrap();
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(puts(taken), 0);
    assert_eq!(holder.event_at(302, TASK), None);
    holder.nats.heal();
    let spool = holder.spool();
    until("it delivers", || holder.event_at(305, TASK));
    until("its spool is empty", || std::fs::read_dir(&spool).unwrap().next().is_none().then_some(()));
    assert!(puts(taken) > 0);
    end(&setting, &other);
    assert_one_writer(&setting.store, &[("1400000001_", &holder.name), ("ha1_", &other.name)]);
}

#[test]
fn while_nats_is_away_the_recording_goes_on_and_nothing_is_started_twice() {
    let Some((mut setting, holder, other)) = setting() else { return };
    setting.nats.kill();
    std::thread::sleep(Duration::from_secs(20));
    assert!(other.event_at(306, TASK).is_none(), "nobody has taken it");
    let held = setting.store.names().len();
    setting.nats = Nats::start(setting.root.path(), Some(setting.nats.port)).unwrap();
    until("what was recorded meanwhile", || (setting.store.names().len() > held).then_some(()));
    end(&setting, &holder);
    assert!(other.events().is_empty(), "{:?}", other.events());
    assert_one_writer(&setting.store, &[("1400000001_", &holder.name)]);
    // The sound has no hole: the segments of each playlist follow each other.
    setting.store.assert_no_gap();
}

#[test]
fn a_worker_that_is_asked_to_leave_gives_its_tasks_away() {
    let Some((setting, holder, other)) = setting() else { return };
    let (name, spool, asked) = (holder.name.clone(), holder.spool(), now());
    holder.signal("TERM");
    taken_over(&other, 1, asked);
    assert!(holder.wait().success());
    assert!(std::fs::read_dir(spool).unwrap().next().is_none());
    end(&setting, &other);
    assert_one_writer(&setting.store, &[("1400000001_", &name), ("ha1_", &other.name)]);
}
