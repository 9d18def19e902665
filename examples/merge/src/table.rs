use std::io;

use recorder_merge::{MergeError, MergeOptions, Method, Plan, Report, methods, refusal};
use recorder_terminal::{size, write_table};
use recorder_types::RoomTime;

/// Prints what would be done: a line for each file, and one for each gap in it.
pub(crate) fn print_plan(plan: &Plan, options: &MergeOptions) -> io::Result<()> {
    let mut rows = vec![row(["user", "file", "duration", "size", "sections", "segments", "video", "audio"])];
    for user in &plan.users {
        for output in &user.outputs {
            let (video, audio) = methods(output, options);
            let refused = refusal(output, options).map(|error| match error {
                MergeError::NotCopyable(reason) => format!("cannot be copied ({reason})"),
                _ => "not written".to_owned(),
            });
            rows.push(vec![
                user.user.clone().unwrap_or_else(|| user.encoded.clone()),
                output.name.clone(),
                duration(output.duration_nanos),
                output.size.map_or_else(|| "-".into(), |(width, height)| format!("{width}x{height}")),
                output.sections.to_string(),
                output.pieces.len().to_string(),
                refused.unwrap_or_else(|| method(video.as_ref())),
                method(audio.as_ref()),
            ]);
            for gap in &output.gaps {
                let span = format!("gap {} - {}", duration(gap.from_nanos), duration(gap.to_nanos));
                rows.push(vec![String::new(), span]);
            }
        }
    }
    print(&rows)
}

/// Prints what was done, a line for each file.
pub(crate) fn print_reports(reports: &[Report]) -> io::Result<()> {
    let mut rows = vec![row(["file", "duration", "bytes", "video", "audio"])];
    for report in reports {
        rows.push(match &report.result {
            Ok(merged) => vec![
                report.output.clone(),
                duration(merged.duration_nanos),
                size(merged.bytes),
                method(merged.video.as_ref()),
                method(merged.audio.as_ref()),
            ],
            Err(_) => row([&report.output, "not written"]),
        });
    }
    print(&rows)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn method(method: Option<&Method>) -> String {
    method.map_or_else(|| "-".into(), ToString::to_string)
}

fn print(rows: &[Vec<String>]) -> io::Result<()> {
    write_table(&mut io::stdout().lock(), "", rows)
}

fn duration(nanos: i64) -> String {
    recorder_terminal::duration(RoomTime::from_nanos(nanos))
}
