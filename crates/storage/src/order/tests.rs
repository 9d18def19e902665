use super::*;
use proptest::prelude::*;

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

/// A file is `(playlist, number)`, a version the number of files it lists.
type TestOrder = Order<(usize, u64), u64>;

#[test]
fn a_playlist_waits_for_the_files_it_lists() {
    let mut order = TestOrder::new(4);
    let list = name("p.m3u8");
    order.push_file(name("0.ts"), Some(&list), (0, 0));
    order.push_version(&list, 1);
    order.push_file(name("1.ts"), Some(&list), (0, 1));
    order.push_version(&list, 2);
    let ids: Vec<u64> = std::iter::from_fn(|| order.start())
        .map(|job| match job {
            Job::File { id, .. } => id,
            Job::Playlist { .. } => panic!("no playlist before its files"),
        })
        .collect();
    assert_eq!(ids, [0, 1]);
    order.file_done(1, Outcome::Stored);
    assert!(order.start().is_none(), "the first file is not stored");
    order.file_done(0, Outcome::Stored);
    assert!(matches!(order.start(), Some(Job::Playlist { files: 2, .. })), "only the newest version");
    assert!(order.start().is_none());
    assert!(!order.is_at_rest());
    order.playlist_done(0, 1, Outcome::Stored);
    assert!(order.is_at_rest());
    assert_eq!(order.undelivered(), 0);
}

#[test]
fn a_store_that_is_gone_gets_one_probe_per_tick() {
    let mut order = TestOrder::new(4);
    for number in 0..3 {
        order.push_file(name(&format!("{number}.ts")), None, (0, number));
    }
    let Some(Job::File { id, effort: Effort::Full, .. }) = order.start() else { panic!("a file") };
    order.file_done(id, Outcome::Unreachable);
    assert!(order.start().is_none() && order.is_at_rest());
    order.push_file(name("3.ts"), None, (0, 3));
    let kept: Vec<_> = std::iter::from_fn(|| order.take_kept()).map(|kept| kept.name.to_string()).collect();
    assert_eq!(kept, ["0.ts", "1.ts", "2.ts", "3.ts"]);

    order.tick();
    let Some(Job::File { id, effort: Effort::Once, .. }) = order.start() else { panic!("a probe") };
    assert!(order.start().is_none(), "one probe only");
    order.file_done(id, Outcome::Unreachable);
    assert!(order.take_kept().is_none(), "told once");

    order.tick();
    let Some(Job::File { id, .. }) = order.start() else { panic!("a probe") };
    order.file_done(id, Outcome::Stored);
    assert_eq!(std::iter::from_fn(|| order.start()).count(), 3, "the store is back");
}

#[test]
fn what_is_refused_waits_for_the_tick_and_nobody_else_does() {
    let mut order = TestOrder::new(1);
    order.push_file(name("0.ts"), None, (0, 0));
    order.push_file(name("1.ts"), None, (0, 1));
    assert!(matches!(order.start(), Some(Job::File { id: 0, .. })));
    order.file_done(0, Outcome::Refused);
    assert!(matches!(order.start(), Some(Job::File { id: 1, .. })));
    order.file_done(1, Outcome::Stored);
    assert!(order.start().is_none());
    assert_eq!((order.is_at_rest(), order.undelivered()), (true, 1));
    order.tick();
    assert!(matches!(order.start(), Some(Job::File { id: 0, .. })));
}

#[test]
fn a_refused_playlist_is_tried_again_with_its_next_version() {
    let mut order = TestOrder::new(1);
    let list = name("p.m3u8");
    order.push_version(&list, 0);
    let Some(Job::Playlist { serial, .. }) = order.start() else { panic!("a playlist") };
    order.playlist_done(0, serial, Outcome::Refused);
    assert!(order.start().is_none());
    order.push_version(&list, 0);
    assert!(order.start().is_some());
}

#[test]
fn versions_that_wait_are_bounded() {
    let mut order = TestOrder::new(1);
    let list = name("p.m3u8");
    for number in 0..1_000 {
        order.push_file(name(&format!("{number}.ts")), Some(&list), (0, number));
        order.push_version(&list, number + 1);
    }
    assert!(order.lists[0].versions.len() <= MAX_VERSIONS);
    assert_eq!(order.lists[0].versions.back().map(|version| version.files), Some(1_000));
}

#[derive(Clone, Debug)]
enum Step {
    File(usize),
    Version(usize),
    Start,
    /// Ends one of the running jobs.
    End(usize, Outcome),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        5 => Just(Outcome::Stored), 1 => Just(Outcome::Unreachable), 1 => Just(Outcome::Refused)
    ];
    let step = prop_oneof![
        3 => (0..3usize).prop_map(Step::File),
        2 => (0..3usize).prop_map(Step::Version),
        4 => Just(Step::Start),
        4 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What the store holds: files, and per playlist how many files its text lists.
#[derive(Default)]
struct Model {
    pushed: [u64; 3],
    newest: [Option<u64>; 3],
    stored: BTreeSet<(usize, u64)>,
    shown: [u64; 3],
    running: Vec<Job<(usize, u64), u64>>,
}

impl Model {
    fn start(&mut self, order: &mut TestOrder) -> Result<bool, TestCaseError> {
        let Some(job) = order.start() else { return Ok(false) };
        if let Job::Playlist { payload, list, files, .. } = &job {
            prop_assert_eq!(payload, files);
            let list = self.index(order, *list);
            for number in 0..*files {
                prop_assert!(self.stored.contains(&(list, number)), "{list}: {number} is not stored");
            }
            prop_assert!(*files >= self.shown[list], "a playlist never goes back");
        }
        self.running.push(job);
        prop_assert!(self.running.len() <= 3, "at most three in parallel");
        Ok(true)
    }

    fn index(&self, order: &TestOrder, list: usize) -> usize {
        order.lists[list].name.as_str().parse().unwrap()
    }

    fn end(&mut self, order: &mut TestOrder, which: usize, outcome: Outcome) {
        if self.running.is_empty() {
            return;
        }
        match self.running.swap_remove(which % self.running.len()) {
            Job::File { id, payload, .. } => {
                order.file_done(id, outcome);
                if outcome == Outcome::Stored {
                    self.stored.insert(payload);
                }
            }
            Job::Playlist { list, serial, files, .. } => {
                let at = self.index(order, list);
                order.playlist_done(list, serial, outcome);
                if outcome == Outcome::Stored {
                    self.shown[at] = files;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_playlist_names_a_missing_file_and_all_is_delivered_once_the_store_works(steps in steps()) {
        let mut order = TestOrder::new(3);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::File(list) => {
                    let number = model.pushed[list];
                    model.pushed[list] += 1;
                    order.push_file(name(&format!("{list}-{number}")), Some(&name(&list.to_string())), (list, number));
                }
                Step::Version(list) => {
                    model.newest[list] = Some(model.pushed[list]);
                    order.push_version(&name(&list.to_string()), model.pushed[list]);
                }
                Step::Start => drop(model.start(&mut order)?),
                Step::End(which, outcome) => model.end(&mut order, which, outcome),
                Step::Tick => order.tick(),
            }
        }
        // The store works from now on: two ticks bring everything over (one to find that it is back, one for what
        // was refused).
        for _ in 0..3 {
            while model.start(&mut order)? || !model.running.is_empty() {
                while model.start(&mut order)? {}
                model.end(&mut order, 0, Outcome::Stored);
            }
            prop_assert!(order.is_at_rest());
            order.tick();
        }
        while model.start(&mut order)? || !model.running.is_empty() {
            model.end(&mut order, 0, Outcome::Stored);
        }
        prop_assert_eq!(order.undelivered(), 0);
        for list in 0..3 {
            prop_assert_eq!(model.shown[list], model.newest[list].unwrap_or(0));
            for number in 0..model.pushed[list] {
                prop_assert!(model.stored.contains(&(list, number)));
            }
        }
    }
}

#[test]
fn a_playlist_goes_to_the_backup_when_its_files_are_safe() {
    let mut order = TestOrder::new(4);
    let list = name("p.m3u8");
    let mut ids = Vec::new();
    for number in 0..3 {
        order.push_file(name(&format!("{number}.ts")), Some(&list), (0, number));
        order.push_version(&list, number + 1);
        let Some(Job::File { id, .. }) = order.start() else { panic!("a file") };
        ids.push(id);
    }
    order.file_done(ids[1], Outcome::Stored);
    assert!(order.start_backup().is_none(), "nothing of it is in the backup");
    order.file_done(ids[0], Outcome::Refused);
    order.file_done(ids[2], Outcome::Unreachable);
    assert!(order.start_backup().is_none());
    order.file_backed(ids[0]);
    let Some((index, serial, 2)) = order.start_backup() else { panic!("the first two are safe") };
    assert!(order.start_backup().is_none(), "one at a time");
    order.version_backed(index, serial, false);
    assert!(order.start_backup().is_none(), "not before the next tick");
    order.tick();
    let Some((index, serial, 2)) = order.start_backup() else { panic!("again") };
    order.version_backed(index, serial, true);
    assert!(order.start_backup().is_none(), "it is there");
    order.file_backed(ids[2]);
    assert!(matches!(order.start_backup(), Some((_, _, 3))));
    assert_eq!(order.undelivered(), 3, "two files and the playlist");
}

#[test]
fn of_refused_files_in_the_backup_one_is_tried_at_a_tick() {
    let mut order = TestOrder::new(10);
    for number in 0..4 {
        order.push_file(name(&format!("{number}.ts")), None, (0, number));
    }
    let started = |order: &mut TestOrder| {
        std::iter::from_fn(|| match order.start()? {
            Job::File { id, .. } => Some(id),
            Job::Playlist { .. } => panic!("there is none"),
        })
        .collect::<Vec<_>>()
    };
    let refuse = |order: &mut TestOrder| {
        let ids = started(order);
        for id in &ids {
            order.file_done(*id, Outcome::Refused);
        }
        ids
    };
    assert_eq!(refuse(&mut order), [0, 1, 2, 3]);
    for id in 0..3 {
        order.file_backed(id);
    }
    for want in [[1, 3], [2, 3], [0, 3], [1, 3]] {
        order.tick();
        assert_eq!(refuse(&mut order), want, "in turn, and always the one that is not in the backup");
    }
    order.tick();
    assert_eq!(started(&mut order), [2, 3]);
    order.file_done(3, Outcome::Stored);
    assert!(started(&mut order).is_empty(), "it says nothing of the others");
    order.file_done(2, Outcome::Stored);
    assert_eq!(started(&mut order), [0, 1]);
}
