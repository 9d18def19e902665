use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use recorder_merge::{
    MergeOptions, Output, Plan, Progress, Report, Skipped, execute, methods, plan, refusal,
};
use recorder_types::with_causes;
use serde_json::{Value, json};

use crate::args::Args;
use crate::place::Places;
use crate::table;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The folder is of no use.
#[derive(Debug, thiserror::Error)]
enum FolderError {
    #[error("{folder}")]
    Read {
        folder: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{folder}: no playlist of a single-stream recording in it")]
    Foreign { folder: String },
}

/// Plans, and merges unless it is a dry run. Tells whether all went well.
pub(crate) fn run(args: &Args) -> Result<bool, AnyError> {
    let options = args.options()?;
    let mut places = Places::new();
    let mut source = places.source(&args.folder)?;
    let shown = args.folder.split(['?', '#']).next().unwrap_or_default().to_owned();
    let folder = source.folder().map_err(|source| FolderError::Read { folder: shown.clone(), source })?;
    let plan = plan(&folder, &options);
    if plan.users.is_empty() && plan.skipped.is_empty() {
        return Err(FolderError::Foreign { folder: shown }.into());
    }
    for Skipped { name, reason } in &plan.skipped {
        eprintln!("{}: {name}: {reason}", if reason.is_damage() { "error" } else { "warning" });
    }
    let mut good = !plan.skipped.iter().any(|skipped| skipped.reason.is_damage()) && !plan.users.is_empty();
    if args.dry_run {
        for output in outputs(&plan) {
            if let Some(error) = refusal(output, &options) {
                eprintln!("error: {}: {}", output.name, with_causes(&error));
                good = false;
            }
        }
        if args.json {
            print_json(&json!({ "plan": plan, "methods": told_methods(&plan, &options) }))?;
        } else {
            table::print_plan(&plan, &options)?;
        }
        return Ok(good);
    }
    let mut sink = places.sink(args.out.as_deref().unwrap_or(&args.folder))?;
    let bar = progress(args);
    let reports = execute(&plan, &options, &mut *source, &mut *sink, &mut |progress: &Progress<'_>| {
        // Before all else: a bar of no length is drawn as full.
        bar.set_length(progress.of);
        if bar.message() != progress.output || progress.done < bar.position() {
            bar.reset();
            bar.set_message(progress.output.to_owned());
        }
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    for report in &reports {
        good &= report.result.is_ok() && report.skipped.is_empty();
        for Skipped { name, reason } in &report.skipped {
            eprintln!("error: {}: {name}: {reason}", report.output);
        }
        if let Err(error) = &report.result {
            eprintln!("error: {}: {}", report.output, with_causes(error));
        }
    }
    if args.json {
        print_json(&json!({ "plan": plan, "files": reports.iter().map(told).collect::<Vec<_>>() }))?;
    } else {
        table::print_reports(&reports)?;
    }
    Ok(good)
}

fn outputs(plan: &Plan) -> impl Iterator<Item = &Output> {
    plan.users.iter().flat_map(|user| &user.outputs)
}

fn told_methods(plan: &Plan, options: &MergeOptions) -> Vec<Value> {
    let told = outputs(plan).map(|output| {
        let (video, audio) = methods(output, options);
        let error = refusal(output, options).map(|error| with_causes(&error));
        json!({ "name": output.name, "video": video, "audio": audio, "error": error })
    });
    told.collect()
}

fn told(report: &Report) -> Value {
    let error = report.result.as_ref().err().map(|error| with_causes(error));
    json!({
        "user": report.user,
        "name": report.output,
        "merged": report.result.as_ref().ok(),
        "error": error,
        "skipped": report.skipped,
    })
}

fn print_json(value: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

fn progress(args: &Args) -> ProgressBar {
    if args.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
