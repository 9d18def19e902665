//! Workers that share recordings over NATS: `worker --help`.
//!
//! ```text
//! nats-server -js &
//! worker run --name w1 --spool spool1 & worker run --name w2 --spool spool2 &
//! worker create task01 --out out
//! kill -9 %2        # the other one goes on, under ha1_
//! ```

mod args;
mod room;
mod run;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use recorder::TaskOptions;
use recorder::cluster::async_nats::ConnectOptions;
use recorder::cluster::{Cluster, ClusterOptions};
use recorder::storage::{Bucket, BucketOptions};
use recorder::types::{RoomId, SdkAppId, with_causes};
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, Create};
use crate::room::Note;

type AnyError = Box<dyn Error + Send + Sync>;

/// The application of every room here.
const APP: u32 = 1_400_000_001;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match dispatch(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}

async fn dispatch(args: &Args) -> Result<(), AnyError> {
    let cluster = open(args).await?;
    match &args.command {
        Command::Run(run) => run::run(&cluster, run).await,
        Command::Create(create) => make(&cluster, create).await,
        Command::Stop { task } => Ok(cluster.stop(task).await?),
        Command::List => list(&cluster).await,
    }
}

async fn open(args: &Args) -> Result<Cluster, AnyError> {
    let servers: Vec<&str> = args.nats.split(',').collect();
    let client = ConnectOptions::new()
        // A network that is cut says nothing: after two of these it counts as away.
        .ping_interval(Duration::from_secs(2))
        // Whoever comes back late may find its tasks taken.
        .reconnect_delay_callback(|_| Duration::from_millis(500))
        .connect(servers)
        .await
        .map_err(|error| format!("--nats {}: {error}", args.nats))?;
    Ok(Cluster::open(client, &ClusterOptions::default().with_bucket(&args.bucket)).await?)
}

async fn make(cluster: &Cluster, create: &Create) -> Result<(), AnyError> {
    let bucket = Bucket::open(&create.out, BucketOptions::default())
        .map_err(|error| format!("--out: {}", with_causes(&error)))?;
    let robot = format!("robot_{}", create.task).parse()?;
    let room = RoomId::integer(create.room);
    let task = TaskOptions::new(SdkAppId::new(APP), room, create.task.clone(), robot);
    let participants = create.participants.iter().map(|user| user.as_str().to_owned()).collect();
    Ok(cluster.create(&task, &bucket, serde_json::to_value(Note { participants })?).await?)
}

async fn list(cluster: &Cluster) -> Result<(), AnyError> {
    let mut out = std::io::stdout();
    for task in cluster.tasks().await? {
        let run = task.run.map_or_else(|| "-".to_owned(), |run| format!("ha{run}"));
        let state = if task.records { "records" } else { "ends" };
        writeln!(out, "{} {run} {} {state}", task.task, task.worker.as_deref().unwrap_or("-"))?;
    }
    Ok(())
}
