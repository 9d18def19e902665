use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::{EventType, NextAttempt, RetryPolicy, RetrySchedule};

/// Bounds of a [`TaskQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// Most bytes of messages that wait or are being tried, each counted with [`Message::OVERHEAD`]: 1 MiB.
    pub max_bytes: usize,
    /// When a message is tried again.
    pub retry: RetryPolicy,
}

impl QueueOptions {
    /// The same with another bound.
    #[must_use]
    pub const fn with_max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// The same with another schedule.
    #[must_use]
    pub const fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, retry: RetryPolicy::SERVICE }
    }
}

/// A callback ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    event_type: EventType,
    body: Bytes,
    sign: Option<String>,
    made: Duration,
}

impl Message {
    /// What a message counts for beyond its body.
    pub const OVERHEAD: usize = 256;

    /// The message `body`, made at `made`, with its `Sign` header if there is a key.
    #[must_use]
    pub const fn new(event_type: EventType, body: Bytes, sign: Option<String>, made: Duration) -> Self {
        Self { event_type, body, sign, made }
    }

    /// The type of the event in it.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        self.event_type
    }

    /// What it counts for, in bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.body.len().saturating_add(Self::OVERHEAD)
    }
}

/// What became of a message that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for its turn.
    Queued,
    /// It waits for its turn, and this many messages of progress, the newest, were dropped to make room.
    Displaced(usize),
    /// The queue is full: it was dropped.
    Refused,
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try this now, and tell [`TaskQueue::ended`] how it went.
    Attempt(Attempt),
    /// Nothing before this instant.
    WaitUntil(Duration),
    /// The attempt that was given out has not ended yet.
    Running,
    /// No messages.
    Idle,
}

/// One try of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The type of the event.
    pub event_type: EventType,
    /// The bytes to post.
    pub body: Bytes,
    /// The `Sign` header; `None` leaves it out.
    pub sign: Option<String>,
    /// Counts the tries of this message from 1.
    pub number: u32,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Status 200.
    Delivered,
    /// Anything else.
    Failed,
}

/// What an attempt meant for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is done.
    Delivered,
    /// It will be tried again.
    Retry,
    /// It is too old and was dropped.
    GivenUp,
}

/// The messages of one task, tried strictly in order: the next one starts when the one before was delivered or given
/// up.
///
/// Call [`TaskQueue::step`] and do what it says; tell [`TaskQueue::ended`] how each attempt went. All instants are
/// durations since one zero on a clock that does not jump.
///
/// Memory is bounded. When the queue is full a new message of progress is refused. A new result
/// ([`EventType::is_result`]) displaces the newest waiting messages of progress instead, and is refused only when
/// that would not make room. The message that is being tried is never displaced.
#[derive(Debug)]
pub struct TaskQueue {
    options: QueueOptions,
    waiting: VecDeque<Message>,
    current: Option<Current>,
    bytes: usize,
}

#[derive(Debug)]
struct Current {
    message: Message,
    schedule: RetrySchedule,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    NextAt(Duration),
}

impl TaskQueue {
    /// An empty queue.
    #[must_use]
    pub const fn new(options: QueueOptions) -> Self {
        Self { options, waiting: VecDeque::new(), current: None, bytes: 0 }
    }

    /// Takes a message, last in order.
    pub fn push(&mut self, message: Message) -> Pushed {
        self.push_within(message, usize::MAX)
    }

    /// As [`TaskQueue::push`], and the queue may grow by at most `budget` bytes.
    pub(crate) fn push_within(&mut self, message: Message, budget: usize) -> Pushed {
        let limit = self.options.max_bytes.min(self.bytes.saturating_add(budget));
        let total = self.bytes.saturating_add(message.cost());
        let mut over = total.saturating_sub(limit);
        if over > 0 {
            let progress = self.waiting.iter().filter(|waiting| !waiting.event_type.is_result());
            if !message.event_type.is_result() || progress.map(Message::cost).sum::<usize>() < over {
                return Pushed::Refused;
            }
        }
        let mut displaced = 0;
        while over > 0 {
            let newest = self.waiting.iter().rposition(|waiting| !waiting.event_type.is_result());
            let dropped = newest.and_then(|at| self.waiting.remove(at));
            let cost = dropped.as_ref().map_or(over, Message::cost);
            self.bytes = self.bytes.saturating_sub(cost);
            over = over.saturating_sub(cost);
            displaced += 1;
        }
        self.bytes = self.bytes.saturating_add(message.cost());
        self.waiting.push_back(message);
        if displaced == 0 { Pushed::Queued } else { Pushed::Displaced(displaced) }
    }

    /// What to do at `now`. Changes nothing unless it gives out an attempt.
    pub fn step(&mut self, now: Duration) -> Step {
        let current = match self.current.take().or_else(|| self.take_next(now)) {
            Some(current) => self.current.insert(current),
            None => return Step::Idle,
        };
        match current.state {
            State::Running => Step::Running,
            State::NextAt(at) if at > now => Step::WaitUntil(at),
            State::NextAt(_) => {
                current.schedule.started(now);
                current.state = State::Running;
                Step::Attempt(Attempt {
                    event_type: current.message.event_type,
                    body: current.message.body.clone(),
                    sign: current.message.sign.clone(),
                    number: current.schedule.attempts(),
                })
            }
        }
    }

    fn take_next(&mut self, now: Duration) -> Option<Current> {
        let message = self.waiting.pop_front()?;
        let schedule = RetrySchedule::new(self.options.retry, message.made);
        Some(Current { message, schedule, state: State::NextAt(now) })
    }

    /// The attempt that was given out last ended at `at`. `None`, and nothing changes, if none is running.
    pub fn ended(&mut self, outcome: Outcome, at: Duration) -> Option<Ended> {
        let mut current = self.current.take_if(|current| current.state == State::Running)?;
        let ended = match outcome {
            Outcome::Delivered => Ended::Delivered,
            Outcome::Failed => match current.schedule.failed(at) {
                NextAttempt::GiveUp => Ended::GivenUp,
                NextAttempt::At(next) => {
                    current.state = State::NextAt(next);
                    self.current = Some(current);
                    return Some(Ended::Retry);
                }
            },
        };
        self.bytes = self.bytes.saturating_sub(current.message.cost());
        Some(ended)
    }

    /// Messages that are neither delivered nor given up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the messages count for, in bytes; at most [`QueueOptions::max_bytes`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
