use std::io::{self, Write};

use recorder::types::{RoomTime, TaskId, UserId};
use recorder::{FileSetReport, MadeFile, Outcome, OutputFormat};

use crate::args::Args;

/// Prints what was written, a line each, and how to play it.
pub(crate) fn print(args: &Args, task: &TaskId, outcome: &Outcome) -> io::Result<()> {
    let mut directory = String::new();
    if let Some(prefix) = &args.prefix {
        directory.push_str(prefix);
        directory.push('/');
    }
    directory.push_str(task.as_str());
    let mut out = io::stdout().lock();
    let base = args.out.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    writeln!(out, "{base}/{directory}/")?;
    let files = &outcome.status.files;
    if files.is_empty() {
        return writeln!(out, "nothing was recorded");
    }
    let playlists = OutputFormat::from(args.format).keeps_hls();
    let mut rows: Vec<[String; 6]> = files.iter().filter(|_| playlists).map(row).collect();
    rows.extend(outcome.files.iter().map(file_row));
    let head = ["user", "track", "duration", "segments", "size", "file"].map(str::to_owned);
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            let longest = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
            longest.max(head[at].len())
        })
        .collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str("  ");
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    let playlist = files.iter().find(|file| file.segments > 0).map(|file| &file.playlist);
    if let Some(name) = outcome.files.first().map(|file| &file.name).or(playlist) {
        writeln!(out, "\nTo play one: ffplay {base}/{directory}/{name}")?;
    }
    if playlists {
        writeln!(out, "(or serve the directory over HTTP and open a playlist in any HLS player)")?;
    }
    Ok(())
}

fn file_row(file: &MadeFile) -> [String; 6] {
    let millis = i64::try_from(file.end.get().saturating_sub(file.start.get())).unwrap_or(i64::MAX);
    [
        user(file.user.as_ref()),
        if file.user.is_some() { file.media.to_string() } else { "mix".into() },
        duration(RoomTime::from_millis(millis)),
        "-".into(),
        size(file.bytes),
        file.name.to_string(),
    ]
}

/// `(room)` where everybody is in it.
fn user(user: Option<&UserId>) -> String {
    user.map_or_else(|| "(room)".into(), UserId::to_string)
}

fn row(file: &FileSetReport) -> [String; 6] {
    [
        user(file.user.as_ref()),
        match file.user {
            Some(_) => format!("{}_{}", file.media, file.stream_type.track_type()),
            None => format!("mix_{}", file.stream_type.track_type()),
        },
        duration(file.duration),
        file.segments.to_string(),
        size(file.bytes),
        file.playlist.to_string(),
    ]
}

/// `h:mm:ss.mmm`.
fn duration(time: RoomTime) -> String {
    let millis = time.round_to_millis().max(0);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Bytes with a decimal unit.
fn size(bytes: u64) -> String {
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
        assert_eq!(duration(RoomTime::from_millis(3_723_045)), "1:02:03.045");
        for (bytes, text) in
            [(0, "0.0 kB"), (188_000, "188.0 kB"), (1_250_000, "1.2 MB"), (2_147_483_648, "2.14 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
