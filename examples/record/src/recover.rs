use std::io::Write;
use std::path::Path;

use recorder::callback::LeaveCode;
use recorder::naming::ObjectDir;
use recorder::types::{RoomTime, with_causes};
use recorder::{Delivery, Fate, MixOptions, Now, Recorder, Recording, RecoverOptions, RoomEvent};

use crate::args::{Args, Mode};
use crate::room::{
    AnyError, Told, deliverer, finish_callbacks, now, open_bucket, open_sessions, play, policy, progress,
    report_loss,
};
use crate::session::Session;
use crate::table;
use crate::vod::{Media, open_library};

/// Takes up what is in the spool. `false`: something is left there, or was lost, and was told.
pub(crate) async fn recover(args: &Args, spool: &Path) -> Result<bool, AnyError> {
    let start = args.start_time.unwrap_or_else(now);
    let (mut sessions, unusable): (Vec<Session>, usize) = match args.participants.is_empty() {
        true => (Vec::new(), 0),
        false => open_sessions(args, &args.room()?)?,
    };
    let deliverer = deliverer(args)?;
    let told = Told { start, realtime: args.realtime, policy: policy(args), deliverer: deliverer.clone() };
    let mix = match args.mode {
        Mode::Mixed => Some(args.mix.options(MixOptions::default())?),
        Mode::Single => None,
    };
    let (media, library) = (Media::default(), args.vod.as_deref().map(open_library).transpose()?);
    let heard = media.clone();
    let mut options = RecoverOptions::default().with_adjust(move |mut recording| {
        if let Some(mix) = &mix {
            recording.task.mix = Some(mix.clone());
        }
        told.adjust(recording).with_on_callback(heard.sink())
    });
    if sessions.is_empty() {
        options = options.ending();
    }
    if let Some(out) = &args.out {
        let bucket = open_bucket("--out", out)?;
        options = options.with_bucket(move |_, _| Some(bucket.clone()));
    }
    if let Some(library) = library {
        options = options.with_library(move |_, _| Some(library.clone()));
    }
    if let Some(backup) = &args.backup {
        let bucket = open_bucket("--backup", backup)?;
        options = options.with_backup(move |_, _| Some(bucket.clone()));
    }

    let mut all_well = unusable == 0;
    let recorder = Recorder::new(args.recorder_options(spool)?);
    let found = tokio::task::spawn_blocking(move || recorder.recover(&options)).await??;
    if found.is_empty() && !args.quiet {
        writeln!(std::io::stdout(), "nothing is left in {}", spool.display())?;
    }
    for recovered in found {
        let task = recovered.task;
        let (recording, note) = match recovered.fate {
            Fate::GoesOn { recording, run } => {
                let sessions = std::mem::take(&mut sessions);
                all_well &= go_on(args, &recording, start, sessions).await?;
                (recording, format!("{task} went on as ha{run}"))
            }
            Fate::Ends { recording } => (recording, format!("{task} was ended")),
            Fate::Waits { address, error } => {
                all_well = false;
                let why = error.map_or(String::new(), |error| format!(": {}", with_causes(&error)));
                eprintln!(
                    "error: {task}: its bucket {address} cannot be opened, name it with --out, --vod or --backup{why}"
                );
                continue;
            }
            Fate::Busy => {
                eprintln!("note: {task} is being recorded");
                continue;
            }
            Fate::Failed(error) => {
                all_well = false;
                eprintln!("error: {task}: {}", with_causes(&error));
                continue;
            }
            other => return Err(format!("{task}: {other:?} is not known to this program").into()),
        };
        let outcome = recording.ended().await?;
        all_well &= outcome.kept == 0 && outcome.failure.is_none();
        if let Some(deliverer) = &deliverer {
            // Each task has its own queue; the last one waits for all of them.
            deliverer.flush_task(&task).await;
        }
        if outcome.kept == 0 {
            recording.closed().await;
        }
        if let Some(options) = recovered.options.filter(|_| !args.quiet) {
            writeln!(std::io::stdout(), "{note}")?;
            if options.delivery != Delivery::Bucket {
                table::print_media(&recovered.bucket, &media.take())?;
                report_loss(&outcome, spool);
                continue;
            }
            let directory = ObjectDir::new(options.prefix.clone(), task.clone());
            let out = args.out.as_deref().unwrap_or(&recovered.bucket);
            table::print(out, directory.as_str(), options.output, &outcome)?;
        }
        report_loss(&outcome, spool);
    }
    if let Some(deliverer) = &deliverer {
        all_well &= finish_callbacks(deliverer, args.callback_patience, spool).await;
    }
    Ok(all_well)
}

/// Lets the participants come into the room of a recording that goes on, and stops it; one without any at once.
async fn go_on(
    args: &Args,
    recording: &Recording,
    start: recorder::types::UnixMillis,
    mut sessions: Vec<Session>,
) -> Result<bool, AnyError> {
    if sessions.is_empty() {
        let at = Now { room: RoomTime::ZERO, wall: start };
        recording.event_at(at, RoomEvent::Stop { code: LeaveCode::ROOM_TIMEOUT }).await?;
        return Ok(true);
    }
    let bar = progress(args, &sessions);
    let failed = play(recording, start, &mut sessions, args.realtime, &bar).await?;
    bar.finish_and_clear();
    Ok(failed == 0)
}
