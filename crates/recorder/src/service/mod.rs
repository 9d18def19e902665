//! The life of tasks by the calls of the recording API.

mod auto;
mod life;
#[cfg(test)]
mod load;
#[cfg(test)]
mod model;
mod options;
mod recover;
mod room;
mod tasks;

pub use auto::InvalidTemplate;
pub use life::{LifeError, Stop, TaskLife};
pub use options::{InvalidTask, bucket_address, task_options};
pub use room::RoomKey;
pub use tasks::{Service, ServiceOptions};
