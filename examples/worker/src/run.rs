use std::io::Write as _;

use recorder::callback::CallbackBody;
use recorder::cluster::{Cluster, WorkerOptions};
use recorder::storage::{Bucket, BucketOptions};
use recorder::types::with_causes;
use recorder::{Recorder, RecorderOptions, RecoverOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::AnyError;
use crate::args::Run;
use crate::room::{self, Note};

/// Records what it is given until a signal comes.
pub(crate) async fn run(cluster: &Cluster, args: &Run) -> Result<(), AnyError> {
    let mut recover = RecoverOptions::default()
        .with_adjust(|recording| recording.with_on_callback(|body| tell(&event_line(body))));
    if let Some(out) = &args.out {
        let bucket = Bucket::open(out, BucketOptions::default())
            .map_err(|error| format!("--out: {}", with_causes(&error)))?;
        recover = recover.with_bucket(move |_, _| Some(bucket.clone()));
    }
    let options = WorkerOptions::new(args.name.clone(), args.capacity).with_recover(recover);
    let (worker, mut assignments) =
        cluster.work(Recorder::new(RecorderOptions::new(&args.spool)), options)?;
    eprintln!("{} takes up to {} tasks", args.name, args.capacity);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        tokio::select! {
            given = assignments.next() => {
                let Some(given) = given else { return Ok(()) };
                let run = given.run.map_or(0, |run| run.number());
                tell(&serde_json::json!({ "TaskId": given.task.task.as_str(), "Begins": run }));
                match serde_json::from_value::<Note>(given.note) {
                    Ok(note) => room::play(&given.recording, &note),
                    Err(error) => {
                        eprintln!("error: {}: its note is not of this program: {error}", given.task.task);
                    }
                }
            }
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    eprintln!("ending: its tasks go to others, and what is left is delivered");
    tokio::select! {
        () = worker.leave() => Ok(()),
        _ = term.recv() => Err("ended by a second signal: what was not delivered is in the spool".into()),
        _ = int.recv() => Err("ended by a second signal: what was not delivered is in the spool".into()),
    }
}

fn event_line(body: &CallbackBody) -> serde_json::Value {
    serde_json::from_slice(&body.to_json_bytes()).unwrap_or_default()
}

fn tell(line: &serde_json::Value) {
    // Nobody has to read it.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
