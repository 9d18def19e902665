use std::path::PathBuf;

use clap::{Parser, Subcommand};
use recorder::cluster::WorkerName;
use recorder::types::{TaskId, UserId};

/// Shares recordings between machines over NATS: a task goes to the worker with the most room, and when that dies, to the
/// next, under the next `ha<n>_` prefix.
///
/// The rooms are simulated: each worker plays the participants that a task names.
#[derive(Debug, Parser)]
#[command(name = "worker", version)]
pub(crate) struct Args {
    /// The NATS server, with JetStream; several with commas.
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222", global = true)]
    pub(crate) nats: String,

    /// The key-value bucket that the workers share.
    #[arg(long, value_name = "NAME", default_value = "recorder", global = true)]
    pub(crate) bucket: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Records: until SIGTERM or SIGINT, which give the tasks away; a second signal ends it at once.
    ///
    /// Each event is a line of JSON on standard output.
    Run(Run),
    /// Makes a task.
    Create(Create),
    /// Ends a task.
    Stop {
        /// Which.
        task: TaskId,
    },
    /// Lists the tasks that are not over: id, prefix, worker.
    List,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Its own in the cluster, and the same after a restart: letters, digits, `-` and `_`.
    #[arg(long)]
    pub(crate) name: WorkerName,

    /// Directory for files until they are delivered: this worker's alone.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: PathBuf,

    /// Where the files go, whatever a task says: a directory, or the URL of a bucket.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) out: Option<String>,

    /// Tasks that it records at a time.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) capacity: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Its id.
    pub(crate) task: TaskId,

    /// Where the files go. Keys in a URL are not told to the workers: give them `--out`.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) out: String,

    /// The room, a number.
    #[arg(long, default_value_t = 1001)]
    pub(crate) room: u32,

    /// Who is in it.
    #[arg(long = "participant", value_name = "USER", default_values = ["alice", "bob"])]
    pub(crate) participants: Vec<UserId>,
}
