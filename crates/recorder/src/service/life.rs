use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use recorder_callback::LeaveCode;
use recorder_types::{SdkAppId, TaskId, UserId};

use super::room::RoomKey;

/// Tasks that are over and still remembered, so that a call that is sent again finds them. The oldest goes first.
const MAX_REMEMBERED: usize = 10_000;

/// Which tasks there are and what may be done with them: the limit on running tasks, one robot per user id and room,
/// and the time in which a task can be asked for. No I/O and no clock: instants are durations since any zero.
///
/// ```text
///            create, take_up       stop, idle, dismissed,           files delivered
///                                  displaced, removed               or kept
///  (nothing) ──────► running ──────────────────────────► leaving ──────────────────► over
///                    Idle or                              Exited                     ResourceNotFound;
///                    InProgress                                                      deleting what was deleted is fine
/// ```
///
/// After `ResourceExpiredHour` a task is not found, whatever it does; it goes on all the same.
#[derive(Debug)]
pub struct TaskLife {
    max_running: usize,
    tasks: HashMap<TaskId, Task>,
    /// The running task of a robot.
    robots: HashMap<(RoomKey, UserId), TaskId>,
    running: usize,
    /// In the order in which they ended.
    over: VecDeque<TaskId>,
}

#[derive(Debug)]
struct Task {
    room: RoomKey,
    robot: UserId,
    expires: Duration,
    phase: Phase,
    /// Through the API.
    deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Leaving,
    Over,
}

/// A recording that has to be stopped now, with the code that event 302 tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Which.
    pub task: TaskId,
    /// Why.
    pub code: LeaveCode,
}

/// Why a call cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifeError {
    /// The caller's id is another task's: take a new one.
    #[error("there is a task with this id")]
    TaskExists,
    /// The task is unknown, over, another application's, or can no longer be asked for.
    #[error("there is no such task")]
    NotFound,
    /// A limit: end a task first.
    #[error("{max} tasks are running, as many as may")]
    TooManyTasks {
        /// The limit.
        max: usize,
    },
}

impl TaskLife {
    /// No tasks, and at most `max_running` at a time.
    #[must_use]
    pub fn new(max_running: usize) -> Self {
        Self { max_running, tasks: HashMap::new(), robots: HashMap::new(), running: 0, over: VecDeque::new() }
    }

    /// Tasks whose robot is in its room.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// A new task. A task with the same robot in the same room is displaced by it, and is to be stopped.
    ///
    /// # Errors
    /// [`LifeError`]; nothing has changed then.
    pub fn create(
        &mut self,
        now: Duration,
        id: TaskId,
        (room, robot): (RoomKey, UserId),
        expires_after: Duration,
    ) -> Result<Option<Stop>, LifeError> {
        let is_displacing = self.robots.contains_key(&(room.clone(), robot.clone()));
        if !is_displacing && self.running >= self.max_running && !self.tasks.contains_key(&id) {
            return Err(LifeError::TooManyTasks { max: self.max_running });
        }
        self.take_up(now, id, (room, robot), expires_after)
    }

    /// As [`Self::create`] for a task that an earlier process has begun and that goes on, however many run.
    ///
    /// # Errors
    /// [`LifeError::TaskExists`]; nothing has changed then.
    pub fn take_up(
        &mut self,
        now: Duration,
        id: TaskId,
        (room, robot): (RoomKey, UserId),
        expires_after: Duration,
    ) -> Result<Option<Stop>, LifeError> {
        if self.tasks.contains_key(&id) {
            return Err(LifeError::TaskExists);
        }
        let place = (room.clone(), robot.clone());
        let displaced = self.robots.get(&place).cloned();
        if let Some(task) = &displaced {
            self.left(task);
        }
        let expires = now.saturating_add(expires_after);
        self.robots.insert(place, id.clone());
        self.tasks.insert(id, Task { room, robot, expires, phase: Phase::Running, deleted: false });
        self.running += 1;
        Ok(displaced.map(|task| Stop { task, code: LeaveCode::DISPLACED }))
    }

    /// A task of an earlier process whose robot is not in its room any more, and whose files are being delivered.
    ///
    /// # Errors
    /// [`LifeError::TaskExists`]; nothing has changed then.
    pub fn take_up_leaving(
        &mut self,
        now: Duration,
        id: TaskId,
        (room, robot): (RoomKey, UserId),
        expires_after: Duration,
    ) -> Result<(), LifeError> {
        if self.tasks.contains_key(&id) {
            return Err(LifeError::TaskExists);
        }
        let expires = now.saturating_add(expires_after);
        self.tasks.insert(id, Task { room, robot, expires, phase: Phase::Leaving, deleted: false });
        Ok(())
    }

    /// The task as it may be described or changed: running or leaving.
    ///
    /// # Errors
    /// [`LifeError::NotFound`].
    pub fn find(&self, now: Duration, app: SdkAppId, id: &str) -> Result<TaskId, LifeError> {
        let (id, task) = self.reachable(now, app, id)?;
        if task.phase == Phase::Over { Err(LifeError::NotFound) } else { Ok(id) }
    }

    /// Whether the robot of a task is in its room.
    #[must_use]
    pub fn is_running(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(|task| task.phase == Phase::Running)
    }

    /// Ends a task through the API; says whether it is to be stopped now. Twice is once: a task that was deleted is
    /// found here also when it is over.
    ///
    /// # Errors
    /// [`LifeError::NotFound`].
    pub fn delete(
        &mut self,
        now: Duration,
        app: SdkAppId,
        id: &str,
    ) -> Result<(TaskId, Option<Stop>), LifeError> {
        let (id, task) = self.reachable(now, app, id)?;
        match task.phase {
            Phase::Over if task.deleted => Ok((id, None)),
            Phase::Over => Err(LifeError::NotFound),
            Phase::Leaving => Ok((id, None)),
            Phase::Running => {
                self.left(&id);
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.deleted = true;
                }
                Ok((id.clone(), Some(Stop { task: id, code: LeaveCode::API_STOP })))
            }
        }
    }

    /// The room is over, or the robot `robot` was removed from it: what is to be stopped, in the order of ids.
    pub fn leave_room(&mut self, room: &RoomKey, robot: Option<&UserId>, code: LeaveCode) -> Vec<Stop> {
        let is_meant = |(at, who): &(RoomKey, UserId)| at == room && robot.is_none_or(|robot| robot == who);
        let mut tasks: Vec<TaskId> =
            self.robots.iter().filter(|(place, _)| is_meant(place)).map(|(_, task)| task.clone()).collect();
        tasks.sort();
        for task in &tasks {
            self.left(task);
        }
        tasks.into_iter().map(|task| Stop { task, code }).collect()
    }

    /// The robot of a task has left its room, for whatever reason. Twice is once.
    pub fn left(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if task.phase == Phase::Running {
            task.phase = Phase::Leaving;
            self.running -= 1;
            self.robots.remove(&(task.room.clone(), task.robot.clone()));
        }
    }

    /// A task has nothing more to deliver, or could not start.
    pub fn ended(&mut self, id: &TaskId) {
        self.left(id);
        if let Some(task) = self.tasks.get_mut(id)
            && task.phase != Phase::Over
        {
            task.phase = Phase::Over;
            self.over.push_back(id.clone());
            if self.over.len() > MAX_REMEMBERED
                && let Some(oldest) = self.over.pop_front()
            {
                self.tasks.remove(&oldest);
            }
        }
    }

    fn reachable(&self, now: Duration, app: SdkAppId, id: &str) -> Result<(TaskId, &Task), LifeError> {
        let id: TaskId = id.parse().map_err(|_| LifeError::NotFound)?;
        match self.tasks.get(&id) {
            Some(task) if task.room.app == app && now < task.expires => Ok((id, task)),
            _ => Err(LifeError::NotFound),
        }
    }
}

#[cfg(test)]
mod tests;
