use proptest::prelude::*;

use super::*;

fn message(event_type: EventType, body: &'static str, made: u64) -> Message {
    Message::new(event_type, Bytes::from_static(body.as_bytes()), None, Duration::from_secs(made))
}

fn secs(at: u64) -> Duration {
    Duration::from_secs(at)
}

/// The body of the attempt that starts at `at`.
fn attempt(queue: &mut TaskQueue, at: u64) -> Attempt {
    match queue.step(secs(at)) {
        Step::Attempt(attempt) => attempt,
        other => panic!("no attempt at {at} s: {other:?}"),
    }
}

#[test]
fn messages_go_in_order_and_the_first_blocks_the_rest() {
    let mut queue = TaskQueue::new(QueueOptions::default());
    assert_eq!(queue.step(secs(0)), Step::Idle);
    assert_eq!(queue.push(message(EventType::RecorderStart, "a", 0)), Pushed::Queued);
    assert_eq!(queue.push(message(EventType::UploadStart, "b", 0)), Pushed::Queued);

    assert_eq!(attempt(&mut queue, 0).body, "a");
    assert_eq!(queue.step(secs(0)), Step::Running);
    assert_eq!(queue.ended(Outcome::Failed, secs(0)), Some(Ended::Retry));
    let again = attempt(&mut queue, 0);
    assert_eq!((again.body, again.number), (Bytes::from_static(b"a"), 2));
    assert_eq!(queue.ended(Outcome::Failed, secs(5)), Some(Ended::Retry));
    assert_eq!(queue.step(secs(5)), Step::WaitUntil(secs(10)));
    assert_eq!(attempt(&mut queue, 10).body, "a");
    assert_eq!(queue.ended(Outcome::Delivered, secs(11)), Some(Ended::Delivered));
    assert_eq!(attempt(&mut queue, 11).body, "b");
    assert_eq!(queue.ended(Outcome::Delivered, secs(11)), Some(Ended::Delivered));
    assert_eq!((queue.step(secs(11)), queue.bytes(), queue.len()), (Step::Idle, 0, 0));
    assert_eq!(queue.ended(Outcome::Failed, secs(11)), None);
}

#[test]
fn a_dead_endpoint_costs_the_first_a_minute_and_the_rest_one_attempt() {
    let mut queue = TaskQueue::new(QueueOptions::default());
    for body in ["a", "b", "c"] {
        queue.push(message(EventType::UploadStart, body, 0));
    }
    let (mut now, mut starts) = (secs(0), Vec::new());
    loop {
        match queue.step(now) {
            Step::Attempt(attempt) => {
                starts.push((attempt.body, now.as_secs()));
                now += secs(5);
                queue.ended(Outcome::Failed, now);
            }
            Step::WaitUntil(at) => now = at,
            Step::Running => panic!("an attempt is running"),
            Step::Idle => break,
        }
    }
    let of_first = [0, 5, 15, 25, 35, 45, 55].map(|at| ("a", at));
    let rest = [("b", 60), ("c", 65)];
    let expected: Vec<_> =
        of_first.into_iter().chain(rest).map(|(body, at)| (Bytes::from(body), at)).collect();
    assert_eq!(starts, expected);
}

#[test]
fn progress_is_refused_and_results_displace_it_when_the_queue_is_full() {
    let room_for_three = QueueOptions::default().with_max_bytes(3 * (1 + Message::OVERHEAD));
    let mut queue = TaskQueue::new(room_for_three);
    queue.push(message(EventType::UploadStart, "1", 0));
    attempt(&mut queue, 0); // being tried: not to be displaced
    queue.push(message(EventType::FileSlice, "2", 0));
    queue.push(message(EventType::FileInfo, "3", 0));
    assert_eq!(queue.push(message(EventType::FileSlice, "x", 0)), Pushed::Refused);
    assert_eq!(queue.push(message(EventType::RecorderStop, "4", 0)), Pushed::Displaced(1));
    assert_eq!(queue.push(message(EventType::UploadStop, "5", 0)), Pushed::Displaced(1));
    assert_eq!(queue.push(message(EventType::Mp4Stop, "x", 0)), Pushed::Refused);
    assert_eq!((queue.len(), queue.bytes()), (3, 3 * (1 + Message::OVERHEAD)));

    let mut order = vec![Bytes::from_static(b"1")];
    queue.ended(Outcome::Delivered, secs(0));
    while let Step::Attempt(attempt) = queue.step(secs(0)) {
        order.push(attempt.body);
        queue.ended(Outcome::Delivered, secs(0));
    }
    assert_eq!(order, ["1", "4", "5"]);
}

#[test]
fn nothing_is_displaced_in_vain() {
    let mut queue = TaskQueue::new(QueueOptions::default().with_max_bytes(2 * (1 + Message::OVERHEAD)));
    queue.push(message(EventType::FileSlice, "1", 0));
    let long = Message::new(EventType::Mp4Stop, Bytes::from(vec![b'x'; 1000]), None, secs(0));
    assert_eq!(queue.push(long), Pushed::Refused);
    assert_eq!(queue.len(), 1);
}

proptest! {
    #[test]
    fn the_bound_holds_and_what_is_tried_keeps_its_order(
        pushes in proptest::collection::vec((0..12usize, 0..600usize, any::<bool>(), any::<bool>()), 1..80),
    ) {
        let mut queue = TaskQueue::new(QueueOptions::default().with_max_bytes(4000));
        let (mut now, mut last) = (secs(0), None);
        for (serial, (event_type, extra, try_one, delivered)) in pushes.into_iter().enumerate() {
            let mut body = serial.to_string();
            body.extend(std::iter::repeat_n(' ', extra));
            queue.push(Message::new(EventType::ALL[event_type], body.into(), None, now));
            prop_assert!(queue.bytes() <= 4000);
            if try_one {
                match queue.step(now) {
                    Step::Attempt(attempt) => {
                        let text = String::from_utf8(attempt.body.to_vec()).unwrap();
                        let this: usize = text.trim().parse().unwrap();
                        prop_assert!(last <= Some(this));
                        last = Some(this);
                        let outcome = if delivered { Outcome::Delivered } else { Outcome::Failed };
                        prop_assert!(queue.ended(outcome, now).is_some());
                    }
                    Step::WaitUntil(at) => now = at,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
