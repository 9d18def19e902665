use std::io::{self, Write};

use recorder_merge::{MergeOptions, Method, Plan, Report, methods};

/// Prints what would be done: a line for each file, and one for each gap in it.
pub(crate) fn print_plan(plan: &Plan, options: &MergeOptions) -> io::Result<()> {
    let mut rows = vec![row(["user", "file", "duration", "size", "sections", "segments", "video", "audio"])];
    for user in &plan.users {
        for output in &user.outputs {
            let (video, audio) = methods(output, options);
            rows.push(vec![
                user.user.clone().unwrap_or_else(|| user.encoded.clone()),
                output.name.clone(),
                duration(output.duration_nanos),
                output.size.map_or_else(|| "-".into(), |(width, height)| format!("{width}x{height}")),
                output.sections.to_string(),
                output.pieces.len().to_string(),
                method(video.as_ref()),
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
                bytes(merged.bytes),
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
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = io::stdout().lock();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `h:mm:ss.mmm`, to the nearest millisecond.
fn duration(nanos: i64) -> String {
    let millis = nanos.max(0).saturating_add(500_000) / 1_000_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Bytes with a decimal unit.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{:02} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 10_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(3_723_045_499_999), "1:02:03.045");
        assert_eq!(bytes(188_000), "188.0 kB");
        assert_eq!(bytes(2_147_483_648), "2.14 GB");
    }
}
