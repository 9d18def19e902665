use std::io::{self, Write};

use recorder::callback::{TrackType, VodFile};
use recorder::types::{RoomTime, UserId};
use recorder::{FileSetReport, MadeFile, Outcome, OutputFormat};
use recorder_terminal::{duration, size, write_table};

/// Prints what was written to `directory` below `out`, a line each, and how to play it.
pub(crate) fn print(out: &str, directory: &str, output: OutputFormat, outcome: &Outcome) -> io::Result<()> {
    let base = out.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let mut out = io::stdout().lock();
    writeln!(out, "{base}/{directory}/")?;
    let files = &outcome.status.files;
    if files.is_empty() {
        return writeln!(out, "nothing was recorded");
    }
    let playlists = output.keeps_hls();
    let mut rows =
        vec![["user", "track", "duration", "segments", "size", "file"].map(str::to_owned).to_vec()];
    rows.extend(files.iter().filter(|_| playlists).map(row));
    rows.extend(outcome.files.iter().map(file_row));
    write_table(&mut out, "  ", &rows)?;
    let playlist = files.iter().find(|file| file.segments > 0).map(|file| &file.playlist);
    if let Some(name) = outcome.files.first().map(|file| &file.name).or(playlist) {
        writeln!(out, "\nTo play one: ffplay {base}/{directory}/{name}")?;
    }
    if playlists {
        writeln!(out, "(or serve the directory over HTTP and open a playlist in any HLS player)")?;
    }
    Ok(())
}

/// Prints what was put into the media library in `folder`, a line each.
pub(crate) fn print_media(folder: &str, media: &[VodFile]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{folder}")?;
    if media.is_empty() {
        return writeln!(out, "nothing was put there");
    }
    let mut rows = vec![["user", "track", "duration", "address"].map(str::to_owned).to_vec()];
    rows.extend(media.iter().map(|file| {
        let start = file.start.map_or(0, |start| start.get());
        let millis = file.end.map_or(0, |end| end.get().saturating_sub(start));
        vec![
            user(file.user.as_ref()),
            match file.track_type {
                TrackType::Audio => "audio".into(),
                TrackType::Video => "video".into(),
                TrackType::AudioVideo => "audio and video".into(),
            },
            duration(RoomTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))),
            file.video_url.clone().unwrap_or_default(),
        ]
    }));
    write_table(&mut out, "  ", &rows)
}

fn file_row(file: &MadeFile) -> Vec<String> {
    let millis = i64::try_from(file.end.get().saturating_sub(file.start.get())).unwrap_or(i64::MAX);
    vec![
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

fn row(file: &FileSetReport) -> Vec<String> {
    vec![
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
