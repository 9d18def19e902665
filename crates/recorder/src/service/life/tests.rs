use proptest::prelude::*;
use recorder_types::RoomId;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn room(app: u32, room: u32) -> RoomKey {
    RoomKey { app: SdkAppId::new(app), room: RoomId::integer(room) }
}

fn task(number: usize) -> TaskId {
    format!("t{number}").parse().unwrap()
}

fn robot(number: u32) -> UserId {
    format!("r{number}").parse().unwrap()
}

#[test]
fn the_hundred_and_first_task_is_refused_until_one_leaves() {
    let mut life = TaskLife::new(100);
    for number in 0..100 {
        let place = (room(1, u32::try_from(number).unwrap()), robot(1));
        assert_eq!(life.create(Duration::ZERO, task(number), place, HOUR), Ok(None));
    }
    let place = (room(1, 500), robot(1));
    let refused = life.create(Duration::ZERO, task(100), place.clone(), HOUR);
    assert_eq!(refused, Err(LifeError::TooManyTasks { max: 100 }));
    // One that takes the place of another is not one more.
    let displacing = life.create(Duration::ZERO, task(101), (room(1, 7), robot(1)), HOUR);
    assert_eq!(displacing, Ok(Some(Stop { task: task(7), code: LeaveCode::DISPLACED })));
    assert_eq!(life.running(), 100);
    life.left(&task(3));
    life.left(&task(3));
    assert_eq!(life.create(Duration::ZERO, task(100), place, HOUR), Ok(None));
}

#[test]
fn tasks_of_a_process_that_died_are_taken_up_however_many_run() {
    let mut life = TaskLife::new(1);
    let find = |life: &TaskLife, at, number| life.find(at, SdkAppId::new(1), task(number).as_str());
    assert_eq!(life.take_up(Duration::ZERO, task(1), (room(1, 1), robot(1)), HOUR), Ok(None));
    assert_eq!(life.take_up(Duration::ZERO, task(2), (room(1, 2), robot(1)), HOUR), Ok(None));
    // It had left its room already, so that it displaces nobody and counts for nothing.
    assert_eq!(life.take_up_leaving(Duration::ZERO, task(3), (room(1, 1), robot(1)), HOUR), Ok(()));
    assert_eq!((life.running(), life.is_running(&task(1)), life.is_running(&task(3))), (2, true, false));
    assert_eq!(find(&life, Duration::ZERO, 3), Ok(task(3)));
    assert_eq!(find(&life, HOUR, 3), Err(LifeError::NotFound));
    let exists = Err(LifeError::TaskExists);
    assert_eq!(life.take_up(Duration::ZERO, task(3), (room(1, 9), robot(1)), HOUR), exists);
    assert_eq!(
        life.take_up_leaving(Duration::ZERO, task(1), (room(1, 9), robot(1)), HOUR).err(),
        exists.err()
    );
    let refused = life.create(Duration::ZERO, task(4), (room(1, 4), robot(1)), HOUR);
    assert_eq!(refused, Err(LifeError::TooManyTasks { max: 1 }));
    life.ended(&task(3));
    assert_eq!((life.running(), find(&life, Duration::ZERO, 3)), (2, Err(LifeError::NotFound)));
}

#[test]
fn what_is_over_is_forgotten_in_the_end() {
    let mut life = TaskLife::new(1);
    for number in 0..=MAX_REMEMBERED {
        assert_eq!(life.create(Duration::ZERO, task(number), (room(1, 1), robot(1)), HOUR), Ok(None));
        let stop = Some(Stop { task: task(number), code: LeaveCode::API_STOP });
        assert_eq!(
            life.delete(Duration::ZERO, SdkAppId::new(1), task(number).as_str()),
            Ok((task(number), stop))
        );
        life.ended(&task(number));
    }
    assert_eq!(life.tasks.len(), MAX_REMEMBERED);
    let delete =
        |life: &mut TaskLife, number| life.delete(Duration::ZERO, SdkAppId::new(1), task(number).as_str());
    assert_eq!(delete(&mut life, 0), Err(LifeError::NotFound));
    assert_eq!(delete(&mut life, 1), Ok((task(1), None)));
}

#[derive(Clone, Debug)]
enum Command {
    Create { room: u32, robot: u32, hours: u32 },
    Find { app: u32, pick: usize },
    Delete { app: u32, pick: usize },
    Dismiss { room: u32 },
    Remove { room: u32, robot: u32 },
    Left { pick: usize },
    Ended { pick: usize },
    Wait { hours: u32 },
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (0u32..3, 0u32..3, 1u32..6).prop_map(|(room, robot, hours)| Command::Create { room, robot, hours }),
        3 => (1u32..3, 0usize..40).prop_map(|(app, pick)| Command::Find { app, pick }),
        3 => (1u32..3, 0usize..40).prop_map(|(app, pick)| Command::Delete { app, pick }),
        1 => (0u32..3).prop_map(|room| Command::Dismiss { room }),
        1 => (0u32..3, 0u32..3).prop_map(|(room, robot)| Command::Remove { room, robot }),
        1 => (0usize..40).prop_map(|pick| Command::Left { pick }),
        2 => (0usize..40).prop_map(|pick| Command::Ended { pick }),
        1 => (0u32..4).prop_map(|hours| Command::Wait { hours }),
    ]
}

/// The same as a list that is searched.
#[derive(Clone, Debug)]
struct Simple {
    id: TaskId,
    room: u32,
    robot: u32,
    expires: u32,
    state: &'static str,
    deleted: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Application 1 has rooms 0 to 2; application 2 asks for tasks that are not its own.
    #[test]
    fn random_commands_agree_with_a_simple_model(commands in proptest::collection::vec(commands(), 0..120)) {
        const MAX: usize = 4;
        let mut life = TaskLife::new(MAX);
        let mut model: Vec<Simple> = Vec::new();
        let mut hour = 0;
        for command in commands {
            let now = HOUR * hour;
            let running = |model: &[Simple]| model.iter().filter(|task| task.state == "running").count();
            match command {
                Command::Create { room: at, robot: who, hours } => {
                    let id = task(model.len());
                    let got = life.create(now, id.clone(), (room(1, at), robot(who)), HOUR * hours);
                    let displaced = model.iter().position(|t| t.state == "running" && (t.room, t.robot) == (at, who));
                    if displaced.is_none() && running(&model) == MAX {
                        prop_assert_eq!(got, Err(LifeError::TooManyTasks { max: MAX }));
                    } else {
                        let stop = displaced.map(|index| {
                            model[index].state = "leaving";
                            Stop { task: model[index].id.clone(), code: LeaveCode::DISPLACED }
                        });
                        prop_assert_eq!(got, Ok(stop));
                        model.push(Simple { id, room: at, robot: who, expires: hour + hours, state: "running", deleted: false });
                    }
                }
                Command::Find { app, pick } => {
                    let found = model.get(pick).filter(|t| app == 1 && hour < t.expires && t.state != "over");
                    let got = life.find(now, SdkAppId::new(app), task(pick).as_str());
                    prop_assert_eq!(got.ok(), found.map(|t| t.id.clone()));
                }
                Command::Delete { app, pick } => {
                    let got = life.delete(now, SdkAppId::new(app), task(pick).as_str());
                    let found = model.get_mut(pick).filter(|t| app == 1 && hour < t.expires);
                    let expected = found.filter(|t| t.state != "over" || t.deleted).map(|t| {
                        let stop = t.state == "running";
                        if stop {
                            t.state = "leaving";
                            t.deleted = true;
                        }
                        (t.id.clone(), stop.then(|| Stop { task: t.id.clone(), code: LeaveCode::API_STOP }))
                    });
                    prop_assert_eq!(got.ok(), expected);
                }
                Command::Dismiss { .. } | Command::Remove { .. } => {
                    let (at, who, code) = match command {
                        Command::Remove { room, robot } => (room, Some(robot), LeaveCode::REMOVED_BY_CUSTOMER),
                        Command::Dismiss { room } => (room, None, LeaveCode::DISMISSED_BY_SERVER),
                        _ => unreachable!("matched above"),
                    };
                    let got = life.leave_room(&room(1, at), who.map(robot).as_ref(), code);
                    let mut expected = Vec::new();
                    for t in model.iter_mut().filter(|t| t.state == "running" && t.room == at) {
                        if who.is_none_or(|who| who == t.robot) {
                            t.state = "leaving";
                            expected.push(Stop { task: t.id.clone(), code });
                        }
                    }
                    expected.sort_by(|a, b| a.task.cmp(&b.task));
                    prop_assert_eq!(got, expected);
                }
                Command::Left { pick } => {
                    life.left(&task(pick));
                    if let Some(t) = model.get_mut(pick).filter(|t| t.state == "running") {
                        t.state = "leaving";
                    }
                }
                Command::Ended { pick } => {
                    life.ended(&task(pick));
                    if let Some(t) = model.get_mut(pick) {
                        t.state = "over";
                    }
                }
                Command::Wait { hours } => hour += hours,
            }
            prop_assert_eq!(life.running(), running(&model));
            prop_assert_eq!(life.robots.len(), running(&model));
        }
    }
}
